"""The whole loop, round after round: collect, verify, train, gate, promote.

Each round collects attempts with the policy that stands, trains the base model on what passed (from the base every
time, as in ReST-EM, Singh et al. 2023, so that nothing piles up but the data), and lets the gate rule whether the new
policy takes the place of the old one. A ledger says which phases are done; what is under way goes on by itself, for
every phase knows what it has: the store its attempts, the trainer its checkpoints, the measuring its episodes.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from autorl.agent import Agent
from autorl.bench.episode import tools_for
from autorl.bench.ledger import Episode, Ledger
from autorl.bench.spec import Setting, Spec, Split, Tasks
from autorl.bench.statistics import Runs
from autorl.errors import UsageError
from autorl.models.base import Model
from autorl.models.local import Local, split
from autorl.replay.store import ReplayStore
from autorl.rollout.collect import Plan as Attempts
from autorl.rollout.collect import collect
from autorl.rollout.executor import THREADS, Executor
from autorl.train import curve, gate, measure, policies, rounds
from autorl.train.gate import Ruling
from autorl.train.rounds import Begun, Collected, Entry, Plan, Ruled, Trained
from autorl.types import Task, Value

LEDGER, MEASURED, PAGE, PICTURE = "rounds.jsonl", "measured", "curve.html", "curve.svg"
FAILURES = 2
"""Rulings in a row against the new policy, after which the loop stops by itself."""
GATE = "free"
SETTINGS: dict[str, dict[str, Any]] = {
    GATE: {"constrained": False, "k": 0}, "constrained": {"constrained": True, "k": 0},
    "free+replay": {"constrained": False}, "constrained+replay": {"constrained": True},
}
"""How a policy is asked when it is measured; the gate looks at the first."""

Tell = Callable[[str], None]
E = TypeVar("E", bound=Entry)
P = TypeVar("P", Collected, Trained, Ruled)
Train = Callable[[ReplayStore, Sequence[str], Path, Tell], Sequence[Path]]
"""Trains on the successes of these tasks in a folder, and gives the adapters to choose from, the likeliest first.
Called again after it was killed, it goes on."""


class Improved(Value):
    """What came of it. start, now: the model that stood before and stands now; stopped: why it ended"""

    start: str
    now: str
    rulings: tuple[Ruling, ...]
    stopped: str
    page: Path


def improve(store: ReplayStore, folder: Path, tasks: Sequence[Task], held_out: Sequence[Task], plan: Plan, *,
            train: Train, concurrency: int = 1, given: Mapping[str, Model] | None = None,
            tell: Tell = lambda _: None, on: Executor = THREADS) -> Improved:
    """Run the loop in `folder`, or go on with the one that is there.

    tasks: to learn from; held_out: to measure with, and never to learn from
    train: such as `distil`; given: models by name, for names of none; tell: what is happening, in lines for people
    on: where rollouts are done; the training is done here
    Raises UsageError for a folder that holds another loop, tasks that are held out and learned from, or too little to
    learn from; and whatever a phase raises: what was done by then is kept.
    """
    if both := {task.id for task in tasks} & {task.id for task in held_out}:
        raise UsageError(f"held-out tasks are among those to learn from: {', '.join(sorted(both)[:5])}",
                         "Hold out others: what was learned on them would say nothing")
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Ledger(folder / LEDGER)) as book:
        loop = _Loop(store, folder, tuple(tasks), tuple(held_out), plan, train, concurrency, given or {}, tell, book,
                     on)
        return loop.run()


class _Loop:
    """One loop; its state is its ledger, and what the phases keep for themselves."""

    def __init__(self, store: ReplayStore, folder: Path, tasks: tuple[Task, ...], held_out: tuple[Task, ...],
                 plan: Plan, train: Train, concurrency: int, given: Mapping[str, Model], tell: Tell,
                 book: Ledger, on: Executor) -> None:
        self.on = on
        self.store, self.folder, self.tasks, self.held_out, self.plan = store, folder, tasks, held_out, plan
        self.train, self.concurrency, self.given, self.tell, self.book = train, concurrency, given, tell, book
        self.split = Split(learn=(), held_out=held_out)
        self.entries = list(rounds.read(folder / LEDGER))
        asked = measure.marks(self._spec((plan.base,), (GATE,)), Split(learn=(), held_out=(*tasks, *held_out)), given)
        if not self.entries:
            self._note(Begun(plan=plan, start=policies.in_force(store, plan.base, plan.chosen.policy), asked=asked))
        self.start = rounds.same(self.entries, plan, asked, folder)

    def run(self) -> Improved:
        now, failures, stopped = self.start, 0, f"all {self.plan.rounds} rounds are done"
        self._measure(self.start)
        for round in range(1, self.plan.rounds + 1):
            ruled = self._of(Ruled, round) or self._round(round, now)
            failures = 0 if ruled.ruling.passed else failures + 1
            now = ruled.ruling.new if ruled.ruling.passed else now
            if failures == FAILURES:
                stopped = f"the gate ruled against the new policy {FAILURES} times in a row"
                break
        rulings = tuple(entry.ruling for entry in self.entries if isinstance(entry, Ruled))
        self._draw()
        return Improved(start=self.start, now=now, rulings=rulings, stopped=stopped, page=self.folder / PAGE)

    def _round(self, round: int, now: str) -> Ruled:
        self.tell(f"Round {round}, from {now}")
        if not self._of(Collected, round):
            self._collect(round, now)
        self._let_go(now)  # what trains needs the memory
        trained = self._of(Trained, round) or self._train(round, now)
        new = f"{self.plan.base}+{trained.policy}"
        started = time.monotonic()
        if new == now:
            ruling = Ruling(passed=False, why="the training gave the policy that stands already", old=now, new=new,
                            tasks=0, seeds=(), compared={})
        else:
            episodes = self._measure(now, new)
            ruling = gate.rule(self.store, now, new, episodes, self.held_out, [self._nats(now), self._nats(new)])
        base, policy = split(new)
        if ruling.passed:
            self.store.promote(base, policy, why=f"round {round} of the loop in {self.folder.name}: {ruling.why}",
                               who="autorl improve")
        self._let_go(now if ruling.passed else new)
        self.tell(f"{'Promoted' if ruling.passed else 'Not promoted'}: {ruling.why}")
        ruled = self._note(Ruled(round=round, ruling=ruling, seconds=time.monotonic() - started))
        self._draw()
        return ruled

    def _collect(self, round: int, now: str) -> Collected:
        """What the store has of this policy counts, so each round with the same one is allowed as much again."""
        started, attempts, passed = time.monotonic(), 0, 0
        times = 1 + sum(isinstance(entry, Collected) and entry.policy == now for entry in self.entries)
        agent = replace(Agent.of(self.plan.chosen, store=self.store), model=self.given.get(now, now),
                        guided=self.plan.guided)
        wanted = Attempts(self.plan.attempts * times, self.plan.successes * times, self.plan.seed)
        by_tools: dict[tuple[str, ...], list[Task]] = {}
        for task in self.tasks:
            by_tools.setdefault(tools_for(task, self.plan.chosen.tools), []).append(task)
        for attempt in chain.from_iterable(
                collect(replace(agent, tools=tools), tasks, wanted, concurrency=self.concurrency, on=self.on)
                for tools, tasks in by_tools.items()):
            run = attempt.trajectory
            attempts, passed = attempts + 1, passed + run.verified
            self.tell(f"{attempts:>5}  attempt {attempt.number + 1}  {run.status:<13} "
                      f"{'passed' if run.verified else 'not passed'}  {run.task.text[:60]}")
        return self._note(Collected(round=round, policy=now, attempts=attempts, passed=passed,
                                    seconds=time.monotonic() - started))

    def _train(self, round: int, now: str) -> Trained:
        started = time.monotonic()
        adapters = self.train(self.store, [task.id for task in self.tasks], self.folder / f"round-{round}", self.tell)
        found = list(dict.fromkeys(
            policies.add(self.store, adapter, base=self.plan.base, parent=split(now)[1])
            for adapter in (adapters if self.plan.choose_on else adapters[:1])))
        policy, chosen = found[0], "by its held-out loss"
        if len(found) > 1:
            policy, chosen = self._choose(found), f"by rollouts of {self.plan.choose_on} learning tasks"
        stood = {promotion.policy for promotion in self.store.promotions(self.plan.base)}
        for other in found:
            if other != policy and other not in stood:
                policies.delete(self.store, other)
        return self._note(Trained(round=round, policy=policy, chosen=chosen, seconds=time.monotonic() - started))

    def _choose(self, candidates: Sequence[str]) -> str:
        """The policy whose runs score highest on the first learning tasks; the likeliest of equals."""
        names = [f"{self.plan.base}+{policy}" for policy in candidates]
        some = Split(learn=(), held_out=self.tasks[: self.plan.choose_on])
        played = measure.play(self.folder / "choosing", self._spec(names, (GATE,), self.plan.seeds[:1]), some,
                              memory=self.store, concurrency=self.concurrency, given=self.given, on=self.on)
        scores = {name: sum(_worth(episode) for episode in played if episode.cell.model == name) for name in names}
        best = max(names, key=lambda name: scores[name])
        for name in names:
            self._let_go(name)
        return str(split(best)[1])

    def _measure(self, *names: str) -> list[Episode]:
        """The episodes of the gate's setting; the other settings are played as well, with the first seed."""
        def play(settings: Sequence[str], seeds: Sequence[int]) -> list[Episode]:
            return measure.play(self.folder / MEASURED, self._spec(names, settings, seeds), self.split,
                                memory=self.store, concurrency=self.concurrency, given=self.given, watch=self._watch,
                                on=self.on)

        episodes = play((GATE,), self.plan.seeds)
        if self.plan.measured:
            play(self.plan.measured, self.plan.seeds[:1])
        return episodes

    def _spec(self, names: Sequence[str], settings: Sequence[str], seeds: Sequence[int] = (0,)) -> Spec:
        chosen = {name: Setting(chosen=self.plan.chosen.model_copy(update=SETTINGS[name])) for name in settings}
        return Spec(name="improve", models=tuple(names), seeds=tuple(seeds), tasks=Tasks(held_out=("given",)),
                    settings=chosen)

    def _watch(self, episode: Episode, done: int, planned: int) -> None:
        self.tell(f"{done:>5}/{planned}  {episode.cell.model}, {episode.cell.setting}, seed {episode.cell.seed}  "
                  f"{'passed' if episode.verified else 'not passed'}  {episode.cell.task}")

    def _nats(self, name: str) -> Runs | None:
        return measure.surprise(self.folder / MEASURED, name, measure.neutral(), self.given)

    def _let_go(self, name: str) -> None:
        if name not in self.given and name.partition(":")[0].partition("+")[0] == "local":
            Local.shared(name).close()

    def _draw(self) -> None:
        """Write the page and the picture of how far it has come."""
        names = [self.start, *(entry.ruling.new for entry in self.entries if isinstance(entry, Ruled))]
        passed = {entry.ruling.new for entry in self.entries if isinstance(entry, Ruled) and entry.ruling.passed}
        found = measure.played(self.folder / MEASURED)
        points = [curve.point(name, [e for e in found if e.cell.model == name], promoted=name in passed or place == 0,
                              nats=self._nats(name))
                  for place, name in enumerate(dict.fromkeys(names))]
        rulings = [entry.ruling for entry in self.entries if isinstance(entry, Ruled)]
        _write(self.folder / PICTURE, curve.picture(points))
        _write(self.folder / PAGE, curve.page(points, rulings, self.folder.name))

    def _of(self, kind: type[P], round: int) -> P | None:
        return next((entry for entry in self.entries if isinstance(entry, kind) and entry.round == round), None)

    def _note(self, entry: E) -> E:
        self.book.add([entry])
        self.entries.append(entry)
        return entry


