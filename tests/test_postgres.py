import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from autorl.errors import StoreUnavailable, UsageError
from autorl.replay import database, standing, tsearch
from autorl.replay import postgres as postgres_store
from autorl.replay.store import ReplayStore
from autorl.types import Provenance, Status, Task
from tests import children, postgres
from tests.conformance.stores import StoreSuite, write
from tests.conformance.upkeep import UpkeepSuite
from tests.postgres import Server
from tests.worlds import FAILED, PASSED, a_run, a_step

server, url, open_store = postgres.server, postgres.url, postgres.open_store


class TestPostgreSQL(StoreSuite, UpkeepSuite):
    """`open_store` is that of postgres.py, and `store` uses it."""


@pytest.fixture
def fragile(server: Server) -> Iterator[Server]:
    """A server of one's own, to stop and start."""
    started = Server()
    yield started
    started.stop()


# Where it is.


def test_steps_and_observations_may_be_partitioned_by_month(url: str) -> None:
    ReplayStore(url).close()
    engine = sa.create_engine(sa.make_url(url).difference_update_query(["schema"]))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET search_path TO {sa.make_url(url).query['schema']}")
        for table in ("observations", "steps"):
            connection.exec_driver_sql(f"ALTER TABLE {table} RENAME TO plain")
            connection.exec_driver_sql(f"CREATE TABLE {table} (LIKE plain INCLUDING ALL) PARTITION BY RANGE (run)")
            connection.exec_driver_sql(f"CREATE TABLE {table}_rest PARTITION OF {table} DEFAULT")
            connection.exec_driver_sql(f"CREATE TABLE {table}_2026_11 PARTITION OF {table} "
                                       "FOR VALUES FROM ('20261101') TO ('20261201')")
            connection.exec_driver_sql("DROP TABLE plain CASCADE")
    store = ReplayStore(url)
    run = write(store, a_run(id="20261121-120000-abcdef"))
    assert store.get(run.id) == run
    assert store.check() == []
    with engine.begin() as connection:
        schema = sa.make_url(url).query["schema"]
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {schema}.steps_2026_11")) == len(run.steps)
    store.close()
    engine.dispose()


def test_a_url_keeps_its_password_to_itself(server: Server, url: str) -> None:
    given = url.replace("//postgres:@", "//postgres:hush-hush@")
    assert given != url
    store = ReplayStore(given)
    assert "hush" not in str(store.where)
    assert "postgres" in str(store.where)
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed") as told:
        store.began(a_run())
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("kind", ["postgresql", "postgres"])
def test_the_usual_spellings_of_a_url_are_taken(kind: str, url: str) -> None:
    store = ReplayStore(url.replace("postgresql+psycopg", kind))
    write(store, a_run(id="one"))
    assert ReplayStore(url).get("one").id == "one"


def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no plain name"):
        ReplayStore(url + "; DROP")
    with pytest.raises(UsageError, match="is not a URL"):
        ReplayStore("postgresql://host:no-port/x")


def test_a_server_that_is_not_there_is_told_at_once_with_the_remedy() -> None:
    start = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"refused.*Is the server up, and the URL right"):
        ReplayStore("postgresql+psycopg://nobody@127.0.0.1:9/x")
    assert time.monotonic() - start < 10


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(url: str) -> None:
    code = ("import sys; sys.modules['psycopg'] = None\nfrom autorl import ReplayStore\n"
            f"ReplayStore({url!r})")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtra" in done.stderr
    assert "pip install 'autorl-agent[postgres]'" in done.stderr


def test_a_database_can_serve_other_programs_too(server: Server, url: str) -> None:
    server.ask("CREATE TABLE IF NOT EXISTS public.runs (name text)")
    store = ReplayStore(url)
    run = write(store, a_run())
    assert store.get(run.id) == run
    assert server.ask("SELECT count(*) FROM public.runs") == [(0,)]


def test_two_stores_can_be_in_one_database(url: str) -> None:
    one, two = ReplayStore(url), ReplayStore(f"{url}_b")
    run = write(one, a_run())
    assert (one.counts()["finished"], two.counts()) == (1, {"passed": 0})
    assert one.get(run.id) == run


