"""Several processes make one training: on CPUs here, as they would on GPUs."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import UsageError
from autorl.replay.store import ReplayStore
from autorl.train import dataset, ranks, sft
from autorl.train.dataset import Choice, Dataset
from autorl.train.hyper import Hyper
from tests.train.small import TOOLS, a_run

ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def rows(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> Dataset:
    store.add([a_run(f"Add the word {word}", [word]) for word in ("one", "other", "third", "fourth")])
    return dataset.make(store, tmp_path / "rows", Choice(exemplars=0), tokenizer=tokenizer, tools=TOOLS)


def two_processes(store: ReplayStore, *words: object) -> "subprocess.CompletedProcess[str]":
    """`autorl train sft` by two processes."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "autorl",
         "train", "sft", "--store", str(store.where), *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}, text=True, capture_output=True,
        timeout=500, check=False)


@pytest.mark.slow
def test_two_processes_make_the_adapter_that_one_makes_and_write_it_once(
    rows: Dataset, store: ReplayStore, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    alone, together = tmp_path / "alone", tmp_path / "together"
    sft.train(rows, alone, hyper=Hyper(rank=2, epochs=2, batch=2, learning_rate=1e-3))
    ended = two_processes(store, "--dataset", rows.folder, "--out", together, "--rank", 2, "--epochs", 2, "--batch", 2,
                          "--learning-rate", 1e-3)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("4 rows of 4 tasks") == ended.stdout.count("is in") == 1
    assert [line.split()[:4] for line in ended.stdout.splitlines() if line.startswith("  step")] == [
        ["step", str(step), "of", "4"] for step in (1, 2, 3, 4)]
    files = [sorted(path.relative_to(out) for path in out.rglob("*")) for out in (alone, together)]
    assert files[0] == files[1]
    (policy,) = [policy for policy in store.policies() if policy.runs]
    assert policy.id in ended.stdout
    one, two = (load_file(out / ADAPTER) for out in (alone, together))
    apart = sum(float((one[name].float() - two[name].float()).square().sum()) for name in one)
    size = sum(float(tensor.float().square().sum()) for name, tensor in one.items() if "lora_B" in name)  # from zero
    assert size > 0
    assert (apart / size) ** 0.5 < 0.01


@pytest.mark.slow
def test_a_dry_run_by_two_processes_measures_both_together(rows: Dataset, store: ReplayStore, tmp_path: Path) -> None:
    ended = two_processes(store, "--dataset", rows.folder, "--out", tmp_path / "out", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Would learn from 4 rows") == 1
    assert "in each of 2 processes" in ended.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_what_goes_wrong_in_the_first_process_ends_the_others_and_is_told_once(
    store: ReplayStore, tmp_path: Path
) -> None:
    ended = two_processes(store, "--dataset", tmp_path / "nowhere")
    assert ended.returncode != 0
    assert ended.stderr.count("nowhere holds no data set") == 1
    assert "RuntimeError" not in ended.stderr


def test_rows_that_cannot_be_shared_evenly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert ranks.share(9) == 3
    with pytest.raises(UsageError, match="8 batches a step cannot be shared by 3 processes.*--batch"):
        ranks.share(8)


def test_one_process_does_not_take_all_gpus_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(UsageError, match="there are 4 GPUs.*torchrun --nproc_per_node 4.*CUDA_VISIBLE_DEVICES=0"):
        ranks.share(8)
