"""What a framework adds to each model call: autorl beside its peers, over the bare `openai` SDK.

    python eval/overhead.py [--rounds 20] [--runs 4] [--peers smolagents langgraph dspy] [--no-keep]

Every client does the same run of ten completions (nine calls of a tool and the end; DSPy one call less, because it
asks once more for its answer) against one server that answers at once (mock_server.py). After each run the bare SDK
of the same environment sends the same ten bodies again. The overhead of a step is the difference between the two,
without the server's own time, divided by ten. All clients stay up for the whole measurement and take turns in an
order drawn anew each round, so that whatever else the machine does falls on all of them alike.

autorl runs with everything on: a store on disk that recalls two exemplars and keeps every step, and a verifier.
LangGraph keeps its steps in SQLite too; smolagents and DSPy keep nothing.

Peers get environments of their own in the user's cache folder, made on the first run and kept.
"""

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kept import keep, show
from mock_server import COMPLETIONS
from platformdirs import user_cache_path

HERE = Path(__file__).resolve().parent
CACHE = user_cache_path("autorl") / "peers"
PEERS = ("smolagents", "langgraph", "dspy")
WARM_UP = 3
"""Runs before the measurement: imports, caches and connections are not what a step costs."""


@dataclass
class Client:
    """One framework under measurement; `rounds` holds what each round measured."""

    name: str
    process: "subprocess.Popen[str]"
    log: Path
    rounds: list[dict[str, list[float]]] = field(default_factory=list)

    def measure(self, runs: int) -> dict[str, list[float]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(runs, file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"{self.name} failed:\n{self.log.read_text(errors='replace')[-3000:]}")
        return json.loads(line)

    def per_step(self, what: str, rounds: Sequence[int] | None = None) -> float:
        """Milliseconds a step at the median: of `runs`, `bare`, or the `overhead` of one over the other."""
        values: list[float] = []
        for index in range(len(self.rounds)) if rounds is None else rounds:
            one = self.rounds[index]
            if what == "overhead":
                bare = statistics.median(one["bare"])
                values += [run - bare for run in one["runs"]]
            else:
                values += one[what]
        return 1000 * statistics.median(values) / COMPLETIONS


def environment(peer: str) -> Path:
    """The Python of a peer's environment, which is made if it is not there as its requirements want it."""
    folder, wanted = CACHE / peer, HERE / "peers" / f"requirements-{peer}.txt"
    python, marker = folder / "bin" / "python", folder / "requirements.txt"
    if not marker.exists() or marker.read_text() != wanted.read_text():
        print(f"Installing {peer} into {folder} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(wanted)], check=True)
        marker.write_text(wanted.read_text())
    return python


def surroundings(scratch: Path) -> dict[str, str]:
    """The environment variables of a client: no keys, proxies or settings of whoever measures."""
    dropped = ("OPENAI_", "AUTORL_", "LANGSMITH_", "LANGCHAIN_", "DSPY_", "LITELLM_", "HF_", "HTTP_", "HTTPS_", "ALL_")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(dropped)}
    return {**kept, "AUTORL_HOME": str(scratch)}


@contextmanager
def served() -> Iterator[str]:
    """The URL of the mock server, in a process of its own: its interpreter must not slow the client's."""
    command = [sys.executable, str(HERE / "mock_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def started(name: str, python: Path, url: str, scratch: Path) -> Iterator[Client]:
    """A client that waits to be told how many runs to do."""
    peer, _, words = name.partition(" ")
    folder = scratch / name.replace(" ", "-")
    folder.mkdir()
    variables = surroundings(folder)
    if peer != "autorl":
        variables.pop("PYTHONPATH", None)
    log = folder / "stderr.txt"
    with log.open("w") as errors:
        process = subprocess.Popen([str(python), str(HERE / "peers" / f"{peer}_run.py"), url, *words.split()],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                                   env=variables, cwd=folder)
    try:
        yield Client(name, process, log)
    finally:
        process.kill()
        process.communicate()


def measured(peers: Sequence[str], rounds: int, runs: int) -> dict[str, Client]:
    """All clients with what was measured of them."""
    pythons = {"autorl": Path(sys.executable), "autorl off": Path(sys.executable),
               **{peer: environment(peer) for peer in peers}}
    chance = random.Random(0)
    CACHE.mkdir(parents=True, exist_ok=True)
    # Beside the environments: a temporary folder may lie in memory, and the stores are to be on a disk.
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=CACHE, prefix="run-")))
        url = stack.enter_context(served())
        clients = [stack.enter_context(started(name, python, url, scratch)) for name, python in pythons.items()]
        for client in clients:
            client.measure(WARM_UP)
        for done in range(rounds):
            chance.shuffle(clients)
            for client in clients:
                client.rounds.append(client.measure(runs))
            print(f"\rround {done + 1} of {rounds}", end="", file=sys.stderr)
        print(file=sys.stderr)
    return {name: next(client for client in clients if client.name == name) for name in pythons}


def interval(rounds: int, figure: Callable[[Sequence[int]], float], resamples: int = 2000) -> list[float]:
    """The 95 % bootstrap interval of a figure, by drawing whole rounds: what ran side by side stays together."""
    chance = random.Random(0)
    drawn = sorted(figure(chance.choices(range(rounds), k=rounds)) for _ in range(resamples))
    return [drawn[int(0.025 * resamples)], drawn[int(0.975 * resamples)]]


def figures(clients: dict[str, Client]) -> dict[str, dict[str, Any]]:
    """What is kept: autorl's overhead, with and without its store, and as a part of each peer's."""
    ours = clients["autorl"]
    rounds = len(ours.rounds)
    n = sum(len(one["runs"]) for one in ours.rounds)

    def figure(value: Callable[[Sequence[int]], float], **fields: Any) -> dict[str, Any]:
        return {"value": value(range(rounds)), "interval": interval(rounds, value), "n": n, **fields}

    kept = {}
    for client in clients.values():
        suffix = "" if client is ours else "_store_off" if client.name == "autorl off" else f"_{client.name}"
        kept[f"overhead_ms_p50{suffix}"] = figure(
            lambda drawn, client=client: client.per_step("overhead", drawn), unit="ms",
            baseline=client.per_step("bare"), goal="<= 1.0" if client is ours else None)
        if client is not ours and client.name != "autorl off":
            kept[f"overhead_vs_{client.name}"] = figure(
                lambda drawn, client=client: ours.per_step("overhead", drawn) / client.per_step("overhead", drawn),
                unit="ratio", goal="<= 1.0")
    return kept


def table(clients: dict[str, Client]) -> str:
    lines = [f"{'ms a step, median':20} {'run':>8} {'bare':>8} {'overhead':>8} {'CPU':>8}   bytes sent, first to last"]
    for client in clients.values():
        cells = " ".join(f"{client.per_step(what):8.2f}" for what in ("runs", "bare", "overhead", "cpu"))
        first, last = client.rounds[-1]["bytes"]
        lines.append(f"{client.name:20} {cells}   {first:.0f} to {last:.0f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="turns that each client takes (default 20)")
    parser.add_argument("--runs", type=int, default=4, help="runs of a turn (default 4)")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="whom to measure beside autorl")
    parser.add_argument("--no-keep", action="store_true", help="print only, and leave eval/results as it is")
    given = parser.parse_args()
    clients = measured(given.peers, given.rounds, given.runs)
    kept = figures(clients)
    print(table(clients), show(kept), sep="\n\n")
    if not given.no_keep:
        keep("engine", kept, f"python eval/overhead.py {shlex.join(sys.argv[1:])}".strip())


if __name__ == "__main__":
    main()
