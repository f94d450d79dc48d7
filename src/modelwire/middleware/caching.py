"""`ChatCompletionCache`: an answer that was given once is given again, and identical calls in flight are one."""

from __future__ import annotations

import logging
import math
import secrets
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar, cast, get_args

import anyio
import anyio.lowlevel
import msgspec

from modelwire._cancel import cancelled_by, checked_token
from modelwire._clock import RealClock
from modelwire._fold import fold
from modelwire._stream import EventStream
from modelwire.base import _given
from modelwire.cache._ttl import checked_ttl
from modelwire.cache.memory import InMemoryCacheStore
from modelwire.errors import BadRequestError, CacheMissError, ModelTimeoutError
from modelwire.middleware import _envelope
from modelwire.middleware._deadline import Deadline
from modelwire.middleware._flights import Flight, SharedReader, SharedStream, copied
from modelwire.middleware._wrapper import Wrapper
from modelwire.types import Finish, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from modelwire.base import ChatCompletionClient, ToolChoiceLike, ToolLike
    from modelwire.protocols import CacheStore, Clock, LockingCacheStore
    from modelwire.types import CreateResult, Message, StreamEvent

T = TypeVar("T")

CacheMode: TypeAlias = Literal["use", "refresh", "bypass", "only"]
"""What a call does with the cache."""

logger = logging.getLogger("modelwire")

_MODES = get_args(CacheMode)
_LIMITS = {"deadline", "cancellation_token"}
_REMEMBERED = 1000
"""Names of entries that were stored last; a look-up that began before one of them was stored is done again."""
_PAUSES = (0.02, 0.5)
"""Seconds between two looks whether another process has the answer: at first, and at most."""


