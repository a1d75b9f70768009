"""The runs, made from their names alone, and the writers that put them into a store in every way it has."""

import hashlib
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autorl import ReplayStore
from autorl.errors import UnknownName
from autorl.types import (
    Action,
    Artifact,
    Observation,
    Provenance,
    Recalled,
    Status,
    Step,
    Task,
    Trajectory,
    Usage,
    Verdict,
)

from .log import Log

SHARED = tuple(f"shared-{number}" for number in range(6))
"""Successes that every run may have been shown, and that every writer judges and trusts or not."""
CAPS = {"team": 12}
"""What is set at first; `crowd` keeps the store's own cap, and `local` has none."""
SOURCES = ("local", "local", "local", "team", "crowd")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def planned(name: str) -> Trajectory:
    """The run of that name as it is once it has ended. It has not been judged."""
    dice = random.Random(name)
    shared = name in SHARED
    ends = [Status.FINISHED] if shared else [Status.FINISHED] * 8 + [Status.STUCK, Status.OUT_OF_STEPS]
    status = dice.choice(ends)
    topic = dice.randrange(40)  # writers meet over the same tasks
    content = content_of(name)
    return Trajectory(
        id=name, task=Task(text=f"Write about topic {topic} for reader {dice.randrange(4)}"), status=status,
        reason="" if status is Status.FINISHED else f"{name} ended so",
        steps=tuple(_step(name, index, dice) for index in range(dice.randrange(6))),
        answer=f"{name} is done" if status is Status.FINISHED else "",
        recalled=tuple(Recalled(run=run, rank=rank, score=0.5)
                       for rank, run in enumerate(dice.sample(SHARED, 0 if shared else dice.randrange(3)))),
        artifacts=(Artifact(path="made.txt", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),),
        provenance=Provenance(model="scripted", format="react", source=dice.choice(SOURCES), seed=dice.randrange(99)),
        started=BEGINNING + timedelta(seconds=dice.randrange(10**6)), seconds=dice.random(),
    )


def content_of(name: str) -> bytes:
    """What the run makes: a file that a few runs have in common."""
    return f"made by the runs that end in {name[-1]}\n".encode() * 40


def judged(run: str, key: str) -> Verdict:
    """The verdict with the reason `key`, which no other verdict has."""
    dice = random.Random(key)
    return Verdict(verifier="siege@1", passed=dice.random() < 0.7, score=round(dice.random(), 3), why=key)


def _step(name: str, index: int, dice: random.Random) -> Step:
    # Now and then a row that spills over many pages of the file.
    length = dice.choices([dice.randrange(400), 5_000, 200_000], [90, 9, 1])[0]
    action = Action(name=dice.choice(["ping", "look", "add"]), arguments={"number": dice.randrange(99)})
    answer = Observation(text=f"{name} {index} answer ".ljust(length, "y"), ok=dice.random() < 0.9,
                         tainted=dice.random() < 0.03)
    return Step(index=index, thought=f"{name} {index}", action=action, raw=f"{name} {index} raw ".ljust(length, "x"),
                finish_reason="stop", usage=Usage(prompt_tokens=10, completion_tokens=5), observation=answer)


