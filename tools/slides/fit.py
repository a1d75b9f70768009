"""Type sizes from the amount of text, by the average width of Calibri's letters; wide scripts count double."""

import unicodedata
from collections.abc import Sequence

_EM = 0.52  # average width of a letter, in parts of the type size; a little above Calibri's 0.49
_LINE = 1.2
_EMU_PER_POINT = 12_700


def width_of(text: str) -> float:
    """The width of `text` in average Latin letters."""
    return sum(1.9 if unicodedata.east_asian_width(char) in "WF" else 0.0 if unicodedata.combining(char) else 1.0
               for char in text)


def lines_of(text: str, size: float, width: float) -> int:
    """How many lines `text` takes at `size` points in a box `width` points wide."""
    return max(1, -int(-(width_of(text) * _EM * size) // width))


def size_for(paragraphs: Sequence[str], box: tuple[int, int], sizes: Sequence[int], spacing: float = 0.0) -> int:
    """The first of `sizes` (points, largest first) at which `paragraphs` fit; the last one if none does.

    box: width and height in EMU, without margins; spacing: between paragraphs, in parts of the size
    """
    width, height = (side / _EMU_PER_POINT for side in box)
    for size in sizes:
        lines = sum(lines_of(text, size, width) for text in paragraphs)
        if lines * size * _LINE + spacing * size * max(len(paragraphs) - 1, 0) <= height:
            return size
    return sizes[-1]


def runs_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction is Arabic, Hebrew or another script written leftwards."""
    for char in text:
        direction = unicodedata.bidirectional(char)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False
