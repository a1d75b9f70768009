"""What a damaged store still gives."""

import random
import sqlite3
from pathlib import Path

import pytest

from autorl.errors import StoreUnavailable, UsageError
from autorl.replay.salvage import salvage
from autorl.replay.store import ReplayStore
from autorl.types import Trajectory
from tests.conformance.stores import write
from tests.worlds import FAILED, PASSED, a_run, a_step

PAGE = 4096


@pytest.fixture
def written(store: ReplayStore) -> dict[str, Trajectory]:
    runs = [a_run(f"Task {n} {'word ' * 30}", [a_step(observation="x" * 200)] * 3, id=f"run-{n:03}",
                  verdict=(PASSED, FAILED, None)[n % 3], recalled=["run-000"] if n else []) for n in range(90)]
    for run in runs:
        write(store, run)
    store.trust("run-003", "revoked", "it was copied", "me")
    store.keep_policy("p1", base="local", trained_on=["run-000"])
    store.close()
    return {run.id: run for run in runs}


def test_a_sound_store_is_rescued_whole(written: dict[str, Trajectory], store: ReplayStore, tmp_path: Path) -> None:
    before = Path(store.where).read_bytes()
    saved = salvage(Path(store.where), tmp_path / "new.db")
    assert (saved.runs, saved.steps, saved.verdicts, saved.lost, saved.gaps) == (90, 270, 60, {}, {})
    assert Path(store.where).read_bytes() == before
    new = ReplayStore(tmp_path / "new.db")
    assert {name: new.get(name) for name in written} == written
    assert {c.run for c in new.candidates()} == {c.run for c in ReplayStore(store.where).candidates()}
    assert [(c.trust, c.why, c.who) for c in new.trust_changes("run-003")][-1] == ("revoked", "it was copied", "me")
    assert new.policies_of("run-000") == ["p1"]
    assert new.record("run-000")[:2] == (29, 59)
    assert new.check() == []


@pytest.mark.parametrize("seed", range(8))
def test_of_a_damaged_store_all_that_lies_outside_the_damage_is_rescued(
    seed: int, written: dict[str, Trajectory], store: ReplayStore, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    whole = Path(store.where).read_bytes()
    places = dice.sample(range(2, len(whole) // PAGE), 2)  # the first page says where all others are
    for place in places:
        whole = whole[: place * PAGE] + dice.randbytes(PAGE) + whole[(place + 1) * PAGE :]
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(whole)
    saved = salvage(damaged, tmp_path / "new.db")
    new = ReplayStore(tmp_path / "new.db")
    assert new.check() == []
    kept = {summary.id for summary in new.newest(limit=200)}
    assert saved.runs == len(kept)
    assert len(kept) >= 45
    assert written.keys() - kept <= saved.lost.keys() or saved.gaps, "what is not there is told"
    for name in kept:
        run, was = new.get(name), written[name]
        assert run.steps == was.steps[: len(run.steps)]
        if len(run.steps) < len(was.steps):
            assert "rescued up to step" in saved.lost[name]
            assert new.summary(name).trust != "trusted"
        if name not in saved.lost and not saved.gaps:
            assert run == was


def test_of_half_a_copy_a_part_is_rescued(written: dict[str, Trajectory], store: ReplayStore, tmp_path: Path) -> None:
    whole = Path(store.where).read_bytes()
    (tmp_path / "half.db").write_bytes(whole[: len(whole) * 3 // 4])
    saved = salvage(tmp_path / "half.db", tmp_path / "new.db")
    assert 20 <= saved.runs <= 90
    new = ReplayStore(tmp_path / "new.db")
    assert len(new.newest(limit=200)) == saved.runs
    assert new.check() == []


def test_where_nothing_can_be_read_it_is_said(tmp_path: Path) -> None:
    for name, content in (("noise.db", b"\xff" * 9_000), ("empty.db", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreUnavailable, match="nothing can be read of"):
            salvage(tmp_path / name, tmp_path / "new.db")
        assert not (tmp_path / "new.db").exists()


def test_a_rescue_writes_over_nothing(written: dict[str, Trajectory], store: ReplayStore, tmp_path: Path) -> None:
    (tmp_path / "there.db").touch()
    with pytest.raises(UsageError, match=r"there.db is there already"):
        salvage(Path(store.where), tmp_path / "there.db")
    with pytest.raises(UsageError, match="there is no file"):
        salvage(tmp_path / "nothing.db", tmp_path / "new.db")


def test_a_store_of_an_earlier_version_or_half_migrated_can_be_rescued(
    written: dict[str, Trajectory], store: ReplayStore, tmp_path: Path
) -> None:
    with sqlite3.connect(store.where) as connection:
        for table in ("recallable", "records", "policy_runs", "policies"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE runs DROP COLUMN length")
    with pytest.raises(StoreUnavailable, match="half migrated"):
        ReplayStore(store.where)
    assert salvage(Path(store.where), tmp_path / "new.db").runs == 90
    new = ReplayStore(tmp_path / "new.db")
    assert {name: new.get(name) for name in written} == written
    assert len(new.candidates()) == 29
