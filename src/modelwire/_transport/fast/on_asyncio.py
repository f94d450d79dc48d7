"""Connections on asyncio, uvloop included: one protocol, one timer and no task for each."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, cast

from modelwire._transport.fast.connection import READ_AHEAD, SMALL, Failure
from modelwire._transport.fast.response import Response

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from modelwire._transport.fast.connection import Origin
    from modelwire.protocols import Timeouts

    _Address = tuple[socket.AddressFamily, Any]

HAPPY_EYEBALLS = 0.25
"""Seconds until the next address of a host is tried beside the first (RFC 8305)."""


class AsyncioNetwork:
    """Implements `Network` for one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[AsyncioConnection], None]) -> None:
        self._loop = loop
        self._lost = lost
        # One for all: it is filled and emptied within one step of the loop.
        self._buffer = memoryview(bytearray(READ_AHEAD))
        self.now = time.monotonic

    async def connect(self, origin: Origin, tls: ssl.SSLContext | None) -> AsyncioConnection:
        """A new connection."""
        loop = self._loop
        connected = await _connected(loop, await _addresses(loop, origin))
        _, connection = await loop.create_connection(
            lambda: AsyncioConnection(origin, loop, self._buffer, self._lost),
            sock=connected,
            ssl=tls,
            server_hostname=None if tls is None else origin.host,
        )
        return connection

    async def settle(self) -> None:
        """The loop closes a socket in its next step, one with TLS in the one after."""
        for _ in range(3):
            await asyncio.sleep(0)


async def _addresses(loop: asyncio.AbstractEventLoop, origin: Origin) -> list[_Address]:
    """In the order to try them: the families in turn, beginning with the one that the system prefers."""
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    families = list(dict.fromkeys(family for family, *_ in found))
    by_family = [[(family, address) for of, *_, address in found if of == family] for family in families]
    return [entry for entries in zip_longest(*by_family) for entry in entries if entry is not None]


async def _connected(loop: asyncio.AbstractEventLoop, addresses: list[_Address]) -> socket.socket:
    """A socket to the first address that takes one (RFC 8305).

    `create_connection` can do this too, but leaves sockets open where it is cancelled (until Python 3.13), and uvloop's tries
    one address after the other.
    """
    if len(addresses) == 1:
        return await _attempt(loop, addresses[0])
    tasks: list[asyncio.Task[socket.socket]] = []
    error: BaseException = OSError("there is no address")
    try:
        waiting: set[asyncio.Task[socket.socket]] = set()
        for address in [*addresses, None]:
            if address is not None:
                tasks.append(loop.create_task(_attempt(loop, address)))
                waiting.add(tasks[-1])
            while waiting:
                limit = HAPPY_EYEBALLS if address is not None else None
                done, waiting = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    failed = task.exception()
                    if failed is None:
                        tasks.remove(task)
                        return task.result()
                    error = failed
                if address is not None:
                    break
    finally:
        for task in tasks:
            task.cancel()
            task.add_done_callback(_close_unwanted)
    raise error


