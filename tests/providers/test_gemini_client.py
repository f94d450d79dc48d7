"""The Gemini client: where its requests go, which key may go there, and whole calls over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwire.errors import BadRequestError, StreamInterruptedError, UnsupportedOptionError
from modelwire.providers.gemini import GeminiChatCompletionClient
from modelwire.types import CreateResult, ToolMessage, ToolResult, UserMessage
from tests.fakes import FakeClock, Reply, scripted
from tests.server import CUT, Answer, ScriptedServer

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parent / "fixtures" / "gemini"
KEY = "AIza-of-google-0123456789"
HELLO = [UserMessage(content="Hello")]
VARIABLES = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL")
JSON = {"content-type": "application/json; charset=UTF-8"}
EVENTS = {"content-type": "text/event-stream"}
HI = b'{"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1,"totalTokenCount":3},"modelVersion":"gemini-3.8-flash","responseId":"r1"}'
WEATHER = {
    "name": "weather",
    "description": "Weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def request_of(*, tools: Any = (), **options: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a call."""
    transport = scripted(Reply(headers=JSON, body=HI))
    client = GeminiChatCompletionClient(**({"model": "gemini-3.8-flash"} | options), transport=transport)
    await client.create(HELLO, tools=tools)
    (request,) = transport.requests
    headers = {name.decode(): value.decode() for name, value in request.headers}
    return request.url, headers, json.loads(request.body)


def client_of(server: ScriptedServer, **options: Any) -> GeminiChatCompletionClient:
    given = {"model": "gemini-3.8-flash", "base_url": server.url, "api_key": KEY, "max_retries": 0}
    return GeminiChatCompletionClient(**(given | options))


# ---------------------------------------------------------------------- the address and the key


async def test_requests_go_to_google_by_default_with_the_key_in_a_header():
    url, headers, body = await request_of(api_key=KEY)

    assert url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-3.8-flash:generateContent"
    assert headers == {"x-goog-api-key": KEY, "content-type": "application/json", "accept": "application/json"}
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        ("https://proxy.example.com", "https://proxy.example.com/v1beta/models/"),
        ("https://proxy.example.com/gemini/", "https://proxy.example.com/gemini/v1beta/models/"),
        ("https://generativelanguage.googleapis.com/v1", "https://generativelanguage.googleapis.com/v1/models/"),
        ("https://proxy.example.com/v1alpha/", "https://proxy.example.com/v1alpha/models/"),
        (
            "http://localhost:8787/google-vertex/v1beta1/publishers/google",
            "http://localhost:8787/google-vertex/v1beta1/publishers/google/models/",
        ),
    ],
)
async def test_the_version_is_added_to_a_base_url_that_has_none(base_url: str, start: str):
    url, _, _ = await request_of(base_url=base_url, api_key=KEY)

    assert url == f"{start}gemini-3.8-flash:generateContent"


async def test_the_variables_of_googles_sdk_are_read(environment: pytest.MonkeyPatch):
    environment.setenv("GEMINI_API_KEY", "second")
    assert (await request_of())[1]["x-goog-api-key"] == "second"

    environment.setenv("GOOGLE_API_KEY", "first")
    environment.setenv("GOOGLE_GEMINI_BASE_URL", "https://proxy.example.com")
    url, headers, _ = await request_of()
    assert (url.startswith("https://proxy.example.com/v1beta/"), headers["x-goog-api-key"]) == (True, "first")
    assert (await request_of(api_key="given"))[1]["x-goog-api-key"] == "given"


async def test_a_key_of_the_environment_goes_to_no_other_server(environment: pytest.MonkeyPatch):
    environment.setenv("GOOGLE_API_KEY", KEY)
    environment.setenv("GOOGLE_GEMINI_BASE_URL", "https://proxy.example.com")

    for base_url in ("https://other.example.com", "http://proxy.example.com", "https://proxy.example.com:8443"):
        url, headers, body = await request_of(base_url=base_url)
        assert "x-goog-api-key" not in headers
        assert KEY not in url + json.dumps(body)
    assert (await request_of(base_url="https://proxy.example.com/v1"))[1]["x-goog-api-key"] == KEY
    assert (await request_of(base_url="https://generativelanguage.googleapis.com"))[1]["x-goog-api-key"] == KEY


def test_google_itself_wants_a_key():
    with pytest.raises(ValueError, match="GOOGLE_API_KEY"):
        GeminiChatCompletionClient(model="gemini-3.8-flash")
    with pytest.raises(ValueError, match="holds characters that no key has"):
        GeminiChatCompletionClient(model="gemini-3.8-flash", api_key="two words")


