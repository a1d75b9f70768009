"""Defects of what a slide says: left-over text, repetition, words that do not belong, exhibits that are missing."""

import copy
import random
from collections.abc import Mapping
from typing import Any

from pptx.chart.data import CategoryChartData
from pptx.opc.constants import RELATIONSHIP_TYPE

from .decks import TOPICS, task_of, topic_of
from .drawing import Box, Colours, text_box, write
from .kinds import anything, body, chart, defect, has, prose, remove, rest, table

_FILLERS = ("Click to add text", "Lorem ipsum dolor sit amet, consectetur adipiscing elit", "[Insert chart here]",
            "Your text here", "TODO: add the figures", "Add your second point here", "Insert text here")


@defect(visible=True, fits=has(prose))
def placeholder_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text that a template or a draft left behind."""
    filler, frame = rng.choice(_FILLERS), prose(slide).text_frame
    if rng.random() < 0.3:
        for paragraph in frame.paragraphs[1:]:
            paragraph._p.getparent().remove(paragraph._p)
    _say(rng.choice(frame.paragraphs), filler)
    return f"'{filler}'"


@defect(visible=True, fits=has(body))
def blank_slide(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A title, and nothing below it."""
    whole = rng.random() < 0.5
    for shape in rest(slide):
        if shape.is_placeholder and not whole:
            shape.text_frame.clear()
        else:
            remove(shape)
    return "all content is gone" if whole else "the text is gone and its empty box left"


