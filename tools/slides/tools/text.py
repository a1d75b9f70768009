"""Text written: titles, bullets, text boxes, and runs with their looks."""

from typing import Annotated, Any, Literal

from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Pt
from pydantic import BaseModel, ConfigDict, Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..objects import object_id, slide_named
from ..parameters import Colour, ObjectRef, Place, SlideRef, paint
from ..targets import address, of_kind, put, spot, told, tried
from ..typeset import (
    direct,
    fill,
    filled,
    inline,
    paragraphs_of,
    runs_of,
    settle,
)
from ..values import TITLES
from ..wording import clean, without_bullet

Text = Annotated[str, Field(min_length=1, max_length=3000)]
Size = Annotated[float, Field(ge=9, le=200, description="in points")]
Align = Literal["left", "center", "right", "justify"]
ALIGNS = {"left": PP_ALIGN.LEFT, "center": PP_ALIGN.CENTER, "right": PP_ALIGN.RIGHT, "justify": PP_ALIGN.JUSTIFY}
_BODIES = (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.SUBTITLE)
_LARGEST = 20
_TITLE_LEAST = 18
_FULL_LEVELS = (20, 18, 16, 16, 16)
_INDENT = 18 * 12_700


class Bullet(BaseModel):
    """level: 0 for a point, 1 for one below it, and so on"""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=500)]
    level: Annotated[int, Field(ge=0, le=4)] = 0


class Run(BaseModel):
    """Text in one look."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=1000)]
    bold: bool | None = None
    italic: bool | None = None
    underline: bool | None = None
    colour: Colour | None = None
    size: Size | None = None
    link: Annotated[str, Field(max_length=2000, description="https://..., http://... or mailto:...")] | None = None


@tool
def set_title(slide: SlideRef, title: Annotated[str, Field(min_length=1, max_length=200)], context: RunContext) -> str:
    """Write the title of a slide, set to fit its place.

    title: says what the slide tells
    """
    heading = filled("the title", title)
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        with tried(page):
            shape = _title_of(number, page)
            fill(shape.text_frame, [heading])
            size = settle(page, shape, _TITLE_LEAST)
    return f"Slide {number} has the title '{heading}' ({object_id(page, shape)}, {size:g} points)."


@tool
def set_bullets(
    target: Annotated[int | str, Field(description="a slide (its number or id), or an object such as s3.5")],
    bullets: Annotated[list[Bullet | Annotated[str, Field(min_length=1, max_length=500)]],
                       Field(min_length=1, max_length=40)],
    context: RunContext,
) -> str:
    """Write bullets into the text box of a slide, in place of what it says.

    bullets: texts, or {text, level} for points below points
    """
    given = [one if isinstance(one, Bullet) else Bullet(text=one) for one in bullets]
    texts = [filled(f"bullet {n}", without_bullet(clean(one.text))) for n, one in enumerate(given, start=1)]
    with changing(context.workspace) as deck:
        if "." in str(target):
            found = of_kind(deck.presentation, str(target), "text")
            number, page, shape = found.number, found.slide, found.shape
        else:
            number, page = slide_named(deck.presentation, target)
            shape = _body_of(number, page)
        with tried(page):
            fill(shape.text_frame, texts, levels=[one.level for one in given])
            if not shape.is_placeholder:
                _mark(shape.text_frame)
            size = settle(page, shape)
        note = told(number, page, shape)
    count = f"{len(texts)} bullet{'s' if len(texts) != 1 else ''}"
    return f"{object_id(page, shape)} on slide {number} has {count}, the largest type {size:g} points.{note}"


@tool
def add_text(
    slide: SlideRef, text: Text, context: RunContext, place: Place | None = None, size: Size | None = None,
    bold: bool = False, italic: bool = False, colour: Colour | None = None, align: Align = "left",
    anchor: Literal["top", "middle", "bottom"] = "top",
) -> str:
    """Add a text box.

    text: a line end starts a paragraph
    place: a region or a rectangle; if left out, the empty placeholder or the area for content
    size: if left out, the largest up to 20 points that fits
    """
    lines = paragraphs_of("the text", text)
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        room = spot(deck.presentation, page, place)
        with tried(page):
            shape = page.shapes.add_textbox(0, 0, 0, 0)
            cleared = room.clear()  # after, so that no id is given again
            put(shape, room.box)
            fill(shape.text_frame, lines, size if size is not None else _LARGEST)
            shape.text_frame._txBody.bodyPr.set("anchor", {"top": "t", "middle": "ctr", "bottom": "b"}[anchor])
            for run in runs_of(shape._element.txBody):
                dress(run.font, bold=bold or None, italic=italic or None, colour=colour)
            if align != "left":
                for paragraph in shape.text_frame.paragraphs:
                    paragraph.alignment = ALIGNS[align]
            set_at = settle(page, shape, keep=size is not None)
        note = told(number, page, shape)
    return f"Text box {object_id(page, shape)} added to slide {number}, in {set_at:g} points.{cleared}{note}"


@tool
def write_text(
    object: ObjectRef,
    paragraphs: Annotated[list[Annotated[list[Run], Field(min_length=1, max_length=60)]],
                          Field(min_length=1, max_length=60)],
    context: RunContext,
    align: Align | None = None,
) -> str:
    """Write the text of a shape, text box or placeholder anew, with looks and links within a line.

    paragraphs: each a list of runs such as {"text": "Honey", "bold": true}
    align: of all paragraphs
    """
    if not any(clean(run.text) for runs in paragraphs for run in runs):
        raise ToolError("the text is empty", "Write some words, or call delete_object")
    links = {run.link: address(run.link) for runs in paragraphs for run in runs if run.link}
    fixed = any(run.size is not None for runs in paragraphs for run in runs)
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "text")
        page, shape = found.slide, found.shape
        with tried(page):
            fill(shape.text_frame, [""] * len(paragraphs))
            for paragraph, runs in zip(shape.text_frame.paragraphs, paragraphs, strict=True):
                paragraph.clear()
                for given in runs:
                    run = paragraph.add_run()
                    run.text = inline(given.text)
                    dress(run.font, given.bold, given.italic, given.underline, given.colour, given.size)
                    if given.link:
                        run.hyperlink.address = links[given.link]
                direct(paragraph, paragraph.text)
                if align is not None:
                    paragraph.alignment = ALIGNS[align]
            size = settle(page, shape, keep=fixed)
        note = told(found.number, page, shape)
    return f"{object_id(page, shape)} is written, the largest type {size:g} points.{note}"


def dress(font: Any, bold: bool | None = None, italic: bool | None = None, underline: bool | None = None,
          colour: str | None = None, size: float | None = None, name: str | None = None) -> None:
    for attribute, value in (("bold", bold), ("italic", italic), ("underline", underline)):
        if value is not None:
            setattr(font, attribute, value)
    if colour is not None:
        paint(font.color, colour)
    if size is not None:
        font.size = Pt(size)
    if name is not None:
        font.name = clean(name)


def _title_of(number: int, slide: Any) -> Any:
    """The title's shape; made anew if the slide has lost it. Raises ToolError where the layout has none."""
    if slide.shapes.title is not None:
        return slide.shapes.title
    twin = next((s for s in slide.slide_layout.placeholders if s.placeholder_format.type in TITLES), None)
    if twin is None:
        raise ToolError(f"slide {number} has the layout '{slide.slide_layout.name}', which has no title",
                        "Use another layout, or add_text")
    slide.shapes.clone_placeholder(twin)
    tree = slide.shapes._spTree
    tree.insert(2, tree[-1])  # first, where a reader looks for it
    return slide.shapes.title


