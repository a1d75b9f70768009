"""A model as a judge: its answers read, asked in both orders, and gated before any of them counts.

The gate is how MMVP scores vision models (Tong et al. 2024, section 2): the same question about two things that differ
in one respect, and credit only when both answers are right. Who always says the same gets none.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

FINE, FAULTY, TIE = "fine", "faulty", "tie"
CHANCE = 0.25
"""Credit that tossing a coin for each of the two answers gets."""
INPUT_CAP = 20_000
"""Characters of an answer, from its end, that are read."""
_MARKS = " \t.,:;!*_`'\"()[]"

Said = tuple[str | None, str | None]
"""What was said to the one and to the other way of asking; None for nonsense."""
Winner = Literal["one", "other", "tie"]


def answer_in(text: str, among: Iterable[str]) -> str | None:
    """Which of the words in `among` an answer comes to: its last line that begins with `Answer:`, or all of it.

    None for nonsense: another word, several of them, or none.
    """
    known = {word.casefold(): word for word in among}
    lines = [line.strip(_MARKS) for line in text[-INPUT_CAP:].splitlines()]
    marked = [line.partition(":")[2] for line in lines if line.casefold().startswith("answer:")]
    return known.get((marked or [text[:INPUT_CAP]])[-1].strip(_MARKS + "\r\n").casefold())


def both_orders(ask: Callable[[bool], str | None]) -> Said:
    """What a judge says of two things, `A` for the first it is shown, in one order and (asked with True) the other way.

    The answers are turned back: `A` is the one, `B` the other, whatever the order was.
    """
    turned = {"A": "B", "B": "A"}
    straight, swapped = ask(False), ask(True)
    return straight, turned.get(swapped, swapped) if swapped else None


def winner(said: Said) -> Winner | None:
    """Who won: a judge that takes the other one when they are swapped has not shown any difference.

    None if either answer was nonsense: then there is no vote.
    """
    if None in said:
        return None
    names: dict[str | None, Winner] = {"A": "one", "B": "other"}
    return names.get(said[0], "tie") if said[0] == said[1] else "tie"


def flipped(said: Said) -> bool:
    """Whether the order decided: both answers are a choice, and not the same."""
    return set(said) == {"A", "B"}


@dataclass(frozen=True)
class Score:
    """How many of `n` pairs earned credit, as a share with its 95 % interval (Wilson 1927)."""

    right: int
    n: int

    @property
    def share(self) -> float:
        return self.right / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        if not self.n:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(0.975)
        middle = (self.share + z * z / (2 * self.n)) / (1 + z * z / self.n)
        half = z / (1 + z * z / self.n) * sqrt(self.share * (1 - self.share) / self.n + z * z / (4 * self.n**2))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Gate:
    """What paired controls say of a judge. nonsense: answers, of two a pair, that could not be read"""

    whole: Score
    kinds: Mapping[str, Score]
    nonsense: int

    @property
    def open(self) -> bool:
        """Whether its votes count: it does better than chance, and that is no luck."""
        return self.whole.interval[0] > CHANCE


def gate(controls: Iterable[tuple[str, Said]]) -> Gate:
    """The gate of a judge, from what it said of each pair: its kind of defect, and (of the clean one, of the other)."""
    found: dict[str, list[bool]] = {}
    nonsense = 0
    for kind, said in controls:
        found.setdefault(kind, []).append(said == (FINE, FAULTY))
        nonsense += said.count(None)
    kinds = {kind: Score(sum(credit), len(credit)) for kind, credit in sorted(found.items())}
    return Gate(Score(sum(s.right for s in kinds.values()), sum(s.n for s in kinds.values())), kinds, nonsense)
