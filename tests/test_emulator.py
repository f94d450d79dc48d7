"""The emulator as a test's server: what it reads, what can be scripted, and how it ends."""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import msgspec
import pytest

from modelwire import errors
from modelwire.emulator import Emulator, Reply, echo
from modelwire.emulator._connection import DIALECTS, MAX_BODY
from modelwire.errors import ModelClientError, RateLimitError, StreamInterruptedError
from modelwire.providers.anthropic import AnthropicChatCompletionClient
from modelwire.providers.azure import AzureOpenAIChatCompletionClient
from modelwire.providers.compatible import OpenAICompatibleChatCompletionClient
from modelwire.providers.gemini import GeminiChatCompletionClient
from modelwire.providers.ollama import OllamaChatCompletionClient
from modelwire.providers.openai import OpenAIChatCompletionClient
from modelwire.types import (
    CreateResult,
    FunctionCall,
    Reasoning,
    SystemMessage,
    Tool,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from modelwire.client import ProviderClient
    from modelwire.types import Message

anyio_test = pytest.mark.anyio
HELLO = [UserMessage(content="Hello there")]
TEXT = "one two three four five six seven eight nine ten"
WEATHER = Tool(
    name="get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    },
)


class Person(msgspec.Struct):
    name: str
    age: int


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def openai(url: str, **given: Any) -> ProviderClient:
    return OpenAIChatCompletionClient(model="gpt-4.1", base_url=url, api_key="sk-x", **given)


def responses(url: str, **given: Any) -> ProviderClient:
    return OpenAIChatCompletionClient(model="gpt-5.1", base_url=url, api_key="sk-x", api="responses", **given)


def anthropic(url: str, **given: Any) -> ProviderClient:
    return AnthropicChatCompletionClient(model="claude-sonnet-4-6", base_url=url, api_key="sk-x", **given)


def gemini(url: str, **given: Any) -> ProviderClient:
    return GeminiChatCompletionClient(model="gemini-2.5-flash", base_url=url, api_key="sk-x", **given)


def ollama(url: str, **given: Any) -> ProviderClient:
    return OllamaChatCompletionClient(model="qwen3", base_url=url, **given)


CLIENTS: dict[str, Callable[..., ProviderClient]] = {
    "openai-chat": openai,
    "openai-responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
}
clients = pytest.mark.parametrize("name", CLIENTS)


async def streamed(client: ProviderClient, messages: list[Message] | None = None, **given: Any) -> CreateResult:
    async with client.stream(messages or HELLO, **given) as events:
        async for _ in events:
            pass
    return events.result


async def follow(client: ProviderClient, pieces: list[str]) -> None:
    """Put the texts of a stream into a list, until it ends."""
    async for item in client.create_stream(HELLO):
        if isinstance(item, str):
            pieces.append(item)  # noqa: PERF401  # an error must not lose those before it


# ---------------------------------------------------------------------- what it says by itself


@anyio_test
@clients
async def test_every_client_gets_an_answer_that_says_what_it_is(name: str, emulator: Emulator):
    messages = [SystemMessage(content="Be brief."), UserMessage(content="Hello there")]
    async with CLIENTS[name](emulator.url) as client:
        whole = await client.create(messages)
        pieces = [item async for item in client.create_stream(messages)]

    result = pieces.pop()
    assert isinstance(result, CreateResult)
    assert len(pieces) > 5
    assert "".join(map(str, pieces)) == result.text == whole.text
    assert whole.text == "Emulated answer, by no model: read 2 messages, the last says 'Hello there'."
    assert whole.finish_reason == result.finish_reason == "stop"
    assert "emulated" in (whole.model or "")
    assert whole.usage == result.usage
    assert whole.usage
    assert whole.usage.prompt_tokens > 5 < whole.usage.completion_tokens
    assert whole.request_id == (None if name == "ollama" else "emulated-1")
    first, second = emulator.requests
    assert (first.dialect, first.verb, first.request.stream, second.request.stream) == (name, "answer", False, True)
    assert [type(message) for message in first.request.messages] == [SystemMessage, UserMessage]
    assert "sk-x" not in repr(emulator.requests)


@anyio_test
@clients
async def test_a_tool_is_called_and_its_result_answered(name: str, emulator: Emulator):
    messages: list[Message] = [*HELLO]
    async with CLIENTS[name](emulator.url) as client:
        called = await streamed(client, tools=[WEATHER])
        (call,) = called.tool_calls
        result = ToolResult(call_id=call.id, name=call.name, content="sunny")
        messages += [called.message, ToolMessage(content=[result])]
        answered = await client.create(messages, tools=[WEATHER])

    assert called.finish_reason == "function_calls"
    assert (call.name, call.parsed_arguments()) == ("get_weather", {"city": "emulated", "days": 1})
    assert answered.text == "Emulated answer, by no model: read 3 messages, the last says 'sunny'."


@anyio_test
@clients
async def test_a_schema_is_answered_with_a_value_of_it(name: str, emulator: Emulator):
    async with CLIENTS[name](emulator.url, response_format=Person) as client:
        assert (await client.create(HELLO)).parse(Person) == Person(name="emulated", age=0)
        assert (await streamed(client)).parse(Person) == Person(name="emulated", age=0)


@anyio_test
@pytest.mark.parametrize("name", ["openai-responses", "anthropic", "gemini", "ollama"])
async def test_reasoning_is_shown_where_it_is_asked_for(name: str, emulator: Emulator):
    async with CLIENTS[name](emulator.url, reasoning_effort="high") as client:
        whole, result = await client.create(HELLO), await streamed(client)

    assert whole.thought == result.thought == "Emulated reasoning: no model thought about this."


@anyio_test
async def test_tool_choice_is_obeyed(emulator: Emulator):
    other = Tool(name="other")
    async with openai(emulator.url) as client:
        none = await client.create(HELLO, tools=[WEATHER], tool_choice="none")
        named = await client.create(HELLO, tools=[WEATHER, other], tool_choice="other")

    assert none.tool_calls == []
    assert [call.name for call in named.tool_calls] == ["other"]


@anyio_test
async def test_a_key_goes_where_the_test_can_see_it(emulator: Emulator):
    async with gemini(emulator.url) as client:
        await client.create(HELLO)

    assert emulator.requests[0].headers["x-goog-api-key"] == "sk-x"
    assert emulator.requests[0].path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert json.loads(emulator.requests[0].body)["contents"][0]["role"] == "user"


@anyio_test
async def test_azure_and_compatible_servers_are_emulated_too(emulator: Emulator):
    azure = AzureOpenAIChatCompletionClient(
        model="gpt-4.1", azure_endpoint=emulator.url, api_key="x", api_version="2024-10-21", azure_deployment="d"
    )
    async with azure, OpenAICompatibleChatCompletionClient(model="m", base_url=f"{emulator.url}/v1") as compatible:
        assert (await azure.create(HELLO)).text == (await compatible.create(HELLO)).text

    assert [received.path for received in emulator.requests] == [
        "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "/v1/chat/completions",
    ]


# ---------------------------------------------------------------------- scripts


@anyio_test
@clients
async def test_answers_are_given_in_order_and_then_refused(name: str):
    second = CreateResult(
        parts=[Reasoning(text="Hm."), FunctionCall(id="c1", name="f", arguments="{}")],
        finish_reason="function_calls",
        usage=Usage(prompt_tokens=5, completion_tokens=6),
        model="a-model",
    )
    with Emulator(["First.", second, lambda request: f"{len(request.messages)} message"]) as emulator:
        emulator.add("Last.")
        async with CLIENTS[name](emulator.url) as client:
            texts = [(await client.create(HELLO)).text]
            called = await streamed(client)
            texts += [(await client.create(HELLO)).text, (await streamed(client)).text]
            with pytest.raises(errors.BadRequestError, match="script is used up"):
                await client.create(HELLO)

    assert texts == ["First.", "1 message", "Last."]
    assert (called.thought, called.tool_calls[0].name, called.model) == ("Hm.", "f", "a-model")
    assert called.usage == second.usage


ERRORS = [
    errors.AuthenticationError,
    errors.PermissionDeniedError,
    errors.NotFoundError,
    errors.BadRequestError,
    errors.ContextLengthError,
    errors.ContentFilterError,
    errors.RateLimitError,
    errors.QuotaExceededError,
    errors.OverloadedError,
    errors.ServerError,
    errors.ConnectionFailedError,
    errors.ProtocolError,
    errors.StreamInterruptedError,
]
UNKNOWN = {
    ("gemini", errors.ContentFilterError): errors.BadRequestError,  # there it is an answer that is empty
    ("ollama", errors.ContentFilterError): errors.BadRequestError,
    ("ollama", errors.QuotaExceededError): errors.RateLimitError,
}
"""Errors that a format has no word for, and what they become."""


@anyio_test
@clients
async def test_an_error_is_raised_by_the_client_as_what_it_is(name: str):
    with Emulator([kind("as scripted") for kind in ERRORS for _ in range(2)]) as emulator:
        async with CLIENTS[name](emulator.url, max_retries=0) as client:
            for kind in ERRORS:
                for stream in (False, True):
                    with pytest.raises(ModelClientError) as caught:
                        await (streamed(client) if stream else client.create(HELLO))
                    expected = UNKNOWN.get((name, kind), kind)
                    if kind is StreamInterruptedError and not stream:
                        expected = errors.ConnectionFailedError
                    assert type(caught.value) is expected, (kind, stream, caught.value)


@anyio_test
@clients
async def test_an_option_that_is_refused_is_named(name: str):
    refusal = errors.UnsupportedOptionError("not this one", option="tools" if name == "ollama" else "top_p")
    if name == "gemini":
        refusal = errors.UnsupportedOptionError("not this one", option="n")
    with Emulator([refusal]) as emulator:
        async with CLIENTS[name](emulator.url) as client:
            with pytest.raises(errors.UnsupportedOptionError) as caught:
                await client.create(HELLO)

    assert caught.value.option == refusal.option


@anyio_test
@clients
async def test_what_an_error_says_reaches_the_client(name: str):
    error = RateLimitError("slow down", retry_after=7, status_code=429, code="too_fast", retryable=False)
    with Emulator([error, 502]) as emulator:
        async with CLIENTS[name](emulator.url, max_retries=0) as client:
            with pytest.raises(RateLimitError, match="slow down") as caught:
                await client.create(HELLO)
            with pytest.raises(errors.ServerError, match="script says 502"):
                await client.create(HELLO)

    assert caught.value.retry_after == 7
    if name != "ollama":  # it has neither codes nor advice
        assert (caught.value.code, caught.value.retryable) == ("too_fast", False)


@anyio_test
async def test_a_client_tries_again_as_it_would_with_the_provider():
    with Emulator([503, RateLimitError("slow", retry_after=0.01), "At last."]) as emulator:
        async with anthropic(emulator.url, max_retries=2) as client:
            result = await client.create(HELLO)

        assert result.text == "At last."
        assert [attempt.status_code for attempt in result.attempts or ()] == [503, 429, 200]
        assert len(emulator.requests) == 3


@anyio_test
@clients
async def test_a_stream_that_is_cut_keeps_what_came(name: str):
    partial = CreateResult(content=TEXT, finish_reason="stop")
    with Emulator([Reply(TEXT, cut_after=6), StreamInterruptedError("", partial=partial)]) as emulator:
        async with CLIENTS[name](emulator.url, max_retries=0) as client:
            for _ in range(2):
                with pytest.raises(StreamInterruptedError) as caught:
                    await streamed(client)
                assert caught.value.partial
                assert TEXT.startswith(caught.value.partial.text)


@anyio_test
@clients
async def test_an_error_inside_a_stream_comes_after_what_came(name: str):
    overloaded = Reply(TEXT, error=errors.OverloadedError("busy now"), cut_after=6)
    with Emulator([overloaded, overloaded]) as emulator:
        async with CLIENTS[name](emulator.url, max_retries=0) as client:
            pieces: list[str] = []
            with pytest.raises(ModelClientError, match="busy now") as caught:
                await follow(client, pieces)
            with pytest.raises(errors.OverloadedError):
                await client.create(HELLO)

    assert "".join(pieces)
    assert type(caught.value) is (errors.ServerError if name == "ollama" else errors.OverloadedError)


@anyio_test
async def test_an_answer_can_be_late_and_slow():
    slow = Reply("one two three", delay=0.05, pause=0.02)
    never = (Reply("never", delay=math.inf), errors.ModelTimeoutError("never"))
    with Emulator([slow, *never]) as emulator:
        async with ollama(emulator.url, max_retries=0) as client:
            result = await streamed(client)
            assert result.timing
            assert result.timing.total > 0.1
            assert (result.timing.first_token or 0) >= 0.05
            for _ in never:
                with pytest.raises(errors.ModelTimeoutError):
                    await client.create(HELLO, deadline=0.1)


@anyio_test
async def test_headers_can_be_added():
    limits = {"x-ratelimit-limit-requests": "10", "x-ratelimit-remaining-requests": "9"}
    with Emulator([Reply("Hi", headers=limits), Reply(RateLimitError("x"), headers=limits)]) as emulator:
        async with openai(emulator.url, max_retries=0) as client:
            result = await client.create(HELLO)
            with pytest.raises(RateLimitError) as caught:
                await client.create(HELLO)

    for limit in (result.rate_limit, caught.value.rate_limit):
        assert limit
        assert limit.requests
        assert (limit.requests.limit, limit.requests.remaining) == (10, 9)


@anyio_test
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: 1 / 0, "script failed: ZeroDivisionError: division by zero"),
        (None, "gave a NoneType, which is no answer"),
        (200, "gave 200, which is no HTTP status of an error"),
        (CreateResult(content="x", finish_reason="stop", alternatives=[]), ""),
    ],
)
async def test_a_wrong_script_says_what_is_wrong(answer: Any, reason: str):
    with Emulator([answer]) as emulator:
        async with anthropic(emulator.url) as client:
            if not reason:
                assert (await client.create(HELLO)).text == "x"
                return
            with pytest.raises(errors.BadRequestError, match=reason):
                await client.create(HELLO)


