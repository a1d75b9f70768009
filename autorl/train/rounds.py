"""What a loop of improvement has done, as its ledger says it: one JSON value a line, only ever added to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from autorl.errors import UsageError
from autorl.settings import Settings
from autorl.train.gate import Ruling
from autorl.types import Value


class Plan(Value):
    """What the loop does.

    base: the model that is trained; chosen: how it is asked while it collects, and but for the grammar and replay, when
        it is measured
    attempts, successes: at each task of a round, at most; seeds: of the gate's episodes; the other settings have the
        first of them
    measured: which of SETTINGS are measured besides the gate's
    choose_on: learning tasks that choose between the epochs of a training by rollouts; 0 for by its held-out loss
    guided: whether attempts are (see `Agent`); what is measured never is
    """

    base: str = "local"
    rounds: int = Field(default=3, ge=1)
    attempts: int = Field(default=4, ge=1)
    successes: int = Field(default=2, ge=1)
    seed: int = 0
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    measured: tuple[Literal["constrained", "free+replay", "constrained+replay"], ...] = (
        "constrained", "free+replay", "constrained+replay")
    choose_on: int = Field(default=0, ge=0)
    guided: bool = False
    chosen: Settings


class Begun(Value):
    """The first line: what is done, from which model, and what is asked (a hash of tasks, prompts and tools)."""

    kind: Literal["begun"] = "begun"
    plan: Plan
    start: str
    asked: str


class Collected(Value):
    """Attempts at the tasks are in the store; how many of them this took, and how many passed."""

    kind: Literal["collected"] = "collected"
    round: int
    policy: str
    attempts: int
    passed: int
    seconds: float


class Trained(Value):
    """A policy was trained; chosen: how it was chosen among the epochs."""

    kind: Literal["trained"] = "trained"
    round: int
    policy: str
    chosen: str
    seconds: float


class Ruled(Value):
    """The gate has ruled."""

    kind: Literal["ruled"] = "ruled"
    round: int
    ruling: Ruling
    seconds: float


Entry = Begun | Collected | Trained | Ruled
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


def read(path: Path) -> Iterator[Entry]:
    """What the ledger of a loop holds; a last line that is still being written is left out. Raises UsageError."""
    lines = path.read_text("utf-8", "replace").splitlines(keepends=True) if path.is_file() else []
    for number, line in enumerate(lines, 1):
        if line.endswith("\n"):
            try:
                yield _ENTRY.validate_json(line)
            except ValidationError as error:
                raise UsageError(f"line {number} of {path} is damaged: {error.errors()[0]['msg']}",
                                 "Cut the file off before it: what stood from there on is done again") from error


def same(entries: Sequence[Entry], plan: Plan, asked: str, folder: Path) -> str:
    """The model that a loop began with. Raises UsageError if it is not the loop of this plan; more rounds are welcome.
    """
    first = entries[0]
    if not isinstance(first, Begun):
        raise UsageError(f"the ledger in {folder} is not one of a loop", "Name another folder with --out")
    different = [name for name in Plan.model_fields
                 if name != "rounds" and getattr(first.plan, name) != getattr(plan, name)]
    different += ["tasks, prompts or tools"] if first.asked != asked else []
    if different:
        raise UsageError(f"{folder} holds another loop: its {', '.join(different)} differ",
                         "Name another folder with --out, or ask for the same")
    return first.start
