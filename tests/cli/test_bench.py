"""`autorl bench` from the command line."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.world import PACK, SPEC, make_project
from tests.worlds import say

GATES = '''
models = ["{model}"]
seeds = [0, 1]
product = ".txt"

[tasks]
learn = ["gates/learn"]
held_out = ["gates/held-out"]

[common]
tools = ["doors"]

[settings.agent]
k = 0

[settings."agent+replay"]
k = 1
'''


@pytest.fixture
def gates(script):
    """A project with a benchmark `gates`, whose model opens every door in two steps."""
    model = script([say("open_door", code=7), say("finish", answer="done")])
    make_project(Path.cwd())
    Path("eval/gates.toml").write_text(GATES.format(model=model))
    Path("tasks/gates").mkdir()
    for name, texts in (("learn", ["Open the way to the sea", "Let the moon in"]),
                        ("held-out", ["Get me the cheese", "Free the bicycle", "Close out the rain, from inside"])):
        Path(f"tasks/gates/{name}.jsonl").write_text("".join(
            json.dumps({"text": text, "requirements": {"code": 7}}) + "\n" for text in texts))
    return model


def ledger_of(folder):
    return [json.loads(line) for line in Path(folder, "ledger.jsonl").read_text().splitlines()]


def test_a_full_disk_is_told_in_a_line(gates):
    # This shell may write no file of more than a block.
    full = subprocess.run(["bash", "-c", f"ulimit -f 0; {sys.executable} -m autorl bench run gates"], text=True,
                          capture_output=True, timeout=300, check=False)
    assert full.returncode == 5
    assert "File too large" in full.stderr
    assert full.stderr.endswith("Make room\n")
    assert "Traceback" not in full.stderr


def test_a_run_whose_folder_cannot_be_written_to_can_go_on_later(autorl, gates):
    autorl("bench", "run", "gates", "--tokens", "1")
    (folder,) = Path(os.environ["AUTORL_HOME"], "bench").glob("gates-*")
    workspaces = folder / "workspaces"
    shutil.rmtree(workspaces, ignore_errors=True)
    workspaces.write_text("a file where a folder should be")
    stopped = autorl("bench", "resume", folder.name)
    assert stopped.returncode == 5
    assert "Traceback" not in stopped.stderr
    assert f"To go on: autorl bench resume {folder.name}" in stopped.stdout
    workspaces.unlink()
    assert autorl("bench", "resume", folder.name, "--tokens", "1000000").returncode == 0


def test_a_benchmark_runs_from_its_file_to_its_report(autorl, gates):
    done = autorl("bench", "run", "gates")
    assert done.returncode == 0, done.stderr
    assert "12 of 12 held-out episodes (complete)" in done.stdout
    assert "agent+replay" in done.stdout
    listed = json.loads(autorl("bench", "list", "--json").stdout)
    assert [run["status"] for run in listed["runs"]] == ["complete"]
    assert {"gates", "doors", "smoke"} <= {one["name"] for one in listed["benchmarks"]}
    as_json = json.loads(autorl("bench", "report", "gates", "--json").stdout)
    assert {(row["setting"], row["figures"]["ner"]["value"]) for row in as_json["rows"]} == {
        ("agent", 1.0), ("agent+replay", 1.0)}
    assert autorl("bench", "report", "gates", "--markdown").stdout.startswith("# gates\n")
    exported = autorl("bench", "export", "gates", "data", "--json")
    assert json.loads(exported.stdout)["episodes"] == len(as_json["episodes"])
    assert len(list(Path("data/runs").glob("*/files/door.txt"))) == len(as_json["episodes"])


def test_a_machine_that_is_at_work_already_is_told(monkeypatch, capfd):
    from autorl.cli.bench import _tell_load

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for load, told in ((2.0, False), (2.1, True)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        _tell_load()
        assert ("2.1 processes on 4 processors" in " ".join("".join(capfd.readouterr()).split())) == told


def test_other_seeds_and_a_budget_can_be_asked_for_and_a_run_goes_on(autorl, gates):
    done = autorl("bench", "run", "gates", "--seed", "5", "--tokens", "2000", "--json")
    assert done.returncode == 3
    cut = json.loads(done.stdout)
    assert (cut["status"], cut["spec"]["seeds"]) == ("budget", [5])
    again = autorl("bench", "resume", "gates")
    assert again.returncode == 0, again.stderr
    assert "6 of 6 held-out episodes (complete)" in again.stdout
    cells = [json.dumps(line["cell"]) for line in ledger_of(cut["folder"]) if line["kind"] == "episode"]
    assert len(set(cells)) == len(cells) == 8


FATAL = '''
def fatal(opened=[]):
    opened.append(True)
    if len(opened) == 8 and Path("fatal").exists():
        os.kill(os.getpid(), signal.SIGKILL)
'''


def test_a_process_that_is_killed_loses_and_repeats_nothing(autorl, gates):
    opens = '    context.workspace.write("door.txt"'
    Path("tools/doors.py").write_text(
        f"import os, signal\nfrom pathlib import Path\n{FATAL}{PACK.replace(opens, f'    fatal(){chr(10)}{opens}')}")
    Path("fatal").touch()
    assert autorl("bench", "run", "gates").returncode == -signal.SIGKILL
    Path("fatal").unlink()
    (folder,) = Path(os.environ["AUTORL_HOME"], "bench").iterdir()
    before = [line["run"] for line in ledger_of(folder) if line["kind"] == "episode"]
    assert 3 <= len(before) < 16
    assert autorl("bench", "resume", folder.name).returncode == 0
    after = [line for line in ledger_of(folder) if line["kind"] == "episode"]
    assert [line["run"] for line in after][: len(before)] == before
    assert len({json.dumps(line["cell"]) for line in after}) == len(after) == 16


def test_a_model_that_cannot_be_reached_ends_with_its_exit_code_and_how_to_go_on(autorl, gates):
    failed = autorl("bench", "run", "gates", "--model", "openai:x", "--base-url", "http://127.0.0.1:9/v1", "--json",
                    OPENAI_API_KEY="-")
    assert failed.returncode == 4
    assert "autorl bench resume gates-" in json.loads(failed.stdout)["remedy"]


def test_what_is_complete_can_be_kept_and_is_told_beside_its_goal(autorl, gates):
    with Path("eval/gates.toml").open("a") as file:
        file.write('\n[figures]\nner = { of = "ner", setting = "agent", goal = ">= 0.9" }\n'
                   'fast = { of = "steps", setting = "agent", goal = "<= 1" }\n')
    assert autorl("bench", "run", "gates", "--keep").returncode == 0
    written = json.loads(Path("eval/results/gates.json").read_text())
    assert written["command"] == "autorl bench run gates --keep"
    told = autorl("bench", "results")
    assert "gates.fast falls short" in told.stdout
    assert "goals are met." in told.stdout
    assert "gates.fast" in json.loads(autorl("bench", "results", "--json").stdout)["short"]


def test_two_runs_are_compared(autorl, gates):
    for _ in range(2):
        assert autorl("bench", "run", "gates", "--seed", "0").returncode == 0
    first, second = (run["run"] for run in json.loads(autorl("bench", "list", "--json").stdout)["runs"])
    told = autorl("bench", "compare", first, second)
    assert told.returncode == 0, told.stderr
    assert "no difference shown" in told.stdout
    found = json.loads(autorl("bench", "compare", first, second, "--json").stdout)
    assert {each["by"]["value"] for each in found if each["metric"] == "success"} == {0.0}


def test_mistakes_end_with_one_line_and_exit_code_2(autorl):
    make_project(Path.cwd(), spec=SPEC.replace("k = 0", 'k = "none"'))
    wrong = autorl("bench", "run", "doors")
    assert (wrong.returncode, "'settings.agent.k' is 'none'" in wrong.stderr) == (2, True)
    listed = autorl("bench", "list")
    assert (listed.returncode, "doors                cannot be run" in listed.stdout) == (0, True)
    assert "slides-embedded" in listed.stdout
    assert autorl("bench", "run", "dors").returncode == 2
    assert "Begin one: autorl bench run" in autorl("bench", "report", "doors").stderr
    Path("eval/doors.toml").write_text(SPEC)
    seed = autorl("bench", "run", "doors", "--model", "nothing:x")
    assert (seed.returncode, "no model provider named 'nothing:x'" in seed.stderr) == (2, True)


@pytest.mark.slow
def test_the_smoke_benchmark_runs_with_the_embedded_model(autorl, embedded):
    Path("autorl.toml").touch()
    done = subprocess.run([sys.executable, "-m", "autorl", "bench", "run", "smoke", "--json"], capture_output=True,
                          text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["done"], found["planned"]) == (4, 4)
    assert all(episode["usage"]["completion_tokens"] for episode in found["episodes"])
