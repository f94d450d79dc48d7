"""`Recorder`: a transport around another that writes down what passes."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import TYPE_CHECKING

from modelwire._clock import RealClock
from modelwire._transport.closing import drained
from modelwire.errors import ModelClientError, ProtocolError
from modelwire.protocols import HttpResponse
from modelwire.record._cassette import Answer, Exchange, Failure, Mask, Tape
from modelwire.record._player import Player

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Callable, Generator, Iterable, Mapping
    from typing import Self

    from modelwire.protocols import Clock, HttpRequest, HttpStream, Timeouts, Transport
    from modelwire.record._player import PlayedStream

MAX_BYTES = 16 * 2**20
"""Bytes of one request or answer beyond which it is not recorded: a cassette is a file for people."""


class Recorder:
    """A transport that passes everything on to another one, and writes it to the file at `path`.

    ```python
    recorder = Recorder("tests/cassettes/hello.jsonl")
    client = OpenAIChatCompletionClient(model="gpt-4.1", transport=recorder)
    ```

    `transport` is the one beneath it, as clients take it: an object, a name, or `None` for the default. The client that
    a recorder is given to makes it from its own settings (`verify=`, `http_client=`, ...) and closes it. One recorder may
    be given to several clients, whose exchanges go into the same file.

    The file is written anew, with the first exchange that comes to its end. `new_only=True` keeps what is there: requests
    that it can answer are answered from it, and only the others are sent and added.

    An exchange is written when it is over, in one piece, with the answer's bytes as they came: pieces, times, and errors of
    the connection; an answer that is not streamed is one piece. Of one that is closed early, what was read is written. A call that is cancelled before the
    answer's headers is not.

    **What is not in the file**: all headers that are not known to be harmless (so no keys, tokens, cookies, organisations),
    users and passwords in URLs, values of query parameters whose names sound like a key, and the credentials of a request
    where its body or answer repeats them. **What is**: everything else in bodies, so all that users and models say.
    `redact` lists texts and regular expressions to be hidden there; a `Player` needs the same list.

    Raises `ProtocolError` from a call whose request or answer is larger than `max_bytes`, and `OSError` where the file
    cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        transport: Transport | str | None = None,
        new_only: bool = False,
        redact: Iterable[str | re.Pattern[str]] = (),
        max_bytes: int = MAX_BYTES,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path)
        self.transport = transport
        self.max_bytes = max_bytes
        self.mask = Mask(redact := tuple(redact))
        self.clock = clock or RealClock()
        self.tape = Tape(self.path, extend=new_only)
        self._known = Player(self.path, redact=redact) if new_only and self.path.exists() else None
        self._inner: Transport | None = None if transport is None or isinstance(transport, str) else transport
        self._made = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def bound(self, build: Callable[[Transport | str | None], Transport]) -> Recorder:
        """A recorder to the same file around the transport that a client's settings make."""
        other = copy.copy(self)
        inner = build(self.transport)
        other._inner, other._made = inner, inner is not self.transport  # noqa: SLF001  # the same class
        return other

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """Send a request, read the whole answer, and record both."""
        known = await self._on_record(request)
        if known is not None:
            return HttpResponse(known.status, known.headers, await known.read())
        take = _Take(self, request)
        with take.failures():
            response = await self._transport().send(request, timeouts)
        take.answered(response.status, response.headers)
        take.add(response.body)
        take.end()
        return response

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> HttpStream:
        """Send a request, and record it and its answer while that is read."""
        known = await self._on_record(request)
        if known is not None:
            return known
        take = _Take(self, request)
        with take.failures():
            stream = await self._transport().stream(request, timeouts)
        take.answered(stream.status, stream.headers)
        return RecordedStream(stream, take)

    async def aclose(self) -> None:
        """Close the transport beneath, unless that was passed. The file needs no closing."""
        if self._made and self._inner is not None:
            await self._inner.aclose()

    async def _on_record(self, request: HttpRequest) -> PlayedStream | None:
        """The answer that the file has already, where that is wanted."""
        exchange = self._known.take(request) if self._known is not None else None
        return None if self._known is None or exchange is None else await self._known.play(exchange)

    def _transport(self) -> Transport:
        if self._inner is None:
            raise RuntimeError("this recorder has no transport yet: give it to a client, as transport=Recorder(...)")
        return self._inner


