"""Whether what was to be held out is known already: by id, or by a text that says nearly the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from autorl.errors import UsageError
from autorl.replay import embed
from autorl.types import Task

if TYPE_CHECKING:
    import numpy as np

NEAR = 0.8
"""Cosine from which two texts ask for the same. Measured on the slide tasks (tests/test_slide_tasks.py): different ones
stay below 0.62 in English and below 0.75 between scripts; what a person worded anew stays above 0.81. A translation
is not seen, nor every task that was cut to a half."""
SAME = 1.0
_BATCH = 500


@dataclass(frozen=True)
class Leak:
    """A held-out task that is among those to learn from, as `stored`; likeness: cosine of the texts."""

    stored: str
    held_out: str
    how: Literal["id", "text"]
    likeness: float

    def __str__(self) -> str:
        same = "has its id" if self.how == "id" else f"says the same (likeness {self.likeness:.2f})"
        return f"'{self.stored}' {same} as '{self.held_out}'" if self.stored != self.held_out else f"'{self.stored}'"


class Known:
    """Texts by id, and which of them is nearest to another text."""

    def __init__(self, tasks: Iterable[Task] = ()) -> None:
        self._ids: list[str] = []
        self._texts: dict[str, int] = {}
        self._vectors: Any = None
        self.add(list(tasks))

    def add(self, tasks: Sequence[Task]) -> None:
        """From now on these are known, too."""
        import numpy as np

        if not tasks:
            return
        for task in tasks:
            self._texts.setdefault(_plain(task.text), len(self._ids))
            self._ids.append(task.id)
        new = _vectors([task.text for task in tasks])
        self._vectors = new if self._vectors is None else np.concatenate((self._vectors, new))

    def nearest(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """For each text the id of the known one that is nearest, and its cosine; 1 for the same words."""
        if self._vectors is None:
            return [("", 0.0)] * len(texts)
        cosines = _vectors(texts) @ self._vectors.T
        return [(self._ids[self._texts[_plain(text)]], 1.0) if _plain(text) in self._texts
                else (self._ids[place], min(float(row[place]), 1.0))
                for text, row, place in zip(texts, cosines, cosines.argmax(axis=1), strict=True)]


def leaks(stored: Iterable[tuple[str, str]], held_out: Iterable[Task], *, near: float = NEAR) -> list[Leak]:
    """Which of the tasks to learn from are held-out ones, by id or by text.

    stored: id and text of each, such as the tasks of a store; read once, some hundreds at a time
    near: cosine from which two texts count as one; `SAME` for the same words alone
    """
    tasks = list(held_out)
    ids, known = {task.id for task in tasks}, Known(tasks)
    found: list[Leak] = []
    rest = iter(stored)
    while batch := list(islice(rest, _BATCH)):
        for (id, _), (other, likeness) in zip(batch, known.nearest([text for _, text in batch]), strict=True):
            if id in ids:
                found.append(Leak(id, id, "id", 1.0))
            elif likeness >= near:
                found.append(Leak(id, other, "text", round(likeness, 4)))
    return found


def refuse(stored: Iterable[tuple[str, str]], held_out: Iterable[Task], *, near: float = NEAR) -> None:
    """Raise UsageError that names the held-out tasks among those to learn from, if there are any."""
    found = leaks(stored, held_out, near=near)
    if found:
        listed = "; ".join(map(str, found[:5])) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        raise UsageError(f"{len(found)} tasks to learn from are held-out ones: {listed}",
                         "Measure with a store that has not seen them, or hold out other tasks")


def twins(tasks: Iterable[Task], *, near: float = NEAR) -> list[Leak]:
    """The tasks that say nearly the same as an earlier one of the list."""
    known = Known()
    found: list[Leak] = []
    for task in tasks:
        (other, likeness), = known.nearest([task.text])
        if likeness >= near:
            found.append(Leak(task.id, other, "text", round(likeness, 4)))
        known.add([task])
    return found


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _vectors(texts: Sequence[str]) -> "np.ndarray[Any, Any]":
    return embed.load().embed(list(texts))
