"""Which form a row of a file is in."""

from typing import Any, Literal

Form = Literal["trl", "openai", "autorl", "smolagents"]


def form_of(row: Any) -> Form | None:
    """The form of a row; None if it is in none that is known."""
    if isinstance(row, dict):
        if str(row.get("form")).startswith("autorl@"):
            return "autorl"
        if isinstance(row.get("steps"), list) and "state" in row:
            return "smolagents"
        row = row.get("messages")
    if not isinstance(row, list) or not all(isinstance(item, dict) for item in row):
        return None
    if any("step_number" in item or "task" in item for item in row):
        return "smolagents"
    if not any("role" in item for item in row):
        return None
    return "trl" if any(map(_in_objects, row)) else "openai"


def _in_objects(message: dict[str, Any]) -> bool:
    """Whether the arguments of its calls are objects, and not JSON in a text."""
    calls = message.get("tool_calls")
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return any(isinstance(function, dict) and isinstance(function.get("arguments"), dict) for function in functions)
