"""Policies measured on held-out tasks: the episodes that a ledger lacks are played, and no other.

An episode is known by its cell: policy, setting, seed and task. So whatever compares policies on the same tasks, at the
gate or round after round, plays each of them once, and goes on where it was killed. Held-out runs are kept beside the
ledger and not in the replay store, where they would be recalled and trained on.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from math import exp
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from autorl import content, models
from autorl.bench import ledger
from autorl.bench.episode import Meter, Player
from autorl.bench.ledger import Episode, Ledger
from autorl.bench.playing import Call, Playing
from autorl.bench.spec import Budget, Cell, Spec, Split
from autorl.bench.statistics import Estimate, Runs, difference
from autorl.models.base import Model
from autorl.replay.store import ReplayStore
from autorl.rollout.executor import THREADS, Executor
from autorl.rollout.threads import in_threads

LEDGER, RUNS, TEXTS, WORKSPACES = "episodes.jsonl", "runs.db", "texts", "workspaces"
NEUTRAL = "neutral.txt"
"""Plain texts of our own on everyday things, a paragraph a line, which no task is about."""

_AT_ONCE = 2  # the embedded model has as many slots

Watch = Callable[[Episode, int, int], None]
"""Told of an episode that was played, how many are done, and of how many."""


@runtime_checkable
class Rates(Protocol):
    """A model that says how likely it finds a text."""

    def likelihood(self, text: str) -> tuple[float, int]: ...


def play(folder: Path, spec: Spec, tasks: Split, *, memory: ReplayStore | None = None, concurrency: int = 1,
         given: Mapping[str, Model] | None = None, watch: Watch | None = None,
         on: Executor = THREADS) -> list[Episode]:
    """Every held-out episode of `spec`, those that the ledger in `folder` has not got played now.

    memory: what settings with replay recall from; it is not written to. given: models by name, for names of none
    on: where the episodes are played
    Raises UsageError if another process is at work in `folder`, and what stops an episode (see `Player.play`); what was
    done by then is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = [Cell(phase="held-out", model=model, setting=setting, seed=seed, task=task.id)
             for seed in spec.seeds for task in tasks.held_out for model in spec.models for setting in spec.settings]
    with ExitStack() as stack:
        book = stack.enter_context(closing(Ledger(folder / LEDGER)))
        # What a run made is kept beside its store.
        stack.callback(shutil.rmtree, folder / WORKSPACES, ignore_errors=True)
        runs = stack.enter_context(closing(ReplayStore(folder / RUNS)))
        done = {episode.cell: episode for episode in played(folder)}
        player = Player(spec, tasks, runs, folder / WORKSPACES, given or {})
        work = Playing(spec, tasks, player, Meter(Budget(), 0, 0.0), live=bool(given))
        do = stack.enter_context(on.doing(work, concurrency))

        def episode(cell: Cell) -> Episode:
            played = do(Call(cell, (on.store or memory) if spec.settings[cell.setting].recalls else None))
            work.keep(played, runs, folder / WORKSPACES)
            return played.episode

        for ended in in_threads(episode, [cell for cell in cells if cell not in done], concurrency):
            book.add([ended])
            done[ended.cell] = ended
            if watch:
                watch(ended, sum(cell in done for cell in cells), len(cells))
    return [done[cell] for cell in cells]


def played(folder: Path) -> list[Episode]:
    """Every episode that the ledger in `folder` has."""
    return [entry for entry in ledger.read(folder / LEDGER) if isinstance(entry, Episode)]


def marks(spec: Spec, tasks: Split, given: Mapping[str, Model] | None = None) -> str:
    """What the episodes of `spec` are asked with, as a hash: tasks, settings, prompts and tools, but not whom."""
    player = Player(spec, tasks, cast(ReplayStore, None), Path(), given or {})
    asked = {"tasks": [task.model_dump(mode="json") for task in tasks.held_out],
             "settings": {name: setting.model_dump(mode="json") for name, setting in spec.settings.items()},
             "with": sorted(set(player.marks().values()))}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]


def surprise(folder: Path, name: str, texts: Sequence[str], given: Mapping[str, Model] | None = None) -> Runs | None:
    """How little the model `name` expects each of `texts`, in nats a token; None if it cannot tell.

    Measured once: kept in `folder`, by the model and the texts.
    """
    key = hashlib.sha256(json.dumps([name, *texts]).encode()).hexdigest()[:16]
    path = folder / TEXTS / f"{key}.json"
    if path.is_file():
        return {text: [value] for text, value in json.loads(path.read_text("utf-8"))["nats"].items()}
    model = (given or {}).get(name) or models.load(name)
    if not isinstance(model, Rates):
        return None
    rated = in_threads(model.likelihood, texts, _AT_ONCE)
    found = {text: -total / tokens for text, (total, tokens) in zip(texts, rated, strict=True)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"model": name, "nats": found}, ensure_ascii=False), "utf-8")
    part.replace(path)
    return {text: [value] for text, value in found.items()}


def perplexity(nats: Runs) -> float:
    """Of texts, given the nats a token of each."""
    return exp(sum(sum(values) / len(values) for values in nats.values()) / len(nats))


def rise(new: Runs, old: Runs) -> Estimate | None:
    """By what factor the perplexity of `new` is above that of `old`, paired over the texts."""
    by = difference(new, old)
    if by is None or by.low is None or by.high is None:
        return None
    return Estimate(exp(by.value), exp(by.low), exp(by.high), by.n)


def neutral() -> list[str]:
    """The neutral texts."""
    lines = content.find("eval", NEUTRAL).read_text("utf-8").splitlines()
    return [line for line in lines if line.strip()]
