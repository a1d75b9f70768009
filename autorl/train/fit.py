"""One training, whatever its loss: a TRL trainer in a folder that can be killed, and taken up again, at any moment."""

import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autorl.errors import AutorlError, UsageError
from autorl.train import base as bases
from autorl.train import ranks
from autorl.train.card import card, curve
from autorl.train.checkpoints import ADAPTER, CONFIG, digest, disk_full, export, last_whole, seal
from autorl.train.hyper import Hyper, arguments_of, uses_bf16

CHECKPOINT_SECONDS = 60.0
"""How much work a kill may cost."""
TRAINING, CHECKPOINTS, EPOCHS = "training.json", "checkpoints", "epochs"
_CHECKPOINT, _EXPORT = 12, 2
"""Bytes a trained parameter takes: itself and two moments of Adam in a checkpoint, 16 bits in what is kept."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands. loss: mean of the last steps; held_out: its loss there, where it was just measured."""

    step: int
    steps: int
    epoch: float
    loss: float | None
    held_out: float | None
    seconds_left: float


Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """What a training made. folder: a PEFT adapter; epochs: the adapter after each epoch, in order; best: which of
    them (from 1) `folder` holds; losses, held_out: (step, loss); seconds: since it was last taken up
    """

    folder: Path
    epochs: tuple[Path, ...]
    best: int
    losses: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]
    seconds: float
    resumed: bool = False


