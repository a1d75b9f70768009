"""What is read of a slide is what a viewer makes of it: sizes, colours and places are looked up where they stand."""

import pytest
from autorl_tools.slides.palettes import THEMES
from autorl_tools.slides.reading import read_slide
from autorl_tools.slides.sight import ground, legibility, why_unseen, written
from autorl_tools.slides.theme import blank_presentation
from lxml import etree
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.dml import MSO_THEME_COLOR
from pptx.enum.shapes import MSO_SHAPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Inches, Pt

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def slide_of(presentation, layout=6):
    return presentation.slides.add_slide(presentation.slide_layouts[layout])


def read(slide):
    return read_slide(1, slide)


def text_box(slide, text="Some words", left=1, top=1, width=4, height=1):
    box = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(width), Inches(height))
    box.text_frame.word_wrap = True
    box.text_frame.text = text
    return box


def first_type(slide, place=0):
    return read(slide).shapes[place].paragraphs[0].type


def test_size_comes_from_the_run_then_the_paragraph_then_the_presentation():
    slide = slide_of(Presentation())
    box = text_box(slide)
    paragraph = box.text_frame.paragraphs[0]
    assert first_type(slide).size == 18
    paragraph.font.size = Pt(30)
    assert first_type(slide).size == 30
    paragraph.runs[0].font.size = Pt(11)
    assert first_type(slide).size == 11


def test_a_placeholder_inherits_from_its_layout_and_then_from_its_master():
    presentation = Presentation()
    slide = slide_of(presentation, 1)
    slide.shapes.title.text = "A title"
    slide.placeholders[1].text_frame.text = "A point"
    assert first_type(slide).size == 44
    assert first_type(slide, 1).size == 32
    style = slide.slide_layout.placeholders[1]._element.find(f".//{A}lstStyle")
    style.append(parse_xml(f'<a:lvl1pPr {nsdecls("a")}><a:defRPr sz="2100" b="1"/></a:lvl1pPr>'))
    assert (first_type(slide, 1).size, first_type(slide, 1).bold) == (21, True)


def test_a_deeper_level_is_smaller_and_stands_further_in():
    slide = slide_of(Presentation(), 1)
    frame = slide.placeholders[1].text_frame
    frame.text = "First"
    frame.add_paragraph().text = "Second"
    frame.paragraphs[1].level = 1
    one, two = read(slide).shapes[1].paragraphs
    assert (one.level, two.level) == (0, 1)
    assert one.size > two.size
    assert one.indent < two.indent


def test_an_autofit_shrinks_what_it_says_it_shrinks():
    slide = slide_of(Presentation())
    box = text_box(slide)
    body = box.text_frame._txBody.bodyPr
    for old in list(body):
        body.remove(old)
    etree.SubElement(body, f"{A}normAutofit", fontScale="50000")
    assert first_type(slide).size == 9


def test_a_scheme_colour_is_followed_through_map_and_theme_and_its_changes():
    slide = slide_of(blank_presentation("harbour"))
    box = text_box(slide)
    font = box.text_frame.paragraphs[0].runs[0].font
    font.color.theme_color = MSO_THEME_COLOR.ACCENT_1
    assert first_type(slide).colour == THEMES["harbour"].colours["accent1"]
    font.color.brightness = 0.4
    assert first_type(slide).colour != THEMES["harbour"].colours["accent1"]


@pytest.mark.parametrize("theme", THEMES)
def test_in_every_theme_text_and_ground_are_told_apart_on_every_layout(theme):
    presentation = blank_presentation(theme)
    for number, layout in enumerate(presentation.slide_layouts):
        slide = presentation.slides.add_slide(layout)
        for placeholder in slide.placeholders:
            if placeholder.has_text_frame:
                placeholder.text_frame.text = "Words"
        seen = read(slide)
        for shape in seen.shapes:
            if shape.text:
                assert legibility(seen, shape) >= 3, (layout.name, number, shape.name)


def test_text_on_a_shape_takes_the_colour_of_the_shape_s_style():
    slide = slide_of(Presentation())
    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Inches(2), Inches(1))
    shape.text_frame.text = "On it"
    assert first_type(slide).colour == "FFFFFF"
    assert len(read(slide).shapes[0].fill) == 1


def test_a_gradient_gives_all_its_colours_and_the_worst_one_counts():
    slide = slide_of(Presentation())
    shape = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Inches(4), Inches(1))
    shape.fill.gradient()
    shape.fill.gradient_stops[0].color.rgb = RGBColor(0, 0, 0)
    shape.fill.gradient_stops[1].color.rgb = RGBColor(255, 255, 255)
    shape.text_frame.text = "White"
    seen = read(slide)
    assert set(seen.shapes[0].fill) == {"000000", "FFFFFF"}
    assert legibility(seen, seen.shapes[0]) == pytest.approx(1, abs=0.1)


def test_the_background_is_the_slide_s_own_or_else_that_of_its_layout():
    presentation = Presentation()
    slide = slide_of(presentation)
    fill = slide.slide_layout.background.fill
    fill.solid()
    fill.fore_color.rgb = RGBColor(0x11, 0x22, 0x33)
    assert read(slide).background == ("112233",)
    slide.background.fill.solid()
    slide.background.fill.fore_color.rgb = RGBColor(0xAA, 0, 0)
    assert read(slide).background == ("AA0000",)


