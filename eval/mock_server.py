"""A stand-in for an OpenAI-compatible server that answers at once, so that only the client's own time is left.

    python eval/mock_server.py        # prints its URL, serves until its standard input closes

Every run is the same: so many calls of `add(a, b)` and then the end, ten completions in all. Which of them is due,
and how the client wants it written, is read off the request, so the server holds no state of a run.
It times how long it has each request in hand (GET /stats) and keeps the latest ones (GET /requests), so that a
client's run can be measured against the bare SDK sending the very same bodies.
"""

import json
import socketserver
import sys
import threading
import time
from collections import deque
from typing import Any

COMPLETIONS = 10
"""Of a run, the one that ends it included."""
TOKENS = 30
"""That a completion says it has."""
ANSWER = "The total is 63."


class Handler(socketserver.StreamRequestHandler):
    """One keep-alive connection. HTTP is read by hand: the standard library's parser costs more than the answer."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            started = time.perf_counter()
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header[:15].lower() == b"content-length:":
                    length = int(header[15:])
            body = self.rfile.read(length)
            if line.startswith(b"POST"):
                reply = _response(completion(json.loads(body)))
                # All is noted before the answer goes out: the client may ask for it at once.
                _LOG.append(body)
                _STATS["requests"] += 1
                _STATS["seconds"] += time.perf_counter() - started
            else:
                reply = _response(_STATS if b"/stats" in line else [json.loads(kept) for kept in _LOG])
            self.wfile.write(reply)


def _response(value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# Only one client runs at a time, so that plain values do.
_LOG: deque[bytes] = deque(maxlen=COMPLETIONS)
_STATS = {"requests": 0, "seconds": 0.0}


def completion(request: dict[str, Any], tokens: int = TOKENS) -> dict[str, Any]:
    """The chat completion that is due, in the way the request asks for, with a thought for that many tokens."""
    messages = request["messages"]
    tools = {tool["function"]["name"] for tool in request.get("tools", ())}
    text = "\n".join(_text(message) for message in (messages[0], messages[-1]))
    finish = "stop"
    if tools:
        message = _tool_call(_answers(messages), tools, tokens)
        finish = "tool_calls" if "tool_calls" in message else finish
    elif "[[ ## " in text:
        message = {"content": _fields(text)}
    else:
        message = {"content": _react(_answers(messages), tokens)}
    return {
        "id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": request["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": len(text) // 4, "completion_tokens": tokens,
                  "total_tokens": len(text) // 4 + tokens},
    }


def _react(done: int, tokens: int) -> str:
    """Thought, action and its input as text: autorl."""
    if done < COMPLETIONS - 1:
        action, arguments = "add", _arguments(done)
    else:
        action, arguments = "finish", {"answer": ANSWER}
    return f"Thought: {_thought(done, tokens)}\nAction: {action}\nAction Input: {json.dumps(arguments)}"


def _tool_call(done: int, tools: set[str], tokens: int) -> dict[str, Any]:
    """The API's tool calls: LangGraph ends with plain text, autorl and smolagents with a tool of their own for that."""
    name, arguments = "add", _arguments(done)
    if done >= COMPLETIONS - 1:
        ends = tools & {"finish", "final_answer"}
        if not ends:
            return {"content": ANSWER}
        name, arguments = ends.pop(), {"answer": ANSWER}
    call = {"id": f"call_{done}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"content": _thought(done, tokens), "tool_calls": [call]}


def _fields(text: str) -> str:
    """DSPy's marked fields. Its ReAct asks once more for the answer after `finish`, so it gets one call less."""
    done = text.count("[[ ## observation_")
    if "[[ ## next_tool_name ## ]]" not in text:
        values = {"reasoning": "All pairs are added.", "answer": ANSWER}
    elif done < COMPLETIONS - 2:
        values = {"next_thought": _thought(done), "next_tool_name": "add",
                  "next_tool_args": json.dumps(_arguments(done))}
    else:
        values = {"next_thought": _thought(done), "next_tool_name": "finish", "next_tool_args": "{}"}
    return "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in {**values, "completed": ""}.items())


def _answers(messages: list[dict[str, Any]]) -> int:
    return sum(message["role"] == "assistant" for message in messages)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _thought(done: int, tokens: int = TOKENS) -> str:
    """About four characters for each token beyond the ordinary ones."""
    thought = f"{done} pairs are added; this is the next one."
    more = " It is a sum of two whole numbers, as all the others before it were." * (4 * (tokens - TOKENS) // 68)
    return thought + more


def _arguments(done: int) -> dict[str, int]:
    return {"a": done, "b": done + 3}


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