class ChatCompletionCache(Wrapper):
    """A client around `model_client` that keeps its answers in `cache`, and gives them again for the same request.

    ```python
    client = ChatCompletionCache(connect("openai:gpt-4.1"), DiskCacheStore("answers"))
    ```

    Whatever goes through it is cached: wrapping a client says so. Not kept are errors, streams that did not come to
    their end, and answers that ended by `error`. Which requests are the same is said by the client's `request_key`: the
    server, the model, the messages, the tools and every option that is sent, but no credential, time limit or header
    that changes nothing; a client that gives no key is asked each time. Calls and streams find each other's answers,
    and a stream that is given again has the same events. `result.cached` says where an answer is from; one from the
    cache adds to `total_usage()`, and not to `actual_usage()`.

    A call may say `cache="refresh"` to ask anew and keep the answer, `"bypass"` to have nothing to do with the cache, and
    `"only"` to raise `CacheMissError` instead of asking; and `ttl=`, the seconds that its answer is kept.

    Calls that are the same and in flight at once send one request, and where the one that sent it is cancelled, the next
    takes its place. Streams do so where the cache is entered (`async with ChatCompletionCache(...) as client:`): a task
    of its own reads the shared one, and whoever joins gets its events from the beginning.

    The client and the store stay the caller's: `close` closes neither. What a store raises reaches the caller.
    """

    def __init__(
        self,
        model_client: ChatCompletionClient,
        cache: CacheStore | None = None,
        *,
        ttl: float | None = None,
        cache_if: Callable[[CreateResult], bool] | None = None,
        single_flight: bool = True,
        lock_timeout: float | None = None,
        replay_timing: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """`cache` is an `InMemoryCacheStore` of its own by default; `ttl` the seconds of answers, by default the store's.

        `cache_if` is asked whether an answer is to be kept. `single_flight=False` lets every call send its own request.
        `lock_timeout` makes processes that share the store send one request together: seconds for which the others
        wait, through a lock in the store, for the one that asks; longer than an answer takes. `replay_timing` gives the
        events of a stored stream at the pace at which they came once, instead of all at once. `clock` is for tests.
        """
        super().__init__(model_client)
        self.store: CacheStore = InMemoryCacheStore() if cache is None else cache
        if lock_timeout is not None and not hasattr(self.store, "lock"):
            raise TypeError(f"lock_timeout needs a store with lock and unlock, which {type(self.store).__name__} lacks")
        self._ttl = checked_ttl(ttl)
        self._cache_if = cache_if
        self._single_flight = single_flight
        self._lock_timeout = checked_ttl(lock_timeout)
        self._replay_timing = replay_timing
        self._clock: Clock = clock or RealClock()
        self._saved = Usage(prompt_tokens=0, completion_tokens=0)
        self._flights: dict[object, Flight] = {}
        self._streams: dict[object, SharedStream] = {}
        self._stored_last: OrderedDict[str, int] = OrderedDict()
        self._stored = 0
        self._tasks: TaskGroup | None = None
        self._loop: object = None

    # ------------------------------------------------------------------ the verbs

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        cache: CacheMode = "use",
        ttl: float | None = None,
        **options: Any,
    ) -> CreateResult:
        """The stored answer, or else the inner client's.

        Raises `CacheMissError` for `cache="only"` without a stored answer, and what the inner client and the store raise.
        """
        given = _given(tools, tool_choice, options)
        policy = self._policy(cache, ttl)
        name = await self._name(messages, given, policy)
        if name is None:
            return await self.inner.create(messages, **given)
        found = await self._look_up(name, policy, _envelope.result_of)
        return self._again(found) if found is not None else await self._missed(name, messages, given, policy)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        cache: CacheMode = "use",
        ttl: float | None = None,
        **options: Any,
    ) -> EventStream:
        """The events of the stored answer, or else of the inner client's stream.

        Raises as `create` does, from the iteration.
        """
        given = _given(tools, tool_choice, options)
        policy = self._policy(cache, ttl)
        if policy.mode == "bypass":
            return EventStream.over(self.inner.stream(messages, **given))
        return _CachedStream(partial(self._open, messages, given, policy))

    async def request_key(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        cache: CacheMode = "use",
        ttl: float | None = None,
        **options: Any,
    ) -> bytes | None:
        """The inner client's key."""
        del cache, ttl
        return await self.inner.request_key(messages, **_given(tools, tool_choice, options))

    def total_usage(self) -> Usage:
        """What the inner client used, and what the answers that were given again once took."""
        return self.inner.total_usage() + self._saved

    # ------------------------------------------------------------------ what is stored

    def _policy(self, cache: CacheMode, ttl: float | None) -> _Policy:
        if cache not in _MODES:
            raise BadRequestError(f"cache={cache!r} is none of {', '.join(map(repr, _MODES))}")
        return _Policy(cache, self._ttl if ttl is None else checked_ttl(ttl))

    async def _name(self, messages: Sequence[Message], given: dict[str, Any], policy: _Policy) -> str | None:
        """The name of the answer in the store; `None` where the store is left alone."""
        if policy.mode == "bypass":
            return None
        key = await self.inner.request_key(messages, **_without_limits(given))
        if key is None and policy.mode == "only":
            raise CacheMissError("this client gives no key to find an answer by, and cache='only' sends nothing")
        return None if key is None else _envelope.name_of(key)

    async def _look_up(self, name: str, policy: _Policy, read: Callable[[str, bytes], T | None]) -> T | None:
        """The stored answer; `None` when the model is to be asked."""
        if policy.mode == "refresh":
            return None
        while True:
            before = self._stored
            value = await self.store.get(name)
            if value is not None:
                found = read(name, value)
                if found is not None:
                    return found
                logger.warning("the stored answer %s is damaged: the model is asked again", name)
            if self._stored_last.get(name, 0) <= before:
                break
            # It was stored while the store was asked, which may have looked before that.
        if policy.mode == "only":
            raise CacheMissError("the answer is not in the cache, and cache='only' sends nothing")
        return None

    async def _keep(
        self, name: str, result: CreateResult, stream: _envelope.Recorded | None, ttl: float | None
    ) -> None:
        """Store an answer, if it is one to be stored."""
        if result.finish_reason == "error" or (self._cache_if is not None and not self._cache_if(result)):
            return
        try:
            value = _envelope.packed(name, result, stream)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:  # only a client of a user's own gives such
            logger.warning("an answer cannot be stored: %s", error)
            return
        await self.store.set(name, value, ttl=ttl)
        self._stored += 1
        self._stored_last[name] = self._stored
        self._stored_last.move_to_end(name)
        if len(self._stored_last) > _REMEMBERED:
            self._stored_last.popitem(last=False)

    def _again(self, result: CreateResult) -> CreateResult:
        """A stored answer, or another call's, as it is given."""
        self._note(result.usage)
        return msgspec.structs.replace(result, cached=True)

    def _finish_again(self, finish: Finish) -> Finish:
        self._note(finish.usage)
        return msgspec.structs.replace(finish, cached=True)

    def _note(self, usage: Usage | None) -> None:
        if usage is not None:
            self._saved += usage

    # ------------------------------------------------------------------ a call that asks

    async def _missed(
        self, name: str, messages: Sequence[Message], given: dict[str, Any], policy: _Policy
    ) -> CreateResult:
        """Ask, or wait for another call that asks the same."""
        limits = _Limits(given)
        ask = partial(self._ask, name, messages, given, policy, limits)
        if not self._single_flight:
            return await ask()
        place = (name, policy.mode, anyio.lowlevel.current_token())
        if place not in self._flights:
            return await self._lead(place, ask, given)
        while (flight := self._flights.get(place)) is not None:
            await limits.run(flight.wait)
            if flight.result is not None:
                return self._again(_envelope.twin(flight.result))
            if flight.error is not None:
                raise copied(flight.error)
            # It was given up; somebody who woke up earlier may have asked again, and have the answer already.
            found = await self._look_up(name, policy, _envelope.result_of)
            if found is not None:
                return self._again(found)
        return await limits.run(partial(self._lead, place, ask, given))

    async def _lead(
        self, place: object, ask: Callable[[], Awaitable[CreateResult]], given: dict[str, Any]
    ) -> CreateResult:
        """Ask for all who wait for the same."""
        flight = self._flights[place] = Flight()
        try:
            flight.result = await ask()
        except Exception as error:
            # A time limit that is this caller's is not that of the others: one of them asks again.
            limited = given.get("deadline") is not None or anyio.current_effective_deadline() != math.inf
            if not (limited and isinstance(error, ModelTimeoutError)):
                flight.error = error
            raise
        finally:
            del self._flights[place]
            flight.land()
        return flight.result

    async def _ask(
        self, name: str, messages: Sequence[Message], given: dict[str, Any], policy: _Policy, limits: _Limits
    ) -> CreateResult:
        turn = self._turn(name, policy)
        if turn is None:
            return await self._asked(name, messages, given, policy)
        try:
            found = await limits.run(partial(turn.wait, _envelope.result_of))
            return await self._asked(name, messages, given, policy) if found is None else self._again(found)
        finally:
            await turn.over()

    async def _asked(
        self, name: str, messages: Sequence[Message], given: dict[str, Any], policy: _Policy
    ) -> CreateResult:
        result = await self.inner.create(messages, **given)
        await self._keep(name, result, None, policy.ttl)
        return result

    def _turn(self, name: str, policy: _Policy) -> _Turn | None:
        if self._lock_timeout is None or policy.mode == "refresh":
            return None
        return _Turn(cast("LockingCacheStore", self.store), name, self._lock_timeout, self._clock)

    # ------------------------------------------------------------------ a stream that asks

    async def _open(self, messages: Sequence[Message], given: dict[str, Any], policy: _Policy) -> EventStream:
        name = await self._name(messages, given, policy)
        if name is None:
            return EventStream.over(self.inner.stream(messages, **given))
        found = await self._look_up(name, policy, _envelope.stream_of)
        if found is not None:
            return self._replayed(found)
        limits = _Limits(given)
        loop = anyio.lowlevel.current_token()
        if self._tasks is None or self._loop != loop or not self._single_flight:
            return await self._source(name, messages, given, policy, limits)
        shared = self._streams.get((name, policy.mode))
        if shared is not None:
            return SharedReader(shared, limits.run, self._finish_again)
        shared = self._streams[name, policy.mode] = SharedStream(self._over)
        # What limits the wait is each reader's own. A deadline that is given at all takes the place of the client's.
        given = _without_limits(given) | ({"deadline": None} if "deadline" in given else {})
        reader = SharedReader(shared, limits.run, None)
        self._tasks.start_soon(shared.run, partial(self._source, name, messages, given, policy, _Limits({})))
        return reader

    async def _source(
        self, name: str, messages: Sequence[Message], given: dict[str, Any], policy: _Policy, limits: _Limits
    ) -> EventStream:
        """The inner client's stream, which is kept at its end, or what another process has stored meanwhile."""
        turn = self._turn(name, policy)
        try:
            found = await limits.run(partial(turn.wait, _envelope.stream_of)) if turn is not None else None
            if found is None:
                inner = EventStream.over(self.inner.stream(messages, **given))
                keep = partial(self._keep, name, ttl=policy.ttl)
                return _Recording(inner, keep, self._clock, turn)
        except BaseException:
            if turn is not None:
                await turn.over()
            raise
        if turn is not None:
            await turn.over()
        return self._replayed(found)

    def _replayed(self, recorded: _envelope.Recorded) -> EventStream:
        *_, finish = recorded.events
        recorded.events[-1] = self._finish_again(cast("Finish", finish))
        return _Replay(recorded, self._clock if self._replay_timing else None)

    def _over(self, shared: SharedStream) -> None:
        for place, other in list(self._streams.items()):
            if other is shared:
                del self._streams[place]

    # ------------------------------------------------------------------ the end

    async def close(self) -> None:
        """End the streams that are shared; the client and the store stay open. Repeatable."""
        for shared in list(self._streams.values()):
            shared.stop()

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("this cache is entered already: enter it once, and use it from all tasks inside")
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks, self._loop = tasks, anyio.lowlevel.current_token()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, None
        await self.close()
        if tasks is not None:
            # Not the error of the block, which would come out as a group of errors.
            await tasks.__aexit__(None, None, None)


