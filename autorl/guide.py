"""Guided runs: while a policy learns, the verifier tells it when a task is done, and when it is spoiled.

An episode ends where its goal is reached, as those of most environments of reinforcement learning do, and where
something that was right is so no more. No call is carried out twice in a run, nor one that spoiled another attempt at
the task, so that a few short attempts find what chance would not. What is kept of it are whole runs, made by the policy
under the same prompts; only what it could choose from was less.
"""

from collections.abc import Callable, Iterable

from autorl import masking
from autorl.types import Status, ToolSpec, Trajectory, Verdict

SPOILED = "spoiled: "


class Guide:
    """The guide of one run.

    verdict: what the verifier says of it as it stands; before: earlier attempts at the same task
    """

    def __init__(self, verdict: Callable[[Trajectory], Verdict], before: Iterable[Trajectory]) -> None:
        self._verdict = verdict
        self._passed = False
        self._right: set[str] = set()
        self._spoiling = [run.actions[-1] for run in before if run.reason.startswith(SPOILED) and run.actions]

    def end(self, trajectory: Trajectory) -> tuple[Status, str] | None:
        """How the run is over, with the reason; None while it is not. Asked after every step, and before the first."""
        verdict = self._verdict(trajectory)
        self._passed = verdict.passed
        lost = self._right - {check.name for check in verdict.checks if check.passed}
        self._right |= {check.name for check in verdict.checks if check.passed}
        return (Status.STUCK, f"{SPOILED}{', '.join(sorted(lost))}") if lost else None

    def offered(self, tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
        """What of these tools the policy may choose from next."""
        right = masking.without(tools, [*self._spoiling, *trajectory.actions])
        return tuple(tool for tool in right if tool.ends_run == self._passed) or right or tools
