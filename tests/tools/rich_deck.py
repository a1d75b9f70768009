"""A deck with one of each thing that hangs on relationships, as other programs write them too."""

import io

from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Inches

RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P14 = "http://schemas.microsoft.com/office/powerpoint/2010/main"


def picture(colour="red", size=(40, 30)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    buffer.seek(0)
    return buffer


def add_chart(slide, values=(1, 2)):
    data = CategoryChartData()
    data.categories = ["a", "b"]
    data.add_series("Series", values)
    place = (Inches(1), Inches(2), Inches(4), Inches(3))
    return slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, data)


def add_slide(presentation, title, layout=5):
    slide = presentation.slides.add_slide(presentation.slide_layouts[layout])
    slide.shapes.title.text = title
    return slide


def link_to(slide, target):
    box = slide.shapes.add_textbox(0, 0, Inches(2), Inches(1))
    box.text_frame.text = "to another slide"
    box.click_action.target_slide = target
    return box


def rich_presentation():
    """Slide 1 links to 2 and 3; 2 has a chart, a picture, a film, a table, a group, a background, notes, a transition
    and comments; 3 has a chart. Two sections and a show."""
    presentation = Presentation()
    one, two, three = (add_slide(presentation, title) for title in ("One", "Two", "Three"))
    link_to(one, two)
    link_to(one, three)
    add_chart(two)
    two.shapes.add_picture(picture(), Inches(5), Inches(2))
    two.shapes.add_movie(io.BytesIO(b"film"), Inches(1), Inches(5), Inches(2), Inches(1), picture("blue"), "video/mp4")
    two.shapes.add_table(2, 2, Inches(4), Inches(5), Inches(3), Inches(1)).table.cell(0, 0).text = "cell"
    group = two.shapes.add_group_shape()
    group.shapes.add_picture(picture("green"), Inches(8), Inches(2))
    run = two.shapes.add_textbox(0, 0, Inches(2), Inches(1)).text_frame.paragraphs[0].add_run()
    run.text, run.hyperlink.address = "a link", "https://example.org/"
    link_to(two, one)
    two.notes_slide.notes_text_frame.text = "Notes of two"
    _, name = two.part.get_or_add_image_part(picture("gray"))
    two.element.cSld.insert(0, parse_xml(
        f'<p:bg {nsdecls("p", "a", "r")}><p:bgPr><a:blipFill><a:blip r:embed="{name}"/><a:stretch><a:fillRect/>'
        "</a:stretch></a:blipFill><a:effectLst/></p:bgPr></p:bg>"))
    two.element.xpath("./p:clrMapOvr")[0].addnext(
        parse_xml(f'<p:transition {nsdecls("p")}><p:fade/></p:transition>'))
    comments = Part(PackURI("/ppt/comments/comment1.xml"),
                    "application/vnd.openxmlformats-officedocument.presentationml.comments+xml",
                    presentation.part.package, f"<p:cmLst {nsdecls('p')}/>".encode())
    two.part.relate_to(comments, f"{RELATION}/comments")
    add_chart(three, (3, 4))
    sort_into_sections(presentation, [["One", "Two"], ["Three"]])
    presentation.save(io.BytesIO())  # after that, python-pptx remembers names of parts
    return presentation


def sort_into_sections(presentation, sections):
    """Sections with the slides of these titles, and a custom show of all slides."""
    ids = {slide.shapes.title.text: slide.slide_id for slide in presentation.slides}
    listed = "".join(
        f'<p14:section name="Section {number}" id="{{00000000-0000-0000-0000-00000000000{number}}}"><p14:sldIdLst>'
        + "".join(f'<p14:sldId id="{ids[title]}"/>' for title in titles) + "</p14:sldIdLst></p14:section>"
        for number, titles in enumerate(sections, start=1))
    entries = "".join(f'<p:sld r:id="{entry.rId}"/>' for entry in presentation.slides._sldIdLst)
    presentation.element.xpath("./p:notesSz")[0].addnext(parse_xml(
        f'<p:custShowLst {nsdecls("p", "r")}><p:custShow name="All" id="0"><p:sldLst>{entries}</p:sldLst></p:custShow>'
        "</p:custShowLst>"))
    for old in presentation.element.xpath("./p:extLst"):
        presentation.element.remove(old)
    presentation.element.append(parse_xml(
        f'<p:extLst {nsdecls("p")}><p:ext uri="{{521415D9-36F7-43E2-AB2F-B90AF26B5E84}}"><p14:sectionLst '
        f'xmlns:p14="{P14}">{listed}</p14:sectionLst></p:ext></p:extLst>'))
