"""Runs out of a store and into one, as a user does it."""

import json
from pathlib import Path

import pytest

from autorl.replay.store import ReplayStore
from tests.cli.conftest import DECK, TASK, Autorl
from tests.cli.test_replay import Script
from tests.worlds import FAILED, PASSED, a_run, a_step

CHAT = [{"role": "user", "content": "Make tea"}, {"role": "assistant", "content": "Here it is."}]


@pytest.fixture
def kept(home: Path) -> ReplayStore:
    store = ReplayStore()
    store.add([a_run("Make tea", [a_step(name="boil", water=1)], id="good", verdict=PASSED, artifacts=()),
               a_run("Make coffee", id="bad", verdict=FAILED, artifacts=())])
    return store


def test_a_store_moves_to_another_place_as_it_was(autorl: Autorl, script: Script) -> None:
    run = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)["run"]
    autorl("feedback", run, "--good")
    out = autorl("replay", "export", "mine.jsonl", "--files", "files")
    assert (out.returncode, out.stderr) == (0, "")
    assert "1 runs written to mine.jsonl" in out.stdout
    assert "1 files copied to files, 0 are gone" in out.stdout
    new = ("--store", str(Path("new", "replay.db").resolve()))
    done = json.loads(autorl("replay", "import", "mine.jsonl", "--as-it-was", "--files", "files", "--json",
                             *new).stdout)
    assert (done["runs"], done["new"], done["quarantined"], done["files"], done["missing_files"]) == (1, 1, 0, 1, 0)
    for command in (("list",), ("show", run)):
        assert autorl("replay", *command, *new).stdout == autorl("replay", *command).stdout
    again = autorl("replay", "import", "mine.jsonl", "--as-it-was", *new).stdout
    assert "1 runs read from mine.jsonl (1 autorl): 0 new, 1 there already, 0 bad rows." in again


def test_rows_for_training_have_the_schemas_of_the_tools(autorl: Autorl, script: Script) -> None:
    autorl("solve", TASK, "--model", script(DECK))
    done = json.loads(autorl("replay", "export", "rows.jsonl", "--form", "trl", "--json").stdout)
    assert (done["runs"], done["tools"], done["left_out"]) == (1, {"as they were": 1}, {})
    row = json.loads(Path("rows.jsonl").read_text())
    assert sorted(row) == ["messages", "tools"]
    called = [call["function"]["name"] for message in row["messages"] for call in message.get("tool_calls", [])]
    assert called == ["start_deck", "add_slide", "add_slide", "save_deck"]
    assert set(called) <= {tool["function"]["name"] for tool in row["tools"]}


def test_by_default_training_gets_the_good_ones(kept: ReplayStore, autorl: Autorl) -> None:
    said = autorl("replay", "export", "rows.jsonl", "--form", "openai").stdout
    assert "1 runs written" in said
    assert "Left out: 1 not passed." in said
    assert "Schemas of their tools: 1 made from their use." in said
    assert "2 runs written" in autorl("replay", "export", "all.jsonl", "--form", "openai", "--all").stdout
    assert "1 runs written" in autorl("replay", "export", "own.jsonl", "--good").stdout


def test_what_is_there_is_not_written_over(kept: ReplayStore, autorl: Autorl) -> None:
    Path("mine.jsonl").write_text("precious")
    refused = autorl("replay", "export", "mine.jsonl")
    assert (refused.returncode, Path("mine.jsonl").read_text()) == (2, "precious")
    assert "is there already" in refused.stderr
    assert autorl("replay", "export", "mine.jsonl", "--force").returncode == 0
    assert len(Path("mine.jsonl").read_text().splitlines()) == 4


def test_runs_go_through_a_pipe(kept: ReplayStore, autorl: Autorl) -> None:
    out = autorl("replay", "export", "-", "--form", "trl")
    assert [json.loads(line)["messages"][0]["content"] for line in out.stdout.splitlines()] == ["Make tea"]
    assert "1 runs written to the standard output" in out.stderr
    taken = autorl("replay", "import", "-", "--store", "other.db", "--source", "anna", stdin=out.stdout)
    assert "1 new" in taken.stdout
    assert "from anna: 1 runs, 0 passed, 0 recallable, cap 100" in autorl(
        "replay", "stats", "--store", "other.db").stdout
    assert autorl("replay", "export", "-", "--json").returncode == 2


