"""vLLM (0.32 or later): an OpenAI-compatible server that also takes grammars, gives token ids, and swaps adapters."""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from autorl.errors import ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Request
from autorl.models.openai import OpenAIServer, UnknownModel
from autorl.models.pool import Pool

DEFAULT_URL = "http://127.0.0.1:8000/v1"


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: the name it is served under, which stays its own for ever, and its PEFT folder."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Counters:
    """What a server counts of itself: tokens of prompts since it started, those of them taken from its prefix cache,
    requests that it works on, and requests that wait."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    running: int = 0
    waiting: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of the prompts that was not computed again, 0..1."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class Server(OpenAIServer):
    """The model `model` of one vLLM server, or an adapter of it.

    tenant: whose prompts these are; those of different tenants share nothing in the prefix cache
    """

    capabilities = Capabilities(grammar=True, json_schema=True, tool_calls=True, logprobs=True, token_ids=True,
                                repetition=True)

    def __init__(self, model: str, *, base_url: str, attempts: int = 1, tenant: str | None = None,
                 adapter: Adapter | None = None) -> None:
        name = f"vllm:{model}+{adapter.name}" if adapter else f"vllm:{model}"
        super().__init__(adapter.name if adapter else model, base_url=base_url, name=name, attempts=attempts)
        self.base, self.adapter, self.tenant = model, adapter, tenant

    def with_adapter(self, adapter: Adapter) -> "Server":
        assert self.base_url
        return Server(self.base, base_url=self.base_url, tenant=self.tenant, adapter=adapter)

    @property
    def context_tokens(self) -> int | None:
        """What the server says of itself, or None."""
        return getattr(self._card, "max_model_len", None)

    @cached_property
    def _card(self) -> Any:
        """What the server tells of its base model; None if it does not know it, or cannot be asked."""
        try:
            return next((card for card in self._client.models.list() if card.id == self.base), None)
        except Exception:  # the completion that follows tells what is wrong with the server
            return None

    def complete(self, request: Request) -> Completion:
        try:
            return super().complete(request)
        except UnknownModel:
            if self.adapter is None:
                raise
        self.load()  # it was never asked for its adapter, or was started again since
        return super().complete(request)

    def load(self) -> None:
        """Have the server load the adapter; one that it has is no error.

        Raises UsageError for one of another model, as far as can be seen from here (vLLM itself takes one that is
        narrower than the model, and answers nonsense), ModelUnavailable if the server refuses.
        """
        assert self.adapter
        root = getattr(self._card, "root", None)
        if root and (misfit := _misfit(self.adapter.folder, Path(root))):
            raise UsageError(f"the adapter '{self.adapter.name}' in {self.adapter.folder} is for another model than "
                             f"'{self.base}': {misfit}", "Train one on this model, or serve the one it was trained on")
        try:
            self._post("/load_lora_adapter", lora_name=self.adapter.name, lora_path=str(self.adapter.folder.resolve()))
        except Exception as error:
            if "already been loaded" in str(error):
                return
            raise ModelUnavailable(
                f"the server at {self.base_url} does not take the adapter '{self.adapter.name}' "
                f"from {self.adapter.folder}: {' '.join(str(error).split())[:400]}",
                "Was it trained on this model, and was the server started with --enable-lora, "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and ranks as high? `autorl serve vllm` does so") from error

    def unload(self) -> None:
        """Have the server forget the adapter, if it has it."""
        if self.adapter:
            with suppress(Exception):  # what is left loaded does no harm: its name is never used for another
                self._post("/unload_lora_adapter", lora_name=self.adapter.name)

    def counters(self) -> Counters:
        """Raises ModelUnavailable."""
        import httpx2

        url = f"{str(self.base_url).removesuffix('/v1')}/metrics"
        try:
            text = httpx2.get(url, timeout=10, trust_env=False).raise_for_status().text
        except httpx2.HTTPError as error:
            raise ModelUnavailable(f"the counters at {url} cannot be read: {error}") from error
        return Counters(_sum(text, "prefix_cache_queries_total"), _sum(text, "prefix_cache_hits_total"),
                        _sum(text, "num_requests_running"), _sum(text, "num_requests_waiting"))

    def _body(self, request: Request) -> dict[str, Any]:
        body = super()._body(request)
        if request.grammar:
            body.pop("response_format", None)
            body["structured_outputs"] = {"grammar": request.grammar}
        if request.repetition is not None:
            body["repetition_penalty"] = request.repetition
        if request.tokens:
            body["return_token_ids"] = True
        if self.tenant:
            body["cache_salt"] = hashlib.sha256(f"autorl {self.tenant}".encode()).hexdigest()
        return body

    def _post(self, path: str, **body: str) -> None:
        self._client.post(path, body=body, cast_to=str)


class VLLM(Pool[Server]):
    """One model, or an adapter of it, on one vLLM server or several.

    urls: of the servers, each ending in /v1; tool_calls: whether the model is shown its tools there
    """

    def __init__(self, model: str, urls: Sequence[str], *, tenant: str | None = None,
                 adapter: Adapter | None = None, tool_calls: bool = True) -> None:
        super().__init__([Server(model, base_url=url, tenant=tenant, adapter=adapter) for url in urls])
        self.capabilities = replace(Server.capabilities, tool_calls=tool_calls)

    def swap(self, adapter: Adapter) -> None:
        """Answer with `adapter` from now on, while runs are under way: no request fails, each step says who gave it.

        The adapter is loaded everywhere first; the one before is unloaded when its last request is answered.
        Raises UsageError for a name that is in use already (a server may keep what it had under it), ModelUnavailable
        if a server does not take it; then everything stays as it was.
        """
        former = [member.server for member in self.members]
        if any(server.adapter and server.adapter.name == adapter.name for server in former):
            raise UsageError(f"an adapter named '{adapter.name}' is in use", "Give each new one a name of its own")
        later = [server.with_adapter(adapter) for server in former]
        try:
            for server in later:
                server.load()
        except BaseException:
            for server in later:
                server.unload()
            raise
        self.hand_over(later)
        for server in former:
            server.unload()

    def counters(self) -> list[Counters]:
        """Of each server. Raises ModelUnavailable."""
        return [member.server.counters() for member in self.members]


def _sum(metrics: str, name: str) -> int:
    """The value of a metric of vLLM's, over all engines of a server."""
    return int(sum(map(float, re.findall(rf"^vllm:{name}(?:\{{[^\n]*\}})? ([0-9.e+]+)$", metrics, re.MULTILINE))))


_INPUTS = {"q_proj": "hidden_size", "k_proj": "hidden_size", "v_proj": "hidden_size", "gate_proj": "hidden_size",
           "up_proj": "hidden_size", "down_proj": "intermediate_size"}
"""What a layer takes, as a model's configuration calls its width."""
_LAYER = re.compile(r"\.layers\.(\d+)\.\w+\.(\w+)\.lora_A\.weight$")


def _misfit(adapter: Path, base: Path) -> str:
    """What an adapter has that a model's folder has not; empty where all fits, or one of them is not here."""
    try:
        config = json.loads((base / "config.json").read_text("utf-8"))
        with (adapter / "adapter_model.safetensors").open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError):
        return ""
    for name, tensor in header.items():
        if (layer := _LAYER.search(name)) and layer[2] in _INPUTS:
            inputs, wide = tensor["shape"][1], config.get(_INPUTS[layer[2]])
            if wide and inputs != wide:
                return f"its {layer[2]} takes {inputs} numbers, the model's {wide}"
            if int(layer[1]) >= (blocks := config.get("num_hidden_layers", 10**9)):
                return f"it has a block {layer[1]}, and the model {blocks} blocks"
    return ""
