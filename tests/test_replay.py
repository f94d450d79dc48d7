"""`ReplayChatCompletionClient`: a list of answers in place of a model."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from modelwire import (
    CreateResult,
    Finish,
    FunctionCall,
    Image,
    ModelTimeoutError,
    PartEnd,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    ReplayChatCompletionClient,
    RequestUsage,
    Start,
    StreamInterruptedError,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    Usage,
    UserMessage,
)
from modelwire._fold import fold
from tests.fakes import collect

pytestmark = pytest.mark.anyio

HELLO = [UserMessage(content="What can you do?", source="user")]
CALL = FunctionCall(id="call_1", name="get_weather", arguments='{"city": "Paris", "unit": "celsius"}')
FULL = CreateResult(
    finish_reason="function_calls",
    parts=[Reasoning(text="It asks for the weather."), Text(text="Let me see. "), CALL],
    usage=Usage(prompt_tokens=3, completion_tokens=5),
    id="answer-1",
    model="some-model",
    provider="somebody",
)


async def events_of(client: ReplayChatCompletionClient, **options: Any) -> list[Any]:
    async with client.stream(HELLO, **options) as events:
        return [event async for event in events]


async def test_a_text_is_an_answer_whose_tokens_are_words() -> None:
    client = ReplayChatCompletionClient(["Nothing at all."], model_info={"model": "my-model", "vision": False})

    result = await client.create(HELLO)

    assert result == CreateResult(
        finish_reason="stop",
        content="Nothing at all.",
        usage=Usage(prompt_tokens=4, completion_tokens=3),
        model="my-model",
    )
    assert (client.model_info["vision"], client.model_info["function_calling"]) == (False, True)


async def test_a_text_is_streamed_word_by_word() -> None:
    client = ReplayChatCompletionClient(["Hello,  my dear\nunbelievably-long-winded friend "])

    events = await events_of(client)

    assert isinstance(events[0], Start)
    assert [event.text for event in events[1:-1]] == [
        "Hello,", "  my", " dear", "\nunbelievably", "-long-winded", " friend", " "
    ]  # fmt: skip
    assert events[-1] == Finish(finish_reason="stop", usage=Usage(prompt_tokens=4, completion_tokens=5))


async def test_a_result_is_given_as_it_is_and_streamed_in_fragments() -> None:
    client = ReplayChatCompletionClient([FULL, FULL])

    assert await client.create(HELLO) is FULL
    events = await events_of(client)

    assert fold(events) == FULL
    assert events[0] == Start(id="answer-1", model="some-model")
    assert [type(event) for event in events].count(ReasoningDelta) == 5
    assert ToolCallStart(id="call_1", name="get_weather", index=2) in events
    fragments = [event.arguments for event in events if isinstance(event, ToolCallDelta)]
    assert len(fragments) > 2
    assert "".join(fragments) == CALL.arguments
    assert PartEnd(part=CALL, index=2) in events


@pytest.mark.parametrize("verb", ["create", "stream"])
async def test_an_exception_is_raised_each_time_without_what_came_before(verb: str) -> None:
    error = RateLimitError("slow down", status_code=429)
    client = ReplayChatCompletionClient([error, error])

    depths = []
    for _ in range(2):
        with pytest.raises(RateLimitError) as caught:
            await (client.create(HELLO) if verb == "create" else events_of(client))
        depths.append(len(caught.traceback))

    assert caught.value is error
    assert depths[0] == depths[1]


SCRIPT = [Start(id="1"), TextDelta(text="a"), TextDelta(text="b"), Finish(finish_reason="length")]


async def test_events_are_streamed_as_they_are() -> None:
    client = ReplayChatCompletionClient([SCRIPT, SCRIPT])

    assert await events_of(client) == SCRIPT
    assert await client.create(HELLO) == fold(SCRIPT)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([*SCRIPT[:2], StreamInterruptedError("cut off")], StreamInterruptedError),
        (SCRIPT[:2], StreamInterruptedError),
        ([*SCRIPT[:2], RateLimitError("slow down")], RateLimitError),
    ],
    ids=["interrupted", "without a Finish", "another error"],
)
async def test_an_error_in_the_middle_comes_after_the_events_before_it(script: list[Any], kind: type) -> None:
    client = ReplayChatCompletionClient([script, script])
    seen: list[Any] = []

    async with client.stream(HELLO) as events:
        with pytest.raises(kind) as caught:
            await collect(events, seen)
    with pytest.raises(kind):
        await client.create(HELLO)

    assert seen == SCRIPT[:2]
    if kind is StreamInterruptedError:
        assert caught.value.partial == fold(SCRIPT[:2])


async def test_functions_get_the_messages_and_the_other_arguments() -> None:
    async def later(messages: Any, options: dict[str, Any]) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{messages[0].content} {options['temperature']} {options['tool_choice']}"

    client = ReplayChatCompletionClient([later, lambda messages, options: FULL, lambda *_: RateLimitError("no")])

    first = await client.create(HELLO, temperature=0.5, tool_choice="none")
    second = await client.create(HELLO)

    assert (first.content, second) == ("What can you do? 0.5 none", FULL)
    with pytest.raises(RateLimitError):
        await client.create(HELLO)


async def test_one_function_answers_every_call() -> None:
    client = ReplayChatCompletionClient(lambda messages, _: messages[-1].content.upper())

    assert [(await client.create([UserMessage(content=word)])).content for word in "abc"] == ["A", "B", "C"]


async def test_it_notes_the_calls() -> None:
    client = ReplayChatCompletionClient(["a", "b", RateLimitError("no")])
    history = list(HELLO)
    tool = Tool(name="f", parameters={"type": "object"})

    await client.create(history, tools=[tool], tool_choice="required", temperature=0)
    history.append(UserMessage(content="more"))
    async for _ in client.create_stream(history, json_output=True):
        pass
    with pytest.raises(RateLimitError):
        await client.create(history)

    first, second, third = client.calls
    assert (first.messages, first.tools, first.tool_choice) == (HELLO, [tool], "required")
    assert (first.options, first.stream) == ({"temperature": 0}, False)
    assert (second.messages, second.tools, second.options, second.stream) == (history, (), {"json_output": True}, True)
    assert third.messages == history


async def test_when_it_runs_out_it_says_so_and_reset_begins_again() -> None:
    client = ReplayChatCompletionClient(["only one"])
    await client.create(HELLO)

    with pytest.raises(ValueError, match=r"was given 1, and this is call 2. Give it more, or call reset"):
        await client.create(HELLO)
    with pytest.raises(ValueError, match="No more mock responses"):
        await events_of(client)
    client.reset()

    assert (client.calls, client.total_usage()) == ([], Usage(prompt_tokens=0, completion_tokens=0))
    assert (await client.create(HELLO)).content == "only one"


async def test_usage_adds_up_once_per_whole_answer() -> None:
    client = ReplayChatCompletionClient(["one two", "three four", FULL, "never read to its end"])

    await client.create(HELLO)
    await events_of(client)
    await client.create(HELLO)
    async with client.stream(HELLO) as events:
        await anext(events)

    assert client.actual_usage() == client.total_usage() == Usage(prompt_tokens=11, completion_tokens=9)


async def test_a_deadline_ends_a_slow_function() -> None:
    async def never(messages: Any, options: Any) -> str:
        await anyio.sleep_forever()
        return ""

    client = ReplayChatCompletionClient(never)

    with pytest.raises(ModelTimeoutError, match=r"deadline of 0.01 s"):
        await client.create(HELLO, deadline=0.01)
    with pytest.raises(ModelTimeoutError):
        await events_of(client, deadline=0.01)


async def test_concurrent_calls_take_responses_in_the_order_in_which_they_begin() -> None:
    client = ReplayChatCompletionClient([str(number) for number in range(10)])
    answers: dict[int, Any] = {}

    async def ask(number: int) -> None:
        answers[number] = (await client.create([UserMessage(content=str(number))])).content

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask, number)

    asked = [call.messages[0].content for call in client.calls]
    assert [answers[int(number)] for number in asked] == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        ("Hello", "responses is a list, with one response for each call, not 'Hello'"),
        ([1], r"responses\[0\]: a str, a CreateResult, an exception, .* is needed, not int"),
        (["a", RateLimitError], r"responses\[1\] is the class RateLimitError: give the error itself"),
        ([[TextDelta(text="a"), "b"]], r"responses\[0\]\[1\]: a stream event or an exception is needed, not str"),
        (None, "give the answers"),
    ],
)
def test_what_is_no_response_is_refused_at_once(responses: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ReplayChatCompletionClient(responses)


async def test_what_a_function_gives_is_checked_too() -> None:
    client: Any = ReplayChatCompletionClient([lambda *_: 42])

    with pytest.raises(TypeError, match=r"what the function gave: a str, .*, not int"):
        await client.create(HELLO)


def test_images_and_tools_count() -> None:
    client = ReplayChatCompletionClient([])
    image = Image.from_url("https://example.org/cat.png")

    assert client.count_tokens([UserMessage(content=["What is this?", image])]) == 1003
    assert client.count_tokens(HELLO, tools=[Tool(name="f", parameters={})]) > 4
    known = ReplayChatCompletionClient([], {"max_input_tokens": 100})
    assert known.remaining_tokens(HELLO) == 96


async def test_code_for_autogens_client_runs() -> None:
    """From its documentation and its own tests."""
    client = ReplayChatCompletionClient(
        chat_completions=["This is a test message.", "This is another test message."],
        model_info={"vision": False, "function_calling": True, "json_output": False, "family": "unknown"},
    )
    messages = [UserMessage(content="How many tokens are in this message?", source="_")]

    assert client.count_tokens(messages) == 7
    await client.create(messages, json_output=None, extra_create_args={}, cancellation_token=None)
    assert client.remaining_tokens(messages) == 9988
    client.set_cached_bool_value(True)
    completion = await client.create(messages)

    assert completion.usage == RequestUsage(prompt_tokens=7, completion_tokens=5)
    assert completion.cached
    assert client.total_usage() == RequestUsage(prompt_tokens=14, completion_tokens=10)
    assert client.actual_usage() == RequestUsage(prompt_tokens=7, completion_tokens=5)
    assert client.provided_message_count == len(client.create_calls) == 2
    assert client.create_calls[0] == {
        "messages": messages,
        "tools": (),
        "json_output": None,
        "extra_create_args": {},
        "cancellation_token": None,
    }
    with pytest.raises(ValueError, match="No more mock responses available"):
        await client.create(messages)
    client.reset()
    chunks = [chunk async for chunk in client.create_stream(messages)]
    assert "".join(chunk for chunk in chunks if isinstance(chunk, str)) == "This is a test message."
    assert isinstance(chunks[-1], CreateResult)
    assert ReplayChatCompletionClient(["positional"]).responses == ["positional"]
