"""Pictures for the decks: simple landscapes, drawn anew from a seed, so that no photograph has to be kept."""

import io
import random
from typing import Any

from PIL import Image, ImageDraw

SKIES = {  # upper and lower edge of the sky, and what stands before it
    "city": ("#9cc4e4", "#e8f1f8", "#5b7083"), "night": ("#0b1530", "#27375f", "#0a0f1d"),
    "hall": ("#efe6d6", "#fbf7ee", "#b79a72"), "river": ("#bcd9ea", "#eef6f4", "#4f7f4a"),
    "sea": ("#7fb6dd", "#dcecf5", "#2f6690"),
}
DARK = "night"
"""The scene that carries white text everywhere."""


def scene(name: str, rng: random.Random, size: tuple[int, int] = (1200, 800)) -> bytes:
    """A PNG of the scene `name` (a key of SKIES), `size` pixels wide and high."""
    upper, lower, front = SKIES[name]
    image = _gradient(upper, lower, size)
    _DRAW[name](ImageDraw.Draw(image), rng, front, *size)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _gradient(upper: str, lower: str, size: tuple[int, int]) -> Image.Image:
    column = Image.new("RGB", (1, 2))
    for y, colour in enumerate((upper, lower)):
        ImageDraw.Draw(column).point((0, y), colour)
    return column.resize(size, Image.Resampling.BILINEAR)


def _disc(draw: Any, x: float, y: float, radius: float, colour: str) -> None:
    """A sun, a moon or a clock: something round in every scene, which tells when a picture is stretched."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _houses(draw: Any, rng: random.Random, front: str, width: int, height: int) -> None:
    lit = "#f3d58a" if front == SKIES["night"][2] else "#dfe8ee"
    _disc(draw, width * rng.uniform(0.15, 0.85), height * 0.2, width * 0.05, "#f6ecc9")
    left = 0
    while left < width:
        wide, high = rng.randint(width // 14, width // 8), rng.randint(height // 5, height // 2)
        draw.rectangle((left, height - high, left + wide, height), front)
        for x in range(left + 12, left + wide - 18, 30):
            for y in range(height - high + 14, height - 30, 36):
                if rng.random() < 0.35:
                    draw.rectangle((x, y, x + 12, y + 16), lit)
        left += wide + rng.randint(0, 14)


def _windows(draw: Any, rng: random.Random, front: str, width: int, height: int) -> None:
    floor = int(height * 0.72)
    draw.rectangle((0, floor, width, height), "#d8c6a6")
    for index in range(6):
        left = int(width * (0.05 + index * 0.16))
        draw.rectangle((left, height * 0.12, left + width * 0.09, floor - 60), "#cfe3ee", front, 8)
    _disc(draw, width * (0.175 + 0.16 * rng.randrange(5)), height * 0.22, width * 0.03, front)
    for index in range(rng.randint(3, 5)):
        left = int(width * (0.06 + index * 0.19))
        draw.rectangle((left, floor + 40, left + width * 0.15, floor + 64), front)
        draw.rectangle((left + 12, floor + 64, left + 24, height - 24), front)
        draw.rectangle((left + width * 0.15 - 24, floor + 64, left + width * 0.15 - 12, height - 24), front)


def _hills(draw: Any, rng: random.Random, front: str, width: int, height: int) -> None:
    _disc(draw, width * rng.uniform(0.15, 0.85), height * 0.2, width * 0.05, "#f7e3a1")
    for level, colour in ((0.5, "#a9c8a0"), (0.62, "#7fa974"), (0.76, front)):
        points = [(x, height * level + rng.randint(-30, 30)) for x in range(0, width + 200, 200)]
        draw.polygon([(0, height), *points, (width, height)], colour)
    bend = rng.uniform(0.3, 0.6)
    draw.polygon([(width * bend, height * 0.66), (width * (bend + 0.03), height * 0.66),
                  (width * 0.75, height), (width * 0.45, height)], "#8fbfd6")


def _waves(draw: Any, rng: random.Random, front: str, width: int, height: int) -> None:
    horizon = int(height * rng.uniform(0.5, 0.6))
    _disc(draw, width * rng.uniform(0.15, 0.85), horizon - width * 0.1, width * 0.05, "#f7e3a1")
    draw.rectangle((0, horizon, width, height), front)
    for y in range(horizon + 24, height, 34):
        for x in range(rng.randint(-80, 0), width, 160):
            draw.arc((x, y, x + 120, y + 26), 190, 350, "#6fa3c7", 4)


_DRAW = {"city": _houses, "night": _houses, "hall": _windows, "river": _hills, "sea": _waves}
