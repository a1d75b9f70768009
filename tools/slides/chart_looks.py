"""How charts look: colours of the theme, type that can be read from a seat, and no more ink than the data needs."""

from collections.abc import Sequence
from typing import Any

from pptx.enum.chart import (
    XL_LABEL_POSITION,
    XL_LEGEND_POSITION,
    XL_MARKER_STYLE,
    XL_TICK_LABEL_POSITION,
)
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Pt

from autorl.errors import ToolError

from .charts import ROUND, Series
from .parameters import paint
from .targets import hexadecimal, ink_on

LEGENDS = {"right": XL_LEGEND_POSITION.RIGHT, "bottom": XL_LEGEND_POSITION.BOTTOM, "top": XL_LEGEND_POSITION.TOP,
           "left": XL_LEGEND_POSITION.LEFT}
_SHORT_NAME = 16
_WIDE_SLICE = 0.06
_FEW = 12


def dress(slide: Any, chart: Any, kind: str, series: Sequence[Series], size: float, legend: str = "auto",
          labelled: str = "auto", labels: Sequence[str] = ()) -> None:
    """Give a new chart its look.

    size: of its type in points; legend: auto, none, or where; labelled: auto, none, value or percent
    """
    chart.font.size = Pt(size)
    chart.font.color.theme_color = MSO_THEME_COLOR.TEXT_1  # not every viewer takes the theme's of itself
    colour_series(slide, chart, kind)
    single = len(series) == 1
    values = [value for one in series for value in one.values]
    if kind in ROUND:
        roomy = kind == "pie" and legend == "auto" and (
            max(map(len, labels)) <= _SHORT_NAME and min(values) >= _WIDE_SLICE * sum(values))
        label_slices(slide, chart, kind, "percent" if labelled == "auto" else labelled, named=roomy)
        put_legend(chart, ("none" if roomy else "right") if legend == "auto" else legend, size)
        return
    axes(chart, kind)
    told = labelled == "auto" and single and kind in ("bar", "column", "line") and len(values) <= _FEW
    if told or labelled in ("value", "percent"):
        label_values(slide, chart, kind, "value")
    if told:  # every point carries its value, so the axis would only say it again
        axis = chart.value_axis
        axis.visible = axis.has_major_gridlines = False
    if values and min(values) >= 0 and kind in ("bar", "column", "line", "area"):
        chart.value_axis.minimum_scale = 0
    put_legend(chart, ("none" if single else "bottom") if legend == "auto" else legend, size)


def colour_series(slide: Any, chart: Any, kind: str, colours: Sequence[str] = (), first: int = 0) -> None:
    """Colour the series from number `first` on, or the slices of a round chart; `colours` left out are the theme's."""
    for plot in chart.plots:
        for number, one in enumerate(plot.series):
            if kind in ROUND:
                for index in range(first, len(tuple(one.values))):
                    fill = one.points[index].format.fill
                    fill.solid()
                    _tint(fill.fore_color, index, colours)
                    line = one.points[index].format.line
                    line.color.theme_color, line.width = MSO_THEME_COLOR.BACKGROUND_1, Pt(1.5)
            elif number >= first:
                _colour_one(one, kind, number, colours)


def _colour_one(one: Any, kind: str, number: int, colours: Sequence[str]) -> None:
    if kind in ("line", "scatter"):
        marker = one.marker
        marker.style, marker.size = XL_MARKER_STYLE.CIRCLE, 9 if kind == "scatter" else 7
        marker.format.fill.solid()
        _tint(marker.format.fill.fore_color, number, colours)
        marker.format.line.fill.background()
    if kind == "line":
        one.smooth = False
        one.format.line.width = Pt(3)
        _tint(one.format.line.color, number, colours)
    elif kind == "scatter":
        one.format.line.fill.background()
    else:
        one.format.fill.solid()
        _tint(one.format.fill.fore_color, number, colours)
        if kind == "area" and one._element.getparent().find("{*}grouping").get("val") == "standard":
            _see_through(one.format.fill._xPr.find("{*}solidFill"), 65)  # what stands behind is to be seen
        if kind in ("bar", "column"):
            one.invert_if_negative = False


def _tint(colour: Any, number: int, colours: Sequence[str]) -> None:
    """After the theme's six come lighter ones, then darker."""
    if colours:
        paint(colour, colours[number % len(colours)])
        return
    paint(colour, f"accent{number % 6 + 1}")
    if number >= 6:
        colour.brightness = 0.45 if number < 12 else -0.35


def label_values(slide: Any, chart: Any, kind: str, show: str) -> None:
    """Write the values at the points; `show` is none or value."""
    plot = chart.plots[0]
    plot.has_data_labels = show != "none"
    stacked = "STACKED" in chart.chart_type.name
    for number, one in enumerate(plot.series if show != "none" else ()):
        labels = one.data_labels
        labels.show_value = True
        labels.font.size = chart.font.size
        if kind == "line":
            labels.position = XL_LABEL_POSITION.ABOVE
        elif kind in ("bar", "column"):
            labels.position = XL_LABEL_POSITION.CENTER if stacked else XL_LABEL_POSITION.OUTSIDE_END
        if stacked:
            paint(labels.font.color, ink_on(slide, _ground(slide, one.format.fill, number)))
        else:
            labels.font.color.theme_color = MSO_THEME_COLOR.TEXT_1
    if show == "none":
        for one in plot.series:
            for old in one._element.findall("{*}dLbls"):
                one._element.remove(old)