@anyio_test
async def test_otherwise_answers_once_the_script_is_used_up():
    with Emulator(["One."], otherwise=echo) as emulator:
        async with openai(emulator.url) as client:
            assert (await client.create(HELLO)).text == "One."
            assert (await client.create(HELLO)).text.startswith("Emulated answer")


@anyio_test
async def test_two_calls_at_once_share_a_script():
    with Emulator([str(number) for number in range(20)]) as emulator:
        texts: list[str] = []

        async def ask(client: ProviderClient) -> None:
            texts.append((await client.create(HELLO)).text)

        async with openai(emulator.url) as client, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask, client)

    assert sorted(texts, key=int) == [str(number) for number in range(20)]


# ---------------------------------------------------------------------- on the wire, without a client of ours


def post(emulator: Emulator, path: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(emulator.url + path, content=content, headers=headers, trust_env=False)


CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hello there"}]}


def test_it_says_that_it_is_an_emulator(emulator: Emulator):
    answer = post(emulator, "/v1/chat/completions", CHAT)

    assert answer.headers["server"].startswith("modelwire-emulator/")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["model"] == "m-emulated"


def test_usage_of_a_streamed_chat_comes_only_where_it_is_asked_for(emulator: Emulator):
    body = {**CHAT, "stream": True}
    without = post(emulator, "/chat/completions", body)
    asked = post(emulator, "/chat/completions", {**body, "stream_options": {"include_usage": True}})

    assert without.headers["content-type"] == "text/event-stream"
    assert '"usage"' not in without.text
    assert '"usage"' in asked.text
    assert asked.text.endswith("data: [DONE]\n\n")


def test_a_gemini_stream_without_events_is_a_list(emulator: Emulator):
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    answer = post(emulator, "/v1beta/models/m:streamGenerateContent", body)

    assert answer.headers["content-type"] == "application/json"
    texts = [part["text"] for chunk in answer.json() for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(texts).startswith("Emulated answer")


@pytest.mark.parametrize(
    ("path", "body", "member"),
    [
        ("/v1/messages/count_tokens", CHAT, "input_tokens"),
        ("/v1/responses/input_tokens", {"model": "m", "input": "Hello there"}, "input_tokens"),
        (
            "/v1beta/models/m:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]},
            "totalTokens",
        ),
    ],
)
def test_tokens_are_counted_without_using_up_an_answer(path: str, body: Any, member: str):
    with Emulator(["Only."]) as emulator:
        assert 2 < post(emulator, path, body).json()[member] < 20
        assert [received.verb for received in emulator.requests] == ["count"]
        assert "Only." in post(emulator, "/v1/messages", CHAT).text


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_request_that_is_none_is_refused_in_the_words_of_the_provider(dialect: Any, emulator: Emulator):
    paths = ("/chat/completions", "/responses", "/v1/messages", "/v1beta/models/m:generateContent", "/api/chat")
    path = next(path for path in paths if dialect.verb(path))
    for body in (b"", b"\xff", b"[]", b"{}", b"[" * 10_000):
        answer = post(emulator, path, body)

        assert answer.status_code == 400
        assert "error" in answer.json()
    assert emulator.requests == []


def test_other_paths_and_verbs_are_not_found(emulator: Emulator):
    assert post(emulator, "/v1/embeddings", CHAT).status_code == 404
    assert httpx.get(f"{emulator.url}/v1/models", trust_env=False).status_code == 404


def test_a_body_beyond_the_bound_or_of_unknown_length_is_refused_unread(emulator: Emulator):
    for name, value, status in (("content-length", str(MAX_BODY + 1), 413), ("transfer-encoding", "chunked", 411)):
        connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=5)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_nonsense_does_not_end_the_server(emulator: Emulator):
    for noise in (b"\x16\x03\x01", b"GET\r\n\r\n", b"\x00" * 100_000, b"POST / HTTP/9.9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", emulator.port), timeout=5) as connection:
            connection.sendall(noise)
            with contextlib.suppress(OSError):  # what was not read is dropped
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    assert post(emulator, "/v1/chat/completions", CHAT).status_code == 200


