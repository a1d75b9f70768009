"""Exact shortest plans by breadth-first search."""

from collections import deque
from collections.abc import Iterator

from autorl.types import Action

from .operations import OPERATIONS
from .world import Slip, State, World


def plan(world: World, start: State, goal: State) -> tuple[Action, ...] | None:
    """The fewest calls that lead from `start` to `goal` and close the work, None if none do.

    They are searched slip by slip: no call for one slip stands in the way of another, and the one thing that slips
    share, a truck to their zone, is booked with the first that needs it.
    """
    state, actions = start, ()
    for wanted in goal.slips:
        found = _for_slip(world, state, wanted)
        if found is None:
            return None
        state, more = found
        actions += more
    return (*actions, world.action("close")) if state == goal else None


def _for_slip(world: World, start: State, wanted: Slip) -> tuple[State, tuple[Action, ...]] | None:
    waiting = deque([(start, ())])
    seen = {start}
    while waiting:
        state, actions = waiting.popleft()
        if state.slip(wanted.number) == wanted:
            return state, actions
        for action in calls(world, wanted):
            after = world.apply(state, action).state
            if after not in seen:
                seen.add(after)
                waiting.append((after, (*actions, action)))
    return None


def calls(world: World, slip: Slip) -> Iterator[Action]:
    """Every call that can do anything for `slip`."""
    for operation in world.operations:
        if OPERATIONS[operation].kind == slip.kind or operation == "book":
            carriers = world.carriers if "carrier" in world.parameters(operation) else [""]
            for carrier in carriers:
                yield world.action(operation, number=slip.number, zone=slip.zone, count=slip.amount, carrier=carrier,
                                   truck=world.trucks.get(slip.zone))
