"""How a store is filled: from the learning tasks only, in a stated order, one episode after the other."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from autorl.bench.ledger import Episode
from autorl.bench.metrics import optimal
from autorl.bench.spec import Cell, Fill, Size, Spec
from autorl.errors import UsageError
from autorl.types import Task


@dataclass(eq=False)
class Filling:
    """The filling of one store, as far as it has come.

    It is a function of its episodes: told of them again, in their order, it stands where it stood. So a run that
    was killed goes on at the same episode.

    next: the cell of its next episode, None when it is over; goal: successes to stop at, None to try every task
    """

    model: str
    setting: str
    seed: int
    tasks: Sequence[str]
    how: Fill
    sizes: Sequence[Size]
    episodes: list[Episode] = field(default_factory=list)
    solved: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        whole = [size for size in self.sizes if isinstance(size, int)]
        self.goal = None if "all" in self.sizes else max(whole)
        self._cells = self._in_order()
        self.next = next(self._cells, None)

    def took(self, episode: Episode) -> list[Size]:
        """The next episode is done; returns the sizes that the store has come to by it.

        Raises UsageError if it is not the next one.
        """
        if episode.cell != self.next:
            raise UsageError(f"the ledger has {episode.cell} where {self.next} is due", "Start a new run")
        self.episodes.append(episode)
        if episode.recallable:
            self.solved.add(episode.cell.task)
        self.next = next(self._cells, None)
        reached: list[Size] = [len(self.solved)] if episode.recallable and len(self.solved) in self.sizes else []
        return [*reached, "all"] if self.next is None and "all" in self.sizes else reached

    @property
    def most(self) -> int:
        """Episodes that it takes at most, given those that it has had."""
        tried = {episode.cell.task: episode.cell.attempt + 1 for episode in self.episodes}
        open_ = len(self.tasks) - len(self.solved)
        return sum(tried[task] for task in self.solved) + open_ * self.how.attempts

    def holds(self, size: Size) -> bool:
        """Whether the store has come to `size`."""
        return self.next is None if size == "all" else len(self.solved) >= size

    def until(self, size: Size) -> list[Episode]:
        """The episodes that brought the store to `size`; a list of its own, to which no later one comes."""
        brought: list[Episode] = []
        successes = 0
        for episode in self.episodes:
            if successes == size:
                break
            brought.append(episode)
            successes += episode.recallable
        return brought

    def _in_order(self) -> Iterator[Cell]:
        attempts = range(self.how.attempts)
        # A guided attempt builds on those before it, and its success carries the next task.
        tries = ([(task, attempt) for task in self.tasks for attempt in attempts] if self.how.guided else
                 [(task, attempt) for attempt in attempts for task in self.tasks])
        for task, attempt in tries:
            if self.goal is not None and len(self.solved) >= self.goal:
                return
            if task not in self.solved:
                yield Cell(phase="learn", model=self.model, setting=self.setting, seed=self.seed, task=task,
                           attempt=attempt)


def fillings(spec: Spec, tasks: Sequence[Task]) -> dict[tuple[str, str, int], Filling]:
    """The stores to fill, by model, setting and seed."""
    wanted = dict.fromkeys(setting.fill for setting in spec.settings.values() if setting.recalls)
    if not any(spec.sizes):
        return {}
    return {
        (model, name, seed): Filling(model, name, seed, ordered(tasks, spec.fill, seed), spec.fill, spec.sizes)
        for seed in spec.seeds for model in spec.models for name in wanted
    }


def ordered(tasks: Sequence[Task], fill: Fill, seed: int) -> list[str]:
    """The ids of the learning tasks in the order in which a store is filled."""
    if fill.order == "shuffled":
        return random.Random(seed).sample([task.id for task in tasks], len(tasks))
    if fill.order == "short":
        return [task.id for task in sorted(tasks, key=lambda task: optimal(task) or 0)]
    return [task.id for task in tasks]
