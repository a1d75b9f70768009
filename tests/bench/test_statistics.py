"""Intervals hold what they say, and differences are claimed where there are any."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.bench.statistics import Estimate, difference, mean, ratio

NUMBERS = st.dictionaries(st.text(max_size=3), st.lists(st.floats(-100, 100), min_size=1, max_size=3), min_size=1,
                          max_size=12)


def by_task(values):
    return {f"t{n}": [value] for n, value in enumerate(values)}


@given(NUMBERS)
def test_the_interval_is_within_what_the_tasks_gave(runs):
    found = mean(runs)
    means = [sum(numbers) / len(numbers) for numbers in runs.values()]
    assert found.value == pytest.approx(sum(means) / len(means), abs=1e-9)
    if len(runs) == 1:
        assert (found.low, found.high) == (None, None)
    else:
        assert min(means) - 1e-9 <= found.low <= found.high <= max(means) + 1e-9


def test_a_bca_interval_is_what_scipy_gives():
    values = [0.05, 0.12, 0.2, 0.31, 0.33, 0.47, 0.5, 0.62, 0.7, 0.85, 0.9, 1.1, 1.2, 1.5, 1.9, 2.2, 2.6, 3.4, 4.1, 6.3]
    found = mean(by_task(values))
    # scipy.stats.bootstrap, method="BCa", n_resamples=200_000; plain percentiles are 0.854 and 2.206.
    assert (found.low, found.high) == (pytest.approx(0.939, abs=0.03), pytest.approx(2.388, abs=0.05))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    chance = random.Random(1)
    covered = 0
    for _ in range(400):
        found = mean(by_task([chance.expovariate(1) for _ in range(20)]))
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 400 <= 0.97


def test_seeds_of_one_task_count_as_one_task():
    once = mean({"a": [1], "b": [0], "c": [1]})
    assert mean({"a": [1, 1, 1], "b": [0, 0], "c": [1]}) == once
    assert once.n == 3


def test_all_successes_are_not_certainty():
    found = mean(by_task([1] * 20), share=True)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.8316, abs=1e-4)  # Clopper and Pearson's 95 % for 20 of 20
    found = mean(by_task([0] * 20), share=True)
    assert (found.low, found.value) == (0.0, 0.0)
    assert found.high == pytest.approx(0.1684, abs=1e-4)


def test_a_difference_is_paired_over_the_tasks_that_both_have():
    one = {f"t{n}": [n, n + 2] for n in range(20)}
    other = {f"t{n}": [n] for n in range(10, 30)}
    found = difference(one, other)
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 10)
    assert found.says == "more"
    assert difference(other, one).says == "less"
    assert difference({"a": [1]}, {"b": [1]}) is None


def test_pairing_shows_what_the_spread_between_tasks_would_hide():
    chance = random.Random(0)
    hard = {f"t{n}": [chance.uniform(0, 100)] for n in range(20)}
    easier = {task: [value + chance.uniform(0.5, 1.5)] for task, (value,) in hard.items()}
    assert difference(easier, hard).says == "more"
    assert mean(easier).low < mean(hard).high


def test_no_difference_is_claimed_where_the_interval_holds_zero_or_there_are_few_tasks():
    chance = random.Random(0)
    noise = {f"t{n}": [chance.gauss(0, 1)] for n in range(20)}
    assert difference(noise, {task: [0.0] for task in noise}).says == "no difference shown"
    assert difference(by_task([1] * 5), by_task([0] * 5)).says == "too few tasks (5)"
    assert difference(by_task([1] * 6), by_task([0] * 6)).says == "more"
    assert difference(by_task([1]), by_task([0])).says == "too few tasks (1)"
    assert difference(by_task([0] * 9), by_task([0] * 9)).says == "no difference shown"


def test_thirds_get_the_interval_that_whole_numbers_get():
    """What floating point adds must not part samples that are equal, nor make of a zero something above it."""
    wins = [(3, 1), (2, 2), (1, 0), (0, 0), (3, 3), (2, 1), (0, 1), (1, 0), (0, 0), (2, 0), (0, 0), (3, 2)] * 2
    shares = difference({str(n): [one / 3] for n, (one, _) in enumerate(wins)},
                        {str(n): [other / 3] for n, (_, other) in enumerate(wins)})
    counts = difference({str(n): [one] for n, (one, _) in enumerate(wins)},
                        {str(n): [other] for n, (_, other) in enumerate(wins)})
    assert (3 * shares.low, 3 * shares.high) == pytest.approx((counts.low, counts.high))


def test_differences_are_seldom_claimed_where_there_are_none():
    chance = random.Random(5)
    claimed = sum(
        difference(by_task([chance.random() < 0.5 for _ in range(20)]),
                   by_task([chance.random() < 0.5 for _ in range(20)])).says != "no difference shown"
        for _ in range(400))
    assert claimed / 400 < 0.1


def test_a_ratio_is_of_sums_and_is_open_where_a_sample_may_have_no_success():
    found = ratio(by_task([100, 200, 300, 400]), by_task([1, 1, 1, 1]))
    assert found.value == 250
    assert 100 <= found.low < 250 < found.high <= 400
    assert ratio(by_task([100] * 4), by_task([0] * 4)) is None
    seldom = ratio(by_task([100] * 4), by_task([1, 0, 0, 0]))
    assert (seldom.value, seldom.high) == (400, None)


def test_a_thousand_tasks_and_many_more_take_little_room():
    assert mean(by_task([1.0, 2.0] * 5000)).n == 10_000
    assert isinstance(mean(by_task(range(1000))), Estimate)
