"""Text boxes, panels and colours for the decks, with python-pptx alone: nothing here is shared with the slides pack."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lxml import etree
from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.opc.constants import RELATIONSHIP_TYPE
from pptx.util import Emu, Pt

LETTER = 0.53
"""Width of a letter as a share of the type size, on the generous side for our fonts: what fits by it does fit."""
NARROW = 0.42
"""The same on the narrow side: what does not fit by it does not."""
LINE = 1.25
"""Height of a line as a share of the type size."""


class Box(NamedTuple):
    """A place on a slide, in EMU."""

    left: int
    top: int
    width: int
    height: int

    def part(self, left: float, top: float, width: float, height: float) -> "Box":
        """A box within this one; all four as shares of this one's width and height."""
        return Box(int(self.left + left * self.width), int(self.top + top * self.height),
                   int(width * self.width), int(height * self.height))

    def columns(self, count: int, gap: float = 0.03) -> list["Box"]:
        """`count` boxes side by side; gap: share of the width between two."""
        wide = (1 - gap * (count - 1)) / count
        return [self.part(n * (wide + gap), 0, wide, 1) for n in range(count)]


@dataclass(frozen=True)
class Colours:
    """The colours of a deck's theme as RRGGBB, by the names that its slide master gives them."""

    named: dict[str, str]

    @classmethod
    def of(cls, presentation: Any) -> "Colours":
        master = presentation.slide_master
        theme = etree.fromstring(master.part.part_related_by(RELATIONSHIP_TYPE.THEME).blob)
        there = {etree.QName(entry).localname: entry[0].get("val") or entry[0].get("lastClr")
                 for entry in theme.find(".//{*}clrScheme")}
        mapped = {name: there[target] for name, target in master.element.find("{*}clrMap").attrib.items()}
        return cls({**there, **mapped})

    def __getitem__(self, name: str) -> str:
        return self.named[name]

    def fills(self) -> list[str]:
        """The accents on which black or white text reads well."""
        accents = [self.named[f"accent{number}"] for number in range(1, 7)]
        return [colour for colour in accents if contrast(colour, text_on(colour)) >= 4.7]


def text_on(fill: str) -> str:
    """Black or white, whichever reads better on `fill`."""
    return max(("FFFFFF", "111111"), key=lambda colour: contrast(colour, fill))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """`share` (0..1) of `other` put into `one`."""
    pairs = zip(bytes.fromhex(one), bytes.fromhex(other), strict=True)
    return "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def faint(ground: str, ratio: float) -> str:
    """A grey that stands out from `ground` by a contrast of about `ratio`."""
    away = text_on(ground)
    return min((mixed(ground, away, step / 200) for step in range(201)),
               key=lambda colour: abs(contrast(colour, ground) - ratio))


def lines(text: str, width: int, size: float, letter: float = LETTER) -> int:
    """About how many lines `text` takes in a box of `width` EMU at `size` points."""
    letters = max(1, int(Emu(width).pt / (letter * size)))
    return sum(max(1, -(-len(paragraph) // letters)) for paragraph in text.split("\n"))


def size_for(texts: Sequence[str], box: Box, sizes: Sequence[int]) -> int:
    """The largest of `sizes` (in points, falling) at which each text alone fits into `box`; else the last."""
    inner, high = int(box.width - Pt(20)), Emu(box.height).pt - 14
    return next((size for size in sizes if all(lines(text, inner, size) * size * LINE <= high for text in texts)),
                sizes[-1])


def write(frame: Any, paragraphs: Sequence[tuple[str, int, bool]], colour: str, align: Any = None) -> None:
    """Fill a text frame with (text, size in points, bold)."""
    for number, (text, size, bold) in enumerate(paragraphs):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        run = paragraph.add_run()
        run.text, run.font.size, run.font.bold = text, Pt(size), bold
        run.font.color.rgb = RGBColor.from_string(colour)
        paragraph.alignment = align


def text_box(slide: Any, box: Box, text: str, size: int, colour: str, *, bold: bool = False,
             anchor: Any = MSO_ANCHOR.TOP) -> Any:
    """A box without a fill."""
    shape = slide.shapes.add_textbox(*box)
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, anchor
    write(frame, [(text, size, bold)], colour)
    return shape


def panel(shapes: Any, box: Box, paragraphs: Sequence[tuple[str, int, bool]], fill: str, *,
          kind: Any = MSO_SHAPE.RECTANGLE, second: str = "") -> Any:
    """A filled shape with its text; `second` makes the fill a gradient towards that colour."""
    shape = shapes.add_shape(kind, *box)
    shape.line.fill.background()
    shape.shadow.inherit = False
    paint(shape, fill, second)
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    if paragraphs:
        write(frame, paragraphs, text_on(fill), PP_ALIGN.CENTER)
    return shape


def paint(shape: Any, fill: str, second: str = "") -> None:
    """Give a shape a plain fill, or a gradient from `fill` to `second`."""
    if not second:
        shape.fill.solid()
        shape.fill.fore_color.rgb = RGBColor.from_string(fill)
        return
    shape.fill.gradient()
    shape.fill.gradient_angle = 0
    for stop, colour in zip(shape.fill.gradient_stops, (fill, second), strict=True):
        stop.color.rgb = RGBColor.from_string(colour)


def to_back(shape: Any) -> None:
    """Draw `shape` before everything else on its slide."""
    tree = shape.element.getparent()
    tree.remove(shape.element)
    tree.insert(2, shape.element)  # after the two property elements that every shape tree starts with


def chance(rng: random.Random, share: float) -> bool:
    return rng.random() < share


def _luminance(colour: str) -> float:
    parts = (value / 255 for value in bytes.fromhex(colour))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