def test_a_user_without_rights_is_told_what_to_grant_and_needs_no_more(server: Server) -> None:
    import psycopg

    server.ask("CREATE DATABASE granted")
    server.ask("CREATE ROLE ada LOGIN")
    url = server.url.replace("postgres:@/postgres", "ada:@/granted")
    with pytest.raises(StoreUnavailable, match=r"permission denied.*GRANT CREATE ON DATABASE .* its schema autorl"):
        ReplayStore(url)
    plain = server.url.replace("postgresql+psycopg", "postgresql").replace("/postgres?", "/granted?")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA autorl AUTHORIZATION ada")
    store = ReplayStore(url)
    run = write(store, a_run(verdict=PASSED))
    assert store.get(run.id) == run
    ((told, remedy),) = store.notes()
    assert "no pgvector" in told
    assert "CREATE EXTENSION vector" in remedy
    store.embed_all()
    assert store.by_meaning(store.embedder.embed([run.task.text])[0], limit=1)[0][0] == run.task.id, "without it"


def test_a_store_that_another_transaction_holds_is_not_opened_without_its_pgvector(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    if not ReplayStore(url)._database.meaning:
        assert not server.ask("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
        return
    table = f"{url.rpartition('=')[2]}.embeddings"
    server.ask(f"ALTER TABLE {table} DROP COLUMN meaning")
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    with psycopg.connect(server.url.replace("postgresql+psycopg", "postgresql")) as other:
        other.execute(f"LOCK TABLE {table} IN SHARE MODE")
        with pytest.raises(StoreUnavailable, match=r"Another transaction has held its locks for 0.3 s"):
            ReplayStore(url)
    assert ReplayStore(url)._database.meaning


# A server that goes away.


def test_a_server_that_comes_back_in_time_is_waited_for(fragile: Server) -> None:
    store = ReplayStore(fragile.url)
    run = a_run(status=Status.RUNNING, steps=[a_step(), a_step()])
    store.began(run)
    store.decided(run.id, run.steps[0])
    fragile.crash()
    back = threading.Timer(1.0, fragile.start)
    back.start()
    store.observed(run.id, 0, run.steps[0].observation)
    store.decided(run.id, run.steps[1])
    back.join()
    assert [step.observation is None for step in store.get(run.id).steps] == [False, True]
    fragile.crash()
    fragile.start()
    assert len(store.get(run.id).steps) == 2, "a question is asked again too"
    fragile.crash()
    fragile.start()
    assert store.ready() == 0
    fragile.crash()
    fragile.start()
    assert store.view(lambda: [len(store.search("ping")), store.get(run.id).id]) == [1, run.id]


def test_what_was_asked_before_a_migration_can_be_asked_after_it(server: Server, url: str) -> None:
    store = ReplayStore(url)
    run = write(store, a_run())
    assert store.get(run.id) == run
    server.ask(f"ALTER TABLE {url.rpartition('=')[2]}.artifacts ALTER COLUMN bytes TYPE numeric")
    server.ask(f"ALTER TABLE {url.rpartition('=')[2]}.artifacts ALTER COLUMN bytes TYPE integer")
    assert store.get(run.id) == run


def test_what_was_committed_before_the_server_broke_off_is_not_written_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ReplayStore(url)
    whole, turns = store._database.writing, itertools.count()

    @contextmanager
    def breaks_off() -> Iterator[sa.Connection]:
        with whole() as connection:
            yield connection
        if next(turns) % 2 == 0:  # each write is done, and its answer never comes
            lost = sa.exc.OperationalError("COMMIT", None, Exception("server closed the connection unexpectedly"))
            raise StoreUnavailable("lost") from lost

    monkeypatch.setattr(store._database, "writing", breaks_off)
    exemplar = a_run(id="exemplar", verdict=PASSED)
    assert store.add([exemplar]) == ["exemplar"]
    run = write(store, a_run(steps=[a_step(), a_step(tainted=True)], recalled=["exemplar"], verdict=PASSED))
    store.trust(run.id, "trusted", "I read it")
    store.keep_policy("p", base="b", trained_on=[run.id])
    assert next(turns) == 2 * 10
    assert store.get(run.id) == run
    assert store.get("exemplar") == exemplar
    assert store.record("exemplar")[:2] == (1, 1)
    assert [change.trust for change in store.trust_changes(run.id)] == ["quarantined", "trusted"]
    with store._database.reading() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM verdicts")) == 2


def test_a_server_that_stays_away_is_told_with_the_remedy(fragile: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ReplayStore(fragile.url)
    run = a_run(status=Status.RUNNING)
    store.began(run)
    fragile.crash()
    monkeypatch.setattr(database, "PATIENCE", 0.5)
    with pytest.raises(StoreUnavailable, match=r"did not come back for 0.5 s.*Start the server again.*--resume"):
        store.decided(run.id, run.steps[0])
    fragile.start()
    store.decided(run.id, run.steps[0])
    assert len(store.get(run.id).steps) == 1


def test_a_server_that_goes_away_while_a_store_is_opened_is_waited_for(
    fragile: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = postgres_store.Postgres._prepare_meaning
    starting = threading.Timer(0.5, fragile.start)
    attempts = []

    def prepared(opened: postgres_store.Postgres) -> bool:
        attempts.append(1)
        if len(attempts) == 1:
            fragile.crash()
            starting.start()
        return prepare(opened)

    monkeypatch.setattr(postgres_store.Postgres, "_prepare_meaning", prepared)
    store = ReplayStore(fragile.url)
    assert len(attempts) > 1
    assert store._database.meaning == bool(fragile.ask("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"))
    starting.join()


def test_a_server_that_hangs_up_on_the_first_who_asks_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                asked.append(listening.accept()[0].close())

    monkeypatch.setattr(database, "PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(StoreUnavailable, match=r"server closed the connection.*did not come back for 0.5 s"):
            ReplayStore(f"postgresql+psycopg://user@127.0.0.1:{listening.getsockname()[1]}/none")
        listening.shutdown(socket.SHUT_RDWR)
    assert len(asked) > 2


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_server_that_is_restarted_under_load(fragile: Server, tmp_path: Path) -> None:
    said = tmp_path / "said"
    ReplayStore(fragile.url).close()
    writers = [children.started(children.write_runs, fragile.url, name, 8, 40, said) for name in ("one", "two")]
    while len(fragile.ask("SELECT DISTINCT split_part(id, '-', 1) FROM autorl.runs")) < 2:  # both are at work
        assert all(writer.is_alive() for writer in writers), "one was done before the other began"
        time.sleep(0.02)
    for _ in range(4):
        before = runs_in(fragile)
        while runs_in(fragile) < before + 20:  # so that it is under load
            assert any(writer.is_alive() for writer in writers), "they were done too soon"
            time.sleep(0.02)
        fragile.crash()
        fragile.start()
    for writer in writers:
        writer.join(120)
    assert sorted(said.read_text().splitlines()) == ["one done", "two done"]
    store = ReplayStore(fragile.url)
    assert store.counts() == {"finished": 640, "passed": 0}
    assert all(len(store.get(s.id).steps) == 2 for s in store.newest(limit=700))
    assert store.check() == []


def runs_in(server: Server) -> int:
    ((count,),) = server.ask("SELECT count(*) FROM autorl.runs")
    return int(count)


# Transactions that meet: what one has not committed yet, the other does not see.


@contextmanager
def unseen(server: Server, store: ReplayStore, meanwhile: Callable[[], object]) -> Iterator[sa.Connection]:
    """A transaction that ends when `meanwhile`, which begins after the block, waits for it or is through."""
    thread = threading.Thread(target=meanwhile)
    with store._database.writing() as connection:
        yield connection
        thread.start()
        deadline = time.monotonic() + 20
        while thread.is_alive() and not server.ask("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert time.monotonic() < deadline, "it neither waits nor ends"
    thread.join(20)


def known_to_recall(store: ReplayStore) -> set[str]:
    return {candidate.run for candidate in store.candidates()}


@pytest.mark.parametrize(("source", "before"), [("team", 9), ("local", None)])
def test_a_cap_that_is_set_while_a_run_comes_in_holds(
        server: Server, url: str, source: str, before: int | None) -> None:
    store = ReplayStore(url)
    store.cap(source, before)
    runs = [a_run(f"Task {number}", provenance=Provenance(model="m", format="react", source=source))
            for number in range(4)]
    for run in runs:
        write(store, run)
    for run in runs[:3]:
        store.judged(run.id, PASSED)
    with unseen(server, store, lambda: store.cap(source, 3)) as connection:
        standing.judge(store._database, connection, store._rows.verdict(runs[3].id, PASSED))
    assert known_to_recall(store) == {run.id for run in runs[:3]}


def test_a_place_that_is_left_while_a_cap_is_set_is_filled(server: Server, url: str) -> None:
    store = ReplayStore(url)
    runs = [write(store, a_run(f"Task {number}", verdict=PASSED)) for number in range(4)]
    with unseen(server, store, lambda: store.cap("local", 3)) as connection:
        standing.judge(store._database, connection, store._rows.verdict(runs[0].id, FAILED))
    assert known_to_recall(store) == {run.id for run in runs[1:]}


def test_a_run_that_is_revoked_while_there_is_room_for_it_does_not_enter(server: Server, url: str) -> None:
    store = ReplayStore(url)
    store.cap("local", 0)
    run = write(store, a_run(verdict=PASSED))
    with unseen(server, store, lambda: store.cap("local", 3)) as connection:
        standing.change_trust(store._database, connection, store._rows.trust_change(run.id, "revoked", "why", "who"))
    assert known_to_recall(store) == set()


# Processes that die, and that compete.


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_nine(url: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    dice = random.Random(2)
    ReplayStore(url).close()
    for _ in range(12):
        child = children.started(children.write_steps, url, said)
        children.wait_for_more(said, dice.randint(1, 30))
        time.sleep(dice.random() * 0.01)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    lines = [line.split() for line in said.read_text().splitlines()]
    assert len(lines) > 100
    store = ReplayStore(url)
    kept = {name: store.get(name) for name in {line[0] for line in lines}}
    for name, kind, index in lines:
        if kind != "began":
            step = kept[name].steps[int(index)]
            assert step.action == a_step().action
            assert step.observation is not None or kind == "decided"
    assert store.counts().get("running", 0) == 0, "the dead writers' runs were reaped"
    assert store.check() == []


@pytest.mark.slow
def test_four_processes_of_sixty_four_threads_that_write_at_once_lose_nothing(url: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    writers = [children.started(children.write_runs, url, f"p{n}", 64, 2, said) for n in range(4)]
    for writer in writers:
        writer.join(120)
    assert sorted(said.read_text().splitlines()) == [f"p{n} done" for n in range(4)]
    store = ReplayStore(url)
    assert store.counts() == {"finished": 512, "passed": 0}
    assert all(len(store.get(s.id).steps) == 2 for s in store.newest(limit=600))


def test_two_processes_that_make_the_store_at_once_make_it_once(url: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    writers = [children.started(children.write_runs, url, f"p{n}", 1, 1, said) for n in range(4)]
    for writer in writers:
        writer.join(300)
    assert Counter(line.split()[1] for line in said.read_text().splitlines()) == {"done": 4}
    assert ReplayStore(url).counts()["finished"] == 4


def test_the_vectors_stand_where_pgvector_finds_them(server: Server, url: str) -> None:
    store = ReplayStore(url)
    task = write(store, a_run(verdict=PASSED)).task.text
    store.embed_all()
    vector = store.embedder.embed([task])[0].tolist()
    schema = url.rpartition("=")[2]
    assert server.ask(f"SELECT meaning <#> '{vector}' FROM {schema}.embeddings") == [(pytest.approx(-1.0),)]


def test_many_vectors_get_an_index_that_answers_as_looking_at_each_does(
    server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.setattr(postgres_store, "INDEX_FROM", 100)
    store = ReplayStore(url)
    texts = [f"{what} for {whom} in {when}" for what in ("bees", "bikes", "bread", "jazz", "lava")
             for whom in ("children", "bankers", "nurses", "sailors")
             for when in ("spring", "summer", "autumn", "winter", "May", "June")]
    store.add([a_run(text, verdict=PASSED) for text in texts])
    store.embed_all()
    (wanted,) = store.embedder.embed(["jazz for sailors in July"])
    exact = np.argsort(-(store.embedder.embed(texts) @ wanted))[:5]
    assert store.ready() == 0
    found = store.by_meaning(wanted, limit=20)
    assert [task for task, _, _ in found[:5]] == [Task.of(texts[n]).id for n in exact]
    with store._database.reading() as connection:
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
        plan = connection.exec_driver_sql(
            "EXPLAIN SELECT task FROM embeddings WHERE model = 'wordllama-l2-256' ORDER BY meaning::halfvec(256) <#> "
            f"'{wanted.tolist()}'::halfvec(256) LIMIT 20").scalars().all()
    assert any("Index Scan using meaning_" in line for line in plan)


def test_what_is_common_is_seen_from_a_sample(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsearch, "FEW", 0)
    store = ReplayStore(url)
    store.add([a_run(f"Make a deck for the team {n}", verdict=PASSED) for n in range(3_000)]
              + [a_run("Make decks for the team about zymurgy", id="rare", verdict=PASSED)])
    with store._database.reading() as connection:
        _, met = store._database._words.met(connection, ["decks", "zymurgy", "nothing"])
    assert {word.query for word in met[:2]} == {"'zymurgi'", "'noth'"}
    assert max(word.tasks for word in met[:2]) < 50
    assert met[2].tasks == pytest.approx(3_001, rel=0.2)
    assert len(store.by_words("a deck for the zymurgy team", limit=5)) == 1


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_few_tasks_are_found_in_memory_as_the_server_finds_them(
    url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = random.Random(seed)
    words = ["the", "team", "deck", "decks", "make", "making", "über", "Zürich", "x_y", "2026", "don't", "e-mail", "茶",
             *(f"word{n}" for n in range(200))]

    def some_text(longest: int = 12) -> str:
        return " ".join(words[int(len(words) * drawing.random() ** 4)] for _ in range(drawing.randint(1, longest)))

    def by_server() -> list[list[tuple[str, float]]]:
        with monkeypatch.context() as patch:
            patch.setattr(tsearch, "FEW", 0)
            store = ReplayStore(url)
            found = [store.by_words(text, limit=20) for text in asked]
        assert isinstance(store._database._words._tasks, tsearch.OnServer)
        store.close()
        return found

    store, other = ReplayStore(url), ReplayStore(url)
    store.add([a_run(text) for text in dict.fromkeys(some_text() for _ in range(900))])
    asked = ["the team", "team", *(some_text(8) for _ in range(80))]
    assert [store.by_words(text, limit=20) for text in asked] == by_server()
    assert isinstance(store._database._words._tasks, tsearch.InMemory)

    other.add([a_run(text) for text in dict.fromkeys(some_text() for _ in range(100))])
    assert [store.by_words(text, limit=20) for text in asked] == by_server(), "what another process added is seen"

    monkeypatch.setattr(tsearch, "FEW", 950)
    assert [store.by_words(text, limit=20) for text in asked] == by_server()
    assert isinstance(store._database._words._tasks, tsearch.OnServer), "there are too many by now"


def test_tasks_that_two_threads_fetched_are_taken_into_memory_once() -> None:
    tasks = tsearch.InMemory()
    rows = [(1, "a", "Make tea", "make tea"), (3, "b", "More tea", "more tea")]
    for fetched in (rows[:1], rows, rows[:1], []):
        tasks.take(fetched)
    assert (tasks.last, tasks.holding("tea"), tasks.holding("bees")) == (3, 2, 0)


def test_what_is_asked_often_stays_planned(url: str) -> None:
    store = ReplayStore(url)
    write(store, a_run("Make tea", verdict=PASSED))

    def ask() -> list[str]:
        store.by_words("tea", limit=5)
        store.get_all(["none"])
        with store._database.reading() as connection:
            return list(connection.exec_driver_sql("SELECT name FROM pg_prepared_statements ORDER BY 1").scalars())

    before = ask()
    assert before
    assert set(before) <= set(ask())