def distil(plan: Plan, hyper: Any = None, choice: Any = None) -> Train:
    """Rejection-sampling fine-tuning of the base model, as a `Train`: `dataset.make`, then `apart.train`.

    hyper, choice: as there; the defaults when None
    """
    def train(store: ReplayStore, tasks: Sequence[str], folder: Path, tell: Tell) -> Sequence[Path]:
        from autorl.train import apart, base, dataset
        from autorl.train.hyper import Hyper

        rows = folder / "rows"
        try:
            made = dataset.Dataset.read(rows)
        except UsageError:  # there is none yet, or a kill left half of one
            shutil.rmtree(rows, ignore_errors=True)
            format = plan.chosen.format or policies.format_to_learn(store, plan.base, plan.chosen.policy)
            chosen = replace(choice or dataset.Choice(format=format), tasks=tuple(tasks))
            made = dataset.make(store, rows, chosen, tokenizer=base.load_tokenizer(base.torch_weights(plan.base)))
        tell(f"Training on {len(made.rows)} rows; left out: {made.manifest['dropped'] or 'nothing'}")
        trained = apart.train(made, folder / "adapter", base=plan.base, hyper=hyper or Hyper(), watch=lambda at: tell(
            f"  step {at.step}/{at.steps}, " + (f"loss {at.loss:.3f}" if at.loss is not None else
                                                f"held-out loss {at.held_out or 0:.3f}")
            + f", {at.seconds_left:.0f} s left"))
        return [trained.folder, *trained.epochs]

    return train


def _worth(episode: Episode) -> float:
    return float(episode.verified) if episode.score is None else episode.score


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
