"""What is kept of the episodes, and the table."""

import ast
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from peers.warehouse_play import Episode, Row
from store_recall import ICRL

from autorl.bench.statistics import Estimate, Runs, difference, mean, ratio

HERE = Path(__file__).resolve().parent
OURS = {"nothing": ("autorl, no store",), "learned": ("autorl, replay", "autorl, replay, guided"),
        "given": ("autorl, given", "autorl, given, no masks")}
"""What peers are set against: autorl as it is by default and, where that was measured, without what only it is told."""


def figures(rows: Sequence[Row], episodes: Sequence[Episode]) -> dict[str, dict[str, Any]]:
    """Success, tokens and deaths of every row, and by how much autorl is ahead of each peer of its block."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = _name(row.name)
        held_out = _held_out(row, episodes)
        if not held_out:
            continue
        found[f"{name}_success"] = _figure(mean(_runs(held_out, lambda e: e.success), share=True), "share of runs")
        found[f"{name}_tokens"] = _figure(mean(_runs(held_out, lambda e: e.tokens)), "tokens a run")
        found[f"{name}_success_per_1000_tokens"] = _figure(_worth(held_out), "successes a 1,000 tokens")
        found[f"{name}_seconds"] = _figure(mean(_runs(held_out, lambda e: e.seconds)), "s a run")
        found[f"{name}_died"] = _figure(mean(_runs(held_out, lambda e: e.end == "died"), share=True), "share of runs")
        for ours in (one for one in rows if one.name in OURS[row.block] and row.peer != "autorl"):
            ahead = difference(_runs(_held_out(ours, episodes), lambda e: e.success),
                               _runs(held_out, lambda e: e.success))
            learned = [e.success for e in episodes if e.row == ours.name and e.phase == "learn"]
            found[f"{_name(ours.name)}_minus_{name}"] = _figure(
                ahead, "share of runs, paired by task", goal=None if row.block == "nothing" else ">= 0.01",
                reason=f"{sum(learned)} of its {len(learned)} attempts to learn passed" if learned else None)
    return {name: figure for name, figure in found.items() if figure}


def table(rows: Sequence[Row], episodes: Sequence[Episode]) -> str:
    """One line a row, by block; Markdown."""
    lines = ["| block | framework | success | prompt tokens | written tokens | success / 1,000 tokens | s a run |"
             " died | no tool called | to learn, a seed: attempts, tokens, successes |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        if not (held_out := _held_out(row, episodes)):
            continue
        learning = [e for e in episodes if e.row == row.name and e.phase == "learn"]
        seeds = len({e.seed for e in held_out})
        worth = _worth(held_out)
        cells = [
            row.block, row.name, f"{sum(e.success for e in held_out)} of {len(held_out)}",
            f"{_mean(held_out, lambda e: e.prompt_tokens):,.0f}",
            f"{_mean(held_out, lambda e: e.completion_tokens):,.0f}",
            f"{worth.value:.3f}" if worth else "", f"{median(e.seconds for e in held_out):.1f}",
            f"{sum(e.end == 'died' for e in held_out)}", f"{sum(not e.calls for e in held_out)}",
            f"{len(learning) / seeds:.0f}, {sum(e.tokens for e in learning) / seeds:,.0f},"
            f" {sum(e.success for e in learning) / seeds:.0f}"
            if learning else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def used(rows: Sequence[Row]) -> str:
    """How each framework was used, as its runner says, and in which version; Markdown."""
    parts = []
    for peer in dict.fromkeys(row.peer for row in rows):
        told = ast.get_docstring(ast.parse((HERE / f"warehouse_{peer}.py").read_text("utf-8")))
        pins = HERE / f"requirements-{peer}.txt"
        wanted = [*pins.read_text("utf-8").split(), *(ICRL[-1:] if peer == "icrl" else [])] if pins.exists() else []
        parts.append("\n\n".join([str(told), *([f"({', '.join(wanted)})"] if wanted else [])]))
    return "\n\n".join(parts)


def _held_out(row: Row, episodes: Sequence[Episode]) -> list[Episode]:
    return [episode for episode in episodes if episode.row == row.name and episode.phase == "held-out"]


def _worth(episodes: Sequence[Episode]) -> Estimate | None:
    return ratio(_runs(episodes, lambda e: e.success), _runs(episodes, lambda e: e.tokens / 1000))


def _mean(episodes: Sequence[Episode], of: Callable[[Episode], float]) -> float:
    return sum(map(of, episodes)) / len(episodes)


def _runs(episodes: Sequence[Episode], of: Callable[[Episode], float]) -> Runs:
    runs: dict[str, list[float]] = defaultdict(list)
    for episode in episodes:
        runs[episode.task].append(float(of(episode)))
    return runs


def _figure(found: Estimate | None, unit: str, goal: str | None = None, reason: str | None = None
            ) -> dict[str, Any]:
    if found is None:
        return {}
    interval = None if found.low is None else [found.low, found.high]
    return {"value": found.value, "interval": interval, "n": found.n, "unit": unit, "goal": goal, "reason": reason}


def _name(row: str) -> str:
    """`DSPy ReAct, given` as `dspy_react_given`."""
    return "".join(letter if letter.isalnum() else "_" for letter in row.lower()).replace("__", "_")
