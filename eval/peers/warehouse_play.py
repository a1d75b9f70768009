"""One runner at work in one world: it is started, its calls are carried out, and each of its runs is an episode."""

import json
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overhead import surroundings
from peers.metered import Gate, Meter
from peers.warehouse_world import Run

from autorl.types import Task

HERE = Path(__file__).resolve().parent
PATIENCE = 600.0
"""Seconds without a word from a runner, beyond what a run may take, after which it is stopped."""


@dataclass(frozen=True)
class Limits:
    """What every run of every framework has, however it ends.

    tokens: prompt and completion together; seconds: a guard against a framework that hangs
    max_tokens, temperature: of a completion
    steps: as the framework counts them, three more than the longest task takes
    k, budget: successes to show, and tokens that these may take
    """

    tokens: int = 32_000
    seconds: float = 14_400.0
    max_tokens: int = 120
    temperature: float = 0.2
    steps: int = 8
    k: int = 4
    budget: int = 3000


@dataclass(frozen=True)
class Row:
    """A line of the table: a framework, as it is used. block: what it knows: `nothing`, `learned` or `given`"""

    name: str
    peer: str
    variant: str
    block: str


@dataclass(frozen=True)
class Episode:
    """What one run came to.

    end: `closed` by the tool that ends the work, a limit (`tokens`, `time`), `died` of what the framework raised or of
        its process, or `stopped`: it ended by itself, its own limit of steps included
    calls: of tools, `refused` among them; requests: completions, `failed` those that the server refused
    seconds: from the beginning to the end, as above
    """

    row: str
    block: str
    seed: int
    world: str
    task: str
    phase: str
    attempt: int
    success: bool
    end: str
    died: str
    calls: int
    refused: int
    requests: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    seconds: float

    @property
    def key(self) -> tuple[str, int, str, str, str, int]:
        return self.row, self.seed, self.world, self.task, self.phase, self.attempt

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class RunnerDied(Exception):
    """The process of a runner ended, or was stopped because it told nothing."""


def job_for(world: str, tools: Sequence[Mapping[str, Any]], ends: str, limits: Limits, *, learn: Sequence[Task],
            attempts: int, learn_tokens: int, tasks: Sequence[Task], demos: Mapping[str, Any], memory: Path,
            learned: bool, seed: int) -> dict[str, Any]:
    """A job as warehouse_protocol.py has it."""
    return {
        "world": world, "tools": tools, "ends": ends, "attempts": attempts, "learn_tokens": learn_tokens,
        "memory": str(memory), "learned": learned,
        "learn": [{"id": task.id, "text": task.text, "demos": []} for task in learn],
        "tasks": [{"id": task.id, "text": task.text, "demos": demos.get(task.id, [])} for task in tasks],
        "seed": seed, "temperature": limits.temperature, "max_tokens": limits.max_tokens, "patience": limits.seconds,
        "max_steps": limits.steps, "k": limits.k, "budget": limits.budget,
    }


class Playing:
    """The episodes of one job, as a runner plays them in a lane.

    learned: called when it has learned what there is to learn
    """

    def __init__(self, row: Row, job: Mapping[str, Any], tasks: Sequence[Task], gate: Gate, lane: int, limits: Limits,
                 keep: Callable[[Episode], None], learned: Callable[[], None]) -> None:
        self._row, self._job, self._gate, self._lane, self._limits = row, job, gate, lane, limits
        self._tasks = {task.id: task for task in tasks}
        self._keep, self._learned = keep, learned
        self._at_hand: tuple[Run, Meter] | None = None
        self._begun: dict[str, Any] = {}

    def play(self, python: Path, folder: Path) -> None:
        """Raises RunnerDied; the run that it was at, if any, has died then."""
        with _started(self._row, python, self._gate.url(self._lane), folder) as self.process:
            self._send(self._job)
            while told := self._heard():
                if "done" in told:
                    return
                self._send(self._answer(told))
        log = (folder / "stderr.txt").read_text(errors="replace")[-1500:]
        if self._at_hand:
            self._end("the process of the runner ended")
        raise RunnerDied(f"{self._row.name}, {self._job['world']}: {log}")

    def _send(self, what: Mapping[str, Any]) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # that it is gone is seen when it is read from
            print(json.dumps(what), file=self.process.stdin, flush=True)

    def _heard(self) -> dict[str, Any]:
        """What the runner tells next; nothing when it is gone, or was stopped because it told nothing."""
        assert self.process.stdout
        watchdog = threading.Timer(self._limits.seconds + PATIENCE, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        return dict(json.loads(line)) if line else {}

    def _answer(self, told: dict[str, Any]) -> dict[str, Any]:
        if "learned" in told:
            self._learned()
            return {}
        if "begin" in told:
            return self._begin(told["begin"])
        assert self._at_hand, f"nothing has begun, and {self._row.name} tells {told}"
        run, meter = self._at_hand
        if "call" in told:
            text = run.call(told["call"]["name"], told["call"]["arguments"])
            if run.over:
                meter.stop("closed")
            return {"text": text, "over": bool(meter.over), "available": run.available}
        if "verdict" in told:
            verdict = run.verdict
            return {"success": verdict.passed, "checks": {check.name: check.passed for check in verdict.checks}}
        episode = self._end(told["end"]["died"])
        return {"success": episode.success, "tokens": episode.tokens}

    def _begin(self, begun: dict[str, Any]) -> dict[str, Any]:
        self._begun = begun
        run = Run(self._tasks[begun["task"]])
        limits, name = self._limits, f"{self._job['seed']}/{begun['task']}/{begun['attempt']}"
        meter = Meter(zlib.crc32(name.encode()) >> 1, limits.tokens, limits.seconds, limits.max_tokens)
        self._at_hand, self._gate.lanes[self._lane] = (run, meter), meter
        return {"available": run.available}

    def _end(self, died: str) -> Episode:
        assert self._at_hand
        run, meter = self._at_hand
        meter.stop("died" if died else "stopped")
        del self._gate.lanes[self._lane]
        episode = Episode(
            row=self._row.name, block=self._row.block, seed=self._job["seed"], world=self._job["world"],
            task=self._begun["task"], phase=self._begun["phase"], attempt=self._begun["attempt"],
            success=run.verdict.passed,
            end=meter.over, died=died if meter.over == "died" else "", calls=run.calls, refused=run.refused,
            requests=meter.requests, failed=meter.failed, prompt_tokens=meter.prompt_tokens,
            cached_tokens=meter.cached_tokens, completion_tokens=meter.completion_tokens,
            seconds=round(meter.elapsed, 3))
        run.close()
        self._at_hand = None
        self._keep(episode)
        return episode


@contextmanager
def _started(row: Row, python: Path, url: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    variables = surroundings(folder)
    if row.peer != "autorl":
        variables.pop("PYTHONPATH", None)
    with (folder / "stderr.txt").open("w") as errors:
        process = subprocess.Popen([str(python), str(HERE / f"warehouse_{row.peer}.py"), url, row.variant], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=variables,
                                   cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
