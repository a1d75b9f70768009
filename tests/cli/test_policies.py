import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from autorl import ReplayStore
from autorl.models.local import brought
from tests import needs
from tests.conformance.stores import write
from tests.train import doors, peft_folders
from tests.worlds import PASSED, a_run, say


@pytest.fixture
def kept(home: Path) -> ReplayStore:
    """A store with two policies of `local`, one of them trained on a run."""
    store = ReplayStore()
    run = write(store, a_run(id="run-1", verdict=PASSED))
    store.keep_policy("policy@1a", base="local", trained_on=[run.id], adapter="1a" * 32, dataset="d" * 64)
    store.keep_policy("policy@2b", base="local", trained_on=[], parent="policy@1a")
    return store


def test_policies_are_listed_promoted_and_rolled_back(autorl, kept):
    assert "policy@1a  local" in autorl("policies", "list").stdout
    done = autorl("policies", "promote", "1a", "--why", "better decks", "--who", "ann", "--json")
    assert json.loads(done.stdout) == {"base": "local", "promoted": "policy@1a"}
    listed = json.loads(autorl("policies", "list", "--json").stdout)
    assert [(p["policy"], p["promoted"], p["trained_on"]) for p in listed[:2]] == [("policy@1a", True, 1),
                                                                                  ("policy@2b", False, 0)]
    shown = autorl("policies", "show", "policy@1").stdout
    assert "policy@1a, of local: promoted" in shown
    assert "by ann: better decks" in shown
    refused = autorl("policies", "delete", "1a")
    assert refused.returncode == 2
    assert "policy@1a is promoted for local" in refused.stderr
    back = autorl("policies", "rollback", "--why", "it rambles")
    assert f"local is {listed[2]['policy']} from now on" in back.stdout, "the one that autorl brings"
    assert "local is the bare model from now on" in autorl("policies", "rollback", "--why", "and so does it").stdout
    assert autorl("policies", "rollback", "--why", "again").returncode == 2
    assert autorl("policies", "delete", "1a").returncode == 0
    assert "deleted on" in autorl("policies", "show", "1a").stdout


def test_local_is_the_policy_that_autorl_brings_and_one_can_go_back_to_it(autorl):
    folder = brought()
    assert folder
    listed = json.loads(autorl("policies", "list", "--json").stdout)
    assert [(policy["policy"], policy["promoted"]) for policy in listed] == [(folder.name, True)]
    assert "by autorl: it comes with autorl" in autorl("policies", "show", folder.name).stdout
    autorl("policies", "promote", "none", "--why", "to see the bare model")
    assert f"local is {folder.name} from now on" in autorl("policies", "rollback", "--why", "it was worse").stdout


def test_a_promoted_policy_whose_files_are_gone_is_told_and_not_passed_over(autorl, kept):
    autorl("policies", "promote", "1a", "--why", "x")
    refused = autorl("solve", "Make a deck about bees")
    assert refused.returncode == 2
    assert "policy@1a is promoted for local, and its files are not in" in refused.stderr
    assert "--policy none" in refused.stderr


def test_a_revoked_run_is_told_with_the_policies_trained_on_it(autorl, kept):
    autorl("replay", "revoke", "run-1", "--why", "copied")
    assert "1 of its runs revoked" in autorl("policies", "list").stdout
    shown = autorl("policies", "show", "1a").stdout
    assert "1 were revoked since: run-1" in shown
    assert "autorl train sft --again policy@1a" in shown


def test_an_unknown_policy_and_an_empty_reason_are_refused(autorl, kept):
    for words, told in ((["show", "policy@9"], "no policy named 'policy@9'"),
                        (["promote", "2b", "--why", " "], "--why is empty"),
                        (["promote", "policy@", "--why", "x"], "no policy named 'policy@'")):
        done = autorl("policies", *words)
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
    unknown = autorl("solve", "x", "--policy", "policy@9")
    assert (unknown.returncode, "no policy named" in unknown.stderr) == (2, True)


def test_a_folder_that_is_no_adapter_is_refused(autorl, tmp_path):
    needs.require(bool(find_spec("safetensors")), "safetensors", "pip install -e '.[train]'")
    folder = peft_folders.adapter(tmp_path / "adapter")
    (folder / "adapter_model.safetensors").write_bytes(b"x" * 100)
    done = autorl("policies", "add", str(folder), "--json")
    assert done.returncode == 2
    assert "adapter_model.safetensors is damaged or cut off" in json.loads(done.stdout)["error"]


def test_the_gate_compares_any_two_models(autorl):
    doors.project()
    Path("held.jsonl").write_text("".join(f"{task.model_dump_json()}\n" for task in doors.tasks(count=6)))
    for name, code in (("shut", "0"), ("open", "7007")):
        Path(name).write_text(json.dumps(say("open_door", code=int(code))) + "\n"
                              + json.dumps(say("finish", answer="done")) + "\n")
    done = autorl("gate", "scripted:shut", "scripted:open", "--tasks", "held.jsonl", "--tools", "doors", "--seed", "0",
                  "--json")
    ruling = json.loads(done.stdout)
    assert (done.returncode, ruling["passed"], ruling["tasks"]) == (1, False, 6)
    assert ruling["compared"]["success"]["new"] == pytest.approx(1 / 6), "only one room has that code"
    again = autorl("gate", "scripted:shut", "scripted:open", "--tasks", "held.jsonl", "--tools", "doors", "--seed", "0")
    assert "Not passed: no difference shown" in again.stdout
    assert "what was forgotten is not known" in again.stdout
    other = autorl("gate", "scripted:shut", "scripted:open", "--tasks", "held.jsonl", "--tools", "doors", "--seed", "0",
                   "--format", "structured", "--json")
    assert "was asked for one more" in json.loads(other.stdout)["error"], "what speaks react is not understood"
    unknown = autorl("gate", "scripted:shut", "scripted:open", "--tasks", "held.jsonl", "--format", "prose")
    assert (unknown.returncode, "no format named 'prose'" in unknown.stderr) == (2, True), unknown.stderr
