"""Puts slides of the core group into a deck: text, tables and charts, each sized to what it holds."""

import copy
from collections.abc import Sequence
from typing import Any

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.util import Pt

from .chart_looks import dress
from .charts import KINDS, Series, data_of, in_words
from .deck import Deck
from .fit import size_for
from .stencil import BODIES, TITLES, Stencil, chart_part, strike
from .tables import draw, font_of, lay_out
from .targets import describe
from .typeset import fill
from .values import Box

_PAD = 182_880
_TABLE_SIZES = (22, 20, 18, 16, 14, 12, 11, 10)
_CHART_SIZE = 18


def add_opening(deck: Deck, title: str, subtitle: str) -> Any:
    """A title slide; an empty `subtitle` leaves no empty box behind."""
    slide, stencil = strike(deck, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.SUBTITLE)
    _write(stencil, slide.shapes.title, [title], (54, 48, 44, 40, 36, 32))
    box = _placeholder(slide, (PP_PLACEHOLDER.SUBTITLE,))
    if subtitle:
        _write(stencil, box, [subtitle], (26, 24, 22, 20, 18))
    else:
        box.element.getparent().remove(box.element)
    return slide


def add_bullets(deck: Deck, title: str, bullets: Sequence[str], notes: str = "") -> Any:
    """A slide with a title and bullets, and speaker notes if there are any."""
    slide, stencil = _content_slide(deck, title)
    # Few bullets stand further apart, so that a short slide does not look unfinished.
    _write(stencil, _placeholder(slide, BODIES), bullets, (32, 30, 28, 26, 24, 22, 20, 18, 16, 14),
           spacing=1.3 - 0.15 * len(bullets))
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    return slide


def add_table(deck: Deck, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A slide with a table under its title; the first row is the heading, columns as wide as their text."""
    slide, stencil = _content_slide(deck, title)
    box = _take_body(slide, stencil)
    lines = [columns, *rows]
    frame = draw(slide, box, lines, lay_out(lines, box, font_of(slide), _TABLE_SIZES))
    describe(frame, f"Table '{title}': {', '.join(columns)}; {len(rows)} rows")
    return slide


def add_chart(deck: Deck, title: str, kind: str, labels: Sequence[str], values: Sequence[float]) -> Any:
    """A slide with a chart of one series under its title. `kind` is bar, column, line or pie."""
    slide, stencil = _content_slide(deck, title)
    box = _take_body(slide, stencil)
    series = [Series(title, tuple(values))]
    # Dressing a chart takes longer than making it, and the next of its kind wears the same.
    worn = None if kind == "pie" else (kind, len(labels), min(values) < 0)
    look = deck.known.get(worn)
    part = chart_part(deck, KINDS[kind, "no"], data_of(labels, series), look)
    if look is None:
        part.chart.has_title = False
        dress(slide, part.chart, kind, series, _CHART_SIZE, labels=labels)
        if worn is not None:
            deck.known[worn] = copy.deepcopy(part._element)
    place = (Pt(length) for length in (box.left, box.top, box.width, box.height))
    element = slide.shapes._add_chart_graphicFrame(slide.part.relate_to(part, RELATIONSHIP_TYPE.CHART), *place)
    frame = slide.shapes._shape_factory(element)
    describe(frame, in_words(kind, title, labels, series))
    return slide


def title_of(slide: Any) -> str:
    """The text of a slide's title, empty if it has none."""
    return slide.shapes.title.text_frame.text if slide.shapes.title is not None else ""


def bullets_of(slide: Any) -> list[str]:
    """The texts of a slide's bullets."""
    boxes = [s for s in slide.placeholders if s.placeholder_format.type in BODIES and s.has_text_frame]
    return [paragraph.text for box in boxes for paragraph in box.text_frame.paragraphs]


def _content_slide(deck: Deck, title: str) -> tuple[Any, Stencil]:
    slide, stencil = strike(deck, PP_PLACEHOLDER.TITLE, *BODIES)
    _write(stencil, slide.shapes.title, [title], (34, 32, 30, 28, 26, 24))
    return slide, stencil


def _placeholder(slide: Any, kinds: Sequence[Any]) -> Any:
    return next(shape for shape in slide.placeholders if shape.placeholder_format.type in kinds)


def _take_body(slide: Any, stencil: Stencil) -> Box:
    """Remove the text box and return its place, for something else to stand there."""
    shape = _placeholder(slide, BODIES)
    shape.element.getparent().remove(shape.element)
    return stencil.boxes[shape.shape_id]


def _write(stencil: Stencil, shape: Any, paragraphs: Sequence[str], sizes: Sequence[int], spacing: float = 0.0) -> None:
    """Fill a text box at the largest of `sizes` (points) that fits; `spacing` is in parts of the size."""
    heading, body = stencil.fonts
    title = shape.placeholder_format.type in TITLES
    box = stencil.boxes[shape.shape_id]
    room = round(box.width * 12_700) - (1 if title else 3) * _PAD, round(box.height * 12_700) - _PAD  # bullets stand in
    size = size_for(paragraphs, room, sizes, spacing, heading if title else body, bold=title)
    fill(shape.text_frame, paragraphs, size)
    for paragraph in shape.text_frame.paragraphs[1:] if spacing else ():
        paragraph.space_before = Pt(size * spacing)
