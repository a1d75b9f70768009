"""The seeds and the tasks that come with the slides pack."""

import importlib.util
import json
from pathlib import Path

import pytest

from autorl.content import builtin, find, load_pack
from autorl.types import Status, Task, Trajectory

LINES = load_pack("slides").seeds.read_text(encoding="utf-8").splitlines()
SEEDS = [Trajectory.model_validate_json(line) for line in LINES]
TASKS = [Task.model_validate_json(line) for line in find("tasks", "slides.jsonl").read_text("utf-8").splitlines()]
ids = [seed.id for seed in SEEDS]


def test_there_are_seeds_for_every_way_of_filling_a_slide():
    used = {action.name for seed in SEEDS for action in seed.actions}
    assert used == {"start_deck", "add_slide", "add_table", "add_chart", "check_deck", "save_deck"}
    assert 4 <= len(SEEDS) == len(set(ids))


@pytest.mark.parametrize("seed", SEEDS, ids=ids)
def test_a_seed_is_a_finished_run_whose_text_gives_its_actions(seed):
    assert seed.status is Status.FINISHED
    assert seed.provenance.source == "seed"
    assert seed.answer == seed.steps[-1].observation.text
    assert [step.index for step in seed.steps] == list(range(len(seed.steps)))
    for step in seed.steps:
        head, _, arguments = step.raw.partition("\nAction Input: ")
        assert head == f"Thought: {step.thought}\nAction: {step.action.name}"
        assert json.loads(arguments) == step.action.arguments
        assert step.finish_reason == "stop"
        assert step.observation.ok


@pytest.mark.parametrize("seed", SEEDS, ids=ids)
def test_a_seed_can_be_carried_out_again_with_the_same_results_and_passes(seed, make_run):
    run = make_run(seed.task.text)
    for step in seed.steps:
        assert run.done(step.action.name, **step.action.arguments) == step.observation.text
    verdict = run.verdict()
    assert verdict.passed
    assert verdict.score > 0.9, verdict.why


@pytest.mark.parametrize("seed", SEEDS, ids=ids)
def test_a_seed_passes_beside_the_other_seeds(seed, make_run):
    run = make_run(seed.task.text)
    for action in seed.actions:
        run.done(action.name, **action.arguments)
    assert run.verdict(*(other for other in SEEDS if other is not seed)).passed


def test_seeds_are_short_enough_for_a_small_context():
    lengths = {seed.id: sum(len(step.raw) + len(step.observation.text) for step in seed.steps) for seed in SEEDS}
    assert {name: n for name, n in lengths.items() if n > 2_200} == {}


def test_the_script_makes_the_same_seeds_again(tmp_path):
    spec = importlib.util.spec_from_file_location("make_seeds", builtin() / "eval" / "make_seeds.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(tmp_path / "seeds.jsonl")
    assert Path(tmp_path / "seeds.jsonl").read_text("utf-8").splitlines() == LINES


def test_the_tasks_are_many_and_different():
    assert len(TASKS) == 40
    assert [task.id for task in TASKS] == [f"slides-{number:03}" for number in range(1, 41)]
    assert len({task.text for task in TASKS}) == 40
    assert {task.verifier for task in TASKS} == {"slides"}


@pytest.mark.parametrize("task", TASKS, ids=[task.id for task in TASKS])
def test_a_task_asks_for_three_to_six_slides_on_no_topic_of_a_seed(task, make_run):
    asked = make_run(task.text).done("start_deck", title="Any").removesuffix(".").rpartition(" of ")[2]
    assert 3 <= int(asked) <= 6
    topics = ("volcano", "bicycle", "bike", "baker", "solar", "volunteer", "shelter")
    assert not any(topic in task.text.lower() for topic in topics)
