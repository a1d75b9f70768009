"""Whole decks through the tools: started, opened, copied, dressed; and what is refused."""

import copy
import io
import os
import zipfile

import pytest
from lxml import etree
from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Inches

from tests.tools.rich_deck import rich_presentation
from tests.tools.soundness import faults

TEMPLATE = "application/vnd.openxmlformats-officedocument.presentationml.template.main+xml"
MAIN = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
THEMES = ["harbour", "midnight", "almanac", "signal", "meadow"]
FEET = (PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE)


@pytest.fixture
def run(make_run):
    return make_run(packs=("slides:all",))


def bytes_of(presentation):
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def as_template(content):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(MAIN.encode(), TEMPLATE.encode()))
    return out.getvalue()


def opened(run, name):
    path = run.workspace.root / name
    assert faults(path) == []
    return Presentation(str(path))


def titles(presentation):
    return [slide.shapes.title.text_frame.text for slide in presentation.slides]


def theme_of(presentation):
    return presentation.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob


def colours(presentation):
    theme = etree.fromstring(theme_of(presentation))
    return {etree.QName(entry).localname: entry[0].get("val") for entry in theme.find(".//{*}clrScheme")}


@pytest.mark.parametrize("theme", THEMES)
def test_a_new_deck_has_a_title_slide_in_its_theme(run, theme):
    answer = run.done("new_deck", title="Honey Bees", subtitle="Life in the hive", theme=theme)
    assert f"'honey-bees.pptx' started with the theme '{theme}'" in answer
    assert "1 'Title Slide': title, 1 subtitle" in answer
    deck = opened(run, "honey-bees.pptx")
    assert (deck.slide_width, deck.slide_height) == (Inches(13.333), Inches(7.5))
    kinds = {shape.placeholder_format.type: shape.text_frame.text for shape in deck.slides[0].placeholders}
    assert kinds == {PP_PLACEHOLDER.CENTER_TITLE: "Honey Bees", PP_PLACEHOLDER.SUBTITLE: "Life in the hive"}
    assert deck.core_properties.title == "Honey Bees"


def test_without_a_subtitle_no_empty_box_is_left(run):
    run.done("new_deck", title="Honey Bees")
    assert len(opened(run, "honey-bees.pptx").slides[0].placeholders) == 1


@pytest.mark.parametrize("ending", ["pptx", "potx"])
def test_a_template_gives_its_layouts_and_none_of_its_slides(make_run, tmp_path, ending):
    folder = tmp_path / "templates"
    folder.mkdir()
    content = bytes_of(rich_presentation())
    template = folder / f"house.{ending}"
    template.write_bytes(as_template(content) if ending == "potx" else content)
    before = template.read_bytes()
    run = make_run(packs=("slides:all",), readable=(folder,))
    answer = run.done("new_deck", title="Honey Bees", subtitle="Below", template=str(template))
    assert "without its 3 slides" in answer
    assert "11 'Vertical Title and Text': title, 1 text" in answer
    deck = opened(run, "honey-bees.pptx")
    assert [slide.slide_layout.name for slide in deck.slides] == ["Title Slide"]
    assert deck.slides[0].placeholders[1].text_frame.text == "Below"
    assert not [part for part in deck.part.package.iter_parts() if "media" in part.partname or "chart" in part.partname]
    assert template.read_bytes() == before
    run.done("add_slide", title="More", bullets=["One thing", "Another thing"])


def test_a_template_without_a_title_layout_still_gives_a_deck(run):
    presentation = Presentation()
    for layout in list(presentation.slide_layouts):
        if layout.name != "Blank":
            presentation.slide_layouts.remove(layout)
    run.workspace.write("bare.potx", bytes_of(presentation))
    run.done("new_deck", title="Honey Bees", template="bare.potx")
    assert len(opened(run, "honey-bees.pptx").slides) == 1


