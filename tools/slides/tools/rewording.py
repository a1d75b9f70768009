"""Text that stands already: its look, its words; and what is said of objects to those who cannot see them."""

from typing import Annotated, Any

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..objects import object_id, slide_named, walk
from ..parameters import Colour, ObjectRef, SlideRef
from ..rewriting import replace_in, runs_saying, says
from ..tables import refit
from ..targets import describe, described, kind_of, of_kind, told, tried
from ..typeset import fitting, freeze, inline, settle, views
from ..wording import clean
from .text import ALIGNS, Align, Size, dress

_SHOWN = 12


@tool
def format_text(
    object: ObjectRef, context: RunContext, match: Annotated[str, Field(max_length=500)] = "",
    bold: bool | None = None, italic: bool | None = None, underline: bool | None = None, size: Size | None = None,
    colour: Colour | None = None, font: Annotated[str, Field(min_length=1, max_length=60)] | None = None,
    align: Align | None = None,
    line_spacing: Annotated[float, Field(ge=0.7, le=3, description="in lines, 1 for single")] | None = None,
) -> str:
    """Change how text looks: all of an object, or every place where it says some words.

    match: the words; all of the text if left out
    font: the name of a font; left out, the theme's stays
    align, line_spacing: of whole paragraphs
    """
    looks = (bold, italic, underline, colour, size, font)
    if all(each is None for each in (*looks, align, line_spacing)):
        raise ToolError("nothing to change was given", "Give bold, size, colour, font, align or another look")
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "text")
        page, shape = found.slide, found.shape
        frame = shape.text_frame
        if not clean(frame.text):
            raise ToolError(f"{object} has no text", "Call write_text first")
        if match and not any(says(p._p, match) for p in frame.paragraphs):
            raise ToolError(f"{object} does not say '{match}'", f"It says: {clean(frame.text)[:200]}")
        fitted = fitting(page, [shape])
        with tried(page):
            for paragraph in frame.paragraphs:
                runs = list(runs_saying(paragraph._p, match)) if match else paragraph.runs
                for run in runs:
                    dress(run.font, *looks)
                if runs and align is not None:
                    paragraph.alignment = ALIGNS[align]
                if runs and line_spacing is not None:
                    paragraph.line_spacing = line_spacing
            if size is not None or fitted - fitting(page, [shape]):
                freeze(frame)
                largest = settle(page, shape, keep=size is not None)
                note = "" if size is not None else f" To fit, it is set in {largest:g} points now."
            else:
                note = ""
        note += told(found.number, page, shape)
    where = f" where it says '{match}'" if match else ""
    return f"{object_id(page, shape)} is formatted{where}.{note}"


@tool(timeout=300)
def replace_text(
    find: Annotated[str, Field(min_length=1, max_length=500)], replace: Annotated[str, Field(max_length=1000)],
    context: RunContext, slide: SlideRef | None = None,
) -> str:
    """Replace words wherever the deck says them: titles, text, tables, groups and notes. Their look stays.

    find: as it is written, capitals and small letters too
    replace: empty to take the words out
    slide: only on that slide
    """
    new = inline(replace)
    with changing(context.workspace) as deck:
        pages = list(enumerate(deck.presentation.slides, start=1)) if slide is None \
            else [slide_named(deck.presentation, slide)]
        counts, notes = {}, []
        for number, page in pages:
            places = page.element.iter("{*}p")
            spoken = page.notes_slide.notes_text_frame if page.has_notes_slide else None
            places = [*places, *(spoken._txBody.iterchildren("{*}p") if spoken is not None else ())]
            if not any(says(place, find) for place in places):
                continue
            fitted = fitting(page, _texts(page))
            counts[number] = sum(replace_in(place, find, new) for place in places)
            notes += _mend(page, fitted)
        if not counts:
            where = "the deck" if slide is None else f"slide {pages[0][0]}"
            raise ToolError(f"{where} does not say '{find}'", "Capitals count; look at the text first")
    total = sum(counts.values())
    places = [f"{count} on slide {number}" for number, count in counts.items()]
    return f"Replaced {total} time{'s' if total != 1 else ''}: {_some(places, ', ')}.{_some(['', *notes], ' ')}"


@tool
def set_alt_text(object: ObjectRef, text: Annotated[str, Field(max_length=1000)], context: RunContext) -> str:
    """Say in words what an object shows, for those who cannot see it.

    text: one or two sentences
    """
    alt = described(text)
    with changing(context.workspace) as deck:
        describe(of_kind(deck.presentation, object).shape, alt)
    return f"{object.strip()} has the alt text '{alt[:80]}{'...' if len(alt) > 80 else ''}'."


def _some(parts: list[str], between: str) -> str:
    more = [f"and {len(parts) - _SHOWN} more"] if len(parts) > _SHOWN else []
    return between.join([*parts[:_SHOWN], *more])


def _texts(slide: Any) -> list[Any]:
    return [shape for _, shape in walk(slide.shapes) if kind_of(shape) == "text"]


def _mend(slide: Any, fitted: set[int]) -> list[str]:
    """Make what fitted before fit again; what is to be told of it."""
    notes = []
    over, seen = fitted - fitting(slide, _texts(slide)), views(slide)
    for _, shape in walk(slide.shapes):
        id = object_id(slide, shape)
        try:
            if kind_of(shape) == "table":
                refit(slide, shape)
            elif shape.shape_id in over:
                notes.append(f"{id} is set in {settle(slide, shape, seen=seen[id]):g} points now, to fit.")
        except ToolError as error:
            notes.append(f"{id} does not fit any more: {error.what}.")
    return notes


TOOLS = [format_text, replace_text, set_alt_text]
