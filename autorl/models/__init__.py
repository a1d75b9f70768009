"""Backends by name: `local`, `openai:NAME`, `vllm:NAME`, `recorded:FILE`, `scripted:FILE`."""

from autorl.errors import UnknownName, UsageError
from autorl.models.base import Completion, Model, Request

PROVIDERS = {
    "local": "the embedded 135M model; local:PATH.gguf or local:hf:REPO/FILE for another",
    "openai": "an OpenAI-compatible server: openai:NAME, with --base-url for any but api.openai.com",
    "vllm": "vLLM: vllm:NAME, as `autorl serve vllm` started it, else at --base-url or http://127.0.0.1:8000/v1",
    "scripted": "answers from a file, a JSON string a line, in order",
    "recorded": "answers recorded before, from a file",
}

__all__ = ["PROVIDERS", "Completion", "Model", "Request", "load"]


def load(name: str, *, base_url: str | None = None) -> Model:
    """The backend for `provider:model`, or for a policy of the embedded or another local model: `local+policy@HASH`.

    base_url: of an OpenAI-compatible server, or of several that serve the same model, with commas in between.
    Raises UnknownName for a provider there is none of, UsageError for a name that lacks its model.
    """
    provider, _, rest = name.partition(":")
    if provider.partition("+policy@")[0] == "local":
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
    urls = [url.strip() for url in (base_url or "").split(",") if url.strip()]
    if provider == "vllm":
        return _vllm(rest, urls)
    from autorl.models.openai import OpenAIServer
    from autorl.models.pool import Pool

    where: list[str | None] = [*urls] or [None]
    return Pool([OpenAIServer(rest, base_url=url, name=name, attempts=1) for url in where])


def _vllm(name: str, urls: list[str]) -> Model:
    """At these URLs, or where `autorl serve vllm` left word of it, or on vLLM's own port."""
    from autorl import settings
    from autorl.models import serving
    from autorl.models.local import policies_folder, split
    from autorl.models.vllm import DEFAULT_URL, VLLM, Adapter

    base, policy = split(name)
    words = [] if urls else serving.find(base)
    adapter = Adapter(policy, policies_folder() / policy) if policy else None
    return VLLM(base, urls or [word.url for word in words] or [DEFAULT_URL], tenant=settings.resolve().tenant,
                adapter=adapter, tool_calls=all(word.tool_calls for word in words))
