"""Stores of every version there was, brought up to date on both databases."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from autorl.errors import StoreUnavailable
from autorl.replay import database, schema
from autorl.replay.store import ReplayStore
from autorl.types import Artifact, Observation, Provenance, Status
from tests import children, postgres
from tests.conformance.stores import write
from tests.worlds import FAILED, PASSED, a_run, a_step

server, url = postgres.server, postgres.url
MIGRATIONS = Path(database.__file__).parent / "migrations"
GOOD = a_run("Make a deck about bees", [a_step(), a_step()], id="good", verdict=PASSED,
             provenance=Provenance(model="local", format="react", adapter="a1", tools_hash="t1", source="team"))
TAINTED = a_run("Read a page", [a_step(tainted=True)], id="tainted", verdict=PASSED, recalled=["good"])
FAILURE = a_run("Make a deck about wasps", id="failure", verdict=FAILED, recalled=["good"])
STUCK = a_run("Make a deck about ants", id="stuck", status=Status.STUCK)
RUNS = (GOOD, TAINTED, FAILURE, STUCK)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a store on either database."""
    return str(tmp_path / "replay.db") if request.param == "sqlite" else request.getfixturevalue("url")


def alembic() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def bare(where: str) -> Iterator[sa.Connection]:
    """A connection that knows nothing of the store."""
    if not where.startswith("postgresql"):
        engine = sa.create_engine(f"sqlite:///{where}")
    else:
        address = sa.make_url(where)
        name = address.query["schema"]
        engine = sa.create_engine(address.difference_update_query(["schema"]),
                                  connect_args={"options": f"-csearch_path={name},public"})
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {name}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _upgrade(where: str, revision: str) -> None:
    from alembic import command

    with bare(where) as connection:
        config = alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def store_of(where: str, revision: str) -> None:
    """What the released version left behind: its tables, with `RUNS` in them, written by the first one."""
    _upgrade(where, "0001")
    tables = sa.MetaData()
    with bare(where) as connection:
        tables.reflect(connection, resolve_fks=False)

        def add(table: str, **row: Any) -> None:
            connection.execute(tables.tables[table].insert(), row)

        for run in RUNS:
            add("tasks", id=run.task.id, body=run.task.model_dump_json(), text=run.task.text)
            add("runs", id=run.id, task=run.task.id, status=run.status.value, reason=run.reason, answer=run.answer,
                trust="quarantined" if run.tainted else "trusted", tools=json.dumps(["ping"]),
                provenance=run.provenance.model_dump_json(), owner="", started=run.started.isoformat(),
                seconds=run.seconds)
            for step in run.steps:
                body = step.model_copy(update={"observation": None})
                add("steps", run=run.id, step=step.index, body=body.model_dump_json())
                seen = step.observation or Observation(text="")
                add("observations", run=run.id, step=step.index, body=seen.model_dump_json())
            for verdict in [FAILED, run.verdict] if run.verdict else []:
                add("verdicts", run=run.id, verifier=verdict.verifier, passed=verdict.passed, score=verdict.score,
                    body=verdict.model_dump_json(), created=run.started.isoformat())
            for shown in run.recalled:
                add("injections", run=run.id, rank=shown.rank, exemplar=shown.run, origin=shown.origin,
                    score=shown.score)
            for made in run.artifacts:
                add("artifacts", run=run.id, **made.model_dump())
        add("embeddings", task=GOOD.task.id, model="old", vector=b"\0" * 8)
    _upgrade(where, revision)
    if revision == "0003":
        with bare(where) as connection:
            connection.exec_driver_sql("INSERT INTO policies (id, base, dataset, created) VALUES "
                                       "('policy@1', 'local', 'd', '2026-01-01T00:00:00+00:00')")
            connection.exec_driver_sql("INSERT INTO policy_runs (policy, run) VALUES ('policy@1', 'good')")


@pytest.mark.parametrize("revision", database.KNOWN[:-1])
def test_a_store_of_an_earlier_version_is_brought_up_to_date_and_loses_nothing(where: str, revision: str) -> None:
    store_of(where, revision)
    store = ReplayStore(where)
    assert [store.get(run.id) for run in RUNS] == list(RUNS)
    (candidate,) = store.candidates()
    assert (candidate.run, candidate.steps, candidate.wins, candidate.shown, candidate.source) == \
        ("good", 2, 1, 2, "team")
    assert candidate.tools == {"ping"}
    assert [candidate] == store.best([GOOD.task.id], ["ping", "fly"])
    assert store.best([GOOD.task.id], ["fly"]) == []
    assert store.counts() == {"finished": 3, "stuck": 1, "passed": 2}
    assert [summary.id for summary in store.search("bees")] == ["good"]
    assert {summary.id for summary in store.newest(passed=True)} == {"good", "tainted"}
    new = write(store, a_run("Something new", verdict=PASSED))
    assert store.get(new.id) == new
    assert store.check() == []
    with bare(where) as connection:
        row = connection.exec_driver_sql(
            "SELECT format, model, adapter, tools_hash, passed, length FROM runs WHERE id = 'good'").one()
        assert (*row,) == ("react", "local", "a1", "t1", True, 2)


