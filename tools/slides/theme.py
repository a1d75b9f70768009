"""The look: python-pptx's own template, widened from 4:3 to 16:9, with our colours, type and accent lines."""

import re
from datetime import UTC, datetime
from typing import Any

from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Inches

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
MARGIN = Inches(0.75)
FONT = "Calibri"  # Carlito has the same widths, where Calibri is not installed
COLOURS = {
    "dk1": "22303C", "lt1": "FFFFFF", "dk2": "14344F", "lt2": "EEF2F5", "accent1": "1F5F8B", "accent2": "E07A3F",
    "accent3": "3A9188", "accent4": "D9A93B", "accent5": "7B5C9E", "accent6": "6C8A3C", "hlink": "1F5F8B",
    "folHlink": "7B5C9E",
}
_BOXES = {  # left, top, width, height
    "title": (MARGIN, Inches(0.45), WIDTH - 2 * MARGIN, Inches(0.95)),
    "body": (MARGIN, Inches(1.8), WIDTH - 2 * MARGIN, Inches(4.75)),
    "number": (WIDTH - MARGIN - Inches(1), Inches(6.85), Inches(1), Inches(0.4)),
    "opening title": (Inches(1.1), Inches(1.7), Inches(11.1), Inches(2.1)),
    "opening subtitle": (Inches(1.1), Inches(4.3), Inches(11.1), Inches(1.1)),
}


def blank_presentation() -> Any:
    """A presentation without slides, in our look."""
    presentation = Presentation()
    old = presentation.slide_width
    presentation.slide_width, presentation.slide_height = WIDTH, HEIGHT
    master = presentation.slide_master
    for slide in (master, *presentation.slide_layouts):
        _widen(slide, WIDTH / old)
    _recolour(master)
    _dress_master(master)
    for layout in presentation.slide_layouts:
        if layout.name == "Title Slide":
            _dress_opening(layout)
        elif layout.name in ("Title and Content", "Title Only", "Two Content", "Comparison"):
            left, top, _, height = _BOXES["title"]
            _add_bar(layout, left, top + height + Inches(0.06), Inches(1.1), Inches(0.06), "accent2")
    _sign(presentation.core_properties)
    return presentation


def _widen(slide: Any, factor: float) -> None:
    """Placeholders keep their share of the width; those without a place of their own follow the master's."""
    for xfrm in slide.element.xpath("./p:cSld/p:spTree/p:sp/p:spPr/a:xfrm"):
        xfrm.off.x, xfrm.ext.cx = Emu(round(xfrm.off.x * factor)), Emu(round(xfrm.ext.cx * factor))


def _recolour(master: Any) -> None:
    """Set the theme's colours and fonts. python-pptx keeps the theme as bytes and offers no other way in."""
    part = master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
    xml = part.blob.decode("utf-8")
    for name, colour in COLOURS.items():
        xml = re.sub(rf"(<a:{name}>).*?(</a:{name}>)", rf'\g<1><a:srgbClr val="{colour}"/>\g<2>', xml, count=1)
    xml = re.sub(r'<a:latin typeface="[^"]*"', f'<a:latin typeface="{FONT}"', xml)
    part._blob = xml.replace('name="Office Theme"', 'name="autorl"').encode("utf-8")


def _dress_master(master: Any) -> None:
    for shape in master.placeholders:
        kind = shape.element.ph.get("type")
        box = {"title": "title", "body": "body", "sldNum": "number"}.get(kind)
        if box:
            _put(shape, _BOXES[box])
            # Text, tables and the accent line all start at the margin itself.
            shape.element.txBody.bodyPr.set("lIns", "0")
            shape.element.txBody.bodyPr.set("rIns", "0")
    styles = master.element.find(".//{*}txStyles")
    title = styles.find("{*}titleStyle/{*}lvl1pPr")
    title.set("algn", "l")
    _set_type(title.find("{*}defRPr"), size=32, bold=True, colour="tx2")
    body = styles.find("{*}bodyStyle")
    first = body.find("{*}lvl1pPr")
    first.find("{*}buFont").addprevious(
        parse_xml(f'<a:buClr {nsdecls("a")}><a:schemeClr val="accent2"/></a:buClr>'))
    _set_type(first.find("{*}defRPr"), size=24, bold=False, colour="tx1")


def _dress_opening(layout: Any) -> None:
    """A dark title slide with the text to the left above and below an accent line."""
    fill = f'<p:bg {nsdecls("p", "a")}><p:bgPr><a:solidFill><a:schemeClr val="tx2"/></a:solidFill>' \
           "<a:effectLst/></p:bgPr></p:bg>"
    layout.element.cSld.insert(0, parse_xml(fill))
    for shape in layout.placeholders:
        kind = shape.element.ph.get("type")
        if kind not in ("ctrTitle", "subTitle"):
            continue
        opening = kind == "ctrTitle"
        _put(shape, _BOXES["opening title" if opening else "opening subtitle"])
        shape.element.txBody.bodyPr.set("anchor", "b" if opening else "t")
        _set_list_style(shape, size=48 if opening else 24, bold=opening, colour="bg1")
    left, top, _, height = _BOXES["opening title"]
    _add_bar(layout, left, top + height + Inches(0.18), Inches(1.6), Inches(0.08), "accent2")


def _put(shape: Any, box: tuple[int, int, int, int]) -> None:
    shape.left, shape.top, shape.width, shape.height = (Emu(value) for value in box)


def _set_type(properties: Any, size: int, bold: bool, colour: str) -> None:
    properties.set("sz", str(size * 100))
    properties.set("b", str(int(bold)))
    properties.find("{*}solidFill").find("{*}schemeClr").set("val", colour)


def _set_list_style(shape: Any, size: int, bold: bool, colour: str) -> None:
    style = shape.element.txBody.find("{*}lstStyle")
    fresh = parse_xml(
        f'<a:lstStyle {nsdecls("a")}><a:lvl1pPr marL="0" indent="0" algn="l"><a:buNone/>'
        f'<a:defRPr sz="{size * 100}" b="{int(bold)}"><a:solidFill><a:schemeClr val="{colour}"/></a:solidFill>'
        "</a:defRPr></a:lvl1pPr></a:lstStyle>")
    style.getparent().replace(style, fresh)


def _add_bar(slide: Any, left: int, top: int, width: int, height: int, colour: str) -> None:
    """A filled rectangle behind the placeholders; layouts have no `add_shape` of their own."""
    tree = slide.shapes._spTree
    number = max((int(value) for value in tree.xpath(".//p:cNvPr/@id")), default=1) + 1
    bar = parse_xml(
        f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="{number}" name="Accent line"/><p:cNvSpPr/>'
        f'<p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr><a:xfrm><a:off x="{int(left)}" y="{int(top)}"/>'
        f'<a:ext cx="{int(width)}" cy="{int(height)}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>'
        f'<a:solidFill><a:schemeClr val="{colour}"/></a:solidFill><a:ln><a:noFill/></a:ln></p:spPr></p:sp>')
    tree.insert(2, bar)  # after the two property elements that every shape tree starts with


def _sign(properties: Any) -> None:
    """The template names its own author, title and date of 2013."""
    now = datetime.now(UTC).replace(tzinfo=None)
    properties.author, properties.last_modified_by, properties.keywords = "autorl", "autorl", ""
    properties.created = properties.modified = now
    properties.revision = 1
