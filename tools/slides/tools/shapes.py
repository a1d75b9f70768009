"""Shapes, lines and connectors, how they look, and where a click on them leads."""

from typing import Annotated, Any, Literal

from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Pt
from pydantic import BaseModel, ConfigDict, Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..connecting import PRESETS, arrow, join, run
from ..deck import changing
from ..geometry import OUTLINES
from ..objects import object_id, slide_named
from ..parameters import Colour, ObjectRef, Place, SlideRef, box_at, paint
from ..reading import read_slide
from ..sight import ground, legibility
from ..targets import (
    READABLE,
    address,
    describe,
    described,
    hexadecimal,
    ink_on,
    kind_of,
    of_kind,
    on_one_slide,
    put,
    told,
    tried,
)
from ..typeset import fill as write
from ..typeset import paragraphs_of, runs_of, settle
from .text import ALIGNS, Align, Size

Kind = Literal[tuple(OUTLINES)]
ColourOrNone = Annotated[str, Field(max_length=12, description="RRGGBB, background, text, accent1 to accent6, or none")]
Width = Annotated[float, Field(ge=0.25, le=40, description="in points")]
Transparency = Annotated[float, Field(ge=0, le=100, description="in percent; 0 is solid")]
_LARGEST_TEXT = 20
_ROOMY = ("rectangle", "rounded rectangle", "callout")
_TIGHT = 3.0  # points around the text, where the outline leaves it little room


