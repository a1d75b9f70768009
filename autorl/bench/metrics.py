"""What is measured of an episode."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autorl.bench.statistics import Estimate, ratio
from autorl.types import Task

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
FIGURES = (*METRICS, "tokens_per_success", "rfr", "rfr_failed_last", "strength", "first_success")
"""What can be kept of a report (see figures.py)."""


def optimal(task: Task) -> int | None:
    """The fewest steps in which `task` can be done, where it says so."""
    found = task.requirements.get("optimal")
    return found if isinstance(found, int) else None


def perplexity(logprobs: Mapping[str, Sequence[Sequence[float]]]) -> Estimate | None:
    """How surprised a policy is by held-out successes: the exponent of its mean negative log-likelihood a token.

    logprobs: natural logarithms, of the policy's own tokens only; for each task its trajectories, for each of these its
    tokens. The interval is over tasks. None without any token. Raises ValueError for what is no log-probability.
    """
    if any(not -inf < each <= 0 for runs in logprobs.values() for tokens in runs for each in tokens):
        raise ValueError("a log-probability is finite and not above 0")
    found = ratio({task: [-sum(tokens) for tokens in runs] for task, runs in logprobs.items()},
                  {task: [float(len(tokens)) for tokens in runs] for task, runs in logprobs.items()})
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
