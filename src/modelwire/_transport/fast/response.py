"""HTTP/1.1 responses, byte by byte: what llhttp (in httptools) leaves to its user. Pure: no socket, no clock.

llhttp refuses what could make two readers of the same bytes disagree: both length headers, a repeated or odd
`content-length`, folded lines, bare line feeds, bad chunk sizes. Here are the bounds, the end of a body that only the end
of the connection marks, interim answers, and bytes that nobody asked for.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD_LIMIT = 64 * 1024
"""Bytes of the header fields of an answer, and as many of its trailers."""

SILENT_LIMIT = 2 * HEAD_LIMIT
"""Bytes that bring neither the end of the answer nor a piece of its body: interim answers, extensions of chunks."""

FIELD_LIMIT = 256
"""Header fields of an answer, and as many of its trailers."""

PIECE_LIMIT = 1024 * 1024
"""Bytes of one decompressed piece: a small compressed one may hold a thousand times its size."""

_NO_BODY = (204, 304)

_TOO_LARGE = "its head is too large"


class Response:
    """The answer to the request that is under way on one connection; `begin` makes it ready for the next.

    `head` says that `status` and `headers` are there, `complete` that all is. `pieces` are for the reader to take.
    """

    __slots__ = (
        "_fields",
        "_interim",
        "_parser",
        "_silent",
        "_until_close",
        "complete",
        "error",
        "head",
        "head_only",
        "headers",
        "pieces",
        "raw_headers",
        "reusable",
        "started",
        "status",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # Some servers fill chunk sizes up with spaces; h11 takes them too.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self.head_only = False
        """Whether the answer has no body, since the request was a `HEAD`."""
        self.error = ""
        """Why the bytes are no HTTP; nothing is fed any more."""
        self.reusable = True
        """Whether the connection may carry another request, once `complete`."""
        self._interim = False
        self._until_close = False
        self._fields: list[tuple[bytes, bytes]] = []
        # Bytes since the last piece of the body, or since the beginning.
        self._silent = 0
        self.begin()

    def begin(self) -> None:
        """Be ready for the answer to one more request. All else is as new where the last one left it `reusable`."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        """Names in lower case; of a repeated header, the last."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        """All, in the order in which they came."""
        self.pieces: list[bytes] = []
        self.started = False
        """Whether any byte of the answer came."""
        self.head = False
        self.complete = False

    def take(self) -> bytes:
        """The pieces of the body that have come, as one."""
        pieces = self.pieces
        if len(pieces) == 1:
            return pieces.pop()
        self.pieces = []
        return b"".join(pieces)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes of the connection, cut anywhere."""
        if self.complete or self.error:
            # An answer that nobody asked for; llhttp skips line ends before one, and so takes no notice of these alone.
            if self.error or bytes(data).strip(b"\r\n"):
                self.reusable = False
            return
        assert self._parser is not None
        self.started = True
        self._silent += len(data)
        had = len(self.pieces)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self.reusable = False
            if not self.complete and not self.error:
                self.error = str(error)
        except HttpParserUpgrade:
            self._refuse("it switched to another protocol")
        if self.complete or len(self.pieces) > had:
            self._silent = 0
        elif (self._silent > SILENT_LIMIT or len(self._fields) > FIELD_LIMIT) and not self.error:
            self._refuse("too much between two pieces of its body" if self.head else _TOO_LARGE)

    def end(self) -> bool:
        """The connection has ended; whether the answer is complete by that."""
        self.reusable = False
        if self.head and self._until_close and not self.error:
            self.complete = True
        return self.complete

    def missing(self) -> str:
        """What an answer that ended here lacks; the words are those of h11."""
        if not self.head:
            return "Server disconnected without sending a response."
        return "peer closed connection without sending complete message body"

    def close(self) -> None:
        """Break the cycle of parser and callbacks, so that no garbage collection is needed."""
        self._parser = None

    def _refuse(self, reason: str) -> None:
        self.error = reason
        self.reusable = False
        self._fields = []

    # What llhttp calls ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise _StopError  # bytes behind the answer are not read, whatever they say

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))  # nothing else: it is called for each

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self.status = status = self._parser.get_status_code()
        fields = self._taken_fields()
        if status < 200:
            if status == 101 or status < 100:
                self._refuse("it switched to another protocol" if status == 101 else f"status {status:03}")
                raise _StopError
            self._interim = True
            return
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            self._refuse(f"HTTP version {self._parser.get_http_version()}")
            raise _StopError
        self.raw_headers = fields
        self.headers = headers = dict(fields)
        coding = headers.get(b"transfer-encoding")
        if coding is not None and (coding.lower() != b"chunked" or _codings(fields) > 1):
            self._refuse("a transfer-encoding other than chunked")
            raise _StopError
        self.head = True
        if self.head_only:
            self.complete = True
            self.reusable = False  # llhttp cannot be told that no body follows; it would read the next answer as one
            raise _StopError
        self._until_close = coding is None and b"content-length" not in headers and status not in _NO_BODY

    def _taken_fields(self) -> list[tuple[bytes, bytes]]:
        """What came since the last time; never too much."""
        fields = self._fields
        # Adding up takes longer than reading them, and bytes that did not come need not be added up.
        if len(fields) > FIELD_LIMIT or (self._silent > HEAD_LIMIT and _size(fields) > HEAD_LIMIT):
            self._refuse(_TOO_LARGE)
            raise _StopError
        self._fields = []
        return fields

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            return
        assert self._parser is not None
        if self._fields:
            self._taken_fields()  # trailers, which nobody reads
        self.complete = True
        if not self._parser.should_keep_alive():
            self.reusable = False


