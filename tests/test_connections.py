"""Connections to a server: as many as there are requests under way, used again, and given up when they break."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from autorl.models.connections import Connections
from tests.servers import Reply, serving


def ask(client: httpx2.Client, url: str) -> str:
    return str(client.post(f"{url}/chat/completions", json={"messages": []}).json()["choices"][0]["message"]["content"])


def test_requests_one_after_the_other_share_a_connection() -> None:
    with serving(Reply("hi")) as server, httpx2.Client(transport=(connections := Connections())) as client:
        assert [ask(client, server.url) for _ in range(5)] == ["hi"] * 5
        assert len(connections._free) == 1


def test_there_are_as_many_connections_as_requests_at_once() -> None:
    together = threading.Barrier(8)

    def answer(_: object) -> Reply:
        together.wait(60)
        return Reply("hi")

    with serving(answer) as server, httpx2.Client(transport=(connections := Connections())) as client, \
            ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: ask(client, server.url), range(24))) == ["hi"] * 24
        assert len(connections._free) == 8


def test_an_answer_that_breaks_off_spoils_no_later_request() -> None:
    replies = iter([Reply("half", cut=True), Reply("whole")])
    with serving(lambda _: next(replies)) as server, httpx2.Client(transport=Connections()) as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            ask(client, server.url)
        assert ask(client, server.url) == "whole"


def test_a_connection_that_was_refused_is_not_kept() -> None:
    with serving(Reply()) as server:
        url = server.url
    with httpx2.Client(transport=(connections := Connections())) as client, pytest.raises(httpx2.ConnectError):
        ask(client, url)
    assert not connections._free
