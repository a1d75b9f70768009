"""A warehouse as a pure state machine: what it holds, and what becomes of that with a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from autorl.types import Action

from .operations import OPERATIONS, Operation
from .rules import Rule


class Slip(NamedTuple):
    """An order to ship to a zone, or a return to store. amount: in the small unit; done: its treatments so far"""

    number: int
    kind: str
    good: str
    amount: int
    zone: str
    stage: str = "open"
    done: tuple[str, ...] = ()


class State(NamedTuple):
    """All that a warehouse holds. stock: of each good; booked: the zones that a truck goes to"""

    stock: tuple[tuple[str, int], ...]
    slips: tuple[Slip, ...]
    booked: tuple[str, ...] = ()

    def slip(self, number: int) -> Slip | None:
        return next((slip for slip in self.slips if slip.number == number), None)

    @property
    def begun(self) -> bool:
        return bool(self.booked) or any(slip.stage != "open" or slip.done for slip in self.slips)

    def replaced(self, slip: Slip, stock: int = 0) -> "State":
        """With this slip for the one of its number, and so much more stock for each piece on it."""
        slips = tuple(slip if other.number == slip.number else other for other in self.slips)
        held = tuple((good, n + stock * slip.amount * (good == slip.good)) for good, n in self.stock)
        return self._replace(stock=held, slips=slips)

    def to_json(self) -> dict[str, Any]:
        slips = [{**slip._asdict(), "done": list(slip.done)} for slip in self.slips]
        return {"stock": dict(self.stock), "slips": slips, "booked": list(self.booked)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "State":
        slips = tuple(Slip(**{**slip, "done": tuple(slip["done"])}) for slip in value["slips"])
        return cls(tuple(value["stock"].items()), slips, tuple(value["booked"]))


class Outcome(NamedTuple):
    """What came of a call: the state after it, what the agent is told, and whether it was carried out."""

    state: State
    text: str
    ok: bool


class Unit(NamedTuple):
    small: str
    large: str
    factor: int


NUMBERS = range(11, 100)
"""That slips and trucks may have."""
MOST = 9
"""Pieces on a slip, in the unit that the request counts in."""


class Refused(Exception):
    """A call that changes nothing, and why."""


@dataclass(frozen=True)
class World:
    """The warehouse of a seed: what its things are called, and what its house rules are. All of it is invented.

    words: tools and parameters by their meaning; operations: its tools by their meaning, in the order of the list
    trucks: the number of the truck to each zone, where trucks are booked
    start: how a day begins where a task does not say it
    """

    name: str
    words: Mapping[str, str]
    operations: tuple[str, ...]
    goods: tuple[str, ...]
    zones: tuple[str, ...]
    carriers: tuple[str, ...]
    trucks: Mapping[str, int]
    unit: Unit | None
    rules: tuple[Rule, ...]
    start: State

    @cached_property
    def _meanings(self) -> dict[str, str]:
        return {word: meaning for meaning, word in self.words.items()}

    def word(self, meaning: str) -> str:
        return self.words[meaning]

    def parameters(self, operation: str) -> tuple[str, ...]:
        """What the tool takes in this world, by meaning."""
        absent = {name for name, there in (("carrier", self.carriers), ("truck", self.trucks), ("count", self.unit))
                  if not there}
        return tuple(name for name in OPERATIONS[operation].parameters if name not in absent)

    def description(self, operation: str) -> str:
        """What the tool's description says: what it does, and the rules that are told."""
        text = OPERATIONS[operation].text.format_map(self.words)
        return " ".join([text, *(rule.telling(self, operation) for rule in self.rules if rule.told)]).strip()

    def action(self, operation: str, **call: Any) -> Action:
        """A call with arguments by their meaning; those that the tool does not take here are left out."""
        taken = {self.word(name): call[name] for name in self.parameters(operation)}
        return Action(name=self.word(operation), arguments=taken)

    def choices(self, state: State, operation: str) -> bool | dict[str, list[Any]]:
        """Whether the tool could do anything as things stand, or with which values. The house rules are not asked."""
        what = OPERATIONS[operation]
        if what.kind:
            return {self.word("number"): [slip.number for slip in state.slips if slip.kind == what.kind
                                          and slip.stage == what.stage and operation not in slip.done]}
        if operation == "book":
            return {self.word("zone"): [zone for zone in self.zones if zone not in state.booked]}
        return operation != "close" or state.begun

    def apply(self, state: State, action: Action) -> Outcome:
        """Carry out a call of one of this world's tools, with all of its arguments. A refused one changes nothing."""
        operation = OPERATIONS[self._meanings[action.name]]
        call = {self._meanings[name]: value for name, value in action.arguments.items()}
        try:
            return self._on_slip(state, operation, call) if operation.kind else self._on_none(state, operation, call)
        except Refused as refusal:
            return Outcome(state, str(refusal), False)

    def _on_slip(self, state: State, operation: Operation, call: Mapping[str, Any]) -> Outcome:
        slip = state.slip(call["number"])
        if slip is None or slip.kind != operation.kind:
            raise Refused(f"there is no {operation.kind} {call['number']}")
        name = f"{slip.kind} {slip.number}"
        if slip.stage == "open" != operation.stage:
            raise Refused(f"{name} must be picked first. Next: {self.word('pick')}")
        if slip.stage != operation.stage:
            raise Refused(f"{name} is {slip.stage} already")
        if operation.name in slip.done:
            raise Refused(f"{name} is {operation.past} already")
        for rule in self.rules:
            if why := rule.refusal(self, state, slip, operation.name, call):
                raise Refused(why)
        if operation.next:
            slip = slip._replace(stage=operation.next, done=())
        else:
            slip = slip._replace(done=tuple(sorted((*slip.done, operation.name))))
        return Outcome(state.replaced(slip, operation.stock), f"{name.capitalize()} is {operation.past}.", True)

    def _on_none(self, state: State, operation: Operation, call: Mapping[str, Any]) -> Outcome:
        if operation.name == "look":
            return Outcome(state, f"{dict(state.stock)[call['good']]} {call['good']} in stock.", True)
        if operation.name == "close":
            if not state.begun:
                raise Refused("nothing is done yet")
            return Outcome(state, "Done.", True)
        zone = call["zone"]
        if zone in state.booked:
            raise Refused(f"truck {self.trucks[zone]} is booked to {zone} already")
        booked = tuple(sorted((*state.booked, zone)))
        return Outcome(state._replace(booked=booked), f"Truck {self.trucks[zone]} is booked to {zone}.", True)
