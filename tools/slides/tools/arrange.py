"""Objects moved, sized, turned, put in order and lined up."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..connecting import rejoin
from ..deck import changing
from ..objects import Found, object_id, walk
from ..parameters import ObjectRef, Place, box_at
from ..tables import refit, widen
from ..targets import box_of, free, kind_of, of_kind, on_one_slide, put, told, tried
from ..typeset import fitting, settle
from ..values import Box

_LEAST = 1.0
_WHOLE = ("picture", "group")  # what is not to be stretched


class Corner(BaseModel):
    """Only the top left corner, in points; the size stays."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    left: float
    top: float


Length = Annotated[float, Field(gt=0, le=5000, description="in points")]
Objects = Annotated[list[ObjectRef], Field(min_length=1, max_length=60)]


@tool
def move_object(object: ObjectRef, place: Place | Corner, context: RunContext) -> str:
    """Move an object. Text is set smaller where it needs to be; pictures and groups keep their proportions.

    place: a region or a rectangle that it shall fill, or {left, top} to keep its size
    """
    with changing(context.workspace) as deck:
        found = free(deck.presentation, object)
        old = box_of(found.shape)
        if isinstance(place, Corner):
            box = Box(place.left, place.top, place.left + old.width, place.top + old.height)
            must_lie_on_slide(deck.presentation, box)
        else:
            box = box_at(deck.presentation, found.slide, place)
        note = set_box(found, box)
    return f"{object} stands {_at(found.shape)} now.{note}"


@tool
def resize_object(
    object: ObjectRef, context: RunContext, width: Length | None = None, height: Length | None = None
) -> str:
    """Change the size of an object; its top left corner stays.

    width, height: a picture or a group keeps its proportions, so that one is enough
    """
    if width is None and height is None:
        raise ToolError("no size was given", "Give width, height or both, in points")
    with changing(context.workspace) as deck:
        found = free(deck.presentation, object)
        old = box_of(found.shape)
        wide, high = width or old.width, height or old.height
        if kind_of(found.shape) in _WHOLE and old.area:
            scale = min(side / own for side, own in ((width, old.width), (height, old.height)) if side is not None)
            wide, high = old.width * scale, old.height * scale
        box = Box(old.left, old.top, old.left + wide, old.top + high)
        must_lie_on_slide(deck.presentation, box)
        note = set_box(found, box)
    return f"{object} stands {_at(found.shape)} now.{note}"


@tool
def rotate_object(
    object: ObjectRef, degrees: Annotated[float, Field(ge=-360, le=360)], context: RunContext
) -> str:
    """Turn an object about its middle.

    degrees: clockwise from upright; 0 sets it upright again
    """
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "text", "picture", "group")
        found.shape.rotation = degrees % 360
    return f"{object} is turned by {degrees:g} degrees."


@tool
def order_object(object: ObjectRef, to: Literal["front", "back", "forward", "backward"], context: RunContext) -> str:
    """Put an object before or behind the others on its slide.

    to: forward and backward are one step
    """
    with changing(context.workspace) as deck:
        found = free(deck.presentation, object)
        element = found.shape._element
        others = [shape._element for shape in found.slide.shapes]
        at = others.index(element)
        last = len(others) - 1
        new = {"front": last, "back": 0, "forward": min(at + 1, last), "backward": max(at - 1, 0)}[to]
        if new > at:
            others[new].addnext(element)
        elif new < at:
            others[new].addprevious(element)
        note = told(found.number, found.slide, found.shape)
    return f"{object} is number {new + 1} of {len(others)} from back to front.{note}"