def write(store: str, home: Path, folder: Path, name: str, threads: int, left: list[str]) -> None:
    """Write to `store` without end, in `threads` threads, with a log in `folder`.

    home: AUTORL_HOME, where a store in PostgreSQL has its files; left: runs of a writer that was killed, to be taken
    up first
    """
    os.environ["AUTORL_HOME"] = str(home)
    log = Log(folder / f"{name}.log")
    opened = ReplayStore(store)
    workers = [threading.Thread(target=Writer(opened, log, f"{name}t{number}", folder).work,
                                args=(left if number == 0 else [],)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


class Writer:
    """One thread that writes. Only it writes the steps of its runs; the shared runs belong to all."""

    def __init__(self, store: ReplayStore, log: Log, name: str, folder: Path) -> None:
        self.store, self.log, self.name = store, log, name
        self.dice = random.Random(name)
        self.folder = folder / name
        self.folder.mkdir()
        self.made = 0

    def work(self, left: list[str]) -> None:
        for run in left:
            self.resume(run)
        while True:
            self.turn()

    def turn(self) -> None:
        """One thing that a user, a training or an import would do."""
        self.dice.choices([self.run, self.add, self.change_shared, self.others], [70, 12, 12, 6])[0]()

    def run(self) -> None:
        """A run, step by step, as the loop writes it."""
        run = planned(self.named())
        if self.call("began", lambda: self.store.began(run.model_copy(update={
                "status": Status.RUNNING, "steps": (), "reason": "", "answer": "", "artifacts": ()})), run=run.id):
            self.go_on(run, 0)

    def go_on(self, run: Trajectory, after: int) -> None:
        """The steps of `run` from `after` on, its end, its files and, most of the time, a verdict."""
        for step in run.steps[after:]:
            alone = step.model_copy(update={"observation": None})
            if not self.call("decided", lambda alone=alone: self.store.decided(run.id, alone), run=run.id,
                             step=step.index):
                return
            self.observe(run, step)
        self.call("ended", lambda: self.store.ended(run), run=run.id)
        (self.folder / "made.txt").write_bytes(content_of(run.id))
        self.call("files", lambda: self.store.keep_files(run, self.folder), run=run.id)
        if self.dice.random() < 0.8:
            self.judge(run.id)

    def observe(self, run: Trajectory, step: Step) -> None:
        answer = step.observation
        assert answer is not None
        self.call("observed", lambda: self.store.observed(run.id, step.index, answer), run=run.id, step=step.index)

    def resume(self, name: str) -> None:
        """Take up a run whose writer was killed, where it was left."""
        run = planned(name)
        try:
            if self.store.summary(name).status is Status.FINISHED:
                return  # killed when it had ended
        except UnknownName:
            return  # killed before it began
        kept = run

        def take_up() -> None:
            nonlocal kept
            kept = self.store.reopen(name)
            self.store.began(kept)

        if not self.call("began", take_up, run=name):
            return
        if kept.steps and kept.steps[-1].observation is None:
            self.observe(run, run.steps[len(kept.steps) - 1])
        self.go_on(run, len(kept.steps))

    def add(self) -> None:
        """An import: whole runs, some with a verdict, some from outside."""
        names = [self.named() for _ in range(self.dice.randrange(1, 25))]
        runs = [planned(name) for name in names]
        runs = [run.model_copy(update={"verdict": judged(run.id, f"{run.id} add")}) if self.dice.random() < 0.7 else run
                for run in runs]
        trust = self.dice.choice(["trusted", "trusted", "quarantined"])
        self.call("add", lambda: self.store.add(runs, trust=trust, why="siege"), runs=names, trust=trust,
                  judged=[run.id for run in runs if run.verdict])

    def change_shared(self) -> None:
        """What others do at the same time to the same runs."""
        run = self.dice.choice(SHARED)
        if self.dice.random() < 0.6:
            self.judge(run)
        else:
            self.trust(run)

    def others(self) -> None:
        """Caps, policies and vectors."""
        kind = self.dice.randrange(3)
        key = self.named()
        if kind == 0:
            most = self.dice.choice([3, 12, 40])
            self.call("cap", lambda: self.store.cap("team", most), source="team", most=most)
        elif kind == 1:
            runs = self.dice.sample(SHARED, 2)
            self.call("policy", lambda: self.store.keep_policy(key, base="local", trained_on=runs), id=key, runs=runs)
        else:
            self.call("embedded", self.store.embed_all)

    def judge(self, run: str) -> None:
        key = self.named()
        self.call("judged", lambda: self.store.judged(run, judged(run, key)), run=run, why=key)

    def trust(self, run: str) -> None:
        key = self.named()
        trust = self.dice.choice(["trusted", "trusted", "quarantined", "revoked"])
        self.call("trust", lambda: self.store.trust(run, trust, key, "siege"), run=run, trust=trust, why=key)

    def named(self) -> str:
        self.made += 1
        return f"{self.name}n{self.made}"

    def call(self, do: str, call: Callable[[], object], **what: object) -> bool:
        """Say what is meant, do it, and say that it was acknowledged; False if the store refused."""
        number = self.log.will(do, **what)
        try:
            call()
        except Exception as error:
            self.log.failed(number, error)
            return False
        self.log.did(number)
        return True