@defect(visible=True, fits=anything)
def no_title(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A slide without its title."""
    if rng.random() < 0.5:
        remove(slide.shapes.title)
        return "the title's box is gone"
    slide.shapes.title.text_frame.clear()
    return "the title is empty"


@defect(visible=True, fits=anything)
def same_title(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A title that stands on another slide already."""
    others = [other for other in list(presentation.slides)[1:] if other is not slide]
    title = rng.choice(others).shapes.title.text_frame.text
    slide.shapes.title.text_frame.text = rng.choice((title, title, title.upper(), f"{title}."))
    return f"'{slide.shapes.title.text_frame.text}' again"


@defect(visible=True, fits=has(body))
def same_bullet(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A bullet that says what another one of the slide says."""
    paragraphs = body(slide).text_frame.paragraphs
    first = max(paragraphs, key=lambda p: len(p.text.split()))
    twin = copy.deepcopy(first._p)
    paragraphs[-1]._p.addnext(twin)
    last = body(slide).text_frame.paragraphs[-1]
    said = first.text
    _say(last, rng.choice((said, said, f"{said}.", f"And {said[0].lower()}{said[1:]}")))
    return f"'{last.text}' after '{said}'"


@defect(visible=True, fits=has(body))
def prompt_pasted(presentation: Any, slide: Any, rng: random.Random) -> str:
    """The request for the deck, put on a slide of it."""
    request, paragraphs = task_of(topic_of(presentation), presentation).text, body(slide).text_frame.paragraphs
    parts = [request] if rng.random() < 0.6 else [part.strip(" .") for part in request.split(". ")]
    for paragraph, part in zip(paragraphs, parts, strict=False):
        _say(paragraph, part)
    return f"'{parts[0]}'"


@defect(visible=True, fits=has(body))
def off_topic(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A slide about something else altogether."""
    other = rng.choice([text for text in TOPICS.values() if text is not topic_of(presentation)])
    _rewrite(slide, rng.choice(other["sections"]))
    return f"speaks of {other['about']}"


@defect(visible=True, fits=anything)
def repeated_slide(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A slide that says what another one says."""
    others = [s for s in list(presentation.slides)[1:] if s is not slide and not s.element.xpath("//@r:embed|//@r:id")]
    source = rng.choice(others)
    title = source.shapes.title.text_frame.text
    slide.element.replace(slide.element.cSld, copy.deepcopy(source.element.cSld))
    next(r for r in slide.part.rels.values() if r.reltype == RELATIONSHIP_TYPE.SLIDE_LAYOUT)._target = (
        source.slide_layout.part)
    shown = presentation.slides[presentation.slides.index(slide)]
    if rng.random() < 0.3:
        next(s for s in shown.placeholders if s.placeholder_format.idx == 0).text_frame.text = f"More: {title}"
    return f"shows '{title}' again"


@defect(visible=True, fits=has(body))
def wall_of_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """More prose than an audience will read, in type that is large enough."""
    shape, topic = body(slide), topic_of(presentation)
    for other in rest(slide):
        if other.element is not shape.element:
            remove(other)
    said, wanted = [], rng.randint(170, 240)
    for sentence in spoken(topic, rng):
        said.append(sentence)
        if sum(len(each.split()) for each in said) >= wanted:
            break
    whole = presentation.slide_layouts.get_by_name("Title and Content").placeholders[1]
    shape.left, shape.top, shape.width, shape.height = whole.left, whole.top, whole.width, whole.height
    halves = [said] if rng.random() < 0.5 else [said[: len(said) // 2], said[len(said) // 2 :]]
    shape.text_frame.clear()
    write(shape.text_frame, [(" ".join(half), rng.choice((16, 18)), False) for half in halves],
          Colours.of(presentation)["tx1"])
    return f"{sum(len(each.split()) for each in said)} words"


@defect(visible=True, fits=has(chart))
def empty_chart(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A chart without data."""
    _redraw(slide, None)
    return "a chart without values"


@defect(visible=True, fits=has(chart))
def zero_chart(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A chart in which every value is zero."""
    _redraw(slide, 0)
    return "a chart of zeros"


@defect(visible=False, fits=lambda slide: slide.shapes.title.text_frame.text in _SECTIONS)
def missing_section(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A section that was asked for, replaced by one that was not: seen only beside the task."""
    title = slide.shapes.title.text_frame.text
    _rewrite(slide, topic_of(presentation)["spare"])
    return f"'{title}' is gone"


@defect(visible=False, fits=lambda slide: table(slide) is not None or chart(slide) is not None)
def missing_exhibit(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Lines of text where a table or a chart was asked for: seen only beside the task."""
    found, topic = table(slide), topic_of(presentation)
    pairs = [row[:2] for row in topic["table"]["rows"]]
    if found is None:
        found, text = chart(slide), topic["chart"]
        pairs = [(label, f"{value:g} {text['unit']}")
                 for label, value in zip(text["labels"], text["values"], strict=True)]
        slide.part.drop_rel(found.element.xpath(".//c:chart/@r:id")[0])
    place = Box(found.left, found.top, found.width, found.height)
    shape = text_box(slide, place, "", 20, Colours.of(presentation)["tx1"])
    shape.text_frame.clear()
    write(shape.text_frame, [(f"{name}: {value}", 20, False) for name, value in pairs], Colours.of(presentation)["tx1"])
    what = "table" if found.has_table else "chart"
    remove(found)
    return f"no {what}, only lines of text"


def spoken(topic: Mapping[str, Any], rng: random.Random) -> list[str]:
    """Sentences about a topic, in an order of their own."""
    parts = [*topic["sections"], *(topic[name] for name in ("table", "chart", "cards", "steps", "numbers", "picture",
                                                           "columns"))]
    found = [part["notes"] for part in parts]
    found += [f"{point}." for point in topic["spare"]["points"]]
    found += [f"{point.removeprefix('- ')}." for part in topic["sections"] for point in part["points"]]
    found += [f"{item[1]}." for item in topic["cards"]["items"]]
    found += [f"{point}." for name in ("first", "second") for point in topic["columns"][name]]
    rng.shuffle(found)
    return found


def _say(paragraph: Any, text: str) -> None:
    """Other words in the first run's type."""
    for run in paragraph.runs[1:]:
        paragraph._p.remove(run._r)
    (paragraph.runs[0] if paragraph.runs else paragraph.add_run()).text = text


def _rewrite(slide: Any, text: Mapping[str, Any]) -> None:
    """Another section's title, points and notes; what illustrated the old one goes."""
    kept = body(slide)
    for shape in rest(slide):
        if shape.element is not kept.element:
            remove(shape)
    slide.shapes.title.text_frame.text = text["title"]
    kept.text_frame.text = "\n".join(point.removeprefix("- ") for point in text["points"])
    slide.notes_slide.notes_text_frame.text = text.get("notes", "Ask the audience what they make of it.")


def _redraw(slide: Any, value: float | None) -> None:
    drawn = chart(slide).chart
    data = CategoryChartData()
    data.categories = list(drawn.plots[0].categories)
    data.add_series(drawn.plots[0].series[0].name, [value] * len(data.categories))
    drawn.replace_data(data)


_SECTIONS = {section["title"] for topic in TOPICS.values() for section in topic["sections"]}
