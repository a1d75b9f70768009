"""What tools for objects have in common: which kind an object is, where a new one goes, and what is told of it."""

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pptx.enum.shapes import PP_PLACEHOLDER

from autorl.errors import ToolError

from .checks.look import clashes
from .colour import contrast
from .inherit import Surroundings
from .objects import Found, object_id, object_named, walk
from .parameters import Place, box_at, rgb
from .reading import read_slide
from .sight import legibility
from .surgery import drop_unused, relationships_in
from .values import FURNITURE, TITLES, Box
from .wording import clean

FAINT, READABLE = 3.0, 4.5
"""Contrast ratios below which a caller is told, and that text gets where nobody chose its colour (WCAG 2.2, 1.4.3)."""
_TOOLS = {
    "text": "write_text, format_text or style_object", "table": "set_cells or format_cells",
    "chart": "update_chart or format_chart", "picture": "replace_picture or crop_picture",
    "connector": "style_object", "group": "ungroup_objects", "object": "move_object or delete_object"}
_NAMES = {"text": "a shape with text", "object": "an object of another program", "connector": "a line"}
_TAKEN = 0.4
_NAMED = {"background": "bg1", "text": "tx1", **{f"accent{n}": f"accent{n}" for n in range(1, 7)}}
_ENDING = re.compile(r"\.(png|jpe?g|gif|bmp|tiff?|webp|svg|emf|wmf|heic|pdf)$", re.IGNORECASE)
_NO_ALT = re.compile(r"(the |a |an )?(picture|image|img|photo|graphic|chart|table|alt text)[ _-]*\d*\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Spot:
    """Where a new object goes. box: in points; empty: placeholders there that hold nothing and have to make room"""

    box: Box
    empty: tuple[Any, ...] = ()

    def clear(self) -> str:
        """Take the empty placeholders away; what is to be told of those that are larger than the place."""
        for shape in self.empty:
            shape._element.getparent().remove(shape._element)
        names = [shape.name for shape in self.empty if not self.box.holds(box_of(shape), 2.0)]
        return f" Removed to make room, since empty: {', '.join(names)}." if names else ""


def kind_of(shape: Any) -> str:
    """text, table, chart, picture, connector, group or object."""
    tag = shape._element.tag.rsplit("}", 1)[-1]
    if tag == "graphicFrame":
        return "table" if shape.has_table else "chart" if shape.has_chart else "object"
    return {"sp": "text", "pic": "picture", "cxnSp": "connector", "grpSp": "group"}.get(tag, "object")


def of_kind(presentation: Any, id: str, *kinds: str) -> Found:
    """The object with that id, which has to be of one of `kinds`; of any where none is named. Raises ToolError."""
    found = object_named(presentation, id)
    kind = kind_of(found.shape)
    if not kinds or kind in kinds:
        return found
    same = [object_id(found.slide, shape) for _, shape in walk(found.slide.shapes) if kind_of(shape) in kinds]
    there = f". On slide {found.number}: {', '.join(same[:12])}" if same else ""
    wanted = " or ".join(_NAMES.get(kind, f"a {kind}") for kind in kinds)
    raise ToolError(f"{id} is {_NAMES.get(kind, f'a {kind}')}, not {wanted}", f"It takes {_TOOLS[kind]}{there}")


def on_one_slide(presentation: Any, ids: list[str]) -> list[Found]:
    """The objects with those ids. Raises ToolError for one named twice, in a group, or on another slide."""
    found = [free(presentation, id) for id in ids]
    if len({id.strip() for id in ids}) < len(ids):
        raise ToolError("an object is named twice", "Name each object once")
    if len({each.number for each in found}) > 1:
        raise ToolError(f"the objects stand on slides {', '.join(str(n) for n in sorted({f.number for f in found}))}",
                        "Name objects of one slide")
    return found


def free(presentation: Any, id: str) -> Found:
    """The object with that id, which must not be in a group. Raises ToolError."""
    found = object_named(presentation, id)
    group = found.shape._element.getparent()
    if group.tag.endswith("}grpSp"):
        outer = f"{id.strip().split('.')[0]}.{group.nvGrpSpPr.cNvPr.id}"
        raise ToolError(f"{id} is part of the group {outer}", f"Name {outer}, or call ungroup_objects first")
    return found


@contextmanager
def tried(slide: Any) -> Iterator[None]:
    """What is done inside is taken back if it raises a ToolError, so that a refusal leaves the slide as it was.

    Relationships that nothing refers to afterwards, such as those of links, go.
    """
    tree = slide.shapes._spTree
    before = copy.deepcopy(tree)
    try:
        yield
    except ToolError:
        made = relationships_in(tree)
        tree[:] = list(before)
        drop_unused(slide.part, made)
        raise
    drop_unused(slide.part, relationships_in(before))


def spot(presentation: Any, slide: Any, place: Place | None, kind: str = "") -> Spot:
    """Where `place` is; None is the first empty placeholder (for a picture, rather one of its own), or else the
    area for content. Raises ToolError for a place off the slide."""
    empty = [s for s in slide.placeholders if s.placeholder_format.type not in (*TITLES, *FURNITURE)
             and s.has_text_frame and not clean(s.text_frame.text)]
    if place is None and empty:
        suited = [s for s in empty if kind == "picture" and s.placeholder_format.type == PP_PLACEHOLDER.PICTURE]
        first = (suited or empty)[0]
        return Spot(box_of(first), (first,))
    box = box_at(presentation, slide, place or "content")
    return Spot(box, tuple(s for s in empty if box_of(s).share_of(box) >= _TAKEN))


def box_of(shape: Any) -> Box:
    """Where a shape that is in no group stands, in points."""
    left, top, width, height = ((length or 0) / 12_700 for length in (shape.left, shape.top, shape.width, shape.height))
    return Box(left, top, left + width, top + height)


def put(shape: Any, box: Box) -> None:
    """Make `box`, in points, the place of `shape`."""
    edges = [round(12_700 * edge) for edge in (box.left, box.top, box.right, box.bottom)]
    shape.left, shape.top = edges[0], edges[1]
    shape.width, shape.height = max(edges[2] - edges[0], 0), max(edges[3] - edges[1], 0)


def told(number: int, slide: Any, *shapes: Any) -> str:
    """What a caller should know of objects that were placed or changed: what they overlap, and text hard to read."""
    seen = read_slide(number, slide)
    ids = {object_id(slide, shape) for shape in shapes}
    notes = []
    for one, other in clashes(seen):
        if (one.id in ids) != (other.id in ids):
            mine, its = (one, other) if one.id in ids else (other, one)
            notes.append(f"{mine.id} overlaps {its.id} ({its.name})")
    for shape in seen.shapes:
        ratio = legibility(seen, shape) if shape.id in ids and shape.text else None
        if ratio is not None and ratio < FAINT:
            notes.append(f"the text of {shape.id} is hard to read on what lies behind it (contrast {ratio:.1f})")
    return f" Note: {'; '.join(notes[:4])}." if notes else ""


def hexadecimal(slide: Any, colour: str) -> str:
    """RRGGBB of a `Colour` as the theme of `slide` has it. Raises ToolError for none."""
    return Surroundings(slide).colours[_NAMED[colour]] if colour in _NAMED else rgb(colour)


def ink_on(slide: Any, *grounds: str) -> str:
    """The `Colour` for text on `grounds` (RRGGBB): the theme's where it reads well, else black or white."""
    def worst(colour: str) -> float:
        return min(contrast(hexadecimal(slide, colour), ground) for ground in grounds)

    best = max(("text", "background"), key=worst)
    return best if worst(best) >= READABLE else max(("000000", "FFFFFF", best), key=worst)


def described(alt: str, path: str = "") -> str:
    """An alternative text, cleaned. Raises ToolError for one that does not say what there is to see."""
    text = clean(alt)
    name = Path(path).name.casefold()
    if not re.search(r"\w", text):
        raise ToolError("the alt text is empty", "Say what there is to see, for those who cannot see it")
    if _ENDING.search(text) or _NO_ALT.fullmatch(text) or (name and text.casefold() in (name, name.rsplit(".", 1)[0])):
        raise ToolError(f"the alt text '{text[:60]}' does not say what there is to see", "Describe it in a sentence")
    return text


def describe(shape: Any, text: str) -> None:
    """Set the alternative text of any object."""
    shape._element.xpath("./*[1]/p:cNvPr")[0].set("descr", text)


def address(text: str) -> str:
    """A web or mail address that a link may go to. Raises ToolError for any other."""
    bare = text.strip()
    try:
        parts = urlsplit(bare)
        sound = {"http": parts.netloc, "https": parts.netloc, "mailto": "@" in parts.path}.get(parts.scheme.lower())
    except ValueError:
        sound = False
    if not sound or not bare.isprintable() or " " in bare:
        raise ToolError(f"a link may not go to '{bare[:80]}'", "Give https://..., http://... or mailto:...")
    return bare
