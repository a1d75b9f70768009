"""The loop, and the agent that runs it. An agent holds no run state; a run is a value."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autorl import content, formats, models, settings
from autorl.errors import AutorlError, UsageError
from autorl.guide import Guide, Judging, Showing
from autorl.journal import Watcher
from autorl.models.base import Model
from autorl.models.local import learned_format, split
from autorl.policy import Policy, Sampling
from autorl.registry import Ask, RunContext, Toolset, nobody
from autorl.replay.recall import Recall, Recollection, as_recalled, recall, shown_before
from autorl.replay.store import ReplayStore
from autorl.run import Run
from autorl.types import Exemplar, Limits, Observation, Provenance, Status, Task, Trajectory, clean_text, new_run_id
from autorl.verify.checks import Judge, Verifier, choose, judge
from autorl.workspace import Workspace

INTERRUPTED = (
    "The run was interrupted before the result of this action was recorded. It may or may not have been carried "
    "out: look before you repeat it."
)

_RECALLING = threading.Semaphore(8)
"""Runs that recall at once. More would be no faster, and each takes a connection to the store: of a thousand runs that
start together, those would cost 40 KB each."""


def rollout(run: Run, policy: Policy, tools: Toolset, limits: Limits, surroundings: RunContext,
            watcher: Watcher | None = None, guide: Guide | None = None) -> Trajectory:
    """Act and observe until the run is over. Whatever ends it, what it made is kept.

    Raises what the caller has to mend (a model that cannot be reached, a store that cannot be written)
    and KeyboardInterrupt, after the run was ended as `failed` or `cancelled`; both can be resumed.
    """
    workspace = surroundings.workspace
    try:
        while (end := run.end(limits) or (guide.end(run.trajectory) if guide else None)) is None:
            step = policy.act(run.context(tools, surroundings, guide), watcher.text if watcher else None)
            run = run.decided(step)
            if step.action:
                run = run.observed(tools.carry_out(step.action, surroundings))
    except BaseException as error:
        status = Status.CANCELLED if isinstance(error, KeyboardInterrupt) else Status.FAILED
        with suppress(AutorlError):
            run.ended(status, clean_text(str(error)) or type(error).__name__, workspace)
        raise
    return run.ended(*end, workspace)


@dataclass(frozen=True)
class Agent:
    """A policy, tools, and a memory of successes. Cheap, immutable, and safe to share between threads.

    model: `provider:model` (see `autorl models list`), or a Model. It is asked as it is named: what is promoted for it,
        as the commands ask it, is `train.policies.in_force(store, "local")`
    tools: packs by name (`slides`, `slides:all`), tools, or plain functions
    store: where runs are kept and recalled from; None keeps nothing and recalls the packs' seeds only
    memory: where runs are recalled from, if not from `store`; nothing is written to it but vectors of its tasks
    format: react, act, structured or native; None for that in which the model's policy was trained, or else react
    recall: how past successes are chosen and shown
    ask: puts a tool's question to the user; `nobody` answers "None"
    workspaces: folder that gets one folder a run; readable: folders that tools may read
    guided: whether the task's verifier tells, as it goes on, what it knows of how to go on or of the end (guide.py).
        It finds first successes sooner, and is for tasks to learn from alone: how a policy does is not measured so
    """

    model: str | Model = "local"
    tools: Sequence[Any] = ("slides",)
    store: ReplayStore | None = None
    memory: ReplayStore | None = None
    format: str | None = None
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    recall: Recall = Recall()
    base_url: str | None = None
    ask: Ask = nobody
    workspaces: Path | None = None
    readable: Sequence[Path] = ()
    guided: bool = False

    @classmethod
    def of(cls, chosen: settings.Settings, *, store: ReplayStore | None, ask: Ask = nobody) -> "Agent":
        """The agent that these settings describe."""
        return cls(
            model=chosen.model, tools=chosen.tools, store=store, format=chosen.format,
            sampling=Sampling(chosen.temperature, chosen.max_tokens, chosen.seed, chosen.constrained,
                              chosen.keep_tokens, chosen.repetition),
            limits=Limits(steps=chosen.max_steps, seconds=chosen.max_seconds),
            recall=Recall(chosen.k, chosen.budget, chosen.recall, chosen.exemplars, failures=chosen.failures,
                          seed=chosen.seed), base_url=chosen.base_url, ask=ask, readable=chosen.readable,
        )

    @cached_property
    def policy(self) -> Policy:
        model = models.load(self.model, base_url=self.base_url) if isinstance(self.model, str) else self.model
        return Policy(model, formats.load(self.format or learned_format(model.name) or formats.DEFAULT), self.sampling)

    @cached_property
    def toolset(self) -> Toolset:
        return Toolset.of(self.tools, content.load_pack)

    def solve(self, task: str | Task, *, verify: Judge | Verifier | None = None, watcher: Watcher | None = None,
              run: str = "") -> Trajectory:
        """Recall, act until the run is over, verify, store.

        verify: a function of the Trajectory that returns a bool or a score in 0..1, or a Verifier; the
            one the task names, or the packs' own, when None. Without any, the run stays unverified.
        watcher: told of everything as it happens; run: the id of the run, which no other may have; a new one if empty
        Raises UsageError for a bad task, name or id, ModelUnavailable, StoreUnavailable.
        """
        task = Task.of(task)
        verifier = choose(task, verify, self.toolset.verifiers)
        policy = self.policy
        with _RECALLING:
            recalled = recall(
                self.memory or self.store, task, tools=self.toolset, how=self.recall,
                size=lambda trajectory, style: policy.size(policy.format.exemplar(trajectory, style)),
            )
        trajectory = Trajectory(id=run or new_run_id(), task=task, recalled=as_recalled(recalled.exemplars),
                                provenance=self._provenance(recalled))
        return self._go_on(trajectory, recalled.exemplars, verifier, watcher, new=True)

    def resume(self, run: str, *, verify: Judge | Verifier | None = None, watcher: Watcher | None = None) -> Trajectory:
        """Take a run that was cut off (or ran into a limit) up again at its next step.

        Raises UnknownName for an id that the store does not have, UsageError for a run that finished.
        """
        if self.store is None:
            raise UsageError("an agent without a store has nothing to resume", "Give it one: store=ReplayStore()")
        trajectory = self.store.reopen(run)
        verifier = choose(trajectory.task, verify, self.toolset.verifiers)
        exemplars = shown_before(self.memory or self.store, trajectory, self.toolset.seeds)
        return self._go_on(trajectory, exemplars, verifier, watcher)

    def solve_many(self, tasks: Iterable[str | Task], *, concurrency: int = 4,
                   verify: Judge | Verifier | None = None) -> Iterator[Trajectory]:
        """Solve many tasks in `concurrency` threads; trajectories come in the order of the tasks."""
        from autorl.rollout.threads import in_threads

        return in_threads(lambda task: self.solve(task, verify=verify), tasks, concurrency)

    def workspace(self, run: str) -> Workspace:
        """The folder of a run."""
        return Workspace((self.workspaces or settings.home() / "runs") / run, self.readable)

    def _go_on(self, trajectory: Trajectory, exemplars: Sequence[Exemplar], verifier: Verifier | None,
               watcher: Watcher | None, *, new: bool = False) -> Trajectory:
        workspace = self.workspace(trajectory.id)
        guide = self._guide(trajectory.task, verifier, workspace, exemplars) if self.guided else None
        journals = [journal for journal in (self.store, watcher) if journal is not None]
        run = Run.start(trajectory, exemplars, journals)
        if new:
            workspace.clear()  # only now is it known that no other run of this store has the name
        if run.trajectory.steps and run.trajectory.steps[-1].observation is None:
            run = run.observed(Observation(text=INTERRUPTED, ok=False))
        surroundings = RunContext(workspace, trajectory.task, self.ask)
        done = rollout(run, self.policy, self.toolset, self.limits, surroundings, watcher, guide)
        if verifier is None:
            return done
        verdict = judge(verifier, done, workspace, exemplars)
        for journal in journals:
            journal.judged(done.id, verdict)
        return done.model_copy(update={"verdict": verdict})

    def _guide(self, task: Task, verifier: Verifier | None, workspace: Workspace, exemplars: Sequence[Exemplar]
               ) -> Guide:
        offered = getattr(verifier, "offered", None)
        if verifier is None or not (offered or getattr(verifier, "guides", False)):
            why = f"the verifier '{verifier.name}' tells nothing while it goes on" if verifier else "it has no verifier"
            raise UsageError(f"a run cannot be guided: {why}", "Leave the guidance out")
        if not self.policy.constrains:
            raise UsageError(f"a run of '{self.policy.model.name}' cannot be guided: nothing limits what it chooses",
                             "Leave the guidance out, or use a constrained policy and a format other than native")
        if offered:
            return Showing(offered, getattr(verifier, "mistakes", None), self.toolset.specs)
        before = self.store.failed(task.id) if self.store else ()
        looks = {tool.name for tool in self.toolset if tool.read_only}
        return Judging(lambda trajectory: judge(verifier, trajectory, workspace, exemplars), before, looks)

    def _provenance(self, recalled: Recollection) -> Provenance:
        return Provenance(
            model=self.policy.model.name, adapter=split(self.policy.model.name)[1], format=self.policy.format.name,
            prompt_hash=self.policy.format.prompt_hash, tools_hash=self.toolset.hash, seed=self.sampling.seed,
            settings={
                "temperature": self.sampling.temperature, "max_tokens": self.sampling.max_tokens,
                "repetition": self.sampling.repetition,
                "constrained": self.sampling.constrained, "recall": self.recall.mode, "k": self.recall.k,
                "budget": self.recall.budget, "exemplars": self.recall.style, "failures": self.recall.failures,
                "guided": self.guided, "tools": [item for item in self.tools if isinstance(item, str)],
                "base_url": self.base_url,
            },
            recall={"left_out": recalled.left_out, "warning": recalled.warning},
        )
