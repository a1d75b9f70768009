"""The outlines of shapes: which there are, where text stands inside them, and where connectors end on them.

Both follow the definitions of the presets (ECMA-376 part 1, 20.1.9 and presetShapeDefinitions.xml), as a new shape is
adjusted.
"""

from typing import Any, NamedTuple


class Outline(NamedTuple):
    """preset: its name in the file.

    area: where text stands, from left, top, right and bottom in parts of width and height; short: the same in parts of
    the shorter side, added; sites: the numbers of the connection sites at top, left, bottom and right; points: where
    these are, in parts of width and height
    """

    preset: str
    area: tuple[float, float, float, float] = (0, 0, 0, 0)
    short: tuple[float, float, float, float] = (0, 0, 0, 0)
    sites: tuple[int, int, int, int] = (0, 1, 2, 3)
    points: tuple[tuple[float, float], ...] = ((0.5, 0), (0, 0.5), (0.5, 1), (1, 0.5))


_ROUND = 0.0488
_STAR = (0.309, 0.382, 0.309, 0.236)
OUTLINES: dict[str, Outline] = {
    "rectangle": Outline("rect"),
    "rounded rectangle": Outline("roundRect", short=(_ROUND,) * 4),
    "oval": Outline("ellipse", (0.1465,) * 4, sites=(0, 2, 4, 6)),
    "triangle": Outline("triangle", (0.25, 0.5, 0.25, 0), sites=(0, 1, 3, 5),
                        points=((0.5, 0), (0.25, 0.5), (0.5, 1), (0.75, 0.5))),
    "diamond": Outline("diamond", (0.25,) * 4),
    "pentagon": Outline("homePlate", short=(0, 0, 0.25, 0)),
    "chevron": Outline("chevron", short=(0.5, 0, 0.5, 0)),
    "hexagon": Outline("hexagon", (0.17,) * 4, sites=(4, 3, 2, 0)),
    "star": Outline("star5", _STAR, sites=(0, 1, 2, 4),
                    points=((0.5, 0), (0, 0.382), (0.191, 1), (1, 0.382))),
    "arrow right": Outline("rightArrow", (0, 0.25, 0, 0.25), (0, 0, 0.25, 0)),
    "arrow left": Outline("leftArrow", (0, 0.25, 0, 0.25), (0.25, 0, 0, 0)),
    "arrow up": Outline("upArrow", (0.25, 0, 0.25, 0), (0, 0.25, 0, 0)),
    "arrow down": Outline("downArrow", (0.25, 0, 0.25, 0), (0, 0, 0, 0.25)),
    "callout": Outline("wedgeRoundRectCallout", short=(_ROUND,) * 4),
    "cylinder": Outline("can", short=(0, 0.25, 0, 0.125), sites=(1, 2, 3, 4)),
    "cloud": Outline("cloud", (0.138, 0.151, 0.209, 0.197)),
}
_PRESETS = {outline.preset: outline for outline in OUTLINES.values()}


def outline_of(shape: Any) -> Outline:
    """The outline of a shape; that of a rectangle for pictures, placeholders and presets that are not listed."""
    geometry = shape._element.find("{*}spPr/{*}prstGeom")
    return _PRESETS.get(geometry.get("prst") if geometry is not None else "", OUTLINES["rectangle"])


def text_area(shape: Any, wide: float, high: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the part of a shape that its text stands in, in points from its corner."""
    outline = outline_of(shape)
    area, short = outline.area, outline.short
    side = min(wide, high)
    left, right = area[0] * wide + short[0] * side, area[2] * wide + short[2] * side
    top, bottom = area[1] * high + short[1] * side, area[3] * high + short[3] * side
    return left, top, max(wide - right, left), max(high - bottom, top)
