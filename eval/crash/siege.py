"""The killing: writers of one store, of which one or all are ended by SIGKILL at random moments."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from autorl import ReplayStore, settings

from .audit import Findings, audit
from .load import CAPS, SHARED, judged, planned, write
from .log import Said, read

# A server that has imported everything once, and of which each writer is a fork.
_context = get_context("forkserver")
_context.set_forkserver_preload(["autorl.agent", "autorl.replay.postgres", "psycopg", "wordllama"])
PATIENCE = 120.0
"""Seconds without a single acknowledgement, after which a siege gives up."""


def kill_server_process(ask: Callable[[str], list[Any]], dice: random.Random) -> None:
    """Kill one of the server's processes that serve a writer, and wait until it has recovered.

    The server ends all its other processes then, and takes no connection before it has read its log again.
    ask: gives the rows that the server answers with
    """
    deadline = time.monotonic() + PATIENCE
    while not (serving := ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'autorl'")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no process of the server served a writer for {PATIENCE:g} s")
        time.sleep(0.02)
    os.kill(dice.choice(serving)[0], signal.SIGKILL)
    while True:
        time.sleep(0.02)
        with suppress(Exception):
            ask("SELECT 1")
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server did not recover in {PATIENCE:g} s")


class Siege:
    """Writers of the store at `where`, of which always as many are alive as at the start.

    folder: for the logs, and for what the runs make; seed: of the moments, and of what is written
    kills: moments at which one writer or all of them were killed; ended: how many writers that were
    """

    def __init__(self, where: str, folder: Path, *, writers: int = 3, threads: int = 2, seed: int = 0) -> None:
        self.where, self.folder, self.threads = where, folder, threads
        self.seed, self.dice = seed, random.Random(seed)
        self.kills = self.ended = 0
        self._generation = 0
        self._alive: list[tuple[str, BaseProcess]] = []
        self._counted: dict[str, tuple[int, int]] = {}  # of each log: bytes read, calls acknowledged in them
        folder.mkdir(parents=True, exist_ok=True)
        store = ReplayStore(where)
        store.add([planned(name).model_copy(update={"verdict": judged(name, f"{name} add")}) for name in SHARED])
        for source, most in CAPS.items():
            store.cap(source, most)
        store.close()
        for _ in range(writers):
            self._start([])

    def go_on(self, kills: int, strike: "Callable[[], None] | None" = None, pause: float = 0.15) -> None:
        """Strike `kills` times, at random moments while writes are acknowledged, by default at writers.

        pause: seconds between a write that was acknowledged and the strike, on average
        """
        for _ in range(kills):
            self.wait_for_writes()
            time.sleep(self.dice.expovariate(1 / pause))
            (strike or self.kill)()
            self.kills += 1

    def kill(self) -> None:
        """Kill a writer, or now and then all at once, and let others take their places."""
        struck = list(self._alive) if self.dice.random() < 0.15 else [self.dice.choice(self._alive)]
        self._end(struck)
        for name, _ in struck:
            self._start(self._left_open(name))

    def audit(self) -> Findings:
        """Kill all writers, hold the store against their logs, and go on with new ones."""
        struck = list(self._alive)
        self._end(struck)
        self.kills += bool(struck)
        store = ReplayStore(self.where)
        found = audit(store, self.said())
        store.close()
        for name, _ in struck:
            self._start(self._left_open(name))
        return found

    def stop(self) -> None:
        """Kill all writers for good."""
        self._end(list(self._alive))

    def said(self) -> Said:
        return read(sorted(self.folder.glob("*.log")))

    def wait_for_writes(self) -> None:
        """Until every writer that is alive has had something acknowledged, and one of them something new.

        Raises TimeoutError after `PATIENCE` seconds, RuntimeError if a writer ended by itself.
        """
        before = self._acknowledged()
        deadline = time.monotonic() + PATIENCE
        while (now := self._acknowledged()) == before or not all(now.values()):
            if ended := [name for name, writer in self._alive if writer.exitcode is not None]:
                raise RuntimeError(f"the writers {ended} ended by themselves")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no write was acknowledged for {PATIENCE:g} s; the logs are in {self.folder}")
            time.sleep(0.005)

    def _start(self, left: list[str]) -> None:
        self._generation += 1
        name = f"s{self.seed}w{self._generation:04}"
        writer = _context.Process(target=write, daemon=True, args=(
            self.where, settings.home(), self.folder, name, self.threads, left))
        writer.start()
        self._alive.append((name, writer))

    def _end(self, struck: list[tuple[str, BaseProcess]]) -> None:
        for _, writer in struck:
            os.kill(writer.pid or 0, signal.SIGKILL)
        for each in struck:
            each[1].join()  # else its runs are taken for those of a living process
            assert each[1].exitcode == -signal.SIGKILL, f"the writer {each[0]} ended by itself"
            self._alive.remove(each)
            self.ended += 1

    def _left_open(self, name: str) -> list[str]:
        """The runs that a writer had begun, by what it says itself."""
        path = self._log(name)
        said = read([path] if path.exists() else [])
        ended = {call.what["run"] for call in said.of("ended") if call.acknowledged}
        return [run for run in dict.fromkeys(call.what["run"] for call in said.of("began")) if run not in ended]

    def _acknowledged(self) -> dict[str, int]:
        """How many calls of each living writer were acknowledged."""
        for name, _ in self._alive:
            path = self._log(name)
            if path.exists():
                with path.open("rb") as file:
                    read, count = self._counted.get(name, (0, 0))
                    file.seek(read)
                    new = file.read()
                self._counted[name] = read + len(new), count + new.count(b'{"did"')
        return {name: self._counted.get(name, (0, 0))[1] for name, _ in self._alive}

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
