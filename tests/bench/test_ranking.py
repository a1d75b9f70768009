"""Ranks, the paper's ranking in both conventions, and strengths."""

from math import exp, log

import choix
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.bench.ranking import bradley_terry, ranks, relative_fulfillment

SCORES = st.dictionaries(st.sampled_from("abcde"), st.none() | st.sampled_from([0.0, 0.5, 1.0]), min_size=2)
BLOCKS = st.lists(st.tuples(st.sampled_from(["t1", "t2", "t3"]), SCORES), min_size=1, max_size=8)


def test_ties_share_a_rank_and_the_next_one_counts_those_before_it():
    assert ranks({"a": 0.9, "b": 0.5, "c": 0.9, "d": 0.1}) == {"a": 1, "c": 1, "b": 3, "d": 4}


def test_who_failed_is_left_out_or_last():
    scores = {"a": 0.2, "b": None, "c": 0.9, "d": None}
    assert ranks(scores, "left out") == {"c": 1, "a": 2}
    assert ranks(scores, "last") == {"c": 1, "a": 2, "b": 3, "d": 3}


def test_the_paper_s_convention_flatters_who_fails_often():
    blocks = [("t1", {"vanilla": 0.9, "agent": 0.5}), ("t2", {"vanilla": None, "agent": 0.5}),
              ("t3", {"vanilla": None, "agent": 0.5})]
    left_out, last = (relative_fulfillment(blocks, failed) for failed in ("left out", "last"))
    assert left_out["vanilla"].value < left_out["agent"].value
    assert last["vanilla"].value == pytest.approx(5 / 3)
    assert last["agent"].value == pytest.approx(4 / 3)


def test_several_rankings_of_a_task_count_as_one_task():
    blocks = [("t1", {"a": 1.0, "b": 0.0})] * 9 + [("t2", {"a": 0.0, "b": 1.0})]
    assert relative_fulfillment(blocks)["a"].value == 1.5
    assert bradley_terry(blocks)["a"].value == pytest.approx(0, abs=1e-6)


@given(BLOCKS)
def test_strengths_are_those_that_choix_finds(blocks):
    names = sorted({name for _, scores in blocks for name in scores})
    tasks = [task for task, _ in blocks]
    wins = 0.5 * (1 - np.eye(len(names)))  # the tie that every pair has more than was seen
    for task, scores in blocks:
        for one in scores:
            for other in scores:
                mine, theirs = (ranks(scores)[name] for name in (one, other))
                won = 0.5 if one != other and mine == theirs else mine < theirs
                wins[names.index(one), names.index(other)] += won / tasks.count(task)
    found = bradley_terry(blocks)
    theirs = choix.ilsr_pairwise_dense(wins, max_iter=10_000)
    assert [found[name].value for name in names] == pytest.approx(list(theirs - theirs.mean()), abs=1e-3)


@given(BLOCKS)
def test_ranks_order_as_scores_do_and_begin_at_one(blocks):
    for _, scores in blocks:
        found = ranks(scores)
        assert min(found.values()) == 1
        for one in scores:
            for other in scores:
                better = scores[one] is not None and (scores[other] is None or scores[one] > scores[other])
                assert (found[one] < found[other]) == better


@given(BLOCKS)
def test_strengths_sum_to_nothing_and_follow_who_wins_more(blocks):
    found = bradley_terry(blocks)
    assert sum(estimate.value for estimate in found.values()) == pytest.approx(0, abs=1e-6)
    for estimate in found.values():
        if estimate.low is not None:
            assert estimate.low <= estimate.high


def test_two_settings_have_the_strengths_of_their_wins():
    blocks = [(f"t{n}", {"a": 1.0, "b": 0.0}) for n in range(6)] + [("t7", {"a": 0.0, "b": 1.0}),
                                                                   ("t8", {"a": 1.0, "b": 1.0})]
    found = bradley_terry(blocks)
    # 6 wins, half of one tie, and half of the tie that every pair has to begin with; against 1 and the same halves.
    assert found["a"].value - found["b"].value == pytest.approx(log(7 / 2), abs=1e-5)
    assert found["a"].low < found["a"].value < found["a"].high


def test_strengths_predict_how_often_one_beats_another():
    import random

    chance = random.Random(0)
    true = {"a": 0.0, "b": 0.7, "c": 1.4}
    blocks = []
    for n in range(900):
        one, other = chance.sample(sorted(true), 2)
        wins = chance.random() < 1 / (1 + exp(true[other] - true[one]))
        blocks.append((f"t{n}", {one: float(wins), other: float(not wins)}))
    found = bradley_terry(blocks)
    for name, strength in true.items():
        assert found[name].value == pytest.approx(strength - 0.7, abs=0.15)


def test_one_setting_alone_has_no_strength():
    assert bradley_terry([("t", {"a": 1.0})]) == {}
