"""What every framework is told, and tells, when it works in a warehouse (see ../peers_warehouse.py).

A runner is started as `python warehouse_PEER.py URL VARIANT` in an empty folder. It reads jobs from its standard input,
a line of JSON each, and calls the world's tools through its standard output: the world lives in the process that
started it, so that all frameworks work with the very same functions, and need nothing of autorl's for it.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protocol import KEY  # which also lets nothing but loopback be reached, and turns telemetry off

__all__ = ["KEY", "MODEL", "URL", "VARIANT", "Job", "Task", "serve"]

MODEL = "smollm2-135m"
URL, VARIANT = (*sys.argv[1:3], "", "")[:2]
Task = dict[str, Any]
"""`id`, `text`, and `demos`: successes to show, each the `text` of another task and its `steps`, each of these with
`name`, `arguments` and `observation`."""


@dataclass
class Job:
    """A world, and what to do in it.

    tools: name, description and parameters (a JSON Schema) of each; ends: the one that ends the work
    learn: tasks to learn from, with so many `attempts` at each at most; once `learn_tokens` are spent (prompt and
        completion), with the first one only; tasks: those to measure with
    memory: a folder for what was learned, empty before; learned: it is all there already
    temperature, max_tokens: of a completion, patience: seconds to wait for one; max_steps: of a run
    k, budget: successes to show, and their tokens
    """

    world: str
    tools: list[dict[str, Any]]
    ends: str
    learn: list[Task]
    attempts: int
    learn_tokens: int
    tasks: list[Task]
    memory: str
    learned: bool
    seed: int
    temperature: float
    max_tokens: int
    patience: float
    max_steps: int
    k: int
    budget: int
    over: bool = field(default=False, init=False)
    """The run at hand has ended: by the tool that ends it, or by a limit."""
    available: dict[str, Any] = field(default_factory=dict, init=False)
    """Which tools make sense as things stand, and with which values; for a framework that wants to know."""
    solved: set[str] = field(default_factory=set, init=False)
    spent: int = field(default=0, init=False)
    """Tokens of the runs to learn from so far."""

    @property
    def folder(self) -> Path:
        return Path(self.memory)

    def call(self, name: str, arguments: Any) -> str:
        """Call a tool of the world; returns what the policy is to be told. A refusal begins with `Error:`."""
        told = _ask(call={"name": name, "arguments": arguments})
        self.over, self.available = told["over"], told["available"]
        return str(told["text"])

    def verdict(self) -> dict[str, Any]:
        """Whether the world is as the task of the run at hand asks (`success`), and what of it (`checks`, by name)."""
        return _ask(verdict=True)

    def success(self) -> bool:
        return bool(self.verdict()["success"])

    @contextmanager
    def run(self, task: Task, *, phase: str = "held-out", attempt: int = 0) -> Iterator[None]:
        """A run at a task. What a framework raises ends it, and is told unless the run was over by then."""
        told = _ask(begin={"task": task["id"], "phase": phase, "attempt": attempt})
        self.over, self.available = False, told["available"]
        died = ""
        try:
            yield
        except Exception as error:
            died = f"{type(error).__name__}: {error}"[:600]
        ended = _ask(end={"died": died})
        if ended["success"]:
            self.solved.add(task["id"])
        if phase == "learn":
            self.spent += ended["tokens"]

    def may_try(self, task: Task, attempt: int) -> bool:
        """Whether this attempt at a task to learn from, counted from 0, may be made: it is not solved yet."""
        return (task["id"] not in self.solved and attempt < self.attempts
                and (attempt == 0 or self.spent < self.learn_tokens))

    def lessons(self, *, task_by_task: bool = False) -> Iterator[tuple[Task, int]]:
        """Tasks to learn from, each with the number of the attempt: all of them, then again those not solved.

        task_by_task: all attempts at the first one before the second
        """
        rounds = ((task, attempt) for attempt in range(self.attempts) for task in self.learn)
        turns = ((task, attempt) for task in self.learn for attempt in range(self.attempts))
        return ((task, attempt) for task, attempt in (turns if task_by_task else rounds) if self.may_try(task, attempt))


def serve(work: Callable[[Job], Callable[[Task], None]]) -> None:
    """Do jobs until there are none. `work` learns what there is to learn, and gives what does one task."""
    for line in sys.stdin:
        job = Job(**json.loads(line))
        do = work(job)
        _ask(learned=True)
        for task in job.tasks:
            with job.run(task):
                do(task)
        _ask(done=True)


_replies, sys.stdout = sys.stdout, sys.stderr  # what a framework prints must not mix with what is told
_turn = threading.Lock()


def _ask(**told: Any) -> dict[str, Any]:
    with _turn:  # some frameworks call tools from threads of their own
        print(json.dumps(told), file=_replies, flush=True)
        line = sys.stdin.readline()
    if not line:
        raise SystemExit(1)
    return dict(json.loads(line))
