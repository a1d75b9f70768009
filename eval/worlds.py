"""What the measures of learning in invented warehouses share: worlds, tasks, how they are asked and runs gathered."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from distilling import Played, runs, say

from autorl import tasks as task_sets
from autorl.agent import Agent
from autorl.bench.statistics import Runs
from autorl.rollout.collect import Plan, collect
from autorl.settings import Settings
from autorl.train.dataset import Choice
from autorl.types import Task

SAME, NEW = ("w1", "w2", "w3", "w4"), ("w5", "w6", "w7", "w8")
ASKED = Settings(tools=("warehouse:{world}",), format="act", k=4, budget=3000, temperature=0.2, repetition=1.0,
                 max_tokens=120, max_steps=12)
ALONE, REPLAY = "alone", "replay"
SETTINGS = {ALONE: ASKED.model_copy(update={"k": 0}), REPLAY: ASKED}


def of(worlds: Sequence[str], split: str, lengths: Sequence[int], each: int, *, first: int = 0) -> tuple[Task, ...]:
    """So many tasks of each world and length from the one at `first` on, the short ones first."""
    return tuple(task for length in lengths for world in worlds
                 for task in task_sets.load(f"warehouse/{world}/{split}/{length}").tasks[first:first + each])


def gather(agent: Agent, tasks: Sequence[Task], plan: Plan) -> None:
    """Attempts at the tasks into the store, with the tools of the world of each."""
    for world in dict.fromkeys(task.requirements["world"] for task in tasks):
        those = [task for task in tasks if task.requirements["world"] == world]
        for attempt in collect(replace(agent, tools=(f"warehouse:{world}",)), those, plan, concurrency=2):
            run = attempt.trajectory
            say(f"attempt {attempt.number + 1}  {'passed' if run.verified else 'not passed'}  {run.task.text}")


def choice(share: float) -> Choice:
    """Rows of which such a share has exemplars, as replay shows them."""
    return Choice(format=ASKED.format, exemplars=share, k=ASKED.k, budget=ASKED.budget, style="full")


def success(played: Played, tasks: Sequence[Task]) -> Runs:
    """Whether each episode of these tasks passed, by task."""
    return runs({task.id: played[task.id] for task in tasks}, "success")


def take_options(parser: argparse.ArgumentParser) -> None:
    """The options that all of them have."""
    parser.add_argument("--attempts", type=int, default=12, help="at each learning task, until one passes")
    parser.add_argument("--asked", type=int, default=2, help="tasks of each world and length to measure with")
