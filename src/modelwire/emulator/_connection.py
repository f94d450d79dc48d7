"""One connection to the emulator: requests in, answers out, whole or piece by piece."""

from __future__ import annotations

import math
import select
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from modelwire import __version__, tokens
from modelwire.emulator._anthropic import Anthropic
from modelwire.emulator._dialect import Asked, encoded, status_of
from modelwire.emulator._gemini import Gemini
from modelwire.emulator._ollama import Ollama
from modelwire.emulator._openai_chat import OpenAIChat
from modelwire.emulator._openai_responses import OpenAIResponses
from modelwire.emulator._script import echo, to_result
from modelwire.errors import (
    BadRequestError,
    ConnectionFailedError,
    ModelClientError,
    ModelTimeoutError,
    ProtocolError,
    StreamInterruptedError,
)
from modelwire.types import CreateResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.emulator._dialect import Dialect, Json, Verb
    from modelwire.emulator._script import Reply
    from modelwire.types import ChatRequest

DIALECTS: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), Anthropic(), Gemini(), Ollama())
MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request's body; a larger one is answered with 413."""
_JSON = "application/json"
_GARBAGE = b"<html><body>The emulator's script asks for an answer that is none.</body></html>"


class Received(NamedTuple):
    """A request that came in. Its `repr` leaves out the path and the headers, which may hold keys."""

    dialect: str
    """The wire format, such as `openai-chat`."""
    verb: Verb
    """Whether it asks for an answer, or only how many tokens the prompt has."""
    request: ChatRequest
    """What it says, whatever the format."""
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """As it came."""

    def __repr__(self) -> str:
        return f"Received({self.dialect}, {self.verb}, {self.request!r})"


class Gone(Exception):  # noqa: N818  # no error
    """The connection is over."""


class Script(Protocol):
    """Where a connection gets its answers from."""

    stopped: bool
    """Whether the server ends."""

    def note(self, received: Received) -> int:
        """Remember a request; gives its number."""
        ...

    def next_reply(self, request: ChatRequest) -> Reply:
        """The answer to it.

        Raises `BadRequestError` when there is none.
        """
        ...


