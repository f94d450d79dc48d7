"""`ChatCompletionCache`: what is stored, what is given again, and what a call can say about it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from modelwire import (
    BadRequestError,
    CacheMissError,
    CacheStore,
    ChatCompletionCache,
    ChatCompletionClient,
    CreateResult,
    DiskCacheStore,
    Finish,
    FunctionCall,
    InMemoryCacheStore,
    RateLimitError,
    StreamInterruptedError,
    Usage,
    UserMessage,
)
from modelwire._fold import fold
from tests.chat_answers import EVENTS, HELLO, JSON, completion, refused, stream_of, streamed, text_chunks, told
from tests.fakes import Reply, client_of, scripted

if TYPE_CHECKING:
    from pathlib import Path

    from modelwire.types import StreamEvent

pytestmark = pytest.mark.anyio

USED = Usage(prompt_tokens=9, completion_tokens=4)


def cached(*replies: Reply | Exception, **options: Any) -> tuple[ChatCompletionCache, Any]:
    """A cache in front of a client of these answers, and the transport."""
    transport = scripted(*replies)
    client = client_of(transport, max_retries=0)
    return ChatCompletionCache(client, clock=transport.clock, **options), transport


async def events_of(client: ChatCompletionClient, messages: Any = HELLO, **options: Any) -> list[StreamEvent]:
    async with client.stream(messages, **options) as events:
        return [event async for event in events]


def uncached(value: Any) -> Any:
    return msgspec.structs.replace(value, cached=False)


# ---------------------------------------------------------------------- hits


async def test_the_same_call_is_sent_once() -> None:
    client, transport = cached(told("Hi", **{"x-request-id": "req-1"}), told("another"))

    first = await client.create(HELLO)
    second = await client.create([UserMessage(content="Hello", source="user")])

    assert len(transport.requests) == 1
    assert not first.cached
    assert second.cached
    assert uncached(second) == first  # the request's id, its attempts and times too
    assert second.request_id == "req-1"


async def test_the_same_stream_is_sent_once() -> None:
    client, transport = cached(streamed("Hi", " there", " you"), streamed("another"))

    first = await events_of(client)
    async with client.stream(HELLO) as again:
        second = [event async for event in again]
        result = again.result

    assert len(transport.requests) == 1
    assert second[:-1] == first[:-1]
    assert uncached(second[-1]) == first[-1]
    assert isinstance(second[-1], Finish)
    assert second[-1].cached
    assert result.cached
    assert result.text == "Hi there you"


async def test_text_chunks_are_the_same_ones() -> None:
    client, transport = cached(streamed("Hi", " there", " you"))

    first = [item async for item in client.create_stream(HELLO)]
    second = [item async for item in client.create_stream(HELLO)]

    assert first[:-1] == second[:-1] == ["Hi", " there", " you"]
    assert uncached(second[-1]) == first[-1]
    assert len(transport.requests) == 1


async def test_a_call_finds_what_a_stream_left() -> None:
    client, transport = cached(streamed("Hi", " there"))
    async with client.stream(HELLO) as events:
        _ = [event async for event in events]

    result = await client.create(HELLO)

    assert len(transport.requests) == 1
    assert result.cached
    assert uncached(result) == events.result


async def test_a_stream_finds_what_a_call_left() -> None:
    client, transport = cached(told("Hi there"))
    first = await client.create(HELLO)

    async with client.stream(HELLO) as events:
        _ = [event async for event in events]

    assert len(transport.requests) == 1
    assert uncached(events.result) == first


async def test_different_calls_are_different() -> None:
    client, transport = cached(told("1"), told("2"), told("3"), told("4"))
    calls: list[dict[str, Any]] = [
        {},
        {"temperature": 0.5},
        {"tools": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]},
        {"extra_body": {"x": 1}},
    ]
    first = [await client.create(HELLO, **call) for call in calls]
    second = [await client.create(HELLO, **call) for call in calls]

    assert [result.text for result in first] == [result.text for result in second] == ["1", "2", "3", "4"]
    assert len(transport.requests) == 4


async def test_a_deadline_is_no_part_of_the_request() -> None:
    client, transport = cached(told())

    await client.create(HELLO, deadline=100)
    assert (await client.create(HELLO, deadline=7)).cached
    assert (await client.create(HELLO)).cached
    assert len(transport.requests) == 1


async def test_two_servers_share_a_store_and_no_answer() -> None:
    store = InMemoryCacheStore()
    one, other = (
        ChatCompletionCache(client_of(scripted(told(name)), base_url=f"https://{name}.example.com/v1"), store)
        for name in ("one", "other")
    )

    for _ in range(2):
        assert [(await client.create(HELLO)).text for client in (one, other)] == ["one", "other"]


async def test_autogens_way_to_make_one() -> None:
    store = InMemoryCacheStore()
    inner = client_of(scripted(told()))
    client = ChatCompletionCache(inner, store)
    same = ChatCompletionCache(model_client=inner, cache=store)

    await client.create(HELLO)

    assert (await same.create(HELLO)).cached
    assert client.model_info == inner.model_info
    assert client.count_tokens(HELLO) == inner.count_tokens(HELLO)
    assert client.remaining_tokens(HELLO) == inner.remaining_tokens(HELLO)
    assert await client.request_key(HELLO, cache="only", ttl=3) == await inner.request_key(HELLO)


async def test_nothing_that_a_hit_gives_is_shared_with_the_next() -> None:
    client, _ = cached(told("Hi"))
    await client.create(HELLO)
    first = await client.create(HELLO)
    assert first.parts is not None
    first.parts.clear()

    assert (await client.create(HELLO)).text == "Hi"


# ---------------------------------------------------------------------- what is not stored


async def test_an_error_is_not_stored() -> None:
    client, transport = cached(refused(429), told("Hi"))

    with pytest.raises(RateLimitError):
        await client.create(HELLO)

    assert not (await client.create(HELLO)).cached
    assert len(transport.requests) == 2


@pytest.mark.parametrize("body", [text_chunks("Hi"), [*text_chunks("Hi"), OSError]], ids=["cut", "broken"])
async def test_a_stream_that_breaks_off_is_not_stored(body: list[Any]) -> None:
    broken = Reply(headers=EVENTS, body=[piece if isinstance(piece, bytes) else b"data: {" for piece in body])
    client, transport = cached(broken, streamed("Hi"))

    with pytest.raises(StreamInterruptedError):
        await events_of(client)

    assert len(await events_of(client)) > 2
    assert len(transport.requests) == 2


async def test_a_stream_that_is_left_early_is_not_stored() -> None:
    client, transport = cached(streamed("Hi", " there"), told())

    async with client.stream(HELLO) as events:
        async for _ in events:
            break
    assert transport.open == 0

    assert not (await client.create(HELLO)).cached
    assert len(transport.requests) == 2


class Giving(ChatCompletionClient):
    """A client of a user's own that gives this."""

    def __init__(self, *results: CreateResult) -> None:
        self.results = list(results)
        self.calls: list[dict[str, Any]] = []

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        self.calls.append(options)
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]