def test_a_template_as_libreoffice_writes_it(run):
    presentation = rich_presentation()
    layout = next(each for each in presentation.slide_layouts if each.name == "Two Content")
    for mark in layout.element.xpath("//p:ph[not(@type)]"):
        mark.attrib.pop("idx")  # all have the number 0 then
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bytes_of(presentation))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"package/2006/relationships/metadata/core",
                                                      b"officedocument/2006/relationships/metadata/core"))
    run.workspace.write("theirs.potx", as_template(out.getvalue()))
    run.done("new_deck", title="Bees", template="theirs.potx")
    run.done("add_slide_by_layout", layout="Two Content", title="Two", texts=[["left"], ["right"]])
    title, left, right = opened(run, "bees.pptx").slides[1].placeholders
    assert [shape.text_frame.text for shape in (title, left, right)] == ["Two", "left", "right"]
    assert title.top + title.height <= left.top == right.top
    assert left.left + left.width <= right.left


def test_a_second_new_deck_is_the_one_that_work_goes_on_with(run):
    run.done("new_deck", title="Bees")
    run.done("add_slide", title="Life", bullets=["One queen lays", "Workers work"])
    run.done("new_deck", title="Bees")
    assert run.done("read_deck").startswith("'bees-2.pptx' has 1 slide.")
    run.done("open_deck", path="bees.pptx")
    assert run.done("read_deck").startswith("'bees.pptx' has 2 slides.")


def test_an_opened_deck_is_the_deck_of_the_run_even_if_another_is_newer(run):
    run.done("new_deck", title="Bees")
    run.done("new_deck", title="Wasps")
    os.utime(run.workspace.root / "wasps.pptx", (4e9, 4e9))
    before = (run.workspace.root / "bees.pptx").read_bytes()
    assert run.done("open_deck", path="bees.pptx") == "Deck 'bees.pptx' opened. Slides: 1."
    assert (run.workspace.root / "bees.pptx").read_bytes() == before
    for notes in ("mine", "still mine"):
        run.done("set_notes", slide=1, notes=notes)
    assert opened(run, "bees.pptx").slides[0].notes_slide.notes_text_frame.text == "still mine"


def test_a_deck_from_outside_is_copied_and_stays_as_it_is(make_run, tmp_path):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "Their Deck.pptx").write_bytes(bytes_of(rich_presentation()))
    before = (folder / "Their Deck.pptx").read_bytes()
    run = make_run(packs=("slides:all",), readable=(folder,))
    answer = run.done("open_deck", path=str(folder / "Their Deck.pptx"))
    assert "'their-deck.pptx' opened. Slides: 3. It is a copy" in answer
    run.done("delete_slide", slide=1)
    assert len(opened(run, "their-deck.pptx").slides) == 2
    assert (folder / "Their Deck.pptx").read_bytes() == before


@pytest.mark.parametrize(("path", "said"), [
    ("none.pptx", "there is no file 'none.pptx'"), ("../none.pptx", "outside the workspace"),
    ("notes.txt", "does not end"), ("/etc/passwd", "outside the workspace"), ("a.potx", "does not end in .pptx"),
    ("\x00", "not a file name")])
def test_what_is_no_deck_is_not_opened(run, path, said):
    run.workspace.write("notes.txt", b"text")
    run.workspace.write("a.potx", as_template(bytes_of(Presentation())))
    assert said in run.refused("open_deck", path=path)


def test_a_copy_is_saved_beside_the_deck_and_nothing_is_overwritten(run):
    run.done("new_deck", title="Bees")
    answer = run.done("save_copy", path="kept/before")
    assert answer == "Saved a copy as 'kept/before.pptx'. Work goes on with 'bees.pptx'."
    run.done("add_slide", title="Life", bullets=["One queen lays", "Workers work"])
    assert [len(opened(run, name).slides) for name in ("bees.pptx", "kept/before.pptx")] == [2, 1]
    assert "exists already" in run.refused("save_copy", path="bees.pptx")
    assert "does not end in .pptx" in run.refused("save_copy", path="bees.txt")
    assert "may not be written" in run.refused("save_copy", path="../bees.pptx")


