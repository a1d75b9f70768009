"""Checkpoints that a kill, or a full disk, cannot spoil unnoticed, and the adapters in them."""

import errno
import hashlib
import json
import shutil
from pathlib import Path

from autorl.train import base as bases

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_WHOLE = "whole.json"


def last_whole(scratch: Path) -> Path | None:
    """The newest checkpoint that is whole; those that a kill or a disk spoiled are removed."""
    found = sorted(scratch.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for checkpoint in found:
        if _is_sealed(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def seal(checkpoint: Path) -> None:
    """Say that all of a checkpoint is written, and what it is."""
    hashes = {path.name: digest(path) for path in sorted(checkpoint.iterdir()) if path.is_file()
              and path.name != _WHOLE}
    (checkpoint / _WHOLE).write_text(json.dumps(hashes), encoding="utf-8")


def _is_sealed(checkpoint: Path) -> bool:
    try:
        hashes = json.loads((checkpoint / _WHOLE).read_text(encoding="utf-8"))
        return bool(hashes) and all(digest(checkpoint / name) == told for name, told in hashes.items())
    except (OSError, ValueError):
        return False


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def export(checkpoint: Path, to: Path, base: str) -> None:
    """The adapter of a checkpoint as a PEFT folder of its own, in 16 bits, whole or not at all."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {name: tensor.to(torch.float16).contiguous() for name, tensor in load_file(checkpoint / ADAPTER).items()}
    config = json.loads((checkpoint / CONFIG).read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = bases.published_name(base)
    config["target_modules"] = sorted(config["target_modules"] or ())
    made = to.with_name(f".{to.name}")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    save_file(tensors, made / ADAPTER, metadata={"format": "pt"})
    (made / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(to, ignore_errors=True)
    made.rename(to)


def disk_full(error: Exception) -> bool:
    """Files are written by several libraries, each with an error of its own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("os error 27", "os error 28", "no space left", "failed writing file"))
