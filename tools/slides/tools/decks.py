"""Whole decks: started, opened, copied, and what their files say of them."""

import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool
from autorl.workspace import Workspace

from ..deck import Deck, changing, current, free_name, require, write
from ..filling import add_slide, describe, empty, fill, layout_for_opening, layouts_of, role_of
from ..opening import deck_files, open_presentation
from ..palettes import DEFAULT, THEMES
from ..surgery import clear
from ..theme import blank_presentation
from ..wording import clean

Title = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
Property = Annotated[str, Field(max_length=255)]  # the format's own limit
ThemeName = Literal[tuple(THEMES)]
_MOST_LAYOUTS = 40
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_ENDINGS = (".pptx", ".potx", ".ppsx")


@tool
def new_deck(
    title: Title,
    context: RunContext,
    subtitle: Annotated[str, Field(max_length=200)] = "",
    theme: ThemeName | None = None,
    template: Annotated[str, Field(max_length=500)] = "",
) -> str:
    """Start a new deck with its title slide; it becomes the deck that the other tools work on.

    title: the topic
    subtitle: one line below it
    theme: a built-in look, as list_themes describes them
    template: instead of a theme, a .pptx or .potx file whose layouts the deck takes over
    """
    heading, below = clean(title), clean(subtitle)
    if not heading:
        raise ToolError("the title is empty", "Write some words")
    if theme is not None and template:
        raise ToolError("a deck has either a theme or a template", "Give one of them")
    workspace = context.workspace
    if template:
        presentation = open_presentation(_existing(workspace, template, _ENDINGS))
        left_out = clear(presentation)
    else:
        presentation, left_out = blank_presentation(theme or DEFAULT), 0
    layout = layout_for_opening(presentation)
    slide, places = add_slide(presentation, layout)
    for shape in slide.placeholders:
        if role_of(shape) == "title":
            fill(slide, shape, [heading])
    if below and places:
        fill(slide, places[0], [below])
    for shape in empty(slide):
        shape.element.getparent().remove(shape.element)
    properties = presentation.core_properties
    properties.title = heading
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    workspace.settle()
    deck = Deck(free_name(workspace, heading), presentation)
    write(workspace, deck)
    _make_current(workspace, workspace.root / deck.name)
    look = f"template '{template}' without its {left_out} slides" if template else f"theme '{theme or DEFAULT}'"
    return f"Deck '{deck.name}' started with the {look}. Slides: 1.\nLayouts:\n{_layouts(presentation)}"


@tool
def open_deck(path: Name, context: RunContext) -> str:
    """Open a deck that exists; it becomes the deck that the other tools work on.

    path: a .pptx file; one from outside the workspace is copied into it
    """
    workspace = context.workspace
    found = _existing(workspace, path, (".pptx",))
    slides = len(open_presentation(found).slides)
    note = ""
    if found not in deck_files(workspace):
        name = free_name(workspace, found.stem)
        found = workspace.write(name, found.read_bytes())
        note = f" It is a copy; '{path}' stays as it is."
    _make_current(workspace, found)
    return f"Deck '{found.relative_to(workspace.root).as_posix()}' opened. Slides: {slides}.{note}"


@tool
def save_copy(path: Name, context: RunContext) -> str:
    """Save the deck as it is now under a second name. Work goes on with the deck itself.

    path: a new name inside the workspace, such as before.pptx
    """
    workspace = context.workspace
    deck = require(workspace)
    workspace.settle()
    name = path if Path(path).suffix else f"{path}.pptx"
    target = workspace.path(name, write=True)
    if target.suffix.lower() != ".pptx":
        raise ToolError(f"'{path}' does not end in .pptx", "Give another name")
    if target.exists():
        raise ToolError(f"'{name}' exists already", "Give another name; no file is overwritten")
    original = workspace.root / deck.name
    workspace.write(name, original.read_bytes())
    _make_current(workspace, original)
    return f"Saved a copy as '{name}'. Work goes on with '{deck.name}'."


