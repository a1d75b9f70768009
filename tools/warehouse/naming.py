"""Names that nobody has seen: short, pronounceable, and each one once in a world."""

import keyword
import random

CONSONANTS, VOWELS = "bdfgklmnprtvz", "aeiou"


class Names:
    """Draws names from `chance`, none of them twice.

    Names that are drawn together begin with different letters and agree in one place at most, so that even a small
    model tells them apart.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._taken = set(keyword.kwlist)

    def draw(self, count: int, pattern: str) -> tuple[str, ...]:
        """`count` names of a pattern: C for a consonant, V for a vowel, as in CVCV."""
        drawn: list[str] = []
        for first in self._chance.sample(CONSONANTS, count):
            drawn.append(self._name(first, pattern, drawn))
        self._taken.update(drawn)
        return tuple(drawn)

    def _name(self, first: str, pattern: str, drawn: list[str]) -> str:
        while True:
            rest = (self._chance.choice(CONSONANTS if kind == "C" else VOWELS) for kind in pattern[1:])
            name = first + "".join(rest)
            if name not in self._taken and all(_agreeing(name, other) < 2 for other in drawn):
                return name


def _agreeing(one: str, other: str) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))
