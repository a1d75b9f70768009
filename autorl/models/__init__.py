"""Backends by name: `local`, `openai:NAME`, `vllm:NAME`, `recorded:FILE`, `scripted:FILE`."""

from autorl.errors import UnknownName, UsageError
from autorl.models.base import Completion, Model, Request

PROVIDERS = {
    "local": "the embedded 135M model; local:PATH.gguf or local:hf:REPO/FILE for another",
    "openai": "an OpenAI-compatible server: openai:NAME, with --base-url for any but api.openai.com",
    "vllm": "a vLLM server: vllm:NAME, at http://127.0.0.1:8000/v1 unless --base-url says otherwise",
    "scripted": "answers from a file, a JSON string a line, in order",
    "recorded": "answers recorded before, from a file",
}

__all__ = ["PROVIDERS", "Completion", "Model", "Request", "load"]


def load(name: str, *, base_url: str | None = None) -> Model:
    """The backend for `provider:model`.

    base_url: of an OpenAI-compatible server.
    Raises UnknownName for a provider there is none of, UsageError for a name that lacks its model.
    """
    provider, _, rest = name.partition(":")
    if provider == "local":
        from autorl.models.local import Local

        return Local.shared(name)
    if provider not in PROVIDERS:
        raise UnknownName("model provider", provider, PROVIDERS, "Write provider:model, such as openai:gpt-5-mini.")
    if not rest:
        raise UsageError(f"the model '{name}' names no model", f"Write {provider}:NAME, {PROVIDERS[provider]}")
    if provider == "scripted":
        from autorl.models.scripted import Scripted

        return Scripted.read(rest)
    if provider == "recorded":
        from autorl.models.recorded import Recorded

        return Recorded(rest)
    from autorl.models.openai import OpenAIServer

    if provider == "vllm":
        return OpenAIServer(rest, base_url=base_url or "http://127.0.0.1:8000/v1", name=name, vllm=True)
    return OpenAIServer(rest, base_url=base_url, name=name)
