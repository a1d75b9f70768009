"""A report as one HTML page that needs nothing else: tables, curves, and every task with what was made of it."""

import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from autorl.bench import curves, text
from autorl.bench.ledger import Episode
from autorl.bench.metrics import METRICS
from autorl.bench.pictures import Pictures, scaled
from autorl.bench.report import Report
from autorl.bench.run import RUNS
from autorl.bench.spec import Size
from autorl.bench.statistics import Estimate
from autorl.errors import UnknownName, UsageError
from autorl.replay.store import ReplayStore
from autorl.types import Recalled, Trajectory, clean_text

WIDTH = 400
"""Pixels of a slide on the page."""
LONGEST = 700
"""Characters of a thought, of arguments or of an observation that are shown."""
_BARS = ("success", "ner", "score")
_DIRECT_LINKS = 60

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Most:
    """How much goes onto a page; what is beyond is counted there.

    pictures: of slides; slides: of one deck; told: runs with their steps; listed: runs with a line of their own
    """

    pictures: int = 720
    slides: int = 8
    told: int = 400
    listed: int = 2000


@dataclass(frozen=True)
class Slide:
    """A picture as a data URL, and what it shows in words."""

    url: str
    alt: str


@dataclass(frozen=True)
class Shown:
    """An exemplar that a run was shown: the task it came from, empty for a seed's."""

    recalled: Recalled
    task: str


@dataclass(frozen=True)
class Told:
    """A run on the page.

    trajectory: None for one whose steps are left out; slides: of what it made, `more` of them left out
    unseen: why there are no pictures of it; helped: what became of the same task without its exemplars
    """

    episode: Episode
    trajectory: Trajectory | None
    slides: tuple[Slide, ...]
    more: int
    unseen: str
    shown: tuple[Shown, ...]
    helped: str


@dataclass(frozen=True)
class Group:
    """Runs that belong together: a setting at a size of its store, or the filling of one."""

    title: str
    runs: Sequence[Told]


@dataclass(frozen=True)
class Bar:
    """A figure with its interval, all in 0..1, as a bar."""

    name: str
    estimate: Estimate
    says: str


def write(report: Report, folder: Path, target: Path, *, most: Most = Most(), watch: Watch | None = None) -> int:
    """Write the page of `report`, of the run in `folder`, to `target`, and return its size in bytes.

    watch: told now and then what is being done, for decks have to be drawn once
    Raises UsageError if it cannot be written, and StoreUnavailable if the runs cannot be read.
    """
    with closing(ReplayStore(folder / RUNS)) as runs:
        page = render(report, _Runs(report, runs, Pictures(folder, report.spec, runs), most, watch))
    made = page.encode("utf-8", "replace")
    try:
        target.write_bytes(made)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", "Name another file: --html FILE") from error
    return len(made)


def render(report: Report, runs: "_Runs") -> str:
    """The page as text."""
    tasks = [(task, words, groups) for task, words in report.tasks.items() if (groups := runs.of_task(task))]
    return templates().get_template("report.html.jinja").render(
        report=report, summary=text.summary(replace(report, folder=Path(report.folder).name)).splitlines(),
        findings=list(_findings(report)), tables=text.tables(report),
        bars=_all_bars(report), charts=curves.charts(report), tasks=tasks,
        fillings=runs.fillings(), listed=runs.listed, left_out=runs.left_out(), places=list(report.spec.settings),
        direct_links=_DIRECT_LINKS)


def picture(report: Report) -> str:
    """A report as one SVG picture: how success grows with the store, or else bars; empty where there is neither."""
    first = next((chart for chart in curves.charts(report) if chart.across == curves.SUCCESSES), None)
    if first:
        return templates().get_template("curve.svg.jinja").render(chart=first, places=list(report.spec.settings))
    return templates().get_template("bars.svg.jinja").render(bars=bars) if (bars := _all_bars(report)) else ""


def _findings(report: Report) -> Iterator[tuple[str, str, str]]:
    """What the comparisons come to, each as (who against whom, by how much, so)."""
    for contrast in report.contrasts:
        if contrast.metric in ("ner", "success"):
            size = "" if contrast.size is None or len(report.spec.sizes) == 1 else f", store {contrast.size}"
            model = f", {contrast.model}" if len(report.spec.models) > 1 else ""
            yield (f"{contrast.setting} against {contrast.against}{size}{model}",
                   f"{METRICS[contrast.metric].title} {text.figure(contrast.by, share=True, sign=True)}",
                   text.verdict(contrast.says, contrast.metric))


def _all_bars(report: Report) -> dict[str, list[Bar]]:
    """By the title of the metric; without those that nobody has."""
    return {METRICS[name].title: bars for name in _BARS if (bars := _bars(report, name))}


def _bars(report: Report, metric: str) -> list[Bar]:
    return [Bar(_place(report, row.model, row.setting, row.size), found, text.figure(found, share=True))
            for row in report.rows if (found := row.figures.get(metric))]


def _place(report: Report, model: str, setting: str, size: Size | None) -> str:
    sized = size is not None and len(report.spec.sizes) > 1
    parts = [setting, *([f"store {size}"] if sized else []), *([model] if len(report.spec.models) > 1 else [])]
    return ", ".join(parts)


