"""What is measured of an episode."""

import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp, inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autorl.bench.statistics import Estimate, ratio
from autorl.types import Task, Trajectory

if TYPE_CHECKING:
    from autorl.bench.ledger import Episode

_LARGEST = 500_000_000
"""Bytes that a deck may unpack to; opening a larger one could take the benchmark down."""


@dataclass(frozen=True)
class Metric:
    """A number for each episode, and its mean over them.

    title: for people; share: whether it lies in 0..1 and is told in percent
    better: which way is better, None where neither is
    of: the number, or None where the episode has none and does not count
    """

    title: str
    of: Callable[["Episode"], float | None]
    better: Literal["higher", "lower"] | None = "lower"
    unit: str = ""
    share: bool = False


def efficiency(episode: "Episode") -> float | None:
    """Success weighted by path length (Anderson et al. 2018): optimal over taken steps, 0 without success."""
    if episode.optimal is None:
        return None
    return episode.verified * episode.optimal / max(episode.steps, episode.optimal, 1)


METRICS = {
    "success": Metric("success", lambda e: e.verified, "higher", "share of episodes", share=True),
    "ner": Metric("NER", lambda e: e.produced, "higher", "share of episodes", share=True),
    "score": Metric("score", lambda e: e.score, "higher", "of the verifier, 0..1"),
    "efficiency": Metric("efficiency", efficiency, "higher", "optimal over taken steps, 0 without success"),
    "steps": Metric("steps", lambda e: e.steps, "lower", "completions an episode"),
    "tokens": Metric("tokens", lambda e: e.usage.total, "lower", "tokens an episode, read and written"),
    "prompt_tokens": Metric("prompt tokens", lambda e: e.usage.prompt_tokens, "lower", "tokens an episode"),
    "cached_tokens": Metric("from cache", lambda e: e.usage.cached_tokens, None, "tokens an episode"),
    "completion_tokens": Metric("written tokens", lambda e: e.usage.completion_tokens, "lower", "tokens an episode"),
    "seconds": Metric("seconds", lambda e: e.seconds, "lower", "s an episode"),
    "died": Metric("died", lambda e: bool(e.died), "lower", "share of episodes", share=True),
}
"""What the report tells of every setting. `ner` is the Non-Exception Rate of the paper: the share of runs that gave
at least one file of the kind that was asked for."""
FIGURES = (*METRICS, "tokens_per_success", "perplexity", "rfr", "rfr_failed_last", "strength", "first_success")
"""What can be kept of a report (see figures.py)."""


def optimal(task: Task) -> int | None:
    """The fewest steps in which `task` can be done, where it says so."""
    found = task.requirements.get("optimal")
    return found if isinstance(found, int) else None


def surprise(trajectory: Trajectory) -> tuple[float, int]:
    """Minus the log-probability of all that the policy wrote in a run, in nats, and how many tokens that is of.

    (0, 0) where a model did not tell it for every step, or told what is no log-probability.
    """
    told = [step.logprobs for step in trajectory.steps]
    if not all(told) or any(not -inf < each <= 0 for logprobs in told for each in logprobs):
        return 0.0, 0
    return -sum(map(sum, told)), sum(map(len, told))


def perplexity(episodes: Iterable["Episode"]) -> Estimate | None:
    """How surprised a policy is by its own successes: the exponent of its mean negative log-likelihood a token.

    Only of episodes that passed and whose model told log-probabilities (`keep_tokens`); None without any. The interval
    is over tasks.
    """
    nats: dict[str, list[float]] = defaultdict(list)
    tokens: dict[str, list[float]] = defaultdict(list)
    for episode in episodes:
        if episode.verified and episode.rated:
            nats[episode.cell.task].append(episode.nats)
            tokens[episode.cell.task].append(episode.rated)
    found = ratio(nats, tokens)
    if found is None:
        return None
    low, high = (None if end is None else exp(end) for end in (found.low, found.high))
    return Estimate(exp(found.value), low, high, found.n)


def opens(path: Path) -> bool:
    """Whether a file is what its name says: a deck that python-pptx opens; of other kinds, one that is not empty."""
    try:
        if path.suffix != ".pptx":
            return path.stat().st_size > 0
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > _LARGEST:
                return False
        from pptx import Presentation

        Presentation(str(path))
    except Exception:  # whatever a broken file makes a reader raise
        return False
    return True
