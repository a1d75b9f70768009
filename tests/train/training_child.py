"""Trains in a process of its own: FOLDER ROWS [steps after which it kills itself, or -] [bytes a file may have]."""

import os
import resource
import signal
import sys
from pathlib import Path

from autorl.errors import AutorlError
from autorl.train import fit, sft
from autorl.train.fit import Progress
from autorl.train.hyper import Hyper

fit.CHECKPOINT_SECONDS = 0.0  # one after every step
HYPER = Hyper(rank=2, epochs=2, batch=1, held_out=0, learning_rate=1e-3)


def main(folder: str, rows: str, dies_after: str = "-", most: str = "") -> None:
    def watch(at: Progress) -> None:
        print(f"step {at.step}", flush=True)
        if dies_after != "-" and at.step > int(dies_after):  # the step before was saved
            os.kill(os.getpid(), signal.SIGKILL)

    if most:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    try:
        trained = sft.train(Path(rows), Path(folder), hyper=HYPER, watch=watch)
    except AutorlError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        sys.exit(5)
    print(f"resumed {trained.resumed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
