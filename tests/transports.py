"""Transports for tests, and what tests ask of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from modelwire._transport import HttpxStream, HttpxTransport
from modelwire.errors import ModelClientError
from modelwire.protocols import HttpRequest, Timeouts
from tests.server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Awaitable

SECRET = b"sk-do-not-show-this"
QUICK = Timeouts(connect=4.5, first_byte=4.5, read=4.5, write=4.5)


def post(server: ScriptedServer, path: str = "/v1/chat", body: bytes = b"{}") -> HttpRequest:
    """A request with something in it that no error may show."""
    url = f"{server.url}{path}?key={SECRET.decode()}"
    return HttpRequest(url, [(b"authorization", b"Bearer " + SECRET), (b"content-type", b"application/json")], body)


def make(kind: str, max_connections: int = 2) -> HttpxTransport:
    """A transport with a client of its own, or with a passed one of a library."""
    if kind == "own":
        return HttpxTransport(max_connections=max_connections)
    library: Any = {"httpx": httpx, "httpx2": httpx2}[kind]
    return HttpxTransport(
        http_client=library.AsyncClient(limits=library.Limits(max_connections=max_connections), timeout=5.0)
    )


async def close(transport: HttpxTransport) -> None:
    """The transport, and the client that it leaves to who passed it."""
    client = transport._client
    await transport.aclose()
    if client is not None:
        await client.aclose()


def in_use(transport: HttpxTransport) -> int:
    """Connections and requests that the library's pool counts as busy."""
    pool = transport._client._transport._pool  # type: ignore[union-attr]
    busy = [one for one in pool.connections if not (one.is_idle() or one.is_closed())]
    return len(busy) + len(pool._requests)


async def pieces(stream: HttpxStream) -> list[bytes]:
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
