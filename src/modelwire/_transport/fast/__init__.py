"""The fast transport: HTTP/1.1 made for this traffic, a fraction of what a general HTTP library costs.

It does what calls to models need, the same way as the transport over httpx, and no more: no proxies, no HTTP/2, no
redirects, no cookies. Who needs those stays with httpx.
"""

from __future__ import annotations

import sys
import zlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire._transport import (
    KEEPALIVE_CONNECTIONS,
    KEEPALIVE_SECONDS,
    MAX_BODY,
    MAX_CONNECTIONS,
    errors,
    refuse_unverified,
    tls_context,
)
from modelwire._transport.closing import DRAIN_BYTES
from modelwire._transport.fast.connection import Failure
from modelwire._transport.fast.pool import Pool
from modelwire._transport.fast.response import Response, decompressor
from modelwire._transport.fast.target import to_target
from modelwire.protocols import HttpResponse

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Self

    from modelwire._transport.fast.connection import Connection
    from modelwire._transport.fast.response import Decompressor
    from modelwire._transport.fast.target import Target
    from modelwire.errors import ModelClientError
    from modelwire.protocols import HttpRequest, Timeouts
    from modelwire.types import Attempt

    Headers = Sequence[tuple[bytes, bytes]]

_DEFAULTS = ((b"accept", b"*/*"), (b"accept-encoding", b"gzip, deflate"), (b"user-agent", b"modelwire"))
"""Headers of every request that has none of these names."""

_OURS = frozenset((b"host", b"content-length", b"transfer-encoding"))


class Exchange:
    """A request that was answered: its connection, until the body is read."""

    __slots__ = ("connection", "earlier", "pool", "response")

    def __init__(self, pool: Pool, connection: Connection, unanswered: float | None) -> None:
        """`unanswered` are the seconds that it took on a kept connection before, until that was found closed."""
        self.pool = pool
        self.connection: Connection | None = connection
        self.response: Response = connection.response
        self.earlier: Sequence[Attempt] = () if unanswered is None else (errors.sent_for_nothing(unanswered),)

    async def receive(self, limit: float | None) -> bytes | Failure:
        """The next bytes of the body; none at its end, when the connection has been given back."""
        connection = self.connection
        if connection is None:
            return b""
        response = self.response
        while not response.pieces and not response.complete:
            failure = Failure("protocol", response.error) if response.error else connection.failure
            if failure is None:
                try:
                    over = await connection.wait(limit)
                except BaseException:
                    self.close()
                    raise
                if not over:
                    continue
                failure = Failure("read")
            self.close()
            return failure
        data = response.take()
        if response.complete:
            self.close()
        return data

    def rest(self) -> bytes | None:
        """What is left of the body, where all of it has come; then the connection has been given back."""
        if self.connection is None or not self.response.complete:
            return None
        data = self.response.take()
        self.close()
        return data

    def close(self) -> None:
        """Give the connection back, or close it when the answer is not complete; repeatable."""
        connection, self.connection = self.connection, None
        if connection is not None:
            if self.response.complete:
                self.pool.release(connection)
            else:
                self.pool.discard(connection)


