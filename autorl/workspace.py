"""The one folder that a run may write to, and the folders it may read."""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from autorl.errors import ToolError
from autorl.types import Artifact

_TEMPORARY = ".writing-"
_RESTS = 20
"""A file that is written over and over is written again after this many times as long as its last write took."""


class Workspace:
    """A folder for one run.

    root: made if it is not there; everything a tool writes lies below it
    readable: further folders that tools may read from, and never write to
    documents: parsed files that tools keep between calls, by name; only a cache of what lies on disk
    """

    def __init__(self, root: Path, readable: Sequence[Path] = ()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.readable = tuple(folder.resolve() for folder in readable)
        self.documents: dict[str, Any] = {}
        self._pending: dict[str, Callable[[], object]] = {}
        self._due: dict[str, float] = {}

    def clear(self) -> None:
        """Begin with nothing: what another store's run of the same name left here goes into a folder beside it."""
        if any(self.root.iterdir()):
            self.root.rename(self.root.with_name(f"{self.root.name}.before-{time.time_ns():x}"))
            self.root.mkdir()

    def path(self, name: str, *, write: bool = False) -> Path:
        """Where `name` lies. It is resolved first, then checked.

        Raises ToolError if it leaves the workspace (by `..`, an absolute name, a symlink or a drive
        letter) or, for reading, the readable folders as well.
        """
        if not name.strip() or "\x00" in name or len(name) > 1000:
            raise ToolError(f"{name[:60]!r} is not a file name")
        if PureWindowsPath(name).drive:
            raise ToolError(f"'{name}' names a drive", "Use a name inside the workspace, such as 'deck.pptx'")
        try:
            path = (self.root / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # what no file system takes; a link to itself
            raise ToolError(f"{name[:60]!r} is not a file name: {error}") from error
        if not write:
            self.settle()
        for root in (self.root,) if write else (self.root, *self.readable):
            if path.is_relative_to(root) and (path != root or not write):
                return path
        verb = "written" if write else "read"
        raise ToolError(f"'{name}' is outside the workspace and may not be {verb}",
                        "Use a relative name such as 'notes.txt'")

    def write(self, name: str, data: bytes) -> Path:
        """Replace the file `name` by `data` in one move, so that a reader never sees half of it."""
        path = self.path(name, write=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.chmod(temporary, 0o644)
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise ToolError(f"'{name}' could not be written: {error.strerror or error}") from error
        return path

    def write_soon(self, name: str, save: Callable[[], object]) -> None:
        """Call `save`, which writes the file `name`, now or, if that was done a moment ago, with the next `settle`.

        So that a thousand changes in a row do not write a large file a thousand times. The loop settles after
        every action, so a run never goes on with anything unwritten.
        """
        self._pending[name] = save
        if time.monotonic() >= self._due.get(name, 0.0):
            self._settle(name)

    def pending(self, name: str) -> bool:
        """Whether the file `name` waits for the next `settle`."""
        return name in self._pending

    def cancel(self, name: str) -> None:
        """Drop what waits for the file `name`."""
        self._pending.pop(name, None)

    def settle(self) -> None:
        """Write what waits. Raises ToolError if that fails; the parsed files are forgotten, so that disk counts."""
        for name in list(self._pending):
            self._settle(name)

    def _settle(self, name: str) -> None:
        started = time.monotonic()
        try:
            self._pending.pop(name)()
        except BaseException:
            self.documents.clear()
            raise
        done = time.monotonic()
        self._due[name] = done + _RESTS * (done - started)

    def artifacts(self) -> tuple[Artifact, ...]:
        """Every file of the workspace with its hash, in the order of their names."""
        self.settle()
        files = sorted(p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink())
        found = []
        for path in files:
            if path.name.startswith(_TEMPORARY):
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            name = path.relative_to(self.root).as_posix()
            found.append(Artifact(path=name, sha256=digest, bytes=path.stat().st_size))
        return tuple(found)


def file_name(text: str, suffix: str) -> str:
    """A short, safe file name made from `text`, such as `honey-bees.pptx`."""
    words = re.sub(r"[^\w]+", "-", text.lower()[:200]).strip("-_")
    return f"{words[:60].rstrip('-') or 'untitled'}{suffix}"
