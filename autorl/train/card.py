"""What a trained adapter tells people: a model card, and its losses as a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

_KINDS = {
    "sft": "fine-tuned on its own verified successes (rejection sampling)",
    "dpo": "trained to prefer runs that passed to runs that failed, of the same task (DPO)",
    "kto": "trained on runs marked as passed or failed (KTO)",
    "reward": "trained to tell runs that passed from runs that failed, of the same task (Bradley-Terry)",
}
WIDTH, HEIGHT, EDGE = 480, 240, 36


def card(about: Mapping[str, Any], base: str) -> str:
    """The model card (README.md) of a training, from its training.json. base: as the hub names it."""
    hyper = about["hyper"]
    settings = "\n".join(f"- {name}: {value}" for name, value in hyper.items() if value is not None)
    held_out = f"{about['held_out_losses'][about['best_epoch'] - 1][1]:.4f}" if about["held_out_losses"] else "none"
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"""---
base_model: {base}
library_name: peft
tags: [autorl, lora, {about["kind"]}]
---
# An adapter for {base}

A LoRA adapter, {_KINDS[about["kind"]]}, made by autorl.

- learned from: {about["rows"]} rows of {len(set(about["runs"]))} runs; data set {about["dataset"][:16]}
- the runs are named in `training.json`; none of them read what came from outside
- epoch kept: {about["best_epoch"]} of {about["epochs"]}; held-out loss: {held_out}
- took {about["seconds"]:.0f} s; weights in 16 bits; {versions}

![loss](curve.svg)

It is meant for prompts as autorl writes them, and knows nothing of tasks unlike those it was trained on.

## Settings

{settings}
"""


def curve(losses: Sequence[tuple[int, float]], held_out: Sequence[tuple[int, float]]) -> str:
    """The losses as an SVG picture: of each step a line, held-out a dot an epoch."""
    points = [*losses, *held_out]
    if not points:
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"/>\n'
    last, top = max(step for step, _ in points), max(loss for _, loss in points) or 1.0

    def at(step: int, loss: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * step / max(last, 1)
        return f"{x:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * loss / top:.1f}"

    line = " ".join(at(*point) for point in losses)
    dots = "".join('<circle cx="{}" cy="{}" r="4" fill="#c2410c"/>'.format(*at(*point).split(","))
                   for point in held_out)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" \
font-size="11">
<rect width="100%" height="100%" fill="white"/>
<path d="M{EDGE} {EDGE}V{HEIGHT - EDGE}H{WIDTH - EDGE}" fill="none" stroke="#888"/>
<polyline points="{line}" fill="none" stroke="#1d4ed8" stroke-width="1.5"/>{dots}
<text x="4" y="{EDGE}">{top:.2f}</text><text x="4" y="{HEIGHT - EDGE}">0</text>
<text x="{WIDTH - EDGE}" y="{HEIGHT - EDGE + 16}" text-anchor="end">step {last}</text>
<text x="{EDGE + 8}" y="{EDGE - 12}">loss (line) and held-out loss (dots)</text>
</svg>
"""
