"""Requests with the state that each asks for, from those of one call to those of eleven."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from autorl.errors import UsageError
from autorl.types import Task

from .asked import Asked
from .invent import is_name
from .invent import world as world_named
from .operations import OPERATIONS, TREATMENTS
from .solver import plan
from .world import MOST, NUMBERS, Slip, State, World

Split = Literal["train", "test"]
LENGTHS = range(2, 13)
SINGLE = 5
"""Calls up to which a task is about one slip."""
SETS: Mapping[Split, tuple[range, int]] = {"train": (range(2, 6), 32), "test": (range(3, 6), 24)}
"""The lengths of the tasks of `wN/train` and `wN/test`, the short ones first, and how many there are of each."""
_TRIES = 2000

_PHRASES = {
    "ship": ("Ship order {slip} to {zone}.", "Send order {slip} to {zone}.", "Please ship order {slip} to {zone}."),
    "pick": ("Pick order {slip}.", "Only pick order {slip}."),
    "store": ("Store return {slip}: {good}.", "Put return {slip} into stock: {good}."),
    "cancel": ("Cancel order {slip}.", "Order {slip} is off, cancel it."),
    **{treatment: (f"Pick and {treatment} order {{slip}}.",
                   f"Have order {{slip}} picked and {OPERATIONS[treatment].past}.")
       for treatment in TREATMENTS},
}
"""Ways to ask that a slip be brought to where an operation leaves it; the people of a world have one way each."""


@lru_cache(maxsize=512)
def tasks(name: str, split: Split, length: int, count: int) -> tuple[Task, ...]:
    """The first `count` tasks of a world and a split that take `length` calls at least, the finish among them.

    The numbers of slips in test tasks are in no training task. Raises UsageError if there are not so many.
    """
    found = tuple(islice(_stream(world_named(name), split, length), count))
    if len(found) < count:
        raise UsageError(f"{name} has {len(found)} {split} tasks of {length} calls, and {count} were asked for")
    return found


class Sets(Mapping[str, Sequence[Task]]):
    """Task sets: `w1/train` and `w1/test` for every world, and `w1/test/12` for those of exactly so many calls."""

    def __getitem__(self, name: str) -> Sequence[Task]:
        world, _, rest = name.partition("/")
        asked, _, exact = rest.partition("/")
        split = next((split for split in SETS if split == asked), None)
        if not is_name(world) or split is None or (exact and exact not in map(str, LENGTHS)):
            raise KeyError(name)
        lengths, each = SETS[split]
        wanted = (int(exact),) if exact else lengths
        return [task for length in wanted for task in tasks(world, split, length, each)]

    def __iter__(self) -> Iterator[str]:
        return (f"w{number}/{split}" for number in range(4) for split in SETS)

    def __len__(self) -> int:
        return 4 * len(SETS)


def _stream(world: World, split: Split, length: int) -> Iterator[Task]:
    chance = random.Random(f"warehouse/{world.name}/{split}/{length}")
    numbers = random.Random(f"warehouse/{world.name}/numbers").sample(NUMBERS, 89)
    numbers = numbers[:60] if split == "train" else numbers[60:]
    seen: set[str] = set()
    misses = 0
    while misses < _TRIES:
        lines = _lines(world, length, chance, numbers)
        asked = _asked(world, lines)
        text = " ".join(line.text for line in lines)
        misses += 1
        if asked and asked.optimal == length and text not in seen:
            misses = 0
            seen.add(text)
            yield Task(id=f"warehouse-{world.name}-{split}-{length}-{len(seen)}", text=text, verifier="warehouse",
                       requirements=asked.requirements)


class _Line(NamedTuple):
    """What a request says of a slip; `operation` and `text` are empty for one that it says nothing of."""

    slip: Slip
    operation: str
    text: str


def _lines(world: World, length: int, chance: random.Random, numbers: Sequence[int]) -> list[_Line]:
    """Lines of a request that may take `length` calls, and two slips of others, which are to be left alone."""
    numbers = chance.sample(numbers, length + 2)
    operations = [operation for operation in world.operations if operation in _PHRASES]
    lines: list[_Line] = []
    calls = 1
    while calls < length and (length > SINGLE or not lines):
        operation = chance.choice([*operations, "ship", "ship"])
        lines.append(_line(world, numbers.pop(), operation, chance, large=length > SINGLE))
        asked = _asked(world, lines)
        calls = asked.optimal if asked else length
    kinds = ("order", "return") if "store" in operations else ("order", "order")
    return [*lines, *(_Line(_slip(world, numbers.pop(), kind, chance), "", "") for kind in kinds)]


def _line(world: World, number: int, operation: str, chance: random.Random, *, large: bool) -> _Line:
    slip = _slip(world, number, OPERATIONS[operation].kind, chance)
    shown = str(number)
    if world.unit and "count" in world.parameters("pick") and slip.kind == "order":
        if large:
            slip = slip._replace(amount=slip.amount * world.unit.factor)
        amount = (f"{slip.amount // world.unit.factor} {world.unit.large}" if large
                  else f"{slip.amount} {world.unit.small}")
        shown = f"{number} ({amount})"
    phrase = random.Random(f"warehouse/{world.name}/{operation}").choice(_PHRASES[operation])
    text = phrase.format(slip=shown, zone=slip.zone, good=slip.good)
    return _Line(slip, operation, text)


def _slip(world: World, number: int, kind: str, chance: random.Random) -> Slip:
    return Slip(number, kind, chance.choice(world.goods), chance.randint(1, MOST), chance.choice(world.zones))


def _asked(world: World, lines: Sequence[_Line]) -> Asked | None:
    """What these lines ask for, None if the house rules forbid it."""
    start = goal = State(world.start.stock, tuple(line.slip for line in lines))
    for slip, operation, _ in lines:
        if not operation:
            continue
        what = OPERATIONS[operation]
        after = slip._replace(stage=what.next or "picked", done=() if what.next else (operation,))
        goal = goal.replaced(after, {"store": 1, "cancel": 0}.get(operation, -1))
        if operation == "ship" and world.trucks:
            goal = goal._replace(booked=tuple(sorted({*goal.booked, slip.zone})))
    actions = plan(world, start, goal)
    return None if actions is None else Asked(world, start, goal, len(actions))
