"""Keeps what the scripts of this folder measure in eval/results/; `autorl.bench.kept` says in what form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autorl.bench import kept
from autorl.bench.kept import meets, show

__all__ = ["RESULTS", "keep", "meets", "show"]

RESULTS = Path(__file__).resolve().parent / "results"


def keep(name: str, figures: Mapping[str, Mapping[str, Any]], command: str) -> Path:
    """Put `figures` into eval/results/NAME.json; see `autorl.bench.kept.keep`."""
    return kept.keep(name, figures, command, RESULTS)
