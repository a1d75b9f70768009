"""What a run of a benchmark says: the values behind every form of a report. Each figure names the runs it came from."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from autorl.bench import ledger, opinions, ranked
from autorl.bench.fill import Filling
from autorl.bench.ledger import Episode, Session
from autorl.bench.metrics import METRICS, perplexity
from autorl.bench.ranked import Agreement, Judged, Standing
from autorl.bench.run import LEDGER, Past, begun_with, state
from autorl.bench.spec import Size, Spec
from autorl.bench.statistics import Estimate, Runs, difference, mean, ratio


@dataclass(frozen=True)
class Row:
    """A model in a setting, at a size of the store it recalls from.

    figures: by metric (see METRICS), `tokens_per_success` and `perplexity`; of held-out tasks only
    runs: the ids of the runs that they came from
    """

    model: str
    setting: str
    size: Size | None
    figures: dict[str, Estimate]
    runs: list[str]


@dataclass(frozen=True)
class Contrast:
    """By how much `setting` is above `against` in a metric, paired over the tasks that both have.

    says: more, less, no difference shown (the interval holds zero), or too few tasks
    """

    model: str
    setting: str
    against: str
    size: Size | None
    metric: str
    by: Estimate
    says: str


@dataclass(frozen=True)
class Reached:
    """That a store came to a size, after so many episodes of its filling and what they took."""

    size: Size
    successes: int
    episodes: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Filled:
    """How one store was filled.

    passed: whether each episode passed, in their order; first: the number of the first that did, from 1
    """

    model: str
    setting: str
    seed: int
    passed: list[bool]
    first: int | None
    reached: list[Reached]
    runs: list[str]


@dataclass(frozen=True)
class Shown:
    """What came of an exemplar that held-out episodes of a setting were shown.

    gained: mean over these episodes of their success less that of `against` on the same task and seed; None where it
    has none
    """

    model: str
    setting: str
    size: Size | None
    exemplar: str
    origin: str
    task: str
    shown: int
    passed: int
    against: str
    gained: float | None


@dataclass(frozen=True)
class Report:
    """A run of a benchmark, as far as it has come.

    status: new, running, killed, or how its last session ended
    tasks: their texts by id; wrong: lines of files that could not be read
    orders: how many sheets each person has ranked
    planned, done: held-out episodes; left_out: how many will not be played or have not been yet, by why
    tokens, seconds: of all episodes; wall_seconds: in which a process was at work
    """

    name: str
    about: str
    folder: str
    status: str
    planned: int
    done: int
    left_out: dict[str, int]
    tokens: int
    seconds: float
    wall_seconds: float
    rows: list[Row]
    contrasts: list[Contrast]
    standings: list[Standing]
    agreements: list[Agreement]
    judges: list[Judged]
    orders: dict[str, int]
    fillings: list[Filled]
    exemplars: list[Shown]
    episodes: list[Episode]
    tasks: dict[str, str]
    wrong: tuple[str, ...]
    spec: Spec
    sessions: list[Session]


def of(folder: Path) -> Report:
    """The report of the run in `folder`, also of one that is not done. Raises UsageError for what is no run."""
    spec, tasks = begun_with(folder)
    past = Past.read(folder, spec, tasks)
    entries = list(ledger.read(folder / LEDGER))
    episodes = [entry for entry in entries if isinstance(entry, Episode)]
    places = places_of(spec, episodes)
    left_out = _left_out(past, *state(folder))
    found, unread = opinions.read(folder)
    views = ranked.views(opinions.sheets(spec, episodes), found)
    return Report(
        name=spec.name, about=spec.about, folder=str(folder), status=state(folder)[0],
        planned=len(past.grid.done) + sum(left_out.values()), done=len(past.grid.done), left_out=left_out,
        tokens=past.tokens, seconds=sum(episode.seconds for episode in episodes), wall_seconds=past.seconds,
        rows=[Row(*place, figures_of(some), [episode.run for episode in some]) for place, some in places.items()],
        contrasts=list(_contrasts(spec, places)), standings=list(ranked.standings(spec, views)),
        agreements=list(ranked.agreements(views)), judges=views.judges, orders=views.orders,
        fillings=[_filled(filling) for filling in past.grid.fillings.values()],
        exemplars=list(_exemplars(spec, places, {episode.run: episode.cell.task for episode in episodes})),
        episodes=episodes, tasks={task.id: task.text for task in (*tasks.learn, *tasks.held_out)},
        wrong=(*tasks.wrong, *unread), spec=spec,
        sessions=[entry for entry in entries if isinstance(entry, Session)],
    )


def to_json(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    plain: dict[str, Any] = TypeAdapter(Report).dump_python(report, mode="json")
    return plain


Place = tuple[str, str, Size | None]
"""Model, setting, size."""


def runs_of(episodes: Iterable[Episode], metric: str) -> Runs:
    """What a metric gives for the runs of each task."""
    found: dict[str, list[float]] = defaultdict(list)
    for episode in episodes:
        value = METRICS[metric].of(episode)
        if value is not None:
            found[episode.cell.task].append(float(value))
    return found


def figures_of(episodes: Sequence[Episode]) -> dict[str, Estimate]:
    """Every metric over these episodes, the tokens that a success takes, and how surprising the successes were."""
    found = {name: mean(runs_of(episodes, name), share=metric.share) for name, metric in METRICS.items()}
    found["tokens_per_success"] = ratio(runs_of(episodes, "tokens"), runs_of(episodes, "success"))
    found["perplexity"] = perplexity(episodes)
    return {name: estimate for name, estimate in found.items() if estimate}


def contrasts_of(one: Sequence[Episode], other: Sequence[Episode]) -> dict[str, Estimate]:
    """By how much each metric of `one` is above that of `other`, paired over the tasks that both have."""
    found = {name: difference(runs_of(one, name), runs_of(other, name)) for name in METRICS}
    return {name: estimate for name, estimate in found.items() if estimate}


def places_of(spec: Spec, episodes: Iterable[Episode]) -> dict[Place, list[Episode]]:
    """The held-out episodes of each place, in the order of the definition."""
    found: dict[Place, list[Episode]] = {
        (model, setting, size): []
        for model in spec.models for setting in spec.settings for size in (None, *spec.sizes)}
    for episode in episodes:
        if episode.cell.phase == "held-out":
            found[episode.cell.model, episode.cell.setting, episode.cell.size].append(episode)
    return {place: episodes for place, episodes in found.items() if episodes}


def _contrasts(spec: Spec, places: Mapping[Place, list[Episode]]) -> Iterator[Contrast]:
    for setting, against in spec.contrasts():
        for model, size in ((model, size) for model in spec.models for size in (None, *spec.sizes)):
            if (model, setting, size) in places or (model, against, size) in places:
                one, other = _beside(places, model, setting, size), _beside(places, model, against, size)
                for metric, by in contrasts_of(one, other).items():
                    yield Contrast(model, setting, against, size, metric, by, by.says)


def _beside(places: Mapping[Place, list[Episode]], model: str, setting: str, size: Size | None) -> list[Episode]:
    """The episodes of a setting at a size; one that recalls nothing has the same at every size."""
    return places.get((model, setting, size)) or places.get((model, setting, None), [])


def _filled(filling: Filling) -> Filled:
    episodes = filling.episodes
    passed = [episode.recallable for episode in episodes]
    sizes = [size for size in filling.sizes if size != 0 and filling.holds(size)]
    return Filled(filling.model, filling.setting, filling.seed, passed, passed.index(True) + 1 if any(passed) else None,
                  [_reached(size, filling.until(size)) for size in sizes], [episode.run for episode in episodes])


def _reached(size: Size, episodes: Sequence[Episode]) -> Reached:
    return Reached(size, sum(episode.recallable for episode in episodes), len(episodes),
                   sum(episode.usage.total for episode in episodes), sum(episode.seconds for episode in episodes))


def _exemplars(spec: Spec, places: Mapping[Place, list[Episode]], tasks: Mapping[str, str]) -> Iterator[Shown]:
    for (model, setting, size), episodes in places.items():
        against = next((other for one, other in spec.contrasts() if one == setting), "")
        without = {(e.cell.task, e.cell.seed): e.verified for e in _beside(places, model, against, size)}
        shown_to: dict[tuple[str, str], list[Episode]] = defaultdict(list)
        for episode in episodes:
            for recalled in episode.recalled:
                shown_to[recalled.run, recalled.origin].append(episode)
        for (exemplar, origin), those in shown_to.items():
            pairs = [e.verified - without[where] for e in those if (where := (e.cell.task, e.cell.seed)) in without]
            yield Shown(model, setting, size, exemplar, origin, tasks.get(exemplar, ""), len(those),
                        sum(e.verified for e in those), against, sum(pairs) / len(pairs) if pairs else None)


def _left_out(past: Past, status: str, why: str) -> dict[str, int]:
    found = {}
    for filling, size, count in past.grid.unreached():
        store = f"the store of '{filling.setting}' with {filling.model}, seed {filling.seed},"
        found[f"{store} never came to {size} successes, but to {len(filling.solved)} "
              f"in {len(filling.episodes)} episodes"] = count
    if rest := past.grid.todo.total():
        found[f"not played yet ({why or status})"] = rest
    return found
