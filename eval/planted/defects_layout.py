"""Defects of where things stand and how large they are."""

import copy
import random
from io import BytesIO
from typing import Any

from pptx.enum.text import MSO_AUTO_SIZE
from pptx.util import Emu, Inches, Pt

from .decks import topic_of
from .defects_content import spoken
from .drawing import NARROW, Box, Colours, lines, panel, text_box
from .kinds import body, boxes, chart, defect, has, panels, pictures, prose, runs, table
from .pictures import scene

_ROOMS = ("north side", "south side", "east side", "west side", "upper part", "lower part", "old part", "new part")


def _movable(slide: Any) -> list[Any]:
    return [*panels(slide), *([prose(slide)] if prose(slide) is not None else [])]


@defect(visible=True, fits=lambda s: bool(panels(s)) or any(f(s) is not None for f in (prose, table, chart)))
def tiny_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text that nobody in the room can read: 5 to 9 points."""
    size = rng.choice((5, 6, 7, 8, 9))
    what = rng.choice([find for find in (panels, prose, table, chart) if has(find)(slide)])
    found = what(slide)
    if what is chart:
        found.chart.font.size = Pt(size)
    elif what is table:
        for cell in found.table.iter_cells():
            cell.text_frame.paragraphs[0].font.size = Pt(size)
    else:
        for run in runs(rng.choice(found) if what is panels else found):
            run.font.size = Pt(size)
    return f"{size} pt in the {'panel' if what is panels else what.__name__}"


@defect(visible=True, fits=has(pictures))
def stretched_picture(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A picture shown in another shape than it has."""
    picture, factor = pictures(slide)[0], rng.uniform(1.5, 2.3) ** rng.choice((-1, 1))
    size = (1200, round(1200 * picture.height / picture.width * factor))
    drawn = scene(topic_of(presentation)["scene"], rng, size)
    _, name = slide.part.get_or_add_image_part(BytesIO(drawn))
    picture.element.blipFill.blip.rEmbed = name
    return f"drawn {max(factor, 1 / factor):.2f} times too {'wide' if factor > 1 else 'high'}"


