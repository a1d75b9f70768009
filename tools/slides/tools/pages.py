"""Slides as a whole: added, taken out, moved, doubled, hidden, and what lies behind and between them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from .. import surgery
from ..deck import changing
from ..drawing import title_of
from ..filling import add_slide as add_to
from ..filling import count_of_texts, describe, empty, fill, furniture_like, layout_named, role_of
from ..ground import TRANSITIONS, paint_ground, picture_ground, transition
from ..images import open_picture
from ..objects import object_id, slide_id, slide_named
from ..parameters import Colour, SlideRef
from ..targets import hexadecimal
from ..wording import clean

_MOST_SLIDES = 500
Title = Annotated[str, Field(max_length=200)]
Line = Annotated[str, Field(max_length=1_000)]
Lines = Annotated[list[Line], Field(max_length=40)]
Texts = Annotated[list[Lines], Field(max_length=12)] | Annotated[dict[str, Lines], Field(max_length=12)]
Notes = Annotated[str, Field(max_length=10_000)]
Number = Annotated[int, Field(ge=1)]
EverySlide = Annotated[int | str, Field(description="its number, its id such as s3, or all")]


@tool
def add_slide_by_layout(
    layout: Annotated[str, Field(min_length=1, max_length=200)],
    context: RunContext,
    title: Title = "",
    texts: Texts = (),
    notes: Notes = "",
) -> str:
    """Add a slide at the end, with any layout of the deck.

    layout: a name or number from list_layouts
    title: its title; empty for a layout without one
    texts: lines for each text placeholder in order, or by its number; a tab before a line for each level down
    notes: what the speaker says
    """
    with changing(context.workspace) as deck:
        _room_for_one(deck)
        chosen = layout_named(deck.presentation, layout)
        lines = _by_number(chosen, texts)
        heading = clean(title)
        if heading and not any(role_of(shape) == "title" for shape in chosen.placeholders):
            raise ToolError(f"the layout '{chosen.name}' has no title",
                            f"It has {describe(chosen)}; leave the title out")
        last = next(reversed(list(deck.presentation.slides)), None)
        slide, places = add_to(deck.presentation, chosen)
        try:
            if heading:
                fill(slide, next(shape for shape in slide.placeholders if role_of(shape) == "title"), [heading])
            for number, said in lines.items():
                fill(slide, places[number - 1], said)
        except ToolError:
            surgery.delete(deck.presentation, slide)
            raise
        if last is not None:
            furniture_like(slide, last)
        if clean(notes):
            _write_notes(slide, notes)
        surgery.into_section(deck.presentation, slide.slide_id)
        count = len(deck)
    open_ones = [f"{object_id(slide, shape)} ({role_of(shape)})" for shape in empty(slide)]
    left = f" Still empty: {', '.join(open_ones)}; fill or delete them." if open_ones else ""
    return f"Slide {count} ({slide_id(slide)}) added with the layout '{chosen.name}'.{left}"


@tool
def delete_slide(slide: SlideRef, context: RunContext) -> str:
    """Delete a slide with everything on it."""
    with changing(context.workspace) as deck:
        number, chosen = slide_named(deck.presentation, slide)
        name = _named(number, chosen)
        linking = surgery.delete(deck.presentation, chosen)
        numbers = [number for number, other in enumerate(deck.presentation.slides, start=1) if other in linking]
    links = f" Links to it on slide {', '.join(map(str, numbers))} were removed." if numbers else ""
    return f"{name} deleted.{links} {_count(deck)}"


@tool
def move_slide(slide: SlideRef, to: Number, context: RunContext) -> str:
    """Move a slide to another place in the deck.

    to: the number that it gets
    """
    with changing(context.workspace) as deck:
        number, chosen = slide_named(deck.presentation, slide)
        _place(deck, to, len(deck))
        surgery.move(deck.presentation, chosen, to)
    return f"Slide {number} ({slide_id(chosen)}) is slide {to} now. {_count(deck)}"


@tool
def duplicate_slide(slide: SlideRef, context: RunContext, to: Number | None = None) -> str:
    """Make a copy of a slide that can be changed on its own; charts, notes and all.

    to: the number that the copy gets; right after the slide if left out
    """
    with changing(context.workspace) as deck:
        _room_for_one(deck)
        number, chosen = slide_named(deck.presentation, slide)
        _place(deck, to or 1, len(deck) + 1)
        commented = any(rel.reltype.endswith("/comments") for rel in chosen.part.rels.values())
        twin = surgery.duplicate(deck.presentation, chosen)
        if to is not None:
            surgery.move(deck.presentation, twin, to)
    note = " Its comments were not copied." if commented else ""
    return f"Slide {to or number + 1} ({slide_id(twin)}) is a copy of {slide_id(chosen)}.{note} {_count(deck)}"


@tool
def hide_slide(slide: SlideRef, context: RunContext, hidden: bool = True) -> str:
    """Leave a slide out of the show, or show it again.

    hidden: false to show it again
    """
    with changing(context.workspace) as deck:
        number, chosen = slide_named(deck.presentation, slide)
        if hidden:
            chosen.element.set("show", "0")
        else:
            chosen.element.attrib.pop("show", None)
    return f"{_named(number, chosen)} is {'left out of' if hidden else 'part of'} the show."


@tool
def set_notes(slide: SlideRef, notes: Notes, context: RunContext) -> str:
    """Replace the speaker notes of a slide.

    notes: a line for each paragraph; empty to remove them
    """
    with changing(context.workspace) as deck:
        number, chosen = slide_named(deck.presentation, slide)
        if chosen.has_notes_slide and chosen.notes_slide.notes_text_frame is None:
            raise ToolError(f"the notes page of slide {number} has no place for text", "Leave its notes as they are")
        if chosen.has_notes_slide or clean(notes):
            _write_notes(chosen, notes)
    return f"Notes of slide {number} {'set' if clean(notes) else 'removed'}."


@tool
def set_background(
    slide: EverySlide,
    context: RunContext,
    colour: Colour | None = None,
    picture: Annotated[str, Field(min_length=1, max_length=500)] | None = None,
) -> str:
    """Set the background of a slide to a colour or a picture; with neither, the layout's comes back.

    picture: a file with a picture, shown from edge to edge
    """
    if colour is not None and picture is not None:
        raise ToolError("a background is either a colour or a picture", "Give one of them")
    with changing(context.workspace) as deck:
        chosen = _chosen(deck, slide)
        wide, high = deck.presentation.slide_width / 12_700, deck.presentation.slide_height / 12_700
        image = open_picture(context.workspace, picture, wide, high) if picture is not None else None
        if colour is not None and chosen:
            hexadecimal(chosen[0], colour)  # refuses what is none
        for each in chosen:
            if image is not None:
                picture_ground(each, image, wide / high)
            else:
                paint_ground(each, colour)
    what = f"the picture '{picture}'" if picture else f"the colour {colour}" if colour else "that of the layout"
    done = image.told if image is not None else ""
    return (f"The background of {_which(slide, chosen)} is {what} now.{done} "
            "Look whether the text on it still reads well.")


@tool
def set_transition(
    slide: EverySlide,
    kind: Literal["none", "fade", "push", "wipe", "cut", "split", "cover", "dissolve"],
    context: RunContext,
    seconds: Annotated[float, Field(ge=0.1, le=10)] = 0.7,
) -> str:
    """Set how a slide comes in.

    kind: the effect
    seconds: how long it takes
    """
    with changing(context.workspace) as deck:
        chosen = _chosen(deck, slide)
        for each in chosen:
            transition(each, TRANSITIONS.get(kind), seconds)
    effect = f"'{kind}' in {seconds:g} s" if kind != "none" else "no effect"
    return f"The transition to {_which(slide, chosen)} is {effect} now."


def _by_number(layout: Any, texts: list[list[str]] | dict[str, list[str]]) -> dict[int, list[str]]:
    """Lines by the number of the placeholder, from 1. Raises ToolError for what the layout has no place for."""
    places = range(1, count_of_texts(layout) + 1)
    if isinstance(texts, dict):
        wrong = next((name for name in texts if name.strip() not in map(str, places)), None)
        if wrong is not None:
            raise ToolError(f"the layout '{layout.name}' has no text placeholder '{wrong}'",
                            f"It has {describe(layout)}")
        found = {int(name): lines for name, lines in texts.items()}
    else:
        if len(texts) > len(places):
            raise ToolError(f"there are {len(texts)} texts for the {len(places)} text placeholders of '{layout.name}'",
                            f"It has {describe(layout)}")
        found = dict(zip(places, texts, strict=False))
    cleaned = {number: [_levelled(line) for line in lines if clean(line)] for number, lines in found.items()}
    return {number: lines for number, lines in cleaned.items() if lines}


def _levelled(line: str) -> str:
    return "\t" * (len(line) - len(line.lstrip("\t"))) + clean(line)


def _write_notes(slide: Any, notes: str) -> None:
    slide.notes_slide.notes_text_frame.text = "\n".join(clean(line) for line in notes.splitlines()).strip("\n")


def _chosen(deck: Any, slide: int | str) -> list[Any]:
    if str(slide).strip().lower() == "all":
        return list(deck.presentation.slides)
    return [slide_named(deck.presentation, slide)[1]]


def _which(slide: int | str, chosen: list[Any]) -> str:
    return f"all {len(chosen)} slides" if str(slide).strip().lower() == "all" else f"slide {slide}"


def _room_for_one(deck: Any) -> None:
    if len(deck) >= _MOST_SLIDES:
        raise ToolError(f"the deck has {len(deck)} slides already", "Delete one first, or start another deck")


def _place(deck: Any, to: int, most: int) -> None:
    if not 1 <= to <= most:
        raise ToolError(f"there is no place {to}", f"Give a number from 1 to {most}")


def _named(number: int, slide: Any) -> str:
    title = clean(title_of(slide))
    return f"Slide {number} ({slide_id(slide)})" + (f" '{title[:60]}'" if title else "")


def _count(deck: Any) -> str:
    return f"Slides: {len(deck)}."


TOOLS = [add_slide_by_layout, delete_slide, move_slide, duplicate_slide, hide_slide, set_notes, set_background,
         set_transition]
