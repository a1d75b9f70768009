"""How weights are trained: the settings, and what TRL, transformers and PEFT are told of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from autorl.errors import UsageError
from autorl.train import base as bases

FEWEST_TASKS = 8
"""Tasks from which some are held out to measure the loss on."""
T = TypeVar("T")


@dataclass(frozen=True)
class Hyper:
    """How weights are trained. The defaults are what did well with the embedded model.

    rank, alpha: of the low-rank adapter on every linear layer (LoRA, Hu et al. 2021); dropout: on its input
    learning_rate: at its highest, after `warmup` (share of the steps); from there it falls in a line to zero
    epochs: passes over the rows, at most; patience: epochs without a better held-out loss after which it stops
    batch: rows an optimiser step; at_once: of them, how many go through the model together; packing: without padding
        between them, where that is safe (fine-tuning only; see `sft.apart`)
    held_out: share of the tasks whose rows are kept to measure the loss on; none where there are fewer than eight
    bf16: 16-bit weights and activations; None for where the machine has instructions for them
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    learning_rate: float = 4e-4
    warmup: float = 0.1
    epochs: int = 3
    patience: int = 1
    batch: int = 8
    at_once: int = 1
    packing: bool = False
    held_out: float = 0.1
    bf16: bool | None = None
    gradient_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch % self.at_once:
            raise UsageError(f"a batch of {self.batch} rows cannot go {self.at_once} at a time")
        if self.packing and self.at_once == 1:
            raise UsageError("rows that go through the model one at a time have no padding that packing could save",
                             "Give it --at-once 4, or leave --packing out")


def arguments_of(hyper: Hyper, checkpoints: Path) -> dict[str, Any]:
    """Keywords that every TRL configuration takes."""
    import torch

    return {
        "output_dir": str(checkpoints), "seed": hyper.seed, "data_seed": hyper.seed,
        "num_train_epochs": hyper.epochs, "learning_rate": hyper.learning_rate, "lr_scheduler_type": "linear",
        "warmup_steps": hyper.warmup if hyper.warmup < 1 else 0.999, "per_device_train_batch_size": hyper.at_once,
        "per_device_eval_batch_size": hyper.at_once, "gradient_accumulation_steps": hyper.batch // hyper.at_once,
        "bf16": uses_bf16(hyper), "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": hyper.gradient_checkpointing,
        # When to save and to measure is the watcher's to say: often enough, and after every epoch.
        "save_strategy": "no", "eval_strategy": "no", "save_total_limit": 2, "logging_steps": 1,
        "logging_nan_inf_filter": False, "report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False,
    }


def uses_bf16(hyper: Hyper) -> bool:
    return bases.bf16_is_faster() if hyper.bf16 is None else hyper.bf16


def lora(hyper: Hyper, task: str = "CAUSAL_LM") -> Any:
    """The adapter to train: low-rank, on every linear layer."""
    from peft import LoraConfig

    return LoraConfig(r=hyper.rank, lora_alpha=hyper.alpha, lora_dropout=hyper.dropout, target_modules="all-linear",
                      task_type=task, bias="none")


def split(rows: Sequence[tuple[str, T]], hyper: Hyper) -> tuple[list[T], list[T]]:
    """Rows, each given with its task, as those to learn and those of the tasks that are held out."""
    tasks = sorted({task for task, _ in rows}, key=lambda task: draw(hyper.seed, task))
    held = max(1, round(hyper.held_out * len(tasks))) if hyper.held_out > 0 and len(tasks) >= FEWEST_TASKS else 0
    apart = set(tasks[:held])
    return [row for task, row in rows if task not in apart], [row for task, row in rows if task in apart]


def draw(seed: int, name: str) -> bytes:
    """Something to sort names by that looks drawn, and is the same every time."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
