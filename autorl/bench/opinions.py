"""Who thinks what of the decks: people's orders and judges' answers, a JSON value a line, only ever added to."""

import fcntl
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from autorl.bench.ledger import Episode
from autorl.bench.spec import Size, Spec
from autorl.errors import StoreUnavailable
from autorl.types import Value
from autorl.verify.judge import Said

OPINIONS = "opinions.jsonl"
LONGEST_NAME = 60


class Sheet(Value):
    """What is compared: what each setting made of one task, with one seed, at one size of the store."""

    model: str
    size: Size
    task: str
    seed: int


Decks = dict[str, Episode]
"""The episodes of a sheet, by setting."""


def sheets(spec: Spec, episodes: Iterable[Episode]) -> dict[Sheet, Decks]:
    """All sheets with something to compare. A setting that recalls nothing is on those of every size."""
    found: dict[Sheet, Decks] = {}
    for episode in episodes:
        cell = episode.cell
        if cell.phase == "held-out":
            for size in spec.sizes if cell.size is None else (cell.size,):
                sheet = Sheet(model=cell.model, size=size, task=cell.task, seed=cell.seed)
                found.setdefault(sheet, {})[cell.setting] = episode
    order = list(spec.settings)
    return {sheet: {name: decks[name] for name in order if name in decks}
            for sheet, decks in found.items() if len(decks) > 1}


def _now() -> datetime:
    return datetime.now(UTC)


class Order(Value):
    """A person's order of a sheet. The newest one of a person counts, once they are done with it.

    groups: settings, the best first; those of one group are tied; runs: what was seen of each of them
    """

    kind: Literal["order"] = "order"
    ranker: str = Field(min_length=1, max_length=LONGEST_NAME)
    sheet: Sheet
    groups: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = Field(min_length=1)
    runs: dict[str, str]
    done: bool
    when: datetime = Field(default_factory=_now)

    @model_validator(mode="after")
    def _each_once(self) -> "Order":
        if sorted(name for group in self.groups for name in group) != sorted(self.runs):
            raise ValueError("the groups do not hold each of the runs once")
        return self

    @property
    def scores(self) -> dict[str, float]:
        """Higher is better, equal for those that are tied."""
        return {name: -float(rank) for rank, group in enumerate(self.groups) for name in group}


Sees = Literal["pictures", "words"]


class Judge(Value):
    """Who judged. sees: pictures, or words alone; rubric: a hash of what it was asked with"""

    model: str
    sees: Sees
    rubric: str

    def __str__(self) -> str:
        return f"{self.model}, seeing {self.sees}, rubric {self.rubric[:6]}"


class Control(Value):
    """What a judge said of a clean slide and of the same one with a planted defect."""

    kind: Literal["control"] = "control"
    judge: Judge
    defect: str
    pair: str
    said: Said
    when: datetime = Field(default_factory=_now)


class Vote(Value):
    """What a judge said of two settings' decks, in both orders: `A` is the first of `settings`."""

    kind: Literal["vote"] = "vote"
    judge: Judge
    sheet: Sheet
    settings: tuple[str, str]
    runs: tuple[str, str]
    said: Said
    when: datetime = Field(default_factory=_now)


Opinion = Order | Control | Vote
_OPINION: TypeAdapter[Opinion] = TypeAdapter(Annotated[Opinion, Field(discriminator="kind")])


def add(folder: Path, opinions: Sequence[Opinion]) -> None:
    """Write these beside the run in `folder`, and return when they are on disk. Several processes may do so at once.

    Raises StoreUnavailable.
    """
    path = folder / OPINIONS
    lines = "".join(f"{opinion.model_dump_json()}\n" for opinion in opinions).encode("utf-8", "replace")
    try:
        with path.open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.seek(0, os.SEEK_END)
            if before and os.pread(file.fileno(), 1, before - 1) != b"\n":
                lines = b"\n" + lines  # after what a killed process left
            try:
                while lines:
                    lines = lines[file.write(lines) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}",
                               "Make room on its disk; what it holds is safe") from error


def read(folder: Path) -> tuple[list[Opinion], list[str]]:
    """What is written beside the run in `folder`; and what each line is wrong with that holds no opinion.

    Raises StoreUnavailable if it cannot be read.
    """
    path = folder / OPINIONS
    if not path.exists():
        return [], []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from error
    found, wrong = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_OPINION.validate_json(line))
            except ValidationError as error:
                wrong.append(f"line {number} of {OPINIONS} holds no opinion: {error.errors()[0]['msg']}")
    return found, wrong
