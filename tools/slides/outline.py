"""What comes next on the way to a deck that holds what its task asks for: what guided runs may choose from.

The slides are those that the task names, in its order and under its words; a table or a chart stands where the task
tells its data, at the latest where no other slide is left, and shows those data. As long as the task says more, a slide
begins with something of that, and the policy goes on from there; all else on the slides is its own. `mistakes` are
those that small policies make most when they are left to themselves.
"""

import re
from collections.abc import Sequence
from typing import Any

from autorl.types import Action, Task, ToolSpec, Trajectory

from .requirements import asks_for_a_deck, slides_asked, topic_words, wanted
from .wording import STOPWORDS, content_words, nearly, shares, unspaced, words

_TITLE, _BULLET, _LABEL = 60, 90, 24
_BULLETS, _MOST_BULLETS, _LABELS = 3, 5, 6
_WORDS = (3, 9)
"""Words of a bullet: half of what there is room for, as a policy that learns from it writes more now and then."""
_BEGINNING, _GOES_ON = 52, (2, 5)
"""Characters of what the task says that a bullet may begin with, and words that go on from there."""
_SHOWING = {"add_table": "tables", "add_chart": "charts"}
_VISUAL = re.compile(r"\b(?:tables?|charts?|graphs?)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_CLAUSE = re.compile(r"[.,;:!?()\n]+|\s[–-]\s")
_NUMBER = r"(?P<number>[0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,9})?|[0-9]{1,12}(?:[.,][0-9]{1,9})?)"
_DATUM = re.compile(rf"(?<!\s)\s{{1,9}}{_NUMBER}(?:\s[^\W\d]+)?\s*[.%]?$")
_OF_A_YEAR = re.compile(rf"(?<![0-9.,]){_NUMBER}\sin\s(?P<label>[0-9]{{4}})\b")


def offered(tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
    """Of these tools, and of what they take, what brings the deck of `trajectory` nearer to what its task asks for."""
    known = {tool.name: tool for tool in tools}
    task = trajectory.task
    asked, count = wanted(task), slides_asked(task)
    if "start_deck" in known:
        topics = sorted((clause for clause in _clauses(task) if not any(
            shares(_telling(clause), _telling(section)) for section in asked.sections)),
            key=lambda clause: -len(content_words(clause)))
        audience = [f"For {asked.audience}"] if asked.audience else []
        return (_with(known["start_deck"], title=_enum(topics[:2]), subtitle=_enum(audience)),)
    slides = _slides(trajectory)
    sections = [section for section in asked.sections if len(section) <= _TITLE and not _said(section, slides)]
    room = max(0, count.most - len(slides)) if count else len(sections)
    if not room or "add_slide" not in known:
        return (known["save_deck"],) if "save_deck" in known else tools
    told = [clause for clause in _clauses(task) if not _said(clause, slides)]
    titles = sections[:1] or told[::2]
    lacking = [tool for tool, what in _SHOWING.items()
               if tool in known and sum(slide.name == tool for slide in slides) < getattr(asked, what)]
    if lacking and (room <= len(lacking) or (sections and _tells_data(task, sections[0]))):
        labels, values = _data(task)
        return tuple(_with(known[tool], title=_enum(titles), labels=labels, values=values) for tool in lacking)
    points = [point for point in asked.points if len(point) <= _BULLET and not _said(point, slides)]
    due = [point for point in points if titles and shares(_telling(point), _telling(titles[0]))]
    due = due or (points if room - len(lacking) <= len(points) else [])
    unsaid = [begin for clause in (told if sections else told[1::2])
              if (begin := _end_of(clause, _BEGINNING)) and not _begun(begin, slides)
              and not unspaced(clause) and not any(nearly(clause, section) for section in asked.sections)]
    near = [clause for clause in unsaid if titles and shares(_telling(clause), _telling(titles[0]))]
    bullets = _bullets(task, due[:1], begins=(near or unsaid)[:2])
    return (_with(known["add_slide"], title=_enum(titles), bullets=bullets, notes=bool(asked.notes)),)


def mistakes(tools: tuple[ToolSpec, ...], trajectory: Trajectory) -> tuple[ToolSpec, ...]:
    """Calls of these tools that are refused as things stand, whatever is said in them.

    But for a title that stands there already: a policy that insists on one gets it.
    """
    known = {tool.name: tool for tool in tools}
    if not {"start_deck", "add_slide", "save_deck"} <= known.keys():
        return ()
    task = trajectory.task
    asked, count, slides = wanted(task), slides_asked(task), _slides(trajectory)
    add = known["add_slide"]
    titles = _enum([section for section in asked.sections if len(section) <= _TITLE and not _said(section, slides)][:1])
    if not slides:
        return (_with(known["start_deck"], title=_too_long(_TITLE)),
                _with(add, title=titles, bullets=_bullets(task), notes=False))
    if count and len(slides) >= count.most:
        return (_with(add, title=titles, bullets=_bullets(task), notes=False),)
    wrong = [_with(add, title=titles, bullets=bullets, notes=False) for bullets in (
        _bullets(task, items=_MOST_BULLETS + 2), {"type": "array", "prefixItems": [_too_long(_BULLET)] * _BULLETS})]
    if count and len(slides) < count.least:
        wrong.append(known["save_deck"])
    if made := [slide.arguments["title"] for slide in slides if slide.name != "start_deck"]:
        wrong.append(_with(add, title=_enum(made), bullets=_bullets(task), notes=False))
    return tuple(wrong)


def _slides(trajectory: Trajectory) -> list[Action]:
    """The calls that made a slide, the title slide too."""
    return [step.action for step in trajectory.steps if step.action and "title" in step.action.arguments
            and step.observation and step.observation.ok]


def _bullets(task: Task, first: Sequence[str] = (), *, begins: Sequence[str] = (), items: int = _BULLETS
             ) -> dict[str, Any]:
    """The schema of so many bullets, the first of them one of `first`, or such as begins with one of `begins`."""
    own = {"type": "string", **({"maxLength": _BULLET // 2} if unspaced(task.text) else {"words": _WORDS})}
    begun = {**own, "words": _GOES_ON, "begins": [_capital(text) for text in begins]} if begins else own
    return {"type": "array", "prefixItems": [_enum(first) or begun, *[own] * (items - 1)]}


def _too_long(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": most + 10, "maxLength": 2 * most}


def _said(text: str, slides: Sequence[Action]) -> bool:
    """Whether a title or a bullet says `text` already."""
    return any(nearly(text, said) for slide in slides for said in (str(slide.arguments["title"]), *_bullets_of(slide)))


def _begun(text: str, slides: Sequence[Action]) -> bool:
    """Whether a bullet begins with `text`."""
    return any(bullet.casefold().startswith(text.casefold()) for slide in slides for bullet in _bullets_of(slide))


def _bullets_of(slide: Action) -> list[str]:
    return [str(bullet) for bullet in slide.arguments.get("bullets", ())]


def _clauses(task: Task) -> list[str]:
    """Parts of the task that could be a title: they speak of its topic, and not of the deck."""
    topic = topic_words(task)
    cut = (_end_of(part.strip(), _TITLE) for part in _CLAUSE.split(task.text))
    return list(dict.fromkeys(part for part in cut if not re.search(r"\d", part) and not _VISUAL.search(part)
                              and not asks_for_a_deck(part)
                              and sum(shares([word], topic) for word in content_words(part)) > 1))


def _end_of(text: str, most: int) -> str:
    """The end of `text` that has at most so many characters, from a word on that tells something if there is one."""
    while len(text) > most or (" " in text and text.split()[0].casefold() in STOPWORDS):
        text = text.partition(" ")[2]
    return text


def _tells_data(task: Task, section: str) -> bool:
    """Whether a sentence of the task that asks for a table or a chart speaks of `section`, too."""
    return any(_VISUAL.search(sentence) and shares(_telling(section), words(sentence)) and section not in sentence
               for sentence in _SENTENCE.split(task.text))


def _data(task: Task) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The labels and the values of the longest series in the text of the task, each the only list that is offered."""
    told = [_series(part) or _series(sentence) for sentence in _SENTENCE.split(task.text)
            for part in [sentence.rpartition(": ")[2]]]
    longest = max(told, key=len, default={})
    return (_enum([list(longest)]), _enum([list(longest.values())])) if longest else (None, None)


def _series(text: str) -> dict[str, float]:
    """Each label with its value, of "court 11, clients 9" or "212 in 2021 and 268 in 2022"; empty if it is no such."""
    parts = re.split(r"[;:]\s+|,\s+(?:and\s+)?|\s+and\s+", text)
    series = {}
    for part in parts:
        if (found := _OF_A_YEAR.search(part)) is not None:
            label = found["label"]
        elif (found := _DATUM.search(part.strip())) is not None:
            label = _capital(_end_of(part.strip()[: found.start()].strip(" \"'("), _LABEL))
        if found and label:
            series[label] = _value(found["number"])
    return series if 2 <= len(series) <= _LABELS else {}


def _value(text: str) -> float:
    """The number, of which commas may part the thousands, and one may stand for the point."""
    number = float(re.sub(r",(?=[0-9]{3})", "", text).replace(",", "."))
    return int(number) if number.is_integer() else number


def _telling(text: str) -> list[str]:
    return content_words(text) or words(text)


def _enum(values: Sequence[Any]) -> dict[str, Any] | None:
    return {"enum": [_capital(value) if isinstance(value, str) else value for value in values]} if values else None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _with(tool: ToolSpec, **narrower: dict[str, Any] | bool | None) -> ToolSpec:
    """`tool` with narrower schemas for those of its arguments, which it takes for certain then.

    True is for an argument as it is, False for one that it is not to take, None for one that it may take.
    """
    properties = tool.parameters["properties"]
    given = {name: schema for name, schema in narrower.items() if schema is not None and name in properties}
    left = {name: schema if given.get(name, True) is True else given[name] for name, schema in properties.items()
            if given.get(name) is not False}
    return tool.model_copy(update={"parameters": {
        **tool.parameters, "properties": left,
        "required": list(dict.fromkeys([*tool.parameters.get("required", ()), *(
            name for name, schema in given.items() if schema is not False)]))}})