def test_only_the_loopback_interface_is_listened_on(emulator: Emulator):
    assert emulator.url.startswith("http://127.0.0.1:")
    assert emulator._listener
    assert emulator._listener.getsockname()[0] == "127.0.0.1"


# ---------------------------------------------------------------------- beginning and end


def test_it_ends_with_its_threads_whatever_is_open():
    before = set(threading.enumerate())
    with Emulator([Reply("x", delay=math.inf), errors.ModelTimeoutError("never")]) as emulator:
        sockets = [socket.create_connection(("127.0.0.1", emulator.port), timeout=5) for _ in range(3)]
        for waiting in sockets[:2]:
            body = json.dumps(CHAT).encode()
            waiting.sendall(b"POST /chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        sockets[0].sendall(b"POST /ahead")  # of the next request, before this one is answered
        while len(emulator.requests) < 2:
            time.sleep(0.001)
    started = time.monotonic()
    for waiting in sockets:
        with contextlib.suppress(ConnectionResetError):
            assert waiting.recv(1) == b""
        waiting.close()

    assert time.monotonic() - started < 3
    assert set(threading.enumerate()) == before
    gc.collect()  # a socket that was left open would be a warning, and so an error, now
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", emulator._port), timeout=5)


def test_it_runs_once_and_says_so():
    emulator = Emulator()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = emulator.url
    with emulator:
        pass
    with pytest.raises(RuntimeError, match="started once"), emulator:
        pass
    with pytest.raises(TypeError, match="a list"):
        Emulator("Hello")


def test_a_port_can_be_chosen_and_is_refused_when_taken(emulator: Emulator):
    with pytest.raises(OSError, match="in use"), Emulator(port=emulator.port):
        pass


def test_the_requests_that_are_kept_are_bounded(emulator: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("modelwire.emulator._server.MAX_KEPT", 3)
    for number in range(5):
        post(emulator, "/chat/completions", {**CHAT, "seed": number})
    assert [received.request.options for received in emulator.requests] == [{"seed": seed} for seed in (2, 3, 4)]

    monkeypatch.setattr("modelwire.emulator._server.MAX_KEPT_BYTES", 2 * len(emulator.requests[0].body))
    post(emulator, "/chat/completions", {**CHAT, "seed": 5})
    assert [received.request.options for received in emulator.requests] == [{"seed": seed} for seed in (4, 5)]


COMMAND = """
import signal, sys
from modelwire.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background jobs ignore it, their children too
sys.exit(main(["emulate"]))
"""


def test_the_command_serves_until_ctrl_c():
    command = [sys.executable, "-W", "error", "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            url = line.split()[0]
            answer = httpx.post(f"{url}/v1/chat/completions", json=CHAT, trust_env=False)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()

    assert "no model answers there" in line
    assert "the last says 'Hello there'" in answer.text
    assert (process.returncode, said) == (0, "")


def test_the_command_names_a_port_that_it_cannot_have(emulator: Emulator):
    command = [sys.executable, "-m", "modelwire", "emulate", "--port", str(emulator.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))

    assert done.returncode == 1
    assert f"cannot have port {emulator.port}" in done.stderr
