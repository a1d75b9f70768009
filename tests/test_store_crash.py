"""What eval/store_crash.py measures, in small; and that its audit sees what is wrong with a store."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

from crash import Findings, Siege, audit, kill_server_process
from crash.load import CAPS, SHARED, Writer, judged, planned
from crash.log import Log, Said, read

from autorl.replay.store import ReplayStore
from tests import postgres
from tests.postgres import Server

server, url = postgres.server, postgres.url


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "replay.db") if request.param == "sqlite" else request.getfixturevalue("url")


@pytest.fixture
def besieged(where: str, tmp_path: Path) -> Iterator[Siege]:
    siege = Siege(where, tmp_path / "siege")
    yield siege
    siege.stop()


def sound(found: Findings) -> bool:
    assert (found.lost, found.torn, found.inconsistent, found.refused) == ([], [], [], [])
    return True


@pytest.mark.slow
def test_what_was_acknowledged_survives_ten_kills_under_every_kind_of_load(besieged: Siege) -> None:
    besieged.go_on(5, pause=0.1)
    assert sound(besieged.audit())
    besieged.go_on(3, pause=0.1)
    found = besieged.audit()
    assert sound(found)
    assert besieged.kills == 10
    assert found.acknowledged > 200
    assert found.resumed > 0
    assert {call.do for call in besieged.said().calls if call.acknowledged} >= {
        "began", "decided", "observed", "ended", "files", "add", "judged", "trust"}


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_server_that_is_killed_under_load(tmp_path: Path) -> None:
    mine = Server()
    try:
        siege = Siege(mine.url, tmp_path / "siege")
        siege.go_on(2, lambda: kill_server_process(mine.ask, siege.dice), pause=0.1)
        mine.crash()
        mine.start()
        siege.wait_for_writes()
        found = siege.audit()
        siege.stop()
        assert sound(found)
        assert found.acknowledged > 20
    finally:
        mine.stop()


# An audit that finds nothing must be able to.


@pytest.fixture
def written(store: ReplayStore, tmp_path: Path) -> Said:
    """What a single writer, whom nobody killed, did to `store`."""
    store.add([planned(name).model_copy(update={"verdict": judged(name, f"{name} add")}) for name in SHARED])
    for source, most in CAPS.items():
        store.cap(source, most)
    writer = Writer(store, Log(tmp_path / "w.log"), "w", tmp_path)
    for turn, times in ((writer.run, 25), (writer.add, 6), (writer.change_shared, 12), (writer.others, 15)):
        for _ in range(times):
            turn()
    return read([tmp_path / "w.log"])


def test_a_store_that_nobody_killed_is_sound(written: Said, store: ReplayStore) -> None:
    found = audit(store, written)
    assert sound(found)
    assert found.acknowledged == len(written.calls) > 200
    assert found.runs > 60


STEP_BY_STEP = "(SELECT max(id) FROM runs WHERE owner <> '' AND length > 2 AND status = 'finished')"


@pytest.mark.parametrize(("kind", "damage"), [
    ("lost", f"DELETE FROM steps WHERE step = 2 AND run = {STEP_BY_STEP}"),
    ("lost", f"UPDATE steps SET body = replace(body, 'raw', 'row') WHERE step = 1 AND run = {STEP_BY_STEP}"),
    ("lost", f"DELETE FROM observations WHERE step = 0 AND run = {STEP_BY_STEP}"),
    ("torn", f"DELETE FROM steps WHERE step = 0 AND run = {STEP_BY_STEP}"),
    ("lost", f"UPDATE runs SET status = 'failed', reason = 'its process ended before the run did' "
             f"WHERE id = {STEP_BY_STEP}"),
    ("torn", f"UPDATE runs SET answer = '' WHERE id = {STEP_BY_STEP}"),
    ("lost", "DELETE FROM verdicts WHERE id = (SELECT min(id) FROM verdicts WHERE run NOT LIKE 'shared%')"),
    ("torn", "INSERT INTO verdicts (run, verifier, passed, score, body, created) "
             "SELECT run, verifier, passed, score, body, created FROM verdicts ORDER BY id LIMIT 1"),
    ("lost", "DELETE FROM trust_changes WHERE who = 'siege'"),
    ("torn", "CREATE TEMP TABLE x AS SELECT * FROM runs LIMIT 1; UPDATE x SET id = 'x'; "
             "INSERT INTO runs SELECT * FROM x"),
    ("inconsistent", "UPDATE runs SET passed = NOT passed WHERE passed IS NOT NULL"),
    ("inconsistent", "DELETE FROM recallable"),
    ("inconsistent", "UPDATE recallable SET score = 0.123456"),
    ("inconsistent", "UPDATE records SET wins = wins + 1"),
    ("inconsistent", "UPDATE runs SET trust = 'revoked' WHERE trust = 'trusted'"),
    ("inconsistent", "DELETE FROM embeddings"),
    ("inconsistent", "UPDATE embeddings SET vector = zeroblob(1024) WHERE number = 3"),
    ("inconsistent", "DELETE FROM embeddings WHERE number = 3"),
    ("inconsistent", "UPDATE records SET expected = -1"),
    ("lost", "DELETE FROM policy_runs; DELETE FROM policies"),
])
def test_the_audit_sees(kind: str, damage: str, written: Said, store: ReplayStore) -> None:
    with store._database.writing() as connection:
        for command in damage.split(";"):
            assert connection.exec_driver_sql(command).rowcount, "the damage is done"
    assert getattr(audit(store, written), kind)


def test_the_audit_sees_that_the_last_writes_are_gone(written: Said, store: ReplayStore, tmp_path: Path) -> None:
    store.close()
    before = Path(store.where).read_bytes()
    again = ReplayStore(store.where)
    writer = Writer(again, Log(tmp_path / "v.log"), "v", tmp_path)
    for _ in range(5):
        writer.run()
    again.close()
    Path(store.where).write_bytes(before)
    found = audit(ReplayStore(store.where), read([tmp_path / "v.log", tmp_path / "w.log"]))
    assert any(problem.startswith("vn") and "the run is not there" in problem for problem in found.lost)
