"""How a context is written for a policy and how its answer is read: one file a format."""

from autorl.errors import UnknownName
from autorl.formats.base import Format


def load(name: str) -> Format:
    """The format `name` (react or structured). Raises UnknownName."""
    if name == "react":
        from autorl.formats.react import React

        return React()
    if name == "structured":
        from autorl.formats.structured import Structured

        return Structured()
    raise UnknownName("format", name, ["react", "structured"])
