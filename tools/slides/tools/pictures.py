"""Pictures: put on a slide, exchanged, and cropped; never stretched."""

import io
from typing import Annotated, Any, Literal

from pydantic import Field

from autorl.errors import ToolError
from autorl.registry import RunContext, tool

from ..deck import changing
from ..images import Picture, open_picture
from ..objects import object_id, slide_named
from ..parameters import ObjectRef, Place, SlideRef
from ..surgery import drop_unused, relationships_in
from ..targets import box_of, describe, described, free, of_kind, put, spot, told
from ..values import Box

Path = Annotated[str, Field(min_length=1, max_length=500)]
Alt = Annotated[str, Field(max_length=1000)]
Percent = Annotated[float, Field(ge=0, lt=100, description="of the whole picture, in percent")]
_LEAST = 5.0  # percent of a picture that stay when it is cropped


@tool
def add_picture(
    slide: SlideRef, path: Path, alt: Alt, context: RunContext, place: Place | None = None,
    fit: Literal["crop", "contain"] = "contain",
) -> str:
    """Put a picture from a file on a slide, undistorted.

    path: of a PNG, JPEG, GIF, BMP, TIFF or WebP in the workspace; not an address
    alt: says what there is to see, for those who cannot see it
    place: a region or a rectangle; if left out, the empty placeholder or the area for content
    fit: contain shows all of it in the middle of its place, crop fills the place and cuts off what is over
    """
    text = described(alt, path)
    with changing(context.workspace) as deck:
        number, page = slide_named(deck.presentation, slide)
        room = spot(deck.presentation, page, place, "picture")
        picture = open_picture(context.workspace, path, room.box.width, room.box.height, fit == "crop")
        shape = page.shapes.add_picture(io.BytesIO(picture.data), 0, 0, 1, 1)
        cleared = room.clear()  # after, so that no id is given again
        _place(shape, picture, room.box, fit)
        describe(shape, text)
        note = told(number, page, shape)
    return f"Picture {object_id(page, shape)} added to slide {number}.{picture.told}{cleared}{note}"


@tool
def replace_picture(object: ObjectRef, path: Path, alt: Alt, context: RunContext) -> str:
    """Show another picture in the place of one, cropped to its size.

    path: of a file in the workspace
    alt: says what there is to see
    """
    text = described(alt, path)
    with changing(context.workspace) as deck:
        found = of_kind(deck.presentation, object, "picture")
        shape, part = found.shape, found.slide.part
        box = box_of(shape)
        picture = open_picture(context.workspace, path, box.width, box.height)
        fill = shape._element.blipFill
        before = relationships_in(fill)
        _, name = part.get_or_add_image_part(io.BytesIO(picture.data))
        blip = fill.find("{*}blip")
        blip.attrib.clear()
        for child in list(blip):  # what was done to the old one: a drawing to show instead of it, effects
            blip.remove(child)
        blip.set("{http://schemas.openxmlformats.org/officeDocument/2006/relationships}embed", name)
        drop_unused(part, before)
        _place(shape, picture, box, "crop")
        describe(shape, text)
    return f"{object} shows '{path}' now.{picture.told}"


@tool
def crop_picture(
    object: ObjectRef, context: RunContext, left: Percent = 0, top: Percent = 0, right: Percent = 0, bottom: Percent = 0
) -> str:
    """Cut off the sides of a picture; what stays keeps its size and its place. All 0 shows the whole of it again.

    left, top, right, bottom: how much to cut off there
    """
    if left + right > 100 - _LEAST or top + bottom > 100 - _LEAST:
        raise ToolError(f"nothing would be left of {object}", f"Leave at least {_LEAST:g} percent across and down")
    with changing(context.workspace) as deck:
        of_kind(deck.presentation, object, "picture")
        shape = free(deck.presentation, object).shape
        whole = _whole(shape)
        box = Box(whole.left + whole.width * left / 100, whole.top + whole.height * top / 100,
                  whole.right - whole.width * right / 100, whole.bottom - whole.height * bottom / 100)
        shape.crop_left, shape.crop_right, shape.crop_top, shape.crop_bottom = (
            share / 100 for share in (left, right, top, bottom))
        put(shape, box)
    return f"{object} is cropped; it is {box.width:.0f} by {box.height:.0f} points now."


def _place(shape: Any, picture: Picture, box: Box, fit: str) -> None:
    """Let `picture` stand in the middle of `box`, or fill it, cut evenly at both sides."""
    wider = picture.shape / (box.width / box.height)
    shape.crop_left = shape.crop_right = shape.crop_top = shape.crop_bottom = 0
    if fit == "crop":
        across, down = max(0.0, 1 - 1 / wider) / 2, max(0.0, 1 - wider) / 2
        shape.crop_left = shape.crop_right = across
        shape.crop_top = shape.crop_bottom = down
        put(shape, box)
        return
    width, height = (box.width, box.width / picture.shape) if wider > 1 else (box.height * picture.shape, box.height)
    left, top = box.left + (box.width - width) / 2, box.top + (box.height - height) / 2
    put(shape, Box(left, top, left + max(width, 0.1), top + max(height, 0.1)))


def _whole(shape: Any) -> Box:
    """Where all of a picture would stand if nothing were cut off."""
    box = box_of(shape)
    across, down = 1 - shape.crop_left - shape.crop_right, 1 - shape.crop_top - shape.crop_bottom
    width, height = box.width / max(across, 0.01), box.height / max(down, 0.01)
    left, top = box.left - width * shape.crop_left, box.top - height * shape.crop_top
    return Box(left, top, left + width, top + height)


TOOLS = [add_picture, replace_picture, crop_picture]
