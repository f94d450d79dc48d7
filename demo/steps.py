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


def run(open_client: OpenClient, *, in_turns: bool) -> list[Measured]:
    """All steps, in order.

    `in_turns` says that the server works on two calls at once, so that their pieces must come in turns; at a provider
    one may be over before the other begins.

    :raises DemoError: if a step does not give what it should, perhaps inside an `ExceptionGroup`.
    :raises modelwire.ModelwireError: if a call fails, likewise.
    """
    measured = asyncio.run(one_by_one(open_client))
    measured += asyncio.run(side_by_side_on_asyncio(open_client, in_turns))
    return measured + trio.run(side_by_side_on_trio, open_client, in_turns)


async def one_by_one(open_client: OpenClient) -> list[Measured]:
    """The steps with one call at a time, which share a client and its connection."""
    async with open_client() as client:
        return [await streamed_answer(client), await structured_output(client), *await tool_call(client)]


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
    expect(result is not None and result.text == "".join(pieces), "the result is not what the pieces add up to")
    assert result is not None
    measured = Measured("streamed answer", checked(result))
    expect(len(pieces) > 1, "the answer did not come in pieces")
    return measured


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
    return [Measured("tool call", counted(called)), Measured("answer with its result", checked(answered))]


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


async def side_by_side_on_asyncio(open_client: OpenClient, in_turns: bool) -> list[Measured]:
    """Two streams in tasks of asyncio."""
    pair = Pair("[4/5] Two calls side by side, on asyncio")
    async with open_client() as client:
        with pair.live:
            async with asyncio.TaskGroup() as tasks:
                for name in PAIR:
                    tasks.create_task(pair.follow(client, name))
    return pair.shown("asyncio", in_turns)


async def side_by_side_on_trio(open_client: OpenClient, in_turns: bool) -> list[Measured]:
    """The same in a nursery of trio."""
    pair = Pair("[5/5] Two calls side by side, on trio")
    async with open_client() as client:
        with pair.live:
            async with trio.open_nursery() as nursery:
                for name in PAIR:
                    nursery.start_soon(pair.follow, client, name)
    return pair.shown("trio", in_turns)


class Pair:
    """Two calls at once: while they run it shows for each piece by a letter whose it is, then the answers."""

    def __init__(self, title: str) -> None:
        heading(title)
        for name, question in PAIR.items():
            say(f"{name} > {question}")
        self.live = LiveText("whose piece came when:")
        self._order = ""
        self._results: dict[str, CreateResult] = {}
        self._begun = time.monotonic()

    async def follow(self, client: ChatCompletionClient, name: str) -> None:
        """Make one of the calls."""
        async for item in client.create_stream([UserMessage(content=PAIR[name])]):
            if isinstance(item, str):
                self._order += name
                self.live.write(f" {name}")
            else:
                self._results[name] = checked(item)

    def shown(self, loop: str, in_turns: bool) -> list[Measured]:
        """Show the answers, and check that neither call waited for the other where the server does not make it."""
        elapsed = time.monotonic() - self._begun
        results = {name: self._results[name] for name in PAIR}
        for name, result in results.items():
            with LiveText(f"{name}:") as live:
                live.write(f" {result.text}")
        each = "".join(f"{name} {seconds(result):.2f} s, " for name, result in results.items())
        say(f"{each}both together {elapsed:.2f} s")
        waited = "".join(sorted(self._order)) in (self._order, self._order[::-1])
        expect(not (in_turns and waited), "one call began to answer only when the other had ended")
        return [Measured(f"{loop}, call {name}", result) for name, result in results.items()]


# ---------------------------------------------------------------------- what every answer must have


def checked(result: CreateResult) -> CreateResult:
    """The result, if it has a text and its tokens were counted."""
    expect(result.text.strip() != "", f"the answer has no text; it ended with {result.finish_reason!r}")
    return counted(result)


def counted(result: CreateResult) -> CreateResult:
    """The result, if its tokens were counted."""
    expect(result.usage is not None, "the tokens that a call used were not reported")
    return result


def seconds(result: CreateResult) -> float:
    """How long the whole call took."""
    assert result.timing is not None  # a provider's client always measures
    return result.timing.total


def expect(what_should_be: bool, otherwise: str) -> None:
    """Fail the demo with this reason unless something is as it should be."""
    if not what_should_be:
        raise DemoError(f"{otherwise[0].upper()}{otherwise[1:]}.")
