"""Opens pictures that anyone may have made, and makes of them what every viewer of a deck can show.

What a picture costs is known from its header, before any of it is decoded.
"""

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from autorl.errors import ToolError
from autorl.workspace import Workspace

_MB = 1024 * 1024
_LARGEST = 60 * _MB
_MOST_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
_PLAIN = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA"), "JPEG": ("L", "RGB")}
_SHARP = 3.0  # pixels a point, 216 an inch; more is not seen on a slide
_OFTEN = 1.3  # times as many pixels as that are left as they are
_TURNED = 0x0112
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+://|data:|www\.)", re.IGNORECASE)
_QUALITY = 90


@dataclass(frozen=True)
class Picture:
    """data: a PNG or a JPEG; width, height: in pixels; notes: what was done to it"""

    data: bytes
    width: int
    height: int
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> float:
        """Width to height."""
        return self.width / self.height

    @property
    def told(self) -> str:
        text = "; ".join(self.notes)
        return f" {text[0].upper()}{text[1:]}." if text else ""


def open_picture(workspace: Workspace, name: str, width: float, height: float, fill: bool = True) -> Picture:
    """The picture in the file `name`, upright, in RGB, with no more pixels than a place on a slide needs.

    width, height: of its place, in points; fill: it will cover the place, else stand inside it
    Raises ToolError, in one line, for what is no picture and for what is too large to be opened.
    """
    if _ADDRESS.match(name.strip()):
        raise ToolError(f"'{name[:80]}' is an address, and nothing is fetched from the network",
                        "Put the picture into the workspace, and give the name of its file")
    path = workspace.path(name)
    if not path.is_file():
        raise ToolError(f"there is no file '{name[:80]}'", _pictures_in(workspace))
    size = path.stat().st_size
    if size == 0 or size > _LARGEST:
        raise ToolError(f"'{name}' is empty" if not size else f"'{name}' has {size / _MB:.0f} MB",
                        f"Give a picture of up to {_LARGEST // _MB} MB")
    data = path.read_bytes()
    _refuse_drawings(name, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, which are looked at here
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _made(name, data, image, width, height, fill)
    except ToolError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many(name, "more than 170 million") from error
    except Exception as error:  # decoders raise whatever they trip over
        raise _no_picture(name, data, error) from error


def _made(name: str, data: bytes, image: Any, width: float, height: float, fill: bool) -> Picture:
    pixels = image.width * image.height
    if pixels > _MOST_PIXELS:
        raise _too_many(name, f"{image.width} by {image.height}")
    if min(image.size) < 1:
        raise ToolError(f"'{name}' has no pixels", "Give another picture")
    kind, frames = image.format, getattr(image, "n_frames", 1)
    notes = []
    if kind == "MPO":  # a JPEG of several views
        kind, frames = "JPEG", 1
    if frames > 1:
        notes.append(f"of its {frames} {'pages' if kind == 'TIFF' else 'frames'} only the first is shown")
        image.seek(0)
    turned = image.getexif().get(_TURNED, 1) not in (0, 1)
    image.load()
    plain = image.mode in _PLAIN.get(kind, ()) and frames == 1 and not turned
    upright = ImageOps.exif_transpose(image) if turned else image
    if turned:
        notes.append("turned as its camera noted")
    made = _usual(upright, notes)
    share = (max if fill else min)(width / made.width, height / made.height) * _SHARP
    if share * _OFTEN < 1:
        size = tuple(max(1, round(side * share)) for side in made.size)
        notes.append(f"scaled from {made.width} by {made.height} to {size[0]} by {size[1]} pixels, as its place needs")
        if made.mode in ("P", "1"):  # colours between those of a palette
            made = made.convert("RGBA" if "transparency" in made.info else "RGB")
        made, plain = made.resize(size, Image.LANCZOS), False
    if plain:
        return Picture(data, image.width, image.height, tuple(notes))
    if kind not in _PLAIN:
        notes.append(f"turned from {kind} into PNG")
    out = io.BytesIO()
    if kind == "JPEG":
        made.save(out, "JPEG", quality=_QUALITY)
    else:
        made.save(out, "PNG")
    return Picture(out.getvalue(), made.width, made.height, tuple(notes))


def _usual(image: Any, notes: list[str]) -> Any:
    """`image` in a mode that PNG and JPEG have, with eight bits a colour."""
    mode = image.mode
    if mode in _PLAIN["PNG"]:
        return image
    if mode.startswith("I;16"):
        notes.append("turned from 16 into 8 bits")
        return Image.fromarray((np.asarray(image.convert("I")) >> 8).astype(np.uint8))
    if mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        low, high = float(values.min()), float(values.max())
        notes.append(f"its values from {low:g} to {high:g} are shown from black to white")
        return Image.fromarray(((values - low) / max(high - low, 1e-9) * 255).astype(np.uint8))
    notes.append(f"turned from {mode} into RGB")
    return image.convert("RGBA" if mode in ("PA", "La", "RGBa") else "RGB")


def _refuse_drawings(name: str, data: bytes) -> None:
    start = data[:1000].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if b"<svg" in start:
        raise ToolError(f"'{name}' is an SVG drawing, which cannot be put on a slide", "Convert it to PNG first")
    if start.startswith((b"%pdf", b"%!ps")):
        raise ToolError(f"'{name}' is a document, not a picture", "Convert the page to PNG first")
    if start.startswith((b"\xd7\xcd\xc6\x9a", b"\x01\x00\x00\x00")) or data[40:44] == b" EMF":
        raise ToolError(f"'{name}' is a Windows metafile, which not every viewer shows", "Convert it to PNG first")


def _pictures_in(workspace: Workspace) -> str:
    names = sorted(path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*")
                   if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"))
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"Pictures: {', '.join(names[:12])}{more}" if names else "The workspace holds no picture"


def _too_many(name: str, pixels: str) -> ToolError:
    return ToolError(f"'{name}' has {pixels} pixels", f"Make it smaller: at most {_MOST_PIXELS // 10**6} million")


def _no_picture(name: str, data: bytes, error: Exception) -> ToolError:
    start = data[:16].decode("latin-1")
    shown = "".join(char if char.isprintable() else "." for char in start)
    reason = "it is cut off or broken" if _begins_like_one(data) else f"it begins with '{shown}'"
    return ToolError(f"'{name}' is no picture that can be opened ({reason})", f"Give one of {', '.join(_FORMATS)}")


def _begins_like_one(data: bytes) -> bool:
    return data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")) or data[8:12] == b"WEBP"
