"""`OpenAIChatCompletionClient` against a real model server: llama.cpp with a small model, on this machine.

What the model says depends on the state of the server's cache, even at temperature 0, so wordings are never compared.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
import msgspec
import pytest

from demo.model_server import HOST
from modelwire import (
    ContextLengthError,
    CreateResult,
    Finish,
    LogprobsDelta,
    ModelTimeoutError,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    PartEnd,
    Player,
    Recorder,
    Start,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from demo.model_server import LocalModelServer
    from modelwire import EventStream, Message, TextStream

    Connect = Callable[..., OpenAIChatCompletionClient]

pytestmark = pytest.mark.anyio

GRAVITY = [UserMessage(content="What is gravity? Answer in two sentences.")]
WEATHER = [UserMessage(content="What is the weather in Paris?")]
GET_WEATHER = Tool(
    name="get_weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TOO_LONG = [UserMessage(content="word " * 5000)]
ENDLESS: dict[str, Any] = {"max_tokens": 1500, "extra_body": {"ignore_eos": True}}
"""Keeps a slot of the server busy for many seconds, unless it is stopped."""


@pytest.fixture
def connect(model_server: LocalModelServer, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A client of the local model, greedy and with short answers unless told otherwise."""
    monkeypatch.setenv("no_proxy", HOST)

    def connect(**options: Any) -> OpenAIChatCompletionClient:
        given: dict[str, Any] = {"temperature": 0, "max_tokens": 100, "deadline": 60, **options}
        return OpenAIChatCompletionClient(model=model_server.model, base_url=model_server.base_url, **given)

    return connect


