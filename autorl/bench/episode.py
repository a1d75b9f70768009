"""One episode of a grid: an agent that recalls from one store, and whose run is kept in another when it is whole."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from autorl import models
from autorl.agent import Agent
from autorl.bench import simulated_user
from autorl.bench.ledger import Episode
from autorl.bench.metrics import opens, optimal, surprise
from autorl.bench.spec import Budget, Cell, Setting, Spec, Split
from autorl.errors import AutorlError, ModelUnavailable, StoreUnavailable, UsageError
from autorl.journal import Journal, Watcher
from autorl.models.base import Model
from autorl.replay.store import ReplayStore
from autorl.rollout.collect import warmth
from autorl.types import Status, Step, Task, Trajectory, Usage
from autorl.verify.checks import choose


class Stopped(AutorlError):
    """The grid does not go on; the episode is left as if it had not begun."""


class Meter:
    """What a grid may still spend, asked after every completion of every thread; and how all of them are stopped.

    budget: for all sessions together; spent, seconds: tokens and wall clock of those before this one
    """

    def __init__(self, budget: Budget, spent: int, seconds: float) -> None:
        self.spent = spent
        self.why = ""
        self._budget = budget
        self._started = time.monotonic() - seconds
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """In which a process was at work."""
        return time.monotonic() - self._started

    @property
    def timed(self) -> bool:
        """Whether time is limited."""
        return self._budget.hours is not None

    def stop(self, why: str) -> None:
        """Stop every thread at its next step. The first reason stands."""
        with self._lock:
            self.why = self.why or why

    def spend(self, usage: Usage = Usage()) -> None:
        """Count the tokens of a completion. Raises Stopped if that was the last one."""
        tokens, hours = self._budget.tokens, self._budget.hours
        with self._lock:
            self.spent += usage.total
            if not self.why and tokens is not None and self.spent >= tokens:
                self.why = f"the budget of {tokens:,} tokens is spent"
            if not self.why and hours is not None and self.seconds >= 3600 * hours:
                self.why = f"the budget of {hours:g} hours is spent"
            if self.why:
                raise Stopped(self.why)


class _InHand(Journal):
    """What an episode's agent takes for its store: it recalls from `memory`, and what it would write stays in hand.

    So the store that is measured with stays as it was filled, whatever the held-out episodes make of it, and an episode
    that is cut off leaves nothing behind.
    last: the run as it ended; None before
    """

    def __init__(self, memory: ReplayStore | None, meter: Meter) -> None:
        self._memory, self._meter = memory, meter
        self.last: Trajectory | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    def began(self, trajectory: Trajectory) -> None:
        self._meter.spend()

    def decided(self, run: str, step: Step) -> None:
        self._meter.spend(step.usage)

    def ended(self, trajectory: Trajectory) -> None:
        self.last = trajectory


class _Clock(Watcher):
    """Ends a completion under way when the time is over."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def text(self, piece: str) -> None:
        self._meter.spend()


