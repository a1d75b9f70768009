"""What PPTC's functions mean, done with python-pptx alone: what our tools are measured against.

It is PPTC's documented meaning rather than its code, which draws one series a value, never gets to the next slide, and
leaves out the functions that put one object beside another.
"""

import copy
import hashlib
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.shapes import MSO_SHAPE, PP_PLACEHOLDER
from pptx.enum.text import PP_ALIGN
from pptx.util import Cm, Pt

from .functions import SHAPES, Box, Nothing, beside
from .reading import named_objects

_KINDS = {"column": XL_CHART_TYPE.COLUMN_CLUSTERED, "line": XL_CHART_TYPE.LINE, "pie": XL_CHART_TYPE.PIE}
_ALIGNS = {"left": PP_ALIGN.LEFT, "center": PP_ALIGN.CENTER, "right": PP_ALIGN.RIGHT}
_MARGIN, _GAP = Pt(24), Pt(6)
_SHAPE, _PICTURE, _ROW = Cm(2.5), Cm(6), Pt(29)
_CONTENT = (PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT)


def base() -> bytes:
    """The deck that every session starts from: python-pptx's own, 4:3, with one empty slide for title and content."""
    presentation = Presentation()
    presentation.slides.add_slide(presentation.slide_layouts[1])
    return saved(presentation)


def saved(presentation: Any) -> bytes:
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def picture(name: str) -> bytes:
    """A square PNG that stands for the picture PPTC looks up: of one colour, which goes by its name."""
    colour = "#" + hashlib.sha256(name.encode()).hexdigest()[:6]
    buffer = io.BytesIO()
    Image.new("RGB", (600, 600), colour).save(buffer, "PNG")
    return buffer.getvalue()


