"""Fine-tuning in a process of its own: the same weights, the same errors, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autorl.errors import AutorlError, UsageError
from autorl.replay.store import ReplayStore
from autorl.train import apart, dataset, sft
from autorl.train.dataset import Choice, Dataset
from autorl.train.fit import Progress
from tests.train.small import TOOLS, a_run
from tests.train.training_child import HYPER

pytestmark = pytest.mark.slow
ADAPTER = "adapter_model.safetensors"
PARENT = """
import sys
from pathlib import Path
from autorl.train import apart
from autorl.train.dataset import Dataset
from tests.train.training_child import HYPER

if __name__ == "__main__":
    apart.train(Dataset.read(Path(sys.argv[1])), Path(sys.argv[2]), hyper=HYPER, watch=lambda at: print(at, flush=True))
"""


@pytest.fixture
def rows(store: ReplayStore, tokenizer: Any, tmp_path: Path) -> Dataset:
    store.add([a_run("Add one word", ["one"]), a_run("Add another word", ["other"])])
    return dataset.make(store, tmp_path / "rows", Choice(exemplars=0), tokenizer=tokenizer, tools=TOOLS)


def test_it_makes_what_training_here_makes_and_is_watched(rows: Dataset, tmp_path: Path) -> None:
    here, seen = sft.train(rows, tmp_path / "here", hyper=HYPER), list[Progress]()
    there = apart.train(rows, tmp_path / "there", hyper=HYPER, watch=seen.append)
    assert (there.folder / ADAPTER).read_bytes() == (here.folder / ADAPTER).read_bytes()
    assert there.losses == here.losses
    assert [at.loss for at in seen if at.loss is not None] == [pytest.approx(loss) for _, loss in here.losses]


def test_what_goes_wrong_there_is_raised_here(rows: Dataset, tmp_path: Path) -> None:
    with pytest.raises(AutorlError, match=r"no number any more at step \d of \d.*--learning-rate"):
        apart.train(rows, tmp_path / "out", hyper=replace(HYPER, learning_rate=1e30, warmup=0))
    with pytest.raises(UsageError, match="holds another training"):
        apart.train(rows, tmp_path / "out", hyper=HYPER)


def test_what_is_done_is_read_again(rows: Dataset, tmp_path: Path) -> None:
    first, again = (apart.train(rows, tmp_path / "out", hyper=HYPER) for _ in range(2))
    assert again == first


def test_a_process_that_is_killed_is_told_and_the_same_call_goes_on(rows: Dataset, tmp_path: Path) -> None:
    def kill(_: Progress) -> None:
        subprocess.run(["pkill", "-KILL", "-P", str(os.getpid()), "-f", apart.__name__], check=True)

    with pytest.raises(AutorlError, match=r"died of signal 9.*goes on"):
        apart.train(rows, tmp_path / "out", hyper=HYPER, watch=kill)
    assert apart.train(rows, tmp_path / "out", hyper=HYPER).folder == tmp_path / "out"


def test_it_ends_with_the_process_that_asked_for_it(rows: Dataset, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script), str(rows.folder), str(tmp_path / "out")], text=True,
                          stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout
        assert "step=1" in parent.stdout.readline()
        found = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=True)
        (child,) = map(int, found.stdout.split())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "it trains on"
        time.sleep(0.05)
    assert not (tmp_path / "out" / ADAPTER).exists()
