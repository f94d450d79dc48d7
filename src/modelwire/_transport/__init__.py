"""The HTTP transport: the only file that touches an HTTP library.

The library is httpx, or httpx2, its continuation, when the user passes a client of it. Both are used in the same narrow
way: requests are prepared by hand, which costs a tenth of `build_request`. A passed client sends them, with
`send(stream=True)`, so that its hooks, auth, cookies, redirects and proxies keep working; of a client of our own, the
transport beneath it does.

What makes this file longer than two calls is giving connections back: on `break`, errors, time limits, cancellation
(twice over, too), a close from another task, and for streams that were dropped; on asyncio and on trio.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import ssl
import sys
import time
from collections import deque
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from modelwire._transport.closing import (
    close_handshakes,
    close_idle,
    closed_unanswered,
    drained,
    repair_pools,
    uninterrupted,
)
from modelwire._transport.errors import closed_elsewhere, sent_for_nothing, shown, too_large, translated
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.protocols import HttpResponse, Timeouts

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Generator,
        Mapping,
        Sequence,
    )
    from http.cookiejar import CookieJar
    from typing import Self

    import httpx
    import httpx2

    from modelwire.protocols import HttpRequest
    from modelwire.types import Attempt

    Client = httpx.AsyncClient | httpx2.AsyncClient
    Response = httpx.Response | httpx2.Response
    Limits = dict[str, float | None]  # the names of httpx: connect, pool, read, write

MAX_BODY = 256 * 2**20
"""Bytes of a whole answer, decompressed, beyond which it is refused: no model answers that much."""

MAX_CONNECTIONS = 1000
"""Connections of a client to all hosts; what the vendors' SDKs allow too."""

KEEPALIVE_CONNECTIONS = 100
KEEPALIVE_SECONDS = 55.0
"""Below the 60 seconds after which common load balancers drop an idle connection. httpx's own default of 5 seconds means
a new TLS handshake whenever a tool has run for longer."""

DEFAULTS = Timeouts()


def _proxy(library: Any, url: str) -> Any:
    """A proxy; the library's own error would show the password that may stand in the URL."""
    try:
        return library.Proxy(url)
    except (ValueError, library.InvalidURL):
        pass
    raise ValueError("proxy: not the URL of a proxy, such as 'http://host:3128' or 'http://user:password@host:3128'")


class _Target(NamedTuple):
    """What is known of a URL that requests go to."""

    url: Any
    """As the library has it."""
    host: bytes
    send: Callable[[Any], Awaitable[Response]]


