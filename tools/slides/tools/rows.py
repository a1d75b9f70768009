"""Rows and columns of tables: added and deleted. They count from 1, and row 1 is the heading."""

import copy
from collections.abc import Sequence
from typing import Annotated, Any

from pptx.table import _Cell
from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..parameters import ObjectRef
from ..tables import refit, widen, write_cell
from ..targets import tried
from ..wording import clean
from .tables import MOST_COLUMNS, MOST_ROWS, Cell, Cells, Index, must_have, table_named

Column = Annotated[list[Cell], Field(min_length=1, max_length=MOST_ROWS)]


@tool
def add_rows(
    object: ObjectRef, rows: Annotated[list[Cells], Field(min_length=1, max_length=MOST_ROWS)], context: RunContext,
    before: Index | None = None,
) -> str:
    """Add rows to a table, in the look of the row above.

    rows: one list of cells a row
    before: the row that they go before; at the end if left out
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        count, wide = len(table.rows), len(table.columns)
        at = count + 1 if before is None else before
        must_have(table, object, rows=(at,) if before is not None else ())
        for number, row in enumerate(rows, start=1):
            if len(row) != wide:
                raise ToolError(f"row {number} has {len(row)} cells for {wide} columns", "Give one cell a column")
        if 1 < at <= count and any(cell._tc.vMerge for cell in table.rows[at - 1].cells):
            raise ToolError(f"row {at} is merged with the row above it", "Add the rows before or after the merged ones")
        # The heading is no pattern for what stands below it, unless there is nothing else.
        pattern = table.rows[max(at - 2, min(1, count - 1))]._tr
        neighbour = table.rows[at - 1]._tr if at <= count else None
        with tried(found.slide):
            for texts in rows:
                fresh = copy.deepcopy(pattern)
                _fresh(fresh.tc_lst, texts)
                if neighbour is not None:
                    neighbour.addprevious(fresh)
                else:
                    table._tbl.tr_lst[-1].addnext(fresh)
            size = refit(found.slide, found.shape)
    return f"{object} has {len(table.rows)} rows now, heading included; its type is {size:g} points."


@tool
def add_columns(
    object: ObjectRef, columns: Annotated[list[Column], Field(min_length=1, max_length=MOST_COLUMNS)],
    context: RunContext, before: Index | None = None,
) -> str:
    """Add columns to a table, which stays as wide as it is.

    columns: one list of cells a column, the heading first
    before: the column that they go before; at the end if left out
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        high, count = len(table.rows), len(table.columns)
        at = count + 1 if before is None else before
        must_have(table, object, columns=(at,) if before is not None else ())
        if count + len(columns) > MOST_COLUMNS:
            raise ToolError(f"{object} would have {count + len(columns)} columns", f"Have at most {MOST_COLUMNS}")
        for number, column in enumerate(columns, start=1):
            if len(column) != high:
                raise ToolError(f"column {number} has {len(column)} cells for {high} rows", "Give one a row")
        if 1 < at <= count and any(row.cells[at - 1]._tc.hMerge for row in table.rows):
            raise ToolError(f"column {at} is merged with the one before it", "Add the columns beside the merged ones")
        with tried(found.slide):
            width = found.shape.width
            for column in columns:
                _add_column(table, at, column)
                at += 1
            widen(found.shape, width / 12_700)
            size = refit(found.slide, found.shape)
    return f"{object} has {len(table.columns)} columns now; its type is {size:g} points."


@tool
def delete_rows(
    object: ObjectRef, rows: Annotated[list[Index], Field(min_length=1, max_length=1000)], context: RunContext
) -> str:
    """Delete rows of a table.

    rows: their numbers; row 1 is the heading
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        must_have(table, object, rows=rows)
        gone = set(rows)
        if len(gone) == len(table.rows):
            raise ToolError(f"those are all rows of {object}", "Call delete_object")
        for number, row in enumerate(table.rows, start=1):
            for cell in row.cells:
                tied = set(range(number, number + cell.span_height)) if cell.is_merge_origin else set()
                if tied & gone and not tied <= gone:
                    raise ToolError(f"rows {min(tied)} to {max(tied)} are merged", "Delete all of them, or none")
        for element in [table.rows[n - 1]._tr for n in gone]:
            table._tbl.remove(element)
        found.shape.height = sum(row.height for row in table.rows)
    return f"{object} has {len(table.rows)} row{'s' if len(table.rows) != 1 else ''} now, heading included."


@tool
def delete_columns(
    object: ObjectRef, columns: Annotated[list[Index], Field(min_length=1, max_length=1000)], context: RunContext
) -> str:
    """Delete columns of a table, which stays as wide as it is.

    columns: their numbers
    """
    with changing(context.workspace) as deck:
        found, table = table_named(deck.presentation, object)
        must_have(table, object, columns=columns)
        gone = set(columns)
        if len(gone) == len(table.columns):
            raise ToolError(f"those are all columns of {object}", "Call delete_object")
        for row in table.rows:
            for number, cell in enumerate(row.cells, start=1):
                tied = set(range(number, number + cell.span_width)) if cell.is_merge_origin else set()
                if tied & gone and not tied <= gone:
                    raise ToolError(f"columns {min(tied)} to {max(tied)} are merged", "Delete all of them, or none")
        with tried(found.slide):
            width = found.shape.width
            for number in sorted(gone, reverse=True):
                for row in table.rows:
                    row._tr.remove(row._tr.tc_lst[number - 1])
                grid = table._tbl.tblGrid
                grid.remove(grid.gridCol_lst[number - 1])
            widen(found.shape, width / 12_700)
            refit(found.slide, found.shape)
    return f"{object} has {len(table.columns)} column{'s' if len(table.columns) != 1 else ''} now."


def _fresh(cells: Sequence[Any], texts: Sequence[str]) -> None:
    """Fill copied cells, and let them be merged with nothing."""
    for cell, text in zip(cells, texts, strict=True):
        for mark in ("rowSpan", "gridSpan", "vMerge", "hMerge"):
            cell.attrib.pop(mark, None)
        write_cell(_Cell(cell, None), clean(text))


def _add_column(table: Any, at: int, texts: Sequence[str]) -> None:
    grid = table._tbl.tblGrid
    pattern = max(at - 2, 0)
    twin = copy.deepcopy(grid.gridCol_lst[pattern])
    for extra in twin.findall("{*}extLst"):
        twin.remove(extra)  # the id of the column it was copied from
    _insert(grid.gridCol_lst, at, twin)
    for row, text in zip(table.rows, texts, strict=True):
        cell = copy.deepcopy(row._tr.tc_lst[pattern])
        _fresh([cell], [text])
        _insert(row._tr.tc_lst, at, cell)


def _insert(siblings: Sequence[Any], at: int, element: Any) -> None:
    if at <= len(siblings):
        siblings[at - 1].addprevious(element)
    else:
        siblings[-1].addnext(element)


TOOLS = [add_rows, add_columns, delete_rows, delete_columns]
