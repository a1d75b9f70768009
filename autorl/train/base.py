"""The weights that training starts from, as a plain Hugging Face folder."""

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from autorl.errors import AutorlError, MissingExtra, ModelUnavailable, UsageError
from autorl.models import weights
from autorl.models.local import Local

EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""What the embedded model is called on the hub, for those who load an adapter elsewhere."""


def need_torch() -> None:
    """Raises MissingExtra unless what training takes is installed; has it behave, where it is not imported yet."""
    # Threads that wait for each other in a loop take the cores from whatever else runs: with another load on both of
    # two cores a step took ten times as long. And nothing is to be told to, or asked of, a server.
    for name, value in (("OMP_WAIT_POLICY", "PASSIVE"), ("HF_HUB_DISABLE_TELEMETRY", "1"),
                        ("TOKENIZERS_PARALLELISM", "false")):
        os.environ.setdefault(name, value)
    lacking = [name for name in ("torch", "transformers", "trl", "peft", "datasets") if find_spec(name) is None]
    if lacking:
        raise MissingExtra(f"training needs {', '.join(lacking)}", "pip install 'autorl-agent[train]'")


def torch_weights(model: str) -> Path:
    """The folder with the weights of `model`: config.json, safetensors, tokenizer, chat template.

    model: `local` or `local:FILE.gguf`, whose weights are dequantised once (to 32 bits, so that they are the numbers
        llama.cpp computes with) and kept in the user's cache; a folder; a model of the hub, as OWNER/NAME; `vllm:` and
        what vLLM serves
    Raises MissingExtra without torch, UsageError for what is no such model, ModelUnavailable.
    """
    need_torch()
    provider, _, rest = model.partition(":")
    if provider == "local":
        return _dequantised(Local(model).path)
    if provider == "openai":
        raise UsageError(f"'{model}' is behind an API, and its weights are not to be had",
                         "Train local, a folder, or a model of the hub: OWNER/NAME")
    name = rest if provider == "vllm" else model
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _checked(folder)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise UsageError(f"there is no model folder '{name}'", "Write local, a folder, or a hub model: OWNER/NAME")
    return _from_hub(name)


def published_name(model: str) -> str:
    """What others know the base `model` by, for the configuration of an adapter."""
    return EMBEDDED if model == "local" else model.removeprefix("vllm:")


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder of weights. Raises UsageError if it has no chat template or no end-of-turn token."""
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        raise UsageError(f"the tokenizer of {folder} has no chat template",
                         "Train a model made for chats (its name ends in -Instruct or -it, say)")
    if tokenizer.eos_token_id is None:
        raise UsageError(f"the tokenizer of {folder} has no end-of-turn token", "Train a model made for chats")
    return tokenizer


def load_model(folder: Path, *, bf16: bool) -> Any:
    """The causal language model of a folder, in 16 bits (bfloat16) or in 32."""
    import torch
    from transformers import AutoModelForCausalLM

    with quiet():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if bf16 else torch.float32)


def bf16_is_faster() -> bool:
    """Whether this machine has instructions for bfloat16; without them it is slower than 32 bits."""
    import torch

    return bool(torch.cuda.is_bf16_supported()) if torch.cuda.is_available() else any(
        getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers, and its warnings of what TRL itself asks it for: neither is news."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _dequantised(gguf: Path) -> Path:
    """The folder made from a GGUF file; made now if it is not there, and never half."""
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    embedded = digest == weights.SHA256
    shelf = (weights.location().parent if embedded else user_cache_path("autorl") / "models") / "torch"
    folder = shelf / f"{gguf.stem}-{digest[:12]}"
    if (folder / "config.json").is_file():
        return folder
    try:
        shelf.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=shelf) as scratch:
            made = Path(scratch) / "made"
            _convert(gguf, made)
            made.rename(folder)
    except OSError as error:
        if not (folder / "config.json").is_file():  # else another process was faster
            raise AutorlError(f"the weights of {gguf.name} could not be kept in {shelf}: {error}",
                              "They take four bytes a parameter: is there room?") from error
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet():
            source = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            # What was loaded from GGUF refuses to be saved: it counts as quantised, although it no longer is.
            settings = {k: v for k, v in source.config.to_dict().items() if k != "quantization_config"}
            plain = AutoModelForCausalLM.from_config(AutoConfig.for_model(**settings), dtype=torch.float32)
            plain.load_state_dict(source.state_dict())
            plain.tie_weights()
            plain.generation_config = source.generation_config
            plain.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except OSError:
        raise
    except Exception as error:
        raise ModelUnavailable(f"transformers cannot read {gguf}: {type(error).__name__}: {error}",
                               "Train from the model's own folder instead, which has safetensors") from error


def _checked(folder: Path) -> Path:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise UsageError(f"{folder} holds an adapter, not a model", "Name the model that it was trained from")
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} holds no model: there is no config.json in it")
    if not any(folder.glob("*.safetensors")):
        raise UsageError(f"{folder} holds no safetensors", "Other files of weights may run code when they are read: "
                         "convert them, or take the model from the hub again")
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return _checked(Path(snapshot_download(
            name, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model"])))
    except (UsageError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ModelUnavailable(f"the hub did not give {name}: {type(error).__name__}: {error}",
                               "Are you online, and is it spelled OWNER/NAME?") from error


def room_for(folder: Path, needed: int) -> None:
    """Raises AutorlError unless `needed` bytes can be written at `folder`."""
    here = folder
    while not here.exists():
        here = here.parent
    free = shutil.disk_usage(here).free
    if free < needed:
        raise AutorlError(f"{folder} needs {needed / 1e6:.0f} MB and the disk has {free / 1e6:.0f} MB left",
                          "Make room, or name a folder on another disk with --out")
