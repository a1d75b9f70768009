"""A reward model from pairs of runs of the same task: -log sigmoid(r_passed - r_failed) (Bradley and Terry 1952;
Christiano et al. 2017), through TRL's RewardTrainer. `verify.reward_model` says what it may be used for."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autorl.errors import UsageError
from autorl.replay.store import ReplayStore
from autorl.train import base as bases
from autorl.train import fit, ranks
from autorl.train.dataset import Dataset, plain, usable, write
from autorl.train.fit import Job, Trained, Watch
from autorl.train.hyper import FEWEST_TASKS, Hyper, lora, split, uses_bf16
from autorl.train.pairs import Pairing, enough, pairs
from autorl.types import Trajectory
from autorl.verify.judge import Score
from autorl.verify.reward_model import NOTES, RewardModel, load, tokens

HYPER = Hyper(learning_rate=1e-4, epochs=2, held_out=0.25)
"""A quarter of the tasks are held out: whether it is any good is known from them alone."""


def make(store: ReplayStore, folder: Path, pairing: Pairing = Pairing(), *, tokenizer: Any) -> Dataset:
    """Write pairs of runs of the same task to `folder`, as the tokens that the reward model reads.

    tokenizer: of the model that is to be trained
    Raises UsageError, and writes nothing, if there is no pair, or the folder holds something else.
    """
    usable(folder)
    dropped: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    for passed, failed in pairs(store, pairing, dropped, same_prompt=False):
        read: list[Trajectory] = [store.get(judged.run) for judged in (passed, failed)]
        one, other = (tokens(tokenizer, run, pairing.max_tokens)[0] for run in read)
        rows.append({"chosen_ids": one, "rejected_ids": other, "run": passed.run, "rejected_run": failed.run,
                     "task": passed.task})
        for judged in (passed, failed):
            runs[judged.run] = {"run": judged.run, "task": judged.task, "score": judged.score, "passed": judged.passed}
    enough(len(rows), store, dropped)
    return write(folder, rows, {"tasks": len({row["task"] for row in rows}), "dropped": dict(dropped),
                                "settings": plain(pairing), "runs": list(runs.values())})


def train(dataset: Dataset | Path, out: Path, *, base: str = "local", hyper: Hyper = HYPER,
          watch: Watch | None = None) -> tuple[Trained, Score]:
    """Train a reward model; `out` becomes its folder. Returns also how many held-out pairs it orders rightly.

    Raises MissingExtra without torch, UsageError for pairs of fewer than eight tasks, of which none could be held out.
    """
    weights = bases.torch_weights(base)
    found = dataset if isinstance(dataset, Dataset) else Dataset.read(dataset)
    if not found.rows or "chosen_ids" not in found.rows[0]:
        raise UsageError(f"{found.folder} holds no pairs of runs", "Make them: autorl train reward, without --dataset")
    rows, held_out = split([(row["task"], {side: row[side] for side in ("chosen_ids", "rejected_ids")})
                            for row in found.rows], hyper)
    if not held_out:
        raise UsageError(f"there are pairs of {found.manifest['tasks']} tasks; a reward model takes {FEWEST_TASKS}, "
                         "some of which are held out to see whether it is any good",
                         "Attempt more tasks several times: autorl collect slides/learn --n 8")

    def trainer(arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        return _trainer(weights, rows, held_out, hyper, arguments, callbacks)

    job = Job("reward", base, weights, found.hash, len(rows), found.runs, hyper, trainer,
              {"held_out_rows": len(held_out)})
    trained = fit.fit(job, out, watch)

    def notes() -> dict[str, Any]:
        if not (out / NOTES).is_file():
            _note(out, weights, base, found, held_out)
        return dict(json.loads((out / NOTES).read_text(encoding="utf-8")))

    noted = ranks.from_first(notes)
    return trained, Score(noted["right"], noted["pairs"])


def open_reward_model(folder: Path) -> RewardModel:
    """The reward model in a folder. Raises UsageError if there is none, or it is no better than chance."""
    try:
        base = json.loads((folder / NOTES).read_text(encoding="utf-8"))["base"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{folder} holds no reward model: {error}", "Train one: autorl train reward") from error
    return RewardModel(folder, bases.torch_weights(base))


def _trainer(weights: Path, rows: list[dict[str, Any]], held_out: list[dict[str, Any]], hyper: Hyper,
             arguments: dict[str, Any], callbacks: list[Any]) -> Any:
    import torch
    from datasets import Dataset as Table
    from transformers import AutoModelForSequenceClassification, set_seed
    from trl import RewardConfig, RewardTrainer

    set_seed(hyper.seed)  # its head is drawn here
    dtype = torch.bfloat16 if uses_bf16(hyper) else torch.float32
    return RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(weights, num_labels=1, dtype=dtype),
        args=RewardConfig(**arguments, max_length=None), train_dataset=Table.from_list(rows),
        eval_dataset=Table.from_list(held_out), processing_class=bases.load_tokenizer(weights),
        peft_config=lora(hyper, "SEQ_CLS"), callbacks=callbacks)


def _note(out: Path, weights: Path, base: str, found: Dataset, held_out: Sequence[dict[str, Any]]) -> None:
    """Write down what the model is worth, on the pairs that it did not learn from, and where its middle lies."""
    import torch

    with bases.quiet():
        model, _ = load(weights, out)

    def reward(ids: list[int]) -> float:
        with torch.no_grad():
            return float(model(input_ids=torch.tensor([ids], device=model.device)).logits[0, 0])

    rewards = [(reward(row["chosen_ids"]), reward(row["rejected_ids"])) for row in held_out]
    score = Score(sum(one > other for one, other in rewards), len(rewards))
    notes = {"base": base, "dataset": found.hash, "max_tokens": found.manifest["settings"]["max_tokens"],
             "right": score.right, "pairs": score.n, "accuracy": score.share, "interval": score.interval,
             "middle": sum(map(sum, rewards)) / (2 * len(rewards))}
    part = out / f".{NOTES}"
    part.write_text(json.dumps(notes, indent=1) + "\n", encoding="utf-8")
    part.replace(out / NOTES)
