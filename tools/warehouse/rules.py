"""House rules as values: each refuses some calls, and says which rule that is and how to keep it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .operations import OPERATIONS

if TYPE_CHECKING:
    from .world import Slip, State, World


class Rule(Protocol):
    """told: whether a tool's description tells it; a rule that is not told is learned from its error."""

    told: bool

    def refusal(self, world: "World", state: "State", slip: "Slip", operation: str, call: Mapping[str, Any]) -> str:
        """Why this rule forbids the call, empty where it does not. `call` holds the arguments by their meaning."""
        ...

    def telling(self, world: "World", operation: str) -> str:
        """What the description of a tool says of this rule, empty where it is about other tools."""
        ...


@dataclass(frozen=True)
class Treated:
    """Some slips, and they alone, are treated before an operation: those to some zones, or with some goods.

    by: which field of a slip decides, zone or good; codes: its values that ask for the treatment
    """

    operation: str
    treatment: str
    by: str
    codes: tuple[str, ...]
    told: bool

    def refusal(self, world: "World", state: "State", slip: "Slip", operation: str, call: Mapping[str, Any]) -> str:
        code = getattr(slip, self.by)
        past = OPERATIONS[self.treatment].past
        if operation == self.operation and code in self.codes and self.treatment not in slip.done:
            return f"{slip.kind} {slip.number} must be {past} first. Next: {world.word(self.treatment)}"
        if operation == self.treatment and code not in self.codes:
            return f"what is for {code} is not {past}" if self.by == "zone" else f"{code} is not {past}"
        return ""

    def telling(self, world: "World", operation: str) -> str:
        what = "For" if self.by == "zone" else "With"
        past = OPERATIONS[self.treatment].past
        return f"{what} {' and '.join(self.codes)} it must be {past} first." if operation == self.operation else ""


@dataclass(frozen=True)
class CarrierOfZone:
    """Each zone has its carrier."""

    carriers: tuple[tuple[str, str], ...]
    told: bool

    def refusal(self, world: "World", state: "State", slip: "Slip", operation: str, call: Mapping[str, Any]) -> str:
        right = dict(self.carriers)[slip.zone] if operation == "ship" else ""
        return f"{world.word('carrier')} for {slip.zone} is {right}" if right and call["carrier"] != right else ""

    def telling(self, world: "World", operation: str) -> str:
        each = ", ".join(f"{carrier} for {zone}" for zone, carrier in self.carriers)
        return f"{world.word('carrier')} is {each}." if operation == "ship" else ""


@dataclass(frozen=True)
class TruckBooked:
    """What is shipped goes with a truck that was booked to its zone."""

    told: bool

    def refusal(self, world: "World", state: "State", slip: "Slip", operation: str, call: Mapping[str, Any]) -> str:
        if operation != "ship":
            return ""
        if slip.zone not in state.booked:
            return f"no truck is booked to {slip.zone}. Next: {world.word('book')}"
        right = world.trucks[slip.zone]
        return "" if call["truck"] == right else f"{world.word('truck')} for {slip.zone} is {right}"

    def telling(self, world: "World", operation: str) -> str:
        return f"{world.word('truck')}: the number that {world.word('book')} tells." if operation == "ship" else ""


@dataclass(frozen=True)
class CountedInSmall:
    """What is picked is counted in the small unit, whatever the request counts in."""

    told: bool

    def refusal(self, world: "World", state: "State", slip: "Slip", operation: str, call: Mapping[str, Any]) -> str:
        if operation != "pick" or call["count"] == slip.amount:
            return ""
        assert world.unit is not None
        return (f"{world.word('count')} of order {slip.number} is {slip.amount} {world.unit.small}; "
                f"{self._factor(world)}")

    def telling(self, world: "World", operation: str) -> str:
        return f"{world.word('count')} in {world.unit.small}; {self._factor(world)}." if operation == "pick" else ""

    def _factor(self, world: "World") -> str:
        return f"1 {world.unit.large} is {world.unit.factor} {world.unit.small}"
