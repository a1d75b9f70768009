"""Trust, upkeep and rescue, as a user does them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from autorl.replay.store import ReplayStore
from autorl.types import Provenance, Recalled, Verdict
from tests.cli.conftest import DECK, TASK, Autorl
from tests.conformance.upkeep import LONG_AGO
from tests.worlds import FAILED, PASSED, a_run

Script = Callable[[Sequence[str]], str]


@pytest.fixture
def kept(home: Path) -> ReplayStore:
    store = ReplayStore()
    store.add([a_run("Good", id="good", verdict=PASSED, artifacts=()),
               a_run("Bad", id="bad", verdict=FAILED, recalled=["good"], started=LONG_AGO, artifacts=())])
    store.keep_policy("policy@1", base="local", trained_on=["good"])
    return store


def test_a_run_is_revoked_with_the_reason_and_the_policies_are_named(kept: ReplayStore, autorl: Autorl) -> None:
    done = autorl("replay", "revoke", "goo", "--why", "wrong facts", "--who", "ada")
    assert done.returncode == 0
    assert "good: revoked (was trusted)" in done.stdout
    assert "policy@1" in done.stdout
    assert kept.candidates() == []
    shown = autorl("replay", "show", "good").stdout
    assert "Revoked by ada on" in shown
    assert "wrong facts" in shown
    assert "Was shown to 1 runs that were judged, of which 0 passed; without it 0.5 were to be expected" in shown
    for command, trust in (("quarantine", "quarantined"), ("trust", "trusted")):
        said = json.loads(autorl("replay", command, "good", "--why", "because", "--json").stdout)
        assert (said["trust"], said["policies"]) == (trust, ["policy@1"])
    assert [c.run for c in kept.candidates()] == ["good"]
    full = json.loads(autorl("replay", "show", "good", "--json").stdout)
    assert [change["trust"] for change in full["trust_changes"]] == ["revoked", "quarantined", "trusted"]
    assert full["record"] == {"wins": 0, "shown": 1, "expected": 0.5, "strict": 1}


def test_a_reason_is_asked_for(kept: ReplayStore, autorl: Autorl) -> None:
    assert autorl("replay", "revoke", "good", "--why", " ").returncode == 2
    assert autorl("replay", "revoke", "good", stdin="a reason\n").returncode == 0
    assert kept.trust_changes("good")[0].why == "a reason"


def test_a_source_is_capped(kept: ReplayStore, autorl: Autorl) -> None:
    kept.add([a_run(f"T {n}", verdict=PASSED, provenance=Provenance(source="flood")) for n in range(5)])
    assert "at most 2" in autorl("replay", "cap", "flood", "2").stdout
    assert "from flood: 5 runs, 5 passed, 2 recallable, cap 2" in autorl("replay", "stats").stdout
    assert json.loads(autorl("replay", "cap", "flood", "--json").stdout) == {"source": "flood", "cap": None}


def test_pruning_shows_first_and_deletes_when_told(kept: ReplayStore, autorl: Autorl) -> None:
    looked = autorl("replay", "prune")
    assert "1 steps of 1 runs would be deleted" in looked.stdout
    assert kept.get("bad").steps
    done = json.loads(autorl("replay", "prune", "--yes", "--json").stdout)
    assert (done["runs"], done["deleted"]) == (["bad"], True)
    assert not kept.get("bad").steps
    assert "deleted by `replay prune`" in autorl("replay", "show", "bad").stdout
    assert json.loads(autorl("replay", "stats", "--json").stdout)["pruned"] == 1
    assert set(json.loads(autorl("replay", "compact", "--json").stdout)) == {"bytes_before", "bytes_after"}


def test_today_s_verifier_is_run_over_stored_runs(autorl: Autorl, script: Script) -> None:
    run = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)["run"]
    same = json.loads(autorl("replay", "verify", "--json").stdout)
    assert (same["looked_at"], same["changed"], same["skipped"]) == (1, [], {})
    store = ReplayStore()
    store.judged(run, Verdict(verifier="slides@0", passed=False, score=0.1, why="an older checker"))
    store.add([a_run("No pack made this", id="other", verdict=PASSED)])
    looked = autorl("replay", "verify")
    assert f"{run}: not passed 0.10 -> passed" in looked.stdout
    assert "other: left as it is, its tools have no verifier" in looked.stdout
    assert "1 of 2 finished runs would change" in looked.stdout
    assert store.candidates()[0].run == "other"
    assert "were changed" in autorl("replay", "verify", "--apply").stdout
    assert {c.run for c in store.candidates()} == {"other", run}
    autorl("feedback", run, "--bad")
    assert "a person judged it" in autorl("replay", "verify").stdout


def test_a_run_is_verified_anew_under_the_bar_that_it_was_judged_by(autorl: Autorl, script: Script) -> None:
    autorl("solve", TASK, "--model", script(DECK), "--json")
    strictly = json.loads(autorl("solve", TASK, "--model", script(DECK), "--verifier", "slides>=1", "--json").stdout)
    assert (strictly["verified"], strictly["verifier"]) == (False, "slides>=1@2")
    assert json.loads(autorl("replay", "verify", "--json").stdout)["changed"] == []
    gone = Recalled(run="gone", rank=0, score=1.0)
    ReplayStore().add([ReplayStore().get(strictly["run"]).model_copy(update={"id": "forgets", "recalled": (gone,)})])
    assert json.loads(autorl("replay", "verify", "--json").stdout)["skipped"] == {
        "forgets": "an exemplar that it was shown is gone"}
    refused = autorl("solve", TASK, "--model", script(DECK), "--verifier", "slides>=2")
    assert "Write a number from 0 to 1: slides>=0.2" in refused.stderr


def test_what_a_run_made_is_kept_beside_the_store(autorl: Autorl, script: Script, home: Path) -> None:
    made = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)
    (artifact,) = made["artifacts"]
    sha256 = artifact["sha256"]
    assert (home / "artifacts" / sha256[:2] / sha256[2:]).stat().st_size == artifact["bytes"]
    Path(artifact["path"]).unlink()
    assert json.loads(autorl("replay", "verify", "--json").stdout)["skipped"] == {}
    assert ReplayStore().check_files() == []


def test_a_run_whose_file_is_gone_is_not_verified_and_doctor_names_the_file(
    autorl: Autorl, script: Script, home: Path
) -> None:
    run = json.loads(autorl("solve", TASK, "--model", script(DECK), "--json").stdout)["run"]
    for path in home.rglob("*.pptx"):
        path.unlink()
    for path in (home / "artifacts").rglob("*"):
        if path.is_file():
            path.unlink()
    said = json.loads(autorl("replay", "verify", "--json").stdout)
    assert said["skipped"] == {run: "honey-bees.pptx is missing"}
    findings = json.loads(autorl("doctor", "--model", script(DECK), "--json").stdout)["findings"]
    (files,) = [finding for finding in findings if finding["about"] == "files"]
    assert (files["state"], f"{run}: honey-bees.pptx" in files["found"]) == ("note", True)


def test_a_damaged_store_is_rescued(kept: ReplayStore, autorl: Autorl, home: Path) -> None:
    kept.close()
    path = home / "replay.db"
    path.write_bytes(path.read_bytes()[:-4096])
    saved = json.loads(autorl("replay", "salvage", str(path), "new.db", "--json").stdout)
    assert saved["runs"] == 2
    shown = autorl("replay", "list", "--store", "new.db").stdout
    assert "good" in shown
    assert "bad" in shown
    assert "there already" in autorl("replay", "salvage", str(path), "new.db").stderr
