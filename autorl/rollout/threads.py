"""Many episodes at once, in threads of this process."""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MANY = 64
"""Runs at once from which Python looks for garbage less often."""


class Threads:
    """The executor that does everything here (see `Executor`)."""

    store = None

    def doing(self, work: Callable[[T], R], concurrency: int) -> AbstractContextManager[Callable[[T], R]]:
        return nullcontext(work)


def in_threads(function: Callable[[T], R], items: Iterable[T], concurrency: int) -> Iterator[R]:
    """`function` of each item, in the order of the items, `concurrency` of them at a time.

    Items are taken as they are needed. The first error is raised in its place; what has not started
    by then does not start any more.
    """
    rest = iter(items)
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="rollout")
    try:
        with _seldom_collected() if concurrency >= MANY else nullcontext():
            waiting.extend(pool.submit(function, item) for item in islice(rest, concurrency))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
                yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """A thousand runs hold millions of values, and to look through them for garbage took up to a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(20_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
