"""Fine-tuning in a process of its own: the memory that it takes, and its threads, end with it.

What stays behind in a process that has trained, llama.cpp pays for, which is to play the new policy next: gigabytes,
and the threads of PyTorch's OpenMP, which make its own take turns (a third of the speed was left on two cores).
"""

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autorl.errors import AutorlError, UsageError
from autorl.train import sft
from autorl.train.dataset import Dataset
from autorl.train.fit import Progress, Trained, Watch
from autorl.train.hyper import Hyper


def train(dataset: Dataset, out: Path, *, base: str = "local", hyper: Hyper = Hyper(),
          watch: Watch = lambda _: None) -> Trained:
    """As `sft.train`, elsewhere: what ends this process ends that one, and the same call goes on with it.

    Raises what `sft.train` raises, and AutorlError if the process died.
    """
    job = {"dataset": str(dataset.folder), "out": str(out), "base": base, "hyper": asdict(hyper)}
    # In a session of its own: a control-C is for this process, which then closes the pipe.
    with subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          encoding="utf-8", start_new_session=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                told = json.loads(line)
                if "failed" in told:
                    raise (UsageError if told["usage"] else AutorlError)(told["failed"], told["remedy"])
                watch(Progress(**told))
        except BrokenPipeError:
            pass  # it died before it was told what to do
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode:
        why = f"signal {-process.returncode}, perhaps for want of memory" if process.returncode < 0 else "an error"
        raise AutorlError(f"the training in {out} died of {why}",
                          "Run the same command again: it goes on from its last checkpoint")
    return sft.train(dataset, out, base=base, hyper=hyper)  # it is done: what came of it is read


def _main() -> None:
    words = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever else is printed is none of our words
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_other, daemon=True).start()

    def tell(word: dict[str, Any]) -> None:
        words.write(json.dumps(word) + "\n")

    try:
        sft.train(Path(job["dataset"]), Path(job["out"]), base=job["base"], hyper=Hyper(**job["hyper"]),
                  watch=lambda at: tell(asdict(at)))
    except AutorlError as error:
        tell({"failed": error.what, "remedy": error.remedy, "usage": isinstance(error, UsageError)})
    # At once: the other closes our stdin when there are no more words, and what waits for that must not take it for its
    # end while Python tidies up.
    os._exit(0)


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    _main()
