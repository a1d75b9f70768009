"""What can be done in a warehouse, before a world gives it a name of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """What a tool does.

    text: its description, with the names of its parameters filled in; parameters: what it may take; a world that
        has no carriers, say, leaves that one out
    past: what a slip is after it
    kind, stage: of the slip that it is for; kind is empty where it is for none
    next: the stage it brings the slip to; empty for a treatment, which is noted on the slip
    stock: what it adds to the stock for each piece on the slip
    """

    name: str
    text: str
    parameters: tuple[str, ...]
    past: str = ""
    kind: str = ""
    stage: str = "open"
    next: str = ""
    stock: int = 0


def _treatment(name: str, past: str, kind: str = "order", stage: str = "picked") -> Operation:
    return Operation(name, f"{name.capitalize()} {kind} {{number}}.", ("number",), past, kind, stage)


OPERATIONS = {operation.name: operation for operation in (
    Operation("pick", "Pick order {number} from the stock.", ("number", "count"), "picked", "order", next="picked",
              stock=-1),
    _treatment("wrap", "wrapped"),
    _treatment("stamp", "stamped"),
    _treatment("weigh", "weighed"),
    _treatment("cool", "cooled"),
    Operation("ship", "Ship order {number}.", ("number", "carrier", "truck"), "shipped", "order", "picked", "shipped"),
    _treatment("check", "checked", "return", "open"),
    Operation("store", "Store return {number} in the stock.", ("number",), "stored", "return", next="stored", stock=1),
    Operation("cancel", "Cancel order {number}.", ("number",), "cancelled", "order", next="cancelled"),
    Operation("book", "Book a truck to {zone}; tells its number.", ("zone",)),
    Operation("close", "Say that the work is done; ends it.", ()),
    Operation("look", "Tell how much of {good} is in stock.", ("good",)),
)}
TREATMENTS = ("wrap", "stamp", "weigh", "cool")
"""Of picked orders."""
