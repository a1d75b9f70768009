"""The other commands, and what holds for all of them."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autorl.models import weights
from tests import needs
from tests.cli.conftest import DECK, TASK

COMMANDS = [
    ("solve",), ("feedback",), ("collect",), ("doctor",), ("init",),
    *(("replay", name) for name in ("list", "search", "show", "trust", "revoke", "quarantine", "cap", "stats", "verify",
                                   "prune", "compact", "salvage", "export", "import")),
    ("tools", "list"), ("tools", "show"), ("tools", "call"), ("models", "list"), ("models", "fetch"),
    *(("bench", name) for name in ("list", "run", "resume", "report", "export", "compare", "results", "rank", "judge")),
    *(("train", name) for name in ("dataset", "sft", "preference", "reward")),
    *(("tasks", name) for name in ("list", "show", "check", "generate")),
    *(("serve", name) for name in ("vllm", "install", "list", "stop")),
    *(("policies", name) for name in ("list", "show", "add", "promote", "rollback", "delete")), ("gate",), ("improve",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example_and_json(command, autorl):
    done = autorl(*command, "--help")
    assert done.returncode == 0
    assert "For example: autorl " + " ".join(command) in " ".join(done.stdout.split())
    assert "--json" in done.stdout


def test_every_command_is_in_the_list_above(autorl):
    import typer.main

    from autorl.cli import app

    found = set()
    for name, command in typer.main.get_command(app).commands.items():
        inner = getattr(command, "commands", None)
        found |= {(name, other) for other in inner} if inner else {(name,)}
    assert found == set(COMMANDS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['autorl', '--help']\n"
        "from autorl.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'openai', 'torch', 'numpy', 'sqlalchemy', 'xllamacpp', 'pydantic', 'jsonschema', 'pptx', 'alembic'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


def test_runs_are_listed_found_and_shown(autorl, script):
    run = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)["run"]
    assert [r["id"] for r in json.loads(autorl("replay", "list", "--json").stdout)] == [run]
    assert json.loads(autorl("replay", "list", "--failed", "--json").stdout) == []
    assert [r["id"] for r in json.loads(autorl("replay", "search", "bee", "--json").stdout)] == [run]
    assert json.loads(autorl("replay", "search", "zebra", "--json").stdout) == []
    shown = autorl("replay", "show", run[:14])
    assert "Life in the hive" in shown.stdout
    assert "slides@2: passed" in shown.stdout


def test_an_empty_store_says_how_to_fill_it(autorl):
    assert "autorl solve" in autorl("replay", "list").stdout


def test_tools_are_listed_shown_and_called(autorl):
    packs = {pack["pack"]: pack for pack in json.loads(autorl("tools", "list", "--json").stdout)}
    assert {"slides", "files", "ask_user"} <= set(packs)
    assert len(packs["slides"]["tools"]) <= 8
    (spec,) = json.loads(autorl("tools", "show", "add_slide", "--json").stdout)
    assert spec["parameters"]["type"] == "object"
    called = autorl("tools", "call", "files", "write_file", '{"name": "a.txt", "text": "hello"}', "--json")
    assert (called.returncode, json.loads(called.stdout)["ok"]) == (0, True)
    assert Path("a.txt").read_text() == "hello"
    refused = autorl("tools", "call", "files", "write_file", '{"name": "../a.txt", "text": "hello"}')
    assert (refused.returncode, "outside the workspace" in refused.stdout) == (5, True)


def test_models_are_listed_and_the_embedded_one_is_checked(autorl, embedded):
    listed = json.loads(autorl("models", "list", "--json").stdout)
    assert (listed["default"], listed["embedded"]["fetched"]) == ("local", True)
    fetched = json.loads(autorl("models", "fetch", "--json").stdout)
    assert fetched["sha256"] == weights.SHA256


def test_doctor_is_content_with_a_sound_installation(autorl, embedded):
    done = autorl("doctor", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["sound"]) == (0, True), found
    about = {finding["about"]: finding for finding in found["findings"]}
    assert "answers in" in about["model"]["found"]
    assert sqlite3.sqlite_version in about["SQLite"]["found"]


def test_doctor_names_what_mends_a_damaged_store_and_a_missing_model(autorl, home):
    (home / "replay.db").write_bytes(b"not a database at all" * 100)
    done = autorl("doctor", "--json", "--model", "openai:any", "--base-url", "http://127.0.0.1:9/v1")
    bad = {f["about"]: f for f in json.loads(done.stdout)["findings"] if f["state"] == "bad"}
    assert done.returncode == 5
    assert set(bad) == {"store", "model"}
    assert all(finding["remedy"] for finding in bad.values())


def test_a_wrong_settings_file_is_named_with_the_key(autorl):
    Path("autorl.toml").write_text('modle = "local"\n')
    done = autorl("models", "list")
    assert done.returncode == 2
    assert "modle" in done.stderr
    assert "'model'" in done.stderr
    assert "autorl.toml" in done.stderr


def test_a_prompt_with_an_unknown_variable_is_named_with_what_it_may_use(autorl, script):
    Path("autorl.toml").touch()
    Path("prompts").mkdir()
    Path("prompts/task.jinja").write_text("Do this: {{ tsk }}")
    done = autorl("solve", TASK, "--model", script(DECK))
    assert done.returncode == 2
    assert all(part in done.stderr for part in ("task.jinja", "tsk", "actions, again, task"))


def test_init_makes_a_project_whose_examples_work(autorl, script):
    made = autorl("init", "work", "--json")
    assert {name.split("/")[0] for name in json.loads(made.stdout)["files"]} == \
        {"autorl.toml", "tools", "prompts", "tasks", "eval"}
    answers = ['Thought: convert.\nAction: convert\nAction Input: {"value": 26.2, "unit": "mile", "to": "km"}',
               "Thought: done.\nFinal Answer: 42.165 km"]
    done = subprocess.run([sys.executable, "-m", "autorl", "solve", "How long is a 26.2 mile run in km?",
                           "--model", script(answers)], cwd="work", capture_output=True, text=True, check=False)
    assert "26.2 mile = 42.165 km" in done.stdout, done.stderr
    assert autorl("init", "work").returncode == 2


@pytest.mark.slow
def test_the_benchmark_of_a_new_project_runs_with_the_embedded_model(autorl, embedded):
    needs.require(weights.location().is_file(), "embedded weights", "autorl models fetch")
    autorl("init", "work")
    done = subprocess.run([sys.executable, "eval/units.py"], cwd="work", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_deck_is_checked_from_the_command_line(autorl, tmp_path):
    autorl("tools", "call", "slides", "start_deck", '{"title": "Bees"}', "--workspace", str(tmp_path))
    call = ("tools", "call", "slides", "check_deck", '{"path": "bees.pptx"}', "--workspace", str(tmp_path), "--json")
    found = json.loads(autorl(*call, "--task", "Make three slides about bees").stdout)["data"]
    assert (found["verifier"], found["passed"]) == ("slides@2", False)
    slides = next(check for check in found["checks"] if check["name"] == "slides")
    assert slides["findings"][0] == {"found": "1 slide, 3 asked for", "remedy": "Add 2 more", "at": {}}
    without_a_task = json.loads(autorl(*call).stdout)["data"]
    assert "topic" not in [check["name"] for check in without_a_task["checks"] if not check["passed"]]
