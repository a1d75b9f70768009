"""Being in touch with a Ray cluster: joining it with its token, and noticing that its head is gone."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from autorl import content
from autorl.errors import AutorlError, MissingExtra, UsageError

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds without the head of the cluster, after which it counts as lost. Ray itself ends this process after 60."""


class ClusterLost(AutorlError):
    """The Ray cluster is gone, or gives no workers. The same command goes on where it stopped."""


def need_ray() -> None:
    """Raises MissingExtra without Ray."""
    # Ray reads these when it is imported. Whoever reaches a cluster without a token can run anything on it.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: F401
    except ImportError as error:
        raise MissingExtra("rollouts on Ray need ray, which is not installed",
                           "pip install 'autorl-agent[ray]'") from error


class Head:
    """Looks every second whether the head of the cluster is there."""

    def __init__(self) -> None:
        import ray

        self._where = _host_and_port(ray.get_runtime_context().gcs_address)
        self._seen = time.monotonic()
        self._done = threading.Event()

    def __enter__(self) -> "Head":
        threading.Thread(target=self._look, name="head", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def patiently(self, question: Callable[[], T]) -> T:
        """What `question` gives, which may wait for the head for ever. Raises what it raises, and ClusterLost."""
        answer: Future[T] = Future()

        def ask() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=ask, name="hiring", daemon=True).start()
        while not wait([answer], 1.0).done:
            self.check()
        return answer.result()

    def check(self) -> None:
        """Raises ClusterLost once the head has been away for too long."""
        if (gone := time.monotonic() - self._seen) > PATIENCE:
            raise ClusterLost(f"the head of the Ray cluster, {':'.join(map(str, self._where))}, has not answered for "
                              f"{gone:.0f} s", "Start it again. What is done is in the store, and the same command "
                              "goes on from there")

    def _look(self) -> None:
        while not self._done.wait(1.0):
            with suppress(OSError), socket.create_connection(self._where, timeout=2):
                self._seen = time.monotonic()


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """In touch with the cluster; a connection that is there already is used, and left."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray._private.worker.print_to_stdstream = lambda *_, **__: None  # what becomes of nodes is told in errors of ours
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    given: dict[str, Any] = {"include_dashboard": False} if where == "local" else {}
    try:
        if where not in ("local", "auto"):
            socket.create_connection(_host_and_port(where), timeout=10).close()  # Ray itself tries for minutes
        ray.init(where, runtime_env=_surroundings(), log_to_driver=False, logging_level=logging.ERROR, **given)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UsageError(f"there is no Ray cluster to be used at {where}: {first_line(error)}",
                         "ray start --head starts one. Its token is in RAY_AUTH_TOKEN or ~/.ray/auth_token, the same "
                         "on all machines (ray get-auth-token --generate)") from error
    try:
        yield
    finally:
        ray.shutdown()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "//" in host:
        raise UsageError(f"'{address}' is no address of a Ray cluster", "Write HOST:PORT, as ray start --head tells it")
    return host.strip("[]"), int(port)


def _surroundings() -> dict[str, Any]:
    """What workers get of the user's project and settings. Where things are kept each machine knows for itself."""
    settings = {name: value for name, value in os.environ.items()
                if name.startswith("AUTORL_") and name not in ("AUTORL_HOME", "AUTORL_STORE")}
    project = content.project()
    if project is None:
        return {"env_vars": settings}
    kinds = [content.CONFIG, "tools", "prompts", "tasks", "eval"]
    without = ["/*", "!.", *(f"!/{kind}" for kind in kinds)]  # as in a .gitignore
    return {"env_vars": settings, "working_dir": str(project), "excludes": without}


def first_line(error: BaseException | None) -> str:
    """What an error says, on one line."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