def test_a_band_of_the_layout_lies_behind_the_text_on_it():
    presentation = blank_presentation("meadow")
    slide = presentation.slides.add_slide(presentation.slide_layouts.get_by_name("Title and Content"))
    slide.shapes.title.text = "On the band"
    seen = read(slide)
    assert ground(seen, seen.shapes[0]) != seen.background


def test_shapes_in_a_group_stand_where_the_group_puts_them():
    slide = slide_of(Presentation())
    group = slide.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(1), Inches(1), Inches(2), Inches(1)).text_frame.text = "Inside"
    group.left, group.top, group.width, group.height = Inches(4), Inches(3), Inches(4), Inches(2)
    (inside,) = read(slide).shapes
    assert [round(side) for side in (inside.box.left, inside.box.top, inside.box.right, inside.box.bottom)] == [
        288, 216, 576, 360]
    assert inside.grouped


def test_a_table_s_cells_have_the_colours_of_its_style():
    slide = slide_of(Presentation())
    table = slide.shapes.add_table(3, 2, 0, 0, Inches(6), Inches(2)).table
    for row in table.rows:
        for cell in row.cells:
            cell.text = "x"
    rows = read(slide).shapes[0].rows
    assert rows[0][0].paragraphs[0].type.colour == "FFFFFF"
    assert rows[0][0].fill == ("4F81BD",)
    assert rows[1][0].fill != rows[2][0].fill
    table.cell(1, 0).fill.solid()
    table.cell(1, 0).fill.fore_color.rgb = RGBColor(1, 2, 3)
    assert read(slide).shapes[0].rows[1][0].fill == ("010203",)


def test_a_chart_is_read_with_its_labels_and_values():
    slide = slide_of(Presentation())
    data = CategoryChartData()
    data.categories = ["a", "b"]
    data.add_series("Honey", (1.5, None))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, 0, 0, Inches(3), Inches(3), data)
    chart = read(slide).shapes[0].chart
    assert (chart.kind, chart.labels, chart.series[0].values) == ("PIE", ("a", "b"), (1.5, None))
    assert chart.text == "Honey: a 1.5, b"
    assert not chart.says


@pytest.mark.parametrize(("change", "why"), [
    (lambda box: setattr(box, "left", Inches(30)), "off the slide"),
    (lambda box: box._element.nvSpPr.cNvPr.set("hidden", "1"), "hidden"),
    (lambda box: setattr(box.text_frame.paragraphs[0].runs[0].font, "size", Pt(2)), "2 points"),
    (lambda box: setattr(box.text_frame.paragraphs[0].runs[0].font.color, "rgb", RGBColor(250, 250, 250)),
     "its own colour"),
])
def test_text_that_nobody_can_see_is_told_with_the_reason(change, why):
    slide = slide_of(Presentation())
    box = text_box(slide)
    seen = read(slide)
    assert why_unseen(seen, seen.shapes[0]) == ""
    change(box)
    seen = read(slide)
    assert why in why_unseen(seen, seen.shapes[0])


def test_text_that_something_stands_before_is_not_seen():
    slide = slide_of(Presentation())
    text_box(slide)
    lid = slide.shapes.add_shape(MSO_SHAPE.RECTANGLE, 0, 0, Inches(8), Inches(5))
    seen = read(slide)
    assert "covers it" in why_unseen(seen, seen.shapes[0])
    lid.fill.background()
    seen = read(slide)
    assert why_unseen(seen, seen.shapes[0]) == ""


def test_text_ends_up_where_its_anchor_and_alignment_put_it():
    slide = slide_of(Presentation())
    box = text_box(slide, width=6, height=4)
    top = written(read(slide).shapes[0])
    box.text_frame._txBody.bodyPr.set("anchor", "b")
    box.text_frame.paragraphs[0]._p.get_or_add_pPr().set("algn", "r")
    bottom = written(read(slide).shapes[0])
    frame = read(slide).shapes[0].box
    assert top.top == pytest.approx(frame.top + 3.6)
    assert bottom.bottom == pytest.approx(frame.bottom - 3.6)
    assert bottom.right == pytest.approx(frame.right - 7.2)
    assert 60 < top.width < 100


def test_an_id_used_twice_and_a_reference_to_nothing_are_flaws():
    slide = slide_of(Presentation())
    one, two = text_box(slide), text_box(slide, top=3)
    assert read(slide).flaws == ()
    two._element.nvSpPr.cNvPr.set("id", str(one.shape_id))
    assert "two objects have the id" in read(slide).flaws[0][0]
    two._element.nvSpPr.cNvPr.set("id", "90")
    link = etree.SubElement(one._element.nvSpPr.cNvPr, f"{A}hlinkClick")
    link.set("{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id", "rId99")
    assert "rId99" in read(slide).flaws[0][0]


def test_a_shape_without_a_place_or_a_size_does_not_stop_the_reading():
    slide = slide_of(Presentation())
    box = text_box(slide)
    box._element.spPr.remove(box._element.spPr.find(f"{A}xfrm"))
    slide.shapes.add_textbox(Emu(0), Emu(0), Emu(0), Emu(0))
    assert [shape.box.area for shape in read(slide).shapes] == [0, 0]
