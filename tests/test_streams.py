"""Streams: what they give, how they end, and what is left when they end early."""

from __future__ import annotations

import gc
import json
import warnings
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire import (
    BadRequestError,
    ConnectionFailedError,
    ContentFilterError,
    CreateResult,
    Finish,
    FunctionCall,
    ModelClientError,
    ModelTimeoutError,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    Start,
    StreamInterruptedError,
    TextDelta,
    Usage,
)
from modelwire.client import ProviderClient
from modelwire.providers._openai_chat import ChatCodec
from tests.chat_answers import (
    DONE,
    END,
    EVENTS,
    HELLO,
    JSON,
    ROLE,
    STOP,
    USED,
    chunk,
    completion,
    error_body,
    refused,
    stream_answer,
    stream_of,
    streamed,
    text_chunks,
    told,
)
from tests.fakes import FakeTransport, Reply, client_of, scripted
from tests.server import CUT, RESET, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio

CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"what":'}}


def stream_reply(*body: Any, **options: Any) -> Reply:
    return Reply(headers=EVENTS, body=list(body), **options)


def error_frame(message: str = "failed", code: str | None = None, kind: str | None = None) -> bytes:
    return b"data: %b\n\n" % error_body(message, code, kind)


async def until_error(stream: Any) -> tuple[list[Any], ModelClientError]:
    seen: list[Any] = []
    with pytest.raises(ModelClientError) as caught:  # noqa: PT012
        async for item in stream:
            seen.append(item)  # noqa: PERF401  # a comprehension would lose what came before the error
    return seen, caught.value


# ---------------------------------------------------------------------- what they give


async def test_create_stream_gives_chunks_of_text_and_then_the_result() -> None:
    items = [item async for item in client_of(scripted(streamed("Hi", " ", "there"))).create_stream(HELLO)]

    *chunks, result = items
    assert chunks == ["Hi", " ", "there"]
    assert isinstance(result, CreateResult)
    assert (result.content, result.finish_reason) == ("Hi there", "stop")
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=4)
    assert (result.model, result.provider, result.id) == ("gpt-4.1", "openai", "chatcmpl-1")


async def test_stream_gives_typed_events_and_then_has_the_result() -> None:
    async with client_of(scripted(streamed("Hi", " there"))).stream(HELLO) as stream:
        events = [event async for event in stream]

    assert [type(event) for event in events] == [Start, TextDelta, TextDelta, Finish]
    assert stream.result.content == "Hi there"
    assert stream.result.attempts == events[-1].attempts


async def test_a_stream_and_a_whole_answer_give_the_same_result() -> None:
    whole = await client_of(scripted(told("Hi there"))).create(HELLO)
    result = [item async for item in client_of(scripted(streamed("Hi", " there"))).create_stream(HELLO)][-1]

    assert (result.parts, result.usage, result.finish_reason) == (whole.parts, whole.usage, whole.finish_reason)


async def test_chunks_of_text_are_those_of_the_first_answer_and_of_nothing_else() -> None:
    other = {"index": 1, "delta": {"content": "Other"}, "finish_reason": None}
    end = {"index": 1, "delta": {}, "finish_reason": "length"}
    body = [
        ROLE,
        chunk({"reasoning_content": "Hm."}),
        chunk({"content": "Hi"}),
        chunk(choices=[other]),
        chunk({"tool_calls": [CALL]}),
        chunk(choices=[end]),
        chunk(reason="tool_calls"),
        DONE,
    ]

    *chunks, result = [item async for item in client_of(scripted(stream_reply(*body))).create_stream(HELLO)]

    assert chunks == ["Hi"]
    assert (result.text, result.thought, [call.name for call in result.tool_calls]) == ("Hi", "Hm.", ["look_up"])
    assert result.alternatives[0].text == "Other"


async def test_nothing_is_sent_before_the_first_item_is_asked_for() -> None:
    transport = scripted(streamed())
    client = client_of(transport)

    async with client.stream(HELLO), client.create_stream(HELLO):
        pass
    stream = client.create_stream(HELLO)
    await anyio.lowlevel.checkpoint()
    assert transport.requests == []

    await anext(stream)
    assert len(transport.requests) == 1
    await stream.aclose()


