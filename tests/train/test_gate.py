import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl import ReplayStore, settings
from autorl.bench.ledger import Episode
from autorl.bench.spec import Cell
from autorl.bench.statistics import FEWEST, Estimate
from autorl.errors import UsageError
from autorl.models.scripted import Scripted
from autorl.train import gate, measure
from autorl.train.gate import Ruling, decide
from autorl.types import Status, Task, Usage
from tests.children import started
from tests.conformance.stores import write
from tests.train import doors
from tests.train.doors import Opener
from tests.worlds import PASSED, a_run

TEXTS = ["A plain sentence about bread.", "Another one, about rivers and sand."]


def episode(task: int, seed: int, passed: bool, score: float | None = None, tokens: int = 50,
            model: str = "any") -> Episode:
    return Episode(
        cell=Cell(phase="held-out", model=model, setting="gate", seed=seed, task=f"t{task}"), run="r",
        status=Status.FINISHED, verified=passed, recallable=passed, score=float(passed) if score is None else score,
        usage=Usage(prompt_tokens=10, completion_tokens=tokens))


def runs(passed: Sequence[Sequence[bool]], score: float | None = None, tokens: int = 50) -> list[Episode]:
    """Of each task, whether its runs passed."""
    return [episode(task, seed, was, score, tokens)
            for task, seeds in enumerate(passed) for seed, was in enumerate(seeds)]


def halves(task: str) -> str:
    return "even" if int(task[1:]) % 2 == 0 else "odd"


def allowed(old: list[Episode], new: list[Episode], forgot: float | None = None) -> bool:
    estimate = None if forgot is None else Estimate(forgot, forgot, forgot, 50)
    return decide(old, new, halves, forgot=estimate)[0]


OUTCOMES = st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=12)


def test_more_runs_that_pass_let_a_policy_in() -> None:
    passed, why, worse = decide(runs([[False] * 3] * 8), runs([[True] * 3] * 8), halves)
    assert (passed, worse) == (True, ())
    assert why == "more of its runs pass: +1.00 (+1.00 to +1.00)"


def test_a_higher_score_at_no_fewer_successes_lets_it_in() -> None:
    assert allowed(runs([[False] * 3] * 8, score=0.3), runs([[False] * 3] * 8, score=0.6))
    assert not allowed(runs([[False] * 3] * 8, score=0.6), runs([[False] * 3] * 8, score=0.3))


def test_as_good_and_shorter_lets_it_in_and_longer_does_not() -> None:
    same = [[True, False, True]] * 8
    assert allowed(runs(same, tokens=50), runs(same, tokens=40))
    assert not allowed(runs(same, tokens=40), runs(same, tokens=50))
    unsure = [[True, False, False], [False, True, True]] * 4
    assert not allowed(runs(unsure, tokens=50), runs(unsure[1:] + unsure[:1], tokens=40)), \
        "as good is more than no difference shown"
    assert not allowed(runs([[False] * 3] * 8, tokens=50), runs([[False] * 3] * 8, tokens=40)), "it fails sooner"


def test_too_few_tasks_let_nobody_in() -> None:
    fewer = FEWEST - 1
    passed, why, _ = decide(runs([[False] * 9] * fewer), runs([[True] * 9] * fewer), halves)
    assert not passed
    assert "too few tasks to tell: 5, and it takes 6" in why
    assert "too few" in decide([], [], halves)[1]


def test_a_group_that_got_clearly_worse_stops_what_is_better_on_the_whole() -> None:
    old = runs([[True, True, True], [False] * 3] * 4 + [[False] * 3] * 20)
    new = runs([[False] * 3, [True] * 3] * 4 + [[True] * 3] * 20)
    passed, why, worse = decide(old, new, lambda task: "first" if int(task[1:]) in (0, 2) else "others")
    assert (passed, worse) == (False, ("first",))
    assert "got clearly worse: first" in why
    assert decide(old, new, lambda task: "all")[0]


def test_one_bad_run_is_no_worse_group() -> None:
    old, new = runs([[True] * 3] + [[False] * 3] * 9), runs([[True, True, False]] + [[True] * 3] * 9)
    assert decide(old, new, lambda task: task)[0]


def test_other_kinds_of_tasks_may_not_get_clearly_worse_but_need_not_get_better() -> None:
    old, new = runs([[False] * 3] * 8), runs([[True] * 3] * 8)

    def there(passed: bool) -> list[Episode]:
        return [episode(100 + task, seed, passed) for task in range(2) for seed in range(3)]

    def group(task: str) -> str:
        return "elsewhere" if int(task[1:]) >= 100 else "here"

    assert decide(old, new, group, elsewhere=(there(True), there(True)))[0]
    passed, why, worse = decide(old, new, group, elsewhere=(there(True), there(False)))
    assert (passed, worse) == (False, ("elsewhere",)), why


