"""LoRA adapters: a PEFT folder checked before it is used, and the same adapter as the GGUF file that llama.cpp loads.

LoRA (Hu et al. 2021) adds B A x * alpha / rank to what a linear layer gives for x. PEFT keeps A and B of each layer in
`adapter_model.safetensors`, and alpha and rank in `adapter_config.json`; llama.cpp keeps all of it in one GGUF file.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autorl.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import numpy as np

    Matrix = np.ndarray[Any, np.dtype[np.float32]]

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_NAME = re.compile(r"base_model\.model\.(model\.layers\.(\d+)\.\w+\.(\w+))\.lora_([AB])\.weight")
_LAYERS = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
    "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
}
"""A linear layer of the Llama architecture: its name in PEFT, and in GGUF."""
_PLAIN = ("use_dora", "lora_bias", "fan_in_fan_out", "modules_to_save", "rank_pattern", "alpha_pattern",
          "layer_replication", "target_parameters", "trainable_token_indices")
"""Ways to make an adapter more than B A x, none of which llama.cpp takes: each must be off."""


@dataclass(frozen=True)
class Pair:
    """What is added to one linear layer. a: rank x inputs; b: outputs x rank"""

    block: int
    layer: str
    a: "Matrix"
    b: "Matrix"


@dataclass(frozen=True)
class Adapter:
    """A PEFT folder that was read whole.

    scale: what B A x is multiplied with; pairs: one for each adapted layer, in the order of their names
    """

    folder: Path
    rank: int
    scale: float
    pairs: tuple[Pair, ...]

    @cached_property
    def sha256(self) -> str:
        """Of all that it computes: the same for the same matrices and scale, however their file is laid out."""
        digest = hashlib.sha256(f"{self.rank} {self.scale!r}".encode())
        for pair in self.pairs:
            digest.update(f"{pair.block} {pair.layer}".encode())
            for matrix in (pair.a, pair.b):
                digest.update(repr(matrix.shape).encode() + matrix.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Base:
    """What an adapter must know of its model. shapes: (outputs, inputs) of each linear layer of a block, by its name"""

    name: str
    blocks: int
    heads: int
    kv_heads: int
    shapes: dict[str, tuple[int, int]]


def read(folder: Path) -> Adapter:
    """The adapter in a PEFT folder.

    Raises UsageError, which names the file, for one that is missing, cut off or damaged, for weights that are no
    numbers, for pickled weights (they run code when they are loaded), and for what is more than plain LoRA.
    """
    rank, scale = _config(folder / CONFIG)
    path = folder / WEIGHTS
    if not path.is_file():
        pickled = next(iter(sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt"))), None)
        if pickled:
            raise UsageError(f"{pickled} is a pickle, which can run any code when it is loaded",
                             "Save the adapter again with PEFT's save_pretrained, which writes safetensors")
        raise UsageError(f"there is no {WEIGHTS} in {folder}", "Name the folder that PEFT's save_pretrained wrote")
    found: dict[tuple[int, str], dict[str, Matrix]] = {}
    for name, matrix in _matrices(path):
        match = _NAME.fullmatch(name)
        if match is None or match[3] not in _LAYERS:
            raise UsageError(f"{path} adapts '{name}', which no linear layer of a Llama model is",
                             f"Train it on {', '.join(_LAYERS)} only")
        found.setdefault((int(match[2]), match[3]), {})[match[4]] = matrix
    pairs = []
    for (block, layer), pair in sorted(found.items()):
        if len(pair) != 2 or pair["A"].shape[0] != rank or pair["B"].shape[1] != rank:
            shapes = {name: matrix.shape for name, matrix in pair.items()}
            raise UsageError(f"{path}: block {block}, {layer} has {shapes}, which is no pair of rank {rank}")
        pairs.append(Pair(block, layer, pair["A"], pair["B"]))
    if not pairs:
        raise UsageError(f"{path} holds no adapter: it has no matrices")
    return Adapter(folder, rank, scale, tuple(pairs))


def base_of(folder: Path) -> Base:
    """The model in a Hugging Face folder, from its config.json.

    Raises UsageError if there is none, or it is not of the Llama architecture, the only one whose adapters are known.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, hidden, inner = config["model_type"], int(config["hidden_size"]), int(config["intermediate_size"])
        heads = int(config["num_attention_heads"])
        kv_heads, wide = int(config.get("num_key_value_heads") or heads), int(config.get("head_dim") or hidden // heads)
        blocks = int(config["num_hidden_layers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not describe a language model: {error!r}") from error
    if kind != "llama":
        raise UsageError(f"{folder} is of the architecture '{kind}', whose adapters cannot be run",
                         "Use a model of the Llama architecture, such as the embedded one")
    keys = (kv_heads * wide, hidden)
    shapes = {"q_proj": (heads * wide, hidden), "k_proj": keys, "v_proj": keys, "o_proj": (hidden, heads * wide),
              "gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}
    return Base(folder.name, blocks, heads, kv_heads, shapes)


def check(adapter: Adapter, base: Base) -> None:
    """Raises UsageError if `adapter` does not fit `base`, naming the first layer that does not."""
    for pair in adapter.pairs:
        there, shape = base.shapes[pair.layer], (pair.b.shape[0], pair.a.shape[1])
        if pair.block >= base.blocks or shape != there:
            has = f"{there[0]} x {there[1]}" if pair.block < base.blocks else f"{base.blocks} blocks"
            raise UsageError(f"the adapter in {adapter.folder} is for another model: its {pair.layer} of block "
                             f"{pair.block} is {shape[0]} x {shape[1]}, and {base.name} has {has}",
                             "Train one on this model, or name the model that it was trained on")


def to_gguf(adapter: Adapter, base: Base, out: Path) -> None:
    """Write `adapter` in llama.cpp's layout, in half precision, all of it or nothing.

    Raises UsageError if it is for another model than `base`; MissingExtra; OSError when the disk is full.
    """
    check(adapter, base)
    gguf = _gguf()
    import numpy as np

    part = out.with_name(f".{out.name}.part")
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.scale * adapter.rank)
    for pair in adapter.pairs:
        name = f"blk.{pair.block}.{_LAYERS[pair.layer]}.weight"
        heads = {"q_proj": base.heads, "k_proj": base.kv_heads}.get(pair.layer)
        b = _interleaved(pair.b, heads) if heads else pair.b
        writer.add_tensor(f"{name}.lora_a", pair.a.astype(np.float16))
        writer.add_tensor(f"{name}.lora_b", b.astype(np.float16))
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _interleaved(b: "Matrix", heads: int) -> "Matrix":
    """The rows of each head in the order in which llama.cpp rotates them.

    A rotary embedding turns pairs of rows. Hugging Face's Llama pairs row i of a head with row i + half of it;
    llama.cpp's pairs neighbours, so its files have the rows of the query and key layers, and of what is added to
    them, in that order.
    """
    rows, rank = b.shape
    return b.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank)


def _config(path: Path) -> tuple[int, float]:
    """Rank and scale."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, rank, alpha = config["peft_type"], int(config["r"]), float(config["lora_alpha"])
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}",
                         "Name the folder that PEFT's save_pretrained wrote") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not describe a LoRA adapter: {error!r}") from error
    more = [name for name in _PLAIN if config.get(name)]
    if kind != "LORA" or more or config.get("bias", "none") != "none" or rank < 1:
        said = ", ".join(f"{name} = {config[name]!r}" for name in ("peft_type", "bias", "r", *more) if name in config)
        raise UsageError(f"{path} is not plain LoRA ({said}), and no other kind can be run", "Train it as plain LoRA")
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _matrices(path: Path) -> Iterator[tuple[str, "Matrix"]]:
    """The matrices of a safetensors file, by name, as float32."""
    import numpy as np

    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise MissingExtra("adapters need safetensors", "pip install 'autorl-agent[train]'") from error
    try:
        stored = deserialize(path.read_bytes())  # type: ignore[no-untyped-call,unused-ignore]
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged or cut off: {error}",
                         "Copy it again from where it was made, or train it again") from error
    for name, tensor in sorted(stored):
        raw, kind = tensor["data"], tensor["dtype"]
        if kind == "BF16":  # the upper half of a float32
            flat = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        elif kind in ("F16", "F32"):
            flat = np.frombuffer(raw, {"F16": "<f2", "F32": "<f4"}[kind]).astype("<f4")
        else:
            raise UsageError(f"{path}: '{name}' is of type {kind}, expected F32, F16 or BF16")
        if len(tensor["shape"]) != 2 or not np.isfinite(flat).all():
            what = "no matrix" if len(tensor["shape"]) != 2 else "not all numbers (NaN or infinite)"
            raise UsageError(f"{path}: '{name}' is {what}", "Train it again, at a lower rate if its loss was no number")
        yield name, flat.reshape(tensor["shape"])


def _gguf() -> Any:
    try:
        import gguf
    except ImportError as error:
        raise MissingExtra("adapters for llama.cpp need gguf", "pip install 'autorl-agent[train]'") from error
    return gguf
