"""New slides struck from a stencil, and parts named by counting.

python-pptx looks through the whole deck for every new slide and every new part, so a long deck takes quadratic time;
and every slide of a layout starts out the same.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pptx.chart.data import ChartData
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.parts.chart import ChartPart
from pptx.parts.embeddedpackage import EmbeddedXlsxPart
from pptx.parts.slide import SlidePart

from autorl.errors import ToolError

from .deck import Deck
from .surgery import into_section
from .targets import box_of
from .theme import fonts_of
from .values import Box

TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE)
BODIES = (PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.BODY)


@dataclass(frozen=True)
class Stencil:
    """A slide without text. boxes: where its placeholders stand, by their ids; fonts: of titles and of other text"""

    layout: Any
    element: Any
    boxes: dict[int, Box]
    fonts: tuple[str, str]


def strike(deck: Deck, *kinds: Any) -> tuple[Any, Stencil]:
    """A new last slide, of the first layout with a title of the first of `kinds` and one text box of the others.

    By kind, since a stranger's deck has other names. Raises ToolError when there is no such layout.
    """
    if kinds not in deck.known:
        deck.known[kinds] = _stencil(deck.presentation, kinds)
    stencil: Stencil = deck.known[kinds]
    presentation = deck.presentation.part
    entries = deck.presentation.slides._sldIdLst
    name = PackURI(f"/ppt/slides/slide{len(entries) + 1}.xml")
    part = SlidePart(name, CONTENT_TYPE.PML_SLIDE, presentation.package, copy.deepcopy(stencil.element))
    part.relate_to(stencil.layout.part, RELATIONSHIP_TYPE.SLIDE_LAYOUT)
    # `relate_to` would first look whether the new part is related already.
    entry = entries.add_sldId(presentation.rels._add_relationship(RELATIONSHIP_TYPE.SLIDE, part))
    into_section(deck.presentation, entry.id)
    return part.slide, stencil


def _stencil(presentation: Any, kinds: Sequence[Any]) -> Stencil:
    """Made once by python-pptx, on a slide that goes away again."""
    slide = presentation.slides.add_slide(_layout(presentation, kinds))
    if kinds[0] is PP_PLACEHOLDER.TITLE:  # the title slide of a deck carries none
        _number(slide)
    boxes = {shape.shape_id: box_of(shape) for shape in slide.placeholders}
    entry = presentation.slides._sldIdLst[-1]
    presentation.part.drop_rel(entry.rId)
    entry.getparent().remove(entry)
    return Stencil(slide.slide_layout, slide.element, boxes, fonts_of(slide))


def _layout(presentation: Any, kinds: Sequence[Any]) -> Any:
    for layout in presentation.slide_layouts:
        found = [shape.placeholder_format.type for shape in layout.placeholders]
        bodies = [kind for kind in found if kind in (*BODIES, PP_PLACEHOLDER.SUBTITLE)]
        if kinds[0] in found and len(bodies) == 1 and bodies[0] in kinds[1:]:
            return layout
    raise ToolError("the deck has no layout with a title and one text box", "Start a deck of your own")


def _number(slide: Any) -> None:
    """Slides do not inherit the slide number of their layout; it is copied, as PowerPoint does."""
    for shape in slide.slide_layout.placeholders:
        if shape.placeholder_format.type == PP_PLACEHOLDER.SLIDE_NUMBER:
            twin = copy.deepcopy(shape.element)
            twin.nvSpPr.cNvPr.set("id", str(max(s.shape_id for s in slide.shapes) + 1))
            slide.shapes._spTree.append(twin)


def chart_part(deck: Deck, kind: Any, data: ChartData, look: Any = None) -> ChartPart:
    """A new chart with its workbook, as python-pptx makes them; their names are the next that the deck has not.

    look: the element of a chart of the same kind and size, whose looks it gets
    """
    package = deck.presentation.part.package
    element = parse_xml(data.xml_bytes(kind))
    chart = ChartPart(_next_name(deck, ChartPart.partname_template), CONTENT_TYPE.DML_CHART, package,
                      element if look is None else _dressed_as(look, element))
    chart.chart_workbook.xlsx_part = EmbeddedXlsxPart(
        _next_name(deck, EmbeddedXlsxPart.partname_template), CONTENT_TYPE.SML_SHEET, package,
        data._workbook_writer.xlsx_blob)
    return chart


def _dressed_as(look: Any, element: Any) -> Any:
    """A copy of `look` with the data of `element`."""
    made = copy.deepcopy(look)
    for old, new in zip(made.iterfind(".//{*}ser"), element.iterfind(".//{*}ser"), strict=True):
        for name in ("tx", "cat", "val"):
            old.replace(old.find(f"{{*}}{name}"), new.find(f"{{*}}{name}"))
    return made


def _next_name(deck: Deck, pattern: str) -> PackURI:
    """Asked of the package once, and counted from there."""
    package = deck.presentation.part.package
    if pattern not in deck.known:
        stem = pattern.partition("%")[0]
        names = [str(part.partname) for part in package.iter_parts() if str(part.partname).startswith(stem)]
        digits = [name[len(stem):].partition(".")[0] for name in names]
        deck.known[pattern] = max((int(each) for each in digits if each.isdigit()), default=0)
    deck.known[pattern] += 1
    return PackURI(pattern % deck.known[pattern])
