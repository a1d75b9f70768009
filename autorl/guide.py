"""Guided runs: while a policy learns, the verifier tells what it knows of a run that goes on.

One that knows what leads on from there limits the choice to that (`Showing`). Who only ever goes the right way learns
no way back to it, and a policy that is left to itself comes off it soon: now and then, what is shown is what will be
refused, and the right way after it (noise injection, as in DART, Laskey et al. 2017). Refused steps are in what is
learned from, but they are not learned themselves.

One that knows when a task is done, and when it is spoiled, is asked after every step (`Judging`). An episode ends where
its goal is reached, as those of most environments of reinforcement learning do, and where something that was right is
so no more. What was seen in other attempts at the task is remembered (as in Go-Explore, Ecoffet et al. 2021): the call
that spoiled one is not offered, nor one that was refused when as much had been done, nor for now a tool that was
refused there more often than others. To look is not offered before an attempt ran out of steps, nor for ever then: what
a run looked at to no end, those that are shown it later would look at too. Of the many values that an argument may
have, those come first that stand in the task or were told, as in an error. So a few short attempts find what chance
would not.

What is kept of either are whole runs, made by the policy under the same prompts; only what it could choose from was
less.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from autorl import masking
from autorl.types import Status, ToolSpec, Trajectory, Verdict

SPOILED = "spoiled: "
AHEAD = 2
"""Refusals, or looks in this run, by which a tool may be ahead of the one refused least where as much was done."""
REFUSED = 4
"""Refusals after which a run that is shown the way is over."""
ASTRAY, OFTEN = 2, 0.15
"""Refusals up to which a run may be shown what will be refused, and how often it is, of its steps."""

Offered = Callable[[tuple[ToolSpec, ...], Trajectory], tuple[ToolSpec, ...]]


class Guide(Protocol):
    """The guide of one run."""

    def end(self, trajectory: Trajectory) -> tuple[Status, str] | None:
        """How the run is over, with the reason; None while it is not. Asked after every step, and before the first."""

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """What of these tools the policy may choose from next."""


class Showing:
    """By a verifier that can tell what comes next, but not how a run stands that goes on.

    mistakes: what it knows to be refused next, of all tools of the run; None if it knows no such thing
    """

    def __init__(self, offered: Offered, mistakes: Offered | None = None, tools: tuple[ToolSpec, ...] = ()) -> None:
        self._offered = offered
        self._mistakes = mistakes
        self._tools = tools

    def end(self, trajectory: Trajectory) -> tuple[Status, str] | None:
        """Shown the way, and refused again and again, it says the same again: another attempt is cheaper."""
        refused = len(_refused(trajectory))
        return (Status.STUCK, f"refused {refused} times on the way it was shown") if refused >= REFUSED else None

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        return self._astray(trajectory) or self._offered(tools, trajectory) or tools

    def _astray(self, trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """One of the mistakes, drawn by the run's name and how far it is; mostly nothing. Never two in a row."""
        now = len(trajectory.steps)
        refused = _refused(trajectory)
        draw = random.Random(f"{trajectory.id} {now}")
        if not self._mistakes or now - 1 in refused or len(refused) >= ASTRAY or draw.random() >= OFTEN:
            return ()
        known = self._mistakes(self._tools, trajectory)
        return (draw.choice(known),) if known else ()


def _refused(trajectory: Trajectory) -> list[int]:
    return [step.index for step in trajectory.steps if step.observation is not None and not step.observation.ok]


class Judging:
    """By a verifier that judges a run after each of its steps.

    verdict: what the verifier says of it as it stands; before: earlier attempts at the same task, which failed
    looks: the names of the tools that change nothing
    """

    def __init__(self, verdict: Callable[[Trajectory], Verdict], before: Sequence[Trajectory], looks: Collection[str]
                 ) -> None:
        self._verdict = verdict
        self._looks = looks
        self._passed = False
        self._right: set[str] = set()
        self._spoiling = [run.actions[-1] for run in before if run.reason.startswith(SPOILED) and run.actions]
        self._may_look = any(run.status is Status.OUT_OF_STEPS for run in before)
        self._tried = [call for run in before for call in masking.history(run.steps, looks)[0]]

    def end(self, trajectory: Trajectory) -> tuple[Status, str] | None:
        verdict = self._verdict(trajectory)
        self._passed = verdict.passed
        lost = self._right - {check.name for check in verdict.checks if check.passed}
        self._right |= {check.name for check in verdict.checks if check.passed}
        return (Status.STUCK, f"{SPOILED}{', '.join(sorted(lost))}") if lost else None

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        calls, now = masking.history(trajectory.steps, self._looks)
        tried = [call for call in (*self._tried, *calls) if call.before == now]
        refused = [call.action for call in tried if not call.ok]
        left = masking.without(tools, [*self._spoiling, *refused, *trajectory.actions]) or tools
        left = masking.mentioned(left, " ".join([trajectory.task.text, *(
            step.observation.text for step in trajectory.steps if step.observation)]))
        left = tuple(tool for tool in left if tool.ends_run == self._passed) or left
        left = tuple(tool for tool in left if self._may_look or not tool.read_only) or left
        looked = [call.action for call in calls if call.ok and call.before == now and call.action.name in self._looks]
        in_vain = Counter(action.name for action in (*refused, *looked))
        # To look is no way on: that it was never refused says nothing against the others.
        most = min((in_vain[tool.name] for tool in left if not tool.read_only), default=0) + AHEAD
        return tuple(tool for tool in left if in_vain[tool.name] <= most) or left
