"""The text tools of the slides pack: titles, bullets, boxes, runs, words replaced, alternative texts."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.util import Pt
from slide_deck import made, module, overflows, shape, with_slides

PLAIN = {"suppress_health_check": [HealthCheck.function_scoped_fixture], "deadline": None}
LONG = "words that go on and on until the line has to be broken somewhere in the middle of it all"


@pytest.fixture
def run(make_run):
    """A run whose deck has a title slide, two slides for bullets, one with two columns, and a blank one."""
    return with_slides(make_run, "Title Slide", "Title and Content", "Title and Content", "Two Content", "Blank")


def paragraphs(run, id):
    return [p.text for p in shape(run, id).text_frame.paragraphs]


def test_a_title_is_written_and_keeps_the_size_of_the_theme_where_that_fits(run):
    run.done("set_title", slide=2, title="How bees\n  live ")
    title = run.deck.slides[1].shapes.title
    assert title.text_frame.text == "How bees live"
    assert title.text_frame.paragraphs[0].runs[0].font.size is None


def test_a_long_title_is_set_smaller_on_its_run_and_fits(run):
    run.done("set_title", slide="s2", title="A long title " * 12)
    run_ = run.deck.slides[1].shapes.title.text_frame.paragraphs[0].runs[0]
    assert 18 <= run_.font.size.pt < 32
    assert overflows(run) == []


def test_a_title_that_does_not_fit_is_refused_and_the_old_one_stays(run):
    run.done("set_title", slide=4, title="Short")
    said = run.refused("set_title", slide=4, title="Donaudampfschifffahrt " * 9)
    assert "characters fit" in said
    assert run.deck.slides[3].shapes.title.text_frame.text == "Short"


def test_a_title_of_ten_thousand_characters_is_answered_with_one_line(run):
    said = run.refused("set_title", slide=2, title="x" * 10_000)
    assert "at most 200 characters" in said
    assert "\n" not in said


def test_a_title_that_was_deleted_is_made_again(run):
    run.done("delete_object", object="s2.2")
    assert run.deck.slides[1].shapes.title is None
    run.done("set_title", slide=2, title="Back again")
    assert run.deck.slides[1].shapes.title.text_frame.text == "Back again"


def test_a_slide_whose_layout_has_no_title_says_so(run):
    assert "'Blank', which has no title" in run.refused("set_title", slide=5, title="Bees")


@pytest.mark.parametrize("title", ["  ", "\x00\x1f", "\u200b"])
def test_a_title_without_a_character_to_read_is_refused(run, title):
    assert "the title is empty" in run.refused("set_title", slide=2, title=title)


def test_bullets_have_levels_and_lose_dashes_of_their_own(run):
    run.done("set_bullets", target=2, bullets=["- One", {"text": "• Two", "level": 1}, {"text": "Three", "level": 2}])
    body = shape(run, "s2.3").text_frame.paragraphs
    assert [(p.text, p.level) for p in body] == [("One", 0), ("Two", 1), ("Three", 2)]


def test_many_bullets_are_all_set_smaller_and_fit(run):
    run.done("set_bullets", target=2, bullets=[f"{n}: {LONG}" for n in range(14)])
    assert overflows(run) == []
    sizes = {r.font.size.pt for p in shape(run, "s2.3").text_frame.paragraphs for r in p.runs}
    assert len(sizes) == 1
    assert 12 <= sizes.pop() < 24


def test_bullets_that_cannot_fit_are_refused_with_how_many_characters_do(run):
    said = run.refused("set_bullets", target=2, bullets=[f"{n}: {LONG} {LONG} {LONG}" for n in range(20)])
    assert "characters fit" in said
    assert paragraphs(run, "s2.3") == [""]


def test_bullets_in_two_columns_fill_the_empty_one_then_ask_which(run):
    run.done("set_bullets", target=4, bullets=["Left"])
    run.done("set_bullets", target=4, bullets=["Right"])
    said = run.refused("set_bullets", target=4, bullets=["Which"])
    assert "s4.3, s4.4" in said
    run.done("set_bullets", target="s4.4", bullets=["Anew"])
    assert [paragraphs(run, id) for id in ("s4.3", "s4.4")] == [["Left"], ["Anew"]]


def test_bullets_in_a_plain_text_box_get_signs(run):
    id = made(run.done("add_text", slide=5, text="Old", place="left"))
    run.done("set_bullets", target=id, bullets=["One", {"text": "Two", "level": 1}])
    first, second = (p._p.pPr for p in shape(run, id).text_frame.paragraphs)
    assert first.find("{*}buChar").get("char") == "•"
    assert int(second.get("marL")) > int(first.get("marL"))


def test_a_slide_without_a_text_box_names_the_tool_that_makes_one(run):
    assert "add_text" in run.refused("set_bullets", target=5, bullets=["One"])


def test_a_text_box_stands_in_its_place_in_the_largest_type_that_fits(run):
    said = run.done("add_text", slide=5, text="First\nSecond", place="top-left", bold=True, colour="accent2")
    id = made(said)
    box = shape(run, id)
    assert paragraphs(run, id) == ["First", "Second"]
    run_ = box.text_frame.paragraphs[0].runs[0]
    assert (run_.font.size.pt, run_.font.bold, run_.font.color.theme_color.name) == (20, True, "ACCENT_2")
    assert box.text_frame._txBody.bodyPr.find("{*}noAutofit") is not None


def test_a_text_box_in_a_size_that_does_not_fit_says_which_would(run):
    place = {"left": 50, "top": 50, "width": 200, "height": 60}
    said = run.refused("add_text", slide=5, text=LONG, place=place, size=28)
    assert "It fits at 1" in said
    assert len(run.deck.slides[4].shapes) == 0


def test_a_text_box_takes_the_place_of_the_empty_placeholder(run):
    run.done("add_text", slide=2, text="Words")
    assert [s.name for s in run.deck.slides[1].placeholders] == ["Title 1"]


def test_an_empty_placeholder_that_is_in_the_way_goes_and_it_is_told(run):
    said = run.done("add_text", slide=2, text="Words", place="left")
    assert "Removed to make room, since empty: Content Placeholder 2" in said
    assert [s.name for s in run.deck.slides[1].placeholders] == ["Title 1"]


def test_text_that_cannot_be_read_on_its_ground_is_placed_and_told(run):
    assert "hard to read" in run.done("add_text", slide=5, text="White on white", colour="FFFFFF")


def test_a_colour_that_is_none_is_refused_before_anything_changes(run):
    assert "'blurple' is not a colour" in run.refused("add_text", slide=5, text="Words", colour="blurple")
    assert len(run.deck.slides[4].shapes) == 0


def test_runs_have_their_own_looks_and_links(run):
    run.done("write_text", object="s2.3", paragraphs=[
        [{"text": "Honey ", "bold": True}, {"text": "keeps", "italic": True, "colour": "C00000", "underline": True}],
        [{"text": "source", "link": "https://example.org/a?b=c"}]])
    first, second = shape(run, "s2.3").text_frame.paragraphs
    assert first.text == "Honey keeps"
    assert [r.font.bold for r in first.runs] == [True, None]
    assert (first.runs[1].font.italic, str(first.runs[1].font.color.rgb)) == (True, "C00000")
    assert second.runs[0].hyperlink.address == "https://example.org/a?b=c"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "example.org", "https://", "http://a b"])
def test_a_link_that_leads_nowhere_good_is_refused(run, link):
    said = run.refused("write_text", object="s2.3", paragraphs=[[{"text": "x", "link": link}]])
    assert "Give https://" in said
    assert paragraphs(run, "s2.3") == [""]


def test_a_link_that_was_refused_or_written_over_leaves_nothing_in_the_file(run):
    links = [{"text": "x", "link": "https://example.org"}]
    before = len(run.deck.slides[1].part.rels)
    run.refused("write_text", object="s2.3", paragraphs=[links] * 60)
    run.done("write_text", object="s2.3", paragraphs=[links])
    assert len(run.deck.slides[1].part.rels) == before + 1
    run.done("set_bullets", target=2, bullets=["No link"])
    assert len(run.deck.slides[1].part.rels) == before


def test_text_written_leftwards_is_set_leftwards(run):
    run.done("set_bullets", target=2, bullets=["שלום עולם", "Plain"])
    first, second = (p._p.pPr for p in shape(run, "s2.3").text_frame.paragraphs)
    assert first.get("rtl") == "1"
    assert second is None or second.get("rtl") is None


def test_formatting_some_words_leaves_the_others_alone(run):
    run.done("set_bullets", target=2, bullets=["Honey keeps for honey lovers", "No such word"])
    run.done("format_text", object="s2.3", match="honey", bold=True, colour="accent2")
    first, second = shape(run, "s2.3").text_frame.paragraphs
    looks = [(r.text, r.font.bold) for r in first.runs]
    assert looks == [("Honey keeps for ", None), ("honey", True), (" lovers", None)]
    assert [r.font.bold for r in second.runs] == [None]


def test_a_size_that_does_not_fit_is_refused_and_taken_back(run):
    run.done("set_bullets", target=2, bullets=[LONG] * 6)
    before = shape(run, "s2.3").text_frame._txBody.xml
    assert "It fits at" in run.refused("format_text", object="s2.3", size=60)
    assert shape(run, "s2.3").text_frame._txBody.xml == before


def test_formatting_words_that_are_not_there_shows_what_is(run):
    run.done("set_bullets", target=2, bullets=["Honey"])
    assert "It says: Honey" in run.refused("format_text", object="s2.3", match="wax", bold=True)


def test_a_text_tool_on_a_table_names_the_tools_for_tables(run):
    id = made(run.done("insert_table", slide=3, columns=["A"], rows=[["1"]]))
    said = run.refused("write_text", object=id, paragraphs=[[{"text": "x"}]])
    assert f"{id} is a table, not a shape with text" in said
    assert "set_cells" in said


def test_a_wrong_id_is_answered_with_the_right_ones(run):
    said = run.refused("set_alt_text", object="s2.99", text="Bees at work")
    assert "s2.2 Title 1, s2.3 Content Placeholder 2" in said


def everywhere(run):
    """A deck that says 'bee' in a title, in runs, in a table, in a group and in the notes."""
    presentation = Presentation(str(run.workspace.root / "deck.pptx"))
    second, third = presentation.slides[1], presentation.slides[2]
    second.shapes.title.text_frame.text = "bee by bee"
    frame = second.placeholders[1].text_frame
    for text, bold in (("A be", True), ("e and a b", False), ("ee", True)):
        run_ = frame.paragraphs[0].add_run()
        run_.text, run_.font.bold = text, bold
    second.notes_slide.notes_text_frame.text = "Say bee"
    table = third.shapes.add_table(1, 1, Pt(50), Pt(150), Pt(200), Pt(30)).table
    table.cell(0, 0).text = "bee"
    group = third.shapes.add_group_shape()
    group.shapes.add_textbox(Pt(400), Pt(150), Pt(100), Pt(30)).text_frame.text = "bee"
    presentation.save(str(run.workspace.root / "deck.pptx"))


def test_words_are_replaced_everywhere_and_keep_their_looks(run):
    everywhere(run)
    said = run.done("replace_text", find="bee", replace="wasp")
    assert said.startswith("Replaced 7 times: 5 on slide 2, 2 on slide 3")
    second, third = run.deck.slides[1], run.deck.slides[2]
    assert second.shapes.title.text_frame.text == "wasp by wasp"
    runs = second.placeholders[1].text_frame.paragraphs[0].runs
    assert [(r.text, r.font.bold) for r in runs] == [("A wasp", True), (" and a wasp", False)]
    assert second.notes_slide.notes_text_frame.text == "Say wasp"
    shapes = [s for _, s in module("objects").walk(third.shapes) if s.has_text_frame]
    assert [s.text_frame.text for s in shapes] == ["", "", "wasp"]
    assert third.shapes[-2].table.cell(0, 0).text == "wasp"


def test_replacing_on_one_slide_leaves_the_others(run):
    everywhere(run)
    assert run.done("replace_text", find="bee", replace="", slide=3).startswith("Replaced 2 times")
    assert run.deck.slides[1].shapes.title.text_frame.text == "bee by bee"


def test_replacing_what_nobody_says_is_refused(run):
    assert "does not say 'wax'" in run.refused("replace_text", find="wax", replace="honey")


def test_text_that_grew_is_made_to_fit_again_and_told(run):
    run.done("set_bullets", target=2, bullets=[f"{LONG} X" for _ in range(8)])
    said = run.done("replace_text", find="X", replace=LONG)
    assert "s2.3 is set in" in said
    assert overflows(run) == []


words = st.text(st.sampled_from("ab <&é字\t"), min_size=1, max_size=6)


@settings(max_examples=60, **PLAIN)
@given(parts=st.lists(words, min_size=1, max_size=5), find=st.text(st.sampled_from("ab &字"), min_size=1, max_size=3),
       new=st.text(st.sampled_from("abX<字"), max_size=4))
@example(parts=["aa", "a"], find="aa", new="a")
def test_replacing_over_runs_is_replacing_in_the_plain_text(parts, find, new):
    rewriting = module("rewriting")
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    paragraph = slide.placeholders[1].text_frame.paragraphs[0]
    for part in parts:
        paragraph.add_run().text = part
    text = "".join(parts)
    assert rewriting.replace_in(paragraph._p, find, new) == text.count(find)
    assert rewriting.plain(paragraph._p) == paragraph.text == text.replace(find, new)


@settings(max_examples=40, **PLAIN)
@given(text=st.text(max_size=400) | st.text(st.sampled_from("字é👩‍🔬עب \n\x0b\x1f\ud800"), max_size=300))
def test_any_text_gives_a_deck_that_opens_or_a_refusal(run, text):
    for call in (("add_text", {"slide": 5, "text": text, "place": "left"}), ("set_title", {"slide": 2, "title": text}),
                 ("set_bullets", {"target": 2, "bullets": [text]}),
                 ("write_text", {"object": "s4.3", "paragraphs": [[{"text": text}, {"text": text, "bold": True}]]})):
        seen = run.call(call[0], **call[1])
        assert seen.ok or seen.text.startswith("Error: ")
        assert "failed:" not in seen.text
    assert overflows(run) == []
    for extra in list(run.deck.slides[4].shapes):
        run.done("delete_object", object=f"s5.{extra.shape_id}")


def test_an_alt_text_is_kept_and_one_that_says_nothing_refused(run):
    run.done("set_alt_text", object="s2.3", text="Three points about honey")
    assert shape(run, "s2.3")._element.nvSpPr.cNvPr.get("descr") == "Three points about honey"
    for poor in ("", "   ", "image", "Picture 3", "bees.PNG"):
        assert "alt text" in run.refused("set_alt_text", object="s2.3", text=poor)
