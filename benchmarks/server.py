"""A loopback server in a process of its own, so that its work is not counted as the client's.

It knows no more HTTP than the clients here need, and every answer is ready before it is asked for.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import dialects
from benchmarks.answers import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Generator

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_WIRE = {name.encode(): (answer.wire(), answer.pause) for name, answer in {**ANSWERS, **dialects.ANSWERS}.items()}
_UNKNOWN = [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"]


@contextmanager
def loopback() -> Generator[str]:
    """The URL of a server that runs meanwhile. It ends with this process, however that ends."""
    command = [sys.executable, "-m", "benchmarks.server"]
    root = Path(__file__).resolve().parents[1]
    # Leaving the block closes its standard input, and that ends it.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


def open_many_files() -> None:
    """Let this process have as many connections as the system allows it."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Connection(asyncio.Protocol):
    """Answers the requests of one connection, in order."""

    _transport: asyncio.WriteTransport
    _received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (name := self._next_request()) is not None:
            writes, pause = _WIRE.get(name, (_UNKNOWN, 0.0))
            self._write(writes, pause, 0)

    def _next_request(self) -> bytes | None:
        """First segment of the next complete request's path; `None` when there is none yet."""
        head, end, rest = self._received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if not end or len(rest) < length:
            return None
        self._received = rest[length:]
        return head.split(b"/", 2)[1]

    def _write(self, writes: list[bytes], pause: float, index: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(writes[index])
        if index + 1 < len(writes):
            asyncio.get_running_loop().call_later(pause, self._write, writes, pause, index + 1)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        # Ends when the parent closes it, or is gone.
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    open_many_files()
    asyncio.run(_serve())
