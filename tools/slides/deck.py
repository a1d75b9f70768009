"""The deck of a run: one .pptx in the workspace, written after every change."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autorl.errors import ToolError
from autorl.workspace import Workspace, file_name

from .opening import BrokenDeck, deck_files, open_presentation
from .theme import blank_presentation

_CACHE = "slides:deck"


@dataclass(frozen=True)
class Deck:
    """name: of the file, relative to the workspace; presentation: python-pptx's

    known: what tools worked out about the deck as it is; forgotten with the next change
    """

    name: str
    presentation: Any
    known: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.presentation.slides)


def current(workspace: Workspace) -> Deck | None:
    """The deck that the run is making: the most recently written .pptx that opens, or None."""
    deck, stamp = workspace.documents.get(_CACHE, (None, None))
    if deck is not None and workspace.pending(deck.name):
        return deck
    for path in reversed(deck_files(workspace)):
        with suppress(BrokenDeck):
            if deck is None or stamp != _stamp(path):
                deck = Deck(path.relative_to(workspace.root).as_posix(), open_presentation(path))
                workspace.documents[_CACHE] = (deck, _stamp(path))
            return deck
    return None


def require(workspace: Workspace) -> Deck:
    """The deck of the run. Raises ToolError when none was started."""
    deck = current(workspace)
    if deck is None:
        raise ToolError("there is no deck yet", "Call start_deck or new_deck first")
    return deck


@contextmanager
def starting(workspace: Workspace, title: str, presentation: Any = None) -> Iterator[Deck]:
    """A new deck named after `title`, written at the end. Raises ToolError when there is one already.

    presentation: what it starts from; an empty one in the default theme when None
    """
    deck = current(workspace)
    if deck is not None:
        count = f"{len(deck)} slide{'s' if len(deck) != 1 else ''}"
        raise ToolError(f"the deck '{deck.name}' exists already, with {count}",
                        "Go on with add_slide, or finish with save_deck")
    deck = Deck(free_name(workspace, title), presentation if presentation is not None else blank_presentation())
    yield deck
    write(workspace, deck)


@contextmanager
def changing(workspace: Workspace, forget: bool = True) -> Iterator[Deck]:
    """The deck of the run, to be changed; written at the end, and left as it was if anything fails.

    A ToolError has to be raised before the first change. forget: what is known of the deck no longer holds afterwards
    """
    deck = require(workspace)
    try:
        yield deck
        if forget:
            deck.known.clear()
        write(workspace, deck)
    except BaseException as error:
        waiting = workspace.pending(deck.name)
        if waiting and isinstance(error, ToolError):
            raise
        workspace.documents.pop(_CACHE, None)  # it may hold half of the change: what is on disk counts
        workspace.cancel(deck.name)
        if waiting:
            raise ToolError(f"the last changes of '{deck.name}' were lost ({error})", "Look at the deck") from error
        raise


def free_name(workspace: Workspace, title: str) -> str:
    """A file name made from `title` that nothing in the workspace has."""
    taken = {path.name for path in workspace.root.iterdir()}
    names = (file_name(title, f"{number}.pptx") for number in ("", *(f"-{n}" for n in range(2, 1000))))
    return next(name for name in names if name not in taken)


def write(workspace: Workspace, deck: Deck) -> None:
    """Put `deck` on disk, at once or with the next settle; it is the run's deck from now on."""
    workspace.documents[_CACHE] = (deck, None)
    workspace.write_soon(deck.name, lambda: _save(workspace, deck))


def _save(workspace: Workspace, deck: Deck) -> None:
    buffer = io.BytesIO()
    deck.presentation.save(buffer)
    path = workspace.write(deck.name, buffer.getvalue())
    workspace.documents[_CACHE] = (deck, _stamp(path))


def _stamp(path: Path) -> tuple[str, int, int, int]:
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size
