"""The call of a tool: within its time, and what it returns as text that a policy can read."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from autorl.errors import AutorlError, ToolError

OBSERVATION_LIMIT = 4_000
"""Characters of a result that the policy sees; the middle of anything longer is cut and counted."""


def within(seconds: float | None, name: str, call: Callable[[], Any]) -> Any:
    """Run `call` in a thread of its own, so that a tool that hangs cannot hold up the run.

    The thread of a tool that ran out of time goes on by itself; nobody reads what it returns.
    """
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:  # a tool may raise anything, SystemExit too
            outcome.append((None, error))

    thread = threading.Thread(target=run, name=f"tool-{name}", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise ToolError(f"{name} gave no answer within {seconds:g} s and was left",
                        "Its effect is unknown: look before you repeat it")
    value, error = outcome[0]
    if isinstance(error, ToolError):
        raise error
    if error is not None:
        kind = "" if isinstance(error, AutorlError) else f"{type(error).__name__}: "
        raise ToolError(f"{name} failed: {kind}{str(error)[:1000] or 'no message'}") from error
    return value


def as_text(name: str, value: Any) -> str:
    """What the tool `name` returned, as text. Raises ToolError for what cannot be written as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "Done."
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"{name} returned a {type(value).__name__} that cannot be written as JSON ({error})",
                        "Its author: return text, numbers, lists, dicts or pydantic models") from error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} inside it")


def shortened(text: str) -> tuple[str, int]:
    """The text without its middle where it is too long to be seen, and how many characters that leaves out."""
    omitted = len(text) - OBSERVATION_LIMIT
    if omitted <= 0:
        return text, 0
    half = OBSERVATION_LIMIT // 2
    return f"{text[:half]}\n[... {omitted} characters omitted ...]\n{text[-half:]}", omitted