class FastCore:
    """The pool and the wire: what `FastTransport` and the transport for httpx have in common."""

    def __init__(
        self,
        *,
        max_connections: int = MAX_CONNECTIONS,
        keepalive_connections: int = KEEPALIVE_CONNECTIONS,
        keepalive_seconds: float = KEEPALIVE_SECONDS,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
    ) -> None:
        refuse_unverified(verify)
        self._verify = verify
        self._tls: ssl.SSLContext | None = None
        self._pool: Pool | None = None
        self._loop: Any = None
        self._running_loop: Callable[[], Any] = lambda: None
        """What tells the event loop that runs here, by the one of the last request."""
        self._new_pool = partial(
            Pool,
            limit=max_connections,
            keep=min(keepalive_connections, max_connections),
            keep_seconds=keepalive_seconds,
        )
        self._closed = False

    @property
    def in_use(self) -> int:
        """Connections that belong to a request, and requests that wait for one."""
        return 0 if self._pool is None else self._pool.in_use

    def pool(self) -> Pool:
        """The connections in the running event loop.

        Raises `RuntimeError` after `aclose`, and in another event loop than before, while that one lives.
        """
        pool = self._pool
        if pool is not None and self._running_loop() is self._loop:
            return pool
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")
        return self._of_loop()

    def _of_loop(self) -> Pool:
        asyncio = sys.modules.get("asyncio")  # not imported for this: trio does without
        if asyncio is not None:
            self._running_loop = asyncio._get_running_loop  # noqa: SLF001  # documented, but for its underscore
        loop = self._running_loop()
        # trio can run as a guest inside asyncio's loop; then there is a loop, but no task of it.
        if loop is None or asyncio is None or asyncio.current_task() is None:
            import trio  # noqa: PLC0415  # who runs it has it

            loop = trio.lowlevel.current_trio_token()
            self._running_loop = _trio_token
        if self._pool is not None:
            if loop is self._loop:
                return self._pool
            if not _is_over(self._loop):
                raise RuntimeError(
                    "This client is used in another event loop, or after a fork: its connections belong to the one where "
                    "it was used first. Make one client for each."
                )
            self._pool.forget()
        self._loop = loop
        self._pool = pool = self._new_pool(_network(loop, self._lost))
        return pool

    def _lost(self, connection: Connection) -> None:
        if self._pool is not None:
            self._pool.lost(connection)

    async def exchange(
        self, target: Target, head: bytes, body: bytes, timeouts: Timeouts, *, head_only: bool = False
    ) -> Exchange | Failure:
        """Send a request, and be back with the head of its answer.

        A kept connection may be closed by the server in the very moment that it is used again. Where nothing of an answer
        has come, the request is sent again, once and on a new connection (`docs/architecture.md` says why that is right).
        """
        pool = self.pool()
        origin = target.origin
        tls = self._tls_context() if origin.scheme == "https" else None
        connection = pool.pop(origin) or await pool.take(origin, tls, timeouts.connect)
        if isinstance(connection, Failure):
            return connection
        unanswered = None
        reused = connection.served > 0
        started = pool.network.now() if reused else 0.0
        while True:
            try:
                failure = await connection.send(head, body, timeouts, head_only=head_only)
            except BaseException:
                pool.discard(connection)
                raise
            if failure is None:
                return Exchange(pool, connection, unanswered)
            pool.discard(connection)
            stale = reused and failure.kind in ("closed", "broken") and not connection.response.started
            if not stale or self._closed:
                return failure._replace(unanswered=unanswered)
            reused = False
            unanswered = pool.network.now() - started
            connection = await pool.take(origin, tls, timeouts.connect, fresh=True)
            if isinstance(connection, Failure):
                return connection._replace(unanswered=unanswered)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._verify)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def aclose(self) -> None:
        """Close all connections, those in use included; repeatable."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is not None:
            if _is_over(self._loop):
                pool.forget()
            else:
                await pool.aclose()


def _trio_token() -> Any:
    """Trio's run that is under way here, if there is one."""
    import trio  # noqa: PLC0415

    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None


def _network(loop: Any, lost: Any) -> Any:
    if hasattr(loop, "create_connection"):
        from modelwire._transport.fast.on_asyncio import AsyncioNetwork  # noqa: PLC0415  # trio does without asyncio

        return AsyncioNetwork(loop, lost)
    from modelwire._transport.fast.on_trio import TrioNetwork  # noqa: PLC0415  # and asyncio without trio

    return TrioNetwork()


def _is_over(loop: Any) -> bool:
    """Whether an event loop has ended; its connections have ended with it."""
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    import trio  # noqa: PLC0415

    try:
        loop.run_sync_soon(lambda: None)
    except trio.RunFinishedError:
        return True
    return False


