"""`autorl train`: what it says, and what it needs."""

import json
from pathlib import Path

import pytest

from autorl import content
from autorl.replay.store import ReplayStore
from autorl.types import Provenance, Status, Task, Trajectory, Verdict
from tests.cli.conftest import Autorl
from tests.train.conftest import torch_weights

__all__ = ["torch_weights"]  # a fixture


def learned_from(store: ReplayStore) -> list[str]:
    """Runs of the slides pack that passed: its own exemplars, as if they had been made here."""
    seeds = content.load_pack("slides").seeds
    assert seeds is not None
    runs = [Trajectory.model_validate_json(line) for line in seeds.read_text().splitlines() if line.strip()][:2]
    return store.add([run.model_copy(update={
        "id": f"run-{n}", "task": Task(text=f"{run.task.text} ({n})"), "status": Status.FINISHED,
        "provenance": Provenance(format="react", settings={"tools": ["slides"]}),
        "verdict": Verdict(verifier="test@1", passed=True, score=1.0)}) for n, run in enumerate(runs)])


@pytest.mark.slow
def test_a_data_set_is_made_of_the_store_and_told(
    autorl: Autorl, store: ReplayStore, tmp_path: Path, torch_weights: Path
) -> None:
    runs = learned_from(store)
    done = autorl("train", "dataset", "--out", str(tmp_path / "rows"), "--exemplars-share", "0", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["rows"] == 2
    assert {source["run"] for source in told["runs"]} == set(runs)
    assert (tmp_path / "rows" / "rows.jsonl").is_file()
    store.trust(runs[0], "revoked", "it cheated")
    refused = autorl("train", "sft", "--dataset", str(tmp_path / "rows"))
    assert refused.returncode == 2
    assert runs[0] in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sft", "preference", "reward"])
def test_an_empty_store_ends_with_what_to_do(autorl: Autorl, torch_weights: Path, what: str) -> None:
    done = autorl("train", what, "--json")
    assert done.returncode == 2
    assert "autorl collect" in json.loads(done.stdout)["remedy"]


@pytest.mark.parametrize("what", ["dataset", "sft", "preference", "reward"])
def test_help_has_an_example(autorl: Autorl, what: str) -> None:
    assert f"autorl train {what}" in autorl("train", what, "--help").stdout.split("Options")[0]


def test_what_is_no_moment_is_told(autorl: Autorl) -> None:
    done = autorl("train", "preference", "--since", "yesterday")
    assert done.returncode == 2
    assert "yesterday" in done.stderr
