"""How a context is written for a policy and how its answer is read: one file a format."""

from autorl.errors import UnknownName
from autorl.formats.base import Format

FORMATS = ("react", "act", "structured", "native")
DEFAULT = "react"


def load(name: str) -> Format:
    """The format `name`, one of `FORMATS`. Raises UnknownName."""
    if name == "react":
        from autorl.formats.react import React

        return React()
    if name == "act":
        from autorl.formats.act import Act

        return Act()
    if name == "structured":
        from autorl.formats.structured import Structured

        return Structured()
    if name == "native":
        from autorl.formats.native import Native

        return Native()
    raise UnknownName("format", name, FORMATS)
