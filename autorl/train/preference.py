"""What a policy should rather do: pairs of a run that passed and one that failed, of one task and one prompt.

Direct preference optimisation (Rafailov et al. 2023) over whole runs, or KTO (Ethayarajh et al. 2024) over the same
runs one by one, through TRL. As in fine-tuning, the tokens are made here: only the policy's own answers count, and what
stands before them is what was asked. Of the run that passed, steps that went wrong do not count; of the one that
failed, all do. Offline, the pairs are whatever the store has; online, they are the policy's own latest runs
(`Pairing.since`, `Pairing.runs`).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from autorl import formats
from autorl.errors import UsageError
from autorl.registry import Toolset
from autorl.replay.recall import shown_before
from autorl.replay.store import ReplayStore
from autorl.train import base as bases
from autorl.train import fit
from autorl.train.checkpoints import ADAPTER, digest
from autorl.train.dataset import Dataset, plain, usable, write
from autorl.train.fit import Job, Trained, Watch
from autorl.train.hyper import Hyper, draw, lora, split, uses_bf16
from autorl.train.pairs import Judged, Pairing, enough, pairs
from autorl.train.rendering import Renderer
from autorl.train.tokens import NO_LOSS, tokenise

HYPER = Hyper(learning_rate=5e-5, epochs=1)
"""Preferences take smaller steps than imitation."""


def make(store: ReplayStore, folder: Path, pairing: Pairing = Pairing(), *, tokenizer: Any,
         tools: Toolset | None = None) -> Dataset:
    """Write the pairs that `pairing` describes to `folder`, in TRL's form: `prompt`, `chosen`, `rejected`.

    tokenizer: of the model that is to be trained; tools: as for `dataset.make`
    Raises UsageError, and writes nothing, if there is no pair, or the folder holds something else.
    """
    usable(folder)
    renderer = Renderer(formats.load(pairing.format), tokenizer, tools)
    dropped: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    for passed, failed in pairs(store, pairing, dropped, same_prompt=True):
        row = _row(store, renderer, passed, failed, pairing)
        if isinstance(row, str):
            dropped[row] += 1
            continue
        rows.append(row)
        for judged in (passed, failed):
            runs[judged.run] = {"run": judged.run, "task": judged.task, "score": judged.score, "passed": judged.passed}
    enough(len(rows), store, dropped)
    return write(folder, rows, {
        "tasks": len({row["task"] for row in rows}), "dropped": dict(dropped), "settings": plain(pairing),
        "prompt_hash": renderer.format.prompt_hash, "runs": list(runs.values())})


def train(dataset: Dataset | Path, out: Path, *, base: str = "local", method: Literal["dpo", "kto"] = "dpo",
          hyper: Hyper = HYPER, beta: float = 0.1, start: Path | None = None, watch: Watch | None = None) -> Trained:
    """Train an adapter of `base` on pairs; `out` becomes its folder (see `fit.fit`).

    beta: how dearly it pays for leaving the reference
    start: the adapter (a PEFT folder) that is trained on, and is the reference; the bare base when None
    Raises MissingExtra without torch, UsageError for a data set without pairs.
    """
    weights = bases.torch_weights(base)
    found = dataset if isinstance(dataset, Dataset) else Dataset.read(dataset)
    if not found.rows or "chosen" not in found.rows[0]:
        raise UsageError(f"{found.folder} holds no pairs", "Make them: autorl train preference, without --dataset")
    tokenizer = bases.load_tokenizer(weights)
    rows, held_out = split([each for row in found.rows for each in _tokens(tokenizer, row, method, hyper)], hyper)
    if method == "kto" and hyper.at_once < 2:
        raise UsageError("KTO compares runs that go through the model together, and one at a time are none",
                         "Give it --at-once 2")

    def trainer(arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        return _trainer(method, beta, weights, start, rows, held_out, hyper, arguments, callbacks)

    about = {"beta": beta, "start": digest(start / ADAPTER) if start else None, "held_out_rows": len(held_out),
             "choice": found.manifest["settings"]}
    job = Job(method, base, weights, found.hash, len(rows), found.runs, hyper, trainer, about)
    return fit.fit(job, out, watch)


def _row(store: ReplayStore, renderer: Renderer, passed: Judged, failed: Judged,
         pairing: Pairing) -> dict[str, Any] | str:
    """A pair as a row, or why it is none."""
    sides = []
    for judged in (passed, failed):
        run = store.get(judged.run)
        tools = renderer.tools_of(run, fitting=judged.passed)
        if isinstance(tools, str):
            return tools
        exemplars = shown_before(store, run, tools.seeds)
        if len(exemplars) < len(run.recalled):
            return "shown an exemplar that is gone"
        sides.append(renderer.row(run, tools, exemplars, failed=not judged.passed,
                                  warning=str(run.provenance.recall.get("warning", ""))))
    one, other = sides
    if max(one["tokens"], other["tokens"]) > pairing.max_tokens:
        return f"longer than {pairing.max_tokens} tokens"
    if not one["learned"] or not other["learned"]:
        return "no step to learn from"
    asked = one["asked"]
    return {
        **({"tools": one["tools"]} if "tools" in one else {}), "prompt": one["messages"][:asked],
        "chosen": one["messages"][asked:], "rejected": other["messages"][asked:],
        "chosen_learned": one["learned"], "rejected_learned": other["learned"], "run": passed.run,
        "rejected_run": failed.run, "task": passed.task, "exemplars": one["exemplars"],
    }


def _tokens(tokenizer: Any, row: dict[str, Any], method: str, hyper: Hyper) -> list[tuple[str, dict[str, Any]]]:
    """A pair as one example by its task, or (KTO) as two."""
    sides = {}
    for side in ("chosen", "rejected"):
        tokens = tokenise(tokenizer, row["prompt"] + row[side], row[f"{side}_learned"], row.get("tools"))
        if len(tokens) != 1:
            raise UsageError("the chat template writes what is past differently, so that a run is no single text",
                             "Learn from single runs instead: autorl train sft")
        sides[side] = {"ids": tokens[0].ids, "own": [int(label != NO_LOSS) for label in tokens[0].labels]}
    if method == "dpo":
        return [(row["task"], sides)]
    return [(row["task"], {**sides[side], "label": side == "chosen", "draw": draw(hyper.seed, row["run"] + side).hex()})
            for side in ("chosen", "rejected")]


def _trainer(method: str, beta: float, weights: Path, start: Path | None, rows: list[dict[str, Any]],
             held_out: list[dict[str, Any]], hyper: Hyper, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
    from datasets import Dataset as Table
    from peft import PeftModel
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    model = bases.load_model(weights, bf16=uses_bf16(hyper))
    if start:
        model = PeftModel.from_pretrained(model, start, is_trainable=True)
        # By its public name, PEFT would ask the hub about it at every save.
        model.peft_config["default"].base_model_name_or_path = str(weights)
    tokenizer = bases.load_tokenizer(weights)
    shared = {**arguments, "beta": beta, "max_length": None, "remove_unused_columns": False}

    class OnTokens:
        """TRL turns messages into tokens by itself, and would count what was observed as answered: ours are made."""

        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    class Pairs(OnTokens, DPOTrainer):  # type: ignore[misc,unused-ignore]
        pass

    class Singles(OnTokens, KTOTrainer):  # type: ignore[misc,unused-ignore]
        pass

    if method == "kto":
        rows, held_out = (sorted(part, key=lambda row: str(row["draw"])) for part in (rows, held_out))
        # Its estimate of how far the policy went needs neighbours that stay neighbours.
        config: Any = KTOConfig(**shared, train_sampling_strategy="sequential")
    else:
        config = DPOConfig(**shared)
    return (Singles if method == "kto" else Pairs)(
        model=model, args=config, train_dataset=Table.from_list(rows),
        eval_dataset=Table.from_list(held_out) if held_out else None, processing_class=tokenizer,
        data_collator=_collate_singles if method == "kto" else _collate_pairs,
        peft_config=None if start else lora(hyper), callbacks=callbacks)


def _collate_pairs(examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As DPOTrainer wants a batch: all chosen, then all rejected."""
    return _padded([example[side] for side in ("chosen", "rejected") for example in examples])


def _collate_singles(examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As KTOTrainer wants a batch: also each prompt with the answers of its neighbour, to tell how far it went."""
    import torch

    moved = []
    for example, neighbour in zip(examples, [examples[-1], *examples[:-1]], strict=True):
        asked, answered = example["own"].index(1), neighbour["own"].index(1)
        moved.append({"ids": example["ids"][:asked] + neighbour["ids"][answered:],
                      "own": [0] * asked + neighbour["own"][answered:]})
    return {**_padded(examples), **{f"KL_{name}": value for name, value in _padded(moved).items()},
            "label": torch.tensor([example["label"] for example in examples])}


def _padded(examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def stack(rows: list[list[int]]) -> Any:
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)

    # Padded with token 0, which nothing looks at.
    return {"input_ids": stack([example["ids"] for example in examples]),
            "attention_mask": stack([[1] * len(example["ids"]) for example in examples]),
            "completion_mask": stack([example["own"] for example in examples])}
