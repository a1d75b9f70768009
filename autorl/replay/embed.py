"""What a task means, as a vector: by the embedded model (WordLlama, no network), or by an endpoint of the user's."""

import logging
import re
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from autorl.errors import ModelUnavailable, UsageError

if TYPE_CHECKING:
    import numpy as np

EMBEDDED = "wordllama"
LONGEST = 8_000
"""Characters of a text that an endpoint is given."""
_PLAIN = re.compile(r"[A-Za-z0-9._/@+-]{1,64}")


class Embedder(Protocol):
    """Makes vectors of texts.

    name: under which its vectors are kept; vectors of different names are never compared
    dimensions: of its vectors; None until it has made one
    batch: texts that it takes in one call
    """

    name: str
    dimensions: int | None
    batch: int

    def embed(self, texts: list[str]) -> "np.ndarray[Any, Any]":
        """One row of float32 and length 1 for each text; a text that says nothing to it gives zeros.

        Raises ModelUnavailable.
        """
        ...


def load(name: str = EMBEDDED, base_url: str | None = None) -> Embedder:
    """The embedder `wordllama`, or `openai:MODEL` at an OpenAI-compatible `base_url`. Raises UsageError."""
    provider, _, model = name.partition(":")
    if name == EMBEDDED:
        return _embedded()
    if provider == "openai" and model:
        return Endpoint(model, base_url)
    raise UsageError(f"there is no embedder '{name}'", f"Use {EMBEDDED}, or openai:MODEL with a server for embeddings")


def plain(name: str) -> str:
    """The name of an embedder as it is kept. Raises UsageError for one that cannot be."""
    if not _PLAIN.fullmatch(name):
        raise UsageError(f"the embedder's name {name[:80]!r} cannot be kept",
                         "Use at most 64 letters, digits and . _ / @ + -")
    return name


class WordLlama:
    """The embedded model: some 10 microseconds a text. It tells topics apart, no more."""

    name = "wordllama-l2-256"
    dimensions: int | None = 256
    batch = 500

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Any = None

    def embed(self, texts: list[str]) -> "np.ndarray[Any, Any]":
        return _of_length_one(self._load().embed(texts), len(texts))

    def _load(self) -> Any:
        with self._lock:
            if self._model is None:
                # Its import turns on logging for the whole program where nobody has; that is for the program to decide.
                somebody = logging.NullHandler()
                logging.root.addHandler(somebody)
                import wordllama

                logging.root.removeHandler(somebody)
                folder = Path(wordllama.__file__).parent
                self._model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
            return self._model


class Endpoint:
    """A model behind an OpenAI-compatible endpoint for embeddings; its key is OPENAI_API_KEY."""

    batch = 64

    def __init__(self, model: str, base_url: str | None = None) -> None:
        self.name = plain(model)
        self.dimensions: int | None = None
        self._base_url = base_url

    def embed(self, texts: list[str]) -> "np.ndarray[Any, Any]":
        import openai

        where = self._base_url or "OpenAI's endpoint"
        try:
            answer = self._client.embeddings.create(model=self.name, input=[text[:LONGEST] or " " for text in texts])
            rows = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
            made = _of_length_one(rows, len(texts))
        except (openai.OpenAIError, ValueError, AttributeError, TypeError) as error:  # the SDK checks little itself
            raise ModelUnavailable(f"no embeddings by '{self.name}' could be had from {where}: {error}",
                                   "Is it up, and the key and the name right? The settings are embedder and "
                                   "embedder_url") from error
        self.dimensions = made.shape[1]
        return made

    @property
    def _client(self) -> Any:
        return _client(self._base_url)


@cache
def _embedded() -> WordLlama:
    return WordLlama()


@cache
def _client(base_url: str | None) -> Any:
    import os

    import openai

    # A server of one's own often wants no key, and the SDK insists on one.
    key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else None)
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=2, timeout=30)


def _of_length_one(rows: Any, count: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    vectors: np.ndarray[Any, Any] = np.array(rows, dtype="<f4")
    if vectors.ndim != 2 or len(vectors) != count or not vectors.shape[1]:
        raise ValueError(f"{count} texts gave numbers of the shape {vectors.shape}")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        vectors = np.nan_to_num(vectors, posinf=0, neginf=0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 1e-9, lengths, 1.0)
    return vectors
