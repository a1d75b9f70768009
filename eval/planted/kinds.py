"""The register of defects, and how the place for one is found on a slide."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pptx.enum.shapes import PP_PLACEHOLDER

_FEET = (PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE)
_TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE)


@dataclass(frozen=True)
class Kind:
    """A defect that can be planted.

    visible: a person sees it on the rendered slides; fits: whether a slide has what the defect needs;
    plant: changes that slide in place and says what it did
    """

    name: str
    visible: bool
    description: str
    fits: Callable[[Any], bool]
    plant: Callable[[Any, Any, random.Random], str]


KINDS: dict[str, Kind] = {}


def defect(*, visible: bool, fits: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """Registers a function `(presentation, slide, dice) -> what was done` as the kind of its name and docstring."""

    def register(function: Callable[[Any, Any, random.Random], str]) -> Any:
        name = function.__name__
        KINDS[name] = Kind(name, visible, str(function.__doc__), fits, function)
        return function

    return register


def body(slide: Any) -> Any:
    """The placeholder that holds the most paragraphs, three at least; None when there is none."""
    found = [shape for shape in slide.placeholders if not _is_foot_or_title(shape) and shape.has_text_frame]
    longest = max(found, key=lambda shape: len(shape.text_frame.paragraphs), default=None)
    return longest if longest is not None and len(longest.text_frame.paragraphs) >= 3 else None


def prose(slide: Any) -> Any:
    """The body, or a text box with three paragraphs and more; None when there is neither."""
    found = [body(slide), *(box for box in boxes(slide) if len(box.text_frame.paragraphs) >= 3)]
    return next((shape for shape in found if shape is not None), None)


def boxes(slide: Any) -> list[Any]:
    """Text boxes with words in them."""
    return [s for s in slide.shapes if s.element.xpath("./p:nvSpPr/p:cNvSpPr[@txBox]") and s.text_frame.text.strip()]


def panels(slide: Any) -> list[Any]:
    """Filled shapes with a few words in them: cards, bands, bars; not the small badges."""
    return [s for s in slide.shapes if s.element.xpath("./p:spPr[a:solidFill or a:gradFill]") and s.has_text_frame
            and len(s.text_frame.text.split()) >= 2]


def pictures(slide: Any) -> list[Any]:
    return [s for s in slide.shapes if s.element.tag.endswith("}pic")]


def chart(slide: Any) -> Any:
    return next((s for s in slide.shapes if s.has_chart), None)


def table(slide: Any) -> Any:
    return next((s for s in slide.shapes if s.has_table), None)


def has(find: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Whether `find` finds anything on a slide."""

    def fits(slide: Any) -> bool:
        found = find(slide)
        return found is not None and found != []

    return fits


def anything(slide: Any) -> bool:
    return True


def rest(slide: Any) -> Iterator[Any]:
    """All shapes but the title and what stands in the foot."""
    return (s for s in list(slide.shapes) if not (s.is_placeholder and _is_foot_or_title(s)))


def remove(shape: Any) -> None:
    shape.element.getparent().remove(shape.element)


def runs(shape: Any) -> list[Any]:
    return [run for paragraph in shape.text_frame.paragraphs for run in paragraph.runs]


def _is_foot_or_title(shape: Any) -> bool:
    return shape.placeholder_format.type in (*_FEET, *_TITLES)
