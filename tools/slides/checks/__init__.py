"""What is looked at in a deck: small functions, each from a deck to checks with place and remedy.

`CONTENT` judges what a person can see of the deck against the brief, `LOOKS` the deck's file, `RENDERED` its pages.
To add one, write it and put it into its list. A check that has nothing to judge (no count was asked for) passes.
"""

from .asked import meaning, requested, stray
from .base import Brief, Look, RenderedLook, graded
from .content import copied, novelty, pasted, placeholders, repeats, slides, spread, substance, titles, topic
from .look import (
    alt_texts,
    chart_data,
    contrasts,
    growth,
    hidden,
    on_slide,
    overlaps,
    proportions,
    sound,
    type_size,
    variety,
    wordiness,
)
from .rendered import faint, outside, over_text, small

CONTENT: tuple[Look, ...] = (
    slides, titles, placeholders, substance, novelty, repeats, requested, topic, meaning, stray, spread, pasted,
    copied, wordiness, variety)
LOOKS: tuple[Look, ...] = (sound, contrasts, growth, on_slide, overlaps, type_size, alt_texts, proportions, chart_data)
RENDERED: tuple[RenderedLook, ...] = (outside, over_text, small, faint)

__all__ = ["CONTENT", "LOOKS", "RENDERED", "Brief", "graded", "hidden"]
