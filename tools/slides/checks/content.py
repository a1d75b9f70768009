"""What a deck says: as much as asked, about what was asked, once, and in its own words."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from autorl.types import Check, Finding, Trajectory

from ..requirements import asks_for_a_deck, slides_asked, subject_words, topic_words
from ..values import DeckContent, Slide
from ..wording import alike, content_words, key, nearly, real_words, shares, words
from .base import Brief, graded, short, wrong

_COVERED = 0.5
_COVERED_OTHER_SCRIPT = 0.25  # stopwords are known for English only, so more of the task's words are noise
_SPREAD = 1 / 3
_COPIED = 0.2
_LABELS = 2  # that do not yet make a drawing
_NEW, _SPREAD_OF_NEWS = 2, 0.7
_LABEL = 2  # words of a label, which may stand on a slide more than once
_SENTENCE = 8
_COMPARED = 400
_TO_FILL = re.compile(
    r"\[\s*(?:insert|add|your|enter|type|replace|placeholder|tbd|todo|xx+|\.\.\.)[^\]]{0,80}\]|\btodo:|"
    r"\b(?:add|insert|enter|type|write|put)\s+(?:\w+\s+){0,3}?(?:text|title|subtitle|point|bullet|content|caption|heading)"
    r"\s+here\b", re.IGNORECASE)
_FILLERS = ("click to add", "click to edit", "lorem ipsum", "your text here", "insert text", "bullet point here")


def slides(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """As many slides as asked, the title slide among them; at least two when nothing was asked."""
    asked, there = slides_asked(brief.task), len(deck.slides)
    least, most = (asked.least, asked.most) if asked else (2, max(there, 2))
    off = max(least - there, there - most, 0)
    wanted = f"{asked} asked for" if asked else "at least 2 expected"
    remedy = f"Add {least - there} more" if there < least else f"Leave out {there - most}"
    found = [Finding(found=f"{there} slide{'' if there == 1 else 's'}, {wanted}", remedy=remedy)] if off else []
    yield graded("slides", found, 4, score=max(0.0, 1 - off / least))


def placeholders(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No box is left empty or with the text of a template."""
    bad = [wrong(slide, f"'{shape.name}' is empty", "Fill or remove the box", shape)
           for slide in deck.slides for shape in slide.empty]
    for slide in deck.slides:
        text = slide.text.casefold()
        found = [f for f in _FILLERS if f in text] + [match[0] for match in _TO_FILL.finditer(text)]
        bad += [wrong(slide, f"it still says '{short(f)}'", "Fill or remove the box") for f in found]
    yield graded("placeholders", bad, of=len(deck.slides), score=None if deck.slides else 0.0)


