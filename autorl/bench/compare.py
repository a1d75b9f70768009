"""Two runs of benchmarks beside each other, paired over the tasks that both have."""

from collections.abc import Iterator
from dataclasses import dataclass

from autorl.bench.report import Place, Report, contrasts_of, places_of
from autorl.bench.spec import Size
from autorl.bench.statistics import Estimate
from autorl.errors import UsageError


@dataclass(frozen=True)
class Compared:
    """By how much the second run is above the first in a metric, at the same setting and store size."""

    models: tuple[str, str]
    setting: str
    size: Size | None
    metric: str
    by: Estimate
    says: str


def compare(one: Report, other: Report) -> list[Compared]:
    """What changed from `one` to `other`, metric by metric.

    Only tasks with the same id and text count. A model is compared with itself; where both runs have one alone, these
    two are compared, whatever they are. Raises UsageError if the runs have nothing in common.
    """
    found = list(_compared(one, other))
    if not found:
        raise UsageError(f"{one.folder} and {other.folder} have no task in common at the same setting and size",
                         "Compare two runs of one benchmark")
    return found


def _compared(one: Report, other: Report) -> Iterator[Compared]:
    same = {task for task, text in one.tasks.items() if other.tasks.get(task) == text}
    theirs = places_of(other.spec, (e for e in other.episodes if e.cell.task in same))
    for (model, setting, size), episodes in places_of(one.spec, one.episodes).items():
        with_: Place = (_counterpart(model, one, other), setting, size)
        for metric, by in contrasts_of(theirs.get(with_, []), episodes).items():
            yield Compared((model, with_[0]), setting, size, metric, by, by.says)


def _counterpart(model: str, one: Report, other: Report) -> str:
    return other.spec.models[0] if len(one.spec.models) == len(other.spec.models) == 1 else model
