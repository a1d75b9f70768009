"""What the tests of the slides pack's tools for objects share: a deck to work on, and its objects read again."""

import importlib
from typing import Any

from autorl.content import load_pack

load_pack("slides")


def module(name: str) -> Any:
    """A module of the pack."""
    return importlib.import_module(f"autorl_tools.slides.{name}")


def with_slides(make_run: Any, *layouts: str, theme: str = "harbour") -> Any:
    """A run of `slides:all` whose deck has a slide of each of those layouts."""
    run = make_run(packs=("slides:all",))
    presentation = module("theme").blank_presentation(theme)
    named = {layout.name: layout for layout in presentation.slide_layouts}
    for name in layouts:
        presentation.slides.add_slide(named[name])
    presentation.save(str(run.workspace.root / "deck.pptx"))
    return run


def shape(run: Any, id: str) -> Any:
    """The object with that id, from the file."""
    return module("objects").object_named(run.deck, id).shape


def made(answer: str) -> str:
    """The id that a tool's answer names first."""
    return next(word.rstrip(".,;") for word in answer.split() if word.startswith("s") and "." in word[1:-1])


def seen(run: Any) -> Any:
    """The slides as they are read."""
    return module("reading").read_slides(run.deck)


def overflows(run: Any) -> list[str]:
    """The objects whose text does not fit their frame."""
    outgrown = module("checks.look").outgrown
    return [one.id for slide in seen(run) for one in slide.shapes if one.text and outgrown(one) > 0]


def path(run: Any) -> Any:
    return run.workspace.root / "deck.pptx"


def box(run: Any, id: str) -> tuple[int, ...]:
    """Left, top, width and height of an object, in points."""
    one = shape(run, id)
    return tuple(round(length / 12_700) for length in (one.left, one.top, one.width, one.height))


def add(run: Any, left: float, top: float, width: float = 100, height: float = 60, slide: int = 1, **how: Any) -> str:
    """Draw a shape; its id."""
    place = {"left": left, "top": top, "width": width, "height": height}
    return made(run.done("add_shape", slide=slide, kind=how.pop("kind", "rectangle"), place=place, **how))


def order(run: Any, slide: int = 0) -> list[int]:
    """The numbers of a slide's objects from back to front."""
    return [one.shape_id for one in run.deck.slides[slide].shapes]
