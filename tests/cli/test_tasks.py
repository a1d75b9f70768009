"""`autorl tasks`: what there is, whether it can be used, and making more of it."""

import json
from pathlib import Path

import pytest

CAREERS = "Nurse\nBaker"
TASKS = [
    {"text": "Please make 5 slides on the night shift of our ward for new colleagues, with a table of the rounds.",
     "requirements": {"slides": 5, "tables": 1}, "brief": ["My name is Ada."]},
    {"text": "Make a seven-slide deck for the bank about our second oven, with a chart of what we sold each month.",
     "requirements": {"slides": 7, "charts": 1}, "brief": []},
]


@pytest.fixture
def own():
    """A set with a wrong line, an id that comes twice, an unknown verifier and a task that repeats another."""
    lines = [{"id": "a", "text": TASKS[0]["text"], "verifier": "slides"}, "no task", {"id": "a", "text": "Make tea"},
             {"id": "b", "text": "Hello! " + TASKS[0]["text"]}, {"id": "c", "text": "Make tea", "verifier": "sldes"}]
    Path("own.jsonl").write_text("".join(
        (line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return "own.jsonl"


def test_sets_are_listed_with_what_is_in_them(autorl):
    found = {one["set"]: one for one in json.loads(autorl("tasks", "list", "--json").stdout)}
    assert (found["slides/learn"]["tasks"], found["slides/learn"]["groups"]) == (80, 40)
    assert (found["slides/held_out"]["tasks"], found["slides/held_out"]["groups"]) == (20, 10)
    assert "slides/held_out" in autorl("tasks", "list").stdout


def test_a_set_is_shown_without_its_hidden_briefs(autorl):
    shown = autorl("tasks", "show", "slides/held_out").stdout
    assert "slides-locksmith-1" in shown
    assert "611 keys" not in shown
    given = json.loads(autorl("tasks", "show", "slides/held_out", "--json").stdout)
    assert given[2]["id"] == "slides-locksmith-1"


def test_a_wrong_line_is_named_and_the_rest_shown_on_demand(autorl, own):
    refused = autorl("tasks", "show", own)
    assert refused.returncode == 2
    assert all(part in refused.stderr for part in ("line 2", "line 3: its id 'a' stands in line 1", "--skip-wrong"))
    shown = autorl("tasks", "show", own, "--skip-wrong")
    assert shown.returncode == 0
    assert "Left out: line 2" in shown.stdout


def test_a_check_names_every_problem_and_fails(autorl, own):
    done = autorl("tasks", "check", own, "--json")
    assert done.returncode == 5
    problems = json.loads(done.stdout)["problems"]
    assert len(problems) == 4
    for part in ("line 2", "line 3", "'b' says the same", "'c': no verifier named 'sldes'. Did you mean 'slides'"):
        assert any(part in problem for problem in problems), part


def test_the_built_in_sets_have_no_problems_and_share_nothing(autorl):
    done = autorl("tasks", "check", "slides/learn", "--apart-from", "slides/held_out", "--apart-from", "slides")
    assert done.returncode == 0, done.stdout
    leaking = autorl("tasks", "check", "slides/held_out", "--apart-from", "slides/held_out", "--json")
    assert leaking.returncode == 5
    assert len(json.loads(leaking.stdout)["problems"]) == 20


def test_a_set_is_made_by_a_model_and_gone_on_with(autorl, script):
    model = script([CAREERS, json.dumps(TASKS[0]), json.dumps(TASKS[1])])
    done = autorl("tasks", "generate", "new.jsonl", "--model", model, "--careers", "2", "--each", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"path": "new.jsonl", "planned": 2, "tasks": 2, "new": 2, "requests": 3,
                                       "dropped": {}, "short": []}
    assert "Nurse: 1 of 1 tasks" in done.stderr
    assert autorl("tasks", "check", "new.jsonl").returncode == 0
    again = autorl("tasks", "generate", "new.jsonl", "--model", model, "--careers", "2", "--each", "1")
    assert "2 of 2 tasks, 0 of them new" in again.stdout


def test_a_set_that_falls_short_says_so(autorl, script):
    model = script([CAREERS, "No.", "No.", "No.", json.dumps(TASKS[1]), CAREERS, CAREERS, CAREERS])
    done = autorl("tasks", "generate", "new.jsonl", "--model", model, "--careers", "2", "--each", "1")
    assert done.returncode == 5
    assert "1 of 2 tasks" in done.stdout
    assert "dropped 3: a completion without a JSON object" in done.stdout


def test_a_model_that_is_gone_leaves_what_was_written(autorl, script):
    model = script([CAREERS, json.dumps(TASKS[0])])
    done = autorl("tasks", "generate", "new.jsonl", "--model", model, "--careers", "2", "--each", "1")
    assert done.returncode == 4
    assert len(Path("new.jsonl").read_text().splitlines()) == 1


def test_a_file_that_is_no_set_and_a_kind_without_a_prompt_are_refused(autorl, script):
    model = script([CAREERS])
    assert "Name it new.jsonl" in autorl("tasks", "generate", "new.json", "--model", model).stderr
    assert "no prompt named 'tasks/poems'" in autorl("tasks", "generate", "new.jsonl", "--model", model,
                                                     "--kind", "poems").stderr
    Path("file").touch()
    assert "cannot be written" in autorl("tasks", "generate", "file/new.jsonl", "--model", model).stderr
