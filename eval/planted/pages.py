"""The kinds of slide that a clean deck is made of. Each builder takes the deck and its text, and adds one slide."""

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE, XL_LABEL_POSITION, XL_LEGEND_POSITION
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.util import Emu, Inches, Pt

from .drawing import (
    Box,
    Colours,
    chance,
    mixed,
    panel,
    size_for,
    text_box,
    text_on,
    to_back,
    write,
)
from .pictures import DARK, scene

Text = Mapping[str, Any]
_CHARTS = {"bar": XL_CHART_TYPE.BAR_CLUSTERED, "column": XL_CHART_TYPE.COLUMN_CLUSTERED,
           "line": XL_CHART_TYPE.LINE_MARKERS, "pie": XL_CHART_TYPE.PIE}


@dataclass(frozen=True)
class Deck:
    """What the builders draw into, and the dice that choose among their variants."""

    presentation: Any
    colours: Colours
    topic: Text
    rng: random.Random

    def slide(self, layout: str, text: Text) -> Any:
        """A new slide with its title and its notes."""
        slide = self.presentation.slides.add_slide(self.presentation.slide_layouts.get_by_name(layout))
        slide.shapes.title.text_frame.text = text["title"]
        slide.notes_slide.notes_text_frame.text = text["notes"]
        return slide

    @property
    def body(self) -> Box:
        """Where the content of a slide goes."""
        layout = self.presentation.slide_layouts.get_by_name("Title and Content")
        shape = next(s for s in layout.placeholders if s.placeholder_format.idx == 1)
        return Box(shape.left, shape.top, shape.width, shape.height)

    @property
    def ink(self) -> str:
        return self.colours["tx1"]

    def fills(self, count: int) -> list[str]:
        """`count` accents, all alike or each its own."""
        good = self.colours.fills()
        first = self.rng.randrange(len(good))
        return [good[first]] * count if chance(self.rng, 0.5) else [good[(first + n) % len(good)] for n in range(count)]

    def tint(self) -> str:
        """A quiet ground for panels, near the slide's own."""
        return mixed(self.colours["bg1"], self.colours["accent1"], 0.12)


def opening(deck: Deck, text: Text) -> None:
    slide = deck.slide("Title Slide", {**text, "notes": "Welcome everyone and say what the talk will decide."})
    slide.placeholders[1].text_frame.text = text["subtitle"]


def section_header(deck: Deck, text: Text) -> None:
    heading = {"title": "The facts and figures", "notes": "A short pause before the numbers."}
    slide = deck.slide("Section Header", heading)
    slide.placeholders[1].text_frame.text = f"{text['table']['title']} and what follows from it"


