"""Sets text into frames: run by run, at a size that is measured, so that no viewer has to make room for it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pptx.enum.text import MSO_AUTO_SIZE, PP_ALIGN
from pptx.text.text import _Paragraph
from pptx.util import Pt

from autorl.errors import ToolError

from .fit import runs_right_to_left, width_of
from .geometry import text_area
from .objects import object_id
from .reading import read_slide
from .sight import size_of
from .values import Paragraph, Shape
from .wording import clean

LEAST = 12
"""Points of the smallest type that a tool chooses."""
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_RUNS = (f"{_A}r", f"{_A}fld", f"{_A}br")
_UPRIGHT = (None, "horz", "wordArtVert", "wordArtVertRtl")
_UNWRITTEN = ("Cc", "Cs", "Zl", "Zp")
_WORD = re.compile(r"[^\s\-‐–—]+")
_LONGEST = 30  # letters of a word; what is longer is an address or a number of digits
_BREAKS = re.compile(r"\r\n|[\n\r\v\x85\u2028\u2029]")


def filled(what: str, text: str) -> str:
    """`text` on one line, cleaned. Raises ToolError when nothing that can be read is left of it."""
    text = clean(text)
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise ToolError(f"{what} is empty", "Write some words")
    return text


def paragraphs_of(what: str, text: str) -> list[str]:
    """The lines of `text`, each cleaned, empty ones left out. Raises ToolError when there are none."""
    found = [line for line in map(clean, _BREAKS.split(text)) if line]
    return found or [filled(what, text)]


def inline(text: str) -> str:
    """`text` without what XML cannot hold and without line ends; spaces stay as they are."""
    return "".join(" " if unicodedata.category(char) in _UNWRITTEN or char in "\ufffe\uffff\ufeff" else char
                   for char in text)


def fill(frame: Any, texts: Sequence[str], size: float | None = None, levels: Sequence[int] = ()) -> None:
    """Let `frame` say `texts` and nothing else, a paragraph each.

    size: in points, on the runs; None leaves it to the frame's styles; levels: of the paragraphs, 0 for all if empty
    """
    freeze(frame)
    frame.clear()
    for number, text in enumerate(texts):
        paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
        if levels:
            paragraph.level = levels[number]
        run = paragraph.add_run()
        run.text = text
        if size is not None:
            run.font.size = Pt(size)
        direct(paragraph, text)


def freeze(frame: Any) -> None:
    """The frame wraps its text and is not refitted by a viewer."""
    frame.auto_size, frame.word_wrap = MSO_AUTO_SIZE.NONE, True


def direct(paragraph: Any, text: str) -> None:
    """Set the direction of a paragraph by its text, if that runs leftwards."""
    if runs_right_to_left(text):
        paragraph._p.get_or_add_pPr().set("rtl", "1")
        paragraph.alignment = PP_ALIGN.RIGHT


def settle(slide: Any, shape: Any, least: float = LEAST, keep: bool = False, seen: Shape | None = None) -> float:
    """Make the type of `shape` smaller, all by the same factor, until its text fits; the size of the largest.

    keep: the sizes are the caller's and stay; seen: the shape as it is read now, if it was
    Raises ToolError when the text does not fit.
    """
    seen = seen or look_at(slide, shape)
    width, height = room(shape, seen)
    largest = largest_in(seen.paragraphs, least)
    sizes = [size for size in ([largest] if keep else candidates(largest, least))
             if height_of(seen.paragraphs, width, size / largest, least) <= height]
    if sizes:
        whole = (size for size in sizes if longest_word(seen.paragraphs, size / largest, least) <= width)
        size = next(whole, sizes[0])  # a word that is too long at any size is broken
        if size < largest:
            rescale(shape._element.txBody, seen.paragraphs, size / largest, least)
        return size
    smallest = largest if keep else min(largest, least)
    needed = height_of(seen.paragraphs, width, smallest / largest, least)
    if keep:
        sizes = (s for s in candidates(largest, 6) if height_of(seen.paragraphs, width, s / largest, 6) <= height)
        remedy = f"It fits at {next(sizes, 6):g} points, or in a larger place"
    else:
        remedy = (f"About {int(len(seen.text) * max(height, 0) / needed)} of its {len(seen.text)} characters fit: "
                  "write less, or give it a larger place")
    raise ToolError(f"the text needs {needed:.0f} points of height at {smallest:g} points of type, and there are "
                    f"{max(height, 0):.0f}", remedy)


def look_at(slide: Any, shape: Any) -> Shape:
    """A shape as it is read."""
    return views(slide)[object_id(slide, shape)]


def views(slide: Any) -> dict[str, Shape]:
    """The shapes of a slide as they are read, by their ids."""
    return {one.id: one for one in read_slide(1, slide).shapes}


def largest_in(paragraphs: Sequence[Paragraph], least: float) -> float:
    """The largest type that is used, `least` where there is no text."""
    return max((kind.size for p in paragraphs for text, kind in p.types if text.strip()), default=float(least))


def candidates(largest: float, least: float) -> Iterator[float]:
    """`largest`, then each whole size below it down to `least`."""
    yield largest
    yield from (float(size) for size in range(-int(-largest // 1) - 1, int(least) - 1, -1))


def fitting(slide: Any, shapes: Iterable[Any]) -> set[int]:
    """The numbers of those of `shapes` whose text fits its frame as it is set."""
    seen = views(slide)
    found = set()
    for shape in shapes:
        one = seen[object_id(slide, shape)]
        width, height = room(shape, one)
        if height_of(one.paragraphs, width) <= height:
            found.add(shape.shape_id)
    return found


def height_of(paragraphs: Sequence[Paragraph], width: float, scale: float = 1.0, least: float = LEAST) -> float:
    """Points that paragraphs take in a column `width` points wide; type, `least` at least, and gaps times `scale`."""
    if scale != 1:
        paragraphs = [replace(p, before=p.before * scale, after=p.after * scale, types=tuple(
            (text, replace(kind, size=scaled(kind.size, scale, least))) for text, kind in p.types)) for p in paragraphs]
    return size_of(tuple(paragraphs), max(width, 1.0))[1]


def longest_word(paragraphs: Sequence[Paragraph], scale: float = 1.0, least: float = LEAST) -> float:
    """Points that the longest word takes with its indent; what may be broken anywhere, or is no word, is left out."""
    return max((p.indent + width_of(word, kind.font, kind.bold) * scaled(kind.size, scale, least)
                for p in paragraphs for text, kind in p.types for word in _WORD.findall(text)
                if len(word) <= _LONGEST and not any(unicodedata.east_asian_width(char) in "WF" for char in word)),
               default=0.0)


def scaled(size: float, scale: float, least: float) -> float:
    return size if scale == 1 else max(min(size, least), float(int(size * scale)))


def rescale(body: Any, paragraphs: Sequence[Paragraph], scale: float, least: float = LEAST) -> None:
    """Set every run of a text body, which was read as `paragraphs`, and the gaps, at their size times `scale`."""
    for element, paragraph in zip(body.iterfind(f"{_A}p"), paragraphs, strict=True):
        runs = [run for run in element if run.tag in _RUNS]
        for run, (_, kind) in zip(runs, paragraph.types, strict=True):
            run.get_or_add_rPr().set("sz", str(int(scaled(kind.size, scale, least) * 100)))
        for name, gap in (("space_before", paragraph.before), ("space_after", paragraph.after)):
            if gap:
                setattr(_Paragraph(element, None), name, Pt(gap * scale))


def room(shape: Any, seen: Shape) -> tuple[float, float]:
    """Width and height in points that the text of `shape` has, inside its outline and its insets."""
    left, top, right, bottom = text_area(shape, seen.box.width, seen.box.height)
    width, height = right - left, bottom - top
    across, down = seen.insets[0] + seen.insets[2], seen.insets[1] + seen.insets[3]
    if shape._element.txBody.bodyPr.get("vert") not in _UPRIGHT:
        width, height = height, width
        across, down = down, across
    return width - across, height - down


def runs_of(body: Any) -> Iterator[Any]:
    """Every run of a text body, as python-pptx's."""
    for paragraph in body.iter(f"{_A}p"):
        yield from _Paragraph(paragraph, None).runs
