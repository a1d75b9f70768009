"""Slides as a whole through the tools: what a policy sees, and what stands in the file afterwards."""

import importlib
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.enum.dml import MSO_THEME_COLOR

from autorl.content import load_pack
from tests.needs import require
from tests.tools.rich_deck import picture, rich_presentation
from tests.tools.soundness import faults

load_pack("slides")
render = importlib.import_module("autorl_tools.slides.render")


@pytest.fixture
def run(make_run):
    """A run with the deck `theirs.pptx`: One, Two, Three."""
    run = make_run(packs=("slides:all",))
    buffer = io.BytesIO()
    rich_presentation().save(buffer)
    run.workspace.write("theirs.pptx", buffer.getvalue())
    return run


@pytest.fixture
def bees(make_run):
    run = make_run(packs=("slides:all",))
    run.done("new_deck", title="Bees")
    return run


def deck(run):
    run.workspace.settle()
    (path,) = run.workspace.root.rglob("*.pptx")
    assert faults(path) == []
    return Presentation(str(path))


def titles(run):
    return [slide.shapes.title.text_frame.text for slide in deck(run).slides]


def test_a_slide_is_added_with_any_layout_and_its_placeholders_filled_in_order(bees):
    answer = bees.done("add_slide_by_layout", layout="comparison", title="Two hives",
                       texts=[["Left"], ["one", "\ttwo", "three"], ["Right"]], notes="Say this.\nThen that.")
    assert answer == ("Slide 2 (s2) added with the layout 'Comparison'. "
                      "Still empty: s2.6 (content); fill or delete them.")
    slide = deck(bees).slides[1]
    texts = [[(p.text, p.level) for p in shape.text_frame.paragraphs] for shape in slide.placeholders]
    assert texts == [
        [("Two hives", 0)], [("Left", 0)], [("one", 0), ("two", 1), ("three", 0)], [("Right", 0)], [("", 0)]]
    assert slide.notes_slide.notes_text_frame.text == "Say this.\nThen that."


def test_texts_can_be_given_by_the_number_of_the_placeholder(bees):
    bees.done("add_slide_by_layout", layout="4", title="Two", texts={"2": ["right"]})
    assert [shape.text_frame.text for shape in deck(bees).slides[1].placeholders] == ["Two", "", "right"]


@pytest.mark.parametrize(("arguments", "said"), [
    ({"layout": "Nothing"}, "there is no layout 'Nothing'. Layouts: 1 'Title Slide', 2 'Title and Content'"),
    ({"layout": "Blank", "title": "No"}, "the layout 'Blank' has no title"),
    ({"layout": "Title Only", "texts": [["a"]]}, "there are 1 texts for the 0 text placeholders"),
    ({"layout": "2", "texts": {"7": ["a"]}}, "has no text placeholder '7'. It has title, 1 content"),
    ({"layout": "2", "title": "t" * 10_000}, "title"),
    ({"layout": "2", "title": "T", "texts": [["many words " * 80] * 10]}, "points of height"),
    ({"layout": "2", "notes": "n" * 20_000}, "notes")])
def test_what_no_layout_takes_is_refused_and_leaves_the_deck_as_it_was(bees, arguments, said):
    answer = bees.refused("add_slide_by_layout", **arguments)
    assert said in answer
    assert "\n" not in answer
    assert len(answer) < 400
    assert titles(bees) == ["Bees"]
    bees.done("add_slide_by_layout", layout="Title Only", title="After")
    assert titles(bees) == ["Bees", "After"]


def test_long_text_is_set_smaller_and_short_text_as_the_layout_has_it(bees):
    bees.done("add_slide_by_layout", layout="2", title="Short", texts=[["one point"]])
    bees.done("add_slide_by_layout", layout="2", title="Long", texts=[["many words of a long point " * 4] * 6])
    sizes = [{run.font.size for p in slide.placeholders[1].text_frame.paragraphs for run in p.runs}
             for slide in list(deck(bees).slides)[1:]]
    assert sizes[0] == {None}
    assert 12 <= min(sizes[1]).pt < 24


