"""Which past runs come into question for a task, the likeliest to help first."""

import hashlib
import random
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from autorl.errors import ModelUnavailable
from autorl.replay import curate
from autorl.replay.store import Candidate, ReplayStore
from autorl.types import RecallMode, Task

TWINS = 0.97
"""Cosine from which two tasks say the same."""
WIDTHS = (20, 200, 1_000)
"""How many of the nearest tasks are looked at; more of them only while those before were not enough."""
HARM = 5.0
"""What an exemplar cost those who were shown it counts so many times as much as what it was worth: to show a bad one
again costs a run, to try the next one hardly anything. Of 1, 3 and 5 it is the least with which one judged failure
takes a planted run out of recall (tests/test_poison.py); nothing else was measured of it."""
_DRAWS = 200


class Search:
    """One search in a store.

    tools: names of the tools at hand; a run that called another does not come into question
    notes: what could not be looked at, by why
    """

    def __init__(self, store: ReplayStore, task: Task, tools: Collection[str], mode: RecallMode,
                 seed: int | None = None) -> None:
        self._store, self._task, self._tools, self._mode, self._seed = store, task, tools, mode, seed
        self.notes: dict[str, Any] = {}
        self._vectors: dict[str, bytes] = {}
        self._wanted = self._embedded()

    def caught_up(self) -> bool:
        """Whether every task has its vector, as far as one is wanted."""
        return self._wanted is None or not self._store.lacking()

    def catch_up(self) -> None:
        """Have the vectors made that are lacking; those that are not yet are told of."""
        try:
            if lacking := self._store.ready():
                self.notes["tasks without a vector yet"] = lacking
        except ModelUnavailable as error:
            self._go_by_words(error)

    def candidates(self) -> Iterator[Candidate]:
        """One run a task (`add-all`: every one), best first; nothing is asked of the store before it is needed."""
        if self._mode == "random":
            return self._drawn()
        if self._mode == "recent":
            return self._recent(set())
        return self._near()

    def near(self) -> list[str]:
        """Ids of the nearest tasks, whatever came of them, best first."""
        return list(self._fused(WIDTHS[0]))

    def likeness(self, task: str) -> float:
        """The cosine of `task` (its id) and the one that is asked for, 0..1; 0 if one of them has no vector."""
        return 0.0 if self._wanted is None else max(0.0, _dot(self._vector(task), self._wanted.tobytes()))

    def twins(self, one: str, other: str) -> bool:
        """Whether two tasks say the same."""
        return _dot(self._vector(one), self._vector(other)) > TWINS

    def _near(self) -> Iterator[Candidate]:
        seen: set[str] = set()
        for width in WIDTHS:
            fused = self._fused(width)
            new = {task: likeness for task, likeness in fused.items() if task not in seen}
            seen.update(new)
            if self._mode == "add-all":
                yield from sorted(self._store.all_ended(list(new), self._tools), key=lambda c: -new[c.task])
            else:
                yield from sorted(self._store.best(list(new), self._tools), key=lambda c: self._worth(c, new[c.task]),
                                  reverse=True)
            if len(fused) < width:
                break
        if self._mode != "add-all":  # few runs have these tools: the nearest of the newest that do
            rest = list(self._recent(seen))
            self._vectors.update(self._store.vectors([c.task for c in rest], self._store.embedder.name))
            yield from sorted(rest, key=lambda c: self._worth(c, self.likeness(c.task)), reverse=True)

    def _worth(self, candidate: Candidate, likeness: float) -> tuple[float, float, int, str]:
        gain = curate.lift(candidate) if self._mode == "verified+useful" else 0.0
        return (likeness * max(0.0, 1 + gain * (1 if gain > 0 else HARM)), candidate.score, -candidate.steps,
                candidate.task)  # of equals the same one everywhere

    def _fused(self, width: int) -> dict[str, float]:
        """The tasks nearest by words and by meaning, best first, each with its likeness to the nearest, in 0..1."""
        words = self._store.by_words(self._task.text, limit=width)
        meaning: list[tuple[str, float]] = []
        if self._wanted is not None:
            near = self._store.by_meaning(self._wanted, limit=width)
            if unreadable := self._store.unreadable:
                self.notes["vectors that cannot be read"] = unreadable
            meaning = [(task, cosine) for task, cosine, _ in near]
            self._vectors.update((task, vector) for task, _, vector in near)
        (said, least_said), (meant, least_meant) = _shares(words), _shares(meaning)
        fused = {task: (said.get(task, least_said) + meant.get(task, least_meant)) / 2 for task in {**said, **meant}}
        return dict(islice(sorted(fused.items(), key=itemgetter(1), reverse=True), width))

    def _recent(self, seen: set[str]) -> Iterator[Candidate]:
        for candidate in self._store.some(self._tools, limit=_DRAWS):
            if candidate.task not in seen:
                seen.add(candidate.task)
                yield candidate

    def _drawn(self) -> Iterator[Candidate]:
        digest = hashlib.sha256(f"{self._seed} {self._task.id}".encode()).digest()
        drawing = random.Random() if self._seed is None else random.Random(int.from_bytes(digest[:8]))
        few = self._store.some(self._tools, limit=_DRAWS)
        drawing.shuffle(few)
        many = (candidate for _ in range(_DRAWS)
                for candidate in self._store.some(self._tools, limit=1, below=drawing.random()))
        seen: set[str] = set()
        for candidate in few if len(few) < _DRAWS else many:
            if candidate.task not in seen:
                seen.add(candidate.task)
                yield candidate

    def _embedded(self) -> Any:
        try:
            (wanted,) = self._store.embedder.embed([self._task.text])
        except ModelUnavailable as error:
            self._go_by_words(error)
            return None
        return wanted if wanted.any() else None

    def _go_by_words(self, why: ModelUnavailable) -> None:
        self.notes["by words alone"] = why.what
        self._wanted = None

    def _vector(self, task: str) -> bytes:
        if task not in self._vectors:
            self._vectors[task] = b""
            self._vectors.update(self._store.vectors([task], self._store.embedder.name))
        return self._vectors[task]


def _shares(scored: Sequence[tuple[str, float]]) -> tuple[dict[str, float], float]:
    """The score of each as a share of the best one, and the least of them, above which no other task would be.

    The mean of such shares keeps how much nearer one is than another, which ranks alone do not (Bruch, Gai, Ingber
    2023); so what helped elsewhere cannot pass what is much nearer.
    """
    top = max((score for _, score in scored), default=0.0)
    shares = {task: score / top if score > 0 else 0.0 for task, score in scored} if top > 0 else {}
    return shares, min(shares.values(), default=0.0)


def _dot(one: bytes, other: bytes) -> float:
    import numpy as np

    if not one or len(one) != len(other):
        return 0.0
    return float(np.frombuffer(one, dtype="<f4") @ np.frombuffer(other, dtype="<f4"))
