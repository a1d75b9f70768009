"""Puts slides into a presentation: text, tables and charts, each sized to what it holds."""

import copy
from collections.abc import Sequence
from typing import Any

from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION, XL_TICK_LABEL_POSITION
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Inches, Pt

from autorl.errors import ToolError

from .fit import lines_of, runs_right_to_left, size_for, width_of

_TITLES = (PP_PLACEHOLDER.TITLE, PP_PLACEHOLDER.CENTER_TITLE)
_BODIES = (PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.BODY)
_PAD = Inches(0.2)
_CELL_PAD = Inches(0.3)
_LINE = 1.2
_KINDS = {
    "bar": XL_CHART_TYPE.BAR_CLUSTERED, "column": XL_CHART_TYPE.COLUMN_CLUSTERED,
    "line": XL_CHART_TYPE.LINE_MARKERS, "pie": XL_CHART_TYPE.PIE,
}
_SLICES = (MSO_THEME_COLOR.ACCENT_1, MSO_THEME_COLOR.ACCENT_2, MSO_THEME_COLOR.ACCENT_3, MSO_THEME_COLOR.ACCENT_4,
           MSO_THEME_COLOR.ACCENT_5, MSO_THEME_COLOR.ACCENT_6)
_ACTIVE = ("=", "{=", "http:", "https:", "ftp:", "ftps:", "mailto:", "internal:", "external:", "file:")
_SHORT_NAME = 16
_WIDE_SLICE = 0.06
_GREY = RGBColor(0xD5, 0xDB, 0xE0)


def add_opening(presentation: Any, title: str, subtitle: str) -> Any:
    """A title slide; an empty `subtitle` leaves no empty box behind."""
    slide = presentation.slides.add_slide(_layout(presentation, PP_PLACEHOLDER.CENTER_TITLE, PP_PLACEHOLDER.SUBTITLE))
    _write_title(slide, title, (54, 48, 44, 40, 36, 32))
    box = next(s for s in slide.placeholders if s.placeholder_format.type == PP_PLACEHOLDER.SUBTITLE)
    if subtitle:
        _write(box, [subtitle], (26, 24, 22, 20, 18))
    else:
        box.element.getparent().remove(box.element)
    return slide


def add_bullets(presentation: Any, title: str, bullets: Sequence[str], notes: str = "") -> Any:
    """A slide with a title and bullets, and speaker notes if there are any."""
    slide = _content_slide(presentation, title)
    # Few bullets stand further apart, so that a short slide does not look unfinished.
    _write(_body(slide), bullets, (32, 30, 28, 26, 24, 22, 20, 18, 16, 14), spacing=1.3 - 0.15 * len(bullets))
    if notes:
        slide.notes_slide.notes_text_frame.text = notes
    return slide