class Player:
    """Plays the episodes of a grid; many threads may share it.

    runs: where every run is written; workspaces: the folder that each of them gets a folder in, to work in
    given: models by name, for names that stand for none
    Raises UnknownName for a verifier or tool pack that is named and not there, and what a model's name raises.
    """

    def __init__(self, spec: Spec, tasks: Split, runs: ReplayStore, workspaces: Path,
                 given: Mapping[str, Model]) -> None:
        self._spec, self._runs, self._workspaces, self._given = spec, runs, workspaces, given
        self._tasks = {task.id: task for task in (*tasks.learn, *tasks.held_out)}
        self._models: dict[tuple[str, str | None], Model] = {}
        self._loading = threading.Lock()
        # Prompts and tools are read once, so that every episode is asked with what the marks say.
        self._agents: dict[tuple[str, str, tuple[str, ...]], Agent] = {}
        for model in spec.models:
            for name, setting in spec.settings.items():
                for task in self._tasks.values():
                    tools = tools_for(task, setting.chosen.tools)
                    if (name, model, tools) not in self._agents:
                        self._agents[name, model, tools] = self._agent(setting, model, tools)
                    choose(task, None, self._agents[name, model, tools].toolset.verifiers)

    def marks(self) -> dict[str, str]:
        """What each setting is asked with: a hash of its prompts and one of its tools, by `setting model tools`."""
        return {" ".join((name, model, *tools)): f"{agent.policy.format.prompt_hash} {agent.toolset.hash}"
                for (name, model, tools), agent in self._agents.items()}

    def play(self, cell: Cell, memory: ReplayStore | None, meter: Meter) -> tuple[Episode, Trajectory]:
        """Play the episode of `cell`, recalling from `memory`.

        Whatever goes wrong within the run is its result. Raises Stopped, and what stops the whole grid:
        ModelUnavailable, StoreUnavailable, OSError, and any error from before the run began.
        """
        started = time.monotonic()
        task, setting, seed = self._tasks[cell.task], self._spec.settings[cell.setting], cell.sampling_seed
        base = self._agents[cell.setting, cell.model, tools_for(task, setting.chosen.tools)]
        sampling = replace(base.sampling, seed=seed, temperature=warmth(base.sampling.temperature, cell.attempt, 0))
        store = _InHand(memory, meter)
        agent = replace(base, store=cast(ReplayStore, store), recall=replace(base.recall, seed=seed), sampling=sampling,
                        ask=simulated_user.user(setting.user, task, seed=seed),
                        guided=self._spec.fill.guided and cell.phase == "learn")
        model = self._model(setting.model or cell.model, base.base_url)
        object.__setattr__(agent, "policy", replace(base.policy, model=model, sampling=sampling))
        object.__setattr__(agent, "toolset", base.toolset)
        died = ""
        try:
            trajectory = agent.solve(task, watcher=_Clock(meter) if meter.timed else None)
        except (Stopped, ModelUnavailable, StoreUnavailable, OSError):
            raise
        except Exception as error:
            if store.last is None:
                raise
            trajectory, died = store.last, f"{type(error).__name__}: {error}"
        workspace = agent.workspace(trajectory.id).root
        self._runs.keep_files(trajectory, workspace)
        self._runs.add([trajectory])
        produced = _produced(self._spec.product, workspace, trajectory)
        verdict = trajectory.verdict
        verified = verdict is not None and verdict.passed
        nats, rated = surprise(trajectory)
        return Episode(
            cell=cell, run=trajectory.id, status=trajectory.status, verified=verified,
            reason="; ".join(why for why in (trajectory.reason, "" if verified or not verdict else verdict.why) if why),
            recallable=verified and trajectory.status is Status.FINISHED and not trajectory.tainted,
            score=verdict.score if verdict else None, produced=produced, nats=nats, rated=rated,
            steps=len(trajectory.steps), optimal=optimal(task), usage=trajectory.usage, seconds=trajectory.seconds,
            wall=time.monotonic() - started, recalled=trajectory.recalled, died=died,
        ), trajectory

    def _agent(self, setting: Setting, model: str, tools: tuple[str, ...]) -> Agent:
        made = Agent.of(setting.chosen, store=None)
        return replace(made, model=self._model(setting.model or model, made.base_url), tools=tools,
                       workspaces=self._workspaces, recall=replace(made.recall, same_task=False))

    def _model(self, name: str, base_url: str | None) -> Model:
        if name in self._given:
            return self._given[name]
        if name.startswith("scripted:"):
            return models.load(name)  # a script is told from its beginning in every episode
        with self._loading:
            if (name, base_url) not in self._models:
                self._models[name, base_url] = models.load(name, base_url=base_url)
            return self._models[name, base_url]


def tools_for(task: Task, tools: Sequence[str]) -> tuple[str, ...]:
    """The tools of a setting for one task: in `warehouse:{world}` the task's requirements say which world it is.

    Raises UsageError where they do not.
    """
    try:
        return tuple(name.format_map(task.requirements) for name in tools)
    except (KeyError, ValueError) as error:
        raise UsageError(f"the tools {', '.join(tools)} need {error} of the task '{task.id}', which does not say it",
                         "Name packs, or requirements that every task has") from error


def _produced(product: str, folder: Path, trajectory: Trajectory) -> bool | None:
    if not product:
        return None
    made = [folder / artifact.path for artifact in trajectory.artifacts if artifact.path.endswith(product)]
    return any(opens(path) for path in made)
