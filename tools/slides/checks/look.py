"""How a deck looks, as far as its file tells: type, colours, places, pictures. Text is measured, not rendered."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from autorl.types import Check, Finding

from ..colour import contrast
from ..inherit import CLEAR
from ..sight import Unseen, legibility, row_height, texts, written
from ..values import FURNITURE, DeckContent, Shape, Slide
from ..wording import words
from .base import Brief, graded, short, wrong

SMALLEST, SMALLEST_NOTE = 12.0, 9.0
"""Points of type that can be read from the back of a room; and of a source or a footnote at the foot of a slide."""
_SMALLEST_CELL = 10.0
_FOOT = 0.84
_LARGE, _LARGE_BOLD = 18.0, 14.0
ENOUGH, ENOUGH_LARGE = 4.5, 3.0
"""Contrast ratios of text, and of large text (WCAG 2.2, 1.4.3, level AA)."""
_SLACK = 0.05
_STRETCHED = 1.08
_MOST_WORDS, _LONGEST = 130, 45
_OVER = 3.0
_OVERLAP = 0.12
_HIDES = 0.05  # of a chart or table
_NOTE = 3  # words of a note that may stand on a chart
_SAME_IN_A_ROW = 6
_FILE_NAME = re.compile(r"[\w .()-]{0,200}\.(?:png|jpe?g|gif|bmp|tiff?|webp|svg|emf|wmf)", re.IGNORECASE)
_NO_ALT = re.compile(r"(?:picture|image|img|photo|graphic|alt(?:ernative)? text)[ _-]{0,3}\d{0,6}", re.IGNORECASE)


def sound(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Nothing in the file has to be repaired or left out by a viewer."""
    bad = [Finding(found=f"slide {slide.number}, {id}: {flaw}", remedy="Make the object again",
                   at={"slide": slide.number, "id": slide.id, "object": id})
           for slide in deck.slides for flaw, id in slide.flaws]
    yield graded("sound", bad, 2, of=len(deck.slides))