class _Runs:
    """The runs of a report as the page tells them, within what may go onto it.

    All tasks with the first seed come first, and all settings of a task together, so that none looks better than
    another for what was left out.
    """

    def __init__(self, report: Report, runs: ReplayStore, pictures: Pictures, most: Most, watch: Watch | None) -> None:
        self._report, self._runs, self._most = report, runs, most
        self._task_of = {episode.run: episode.cell.task for episode in report.episodes}
        self._without = {(e.cell.model, e.cell.setting, e.cell.size, e.cell.task, e.cell.seed): e
                         for e in report.episodes if e.cell.phase == "held-out"}
        seeds, tasks = list(report.spec.seeds), {task: at for at, task in enumerate(report.tasks)}
        held_out = sorted((e for e in report.episodes if e.cell.phase == "held-out"),
                          key=lambda episode: (seeds.index(episode.cell.seed), tasks[episode.cell.task]))
        learned = [e for e in report.episodes if e.cell.phase == "learn"]
        shown = {recalled.run for episode in held_out for recalled in episode.recalled}
        # What was shown to others is told before what was not.
        ordered = [*held_out, *(e for e in learned if e.run in shown), *(e for e in learned if e.run not in shown)]
        self.listed = {episode.run for episode in ordered[: most.listed]}
        self._undrawn = self._stepless = 0
        self._told: dict[str, Told] = {}
        self._held_out: dict[str, list[Episode]] = defaultdict(list)
        room = most.pictures
        for count, episode in enumerate(ordered[: most.listed]):
            if watch and count < most.told:
                watch(f"run {count + 1} of {min(len(ordered), most.told)}")
            told = self._one(episode, pictures if room > 0 else None, steps=count < most.told)
            room -= len(told.slides)
            self._told[episode.run] = told
            if episode.cell.phase == "held-out":
                self._held_out[episode.cell.task].append(episode)

    def of_task(self, task: str) -> list[Group]:
        """The held-out runs of a task, by their places."""
        return self._groups((_place(self._report, e.cell.model, e.cell.setting, e.cell.size), e)
                            for e in self._held_out[task])

    def fillings(self) -> list[Group]:
        """The runs that filled the stores."""
        return self._groups((f"{_place(self._report, e.cell.model, e.cell.setting, None)}, seed {e.cell.seed}", e)
                            for e in self._report.episodes if e.cell.phase == "learn")

    def left_out(self) -> list[str]:
        """What did not go onto the page."""
        counts = ((self._undrawn, "files are not shown as pictures"), (self._stepless, "runs are told without their "
                  "steps"), (len(self._task_of) - len(self._told), "runs have no line of their own"))
        return [f"{count:,} {what}, to keep this page small" for count, what in counts if count]

    def _groups(self, named: Iterable[tuple[str, Episode]]) -> list[Group]:
        found: dict[str, list[Told]] = {}
        for name, episode in named:
            if episode.run in self._told:
                found.setdefault(name, []).append(self._told[episode.run])
        order = {_place(self._report, row.model, row.setting, row.size): at for at, row in enumerate(self._report.rows)}
        return [Group(name, told) for name, told in sorted(found.items(), key=lambda pair: order.get(pair[0], 0))]

    def _one(self, episode: Episode, pictures: Pictures | None, *, steps: bool) -> Told:
        slides: tuple[Slide, ...] = ()
        more, unseen = 0, ""
        if episode.produced and (pictures is None or not steps):
            self._undrawn += 1
            unseen = "Made, and not shown here."
        elif pictures is not None and (preview := pictures.of(episode)):
            unseen = preview.why and f"No pictures: {preview.why}"
            chosen = preview.pictures[: self._most.slides]
            more = len(preview.pictures) - len(chosen)
            slides = tuple(_slide(picture, words, number, len(preview.pictures)) for number, (picture, words) in
                           enumerate(zip(chosen, preview.texts, strict=False), 1))
        trajectory = self._read(episode.run) if steps else None
        self._stepless += not steps
        shown = tuple(Shown(recalled, self._task_of.get(recalled.run, "")) for recalled in episode.recalled)
        return Told(episode, trajectory, slides, more, unseen, shown, self._helped(episode) if shown else "")

    def _read(self, run: str) -> Trajectory | None:
        try:
            return self._runs.get(run)
        except UnknownName:  # it was pruned; its line in the ledger stands
            return None

    def _helped(self, episode: Episode) -> str:
        """What became of the same task and seed in the setting that this one is compared with."""
        cell = episode.cell
        against = next((other for one, other in self._report.spec.contrasts() if one == cell.setting), "")
        other = next((found for size in (cell.size, None) if (found := self._without.get(
            (cell.model, against, size, cell.task, cell.seed)))), None)
        if other is None or cell.phase == "learn":
            return ""
        if episode.verified == other.verified:
            return f"No difference here: {against} {'passed' if other.verified else 'failed'}, too."
        return f"Passed where {against} failed." if episode.verified else f"Failed where {against} passed."


def _slide(picture: bytes, words: str, number: int, of: int) -> Slide:
    title = " ".join(clean_text(words).split("\n")[0].split())[:120]
    return Slide(f"data:image/webp;base64,{b64encode(scaled(picture, WIDTH)).decode()}",
                 f"Slide {number} of {of}: {title or 'without a title'}")


def _cut(value: Any) -> str:
    """A text as the page shows it, or other plain values as JSON; what is left out of it is counted."""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} [... {len(words) - LONGEST:,} characters more]"


@cache
def templates() -> Environment:
    """Everything that goes into a page is escaped; nothing that a model wrote is ever markup."""
    made = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True,
                       undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["cut"] = _cut
    return made
