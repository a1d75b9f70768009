from dataclasses import replace
from pathlib import Path

import pytest

from autorl import Agent, Recall, ReplayStore, RunContext, Sampling, Task, Trajectory, tool
from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Request
from autorl.models.scripted import Scripted
from autorl.rollout.collect import Attempt, Plan, collect, warmth
from tests.worlds import ping, say


def lucky(run: Trajectory) -> bool:
    """Passes a run if its answer is at least as much as the task asks for."""
    return int(run.answer) >= run.task.requirements["luck"]


def tasks(*luck: int) -> list[Task]:
    return [Task(text=f"Task {n}", id=f"t{n}", requirements={"luck": many}) for n, many in enumerate(luck)]


class Counting(Scripted):
    """Answers with how often it was asked for this task before."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked: dict[str, int] = {}

        def answer(request: Request) -> str:
            if dies_after is not None and sum(self.asked.values()) >= dies_after:
                raise ModelUnavailable("gone")
            task = request.messages[1]["content"].rpartition("Task: ")[2]
            self.asked[task] = self.asked.get(task, -1) + 1
            return say("finish", answer=str(self.asked[task]))

        super().__init__(answer)


@pytest.fixture
def agent(store: ReplayStore) -> Agent:
    return Agent(model=Counting(), tools=[ping], store=store, recall=Recall(k=0), sampling=Sampling(0.5))


def collected(agent: Agent, wanted: list[Task], plan: Plan, concurrency: int = 1) -> list[Attempt]:
    return list(collect(agent, wanted, plan, concurrency=concurrency, verify=lucky))


def test_each_task_is_tried_until_it_has_its_successes_or_its_attempts(agent: Agent) -> None:
    done = collected(agent, tasks(0, 2, 99), Plan(attempts=5, successes=2))
    tried = {name: [a.number for a in done if a.trajectory.task.id == name] for name in ("t0", "t1", "t2")}
    assert tried == {"t0": [0, 1], "t1": [0, 1, 2, 3], "t2": [0, 1, 2, 3, 4]}
    assert [a.trajectory.task.id for a in done[:3]] == ["t0", "t1", "t2"], "all have their first before one its second"


def test_sampling_gets_warmer_without_a_success_and_cooler_with_one(agent: Agent) -> None:
    done = collected(agent, tasks(0, 99), Plan(attempts=3, successes=3))
    cool = [a.temperature for a in done if a.trajectory.task.id == "t0"]
    warm = [a.temperature for a in done if a.trajectory.task.id == "t1"]
    assert cool == pytest.approx([0.5, 0.4, 0.32])
    assert warm == pytest.approx([0.5, 0.65, 0.8])
    assert (warmth(0.7, 99, 0), warmth(0.7, 99, 99)) == (1.2, 0.2)
    assert (warmth(1.5, 3, 0), warmth(0.0, 3, 2)) == (1.5, 0.0), "what was asked for is not undone"
    seeds = {(a.trajectory.task.id, a.number, a.trajectory.provenance.seed) for a in done}
    assert len({seed for *_, seed in seeds}) == len(done)


def test_a_collection_that_was_broken_off_goes_on_where_it_was(agent: Agent, store: ReplayStore) -> None:
    plan = Plan(attempts=3, successes=2)
    broken = replace(agent, model=Counting(dies_after=2))
    with pytest.raises(ModelUnavailable):
        collected(broken, tasks(99, 99), plan)
    before = store.attempts(["t0", "t1"], "scripted")
    assert 0 < sum(n for n, _ in before.values()) < 6
    after = collected(agent, tasks(99, 99), plan)
    assert len(after) == 6 - sum(n for n, _ in before.values())
    assert store.attempts(["t0", "t1"], "scripted") == {"t0": (3, 0), "t1": (3, 0)}
    assert collected(agent, tasks(99, 99), plan) == []


def test_threads_collect_the_same_attempts(agent: Agent) -> None:
    done = collected(agent, tasks(*[99] * 12), Plan(attempts=2), concurrency=6)
    tried = sorted((a.trajectory.task.id, a.number) for a in done)
    assert tried == sorted((f"t{n}", m) for n in range(12) for m in (0, 1))


def test_it_takes_a_store() -> None:
    with pytest.raises(UsageError, match="takes a store"):
        list(collect(Agent(model=Counting(), tools=[ping]), tasks(0)))


def test_a_run_begins_with_nothing_of_its_namesake_in_another_store(tmp_path: Path) -> None:
    """Attempts have the same names in every store, and the runs of one home lie in one folder."""
    @tool
    def keep(context: RunContext) -> str:
        """Keep a file."""
        there = [path.name for path in context.workspace.root.iterdir()]
        context.workspace.write("kept.txt", b"x")
        return f"There were {len(there)} files"

    def answer(request: Request) -> str:
        return say("finish", answer="done") if len(request.messages) > 2 else say("keep")

    def collected_in(name: str) -> Trajectory:
        store = ReplayStore(tmp_path / name)
        agent = Agent(model=Scripted(answer), tools=[keep], store=store, recall=Recall(k=0),
                      workspaces=tmp_path / "runs")
        (done,) = collect(agent, [Task(text="Do it")], Plan(attempts=1))
        store.close()
        return done.trajectory

    first, second = collected_in("one.db"), collected_in("two.db")
    assert first.id == second.id
    assert [run.steps[0].observation.text for run in (first, second)] == ["There were 0 files"] * 2  # type: ignore[union-attr]
    (before,) = (tmp_path / "runs").glob("*.before-*")
    assert (before / "kept.txt").read_bytes() == b"x", "and nothing is lost"
