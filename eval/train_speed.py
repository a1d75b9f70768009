"""How fast `autorl train sft` trains, beside a bare script around TRL's SFTTrainer, on the same rows.

    python eval/train_speed.py [--rounds 3] [--rows 24] [--no-keep]

Both get the same weights, the same conversations (the slides pack's seeds), the same adapter, batches and number type,
and learn the assistant's messages alone; the bare script is given a chat template that marks them, which TRL asks for.
Each round is a process of its own for each of the two, in an order that alternates. What is timed goes from loading the
weights to the adapter on the disk: ours makes tokens and checks them, watches every step, and leaves checkpoints, a
model card and every epoch; the bare script saves its adapter. `ratio` is bare seconds over ours, the median of rounds.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kept import keep, show

MARKED = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}{% else %}{{ message['content'] }}<|im_end|>"
    "{% endif %}\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
EPOCHS, BATCH, RANK = 1, 4, 16


def ours(rows: Path, out: Path) -> None:
    from autorl.train import sft
    from autorl.train.hyper import Hyper

    sft.train(rows, out, hyper=Hyper(epochs=EPOCHS, batch=BATCH, rank=RANK, held_out=0))


def bare(rows: Path, out: Path) -> None:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from autorl.train.base import torch_weights

    folder = torch_weights("local")
    messages = [{"messages": json.loads(line)["messages"]} for line in (rows / "rows.jsonl").open()]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = MARKED
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16),
        args=SFTConfig(
            output_dir=str(out / "checkpoints"), num_train_epochs=EPOCHS, per_device_train_batch_size=1,
            gradient_accumulation_steps=BATCH, learning_rate=4e-4, max_length=None, assistant_only_loss=True, bf16=True,
            use_cpu=not torch.cuda.is_available(), gradient_checkpointing=False, report_to="none", save_strategy="no"),
        train_dataset=Dataset.from_list(messages), processing_class=tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainer.train()
    trainer.save_model(str(out))


def make_rows(folder: Path, count: int) -> dict[str, Any]:
    """The slides pack's seeds as a data set; each is there as often as it takes."""
    from autorl import content
    from autorl.replay.store import ReplayStore
    from autorl.train import dataset
    from autorl.train.base import load_tokenizer, torch_weights
    from autorl.types import Provenance, Status, Task, Trajectory, Verdict

    seeds = content.load_pack("slides").seeds
    assert seeds is not None
    runs = [Trajectory.model_validate_json(line) for line in seeds.read_text().splitlines() if line.strip()]
    store = ReplayStore(folder / "replay.db")
    store.add([runs[n % len(runs)].model_copy(update={
        "id": f"seed-{n:03}", "task": Task(text=f"{runs[n % len(runs)].task.text} ({n})"), "status": Status.FINISHED,
        "provenance": Provenance(format="react", settings={"tools": ["slides"]}),
        "verdict": Verdict(verifier="seed@1", passed=True, score=1.0)}) for n in range(count)])
    made = dataset.make(store, folder / "rows", dataset.Choice(exemplars=0), tokenizer=load_tokenizer(
        torch_weights("local")))
    store.close()
    return made.manifest


def measure(side: str, rows: Path) -> dict[str, float]:
    """One training in a process of its own: its seconds, and the most memory it took."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run([sys.executable, __file__, "--side", side, "--data", str(rows), "--out", out],
                              capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def one(side: str, rows: Path, out: Path) -> None:
    from autorl.train.base import need_torch

    need_torch()  # the same settings of threads for both
    import trl  # noqa: F401  # to import it takes as long for both, and says nothing of training

    started = time.monotonic()
    {"ours": ours, "bare": bare}[side](rows, out)
    print(json.dumps({"seconds": time.monotonic() - started,
                      "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--no-keep", action="store_true", help="print only")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.side:
        one(chosen.side, chosen.data, chosen.out)
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as scratch:
        about = make_rows(Path(scratch), chosen.rows)
        for number in range(chosen.rounds):
            for side in ("ours", "bare") if number % 2 == 0 else ("bare", "ours"):
                found[side].append(measure(side, Path(scratch) / "rows"))
                print(f"round {number + 1}  {side}  {found[side][-1]['seconds']:.1f} s", file=sys.stderr)
    ratios = [b["seconds"] / o["seconds"] for b, o in zip(found["bare"], found["ours"], strict=True)]
    seconds = statistics.median(each["seconds"] for each in found["ours"])
    figures = {
        "ratio": {"value": statistics.median(ratios), "unit": "times the speed of a bare SFTTrainer",
                  "n": len(ratios), "goal": ">= 0.95"},
        "tokens_per_second": {"value": EPOCHS * about["tokens"] / seconds, "unit": "tokens/s", "n": about["rows"],
                              "baseline": EPOCHS * about["tokens"] / statistics.median(
                                  each["seconds"] for each in found["bare"])},
        "rss_mb": {"value": max(each["rss_mb"] for each in found["ours"]), "unit": "MB",
                   "baseline": max(each["rss_mb"] for each in found["bare"])},
    }
    print(show(figures))
    if not chosen.no_keep:
        command = f"python eval/train_speed.py --rounds {chosen.rounds} --rows {chosen.rows}"
        print(f"Kept in {keep('train-speed', figures, command)}")


if __name__ == "__main__":
    main()
