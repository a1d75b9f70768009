"""What has been done of a grid: one JSON value a line, only ever added to, and on disk before it counts."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from autorl.bench.spec import Cell
from autorl.errors import StoreUnavailable, UsageError
from autorl.types import Recalled, Status, Usage, Value


def _now() -> datetime:
    return datetime.now(UTC)


class Episode(Value):
    """How the episode of a cell went; `run` names it in the store of all runs, where the rest stands.

    verified: passed by its verifier; score: what that gave, None without one
    recallable: verified, finished, and not tainted: what a store may show to others
    produced: whether at least one file of the kind that was asked for came out and opens; None where none is asked for
    nats, rated: minus the log-probability of what the policy wrote, and of how many tokens; 0 where it is not known
    steps: completions; optimal: how many it takes, None where the task does not say
    seconds: of the run itself; wall: with recall before it, and verification and keeping after it
    died: what the framework or the model failed with, if that ended the run
    """

    kind: Literal["episode"] = "episode"
    cell: Cell
    run: str
    status: Status
    reason: str = ""
    verified: bool
    recallable: bool
    score: float | None = None
    produced: bool | None = None
    nats: float = 0.0
    rated: int = 0
    steps: int = 0
    optimal: int | None = None
    usage: Usage = Usage()
    seconds: float = 0.0
    wall: float = 0.0
    recalled: tuple[Recalled, ...] = ()
    died: str = ""
    when: datetime = Field(default_factory=_now)


class Session(Value):
    """That a process began to work on the grid, and with what: equal marks, equal prompts, tools and code."""

    kind: Literal["session"] = "session"
    autorl: str
    marks: dict[str, str]
    concurrency: int
    when: datetime = Field(default_factory=_now)


Outcome = Literal["complete", "budget", "interrupted", "failed"]


class Ending(Value):
    """That a process stopped to work on the grid, and why; without one it was killed.

    lost: tokens of the episodes that were under way, which will be run anew
    """

    kind: Literal["ending"] = "ending"
    status: Outcome
    why: str = ""
    lost: int = 0
    when: datetime = Field(default_factory=_now)


Entry = Episode | Session | Ending
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class Ledger:
    """The ledger of a run, opened to write; one process at a time.

    What a killed process left half-written at its end is cut off. Raises UsageError if another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise UsageError(f"another process is at work in {path.parent}", "Wait for it, or end it") from error
        os.ftruncate(self._file, path.read_bytes().rfind(b"\n") + 1)

    def add(self, entries: Sequence[Value]) -> None:
        """Write these, all or none, and return when they are on disk. Raises StoreUnavailable."""
        before = os.fstat(self._file).st_size
        lines = "".join(f"{entry.model_dump_json()}\n" for entry in entries).encode()
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise StoreUnavailable(f"{self.path} cannot be written: {error.strerror}",
                                   "Make room on its disk; what it holds is safe") from error

    def close(self) -> None:
        os.close(self._file)


def held(path: Path) -> bool:
    """Whether a process writes the ledger at `path`."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def read(path: Path) -> Iterator[Entry]:
    """What a ledger holds; a last line that is still being written is left out.

    Nothing where there is no ledger yet. Raises UsageError for one that cannot be read or a line that is no entry.
    """
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if line.endswith("\n"):
                    yield _entry(path, number, line)
    except OSError as error:
        raise UsageError(f"the ledger {path} cannot be read: {error.strerror}") from error


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        return _ENTRY.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"line {number} of the ledger {path} is damaged: {first['msg']}",
                         "Cut the file off before it: what stood from there on is run anew by a resume") from error
