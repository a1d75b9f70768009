from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import UnknownName, UsageError
from autorl.types import Exemplar, Task, Trajectory, Verdict
from autorl.verify.checks import FunctionVerifier, by_name, by_person, choose, judge
from autorl.workspace import Workspace
from tests.worlds import FAILED, PASSED, a_run


class Named:
    """A verifier as a pack ships it."""

    version = 3

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, task: Task, trajectory: Trajectory, workspace: Workspace,
                 exemplars: Sequence[Exemplar] = ()) -> Verdict:
        there = (workspace.root / "made.txt").is_file()
        return Verdict(verifier=f"{self.name}@3", passed=there, score=float(there), why=f"{len(exemplars)} exemplars")


def verdict(function: Any, run: Trajectory | None = None) -> Verdict:
    return judge(FunctionVerifier(function), run or a_run(), Workspace(Path("work")))


@pytest.mark.parametrize(("value", "passed", "score"), [
    (True, True, 1.0), (False, False, 0.0), (1, True, 1.0), (0, False, 0.0), (0.5, False, 0.5), (1.0, True, 1.0),
])
def test_a_function_says_yes_or_no_or_how_much(value: Any, passed: bool, score: float) -> None:
    assert verdict(lambda _: value) == Verdict(verifier="lambda@1", passed=passed, score=score)


def test_a_function_sees_the_run_and_gives_its_name() -> None:
    def pinged(run: Trajectory) -> bool:
        return run.called("ping")

    assert verdict(pinged).verifier == "pinged@1"
    assert verdict(pinged).passed
    assert not verdict(pinged, a_run(steps=[])).passed
    assert verdict(lambda _: FAILED) == FAILED


@pytest.mark.parametrize("value", [None, "yes", 2, -0.1, float("nan"), [], object()])
def test_a_function_that_says_something_else_says_no_and_why(value: Any) -> None:
    said = verdict(lambda _: value)
    assert not said.passed
    assert "expected a bool, a score in 0..1 or a Verdict" in said.why


def test_a_verifier_that_breaks_says_no_and_why() -> None:
    def broken(_: Trajectory) -> bool:
        raise KeyError("lost")

    said = verdict(broken)
    assert (said.verifier, said.passed, said.score) == ("broken@1", False, 0.0)
    assert said.why == "the verifier failed: KeyError: 'lost'"


def test_the_same_run_gets_the_same_verdict(tmp_path: Path) -> None:
    run, workspace = a_run(), Workspace(tmp_path / "work")
    workspace.write("made.txt", b"x")
    verdicts = {judge(Named("v"), run, workspace).model_dump_json() for _ in range(3)}
    assert len(verdicts) == 1
    assert judge(Named("v"), run, workspace).passed


def test_the_caller_s_verifier_comes_first_then_the_task_s_then_the_pack_s() -> None:
    first, second = Named("first"), Named("second")
    known = {"first": first, "second": second}
    task, naming = Task.of("Do it"), Task(text="Do it", verifier="second")
    own = Named("own")
    assert choose(naming, own, known) is own
    assert choose(naming, None, known) is second
    assert choose(task, None, known) is first
    assert choose(task, None, {}) is None
    made = choose(task, lambda run: True, known)
    assert isinstance(made, FunctionVerifier)


def test_a_verifier_that_nobody_has_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match=r"no verifier named 'slide'. Did you mean 'slides'\?"):
        choose(Task(text="Do it", verifier="slide"), None, {"slides": Named("slides")})
    with pytest.raises(UnknownName, match="There is no verifier yet"):
        choose(Task(text="Do it", verifier="slides"), None, {})


def test_a_person_s_word_is_a_verdict() -> None:
    assert by_person(True, "neat") == Verdict(verifier="person@1", passed=True, score=1.0, why="neat")
    assert by_person(False).score == 0.0
    assert PASSED.passed


def test_a_verifier_takes_a_bar_of_ones_own_and_its_verdict_names_it() -> None:
    half = FunctionVerifier(lambda _: 0.5)
    known = {"half": half}
    for bar, passed in (("0.5", True), ("0.51", False), ("0", True), (".2", True)):
        verifier = by_name(f"half>={bar}", known)
        said = judge(verifier, a_run(), Workspace(Path("work")))
        assert (said.passed, said.score) == (passed, 0.5)
        assert said.verifier == f"lambda>={float(bar):g}@1"
    assert by_name("half", known) is half


@pytest.mark.parametrize("bar", ["", "much", "2", "-1", "nan", "0.5>=0.2"])
def test_a_bar_that_is_none_is_refused_with_the_one_that_was_given(bar: str) -> None:
    with pytest.raises(UsageError, match=f"'{bar}' is no bar"):
        by_name(f"half>={bar}", {"half": FunctionVerifier(lambda _: 0.5)})
