"""Episodes that are done once: what is found of earlier tries, and what is made of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from autorl import Agent, Limits, Recall, ReplayStore, Sampling, Task, Trajectory
from autorl.errors import StoreUnavailable
from autorl.models.scripted import Scripted
from autorl.rollout import collect as collecting
from autorl.rollout.collect import Plan, collect
from autorl.rollout.once import STALE, Episodes, Order, named
from autorl.types import Provenance, Status
from tests.worlds import ping, say

TASK = Task(text="Say ping", id="ping")
ORDER = Order(named("scripted", TASK.id, 0), TASK, Sampling())


@pytest.fixture
def agent(store: ReplayStore) -> Agent:
    return Agent(model=Scripted(lambda _: say("finish", answer="done")), tools=[ping], store=store, recall=Recall(k=0),
                 limits=Limits(seconds=10))


def begun(store: ReplayStore, number: int = 1, ago: float = 0.0) -> Trajectory:
    """A try that somebody else is at."""
    run = Trajectory(id=f"{ORDER.name}-{number}", task=TASK, provenance=Provenance(model="scripted"),
                     started=datetime.now(UTC) - timedelta(seconds=ago))
    store.began(run)
    return run


def test_the_name_of_an_episode_is_the_same_everywhere() -> None:
    assert named("m", "t", 0) == named("m", "t", 0) == "e" + named("m", "t", 0)[1:]
    assert len({named(model, task, n) for model in ("m", "n") for task in ("t", "u") for n in (0, 1)}) == 8


def test_an_episode_that_is_done_is_not_done_again(agent: Agent, store: ReplayStore) -> None:
    first = Episodes(agent)(ORDER)
    again = Episodes(agent)(ORDER)
    assert (first.ours, again.ours) == (True, False)
    assert first.run.id == again.run.id == f"{ORDER.name}-1"
    assert len(store.newest()) == 1


def test_an_episode_in_other_hands_is_left_to_them(agent: Agent, store: ReplayStore) -> None:
    run = begun(store)
    found = Episodes(agent)(ORDER)
    assert (found.ours, found.run.id, found.run.status) == (False, run.id, Status.RUNNING)


def test_a_lost_worker_s_try_is_closed_and_the_next_is_a_run_of_its_own(agent: Agent, store: ReplayStore) -> None:
    run = begun(store)
    assert Episodes(agent).lost(ORDER) is None
    assert store.get(run.id).status is Status.FAILED
    assert "lost" in store.get(run.id).reason
    done = Episodes(agent)(ORDER)
    assert (done.ours, done.run.id) == (True, f"{ORDER.name}-2")


def test_a_worker_that_was_lost_after_its_work_had_done_it(agent: Agent) -> None:
    done = Episodes(agent)(ORDER)
    found = Episodes(agent).lost(ORDER)
    assert found is not None
    assert (found.ours, found.run) == (True, done.run)


def test_what_a_lost_worker_had_asked_for_may_be_done_while_its_try_is_closed(
        agent: Agent, store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database goes on with what it was asked although who asked was killed."""
    run, ended = begun(store), store.ended

    def ended_too_late(failed: Trajectory) -> None:
        ended(run.model_copy(update={"status": Status.FINISHED}))
        ended(failed)

    monkeypatch.setattr(store, "ended", ended_too_late)
    found = Episodes(agent).lost(ORDER)
    assert found is not None
    assert (found.ours, found.run.id, found.run.status) == (True, run.id, Status.FINISHED)


def test_a_run_that_takes_far_longer_than_it_may_has_lost_its_process(agent: Agent, store: ReplayStore) -> None:
    begun(store, ago=STALE + 5)
    assert not Episodes(agent)(ORDER).ours
    late = replace(agent, limits=Limits(seconds=4))
    assert Episodes(late)(ORDER).run.id == f"{ORDER.name}-2"
    assert store.get(f"{ORDER.name}-1").status is Status.FAILED


def test_who_was_taken_for_dead_does_not_end_what_was_ended_in_its_place(agent: Agent, store: ReplayStore) -> None:
    run = begun(store)
    late = ReplayStore(store.where)
    Episodes(agent).lost(ORDER)
    with pytest.raises(StoreUnavailable, match="was ended while it was going on here"):
        late.ended(run.model_copy(update={"status": Status.FINISHED}))
    late.close()
    assert store.get(run.id).status is Status.FAILED


def test_a_collection_ends_although_a_run_that_counted_was_taken_up_again(
        agent: Agent, store: ReplayStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the store counts one attempt less, and the name of the next one is that of one that is done."""
    monkeypatch.setattr(collecting, "LOOK", 0.01)
    plan = Plan(attempts=3)
    stuck = replace(agent, model=Scripted(lambda _: say("ping")), limits=Limits(steps=1))
    first, *_ = collect(stuck, [TASK], plan)
    store.began(store.reopen(first.trajectory.id))
    store.ended(store.get(first.trajectory.id).model_copy(update={"status": Status.CANCELLED}))
    assert list(collect(stuck, [TASK], plan)) == []


def test_what_another_collector_does_meanwhile_is_waited_for(
        agent: Agent, store: ReplayStore, open_store: Callable[[], ReplayStore],
        monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(store)
    looks = []

    def look(_: float) -> None:
        looks.append(store.get(run.id).status)
        store.ended(run.model_copy(update={"status": Status.FINISHED}))

    monkeypatch.setattr(collecting.time, "sleep", look)
    assert list(collect(replace(agent, store=open_store()), [TASK], Plan(attempts=1))) == []
    assert looks == [Status.RUNNING]
