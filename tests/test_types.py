import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autorl.errors import AutorlError, UnknownName, UsageError
from autorl.types import ENDS, TRANSITIONS, Check, Status, Task, Trajectory, Usage, Verdict, new_run_id, pass_at
from tests.worlds import FAILED, PASSED, STEPS, a_run, a_step, numbered


@given(st.lists(STEPS, max_size=4), st.sampled_from(list(Status)), st.sampled_from([None, PASSED, FAILED]))
def test_a_trajectory_is_the_same_after_json(steps: list, status: Status, verdict: Verdict | None) -> None:
    run = a_run(steps=steps, status=status, verdict=verdict)
    assert Trajectory.model_validate_json(run.model_dump_json()) == run
    assert Trajectory.model_validate(json.loads(json.dumps(run.model_dump(mode="json")))) == run


def test_values_cannot_be_changed_and_take_no_field_they_do_not_have() -> None:
    with pytest.raises(ValidationError):
        a_run().status = Status.FAILED  # type: ignore[misc]
    with pytest.raises(ValidationError, match="surprise"):
        Trajectory.model_validate({**a_run().model_dump(), "surprise": 1})


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_task_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(UsageError, match=r"the task is empty.*autorl solve"):
        Task.of(text)


def test_the_id_of_a_task_comes_from_its_text_unless_it_has_one() -> None:
    assert Task.of("Make tea").id == Task.of("  Make tea\n").id != Task.of("Make coffee").id
    assert Task(text="Make tea", id="tea-1").id == "tea-1"


def test_every_run_ends_once_and_only_what_did_not_finish_goes_on() -> None:
    assert TRANSITIONS[Status.RUNNING] == ENDS
    assert not TRANSITIONS[Status.FINISHED]
    assert all(TRANSITIONS[end] == {Status.RUNNING} for end in ENDS - {Status.FINISHED})
    assert set(TRANSITIONS) == set(Status)


def test_usage_adds_up_over_the_steps() -> None:
    run = a_run(steps=[a_step(), a_step(), a_step()])
    assert run.usage == Usage(prompt_tokens=30, completion_tokens=15)
    assert run.usage.total == 45


def test_only_what_was_carried_out_counts_as_called() -> None:
    run = a_run(steps=numbered([a_step(name="one"), a_step(name="two", ok=False)]))
    assert [action.name for action in run.actions] == ["one"]
    assert run.called("one")
    assert not run.called("two")


def test_one_observation_from_outside_taints_the_run() -> None:
    assert a_run(steps=[a_step(), a_step(tainted=True)]).tainted
    assert not a_run().tainted


def test_a_run_is_verified_by_a_verdict_and_not_by_its_status() -> None:
    assert not a_run().verified
    assert not a_run(verdict=FAILED).verified
    assert a_run(verdict=PASSED).verified


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100)), max_size=6), st.floats(0, 1))
def test_a_verdict_weighs_its_checks(scores: list[tuple[float, float]], threshold: float) -> None:
    checks = [Check(name="c", passed=score == 1, score=score, weight=weight) for score, weight in scores]
    verdict = pass_at(checks, "test@1", threshold)
    if not scores:
        assert not verdict.passed
        return
    least, most = min(score for score, _ in scores), max(score for score, _ in scores)
    assert least - 1e-9 <= verdict.score <= most + 1e-9
    assert verdict.passed == (verdict.score >= threshold)


def test_a_deck_without_a_fault_passes_at_the_full_score() -> None:
    checks = [Check(name=str(n), passed=True, score=1.0, weight=0.1 * n) for n in range(1, 12)]
    assert pass_at(checks, "test@1").passed


def test_run_ids_sort_by_time_and_are_never_the_same() -> None:
    ids = [new_run_id() for _ in range(2_000)]
    assert len(set(ids)) == len(ids)
    assert [i[:15] for i in ids] == sorted(i[:15] for i in ids)
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-z]{6}", i) for i in ids)


def test_an_unknown_name_gives_the_nearest_one_and_what_there_is() -> None:
    error = UnknownName("tool", "add_slid", ["add_slide", "add_table"])
    assert str(error) == "no tool named 'add_slid'. Did you mean 'add_slide'? Tools: add_slide, add_table."
    assert "and 5 more" in str(UnknownName("run", "x", [f"r{n}" for n in range(25)]))
    assert "There is no run yet" in str(UnknownName("run", "x", []))


def test_every_error_of_autorl_has_an_exit_code_of_its_kind() -> None:
    def below(kind: type[AutorlError]) -> list[type[AutorlError]]:
        return [kind, *(deeper for one in kind.__subclasses__() for deeper in below(one))]

    codes = {kind.__name__: kind.exit_code for kind in below(AutorlError)}
    assert codes["UsageError"] == codes["UnknownName"] == codes["MissingExtra"] == 2
    assert codes["ModelUnavailable"] == 4
    assert codes["StoreUnavailable"] == codes["AutorlError"] == 5
