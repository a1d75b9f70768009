"""The figures of a report that its definition says to keep."""

from typing import Any

from autorl.bench.metrics import METRICS
from autorl.bench.report import Report
from autorl.bench.spec import Figure
from autorl.bench.statistics import Estimate
from autorl.bench.text import TITLES
from autorl.errors import UsageError


def of(report: Report) -> dict[str, dict[str, Any]]:
    """The figures in the form of kept.py. Raises UsageError that names those that the report has not got."""
    if missing := [name for name, figure in report.spec.figures.items() if _found(report, figure) is None]:
        raise UsageError(f"the report has no {', '.join(missing)}: {report.done} of {report.planned} episodes are done",
                         "Let the run come to its end: autorl bench resume")
    return {name: _told(figure, found) for name, figure in report.spec.figures.items()
            if (found := _found(report, figure))}


def _told(figure: Figure, found: Estimate) -> dict[str, Any]:
    unit = METRICS[figure.of].unit if figure.of in METRICS else TITLES[figure.of]
    return {
        "value": found.value, "interval": None if found.low is None else [found.low, found.high], "n": found.n,
        "unit": unit + (f", less that of {figure.against}" if figure.against else ""), "goal": figure.goal}


def _found(report: Report, figure: Figure) -> Estimate | None:
    """The first there is: a definition whose figures are kept has one model."""
    if figure.of == "first_success":
        firsts = [filled.first for filled in report.fillings if filled.setting == figure.setting]
        known = [first for first in firsts if first is not None]
        return Estimate(sum(known) / len(known), None, None, len(known)) if known and None not in firsts else None
    if figure.of in ("rfr", "rfr_failed_last", "strength"):
        standings = [standing for standing in report.standings if standing.size == figure.size]
        return next((found for s in standings if (found := getattr(s, figure.of).get(figure.setting))), None)
    if figure.against:
        return next((c.by for c in report.contrasts if (c.setting, c.against, c.size, c.metric) ==
                     (figure.setting, figure.against, figure.size, figure.of)), None)
    return next((row.figures.get(figure.of) for row in report.rows
                 if (row.setting, row.size) == (figure.setting, figure.size)), None)
