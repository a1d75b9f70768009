"""What other processes do in the tests that kill them or let them compete. Each acknowledgement is one `write`."""

import os
import signal
import threading
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from autorl import Agent, ReplayStore
from autorl.journal import Watcher
from autorl.models.scripted import Scripted
from autorl.registry import RunContext, tool
from autorl.replay.recall import Recall
from autorl.types import Observation, Status, Step, Trajectory, Verdict
from tests.worlds import a_run, a_step, add, adds_words, look

# A server that has imported everything once, and of which each child is a fork.
_context = get_context("forkserver")
_context.set_forkserver_preload(["tests.children"])


def started(work: Any, *arguments: Any) -> BaseProcess:
    process = _context.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def acknowledge(path: Path, *words: object) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write((" ".join(map(str, words)) + "\n").encode())


def wait_for_more(path: Path, count: int) -> None:
    """Return when so many lines more have been acknowledged in `path` than there are now."""
    def lines() -> int:
        return path.read_bytes().count(b"\n") if path.exists() else 0

    wanted, deadline = lines() + count, time.monotonic() + 60
    while lines() < wanted:
        assert time.monotonic() < deadline, "the writers wrote nothing"
        time.sleep(0.002)


def write_steps(store: Path, acknowledged: Path) -> None:
    """Write runs without end; a line `run kind step` follows each write that has returned."""
    journal = ReplayStore(store)
    while True:
        run = a_run("Never done", status=Status.RUNNING)
        journal.began(run)
        acknowledge(acknowledged, run.id, "began", 0)
        for index in range(5):
            step = a_step(index)
            journal.decided(run.id, step)
            acknowledge(acknowledged, run.id, "decided", index)
            journal.observed(run.id, index, step.observation or Observation(text=""))
            acknowledge(acknowledged, run.id, "observed", index)


def write_runs(store: Path, name: str, threads: int, runs: int, acknowledged: Path) -> None:
    """Write `runs` runs in each of `threads` threads, and what went wrong."""
    journal = ReplayStore(store)

    def work(number: int) -> None:
        try:
            for turn in range(runs):
                run = a_run(f"{name} {number} {turn}", [a_step(), a_step()], id=f"{name}-{number}-{turn}")
                journal.began(run)
                for step in run.steps:
                    journal.decided(run.id, step)
                    journal.observed(run.id, step.index, step.observation or Observation(text=""))
                journal.ended(run)
                journal.newest(limit=2)
        except BaseException as error:
            acknowledge(acknowledged, name, type(error).__name__, str(error))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    acknowledge(acknowledged, name, "done")


def hold_the_lock(store: Path, acknowledged: Path) -> None:
    """Begin to write, and never end."""
    with ReplayStore(store)._database.writing():
        acknowledge(acknowledged, "held")
        signal.pause()


class Fatal(Watcher):
    """Kills its own process at the `number`th turn of a run, after the store has heard of it."""

    def __init__(self, number: int) -> None:
        self.left = number

    def _turn(self) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def began(self, trajectory: Trajectory) -> None:
        self._turn()

    def decided(self, run: str, step: Step) -> None:
        self._turn()

    def observed(self, run: str, index: int, observation: Observation) -> None:
        self._turn()

    def ended(self, trajectory: Trajectory) -> None:
        self._turn()

    def judged(self, run: str, verdict: Verdict) -> None:
        self._turn()

    def text(self, piece: str) -> None:
        self._turn()


def word_agent(store: ReplayStore, workspaces: Path, **changes: Any) -> Agent:
    return Agent(**{"model": Scripted(adds_words), "tools": [add, look], "store": store, "recall": Recall(k=0),
                    "workspaces": workspaces, **changes})


def solve_until_killed(store: Path, workspaces: Path, turn: int) -> None:
    word_agent(ReplayStore(store), workspaces).solve("Add the words", watcher=Fatal(turn))


def solve_until_killed_in_a_tool(store: Path, workspaces: Path, after: bool) -> None:
    """As above, but within the second call of `add`: before or after it has had its effect."""
    calls = []

    def add_and_die(word: str, context: RunContext) -> str:
        calls.append(word)
        if len(calls) == 2 and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        said = add(word, context)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return str(said)

    add_and_die.__name__ = "add"
    word_agent(ReplayStore(store), workspaces, tools=[tool(add_and_die), look]).solve("Add the words")
