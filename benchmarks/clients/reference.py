"""The limit: kept-alive connections, an `asyncio.Protocol` each, and msgspec. What any client costs beyond this is its own.

It has no bounds, no retries, no TLS, no redirects, no decompression and no time limits; it is a yardstick, not a client.
"""

# ruff: noqa: D102  # what the methods do is said once, by `Caller` and `Streamer`
# ruff: noqa: PERF401  # the loops are those that a user writes

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from benchmarks import wire

if TYPE_CHECKING:
    import trio

    from benchmarks.work import Work


class ResponseParser:
    """Bytes of one HTTP/1.1 response, cut anywhere, to the pieces of its body."""

    __slots__ = ("_chunked", "_held", "_left", "done", "status")

    def __init__(self) -> None:
        self.status = 0
        """0 until the head is complete."""
        self.done = False
        self._held = b""
        self._chunked = False
        self._left = 0
        """Bytes that are still to come of a body that is not chunked."""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body that these bytes complete."""
        data = self._held + data if self._held else data
        self._held = b""
        if not self.status:
            head, end, rest = data.partition(b"\r\n\r\n")
            if not end:
                self._held = data
                return []
            self._read_head(head.lower())
            data = rest
        return self._chunks(data) if self._chunked else self._plain(data)

    def _read_head(self, head: bytes) -> None:
        self.status = int(head[9:12])
        self._chunked = b"\r\ntransfer-encoding: chunked" in head
        if not self._chunked:
            self._left = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])

    def _plain(self, data: bytes) -> list[bytes]:
        self._left -= len(data)
        self.done = self._left <= 0
        return [data] if data else []

    def _chunks(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        start = 0
        while True:
            line_end = data.find(b"\r\n", start)
            if line_end < 0:
                break
            size = int(data[start:line_end], 16)
            end = line_end + 2 + size
            if len(data) < end + 2:
                break
            if not size:
                self.done = True
                return pieces
            pieces.append(data[line_end + 2 : end])
            start = end + 2
        self._held = data[start:]
        return pieces


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    _transport: asyncio.WriteTransport

    def __init__(self) -> None:
        self._parser = ResponseParser()
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces += self._parser.feed(data)
        if self._waiter is not None and (self._pieces or self._parser.done):
            self._waiter.set_result(None)
            self._waiter = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiter is not None:
            self._waiter.set_exception(exc or ConnectionResetError("the server closed the connection"))
            self._waiter = None

    def send(self, head: bytes, body: bytes) -> None:
        self._parser = ResponseParser()
        self._pieces = []
        self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))

    async def read(self) -> list[bytes]:
        """The pieces that have come; none at the end of the answer."""
        if not self._pieces and not self._parser.done:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._parser.status != 200:
            raise ConnectionError(f"status {self._parser.status}")
        pieces, self._pieces = self._pieces, []
        return pieces

    def close(self) -> None:
        self._transport.close()


class _TrioConnection:
    """The same on trio, whose sockets are read and written by whoever waits."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._parser = ResponseParser()
        self._request = b""

    def send(self, head: bytes, body: bytes) -> None:
        self._parser = ResponseParser()
        self._request = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    async def read(self) -> list[bytes]:
        """The pieces that have come; none at the end of the answer."""
        if self._request:
            await self._stream.send_all(self._request)
            self._request = b""
        pieces: list[bytes] = []
        while not pieces and not self._parser.done:
            pieces = self._parser.feed(await self._stream.receive_some(65536))
        if self._parser.status != 200:
            raise ConnectionError(f"status {self._parser.status}")
        return pieces

    def close(self) -> None:
        self._stream.socket.close()


class _Chunks:
    """Typed chunks of a streamed answer, one at a time, as users of a typed client see them."""

    __slots__ = ("_connection", "_frames", "_ready")

    def __init__(self, connection: _Connection | _TrioConnection) -> None:
        self._connection = connection
        self._frames = wire.Frames()
        self._ready: deque[wire.Chunk] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> wire.Chunk:
        while not self._ready:
            pieces = await self._connection.read()
            if not pieces:
                raise StopAsyncIteration
            self._ready.extend(self._frames.feed(b"".join(pieces)))
        return self._ready.popleft()


class ReferenceClient:
    """See the top of this file."""

    name = "raw protocol, structs"

    def __init__(self, server: str, case: str, work: Work) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._wire = work.wire
        self._streamed_wire = work.streamed_wire
        self._head = (
            f"POST /{case}/v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: application/json\r\n"
            "content-type: application/json\r\nauthorization: Bearer sk-benchmark\r\n"
        ).encode()
        self._made: list[_Connection | _TrioConnection] = []
        self._idle: list[_Connection | _TrioConnection] = []

    async def _connected(self) -> _Connection | _TrioConnection:
        if self._idle:
            return self._idle.pop()
        connection = await self._connect()
        self._made.append(connection)
        return connection

    async def _connect(self) -> _Connection | _TrioConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection

    async def call(self) -> str:
        connection = await self._connected()
        connection.send(self._head, wire.encode(self._wire))
        body = b""
        while pieces := await connection.read():
            body += b"".join(pieces)
        self._idle.append(connection)
        return wire.text_of(wire.decode_answer(body))

    async def stream(self) -> str:
        connection = await self._connected()
        connection.send(self._head, wire.encode(self._streamed_wire))
        texts: list[str] = []
        async for chunk in _Chunks(connection):
            texts.append(wire.delta_of(chunk))
        self._idle.append(connection)
        return "".join(texts)

    async def aclose(self) -> None:
        for connection in self._made:
            connection.close()


class TrioReferenceClient(ReferenceClient):
    """The limit on trio."""

    name = "raw sockets, structs"

    async def _connect(self) -> _TrioConnection:
        import trio

        return _TrioConnection(await trio.open_tcp_stream(self._host, self._port))