def test_what_forgot_is_not_let_in() -> None:
    old, new = runs([[False] * 3] * 8), runs([[True] * 3] * 8)
    assert allowed(old, new, 1.1)
    assert not allowed(old, new, 1.5)
    assert "it forgot: neutral texts surprise it 1.50 times as much" in decide(
        old, new, halves, forgot=Estimate(1.5, 1.4, 1.6, 50))[1]


@given(OUTCOMES)
def test_a_policy_is_not_let_in_over_itself(outcomes: list[list[bool]]) -> None:
    assert not allowed(runs(outcomes), runs(outcomes))


@given(OUTCOMES, st.data())
def test_of_two_policies_at_most_one_is_let_in_over_the_other(outcomes: list[list[bool]], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(outcomes),
                               max_size=len(outcomes)))
    tokens = data.draw(st.integers(1, 100))
    assert not (allowed(runs(outcomes), runs(other, tokens=tokens)) and
                allowed(runs(other, tokens=tokens), runs(outcomes)))


@given(OUTCOMES, st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_episodes_says_nothing(outcomes: list[list[bool]], random, data: st.DataObject) -> None:
    other = data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(outcomes),
                               max_size=len(outcomes)))
    old, new = runs(outcomes), runs(other)
    mixed = random.sample(old, len(old)), random.sample(new, len(new))
    assert decide(*mixed, halves)[::2] == decide(old, new, halves)[::2]


@given(OUTCOMES, st.data())
def test_who_is_let_in_is_nowhere_clearly_worse(outcomes: list[list[bool]], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(outcomes),
                               max_size=len(outcomes)))
    passed, _, worse = decide(runs(outcomes), runs(other), halves)
    assert not (passed and worse)
    if passed:
        assert sum(map(sum, other)) >= sum(map(sum, outcomes))


# With rollouts.


def ruled(store: ReplayStore, old: Opener, new: Opener, **changes: object) -> Ruling:
    return gate.gate(store, old.name, new.name, doors.tasks(), **{
        "chosen": doors.CHOSEN, "texts": TEXTS, "given": {old.name: old, new.name: new}, **changes})


def test_the_better_policy_passes_and_the_worse_does_not(store: ReplayStore) -> None:
    doors.project()
    bad, good = Opener("bad", 0.1), Opener("good", 0.9)
    there = ruled(store, bad, good)
    assert there.passed, there.why
    assert there.compared["success"]["new"] > there.compared["success"]["old"] + 0.5
    assert (there.tasks, there.seeds) == (8, (0, 1, 2))
    back = ruled(store, good, bad)
    assert not back.passed
    assert "clearly worse: wing 0, wing 1" in back.why
    assert store.newest() == [], "held-out runs are not in the store, where they would be trained on"


def test_tasks_of_another_kind_are_played_with_their_own_tools(store: ReplayStore) -> None:
    doors.project()
    others = [task.model_copy(update={"requirements": {**task.requirements, "group": "east"}})
              for task in doors.tasks(2001, 3)]
    old, new = Opener("old", 0.1), Opener("new", 0.9)
    ruling = ruled(store, old, new, also={("doors:east",): others})
    assert ruling.passed
    assert ruling.tasks == 8, "they are no part of what is compared"
    assert sum("room 2001" in str(request.messages[-1]["content"]) for request in new.requests) == 3


def test_episodes_and_texts_are_not_repeated(store: ReplayStore) -> None:
    doors.project()
    first, second, third = Opener("first", 0.2), Opener("second", 0.5), Opener("third", 0.9)
    watched: list[tuple[int, int]] = []

    def watch(_: Episode, done: int, planned: int) -> None:
        watched.append((done, planned))

    ruling = ruled(store, first, second, watch=watch)
    assert watched == [(n, 48) for n in range(1, 49)]
    asked = len(first.requests), len(second.requests)
    assert ruled(store, first, second) == ruling
    ruled(store, second, third)
    assert (len(first.requests), len(second.requests)) == asked, "the second is known from the gate before"
    assert sorted(first.rated) == sorted(second.rated) == sorted(third.rated) == TEXTS


