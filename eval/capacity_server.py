"""A stand-in for a model server that has a latency and a capacity, for a thousand requests at once.

    python eval/capacity_server.py --latency 0.2 --speed 100 --capacity 20000 --tokens 120

prints its URL and serves until its standard input closes. What it answers is `mock_server.completion`. When: a request
waits for the latency, and then its tokens are generated together with those of all others under way, each at the same
speed, which is the capacity shared among them and at most the speed of one alone (processor sharing, as continuous
batching gives). GET /v1/stats tells how many requests it has been asked and has answered, and its processor time.
"""

import argparse
import heapq
import itertools
import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from mock_server import completion


@dataclass
class Engine:
    """When requests are done, by a clock that is given. latency: seconds; speed, capacity: tokens a second

    Since all under way go at the same speed, one number tells how far they are: the tokens that one which was there
    from the beginning would have. A request is done when that number has grown by its own tokens.
    """

    latency: float
    speed: float
    capacity: float
    _now: float = 0.0
    _far: float = 0.0
    _waiting: list[tuple[float, int, float, Any]] = field(default_factory=list)
    _going: list[tuple[float, int, Any]] = field(default_factory=list)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)

    def ask(self, what: Any, tokens: float, now: float) -> None:
        heapq.heappush(self._waiting, (now + self.latency, next(self._number), tokens, what))

    def done(self, now: float) -> list[Any]:
        """What is done by now and was not told before."""
        found = []
        while (moment := self.next()) <= now:
            self._advance(moment)
            if self._going and (not self._waiting or self._end() <= self._waiting[0][0]):
                far, _, what = heapq.heappop(self._going)
                self._far = far  # it may differ in the last digit, and the same end would come again
                found.append(what)
            else:
                _, number, tokens, what = heapq.heappop(self._waiting)
                heapq.heappush(self._going, (self._far + tokens, number, what))
        self._advance(now)
        return found

    def next(self) -> float:
        """When something happens next; infinite where nothing is under way."""
        return min(self._end(), self._waiting[0][0] if self._waiting else float("inf"))

    def _end(self) -> float:
        return self._now + max(0.0, self._going[0][0] - self._far) / self._rate() if self._going else float("inf")

    def _rate(self) -> float:
        return min(self.speed, self.capacity / len(self._going))

    def _advance(self, moment: float) -> None:
        if self._going:
            self._far += max(0.0, moment - self._now) * self._rate()
        self._now = max(self._now, moment)


class Server:
    """One thread for all connections: a thousand threads of Python would take their time from who is measured."""

    def __init__(self, engine: Engine, tokens: int) -> None:
        self.engine, self.tokens = engine, tokens
        self.asked = self.answered = 0
        self._half: dict[socket.socket, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._selector.register(self._door, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}/v1"

    def serve(self) -> None:
        while True:
            wait = self.engine.next() - time.monotonic()
            for key, _ in self._selector.select(min(max(0.0, wait), 1.0)):
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is self._door:
                    client, _ = self._door.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(client, selectors.EVENT_READ)
                    self._half[client] = b""
                else:
                    self._read(key.fileobj)
            for client, reply in self.engine.done(time.monotonic()):
                self.answered += 1
                self._send(client, reply)

    def _read(self, client: Any) -> None:
        try:
            more = client.recv(1 << 18)
        except OSError:
            more = b""
        if not more:
            self._leave(client)
            return
        text = self._half[client] + more
        head, gap, body = text.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"), 0)
        if not gap or len(body) < length:
            self._half[client] = text
            return
        self._half[client] = b""
        if head.startswith(b"POST"):
            reply = response(completion(json.loads(body), self.tokens))
            self.asked += 1
            self.engine.ask((client, reply), self.tokens, time.monotonic())
        else:
            self._send(client, response({"asked": self.asked, "answered": self.answered,
                                         "cpu_seconds": time.process_time()}))

    def _send(self, client: socket.socket, reply: bytes) -> None:
        if client in self._half:
            try:
                client.sendall(reply)
            except OSError:
                self._leave(client)

    def _leave(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._half[client]
        client.close()


def response(value: Any) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds before the first token (default 0.2)")
    parser.add_argument("--speed", type=float, default=100, help="tokens a second of one request alone (default 100)")
    parser.add_argument("--capacity", type=float, default=20_000, help="tokens a second of all (default 20000)")
    parser.add_argument("--tokens", type=int, default=120, help="of each completion (default 120)")
    args = parser.parse_args()
    server = Server(Engine(args.latency, args.speed, args.capacity), args.tokens)
    print(server.url, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
