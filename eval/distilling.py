"""What the measures of distillation share: how models do at tasks that they never learned from, as figures to keep."""

import argparse
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kept import keep, show
from platformdirs import user_cache_path

from autorl.bench.ledger import Episode
from autorl.bench.metrics import METRICS
from autorl.bench.spec import Setting, Spec, Split, Tasks
from autorl.bench.statistics import Runs
from autorl.replay.store import ReplayStore
from autorl.settings import Settings
from autorl.train import measure, rounds
from autorl.types import Task

Played = dict[str, list[Episode]]
"""The episodes of one model in one setting, by task."""


def episodes(folder: Path, model: str, settings: Mapping[str, Settings], tasks: Sequence[Task], *,
             memory: ReplayStore, seeds: Sequence[int], product: str = "") -> dict[str, Played]:
    """Every task asked of `model` in each setting, with each seed; those that `folder` has are not played again."""
    spec = Spec(name="distilling", models=(model,), seeds=tuple(seeds), product=product,
                tasks=Tasks(held_out=("given",)),
                settings={name: Setting(chosen=chosen) for name, chosen in settings.items()})
    played = measure.play(folder, spec, Split(learn=(), held_out=tuple(tasks)), memory=memory, concurrency=2,
                          watch=lambda one, count, planned: say(
                              f"{count}/{planned} {model} {one.cell.setting} {one.cell.task}"))
    found: dict[str, Played] = defaultdict(lambda: defaultdict(list))
    for episode in played:
        found[episode.cell.setting][episode.cell.task].append(episode)
    return found


def runs(of: Played, metric: str) -> Runs:
    """The values of a metric; an episode without one counts as zero."""
    values = {task: [METRICS[metric].of(episode) for episode in some] for task, some in of.items()}
    return {task: [float(value or 0) for value in some] for task, some in values.items()}


def figure(estimate: Any, **more: Any) -> dict[str, Any]:
    """An estimate as a figure; empty where the tasks of a trial are too few for one."""
    return {} if estimate is None else {
        "value": estimate.value, "interval": [estimate.low, estimate.high], "n": estimate.n, **more}


def of_the_loop(entries: Iterable[rounds.Entry]) -> dict[str, dict[str, Any]]:
    """What a loop took, by its ledger."""
    entries = list(entries)
    collected = [entry for entry in entries if isinstance(entry, rounds.Collected)]
    return {
        "loop_minutes": {"value": sum(getattr(entry, "seconds", 0.0) for entry in entries) / 60, "unit": "min"},
        "rounds": {"value": len(collected), "unit": "rounds of the loop"},
        "runs_collected": {"value": sum(entry.attempts for entry in collected), "unit": "attempts"},
        "runs_passed": {"value": sum(entry.passed for entry in collected), "unit": "attempts"},
    }


def known(figures: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that are not empty; the others are named."""
    if few := [name for name, each in figures.items() if not each]:
        say(f"Too few tasks, or nothing to divide by, for {', '.join(few)}")
    return {name: each for name, each in figures.items() if each}


def keep_what_is_measured(name: str, parser: argparse.ArgumentParser,
                          measured: Callable[[argparse.Namespace], dict[str, dict[str, Any]]]) -> None:
    """Measure with the options of the command line, print it, and keep it as `name` unless told not to."""
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=user_cache_path("autorl") / name)
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["AUTORL_HOME"] = str(options.folder)  # its policies are its own
    figures = measured(options)
    print(show(figures))
    if not options.no_keep:
        keep(name, figures, shlex.join(["python", f"eval/{name.replace('-', '_')}.py", *sys.argv[1:]]))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
