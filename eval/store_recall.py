"""How soon recall answers, how exactly, and in how much memory, beside other ways to search the same tasks.

    python eval/store_recall.py [--runs 10000 100000 1000000] [--queries 300] [--cache DIR] [--no-keep]

The stores are filled with made-up runs (eval/store/texts.py says what they are), once: they stay in the cache folder,
some 8 GB a database for a million runs. A fresh process opens each store, recalls for the first time, and then for
every query: other wordings of what is stored (half), new matters, everyday words alone, rare words alone, other
languages. A PostgreSQL server (with pgvector, which autorl turns to from a million tasks on; its settings untouched) is
started for them on the same machine; the memory is that of the process which recalls, without the server's.

`recall_at_5` is the lowest share, over all stores, of the five nearest vectors that recall finds, against the cosine of
every vector; `fused_at_5_*` the share of the first five candidates that stay the same when both searches are exact.

The peers search the same texts or vectors, one after the other, each in a process and an environment of its own:
FTS5 with `ORDER BY rank`, bm25s, usearch, and the retriever of icrl-py. They only search: they do not look at tools,
trust or verdicts, embed no query (but icrl-py, which hashes its words) and read no trajectories (but icrl-py, which has
all of them in memory).
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from kept import keep, show
from overhead import environment
from platformdirs import user_cache_path
from store.build import postgres_server, postgres_store, sqlite_store
from store.exact import TOP, Exact, recall_of_all, recall_of_meaning
from store.runs import Query, queries
from store.texts import Texts

from autorl.replay.store import ReplayStore

HERE = Path(__file__).resolve().parent
GOALS = {"sqlite": {10_000: 3, 100_000: 8, 1_000_000: 25}, "postgres": {10_000: 5, 100_000: 10, 1_000_000: 30}}
"""Milliseconds at the median."""
PEERS = ("fts5", "bm25s", "usearch", "icrl")
ICRL = ["--no-deps", "--ignore-requires-python", "icrl-py==0.1.0"]
"""It asks for Python 3.12 and for gigabytes that its retriever does not use; what that does use is in requirements."""
STARTS = 3
"""Processes that open each store, one after the other."""
EXACT_QUERIES = 100
"""Of the queries, those for which the slow exact search by words is done as well."""


def label(count: int) -> str:
    """`1e5` for 100000."""
    return f"{count:.0e}".replace("e+0", "e")


def milliseconds(times: Sequence[float], part: float) -> dict[str, Any]:
    """The quantile `part` (0..1) of seconds, in ms, with the interval in which the whole population's lies at 95 %."""
    ordered = sorted(1000 * each for each in times)
    spread = 1.96 * (len(ordered) * part * (1 - part)) ** 0.5
    low, middle, high = (ordered[min(max(round(len(ordered) * part + shift), 0), len(ordered) - 1)]
                         for shift in (-spread, 0, spread))
    return {"value": middle, "interval": [low, high], "unit": "ms", "n": len(ordered)}


def recalling(where: str, count: int, asked: int) -> list[dict[str, Any]]:
    """What `STARTS` processes measured, each with all queries."""
    command = [sys.executable, "-m", "store.recalling", where, str(count), str(asked)]
    with tempfile.TemporaryDirectory() as home:
        variables = {**os.environ, "AUTORL_HOME": home}
        done = [subprocess.run(command, cwd=HERE, env=variables, stdout=subprocess.PIPE, text=True, check=True)
                for _ in range(STARTS)]
    return [json.loads(each.stdout) for each in done]


