"""The share of exemplars and of prompts that hold a planted run, and what outcomes do about it."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autorl import Recall, ReplayStore, Task
from autorl.formats.react import React
from autorl.replay.recall import as_recalled, recall
from autorl.types import Exemplar, Style, Trajectory, Verdict

from .honest import TOOLS, Subject, success

PROTECTED = Recall()
OPEN = Recall(mode="add-all")
"""The control: whatever finished, whatever its verdict and its trust, as far as nobody has revoked it."""


@dataclass(frozen=True)
class Share:
    """`part` of `whole`. interval: of the ratio, 95 %, by bootstrap over the tasks"""

    part: int
    whole: int
    interval: tuple[float, float]

    @classmethod
    def of(cls, counts: Sequence[tuple[int, int]], resamples: int = 2000) -> "Share":
        """Of the part and the whole of each task."""
        chance = random.Random(0)
        drawn = sorted(_ratio(chance.choices(counts, k=len(counts))) for _ in range(resamples))
        part, whole = (sum(column) for column in zip(*counts, strict=True))
        return cls(part, whole, (drawn[int(0.025 * resamples)], drawn[int(0.975 * resamples)]))

    @property
    def value(self) -> float:
        return _ratio([(self.part, self.whole)])

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:5.1%} [{low:.1%}, {high:.1%}] of {self.whole}"


def shown(store: ReplayStore, task: Task, how: Recall) -> tuple[Exemplar, ...]:
    """What an agent that is given `task` would be shown."""
    return recall(store, task, tools=TOOLS, size=_tokens, how=how).exemplars


def held(store: ReplayStore, subjects: Sequence[Subject], planted: Collection[str],
         how: Recall) -> list[tuple[int, int]]:
    """For each subject's task how many of the exemplars are one of the runs `planted`, and how many there are."""
    counts = []
    for subject in subjects:
        names = [exemplar.trajectory.id for exemplar in shown(store, subject.target, how)]
        counts.append((sum(name in planted for name in names), len(names)))
    return counts


def life(store: ReplayStore, subject: Subject, planted: Collection[str], tries: int, luck: float = 0.7) -> list[bool]:
    """Give tasks like the subject's `tries` times: whoever is shown a planted run fails, of the others `luck` pass.

    Returns of each prompt whether it held one.
    """
    chance = random.Random(subject.subject)
    seen = []
    for turn in range(tries):
        task = Task(text=f"{subject.target.text}, for the {turn + 1}. time")
        exemplars = shown(store, task, PROTECTED)
        bad = any(exemplar.trajectory.id in planted for exemplar in exemplars)
        passed = not bad and chance.random() < luck
        store.add([success(f"1-try-{turn:03}", task, [f"About {subject.subject}", subject.right, "And so on"], "deck@1",
                           verdict=Verdict(verifier="deck@1", passed=passed, score=float(passed)),
                           recalled=as_recalled(exemplars))])
        seen.append(bad)
    return seen


def _ratio(counts: Sequence[tuple[int, int]]) -> float:
    whole = sum(whole for _, whole in counts)
    return sum(part for part, _ in counts) / whole if whole else 0.0


def _tokens(trajectory: Trajectory, style: Style) -> int:
    """About as many as a model counts: four characters each."""
    return sum(len(message["content"]) for message in React().exemplar(trajectory, style)) // 4
