"""Who does better on the same task: from scores, from a judge's votes or from a person's order.

A `Block` is one comparison: a task, and the score of each setting on it, None for one that failed. Who has ranks takes
their negatives.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from autorl.bench.statistics import LEVEL, Estimate, mean, resampled

if TYPE_CHECKING:
    import numpy as np

Block = tuple[str, Mapping[str, float | None]]
Failed = Literal["left out", "last"]
"""What becomes of settings that failed: no rank at all, as in the paper, or the last one, shared."""


def ranks(scores: Mapping[str, float | None], failed: Failed = "last") -> dict[str, int]:
    """The rank of each setting, 1 for the best: one more than how many are better, so that ties share a rank."""
    there = {name: score for name, score in scores.items() if score is not None or failed == "last"}
    return {name: 1 + sum(_above(other, score) for other in there.values()) for name, score in there.items()}


def relative_fulfillment(blocks: Sequence[Block], failed: Failed = "last") -> dict[str, Estimate]:
    """The Relative Fulfillment Ranking of the paper: each setting's rank, averaged over tasks. Lower is better."""
    found: dict[str, dict[str, list[float]]] = {}
    for task, scores in blocks:
        for name, rank in ranks(scores, failed).items():
            found.setdefault(name, {}).setdefault(task, []).append(rank)
    return {name: estimate for name, runs in found.items() if (estimate := mean(runs))}


def bradley_terry(blocks: Sequence[Block], failed: Failed = "last") -> dict[str, Estimate]:
    """How strong each setting is, as the logarithm of its Bradley-Terry strength; they sum to 0, higher is better.

    The chance that one beats another is 1 / (1 + exp(other - one)). Fitted with the MM algorithm of Hunter 2004;
    a tie is half a win for both, and every pair has one tie more than was seen, so that who always won stays finite.
    Intervals are percentiles of a bootstrap over tasks.
    """
    import numpy as np

    names = sorted({name for _, scores in blocks for name in scores})
    tasks = sorted({task for task, _ in blocks})
    wins = np.zeros((len(tasks), len(names), len(names)))
    for task, scores in blocks:
        there = [name for name in names if name in scores and (scores[name] is not None or failed == "last")]
        count = sum(task == other for other, _ in blocks)
        for one in there:
            for other in there:
                won = 0.5 if one != other and scores[one] == scores[other] else _above(scores[one], scores[other])
                wins[tasks.index(task), names.index(one), names.index(other)] += won / count
    if len(names) < 2:
        return {}
    whole = _fitted(wins.sum(0)[None])[0]
    drawn = np.sort(_fitted(np.tensordot(resampled(len(tasks), 1000), wins, 1)), axis=0)
    low, high = (drawn[int(tail * len(drawn))] for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    few = len(tasks) < 2
    return {name: Estimate(float(whole[i]), None if few else float(low[i]), None if few else float(high[i]), len(tasks))
            for i, name in enumerate(names)}


def kendall(one: Mapping[str, float | None], other: Mapping[str, float | None]) -> float | None:
    """How far two scores agree on the order of what both have: tau-b (Kendall 1945), from -1 to 1.

    None where there is nothing to agree on: fewer than two have both scores, or one of them ties all.
    """
    both = [(a, b) for name, a in one.items() if a is not None and (b := other.get(name)) is not None]
    pairs = [((a > c) - (a < c), (b > d) - (b < d)) for at, (a, b) in enumerate(both) for c, d in both[:at]]
    untied = sum(bool(a) for a, _ in pairs) * sum(bool(b) for _, b in pairs)
    return sum(a * b for a, b in pairs) / untied**0.5 if untied else None


def _fitted(wins: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Log-strengths, one row for each matrix of wins (row over column)."""
    import numpy as np

    count = wins.shape[-1]
    wins = wins + 0.5 * (1 - np.eye(count))
    met = wins + wins.swapaxes(-1, -2)
    won = wins.sum(-1)
    strength = np.ones_like(won)
    for _ in range(1000):
        new = won / (met / (strength[..., :, None] + strength[..., None, :])).sum(-1)
        new /= np.exp(np.log(new).mean(-1, keepdims=True))
        settled = np.abs(np.log(new / strength)).max() < 1e-6
        strength = new
        if settled:
            break
    logarithms: np.ndarray[Any, Any] = np.log(strength)
    return logarithms


def _above(one: float | None, other: float | None) -> bool:
    """Whether the score `one` is better than `other`; any is better than none."""
    return one is not None and (other is None or one > other)