class Connection(BaseHTTPRequestHandler):
    """Serves one connection until it is over; raises `Gone` or `OSError` where the client, or the script, ends it."""

    protocol_version = "HTTP/1.1"
    server_version = f"modelwire-emulator/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True
    connection: socket.socket

    def __init__(self, connection: socket.socket, address: Any, script: Script) -> None:
        self._script = script
        self._request_id = ""
        super().__init__(connection, address, script)  # type: ignore[arg-type]  # it only keeps its server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Nothing: paths may hold keys."""

    # ------------------------------------------------------------------ requests

    def do_GET(self) -> None:
        """Nothing here is asked for by GET."""
        self._refuse(
            404, f"no such path; the emulator answers POST requests of {', '.join(each.name for each in DIALECTS)}"
        )

    def do_POST(self) -> None:
        """One request."""
        length = self.headers.get("content-length", "")
        found = self._found()
        if found is None:
            self.do_GET()
        elif not length.isdecimal():
            self._refuse(411, "the emulator needs a content-length")
        elif int(length) > MAX_BODY:
            self._refuse(413, f"the emulator takes bodies of up to {MAX_BODY} bytes")
        else:
            self._answer(*found, self.rfile.read(int(length)))

    def _found(self) -> tuple[Dialect, Verb] | None:
        """The format that has this path, and what the path asks for."""
        for dialect in DIALECTS:
            verb = dialect.verb(self.path)
            if verb is not None:
                return dialect, verb
        return None

    def _refuse(self, status: int, message: str) -> None:
        """An answer to a request whose body is not read."""
        self.close_connection = True
        self._send(status, encoded({"error": {"message": message}}))

    def _answer(self, dialect: Dialect, verb: Verb, body: bytes) -> None:
        try:
            request = self._read(dialect, body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            number = self._script.note(Received(dialect.name, verb, request, self.path, headers, body))
            self._request_id = f"emulated-{number}"
            if verb == "count":
                self._send(200, encoded(dialect.count(int(tokens.estimate(request.messages, request.tools or ())))))
            else:
                self._reply(dialect, self._script.next_reply(request), Asked(request, self.path, body, number))
        except BadRequestError as error:  # of the request or of the script, before anything was sent
            self._fail(dialect, error)

    def _read(self, dialect: Dialect, body: bytes) -> ChatRequest:
        request = dialect.read(body, self.path)
        if not request.messages:
            raise BadRequestError("the request has no messages")
        return request

    # ------------------------------------------------------------------ answers

    def _reply(self, dialect: Dialect, reply: Reply, asked: Asked) -> None:
        self._wait(reply.delay)
        match reply.answer:
            case str() | CreateResult() as answer:
                whole = dialect.answer(to_result(answer, asked.request), asked)
                self._deliver(dialect, reply, whole, asked, cut=reply.cut_after is not None)
            case StreamInterruptedError(partial=partial):
                whole = dialect.answer(partial or echo(asked.request), asked)
                self._deliver(dialect, reply, whole, asked, cut=True)
            case ConnectionFailedError(status_code=0):
                self._break()
            case ModelTimeoutError(status_code=0):
                self._wait(math.inf)
            case ProtocolError():
                self._send(200, _GARBAGE, "text/html", reply.headers)
            case ModelClientError() as error:
                self._fail(dialect, error, reply.headers)
            case int(status):
                error = ModelClientError(f"the emulator's script says {status}", status_code=status)
                self._fail(dialect, error, reply.headers)

    def _fail(self, dialect: Dialect, error: ModelClientError, headers: Mapping[str, str] | None = None) -> None:
        """An error answer, with the headers by which clients decide whether and when to try again."""
        own: dict[str, str] = {}
        if error.retry_after is not None:
            own["retry-after"] = f"{error.retry_after:g}"
        if error.retryable != type(error).default_retryable:
            own["x-should-retry"] = str(error.retryable).lower()
        status = status_of(error, dialect)
        self._send(status, encoded(dialect.error(error, status)), _JSON, {**own, **(headers or {})})

    def _deliver(self, dialect: Dialect, reply: Reply, whole: Json, asked: Asked, *, cut: bool) -> None:
        """An answer, to its end or to where it is cut or an error comes."""
        if asked.request.stream:
            self._stream(dialect, reply, dialect.pieces(whole, asked), asked, cut=cut)
        elif reply.error is not None:
            self._fail(dialect, reply.error, reply.headers)
        else:
            body = encoded(whole)
            self._head(200, _JSON, reply.headers, length=len(body))
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                raise Gone

    def _stream(self, dialect: Dialect, reply: Reply, pieces: list[bytes], asked: Asked, *, cut: bool) -> None:
        error = reply.error
        if cut or error is not None:
            pieces = pieces[: len(pieces) // 2 if reply.cut_after is None else reply.cut_after]
        if error is not None:
            pieces = [*pieces, dialect.error_piece(error, status_of(error, dialect))]
        self._head(200, dialect.media_type(asked), reply.headers)
        for number, piece in enumerate(pieces):
            if number:
                self._wait(reply.pause)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)
        if cut and error is None:
            raise Gone
        if self._chunked:
            self.wfile.write(b"0\r\n\r\n")

    # ------------------------------------------------------------------ bytes

    @property
    def _chunked(self) -> bool:
        """Whether the client knows HTTP 1.1, so that a body of unknown length need not end the connection."""
        return self.request_version == "HTTP/1.1"

    def _send(
        self, status: int, body: bytes, media_type: str = _JSON, headers: Mapping[str, str] | None = None
    ) -> None:
        self._head(status, media_type, headers or {}, length=len(body))
        self.wfile.write(body)

    def _head(self, status: int, media_type: str, headers: Mapping[str, str], length: int | None = None) -> None:
        own = {"content-type": media_type, "x-request-id": self._request_id}
        if length is not None:
            own["content-length"] = str(length)
        elif self._chunked:
            own["transfer-encoding"] = "chunked"
        else:
            self.close_connection = True
        if self.close_connection:
            own["connection"] = "close"
        self.send_response(status, "Emulated")
        for name, value in {**own, **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()

    def _wait(self, seconds: float) -> None:
        """Let time pass; raises `Gone` as soon as the client closes the connection, or the emulator ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.connection], [], [], None if left == math.inf else left)[0]:
                if self._script.stopped or not self.connection.recv(1, socket.MSG_PEEK):
                    raise Gone
                time.sleep(min(left, 0.05))  # a client that has sent its next request already: it must wait

    def _break(self) -> None:
        """Break the connection when the answer has begun: before that, a client may send a request again unasked, because
        it takes the connection for one that was idle for too long.
        """
        self.wfile.write(b"HTTP/1.1 ")
        raise Gone
