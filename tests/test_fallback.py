"""`FallbackModelClient`: the next client answers where one cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire import (
    AuthenticationError,
    BadRequestError,
    ChatCompletionClient,
    ConnectionFailedError,
    ContextLengthError,
    CreateResult,
    FallbackModelClient,
    Finish,
    ModelClientError,
    ModelTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ReplayChatCompletionClient,
    ServerError,
    Start,
    StreamInterruptedError,
    TextDelta,
    TokenCountingClient,
    Usage,
    UsageUpdate,
)
from tests.chat_answers import EVENTS, HELLO, refused, streamed, text_chunks, told
from tests.fakes import Reply, client_of, collect, scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

BUSY = RateLimitError("too many requests", status_code=429)
BROKEN = ServerError("it broke", status_code=500)
WRONG = AuthenticationError("wrong key", status_code=401)
USED = Usage(prompt_tokens=1, completion_tokens=0)
Replay = ReplayChatCompletionClient


async def ask(client: ChatCompletionClient, verb: str, **options: Any) -> CreateResult:
    if verb == "create":
        return await client.create(HELLO, **options)
    async with client.stream(HELLO, **options) as events:
        async for _ in events:
            pass
        return events.result


VERBS = pytest.mark.parametrize("verb", ["create", "stream"])


@VERBS
async def test_the_first_that_answers_is_the_only_one_asked_from_there_on(verb: str) -> None:
    clients = [Replay([BUSY, "a"]), Replay([BROKEN]), Replay(["c"]), Replay([])]
    chain = FallbackModelClient(*clients)

    assert (await ask(chain, verb)).text == "c"
    assert (await ask(chain, verb)).text == "a"
    assert [len(client.calls) for client in clients] == [2, 1, 1, 0]


@VERBS
@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (BUSY, True),
        (QuotaExceededError("no credit left"), True),
        (ModelTimeoutError("its deadline", retryable=False), True),
        (ConnectionFailedError("no route"), True),
        (ConnectionFailedError("certificate", retryable=False), False),
        (WRONG, False),
        (ContextLengthError("too long"), False),
        (LookupError("not of a model"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_which_errors_lead_to_the_next(verb: str, error: Exception, goes_on: bool) -> None:
    second = Replay(["b"])
    chain = FallbackModelClient(Replay([error]), second)

    if goes_on:
        assert (await ask(chain, verb)).text == "b"
    else:
        with pytest.raises(type(error)) as caught:
            await ask(chain, verb)
        assert caught.value is error
        assert second.calls == []


@VERBS
async def test_when_decides_instead(verb: str) -> None:
    seen = []

    def when(error: ModelClientError) -> bool:
        seen.append(error)
        return isinstance(error, ContextLengthError)

    too_long = ContextLengthError("too long")
    chain = FallbackModelClient(Replay([too_long, BUSY]), Replay(["b", "b"]), when=when)

    assert (await ask(chain, verb)).text == "b"
    with pytest.raises(RateLimitError):
        await ask(chain, verb)
    assert seen == [too_long, BUSY]


@VERBS
async def test_where_nobody_answers_the_last_error_tells_of_all(verb: str) -> None:
    first = client_of(scripted(refused(500), refused(503)), max_retries=1, retry=None)
    second = client_of(scripted(refused(401, code="invalid_api_key")))
    chain = FallbackModelClient(first, Replay([BUSY]), second)

    with pytest.raises(AuthenticationError) as caught:
        await ask(chain, verb)

    error = caught.value
    assert [(attempt.status_code, attempt.error) for attempt in error.attempts] == [
        (500, "ServerError"), (503, "OverloadedError"), (401, "AuthenticationError")
    ]  # fmt: skip
    assert error.code == "invalid_api_key"
    assert error.__cause__ is BUSY
    assert [note.split(":")[0] for note in error.__notes__] == [
        f"Before that, {first!r} failed", f"Before that, {chain.clients[1]!r} failed"
    ]  # fmt: skip
    assert (BUSY.attempts, getattr(BUSY, "__notes__", [])) == ((), [])


@VERBS
async def test_an_answer_has_the_attempts_and_the_time_of_all(verb: str) -> None:
    slow = Replay([BUSY, BUSY])

    class Slow(ChatCompletionClient):
        async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
            await anyio.sleep(0.05)
            return await slow.create(messages)

    answering = client_of(scripted(told() if verb == "create" else streamed()))
    failing = client_of(scripted(refused(500)), max_retries=0)

    result = await ask(FallbackModelClient(failing, Slow(), answering), verb)

    assert result.attempts is not None
    assert [attempt.status_code for attempt in result.attempts] == [500, 200]
    assert result.attempts[1].started >= 0.05
    assert result.timing is not None
    assert result.timing.total >= 0.05
    assert (result.timing.first_token is None) == (verb == "create")
    assert result.provider == "openai"


async def test_a_stream_falls_back_until_there_is_content_and_shows_nothing_of_who_failed() -> None:
    begun: Any = [Start(id="first"), UsageUpdate(usage=USED), StreamInterruptedError("cut")]
    told: Any = [Start(id="second"), TextDelta(text="b"), Finish(finish_reason="stop")]
    chain = FallbackModelClient(Replay([begun]), Replay([told]))

    async with chain.stream(HELLO) as events:
        assert [event async for event in events] == told
    async for item in FallbackModelClient(Replay([begun]), Replay([told])).create_stream(HELLO):
        assert item == "b" or isinstance(item, CreateResult)


async def test_after_content_the_error_passes() -> None:
    second = Replay(["b"])
    broken: Any = [Start(id="first"), TextDelta(text="a"), StreamInterruptedError("cut")]
    chain = FallbackModelClient(Replay([broken]), second)
    seen: list[Any] = []

    async with chain.stream(HELLO) as events:
        with pytest.raises(StreamInterruptedError, match="cut") as caught:
            await collect(events, seen)

    assert seen == broken[:2]
    assert caught.value.partial is not None
    assert second.calls == []


async def test_an_error_after_content_of_a_fallback_tells_of_all() -> None:
    cut = Reply(headers=EVENTS, body=[*text_chunks("a"), ConnectionFailedError("reset")])
    chain = FallbackModelClient(client_of(scripted(refused(500)), max_retries=0), client_of(scripted(cut)))

    with pytest.raises(StreamInterruptedError) as caught:
        await ask(chain, "stream")

    assert [attempt.status_code for attempt in caught.value.attempts] == [500, 200]


@VERBS
async def test_an_option_that_a_fallback_lacks_is_dropped_there_and_listed(verb: str) -> None:
    answering = client_of(scripted(told() if verb == "create" else streamed()))
    chain = FallbackModelClient(Replay([BUSY, BUSY]), answering)

    result = await ask(chain, verb, num_ctx=4096, temperature=0.5)

    assert result.dropped_options == ["num_ctx"]
    with pytest.raises(BadRequestError, match="num_ctx is not supported"):  # what the user says himself goes before
        await ask(chain, verb, num_ctx=4096, unsupported="raise")


@VERBS
async def test_the_primary_does_not_drop_options(verb: str) -> None:
    chain = FallbackModelClient(client_of(scripted(told())), Replay(["b"]))

    with pytest.raises(BadRequestError, match="num_ctx is not supported"):
        await ask(chain, verb, num_ctx=4096)


async def test_clients_that_take_messages_alone_can_stand_in_the_chain() -> None:
    class Bare(ChatCompletionClient):
        async def create(self, messages: Sequence[Any]) -> CreateResult:  # type: ignore[override]
            return CreateResult(content="bare", finish_reason="stop")

    chain = FallbackModelClient(Replay([BUSY, BUSY]), Bare())

    assert [(await ask(chain, verb)).text for verb in ("create", "stream")] == ["bare", "bare"]


@VERBS
async def test_a_deadline_bounds_all_clients_together(verb: str) -> None:
    async def slow(messages: Any, options: Any) -> Any:
        await anyio.sleep(0.03)
        return BUSY

    async def never(messages: Any, options: Any) -> Any:
        await anyio.sleep_forever()

    last = Replay(["too late"])
    chain = FallbackModelClient(Replay(slow), Replay(never), last, deadline=0.1)

    with pytest.raises(ModelTimeoutError, match=r"the deadline of 0.1 s passed") as caught:
        await ask(chain, verb)
    with pytest.raises(ModelTimeoutError, match=r"0.05 s"):
        await ask(chain, verb, deadline=0.05)

    assert "Before that" in caught.value.__notes__[0]
    assert last.calls == []


async def test_a_client_with_a_deadline_of_its_own_is_followed_by_the_next() -> None:
    silent = client_of(scripted(Reply(hold=True)), deadline=0.02)

    assert (await ask(FallbackModelClient(silent, Replay(["b"])), "create")).text == "b"


@VERBS
async def test_cancelled_while_it_waits_it_asks_nobody_else(verb: str) -> None:
    transport = scripted(Reply(hold=True))
    second = Replay(["b"])
    chain = FallbackModelClient(client_of(transport), second)

    with anyio.move_on_after(0.02) as scope:
        await ask(chain, verb)

    assert scope.cancelled_caught
    assert (transport.open, second.calls) == (0, [])


async def test_closed_by_another_task_it_asks_nobody_else() -> None:
    transport = scripted(Reply(hold=True))
    second = Replay(["b"])
    stream = FallbackModelClient(client_of(transport), second, when=lambda error: True).stream(HELLO)

    async def read() -> None:
        with pytest.raises(StreamInterruptedError, match="closed while another task waited"):
            await anext(stream)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()

    assert (transport.open, second.calls) == (0, [])


async def test_leaving_early_closes_the_stream_of_the_one_that_answers() -> None:
    transport = scripted(streamed("a", "b"))
    chain = FallbackModelClient(Replay([BUSY]), client_of(transport))

    async with chain.stream(HELLO) as events:
        await anext(events)
        assert transport.open == 1

    assert transport.open == 0


async def test_its_key_is_that_of_the_whole_chain() -> None:
    class Uncacheable(ChatCompletionClient):
        async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
            raise NotImplementedError

        async def request_key(self, messages: Any, **kwargs: Any) -> None:
            return None

    first, second = client_of(scripted(told())), Replay([], {"model": "b"})
    chain = FallbackModelClient(first, second)

    key = await chain.request_key(HELLO, temperature=0.5)

    assert key is not None
    assert key == await chain.request_key(HELLO, temperature=0.5, deadline=3)
    assert key != await chain.request_key(HELLO, temperature=0.6)
    assert key != await FallbackModelClient(second, first).request_key(HELLO, temperature=0.5)
    assert await FallbackModelClient(second, first).request_key(HELLO, num_ctx=1) is not None  # what is dropped
    assert await FallbackModelClient(first, Uncacheable()).request_key(HELLO) is None


async def test_facts_are_the_primarys_and_usage_is_everybodys() -> None:
    first, second = Replay([BUSY, "a"], {"model": "first", "max_input_tokens": 50}), Replay(["b b"])
    chain = FallbackModelClient(first, second)

    await ask(chain, "create")
    await ask(chain, "stream")
    await chain.close()

    assert chain.model_info["model"] == "first"
    assert chain.count_tokens(HELLO) == 1
    assert chain.remaining_tokens(HELLO) == 49
    assert chain.actual_usage() == chain.total_usage() == Usage(prompt_tokens=2, completion_tokens=3)
    assert repr(chain) == f"FallbackModelClient({first!r}, {second!r})"


async def test_the_clients_of_a_chain_stay_open() -> None:
    transport = scripted(told())
    async with FallbackModelClient(client_of(transport), Replay([])):
        pass

    assert transport.closed == 0


def test_a_chain_of_one_and_a_wrong_deadline_are_refused() -> None:
    with pytest.raises(TypeError, match="at least one more"):
        FallbackModelClient(Replay([]))
    with pytest.raises(BadRequestError, match="seconds above 0"):
        FallbackModelClient(Replay([]), Replay([]), deadline=0)


@VERBS
async def test_chains_in_chains_and_under_a_counter(verb: str) -> None:
    inner = FallbackModelClient(Replay([BUSY]), Replay([BROKEN]))
    counting = TokenCountingClient(FallbackModelClient(TokenCountingClient(inner), Replay(["c c"])))

    assert (await ask(counting, verb)).text == "c c"
    assert (counting.requests, counting.total_tokens) == (1, 3)
