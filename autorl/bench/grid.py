"""Which episodes a benchmark has, and which of them can start now."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator

from autorl.bench.fill import Filling, fillings
from autorl.bench.ledger import Episode
from autorl.bench.spec import Cell, Size, Spec, Split

Group = tuple[str, str, str]
"""Model, setting and phase: episodes that take about as long as each other."""


class Grid:
    """All cells of a benchmark, as far as its episodes have come. Like a `Filling`, a function of these.

    done: cells that have had their episode; todo: how many held-out cells of each group may still have theirs
    """

    def __init__(self, spec: Spec, tasks: Split) -> None:
        self.spec = spec
        self.fillings = fillings(spec, tasks.learn)
        self.done: set[Cell] = set()
        self.todo: Counter[Group] = Counter()
        self._filled_by = {name: setting.fill for name, setting in spec.settings.items() if setting.recalls}
        self._under_way: set[tuple[str, str, int]] = set()
        self._ready: list[tuple[int, Cell]] = []
        self._waiting: dict[tuple[Filling, Size], list[tuple[int, Cell]]] = defaultdict(list)
        for place, cell in enumerate(_measured(spec, tasks)):
            self.todo[group(cell)] += 1
            filling = self.filling(cell)
            if filling is None or cell.size is None:
                self._ready.append((place, cell))
            else:
                self._waiting[filling, cell.size].append((place, cell))

    def filling(self, cell: Cell) -> Filling | None:
        """The filling of the store that the episode of `cell` recalls from; None for an empty store, and for none."""
        name = cell.setting if cell.phase == "learn" else self._filled_by.get(cell.setting)
        return self.fillings.get((cell.model, name, cell.seed)) if name and cell.size != 0 else None

    def take(self) -> Cell | None:
        """A cell whose episode can start now; None while there is none. What fills a store comes first."""
        for key, filling in self.fillings.items():
            if filling.next is not None and key not in self._under_way:
                self._under_way.add(key)
                return filling.next
        while self._ready:
            _, cell = heapq.heappop(self._ready)
            if cell not in self.done:
                return cell
        return None

    def took(self, episode: Episode) -> None:
        """The episode of its cell is done. Raises UsageError for one that was not due."""
        cell = episode.cell
        if cell.phase == "held-out":
            self.done.add(cell)
            self.todo[group(cell)] -= 1
            return
        filling = self.fillings[cell.model, cell.setting, cell.seed]
        self._under_way.discard((cell.model, cell.setting, cell.seed))
        for size in filling.took(episode):
            for ready in self._waiting.pop((filling, size), ()):
                heapq.heappush(self._ready, ready)
        if filling.next is None:
            self.todo.subtract(group(cell) for (other, _), cells in self._waiting.items() if other is filling
                               for _, cell in cells)

    def unreached(self) -> list[tuple[Filling, Size, int]]:
        """The stores that did not come to a size, and how many cells had to be left out for it."""
        return [(filling, size, len(cells)) for (filling, size), cells in self._waiting.items() if filling.next is None]


def group(cell: Cell) -> Group:
    return cell.model, cell.setting, cell.phase


def _measured(spec: Spec, tasks: Split) -> Iterator[Cell]:
    # All that is asked about a task stands together, so that what a budget leaves can still be compared.
    for seed in spec.seeds:
        for task in tasks.held_out:
            for model in spec.models:
                for name, setting in spec.settings.items():
                    for size in (setting.sizes or spec.sizes) if setting.recalls else (None,):
                        yield Cell(phase="held-out", model=model, setting=name, seed=seed, size=size, task=task.id)
