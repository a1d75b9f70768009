"""What every replay store must do about odd input, trust, caps, files and what may go; mixed into StoreSuite."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autorl.errors import StoreUnavailable, UnknownName, UsageError
from autorl.replay.files import place
from autorl.replay.store import ReplayStore
from autorl.types import Artifact, Provenance, Status, Task, Trajectory, Verdict
from tests.conformance.stores import write
from tests.worlds import FAILED, PASSED, a_run, a_step

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def of_source(source: str, number: int, score: float = 1.0) -> Trajectory:
    return a_run(f"Task {number} of {source}", id=f"{source}-{number:03}", provenance=Provenance(source=source),
                 verdict=Verdict(verifier="v@1", passed=True, score=score))


def made(workspace: Path, name: str, content: bytes) -> Artifact:
    (workspace / name).write_bytes(content)
    return Artifact(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


class UpkeepSuite:
    """Needs the fixtures `open_store` and `store`."""

    # Whole runs at once.

    def test_runs_that_are_added_are_as_if_they_had_been_written(self, store: ReplayStore) -> None:
        first = a_run("One", [a_step(), a_step()], verdict=PASSED)
        runs = [first, a_run("Two", verdict=FAILED, recalled=[first.id]), a_run("Three", status=Status.STUCK),
                a_run("Four", [a_step(tainted=True)], verdict=PASSED)]
        assert store.add(runs) == [run.id for run in runs]
        assert [store.get(run.id) for run in runs] == runs
        assert [(c.run, c.steps, c.wins, c.shown) for c in store.candidates()] == [(first.id, 2, 0, 1)]
        assert store.summary(runs[3].id).trust == "quarantined"
        assert [s.id for s in store.search("one")] == [first.id]
        assert store.add(runs) == [], "what is there is not added again"
        assert store.record(first.id) == (0, 1, 0.5, 1)

    def test_ids_that_collide_are_refused_and_nothing_is_kept(self, store: ReplayStore) -> None:
        run = a_run("One", id="same")
        store.add([run])
        other = a_run("Other", id="same")
        with pytest.raises(UsageError, match="the id same is that of another run"):
            store.add([a_run("Fine"), other])
        with pytest.raises(UsageError, match="the id same is that of another run"):
            store.began(other)
        with pytest.raises(UsageError, match="task id 't' is taken by another task: 'Tea'"):
            store.add([a_run(Task(text="Tea", id="t")), a_run(Task(text="Coffee", id="t"))])
        assert store.counts() == {"finished": 1, "passed": 0}
        assert store.get("same") == run

    @pytest.mark.parametrize("name", ["", "x" * 65, "nul\x00", "lone\ud800"])
    def test_an_id_that_no_database_takes_is_refused(self, name: str, store: ReplayStore) -> None:
        with pytest.raises(UsageError, match="cannot be kept"):
            store.began(a_run(id=name))
        with pytest.raises(UnknownName):
            store.get(name)

    # What no database takes, and what is too much.

    def test_text_that_no_database_takes_is_kept_as_near_as_can_be(self, store: ReplayStore) -> None:
        odd, near = "a\x00b\ud800c", "a\ufffdb?c"
        step = a_step(observation=odd, text=odd).model_copy(update={"raw": odd, "thought": odd})
        run = a_run(Task(text=odd, id="odd", requirements={odd: odd}), [step], status=Status.STUCK, reason=odd,
                    answer=odd, verdict=Verdict(verifier=odd, passed=False, score=0, why=odd))
        write(store, run)
        kept = store.get(run.id)
        assert kept.task.text == kept.reason == kept.answer == near
        assert kept.task.requirements == {near: near}
        assert kept.steps[0].observation is not None
        assert {kept.steps[0].raw, kept.steps[0].observation.text} <= {near, "a\x00b?c"}
        assert kept.verdict is not None
        assert "?c" in kept.verdict.why
        store.trust(run.id, "revoked", odd, odd)
        assert store.trust_changes(run.id)[-1].why == near
        assert store.search(odd) is not None

    def test_a_hundred_megabytes_are_bounded_and_said_to_be(self, store: ReplayStore) -> None:
        huge = "begin" + "x" * 100_000_000 + "end"
        step = a_step(observation=huge, text=huge)
        run = write(store, a_run(steps=[step.model_copy(update={"raw": huge})]))
        (kept,) = store.get(run.id).steps
        assert kept.observation is not None
        assert kept.action is not None
        for text in (kept.raw, kept.observation.text, kept.action.arguments["text"]):
            assert len(text) < 2_100_000
            assert text.startswith("begin")
            assert text.endswith("end")
            assert "characters were not kept" in text
        assert kept.observation.omitted > 98_000_000

    # Trust.

    def test_who_changed_the_trust_and_why_and_when_is_kept(self, store: ReplayStore) -> None:
        store.add([a_run(id="run", verdict=PASSED)])
        store.trust("run", "revoked", "wrong facts", "ada")
        store.trust("run", "trusted", "they were right", "bob")
        changes = store.trust_changes("run")
        assert [(c.trust, c.why, c.who) for c in changes] == \
            [("revoked", "wrong facts", "ada"), ("trusted", "they were right", "bob")]
        assert changes[0].created <= changes[1].created

    def test_revoking_a_run_names_the_policies_that_were_trained_on_it(self, store: ReplayStore) -> None:
        store.add([a_run(id="one", verdict=PASSED), a_run(id="two", verdict=PASSED)])
        store.keep_policy("policy@1", base="local", trained_on=["one"], adapter="abc", dataset="d1")
        store.keep_policy("policy@2", base="local", trained_on=["one", "two"], parent="policy@1")
        store.keep_policy("policy@2", base="local", trained_on=["two"], gate='{"passed": true}')
        assert store.trust("one", "revoked", "copied") == ["policy@1", "policy@2"]
        assert store.trust("two", "revoked", "copied") == ["policy@2"]
        store.keep_policy("policy@3", base="local", trained_on=["run of another store", "one"])
        assert store.policies()[-1].runs == ("one",)

    # Sources.

    def test_another_source_gives_no_more_than_its_cap(self, store: ReplayStore) -> None:
        store.add([of_source("flood", n) for n in range(130)])
        store.add([of_source("local", n) for n in range(130)])
        counted = {name: s["recallable"] for name, s in store.stats()["sources"].items()}
        assert counted == {"flood": 100, "local": 130}
        store.cap("flood", 3)
        assert sum(c.source == "flood" for c in store.candidates()) == 3
        store.cap("flood", None)
        assert sum(c.source == "flood" for c in store.candidates()) == 130
        store.cap("local", 0)
        assert {c.source for c in store.candidates()} == {"flood"}

    def test_where_one_run_of_a_source_leaves_the_next_best_enters(self, store: ReplayStore) -> None:
        store.cap("team", 2)
        store.add([of_source("team", n, score=(0.7, 0.9, 0.8, 1.0)[n]) for n in range(4)])
        inside = {c.run for c in store.candidates()}
        assert len(inside) == 2
        store.trust(min(inside), "revoked", "why")
        assert len({c.run for c in store.candidates()}) == 2
        store.cap("team", 1)
        store.cap("team", 3)
        assert {c.run for c in store.candidates()} == {"team-001", "team-002", "team-003"}
        for n in range(1, 4):
            store.judged(f"team-00{n}", FAILED)
        store.judged("team-001", PASSED)
        assert "team-001" in {c.run for c in store.candidates()}

    # Records.

    def test_a_verdict_that_changes_changes_the_record_of_what_was_shown(self, store: ReplayStore) -> None:
        store.add([a_run(id="one", verdict=PASSED), a_run("Other", id="two", recalled=["one", "seed"])])
        assert store.record("one") == (0, 0, 0, 0)
        for verdict, record in ((FAILED, (0, 1)), (PASSED, (1, 1)), (PASSED, (1, 1)), (FAILED, (0, 1))):
            store.judged("two", verdict)
            assert store.record("one")[:2] == store.record("seed")[:2] == record
        assert [(c.wins, c.shown) for c in store.candidates()] == [(0, 1)]

    def test_the_best_run_is_found_for_the_tasks_and_tools_that_are_asked_for(self, store: ReplayStore) -> None:
        book = [a_step(name="book")]
        store.add([a_run("Tea", id="low", verdict=Verdict(verifier="v", passed=True, score=0.5)),
                   a_run("Tea", book, id="high", verdict=PASSED), a_run("Coffee", id="other", verdict=PASSED)])
        tea, coffee = Task.of("Tea").id, Task.of("Coffee").id
        assert [c.run for c in store.best([tea], ["ping", "book"])] == ["high"]
        assert [c.run for c in store.best([tea], ["ping"])] == ["low"]
        assert {c.run for c in store.best([tea, coffee, "none"] * 300, ["ping", "book"])} == {"high", "other"}
        assert store.best([tea], []) == store.best([], ["ping"]) == []

    # What may go.

    def test_only_old_failures_are_pruned_and_their_outcomes_stay(self, store: ReplayStore) -> None:
        old = {"started": LONG_AGO}
        runs = [a_run("A", id="good", verdict=PASSED, **old), a_run("B", id="bad", verdict=FAILED, **old),
                a_run("C", id="stuck", status=Status.STUCK, **old), a_run("D", id="unjudged", **old),
                a_run("E", id="new", verdict=FAILED), a_run("F", id="trained", verdict=FAILED, **old),
                a_run("G", id="shown", verdict=FAILED, recalled=["good"], **old)]
        store.add(runs)
        store.keep_policy("p", base="b", trained_on=["trained"])
        before = store.counts()
        what = store.prunable(timedelta(days=30))
        assert set(what.runs) == {"bad", "stuck", "shown"}
        assert what.steps == 3
        assert [store.get(run.id) for run in runs] == runs, "looking deletes nothing"
        store.prune(what)
        assert {run.id for run in runs if not store.get(run.id).steps} == {"bad", "stuck", "shown"}
        assert store.counts() == before
        assert store.record("good")[:2] == (0, 1)
        assert store.get("bad").verdict == FAILED
        assert store.pruned("bad") is not None
        assert store.prunable(timedelta(days=30)).runs == ()
        assert store.prunable(timedelta(days=30), unverified=True).runs == ("unjudged",)
        with pytest.raises(UsageError, match="its steps were pruned"):
            store.reopen("stuck")
        store.judged("bad", PASSED)
        assert {c.run for c in store.candidates()} == {"good"}, "there are no steps left to show"

    def test_a_run_that_has_come_to_be_of_use_is_not_pruned(self, store: ReplayStore) -> None:
        store.add([a_run(task, id=task, verdict=FAILED, started=LONG_AGO) for task in ("A", "B")])
        what = store.prunable(timedelta(days=30))
        store.judged("A", PASSED)
        done = store.prune(what)
        assert (done.runs, done.steps) == (("B",), 1)
        assert [len(store.get(run).steps) for run in ("A", "B")] == [1, 0]

    def test_a_clock_that_jumped_harms_nothing(self, store: ReplayStore) -> None:
        years = (1970, 2999)
        store.add([a_run(f"Of {year}", id=f"y{year}", started=datetime(year, 1, 1, tzinfo=UTC), verdict=PASSED)
                   for year in years])
        store.add([a_run("Of 2999", id="failed", started=datetime(2999, 1, 1, tzinfo=UTC), verdict=FAILED)])
        assert {c.run for c in store.candidates()} == {"y1970", "y2999"}
        assert store.prunable(timedelta(0)).runs == ()
        store.judged("y1970", FAILED)
        store.judged("y1970", PASSED)
        assert store.get("y1970").verdict == PASSED, "verdicts are in the order in which they came"

    def test_the_numbers_tell_what_is_there(self, store: ReplayStore) -> None:
        store.add([a_run("A", verdict=PASSED), a_run("A", verdict=FAILED), a_run("B", [a_step(tainted=True)] * 3)])
        found = store.stats()
        assert (found["tasks"], found["steps"], found["passed"], found["not_passed"]) == (2, 5, 1, 1)
        assert found["runs"] == {"finished": 3}
        assert found["trust"] == {"trusted": 2, "quarantined": 1}
        assert found["files"] == {"named": 3, "kept": 1, "bytes": 12}
        assert found["sources"] == {"local": {"runs": 3, "passed": 1, "recallable": 1, "cap": None}}
        assert found["bytes"] > 1000

    def test_a_compacted_store_holds_what_it_held(self, store: ReplayStore) -> None:
        runs = [a_run(f"Task {n}", [a_step(observation="x" * 5_000)], verdict=FAILED, started=LONG_AGO)
                for n in range(200)]
        runs.append(a_run("Kept", verdict=PASSED))
        store.add(runs)
        store.prune(store.prunable(timedelta(days=1)))
        before, after = store.compact()
        assert after < before
        assert store.get(runs[-1].id) == runs[-1]
        assert [s.id for s in store.search("kept")] == [runs[-1].id]
        new = a_run("After")
        store.add([new])
        assert store.get(new.id) == new
        assert store.check() == []

    # Files.

    def test_what_runs_made_is_kept_once_for_each_content(self, store: ReplayStore, tmp_path: Path) -> None:
        work = tmp_path / "work"
        work.mkdir()
        same = [made(work, name, b"the same") for name in ("a.txt", "b.txt")]
        run = a_run(artifacts=(*same, made(work, "c.txt", b"another")))
        store.add([run])
        store.keep_files(run, work)
        store.keep_files(run, work)
        kept = [path for path in store._database.artifacts.rglob("*") if path.is_file()]
        assert len(kept) == 2
        (work / "a.txt").write_bytes(b"changed later")
        found = [store.file(run.id, artifact) for artifact in run.artifacts]
        assert [path.read_bytes() if path else None for path in found] == [b"the same", b"the same", b"another"]
        assert store.check_files() == []

    def test_a_file_that_is_missing_or_changed_is_named_and_stops_nothing(
        self, store: ReplayStore, tmp_path: Path
    ) -> None:
        names = ("gone", "other", "short", "sound")
        run = a_run(id="run", artifacts=tuple(made(tmp_path, name, name.encode() * 9) for name in names))
        store.add([run])
        store.keep_files(run, tmp_path)
        where = {a.path: place(store._database.artifacts, a.sha256) for a in run.artifacts}
        for path in where.values():
            path.chmod(0o644)
        where["gone"].unlink()
        where["short"].write_bytes(b"short")
        where["other"].write_bytes(b"OTHER" * 9)
        told = sorted(store.check_files())
        assert [line.split(": ")[1] for line in told] == ["gone", "other", "short"]
        assert [word in line for word, line in zip(("missing", "not what the run made", "another length"), told,
                                                   strict=True)] == [True] * 3
        assert store.get("run") == run
        store.keep_files(run, tmp_path)
        assert [line.split(": ")[1] for line in store.check_files()] == ["other"], "what is made again is kept again"

    def test_what_changes_while_it_is_kept_is_not_kept(self, store: ReplayStore, tmp_path: Path) -> None:
        run = a_run(artifacts=(made(tmp_path, "a.txt", b"one"),))
        (tmp_path / "a.txt").write_bytes(b"two")
        with pytest.raises(StoreUnavailable, match=r"a.txt changed while it was kept"):
            store.keep_files(run, tmp_path)
        (tmp_path / "a.txt").unlink()
        with pytest.raises(StoreUnavailable, match=r"a.txt cannot be kept in .*No such file"):
            store.keep_files(run, tmp_path)
        assert [p for p in store._database.artifacts.rglob("*") if p.is_file()] == []

    def test_pruning_takes_the_files_that_no_other_run_has(self, store: ReplayStore, tmp_path: Path) -> None:
        shared, own = made(tmp_path, "shared", b"shared"), made(tmp_path, "own", b"own")
        bad = a_run("A", verdict=FAILED, started=LONG_AGO, artifacts=(shared, own))
        good = a_run("B", verdict=PASSED, artifacts=(shared,))
        store.add([bad, good])
        store.keep_files(bad, tmp_path)
        done = store.prune(store.prunable(timedelta(days=1)))
        assert (done.runs, done.files, done.bytes) == ((bad.id,), 1, 3)
        assert store.file(good.id, shared) is not None
        assert store.check_files() == []
