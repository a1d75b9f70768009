"""The chart tools of the slides pack."""

import copy
import io
import re
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.enum.chart import XL_CHART_TYPE
from slide_deck import made, path, shape, with_slides
from soundness import faults

LABELS = ["North", "South", "East"]
TWO = [{"name": "2023", "values": [3, 5, 2.5]}, {"name": "2024", "values": [4, 4.5, 3.5]}]
ONE = TWO[:1]
PAIRS = [{"name": "Hives", "points": [[1, 2], [2, 3.5], [4, 3]]}, {"name": "Swarms", "points": [[1, 1], [3, 2]]}]


@pytest.fixture
def run(make_run):
    return with_slides(make_run, "Title and Content", "Title Only", "Blank", theme="midnight")


@pytest.fixture
def columns(run):
    """The id of a column chart of two series on slide 2."""
    return made(run.done("insert_chart", slide=2, kind="column", labels=LABELS, series=TWO, title="Harvest"))


def workbook(run, id):
    """The texts and numbers in the workbook of a chart."""
    blob = shape(run, id).chart.part.chart_workbook.xlsx_part.blob
    with zipfile.ZipFile(io.BytesIO(blob)) as book:
        names = book.namelist()
        texts = book.read("xl/sharedStrings.xml").decode() if "xl/sharedStrings.xml" in names else ""
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    return re.findall(r"<t[^>]*>([^<]*)</t>", texts), re.findall(r"<v>([^<]*)</v>", sheet), sheet


@pytest.mark.parametrize(("kind", "stacked", "named"), [
    ("bar", "no", XL_CHART_TYPE.BAR_CLUSTERED), ("bar", "yes", XL_CHART_TYPE.BAR_STACKED),
    ("bar", "percent", XL_CHART_TYPE.BAR_STACKED_100), ("column", "no", XL_CHART_TYPE.COLUMN_CLUSTERED),
    ("column", "yes", XL_CHART_TYPE.COLUMN_STACKED), ("column", "percent", XL_CHART_TYPE.COLUMN_STACKED_100),
    ("line", "no", XL_CHART_TYPE.LINE_MARKERS), ("area", "no", XL_CHART_TYPE.AREA),
    ("area", "yes", XL_CHART_TYPE.AREA_STACKED), ("area", "percent", XL_CHART_TYPE.AREA_STACKED_100),
    ("doughnut", "no", XL_CHART_TYPE.DOUGHNUT)])
def test_every_kind_keeps_its_data_and_its_workbook(run, kind, stacked, named):
    id = made(run.done("insert_chart", slide=1, kind=kind, labels=LABELS, series=TWO, stacked=stacked,
                       data_labels="value"))
    chart = shape(run, id).chart
    assert chart.chart_type == named
    assert list(chart.plots[0].categories) == LABELS
    assert [(s.name, list(s.values)) for s in chart.plots[0].series] == [("2023", [3, 5, 2.5]), ("2024", [4, 4.5, 3.5])]
    texts, numbers, _ = workbook(run, id)
    assert set(texts) == {*LABELS, "2023", "2024"}
    assert {"2.5", "4.5"} <= set(numbers)
    assert faults(path(run)) == []


def test_a_pie_names_its_slices_and_says_their_shares(run):
    id = made(run.done("insert_chart", slide=1, kind="pie", labels=LABELS, series=ONE))
    chart = shape(run, id).chart
    labels = chart.plots[0].data_labels
    assert (chart.has_legend, labels.show_category_name, labels.show_percentage) == (False, True, True)
    assert list(chart.plots[0].series[0].values) == [3, 5, 2.5]


def test_a_scatter_chart_keeps_its_pairs(run):
    id = made(run.done("insert_chart", slide=1, kind="scatter", series=PAIRS, x_title="Hives", y_title="Honey in kg"))
    chart = shape(run, id).chart
    assert chart.chart_type == XL_CHART_TYPE.XY_SCATTER
    assert [list(s.values) for s in chart.plots[0].series] == [[2, 3.5, 3], [1, 2]]
    assert chart.category_axis.axis_title.text_frame.text == "Hives"
    assert chart.value_axis.axis_title.text_frame.text == "Honey in kg"
    assert workbook(run, id)[1]


def test_the_axis_titles_of_a_bar_chart_stand_at_the_axes_they_name(run):
    id = made(run.done("insert_chart", slide=1, kind="bar", labels=LABELS, series=TWO, x_title="kg", y_title="Region"))
    chart = shape(run, id).chart
    assert chart.value_axis.axis_title.text_frame.text == "kg"
    assert chart.category_axis.axis_title.text_frame.text == "Region"


def test_the_alt_text_tells_the_data(run, columns):
    alt = shape(run, columns)._element.nvGraphicFramePr.cNvPr.get("descr")
    assert alt == ("Column chart 'Harvest': 2023: North 3, South 5, East 2.5; 2024: North 4, South 4.5, East 3.5")


