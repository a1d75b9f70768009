"""Text changed where it stands: words found across the runs of a paragraph, and replaced without losing their looks."""

import copy
from collections.abc import Iterator
from typing import Any

from pptx.text.text import _Paragraph

_BREAK = "\uffff"  # which no file can hold, and nobody looks for


def plain(paragraph: Any) -> str:
    """The text of a paragraph; what no run holds (a line end, a field) is one that nobody looks for."""
    return "".join(child.text if child.tag.endswith("}r") else _BREAK for child in paragraph
                   if child.tag.endswith(("}r", "}br", "}fld")))


def says(paragraph: Any, find: str) -> bool:
    """Whether a paragraph holds `find` in its runs."""
    return next(_spans(plain(paragraph), find), None) is not None


def _spans(text: str, find: str) -> Iterator[tuple[int, int]]:
    start = text.find(find) if _BREAK not in find else -1
    while start >= 0:
        yield start, start + len(find)
        start = text.find(find, start + len(find))


def _starts(paragraph: Any) -> list[tuple[Any, int]]:
    """The runs of a paragraph, each with where its text starts in that of the paragraph."""
    found, at = [], 0
    for child in paragraph:
        if child.tag.endswith("}r"):
            found.append((child, at))
            at += len(child.text)
        elif child.tag.endswith(("}br", "}fld")):
            at += 1
    return found


def replace_in(paragraph: Any, find: str, new: str) -> int:
    """Replace in the runs of one paragraph, from its end; the run that a match starts in gives it its look."""
    spans = list(_spans(plain(paragraph), find))
    for start, end in reversed(spans):
        put_in = new
        for run, at in _starts(paragraph):
            text = run.text
            first, last = max(start - at, 0), min(end - at, len(text))
            if first < last:
                run.text = text[:first] + put_in + text[last:]
                put_in = ""
    for run, _ in _starts(paragraph):
        if spans and not run.text:
            paragraph.remove(run)
    return len(spans)


def runs_saying(paragraph: Any, match: str) -> Iterator[Any]:
    """The runs that say `match`, parted from what stands around it."""
    for start, end in list(_spans(plain(paragraph), match)):
        for run, at in _starts(paragraph):
            text = run.text
            first, last = max(start - at, 0), min(end - at, len(text))
            if first < last:
                for part, place in ((text[:first], run.addprevious), (text[last:], run.addnext)):
                    if part:
                        twin = copy.deepcopy(run)
                        twin.text = part
                        place(twin)
                run.text = text[first:last]
                yield next(r for r in _Paragraph(paragraph, None).runs if r._r is run)
