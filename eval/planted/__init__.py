"""Decks with one planted defect each, beside their clean twins.

    for pair in pairs(KINDS, THEMES, range(3)):
        check(pair.task, pair.clean), check(pair.task, pair.defective), pair.planted

The decks are made with python-pptx alone, in the themes of the slides pack: what is checked did not make them.
"""

import io
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pptx import Presentation

from autorl import Task

from . import defects_colour, defects_content, defects_file, defects_layout  # noqa: F401  they register their kinds
from .decks import THEMES, TOPICS, clean_deck
from .kinds import KINDS, Kind

__all__ = ["KINDS", "THEMES", "TOPICS", "Kind", "Pair", "Planted", "clean_deck", "controls", "pairs", "plant"]

_SEEN_BESIDE_OTHERS = {"same_title", "repeated_slide"}
"""Defects of a deck that nobody can see on one slide of it."""


@dataclass(frozen=True)
class Planted:
    """kind: a name in KINDS; slide: number of the slide, from 1; what: what was done to it"""

    kind: str
    slide: int
    what: str


@dataclass(frozen=True)
class Pair:
    """Two decks for one task that differ in one slide, by one defect."""

    kind: str
    theme: str
    seed: int
    task: Task
    clean: bytes
    defective: bytes
    planted: Planted


def plant(deck: bytes, kind: str, seed: int) -> tuple[bytes, Planted]:
    """Put one defect into a deck that `clean_deck` made.

    kind: a name in KINDS; seed: chooses the slide, the place and how strong the defect is
    Raises KeyError for a kind that there is not, and ValueError when no slide has what the defect needs.
    """
    presentation, rng = Presentation(io.BytesIO(deck)), random.Random(f"{kind} {seed}")
    wanted = KINDS[kind]
    slides = list(presentation.slides)
    fitting = [number for number, slide in enumerate(slides[1:], start=2) if wanted.fits(slide)]
    if not fitting:
        raise ValueError(f"no slide of the deck has what '{kind}' needs")
    number = rng.choice(fitting)
    what = wanted.plant(presentation, slides[number - 1], rng)
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue(), Planted(kind, number, what)


def pairs(kinds: Iterable[str], themes: Iterable[str], seeds: Iterable[int]) -> Iterator[Pair]:
    """A pair for each kind, theme and seed; pairs of one theme and seed share their clean deck."""
    themes, seeds = list(themes), list(seeds)
    for kind in kinds:
        for theme in themes:
            for seed in seeds:
                task, clean = _clean(theme, seed)
                defective, planted = plant(clean, kind, seed)
                yield Pair(kind, theme, seed, task, clean, defective, planted)


def controls(count: int) -> Iterator[Pair]:
    """Pairs to gate a judge with, that sees one slide and the task: `count` of each kind that can be seen there."""
    themes = list(THEMES)
    for kind in KINDS:
        if KINDS[kind].visible and kind not in _SEEN_BESIDE_OTHERS:
            for seed in range(count):
                yield from pairs([kind], [themes[seed % len(themes)]], [seed])


_clean = lru_cache(maxsize=256)(clean_deck)
