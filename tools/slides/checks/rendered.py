"""How a deck looks when it is rendered: where its words really stand, how large they are, what is behind them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from autorl.types import Check, Finding

from ..colour import contrast
from ..inherit import CLEAR
from ..render import Page, Rendering, Word
from ..sight import ground, texts
from ..values import Box, DeckContent, Shape, Slide
from .base import graded, short, wrong
from .look import ENOUGH_LARGE, SMALLEST_NOTE, enough

_OUT = 4.0  # points that a word may stand out of its frame: the descent of a line, the slant of an italic
_OFF = 1.5
_LINE = 1.22  # height of a word's box in parts of its type size
_CLOSE = 0.25
_SCALE = 1.0
_INK = 60.0  # Euclidean distance in RGB up to which a pixel counts as a letter's and not its ground's


@dataclass(frozen=True)
class Placed:
    """A word as rendered, with the shape whose text it is; None for one of a table, a chart or a group."""

    word: Word
    shape: Shape | None

    @property
    def box(self) -> Box:
        return Box(self.word.left, self.word.top, self.word.right, self.word.bottom)


def outside(deck: DeckContent, rendering: Rendering) -> Iterator[Check]:
    """No text runs out of its frame or off the slide."""
    bad: list[Finding] = []
    for slide, placed in _slides(deck, rendering):
        page = slide.box.grown(_OFF)
        off = [each for each in placed if not page.holds(each.box, 0)]
        if off:
            bad.append(wrong(slide, f"'{off[0].word.text}' runs off the slide", "Write less, or set it smaller",
                             off[0].shape))
        for shape in texts(slide):
            if shape.grows or shape.turned or shape.grouped:
                continue
            frame = shape.box.grown(_OUT)
            size = max(p.size for p in shape.paragraphs if p.text.strip())
            out = [each for each in placed if each.shape is shape and _beyond(each.box, frame) > 0.2 * size]
            if out:
                bad.append(wrong(slide, f"'{out[0].word.text}' stands outside its frame",
                                 "Write less, or set it smaller", shape))
    yield graded("outside", bad, 2, of=len(deck.slides))


def over_text(deck: DeckContent, rendering: Rendering) -> Iterator[Check]:
    """No word stands on another."""
    bad: list[Finding] = []
    for slide, placed in _slides(deck, rendering):
        for one, other in combinations(sorted(placed, key=lambda each: each.word.top), 2):
            if other.word.top >= one.word.bottom or (one.shape is other.shape and one.shape is not None):
                continue
            common = one.box.shared(other.box)
            if common and common.area > _CLOSE * min(one.box.area, other.box.area):
                bad.append(wrong(slide, f"'{one.word.text}' and '{other.word.text}' stand on each other",
                                 "Move one of them", one.shape or other.shape))
                break
    yield graded("over text", bad, 2, of=len(deck.slides))


def small(deck: DeckContent, rendering: Rendering) -> Iterator[Check]:
    """Nothing is rendered too small to read; a viewer may shrink what does not fit."""
    bad: list[Finding] = []
    for slide, placed in _slides(deck, rendering):
        tiny = [each for each in placed if each.word.text.strip() and not (each.shape and each.shape.turned)
                and each.box.width > each.box.height * 0.2 and each.box.height < (SMALLEST_NOTE - 1) * _LINE
                and any(char.isalnum() for char in each.word.text)]
        if tiny:
            size = min(each.box.height for each in tiny) / _LINE
            bad.append(wrong(slide, f"'{tiny[0].word.text}' is rendered at {size:.0f} points",
                             f"Make room for type of {SMALLEST_NOTE:g} or more", tiny[0].shape))
    yield graded("small", bad, of=len(deck.slides))


def faint(deck: DeckContent, rendering: Rendering) -> Iterator[Check]:
    """Text stands out from the pixels behind it, where the file alone does not tell what is there (a picture)."""
    bad: list[Finding] = []
    for slide, placed in _slides(deck, rendering):
        unknown = [shape for shape in texts(slide) if ground(slide, shape) is None and not shape.turned]
        pixels = np.asarray(rendering.pixels(slide.number, _SCALE)) if unknown else None
        for shape in unknown:
            ratios = [ratio for each in placed if each.shape is shape
                      if (ratio := _contrast(pixels, each, shape)) is not None]
            poor = sum(ratio < min(enough(shape), ENOUGH_LARGE) for ratio in ratios)
            if ratios and poor > len(ratios) / 4:
                bad.append(wrong(slide, f"contrast {min(ratios):.1f} with what is behind '{short(shape.text)}'",
                                 "Put a plain ground behind it", shape))
    yield graded("faint", bad, 2, of=len(deck.slides))


def _contrast(pixels: Any, placed: Placed, shape: Shape) -> float | None:
    """That of a word's colour with the median of the pixels around its letters."""
    colour = next((kind.colour for p in shape.paragraphs for text, kind in p.types if text.strip()), None)
    box = placed.box.grown(2)
    part = pixels[max(int(box.top * _SCALE), 0):int(box.bottom * _SCALE),
                  max(int(box.left * _SCALE), 0):int(box.right * _SCALE)].reshape(-1, 3).astype(float)
    if colour is None or colour == CLEAR or not len(part):
        return None
    ink = np.array([int(colour[i:i + 2], 16) for i in (0, 2, 4)], dtype=float)
    behind = part[np.linalg.norm(part - ink, axis=1) > _INK]
    if len(behind) < 0.2 * len(part):  # all of it has the colour of the text
        return 1.0
    red, green, blue = (round(value) for value in np.median(behind, axis=0))
    return contrast(colour, f"{red:02X}{green:02X}{blue:02X}")


