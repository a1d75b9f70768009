"""Guided runs: while a policy learns, the verifier tells it when a task is done, and when it is spoiled.

An episode ends where its goal is reached, as those of most environments of reinforcement learning do, and where
something that was right is so no more. No call is carried out twice in a run, nor one that spoiled another attempt at
the task, nor one that was refused in another when as much had been done. So a few short attempts find what chance would
not (as in Go-Explore, Ecoffet et al. 2021, what was seen of a state is remembered). What is kept of it are whole runs,
made by the policy under the same prompts; only what it could choose from was less.
"""

from collections.abc import Callable, Collection, Sequence

from autorl import masking
from autorl.types import Status, ToolSpec, Trajectory, Verdict

SPOILED = "spoiled: "


class Guide:
    """The guide of one run.

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
        self._refused = [refused for run in before for refused in masking.refusals(run.steps, looks)]

    def end(self, trajectory: Trajectory) -> tuple[Status, str] | None:
        """How the run is over, with the reason; None while it is not. Asked after every step, and before the first."""
        verdict = self._verdict(trajectory)
        self._passed = verdict.passed
        lost = self._right - {check.name for check in verdict.checks if check.passed}
        self._right |= {check.name for check in verdict.checks if check.passed}
        return (Status.STUCK, f"{SPOILED}{', '.join(sorted(lost))}") if lost else None

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """What of these tools the policy may choose from next."""
        done = masking.changes(trajectory.steps, self._looks)
        refused = [action for before, action in self._refused if before == done]
        right = masking.without(tools, [*self._spoiling, *refused, *trajectory.actions])
        return tuple(tool for tool in right if tool.ends_run == self._passed) or right or tools
