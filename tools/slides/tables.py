"""Draws tables and keeps them in shape: columns as wide as their text, rows as high as its measured lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.util import Emu, Pt

from autorl.errors import ToolError

from .fit import line_height, lines_of, width_of
from .targets import put
from .theme import fonts_of
from .typeset import candidates, direct, height_of, largest_in, look_at, rescale
from .values import Box, Cell, Shape

LEAST = 10
"""Points of the smallest type in a table."""
SIZES = (18, 16, 14, 12, 11, 10)
_SIDE = 10.8  # left and right of a cell's text, in points
_PAD = 7.2  # above and below it, together
_AIR, _MOST_AIR = 0.6, 1.1  # the same in parts of the type size
_FOOT = 0.97  # of the slide's height
_SPARE = 0.1  # points that rounding may cost


@dataclass(frozen=True)
class Layout:
    """size of the type; widths of the columns and heights of the rows: points"""

    size: float
    widths: tuple[float, ...]
    heights: tuple[float, ...]


def lay_out(lines: Sequence[Sequence[str]], box: Box, font: str, sizes: Sequence[float] = SIZES) -> Layout:
    """How `lines`, the first of them the heading, are set in `box`: at the first of `sizes` that fits.

    Raises ToolError with how many rows fit.
    """
    for size in sizes:
        widths = _column_widths(lines, box.width, size, font)
        texts = [_text_height(line, widths, size, font) for line in lines]
        least = max(_AIR * size, _PAD)
        air = min((box.height - sum(texts)) / len(lines), max(_MOST_AIR * size, least))
        if air >= least:
            return Layout(size, tuple(widths), tuple(text + air for text in texts))
    used, fitting = 0.0, 0
    for text in texts:
        used += text + least
        fitting += used <= box.height
    rows = f"{max(fitting - 1, 0)} rows fit below the heading" if fitting else "Not even the heading fits"
    needed = sum(texts) + least * len(texts)
    raise ToolError(f"{len(lines) - 1} rows need {needed:.0f} points of height at {size:g} points of type, and there "
                    f"are {box.height:.0f}", f"{rows}: put the others on another slide, or say less")


def draw(slide: Any, box: Box, lines: Sequence[Sequence[str]], layout: Layout) -> Any:
    """A table on `slide` with the heading and the rows in `lines`."""
    frame = slide.shapes.add_table(len(lines), len(lines[0]), 0, 0, 0, 0)
    put(frame, box)
    table = frame.table
    _use_style_of_deck(slide, table)
    for column, wide in zip(table.columns, layout.widths, strict=True):
        column.width = Emu(int(wide * 12_700))
    # Numbers are read from the right; what names the rows stands to the left even if it is a year.
    numeric = [i > 0 and len(lines) > 1 and all(is_number(row[i]) for row in lines[1:]) for i in range(len(lines[0]))]
    for number, (line, row, high) in enumerate(zip(lines, table.rows, layout.heights, strict=True)):
        row.height = Emu(int(high * 12_700))
        for text, cell, right in zip(line, row.cells, numeric, strict=True):
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            cell.margin_left = cell.margin_right = Pt(_SIDE)
            write_cell(cell, text, layout.size)
            cell.text_frame.paragraphs[0].runs[0].font.bold = True if number == 0 else None
            if right:
                cell.text_frame.paragraphs[0].alignment = PP_ALIGN.RIGHT
    frame.height = sum(row.height for row in table.rows)
    return frame


def write_cell(cell: Any, text: str, size: float | None = None) -> None:
    """Let a cell say `text`, in the look of its first run."""
    looks = next((run._r.rPr for p in cell.text_frame.paragraphs for run in p.runs if run._r.rPr is not None), None)
    cell.text_frame.clear()
    paragraph = cell.text_frame.paragraphs[0]
    run = paragraph.add_run()
    if looks is not None:
        for link in looks.findall("{*}hlinkClick"):
            looks.remove(link)
        run._r.insert(0, looks)
    run.text = text
    if size is not None:
        run.font.size = Pt(size)
    direct(paragraph, text)


def refit(slide: Any, frame: Any, least: float = LEAST) -> float:
    """Make the rows as high as their text needs, and its type smaller if the table would run off the slide.

    Returns the size of the largest type. Raises ToolError with how many rows fit.
    """
    table, seen = frame.table, look_at(slide, frame)
    bottom = _FOOT * slide.part.package.presentation_part.presentation.slide_height / 12_700
    room = bottom - seen.box.top
    cells = list(_measured(table, seen))
    largest = max((largest_in(cell.paragraphs, least) for _, _, cell, _, _ in cells), default=float(least))
    for size in candidates(largest, least):
        needed = [0.0] * len(table.rows)
        for first, rows, cell, width, margins in cells:
            high = height_of(cell.paragraphs, width, size / largest, least) + margins + _SPARE
            for row in range(first, min(first + rows, len(needed))):
                needed[row] = max(needed[row], high / rows)
        if sum(needed) <= room:
            break
    else:
        fitting = sum(sum(needed[:n]) <= room for n in range(1, len(needed) + 1))
        raise ToolError(f"the table would need {sum(needed):.0f} points of height at {min(largest, least):g} points of "
                        f"type, and there are {room:.0f} above the foot of the slide",
                        f"{fitting} of its {len(needed)} rows fit: delete some, say less, or move it up")
    if size < largest:
        for line, row in zip(seen.rows, table.rows, strict=True):
            for read, cell in zip(line, row.cells, strict=True):
                rescale(cell._tc.txBody, read.paragraphs, size / largest, least)
    wanted = [max(row.height / 12_700, need) for row, need in zip(table.rows, needed, strict=True)]
    spare = max(room - sum(needed), 0.0) / max(sum(wanted) - sum(needed), 1e-9)
    for row, want, need in zip(table.rows, wanted, needed, strict=True):
        row.height = Emu(int((need + (want - need) * min(spare, 1.0)) * 12_700))
    frame.height = sum(row.height for row in table.rows)
    frame.width = sum(column.width for column in table.columns)
    return size


def widen(frame: Any, width: float) -> None:
    """Make a table `width` points wide, its columns in proportion."""
    scale = width * 12_700 / max(sum(column.width for column in frame.table.columns), 1)
    for column in frame.table.columns:
        column.width = Emu(int(column.width * scale))
    frame.width = sum(column.width for column in frame.table.columns)


def is_number(text: str) -> bool:
    bare = text.strip("+-−~<>≈ %$€£").replace(",", "").replace(".", "").replace(" ", "")
    return bare.isdigit()


def _column_widths(lines: Sequence[Sequence[str]], total: float, size: float, font: str) -> list[float]:
    """Each column as wide as its longest text, and the rest of `total` shared; where that is too much, the widest
    columns wrap."""
    longest = [max(width_of(line[i], font, bold=True) for line in lines) for i in range(len(lines[0]))]
    wanted = [length * size + 2 * _SIDE + 1 for length in longest]
    spare = (total - sum(wanted)) / len(wanted)
    if spare >= 0:
        return [width + spare for width in wanted]
    widths, left = {}, total
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    for done, i in enumerate(order):
        if wanted[i] > left / (len(order) - done):
            shares = {j: wanted[j] ** 0.5 for j in order[done:]}  # more for those with more to say, but less than so
            widths |= {j: left * share / sum(shares.values()) for j, share in shares.items()}
            break
        widths[i] = wanted[i]
        left -= wanted[i]
    return [widths[i] for i in range(len(wanted))]


def _text_height(line: Sequence[str], widths: Sequence[float], size: float, font: str) -> float:
    """Measured as if bold, which a heading is and other rows are not."""
    return max(lines_of(text, size, max(width - 2 * _SIDE, 1.0), font, bold=True) * line_height(text, font, bold=True)
               for text, width in zip(line, widths, strict=True)) * size


def _measured(table: Any, seen: Shape) -> Iterator[tuple[int, int, Cell, float, float]]:
    """Of each cell that is not covered: its row, how many it covers, its text, the width of that, and its margins."""
    widths = [column.width / 12_700 for column in table.columns]
    for number, (row, read) in enumerate(zip(table.rows, seen.rows, strict=True)):
        for column, (cell, text) in enumerate(zip(row.cells, read, strict=True)):
            if cell.is_spanned:
                continue
            across, down = (cell.span_width, cell.span_height) if cell.is_merge_origin else (1, 1)
            wide = sum(widths[column:column + across]) - (cell.margin_left + cell.margin_right) / 12_700
            yield number, down, text, wide, (cell.margin_top + cell.margin_bottom) / 12_700


def _use_style_of_deck(slide: Any, table: Any) -> None:
    """A table of python-pptx's asks for a style of PowerPoint's, whatever the deck has as its own."""
    try:
        styles = parse_xml(slide.part.package.presentation_part.part_related_by(RELATIONSHIP_TYPE.TABLE_STYLES).blob)
    except KeyError:
        return
    style = table._tbl.tblPr.find("{*}tableStyleId")
    if styles.get("def") and style is not None:
        style.text = styles.get("def")


def font_of(slide: Any) -> str:
    """The font of a table on `slide`."""
    return fonts_of(slide)[1]
