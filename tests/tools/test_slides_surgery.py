"""Slides taken out, moved and doubled: what comes out is a sound file."""

import copy
import importlib
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls

from autorl.content import load_pack
from tests.tools.rich_deck import P14, add_chart, add_slide, link_to, picture, rich_presentation, sort_into_sections
from tests.tools.soundness import faults

load_pack("slides")
surgery = importlib.import_module("autorl_tools.slides.surgery")


@pytest.fixture
def saved(tmp_path):
    """Save a presentation, see that it is sound, and open it again."""
    def save(presentation):
        path = tmp_path / "deck.pptx"
        presentation.save(path)
        assert faults(path) == []
        return Presentation(path)
    return save


def titles(presentation):
    return [slide.shapes.title.text for slide in presentation.slides]


def parts(presentation, kind):
    return sorted(str(part.partname) for part in presentation.part.package.iter_parts() if kind in str(part.partname))


def chart_of(slide):
    return next(shape.chart for shape in slide.shapes if shape.has_chart)


def test_the_walk_finds_what_is_not_sound(tmp_path):
    path = tmp_path / "deck.pptx"
    presentation = rich_presentation()
    presentation.slides._sldIdLst.remove(presentation.slides._sldIdLst[1])  # the recipe that leaves a slide behind
    presentation.save(path)
    found = faults(path)
    assert "slide ppt/slides/slide2.xml is not listed" in found
    assert any(fault.startswith("sections list") for fault in found)


def test_a_deleted_slide_is_gone_with_all_that_only_it_used(saved):
    presentation = rich_presentation()
    touched = surgery.delete(presentation, presentation.slides[1])
    assert [slide.shapes.title.text for slide in touched] == ["One"]
    deck = saved(presentation)
    assert titles(deck) == ["One", "Three"]
    assert parts(deck, "/slides/") == ["/ppt/slides/slide1.xml", "/ppt/slides/slide2.xml"]
    assert [parts(deck, kind) for kind in ("/notesSlides/", "/media/", "/comments/")] == [[], [], []]
    assert (len(parts(deck, "/charts/")), len(parts(deck, "/embeddings/"))) == (1, 1)
    left = [shape.click_action.target_slide for shape in deck.slides[0].shapes if shape.name.startswith("TextBox")]
    assert left == [None, deck.slides[1]]


def test_a_deleted_slide_leaves_sections_and_shows(saved):
    presentation = rich_presentation()
    surgery.delete(presentation, presentation.slides[2])
    deck = saved(presentation)
    assert len(deck.element.xpath("./p:custShowLst/p:custShow/p:sldLst/p:sld")) == 2
    sections = deck.element.xpath("//*[local-name()='section']")
    assert [len(section.xpath("./*/*[local-name()='sldId']")) for section in sections] == [2, 0]


def test_a_picture_that_zooms_to_a_deleted_slide_goes_with_it(saved):
    presentation = rich_presentation()
    one, two, _ = presentation.slides
    link = link_to(one, two).element
    holder = parse_xml('<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
                       '<mc:Choice xmlns:zoom="http://example.org/" Requires="zoom"><zoom:sldZmObj sldId="257"/>'
                       "</mc:Choice><mc:Fallback/></mc:AlternateContent>")
    link.addprevious(holder)
    holder[1].append(link)
    holder[1].append(copy.deepcopy(link))
    surgery.delete(presentation, two)
    assert "sldZmObj" not in saved(presentation).slides[0].element.xml


def test_the_last_slide_can_be_deleted(saved):
    presentation = rich_presentation()
    assert surgery.clear(presentation) == 3
    deck = saved(presentation)
    assert (len(deck.slides), parts(deck, "/slides/"), deck.element.xpath("//*[local-name()='section']")) == (0, [], [])
    add_slide(deck, "New")
    assert titles(saved(deck)) == ["New"]


def test_a_moved_slide_joins_the_section_before_it(saved):
    presentation = rich_presentation()
    surgery.move(presentation, presentation.slides[0], 3)
    deck = saved(presentation)  # the order of sections is the deck's
    assert titles(deck) == ["Two", "Three", "One"]
    assert [section.get("name") for section in deck.element.xpath("//*[local-name()='section'][*/*[@id='256']]")
            ] == ["Section 2"]


def test_a_new_slide_joins_the_section_before_it(saved):
    presentation = rich_presentation()
    surgery.into_section(presentation, add_slide(presentation, "New").slide_id)
    saved(presentation)


def test_sections_that_are_all_empty_take_a_new_slide(saved):
    presentation = rich_presentation()
    sort_into_sections(presentation, [[], []])
    for slide in presentation.slides:
        surgery.into_section(presentation, slide.slide_id)
    saved(presentation)