def test_deleting_tells_which_links_went_with_the_slide(run):
    assert run.done("delete_slide", slide=2) == (
        "Slide 2 (s2) 'Two' deleted. Links to it on slide 1 were removed. Slides: 2.")
    assert titles(run) == ["One", "Three"]
    assert "there is no slide 's2'" in run.refused("delete_slide", slide="s2")
    assert run.done("delete_slide", slide="s3") == (
        "Slide 2 (s3) 'Three' deleted. Links to it on slide 1 were removed. Slides: 1.")


def test_slides_keep_their_ids_while_others_come_and_go(run):
    run.done("delete_slide", slide=1)
    assert run.done("move_slide", slide="s3", to=1) == "Slide 2 (s3) is slide 1 now. Slides: 2."
    assert run.done("duplicate_slide", slide="s2") == (
        "Slide 3 (s4) is a copy of s2. Its comments were not copied. Slides: 3.")
    assert titles(run) == ["Three", "Two", "Two"]
    assert run.done("duplicate_slide", slide="s4", to=1).startswith("Slide 1 (s5) is a copy of s4.")
    assert titles(run) == ["Two", "Three", "Two", "Two"]


@pytest.mark.parametrize(("name", "arguments", "said"), [
    ("move_slide", {"slide": 1, "to": 9}, "there is no place 9. Give a number from 1 to 3"),
    ("duplicate_slide", {"slide": 1, "to": 5}, "Give a number from 1 to 4"),
    ("delete_slide", {"slide": "s99"}, "Slides: 1 (s1), 2 (s2), 3 (s3)"),
    ("set_transition", {"slide": 1, "kind": "spin"}, "kind"),
    ("set_background", {"slide": 1, "colour": "reddish"}, "'reddish' is not a colour"),
    ("set_background", {"slide": 1, "colour": "text", "picture": "a.png"}, "either a colour or a picture"),
    ("set_background", {"slide": 1, "picture": "none.png"}, "there is no file 'none.png'"),
    ("set_background", {"slide": 1, "picture": "theirs.pptx"}, "is no picture that can be opened"),
    ("set_background", {"slide": 1, "picture": "../x.png"}, "outside the workspace"),
    ("set_background", {"slide": 9, "colour": "text"}, "there is no slide '9'")])
def test_what_cannot_be_done_is_told_and_leaves_the_file_as_it_was(run, name, arguments, said):
    before = (run.workspace.root / "theirs.pptx").read_bytes()
    answer = run.refused(name, **arguments)
    assert said in answer
    assert "\n" not in answer
    run.workspace.settle()
    assert (run.workspace.root / "theirs.pptx").read_bytes() == before


def test_notes_are_set_replaced_and_removed(run):
    run.done("set_notes", slide=2, notes="First line\nSecond\x0bline")
    assert deck(run).slides[1].notes_slide.notes_text_frame.text == "First line\nSecond\nline"
    assert run.done("set_notes", slide=2, notes="") == "Notes of slide 2 removed."
    assert run.done("set_notes", slide=1, notes="") == "Notes of slide 1 removed."
    slides = deck(run).slides
    assert slides[1].notes_slide.notes_text_frame.text == ""
    assert not slides[0].has_notes_slide


def test_a_slide_is_hidden_and_shown_again(run):
    run.done("hide_slide", slide=2)
    assert [slide.element.get("show") for slide in deck(run).slides] == [None, "0", None]
    run.done("hide_slide", slide=2, hidden=False)
    assert deck(run).slides[1].element.get("show") is None


def test_a_background_is_a_colour_of_the_theme_a_number_or_the_layouts(run):
    media = len([p for p in deck(run).part.package.iter_parts() if "media" in p.partname])
    run.done("set_background", slide=2, colour="accent2")
    assert deck(run).slides[1].background.fill.fore_color.theme_color == MSO_THEME_COLOR.ACCENT_2
    assert len([p for p in deck(run).part.package.iter_parts() if "media" in p.partname]) == media - 1
    run.done("set_background", slide="all", colour="#102030")
    assert {str(slide.background.fill.fore_color.rgb) for slide in deck(run).slides} == {"102030"}
    run.done("set_background", slide="all")
    assert all(slide.follow_master_background for slide in deck(run).slides)


