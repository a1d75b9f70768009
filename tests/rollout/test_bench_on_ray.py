"""A benchmark's grid, and what policies are measured with, played by workers elsewhere and kept here."""

from pathlib import Path

import pytest

from autorl import ReplayStore
from autorl.bench import run
from autorl.bench.ledger import Episode
from autorl.bench.ledger import read as entries
from autorl.bench.spec import Setting, Spec, Split, Tasks
from autorl.errors import UsageError
from autorl.models.scripted import Scripted
from autorl.rollout.executor import Executor, choose
from autorl.settings import Settings
from autorl.train import measure
from autorl.types import Status, Verdict
from tests.postgres import Server
from tests.rollout.cluster import Nodes
from tests.rollout.planned import TOOLS, answers, some_tasks
from tests.servers import serving
from tests.worlds import a_run

TASKS = Split(learn=tuple(some_tasks(5)[:2]), held_out=tuple(some_tasks(5)[2:]))


@pytest.fixture
def executor(nodes: Nodes, url: str) -> Executor:
    return choose("ray", store=url, address=nodes.address)


def spec(base_url: str) -> Spec:
    chosen = Settings(tools=(TOOLS,), base_url=base_url)
    return Spec(name="away", models=("openai:planned",), seeds=(0,), tasks=Tasks(learn=("given",), held_out=("given",)),
                settings={"plain": Setting(chosen=chosen.model_copy(update={"k": 0})),
                          "replay": Setting(chosen=chosen, fill="replay")})


@pytest.mark.slow
def test_a_grid_is_played_on_ray_and_kept_here(executor: Executor, server: Server) -> None:
    with serving(answers(0.0)) as model:
        folder = run.begin(spec(model.url), TASKS)
        ending = run.resume(folder, concurrency=2, on=executor)
        again = run.resume(folder, concurrency=2, on=executor)
    assert (ending.status, again.status) == ("complete", "complete")
    episodes = [entry for entry in entries(folder / run.LEDGER) if isinstance(entry, Episode)]
    assert len({episode.cell for episode in episodes}) == len(episodes) == 8, "2 to learn from, 3 twice to measure"
    assert all(episode.verified for episode in episodes)
    shown = {episode.cell.setting: episode.recalled for episode in episodes if episode.cell.phase == "held-out"}
    assert shown["replay"]
    assert not shown["plain"]
    runs = ReplayStore(folder / run.RUNS)
    kept = [runs.get(episode.run) for episode in episodes]
    assert {made.status for made in kept} == {Status.FINISHED}
    assert all(made.artifacts for made in kept), "the state of the warehouse, in a file"
    assert runs.check_files() == []
    runs.close()
    assert server.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench%'") == [], "nothing is left behind"


@pytest.mark.slow
def test_policies_are_measured_on_ray_with_the_store_of_all(executor: Executor, url: str, tmp_path: Path) -> None:
    store = ReplayStore(url)
    (run_id,) = store.add([a_run(TASKS.learn[0], verdict=Verdict(verifier="warehouse@1", passed=True, score=1.0))])
    with serving(answers(0.0)) as model:
        episodes = measure.play(tmp_path / "measured", spec(model.url), TASKS, memory=store, concurrency=2, on=executor)
    assert len(episodes) == 6
    assert all(episode.verified for episode in episodes)
    assert len(store.newest()) == 1, "it is recalled from, and not written to"
    assert store.get(run_id)
    store.close()


def test_a_model_of_this_process_is_not_sent(tmp_path: Path) -> None:
    on = choose("ray", store="postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(UsageError, match="a model of this process"):
        measure.play(tmp_path / "measured", spec("http://127.0.0.1:1"), TASKS, on=on,
                     given={"openai:planned": Scripted([])})
