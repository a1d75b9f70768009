"""What a task means, as a vector: the embedded model is WordLlama (256 dimensions, no network)."""

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAME = "wordllama-l2-256"
DIMENSIONS = 256

_lock = threading.Lock()
_model: Any = None


def embed(texts: list[str]) -> "np.ndarray[Any, Any]":
    """One row of float32 and length 1 for each text; a text without any known word gives zeros."""
    import numpy as np

    vectors: np.ndarray[Any, Any] = np.asarray(_load().embed(texts), dtype="<f4").reshape(len(texts), DIMENSIONS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 1e-9, lengths, 1.0)
    return vectors


def _load() -> Any:
    global _model
    with _lock:
        if _model is None:
            root = logging.getLogger()
            handlers, level = root.handlers[:], root.level
            import wordllama

            # Its import turns on logging for the whole program; that is for the program to decide.
            root.handlers[:], root.level = handlers, level
            folder = Path(wordllama.__file__).parent
            _model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        return _model