def test_policies_of_the_version_before_can_be_promoted(where: str) -> None:
    store_of(where, "0003")
    store = ReplayStore(where)
    (kept,) = store.policies()
    assert (kept.id, kept.base, kept.runs, kept.deleted) == ("policy@1", "local", ("good",), None)
    assert store.promoted("local") is None
    store.promote("local", "policy@1", why="better", who="me")
    assert store.promoted("local") == "policy@1"


def test_a_file_may_have_more_bytes_than_32_bits_count(where: str) -> None:
    store = ReplayStore(where)
    large = Artifact(path="film.mp4", sha256="0" * 64, bytes=5_000_000_000)
    write(store, a_run(id="large", artifacts=(large,)))
    assert store.get("large").artifacts == (large,)


def test_a_row_that_cannot_be_read_does_not_stop_a_migration(where: str) -> None:
    store_of(where, "0001")
    with bare(where) as connection:
        connection.exec_driver_sql("UPDATE runs SET provenance = 'no json' WHERE id = 'good'")
        connection.exec_driver_sql("UPDATE runs SET provenance = '{\"model\": \"\\u0000\\ud800\"}' WHERE id = 'stuck'")
    store = ReplayStore(where)
    assert store.get("tainted") == TAINTED
    with pytest.raises(StoreUnavailable, match="holds a row that cannot be read"):
        store.get("good")


@pytest.mark.slow
def test_processes_that_find_an_old_store_at_once_bring_it_up_once(where: str, tmp_path: Path) -> None:
    store_of(where, "0001")
    said = tmp_path / "said"
    writers = [children.started(children.write_runs, where, f"p{n}", 2, 1, said) for n in range(4)]
    for writer in writers:
        writer.join(300)
    assert sorted(said.read_text().split()) == sorted([f"p{n}" for n in range(4)] + ["done"] * 4)
    store = ReplayStore(where)
    assert store.counts()["finished"] == 3 + 8
    assert store.get("good") == GOOD


def test_a_migration_that_breaks_off_leaves_the_store_as_it_was(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    store_of(where, "0001")
    whole = op.create_index

    def broken(name: str, *rest: Any, **more: Any) -> None:
        if name == "recallable_by_source":
            raise KeyboardInterrupt
        whole(name, *rest, **more)

    monkeypatch.setattr(op, "create_index", broken)
    with pytest.raises(KeyboardInterrupt):
        ReplayStore(where)
    with bare(where) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"
        assert "recallable" not in sa.inspect(connection).get_table_names()
    monkeypatch.undo()
    assert [ReplayStore(where).get(run.id) for run in RUNS] == list(RUNS)


@pytest.mark.parametrize(("damage", "told"), [
    ("UPDATE alembic_version SET version_num = '9999'", r"made by a newer autorl.*'9999'.*pip install -U"),
    ("DELETE FROM alembic_version", r"half migrated: it says version nothing.*backup"),
    ("DROP TABLE records", r"half migrated: it says version 0004 and lacks records.*backup"),
    ("ALTER TABLE runs DROP COLUMN length", r"half migrated: .* lacks runs.length.*salvage"),
])
def test_a_store_that_is_not_of_this_version_is_told_and_left_alone(where: str, damage: str, told: str) -> None:
    store = ReplayStore(where)
    write(store, a_run(id="kept"))
    store.close()
    with bare(where) as connection:
        connection.exec_driver_sql(damage)
    with pytest.raises(StoreUnavailable, match=told):
        ReplayStore(where)
    with bare(where) as connection:
        assert connection.exec_driver_sql("SELECT id FROM runs").scalars().all() == ["kept"]


def test_the_newest_migration_is_the_one_the_code_expects() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic())
    assert scripts.get_heads() == [schema.HEAD]
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == database.KNOWN


def test_a_migrated_store_has_the_tables_that_the_code_expects(where: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def ours(name: str | None, kind: str, _: object) -> bool:
        # What each database searches by is its own.
        return not (name or "").startswith(("task_words", "tasks_by_words", "runs_by_prefix", "alembic_version"))

    def shared(_: object, name: str | None, kind: str, reflected: bool, __: object) -> bool:
        return not (kind == "column" and reflected and name in ("words", "meaning"))

    with warnings.catch_warnings(), ReplayStore(where)._database.reading() as connection:
        warnings.filterwarnings("ignore", "Did not recognize type 'vector'")
        context = MigrationContext.configure(connection, opts={
            "include_name": ours, "include_object": shared, "compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == schema.HEAD