async def test_a_models_full_name_is_the_same_model():
    url, _, _ = await request_of(model="models/gemini-3.8-flash", api_key=KEY)

    assert url.endswith("/v1beta/models/gemini-3.8-flash:generateContent")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("gemini-2.5-flash-lite-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-flash-latest", "gemini-3-flash"),
        ("gemini-9-boron", "unknown"),
        ("mine", "unknown"),
    ],
)
def test_what_is_known_of_a_model(model: str, family: str):
    info = GeminiChatCompletionClient(model=model, api_key=KEY).model_info

    assert (info.get("model"), info.get("family")) == (model, family)


# ---------------------------------------------------------------------- options


async def test_options_of_the_client_and_aliases():
    _, _, body = await request_of(
        model="gemini-2.5-flash",
        api_key=KEY,
        max_output_tokens=5,
        candidate_count=2,
        response_schema={"type": "object", "properties": {"a": {"type": "string"}}},
        response_mime_type="application/json",
        safety_settings={"HARASSMENT": "BLOCK_NONE"},
        parallel_tool_calls=True,
        labels={"team": "x"},
    )

    assert body["generationConfig"] == {
        "maxOutputTokens": 5,
        "candidateCount": 2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
    }
    assert body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assert body["labels"] == {"team": "x"}


async def test_options_that_say_nothing_are_left_out_where_the_model_lacks_them():
    _, _, body = await request_of(api_key=KEY, n=1, frequency_penalty=0, presence_penalty=0.0, parallel_tool_calls=True)

    assert body.keys() == {"contents"}


@pytest.mark.parametrize(
    ("options", "tools", "named"),
    [
        ({"parallel_tool_calls": False}, [], "parallel_tool_calls"),
        ({"reasoning_effort": "minimal"}, [], "reasoning_effort"),
        ({"num_ctx": 5}, [], "num_ctx"),
        ({"n": 2}, [], "n"),
        ({"model": "gemini-2.5-flash", "json_output": True}, [WEATHER], "response_format"),
        ({"model": "gemini-4-argon", "cached_content": "cachedContents/1"}, [], "cached_content"),
    ],
)
async def test_what_gemini_lacks_is_refused_or_dropped(options: dict[str, Any], tools: Any, named: str):
    with pytest.raises(UnsupportedOptionError, match=named):
        await request_of(**options, api_key=KEY, tools=tools)

    transport = scripted(Reply(headers=JSON, body=HI))
    client = GeminiChatCompletionClient(
        **({"model": "gemini-3.8-flash"} | options), api_key=KEY, transport=transport, unsupported="drop"
    )
    assert (await client.create(HELLO, tools=tools)).dropped_options == [named]


async def test_thinking_is_asked_for_by_level_and_shown():
    _, _, body = await request_of(api_key=KEY, reasoning_effort="high")

    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "HIGH", "includeThoughts": True}


# ---------------------------------------------------------------------- calls


async def test_an_answer_over_http(server: ScriptedServer):
    server.add(Answer(headers=JSON, body=HI))
    async with client_of(server) as client:
        result = await client.create(HELLO)

    assert (result.content, result.id, result.request_id, result.model) == ("Hi", "r1", "r1", "gemini-3.8-flash")
    assert client.actual_usage().total_tokens == 3
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1beta/models/gemini-3.8-flash:generateContent")
    assert request.headers["x-goog-api-key"] == KEY


async def test_a_stream_over_http_ends_with_its_bytes(server: ScriptedServer):
    body = (FIXTURES / "thought_text_and_parallel_calls.sse").read_bytes()
    server.add(Answer(headers=EVENTS, body=[body[at : at + 50] for at in range(0, len(body), 50)]))
    async with client_of(server) as client:
        chunks = [chunk async for chunk in client.create_stream(HELLO)]

    *texts, result = chunks
    assert texts == ["Let me ", "see."]
    assert isinstance(result, CreateResult)
    assert [call.name for call in result.tool_calls] == ["weather", "weather"]
    assert result.thought == "First the plan."
    assert server.requests[0].path == "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert server.requests[0].headers["accept"] == "text/event-stream"


