"""One process that recalls from a store: how long it takes, from its opening on, and how much memory.

    python -m store.recalling WHERE RUNS QUERIES        (in eval/)

Prints one JSON object. The time of a recall is that of the whole call: embedding the task, searching, and reading the
trajectories that are shown; counting their tokens is left out, as that is the model's. `busy_s` is the processor time
of one: where it is far below the rest, the machine had other things to do.
"""

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

WARM_UP = 20


def main() -> None:
    where, stored, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    started = time.perf_counter()
    from autorl.content import load_pack
    from autorl.registry import Toolset, tool
    from autorl.replay.recall import recall
    from autorl.replay.store import ReplayStore
    from autorl.types import Task
    from store.runs import TOOLSETS, queries
    from store.texts import Texts

    def stand_in(name: str) -> Any:
        def nothing() -> str:
            """Stands for a tool."""
            return ""

        nothing.__name__ = name
        return tool(nothing)

    imported = time.perf_counter()
    store = ReplayStore(where)
    opened = time.perf_counter()
    at_hand = {names: Toolset.of([stand_in(name) for name in names], load_pack) for names in TOOLSETS.values()}
    asked = [(Task(text=query.text), at_hand[query.tools], query.kind)
             for query in queries(Texts(), stored, count + WARM_UP)]
    asked = asked[:: max(1, len(asked) // WARM_UP)][:WARM_UP] + asked

    def seconds(task: Task, tools: Toolset) -> float:
        began = time.perf_counter()
        recall(store, task, tools=tools, size=lambda *_: 100)
        return time.perf_counter() - began

    first = seconds(*asked[0][:2])
    for task, tools, _ in asked[:WARM_UP]:
        seconds(task, tools)
    times: dict[str, list[float]] = {}
    before = time.process_time()
    for task, tools, kind in asked[WARM_UP:]:
        times.setdefault(kind, []).append(seconds(task, tools))
    busy = (time.process_time() - before) / count
    memory = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+)", Path("/proc/self/status").read_text()))
    print(json.dumps({
        "import_s": imported - started, "open_s": opened - imported, "first_s": first, "times": times,
        "busy_s": busy, "rss_mb": int(memory["VmRSS"]) / 1024, "most_mb": int(memory["VmHWM"]) / 1024}))
    store.close()


if __name__ == "__main__":
    main()
