"""Intervals with the task as the unit: what a figure would be with other tasks of the same kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 5000
_FIT, _DECIMALS = 5_000_000, 12
LEVEL = 0.95
FEWEST = 6
"""Tasks from which a difference can be shown. If all of five differ the same way, a sign test gives 6 %."""

Runs = Mapping[str, Sequence[float]]
"""What the runs of each task gave, one number a run (its seeds)."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `n` tasks went into it. `low` and `high` are None where nothing can be said."""

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def says(self) -> str:
        """Of a difference: whether it is one."""
        if self.low is not None and self.high is not None and self.low <= 0 <= self.high:
            return "no difference shown"
        if self.n < FEWEST:
            return f"too few tasks ({self.n})"
        return "more" if self.value > 0 else "less"


def mean(runs: Runs, *, share: bool = False) -> Estimate | None:
    """The mean over tasks of the mean over the runs of a task; None without any.

    share: the numbers are 0 or 1. Where all runs give the same, the bootstrap sees no spread; the interval is then
    the exact one for a binomial of one trial a task (Clopper and Pearson 1934).
    """
    import numpy as np

    # In the order of the tasks' names: which of them a sample draws must not hang on the order they came in.
    values = np.array([sum(numbers) / len(numbers) for _, numbers in sorted(runs.items()) if numbers])
    n = len(values)
    if n == 0:
        return None
    if share and n > 1 and values.min() == values.max() and values[0] in (0, 1):
        beyond = 1 - ((1 - LEVEL) / 2) ** (1 / n)
        return Estimate(float(values[0]), 1 - beyond if values[0] else 0.0, 1.0 if values[0] else beyond, n)
    return _estimate(lambda weights: weights @ values / n, n)


def difference(one: Runs, other: Runs) -> Estimate | None:
    """By how much the mean of `one` is above that of `other`, paired over the tasks that both have."""
    both = [task for task, numbers in one.items() if numbers and other.get(task)]
    return mean({task: [sum(one[task]) / len(one[task]) - sum(other[task]) / len(other[task])] for task in both})


def ratio(above: Runs, below: Runs) -> Estimate | None:
    """The sum of `above` over the sum of `below`, over the tasks that both have; None where `below` sums to nothing."""
    import numpy as np

    both = sorted(task for task in above if below.get(task))
    upper = np.array([sum(above[task]) / len(above[task]) for task in both])
    lower = np.array([sum(below[task]) / len(below[task]) for task in both])
    if not lower.any():
        return None

    def statistic(weights: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        with np.errstate(divide="ignore"):
            result: np.ndarray[Any, Any] = (weights @ upper) / (weights @ lower)
        return result

    return _estimate(statistic, len(both))


@lru_cache(maxsize=4)
def resampled(n: int, resamples: int = RESAMPLES) -> "np.ndarray[Any, Any]":
    """How often each of `n` tasks is drawn in samples with replacement: one a row, which sums to `n`.

    The same for every figure, so that a report is the same whenever it is made. There are fewer than `resamples`
    where they would not fit into 40 MB.
    """
    import numpy as np

    return np.random.default_rng(0).multinomial(n, [1 / n] * n, size=min(resamples, _FIT // n))


def _estimate(statistic: Callable[["np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"], n: int) -> Estimate:
    """A statistic of `n` tasks, which it takes as rows of weights, with its bias-corrected accelerated interval.

    BCa is from Efron 1987, in the form of Efron and Tibshirani 1993, chapter 14; where it is not defined, the
    percentiles themselves.
    """
    import numpy as np

    # What floating point adds would make of a zero something above it, and of two that are equal different ones.
    value = float(statistic(np.ones((1, n)))[0].round(_DECIMALS))
    if n < 2:
        return Estimate(value, None, None, n)
    drawn = np.sort(statistic(resampled(n)).round(_DECIMALS))
    # Of so many tasks none weighs anything.
    left_out = statistic((np.ones((n, n)) - np.eye(n)) * n / (n - 1)) if n <= 1000 else drawn[:1]
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    below = float((drawn < value).mean() + (drawn == value).mean() / 2)
    apart = left_out.mean() - left_out if np.isfinite(left_out).all() else np.zeros(1)
    spread = float((apart**2).sum())
    if 0 < below < 1 and spread > 0:
        normal = NormalDist()
        bias = normal.inv_cdf(below)
        acceleration = float((apart**3).sum()) / (6 * spread**1.5)
        shifted = [bias + normal.inv_cdf(tail) for tail in tails]
        tails = tuple(normal.cdf(bias + z / (1 - acceleration * z)) for z in shifted)  # type: ignore[assignment]
    low, high = (float(drawn[min(len(drawn) - 1, int(tail * len(drawn)))]) for tail in tails)
    return Estimate(value, low if isfinite(low) else None, high if isfinite(high) else None, n)
