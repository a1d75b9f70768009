"""Policies of a known skill, in the world of doors that the tests of the benchmark have."""

import hashlib
import os
import re
import signal
import threading
from pathlib import Path

from autorl.models.base import Capabilities, Completion, Request
from autorl.models.scripted import Scripted
from autorl.settings import Settings
from autorl.types import Task
from tests.bench.world import door, make_project
from tests.worlds import say

CHOSEN = Settings.model_validate({"policy": "none", "tools": ("doors",), "k": 0, "max_steps": 4})


class Opener(Scripted):
    """Opens the doors of a share `skill` of all rooms and seeds; the same ones whenever it is asked.

    nats: how little it expects a token of any text; deadly: completions after which it kills its own process
    """

    capabilities = Capabilities(repetition=True)

    def __init__(self, name: str, skill: float, *, nats: float = 2.0, deadly: int | None = None) -> None:
        self.skill, self.nats = skill, nats
        self.rated: list[str] = []
        self._left = None if deadly is None else threading.Semaphore(deadly)
        super().__init__(self._answer, name=name)

    def likelihood(self, text: str) -> tuple[float, int]:
        self.rated.append(text)
        return -self.nats * len(text.split()), len(text.split())

    def _answer(self, request: Request) -> str | Completion:
        if self._left and not self._left.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)
        last = request.messages[-1]["content"]
        if last.startswith("Observation: "):
            return say("finish", answer=last)
        number = int(re.findall(r"Open the door of room (\d+)", last)[-1])
        drawn = hashlib.sha256(f"{number} {request.seed}".encode()).digest()[0] / 256
        return say("open_door", code=number * 7 if drawn < self.skill else 0)


def tasks(first: int = 1001, count: int = 8, groups: int = 2) -> list[Task]:
    """Doors to open, of wings that are their groups."""
    found = [door(number) for number in range(first, first + count)]
    return [task.model_copy(update={"requirements": {**task.requirements, "group": f"wing {place % groups}"}})
            for place, task in enumerate(found)]


def project() -> None:
    """The tool pack of doors, in the current folder."""
    make_project(Path.cwd())