class _Limits:
    """What ends one caller's wait: its deadline, and its token."""

    __slots__ = ("_deadline", "_token")

    def __init__(self, given: dict[str, Any]) -> None:
        self._deadline = Deadline(given.get("deadline"))
        self._token = checked_token(given.get("cancellation_token"))

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this within them."""
        if self._token is None:
            return await self._deadline.run(work)
        return await cancelled_by(self._token, partial(self._deadline.run, work))


def _without_limits(given: dict[str, Any]) -> dict[str, Any]:
    """What an answer depends on: not on how long its caller waits."""
    return {name: value for name, value in given.items() if name not in _LIMITS} if _LIMITS & given.keys() else given


class _Policy(NamedTuple):
    """What a call said about the cache."""

    mode: CacheMode
    ttl: float | None


class _CachedStream(EventStream):
    """A stream that finds out at its first event where it comes from."""

    __slots__ = ("_next", "_open", "_source")

    def __init__(self, opened: Callable[[], Awaitable[EventStream]]) -> None:
        super().__init__()
        self._open = opened
        self._source: EventStream | None = None
        self._next: Callable[[], Awaitable[Sequence[StreamEvent]]]

    def _more(self) -> Awaitable[Sequence[StreamEvent]]:
        return self._first() if self._source is None else self._next()

    async def _first(self) -> Sequence[StreamEvent]:
        self._source = source = await self._open()
        # What `batch` adds to the streams of this module is done by this one already, for each event.
        self._next = source._more if isinstance(source, _OWN) else source.batch  # noqa: SLF001
        if self._ended:  # closed by another task meanwhile
            await source.aclose()
            return ()
        return await self._next()

    async def _release(self) -> None:
        if self._source is not None:
            await self._source.aclose()


class _Recording(EventStream):
    """The inner client's stream, noted as it comes, and kept before its last event is seen: many return at that."""

    __slots__ = ("_begun", "_came", "_events", "_inner", "_keep", "_now", "_turn")

    def __init__(
        self, inner: EventStream, keep: Callable[..., Awaitable[None]], clock: Clock, turn: _Turn | None
    ) -> None:
        super().__init__()
        self._inner = inner
        self._keep = keep
        self._now = clock.now
        self._turn = turn
        self._events: list[StreamEvent] = []
        self._came: list[tuple[int, float]] = []
        """How many events had come, and when."""
        self._begun = clock.now()

    async def _more(self) -> Sequence[StreamEvent]:
        events = await self._inner.batch() if self._result is None else ()
        if not events:
            return ()
        self._came.append((len(self._events), self._now()))
        self._events += events
        if type(events[-1]) is Finish:
            self._result = fold(self._events)
            await self._keep(self._result, _envelope.Recorded(self._events, self._gaps()))
        return events

    def _gaps(self) -> list[int]:
        gaps = [0] * len(self._events)
        last = self._begun
        for place, now in self._came:
            gaps[place] = round((now - last) * 1e6)
            last = now
        return gaps

    async def _release(self) -> None:
        await self._inner.aclose()
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.over()


