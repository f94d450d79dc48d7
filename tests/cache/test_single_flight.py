"""Calls that are the same and in flight at once: one request, and what happens to the others when something goes wrong."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from modelwire import (
    CancellationToken,
    ChatCompletionCache,
    ChatCompletionClient,
    CreateResult,
    DiskCacheStore,
    EventStream,
    Finish,
    InMemoryCacheStore,
    ModelTimeoutError,
    OpenAIChatCompletionClient,
    RateLimitError,
    RedisCacheStore,
    Start,
    StreamInterruptedError,
    TextDelta,
    Usage,
    UserMessage,
)
from modelwire.middleware import _flights
from tests.cache.servers import RedisServer
from tests.chat_answers import EVENTS, HELLO, answer, refused, stream_answer, stream_of, told
from tests.fakes import Reply, client_of, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from modelwire.types import StreamEvent
    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio

USAGE = Usage(prompt_tokens=9, completion_tokens=4)
START, FINISH = Start(id="s"), Finish(finish_reason="stop", usage=USAGE)


class Stepwise(ChatCompletionClient):
    """A model whose answers come when the test says so: each `give` is one batch of events, or an error."""

    def __init__(self) -> None:
        self.asked = 0
        self.closed = 0
        self._pieces: deque[Sequence[StreamEvent] | Exception] = deque()
        self._news = anyio.Event()

    def give(self, *pieces: Sequence[StreamEvent] | Exception) -> None:
        self._pieces.extend(pieces)
        self._news.set()

    async def _next(self) -> Sequence[StreamEvent]:
        while not self._pieces:
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        piece = self._pieces.popleft()
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        self.asked += 1
        await self._next()
        return CreateResult(content="Hi", finish_reason="stop", usage=USAGE)

    def stream(self, messages: Any, **options: Any) -> EventStream:
        self.asked += 1

        async def close() -> None:
            self.closed += 1

        return EventStream.of(self._next, close)


async def read(client: ChatCompletionClient, into: list[Any], messages: Any = HELLO, **options: Any) -> None:
    """All events, and the error that ended them."""
    try:
        async with client.stream(messages, **options) as events:
            async for event in events:
                into.append(event)  # noqa: PERF401  # what came before an error counts too
    except Exception as error:  # noqa: BLE001  # the tests look at it
        into.append(error)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(30):
        await anyio.lowlevel.checkpoint()


def texts(*words: str) -> list[TextDelta]:
    return [TextDelta(text=word) for word in words]


# ---------------------------------------------------------------------- calls


async def test_two_hundred_calls_send_one_request(server: ScriptedServer) -> None:
    server.add(answer("Hi there"))
    results: list[CreateResult] = []
    async with OpenAIChatCompletionClient(model="m", api_key="k", base_url=f"{server.url}/v1") as inner:
        client = ChatCompletionCache(inner)

        async def call() -> None:
            results.append(await client.create([UserMessage(content="Hello")]))

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(call)

    assert len(server.requests) == 1
    assert [result.text for result in results] == ["Hi there"] * 200
    assert [result.cached for result in results].count(False) == 1
    assert client.actual_usage().total_tokens * 200 == client.total_usage().total_tokens
    assert len({id(result.parts) for result in results}) == 200  # nobody can change another's
    assert client._flights == {}


async def test_without_single_flight_each_sends_its_own() -> None:
    transport = scripted(told())
    client = ChatCompletionCache(client_of(transport), single_flight=False)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client.create, HELLO)

    assert len(transport.requests) == 5


async def test_an_error_is_shared_and_each_has_its_own_copy() -> None:
    transport = scripted(refused(429, "slow_down"))
    client = ChatCompletionCache(client_of(transport, max_retries=0))
    errors: list[RateLimitError] = []

    async def call() -> None:
        with pytest.raises(RateLimitError) as caught:
            await client.create(HELLO)
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(call)

    assert len(transport.requests) == 1
    assert len({id(error) for error in errors}) == 5
    assert {(str(error), error.status_code, error.code, len(error.attempts)) for error in errors} == {
        (str(errors[0]), 429, "slow_down", 1)
    }


@pytest.mark.parametrize("moment", range(14))
async def test_the_leader_is_cancelled_at_every_await(moment: int) -> None:
    """The others finish whenever it happens, with at most one more request."""
    transport = scripted(told())
    client = ChatCompletionCache(client_of(transport), Yielding())
    results: list[CreateResult] = []
    leading = anyio.CancelScope()

    async def lead() -> None:
        with leading:
            await client.create(HELLO)

    async def follow() -> None:
        results.append(await client.create(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.lowlevel.checkpoint()
        for _ in range(5):
            tasks.start_soon(follow)
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        leading.cancel()

    assert [result.text for result in results] == ["Hi there"] * 5
    assert len(transport.requests) <= 2
    assert transport.open == 0
    assert client._flights == {}


class Yielding(InMemoryCacheStore):
    """A store that lets others run, as one over a network does."""

    async def get(self, key: str) -> bytes | None:
        await anyio.lowlevel.checkpoint()
        value = await super().get(key)
        await anyio.lowlevel.checkpoint()
        return value

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        await anyio.lowlevel.checkpoint()
        await super().set(key, value, ttl=ttl)
        await anyio.lowlevel.checkpoint()


async def test_an_answer_that_lands_while_the_store_is_asked_is_found() -> None:
    """The look-up began before the answer was stored, and comes back after the flight is over."""
    slow = [anyio.Event()]

    class Slow(InMemoryCacheStore):
        async def get(self, key: str) -> bytes | None:
            value = await super().get(key)
            if slow:
                await slow.pop().wait()
            return value

    late = slow[0]
    transport = scripted(told())
    client = ChatCompletionCache(client_of(transport), Slow())
    results: list[CreateResult] = []

    async def call() -> None:
        results.append(await client.create(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await settle()
        await call()  # another one overtakes it
        late.set()

    assert len(transport.requests) == 1
    assert [result.cached for result in results] == [False, True]


async def test_each_waits_no_longer_than_its_own_deadline() -> None:
    inner = Stepwise()
    client = ChatCompletionCache(inner)
    results: list[CreateResult] = []

    async def patient() -> None:
        results.append(await client.create(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(patient)
        await settle()
        with pytest.raises(ModelTimeoutError, match=r"deadline of 0\.01 s"):
            await client.create(HELLO, deadline=0.01)
        inner.give([])

    assert len(results) == inner.asked == 1


@pytest.mark.parametrize("way", ["deadline", "scope"])
async def test_a_leader_s_time_limit_is_not_that_of_the_others(way: str) -> None:
    transport = scripted(Reply(hold=True), told())
    client = ChatCompletionCache(client_of(transport))
    results: list[CreateResult] = []

    async def impatient() -> None:
        if way == "deadline":
            with pytest.raises(ModelTimeoutError):
                await client.create(HELLO, deadline=0.05)
        else:
            with anyio.move_on_after(0.05):
                await client.create(HELLO)

    async def patient() -> None:
        results.append(await client.create(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(impatient)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(patient)
        tasks.start_soon(patient)

    assert [result.text for result in results] == ["Hi there"] * 2
    assert len(transport.requests) == 2


async def test_refreshing_calls_share_with_one_another_alone() -> None:
    inner = Stepwise()
    client = ChatCompletionCache(inner)
    async with anyio.create_task_group() as tasks:
        for mode in ("use", "use", "refresh", "refresh", "bypass", "bypass"):
            tasks.start_soon(lambda mode=mode: client.create(HELLO, cache=mode))
        await settle()
        assert inner.asked == 4
        inner.give([], [], [], [])


def test_event_loops_in_other_threads_do_not_wait_for_each_other() -> None:
    client = ChatCompletionCache(client_of(scripted(told())))
    barrier = threading.Barrier(4)
    results: list[str] = []

    async def call() -> None:
        barrier.wait()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)

    async def one() -> None:
        results.append((await client.create(HELLO)).text)

    threads = [threading.Thread(target=anyio.run, args=(call,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == ["Hi there"] * 80


# ---------------------------------------------------------------------- streams


async def test_two_hundred_streams_send_one_request(server: ScriptedServer) -> None:
    server.add(stream_answer("Hi", " there"))
    found: list[list[Any]] = [[] for _ in range(200)]
    async with (
        OpenAIChatCompletionClient(model="m", api_key="k", base_url=f"{server.url}/v1") as inner,
        ChatCompletionCache(inner) as client,
        anyio.create_task_group() as tasks,
    ):
        for one in found:
            tasks.start_soon(read, client, one, [UserMessage(content="Hello")])

    assert len(server.requests) == 1
    assert all(one[:-1] == found[0][:-1] for one in found)
    assert [one[-1].cached for one in found].count(False) == 1
    assert client.actual_usage().total_tokens * 200 == client.total_usage().total_tokens
    assert client._streams == {}


async def test_streams_of_a_cache_that_is_not_entered_are_not_shared() -> None:
    transport = scripted(Reply(headers=EVENTS, body=stream_of("Hi")))
    client = ChatCompletionCache(client_of(transport))
    found: list[list[Any]] = [[], []]

    async with anyio.create_task_group() as tasks:
        for one in found:
            tasks.start_soon(read, client, one)

    assert len(transport.requests) == 2
    assert [one[-1].cached for one in found] == [False, False]


async def test_who_joins_late_gets_what_was_before_and_then_what_comes() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        first, late = [], []
        tasks.start_soon(read, client, first)
        inner.give([START, *texts("a")], texts("b"))
        await settle()
        assert first == [START, *texts("a", "b")]

        tasks.start_soon(read, client, late)
        await settle()
        assert late == [START, *texts("a", "b")]

        inner.give(texts("c"))
        await settle()
        assert first == late == [START, *texts("a", "b", "c")]
        inner.give([FINISH])
    assert inner.asked == inner.closed == 1
    assert first[-1] == FINISH
    assert late[-1].cached
    assert first[:-1] == late[:-1]


@pytest.mark.parametrize("moment", range(12))
async def test_the_first_reader_is_cancelled_at_every_await(moment: int) -> None:
    transport = scripted(Reply(headers=EVENTS, body=stream_of("Hi", " there")))
    others: list[list[Any]] = [[] for _ in range(5)]
    leading = anyio.CancelScope()
    async with (
        ChatCompletionCache(client_of(transport), Yielding()) as client,
        anyio.create_task_group() as tasks,
    ):

        async def lead() -> None:
            with leading:
                await read(client, [])

        tasks.start_soon(lead)
        await anyio.lowlevel.checkpoint()
        for one in others:
            tasks.start_soon(read, client, one)
        for _ in range(moment):
            await anyio.lowlevel.checkpoint()
        leading.cancel()

    assert ["".join(event.text for event in one if type(event) is TextDelta) for one in others] == ["Hi there"] * 5
    assert len(transport.requests) <= 2
    assert transport.open == 0
    assert client._streams == {}


async def test_when_all_readers_have_left_the_stream_is_closed() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client:
        async with client.stream(HELLO) as one, client.stream(HELLO) as other:
            inner.give([START, *texts("a")])
            assert await anext(one) == await anext(other) == START
        await settle()
        assert inner.closed == 1
        assert client._streams == {}

        inner.give([START, FINISH])
        found: list[Any] = []
        await read(client, found)
        assert found == [START, FINISH]
    assert inner.asked == 2


async def test_a_stream_that_fails_after_its_first_events() -> None:
    inner = Stepwise()
    failure = RateLimitError("too much", status_code=429, code="slow", request_id="r")
    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        first, joined = [], []
        tasks.start_soon(read, client, first)
        await settle()
        tasks.start_soon(read, client, joined)
        await settle()
        inner.give([START, *texts("a", "b")], failure)

    assert inner.asked == 1
    assert [first[:-1], joined[:-1]] == [[START, *texts("a", "b")]] * 2
    assert type(first[-1]) is RateLimitError
    error = joined[-1]
    assert type(error) is StreamInterruptedError
    assert (error.status_code, error.code, error.request_id, error.partial.text) == (429, "slow", "r", "ab")
    assert "too much" in str(error)


async def test_a_stream_that_fails_before_its_first_events() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        found: list[list[Any]] = [[], [], []]
        for one in found:
            tasks.start_soon(read, client, one)
        await settle()
        inner.give(RateLimitError("too much", status_code=429))

    errors = [one[0] for one in found]
    assert [(type(error), str(error)) for error in errors] == [(RateLimitError, "too much")] * 3
    assert len({id(error) for error in errors}) == 3
    assert inner.asked == 1


async def test_a_slow_reader_holds_up_nobody_and_costs_nothing() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        quick: list[Any] = []
        async with client.stream(HELLO) as slow:
            inner.give([START])
            assert await anext(slow) == START
            tasks.start_soon(read, client, quick)
            many = texts(*map(str, range(5 * _flights.AHEAD)))
            inner.give(*([event] for event in many), [FINISH])
            with anyio.fail_after(60):
                while not quick or type(quick[-1]) is not Finish:
                    await anyio.lowlevel.checkpoint()

            assert list(slow._ready) == []
            assert len(slow._seen) <= 1
            assert [event async for event in slow] == [*many, FINISH]


async def test_where_everybody_is_slow_the_model_waits() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client, client.stream(HELLO) as slow, client.stream(HELLO) as slower:
        inner.give([START])
        assert await anext(slow) == await anext(slower) == START
        inner.give(*([event] for event in texts(*map(str, range(3 * _flights.AHEAD)))), [FINISH])
        for _ in range(4 * _flights.AHEAD):
            await anyio.lowlevel.checkpoint()

        (shared,) = client._streams.values()
        assert len(shared.events) <= _flights.AHEAD + 2

        assert len([event async for event in slow]) == 3 * _flights.AHEAD + 1


async def test_each_reader_has_its_own_deadline() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        patient: list[Any] = []
        impatient: list[Any] = []
        tasks.start_soon(lambda: read(client, impatient, deadline=0.05))
        await settle()
        tasks.start_soon(read, client, patient)
        inner.give([START, *texts("a")])
        with anyio.fail_after(60):
            while not impatient or not isinstance(impatient[-1], Exception):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        inner.give([FINISH])

    assert impatient[:-1] == [START, *texts("a")]
    assert type(impatient[-1]) is ModelTimeoutError
    assert patient[:-1] == [START, *texts("a")]
    assert inner.asked == 1


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_a_cancelled_token_ends_the_wait_of_its_own_call(verb: str) -> None:
    """Whether it is that of the call that asked first, or of one that joined."""
    inner = Stepwise()
    tokens = [CancellationToken(), CancellationToken()]
    ended: list[type[BaseException]] = []
    results: list[Any] = []

    async def call(token: CancellationToken | None) -> None:
        try:
            if verb == "create":
                results.append(await client.create(HELLO, cancellation_token=token))
            else:
                await read(client, results, cancellation_token=token)
        except asyncio.CancelledError as error:
            ended.append(type(error))

    async with ChatCompletionCache(inner) as client, anyio.create_task_group() as tasks:
        for token in (None, *tokens):
            tasks.start_soon(call, token)
            await settle()
        for token in tokens:
            token.cancel()
        await settle()
        inner.give([START, FINISH])

    assert len(ended) == 2
    assert len(results) == (1 if verb == "create" else 2)
    assert inner.asked == 1
    assert (await client.create(HELLO, cancellation_token=CancellationToken())).cached


async def test_closing_the_cache_ends_what_is_shared() -> None:
    inner = Stepwise()
    found: list[Any] = []
    async with anyio.create_task_group() as tasks, ChatCompletionCache(inner) as client:
        tasks.start_soon(read, client, found)
        inner.give([START, *texts("a")])
        await settle()
        await client.close()
        await settle()
        assert type(found[-1]) is StreamInterruptedError
        assert "closed" in str(found[-1])
        inner.give([])  # the block goes on
        assert (await client.create(HELLO)).text == "Hi"
    assert inner.closed == 1


async def test_leaving_the_block_ends_what_is_shared() -> None:
    inner = Stepwise()
    found: list[Any] = []
    async with anyio.create_task_group() as tasks, ChatCompletionCache(inner) as client:
        tasks.start_soon(read, client, found)
        inner.give([START, *texts("a")])
        await settle()
    assert type(found[-1]) is StreamInterruptedError
    assert inner.closed == 1


async def test_an_error_inside_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with ChatCompletionCache(Stepwise()):
            raise KeyError("mine")


async def test_a_block_that_is_cancelled_ends() -> None:
    inner = Stepwise()
    with anyio.move_on_after(0.05) as scope:
        async with ChatCompletionCache(inner) as client:
            await read(client, [])
    assert scope.cancelled_caught
    assert inner.closed == 1


async def test_it_is_entered_once_and_again_after_that() -> None:
    client = ChatCompletionCache(Stepwise())
    async with client:
        with pytest.raises(RuntimeError, match="entered already"):
            await client.__aenter__()
    async with client:
        pass


async def test_a_user_s_stream_without_a_finish_is_passed_on_and_not_stored() -> None:
    inner = Stepwise()
    async with ChatCompletionCache(inner) as client:
        for _ in range(2):
            inner.give([START, *texts("a")], [])
            found: list[Any] = []
            await read(client, found)
            assert found == [START, *texts("a")]
    assert inner.asked == 2


async def test_a_request_that_is_refused_before_it_is_sent_reaches_every_reader() -> None:
    class Refusing(Stepwise):
        def stream(self, messages: Any, **options: Any) -> EventStream:
            raise ValueError("no such option")

    async with ChatCompletionCache(Refusing()) as client:
        found: list[Any] = []
        await read(client, found)
        assert [str(error) for error in found] == ["no such option"]


# ---------------------------------------------------------------------- processes that share a store


@pytest.fixture(params=["memory", "disk", "redis"])
def two_stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The store as two processes have it."""
    if request.param == "memory":
        yield [InMemoryCacheStore()] * 2
    elif request.param == "disk":
        yield [DiskCacheStore(tmp_path), DiskCacheStore(tmp_path)]
    else:
        with RedisServer("redis") as server:
            yield [RedisCacheStore("127.0.0.1", server.port, timeout=20, strict=True) for _ in range(2)]


