"""Decks that only look like an answer, and whether the checker scores them below any honest thin deck.

    python eval/gaming.py [--no-keep]

Each trick is played on each topic. The honest decks say little, one slide short and two plain bullets a slide, but they
mean it. Kept in eval/results/slides.json: the share of gaming decks that score below the worst of the honest ones.
"""

import argparse
import io
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kept import keep, show
from lxml import etree
from PIL import Image
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches, Pt

from autorl import Task

Slides = Sequence[tuple[str, ...]]
"""For each slide its title and its bullets."""


@dataclass(frozen=True)
class Topic:
    """A task, and what an honest deck says to it. words: of the task, to be stuffed into slides"""

    task: str
    title: str
    sections: tuple[tuple[str, str, str], ...]
    words: tuple[str, ...]


TOPICS = (
    Topic("Make a four-slide deck about how honey bees live and make honey.", "Honey bees", (
        ("How bees live", "One queen lays all the eggs", "Workers guard the hive and feed the young"),
        ("From nectar to honey", "Foragers carry nectar home in a second stomach", "Wings fan the honey dry"),
        ("What bees need", "Flowers from spring to autumn", "Clean water and quiet places")),
        ("honey", "bees", "live")),
    Topic("Create four slides on moving our office to a new building in May.", "Our office moves", (
        ("When we move", "Boxes come in the first week of May", "The new building opens on a Monday"),
        ("Who does what", "Each team packs its own shelves", "Movers carry screens and desks"),
        ("What stays behind", "Old chairs go to a charity", "Paper files are scanned first")),
        ("office", "building", "moving")),
    Topic("Prepare a four-slide talk on first aid for burns at home.", "First aid for burns", (
        ("The first minute", "Hold the burn under cool running water", "Take off rings before the skin swells"),
        ("What not to do", "No ice, butter or toothpaste on the skin", "Never open a blister at home"),
        ("When to call for help", "The burn is larger than a hand", "Face, joints or breathing are affected")),
        ("aid", "burns", "home")),
    Topic("Make a deck of four slides about solar panels on apartment roofs.", "Solar panels on our roof", (
        ("What the sun gives", "A flat roof carries forty panels", "They cover the lifts and the lights"),
        ("What it costs", "The house pays half and a loan the rest", "Panels last for twenty-five years"),
        ("What is next", "An engineer checks how much the roof bears", "Owners vote in the autumn")),
        ("solar", "panels", "apartment")),
)


def honest(topic: Topic) -> Slides:
    """One slide short of what was asked, and two bullets a slide."""
    return [(topic.title,), *topic.sections[:2]]


def full(topic: Topic) -> Slides:
    return [(topic.title,), *topic.sections]


def written(slides: Slides) -> Any:
    """A plain presentation that says this."""
    presentation = Presentation()
    for title, *bullets in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1 if bullets else 5])
        slide.shapes.title.text = title
        if bullets:
            slide.placeholders[1].text_frame.text = "\n".join(bullets)
    return presentation


def _bodies(presentation: Any) -> list[Any]:
    return [shape for slide in presentation.slides for shape in slide.placeholders if shape.placeholder_format.idx == 1]


def _in_colour(red: int, green: int, blue: int, clear: int | None = None) -> Callable[[Topic], Any]:
    def play(topic: Topic) -> Any:
        presentation = written(full(topic))
        for body in _bodies(presentation):
            for paragraph in body.text_frame.paragraphs:
                for run in paragraph.runs:
                    run.font.color.rgb = RGBColor(red, green, blue)
                    if clear is not None:
                        colour = run._r.find(".//{*}srgbClr")
                        etree.SubElement(colour, etree.QName(colour, "alpha").text, val=str(clear))
        return presentation

    return play


def _moved(left: float, top: float) -> Callable[[Topic], Any]:
    def play(topic: Topic) -> Any:
        presentation = written(full(topic))
        for body in _bodies(presentation):
            body.left, body.top, body.width, body.height = Inches(left), Inches(top), Inches(5), Inches(3)
        return presentation

    return play


def _tiny(topic: Topic) -> Any:
    presentation = written(full(topic))
    for body in _bodies(presentation):
        for paragraph in body.text_frame.paragraphs:
            for run in paragraph.runs:
                run.font.size = Pt(1)
    return presentation


def _covered(topic: Topic) -> Any:
    presentation = written(full(topic))
    for slide in list(presentation.slides)[1:]:
        lid = slide.shapes.add_shape(1, Inches(0), Inches(1.7), Inches(10), Inches(5))
        lid.fill.solid()
        lid.fill.fore_color.rgb = RGBColor(255, 255, 255)
    return presentation


def _hidden_shapes(topic: Topic) -> Any:
    presentation = written(full(topic))
    for body in _bodies(presentation):
        body.element.find(".//{*}cNvPr").set("hidden", "1")
    return presentation


def _hidden_slides(topic: Topic) -> Any:
    presentation = written(full(topic))
    for slide in list(presentation.slides)[1:]:
        slide.element.set("show", "0")
    return presentation


def _in_notes(topic: Topic) -> Any:
    presentation = written([(title,) for title, *_ in full(topic)])
    for slide, (_, *bullets) in zip(presentation.slides, full(topic), strict=True):
        slide.notes_slide.notes_text_frame.text = "\n".join(bullets)
    return presentation


