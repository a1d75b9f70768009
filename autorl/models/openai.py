"""Any OpenAI-compatible server, through the `openai` SDK. The one place where requests are tried again."""

import os
import threading
import time
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from autorl.errors import ContextOverflow, ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Request, estimate
from autorl.types import Usage

if TYPE_CHECKING:
    import openai

ATTEMPTS = 4
LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more by Retry-After is not waited for."""
TIMEOUT = 300.0
"""Seconds without a byte before a request is given up."""
RETRIED = (408, 409, 429)
_PATH = "/chat/completions"


class OpenAIServer:
    """The model `model` of an OpenAI-compatible server.

    base_url: the server's, ending in /v1; the SDK's own default (or OPENAI_BASE_URL) when None
    vllm: whether the server takes vLLM's grammars; attempts: of a request, the first one included
    The key comes from OPENAI_API_KEY; a server at a URL of one's own needs none.
    """

    def __init__(self, model: str, *, base_url: str | None = None, name: str = "", vllm: bool = False,
                 attempts: int = ATTEMPTS) -> None:
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.name = name or f"openai:{model}"
        self.capabilities = Capabilities(grammar=vllm, json_schema=True)
        self._vllm = vllm
        self._attempts = attempts
        self._connecting = threading.Lock()

    @cached_property
    def _client(self) -> "openai.OpenAI":
        import openai

        key = os.environ.get("OPENAI_API_KEY") or ("none" if self.base_url else None)
        if key is None:
            raise UsageError(f"the model '{self.name}' needs a key", "Set OPENAI_API_KEY, or name a server: --base-url")
        return openai.OpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=TIMEOUT)

    @cached_property
    def context_tokens(self) -> int | None:
        """What the server says of itself (vLLM does), or None."""
        if not self._vllm:
            return None
        try:
            return getattr(self._client.models.retrieve(self.model), "max_model_len", None)
        except Exception:  # the completion that follows tells what is wrong with the server
            return None

    def complete(self, request: Request) -> Completion:
        with self._connecting:
            client = self._client
        body = self._body(request)
        retrying = Retrying(stop=stop_after_attempt(self._attempts), wait=_wait, reraise=True,
                            retry=retry_if_exception(_may_pass))
        started = time.monotonic()
        try:
            reply = retrying(_streamed if request.on_text else _whole, client, body, request)
        except _WatcherRaised as error:
            raise error.what from None
        except Exception as error:
            raise self._failure(error) from error
        usage = reply.get("usage")
        details = getattr(usage, "prompt_tokens_details", None)
        seconds = time.monotonic() - started
        completion_tokens = getattr(usage, "completion_tokens", 0) or 0
        return Completion(
            text=reply["text"],
            finish_reason=reply["finish_reason"],
            usage=Usage(
                prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
                completion_tokens=completion_tokens,
                cached_tokens=getattr(details, "cached_tokens", 0) or 0,
            ),
            seconds=seconds,
            tokens_per_second=completion_tokens / seconds if seconds else 0.0,
        )

    def count(self, text: str) -> int:
        return estimate(text)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model, "messages": list(request.messages), "temperature": request.temperature,
            # OpenAI's own API has a new name for it, which most compatible servers do not know.
            "max_tokens" if self.base_url else "max_completion_tokens": request.max_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.grammar and self._vllm:
            body["structured_outputs"] = {"grammar": request.grammar}
        elif request.json_schema:
            schema = {"name": "step", "schema": request.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _failure(self, error: Exception) -> Exception:
        import openai

        where = f"'{self.name}' at {self.base_url or 'api.openai.com'}"
        if isinstance(error, openai.APIStatusError):
            message = str(error.message)[:500]
            if error.status_code == 400 and _is_overflow(error):
                return ContextOverflow(f"the server says that the prompt is too long: {message}")
            if error.status_code in (401, 403):
                return ModelUnavailable(f"{where} refused the key ({error.status_code}): {message}",
                                        "Set OPENAI_API_KEY to a valid one")
            if error.status_code == 404:
                return ModelUnavailable(f"{where} does not know the model '{self.model}' (404): {message}",
                                        "Name one of the server's models: --model openai:NAME")
            tried = f" after {self._attempts} attempts" if _may_pass(error) else ""
            return ModelUnavailable(f"{where} answered {error.status_code}{tried}: {message}",
                                    "Try again later" if _may_pass(error) else "")
        if isinstance(error, openai.APIConnectionError) or _may_pass(error):
            return ModelUnavailable(f"{where} cannot be reached ({self._attempts} attempts): {_cause(error)}",
                                    "Is the server running, and is --base-url right?")
        if isinstance(error, (UsageError, ModelUnavailable)):
            return error
        return ModelUnavailable(f"{where} gave an answer that cannot be read: {type(error).__name__}: {error}")


# Both post the body as it is: `chat.completions.create` walks through every message of it again, which takes
# longer than all that autorl does at a step.
def _whole(client: "openai.OpenAI", body: dict[str, Any], _: Request) -> dict[str, Any]:
    from openai.types.chat import ChatCompletion

    reply = client.post(_PATH, body=body, cast_to=ChatCompletion)
    if not getattr(reply, "choices", None):
        raise _no_choice()
    choice = reply.choices[0]
    return {"text": choice.message.content or "", "finish_reason": choice.finish_reason, "usage": reply.usage}


def _streamed(client: "openai.OpenAI", body: dict[str, Any], request: Request) -> dict[str, Any]:
    """As `_whole`. A stream that ends without a finish reason gives None: the SDK takes it for complete."""
    from openai import Stream
    from openai.types.chat import ChatCompletionChunk

    pieces: list[str] = []
    finish_reason, usage, choices = None, None, 0
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    reply = client.post(_PATH, body=streamed, cast_to=ChatCompletionChunk, stream=True,
                        stream_cls=Stream[ChatCompletionChunk])
    with reply as stream:
        for chunk in stream:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                choices += 1
                finish_reason = choice.finish_reason or finish_reason
                if choice.delta.content:
                    pieces.append(choice.delta.content)
                    _tell(request, choice.delta.content)
    if not choices:
        raise _no_choice()
    return {"text": "".join(pieces), "finish_reason": finish_reason, "usage": usage}


class _WatcherRaised(Exception):
    """Sets apart what the caller's own `on_text` raised: it is no failure of the server."""

    def __init__(self, what: Exception) -> None:
        self.what = what


def _tell(request: Request, text: str) -> None:
    try:
        if request.on_text:
            request.on_text(text)
    except Exception as error:
        raise _WatcherRaised(error) from error


def _no_choice() -> ModelUnavailable:
    return ModelUnavailable("the server's answer holds no choice", "Is it an OpenAI-compatible server?")


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        wait = _retry_after(error)
        return (error.status_code in RETRIED or error.status_code >= 500) and (wait is None or wait <= LONGEST_WAIT)
    return isinstance(error, (openai.APIConnectionError, httpx2.TransportError))


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = _retry_after(error) if error else None
    return asked if asked is not None else min(0.5 * 2 ** (state.attempt_number - 1), 8.0)


def _retry_after(error: BaseException) -> float | None:
    response = getattr(error, "response", None)
    value = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _is_overflow(error: "openai.APIStatusError") -> bool:
    text = f"{error.code} {error.message}".lower()
    return any(mark in text for mark in ("context_length", "context length", "context size", "maximum context"))


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
