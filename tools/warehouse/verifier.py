"""Exact success: the warehouse is, in the end, as the task asks, and nothing else has happened."""

from collections.abc import Sequence

from autorl.types import Check, Exemplar, Task, Trajectory, Verdict, pass_at
from autorl.workspace import Workspace

from .asked import Asked
from .tools import state_of
from .world import Slip, State


class WarehouseVerifier:
    name = "warehouse"
    version = 2
    guides = True

    def asked(self, task: Task) -> dict[str, object]:
        return Asked.of(task).requirements if task.requirements else {}  # the text alone does not say enough

    def __call__(self, task: Task, trajectory: Trajectory, workspace: Workspace,
                 exemplars: Sequence[Exemplar] = ()) -> Verdict:
        asked = Asked.of(task)
        state = state_of(workspace, task, asked.world)
        verdict = pass_at(checks(state, asked.goal), f"{self.name}@{self.version}")
        return verdict.model_copy(update={"why": f"{len(trajectory.steps)} steps, {asked.optimal} would do"})


def checks(state: State, goal: State) -> list[Check]:
    """What is as it is to be. On the way to the goal, a check that has come to pass never fails; the stock follows from
    the slips."""
    slips = list(zip(state.slips, goal.slips, strict=True))
    return [*(_slip(slip, wanted) for slip, wanted in slips), *(_no_more(slip, wanted) for slip, wanted in slips),
            _equal("trucks", sorted(set(goal.booked) - set(state.booked)), []),
            _equal("trucks, no more", sorted(set(state.booked) - set(goal.booked)), [])]


def _slip(slip: Slip, wanted: Slip) -> Check:
    return _equal(f"{slip.kind} {slip.number}", [slip.stage, *slip.done], [wanted.stage, *wanted.done])


def _no_more(slip: Slip, wanted: Slip) -> Check:
    """What was done to a slip cannot be undone, so this tells at once that a run has gone wrong."""
    if slip.stage == wanted.stage:
        too_much = sorted(set(slip.done) - set(wanted.done))
    else:
        too_much = [] if slip.stage in ("open", "picked") else [slip.stage]
    return _equal(f"{slip.kind} {slip.number}, no more", too_much, [])


def _equal(name: str, found: object, wanted: object) -> Check:
    return Check(name=name, passed=found == wanted, score=found == wanted, found=f"{found}",
                 remedy="" if found == wanted else f"It should be {wanted}")
