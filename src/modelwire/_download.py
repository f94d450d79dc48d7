"""Content of addresses that stand in a conversation, bounded in size, time, number of redirects and scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import anyio

from modelwire._conversion import Fetched
from modelwire.errors import BadRequestError, ModelClientError, ModelTimeoutError
from modelwire.protocols import HttpRequest, Timeouts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import TypeAlias

    from modelwire.protocols import HttpStream, Transport

    Fetch: TypeAlias = Callable[[str], Awaitable[bytes | Fetched]]

MAX_BYTES = 20 * 2**20
"""Bytes of one file: what the providers take inline is less than that, or little more."""
MAX_TOTAL = 100 * 2**20
"""Bytes of all files of one conversation: no provider takes a larger request."""
MAX_SECONDS = 60.0
"""Seconds for one file, redirects included."""
MAX_REDIRECTS = 5
MAX_AT_ONCE = 4

_TIMEOUTS = Timeouts(connect=10, first_byte=30, read=30, write=30)
_HEADERS = ((b"accept", b"*/*"), (b"accept-encoding", b"identity"))
"""Not compressed: a small answer cannot become a large one."""
_REDIRECTS = (301, 302, 303, 307, 308)


class Downloads:
    """The downloads of one handover."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._left = MAX_TOTAL

    async def fetch(self, url: str) -> Fetched:
        """The content of an `http` or `https` address.

        Raises `BadRequestError` for an address of another kind and for content beyond the bounds, `ModelTimeoutError`,
        and what the transport raises.
        """
        with anyio.move_on_after(MAX_SECONDS):
            for _ in range(MAX_REDIRECTS + 1):
                if urlsplit(url).scheme not in ("http", "https"):
                    raise BadRequestError("only http:// and https:// are fetched")
                stream = await self._transport.stream(HttpRequest(url, _HEADERS, b"", "GET"), _TIMEOUTS)
                try:
                    if stream.status not in _REDIRECTS or b"location" not in stream.headers:
                        return await self._read(stream)
                    url = urljoin(url, stream.headers[b"location"].decode("latin-1"))
                finally:
                    await stream.aclose()
            raise BadRequestError(f"more than {MAX_REDIRECTS} redirects")
        raise ModelTimeoutError(f"it took more than {MAX_SECONDS:g} seconds")

    async def _read(self, stream: HttpStream) -> Fetched:
        if stream.status != 200:
            raise BadRequestError(f"the server answers with status {stream.status}", status_code=stream.status)
        if stream.headers.get(b"content-encoding", b"identity") != b"identity":
            raise BadRequestError("the server compresses it, although it was asked not to")
        pieces: list[bytes] = []
        size = 0
        async for piece in stream:
            size += len(piece)
            self._left -= len(piece)
            if size > MAX_BYTES:
                raise BadRequestError(f"it is larger than {MAX_BYTES} bytes")
            if self._left < 0:
                raise BadRequestError(f"all together are larger than {MAX_TOTAL} bytes")
            pieces.append(piece)
        kind = stream.headers.get(b"content-type", b"").partition(b";")[0].strip().decode("latin-1").lower()
        return Fetched(b"".join(pieces), kind or None)


async def fetch_all(urls: Iterable[str], fetch: Fetch) -> dict[str, Fetched | str]:
    """What each address holds, or why that cannot be known."""
    found: dict[str, Fetched | str] = {}
    limiter = anyio.Semaphore(MAX_AT_ONCE)

    async def one(url: str) -> None:
        async with limiter:
            try:
                got = await fetch(url)
            except ModelClientError as error:
                found[url] = error.message
            except Exception as error:  # noqa: BLE001  # of the user's function: it goes into the report
                found[url] = f"{type(error).__name__}: {error}"
            else:
                found[url] = Fetched(got) if isinstance(got, bytes) else got

    async with anyio.create_task_group() as group:
        for url in urls:
            group.start_soon(one, url)
    return found


async def fetch_public(urls: Iterable[str]) -> dict[str, Fetched | str]:
    """The same by an HTTP client of its own, from public addresses alone."""
    from modelwire._transport.public import PublicTransport  # noqa: PLC0415  # loads the HTTP library

    transport = PublicTransport()
    try:
        return await fetch_all(urls, Downloads(transport).fetch)
    finally:
        await transport.aclose()