def _slides(deck: DeckContent, rendering: Rendering) -> Iterator[tuple[Slide, Sequence[Placed]]]:
    for slide, page in zip(deck.slides, rendering.pages, strict=True):
        if not slide.hidden:
            yield slide, _placed(slide, page)


@dataclass(frozen=True)
class _Owner:
    """Something that holds words: a box of text, a cell, a chart, the footer."""

    shape: Shape | None
    box: Box
    words: Counter[str]


def _owners(slide: Slide) -> Iterator[_Owner]:
    for shape in (*slide.backdrop, *slide.shapes):
        if shape.text:
            yield _Owner(shape if shape.kind in ("title", "text") else None, shape.box, Counter(shape.text.split()))
        yield from (_Owner(None, cell.box, Counter(cell.text.split())) for row in shape.rows for cell in row)
        if shape.chart:
            yield _Owner(None, shape.box, Counter(shape.chart.text.replace(",", " ").replace(":", " ").split()))


def _placed(slide: Slide, page: Page) -> list[Placed]:
    """Each word with the shape whose text it is: the nearest one first, as often as the shape has the word."""
    owners = list(_owners(slide))
    near = sorted((_distance(owner.box, word), number, place) for number, word in enumerate(page.words)
                  for place, owner in enumerate(owners) if word.text in owner.words)
    shapes: dict[int, Shape | None] = {}
    for _, number, place in near:
        text = page.words[number].text
        if number not in shapes and owners[place].words[text] > 0:
            owners[place].words[text] -= 1
            shapes[number] = owners[place].shape
    return [Placed(word, shapes.get(number)) for number, word in enumerate(page.words)]


def _distance(box: Box, word: Word) -> float:
    across, down = (word.left + word.right) / 2, (word.top + word.bottom) / 2
    return max(box.left - across, 0.0, across - box.right) + max(box.top - down, 0.0, down - box.bottom)


def _beyond(box: Box, frame: Box) -> float:
    """Points by which `box` reaches out of `frame`, on its worst side."""
    return max(frame.left - box.left, frame.top - box.top, box.right - frame.right, box.bottom - frame.bottom, 0.0)
