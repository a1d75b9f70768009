"""Any OpenAI-compatible server, through the `openai` SDK. Requests are tried again here, or by a `Pool` of them."""

import json
import os
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from autorl.errors import ContextOverflow, ModelUnavailable, UsageError
from autorl.models.base import Capabilities, Completion, Request, estimate
from autorl.types import Usage

if TYPE_CHECKING:
    import httpx2
    import openai

ATTEMPTS = 4
LONGEST_WAIT = 60.0
"""Seconds; a server that asks for more by Retry-After is not waited for."""
TIMEOUT = 300.0
"""Seconds without a byte before a request is given up."""
RETRIED = (408, 409, 429)
_PATH = "/chat/completions"


class Unanswered(ModelUnavailable):
    """The same request may succeed a little later, or on another server of the same model.

    status: of HTTP, 0 where there was no answer at all; wait: seconds that the server asked for, None for none
    """

    def __init__(self, what: str, remedy: str = "", *, status: int = 0, wait: float | None = None) -> None:
        super().__init__(what, remedy)
        self.status, self.wait = status, wait


class UnknownModel(ModelUnavailable):
    """The server is there, and serves no model of that name."""


class OpenAIServer:
    """The model `model` of an OpenAI-compatible server.

    base_url: the server's, ending in /v1; the SDK's own default (or OPENAI_BASE_URL) when None
    attempts: of a request, the first one included
    The key comes from OPENAI_API_KEY; a server at a URL of one's own needs none.
    """

    capabilities = Capabilities(json_schema=True, tool_calls=True, logprobs=True)

    def __init__(self, model: str, *, base_url: str | None = None, name: str = "", attempts: int = ATTEMPTS) -> None:
        self.model = model
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL")
        self.name = name or f"openai:{model}"
        self._attempts = attempts
        self._connecting = threading.Lock()
        self._http: httpx2.Client
        self._url: httpx2.URL

    @cached_property
    def _client(self) -> "openai.OpenAI":
        import openai

        from autorl.models.connections import Connections

        key = os.environ.get("OPENAI_API_KEY") or ("none" if self.base_url else None)
        if key is None:
            raise UsageError(f"the model '{self.name}' needs a key", "Set OPENAI_API_KEY, or name a server: --base-url")
        # What is asked of this machine goes to no proxy; where there is one, the SDK finds its way.
        local = urlsplit(self.base_url or "").hostname in ("127.0.0.1", "localhost", "::1")
        transport = Connections() if local or not getproxies() else None
        http = openai.DefaultHttpxClient(trust_env=not local, transport=transport, timeout=TIMEOUT)
        sdk = openai.OpenAI(api_key=key, base_url=self.base_url, max_retries=0, timeout=TIMEOUT, http_client=http)
        self._http, http.base_url = http, sdk.base_url  # it is asked past the SDK too
        self._url = http.build_request("POST", _PATH).url  # to put it together takes a while
        http.headers.update({name: value for name, value in sdk.default_headers.items() if isinstance(value, str)})
        http.headers["Authorization"] = f"Bearer {key}"
        return sdk

    @property
    def context_tokens(self) -> int | None:
        """Not known: the API does not tell."""
        return None

    def complete(self, request: Request) -> Completion:
        with self._connecting:
            sdk = self._client
        body = self._body(request)
        retrying = Retrying(stop=stop_after_attempt(self._attempts), wait=_wait, reraise=True,
                            retry=retry_if_exception(_may_pass))
        started = time.monotonic()
        try:
            reply = (retrying(_streamed, sdk, body, request) if request.on_text else
                     retrying(_whole, self._http, self._url, body, request))
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
            token_ids=tuple(reply["token_ids"]), logprobs=tuple(round(each, 4) for each in reply["logprobs"]),
        )

    def count(self, text: str) -> int:
        return estimate(text)

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model, "messages": [_on_the_wire(message) for message in request.messages],
            "temperature": request.temperature,
            # OpenAI's own API has a new name for it, which most compatible servers do not know.
            "max_tokens" if self.base_url else "max_completion_tokens": request.max_tokens,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if request.seed is not None:
            body["seed"] = request.seed
        if request.json_schema:
            schema = {"name": "step", "schema": request.json_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if request.tools:
            body |= {"tools": list(request.tools), "tool_choice": "required" if request.call else "auto",
                     "parallel_tool_calls": False}
        if request.tokens:
            body["logprobs"] = True
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
                return UnknownModel(f"{where} does not know the model '{self.model}' (404): {message}",
                                    f"Name one of the server's models: --model {self.name.partition(':')[0]}:NAME")
            told = f"{where} answered {error.status_code}"
            if error.status_code in RETRIED or error.status_code >= 500:
                tried = f" after {self._attempts} attempts" if _may_pass(error) and self._attempts > 1 else ""
                return Unanswered(f"{told}{tried}: {message}", "Try again later", status=error.status_code,
                                  wait=_retry_after(error))
            return ModelUnavailable(f"{told}: {message}")
        if isinstance(error, openai.APIConnectionError) or _may_pass(error):
            tried = f" ({self._attempts} attempts)" if self._attempts > 1 else ""
            return Unanswered(f"{where} cannot be reached{tried}: {_cause(error)}",
                              "Is the server running, and is --base-url right?")
        if isinstance(error, (UsageError, ModelUnavailable)):
            return error
        return ModelUnavailable(f"{where} gave an answer that cannot be read: {type(error).__name__}: {error}")


def _on_the_wire(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """`message` as the API has it: there, the arguments of a call are JSON in a text."""
    if "tool_calls" not in message:
        return message
    calls = [{**call, "function": {**(function := call["function"]),
                                   "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}
             for call in message["tool_calls"]]
    return {**message, "tool_calls": calls}


class _Answer:
    """An answer in the making: its text, with calls of tools in it as `Completion` has them."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._pieces: list[str] = []
        self._call: int | None = None
        self._arguments = False
        self.finish_reason: str | None = None
        self.usage: Any = None
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []

    def add(self, choice: Any, said: Any) -> None:
        """A choice of a reply or of one of its chunks, with its message or delta."""
        self.finish_reason = choice.finish_reason or self.finish_reason
        if said.content:
            self._close()
            self._tell(said.content)
        for place, call in enumerate(said.tool_calls or ()):
            number = getattr(call, "index", None)  # in a chunk, for there they come in pieces
            self._add_call(place if number is None else number, call.function)
        for token in (choice.logprobs and choice.logprobs.content) or ():
            self.logprobs.append(token.logprob)
        self.token_ids += getattr(choice, "token_ids", None) or ()

    def whole(self) -> dict[str, Any]:
        self._close()
        return {"text": "".join(self._pieces), "finish_reason": self.finish_reason, "usage": self.usage,
                "token_ids": self.token_ids, "logprobs": self.logprobs}

    def _add_call(self, number: int, function: Any) -> None:
        if number != self._call:
            self._close()
            self._call, self._arguments = number, False
            before = "\n" if self._pieces else ""
            name = json.dumps(function.name or "", ensure_ascii=False)
            self._tell(f'{before}<tool_call>\n{{"name": {name}, "arguments": ')
        if arguments := function.arguments:
            self._arguments = True
            self._tell(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))

    def _close(self) -> None:
        if self._call is not None:
            self._tell("}\n</tool_call>" if self._arguments else "{}}\n</tool_call>")
            self._call = None

    def _tell(self, text: str) -> None:
        self._pieces.append(text)
        try:
            if self._request.on_text:
                self._request.on_text(text)
        except Exception as error:
            raise _WatcherRaised(error) from error


def _whole(http: "httpx2.Client", url: "httpx2.URL", body: dict[str, Any], request: Request) -> dict[str, Any]:
    """Past the SDK, whose types take longer than HTTP does."""
    import openai

    response = http.post(url, json=body)
    try:
        reply = json.loads(response.content, object_hook=_Fields)
    except ValueError:
        reply = response.text
    if response.is_error:
        error = getattr(reply, "error", None) or reply
        raise openai.APIStatusError(f"Error code: {response.status_code} - {reply}", response=response, body=error)
    if not getattr(reply, "choices", None):
        raise _no_choice()
    answer = _Answer(request)
    answer.add(reply.choices[0], reply.choices[0].message)
    answer.usage = reply.usage
    return answer.whole()


class _Fields(dict[str, Any]):
    """An object of a reply; a field that is not there is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def _streamed(client: "openai.OpenAI", body: dict[str, Any], request: Request) -> dict[str, Any]:
    """Posts the body as it is, for `chat.completions.create` walks through every message of it again.

    A stream that ends without a finish reason gives None: the SDK takes it for complete.
    """
    from openai import Stream
    from openai.types.chat import ChatCompletionChunk

    answer, choices = _Answer(request), 0
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    reply = client.post(_PATH, body=streamed, cast_to=ChatCompletionChunk, stream=True,
                        stream_cls=Stream[ChatCompletionChunk])
    with reply as stream:
        for chunk in stream:
            answer.usage = chunk.usage or answer.usage
            for choice in chunk.choices:
                choices += 1
                answer.add(choice, choice.delta)
    if not choices:
        raise _no_choice()
    return answer.whole()


class _WatcherRaised(Exception):
    """Sets apart what the caller's own `on_text` raised: it is no failure of the server."""

    def __init__(self, what: Exception) -> None:
        self.what = what


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
    return any(mark in text for mark in ("context_length", "context length", "context size", "maximum context",
                                         "maximum model length"))


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
