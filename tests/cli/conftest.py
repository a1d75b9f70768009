"""Runs the command line as a user does: in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

DECK = [
    'Thought: I need 3 slides; the title slide is the first.\nAction: start_deck\n'
    'Action Input: {"title": "Honey Bees", "subtitle": "Small workers"}',
    'Thought: That is 1 of 3 slides.\nAction: add_slide\nAction Input: {"title": "Life in the hive", '
    '"bullets": ["Honey bees live in a hive with one queen", "Worker bees build the comb from wax"]}',
    'Thought: That is 2 of 3 slides.\nAction: add_slide\nAction Input: {"title": "Why bees matter", '
    '"bullets": ["They carry pollen from flower to flower", "Farmers need honey bees for fruit"]}',
    "Thought: That is 3 of 3 slides.\nAction: save_deck\nAction Input: {}",
]
TASK = "Make a three-slide deck about honey bees"

Autorl = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def autorl() -> Autorl:
    def run(*words: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-m", "autorl", *words], input=stdin, capture_output=True, text=True,
                              env={**os.environ, **environment}, timeout=300, check=False)

    return run


@pytest.fixture
def script(tmp_path: Path) -> Callable[[Sequence[str]], str]:
    """Writes a script and gives the name of the model that speaks it."""

    def write(answers: Sequence[str]) -> str:
        path = tmp_path / "script.jsonl"
        path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
        return f"scripted:{path}"

    return write
