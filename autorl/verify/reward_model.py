"""A reward model as a verifier: it was trained to tell runs that passed from runs that failed, of the same task.

What it gives is only an order of runs of one task (Bradley-Terry, as in Christiano et al. 2017). So it picks the best
of several attempts at a task, and it judges where a task has no verifier of its own; it is never used to choose between
runs of different tasks, of which its numbers say nothing.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp
from pathlib import Path
from typing import Any

from autorl.errors import UsageError
from autorl.types import Exemplar, Task, Trajectory, Verdict
from autorl.workspace import Workspace

NOTES = "reward.json"


def as_text(trajectory: Trajectory) -> str:
    """A run as the reward model reads it: the task, what was done, and what came of it."""
    lines = [f"Task: {trajectory.task.text}"]
    for step in trajectory.steps:
        did = f"{step.action.name} {json.dumps(step.action.arguments, ensure_ascii=False)}" if step.action else step.raw
        lines += [f"Action: {did}", f"Result: {step.observation.text if step.observation else ''}"]
    return "\n".join([*lines, f"End: {trajectory.status}"])


@dataclass(frozen=True)
class RewardModel:
    """The adapter in `folder` on the model in `weights` (a Hugging Face folder).

    Raises UsageError for a folder that holds no reward model, or one that did no better than chance on the pairs that
    were held out of its training: such a vote is worth nothing.
    """

    folder: Path
    weights: Path
    name = "reward"
    version = 1

    def __post_init__(self) -> None:
        notes = self._notes
        if notes["interval"][0] <= 0.5:
            low, high = notes["interval"]
            raise UsageError(
                f"the reward model in {self.folder} ordered {notes['accuracy']:.0%} of {notes['pairs']} held-out pairs "
                f"rightly (95 %: {low:.0%} to {high:.0%}), which may be chance",
                "Train it on more runs: autorl collect, then autorl train reward")

    def reward(self, trajectory: Trajectory) -> float:
        """How good a run is, on a scale that means something among runs of the same task only."""
        return self._reward(trajectory)[0]

    def _reward(self, trajectory: Trajectory) -> tuple[float, int]:
        """The reward, and how many tokens of the run were left out."""
        import torch

        model, tokenizer = self._model
        ids, left_out = tokens(tokenizer, trajectory, self._notes["max_tokens"])
        with _one_at_a_time, torch.no_grad():
            return float(model(input_ids=torch.tensor([ids], device=model.device)).logits[0, 0]), left_out

    def best(self, attempts: Sequence[Trajectory]) -> Trajectory:
        """The best of several runs of one task. Raises UsageError if they are not of one."""
        if len({attempt.task.id for attempt in attempts}) != 1:
            raise UsageError("a reward model orders runs of one task only", "Give it the attempts at one task")
        return max(attempts, key=self.reward)

    def __call__(self, task: Task, trajectory: Trajectory, workspace: Workspace,
                 exemplars: Sequence[Exemplar] = ()) -> Verdict:
        """How likely it is that the run passes: its reward against what passed and failed runs got in training."""
        reward, left_out = self._reward(trajectory)
        score = 1 / (1 + exp(-max(-30.0, min(30.0, reward - self._notes["middle"]))))
        return Verdict(verifier=f"{self.name}@{self._notes['dataset'][:8]}", passed=score >= 0.5, score=score,
                       why=f"reward {reward:.2f}; {self._notes['middle']:.2f} lies between what passed and what failed"
                           + (f"; {left_out} tokens of its middle were not read" if left_out else ""),
                       strict=False)

    @cached_property
    def _notes(self) -> dict[str, Any]:
        try:
            notes: dict[str, Any] = json.loads((self.folder / NOTES).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.folder} holds no reward model: {error}",
                             "Train one: autorl train reward") from error
        return notes

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        return load(self.weights, self.folder)


def tokens(tokenizer: Any, trajectory: Trajectory, most: int) -> tuple[list[int], int]:
    """A run as tokens, `most` at most; of a long one the middle is left out, and returned how much of it."""
    ids: list[int] = tokenizer(as_text(trajectory), add_special_tokens=False)["input_ids"]
    left_out = max(0, len(ids) - (most - 1))
    if left_out:
        begin = (most - 1) // 2
        ids = ids[:begin] + ids[begin + left_out :]
    return [*ids, tokenizer.eos_token_id], left_out


def load(weights: Path, adapter: Path) -> tuple[Any, Any]:
    """A trained reward model and its tokenizer."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # it would warn that the head is not in the weights: it is in the adapter
    tokenizer = AutoTokenizer.from_pretrained(weights)
    base = AutoModelForSequenceClassification.from_pretrained(weights, num_labels=1, dtype=torch.float32)
    logging.set_verbosity(level)
    base.config.pad_token_id = tokenizer.pad_token_id
    model = PeftModel.from_pretrained(base, adapter)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


_one_at_a_time = threading.Lock()
"""Torch already uses every core for one."""
