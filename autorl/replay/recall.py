"""Which past successes a policy is shown before it starts on a task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autorl.errors import UnknownName, UsageError
from autorl.registry import Toolset
from autorl.replay import embed
from autorl.replay.store import Candidate, ReplayStore
from autorl.types import Exemplar, Recalled, Task, Trajectory

if TYPE_CHECKING:
    import numpy as np

FUSION = 60.0
"""The constant of reciprocal rank fusion (Cormack, Clarke, Buettcher 2009)."""
TWINS = 0.97
"""Cosine from which two tasks say the same; only the better one of them is shown."""


@dataclass(frozen=True)
class Recall:
    """How to recall.

    k: exemplars at most, 0 for none; budget: tokens they may take together
    same_task: whether a success on this very task may be shown; switch it off to measure
    """

    k: int = 2
    budget: int = 1500
    same_task: bool = True


def recall(store: ReplayStore | None, task: Task, *, tools: Toolset, size: Callable[[Trajectory], int],
           how: Recall = Recall()) -> list[Exemplar]:
    """Past successes to show the policy before it starts `task` (the C_+ of the method).

    Only runs that finished, passed and are trusted, whose every tool is at hand, count. They are
    ordered by likeness in words and in meaning, fused by reciprocal rank, then by how often those who
    were shown them passed, then by brevity. While there are none, the packs' seeds stand in.
    `size` gives the tokens of a trajectory as an exemplar. Returns at most `how.k` exemplars, best last
    (the closest to the task reads freshest). Raises StoreUnavailable if the store cannot be read.
    """
    if how.k == 0:
        return []
    names = {tool.name for tool in tools}
    found = [c for c in store.candidates() if c.tools <= names] if store else []
    if not found:
        return _from_seeds(task, tools.seeds, names, size, how)
    assert store is not None
    if not how.same_task:
        found = [c for c in found if c.task != task.id]
    chosen: list[Exemplar] = []
    shown: list[str] = []
    left = how.budget
    likeness, twins = _likeness(store, task, found)
    for candidate in sorted(found, key=lambda c: _worth(c, likeness[c.task][0]), reverse=True):
        if any(twins(candidate.task, other) for other in shown):
            continue
        trajectory = store.get(candidate.run)
        tokens = size(trajectory)
        if tokens <= left:
            left -= tokens
            shown.append(candidate.task)
            chosen.append(Exemplar(trajectory, round(likeness[candidate.task][1], 4)))
        if len(chosen) == how.k:
            break
    return chosen[::-1]


def as_recalled(exemplars: Sequence[Exemplar]) -> tuple[Recalled, ...]:
    """What a trajectory says of the exemplars it was shown, rank 0 being the best (the last)."""
    return tuple(
        Recalled(run=exemplar.trajectory.id, rank=rank, score=exemplar.score, origin=exemplar.origin)
        for rank, exemplar in enumerate(reversed(exemplars))
    )


def shown_before(store: ReplayStore, trajectory: Trajectory, seeds: Sequence[Path]) -> list[Exemplar]:
    """The exemplars that a run was started with, for its resume. One that is gone by now is left out."""
    planted = {seed.id: seed for path in seeds for seed in _read_seeds(path)}
    exemplars = []
    for recalled in sorted(trajectory.recalled, key=lambda r: -r.rank):
        found = planted.get(recalled.run)
        if recalled.origin == "store":
            try:
                found = store.get(recalled.run)
            except UnknownName:
                found = None
        if found is not None:
            exemplars.append(Exemplar(found, recalled.score, recalled.origin))
    return exemplars


def _worth(candidate: Candidate, likeness: float) -> tuple[float, float, int]:
    # Laplace's rule: without a record an exemplar counts as one that helps every other time.
    usefulness = (candidate.wins + 1) / (candidate.shown + 2)
    return likeness * (0.5 + usefulness), candidate.score, -candidate.steps


def _likeness(
    store: ReplayStore, task: Task, found: Sequence[Candidate]
) -> tuple[dict[str, tuple[float, float]], Callable[[str, str], bool]]:
    """How like `task` each candidate's task is, fused for the order and by its cosine alone for the record.

    Both are in 0..1. The function tells whether two of them are twins.
    """
    kept = store.vectors([c.task for c in found], embed.NAME)
    new = [c for c in found if c.task not in kept]
    if new:
        made = dict(zip((c.task for c in new), (row.tobytes() for row in embed.embed([c.text for c in new])),
                        strict=True))
        store.keep_vectors(made.items(), embed.NAME)
        kept.update(made)
    import numpy as np

    matrix = np.frombuffer(b"".join(kept[c.task] for c in found), dtype="<f4").reshape(len(found), -1)
    meaning = matrix @ embed.embed([task.text])[0]
    shared = dict(store.by_words(task.text, limit=200))
    words = np.array([shared.get(c.task, 0.0) for c in found])
    fused = (1 / (FUSION + 1 + _ranks(meaning)) + 1 / (FUSION + 1 + _ranks(words))) * (FUSION + 1) / 2
    cosines = meaning.clip(0, 1)
    likeness = {c.task: (float(one), float(other)) for c, one, other in zip(found, fused, cosines, strict=True)}
    place = {c.task: index for index, c in enumerate(found)}
    return likeness, lambda one, other: float(matrix[place[one]] @ matrix[place[other]]) > TWINS


def _ranks(scores: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The place of each score, the highest at 0. Equals share a place, so that what is said of them decides."""
    import numpy as np

    falling = -scores.round(6)
    return np.searchsorted(np.sort(falling), falling)


def _from_seeds(task: Task, seeds: Sequence[Path], names: set[str], size: Callable[[Trajectory], int],
                how: Recall) -> list[Exemplar]:
    usable = [
        seed for path in seeds for seed in _read_seeds(path)
        if {action.name for action in seed.actions} <= names and (how.same_task or seed.task.id != task.id)
    ]
    if not usable:
        return []
    scores = embed.embed([seed.task.text for seed in usable]) @ embed.embed([task.text])[0]
    chosen: list[Exemplar] = []
    left = how.budget
    for score, seed in sorted(zip(scores.tolist(), usable, strict=True), key=lambda pair: -pair[0]):
        if len(chosen) < how.k and (tokens := size(seed)) <= left:
            left -= tokens
            chosen.append(Exemplar(seed, round(score, 4), "seed"))
    return chosen[::-1]


@lru_cache(maxsize=32)
def _read_seeds(path: Path) -> tuple[Trajectory, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Trajectory.model_validate_json(line) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise UsageError(f"the seeds {path} cannot be read: {error}") from error
