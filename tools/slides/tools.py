"""The tools of the core group: few, with short descriptions and tight limits, so that a small model can use them."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool
from autorl.types import Check, Trajectory

from . import drawing
from .checker import report
from .deck import Deck, changing, current, require, starting
from .requirements import slides_asked
from .wording import clean, key, without_bullet

Title = Annotated[str, Field(min_length=1, max_length=60)]
Bullet = Annotated[str, Field(min_length=1, max_length=90)]
Cell = Annotated[str, Field(min_length=1, max_length=40)]
Label = Annotated[str, Field(min_length=1, max_length=24)]
EMPTY = "–"
REFUSALS = 2
"""Times that a title which stands in the deck is refused for a slide. A policy that insists gets it, so that one
bad title does not cost the whole deck; the check of the deck then names it."""
_REFUSED = "slides:refused"
Value = Annotated[float, Field(allow_inf_nan=False)]


def _not_started(context: RunContext) -> bool:
    return current(context.workspace) is None


def _has_room(context: RunContext) -> bool:
    deck, asked = current(context.workspace), slides_asked(context.task)
    return deck is not None and (asked is None or len(deck) < asked.most)


def _has_enough(context: RunContext) -> bool:
    deck, asked = current(context.workspace), slides_asked(context.task)
    return deck is not None and len(deck) >= max(2, asked.least if asked else 2)


@tool(available=_not_started)
def start_deck(
    title: Title, context: RunContext, subtitle: Annotated[str, Field(max_length=80)] = ""
) -> str:
    """Start the deck with its title slide.

    title: the topic
    subtitle: one line below it
    """
    heading = _filled("the title", title)
    with starting(context.workspace, heading) as deck:
        drawing.add_opening(deck.presentation, heading, clean(subtitle))
        deck.presentation.core_properties.title = heading
    return f"Deck '{deck.name}' started. {_progress(deck, context)}"


@tool(available=_has_room)
def add_slide(
    title: Title,
    bullets: Annotated[list[Bullet], Field(min_length=2, max_length=5)],
    context: RunContext,
    notes: Annotated[str, Field(max_length=200)] = "",
) -> str:
    """Add a slide with bullets.

    title: says what the slide is about
    bullets: one short point each
    notes: what the speaker says
    """
    points = [_filled(f"bullet {n}", without_bullet(clean(text))) for n, text in enumerate(bullets, start=1)]
    with changing(context.workspace) as deck:
        heading = _new_title(deck, title, context)
        new = _without_repeats(deck, points)
        drawing.add_bullets(deck.presentation, heading, new, clean(notes))
    left_out = [f"'{point}'" for point in points if point not in new]
    note = f" Without {', '.join(left_out)}, said before." if left_out else ""
    return _added(deck, heading, context) + note


@tool(available=_has_room)
def add_table(
    title: Title,
    columns: Annotated[list[Cell], Field(min_length=2, max_length=4)],
    rows: Annotated[list[Annotated[list[Cell], Field(min_length=2, max_length=4)]], Field(min_length=1, max_length=5)],
    context: RunContext,
) -> str:
    """Add a slide with a table.

    title: says what the table shows
    columns: the headings
    rows: one list of cells a row
    """
    headings = [_filled(f"column {n}", text) for n, text in enumerate(columns, start=1)]
    lines, notes = [], ""
    for number, row in enumerate(rows, start=1):
        cells = [_filled(f"row {number}, cell {n}", text) for n, text in enumerate(row, start=1)]
        if len(cells) != len(headings):
            # Nothing of it is lost, and the policy is told; a small one would not get it right when asked again.
            done = "the rest share the last" if len(cells) > len(headings) else "the rest stay empty"
            notes += f" Row {number} has {len(cells)} cells for {len(headings)} columns: {done}."
            last = len(headings) - 1
            cells = [*cells[:last], "; ".join(cells[last:]) or EMPTY]
            cells += [EMPTY] * (len(headings) - len(cells))
        lines.append(cells)
    with changing(context.workspace) as deck:
        heading = _new_title(deck, title, context)
        drawing.add_table(deck.presentation, heading, headings, lines)
    return _added(deck, heading, context) + notes


@tool(available=_has_room)
def add_chart(
    title: Title,
    kind: Literal["bar", "column", "line", "pie"],
    labels: Annotated[list[Label], Field(min_length=2, max_length=6)],
    values: Annotated[list[Value], Field(min_length=2, max_length=6)],
    context: RunContext,
) -> str:
    """Add a slide with a chart.

    title: says what is measured, and its unit
    kind: pie only for parts of a whole
    labels: names of the values
    values: one number a label
    """
    if len(labels) != len(values):
        raise ToolError(f"there are {len(labels)} labels but {len(values)} values", "Give one value a label")
    if kind == "pie" and (min(values) < 0 or sum(values) <= 0):
        raise ToolError(f"a pie cannot show {min(values):g}", "Give values above 0, or use kind 'column'")
    names = [_filled(f"label {n}", text) for n, text in enumerate(labels, start=1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ToolError(f"the label '{twice}' stands twice", "Give every value a label of its own")
    with changing(context.workspace) as deck:
        heading = _new_title(deck, title, context)
        drawing.add_chart(deck.presentation, heading, kind, names, values)
    return _added(deck, heading, context)


def _has_problems(context: RunContext) -> bool:
    return _has_enough(context) and bool(_problems(context))


@tool(available=_has_problems)
def check_deck(context: RunContext) -> str:
    """List what is still wrong with the deck."""
    deck = require(context.workspace)
    problems = _problems(context)
    if not problems:
        return f"No problems found. {_progress(deck, context)} Call save_deck to finish."
    lines = [f"{number}. {check.found}. {check.remedy}." for number, check in enumerate(problems, start=1)]
    return "\n".join((f"{_progress(deck, context)} To mend:", *lines))


@tool(ends_run=True, available=_has_enough)
def save_deck(context: RunContext) -> str:
    """Save the deck and finish, when all slides are there."""
    with changing(context.workspace) as deck:
        if len(deck) < 2:
            raise ToolError("the deck has a title slide only", "Call add_slide first")
        asked = slides_asked(context.task)
        if asked is not None and len(deck) < asked.least:
            raise ToolError(f"the deck has {len(deck)} of {asked} slides", f"Add {asked.least - len(deck)} more first")
    return f"Saved '{deck.name}'. {_progress(deck, context)}"


def _problems(context: RunContext) -> list[Check]:
    trajectory = Trajectory(id="check", task=context.task)
    return [check for check in report(context.task, trajectory, context.workspace) if not check.passed]


def _filled(what: str, text: str) -> str:
    """`text` cleaned. Raises ToolError when nothing that can be read is left of it."""
    text = clean(text)
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise ToolError(f"{what} is empty", "Write some words")
    return text


def _new_title(deck: Deck, title: str, context: RunContext) -> str:
    """The cleaned title. Refuses what this group of tools could not take back: a slide cannot be removed."""
    asked = slides_asked(context.task)
    if asked is not None and len(deck) >= asked.most:
        raise ToolError(f"the deck has all {asked.most} slides that the task asks for", "Call save_deck to finish")
    heading = _filled("the title", title)
    taken = _slide_with(deck, heading)
    refused = context.workspace.documents
    if taken is None or refused.get(_REFUSED) == (len(deck), REFUSALS):
        return heading
    slides, times = refused.get(_REFUSED, (len(deck), 0))
    refused[_REFUSED] = (len(deck), times + 1 if slides == len(deck) else 1)
    raise ToolError(f"slide {taken} has the title '{heading}' already", "Give this slide another title")


def _slide_with(deck: Deck, title: str) -> int | None:
    slides = enumerate(deck.presentation.slides, start=1)
    return next((number for number, slide in slides if key(drawing.title_of(slide)) == key(title)), None)


def _without_repeats(deck: Deck, points: Sequence[str]) -> list[str]:
    """The points that the deck does not make yet, each once. Raises ToolError if that leaves fewer than two."""
    said = {key(text): number for number, slide in enumerate(deck.presentation.slides, start=1)
            for text in drawing.bullets_of(slide)}
    new = {key(point): point for point in reversed(points) if key(point) not in said}
    if len(new) < min(2, len(points)):
        again = next((point for point in points if key(point) in said), points[-1])
        where = f"on slide {said[key(again)]} already" if key(again) in said else "twice in this slide"
        raise ToolError(f"the bullet '{again}' stands {where}", "Say something new")
    return [point for point in points if new.get(key(point)) is point]


def _added(deck: Deck, title: str, context: RunContext) -> str:
    first = _slide_with(deck, title)
    note = "" if first == len(deck) else f" Its title is that of slide {first}."
    return f"Slide {len(deck)} '{title}' added. {_progress(deck, context)}{note}"


def _progress(deck: Deck, context: RunContext) -> str:
    asked = slides_asked(context.task)
    return f"Slides: {len(deck)}." if asked is None else f"Slides: {len(deck)} of {asked}."