async def test_two_processes_send_one_request(two_stores: Any) -> None:
    inner = Stepwise()
    clients = [ChatCompletionCache(inner, store, lock_timeout=60) for store in two_stores]
    results: list[CreateResult] = []
    found: list[Any] = []

    async def call(client: ChatCompletionCache) -> None:
        results.append(await client.create(HELLO))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call, clients[0])
        with anyio.fail_after(60):
            while not inner.asked:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        tasks.start_soon(call, clients[1])
        tasks.start_soon(call, clients[1])
        tasks.start_soon(read, clients[1], found)
        await anyio.sleep(0.1)
        assert inner.asked == 1
        inner.give([])

    assert inner.asked == 1
    assert sorted(result.cached for result in results) == [False, True, True]
    assert found[-1].cached
    for store in two_stores:
        await store.aclose()


async def test_two_processes_send_one_request_for_their_streams() -> None:
    inner = Stepwise()
    store = InMemoryCacheStore()
    one, other = (ChatCompletionCache(inner, store, lock_timeout=60) for _ in range(2))
    first: list[Any] = []
    second: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, one, first)
        await settle()
        tasks.start_soon(read, other, second)
        await settle()
        inner.give([START, *texts("a", "b")], [FINISH])

    assert inner.asked == 1
    assert first == [START, *texts("a", "b"), FINISH]
    assert second[:-1] == first[:-1]
    assert second[-1].cached
    assert store._locks == {}


