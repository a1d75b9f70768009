"""Episodes that are done once, whoever begins them and however often: two collectors, or one again after a crash.

An episode has its name before it starts. Its tries are runs by that name and a number, and the store takes the id of a
run once: who is first to write it down has the try, and while that goes on nobody begins another. A try whose process
is gone is ended as failed, and the next one starts from the beginning, for what it had made may lie on a machine that
is gone too. Each try is a run of its own, so what is written is known by run, step and try.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from autorl import settings
from autorl.agent import Agent
from autorl.errors import StoreUnavailable, UsageError
from autorl.journal import Watcher
from autorl.policy import Sampling
from autorl.registry import nobody
from autorl.replay import database, embed
from autorl.replay.store import ReplayStore
from autorl.types import Status, Task, Trajectory
from autorl.verify.checks import Judge, Verifier

STALE = 1_800.0
"""Seconds beyond its limit after which a run that still goes on is taken to have lost its process, on whatever machine:
far more than its last step can take."""
UNDONE = (Status.FAILED, Status.CANCELLED)
"""Ends after which an episode is tried anew."""


class Order(NamedTuple):
    """An episode that is to be done. name: see `named`; sampling: of its completions"""

    name: str
    task: Task
    sampling: Sampling


class Done(NamedTuple):
    """What became of an order: the run, which may be going on still in other hands.

    ours: whether it was done for this order
    """

    run: Trajectory
    ours: bool


def named(model: str, task: str, number: int) -> str:
    """The name of the attempt `number` of a model at a task, which everyone gives it."""
    return "e" + hashlib.sha256(json.dumps([model, task, number]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Episodes:
    """Does orders by `agent`, which has a store, as a `Work`. verify: as for `Agent.solve`"""

    agent: Agent
    verify: Judge | Verifier | None = None

    def __call__(self, order: Order) -> Done:
        for run in _tries(order):
            held = self._held(run)
            if held is None:
                try:
                    return self._try(order, run)
                except _Taken:
                    held = self._store.get(run)
            if held.status is Status.RUNNING and self._stale(held):
                held = self._closed(held, f"it had not ended {STALE:g} s after it had to")
            if held.status not in UNDONE:
                return Done(held, ours=False)
        raise AssertionError("there is no end of tries")

    def sent(self, store: str) -> "SentEpisodes":
        agent = self.agent
        live = [name for name, given in (
            ("a model", not isinstance(agent.model, str)), ("a memory", agent.memory is not None),
            ("a tool", not all(isinstance(tool, str) for tool in agent.tools)),
            ("a verifier", self.verify is not None), ("what answers questions", agent.ask is not nobody)) if given]
        if live:
            raise UsageError(f"{' and '.join(live)} of this process cannot be sent to workers on other machines",
                             "Name it: a model as provider:model, tools and verifiers by their pack (a module under "
                             "tools/ of a project)")
        return SentEpisodes(replace(agent, store=None), store)

    def lost(self, order: Order) -> Done | None:
        for run in _tries(order):
            held = self._held(run)
            if held and held.status is Status.RUNNING:
                held = self._closed(held, "its worker was lost")
            if held is None:
                return None
            if held.status not in UNDONE:
                return Done(held, ours=True)
        raise AssertionError("there is no end of tries")

    @property
    def _store(self) -> ReplayStore:
        assert self.agent.store is not None
        return self.agent.store

    def _held(self, run: str) -> Trajectory | None:
        return self._store.get_all([run]).get(run)

    def _try(self, order: Order, run: str) -> Done:
        agent = replace(self.agent, model=self.agent.policy.model, sampling=order.sampling)
        began = _Began()
        try:
            return Done(agent.solve(order.task, verify=self.verify, watcher=began, run=run), ours=True)
        except UsageError as error:
            if not began.ours and self._held(run):
                raise _Taken from error
            raise

    def _closed(self, run: Trajectory, why: str) -> Trajectory:
        """The run as failed, or as it ended meanwhile: what a process asked for may be done after it was killed."""
        failed = run.model_copy(update={"status": Status.FAILED, "reason": why})
        try:
            self._store.ended(failed)
        except StoreUnavailable:
            found = self._store.get(run.id)
            if found.status is Status.RUNNING:
                raise
            return found
        return failed

    def _stale(self, run: Trajectory) -> bool:
        return (datetime.now(UTC) - run.started).total_seconds() > self.agent.limits.seconds + STALE


@dataclass(frozen=True)
class SentEpisodes:
    """Episodes on their way to another process: an agent as plain values, and the URL of its store."""

    agent: Agent
    store: str

    def begin(self) -> Callable[[Order], Done]:
        chosen = settings.resolve()
        embedder = embed.load(chosen.embedder, chosen.embedder_url)
        store = patiently(lambda: ReplayStore(self.store, embedder=embedder))
        work = Episodes(replace(self.agent, store=store))
        _ = work.agent.policy  # loaded before there are many threads
        return work


class _Began(Watcher):
    """Told that a run began only after the store has taken it."""

    ours = False

    def began(self, trajectory: Trajectory) -> None:
        self.ours = True


class _Taken(Exception):
    """Somebody else was quicker to begin a run."""


def patiently(opening: Callable[[], ReplayStore]) -> ReplayStore:
    """The store, as soon as its server is there: a worker may start while that is away."""
    until = time.monotonic() + database.PATIENCE
    while True:
        try:
            return opening()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)


def _tries(order: Order) -> Iterator[str]:
    """The ids of an episode's runs, without end."""
    return (f"{order.name}-{number}" for number in count(1))
