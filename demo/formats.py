"""One question and one tool through each provider's wire format, each by its own client.

The model server of this machine speaks OpenAI's two formats and Anthropic's. Gemini's and Ollama's are answered by the
emulator, which has no model: there it is the form of the answers that is real, not what they say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demo.steps import GET_WEATHER, WEATHER, checked, counted, expect
from demo.terminal import LiveText, heading, say
from modelwire import (
    AnthropicChatCompletionClient,
    GeminiChatCompletionClient,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    UserMessage,
)
from modelwire.emulator import Emulator

if TYPE_CHECKING:
    from modelwire import ChatCompletionClient, CreateResult

ICE = "What is ice? Answer in one sentence."


async def show(model: str, base_url: str) -> None:
    """Ask the local model by the clients that it has a format for, and the emulator by the others.

    :raises DemoError: if an answer is not what it should be.
    :raises modelwire.ModelwireError: if a call fails.
    """
    heading("The same question in each provider's wire format")
    say(f"> {ICE}")
    options: dict[str, Any] = {"max_tokens": 40, "temperature": 0, "deadline": 120.0}
    here: dict[str, Any] = {"model": model, "base_url": base_url, **options}
    await ask("OpenAI Chat Completions, by llama.cpp", OpenAIChatCompletionClient(**here, api="chat"))
    await ask("OpenAI Responses, by llama.cpp", OpenAIChatCompletionClient(**here, api="responses"))
    await ask("Anthropic Messages, by llama.cpp", AnthropicChatCompletionClient(**here))
    with Emulator() as emulator:
        there: dict[str, Any] = {"base_url": emulator.url, "api_key": "none", **options}
        await ask("Gemini, by an emulator: no model", GeminiChatCompletionClient(model="gemini-2.5-flash", **there))
        await ask("Ollama, by an emulator: no model", OllamaChatCompletionClient(model="qwen3", **there))


async def ask(who: str, client: ChatCompletionClient) -> None:
    """The same code, whoever answers: a streamed text, then a tool call."""
    async with client:
        with LiveText(f"{who} > ") as live:
            async for item in client.create_stream([UserMessage(content=ICE)]):
                if isinstance(item, str):
                    live.write(item)
                else:
                    answered = checked(item)
        called = counted(await client.create([UserMessage(content=WEATHER)], tools=[GET_WEATHER]))
    expect(bool(called.tool_calls), f"the model called no tool, but said {called.text!r}")
    calls = ", ".join(f"{call.name} {call.arguments}" for call in called.tool_calls)
    say(f"  calls {calls}; {tokens(answered)} and {tokens(called)} tokens")


def tokens(result: CreateResult) -> str:
    """What an answer used, as `prompt + answer`."""
    assert result.usage is not None
    return f"{result.usage.prompt_tokens} + {result.usage.completion_tokens}"