def _close_unwanted(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _attempt(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    family, where = address
    attempt = socket.socket(family, socket.SOCK_STREAM)
    try:
        attempt.setblocking(False)  # positional only
        await loop.sock_connect(attempt, where)
    except BaseException:
        attempt.close()
        raise
    return attempt


class AsyncioConnection(asyncio.BufferedProtocol):
    """Implements `Connection`."""

    __slots__ = (
        "_ahead",
        "_buffer",
        "_deadline",
        "_fires",
        "_head_awaited",
        "_held",
        "_left",
        "_loop",
        "_lost",
        "_paused",
        "_resting",
        "_timer",
        "_transport",
        "_waiter",
        "alive",
        "failure",
        "idle_since",
        "origin",
        "response",
        "served",
    )

    def __init__(
        self,
        origin: Origin,
        loop: asyncio.AbstractEventLoop,
        buffer: memoryview,
        lost: Callable[[AsyncioConnection], None],
    ) -> None:
        self.origin = origin
        self.response = Response()
        self.alive = True
        self.served = 0
        self.idle_since = 0.0
        self._loop = loop
        self._buffer = buffer
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._head_awaited = False
        self.failure: Failure | None = None
        self._paused = False
        self._left = 0
        """Bytes of the request that the operating system had not taken when the timer last looked."""
        self._ahead = 0
        """Bytes that came since the reader last had to wait."""
        self._held = False
        """Whether the operating system keeps further bytes."""
        self._resting = False
        # There is one timer at most. It is not moved with each wait, but looks at the deadline when it fires.
        self._timer: asyncio.TimerHandle | None = None
        self._fires = math.inf
        self._deadline = math.inf

    # What the owner calls ------------------------------------------------------------------------------------------

    async def send(self, head: bytes, body: bytes, timeouts: Timeouts, *, head_only: bool = False) -> Failure | None:
        """Send a request and wait for the head of its answer."""
        self._resting = False
        response = self.response
        if head_only:
            response.head_only = True  # it is not used again after that
        self.served += 1
        transport = self._transport
        if transport is None:
            return self.failure
        if len(body) <= SMALL:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        self._head_awaited = True
        while not response.head:
            if self.failure is not None:
                return self.failure
            if response.error:
                return Failure("protocol", response.error)
            if self._paused:
                self._left = transport.get_write_buffer_size()
                if await self._wait(timeouts.write):
                    return Failure("write")
            elif await self._wait(timeouts.first_byte):
                return Failure("first byte")
        self._head_awaited = False
        return None

    def wait(self, limit: float | None) -> asyncio.Future[bool]:
        """Wait for more of the body, or a failure; whether the time was over first."""
        self._go_on()
        return self._wait(limit)

    def rest(self) -> bool:
        """Become idle."""
        transport = self._transport
        if transport is None or not self.alive or transport.get_write_buffer_size():
            return False
        self._resting = True
        self._go_on()
        return True

    def is_quiet(self) -> bool:
        """The event loop tells by itself."""
        return True

    def abort(self) -> None:
        """Close at once."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self.response.close()
        self._fail(Failure("closed", "by this client"))

    def _go_on(self) -> None:
        self._ahead = 0
        if self._held:
            self._held = False
            if self._transport is not None:
                self._transport.resume_reading()

    # Waiting -------------------------------------------------------------------------------------------------------

    def _wait(self, limit: float | None) -> asyncio.Future[bool]:
        """Something new; the result is whether the time was over first."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        if limit is None:
            self._deadline = math.inf
        else:
            self._deadline = deadline = self._loop.time() + limit
            if self._timer is None:
                self._timer, self._fires = self._loop.call_at(deadline, self._on_timer), deadline
            elif self._fires > deadline:
                self._timer.cancel()
                self._timer, self._fires = self._loop.call_at(deadline, self._on_timer), deadline
        return waiter

    def _wake(self, *, over: bool = False) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # it may have been cancelled
            waiter.set_result(over)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiter is None or self._deadline == math.inf:
            return
        left = self._deadline - self._loop.time()
        if left <= 0 and self._paused and self._transport is not None:
            size = self._transport.get_write_buffer_size()
            if size < self._left:  # the server takes the request, slowly
                self._wake()
                return
        if left <= 0:
            self._wake(over=True)
        else:
            self._fires = self._deadline
            self._timer = self._loop.call_at(self._fires, self._on_timer)

    def _fail(self, failure: Failure) -> None:
        if self.failure is None:
            self.failure = failure
        self._wake()

    # What the event loop calls -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, its TLS included."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # part of the interface
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        if self._resting:
            self._drop()  # nobody asked: an answer to nothing, such as a 408 before the server closes
            return
        response = self.response
        response.feed(self._buffer[:nbytes])
        self._ahead += nbytes
        waiter = self._waiter
        if waiter is None:
            # Nobody reads: what is more than a little may wait in the operating system, which slows the server down.
            if self._ahead >= READ_AHEAD and self._transport is not None and not self._held:
                self._held = True
                self._transport.pause_reading()
        elif response.pieces or response.complete or response.error or (self._head_awaited and response.head):
            self._waiter = None
            if not waiter.done():  # it may have been cancelled
                waiter.set_result(False)

    def eof_received(self) -> None:
        """The server sends no more; asyncio closes the connection then."""
        if self._resting:
            self._drop()
        elif self.response.end():
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if self._transport is None:  # by `abort`
            return
        if self._resting:
            self._drop()
            return
        self.alive = False
        self._fail(Failure("closed", self.response.missing()) if exc is None else Failure("broken", error=exc))

    def _drop(self) -> None:
        """An idle connection that is of no more use."""
        if self.alive:
            self.abort()
            self._lost(self)

    def pause_writing(self) -> None:
        """The server is slower than the request is long."""
        self._paused = True

    def resume_writing(self) -> None:
        """The request is sent, but for what the operating system still has of it."""
        self._paused = False
        if self._head_awaited:
            self._wake()
