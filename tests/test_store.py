import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from autorl.errors import StoreUnavailable, UsageError
from autorl.replay import database, sqlite
from autorl.replay.store import ReplayStore
from autorl.types import Status, Trajectory
from tests import children
from tests.conformance.stores import StoreSuite, write
from tests.conformance.upkeep import UpkeepSuite
from tests.worlds import PASSED, a_run, a_step


class TestSQLite(StoreSuite, UpkeepSuite):
    """`open_store` and `store` are those of conftest.py."""


def wait_for(path: Path, text: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not (path.is_file() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} never came"
        time.sleep(0.01)


# Where it is.


def test_the_store_is_in_autorl_home_unless_it_is_named(home: Path, tmp_path: Path) -> None:
    assert ReplayStore().where == home / "replay.db"
    assert ReplayStore("a/b.db").where == Path.cwd() / "a" / "b.db"
    assert ReplayStore(f"sqlite:///{tmp_path}/c.db").where == tmp_path / "c.db"


@pytest.mark.parametrize(("where", "problem"), [
    ("mysql://host/db", "of a kind that is not supported"), (".", r"is a folder.*replay.db"),
])
def test_a_store_that_cannot_be_is_refused(where: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        ReplayStore(where)


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to, root neither."""
    if os.geteuid() == 0:
        yield Path("/proc/self")
        return
    folder = tmp_path / "unwritable"
    folder.mkdir()
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


def test_a_folder_that_cannot_be_written_is_named_with_another_way(unwritable: Path) -> None:
    for where in (unwritable / "replay.db", unwritable / "below" / "replay.db"):
        with pytest.raises(StoreUnavailable, match=r"cannot be opened: .*AUTORL_STORE=FILE or AUTORL_HOME=FOLDER"):
            ReplayStore(where)


def test_a_closed_store_says_so(store: ReplayStore) -> None:
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        store.began(a_run())


# What else may lie there.


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE accounts (name TEXT)")
    with pytest.raises(StoreUnavailable, match=r"database of another program \(it holds 'accounts'\)"):
        ReplayStore(path)
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["accounts"]


@pytest.mark.parametrize("content", [
    b"just a text\n" * 50, os.urandom(5_000), b"SQLite format 3\x00" + b"\xff" * 5_000,
], ids=["text", "noise", "damaged head"])
def test_a_file_that_is_no_database_is_left_alone(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"file\.db failed: .*damaged. .*replay salvage .* NEW. Or move .* away"):
        ReplayStore(path)
    assert path.read_bytes() == content


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert ReplayStore(path).counts() == {"passed": 0}


def test_damage_is_told_and_never_taken_for_data(store: ReplayStore, tmp_path: Path) -> None:
    for n in range(60):
        write(store, a_run(f"Task {n} {'word ' * 100}", [a_step(), a_step()], id=f"run-{n}", verdict=PASSED))
    store.close()
    whole = store.where.read_bytes()
    dice = random.Random(7)
    noticed = 0
    for n in range(12):
        path = tmp_path / f"damaged-{n}.db"
        position = dice.randrange(8_192, len(whole) - 4_096) // 4_096 * 4_096
        path.write_bytes(whole[:position] + dice.randbytes(4_096) + whole[position + 4_096 :])
        try:
            damaged = ReplayStore(path)
            problems = damaged.check()
            for summary in damaged.newest(limit=100):
                damaged.get(summary.id)
        except StoreUnavailable:
            noticed += 1
        else:
            noticed += bool(problems)
    assert noticed == 12


@pytest.mark.parametrize("change", [
    "UPDATE steps SET body = '{\"surprise\": 1}'", "UPDATE steps SET body = substr(body, 1, 40)",
    "UPDATE steps SET body = '{}' || substr(body, 3)", "UPDATE observations SET body = body || ' {}'",
    f"UPDATE observations SET body = '{'[' * 100_000}'", "UPDATE runs SET seconds = 'long'",
    "UPDATE artifacts SET bytes = 1e400", "UPDATE runs SET started = 'yesterday'",
    "UPDATE runs SET provenance = 'no json'", "UPDATE steps SET body = x'ff00'",
], ids=lambda change: change[7:50])
def test_a_row_that_does_not_fit_its_type_is_told(change: str, store: ReplayStore) -> None:
    run, other = (write(store, a_run(name, verdict=PASSED, id=name)) for name in ("one", "two"))
    with sqlite3.connect(store.where) as connection:
        table = change.split()[1]
        connection.execute(f"{change} WHERE {'id' if table == 'runs' else 'run'} = 'one'")
    with pytest.raises(StoreUnavailable, match="holds a row that cannot be read"):
        store.get(run.id)
    assert store.get(other.id) == other


def test_a_store_from_half_a_copy_is_told(store: ReplayStore, tmp_path: Path) -> None:
    for n in range(30):
        write(store, a_run(f"Task {n}", [a_step()] * 3))
    store.close()
    whole = store.where.read_bytes()
    path = tmp_path / "half.db"
    path.write_bytes(whole[: len(whole) // 2])
    try:
        half = ReplayStore(path)
        for summary in half.newest(limit=100):
            half.get(summary.id)
        noticed = bool(half.check())
    except StoreUnavailable:
        noticed = True
    assert noticed


# A full disk.


def fill(store: ReplayStore) -> list[Trajectory]:
    """Write until there is no room; what was acknowledged comes back."""
    acknowledged: list[Trajectory] = []
    with pytest.raises(StoreUnavailable, match=r"Make room on the disk of .*replay.*the run can be resumed"):
        for n in range(5_000):
            run = write(store, a_run(f"Task {n}", [a_step(observation="x" * 3_000)], id=f"run-{n}"))
            acknowledged.append(run)
    return acknowledged


def test_a_full_database_keeps_what_was_acknowledged_and_goes_on_when_there_is_room(store: ReplayStore) -> None:
    write(store, a_run())
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100")
    acknowledged = fill(store)
    assert acknowledged
    assert all(store.get(run.id) == run for run in acknowledged)
    assert store.check() == []
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 100000")
    later = write(store, a_run("Later"))
    assert store.get(later.id) == later


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """A real one, where this user may mount a small one; else files that may not grow."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False).returncode
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        store = ReplayStore(folder / "replay.db")
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        acknowledged = fill(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert acknowledged
        assert all(store.get(run.id) == run for run in acknowledged)
        store.close()
        shutil.copytree(folder, tmp_path / "copy")
        copy = ReplayStore(tmp_path / "copy" / "replay.db")
        assert copy.check() == []
        assert all(copy.get(run.id) == run for run in acknowledged)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


# A place that is no good place.


def test_a_file_that_may_only_be_read_is_told_with_the_remedy(store: ReplayStore) -> None:
    run = write(store, a_run())
    with store._database.writing() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")  # what SQLite then says is what a read-only file gives
    with pytest.raises(StoreUnavailable, match=r"readonly database.*Let yourself write to .*AUTORL_STORE=FILE"):
        store.began(a_run())
    assert store.get(run.id) == run


def test_a_network_folder_is_told(store: ReplayStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.notes() == []
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\nserver:/y {tmp_path}/ho nfs rw 0 0\n")
    monkeypatch.setattr(sqlite, "MOUNTS", mounts)
    ((told, remedy),) = store.notes()
    assert "network folder (nfs4)" in told
    assert "PostgreSQL" in remedy


# Other processes.


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_nine(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "replay.db", tmp_path / "acknowledged"
    dice = random.Random(1)
    ReplayStore(path).close()
    for round_ in range(24):
        child = children.started(children.write_steps, path, acknowledged)
        children.wait_for_more(acknowledged, dice.randint(1, 30))
        time.sleep(dice.random() * 0.01)
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        if round_ % 6 == 5:
            assert ReplayStore(path).check() == []
    lines = [line.split() for line in acknowledged.read_text().splitlines()]
    store = ReplayStore(path)
    kept = {name: store.get(name) for name in {line[0] for line in lines}}
    assert len(lines) > 200
    for name, kind, index in lines:
        if kind != "began":
            step = kept[name].steps[int(index)]
            assert step.action == a_step().action
            assert step.observation is not None or kind == "decided"
    assert store.check() == []
    assert store.counts().get("running", 0) == 0, "the dead writers' runs were reaped"


@pytest.mark.slow
def test_four_processes_of_sixty_four_threads_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path, said = tmp_path / "replay.db", tmp_path / "said"
    writers = [children.started(children.write_runs, path, f"p{n}", 64, 2, said) for n in range(4)]
    for writer in writers:
        writer.join(120)
    assert sorted(said.read_text().splitlines()) == [f"p{n} done" for n in range(4)]
    store = ReplayStore(path)
    assert store.counts() == {"finished": 512, "passed": 0}
    assert all(len(store.get(s.id).steps) == 2 for s in store.newest(limit=600))
    assert store.check() == []


def test_a_store_that_is_held_by_another_process_is_told_after_a_while(
    store: ReplayStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write(store, a_run())
    holder = children.started(children.hold_the_lock, store.where, tmp_path / "said")
    wait_for(tmp_path / "said", "held")
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    with pytest.raises(StoreUnavailable, match=r"locked by another process for 0.3 s.*End that process"):
        store.began(a_run())
    assert store.get(run.id) == run, "reading goes on"
    holder.kill()
    holder.join()
    store.began(a_run())


def test_runs_whose_process_died_are_reaped_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    path, said = tmp_path / "replay.db", tmp_path / "said"
    mine = write(ReplayStore(path), a_run(status=Status.RUNNING))
    child = children.started(children.write_steps, path, said)
    wait_for(said, "observed 4")
    alive = ReplayStore(path)
    running = alive.counts()["running"]
    assert running >= 2
    assert "failed" not in alive.counts()
    child.kill()
    child.join()
    store = ReplayStore(path)
    assert store.get(mine.id).status is Status.RUNNING
    assert store.counts()["running"] == 1
    left = store.get(said.read_text().split()[0])
    assert (left.status, left.reason) == (Status.FAILED, "its process ended before the run did")
    assert store.reopen(left.id).steps == left.steps


def test_two_processes_that_make_the_store_at_once_make_it_once(tmp_path: Path) -> None:
    path, said = tmp_path / "new" / "replay.db", tmp_path / "said"
    writers = [children.started(children.write_runs, path, f"p{n}", 1, 1, said) for n in range(4)]
    for writer in writers:
        writer.join(300)
    assert Counter(line.split()[1] for line in said.read_text().splitlines()) == {"done": 4}
    assert ReplayStore(path).counts()["finished"] == 4


def test_a_run_that_is_going_on_cannot_be_taken_up_a_second_time(store: ReplayStore) -> None:
    run = a_run()
    store.began(run)
    with pytest.raises(UsageError, match="going on already"):
        store.began(run)
