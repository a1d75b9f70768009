"""What runs made, beside the store: one file for each content, named by its hash as in `ab/cdef...`."""

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from autorl import settings
from autorl.errors import StoreUnavailable
from autorl.types import Artifact

_TEMPORARY = ".copying-"
_UNFINISHED = 86_400.0
"""Seconds after which a copy that was begun is taken for one that its writer did not live to finish."""


def place(folder: Path, sha256: str) -> Path:
    """Where the content with that hash lies in the folder of artifacts."""
    return folder / sha256[:2] / sha256[2:]


def keep(folder: Path, source: Path, artifact: Artifact) -> None:
    """Copy the file `source`, unless its content is kept already. Raises StoreUnavailable.

    It is copied, not linked: what a tool later writes into its workspace must not reach what is kept.
    """
    target = place(folder, artifact.sha256)
    if target.exists() and target.stat().st_size == artifact.bytes:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=_TEMPORARY)
        try:
            with os.fdopen(handle, "wb") as file, source.open("rb") as original:
                shutil.copyfileobj(original, file)
                file.flush()
                os.fsync(file.fileno())
            if digest(Path(temporary)) != artifact.sha256:
                raise StoreUnavailable(f"{source} changed while it was kept", "Solve the task again")
            os.chmod(temporary, 0o444)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise StoreUnavailable(f"{source} cannot be kept in {folder}: {error.strerror or error}",
                               f"Make room in {folder}; the file is still where it was made") from error


def find(folder: Path, run: str, artifact: Artifact) -> Path | None:
    """The file of an artifact, or None. Runs of earlier versions have theirs in their workspaces only."""
    workspace = settings.home() / "runs" / run / artifact.path
    for path in (place(folder, artifact.sha256), workspace):
        try:
            if path.stat().st_size == artifact.bytes and (path != workspace or digest(path) == artifact.sha256):
                return path
        except OSError:
            continue
    return None


def problem(folder: Path, run: str, artifact: Artifact) -> str:
    """What is wrong with the file of an artifact; empty when it is what the run made."""
    path = find(folder, run, artifact)
    kept = place(folder, artifact.sha256)
    if path is None:
        return f"{kept} is missing" if not kept.exists() else f"{kept} has another length than the run made"
    return "" if digest(path) == artifact.sha256 else f"{path} is not what the run made: its hash differs"


def drop_unused(folder: Path, used: set[str]) -> tuple[int, int]:
    """Delete every kept content whose hash is not in `used`; returns how many files and bytes that were.

    Copies that nobody will finish, as their writer was killed, go too.
    """
    count = size = 0
    for path in folder.glob("??/*"):
        going_on = path.name.startswith(_TEMPORARY) and time.time() - path.stat().st_mtime < _UNFINISHED
        if going_on or path.parent.name + path.name in used:
            continue
        size += path.stat().st_size
        count += 1
        path.unlink()
    return count, size


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