@tool
def align_objects(
    objects: Objects, to: Literal["left", "center", "right", "top", "middle", "bottom"], context: RunContext,
    within: Literal["slide", "each other"] = "each other",
) -> str:
    """Line objects up.

    to: left, center or right across; top, middle or bottom down
    within: to the edges of the slide, or to the outermost of them
    """
    if within == "each other" and len(objects) < 2:
        raise ToolError("one object cannot be lined up with itself", "Name another one, or give within slide")
    with changing(context.workspace) as deck:
        found = on_one_slide(deck.presentation, objects)
        boxes = [box_of(each.shape) for each in found]
        wide, high = deck.presentation.slide_width / 12_700, deck.presentation.slide_height / 12_700
        area = Box(0, 0, wide, high)
        if within != "slide":
            area = Box(min(box.left for box in boxes), min(box.top for box in boxes),
                       max(box.right for box in boxes), max(box.bottom for box in boxes))
        for each, box in zip(found, boxes, strict=True):
            left = {"left": area.left, "right": area.right - box.width,
                    "center": (area.left + area.right - box.width) / 2}.get(to, box.left)
            top = {"top": area.top, "bottom": area.bottom - box.height,
                   "middle": (area.top + area.bottom - box.height) / 2}.get(to, box.top)
            put(each.shape, Box(left, top, left + box.width, top + box.height))
        rejoin(found[0].slide)
        note = told(found[0].number, found[0].slide, *(each.shape for each in found))
    return f"{len(found)} object{'s' if len(found) != 1 else ''} lined up.{note}"


@tool
def distribute_objects(
    objects: Annotated[list[ObjectRef], Field(min_length=3, max_length=60)], direction: Literal["across", "down"],
    context: RunContext,
) -> str:
    """Make the gaps between objects equal; the outermost two stay."""
    with changing(context.workspace) as deck:
        found = on_one_slide(deck.presentation, objects)
        across = direction == "across"
        order = sorted(found, key=lambda each: box_of(each.shape).left if across else box_of(each.shape).top)
        boxes = [box_of(each.shape) for each in order]
        sizes = [box.width if across else box.height for box in boxes]
        start = boxes[0].left if across else boxes[0].top
        end = boxes[-1].right if across else boxes[-1].bottom
        gap = (end - start - sum(sizes)) / (len(order) - 1)
        if gap < 0:
            raise ToolError(f"the objects are {-gap * (len(order) - 1):.0f} points too large to part them {direction}",
                            "Make them smaller, or move the outermost further apart")
        for each, box, size in zip(order, boxes, sizes, strict=True):
            put(each.shape, Box(start, box.top, start + box.width, box.bottom) if across
                else Box(box.left, start, box.right, start + box.height))
            start += size + gap
        rejoin(found[0].slide)
        note = told(found[0].number, found[0].slide, *(each.shape for each in found))
    return f"{len(found)} objects stand {gap:.0f} points apart {direction}.{note}"


def set_box(found: Found, box: Box) -> str:
    """Make `box` the place of an object as its kind takes it; what is to be told. Raises ToolError, taking it back."""
    shape, slide = found.shape, found.slide
    kind = kind_of(shape)
    with tried(slide):
        old = box_of(shape)
        note = ""
        if kind in _WHOLE and old.area:
            box = _contained(old, box)
        texts = [shape] if kind == "text" else [
            one for _, one in walk(getattr(shape, "shapes", ())) if kind_of(one) == "text"]
        fitted = fitting(slide, texts)
        put(shape, box)
        if kind == "table":
            widen(shape, box.width)
            if box.height > old.height:
                for row in shape.table.rows:
                    row.height = int(row.height * box.height / max(old.height, _LEAST))
            refit(slide, shape)
        over = fitted - fitting(slide, texts)
        for one in texts:
            if one.shape_id in over:
                note += f" The text of {object_id(slide, one)} is set in {settle(slide, one):g} points now."
        rejoin(slide)
    return note + told(found.number, slide, shape)


def _contained(shape: Box, place: Box) -> Box:
    """`shape` as large as fits into the middle of `place`; as it is where only its corner changes."""
    scale = min(place.width / shape.width, place.height / shape.height)
    wide, high = shape.width * scale, shape.height * scale
    left, top = place.left + (place.width - wide) / 2, place.top + (place.height - high) / 2
    return Box(left, top, left + wide, top + high)


def must_lie_on_slide(presentation: Any, box: Box) -> None:
    wide, high = presentation.slide_width / 12_700, presentation.slide_height / 12_700
    if not Box(0, 0, wide, high).holds(box):
        raise ToolError(f"from {box.left:.0f}, {box.top:.0f} to {box.right:.0f}, {box.bottom:.0f} it is not wholly on "
                        "the slide", f"A slide of this deck is {wide:g} by {high:g} points")


def _at(shape: Any) -> str:
    box = box_of(shape)
    return f"from {box.left:.0f}, {box.top:.0f} to {box.right:.0f}, {box.bottom:.0f}"


TOOLS = [move_object, resize_object, rotate_object, order_object, align_objects, distribute_objects]
