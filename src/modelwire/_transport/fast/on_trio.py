"""Connections on trio."""

from __future__ import annotations

import math
import select
from typing import TYPE_CHECKING, Literal

import trio

from modelwire._transport.fast.connection import READ_AHEAD, Failure
from modelwire._transport.fast.response import Response

if TYPE_CHECKING:
    import ssl

    from modelwire._transport.fast.connection import Origin
    from modelwire.protocols import Timeouts


class TrioNetwork:
    """Implements `Network` for one run of trio."""

    def __init__(self) -> None:
        self.now = trio.current_time

    async def connect(self, origin: Origin, tls: ssl.SSLContext | None) -> TrioConnection:
        """A new connection."""
        stream = await trio.open_tcp_stream(origin.host, origin.port)
        if tls is None:
            return TrioConnection(origin, stream, stream)
        secured = trio.SSLStream(stream, tls, server_hostname=origin.host, https_compatible=True)
        try:
            await secured.do_handshake()
        except trio.BrokenResourceError as error:
            failure = _of_the_system(error)
        except BaseException:
            stream.socket.close()
            raise
        else:
            return TrioConnection(origin, stream, secured)
        stream.socket.close()
        raise failure  # out here: inside, its context would be the error whose cause it is

    async def settle(self) -> None:
        """Sockets are closed at once here."""


class TrioConnection:
    """Implements `Connection`."""

    __slots__ = (
        "_poll",
        "_socket",
        "_stream",
        "alive",
        "failure",
        "idle_since",
        "origin",
        "response",
        "served",
    )

    def __init__(
        self, origin: Origin, plain: trio.SocketStream, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
    ) -> None:
        self.origin = origin
        self.response = Response()
        self.alive = True
        self.failure: Failure | None = None
        self.served = 0
        self.idle_since = 0.0
        self._socket = plain.socket
        self._poll: select.poll | None = None
        self._stream = stream

    async def send(self, head: bytes, body: bytes, timeouts: Timeouts, *, head_only: bool = False) -> Failure | None:
        """Send a request and wait for the head of its answer."""
        response = self.response
        if head_only:
            response.head_only = True  # it is not used again after that
        self.served += 1
        failure = await self._write(head, body, timeouts.write)
        if failure is not None:
            return failure
        deadline = math.inf if timeouts.first_byte is None else trio.current_time() + timeouts.first_byte
        while not response.head:
            if response.error:
                return Failure("protocol", response.error)
            failure = await self._read("first byte", deadline)
            if failure is not None:
                return failure
        return None

    async def wait(self, limit: float | None) -> bool:
        """Wait for more of the body, or a failure; whether the time was over first."""
        self.failure = await self._read("read", math.inf if limit is None else trio.current_time() + limit)
        return False

    def rest(self) -> bool:
        """Become idle."""
        return self.alive

    def is_quiet(self) -> bool:
        """Whether nothing has come since the last answer: the end of the connection, most likely."""
        if not hasattr(select, "poll"):  # Windows
            return not select.select([self._socket.fileno()], [], [], 0)[0]
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._socket.fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close at once."""
        self.alive = False
        self._socket.close()
        self.response.close()

    async def _write(self, head: bytes, body: bytes, limit: float | None) -> Failure | None:
        """Send piece by piece, so that a long request has as long as it needs, as long as it moves."""
        data = memoryview(head + body)
        try:
            for start in range(0, len(data), READ_AHEAD):
                with trio.move_on_after(math.inf if limit is None else limit) as scope:
                    await self._stream.send_all(data[start : start + READ_AHEAD])
                if scope.cancelled_caught:
                    return Failure("write")
        except trio.BrokenResourceError:
            pass  # the server may have said why before it closed
        except trio.ClosedResourceError:
            return Failure("closed", "by this client")
        return None

    async def _read(self, kind: Literal["first byte", "read"], deadline: float) -> Failure | None:
        response = self.response
        data = None
        try:
            with trio.CancelScope(deadline=deadline):
                data = await self._stream.receive_some(READ_AHEAD)
        except trio.ClosedResourceError:
            return Failure("closed", "by this client")
        except trio.BrokenResourceError as error:
            self.alive = False
            cause = _of_the_system(error)
            return Failure("broken", error=cause)
        if data is None:
            return Failure(kind)
        if data:
            response.feed(data)
            return None
        self.alive = False
        return None if response.end() else Failure("closed", response.missing())


def _of_the_system(error: trio.BrokenResourceError) -> OSError:
    """What trio wraps up."""
    cause = error.__cause__
    return cause if isinstance(cause, OSError) else OSError(str(error) or "broken")