def _body_of(number: int, slide: Any) -> Any:
    """The text box that bullets of the slide go into. Raises ToolError if that is not plain."""
    bodies = [s for s in slide.placeholders if s.placeholder_format.type in _BODIES and s.has_text_frame]
    empty = [s for s in bodies if not clean(s.text_frame.text)]
    if not bodies:
        raise ToolError(f"slide {number} has no text box for bullets", "Make one with add_text and give its id")
    if not empty and len(bodies) > 1:
        ids = ", ".join(object_id(slide, s) for s in bodies)
        raise ToolError(f"slide {number} has {len(bodies)} text boxes, none of them empty", f"Give one of {ids}")
    return (empty or bodies)[0]


def _mark(frame: Any) -> None:
    """Bullets for a frame whose styles have none."""
    for paragraph in frame.paragraphs:
        properties = paragraph._p.get_or_add_pPr()
        properties.set("marL", str(_INDENT * (paragraph.level + 1)))
        properties.set("indent", str(-_INDENT))
        for tag in ("buFont", "buChar", "buNone", "buAutoNum"):
            for old in properties.findall(f"{{*}}{tag}"):
                properties.remove(old)
        for mark in ('buFont %s typeface="Arial"', 'buChar %s char="•"'):
            fresh = parse_xml(f"<a:{mark % nsdecls('a')}/>")
            properties.insert_element_before(fresh, "a:tabLst", "a:defRPr", "a:extLst")
        for run in paragraph.runs:
            run.font.size = Pt(_FULL_LEVELS[paragraph.level])


TOOLS = [set_title, set_bullets, add_text, write_text]
