"""The slide layouts: which placeholders there are, where they stand, and how their text is set."""

from typing import Any, NamedTuple

from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Inches

from .palettes import Box, Cover, Mark, Theme

MARGIN, WIDTH = 0.75, 11.833  # of everything but covers, in inches
TITLE = Box(MARGIN, 0.45, WIDTH, 0.95)
BODY = Box(MARGIN, 1.8, WIDTH, 4.75)
FOOT = Box(MARGIN, 6.85, WIDTH, 0.35)
_GAP = 0.5
_HALF = (WIDTH - _GAP) / 2
_RIGHT = MARGIN + _HALF + _GAP
_WIDE = 7.6  # of what stands beside a caption
_HEAD = 0.6  # height of the two headings of a comparison
_UNDER = BODY.top + _HEAD + 0.1
_LEVELS = ((24, "•"), (20, "–"), (18, "•"), (16, "–"), (16, "•"), (16, "–"), (16, "•"), (16, "–"), (16, "•"))
_INDENT = 0.3125
_NOTHING = '<a:p><a:endParaRPr lang="en-US"/></a:p>'
_NUMBER = ('<a:p><a:fld id="{C1FF6DA9-008F-8B48-92A6-B652298478BF}" type="slidenum"><a:rPr lang="en-US"/>'
           "<a:t>‹#›</a:t></a:fld></a:p>")
_FEET = (("dt", 0.0, 0.25, "l", _NOTHING), ("ftr", 0.27, 0.46, "ctr", _NOTHING), ("sldNum", 0.75, 0.25, "r", _NUMBER))
_PROMPTS = {"title": "Click to add title", "ctrTitle": "Click to add title", "subTitle": "Click to add subtitle",
            "pic": "Click the icon to add a picture", "body": "Click to add text", "": "Click to add content"}
_NAMES = {"title": "Title", "ctrTitle": "Title", "subTitle": "Subtitle", "pic": "Picture Placeholder",
          "body": "Text Placeholder", "": "Content Placeholder", "dt": "Date Placeholder", "ftr": "Footer Placeholder",
          "sldNum": "Slide Number Placeholder"}


class Place(NamedTuple):
    """A placeholder of a layout. kind: its type in the file; box: None takes the master's; style: of its text."""

    kind: str
    index: int
    box: Box | None = None
    style: str = ""


LAYOUTS: dict[str, tuple[Place, ...]] = {
    "Title Slide": (),
    "Title and Content": (Place("title", 0), Place("", 1)),
    "Section Header": (),
    "Two Content": (Place("title", 0), Place("", 1, BODY._replace(width=_HALF)),
                    Place("", 2, BODY._replace(left=_RIGHT, width=_HALF))),
    "Comparison": (Place("title", 0), Place("body", 1, Box(MARGIN, BODY.top, _HALF, _HEAD), "heading"),
                   Place("", 2, Box(MARGIN, _UNDER, _HALF, BODY.height - _HEAD - 0.1)),
                   Place("body", 3, Box(_RIGHT, BODY.top, _HALF, _HEAD), "heading"),
                   Place("", 4, Box(_RIGHT, _UNDER, _HALF, BODY.height - _HEAD - 0.1))),
    "Title Only": (Place("title", 0),),
    "Blank": (),
    "Content with Caption": (Place("title", 0), Place("", 1, BODY._replace(left=MARGIN + WIDTH - _WIDE, width=_WIDE)),
                             Place("body", 2, BODY._replace(width=WIDTH - _WIDE - _GAP), "caption")),
    "Picture with Caption": (Place("title", 0), Place("pic", 1, BODY._replace(width=_WIDE)),
                             Place("body", 2, Box(MARGIN + _WIDE + _GAP, BODY.top, WIDTH - _WIDE - _GAP, BODY.height),
                                   "caption")),
}
"""The placeholders of every layout but for date, footer and number, which all have; those of covers are the theme's."""


def cover_of(name: str, theme: Theme) -> Cover | None:
    """The cover that a layout shows, if it is one."""
    return {"Title Slide": theme.opening, "Section Header": theme.section}.get(name)


def master_shapes(theme: Theme) -> str:
    """The XML of the shapes of the slide master."""
    levels = "".join(f'<a:p><a:pPr lvl="{level}"/><a:r><a:rPr lang="en-US"/><a:t>Level {level + 1}</a:t></a:r></a:p>'
                     for level in range(5))
    # Text, tables and marks all start at the margin itself.
    inset = 'lIns="0" tIns="45720" rIns="0" bIns="45720"'
    return _numbered(
        *map(_mark, theme.marks),
        _placeholder(Place("title", 0, TITLE), f'<a:bodyPr vert="horz" {inset} anchor="ctr"><a:noAutofit/></a:bodyPr>'),
        _placeholder(Place("body", 1, BODY), f'<a:bodyPr vert="horz" {inset}><a:noAutofit/></a:bodyPr>', text=levels),
        *_feet(FOOT, 2, f'<a:bodyPr {inset} anchor="ctr"/>', "tx2"))


