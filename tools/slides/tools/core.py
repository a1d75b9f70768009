"""The tools of the core group: few, with short descriptions and tight limits, so that a small model can use them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import Answer, RunContext, tool
from autorl.types import Check, Trajectory

from .. import drawing
from ..checker import report, report_on, verdict
from ..deck import Deck, changing, current, require, starting
from ..requirements import slides_asked
from ..wording import clean, key, without_bullet

Title = Annotated[str, Field(min_length=1, max_length=60)]
Bullet = Annotated[str, Field(min_length=1, max_length=90)]
Cell = Annotated[str, Field(min_length=1, max_length=40)]
Label = Annotated[str, Field(min_length=1, max_length=24)]
EMPTY = "–"
_SHOWN = 8
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
        drawing.add_opening(deck, heading, clean(subtitle))
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
    with changing(context.workspace, forget=False) as deck:
        heading = _new_title(deck, title, context)
        new = _without_repeats(deck, points)
        drawing.add_bullets(deck, heading, new, clean(notes))
        _said(deck).add(len(deck), heading, new)
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
    with changing(context.workspace, forget=False) as deck:
        heading = _new_title(deck, title, context)
        drawing.add_table(deck, heading, headings, lines)
        _said(deck).add(len(deck), heading, ())
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
    with changing(context.workspace, forget=False) as deck:
        heading = _new_title(deck, title, context)
        drawing.add_chart(deck, heading, kind, names, values)
        _said(deck).add(len(deck), heading, ())
    return _added(deck, heading, context)


def _has_problems(context: RunContext) -> bool:
    return _has_enough(context) and any(not check.passed for check in _checks(context, rendered=False))


@tool(available=_has_problems, timeout=180)
def check_deck(context: RunContext, path: Annotated[str, Field(max_length=200)] = "") -> Answer:
    """List what is still wrong with the deck.

    path: another deck than the one in work
    """
    if path:
        checks = report_on(context.workspace.path(path), context.task)
        progress = f"'{path}'."
    else:
        progress = _progress(require(context.workspace), context)
        checks = _checks(context, rendered=True)
    result = verdict(checks)
    found = [finding for check in checks if not check.passed for finding in check.findings]
    unrendered = [check.found for check in checks if check.name == "rendered" and check.found]
    lines = [f"{number}. {one.found}. {one.remedy}." for number, one in enumerate(found[:_SHOWN], start=1)]
    lines += [f"And {len(found) - _SHOWN} more."] if len(found) > _SHOWN else []
    head = f"{progress} Score {result.score:.2f}. To mend:" if found else f"No problems found. {progress}" + (
        "" if path else " Call save_deck to finish.")
    return Answer("\n".join((head, *lines, *unrendered)), result.model_dump())


@tool(ends_run=True, available=_has_enough)
def save_deck(context: RunContext) -> str:
    """Save the deck and finish, when all slides are there."""
    deck = require(context.workspace)
    if len(deck) < 2:
        raise ToolError("the deck has a title slide only", "Call add_slide first")
    asked = slides_asked(context.task)
    if asked is not None and len(deck) < asked.least:
        raise ToolError(f"the deck has {len(deck)} of {asked} slides", f"Add {asked.least - len(deck)} more first")
    context.workspace.settle()
    return f"Saved '{deck.name}'. {_progress(deck, context)}"


def _checks(context: RunContext, rendered: bool) -> list[Check]:
    return report(context.task, Trajectory(id="check", task=context.task), context.workspace, rendered=rendered)


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
    return _said(deck).titles.get(key(title))


def _without_repeats(deck: Deck, points: Sequence[str]) -> list[str]:
    """The points that the deck does not make yet, each once. Raises ToolError if that leaves fewer than two."""
    said = _said(deck).bullets
    new = {key(point): point for point in reversed(points) if key(point) not in said}
    if len(new) < min(2, len(points)):
        again = next((point for point in points if key(point) in said), points[-1])
        where = f"on slide {said[key(again)]} already" if key(again) in said else "twice in this slide"
        raise ToolError(f"the bullet '{again}' stands {where}", "Say something new")
    return [point for point in points if new.get(key(point)) is point]


@dataclass
class _Said:
    """What the deck says: title or bullet -> number of its first slide. Read once, then kept up to date."""

    titles: dict[tuple[str, ...], int] = field(default_factory=dict)
    bullets: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, number: int, title: str, bullets: Sequence[str]) -> None:
        self.titles.setdefault(key(title), number)
        for bullet in bullets:
            self.bullets.setdefault(key(bullet), number)


def _said(deck: Deck) -> _Said:
    if "said" not in deck.known:
        said = deck.known["said"] = _Said()
        for number, slide in enumerate(deck.presentation.slides, start=1):
            said.add(number, drawing.title_of(slide), drawing.bullets_of(slide))
    found: _Said = deck.known["said"]
    return found


def _added(deck: Deck, title: str, context: RunContext) -> str:
    first = _slide_with(deck, title)
    note = "" if first == len(deck) else f" Its title is that of slide {first}."
    return f"Slide {len(deck)} '{title}' added. {_progress(deck, context)}{note}"


def _progress(deck: Deck, context: RunContext) -> str:
    asked = slides_asked(context.task)
    return f"Slides: {len(deck)}." if asked is None else f"Slides: {len(deck)} of {asked}."