def titles(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Every slide has a title, and no two say the same."""
    bad: list[Finding] = []
    first: dict[tuple[str, ...], int] = {}
    for slide in deck.slides:
        if not slide.title.strip():
            bad.append(wrong(slide, "it has no title", "Give every slide a title of its own"))
        elif (other := first.setdefault(_title_key(slide.title), slide.number)) != slide.number:
            bad.append(wrong(slide, f"slides {other} and {slide.number} have the title '{short(slide.title)}'",
                             "Give every slide a title of its own"))
    yield graded("titles", bad, 3, of=len(deck.slides), score=None if deck.slides else 0.0)


def repeats(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No bullet, table row or chart stands in the deck twice, or nearly so."""
    first: dict[tuple[str, ...], tuple[int, str]] = {}
    bad: list[Finding] = []
    said = [(slide, text) for slide in deck.slides for text in _said_once(slide)]
    for slide, text in said:
        other = first.get(key(text)) or (_near(text, first) if len(said) <= _COMPARED else None)
        if other is not None:
            again = "repeats" if key(text) in first else "nearly repeats"
            bad.append(wrong(slide, f"it {again} '{short(text)}' of slide {other[0]}", "Say something new"))
        first.setdefault(key(text), (slide.number, text))
    silent = not any(slide.statements for slide in deck.slides)
    if silent:
        bad.append(Finding(found="the deck says nothing", remedy="Write what was asked for"))
    yield graded("repeats", bad, 2, score=0.0 if silent else 1 - len(bad) / max(len(said), 1))


def _said_once(slide: Slide) -> Iterator[str]:
    """What a slide says that should not be said again: all but short labels beside its main text."""
    yield from slide.rows + slide.charts
    for shape in slide.shapes:
        if shape.kind == "text":
            yield from (p.text for p in shape.paragraphs if p.text.strip() and (
                shape.placeholder is not None or len(words(p.text)) > _LABEL))


def _near(text: str, others: dict[tuple[str, ...], tuple[int, str]]) -> tuple[int, str] | None:
    if len(words(text)) < 5:
        return None
    return next((place for place in others.values() if nearly(text, place[1], 0.85)), None)


def substance(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Every slide after the first says something: two points of two words, a sentence, a table, a chart, a picture, or
    a drawing with several labels.

    A section header need not; but at most one slide in three is one.
    """
    bad: list[Finding] = []
    headers = [slide for slide in deck.content_slides if "section" in slide.layout.casefold()]
    excused = headers if len(headers) <= len(deck.content_slides) / 3 else []
    for slide in deck.content_slides:
        said = sum(len(real_words(point)) >= 2 for point in slide.points)
        sentence = any(len(real_words(point)) >= _SENTENCE for point in slide.points)
        drawn = len({shape.text for shape in slide.shapes if shape.text and shape.placeholder is None}) > _LABELS
        if said < 2 and not (sentence or drawn or slide.rows or slide.charts or slide.pictures or slide in excused):
            bad.append(wrong(slide, f"it has {said} bullet{'' if said == 1 else 's'} of two words or more",
                             "Write at least two bullets a slide"))
    if not deck.content_slides:
        bad.append(Finding(found="there is no slide beside the title slide", remedy="Add slides"))
    yield graded("substance", bad, 4, of=len(deck.content_slides))


def novelty(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Each slide adds words of its own: not those of the task or the titles, put together anew."""
    said = set(words(brief.task.text)) | {word for slide in deck.slides[:1] for word in words(slide.title)}
    idle = []
    for slide in deck.content_slides:
        new = {word for text in (*slide.points, *slide.rows, *slide.headings) for word in content_words(text)} - said
        if len(new) < _NEW and not slide.charts and not slide.pictures and slide.points:
            idle.append(wrong(slide, "it says nothing that the task or an earlier slide does not",
                              "Say what the reader does not know yet"))
        said |= new | set(words(slide.title))
    share = 1 - len(idle) / len(deck.content_slides) if deck.content_slides else 0.0
    yield graded("novelty", idle, 2, score=share, allowed=share >= _SPREAD_OF_NEWS)


def topic(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The words of the task occur in the deck, in any of their forms."""
    said = list(dict.fromkeys(word for slide in deck.slides for word in words(slide.text)))
    share, missing = max((_covered(wanted, said) for wanted in (subject_words(brief.task), brief.topic)),
                         key=lambda covered: covered[0])
    needed = _COVERED if brief.task.text.isascii() else _COVERED_OTHER_SCRIPT
    found = f"{share:.0%} of the task's words occur; missing: {', '.join(missing[:8])}"
    bad = [] if share >= needed else [Finding(found=found, remedy="Write about what was asked")]
    yield graded("topic", bad, 4, score=share)


def _covered(wanted: Sequence[str], said: Sequence[str]) -> tuple[float, list[str]]:
    missing = [word for word in wanted if not any(alike(word, other) for other in said)]
    return 1 - len(missing) / len(wanted) if wanted else 1.0, missing


def spread(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The topic is not only named in the title: a third of the slides after it speak of it."""
    silent = [wrong(s, "it holds no word of the task", "Tie each slide to the topic")
              for s in deck.content_slides if brief.topic and not shares(words(s.text), brief.topic)]
    share = 1 - len(silent) / len(deck.content_slides) if deck.content_slides else 0.0
    yield graded("spread", silent, score=share, allowed=share >= _SPREAD)


def pasted(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The deck does not just say the task again, in one bullet or cut into several."""
    asked = words(brief.task.text)
    remedy = "Write what answers the task"
    texts = [(slide, text) for slide in deck.slides for text in slide.points]
    bad = [wrong(slide, f"it says the task again: '{short(text)}'", remedy)
           for slide, text in texts if _is_most_of(words(text), asked) or (
               asks_for_a_deck(text) and len(words(text)) >= 6 and _runs_in(words(text), asked))]
    bad += [wrong(slide, f"its title is the task: '{short(slide.title)}'", remedy) for slide in deck.slides
            if asks_for_a_deck(slide.title) and _is_most_of(words(slide.title), asked)]
    parts = [(slide, text) for slide, text in texts if len(words(text)) >= 3 and _runs_in(words(text), asked)]
    if texts and len(parts) > 0.3 * len(texts):
        bad += [wrong(slide, f"a part of the task: '{short(text)}'", remedy) for slide, text in parts]
    yield graded("pasted", bad, 2, score=float(not bad))


def copied(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The deck does not repeat what an exemplar says about another topic.

    A text counts as copied if it stands in an exemplar, nearly or word for word, and shares no word with the
    task, or if it is an exemplar's with only the topic's name put in its place. A fifth may be: two decks may
    both have a slide 'What it costs'.
    """
    texts = [(slide, t) for slide in deck.slides for t in slide.statements if len(words(t)) >= 4]
    texts += [(slide, slide.title) for slide in deck.slides if len(words(slide.title)) >= 3]
    sources = [_Source(run, brief) for run in brief.exemplars]
    bad = [wrong(slide, f"'{short(text)}' is an exemplar's text", "Write about this topic in its own words")
           for slide, text in texts if any(source.holds(text) for source in sources)]
    share = len(bad) / len(texts) if texts else 0.0
    yield graded("copied", bad, 2, score=1 - share, allowed=share <= _COPIED)


class _Source:
    """The texts of one exemplar, as the brief's task sees them."""

    def __init__(self, run: Trajectory, brief: Brief) -> None:
        self.topic = brief.topic
        self.own = topic_words(run.task)
        long = [text for action in run.actions for text in _strings(action.arguments) if len(words(text)) >= 3]
        self.texts = {key(text): text for text in long}
        self.facts = {fact for text in long if len(fact := _without(text, self.own)) >= 3}

    def holds(self, text: str) -> bool:
        same = key(text) in self.texts
        if same or any(nearly(text, other) for other in self.texts.values()):
            if not shares(content_words(text), self.topic):
                return True
            if same:
                return False  # on the topic of both: a fact may be true of two decks
        fact = _without(text, self.topic)
        return len(fact) >= 3 and fact in self.facts


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(each, str) for each in value):
            yield " | ".join(value)  # a row of a table, as it is read from the slide
        for each in value:
            yield from _strings(each)


def _without(text: str, topic: Sequence[str]) -> tuple[str, ...]:
    """The content words of `text` beside those of a topic, in a fixed order."""
    return tuple(sorted(word for word in content_words(text) if not any(alike(word, other) for other in topic)))


def _title_key(title: str) -> tuple[str, ...]:
    return tuple(word for word in key(title) if word not in ("continu", "continued", "cont"))


def _is_most_of(part: list[str], whole: list[str]) -> bool:
    return len(part) >= 4 and len(part) >= 0.8 * len(whole) and (_runs_in(part, whole) or _runs_in(whole, part))


def _runs_in(part: list[str], whole: list[str]) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(whole)} "
