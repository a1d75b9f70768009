"""Whether a deck holds what its task asks for: sections, points, tables, charts, pictures, notes, an audience, a topic.

By words where they match and by meaning (the embedded model of recall) where they do not.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from autorl.replay.embed import load
from autorl.types import Check, Finding

from ..requirements import topic_words, wanted
from ..values import DeckContent, Slide
from ..wording import alike, content_words, nearly, shares, words
from .base import Brief, graded, short, wrong

_MEANT = 0.72
"""Cosine from which two texts are about one thing. Lower ones come from a shared word as often as from a meaning."""
_COVERED = 0.7
_RELATED = 0.45
_NEARER = 2
_FEW = 6  # slides from which the others tell what a deck is about
_TELLING = 18  # words from which a slide tells what it is about
_APART = 0.36
_READ = 6000  # characters of a deck that tell its topic


def requested(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Everything that was asked for by name is there."""
    asked = wanted(brief.task)
    for name, least, there in (
        ("tables", asked.tables, sum(bool(shape.rows) for slide in deck.slides for shape in slide.shapes)),
        ("charts", asked.charts, sum(len(slide.charts) for slide in deck.slides)),
        ("pictures", asked.pictures, sum(slide.pictures for slide in deck.slides)),
    ):
        if least:
            bad = [Finding(found=f"{there} {name}, {least} asked for", remedy=f"Add {least - there}")]
            yield graded(name, bad if there < least else [], 3, score=min(there / least, 1.0))
    if asked.notes:
        silent = [wrong(s, "it has no speaker notes", "Write what the speaker says")
                  for s in deck.content_slides if not s.notes]
        share = 1 - len(silent) / max(len(deck.content_slides), 1)
        yield graded("notes", silent, score=share)
    if asked.sections or asked.points:
        yield _coverage(deck, asked.sections, asked.points)
    if asked.audience:
        there = any(_about(asked.audience, text) for s in deck.slides for text in (s.title, *s.points, s.notes) if text)
        bad = [Finding(found=f"nothing speaks to {asked.audience}", remedy="Name the audience, or write for it")]
        yield graded("audience", [] if there else bad, 0.5)


def _coverage(deck: DeckContent, sections: Sequence[str], points: Sequence[str]) -> Check:
    """Each section has a slide of its own or a part of one, each point is made."""
    texts = [text for slide in deck.slides for text in (slide.title, *slide.headings, *slide.statements) if text]
    own = [slide for slide in deck.slides if not _lists(slide, sections)]
    bad = [Finding(found=f"no slide is about '{short(section)}'", remedy=f"Add a slide on {short(section)}")
           for section in sections if not any(_treats(slide, section) for slide in own)]
    bad += [Finding(found=f"it does not say '{short(point)}'", remedy="Say it")
            for point in points if not any(_says(point, text) for text in texts)]
    return graded("coverage", bad, 4, score=1 - len(bad) / (len(sections) + len(points)))


def _treats(slide: Slide, section: str) -> bool:
    """Whether a slide's title names `section`, or two of its points are about it."""
    return _about(section, slide.title) or sum(_about(section, text) for text in slide.statements) > 1


def _lists(slide: Slide, sections: Sequence[str]) -> bool:
    """Whether a slide is an agenda: it names what other slides are about."""
    return "agenda" in slide.title.casefold() or "contents" in slide.title.casefold() or (
        len(sections) > 2 and sum(any(nearly(section, point) for point in slide.points) for section in sections) > 2)


def _about(wanted: str, text: str) -> bool:
    """Whether `text` holds most words of `wanted`, or means much the same."""
    return _share(content_words(wanted) or words(wanted), words(text)) >= _COVERED or _cosine(wanted, text) >= _MEANT


def _says(point: str, text: str) -> bool:
    """As `_about`, and with the same numbers."""
    figures = {word for word in words(point) if any(char.isdigit() for char in word)}
    return figures <= set(words(text)) and _about(point, text)


def _share(wanted: Sequence[str], said: Sequence[str]) -> float:
    return sum(any(alike(word, other) for other in said) for word in wanted) / len(wanted) if wanted else 0.0


def meaning(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The deck is nearer in meaning to its task than to other tasks.

    The others are the tasks of the exemplars and a list of everyday topics; those near to the task itself do not
    count. The embedding knows English; a task in another script is not judged by it.
    """
    said = " ".join(text for slide in deck.slides for text in (slide.title, *slide.points, *slide.headings))[:_READ]
    task = " ".join(topic_words(brief.task))
    if not brief.task.text.isascii() or not said.strip() or not task:
        yield graded("meaning", [])
        return
    others = [" ".join(topic_words(run.task)) for run in brief.exemplars]
    deck_vector, task_vector = load().embed([said, task])
    own = float(deck_vector @ task_vector)
    far = _far_from(task, others)
    nearer = int((far @ deck_vector > own).sum())
    found = f"it is nearer in meaning to {nearer} of {len(far)} other topics than to the task"
    bad = [Finding(found=found, remedy="Write about what was asked")]
    yield graded("meaning", bad if nearer > _NEARER else [], 2, score=max(0.0, 1 - nearer / 10))


def stray(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No slide of text is about something else than the rest of its deck.

    It is, if it shares no word with the task and few with the deck, and is nearer in meaning to another topic.
    """
    task = topic_words(brief.task)
    texts = [" ".join((slide.title, *slide.points, slide.notes)) for slide in deck.slides]
    if len(texts) < _FEW or not brief.task.text.isascii() or not task:
        yield graded("stray", [])
        return
    vectors, topics = load().embed(texts), _far_from(" ".join(task))
    said = [content_words(text) for text in texts]
    bad = []
    for number, slide in enumerate(deck.slides):
        if slide.opening or slide.rows or slide.charts or len(said[number]) < _TELLING or shares(said[number], task):
            continue
        others = {word for place, words in enumerate(said) if place != number for word in words}
        common = sum(word in others or shares((word,), others) for word in said[number]) / len(said[number])
        rest = vectors.sum(axis=0) - vectors[number]
        near = float(vectors[number] @ rest) / (float(np.linalg.norm(rest)) or 1.0)
        if near + common < _APART and float((topics @ vectors[number]).max()) > near:
            bad.append(wrong(slide, f"'{short(slide.title)}' has nothing to do with the other slides",
                             "Write about what was asked"))
    yield graded("stray", bad, 2, of=len(deck.slides))


def _cosine(one: str, other: str) -> float:
    vectors = load().embed([one, other])
    return float(vectors[0] @ vectors[1])


def _far_from(task: str, others: Sequence[str] = ()) -> "np.ndarray[Any, Any]":
    """The vectors of everyday topics and of `others`, without those that are near to `task`."""
    vectors = np.concatenate((_topics(), load().embed(list(others)))) if others else _topics()
    return vectors[(vectors @ load().embed([task])[0]) < _RELATED]


@cache
def _topics() -> "np.ndarray[Any, Any]":
    text = Path(__file__).with_name("topics.txt").read_text(encoding="utf-8")
    return load().embed([line for line in text.splitlines() if line and not line.startswith("#")])
