"""The deck as it is: an outline, a slide object by object, and its picture."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from .. import reading
from ..deck import require
from ..objects import object_id, slide_named, walk
from ..parameters import SlideRef
from ..render import render
from ..values import Shape, Slide
from ..wording import clean

_ROOM = 3_400  # characters; below what an observation may have, so that nothing is cut from its middle
_LONGEST = 240
_MOST_ROWS, _MOST_VALUES = 12, 20
First = Annotated[int, Field(ge=1)]


@tool(read_only=True)
def read_deck(context: RunContext, first: First = 1) -> str:
    """Show the outline of the deck: each slide with its number, id, title, layout and what stands on it.

    first: the slide to start with
    """
    deck = require(context.workspace)
    slides = reading.read_slides(deck.presentation)
    lines = list(map(_outline, slides))
    return _shown(f"'{deck.name}' has {_many(len(slides), 'slide')}.", lines, first, "slide")


@tool(read_only=True)
def read_slide(slide: SlideRef, context: RunContext, first: First = 1) -> str:
    """Show a slide object by object: id, kind, place in points, text with type sizes, cells, values, links, notes.

    first: the object to start with, counted from the back
    """
    deck = require(context.workspace)
    number, chosen = slide_named(deck.presentation, slide)
    found = reading.read_slide(number, chosen)
    links = _links(chosen)
    head = (f"Slide {_outline(found)}\n{found.width:.0f} by {found.height:.0f} points, "
            f"background {' to '.join(found.background)}, {_many(len(found.shapes), 'object')} from back to front:")
    tail = f"notes: {_cut(found.notes, 800)}" if found.notes else ""
    return _shown(head, ["\n".join(_detail(shape, links)) for shape in found.shapes], first, "object", tail)


@tool(timeout=180)
def render_slide(
    slide: SlideRef, context: RunContext, width: Annotated[int, Field(ge=160, le=3840)] = 960
) -> str:
    """Make a picture of a slide, as a file in the workspace.

    width: of the picture, in pixels
    """
    workspace = context.workspace
    deck = require(workspace)
    number, _ = slide_named(deck.presentation, slide)
    workspace.settle()
    rendering = render(workspace.root / deck.name)
    page = rendering.pages[number - 1]
    picture = rendering.picture(number, round(width * max(1.0, page.height / page.width)))
    name = f"{PurePath(deck.name).with_suffix('').as_posix()}-slide-{number}.png"
    workspace.write(name, picture)
    return f"Wrote '{name}' ({width} pixels wide, {len(picture) // 1000} kB)."


def _outline(slide: Slide) -> str:
    counts = [("line", len(slide.points)), ("table", sum(shape.kind == "table" for shape in slide.shapes)),
              ("chart", len(slide.charts)), ("picture", sum(shape.kind == "picture" for shape in slide.shapes)),
              ("other object", sum(shape.kind in ("line", "other") for shape in slide.shapes))]
    parts = [_many(count, name) for name, count in counts if count]
    parts += ["notes"] * bool(slide.notes) + ["hidden"] * slide.hidden
    title = f"'{_cut(slide.title, 80)}'" if slide.title else "without a title"
    return f"{slide.number} ({slide.id}) {title} [{clean(slide.layout)}]: {', '.join(parts) or 'nothing else'}"


def _detail(shape: Shape, links: dict[str, list[str]]) -> Iterator[str]:
    box = shape.box
    marks = ["empty"] * (shape.placeholder is not None and shape.kind in ("text", "title") and not shape.text)
    marks += ["in a group"] * shape.grouped + ["hidden"] * shape.hidden
    marks += [f"turned by {shape.turned:g}°"] * bool(shape.turned)
    yield (f"{shape.id} {shape.kind} '{_cut(shape.name, 40)}' at left {box.left:.0f}, top {box.top:.0f}, "
           f"width {box.width:.0f}, height {box.height:.0f}" + "".join(f", {mark}" for mark in marks))
    for paragraph in shape.paragraphs:
        if clean(paragraph.text):
            yield f"  {'  ' * paragraph.level}- {_cut(clean(paragraph.text), _LONGEST)} ({paragraph.size:g} pt)"
    for row in shape.rows[:_MOST_ROWS]:
        yield f"  | {_cut(' | '.join(cell.text for cell in row), _LONGEST)}"
    if len(shape.rows) > _MOST_ROWS:
        yield f"  and {_many(len(shape.rows) - _MOST_ROWS, 'more row')}"
    if shape.chart:
        yield f"  {shape.chart.kind} of {_list(shape.chart.labels)}"
        for series in shape.chart.series:
            yield f"  {clean(series.name)}: {_list(['none' if v is None else f'{v:g}' for v in series.values])}"
    if shape.alt:
        yield f"  alt text: {_cut(clean(shape.alt), _LONGEST)}"
    for link in dict.fromkeys(links.get(shape.id, [])):
        yield f"  link: {_cut(link, _LONGEST)}"


def _links(slide: Any) -> dict[str, list[str]]:
    """The links of every object and its words, by id; one inside the deck as the slide's number and id."""
    numbers = {other.part: f"slide {number}" for number, other in
               enumerate(slide.part.package.presentation_part.presentation.slides, start=1)}
    found: dict[str, list[str]] = {}
    for _, shape in walk(slide.shapes):
        if hasattr(shape, "shapes"):
            continue
        for link in shape.element.iter("{*}hlinkClick"):
            name = link.get("{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id")
            relation = slide.part.rels.get(name) if name else None
            target = relation and (relation.target_ref if relation.is_external else numbers.get(relation.target_part))
            if said := target or link.get("action"):
                found.setdefault(object_id(slide, shape), []).append(clean(said))
    return found


def _shown(head: str, entries: list[str], first: int, name: str, tail: str = "") -> str:
    """As many entries from `first` as there is room for, and how to see the rest."""
    if first > max(len(entries), 1):
        raise ToolError(f"there is no {name} {first}", f"Give a number from 1 to {max(len(entries), 1)}")
    room = _ROOM - len(head) - len(tail)
    shown: list[str] = []
    for entry in entries[first - 1:]:
        if shown and len(entry) + 1 > room:
            break
        shown.append(entry if len(entry) <= room else f"{entry[:room]} ...")
        room -= len(entry) + 1
    following = first + len(shown)
    rest = [f"{_many(len(entries) - following + 1, f'more {name}')}; go on with first={following}"
            ] if following <= len(entries) else []
    return "\n".join([head, *shown, *rest, *([tail] if tail else [])])


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _list(values: Any) -> str:
    shown = ", ".join(clean(str(value)) for value in values[:_MOST_VALUES])
    more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
    return _cut(shown, 2 * _LONGEST) + more


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


TOOLS = [read_deck, read_slide, render_slide]