def busy_slots(server: LocalModelServer) -> int:
    """How many calls the server works on; https://github.com/ggml-org/llama.cpp/tree/master/tools/server#get-slots."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
    try:
        connection.request("GET", "/slots")
        slots = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return sum(slot["is_processing"] for slot in slots)


async def wait_for_busy_slots(server: LocalModelServer, number: int, seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while (busy := await anyio.to_thread.run_sync(busy_slots, server)) != number:
        assert time.monotonic() < end, f"{busy} calls are still worked on, not {number}, after {seconds} s"
        await anyio.sleep(0.02)


async def read(stream: EventStream) -> list[Any]:
    async with stream as events:
        return [event async for event in events]


def shape(result: CreateResult) -> Any:
    """What an answer has, beside its wording and its times."""
    usage = result.usage
    assert usage is not None
    return (
        [type(part) for part in result.parts or ()],
        result.finish_reason,
        result.raw_finish_reason,
        result.model,
        result.provider,
        {name for name in usage.__struct_fields__ if getattr(usage, name) is not None},
        usage.prompt_tokens,
        set(result.provider_data or ()),
    )


# ---------------------------------------------------------------------- text


async def test_an_answer_has_text_usage_and_times(connect: Connect, model_server: LocalModelServer):
    async with connect() as client:
        result = await client.create(GRAVITY)
        used = client.actual_usage()

    assert result.parts == [Text(text=result.text)]
    assert result.content == result.text != ""
    assert (result.finish_reason, result.model) == ("stop", model_server.model)
    assert result.id
    assert result.usage == used
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens
    assert used.prompt_tokens > 10 < used.completion_tokens
    assert [attempt.status_code for attempt in result.attempts or ()] == [200]
    assert result.timing
    assert 0 < result.timing.total < 60


async def test_a_stream_has_what_the_whole_answer_has(connect: Connect):
    async with connect() as client:
        whole = await client.create(GRAVITY)
        async with client.create_stream(GRAVITY) as stream:
            items = [item async for item in stream]
        events = await read(client.stream(GRAVITY))
        used = client.actual_usage()
    *pieces, result = items

    assert isinstance(result, CreateResult)
    assert "".join(map(str, pieces)) == result.text
    assert len(pieces) > 5
    assert shape(result) == shape(whole)
    assert result.timing
    assert result.timing.first_token
    assert 0 < result.timing.first_token < result.timing.total
    assert isinstance(events[0], Start)
    assert {type(event) for event in events[1:-1]} == {TextDelta}
    assert isinstance(events[-1], Finish)
    assert events[-1].usage
    assert used == (whole.usage or used) + (result.usage or used) + events[-1].usage


async def test_the_answer_ends_at_max_tokens(connect: Connect):
    async with connect(max_tokens=5) as client:
        result = await client.create(GRAVITY)
        events = await read(client.stream(GRAVITY))

    assert (result.finish_reason, result.raw_finish_reason) == ("length", "length")
    assert result.usage
    assert result.usage.completion_tokens == 5
    assert (events[-1].finish_reason, events[-1].usage.completion_tokens) == ("length", 5)


async def test_the_answer_ends_before_a_stop_text(connect: Connect):
    async with connect() as client:
        whole = await client.create(GRAVITY)
        word = whole.text.split()[2]
        result = await client.create(GRAVITY, stop=[" the", " a", " an", " of", " is", f" {word}"])

    assert result.finish_reason == "stop"
    assert 0 < len(result.text) < len(whole.text)
    assert not any(f" {stop} " in f"{result.text} " for stop in ("the", "a", "an", "of", "is", word))


async def test_logprobs_stand_for_the_text(connect: Connect):
    async with connect(max_tokens=8, logprobs=True, top_logprobs=2) as client:
        result = await client.create(GRAVITY)
        async with client.stream(GRAVITY) as stream:
            events = [event async for event in stream]
            streamed = stream.result

    assert any(isinstance(event, LogprobsDelta) for event in events)
    for answer in (result, streamed):
        assert answer.logprobs
        assert answer.usage
        assert len(answer.logprobs) == answer.usage.completion_tokens == 8
        assert "".join(one.token for one in answer.logprobs) == answer.text
        assert all(one.logprob <= 0 and one.bytes == list(one.token.encode()) for one in answer.logprobs)
        best = [one.top_logprobs or [] for one in answer.logprobs]
        assert all(len(two) == 2 and two[0].logprob >= two[1].logprob for two in best)
        # Greedy: each token was the most probable one.
        assert [two[0].token for two in best] == [one.token for one in answer.logprobs]


async def test_two_answers_at_once(connect: Connect):
    async with connect(n=2, temperature=1, max_tokens=10) as client:
        result = await client.create(GRAVITY)
        async with client.stream(GRAVITY) as stream:
            choices = {event.choice async for event in stream if isinstance(event, TextDelta)}
            streamed = stream.result

    assert choices == {0, 1}
    for answer in (result, streamed):
        assert answer.text
        assert answer.alternatives
        (other,) = answer.alternatives
        assert (other.index, other.finish_reason) == (1, "length")
        assert other.text
        assert answer.usage


# ---------------------------------------------------------------------- structured output and tools


class Person(msgspec.Struct):
    """A person that a text speaks of."""

    name: str
    age: int
    city: str


class Colors(msgspec.Struct):
    colors: Annotated[list[str], msgspec.Meta(min_length=3, max_length=3)]


class Choice(msgspec.Struct):
    color: Literal["red", "green", "blue"]
    sure: bool


async def test_structured_output_fits_its_type(connect: Connect):
    ada = [UserMessage(content="Extract the name, age and city as JSON: Ada is 36 years old and lives in London.")]
    async with connect() as client:
        person = (await client.create(ada, response_format=Person)).parse(Person)
        listed = await client.create([UserMessage(content="List three primary colors.")], response_format=Colors)

    assert isinstance(person, Person)
    assert len(listed.parse(Colors).colors) == 3


async def test_the_servers_grammar_holds_where_the_model_would_write_anything(connect: Connect):
    poem = [UserMessage(content="Write a poem about the sea.")]
    async with connect(response_format=Choice, temperature=2, seed=1) as client:
        result = await client.create(poem)
        async with client.create_stream(poem) as stream:
            streamed = [item async for item in stream][-1]

    assert isinstance(streamed, CreateResult)
    assert isinstance(result.parse(Choice), Choice)
    assert isinstance(streamed.parse(Choice), Choice)


async def test_a_tool_call_and_the_answer_with_its_result(connect: Connect):
    messages: list[Message] = [*WEATHER]
    async with connect() as client:
        called = await client.create(messages, tools=[GET_WEATHER])
        (call,) = called.tool_calls
        result = ToolResult(call_id=call.id, name=call.name, content='{"temperature": 21, "sky": "sunny"}')
        messages += [called.message, ToolMessage(content=[result])]
        answered = await client.create(messages, tools=[GET_WEATHER])

    assert (called.finish_reason, called.raw_finish_reason) == ("function_calls", "tool_calls")
    assert called.content == [call]
    assert call.id
    assert (call.name, call.parsed_arguments().keys()) == ("get_weather", {"city"})
    assert (answered.finish_reason, answered.tool_calls) == ("stop", [])
    assert answered.text


async def test_a_streamed_tool_call_comes_in_pieces(connect: Connect):
    async with connect() as client, client.stream(WEATHER, tools=[GET_WEATHER]) as stream:
        events = [event async for event in stream]
        result = stream.result

    (call,) = result.tool_calls
    (start,) = [event for event in events if isinstance(event, ToolCallStart)]
    (end,) = [event for event in events if isinstance(event, PartEnd)]
    arguments = [event.arguments for event in events if isinstance(event, ToolCallDelta)]
    assert (start.id, start.name) == (call.id, "get_weather")
    assert "".join(arguments) == call.arguments
    assert len(arguments) > 1
    assert end.part == call
    assert result.finish_reason == "function_calls"


async def test_tool_choice_reaches_the_server(connect: Connect):
    """Told "none", the server takes the call that the model writes for text."""
    async with connect() as client:
        none = await client.create(WEATHER, tools=[GET_WEATHER], tool_choice="none")
        required = await client.create(WEATHER, tools=[GET_WEATHER], tool_choice="required")

    assert (none.tool_calls, none.finish_reason) == ([], "stop")
    assert none.text
    assert [call.name for call in required.tool_calls] == ["get_weather"]


@pytest.mark.parametrize("name", ["get_weather", "get_time"])
async def test_a_named_tool_is_the_only_one_that_is_called(model_server: LocalModelServer, connect: Connect, name: str):
    """llama.cpp itself takes a named tool for `auto`, and called the one that fits the question better."""
    del connect  # it sets the environment
    tools = [GET_WEATHER, msgspec.structs.replace(GET_WEATHER, name="get_time", description="The time in a city.")]
    settings: dict[str, Any] = {"temperature": 0, "max_tokens": 60, "deadline": 60}
    async with OpenAICompatibleChatCompletionClient(
        preset="llama.cpp", model=model_server.model, base_url=model_server.base_url, **settings
    ) as client:
        result = await client.create(WEATHER, tools=tools, tool_choice=name)

    assert {call.name for call in result.tool_calls} <= {name}


# ---------------------------------------------------------------------- errors and early ends


async def test_a_prompt_that_does_not_fit_is_a_context_length_error(connect: Connect):
    async with connect() as client:
        with pytest.raises(ContextLengthError) as whole:
            await client.create(TOO_LONG)
        with pytest.raises(ContextLengthError) as streamed:
            await read(client.stream(TOO_LONG))

    for caught in (whole, streamed):
        assert caught.value.status_code == 400
        assert not caught.value.retryable
        assert "tokens" in caught.value.message
        assert caught.value.attempts[-1].error == "ContextLengthError"


async def test_leaving_a_stream_stops_the_server(connect: Connect, model_server: LocalModelServer):
    """By `break`, by an exception and by cancellation; the server would write for many seconds more."""
    async with connect(**ENDLESS) as client:
        async with client.stream(GRAVITY) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
            await wait_for_busy_slots(model_server, 1)
        await wait_for_busy_slots(model_server, 0)

        with pytest.raises(KeyError, match="ours"):
            await fail_in_the_middle(client.create_stream(GRAVITY))
        await wait_for_busy_slots(model_server, 0)

        with anyio.CancelScope() as scope:
            async with client.stream(GRAVITY) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        scope.cancel()
        await wait_for_busy_slots(model_server, 0)

        after = await client.create(GRAVITY, max_tokens=3)
    assert after.finish_reason == "length"


async def fail_in_the_middle(stream: TextStream) -> None:
    async with stream as texts:
        async for _ in texts:
            raise KeyError("ours")


async def test_a_deadline_ends_a_stream_and_the_servers_work(connect: Connect, model_server: LocalModelServer):
    started = time.monotonic()
    async with connect(**ENDLESS, deadline=1.0) as client:
        with pytest.raises(ModelTimeoutError, match=r"the deadline of 1\.0 s passed"):
            await read(client.stream(GRAVITY))
        assert 0.9 < time.monotonic() - started < 5
        await wait_for_busy_slots(model_server, 0)


async def test_more_calls_at_once_than_the_server_has_slots(connect: Connect):
    results: list[CreateResult] = []

    async def ask(client: OpenAIChatCompletionClient, place: str) -> None:
        results.append(await client.create([UserMessage(content=f"What is {place}?")], max_tokens=5))

    async with connect() as client, anyio.create_task_group() as tasks:
        for place in ("Paris", "Rome", "Lima", "Oslo"):
            tasks.start_soon(ask, client, place)

    assert [result.finish_reason for result in results] == ["length"] * 4
    assert all(result.usage and result.usage.completion_tokens == 5 for result in results)


# ---------------------------------------------------------------------- recorded


async def test_a_recording_plays_the_same_events_a_hundred_times(
    connect: Connect, model_server: LocalModelServer, tmp_path: Path
):
    path = tmp_path / "live.jsonl"
    asked: list[dict[str, Any]] = [{"messages": GRAVITY}, {"messages": WEATHER, "tools": [GET_WEATHER]}]
    key = "sk-do-not-show-this"

    async with connect(transport=Recorder(path), api_key=key) as client:
        live = [fingerprint(await read(client.stream(**call))) for call in asked]
    player = Player(path)
    replayed = connect(transport=player, api_key="another", clock=FakeClock())  # no waits before retries, if there were
    hashes: set[tuple[str, ...]] = set()
    for _ in range(100):
        hashes.add(tuple([fingerprint(await read(replayed.stream(**call))) for call in asked]))
        player.rewind()

    assert hashes == {tuple(live)}
    text = await anyio.Path(path).read_text()
    assert key not in text
    assert "authorization" not in text.lower()
    assert text.count('"status":200') == len(asked)


def fingerprint(events: list[Any]) -> str:
    """Of everything in the events but what our own clock says, and what was sent for nothing: the server closes a kept
    connection now and then, and a recording has only what was answered."""
    *before, finish = events
    attempts = [msgspec.structs.replace(one, started=0, duration=0) for one in finish.attempts if one.status_code]
    finish = msgspec.structs.replace(finish, attempts=attempts, timing=None)
    return hashlib.sha256(msgspec.json.encode([*before, finish])).hexdigest()
