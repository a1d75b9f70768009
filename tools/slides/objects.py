"""Ids of slides and objects: `s3` a slide, `s3.5` an object on it. They stay while slides are moved and others deleted.

A slide's id is the one of its entry in the presentation, counted from 1; an object's adds the number that the file
gives it. An id is given again only after the object that had it is gone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autorl.errors import ToolError

_FIRST = 255  # entries of slides are numbered from 256 (ECMA-376 part 1, 19.2.1.33)
_ID = re.compile(r"s(\d{1,10})(?:\.(\d{1,10}))?")
_SHOWN = 12


@dataclass(frozen=True)
class Found:
    """An object with the slide it stands on. number: of the slide, from 1; holder: the shapes that it is among"""

    slide: Any
    number: int
    shape: Any
    holder: Any


def slide_id(slide: Any) -> str:
    """The stable id of a slide."""
    return f"s{slide.slide_id - _FIRST}"


def object_id(slide: Any, shape: Any) -> str:
    """The stable id of an object on `slide`."""
    return f"{slide_id(slide)}.{shape.shape_id}"


def slide_named(presentation: Any, name: str | int) -> tuple[int, Any]:
    """The number (from 1) and the slide that `name` means: its number, or its id.

    Raises ToolError with the ids there are.
    """
    slides = list(presentation.slides)
    text = str(name).strip()
    if text.isdigit() and 1 <= int(text) <= len(slides):
        return int(text), slides[int(text) - 1]
    for number, slide in enumerate(slides, start=1):
        if slide_id(slide) == text:
            return number, slide
    known = ", ".join(f"{number} ({slide_id(slide)})" for number, slide in enumerate(slides[:_SHOWN], start=1))
    more = f" and {len(slides) - _SHOWN} more" if len(slides) > _SHOWN else ""
    raise ToolError(f"there is no slide '{text}'", f"Slides: {known}{more}" if slides else "The deck has no slide yet")


def object_named(presentation: Any, id: str) -> Found:
    """The object with that id. Raises ToolError with the right ids."""
    match = _ID.fullmatch(id.strip())
    if match is None or match[2] is None:
        raise ToolError(f"'{id}' is not the id of an object", f"Ids look like s1.2. {_ids(presentation)}")
    for number, slide in enumerate(presentation.slides, start=1):
        if slide_id(slide) == f"s{match[1]}":
            for holder, shape in walk(slide.shapes):
                if shape.shape_id == int(match[2]):
                    return Found(slide, number, shape, holder)
            raise ToolError(f"slide {number} has no object '{id}'", f"It has: {_on(slide)}")
    raise ToolError(f"there is no slide 's{match[1]}' for '{id}'", _ids(presentation))


def walk(shapes: Any, depth: int = 8) -> Iterator[tuple[Any, Any]]:
    """Each shape with the collection that holds it, groups opened."""
    for shape in shapes:
        yield shapes, shape
        if depth and hasattr(shape, "shapes"):
            yield from walk(shape.shapes, depth - 1)


def _ids(presentation: Any) -> str:
    slides = ", ".join(f"{n} ({_on(slide)})" for n, slide in enumerate(list(presentation.slides)[:3], start=1))
    return f"Objects by slide: {slides}" if slides else "The deck has no slide yet"


def _on(slide: Any) -> str:
    named = [f"{object_id(slide, shape)} {shape.name}" for _, shape in walk(slide.shapes)]
    return ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "") or "none"
