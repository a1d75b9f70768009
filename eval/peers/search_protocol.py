"""How a search engine under measurement (search_*.py) reads what it searches and says how long it took.

    python search_NAME.py FOLDER

FOLDER holds `tasks.jsonl` (a JSON text a line), `vectors.npy` (float32 of length 1, a row a task), and `queries.json`
with `queries.npy` alike. Printed is one JSON object: `build_s`, `times` (seconds of each query), `found` (the numbers
of the first five tasks of each), `rss_mb`, `most_mb`.
"""

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

TOP = 5
WARM_UP = 20


def folder() -> Path:
    return Path(sys.argv[1])


def tasks() -> list[str]:
    with (folder() / "tasks.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def asked() -> list[str]:
    return json.loads((folder() / "queries.json").read_text(encoding="utf-8"))


def measure(build: Callable[[], Any], queries: Sequence[Any], ask: Callable[[Any, Any], Sequence[int]]) -> None:
    """Time `build()` and, for each query, `ask(built, query)`, which gives the numbers of tasks, best first."""
    started = time.perf_counter()
    built = build()
    made = time.perf_counter()
    for query in queries[:WARM_UP]:
        ask(built, query)
    times, found = [], []
    for query in queries:
        began = time.perf_counter()
        best = ask(built, query)
        times.append(time.perf_counter() - began)
        found.append([int(number) for number in best])
    memory = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+)", Path("/proc/self/status").read_text()))
    print(json.dumps({"build_s": made - started, "times": times, "found": found,
                      "rss_mb": int(memory["VmRSS"]) / 1024, "most_mb": int(memory["VmHWM"]) / 1024}))
