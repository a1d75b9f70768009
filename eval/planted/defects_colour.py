"""Defects of colour: text that hardly stands out from what is behind it."""

import io
import random
from typing import Any

from PIL import Image, ImageStat
from pptx.dml.color import RGBColor
from pptx.enum.text import MSO_ANCHOR
from pptx.util import Inches

from .decks import topic_of
from .drawing import Box, Colours, contrast, faint, mixed, paint, text_box
from .kinds import boxes, defect, has, panels, pictures, prose, remove, runs

_RATIOS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0)


def _plain(slide: Any) -> list[Any]:
    return [shape for shape in panels(slide) if shape.element.xpath("./p:spPr/a:solidFill")]


@defect(visible=True, fits=has(prose))
def faint_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text on the slide's own ground in nearly its colour, all of it or one point."""
    ground, ratio = Colours.of(presentation)["bg1"], rng.choice(_RATIOS)
    found = runs(prose(slide))
    for run in found if rng.random() < 0.6 else [rng.choice(found)]:
        _colour(run, faint(ground, ratio))
    return f"a contrast of {contrast(faint(ground, ratio), ground):.2f} on the slide"


@defect(visible=True, fits=has(_plain))
def faint_on_fill(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text on a filled shape in nearly the shape's colour."""
    shape, ratio = rng.choice(_plain(slide)), rng.choice(_RATIOS)
    fill = str(shape.fill.fore_color.rgb)
    for run in runs(shape):
        _colour(run, faint(fill, ratio))
    return f"a contrast of {contrast(faint(fill, ratio), fill):.2f} on a fill of {fill}"


@defect(visible=True, fits=has(panels))
def faint_on_gradient(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text on a gradient in a colour that stands out from no part of it."""
    shape = rng.choice(panels(slide))
    start = rng.choice(Colours.of(presentation).fills())
    end = mixed(start, rng.choice(("FFFFFF", "000000")), 0.25)
    text = faint(mixed(start, end, 0.5), rng.choice(_RATIOS[:4]))
    paint(shape, start, end)
    for run in runs(shape):
        _colour(run, text)
    best = max(contrast(text, start), contrast(text, end))
    return f"a contrast of {best:.2f} at best, from {start} to {end}"


@defect(visible=True, fits=lambda slide: bool(pictures(slide)) and not _beside(slide))
def faint_on_picture(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A caption straight on a picture, in nearly the colours of what it lies on."""
    picture = pictures(slide)[0]
    caption = topic_of(presentation)["picture"]["caption"]
    for shape in (*panels(slide), *boxes(slide)):
        if shape.text_frame.text == caption:
            remove(shape)
    high, share = Inches(0.55), rng.choice((0.03, 0.82))
    left, top = picture.left + Inches(0.2), picture.top + int(picture.height * share)
    place = Box(left, top, picture.width - Inches(0.4), high)
    image = Image.open(io.BytesIO(picture.image.blob)).convert("RGB")
    area = image.crop((0, int(image.height * share), image.width, int(image.height * (share + high / picture.height))))
    behind = "".join(f"{round(value):02X}" for value in ImageStat.Stat(area).median)
    text_box(slide, place, caption, rng.choice((16, 18, 20)), faint(behind, rng.choice(_RATIOS[:5])),
             anchor=MSO_ANCHOR.MIDDLE)
    return f"a caption on {behind} with hardly a contrast"


def _beside(slide: Any) -> bool:
    """Whether the picture only stands beside the text and has no caption."""
    return prose(slide) is not None and prose(slide).is_placeholder


def _colour(run: Any, colour: str) -> None:
    run.font.color.rgb = RGBColor.from_string(colour)