class HttpxTransport:
    """Implements `modelwire.protocols.Transport` over the pooled connections of httpx.

    Without `http_client`, a client is made at the first call. It takes its proxies from the environment, as httpx does,
    follows no redirects and keeps no cookies.

    A passed `http_client` keeps its limits, headers, cookies, query parameters, event hooks, auth, redirects, mounts and
    proxies, and is never closed here. Where a request sets the same header or parameter, the request's value is sent;
    `host` and `content-length` are always the request's. Each time limit is, in this order: what the caller set
    (differs from the default of `Timeouts`); the client's own, if its `timeout` is not httpx's default of 5 seconds, which
    no model can be expected to keep; the default of `Timeouts`.

    Use one transport in one event loop.
    """

    def __init__(
        self,
        *,
        http_client: Client | None = None,
        max_connections: int | None = None,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        proxy: str | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        if http_client is not None and (max_connections is not None or verify is not True or proxy is not None):
            raise ValueError(
                "max_connections, verify and proxy have no effect on a passed http_client: set them where it is made."
            )
        refuse_unverified(verify)
        self._library: Any = importlib.import_module(_library_of(http_client))
        self._client: Client | None = http_client
        self._passed = http_client is not None
        self._closed = False
        self._verify = verify
        self._proxy = None if proxy is None else _proxy(self._library, proxy)
        self._max_connections = MAX_CONNECTIONS if max_connections is None else max_connections
        self._body: Any = _body_type(self._library)
        self._unset_timeout = self._library.Timeout(5.0)
        self._targets: dict[str, _Target] = {}
        self._client_headers: Sequence[tuple[bytes, bytes]] = ()
        self._base_headers: Sequence[tuple[bytes, bytes]] = ()
        self.dropped: deque[HttpxStream] = deque()
        self.max_body = max_body
        self.errors: tuple[type[Exception], ...] = (
            self._library.HTTPError,
            self._library.InvalidURL,
            self._library.StreamError,
            OSError,  # of a socket; TLS errors of a running connection too
        )

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """Send a request and read the whole answer."""
        stream = await self.stream(request, timeouts)
        return HttpResponse(stream.status, stream.headers, await stream.read(), stream.earlier)

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> HttpxStream:
        """Send a request and return at the answer's headers."""
        client = self._open_client()
        if self.dropped:
            await self._close_dropped()
        target = self._targets.get(request.url) or self._target(client, request.url)
        limits = self._limits(client, timeouts)
        prepared = self._prepare(client, request, target, limits)
        response, earlier = await self._answer(client, target.send, prepared, limits)
        # httpcore reads this entry once before the headers and once more when the body begins (HTTP/2: at each frame).
        limits["read"] = self._read_limit(client, timeouts)
        return HttpxStream(self, response, target.url, limits, earlier)

    async def aclose(self) -> None:
        """Close what this transport made, streams that were dropped included; repeatable."""
        self._closed = True
        try:
            await self._close_dropped()
        finally:
            client, self._client = self._client, None
            if client is not None and not self._passed:
                await uninterrupted(client.aclose)

    async def reclaim(self, limits: Limits, cancelled: BaseException | None = None) -> None:
        """Free what httpcore may have left in use by the request that these limits belong to."""
        if cancelled is not None:
            await close_handshakes(cancelled.__traceback__)
        if self._client is not None:
            await repair_pools(self._client, limits)

    # The client ----------------------------------------------------------------------------------------------------

    def _open_client(self) -> Client:
        if self._closed:
            raise RuntimeError("This client is closed: make a new one.")
        if self._client is None:
            self._client = self._library.AsyncClient(
                verify=tls_context(self._verify),
                proxy=self._proxy,
                limits=self._library.Limits(
                    max_connections=self._max_connections,
                    max_keepalive_connections=min(KEEPALIVE_CONNECTIONS, self._max_connections),
                    keepalive_expiry=KEEPALIVE_SECONDS,
                ),
                timeout=None,
                cookies=_no_cookies(),
            )
        return cast("Client", self._client)

    async def _close_dropped(self) -> None:
        while self.dropped:
            await self.dropped.popleft().aclose()

    # The request ---------------------------------------------------------------------------------------------------

    def _target(self, client: Client, text: str) -> _Target:
        url = None
        with contextlib.suppress(self._library.InvalidURL):
            url = self._library.URL(text)
        if url is None:  # it is not shown, since its parts cannot be told apart
            raise BadRequestError("The URL of the request is not valid: its host, port or characters. Check base_url.")
        if url.scheme not in ("http", "https") or not url.host:
            raise BadRequestError(f"{shown(url)!r} is not an http:// or https:// URL. Check base_url.")
        if client.params:
            url = url.copy_with(params=client.params.merge(url.params))
        if len(self._targets) >= 256:
            self._targets.clear()
        self._targets[text] = target = _Target(url, url.netloc, self._sender(client, url))
        return target

    def _sender(self, client: Client, url: Any) -> Callable[[Any], Awaitable[Response]]:
        """What sends a request to this URL.

        A passed client does it itself, with its hooks, auth, cookies and redirects; and any client makes the header of a
        user and password in the URL. Ours has nothing else to do, and its transport for this URL (a proxy's or not) sends
        directly: that takes a tenth off a call. How a client chooses is no public method: where it is missing, the client
        sends.
        """
        choose = None if self._passed or url.userinfo else getattr(client, "_transport_for_url", None)
        return partial(client.send, stream=True) if choose is None else choose(url).handle_async_request

    def _prepare(self, client: Client, request: HttpRequest, target: _Target, limits: Limits) -> Any:
        """`Request` with `headers` and `stream` ready does none of the merging that `build_request` repeats per call."""
        raw = client.headers.raw
        if raw != self._client_headers:
            self._client_headers = raw
            self._base_headers = _base_headers(raw)
        names = {name for name, _ in request.headers}
        headers = [(b"host", target.host)]
        headers += [header for header in self._base_headers if header[0] not in names]
        headers += request.headers
        if request.body or request.method != "GET":
            headers.append((b"content-length", b"%d" % len(request.body)))
        prepared = self._library.Request(
            request.method,
            target.url,
            headers=headers,
            cookies=client.cookies if self._passed and client.cookies else None,
            stream=self._body(request.body),
            extensions={"timeout": limits},
        )
        if self._passed:
            prepared.read()  # hooks and auth that sign may look at `request.content`
        return prepared

    def _limits(self, client: Client, timeouts: Timeouts) -> Limits:
        """The time limits until the headers, under httpx's names."""
        connect, first_byte, _, write = timeouts
        limits: Limits = {"connect": connect, "pool": connect, "read": first_byte, "write": write}
        theirs = client.timeout
        if self._passed and theirs != self._unset_timeout:
            if connect == DEFAULTS.connect:
                limits["connect"], limits["pool"] = theirs.connect, theirs.pool
            if first_byte == DEFAULTS.first_byte:
                limits["read"] = theirs.read
            if write == DEFAULTS.write:
                limits["write"] = theirs.write
        return limits

    def _read_limit(self, client: Client, timeouts: Timeouts) -> float | None:
        """The time limit between two pieces of the body."""
        theirs = client.timeout
        if self._passed and theirs != self._unset_timeout and timeouts.read == DEFAULTS.read:
            return theirs.read
        return timeouts.read

    async def _answer(
        self, client: Client, send: Callable[[Any], Awaitable[Response]], prepared: Any, limits: Limits
    ) -> tuple[Response, Sequence[Attempt]]:
        """The answer, and what was sent for nothing before: see `FastCore.exchange`, which does the same."""
        earlier: Sequence[Attempt] = ()
        started = time.monotonic()
        while True:
            try:
                return await send(prepared), earlier
            except self._library.HTTPStatusError as error:
                # A hook of the user called `raise_for_status`; the codec knows better what the status means.
                if error.request.extensions.get("timeout") is limits:
                    return cast("Response", error.response), earlier
                failure = translated(error, prepared.url, limits)
            except self.errors as error:
                closed = None if earlier or _request_of(error) not in (None, prepared) else closed_unanswered(error)
                if closed is not None:
                    earlier = (sent_for_nothing(time.monotonic() - started),)
                    await close_idle(client, closed)
                    continue
                failure = translated(error, prepared.url, limits, headers=prepared.headers.raw)
            except BaseException as error:  # cancelled
                await uninterrupted(partial(self.reclaim, limits, error))
                raise
            break
        failure.earlier = earlier
        # Raised out here, so that the library's error, which holds the request with its credentials, is not its context.
        try:
            raise failure
        finally:
            del failure  # a variable of a frame that its traceback holds: a cycle


def _request_of(error: BaseException) -> Any:
    """The request that an error of the library is about; a client's transport, where it sends directly, names none."""
    try:
        return getattr(error, "request", None)
    except RuntimeError:  # it has none
        return None


class HttpxStream:
    """Implements `modelwire.protocols.HttpStream`."""

    status: int
    headers: Mapping[bytes, bytes]
    earlier: Sequence[Attempt]

    __slots__ = (
        "_chunks",
        "_closed",
        "_generators",
        "_limits",
        "_reading",
        "_response",
        "_transport",
        "_url",
        "earlier",
        "headers",
        "status",
    )

    def __init__(
        self, transport: HttpxTransport, response: Response, url: Any, limits: Limits, earlier: Sequence[Attempt]
    ) -> None:
        self.earlier = earlier
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.raw}
        self._transport = transport
        self._response = response
        self._url = url
        self._limits = limits
        self._chunks: AsyncIterator[bytes] | None = None
        self._generators: list[AsyncGenerator[Any, Any]] = []
        self._reading = False
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the body, decompressed."""
        if self._closed:
            raise StopAsyncIteration
        if self._reading:
            raise RuntimeError("Two tasks read from the same stream.")
        self._reading = True
        failure: ModelClientError | None = None
        try:
            if self._chunks is None:
                piece = await _Capturing(self._first(), self._generators)
            else:
                piece = await self._chunks.__anext__()
            if not self._closed:
                self._reading = False
                return piece
            failure = closed_elsewhere(shown(self._url))
        except StopAsyncIteration:
            if self._response.is_closed:  # the library gave the connection back
                self._closed, self._reading = True, False
                raise
        except self._transport.errors as error:
            failure = (
                closed_elsewhere(shown(self._url))
                if self._closed
                else translated(error, self._url, self._limits, in_body=True)
            )
        except BaseException:
            await self._stop_reading()
            raise
        await self._stop_reading()
        if failure is None:
            raise StopAsyncIteration
        try:
            raise failure
        finally:
            del failure  # as in `_answer`

    async def read(self) -> bytes:
        """The rest of the body; then the connection is free again."""
        limit = self._transport.max_body
        pieces: list[bytes] = []
        size = 0
        async for piece in self:
            size += len(piece)
            if size > limit:
                await self.aclose()
                raise too_large(shown(self._url), limit, self.status)
            pieces.append(piece)
        return b"".join(pieces)

    async def drain(self, grace: float) -> None:
        """Read and drop what is left, for at most `grace` seconds, then close."""
        await drained(self, grace)

    async def aclose(self) -> None:
        """Give the connection back, whatever was read; repeatable, from any task, and safe under cancellation."""
        if self._closed:
            return
        self._closed = True
        await uninterrupted(self._give_back)

    def abandon(self) -> None:
        """Leave the closing to the transport, which does it before its next request."""
        if not self._closed:
            self._transport.dropped.append(self)

    def __del__(self) -> None:
        # Only what was opened and lost before its owner could take care of it comes here unclosed.
        if not getattr(self, "_closed", True):
            self.abandon()

    async def _first(self) -> bytes:
        response = self._response
        if response.is_stream_consumed:  # a hook read it
            self._chunks = response.aiter_bytes()
        elif response.is_closed:  # a hook raised before it was read
            raise StopAsyncIteration
        elif self.headers.get(b"content-encoding", b"identity") != b"identity":
            self._chunks = response.aiter_bytes()
        else:
            self._chunks = response.aiter_raw()
        return await self._chunks.__anext__()

    async def _stop_reading(self) -> None:
        self._reading = False
        if self._closed:  # by another task, which had to leave the generators to this one
            await uninterrupted(self._close_generators)
        else:
            await self.aclose()

    async def _give_back(self) -> None:
        try:
            await self._response.aclose()  # frees the slot of the library's pool
        finally:
            if not self._reading:
                await self._close_generators()
            await self._transport.reclaim(self._limits)

    async def _close_generators(self) -> None:
        """Close the library's nested generators, innermost first.

        In any other order trio reports those that an outer one leaves to the garbage collector.
        """
        while self._generators:
            with contextlib.suppress(Exception):
                await self._generators.pop().aclose()


class _Capturing:
    """Awaits a coroutine and collects the async generators that are first iterated inside it.

    They are left without finalizer: their owner closes them. The hooks are set around each single step, so that no other
    task sees them.
    """

    __slots__ = ("_coroutine", "_started")

    def __init__(self, coroutine: Coroutine[Any, Any, bytes], started: list[AsyncGenerator[Any, Any]]) -> None:
        self._coroutine = coroutine
        self._started = started

    def __await__(self) -> Generator[Any, Any, bytes]:
        step: Callable[[Any], Any] = self._coroutine.send
        argument: Any = None
        while True:
            hooks = sys.get_asyncgen_hooks()
            sys.set_asyncgen_hooks(firstiter=self._started.append, finalizer=None)
            try:
                item = step(argument)
            except StopIteration as stop:
                return cast("bytes", stop.value)
            finally:
                sys.set_asyncgen_hooks(*hooks)
            try:
                argument = yield item
                step = self._coroutine.send
            except BaseException as error:  # noqa: BLE001  # thrown into the coroutine, which decides
                argument = error
                step = self._coroutine.throw


class _Once:
    """Iterates over one piece. Where httpx uses an async generator, a cancelled write leaves it unfinished."""

    __slots__ = ("_piece",)

    def __init__(self, piece: bytes) -> None:
        self._piece: bytes | None = piece

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece, self._piece = self._piece, None
        if piece is None:
            raise StopAsyncIteration
        return piece


@lru_cache(maxsize=2)
def _body_type(library: Any) -> type:
    class Body(library.ByteStream):  # type: ignore[misc]  # of whichever library it is
        def __init__(self, body: bytes) -> None:
            super().__init__(body)
            self._body = body

        def __aiter__(self) -> _Once:
            return _Once(self._body)

    return Body


def _no_cookies() -> CookieJar:
    """A jar that keeps nothing: an API for programs needs no cookies, and httpx looks for them in each answer."""
    from http.cookiejar import CookieJar  # noqa: PLC0415  # slow to load, and only httpx needs it

    class NoCookies(CookieJar):
        def extract_cookies(self, response: Any, request: Any) -> None:
            pass

    return NoCookies()


# Settings --------------------------------------------------------------------------------------------------------------


def _library_of(http_client: object) -> str:
    """Name of the library that a client is from, by the classes it derives from."""
    if http_client is None:
        return "httpx"
    for kind in type(http_client).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in ("httpx", "httpx2") and kind.__name__ == "AsyncClient":
            return library
    raise TypeError(
        f"http_client must be an httpx.AsyncClient or httpx2.AsyncClient, not {type(http_client).__qualname__}."
    )


def refuse_unverified(verify: object) -> None:
    """Raise `ValueError` for `False`."""
    if verify is False:
        raise ValueError(
            "verify=False would send the API key to anyone on the way. Pass verify='/path/to/ca.pem' for a server with "
            "a private certificate authority, or an ssl.SSLContext for anything special."
        )


def tls_context(verify: bool | str | os.PathLike[str] | ssl.SSLContext) -> ssl.SSLContext:
    """The context that a `verify` means."""
    return verify if isinstance(verify, ssl.SSLContext) else shared_tls(verify)


def shared_tls(verify: bool | str | os.PathLike[str]) -> ssl.SSLContext:
    """One context for all clients with equal settings: making one takes 15 ms or more."""
    if isinstance(verify, bool):
        # The variables that httpx and OpenSSL read; certifi's list of authorities otherwise.
        return _tls(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"), None)
    path = os.fspath(verify)
    changed = os.stat(path).st_mtime_ns  # noqa: PTH116  # raises an error that names the path
    return _tls(None, path, changed) if os.path.isdir(path) else _tls(path, None, changed)  # noqa: PTH112


@lru_cache(maxsize=16)
def _tls(file: str | None, folder: str | None, _changed: int | None) -> ssl.SSLContext:
    if not file and not folder:
        import certifi  # noqa: PLC0415

        file = certifi.where()
    return ssl.create_default_context(cafile=file or None, capath=folder or None)


def _base_headers(raw: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A client's headers as they go into each request."""
    return [
        (name, b"modelwire " + value if name == b"user-agent" and value.startswith(b"python-httpx") else value)
        for name, value in ((name.lower(), value) for name, value in raw)
        if name not in (b"host", b"content-length", b"transfer-encoding")
    ]
