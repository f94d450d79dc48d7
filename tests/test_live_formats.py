"""The Responses and Messages clients against a real server that speaks both: llama.cpp with a small model.

Where it differs from the providers whose formats these are, a test says so: its Responses API calls an answer that
reached `max_output_tokens` complete, its first event names no model, its events have no `output_index`, and its errors
have OpenAI's form in the Messages API too. Gemini's and Ollama's formats have no server here but the emulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from demo.model_server import HOST
from modelwire import (
    AnthropicChatCompletionClient,
    ContextLengthError,
    CreateResult,
    Finish,
    OpenAIChatCompletionClient,
    PartEnd,
    Start,
    SystemMessage,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolMessage,
    ToolResult,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.model_server import LocalModelServer
    from modelwire import ChatCompletionClient, Message

    Connect = Callable[..., ChatCompletionClient]

pytestmark = pytest.mark.anyio

GRAVITY = [SystemMessage(content="Be brief."), UserMessage(content="What is gravity?")]
WEATHER = [UserMessage(content="What is the weather in Paris?")]
GET_WEATHER = Tool(
    name="get_weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Person(msgspec.Struct):
    """A person that a text speaks of."""

    name: str
    age: int


@pytest.fixture(params=["responses", "messages"])
def api(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def connect(api: str, model_server: LocalModelServer, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A client of the local model for one of the two formats, greedy and with short answers."""
    monkeypatch.setenv("no_proxy", HOST)

    def connect(**options: Any) -> ChatCompletionClient:
        given: dict[str, Any] = {"temperature": 0, "max_tokens": 30, "deadline": 120, **options}
        if api == "responses":
            return OpenAIChatCompletionClient(
                model=model_server.model, base_url=model_server.base_url, api="responses", **given
            )
        return AnthropicChatCompletionClient(model=model_server.model, base_url=model_server.base_url, **given)

    return connect


async def test_a_stream_has_what_the_whole_answer_has(connect: Connect, api: str, model_server: LocalModelServer):
    async with connect(max_tokens=12) as client:
        whole = await client.create(GRAVITY)
        async with client.stream(GRAVITY) as stream:
            events = [event async for event in stream]
        used = client.actual_usage()

    for result in (whole, stream.result):
        assert [type(part) for part in result.parts or ()] == [Text]
        assert result.text
        assert result.model == model_server.model
        assert result.id
        assert result.usage
        assert result.usage.prompt_tokens > 10
        assert result.usage.completion_tokens == 12
        assert result.usage.total_tokens == result.usage.prompt_tokens + 12
        assert result.finish_reason == ("length" if api == "messages" else "stop")
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Finish)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(texts) > 3
    assert "".join(texts) == stream.result.text
    assert whole.usage
    assert stream.result.usage
    assert used == whole.usage + stream.result.usage


async def test_a_tool_call_in_pieces_and_the_answer_with_its_result(connect: Connect):
    messages: list[Message] = [*WEATHER]
    async with connect() as client:
        async with client.stream(messages, tools=[GET_WEATHER]) as stream:
            events = [event async for event in stream]
        called = stream.result
        (call,) = called.tool_calls
        result = ToolResult(call_id=call.id, name=call.name, content='{"temperature": 21, "sky": "sunny"}')
        messages += [called.message, ToolMessage(content=[result])]
        answered = await client.create(messages, tools=[GET_WEATHER])

    (start,) = [event for event in events if isinstance(event, ToolCallStart)]
    (end,) = [event for event in events if isinstance(event, PartEnd)]
    arguments = [event.arguments for event in events if isinstance(event, ToolCallDelta)]
    assert (start.id, start.name) == (call.id, call.name) == (call.id, "get_weather")
    assert len(arguments) > 1
    assert "".join(arguments) == call.arguments
    assert end.part == call
    assert call.parsed_arguments().keys() == {"city"}
    assert called.finish_reason == "function_calls"
    assert (answered.finish_reason, answered.tool_calls) == ("stop", [])
    assert answered.text


async def test_structured_output_fits_its_type(connect: Connect):
    ada = [UserMessage(content="Extract the name and age as JSON: Ada is 36 years old.")]
    async with connect(response_format=Person) as client:
        result = await client.create(ada)
        async with client.create_stream(ada) as stream:
            streamed = [item async for item in stream][-1]

    assert isinstance(streamed, CreateResult)
    assert isinstance(result.parse(Person), Person)
    assert isinstance(streamed.parse(Person), Person)


async def test_a_prompt_that_does_not_fit_is_a_context_length_error(connect: Connect):
    too_long = [UserMessage(content="word " * 5000)]
    async with connect() as client:
        with pytest.raises(ContextLengthError) as whole:
            await client.create(too_long)
        with pytest.raises(ContextLengthError) as streamed:
            async for _ in client.create_stream(too_long):
                pass

    for caught in (whole, streamed):
        assert caught.value.status_code == 400
        assert caught.value.code == "exceed_context_size_error"
        assert "tokens" in caught.value.message


async def test_leaving_a_stream_leaves_a_client_that_works(connect: Connect):
    async with connect(max_tokens=200) as client:
        async with client.stream(GRAVITY) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        after = await client.create(GRAVITY, max_tokens=3)

    assert after.text
