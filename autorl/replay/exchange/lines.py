"""JSON lines from anywhere: read without trust in their length, depth or text, and written whole or not at all."""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import IO, Any

from autorl.errors import AutorlError, StoreUnavailable, UsageError
from autorl.types import clean_text

LONGEST = 64 * 2**20
"""Bytes of the longest line that is read or written."""
PARTS = 4_000_000
"""Brackets and commas that a line may hold, as each may stand for a value that takes far more memory than room."""
NESTING = 200
"""Levels of lists and objects in a line: what a step that the store keeps may have, and the row around it."""
_CHUNK = 2**20


class BadRow(AutorlError):
    """A row that cannot be taken; the others can."""


def rows(stream: IO[bytes]) -> Iterator[tuple[str, Any, int]]:
    """The rows of JSON lines, or of one JSON document: where each stands, its value or its BadRow, and its bytes.

    No more than `LONGEST` bytes of `stream` are held at a time, but for what holding them takes.
    """
    numbered = _lines(stream)
    held: list[tuple[int, bytes | None]] = []
    for number, line in numbered:
        value = _value(line)
        if isinstance(value, BadRow) and line is not None:  # perhaps a document that takes several lines
            held = [(number, line)]
        else:
            yield f"line {number}", value, len(line or b"")
        break
    size = sum(len(line or b"") for _, line in held)
    for number, line in numbered if held else ():
        held.append((number, line))
        size += len(line or b"") + 1
        if line is None or size > LONGEST:
            break
    else:
        if len(held) > 1 and not isinstance(whole := _value(b"\n".join(line or b"" for _, line in held)), BadRow):
            yield "the document", whole, size
            return
    for some in (held, numbered):
        for number, line in some:
            yield f"line {number}", _value(line), len(line or b"")


def read_json(text: str | bytes, deepest: int = NESTING) -> Any:
    """A JSON value with clean text and finite numbers. Raises BadRow for what is none, or is too much."""
    try:
        value = _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadRow(f"byte {error.start + 1} of it is no UTF-8") from error
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
            raise BadRow("it is no JSON: it ends too early, as in a file that was cut off") from error
        raise BadRow(f"it is no JSON: {error.msg} at character {error.pos + 1}") from error
    except ValueError as error:
        raise BadRow(f"it is no JSON: {error}") from error
    except RecursionError as error:
        raise BadRow(_TOO_DEEP) from error
    return _clean(value, deepest)


def write_json(value: Any) -> bytes:
    """One line without its end."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def fits(line: bytes) -> bool:
    """Whether `rows` would read this line."""
    return len(line) <= LONGEST and line.count(b"{") + line.count(b"[") + line.count(b",") <= PARTS


@contextmanager
def written(target: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """A file that comes to be `target`, whole, when the block ends, and is gone when it raises.

    Raises UsageError if `target` is there (unless `force`) or is no plain file, StoreUnavailable if it cannot be
    written.
    """
    if target.exists() and not target.is_file():
        raise UsageError(f"{target} is no plain file", "Name a file, or - for the standard output")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", "Name another file, or write over it with --force")
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise StoreUnavailable(f"{target} cannot be written: {error.strerror or error}",
                               "Name a file in a folder that has room and lets you write") from error
    finally:
        temporary.unlink(missing_ok=True)


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """The lines that are not empty, without white space around them, from 1; None for one that is too long."""
    number, waiting, too_long = 1, bytearray(), False
    while chunk := stream.read(_CHUNK):
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            line = b"" if too_long else (bytes(waiting) + part).strip()
            if line or too_long:
                yield number, None if too_long or len(line) > LONGEST else line
            number, waiting, too_long = number + 1, bytearray(), False
        if len(waiting) + len(rest) > LONGEST:
            waiting, too_long = bytearray(), True
        elif not too_long:
            waiting += rest
    if too_long or waiting.strip():
        yield number, None if too_long else bytes(waiting).strip()


def _value(line: bytes | None) -> Any:
    if line is None:
        return BadRow(f"it is longer than {LONGEST:,} bytes")
    if not fits(line):
        return BadRow(f"it holds more than {PARTS:,} brackets and commas")
    try:
        return read_json(line)
    except BadRow as error:
        return error


def _clean(value: Any, deepest: int) -> Any:
    """Clean text in all of `value`, in its place. Raises BadRow if it is nested deeper than `deepest`."""
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else clean_text(value)
    if isinstance(value, (list, dict)) and deepest == 0:
        raise BadRow(_TOO_DEEP)
    if isinstance(value, list):
        for index, item in enumerate(value):
            value[index] = _clean(item, deepest - 1)
    if isinstance(value, dict):
        for key, item in [*value.items()]:
            del value[key]
            value[_clean(key, 0)] = _clean(item, deepest - 1)
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _refuse(number)


_TOO_DEEP = "its lists and objects are nested too deep"
_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse, parse_float=_finite)
