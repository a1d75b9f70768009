import threading
import time
from collections.abc import Iterator

import pytest

from autorl.rollout.threads import in_threads


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.02 * (5 - n))
        return n * n

    assert list(in_threads(slow_first, range(6), 3)) == [n * n for n in range(6)]
    assert list(in_threads(slow_first, [], 3)) == []


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_than_were_asked_for_run_at_once(concurrency: int) -> None:
    going, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        time.sleep(0.01)
        with lock:
            going -= 1

    list(in_threads(work, range(24), concurrency))
    assert most <= concurrency
    assert concurrency == 1 or most > 1


def test_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for n in range(1_000_000_000):
            taken.append(n)
            yield n

    results = in_threads(lambda n: n, items(), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 12


def test_an_error_comes_in_its_place_and_nothing_new_starts_after_it() -> None:
    started = []

    def work(n: int) -> int:
        started.append(n)
        if n == 2:
            raise ValueError("two")
        time.sleep(0.01)
        return n

    results = in_threads(work, range(100), 2)
    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(ValueError, match="two"):
        next(results)
    assert max(started) < 8


def test_whoever_stops_listening_waits_for_what_runs_and_starts_no_more() -> None:
    done = []

    def work(n: int) -> int:
        time.sleep(0.02)
        done.append(n)
        return n

    results = in_threads(work, range(100), 4)
    next(results)
    results.close()  # type: ignore[attr-defined]
    after = len(done)
    time.sleep(0.05)
    assert len(done) == after < 12
