"""`Player`: a transport that gives what was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import anyio.lowlevel

from modelwire._clock import RealClock
from modelwire.errors import NotRecordedError
from modelwire.protocols import HttpResponse
from modelwire.record._cassette import Mask, parse
from modelwire.record._matching import Shelf

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from modelwire.protocols import Clock, HttpRequest, Timeouts
    from modelwire.record._cassette import Answer, Exchange, Piece
    from modelwire.record._matching import Match


class Player:
    """A transport that answers from the file at `path`, with the same bytes in the same pieces; nothing is sent.

    ```python
    client = OpenAIChatCompletionClient(model="gpt-4.1", api_key="any", transport=Player("tests/cassettes/hello.jsonl"))
    ```

    `match="strict"` answers a request with an exchange of the same method, URL and body, in any order and each once; JSON
    is compared as JSON. `match="sequential"` goes through the file in order and looks at method and URL only, for bodies
    that are never the same twice. A request that has no answer raises `NotRecordedError`, which says what differs. `redact`
    is that of the `Recorder`.

    `speed=1` keeps the recorded pace, `speed=10` is ten times as fast, `None` and 0 wait for nothing. Waits of a client
    before its retries are the client's own. Errors of the connection come again where they came; so does the end of a
    stream that was closed early, as a `NotRecordedError` to those who read on.

    The file is read at the first request. One player may serve several clients, and any number of event loops.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        speed: float | None = None,
        match: Match = "strict",
        redact: Iterable[str | re.Pattern[str]] = (),
        clock: Clock | None = None,
    ) -> None:
        if match not in ("strict", "sequential"):
            raise ValueError(f"match={match!r}: it is 'strict' or 'sequential'")
        if speed is not None and not speed >= 0:
            raise ValueError(f"speed={speed!r}: 1 for the recorded pace, more for a faster one, None or 0 for no waits")
        self.path = Path(path)
        self._speed = speed
        self._match: Match = match
        self._mask = Mask(redact)
        self._clock = clock or RealClock()
        self._shelf: Shelf | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def rewind(self) -> None:
        """Play from the beginning again: every exchange can answer once more."""
        self.shelf.rewind()

    @property
    def unplayed(self) -> int:
        """How many exchanges of the file have answered nothing yet."""
        return self.shelf.left

    @property
    def shelf(self) -> Shelf:
        """What the file holds.

        Raises `ValueError` when it is no cassette, and `NotRecordedError` when it is not there.
        """
        if self._shelf is None:
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                raise NotRecordedError(f"{self.path}: there is no such recording") from None
            self._shelf = Shelf(parse(content, self.path), self._match)
        return self._shelf

    # ------------------------------------------------------------------ the transport

    def bound(self, build: object) -> Player:
        """The player itself: whatever the settings of a client say about connections, it makes none."""
        del build
        return self

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        """The whole recorded answer.

        Raises `NotRecordedError`, and the recorded error.
        """
        stream = await self.stream(request, timeouts)
        return HttpResponse(stream.status, stream.headers, await stream.read())

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> PlayedStream:
        """The recorded answer, piece by piece.

        Raises `NotRecordedError`, and the recorded error.
        """
        del timeouts
        exchange = self.take(request)
        if exchange is None:
            asked = self._mask.of(request).request(request)
            raise NotRecordedError(f"{self.path}: no answer to {asked.method} {asked.url}: {self.shelf.why_not(asked)}")
        return await self.play(exchange)

    def take(self, request: HttpRequest) -> Exchange | None:
        """The exchange that answers a request, which is played with this; `None` for none."""
        return self.shelf.take(self._mask.of(request).request(request))

    async def play(self, exchange: Exchange) -> PlayedStream:
        """The answer of an exchange."""
        pace = _Pace(self._clock, self._speed)
        if exchange.answer is None:
            assert exchange.failure is not None
            await pace.wait(exchange.failure.at)
            raise exchange.failure.error()
        await pace.wait(exchange.answer.at)
        return PlayedStream(self, exchange, exchange.answer, pace)

    async def aclose(self) -> None:
        """Nothing: there is nothing to close."""


class _Pace:
    """When things come."""

    def __init__(self, clock: Clock, speed: float | None) -> None:
        self._clock = clock
        self._speed = speed
        self._start = clock.now()

    async def wait(self, at: float) -> None:
        """Until so many recorded seconds are over."""
        left = self._start + at / self._speed - self._clock.now() if self._speed else 0.0
        if left > 0:
            await self._clock.sleep(left)
        else:
            await anyio.lowlevel.checkpoint()


class PlayedStream:
    """Implements `modelwire.protocols.HttpStream`."""

    def __init__(self, player: Player, exchange: Exchange, answer: Answer, pace: _Pace) -> None:
        self.status = answer.status
        self.headers: Mapping[bytes, bytes] = {
            name.encode("latin-1"): value.encode("latin-1") for name, value in answer.headers.items()
        }
        self._player = player
        self._exchange = exchange
        self._pieces: Iterator[Piece] = iter(answer.pieces)
        self._closed_early = answer.closed_early
        self._pace = pace
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next recorded piece."""
        piece = None if self._closed else next(self._pieces, None)
        if piece is not None:
            await self._pace.wait(piece.at)
            return piece.content()
        if not self._closed:
            await self._end()
        raise StopAsyncIteration

    async def _end(self) -> None:
        self._closed = True
        failure = self._exchange.failure
        if failure is not None:
            await self._pace.wait(failure.at)
            raise failure.error()
        if self._closed_early:
            raise NotRecordedError(
                f"{self._player.path}: the answer of exchange {self._exchange.number} was closed by its reader before its "
                "end, and there is no more of it on record"
            )

    async def read(self) -> bytes:
        """The rest of the pieces."""
        return b"".join([piece async for piece in self])

    async def drain(self, grace: float) -> None:
        """The end of this answer."""
        del grace
        self._closed = True

    async def aclose(self) -> None:
        """The end of this answer."""
        self._closed = True

    def abandon(self) -> None:
        """The end of this answer."""
        self._closed = True
