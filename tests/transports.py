"""Transports for tests, and what tests ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from modelwire._transport import HttpxTransport
from modelwire._transport.fast import FastTransport
from modelwire._transport.fast.for_httpx import FastHttpxTransport
from modelwire.errors import ModelClientError
from modelwire.protocols import HttpRequest, Timeouts
from tests.server import ScriptedServer

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable

    from modelwire.protocols import HttpStream

    Made = HttpxTransport | FastTransport

KINDS = ["httpx", "fast"]
"""The transports that a client can choose: they do the same."""
ALL = [*KINDS, "passed httpx", "passed httpx2", "passed fast"]
"""Those, and clients that a user makes."""
SECRET = b"sk-do-not-show-this"
QUICK = Timeouts(connect=4.5, first_byte=4.5, read=4.5, write=4.5)


def post(server: ScriptedServer, path: str = "/v1/chat", body: bytes = b"{}") -> HttpRequest:
    """A request with something in it that no error may show."""
    url = f"{server.url}{path}?key={SECRET.decode()}"
    return HttpRequest(url, [(b"authorization", b"Bearer " + SECRET), (b"content-type", b"application/json")], body)


def make(kind: str, max_connections: int = 2, **settings: Any) -> Made:
    """A transport: `httpx` with a client of its own, `fast`, or one over a passed client of `httpx2`."""
    if kind == "httpx":
        return HttpxTransport(max_connections=max_connections, **settings)
    if kind == "fast":
        return FastTransport(max_connections=max_connections, **settings)
    if kind == "passed fast":
        client = httpx.AsyncClient(transport=FastHttpxTransport(max_connections=max_connections), timeout=5.0)
        return HttpxTransport(http_client=client, **settings)
    library: Any = {"passed httpx": httpx, "passed httpx2": httpx2}[kind]
    return HttpxTransport(
        http_client=library.AsyncClient(limits=library.Limits(max_connections=max_connections), timeout=5.0),
        **settings,
    )


def passed(kind: str, verify: ssl.SSLContext) -> httpx.AsyncClient:
    """A client of httpx: as it is, or over the fast transport."""
    if kind == "fast":
        return httpx.AsyncClient(transport=FastHttpxTransport(verify=verify))
    return httpx.AsyncClient(verify=verify)


async def close(transport: Made) -> None:
    """The transport, and the client that it leaves to who passed it."""
    client = getattr(transport, "_client", None)
    await transport.aclose()
    if client is not None:
        await client.aclose()


def in_use(transport: Made) -> int:
    """Connections and requests that count as busy."""
    if isinstance(transport, FastTransport):
        return transport.core.in_use
    below: Any = transport._client._transport  # type: ignore[union-attr]
    if isinstance(below, FastHttpxTransport):
        return below._core.in_use
    pool = below._pool
    busy = [one for one in pool.connections if not (one.is_idle() or one.is_closed())]
    return len(busy) + len(pool._requests)


async def pieces(stream: HttpStream) -> list[bytes]:
    return [piece async for piece in stream]


async def failure_of(awaitable: Awaitable[object]) -> ModelClientError:
    """The error, after a check that it shows no secret and drags no exception of the library along."""
    with pytest.raises(ModelClientError) as caught:
        await awaitable
    error = caught.value
    assert SECRET.decode() not in f"{error} {error!r} {error.__dict__}"
    assert error.__context__ is None
    assert error.__cause__ is None
    return error


def read_request(connection: socket.socket) -> None:
    """All of a request: a server that closes with some of it unread resets the connection, and its answer may be lost."""
    received, length = b"", 0
    while len(received.partition(b"\r\n\r\n")[2]) < length or b"\r\n\r\n" not in received:
        data = connection.recv(65536)
        if not data:
            raise OSError("the client closed the connection")
        received += data
        length = int(received.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
