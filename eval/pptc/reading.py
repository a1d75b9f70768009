"""A deck as attributes that can be compared: what stands on which slide, what it says, how it looks, where it is.

Objects are named by their kind and their order on the slide, such as `picture 2`; what is empty, or not on the slide,
cannot be seen and is left out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import PP_ALIGN

from .functions import SHAPES


class Key(NamedTuple):
    """slide: number from 1, 0 for the deck; object: empty for the slide itself; attribute: what of it"""

    slide: int
    object: str
    attribute: str


Attributes = dict[Key, Any]

GEOMETRY = ("across", "down", "width", "height", "turned", "inside")
LOOKS = ("size", "bold", "italic", "underline", "colour", "font", "align", "line spacing")
_KINDS = {PP_PLACEHOLDER.TITLE: "title", PP_PLACEHOLDER.CENTER_TITLE: "title", PP_PLACEHOLDER.BODY: "content",
          PP_PLACEHOLDER.OBJECT: "content"}
_PRESETS = {preset: name for name, preset in SHAPES.items()}
_ALIGNS = {PP_ALIGN.LEFT: "left", PP_ALIGN.CENTER: "center", PP_ALIGN.RIGHT: "right", PP_ALIGN.JUSTIFY: "justify"}
_SEEN = 0.5  # of an object's area
_OVER = 0.01  # of the slide's side that an object may stand out
_BOUNDS = (0.4, 0.6)  # shares of the room beside an object that lie before it: at the start, in the middle, at the end
_ABOUT = 0.05  # such shares that differ by less are on the same side, wherever that ends
_NEAR = 0.02  # of the slide's side: nearer than that is the same place, or length


class Span(NamedTuple):
    """Where an object is along one side of the slide, in parts of it."""

    start: float
    end: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    @property
    def share(self) -> float:
        """How much of the room beside the object lies before it; half for an object in the middle, or a full one."""
        room = 1 - (self.end - self.start)
        return self.start / room if room > _NEAR else 0.5

    @property
    def side(self) -> int:
        """0 at the start, 1 about the middle, 2 at the end."""
        return sum(self.share > bound for bound in _BOUNDS)


def read(presentation: Any) -> Attributes:
    """The attributes of a python-pptx presentation; what is not set is left out."""
    wide, high = presentation.slide_width, presentation.slide_height
    found: Attributes = {}
    for number, slide in enumerate(presentation.slides, start=1):
        found[Key(number, "", "exists")] = True
        ground = {"background": _colour(slide.element, "cSld", "bg", "bgPr"), "notes": _notes(slide)}
        found |= {Key(number, "", attribute): value for attribute, value in ground.items() if value}
        for name, shape in named_objects(slide):
            if not _is_seen(shape, wide, high):
                continue
            for part, attribute, value in _of_object(shape, wide, high):
                if value is not None:
                    found[Key(number, f"{name}{part}", attribute)] = value
    return found


def named_objects(slide: Any) -> Iterator[tuple[str, Any]]:
    """Each object of a slide with its name, from back to front; dates, footers and slide numbers are none."""
    counts: dict[str, int] = {}
    for shape in slide.shapes:
        kind = _kind(shape)
        if kind is not None:
            counts[kind] = counts.get(kind, 0) + 1
            yield f"{kind} {counts[kind]}", shape


def same(attribute: str, one: Any, other: Any) -> bool:
    """Whether two values come to the same: an object stands on the same side, and lengths are about equal."""
    if isinstance(one, Span) and isinstance(other, Span):
        return one.side == other.side or abs(one.share - other.share) <= _ABOUT
    return stays(attribute, one, other)


def stays(attribute: str, one: Any, other: Any, near: float = _NEAR) -> bool:
    """Whether a value is as it was before. near: parts of the slide's side that an object may have moved or grown"""
    if isinstance(one, Span) and isinstance(other, Span):
        return abs(one.start - other.start) <= near
    if attribute in ("width", "height") and one is not None and other is not None:
        return bool(abs(one - other) <= near)
    return bool(one == other)


def beyond(found: Attributes, slide: int, one: str, side: str, other: str) -> bool:
    """Whether an object stands left, right, top or bottom of another, as far as the slide has room for it."""
    along = "across" if side in ("left", "right") else "down"
    spans = [found.get(Key(slide, name, along)) for name in (one, other)]
    if None in spans:
        return False
    first, last = spans if side in ("left", "top") else reversed(spans)
    return first.middle < last.middle and first.start < last.start and first.end < last.end