async def test_the_time_to_the_first_token_is_that_of_the_first_content() -> None:
    reply = stream_reply(1.0, ROLE, 2.0, chunk({"content": "Hi"}), 4.0, *END, seconds=0.5)

    result = [item async for item in client_of(scripted(reply)).create_stream(HELLO)][-1]

    assert (result.timing.first_token, result.timing.total) == (3.5, 7.5)


async def test_an_empty_answer_is_a_result_alone() -> None:
    items = [item async for item in client_of(scripted(stream_reply(ROLE, *END))).create_stream(HELLO)]

    assert [type(item) for item in items] == [CreateResult]
    assert (items[0].content, items[0].finish_reason) == ("", "stop")


async def test_a_stream_has_no_result_before_its_end() -> None:
    async with client_of(scripted(streamed())).stream(HELLO) as stream:
        with pytest.raises(RuntimeError, match="no result yet"):
            _ = stream.result
        await anext(stream)
        with pytest.raises(RuntimeError, match="no result yet"):
            _ = stream.result


async def test_after_its_end_a_stream_stays_at_its_end() -> None:
    for stream in (client_of(scripted(streamed())).stream(HELLO), client_of(scripted(streamed())).create_stream(HELLO)):
        _ = [item async for item in stream]

        assert [item async for item in stream] == []
        await stream.aclose()
        await stream.aclose()


async def test_a_closed_stream_gives_nothing_more() -> None:
    transport = scripted(stream_reply(b"".join(stream_of("a", "b"))))
    stream = client_of(transport).create_stream(HELLO)
    assert await anext(stream) == "a"

    await stream.aclose()

    assert [item async for item in stream] == []


# ---------------------------------------------------------------------- servers of all kinds


async def test_a_server_that_answers_a_stream_with_a_whole_answer_works(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=completion("Hi there")), Answer(headers=JSON, body=completion("Hi there")))
    async with OpenAIChatCompletionClient(model="m", base_url=server.url) as client:
        items = [item async for item in client.create_stream(HELLO)]
        events = [event async for event in client.stream(HELLO)]

    assert [items[0], items[1].content, items[1].finish_reason] == ["Hi there", "Hi there", "stop"]
    assert [type(event) for event in events] == [Start, TextDelta, Finish]
    assert server.requests_per_connection == [2]


WHOLE = completion("Hi there")


@pytest.mark.parametrize(
    "body",
    [[WHOLE], [b"\n", b"  ", b"\n" + WHOLE[:1], *(WHOLE[at : at + 1] for at in range(1, len(WHOLE)))], stream_of("Hi there")],
    ids=["whole", "in pieces", "stream"],
)  # fmt: skip
async def test_an_answer_that_does_not_say_what_it_is_is_known_by_its_beginning(
    server: ScriptedServer, body: list[bytes]
) -> None:
    server.add(Answer(body=body), Answer(body=body))
    async with OpenAIChatCompletionClient(model="m", base_url=server.url) as client:
        items = [item async for item in client.create_stream(HELLO)]
        events = [event async for event in client.stream(HELLO)]

    assert [items[0], items[1].content, items[1].finish_reason] == ["Hi there", "Hi there", "stop"]
    assert [type(event) for event in events] == [Start, TextDelta, Finish]
    assert server.requests_per_connection == [2]


@pytest.mark.parametrize("body", [b"", b" \n", b"{", b"nonsense"])
async def test_nonsense_that_does_not_say_what_it_is_is_an_error(body: bytes) -> None:
    transport = scripted(Reply(body=body))

    seen, error = await until_error(client_of(transport, max_retries=0).stream(HELLO))

    assert seen == []
    assert isinstance(error, (StreamInterruptedError, ProtocolError))
    assert transport.open == 0


async def test_an_error_that_does_not_say_what_it_is_is_raised() -> None:
    reply = Reply(body=error_body("too busy", "server_error"))

    seen, error = await until_error(client_of(scripted(reply), max_retries=0).stream(HELLO))

    assert (seen, type(error)) == ([], ServerError)


