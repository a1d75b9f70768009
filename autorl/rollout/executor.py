"""Where rollouts are done: in threads of this process, or by workers of a Ray cluster. The order is the same."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from autorl.errors import UnknownName
from autorl.rollout.threads import Threads

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

EXECUTORS = ("threads", "ray")


class Sent(Protocol[T_contra, R_co]):
    """Work as plain values (names, settings, URLs), which another process can be sent."""

    def begin(self) -> Callable[[T_contra], R_co]:
        """Make what does it, once in each process: the model, the store. May be called by many threads then."""


class Work(Protocol[T_contra, R_co]):
    """What is to be done with each of some items. Called by many threads, it does it here."""

    def __call__(self, item: T_contra, /) -> R_co: ...

    def sent(self, store: str) -> Sent[T_contra, R_co]:
        """The same as plain values; `store` is the URL of the store, with its password. Raises UsageError."""

    def lost(self, item: T_contra, /) -> R_co | None:
        """The process that had `item` in hand is gone. What it left is put right; its result, if it got that far."""


class Executor(Protocol):
    """Where work is done. `in_threads` over what `doing` gives does it for many items, and says in which order.

    store: URL of the store that those write to who do it elsewhere; None where it is done here
    """

    @property
    def store(self) -> str | None: ...

    def doing(self, work: Work[T, R], concurrency: int) -> AbstractContextManager[Callable[[T], R]]:
        """A function that does `work` with one item, waits for it, and may be called by `concurrency` threads at once.

        Raises what `work` raises for the item, the same wherever it is done.
        """


THREADS: Executor = Threads()


def choose(name: str, *, store: str | None = None, address: str | None = None) -> Executor:
    """The executor `name`. store: URL of the store that workers write to; address: of the Ray cluster.

    Raises UnknownName, and what `OnRay` raises.
    """
    if name == "threads":
        return Threads()
    if name == "ray":
        from autorl.rollout.on_ray import OnRay

        return OnRay(store, address)
    raise UnknownName("executor", name, EXECUTORS)
