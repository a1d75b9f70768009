"""The one server that all frameworks ask: the embedded model behind OpenAI's protocol, with a meter in between.

Each lane is a base URL of its own, for one run at a time. The meter counts what a run asks for and is given, caps the
length of every completion, gives each request a seed where it has none, and refuses what is asked after a run is over.
"""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from autorl.models import weights

TEMPLATE = Path(__file__).with_name("tool_calls.jinja")
SLOT = 8192
"""Tokens of context, as the model was trained for."""
REFUSAL = "the run is over"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Meter:
    """What one run has asked for. over: why it may ask for no more, empty while it may"""

    seed: int
    tokens: int
    seconds: float
    max_tokens: int
    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    over: str = ""
    started: float = field(default_factory=time.monotonic)
    elapsed: float = 0.0

    def stop(self, why: str) -> None:
        """The first reason stands, and so does the time."""
        if not self.over:
            self.over, self.elapsed = why, time.monotonic() - self.started

    def admits(self) -> bool:
        if self.prompt_tokens + self.completion_tokens >= self.tokens:
            self.stop("tokens")
        if time.monotonic() - self.started >= self.seconds:
            self.stop("time")
        return not self.over

    def prepared(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as it goes to the server."""
        asked = body.pop("max_completion_tokens", None) or body.get("max_tokens") or self.max_tokens
        body["max_tokens"] = min(asked, self.max_tokens)
        body.setdefault("seed", self.seed + self.requests)
        self.requests += 1
        return {**body, "cache_prompt": True}

    def count(self, reply: dict[str, Any]) -> None:
        usage = reply.get("usage", {})
        self.prompt_tokens += usage.get("prompt_tokens", 0)
        self.completion_tokens += usage.get("completion_tokens", 0)
        self.cached_tokens += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)


class Gate:
    """The proxy. `lanes` holds the meter of the run in each lane, and `url(lane)` is where its requests go."""

    def __init__(self, server: str) -> None:
        self.lanes: dict[int, Meter] = {}
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                _, lane, path = self.path.split("/", 2)
                status, reply = gate.forward(int(lane), f"{server}/{path}", body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def url(self, lane: int) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/{lane}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def forward(self, lane: int, url: str, body: dict[str, Any]) -> tuple[int, bytes]:
        meter = self.lanes.get(lane)
        if meter is None or not meter.admits():
            return 400, json.dumps({"error": {"message": REFUSAL, "type": "invalid_request_error"}}).encode()
        wanted = json.dumps(meter.prepared(body)).encode()
        try:
            with _DIRECT.open(urllib.request.Request(url, wanted, {"Content-Type": "application/json"})) as reply:
                answer = reply.read()
        except urllib.error.HTTPError as error:
            meter.failed += 1
            return error.code, error.read()
        except OSError as error:
            raise SystemExit(f"the server of the model is gone: {error}") from error
        meter.count(json.loads(answer))
        return 200, answer


@contextmanager
def served(lanes: int) -> Iterator[Gate]:
    """The embedded model, with as many slots as there are lanes, behind a `Gate`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights.embedded())
    params.chat_template = TEMPLATE.read_text("utf-8")
    params.n_parallel, params.n_ctx = lanes, SLOT * lanes
    # One thread: several would wait for each other at every layer, and other load makes each wait a long one.
    params.cpuparams.n_threads, params.cpuparams_batch.n_threads = 1, 1
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.verbosity, params.ui = -1, False
    server = xllamacpp.Server(params)
    gate = Gate(server.listening_address)
    try:
        yield gate
    finally:
        gate.close()
        del server
