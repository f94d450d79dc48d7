"""What the vendors' SDKs say of a request body: their own parameter types, read strictly, or what they would send."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import Any

import httpx
import httpx2
import ollama
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_params
from anthropic.types.beta import message_create_params as beta_create_params
from google import genai
from openai.types.chat import completion_create_params
from openai.types.responses import input_token_count_params, response_create_params
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import SchemaValidator

from tests.sdk.recordings import ANTHROPIC, CHAT, GEMINI, OLLAMA, RESPONSES

Json = dict[str, Any]

_BYTES = ("data", "thoughtSignature", "continuationToken")
_URL_SAFE = str.maketrans("+/", "-_")
_EMPTY = ("generationConfig",)
"""Members that are base64 on the wire, and objects that the SDK writes although nothing is in them."""

_TYPES: dict[tuple[str, str], Any] = {
    (CHAT, "whole"): completion_create_params.CompletionCreateParamsNonStreaming,
    (CHAT, "stream"): completion_create_params.CompletionCreateParamsStreaming,
    (RESPONSES, "whole"): response_create_params.ResponseCreateParamsNonStreaming,
    (RESPONSES, "stream"): response_create_params.ResponseCreateParamsStreaming,
    (RESPONSES, "count"): input_token_count_params.InputTokenCountParams,
    (ANTHROPIC, "whole"): message_create_params.MessageCreateParamsNonStreaming,
    (ANTHROPIC, "stream"): message_create_params.MessageCreateParamsStreaming,
    (ANTHROPIC, "count"): message_count_tokens_params.MessageCountTokensParams,
    (ANTHROPIC, "beta-whole"): beta_create_params.MessageCreateParamsNonStreaming,
    (ANTHROPIC, "beta-stream"): beta_create_params.MessageCreateParamsStreaming,
    (ANTHROPIC, "beta-count"): beta_count_params.MessageCountTokensParams,
}


def complaints(dialect: str, body: Json, *, count: bool = False) -> list[str]:
    """What the SDK does not accept in a body; nothing where all is well."""
    if dialect == GEMINI:
        return _differences(_as_proto(body), _as_proto(sent_by_genai(body)))
    if dialect == OLLAMA:
        return _differences(body, sent_by_ollama(body))
    kind = "count" if count else "stream" if body.get("stream") else "whole"
    found = _invalid(dialect, kind, body)
    if found and dialect == ANTHROPIC:
        return _invalid(dialect, f"beta-{kind}", body)  # what needs a beta is in the types of the beta API alone
    return found


# ---------------------------------------------------------------------- TypedDicts


def _invalid(dialect: str, kind: str, body: Json) -> list[str]:
    try:
        _validator(dialect, kind).validate_python([body])
    except ValidationError as error:
        # The types are unions within unions: of all the branches that did not fit, those that came farthest say why.
        found = [(each["loc"], each["msg"]) for each in error.errors(include_url=False, include_input=False)]
        deepest = max(len(place) for place, _ in found)
        return sorted({f"{_place(place)}: {why}" for place, why in found if len(place) >= deepest - 1})
    return []


def _place(place: tuple[Any, ...]) -> str:
    return ".".join(str(step) for step in place[1:] if not str(step).startswith(("list[", "union[")))


@cache
def _validator(dialect: str, kind: str) -> SchemaValidator:
    """The type's own schema, but strict: no unknown members, no conversions, and lists read to their end."""
    with warnings.catch_warnings():
        # One type in Anthropic's beta API takes any member, and keeps to it.
        warnings.filterwarnings("ignore", "TypedDict class .* allows extra items")
        adapter = TypeAdapter(list[_TYPES[dialect, kind]], config=ConfigDict(extra="forbid", strict=True))
    return SchemaValidator(_read_to_the_end(adapter.core_schema))


def _read_to_the_end(schema: Any) -> Any:
    """A schema whose iterables are lists, since pydantic reads them lazily, and whose models are no dicts.

    Anthropic's parameters take the models of answers too, and those take any member.
    """
    if isinstance(schema, list):
        return [_read_to_the_end(each) for each in schema]
    if not isinstance(schema, dict):
        return tuple(map(_read_to_the_end, schema)) if isinstance(schema, tuple) else schema
    if schema.get("type") == "model":
        reference = {"ref": schema["ref"]} if "ref" in schema else {}
        return {"type": "is-instance", "cls": schema["cls"], **reference}
    if schema.get("type") == "generator":
        schema = {**schema, "type": "list"}
    return {name: value if name == "cls" else _read_to_the_end(value) for name, value in schema.items()}


# ---------------------------------------------------------------------- SDKs that write the body themselves


def sent_by_genai(body: Json) -> Any:
    """What Google's SDK sends when it is given what is in this body."""
    given = dict(body)
    contents = [genai.types.Content.model_validate(each) for each in given.pop("contents")]
    own_loop = {"automaticFunctionCalling": {"disable": True}}  # of the SDK, for Python functions among the tools
    config = genai.types.GenerateContentConfig.model_validate(
        {**given.pop("generationConfig", {}), **given, **own_loop}
    )
    client, sent = _genai()
    client.models.generate_content(model="m", contents=contents, config=config)
    return sent.pop()


@cache
def _genai() -> tuple[genai.Client, list[Any]]:
    """A client, and what it sends."""
    sent: list[Any] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(200, json={})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return genai.Client(api_key="k", http_options=genai.types.HttpOptions(httpx_client=http)), sent


def _as_proto(value: Any) -> Any:
    """JSON as Google's parser reads it: names in either case, both alphabets of base64, and no empty objects.

    The SDK writes its own types with an underscore inside others; the API takes both.
    """
    if isinstance(value, dict):
        members = {to_camel(name) if "_" in name else name: _as_proto(each) for name, each in value.items()}
        members |= {name: members[name].translate(_URL_SAFE) for name in _BYTES if isinstance(members.get(name), str)}
        return {name: each for name, each in members.items() if each != {} or name not in _EMPTY}
    if isinstance(value, list):
        return [_as_proto(each) for each in value]
    return value


def sent_by_ollama(body: Json) -> Any:
    """What Ollama's SDK sends when it is given what is in this body."""
    client, sent = _ollama()
    _ = list(client.chat(**body))
    return sent.pop()


@cache
def _ollama() -> tuple[ollama.Client, list[Any]]:
    """A client, and what it sends."""
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"message": {"role": "assistant"}})

    client = ollama.Client()
    client._client = httpx.Client(transport=httpx.MockTransport(answer), base_url="https://api.example.com")
    return client, sent


def _differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two bodies differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [*ours, *(name for name in theirs if name not in ours)]
        nothing = "nothing"
        pairs = ((f"{place}.{name}".lstrip("."), ours.get(name, nothing), theirs.get(name, nothing)) for name in names)
        return [found for where, own, other in pairs for found in _differences(own, other, where)]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = ((f"{place}.{index}", own, other) for index, (own, other) in enumerate(zip(ours, theirs, strict=True)))
        return [found for where, own, other in pairs for found in _differences(own, other, where)]
    return [] if ours == theirs else [f"{place}: {ours!r:.60} is sent as {theirs!r:.60}"]
