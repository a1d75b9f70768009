"""The deck of a run: one .pptx in the workspace, written after every change."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorl.errors import ToolError
from autorl.workspace import Workspace, file_name

from .opening import BrokenDeck, deck_files, open_presentation
from .theme import blank_presentation

_CACHE = "slides:deck"


@dataclass(frozen=True)
class Deck:
    """name: of the file, relative to the workspace; presentation: python-pptx's"""

    name: str
    presentation: Any

    def __len__(self) -> int:
        return len(self.presentation.slides)


def current(workspace: Workspace) -> Deck | None:
    """The deck that the run is making: the most recently written .pptx that opens, or None."""
    for path in reversed(deck_files(workspace)):
        with suppress(BrokenDeck):
            return Deck(path.relative_to(workspace.root).as_posix(), _parsed(workspace, path))
    return None


def require(workspace: Workspace) -> Deck:
    """The deck of the run. Raises ToolError when none was started."""
    deck = current(workspace)
    if deck is None:
        raise ToolError("there is no deck yet", "Call start_deck first")
    return deck


@contextmanager
def starting(workspace: Workspace, title: str) -> Iterator[Deck]:
    """A new, empty deck named after `title`, written at the end. Raises ToolError when there is one already."""
    deck = current(workspace)
    if deck is not None:
        count = f"{len(deck)} slide{'s' if len(deck) != 1 else ''}"
        raise ToolError(f"the deck '{deck.name}' exists already, with {count}",
                        "Go on with add_slide, or finish with save_deck")
    taken = {path.name for path in workspace.root.iterdir()}
    names = (file_name(f"{title}", f"{number}.pptx") for number in ("", *(f"-{n}" for n in range(2, 1000))))
    deck = Deck(next(name for name in names if name not in taken), blank_presentation())
    yield deck
    _save(workspace, deck)


@contextmanager
def changing(workspace: Workspace) -> Iterator[Deck]:
    """The deck of the run, to be changed; written at the end, and left as it was on disk if anything fails."""
    deck = require(workspace)
    try:
        yield deck
        _save(workspace, deck)
    except BaseException:
        workspace.documents.pop(_CACHE, None)  # it may hold half of the change
        raise


def _save(workspace: Workspace, deck: Deck) -> None:
    buffer = io.BytesIO()
    deck.presentation.save(buffer)
    path = workspace.write(deck.name, buffer.getvalue())
    workspace.documents[_CACHE] = (_stamp(path), deck.presentation)


def _parsed(workspace: Workspace, path: Path) -> Any:
    """From the cache while the file on disk is the one that was written or read last."""
    stamp = _stamp(path)
    if workspace.documents.get(_CACHE, (None,))[0] != stamp:
        workspace.documents[_CACHE] = (stamp, open_presentation(path))
    return workspace.documents[_CACHE][1]


def _stamp(path: Path) -> tuple[str, int, int, int]:
    stat = path.stat()
    return str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size