def layout_shapes(name: str, theme: Theme) -> str:
    """The XML of the shapes of the layout `name`."""
    cover = cover_of(name, theme)
    if cover is None:
        places = [_placeholder(place, "<a:bodyPr/>" if place.style != "heading" else '<a:bodyPr anchor="b"/>',
                               _style(place.style)) for place in LAYOUTS[name]]
        return _numbered(*places, *_feet(FOOT, 10, "<a:bodyPr/>", "tx2"))
    foot = FOOT if cover.align == "ctr" else FOOT._replace(left=cover.title.left, width=cover.title.width)
    opening = name == "Title Slide"
    title, text = ("ctrTitle", "subTitle") if opening else ("title", "body")
    return _numbered(
        *map(_mark, cover.marks),
        _placeholder(Place(title, 0, cover.title), '<a:bodyPr anchor="b"/>',
                     _level(cover.size, cover.title_colour, cover.align)),
        _placeholder(Place(text, 1, cover.text), '<a:bodyPr anchor="t"/>',
                     _level(24 if opening else 20, cover.text_colour, cover.align)),
        *_feet(foot, 10, "<a:bodyPr/>", cover.foot_colour))


def text_styles(theme: Theme) -> Any:
    """The text styles of the master: of titles, and of nine levels of bullets."""
    fonts = '<a:latin typeface="+mn-lt"/><a:ea typeface="+mn-ea"/><a:cs typeface="+mn-cs"/>'
    levels = "".join(
        f'<a:lvl{number}pPr marL="{Inches(_INDENT) * number}" indent="-{Inches(_INDENT)}" algn="l" rtl="0" eaLnBrk="1" '
        f'latinLnBrk="0" hangingPunct="1"><a:lnSpc><a:spcPct val="100000"/></a:lnSpc>'
        f'<a:spcBef><a:spcPts val="{1000 if number == 1 else 500}"/></a:spcBef>'
        f'<a:buClr><a:schemeClr val="{theme.bullet}"/></a:buClr><a:buFont typeface="Arial"/><a:buChar char="{sign}"/>'
        f'<a:defRPr sz="{size * 100}" b="0" kern="1200">{solid("tx1")}{fonts}</a:defRPr></a:lvl{number}pPr>'
        for number, (size, sign) in enumerate(_LEVELS, start=1))
    return parse_xml(
        f'<p:txStyles {nsdecls("p", "a")}><p:titleStyle><a:lvl1pPr algn="l" rtl="0" eaLnBrk="1" latinLnBrk="0" '
        'hangingPunct="1"><a:lnSpc><a:spcPct val="100000"/></a:lnSpc><a:spcBef><a:spcPts val="0"/></a:spcBef>'
        f'<a:buNone/><a:defRPr sz="{theme.title_size * 100}" b="{int(theme.title_bold)}" kern="1200">'
        f'{solid(theme.title_colour)}{fonts.replace("+mn", "+mj")}</a:defRPr></a:lvl1pPr></p:titleStyle>'
        f"<p:bodyStyle>{levels}</p:bodyStyle></p:txStyles>")


def _style(name: str) -> str:
    if not name:
        return ""
    return _level(24, "tx2", "l", 'b="1"') if name == "heading" else _level(18, "tx1", "l")


def _level(size: int, colour: str, align: str, more: str = "") -> str:
    return (f'<a:lvl1pPr marL="0" indent="0" algn="{align}"><a:buNone/><a:defRPr sz="{size * 100}" {more}>'
            f"{solid(colour)}</a:defRPr></a:lvl1pPr>")


def solid(colour: str) -> str:
    """The XML of a fill with one of the theme's colours."""
    return f'<a:solidFill><a:schemeClr val="{colour}"/></a:solidFill>'


def _feet(row: Box, first: int, body: str, colour: str) -> list[str]:
    """Date, footer and number, styled on every layout anew, since LibreOffice does not inherit all of it."""
    found = []
    for index, (kind, start, share, align, text) in enumerate(_FEET, start=first):
        box = row._replace(left=row.left + start * row.width, width=share * row.width)
        style = f'<a:lvl1pPr algn="{align}"><a:defRPr sz="1200">{solid(colour)}</a:defRPr></a:lvl1pPr>'
        found.append(_placeholder(Place(kind, index, box), body, style, text))
    return found


def _placeholder(place: Place, body: str, style: str = "", text: str = "") -> str:
    kind, index, box, _ = place
    attributes = (f' type="{kind}"' if kind else "") + (f' idx="{index}"' if index else "")
    geometry = _geometry(box) if box else ""
    text = text or f'<a:p><a:r><a:rPr lang="en-US"/><a:t>{_PROMPTS[kind]}</a:t></a:r></a:p>'
    return (f'<p:sp><p:nvSpPr><p:cNvPr id="{{0}}" name="{_NAMES[kind]} {{1}}"/><p:cNvSpPr><a:spLocks noGrp="1"/>'
            f"</p:cNvSpPr><p:nvPr><p:ph{attributes}/></p:nvPr></p:nvSpPr><p:spPr>{geometry}</p:spPr>"
            f"<p:txBody>{body}<a:lstStyle>{style}</a:lstStyle>{text}</p:txBody></p:sp>")


def _mark(mark: Mark) -> str:
    return ('<p:sp><p:nvSpPr><p:cNvPr id="{0}" name="Mark {1}"/><p:cNvSpPr/><p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr>'
            f"{_geometry(mark.box)}{solid(mark.colour)}<a:ln><a:noFill/></a:ln></p:spPr></p:sp>")


def _geometry(box: Box) -> str:
    left, top, width, height = map(Inches, box)
    return (f'<a:xfrm><a:off x="{left}" y="{top}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm>'
            '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom>')


def _numbered(*shapes: str) -> str:
    """The shapes with their ids; 1 is the tree's own."""
    return "".join(shape.replace("{0}", str(n + 1)).replace("{1}", str(n)) for n, shape in enumerate(shapes, start=1))