def test_type_is_readable_and_of_the_colour_of_text(run, columns):
    xml = shape(run, columns).chart._chartSpace
    sizes = [int(each.get("sz")) for each in xml.iter("{*}defRPr", "{*}rPr") if each.get("sz")]
    assert min(sizes) >= 1200
    assert shape(run, columns).chart.font.color.theme_color.name == "TEXT_1"


def test_series_have_colours_that_tell_apart(run):
    many = [{"name": f"s{n}", "values": [n, n + 1, n]} for n in range(12)]
    id = made(run.done("insert_chart", slide=2, kind="line", labels=LABELS, series=many))
    colours = [s.format.line.color for s in shape(run, id).chart.plots[0].series]
    assert len({(colour.theme_color, colour.brightness) for colour in colours}) == 12


def test_two_charts_fill_two_regions_without_a_note(run):
    left = run.done("insert_chart", slide=3, kind="column", labels=LABELS, series=TWO, place="left")
    right = run.done("insert_chart", slide=3, kind="bar", labels=LABELS, series=ONE, place="right")
    assert "Note" not in left + right
    assert "overlaps" in run.done("insert_chart", slide=3, kind="bar", labels=LABELS, series=ONE, place="content")


MANY = [str(n) for n in range(300)]
BAD = [
    ({"kind": "column", "labels": LABELS, "series": []}, "at least 1 item"),
    ({"kind": "column", "series": ONE}, "there are no labels"),
    ({"kind": "column", "labels": LABELS, "series": [{"name": "a", "values": [1, 2]}]}, "the series 'a' has 2 values"),
    ({"kind": "column", "labels": LABELS, "series": [{"name": "a", "values": [1, float("nan"), 2]}]}, "finite number"),
    ({"kind": "column", "labels": LABELS, "series": [{"name": "a", "values": [1, float("inf"), 2]}]}, "finite number"),
    ({"kind": "column", "labels": LABELS, "series": [{"name": "a", "values": [1, None, 2]}]}, "expected number"),
    ({"kind": "column", "labels": LABELS, "series": [{"name": "a", "values": [1, "2", 2]}]}, "expected number"),
    ({"kind": "column", "labels": ["a", "b", "a"], "series": ONE}, "the label 'a' stands twice"),
    ({"kind": "column", "labels": LABELS, "series": ONE * 2}, "two series are named '2023'"),
    ({"kind": "pie", "labels": LABELS, "series": [{"name": "a", "values": [1, -2, 2]}]}, "cannot show -2"),
    ({"kind": "doughnut", "labels": LABELS, "series": [{"name": "a", "values": [0, 0, 0]}]}, "cannot show 0"),
    ({"kind": "pie", "labels": LABELS, "series": TWO}, "a pie shows one series, not 2"),
    ({"kind": "pie", "labels": [str(n) for n in range(11)], "series": [{"name": "a", "values": [1] * 11}]}, "'Other'"),
    ({"kind": "pie", "labels": LABELS, "series": ONE, "stacked": "yes"}, "cannot be stacked"),
    ({"kind": "pie", "labels": LABELS, "series": ONE, "x_title": "x"}, "has no axes"),
    ({"kind": "scatter", "series": ONE}, "has no points"),
    ({"kind": "scatter", "labels": LABELS, "series": PAIRS}, "takes no labels"),
    ({"kind": "line", "labels": LABELS, "series": PAIRS}, "take kind scatter"),
    ({"kind": "scatter", "series": [{"name": "a", "points": [[1, 2, 3]]}]}, "at most 2 items"),
    ({"kind": "column", "labels": MANY, "series": [{"name": "a", "values": [1] * 300}]}, "It can show"),
    ({"kind": "line", "labels": ["x"] * 100_000, "series": [{"name": "a", "values": [1] * 100_000}]}, "at most 500"),
    ({"kind": "column", "labels": ["\x00", "b", "c"], "series": ONE}, "label 1 is empty"),
    ({"kind": "column", "labels": LABELS, "series": ONE, "place": {"left": -5, "top": 0, "width": 9, "height": 9}},
     "not wholly on the slide"),
]


@pytest.mark.parametrize(("arguments", "why"), BAD)
def test_data_that_no_chart_can_show_is_answered_with_one_line(run, arguments, why):
    said = run.refused("insert_chart", slide=1, **arguments)
    assert why in said
    assert "\n" not in said
    assert len(said) < 400
    assert [s.has_chart for s in run.deck.slides[0].shapes] == [False, False]


def test_labels_that_look_like_formulas_stay_text(run):
    labels = ["=1+1", "https://example.org", "@x"]
    series = [{"name": "=cmd|x", "values": [1, 2, 3]}]
    id = made(run.done("insert_chart", slide=1, kind="column", labels=labels, series=series))
    texts, _, sheet = workbook(run, id)
    assert "<f>" not in sheet
    assert " =1+1" in texts
    assert [c.strip() for c in shape(run, id).chart.plots[0].categories] == labels


