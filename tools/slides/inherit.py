"""What a viewer makes of a shape's text and colours: looked up from run to master to theme, as PowerPoint does it.

The order follows ECMA-376 part 1, 19.3 and 21.1: a run's own properties, its paragraph's, the list style of its box,
then of the placeholders that it inherits from in layout and master, then the master's text styles, then the
presentation's default.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lxml import etree
from pptx.opc.constants import RELATIONSHIP_TYPE

from .colour import dimmed, mixed

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_TITLES = ("title", "ctrTitle")
_BODIES = ("body", "subTitle", "obj", None)
DEFAULT_SIZE = 18.0
"""Points of text whose size nothing sets."""
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
CLEAR = "clear"
"""The colour of text that is not drawn, or hardly."""
_CLEAR = 25_000  # thousandths of a per cent of opacity
_PRESETS = {"black": "000000", "white": "FFFFFF", "red": "FF0000", "green": "008000", "blue": "0000FF",
            "yellow": "FFFF00", "gray": "808080", "grey": "808080"}

MEDIUM_STYLE_2 = "{5C22544A-7EE6-4342-B048-85BDC9FD1C3A}"
"""The table style that python-pptx and PowerPoint give a new table; files name it without saying what it is."""
_MEDIUM_STYLE_2 = """
<tblStyle xmlns="http://schemas.openxmlformats.org/drawingml/2006/main">
<wholeTbl><tcTxStyle><schemeClr val="dk1"/></tcTxStyle><tcStyle><fill><solidFill><schemeClr val="accent1">
<tint val="20000"/></schemeClr></solidFill></fill></tcStyle></wholeTbl>
<band1H><tcStyle><fill><solidFill><schemeClr val="accent1"><tint val="40000"/></schemeClr></solidFill></fill></tcStyle>
</band1H>
<firstRow><tcTxStyle><schemeClr val="lt1"/></tcTxStyle><tcStyle><fill><solidFill><schemeClr val="accent1"/></solidFill>
</fill></tcStyle></firstRow></tblStyle>"""


@dataclass(frozen=True)
class Type:
    """How text is set. size in points; colour as RRGGBB, None when it cannot be told, `CLEAR` for none at all."""

    size: float = DEFAULT_SIZE
    colour: str | None = None
    font: str = ""
    bold: bool = False


@dataclass
class Surroundings:
    """What the shapes of one slide inherit: its theme's colours and fonts, and the text styles above it."""

    slide: Any
    themes: dict[str, Any] = field(default_factory=dict)  # parsed, by part name; shared by the slides of a deck

    @property
    def layout(self) -> Any:
        return self.slide.slide_layout

    @property
    def master(self) -> Any:
        return self.layout.slide_master

    @cached_property
    def theme(self) -> Any:
        part = self.master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
        name = str(part.partname)
        if name not in self.themes:
            self.themes[name] = etree.fromstring(part.blob, _PARSER)
        return self.themes[name]

    @cached_property
    def colours(self) -> dict[str, str]:
        """Name of a scheme colour, as a shape writes it -> RRGGBB."""
        scheme = self.theme.find(f".//{_A}clrScheme")
        own: dict[str, str] = {}
        for entry in scheme if scheme is not None else ():
            colour = entry[0] if len(entry) else None
            if colour is not None:
                own[etree.QName(entry).localname] = colour.get("lastClr") or colour.get("val") or "000000"
        mapping = self.master.element.find(f"{_P}clrMap")
        override = self.slide.element.find(f"{_P}clrMapOvr/{_A}overrideClrMapping")
        mapping = override if override is not None else mapping
        mapped = {name: own.get(to, "000000") for name, to in mapping.items()} if mapping is not None else {}
        return own | mapped

    @cached_property
    def fonts(self) -> dict[str, str]:
        """`+mj-lt` and `+mn-lt` -> the theme's fonts for titles and text."""
        found = {}
        for mark, kind in (("+mj-lt", "majorFont"), ("+mn-lt", "minorFont")):
            latin = self.theme.find(f".//{_A}fontScheme/{_A}{kind}/{_A}latin")
            found[mark] = latin.get("typeface", "") if latin is not None else ""
        return found

    @cached_property
    def background(self) -> tuple[str, ...]:
        """The colours of the slide's background: its own, or else its layout's, or else its master's."""
        for holder in (self.slide, self.layout, self.master):
            background = holder.element.find(f"{_P}cSld/{_P}bg")
            if background is None:
                continue
            reference = background.find(f"{_P}bgRef")
            if reference is not None:
                colour = self.colour(reference)
                return (colour,) if colour else ("FFFFFF",)
            properties = background.find(f"{_P}bgPr")
            found = self.fill(properties) if properties is not None else None
            if found:
                return found
        return (self.colours.get("bg1", "FFFFFF"),)

    def table_style(self, id: str) -> Any:
        """The table style of that id: the deck's own, or the one that PowerPoint gives every new table."""
        part = "tableStyles"
        if part not in self.themes:
            presentation = self.slide.part.package.presentation_part
            found = [rel.target_part for rel in presentation.rels.values()
                     if rel.reltype == RELATIONSHIP_TYPE.TABLE_STYLES and not rel.is_external]
            self.themes[part] = etree.fromstring(found[0].blob, _PARSER) if found else None
        own = self.themes[part]
        for style in own if own is not None else ():
            if style.get("styleId") == id:
                return style
        return etree.fromstring(_MEDIUM_STYLE_2, _PARSER) if id == MEDIUM_STYLE_2 else None

    def colour(self, holder: Any) -> str | None:
        """The colour that stands directly in `holder` (a solidFill, a gs, a fontRef ...), None when there is none."""
        if holder is None:
            return None
        for element in holder:
            kind = etree.QName(element).localname if isinstance(element.tag, str) else ""
            base = {"srgbClr": element.get("val"), "sysClr": element.get("lastClr"),
                    "prstClr": _PRESETS.get(element.get("val", "")),
                    "schemeClr": self.colours.get(element.get("val", ""))}.get(kind)
            if base:
                return _adjusted(base.upper(), element)
        return None

    def fill(self, properties: Any) -> tuple[str, ...] | None:
        """The colours of a solid or gradient fill; () for none, None when it is not said or is a picture."""
        if properties is None:
            return None
        if properties.find(f"{_A}noFill") is not None:
            return ()
        solid = properties.find(f"{_A}solidFill")
        if solid is not None:
            alpha = solid.find(f"*/{_A}alpha")
            if alpha is not None and int(alpha.get("val", "0").rstrip("%")) < _CLEAR:
                return ()
            colour = self.colour(solid)
            return (colour,) if colour else None
        gradient = properties.find(f"{_A}gradFill")
        if gradient is not None:
            found = [self.colour(stop) for stop in gradient.iter(f"{_A}gs")]
            return tuple(dict.fromkeys(colour for colour in found if colour)) or None
        return None

    def styles(self, shape: Any) -> Callable[[Any], list[Any]]:
        """A function from a paragraph of `shape` (elements) to where its properties stand, the nearest first."""
        body = shape.element.find(f"{_P}txBody")
        lists = list(self._lists(shape, body))

        def places(paragraph: Any) -> list[Any]:
            own = paragraph.find(f"{_A}pPr")
            level = int(own.get("lvl", 0)) if own is not None else 0
            found = [own, *(each.find(f"{_A}lvl{level + 1}pPr") for each in lists)]
            return [place for place in found if place is not None]

        return places

    def typer(self, shape: Any, places: Callable[[Any], list[Any]]) -> Callable[[Any, Any], Type]:
        """A function from a paragraph and a run of `shape` (elements; None for no run) to its type."""
        scale = _scale(shape.element.find(f"{_P}txBody"))
        # A shape's own style gives the colour of its text, before what all text inherits.
        styled = self.colour(shape.element.find(f"{_P}style/{_A}fontRef"))

        def type_of(paragraph: Any, run: Any) -> Type:
            properties = paragraph.find(f"{_A}pPr")
            inherited = [place.find(f"{_A}defRPr") for place in places(paragraph) if place is not properties]
            return self.type(own_properties(paragraph, run), [each for each in inherited if each is not None],
                             styled, scale)

        return type_of

    def type(self, own: Sequence[Any], inherited: Sequence[Any] = (), styled: str | None = None,
             scale: float = 1.0) -> Type:
        """The type that run properties give: `own` before `inherited`, the first that says something each time.

        styled: a colour that goes between the two; scale: of the size, as an autofit has set it
        """
        every = (*own, *inherited)
        colour = _first(own, self._colour_of) or styled or _first(inherited, self._colour_of)
        font = _first(every, _font_of) or "+mn-lt"
        return Type((_first(every, _size_of) or DEFAULT_SIZE) * scale, colour or self.colours.get("tx1"),
                    self.fonts.get(font, font), _first(every, lambda place: place.get("b")) in ("1", "true"))

    def _lists(self, shape: Any, body: Any) -> Iterator[Any]:
        """The lists of text styles that apply to `shape`, the nearest first."""
        holders = [body, *(twin.element.find(f"{_P}txBody") for twin in ancestors(shape))]
        mark = shape.element.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
        kind = mark.get("type") if mark is not None else "other"
        name = "titleStyle" if kind in _TITLES else "bodyStyle" if kind in _BODIES else "otherStyle"
        presentation = self.slide.part.package.presentation_part.presentation.element
        found = [holder.find(f"{_A}lstStyle") for holder in holders if holder is not None]
        found += [self.master.element.find(f"{_P}txStyles/{_P}{name}"), presentation.find(f"{_P}defaultTextStyle")]
        yield from (style for style in found if style is not None)

    def _colour_of(self, properties: Any) -> str | None:
        colours = self.fill(properties)
        return CLEAR if colours == () else colours[0] if colours else None