class _Take:
    """One exchange while it goes on."""

    def __init__(self, recorder: Recorder, request: HttpRequest) -> None:
        self._recorder = recorder
        self._mask = recorder.mask.of(request)
        self._left = recorder.max_bytes
        self._room_for(request.body, "request")
        self._request = self._mask.request(request)
        self._number = recorder.tape.number()
        self._start = recorder.clock.now()
        self._head: tuple[int, float, Mapping[bytes, bytes]] | None = None
        self._pieces: list[tuple[float, bytes]] = []
        self._written = False

    def answered(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self._head = status, self._now(), headers
        self._left = self._recorder.max_bytes

    def add(self, piece: bytes) -> None:
        self._room_for(piece, "answer")
        self._pieces.append((self._now(), piece))

    @contextlib.contextmanager
    def failures(self) -> Generator[None]:
        """Records an error of the transport as the end."""
        try:
            yield
        except ModelClientError as error:
            self.end(error)
            raise

    def end(self, error: ModelClientError | None = None, *, early: bool = False) -> None:
        """Write it, once."""
        if self._written:
            return
        self._written = True
        answer = failure = None
        if self._head is not None:
            status, at, headers = self._head
            answer = Answer(
                status=status,
                at=round(at, 6),
                headers=self._mask.headers(headers),
                pieces=self._mask.pieces(self._pieces),
                closed_early=early,
            )
        if error is not None:
            failure = Failure(
                type=type(error).__name__,
                message=self._mask.text(error.message),
                at=round(self._now(), 6),
                retryable=error.retryable,
                status_code=error.status_code,
            )
        self._recorder.tape.write(Exchange(number=self._number, request=self._request, answer=answer, failure=failure))

    def _now(self) -> float:
        return self._recorder.clock.now() - self._start

    def _room_for(self, content: bytes, what: str) -> None:
        self._left -= len(content)
        if self._left < 0:
            self._written = True  # there is nothing to write
            raise ProtocolError(
                f"{self._recorder.path}: the {what} is larger than the {self._recorder.max_bytes:,} bytes that are "
                "recorded; Recorder(max_bytes=...) allows more"
            )


class RecordedStream:
    """Implements `modelwire.protocols.HttpStream`."""

    def __init__(self, inner: HttpStream, take: _Take) -> None:
        self.status = inner.status
        self.headers = inner.headers
        self.earlier = getattr(inner, "earlier", ())
        self._inner = inner
        self._take = take

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the body, recorded."""
        try:
            with self._take.failures():
                piece = await self._inner.__anext__()
        except StopAsyncIteration:
            self._take.end()
            raise
        await self._add(piece)
        return piece

    async def read(self) -> bytes:
        """The rest of the body, recorded as one piece."""
        with self._take.failures():
            rest = await self._inner.read()
        await self._add(rest)
        self._take.end()
        return rest

    async def _add(self, piece: bytes) -> None:
        try:
            self._take.add(piece)
        except ProtocolError:
            await self._inner.aclose()
            raise

    async def drain(self, grace: float) -> None:
        """Read what is left for at most `grace` seconds, so that it is on record, then close."""
        await drained(self, grace)

    async def aclose(self) -> None:
        """Give the connection back; what was read until now is recorded."""
        try:
            await self._inner.aclose()
        finally:
            self._take.end(early=True)

    def abandon(self) -> None:
        """The same for a stream that nobody will close."""
        self._inner.abandon()
        self._take.end(early=True)
