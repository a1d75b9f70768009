"""Values as rows: without secrets, in text that every database takes, and of a bounded length."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from json import dumps
from typing import Any

from pydantic_core import PydanticSerializationError

from autorl.errors import UsageError
from autorl.replay import owner
from autorl.replay.redact import redacted_json, within
from autorl.types import Observation, Provenance, Status, Step, Task, Trajectory, Trust, Verdict, clean_text

LONGEST = 2_000_000
"""Characters of JSON that a step or an observation may have; what is longer is cut in the middle of its texts."""
IDS = 64
"""Characters of the longest id."""


class Rows:
    """Makes rows; `redact` takes secrets out of a text."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        # The same few stand in every run.
        self._name = lru_cache(1000)(self.clean)
        self._names = lru_cache(1000)(lambda names: self.clean(dumps(names)))

    def task(self, task: Task) -> dict[str, Any]:
        clean: Task = within(task, self.clean)
        return {"id": clean.id, "body": clean.model_dump_json(), "text": clean.text}

    def run(self, trajectory: Trajectory) -> dict[str, Any]:
        named = [("run", trajectory.id), ("task", trajectory.task.id), *(("run", r.run) for r in trajectory.recalled)]
        for kind, name in named:
            if not 0 < len(name) <= IDS or not (_plain(name) or clean_text(name) == name):
                raise UsageError(f"the {kind} id {name[:80]!r} cannot be kept",
                                 f"Use 1 to {IDS} characters of plain text")
        provenance = trajectory.provenance
        return {
            "id": trajectory.id, "task": self.clean(trajectory.task.id), "status": Status.RUNNING.value, "reason": "",
            "answer": "", "trust": "trusted", "tools": "[]", "provenance": self.json(provenance),
            "owner": owner.this(), "started": _in_utc(trajectory.started), "seconds": trajectory.seconds,
            "source": self._name(provenance.source), "format": self._name(provenance.format),
            "model": self._name(provenance.model), "tools_hash": self._name(provenance.tools_hash),
            "adapter": provenance.adapter and self._name(provenance.adapter), "length": 0,
        }

    def end(self, trajectory: Trajectory) -> dict[str, Any]:
        called = tuple(sorted({action.name for action in trajectory.actions}))
        return {
            "status": trajectory.status.value, "reason": self.clean(trajectory.reason),
            "answer": self.clean(trajectory.answer), "tools": self._names(called),
            "seconds": trajectory.seconds, "length": len(trajectory.steps),
        }

    def artifacts(self, trajectory: Trajectory) -> list[dict[str, Any]]:
        return [{"run": trajectory.id, "path": self.clean(artifact.path), "sha256": self.clean(artifact.sha256),
                 "bytes": artifact.bytes} for artifact in trajectory.artifacts]

    def verdict(self, run: str, verdict: Verdict) -> dict[str, Any]:
        return {"run": run, "verifier": self._name(verdict.verifier), "passed": verdict.passed,
                "score": verdict.score, "body": self.json(verdict), "created": now()}

    def trust_change(self, run: str, trust: Trust, why: str, who: str) -> dict[str, Any]:
        return {"run": run, "trust": trust, "why": self.clean(why), "who": self.clean(who), "created": now()}

    def json(self, value: Step | Observation | Provenance | Verdict, without: set[str] | None = None) -> str:
        """`value` as JSON that can be kept. without: fields to leave out"""
        try:
            text = redacted_json(value, self._redact, without)
        except PydanticSerializationError:  # a lone surrogate, which no file and no database takes
            value = within(value, clean_text)
            text = redacted_json(value, self._redact, without)
        longest = LONGEST
        while len(text) > LONGEST and longest > 1000:
            longest //= 2
            value = _shortened(value, longest)
            text = redacted_json(value, self._redact, without)
        return text

    def clean(self, text: str) -> str:
        text = self._redact(text)
        return text if _plain(text) else clean_text(text)

    def injections(self, trajectory: Trajectory) -> list[dict[str, Any]]:
        return [{"run": trajectory.id, "rank": r.rank, "exemplar": r.run, "origin": r.origin, "score": r.score,
                 "style": r.style}
                for r in trajectory.recalled]


def _plain(text: str) -> bool:
    """Whether every file and database takes it, which is seen at once of most texts."""
    return text.isascii() and "\x00" not in text


def _shortened(value: Any, longest: int) -> Any:
    """`value` with the middle of its longer texts left out, and said so in its place."""
    def cut(text: str) -> str:
        if len(text) <= longest:
            return text
        return f"{text[: longest // 2]}\n[... {len(text) - longest} characters were not kept ...]\n" \
               f"{text[-(longest // 2):]}"

    shorter = within(value, cut)
    if isinstance(value, Observation) and shorter.text != value.text:
        return shorter.model_copy(update={"omitted": value.omitted + len(value.text) - longest})
    return shorter


def _in_utc(moment: datetime) -> str:
    """So that the order of the texts is that of the moments. What names no zone is taken to be UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def now() -> str:
    return datetime.now(UTC).isoformat()
