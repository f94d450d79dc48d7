"""Kept connections: last in, first out; nothing is scanned, and no task and no timer watches them.

The most recently used one is taken, since it is the least likely to have been closed by the server; those that have been
idle for too long lie at the other end and are closed as others come and go.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from modelwire._transport.fast.connection import Failure

if TYPE_CHECKING:
    import ssl

    from modelwire._transport.fast.connection import Connection, Network, Origin


class Pool:
    """The connections of one client in one event loop."""

    def __init__(self, network: Network, *, limit: int, keep: int, keep_seconds: float) -> None:
        self.network = network
        self._limit = limit
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._idle: dict[Origin, deque[Connection]] = {}
        self._idle_count = 0
        self._open = 0
        """Connections that are open, being made, or promised to somebody in the line."""
        self._line: deque[_Turn] = deque()
        self._all: set[Connection] = set()
        self._closed = False

    @property
    def in_use(self) -> int:
        """Connections that belong to a request, and requests that wait for one."""
        return self._open - self._idle_count + len(self._line)

    def pop(self, origin: Origin) -> Connection | None:
        """An idle connection."""
        idle = self._idle.get(origin)
        if not idle:
            return None
        expired = self.network.now() - self._keep_seconds
        while idle:
            connection = idle.pop()
            self._idle_count -= 1
            if connection.alive and connection.idle_since >= expired and connection.is_quiet():
                return connection
            self._idle_count += 1
            self._remove(connection)
        return None

    async def take(
        self, origin: Origin, tls: ssl.SSLContext | None, limit: float | None, *, fresh: bool = False
    ) -> Connection | Failure:
        """A connection where `pop` has none; waiting for it has a limit in seconds. `fresh` for a new one in any case."""
        if fresh:
            self._close_idle(origin)
        if self._open < self._limit:
            self._open += 1
        elif not self._evict():
            turn = await self._stand_in_line(origin, limit)
            if isinstance(turn, Failure):
                return turn
            if turn is not None:
                if not fresh:
                    return turn
                turn.abort()
                self._all.discard(turn)
        return await self._connect(origin, tls, limit)

    def release(self, connection: Connection) -> None:
        """Give back a connection whose answer was read to its end."""
        if self._closed or not connection.response.reusable or not connection.rest():
            self.discard(connection)
            return
        connection.response.begin()  # now rather than with the next request: there may be a hundred idle connections
        if self._line:
            turn = self._line.popleft()
            if turn.origin == connection.origin:
                turn.give(connection)
            else:
                connection.abort()
                self._all.discard(connection)
                turn.give(None)
            return
        if self._idle_count >= self._keep:
            self.discard(connection)
            return
        now = self.network.now()
        connection.idle_since = now
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = deque()
        idle.append(connection)
        self._idle_count += 1
        oldest = idle[0]
        if oldest.idle_since + self._keep_seconds < now:
            self._remove(idle.popleft())

    def discard(self, connection: Connection) -> None:
        """Close a connection that is in use; repeatable."""
        connection.abort()
        if connection in self._all:
            self._all.discard(connection)
            self._free()

    def lost(self, connection: Connection) -> None:
        """An idle connection was closed by the server."""
        idle = self._idle.get(connection.origin)
        if idle is not None and connection in idle:
            idle.remove(connection)
            self._remove(connection)

    async def aclose(self) -> None:
        """Close all connections, those in use included."""
        self._closed = True
        self._idle.clear()
        self._idle_count = 0
        for connection in self._all:
            connection.abort()
        self._all.clear()
        while self._line:
            self._line.popleft().give(Failure("closed", "by this client"))
        await self.network.settle()

    def forget(self) -> None:
        """Drop everything without a word, because the event loop is gone."""
        self._closed = True
        self._all.clear()
        self._idle.clear()

    # Idle ones -----------------------------------------------------------------------------------------------------

    def _close_idle(self, origin: Origin) -> None:
        """One was found closed by the server: the others may be too."""
        for connection in self._idle.pop(origin, ()):
            self._remove(connection)

    def _evict(self) -> bool:
        """Close one idle connection and keep its place."""
        for origin, idle in self._idle.items():
            if idle:
                connection = idle.popleft()
                if not idle:
                    del self._idle[origin]
                connection.abort()
                self._all.discard(connection)
                self._idle_count -= 1
                return True
        return False

    def _remove(self, connection: Connection) -> None:
        """Close one that is not among the idle ones any more but still counted."""
        self._idle_count -= 1
        self.discard(connection)

    # Places --------------------------------------------------------------------------------------------------------

    def _free(self) -> None:
        """A place is free: for the first in the line, or for whoever comes."""
        if self._line:
            self._line.popleft().give(None)
        else:
            self._open -= 1

    async def _stand_in_line(self, origin: Origin, limit: float | None) -> Connection | Failure | None:
        """Wait for a place: with a connection to this origin in it, or without."""
        turn = _Turn(origin)
        self._line.append(turn)
        try:
            with anyio.move_on_after(limit):
                await turn.came.wait()
        except BaseException:
            if not turn.given:
                self._line.remove(turn)
            elif turn.gift is None:
                self._free()
            elif not isinstance(turn.gift, Failure):
                self.release(turn.gift)
            raise
        if turn.given:
            return turn.gift
        self._line.remove(turn)
        return Failure("pool")

    async def _connect(self, origin: Origin, tls: ssl.SSLContext | None, limit: float | None) -> Connection | Failure:
        failure = Failure("connect timeout")
        try:
            with anyio.move_on_after(limit):
                connection = await self.network.connect(origin, tls)
                self._all.add(connection)
                if not self._closed:
                    return connection
                self.discard(connection)
                return Failure("closed", "by this client")
        except (OSError, UnicodeError) as error:  # a name that is none is a UnicodeError
            failure = Failure("connect", error=error)
        except BaseException:
            self._free()
            raise
        self._free()
        return failure


class _Turn:
    """One that waits for a place."""

    __slots__ = ("came", "gift", "given", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.came = anyio.Event()
        self.given = False
        self.gift: Connection | Failure | None = None

    def give(self, gift: Connection | Failure | None) -> None:
        """A connection, a place for one, or the news that there will be none."""
        self.given = True
        self.gift = gift
        self.came.set()
