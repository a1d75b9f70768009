"""Colours as numbers: how well one reads on another, and how well two can be told apart."""

import colorsys
from collections.abc import Sequence

_WHITE = (0.95047, 1.0, 1.08883)  # D65, the white of sRGB


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio").

    first, second: as RRGGBB
    """
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def distance(first: str, second: str) -> float:
    """How different two colours look: CIE 1976 Delta E; 0 is the same, 2 is just seen, black and white are 100."""
    return sum((a - b) ** 2 for a, b in zip(_lab(first), _lab(second), strict=True)) ** 0.5


def dimmed(colour: str, factor: float, offset: float = 0.0) -> str:
    """`colour` with its lightness times `factor` plus `offset`: DrawingML's lumMod and lumOff, both from 0 to 1."""
    hue, light, saturation = colorsys.rgb_to_hls(*_parts(colour))
    return _hex(colorsys.hls_to_rgb(hue, min(light * factor + offset, 1.0), saturation))


def mixed(colour: str, other: str, share: float) -> str:
    """`share` (0 to 1) of `colour` and the rest of `other`, mixed as numbers of sRGB."""
    return _hex([a * share + b * (1 - share) for a, b in zip(_parts(colour), _parts(other), strict=True)])


def _parts(colour: str) -> list[float]:
    return [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]


def _hex(parts: Sequence[float]) -> str:
    return "".join(f"{round(part * 255):02X}" for part in parts)


def _linear(colour: str) -> list[float]:
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour)]


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(colour: str) -> tuple[float, float, float]:
    red, green, blue = _linear(colour)
    xyz = (0.4124 * red + 0.3576 * green + 0.1805 * blue, _luminance(colour),
           0.0193 * red + 0.1192 * green + 0.9505 * blue)
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
               for t in (part / white for part, white in zip(xyz, _WHITE, strict=True)))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
