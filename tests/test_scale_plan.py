"""The tables of docs/scale.md are what the simulation makes of the kept figures."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))
import scale_plan
from capacity_server import Engine
from scale_plan import Measured


def finished(engine: Engine, until: float) -> dict[str, float]:
    """When what was asked of an engine is done, looked at ten thousand times a second."""
    found: dict[str, float] = {}
    for moment in range(int(until * 10_000)):
        for what in engine.done(moment / 10_000):
            found[what] = moment / 10_000
    return found


def test_the_page_has_the_tables_that_the_script_makes() -> None:
    try:
        measured = Measured.read()
    except KeyError as lacking:
        pytest.skip(f"{lacking} is not kept yet: python eval/scale_mock.py")
    text = scale_plan.PAGE.read_text("utf-8")
    assert scale_plan.page(text, measured) == text, "python eval/scale_plan.py --write"


def test_a_table_follows_what_was_measured() -> None:
    cheap, dear = (Measured(ms, 300, 20, 2000, 1000, 1.5) for ms in (1.0, 10.0))
    assert scale_plan.fleet(cheap) != scale_plan.fleet(dear)
    assert "| 1,000,000 | 116 |" in scale_plan.fleet(cheap)


def test_a_request_alone_takes_the_latency_and_its_tokens_at_its_own_speed() -> None:
    engine = Engine(latency=0.2, speed=100, capacity=1000)
    engine.ask("one", 50, 0.0)
    assert finished(engine, 1.0) == {"one": pytest.approx(0.7, abs=0.001)}


def test_requests_share_the_capacity_and_speed_up_when_others_are_done() -> None:
    engine = Engine(latency=0.0, speed=100, capacity=100)
    engine.ask("short", 50, 0.0)
    engine.ask("long", 100, 0.0)
    # Both at 50 a second until the short one is done, then the other alone.
    assert finished(engine, 2.0) == {"short": pytest.approx(1.0, abs=0.001), "long": pytest.approx(1.5, abs=0.001)}


def test_a_server_is_used_better_by_more_runs_until_it_can_give_no_more() -> None:
    rates = [scale_plan.simulated(runs, 30.0)[0] for runs in (16, 64, 512, 1024)]
    assert rates[1] == pytest.approx(4 * rates[0], rel=0.1)
    assert rates[2] == pytest.approx(scale_plan.CAPACITY / scale_plan.TOKENS, rel=0.03)
    assert rates[3] == pytest.approx(rates[2], rel=0.03)
