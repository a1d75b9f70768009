"""Charts: made, given other data, and given another look."""

from typing import Annotated, Any, Literal

from pptx.util import Pt
from pydantic import BaseModel, ConfigDict, Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from .. import charts
from ..chart_looks import colour_series, dress, entitle, label_slices, label_values, put_legend
from ..charts import KINDS, ROUND, in_words, kind_of_chart
from ..deck import changing
from ..objects import object_id, slide_named
from ..parameters import Colour, ObjectRef, Place, SlideRef
from ..targets import box_of, describe, hexadecimal, of_kind, put, spot, told
from ..typeset import filled
from ..wording import clean

Label = Annotated[str, Field(min_length=1, max_length=80)]
Value = Annotated[float, Field(allow_inf_nan=False)]
Title = Annotated[str, Field(max_length=120)]
Legend = Literal["auto", "none", "right", "bottom", "top", "left"]
NumberFormat = Annotated[str, Field(max_length=40, description="as in a spreadsheet: #,##0 or 0.0% or 0 \"kg\"")]
_LARGE, _SMALL = 14, 12
_WIDE = 380.0


class Series(BaseModel):
    """values: one a label; points: [x, y] each, for kind scatter only"""

    model_config = ConfigDict(extra="forbid")

    name: Label
    values: Annotated[list[Value], Field(max_length=500)] = []
    points: Annotated[list[Annotated[list[Value], Field(min_length=2, max_length=2)]], Field(max_length=1000)] = []


Labels = Annotated[list[Label], Field(max_length=500)]
Colours = Annotated[list[Colour], Field(max_length=12)]
SeriesList = Annotated[list[Series], Field(min_length=1, max_length=12)]


@tool
def insert_chart(
    slide: SlideRef, kind: Literal["bar", "column", "line", "pie", "scatter", "area", "doughnut"], series: SeriesList,
    context: RunContext, labels: Labels = (), place: Place | None = None, title: Title = "",
    stacked: Literal["no", "yes", "percent"] = "no", x_title: Title = "", y_title: Title = "",
    number_format: NumberFormat = "", legend: Legend = "auto",
    data_labels: Literal["auto", "none", "value", "percent"] = "auto",
) -> str:
    """Put a chart on a slide; its numbers stay editable.

    kind: bar lies, column stands; pie and doughnut only for parts of a whole; scatter for pairs of numbers
    series: [{"name", "values"}], or [{"name", "points": [[x, y], ...]}] for scatter
    labels: names of the values; none for scatter
    place: a region or a rectangle; if left out, the empty placeholder or the area for content
    title: of the chart itself, where the slide's title does not say it
    stacked: bars, columns or areas on each other, or as shares of 100 %
    x_title, y_title: of the axes, with the unit
    legend, data_labels: auto shows what the chart needs
    """
    names, given = _cleaned(labels, series)
    if (kind, stacked) not in KINDS:
        raise ToolError(f"a {kind} chart cannot be stacked", "Leave stacked out, or take bar, column or area")
    if kind in ROUND and (x_title or y_title):
        raise ToolError(f"a {kind} chart has no axes", "Leave x_title and y_title out")
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        room = spot(deck.presentation, page, place)
        charts.check(kind, names, given, room.box)
        size = _LARGE if room.box.width >= _WIDE else _SMALL
        data = charts.data_of(names, given, number_format)
        frame = page.shapes.add_chart(KINDS[kind, stacked], 0, 0, 0, 0, data)
        cleared = room.clear()  # after, so that no id is given again
        put(frame, room.box)
        chart = frame.chart
        entitle(chart, clean(title), size + 2)
        dress(page, chart, kind, given, size, legend, data_labels, names)
        if kind not in ROUND:
            _name_axes(chart, kind, x_title, y_title, size)
        describe(frame, in_words(kind, clean(title), names, given))
        note = told(number, page, frame)
    count = f"{len(given)} series" + (f" of {len(names)} values" if names else "")
    return f"{kind.capitalize()} chart {object_id(page, frame)} added to slide {number}: {count}.{cleared}{note}"


@tool
def update_chart(object: ObjectRef, series: SeriesList, context: RunContext, labels: Labels = ()) -> str:
    """Give a chart other data; its kind and its look stay.

    series: all of them anew, as in insert_chart
    labels: names of the values; none for scatter
    """
    names, given = _cleaned(labels, series)
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "chart")
        chart, page = found.shape.chart, found.slide
        kind = kind_of_chart(chart)
        _must_hold_its_data(object, chart)
        charts.check(kind, names, given, box_of(found.shape))
        plot = chart.plots[0]
        before = len(plot.series) if kind not in ROUND else max((len(tuple(s.values)) for s in plot.series), default=0)
        chart.replace_data(charts.data_of(names, given, _format_of(chart)))
        colour_series(page, chart, kind, first=before)
        _fit_to_data(chart, kind, given)
        title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
        describe(found.shape, in_words(kind, clean(title), names, given))
    count = f"{len(given)} series" + (f" of {len(names)} values" if names else "")
    return f"{object} shows {count} now, and its alt text says so."


