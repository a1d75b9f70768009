"""Presentations without slides, in one of our looks: theme part, master and layouts are written anew for 16:9."""

from datetime import UTC, datetime
from typing import Any

from lxml import etree
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Inches

from autorl.errors import ToolError

from .layouts import LAYOUTS, cover_of, layout_shapes, master_shapes, solid, text_styles
from .palettes import DEFAULT, THEMES, Theme

WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
TABLE_STYLE = "{6E1C1E0B-6C1F-4D5B-9B1A-A07021C0DE01}"
"""The id of the table style that comes with every theme of ours, and is the deck's default."""
_SCRIPTS = {"Jpan": "Yu Gothic", "Hang": "Malgun Gothic", "Hans": "Microsoft YaHei", "Hant": "Microsoft JhengHei",
            "Arab": "Arial", "Hebr": "Arial", "Thai": "Tahoma"}
_LEFTOVERS = (RELATIONSHIP_TYPE.THUMBNAIL, RELATIONSHIP_TYPE.PRINTER_SETTINGS)
_OURS = "autorl "  # what the names of our themes begin with
_MAPPED = ("bg1", "tx1", "bg2", "tx2")
_APP = ('<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/extended-properties">'
        "<Application>autorl</Application><PresentationFormat>Widescreen</PresentationFormat></Properties>")


def blank_presentation(theme: str = DEFAULT) -> Any:
    """A presentation without slides.

    theme: a name in THEMES
    Raises ToolError when there is no such theme.
    """
    if theme not in THEMES:
        raise ToolError(f"there is no theme '{theme}'", f"Take one of {', '.join(THEMES)}")
    presentation = Presentation()
    presentation.slide_width, presentation.slide_height = WIDTH, HEIGHT
    presentation.element.sldSz.attrib.pop("type", None)  # it says 4:3
    for layout in list(presentation.slide_layouts):
        if layout.name not in LAYOUTS:
            presentation.slide_layouts.remove(layout)  # the two for text that runs downwards
    dress(presentation, theme)
    _sign(presentation)
    return presentation


def is_ours(presentation: Any) -> bool:
    """Whether the master and all layouts are those of `blank_presentation`, in any theme."""
    masters = list(presentation.slide_masters)
    theme = etree.fromstring(masters[0].part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)
    layouts = {layout.name for layout in masters[0].slide_layouts}
    return len(masters) == 1 and theme.get("name", "").startswith(_OURS) and layouts == set(LAYOUTS)


def dress(presentation: Any, theme: str) -> None:
    """Write the theme, the master and the layouts of a presentation of ours anew; its slides keep what they hold.

    What python-pptx has read of layouts before is out of date then.
    """
    look = THEMES[theme]
    _dress_master(presentation.slide_master, look)
    for layout in presentation.slide_layouts:
        cover = cover_of(layout.name, look)
        _dress(layout, layout.name, layout_shapes(layout.name, look), cover.ground if cover else "")
        if cover or layout.name == "Blank":
            layout.element.set("showMasterSp", "0")  # the marks of content slides


def fonts_of(slide: Any) -> tuple[str, str]:
    """The fonts of titles and of other text by the theme of a slide; Calibri where it names none."""
    theme = etree.fromstring(slide.slide_layout.slide_master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)
    heading, body = (theme.find(f".//{{*}}{kind}Font/{{*}}latin") for kind in ("major", "minor"))
    return tuple((font.get("typeface") if font is not None else "") or "Calibri" for font in (heading, body))


def _dress_master(master: Any, theme: Theme) -> None:
    part = master.part
    part.part_related_by(RELATIONSHIP_TYPE.THEME)._blob = _theme_xml(theme).encode()
    part.package.presentation_part.part_related_by(RELATIONSHIP_TYPE.TABLE_STYLES)._blob = _table_style_xml().encode()
    _dress(master, "Master", master_shapes(theme), "bg1")
    mapping = master.element.find("{*}clrMap")
    for name in _MAPPED:
        mapping.set(name, theme.slot(name))
    old = master.element.find("{*}txStyles")
    fresh = text_styles(theme)
    for name in ("titleStyle", "bodyStyle"):
        old.replace(old.find(f"{{*}}{name}"), fresh.find(f"{{*}}{name}"))


def _dress(slide: Any, name: str, shapes: str, ground: str) -> None:
    """Give a master or a layout its shapes, its ground if it has one of its own, and nothing of what it had."""
    background = ground and f"<p:bg><p:bgPr>{solid(ground)}<a:effectLst/></p:bgPr></p:bg>"
    fresh = parse_xml(
        f'<p:cSld {nsdecls("p", "a")} name="{name}">{background}<p:spTree>'
        '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr><a:xfrm>'
        '<a:off x="0" y="0"/><a:ext cx="0" cy="0"/><a:chOff x="0" y="0"/><a:chExt cx="0" cy="0"/></a:xfrm></p:grpSpPr>'
        f"{shapes}</p:spTree></p:cSld>")
    slide.element.replace(slide.element.cSld, fresh)


