"""llama.cpp inside this process (xllamacpp): the embedded model, or any GGUF file."""

import hashlib
import json
import os
import threading
import time
import urllib.request
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from autorl import content, settings
from autorl.errors import ContextOverflow, MissingExtra, ModelUnavailable, UnknownName, UsageError
from autorl.models import weights
from autorl.models.base import Capabilities, Completion, OnText, Request
from autorl.types import Usage

CONTEXT = 8192
"""Tokens of one run's context, as SmolLM2 was trained for; a model made for less gets less."""

_KEPT_MIB = 1024
"""MiB of contexts that are kept after their runs, to begin others with; llama.cpp's own limit is 8192."""

_REPETITION = {
    # A small model repeats itself without these. DRY (Weidmann 2023) makes a token less likely the longer
    # the text it would repeat. A line break, a quote and a colon end a sequence, so that the labels of a format
    # and the keys of its JSON may recur.
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 1024,
    "dry_sequence_breakers": ["\n", "\"", ":"],
    "repeat_penalty": 1.05,
    "repeat_last_n": 256,
}


_LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens what lies on this machine, whatever proxy the environment names."""


ADAPTER, TRAINING, SUMS = "adapter.gguf", "training.json", "SHA256SUMS"
"""What the folder of a policy holds: the adapter for llama.cpp, how it was trained, and the hashes of all of its files,
as sha256sum writes them."""


class Local:
    """One GGUF file, loaded when it is first asked; every thread of the process shares it.

    The log-probabilities that it tells are the model's own, before penalties, temperature and grammar, without that of
    the token that ends the text; it tells none of a text some tokens of which end within a letter.

    name: `local`, `local:PATH.gguf` or `local:hf:REPO/FILE`; with `+policy@HASH`, as a policy of this home has it
    adapter: a LoRA adapter in llama.cpp's form, where it is not the one that the name says
    slots: completions at a time, each with its own context
    """

    capabilities = Capabilities(grammar=True, json_schema=True, logprobs=True, token_ids=True, repetition=True)

    def __init__(self, name: str = "local", *, adapter: Path | None = None, slots: int = 2) -> None:
        self.name = name
        self._adapter = adapter
        self._slots = slots
        self._loading = threading.Lock()
        self._loaded: Any = None
        self._context = CONTEXT
        self._tokens = lru_cache(maxsize=4096)(self._count)
        self._piece = lru_cache(maxsize=4096)(self._spelled)

    @classmethod
    def shared(cls, name: str) -> "Local":
        """The one instance of `name` in this process: weights are loaded once. Raises UnknownName for its policy."""
        with _sharing:
            return _shared(name)

    def close(self) -> None:
        """Give the memory of the weights back; asked again, the model loads them again."""
        with self._loading:
            self._loaded = None

    @property
    def context_tokens(self) -> int:
        return self._context

    @property
    def path(self) -> Path:
        """The GGUF file; fetched first if it is the embedded one or one from the hub."""
        rest = split(self.name)[0].partition(":")[2]
        if not rest:
            return weights.embedded()
        if rest.startswith("hf:"):
            return _from_hub(rest[3:])
        path = Path(rest).expanduser()
        if not path.is_file():
            raise UsageError(f"there is no model file '{path}'", "Write local:PATH.gguf, or local for the embedded one")
        return path

    def complete(self, request: Request) -> Completion:
        server = self._server()
        body: dict[str, Any] = {
            "messages": list(request.messages), "max_tokens": request.max_tokens, "stop": list(request.stop),
            "temperature": request.temperature, "cache_prompt": True, **_REPETITION,
        }
        if request.repetition is not None:
            body["repeat_penalty"] = request.repetition
        if request.seed is not None:
            body["seed"] = request.seed % 2**32
        if request.grammar:
            body["grammar"] = request.grammar
        elif request.json_schema:
            body["json_schema"] = request.json_schema
        if request.tokens:  # they come with the best ones, one of them at least
            body |= {"logprobs": True, "top_logprobs": 1}
        started = time.monotonic()
        reply = _streamed(server, body, request.on_text)
        if "error" in reply:
            raise _failure(self.name, reply["error"])
        usage, timings = reply.get("usage", {}), reply.get("timings", {})
        rated = self._rated(reply)
        return Completion(
            text=reply["text"],
            finish_reason=reply.get("finish_reason"),
            usage=Usage(
                prompt_tokens=usage.get("prompt_tokens", 0),
                completion_tokens=usage.get("completion_tokens", 0),
                cached_tokens=timings.get("cache_n", 0),
            ),
            seconds=time.monotonic() - started,
            tokens_per_second=timings.get("predicted_per_second", 0.0),
            token_ids=tuple(each["id"] for each in rated),
            logprobs=tuple(round(each["logprob"], 4) for each in rated),
        )

    def count(self, text: str) -> int:
        return self._tokens(text)

    def likelihood(self, text: str) -> tuple[float, int]:
        """The log-probability (in nats) that the model gives to `text` from nowhere, and how many tokens it has.

        A grammar of exactly these tokens leaves the model no choice; llama.cpp tells how likely each was without it.
        Raises ModelUnavailable.
        """
        tokens = self._tokenised(text)
        reply = self._server().handle_completions({
            "prompt": "\n", "max_tokens": len(tokens), "n_predict": len(tokens), "temperature": 0, "logprobs": 1,
            "grammar": f"root ::= {' '.join(f'<[{token}]>' for token in tokens)}"})
        if "error" in reply:
            raise _failure(self.name, reply["error"])
        given = reply["choices"][0]["logprobs"]["content"]
        if [each["id"] for each in given] != tokens:
            raise ModelUnavailable(f"llama.cpp did not keep to a text of {len(tokens)} tokens that it was to rate")
        return sum(each["logprob"] for each in given), len(tokens)

    def _rated(self, reply: dict[str, Any]) -> list[dict[str, Any]]:
        """The tokens of a reply with their log-probabilities; none if some are missing.

        Those that end within a letter llama.cpp leaves out, and their bytes stand in the next one, if there is one.
        """
        rated: list[dict[str, Any]] = reply["rated"]
        whole = reply.get("finish_reason") != "length" or len(rated) == reply["usage"]["completion_tokens"]
        ones = (max(each["bytes"], default=0) < 128
                or self._piece(each["id"]) == bytes(each["bytes"]).decode("utf-8", "replace") for each in rated)
        return rated if whole and all(ones) else []

    def _count(self, text: str) -> int:
        return len(self._tokenised(text))

    def _tokenised(self, text: str) -> list[int]:
        return list(self._asked("tokenize", {"content": text})["tokens"])

    def _spelled(self, token: int) -> str:
        return str(self._asked("detokenize", {"tokens": [token]})["content"])

    def _asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._server().listening_address}/{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with _LOOPBACK.open(request, timeout=30) as reply:
            return dict(json.load(reply))

    def _server(self) -> Any:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Any:
        path, policy = self.path, split(self.name)[1]
        adapter = self._adapter or (sound_adapter(policy) if policy else None)
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_parallel = self._slots
        params.n_ctx = self._context * self._slots
        params.cache_ram_mib = _KEPT_MIB
        # Threads wait for each other at every layer, in a loop: with one on each core, any other load on the machine
        # makes a token take ten times as long, and two such processes all but stop each other. Half of them cost a
        # third of the speed on two cores. Prompts are short work.
        chosen = settings.resolve().threads
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        params.cpuparams.n_threads = chosen or max(1, cores // 2)
        params.cpuparams.poll = 0
        params.cpuparams_batch.n_threads = chosen or cores
        # On a CPU, flash attention halves the decoding speed at a thousand tokens of context.
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.verbosity = -1
        params.ui = False
        if adapter:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
        try:
            return xllamacpp.Server(params)
        except Exception as error:
            what = f"{path} with the adapter {adapter}" if adapter else path
            raise ModelUnavailable(f"llama.cpp cannot load {what}: {error}",
                                   f"Is {'each' if adapter else 'it'} a whole GGUF file"
                                   f"{', and the adapter for this model' if adapter else ''}?") from error


def _streamed(server: Any, body: dict[str, Any], on_text: OnText | None) -> dict[str, Any]:
    """The last words of a streamed reply, with its whole text, and its tokens as they were rated if that was asked for.

    llama.cpp runs in a thread of its own: control-C reaches this one at once, and the other stops at its
    next token. (An interrupt that falls into the callback of the binding itself would be lost.)
    """
    pieces: list[str] = []
    rated: list[dict[str, Any]] = []
    last: dict[str, Any] = {}
    failed: list[Exception] = []
    raised: list[Exception] = []
    cancelled = threading.Event()

    def receive(chunk: dict[str, Any]) -> bool:
        last.update({key: chunk[key] for key in ("usage", "timings", "error") if chunk.get(key)})
        for choice in chunk.get("choices") or ():
            last["finish_reason"] = choice.get("finish_reason")
            rated.extend((choice.get("logprobs") or {}).get("content") or ())
            text = (choice.get("delta") or {}).get("content")
            if text:
                pieces.append(text)
                try:
                    if on_text:
                        on_text(text)
                except Exception as error:  # the caller's own; it must not pass through llama.cpp
                    raised.append(error)
                    return True
        return cancelled.is_set()

    def generate() -> None:
        try:
            server.handle_chat_completions({**body, "stream": True, "stream_options": {"include_usage": True}}, receive)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=generate, name="llama.cpp", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        cancelled.set()
        raise
    if raised:
        raise raised[0]
    if failed:
        raise ModelUnavailable(f"llama.cpp failed: {failed[0]}") from failed[0]
    return {**last, "text": "".join(pieces), "rated": rated}


def split(name: str) -> tuple[str, str | None]:
    """The name of a base model and that of a policy of it: `local+policy@7f` is `local` and `policy@7f`."""
    base, plus, digest = name.rpartition("+policy@")
    return (base, f"policy@{digest}") if plus else (name, None)


def learned_format(name: str) -> str | None:
    """The format that the policy in the name of a model was trained in; None if there is none, or nothing tells it."""
    policy = split(name)[1]
    try:
        told = json.loads((policy_folder(policy) / TRAINING).read_text("utf-8")) if policy else {}
        return str(told["about"]["choice"]["format"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def policies_folder() -> Path:
    """Where the files of policies are kept, a folder each, of its name."""
    return settings.home() / "policies"


def brought() -> Path | None:
    """The folder of the policy that autorl brings for `local`; None where it brings none."""
    return next((path.parent for path in (content.builtin() / "policies").glob(f"policy@*/{ADAPTER}")), None)


def policy_folder(policy: str) -> Path:
    """Where the files of `policy` are, or would be: those that are kept, or those that autorl brings."""
    ours = brought()
    own = policies_folder() / policy
    return ours if ours and ours.name == policy and not own.exists() else own


def sound_adapter(policy: str) -> Path:
    """The adapter of `policy` for llama.cpp, its hash checked. Raises UnknownName, ModelUnavailable that names it."""
    folder = policy_folder(policy)
    path = folder / ADAPTER
    if not path.is_file():
        known = {found.parent.name for found in policies_folder().glob(f"policy@*/{ADAPTER}")}
        if ours := brought():
            known.add(ours.name)
        raise UnknownName("policy", policy, sorted(known), f"(in {policies_folder()})")
    with path.open("rb") as file:
        told = f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {ADAPTER}"
    sums = folder / SUMS
    if not sums.is_file() or told not in sums.read_text("utf-8", "replace").splitlines():
        remedy = ("Install autorl again, or ask the bare model: --policy none" if folder == brought()
                  else f"Make it again from what else is there: autorl policies add {folder}")
        raise ModelUnavailable(f"{path} is damaged: its hash is not the one in {SUMS}", remedy)
    return path


def _failure(name: str, error: dict[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(f"the prompt has {error.get('n_prompt_tokens')} tokens, the context of '{name}' "
                               f"{error.get('n_ctx')}")
    return ModelUnavailable(f"llama.cpp refused the request: {error.get('message', error)}")


def _from_hub(name: str) -> Path:
    repo, _, file = name.rpartition("/")
    if repo.count("/") != 1 or not file.endswith(".gguf"):
        raise UsageError(f"'local:hf:{name}' is not local:hf:OWNER/REPO/FILE.gguf")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtra("models from the hub need huggingface_hub", "pip install 'autorl-agent[hub]'") from error
    try:
        return Path(hf_hub_download(repo, file))
    except Exception as error:
        raise ModelUnavailable(f"the hub did not give {repo}/{file}: {error}", "Are you online?") from error


_sharing = threading.Lock()


@cache
def _shared(name: str) -> Local:
    return Local(name)