@tool
def format_chart(
    object: ObjectRef, context: RunContext, colours: Colours = (),
    legend: Literal["none", "right", "bottom", "top", "left"] | None = None,
    data_labels: Literal["none", "value", "percent"] | None = None,
    minimum: Value | None = None, maximum: Value | None = None, title: Title | None = None,
    x_title: Title | None = None, y_title: Title | None = None, number_format: NumberFormat | None = None,
    size: Annotated[float, Field(ge=12, le=40, description="of all its type, in points")] | None = None,
) -> str:
    """Change how a chart looks; what is left out stays.

    colours: one a series, or one a slice of a pie or doughnut
    data_labels: at the points; percent for pie and doughnut only
    minimum, maximum: of the axis of values
    title, x_title, y_title: empty takes it away
    """
    changes = (colours or None, legend, data_labels, minimum, maximum, title, x_title, y_title, number_format, size)
    if all(change is None for change in changes):
        raise ToolError("nothing to change was given", "Give colours, legend, data_labels, limits, titles or size")
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "chart")
        chart, page = found.shape.chart, found.slide
        kind = kind_of_chart(chart)
        _check_look(chart, kind, page, colours, data_labels, minimum, maximum, x_title, y_title)
        points = size or (chart.font.size.pt if chart.font.size else _LARGE)
        if size is not None:
            _resize(chart, kind, size)
        if colours:
            colour_series(page, chart, kind, colours)
        if legend is not None:
            put_legend(chart, legend, points)
        if data_labels is not None:
            label = label_slices if kind in ROUND else label_values
            label(page, chart, kind, data_labels)
        if minimum is not None:
            chart.value_axis.minimum_scale = minimum
        if maximum is not None:
            chart.value_axis.maximum_scale = maximum
        if (minimum, maximum) != (None, None):
            chart.value_axis.visible = True  # limits that nobody sees would mislead
        if title is not None:
            entitle(chart, clean(title), points + 2)
        if kind not in ROUND:
            _name_axes(chart, kind, x_title, y_title, points)
        if number_format is not None:
            _number(chart, kind, number_format)
    return f"{object} is formatted."


def _cleaned(labels: list[str], series: list[Series]) -> tuple[list[str], list[charts.Series]]:
    names = [filled(f"label {n}", label) for n, label in enumerate(labels, start=1)]
    given = [charts.Series(filled(f"the name of series {n}", one.name), tuple(one.values),
                           tuple((x, y) for x, y in one.points)) for n, one in enumerate(series, start=1)]
    return names, given


def _name_axes(chart: Any, kind: str, x_title: str | None, y_title: str | None, size: float) -> None:
    """x runs across: in a bar chart that is the axis of values."""
    across, up = (chart.value_axis, chart.category_axis) if kind == "bar" else (chart.category_axis, chart.value_axis)
    for axis, text in ((across, x_title), (up, y_title)):
        if text is not None and (text or axis.has_title):
            entitle(axis, clean(text), size)


def _must_hold_its_data(id: str, chart: Any) -> None:
    linked = chart._chartSpace.find("{*}externalData")
    if linked is not None and chart.part.rels[linked.rId].is_external:
        raise ToolError(f"the data of {id} lie in another file", "Delete it and call insert_chart")


def _format_of(chart: Any) -> str:
    """The format that the chart's numbers have now."""
    code = chart._chartSpace.find(".//{*}ser/{*}val/{*}numRef/{*}numCache/{*}formatCode")
    return code.text if code is not None and code.text not in (None, "#,##0", "#,##0.0#") else ""


def _fit_to_data(chart: Any, kind: str, series: list[charts.Series]) -> None:
    """What the look said of points that are gone goes; limits of the axis that would hide values as well."""
    for one in chart.plots[0].series:
        for mark in one._element.xpath("./c:dPt | ./c:dLbls/c:dLbl"):
            if int(mark.find("{*}idx").get("val")) >= len(tuple(one.values)):
                mark.getparent().remove(mark)
    if kind in ROUND:
        return
    axis = chart.value_axis
    values = [value for one in series for value in (*one.values, *(y for _, y in one.points))]
    if axis.minimum_scale is not None and min(values) < axis.minimum_scale:
        axis.minimum_scale = None
    if axis.maximum_scale is not None and max(values) > axis.maximum_scale:
        axis.maximum_scale = None


def _check_look(chart: Any, kind: str, page: Any, colours: list[str], data_labels: str | None, minimum: float | None,
                maximum: float | None, x_title: str | None, y_title: str | None) -> None:
    for colour in colours:
        hexadecimal(page, colour)
    if colours:
        plot = chart.plots[0]
        parts, what = (len(tuple(plot.series[0].values)), "slices") if kind in ROUND else (len(plot.series), "series")
        if len(colours) != parts:
            raise ToolError(f"there are {len(colours)} colours for {parts} {what}", f"Give {parts}, one for each")
    if data_labels == "percent" and kind not in ROUND:
        raise ToolError(f"a {kind} chart has no shares to write", "Take data_labels value")
    if kind in ROUND and any(each is not None for each in (minimum, maximum, x_title, y_title)):
        raise ToolError(f"a {kind} chart has no axes", "Leave minimum, maximum, x_title and y_title out")
    if kind not in ROUND:
        low = minimum if minimum is not None else chart.value_axis.minimum_scale
        high = maximum if maximum is not None else chart.value_axis.maximum_scale
        if low is not None and high is not None and low >= high:
            raise ToolError(f"the axis would run from {low:g} to {high:g}", "Give a minimum below the maximum")


def _resize(chart: Any, kind: str, size: float) -> None:
    """One size for all type of a chart, wherever it was set."""
    chart.font.size = Pt(size)
    for properties in chart._chartSpace.iter("{*}defRPr", "{*}rPr"):
        if properties.get("sz") is not None:
            properties.set("sz", str(int(size * 100)))


def _number(chart: Any, kind: str, code: str) -> None:
    plot = chart.plots[0]
    holders = [plot.data_labels] if plot.has_data_labels else []
    holders += [one.data_labels for one in plot.series if one._element.find("{*}dLbls") is not None]
    if kind not in ROUND:
        holders.append(chart.value_axis.tick_labels)
    for holder in holders:
        holder.number_format, holder.number_format_is_linked = code, False


TOOLS = [insert_chart, update_chart, format_chart]