async def test_a_stream_of_lines_may_begin_as_json_and_not_say_what_it_is(server: ScriptedServer) -> None:
    line = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False}
    end = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    server.add(Answer(body=[json.dumps(line).encode() + b"\n", json.dumps(end).encode() + b"\n"]))
    async with OllamaChatCompletionClient(model="m", base_url=server.url) as client:
        items = [item async for item in client.create_stream(HELLO)]

    assert [items[0], items[1].content] == ["Hi", "Hi"]


async def test_an_error_inside_a_whole_answer_is_raised_from_the_stream() -> None:
    reply = Reply(headers=JSON, body=error_body("too busy", "server_error"))

    seen, error = await until_error(client_of(scripted(reply), max_retries=0).stream(HELLO))

    assert seen == []
    assert isinstance(error, ServerError)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refused(400), BadRequestError),
        (refused(429), RateLimitError),
        (refused(503), OverloadedError),
        (Reply(418, body=b""), BadRequestError),
        (Reply(502, {"content-type": "text/html"}, b"<html>Bad gateway</html>"), ServerError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_an_error_status_is_mapped_as_for_a_whole_answer(reply: Reply, kind: type[Exception]) -> None:
    transport = scripted(reply)
    client = client_of(transport, max_retries=0)

    seen, error = await until_error(client.create_stream(HELLO))
    with pytest.raises(ModelClientError) as whole:
        await client.create(HELLO)

    assert seen == []
    assert type(error) is kind is type(whole.value)
    assert str(error) == str(whole.value)
    assert (error.status_code, transport.open) == (reply.status, 0)


@pytest.mark.parametrize("end", [[STOP], [STOP, USED], [STOP, DONE], [STOP, USED, DONE]], ids=len)
async def test_a_clean_end_after_the_finish_reason_is_an_end(end: list[bytes]) -> None:
    reply = stream_reply(*text_chunks("Hi"), *end)

    result = [item async for item in client_of(scripted(reply)).create_stream(HELLO)][-1]

    assert (result.content, result.finish_reason) == ("Hi", "stop")
    assert (result.usage is not None) == (USED in end)


async def test_bytes_split_anywhere_give_the_same_items() -> None:
    whole = b"".join(stream_of("Grüße", " 🌍"))
    expected = ["Grüße", " 🌍"]

    for size in (1, 2, 7, 64):
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        *chunks, result = [item async for item in client_of(scripted(stream_reply(*pieces))).create_stream(HELLO)]
        assert (chunks, result.content) == (expected, "Grüße 🌍")


# ---------------------------------------------------------------------- failures in the middle


@pytest.mark.parametrize("failure", [None, ConnectionFailedError("reset")], ids=["cut", "reset"])
async def test_a_broken_stream_says_so_and_has_what_had_come(failure: Exception | None) -> None:
    body = [*text_chunks("Hi", " the"), chunk({"tool_calls": [CALL]}), *([failure] if failure else [])]
    transport = scripted(Reply(headers=EVENTS | {"x-request-id": "req_1"}, body=body))

    seen, error = await until_error(client_of(transport).create_stream(HELLO))

    assert seen == ["Hi", " the"]
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "Hi the"
    assert error.partial.tool_calls == [FunctionCall(id="call_1", name="look_up", arguments='{"what":')]
    assert error.partial.finish_reason == "error"
    assert (error.status_code, error.request_id, error.retryable, transport.open) == (200, "req_1", True, 0)


async def test_a_stream_that_breaks_before_anything_came_has_no_partial_result() -> None:
    for body in ([], [ROLE]):
        seen, error = await until_error(client_of(scripted(stream_reply(*body)), max_retries=0).stream(HELLO))

        assert seen == []
        assert isinstance(error, StreamInterruptedError)
        assert error.partial is None or error.partial.content == ""


@pytest.mark.parametrize("step", [CUT, RESET], ids=lambda step: step.name)
async def test_a_real_connection_that_breaks_in_the_middle(server: ScriptedServer, step: Any) -> None:
    server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), 0.02, step]))
    async with OpenAIChatCompletionClient(model="m", base_url=server.url) as client:
        seen, error = await until_error(client.create_stream(HELLO))

    assert seen == ["Hi"]
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.content == "Hi"