def test_other_data_keeps_the_look(run, columns):
    run.done("format_chart", object=columns, colours=["C00000", "00C000"], y_title="t")
    more = [*TWO, {"name": "2025", "values": [1, 2, 3]}]
    run.done("update_chart", object=columns, labels=["A", "B"], series=[{**s, "values": s["values"][:2]} for s in more])
    chart = shape(run, columns).chart
    plot = chart.plots[0]
    assert [(s.name, list(s.values)) for s in plot.series] == [("2023", [3, 5]), ("2024", [4, 4.5]), ("2025", [1, 2])]
    fills = [s.format.fill.fore_color for s in plot.series]
    assert [str(fill.rgb) for fill in fills[:2]] == ["C00000", "00C000"]
    assert fills[2].theme_color.name == "ACCENT_3"
    assert chart.value_axis.axis_title.text_frame.text == "t"
    assert "2025: A 1, B 2" in shape(run, columns)._element.nvGraphicFramePr.cNvPr.get("descr")
    assert "2025" in workbook(run, columns)[0]


def test_values_below_zero_move_an_axis_that_began_at_zero(run, columns):
    assert shape(run, columns).chart.value_axis.minimum_scale == 0
    run.done("update_chart", object=columns, labels=["A"], series=[{"name": "x", "values": [-4]}])
    assert shape(run, columns).chart.value_axis.minimum_scale is None


def test_a_pie_with_more_and_then_fewer_slices_has_a_colour_for_each(run):
    id = made(run.done("insert_chart", slide=1, kind="pie", labels=LABELS, series=ONE))
    run.done("update_chart", object=id, labels=[*LABELS, "West"], series=[{"name": "x", "values": [1, 2, 3, 4]}])
    points = shape(run, id).chart.plots[0].series[0]._element.findall("{*}dPt")
    assert len(points) == 4
    run.done("update_chart", object=id, labels=LABELS[:2], series=[{"name": "x", "values": [1, 2]}])
    assert len(shape(run, id).chart.plots[0].series[0]._element.findall("{*}dPt")) == 2


def test_scatter_data_are_exchanged_too(run):
    id = made(run.done("insert_chart", slide=1, kind="scatter", series=PAIRS))
    run.done("update_chart", object=id, series=PAIRS[1:])
    assert [(s.name, list(s.values)) for s in shape(run, id).chart.plots[0].series] == [("Swarms", [1, 2])]
    assert "takes no labels" in run.refused("update_chart", object=id, labels=LABELS, series=TWO)


def test_a_chart_is_formatted(run, columns):
    run.done("format_chart", object=columns, colours=["accent4", "C00000"], legend="right", data_labels="value",
             minimum=0, maximum=20, title="", x_title="Region", number_format='0.0 "t"', size=16)
    chart = shape(run, columns).chart
    assert (chart.has_title, chart.legend.position.name, chart.font.size.pt) == (False, "RIGHT", 16)
    assert (chart.value_axis.minimum_scale, chart.value_axis.maximum_scale) == (0, 20)
    assert chart.value_axis.tick_labels.number_format == '0.0 "t"'
    assert chart.plots[0].series[0].data_labels.number_format == '0.0 "t"'
    assert chart.plots[0].series[0].format.fill.fore_color.theme_color.name == "ACCENT_4"
    run.done("format_chart", object=columns, data_labels="none", legend="none")
    assert (shape(run, columns).chart.has_legend, shape(run, columns).chart.plots[0].has_data_labels) == (False, False)


@pytest.mark.parametrize(("change", "why"), [
    ({}, "nothing to change"), ({"colours": ["accent1"]}, "1 colours for 2 series"),
    ({"colours": ["accent1", "mauve"]}, "'mauve' is not a colour"), ({"minimum": 5, "maximum": 5}, "from 5 to 5"),
    ({"data_labels": "percent"}, "has no shares"), ({"maximum": -1}, "from 0 to -1")])
def test_a_look_that_cannot_be_is_refused(run, columns, change, why):
    before = shape(run, columns).chart._chartSpace.xml
    assert why in run.refused("format_chart", object=columns, **change)
    assert shape(run, columns).chart._chartSpace.xml == before


def test_a_chart_that_mixes_kinds_is_not_guessed_at(run, columns):
    presentation = Presentation(str(path(run)))
    chart = presentation.slides[1].shapes[-1].chart
    plot = chart._chartSpace.xpath("//c:barChart")[0]
    plot.addnext(copy.deepcopy(plot))
    presentation.save(str(path(run)))
    said = run.refused("update_chart", object=columns, labels=LABELS, series=TWO)
    assert "mixes several kinds" in said


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["bar", "column", "line", "pie", "area", "doughnut"]),
       st.lists(st.tuples(st.text(max_size=12), st.floats() | st.integers()), max_size=6), st.text(max_size=9))
def test_any_data_give_a_chart_that_opens_or_a_refusal(run, kind, pairs, name):
    answer = run.call("insert_chart", slide=3, kind=kind, labels=[label for label, _ in pairs],
                      series=[{"name": name, "values": [value for _, value in pairs]}])
    assert "failed:" not in answer.text
    if answer.ok:
        id = made(answer.text)
        assert list(shape(run, id).chart.plots[0].series[0].values) == pytest.approx([value for _, value in pairs])
        run.done("delete_object", object=id)
        assert faults(path(run)) == []
