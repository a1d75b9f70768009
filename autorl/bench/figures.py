"""The figures of a report that its definition says to keep."""

from typing import Any

from autorl.bench.metrics import METRICS
from autorl.bench.report import Report
from autorl.bench.spec import Figure
from autorl.bench.statistics import Estimate
from autorl.bench.text import TITLES
from autorl.errors import UsageError


def of(report: Report) -> dict[str, dict[str, Any]]:
    """The figures in the form of kept.py; the value is None of one that a complete run does not have, such as the rank
    of a setting that made nothing. Raises UsageError that names those that a run which goes on has not got yet.
    """
    found = {name: _found(report, figure) for name, figure in report.spec.figures.items()}
    missing = [name for name, estimate in found.items() if estimate is None]
    if missing and report.status != "complete":
        raise UsageError(f"the report has no {', '.join(missing)}: {report.done} of {report.planned} episodes are done",
                         "Let the run come to its end: autorl bench resume")
    return {name: _told(report.spec.figures[name], estimate) for name, estimate in found.items()}


def _told(figure: Figure, found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"value": None}
    unit = METRICS[figure.of].unit if figure.of in METRICS else TITLES[figure.of]
    return {
        "value": found.value, "interval": None if found.low is None else [found.low, found.high], "n": found.n,
        "unit": unit + (f", less that of {figure.against}" if figure.against else ""), "goal": figure.goal,
        "reason": figure.reason}


def _found(report: Report, figure: Figure) -> Estimate | None:
    """The first there is: a definition whose figures are kept has one model, and what recalls nothing has no size."""
    if figure.of == "first_success":
        firsts = [filled.first for filled in report.fillings if filled.setting == figure.setting]
        known = [first for first in firsts if first is not None]
        return Estimate(sum(known) / len(known), None, None, len(known)) if known and None not in firsts else None
    if figure.of in ("rfr", "rfr_failed_last", "strength"):
        standings = [standing for standing in report.standings if standing.size == figure.size]
        return next((found for s in standings if (found := getattr(s, figure.of).get(figure.setting))), None)
    sizes = (figure.size, None)
    if figure.against:
        return next((c.by for c in report.contrasts if c.size in sizes and
                     (c.setting, c.against, c.metric) == (figure.setting, figure.against, figure.of)), None)
    return next((row.figures.get(figure.of) for row in report.rows
                 if row.setting == figure.setting and row.size in sizes), None)
