"""Kills what writes to the replay store, and holds the store against what it had acknowledged.

    python eval/store_crash.py [--kills 200] [--seed 0] [--no-keep]

Three processes of two threads write to one store in every way it has: runs step by step, imports, verdicts, changes of
trust, caps, policies, vectors, files. Each notes what it means to do before each call, and that the call returned
after it. At random moments one of them, or all, are killed, and new ones take their places and take up the runs that
were left. Six of ten kills are over SQLite, three over PostgreSQL; the last tenth kills a process of the PostgreSQL
server itself, which then recovers, and in between the whole server is stopped as a crash would and started again.

Then every acknowledged call is looked for, by what is known of the run from its name alone, and what the store keeps
for recall is worked out once more from its other tables. Kept in eval/results/store.json.
"""

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for tests/postgres.py

from crash import Findings, Siege, kill_server_process
from kept import keep, show

from tests.postgres import Server

ROUND = 40
"""Kills between two audits."""


def besiege(siege: Siege, kills: int, strike: Callable[[], None] | None = None) -> Findings:
    """What is wrong after `kills` kills, with an audit after every `ROUND` of them."""
    found = Findings()
    start, goal = time.monotonic(), siege.kills + kills
    while siege.kills < goal:
        siege.go_on(min(ROUND, goal - siege.kills) - 1, strike)
        found = siege.audit()
        print(f"  {siege.kills} kills in {time.monotonic() - start:.0f} s, {found.acknowledged:,} calls acknowledged "
              f"({len(found.refused)} refused), {found.runs:,} runs ({found.resumed} taken up again)", file=sys.stderr)
        for problem in [*found.lost, *found.torn, *found.inconsistent][:20]:
            print(f"    {problem}", file=sys.stderr)
        if not found.sound:
            break
    for refused in found.refused[:10]:
        print(f"    refused: {refused}", file=sys.stderr)
    return found


def figures(kills: int, ended: int, restarts: int, found: Findings) -> dict[str, dict[str, Any]]:
    return {
        "sigkills": {"value": kills, "unit": "moments at which writers or a server process were killed", "n": ended,
                     "goal": ">= 200"},
        "server_restarts": {"value": restarts, "unit": "crashes of the whole PostgreSQL server under load"},
        "lost": {"value": len(found.lost), "unit": "acknowledged calls", "n": found.acknowledged, "goal": "<= 0"},
        "torn": {"value": len(found.torn), "unit": "runs, imports or rows", "n": found.runs, "goal": "<= 0"},
        "inconsistent": {"value": len(found.inconsistent), "unit": "rows that others contradict", "n": found.runs,
                         "goal": "<= 0"},
        "refused": {"value": len(found.refused), "unit": "calls that raised", "n": found.acknowledged},
        "resumed": {"value": found.resumed, "unit": "runs that went on after their writer was killed"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all, at least 20 (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the load (default 0)")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    start = time.monotonic()
    server_kills, postgres_kills = given.kills // 10, given.kills * 3 // 10
    with tempfile.TemporaryDirectory(prefix="autorl-siege-") as scratch:
        folder = Path(scratch)
        os.environ["AUTORL_HOME"] = scratch
        print("SQLite", file=sys.stderr)
        first = Siege(str(folder / "sqlite" / "replay.db"), folder / "sqlite", seed=given.seed)
        in_sqlite = besiege(first, given.kills - server_kills - postgres_kills)
        first.stop()
        print("PostgreSQL", file=sys.stderr)
        server = Server()
        try:
            second = Siege(server.url, folder / "postgres", seed=given.seed + 1)
            besiege(second, postgres_kills)
            restarts = 0

            def strike() -> None:
                nonlocal restarts
                if second.kills % 2 == 0:
                    server.crash()
                    server.start()
                    restarts += 1
                    second.go_on(0)
                kill_server_process(server.ask, second.dice)

            in_postgres = besiege(second, server_kills, strike)
            second.stop()
        finally:
            server.stop()
    kept = figures(first.kills + second.kills, first.ended + second.ended, restarts, in_sqlite.plus(in_postgres))
    print(show(kept), f"in {time.monotonic() - start:.0f} s", sep="\n")
    if not given.no_keep:
        keep("store", kept, f"python eval/store_crash.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
