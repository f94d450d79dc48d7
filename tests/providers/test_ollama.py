"""The codec and the client of Ollama."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire import errors
from modelwire._fold import fold
from modelwire.protocols import HttpResponse
from modelwire.providers._ollama import OllamaCodec
from modelwire.providers.ollama import OllamaChatCompletionClient
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    FunctionCall,
    Image,
    Reasoning,
    ResponseFormat,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.fakes import Reply, scripted

CODEC = OllamaCodec("http://localhost:11434/api/chat")
HELLO = [UserMessage(content="Hello")]
PNG = "iVBORw0KGgo="
DONE: dict[str, Any] = {
    "model": "m",
    "created_at": "2026-11-01T00:00:02Z",
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 2_000_000_000,
    "prompt_eval_count": 9,
    "eval_count": 5,
}

ANSWER = Reply(body=json.dumps(DONE).encode())


def sent(request: ChatRequest) -> dict[str, Any]:
    return json.loads(CODEC.encode(request, {}).body)


def lines(*values: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def line(**message: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "created_at": "2026-11-01T00:00:00Z",
        "message": {"role": "assistant", **message},
        "done": False,
    }


# ---------------------------------------------------------------------- requests


def test_options_go_where_the_server_looks_for_them() -> None:
    options = {
        "max_tokens": 5,
        "temperature": 0.1,
        "stop": "x",
        "num_ctx": 4096,
        "keep_alive": "5m",
        "seed": 1,
        "truncate": False,
    }

    body = sent(ChatRequest(model="m", messages=HELLO, options=options))

    assert body["options"] == {"num_predict": 5, "temperature": 0.1, "stop": ["x"], "num_ctx": 4096, "seed": 1}
    assert (body["keep_alive"], body["truncate"], body["stream"]) == ("5m", False, False)


@pytest.mark.parametrize(("effort", "think"), [("none", False), ("minimal", "low"), ("high", "high"), ("xhigh", "max")])
def test_effort_is_said_with_think(effort: str, think: object) -> None:
    assert sent(ChatRequest(model="m", messages=HELLO, options={"reasoning_effort": effort}))["think"] == think


def test_effort_and_think_together_are_refused() -> None:
    with pytest.raises(errors.BadRequestError, match="same option"):
        sent(ChatRequest(model="m", messages=HELLO, options={"reasoning_effort": "low", "think": True}))


def test_a_conversation_with_everything_in_it() -> None:
    messages = [
        SystemMessage(content=["Be brief.", Text(text="Be kind.")]),
        UserMessage(content=["Look:", Image(data=PNG)]),
        AssistantMessage(
            content=[
                Reasoning(text="hm", provider="ollama"),
                Reasoning(text="foreign", provider="anthropic", signature="s"),
                Text(text="I look."),
                FunctionCall(id="call_1", name="f", arguments='{"x": 1.0e3}'),
            ]
        ),
        ToolMessage(content=[ToolResult(call_id="call_1", name="f", content="no", is_error=True)]),
    ]

    body = CODEC.encode(ChatRequest(model="m", messages=messages), {}).body

    assert b'"arguments":{"x": 1.0e3}' in body
    assert json.loads(body)["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "Look:", "images": [PNG]},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "hm",
            "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": {"x": 1000.0}}}],
        },
        {"role": "tool", "content": "Error: no", "tool_name": "f", "tool_call_id": "call_1"},
    ]


def test_arguments_that_are_no_object_are_shown_as_text() -> None:
    message = AssistantMessage(content=[FunctionCall(id="a", name="f", arguments='{"x": ')])

    (call,) = sent(ChatRequest(model="m", messages=[*HELLO, message]))["messages"][1]["tool_calls"]

    assert call["function"]["arguments"] == {"arguments": '{"x": '}


@pytest.mark.parametrize(
    ("part", "reason"), [(Image(url="https://example.org/a.png"), "as data"), (Audio(data="UklGRg=="), "no audio")]
)
def test_what_the_server_cannot_take_is_refused(part: Any, reason: str) -> None:
    with pytest.raises(errors.BadRequestError, match=reason):
        sent(ChatRequest(model="m", messages=[UserMessage(content=[part])]))


def test_tools_and_formats() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tool = Tool(name="f", description="F.", parameters=schema, strict=True)

    body = sent(
        ChatRequest(
            model="m", messages=HELLO, tools=[tool], response_format=ResponseFormat(type="json_schema", schema=schema)
        )
    )

    assert body["tools"] == [{"type": "function", "function": {"name": "f", "description": "F.", "parameters": schema}}]
    assert body["format"] == schema
    assert "format" not in sent(ChatRequest(model="m", messages=HELLO, response_format=ResponseFormat(type="text")))


def test_no_tools_are_sent_where_none_may_be_called() -> None:
    request = ChatRequest(model="m", messages=HELLO, tools=[Tool(name="f")], tool_choice=ToolChoice(mode="none"))

    assert "tools" not in sent(request)
    assert CODEC.refused(request, {}) == {}


def test_a_forced_call_is_refused() -> None:
    request = ChatRequest(model="m", messages=HELLO, tools=[Tool(name="f")], tool_choice=ToolChoice(mode="required"))

    assert "tool_choice" in CODEC.refused(request, {})


# ---------------------------------------------------------------------- answers


def test_a_stream_with_thinking_calls_and_text() -> None:
    call = {"function": {"index": 0, "name": "f", "arguments": {"x": 1}}}
    data = lines(
        line(content="", thinking="pl"), line(content="", thinking="an"), line(content="", tool_calls=[call]), DONE
    )
    decoder = CODEC.stream_decoder()

    result = fold(decoder.feed(data) + decoder.close())

    assert (result.thought, result.finish_reason, result.raw_finish_reason) == ("plan", "function_calls", "stop")
    (found,) = result.tool_calls
    assert (found.name, found.arguments) == ("f", '{"x": 1}')
    assert found.id.startswith("call_")
    assert result.usage is not None
    assert result.usage.total_tokens == 14
    assert result.timing is not None
    assert result.timing.server_total == 2.0


def test_calls_without_ids_get_different_ones() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    body = json.dumps(DONE | {"message": {"role": "assistant", "content": "", "tool_calls": [call, call]}}).encode()

    first, second = CODEC.decode(body).tool_calls

    assert first.id != second.id


def test_log_probabilities_come_with_their_tokens() -> None:
    token = {"token": "Hi", "logprob": -0.1, "top_logprobs": [{"token": "Hi", "logprob": -0.1}]}
    decoder = CODEC.stream_decoder()

    result = fold(decoder.feed(lines(line(content="Hi") | {"logprobs": [token]}, DONE)))

    assert result.logprobs is not None
    assert result.logprobs[0].token == "Hi"


def test_an_error_line_comes_after_the_events_before_it() -> None:
    decoder = CODEC.stream_decoder()

    events = decoder.feed(lines(line(content="Hi"), {"error": "model runner has crashed"}))

    assert fold(events).text == "Hi"
    with pytest.raises(errors.ServerError, match="model runner has crashed"):
        decoder.close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (404, b'{"error":"model \\"x\\" not found, try pulling it first"}', errors.NotFoundError, "ollama pull"),
        (400, b'{"error":"\\"m\\" does not support thinking"}', errors.UnsupportedOptionError, "thinking"),
        (503, b'{"error":"server busy"}', errors.OverloadedError, "busy"),
        (500, b"<html>proxy</html>", errors.ServerError, "web page"),
        (401, b'{"error":"unauthorized"}', errors.AuthenticationError, "unauthorized"),
    ],
)
def test_error_answers(status: int, body: bytes, kind: type[errors.ModelClientError], says: str) -> None:
    error = CODEC.decode_error(HttpResponse(status, {}, body))

    assert type(error) is kind
    assert error.status_code == status
    assert says in str(error)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b"nonsense", b"\xff"])
def test_garbage_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(errors.ProtocolError):
        CODEC.decode(body)


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([lines(line(content="x")), lines(DONE), b"\n", b"{"]), max_size=8)
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_any_bytes_are_events_or_an_error(pieces: list[bytes]) -> None:
    decoder = CODEC.stream_decoder()
    try:
        for piece in pieces:
            decoder.feed(piece)
        decoder.close()
    except errors.ModelClientError:
        pass


@pytest.mark.parametrize("body", [b"", b"{}", b'{"model":"m","messages":[{"role":"x"}]}', b'{"model":1}', b"\xff"])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(errors.BadRequestError):
        CODEC.decode_request(body)


# ---------------------------------------------------------------------- the client


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://localhost:11434/api/chat"),
        ("box", "http://box:11434/api/chat"),
        ("box:8000", "http://box:8000/api/chat"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434/api/chat"),
        ("https://ollama.example/base/", "https://ollama.example/base/api/chat"),
    ],
)
@pytest.mark.anyio
async def test_where_requests_go(host: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host:
        monkeypatch.setenv("OLLAMA_HOST", host)
    transport = scripted(ANSWER)

    await OllamaChatCompletionClient(model="m", transport=transport).create(HELLO)

    assert transport.requests[0].url == url


@pytest.mark.parametrize(("host", "carries"), [("https://ollama.com", True), ("http://localhost:11434", False)])
@pytest.mark.anyio
async def test_the_key_goes_to_the_cloud_alone(host: str, carries: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "secret-of-ollama")
    transport = scripted(ANSWER)

    await OllamaChatCompletionClient(model="m", base_url=host, transport=transport).create(HELLO)

    assert ((b"authorization", b"Bearer secret-of-ollama") in transport.requests[0].headers) is carries


@pytest.mark.anyio
async def test_a_prompt_that_was_cut_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    transport = scripted(ANSWER, ANSWER)
    client = OllamaChatCompletionClient(model="m", num_ctx=64, transport=transport)

    await client.create(HELLO)
    fits = [record for record in caplog.records if record.levelname == "WARNING"]
    await client.create([UserMessage(content="word " * 500)])

    assert not fits
    assert "num_ctx=64 is too small" in caplog.text


@pytest.mark.anyio
async def test_an_option_that_the_api_lacks_is_refused_or_dropped() -> None:
    transport = scripted(ANSWER)
    client = OllamaChatCompletionClient(model="m", transport=transport)

    with pytest.raises(errors.UnsupportedOptionError, match="tool_choice"):
        await client.create(HELLO, tools=[Tool(name="f")], tool_choice="required")
    result = await client.create(
        HELLO, tools=[Tool(name="f")], tool_choice="required", metadata={"a": "b"}, n=1, unsupported="drop"
    )

    assert sorted(result.dropped_options or ()) == ["metadata", "tool_choice"]
