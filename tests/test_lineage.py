"""Policies in the store, on both databases: what is promoted, gone back from, deleted, exported and rescued."""

import io
from pathlib import Path

import pytest

from autorl import content
from autorl.errors import UsageError
from autorl.replay.exchange.exporting import export
from autorl.replay.exchange.importing import import_runs
from autorl.replay.salvage import salvage
from autorl.replay.store import ReplayStore
from autorl.rollout.threads import in_threads
from tests import postgres
from tests.conformance.stores import write
from tests.worlds import PASSED, a_run

server, url = postgres.server, postgres.url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ReplayStore:
    """A store on either database, with a run and two policies of the model `local`."""
    store = ReplayStore(str(tmp_path / "replay.db") if request.param == "sqlite" else request.getfixturevalue("url"))
    run = write(store, a_run(id="run-1", verdict=PASSED))
    store.keep_policy("policy@1", base="local", trained_on=[run.id], dataset="d")
    store.keep_policy("policy@2", base="local", trained_on=[], parent="policy@1")
    return store


def test_promotions_are_a_history_that_is_only_added_to(store: ReplayStore) -> None:
    store.promote("local", "policy@1", why="better", who="ann")
    store.promote("local", "policy@2", why="better still", who="gate")
    assert store.promoted("local") == "policy@2"
    assert store.promoted("other") is None
    assert store.roll_back("local", why="it rambles", who="ann") == "policy@1"
    assert store.roll_back("local", why="this one too", who="ann") is None
    told = [(step.policy, step.undoes, step.why, step.who) for step in store.promotions("local")]
    assert told == [("policy@1", False, "better", "ann"), ("policy@2", False, "better still", "gate"),
                    ("policy@1", True, "it rambles", "ann"), (None, True, "this one too", "ann")]


def test_a_policy_is_promoted_only_for_its_own_model_and_while_it_is_there(store: ReplayStore) -> None:
    for base, policy, told in (("other", "policy@1", "it is one of local"), ("local", "policy@9", "it is not there")):
        with pytest.raises(UsageError, match=told):
            store.promote(base, policy, why="x", who="x")
    store.delete_policy("policy@2")
    with pytest.raises(UsageError, match="it was deleted"):
        store.promote("local", "policy@2", why="x", who="x")
    store.promote("local", "policy@1", why="x", who="x")
    with pytest.raises(UsageError, match="is promoted for local"):
        store.delete_policy("policy@1")
    assert [bool(kept.deleted) for kept in store.policies()] == [False, True]


def test_many_who_promote_and_delete_at_once_leave_what_is_promoted_there(store: ReplayStore) -> None:
    for number in range(3, 9):
        store.keep_policy(f"policy@{number}", base="local", trained_on=[])

    def fight(number: int) -> None:
        try:
            if number % 2:
                store.promote("local", f"policy@{number // 2 % 8 + 1}", why="x", who="x")
            else:
                store.delete_policy(f"policy@{number // 2 % 8 + 1}")
        except UsageError:
            pass

    list(in_threads(fight, range(64), 8))
    promoted = store.promoted("local")
    assert promoted in {kept.id for kept in store.policies() if not kept.deleted} | {None}


def test_policies_come_along_in_an_export(store: ReplayStore, tmp_path: Path) -> None:
    store.delete_policy("policy@2")
    file, new = io.BytesIO(), ReplayStore(tmp_path / "new.db")
    export(store, file, "autorl", load_pack=content.load_pack, good=False)
    file.seek(0)
    import_runs(new, file, source="file", believe="everything")
    assert new.policies() == store.policies()
    assert new.promoted("local") is None, "which policy stands is for each store to say"


def test_a_rescue_keeps_what_is_promoted(tmp_path: Path) -> None:
    store = ReplayStore(tmp_path / "replay.db")
    write(store, a_run(id="run-1", verdict=PASSED))
    store.keep_policy("policy@1", base="local", trained_on=["run-1"])
    store.promote("local", "policy@1", why="better", who="ann")
    store.close()
    salvage(tmp_path / "replay.db", tmp_path / "saved.db")
    saved = ReplayStore(tmp_path / "saved.db")
    assert saved.promoted("local") == "policy@1"
    assert saved.policies()[0].runs == ("run-1",)
