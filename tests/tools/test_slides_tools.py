"""The core group of the slides pack, through the calls that a policy makes."""

import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pptx import Presentation

from autorl.workspace import Workspace

SLIDE = {"title": "How bees live", "bullets": ["One queen lays the eggs", "Workers do the rest"]}
CHART = {"title": "Honey in kg", "kind": "column", "labels": ["2023", "2024"], "values": [18, 22.5]}
TABLE = {"title": "Who is who", "columns": ["Bee", "Number"], "rows": [["Queen", "1"], ["Drone", "300"]]}


def texts(slide):
    return [p.text for shape in slide.shapes if shape.has_text_frame for p in shape.text_frame.paragraphs]


def test_the_core_group_is_small_and_its_schemas_carry_limits(run):
    specs = {spec.name: spec for spec in run.tools.specs}
    assert list(specs) == [
        "start_deck", "add_slide", "add_table", "add_chart", "ask_user", "check_deck", "save_deck"]
    assert [name for name, spec in specs.items() if spec.ends_run] == ["save_deck"]
    slide = specs["add_slide"].parameters["properties"]
    assert slide["title"]["maxLength"] == 60
    assert (slide["bullets"]["minItems"], slide["bullets"]["maxItems"]) == (2, 5)
    assert slide["bullets"]["items"]["maxLength"] == 90
    assert all(len(spec.description) < 60 for spec in specs.values())


def test_a_deck_survives_being_opened_again(run):
    run.done("start_deck", title="Honey Bees", subtitle="Life in the hive")
    run.done("add_slide", **SLIDE, notes="Ask who was stung.")
    run.done("add_table", **TABLE)
    run.done("add_chart", **CHART)
    deck = run.deck
    assert [slide.shapes.title.text_frame.text for slide in deck.slides] == [
        "Honey Bees", "How bees live", "Who is who", "Honey in kg"]
    assert "One queen lays the eggs" in texts(deck.slides[1])
    assert deck.slides[1].notes_slide.notes_text_frame.text == "Ask who was stung."
    table = next(shape.table for shape in deck.slides[2].shapes if shape.has_table)
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["Bee", "Number"], *TABLE["rows"]]
    chart = next(shape.chart for shape in deck.slides[3].shapes if shape.has_chart)
    assert list(chart.plots[0].categories) == ["2023", "2024"]
    assert list(chart.plots[0].series[0].values) == [18, 22.5]


def test_every_call_leaves_the_whole_deck_on_disk(run):
    run.done("start_deck", title="Honey Bees")
    assert len(run.deck.slides) == 1
    run.done("add_slide", **SLIDE)
    assert len(run.deck.slides) == 2
    assert [path.name for path in run.workspace.root.iterdir()] == ["honey-bees.pptx"]