def test_properties_are_set_and_texts_carry_their_language(run):
    run.done("new_deck", title="Bees", subtitle="Sie leben")
    answer = run.done("set_properties", author="Ada", subject="Hives", keywords="bee", language="de-DE")
    assert answer == "Set author, subject, keywords, language. 2 texts are marked as de-DE."
    deck = opened(run, "bees.pptx")
    properties = deck.core_properties
    assert (properties.author, properties.title, properties.language) == ("Ada", "Bees", "de-DE")
    assert {run.get("lang") for run in deck.slides[0].element.iter("{*}rPr")} == {"de-DE"}
    assert "no property was given" in run.refused("set_properties")
    assert "no language tag" in run.refused("set_properties", language="German")


@pytest.mark.parametrize(("name", "arguments"), [
    ("new_deck", {"title": "t" * 10_000}), ("new_deck", {"title": "Bees", "theme": "pink"}),
    ("new_deck", {"title": " \n "}), ("new_deck", {"title": "Bees", "theme": "signal", "template": "a.pptx"}),
    ("set_properties", {"author": "a" * 300}), ("set_footer", {"text": "f" * 500}), ("set_palette", {"accent1": "red"}),
    ("set_palette", {}), ("set_theme", {"theme": ""})])
def test_what_cannot_be_is_answered_with_one_clear_line(run, name, arguments):
    run.done("new_deck", title="Wasps")
    answer = run.refused(name, **arguments)
    assert "\n" not in answer
    assert len(answer) < 400
    assert [path.name for path in run.workspace.root.iterdir()] == ["wasps.pptx"]


def test_a_deck_can_change_its_theme_and_keeps_what_it_says(run):
    run.done("new_deck", title="Honey Bees", subtitle="Life", theme="harbour")
    run.done("add_slide", title="How", bullets=["One queen lays", "Workers work"])
    run.done("add_chart", title="Honey", kind="column", labels=["a", "b"], values=[1, 2])
    run.done("set_footer", text="Bees Ltd")
    before = titles(opened(run, "honey-bees.pptx"))
    for theme in (*THEMES[1:], "harbour"):
        run.done("set_theme", theme=theme)
        deck = opened(run, "honey-bees.pptx")
        assert f"autorl {theme}".encode() in theme_of(deck)
        assert titles(deck) == before
        feet = [shape for slide in deck.slides for shape in slide.placeholders if shape.placeholder_format.type in FEET]
        assert len(feet) == 6
        assert all(len(shape.element.find(".//{*}lstStyle")) == 0 for shape in feet)  # nothing of the old theme


def test_a_deck_made_elsewhere_keeps_its_look(run):
    run.workspace.write("theirs.pptx", bytes_of(rich_presentation()))
    run.done("open_deck", path="theirs.pptx")
    assert "'theirs.pptx' has a look of its own" in run.refused("set_theme", theme="signal")


def test_colours_that_would_not_be_read_are_refused_with_the_numbers(run):
    run.done("new_deck", title="Bees", theme="harbour")
    before = colours(opened(run, "bees.pptx"))
    answer = run.refused("set_palette", text="BBBBBB")
    assert "text BBBBBB on background FFFFFF has a contrast of 1.9. At least 4.5 is needed" in answer
    assert "accent3 FFFF00 on background FFFFFF has a contrast of 1.1. At least 3 " in run.refused(
        "set_palette", accent3="FFFF00")
    assert "on accent1 FFD000" in run.refused("set_palette", accent1="#ffd000")
    assert colours(opened(run, "bees.pptx")) == before


def test_a_palette_changes_what_is_given_and_what_hangs_on_it(run):
    run.done("new_deck", title="Bees", theme="harbour")
    answer = run.done("set_palette", background="#101820", text="F0F0F0", accent1="5FA8D3", accent4="E0B040")
    assert answer.startswith("Set background 101820, text F0F0F0, accent1 5FA8D3, accent4 E0B040. Along with it: ")
    now = colours(opened(run, "bees.pptx"))
    assert (now["lt1"], now["dk1"], now["accent1"], now["hlink"]) == ("101820", "F0F0F0", "5FA8D3", "5FA8D3")
    assert (now["dk2"], now["lt2"]) == ("F0F0F0", "20272F")  # titles, and panels, would not be seen as they were


