"""The Anthropic client: where its requests go, which credential may go there, and whole calls over a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from modelwire import errors
from modelwire.providers.anthropic import AnthropicChatCompletionClient
from modelwire.types import (
    CreateResult,
    FunctionCall,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.providers.anthropic_wire import BOTH, NEWEST, OLD, answer, sse, start, stop, streamed, text, whole
from tests.server import CUT, Answer, ScriptedServer

if TYPE_CHECKING:
    from modelwire.types import Message

pytestmark = pytest.mark.anyio

HELLO: list[Message] = [UserMessage(content="Hello")]
KEY, TOKEN = "sk-ant-of-anthropic-0123456789", "token-of-a-gateway-0123456789"
VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
JSON = {"content-type": "application/json", "request-id": "req_1"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8", "request-id": "req_1"}
WEATHER = Tool(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def client_of(server: ScriptedServer, model: str = NEWEST, **options: Any) -> AnthropicChatCompletionClient:
    return AnthropicChatCompletionClient(**{"model": model, "base_url": server.url, "api_key": KEY, **options})


async def call(server: ScriptedServer, **options: Any) -> CreateResult:
    server.add(Answer(headers=JSON, body=answer({"type": "text", "text": "Hi"})))
    async with client_of(server, **options) as client:
        return await client.create(HELLO)


# ---------------------------------------------------------------------- the address and the credential


async def test_a_request_over_the_wire(server: ScriptedServer) -> None:
    result = await call(server, max_tokens=9)
    (request,) = server.requests

    assert (request.method, request.path) == ("POST", "/v1/messages")
    ours = {name: request.headers[name] for name in ("x-api-key", "anthropic-version", "content-type", "accept")}
    assert ours == {
        "x-api-key": KEY,
        "anthropic-version": "2026-10-21",
        "content-type": "application/json",
        "accept": "application/json",
    }
    assert "authorization" not in request.headers
    assert json.loads(request.body) == {
        "model": NEWEST,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert (result.content, result.request_id, result.provider) == ("Hi", "req_1", "anthropic")


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://proxy.example.com", "https://proxy.example.com/v1/messages"),
        ("https://proxy.example.com/", "https://proxy.example.com/v1/messages"),
        ("https://proxy.example.com/v1", "https://proxy.example.com/v1/messages"),
        ("https://proxy.example.com/v1/", "https://proxy.example.com/v1/messages"),
        ("https://a.services.example.com/anthropic", "https://a.services.example.com/anthropic/v1/messages"),
        ("https://proxy.example.com/v1?tenant=a", "https://proxy.example.com/v1/messages?tenant=a"),
    ],
)
def test_a_base_url_is_a_prefix_with_or_without_its_version(base_url: str, url: str) -> None:
    client = AnthropicChatCompletionClient(model=NEWEST, base_url=base_url)

    assert client.codec.encode(_request(), client.model_info).url == url


def _request() -> Any:
    from modelwire.types import ChatRequest

    return ChatRequest(model=NEWEST, messages=HELLO)


def test_requests_go_to_anthropic_by_default() -> None:
    client = AnthropicChatCompletionClient(model=NEWEST, api_key=KEY)

    assert client.codec.encode(_request(), client.model_info).url == "https://api.anthropic.com/v1/messages"


async def secrets_of(**options: Any) -> dict[bytes, bytes]:
    client = AnthropicChatCompletionClient(**{"model": NEWEST, **options})
    return dict(await client.auth_headers(refresh=False))


async def test_the_key_of_the_environment_goes_to_anthropic(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANTHROPIC_AUTH_TOKEN", TOKEN)
    assert await secrets_of() == {b"authorization": b"Bearer " + TOKEN.encode()}

    environment.setenv("ANTHROPIC_API_KEY", KEY)
    assert await secrets_of() == {b"x-api-key": KEY.encode()}
    assert await secrets_of(base_url="https://api.anthropic.com/v1") == {b"x-api-key": KEY.encode()}


async def test_the_key_of_the_environment_goes_nowhere_else(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANTHROPIC_API_KEY", KEY)
    environment.setenv("ANTHROPIC_AUTH_TOKEN", TOKEN)
    for url in (
        "https://evil.example.com",
        "http://api.anthropic.com",
        "https://api.anthropic.com.example.com",
        "https://api.anthropic.com:8443",
    ):
        assert await secrets_of(base_url=url) == {}

    environment.setenv("ANTHROPIC_BASE_URL", "https://gateway.example.com/anthropic")
    assert await secrets_of() == {b"x-api-key": KEY.encode()}
    assert await secrets_of(base_url="https://gateway.example.com/other") == {b"x-api-key": KEY.encode()}
    assert await secrets_of(base_url="https://evil.example.com") == {}


async def test_what_is_passed_beats_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ANTHROPIC_API_KEY", KEY)

    assert await secrets_of(api_key="other-key") == {b"x-api-key": b"other-key"}
    assert await secrets_of(auth_token=TOKEN) == {b"authorization": b"Bearer " + TOKEN.encode()}
    assert await secrets_of(base_url="https://evil.example.com", api_key="its-own") == {b"x-api-key": b"its-own"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "set ANTHROPIC_API_KEY"),
        ({"api_key": KEY, "auth_token": TOKEN}, "two ways to sign in"),
        ({"api_key": "sk with space"}, "api_key"),
        ({"api_key": KEY, "base_url": "api.example.com"}, "base_url"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        AnthropicChatCompletionClient(**{"model": NEWEST, **options})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [(NEWEST, None, "2026-10-21"), (OLD, None, "2023-06-01"), (OLD, "2026-10-21", "2026-10-21"), ("x", "y", "y")],
)
async def test_the_version(server: ScriptedServer, model: str, given: str | None, sent: str) -> None:
    await call(server, model=model, anthropic_version=given)

    assert server.requests[0].headers["anthropic-version"] == sent


async def test_betas_are_a_default_and_an_option(server: ScriptedServer) -> None:
    server.add(*[Answer(headers=JSON, body=answer({"type": "text", "text": "Hi"}))] * 3)
    async with client_of(server, betas=["one"]) as client:
        await client.create(HELLO)
        await client.create(HELLO, betas=["two", "three"])
        await client.create(HELLO, betas=None)
        keys = {await client.request_key(HELLO, betas=betas) for betas in (["one"], ["two"], None)}

    assert [request.headers.get("anthropic-beta") for request in server.requests] == ["one", "two,three", None]
    assert len(keys) == 3


# ---------------------------------------------------------------------- what is known of the model


def test_a_snapshot_has_the_facts_of_its_model() -> None:
    info = AnthropicChatCompletionClient(model="claude-haiku-4-5-20251001", api_key=KEY).model_info

    assert (info["model"], info["family"]) == ("claude-haiku-4-5-20251001", "claude-4-5-haiku")
    assert info["max_output_tokens"] == 64_000


def test_an_unknown_model_works_and_users_may_tell_more() -> None:
    info = AnthropicChatCompletionClient(model="claude-next", api_key=KEY).model_info
    assert (info["family"], info["vision"]) == ("unknown", True)

    told = AnthropicChatCompletionClient(model="claude-next", api_key=KEY, model_info={"max_output_tokens": 10})
    assert json.loads(told.codec.encode(_request(), told.model_info).body)["max_tokens"] == 10


# ---------------------------------------------------------------------- options


async def test_what_the_model_lacks_is_refused_before_anything_is_sent(server: ScriptedServer) -> None:
    async with client_of(server) as client:
        with pytest.raises(errors.UnsupportedOptionError, match="takes no sampling options") as caught:
            await client.create(HELLO, temperature=0.5)
        assert caught.value.option == "temperature"
        with pytest.raises(errors.UnsupportedOptionError, match="seed"):
            await client.create(HELLO, seed=1)
        with pytest.raises(errors.UnsupportedOptionError, match="cannot be forced"):
            await client.create(HELLO, tools=[WEATHER], tool_choice="required")
        with pytest.raises(errors.UnsupportedOptionError, match="no JSON mode"):
            await client.create(HELLO, json_output=True)
    assert server.requests == []


async def test_what_the_model_lacks_is_dropped_when_asked_to(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=answer({"type": "text", "text": "Hi"})))
    async with client_of(server, unsupported="drop", seed=1) as client:
        result = await client.create(HELLO, temperature=0.5, tools=[WEATHER], tool_choice="required")

    assert sorted(result.dropped_options or ()) == ["seed", "temperature", "tool_choice"]
    assert json.loads(server.requests[0].body).keys() == {"model", "max_tokens", "messages", "tools"}


async def test_values_that_say_nothing_are_left_out(server: ScriptedServer) -> None:
    result = await call(server, temperature=1, top_p=1.0, n=1, presence_penalty=0)

    assert result.dropped_options is None
    assert json.loads(server.requests[0].body).keys() == {"model", "max_tokens", "messages"}


async def test_other_spellings_of_options(server: ScriptedServer) -> None:
    await call(server, model=BOTH, max_completion_tokens=7, stop_sequences=["x"], effort="low", temperature=None)

    body = json.loads(server.requests[0].body)
    assert (body["max_tokens"], body["stop_sequences"]) == (7, ["x"])
    assert (body["output_config"], body["thinking"]) == ({"effort": "low"}, {"type": "adaptive"})


# ---------------------------------------------------------------------- whole calls


async def test_a_stream_over_the_wire(server: ScriptedServer) -> None:
    body = streamed("shown_thinking")
    server.add(Answer(headers=EVENTS, body=[body[:100], body[100:700], body[700:]]))
    async with client_of(server) as client, client.stream(HELLO) as events:
        seen = [event async for event in events]

    assert json.loads(server.requests[0].body)["stream"] is True
    assert server.requests[0].headers["accept"] == "text/event-stream"
    assert [event.text for event in seen if isinstance(event, (ReasoningDelta, TextDelta))]
    assert seen[-1].type == "finish"
    assert seen[-1].request_id == "req_1"


async def test_text_chunks_and_the_result(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[sse(start(), *text(0, "Hel", "lo"), *stop())]))
    async with client_of(server) as client:
        *chunks, result = [chunk async for chunk in client.create_stream(HELLO)]

    assert chunks == ["Hel", "lo"]
    assert isinstance(result, CreateResult)
    assert result.content == "Hello"
    assert client.actual_usage().completion_tokens == 4


async def test_a_tool_loop_with_thinking(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=whole("thinking_and_call")), Answer(headers=JSON, body=whole("text")))
    async with client_of(server) as client:
        first = await client.create(HELLO, tools=[WEATHER])
        assert isinstance(first.content, list)
        (made,) = first.content
        assert isinstance(made, FunctionCall)
        history = [*HELLO, first.message, ToolMessage(content=[ToolResult(call_id=made.id, content="12°")])]
        second = await client.create(history, tools=[WEATHER])

    assert second.finish_reason == "stop"
    _, said, result = json.loads(server.requests[1].body)["messages"]
    assert said["content"] == json.loads(whole("thinking_and_call"))["content"]
    assert result["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12°"}]


async def test_a_paused_answer_goes_on(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=whole("pause")), Answer(headers=JSON, body=whole("web_search")))
    async with client_of(server) as client:
        first = await client.create(HELLO)
        second = await client.create([*HELLO, first.message])

    assert (first.finish_reason, second.finish_reason) == ("pause", "stop")
    assert json.loads(server.requests[1].body)["messages"][1]["content"] == json.loads(whole("pause"))["content"]


async def test_openai_dicts_are_understood(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=answer({"type": "text", "text": "Hi"})))
    messages: Any = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]
    async with client_of(server) as client:
        await client.create(messages)

    body = json.loads(server.requests[0].body)
    assert body["system"] == "Be brief."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "1"}]},
    ]


# ---------------------------------------------------------------------- errors and retries


async def test_an_overloaded_server_is_asked_again(server: ScriptedServer) -> None:
    busy = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_0"}'
    server.add(Answer(529, headers=JSON | {"retry-after": "0"}, body=busy))

    result = await call(server)

    assert [attempt.status_code for attempt in result.attempts or ()] == [529, 200]
    assert (result.attempts or [])[0].code == "overloaded_error"


async def test_an_error_before_any_content_of_a_stream_is_retried(server: ScriptedServer) -> None:
    """Also behind `message_start`, which says nothing yet."""
    broken = sse(start(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    server.add(Answer(headers=EVENTS, body=[broken]), Answer(headers=EVENTS, body=[streamed("text")]))
    async with client_of(server) as client:
        events = [event async for event in client.stream(HELLO)]

    assert [event.type for event in events].count("start") == 1
    assert len(server.requests) == 2


async def test_an_error_after_content_is_raised_after_it(server: ScriptedServer) -> None:
    broken = sse(start(), *text(0, "So far"), {"type": "error", "error": {"type": "api_error", "message": "Oh"}})
    server.add(Answer(headers=EVENTS, body=[broken]))
    seen: list[object] = []

    async def collect() -> None:
        async with client_of(server) as client:
            async for chunk in client.create_stream(HELLO):
                seen.append(chunk)  # noqa: PERF401  # what came before the error is what is looked at

    with pytest.raises(errors.ServerError, match="Oh"):
        await collect()

    assert seen == ["So far"]
    assert len(server.requests) == 1


async def test_a_stream_that_breaks_off_has_what_came(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[sse(start(), *text(0, "So far")), CUT]))
    async with client_of(server) as client:
        with pytest.raises(errors.StreamInterruptedError) as caught:
            _ = [event async for event in client.stream(HELLO)]

    assert caught.value.partial is not None
    assert caught.value.partial.text == "So far"


async def test_a_server_that_does_not_stream_is_understood(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=whole("thinking_and_call")))
    async with client_of(server) as client:
        *_, result = [chunk async for chunk in client.create_stream(HELLO)]

    assert isinstance(result, CreateResult)
    assert result.finish_reason == "function_calls"


async def test_an_echoed_key_is_not_in_the_error(server: ScriptedServer) -> None:
    body = json.dumps({"type": "error", "error": {"type": "authentication_error", "message": f"bad key {TOKEN}"}})
    server.add(Answer(401, headers=JSON, body=body.encode()))
    async with client_of(server, api_key=None, auth_token=TOKEN) as client:
        with pytest.raises(errors.AuthenticationError) as caught:
            await client.create(HELLO)

    assert TOKEN not in caught.value.message
    assert TOKEN.encode() not in (caught.value.body or b"")
    assert caught.value.request_id == "req_1"
