"""The streams that users iterate: typed events, and the text chunks seen through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire._fold import fold
from modelwire.types import CreateResult, Finish, TextDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
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

    __slots__ = ("__weakref__", "_ended", "_ready", "_result", "_seen")

    def __init__(self) -> None:
        self._ended = False
        self._ready: Iterator[StreamEvent] = iter(())
        self._seen: list[StreamEvent] = []
        self._result: CreateResult | None = None

    def _more(self) -> Awaitable[Sequence[StreamEvent]]:
        """The next events, in a sequence that is not changed afterwards; none at the end."""
        raise NotImplementedError

    async def _fail(self, error: BaseException) -> None:
        """Note that `_more` raised this; `_release` comes next."""

    async def _release(self) -> None:
        """Give back what the stream holds; called at its end in any way, perhaps more than once."""

    @classmethod
    def over(cls, events: AsyncIterable[StreamEvent]) -> EventStream:
        """Any async iterable of events as a stream; its own `aclose` is called at the end."""
        return events if isinstance(events, EventStream) else _Adapted(events)

    @classmethod
    def of(
        cls, more: Callable[[], Awaitable[Sequence[StreamEvent]]], close: Callable[[], Awaitable[None]] | None = None
    ) -> EventStream:
        """A stream from a function that gives the next events, and none at the end; `close` is awaited at its end.

        The sequences that it gives must not change afterwards.
        """
        return _Made(more, close)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        for event in self._ready:
            return event
        batch = await self._fill()
        if not batch:
            raise StopAsyncIteration
        self._ready = ready = iter(batch)
        return next(ready)

    async def _fill(self) -> Sequence[StreamEvent]:
        """Wait for the next events; none at the end."""
        if self._ended:
            return ()
        try:
            batch = await self._more()
        except BaseException as error:
            await self._fail(error)
            await self.aclose()
            raise
        if not batch or self._ended:  # at the end, or closed by another task meanwhile
            await self.aclose()
            return ()
        self._seen += batch
        return batch

    def batch(self) -> Awaitable[Sequence[StreamEvent]]:
        """The events that have come, or else the next ones; none at the end. For clients that pass a stream on."""
        come = list(self._ready)
        return _known(come) if come else self._fill()

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
        self._ended = True
        self._ready = iter(())
        await self._release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _known(events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
    return events


class _Made(EventStream):
    """A stream from functions."""

    __slots__ = ("_close", "_next")

    def __init__(
        self, more: Callable[[], Awaitable[Sequence[StreamEvent]]], close: Callable[[], Awaitable[None]] | None
    ) -> None:
        super().__init__()
        self._next = more
        self._close = close

    def _more(self) -> Awaitable[Sequence[StreamEvent]]:
        return self._next()

    async def _release(self) -> None:
        close, self._close = self._close, None
        if close is not None:
            await close()


class _Adapted(EventStream):
    """A stream from any async iterable."""

    __slots__ = ("_iterator",)

    def __init__(self, events: AsyncIterable[StreamEvent]) -> None:
        super().__init__()
        self._iterator = aiter(events)

    async def _more(self) -> Sequence[StreamEvent]:
        try:
            return (await anext(self._iterator),)
        except StopAsyncIteration:
            return ()

    async def _release(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


class TextStream:
    """The `str` chunks of an answer's text, and at the end its `CreateResult`; also an async context manager."""

    __slots__ = ("_events",)

    def __init__(self, events: AsyncIterable[StreamEvent]) -> None:
        self._events = EventStream.over(events)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | CreateResult:
        events = self._events
        while True:
            # The same file; awaiting its `__anext__` would cost a coroutine per event.
            for event in events._ready:  # noqa: SLF001
                if type(event) is TextDelta:
                    if event.text and not event.choice:
                        return event.text
                elif type(event) is Finish:
                    result = events.result
                    await events.aclose()
                    return result
            batch = await events._fill()  # noqa: SLF001
            if not batch:
                raise StopAsyncIteration
            events._ready = iter(batch)  # noqa: SLF001

    async def aclose(self) -> None:
        """End the stream and give its connection back; repeatable."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
