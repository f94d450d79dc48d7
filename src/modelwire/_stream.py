"""The streams that users iterate: typed events, and the text chunks seen through them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from modelwire._fold import fold
from modelwire.types import CreateResult, Finish, TextDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from modelwire.types import StreamEvent


class EventStream:
    """Typed events of one answer: an async iterator, and an async context manager that gives everything back.

    ```python
    async with client.stream(messages) as events:
        async for event in events: ...
    events.result  # the CreateResult, once the last event (`Finish`) was read
    ```

    Leaving the block by `break`, by an exception or by cancellation closes the connection; so does `aclose()`.
    """

    __slots__ = ("__weakref__", "_close", "_more", "_ready", "_result", "_seen")

    def __init__(
        self,
        more: Callable[[], Awaitable[Sequence[StreamEvent]]],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`more` gives the next events, and none at the end; `close` is awaited once, when iteration ends in any way."""
        self._more: Callable[[], Awaitable[Sequence[StreamEvent]]] | None = more
        self._close = close
        self._ready: deque[StreamEvent] = deque()
        self._seen: list[StreamEvent] = []
        self._result: CreateResult | None = None

    @classmethod
    def over(cls, events: AsyncIterable[StreamEvent]) -> EventStream:
        """Any async iterable of events as a stream; its own `aclose` is called at the end."""
        if isinstance(events, EventStream):
            return events
        iterator = aiter(events)

        async def more() -> Sequence[StreamEvent]:
            try:
                return (await anext(iterator),)
            except StopAsyncIteration:
                return ()

        return cls(more, getattr(iterator, "aclose", None))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if not self._ready and not await self.fill():
            raise StopAsyncIteration
        return self._ready.popleft()

    async def fill(self) -> bool:
        """Wait for more events; `False` at the end."""
        if self._more is None:
            return False
        try:
            batch = await self._more()
        except BaseException:
            await self.aclose()
            raise
        if not batch:
            await self.aclose()
            return False
        self._ready.extend(batch)
        self._seen += batch
        return True

    @property
    def result(self) -> CreateResult:
        """What the events add up to.

        Raises `RuntimeError` while the stream has not come to its `Finish`.
        """
        if self._result is None:
            if not self._seen or not isinstance(self._seen[-1], Finish):
                raise RuntimeError("this stream has no result yet: read it to its Finish event first")
            self._result = fold(self._seen)
        return self._result

    async def aclose(self) -> None:
        """End the stream and give its connection back; repeatable."""
        self._more = None
        close, self._close = self._close, None
        if close is not None:
            await close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class TextStream:
    """The `str` chunks of an answer's text, and at the end its `CreateResult`; also an async context manager."""

    __slots__ = ("_events",)

    def __init__(self, events: AsyncIterable[StreamEvent]) -> None:
        self._events = EventStream.over(events)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | CreateResult:
        events = self._events
        ready = events._ready  # noqa: SLF001  # the same file; awaiting its __anext__ would cost a coroutine per event
        while True:
            while ready:
                event = ready.popleft()
                if type(event) is TextDelta:
                    if event.text and not event.choice:
                        return event.text
                elif type(event) is Finish:
                    await events.aclose()
                    return events.result
            if not await events.fill():
                raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream and give its connection back; repeatable."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
