"""`ChatRequest` to a body of `generateContent`: https://ai.google.dev/api/generate-content#request-body."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._body import listed, own_data, put
from modelwire.providers._gemini import facts
from modelwire.providers._gemini.contents import Contents, split_system
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.lowering import gemini_json_schema, gemini_openapi_schema
from modelwire.types import CustomTool, ProviderTool, Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.options import ModelInfo
    from modelwire.types import AnyTool, ChatRequest, ResponseFormat, ToolChoice

    Json = dict[str, Any]

_WIRE = WIRE["gemini"]
_COUNTED_BY_VERTEX = ("contents", "systemInstruction", "tools", "generationConfig")
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def resource(model: str) -> str:
    """The model's name in URLs; a tuned model is named with its collection."""
    return model if "/" in model else f"models/{model}"


def encode(request: ChatRequest, info: ModelInfo) -> bytes:
    """The request's body.

    Raises `BadRequestError` for what cannot be said in this format.
    """
    return _json(_body(request, info))


def encode_count(request: ChatRequest, info: ModelInfo, *, whole: bool = True) -> bytes:
    """The body for `countTokens`, which wants the `whole` request to count its instructions and tools too.

    Vertex AI has no member for that, and takes what it counts as it is:
    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/projects.locations.publishers.models/countTokens
    """
    body = _body(request, info)
    if whole:
        return _json({"generateContentRequest": {"model": resource(request.model), **body}})
    return _json({name: value for name, value in body.items() if name in _COUNTED_BY_VERTEX})


def _json(body: Json) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(
            f"the request cannot be written as JSON: {error}; look at the options and extra_body"
        ) from None


def _body(request: ChatRequest, info: ModelInfo) -> Json:
    options = request.options or {}
    system, messages = split_system(request.messages)
    from_3 = facts.is_from_3(request.model, info)
    contents = Contents(from_3=from_3, continued="cached_content" in options).written(messages)
    body: Json = {"contents": contents}
    if system is not None:
        body["systemInstruction"] = system
    if request.tools:
        body["tools"] = _tools(request.tools, json_schema=facts.takes_json_schema(request.model, info))
    _put_tool_config(body, request)
    _put_options(body, request.model, options, info)
    if request.response_format is not None and request.response_format.type != "text":
        _put_format(body, request.response_format, json_schema=facts.takes_json_schema(request.model, info))
    return _merged(body, options.get("extra_body") or {})


def _merged(body: Json, extra: Json) -> Json:
    """A body with more members: nearly all stand inside others here, so that objects are merged, not replaced."""
    merged = dict(body)
    for name, value in extra.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


# ---------------------------------------------------------------------- options


def _put_options(body: Json, model: str, options: Json, info: ModelInfo) -> None:
    for name, value in options.items():
        if name == "reasoning_effort":
            _put_thinking(body, facts.thinking(model, info, value), options.get("thinking_config") or {})
        elif name == "stop":
            put(body, _WIRE[name], listed(name, value))
        elif name == "safety_settings":
            body[_WIRE[name]] = _safety_settings(value)
        elif name == "media_resolution":
            put(body, _WIRE[name], _prefixed("MEDIA_RESOLUTION_", value))
        elif name in _WIRE and not (name == "thinking_config" and "reasoning_effort" in options):
            put(body, _WIRE[name], value)


def _put_thinking(body: Json, asked: Json, given: Json) -> None:
    """`thinkingConfig` from both options; what `thinking_config` says counts."""
    if given.keys() & {"thinkingLevel", "thinkingBudget", "thinking_level", "thinking_budget"}:
        raise BadRequestError("reasoning_effort and thinking_config both say how much to think; give one of them")
    if "include_thoughts" in given:
        asked.pop("includeThoughts", None)
    if asked or given:
        put(body, _WIRE["thinking_config"], asked | given)


def _safety_settings(settings: Any) -> Any:
    """Records as they are, or made from a mapping of category to threshold: `{"HARASSMENT": "BLOCK_NONE"}`."""
    if not isinstance(settings, dict):
        return settings
    return [
        {"category": _prefixed("HARM_CATEGORY_", category), "threshold": threshold}
        for category, threshold in settings.items()
    ]


