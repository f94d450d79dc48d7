"""What a connection is to the pool and the streams, whatever event loop it lives in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable

    from modelwire._transport.fast.response import Response
    from modelwire.protocols import Timeouts

READ_AHEAD = 64 * 1024
"""Bytes that are read at once, and of a body that are kept for a reader who is slower than the server."""

SMALL = 64 * 1024
"""Bytes of a request's body up to which it goes out in one write with its head."""


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    """As the resolver takes it: in ASCII, an IPv6 address without brackets."""
    port: int


class Failure(NamedTuple):
    """Why an exchange failed. A value, not an exception: errors with a story of other errors behind them show secrets."""

    kind: Literal["pool", "connect timeout", "connect", "write", "first byte", "read", "closed", "broken", "protocol"]
    reason: str = ""
    error: BaseException | None = None
    """What the operating system or TLS said, where they did."""
    unanswered: float | None = None
    """Seconds that an earlier sending took on a kept connection that was found closed; mostly `None`."""


class Connection(Protocol):
    """A connection; between `send` and the end of the answer it belongs to one request."""

    origin: Origin
    response: Response
    alive: bool
    """Whether it can be used; it turns false by itself where the event loop notices that the server closed it."""
    failure: Failure | None
    """Why nothing more will come."""
    served: int
    """Requests that were sent over it."""
    idle_since: float
    """On the clock of the pool."""

    async def send(self, head: bytes, body: bytes, timeouts: Timeouts, *, head_only: bool) -> Failure | None:
        """Send a request and wait for the head of its answer."""
        ...

    def wait(self, limit: float | None) -> Awaitable[bool]:
        """Wait for more of the body, or a `failure`, at most `limit` seconds; whether the time was over first."""
        ...

    def rest(self) -> bool:
        """Become idle; false where it has been closed meanwhile."""
        ...

    def is_quiet(self) -> bool:
        """Whether nothing has come since it became idle, as far as `alive` does not tell."""
        ...

    def abort(self) -> None:
        """Close at once, without a word to the server; repeatable."""
        ...


class Network(Protocol):
    """What connections are made of in one event loop."""

    async def connect(self, origin: Origin, tls: ssl.SSLContext | None) -> Connection:
        """A new connection. Raises `OSError`, as TLS errors are too."""
        ...

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def settle(self) -> None:
        """Let the sockets of aborted connections be closed."""
        ...
