"""The steps of the demo, written as an application would write them: with the public names of modelwire alone.

Each shows what comes as it comes, and raises `DemoError` when that is not what it should be. What the model says is not
judged, only whether it is of the right kind.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import trio

from demo.model_server import DemoError
from demo.terminal import LiveText, heading, say
from modelwire import CreateResult, TextDelta, Tool, ToolCallDelta, ToolCallStart, ToolMessage, ToolResult, UserMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire import ChatCompletionClient, FunctionCall, Message

    OpenClient = Callable[[], ChatCompletionClient]

GRAVITY = "What is gravity? Answer in two sentences."
ADA = "Extract the name, age and city: Ada is 36 years old and lives in London."
WEATHER = "What is the weather in Paris?"
PAIR = {
    "A": "What is a rainbow? Answer in one sentence.",
    "B": "What is water made of? Answer in one sentence.",
}


class Person(msgspec.Struct):
    """A person that a text speaks of."""

    name: str
    age: int
    city: str


GET_WEATHER = Tool(
    name="get_weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Measured(NamedTuple):
    """A call of the demo, for the table at its end."""

    what: str
    result: CreateResult


def run(open_client: OpenClient) -> list[Measured]:
    """All steps, in order.

    :raises DemoError: if a step does not give what it should, perhaps inside an `ExceptionGroup`.
    :raises modelwire.ModelwireError: if a call fails, likewise.
    """
    measured = asyncio.run(on_asyncio(open_client))
    return measured + trio.run(on_trio, open_client)


async def on_asyncio(open_client: OpenClient) -> list[Measured]:
    """The steps that run on asyncio."""
    async with open_client() as client:
        return [
            await streamed_answer(client),
            await structured_output(client),
            *await tool_call(client),
            *await side_by_side_on_asyncio(client),
        ]


async def on_trio(open_client: OpenClient) -> list[Measured]:
    """The step that runs on trio. It has a client of its own: connections belong to the event loop that made them."""
    async with open_client() as client:
        return await side_by_side_on_trio(client)


# ---------------------------------------------------------------------- one call


async def streamed_answer(client: ChatCompletionClient) -> Measured:
    """`create_stream` gives the text in pieces, and the whole result at last."""
    heading("[1/5] A streamed answer, token by token")
    say(f"> {GRAVITY}")
    pieces: list[str] = []
    result = None
    with LiveText() as live:
        async for item in client.create_stream([UserMessage(content=GRAVITY)]):
            if isinstance(item, str):
                pieces.append(item)
                live.write(item)
            else:
                result = item
    expect(len(pieces) > 1, "the answer did not come in pieces")
    expect(result is not None and result.text == "".join(pieces), "the result is not what the pieces add up to")
    assert result is not None
    return Measured("streamed answer", checked(result))


async def structured_output(client: ChatCompletionClient) -> Measured:
    """`response_format` takes a type; `parse` reads the answer as one."""
    heading("[2/5] Structured output: nothing asks for JSON, but the server allows nothing else")
    say(f"> {ADA}")
    result = await client.create([UserMessage(content=ADA)], response_format=Person)
    say(" ".join(result.text.split()))
    say(f"parsed: {result.parse(Person)!r}")
    return Measured("structured output", checked(result))


async def tool_call(client: ChatCompletionClient) -> list[Measured]:
    """The model asks for a function; with what that gives, it answers."""
    heading("[3/5] A tool call and its answer")
    say(f"> {WEATHER}")
    messages: list[Message] = [UserMessage(content=WEATHER)]
    called = await streamed_events(client, messages)
    expect(bool(called.tool_calls), f"the model called no tool, but said {called.text!r}")
    results = [ToolResult(call_id=call.id, name=call.name, content=run_tool(call)) for call in called.tool_calls]
    messages += [called.message, ToolMessage(content=results)]
    answered = await streamed_events(client, messages)
    expect(not answered.tool_calls, "the model called a tool again instead of answering")
    return [Measured("tool call", called), Measured("answer with its result", checked(answered))]


async def streamed_events(client: ChatCompletionClient, messages: list[Message]) -> CreateResult:
    """`stream` gives typed events: calls as they are written, beside text."""
    with LiveText() as live:
        async with client.stream(messages, tools=[GET_WEATHER]) as events:
            async for event in events:
                match event:
                    case ToolCallStart(name=name):
                        live.write(f"the model calls {name} ")
                    case ToolCallDelta(arguments=text) | TextDelta(text=text):
                        live.write(text)
                    case _:
                        pass
    return events.result


def run_tool(call: FunctionCall) -> str:
    """What the called function gives, as JSON for the model to read."""
    expect(call.name == GET_WEATHER.name, f"the model called {call.name}, which is no tool that it was given")
    try:
        city = call.parsed_arguments().get("city")
    except ValueError as error:
        raise DemoError(f"The model's call cannot be read: {error}") from error
    expect(isinstance(city, str) and city != "", f"the model's call names no city: {call.arguments}")
    weather = json.dumps({"temperature": 21, "sky": "sunny"})
    say(f"the program returns {weather}")
    return weather


# ---------------------------------------------------------------------- two calls at once


async def side_by_side_on_asyncio(client: ChatCompletionClient) -> list[Measured]:
    """Two streams in tasks of asyncio."""
    begun = begin_pair("[4/5] Two calls side by side, on asyncio")
    with LiveText("whose piece came when:") as live:
        async with asyncio.TaskGroup() as tasks:
            running = {name: tasks.create_task(follow(client, name, live)) for name in PAIR}
    return end_pair("asyncio", {name: task.result() for name, task in running.items()}, begun)


async def side_by_side_on_trio(client: ChatCompletionClient) -> list[Measured]:
    """The same in a nursery of trio."""
    begun = begin_pair("[5/5] Two calls side by side, on trio")
    results: dict[str, CreateResult] = {}

    async def follow_and_store(name: str) -> None:
        results[name] = await follow(client, name, live)

    with LiveText("whose piece came when:") as live:
        async with trio.open_nursery() as nursery:
            for name in PAIR:
                nursery.start_soon(follow_and_store, name)
    return end_pair("trio", results, begun)


async def follow(client: ChatCompletionClient, name: str, live: LiveText) -> CreateResult:
    """One of the two calls; each of its pieces is shown by its letter, so that one sees them come in turns."""
    async with client.create_stream([UserMessage(content=PAIR[name])]) as stream:
        async for item in stream:
            if isinstance(item, CreateResult):
                return item
            live.write(f" {name}")
    raise DemoError(f"The stream of call {name} ended without a result.")


def begin_pair(title: str) -> float:
    """Show the questions; gives the time."""
    heading(title)
    for name, question in PAIR.items():
        say(f"{name} > {question}")
    return time.monotonic()


def end_pair(loop: str, results: dict[str, CreateResult], begun: float) -> list[Measured]:
    """Show the answers, and check that neither call waited for the other."""
    elapsed = time.monotonic() - begun
    for name in PAIR:
        with LiveText(f"{name}:") as live:
            live.write(f" {results[name].text}")
    seconds = {name: result.timing.total for name, result in results.items() if result.timing}
    each = ", ".join(f"{name} {seconds[name]:.2f} s" for name in PAIR)
    say(f"{each}, both together {elapsed:.2f} s")
    expect(elapsed < sum(seconds.values()), "the second call waited for the first")
    return [Measured(f"{loop}, call {name}", checked(results[name])) for name in PAIR]


# ---------------------------------------------------------------------- what every answer must have


def checked(result: CreateResult) -> CreateResult:
    """The result, if it has a text and its tokens were counted."""
    expect(result.text.strip() != "", f"the answer has no text; it ended with {result.finish_reason!r}")
    expect(result.usage is not None, "the tokens that a call used were not reported")
    return result


def expect(what_should_be: bool, otherwise: str) -> None:
    """Fail the demo with this reason unless something is as it should be."""
    if not what_should_be:
        raise DemoError(f"{otherwise[0].upper()}{otherwise[1:]}.")
