"""A token that cancels calls, ours or AutoGen's own: the connection comes back, on both event loops."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import anyio
import autogen_core
import pytest

from modelwire import (
    BadRequestError,
    CancellationToken,
    CreateResult,
    FallbackModelClient,
    OpenAIChatCompletionClient,
)
from tests.chat_answers import EVENTS, HELLO, JSON, answer, streamed, text_chunks, told
from tests.fakes import FOREVER, Reply, client_of, scripted
from tests.ids import shown
from tests.server import HOLD, Answer

if TYPE_CHECKING:
    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio
TOKENS = pytest.mark.parametrize("make", [CancellationToken, autogen_core.CancellationToken], ids=["ours", "autogen"])
VERBS = pytest.mark.parametrize("verb", ["create", "create_stream", "stream"])


async def ask(client: Any, verb: str, token: Any) -> Any:
    if verb == "create":
        return await client.create(HELLO, cancellation_token=token)
    return [item async for item in getattr(client, verb)(HELLO, cancellation_token=token)]


async def cancel_when_asked(transport: Any, token: Any) -> None:
    while not transport.requests:  # noqa: ASYNC110  # a server may be in threads
        await anyio.sleep(0.001)
    token.cancel()


@TOKENS
@VERBS
async def test_a_call_ends_where_it_waits(verb: str, make: Any) -> None:
    transport, token = scripted(Reply(hold=True)), make()
    client = client_of(transport)

    async with anyio.create_task_group() as group:
        group.start_soon(cancel_when_asked, transport, token)
        with pytest.raises(asyncio.CancelledError):
            await ask(client, verb, token)

    assert (len(transport.requests), transport.open) == (1, 0)


@TOKENS
@VERBS
async def test_a_token_that_was_cancelled_before_sends_nothing(verb: str, make: Any) -> None:
    transport, token = scripted(told()), make()
    token.cancel()

    with pytest.raises(asyncio.CancelledError, match="the cancellation_token was cancelled"):
        await ask(client_of(transport), verb, token)

    assert transport.requests == []


@TOKENS
@VERBS
async def test_a_token_that_is_never_cancelled_changes_nothing(verb: str, make: Any) -> None:
    transport = scripted(told() if verb == "create" else streamed())
    token = make()

    first = await ask(client_of(transport), verb, token)
    token.cancel()

    assert first
    assert transport.open == 0


async def test_it_ends_a_stream_between_two_events() -> None:
    transport = scripted(Reply(headers=EVENTS, body=text_chunks("one", "two"), hold_body=True))
    token = CancellationToken()

    stream = client_of(transport).create_stream(HELLO, cancellation_token=token)
    assert await anext(stream) == "one"
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        _ = [item async for item in stream]

    assert transport.open == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_it_ends_the_wait_before_another_try(verb: str) -> None:
    token = CancellationToken()
    transport = scripted(Reply(500, JSON, b"{}"))

    async def sleep(_: float) -> None:
        token.cancel()
        await anyio.sleep(FOREVER)

    transport.clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await ask(client_of(transport), verb, token)

    assert (len(transport.requests), transport.open) == (1, 0)


@TOKENS
async def test_any_thread_may_cancel(make: Any) -> None:
    transport, token = scripted(Reply(hold=True)), make()

    async with anyio.create_task_group() as group:

        async def from_thread() -> None:
            await anyio.wait_all_tasks_blocked()
            thread = threading.Thread(target=token.cancel)
            thread.start()
            await anyio.to_thread.run_sync(thread.join)

        group.start_soon(from_thread)
        with anyio.fail_after(10), pytest.raises(asyncio.CancelledError):
            await client_of(transport).create(HELLO, cancellation_token=token)


async def test_one_token_ends_all_its_calls_and_no_other() -> None:
    transport, token = scripted(Reply(hold=True)), CancellationToken()
    client = client_of(transport)
    ended: list[str] = []

    async def call(name: str, given: Any) -> None:
        try:
            await client.create(HELLO, cancellation_token=given)
        except asyncio.CancelledError:
            if given is not None and given.is_cancelled():
                ended.append(name)
                return
            raise

    async with anyio.create_task_group() as group:
        for name, given in (("a", token), ("b", token), ("c", CancellationToken()), ("d", None)):
            group.start_soon(call, name, given)
        await anyio.wait_all_tasks_blocked()
        token.cancel()
        await anyio.wait_all_tasks_blocked()
        assert transport.open == 2
        group.cancel_scope.cancel()

    assert sorted(ended) == ["a", "b"]


async def test_cancellation_from_outside_is_not_the_tokens() -> None:
    transport, token = scripted(Reply(hold=True)), CancellationToken()

    with anyio.move_on_after(0.05) as scope:
        await client_of(transport).create(HELLO, cancellation_token=token)

    assert scope.cancelled_caught
    assert not token.is_cancelled()
    assert token._callbacks == []


@VERBS
async def test_a_cut_call_gives_its_connection_back(verb: str, server: ScriptedServer) -> None:
    """Over a real socket: of one connection at most, the next call gets one."""
    held = {
        "create": Answer(headers=JSON, before=[HOLD]),
        "stream": Answer(headers=EVENTS, before=[HOLD]),
        "create_stream": Answer(headers=EVENTS, body=[*text_chunks("one"), HOLD]),
    }
    server.add(held[verb], answer("after"))
    token = CancellationToken()

    async with OpenAIChatCompletionClient(
        model="m", api_key="k", base_url=server.url, max_connections=1, timeout=10
    ) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_when_asked, server, token)
            with pytest.raises(asyncio.CancelledError):
                await ask(client, verb, token)
        assert (await client.create(HELLO)).text == "after"
    server.release()

    assert [request.connection for request in server.requests] == [0, 1]


@VERBS
async def test_no_other_client_is_asked_instead(verb: str) -> None:
    first, second, token = scripted(Reply(hold=True)), scripted(told()), CancellationToken()
    chain = FallbackModelClient(client_of(first), client_of(second))

    async with anyio.create_task_group() as group:
        group.start_soon(cancel_when_asked, first, token)
        with pytest.raises(asyncio.CancelledError):
            await ask(chain, verb, token)

    assert (len(first.requests), first.open, second.requests) == (1, 0, [])


async def test_a_key_of_a_cache_does_not_have_the_token() -> None:
    client = client_of(scripted(told()))

    assert await client.request_key(HELLO, cancellation_token=CancellationToken()) == await client.request_key(HELLO)


@pytest.mark.parametrize("given", [7, "token", object()], ids=shown)
async def test_what_is_no_token_is_refused(given: Any) -> None:
    with pytest.raises(BadRequestError, match="cancellation_token is a CancellationToken, not "):
        await client_of(scripted(told())).create(HELLO, cancellation_token=given)


async def test_none_is_no_token_and_a_client_may_have_one_for_all_its_calls() -> None:
    token = CancellationToken()
    client = client_of(scripted(told()), cancellation_token=token)

    assert isinstance(await client.create(HELLO, cancellation_token=None), CreateResult)
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.create(HELLO)


# ---------------------------------------------------------------------- the token alone


async def test_callbacks_are_called_once_and_late_ones_at_once() -> None:
    token, called = CancellationToken(), list[str]()

    token.add_callback(lambda: called.append(f"early {token.is_cancelled()}"))
    forgotten = called.clear
    token.add_callback(forgotten)
    token.remove_callback(forgotten)
    token.remove_callback(forgotten)
    assert not token.is_cancelled()
    token.cancel()
    token.cancel()
    token.add_callback(lambda: called.append("late"))

    assert called == ["early True", "late"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_future_of_asyncio_is_cancelled_with_it() -> None:
    token = CancellationToken()
    loop = asyncio.get_running_loop()
    early, done = token.link_future(loop.create_future()), token.link_future(loop.create_future())
    done.set_result(1)
    await asyncio.sleep(0)

    token.cancel()

    assert (early.cancelled(), await done) == (True, 1)
    assert token.link_future(loop.create_future()).cancelled()
