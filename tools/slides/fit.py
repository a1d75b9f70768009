"""How much room text takes, by the real widths of its letters, wrapped as viewers wrap it; the same on every machine.

The widths are those of Carlito and the Liberation fonts (`font_metrics.json`, made by `eval/make_font_metrics.py`),
which Calibri, Arial, Times New Roman and Courier New share. Kerning is left out; it makes text a little narrower.
"""

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

_FONT = "Calibri"
_EMU_PER_POINT = 12_700
_METRICS = Path(__file__).with_name("font_metrics.json")
_TWINS = {"calibri": "Carlito", "carlito": "Carlito", "arial": "Liberation Sans", "helvetica": "Liberation Sans",
          "liberation sans": "Liberation Sans", "times new roman": "Liberation Serif", "times": "Liberation Serif",
          "liberation serif": "Liberation Serif", "courier new": "Liberation Mono", "courier": "Liberation Mono",
          "liberation mono": "Liberation Mono"}
_MONO = re.compile(r"mono|courier|consol|code|typewriter|terminal")
_SERIF = re.compile(r"(?<!sans[ -])serif|times|roman|georgia|garamond|cambria|palatino|antiqua|book|slab|baskerville")
_STRANGE = 1.12  # how much wider a font may be that is not among the known ones; Georgia and Verdana are about that

# What the fonts lack is shown in another font; these are widths, in em, that hardly any exceeds.
_FULL, _EMOJI, _SYMBOL, _LETTER = 1.0, 1.3, 1.0, 0.7
_LINE = 1.2  # height of a line in em: LibreOffice's for every font of a .pptx, PowerPoint's for most
_TALL = 1.4  # of a line of Chinese, Japanese or Korean

# Where a line may end (after the Unicode line breaking algorithm, UAX 14, in short): after spaces, after a hyphen or
# dash inside a word, and between Chinese and Japanese characters, but not before or after these.
_SPACES = " \t\u2000-\u2006\u2008-\u200b\u3000"
_WIDE = "\u2e80-\u2fff\u3001-\u4dbf\u4e00-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\U00020000-\U0003fffd"
_OPEN = "「『（［｛〈《【〔"
_CLOSE = "、。，．：；？！」』）］｝〉》】〕・ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々…"
_PIECE = re.compile(
    rf"[{_OPEN}]*(?:[{_WIDE}]|[^{_SPACES}{_WIDE}\-‐–—]+[\-‐–—]+(?=\w)|[^{_SPACES}{_WIDE}]+)[{_CLOSE}]*[{_SPACES}]*"
    rf"|[{_SPACES}]+")
_SPACE_ENDS = " \t\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u200b\u3000"
_FORCED = re.compile(r"[\n\v\u2028]")


@dataclass(frozen=True)
class Paragraph:
    """scale: its size in parts of that of the first level; indent: points it stands in from the left;
    before: space above it, in parts of its size; nothing is left above the first"""

    text: str
    scale: float = 1.0
    indent: float = 0.0
    before: float = 0.0


def known(font: str) -> bool:
    """Whether the widths of `font` are known; those of others are taken from the nearest known one, with a margin."""
    return font.strip().lower() in _TWINS


def width_of(text: str, font: str = _FONT, bold: bool = False) -> float:
    """The width of `text` in one line, in em: times the type size it is in points."""
    return sum(full for line in _lines(text, _face(font, bold)) for _, full, _ in line)


def lines_of(text: str, size: float, width: float, font: str = _FONT, bold: bool = False) -> int:
    """How many lines `text` takes at `size` points in a column `width` points wide."""
    face = _face(font, bold)
    room = width / size
    count = 0
    for line in _lines(text, face):
        count += 1
        used = 0.0
        for ink, full, piece in line:
            if used and used + ink > room:
                count += 1
                used = 0.0
            if ink > room:
                more, used = _cut(piece, room, face)
                count += more
            else:
                used += full
    return count