async def test_a_whole_turn_with_tools_sends_back_what_came(server: ScriptedServer):
    server.add(
        Answer(headers=EVENTS, body=(FIXTURES / "thought_text_and_parallel_calls.sse").read_bytes()),
        Answer(headers=JSON, body=HI),
    )
    async with client_of(server) as client:
        async with client.stream(HELLO, tools=[WEATHER]) as events:
            async for _ in events:
                pass
        answer = events.result
        results = [ToolResult(call_id=call.id, name=call.name, content="sunny") for call in answer.tool_calls]
        await client.create([*HELLO, answer.message, ToolMessage(content=results)], tools=[WEATHER])

    contents = json.loads(server.requests[1].body)["contents"]
    assert contents[1]["parts"] == [
        {"text": "First the plan.", "thought": True},
        {"text": "Let me see."},
        {"functionCall": {"id": "fc1", "name": "weather", "args": {"city": "Kraków"}}, "thoughtSignature": "Eg=="},
        {"functionCall": {"id": "fc2", "name": "weather", "args": {"city": "Łódź"}}},
    ]
    assert [part["functionResponse"]["id"] for part in contents[2]["parts"]] == ["fc1", "fc2"]


async def test_a_stream_that_is_cut_is_interrupted_and_has_what_came(server: ScriptedServer):
    body = (FIXTURES / "signed_empty_text.sse").read_bytes()
    events = body.split(b"\r\n\r\n")
    server.add(Answer(headers=EVENTS, body=b"\r\n\r\n".join([*events[:2], b""])))
    server.add(Answer(headers=EVENTS, body=[b"\r\n\r\n".join([*events[:2], b""]), CUT]))
    async with client_of(server) as client:
        for _ in range(2):
            with pytest.raises(StreamInterruptedError) as caught:
                async for _ in client.create_stream(HELLO):
                    pass

            partial = caught.value.partial
            assert partial is not None
            assert (partial.content, partial.finish_reason) == ("The answer is 4.", "error")
            assert partial.usage is not None
            assert partial.usage.total_tokens == 13


async def test_an_answer_that_pauses_goes_on_with_its_token(server: ScriptedServer):
    server.add(Answer(headers=JSON, body=(FIXTURES / "continuation.json").read_bytes()), Answer(headers=JSON, body=HI))
    async with client_of(server) as client:
        paused = await client.create(HELLO)
        token = msgspec.json.decode((paused.provider_data or {})["gemini"]["continuationToken"])
        await client.create(HELLO, continuation_token=token)

    assert paused.finish_reason == "pause"
    first, second = (json.loads(request.body) for request in server.requests)
    assert second == {**first, "continuationToken": "AQ=="}


async def test_a_server_without_streams_of_events_is_understood(server: ScriptedServer):
    body = (FIXTURES / "signed_empty_text.sse").read_bytes()
    listed = b"[%b]" % b",".join(body.replace(b"data: ", b"").split(b"\r\n\r\n")[:-1])
    server.add(Answer(headers=JSON, body=listed))
    async with client_of(server) as client:
        chunks = [chunk async for chunk in client.create_stream(HELLO)]

    assert chunks[0] == "The answer is 4."


async def test_the_wait_in_the_body_is_kept_before_the_next_try():
    body = {"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "7.5s"}]}}
    clock = FakeClock()
    transport = scripted(Reply(status=429, headers=JSON, body=json.dumps(body).encode()), Reply(headers=JSON, body=HI))
    client = GeminiChatCompletionClient(
        model="gemini-3.8-flash", api_key=KEY, transport=transport, clock=clock, max_retries=1
    )
    result = await client.create(HELLO)

    assert (result.content, len(result.attempts or ())) == ("Hi", 2)
    assert clock.sleeps[0] >= 7.5


async def test_an_error_in_a_stream_before_any_content_is_tried_again():
    broken = b'data: {"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1}}\n\n{"error":{"code":503,"status":"UNAVAILABLE","message":"m"}}\n'
    good = b"data: %b\n\n" % HI
    transport = scripted(Reply(headers=EVENTS, body=[broken]), Reply(headers=EVENTS, body=[good]))
    client = GeminiChatCompletionClient(
        model="gemini-3.8-flash", api_key=KEY, transport=transport, clock=FakeClock(), max_retries=1
    )

    chunks = [chunk async for chunk in client.create_stream(HELLO)]
    assert chunks[0] == "Hi"
    assert len(transport.requests) == 2


async def test_a_request_is_known_by_its_model_too():
    keys = [
        await GeminiChatCompletionClient(model=model, api_key=key).request_key(HELLO)
        for model, key in (("gemini-3.8-flash", "a"), ("gemini-3.8-flash", "b"), ("gemini-2.5-pro", "a"))
    ]

    assert keys[0] == keys[1] != keys[2]


async def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(BadRequestError, match="did you mean safety_settings"):
        await request_of(api_key=KEY, safty_settings={})
