"""How sessions in PPTC's form are read, replayed and scored: on our own; eval/slides_pptc.py replays PPTC's."""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pptx import Presentation
from pptx.util import Pt

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

from pptc.functions import FUNCTIONS, carry_out
from pptc.ours import Ours, Refused
from pptc.reading import Key, read
from pptc.reference import Reference, base, saved
from pptc.score import gold_of, interval, outcomes, share
from pptc.sessions import Call, parse_calls, read_sessions

HIVE = [
    ("Call it Hives and colour it green.", 'choose_title();insert_text("Hives");set_font_color("green");'),
    ("Add a picture of a hive on the right.", 'insert_picture("hive");align_slide_right();'),
    ("Make it 4 by 3 cm.", "set_width(4);set_height(3);"),
    ("Write who lives there.", 'choose_content();insert_text("Queen");insert_bullet_point("Drones");set_font_bold();'),
    ("Make the background yellow.", 'set_background_color("yellow");'),
]
SHAPES = [
    ("A star and a red circle right of it.",
     'insert_star();insert_circle();set_fill_color("red");set_right("circle", "star");'),
    ("Turn it, and put the star into the corner.", 'rotate_element(-45);choose_shape("star");align_top_left_corner();'),
    ("A new slide with a chart.", 'create_slide();insert_bar_chart([3, 4.5], ["May", "June"]);set_chart_title("Kg");'),
    ("Back again, and a note.", 'move_to_previous_slide();insert_note("Weigh them");'),
]
TABLE = [
    ("A table of one row.", "insert_table(1, 2);"),
    ("Fill it, and add one.", 'insert_table_row(["Bee", "Age"]);insert_table_row(["Queen", "4"]);'),
    ("Make the first cell blue.", 'choose_table_cell(0, 0);set_font_color("blue");'),
    ("A text box that says: counted in May.", 'insert_textbox();insert_text("Counted in May");text_align_center();'),
    ("Another title.", 'choose_title();insert_text("Old");delete_text();insert_text("New");set_font_underline();'),
]


@pytest.fixture
def sessions(tmp_path):
    """The three as files in PPTC's form, read."""
    folder = tmp_path / "pptc" / "sessions"
    folder.mkdir(parents=True)
    for number, turns in enumerate((HIVE, SHAPES, TABLE)):
        lines = [json.dumps({"Turn": turn, "User instruction": said, "Feasible API sequence": calls})
                 for turn, (said, calls) in enumerate(turns)]
        (folder / f"session_{number}.json").write_text("\n".join(lines), encoding="utf-8")
    return read_sessions(folder.parent)


def replayed(session, side, deck):
    """`side`'s outcomes beside the reference's replay."""
    reference = Reference(base())
    gold = gold_of(session, reference, lambda: read(reference.presentation))
    return outcomes(session, gold, side, deck, Refused)


def present(found):
    return share([(sum(change.present for change in one.changes), len(one.changes)) for one in found])


def off_the_slide(presentation):
    """The deck with every object moved off its slide."""
    moved = Presentation(io.BytesIO(saved(presentation)))
    for slide in moved.slides:
        for shape in slide.shapes:
            top, width, height = shape.top, shape.width, shape.height
            shape.left, shape.top, shape.width, shape.height = moved.slide_width + Pt(10), top, width, height
    return moved


def test_sessions_are_read_in_the_order_of_their_numbers(sessions):
    assert [session.name for session in sessions] == ["session_0", "session_1", "session_2"]
    assert sessions[0].turns[1].instruction == "Add a picture of a hive on the right."
    assert sessions[0].turns[1].calls == (Call("insert_picture", ("hive",)), Call("align_slide_right"))


def test_where_there_are_no_sessions_it_is_said_where_they_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="gydpku/PPTC.*AUTORL_PPTC"):
        read_sessions(tmp_path)


