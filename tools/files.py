"""Text files: those of the run's workspace, and those in the folders that the user lets it read."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import Pack, RunContext, tool
from autorl.workspace import Workspace

_MOST_FILES = 200
_MOST_HITS = 50
_MOST_LINES = 200
_MOST_CHARACTERS = 3_500  # below the limit of an observation, so that nothing is cut from the middle
_LARGEST_SEARCHED = 2_000_000
_LARGEST_READ = 20_000_000
_LINE_SHOWN = 200

Name = Annotated[str, Field(min_length=1, max_length=500)]


@tool(read_only=True)
def list_files(context: RunContext) -> str:
    """List the files that can be read."""
    workspace = context.workspace
    found = list(islice(_files(workspace), _MOST_FILES + 1))
    lines = [f"{_shown(path, workspace)} ({_size(path)} bytes)" for path in found[:_MOST_FILES]]
    if len(found) > _MOST_FILES:
        lines.append(f"... and more; only the first {_MOST_FILES} are listed. Use search_files")
    return "\n".join(lines) or "There are no files."


@tool(read_only=True)
def read_file(
    name: Name,
    context: RunContext,
    first_line: Annotated[int, Field(ge=1)] = 1,
) -> str:
    """Read a text file.

    name: as list_files gives it
    first_line: where to start
    """
    path = _existing(name, context.workspace)
    lines = _text(path, name).splitlines()
    if first_line > max(len(lines), 1):
        raise ToolError(f"'{name}' has {len(lines)} lines, so there is no line {first_line}",
                        f"Give a first_line from 1 to {max(len(lines), 1)}")
    shown: list[str] = []
    room = _MOST_CHARACTERS
    for line in lines[first_line - 1:first_line - 1 + _MOST_LINES]:
        if shown and len(line) + 1 > room:
            break
        shown.append(line if len(line) <= room else f"{line[:room]} [line cut, {len(line)} characters long]")
        room -= len(line) + 1
    following = first_line + len(shown)
    if following <= len(lines):
        shown.append(f"[lines {first_line} to {following - 1} of {len(lines)}; go on with first_line={following}]")
    return "\n".join(shown) or f"'{name}' is empty."


@tool
def write_file(name: Name, text: Annotated[str, Field(max_length=100_000)], context: RunContext) -> str:
    """Write a text file, replacing what it held.

    name: such as notes.txt
    text: all of the file
    """
    path = context.workspace.path(name, write=True)
    if path.is_dir():
        raise ToolError(f"'{name}' is a folder", "Give the name of a file")
    # A lone surrogate has no bytes in UTF-8.
    content = text.encode("utf-8", "replace")
    context.workspace.write(name, content)
    return f"Wrote '{name}' ({len(content)} bytes)."


@tool(read_only=True)
def search_files(text: Annotated[str, Field(min_length=1, max_length=200)], context: RunContext) -> str:
    """Find the lines that contain a text, in all files.

    text: matched as it stands, in upper or lower case
    """
    hits = list(islice(_hits(text.casefold(), context.workspace), _MOST_HITS + 1))
    if not hits:
        return f"No file contains '{text}'."
    if len(hits) > _MOST_HITS:
        hits[_MOST_HITS:] = [f"... and more; only the first {_MOST_HITS} lines are shown"]
    return "\n".join(hits)


def _hits(text: str, workspace: Workspace) -> Iterator[str]:
    for path in _files(workspace):
        if _size(path) > _LARGEST_SEARCHED:
            continue
        try:
            lines = _text(path, path.name).splitlines()
        except ToolError:
            continue  # no text; the search is over text files
        for number, line in enumerate(lines, start=1):
            if text in line.casefold():
                yield f"{_shown(path, workspace)}:{number}: {line.strip()[:_LINE_SHOWN]}"


def _files(workspace: Workspace) -> Iterator[Path]:
    """Every file a run may read, the workspace's first. Links that lead out of these folders are left out."""
    roots = (workspace.root, *workspace.readable)
    seen: set[Path] = set()
    for root in roots:
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            real = path.resolve()
            if path.is_file() and real not in seen and any(real.is_relative_to(each) for each in roots):
                seen.add(real)
                yield path


def _shown(path: Path, workspace: Workspace) -> str:
    """The name that `read_file` takes: relative in the workspace, absolute in a readable folder."""
    inside = path.is_relative_to(workspace.root)
    return path.relative_to(workspace.root).as_posix() if inside else str(path)


def _size(path: Path) -> int:
    return path.stat().st_size


def _existing(name: str, workspace: Workspace) -> Path:
    path = workspace.path(name)
    if path.is_dir():
        raise ToolError(f"'{name}' is a folder", "Call list_files for the names in it")
    if not path.is_file():
        raise ToolError(f"there is no file '{name}'", "Call list_files for the names there are")
    return path


def _text(path: Path, name: str) -> str:
    if (size := _size(path)) > _LARGEST_READ:
        raise ToolError(f"'{name}' has {size} bytes", f"Files of up to {_LARGEST_READ} bytes are read")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ToolError(f"'{name}' could not be read: {error.strerror or error}") from error
    if b"\x00" in content:
        raise ToolError(f"'{name}' is not a text file", "Only text can be read")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolError(f"'{name}' is not a text file in UTF-8", "Only text can be read") from error


pack = Pack(tools=[list_files, read_file, write_file, search_files])