class _StopError(Exception):
    """Makes llhttp stop; the reason is already noted."""


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


def _codings(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(name == b"transfer-encoding" for name, _ in fields)


class Decompressor:
    """Undoes the `content-encoding` of one body, never more than `PIECE_LIMIT` bytes at a time."""

    __slots__ = ("_decoders",)

    def __init__(self, codings: list[bytes]) -> None:
        self._decoders = [_Inflate(deflate=coding == b"deflate") for coding in reversed(codings)]

    def feed(self, data: bytes) -> bytes:
        """What these bytes hold, as far as it fits into a piece; `more` gives the rest.

        Raises `zlib.error` for what is not compressed as the header says.
        """
        for decoder in self._decoders:
            data = decoder.feed(data)
        return data

    def more(self) -> bytes:
        """The next piece of what was fed; empty when there is none."""
        for index in reversed(range(len(self._decoders))):
            while self._decoders[index].pending:
                data = self._decoders[index].feed(b"")
                for outer in self._decoders[index + 1 :]:
                    data = outer.feed(data)
                if data:
                    return data
        return b""


class _Inflate:
    """One gzip or deflate coding. `deflate` means zlib's format, but some servers send the bare one."""

    __slots__ = ("_decoder", "_rest", "pending")

    def __init__(self, *, deflate: bool) -> None:
        self._decoder = None if deflate else zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._rest = b""
        self.pending = False
        """Whether what was fed holds more than the last piece."""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        if self._decoder is None:
            if len(data) < 2:
                self._rest = data
                return b""
            zlibs = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS if zlibs else -zlib.MAX_WBITS)
        piece = self._decoder.decompress(data, PIECE_LIMIT)
        self._rest = self._decoder.unconsumed_tail
        self.pending = len(piece) == PIECE_LIMIT
        return piece


def decompressor(headers: Mapping[bytes, bytes]) -> Decompressor | None:
    """For the codings that the headers name; `None` for a body as it is.

    Raises `ValueError` for a coding that was not asked for.
    """
    value = headers.get(b"content-encoding")
    if value is None:
        return None
    codings = [coding for coding in (part.strip().lower() for part in value.split(b",")) if coding != b"identity"]
    for coding in codings:
        if coding not in (b"gzip", b"x-gzip", b"deflate"):
            raise ValueError(f"content-encoding {coding.decode('latin-1')!r} was not asked for")
    return Decompressor(codings) if codings else None