def test_a_copy_has_all_that_the_slide_has(saved):
    presentation = rich_presentation()
    twin = surgery.duplicate(presentation, presentation.slides[1])
    assert twin.slide_id == 259
    deck = saved(presentation)
    assert titles(deck) == ["One", "Two", "Two", "Three"]
    slide, copied = deck.slides[1], deck.slides[2]
    assert [(s.shape_id, s.name, s.shape_type) for s in copied.shapes] == [
        (s.shape_id, s.name, s.shape_type) for s in slide.shapes]
    assert copied.notes_slide.notes_text_frame.text == "Notes of two"
    assert copied.notes_slide.part is not slide.notes_slide.part
    assert copied.element.xpath("./p:cSld/p:bg//a:blip")
    assert copied.element.xpath("./p:transition/p:fade")
    links = [s for s in copied.shapes if s.has_text_frame and s.text_frame.text.startswith("to")]
    assert [link.click_action.target_slide for link in links] == [deck.slides[0]]
    assert "https://example.org/" in [rel.target_ref for rel in copied.part.rels.values() if rel.is_external]
    assert len(parts(deck, "/media/")) == len(parts(rich_presentation(), "/media/"))  # shared
    assert parts(deck, "/comments/") == ["/ppt/comments/comment1.xml"]
    assert not [rel for rel in copied.part.rels.values() if rel.reltype.endswith("/comments")]


def test_a_copy_can_be_changed_without_the_slide(saved):
    presentation = rich_presentation()
    surgery.duplicate(presentation, presentation.slides[1])
    deck = saved(presentation)
    slide, copied = deck.slides[1], deck.slides[2]
    data = CategoryChartData()
    data.categories = ["x"]
    data.add_series("Other", [9])
    chart_of(copied).replace_data(data)
    copied.notes_slide.notes_text_frame.text = "Other notes"
    copied.shapes.title.text = "Copy"
    deck = saved(deck)
    slide, copied = deck.slides[1], deck.slides[2]
    assert (slide.shapes.title.text, slide.notes_slide.notes_text_frame.text) == ("Two", "Notes of two")
    assert [list(chart_of(each).plots[0].series[0].values) for each in (slide, copied)] == [[1, 2], [9]]
    workbooks = [chart_of(each).part.chart_workbook.xlsx_part for each in (slide, copied)]
    assert workbooks[0].partname != workbooks[1].partname
    strings = [zipfile.ZipFile(io.BytesIO(book.blob)).read("xl/sharedStrings.xml") for book in workbooks]
    assert [b"Other" in text for text in strings] == [False, True]


def test_a_copy_does_not_take_the_mark_that_tells_slides_apart(saved):
    presentation = rich_presentation()
    slide = presentation.slides[2]
    slide.element.cSld.append(parse_xml(
        f'<p:extLst {nsdecls("p")}><p:ext uri="{{BB962C8B-B14F-4D97-AF65-F5344CB8AC3E}}"><p14:creationId '
        f'xmlns:p14="{P14}" val="1"/></p:ext></p:extLst>'))
    surgery.duplicate(presentation, slide)
    deck = saved(presentation)
    assert ["creationId" in slide.element.xml for slide in deck.slides] == [False, False, True, False]


def test_slides_that_are_in_the_file_but_not_in_the_deck_are_dropped(saved):
    presentation = rich_presentation()
    surgery.delete(presentation, presentation.slides[0])
    presentation.slides._sldIdLst.remove(presentation.slides._sldIdLst[0])
    for listed in presentation.element.xpath("//*[local-name()='sldIdLst']/*[@id='257']"):
        listed.getparent().remove(listed)
    surgery.drop_unlisted(presentation)
    assert titles(saved(presentation)) == ["Three"]


CHANGES = ["add", "delete", "move", "duplicate", "chart", "notes", "picture", "link", "save", "open"]
STEPS = st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=14)


@given(STEPS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_changes_leaves_a_sound_deck_with_the_expected_titles(saved, steps):
    presentation = rich_presentation()
    model = ["One", "Two", "Three"]
    for number, (step, first, second) in enumerate(steps):
        place = first % len(model) if model else 0
        if step == "add":
            surgery.into_section(presentation, add_slide(presentation, f"New {number}").slide_id)
            model.append(f"New {number}")
        elif not model:
            continue
        elif step == "delete":
            surgery.delete(presentation, presentation.slides[place])
            del model[place]
        elif step == "move":
            to = second % len(model)
            surgery.move(presentation, presentation.slides[place], to + 1)
            model.insert(to, model.pop(place))
        elif step == "duplicate":
            twin = surgery.duplicate(presentation, presentation.slides[place])
            twin.shapes.title.text = f"Copy {number}"
            model.insert(place + 1, f"Copy {number}")
        elif step == "chart":
            add_chart(presentation.slides[place])
        elif step == "notes":
            presentation.slides[place].notes_slide.notes_text_frame.text = f"Notes {number}"
        elif step == "picture":
            presentation.slides[place].shapes.add_picture(picture(size=(first + 1, second + 1)), 0, 0)
        elif step == "link":
            link_to(presentation.slides[place], presentation.slides[second % len(model)])
        else:
            opened = saved(presentation)
            presentation = opened if step == "open" else presentation
        assert titles(presentation) == model
    assert titles(saved(presentation)) == model