def _kind(shape: Any) -> str | None:
    if shape.is_placeholder and shape.placeholder_format.type in _KINDS and shape.has_text_frame:
        return _KINDS[shape.placeholder_format.type]
    if getattr(shape, "has_table", False):
        return "table"
    if getattr(shape, "has_chart", False):
        return "chart"
    if shape.is_placeholder and shape.has_text_frame:
        return None
    tag = shape.element.tag.rsplit("}", 1)[-1]
    if tag == "sp":
        geometry = shape.element.find("{*}spPr/{*}prstGeom")
        preset = geometry.get("prst") if geometry is not None else "custom"
        box = shape.element.find("{*}nvSpPr/{*}cNvSpPr").get("txBox") in ("1", "true")
        return "textbox" if box else _PRESETS.get(preset, preset)
    return {"pic": "picture", "cxnSp": "line", "grpSp": "group"}.get(tag, "object")


def _is_seen(shape: Any, wide: int, high: int) -> bool:
    bare = shape.has_text_frame and not shape.text_frame.text.strip()
    if bare and (shape.is_placeholder or _kind(shape) == "textbox"):
        return False
    left, top, width, height = shape.left, shape.top, shape.width, shape.height
    across = min(left + width, wide) - max(left, 0)
    down = min(top + height, high) - max(top, 0)
    return across >= _SEEN * width and down >= _SEEN * height and across > 0 and down > 0


def _of_object(shape: Any, wide: int, high: int) -> Iterator[tuple[str, str, Any]]:
    """The part of the object, the attribute, its value."""
    left, top, width, height = shape.left, shape.top, shape.width, shape.height
    over = min(left, wide - left - width) / wide, min(top, high - top - height) / high
    yield "", "exists", True
    yield "", "inside", min(over) >= -_OVER
    yield "", "across", Span(left / wide, (left + width) / wide)
    yield "", "down", Span(top / high, (top + height) / high)
    yield "", "width", width / wide
    if not getattr(shape, "has_table", False):  # a table is as high as what it says
        yield "", "height", height / high
    if getattr(shape, "rotation", 0):
        yield "", "turned", round(shape.rotation) % 360
    yield "", "fill", _colour(shape.element, "spPr")
    if hasattr(shape, "image"):
        yield "", "picture", shape.image.sha1
    if shape.has_text_frame:
        yield from (("", attribute, value) for attribute, value in _of_text(shape.text_frame))
    elif getattr(shape, "has_table", False):
        yield "", "rows", len(shape.table.rows)
        yield "", "columns", len(shape.table.columns)
        for r, row in enumerate(shape.table.rows):
            for c, cell in enumerate(row.cells):
                yield from ((f" cell {r}, {c}", attribute, value) for attribute, value in _of_text(cell.text_frame))
    elif getattr(shape, "has_chart", False):
        yield from (("", attribute, value) for attribute, value in _of_chart(shape.chart))


def _of_text(frame: Any) -> Iterator[tuple[str, Any]]:
    paragraphs = tuple(" ".join(paragraph.text.split()) for paragraph in frame.paragraphs)
    if paragraphs == ("",):
        return
    runs = [run.font for paragraph in frame.paragraphs for run in paragraph.runs if run.text.strip()]
    yield "text", paragraphs
    yield "size", _common(font.size and font.size.pt for font in runs)
    yield "bold", _common(font.bold or None for font in runs)
    yield "italic", _common(font.italic or None for font in runs)
    yield "underline", _common(bool(font.underline) or None for font in runs)
    yield "colour", _common(_colour(font._rPr) for font in runs)
    yield "font", _common(font.name for font in runs)
    said = [paragraph for paragraph in frame.paragraphs if paragraph.text.strip()]
    yield "align", _common(_ALIGNS.get(paragraph.alignment) for paragraph in said)
    yield "line spacing", _common(paragraph.line_spacing for paragraph in said)


def _of_chart(chart: Any) -> Iterator[tuple[str, Any]]:
    plot = chart.plots[0]
    series = {one.name: tuple(one.values) for one in plot.series}
    names = [str(name) for name in plot.categories]
    (first, *others) = series.values()
    kind, direction = plot._element.tag.rsplit("}", 1)[-1].removesuffix("Chart"), plot._element.find("{*}barDir")
    yield "kind", "column" if direction is not None and direction.get("val") == "col" else kind
    yield "data", tuple(series.items()) if others else tuple(zip(names, first, strict=False))
    if chart.has_title and chart.chart_title.has_text_frame:
        yield "title", " ".join(chart.chart_title.text_frame.text.split()) or None


def _common(values: Any) -> Any:
    """The value that all have, None where there is none, `mixed` where they differ."""
    found = list(dict.fromkeys(values))
    return found[0] if len(found) == 1 else "mixed" if found else None


def _colour(element: Any, *path: str) -> str | None:
    """RRGGBB of the plain fill below `element`; None where there is none, or one of the theme's."""
    for tag in path:
        element = element.find(f"{{*}}{tag}") if element is not None else None
    colour = element.find("{*}solidFill/*") if element is not None else None
    if colour is None or not colour.tag.endswith("}srgbClr"):
        return None
    return colour.get("val").upper()


def _notes(slide: Any) -> str:
    frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    return " ".join(frame.text.split()) if frame is not None else ""
