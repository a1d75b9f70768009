"""A run while it goes on: a value that is written down at every change."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from autorl import masking
from autorl.guide import Guide
from autorl.journal import Journal
from autorl.registry import RunContext, Toolset
from autorl.types import TRANSITIONS, Context, Exemplar, Limits, Observation, Status, Step, Trajectory
from autorl.workspace import Workspace


@dataclass(frozen=True)
class Run:
    """A trajectory in the making. Every change is a new value, and is written down before it is returned.

    started: on the monotonic clock; before: steps from before a resume, which its limits do not count
    """

    trajectory: Trajectory
    exemplars: tuple[Exemplar, ...]
    journals: tuple[Journal, ...]
    started: float
    before: int

    @classmethod
    def start(cls, trajectory: Trajectory, exemplars: Sequence[Exemplar], journals: Sequence[Journal]) -> "Run":
        run = cls(trajectory, tuple(exemplars), tuple(journals), time.monotonic(), len(trajectory.steps))
        for journal in run.journals:
            journal.began(trajectory)
        return run

    def context(self, tools: Toolset, surroundings: RunContext, guide: Guide | None) -> Context:
        """What the policy is asked with."""
        steps = self.trajectory.steps
        available = tools.available(surroundings)
        if guide:
            available = guide.offered(available, self.trajectory)
        available = masking.offered(available, steps)
        warning = str(self.trajectory.provenance.recall.get("warning", ""))
        return Context(self.trajectory.task, tools.specs, self.exemplars, steps, available=available, warning=warning,
                       run=self.trajectory.id)

    def decided(self, step: Step) -> "Run":
        for journal in self.journals:
            journal.decided(self.trajectory.id, step)
        run = self._with(steps=(*self.trajectory.steps, step))
        return run.observed(step.observation) if step.observation else run

    def observed(self, observation: Observation) -> "Run":
        step = self.trajectory.steps[-1]
        for journal in self.journals:
            journal.observed(self.trajectory.id, step.index, observation)
        done = step.model_copy(update={"observation": observation})
        return self._with(steps=(*self.trajectory.steps[:-1], done))

    def ended(self, status: Status, reason: str, workspace: Workspace) -> Trajectory:
        assert status in TRANSITIONS[self.trajectory.status]
        last = self.trajectory.steps[-1].observation if self.trajectory.steps else None
        run = self._with(
            status=status, reason=reason, artifacts=workspace.artifacts(),
            seconds=self.trajectory.seconds + time.monotonic() - self.started,
            answer=last.text if last and status is Status.FINISHED else "",
        )
        for journal in self.journals:
            journal.ended(run.trajectory)
            journal.keep_files(run.trajectory, workspace.root)
        return run.trajectory

    def end(self, limits: Limits) -> tuple[Status, str] | None:
        """How the run is over, with the reason; None while it is not."""
        if self.trajectory.steps and (seen := self.trajectory.steps[-1].observation) and seen.ends_run:
            return Status.FINISHED, ""
        steps = self.trajectory.steps[self.before :]
        last = steps[-limits.format_errors :]
        if len(last) == limits.format_errors and all(step.error for step in last):
            truncated = all((step.error or "").startswith("Truncated") for step in last)
            return (Status.TRUNCATED if truncated else Status.STUCK), f"{len(last)} answers in a row: {last[-1].error}"
        last = steps[-limits.repeats :]
        if len(last) == limits.repeats and last[0].action and all(masking.same(last[0], step) for step in last):
            return Status.STUCK, f"{last[0].action.name} was called {len(last)} times with the same result"
        if len(steps) >= limits.steps:
            return Status.OUT_OF_STEPS, f"after {len(steps)} steps"
        if (spent := sum(step.usage.completion_tokens for step in steps)) >= limits.tokens:
            return Status.OUT_OF_TOKENS, f"after {spent} tokens"
        if (seconds := time.monotonic() - self.started) >= limits.seconds:
            return Status.OUT_OF_TIME, f"after {seconds:.0f} s"
        return None

    def _with(self, **changes: Any) -> "Run":
        return replace(self, trajectory=self.trajectory.model_copy(update=changes))
