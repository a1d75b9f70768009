"""What charts show: data that can be shown, that a workbook cannot misread, and that is said in words as well."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE

from autorl.errors import ToolError

from .values import Box

KINDS = {
    ("bar", "no"): XL_CHART_TYPE.BAR_CLUSTERED, ("bar", "yes"): XL_CHART_TYPE.BAR_STACKED,
    ("bar", "percent"): XL_CHART_TYPE.BAR_STACKED_100, ("column", "no"): XL_CHART_TYPE.COLUMN_CLUSTERED,
    ("column", "yes"): XL_CHART_TYPE.COLUMN_STACKED, ("column", "percent"): XL_CHART_TYPE.COLUMN_STACKED_100,
    ("line", "no"): XL_CHART_TYPE.LINE_MARKERS, ("area", "no"): XL_CHART_TYPE.AREA,
    ("area", "yes"): XL_CHART_TYPE.AREA_STACKED, ("area", "percent"): XL_CHART_TYPE.AREA_STACKED_100,
    ("pie", "no"): XL_CHART_TYPE.PIE, ("doughnut", "no"): XL_CHART_TYPE.DOUGHNUT,
    ("scatter", "no"): XL_CHART_TYPE.XY_SCATTER}
ROUND = ("pie", "doughnut")
_ACTIVE = ("=", "{=", "http:", "https:", "ftp:", "ftps:", "mailto:", "internal:", "external:", "file:")
_MOST_SLICES = 10
_THINNEST = {"bar": 13.0, "column": 5.0, "line": 3.0, "area": 3.0}  # points of the axis for a bar or a label
_PLOT = 0.8  # of a chart's place that is left for its plot, about
_DESCRIBED = 24


@dataclass(frozen=True)
class Series:
    """values: one a label; points: x and y, of a scatter chart"""

    name: str
    values: tuple[float, ...] = ()
    points: tuple[tuple[float, float], ...] = ()


def check(kind: str, labels: Sequence[str], series: Sequence[Series], box: Box) -> None:
    """Raises ToolError for data that a chart of this kind cannot show in `box`."""
    names = [one.name for one in series]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ToolError(f"two series are named '{twice}'", "Give every series a name of its own")
    if kind == "scatter":
        if labels:
            raise ToolError("a scatter chart takes no labels", "Leave them out; give points [[x, y], ...]")
        bare = next((one for one in series if not one.points), None)
        if bare is not None:
            raise ToolError(f"the series '{bare.name}' has no points", "Give points [[x, y], ...] for a scatter chart")
        return
    pointed = next((one for one in series if one.points), None)
    if pointed is not None:
        raise ToolError(f"the series '{pointed.name}' has points, which a {kind} chart does not show",
                        "Give labels and values, or take kind scatter")
    if not labels:
        raise ToolError("there are no labels", "Give one label for each value")
    for one in series:
        if len(one.values) != len(labels):
            raise ToolError(f"there are {len(labels)} labels, but the series '{one.name}' has {len(one.values)} values",
                            "Give one value a label")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ToolError(f"the label '{twice}' stands twice", "Give every value a label of its own")
    if kind in ROUND:
        _check_round(kind, labels, series)
    else:
        side = box.height if kind == "bar" else box.width
        each = _THINNEST[kind] if kind in ("line", "area") else _THINNEST[kind] * max(1, len(series) // 2)
        most = int(side * _PLOT / each)
        if len(labels) > most:
            raise ToolError(f"{len(labels)} labels are too many for a {kind} chart of this size", f"It can show {most}")


def _check_round(kind: str, labels: Sequence[str], series: Sequence[Series]) -> None:
    least = min(min(one.values) for one in series)
    if least < 0 or any(sum(one.values) <= 0 for one in series):
        raise ToolError(f"a {kind} chart cannot show {least:g}", "Give values above 0, or take kind column")
    if kind == "pie" and len(series) > 1:
        raise ToolError(f"a pie shows one series, not {len(series)}", "Take kind column with stacked percent")
    if len(labels) > _MOST_SLICES:
        raise ToolError(f"{len(labels)} slices cannot be told apart",
                        f"Put the smallest together as 'Other' (at most {_MOST_SLICES}), or take kind bar")


def data_of(labels: Sequence[str], series: Sequence[Series], number_format: str = "") -> Any:
    """python-pptx's chart data; its workbook takes no label for a formula."""
    values = [value for one in series for value in (*one.values, *(y for _, y in one.points))]
    number_format = number_format or number_format_of(values)
    if not labels:
        data = XyChartData(number_format=number_format)
        for one in series:
            added = data.add_series(inert(one.name))
            for x, y in one.points:
                added.add_data_point(x, y)
        return data
    data = CategoryChartData(number_format=number_format)
    data.categories = [inert(label) for label in labels]
    for one in series:
        data.add_series(inert(one.name), one.values)
    return data


def inert(text: str) -> str:
    """`text` so that the workbook inside a chart does not take it for a formula or a link."""
    return f" {text}" if text.lower().startswith(_ACTIVE) else text


def number_format_of(values: Sequence[float]) -> str:
    return "#,##0" if all(float(value).is_integer() for value in values) else "#,##0.0#"


def in_words(kind: str, title: str, labels: Sequence[str], series: Sequence[Series]) -> str:
    """What a chart shows, for those who cannot see it."""
    parts = []
    for one in series:
        pairs = [f"{label} {value:g}" for label, value in zip(labels, one.values, strict=True)] if labels else [
            f"{x:g}/{y:g}" for x, y in one.points]
        values = one.values or tuple(y for _, y in one.points)
        said = ", ".join(pairs) if len(pairs) <= _DESCRIBED else (
            f"{len(pairs)} values from {min(values):g} to {max(values):g}, first {pairs[0]}, last {pairs[-1]}")
        parts.append(f"{one.name}: {said}" if len(series) > 1 or not title else said)
    heading = f"{kind.capitalize()} chart '{title}'" if title else f"{kind.capitalize()} chart"
    return f"{heading}: {'; '.join(parts)}"


def kind_of_chart(chart: Any) -> str:
    """Which of our kinds a chart is. Raises ToolError for any other, and for one that mixes several."""
    try:
        name = chart.chart_type.name
        plots = len(chart.plots)
    except (ValueError, NotImplementedError, AttributeError, KeyError):
        name, plots = "unknown", 1
    if plots != 1:
        raise ToolError("the chart mixes several kinds", "Delete it and call insert_chart")
    for start, kind in (("BAR", "bar"), ("COLUMN", "column"), ("LINE", "line"), ("AREA", "area"), ("PIE", "pie"),
                        ("DOUGHNUT", "doughnut"), ("XY_SCATTER", "scatter")):
        if name.startswith(start) and "OF_PIE" not in name and not name.startswith("THREE_D"):
            return kind
    raise ToolError(f"charts of the kind {name.lower()} are not known here", "Delete it and call insert_chart")
