"""Opening a .pptx that anyone may have made: looked over as an archive first, then read into plain values."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER

from autorl.errors import ToolError
from autorl.workspace import Workspace

from .wording import clean

_MB = 1024 * 1024
_LARGEST = 200 * _MB
_LARGEST_XML = 64 * _MB  # lxml takes several times the size of what it parses
_MOST_PARTS = 20_000
_RATIO = 100
_NESTED = 8
_FURNITURE = {PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.HEADER}
_TITLES = {PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE}


class BrokenDeck(ToolError):
    """A file that calls itself a .pptx cannot be opened, or had better not be."""


@dataclass(frozen=True)
class SlideContent:
    """What a reader sees on a slide.

    number: from 1; points: bullets and other paragraphs; rows: of tables, cells joined, the heading apart;
    charts: labels and values, joined; empty: names of placeholders that hold nothing
    """

    number: int
    title: str
    points: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    pictures: int = 0
    empty: tuple[str, ...] = ()
    notes: str = ""
    opening: bool = False

    @property
    def statements(self) -> tuple[str, ...]:
        """Everything on the slide that says something of its own, apart from the title."""
        return self.points + self.rows + self.charts

    @property
    def text(self) -> str:
        return " \n".join((self.title, *self.headings, *self.statements))


@dataclass(frozen=True)
class DeckContent:
    """A deck as plain values, so that checks never meet a file."""

    name: str
    slides: tuple[SlideContent, ...]

    @property
    def content_slides(self) -> tuple[SlideContent, ...]:
        """All slides but the opening one."""
        return tuple(slide for slide in self.slides if not slide.opening)


def deck_files(workspace: Workspace) -> list[Path]:
    """Every .pptx of the workspace, the most recently written last; links and lock files are left out."""
    named = (p for p in workspace.root.rglob("*") if p.suffix.lower() == ".pptx" and not p.name.startswith(("~$", ".")))
    found = [p for p in named if p.is_file() and not p.is_symlink()]
    return sorted(found, key=lambda p: (p.stat().st_mtime_ns, p.name))


def open_presentation(path: Path) -> Any:
    """The python-pptx presentation at `path`. Raises BrokenDeck, in one line, for anything that is none."""
    try:
        _look_over(path)
        return Presentation(str(path))
    except BrokenDeck:
        raise
    except Exception as error:  # python-pptx and lxml raise whatever they trip over
        raise _broken(path, error) from error


def read_deck(path: Path) -> DeckContent:
    """The content of the deck at `path`. Raises BrokenDeck if it cannot be opened or read."""
    presentation = open_presentation(path)
    try:
        slides = tuple(_read_slide(number, slide) for number, slide in enumerate(presentation.slides, start=1))
    except Exception as error:  # parts are parsed when they are first touched
        raise _broken(path, error) from error
    return DeckContent(path.name, slides)


def _broken(path: Path, error: Exception) -> BrokenDeck:
    reason = clean(str(error))[:120]
    return BrokenDeck(f"'{path.name}' does not open as a presentation ({type(error).__name__}: {reason})",
                      "Make it again")


def _look_over(path: Path) -> None:
    """Refuse what would fill the memory, before anything of it is unpacked."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise BrokenDeck(f"'{path.name}' is encrypted or in the format of before 2007", "Save it as .pptx, unprotected")
    if not start.startswith(b"PK"):
        raise BrokenDeck(f"'{path.name}' is not a .pptx (it is no zip archive)", "Make it again")
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.flag_bits & 1 for part in parts):
        raise BrokenDeck(f"'{path.name}' is encrypted", "Save it unprotected")
    size = sum(part.file_size for part in parts)
    xml = sum(part.file_size for part in parts if part.filename.lower().endswith((".xml", ".rels")))
    ratio = size / max(path.stat().st_size, 1)
    if size > _LARGEST or xml > _LARGEST_XML or ratio > _RATIO or len(parts) > _MOST_PARTS:
        unpacked = f"{size / _MB:.0f} MB in {len(parts)} parts, {ratio:.0f} times its size"
        raise BrokenDeck(f"'{path.name}' unpacks to {unpacked}",
                         f"Decks of up to {_LARGEST // _MB} MB and {_RATIO} times their size are opened")


def _read_slide(number: int, slide: Any) -> SlideContent:
    found: dict[str, list[str]] = {name: [] for name in ("titles", "points", "headings", "rows", "charts", "empty")}
    found["pictures"] = []
    kinds: set[Any] = set()
    _read_shapes(slide.shapes, found, kinds, depth=0)
    notes = clean(slide.notes_slide.notes_text_frame.text or "") if slide.has_notes_slide \
        and slide.notes_slide.notes_text_frame is not None else ""
    opening = number == 1 and not found["rows"] and not found["charts"] and (
        bool(kinds & {PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.SUBTITLE}) or not found["points"])
    return SlideContent(
        number=number, title=" ".join(found["titles"]), points=tuple(found["points"]),
        headings=tuple(found["headings"]), rows=tuple(found["rows"]), charts=tuple(found["charts"]),
        pictures=len(found["pictures"]), empty=tuple(found["empty"]), notes=notes, opening=opening)


def _read_shapes(shapes: Any, found: dict[str, list[str]], kinds: set[Any], depth: int) -> None:
    for shape in shapes:
        kind = shape.placeholder_format.type if shape.is_placeholder else None
        kinds.add(kind)
        if kind in _FURNITURE:
            continue
        if hasattr(shape, "shapes") and depth < _NESTED:
            _read_shapes(shape.shapes, found, kinds, depth + 1)
        elif getattr(shape, "has_table", False):
            rows = [clean(" | ".join(cell.text for cell in row.cells)) for row in shape.table.rows]
            found["headings"] += rows[:1]
            found["rows"] += rows[1:]
        elif getattr(shape, "has_chart", False):
            found["charts"].append(_read_chart(shape.chart))
        elif hasattr(shape, "image"):
            found["pictures"].append(shape.name)
        elif shape.has_text_frame:
            lines = [line for line in (clean(p.text) for p in shape.text_frame.paragraphs) if line]
            if kind in _TITLES:
                found["titles"] += lines
            elif lines:
                found["points"] += lines
            elif kind is not None:
                found["empty"].append(shape.name)


def _read_chart(chart: Any) -> str:
    parts: list[str] = []
    for plot in chart.plots:
        labels = [str(label) for label in plot.categories]
        for series in plot.series:
            values = [f"{value:g}" if value is not None else "" for value in series.values]
            pairs = [" ".join(pair) for pair in zip(labels, values, strict=False)] if labels else values
            parts.append(f"{series.name}: {', '.join(pairs)}" if series.name else ", ".join(pairs))
    return clean("; ".join(parts))
