"""`autorl bench report | rank | judge`: the page, the people and the judges, from the command line."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from autorl.bench import definition, run
from tests.bench.pictured import LOCKS, PICTURED
from tests.bench.world import make_project
from tests.cli.test_bench import GATES
from tests.servers import Reply, serving
from tests.worlds import say


@pytest.fixture
def gates(script):
    """A run of a benchmark whose model opens every door, and can be looked at."""
    model = script([say("open_door", code=7), say("finish", answer="done")])
    make_project(Path.cwd())
    Path("tools/gallery.py").write_text(PICTURED)
    Path("eval/locks").mkdir()
    Path("eval/locks/__init__.py").write_text(LOCKS)
    Path("eval/gates.toml").write_text('controls = "locks"\n' + GATES.format(model=model).replace("doors", "gallery"))
    Path("tasks/gates").mkdir()
    for name, texts in (("learn", ["Let the moon in"]), ("held-out", ["Get me the cheese", "Free the bicycle"])):
        Path(f"tasks/gates/{name}.jsonl").write_text("".join(
            json.dumps({"text": text, "requirements": {"code": 7}}) + "\n" for text in texts))
    defined = definition.load("gates")
    folder = run.begin(defined, definition.read_tasks(defined))
    run.resume(folder)
    return folder


def test_a_report_leaves_a_page_beside_the_run_or_where_it_is_told(autorl, gates):
    told = autorl("bench", "report", "gates").stdout
    assert f"The page: {gates / 'report.html'}" in told
    assert "<title>gates: report</title>" in (gates / "report.html").read_text()
    (gates / "report.html").unlink()
    assert "# gates" in autorl("bench", "report", "gates", "--markdown").stdout
    assert not (gates / "report.html").exists()
    as_json = autorl("bench", "report", "gates", "--html", "out.html", "--json")
    assert json.loads(as_json.stdout)["name"] == "gates"
    assert Path("out.html").stat().st_size > 5000
    refused = autorl("bench", "report", "gates", "--html", "nowhere/out.html")
    assert (refused.returncode, "cannot be written" in refused.stderr) == (2, True)


def test_a_person_ranks_until_control_c_and_the_report_counts_it(autorl, gates):
    process = subprocess.Popen([sys.executable, "-m", "autorl", "bench", "rank", "gates"], stdout=subprocess.PIPE,
                               text=True, env=os.environ)
    address = process.stdout.readline().split()[1]
    try:
        with urllib.request.urlopen(f"{address}sheet?ranker=Ada", timeout=120) as answer:
            sheet = json.loads(answer.read())
        told = {"ranker": "Ada", "sheet": sheet["sheet"], "groups": sheet["groups"], "done": True}
        urllib.request.urlopen(f"{address}order", data=json.dumps(told).encode(), timeout=120).close()
    finally:
        process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert (process.returncode, "autorl bench report gates" in rest) == (0, True)
    assert json.loads(autorl("bench", "report", "gates", "--json").stdout)["orders"] == {"Ada": 1}


def test_a_judge_is_gated_and_votes(autorl, gates):
    def right(body):
        words = body["messages"][0]["content"]
        if "Presentation A" in words:
            return Reply("Answer: A")
        return Reply(f"Answer: {'faulty' if 'broken' in words or 'gone' in words else 'fine'}")

    with serving(right) as server:
        asked = ("bench", "judge", "gates", "--model", "openai:m", "--base-url", server.url, "--sees", "words")
        told = autorl(*asked)
        assert told.returncode == 0, told.stderr
        assert "credit for 100 % [72, 100] of 10 controls" in told.stdout
        again = json.loads(autorl(*asked, "--json").stdout)
    assert (again["counts"], again["asked"], again["kinds"]) == (True, 0, {"broken_lock": [5, 5], "no_hinge": [5, 5]})
    with serving(Reply("Answer: fine")) as server:
        told = autorl("bench", "judge", "gates", "--model", "openai:other", "--base-url", server.url, "--sees", "words")
    assert "its votes do not count, and 4 pairs of decks were not put to it" in told.stdout
    reported = autorl("bench", "report", "gates", "--markdown").stdout
    assert "| openai:m, seeing words" in reported
    assert "its votes do not count" in reported


def test_mistakes_end_with_one_line_and_exit_code_2(autorl, gates):
    for words, why in (
        (("judge", "gates", "--model", "openai:m", "--sees", "sounds"), "cannot see 'sounds'"),
        (("rank", "gates", "--size", "large"), "'large' is no size of a store"),
        (("rank", "gates", "--size", "9"), "at the size 9 of the store"),
    ):
        told = autorl("bench", *words)
        assert (told.returncode, why in told.stderr, "Traceback" in told.stderr) == (2, True, False), told.stderr
