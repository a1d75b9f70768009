"""Objects deleted, doubled, grouped and taken apart, so that the file stays sound."""

import copy
from typing import Annotated, Any

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..connecting import unglue
from ..deck import changing
from ..objects import Found, object_id
from ..parameters import ObjectRef, Place, box_at
from ..surgery import SHARED, copy_part, drop_unused, free_shape_id, relationships_in
from ..targets import box_of, free, kind_of, of_kind, on_one_slide, tried
from ..values import Box
from .arrange import Corner, must_lie_on_slide, set_box

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_STEP = 18.0  # points that a double stands away from its original


@tool
def delete_object(object: ObjectRef, context: RunContext) -> str:
    """Delete an object, with all in it if it is a group."""
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object)
        slide, element = found.slide, found.shape._element
        name, ids = found.shape.name, {int(mark.get("id")) for mark in element.iter("{*}cNvPr")}
        names = relationships_in(element)
        parent = element.getparent()
        parent.remove(element)
        while parent.tag.endswith("}grpSp") and not parent.xpath("./p:sp|./p:pic|./p:grpSp|./p:graphicFrame|./p:cxnSp"):
            parent, empty = parent.getparent(), parent
            parent.remove(empty)
        unglue(slide, ids)
        note = _still(slide, ids)
        drop_unused(slide.part, names)
    return f"{object} ('{name}') deleted from slide {found.number}.{note}"


@tool
def duplicate_object(object: ObjectRef, context: RunContext, place: Place | Corner | None = None) -> str:
    """Make a second object like one, with data of its own.

    place: as in move_object; a little to the right and below if left out
    """
    with changing(context.workspace) as deck:
        found = free(deck.presentation, object)
        slide, shape = found.slide, found.shape
        if shape.is_placeholder:
            raise ToolError(f"{object} is a placeholder of the slide's layout", "Call add_text, or duplicate the slide")
        if kind_of(shape) == "object" or shape._element.xpath(".//p:oleObj | .//*[local-name()='relIds']"):
            raise ToolError(f"{object} comes from another program and cannot be copied alone", "Duplicate the slide")
        box = box_of(shape)
        wide, high = deck.presentation.slide_width / 12_700, deck.presentation.slide_height / 12_700
        if place is None:
            left, top = min(box.left + _STEP, wide - box.width), min(box.top + _STEP, high - box.height)
            target = Box(left, top, left + box.width, top + box.height)
        elif isinstance(place, Corner):
            target = Box(place.left, place.top, place.left + box.width, place.top + box.height)
            must_lie_on_slide(deck.presentation, target)
        else:
            target = box_at(deck.presentation, slide, place)
        with tried(slide):
            twin = copy.deepcopy(shape._element)
            _own_parts(slide.part, twin)
            _renumber(slide, twin)
            slide.shapes._spTree.insert_element_before(twin, "p:extLst")
            made = next(each for each in slide.shapes if each._element is twin)
            note = set_box(Found(slide, found.number, made, slide.shapes), target)
    return f"{object_id(slide, made)} is a double of {object}.{note}"


@tool
def group_objects(objects: Annotated[list[ObjectRef], Field(min_length=2, max_length=60)], context: RunContext) -> str:
    """Make objects of a slide one group, to be moved together."""
    with changing(context.workspace) as deck:
        found = on_one_slide(deck.presentation, objects)
        fixed = next((id for id, each in zip(objects, found, strict=True) if each.shape.is_placeholder), None)
        if fixed is not None:
            raise ToolError(f"{fixed} is a placeholder, which cannot be grouped", "Group other objects")
        slide = found[0].slide
        order = {id(each): n for n, each in enumerate(shape._element for shape in slide.shapes)}
        shapes = sorted((each.shape for each in found), key=lambda shape: order.get(id(shape._element), 0))
        group = slide.shapes.add_group_shape(shapes)
    return f"Group {object_id(slide, group)} made of {len(shapes)} objects; their ids stay."


@tool
def ungroup_objects(object: ObjectRef, context: RunContext) -> str:
    """Take a group apart; what was in it stays where it is."""
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "group")
        group = found.shape
        xfrm = group._element.grpSpPr.find("{*}xfrm")
        if xfrm is not None and any(xfrm.get(name) not in (None, "0") for name in ("rot", "flipH", "flipV")):
            raise ToolError(f"{object} is turned or mirrored", "Call rotate_object with 0 first, or leave it a group")
        place = _inside(xfrm)
        members = list(group.shapes)
        for member in members:
            right, bottom = member.left + member.width, member.top + member.height
            left, top, right, bottom = place(member.left, member.top, right, bottom)
            member.left, member.top, member.width, member.height = left, top, right - left, bottom - top
            group._element.addprevious(member._element)
        group._element.getparent().remove(group._element)
        ids = ", ".join(object_id(found.slide, member) for member in members[:12])
        note = _still(found.slide, {group.shape_id})
    return f"{object} is taken apart into {ids}.{note}"


def _still(slide: Any, ids: set[int]) -> str:
    """Drop the animations of a slide if they play on objects that are gone, which no viewer opens."""
    played = slide.element.xpath("./p:timing//@spid")
    if not any(int(id) in ids for id in played):
        return ""
    timing = slide.element.find("{*}timing")
    slide.element.remove(timing)
    return " The animations of the slide played on it, and were removed."


def _own_parts(part: Any, twin: Any) -> None:
    """Give a copied element its own copies of the parts that two objects do not share, such as a chart's."""
    for name in relationships_in(twin):
        rel = part.rels[name]
        if rel.is_external or rel.reltype in SHARED:
            continue
        new = copy_part(part, rel)
        for element in twin.iter():
            for attribute, value in element.attrib.items():
                if value == name and attribute.startswith(_R):
                    element.set(attribute, new)


def _renumber(slide: Any, twin: Any) -> None:
    """Give a copied object, and all in it, numbers of its own; connectors inside stay with their copies."""
    new = {}
    for mark in twin.iter("{*}cNvPr"):
        new[mark.get("id")] = str(free_shape_id(slide) + len(new))
        mark.set("id", new[mark.get("id")])
    for mark in list(twin.iter("{*}stCxn", "{*}endCxn")):
        if mark.get("id") in new:
            mark.set("id", new[mark.get("id")])


def _inside(xfrm: Any) -> Any:
    """From coordinates inside a group to those around it, in EMU."""
    if xfrm is None or xfrm.find("{*}chExt") is None:
        return lambda *edges: edges
    off, ext, inner, extent = (xfrm.find(f"{{*}}{name}") for name in ("off", "ext", "chOff", "chExt"))
    across = int(ext.get("cx")) / (int(extent.get("cx")) or 1)
    down = int(ext.get("cy")) / (int(extent.get("cy")) or 1)

    def place(*edges: int) -> tuple[int, ...]:
        return tuple(
            round(int(off.get(axis)) + (edge - int(inner.get(axis))) * scale)
            for edge, axis, scale in zip(edges, "xyxy", (across, down, across, down), strict=True))

    return place


TOOLS = [delete_object, duplicate_object, group_objects, ungroup_objects]
