"""What every peer script does the same way: runs when told to, each beside the bare SDK with the same requests.

A peer is started as `python PEER_run.py URL [WORDS]` in an empty folder. It reads a number of runs from a line of its
standard input, does them, and writes one line of JSON: {"runs", "bare", "cpu", "bytes"}. `runs` and `bare` are, for
each run, the seconds spent in the client; `cpu` is the processor time of `runs` over that of `bare`, which other
programs on the machine hardly touch; `bytes` are the sizes of the first and the last request of a run.

`bare` is the `openai` SDK of the same environment sending again the bodies that the run before it sent: the same
number of requests, growing in the same way. The server's own time is taken off both.
"""

import gc
import json
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from itertools import count
from typing import Any

# As in mock_server.py, which a peer's environment does not see.
COMPLETIONS = 10
ANSWER = "The total is 63."
KEY = "none"

_PLACES = ("bakery", "museum", "harbour", "library", "garden", "theatre", "airport", "school", "stadium", "clinic")
_THINGS = ("lamps", "tickets", "crates", "novels", "roses", "costumes", "suitcases", "pencils", "jerseys", "bandages",
           "violins", "kettles")


def task(number: int) -> str:
    """A task unlike the others, so that a client which remembers has to choose among them."""
    place, thing = _PLACES[number % len(_PLACES)], _THINGS[number % len(_THINGS)]
    return f"Add up the nine pairs of {thing} that the {place} ordered in week {number}, and tell the total."


def serve(run: Callable[[str], Any], *, first: int = 0) -> None:
    """Do runs of `run(task)`, which gives the answer, until there is nothing more to read.

    first: number of the first task
    """
    import openai

    url = sys.argv[1]
    replies, sys.stdout = sys.stdout, sys.stderr  # what a framework prints must not mix with the figures
    client = openai.OpenAI(base_url=url, api_key=KEY, max_retries=0)
    numbers = count(first)

    def once() -> None:
        answer = run(task(next(numbers)))
        if ANSWER not in str(answer):
            raise SystemExit(f"the run ended with {answer!r}, expected {ANSWER!r}")

    def bare() -> None:
        for body in bodies:
            client.chat.completions.create(**body)

    for line in sys.stdin:
        measured: dict[str, list[float]] = {"runs": [], "bare": [], "cpu": []}
        for _ in range(int(line)):
            wall, cpu = _client_seconds(url, once)
            bodies = _get(url, "requests")
            bare_wall, bare_cpu = _client_seconds(url, bare)
            for name, value in (("runs", wall), ("bare", bare_wall), ("cpu", cpu - bare_cpu)):
                measured[name].append(value)
        sent = [len(json.dumps(body)) for body in bodies]
        print(json.dumps({**measured, "bytes": [sent[0], sent[-1]]}), file=replies, flush=True)


def _client_seconds(url: str, work: Callable[[], None]) -> tuple[float, float]:
    """Wall clock of `work`, less the time in which the server had its requests in hand, and its processor time."""
    before = _get(url, "stats")
    gc.collect()  # each starts with a clean heap; what it makes itself it also collects
    started, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    after = _get(url, "stats")
    requests = after["requests"] - before["requests"]
    if requests != COMPLETIONS:
        raise SystemExit(f"{requests} requests were made, expected {COMPLETIONS}")
    return wall - (after["seconds"] - before["seconds"]), cpu


def _get(url: str, what: str) -> Any:
    with _DIRECT.open(f"{url}/{what}", timeout=30) as reply:
        return json.load(reply)


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _only_loopback(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"only loopback may be reached here, not {address[0]}")
        return connect(self, address)

    return guarded


# Telemetry, tracing and price lists from the network are switched off by their own settings, and cannot get out.
socket.socket.connect = _only_loopback(socket.socket.connect)  # type: ignore[method-assign]
os.environ.update({
    "LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
})
