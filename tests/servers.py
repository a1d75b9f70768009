"""A real HTTP server on loopback that answers as an OpenAI-compatible one does, or as a broken one does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "prompt_tokens_details": {"cached_tokens": 8}}


@dataclass(frozen=True)
class Call:
    """A call of a tool, its arguments as the server gives them."""

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Reply:
    """One answer. `text` goes out as a completion, streamed where that was asked for; `body` as it stands.

    cut: the connection is closed when half of the answer is out, against what its length said
    """

    text: str = "hello"
    finish_reason: str | None = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    cut: bool = False
    choices: bool = True
    calls: tuple[Call, ...] = ()
    token_ids: tuple[int, ...] = ()


def refusal(status: int, message: str, code: str = "refused", **headers: str) -> Reply:
    """An error as OpenAI's servers give it."""
    body = json.dumps({"error": {"message": message, "type": "error", "code": code}}).encode()
    return Reply(status=status, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Server:
    """Gives `answers` in their order, the last one for ever; or what a function makes of each request."""

    answers: list[Reply] | Callable[[dict[str, Any]], Reply]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any], key: str) -> Reply:
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            position = len(self.requests) - 1
        if callable(self.answers):
            return self.answers(body)
        return self.answers[min(position, len(self.answers) - 1)]


@contextmanager
def serving(*answers: Reply | Callable[[dict[str, Any]], Reply]) -> Iterator[Server]:
    """A server that gives `answers`; `url` is the base URL."""
    first = answers[0]
    server = Server(first if callable(first) else list(answers))  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = server.answer(body, self.headers.get("Authorization", ""))
            streamed = bool(body.get("stream")) and reply.body is None
            data = reply.body if reply.body is not None else _stream(reply) if streamed else _whole(reply)
            self.send_response(reply.status)
            self.send_header("Content-Type", "text/event-stream" if streamed else reply.content_type)
            self.send_header("Content-Length", str(len(data)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if reply.cut else data)
            self.close_connection = self.close_connection or reply.cut

        def log_message(self, *_: Any) -> None:
            """Nothing: what was asked stands in `requests`."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


def _whole(reply: Reply) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.calls:
        message |= {"content": reply.text or None, "tool_calls": [_call(n, call) for n, call in enumerate(reply.calls)]}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, **_tokens(reply.token_ids)}
    return json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "m",
                       "choices": [choice] if reply.choices else [], "usage": USAGE}).encode()


def _call(number: int, call: Call) -> dict[str, Any]:
    return {"id": f"c{number}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tokens(ids: tuple[int, ...]) -> dict[str, Any]:
    """Token ids as vLLM gives them, with log-probabilities of -0.5 each."""
    content = [{"token": str(each), "logprob": -0.5, "bytes": None, "top_logprobs": []} for each in ids]
    return {"token_ids": list(ids), "logprobs": {"content": content}} if ids else {}


def _stream(reply: Reply) -> bytes:
    half = len(reply.text) // 2
    deltas: list[dict[str, Any]] = [{"content": reply.text[:half]}, {"content": reply.text[half:]}]
    for number, call in enumerate(reply.calls):
        middle = len(call.arguments) // 2
        begun = _call(number, Call(call.name, ""))
        deltas.append({"tool_calls": [{"index": number, **begun}]})
        deltas += [{"tool_calls": [{"index": number, "function": {"arguments": part}}]}
                   for part in (call.arguments[:middle], call.arguments[middle:])]
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks[-1] |= _tokens(reply.token_ids)
    if reply.finish_reason:
        chunks.append({"index": 0, "delta": {}, "finish_reason": reply.finish_reason})
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [{**base, "choices": [chunk]} for chunk in chunks] if reply.choices else []
    events.append({**base, "choices": [], "usage": USAGE})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