def _theme_xml(theme: Theme) -> str:
    """The theme part: our colours and fonts, and flat fills without shadows for shapes that ask the theme."""
    title = f"{_OURS}{theme.name}"
    colours = "".join(f'<a:{name}><a:srgbClr val="{value}"/></a:{name}>' for name, value in theme.colours.items())
    scripts = "".join(f'<a:font script="{script}" typeface="{font}"/>' for script, font in _SCRIPTS.items())
    major, minor = (f'<a:latin typeface="{font}"/><a:ea typeface=""/><a:cs typeface=""/>{scripts}'
                    for font in (theme.heading, theme.body))
    fill = solid("phClr")
    lines = "".join(f'<a:ln w="{width}" cap="flat" cmpd="sng" algn="ctr">{fill}<a:prstDash val="solid"/></a:ln>'
                    for width in (9525, 19050, 28575))
    effects = "<a:effectStyle><a:effectLst/></a:effectStyle>" * 3
    return (f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><a:theme {nsdecls("a")} name="{title}">'
            f'<a:themeElements><a:clrScheme name="{title}">{colours}</a:clrScheme><a:fontScheme name="{title}">'
            f"<a:majorFont>{major}</a:majorFont><a:minorFont>{minor}</a:minorFont></a:fontScheme>"
            f'<a:fmtScheme name="{title}"><a:fillStyleLst>{fill * 3}</a:fillStyleLst>'
            f"<a:lnStyleLst>{lines}</a:lnStyleLst><a:effectStyleLst>{effects}</a:effectStyleLst>"
            f"<a:bgFillStyleLst>{fill * 3}</a:bgFillStyleLst></a:fmtScheme></a:themeElements>"
            "<a:objectDefaults/><a:extraClrSchemeLst/></a:theme>")


def _table_style_xml() -> str:
    """A heading on accent1, every other row on a panel, thin lines between: it reads on light and dark grounds."""
    def line(side: str, colour: str, width: int) -> str:
        return f'<a:{side}><a:ln w="{width}" cmpd="sng">{solid(colour)}</a:ln></a:{side}>'

    def text(colour: str, bold: str = "") -> str:
        return f'<a:tcTxStyle{bold}><a:fontRef idx="minor"/><a:schemeClr val="{colour}"/></a:tcTxStyle>'

    def fill(colour: str) -> str:
        return f"<a:fill>{solid(colour)}</a:fill>"

    strong = ' b="on"'
    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><a:tblStyleLst {nsdecls("a")} def="{TABLE_STYLE}">'
        f'<a:tblStyle styleId="{TABLE_STYLE}" styleName="autorl">'
        f'<a:wholeTbl>{text("tx1")}<a:tcStyle><a:tcBdr>{line("bottom", "accent1", 12700)}{line("insideH", "bg2", 9525)}'
        "</a:tcBdr></a:tcStyle></a:wholeTbl>"
        f'<a:band1H><a:tcStyle><a:tcBdr/>{fill("bg2")}</a:tcStyle></a:band1H>'
        f'<a:band1V><a:tcStyle><a:tcBdr/>{fill("bg2")}</a:tcStyle></a:band1V>'
        f'<a:lastCol>{text("tx1", strong)}<a:tcStyle><a:tcBdr/></a:tcStyle></a:lastCol>'
        f'<a:firstCol>{text("tx1", strong)}<a:tcStyle><a:tcBdr/></a:tcStyle></a:firstCol>'
        f'<a:lastRow>{text("tx1", strong)}<a:tcStyle><a:tcBdr>{line("top", "accent1", 19050)}</a:tcBdr></a:tcStyle>'
        "</a:lastRow>"
        f'<a:firstRow>{text("lt1", strong)}<a:tcStyle><a:tcBdr/>{fill("accent1")}</a:tcStyle></a:firstRow>'
        "</a:tblStyle></a:tblStyleLst>")


def _sign(presentation: Any) -> None:
    """The template brings its author, title and date of 2013, a picture of itself, and the settings of a printer."""
    properties = presentation.core_properties
    now = datetime.now(UTC).replace(tzinfo=None)
    properties.author, properties.last_modified_by, properties.keywords = "autorl", "autorl", ""
    properties.created = properties.modified = now
    properties.revision = 1
    package = presentation.part.package
    package.part_related_by(RELATIONSHIP_TYPE.EXTENDED_PROPERTIES)._blob = _APP.encode()
    for holder in (package, presentation.part):
        for name in [rel.rId for rel in holder._rels.values() if rel.reltype in _LEFTOVERS]:
            holder.drop_rel(name)
