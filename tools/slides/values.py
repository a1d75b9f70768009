"""A deck as plain values: each slide with its shapes, where they stand, what they say and how that is set.

Checks and reading tools work on these values only, and never meet a file. All lengths are points.
"""

from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from pptx.enum.shapes import PP_PLACEHOLDER

from .inherit import Type
from .wording import clean

FURNITURE = frozenset({PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.HEADER})
TITLES = frozenset({PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.VERTICAL_TITLE})
INSETS = (7.2, 3.6, 7.2, 3.6)
"""Points between a frame and its text, left, top, right and bottom, where nothing says otherwise."""
_OPENING = frozenset({PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.SUBTITLE})


@dataclass(frozen=True)
class Box:
    """A rectangle in points from the slide's top left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return max(self.width, 0.0) * max(self.height, 0.0)

    def shared(self, other: "Box") -> "Box | None":
        """What both cover, None if nothing."""
        box = Box(max(self.left, other.left), max(self.top, other.top),
                  min(self.right, other.right), min(self.bottom, other.bottom))
        return box if box.width > 0 and box.height > 0 else None

    def grown(self, by: float) -> "Box":
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def holds(self, other: "Box", tolerance: float = 0.5) -> bool:
        return (other.left >= self.left - tolerance and other.top >= self.top - tolerance
                and other.right <= self.right + tolerance and other.bottom <= self.bottom + tolerance)

    def share_of(self, other: "Box") -> float:
        """The part of this box (0..1) that `other` covers."""
        common = self.shared(other)
        return common.area / self.area if common and self.area else 0.0


@dataclass(frozen=True)
class Paragraph:
    """A paragraph as its author wrote it.

    types: of its runs, in order, with their texts; before, after: points above and below it; spacing: of its lines,
    1 for the font's own; indent: points; align: l, ctr, r or just
    """

    text: str
    types: tuple[tuple[str, Type], ...] = ()
    level: int = 0
    before: float = 0.0
    after: float = 0.0
    spacing: float = 1.0
    indent: float = 0.0
    align: str = "l"

    @property
    def size(self) -> float:
        """The smallest type in it, in points."""
        return min((kind.size for text, kind in self.types if text.strip()), default=Type().size)

    @property
    def type(self) -> Type:
        """That of its longest run."""
        return max(self.types, key=lambda run: len(run[0]), default=("", Type()))[1]


@dataclass(frozen=True)
class Series:
    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Chart:
    """kind: as python-pptx names it, such as BAR_CLUSTERED; size: points of its smallest type, where it says so"""

    kind: str
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    size: float | None = None

    @property
    def says(self) -> bool:
        """Whether there is anything to see: two values, and one that is not zero."""
        values = [v for series in self.series for v in series.values if isinstance(v, (int, float)) and isfinite(v)]
        return self.kind == "unknown" or (len(values) >= 2 and any(values))

    @property
    def text(self) -> str:
        parts = []
        for series in self.series:
            values = [f"{value:g}" if isinstance(value, (int, float)) else "" for value in series.values]
            pairs = [" ".join(pair) for pair in zip(self.labels, values, strict=False)] if self.labels else values
            parts.append(f"{series.name}: {', '.join(pairs)}" if series.name else ", ".join(pairs))
        return clean("; ".join(parts))


@dataclass(frozen=True)
class Cell:
    """A cell of a table. span: columns and rows that it covers, (0, 0) if another covers it."""

    paragraphs: tuple[Paragraph, ...]
    fill: tuple[str, ...] | None
    box: Box

    @property
    def text(self) -> str:
        return clean(" ".join(p.text for p in self.paragraphs))


@dataclass(frozen=True)
class Shape:
    """One object of a slide.

    id: as the tools give and take it; kind: title, text, table, chart, picture, line, furniture or other
    fill: colours of its area; () for none, None when it cannot be told (a picture)
    insets: left, top, right, bottom of its text; grows: its frame follows its text
    stretch: a picture's shown shape in parts of its natural one, 1 for undistorted; plain: it is of one colour
    """

    id: str
    name: str
    kind: str
    box: Box
    paragraphs: tuple[Paragraph, ...] = ()
    placeholder: Any = None
    fill: tuple[str, ...] | None = ()
    alt: str | None = None
    insets: tuple[float, float, float, float] = INSETS
    wraps: bool = True
    grows: bool = False
    anchor: str = "t"
    turned: float = 0.0
    hidden: bool = False
    grouped: bool = False
    rows: tuple[tuple[Cell, ...], ...] = ()
    chart: Chart | None = None
    stretch: float = 1.0
    plain: bool = False
    link: str = ""

    @property
    def text(self) -> str:
        return clean(" ".join(p.text for p in self.paragraphs))

    @property
    def says(self) -> bool:
        return bool(self.text) or bool(self.rows)


@dataclass(frozen=True)
class Slide:
    """What stands on a slide.

    number: from 1; id: as the tools give and take it; shapes: from back to front; backdrop: what its layout and master
    put behind them; background: colours; flaws: what is wrong in the file, with the id of the object if there is one
    """

    number: int
    id: str
    layout: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    backdrop: tuple[Shape, ...] = ()
    background: tuple[str, ...] = ("FFFFFF",)
    notes: str = ""
    hidden: bool = False
    flaws: tuple[tuple[str, str], ...] = ()

    @property
    def box(self) -> Box:
        return Box(0, 0, self.width, self.height)

    @cached_property
    def title(self) -> str:
        return " ".join(filter(None, (shape.text for shape in self.shapes if shape.kind == "title")))

    @cached_property
    def points(self) -> tuple[str, ...]:
        """Bullets and other paragraphs, apart from the title."""
        return tuple(clean(p.text) for shape in self.shapes if shape.kind == "text"
                     for p in shape.paragraphs if clean(p.text))

    @cached_property
    def headings(self) -> tuple[str, ...]:
        """The first row of each table, cells joined."""
        return tuple(_joined(shape.rows[0]) for shape in self.shapes if shape.rows)

    @cached_property
    def rows(self) -> tuple[str, ...]:
        return tuple(_joined(row) for shape in self.shapes for row in shape.rows[1:])

    @cached_property
    def charts(self) -> tuple[str, ...]:
        """What each chart says; one without data says nothing."""
        return tuple(shape.chart.text for shape in self.shapes if shape.chart and shape.chart.says)

    @property
    def pictures(self) -> int:
        """How many pictures show something."""
        return sum(shape.kind == "picture" and not shape.plain for shape in self.shapes)

    @cached_property
    def empty(self) -> tuple[Shape, ...]:
        """Placeholders that hold nothing."""
        return tuple(s for s in self.shapes if s.placeholder is not None and s.kind in ("text", "title") and not s.text)

    @cached_property
    def statements(self) -> tuple[str, ...]:
        """Everything on the slide that says something of its own, apart from the title."""
        return self.points + self.rows + self.charts

    @cached_property
    def text(self) -> str:
        return " \n".join((self.title, *self.headings, *self.statements))

    @property
    def opening(self) -> bool:
        """Whether this is the title slide."""
        kinds = {shape.placeholder for shape in self.shapes}
        return self.number == 1 and not self.rows and not self.charts and (bool(kinds & _OPENING) or not self.points)

    def shape(self, id: str) -> Shape | None:
        return next((shape for shape in self.shapes if shape.id == id), None)


@dataclass(frozen=True)
class DeckContent:
    """A deck as plain values. path: where it was read from"""

    name: str
    slides: tuple[Slide, ...]
    path: Path | None = field(default=None, compare=False)

    @property
    def content_slides(self) -> tuple[Slide, ...]:
        """All slides but the opening one."""
        return tuple(slide for slide in self.slides if not slide.opening)


def _joined(row: tuple[Cell, ...]) -> str:
    return clean(" | ".join(cell.text for cell in row))
