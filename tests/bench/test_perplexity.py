"""Perplexity is that of the tokens, whatever trajectories and tasks they are spread over."""

from math import exp, inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.bench.metrics import perplexity


def test_a_policy_that_tosses_a_coin_for_every_token_has_a_perplexity_of_two():
    found = perplexity({f"t{n}": [[log(0.5)] * 7, [log(0.5)] * 3] for n in range(6)})
    assert (found.value, found.n) == (pytest.approx(2), 6)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))


@given(st.lists(st.lists(st.floats(-20, 0), min_size=1, max_size=9), min_size=1, max_size=8))
def test_it_is_the_exponent_of_the_mean_negative_log_likelihood_a_token(tasks):
    tokens = [each for task in tasks for each in task]
    found = perplexity({str(number): [task] for number, task in enumerate(tasks)})
    assert found.value == pytest.approx(exp(-sum(tokens) / len(tokens)))
    assert found.low is None or 1 - 1e-9 <= found.low <= found.high + 1e-9


def test_without_tokens_there_is_none():
    assert perplexity({}) is None
    assert perplexity({"t": [[]]}) is None


@pytest.mark.parametrize("wrong", [0.1, -inf, inf, nan])
def test_what_is_no_log_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="finite and not above 0"):
        perplexity({"t": [[-1.0, wrong]]})
