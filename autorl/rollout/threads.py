"""Many episodes at once, in threads of this process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


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
        waiting.extend(pool.submit(function, item) for item in islice(rest, concurrency))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(rest, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