def agenda(deck: Deck, titles: Sequence[str]) -> None:
    """Numbered circles that lie on panels, or a plain list."""
    text = {"title": "Agenda", "notes": "Fifteen minutes in all, and questions at any time."}
    if chance(deck.rng, 0.4):
        _points(deck.slide("Title and Content", text).placeholders[1], titles)
        return
    slide, fill = deck.slide("Title Only", text), deck.fills(1)[0]
    high = min(0.16, 0.98 / len(titles))
    for number, title in enumerate(titles):
        row = deck.body.part(0, number * (high + 0.02), 0.8, high)
        panel(slide.shapes, row._replace(left=row.left + row.height // 2), [(title, 20, False)], deck.tint())
        panel(slide.shapes, Box(row.left, row.top, row.height, row.height), [(str(number + 1), 18, True)], fill,
              kind=MSO_SHAPE.OVAL)


def bullets(deck: Deck, text: Text) -> None:
    slide = deck.slide("Title and Content", text)
    body = slide.placeholders[1]
    _points(body, text["points"])
    if chance(deck.rng, 0.4):
        _bleed(deck, slide)
    if chance(deck.rng, 0.35):
        _place(body, deck.body.part(0, 0, 0.64, 1))
        _picture(deck, slide, deck.body.part(0.68, 0.05, 0.32, 0.6))


def columns(deck: Deck, text: Text) -> None:
    layout = deck.rng.choice(("Two Content", "Comparison", "Title Only"))
    slide = deck.slide(layout, text)
    halves = (("left", "first"), ("right", "second"))
    if layout == "Title Only":
        for box, fill, (head, points) in zip(deck.body.columns(2), deck.fills(2), halves, strict=True):
            panel(slide.shapes, box.part(0, 0, 1, 0.17), [(text[head], 22, True)], fill)
            panel(slide.shapes, box.part(0, 0.17, 1, 0.7), [(point, 20, False) for point in text[points]], deck.tint())
        return
    for number, (head, points) in enumerate(halves):
        if layout == "Comparison":
            slide.placeholders[2 * number + 1].text_frame.text = text[head]
            _points(slide.placeholders[2 * number + 2], text[points])
        else:
            _points(slide.placeholders[number + 1], [text[head], *(f"- {point}" for point in text[points])])


def table(deck: Deck, text: Text) -> None:
    """With the table style of the theme, or with fills of its own; a source line in small type."""
    slide = deck.slide("Title Only", text)
    rows = [text["columns"], *text["rows"]]
    box = deck.body.part(0, 0, deck.rng.choice((0.85, 1)), 0.13 * len(rows))
    frame = slide.shapes.add_table(len(rows), len(rows[0]), *box)
    _describe(frame, f"Table of {text['title'].lower()}, with {len(rows) - 1} rows")
    own, fill, size = chance(deck.rng, 0.4), deck.fills(1)[0], deck.rng.choice((16, 18, 20))
    figures = [place > 0 and any(char.isdigit() for char in content) for place, content in enumerate(rows[1])]
    for number, (row, cells) in enumerate(zip(frame.table.rows, rows, strict=True)):
        for place, (cell, content) in enumerate(zip(row.cells, cells, strict=True)):
            paragraph = cell.text_frame.paragraphs[0]
            paragraph.text, paragraph.font.size = content, Pt(size)
            paragraph.alignment = PP_ALIGN.RIGHT if figures[place] else None
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            if own:
                ground = fill if number == 0 else deck.tint()
                cell.fill.solid()
                cell.fill.fore_color.rgb = RGBColor.from_string(ground)
                paragraph.font.color.rgb = RGBColor.from_string(text_on(ground))
    _small(deck, slide, text["source"])


def chart(deck: Deck, text: Text) -> None:
    """A chart with what it says beside it or below it."""
    slide = deck.slide("Title Only", text)
    beside = chance(deck.rng, 0.5)
    area, note = ((0, 0, 0.66, 0.92), (0.7, 0.12, 0.3, 0.5)) if beside else ((0, 0, 1, 0.72), (0, 0.76, 1, 0.15))
    data = CategoryChartData()
    data.categories = text["labels"]
    data.add_series(text["unit"], text["values"])
    frame = slide.shapes.add_chart(_CHARTS[text["kind"]], *deck.body.part(*area), data)
    pairs = ", ".join(f"{label} {value:g}" for label, value in zip(text["labels"], text["values"], strict=True))
    _describe(frame, f"Chart of {text['title'].lower()} in {text['unit']}: {pairs}")
    drawn = frame.chart
    drawn.has_title, drawn.has_legend = False, text["kind"] == "pie"
    drawn.font.size, drawn.font.color.rgb = Pt(deck.rng.choice((14, 16))), RGBColor.from_string(deck.ink)
    plot = drawn.plots[0]
    plot.has_data_labels = True
    if text["kind"] == "pie":
        drawn.legend.position, drawn.legend.include_in_layout = XL_LEGEND_POSITION.RIGHT, False
        plot.data_labels.position = XL_LABEL_POSITION.OUTSIDE_END
        for number in range(len(text["labels"])):
            fill = plot.series[0].points[number].format.fill
            fill.solid()
            fill.fore_color.rgb = RGBColor.from_string(deck.colours[f"accent{number + 1}"])
    else:
        drawn.value_axis.has_major_gridlines = False
        drawn.value_axis.visible = False
        line = drawn.category_axis.format.line
        line.color.rgb = RGBColor.from_string(mixed(deck.colours["bg1"], deck.ink, 0.4))
        if text["kind"] == "line":
            plot.data_labels.position = XL_LABEL_POSITION.ABOVE
            plot.series[0].smooth = False
    box = deck.body.part(*note)
    size = size_for([text["takeaway"]], box, (22, 20, 18, 16))
    panel(slide.shapes, box, [(text["takeaway"], size, True)], deck.fills(1)[0])
    _small(deck, slide, f"In {text['unit']}")


def picture(deck: Deck, text: Text) -> None:
    """A picture with its caption on a band, below it, or, on a dark one, straight on it; points beside."""
    slide = deck.slide("Title Only", text)
    image = deck.body.part(0, 0, 0.56, 0.88)
    shape = _picture(deck, slide, image, text["alt"])
    foot = Box(shape.left, shape.top + shape.height - Inches(0.6), shape.width, Inches(0.6))
    if deck.topic["scene"] == DARK and chance(deck.rng, 0.5):
        top = foot._replace(top=shape.top + Inches(0.15), width=int(foot.width * 0.7))
        text_box(slide, top, text["caption"], 18, "FFFFFF")
    elif chance(deck.rng, 0.6):
        panel(slide.shapes, foot, [(text["caption"], 16, False)], "1A1A1A")
    else:
        text_box(slide, foot._replace(top=shape.top + shape.height), text["caption"], 14, deck.ink)
    side = deck.body.part(0.61, 0.02, 0.39, 0.8)
    frame = slide.shapes.add_textbox(*side).text_frame
    frame.word_wrap = True
    write(frame, [(point, 22, False) for point in text["points"]], deck.ink)
    for paragraph in frame.paragraphs:
        paragraph.space_after = Pt(14)


def cards(deck: Deck, text: Text) -> None:
    """Filled cards, some with a gradient, some with a badge that lies half on their edge."""
    slide, items = deck.slide("Title Only", text), text["items"]
    gradient, badges = chance(deck.rng, 0.4), chance(deck.rng, 0.5)
    row = deck.body.part(0, 0.1, 1, deck.rng.choice((0.6, 0.7)))
    fills = deck.fills(len(items))
    inner = row.columns(len(items))[0].part(0, 0, 1, 0.66)
    size = size_for([item[1] for item in items], inner, (20, 18, 16, 14))
    for number, (box, (head, content), fill) in enumerate(zip(row.columns(len(items)), items, fills, strict=True)):
        second = mixed(fill, "000000" if text_on(fill) == "FFFFFF" else "FFFFFF", 0.35) if gradient else ""
        panel(slide.shapes, box, [(head, size + 4, True), (content, size, False)], fill, second=second,
              kind=MSO_SHAPE.RECTANGLE if badges else MSO_SHAPE.ROUNDED_RECTANGLE)
        if badges:
            edge = Inches(0.7)
            spot = Box(box.left + (box.width - edge) // 2, box.top - edge // 2, edge, edge)
            badge = panel(slide.shapes, spot, [(str(number + 1), 18, True)], deck.colours["bg1"], kind=MSO_SHAPE.OVAL)
            badge.line.color.rgb, badge.line.width = RGBColor.from_string(fill), Pt(2.5)
    if chance(deck.rng, 0.4):
        _bleed(deck, slide)


def steps(deck: Deck, text: Text) -> None:
    """Boxes joined by arrows, or a row of arrows that touch."""
    slide, items = deck.slide("Title Only", text), text["items"]
    chevrons = chance(deck.rng, 0.4)
    row = deck.body.part(0, 0.25, 1, 0.32)
    boxes = row.columns(len(items), -0.01 if chevrons else 0.06)
    size = size_for(items, boxes[0].part(0, 0, 0.55 if chevrons else 0.9, 1), (22, 20, 18, 16))
    kind = MSO_SHAPE.CHEVRON if chevrons else MSO_SHAPE.ROUNDED_RECTANGLE
    made = [panel(slide.shapes, box, [(item, size, True)], fill, kind=kind)
            for box, item, fill in zip(boxes, items, deck.fills(len(items)), strict=True)]
    if not chevrons:
        for one, other in pairwise(made):
            arrow = slide.shapes.add_connector(MSO_CONNECTOR.STRAIGHT, 0, 0, 0, 0)
            arrow.begin_connect(one, 3)
            arrow.end_connect(other, 1)
            arrow.line.color.rgb, arrow.line.width = RGBColor.from_string(deck.ink), Pt(2)
            arrow.line._get_or_add_ln().append(parse_xml(f'<a:tailEnd {nsdecls("a")} type="triangle"/>'))
    _small(deck, slide, f"{len(items)} steps in all")


def numbers(deck: Deck, text: Text) -> None:
    """Large figures: grouped with a rule above, or on bars of different length with the label laid over."""
    slide, items = deck.slide("Title Only", text), text["items"]
    if chance(deck.rng, 0.5):
        for box, (value, label) in zip(deck.body.part(0, 0.12, 1, 0.6).columns(len(items)), items, strict=True):
            group = slide.shapes.add_group_shape()
            panel(group.shapes, box.part(0, 0, 1, 0.03), [], deck.colours["accent2"])
            for part, line, size, bold in ((0.08, value, 48, True), (0.5, label, 20, False)):
                shape = group.shapes.add_textbox(*box.part(0, part, 1, 0.38))
                shape.text_frame.word_wrap = True
                write(shape.text_frame, [(line, size, bold)], deck.ink)
        return
    for number, (box, fill) in enumerate(zip((deck.body.part(0, 0.02 + 0.32 * n, 1 - 0.12 * n, 0.26)
                                              for n in range(len(items))), deck.fills(len(items)), strict=False)):
        value, label = items[number]
        panel(slide.shapes, box, [], fill)
        text_box(slide, box.part(0.02, 0.15, 0.36, 0.7), value, 36, text_on(fill), bold=True, anchor=MSO_ANCHOR.MIDDLE)
        text_box(slide, box.part(0.4, 0.15, 0.58, 0.7), label, 20, text_on(fill), anchor=MSO_ANCHOR.MIDDLE)


def quote(deck: Deck, text: Text) -> None:
    """Words on a wide band, plain or with a gradient."""
    slide, fill = deck.slide("Title Only", text), deck.fills(1)[0]
    second = mixed(fill, "000000" if text_on(fill) == "FFFFFF" else "FFFFFF", 0.3) if chance(deck.rng, 0.5) else ""
    wide = deck.presentation.slide_width
    band = deck.body.part(0, 0.08, 1, 0.55)._replace(left=0, width=wide)
    panel(slide.shapes, band, [], fill, second=second)
    text_box(slide, deck.body.part(0.04, 0.13, 0.92, 0.45), f"“{text['text']}”", 28, text_on(fill),
             anchor=MSO_ANCHOR.MIDDLE)
    text_box(slide, deck.body.part(0.04, 0.68, 0.92, 0.12), f"{text['who']}", 18, deck.ink)


def foot(deck: Deck, words: str) -> None:
    """The slide number and a footer on every slide but the first."""
    for slide in list(deck.presentation.slides)[1:]:
        for shape in slide.slide_layout.placeholders:
            kind = shape.element.ph.get("type")
            if kind in ("sldNum", "ftr"):
                twin = copy.deepcopy(shape.element)
                twin.nvSpPr.cNvPr.set("id", str(max(int(i) for i in slide.element.xpath("//p:cNvPr/@id")) + 1))
                slide.shapes._spTree.append(twin)
                if kind == "ftr":
                    slide.shapes[-1].text_frame.text = words


def _points(shape: Any, points: Sequence[str]) -> None:
    frame = shape.text_frame
    for number, point in enumerate(points):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        paragraph.level = int(point.startswith("- "))
        paragraph.text = point.removeprefix("- ")


def _place(shape: Any, box: Box) -> None:
    shape.left, shape.top, shape.width, shape.height = (Emu(value) for value in box)


def _picture(deck: Deck, slide: Any, box: Box, alt: str = "") -> Any:
    """A picture that fills `box`; it is drawn for it, so that nothing is stretched."""
    size = (1200, round(1200 * box.height / box.width))
    image = scene(deck.topic["scene"], deck.rng, size)
    shape = slide.shapes.add_picture(BytesIO(image), box.left, box.top, width=box.width)
    _describe(shape, alt or deck.topic["picture"]["alt"])
    return shape


def _bleed(deck: Deck, slide: Any) -> None:
    """A circle that runs off a corner of the slide, behind everything: decoration, and no mistake."""
    across = Inches(deck.rng.uniform(1.0, 1.5))
    left, top = deck.rng.choice(((deck.presentation.slide_width, 0), (0, deck.presentation.slide_height)))
    circle = panel(slide.shapes, Box(left - across // 2, top - across // 2, across, across), [],
                   mixed(deck.colours["bg1"], deck.colours["accent3"], 0.5), kind=MSO_SHAPE.OVAL)
    to_back(circle)


def _small(deck: Deck, slide: Any, text: str) -> None:
    """A line in small type under the content, such as a source."""
    text_box(slide, deck.body.part(0, 0.94, 0.7, 0.07), text, 12, deck.ink)


def _describe(shape: Any, text: str) -> None:
    shape.element.xpath(".//p:cNvPr")[0].set("descr", text)


