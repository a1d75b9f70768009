"""What people and judges think is kept at once, whoever else writes, and comes back as it was."""

import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autorl.bench import opinions, ranked, statistics
from autorl.bench.opinions import OPINIONS, Control, Judge, Order, Sheet, Vote
from autorl.bench.ranking import kendall
from autorl.errors import StoreUnavailable
from tests.children import acknowledge, started

SHEET = Sheet(model="m", size="all", task="door-1", seed=0)
JUDGE = Judge(model="openai:m", sees="words", rubric="0123456789abcdef")
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name == name.encode("utf-8", "replace").decode())


def order(ranker="Ada", groups=(("a",), ("b", "c")), *, done=True, sheet=SHEET):
    return Order(ranker=ranker, sheet=sheet, groups=groups, done=done,
                 runs={name: f"run-{name}" for group in groups for name in group})


@st.composite
def orders(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    cuts = sorted(draw(st.sets(st.integers(1, max(len(names) - 1, 1)), max_size=3)))
    groups = [tuple(names[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(names)], strict=True)]
    return order(draw(NAMES), tuple(group for group in groups if group), done=draw(st.booleans()))


OPINION = st.one_of(
    orders(),
    st.builds(Vote, judge=st.just(JUDGE), sheet=st.just(SHEET), settings=st.tuples(NAMES, NAMES),
              runs=st.tuples(NAMES, NAMES), said=st.tuples(*[st.sampled_from(["A", "B", "tie", None])] * 2)),
    st.builds(Control, judge=st.just(JUDGE), defect=NAMES, pair=NAMES,
              said=st.tuples(*[st.sampled_from(["fine", "faulty", None])] * 2)),
)


@given(st.lists(OPINION, max_size=8))
def test_what_is_kept_comes_back(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("kept")
    for one in kept:
        opinions.add(folder, [one])
    assert opinions.read(folder) == (kept, [])


@given(st.lists(st.one_of(st.binary(max_size=60), OPINION.map(lambda one: one.model_dump_json().encode())), max_size=8),
       st.integers(0, 300))
def test_whatever_stands_in_the_file_the_good_lines_count_and_the_others_are_named(tmp_path_factory, lines, cut):
    folder = tmp_path_factory.mktemp("broken")
    whole = b"\n".join(lines)
    (folder / OPINIONS).write_bytes(whole[: max(0, len(whole) - cut)])
    found, wrong = opinions.read(folder)
    assert len(found) + len(wrong) == sum(bool(line.strip()) for line in whole[: max(0, len(whole) - cut)].split(b"\n"))
    assert all(line.startswith("line ") for line in wrong)
    opinions.add(folder, [order()])  # what comes after a line that was cut off is whole
    again, still = opinions.read(folder)
    assert (again, still) == ([*found, again[-1]], wrong)
    assert again[-1].ranker == "Ada"


@pytest.mark.parametrize("groups", [(), ((),), (("a",), ("a",)), (("a", "a"),)])
def test_an_order_holds_each_deck_once(groups):
    with pytest.raises(ValidationError):
        Order(ranker="Ada", sheet=SHEET, groups=groups, runs={"a": "run-a"}, done=True)


def keep_orders(folder, name, count):
    for number in range(count):
        opinions.add(folder, [order(f"{name} {number}")])


def test_two_who_rank_at_once_lose_nothing(tmp_path):
    children = [started(keep_orders, tmp_path, name, 200) for name in ("Ada", "Grace")]
    for child in children:
        child.join(300)
    found, wrong = opinions.read(tmp_path)
    assert wrong == []
    for name in ("Ada", "Grace"):
        mine = [one.ranker for one in found if one.ranker.startswith(name)]
        assert mine == [f"{name} {number}" for number in range(200)]


def keep_orders_without_end(folder, acknowledged):
    number = 0
    while True:
        opinions.add(folder, [order(f"Ada {number}")])
        acknowledge(acknowledged, number)
        number += 1


def test_what_was_kept_survives_a_kill(tmp_path):
    acknowledged = tmp_path / "acknowledged"
    for _ in range(3):
        child = started(keep_orders_without_end, tmp_path, acknowledged)
        while not acknowledged.exists() or len(acknowledged.read_bytes()) < 60:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.join(300)
        found, _ = opinions.read(tmp_path)
        kept = [one.ranker for one in found]
        assert set(kept) >= {f"Ada {number}" for number in acknowledged.read_text().split()}
        acknowledged.unlink()


def keep_orders_on_a_small_disk(folder, bytes_):
    import resource

    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, most))
    try:
        keep_orders(folder, "Ada", 1000)
    except StoreUnavailable as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        (folder / "stopped").write_text(str(error))


def test_a_full_disk_is_told_and_what_is_there_stays_whole(tmp_path):
    child = started(keep_orders_on_a_small_disk, tmp_path, 5000)
    child.join(300)
    assert "Make room on its disk" in (tmp_path / "stopped").read_text()
    found, wrong = opinions.read(tmp_path)
    assert len(found) > 3
    assert wrong == []


# What becomes of them.