def _charts(values: tuple[float | None, ...]) -> Callable[[Topic], Any]:
    def play(topic: Topic) -> Any:
        presentation = written([(title,) for title, *_ in full(topic)])
        for slide in list(presentation.slides)[1:]:
            data = CategoryChartData()
            data.categories = [str(number) for number in range(len(values))]
            data.add_series("", values)
            slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(2), Inches(8), Inches(4), data)
        return presentation

    return play


def _blank_pictures(topic: Topic) -> Any:
    presentation = written([(title,) for title, *_ in full(topic)])
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(buffer, "PNG")
    for slide in list(presentation.slides)[1:]:
        buffer.seek(0)
        slide.shapes.add_picture(buffer, Inches(1), Inches(2), Inches(4), Inches(3))
    return presentation


def _empty_tables(topic: Topic) -> Any:
    presentation = written([(title,) for title, *_ in full(topic)])
    for slide in list(presentation.slides)[1:]:
        slide.shapes.add_table(4, 3, Inches(1), Inches(2), Inches(8), Inches(3))
    return presentation


def _stuffed(topic: Topic) -> Slides:
    one, two, three = topic.words
    return [(topic.title,), (f"The {one} {two}", f"{two} {three} {one}", f"{three} and {one} {two}"),
            (f"More {two}", f"{one} {one} {two}", f"all {three} {two}"),
            (f"And {three}", f"{three} {three} {one}", f"{one} for {two}")]


def _numbered(topic: Topic) -> Slides:
    return [(topic.title,), *((f"{topic.title} {n}", f"{topic.title} number {n}", f"{topic.title} part {n}")
                              for n in range(1, 4))]


def _cut(topic: Topic) -> Slides:
    words = topic.task.rstrip(".").split()
    parts = [" ".join(words[at:at + 4]) for at in range(len(words) - 3)]
    return [(topic.title,), *((f"{topic.title} {n}", *parts[n * 2:n * 2 + 2]) for n in range(3))]


TRICKS: dict[str, Callable[[Topic], Any]] = {
    "empty slides": lambda topic: written([("",)] * 4),
    "titles only": lambda topic: written([(title,) for title, *_ in full(topic)]),
    "empty charts": _charts((None, None)),
    "charts of zeros": _charts((0, 0)),
    "empty tables": _empty_tables,
    "blank pictures": _blank_pictures,
    "one slide repeated": lambda topic: written([topic.sections[0]] * 4),
    "one slide under other titles": lambda topic: written(
        [(topic.title,), *((title, *topic.sections[0][1:]) for title, *_ in topic.sections)]),
    "the task on every slide": lambda topic: written(
        [(topic.title,), *((title, topic.task, f"{topic.title} {n}") for n, (title, *_) in enumerate(topic.sections))]),
    "the task cut into bullets": lambda topic: written(_cut(topic)),
    "words of the task stuffed": lambda topic: written(_stuffed(topic)),
    "numbered phrases": lambda topic: written(_numbered(topic)),
    "one word a bullet": lambda topic: written(
        [(topic.title,), *((title, *topic.words[:2]) for title, *_ in topic.sections)]),
    "lorem ipsum": lambda topic: written(
        [(topic.title,), *((title, "Lorem ipsum dolor sit amet", "Consectetur adipiscing elit sed do")
                           for title, *_ in topic.sections)]),
    "another topic": lambda topic: written(full(TOPICS[(TOPICS.index(topic) + 1) % len(TOPICS)])),
    "white text": _in_colour(255, 255, 255),
    "nearly white text": _in_colour(240, 240, 240),
    "clear text": _in_colour(0, 0, 0, clear=0),
    "text off the slide": _moved(20, 1),
    "text below the slide": _moved(1, 12),
    "text of one point": _tiny,
    "covered text": _covered,
    "hidden shapes": _hidden_shapes,
    "hidden slides": _hidden_slides,
    "all of it in the notes": _in_notes,
}


def score(deck: Any, task: str) -> float:
    """What the checker gives a deck, 0..1; 0 for one that does not open."""
    from autorl import content

    content.load_pack("slides")
    from autorl_tools.slides.checker import report_on, verdict

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deck.pptx"
        deck.save(str(path))
        return verdict(report_on(path, Task(text=task), rendered=False)).score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    least = min(score(written(honest(topic)), topic.task) for topic in TOPICS)
    print(f"{'the worst honest thin deck':32} {least:.2f}")
    scores = {trick: [score(play(topic), topic.task) for topic in TOPICS] for trick, play in TRICKS.items()}
    for trick, found in scores.items():
        print(f"{trick:32} {max(found):.2f} {'' if max(found) < least else 'NOT BELOW'}")
    every = [value for found in scores.values() for value in found]
    below = sum(value < least for value in every)
    figures = {"gaming_decks_below_honest": {
        "value": below / len(every), "unit": "share", "n": len(every), "goal": ">= 1.0", "baseline": least}}
    print(show(figures))
    if not options.no_keep:
        keep("slides", figures, shlex.join(["python", "eval/gaming.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