class FastTransport:
    """Implements `modelwire.protocols.Transport` over connections of its own.

    TLS trusts what the transport over httpx trusts: the authorities of certifi, or those that `SSL_CERT_FILE`,
    `SSL_CERT_DIR` or `verify` name. Use one transport in one event loop.
    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        max_body: int = MAX_BODY,
    ) -> None:
        self.core = FastCore(
            max_connections=MAX_CONNECTIONS if max_connections is None else max_connections, verify=verify
        )
        self.max_body = max_body
        self.dropped: deque[FastStream] = deque()
        self._targets: dict[str, Target] = {}
        self._heads: dict[int, _Head] = {}

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """Send a request and read the whole answer."""
        target, head = self._prepared(request)
        exchange = await self.core.exchange(target, head, request.body, timeouts, head_only=request.method == "HEAD")
        if isinstance(exchange, Failure):
            raise to_error(exchange, target, timeouts)
        response = exchange.response
        status, headers = response.status, response.headers
        body = None if b"content-encoding" in headers else exchange.rest()  # a short answer has come at once
        if body is None:
            stream = self._stream(exchange, target, timeouts)
            return HttpResponse(status, headers, await stream.read(), stream.earlier)
        if len(body) > self.max_body:
            raise errors.too_large(target.shown, self.max_body, status)
        return HttpResponse(status, headers, body, exchange.earlier)

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> FastStream:
        """Send a request and return at the answer's headers."""
        target, head = self._prepared(request)
        exchange = await self.core.exchange(target, head, request.body, timeouts, head_only=request.method == "HEAD")
        if isinstance(exchange, Failure):
            raise to_error(exchange, target, timeouts)
        return self._stream(exchange, target, timeouts)

    def _prepared(self, request: HttpRequest) -> tuple[Target, bytes]:
        """Where it goes, and its head."""
        while self.dropped:
            self.dropped.popleft().close()
        target = self._targets.get(request.url) or self._target(request.url)
        return target, self._head(request, target)

    def _stream(self, exchange: Exchange, target: Target, timeouts: Timeouts) -> FastStream:
        try:
            return FastStream(self, exchange, target, timeouts)
        except ValueError as error:  # of a content-encoding
            exchange.close()
            failure = errors.unreadable(target.shown, str(error))
        raise failure

    async def aclose(self) -> None:
        """Close what this transport made, streams that were dropped included; repeatable."""
        self.dropped.clear()
        self._heads.clear()  # they hold credentials
        await self.core.aclose()

    def _target(self, url: str) -> Target:
        target = to_target(url)
        if len(self._targets) >= 256:
            self._targets.clear()
        self._targets[url] = target
        return target

    def _head(self, request: HttpRequest, target: Target) -> bytes:
        """The head of a request: the same as that of the request before, but for its length, more often than not."""
        method, url, headers, body = request.method, request.url, request.headers, request.body
        known = self._heads.get(id(headers))
        if known is None or known.method != method or known.url != url:
            known = _Head(method, url, headers, build_head(method, target, [*_with_defaults(headers)]))
            if type(headers) is tuple:  # a list may be another one the next time
                if len(self._heads) >= 64:
                    self._heads.clear()
                self._heads[id(headers)] = known
        if body or method != "GET":
            return b"%bcontent-length: %d\r\n\r\n" % (known.head, len(body))
        return known.head + b"\r\n"


class _Head(NamedTuple):
    """A head that was built."""

    method: str
    url: str
    headers: Headers
    """Kept so that no other object can have its `id` meanwhile, under which this is found."""
    head: bytes


def _with_defaults(headers: Headers) -> Headers:
    names = {name.lower() for name, _ in headers}
    return [*(header for header in _DEFAULTS if header[0] not in names), *headers]


def build_head(method: str, target: Target, headers: Headers) -> bytes:
    """A request's first line and headers, but for those about its body.

    Raises `BadRequestError` for what HTTP does not allow.
    """
    if not method.isascii() or not errors.is_legal(method.encode(), b""):
        raise errors.illegal_request(())
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), target.path, target.host)]
    if target.authorization is not None:
        headers = [header for header in headers if header[0].lower() != b"authorization"]
        headers = [*headers, (b"authorization", target.authorization)]
    for name, value in headers:
        if not errors.is_legal(name, value) or name.lower() in _OURS:
            raise errors.illegal_request(headers)
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def to_error(failure: Failure, target: Target, timeouts: Timeouts) -> ModelClientError:
    """What a failure means to the caller."""
    error = _to_error(failure, target, timeouts)
    if failure.unanswered is not None:
        error.earlier = (errors.sent_for_nothing(failure.unanswered),)
    return error


