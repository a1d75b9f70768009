"""Kills half of a Ray cluster and stops its database in the middle of 500 episodes, and counts what came of them.

    python eval/scale_ray.py [--episodes 500] [--at-once 16] [--no-keep]

Two Ray nodes on this machine, a real PostgreSQL, and `autorl collect --on ray` over tasks of the warehouse; the model
is a server that knows the shortest way and takes 0.2 s for each step. First without faults. Then the same again: after
a third of the episodes, every process of the second node is killed (SIGKILL); after half of them, PostgreSQL is stopped
as a crash would and started two seconds later.

episodes_exactly_once  episodes with exactly one run that came to an end, was finished and was judged
lost                   episodes without such a run
doubled                runs that came to an end beyond the first of their episode
fault_time_ratio       seconds of the collection with faults over those without

All of it is read from the database. Kept in eval/results/scale.json.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for tests/

from kept import keep, show

from tests.postgres import Server
from tests.rollout.cluster import Nodes
from tests.rollout.planned import TOOLS, answers, some_tasks
from tests.servers import serving

LATENCY = 0.2
"""Seconds that the model takes for a step."""
DOWN = 2.0
"""Seconds that PostgreSQL stays stopped."""

Strike = Callable[[], None]


def serve() -> None:
    """The model server; serves until its standard input closes."""
    with serving(answers(LATENCY)) as server:
        print(server.url, flush=True)
        sys.stdin.read()


@contextmanager
def model() -> Iterator[str]:
    """The URL of that server, in a process of its own."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield child.stdout.readline().strip()
        child.stdin.close()


class Collection:
    """One collection: `autorl collect --on ray` into a store of its own. count: episodes"""

    def __init__(self, server: Server, schema: str, count: int) -> None:
        self.server, self.schema, self.count = server, schema, count

    def run(self, command: Sequence[str], strikes: Sequence[tuple[int, Strike]]) -> float:
        """Seconds that the command takes. strikes: what happens once so many episodes are done"""
        started = time.perf_counter()
        with subprocess.Popen([*command, "--store", self.server.schema(self.schema)], stdout=subprocess.PIPE,
                              text=True) as child:
            for when, strike in strikes:
                while child.poll() is None and self.passed() < when:
                    time.sleep(0.2)
                print(f"  after {self.passed()} of {self.count}: {strike.__name__}", file=sys.stderr)
                strike()
            told = child.stdout.read() if child.stdout else ""
        seconds = time.perf_counter() - started
        print(f"  {told.strip()} in {seconds:.1f} s", file=sys.stderr)
        if child.returncode:
            raise SystemExit(f"the command ended with {child.returncode}")
        return seconds

    def passed(self) -> int:
        (there,) = self.server.ask(f"SELECT to_regclass('{self.schema}.runs') IS NOT NULL")[0]
        return int(self.server.ask(f"SELECT count(*) FROM {self.schema}.runs WHERE passed")[0][0]) if there else 0

    def audit(self) -> tuple[int, int, int, dict[str, int]]:
        """Episodes done exactly once, episodes lost, runs too many, and how many tries were broken off for what."""
        rows = self.server.ask(f"SELECT task, status, passed IS NOT NULL, reason FROM {self.schema}.runs")
        undone = ("running", "failed", "cancelled")
        broken = Counter(f"{status}: {why}" for _, status, _, why in rows if status in undone)
        ended = Counter(task for task, status, *_ in rows if status not in undone)
        good = Counter(task for task, status, judged, _ in rows if status == "finished" and judged)
        once = sum(ended[task] == good[task] == 1 for task in good)
        return once, self.count - len(good), ended.total() - len(ended), dict(broken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=500, help="of each of the two collections (default 500)")
    parser.add_argument("--at-once", type=int, default=16, help="episodes in flight (default 16)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    with tempfile.TemporaryDirectory(prefix="autorl-ray-") as scratch, model() as base_url:
        os.environ["AUTORL_HOME"] = scratch
        file = Path(scratch) / "tasks.jsonl"
        file.write_text("".join(f"{task.model_dump_json()}\n" for task in some_tasks(given.episodes)), "utf-8")
        nodes, server = Nodes(), Server()

        def a_node_is_killed() -> None:
            nodes.kill_second()

        def postgresql_is_stopped() -> None:
            server.crash()
            time.sleep(DOWN)
            server.start()

        command = [sys.executable, "-m", "autorl", "collect", str(file), "--on", "ray", "--address", nodes.address,
                   "--tools", TOOLS, "--model", "openai:planned", "--base-url", base_url, "-k", "0", "--n", "1",
                   "--concurrency", str(given.at_once), "--json"]
        calm, rough = (Collection(server, schema, given.episodes) for schema in ("calm", "rough"))
        try:
            print("without faults", file=sys.stderr)
            undisturbed = calm.run(command, ())
            print("with faults", file=sys.stderr)
            disturbed = rough.run(command, [(given.episodes // 3, a_node_is_killed),
                                            (given.episodes // 2, postgresql_is_stopped)])
            once, lost, doubled, broken = rough.audit()
            print(f"once, lost, doubled, tries broken off: {calm.audit()} without faults, "
                  f"{(once, lost, doubled, broken)} with", file=sys.stderr)
        finally:
            nodes.stop()
            server.stop()
    n = given.episodes
    figures = {
        "episodes_exactly_once": {"value": once, "unit": "episodes", "n": n, "goal": f">= {n}"},
        "lost": {"value": lost, "unit": "episodes", "n": n, "goal": "<= 0"},
        "doubled": {"value": doubled, "unit": "runs", "n": n, "goal": "<= 0"},
        "fault_time_ratio": {"value": disturbed / undisturbed, "unit": "ratio", "n": 1, "baseline": undisturbed},
    }
    print(show(figures))
    if not given.no_keep:
        keep("scale", figures, f"python eval/scale_ray.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
