"""Stands in for the Python of vLLM's environment: answers the question for the version, and serves as vLLM does.

FAKE_VLLM, JSON in the environment, says how it misbehaves: version, slow (seconds until it listens), engine (seconds
after that until it answers), dies (its last words), no_lora, child (a file for the number of a child that ignores
SIGTERM).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOW = json.loads(os.environ.get("FAKE_VLLM", "{}"))
started = time.monotonic()
lock = threading.Lock()
adapters: dict[str, str] = {}
seen: list[dict[str, Any]] = []
prompts: dict[str, int] = {"queries": 0, "hits": 0}


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            text = "".join(f'vllm:prefix_cache_{name}_total{{engine="0",model_name="m"}} {float(value)}\n'
                           for name, value in prompts.items())
            text += 'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_waiting{engine="0"} 0.0\n'
            self.reply(200, text.encode(), "text/plain")
        elif self.path == "/seen":
            self.reply(200, seen)
        elif self.path == "/v1/models":
            card = {"id": option("--served-model-name"), "object": "model", "created": 1, "owned_by": "vllm",
                    "root": option("--model"), "max_model_len": 4096}
            self.reply(200, {"object": "list", "data": [card]})
        else:
            self.reply(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            return self.load(body)
        if self.path == "/v1/unload_lora_adapter":
            with lock:
                known = adapters.pop(body["lora_name"], None)
            return self.reply(200 if known else 404, "gone" if known else error("not found"))
        return self.complete(body)

    def load(self, body: dict[str, Any]) -> None:
        if HOW.get("no_lora"):
            return self.reply(400, error("LoRA is not enabled"))
        name, path = body["lora_name"], body["lora_path"]
        if name in adapters:
            return self.reply(400, error(f"The lora adapter '{name}' has already been loaded."))
        if "other" in path:
            return self.reply(400, error("shape mismatch: 576 and 2048"))
        with lock:
            adapters[name] = path
        return self.reply(200, "loaded")

    def complete(self, body: dict[str, Any]) -> None:
        if time.monotonic() < started + HOW.get("slow", 0) + HOW.get("engine", 0):
            return self.reply(503, error("the engine is starting"))
        if body["model"] not in {option("--served-model-name"), *adapters}:
            return self.reply(404, error(f"The model `{body['model']}` does not exist."))
        size = len(json.dumps(body["messages"]))
        with lock:
            seen.append(body)
            prompts["queries"] += size
            prompts["hits"] += size // 2
        time.sleep(0.05)
        if body["model"] not in {option("--served-model-name"), *adapters}:
            return self.reply(500, error("the adapter went away while it was used"))
        message = {"role": "assistant", "content": f"said by {body['model']}"}
        return self.reply(200, {
            "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": size, "completion_tokens": 4, "total_tokens": size + 4}})

    def reply(self, status: int, value: Any, kind: str = "application/json") -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "code": 400}}


def main() -> None:
    if sys.argv[1] == "-c":
        print("vllm", HOW.get("version", "0.32.0"))
        return
    print("INFO loading weights", flush=True)
    if "dies" in HOW:
        sys.exit(HOW["dies"])
    if "child" in HOW:
        work = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", work])
        with open(HOW["child"], "w") as file:
            file.write(str(child.pid))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    time.sleep(HOW.get("slow", 0))
    with ThreadingHTTPServer((option("--host"), int(option("--port"))), Handler) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
