"""`ChatRequest` to a Messages body: https://platform.claude.com/docs/en/api/messages/create."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._option_table import WIRE
from modelwire._schema_lowering import lowered_json
from modelwire.errors import BadRequestError
from modelwire.providers._anthropic import reasoning
from modelwire.providers._anthropic.lowering import anthropic_subset
from modelwire.providers._anthropic.messages import conversation
from modelwire.providers._anthropic.parts import ORIGIN
from modelwire.providers._body import own_data
from modelwire.types import CustomTool, ProviderTool, Tool, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelwire.options import ModelInfo
    from modelwire.types import AnyTool, ChatRequest, ResponseFormat

    Json = dict[str, Any]

_WIRE = WIRE["anthropic"]
_OWN_WAY = {"max_tokens", "stop", "reasoning_effort", "parallel_tool_calls", "thinking", "output_config", "betas"}
"""Options that are not simply a member of the body."""

_COUNTED = {
    *{"model", "system", "messages", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed"},
    *{"context_management", "mcp_servers", "compaction", "billing_policy"},
}
"""Members that `/v1/messages/count_tokens` takes; the last line's by way of betas."""


def encode(request: ChatRequest, info: ModelInfo) -> bytes:
    """The request's body.

    Raises `BadRequestError` for what cannot be said in the Messages API.
    """
    return _written(_body(request, info))


def encode_count(request: ChatRequest, info: ModelInfo) -> bytes:
    """The body that asks how many tokens the prompt of `request` has.

    Raises `BadRequestError` as `encode` does.
    """
    return _written({name: value for name, value in _body(request, info).items() if name in _COUNTED})


def betas(request: ChatRequest) -> bytes | None:
    """Value of the `anthropic-beta` header; `None` for none.

    Raises `BadRequestError` for a name that is none.
    """
    given = (request.options or {}).get("betas")
    if not given:
        return None
    names = [given] if isinstance(given, str) else list(dict.fromkeys(given))
    value = ",".join(map(str, names))
    if not value.isascii() or not value.isprintable():
        raise BadRequestError(f"betas={given!r}: names of beta features are needed")
    return value.encode()


def _body(request: ChatRequest, info: ModelInfo) -> Json:
    options = request.options or {}
    system, messages = conversation(request, info)
    body: Json = {"model": request.model, "max_tokens": reasoning.max_tokens(options, info)}
    if system:
        body["system"] = system
    body["messages"] = messages
    if request.tools:
        body["tools"] = _tools(request.tools, request.tool_choice)
        choice = _tool_choice(request.tool_choice, options.get("parallel_tool_calls"))
        if choice is not None:  # "cannot be sent without tools"
            body["tool_choice"] = choice
    asked = reasoning.asked(options, info)
    if asked.thinking is not None:
        body["thinking"] = asked.thinking
    config = _output_config(options.get("output_config") or {}, asked.effort, request.response_format)
    if config:
        body["output_config"] = config
    stop = options.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    for name, value in options.items():
        if name in _WIRE and name not in _OWN_WAY:
            body[_WIRE[name]] = value
    if request.stream:
        body["stream"] = True
    return body | (options.get("extra_body") or {})


def _written(body: Json) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(
            f"the request cannot be written as JSON: {error}; look at the options and extra_body"
        ) from None


# ---------------------------------------------------------------------- tools


def _tools(tools: Sequence[AnyTool], choice: ToolChoice | ProviderTool | None) -> list[Json | msgspec.Raw]:
    """The tools. There is no word for "only these": the others are left out."""
    only = choice.tools if isinstance(choice, ToolChoice) and not _forced(choice) else None
    return [_tool(tool) for tool in tools if only is None or (isinstance(tool, Tool) and tool.name in only)]


def _tool(tool: AnyTool) -> Json | msgspec.Raw:
    match tool:
        case Tool():
            return _function(tool)
        case CustomTool():
            raise BadRequestError(
                f"Anthropic has no free-text tools: make {tool.name!r} a function with one parameter of type string"
            )
        case ProviderTool():
            return _provider_tool(tool)


def _provider_tool(tool: ProviderTool) -> msgspec.Raw:
    if tool.provider not in (None, ORIGIN):
        raise BadRequestError(f"a tool of {tool.provider} is among the tools, which Anthropic does not have")
    return tool.data


def _function(tool: Tool) -> Json:
    wire: Json = {"name": tool.name}
    if tool.description is not None:
        wire["description"] = tool.description
    # "input_schema.type must be object"
    schema = {"type": "object", **(tool.parameters if tool.parameters is not None else {"properties": {}})}
    wire["input_schema"] = lowered_schema(schema) if tool.strict else schema
    if tool.strict is not None:
        wire["strict"] = tool.strict
    return wire | own_data(tool.provider_data, ORIGIN)


def _forced(choice: ToolChoice) -> bool:
    """Whether it names the one tool that must be called."""
    return choice.mode == "required" and choice.tools is not None and len(choice.tools) == 1


def _tool_choice(choice: ToolChoice | ProviderTool | None, parallel: bool | None) -> Json | msgspec.Raw | None:
    if isinstance(choice, ProviderTool):
        return _provider_tool(choice)
    if choice is None and parallel is None:
        return None
    mode = choice.mode if choice is not None else "auto"
    wire: Json = {"type": "any" if mode == "required" else mode}
    if choice is not None and choice.tools is not None and _forced(choice):
        wire = {"type": "tool", "name": choice.tools[0]}
    if parallel is not None and mode != "none":
        wire["disable_parallel_tool_use"] = not parallel
    return wire


# ---------------------------------------------------------------------- the answer's form


def _output_config(given: Mapping[str, Any], effort: str | None, wanted: ResponseFormat | None) -> Json:
    config = dict(given)
    if effort is not None:
        if "effort" in config:
            raise BadRequestError("reasoning_effort and output_config.effort are the same option; give one of them")
        config["effort"] = effort
    if wanted is not None and wanted.type == "json_schema":
        if "format" in config:
            raise BadRequestError("response_format and output_config.format are the same option; give one of them")
        config["format"] = {"type": "json_schema", "schema": _described(wanted)}
    return config


def _described(wanted: ResponseFormat) -> msgspec.Raw:
    """The schema. There is no other place for its description."""
    schema = wanted.schema or {"type": "object"}
    if wanted.description is not None and "description" not in schema:
        schema = {**schema, "description": wanted.description}
    return lowered_schema(schema)


def lowered_schema(schema: Json) -> msgspec.Raw:
    """The schema in Anthropic's subset, as JSON; lowered once however often it is sent.

    Raises `BadRequestError`, with the place, for one that cannot be expressed there.
    """
    return lowered_json(anthropic_subset, schema)
