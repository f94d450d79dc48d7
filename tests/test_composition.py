"""Clients around clients, in every order: each does its work, and none disturbs another's."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from modelwire import (
    ChatCompletionCache,
    ChatCompletionClient,
    FallbackModelClient,
    Finish,
    ReplayChatCompletionClient,
    TokenCountingClient,
    Usage,
)
from modelwire._fold import fold
from tests.chat_answers import HELLO, refused, streamed, told
from tests.fakes import client_of, scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire import CreateResult

pytestmark = pytest.mark.anyio

ORDERS = list(itertools.permutations(["cache", "fallback", "counting"]))
every_order = pytest.mark.parametrize("order", ORDERS, ids=" > ".join)
both_verbs = pytest.mark.parametrize("verb", ["create", "stream", "create_stream"])


class Nest:
    """Clients around one another, the first name outermost, and each of them by its name."""

    def __init__(self, inner: ChatCompletionClient, order: Sequence[str]) -> None:
        self.spare = scripted(told("spare"))
        self.client = inner
        self.by_name: dict[str, Any] = {}
        for name in reversed(order):
            self.client = self.by_name[name] = self._around(name, self.client)

    def _around(self, name: str, inner: ChatCompletionClient) -> ChatCompletionClient:
        if name == "cache":
            return ChatCompletionCache(inner)
        if name == "counting":
            return TokenCountingClient(inner)
        return FallbackModelClient(inner, client_of(self.spare))


async def ask(client: ChatCompletionClient, verb: str, **options: Any) -> CreateResult:
    if verb == "create":
        return await client.create(HELLO, **options)
    if verb == "stream":
        async with client.stream(HELLO, **options) as events:
            return fold([event async for event in events])
    async with client.create_stream(HELLO, **options) as chunks:
        *texts, result = [chunk async for chunk in chunks]
    assert "".join(texts) == result.text
    return result


@every_order
@both_verbs
async def test_the_second_call_is_answered_from_the_cache(order: Any, verb: str) -> None:
    transport = scripted(told("Hi there") if verb == "create" else streamed("Hi", " there"))
    nest = Nest(client_of(transport), order)

    first = await ask(nest.client, verb, temperature=0.5)
    second = await ask(nest.client, verb, temperature=0.5)

    assert first.text == second.text == "Hi there"
    assert [first.cached, second.cached] == [False, True]
    assert msgspec.structs.replace(second, cached=False) == first
    assert len(transport.requests) == 1
    assert nest.spare.requests == []
    used = Usage(prompt_tokens=9, completion_tokens=4)
    counting: TokenCountingClient = nest.by_name["counting"]
    if order.index("counting") < order.index("cache"):
        assert (counting.requests, counting.cached_requests) == (1, 1)
    else:
        assert (counting.requests, counting.cached_requests) == (1, 0)
    assert nest.client.actual_usage() == used
    assert nest.client.total_usage() == used + used


@every_order
@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_an_answer_of_the_fallback(order: Any, verb: str) -> None:
    """A cache around the chain keeps it; one around the first client alone has nothing to keep."""
    transport = scripted(refused(500))
    nest = Nest(client_of(transport, max_retries=0), order)

    results = [await ask(nest.client, verb) for _ in range(2)]

    assert [result.text for result in results] == ["spare"] * 2
    outside = order.index("cache") < order.index("fallback")
    assert [result.cached for result in results] == [False, outside]
    assert len(transport.requests) == len(nest.spare.requests) == (1 if outside else 2)


@every_order
async def test_calls_in_flight_are_one(order: Any) -> None:
    transport = scripted(told("Hi there"))
    nest = Nest(client_of(transport), order)
    results: list[CreateResult] = []

    async def call() -> None:
        results.append(await ask(nest.client, "create", deadline=60))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)

    assert len(transport.requests) == 1
    assert [result.cached for result in results].count(False) == 1


@every_order
async def test_streams_in_flight_are_one(order: Any) -> None:
    transport = scripted(streamed("Hi", " there"))
    nest = Nest(client_of(transport), order)
    results: list[CreateResult] = []

    async def call() -> None:
        results.append(await ask(nest.client, "stream"))

    async with nest.by_name["cache"], anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)

    assert len(transport.requests) == 1
    assert [result.text for result in results] == ["Hi there"] * 20
    assert [result.cached for result in results].count(False) == 1


@every_order
async def test_around_a_replay_client(order: Any) -> None:
    replay = ReplayChatCompletionClient(["one", "two"])
    nest = Nest(replay, order)

    texts = [(await ask(nest.client, verb)).text for verb in ("create", "stream", "create_stream")]

    assert texts == ["one"] * 3
    assert len(replay.calls) == 1


async def test_a_chain_of_caches_passes_on_what_a_call_says() -> None:
    one, other = scripted(refused(500)), scripted(told("1"), told("2"))
    client = FallbackModelClient(
        ChatCompletionCache(client_of(one, max_retries=0)), ChatCompletionCache(client_of(other))
    )

    assert (await client.create(HELLO)).text == "1"
    assert (await client.create(HELLO)).text == "1"
    assert (await client.create(HELLO, cache="refresh")).text == "2"
    assert (await client.create(HELLO)).text == "2"


async def test_a_cache_around_a_cache_shares_its_answers() -> None:
    transport = scripted(streamed("Hi", " there"))
    inner = ChatCompletionCache(client_of(transport))
    async with inner, ChatCompletionCache(inner) as outer:
        first = await ask(outer, "stream")
        async with outer.stream(HELLO) as events:
            again = [event async for event in events]

    assert fold(again).text == first.text
    assert isinstance(again[-1], Finish)
    assert again[-1].cached
    assert len(transport.requests) == 1