@pytest.mark.parametrize("streams", [False, True])
async def test_a_process_that_fails_lets_the_next_one_ask(streams: bool) -> None:
    inner = Stepwise()
    store = InMemoryCacheStore()
    one, other = (ChatCompletionCache(inner, store, lock_timeout=60) for _ in range(2))
    found: list[Any] = []

    async def use(client: ChatCompletionCache, into: list[Any]) -> None:
        if streams:
            await read(client, into)
            return
        try:
            into.append(await client.create(HELLO))
        except RateLimitError as error:
            into.append(error)

    failed: list[Any] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use, one, failed)
        await settle()
        tasks.start_soon(use, other, found)
        await settle()
        inner.give(RateLimitError("too much"), [START, FINISH])

    assert [type(error) for error in failed] == [RateLimitError]
    assert not isinstance(found[-1], Exception)
    assert inner.asked == 2
    assert store._locks == {}


async def test_a_lock_whose_owner_is_gone_holds_up_nobody_for_longer_than_was_said() -> None:
    transport = scripted(told())
    store = InMemoryCacheStore(now=transport.clock.now)
    client = ChatCompletionCache(client_of(transport), store, lock_timeout=30, clock=transport.clock)
    key = await client.request_key(HELLO)
    assert key is not None
    from modelwire.middleware._envelope import name_of

    assert await store.lock(f"{name_of(key)}.lock", "a process that was killed", ttl=30)

    assert not (await client.create(HELLO)).cached
    assert 30 <= sum(transport.clock.sleeps) < 31