@pytest.mark.parametrize(
    ("frame", "kind", "status"),
    [
        (error_frame("failed", "server_error"), ServerError, 500),
        (error_frame("busy", None, "overloaded_error"), OverloadedError, 503),
        (error_frame("slow down", "rate_limit_exceeded"), RateLimitError, 429),
        (error_frame("no", "content_filter"), ContentFilterError, 400),
        (error_frame("upstream", "502"), ServerError, 502),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_an_error_of_the_provider_in_the_middle_follows_what_came_before(
    frame: bytes, kind: type[Exception], status: int
) -> None:
    for body in ([*text_chunks("Hi"), frame], [b"".join([*text_chunks("Hi"), frame])]):
        transport = scripted(stream_reply(*body))

        seen, error = await until_error(client_of(transport).create_stream(HELLO))

        assert seen == ["Hi"]
        assert type(error) is kind
        assert (error.status_code, transport.open, len(transport.requests)) == (status, 0, 1)


async def test_an_error_that_came_with_content_is_not_kept_waiting_for_more_bytes() -> None:
    transport = scripted(stream_reply(b"".join([*text_chunks("Hi"), error_frame("failed")]), hold_body=True))

    with anyio.fail_after(2):
        seen, error = await until_error(client_of(transport).create_stream(HELLO))

    assert (seen, type(error), transport.open) == (["Hi"], ServerError, 0)


async def test_garbage_in_the_middle_is_a_protocol_error() -> None:
    transport = scripted(stream_reply(*text_chunks("Hi"), b"data: {not json\n\n"))

    seen, error = await until_error(client_of(transport).create_stream(HELLO))

    assert seen == ["Hi"]
    assert isinstance(error, ProtocolError)
    assert transport.open == 0


async def test_a_time_limit_in_the_middle_keeps_its_name() -> None:
    transport = scripted(stream_reply(*text_chunks("Hi"), ModelTimeoutError("nothing for 5 s (time limit `read`)")))

    _, error = await until_error(client_of(transport).create_stream(HELLO))

    assert isinstance(error, ModelTimeoutError)
    assert (error.attempts[0].error, transport.open) == ("ModelTimeoutError", 0)


async def test_after_an_error_the_stream_is_over() -> None:
    stream = client_of(scripted(stream_reply(*text_chunks("Hi")))).create_stream(HELLO)
    await until_error(stream)

    assert [item async for item in stream] == []


async def test_a_fault_in_a_codec_gives_the_connection_back_too() -> None:
    class Faulty(ChatCodec):
        def stream_decoder(self) -> Any:
            raise ZeroDivisionError

    transport = scripted(streamed())
    client = ProviderClient(
        model="m",
        codec=Faulty("https://api.example.com/"),
        family="OpenAIOptions",
        given={"transport": transport, "clock": transport.clock},
    )

    with pytest.raises(ZeroDivisionError):
        await anext(client.stream(HELLO))

    assert transport.open == 0


# ---------------------------------------------------------------------- leaving


async def return_at_the_result(client: Any) -> CreateResult:
    async for item in client.create_stream(HELLO):
        if isinstance(item, CreateResult):
            return item
    raise AssertionError("no result")


async def return_at_the_finish(client: Any) -> Finish:
    async for event in client.stream(HELLO):
        if isinstance(event, Finish):
            return event
    raise AssertionError("no finish")


@pytest.mark.parametrize("leave", [return_at_the_result, return_at_the_finish], ids=lambda leave: leave.__name__)
@pytest.mark.parametrize(
    "reply", [streamed(), told(), stream_reply(b"".join(stream_of("Hi")))], ids=["pieces", "whole", "one piece"]
)
async def test_the_connection_is_free_before_the_last_item_is_seen(leave: Callable[..., Any], reply: Reply) -> None:
    transport = scripted(reply)

    last = await leave(client_of(transport))
    gc.collect()  # nothing is left that would warn

    assert last.finish_reason == "stop"
    assert (transport.open, transport.abandoned) == (0, 0)


async def test_leaving_the_block_gives_the_connection_back() -> None:
    transport = scripted(stream_reply(*text_chunks("Hi"), hold_body=True))
    client = client_of(transport)

    async with client.create_stream(HELLO) as stream:
        async for _ in stream:
            break
    assert transport.open == 0

    with pytest.raises(KeyError):  # noqa: PT012
        async with client.stream(HELLO) as events:
            async for _ in events:
                raise KeyError
    assert transport.open == 0


async def test_cancellation_gives_the_connection_back() -> None:
    for reply in (Reply(hold=True), stream_reply(hold_body=True), stream_reply(*text_chunks("Hi"), hold_body=True)):
        transport = scripted(reply)
        with anyio.move_on_after(0.02) as scope:
            _ = [item async for item in client_of(transport).create_stream(HELLO)]

        assert scope.cancelled_caught
        assert transport.open == 0


async def closed_by_another_task(transport: FakeTransport, take: int, **settings: Any) -> ModelClientError:
    """The reader's error when another task closes the stream that it waits for, after `take` items."""
    stream = client_of(transport, **settings).create_stream(HELLO)
    for _ in range(take):
        await anext(stream)
    errors: list[ModelClientError] = []

    async def read() -> None:
        errors.append((await until_error(stream))[1])

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
    return errors[0]


@pytest.mark.parametrize(
    ("reply", "take"),
    [
        (Reply(hold=True), 0),
        (stream_reply(hold_body=True), 0),
        (stream_reply(ROLE, hold_body=True), 0),
        (stream_reply(*text_chunks("Hi"), hold_body=True), 1),
    ],
    ids=["no headers", "no events", "no content", "some content"],
)
async def test_another_task_may_close_a_stream_that_is_waited_for(reply: Reply, take: int) -> None:
    transport = scripted(reply)

    error = await closed_by_another_task(transport, take)

    assert isinstance(error, StreamInterruptedError)
    assert "closed while another task" in str(error)
    assert not error.retryable
    assert (len(transport.requests), len(error.attempts), transport.open) == (1, 1, 0)  # not sent again


async def test_another_task_may_close_a_stream_that_waits_for_its_next_attempt() -> None:
    transport = scripted(refused(500))

    async def sleep(seconds: float) -> None:
        await anyio.sleep(60)

    transport.clock.sleep = sleep  # type: ignore[method-assign]

    error = await closed_by_another_task(transport, 0)

    assert isinstance(error, StreamInterruptedError)
    assert [attempt.status_code for attempt in error.attempts] == [500]


# ---------------------------------------------------------------------- dropped


async def started(client: Any, verb: str) -> Any:
    stream = getattr(client, verb)(HELLO)
    await anext(stream)
    return stream


@pytest.mark.parametrize("verb", ["create_stream", "stream"])
async def test_a_dropped_stream_warns_once_and_is_left_to_the_transport(verb: str) -> None:
    transport = scripted(stream_reply(*text_chunks("Hi"), hold_body=True))
    client = client_of(transport)
    stream = await started(client, verb)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del stream
        gc.collect()

    assert [(warning.category, "use `async with`" in str(warning.message)) for warning in caught] == [
        (ResourceWarning, True)
    ]
    assert transport.abandoned == 1


async def test_a_stream_that_was_never_started_or_was_read_or_closed_warns_not() -> None:
    client = client_of(scripted(streamed()))

    client.create_stream(HELLO)
    client.stream(HELLO)
    read = client.stream(HELLO)
    _ = [event async for event in read]
    closed = await started(client, "stream")
    await closed.aclose()
    failed = client_of(scripted(stream_reply(*text_chunks("Hi")))).stream(HELLO)
    await until_error(failed)
    del read, closed, failed
    gc.collect()  # a warning would be an error


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_connection_of_a_dropped_stream_comes_back_with_the_next_call(server: ScriptedServer) -> None:
    client = OpenAIChatCompletionClient(model="m", base_url=server.url, max_connections=1)
    for _ in range(3):
        server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), 5.0]), stream_answer())
        stream = await started(client, "create_stream")
        del stream
        gc.collect()
        with anyio.fail_after(3):
            assert (await return_at_the_result(client)).content == "Hi there"
    await client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_the_connection_of_a_dropped_stream_ends_with_close(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), 5.0]))
    client = OpenAIChatCompletionClient(model="m", base_url=server.url)
    stream = await started(client, "stream")
    del stream
    gc.collect()

    await client.close()

    await anyio.to_thread.run_sync(server.wait_closed)
