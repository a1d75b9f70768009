"""Runs out of a store and into one."""

import hashlib
import io
import json
import os
import shutil
import signal
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autorl.content import load_pack
from autorl.errors import StoreUnavailable, UsageError
from autorl.registry import Toolset
from autorl.replay import files
from autorl.replay.exchange import Exported, Imported, export, exporting, import_runs, lines, written
from autorl.replay.schema import metadata
from autorl.replay.store import ReplayStore
from autorl.types import (
    ENDS,
    FINISH,
    Artifact,
    Observation,
    Provenance,
    Status,
    Step,
    Task,
    Trajectory,
    Verdict,
)
from tests import children, postgres
from tests.worlds import FAILED, OBSERVATIONS, PASSED, STEPS, TEXT, a_run, a_step

FEW = settings(max_examples=15, suppress_health_check=[*settings().suppress_health_check,
                                                       HealthCheck.function_scoped_fixture])
DATA = Path(__file__).parent / "data"
server = postgres.server


class Fresh:
    """Gives an empty store at each call. `empty` makes one at a numbered place, or empties it, and tells where."""

    def __init__(self, empty: Callable[[int], str], places: int) -> None:
        self.empty, self.places = empty, places
        self.open: dict[int, tuple[ReplayStore, str]] = {}
        self.calls = 0

    def __call__(self) -> ReplayStore:
        place = self.calls % self.places
        self.calls += 1
        if place in self.open:
            self.open[place][0].close()
        where = self.empty(place)
        self.open[place] = ReplayStore(where), where
        return self.open[place][0]

    def where(self, store: ReplayStore) -> str:
        return next(where for opened, where in self.open.values() if opened is store)

    def close(self) -> None:
        for store, _ in self.open.values():
            store.close()


def import_file(where: str, file: Path) -> None:
    with file.open("rb") as stream:
        import_runs(ReplayStore(where), stream, source="file", believe="everything")


def out_of(store: ReplayStore, form: Any = "autorl", **options: Any) -> bytes:
    to = io.BytesIO()
    export(store, to, form, **{"load_pack": load_pack, "good": False, **options})
    return to.getvalue()


def into(store: ReplayStore, text: bytes | str | list[Any], **options: Any) -> Imported:
    if isinstance(text, list):
        text = "\n".join(json.dumps(row) for row in text)
    stream = io.BytesIO(text if isinstance(text, bytes) else text.encode())
    return import_runs(store, stream, **{"source": "file", **options})


def all_of(store: ReplayStore) -> dict[str, Any]:
    """Whatever can be asked of a store, but for what is made again."""
    ids = sorted(summary.id for summary in store.newest(limit=10_000))
    stats = {name: value for name, value in store.stats().items() if name not in ("bytes", "embeddings")}
    return {
        "runs": {run: (store.get(run), store.summary(run), store.trust_changes(run), store.pruned(run),
                       store.policies_of(run), store.record(run)) for run in ids},
        "verdicts": {kept.run.id: kept.verdicts for kept in store.each()},
        "candidates": sorted(store.candidates(), key=lambda c: c.run), "counts": store.counts(), "stats": stats,
        "seed": store.record("seed"), "order": [summary.id for summary in store.newest(limit=10_000)],
    }


# A store with a past.

OTHER = Verdict(verifier="other@2", passed=True, score=0.7, why="it did")
NAMED = st.integers(0, 5).map("run-{}".format)
HISTORY = st.lists(st.one_of(
    st.tuples(st.just("judge"), NAMED, st.sampled_from([PASSED, FAILED, OTHER])),
    st.tuples(st.just("trust"), NAMED, st.tuples(st.sampled_from(["trusted", "quarantined", "revoked"]), TEXT)),
    st.tuples(st.just("cap"), st.sampled_from(["local", "team", "ünï"]), st.sampled_from([0, 1, 2, None])),
    st.tuples(st.just("train"), NAMED, st.sampled_from(["one@1", "two@1"])),
    st.tuples(st.just("prune"), NAMED, st.none()),
), max_size=12)
RUNS = st.lists(st.tuples(
    st.sampled_from(sorted(ENDS)), st.lists(STEPS, max_size=3), st.sampled_from(["local", "team", "ünï"]),
    st.sampled_from([None, PASSED, FAILED]), st.lists(st.one_of(NAMED, st.just("seed")), max_size=3),
    st.sampled_from(["Make tea", "Make coffee", Task(text="Brew", id="t", verifier="v", requirements={"n": [1, {}]})]),
    st.integers(0, 3), TEXT), min_size=1, max_size=6)


