"""Tools, formats and options in Chat Completions: on the wire, and read back from there."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest

from modelwire._tools import to_tool_choice, to_tools
from modelwire.errors import BadRequestError
from modelwire.output import response_schema
from modelwire.providers._openai_chat import Quirks
from modelwire.types import (
    CustomTool,
    Image,
    ProviderTool,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from tests.providers.chat_wire import asked, body_of, codec_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
MP3 = base64.b64encode(b"ID3\x04\x00\x00\x00\x00\x00\x00").decode()
PDF = base64.b64encode(b"%PDF-1.7\n").decode()


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def own(provider: str = "openai", **members: str) -> dict[str, dict[str, msgspec.Raw]]:
    return {provider: {name: raw(value) for name, value in members.items()}}


# ---------------------------------------------------------------------- tools

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = {**SCHEMA, "additionalProperties": False}


@pytest.mark.parametrize(
    ("tool", "wire"),
    [
        (Tool(name="f"), {"type": "function", "function": {"name": "f"}}),
        (
            Tool(name="f", description="d", parameters=SCHEMA),
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
        ),
        (
            Tool(name="f", parameters=STRICT, strict=True),
            {"type": "function", "function": {"name": "f", "parameters": STRICT, "strict": True}},
        ),
        (
            Tool(name="f", parameters=SCHEMA, strict=False, provider_data=own(eager="true")),
            {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": False}, "eager": True},
        ),
        (CustomTool(name="g"), {"type": "custom", "custom": {"name": "g"}}),
        (
            CustomTool(name="g", description="d", grammar="start: WORD", syntax="lark"),
            {
                "type": "custom",
                "custom": {
                    "name": "g",
                    "description": "d",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}},
                },
            },
        ),
        (ProviderTool(data=raw('{"type":"x","n":1}'), provider="openai"), {"type": "x", "n": 1}),
    ],
)
def test_a_tool_is_written_and_read_back(tool: Any, wire: dict[str, Any]) -> None:
    request = asked("Hi", tools=[tool])

    assert body_of(request)["tools"] == [wire]
    assert codec_of().decode_request(codec_of().encode(request, {}).body) == request


def test_a_strict_tool_is_sent_in_the_strict_subset() -> None:
    (wire,) = body_of(asked("Hi", tools=[Tool(name="f", parameters=SCHEMA, strict=True)]))["tools"]

    assert wire["function"]["parameters"] == STRICT


def test_a_strict_tool_that_cannot_be_strict_is_refused() -> None:
    tool = Tool(name="f", parameters={"type": "object", "additionalProperties": True}, strict=True)

    with pytest.raises(BadRequestError, match="#"):
        body_of(asked("Hi", tools=[tool]))


@pytest.mark.parametrize("provider", ["anthropic", "openai-responses"])
def test_a_tool_of_another_provider_is_refused(provider: str) -> None:
    foreign = ProviderTool(data=raw("{}"), provider=provider)

    with pytest.raises(BadRequestError, match=f"a tool of {provider} is none that openai understands; leave it out"):
        body_of(asked("Hi", tools=[foreign]))
    with pytest.raises(BadRequestError, match=f"a tool of {provider}"):
        body_of(asked("Hi", tools=[Tool(name="f")], tool_choice=foreign))


def test_tools_in_all_the_forms_that_users_write() -> None:
    class WithSchema:
        schema = {"name": "c", "parameters": SCHEMA}  # noqa: RUF012  # as AutoGen's tools have it

    given = [
        Tool(name="a"),
        {"type": "function", "function": {"name": "b", "parameters": SCHEMA}},
        WithSchema(),
        {"type": "custom", "name": "d", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}},
        {"type": "web_search", "depth": 2},
    ]

    assert body_of(asked("Hi", tools=to_tools(given)))["tools"] == [  # type: ignore[arg-type]
        {"type": "function", "function": {"name": "a"}},
        {"type": "function", "function": {"name": "b", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "c", "parameters": SCHEMA}},
        {
            "type": "custom",
            "custom": {
                "name": "d",
                "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "x"}},
            },
        },
        {"type": "web_search", "depth": 2},
    ]


F = {"type": "function", "function": {"name": "f"}}
G = {"type": "custom", "custom": {"name": "g"}}


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("none", "none"),
        ("required", "required"),
        ("any", "required"),
        ("f", F),
        ("g", G),
        (F, F),
        ({"type": "function", "name": "f"}, F),
        (G, G),
        ({"type": "tool", "name": "f"}, F),
        (Tool(name="f"), F),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="none", tools=["f"]), "none"),
        (ToolChoice(mode="required", tools=["f"]), F),
        (
            ToolChoice(mode="required", tools=["f", "g"]),
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F, G]}},
        ),
        (
            ToolChoice(mode="auto", tools=["f"]),
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}},
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [F]}},
        ),
        ({"type": "web_search"}, {"type": "web_search"}),
    ],
)
def test_a_tool_choice_is_written_and_read_back(choice: Any, wire: Any) -> None:
    tools = [Tool(name="f"), CustomTool(name="g")]
    request = asked("Hi", tools=tools, tool_choice=to_tool_choice(choice, tools))

    assert body_of(request)["tool_choice"] == wire
    again = codec_of().decode_request(codec_of().encode(request, {}).body)
    assert body_of(again)["tool_choice"] == wire
    if wire != "none" and isinstance(request.tool_choice, ToolChoice):
        assert again.tool_choice == request.tool_choice


def test_auto_is_what_is_meant_without_a_choice() -> None:
    tools = [Tool(name="f")]

    assert "tool_choice" not in body_of(asked("Hi", tools=tools, tool_choice=to_tool_choice("auto", tools)))
    assert body_of(asked("Hi", tools=tools, tool_choice=ToolChoice(mode="auto")))["tool_choice"] == "auto"


def test_without_tools_nothing_is_said_of_them() -> None:
    """ "only allowed when 'tools' are specified" """
    request = asked("Hi", tool_choice=ToolChoice(mode="none"), options={"parallel_tool_calls": False})

    assert body_of(request) == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    with_tools = body_of(msgspec.structs.replace(request, tools=[Tool(name="f")]))
    assert (with_tools["tool_choice"], with_tools["parallel_tool_calls"]) == ("none", False)


# ---------------------------------------------------------------------- structured output


class City(msgspec.Struct):
    """A place."""

    name: str


@dataclass
class CityClass:
    name: str


class CityDict(TypedDict):
    name: str


class CityModel(pydantic.BaseModel):
    name: str


NAMED = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.mark.parametrize("given", [City, CityClass, CityDict, CityModel, {**NAMED, "title": "City"}])
def test_a_type_becomes_a_strict_schema(given: Any) -> None:
    form = body_of(asked("Hi", response_format=response_schema(given)))["response_format"]

    assert form["type"] == "json_schema"
    described = form["json_schema"]
    assert described["name"].startswith("City")
    assert described["strict"] is True
    schema = described["schema"]
    schema = schema["$defs"]["City"] if "$ref" in schema else schema
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["name"], False)


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        (ResponseFormat(type="text"), {"type": "text"}),
        (ResponseFormat(type="json_object"), {"type": "json_object"}),
        (response_schema({"type": "json_object"}), {"type": "json_object"}),
        (
            ResponseFormat(type="json_schema", name="n", description="d", schema=STRICT, strict=True),
            {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": STRICT, "strict": True}},
        ),
        (
            ResponseFormat(type="json_schema", name="n", schema={"type": "object"}, strict=False),
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": False}},
        ),
    ],
)
def test_a_format_is_written_and_read_back(given: ResponseFormat, wire: dict[str, Any]) -> None:
    request = asked("Hi", response_format=given)

    assert body_of(request)["response_format"] == wire
    assert codec_of().decode_request(codec_of().encode(request, {}).body) == request


def test_a_schema_that_cannot_be_strict_is_sent_as_it_is() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    form = body_of(asked("Hi", response_format=ResponseFormat(type="json_schema", schema=schema)))["response_format"]

    assert form["json_schema"] == {"name": "answer", "schema": schema, "strict": False}
    wanted = ResponseFormat(type="json_schema", schema=schema, strict=True)
    with pytest.raises(BadRequestError, match="#"):
        body_of(asked("Hi", response_format=wanted))


def test_a_server_without_schemas_is_asked_for_any_object() -> None:
    wanted = ResponseFormat(type="json_schema", schema=STRICT)

    body = body_of(asked("Hi", response_format=wanted), Quirks(json_schema=False))
    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    "form",
    [
        {"type": "grammar", "grammar": "root ::= 'x'"},
        {"type": "json_object", "schema": {"type": "object"}},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "x": 1}},
    ],
)
def test_a_format_of_the_servers_own_is_passed_on(form: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "response_format": form}
    request = codec_of().decode_request(json.dumps(body).encode())

    assert request.response_format is None
    assert body_of(request) == body


# ---------------------------------------------------------------------- the rest of the body

OPTIONS: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["a", "b"],
    "seed": 7,
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "metadata": {"a": "b"},
    "logit_bias": {"50256": -100},
    "verbosity": "low",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "x"},
    "service_tier": "flex",
    "store": True,
    "safety_identifier": "u1",
    "user": "u1",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    "prompt_cache_retention": "24h",
    "moderation": {"model": "omni"},
    "web_search_options": {"search_context_size": "low"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_has_the_same_name_on_the_wire(name: str) -> None:
    request = asked("Hi", options={name: OPTIONS[name]})

    assert body_of(request)[name] == OPTIONS[name]
    assert codec_of().decode_request(codec_of().encode(request, {}).body) == request


@pytest.mark.parametrize(
    ("provider", "option", "wire"),
    [
        ("openai", "max_tokens", "max_completion_tokens"),
        ("azure", "max_tokens", "max_completion_tokens"),
        ("groq", "max_tokens", "max_completion_tokens"),
        ("xai", "max_tokens", "max_completion_tokens"),
        ("cerebras", "max_tokens", "max_completion_tokens"),
        ("deepseek", "max_tokens", "max_tokens"),
        ("mistral", "max_tokens", "max_tokens"),
        ("vllm", "max_tokens", "max_tokens"),
        ("openrouter", "max_tokens", "max_tokens"),
        ("llama.cpp", "max_tokens", "max_tokens"),
        ("lmstudio", "max_tokens", "max_tokens"),
        ("mistral", "seed", "random_seed"),
        ("vllm", "top_k", "top_k"),
        ("llama.cpp", "repetition_penalty", "repeat_penalty"),
    ],
)
def test_a_server_may_have_names_of_its_own(provider: str, option: str, wire: str) -> None:
    request = asked("Hi", options={option: 3})

    assert body_of(request, provider)[wire] == 3
    assert codec_of(provider).decode_request(codec_of(provider).encode(request, {}).body) == request


def test_what_modelwire_does_not_know_is_passed_on() -> None:
    request = asked("Hi", options={"temperature": 1, "extra_body": {"temperature": 0, "x": [1], "top_k": 4}})

    assert body_of(request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
        "x": [1],
        "top_k": 4,
    }
    bare = asked("Hi", options={"extra_body": {"x": [1]}})
    assert codec_of().decode_request(codec_of().encode(bare, {}).body) == bare


def test_every_request_may_carry_members_of_its_server() -> None:
    body = body_of(asked("Hi", options={"temperature": 1}), Quirks(body={"cache_prompt": True, "temperature": 0}))

    assert (body["cache_prompt"], body["temperature"]) == (True, 1)


def test_a_stream_asks_for_its_usage() -> None:
    streamed = asked("Hi", stream=True)

    assert body_of(streamed)["stream_options"] == {"include_usage": True}
    assert body_of(streamed)["stream"] is True
    assert "stream_options" not in body_of(streamed, "mistral")
    assert codec_of().decode_request(codec_of().encode(streamed, {}).body) == streamed


def test_other_options_of_the_stream_are_kept() -> None:
    options = {"stream_options": {"include_obfuscation": False}}
    streamed = asked("Hi", stream=True, options=options)

    assert body_of(streamed)["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert codec_of().decode_request(codec_of().encode(streamed, {}).body) == streamed
    assert "stream_options" not in body_of(asked("Hi", options=options))
    with_data = asked("Hi", stream=True, options={"extra_body": {"data_sources": []}})
    assert "stream_options" not in body_of(with_data, "azure")
    without = asked("Hi", stream=True, options={"stream_options": {"include_usage": False}})
    assert body_of(without)["stream_options"] == {"include_usage": False}


@pytest.mark.parametrize(("stream", "accept"), [(False, b"application/json"), (True, b"text/event-stream")])
def test_the_request_says_what_it_is_and_what_it_wants(stream: bool, accept: bytes) -> None:
    request = codec_of().encode(asked("Hi", stream=stream), {})

    assert (request.method, request.url) == ("POST", "https://api.example.com/v1/chat/completions")
    assert dict(request.headers) == {b"content-type": b"application/json", b"accept": accept}


def test_equal_requests_are_equal_bytes() -> None:
    request = asked("Hi", Image(data=PNG, media_type="image/png"), tools=[Tool(name="f", parameters=SCHEMA)])

    assert codec_of().encode(request, {}).body == codec_of().encode(msgspec.structs.replace(request), {}).body
