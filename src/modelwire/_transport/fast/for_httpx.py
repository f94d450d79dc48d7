"""The fast transport's wire beneath httpx, for whoever wants httpx's interface: `httpx.AsyncClient(transport=...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from modelwire._transport import KEEPALIVE_CONNECTIONS, KEEPALIVE_SECONDS, MAX_CONNECTIONS, errors
from modelwire._transport.fast import Exchange, FastCore, build_head
from modelwire._transport.fast.connection import Failure
from modelwire._transport.fast.target import to_target
from modelwire.errors import BadRequestError
from modelwire.protocols import Timeouts

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import AsyncIterator, Mapping

_OF_THE_BODY = (b"host", b"content-length", b"transfer-encoding")

_KINDS: dict[str, type[httpx.TransportError]] = {
    "pool": httpx.PoolTimeout,
    "connect timeout": httpx.ConnectTimeout,
    "connect": httpx.ConnectError,
    "write": httpx.WriteTimeout,
    "first byte": httpx.ReadTimeout,
    "read": httpx.ReadTimeout,
    "closed": httpx.RemoteProtocolError,
    "broken": httpx.ReadError,
    "protocol": httpx.RemoteProtocolError,
}


class FastHttpxTransport(httpx.AsyncBaseTransport):
    """The fast transport under an `httpx.AsyncClient`, whose hooks, auth, cookies, redirects and time limits all work.

    ```python
    httpx.AsyncClient(transport=FastHttpxTransport(), timeout=30)
    ```

    It speaks HTTP/1.1, without proxies; an `httpx.AsyncClient` with a `transport` takes no proxies from the environment
    either. `max_connections` bounds the connections open at once, `keepalive_connections` those that are kept idle, for at
    most `keepalive_seconds`. `verify` is a file or folder of certificate authorities, or a TLS context, by default
    certifi's authorities; client certificates are part of a context. A request's body is sent whole, with its length, also
    where it was given as an iterator. Raises the exceptions of httpx, and `ValueError` for `verify=False`. Use one in one
    event loop.
    """

    def __init__(
        self,
        *,
        max_connections: int = MAX_CONNECTIONS,
        keepalive_connections: int = KEEPALIVE_CONNECTIONS,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
    ) -> None:
        self._core = FastCore(
            max_connections=max_connections,
            keepalive_connections=keepalive_connections,
            keepalive_seconds=keepalive_seconds,
            verify=verify,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return at the answer's headers."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in request.stream])
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        timeouts = Timeouts(limits.get("connect"), limits.get("read"), limits.get("read"), limits.get("write"))
        exchange = await self._exchange(request, body, timeouts)
        if isinstance(exchange, Failure):
            raise _to_error(exchange, request)
        return httpx.Response(
            exchange.response.status,
            headers=exchange.response.raw_headers,
            stream=_Body(exchange, limits, request),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def _exchange(self, request: httpx.Request, body: bytes, timeouts: Timeouts) -> Exchange | Failure:
        try:
            # Credentials in the URL are already in a header.
            target = to_target(str(request.url.copy_with(userinfo=b"", fragment=None)))
            headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _OF_THE_BODY]
            host = request.headers.get("host", "").encode("latin-1") or target.host
            head = build_head(request.method, target._replace(host=host), headers)
        except BadRequestError as error:
            kind = (
                httpx.UnsupportedProtocol if request.url.scheme not in ("http", "https") else httpx.LocalProtocolError
            )
            failure = kind(error.message, request=request)
        else:
            sized = body or "content-length" in request.headers or "transfer-encoding" in request.headers
            head += b"content-length: %d\r\n\r\n" % len(body) if sized else b"\r\n"
            return await self._core.exchange(target, head, body, timeouts, head_only=request.method == "HEAD")
        raise failure

    async def aclose(self) -> None:
        """Close all connections; repeatable."""
        await self._core.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; its own iterator, because httpx's async generators have to be collected when left early."""

    def __init__(self, exchange: Exchange, limits: Mapping[str, float | None], request: httpx.Request) -> None:
        self._exchange = exchange
        self._limits = limits
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = await self._exchange.receive(self._limits.get("read"))
        if isinstance(data, Failure):
            raise _to_error(data, self._request)
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        self._exchange.close()


def _to_error(failure: Failure, request: httpx.Request) -> Any:
    cause = failure.error
    text = failure.reason or (errors.reason_of(cause) if cause is not None else "")
    error = _KINDS[failure.kind](text, request=request)
    error.__cause__ = cause
    return error