@pytest.mark.parametrize(("size", "cut"), [((400, 100), ("33333", "0")), ((100, 400), ("0", "40625"))])
def test_a_background_picture_is_cut_to_the_slide_and_kept_once(run, size, cut):
    run.workspace.write("ground.png", picture("orange", size).getvalue())
    run.done("set_background", slide="all", picture="ground.png")
    slides = deck(run).slides
    sides = {tuple(slide.element.xpath("./p:cSld/p:bg//a:srcRect")[0].get(side) for side in "lrtb") for slide in slides}
    assert sides == {(cut[0], cut[0], cut[1], cut[1])}
    pictures = {slide.part.related_part(*slide.element.xpath("./p:cSld/p:bg//a:blip/@r:embed")) for slide in slides}
    assert len(pictures) == 1


def test_a_transition_is_written_for_old_and_new_viewers_and_can_be_taken_away(run):
    run.done("set_transition", slide="all", kind="push", seconds=1.5)
    for slide in deck(run).slides:
        order = [child.tag.rpartition("}")[2] for child in slide.element]
        assert order[:3] == ["cSld", "clrMapOvr", "AlternateContent"]
        assert len(list(slide.element.iter("{*}push"))) == 2
        assert slide.element.xpath("//p:transition/@*[local-name()='dur']") == ["1500"]
    run.done("set_transition", slide=2, kind="none")
    assert [len(list(slide.element.iter("{*}transition"))) for slide in deck(run).slides] == [2, 0, 2]


def test_a_slide_that_turns_by_itself_still_does_with_another_transition(run):
    presentation = deck(run)
    next(presentation.slides[1].element.iter("{*}transition")).set("advTm", "5000")
    presentation.save(run.workspace.root / "theirs.pptx")
    run.done("set_transition", slide=2, kind="wipe")
    assert set(deck(run).slides[1].element.xpath("//p:transition/@advTm")) == {"5000"}


TURNS = st.lists(st.tuples(st.sampled_from(["add", "delete", "move", "duplicate", "chart", "notes"]),
                           st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=8)


@given(TURNS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_policy_can_do_it_in_any_order(make_run, turns):
    run = make_run("Tell me about bees.", packs=("slides:all",))
    run.done("new_deck", title="Start")
    model = ["Start"]
    for number, (turn, first, second) in enumerate(turns):
        title = f"Slide number {number}"
        inside, to = first <= len(model), second <= len(model)
        if turn in ("add", "chart"):
            if turn == "add":
                run.done("add_slide_by_layout", layout="Title and Content", title=title, texts=[["some text"]])
            else:
                run.done("add_chart", title=title, kind="bar", labels=["a", "b"], values=[1, first])
            model.append(title)
        elif turn == "notes":
            assert run.call("set_notes", slide=first, notes=title).ok == inside
        elif turn == "delete":
            assert run.call("delete_slide", slide=first).ok == inside
            if inside:
                del model[first - 1]
        elif turn == "move":
            assert run.call("move_slide", slide=first, to=second).ok == (inside and to)
            if inside and to:
                model.insert(second - 1, model.pop(first - 1))
        else:
            assert run.call("duplicate_slide", slide=first).ok == inside
            if inside:
                model.insert(first, model[first - 1])
    assert titles(run) == model


def test_a_deck_after_many_changes_is_shown_by_libreoffice(run):
    require(render.available() is None, "LibreOffice", render.available() or "")
    run.workspace.write("ground.png", picture("orange", (300, 100)).getvalue())
    run.done("duplicate_slide", slide=2, to=1)
    run.done("delete_slide", slide="s2")
    run.done("duplicate_slide", slide=1)
    run.done("move_slide", slide="s3", to=1)
    run.done("set_background", slide=1, picture="ground.png")
    run.done("set_transition", slide="all", kind="fade")
    run.done("hide_slide", slide=2)
    run.done("add_slide_by_layout", layout="Two Content", title="Last", texts=[["left"], ["right"]], notes="Say it")
    run.done("set_footer", text="At the foot", date="today")
    assert titles(run) == ["Three", "Two", "Two", "One", "Last"]
    run.workspace.settle()
    pages = render.render(run.workspace.root / "theirs.pptx").pages
    words = [[word.text for word in page.words] for page in pages]
    assert [next(w for w in ("One", "Two", "Three", "Last") if w in page) for page in words] == titles(run)
    assert all("foot" in page for page in words)
