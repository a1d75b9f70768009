"""Rollouts into the store: several attempts at each task, to learn from what succeeds (as in STaR, RFT and ReST-EM)."""

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from autorl.agent import Agent
from autorl.errors import UsageError
from autorl.rollout.executor import THREADS, Executor
from autorl.rollout.once import Episodes, Order, named
from autorl.rollout.threads import in_threads
from autorl.types import Status, Task, Trajectory
from autorl.verify.checks import Judge, Verifier

WARMER, COOLER = 0.15, 0.8
"""What each attempt at a task without a success adds to the temperature, and what each success takes it down to."""
HOTTEST, COOLEST = 1.2, 0.2
LOOK = 1.0
"""Seconds between two looks at what others are at, once there is nothing else to do."""


@dataclass(frozen=True)
class Plan:
    """How much is tried.

    attempts: at each task, at most; successes: at a task, after which it is not tried any more
    seed: of the sampling; the same seed, store and tasks give the same attempts the same seeds
    """

    attempts: int = 8
    successes: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Attempt:
    """One rollout: which attempt at its task it was, from 0, how warm it was sampled, and what came of it."""

    number: int
    temperature: float
    trajectory: Trajectory


def collect(agent: Agent, tasks: Iterable[Task], plan: Plan = Plan(), *, concurrency: int = 1,
            verify: Judge | Verifier | None = None, on: Executor = THREADS) -> Iterator[Attempt]:
    """Attempt the tasks in rounds, each round every task that is still open; yields attempts as they end.

    A guided agent makes all attempts at the first tasks before it comes to others, for each builds on those before it.
    Where a task has not succeeded yet, sampling gets warmer with each attempt, and cooler where it has. What the store
    has of this model counts, so that a collection that was broken off goes on where it was when it is called again,
    and several at once share the work: what another one is at is left to it.
    verify: as for `Agent.solve`; on: where the rollouts are done
    Raises UsageError without a store, what `Agent.solve` raises, and what `on` does; what was done by then is kept.
    """
    store = agent.store
    if store is None:
        raise UsageError("to collect rollouts takes a store", "Give the agent one: store=ReplayStore()")
    wanted = list(tasks)
    model = agent.policy.model.name
    others: dict[str, tuple[int, int]] = {}

    with on.doing(Episodes(agent, verify), concurrency) as do:
        def attempt(task: Task) -> Attempt | None:
            number, wins = tried[task.id]
            while _open(plan, number, wins):
                sampling = replace(agent.sampling, seed=_seed(plan, task, number),
                                   temperature=warmth(agent.sampling.temperature, number, wins))
                done = do(Order(named(model, task.id, number), task, sampling))
                if done.ours:
                    return Attempt(number, sampling.temperature, done.run)
                if done.run.status is Status.RUNNING:
                    return None
                number, wins = number + 1, wins + done.run.verified
                others[task.id] = number, wins
            return None

        while True:
            counted = store.attempts([task.id for task in wanted], model)
            tried = {task.id: max(counted.get(task.id, (0, 0)), others.get(task.id, (0, 0))) for task in wanted}
            open_ = [task for task in wanted if _open(plan, *tried[task.id])]
            if not open_:
                return
            if agent.guided:
                open_ = open_[:concurrency]
            ours = 0
            for done in in_threads(attempt, open_, concurrency):
                if done:
                    ours += 1
                    yield done
            if not ours:
                time.sleep(LOOK)
                store.reap()  # whoever had the others may be gone by now


def warmth(base: float, attempts: int, successes: int) -> float:
    """The temperature of the next attempt at a task, given the one of the first."""
    if successes:
        return max(min(base, COOLEST), base * COOLER**successes)
    return min(max(base, HOTTEST), base + WARMER * attempts)


def _open(plan: Plan, attempts: int, successes: int) -> bool:
    return attempts < plan.attempts and successes < plan.successes


def _seed(plan: Plan, task: Task, number: int) -> int:
    digest = hashlib.sha256(f"{plan.seed}/{task.id}/{number}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1
