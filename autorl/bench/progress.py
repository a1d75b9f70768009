"""How far a grid has come, and an honest guess at how long the rest takes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autorl.bench.fill import Filling
from autorl.bench.grid import Grid, Group, group
from autorl.bench.ledger import Episode


@dataclass(frozen=True)
class Progress:
    """A look at a grid that is being filled.

    done: episodes of each group; verified: how many of them passed; todo: how many are left, as far as that is known
    tokens: spent; seconds: since the run began, without the time in which no process was at work
    left: seconds to the end, as (if all were quick, at the median, if all were slow); None before the first episode
    """

    done: dict[Group, int]
    verified: dict[Group, int]
    todo: dict[Group, int]
    tokens: int
    seconds: float
    left: tuple[float, float, float] | None

    def line(self) -> str:
        """All that in one line."""
        counts = []
        for phase in ("learn", "held-out"):
            done, passed, todo = (sum(count for group, count in counted.items() if group[2] == phase)
                                  for counted in (self.done, self.verified, self.todo))
            if done or todo:
                counts.append(f"{phase} {done}/{done + todo}, {passed} passed")
        low, middle, high = map(duration, self.left or (0, 0, 0))
        left = f"about {middle} left ({low} to {high})" if self.left else "time left: not known yet"
        return f"{'; '.join(counts)}; {self.tokens:,} tokens; {duration(self.seconds)}; {left}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


class Pace:
    """What the episodes so far say of those to come."""

    def __init__(self) -> None:
        self.done: Counter[Group] = Counter()
        self.verified: Counter[Group] = Counter()
        self._seconds: dict[Group, list[float]] = defaultdict(list)

    def took(self, episode: Episode) -> None:
        self.done[group(episode.cell)] += 1
        self.verified[group(episode.cell)] += episode.verified
        self._seconds[group(episode.cell)].append(episode.wall)

    def look(self, grid: Grid, concurrency: int, tokens: int, seconds: float) -> Progress:
        """How things stand.

        Each group's episodes are taken to last like those it has had: a quarter of them is quicker than the lower
        guess takes them to be, a quarter slower than the upper. A group without any is taken to be like all others.
        Episodes that fill one store cannot be played side by side.
        """
        alike: dict[Group, list[Filling]] = defaultdict(list)
        for (model, setting, _), each in grid.fillings.items():
            alike[model, setting, "learn"].append(each)
        filling = {key: [_to_fill(each, among) for each in among] for key, among in alike.items()}
        todo = {**grid.todo, **{key: sum(counts) for key, counts in filling.items()}}
        every = [second for seconds in self._seconds.values() for second in seconds]
        if not every:
            return Progress(dict(self.done), dict(self.verified), todo, tokens, seconds, None)
        quartiles = {key: _quartiles(self._seconds.get(key) or every) for key, count in todo.items() if count}
        left = []
        for which in range(3):
            whole = sum(todo[key] * three[which] for key, three in quartiles.items()) / concurrency
            longest = max((max(filling[key]) * three[which] for key, three in quartiles.items() if key in filling),
                          default=0.0)
            left.append(max(whole, longest))
        return Progress(dict(self.done), dict(self.verified), todo, tokens, seconds, (left[0], left[1], left[2]))


def _to_fill(filling: Filling, alike: Sequence[Filling]) -> int:
    """Episodes that a filling will still take: exactly for one pass, else from the share of successes so far, its own
    or, before its first, that of all which are `alike`."""
    most = filling.most - len(filling.episodes)
    if filling.next is None:
        return 0
    known = [filling] if filling.solved else alike
    solved = sum(len(each.solved) for each in known)
    if filling.goal is None or not solved:
        return most
    episodes = sum(len(each.episodes) for each in known)
    return min(most, round((filling.goal - len(filling.solved)) * episodes / solved))


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    return tuple(ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))  # type: ignore[return-value]