def test_a_file_that_is_no_session_is_named_with_the_line(tmp_path):
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "session_7.json").write_text('\n{"Turn": 0}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"session_7\.json, line 2"):
        read_sessions(tmp_path)


arguments = st.recursive(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
                         lambda inner: st.lists(inner, max_size=3), max_leaves=5)
calls = st.builds(Call, st.sampled_from(sorted(FUNCTIONS)), st.lists(arguments, max_size=3).map(tuple))


@given(st.lists(calls, max_size=5))
def test_every_sequence_of_calls_is_read_as_it_was_written(written):
    assert parse_calls("".join(f"{call};" for call in written)) == tuple(written)


@given(st.text() | st.lists(st.sampled_from(list("ab()[]{}'\",;.+-*=:1 \\\n")), max_size=60).map("".join))
def test_any_text_is_either_calls_with_literals_or_refused(sequence):
    def plain(value):
        return type(value) in (str, int, float) or (type(value) is list and all(map(plain, value)))

    try:
        found = parse_calls(sequence)
    except ValueError:
        return
    assert all(call.name.isidentifier() and all(map(plain, call.arguments)) for call in found)


@pytest.mark.parametrize("code", [
    "insert_text(open(FILE, 'w'))", "__import__('pathlib').Path(FILE).touch()", "(lambda: open(FILE, 'w'))()",
    'insert_text(f"{open(FILE, chr(119))}")', "[open(FILE, 'w') for _ in [1]]", "x = open(FILE, 'w')", "import os",
    "insert_text(x)", "set_width(2 ** 9)", "set_width(width=2)", "insert_table(*[1, 2])", "set_width(True)",
    "set_width(-True)", "set_width(1j)", "set_width({1: 2})", "a.b()", "set_width(3", "+".join(["a"] * 5000),
    "f(" * 3000, "\0", "f();" * 9999])
def test_what_is_no_call_with_literals_is_refused_and_never_run(code, tmp_path):
    written = tmp_path / "written"
    with pytest.raises(ValueError):
        parse_calls(code.replace("FILE", repr(str(written))))
    assert not written.exists()


@pytest.mark.parametrize("call", [Call("remove_everything"), Call("set_width"), Call("choose_title", (1,)),
                                  Call("set_font_color", ("mauve",)), Call("__init__", (b"",))])
def test_a_call_that_pptc_does_not_know_is_refused(call):
    with pytest.raises(ValueError):
        carry_out(call, Reference(base()))


def test_our_tools_make_every_change_of_the_sessions_and_no_other(sessions, tmp_path):
    for session in sessions:
        ours = Ours(base(), tmp_path / session.name)
        found = replayed(session, ours, lambda ours=ours: read(Presentation(str(ours.deck()))))
        assert not [(one.turn, one.extra, one.refused, [c.key for c in one.changes if not c.present])
                    for one in found if not one.strict or one.refused]
        assert present(found) == 1
        assert all(one.changes for one in found)


def test_moving_every_object_off_the_slide_loses_all_but_what_is_no_object(sessions):
    for session in sessions:
        side = Reference(base())
        found = replayed(session, side, lambda side=side: read(off_the_slide(side.presentation)))
        honest = {change.key.object for one in found for change in one.changes if change.present}
        assert honest <= {""}
        assert present(found) < 0.2
        assert not any(one.strict for one in found if any(change.key.object for change in one.changes))


def test_doing_nothing_has_nothing(sessions):
    for session in sessions:
        found = replayed(session, Reference(base()), lambda: read(Presentation(io.BytesIO(base()))))
        assert present(found) == 0
        assert not any(one.strict for one in found)


class Careless(Reference):
    """Puts every object on the other side, and paints the background along with each picture."""

    def align(self, *sides):
        super().align(*({"left": "right", "right": "left"}.get(side, side) for side in sides))

    def beside(self, side, kind, other):
        super().beside({"left": "right", "right": "left"}[side], kind, other)

    def add_picture(self, name):
        self.background("FF0000")
        super().add_picture(name)


def test_an_object_on_the_wrong_side_is_noticed(sessions):
    side = Careless(base())
    found = replayed(sessions[1], side, lambda: read(side.presentation))
    absent = {change.key for one in found for change in one.changes if not change.present}
    assert absent == {Key(1, "circle 1", "right of star 1"), Key(1, "star 1", "across")}


def test_a_change_that_nobody_asked_for_is_no_strict_match(sessions):
    side = Careless(base())
    picture = replayed(sessions[0], side, lambda: read(side.presentation))[1]
    assert picture.extra == (Key(1, "", "background"),)
    assert not picture.strict


class InTextBox(Reference):
    """Has no content placeholder: what is written into the content goes into a text box."""

    def choose(self, kind, index=0):
        if kind == "content":
            place = self._find("content")
            place.element.getparent().remove(place.element)
            self.add_textbox()
        else:
            super().choose(kind, index)


def test_a_text_box_stands_in_for_the_content_that_it_says(sessions):
    side = InTextBox(base())
    written = replayed(sessions[0], side, lambda: read(side.presentation))[3]
    assert written.stood_in
    assert written.strict


def test_the_interval_of_a_share_holds_it_and_is_the_same_each_time():
    parts = [[(1, 2), (3, 3)], [(0, 4)], [(5, 5)]]
    low, high = interval(parts)
    assert low <= share([part for session in parts for part in session]) <= high
    assert (low, high) == tuple(interval(parts))


def test_a_session_is_replayed_from_an_empty_deck_of_one_slide():
    assert read(Presentation(io.BytesIO(base()))) == {Key(1, "", "exists"): True}