def label_slices(slide: Any, chart: Any, kind: str, show: str, named: bool = False) -> None:
    """Write values or shares at the slices, on a ring in a colour that reads on each; `named`: with their labels."""
    plot = chart.plots[0]
    plot.has_data_labels = show != "none"
    for one in plot.series:
        for old in one._element.findall("{*}dLbls"):
            one._element.remove(old)
    if show == "none":
        return
    labels = plot.data_labels
    labels.font.size = chart.font.size
    labels.show_category_name, labels.show_percentage, labels.show_value = named, show == "percent", show == "value"
    if show == "percent":
        labels.number_format, labels.number_format_is_linked = "0%", False
    labels._element.find("{*}txPr/{*}bodyPr").set("wrap", "none")
    if kind == "pie":
        labels.position = XL_LABEL_POSITION.OUTSIDE_END
        separator = parse_xml(f"<c:separator {nsdecls('c')}>: </c:separator>")
        for old in labels._element.findall("{*}separator"):
            labels._element.remove(old)
        labels._element.find("{*}showBubbleSize").addnext(separator)
        return
    for one in plot.series:
        for index in range(len(tuple(one.values))):
            label = one.points[index].data_label
            paint(label.font.color, ink_on(slide, _ground(slide, one.points[index].format.fill, index)))
            label.font.size = chart.font.size
            mark = label._dLbl
            for name, on in (("showVal", show == "value"), ("showPercent", show == "percent")):
                mark.find(f"{{*}}{name}").set("val", str(int(on)))
            if show == "percent":
                mark.insert_element_before(
                    parse_xml(f'<c:numFmt {nsdecls("c")} formatCode="0%" sourceLinked="0"/>'), "c:spPr", "c:txPr")


def axes(chart: Any, kind: str) -> None:
    """Axes in a quiet colour, labels at the edge, the first label of a bar chart at its top."""
    labels, values = chart.category_axis, chart.value_axis
    values.has_major_gridlines = True
    for axis in (labels, values):
        line = axis.format.line
        line.color.theme_color, line.width = MSO_THEME_COLOR.TEXT_1, Pt(0.75)
        axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW  # clear of bars below zero
    _faint(values.major_gridlines.format.line)
    labels.has_major_gridlines = kind == "scatter"
    if kind == "scatter":
        _faint(labels.major_gridlines.format.line)
    if kind in ("bar", "column"):
        chart.plots[0].gap_width = 60
    if kind == "bar":
        labels.reverse_order = True
        # Or the axis of values would stand at the top; python-pptx has no word for it.
        values._element.find("{*}crosses").set("val", "max")
        values.tick_label_position = XL_TICK_LABEL_POSITION.NEXT_TO_AXIS


def put_legend(chart: Any, where: str, size: float | None = None) -> None:
    """Show the legend at the right, bottom, top or left; `none` takes it away."""
    chart.has_legend = where != "none"
    if chart.has_legend:
        chart.legend.position, chart.legend.include_in_layout = LEGENDS[where], False
        if size is not None:
            chart.legend.font.size = Pt(size)
            chart.legend.font.color.theme_color = MSO_THEME_COLOR.TEXT_1


def entitle(holder: Any, text: str, size: float) -> None:
    """Give a chart or an axis a title; an empty `text` takes it away."""
    holder.has_title = bool(text)
    if not text:
        return
    frame = (holder.chart_title if hasattr(holder, "chart_title") else holder.axis_title).text_frame
    frame.text = text
    font = frame.paragraphs[0].runs[0].font
    font.size, font.bold, font.color.theme_color = Pt(size), hasattr(holder, "chart_title"), MSO_THEME_COLOR.TEXT_1


def _faint(line: Any) -> None:
    """A line that is a fifth of the text's colour."""
    line.width = Pt(0.75)
    line.color.theme_color = MSO_THEME_COLOR.TEXT_1
    _see_through(line._ln.find("{*}solidFill"), 20)


def _see_through(fill: Any, percent: int) -> None:
    for old in fill[0].findall("{*}alpha"):
        fill[0].remove(old)
    fill[0].append(parse_xml(f'<a:alpha {nsdecls("a")} val="{percent * 1000}"/>'))


def _ground(slide: Any, fill: Any, number: int) -> str:
    """RRGGBB of a filled part of a chart."""
    try:
        if fill.fore_color.type is not None and fill.fore_color.theme_color != MSO_THEME_COLOR.NOT_THEME_COLOR:
            name = fill.fore_color.theme_color.name.lower().replace("_", "")
            return hexadecimal(slide, {"text1": "text", "background1": "background"}.get(name, name))
        return str(fill.fore_color.rgb)
    except (AttributeError, TypeError, ToolError):
        return hexadecimal(slide, f"accent{number % 6 + 1}")
