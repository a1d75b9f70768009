"""Decks as a reader sees them: where each word stands, and the pixels. Rendered once for equal bytes."""

import hashlib
import html
import io
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from platformdirs import user_cache_path

from . import libreoffice
from .libreoffice import NotRendered
from .opening import open_presentation
from .wording import clean

__all__ = ["NotRendered", "Page", "Rendering", "Word", "available", "render"]

_MOST_DECKS = 200
_MOST_BYTES = 500 * 1024 * 1024
_LONGEST = 4033  # points; 56 inches is the format's own limit
_EAST_ASIAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # kana, Chinese characters, hangul
# Expressions and no XML parser: a deck's words may hold characters that XML forbids, but no plain "<".
_PAGE = re.compile(r'<page width="([^"<]*)" height="([^"<]*)">(.*?)</page>', re.DOTALL)
_WORD = re.compile(r'<word xMin="([^"<]*)" yMin="([^"<]*)" xMax="([^"<]*)" yMax="([^"<]*)">([^<]*)</word>')


@dataclass(frozen=True)
class Word:
    """A word and its box, in points from the slide's top left corner; it may reach over the slide's edges.

    Letters wholly off the slide are missing from it, and so is a word that has no other letters.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Page:
    """A slide as rendered. number: of the slide, from 1; width, height: in points; words: in reading order"""

    number: int
    width: float
    height: float
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Rendering:
    """A rendered deck. pages: one for every slide, hidden ones too, in their order; pdf: the file"""

    pages: tuple[Page, ...]
    pdf: bytes = field(repr=False)

    def picture(self, slide: int, size: int = 960) -> bytes:
        """A PNG of the slide with that number, `size` pixels along its longer side. Raises NotRendered."""
        page = self._page(slide)
        return self._drawn(page, size / max(page.width, page.height), "-png")

    def pixels(self, slide: int, scale: float = 1) -> Image.Image:
        """The slide with that number as an RGB image, `scale` pixels to a point. Raises NotRendered."""
        with Image.open(io.BytesIO(self._drawn(self._page(slide), scale))) as image:
            return image.convert("RGB")

    def _page(self, slide: int) -> Page:
        if not 1 <= slide <= len(self.pages):
            raise NotRendered(f"there is no slide {slide}", f"The deck has {len(self.pages)}")
        return self.pages[slide - 1]

    def _drawn(self, page: Page, scale: float, *options: str) -> bytes:
        width, height = (str(max(round(side * scale), 1)) for side in (page.width, page.height))
        return _poppler(self.pdf, "pdftoppm", "-f", str(page.number), "-l", str(page.number),
                        "-scale-to-x", width, "-scale-to-y", height, *options)


def available() -> str | None:
    """None where decks can be rendered, else what is missing and how to get it."""
    return _missing({name: package for name, package in libreoffice.lacking().items()
                     if name != libreoffice.EAST_ASIAN})


def _missing(gone: Mapping[str, str]) -> str | None:
    packages = " ".join(sorted(set(gone.values())))
    return f"this machine has no {', '.join(gone)}. Install it; on Debian: apt-get install {packages}" if gone else None


def location() -> Path:
    """Where renderings are kept: AUTORL_HOME/render, or else the user's cache folder."""
    home = os.environ.get("AUTORL_HOME")
    return (Path(home).expanduser().resolve() if home else user_cache_path("autorl")) / "render"


def render(path: Path, cache: Path | None = None) -> Rendering:
    """The deck at `path` as LibreOffice shows it, from `cache` if the same bytes were rendered before.

    cache: a folder, `location()` by default; the latest 200 renderings of up to 500 MB stay there
    Raises NotRendered, and BrokenDeck for what is no .pptx or unpacks to too much.
    """
    slides = open_presentation(path).slides
    missing = available()
    if missing is None and (boxes := libreoffice.lacking()):
        missing = _missing(boxes) if any(_EAST_ASIAN.search(slide.part.blob.decode()) for slide in slides) else None
    if missing is not None:
        raise NotRendered(missing)
    cache = (cache or location()).absolute()
    try:
        pdf = _pdf(path.read_bytes(), cache)
        rendering = Rendering(_pages(pdf), pdf)
    except OSError as error:
        raise NotRendered(f"'{path.name}' was not rendered: {error}",
                          f"Is there room in {cache}? AUTORL_HOME names another place") from error
    if len(rendering.pages) != len(slides):
        raise NotRendered(f"LibreOffice shows {len(rendering.pages)} of the {len(slides)} slides of '{path.name}'",
                          "Make the deck again")
    return rendering


def _pdf(deck: bytes, cache: Path) -> bytes:
    decks = cache / "decks"
    decks.mkdir(parents=True, exist_ok=True)
    kept = decks / f"{hashlib.sha256(deck + libreoffice.identity().encode()).hexdigest()}.pdf"
    if pdf := _read(kept):
        return pdf
    with libreoffice.slot(cache) as folder:
        if pdf := _read(kept):  # somebody else made it while this one waited
            return pdf
        pdf = libreoffice.to_pdf(deck, folder)
        with tempfile.NamedTemporaryFile(dir=decks, delete=False) as file:
            file.write(pdf)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, kept)
    _drop_oldest(decks)
    return pdf


def _read(kept: Path) -> bytes | None:
    try:
        os.utime(kept)  # the latest to be used is the last to go
        return kept.read_bytes()
    except FileNotFoundError:
        return None


def _drop_oldest(decks: Path) -> None:
    """Keep the bounds of the cache; others may be doing the same."""
    found = []
    for path in decks.iterdir():
        with suppress(FileNotFoundError):
            found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = 0
    for count, (_, size, path) in enumerate(sorted(found, reverse=True), start=1):
        total += size
        if count > _MOST_DECKS or total > _MOST_BYTES:
            path.unlink(missing_ok=True)


def _pages(pdf: bytes) -> tuple[Page, ...]:
    text = _poppler(pdf, "pdftotext", "-bbox-layout", "-enc", "UTF-8").decode(errors="replace")
    pages = []
    for number, (width, height, body) in enumerate(_PAGE.findall(text), start=1):
        if not (0 < float(width) <= _LONGEST and 0 < float(height) <= _LONGEST):
            raise NotRendered(f"slide {number} measures {width} by {height} points",
                              f"The format allows {_LONGEST} either way")
        words = (Word(clean(html.unescape(word)), *map(float, box)) for *box, word in _WORD.findall(body))
        pages.append(Page(number, float(width), float(height), tuple(words)))
    return tuple(pages)


def _poppler(pdf: bytes, program: str, *options: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="autorl-") as folder:
        (Path(folder) / "deck.pdf").write_bytes(pdf)
        output = ["-"] if program == "pdftotext" else []
        return libreoffice.bounded([program, *options, "deck.pdf", *output], Path(folder))