async def test_an_answer_that_ended_by_an_error_is_not_stored() -> None:
    inner = Giving(CreateResult(content="", finish_reason="error"))
    client = ChatCompletionCache(inner)

    for _ in range(2):
        await client.create(HELLO)
        await events_of(client)

    assert len(inner.calls) == 4


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "refusal", "unknown", "pause"])
async def test_every_other_answer_is(reason: Any) -> None:
    inner = Giving(CreateResult(content="", finish_reason=reason))
    client = ChatCompletionCache(inner)

    assert [(await client.create(HELLO)).cached for _ in range(2)] == [False, True]


async def test_cache_if_opts_out() -> None:
    client, transport = cached(streamed("no"), streamed("yes"), cache_if=lambda result: result.text == "yes")

    for _ in range(3):
        await events_of(client)

    assert len(transport.requests) == 2


async def test_a_client_without_a_key_is_asked_each_time() -> None:
    inner = Giving(CreateResult(content="Hi", finish_reason="stop"))
    client = ChatCompletionCache(inner)

    for _ in range(2):  # an option that is no data
        assert not (await client.create(HELLO, response_format=Giving)).cached
        assert len(await events_of(client, response_format=Giving)) == 3
    with pytest.raises(CacheMissError, match="no key"):
        await client.create(HELLO, response_format=Giving, cache="only")


async def test_an_answer_that_is_no_data_is_given_and_not_stored(caplog: Any) -> None:
    inner = Giving(CreateResult(content=object(), finish_reason="stop"))  # type: ignore[arg-type]
    client = ChatCompletionCache(inner)

    for _ in range(2):
        assert not (await client.create(HELLO)).cached
    assert "cannot be stored" in caplog.text


# ---------------------------------------------------------------------- what a call says


async def test_refresh_asks_and_stores() -> None:
    client, transport = cached(told("old"), told("new"), streamed("newest"))
    await client.create(HELLO)

    assert (await client.create(HELLO, cache="refresh")).text == "new"
    assert (await client.create(HELLO)).text == "new"
    await events_of(client, cache="refresh")
    assert (await client.create(HELLO)).text == "newest"
    assert len(transport.requests) == 3


