"""What past outcomes say: which exemplars help, which do harm, and what went wrong before."""

import re
from collections import Counter
from collections.abc import Sequence
from math import sqrt

from autorl.replay.store import Candidate, ReplayStore
from autorl.types import Status

SMOOTHING = 4
"""Judged runs that an exemplar counts as having been shown to, to no effect, before there were any."""
ENOUGH = 10
"""Judged runs from which an exemplar may be found to do harm."""
_CHECK = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")
_TOLD = 3


def lift(candidate: Candidate) -> float:
    """How much more often those pass who are shown it, in -1..1: against what their tasks got without it, smoothed."""
    return (candidate.wins - candidate.expected) / (candidate.shown + SMOOTHING)


def harmful(candidate: Candidate) -> bool:
    """Whether it is all but certain (97.5 %) that those who are shown it pass less often, by strict verifiers alone."""
    shown = candidate.shown
    if shown < ENOUGH or candidate.strict < shown:
        return False
    return (candidate.wins - candidate.expected) / shown + 1.96 * 0.5 / sqrt(shown) < 0


def warning(store: ReplayStore, tasks: Sequence[str], *, limit: int = 50) -> str:
    """One line on what went wrong before on these tasks, empty for nothing.

    It is made from how runs of this place ended and from the names of checks: nothing that a model or a stranger wrote.
    """
    failures, judged = store.failures(tasks, limit=limit)
    if not failures:
        return ""
    reasons = Counter(check.replace("_", " ") for failure in failures for check in failure.checks
                      if _CHECK.fullmatch(check))
    reasons.update(failure.status.replace("_", " ") for failure in failures if failure.status is not Status.FINISHED)
    told = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(_TOLD))
    return (f"Of {judged} earlier runs on tasks like this one, {len(failures)} failed"
            + (f". Most often for: {told}." if told else "."))
