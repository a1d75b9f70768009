"""What a task asks of a deck, declared or read from its words: how many slides, about what, and with what on them."""

import re
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from autorl.errors import UsageError
from autorl.types import Task

from .wording import content_words

_COUNTING = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty"""
_NUMBERS = {word: number for number, word in enumerate(_COUNTING.split(), start=1)} | {"single": 1, "dozen": 12}
_MOST = 50
_N = rf"(?P<{{}}>[0-9]{{{{1,3}}}}|{'|'.join(_NUMBERS)})"
# Up to two words may stand between the number and "slides", but none that gives the number to something else:
# "five short slides", never "three bullets on each slide".
_BETWEEN = r"(?:(?!(?:of|per|on|in|a|an|each|for|to|every|and|or|the|at|with|by)\b)[^\W\d_]+,?[\s-]+){0,2}?"
_COUNT = re.compile(
    rf"(?<![\w.–-]){_N.format('first')}(?:\s*(?:-|–|to|or)\s*{_N.format('last')})?[\s-]+(?P<kind>{_BETWEEN})slides?\b",
    re.IGNORECASE)
_TITLE_APART = re.compile(
    r"\b(?:plus|besides|excluding|without counting|not counting|not including|in addition to|and)\s+"
    r"(?:(?:a|the|its|one)\s+)?(?:title|cover)(?:[\s-]+(?:slide|page))?\b", re.IGNORECASE)
_AT_LEAST = re.compile(r"\b(?:at least|no fewer than|not less than|minimum of)\s*$", re.IGNORECASE)
_AT_MOST = re.compile(r"\b(?:at most|no more than|not more than|up to|maximum of)\s*$", re.IGNORECASE)

_FOR_WHOM = re.compile(
    r"\bfor(?:\s+(?!(?:about|on|covering|that|with|explaining|showing)\b)[\w'’-]+){1,5}", re.IGNORECASE)

# Words of a request for a deck that are not its topic.
_REQUEST = """
    add build bullet bullets chart charts create deck decks design draft explain explaining explains generate
    give good help include including includes introduce introducing keynote make notes pitch points powerpoint
    ppt pptx prepare present presentation produce put quick short show showing shows simple slide slides
    slideshow speaker summarise summarising summarize summarizing table talk title walk walking write written
    brief clear covering covers monday tuesday wednesday thursday friday saturday sunday tomorrow today
    compact concise minute minutes meeting session teach teaches teaching learn tell tells telling people
    everyone audience colleagues class students kids children beginners
"""
_ASKING = frozenset(_REQUEST.split()) | _NUMBERS.keys()


_MANY = {"two": 2, "three": 3, "four": 4}
_ASKED_WITH = r"\b(?:with|include|includes|including|add|plus|and|show|showing|in|as|has|have|containing)\s+"
_HOW_MANY = r"(?:(?P<count>a|an|one|two|three|four|the|some|both)\s+)?(?:(?!of\b)\w+\s+){0,2}?"
_TABLE = re.compile(rf"{_ASKED_WITH}{_HOW_MANY}tables?\b(?!\s+(?:tennis|cloth|manners|of contents|salt))",
                    re.IGNORECASE)
_CHART = re.compile(rf"{_ASKED_WITH}{_HOW_MANY}(?:charts?|graphs?)\b", re.IGNORECASE)
_NOTES = re.compile(r"\b(?:speaker|presenter|speaking)(?:'s|s)?\s+notes\b|\bwith\s+notes\b", re.IGNORECASE)
_SECTIONS = re.compile(r"\bsections?\s*(?:on|about|for|:)\s*(?P<list>[^.;:\n]{3,400})", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What a deck has to hold.

    sections: subjects that each need a slide; points: what it has to say somewhere; tables, charts, pictures: at least
    so many; notes: for the speaker; audience: whom it is for
    """

    sections: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: int = 0
    charts: int = 0
    pictures: int = 0
    notes: bool = False
    audience: str = ""