def _prefixed(prefix: str, word: Any) -> Any:
    """A word of an enum, which may be written without what all of its words begin with."""
    if not isinstance(word, str) or word.startswith(prefix):
        return word
    return prefix + word.upper()


# ---------------------------------------------------------------------- tools


def _tools(tools: Sequence[AnyTool], *, json_schema: bool) -> list[Any]:
    """All functions in one entry, in the place of the first; tools of Google's own as they are."""
    wire: list[Any] = []
    declarations: list[Json] = []
    for tool in tools:
        match tool:
            case Tool():
                if not declarations:
                    wire.append({"functionDeclarations": declarations})
                declarations.append(_declaration(tool, json_schema=json_schema))
            case ProviderTool():
                if tool.provider not in (None, ORIGIN):
                    raise BadRequestError(f"a tool of {tool.provider} does not work with Gemini; leave it out")
                wire.append(tool.data)
            case CustomTool():
                raise BadRequestError(
                    f"{tool.name}: Gemini has no tools with free text; make it a function with one string parameter"
                )
    return wire


def _declaration(tool: Tool, *, json_schema: bool) -> Json:
    wire: Json = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    if tool.parameters is not None and json_schema:
        wire["parametersJsonSchema"] = tool.parameters
    elif tool.parameters is not None:
        wire["parameters"] = _lowered(msgspec.json.encode(tool.parameters), json_schema=False)
    return wire | own_data(tool.provider_data, ORIGIN)


def _put_tool_config(body: Json, request: ChatRequest) -> None:
    """`toolConfig`: https://ai.google.dev/api/caching#FunctionCallingConfig."""
    choice = request.tool_choice
    if isinstance(choice, ProviderTool):
        body["toolConfig"] = choice.data
        return
    strict = any(isinstance(tool, Tool) and tool.strict for tool in request.tools or ())
    config = _calling(choice, strict=strict)
    if config and request.tools:
        body["toolConfig"] = {"functionCallingConfig": config}


def _calling(choice: ToolChoice | None, *, strict: bool) -> Json:
    """`VALIDATED` is `AUTO` with arguments that must fit, and the only one of both that can leave functions out."""
    if choice is None:
        return {"mode": "VALIDATED"} if strict else {}
    mode = _MODES[choice.mode]
    if choice.mode == "auto" and (strict or choice.tools is not None):
        mode = "VALIDATED"
    return {"mode": mode} if choice.tools is None else {"mode": mode, "allowedFunctionNames": choice.tools}


# ---------------------------------------------------------------------- structured output


def _put_format(body: Json, wanted: ResponseFormat, *, json_schema: bool) -> None:
    """The form of the answer: https://ai.google.dev/gemini-api/docs/structured-output."""
    config = body.setdefault("generationConfig", {})
    if config.setdefault("responseMimeType", "application/json") == "text/x.enum":
        config["responseSchema"] = _lowered(msgspec.json.encode(_bare(wanted.schema or {})), json_schema=False)
    elif wanted.type == "json_schema" and wanted.schema is not None:
        name = "responseJsonSchema" if json_schema else "responseSchema"
        config[name] = _lowered(msgspec.json.encode(wanted.schema), json_schema=json_schema)


def _bare(schema: Json) -> Json:
    """The schema of a value that was put into an object, since most providers answer with objects alone."""
    properties = schema.get("properties", {})
    if schema.get("type") != "object" or properties.keys() != {"value"}:
        return schema
    return {**properties["value"], **({"$defs": schema["$defs"]} if "$defs" in schema else {})}


def _lowered(schema: bytes, *, json_schema: bool) -> msgspec.Raw:
    """The schema in the subset that Gemini reads, as JSON; lowered once however often it is sent.

    Raises `BadRequestError`, with the place, for one that cannot be expressed there.
    """
    lowered = _remembered(schema, json_schema)
    if isinstance(lowered, BadRequestError):
        raise BadRequestError(lowered.message)
    return lowered


@lru_cache(maxsize=256)
def _remembered(schema: bytes, json_schema: bool) -> msgspec.Raw | BadRequestError:
    lower = gemini_json_schema if json_schema else gemini_openapi_schema
    try:
        return msgspec.Raw(msgspec.json.encode(lower(msgspec.json.decode(schema)).schema))
    except BadRequestError as error:
        return error
