"""Which past successes a policy is shown before it starts on a task."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from autorl.errors import UnknownName, UnreadableRow, UsageError
from autorl.registry import Toolset
from autorl.replay import curate, embed
from autorl.replay.search import Search
from autorl.replay.standing import HERE
from autorl.replay.store import ReplayStore
from autorl.types import Exemplar, Recalled, RecallMode, Style, Task, Trajectory

TRIES = 100
"""Runs that are measured against the budget before recall gives up."""
Size = Callable[[Trajectory, Style], int]


@dataclass(frozen=True)
class Recall:
    """How to recall.

    k: exemplars at most, 0 for none; budget: tokens they may take together
    mode: which past runs, and in what order. `verified+useful`: trusted successes by likeness and by how much they
        helped before. The others are there to compare it with: `verified` leaves out what helped, `random` and `recent`
        the likeness, `add-all` all but the likeness (whatever came to an end, however, and was not revoked, each run
        for itself), as a memory does to which everything is added; `none` recalls nothing.
    style: how exemplars are shown; `auto` shows all of one while that leaves room for the others, else its actions
    same_task: whether a success on this very task may be shown; switch it off to measure
    failures: whether to say in one line what went wrong before on tasks like this one
    seed: of the mode `random`
    """

    k: int = 2
    budget: int = 1500
    mode: RecallMode = "verified+useful"
    style: Literal["full", "compact", "auto"] = "auto"
    same_task: bool = True
    failures: bool = False
    seed: int | None = None


@dataclass(frozen=True)
class Recollection:
    """What recall gave.

    exemplars: best last (the closest to the task reads freshest)
    warning: what went wrong before on tasks like this, empty for nothing
    left_out: what was not shown or could not be looked at, by why, such as {"over the budget": 1}
    """

    exemplars: tuple[Exemplar, ...] = ()
    warning: str = ""
    left_out: dict[str, Any] = field(default_factory=dict)


def recall(store: ReplayStore | None, task: Task, *, tools: Toolset, size: Size,
           how: Recall = Recall()) -> Recollection:
    """Past successes to show the policy before it starts `task` (the C_+ of the method).

    Only runs that finished, passed and are trusted, whose every tool is at hand, count. The nearest tasks by words
    and by meaning are fused, each by its share of the best score; then comes how much those who were shown a run gained
    by it, then its score, then brevity. While there are none, the packs' seeds stand in. `size` gives the tokens of a
    trajectory as an exemplar. Raises StoreUnavailable if the store cannot be read; without the embedder it goes by
    words alone, and says so.
    """
    if how.k == 0 or how.mode == "none":
        return Recollection()
    names = {tool.name for tool in tools}
    choice = _Choice(size, how)
    notes: dict[str, Any] = {}
    warning, found = "", False
    if store is not None:
        search = Search(store, task, names, how.mode, how.seed)
        looked = store.view(lambda: _from_store(store, task, search, size, how) if search.caught_up() else None)
        if looked is None:
            search.catch_up()
            looked = store.view(lambda: _from_store(store, task, search, size, how))
        (choice, found, warning), notes = looked, search.notes
    for score, seed in _seeds(task, tools.seeds, names, how.same_task) if not found else ():
        if not choice.done:
            choice.offer(seed, score, "seed")
    return Recollection(tuple(choice.chosen[::-1]), warning, {**notes, **choice.left_out})


def as_recalled(exemplars: Sequence[Exemplar]) -> tuple[Recalled, ...]:
    """What a trajectory says of the exemplars it was shown, rank 0 being the best (the last)."""
    return tuple(
        Recalled(run=exemplar.trajectory.id, rank=rank, score=exemplar.score, origin=exemplar.origin,
                 style=exemplar.style)
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
            exemplars.append(Exemplar(found, recalled.score, recalled.origin, recalled.style))
    return exemplars


def _from_store(store: ReplayStore, task: Task, search: Search, size: Size, how: Recall) -> tuple["_Choice", bool, str]:
    """What is chosen from the store, whether there was anything to choose from, and the warning."""
    choice, found, as_it_comes = _Choice(size, how), False, how.mode == "add-all"
    strangers: set[str] = set()
    candidates = search.candidates()
    likeliest = list(islice(candidates, how.k))
    read = store.get_all([candidate.run for candidate in likeliest])
    for candidate in chain(likeliest, candidates):
        found = True
        if not how.same_task and candidate.task == task.id:
            continue
        if how.mode == "verified+useful" and curate.harmful(candidate):
            choice.left_out["did harm before"] += 1
        elif not as_it_comes and candidate.source in strangers:
            choice.left_out["of a source that has one here"] += 1
        elif as_it_comes or not any(
                search.twins(candidate.task, exemplar.trajectory.task.id) for exemplar in choice.chosen):
            try:
                trajectory = read.get(candidate.run) or store.get(candidate.run)
            except UnreadableRow:
                choice.left_out["cannot be read"] += 1
                continue
            if choice.offer(trajectory, search.likeness(candidate.task), "store") and candidate.source != HERE:
                strangers.add(candidate.source)
        if choice.done:
            break
    return choice, found, curate.warning(store, search.near()) if how.failures else ""


class _Choice:
    """What is shown, while it is being chosen."""

    def __init__(self, size: Size, how: Recall) -> None:
        self._size, self._how = size, how
        self._left = how.budget
        self._tried = 0
        self.chosen: list[Exemplar] = []
        self.left_out: Counter[str] = Counter()

    @property
    def done(self) -> bool:
        return len(self.chosen) == self._how.k or self._tried == TRIES

    def offer(self, trajectory: Trajectory, score: float, origin: Literal["store", "seed"]) -> bool:
        """Take it if it fits; returns whether it does."""
        self._tried += 1
        for style, tokens in self._shown(trajectory):
            if tokens <= self._left:
                self._left -= tokens
                self.chosen.append(Exemplar(trajectory, round(score, 4), origin, style))
                return True
        self.left_out["over the budget"] += 1
        return False

    def _shown(self, trajectory: Trajectory) -> Iterator[tuple[Style, int]]:
        """The ways in which it may be shown, the better one first, each with its tokens."""
        style = self._how.style
        share = self._left // (self._how.k - len(self.chosen))
        if style == "full" or (style == "auto" and self._size(trajectory, "full") <= share):
            yield "full", self._size(trajectory, "full")
        if style != "full":
            yield "compact", self._size(trajectory, "compact")


def _seeds(task: Task, seeds: Sequence[Path], names: set[str], same_task: bool) -> list[tuple[float, Trajectory]]:
    """The packs' own exemplars for these tools, the nearest first."""
    usable = [
        seed for path in seeds for seed in _read_seeds(path)
        if {action.name for action in seed.actions} <= names and (same_task or seed.task.id != task.id)
    ]
    if not usable:
        return []
    embedder = embed.load()
    scores = embedder.embed([seed.task.text for seed in usable]) @ embedder.embed([task.text])[0]
    return sorted(zip(scores.tolist(), usable, strict=True), key=lambda pair: -pair[0])


@lru_cache(maxsize=32)
def _read_seeds(path: Path) -> tuple[Trajectory, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Trajectory.model_validate_json(line) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise UsageError(f"the seeds {path} cannot be read: {error}") from error
