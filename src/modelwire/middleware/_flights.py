"""Calls in flight that others share: one that waits for a whole answer, and one that is streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from modelwire._fold import fold
from modelwire._stream import EventStream
from modelwire.errors import ModelClientError, StreamInterruptedError
from modelwire.types import Finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from modelwire.types import CreateResult, StreamEvent

E = TypeVar("E", bound=Exception)

AHEAD = 1000
"""Events that a shared stream is read ahead of the fastest of its readers."""


def copied(error: E) -> E:
    """The same error for another task: each adds its own traceback and context."""
    kind = type(error)
    twin = kind.__new__(kind, *error.args)
    twin.__dict__.update(error.__dict__)
    return twin


class Flight:
    """One call whose outcome others wait for: a result, an error, or neither when it was given up."""

    __slots__ = ("_landed", "error", "result")

    def __init__(self) -> None:
        self.result: CreateResult | None = None
        self.error: Exception | None = None
        self._landed: anyio.Event | None = None

    async def wait(self) -> None:
        """Wait until it is over."""
        if self._landed is None:
            self._landed = anyio.Event()
        await self._landed.wait()

    def land(self) -> None:
        """It is over."""
        if self._landed is not None:
            self._landed.set()


class SharedStream:
    """One stream that is read once, by a task of its own, for all who asked for it.

    There is one list of its events, and each reader has a place in it: a slow one costs no memory of its own. The task
    keeps at most `AHEAD` events before the fastest, and ends when nobody is left.
    """

    def __init__(self, over: Callable[[SharedStream], None]) -> None:
        """`over` is called when no further reader may come."""
        self.events: list[StreamEvent] = []
        self.error: Exception | None = None
        self.ended = False
        self._over = over
        self._complete = False
        self._readers: set[SharedReader] = set()
        self._scope = anyio.CancelScope()
        self._news: anyio.Event | None = None
        self._room: anyio.Event | None = None

    async def run(self, source: Callable[[], Awaitable[EventStream]]) -> None:
        """Read the stream that `source` opens; no error leaves this task but to the readers."""
        try:
            with self._scope:
                async with await source() as stream:
                    while not self._complete:
                        events = await stream.batch()
                        self.events += events
                        self._complete = not events or type(events[-1]) is Finish
                        self._tell()
                        await self._wait_for_room()
        except Exception as error:  # noqa: BLE001  # whatever it is, the readers raise it
            self.error = error
        finally:
            if self.error is None and not self._complete:
                self.error = StreamInterruptedError("the cache was closed while its stream was read", retryable=False)
            self.ended = True
            self._over(self)
            self._tell()

    def join(self, reader: SharedReader) -> None:
        """One more reader."""
        self._readers.add(reader)

    def leave(self, reader: SharedReader) -> None:
        """One reader less; without any the stream is closed."""
        self._readers.discard(reader)
        if not self._readers and not self.ended:
            self._over(self)
            self._scope.cancel()

    def stop(self) -> None:
        """End it, with an error for its readers."""
        self._scope.cancel()

    async def news(self) -> None:
        """Wait for more events or the end."""
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def moved(self) -> None:
        """A reader has taken events."""
        if self._room is not None:
            self._room.set()

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()

    async def _wait_for_room(self) -> None:
        while len(self.events) - max((reader.place for reader in self._readers), default=0) > AHEAD:
            self._room = anyio.Event()
            await self._room.wait()
        self._room = None


class SharedReader(EventStream):
    """The events of a shared stream from its beginning, for one of those who asked for it.

    The first of them gets them as they are. For the others nothing was sent, so their answer counts as cached; where
    the stream fails after they got events, they get a `StreamInterruptedError`.
    """

    __slots__ = ("_limited", "_note", "_shared", "place")

    def __init__(
        self,
        shared: SharedStream,
        limited: Callable[[Callable[[], Awaitable[Sequence[StreamEvent]]]], Awaitable[Sequence[StreamEvent]]],
        note: Callable[[Finish], Finish] | None,
    ) -> None:
        """`limited` waits as long as this reader wants to.

        `note` takes the last event and gives what takes its place; `None` for the first reader.
        """
        super().__init__()
        self.place = 0
        self._shared = shared
        self._limited = limited
        self._note = note
        shared.join(self)

    async def _more(self) -> Sequence[StreamEvent]:
        return await self._limited(self._next)

    async def _next(self) -> Sequence[StreamEvent]:
        shared = self._shared
        while self.place == len(shared.events):
            if shared.error is not None:
                raise self._error(shared.error)
            if shared.ended:
                return ()
            await shared.news()
        events = shared.events[self.place :]
        self.place = len(shared.events)
        shared.moved()
        if self._note is not None and isinstance(events[-1], Finish):
            events[-1] = self._note(events[-1])
        return events

    def _error(self, error: Exception) -> Exception:
        if self._note is None or not self.place:
            return copied(error)
        facts: dict[str, Any] = {}
        if isinstance(error, ModelClientError):
            facts = {name: getattr(error, name) for name in ("status_code", "code", "request_id", "attempts", "body")}
        return StreamInterruptedError(
            f"the stream that this one shares failed: {error}",
            partial=fold(self._shared.events[: self.place]),
            retryable=True,
            **facts,
        )

    async def _release(self) -> None:
        self._shared.leave(self)
