"""Real exchanges, kept in a file and given again: tests without a model, from what a model once said."""

import json
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Model, Request, estimate
from autorl.types import Usage


class Recorded:
    """Answers from the file `path`; with `of`, asks that model and adds what is new to the file.

    A request that the file does not know fails with what differs from the nearest one it knows. A
    request that was recorded several times is answered in the order of recording, then with the last.
    Raises UsageError for a file that cannot be read.
    """

    def __init__(self, path: str | Path, of: Model | None = None) -> None:
        self.path = Path(path)
        self.name = f"recorded:{path}"
        self.context_tokens = of.context_tokens if of else None
        self.capabilities = of.capabilities if of else Capabilities()
        self._of = of
        self._lock = threading.Lock()
        self._given: dict[str, int] = {}
        self._known: dict[str, list[dict[str, Any]]] = {}
        if of is None and not self.path.is_file():
            raise UsageError(f"there is no recording '{path}'", "Make one: Recorded(path, of=model)")
        for number, line in enumerate(self.path.read_text("utf-8").splitlines() if self.path.is_file() else (), 1):
            try:
                entry = json.loads(line)
                if "takes" in entry:  # what the model took decides what it was asked
                    self.capabilities = Capabilities(**entry["takes"])
                    continue
                self._known.setdefault(_key(entry["request"]), []).append(entry["completion"])
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"line {number} of the recording '{path}' is no exchange: {error}") from error

    def complete(self, request: Request) -> Completion:
        asked = _plain(request)
        key = _key(asked)
        with self._lock:
            turn = self._given.get(key, 0)
            self._given[key] = turn + 1
            answers = self._known.get(key, [])
        if answers and (turn < len(answers) or self._of is None):
            kept = answers[min(turn, len(answers) - 1)]
            if request.on_text:
                request.on_text(kept["text"])
            return Completion(kept["text"], kept["finish_reason"], Usage(**kept["usage"]), kept["seconds"])
        if self._of is None:
            raise ModelUnavailable(f"the recording '{self.path}' does not know this request: {self._difference(asked)}",
                                   "Record it again: Recorded(path, of=model)")
        completion = self._of.complete(request)
        kept = {"text": completion.text, "finish_reason": completion.finish_reason,
                "usage": completion.usage.model_dump(), "seconds": completion.seconds}
        with self._lock:
            self._known.setdefault(key, []).append(kept)
            head = [] if self.path.is_file() else [{"takes": asdict(self.capabilities)}]
            with self.path.open("a", encoding="utf-8") as file:
                for entry in (*head, {"request": asked, "completion": kept}):
                    file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return completion

    def count(self, text: str) -> int:
        return self._of.count(text) if self._of else estimate(text)

    def _difference(self, asked: dict[str, Any]) -> str:
        if not self._known:
            return "it is empty"
        known = [json.loads(key) for key in self._known]
        nearest = min(known, key=lambda other: sum(other.get(k) != v for k, v in asked.items()))
        parts = []
        for name, value in asked.items():
            if nearest.get(name) != value:
                parts.append(f"{name} is {_around(value, nearest.get(name))}")
        return "; ".join(parts) or "the number of times it was asked"


def _around(value: Any, other: Any) -> str:
    new, old = (json.dumps(each, sort_keys=True, ensure_ascii=False) for each in (value, other))
    start = next((i for i, (a, b) in enumerate(zip(new, old, strict=False)) if a != b), min(len(new), len(old)))
    begin = max(0, start - 30)
    return f"...{new[begin : start + 40]}..., recorded was ...{old[begin : start + 40]}..."


def _plain(request: Request) -> dict[str, Any]:
    return {
        "messages": [dict(message) for message in request.messages], "stop": list(request.stop),
        "max_tokens": request.max_tokens, "temperature": request.temperature, "seed": request.seed,
        "grammar": request.grammar, "json_schema": request.json_schema,
        # Only where they are: a recording made before there were any is still known.
        **({"tools": list(request.tools), "call": request.call} if request.tools else {}),
        **({} if request.repetition is None else {"repetition": request.repetition}),
    }


def _key(asked: dict[str, Any]) -> str:
    return json.dumps(asked, sort_keys=True, ensure_ascii=False)
