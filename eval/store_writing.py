"""How fast the replay store is written to, and whether many writers at once lose anything.

    python eval/store_writing.py [--batches 40] [--processes 4] [--threads 64] [--no-keep]

`insert_ratio`: batches of 500 made-up runs of six steps go through `ReplayStore.add`, which turns them into rows,
takes out secrets, checks ids and keeps up what recall reads; after each, bare `sqlite3` puts the same rows, read back
from the store, into an empty copy of its tables, indexes and triggers: `executemany` a table, one transaction a batch,
WAL and synchronous=NORMAL as in the store, foreign keys unchecked as is its default. The ratio is that of the seconds,
bare to `add`, at the median of the batches.

Step by step, as an agent writes: every call is a transaction of its own, beside bare `sqlite3` that commits the same
steps and observations a row at a time.

At once: processes of many threads write runs step by step to one store, on SQLite and on PostgreSQL. Then every run is
read again and held against what was written.
"""

import argparse
import json
import shlex
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from kept import keep, show
from platformdirs import user_cache_path
from store.build import BATCH, postgres_server
from store.runs import runs
from store.texts import Texts
from store.writing import calls

from autorl.replay.schema import metadata
from autorl.replay.store import ReplayStore
from autorl.types import Trajectory

HERE = Path(__file__).resolve().parent
STEPS = (6, 6)
EACH = 3
"""Runs that a thread writes."""
TABLES = [table.name for table in metadata.sorted_tables]
Row = tuple[Any, ...]


def batches(count: int) -> Iterator[list[Trajectory]]:
    made = runs(Texts(), count * BATCH, steps=STEPS)
    for _ in range(count):
        yield list(islice(made, BATCH))


def empty(path: Path) -> sqlite3.Connection:
    """A bare connection to tables as the store has them."""
    ReplayStore(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def added(reader: sqlite3.Connection, seen: dict[str, int]) -> dict[str, list[Row]]:
    """The rows of every table that were not there when it was last asked."""
    found: dict[str, list[Row]] = {}
    for table in TABLES:
        rows = reader.execute(f"SELECT rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid", [seen.get(table, 0)])
        if new := rows.fetchall():
            seen[table] = new[-1][0]
            found[table] = [row[1:] for row in new]
    return found


def insert(connection: sqlite3.Connection, rows: dict[str, list[Row]]) -> None:
    """What the store is measured against."""
    connection.execute("BEGIN IMMEDIATE")
    for table, some in rows.items():
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(some[0]))})", some)
    connection.execute("COMMIT")


def in_batches(folder: Path, count: int) -> dict[str, Any]:
    store, seen = ReplayStore(folder / "store.db"), {}  # type: tuple[ReplayStore, dict[str, int]]
    pairs, sizes = [], []
    with closing(sqlite3.connect(folder / "store.db")) as reader, closing(empty(folder / "bare.db")) as bare:
        for batch in batches(count):
            pair = [_seconds(lambda batch=batch: store.add(batch))]  # type: ignore[misc]
            rows = added(reader, seen)
            pair.append(_seconds(lambda rows=rows: insert(bare, rows)))  # type: ignore[misc]
            pairs.append(pair)
            sizes.append(sum(map(len, rows.values())))
    store.close()
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    away = 0.98 * len(ratios) ** 0.5
    middle = len(ratios) / 2
    rates = [statistics.median(size / pair[side] for size, pair in zip(sizes, pairs, strict=True)) for side in (0, 1)]
    return {
        "insert_ratio": {"value": statistics.median(ratios), "n": len(ratios), "goal": ">= 0.5",
                         "interval": [ratios[max(0, int(middle - away))], ratios[min(len(ratios) - 1,
                                                                                     int(middle + away))]]},
        "added_rows_per_s": {"value": rates[0], "baseline": rates[1], "n": sum(sizes), "unit": "rows/s"},
    }


def step_by_step(folder: Path, count: int = 300) -> dict[str, Any]:
    store = ReplayStore(folder / "steps.db")
    written = list(islice(runs(Texts(), count, steps=STEPS), count))
    ours = [_seconds(call) for run in written for call in calls(store, run)]
    store.close()
    with closing(sqlite3.connect(folder / "steps.db")) as reader, closing(empty(folder / "bare_steps.db")) as bare:
        rows = added(reader, {})
        insert(bare, {table: some for table, some in rows.items() if table not in ("steps", "observations")})
        theirs = [_seconds(lambda table=table, row=row: insert(bare, {table: [row]}))  # type: ignore[misc]
                  for table in ("steps", "observations") for row in rows[table]]
    return {"write_ms": {"value": 1000 * statistics.median(ours), "baseline": 1000 * statistics.median(theirs),
                         "n": len(ours), "unit": "ms"}}


def at_once(database: str, where: str, processes: int, threads: int) -> dict[str, Any]:
    ReplayStore(where).close()
    command = [sys.executable, "-m", "store.writing", where]
    writers = [subprocess.Popen([*command, str(number), str(threads), str(EACH)], cwd=HERE, stdout=subprocess.PIPE,
                                text=True) for number in range(processes)]
    said = [json.loads(writer.communicate()[0] or '{"errors": ["it died"], "seconds": [], "at": [0, 1]}')
            for writer in writers]
    took = max(one["at"][1] for one in said) - min(one["at"][0] for one in said)
    errors = [error for one in said for error in one["errors"]]
    seconds = [each for one in said for each in one["seconds"]]
    store = ReplayStore(where)
    lost = sum(not _whole(store, f"{number}-", run) for number in range(processes)
               for run in runs(Texts(), threads * EACH, seed=number + 1))
    problems = store.check()
    store.close()
    for problem in [*errors, *problems][:5]:
        print(f"  {database}: {problem}", file=sys.stderr)
    n = processes * threads * EACH
    return {
        f"{database}_runs_lost": {"value": lost, "n": n, "goal": "<= 0"},
        f"{database}_write_errors": {"value": len(errors) + len(problems), "n": n, "goal": "<= 0"},
        f"{database}_slowest_write_s": {"value": max(seconds, default=0.0), "n": len(seconds), "unit": "s"},
        f"{database}_writes_per_s": {"value": len(seconds) / took, "n": len(seconds), "unit": "writes/s"},
    }


def _whole(store: ReplayStore, before: str, run: Trajectory) -> bool:
    """Whether a run is in the store as it was written, under its name with `before` before it."""
    expected = run.model_copy(update={"id": before + run.id})
    try:
        return store.get(expected.id) == expected
    except Exception as error:
        print(f"  {error}", file=sys.stderr)
        return False


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    place = user_cache_path("autorl", ensure_exists=True)  # a temporary folder may lie in memory
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        folder = Path(scratch)
        figures = {**in_batches(folder, options.batches), **step_by_step(folder),
                   **at_once("sqlite", str(folder / "at_once.db"), options.processes, options.threads)}
        with postgres_server(folder) as server:
            figures.update(at_once("postgres", server, options.processes, options.threads))
    print(show(figures))
    if not options.no_keep:
        keep("store", figures, shlex.join(["python", "eval/store_writing.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