def live(store: ReplayStore, made: list[Any], history: list[Any]) -> None:
    """Give the store a past."""
    for number, (status, steps, source, verdict, recalled, task, many, reason) in enumerate(made):
        store.add([a_run(
            task, steps, id=f"run-{number}", status=status, verdict=verdict, reason=reason, recalled=recalled,
            started=datetime(2026, 1, 1 + number, 12, tzinfo=UTC) + timedelta(microseconds=number),
            provenance=Provenance(source=source, model="m", settings={"k": 2, "deep": [{"a": None}]}),
            artifacts=tuple(Artifact(path=f"d/{n}.pptx", sha256=f"{n}" * 64, bytes=n) for n in range(many)))])
    for what, name, value in history:
        if what == "cap":
            store.cap(name, value)
        elif int(name.removeprefix("run-")) >= len(made):
            continue
        elif what == "judge":
            store.judged(name, value)
        elif what == "trust":
            store.trust(name, value[0], value[1], "anna")
        elif what == "train":
            store.keep_policy(value, base="local", trained_on=[name])
        else:
            some = store.prunable(timedelta(days=1), unverified=True)
            store.prune(type(some)(tuple(run for run in some.runs if run == name), 1))


class ExchangeSuite:
    """Needs the fixture `fresh`, which gives another empty store at each call."""

    @FEW
    @given(RUNS, HISTORY)
    def test_export_then_import_gives_an_equal_store(self, fresh: Fresh, made: list[Any], history: list[Any]) -> None:
        one, other = fresh(), fresh()
        live(one, made, history)
        text = out_of(one)
        done = into(other, text, believe="everything")
        assert (done.problems, done.cut_off, done.new, done.there) == ([], "", len(made), 0)
        assert all_of(other) == all_of(one)
        assert out_of(other) == text
        again = into(other, text, believe="everything")
        assert (again.problems, again.new, again.there) == ([], 0, len(made))
        assert all_of(other) == all_of(one)

    def test_of_a_capped_source_the_same_runs_may_be_recalled(self, fresh: Fresh) -> None:
        one, other = fresh(), fresh()
        one.cap("team", 1)
        for run, text in (("b", "Make tea"), ("a", "Make coffee"), ("c", "Make soup")):
            one.add([a_run(text, id=run, verdict=PASSED, provenance=Provenance(source="team"))])
        done = into(other, out_of(one), believe="everything")
        assert done.over_cap == 2
        assert [c.run for c in other.candidates()] == [c.run for c in one.candidates()] == ["b"]

    @FEW
    @given(st.lists(st.lists(st.tuples(STEPS, OBSERVATIONS), max_size=4), max_size=4), TEXT.filter(str.strip))
    def test_messages_there_and_back_tell_the_same_tasks_actions_and_observations(
        self, fresh: Fresh, made: list[list[tuple[Step, Observation]]], answer: str
    ) -> None:
        def told(run: Trajectory) -> Any:
            return [(s.action, s.observation and s.observation.text, s.action.name != FINISH and s.thought)
                    for s in run.steps if s.action]

        end = a_step(name=FINISH, answer=answer, observation=answer)
        runs = [a_run(f"Task {number}", [*(s.model_copy(update={"observation": seen}) for s, seen in steps), end],
                      answer=answer) for number, steps in enumerate(made)]
        for form in ("trl", "openai"):
            one, other = fresh(), fresh()
            one.add(runs)
            text = out_of(one, form)
            kept = [json.loads(line)["messages"][0]["content"] for line in text.splitlines()]
            if form == "openai":
                assert len(kept) == len(runs)
            done = into(other, text)
            assert (done.problems, done.new) == ([], len(kept))
            back = {run.task.text: run for run in (k.run for k in other.each())}
            for run in runs:
                if run.task.text in kept:
                    assert told(back[run.task.text]) == told(run)
                    assert (back[run.task.text].status, back[run.task.text].answer) == (Status.FINISHED, answer)
            assert into(other, text).there == len(kept)

    def test_an_import_that_was_killed_is_done_again_and_nothing_is_lost_or_doubled(
        self, fresh: Fresh, tmp_path: Path
    ) -> None:
        one, other = fresh(), fresh()
        one.add([a_run(f"Task {n}", [a_step(), a_step()], id=f"run-{n:05d}", verdict=PASSED,
                       recalled=[f"run-{n - 1:05d}"] if n else []) for n in range(1_000)])
        text = out_of(one)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        child = children.started(import_file, fresh.where(other), pipe)
        with pipe.open("wb") as to:
            to.write(text[: len(text) * 4 // 5])
            to.flush()
            deadline = time.monotonic() + 60
            while not other.counts().get("finished"):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
        there = other.counts()["finished"]
        assert 0 < there < 1_000
        done = into(other, text, believe="everything")
        assert (done.new, done.there, done.bad) == (1_000 - there, there, 0)
        assert other.candidates() == one.candidates()
        assert out_of(other) == text


class TestSQLite(ExchangeSuite):
    @pytest.fixture
    def fresh(self, tmp_path: Path) -> Iterator[Fresh]:
        ReplayStore(tmp_path / "empty.db").close()

        def empty(place: int) -> str:
            folder = tmp_path / f"store-{place}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copyfile(tmp_path / "empty.db", folder / "replay.db")
            return str(folder / "replay.db")

        stores = Fresh(empty, 4)
        yield stores
        stores.close()


class TestPostgreSQL(ExchangeSuite):
    @pytest.fixture
    def fresh(self, server: postgres.Server) -> Iterator[Fresh]:
        name = f"exchange_{time.time_ns():x}"

        def empty(place: int) -> str:
            if place in stores.open:
                tables = reversed(metadata.sorted_tables)
                server.ask("; ".join(f"DELETE FROM {name}_{place}.{table}" for table in tables))
            return server.schema(f"{name}_{place}")

        stores = Fresh(empty, 2)
        yield stores
        stores.close()
        for place in range(2):
            server.ask(f"DROP SCHEMA IF EXISTS {name}_{place} CASCADE")


# What goes out, and what does not.


@pytest.fixture
def lived(store: ReplayStore, open_store: Callable[[], ReplayStore]) -> ReplayStore:
    """A store with runs of every kind."""
    old = datetime(2026, 1, 1, tzinfo=UTC)
    store.add([
        a_run("good", id="good", verdict=PASSED), a_run("bad", id="bad", verdict=FAILED),
        a_run("unjudged", id="unjudged"), a_run("stuck", id="stuck", status=Status.STUCK),
        a_run("old", id="old", verdict=FAILED, started=old),
        a_run("tainted", [a_step(tainted=True)], id="tainted", verdict=PASSED),
        a_run("capped", id="capped", verdict=PASSED, provenance=Provenance(source="team")),
        a_run("wordless", [Step(index=0, raw="?", error="none", observation=Observation(text="!"))], id="wordless")])
    store.cap("team", 0)
    store.prune(type(store.prunable(timedelta(0)))(("old",), 1))
    open_store().began(a_run("going on", id="going", status=Status.RUNNING))
    return store


def told(store: ReplayStore, form: Any, **options: Any) -> Exported:
    return export(store, io.BytesIO(), form, **{"load_pack": load_pack, "good": False, **options})


def test_training_takes_what_may_be_trained_on_and_the_rest_is_counted(lived: ReplayStore) -> None:
    done = told(lived, "trl", good=True)
    assert (done.runs, done.left_out) == (1, {
        "still running": 1, "not finished": 1, "not verified": 2, "not passed": 2, "quarantined": 1,
        "over the cap of their source": 1})
    assert json.loads(out_of(lived, "trl", good=True))["messages"][0]["content"] == "good"
    lived.trust("good", "revoked", "no")
    assert (told(lived, "trl", good=True).runs, told(lived, "autorl", good=True).runs) == (0, 0)


def test_all_means_whatever_has_ended_by_id(lived: ReplayStore) -> None:
    rows = [json.loads(line) for line in out_of(lived).splitlines()]
    assert [row["run"]["id"] for row in rows[1:-1]] == sorted(
        ["bad", "capped", "good", "old", "stuck", "tainted", "unjudged", "wordless"])
    assert told(lived, "autorl").left_out == {"still running": 1}
    done = told(lived, "openai")
    assert (done.runs, done.left_out) == (6, {"still running": 1, "pruned": 1, "without an action": 1})


def test_a_pruned_run_comes_with_its_outcome(lived: ReplayStore, tmp_path: Path) -> None:
    other = ReplayStore(tmp_path / "other.db")
    into(other, out_of(lived), believe="everything")
    assert other.pruned("old") == lived.pruned("old") is not None
    assert (other.summary("old").passed, other.get("old").steps, other.stats()["steps"]) == (
        False, (), lived.stats()["steps"])


def test_no_row_is_written_that_could_not_be_read(store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add([a_run("short", id="a"), a_run("long", [a_step(observation="x" * 9_000)], id="b")])
    monkeypatch.setattr(lines, "LONGEST", 8_000)
    monkeypatch.setattr(exporting, "LONGEST", 8_000)
    done = told(store, "autorl")
    assert (done.runs, done.left_out) == (1, {"longer than 8,000 bytes, or of more than 4,000,000 parts": 1})
    assert json.loads(out_of(store).splitlines()[-1])["end"] == {"runs": 1}


def test_a_number_that_loaders_refuse_is_kept_out_of_trl_s_form(store: ReplayStore) -> None:
    store.add([a_run("A", [a_step(number=2**63 - 1)]), a_run("B", [a_step(deep=[{"number": 2**63}])])])
    assert told(store, "trl").left_out == {"with a whole number of more than 64 bits": 1}
    assert (told(store, "trl").runs, told(store, "openai").runs) == (1, 2)


def test_memory_does_not_grow_with_the_number_of_runs(store: ReplayStore, tmp_path: Path) -> None:
    def peak(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        work()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    long = [a_step(observation="x" * 2_000)]
    runs = [a_run(f"Task {n}", long, id=f"run-{n:05}", verdict=PASSED) for n in range(800)]
    outs, ins = [], []
    for number in (200, 800):
        store.add(runs[:number])
        file = tmp_path / "runs.jsonl"
        with file.open("wb") as to:
            outs.append(peak(lambda to=to: export(store, to, "autorl", load_pack=load_pack, good=False)))
        with closing(ReplayStore(tmp_path / f"{number}.db")) as other, file.open("rb") as stream:
            ins.append(peak(lambda other=other, stream=stream: import_runs(
                other, stream, source="x", believe="everything")))
    assert outs[1] < 1.3 * outs[0]
    assert ins[1] < 1.3 * ins[0]


# The schemas of the tools.


def test_the_tools_are_those_of_the_packs_that_the_run_names(store: ReplayStore) -> None:
    tools = Toolset.of(["files"], load_pack)
    then = Provenance(tools_hash=tools.hash, settings={"tools": ["files"]})
    step = a_step(name="read_file", path="a.txt")
    store.add([a_run("A", [step], id="a", provenance=then),
               a_run("B", [step], id="b", provenance=then.model_copy(update={"tools_hash": "older"})),
               a_run("C", [step], id="c", provenance=Provenance(settings={"tools": ["gone"]})),
               a_run("D", [step, a_step(name="of_mine")], id="d", provenance=then)])
    found = [json.loads(line)["tools"] for line in out_of(store, "trl").splitlines()]
    assert found[0] == found[1] == [
        {"type": "function", "function": {"name": spec.name, "description": spec.description,
                                          "parameters": spec.parameters}} for spec in tools.specs]
    assert [tool["function"]["name"] for tool in found[2]] == ["read_file"]
    assert [tool["function"]["name"] for tool in found[3]] == [*(spec.name for spec in tools.specs), "of_mine"]
    assert told(store, "openai").tools == {
        "as they were": 1, "of today's packs, which have changed since": 1, "made from their use": 2}


def test_a_tool_that_is_unknown_is_described_by_its_use(store: ReplayStore) -> None:
    store.add([a_run("A", [a_step(name="boil", water=1, kind="green"), a_step(name="boil", water=1.5, cups=[1]),
                           a_step(name="boil", water=None), a_step(name="finish", answer="x", observation="x")])])
    boil, finish = json.loads(out_of(store, "openai"))["tools"]
    assert boil == {"type": "function", "function": {"name": "boil", "description": "", "parameters": {
        "type": "object", "required": ["water"], "properties": {
            "water": {"type": ["integer", "number", "null"]}, "kind": {"type": "string"}, "cups": {"type": "array"}}}}}
    assert finish["function"]["parameters"]["required"] == ["answer"]


# The files that runs made.


@pytest.fixture
def made(store: ReplayStore, tmp_path: Path) -> ReplayStore:
    work = tmp_path / "work"
    (work / "a").mkdir(parents=True)
    (work / "a" / "deck.pptx").write_bytes(b"a deck")
    sha256 = hashlib.sha256(b"a deck").hexdigest()
    run = a_run(id="deck", artifacts=(Artifact(path="a/deck.pptx", sha256=sha256, bytes=6),
                                      Artifact(path="gone", sha256="1" * 64, bytes=3)))
    store.add([run])
    files.keep(store._database.artifacts, work / "a" / "deck.pptx", run.artifacts[0])
    return store


def test_files_are_copied_when_asked_for_and_found_again_by_their_content(made: ReplayStore, tmp_path: Path) -> None:
    done = told(made, "autorl", copies=tmp_path / "files")
    assert (done.files, done.missing_files) == (1, ["deck: gone"])
    other = ReplayStore(tmp_path / "elsewhere" / "other.db")
    taken = into(other, out_of(made), believe="everything", copies=tmp_path / "files")
    assert (taken.files, taken.missing_files) == (1, 1)
    artifact = other.get("deck").artifacts[0]
    assert (other.file("deck", artifact) or Path()).read_bytes() == b"a deck"
    assert len(other.check_files()) == 1


@pytest.mark.parametrize("content", [b"another", b"b deck"])
def test_a_file_that_is_not_what_the_run_made_is_not_taken(content: bytes, made: ReplayStore, tmp_path: Path) -> None:
    told(made, "autorl", copies=tmp_path / "files")
    (copy,) = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    copy.chmod(0o600)
    copy.write_bytes(content)
    other = ReplayStore(tmp_path / "elsewhere" / "other.db")
    taken = into(other, out_of(made), copies=tmp_path / "files")
    assert (taken.files, taken.missing_files, taken.new) == (0, 2, 1)
    assert not [path for path in (tmp_path / "elsewhere" / "artifacts").rglob("*") if path.is_file()]


# Whole or not at all.


def test_a_file_is_there_when_it_is_whole_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "runs.jsonl"
    with written(target, force=False) as to:
        to.write(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one"
    with pytest.raises(UsageError, match="is there already"), written(target, force=False):
        pass
    with pytest.raises(RuntimeError), written(target, force=True) as to:
        to.write(b"two")
        raise RuntimeError
    assert target.read_bytes() == b"one"
    with written(target, force=True) as to:
        to.write(b"three")
    assert target.read_bytes() == b"three"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["runs.jsonl"]


def test_what_is_no_plain_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for target in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match="is no plain file"), written(target, force=True):
            pass
    with pytest.raises(StoreUnavailable, match="cannot be written: No such file"), \
            written(tmp_path / "no" / "folder", force=True):
        pass


def write_for_ever(target: Path, acknowledged: Path) -> None:
    with written(target, force=True) as to:
        to.write(b"half")
        to.flush()
        children.acknowledge(acknowledged, "half")
        signal.pause()


def test_a_killed_export_leaves_what_was_there(tmp_path: Path) -> None:
    target, acknowledged = tmp_path / "runs.jsonl", tmp_path / "acknowledged"
    target.write_bytes(b"whole")
    child = children.started(write_for_ever, target, acknowledged)
    deadline = time.monotonic() + 60
    while not acknowledged.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert target.read_bytes() == b"whole"
