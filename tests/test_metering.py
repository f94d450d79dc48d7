"""`TokenCountingClient`: what calls used."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from modelwire import (
    ChatCompletionClient,
    CreateResult,
    RateLimitError,
    ReplayChatCompletionClient,
    TokenCountingClient,
    Usage,
)
from tests.chat_answers import HELLO, streamed
from tests.fakes import Reply, client_of, scripted

pytestmark = pytest.mark.anyio


def answer(prompt: int, completion: int, model: str | None = None, *, cached: bool = False, **details: int) -> Any:
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, **details)
    return CreateResult(finish_reason="stop", content="x", usage=usage, model=model, cached=cached)


async def read(client: ChatCompletionClient) -> CreateResult:
    async with client.stream(HELLO) as events:
        async for _ in events:
            pass
        return events.result


async def test_calls_and_streams_add_up_by_model_and_cached_answers_apart() -> None:
    client = TokenCountingClient(
        ReplayChatCompletionClient(
            [
                answer(1, 2, "a", reasoning_tokens=1),
                answer(10, 20, "b"),
                answer(3, 4, "a"),
                answer(5, 6),
                answer(100, 200, "a", cached=True),
                answer(1000, 0, cached=True),
            ]
        )
    )

    for _ in range(3):
        await client.create(HELLO)
        await read(client)

    assert (client.prompt_tokens, client.completion_tokens, client.total_tokens) == (19, 32, 51)
    assert client.usage.reasoning_tokens == 1
    assert client.by_model == {
        "a": Usage(prompt_tokens=4, completion_tokens=6, reasoning_tokens=1),
        "b": Usage(prompt_tokens=10, completion_tokens=20),
        "unknown": Usage(prompt_tokens=5, completion_tokens=6),
    }
    assert (client.requests, client.uncounted) == (4, 0)
    assert (client.cached_requests, client.cached_usage.total_tokens) == (2, 1300)
    assert client.actual_usage() == client.usage
    assert client.total_usage().total_tokens == 1351


async def test_text_streams_count_too() -> None:
    client = TokenCountingClient(client_of(scripted(streamed())))

    async for _ in client.create_stream(HELLO):
        pass

    assert (client.total_tokens, client.requests, list(client.by_model)) == (13, 1, ["gpt-4.1"])


async def test_what_gave_no_usage_is_told_apart() -> None:
    unreported = CreateResult(finish_reason="stop", content="x")
    error = RateLimitError("no")
    client = TokenCountingClient(ReplayChatCompletionClient([unreported, error, error, "closed early", "a b"]))

    await client.create(HELLO)
    with pytest.raises(RateLimitError):
        await client.create(HELLO)
    with pytest.raises(RateLimitError):
        await read(client)
    async with client.stream(HELLO) as events:
        await anext(events)
    async with client.stream(HELLO):
        pass  # not begun: nothing was sent
    await read(client)

    assert (client.requests, client.uncounted, client.total_tokens) == (5, 4, 3)


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_cancelled_calls_are_uncounted_and_give_the_connection_back(verb: str) -> None:
    transport = scripted(Reply(hold=True))
    client = TokenCountingClient(client_of(transport))

    with anyio.move_on_after(0.02):
        await (client.create(HELLO) if verb == "create" else read(client))

    assert (client.requests, client.uncounted, transport.open) == (1, 1, 0)


async def test_it_changes_nothing_of_what_it_wraps_and_begins_again_when_told() -> None:
    inner = client_of(scripted(streamed()))
    client = TokenCountingClient(inner)

    streamed_by_it = await read(client)
    streamed_alone = await read(inner)

    assert streamed_by_it.text == streamed_alone.text
    assert await client.request_key(HELLO) == await inner.request_key(HELLO)
    assert client.count_tokens(HELLO) == inner.count_tokens(HELLO)
    assert client.model_info is inner.model_info
    client.reset()
    assert (client.total_tokens, client.by_model, client.requests) == (0, {}, 0)
