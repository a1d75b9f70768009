"""Connectors: where they leave and reach the objects that they join, and how they run between them."""

from typing import Any

from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls

from .geometry import outline_of
from .targets import box_of
from .values import Box

_TOP, _LEFT, _BOTTOM, _RIGHT = range(4)
PRESETS = {"straight": "line", "elbow": "bentConnector3", "curved": "curvedConnector3"}
Ends = tuple[tuple[float, float], tuple[float, float]]


def join(connector: Any, start: Any, end: Any) -> None:
    """Let `connector` run from one object to another, at the sides that face each other, and stay with them."""
    first, last = _facing(box_of(start), box_of(end))
    _glue(connector, "stCxn", start, first)
    _glue(connector, "endCxn", end, last)
    run(connector, (_point(start, first), _point(end, last)), upright=first in (_TOP, _BOTTOM))


def run(connector: Any, ends: Ends, upright: bool = False) -> None:
    """Let `connector` run between two points. upright: it leaves and arrives up or down, if it bends at all"""
    (x, y), (to_x, to_y) = ends
    wide, high = abs(to_x - x), abs(to_y - y)
    turned = upright and _preset(connector) != "line"
    # A bent connector is drawn from left to right; one from top to bottom is the same, turned about its middle.
    across, down = (high, wide) if turned else (wide, high)
    left, top = (x + to_x - across) / 2, (y + to_y - down) / 2
    mirrored, upturned = (to_y < y, to_x > x) if turned else (to_x < x, to_y < y)
    xfrm = connector._element.spPr.get_or_add_xfrm()
    for name, value in (("rot", "5400000" if turned else None), ("flipH", "1" if mirrored else None),
                        ("flipV", "1" if upturned else None)):
        xfrm.attrib.pop(name, None)
        if value is not None:
            xfrm.set(name, value)
    connector.left, connector.top = round(left * 12_700), round(top * 12_700)
    connector.width, connector.height = round(across * 12_700), round(down * 12_700)


def rejoin(slide: Any) -> None:
    """Let every connector that is glued to two objects of `slide` run anew between them, after these have moved."""
    shapes = {shape.shape_id: shape for shape in slide.shapes}
    for connector in slide.shapes:
        ends = [connector._element.find(f"{{*}}nvCxnSpPr/{{*}}cNvCxnSpPr/{{*}}{name}") for name in ("stCxn", "endCxn")]
        if None in ends or not connector._element.tag.endswith("}cxnSp"):
            continue
        start, end = (shapes.get(int(each.get("id"))) for each in ends)
        if start is not None and end is not None:
            join(connector, start, end)


def unglue(slide: Any, ids: set[int]) -> None:
    """Let the connectors of `slide` end where they do, without the objects of those numbers."""
    for name in ("stCxn", "endCxn"):
        for mark in list(slide.shapes._spTree.iter(f"{{*}}{name}")):
            if int(mark.get("id")) in ids:
                mark.getparent().remove(mark)


def arrow(connector: Any, start: bool, end: bool) -> None:
    """Put arrow heads at the ends of a line."""
    line = connector.line._get_or_add_ln()
    for name, shown in (("headEnd", start), ("tailEnd", end)):
        for old in line.findall(f"{{*}}{name}"):
            line.remove(old)
        if shown:
            line.insert_element_before(parse_xml(f'<a:{name} {nsdecls("a")} type="triangle" w="med" len="med"/>'),
                                       *(("a:tailEnd", "a:extLst") if name == "headEnd" else ("a:extLst",)))


def _facing(one: Box, other: Box) -> tuple[int, int]:
    """The sides by which two boxes face each other, where the gap between them is widest."""
    gaps = {(_RIGHT, _LEFT): other.left - one.right, (_LEFT, _RIGHT): one.left - other.right,
            (_BOTTOM, _TOP): other.top - one.bottom, (_TOP, _BOTTOM): one.top - other.bottom}
    return max(gaps, key=gaps.__getitem__)


def _point(shape: Any, side: int) -> tuple[float, float]:
    box, (across, down) = box_of(shape), outline_of(shape).points[side]
    return box.left + across * box.width, box.top + down * box.height


def _glue(connector: Any, name: str, shape: Any, side: int) -> None:
    holder = connector._element.nvCxnSpPr.cNvCxnSpPr
    for old in holder.findall(f"{{*}}{name}"):
        holder.remove(old)
    mark = parse_xml(f'<a:{name} {nsdecls("a")} id="{shape.shape_id}" idx="{outline_of(shape).sites[side]}"/>')
    holder.insert_element_before(mark, *(("a:endCxn", "a:extLst") if name == "stCxn" else ("a:extLst",)))


def _preset(connector: Any) -> str:
    return connector._element.find("{*}spPr/{*}prstGeom").get("prst")
