"""What lies in a workspace: measured while a script runs, and put in order after it."""

import os
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import NamedTuple

_LONGEST = 1000
"""Characters of a name below the workspace, its folders included."""


class Entry(NamedTuple):
    """A file or folder: its mode, the bytes it takes, and when it was last changed."""

    mode: int
    bytes: int
    changed: int


Entries = Mapping[str, Entry]


def look(root: Path) -> dict[str, Entry]:
    """All that lies below `root`, by name, folders before what is in them. Follows no link.

    Raises OSError for a folder that shuts out its owner, and for a nest of folders that is too deep.
    """
    return dict(_walk(root))


def _walk(root: Path) -> Iterator[tuple[str, Entry]]:
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        if len(folder) > _LONGEST:
            raise OSError(f"folders are nested too deep at '{folder[:40]}...'")
        try:
            found = list(os.scandir(root / folder))
        except (FileNotFoundError, NotADirectoryError):  # removed meanwhile, as a file may be below
            continue
        for each in found:
            name = f"{folder}{each.name}"
            try:
                status = each.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append(f"{name}/")
                if status.st_mode & 0o500 != 0o500:  # told to root too, whom it would not shut out
                    raise OSError(f"the mode of '{name[-40:]}' shuts out its owner")
            size = max(status.st_size, status.st_blocks * 512)  # a file may have holes, or more blocks than it shows
            yield name, Entry(status.st_mode, size, status.st_ctime_ns)


def excess(root: Path, before: Entries, most_files: int, most_bytes: int) -> str:
    """What is too much below `root`, compared with `before`, in words; "" if nothing is."""
    try:
        now = look(root)
    except OSError as error:
        return f"the workspace cannot be looked through: {error}"
    files = len(now) - len(before)
    size = sum(entry.bytes for entry in now.values()) - sum(entry.bytes for entry in before.values())
    if files > most_files:
        return f"it made {files} files and folders; the limit is {most_files}"
    if size > most_bytes:
        return f"its files take {size >> 20} MB; the limit is {most_bytes >> 20} MB"
    return ""


def undo(root: Path, before: Entries) -> int:
    """Remove all that is new since `before`; how many files and whole folders that were."""
    folders = [root, *(root / name for name, entry in before.items() if stat.S_ISDIR(entry.mode))]
    # A folder that was there may have become a link since.
    new = [each.path for folder in folders if folder.is_dir() and Path(os.path.realpath(folder)) == folder
           for each in os.scandir(folder) if str(Path(each.path).relative_to(root)) not in before]
    _remove(root, new)
    return len(new)


def tidy(root: Path, before: Entries) -> tuple[dict[str, int], list[str]]:
    """Remove what a file of the workspace must not be; the new and changed files with their bytes, and what went.

    Links that lead out would lead the next tool out, a pipe or a device would hold it up, and a name that is no text
    cannot be stored.
    """
    files: dict[str, int] = {}
    gone: list[str] = []
    for name, entry in look(root).items():
        path, old = root / name, before.get(name)
        if stat.S_ISDIR(entry.mode):
            if (old is None or old.mode != entry.mode) and entry.mode & 0o700 != 0o700:
                path.chmod(0o700)  # or what is in it could not be removed
            continue
        if entry == old:
            continue
        link_inside = stat.S_ISLNK(entry.mode) and Path(os.path.realpath(path)).is_relative_to(root)
        unwritable = any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        if unwritable or not (stat.S_ISREG(entry.mode) or link_inside):
            path.unlink()
            gone.append(ascii(name))
            continue
        if entry.mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(entry.mode & 0o777)
        if not link_inside:
            files[name] = path.stat().st_size
    return files, gone


def _remove(root: Path, paths: Iterable[str]) -> None:
    """Remove trees of any depth: every folder is moved to the top first, for no path can name the deepest ones."""
    top = Path(tempfile.mkdtemp(dir=root, prefix=".removing-"))
    waiting, numbers = list(paths), count()
    while waiting:
        path = waiting.pop()
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o700)
            os.rename(path, moved := top / str(next(numbers)))
            waiting += [each.path for each in os.scandir(moved)]
        else:
            os.unlink(path)
    for each in list(os.scandir(top)):
        os.rmdir(each)
    top.rmdir()
