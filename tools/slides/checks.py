"""What is looked at in a deck: small functions, each from a deck and a brief to checks with place and remedy.

To add one, write it and put it into `CHECKS`. A check that has nothing to judge (no count was asked for) passes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autorl.types import Check, Task, Trajectory

from .opening import DeckContent
from .requirements import asks_for_a_deck, slides_asked, subject_words, topic_words
from .wording import alike, content_words, key, nearly, real_words, shares, words

_COVERED = 0.5
_COVERED_OTHER_SCRIPT = 0.25  # stopwords are known for English only, so more of the task's words are noise
_SPREAD = 1 / 3
_COPIED = 0.2
_FILLERS = ("click to add", "click to edit", "lorem ipsum", "your text here", "insert text", "bullet point here")


@dataclass(frozen=True)
class Brief:
    """What a deck is held against: the task, and the past runs that the policy was shown."""

    task: Task
    exemplars: tuple[Trajectory, ...] = ()

    @cached_property
    def topic(self) -> list[str]:
        return topic_words(self.task)


Look = Callable[[DeckContent, Brief], Iterator[Check]]


def slides(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """As many slides as asked, the title slide among them; at least two when nothing was asked."""
    asked, there = slides_asked(brief.task), len(deck.slides)
    least, most = (asked.least, asked.most) if asked else (2, max(there, 2))
    off = max(least - there, there - most, 0)
    wanted = f"{asked} asked for" if asked else "at least 2 expected"
    remedy = f"Add {least - there} more" if there < least else f"Leave out {there - most}"
    yield _check("slides", not off, max(0.0, 1 - off / least), 2, f"{there} slides, {wanted}", remedy)


def placeholders(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No box is left empty or with the text of a template."""
    bad = {s.number: f"slide {s.number} has an empty '{s.empty[0]}'" for s in deck.slides if s.empty}
    for slide in deck.slides:
        text = slide.text.casefold()
        filler = next((f for f in _FILLERS if f in text), None)
        if filler:
            bad[slide.number] = f"slide {slide.number} still says '{filler}'"
    yield _by_slide("placeholders", bad, len(deck.slides), "Fill or remove the box")


