"""What every replay store must do. A test module gives `open_store`, which opens the same store each time anew."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autorl.errors import StoreUnavailable, UnknownName, UsageError
from autorl.replay.schema import embeddings
from autorl.replay.store import ReplayStore
from autorl.types import Artifact, Observation, Provenance, Status, Step, Task, Trajectory, Verdict, new_run_id
from tests.worlds import FAILED, OBSERVATIONS, PASSED, STEPS, TEXT, a_run, a_step

Opener = Callable[[], ReplayStore]

ONE_STORE = settings(max_examples=25, suppress_health_check=[*settings().suppress_health_check,
                                                             HealthCheck.function_scoped_fixture])
"""All examples of a property are written to one store, as the runs of a real one are."""


def write(store: ReplayStore, run: Trajectory) -> Trajectory:
    """Put a whole run into the store, as the loop does."""
    store.began(run.model_copy(update={"status": Status.RUNNING}))
    for step in run.steps:
        store.decided(run.id, step)
        if step.observation:
            store.observed(run.id, step.index, step.observation)
    if run.status is not Status.RUNNING:
        store.ended(run)
    if run.verdict:
        store.judged(run.id, run.verdict)
    return run


class StoreSuite:
    """Needs the fixtures `open_store` and `store`."""

    # What is written is what is read.

    @ONE_STORE
    @given(st.lists(STEPS, max_size=4), st.sampled_from([None, PASSED, FAILED]), TEXT)
    def test_a_run_comes_back_as_it_was_written(
        self, store: ReplayStore, steps: list[Step], verdict: Verdict | None, reason: str
    ) -> None:
        run = a_run(f"Do {new_run_id()}", steps, verdict=verdict, reason=reason, recalled=["one", "two"])
        write(store, run)
        assert store.get(run.id) == run

    def test_threads_may_open_a_new_store_at_once(self, open_store: Opener) -> None:
        threads = [threading.Thread(target=lambda: write(open_store(), a_run())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert open_store().counts()["finished"] == 6

    def test_another_opening_of_the_store_sees_it_all(self, open_store: Opener) -> None:
        run = write(open_store(), a_run(verdict=PASSED))
        assert open_store().get(run.id) == run

    def test_a_step_is_there_before_the_next_one_starts(self, open_store: Opener) -> None:
        writer, reader = open_store(), open_store()
        run = a_run(status=Status.RUNNING, steps=[a_step(), a_step()])
        writer.began(run)
        for step in run.steps:
            writer.decided(run.id, step)
            assert reader.get(run.id).steps[-1] == step.model_copy(update={"observation": None})
            writer.observed(run.id, step.index, step.observation or Observation(text=""))
            assert reader.get(run.id).steps == run.steps[: step.index + 1]

    def test_steps_are_only_ever_added(self, store: ReplayStore) -> None:
        run = write(store, a_run(status=Status.RUNNING))
        with pytest.raises(StoreUnavailable, match=r"step 0 of the run .* says something else"):
            store.decided(run.id, a_step(name="another"))
        with pytest.raises(StoreUnavailable, match=r"step 0 of the run .* says something else"):
            store.observed(run.id, 0, Observation(text="another"))
        assert store.get(run.id).steps == run.steps

    def test_what_is_written_twice_is_kept_once(self, store: ReplayStore) -> None:
        run = write(store, a_run(status=Status.RUNNING))
        store.decided(run.id, run.steps[0])
        store.observed(run.id, 0, run.steps[0].observation or Observation(text=""))
        assert store.get(run.id).steps == run.steps

    @ONE_STORE
    @given(OBSERVATIONS)
    def test_an_observation_comes_back_as_it_was_written(self, store: ReplayStore, observation: Observation) -> None:
        run = write(store, a_run(f"Do {new_run_id()}", [a_step().model_copy(update={"observation": observation})]))
        assert store.get(run.id).steps[0].observation == observation

    def test_a_megabyte_in_a_step_is_kept(self, store: ReplayStore) -> None:
        run = write(store, a_run(steps=[a_step().model_copy(update={"raw": "x" * 1_000_000})]))
        assert store.get(run.id) == run

    def test_a_run_that_ends_again_after_a_resume_has_its_last_end(self, store: ReplayStore) -> None:
        first = write(store, a_run(status=Status.OUT_OF_STEPS, reason="after 1 steps"))
        store.began(first)
        second = first.model_copy(update={"status": Status.FINISHED, "reason": "", "answer": "done", "artifacts": (
            Artifact(path="new.pptx", sha256="1" * 64, bytes=1),)})
        store.ended(second)
        assert store.get(first.id) == second

    def test_one_task_has_many_runs_and_one_id_has_one_task(self, store: ReplayStore) -> None:
        one, two = (write(store, a_run("Make tea")) for _ in range(2))
        assert store.get(one.id).task == store.get(two.id).task
        with pytest.raises(UsageError, match="task id 't' is taken by another task: 'Make tea'"):
            for text in ("Make tea", "Make coffee"):
                write(store, a_run(Task(text=text, id="t")))

    # Finding runs.

    def test_a_run_is_found_by_the_beginning_of_its_id(self, store: ReplayStore) -> None:
        for name in ("abc-1", "abc-2", "xyz", "xyz-3"):
            write(store, a_run(id=name))
        assert store.get("abc-1").id == "abc-1"
        assert store.summary("xyz").id == "xyz", "the whole id wins over one that is longer"
        assert store.summary("xyz-").id == "xyz-3"
        with pytest.raises(UsageError, match="'abc' begins several runs"):
            store.get("abc")

    @pytest.mark.parametrize("name", ["", "%", "_", "abc%", "nothing", "' OR 1=1 --"])
    def test_an_unknown_run_is_named_with_the_nearest_one(self, name: str, store: ReplayStore) -> None:
        write(store, a_run(id="abc-1"))
        with pytest.raises(UnknownName, match="Runs: abc-1"):
            store.get(name)

    def test_the_newest_runs_come_first_and_can_be_chosen_by_their_verdict(self, store: ReplayStore) -> None:
        ids = [write(store, a_run(id=f"run-{n}", verdict=(None, PASSED, FAILED)[n % 3])).id for n in range(6)]
        assert [summary.id for summary in store.newest()] == ids[::-1]
        assert [summary.id for summary in store.newest(limit=2)] == ids[:3:-1]
        assert [summary.id for summary in store.newest(passed=True)] == ["run-4", "run-1"]
        assert [summary.id for summary in store.newest(passed=False)] == ["run-5", "run-2"]

    def test_a_summary_tells_a_run_on_one_line(self, store: ReplayStore) -> None:
        run = write(store, a_run("Make tea", [a_step(), a_step()], verdict=FAILED))
        line = store.summary(run.id)
        assert (line.task, line.status, line.trust, line.passed, line.score, line.steps, line.source) == (
            "Make tea", Status.FINISHED, "trusted", False, 0.25, 2, "local")
        assert line.started == run.started

    def test_runs_are_found_by_the_words_of_their_tasks(self, store: ReplayStore) -> None:
        bees, tea, both = (write(store, a_run(text)) for text in (
            "A deck of honey bees", "Make tea", "Tea with honey for bees and beekeepers"))
        assert {s.id for s in store.search("bees")} == {bees.id, both.id}
        assert {s.id for s in store.search("TEA!")} == {tea.id, both.id}
        assert store.search("honey tea")[0].id == both.id
        assert store.search("nothing of it") == []
        assert {s.id for s in store.search("what about the bees?")} == {bees.id, both.id}
        assert {s.id for s in store.search("and")} == {both.id}, "where there is no other word, a common one counts"
        assert len(store.search("bees", limit=1)) == 1

    def test_among_those_that_share_the_rare_word_the_common_ones_decide(self, store: ReplayStore) -> None:
        texts = ["Zymurgy", "A deck about zymurgy for sailors", "Make a deck about zymurgy for the team"]
        store.add([a_run(f"Make a deck for the team {n}") for n in range(400)] + [a_run(text) for text in texts])
        found = store.by_words("Make a deck on zymurgy for a team", limit=5)
        assert [task for task, _ in found] == [Task.of(text).id for text in texts[::-1]]
        assert len(store.by_words("Make a deck on zymurgy for a team", limit=1)) == 1

    @pytest.mark.parametrize("words", [
        "", '"', "AND", "a OR", "NEAR(", "bees*", "-bees", "col:bees", "'; DROP TABLE runs", "\x00"])
    def test_no_words_are_a_query_language(self, words: str, store: ReplayStore) -> None:
        write(store, a_run("A deck about honey bees"))
        assert len(store.search(words)) <= 1

    @ONE_STORE
    @given(st.text(max_size=30))
    def test_any_words_can_be_searched(self, store: ReplayStore, words: str) -> None:
        store.search(words)

    def test_how_many_runs_there_are_is_told_by_status(self, store: ReplayStore) -> None:
        for status in (Status.FINISHED, Status.FINISHED, Status.STUCK):
            write(store, a_run(status=status, verdict=PASSED if status is Status.FINISHED else None))
        assert store.counts() == {"finished": 2, "stuck": 1, "passed": 2}

    # Verdicts and trust.

    def test_the_newest_verdict_counts(self, store: ReplayStore) -> None:
        run = write(store, a_run(verdict=PASSED))
        store.judged(run.id, FAILED)
        assert store.get(run.id).verdict == FAILED
        store.judged(run.id, PASSED)
        assert store.get(run.id).verdict == PASSED
        assert store.counts()["passed"] == 1

    def test_a_person_s_word_is_a_verdict(self, store: ReplayStore) -> None:
        run = write(store, a_run(id="abc-1"))
        assert store.feedback("abc", False, "too long").passed is False
        verdict = store.get(run.id).verdict
        assert verdict is not None
        assert (verdict.verifier, verdict.passed, verdict.why) == ("person@1", False, "too long")
        assert store.candidates() == []
        store.feedback(run.id, True)
        assert [c.run for c in store.candidates()] == [run.id]
        with pytest.raises(UnknownName):
            store.feedback("nothing", True)

    @pytest.mark.parametrize("status", [Status.STUCK, Status.OUT_OF_STEPS, Status.FAILED, Status.CANCELLED])
    def test_what_did_not_finish_cannot_be_called_a_success(self, status: Status, store: ReplayStore) -> None:
        run = write(store, a_run(status=status))
        with pytest.raises(UsageError, match=rf"'{status}', and only a finished one.*--resume {run.id}"):
            store.feedback(run.id, True)
        store.feedback(run.id, False)
        assert store.get(run.id).verdict is not None

    def test_what_can_be_recalled_finished_passed_and_is_trusted(self, store: ReplayStore) -> None:
        good = write(store, a_run("good", verdict=PASSED))
        write(store, a_run("failed", verdict=FAILED))
        write(store, a_run("unverified"))
        write(store, a_run("stuck", status=Status.STUCK, verdict=PASSED))
        write(store, a_run("running", status=Status.RUNNING, verdict=PASSED))
        write(store, a_run("tainted", [a_step(tainted=True)], verdict=PASSED))
        revoked = write(store, a_run("revoked", verdict=PASSED))
        store.trust(revoked.id, "revoked", "it copied a stranger's text")
        assert [c.run for c in store.candidates()] == [good.id]

    def test_trust_can_be_given_and_taken(self, store: ReplayStore) -> None:
        run = write(store, a_run("tainted", [a_step(tainted=True)], verdict=PASSED))
        assert store.summary(run.id).trust == "quarantined"
        for trust, recalled in (("trusted", 1), ("revoked", 0), ("trusted", 1)):
            store.trust(run.id, trust, "I read it")  # type: ignore[arg-type]
            assert store.summary(run.id).trust == trust
            assert len(store.candidates()) == recalled
        with pytest.raises(UnknownName):
            store.trust("nothing", "revoked", "why")

    def test_the_best_run_of_a_task_stands_for_it(self, store: ReplayStore) -> None:
        def verdict(score: float) -> Verdict:
            return Verdict(verifier="v@1", passed=True, score=score)

        write(store, a_run("Make tea", verdict=verdict(0.8)))
        write(store, a_run("Make tea", [a_step(), a_step()], verdict=verdict(0.9)))
        best = write(store, a_run("Make tea", [a_step()], verdict=verdict(0.9)))
        assert [c.run for c in store.candidates()] == [best.id]

    def test_a_candidate_knows_how_those_fared_who_were_shown_it(self, store: ReplayStore) -> None:
        run = write(store, a_run("Make tea", verdict=PASSED))
        for verdict in (PASSED, FAILED, PASSED, None):
            write(store, a_run(f"Other {new_run_id()}", recalled=[run.id], verdict=verdict))
        found = {c.run: c for c in store.candidates()}[run.id]
        assert (found.wins, found.shown) == (2, 3)
        assert (found.text, found.tools, found.steps) == ("Make tea", frozenset({"ping"}), 1)

    def test_how_a_guided_run_went_says_nothing_of_what_it_was_shown(self, store: ReplayStore) -> None:
        run = write(store, a_run("Make tea", verdict=PASSED))
        guided = Provenance(settings={"guided": True, "note": '"guided":false'})
        shown = write(store, a_run("Make coffee", recalled=[run.id], verdict=FAILED, provenance=guided))
        store.add([a_run("Make milk", recalled=[run.id], verdict=PASSED, provenance=guided)])
        store.feedback(shown.id, passed=True)
        assert store.record(run.id) == (0, 0, 0.0, 0)
        said = Provenance(settings={"guided": False, "note": '"guided":true'})
        write(store, a_run("Make coffee", recalled=[run.id], verdict=PASSED, provenance=said))
        assert store.record(run.id) == (1, 1, 0.5, 1), "nor of how often the task passes without it"

    def test_the_runs_of_a_task_that_failed_are_found(self, store: ReplayStore) -> None:
        first, second = (write(store, a_run("Make tea", status=Status.STUCK, reason=f"spoiled: {what}"))
                         for what in ("milk", "lemon"))
        long = write(store, a_run("Make tea", status=Status.OUT_OF_STEPS, reason="after 9 steps"))
        write(store, a_run("Make tea", verdict=PASSED))
        write(store, a_run("Make coffee", status=Status.STUCK))
        write(store, a_run("Make tea", status=Status.STUCK, provenance=Provenance(source="elsewhere")))
        store.trust(write(store, a_run("Make tea", status=Status.STUCK)).id, "revoked", "a test")
        assert [run.reason for run in store.failed(first.task.id)] == [
            long.reason, second.reason, first.reason]
        assert [run.id for run in store.failed(first.task.id, limit=1)] == [long.id]
        assert store.failed("nothing") == []

    def test_vectors_are_made_of_every_task_and_given_by_their_model(self, store: ReplayStore) -> None:
        tasks = [write(store, a_run(f"Task {n}")).task.id for n in range(3)]
        assert store.vectors(tasks, store.embedder.name) == {}
        store.embed_all()
        made = store.vectors([f"{n}" for n in range(1_200)] + tasks, store.embedder.name)
        assert made == {task: store.embedder.embed([f"Task {n}"])[0].tobytes() for n, task in enumerate(tasks)}
        assert store.vectors(tasks, "another") == {}

    def test_a_vector_that_cannot_be_read_is_counted_and_made_again(self, open_store: Opener) -> None:
        store = open_store()
        tea, bees = (write(store, a_run(text)).task.id for text in ("Make tea", "A deck about honey bees"))
        store.embed_all()
        (wanted,) = store.embedder.embed(["Tea"])
        with store._database.writing() as connection:
            connection.execute(embeddings.update().where(embeddings.c.task == tea), {"vector": b"torn"})
        for each in (store, open_store()):
            assert [task for task, _, _ in each.by_meaning(wanted, limit=5)] == [bees]
            assert each.unreadable == 1
        assert store.check() == ["of the vectors, 1 cannot be read: autorl replay compact makes them again"]
        store.compact()
        assert store.check() == []
        assert [task for task, _, _ in store.by_meaning(wanted, limit=5)] == [tea, bees]
        assert store.unreadable == 0

    def test_all_that_a_view_tells_is_of_one_moment(self, open_store: Opener) -> None:
        one, other = open_store(), open_store()
        write(one, a_run("Make tea", verdict=PASSED, id="one"))

        def questions() -> list[object]:
            found = [len(one.by_words("tea", limit=5)), len(one.candidates())]
            other.trust("one", "revoked", "copied")
            write(other, a_run("More tea"))
            return [*found, len(one.by_words("tea", limit=5)), len(one.candidates())]

        assert one.view(questions) == [1, 1, 1, 1]
        assert (len(one.by_words("tea", limit=5)), len(one.candidates())) == (2, 0)

    # Going on.

    def test_a_run_is_reopened_as_it_was_left(self, store: ReplayStore) -> None:
        run = write(store, a_run(status=Status.CANCELLED, reason="control-C"))
        again = store.reopen(run.id)
        assert again.status is Status.RUNNING
        assert again.steps == run.steps

    def test_a_finished_run_and_one_that_goes_on_cannot_be_reopened(self, store: ReplayStore) -> None:
        run = write(store, a_run())
        with pytest.raises(UsageError, match="is finished and cannot go on"):
            store.reopen(run.id)
        going = write(store, a_run(status=Status.RUNNING))
        with pytest.raises(UsageError, match="still going on in process"):
            store.reopen(going.id)

    # Many at once.

    def test_sixteen_threads_lose_nothing(self, store: ReplayStore) -> None:
        written: list[Trajectory] = []
        problems: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for turn in range(4):
                    run = a_run(f"Task {number}.{turn}", [a_step(), a_step()], verdict=PASSED)
                    written.append(write(store, run))
                    assert store.get(run.id) == run
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert len(written) == 64
        assert len(store.candidates()) == 64
        assert store.check() == []

    def test_a_write_that_fails_half_way_leaves_nothing(self, store: ReplayStore) -> None:
        run: Any = a_run("Make tea", recalled=["one"])
        broken = run.model_copy(update={"recalled": (run.recalled[0].model_copy(update={"rank": None}),)})
        with pytest.raises(StoreUnavailable):
            store.began(broken)
        assert store.counts() == {"passed": 0}
        assert store.search("tea") == []
