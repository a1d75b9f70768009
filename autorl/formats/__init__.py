"""How a context is written for a policy and how its answer is read: one file a format."""

from autorl.errors import UnknownName
from autorl.formats.base import Format, Style


def load(name: str, style: Style = "full") -> Format:
    """The format `name` (react or structured), showing exemplars in `style`. Raises UnknownName."""
    if name == "react":
        from autorl.formats.react import React

        return React(style)
    if name == "structured":
        from autorl.formats.structured import Structured

        return Structured(style)
    raise UnknownName("format", name, ["react", "structured"])
