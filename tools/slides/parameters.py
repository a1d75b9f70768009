"""Parameters that many tools share: a slide, an object, a place, a colour. The schema says what each takes."""

import re
from typing import Annotated, Any, Literal

from pptx.dml.color import RGBColor
from pptx.enum.dml import MSO_THEME_COLOR
from pydantic import BaseModel, ConfigDict, Field

from autorl.errors import ToolError

from .values import FURNITURE, TITLES, Box

SlideRef = Annotated[int | str, Field(description="its number, or its id such as s3")]
ObjectRef = Annotated[str, Field(max_length=24, description="its id, such as s3.5")]
Colour = Annotated[str, Field(max_length=12, description="RRGGBB, or background, text, accent1 to accent6")]

Region = Literal["full", "content", "left", "right", "top", "bottom", "center", "top-left", "top-right", "bottom-left",
                 "bottom-right", "left-third", "middle-third", "right-third", "left-two-thirds", "right-two-thirds"]
_GAP = 20.0
_MARGIN = 0.055  # of the slide's width, where a layout has no text box to go by
_TOP = 0.24  # of its height
_THEMED = {"background": MSO_THEME_COLOR.BACKGROUND_1, "text": MSO_THEME_COLOR.TEXT_1,
           **{f"accent{n}": getattr(MSO_THEME_COLOR, f"ACCENT_{n}") for n in range(1, 7)}}
_PARTS = {  # of the content area: from and to, across and down, counted in sixths
    "left": (0, 3, 0, 6), "right": (3, 6, 0, 6), "top": (0, 6, 0, 3), "bottom": (0, 6, 3, 6), "center": (1, 5, 1, 5),
    "top-left": (0, 3, 0, 3), "top-right": (3, 6, 0, 3), "bottom-left": (0, 3, 3, 6), "bottom-right": (3, 6, 3, 6),
    "left-third": (0, 2, 0, 6), "middle-third": (2, 4, 0, 6), "right-third": (4, 6, 0, 6),
    "left-two-thirds": (0, 4, 0, 6), "right-two-thirds": (2, 6, 0, 6), "content": (0, 6, 0, 6)}


class Points(BaseModel):
    """A rectangle in points from the slide's top left corner; a 16:9 slide is 960 by 540."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    left: float
    top: float
    width: Annotated[float, Field(gt=0)]
    height: Annotated[float, Field(gt=0)]


Place = Region | Points


def box_at(presentation: Any, slide: Any, place: Place) -> Box:
    """Where `place` is on `slide`, in points. Regions are parts of the area that the layout leaves for content.

    Raises ToolError for a rectangle that is not wholly on the slide.
    """
    wide, high = presentation.slide_width / 12_700, presentation.slide_height / 12_700
    if isinstance(place, Points):
        box = Box(place.left, place.top, place.left + place.width, place.top + place.height)
        if not Box(0, 0, wide, high).holds(box):
            raise ToolError(
                f"the place from {box.left:g}, {box.top:g} to {box.right:g}, {box.bottom:g} is not wholly on the slide",
                f"A slide of this deck is {wide:g} by {high:g} points")
        return box
    if place == "full":
        return Box(0, 0, wide, high)
    area = content_area(presentation, slide)
    left, right, top, bottom = _PARTS[place]
    across, down = (area.width + _GAP) / 6, (area.height + _GAP) / 6
    return Box(area.left + left * across, area.top + top * down,
               area.left + right * across - _GAP, area.top + bottom * down - _GAP)


def content_area(presentation: Any, slide: Any) -> Box:
    """What the slide's layout, or else its master, leaves for content; below the title where neither says."""
    wide, high = presentation.slide_width / 12_700, presentation.slide_height / 12_700
    for holder in (slide.slide_layout, slide.slide_layout.slide_master):
        kinds = {*FURNITURE, *TITLES}
        boxes = [s for s in holder.placeholders if s.placeholder_format.type not in kinds and s.width and s.height]
        if boxes:
            return Box(min(s.left for s in boxes) / 12_700, min(s.top for s in boxes) / 12_700,
                       max(s.left + s.width for s in boxes) / 12_700, max(s.top + s.height for s in boxes) / 12_700)
    return Box(wide * _MARGIN, high * _TOP, wide * (1 - _MARGIN), high * 0.88)


def paint(colour: Any, name: str) -> None:
    """Set python-pptx's `colour` (of a font, a fill, a line) to a `Colour`. Raises ToolError for one that is none."""
    if name in _THEMED:
        colour.theme_color = _THEMED[name]
    else:
        colour.rgb = RGBColor.from_string(rgb(name))


def rgb(name: str) -> str:
    """RRGGBB from a hexadecimal `Colour`, in capitals. Raises ToolError for anything else."""
    bare = name.strip().removeprefix("#").upper()
    if re.fullmatch(r"[0-9A-F]{6}", bare) is None:
        raise ToolError(f"'{name}' is not a colour", f"Give RRGGBB such as 1F5F8B, or {', '.join(_THEMED)}")
    return bare