def test_a_resumed_run_goes_on_with_the_deck_on_disk(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    resumed = replace(run, workspace=Workspace(run.workspace.root))
    assert "Slides: 3 of 4." in resumed.done("add_table", **TABLE)
    assert len(run.deck.slides) == 3


def test_the_file_on_disk_goes_before_the_cache(run):
    run.done("start_deck", title="Honey Bees")
    before = (run.workspace.root / "honey-bees.pptx").read_bytes()
    run.done("add_slide", **SLIDE)
    (run.workspace.root / "honey-bees.pptx").write_bytes(before)
    assert "Slide 2 'Who is who' added" in run.done("add_table", **TABLE)


def test_results_count_the_slides_and_name_how_many_are_asked(run, make_run):
    assert run.done("start_deck", title="Honey Bees") == "Deck 'honey-bees.pptx' started. Slides: 1 of 4."
    assert run.done("add_slide", **SLIDE) == "Slide 2 'How bees live' added. Slides: 2 of 4."
    free = make_run("Tell me about bees")
    assert free.done("start_deck", title="Bees").endswith("Slides: 1.")


@pytest.mark.parametrize(("text", "count"), [
    ("a five-slide deck on bees", "5"), ("5 slides on bees", "5"), ("a deck of six slides on bees", "6"),
    ("bees, with three slides", "3"), ("a 12-slide deck on bees", "12"), ("twenty slides on bees", "20"),
    ("Four short, clear slides on bees", "4"), ("three to five slides on bees", "3 to 5"), ("3-5 slides", "3 to 5"),
    ("at most 6 slides on bees", "2 to 6"), ("at least 4 slides on bees", "at least 4"),
    ("five slides on bees plus a title", "5"), ("five slides plus a title slide on bees", "6"),
    ("three content slides on bees", "4"), ("bees, 3 bullets on each slide", None), ("bees in 2024 slides", None),
    ("two bullets per slide on bees", None), ("forty-two slides on bees", None), ("bees, see slide 5", None),
])
def test_the_number_of_slides_is_read_from_the_task(make_run, text, count):
    result = make_run(text).done("start_deck", title="Bees")
    assert result.endswith(f"Slides: 1 of {count}." if count else "Slides: 1.")


@pytest.mark.parametrize(("name", "arguments"), [
    ("add_slide", SLIDE), ("add_table", TABLE), ("add_chart", CHART), ("check_deck", {}), ("save_deck", {})])
def test_nothing_can_be_done_before_the_deck_is_started(run, name, arguments):
    assert "Call start_deck or new_deck first" in run.refused(name, **arguments)
    assert list(run.workspace.root.iterdir()) == []


def test_a_second_start_names_the_deck_there_is(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    answer = run.refused("start_deck", title="Wasps")
    assert "'honey-bees.pptx' exists already, with 2 slides" in answer
    assert "add_slide" in answer


def test_a_deck_without_content_cannot_be_saved(run):
    run.done("start_deck", title="Honey Bees")
    observation = run.call("save_deck")
    assert not observation.ok
    assert not observation.ends_run
    assert "Call add_slide first" in observation.text


def test_saving_ends_the_run(run):
    run.honest_deck()
    observation = run.call("save_deck")
    assert observation.ok
    assert observation.ends_run
    assert observation.text == "Saved 'honey-bees.pptx'. Slides: 4 of 4."


def test_one_slide_too_many_is_refused(run):
    run.honest_deck()
    assert "has all 4 slides" in run.refused("add_slide", **SLIDE)
    assert len(run.deck.slides) == 4


def test_a_title_can_be_used_once(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    assert "slide 2 has the title" in run.refused("add_table", **{**TABLE, "title": "How  Bees Live!"})


def test_a_policy_that_insists_on_a_title_gets_it_and_the_check_names_it(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    again = {**SLIDE, "bullets": ["Quite new words", "And other words still"]}
    answers = [run.call("add_slide", **again) for _ in range(3)]
    assert [answer.ok for answer in answers] == [False, False, True]
    assert "Its title is that of slide 2" in answers[-1].text
    assert "slides 2 and 3 have the title" in run.done("check_deck")
    assert not run.verdict().passed


def test_a_bullet_can_be_used_once(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    assert "on slide 2 already" in run.refused("add_slide", title="More", bullets=["New words", SLIDE["bullets"][0]])
    assert "twice in this slide" in run.refused("add_slide", title="More", bullets=["New words", "New words."])


def test_a_repeated_bullet_is_left_out_and_named_where_enough_is_left(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    said = run.done("add_slide", title="More", bullets=["New words", "Other words", SLIDE["bullets"][0], "New words."])
    assert f"Without '{SLIDE['bullets'][0]}', 'New words.', said before." in said


def test_a_row_of_the_wrong_length_keeps_all_it_says_and_is_named(run):
    run.done("start_deck", title="Honey Bees")
    rows = [["a", "b"], ["c", "x", "y"], ["d", "e", "f", "g"]]
    said = run.done("add_table", title="Who is who", columns=["A", "B", "C"], rows=rows)
    assert "Row 1 has 2 cells for 3 columns: the rest stay empty" in said
    assert "Row 3 has 4 cells for 3 columns: the rest share the last" in said
    (table,) = [shape.table for shape in run.deck.slides[1].shapes if shape.has_table]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["A", "B", "C"], ["a", "b", "–"], ["c", "x", "y"], ["d", "e", "f; g"]]


@pytest.mark.parametrize(("change", "said"), [
    ({"values": [1]}, "values"), ({"values": [1, 2, 3]}, "2 labels but 3 values"), ({"kind": "donut"}, "pie"),
    ({"labels": ["same", "same"]}, "stands twice"), ({"kind": "pie", "values": [3, -1]}, "pie cannot show -1"),
    ({"kind": "pie", "values": [0, 0]}, "pie cannot show 0"), ({"values": [1, float("nan")]}, "values"),
    ({"values": [1, float("inf")]}, "values"), ({"labels": ["a", "\n "]}, "label 2 is empty"),
    ({"values": "12"}, "values"),
])
def test_a_chart_that_cannot_be_drawn_is_refused(run, change, said):
    run.done("start_deck", title="Honey Bees")
    assert said in run.refused("add_chart", **{**CHART, **change})
    assert len(run.deck.slides) == 1


@pytest.mark.parametrize("kind", ["bar", "column", "line", "pie"])
def test_every_kind_of_chart_opens_again(run, kind):
    run.done("start_deck", title="Honey Bees")
    run.done("add_chart", **{**CHART, "kind": kind, "labels": ["=1+1", "external:x"]})
    chart = next(shape.chart for shape in run.deck.slides[1].shapes if shape.has_chart)
    assert list(chart.plots[0].categories) == [" =1+1", " external:x"]


@pytest.mark.parametrize(("name", "arguments"), [
    ("start_deck", {"title": "x" * 100_000}), ("start_deck", {"title": ""}), ("start_deck", {"title": " \t\x0b "}),
    ("start_deck", {}), ("start_deck", {"title": 7}), ("start_deck", {"title": "Bees", "colour": "red"})])
def test_a_bad_start_leaves_no_file(run, name, arguments):
    assert run.refused(name, **arguments).startswith("Error: ")
    assert list(run.workspace.root.iterdir()) == []


@pytest.mark.parametrize("bullets", [
    [], ["one bullet only"], ["six"] * 6, ["fine words", "x" * 91], ["fine words", ""], ["fine words", "\x00\x0b"],
    ["fine words", "- "], ["fine words", None], "fine words", {"0": "fine words"}])
def test_bad_bullets_leave_the_deck_as_it_was(run, bullets):
    run.done("start_deck", title="Honey Bees")
    assert run.refused("add_slide", title="More", bullets=bullets).startswith("Error: ")
    assert len(run.deck.slides) == 1


def test_control_characters_never_reach_the_file(run):
    run.done("start_deck", title="Honey\x0bBees\x00", subtitle="Life\x1b in\nthe hive")
    bullets = ["- one\x07 queen", "• two\ufffe drones"]
    run.done("add_slide", title="A\x85 tab\tand\r\nlines", bullets=bullets, notes="\x01")
    deck = run.deck
    assert texts(deck.slides[0]) == ["Honey Bees", "Life in the hive"]
    assert texts(deck.slides[1])[:3] == ["A tab and lines", "one queen", "two drones"]
    assert not deck.slides[1].has_notes_slide
    assert not any("_x0" in text for slide in deck.slides for text in texts(slide))


@pytest.mark.parametrize("text", [
    "🐝🍯👩‍👩‍👧", "蜜蜂如何生活",
    "كيف تعيش النحلة", "איך חיות דבורים", "नमस्ते दुनिया", "e\u0301te\u0301",
])
def test_every_script_comes_back_as_it_was_written(run, text):
    run.done("start_deck", title=text)
    run.done("add_slide", title=f"1 {text}", bullets=[f"2 {text}", f"3 {text}"])
    run.done("add_table", title=f"4 {text}", columns=[text, "B"], rows=[[text, text]])
    assert [slide.shapes.title.text_frame.text for slide in run.deck.slides] == [text, f"1 {text}", f"4 {text}"]


words = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=words, subtitle=words, bullets=st.lists(words, min_size=2, max_size=5), cell=words)
def test_any_text_gives_a_deck_that_opens_or_a_refusal(make_run, title, subtitle, bullets, cell):
    run = make_run()
    run.call("start_deck", title=title, subtitle=subtitle)
    if not run.steps[0].observation.ok:
        run.done("start_deck", title="Bees")
    run.call("add_slide", title="S " + title[:50], bullets=bullets, notes=subtitle)
    run.call("add_table", title="T " + title[:50], columns=["A", cell[:40]], rows=[[cell[:40], "1"]])
    run.call("add_chart", title="C " + title[:50], kind="bar", labels=["A", cell[:24]], values=[1, 2])
    added = sum(step.observation.ok for step in run.steps if step.action.name != "start_deck")
    assert len(run.deck.slides) == 1 + added
    assert all("failed:" not in step.observation.text for step in run.steps)
    assert run.verdict(rendered=False).checks[0].passed
    shutil.rmtree(run.workspace.root)


def test_an_unwritable_workspace_is_told_and_loses_nothing(run):
    run.done("start_deck", title="Honey Bees")
    run.workspace.root.rename(run.workspace.root.with_name("away"))
    run.workspace.root.write_text("a file stands where the folder was")
    assert not run.call("add_slide", **SLIDE).ok
    run.workspace.root.unlink()
    run.workspace.root.with_name("away").rename(run.workspace.root)
    assert "Slide 2" in run.done("add_slide", **SLIDE)
    assert len(run.deck.slides) == 2


def test_a_failed_write_does_not_leave_a_ghost_slide(run, monkeypatch):
    run.done("start_deck", title="Honey Bees")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        assert "No space left on device" in run.refused("add_slide", **SLIDE)
    assert "Slide 2" in run.done("add_slide", **SLIDE)
    assert len(run.deck.slides) == 2


def test_a_broken_file_in_the_workspace_does_not_stop_a_deck(run):
    run.workspace.write("honey-bees.pptx", b"PK\x03\x04 and no more")
    assert "honey-bees-2.pptx" in run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    assert (run.workspace.root / "honey-bees.pptx").read_bytes().startswith(b"PK\x03\x04 and")
    assert len(Presentation(str(run.workspace.root / "honey-bees-2.pptx")).slides) == 2


def test_a_deck_that_breaks_under_the_run_is_told(run):
    run.done("start_deck", title="Honey Bees")
    run.workspace.write("honey-bees.pptx", b"gone")
    assert "there is no deck yet" in run.refused("add_slide", **SLIDE)


def test_a_stranger_s_deck_can_be_added_to(run):
    Presentation().save(run.workspace.root / "theirs.pptx")
    run.done("add_slide", **SLIDE)
    run.done("add_table", **TABLE)
    assert len(run.deck.slides) == 2


def test_check_deck_says_what_is_missing_and_how_to_mend_it(run):
    run.done("start_deck", title="Honey Bees")
    run.done("add_slide", **SLIDE)
    said = run.done("check_deck")
    assert "2 slides, 4 asked for. Add 2 more" in said
    assert len(said) < 600
    run.done("add_slide", title="Making honey", bullets=["They fly to flowers", "They dry the nectar"])
    run.done("add_table", **TABLE)
    assert run.done("check_deck").startswith("No problems found. Slides: 4 of 4.")


@pytest.mark.parametrize("kind", ["bar", "column", "line", "pie"])
def test_a_chart_looks_the_same_whatever_came_before_it(make_run, kind):
    first = {"title": "First", "kind": kind, "labels": ["x", "y"], "values": [1, 2]}
    second = {"title": "Second", "kind": kind, "labels": ["Ann", "Bob"], "values": [3.5, 4]}
    found = []
    for charts in ([first, second], [second]):
        run = make_run("Charts")
        run.done("start_deck", title="Charts")
        for chart in charts:
            run.done("add_chart", **chart)
        part = next(shape.chart.part for shape in list(run.deck.slides)[-1].shapes if shape.has_chart)
        assert part.chart_workbook.xlsx_part.blob.startswith(b"PK")
        found.append(part.blob)
    assert found[0] == found[1]
