"""What a writer means to do, and what the store has acknowledged: a line before each call, and one after it."""

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Log:
    """Lines in a file. Each is one `write`, so that it outlives the writer from that moment on."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()
        self._number = 0

    def will(self, do: str, **what: Any) -> int:
        with self._lock:
            self._number += 1
            number = self._number
        self._say({"will": number, "do": do, **what})
        return number

    def did(self, number: int) -> None:
        self._say({"did": number})

    def failed(self, number: int, error: BaseException) -> None:
        self._say({"failed": number, "why": f"{type(error).__name__}: {error}"})

    def _say(self, line: dict[str, Any]) -> None:
        os.write(self._file, (json.dumps(line) + "\n").encode())


@dataclass
class Call:
    """A call of the store. acknowledged: it returned; failed: what it raised, if it did"""

    do: str
    what: dict[str, Any]
    acknowledged: bool = False
    failed: str = ""


@dataclass
class Said:
    """What all logs of a folder say, in the order of the writers' generations and of their lines."""

    calls: list[Call] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(call.acknowledged for call in self.calls)

    def of(self, *kinds: str) -> list[Call]:
        return [call for call in self.calls if call.do in kinds]


def read(paths: list[Path]) -> Said:
    """What these logs say; a last line that was cut off counts as not written."""
    said = Said()
    for path in paths:
        open_calls: dict[int, Call] = {}
        for text in path.read_text().splitlines(keepends=True):
            if not text.endswith("\n"):
                break
            line = json.loads(text)
            if "will" in line:
                call = Call(line.pop("do"), line)
                open_calls[line.pop("will")] = call
                said.calls.append(call)
            elif "did" in line:
                open_calls[line["did"]].acknowledged = True
            else:
                open_calls[line["failed"]].failed = line["why"]
    return said
