"""Learning curves of a report, as lines on a plane that a template can draw."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2
from statistics import mean

from autorl.bench.metrics import METRICS
from autorl.bench.report import Filled, Report
from autorl.bench.spec import Size
from autorl.bench.statistics import Estimate

SUCCESSES = "successes in the store"
_ACROSS = ((SUCCESSES, "successes"), ("tokens spent to fill the store", "tokens"))
_DRAWN = ("success", "ner", "score")


@dataclass(frozen=True)
class Point:
    """A place on the plane, both ways in 0..1 from the lower left. low, high: the ends of its interval, if any."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    says: str = ""


@dataclass(frozen=True)
class Line:
    """A setting; flat: it has no place along the horizontal axis, and is drawn over all of it"""

    setting: str
    points: tuple[Point, ...]
    flat: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines with their axes; the ticks are (place in 0..1, text)."""

    title: str
    across: str
    up: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def charts(report: Report) -> list[Chart]:
    """How a metric grows with the store, by successes in it and by the tokens they took; and how stores were filled."""
    made = []
    for model in report.spec.models:
        told = f", {model}" if len(report.spec.models) > 1 else ""
        for metric in _DRAWN:
            rows = {(row.setting, row.size): row.figures[metric] for row in report.rows
                    if row.model == model and metric in row.figures}
            for across, place in _ACROSS:
                chart = _by_store(report, model, rows, place)
                if chart:
                    title = f"{METRICS[metric].title} by {across}{told}"
                    made.append(Chart(title, across, METRICS[metric].title, *chart, _SHARES))
        filled = [filled for filled in report.fillings if filled.model == model and filled.passed]
        if filled:
            made.append(_filling(filled, told))
    return made


_SHARES = tuple((share / 4, f"{25 * share} %") for share in range(5))
_Rows = dict[tuple[str, Size | None], Estimate]


def _by_store(report: Report, model: str, rows: _Rows, place: str
              ) -> tuple[tuple[Line, ...], tuple[tuple[float, str], ...]] | None:
    """Lines and ticks; None where no setting was asked with two stores of different size."""
    found: dict[str, list[tuple[float, Estimate]]] = {}
    flat: dict[str, Estimate] = {}
    for (setting, size), estimate in rows.items():
        if size is None:
            flat[setting] = estimate
        elif (x := _reached(report, model, setting, size, place)) is not None:
            found.setdefault(setting, []).append((x, estimate))
    if all(len({x for x, _ in points}) < 2 for points in found.values()):
        return None
    most = max(x for points in found.values() for x, _ in points)

    def across(x: float) -> float:
        return log2(1 + x) / log2(1 + most) if place == "successes" else x / most

    lines = [Line(name, (_point(0, estimate),), flat=True) for name, estimate in flat.items()]
    lines += [Line(name, tuple(_point(across(x), estimate, f"{x:,.0f} {place}: ") for x, estimate in sorted(
        points, key=lambda point: point[0]))) for name, points in found.items()]
    ticks = {round(x, 1) for points in found.values() for x, _ in points} if place == "successes" else _even(most)
    return tuple(lines), tuple(_apart((across(x), _short(x)) for x in sorted(ticks)))


def _point(x: float, estimate: Estimate, where: str = "") -> Point:
    ends = "" if estimate.low is None else f" [{100 * estimate.low:.0f}, {100 * (estimate.high or 0):.0f}]"
    return Point(x, estimate.value, estimate.low, estimate.high, f"{where}{100 * estimate.value:.0f} %{ends}")


def _reached(report: Report, model: str, setting: str, size: Size, place: str) -> float | None:
    """Where a size lies: the successes in the store, or the tokens it took; the mean over seeds."""
    if size == 0:
        return 0.0
    fill = report.spec.settings[setting].fill
    found = [getattr(reached, place) for filled in report.fillings if (filled.model, filled.setting) == (model, fill)
             for reached in filled.reached if reached.size == size]
    return mean(found) if found else None


def _filling(fillings: Sequence[Filled], told: str) -> Chart:
    """Successes so far, by the number of the episode; a line a store."""
    longest = max(len(filled.passed) for filled in fillings)
    most = max(1, *(sum(filled.passed) for filled in fillings))
    lines = tuple(Line(filled.setting, tuple(_grown(filled.passed, longest, most)))
                  for filled in fillings)
    return Chart(f"How the stores were filled{told}", "episodes", "successes", lines,
                 tuple((x / longest, _short(x)) for x in _even(longest)),
                 tuple((y / most, _short(y)) for y in _even(most)))


def _grown(passed: Sequence[bool], longest: int, most: int) -> Iterator[Point]:
    """Where the number of successes changes, and the end."""
    yield Point(0, 0)
    so_far = 0
    for count, one in enumerate(passed, 1):
        so_far += one
        if one or count == len(passed):
            yield Point(count / longest, so_far / most, says=f"episode {count}: {so_far} successes")


def _even(most: float) -> list[float]:
    """Up to seven round numbers from 0 on, to `most` at the most."""
    steps = (digit * 10.0**power for power in range(15) for digit in (1, 2, 5))
    step = next(step for step in steps if most / step <= 6)
    return [step * count for count in range(int(most / step) + 1)]


def _apart(ticks: Iterable[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    """Without those that would be written over the one before."""
    last = -1.0
    for x, text in ticks:
        if x - last >= 0.06:
            last = x
            yield x, text


def _short(number: float) -> str:
    return f"{number / 1e6:g}M" if number >= 1e6 else f"{number / 1e3:g}k" if number >= 10_000 else f"{number:g}"