@defect(visible=True, fits=lambda slide: bool(_movable(slide)))
def off_slide(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Text that stands partly beyond the edge of the slide."""
    shape, wide, high = rng.choice(_movable(slide)), presentation.slide_width, presentation.slide_height
    left, top, width, height = shape.left, shape.top, shape.width, shape.height
    if shape in panels(slide):
        inside = rng.uniform(0.25, 0.5)
        if rng.random() < 0.5 or width > wide / 2:
            _place(shape, left, high - int(height * inside), width, height)
            return f"{1 - inside:.0%} of a panel is below the slide"
        _place(shape, wide - int(width * inside), top, width, height)
        return f"{1 - inside:.0%} of a panel is right of the slide"
    out = Inches(rng.uniform(0.6, 2.0))
    _place(shape, -out, top, width, height)
    return f"the text begins {Emu(out).inches:.1f} in left of the slide"


@defect(visible=True, fits=has(prose))
def text_over_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Words drawn over other words."""
    target, size = prose(slide), rng.choice((16, 20, 24))
    words = max(spoken(topic_of(presentation), rng)[:8], key=len)
    place = Box(target.left + Inches(rng.uniform(0.1, 0.6)), target.top + Inches(rng.uniform(0.08, 0.3)),
                int(target.width * rng.uniform(0.55, 0.9)), Inches(0.8))
    text_box(slide, place, words, size, Colours.of(presentation)["tx1"])
    return f"'{words}' over the points"


@defect(visible=True, fits=has(table))
def text_over_table(presentation: Any, slide: Any, rng: random.Random) -> str:
    """Words drawn over the cells of a table."""
    frame = table(slide)
    high = frame.height // len(frame.table.rows)
    row = rng.randrange(1, len(frame.table.rows))
    if rng.random() < 0.4 and boxes(slide):
        shape = boxes(slide)[-1]
        left = frame.left + Inches(rng.uniform(0, 0.2))
        _place(shape, left, frame.top + row * high + high // 4, shape.width, shape.height)
        return f"the line below the table stands over row {row}"
    words = max(spoken(topic_of(presentation), rng)[:8], key=len)
    place = Box(frame.left + Inches(0.2), frame.top + row * high + high // 6, int(frame.width * 0.8), high)
    text_box(slide, place, words, rng.choice((16, 20)), "C0392B")
    return f"'{words}' over row {row}"


@defect(visible=True, fits=has(chart))
def text_over_chart(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A note that lies on the chart and hides part of it."""
    frame, note = chart(slide), panels(slide)[-1]
    width = min(note.width, int(frame.width * 0.6))
    left = frame.left + int((frame.width - width) * rng.uniform(0.3, 0.6))
    top = frame.top + int((frame.height - note.height) * rng.uniform(0.4, 0.6))
    _place(note, left, top, width, int(note.height * (1.3 if width < note.width else 1)))
    return f"'{note.text_frame.text}' on the chart"


@defect(visible=True, fits=lambda slide: bool(pictures(slide)) and prose(slide) is not None)
def picture_on_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A picture that slid over text, or under it."""
    target, shape = prose(slide), pictures(slide)[0]
    deep = int(target.width * rng.uniform(0.25, 0.5))
    right = shape.left > target.left
    left = target.left + target.width - deep - Inches(1.5) if right else target.left + deep - shape.width
    moved = left - shape.left
    on_it = [s for s in (*panels(slide), *boxes(slide)) if s.top >= shape.top and s.left >= shape.left
             and s.left + s.width <= shape.left + shape.width]
    for each in (shape, *on_it):
        each.left = Emu(each.left + moved)
    return "the picture reaches into the text"


@defect(visible=True, fits=lambda slide: bool(_movable(slide)))
def covered_text(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A filled shape that lies on top of text."""
    target = rng.choice(_movable(slide))
    fill = rng.choice(Colours.of(presentation).fills())
    if target in panels(slide):
        share = rng.uniform(0.4, 0.8)
        place = Box(target.left + int(target.width * (1 - share) / 2), target.top + target.height // 4,
                    int(target.width * share), target.height // 2)
    else:
        place = Box(target.left + Inches(rng.uniform(0, 0.8)), target.top + Inches(rng.uniform(0, 0.3)),
                    Inches(rng.uniform(1.6, 3)), Inches(rng.uniform(0.7, 1.5)))
    panel(slide.shapes, place, [], fill)
    return "a filled shape on top of text"


@defect(visible=True, fits=has(panels))
def text_out_of_frame(presentation: Any, slide: Any, rng: random.Random) -> str:
    """More text than its frame holds: it runs out at the top and the bottom."""
    shape = max(panels(slide), key=lambda s: s.text_frame.text.count(" "))
    last, more = runs(shape)[-1], spoken(topic_of(presentation), rng)
    size, wanted = max(18.0, last.font.size.pt), Emu(shape.height).pt * rng.uniform(1.35, 2)
    last.font.size = Pt(size)
    while more and lines(shape.text_frame.text, shape.width - Inches(0.2), size, NARROW) * size * 1.2 < wanted:
        last.text = f"{last.text}. {more.pop()}".replace("..", ".")
    shape.text_frame.auto_size = MSO_AUTO_SIZE.NONE
    return f"{len(shape.text_frame.text.split())} words in a small panel"


@defect(visible=True, fits=has(body))
def text_below_slide(presentation: Any, slide: Any, rng: random.Random) -> str:
    """More points than the slide has room for: they run off its lower edge."""
    shape, more = body(slide), spoken(topic_of(presentation), rng)
    said = " ".join(s.text_frame.text for each in presentation.slides for s in each.shapes if s.has_text_frame)
    more = [point.rstrip(".") for point in more if point.rstrip(".") not in said]
    size, room = 24, Emu(presentation.slide_height - shape.top).pt * rng.uniform(1.1, 1.5)
    points = [p.text for p in shape.text_frame.paragraphs]
    while more and sum(lines(point, shape.width, size, NARROW) * size * 1.2 + 10 for point in points) < room:
        points.append(more.pop())
    for point in points[len(shape.text_frame.paragraphs) :]:
        shape.text_frame.add_paragraph().text = point
    for paragraph in shape.text_frame.paragraphs:
        paragraph.level = 0
    return f"{len(points)} points"


@defect(visible=True, fits=lambda slide: slide.shapes.title is not None)
def long_title(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A title of four lines and more, which runs out of its place and into the text."""
    title, more, wanted = slide.shapes.title.text_frame, spoken(topic_of(presentation), rng), rng.randint(210, 280)
    text = f"{title.text}:"
    while len(text) < wanted:
        text = f"{text} {more.pop()}"
    title.text = text.rstrip(".")
    return f"{len(text)} letters"


@defect(visible=True, fits=has(table))
def long_table(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A table with more rows than the slide has room for."""
    frame = table(slide)
    grid, rows = frame.table._tbl, list(frame.table.rows)[1:]
    high, room = rows[0].height, presentation.slide_height + Inches(rng.uniform(0.3, 2.5)) - frame.top
    while (len(frame.table.rows)) * high < room:
        number = len(frame.table.rows) - 1
        twin = copy.deepcopy(rows[number % len(rows)]._tr)
        grid.append(twin)
        cell = frame.table.rows[number + 1].cells[0].text_frame.paragraphs[0].runs[0]
        cell.text = f"{cell.text}, {_ROOMS[number // len(rows) % len(_ROOMS)]}"
    if rng.random() < 0.5:
        frame.height = sum(row.height for row in frame.table.rows)
    return f"{len(frame.table.rows)} rows"


@defect(visible=True, fits=has(panels))
def line_out_of_frame(presentation: Any, slide: Any, rng: random.Random) -> str:
    """A line that does not wrap and runs out of its frame sideways."""
    shape = rng.choice(panels(slide))
    last, more = runs(shape)[-1], spoken(topic_of(presentation), rng)
    size = last.font.size.pt
    while len(last.text) * size * NARROW < Emu(shape.width).pt * 1.25:
        last.text = f"{last.text}, {more.pop()[:-1].lower()}"
    shape.text_frame.word_wrap = False
    return f"a line of {len(last.text)} letters in a panel {Emu(shape.width).inches:.1f} in wide"


def _place(shape: Any, left: int, top: int, width: int, height: int) -> None:
    shape.left, shape.top, shape.width, shape.height = Emu(left), Emu(top), Emu(width), Emu(height)


