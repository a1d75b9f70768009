"""Tables: made, filled, formatted and merged. Rows and columns count from 1, and row 1 is the heading."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..objects import Found, object_id, slide_named
from ..parameters import Colour, ObjectRef, Place, SlideRef, paint
from ..tables import SIZES, draw, font_of, lay_out, refit, write_cell
from ..targets import describe, hexadecimal, ink_on, of_kind, spot, told, tried
from ..typeset import runs_of
from ..wording import clean
from .text import ALIGNS, Align

MOST_COLUMNS, MOST_ROWS = 16, 60
Cell = Annotated[str, Field(max_length=500)]
Cells = Annotated[list[Cell], Field(min_length=1, max_length=MOST_COLUMNS)]
Index = Annotated[int, Field(ge=1, le=1000)]
Indices = Annotated[list[Index], Field(max_length=1000)]
Size = Annotated[float, Field(ge=10, le=60, description="in points")]


@tool
def insert_table(
    slide: SlideRef, columns: Cells, rows: Annotated[list[Cells], Field(min_length=1, max_length=MOST_ROWS)],
    context: RunContext, place: Place | None = None, size: Size | None = None,
) -> str:
    """Put a table on a slide.

    columns: the headings
    rows: one list of cells a row; a cell may be empty
    place: a region or a rectangle; if left out, the empty placeholder or the area for content
    size: of its type; if left out, the largest up to 18 points that fits
    """
    lines = [[clean(text) for text in line] for line in (columns, *rows)]
    for number, row in enumerate(lines[1:], start=1):
        if len(row) != len(columns):
            raise ToolError(f"row {number} has {len(row)} cells for {len(columns)} columns", "Give one cell a column")
    if not any(any(line) for line in lines):
        raise ToolError("the table is empty", "Write something into its cells")
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        room = spot(deck.presentation, page, place)
        layout = lay_out(lines, room.box, font_of(page), SIZES if size is None else (size,))
        frame = draw(page, room.box, lines, layout)
        cleared = room.clear()  # after, so that no id is given again
        describe(frame, f"Table of {', '.join(filter(None, lines[0]))}; {len(rows)} row{'s' if len(rows) != 1 else ''}")
        note = told(number, page, frame)
    shape = f"{len(rows)} rows and {len(columns)} columns in {layout.size:g} points"
    return f"Table {object_id(page, frame)} added to slide {number}: {shape}.{cleared}{note}"


@tool
def set_cells(
    object: ObjectRef, row: Index, column: Index,
    values: Annotated[list[Cells], Field(min_length=1, max_length=MOST_ROWS)], context: RunContext,
) -> str:
    """Write into cells of a table; their look stays.

    row, column: of the first cell; row 1 is the heading
    values: rows of cells from there on, [["text"]] for one cell
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        last, widest = row + len(values) - 1, column + max(map(len, values)) - 1
        must_have(table, object, rows=(row, last), columns=(column, widest))
        cells = [(table.cell(row - 1 + r, column - 1 + c), r, c)
                 for r, line in enumerate(values) for c in range(len(line))]
        hidden = next(((r + row, c + column) for cell, r, c in cells if cell.is_spanned), None)
        if hidden is not None:
            raise ToolError(f"the cell in row {hidden[0]}, column {hidden[1]} is merged into another",
                            "Write into the first cell of the merged ones")
        with tried(found.slide):
            for cell, r, c in cells:
                write_cell(cell, clean(values[r][c]))
            size = refit(found.slide, found.shape)
    return f"{len(cells)} cell{'s' if len(cells) != 1 else ''} of {object} written; its type is {size:g} points."


@tool
def format_cells(
    object: ObjectRef, context: RunContext, rows: Indices = (), columns: Indices = (),
    fill: Colour | None = None,
    bold: bool | None = None, italic: bool | None = None, align: Align | None = None, size: Size | None = None,
    colour: Colour | None = None,
) -> str:
    """Change how cells of a table look.

    rows, columns: where both are given, the cells in which they meet; all if left out; row 1 is the heading
    fill: behind the text, which gets a colour that reads on it unless `colour` says one
    """
    if all(each is None for each in (fill, bold, italic, align, size, colour)):
        raise ToolError("nothing to change was given", "Give fill, bold, italic, align, size or colour")
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        must_have(table, object, rows=rows, columns=columns)
        ink = colour if colour is not None else ink_on(found.slide, hexadecimal(found.slide, fill)) if fill else None
        cells = [table.cell(r - 1, c - 1) for r in rows or range(1, len(table.rows) + 1)
                 for c in columns or range(1, len(table.columns) + 1)]
        with tried(found.slide):
            for cell in cells:
                if fill is not None:
                    cell.fill.solid()
                    paint(cell.fill.fore_color, fill)
                for paragraph in cell.text_frame.paragraphs:
                    if align is not None:
                        paragraph.alignment = ALIGNS[align]
                for run in runs_of(cell._tc.txBody):
                    _look(run, bold, italic, size, ink)
            if size is not None or bold is not None:
                _refit_at(found, size)
        note = told(found.number, found.slide, found.shape)
    return f"{len(cells)} cell{'s' if len(cells) != 1 else ''} of {object} formatted.{note}"


@tool
def merge_cells(
    object: ObjectRef, row: Index, column: Index, to_row: Index, to_column: Index, context: RunContext
) -> str:
    """Merge a block of cells of a table into one; what they say is put together.

    row, column: of its first cell; row 1 is the heading
    to_row, to_column: of its last cell
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        must_have(table, object, rows=(row, to_row), columns=(column, to_column))
        block = [table.cell(r - 1, c - 1) for r in range(row, to_row + 1) for c in range(column, to_column + 1)]
        if len(block) < 2:
            raise ToolError(f"from row {row}, column {column} to row {to_row}, column {to_column} are not two cells",
                            "Name the first and the last cell of a block")
        if any(cell.is_merge_origin or cell.is_spanned for cell in block):
            raise ToolError("a cell of that block is merged already", "Choose a block without merged cells")
        with tried(found.slide):
            block[0].merge(block[-1])
            paragraphs = block[0].text_frame.paragraphs
            for paragraph in paragraphs:
                paragraph.alignment = paragraphs[0].alignment
            refit(found.slide, found.shape)
    return f"{len(block)} cells of {object} merged."


def table_named(presentation: Any, id: str) -> tuple[Found, Any]:
    found = of_kind(presentation, id, "table")
    return found, found.shape.table


def must_have(table: Any, id: str, rows: Iterable[int] = (), columns: Iterable[int] = ()) -> None:
    for kind, asked, there in (("row", rows, len(table.rows)), ("column", columns, len(table.columns))):
        beyond = next((n for n in asked if n > there), None)
        if beyond is not None:
            raise ToolError(f"{id} has no {kind} {beyond}", f"It has {there} {kind}s; add_{kind}s makes more")


def _refit_at(found: Found, size: float | None) -> None:
    """Fit the rows to a size that was asked for, which is not to be made smaller."""
    refit(found.slide, found.shape, least=size if size is not None else 10)


def _look(run: Any, bold: bool | None, italic: bool | None, size: float | None, ink: str | None) -> None:
    if bold is not None:
        run.font.bold = bold
    if italic is not None:
        run.font.italic = italic
    if size is not None:
        run.font.size = int(size * 12_700)
    if ink is not None:
        paint(run.font.color, ink)


TOOLS = [insert_table, set_cells, format_cells, merge_cells]
