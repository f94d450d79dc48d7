"""The emulator's HTTP: one thread that accepts, one for each connection, loopback only."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from modelwire.emulator._connection import Connection, Gone
from modelwire.emulator._script import echo, resolved
from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from modelwire.emulator._connection import Received
    from modelwire.emulator._script import Answer, Reply
    from modelwire.types import ChatRequest

HOST = "127.0.0.1"
MAX_KEPT = 1000
MAX_KEPT_BYTES = 256 * 1024 * 1024
"""Requests that are remembered, and bytes of their bodies: the last ones."""
_JOIN = 5.0


class Emulator:
    """A server on this machine that answers in the providers' wire formats; `with` starts and ends it.

    `answers` are given in order, one for each request that asks for an answer; see `Answer` for what they can be. Without
    any, `otherwise` says what is answered: by default `echo`. Once a script is used up, further requests are refused with
    a 400, unless `otherwise` is given. Requests for a count of tokens get an estimate and use no answer up.

    The server takes a free port unless `port` names one, listens on the loopback interface alone, and accepts any key. An
    emulator is started once. Raises `OSError` on entering when the port is taken.
    """

    def __init__(self, answers: Iterable[Answer] = (), *, otherwise: Answer | None = None, port: int = 0) -> None:
        if isinstance(answers, str):
            raise TypeError("answers is a list, such as ['Hello'], not a str")
        self._answers: deque[Answer] = deque(answers)
        self._otherwise: Answer | None = otherwise if otherwise is not None or self._answers else echo
        self._port = port
        self._requests: deque[Received] = deque()
        self._kept = 0
        self._count = 0
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self._open: dict[socket.socket, threading.Thread] = {}
        self.stopped = False

    # ------------------------------------------------------------------ what a test uses

    @property
    def port(self) -> int:
        """The port; known while the server runs."""
        if self._listener is None:
            raise RuntimeError("the emulator does not run yet: use it as `with Emulator() as emulator:`")
        return self._port

    @property
    def url(self) -> str:
        """The `base_url` for every client."""
        return f"http://{HOST}:{self.port}"

    @property
    def requests(self) -> list[Received]:
        """The requests up to now, in order; the last 1000 of them, or fewer large ones."""
        with self._lock:
            return list(self._requests)

    def add(self, *answers: Answer) -> None:
        """Answers for the next requests, after those that are still to be given."""
        with self._lock:
            self._answers.extend(answers)
            if self._otherwise is echo:
                self._otherwise = None

    def __enter__(self) -> Self:
        if self._listener is not None:
            raise RuntimeError("an emulator is started once: make another one")
        self._listener = socket.create_server((HOST, self._port), backlog=128)
        self._port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, args=(self._listener,), name="emulator", daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listener is not None
        assert self._accepting is not None
        self.stopped = True
        # A connection ends `accept` on every system; closing the listener does not.
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
            pass
        self._accepting.join(_JOIN)
        self._listener.close()
        with self._lock:
            left = dict(self._open)
            for connection in left:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # ends what waits for it
        for thread in left.values():
            thread.join(_JOIN)

    # ------------------------------------------------------------------ in threads of the server

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, address = listener.accept()
            if self.stopped:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection, address), name="emulator", daemon=True)
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            # A client may leave at any time, and `__exit__` closes what is open.
            with contextlib.suppress(OSError, Gone):
                Connection(connection, address, self)
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()

    def note(self, received: Received) -> int:
        """Remember a request; gives its number."""
        with self._lock:
            self._requests.append(received)
            self._kept += len(received.body)
            while len(self._requests) > MAX_KEPT or self._kept > MAX_KEPT_BYTES:
                self._kept -= len(self._requests.popleft().body)
            self._count += 1
            return self._count

    def next_reply(self, request: ChatRequest) -> Reply:
        """The next answer of the script.

        Raises `BadRequestError` when there is none.
        """
        with self._lock:
            if self._answers:
                answer = self._answers.popleft()
            elif self._otherwise is not None:
                answer = self._otherwise
            else:
                raise BadRequestError("the emulator's script is used up: no answer is left for this request")
        return resolved(answer, request)
