"""Exact success: the warehouse is, in the end, as the task asks, and nothing else has happened."""

from collections.abc import Sequence

from autorl.types import Check, Exemplar, Task, Trajectory, Verdict, pass_at
from autorl.workspace import Workspace

from .asked import Asked
from .tools import state_of
from .world import Slip


class WarehouseVerifier:
    name = "warehouse"
    version = 1

    def asked(self, task: Task) -> dict[str, object]:
        return Asked.of(task).requirements if task.requirements else {}  # the text alone does not say enough

    def __call__(self, task: Task, trajectory: Trajectory, workspace: Workspace,
                 exemplars: Sequence[Exemplar] = ()) -> Verdict:
        asked = Asked.of(task)
        state, goal = state_of(workspace, task, asked.world), asked.goal
        checks = [_slip(slip, wanted) for slip, wanted in zip(state.slips, goal.slips, strict=True)]
        checks += [_equal("stock", dict(state.stock), dict(goal.stock)), _equal("trucks", state.booked, goal.booked)]
        verdict = pass_at(checks, f"{self.name}@{self.version}")
        return verdict.model_copy(update={"why": f"{len(trajectory.steps)} steps, {asked.optimal} would do"})


def _slip(slip: Slip, wanted: Slip) -> Check:
    return _equal(f"{slip.kind} {slip.number}", [slip.stage, *slip.done], [wanted.stage, *wanted.done])


def _equal(name: str, found: object, wanted: object) -> Check:
    return Check(name=name, passed=found == wanted, score=found == wanted, found=f"{found}",
                 remedy="" if found == wanted else f"It should be {wanted}")
