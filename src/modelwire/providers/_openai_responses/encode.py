"""`ChatRequest` to a body of the Responses API.

https://platform.openai.com/docs/api-reference/responses/create. The dict literals below are shaped like that page.
modelwire keeps the conversation itself, so nothing is stored unless `store=True` asks for it, and reasoning comes and
goes encrypted: https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError, UnsupportedOptionError
from modelwire.providers._body import own_data, put
from modelwire.providers._openai_chat import OPENAI
from modelwire.providers._openai_chat.encode import response_format, strict_schema
from modelwire.providers._openai_responses.history import History
from modelwire.types import CustomTool, ProviderTool, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelwire.options import ModelInfo
    from modelwire.types import AnyTool, ChatRequest, ToolChoice

    Json = dict[str, Any]

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
"""Schema of a function without arguments: `parameters` is required."""
_WIRE = WIRE["openai-responses"]
_SEPARATE = ("logprobs", "include", "store", "reasoning", "stream_options")
"""Options that are more than a member of the body."""
_COUNTED = (
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "truncation",
    "previous_response_id",
    "conversation",
    "personality",
)
"""What `POST /responses/input_tokens` takes."""
_UNCOUNTED = {path.partition(".")[0] for path in _WIRE.values()}.difference(_COUNTED)
"""What it does not take, though a call does."""


def encode(request: ChatRequest, info: ModelInfo, origin: str) -> bytes:
    """The request's body.

    Raises `BadRequestError` for what cannot be said in the Responses API.
    """
    return _written(_body(request, info, origin))


def encode_count(request: ChatRequest, info: ModelInfo, origin: str) -> bytes:
    """The body that asks how many tokens the request's prompt has.

    https://platform.openai.com/docs/api-reference/responses/input-tokens. Raises as `encode` does, and for a prompt
    template, whose text the endpoint could not count.
    """
    body = _body(request, info, origin)
    if "prompt" in body:
        raise UnsupportedOptionError("the tokens of a prompt template cannot be counted beforehand", option="prompt")
    extra = ((request.options or {}).get("extra_body") or {}).keys() - _UNCOUNTED
    return _written({name: value for name, value in body.items() if name in _COUNTED or name in extra})


def _written(body: Json) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadRequestError(
            f"the request cannot be written as JSON: {error}; look at the options and extra_body"
        ) from None


def _body(request: ChatRequest, info: ModelInfo, origin: str) -> Json:
    options = request.options or {}
    stored = options.get("store", stored_by_default(options))
    body: Json = {"model": request.model}
    items = History(request.model, info, origin, stored=stored).items(request.messages)
    if items:  # a `prompt` template may be the whole of it
        body["input"] = items
    if request.tools:
        body["tools"] = [_tool(tool, origin) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice, request.tools or (), origin)
    if request.response_format is not None:
        wanted = response_format(request.response_format, OPENAI)
        body["text"] = {"format": {"type": wanted["type"], **wanted.get("json_schema", {})}}
    if options.get("reasoning"):
        body["reasoning"] = dict(options["reasoning"])
    for name, value in options.items():
        if name in _WIRE and name not in _SEPARATE:
            put(body, _WIRE[name], value)
    body["store"] = stored
    include = _include(options, info, stored=stored)
    if include:
        body["include"] = include
    if request.stream:
        body["stream"] = True
        # `include_usage` is a word of Chat Completions: here usage always comes.
        wanted = {
            name: value for name, value in (options.get("stream_options") or {}).items() if name != "include_usage"
        }
        if wanted:
            body["stream_options"] = wanted
    return _with_extra(body, options.get("extra_body") or {})


def stored_by_default(options: Mapping[str, Any]) -> bool:
    """Whether the server keeps the answer when nobody says so: only where it must, to be asked for it later.

    https://platform.openai.com/docs/guides/background: "Background mode requires store=true".
    """
    return bool(options.get("background"))


def _include(options: Mapping[str, Any], info: ModelInfo, *, stored: bool) -> list[str]:
    """What the answer is to carry beyond the usual.

    Encrypted reasoning is asked for wherever nothing is stored, but not of a model that is known not to reason: it
    answers "Encrypted content is not supported with this model".
    """
    include: list[str] = list(options.get("include") or ())
    if not stored and info.get("reasoning") is not False:
        include.append(ENCRYPTED)
    if options.get("logprobs") or options.get("top_logprobs"):
        include.append(LOGPROBS)
    return list(dict.fromkeys(include))


def _with_extra(body: Json, extra: Mapping[str, Any]) -> Json:
    """The body with what users or newer clients put over it; `text` and `reasoning` are joined member by member."""
    for name, value in extra.items():
        known = body.get(name)
        if name in ("text", "reasoning") and isinstance(known, dict) and isinstance(value, dict):
            known |= value
        else:
            body[name] = value
    return body


# ---------------------------------------------------------------------- tools


def _tool(tool: AnyTool, origin: str) -> Json | msgspec.Raw:
    match tool:
        case Tool():
            return _function(tool, origin)
        case CustomTool():
            return _custom(tool, origin)
        case ProviderTool():
            return _own_tool(tool, origin)


def _function(tool: Tool, origin: str) -> Json:
    parameters = NO_PARAMETERS if tool.parameters is None else tool.parameters
    function: Json = {"type": "function", "name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    # Without `strict` the server would try to make the schema strict, and change it where it can.
    function["strict"] = bool(tool.strict)
    function["parameters"] = strict_schema(parameters) if tool.strict else parameters
    return function | own_data(tool.provider_data, origin)


def _custom(tool: CustomTool, origin: str) -> Json:
    custom: Json = {"type": "custom", "name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    if tool.grammar is not None:
        custom["format"] = {"type": "grammar", "syntax": tool.syntax or "lark", "definition": tool.grammar}
    return custom | own_data(tool.provider_data, origin)


def _own_tool(tool: ProviderTool, origin: str) -> msgspec.Raw:
    if tool.provider not in (None, origin):
        raise BadRequestError(
            f"tools: one is a tool of {tool.provider}, not of {origin}; leave it out, or its provider="
        )
    return tool.data


def _tool_choice(choice: ToolChoice | ProviderTool, tools: Sequence[AnyTool], origin: str) -> Any:
    if isinstance(choice, ProviderTool):
        return _own_tool(choice, origin)
    if choice.tools is None:
        return choice.mode
    named = [{"type": kind_of(name, tools), "name": name} for name in choice.tools]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}


def kind_of(name: str, tools: Sequence[AnyTool]) -> str:
    """Type of the tool of this name."""
    return "custom" if any(isinstance(tool, CustomTool) and tool.name == name for tool in tools) else "function"