async def test_bypass_neither_reads_nor_stores() -> None:
    client, transport = cached(told("old"), told("other"), streamed("third"))
    await client.create(HELLO)

    assert (await client.create(HELLO, cache="bypass")).text == "other"
    await events_of(client, cache="bypass")
    assert (await client.create(HELLO)).text == "old"
    assert len(transport.requests) == 3


async def test_only_sends_nothing() -> None:
    client, transport = cached(told("Hi"))

    with pytest.raises(CacheMissError, match="not in the cache"):
        await client.create(HELLO, cache="only")
    with pytest.raises(CacheMissError, match="not in the cache"):
        await events_of(client, cache="only")
    assert not transport.requests

    await client.create(HELLO)
    assert (await client.create(HELLO, cache="only")).cached
    assert len(await events_of(client, cache="only")) > 2


@pytest.mark.parametrize("use", ["create", "stream"])
async def test_what_is_no_way_to_use_it_is_refused(use: str) -> None:
    client, _ = cached(told())
    verb: Any = client.create if use == "create" else lambda *args, **given: events_of(client, **given)

    with pytest.raises(BadRequestError, match="'sometimes' is none of 'use', 'refresh', 'bypass', 'only'"):
        await verb(HELLO, cache="sometimes")
    with pytest.raises(ValueError, match="ttl=0"):
        await verb(HELLO, ttl=0)


async def test_the_inner_client_never_sees_what_is_meant_for_the_cache() -> None:
    inner = Giving(CreateResult(content="Hi", finish_reason="stop"))
    client = ChatCompletionCache(inner)

    await client.create(HELLO, cache="refresh", ttl=3, temperature=1)
    await events_of(client, cache="refresh", ttl=3)
    await client.create(HELLO, cache="bypass", ttl=3)

    assert inner.calls == [{"temperature": 1}, {}, {}]


async def test_how_long_an_answer_is_kept() -> None:
    now = [0.0]
    store = InMemoryCacheStore(ttl=1000, now=lambda: now[0])
    client, transport = cached(told(), cache=store, ttl=100)
    other = [UserMessage(content="Another")]
    third = [UserMessage(content="Third")]

    await client.create(HELLO)
    await client.create(other, ttl=10)
    await events_of(client, third, ttl=500)

    now[0] = 9
    assert [await is_kept(client, messages) for messages in (HELLO, other, third)] == [True, True, True]
    now[0] = 10
    assert [await is_kept(client, messages) for messages in (HELLO, other, third)] == [True, False, True]
    now[0] = 100
    assert [await is_kept(client, messages) for messages in (HELLO, other, third)] == [False, False, True]
    now[0] = 500
    assert not await is_kept(client, third)
    assert len(transport.requests) == 3


async def is_kept(client: ChatCompletionCache, messages: Any) -> bool:
    try:
        return (await client.create(messages, cache="only")).cached
    except CacheMissError:
        return False


# ---------------------------------------------------------------------- usage


async def test_a_hit_adds_to_the_total_alone() -> None:
    client, _ = cached(told())

    await client.create(HELLO)
    assert client.actual_usage() == client.total_usage() == USED
    await client.create(HELLO)
    await events_of(client)
    async with client.stream(HELLO) as events:
        async for _ in events:
            break

    assert client.actual_usage() == USED == client.inner.actual_usage()
    assert client.total_usage() == USED + USED + USED + USED


async def test_a_cache_around_a_cache_counts_each_hit_once() -> None:
    inner, transport = cached(told())
    outer = ChatCompletionCache(inner)

    for _ in range(3):
        await outer.create(HELLO)
    await outer.create(HELLO, cache="refresh")  # the inner one has it

    assert len(transport.requests) == 1
    assert outer.actual_usage() == USED
    assert outer.total_usage() == USED + USED + USED + USED


# ---------------------------------------------------------------------- the old pace


async def test_a_stream_is_given_again_at_its_old_pace() -> None:
    chunks = text_chunks("a", "b", "c")
    body = [0.5, *chunks[:2], 2.0, chunks[2], 0.25, *chunks[3:], *stream_of()[1:]]
    client, transport = cached(Reply(headers=EVENTS, body=body), replay_timing=True)
    begin = transport.clock.time
    first = await events_of(client)
    took = transport.clock.time - begin

    begin = transport.clock.time
    moments: list[tuple[float, str]] = []
    async with client.stream(HELLO) as events:
        second = []
        async for event in events:
            second.append(event)
            moments.append((transport.clock.time - begin, event.type))

    assert took == pytest.approx(2.75)
    assert second[:-1] == first[:-1]
    assert [(round(at, 3), kind) for at, kind in moments if kind == "text_delta"] == [
        (0.5, "text_delta"),
        (2.5, "text_delta"),
        (2.75, "text_delta"),
    ]
    assert transport.clock.sleeps == pytest.approx([0.5, 2.0, 0.25])

    await client.create(HELLO)  # a call does not wait for it
    assert len(transport.clock.sleeps) == 3


