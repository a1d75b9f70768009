"""Pairs of runs of one task, one that passed and one that failed: what preferences and rewards are learned from."""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime

from autorl.errors import UsageError
from autorl.formats.base import to_json
from autorl.replay.batches import Kept
from autorl.replay.store import ReplayStore
from autorl.train.hyper import draw
from autorl.types import Status, Trajectory


@dataclass(frozen=True)
class Pairing:
    """Which runs are paired, and how they are written.

    format: that they are written in; per_task: pairs of one task at most, those furthest apart in score first
    max_tokens: of a run; pairs with a longer one are left out, never cut
    tasks, runs: ids to keep to, None for all; since: runs that were started before are left out, which makes it online:
        a policy is taught by what it just did
    """

    format: str = "react"
    per_task: int = 4
    max_tokens: int = 2048
    tasks: Collection[str] | None = None
    runs: Collection[str] | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Judged:
    """A run that was judged. asked: two runs with the same were asked in the same words; did: its actions"""

    run: str
    task: str
    asked: Hashable
    did: str
    passed: bool
    score: float


def pairs(store: ReplayStore, pairing: Pairing, dropped: Counter[str], *,
          same_prompt: bool) -> Iterator[tuple[Judged, Judged]]:
    """Pairs of runs of the same task, (passed, failed), by task; why others were left out is counted in `dropped`.

    same_prompt: whether both must have been asked with the same exemplars, tools, prompt texts and warning
    Only ended runs that are trusted, judged, and free of what came from outside are looked at.
    """
    groups: dict[tuple[str, Hashable], list[Judged]] = defaultdict(list)
    for kept in store.each():
        judged = _judged(kept, pairing)
        if isinstance(judged, str):
            dropped[judged] += 1
        else:
            groups[judged.task, judged.asked if same_prompt else None].append(judged)
    by_task: dict[str, list[tuple[Judged, Judged]]] = defaultdict(list)
    for (task, _), found in groups.items():
        better, worse = [run for run in found if run.passed], [run for run in found if not run.passed]
        if not better or not worse:
            dropped["without a counterpart of the other kind"] += len(found)
        by_task[task] += [(one, other) for one in better for other in worse if one.did != other.did]
    for _, found_pairs in sorted(by_task.items()):
        ranked = sorted(found_pairs, key=lambda pair: (pair[1].score - pair[0].score,
                                                       draw(0, f"{pair[0].run} {pair[1].run}")))
        dropped["pairs beyond the cap of their task"] += max(0, len(ranked) - pairing.per_task)
        yield from ranked[: pairing.per_task]


def enough(count: int, store: ReplayStore, dropped: Counter[str]) -> None:
    """Raises UsageError where there are no pairs to learn from."""
    if count == 0:
        told = "; ".join(f"{number} {why}" for why, number in dropped.most_common()) or "it holds no judged runs"
        raise UsageError(f"no two runs in {store.where} can be paired: of one task, one that passed, one that failed "
                         f"({told})", "Attempt the same tasks several times: autorl collect slides/learn --n 8")


def _judged(kept: Kept, pairing: Pairing) -> Judged | str:
    """A run as it may be paired, or why it may not."""
    run = kept.run
    if (pairing.tasks is not None and run.task.id not in pairing.tasks) or (
            pairing.runs is not None and run.id not in pairing.runs) or (pairing.since and run.started < pairing.since):
        return "not asked for"
    if not kept.verdicts:
        return "not judged"
    if kept.trust != "trusted" or run.tainted:
        return "not trusted, or read what came from outside"
    if kept.pruned or not run.steps:
        return "without steps"
    verdict = kept.verdicts[-1].verdict
    if verdict.passed and (run.status is not Status.FINISHED or not kept.recallable):
        return "passed, but not to be learned from"
    did = "\n".join(f"{step.action.name} {to_json(step.action.arguments)}" if step.action else step.raw
                    for step in run.steps)
    return Judged(run.id, run.task.id, _asked(run), did, verdict.passed, verdict.score)


def _asked(run: Trajectory) -> Hashable:
    shown = tuple((exemplar.rank, exemplar.run, exemplar.style) for exemplar in run.recalled)
    how = run.provenance
    return how.format, how.prompt_hash, how.tools_hash, str(how.recall.get("warning", "")), shown