@dataclass(frozen=True)
class SlideCount:
    """How many slides a task asks for, its title slide among them: from `least` to `most`."""

    least: int
    most: int

    def __str__(self) -> str:
        if self.most >= _MOST:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def __contains__(self, slides: int) -> bool:
        return self.least <= slides <= self.most


def slides_asked(task: Task) -> SlideCount | None:
    """How many slides `task` asks for, or None when it does not say.

    `task.requirements["slides"]` goes before the text. Raises UsageError if that is no count of 1..50.
    """
    required = task.requirements.get("slides")
    if required is not None:
        if not isinstance(required, int) or isinstance(required, bool) or not 1 <= required <= _MOST:
            raise UsageError(f"the task '{task.id}' requires {required!r} slides", f"Give a number from 1 to {_MOST}")
        return SlideCount(required, required)
    return _count_in(task.text)


@lru_cache(maxsize=256)
def _count_in(text: str) -> SlideCount | None:
    for match in _COUNT.finditer(text):
        first = _number(match["first"])
        last = _number(match["last"]) if match["last"] else first
        if not 1 <= first <= last <= _MOST:
            continue  # a year, or the other way round
        before = text[: match.start()]
        if _AT_LEAST.search(before):
            return SlideCount(first, _MOST)
        if _AT_MOST.search(before):
            return SlideCount(min(2, first), first)
        # "five content slides" and "five slides plus a title" leave the title slide out of the count.
        apart = "content" in match["kind"].lower() or _TITLE_APART.match(text, match.end() + 1)
        return SlideCount(first + bool(apart), last + bool(apart))
    return None


def wanted(task: Task) -> Wanted:
    """What `task` wants on its slides: what its requirements declare, and else what its text says.

    Raises UsageError for a requirement that cannot be read.
    """
    said = Wanted(tables=_asked(_TABLE, task), charts=_asked(_CHART, task), notes=bool(_NOTES.search(task.text)),
                  sections=_listed(task.text))
    declared = {name: _declared(task, name, value) for name, value in task.requirements.items() if name in _DECLARED}
    return replace(said, **declared)


_DECLARED = {field.name: type(field.default) for field in fields(Wanted)}


def _declared(task: Task, name: str, value: Any) -> Any:
    """A requirement as `Wanted` holds it; `true` asks for one."""
    kind = _DECLARED[name]
    if kind is tuple and isinstance(value, (list, tuple)) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    if kind is int and isinstance(value, int) and 0 <= value <= _MOST:
        return int(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    expected = {tuple: "a list of texts", int: f"a number from 0 to {_MOST}", bool: "true or false", str: "a text"}
    raise UsageError(f"the task '{task.id}' requires {name}: {value!r}", f"Give {expected[kind]}")


def _asked(pattern: re.Pattern[str], task: Task) -> int:
    return max((_MANY.get((match["count"] or "").lower(), 1) for match in pattern.finditer(task.text)), default=0)


def _listed(text: str) -> tuple[str, ...]:
    match = _SECTIONS.search(text)
    return tuple(part.strip() for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", match["list"]) if part.strip()) \
        if match else ()


def topic_words(task: Task) -> list[str]:
    """The words of `task` that tell its topic, without those that only ask for a deck."""
    return content_words(task.text, beside=_ASKING) or content_words(task.text, beside=("slide", "slides", "deck"))


def subject_words(task: Task) -> list[str]:
    """The words of the topic without those of the audience, which a good deck need not name.

    "Slides on erupting volcanoes for a primary school" is about volcanoes; "slides on caring for a dog" is not
    about caring alone, so one word left over is too few.
    """
    without = content_words(_FOR_WHOM.sub(" ", task.text), beside=_ASKING)
    return without if len(without) >= 2 else topic_words(task)


def asks_for_a_deck(text: str) -> bool:
    """Whether `text` speaks of the deck to be made rather than of a topic."""
    return bool(re.search(r"\b(?:slides?|decks?|presentations?|powerpoint|pptx?)\b", text, re.IGNORECASE))


def _number(text: str) -> int:
    return _NUMBERS.get(text.lower()) or int(text)