class Reference:
    """A deck and what is chosen on it. chosen: a shape, or the cell (row, column) of a table's shape"""

    def __init__(self, deck: bytes) -> None:
        self.presentation: Any = Presentation(io.BytesIO(deck))
        self.slide: Any = self.presentation.slides[-1]
        self.chosen: Any = None
        self.cell: tuple[int, int] | None = None
        self.looks: dict[tuple[int, ...], dict[str, Any]] = {}

    # slides

    def create_slide(self) -> None:
        self.slide = self.presentation.slides.add_slide(self.presentation.slide_layouts[1])
        self._choose(None)

    def go_to(self, index: int) -> None:
        if not 0 <= index < len(self.presentation.slides):
            raise Nothing(f"there is no slide {index}")
        self.slide = self.presentation.slides[index]
        self._choose(None)

    def step(self, by: int) -> None:
        self.go_to(self.presentation.slides.index(self.slide) + by)

    def background(self, colour: str) -> None:
        fill = self.slide.background.fill
        fill.solid()
        fill.fore_color.rgb = RGBColor.from_string(colour)

    def note(self, text: str) -> None:
        self.slide.notes_slide.notes_text_frame.text += text

    # choosing

    def choose(self, kind: str, index: int = 0) -> None:
        self._choose(self._find(kind, index))

    def choose_cell(self, row: int, column: int) -> None:
        table = self._find("table")
        if not (0 <= row < len(table.table.rows) and 0 <= column < len(table.table.columns)):
            raise Nothing(f"the table has no cell {row}, {column}")
        self._choose(table, (row, column))

    def _choose(self, shape: Any, cell: tuple[int, int] | None = None) -> None:
        self.chosen, self.cell = shape, cell

    def _find(self, kind: str, index: int = 0) -> Any:
        if kind in ("title", "content"):
            wanted = (PP_PLACEHOLDER.TITLE,) if kind == "title" else _CONTENT
            found = [s for s in self.slide.placeholders if s.placeholder_format.type in wanted]
        else:
            found = [shape for name, shape in named_objects(self.slide) if name.rsplit(" ", 1)[0] == kind]
        if not 0 <= index < len(found):
            raise Nothing(f"the slide has no {kind} {index}")
        return found[index]

    def _shape(self) -> Any:
        if self.chosen is None or self.cell is not None:
            raise Nothing("no object is chosen")
        return self.chosen

    # text

    def _frame(self) -> Any:
        if self.cell is not None:
            return self.chosen.table.cell(*self.cell).text_frame
        if self.chosen is None or not self.chosen.has_text_frame:
            raise Nothing("nothing with text is chosen")
        return self.chosen.text_frame

    def write(self, text: str) -> None:
        self._say(self._frame().text + text)

    def bullet(self, text: str) -> None:
        said = self._frame().text
        self._say(f"{said}\n{text}" if said else text)

    def delete_text(self) -> None:
        self._say("")

    def _say(self, text: str) -> None:
        self._frame().text = text
        self.look()

    def look(self, **looks: Any) -> None:
        """What is set on an empty frame holds for what is written into it later."""
        frame = self._frame()
        kept = self.looks.setdefault((self.slide.slide_id, self.chosen.shape_id, *(self.cell or ())), {})
        kept.update(looks)
        for paragraph in frame.paragraphs:
            if "align" in kept:
                paragraph.alignment = _ALIGNS[kept["align"]]
            if "line_spacing" in kept:
                paragraph.line_spacing = float(kept["line_spacing"])
            for run in paragraph.runs:
                _dress(run.font, kept)

    def add_textbox(self) -> None:
        left, top, width, _ = self._content()
        self._choose(self.slide.shapes.add_textbox(left, top, width, _ROW))

    # other objects

    def _content(self) -> tuple[int, int, int, int]:
        place = next(s for s in self.slide.slide_layout.placeholders if s.placeholder_format.type in _CONTENT)
        return place.left, place.top, place.width, place.height

    def add_shape(self, kind: str) -> None:
        wide, high = self.presentation.slide_width, self.presentation.slide_height
        self._choose(self.slide.shapes.add_shape(
            MSO_SHAPE.from_xml(SHAPES[kind]), (wide - _SHAPE) // 2, (high - _SHAPE) // 2, _SHAPE, _SHAPE))

    def add_picture(self, name: str) -> None:
        left, top, _, _ = self._content()
        self._choose(self.slide.shapes.add_picture(io.BytesIO(picture(name)), left, top, _PICTURE, _PICTURE))

    def add_table(self, rows: int, columns: int) -> None:
        left, top, width, _ = self._content()
        self._choose(self.slide.shapes.add_table(rows, columns, left, top, width, rows * _ROW))

    def add_row(self, cells: Sequence[str]) -> None:
        """Into the first row that says nothing, or one more."""
        table = self._find("table").table
        row = next((row for row in table.rows if not row.cells[0].text), None)
        if row is None:
            last = table.rows[len(table.rows) - 1]._tr
            last.addnext(copy.deepcopy(last))
            row = table.rows[len(table.rows) - 1]
        for cell, text in zip(row.cells, cells, strict=False):
            cell.text = text

    def add_chart(self, kind: str, values: Sequence[float], names: Sequence[str]) -> None:
        data = CategoryChartData()
        data.categories = names
        data.add_series("Values", values)
        frame = self.slide.shapes.add_chart(_KINDS[kind], *self._content(), data)
        frame.chart.has_title = False
        self._choose(frame)

    def chart_title(self, title: str) -> None:
        shape = self._shape()
        if not getattr(shape, "has_chart", False):
            raise Nothing("no chart is chosen")
        shape.chart.chart_title.text_frame.text = title

    def fill(self, colour: str) -> None:
        fill = self._shape().fill
        fill.solid()
        fill.fore_color.rgb = RGBColor.from_string(colour)

    # geometry

    def align(self, *sides: str) -> None:
        shape = self._shape()
        wide, high = self.presentation.slide_width, self.presentation.slide_height
        left, top, width, height = shape.left, shape.top, shape.width, shape.height
        for side in sides:
            left = {"left": _MARGIN, "right": wide - _MARGIN - width, "center": (wide - width) // 2}.get(side, left)
            top = {"top": _MARGIN, "bottom": high - _MARGIN - height, "middle": (high - height) // 2}.get(side, top)
        _put(shape, left, top, width, height)

    def beside(self, side: str, kind: str, other: str) -> None:
        shape, anchor = self._find(kind), self._find(other)
        box, around = (Box(s.left, s.top, s.width, s.height) for s in (shape, anchor))
        slide = self.presentation.slide_width, self.presentation.slide_height
        left, top = beside(box, around, side, slide, _GAP)
        _put(shape, int(left), int(top), shape.width, shape.height)

    def size(self, width: float | None = None, height: float | None = None) -> None:
        shape = self._shape()
        _put(shape, shape.left, shape.top, shape.width if width is None else Cm(width),
             shape.height if height is None else Cm(height))

    def rotate(self, degrees: float) -> None:
        self._shape().rotation = degrees % 360


def _put(shape: Any, left: int, top: int, width: int, height: int) -> None:
    shape.left, shape.top, shape.width, shape.height = left, top, width, height


def _dress(font: Any, looks: dict[str, Any]) -> None:
    for name, value in looks.items():
        if name == "size":
            font.size = Pt(value)
        elif name == "colour":
            font.color.rgb = RGBColor.from_string(value)
        elif name == "font":
            font.name = value
        elif name in ("bold", "italic", "underline"):
            setattr(font, name, value)