@lru_cache(maxsize=4096)
def line_height(text: str, font: str = _FONT, bold: bool = False) -> float:
    """The height of a line of `text` in em."""
    least = _TALL if any(unicodedata.east_asian_width(char) in "WF" for char in text) else _LINE
    return max(least, _face_metrics(_face(font, bold)[0])[0])


def height_of(paragraphs: Sequence[str | Paragraph], size: float, width: float, font: str = _FONT,
              bold: bool = False, spacing: float = 0.0) -> float:
    """The height in points of `paragraphs` at `size` points in a column `width` points wide.

    spacing: between paragraphs, in parts of their size, on top of their own
    """
    height = 0.0
    for number, given in enumerate(paragraphs):
        one = given if isinstance(given, Paragraph) else Paragraph(given)
        own = size * one.scale
        lines = lines_of(one.text, own, width - one.indent, font, bold)
        height += own * (lines * line_height(one.text, font, bold) + ((one.before + spacing) if number else 0.0))
    return height


def size_for(paragraphs: Sequence[str | Paragraph], box: tuple[int, int], sizes: Sequence[int], spacing: float = 0.0,
             font: str = _FONT, bold: bool = False) -> int:
    """The first of `sizes` (points, largest first) at which `paragraphs` fit; the last one if none does.

    box: width and height in EMU, without margins; spacing: between paragraphs, in parts of the size
    """
    width, height = (side / _EMU_PER_POINT for side in box)
    fitting = (size for size in sizes if height_of(paragraphs, size, width, font, bold, spacing) <= height)
    return next(fitting, sizes[-1])


def runs_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction is Arabic, Hebrew or another script written leftwards."""
    for char in text:
        direction = unicodedata.bidirectional(char)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


@lru_cache(maxsize=256)
def _face(font: str, bold: bool) -> tuple[str, float]:
    """The face whose widths stand for a font, and what they are multiplied by."""
    name = font.strip().lower()
    family = _TWINS.get(name)
    margin = 1.0 if family else _STRANGE
    if family is None:
        family = ("Liberation Mono" if _MONO.search(name) else
                  "Liberation Serif" if _SERIF.search(name) else "Liberation Sans")
    return f"{family} bold" if bold and family != "Liberation Mono" else family, margin


@cache
def _face_metrics(face: str) -> tuple[float, dict[str, float]]:
    """Height of a line, and widths of characters, in em."""
    metrics = json.loads(_METRICS.read_text(encoding="utf-8"))["faces"][face]
    widths = {chr(int(start, 16) + n): width / 2048
              for start, row in metrics["widths"].items() for n, width in enumerate(row) if width}
    return metrics["line"], widths


@lru_cache(maxsize=4096)
def _lines(text: str, face: tuple[str, float]) -> tuple[tuple[tuple[float, float, str], ...], ...]:
    """The lines that `text` itself demands, each as pieces that are not parted: width without and with spaces, text."""
    return tuple(tuple((_width(piece.rstrip(_SPACE_ENDS), face), _width(piece, face), piece)
                       for piece in _PIECE.findall(line)) for line in _FORCED.split(text))


def _cut(piece: str, room: float, face: tuple[str, float]) -> tuple[int, float]:
    """How many line ends a piece has inside that is wider than `room`, and how much of its last line it takes."""
    breaks, used = 0, 0.0
    for char in piece.rstrip(_SPACE_ENDS):
        width = _width(char, face)
        if used and used + width > room:
            breaks, used = breaks + 1, 0.0
        used += width
    return breaks, used + _width(piece[len(piece.rstrip(_SPACE_ENDS)):], face)


@lru_cache(maxsize=16_384)
def _width(text: str, face: tuple[str, float]) -> float:
    widths, margin = _face_metrics(face[0])[1], face[1]
    return margin * sum(widths[char] if char in widths else _unknown(char) for char in text)


def _unknown(char: str) -> float:
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf", "Cc"):
        return 0.0
    if unicodedata.east_asian_width(char) in "WF":
        return _EMOJI if category in ("So", "Sk") else _FULL
    return _SYMBOL if category[0] == "S" else _LETTER