def _to_error(failure: Failure, target: Target, timeouts: Timeouts) -> ModelClientError:
    url, origin = target.shown, target.shown_origin
    match failure.kind:
        case "pool":
            return errors.pool_timeout(origin, timeouts.connect)
        case "connect timeout":
            return errors.connect_timeout(origin, timeouts.connect)
        case "connect":
            assert failure.error is not None
            return errors.not_connected(failure.error, origin)
        case "write":
            return errors.write_timeout(origin, timeouts.write)
        case "first byte":
            return errors.first_byte_timeout(url, timeouts.first_byte)
        case "read":
            return errors.read_timeout(url, timeouts.read)
        case "protocol":
            return errors.not_http(url, failure.reason)
        case "broken":
            assert failure.error is not None
            return errors.broken(origin, failure.error)
        case "closed":
            return errors.closed_early(origin, failure.reason)


class FastStream:
    """Implements `modelwire.protocols.HttpStream`."""

    status: int
    headers: Mapping[bytes, bytes]
    earlier: Sequence[Attempt]

    __slots__ = (
        "_closed",
        "_decompressor",
        "_exchange",
        "_reading",
        "_target",
        "_timeouts",
        "_transport",
        "earlier",
        "headers",
        "status",
    )

    def __init__(self, transport: FastTransport, exchange: Exchange, target: Target, timeouts: Timeouts) -> None:
        self._closed = True  # until all is well: `__del__` looks at it
        response = exchange.response
        self.status = response.status
        self.headers = headers = response.headers
        self.earlier = exchange.earlier
        self._transport = transport
        self._exchange = exchange
        self._target = target
        self._timeouts = timeouts
        self._decompressor: Decompressor | None = decompressor(headers)
        self._reading = False
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        """The next piece of the body, decompressed."""
        return self._next() if self._decompressor is None else self._next_decompressed(self._decompressor)

    async def _next(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        if self._reading:
            raise RuntimeError("Two tasks read from the same stream.")
        self._reading = True
        try:
            data = await self._exchange.receive(self._timeouts.read)
        except BaseException:
            self._closed = True
            raise
        finally:
            self._reading = False
        if self._closed:
            raise errors.closed_elsewhere(self._target.shown)
        if not data:
            self._closed = True
            raise StopAsyncIteration
        if isinstance(data, Failure):
            self._closed = True
            raise to_error(data, self._target, self._timeouts)
        return data

    async def _next_decompressed(self, decompress: Decompressor) -> bytes:
        try:
            piece = b"" if self._closed else decompress.more()
            while not piece:
                piece = decompress.feed(await self._next())
        except zlib.error as error:
            failure = errors.unreadable(self._target.shown, str(error))
        else:
            return piece
        self.close()
        raise failure

    async def read(self) -> bytes:
        """The rest of the body; then the connection is free again."""
        limit = self._transport.max_body
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size > limit:
                self.close()
                raise errors.too_large(self._target.shown, limit, self.status)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def drain(self, grace: float) -> None:
        """Read and drop what is left, for at most `grace` seconds, then close."""
        if self._closed:
            return
        self._closed = True
        exchange = self._exchange
        now = exchange.pool.network.now
        end = now() + grace
        left = DRAIN_BYTES
        try:
            while left >= 0 and (grace := end - now()) > 0:
                data = await exchange.receive(grace)
                if not data or isinstance(data, Failure):
                    break
                left -= len(data)
        finally:
            exchange.close()

    async def aclose(self) -> None:
        """Give the connection back, whatever was read; repeatable, from any task, and safe under cancellation."""
        self.close()

    def close(self) -> None:
        """The same; nothing of it has to wait."""
        self._closed = True
        self._exchange.close()

    def abandon(self) -> None:
        """Leave the closing to the transport, which does it before its next request."""
        if not self._closed:
            self._transport.dropped.append(self)

    def __del__(self) -> None:
        # Only what was opened and lost before its owner could take care of it comes here unclosed.
        if not getattr(self, "_closed", True):
            self.abandon()
