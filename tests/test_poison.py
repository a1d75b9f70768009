"""What keeps bad successes out of a prompt, and that without it they get there; eval/store_poison.py measures it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "eval"))

from poison import KINDS, SUBJECTS, Kind, Share, fill, held, life, open_wide
from poison.measuring import OPEN, PROTECTED

from autorl.replay.store import ReplayStore

FEW = SUBJECTS[:4]
BY_KEY = {kind.key: kind for kind in KINDS}


@pytest.fixture
def honest(store: ReplayStore) -> ReplayStore:
    fill(store, SUBJECTS)
    return store


def prompts(store: ReplayStore, kind: Kind, folder: Path) -> tuple[int, int]:
    """How many of the prompts hold a planted run, with all protection and without."""
    planted = kind.plant(store, FEW, folder)
    assert planted
    protected = held(store, FEW, planted, PROTECTED)
    open_wide(store)
    wide = held(store, FEW, planted, OPEN)
    assert all(whole == 2 for _, whole in protected + wide)
    return sum(bad > 0 for bad, _ in protected), sum(bad > 0 for bad, _ in wide)


@pytest.mark.parametrize("key", ["outside", "stranger", "flood"])
def test_what_nobody_trusted_reaches_no_prompt_and_without_trust_it_reaches_all(
    key: str, honest: ReplayStore, tmp_path: Path
) -> None:
    assert prompts(honest, BY_KEY[key], tmp_path) == (0, len(FEW))


@pytest.mark.parametrize("key", ["off_task", "subtly_wrong"])
def test_what_a_wrong_verifier_passed_is_shown_until_a_judged_failure_and_not_after_it(
    key: str, honest: ReplayStore, tmp_path: Path
) -> None:
    planted = BY_KEY[key].plant(honest, FEW[:1], tmp_path)
    assert life(honest, FEW[0], planted, 8, luck=1.0) == [True] + [False] * 7


def test_revoked_runs_reach_not_even_the_unprotected_control(honest: ReplayStore, tmp_path: Path) -> None:
    planted = BY_KEY["stranger"].plant(honest, FEW, tmp_path)
    for trust, reached in (("trusted", len(FEW)), ("revoked", 0)):
        for run in planted:
            honest.trust(run, trust, "a person says so")  # type: ignore[arg-type]
        for how in (PROTECTED, OPEN):
            assert sum(bad > 0 for bad, _ in held(honest, FEW, planted, how)) == reached


def test_a_cap_of_nought_closes_a_source(honest: ReplayStore, tmp_path: Path) -> None:
    planted = BY_KEY["trusted_flood"].plant(honest, FEW, tmp_path)
    assert sum(c.source == "club" for c in honest.candidates()) == 100
    honest.cap("club", 0)
    assert [bad for bad, _ in held(honest, FEW, planted, PROTECTED)] == [0] * len(FEW)


def test_a_share_comes_with_the_spread_over_the_tasks() -> None:
    share = Share.of([(0, 2), (1, 2), (2, 2), (1, 2)])
    low, high = share.interval
    assert (share.part, share.whole, share.value) == (4, 8, 0.5)
    assert low < 0.5 < high
    assert Share.of([(0, 0)]).value == 0.0
