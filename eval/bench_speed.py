"""What `autorl bench` itself costs on tasks of the warehouse, with a model that takes no time and with one that does.

    python eval/bench_speed.py [--episodes 30000] [--rounds 5] [--no-keep]

`overhead_share`: the same episodes are played by the benchmark and by `Agent.solve_many` with a store, in turns, with
two threads and a model that takes 0.1 s for a completion. The overhead is how much longer the benchmark takes.
`world_episodes_per_s`: the tasks of a world without a model: each call of the shortest way carried out, the end judged.
`episodes_per_s`, `growth_mb`: many episodes with a model that answers at once, and by how much the memory of the
process grows from the middle of them to the last. (In the first half SQLite fills its page cache of 64 MB.)
"""

import argparse
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from kept import keep, show

from autorl import Agent, Recall, ReplayStore, Sampling, Task, tasks
from autorl.bench import run
from autorl.bench.spec import Setting, Spec, Split, Tasks
from autorl.content import load_pack
from autorl.formats.react import React
from autorl.models.base import Capabilities, Completion, Request
from autorl.settings import Settings
from autorl.types import Usage

TOOLS = ("warehouse:w1",)
load_pack("warehouse")
from autorl_tools.warehouse.asked import Asked  # noqa: E402  # the namespace is made by loading a pack
from autorl_tools.warehouse.solver import plan  # noqa: E402
from autorl_tools.warehouse.verifier import checks  # noqa: E402


def said(task: Task) -> list[str]:
    """The steps of the shortest way to do a task."""
    asked = Asked.of(task)
    return [React().write("Next", action) for action in plan(asked.world, asked.start, asked.goal) or ()]


SOME = tasks.load("warehouse/w1/train").tasks
PLANS = {task.text: said(task) for task in SOME}


class Planned:
    """A model that says the steps of the shortest way, each after so many seconds; keeps nothing of what is asked."""

    capabilities = Capabilities()
    context_tokens = None

    def __init__(self, seconds: float) -> None:
        self.name, self._seconds = "scripted:planned", seconds

    def complete(self, request: Request) -> Completion:
        time.sleep(self._seconds)
        way = PLANS[request.messages[1]["content"].removeprefix("Task: ")]
        return Completion(way[len(request.messages) // 2 - 1], usage=Usage(prompt_tokens=1, completion_tokens=1))

    def count(self, text: str) -> int:
        return len(text) // 4


def some_tasks(count: int) -> tuple[Task, ...]:
    """The tasks of a world again and again, each time under other names."""
    return tuple(SOME[number % len(SOME)].model_copy(update={"id": f"task-{number}"}) for number in range(count))


def benchmark(count: int, model: Planned, *, concurrency: int, watch: Callable[[], None] = lambda: None) -> float:
    """Seconds that the benchmark takes for `count` episodes."""
    spec = Spec(name="speed", models=(model.name,), seeds=(0,), tasks=Tasks(held_out=("made",)),
                settings={"agent": Setting(chosen=Settings(tools=TOOLS, k=0))})
    folder = run.begin(spec, Split(learn=(), held_out=some_tasks(count)))
    started = time.perf_counter()
    ending = run.resume(folder, concurrency=concurrency, given={model.name: model}, watch=lambda _: watch())
    assert ending.status == "complete", ending
    return time.perf_counter() - started


def bare(count: int, model: Planned, *, concurrency: int, folder: Path) -> float:
    """Seconds that the same episodes take without it."""
    with closing(ReplayStore(folder / "bare.db")) as store:
        agent = Agent(model=model, tools=TOOLS, store=store, recall=Recall(k=0), sampling=Sampling(seed=0),
                      workspaces=folder / "bare")
        started = time.perf_counter()
        for trajectory in agent.solve_many(some_tasks(count), concurrency=concurrency):
            assert trajectory.verified
        return time.perf_counter() - started


def in_the_world(count: int) -> float:
    """Seconds that the calls of so many episodes take in the world itself, with its checks at the end."""
    ways = {task.id: plan((asked := Asked.of(task)).world, asked.start, asked.goal) or () for task in SOME}
    started = time.perf_counter()
    for number in range(count):
        task = SOME[number % len(SOME)]
        asked = Asked.of(task)
        state = asked.start
        for action in ways[task.id]:
            state = asked.world.apply(state, action).state
        assert all(check.passed for check in checks(state, asked.goal))
    return time.perf_counter() - started


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=30_000, help="with the model that answers at once")
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison with the bare agent")
    parser.add_argument("--no-keep", action="store_true", help="print the figures and keep nothing")
    args = parser.parse_args()
    ratios, sizes = [], []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["AUTORL_HOME"] = scratch
        slow = Planned(0.1)
        for turn in range(args.rounds):
            folder = Path(scratch) / str(turn)
            folder.mkdir()
            ratios.append(benchmark(60, slow, concurrency=2) / bare(60, slow, concurrency=2, folder=folder))
        seconds = benchmark(args.episodes, Planned(0.0), concurrency=2, watch=lambda: sizes.append(resident_mb()))
    world = in_the_world(args.episodes)
    half = len(sizes) // 2
    figures = {
        "overhead_share": {"value": statistics.median(ratios) - 1, "interval": [min(ratios) - 1, max(ratios) - 1],
                           "n": args.rounds, "unit": "of the time of the bare agent", "goal": "<= 0.02"},
        "episodes_per_s": {"value": args.episodes / seconds, "n": args.episodes, "unit": "1/s", "goal": ">= 83.4"},
        "world_episodes_per_s": {"value": args.episodes / world, "n": args.episodes, "unit": "1/s", "goal": ">= 1000"},
        "growth_mb": {"value": sizes[-1] - sizes[half], "n": args.episodes, "unit": "MB", "goal": "<= 5"},
    }
    print(show(figures))
    if not args.no_keep:
        keep("bench", figures, f"python eval/bench_speed.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
