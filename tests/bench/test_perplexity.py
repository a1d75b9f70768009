"""Perplexity is that of the tokens of what succeeded, whatever runs and tasks they are spread over."""

from math import exp, inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorl.bench import report, run
from autorl.bench.ledger import Episode
from autorl.bench.metrics import perplexity, surprise
from autorl.bench.spec import Cell
from autorl.models.base import Request
from autorl.types import Status, Step, Task, Trajectory
from tests.bench.world import GIVEN, SPEC, begun, opens_doors
from tests.servers import Reply, serving


def ran(*steps: list[float]) -> Trajectory:
    """A run whose steps have tokens of these log-probabilities."""
    return Trajectory(id="r", task=Task(text="t"), steps=tuple(
        Step(index=index, raw="", finish_reason="stop", logprobs=tuple(each)) for index, each in enumerate(steps)))


def episode(*steps: list[float], task: str = "t", passed: bool = True) -> Episode:
    nats, rated = surprise(ran(*steps))
    cell = Cell(phase="held-out", model="m", setting="s", seed=0, task=task)
    return Episode(cell=cell, run="r", status=Status.FINISHED, verified=passed, recallable=passed, nats=nats,
                   rated=rated)


def test_a_policy_that_tosses_a_coin_for_every_token_has_a_perplexity_of_two():
    found = perplexity([episode([log(0.5)] * 7, [log(0.5)] * 3, task=f"t{n}") for n in range(6)])
    assert (found.value, found.n) == (pytest.approx(2), 6)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))


@given(st.lists(st.lists(st.floats(-20, 0), min_size=1, max_size=9), min_size=1, max_size=8))
def test_it_is_the_exponent_of_the_mean_negative_log_likelihood_a_token(tasks):
    tokens = [each for task in tasks for each in task]
    found = perplexity([episode(task, task=str(number)) for number, task in enumerate(tasks)])
    assert found.value == pytest.approx(exp(-sum(tokens) / len(tokens)))
    assert found.low is None or 1 - 1e-9 <= found.low <= found.high + 1e-9


def test_what_failed_or_has_no_log_probabilities_does_not_count():
    assert perplexity([]) is None
    assert perplexity([episode(), episode([-1.0], []), episode([-1.0], passed=False)]) is None
    assert perplexity([episode([-1.0], []), episode([-2.0])]).value == pytest.approx(exp(2))


@pytest.mark.parametrize("wrong", [0.1, -inf, inf, nan])
def test_a_run_with_what_is_no_log_probability_is_not_rated(wrong):
    assert surprise(ran([-1.0], [-1.0, wrong])) == (0, 0)


def test_a_report_tells_it_where_the_server_gave_log_probabilities():
    def answer(body):
        return Reply(opens_doors(Request(body["messages"])), token_ids=(1, 2, 3))

    with serving(answer) as server:
        spec = SPEC.replace('"scripted:door-opener"', '"openai:m"').replace(
            "max_steps = 6", f'max_steps = 6\nkeep_tokens = true\nbase_url = "{server.url}"')
        folder = begun(spec=spec)
        run.resume(folder)
    rows = {(row.setting, row.size): row.figures for row in report.of(folder).rows}
    assert rows["agent+replay", "all"]["perplexity"].value == pytest.approx(exp(0.5))


def test_a_report_does_not_tell_it_where_none_were_given():
    folder = begun()
    run.resume(folder, given=GIVEN)
    assert not any("perplexity" in row.figures for row in report.of(folder).rows)