def titles(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Every slide has a title, and no two say the same."""
    bad: dict[int, str] = {}
    first: dict[tuple[str, ...], int] = {}
    for slide in deck.slides:
        if not slide.title.strip():
            bad[slide.number] = f"slide {slide.number} has no title"
        elif (other := first.setdefault(_title_key(slide.title), slide.number)) != slide.number:
            bad[slide.number] = f"slides {other} and {slide.number} have the title '{_short(slide.title)}'"
    yield _by_slide("titles", bad, len(deck.slides), "Give every slide a title of its own", weight=2)


def repeats(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No bullet, table row or chart stands in the deck twice."""
    first: dict[tuple[str, ...], int] = {}
    again: list[str] = []
    total = 0
    for slide in deck.slides:
        for text in slide.statements:
            total += 1
            if key(text) in first:
                again.append(f"slide {slide.number} repeats '{_short(text)}' of slide {first[key(text)]}")
            else:
                first[key(text)] = slide.number
    score = 1 - len(again) / total if total else 0.0
    found = _list(again) if total else "the deck says nothing"
    yield _check("repeats", bool(total) and not again, score, 2, found, "Say something new on each slide")


def substance(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Every slide after the first says something: two points of two words, a table, a chart or a picture."""
    bad: dict[int, str] = {}
    for slide in deck.content_slides:
        said = sum(len(real_words(point)) >= 2 for point in slide.points)
        if said < 2 and not (slide.rows or slide.charts or slide.pictures):
            bad[slide.number] = f"slide {slide.number} has {said} bullet{'' if said == 1 else 's'} of two words or more"
    if not deck.content_slides:
        bad[0] = "there is no slide beside the title slide"
    yield _by_slide("substance", bad, len(deck.content_slides), "Write at least two bullets a slide", weight=2)


def topic(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The words of the task occur in the deck, in any of their forms."""
    said = list(dict.fromkeys(word for slide in deck.slides for word in words(slide.text)))
    share, missing = max((_covered(wanted, said) for wanted in (subject_words(brief.task), brief.topic)),
                         key=lambda covered: covered[0])
    needed = _COVERED if brief.task.text.isascii() else _COVERED_OTHER_SCRIPT
    found = f"{share:.0%} of the task's words occur; missing: {', '.join(missing[:8])}"
    yield _check("topic", share >= needed, share, 2, found, "Write about what was asked")


def _covered(wanted: Sequence[str], said: Sequence[str]) -> tuple[float, list[str]]:
    missing = [word for word in wanted if not any(alike(word, other) for other in said)]
    return 1 - len(missing) / len(wanted) if wanted else 1.0, missing


def spread(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The topic is not only named in the title: a third of the slides after it speak of it."""
    silent = [s.number for s in deck.content_slides if brief.topic and not shares(words(s.text), brief.topic)]
    share = 1 - len(silent) / len(deck.content_slides) if deck.content_slides else 0.0
    found = f"slides {', '.join(map(str, silent[:8]))} hold no word of the task"
    yield _check("spread", share >= _SPREAD, share, 1, found, "Tie each slide to the topic")


def pasted(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The deck does not just say the task again, in one bullet or cut into several."""
    asked = words(brief.task.text)
    texts = [(slide.number, text) for slide in deck.slides for text in slide.points]
    bad = [f"slide {n} says the task again: '{_short(text)}'" for n, text in texts if _is_most_of(words(text), asked)]
    bad += [f"the title of slide {s.number} is the task: '{_short(s.title)}'" for s in deck.slides
            if asks_for_a_deck(s.title) and _is_most_of(words(s.title), asked)]
    parts = [text for _, text in texts if len(words(text)) >= 3 and _runs_in(words(text), asked)]
    if texts and len(parts) > 0.3 * len(texts):
        bad.append(f"{len(parts)} of {len(texts)} bullets are parts of the task, such as '{_short(parts[0])}'")
    yield _check("pasted", not bad, 0.0 if bad else 1.0, 2, _list(bad), "Write what answers the task")


def copied(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """The deck does not repeat what an exemplar says about another topic.

    A text counts as copied if it stands in an exemplar, nearly or word for word, and shares no word with the
    task, or if it is an exemplar's with only the topic's name put in its place. A fifth may be: two decks may
    both have a slide 'What it costs'.
    """
    texts = [(s.number, t) for s in deck.slides for t in s.statements if len(words(t)) >= 4]
    texts += [(s.number, s.title) for s in deck.slides if len(words(s.title)) >= 3]
    sources = [_Source(run, brief) for run in brief.exemplars]
    bad = [f"slide {n}: '{_short(text)}'" for n, text in texts if any(source.holds(text) for source in sources)]
    share = len(bad) / len(texts) if texts else 0.0
    found = f"{len(bad)} of {len(texts)} texts are an exemplar's: {_list(bad)}"
    yield _check("copied", share <= _COPIED, 1 - share, 2, found, "Write about this topic in its own words")


CHECKS: tuple[Look, ...] = (slides, titles, placeholders, substance, repeats, topic, spread, pasted, copied)


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


def _by_slide(name: str, bad: dict[int, str], slides: int, remedy: str, weight: float = 1) -> Check:
    """One check for all slides: `bad` tells what is wrong with which."""
    score = 1 - len(bad) / slides if slides else 0.0
    found = _list(list(bad.values())) if slides or bad else "there are no slides"
    return _check(name, bool(slides) and not bad, max(score, 0.0), weight, found, remedy)


def _check(name: str, passed: bool, score: float, weight: float, found: str, remedy: str) -> Check:
    return Check(name=name, passed=passed, score=score, weight=weight, found="" if passed else found,
                 remedy="" if passed else remedy)


def _list(findings: Sequence[str]) -> str:
    more = f" and {len(findings) - 3} more" if len(findings) > 3 else ""
    return "; ".join(findings[:3]) + more


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