@tool
def set_properties(
    context: RunContext,
    title: Property | None = None,
    author: Property | None = None,
    subject: Property | None = None,
    keywords: Property | None = None,
    category: Property | None = None,
    comments: Property | None = None,
    language: Annotated[str, Field(max_length=35)] | None = None,
) -> str:
    """Set what the file says about itself; what is left out stays.

    language: of all texts, such as en-GB; spelling and reading aloud follow it
    """
    given = {"title": title, "author": author, "subject": subject, "keywords": keywords, "category": category,
             "comments": comments, "language": language}
    given = {name: clean(value) for name, value in given.items() if value is not None}
    if not given:
        raise ToolError("no property was given", "Give at least one")
    if language is not None and _LANGUAGE.fullmatch(given["language"]) is None:
        raise ToolError(f"'{language}' is no language tag", "Give one such as en-GB, de or zh-Hans")
    with changing(context.workspace) as deck:
        for name, value in given.items():
            setattr(deck.presentation.core_properties, name, value)
        texts = _speak(deck.presentation, given["language"]) if language is not None else 0
    spoken = f" {texts} texts are marked as {given['language']}." if language is not None else ""
    return f"Set {', '.join(given)}.{spoken}"


@tool(read_only=True)
def list_layouts(context: RunContext) -> str:
    """List the slide layouts of the deck, with their placeholders; texts are given by number."""
    return _layouts(require(context.workspace).presentation)


def _existing(workspace: Workspace, name: str, endings: tuple[str, ...]) -> Path:
    path = workspace.path(name)
    if not path.is_file():
        decks = ", ".join(f"'{each.relative_to(workspace.root).as_posix()}'" for each in deck_files(workspace)[-10:])
        raise ToolError(f"there is no file '{name}'",
                        f"Decks in the workspace: {decks}" if decks else "Give another name")
    if path.suffix.lower() not in endings:
        raise ToolError(f"'{name}' does not end in {' or '.join(endings)}", "Give another file")
    return path


def _make_current(workspace: Workspace, path: Path) -> None:
    """Let the deck at `path` be the one written last, by which tools know the deck of the run."""
    now = time.time_ns()
    others = [each for each in deck_files(workspace) if each != path]
    for other in others:
        if other.stat().st_mtime_ns >= now:  # by another machine's clock; it would stay the latest for long
            os.utime(other, ns=(now - 1, now - 1))
    if any(other.stat().st_mtime_ns >= path.stat().st_mtime_ns for other in others):
        os.utime(path, ns=(now, now))
    chosen = current(workspace)
    if chosen is None or workspace.root / chosen.name != path:
        raise ToolError(f"'{path.name}' did not become the deck of the run", "Open it under another name")


def _layouts(presentation: Any) -> str:
    layouts = layouts_of(presentation)
    lines = [f"{number} '{clean(layout.name)}': {describe(layout)}"
             for number, layout in enumerate(layouts[:_MOST_LAYOUTS], start=1)]
    return "\n".join(lines) + (f"\nand {len(layouts) - _MOST_LAYOUTS} more" if len(layouts) > _MOST_LAYOUTS else "")


def _speak(presentation: Any, language: str) -> int:
    """Mark every run of the slides and their notes as written in `language`. Returns how many there are."""
    count = 0
    for slide in presentation.slides:
        for part in (slide, *([slide.notes_slide] if slide.has_notes_slide else [])):
            for run in part.element.iter("{*}r", "{*}fld", "{*}br"):
                if hasattr(run, "get_or_add_rPr"):
                    run.get_or_add_rPr().set("lang", language)
                    count += 1
            for properties in part.element.iter("{*}rPr", "{*}endParaRPr"):
                properties.set("lang", language)
    return count


TOOLS = [new_deck, open_deck, save_copy, set_properties, list_layouts]