def own_properties(paragraph: Any, run: Any) -> list[Any]:
    """Where a run's and then its paragraph's own properties stand, as far as they do."""
    properties = paragraph.find(f"{_A}pPr")
    places = [run.find(f"{_A}rPr") if run is not None else paragraph.find(f"{_A}endParaRPr"),
              properties.find(f"{_A}defRPr") if properties is not None else None]
    return [place for place in places if place is not None]


def ancestors(shape: Any) -> Iterator[Any]:
    """The placeholders of layout and master that a placeholder inherits from."""
    for _ in range(3):
        shape = getattr(shape, "_base_placeholder", None)
        if shape is None:
            return
        yield shape


def _first(places: Iterable[Any], look: Callable[[Any], Any]) -> Any:
    return next((found for found in map(look, places) if found is not None), None)


def _scale(body: Any) -> float:
    fit = body.find(f"{_A}bodyPr/{_A}normAutofit") if body is not None else None
    return int(fit.get("fontScale", "100000").rstrip("%")) / 100_000 if fit is not None else 1.0


def _size_of(properties: Any) -> float | None:
    size = properties.get("sz")
    return int(size) / 100 if size and size.isdigit() else None


def _font_of(properties: Any) -> str | None:
    latin = properties.find(f"{_A}latin")
    return latin.get("typeface") if latin is not None else None


def _adjusted(colour: str, element: Any) -> str:
    """`colour` after the changes that stand inside its element (20.1.2.3): luminance, tint and shade."""
    for change in element:
        kind, value = etree.QName(change).localname, int(change.get("val", "0").rstrip("%")) / 100_000
        if kind == "lumMod":
            colour = dimmed(colour, value)
        elif kind == "lumOff":
            colour = dimmed(colour, 1.0, value)
        elif kind in ("tint", "shade"):
            colour = mixed(colour, "FFFFFF" if kind == "tint" else "000000", value)
    return colour
