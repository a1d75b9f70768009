"""The themes: what every one of them promises, read from the file that a viewer would open."""

import importlib
import io
import re
import zipfile
from itertools import combinations

import pytest
from lxml import etree
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.util import Inches

from autorl.content import load_pack
from autorl.errors import ToolError

load_pack("slides")
colour = importlib.import_module("autorl_tools.slides.colour")
theme = importlib.import_module("autorl_tools.slides.theme")

THEMES = list(theme.THEMES)
LAYOUTS = ["Title Slide", "Title and Content", "Section Header", "Two Content", "Comparison", "Title Only", "Blank",
           "Content with Caption", "Picture with Caption"]
COVERS = ("Title Slide", "Section Header")
FONTS = {"Calibri", "Arial", "Times New Roman"}  # all with free twins of the same widths
each_theme = pytest.mark.parametrize("name", THEMES)


def saved(name):
    buffer = io.BytesIO()
    theme.blank_presentation(name).save(buffer)
    return buffer


def opened(name):
    return Presentation(saved(name))


def theme_part(presentation):
    return etree.fromstring(presentation.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)


def palette(presentation):
    """What colours stand for on a slide: names of the theme part, and those that the master maps to them."""
    slots = theme_part(presentation).find(".//{*}clrScheme")
    colours = {etree.QName(slot).localname: slot[0].get("val") for slot in slots}
    mapped = {name: colours[slot] for name, slot in presentation.slide_master.element.find("{*}clrMap").items()}
    return colours | mapped


def rectangle(shape):
    return shape.left, shape.top, shape.left + shape.width, shape.top + shape.height


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def within(one, other):
    return other[0] <= one[0] and other[1] <= one[1] and one[2] <= other[2] and one[3] <= other[3]


def marks(layout):
    """What is painted behind the placeholders of a layout, from the back to the front."""
    painted = list(layout.slide_master.shapes) if layout.element.get("showMasterSp") != "0" else []
    return [shape for shape in (*painted, *layout.shapes) if not shape.is_placeholder]


def named_colour(element, path):
    found = element.find(f"{path}/{{*}}solidFill/{{*}}schemeClr") if element is not None else None
    return None if found is None else found.get("val")


def ground_behind(shape, layout):
    """The colour that a placeholder stands on."""
    own = named_colour(layout.element.cSld, "{*}bg/{*}bgPr")
    ground = own or named_colour(layout.slide_master.element.cSld, "{*}bg/{*}bgPr")
    for mark in marks(layout):
        if within(rectangle(shape), rectangle(mark)):
            ground = named_colour(mark.element, "{*}spPr")
    return ground


def text_colour(shape, layout):
    """The colour of the first level of a placeholder's text."""
    kind = shape.element.ph.get("type", "obj")
    styles = layout.slide_master.element.find("{*}txStyles")
    style = styles.find("{*}titleStyle" if kind in ("title", "ctrTitle") else "{*}bodyStyle")
    own = named_colour(shape.element.txBody.find("{*}lstStyle"), "{*}lvl1pPr/{*}defRPr")
    return own or named_colour(style, "{*}lvl1pPr/{*}defRPr")


@pytest.mark.parametrize(("one", "other", "ratio"), [
    ("000000", "FFFFFF", 21.0), ("FFFFFF", "FFFFFF", 1.0), ("777777", "FFFFFF", 4.48), ("767676", "FFFFFF", 4.54),
    ("FF0000", "FFFFFF", 4.0), ("0000FF", "FFFFFF", 8.59)])
def test_contrast_is_that_of_the_web_guidelines(one, other, ratio):
    assert colour.contrast(one, other) == pytest.approx(ratio, abs=0.005)
    assert colour.contrast(other, one) == colour.contrast(one, other)


def test_distance_is_none_between_equals_and_100_from_black_to_white():
    assert colour.distance("1F5F8B", "1F5F8B") == 0
    assert colour.distance("000000", "FFFFFF") == pytest.approx(100, abs=0.1)


def test_colours_are_dimmed_and_mixed_as_numbers():
    assert colour.dimmed("808080", 0.5) == "404040"
    assert colour.dimmed("000000", 0.5, 0.25) == "404040"
    assert colour.mixed("FF0000", "0000FF", 0.8) == "CC0033"


def test_there_are_at_least_four_themes_one_of_them_dark():
    assert len(THEMES) >= 4
    assert theme.DEFAULT in THEMES
    assert {look.dark for look in theme.THEMES.values()} == {True, False}
    assert all(look.name == name and look.description for name, look in theme.THEMES.items())


def test_an_unknown_theme_is_refused_with_the_names_there_are():
    with pytest.raises(ToolError, match="no theme 'neon'.*harbour"):
        theme.blank_presentation("neon")