def test_a_palette_is_the_masters_words_not_the_files(run):
    run.done("new_deck", title="Bees", theme="midnight")
    run.done("set_palette", background="000000")
    assert colours(opened(run, "bees.pptx"))["dk1"] == "000000"


def test_a_palette_goes_for_a_deck_made_elsewhere_too(run):
    run.workspace.write("theirs.pptx", bytes_of(rich_presentation()))
    run.done("open_deck", path="theirs.pptx")
    run.done("set_palette", accent2="884400")
    assert colours(opened(run, "theirs.pptx"))["accent2"] == "884400"


def feet_of(slide):
    return {shape.placeholder_format.type: shape.text_frame.text for shape in slide.placeholders
            if shape.placeholder_format.type in FEET}


def test_a_footer_stands_on_every_slide_in_real_placeholders(run):
    run.done("new_deck", title="Bees")
    run.done("add_slide", title="Life", bullets=["One queen lays", "Workers work"])
    run.done("add_slide_by_layout", layout="Blank")
    run.done("set_footer", text="Bees Ltd", date="3 May 2026")
    run.done("add_slide_by_layout", layout="Title Only", title="Later")
    deck = opened(run, "bees.pptx")
    footer, number, date = FEET
    for slide in deck.slides:
        assert feet_of(slide) == {footer: "Bees Ltd", number: "‹#›", date: "3 May 2026"}
        assert [f.get("type") for f in slide.element.iter("{*}fld")] == ["slidenum"]
        for shape in slide.placeholders:
            assert shape.width > 0  # taken from the layout
    run.done("set_footer", numbers=False)
    assert [feet_of(slide) for slide in opened(run, "bees.pptx").slides] == [{}] * 4


def test_a_date_that_keeps_itself_up_to_date_is_taken_over_as_one(run):
    presentation = rich_presentation()
    slide = presentation.slides[2]
    place = next(s for s in slide.slide_layout.placeholders if s.placeholder_format.type == PP_PLACEHOLDER.DATE)
    slide.shapes._spTree.append(copy.deepcopy(place.element))
    slide.shapes[-1].element.nvSpPr.cNvPr.set("id", "77")
    slide.shapes[-1].text_frame.paragraphs[0]._p.insert(0, parse_xml(
        f'<a:fld {nsdecls("a")} id="{{5BCAD085-E8A6-8845-BD4E-CB4CCA059FC4}}" type="datetimeFigureOut">'
        "<a:t>1/1/26</a:t></a:fld>"))
    run.workspace.write("theirs.pptx", bytes_of(presentation))
    run.done("open_deck", path="theirs.pptx")
    run.done("add_slide_by_layout", layout="Title Only", title="New")
    assert next(opened(run, "theirs.pptx").slides[3].element.iter("{*}fld")).get("type") == "datetimeFigureOut"


def test_a_layout_without_a_place_for_the_footer_is_named(run):
    presentation = rich_presentation()
    for shape in list(presentation.slides[0].slide_layout.placeholders):
        if shape.placeholder_format.type == PP_PLACEHOLDER.FOOTER:
            shape.element.getparent().remove(shape.element)
    run.workspace.write("theirs.pptx", bytes_of(presentation))
    run.done("open_deck", path="theirs.pptx")
    answer = run.done("set_footer", text="Bees Ltd")
    assert "Slide 1, 2, 3: the layout has no place for the footer" in answer
    assert opened(run, "theirs.pptx").slides[1].element.xpath("//p:ph[@type='sldNum']")


def test_every_tool_needs_a_deck_and_says_so(run):
    needs = {"save_copy": {"path": "a"}, "list_layouts": {}, "set_theme": {"theme": "signal"}, "set_footer": {},
             "set_palette": {"accent1": "102030"}, "set_properties": {"author": "Ada"}, "read_deck": {},
             "read_slide": {"slide": 1}, "render_slide": {"slide": 1}, "delete_slide": {"slide": 1}}
    for name, arguments in needs.items():
        assert "there is no deck yet" in run.refused(name, **arguments)
