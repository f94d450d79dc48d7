"""The vendors' SDKs take the emulator for their provider: what it says, whole and streamed, calls, counts and errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors

from modelwire.emulator import Emulator
from modelwire.errors import AuthenticationError, OverloadedError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.soak

HI: Any = [{"role": "user", "content": "Hi"}]
SAID = "Emulated answer, by no model: read 1 message, the last says 'Hi'."
CITY: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Has a client closed at the end of the test."""
    with contextlib.ExitStack() as stack:

        def opened(client: Any) -> Any:
            stack.callback(client.close)
            return client

        yield opened


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Emulator() as emulator:
        yield emulator


def test_chat_completions(emulator: Emulator, opened: Any) -> None:
    chat = opened(openai.OpenAI(base_url=emulator.url, api_key="x")).chat.completions
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": CITY}}

    assert chat.create(model="m", messages=HI).choices[0].message.content == SAID
    with chat.stream(model="m", messages=HI) as stream:
        assert stream.get_final_completion().choices[0].message.content == SAID
    with chat.stream(model="m", messages=HI, tools=[tool]) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("f", '{"city":"emulated"}')


def test_responses(emulator: Emulator, opened: Any) -> None:
    responses = opened(openai.OpenAI(base_url=emulator.url, api_key="x")).responses
    tool: Any = {"type": "function", "name": "f", "parameters": CITY, "strict": False}

    answer = responses.create(model="m", input="Hi", reasoning={"effort": "high"})
    assert answer.output_text == SAID
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    with responses.stream(model="m", input="Hi") as stream:
        assert stream.get_final_response().output_text == SAID
    with responses.stream(model="m", input="Hi", tools=[tool]) as stream:
        (call,) = stream.get_final_response().output
    assert (call.type, call.arguments) == ("function_call", '{"city":"emulated"}')


def test_messages(emulator: Emulator, opened: Any) -> None:
    messages = opened(anthropic.Anthropic(base_url=emulator.url, api_key="x")).messages
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 2000, "messages": HI}

    assert messages.create(**asked).content[0].text == SAID
    with messages.stream(**asked, thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
        assert "".join(stream.text_stream) == SAID
        assert [block.type for block in stream.get_final_message().content] == ["thinking", "text"]
    with messages.stream(**asked, tools=[{"name": "f", "input_schema": CITY}]) as stream:
        (call,) = stream.get_final_message().content
    assert (call.type, call.input) == ("tool_use", {"city": "emulated"})
    assert messages.count_tokens(model="claude-haiku-4-5", messages=HI).input_tokens > 1


def test_generate_content(emulator: Emulator, opened: Any) -> None:
    options: Any = {"base_url": emulator.url}
    client = opened(genai.Client(api_key="x", http_options=options))
    models = client.models

    assert models.generate_content(model="gemini-2.5-flash", contents="Hi").text == SAID
    pieces = [chunk.text for chunk in models.generate_content_stream(model="gemini-2.5-flash", contents="Hi")]
    assert "".join(piece or "" for piece in pieces) == SAID
    assert (models.count_tokens(model="gemini-2.5-flash", contents="Hi").total_tokens or 0) > 1


def test_api_chat(emulator: Emulator, opened: Any) -> None:
    client = opened(ollama.Client(host=emulator.url))
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": CITY}}

    assert client.chat(model="m", messages=HI).message.content == SAID
    assert "".join(part.message.content or "" for part in client.chat(model="m", messages=HI, stream=True)) == SAID
    (call,) = client.chat(model="m", messages=HI, tools=[tool]).message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("f", {"city": "emulated"})


def test_errors_are_those_of_each_sdk(monkeypatch: pytest.MonkeyPatch, opened: Any) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    slow = RateLimitError("slow", retry_after=0.01)
    script = [slow, "At last.", AuthenticationError("wrong"), OverloadedError("busy"), slow, OverloadedError("busy")]
    with Emulator(script) as emulator:
        chat = opened(openai.OpenAI(base_url=emulator.url, api_key="x")).chat.completions
        assert chat.create(model="m", messages=HI).choices[0].message.content == "At last."
        with pytest.raises(openai.AuthenticationError, match="wrong"):
            chat.create(model="m", messages=HI)
        messages = opened(anthropic.Anthropic(base_url=emulator.url, api_key="x", max_retries=0)).messages
        with pytest.raises(anthropic.APIStatusError, match="busy") as overloaded:
            messages.create(model="claude-haiku-4-5", max_tokens=5, messages=HI)
        assert overloaded.value.status_code == 529
        options: Any = {"base_url": emulator.url, "retry_options": {"attempts": 1}}
        client = opened(genai.Client(api_key="x", http_options=options))
        with pytest.raises(genai_errors.ClientError, match="slow"):
            client.models.generate_content(model="m", contents="Hi")
        with pytest.raises(ollama.ResponseError, match="busy"):
            opened(ollama.Client(host=emulator.url)).chat(model="m", messages=HI)