@each_theme
def test_a_theme_is_a_widescreen_deck_without_slides_and_with_all_layouts(name):
    deck = opened(name)
    assert (deck.slide_width, deck.slide_height) == (Inches(13.333), Inches(7.5))
    assert len(deck.slides) == 0
    assert [layout.name for layout in deck.slide_layouts] == LAYOUTS
    part = theme_part(deck)
    assert part.get("name") == f"autorl {name}"
    assert {part.find(f".//{{*}}{kind}").get("name") for kind in ("clrScheme", "fontScheme", "fmtScheme")} == {
        f"autorl {name}"}
    assert set(theme.fonts_of(deck.slides.add_slide(deck.slide_layouts[0]))) <= FONTS


@each_theme
def test_nothing_of_the_narrow_template_is_left(name):
    with zipfile.ZipFile(saved(name)) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    assert not [part for part in parts if re.search("thumbnail|printerSettings", part)]
    assert not [part for part, content in parts.items() if re.search(rb"\(4:3\)|screen4x3|2013-", content)]
    template = Presentation()
    places = {(s.left, s.top, s.width, s.height) for holder in (template.slide_master, *template.slide_layouts)
              for s in holder.placeholders}
    deck = opened(name)
    assert not places & {(s.left, s.top, s.width, s.height)
                         for holder in (deck.slide_master, *deck.slide_layouts) for s in holder.placeholders}


@each_theme
def test_placeholders_keep_to_the_margins_and_clear_of_each_other(name):
    deck = opened(name)
    area = Inches(0.75) - 1, Inches(0.4), deck.slide_width - Inches(0.7), deck.slide_height - Inches(0.25)
    for layout in deck.slide_layouts:
        boxes = {shape.name: rectangle(shape) for shape in layout.placeholders}
        assert not [n for n, box in boxes.items() if not within(box, area)], layout.name
        assert not [(n, m) for n, m in combinations(boxes, 2) if overlap(boxes[n], boxes[m])], layout.name


@each_theme
def test_marks_lie_behind_a_placeholder_or_clear_of_it(name):
    for layout in opened(name).slide_layouts:
        for mark in marks(layout):
            for shape in layout.placeholders:
                box, painted = rectangle(shape), rectangle(mark)
                assert within(box, painted) or not overlap(box, painted), (layout.name, mark.name, shape.name)


@each_theme
def test_every_text_reads_on_what_lies_behind_it(name):
    deck = opened(name)
    colours = palette(deck)
    for layout in deck.slide_layouts:
        for shape in layout.placeholders:
            kind = shape.element.ph.get("type", "obj")
            ratio = colour.contrast(colours[text_colour(shape, layout)], colours[ground_behind(shape, layout)])
            least = 7 if kind in ("obj", "body", "pic") and layout.name not in COVERS else 4.5
            assert ratio >= least, (layout.name, shape.name, ratio)


@each_theme
def test_what_is_put_on_a_slide_unasked_reads_too(name):
    colours = palette(opened(name))
    assert colour.contrast(colours["tx1"], colours["bg1"]) >= 7  # text boxes, charts
    assert colour.contrast(colours["tx1"], colours["bg2"]) >= 7  # every other row of a table
    assert colour.contrast(colours["lt1"], colours["accent1"]) >= 4.5  # headings of tables, shapes
    for share in (0.2, 0.4):  # the rows of PowerPoint's own default table
        assert colour.contrast(colours["dk1"], colour.mixed(colours["accent1"], "FFFFFF", share)) >= 7
    for link in ("hlink", "folHlink"):
        assert colour.contrast(colours[link], colours["bg1"]) >= 4.5


@each_theme
def test_the_accents_stand_out_and_can_be_told_apart(name):
    colours = palette(opened(name))
    accents = [colours[f"accent{number}"] for number in range(1, 7)]
    assert min(colour.contrast(accent, colours["bg1"]) for accent in accents) >= 3
    assert min(colour.distance(*pair) for pair in combinations(accents, 2)) >= 20


@each_theme
def test_bullets_have_nine_levels_that_shrink_and_step_in(name):
    style = opened(name).slide_master.element.find("{*}txStyles/{*}bodyStyle")
    levels = [style.find(f"{{*}}lvl{number}pPr") for number in range(1, 10)]
    sizes = [int(level.find("{*}defRPr").get("sz")) for level in levels]
    indents = [int(level.get("marL")) for level in levels]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) >= 1400
    assert indents == sorted(set(indents))
    assert all(level.find("{*}buChar") is not None for level in levels)


@each_theme
def test_every_layout_has_date_footer_and_number_in_the_same_order(name):
    for layout in opened(name).slide_layouts:
        feet = {s.element.ph.get("type"): s for s in layout.placeholders if s.element.ph.get("type") in (
            "dt", "ftr", "sldNum")}
        assert feet["dt"].left < feet["ftr"].left < feet["sldNum"].left
        assert len({foot.top for foot in feet.values()}) == 1


@each_theme
def test_the_table_style_of_the_theme_is_the_deck_s_default(name):
    part = opened(name).part.part_related_by(RELATIONSHIP_TYPE.TABLE_STYLES)
    styles = etree.fromstring(part.blob)
    assert styles.get("def") == theme.TABLE_STYLE == styles.find("{*}tblStyle").get("styleId")
