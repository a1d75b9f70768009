"""A reward model: learned from pairs of one task, worth something only where it beats chance."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autorl.cli import app
from autorl.errors import UsageError
from autorl.replay.store import ReplayStore
from autorl.train import reward
from autorl.train.hyper import Hyper
from autorl.train.pairs import Pairing
from autorl.verify.reward_model import NOTES, RewardModel, as_text, tokens
from autorl.workspace import Workspace
from tests.train.small import a_run

HYPER = Hyper(rank=4, learning_rate=2e-3, epochs=1, batch=2, held_out=0.5, warmup=0)


@pytest.mark.slow
def test_a_reward_model_orders_runs_of_a_task_picks_the_best_and_judges(
    store: ReplayStore, tokenizer: Any, tmp_path: Path
) -> None:
    good = [a_run(f"Task {n}", ["one"]) for n in range(12)]
    bad = [a_run(f"Task {n}", ["bad"], passed=False, score=0.1) for n in range(12)]
    store.add([*good, *bad])
    made = reward.make(store, tmp_path / "pairs", tokenizer=tokenizer)
    trained, score = reward.train(made, tmp_path / "out", hyper=HYPER)
    assert (score.right, score.n) == (6, 6)
    assert trained.held_out
    model = reward.open_reward_model(tmp_path / "out")
    one, other = (runs[0].model_copy(update={"verdict": None}) for runs in (good, bad))
    assert model.reward(one) > model.reward(other)
    assert model.best([other, one]) == one
    verdict = model(one.task, one, Workspace(tmp_path / "work"))
    assert verdict.passed
    assert not verdict.strict
    assert verdict == model(one.task, one, Workspace(tmp_path / "work"))
    assert not model(other.task, other, Workspace(tmp_path / "work")).passed
    with pytest.raises(UsageError, match="orders runs of one task only"):
        model.best([one, good[1]])
    assert reward.train(made, tmp_path / "out", hyper=HYPER)[1] == score  # it is done already
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps('Thought: Done.\nAction: finish\nAction Input: {"answer": "x"}') + "\n")
    asked = ["solve", "Task 1", "--model", f"scripted:{script}", "--tools", "files", "--no-replay", "--json"]
    done = CliRunner().invoke(app, [*asked, "--verifier", f"reward:{tmp_path / 'out'}"])
    assert json.loads(done.stdout)["verifier"] == verdict.verifier, done.output


def test_a_reward_model_that_may_be_guessing_is_not_let_judge(tmp_path: Path) -> None:
    notes = {"accuracy": 0.6, "pairs": 10, "interval": [0.31, 0.83], "middle": 0.0}
    (tmp_path / NOTES).write_text(json.dumps(notes))
    with pytest.raises(UsageError, match=r"60% of 10 held-out pairs.*may be chance"):
        RewardModel(tmp_path, tmp_path)


def test_a_folder_without_a_reward_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no reward model.*autorl train reward"):
        reward.open_reward_model(tmp_path)


def test_pairs_of_too_few_tasks_are_refused(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> None:
    store.add([a_run("Task 1"), a_run("Task 1", ["bad"], passed=False, score=0.1)])
    made = reward.make(store, tmp_path / "pairs", tokenizer=tokenizer)
    with pytest.raises(UsageError, match="takes 8"):
        reward.train(made, tmp_path / "out")


def test_runs_that_were_asked_differently_may_be_paired_but_not_runs_of_different_tasks(
    store: ReplayStore, tokenizer: Any, tmp_path: Path
) -> None:
    other = a_run("Task 1", ["bad"], passed=False, score=0.1)
    other = other.model_copy(update={"provenance": other.provenance.model_copy(update={"prompt_hash": "another"})})
    store.add([a_run("Task 1"), other, a_run("Task 2", passed=False, score=0.1)])
    made = reward.make(store, tmp_path / "pairs", Pairing(), tokenizer=tokenizer)
    assert [row["rejected_run"] for row in made.rows] == [other.id]


def test_of_a_long_run_the_beginning_and_the_end_are_read(tokenizer: Any) -> None:
    run = a_run("Remember the beginning", ["word"] * 200)
    ids, left_out = tokens(tokenizer, run, 100)
    text = tokenizer.decode(ids)
    assert len(ids) == 100
    assert left_out > 0
    assert text.startswith("Task: Remember the beginning")
    assert text.endswith("End: finished" + tokenizer.eos_token)
    assert tokens(tokenizer, a_run("Short"), 1000)[1] == 0
    assert "SEEN word" in as_text(run)
