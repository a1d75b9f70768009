"""What a task asks for by name, declared or in its words, is looked for in the deck."""

import io

import pytest
from autorl_tools.slides.checker import report_on
from autorl_tools.slides.requirements import wanted
from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from autorl.errors import UsageError
from autorl.types import Task

SLIDES = (
    ("Repairing a bicycle", ()),
    ("Tyres and tubes", ("Find the hole under water", "Rough the rubber, then glue the patch")),
    ("Keep the chain clean", ("Wipe it dry every week", "One drop of oil on each link")),
    ("What a mechanic costs", ("A new brake cable is 20 euro", "Truing a wheel takes half an hour")),
)


@pytest.fixture
def checks(tmp_path):
    """The checks of a deck on bicycles, by name; `change` may add to it first."""

    def run(text="Make four slides about repairing a bicycle", change=lambda presentation: None, **requirements):
        presentation = Presentation()
        for title, bullets in SLIDES:
            slide = presentation.slides.add_slide(presentation.slide_layouts[1 if bullets else 5])
            slide.shapes.title.text = title
            if bullets:
                slide.placeholders[1].text_frame.text = "\n".join(bullets)
        change(presentation)
        presentation.save(tmp_path / "deck.pptx")
        found = report_on(tmp_path / "deck.pptx", Task(text=text, requirements=requirements), rendered=False)
        return {check.name: check for check in found}

    return run


def with_table(presentation):
    presentation.slides[1].shapes.add_table(2, 2, Inches(1), Inches(4), Inches(4), Inches(1))


def with_chart(presentation):
    data = CategoryChartData()
    data.categories = ["a", "b"]
    data.add_series("x", (1, 2))
    presentation.slides[1].shapes.add_chart(
        XL_CHART_TYPE.PIE, Inches(1), Inches(4), Inches(4), Inches(3), data)


def with_picture(presentation):
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, "PNG")
    buffer.seek(0)
    presentation.slides[1].shapes.add_picture(buffer, Inches(1), Inches(4))


@pytest.mark.parametrize(("name", "change"), [
    ("tables", with_table), ("charts", with_chart), ("pictures", with_picture)])
def test_what_has_to_be_shown_is_counted(checks, name, change):
    assert not checks(**{name: 1})[name].passed
    assert checks(**{name: 1}, change=change)[name].passed
    assert checks(**{name: 2}, change=change)[name].score == 0.5


@pytest.mark.parametrize(("text", "tables", "charts"), [
    ("Six slides on a wedding, with a table of the budget", 1, 0), ("Five slides with one table of its stages", 1, 0),
    ("Slides on savings, with a chart of 100 euros growing", 0, 1), ("Include two tables and a bar chart", 2, 1),
    ("Five slides about table tennis", 0, 0), ("A deck on charting a course at sea", 0, 0),
    ("Slides about the periodic table", 0, 0), ("Slides on flow charts", 0, 0)])
def test_tables_and_charts_are_read_from_the_task(text, tables, charts):
    found = wanted(Task(text=text))
    assert (found.tables, found.charts) == (tables, charts)


def test_notes_that_were_asked_for_are_on_every_slide_after_the_first(checks):
    def noted(presentation):
        for slide in list(presentation.slides)[1:]:
            slide.notes_slide.notes_text_frame.text = "Show the tool."

    assert "notes" not in checks()
    assert checks("Four slides on a bicycle with speaker notes")["notes"].score == 0
    assert checks("Four slides on a bicycle with speaker notes", noted)["notes"].passed


@pytest.mark.parametrize("sections", [
    ["Tyres and tubes"], ["Cleaning the chain", "Costs of a mechanic"], ["the tyre and its tube"]])
def test_a_section_is_covered_by_a_slide_that_names_it_in_any_form(checks, sections):
    assert checks(sections=sections)["coverage"].passed


def test_a_section_that_is_missing_is_named(checks):
    check = checks(sections=["Tyres and tubes", "Lights and reflectors"])["coverage"]
    assert (check.passed, check.score) == (False, 0.5)
    assert "no slide is about 'Lights and reflectors'" in check.found


def test_an_agenda_does_not_cover_what_it_lists(checks):
    def agenda(presentation):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = "Agenda"
        slide.placeholders[1].text_frame.text = "Tyres and tubes\nLights and reflectors\nThe chain"

    assert not checks(sections=["Lights and reflectors"], change=agenda)["coverage"].passed


def test_a_point_is_made_only_with_its_figures(checks):
    assert checks(points=["a brake cable costs 20 euro"])["coverage"].passed
    assert not checks(points=["a brake cable costs 25 euro"])["coverage"].passed


def test_sections_are_read_from_the_task():
    task = Task(text="Make five slides with sections on costs, risks and next steps.")
    assert wanted(task).sections == ("costs", "risks", "next steps")


@pytest.mark.parametrize(("name", "value"), [
    ("tables", "one"), ("tables", -1), ("tables", 51), ("notes", "yes"), ("sections", "costs"), ("sections", [1]),
    ("points", [""]), ("audience", 3), ("charts", 1.5)])
def test_a_requirement_that_cannot_be_read_is_named(checks, name, value):
    with pytest.raises(UsageError, match=f"requires {name}"):
        checks(**{name: value})


def test_what_nobody_can_see_is_not_there(checks):
    def below(presentation):
        with_table(presentation)
        list(presentation.slides[1].shapes)[-1].top = Inches(20)

    assert not checks(tables=1, change=below)["tables"].passed
