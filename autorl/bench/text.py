"""A report in words and tables: plain for a terminal, or Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autorl.bench.compare import Compared
from autorl.bench.metrics import METRICS
from autorl.bench.opinions import OPINIONS
from autorl.bench.progress import duration
from autorl.bench.report import Report, Row
from autorl.bench.spec import Size
from autorl.bench.statistics import Estimate
from autorl.verify.judge import Score

_COLUMNS = ("success", "ner", "score", "efficiency", "steps", "tokens", "tokens_per_success", "perplexity", "seconds",
            "died")
"""What the table of results shows, where a row has it."""
TITLES = {
    **{name: metric.title for name, metric in METRICS.items()}, "tokens_per_success": "tokens a success",
    "perplexity": "perplexity of successes", "rfr": "RFR", "rfr_failed_last": "RFR, failed last",
    "strength": "strength", "first_success": "first success",
}
_MOST_SHOWN = 5
_SEEDS = 3
"""Of fewer a report says that they tell little."""


@dataclass(frozen=True)
class Table:
    """Cells as text, and what stands below them. runs: the ids of those that each line came from, where it says so"""

    title: str
    head: Sequence[str]
    cells: Sequence[Sequence[str]]
    note: str = ""
    runs: Sequence[Sequence[str]] = ()


def plain(report: Report) -> str:
    """The report for a terminal."""
    return "\n\n".join([summary(report), *map(_plain, tables(report))])


def of_comparison(found: Sequence[Compared]) -> str:
    """Two runs beside each other, for a terminal."""
    models = {each.models for each in found}
    return "\n\n".join(_plain(Table(
        f"From {one} to {other}", ["setting", "store", "metric", "by", "so"],
        [[each.setting, _size(each.size), TITLES[each.metric], _told(each.by, each.metric, sign=True),
          verdict(each.says, each.metric)] for each in found if each.models == (one, other)],
        "Paired over the tasks that both have, with 95 % intervals.")) for one, other in sorted(models))


def _plain(table: Table) -> str:
    lines = [list(table.head), *map(list, table.cells)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.head))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table.title, *rows, *([table.note] if table.note else [])])


def markdown(report: Report) -> str:
    """The report as a Markdown document."""
    parts = [f"# {report.name}", summary(report)]
    for table in tables(report):
        rows = [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in (table.head, *table.cells)]
        rows.insert(1, "|" + "---|" * len(table.head))
        parts += [f"## {table.title}", "\n".join(rows), *([table.note] if table.note else [])]
    return "\n\n".join(parts) + "\n"


def summary(report: Report) -> str:
    """What was run, how far it is, and what was left out."""
    seeds = ", ".join(map(str, report.spec.seeds))
    lines = [report.about] if report.about else []
    lines.append(f"{', '.join(report.spec.models)}: {report.done} of {report.planned} held-out episodes "
                 f"({report.status}), seeds {seeds}; {report.tokens:,} tokens, {duration(report.wall_seconds)}. "
                 f"From {report.folder}")
    if len(report.spec.seeds) < _SEEDS:
        lines.append(f"Fewer than {_SEEDS} seeds: how much runs of the same task differ is hardly known.")
    lines += [f"Left out: {count} episodes, {why}" for why, count in report.left_out.items()]
    lines += [f"Left out: {line}" for line in report.wrong]
    return "\n".join(lines)


def tables(report: Report) -> list[Table]:
    """The tables of a report, as far as there is something in them."""
    made = [_published(report), _results(report), _differences(report), _standings(report), _agreements(report),
            _judges(report), _controls(report), _fillings(report), _exemplars(report)]
    return [_without_model(table) if len(report.spec.models) == 1 else table for table in made if table.cells]


def _without_model(table: Table) -> Table:
    """A table that does not say at every row what the summary says for all."""
    place = list(table.head).index("model") if "model" in table.head else len(table.head)
    return replace(table, head=[*table.head[:place], *table.head[place + 1 :]],
                   cells=[[*line[:place], *line[place + 1 :]] for line in table.cells])


def _published(report: Report) -> Table:
    """What others reported, beside the same of ours; of the settings that they had."""
    theirs = report.spec.published
    metrics = [name for name in TITLES if any(name in reported for reported in theirs.settings.values())]
    head = [title for name in metrics for title in (f"{TITLES[name]}, theirs", f"{TITLES[name]}, ours")]
    cells, runs = [], []
    for row in report.rows:
        reported = theirs.settings.get(row.setting)
        if reported is None:
            continue
        pairs = [(_alone(reported.get(name), name), _ours(report, row, name)) for name in metrics]
        cells.append([row.model, row.setting, _size(row.size), *(text for pair in pairs for text in pair)])
        runs.append(row.runs)
    return Table(f"Beside {theirs.source}", ["model", "setting", "store", *head], cells,
                 "Other tasks and other models: what can be compared is the order of the settings. RFR as in the "
                 "paper, without those that failed" + (f"; ours by {by}." if (by := _ranked_by(report)) else "."), runs)


def _ours(report: Report, row: Row, name: str) -> str:
    if name not in ("rfr", "rfr_failed_last", "strength"):
        return _told(row.figures.get(name), name)
    return next((_told(getattr(s, name).get(row.setting)) for s in report.standings
                 if (s.by, s.model) == (_ranked_by(report), row.model) and row.size in (None, s.size)), "")


def _ranked_by(report: Report) -> str:
    """People, if there are any, since that is what others reported; else who there is."""
    return next((s.by for by in ("people", "") for s in report.standings if s.by.startswith(by)), "")


def _alone(value: float | None, name: str) -> str:
    return "" if value is None else _told(Estimate(value, None, None, 0), name)


def _results(report: Report) -> Table:
    columns = [name for name in _COLUMNS if any(_worth_telling(row, name) for row in report.rows)]
    return Table(
        "Results on the held-out tasks", ["model", "setting", "store", *(TITLES[name] for name in columns)],
        [[row.model, row.setting, _size(row.size), *(_told(row.figures.get(name), name) for name in columns)]
         for row in report.rows],
        "In brackets: 95 % intervals, bootstrapped over tasks, with the seeds of a task averaged.",
        [row.runs for row in report.rows])


def _differences(report: Report) -> Table:
    shown = ("success", "ner", "score", "efficiency", "tokens")
    return Table("Differences, paired over tasks", ["model", "setting", "against", "store", "metric", "by", "so"], [
        [c.model, c.setting, c.against, _size(c.size), TITLES[c.metric], _told(c.by, c.metric, sign=True),
         verdict(c.says, c.metric)] for c in report.contrasts if c.metric in shown])


def verdict(says: str, metric: str) -> str:
    """What it means that a metric is more or less, in words."""
    better = METRICS[metric].better
    if says not in ("more", "less") or better is None:
        return says
    return "better" if (says == "more") == (better == "higher") else "worse"


def _standings(report: Report) -> Table:
    columns = ("rfr", "rfr_failed_last", "strength")
    return Table(
        "Rankings against each other", ["by", "model", "store", "setting", *(TITLES[name] for name in columns)],
        [[s.by, s.model, _size(s.size), name, _told(s.rfr.get(name)), _told(s.rfr_failed_last.get(name)),
          _told(s.strength.get(name))]
         for s in report.standings for name in s.rfr_failed_last],
        "RFR: mean rank, 1 is the best, ties share a rank; without those that failed, as in the paper, or with these "
        "in the last place. Strength: the logarithm of Bradley-Terry's, higher is better." + _people(report))


def _people(report: Report) -> str:
    ranked = ", ".join(f"{name} ({count})" for name, count in report.orders.items())
    people = f" People, with how many tasks they ranked, seeds counted apart: {ranked}." if ranked else ""
    told = f" Every order and vote, with the runs that it is about, stands in {OPINIONS} beside the run."
    return people + (told if report.orders or report.judges else "")


def _agreements(report: Report) -> Table:
    return Table("Agreement on the order", ["between", "and", "Kendall's tau-b", "tasks", "orders", "one ties all"], [
        [a.one, a.other, figure(a.tau), str(a.tau.n), str(a.sheets), str(a.tied)] for a in report.agreements],
        "1: the same order of the settings on every task; 0: none; -1: the opposite. What failed is left out.")


def _judges(report: Report) -> Table:
    return Table("Judges", ["judge", "controls", "credit", "so", "votes", "flips", "nonsense"], [
        [str(j.judge), str(j.gate.whole.n), share(j.gate.whole), "its votes count" if j.counts else
         "its votes do not count: not shown to beat chance", str(j.votes), _part(j.flips, j.votes),
         f"{j.none} of {j.votes} votes, {j.gate.nonsense} of {2 * j.gate.whole.n} answers on controls"]
        for j in report.judges],
        "Controls are a clean slide and the same one with a planted defect; credit is for both answers right, which "
        "chance gets for 25 %. Every vote is asked in both orders; one that flips is a tie, nonsense is no vote.")


def _controls(report: Report) -> Table:
    kinds = sorted({kind for judged in report.judges for kind in judged.gate.kinds})
    return Table("Judges, by kind of defect", ["defect", *(str(judged.judge) for judged in report.judges)], [
        [kind.replace("_", " "), *(f"{share(score)} of {score.n}" if (score := judged.gate.kinds.get(kind)) else ""
                                   for judged in report.judges)] for kind in kinds],
        "Credit on so many controls, with Wilson's 95 % intervals.")


def share(score: Score) -> str:
    """A share with its interval, in percent."""
    low, high = score.interval
    return figure(Estimate(score.share, low, high, score.n), share=True)


def _part(some: int, of: int) -> str:
    return f"{some} of {of}" + (f" ({100 * some / of:.0f} %)" if of else "")


def _fillings(report: Report) -> Table:
    head = ["model", "setting", "seed", "successes", "episodes", "first", "came to"]
    return Table("How the stores were filled", head, [
        [f.model, f.setting, str(f.seed), str(sum(f.passed)), str(len(f.passed)), str(f.first or "none"),
         ", ".join(f"{r.size} after {r.episodes} ({r.tokens:,} tokens, {duration(r.seconds)})" for r in f.reached)]
        for f in report.fillings], runs=[f.runs for f in report.fillings])


def _exemplars(report: Report) -> Table:
    often = sorted(report.exemplars, key=lambda shown: -shown.shown)[:_MOST_SHOWN]
    return Table("Exemplars shown most often", ["exemplar", "task", "setting", "store", "shown", "passed", "gained"], [
        [e.exemplar, e.task or e.origin, e.setting, _size(e.size), str(e.shown), str(e.passed),
         "" if e.gained is None else f"{100 * e.gained:+.0f} points over {e.against}"] for e in often])


def figure(estimate: Estimate, *, share: bool = False, sign: bool = False) -> str:
    """A figure with its interval."""
    if share:
        form = "{:+.0f}" if sign else "{:.0f}"
        value, *ends = (None if each is None else form.format(100 * each)
                        for each in (estimate.value, estimate.low, estimate.high))
        value = f"{value} points" if sign else f"{value} %"
    else:
        value, *ends = (None if each is None else _number(each, sign)
                        for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{', '.join(str(end) for end in ends)}]" if None not in ends else str(value)


def _number(value: float, sign: bool) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"+{digits}" if sign and value > 0 else digits


def _told(estimate: Estimate | None, metric: str = "", *, sign: bool = False) -> str:
    share = metric in METRICS and METRICS[metric].share
    return "" if estimate is None else figure(estimate, share=share, sign=sign)


def _worth_telling(row: Row, name: str) -> bool:
    return name in row.figures and (name != "died" or row.figures[name].value > 0)


def _size(size: Size | None) -> str:
    return "none" if size is None else str(size)