def of_store(database: str, where: str, count: int, asked: list[Query]) -> dict[str, Any]:
    """All figures of one store."""
    measured, name = recalling(where, count, len(asked)), label(count)
    times = [each for one in measured for some in one["times"].values() for each in some]
    goal = GOALS[database].get(count)
    busy = statistics.median(one["busy_s"] for one in measured)
    print(f"  {database}: {1000 * busy:.2f} ms of processor time a recall", file=sys.stderr)
    for kind in measured[0]["times"]:
        middle = milliseconds([each for one in measured for each in one["times"][kind]], 0.5)["value"]
        print(f"  {database}, {kind}: {middle:.2f} ms", file=sys.stderr)
    figures: dict[str, Any] = {
        f"{database}_p50_ms_{name}": {**milliseconds(times, 0.5), "goal": goal and f"<= {goal}"},
        f"{database}_p99_ms_{name}": milliseconds(times, 0.99),
    }
    goals = {"open_s": "<= 0.3", "most_mb": "<= 600"} if count == 1_000_000 and database == "sqlite" else {}
    for field, figure, unit in (("open_s", "open_s", "s"), ("first_s", "first_recall_s", "s"),
                                ("most_mb", "rss_mb", "MB")):
        values = [one[field] for one in measured]
        prefix = "" if database == "sqlite" else "postgres_"
        figures[f"{prefix}{figure}_{name}"] = {
            "value": statistics.median(values), "interval": [min(values), max(values)], "n": len(values),
            "unit": unit, "goal": goals.get(field)}
    store = ReplayStore(where)
    exact = Exact(store)
    figures[f"{database}_recall_at_5_{name}"] = {"value": recall_of_meaning(store, exact, asked), "n": len(asked)}
    if database == "sqlite":
        some = asked[:: max(1, len(asked) // EXACT_QUERIES)]
        figures[f"fused_at_5_{name}"] = {"value": recall_of_all(store, exact, some), "n": len(some)}
    store.close()
    return figures


def of_peers(where: str, count: int, asked: list[Query], patience: float) -> dict[str, Any]:
    """The figures of every peer that gets through in `patience` seconds."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=Path(where).parent) as scratch:
        exact = _write_out(Path(scratch), where, asked)
        for peer in PEERS:
            python = sys.executable if peer == "fts5" else str(_environment(peer))
            variables = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
            try:
                done = subprocess.run([python, str(HERE / "peers" / f"search_{peer}.py"), scratch], env=variables,
                                      stdout=subprocess.PIPE, text=True, check=True, timeout=patience)
            except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                print(f"  {peer} did not get through {count} runs: {error}", file=sys.stderr)
                continue
            measured = json.loads(done.stdout)
            name = label(count)
            figures[f"{peer}_p50_ms_{name}"] = milliseconds(measured["times"], 0.5)
            figures[f"{peer}_p99_ms_{name}"] = milliseconds(measured["times"], 0.99)
            figures[f"{peer}_build_s_{name}"] = {"value": measured["build_s"], "unit": "s"}
            figures[f"{peer}_rss_mb_{name}"] = {"value": measured["most_mb"], "unit": "MB"}
            if peer == "usearch":
                shares = [len(set(found) & best) / TOP for found, best in zip(measured["found"], exact, strict=True)]
                figures[f"usearch_recall_at_5_{name}"] = {"value": statistics.mean(shares), "n": len(shares)}
    return figures


def _write_out(folder: Path, where: str, asked: list[Query]) -> list[set[int]]:
    """Put down what the peers read; returns the numbers of the tasks that are nearest to each query in truth."""
    (folder / "replay.db").symlink_to(where)
    store = ReplayStore(where)
    exact = Exact(store)
    texts = dict(store._database.read(
        lambda connection: connection.exec_driver_sql("SELECT id, text FROM tasks").all()))
    with (folder / "tasks.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(texts[task])}\n" for task in exact.tasks)
    np.save(folder / "vectors.npy", exact.vectors)
    wanted = store.embedder.embed([query.text for query in asked])
    np.save(folder / "queries.npy", wanted)
    (folder / "queries.json").write_text(json.dumps([query.text for query in asked]), encoding="utf-8")
    number = {task: index for index, task in enumerate(exact.tasks)}
    best = [{number[task] for task, _, _ in exact.by_meaning(vector, limit=TOP)} for vector in wanted]
    store.close()
    return best


def _environment(peer: str) -> Path:
    python = environment(peer)
    if peer == "icrl" and subprocess.run([python, "-c", "import importlib.util, sys; "
                                          "sys.exit(not importlib.util.find_spec('icrl'))"], check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *ICRL], check=True)
    return python


def measured(options: argparse.Namespace, stack: ExitStack) -> Iterator[dict[str, Any]]:
    """The figures, store by store."""
    server = stack.enter_context(postgres_server(options.cache)) if "postgres" in options.databases else ""
    for count in options.runs:
        print(f"{count} runs", file=sys.stderr)
        asked = queries(Texts(), count, options.queries)
        for database in options.databases:
            where = (sqlite_store(count, options.cache) if database == "sqlite"
                     else postgres_store(count, options.cache, server))
            yield of_store(database, where, count, asked)
        if options.peers:
            yield of_peers(sqlite_store(count, options.cache), count, asked, options.patience)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--databases", nargs="+", choices=list(GOALS), default=list(GOALS))
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--patience", type=float, default=1200, help="seconds that a peer may take for one store")
    parser.add_argument("--cache", type=Path, default=user_cache_path("autorl") / "stores")
    parser.add_argument("--no-keep", action="store_true", help="only print")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with ExitStack() as stack:
        for some in measured(options, stack):
            print(show(some), flush=True)
            figures.update(some)
    worst = min((figure for name, figure in figures.items() if "_recall_at_5_" in name and "usearch" not in name),
                key=lambda figure: figure["value"])
    figures["recall_at_5"] = {**worst, "goal": ">= 0.95"}
    for database in options.databases:
        for count in options.runs:
            baseline = figures.get(f"fts5_p50_ms_{label(count)}")
            if baseline:
                figures[f"{database}_p50_ms_{label(count)}"]["baseline"] = baseline["value"]
    print(show({"recall_at_5": figures["recall_at_5"]}))
    if not options.no_keep:
        keep("store", figures, shlex.join(["python", "eval/store_recall.py", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
