"""What goes wrong around a store: rows that cannot be read, races, locks that are not there, servers that recover."""

import errno
import fcntl
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from autorl.errors import StoreUnavailable, UsageError
from autorl.registry import RunContext, Toolset, tool
from autorl.replay import database
from autorl.replay.recall import Recall, recall
from autorl.replay.store import ReplayStore
from autorl.types import Provenance, Status, Task
from tests import postgres, test_migrations
from tests.children import word_agent
from tests.postgres import Server
from tests.worlds import PASSED, WORDS, a_run, add, look, ping

server, url, where = postgres.server, postgres.url, test_migrations.where


def asked(store: ReplayStore, task: str) -> tuple[list[str], dict[str, object]]:
    found = recall(store, Task.of(task), tools=Toolset((ping,)), size=lambda run, style: 10, how=Recall())
    return [exemplar.trajectory.id for exemplar in found.exemplars], found.left_out


def test_an_exemplar_that_cannot_be_read_is_left_out_and_said_to_be(store: ReplayStore) -> None:
    store.add([a_run(f"A deck about bees, part {n}", id=f"run-{n}", verdict=PASSED) for n in range(3)])
    with closing(sqlite3.connect(store.where)) as connection, connection:
        connection.execute("UPDATE steps SET body = substr(body, 1, 40) WHERE run = 'run-0'")
    names, left_out = asked(store, "A deck about bees, part 0")
    assert set(names) == {"run-1", "run-2"}
    assert left_out == {"cannot be read": 1}
    with pytest.raises(StoreUnavailable, match=r"cannot be read: the run run-0: .*replay revoke RUN"):
        store.get("run-0")


def test_a_source_from_elsewhere_gives_one_exemplar_of_a_prompt(store: ReplayStore) -> None:
    store.add([a_run(f"A deck about bees, part {n}", id=f"{source}-{n}", verdict=PASSED,
                     provenance=Provenance(source=source)) for n, source in enumerate(["team", "team", "team"])])
    store.add([a_run("Something else", id="mine", verdict=PASSED)])
    names, _left_out = asked(store, "A deck about bees, part 0")
    assert sorted(name.split("-")[0] for name in names) == ["mine", "team"]


def test_where_a_capped_local_run_leaves_the_next_enters(where: str) -> None:
    store = ReplayStore(where)
    store.cap("local", 2)
    store.add([a_run(f"T {n}", id=f"t{n}", verdict=PASSED) for n in range(4)])
    store.trust(store.candidates()[0].run, "revoked", "why")
    assert len(store.candidates()) == 2


def test_the_newest_run_is_the_newest_whatever_its_zone(where: str) -> None:
    store = ReplayStore(where)
    store.add([a_run("A", id="east", started=datetime.fromisoformat("2026-01-01T12:00:00+05:00")),
               a_run("B", id="utc", started=datetime.fromisoformat("2026-01-01T08:00:00+00:00")),
               a_run("C", id="naive", started=datetime(2026, 1, 1, 7, 30))])
    assert [summary.id for summary in store.newest()] == ["utc", "naive", "east"]
    assert all(summary.started.tzinfo for summary in store.newest())


def test_a_folder_that_takes_no_locks_is_told_at_once(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreUnavailable, match="cannot be locked: No locks available.*PostgreSQL"):
        store.began(a_run())


def test_of_two_that_begin_one_id_at_once_one_gets_it(where: str) -> None:
    stores = [ReplayStore(where) for _ in range(2)]
    stores[0].add([a_run("The same task")])
    for number in range(30):
        got: list[int] = []
        barrier = threading.Barrier(2)

        def begin(n: int, number: int = number, got: list[int] = got,
                  barrier: threading.Barrier = barrier) -> None:
            run = a_run("The same task", id=f"same-{number}", status=Status.RUNNING,
                        started=datetime(2026, 1, 1, n, tzinfo=UTC))
            barrier.wait()
            try:
                stores[n].began(run)
                got.append(n)
            except UsageError:
                pass

        threads = [threading.Thread(target=begin, args=(n,)) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1


@pytest.fixture
def fragile(server: Server) -> Iterator[Server]:
    """A server of one's own, to stop and start."""
    started = Server()
    yield started
    started.stop()


def test_a_run_whose_server_stayed_away_goes_on_in_the_same_process(
    fragile: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.5)
    store = ReplayStore(fragile.url)
    calls: list[str] = []

    def add_and_crash(word: str, context: RunContext) -> str:
        calls.append(word)
        if len(calls) == 2:
            fragile.crash()
        return str(add(word, context))

    add_and_crash.__name__ = "add"
    with pytest.raises(StoreUnavailable, match="did not come back"):
        word_agent(store, Path("work"), tools=[tool(add_and_crash), look]).solve("Add the words")
    fragile.start()
    left = store.newest()[0]
    done = word_agent(store, Path("work")).resume(left.id)
    assert (done.status, done.answer) == (Status.FINISHED, " ".join(WORDS))


def test_a_server_that_recovers_is_waited_for_when_a_store_is_opened(fragile: Server) -> None:
    ReplayStore(fragile.url).close()
    connection = psycopg.connect(fragile._server.get_uri())
    (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()  # type: ignore[misc]
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.02)
    store = ReplayStore(fragile.url)
    assert store.counts() == {"passed": 0}
