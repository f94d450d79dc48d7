"""Every field of a request, taken from the schema: a change that reaches the wire changes the key, and no other does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from modelwire import (
    AnthropicChatCompletionClient,
    ChatRequest,
    GeminiChatCompletionClient,
    ModelwireError,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
)
from tests.chat_answers import refused
from tests.fakes import FakeTransport, scripted

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One of them: nothing waits for anything here."""
    return "asyncio"


SCHEMA = json.loads((Path(__file__).parents[2] / "schema" / "modelwire.schema.json").read_bytes())["$defs"]
SOURCES = ("url", "data", "file_id", "text", "id")
"""Fields of media of which an instance has one."""


MEDIA_TYPES = {
    "Image": ("image/png", "image/jpeg"),
    "Audio": ("audio/wav", "audio/mpeg"),
    "Document": ("application/pdf", "text/plain"),
    "Video": ("video/mp4", "video/webm"),
}


class Dialect(NamedTuple):
    name: str
    client: Any
    options: str
    origin: str
    """Under which it looks for `provider_data`."""


def made(name: str, kind: Any, options: str, origin: str, **given: Any) -> Any:
    def client(transport: FakeTransport) -> Any:
        return kind(api_key="k", transport=transport, max_retries=0, **given)

    return pytest.param(Dialect(name, client, options, origin), id=name)


DIALECTS = [
    made("chat", OpenAIChatCompletionClient, "OpenAIOptions", "openai", model="m", api="chat"),
    made("responses", OpenAIChatCompletionClient, "OpenAIOptions", "openai", model="m", api="responses"),
    made("anthropic", AnthropicChatCompletionClient, "AnthropicOptions", "anthropic", model="m", max_tokens=9),
    made("gemini", GeminiChatCompletionClient, "GeminiOptions", "gemini", model="m"),
    made("ollama", OllamaChatCompletionClient, "OllamaOptions", "ollama", model="m"),
    made(
        "compatible",
        OpenAICompatibleChatCompletionClient,
        "CompatibleOptions",
        "compatible",
        model="m",
        base_url="http://127.0.0.1:1/v1",
    ),
]


# ---------------------------------------------------------------------- values from the schema


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        target: Any = {"$defs": SCHEMA}
        for step in schema["$ref"].split("/")[1:]:
            target = target[step]
        schema = target
    return schema


def pair(schema: dict[str, Any], name: str, origin: str) -> tuple[Any, Any]:
    """Two different values that fit."""
    reference = schema.get("$ref", "").rpartition("/")[2]
    if reference == "ProviderData":
        return {origin: {"x_field": 1}}, {origin: {"x_field": 2}}
    schema = resolved(schema)
    if "const" in schema:
        return schema["const"], schema["const"]
    if "enum" in schema:
        return schema["enum"][0], schema["enum"][-1]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return pair(schema[word][0], name, origin)
    if schema.get("x-python-type") == "msgspec.Raw":
        return {"type": "x_kind", "a": 1}, {"type": "x_kind", "a": 2}
    if name in ("parameters", "schema"):
        return tuple(  # type: ignore[return-value]
            {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]} for key in "ab"
        )
    match schema.get("type"):
        case "string":
            return strings(schema, name)
        case "integer" | "number":
            return schema.get("minimum", 0) or 1, (schema.get("minimum", 0) or 1) + 1 if name != "top_p" else 0.5
        case "boolean":
            return True, False
        case "array":
            first, second = pair(schema["items"], name, origin)
            return [first], [second]
        case _ if schema.get("properties"):
            return instance(schema, origin, 0), instance(schema, origin, 1)
        case _:
            return {"a": "1"}, {"a": "2"}


def strings(schema: dict[str, Any], name: str) -> tuple[str, str]:
    if schema.get("contentEncoding") == "base64":
        return "AAAA", "BBBB"
    if name == "url":
        return "https://example.org/1", "https://example.org/2"
    if name == "arguments":
        return '{"a": 1}', '{"a": 2}'
    return "a", "b"