class _Replay(EventStream):
    """A stored stream: all at once, or with a clock at its old pace."""

    __slots__ = ("_clock", "_place", "_recorded")

    def __init__(self, recorded: _envelope.Recorded, clock: Clock | None) -> None:
        super().__init__()
        self._recorded = recorded
        self._clock = clock if recorded.gaps else None
        self._place = 0

    async def _more(self) -> Sequence[StreamEvent]:
        events, gaps = self._recorded
        begin, self._place = self._place, len(events)
        if self._clock is None or begin == len(events):
            return events[begin:]
        self._place = next((place for place in range(begin + 1, len(events)) if gaps[place]), len(events))
        await self._clock.sleep(gaps[begin] / 1e6)
        return events[begin : self._place]


_OWN = (_Recording, _Replay, SharedReader)


class _Turn:
    """Whose turn it is to ask, among processes that share a store."""

    def __init__(self, store: LockingCacheStore, name: str, limit: float, clock: Clock) -> None:
        self._store = store
        self._name = name
        self._lock = f"{name}.lock"
        self._owner = secrets.token_hex(8)
        self._limit = limit
        self._clock = clock
        self._mine = False

    async def wait(self, read: Callable[[str, bytes], T | None]) -> T | None:
        """Wait for one's turn, or for the answer that another process stores; `None` when the model is to be asked."""
        end = self._clock.now() + self._limit
        pause, longest = _PAUSES
        while True:
            self._mine = True  # should this be cancelled, the store may have given it all the same
            self._mine = await self._store.lock(self._lock, self._owner, ttl=self._limit)
            value = await self._store.get(self._name)
            found = read(self._name, value) if value is not None else None
            if found is not None or self._mine or self._clock.now() >= end:
                return found
            await self._clock.sleep(pause)
            pause = min(pause * 1.5, longest)

    async def over(self) -> None:
        """Let the next one ask."""
        if self._mine:
            self._mine = False
            with anyio.CancelScope(shield=True):
                await self._store.unlock(self._lock, self._owner)
