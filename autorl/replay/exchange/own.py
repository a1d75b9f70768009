"""Our own form, which loses nothing: one line for the store, one for each run, and one that tells how many there were.

A run's line is a `Kept` (batches.py) with the name of the form. Not in it: files, which are copied beside it when
asked for, embeddings, which are made again, and what a store notes of its own processes.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from autorl.replay.batches import Kept
from autorl.replay.exchange.lines import BadRow, write_json
from autorl.replay.schema import records
from autorl.types import Status, Trajectory, Value

FORM = "autorl@1"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 2**31
T = TypeVar("T", bound=Value)


class Policy(Value):
    """A row of `policies`."""

    id: str = Field(min_length=1, max_length=64)
    base: str
    adapter: str | None = None
    parent: str | None = None
    dataset: str = ""
    gate: str | None = None
    created: datetime
    deleted: datetime | None = None


class Store(Value):
    """What a store knows beside its runs: caps of sources, policies, and how those fared that were shown a seed."""

    sources: dict[str, Annotated[int, Field(ge=0, lt=_MOST)] | None] = Field(default_factory=dict)
    policies: tuple[Policy, ...] = ()
    records: dict[str, dict[str, int | float]] = Field(default_factory=dict)


class End(Value):
    """The last line: how many runs stand before it."""

    runs: int


def begin(store: Store) -> dict[str, Any]:
    return {"form": FORM, "store": store.model_dump(mode="json")}


def line(kept: Kept) -> bytes:
    return b'{"form":"' + FORM.encode() + b'",' + kept.model_dump_json().encode()[1:]


def end(runs: int) -> dict[str, Any]:
    return {"form": FORM, "end": {"runs": runs}}


def read(row: dict[str, Any]) -> Store | Kept | End:
    """What a line of our form says. Raises BadRow."""
    if row["form"] != FORM:
        raise BadRow(f"it is of the form '{row['form']}', made by another version of autorl; this one reads '{FORM}'")
    parts = {name: value for name, value in row.items() if name != "form"}
    try:
        if "store" in parts:
            store = _typed(Store, parts["store"])
            for record in store.records.values():
                _sound(record)
            return store
        if "end" in parts:
            return _typed(End, parts["end"])
        kept = _typed(Kept, parts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f", and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise BadRow(f"{where}: {first['msg']}{more}") from error
    check(kept.run)
    _sound(kept.record)
    last = kept.verdicts[-1].verdict if kept.verdicts else None
    if kept.run.verdict not in (None, last):
        raise BadRow("its run has a verdict that is not among its verdicts")
    if not kept.pruned and kept.length > len(kept.run.steps):
        raise BadRow(f"it tells of {kept.length} steps and has {len(kept.run.steps)}")
    return kept.model_copy(update={"run": kept.run.model_copy(update={"verdict": None})})


def _typed(kind: type[T], value: Any) -> T:
    # Strictly, as JSON: "nan" is no number, and would be none when it is read again.
    return kind.model_validate_json(write_json(value), strict=True)


def check(run: Trajectory) -> None:
    """Raises BadRow for what no run that ended can say of itself, and for names that would lead out of a folder."""
    if not run.id or set(run.id) & {"/", "\\"} or run.id.startswith(".") or not run.id.isprintable():
        raise BadRow(f"the run id {run.id[:80]!r} can be no name of a folder")
    if run.status is Status.RUNNING:
        raise BadRow("its run has not ended")
    for index, step in enumerate(run.steps):
        if step.index != index:
            raise BadRow(f"step {index} of its run says that it is step {step.index}")
        if step.observation is None and step is not run.steps[-1]:
            raise BadRow(f"step {index} of its run has no observation, and others follow")
    for artifact in run.artifacts:
        path = PurePosixPath(artifact.path)
        if path.is_absolute() or ".." in path.parts or "\\" in artifact.path or not path.parts:
            raise BadRow(f"the file {artifact.path[:80]!r} is not inside the folder of its run")
        if not _SHA256.fullmatch(artifact.sha256) or not 0 <= artifact.bytes < 2**63:
            raise BadRow(f"the file {artifact.path[:80]!r} has no SHA-256 or no size")
    if len({artifact.path for artifact in run.artifacts}) < len(run.artifacts):
        raise BadRow("it names a file twice")
    ranks = {recalled.rank for recalled in run.recalled if 0 <= recalled.rank < _MOST}
    if len(ranks) < len(run.recalled):
        raise BadRow("the ranks of what it was shown are not 0, 1, 2, ...")


def _sound(record: Mapping[str, int | float]) -> None:
    for name, value in record.items():
        if name not in records.c or not -_MOST < value < _MOST:
            raise BadRow(f"{value!r} is nothing that a record can have as its '{name[:40]}'")
