"""A thousand runs at once against one server: how much of its speed arrives, and what a waiting run holds in memory.

    python eval/scale_mock.py [--runs 1000] [--rounds 2] [--only saturation unbounded idle] [--no-keep]

The server is a stand-in (capacity_server.py): 0.2 s until a request's first token, then 100 tokens a second alone, and
20,000 tokens a second for all together; completions of 120 tokens. autorl runs with everything on: a store on disk
that recalls two exemplars and keeps every step, a tool that is called, a verifier. A run is ten completions.

saturation_mock_1000    tokens generated a second, from the start of the first run to the end of the last, as a part of
                        what a bare load generator gets that sends the very same bodies, as many at once, each run's
                        one after the other, through the same SDK (`openai`, on httpx2), but
                        in one thread without waiting for its turn; two thousand runs are done
saturation_mock_1000_unbounded  the same where the server has no capacity, only the latency and the speed of one: both
                        sides are bound by their own processor time then, and the figure tells how these compare
step_cpu_ms             processor time of autorl a step: one process does at most 1000 / step_cpu_ms steps a second,
                        whatever the server
store_kb_per_run        what such a run takes in the store
kb_per_idle_run         memory of a process with so many runs that wait for the server, against the same process with
                        few, for each run: what the system counts as the process's own (PSS)

Server, agents and load generator are a process each and share this machine's processors; agents and generator take
turns.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kept import keep, show
from mock_server import ANSWER
from peers.protocol import task
from platformdirs import user_cache_path

from autorl import Agent, ReplayStore, Trajectory, tool
from autorl.models.concurrency import MOST
from autorl.models.openai import OpenAIServer
from autorl.models.pool import Pool

HERE = Path(__file__).resolve().parent
STORED = 50
"""Successes that recall has to choose from at the beginning."""
WAVES = 2
"""Runs that are done, for each that is under way: the beginning and the end are not what a long collection is like."""
FEW = 16
"""Runs that wait while the memory is looked at first."""
CAPACITY = 20_000
LONG = 10**6
"""Seconds that the server takes where runs are to wait."""


class Noted(OpenAIServer):
    """Notes the bodies that it sends, by run, so that they can be sent again without autorl.

    As texts: millions of small values would make Python look through them for garbage all the time.
    """

    bodies: dict[str, list[str]]

    def _body(self, request: Any) -> dict[str, Any]:
        body = super()._body(request)
        self.bodies.setdefault(request.run, []).append(json.dumps(body))
        return body


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    a: the first number
    b: the second number
    """
    return a + b


def right(trajectory: Trajectory) -> bool:
    return trajectory.answer == ANSWER


def agents(url: str, folder: Path, runs: int) -> dict[str, Any]:
    """Solve as many tasks at once, with everything on; the bodies that were sent are left in `folder`."""
    server = Noted("mock", base_url=url, attempts=1)
    server.bodies = {}
    store = ReplayStore(folder / "replay.db")
    agent = Agent(model=Pool([server]), tools=[add], store=store, workspaces=folder / "runs")
    seed(agent, url)
    server.bodies.clear()
    asked = [task(STORED + number) for number in range(WAVES * runs)]
    done, told = measured(lambda: list(map(outcome, agent.solve_many(asked, concurrency=runs, verify=right))))
    steps, tokens = map(sum, zip(*done, strict=True))
    (folder / "bodies.json").write_text(json.dumps(list(server.bodies.values())))
    _, size = store.compact()
    return {**told, "steps": steps, "store_kb": size / 1024 / (len(done) + STORED + 1), "tokens": tokens}


def outcome(run: Trajectory) -> tuple[int, int]:
    """Steps and tokens of a run that passed."""
    assert run.verified, f"{run.status}: {run.reason}"
    return len(run.steps), run.usage.completion_tokens


def seed(agent: Agent, url: str) -> None:
    """Some successes to recall, and everything loaded that is loaded once."""
    list(agent.solve_many(map(task, range(STORED)), concurrency=STORED, verify=right))
    assert len(agent.solve(task(STORED), verify=right).recalled) == agent.recall.k


def bare(url: str, folder: Path, runs: int) -> dict[str, Any]:
    """Send the bodies of each run one after the other, as many runs at once.

    In one thread, for a thousand of them would hold each other up; and with a client for each run, for the pool of a
    client looks at all of its connections at every request.
    """
    import httpx2
    import openai
    from openai.types.chat import ChatCompletion

    bodies = [[json.loads(body) for body in run] for run in json.loads((folder / "bodies.json").read_text())]
    context = httpx2.create_ssl_context()
    clients = [openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=300,
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False, verify=context)) for _ in range(runs)]

    async def work(client: openai.AsyncOpenAI, rest: Iterator[list[dict[str, Any]]]) -> int:
        tokens = 0
        for run in rest:
            for body in run:
                reply = await client.post("/chat/completions", body=body, cast_to=ChatCompletion)
                tokens += reply.usage.completion_tokens
        return tokens

    async def load(all_runs: list[list[dict[str, Any]]]) -> int:
        rest = iter(all_runs)
        return sum(await asyncio.gather(*(work(client, rest) for client in clients)))

    with asyncio.Runner() as loop:
        loop.run(load([run[:1] for run in bodies[:runs]]))
        tokens, told = measured(lambda: loop.run(load(bodies)))
    return {**told, "steps": sum(map(len, bodies)), "tokens": tokens}


