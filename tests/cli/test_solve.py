"""`autorl solve` and `autorl feedback`, as a user meets them."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from pptx import Presentation

from tests.cli.conftest import DECK, TASK

WAITING_TOOL = """
import time
from pathlib import Path
from autorl import tool

@tool(timeout=None)
def wait(seconds: float) -> str:
    \"\"\"Wait.\"\"\"
    Path("waiting").touch()
    time.sleep(seconds)
    return "waited"
"""


def test_a_solved_task_gives_the_promised_json_and_a_deck_that_opens(autorl, script):
    done = autorl("solve", TASK, "--model", script(DECK), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"run", "status", "verified", "score", "steps", "artifacts", "usage", "recalled", "policy", "seconds"} <= \
        set(result)
    assert (result["status"], result["verified"], result["steps"]) == ("finished", True, 4)
    assert set(result["usage"]) == {"prompt_tokens", "completion_tokens", "cached_tokens"}
    (deck,) = result["artifacts"]
    assert set(deck) == {"path", "sha256", "bytes"}
    assert len(Presentation(deck["path"]).slides) == 3
    assert {recalled["origin"] for recalled in result["recalled"]} == {"seed"}


def test_the_first_success_is_recalled_for_a_similar_task(autorl, script):
    first = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)
    second = autorl("solve", "Make a three-slide deck about bumble bees", "--model", script(DECK), "--json")
    assert [(r["run"], r["origin"]) for r in json.loads(second.stdout)["recalled"]] == [(first["run"], "store")]
    third = autorl("solve", TASK, "--model", script(DECK), "--no-replay", "--json")
    assert json.loads(third.stdout)["recalled"] == []


def test_steps_verdict_and_run_are_shown_without_colours_in_a_pipe(autorl, script):
    done = autorl("solve", TASK, "--model", script(DECK))
    for text in ("Recalled seed-", "Thought: That is 1 of 3 slides.", "Observation: Slide 2 ", "tokens/s",
                 "Verified by slides@2: passed", "autorl replay show", "honey-bees.pptx"):
        assert text in done.stdout
    assert "\x1b" not in done.stdout


def test_out_copies_the_deck_and_replaces_nothing(autorl, script, tmp_path):
    out = tmp_path / "mine"
    for name in ("honey-bees.pptx", "honey-bees-2.pptx"):
        done = autorl("solve", TASK, "--model", script(DECK), "--out", str(out))
        assert str(out / name) in done.stdout
        assert len(Presentation(out / name).slides) == 3


def test_each_kind_of_end_has_its_exit_code(autorl, script):
    answer = ["Thought: done.\nFinal Answer: 42"]
    assert autorl("solve", "What?", "--tools", "files", "--model", script(answer)).returncode == 1
    assert autorl("solve", TASK, "--model", script(DECK), "--max-steps", "2").returncode == 3
    assert autorl("solve", TASK, "--model", script(["nonsense"] * 9)).returncode == 3
    assert autorl("solve", TASK, "--model", script(DECK[:1])).returncode == 4
    assert autorl("solve", "").returncode == 2


def test_what_a_user_gets_wrong_is_answered_with_the_value_and_the_remedy(autorl, script, tmp_path):
    (tmp_path / "file").touch()
    model = ("--model", script(DECK))
    for words, parts in {
        ("solve", " "): ["the task is empty"],
        ("solve",): ["--resume RUN"],
        ("solve", "x", "--model", "locl"): ["'locl'", "Did you mean 'local'"],
        ("solve", "x", "--model", "openai:"): ["openai:NAME"],
        ("solve", "x", "--model", "local:/no/such.gguf"): ["/no/such.gguf"],
        ("solve", "x", *model, "--tools", "slidse"): ["'slidse'", "Did you mean 'slides'"],
        ("solve", "x", *model, "--tools", "files:al"): ["'al'"],
        ("solve", "x", *model, "--format", "reakt"): ["'reakt'", "Did you mean 'react'"],
        ("solve", "x", *model, "--verifier", "slide"): ["'slide'", "Did you mean 'slides'"],
        ("solve", "x", *model, "--verifier", f"reward:{tmp_path}"): ["holds no reward model", "autorl train reward"],
        ("solve", "x", *model, "--temperature", "9"): ["temperature", "9", "command line"],
        ("solve", "x", *model, "--out", str(tmp_path / "file")): ["is a file"],
        ("solve", "x", *model, "--store", "mysql://nowhere"): ["mysql"],
        ("solve", "--resume", "2020", *model): ["'2020'"],
        ("feedback", "2020", "--good"): ["'2020'"],
        ("replay", "show", "2020"): ["'2020'"],
        ("tools", "show", "add_slid"): ["Did you mean 'add_slide'"],
        ("tools", "call", "slides", "add_slide", "{"): ["no JSON"],
        ("tools", "call", "slides", "ad_slide"): ["Did you mean 'add_slide'"],
    }.items():
        done = autorl(*words)
        assert done.returncode == 2, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert all(part in done.stderr for part in parts), (words, done.stderr)


def test_an_error_with_json_is_one_json_value_too(autorl):
    done = autorl("solve", "x", "--model", "locl", "--json")
    assert json.loads(done.stdout)["kind"] == "UnknownName"
    assert "local" in json.loads(done.stdout)["remedy"]


def test_nobody_at_the_base_url_keeps_the_run_and_says_how_to_go_on(autorl, script):
    done = autorl("solve", TASK, "--model", "openai:any", "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 4
    assert "http://127.0.0.1:9/v1" in done.stderr
    run = re.search(r"autorl solve --resume (\S+)", done.stdout)[1]
    as_json = autorl("solve", TASK, "--model", "openai:any", "--base-url", "http://127.0.0.1:9/v1", "--json")
    assert "autorl solve --resume" in json.loads(as_json.stdout)["remedy"]
    again = autorl("solve", "--resume", run, "--model", script(DECK), "--json")
    assert (json.loads(again.stdout)["run"], again.returncode) == (run, 0)


def test_control_c_keeps_the_run_which_goes_on_after_it(autorl, script, tmp_path):
    Path("autorl.toml").touch()
    Path("tools").mkdir()
    Path("tools/waiting.py").write_text(WAITING_TOOL)
    model = script(['Thought: wait.\nAction: wait\nAction Input: {"seconds": 60}'])
    words = [sys.executable, "-m", "autorl", "solve", "Wait", "--tools", "waiting", "--model", model]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until(lambda: Path("waiting").exists())
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in errors) == (5, False)
    run = re.search(r"autorl solve --resume (\S+)", out)[1]
    assert json.loads(autorl("replay", "show", run, "--json").stdout)["status"] == "cancelled"
    go_on = ["--model", script(["Thought: enough.\nFinal Answer: waited"])]
    done = json.loads(autorl("solve", "--resume", run, *go_on, "--json").stdout)
    assert (done["status"], done["steps"]) == ("finished", 2)
    shown = json.loads(autorl("replay", "show", run, "--json").stdout)
    assert "interrupted" in shown["steps"][0]["observation"]["text"]


def test_without_a_verifier_the_person_at_the_terminal_is_asked(script):
    model = script(["Thought: done.\nFinal Answer: 42"])
    out = _at_a_terminal(["solve", "What is it?", "--tools", "files", "--model", model], ["y"])
    assert "Keep this as an example?" in out
    assert "Verified by person@1: passed" in out


def test_the_agents_question_reaches_the_person_at_the_terminal(script):
    ask = 'Thought: ask.\nAction: ask_user\nAction Input: {"question": "Which colour?"}'
    model = script([ask, "Thought: done.\nFinal Answer: fine"])
    out = _at_a_terminal(["solve", "Paint", "--tools", "ask_user", "--model", model], ["blue", ""])
    assert "Which colour?" in out
    assert "Observation: blue" in out


def test_feedback_makes_an_unverified_run_a_positive_case_and_takes_it_back(autorl, script):
    answer = ["Thought: done.\nFinal Answer: 42"]
    run = json.loads(autorl("solve", "What?", "--tools", "files", "--model", script(answer), "--json").stdout)["run"]
    again = ("solve", "What?", "--tools", "files", "--json", "--model", script(answer))
    assert json.loads(autorl(*again).stdout)["recalled"] == []
    assert autorl("feedback", run, "--good").returncode == 0
    assert [r["run"] for r in json.loads(autorl(*again).stdout)["recalled"]] == [run]
    assert autorl("feedback", run, "--bad", "--why", "it was a guess").returncode == 0
    assert json.loads(autorl(*again).stdout)["recalled"] == []
    assert "it was a guess" in autorl("replay", "show", run).stdout


def test_a_run_that_did_not_finish_cannot_be_called_good(autorl, script):
    done = autorl("solve", TASK, "--model", script(DECK), "--max-steps", "1", "--json")
    refused = autorl("feedback", json.loads(done.stdout)["run"], "--good")
    assert refused.returncode == 2
    assert "out_of_steps" in refused.stderr


def _at_a_terminal(words: list[str], answers: list[str]) -> str:
    """What the command shows at a real terminal where each prompt is answered."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "autorl", *words])
    out = b""
    waiting = list(answers)
    asked = 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        try:
            out += os.read(terminal, 4096) if ready else b""
        except OSError:
            break
        prompts = out.count(b"\n> ") + out.count(b"or why not]")
        if waiting and prompts > asked:
            asked = prompts
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    os.waitpid(pid, 0)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.decode()).replace("\r", "")


def _until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
