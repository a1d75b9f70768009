"""PEFT folders as a trainer leaves them, of a model so small that they are made in no time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CONFIG = {
    "model_type": "llama", "hidden_size": 12, "intermediate_size": 20, "num_attention_heads": 3,
    "num_key_value_heads": 1, "num_hidden_layers": 2,
}
LAYERS = {
    "self_attn.q_proj": (12, 12), "self_attn.k_proj": (4, 12), "self_attn.v_proj": (4, 12),
    "self_attn.o_proj": (12, 12), "mlp.gate_proj": (20, 12), "mlp.up_proj": (20, 12), "mlp.down_proj": (12, 20),
}
"""Outputs and inputs of each linear layer."""
PLAIN = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "use_dora": False, "use_rslora": False}
Matrices = dict[str, Any]


def base(folder: Path) -> Path:
    """The folder of the tiny model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def matrices(seed: int = 0, rank: int = 2) -> Matrices:
    draw = np.random.default_rng(seed)
    return {
        f"base_model.model.model.layers.{block}.{layer}.lora_{half}.weight":
            draw.normal(size=(rank, inputs) if half == "A" else (outputs, rank)).astype(np.float16).astype(np.float32)
        for block in range(2) for layer, (outputs, inputs) in LAYERS.items() for half in "AB"
    }


def adapter(folder: Path, change: Callable[[Matrices], Any] = lambda _: None, *, seed: int = 0,
            training: dict[str, Any] | None = None, **config: Any) -> Path:
    """An adapter of it; `change` may change the matrices, `config` what is said of them."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    held = matrices(seed)
    change(held)
    save_file(held, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({**PLAIN, **config}))
    if training is not None:
        (folder / "training.json").write_text(json.dumps(training))
    return folder