async def test_waiting_for_another_process_ends_at_the_deadline() -> None:
    store = InMemoryCacheStore()
    client = ChatCompletionCache(client_of(scripted(told())), store, lock_timeout=3600)
    key = await client.request_key(HELLO)
    assert key is not None
    from modelwire.middleware._envelope import name_of

    assert await store.lock(f"{name_of(key)}.lock", "another", ttl=3600)

    with pytest.raises(ModelTimeoutError, match=r"deadline of 0\.05 s"):
        await client.create(HELLO, deadline=0.05)
    found: list[Any] = []
    await read(client, found, deadline=0.05)
    assert type(found[0]) is ModelTimeoutError


async def test_a_call_that_is_cancelled_while_it_takes_the_lock_gives_it_back() -> None:
    class Far(InMemoryCacheStore):
        async def lock(self, key: str, owner: str, *, ttl: float) -> bool:
            taken = await super().lock(key, owner, ttl=ttl)
            await anyio.sleep_forever()  # the answer is still on its way
            return taken

    store = Far()
    client = ChatCompletionCache(client_of(scripted(told())), store, lock_timeout=3600)

    for use in (lambda: client.create(HELLO), lambda: read(client, [])):
        with anyio.move_on_after(0.05):
            await use()
        assert store._locks == {}
