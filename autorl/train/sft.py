"""Rejection-sampling fine-tuning: the policy learns its own verified successes, and nothing else of them.

Low-rank adapters on the base model, through TRL's SFTTrainer, on rows that were turned into tokens here: the loss is on
the policy's own answers alone, and what stands before each is what will be served (RFT, Yuan et al. 2023; ReST-EM,
Singh et al. 2023; STaR, Zelikman et al. 2022). Every round starts from the base model.
"""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autorl.errors import UsageError
from autorl.train import base as bases
from autorl.train import fit, ranks
from autorl.train.dataset import Choice, Dataset
from autorl.train.fit import Job, Trained, Watch
from autorl.train.hyper import Hyper, lora, split, uses_bf16


@dataclass(frozen=True)
class Estimate:
    """What a training would take. tokens: of an epoch; seconds, memory_mb (of each process, where several train): by
    trying its longest and a middling row
    """

    rows: int
    held_out_rows: int
    tokens: int
    tokens_learned: int
    steps: int
    tokens_per_second: float
    seconds: float
    memory_mb: float
    dropped: dict[str, int]


def train(dataset: Dataset | Path, out: Path, *, base: str = "local", hyper: Hyper = Hyper(),
          watch: Watch | None = None) -> Trained:
    """Train an adapter of `base` on a data set; `out` becomes its folder (see `fit.fit`).

    Raises MissingExtra without torch, UsageError for rows that this model cannot be trained on.
    """
    weights = bases.torch_weights(base)
    found = dataset if isinstance(dataset, Dataset) else Dataset.read(dataset)
    rows, held_out = split(_tokens(found, weights), hyper)

    def trainer(arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        return _trainer(weights, rows, held_out, hyper, arguments, callbacks)

    about = {"held_out_rows": len(held_out), "prompt_hash": found.manifest["prompt_hash"],
             "choice": found.manifest["settings"]}
    job = Job("sft", base, weights, found.hash, len(rows), found.runs, hyper, trainer, about)
    return fit.fit(job, out, watch)


def again(training: dict[str, Any]) -> tuple[str, Choice, Hyper]:
    """The base, the choice of runs and the settings of an earlier training, from its training.json.

    Made with them anew, a data set leaves out what was revoked since. Raises UsageError for another kind of training.
    """
    if training.get("kind") != "sft":
        raise UsageError(f"it was made by {training.get('kind') or 'something that left no training.json'}, and only "
                         "what autorl train sft made can be made again", "Train anew: autorl train sft")
    return training["base"], Choice(**training["about"]["choice"]), Hyper(**training["hyper"])


def estimate(dataset: Dataset, *, base: str = "local", hyper: Hyper = Hyper()) -> Estimate:
    """What `train` would do and take; it times one pass over the longest row and over the middling one."""
    weights = bases.torch_weights(base)
    rows, held_out = split(_tokens(dataset, weights), hyper)
    lengths = sorted(rows, key=lambda row: len(row["input_ids"]))
    tried = [lengths[-1], lengths[len(lengths) // 2]]
    shared = [row for row in tried for _ in range(ranks.count())]
    each = fit.seconds_a_token(Job("sft", base, weights, "", len(tried), (), hyper, lambda *how: _trainer(
        weights, shared, [], hyper, *how)))
    tokens = sum(len(row["input_ids"]) for row in rows)
    ahead = sum(len(row["input_ids"]) for row in held_out)
    return Estimate(
        rows=len(rows), held_out_rows=len(held_out), tokens=tokens,
        tokens_learned=sum(label >= 0 for row in rows for label in row["labels"]),
        steps=-(-len(rows) // hyper.batch) * hyper.epochs, tokens_per_second=round(1 / each, 1),
        # Measuring the loss takes a third of learning from it: there is no way back.
        seconds=round(hyper.epochs * (tokens + ahead / 3) * each, 1),
        memory_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), dropped=dataset.manifest["dropped"])


def _tokens(dataset: Dataset, weights: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rows' tokens by task, each checked to hold something to learn and to fit into the model's context."""
    from transformers import AutoConfig

    tokenizer = bases.load_tokenizer(weights)
    context = getattr(AutoConfig.from_pretrained(weights), "max_position_embeddings", None)
    rows: list[tuple[str, dict[str, Any]]] = []
    for row, tokens in dataset.tokens(tokenizer):
        for each in tokens:
            if context and len(each.ids) > context:
                raise UsageError(f"the row of the run {row['run']} has {len(each.ids)} tokens, and the model's context "
                                 f"holds {context}", "Make the data set for this model: --max-tokens")
            rows.append((row["task"], {"input_ids": each.ids, "labels": each.labels}))
        if not any(each.own for each in tokens):
            raise UsageError(f"the row of the run {row['run']} holds nothing to learn", "Make the data set again")
    return rows


def _trainer(weights: Path, rows: list[dict[str, Any]], held_out: list[dict[str, Any]], hyper: Hyper,
             arguments: dict[str, Any], callbacks: list[Any]) -> Any:
    from datasets import Dataset as Table
    from trl import SFTConfig, SFTTrainer

    model = bases.load_model(weights, bf16=uses_bf16(hyper))
    if hyper.packing and not apart(model):
        raise UsageError(f"{weights.name} cannot be trained with --packing: rows that stand end to end would see one "
                         "another in it", "Leave it out: they are padded then")
    return SFTTrainer(
        model=model,
        # Nothing is cut: rows that are too long were left out, and counted, when the data set was made.
        args=SFTConfig(**arguments, max_length=None, padding_free=hyper.packing),
        train_dataset=Table.from_list(rows), eval_dataset=Table.from_list(held_out) if held_out else None,
        processing_class=bases.load_tokenizer(weights), peft_config=lora(hyper), callbacks=callbacks,
    )


def apart(model: Any) -> bool:
    """Whether rows that stand end to end, told from one another by their positions alone, do not see one another.

    Asked of the model itself, for not every attention heeds positions: the last row has to come out the same whatever
    stands before it.
    """
    import torch

    rows = torch.arange(1, 9, device=model.device)
    before = [rows, rows.flip(0)]
    with torch.no_grad():
        one, other = (model(input_ids=torch.cat([first, rows])[None],
                            position_ids=torch.arange(len(rows), device=model.device).repeat(2)[None],
                            use_cache=False).logits[0, len(rows):] for first in before)
    return bool(torch.equal(one, other))
