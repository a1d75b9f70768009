"""Tasks of a warehouse, and a model that knows the shortest way: what an executor is tried with."""

import time
from collections.abc import Callable
from typing import Any

from autorl import tasks
from autorl.content import load_pack
from autorl.formats.react import React
from autorl.types import Task
from tests.servers import Reply

WORLD, TOOLS = "warehouse/w1/train", "warehouse:w1"


def some_tasks(count: int) -> list[Task]:
    """The tasks of a world again and again, each time under other names."""
    some = tasks.load(WORLD).tasks
    return [some[number % len(some)].model_copy(update={"id": f"task-{number}"}) for number in range(count)]


def answers(latency: float, first: Callable[[], object] = bool) -> Callable[[dict[str, Any]], Reply]:
    """What a server answers that says the steps of the shortest way, each after so many seconds.

    first: what is done, or waited for, before an answer
    """
    load_pack("warehouse")
    from autorl_tools.warehouse.asked import Asked
    from autorl_tools.warehouse.solver import plan

    def way(task: Task) -> list[str]:
        asked = Asked.of(task)
        return [React().write("Next", action) for action in plan(asked.world, asked.start, asked.goal) or ()]

    ways = {task.text: way(task) for task in tasks.load(WORLD).tasks}

    def answer(body: dict[str, Any]) -> Reply:
        first()
        time.sleep(latency)
        messages = body["messages"]
        asked = max(n for n, message in enumerate(messages) if "Task: " in message["content"])  # after the exemplars
        done = sum(message["role"] == "assistant" for message in messages[asked:])
        return Reply(ways[messages[asked]["content"].rpartition("Task: ")[2].strip()][done])

    return answer
