"""The colours of a theme changed, as far as what is drawn with them still stands out."""

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree
from pptx.opc.constants import RELATIONSHIP_TYPE

from autorl.errors import ToolError

from .archive import PARSER
from .colour import contrast, mixed

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SLOTS = {"background": "bg1", "text": "tx1", "panel": "bg2", "title": "tx2"}
READABLE, VISIBLE = 4.5, 3.0
"""Contrast ratios that text, and areas and lines, need at least (WCAG 2.2, 1.4.3 and 1.4.11)."""
_PANEL = 0.07  # of the text's colour, in a panel on the background


def recolour(presentation: Any, given: Mapping[str, str]) -> dict[str, str]:
    """Give the deck's theme other colours, all masters alike. Returns those that had to follow, by name.

    given: RRGGBB by name: background, text, panel, title, accent1 to accent6
    Raises ToolError, before anything is changed, when two colours would not stand out from each other.
    """
    changes = [(master, *_colours(master, given)) for master in presentation.slide_masters]
    followed: dict[str, str] = {}
    for master, slots, colours in changes:
        part = master.part.part_related_by(RELATIONSHIP_TYPE.THEME)
        theme = etree.fromstring(part.blob, PARSER)
        for entry in theme.find(f"{_A}themeElements/{_A}clrScheme"):
            name = etree.QName(entry).localname
            colour = colours[slots.get(name, name)]
            if _value(entry) != colour:
                entry[:] = [entry.makeelement(f"{_A}srgbClr", {"val": colour})]
                followed |= {slots.get(name, name): colour}
        part._blob = etree.tostring(theme, encoding="UTF-8", standalone=True, xml_declaration=True)
    return {name: colour for name, colour in followed.items() if name not in given}


def _colours(master: Any, given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The names of the theme's entries in our words, and the colours that they would have."""
    theme = etree.fromstring(master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob, PARSER)
    mapping = master.element.find("{*}clrMap")
    slots = {mapping.get(slot): name for name, slot in _SLOTS.items()}
    before = {slots.get(name := etree.QName(entry).localname, name): _value(entry)
              for entry in theme.find(f"{_A}themeElements/{_A}clrScheme")}
    after = before | given
    if {"background", "text"} & given.keys():
        if "panel" not in given:
            after["panel"] = mixed(after["text"], after["background"], _PANEL)
        if "title" not in given and not _stands_out(after, "title"):
            after["title"] = after["text"]
    for name, model in (("hlink", "accent1"), ("folHlink", "hlink")):
        if name == "hlink" and before["hlink"] == before["accent1"]:
            after["hlink"] = after["accent1"]
        if contrast(after[name], after["background"]) < READABLE and after != before:
            after[name] = after[model] if contrast(after[model], after["background"]) >= READABLE else after["text"]
    for one, other, needed in _pairs(slots):
        ratio = contrast(after[one], after[other])
        if ratio < needed and (after[one], after[other]) != (before[one], before[other]):
            raise ToolError(f"{one} {after[one]} on {other} {after[other]} has a contrast of {ratio:.1f}",
                            f"At least {needed:g} is needed: make one of them lighter or darker")
    return slots, after


def _pairs(slots: Mapping[str, str]) -> Iterator[tuple[str, str, float]]:
    """What is drawn on what, and the contrast that it needs."""
    yield "text", "background", READABLE
    yield "text", "panel", READABLE
    yield "title", "background", READABLE
    yield "title", "panel", VISIBLE  # large type
    yield slots.get("lt1", "lt1"), "accent1", READABLE  # the headings of tables, and text in shapes
    for number in range(1, 7):
        yield f"accent{number}", "background", VISIBLE


def _stands_out(colours: Mapping[str, str], name: str) -> bool:
    return (contrast(colours[name], colours["background"]) >= READABLE
            and contrast(colours[name], colours["panel"]) >= VISIBLE)


def _value(entry: Any) -> str:
    return (entry[0].get("lastClr") or entry[0].get("val") or "000000").upper()
