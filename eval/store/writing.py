"""One of several processes that write to a store at once, from many threads, step by step as the loop does.

    python -m store.writing WHERE NUMBER THREADS RUNS        (in eval/)

Prints one JSON object: the errors that writers met, the seconds of every call, and when all began and ended.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from autorl.journal import Journal
from autorl.types import Status, Trajectory


def calls(journal: Journal, run: Trajectory) -> Iterable[Callable[[], Any]]:
    """The calls by which a whole run is written down."""
    yield lambda: journal.began(run.model_copy(update={"status": Status.RUNNING, "reason": ""}))
    for step in run.steps:
        yield lambda step=step: journal.decided(run.id, step)  # type: ignore[misc]
        if step.observation:
            yield lambda step=step: journal.observed(run.id, step.index, step.observation)  # type: ignore[misc]
    yield lambda: journal.ended(run)
    if run.verdict:
        yield lambda: journal.judged(run.id, run.verdict)  # type: ignore[arg-type]


def main() -> None:
    from autorl.replay.store import ReplayStore
    from store.runs import runs
    from store.texts import Texts

    where, number, threads, each = sys.argv[1], *map(int, sys.argv[2:5])
    store = ReplayStore(where)
    made = runs(Texts(), threads * each, seed=number + 1)
    shares = [[run.model_copy(update={"id": f"{number}-{run.id}"}) for run in islice(made, each)]
              for _ in range(threads)]
    errors: list[str] = []
    seconds: list[float] = []

    def write(share: list[Trajectory]) -> None:
        try:
            for run in share:
                for call in calls(store, run):
                    began = time.perf_counter()
                    call()
                    seconds.append(time.perf_counter() - began)
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}")

    started = time.time()
    writers = [threading.Thread(target=write, args=(share,)) for share in shares]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store.close()
    print(json.dumps({"errors": errors, "seconds": seconds, "at": [started, time.time()]}))


if __name__ == "__main__":
    main()
