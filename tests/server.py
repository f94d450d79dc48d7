"""A small HTTP/1.1 server on the loopback interface that answers what a test tells it to.

It runs in threads of its own with blocking sockets, so that it does not depend on the event loop under test:

    with ScriptedServer() as server:
        server.add(Answer(body=b'{"ok": true}'), Answer(429, headers={"retry-after": "1"}))
        ...                                   # the first request gets the first answer, and so on
        server.requests[0].body               # what came in

A body given as a list is a small script: bytes are written as they stand (one HTTP chunk each), numbers are pauses in
seconds, `HOLD` waits for `server.release()`, `CUT` closes the connection and `RESET` breaks it:

    Answer(body=[b"data: 1\\n\\n", 0.05, b"data: 2\\n\\n", RESET])
    Answer(before=[HOLD])                     # no answer until server.release()
    Answer(body=[b"a", HOLD], framing="close")

A function instead of a list of answers: `ScriptedServer(lambda request: Answer(body=request.body))`.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence


class Step(enum.Enum):
    """A step of a script that is neither bytes nor a pause."""

    HOLD = "wait for release()"
    CUT = "close the connection"
    RESET = "break the connection"


HOLD, CUT, RESET = Step.HOLD, Step.CUT, Step.RESET


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer."""

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes | Sequence[bytes | float | Step] = b""
    framing: Literal["length", "chunked", "close"] | None = None
    """How the end of the body is marked; by default `length` for bytes, `chunked` for a script."""
    length: int | None = None
    """Another `content-length` than that of the body."""
    before: Sequence[float | Step] = ()
    """What happens before the head is written."""
    early: Sequence[int] = ()
    """Informational statuses (1xx) sent ahead."""
    keep_alive: bool = True
    raw: bytes | None = None
    """Sent instead of all of this; then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """Number of the connection it came on, from 0."""


@dataclass(slots=True)
class ScriptedServer:
    """See the top of this file."""

    handler: Callable[[Received], Answer] | None = None
    """Answers when the list of answers is used up."""
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    requests_per_connection: list[int] = field(default_factory=list)
    failed_handshakes: int = 0

    _answers: deque[Answer] = field(default_factory=deque)
    _open: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _released: threading.Event = field(default_factory=threading.Event)
    _stopped: bool = False
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=512))

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return len(self.requests_per_connection)

    @property
    def open_connections(self) -> int:
        """How many connections are open now; one that the client has just closed may still be among them."""
        return len(self._open)

    def add(self, *answers: Answer) -> None:
        """Answers for the next requests, in order."""
        self._answers.extend(answers)

    def release(self) -> None:
        """Let every `HOLD` go on, now and from now on."""
        self._released.set()

    def wait_closed(self, seconds: float = 2.0) -> None:
        """Wait until no connection is open; fails when one stays open. Blocks: call it in a worker thread."""
        end = time.monotonic() + seconds
        while self._open:
            assert time.monotonic() < end, f"{len(self._open)} connections are still open"
            time.sleep(0.005)

    # In threads of the server --------------------------------------------------------------------------------------

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.requests_per_connection.append(0)
                self._open.add(connection)
                number = len(self.requests_per_connection) - 1
            self._start(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            connection = self._secured(connection)
            with connection.makefile("rb") as reader:
                if reader.peek(1)[:1] == b"\x16":  # a TLS handshake; servers answer it like any other nonsense
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                while not self._stopped and self._exchange(connection, reader, number):
                    pass
        except (OSError, ValueError, _GoneError):
            pass  # the client left, or the test is over
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self.tls is None:
            return connection
        secured = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.discard(connection)
            self._open.add(secured)
        try:
            secured.do_handshake()
        except OSError:
            self.failed_handshakes += 1
            with self._lock:
                self._open.discard(secured)
            secured.close()
            raise
        return secured

    def _exchange(self, connection: socket.socket, reader: IO[bytes], number: int) -> bool:
        """One request and its answer; false when the connection is to be closed."""
        received = _read_request(reader, number)
        if received is None:
            return False
        with self._lock:
            self.requests.append(received)
            self.requests_per_connection[number] += 1
            answer = self._answers.popleft() if self._answers else None
        if answer is None:
            if self.handler is None:
                answer = Answer(599, body=b"no answer is scripted for this request")
            else:
                answer = self.handler(received)
        return self._play(connection, answer)

    def _play(self, connection: socket.socket, answer: Answer) -> bool:
        self._steps(connection, answer.before, chunked=False)
        if answer.raw is not None:
            connection.sendall(answer.raw)
            return False
        for status in answer.early:
            connection.sendall(f"HTTP/1.1 {status} Early\r\n\r\n".encode())
        framing = answer.framing or ("length" if isinstance(answer.body, bytes) else "chunked")
        body = [answer.body] if isinstance(answer.body, bytes) else answer.body
        connection.sendall(_head(answer, framing, body))
        self._steps(connection, body, chunked=framing == "chunked")
        if framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        return answer.keep_alive and framing != "close"

    def _steps(self, connection: socket.socket, steps: Sequence[bytes | float | Step], *, chunked: bool) -> None:
        for step in steps:
            match step:
                case bytes():
                    if step:
                        connection.sendall(b"%x\r\n%b\r\n" % (len(step), step) if chunked else step)
                case Step.HOLD:
                    self._pause(connection, None)
                case Step.CUT:
                    raise _GoneError
                case Step.RESET:
                    # Closing with a linger of 0 seconds sends RST instead of FIN.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    raise _GoneError
                case _:
                    self._pause(connection, step)

    def _pause(self, connection: socket.socket, seconds: float | None) -> None:
        """Wait; end early when the client closes the connection, which is all that it can send meanwhile."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._stopped:
            left = 0.02 if end is None else min(0.02, end - time.monotonic())
            if left <= 0 or (end is None and self._released.is_set()):
                return
            if select.select([connection], [], [], left)[0]:
                raise _GoneError


class _GoneError(Exception):
    """The connection is over."""


def _read_request(reader: IO[bytes], number: int) -> Received | None:
    line = reader.readline()
    if not line.strip():
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body, number)


def _head(answer: Answer, framing: str, body: Sequence[bytes | float | Step]) -> bytes:
    headers = dict(answer.headers).items() if hasattr(answer.headers, "items") else answer.headers
    lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{name}: {value}" for name, value in headers)]
    if framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif framing == "length":
        length = sum(len(step) for step in body if isinstance(step, bytes))
        lines.append(f"content-length: {length if answer.length is None else answer.length}")
    if not answer.keep_alive or framing == "close":
        lines.append("connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
