"""Many episodes at once, on the machines of a Ray cluster.

The workers are Ray actors, and there is nothing in them that matters: each makes its model and its store from plain
values, and what it does is in PostgreSQL before it says so. This process has one thread waiting for each episode, so
the order, the first error and the limit of `concurrency` over all workers together are those of `in_threads`. When a
worker is lost, the work says what the store has of the episode, and what is not done goes to another one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from autorl import __version__, errors
from autorl.errors import AutorlError, UsageError
from autorl.rollout.executor import Sent, Work
from autorl.rollout.ray_cluster import ClusterLost, Head, connected, first_line, need_ray

T = TypeVar("T")
R = TypeVar("R")

ROOM = 32
"""Episodes at once in one worker, which is one Python process: more of them are too much for its one core."""
HIRING = 90.0
"""Seconds that a new worker may take until it is ready."""
LOSSES = 3
"""Workers that one episode may lose before it is taken to be what kills them."""
POSTGRES = ("postgresql+psycopg://", "postgresql://", "postgres://")


@dataclass(frozen=True)
class Failed:
    """An error of ours on its way back from a worker."""

    kind: str
    what: str
    remedy: str

    def error(self) -> AutorlError:
        kind = getattr(errors, self.kind)
        error: AutorlError = kind.__new__(kind)
        AutorlError.__init__(error, self.what, self.remedy)
        return error


class OnRay:
    """The executor that does everything on a Ray cluster (see `Executor`).

    store: URL of the PostgreSQL database that the workers write to
    address: of the cluster, `HOST:PORT`; RAY_ADDRESS, or a cluster on this machine alone, when None
    Raises UsageError for a store that other machines cannot write to, MissingExtra without Ray.
    """

    def __init__(self, store: str | None, address: str | None = None) -> None:
        if not (store or "").startswith(POSTGRES):
            kind = "the default one, a file" if store is None else f"'{store.partition('://')[0]}'"
            raise UsageError(f"rollouts on Ray take a store in PostgreSQL, to which all machines write, and not {kind}",
                             "AUTORL_STORE=postgresql+psycopg://USER@HOST/DATABASE, or do them here: --on threads")
        need_ray()
        self.store, self.address = str(store), address

    @contextmanager
    def doing(self, work: Work[T, R], concurrency: int) -> Iterator[Callable[[T], R]]:
        sent = work.sent(self.store)
        with connected(self.address), Head() as head:
            crew = _Crew(sent, concurrency, head)
            try:
                yield lambda item: crew.do(item, work.lost)
            finally:
                crew.dismiss()


@dataclass(eq=False)
class _Worker:
    """An actor: the node it is on, and how many episodes it has in hand."""

    actor: Any
    node: str
    busy: int = 0


class _Crew:
    """The workers of one piece of work. Whoever finds none that is free has one more start, until there are enough."""

    def __init__(self, sent: Sent[Any, Any], concurrency: int, head: "Head") -> None:
        import ray

        self._ray: Any = ray
        self._sent, self._concurrency, self._head = sent, concurrency, head
        self._workers: list[_Worker] = []
        self._starting: Counter[str] = Counter()  # by node
        self._changed = threading.Condition()
        self._end: ClusterLost | None = None
        self._wanted = min(concurrency, max(len(self._nodes()), -(-concurrency // ROOM)))

    def do(self, item: Any, lost: Callable[[Any], Any]) -> Any:
        """What a worker makes of `item`; raises what it raised."""
        why: Exception | None = None
        for _ in range(LOSSES):
            worker = self._free()
            try:
                return self._opened(worker.actor.do.remote(item))
            except _LOST() as error:
                why = error
                self._dismiss(worker)
                if (result := lost(item)) is not None:
                    return result
            finally:
                with self._changed:
                    worker.busy -= 1
                    self._changed.notify_all()
        raise ClusterLost(f"{LOSSES} workers were lost one after the other with the same episode, {str(item)[:200]}",
                          f"Is there memory enough for it? Ray says: {first_line(why)}") from why

    def dismiss(self) -> None:
        for worker in [*self._workers]:
            self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        with self._changed:
            if worker not in self._workers:
                return
            self._workers.remove(worker)
        with suppress(Exception):  # it may be gone, or only out of reach
            self._ray.kill(worker.actor)

    def _free(self) -> _Worker:
        """A worker with the least in hand, which gets one episode more. Raises what `_start` raises."""
        until = time.monotonic() + HIRING
        while True:
            if self._end:
                raise self._end
            with self._changed:
                room = -(-self._concurrency // self._wanted)
                worker = min(self._workers, key=lambda worker: worker.busy, default=None)
                if worker and worker.busy < room:
                    worker.busy += 1
                    return worker
                if len(self._workers) + self._starting.total() >= self._wanted:
                    self._changed.wait(1.0)
                    continue
                there = self._starting + Counter(worker.node for worker in self._workers)
                node = min(self._head.patiently(self._nodes), key=lambda node: there[node], default="")
                self._starting[node] += 1
            self._start(node, until)

    def _start(self, node: str, until: float) -> None:
        """Try to have one more worker. Raises UsageError for one of another version, ClusterLost when there was none
        until `until`."""
        worker: _Worker | None = None
        try:
            worker = self._head.patiently(lambda: self._begun(node))
        except _LOST() as error:
            self._head.check()
            if time.monotonic() > until:
                if not self._workers:
                    self._end = ClusterLost(f"the Ray cluster gave no worker for {HIRING:g} s",
                                            f"ray status tells what it has. Ray says: {first_line(error)}")
                    raise self._end from error
                self._wanted = max(1, len(self._workers))  # then fewer do it
            else:
                time.sleep(0.5)
        finally:
            with self._changed:
                self._starting[node] -= 1
                self._workers += [worker] if worker else []
                self._changed.notify_all()

    def _begun(self, node: str) -> _Worker:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not node:
            raise self._ray.exceptions.NodeDiedError("no node is alive")
        # Episodes wait for models far more than they compute. Not soft, for then Ray chooses any node, this one or not.
        actor: Any = self._ray.remote(_worker()).options(
            num_cpus=0, max_concurrency=min(self._concurrency, 2 * ROOM),
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        version = self._opened(actor.version.remote(), HIRING)
        if version != __version__:
            raise UsageError(f"the worker on the node {node[:8]} has autorl {version}, and this is {__version__}",
                             "Install the same version on every machine of the cluster")
        self._opened(actor.begin.remote(self._sent))
        return _Worker(actor, node)

    def _nodes(self) -> list[str]:
        return [node["NodeID"] for node in self._ray.nodes() if node["Alive"]]

    def _opened(self, reference: Any, patience: float = inf) -> Any:
        """What a worker answered. Raises its error, ClusterLost when the head is gone, and what Ray says of a lost one.

        patience: seconds, after which it raises GetTimeoutError
        """
        coming: Future[Any] = reference.future()
        until = time.monotonic() + patience
        while True:
            try:
                answer = coming.result(1.0)
                break
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except TimeoutError:
                self._head.check()
                if time.monotonic() > until:
                    raise self._ray.exceptions.GetTimeoutError("it did not start") from None
        if isinstance(answer, Failed):
            raise answer.error()
        return answer


def _worker() -> type:
    """The actor's class. Made here, it goes over by value, and so also to a machine with another autorl or none."""
    class Worker:
        def version(self) -> str:
            try:
                import autorl
            except ImportError:
                return "of no version (it is not installed)"
            return autorl.__version__

        def begin(self, sent: Any) -> Any:
            from autorl.rollout import on_ray

            begun = on_ray.answered(sent.begin)
            self.work = begun
            return begun if isinstance(begun, on_ray.Failed) else None

        def do(self, item: Any) -> Any:
            from autorl.rollout import on_ray

            return on_ray.answered(self.work, item)

    return Worker


def answered(function: Callable[..., Any], *given: Any) -> Any:
    """What it gives, or the error of ours that it raises, as a value."""
    try:
        return function(*given)
    except AutorlError as error:
        kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return Failed(kind.__name__, error.what, error.remedy)


def _LOST() -> tuple[type[Exception], ...]:
    """What Ray raises when a worker, its node or its answer is gone."""
    from ray import exceptions as of_ray

    return (of_ray.RayActorError, of_ray.ActorUnschedulableError, of_ray.WorkerCrashedError, of_ray.NodeDiedError,
            of_ray.ObjectLostError, of_ray.LocalRayletDiedError, of_ray.GetTimeoutError)
