"""Clean decks: varied, and with nothing wrong in them, whatever a naive checker may say."""

import io
import random
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from autorl import Task
from autorl.content import load_pack

from . import pages
from .drawing import Colours
from .pages import Deck

load_pack("slides")  # makes the packs importable

from autorl_tools.slides.theme import THEMES, blank_presentation  # noqa: E402, F401

_TEXTS = tomllib.loads((Path(__file__).parent / "topics.toml").read_text(encoding="utf-8"))["topic"]
TOPICS: dict[str, Mapping[str, Any]] = {topic["title"]: topic for topic in _TEXTS}
"""The texts by the title of their deck."""
_COUNTS = ("six", "seven", "eight")
_PANELS = {"cards": pages.cards, "steps": pages.steps, "numbers": pages.numbers}
_ASKS = (
    "Make {a} {count}-slide deck about {about} for {audience}. Cover these points: {sections}. "
    "Include a table and a {kind} chart, a picture, and speaker notes on every slide.",
    "I need a presentation on {about}, {count} slides, for {audience}. It should say {sections}, with one table, "
    "one {kind} chart and one picture. Please add speaker notes.",
)


def clean_deck(theme: str, seed: int) -> tuple[Task, bytes]:
    """A task, and a deck of six to eight slides that does what it asks; the same for the same theme and seed.

    theme: a name in THEMES; seed: chooses the topic (seed modulo the number of topics), the slides and their design
    """
    rng = random.Random(f"{theme} {seed}")
    topic = _TEXTS[seed % len(_TEXTS)]
    presentation = blank_presentation(theme)
    deck = Deck(presentation, Colours.of(presentation), topic, rng)
    extra = set(rng.sample(("agenda", "more", "columns", "quote", "header"), rng.randrange(3)))
    sections = topic["sections"][: 2 if "more" in extra else 1]
    panels = rng.choice(list(_PANELS))
    middle = ["table", "chart", "picture", panels]
    rng.shuffle(middle)
    pages.opening(deck, topic)
    if "agenda" in extra:
        pages.agenda(deck, [section["title"] for section in sections] + [topic[name]["title"] for name in middle])
    pages.bullets(deck, sections[0])
    if "columns" in extra:
        pages.columns(deck, topic["columns"])
    for name in middle:
        if name == "table" and "header" in extra:
            pages.section_header(deck, topic)
        _builder(name)(deck, topic[name])
    for section in sections[1:]:
        pages.bullets(deck, section)
    if "quote" in extra:
        pages.quote(deck, topic["quote"])
    if rng.random() < 0.6:
        pages.foot(deck, topic["title"] if rng.random() < 0.5 else topic["subtitle"])
    return task_of(topic, presentation), _saved(presentation, topic["title"])


def topic_of(presentation: Any) -> Mapping[str, Any]:
    """The texts that a deck of ours was made from. Raises KeyError for another's."""
    return TOPICS[presentation.core_properties.title]


def task_of(topic: Mapping[str, Any], presentation: Any) -> Task:
    """What was asked for when a deck on `topic` was made."""
    titles = [slide.shapes.title.text_frame.text for slide in presentation.slides]
    sections = [section["title"] for section in topic["sections"] if section["title"] in titles]
    count = _COUNTS[len(titles) - 6]
    text = _ASKS[len(titles) % 2].format(
        a="an" if count == "eight" else "a", count=count, about=topic["about"], audience=topic["audience"],
        sections=" and ".join(f"{title[0].lower()}{title[1:]}" for title in sections), kind=topic["chart"]["kind"])
    return Task(text=text, requirements={"slides": len(titles), "sections": sections, "tables": 1, "charts": 1,
                                         "pictures": 1, "notes": True})


def _builder(name: str) -> Any:
    return _PANELS.get(name) or {"table": pages.table, "chart": pages.chart, "picture": pages.picture}[name]


def _saved(presentation: Any, title: str) -> bytes:
    properties = presentation.core_properties
    properties.title, properties.created, properties.modified = title, datetime(2025, 1, 1), datetime(2025, 1, 1)
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()