class Point(BaseModel):
    """In points from the slide's top left corner."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    x: float
    y: float


@tool
def add_shape(
    slide: SlideRef, kind: Kind, place: Place, context: RunContext,
    text: Annotated[str, Field(max_length=1000)] = "", fill: ColourOrNone = "accent1", line: ColourOrNone = "none",
    line_width: Width = 1.5, size: Size | None = None, bold: bool = False, colour: Colour | None = None,
    align: Align = "center", alt: Annotated[str, Field(max_length=1000)] = "",
) -> str:
    """Draw a shape, with text in it if there is any.

    kind: pentagon is a block that points to the right, for steps
    text: a line end starts a paragraph
    size: of the text; if left out, the largest up to 20 points that fits
    colour: of the text; if left out, one that reads on the fill
    alt: what the shape shows, where it says nothing itself
    """
    lines = paragraphs_of("the text", text) if text else []
    about = described(alt) if alt else ""
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        box = box_at(deck.presentation, page, place)
        for name in (fill, line, colour):
            if name not in (None, "none"):
                hexadecimal(page, name)
        with tried(page):
            shape = page.shapes.add_shape(MSO_SHAPE.from_xml(OUTLINES[kind].preset), 0, 0, 0, 0)
            put(shape, box)
            _without_shadow(shape)
            _fill(shape, fill)
            _line(shape, line, line_width if line != "none" else None)
            if lines:
                write(shape.text_frame, lines, size if size is not None else _LARGEST_TEXT)
                if kind not in _ROOMY:
                    _tighten(shape.text_frame)
                for paragraph in shape.text_frame.paragraphs:
                    paragraph.alignment = ALIGNS[align]
                for each in runs_of(shape._element.txBody):
                    each.font.bold = bold or None
                    paint(each.font.color, colour or _ink(number, page, shape))
                settle(page, shape, keep=size is not None)
        if about:
            describe(shape, about)
        note = told(number, page, shape)
    return f"{kind.capitalize()} {object_id(page, shape)} added to slide {number}.{note}"


@tool
def add_line(
    slide: SlideRef, start: Point, end: Point, context: RunContext, colour: Colour = "text", width: Width = 1.5,
    arrow_at: Literal["none", "end", "start", "both"] = "none",
) -> str:
    """Draw a straight line between two points.

    start, end: in points from the slide's top left corner
    """
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        hexadecimal(page, colour)
        for point in (start, end):
            _on_slide(deck.presentation, point)
        shape = page.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
        run(shape, ((start.x, start.y), (end.x, end.y)))
        _line(shape, colour, width)
        arrow(shape, arrow_at in ("start", "both"), arrow_at in ("end", "both"))
    return f"Line {object_id(page, shape)} added to slide {number}."


@tool
def add_connector(
    start: ObjectRef, end: ObjectRef, context: RunContext, kind: Literal["straight", "elbow", "curved"] = "straight",
    arrow_at: Literal["none", "end", "start", "both"] = "end", colour: Colour = "text", width: Width = 1.5,
) -> str:
    """Join two objects of a slide by a line that stays with them when they move.

    start, end: the two objects
    """
    with changing(context.workspace) as deck:
        first, last = on_one_slide(deck.presentation, [start, end])
        for found in (first, last):
            if kind_of(found.shape) in ("connector", "group"):
                id = object_id(found.slide, found.shape)
                raise ToolError(f"nothing can be joined to {id}, which is a line or a group",
                                "Name two shapes, pictures, tables or charts")
        page = first.slide
        hexadecimal(page, colour)
        shape = page.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
        shape._element.find("{*}spPr/{*}prstGeom").set("prst", PRESETS[kind])
        join(shape, first.shape, last.shape)
        _line(shape, colour, width)
        arrow(shape, arrow_at in ("start", "both"), arrow_at in ("end", "both"))
    return f"Connector {object_id(page, shape)} joins {start} and {end}."


@tool
def style_object(
    object: ObjectRef, context: RunContext, fill: ColourOrNone | None = None, line: ColourOrNone | None = None,
    line_width: Width | None = None, transparency: Transparency | None = None,
    dash: Literal["solid", "dash", "dot"] | None = None, shadow: Literal["off"] | None = None,
) -> str:
    """Change fill and outline of a shape, the frame of a picture, or the look of a line; what is left out stays.

    fill: of a shape; its text gets a colour that reads on it, if the one it has does not
    transparency: of the fill
    """
    if all(each is None for each in (fill, line, line_width, transparency, dash, shadow)):
        raise ToolError("nothing to change was given", "Give fill, line, line_width, transparency, dash or shadow")
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "text", "picture", "connector")
        shape, page = found.shape, found.slide
        kind = kind_of(shape)
        if kind != "text" and (fill is not None or transparency is not None):
            raise ToolError(f"{object} is a {'line' if kind == 'connector' else kind} and has no fill",
                            "Give line, line_width or dash")
        if kind == "connector" and line == "none":
            raise ToolError("a line without a colour cannot be seen", "Call delete_object, or give a colour")
        for name in (fill, line):
            if name not in (None, "none"):
                hexadecimal(page, name)
        note = ""
        with tried(page):
            if fill is not None:
                _fill(shape, fill)
            if transparency is not None:
                _see_through(object, shape, transparency)
            _line(shape, line, line_width)
            if dash is not None:
                _dash(shape, dash)
            if shadow is not None:
                _without_shadow(shape)
            if fill is not None and kind == "text" and shape.text_frame.text:
                note = _reink(found.number, page, shape)
        note += told(found.number, page, shape)
    return f"{object} is styled.{note}"


@tool
def set_link(
    object: ObjectRef,
    to: Annotated[int | str, Field(description="https://..., http://..., mailto:..., a slide's number or id, or none")],
    context: RunContext,
) -> str:
    """Let a click on an object lead to a web page, a mail address or another slide.

    to: none takes the link away
    """
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "text", "picture", "connector")
        target = str(to).strip()
        inside = target.isdigit() or (target.startswith("s") and target[1:].isdigit())
        number, page = slide_named(deck.presentation, target) if inside else (0, None)
        url = "" if inside or target == "none" else address(target)
        action = found.shape.click_action
        if page is not None:
            action.target_slide = page
        else:
            action.target_slide = None
            action.hyperlink.address = url or None
    where = f"slide {number}" if page is not None else url
    return f"A click on {object} leads to {where} now." if where else f"{object} has no link any more."


def _tighten(frame: Any) -> None:
    frame.margin_left = frame.margin_top = frame.margin_right = frame.margin_bottom = Pt(_TIGHT)


def _without_shadow(shape: Any) -> None:
    """Not every viewer minds the empty list of effects alone."""
    shape.shadow.inherit = False
    reference = shape._element.find("{*}style/{*}effectRef")
    if reference is not None:
        reference.set("idx", "0")


def _fill(shape: Any, colour: str) -> None:
    if colour == "none":
        shape.fill.background()
    else:
        shape.fill.solid()
        paint(shape.fill.fore_color, colour)


def _line(shape: Any, colour: str | None, width: float | None) -> None:
    if colour == "none":
        shape.line.fill.background()
    elif colour is not None:
        paint(shape.line.color, colour)
    if width is not None and colour != "none":
        shape.line.width = Pt(width)


def _dash(shape: Any, kind: str) -> None:
    line = shape.line._get_or_add_ln()
    for old in line.findall("{*}prstDash"):
        line.remove(old)
    mark = parse_xml(f'<a:prstDash {nsdecls("a")} val="{ {"dot": "sysDot"}.get(kind, kind)}"/>')
    line.insert_element_before(mark, "a:round", "a:bevel", "a:miter", "a:headEnd", "a:tailEnd", "a:extLst")


def _see_through(id: str, shape: Any, percent: float) -> None:
    """Raises ToolError where there is no plain fill."""
    holder = shape._element.spPr.find("{*}solidFill")
    if holder is None:
        raise ToolError(f"{id} has no fill of one colour to see through", "Give a fill with it")
    for old in holder[0].findall("{*}alpha"):
        holder[0].remove(old)
    if percent:
        holder[0].append(parse_xml(f'<a:alpha {nsdecls("a")} val="{round((100 - percent) * 1000)}"/>'))


def _ink(number: int, page: Any, shape: Any) -> str:
    """The colour for the text of a shape: by its fill, or by what lies behind it where it has none."""
    seen = read_slide(number, page)
    behind = ground(seen, seen.shape(object_id(page, shape)))
    return ink_on(page, *behind) if behind else "text"


def _reink(number: int, page: Any, shape: Any) -> str:
    """Give the text a colour that reads on the new fill, if it has none; what is to be told of it."""
    seen = read_slide(number, page)
    ratio = legibility(seen, seen.shape(object_id(page, shape)))
    if ratio is None or ratio >= READABLE:
        return ""
    ink = _ink(number, page, shape)
    for run_ in runs_of(shape._element.txBody):
        paint(run_.font.color, ink)
    return f" Its text has the colour {ink} now, to be read on it."


def _on_slide(presentation: Any, point: Point) -> None:
    wide, high = presentation.slide_width / 12_700, presentation.slide_height / 12_700
    if not (0 <= point.x <= wide and 0 <= point.y <= high):
        raise ToolError(f"the point {point.x:g}, {point.y:g} is not on the slide",
                        f"A slide of this deck is {wide:g} by {high:g} points")


TOOLS = [add_shape, add_line, add_connector, style_object, set_link]
