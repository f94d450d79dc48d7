"""Bodies of the Messages API as requests: what was written, and what other clients would send."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire import errors
from modelwire.providers._anthropic.names import undated
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    ProviderTool,
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
from tests.providers.anthropic_wire import (
    ADAPTIVE,
    CODEC,
    NEWEST,
    OLD,
    asked,
    body_of,
    info_of,
)

Raw = msgspec.Raw
CACHED = {"anthropic": {"cache_control": Raw(b'{"type":"ephemeral","ttl":"1h"}')}}
SERVER_TOOL = Raw(b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}')
WEATHER = Tool(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(call_id: str = "toolu_1", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(id=call_id, name="get_weather", arguments=arguments)


@pytest.mark.parametrize(
    "request_",
    [
        asked("Hello", options={"max_tokens": 5}),
        asked("a", Image(url="https://e.com/i.png"), Document(file_id="f", title="T"), options={"max_tokens": 5}, stream=True),
        asked(tools=[WEATHER, ProviderTool(data=Raw(b'{"type":"memory_20250818","name":"memory"}'), provider="anthropic")],
              tool_choice=ToolChoice(mode="required", tools=["get_weather"]),
              options={"max_tokens": 5, "parallel_tool_calls": False}),
        asked(model=ADAPTIVE, options={"max_tokens": 5, "reasoning_effort": "xhigh", "stop": ["x"], "speed": "fast",
                                       "output_config": {"task_budget": 1}, "extra_body": {"of_tomorrow": {}}}),
        asked(options={"max_tokens": 0, "diagnostics": {"previous_message_id": None}}),
        asked(model=OLD, options={"max_tokens": 5000, "reasoning_effort": "medium"}),
        asked(model=OLD, options={"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4999}}),
        asked(response_format=ResponseFormat(type="json_schema", schema={"type": "object", "properties": {},
                                             "additionalProperties": False}), options={"max_tokens": 5}),
        ChatRequest(
            model=ADAPTIVE,
            messages=[
                SystemMessage(content=[Text(text="Be brief.", provider_data=CACHED)]),
                UserMessage(content=[Text(text="a", provider_data=CACHED)]),
                AssistantMessage(
                    content=[
                        Reasoning(text="", signature="Eq+/=", provider="anthropic"),
                        Reasoning(signature="Em+/=", redacted=True, provider="anthropic"),
                        Text(text="b"),
                        ProviderPart(provider="anthropic", kind="server_tool_use", data=SERVER_TOOL),
                        call(arguments='{"x":1}'),
                    ]
                ),
                ToolMessage(content=[ToolResult(call_id="toolu_1", content=[Text(text="1")], is_error=True)]),
                UserMessage(content=[Text(text="c")]),
                SystemMessage(content="d"),
            ],
            options={"max_tokens": 5},
        ),
    ],
)  # fmt: skip
def test_a_written_request_reads_as_what_it_was(request_: ChatRequest) -> None:
    request = request_
    if isinstance(request.messages[0], UserMessage) and not isinstance(request.messages[0].content, str):
        parts = [Text(text=part) if isinstance(part, str) else part for part in request.messages[0].content]
        request = msgspec.structs.replace(request, messages=[UserMessage(content=parts)])

    assert CODEC.decode_request(CODEC.encode(request, info_of(request.model)).body) == request


def test_the_betas_name_of_the_format_is_read() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "schema": schema}
    body = {"model": NEWEST, "messages": [], "output_format": wanted, "output_config": {"effort": "low"}}
    request = CODEC.decode_request(json.dumps(body).encode())

    assert request.response_format == ResponseFormat(type="json_schema", schema=schema)
    assert request.options == {"reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a request"),
        (b"[]", "not a request"),
        (b'{"model":"m"}', "`messages` is missing"),
        (b'{"messages":[]}', "`model` is missing"),
        (b'{"model":1,"messages":[]}', "not a request"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', r"messages\[0\]: role 'tool'"),
        (b'{"model":"m","messages":[{"role":"user"}]}', r"messages\[0\]: `content` is missing"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}', r"messages\[0\]: `type` is missing"),
        (b'{"model":"m","messages":[],"system":[{"type":"image"}]}', "only text"),
        (b'{"model":"m","messages":[],"output_config":{"format":{"type":"text"}}}', "output_config.format"),
    ],
)
def test_a_body_that_is_none_is_refused_with_the_place(body: bytes, words: str) -> None:
    with pytest.raises(errors.BadRequestError, match=words):
        CODEC.decode_request(body)


def test_blocks_that_modelwire_does_not_model_are_kept_whole() -> None:
    content = [
        {"type": "document", "source": {"type": "content", "content": [text("x")]}, "title": "T"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA", "more": "x"}},
        {"type": "container_upload", "file_id": "file_1"},
    ]
    body = {"model": NEWEST, "max_tokens": 5, "messages": [{"role": "user", "content": content}]}
    request = CODEC.decode_request(json.dumps(body).encode())

    assert [type(part) for part in request.messages[0].content] == [ProviderPart] * 3
    assert body_of(request) == body


def test_undated_names() -> None:
    assert undated("claude-opus-4-6-20260205") == "claude-opus-4-6"
    assert undated("claude-opus-4-0") == undated("claude-opus-4-20250514") == "claude-opus-4"
    assert undated("claude-opus-4-8") == "claude-opus-4-8"