def type_size(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No text is too small to be read from a seat, in tables and charts neither."""
    bad = []
    for slide in deck.slides:
        for shape in texts(slide):
            least = SMALLEST_NOTE if shape.box.top >= _FOOT * slide.height else SMALLEST
            size = min(p.size for p in shape.paragraphs if p.text.strip())
            if size < least:
                bad.append(wrong(slide, f"type of {size:g} points ('{short(shape.text)}')", f"Set {least:g} or more",
                                 shape))
        for shape in slide.shapes:
            sizes = [p.size for row in shape.rows for cell in row for p in cell.paragraphs if p.text.strip()]
            sizes += [shape.chart.size] if shape.chart and shape.chart.size else []
            if sizes and min(sizes) < _SMALLEST_CELL:
                bad.append(wrong(slide, f"a {shape.kind} in type of {min(sizes):g} points",
                                 f"Set {_SMALLEST_CELL:g} or more", shape))
    yield graded("type size", bad, of=len(deck.slides))


def contrasts(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """All text stands out from what is really behind it."""
    bad = []
    for slide in deck.slides:
        for shape in texts(slide):
            ratio = legibility(slide, shape)
            if ratio is not None and ratio < enough(shape):
                bad.append(wrong(slide, f"contrast {ratio:.1f} ('{short(shape.text)}')",
                                 f"Give it a colour with a contrast of {enough(shape):g}", shape))
        for shape in slide.shapes:
            bad += [wrong(slide, f"a table cell with contrast {ratio:.1f}", "Choose another fill or text colour", shape)
                    for ratio in _cells(shape)[:1]]
    yield graded("contrast", bad, 2, of=len(deck.slides))


def enough(shape: Shape) -> float:
    """The contrast ratio that the text of `shape` needs for its size."""
    kinds = [p.type for p in shape.paragraphs if p.text.strip()]
    large = all(kind.size >= (_LARGE_BOLD if kind.bold else _LARGE) for kind in kinds)
    return (ENOUGH_LARGE if large else ENOUGH) - _SLACK


def _cells(table: Shape) -> list[float]:
    found = [contrast(p.type.colour, fill) for row in table.rows for cell in row for fill in cell.fill or ()
             for p in cell.paragraphs if p.text.strip() and p.type.colour not in (None, CLEAR)]
    return [ratio for ratio in found if ratio < ENOUGH_LARGE - _SLACK]


def hidden(deck: DeckContent, unseen: Sequence[Unseen]) -> Check:
    """Nothing stands in the deck that only its file knows: text in the colour of its ground, off the slide, covered.

    The slides that the author hid are left out of this; they count as not there.
    """
    bad = [wrong(found.slide, f"nobody can see '{short(found.shape.text) or found.shape.name}': {found.why}",
                 "Show it or leave it out", found.shape) for found in unseen if not found.slide.hidden]
    whole = sum(_amount(shape) for slide in deck.slides for shape in slide.shapes)
    gone = sum(_amount(found.shape) for found in unseen)
    return graded("hidden", bad, 2, score=1 - gone / whole if whole else 1.0)


def _amount(shape: Shape) -> int:
    """How much a shape says, in characters; a picture counts as much as a short point."""
    cells = sum(len(cell.text) for row in shape.rows for cell in row)
    return len(shape.text) + cells + len(shape.chart.text if shape.chart else "") + 40 * (shape.kind == "picture")


def alt_texts(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Pictures say in words what they show, to those who cannot see them."""
    bad = []
    pictures = [(slide, shape) for slide in deck.slides for shape in slide.shapes if shape.kind == "picture"]
    for slide, shape in pictures:
        alt = (shape.alt or "").strip()
        if not alt:
            bad.append(wrong(slide, f"the picture '{shape.name}' has no alt text", "Say what it shows", shape))
        elif _FILE_NAME.fullmatch(alt) or _NO_ALT.fullmatch(alt):
            bad.append(wrong(slide, f"the alt text of a picture is '{short(alt)}'", "Say what it shows", shape))
    yield graded("alt text", bad, score=1 - len(bad) / len(pictures) if pictures else 1.0)


def proportions(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """No picture is stretched."""
    bad = [wrong(slide, f"a picture is {shape.stretch:.0%} as wide as it should be", "Crop it instead", shape)
           for slide in deck.slides for shape in slide.shapes if shape.kind == "picture"
           and not 1 / _STRETCHED <= shape.stretch <= _STRETCHED]
    yield graded("proportions", bad, of=len(deck.slides))


def chart_data(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Charts have something to show."""
    bad = [wrong(slide, "a chart has no data", "Give it at least two values", shape)
           for slide in deck.slides for shape in slide.shapes if shape.chart and not shape.chart.says]
    yield graded("chart data", bad, 2, of=len(deck.slides))


def wordiness(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """A slide is to be looked at while someone speaks: not a page of text."""
    bad = []
    for slide in deck.slides:
        count = sum(len(words(point)) for point in slide.points)
        longest = max((len(words(point)) for point in slide.points), default=0)
        if count > _MOST_WORDS:
            bad.append(wrong(slide, f"it has {count} words", f"Say it in {_MOST_WORDS}, or split it"))
        elif longest > _LONGEST:
            bad.append(wrong(slide, f"a point of {longest} words", f"Say it in {_LONGEST}"))
    yield graded("wordiness", bad, of=len(deck.slides))


def on_slide(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """What says something lies on the slide; decoration may run off its edge, and a picture may bleed."""
    bad = []
    for slide in deck.slides:
        for shape in slide.shapes:
            if not (shape.says or shape.chart or shape.kind == "picture") or shape.placeholder in FURNITURE:
                continue
            box = written(shape) if shape.text else shape.box
            bleeds = shape.kind == "picture" and (shape.box.width >= 0.9 * slide.width
                                                  or shape.box.height >= 0.9 * slide.height)
            if not bleeds and not slide.box.holds(box, _OVER):
                share = 1 - box.share_of(slide.box)
                bad.append(wrong(slide, f"{share:.0%} of '{short(shape.text) or shape.name}' is off the slide",
                                 "Move it onto the slide", shape))
    yield graded("on slide", bad, 2, of=len(deck.slides))


def growth(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Text fits its frame, and tables fit the slide, without a viewer having to make room."""
    bad = []
    for slide in deck.slides:
        for shape in texts(slide):
            over = outgrown(shape)
            if over > 0:
                bad.append(wrong(slide, f"'{short(shape.text)}' needs {over:.0f} points more than its frame has",
                                 "Write less, set it smaller, or make the frame larger", shape))
        for shape in slide.shapes:
            if shape.rows:
                end = shape.box.top + sum(row_height(row) for row in shape.rows)
                if end > slide.height + _OVER:
                    bad.append(wrong(slide, f"the table ends {end - slide.height:.0f} points below the slide",
                                     "Leave out rows, or set it smaller", shape))
    yield graded("growth", bad, 2, of=len(deck.slides))


def outgrown(shape: Shape) -> float:
    """Points by which the text of `shape` is taller (or, unwrapped, wider) than its frame; 0 where it fits."""
    if shape.grows or shape.turned or not shape.box.height:
        return 0.0
    text = written(shape)
    size = max(p.type.size for p in shape.paragraphs if p.text.strip())
    over = text.height - shape.box.height
    # The last line may hang into the margin below; a line more than fits is one too many.
    return over if over > max(0.35 * size, 4.0) else 0.0


def overlaps(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """Nothing lies over text, and text lies over nothing but what was made to carry it."""
    bad = [wrong(slide, f"'{short(one.text) or one.name}' and '{short(other.text) or other.name}' ({other.id}) overlap",
                 "Move one of them", one)
           for slide in deck.slides for one, other in clashes(slide)]
    yield graded("overlaps", bad, 2, of=len(deck.slides))


def clashes(slide: Slide) -> Iterator[tuple[Shape, Shape]]:
    """Pairs of shapes, the one in front last, of which one makes the other hard to read."""
    shown = [shape for shape in slide.shapes if shape.box.area and not shape.turned and shape.kind != "line"]
    areas = {shape.id: written(shape) if shape.text else shape.box for shape in shown}
    for back, front in combinations(shown, 2):
        common = areas[back.id].shared(areas[front.id])
        if common is None or min(common.width, common.height) < _OVER:
            continue
        if back.text and front.text:
            clash = common.area > _OVERLAP * min(areas[back.id].area, areas[front.id].area)
        elif back.text:  # something stands before text
            clash = _opaque(front) and common.area > _OVERLAP * areas[back.id].area
        elif back.kind in ("chart", "table") and _opaque(front):
            clash = back.box.share_of(front.box) > _HIDES
        elif front.text:
            part = areas[front.id].share_of(back.box)
            wholly = part >= 1 - _OVERLAP
            clash = part > _OVERLAP and not front.fill and (
                bool(back.rows) or (back.kind in ("picture", "chart") and not wholly)
                or (back.kind == "chart" and len(words(front.text)) > _NOTE))
        else:
            clash = {back.kind, front.kind} <= {"table", "chart", "picture"} and back.kind != "picture" and (
                common.area > _OVERLAP * min(back.box.area, front.box.area))
        if clash:
            yield back, front


def _opaque(shape: Shape) -> bool:
    return shape.kind in ("picture", "table", "chart") or bool(shape.fill) or shape.fill is None


def variety(deck: DeckContent, brief: Brief) -> Iterator[Check]:
    """A long deck does not look the same slide after slide."""
    kinds = [(s.layout, frozenset(shape.kind for shape in s.shapes if shape.kind != "furniture"))
             for s in deck.content_slides]
    run = longest = 1
    for before, after in pairwise(kinds):
        run = run + 1 if before == after else 1
        longest = max(longest, run)
    bad = [Finding(found=f"{longest} slides in a row have the same layout", remedy="Show some as a table or chart")]
    yield graded("variety", bad if longest >= _SAME_IN_A_ROW else [], 0.5,
                 score=1.0 if longest < _SAME_IN_A_ROW else 0.5)