async def test_without_that_it_comes_at_once() -> None:
    client, transport = cached(Reply(headers=EVENTS, body=[1.0, *stream_of("a", "b")]))
    await events_of(client)

    await events_of(client)

    assert transport.clock.sleeps == []


async def test_an_answer_that_was_not_streamed_has_no_pace() -> None:
    client, transport = cached(told(), replay_timing=True)
    await client.create(HELLO)

    await events_of(client)

    assert transport.clock.sleeps == []


# ---------------------------------------------------------------------- the store


async def test_what_a_store_raises_reaches_the_caller() -> None:
    class Broken(CacheStore):
        async def get(self, key: str) -> bytes | None:
            raise LookupError("broken")

        async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None: ...
        async def delete(self, key: str) -> None: ...
        async def clear(self) -> None: ...

    client, transport = cached(told(), cache=Broken())

    with pytest.raises(LookupError, match="broken"):
        await client.create(HELLO)
    with pytest.raises(LookupError, match="broken"):
        await events_of(client)
    assert not transport.requests


@pytest.mark.parametrize("streams", [False, True])
async def test_a_damaged_entry_is_asked_for_again(streams: bool, caplog: Any) -> None:
    """Any byte of it."""
    store = InMemoryCacheStore()
    answers = streamed("Hi", " there"), streamed("Hi", " there") if streams else told("Hi there")
    client, transport = cached(*answers, cache=store)
    first = await events_of(client)
    (name,) = store._entries
    whole = await store.get(name)
    assert whole is not None
    for place in range(0, len(whole), 7):
        await store.set(name, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if streams:
            assert (await events_of(client))[:-1] == first[:-1]
        else:
            assert (await client.create(HELLO)).text == "Hi there"
    for length in range(0, len(whole), 31):
        await store.set(name, whole[:length])
        text = fold(await events_of(client)).text if streams else (await client.create(HELLO)).text
        assert text == "Hi there"
    assert len(transport.requests) > 10
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


async def test_an_entry_under_another_name_is_none() -> None:
    store = InMemoryCacheStore()
    client, _ = cached(told("1"), told("2"), told("3"), cache=store)
    await client.create(HELLO)
    await client.create([UserMessage(content="Other")])
    one, other = store._entries
    value = await store.get(other)
    assert value is not None
    await store.set(one, value)

    assert (await client.create(HELLO)).text == "3"


async def test_the_store_shows_nothing_of_the_request_and_no_key() -> None:
    store = InMemoryCacheStore()
    client, _ = cached(told("Hi"), cache=store)
    await client.create([UserMessage(content="a private question")], extra_headers={"x-secret": "s3cret-header"})

    for name, entry in store._entries.items():
        text = name + entry.value.decode("latin-1")
        assert not [secret for secret in ("private", "sk-do-not", "s3cret") if secret in text]


async def test_closing_leaves_the_client_and_the_store_open(tmp_path: Path) -> None:
    store = DiskCacheStore(tmp_path)
    transport = scripted(told())
    async with ChatCompletionCache(client_of(transport), store) as client:
        await client.create(HELLO)
    await client.close()
    await client.close()

    assert transport.closed == 0
    assert (await client.create(HELLO)).cached  # still usable
    await store.aclose()


async def test_a_lock_needs_a_store_that_has_one() -> None:
    class Plain(CacheStore):
        async def get(self, key: str) -> bytes | None: ...
        async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None: ...
        async def delete(self, key: str) -> None: ...
        async def clear(self) -> None: ...

    with pytest.raises(TypeError, match="Plain lacks"):
        ChatCompletionCache(Giving(), Plain(), lock_timeout=5)


# ---------------------------------------------------------------------- all that an answer can hold


async def test_calls_of_functions_are_kept_too() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0e3}'}}
    body = completion(None, "tool_calls", tool_calls=[call])
    client, _ = cached(Reply(headers=JSON, body=body))

    first, second = await client.create(HELLO), await client.create(HELLO)

    assert second.content == [FunctionCall(id="c1", name="f", arguments='{"a": 1.0e3}')]
    assert uncached(second) == first


async def test_a_cancelled_call_stores_nothing_and_leaves_nothing_behind() -> None:
    transport = scripted(Reply(hold=True), told())
    client = ChatCompletionCache(client_of(transport))

    with anyio.move_on_after(0.05):
        await client.create(HELLO)

    assert client._flights == {}
    assert not (await client.create(HELLO)).cached