@dataclass(frozen=True)
class Job:
    """A training: what of, on what, and how.

    kind: sft, dpo, kto or reward; base: name of the model; weights: its folder
    dataset: hash of the data set; rows: how many; runs: whose they are
    trainer: makes the TRL trainer, given the keywords of its arguments and its callbacks
    """

    kind: str
    base: str
    weights: Path
    dataset: str
    rows: int
    runs: Sequence[str]
    hyper: Hyper
    trainer: Callable[[dict[str, Any], list[Any]], Any]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two trainings the same."""
        return {"kind": self.kind, "base": self.base, "dataset": self.dataset, "hyper": asdict(self.hyper),
                "about": self.about}


def fit(job: Job, out: Path, watch: Watch | None = None) -> Trained:
    """Train, and leave a PEFT adapter in `out`; called again after a kill it goes on from its last checkpoint.

    The folder gets adapter_model.safetensors, adapter_config.json, a model card, training.json (settings, seeds,
    losses, runs), curve.svg, and the adapter after every epoch under epochs/. What is resumed ends up with the same
    weights as what was not interrupted.
    Raises UsageError if `out` holds something else, AutorlError when the loss is no number any more or the disk is
    full; the last good checkpoint is kept then.
    """
    before = ranks.from_first(lambda: _taken_up(job, out))
    if before is not None and before.get("status") == "done":
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)  # a kill may have left them
        return _read(out, before)
    scratch = out / CHECKPOINTS
    started = time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if before is None and ranks.is_first():  # first of all: what a kill leaves has to be known as this training
            _write(out, {"status": "running", **job.identity, "started": _now()})
        checkpoint = ranks.from_first(lambda: last_whole(scratch))
        trainer = make_trainer(job, _arguments(job, scratch), _watcher(job, out, watch))
        trained = sum(weights.numel() for weights in trainer.model.parameters() if weights.requires_grad)
        bases.room_for(out, trained * (3 * _CHECKPOINT + (job.hyper.epochs + 1) * _EXPORT))
        with bases.quiet():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = time.monotonic() - started
        return ranks.from_first(lambda: _finish(job, out, trainer.state, seconds, resumed=checkpoint is not None))
    except Exception as error:
        if disk_full(error):
            raise AutorlError(f"the training in {out} could not be written: {error}",
                              "Make room and run the same command again: it goes on from its last checkpoint"
                              ) from error
        raise


def seconds_a_token(job: Job) -> float:
    """How long a token takes, there and back, tried on the rows of `job` in their order.

    The rows are those of one process: where several train, the trainer has each of them as often, one after the other.
    """
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.times.append(-time.monotonic())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.times[-1] += time.monotonic()

    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        arguments = _arguments(job, Path(scratch))
        # The first time through, memory is asked for and kernels are made: the second one counts.
        once = {"num_train_epochs": 2, "gradient_accumulation_steps": 1, "per_device_train_batch_size": 1,
                "train_sampling_strategy": "sequential"}
        trainer = make_trainer(job, {**arguments, **once}, clock)
        with bases.quiet():
            trainer.train()
        tokens = float(trainer.state.log_history[-2]["num_tokens"])
    return 2 * sum(clock.times[job.rows :]) / tokens


def _arguments(job: Job, checkpoints: Path) -> dict[str, Any]:
    """What the trainer is told, in this process."""
    alone = arguments_of(job.hyper, checkpoints)
    batches = ranks.share(job.hyper.batch // job.hyper.at_once)
    return alone if ranks.count() == 1 else {**alone, "gradient_accumulation_steps": batches,
                                             "ddp_find_unused_parameters": False}  # every adapter is used


def make_trainer(job: Job, arguments: dict[str, Any], callback: Any) -> Any:
    """The TRL trainer of a job, ready to train."""
    from transformers import PrinterCallback

    with bases.quiet():
        trainer = job.trainer(arguments, [callback])
    trainer.remove_callback(PrinterCallback)  # which prints to stdout, the place of a command's result
    return trainer


def _watcher(job: Job, out: Path, watch: Watch | None) -> Any:
    import torch
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc,unused-ignore]
        """Saves often enough, keeps every epoch, stops when nothing is gained or nothing makes sense any more."""

        def __init__(self) -> None:
            self.saved = time.monotonic()
            self.began: tuple[float, int] | None = None

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            self.check([parameter.grad for parameter in model.parameters() if parameter.grad is not None], state)

        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            self.check([parameter for parameter in model.parameters() if parameter.requires_grad], state)

        def check(self, tensors: list[Any], state: Any) -> None:
            if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
                raise AutorlError(
                    f"the loss or its gradient is no number any more at step {state.global_step + 1} of "
                    f"{state.max_steps} (learning rate {job.hyper.learning_rate:g})",
                    f"Nothing of that step is kept; what went well before it is in {out / CHECKPOINTS}. Train in "
                    "another folder with a lower learning rate: --learning-rate")

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if self.began is None:
                self.began = time.monotonic(), state.global_step

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # The end of an epoch saves in any case, and only after it was measured.
            if not _whole(state.epoch) and ranks.from_first(
                    lambda: time.monotonic() - self.saved > CHECKPOINT_SECONDS):
                control.should_save = True

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = True
            control.should_evaluate = bool(job.about.get("held_out_rows"))

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.saved = time.monotonic()
            ranks.wait_for_all()  # each writes something into the checkpoint
            if not ranks.is_first():
                return
            checkpoint = out / CHECKPOINTS / f"checkpoint-{state.global_step}"
            if _whole(state.epoch):
                export(checkpoint, out / EPOCHS / str(round(state.epoch)), job.base)
            seal(checkpoint)

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            losses = [loss for _, loss in _series(state, "eval_loss")]
            best = losses.index(min(losses))
            if len(losses) - 1 - best >= job.hyper.patience:
                control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if watch is None or not ranks.is_first() or not ({"loss", "eval_loss"} & set(logs or ())):
                return
            since, first = self.began or (time.monotonic(), state.global_step)
            done = state.global_step - first
            each = (time.monotonic() - since) / done if done else 0.0
            watch(Progress(state.global_step, state.max_steps, state.epoch or 0.0, logs.get("loss"),
                           logs.get("eval_loss"), each * (state.max_steps - state.global_step)))

    return Watcher()


def _whole(epoch: float) -> bool:
    return math.isclose(epoch, round(epoch), abs_tol=1e-6)


def _taken_up(job: Job, out: Path) -> dict[str, Any] | None:
    """What is known of this training from before, None if it is new."""
    path = out / TRAINING
    if not path.is_file():
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no training", "Name another folder with --out")
        return None
    try:
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}", "Name another folder with --out, or remove this one") from error
    mine = json.loads(json.dumps(job.identity))
    different = [name for name, value in mine.items() if before.get(name) != value]
    if different:
        raise UsageError(f"{out} holds another training: its {', '.join(different)} differ",
                         "Name another folder with --out, or remove this one")
    return before


def _finish(job: Job, out: Path, state: Any, seconds: float, *, resumed: bool) -> Trained:
    """Put the best epoch's adapter where it is looked for, and write down how it came about."""
    losses, held_out = _series(state, "loss"), _series(state, "eval_loss")
    epochs = sorted((out / EPOCHS).iterdir(), key=lambda path: int(path.name))
    best = 1 + min(range(len(held_out)), key=lambda index: held_out[index][1]) if held_out else len(epochs)
    for name in (ADAPTER, CONFIG):
        shutil.copyfile(epochs[best - 1] / name, out / name)
    about = {
        "status": "done", **job.identity, "bf16": uses_bf16(job.hyper), "rows": job.rows, "runs": list(job.runs),
        "best_epoch": best, "epochs": len(epochs), "losses": losses, "held_out_losses": held_out,
        "seconds": round(seconds, 1), "resumed": resumed, "ended": _now(), "versions": _versions(),
        "adapter_sha256": digest(out / ADAPTER), **({"processes": ranks.count()} if ranks.count() > 1 else {}),
    }
    (out / "curve.svg").write_text(curve(losses, held_out), encoding="utf-8")
    (out / "README.md").write_text(card(about, bases.published_name(job.base)), encoding="utf-8")
    _write(out, about)
    shutil.rmtree(out / CHECKPOINTS)
    return _read(out, about)


def _read(out: Path, about: dict[str, Any]) -> Trained:
    epochs = tuple(out / EPOCHS / str(number + 1) for number in range(about["epochs"]))
    return Trained(out, epochs, about["best_epoch"], _pairs(about["losses"]), _pairs(about["held_out_losses"]),
                   about["seconds"], about["resumed"])


def _pairs(found: Sequence[Sequence[Any]]) -> tuple[tuple[int, float], ...]:
    return tuple((int(step), float(loss)) for step, loss in found)


def _series(state: Any, name: str) -> list[tuple[int, float]]:
    return [(entry["step"], entry[name]) for entry in state.log_history if name in entry]


def _write(out: Path, about: dict[str, Any]) -> None:
    part = out / f".{TRAINING}"
    part.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(out / TRAINING)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "peft")}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