def instance(schema: dict[str, Any], origin: str, which: int = 0) -> dict[str, Any]:
    """The required fields, and of media a source."""
    properties = schema["properties"]
    names = list(schema.get("required", ()))
    if not set(names) & set(properties) - {"type", "role"}:
        names += [name for name in properties if name in SOURCES][:1]
    return {name: pair(properties[name], name, origin)[which] for name in names}


def variants(definition: str, origin: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For each field of a definition, instances that differ in it alone: without it, with one value, with another."""
    schema = SCHEMA[definition]
    base = instance(schema, origin)
    if definition in MEDIA_TYPES:
        base["media_type"] = MEDIA_TYPES[definition][0]
    if definition == "Reasoning":  # only goes to who made it
        base |= {"provider": origin, "model": "m", "text": "t", "signature": "s"}
    for name, field in schema["properties"].items():
        if name in ("type", "role"):
            continue
        rest = {key: value for key, value in base.items() if key != name}
        if name in SOURCES and "x-mixin" in schema:
            rest = {key: value for key, value in rest.items() if key not in SOURCES}
        both = MEDIA_TYPES[definition] if name == "media_type" else pair(field, name, origin)
        values = [rest | {name: value} for value in both]
        yield f"{definition}.{name}", values if name in schema.get("required", ()) else [base, *values]


# ---------------------------------------------------------------------- requests around them


def requests(dialect: Dialect) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """For every field that a request can have, requests that differ in it alone."""
    hello = {"role": "user", "content": "Hello"}
    call = {"type": "function_call", "id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "tool_result", "call_id": "c", "content": "r", "name": "f"}
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}

    def conversation(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"model": "m", "messages": list(messages), **more}

    def around(message: dict[str, Any]) -> dict[str, Any]:
        answered = {"role": "assistant", "content": [call]}
        if message["role"] == "tool":
            return conversation(hello, answered, message, tools=[tool])
        if message["role"] == "assistant":
            return conversation(hello, message, hello)
        return conversation(message, *([hello] if message["role"] == "system" else []))

    for definition in ("SystemMessage", "UserMessage", "AssistantMessage", "ToolMessage"):
        for name, values in variants(definition, dialect.origin):
            fields = [value | {"content": [result]} if definition == "ToolMessage" else value for value in values]
            yield name, [around(field) for field in fields]
    for definition in parts("InputPart"):
        for name, values in variants(definition, dialect.origin):
            yield f"user: {name}", [around({"role": "user", "content": ["x", part]}) for part in ours(values, dialect)]
            results = [result | {"content": ["x", part]} for part in ours(values, dialect)]
            yield f"tool: {name}", [around({"role": "tool", "content": [one]}) for one in results]
    for definition in parts("Part"):
        for name, values in variants(definition, dialect.origin):
            if definition != "ToolResult":
                answers = [["x", part] for part in ours(values, dialect)]
                yield f"assistant: {name}", [around({"role": "assistant", "content": answer}) for answer in answers]
    for name, values in variants("ToolResult", dialect.origin):
        yield name, [around({"role": "tool", "content": [value]}) for value in values]
    for definition in parts("AnyTool"):
        for name, values in variants(definition, dialect.origin):
            yield name, [conversation(hello, tools=[value]) for value in values]
    for name, values in variants("ToolChoice", dialect.origin):
        named = [value | ({"tools": ["f"]} if "tools" in value else {}) for value in values]
        yield name, [conversation(hello, tools=[tool], tool_choice=value) for value in named]
    for name, values in variants("ResponseFormat", dialect.origin):
        whole = {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {}}}
        yield name, [conversation(hello, response_format=whole | value | {"type": "json_schema"}) for value in values]
    yield "messages", [conversation(hello), conversation(hello, hello)]


def parts(union: str) -> list[str]:
    return [one["$ref"].rpartition("/")[2] for one in SCHEMA[union].get("anyOf", SCHEMA[union].get("oneOf"))]


def ours(values: list[dict[str, Any]], dialect: Dialect) -> list[dict[str, Any]]:
    """Parts of another provider are not sent at all."""
    return [value | ({"provider": dialect.origin} if value.get("provider") == "a" else {}) for value in values]


def options(family: str, origin: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    schema = SCHEMA[family]
    for part in schema.get("allOf", ()):
        if "$ref" in part:
            yield from options(part["$ref"].rpartition("/")[2], origin)
        else:
            yield from of_properties(part, origin)
    yield from of_properties(schema, origin)


def of_properties(schema: dict[str, Any], origin: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, field in schema.get("properties", {}).items():
        if name not in ("extra_headers", "deadline", "response_format", "model"):
            yield name, [{}, *({name: value} for value in pair(field, name, origin))]


# ---------------------------------------------------------------------- the tests


async def sent(client: Any, transport: FakeTransport, request: ChatRequest, given: dict[str, Any]) -> Any:
    """What goes over the wire for it, and its key; `None` where the client refuses it."""
    arguments: dict[str, Any] = {"tools": request.tools or (), **given}
    if request.tool_choice is not None:
        arguments["tool_choice"] = request.tool_choice
    if request.response_format is not None:
        arguments["response_format"] = msgspec.to_builtins(request.response_format)
    try:
        key = await client.request_key(request.messages, **arguments)
    except ModelwireError:
        return None
    with pytest.raises(ModelwireError):
        await client.create(request.messages, **arguments)
    http = transport.requests[-1]
    return (http.url, tuple(http.headers), http.body), key


def request_of(value: dict[str, Any]) -> ChatRequest:
    return msgspec.json.decode(json.dumps(value), type=ChatRequest)


async def compared(dialect: Dialect, field: str, wanted: list[tuple[ChatRequest, dict[str, Any]]]) -> str:
    transport = scripted(refused(400))
    client = dialect.client(transport)
    found = [one for request, given in wanted if (one := await sent(client, transport, request, given)) is not None]
    wires, keys = {wire for wire, _ in found}, {key for _, key in found}
    assert len(wires) == len(keys) == len(set(found)), f"{dialect.name}: {field}"
    return "refused" if len(found) < 2 else "reaches the wire" if len(wires) > 1 else "is not sent"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_reaches_the_wire_is_in_the_key(dialect: Dialect) -> None:
    outcomes: dict[str, set[str]] = {}
    for field, values in requests(dialect):
        try:
            wanted = [(request_of(value), {}) for value in values]
        except msgspec.ValidationError as error:
            raise AssertionError(f"{field}: {error}: {values}") from None
        outcomes.setdefault(await compared(dialect, field, wanted), set()).add(field)
    hello = request_of({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
    for field, given in options(dialect.options, dialect.origin):
        outcome = await compared(dialect, field, [(hello, one) for one in given])
        outcomes.setdefault(outcome, set()).add(f"option {field}")

    counts = Counter({outcome: len(fields) for outcome, fields in outcomes.items()})
    assert counts["reaches the wire"] > 60, counts
    for field in ("SystemMessage.content", "user: Text.text", "Tool.name", "Tool.parameters", "option temperature"):
        assert field in outcomes["reaches the wire"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_model_and_the_server_are_in_the_key(dialect: Dialect) -> None:
    transport = scripted(refused(400))
    request = request_of({"model": "m", "messages": [{"role": "user", "content": "Hello"}]})
    kind = type(dialect.client(transport))
    keys = {
        await kind(model=model, base_url=url, api_key=secret, transport=transport).request_key(request.messages)
        for model in ("m", "n")
        for url in ("https://one.example.com", "https://other.example.com", "http://one.example.com")
        for secret in ("key-1", "key-2")
    }
    assert len(keys) == 6
