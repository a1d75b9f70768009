"""What lies behind a slide, and how it comes in."""

import io
from typing import Any

from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.slide import _Background

from .images import Picture
from .parameters import paint
from .surgery import drop_unused, relationships_in

_MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_P14 = "http://schemas.microsoft.com/office/powerpoint/2010/main"
TRANSITIONS = {
    "fade": "<p:fade/>", "push": '<p:push dir="u"/>', "wipe": '<p:wipe dir="l"/>', "cut": "<p:cut/>",
    "split": '<p:split orient="vert" dir="out"/>', "cover": '<p:cover dir="l"/>', "dissolve": "<p:dissolve/>"}
"""Name of an effect -> how the file says it (ECMA-376 part 1, 19.5)."""


def paint_ground(slide: Any, colour: str | None) -> None:
    """Give `slide` a background of one colour; None takes its own away, so that the layout's shows."""
    _bare(slide)
    if colour is not None:
        fill = _Background(slide.element.cSld).fill  # slide.background remembers the one taken away
        fill.solid()
        paint(fill.fore_color, colour)


def picture_ground(slide: Any, picture: Picture, proportion: float) -> None:
    """Lay `picture` behind `slide`, edge to edge: what does not fit its proportion (width to height) is cut evenly."""
    _bare(slide)
    across, down = max(0.0, 1 - proportion / picture.shape) / 2, max(0.0, 1 - picture.shape / proportion) / 2
    _, name = slide.part.get_or_add_image_part(io.BytesIO(picture.data))
    sides = " ".join(f'{side}="{round(share * 100_000)}"' for side, share in zip("lrtb", (across, across, down, down),
                                                                                  strict=True))
    slide.element.cSld.insert(0, parse_xml(
        f'<p:bg {nsdecls("p", "a", "r")}><p:bgPr><a:blipFill dpi="0" rotWithShape="1"><a:blip r:embed="{name}"/>'
        f"<a:srcRect {sides}/><a:stretch><a:fillRect/></a:stretch></a:blipFill><a:effectLst/></p:bgPr></p:bg>"))


def transition(slide: Any, effect: str | None, seconds: float) -> None:
    """Let `slide` come in with an `effect` of TRANSITIONS, or with none. What turns the page by itself stays."""
    page = {}
    names: set[str] = set()
    for old in slide.element.xpath("./p:transition | ./*[local-name()='AlternateContent'][.//p:transition]"):
        holder = next(old.iter("{*}transition"))
        page = {name: holder.get(name) for name in ("advClick", "advTm") if holder.get(name) is not None}
        names |= relationships_in(old)
        slide.element.remove(old)
    drop_unused(slide.part, names)
    if effect is None and not page:
        return
    speed = "fast" if seconds <= 0.5 else "med" if seconds <= 1 else "slow"
    turning = "".join(f' {name}="{value}"' for name, value in page.items())
    plain = f'<p:transition spd="{speed}"{turning}>{effect or ""}</p:transition>'
    timed = plain.replace(" spd=", f' p14:dur="{round(seconds * 1000)}" spd=', 1)
    fresh = parse_xml(  # older viewers know three speeds only
        f'<mc:AlternateContent {nsdecls("p")} xmlns:mc="{_MC}" xmlns:p14="{_P14}"><mc:Choice Requires="p14">{timed}'
        f"</mc:Choice><mc:Fallback>{plain}</mc:Fallback></mc:AlternateContent>")
    before = slide.element.xpath("./p:clrMapOvr") or slide.element.xpath("./p:cSld")
    before[0].addnext(fresh)


def _bare(slide: Any) -> None:
    """Take the slide's own background away, with the picture that nothing else on it shows."""
    for old in slide.element.cSld.xpath("./p:bg"):
        names = relationships_in(old)
        slide.element.cSld.remove(old)
        drop_unused(slide.part, names)