def add_table(presentation: Any, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A slide with a table under its title; the first row is the heading, columns as wide as their text."""
    slide = _content_slide(presentation, title)
    left, top, width, height = _take_body(slide)
    lines = [columns, *rows]
    frame = slide.shapes.add_table(len(lines), len(columns), left, top, width, Emu(height // 2))
    _describe(frame, f"Table '{title}': {', '.join(columns)}; {len(rows)} rows")
    table = frame.table
    widths = _column_widths(lines, width)
    size, padding = _table_type(lines, widths, height)
    for column, wide in zip(table.columns, widths, strict=True):
        column.width = Emu(wide)
    # Numbers are read from the right; what names the rows stands to the left even if it is a year.
    numeric = [i > 0 and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    for number, (line, row) in enumerate(zip(lines, table.rows, strict=True)):
        row.height = Pt(size * (_LINE * _lines_in(line, widths, size) + padding))
        for text, cell, right in zip(line, row.cells, numeric, strict=True):
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            cell.margin_left = cell.margin_right = Emu(_CELL_PAD // 2)
            paragraph = cell.text_frame.paragraphs[0]
            paragraph.add_run().text = text
            paragraph.font.size = Pt(size)
            paragraph.font.bold = number == 0
            _direct(paragraph, text)
            if right:
                paragraph.alignment = PP_ALIGN.RIGHT
    return slide


def add_chart(presentation: Any, title: str, kind: str, labels: Sequence[str], values: Sequence[float]) -> Any:
    """A slide with a chart of one series under its title. `kind` is bar, column, line or pie."""
    slide = _content_slide(presentation, title)
    left, top, width, height = _take_body(slide)
    data = CategoryChartData(number_format=_number_format(values))
    data.categories = [_inert(label) for label in labels]
    data.add_series(_inert(title), values)
    frame = slide.shapes.add_chart(_KINDS[kind], left, top, width, height, data)
    pairs = ", ".join(f"{label} {value:g}" for label, value in zip(labels, values, strict=True))
    _describe(frame, f"{kind.capitalize()} chart '{title}': {pairs}")
    chart = frame.chart
    chart.has_title, chart.has_legend, chart.font.size = False, False, Pt(18)
    plot = chart.plots[0]
    plot.has_data_labels = True
    plot.data_labels.font.size = Pt(18)
    if kind == "pie":
        _dress_pie(chart, plot, labels, values)
    else:
        _dress_axes(chart, plot, kind, values)
    return slide


def title_of(slide: Any) -> str:
    """The text of a slide's title, empty if it has none."""
    return slide.shapes.title.text_frame.text if slide.shapes.title is not None else ""


def bullets_of(slide: Any) -> list[str]:
    """The texts of a slide's bullets."""
    boxes = [s for s in slide.placeholders if s.placeholder_format.type in _BODIES and s.has_text_frame]
    return [paragraph.text for box in boxes for paragraph in box.text_frame.paragraphs]


def _layout(presentation: Any, *kinds: Any) -> Any:
    """The first layout whose title and body are of these kinds; by kind, since a stranger's deck has other names."""
    for layout in presentation.slide_layouts:
        found = [s.placeholder_format.type for s in layout.placeholders]
        bodies = [kind for kind in found if kind in (*_BODIES, PP_PLACEHOLDER.SUBTITLE)]
        if kinds[0] in found and len(bodies) == 1 and bodies[0] in kinds[1:]:
            return layout
    raise ToolError("the deck has no layout with a title and one text box", "Start a deck of your own")


def _content_slide(presentation: Any, title: str) -> Any:
    slide = presentation.slides.add_slide(_layout(presentation, PP_PLACEHOLDER.TITLE, *_BODIES))
    _write_title(slide, title, (34, 32, 30, 28, 26, 24))
    _number(slide)
    return slide


def _number(slide: Any) -> None:
    """Slides do not inherit the slide number of their layout; it is copied, as PowerPoint does."""
    for shape in slide.slide_layout.placeholders:
        if shape.placeholder_format.type == PP_PLACEHOLDER.SLIDE_NUMBER:
            twin = copy.deepcopy(shape.element)
            twin.nvSpPr.cNvPr.set("id", str(max(s.shape_id for s in slide.shapes) + 1))
            slide.shapes._spTree.append(twin)


def _body(slide: Any) -> Any:
    return next(s for s in slide.placeholders if s.placeholder_format.type in _BODIES)


def _take_body(slide: Any) -> tuple[Emu, Emu, Emu, Emu]:
    """Remove the text box and return its place, for something else to stand there."""
    box = _body(slide)
    place = box.left, box.top, box.width, box.height
    box.element.getparent().remove(box.element)
    return place


def _write_title(slide: Any, title: str, sizes: Sequence[int]) -> None:
    _write(slide.shapes.title, [title], sizes)


def _write(shape: Any, paragraphs: Sequence[str], sizes: Sequence[int], spacing: float = 0.0) -> None:
    """Fill a text box at the largest of `sizes` (points) that fits; `spacing` is in parts of the size."""
    frame = shape.text_frame
    size = size_for(paragraphs, (shape.width - 3 * _PAD, shape.height - _PAD), sizes, spacing)
    for number, text in enumerate(paragraphs):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.add_run().text = text
        paragraph.font.size = Pt(size)
        if number and spacing:
            paragraph.space_before = Pt(size * spacing)
        _direct(paragraph, text)


def _direct(paragraph: Any, text: str) -> None:
    if runs_right_to_left(text):
        paragraph._p.get_or_add_pPr().set("rtl", "1")
        paragraph.alignment = PP_ALIGN.RIGHT


def _column_widths(lines: Sequence[Sequence[str]], total: int) -> list[int]:
    """Shares of `total` by the longest text, none so narrow that it cannot be read."""
    longest = [min(max(width_of(line[i]) for line in lines), 40) + 4 for i in range(len(lines[0]))]
    floor = 0.5 / len(longest)
    shares = [max(length / sum(longest), floor) for length in longest]
    return [int(total * share / sum(shares)) for share in shares]


def _table_type(lines: Sequence[Sequence[str]], widths: Sequence[int], height: int) -> tuple[int, float]:
    """The type size in points, and the room above and below the text of a row in parts of it."""
    for size in (22, 20, 18, 16, 14, 12):
        text = _LINE * sum(_lines_in(line, widths, size) for line in lines)
        padding = (height / Pt(size) - text) / len(lines)
        if padding >= 0.6:
            break
    return size, min(max(padding, 0.6), 1.1)


def _lines_in(row: Sequence[str], widths: Sequence[int], size: int) -> int:
    return max(lines_of(t, size, (w - _CELL_PAD) / 12_700) for t, w in zip(row, widths, strict=True))


def _dress_pie(chart: Any, plot: Any, names: Sequence[str], values: Sequence[float]) -> None:
    """Names stand at the slices, where there is room; only else do colours have to be matched with a legend."""
    roomy = max(map(len, names)) <= _SHORT_NAME and min(values) >= _WIDE_SLICE * sum(values)
    chart.has_legend = not roomy
    if chart.has_legend:
        chart.legend.position, chart.legend.include_in_layout = XL_LEGEND_POSITION.RIGHT, False
        chart.legend.font.size = Pt(18)
    labels = plot.data_labels
    labels.show_category_name, labels.show_percentage, labels.show_value = roomy, True, False
    labels.number_format, labels.number_format_is_linked = "0%", False
    labels.position = XL_LABEL_POSITION.OUTSIDE_END
    labels._element.find("{*}showBubbleSize").addnext(parse_xml(f"<c:separator {nsdecls('c')}>: </c:separator>"))
    for number in range(len(values)):
        fill = plot.series[0].points[number].format.fill
        fill.solid()
        fill.fore_color.theme_color = _SLICES[number % len(_SLICES)]


def _dress_axes(chart: Any, plot: Any, kind: str, values: Sequence[float]) -> None:
    plot.data_labels.position = XL_LABEL_POSITION.ABOVE if kind == "line" else XL_LABEL_POSITION.OUTSIDE_END
    series = plot.series[0]
    if kind == "line":
        series.smooth = False
        series.format.line.width = Pt(3)
        series.format.line.color.theme_color = MSO_THEME_COLOR.ACCENT_1
    else:
        plot.gap_width = 60
        series.format.fill.solid()
        series.format.fill.fore_color.theme_color = MSO_THEME_COLOR.ACCENT_1
        series.invert_if_negative = False
    # Every point carries its value, so the axis would only say it again.
    chart.value_axis.visible = chart.value_axis.has_major_gridlines = False
    if min(values) >= 0:
        chart.value_axis.minimum_scale = 0
    chart.category_axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW  # clear of bars below zero
    chart.category_axis.format.line.color.rgb = _GREY
    chart.category_axis.has_major_gridlines = False
    # The first label belongs at the top of a bar chart, where reading starts.
    chart.category_axis.reverse_order = kind == "bar"


def _inert(text: str) -> str:
    """`text` so that the workbook inside a chart does not take it for a formula or a link."""
    return f" {text}" if text.lower().startswith(_ACTIVE) else text


def _number_format(values: Sequence[float]) -> str:
    return "#,##0" if all(float(value).is_integer() for value in values) else "#,##0.0#"


def _is_number(text: str) -> bool:
    bare = text.strip("+-−~<>≈ %$€£").replace(",", "").replace(".", "").replace(" ", "")
    return bare.isdigit()


def _describe(frame: Any, text: str) -> None:
    """Alternative text, for those who cannot see the shape."""
    frame._element.xpath("./p:nvGraphicFramePr/p:cNvPr")[0].set("descr", text)
