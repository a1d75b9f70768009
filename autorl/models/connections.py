"""Connections to a server, for a thousand requests at once.

The pool of httpcore looks at all its connections at every request and at every answer: with a thousand of them that
takes longer than the request itself. Here each stands alone and is found at once.
"""

from collections.abc import Iterator

import httpx2

ONE = httpx2.Limits(max_connections=1, max_keepalive_connections=1)


class Connections(httpx2.BaseTransport):
    """As many connections as there are requests under way; the one that was used last is used next."""

    def __init__(self) -> None:
        self._free: list[httpx2.HTTPTransport] = []
        self._context = httpx2.create_ssl_context()  # costs more than a connection

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            connection = self._free.pop()
        except IndexError:
            connection = httpx2.HTTPTransport(verify=self._context, limits=ONE)
        try:
            response = connection.handle_request(request)
        except BaseException:
            connection.close()
            raise
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Answer(response.stream, connection, self._free)
        return response

    def close(self) -> None:
        while self._free:
            self._free.pop().close()


class _Answer(httpx2.SyncByteStream):
    """What comes back on a connection, which is free again when this is closed."""

    def __init__(self, stream: httpx2.SyncByteStream, connection: httpx2.HTTPTransport,
                 free: list[httpx2.HTTPTransport]) -> None:
        self._stream, self._connection, self._free = stream, connection, free

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()
        self._free.append(self._connection)
