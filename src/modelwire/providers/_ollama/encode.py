"""`ChatRequest` to a body of Ollama's `/api/chat`: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._body import HANDOVER, assistant_parts, data_json, is_made_up, listed, own_data, parts_of, put
from modelwire.types import (
    AssistantMessage,
    Audio,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    ProviderTool,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelwire.types import AnyTool, ChatRequest, Message, Part, ResponseFormat

    Json = dict[str, Any]

ORIGIN = "ollama"
_WIRE = WIRE["ollama"]
_EFFORTS = {"none": False, "minimal": "low", "xhigh": "max"}
"""What `think` calls the levels that it names otherwise; `False` switches thinking off."""


def encode(request: ChatRequest) -> bytes:
    """The request's body.

    Raises `BadRequestError` for what cannot be said in this format.
    """
    options = request.options or {}
    # Always sent: the server streams by default.
    body: Json = {"model": request.model, "messages": _messages(request.messages), "stream": request.stream}
    for name, value in options.items():
        if name == "reasoning_effort":
            if "think" in options:
                raise BadRequestError("reasoning_effort and think are the same option; give one of them")
            body["think"] = _EFFORTS.get(value, value) if isinstance(value, str) else value
        elif name == "options":
            body["options"] = {**_settings(value), **body.get("options", {})}
        elif name == "stop":
            put(body, _WIRE[name], listed(name, value))
        elif name in _WIRE:
            put(body, _WIRE[name], value)
    # There is no `tool_choice`: a model that gets no tools calls none.
    if request.tools and not (request.tool_choice and getattr(request.tool_choice, "mode", "") == "none"):
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.response_format is not None and request.response_format.type != "text":
        body["format"] = _format(request.response_format)
    body |= options.get("extra_body") or {}
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(
            f"the request cannot be written as JSON: {error}; look at the options and extra_body"
        ) from None


def _settings(given: Any) -> Json:
    """The settings of the server's own client: a mapping, or its `Options`."""
    dump = getattr(given, "model_dump", None)
    settings = dump(exclude_none=True) if dump is not None else given
    if not isinstance(settings, Mapping):
        raise BadRequestError(f"options is a mapping of the model's settings, not {type(given).__name__}")
    return dict(settings)


def _format(wanted: ResponseFormat) -> str | Json:
    """`"json"`, or the schema itself: the server makes a grammar of it, and reads what it can express."""
    return wanted.schema if wanted.type == "json_schema" and wanted.schema is not None else "json"


def _tool(tool: AnyTool) -> Json | msgspec.Raw:
    if isinstance(tool, ProviderTool):
        return tool.data
    if not isinstance(tool, Tool):
        raise BadRequestError(
            f"tool {tool.name}: Ollama has no free-text tools; describe its input as an object schema"
        )
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function, **own_data(tool.provider_data, ORIGIN)}


# ---------------------------------------------------------------------- messages


def _messages(messages: Sequence[Message]) -> list[Json]:
    wire: list[Json] = []
    names: dict[str, str] = {}
    for message in messages:
        match message:
            case UserMessage():
                wire.append(_with_images("user", message.content) | own_data(message.provider_data, ORIGIN))
            case AssistantMessage():
                wire.append(_assistant(message, names))
            case SystemMessage():
                wire.append(
                    {"role": "system", "content": _text(message.content), **own_data(message.provider_data, ORIGIN)}
                )
            case ToolMessage():
                wire += [_tool_result(result, names) for result in message.content]
    return wire


def _text(content: str | Sequence[str | Text]) -> str:
    """Content is always a string here: texts are joined by blank lines."""
    if isinstance(content, str):
        return content
    return "\n\n".join(part if isinstance(part, str) else part.text for part in content)


def _with_images(role: str, content: str | Sequence[Any]) -> Json:
    texts: list[str] = []
    images: list[msgspec.Raw] = []
    for part in parts_of(content):
        match part:
            case Text():
                texts.append(part.text)
            case Document(text=str(said)):
                name = part.title or part.filename
                texts.append(f"{name}\n\n{said}" if name else said)
            case Image():
                images.append(_image(part))
            case _:
                raise BadRequestError(
                    f"Ollama takes text and images, no {part.type}; put its content into words{HANDOVER}"
                )
    wire: Json = {"role": role, "content": "\n\n".join(texts)}
    return wire | {"images": images} if images else wire


def _image(part: Image) -> msgspec.Raw:
    """Bare base64, without `data:`; the server fetches nothing."""
    if part.data is None:
        raise BadRequestError(
            f"Ollama takes images as data, not by reference; fetch it and use Image.from_bytes(){HANDOVER}"
        )
    return data_json(part)


def _assistant(message: AssistantMessage, names: dict[str, str]) -> Json:
    """The message; `names` learns the names of the functions that it calls, by the calls' ids."""
    parts = assistant_parts(message)
    wire: Json = {"role": "assistant", "content": "".join(_spoken(parts))}
    thinking = "".join(part.text for part in parts if isinstance(part, Reasoning) and recognises(part))
    if thinking:
        wire["thinking"] = thinking
    called = [part for part in parts if isinstance(part, FunctionCall)]
    calls = [_call(part) for part in called]
    for call in called:
        names[call.id] = call.name
    calls += [part.data for part in parts if isinstance(part, ProviderPart) and part.provider == ORIGIN]
    if calls:
        wire["tool_calls"] = calls
    return wire | own_data(message.provider_data, ORIGIN)


def recognises(part: Reasoning) -> bool:
    """Whether a model behind this API made it: the server keeps no proof, and the templates decide what they use."""
    return part.provider == ORIGIN


def _spoken(parts: Iterable[Part]) -> Iterable[str]:
    return (
        part.transcript or "" if isinstance(part, Audio) else part.text
        for part in parts
        if isinstance(part, (Text, Refusal, Audio))
    )


def _call(call: FunctionCall) -> Any:
    """A call's arguments are an object here: a string is answered with a 400."""
    arguments = call.arguments.strip() or "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        # Cut or invalid: the model sees what it wrote, as text.
        arguments = msgspec.json.encode({"arguments": call.arguments}).decode()
    own = own_data(call.provider_data, ORIGIN)
    function: Json = {"name": call.name, "arguments": msgspec.Raw(arguments.encode())}
    if "function" in own:
        function |= msgspec.json.decode(own["function"], type=dict[str, msgspec.Raw])
    members = {name: value for name, value in own.items() if name != "function"}
    return ({} if is_made_up(call.id) else {"id": call.id}) | members | {"function": function}


def _tool_result(result: ToolResult, names: dict[str, str]) -> Json:
    """A result, which the server matches with its call by order and name; other providers' results have no name."""
    wire = _with_images("tool", result.content)
    if result.is_error:
        wire["content"] = f"Error: {wire['content']}"
    name = result.name or names.get(result.call_id)
    if name:
        wire["tool_name"] = name
    if not is_made_up(result.call_id):
        wire["tool_call_id"] = result.call_id
    return wire | own_data(result.provider_data, ORIGIN)