def test_bad_rows_are_told_of_and_the_rest_is_kept(kept: ReplayStore, autorl: Autorl) -> None:
    rows = [json.dumps(CHAT), *["nonsense"] * 30, json.dumps(["neither"]), json.dumps([*CHAT[:1], *CHAT])]
    Path("traces.jsonl").write_text("\n".join(rows))
    done = autorl("replay", "import", "traces.jsonl", "--errors", "errors.txt")
    assert done.returncode == 0
    assert "2 runs read from traces.jsonl (2 openai): 2 new, 0 there already, 31 bad rows." in done.stdout
    assert "Of the new ones 2 are quarantined, and 0 over the cap of their source." in done.stdout
    assert "  line 2: it is no JSON: Expecting value at character 1" in done.stdout
    assert "  and 11 more: --errors FILE has them all" in done.stdout
    errors = Path("errors.txt").read_text().splitlines()
    assert (len(errors), errors[-1].partition(": ")[0]) == (31, "line 32, item 1")
    (run,) = [s for s in kept.newest() if s.source == "traces.jsonl" and s.task == "Make tea"]
    assert run.trust == "quarantined"
    assert json.loads(autorl("replay", "import", "traces.jsonl", "--json").stdout)["there"] == 2


def test_a_store_that_did_not_come_whole_is_a_failure(kept: ReplayStore, autorl: Autorl) -> None:
    autorl("replay", "export", "mine.jsonl")
    text = Path("mine.jsonl").read_text().splitlines(keepends=True)
    for rows, said in ((text[:-1], "not whole: its last line did not come"), ([*text[:2], "{", *text[2:]], "line 3")):
        Path("part.jsonl").write_text("".join(rows))
        done = autorl("replay", "import", "part.jsonl", "--as-it-was", "--store", "part.db")
        assert (done.returncode, said in done.stdout) == (5, True)
    assert autorl("replay", "import", "mine.jsonl", "--as-it-was", "--store", "part.db").returncode == 0


def test_a_form_can_be_asked_for(kept: ReplayStore, autorl: Autorl) -> None:
    Path("mixed.jsonl").write_text(f"{json.dumps(CHAT)}\n" + json.dumps([{"task": "a"}, {"step_number": 1}]))
    done = json.loads(autorl("replay", "import", "mixed.jsonl", "--form", "smolagents", "--json").stdout)
    assert (done["new"], done["problems"]) == (1, ["line 1: it is in the form openai, and not in smolagents"])


def test_what_is_trusted_is_recalled(kept: ReplayStore, autorl: Autorl) -> None:
    autorl("replay", "export", "mine.jsonl")
    assert json.loads(autorl("replay", "import", "mine.jsonl", "--store", "b.db", "--json").stdout)["quarantined"] == 2
    done = json.loads(autorl("replay", "import", "mine.jsonl", "--trust", "--store", "c.db", "--json").stdout)
    assert (done["quarantined"], done["over_cap"]) == (0, 0)
    assert [c.run for c in ReplayStore("c.db").candidates()] == ["good"]


@pytest.mark.parametrize(("words", "problem"), [
    (["nowhere.jsonl"], "there is no file nowhere.jsonl"),
    (["rows.jsonl", "--trust", "--as-it-was"], "exclude each other"),
    (["rows.jsonl", "--source", "local"], "that of the runs that were made here"),
    (["rows.jsonl", "--as-it-was"], "nothing of rows.jsonl can be imported: line 1: it is in the form openai"),
    (["noise.bin"], "nothing of noise.bin can be imported"),
    (["rows.jsonl", "--errors", "no/folder"], "cannot be opened"),
])
def test_what_cannot_be_is_refused(words: list[str], problem: str, autorl: Autorl) -> None:
    Path("rows.jsonl").write_text(json.dumps(CHAT))
    Path("noise.bin").write_bytes(bytes(range(256)) * 50)
    done = autorl("replay", "import", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_both_commands_have_an_example(autorl: Autorl) -> None:
    for command in ("export", "import"):
        assert f"For example: autorl replay {command} " in autorl("replay", command, "--help").stdout