def idle(url: str, folder: Path, runs: int) -> dict[str, Any]:
    """Have runs wait for a server that does not answer; tells the memory with few of them and with all."""
    import httpx2

    server = OpenAIServer("mock", base_url=url, attempts=1)
    pool = Pool([server])
    pool.members[0].gate.limit = MOST
    agent = Agent(model=pool, tools=[add], store=ReplayStore(folder / "replay.db"), workspaces=folder / "runs")

    def run(number: int) -> None:
        threading.Thread(target=agent.solve, args=(task(number),), daemon=True).start()

    def waiting(many: int) -> float:
        while httpx2.get(f"{url}/stats", trust_env=False).json()["asked"] < many:
            time.sleep(0.5)
        return memory()

    for number in range(FEW):
        run(number)
    few = waiting(FEW)
    for number in range(FEW, FEW + runs):
        run(number)
    return {"few_kb": few, "many_kb": waiting(FEW + runs)}


def memory() -> float:
    """The memory that is this process's own, in KB; what it shares counts by its share."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))


def measured(work: Any) -> tuple[Any, dict[str, float]]:
    began, cpu = time.perf_counter(), cpu_seconds()
    done = work()
    return done, {"seconds": time.perf_counter() - began, "cpu": cpu_seconds() - cpu}


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def served(**options: float) -> Iterator[str]:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with subprocess.Popen([sys.executable, str(HERE / "capacity_server.py"), *words], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def client(role: str, url: str, folder: Path, runs: int) -> dict[str, Any]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "AUTORL_"))}
    done = subprocess.run([sys.executable, str(Path(__file__).resolve()), "--as", role, url, str(folder), str(runs)],
                          stdout=subprocess.PIPE, text=True, check=True, env={**variables, "AUTORL_HOME": str(folder)})
    return dict(json.loads(done.stdout))


ROLES = {"agents": agents, "bare": bare, "idle": idle}


def saturation(runs: int, rounds: int) -> dict[str, Any]:
    name, goal = f"saturation_mock_{runs}", ">= 0.95"
    ours, theirs = taking_turns(runs, rounds, capacity=CAPACITY)
    cpu = [1000 * told["cpu"] / told["steps"] for told in ours]
    bare_cpu = [1000 * told["cpu"] / told["steps"] for told in theirs]
    return {name: ratio(ours, theirs, runs) | {"goal": goal},
            "store_kb_per_run": {"value": ours[-1]["store_kb"], "unit": "KB", "n": WAVES * runs},
            "step_cpu_ms": {"value": statistics.mean(cpu), "interval": [min(cpu), max(cpu)], "unit": "ms",
                            "n": sum(told["steps"] for told in ours), "baseline": statistics.mean(bare_cpu)}}


def unbounded(runs: int, rounds: int) -> dict[str, Any]:
    return {f"saturation_mock_{runs}_unbounded": ratio(*taking_turns(runs, rounds, capacity=1e9), runs)}


def waiting(runs: int, rounds: int) -> dict[str, Any]:
    with served(latency=LONG) as url, tempfile.TemporaryDirectory(dir=cache()) as folder:
        told = client("idle", url, Path(folder), runs)
    print(f"{told['few_kb'] / 1024:.0f} MB with {FEW} runs, {told['many_kb'] / 1024:.0f} MB with {runs} more",
          flush=True)
    return {"kb_per_idle_run": {"value": (told["many_kb"] - told["few_kb"]) / runs, "unit": "KB", "n": runs,
                                "goal": "<= 300"}}


def taking_turns(runs: int, rounds: int, **server: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the agents and the load generator were measured to do, by round."""
    ours, theirs = [], []
    for number in range(rounds):
        with served(**server) as url, tempfile.TemporaryDirectory(dir=cache()) as folder:
            for role, kept in (("agents", ours), ("bare", theirs)):
                told = client(role, url, Path(folder), runs)
                kept.append(told)
                print(f"round {number + 1}: {role:6} {speed(told):8,.0f} tokens/s, {told['steps']:,} completions in "
                      f"{told['seconds']:.1f} s, {1000 * told['cpu'] / told['steps']:.2f} ms of processor time each",
                      flush=True)
    return ours, theirs


def ratio(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    ratios = [speed(one) / speed(other) for one, other in zip(ours, theirs, strict=True)]
    return {"value": statistics.mean(ratios), "unit": "ratio", "interval": [min(ratios), max(ratios)],
            "n": WAVES * runs * len(ratios), "baseline": statistics.mean(map(speed, theirs))}


def speed(told: dict[str, Any]) -> float:
    """Tokens a second."""
    return float(told["tokens"] / told["seconds"])


def cache() -> Path:
    """A temporary folder may lie in memory, and the stores are to be on a disk."""
    folder = user_cache_path("autorl") / "scale"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


MEASURES = {"saturation": saturation, "unbounded": unbounded, "idle": waiting}


def main() -> None:
    if sys.argv[1:2] == ["--as"]:
        role, url, folder, runs = sys.argv[2:]
        print(json.dumps(ROLES[role](url, Path(folder), int(runs))), flush=True)
        os._exit(0)  # there may be threads that wait for ever
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="at once (default 1000, which is what is kept)")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each (default 2)")
    parser.add_argument("--only", nargs="*", choices=MEASURES, default=MEASURES, help="measure these alone")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    args = parser.parse_args()
    for name in args.only:
        figures = MEASURES[name](args.runs, args.rounds)
        print(show(figures), flush=True)
        if not args.no_keep:
            keep("scale", figures, f"python eval/scale_mock.py --only {name} --rounds {args.rounds}")


if __name__ == "__main__":
    main()