class Made:
    """What an episode is to a ranking: its run, its score, and whether it made something."""

    def __init__(self, name, score=0.5, produced=True):
        self.run, self.score, self.produced = f"run-{name}", score, produced


def sheets(tasks=("t1", "t2"), names="abc", failed=""):
    return {Sheet(model="m", size="all", task=task, seed=0): {
        name: Made(name, score=-ord(name) / 200 + 1, produced=name not in failed) for name in names} for task in tasks}


def voted(sheet, one, other, said):
    return Vote(judge=JUDGE, sheet=sheet, settings=(one, other), runs=(f"run-{one}", f"run-{other}"), said=said)


PASSED = [Control(judge=JUDGE, defect="d", pair=str(n), said=("fine", "faulty")) for n in range(20)]


def test_the_newest_order_that_is_done_counts_and_only_of_what_was_seen():
    there = sheets()
    first, second = there
    given = [order(sheet=first, groups=(("a",), ("b",), ("c",))), order(sheet=first, groups=(("c",), ("b",), ("a",))),
             order(sheet=first, groups=(("b",), ("c",), ("a",)), done=False),
             order(sheet=second).model_copy(update={"runs": {"a": "another", "b": "run-b", "c": "run-c"}})]
    views = ranked.views(there, given)
    assert views.orders == {"Ada": 1}
    ((sheet, ranker, scores),) = views.blocks[ranked.PEOPLE]
    assert (sheet, ranker, scores) == (first, "Ada", {"a": -2.0, "b": -1.0, "c": 0.0})


def test_what_failed_has_no_score_whoever_ranks():
    there = sheets(failed="c")
    sheet = next(iter(there))
    views = ranked.views(there, [order(sheet=sheet, groups=(("b",), ("a",))), *PASSED,
                                 voted(sheet, "a", "b", ("A", "A"))])
    for by in (ranked.VERIFIER, ranked.PEOPLE, str(JUDGE)):
        assert next(scores for where, _, scores in views.blocks[by] if where == sheet)["c"] is None


def test_votes_count_only_of_a_judge_that_passed_its_gate():
    there = sheets()
    sheet = next(iter(there))
    votes = [voted(sheet, "a", "b", ("A", "A")), voted(sheet, "a", "c", ("A", "B")),
             voted(sheet, "b", "c", (None, "A"))]
    views = ranked.views(there, [*PASSED, *votes])
    assert views.blocks[str(JUDGE)] == [(sheet, "", {"a": 0.75, "b": 0.0, "c": 0.5})]
    (judged,) = views.judges
    assert (judged.counts, judged.votes, judged.none, judged.flips) == (True, 3, 1, 1)
    always_fine = [one.model_copy(update={"said": ("fine", "fine")}) for one in PASSED]
    views = ranked.views(there, [*always_fine, *votes])
    assert str(JUDGE) not in views.blocks
    assert (views.judges[0].counts, views.judges[0].gate.whole.right) == (False, 0)


def test_agreement_is_one_for_the_same_order_and_less_for_others():
    there = sheets(tasks=[f"t{n}" for n in range(8)])
    straight = [order("Ada", (("a",), ("b",), ("c",)), sheet=sheet) for sheet in there]
    turned = [order("Bob", (("c",), ("b",), ("a",)), sheet=sheet) for sheet in there]
    tied = [order("Eve", (("a", "b", "c"),), sheet=sheet) for sheet in there]
    found = {(a.one, a.other): a for a in ranked.agreements(ranked.views(there, straight))}
    assert found[ranked.VERIFIER, ranked.PEOPLE].tau == statistics.Estimate(1.0, 1.0, 1.0, 8)
    found = {(a.one, a.other): a for a in ranked.agreements(ranked.views(there, [*straight, *turned]))}
    assert found[ranked.VERIFIER, ranked.PEOPLE].tau.value == 0
    assert found[ranked.PEOPLE, "each other"].tau.value == -1
    found = {(a.one, a.other): a for a in ranked.agreements(ranked.views(there, [*straight, *tied]))}
    assert (found[ranked.VERIFIER, ranked.PEOPLE].sheets, found[ranked.VERIFIER, ranked.PEOPLE].tied) == (8, 8)


def test_tau_is_kendall_s():
    # By hand: of six pairs four agree, one is against it and one is tied in the second; (4 - 1) / sqrt(6 * 5).
    one, other = dict(zip("abcd", (1, 2, 3, 4), strict=True)), dict(zip("abcd", (1, 3, 2, 3), strict=True))
    assert kendall(one, other) == pytest.approx(3 / 30**0.5)


@given(st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 3)), min_size=2),
       st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 3)), min_size=2))
def test_tau_is_even_handed_and_bounded(one, other):
    tau = kendall(one, other)
    assert tau == kendall(other, one)
    if tau is not None:
        assert -1 - 1e-9 <= tau <= 1 + 1e-9
        turned = {name: None if score is None else -score for name, score in other.items()}
        assert kendall(one, turned) == pytest.approx(-tau)
        assert kendall(one, one) == pytest.approx(1)
