"""Fine-tuning on the real embedded model: what it leaves, and what it survives."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import AutorlError, MissingExtra, UsageError
from autorl.replay.store import ReplayStore
from autorl.train import base, dataset, policies, sft
from autorl.train.checkpoints import last_whole
from autorl.train.dataset import Choice, Dataset
from autorl.train.fit import Progress
from autorl.train.hyper import Hyper, split
from tests.train.small import TOOLS, a_run
from tests.train.training_child import HYPER

pytestmark = pytest.mark.slow
ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def rows(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> Dataset:
    store.add([a_run("Add one word", ["one"]), a_run("Add another word", ["other"])])
    return dataset.make(store, tmp_path / "rows", Choice(exemplars=0), tokenizer=tokenizer, tools=TOOLS)


def child(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "tests.train.training_child", *map(str, words)], text=True,
                          capture_output=True, timeout=500, check=False, cwd=Path(__file__).parents[2])


def test_training_lowers_the_loss_and_leaves_an_adapter_that_can_be_kept_as_a_policy(
    rows: Dataset, store: ReplayStore, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    out = tmp_path / "out"
    trained = sft.train(rows, out, hyper=replace(HYPER, epochs=3, learning_rate=2e-3), watch=seen.append)
    losses = [loss for _, loss in trained.losses]
    assert len(losses) == 6 == len(seen)
    assert sum(losses[-2:]) < 0.8 * sum(losses[:2])
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    kept = {f"epochs/{number}/{name}" for number in (1, 2, 3) for name in (ADAPTER, "adapter_config.json")}
    assert names == {ADAPTER, "adapter_config.json", "README.md", "training.json", "curve.svg", *kept}
    about = json.loads((out / "training.json").read_text())
    assert about["runs"] == rows.runs
    assert about["dataset"] == rows.hash
    assert about["hyper"]["seed"] == 0
    config = json.loads((out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert rows.hash[:16] in (out / "README.md").read_text()
    policy = policies.add(store, out)
    (known,) = store.policies()
    assert known.id == policy
    assert set(known.runs) == set(rows.runs)
    assert sft.train(rows, out, hyper=replace(HYPER, epochs=3, learning_rate=2e-3)) == trained  # it is done already


def test_a_training_that_was_killed_ends_up_with_the_same_weights(rows: Dataset, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert child(whole, rows.folder).returncode == 0
    dead = child(killed, rows.folder, 2)
    assert dead.returncode == -9, dead.stderr
    assert (killed / "checkpoints").is_dir()
    again = child(killed, rows.folder)
    assert "resumed True" in again.stdout, again.stderr
    assert "step 1\n" not in again.stdout
    assert (killed / ADAPTER).read_bytes() == (whole / ADAPTER).read_bytes()
    assert not (killed / "checkpoints").exists()


def test_a_checkpoint_that_was_spoiled_is_passed_over_for_the_one_before(rows: Dataset, tmp_path: Path) -> None:
    assert child(tmp_path / "out", rows.folder, 3).returncode == -9
    newest = max((tmp_path / "out" / "checkpoints").glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    weights = newest / ADAPTER
    spoiled = bytearray(weights.read_bytes())
    spoiled[-100] ^= 0xFF
    weights.write_bytes(spoiled)
    again = child(tmp_path / "out", rows.folder)
    assert again.returncode == 0, again.stderr
    number = int(newest.name.split("-")[1])
    assert f"step {number}\n" in again.stdout  # which is done again
    assert f"step {number - 1}\n" not in again.stdout


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_last_good_checkpoint(
    rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autorl.train.fit.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(AutorlError, match=r"no number any more at step \d of 4 .*--learning-rate"):
        sft.train(rows, tmp_path / "out", hyper=replace(HYPER, learning_rate=1e30, warmup=0))
    from safetensors.torch import load_file

    kept = last_whole(tmp_path / "out" / "checkpoints")
    assert kept
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(kept / ADAPTER).values())


def test_a_full_disk_is_told_and_the_training_goes_on_where_it_was(rows: Dataset, tmp_path: Path) -> None:
    full = child(tmp_path / "out", rows.folder, "-", 500_000)
    assert full.returncode == 5, full.stderr
    assert "could not be written" in full.stdout
    assert "run the same command again" in full.stdout
    assert "resumed" in child(tmp_path / "out", rows.folder).stdout


def test_rows_without_padding_teach_the_same_as_padded_ones(
    store: ReplayStore, tokenizer: Any, tmp_path: Path
) -> None:
    store.add([a_run("Add one word", ["one"]), a_run("Add five words", ["a", "b", "c", "d", "e"])])
    made = dataset.make(store, tmp_path / "rows", Choice(exemplars=0), tokenizer=tokenizer, tools=TOOLS)
    both = replace(HYPER, batch=2, at_once=2, epochs=3, learning_rate=2e-3)
    padded = sft.train(made, tmp_path / "padded", hyper=both)
    packed = sft.train(made, tmp_path / "packed", hyper=replace(both, packing=True))
    alone = sft.train(made, tmp_path / "alone", hyper=replace(both, at_once=1))
    losses = [loss for _, loss in padded.losses]
    assert losses[0] > losses[-1]
    for other in (packed, alone):
        assert [loss for _, loss in other.losses] == pytest.approx(losses, rel=0.01)


def test_a_model_in_which_rows_without_padding_would_see_one_another_is_refused(
    rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = base.load_model

    def heedless(*given: Any, **named: Any) -> Any:
        model = load(*given, **named)
        forward = model.forward
        model.forward = lambda *given, position_ids=None, **named: forward(*given, **named)
        return model

    monkeypatch.setattr(base, "load_model", heedless)
    with pytest.raises(UsageError, match="would see one another") as refused:
        sft.train(rows, tmp_path / "out", hyper=replace(HYPER, batch=2, at_once=2, packing=True))
    assert "Leave it out" in str(refused.value)


def test_packing_of_single_rows_is_refused() -> None:
    with pytest.raises(UsageError, match="one at a time"):
        Hyper(packing=True)


def test_another_training_is_not_mixed_into_a_folder(rows: Dataset, tmp_path: Path) -> None:
    assert child(tmp_path / "out", rows.folder, 1).returncode == -9
    with pytest.raises(UsageError, match="holds another training: its hyper differ"):
        sft.train(rows, tmp_path / "out", hyper=replace(HYPER, seed=5))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty"):
        sft.train(rows, tmp_path / "notes", hyper=HYPER)


def test_a_dry_run_measures_time_and_memory_and_trains_nothing(rows: Dataset, tmp_path: Path) -> None:
    estimate = sft.estimate(rows, hyper=HYPER)
    assert estimate.rows == 2
    assert estimate.steps == 4
    assert estimate.tokens == rows.manifest["tokens"]
    assert estimate.tokens_learned == rows.manifest["tokens_learned"]
    assert estimate.memory_mb > 300
    assert estimate.seconds == pytest.approx(2 * estimate.tokens / estimate.tokens_per_second, rel=0.01)
    assert not (tmp_path / "out").exists()


def test_rows_beyond_the_models_context_are_refused_not_cut(
    rows: Dataset, tmp_path: Path, torch_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((torch_weights / "config.json").read_text())
    short = tmp_path / "short"
    short.mkdir()
    for path in torch_weights.iterdir():
        (short / path.name).symlink_to(path)
    (short / "config.json").unlink()
    (short / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 100}))
    with pytest.raises(UsageError, match=r"the model's context holds 100.*--max-tokens"):
        sft.train(rows, tmp_path / "out", base=str(short), hyper=HYPER)


def test_held_out_rows_are_those_of_whole_tasks() -> None:
    rows = [(f"task {n % 20}", n) for n in range(60)]
    learned, held_out = split(rows, Hyper(held_out=0.1))
    assert len(held_out) == 6
    assert not {n % 20 for n in learned} & {n % 20 for n in held_out}
    assert split(rows[:5], Hyper(held_out=0.1)) == ([0, 1, 2, 3, 4], [])


def test_a_training_is_made_again_with_its_settings(rows: Dataset, tmp_path: Path) -> None:
    sft.train(rows, tmp_path / "out", hyper=replace(HYPER, epochs=1))
    model, choice, hyper = sft.again(json.loads((tmp_path / "out" / "training.json").read_text()))
    assert (model, hyper) == ("local", replace(HYPER, epochs=1))
    assert choice == Choice(exemplars=0, without=[])
    with pytest.raises(UsageError, match="only what autorl train sft made"):
        sft.again({"kind": "dpo"})


def test_a_machine_without_torch_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingExtra, match=r"training needs torch.*autorl-agent\[train\]"):
        base.torch_weights("local")


@pytest.mark.parametrize(("model", "told"), [
    ("openai:gpt", "its weights are not to be had"), ("no-such-folder", "there is no model folder"),
])
def test_what_cannot_be_trained_is_told(model: str, told: str, torch_weights: Path) -> None:
    with pytest.raises(UsageError, match=told):
        base.torch_weights(model)


def test_weights_that_could_run_code_are_refused(tmp_path: Path, torch_weights: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no safetensors"):
        base.torch_weights(str(tmp_path / "model"))
