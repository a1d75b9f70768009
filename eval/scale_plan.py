"""What a number of episodes a day takes, and a number of runs in the store: the tables of docs/scale.md.

    python eval/scale_plan.py [--write]

What was measured is read from eval/results/; everything else stands here as an assumption, to be replaced by your own.
How long an episode takes, and how many must be under way for a server to be used well, is simulated: so many runs in a
closed circle of one server (capacity_server.py: a latency, and a capacity that all share) and their tools. --write puts
the tables into the page.
"""

import argparse
import heapq
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from capacity_server import Engine
from kept import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "scale.md"

# Of an episode.
STEPS, TOKENS = 10, 120
"""Steps, and tokens generated at each."""
TOOL = 0.5
"""Seconds that a tool takes."""
WRITES = 2 * STEPS + 4
"""Transactions of the store: each step twice, and the beginning, the end, the verdict and the vector of a run."""
MADE = 40.0
"""KB of files that it leaves behind."""
# Of a model server with one GPU.
LATENCY, SPEED, CAPACITY = 0.2, 100.0, 20_000.0
"""Seconds until the first token; tokens a second of one request alone, and of all together."""
USED = 0.8
"""The share of a server, a processor or a database that is planned for."""
# Of the store.
RUNS_A_TASK = 20
VECTOR = 2.0
"""KB of a task's vector with its place in the index: 256 numbers, and again at half precision with its neighbours."""
# Dollars.
GPU_HOUR, CORE_HOUR, DISK_GB_MONTH, OBJECT_GB_MONTH = 2.5, 0.04, 0.12, 0.023


@dataclass(frozen=True)
class Measured:
    """From eval/results/: milliseconds of processor time a step, KB of memory a run under way, KB of a run in the
    store, writes a second that SQLite and PostgreSQL took, and seconds to render a deck and check it, which keeps one
    processor busy."""

    step_ms: float
    run_kb: float
    stored_kb: float
    sqlite: float
    postgres: float
    verify: float

    @classmethod
    def read(cls, folder: Path = RESULTS) -> "Measured":
        """Raises KeyError for a figure that is not kept."""
        def figure(name: str, file: str = "scale") -> float:
            path = folder / f"{file}.json"
            figures = json.loads(path.read_text("utf-8"))["figures"] if path.exists() else {}
            return float(figures[name]["value"])

        return cls(figure("step_cpu_ms"), figure("kb_per_idle_run"), figure("store_kb_per_run"),
                   figure("sqlite_writes_per_s", "store"), figure("postgres_writes_per_s", "store"),
                   figure("rendered_check_s", "slides"))


@cache
def simulated(runs: int, seconds: float = 120.0) -> tuple[float, float]:
    """So many runs on one server, after a beginning of a quarter: completions a second, and seconds of a step."""
    engine, chance, numbers = Engine(LATENCY, SPEED, CAPACITY), random.Random(0), count()
    tools = [(chance.uniform(0, 2 * TOOL), next(numbers)) for _ in range(runs)]
    heapq.heapify(tools)
    began: dict[int, float] = {}
    done = 0
    now = 0.0
    while now < seconds:
        now = min(engine.next(), tools[0][0] if tools else math.inf)
        while tools and tools[0][0] <= now:
            _, run = heapq.heappop(tools)
            engine.ask(run, TOKENS * chance.uniform(0.5, 1.5), now)
            began[run] = now
        for run in engine.done(now):
            done += now > seconds / 4
            heapq.heappush(tools, (now + chance.expovariate(1 / TOOL), run))
    rate = done / (0.75 * seconds)
    return rate, runs / rate


def at_once() -> int:
    """Runs under way, in powers of two, that give a server as much as is planned for."""
    return next(runs for runs in (2**n for n in range(20)) if simulated(runs)[0] >= USED * CAPACITY / TOKENS)


def fleet(measured: Measured, episodes: Sequence[int] = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)) -> str:
    """What so many episodes a day take, evenly spread over it."""
    rate, step = simulated(at_once())

    def row(each: int) -> list[str]:
        steps = each * STEPS / 86_400
        servers = math.ceil(steps / rate)
        running = steps * step  # Little's law
        cores = steps * measured.step_ms / 1000 / USED
        checking = each / 86_400 * measured.verify / USED
        writes = each * WRITES / 86_400
        store = "SQLite" if writes < 0.1 * measured.sqlite else "PostgreSQL" if writes < USED * measured.postgres else \
            f"PostgreSQL, {math.ceil(writes / (USED * measured.postgres))} times as fast as measured"
        cost = 24 * (servers * GPU_HOUR + (math.ceil(cores) + math.ceil(checking)) * CORE_HOUR)
        return [whole(each), short(steps), short(steps * TOKENS), str(servers), whole(running), short(cores),
                short(checking), f"{short(running * measured.run_kb / 1024)} MB", f"{short(writes)}, {store}",
                f"{each * measured.stored_kb / 2**20:,.1f} + {each * MADE / 2**20:,.1f}", f"{cost:,.0f}"]

    return table(["episodes a day", "steps/s", "tokens/s", "model servers", "runs under way", "processors: autorl",
                  "processors: verifier", "memory of the runs", "writes/s", "GB a day: store + files", "$ a day"],
                 [row(each) for each in episodes])


def archive(measured: Measured, runs: Sequence[int] = (1_000_000, 10_000_000, 100_000_000)) -> str:
    """What so many runs in the store take."""
    def row(each: int) -> list[str]:
        rows, files = each * measured.stored_kb / 2**20, each * MADE / 2**20
        tasks = each / RUNS_A_TASK
        vectors = tasks * VECTOR / 2**20
        return [whole(each), f"{rows:,.0f} GB", whole(tasks), f"{vectors:,.1f} GB", f"{files:,.0f} GB",
                f"{(rows + vectors) * DISK_GB_MONTH + files * OBJECT_GB_MONTH:,.0f}"]

    return table(["runs", "rows", "tasks", "vectors and their index", "files", "$ a month"],
                 [row(each) for each in runs])


def page(text: str, measured: Measured) -> str:
    """The page with the tables in their places."""
    for name, made in (("fleet", fleet), ("archive", archive)):
        text = filled(text, name, made, measured)
    return text


def filled(text: str, name: str, made: Callable[[Measured], str], measured: Measured) -> str:
    before, begin, rest = text.partition(f"<!-- table: {name} -->\n")
    _, end, after = rest.partition(f"<!-- end: {name} -->")
    assert end, f"{PAGE} has no place for the table '{name}'"
    return f"{before}{begin}{made(measured)}\n{end}{after}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---:"] * len(head), *rows))


def whole(value: float) -> str:
    return f"{math.ceil(value):,}"


def short(value: float) -> str:
    """Two significant digits, or whole."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    args = parser.parse_args()
    try:
        measured = Measured.read()
    except KeyError as error:
        raise SystemExit(f"{error} is not kept in {RESULTS}; measure it: python eval/scale_mock.py") from None
    runs = at_once()
    rate, step = simulated(runs)
    print(f"{runs} runs on one server: {rate:.0f} completions a second, {step:.2f} s a step with its tool, "
          f"{STEPS * step:.0f} s an episode\n")
    print(fleet(measured), archive(measured), sep="\n\n")
    if args.write:
        PAGE.write_text(page(PAGE.read_text("utf-8"), measured), "utf-8")


if __name__ == "__main__":
    main()
