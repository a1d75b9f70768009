"""The embedded model's weights for torch, made once, and its tokenizer."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autorl.models import weights
from autorl.train import base
from tests import needs


@pytest.fixture(scope="session")
def torch_weights() -> Path:
    lacking = [name for name in ("torch", "transformers", "trl", "peft", "datasets") if find_spec(name) is None]
    needs.require(not lacking, "what training takes", "pip install 'autorl-agent[train]'")
    needs.require(weights.location().is_file(), "embedded weights", "autorl models fetch")
    return base.torch_weights("local")


@pytest.fixture(scope="session")
def tokenizer(torch_weights: Path) -> Any:
    return base.load_tokenizer(torch_weights)
