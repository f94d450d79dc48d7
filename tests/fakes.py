"""A transport without sockets and a clock without time, for testing policies."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.lowlevel

from modelwire import OpenAIChatCompletionClient
from modelwire.errors import ConnectionFailedError
from modelwire.protocols import HttpResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping, Sequence

    from modelwire.protocols import HttpRequest, Timeouts

FOREVER = 3600.0
"""Real seconds: a pause that only cancellation or a close ends."""


class FakeClock:
    """Virtual seconds: sleeping takes no time, and is noted."""

    def __init__(self, *chances: float) -> None:
        self.time = 1000.0
        self.sleeps: list[float] = []
        self._chances = deque(chances)

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.sleeps.append(seconds)
        self.time += seconds

    def random(self) -> float:
        return self._chances.popleft() if self._chances else 0.5


@dataclass
class Reply:
    """One scripted answer. In its body bytes are pieces, numbers are virtual seconds, errors are raised."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Sequence[bytes | float | Exception] = b""
    seconds: float = 0.0
    """Virtual seconds until the headers."""
    hold: bool = False
    """Whether the headers never come."""
    hold_body: bool = False
    """Whether the end of the body never comes."""

    def lower_headers(self) -> dict[bytes, bytes]:
        return {name.lower().encode(): value.encode("latin-1") for name, value in self.headers.items()}


@dataclass
class FakeTransport:
    """Implements `protocols.Transport`: gives what is scripted, and notes what was asked and what is still open."""

    script: deque[Reply | Exception]
    clock: FakeClock = field(default_factory=FakeClock)
    requests: list[HttpRequest] = field(default_factory=list)
    timeouts: list[Timeouts] = field(default_factory=list)
    open: int = 0
    abandoned: int = 0
    closed: int = 0

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        stream = await self.stream(request, timeouts)
        return HttpResponse(stream.status, stream.headers, await stream.read())

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> FakeStream:
        self.requests.append(request)
        self.timeouts.append(timeouts)
        reply = self.script.popleft() if len(self.script) > 1 else self.script[0]
        self.open += 1
        try:
            return await self._answer(reply)
        except BaseException:
            self.open -= 1
            raise

    async def _answer(self, reply: Reply | Exception) -> FakeStream:
        await anyio.lowlevel.checkpoint()
        if isinstance(reply, Exception):
            raise reply
        self.clock.time += reply.seconds
        if reply.hold:
            await anyio.sleep(FOREVER)
        return FakeStream(self, reply)

    async def aclose(self) -> None:
        self.closed += 1


class FakeStream:
    """Implements `protocols.HttpStream`."""

    def __init__(self, transport: FakeTransport, reply: Reply) -> None:
        self.status = reply.status
        self.headers = reply.lower_headers()
        self._transport = transport
        self._steps = deque([reply.body] if isinstance(reply.body, bytes) else reply.body)
        self._hold = reply.hold_body
        self._open = True
        self._waiting: anyio.CancelScope | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except BaseException:
            await self.aclose()
            raise

    async def _next(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, bytes):
                return step
            if isinstance(step, Exception):
                raise step
            self._transport.clock.time += step
        if self._hold:
            with anyio.CancelScope() as self._waiting:
                await anyio.sleep(FOREVER)
            raise ConnectionFailedError("closed while another task read it", retryable=False)
        raise StopAsyncIteration

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    async def drain(self, grace: float) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._transport.open -= 1
        if self._waiting is not None:
            self._waiting.cancel()

    def abandon(self) -> None:
        self._transport.abandoned += 1


def scripted(*replies: Reply | Exception, chances: Sequence[float] = ()) -> FakeTransport:
    """A transport that gives these answers in order, and the last one again and again."""
    return FakeTransport(deque(replies), FakeClock(*chances))


def client_of(transport: FakeTransport, **options: Any) -> OpenAIChatCompletionClient:
    """A client of OpenAI's that speaks to this transport, in its time."""
    given: dict[str, Any] = {
        "model": "gpt-4.1",
        "api_key": "sk-do-not-show-this",
        "clock": transport.clock,
        "transport": transport,
    }
    return OpenAIChatCompletionClient(**(given | options))


async def collect(stream: AsyncIterable[Any], seen: list[Any]) -> None:
    """Add what comes to a list, which has it also where the stream fails."""
    async for item in stream:
        seen.append(item)  # noqa: PERF401
