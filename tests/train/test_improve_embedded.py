"""One round of the loop with nothing put in the place of anything: the embedded model, and its training."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from autorl import ReplayStore
from autorl.models.local import Local
from autorl.settings import Settings
from autorl.train import improve, measure, policies
from autorl.train.gate import Ruling
from autorl.types import Task
from tests import needs

pytestmark = pytest.mark.slow

PACK = '''
from typing import Literal
from autorl.registry import Pack, tool
from autorl.types import Verdict


@tool(ends_run=True)
def greet(whom: Literal["ann", "bob"]) -> str:
    """Greet somebody."""
    return f"Hello {whom}"


class Greeted:
    name, version = "greeted", 1

    def __call__(self, task, trajectory, workspace, exemplars=()):
        passed = any(a.arguments.get("whom") == task.requirements["whom"] for a in trajectory.actions)
        return Verdict(verifier="greeted@1", passed=passed, score=float(passed))


pack = Pack(tools=[greet], verifiers={"greeted": Greeted()})
'''
NAMES = ("morning", "evening", "party", "station", "office", "garden", "market", "school")


def tasks(first: int, count: int) -> list[Task]:
    return [Task(text=f"Greet {whom.capitalize()} at the {NAMES[n % len(NAMES)]}, number {n}", id=f"greet-{n}",
                 requirements={"whom": whom}) for n in range(first, first + count) for whom in [("ann", "bob")[n % 2]]]


@pytest.fixture
def folder(embedded: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    needs.require(all(find_spec(name) for name in ("torch", "trl", "peft", "gguf")), "what training takes",
                  "pip install -e '.[train]'")
    Path("autorl.toml").touch()
    Path("tools").mkdir()
    Path("tools/greeting.py").write_text(PACK)
    monkeypatch.setattr(measure, "neutral", lambda: ["Bread is baked in the early morning.", "Rivers carry sand."])
    return tmp_path / "loop"


def test_a_round_trains_a_policy_that_the_embedded_model_then_runs(folder: Path, store: ReplayStore) -> None:
    from autorl.train.dataset import Choice
    from autorl.train.hyper import Hyper

    chosen = Settings.model_validate({
        "policy": "none", "tools": ("greeting",), "k": 0, "max_steps": 1, "max_tokens": 40})
    plan = improve.Plan(rounds=1, attempts=3, successes=1, seeds=(0,), measured=(), chosen=chosen)
    small = Hyper(rank=4, alpha=8, epochs=1, batch=2, bf16=False, learning_rate=2e-3)
    told: list[str] = []
    done = improve.improve(store, folder, tasks(0, 4), tasks(100, 2), plan, tell=told.append,
                           train=improve.distil(plan, small, Choice(exemplars=0.0)))
    (ruling,) = done.rulings
    (kept,) = [policy for policy in store.policies() if policy.runs and not policy.deleted]
    assert ruling.new == f"local+{kept.id}"
    assert ruling.tasks == 2
    assert {run.run.id for run in store.each(good=True)} >= set(kept.runs) != set()
    assert Ruling.model_validate_json(kept.gate or "") == ruling
    assert policies.problems(kept.id) == []
    assert ruling.forgot is not None
    assert 0.2 < ruling.forgot < 5
    played = measure.played(folder / improve.MEASURED)
    assert {episode.cell.model for episode in played} == {"local", ruling.new}
    runs = ReplayStore(folder / improve.MEASURED / measure.RUNS)
    assert {step.policy for episode in played for step in runs.get(episode.run).steps} == {"local", ruling.new}
    assert done.page.is_file()
    assert any("loss" in line for line in told)
    Local.shared(ruling.new).close()
