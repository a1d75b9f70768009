"""What every executor must do. A test module gives the fixture `executor`, for its class."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from autorl.errors import AutorlError, UnknownName, UsageError
from autorl.rollout.executor import Executor
from autorl.rollout.threads import in_threads


class Item(NamedTuple):
    """A number to square. folder: where it is noted that it began and ended; bad: what is wrong with it"""

    number: int
    folder: Path
    seconds: float = 0.05
    bad: str = ""


class Squares:
    """Squares numbers. Work, and the same when it was sent."""

    def begin(self) -> "Squares":
        return self

    def sent(self, store: str) -> "Squares":
        return self

    def lost(self, item: Item) -> None:
        """Nothing was left."""

    def __call__(self, item: Item) -> int:
        began = time.monotonic()
        (item.folder / f"{item.number}.began").touch()
        if item.bad:
            raise {"ValueError": ValueError("it is bad"), "UsageError": UsageError("it is bad", "Give another"),
                   "UnknownName": UnknownName("number", "two", ["one", "three"])}[item.bad]
        time.sleep(item.seconds)
        (item.folder / f"{item.number}.ended").write_text(f"{began} {time.monotonic()}")
        return item.number**2


Do = Callable[[Item], int]


class ExecutorSuite:
    """Needs the fixture `executor`."""

    @pytest.fixture(scope="class")
    @classmethod
    def do(cls, executor: Executor) -> Iterator[Do]:
        with executor.doing(Squares(), 4) as do:
            yield do

    def test_results_come_in_the_order_of_the_items(self, do: Do, tmp_path: Path) -> None:
        assert squared(do, tmp_path, range(12), 4) == [n * n for n in range(12)]
        assert squared(do, tmp_path, [], 4) == []

    def test_no_more_than_were_asked_for_run_at_once_over_all_workers(self, do: Do, tmp_path: Path) -> None:
        squared(do, tmp_path, range(18), 3)
        spans = [tuple(map(float, path.read_text().split())) for path in tmp_path.glob("*.ended")]
        at_once = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
        assert len(spans) == 18
        assert 1 < max(at_once) <= 3

    def test_items_are_taken_as_they_are_needed(self, do: Do, tmp_path: Path) -> None:
        taken = []

        def items() -> Iterator[Item]:
            for n in range(1_000_000_000):
                taken.append(n)
                yield Item(n, tmp_path)

        results = in_threads(do, items(), 2)
        assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
        results.close()  # type: ignore[attr-defined]
        assert len(taken) < 12

    @pytest.mark.parametrize(("bad", "error"), [("ValueError", ValueError("it is bad")),
                                                ("UsageError", UsageError("it is bad", "Give another")),
                                                ("UnknownName", UnknownName("number", "two", ["one", "three"]))])
    def test_an_error_comes_in_its_place_and_nothing_new_starts_after_it(
            self, do: Do, tmp_path: Path, bad: str, error: Exception) -> None:
        results = in_threads(do, (Item(n, tmp_path, bad=bad if n == 2 else "") for n in range(100)), 2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(type(error)) as raised:
            next(results)
        assert type(raised.value) is type(error)
        assert str(raised.value) == str(error)
        if isinstance(error, AutorlError):
            assert (raised.value.what, raised.value.remedy) == (error.what, error.remedy)
        assert len(list(tmp_path.glob("*.began"))) < 8

    def test_whoever_stops_listening_waits_for_what_runs_and_starts_no_more(self, do: Do, tmp_path: Path) -> None:
        results = in_threads(do, (Item(n, tmp_path, 0.2) for n in range(100)), 4)
        next(results)
        results.close()  # type: ignore[attr-defined]
        nothing_goes_on(tmp_path)

    def test_control_c_waits_for_what_runs_and_starts_no_more(self, do: Do, tmp_path: Path) -> None:
        def items() -> Iterator[Item]:
            for n in range(100):
                if n == 6:  # now it is certain that this thread is at work on the results
                    threading.Timer(0.1, signal.pthread_kill, [threading.get_ident(), signal.SIGINT]).start()
                yield Item(n, tmp_path, 0.4)

        with pytest.raises(KeyboardInterrupt):
            list(in_threads(do, items(), 4))
        nothing_goes_on(tmp_path)


def squared(do: Do, folder: Path, numbers: Iterable[int], concurrency: int) -> list[int]:
    return list(in_threads(do, (Item(n, folder) for n in numbers), concurrency))


def nothing_goes_on(folder: Path) -> None:
    """What has begun has ended, it is not much, and nothing begins any more."""
    began = {path.stem for path in folder.glob("*.began")}
    assert {path.stem for path in folder.glob("*.ended")} == began
    assert len(began) < 50
    time.sleep(0.3)
    assert {path.stem for path in folder.glob("*.began")} == began
