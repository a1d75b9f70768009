"""Replays a session through two sides and compares what they did, turn by turn.

What counts is what the gold calls changed: each attribute of the reference's deck that a call of the turn gave another
value. Where an object was put when it was made is the function's own choice and does not count, where it was moved to
does; of what was made it counts that it is wholly on the slide.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .functions import BESIDE, FUNCTIONS, Nothing, Side, carry_out
from .reading import GEOMETRY, LOOKS, Attributes, Key, beyond, same, stays
from .sessions import Call, Session

Deck = Callable[[], Attributes]
"""Reads a side's deck as it is now."""


@dataclass(frozen=True)
class Change:
    """An attribute that gold changed in a turn. group: of the function that did"""

    key: Key
    value: Any
    group: str
    present: bool

    @property
    def is_geometry(self) -> bool:
        return self.key.attribute in GEOMETRY or " of " in self.key.attribute


@dataclass(frozen=True)
class Outcome:
    """What came of a turn.

    extra: what changed beyond gold; refused: calls that were not carried out, and why; stood_in: whether a text box
    was taken for the content that it says
    """

    session: str
    turn: int
    calls: int
    changes: tuple[Change, ...]
    extra: tuple[Key, ...]
    refused: tuple[tuple[Call, str], ...] = ()
    stood_in: bool = False

    @property
    def strict(self) -> bool:
        return all(change.present for change in self.changes) and not self.extra


@dataclass
class Gold:
    """What the reference's deck held at the end of a turn, and what its calls did.

    wanted: the keys that they changed, with the groups of the functions; free: keys that they changed only as it
    came; idle: calls that changed nothing, for what they are about was not there
    """

    after: Attributes
    wanted: dict[Key, str] = field(default_factory=dict)
    free: set[Key] = field(default_factory=set)
    idle: list[Call] = field(default_factory=list)


def gold_of(session: Session, side: Side, deck: Deck) -> list[Gold]:
    """The reference's replay. Raises ValueError for a call that PPTC does not know."""
    found = []
    before = deck()
    for turn in session.turns:
        gold = Gold(before)
        for call in turn.calls:
            try:
                carry_out(call, side)
            except Nothing:
                gold.idle.append(call)
            gold.after = deck()
            changed = set(_changed(before, gold.after, near=0))
            wanted = _wanted(call, changed, before, gold.after)
            gold.wanted |= dict.fromkeys(wanted, FUNCTIONS[call.name].group)
            gold.free |= changed
            before = gold.after
        found.append(gold)
    return found


def _changed(before: Attributes, after: Attributes, **near: float) -> Iterable[Key]:
    return (key for key in before.keys() | after.keys()
            if not stays(key.attribute, before.get(key), after.get(key), **near))


def _wanted(call: Call, changed: Iterable[Key], before: Attributes, after: Attributes) -> Iterable[Key]:
    """Of what a call changed, that which was asked for."""
    for key in sorted(changed):
        made = Key(key.slide, key.object, "exists") not in before
        if key.attribute == "inside":
            if after.get(key):  # nobody asks for what runs off the slide
                yield key
        elif key.attribute in ("across", "down") and call.name in BESIDE:
            relation = Key(key.slide, key.object, f"{call.name.removeprefix('set_')} of {call.arguments[1]} 1")
            yield relation if _holds(relation, after, after) else key
        elif key.attribute not in GEOMETRY or not made:
            yield key


def outcomes(session: Session, gold: Sequence[Gold], side: Side, deck: Deck,
             failures: type[Exception] | tuple[type[Exception], ...] = ()) -> list[Outcome]:
    """What `side` makes of the session, beside gold. failures: what it raises for a call that it cannot carry out"""
    found = []
    before = deck()
    for number, (turn, wanted) in enumerate(zip(session.turns, gold, strict=True), start=1):
        refused = []
        for call in turn.calls:
            try:
                carry_out(call, side)
            except Nothing as nothing:
                if call not in wanted.idle:
                    refused.append((call, str(nothing)))
            except failures as failure:
                refused.append((call, str(failure)))
        seen = deck()
        after = with_stand_ins(seen, wanted.after)
        found.append(Outcome(session.name, number, len(turn.calls), _compared(wanted, after),
                             tuple(_extra(wanted, before, after)), tuple(refused), after != seen))
        before = after
    return found


def with_stand_ins(found: Attributes, gold: Attributes) -> Attributes:
    """`found`, with a text box that says what gold's content says named as that, where there is no content.

    Whoever looks at the slide reads the same.
    """
    for slide, name in sorted({key[:2] for key in gold if key.object.startswith("content ")}):
        said = gold.get(Key(slide, name, "text"))
        boxes = [key.object for key, value in found.items()
                 if key.slide == slide and key.object.startswith("textbox ") and key.attribute == "text"]
        stands = next((box for box in boxes if found[Key(slide, box, "text")] == said), None)
        if stands is None or Key(slide, name, "exists") in found:
            continue
        others = {box: f"textbox {n}" for n, box in enumerate((box for box in boxes if box != stands), start=1)}
        names = {stands: name, **others}
        found = {Key(key.slide, names.get(key.object, key.object) if key.slide == slide else key.object, key.attribute):
                 value for key, value in found.items()}
    return found


def _compared(gold: Gold, after: Attributes) -> tuple[Change, ...]:
    return tuple(Change(key, gold.after.get(key), group, _holds(key, gold.after, after))
                 for key, group in gold.wanted.items())


def _holds(key: Key, gold: Attributes, after: Attributes) -> bool:
    side, related, other = key.attribute.partition(" of ")
    if related:
        return beyond(after, key.slide, key.object, side, other)
    return same(key.attribute, gold.get(key), after.get(key))


def _extra(gold: Gold, before: Attributes, after: Attributes) -> Iterable[Key]:
    for key in sorted(set(_changed(before, after)) - gold.wanted.keys() - gold.free):
        bearer = Key(key.slide, key.object, "text" if key.attribute in LOOKS else "exists")
        if bearer in before or key.attribute in ("exists", "text"):  # how a new thing looks is no change of it
            yield key


def share(parts: Sequence[tuple[int, int]]) -> float:
    """The share of hits in (hits, of)."""
    return sum(hits for hits, _ in parts) / max(sum(of for _, of in parts), 1)


def interval(by_session: Sequence[Sequence[tuple[int, int]]], samples: int = 2000, seed: int = 0) -> list[float]:
    """The 95 % interval of a share, by a bootstrap over sessions."""
    totals = [(sum(h for h, _ in one), sum(n for _, n in one)) for one in by_session]
    rng = random.Random(seed)
    drawn = sorted(share(rng.choices(totals, k=len(totals))) for _ in range(samples))
    return [drawn[int(0.025 * samples)], drawn[int(0.975 * samples) - 1]]
