"""What a person would see of a slide: where its text ends up, what lies behind it, and what nobody can read.

Estimated from the file with measured type (`fit.py`), so that it needs no program; `render.py` shows the real thing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .colour import contrast
from .fit import line_height, lines_of, width_of
from .inherit import CLEAR
from .values import Box, Cell, DeckContent, Paragraph, Shape, Slide

UNREADABLE = 1.4
"""A contrast ratio below which text is as good as not there."""
TINY = 5.0
"""Points of type that nobody reads."""
_COVERS = 0.6
_ON_SLIDE = 0.4


@dataclass(frozen=True)
class Unseen:
    """Text that no person can see. why: such as 'white on white'"""

    slide: Slide
    shape: Shape
    why: str


def written(shape: Shape) -> Box:
    """Where the text of `shape` ends up, by its measured lines; its frame for a turned one, or one without text."""
    if shape.turned or not shape.text:
        return shape.box
    left, top, right, bottom = shape.insets
    room = max(shape.box.width - left - right, 1.0)
    wide, high = size_of(shape.paragraphs, room if shape.wraps else float("inf"))
    inner = Box(shape.box.left + left, shape.box.top + top, shape.box.right - right, shape.box.bottom - bottom)
    if shape.anchor == "ctr":
        start = (inner.top + inner.bottom - high) / 2
    else:
        start = inner.bottom - high if shape.anchor == "b" else inner.top
    if shape.grows:
        start = max(start, inner.top)
    align = shape.paragraphs[0].align
    side = inner.right - wide if align == "r" else inner.left
    side = (inner.left + inner.right - wide) / 2 if align == "ctr" or not shape.wraps else side
    return Box(side, start, side + wide, start + high)


def size_of(paragraphs: tuple[Paragraph, ...], room: float) -> tuple[float, float]:
    """The width and height in points that `paragraphs` take when they are set in lines of at most `room` points."""
    wide = high = 0.0
    for number, paragraph in enumerate(paragraphs):
        kind = paragraph.type
        size = max((each.size for text, each in paragraph.types if text.strip()), default=kind.size)
        column = max(room - paragraph.indent, size)
        lines = max(lines_of(paragraph.text, size, column, kind.font, kind.bold), 1)
        widest = max(width_of(line, kind.font, kind.bold) * size for line in paragraph.text.split("\n"))
        wide = max(wide, paragraph.indent + min(column, widest))
        high += lines * size * line_height(paragraph.text, kind.font, kind.bold) * paragraph.spacing
        high += paragraph.after + (paragraph.before if number else 0.0)
    return wide, high


def row_height(row: tuple[Cell, ...]) -> float:
    """The height in points that a row of a table takes: at least its own, more where text needs it."""
    needed = (size_of(cell.paragraphs, max(cell.box.width - 14.4, 1.0))[1] + 7.2 for cell in row if cell.text)
    return max((*needed, *(cell.box.height for cell in row)), default=0.0)


def ground(slide: Slide, shape: Shape) -> tuple[str, ...] | None:
    """The colours behind the text of `shape`, None when they cannot be told from the file (a picture)."""
    if shape.fill is None or shape.fill:
        return shape.fill
    text = written(shape)
    for other in reversed((*slide.backdrop, *slide.shapes[: _index(slide, shape)])):
        if other.kind in ("picture", "text", "title", "other", "table") and text.share_of(other.box) >= _COVERS:
            if other.kind == "table":
                return None
            if other.fill is None or other.fill:
                return other.fill
    return slide.background


def covered(slide: Slide, shape: Shape) -> Shape | None:
    """What stands before the text of `shape` and hides it, or None."""
    text = written(shape)
    for other in slide.shapes[_index(slide, shape) + 1:]:
        opaque = other.kind == "picture" or (other.kind in ("text", "other") and (other.fill is None or other.fill))
        if opaque and not other.turned and text.share_of(other.box) >= _COVERS:
            return other
    return None


def legibility(slide: Slide, shape: Shape) -> float | None:
    """The lowest contrast ratio of the text of `shape` with what is behind it, None when that cannot be told."""
    behind = ground(slide, shape)
    colours = {kind.colour for p in shape.paragraphs for text, kind in p.types if text.strip() and kind.colour}
    if CLEAR in colours:
        return 1.0
    if not behind or not colours:
        return None
    return min(contrast(colour, back) for colour in colours for back in behind)


def why_unseen(slide: Slide, shape: Shape) -> str:
    """Why no person can see the text of `shape`; empty if one can."""
    if slide.hidden:
        return "the slide is hidden"
    if shape.hidden:
        return "it is hidden"
    seen = written(shape).share_of(slide.box) if shape.text else shape.box.share_of(slide.box)
    if seen < _ON_SLIDE and (shape.box.width or shape.box.height):
        return "it is off the slide"
    if shape.text:
        if max((p.type.size for p in shape.paragraphs if p.text.strip()), default=0.0) < TINY:
            return f"its type is {shape.paragraphs[0].size:g} points"
        ratio = legibility(slide, shape)
        if ratio is not None and ratio < UNREADABLE:
            return f"its text stands on its own colour (contrast {ratio:.1f})"
        before = covered(slide, shape)
        if before is not None:
            return f"{before.id} covers it"
    return ""


def as_seen(deck: DeckContent) -> tuple[DeckContent, tuple[Unseen, ...]]:
    """The deck without what nobody can see, and what that is."""
    unseen = [Unseen(slide, shape, why) for slide in deck.slides for shape in slide.shapes
              if (shape.says or shape.chart or shape.kind == "picture") and (why := why_unseen(slide, shape))]
    gone = {found.shape.id for found in unseen}
    slides = tuple(replace(s, shapes=tuple(shape for shape in s.shapes if shape.id not in gone)) for s in deck.slides)
    return (replace(deck, slides=slides) if gone else deck), tuple(unseen)


def texts(slide: Slide) -> Iterator[Shape]:
    """The shapes of a slide that hold text of their own."""
    return (shape for shape in slide.shapes if shape.text and shape.kind in ("title", "text"))


def _index(slide: Slide, shape: Shape) -> int:
    return next(i for i, other in enumerate(slide.shapes) if other is shape)
