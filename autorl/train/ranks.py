"""One training by several processes, one for each GPU, as torchrun starts them.

Each learns from its share of the rows of a step, and all have the same weights after it. What is read from the store,
and whatever is written, is the first one's to do: the others are told.
"""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from autorl.errors import UsageError

_PATIENCE = timedelta(hours=6)
"""How long the others wait for the first: it may have a large data set to make. If it ends, they end at once."""
T = TypeVar("T")


def count() -> int:
    """How many processes make this training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that reads, writes and speaks for all."""
    return os.environ.get("RANK", "0") == "0"


def only_the_first_speaks() -> None:
    """What is printed from here on is printed once."""
    if not is_first():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def from_first(make: Callable[[], T]) -> T:
    """What `make` gives, which is called in the first process alone. Where it raises there, the others just end."""
    if count() == 1:
        return make()
    import torch.distributed as dist

    group = _group()
    told: list[Any] = [False, None]
    try:
        if is_first():
            told = [True, make()]
    finally:
        dist.broadcast_object_list(told, src=0, group=group)
    if not told[0]:
        sys.exit(1)
    made: T = told[1]
    return made


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if count() > 1:
        import torch.distributed as dist

        dist.barrier(group=_group())


def leave() -> None:
    """End this process, all work done, if it is one of several.

    At once: where Python ends by itself, threads of gloo may abort it (as in pytorch's issue 190489).
    """
    if count() > 1:
        wait_for_all()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def share(batches: int) -> int:
    """How many of the `batches` of an optimiser step go through the model in each process, one after the other.

    Raises UsageError if they cannot be shared evenly: a step would then be of other rows than were asked for.
    """
    import torch

    if batches % count():
        raise UsageError(f"{batches} batches a step cannot be shared by {count()} processes",
                         f"Make --batch a multiple of {count()} times --at-once, or start another number of processes")
    if count() == 1 and torch.cuda.device_count() > 1:  # transformers would give each GPU as many rows as were meant
        gpus = torch.cuda.device_count()
        raise UsageError(f"there are {gpus} GPUs, and one process trains on one",
                         f"For all of them: torchrun --nproc_per_node {gpus} -m autorl train ...; for one: "
                         "CUDA_VISIBLE_DEVICES=0")
    return batches // count()


@cache
def _group() -> Any:
    """The processes, on a connection of their own between processors, which waits longer than one between GPUs."""
    import torch
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())  # as transformers will do it
    return torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