def test_both_are_asked_the_same(store: ReplayStore) -> None:
    doors.project()
    one, other = Opener("one", 0.5), Opener("other", 0.5)
    ruling = ruled(store, one, other)
    assert sorted((r.seed, r.messages[-1]["content"], r.temperature) for r in one.requests) == \
        sorted((r.seed, r.messages[-1]["content"], r.temperature) for r in other.requests)
    assert not ruling.passed
    assert ruling.compared["success"]["by"] == 0
    assert ruling.why.startswith("no difference shown")


def test_forgetting_is_measured_where_both_can_tell(store: ReplayStore) -> None:
    doors.project()
    ruling = ruled(store, Opener("before", 0.1, nats=2.0), Opener("after", 0.9, nats=2.5))
    assert not ruling.passed
    assert ruling.forgot == pytest.approx(2.718281828**0.5)
    assert ruling.perplexity == pytest.approx((2.718281828**2, 2.718281828**2.5))
    mute = Scripted(Opener("mute", 0.9)._answer, name="mute")
    blind = ruled(store, Opener("before", 0.1), mute)  # type: ignore[arg-type]
    assert blind.passed
    assert (blind.forgot, blind.perplexity) == (None, None)


def test_the_ruling_is_kept_with_the_policy(store: ReplayStore) -> None:
    doors.project()
    store.keep_policy("policy@1f", base="local", trained_on=[])
    ruling = ruled(store, Opener("local", 0.1), Opener("local+policy@1f", 0.9))
    assert ruling.passed
    (kept,) = store.policies()
    assert Ruling.model_validate_json(kept.gate or "") == ruling
    assert store.promoted("local") is None, "to promote is another's word"


@pytest.mark.parametrize("by", ["id", "words"])
def test_tasks_that_a_policy_was_trained_on_are_refused(store: ReplayStore, by: str) -> None:
    doors.project()
    task = doors.tasks()[3]
    same = Task(text=f" {task.text.upper()} ") if by == "words" else Task(text="Whatever it is", id=task.id)
    run = write(store, a_run(same, verdict=PASSED))
    store.keep_policy("policy@1f", base="local", trained_on=[run.id])
    for names in (("local", "local+policy@1f"), ("local+policy@1f", "local")):
        with pytest.raises(UsageError, match=rf"1 tasks to learn from are held-out ones: .*'{task.id}'"):
            ruled(store, Opener(names[0], 0.1), Opener(names[1], 0.9))
    assert ruled(store, Opener("local", 0.1), Opener("local+policy@2e", 0.9)).passed


def test_the_same_policy_twice_or_no_task_is_refused(store: ReplayStore) -> None:
    with pytest.raises(UsageError, match="old and new are both one"):
        ruled(store, Opener("one", 0.1), Opener("one", 0.9))
    with pytest.raises(UsageError, match="no task"):
        gate.gate(store, "a", "b", [], chosen=doors.CHOSEN)


def gate_until_killed(home: Path, here: Path, deadly: int) -> None:
    os.environ["AUTORL_HOME"] = str(home)  # the child is a fork of what an earlier test started
    os.chdir(here)
    opener = Opener("old", 0.2, deadly=deadly)
    gate.gate(ReplayStore(home / "replay.db"), "old", "new", doors.tasks(), chosen=doors.CHOSEN, texts=TEXTS,
              given={"old": opener, "new": Opener("new", 0.9)})


@pytest.mark.parametrize("deadly", [0, 7, 20])
def test_a_gate_that_was_killed_goes_on(home: Path, store: ReplayStore, deadly: int) -> None:
    doors.project()
    child = started(gate_until_killed, home, Path.cwd(), deadly)
    child.join(300)
    assert child.exitcode == -9
    (folder,) = (settings.home() / "gates").iterdir()
    lines = (folder / measure.LEDGER).read_text().splitlines()
    before = [json.loads(line)["cell"] for line in lines]
    assert bool(before) == (deadly > 0)
    old, new = Opener("old", 0.2), Opener("new", 0.9)
    ruling = ruled(store, old, new)
    after = [json.loads(line)["cell"] for line in (folder / measure.LEDGER).read_text().splitlines()]
    assert after[: len(before)] == before
    assert len(after) == 48 == len({json.dumps(cell) for cell in after}), "each episode once"
    assert ruling.passed
    assert ruling == ruled(ReplayStore(), Opener("old", 0.2), Opener("new", 0.9))


def test_the_neutral_texts_are_plain_and_many() -> None:
    texts = measure.neutral()
    assert len(texts) == len(set(texts)) >= 50
    assert sum(text.count(".") + text.count("?") for text in texts) >= 200
