"""A small world of doors for the tests of the benchmark, and a model that learns its rule from exemplars only."""

import os
import re
import resource
import signal
import threading
from pathlib import Path
from typing import Any

from autorl.bench import definition, ledger, run
from autorl.bench.ledger import Episode
from autorl.bench.spec import Cell
from autorl.errors import AutorlError
from autorl.models.base import Request
from autorl.models.scripted import Scripted
from autorl.types import Task
from tests.worlds import say

PACK = '''
from autorl.errors import ToolError
from autorl.registry import Pack, RunContext, tool
from autorl.types import Verdict


@tool
def open_door(code: int, context: RunContext) -> str:
    """Open the door."""
    if code != context.task.requirements["code"]:
        raise ToolError("the door stays shut")
    context.workspace.write("door.txt", b"open")
    return "the door is open"


class Opened:
    name, version = "opened", 1

    def __call__(self, task, trajectory, workspace, exemplars=()):
        passed = (workspace.root / "door.txt").is_file()
        return Verdict(verifier="opened@1", passed=passed, score=float(passed), why="" if passed else "it is shut")


pack = Pack(tools=[open_door], groups={"east": [open_door], "west": [open_door]}, verifiers={"opened": Opened()})
'''

SPEC = '''
models = ["scripted:door-opener"]
seeds = [0, 1]
sizes = [0, 2, "all"]
product = ".txt"

[tasks]
learn = ["doors/learn"]
held_out = ["doors/held-out"]
alike = true

[fill]
attempts = 2

[common]
tools = ["doors"]
max_steps = 6

[settings.agent]
k = 0

[settings."agent+replay"]
k = 1

[settings.random]
recall = "random"
k = 1
fill = "agent+replay"
'''


def door(number: int) -> Task:
    return Task(text=f"Open the door of room {number}, {_WORDS[number % len(_WORDS)]}", id=f"door-{number}",
                requirements={"code": number * 7, "optimal": 2, "wing": ("east", "west")[number % 2]})


_WORDS = ("a kitchen", "the archive", "an empty cellar", "some office", "the great hall", "my garage", "a tower")


def make_project(folder: Path, *, learn: int = 5, held_out: int = 3, spec: str = SPEC) -> None:
    """A project with the world in it, and a benchmark `doors`."""
    for kind in ("tools", "tasks/doors", "eval"):
        (folder / kind).mkdir(parents=True)
    (folder / "autorl.toml").touch()
    (folder / "tools" / "doors.py").write_text(PACK)
    (folder / "eval" / "doors.toml").write_text(spec)
    for name, first, count in (("learn", 1, learn), ("held-out", 1001, held_out)):
        lines = (door(number).model_dump_json() + "\n" for number in range(first, first + count))
        (folder / "tasks" / "doors" / f"{name}.jsonl").write_text("".join(lines))


def opens_doors(request: Request) -> str:
    """Knows the code whenever an exemplar shows one, and otherwise for one seed in three; gives up after an error."""
    last = request.messages[-1]["content"]
    if last.startswith("Observation: "):
        return say("finish", answer=last)
    number = int(re.findall(r"Open the door of room (\d+)", last)[-1])
    known = len(request.messages) > 2 or "A past task that went well" in last or (request.seed or 0) % 3 == 0
    return say("open_door", code=number * 7 if known else 0)


GIVEN = {"scripted:door-opener": Scripted(opens_doors, name="door-opener")}


def begun(**changes: Any) -> Path:
    """The folder of a new run of the benchmark `doors`, in a project in the current folder; `changes` are its."""
    make_project(Path.cwd(), **changes)
    doors = definition.load("doors")
    return run.begin(doors, definition.read_tasks(doors))


def episodes(folder: Path) -> list[Episode]:
    return [entry for entry in ledger.read(folder / run.LEDGER) if isinstance(entry, Episode)]


def outcomes(folder: Path) -> dict[Cell, tuple[Any, ...]]:
    """What each cell came to, with exemplars named by the cells that they came from.

    What is recalled at random depends on the names of the runs, and is left out.
    """
    found = episodes(folder)
    cells = {episode.run: episode.cell for episode in found}
    assert len(set(cells.values())) == len(found)  # one result a cell
    return {e.cell: (e.status, e.verified, e.steps, e.cell.setting == "random" or [cells[r.run] for r in e.recalled])
            for e in found}


def run_until_killed(folder: Path, completions: int) -> None:
    """Go on with a run in a process that kills itself in the midst of a completion."""
    left = threading.Semaphore(completions)

    def fatal(request: Request) -> str:
        if not left.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGKILL)
        return opens_doors(request)

    run.resume(folder, given={"scripted:door-opener": Scripted(fatal, name="door-opener")})


def run_on_a_small_disk(folder: Path, bytes_: int) -> None:
    """Go on with a run where no file can grow beyond `bytes_`; what stops it is written to `stopped`."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, most))
    try:
        run.resume(folder, given=GIVEN)
    except AutorlError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        (folder / "stopped").write_text(f"{type(error).__name__}: {error}")
