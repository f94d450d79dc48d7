"""A body of Ollama's `/api/chat` to a `ChatRequest`: what `encode` wrote, or what another client would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._json import UNREADABLE
from modelwire.providers._ollama.decode import function_call
from modelwire.providers._ollama.encode import ORIGIN
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    FunctionCall,
    Image,
    ProviderTool,
    Reasoning,
    ResponseFormat,
    SystemMessage,
    Text,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
)

if TYPE_CHECKING:
    from modelwire.types import AnyTool, InputPart, Message, Part

Raw = msgspec.Raw
Members = dict[str, Raw]
_OPTIONS = {wire.removeprefix("options."): name for name, wire in WIRE["ollama"].items() if wire.startswith("options.")}
_TOP = {wire: name for name, wire in WIRE["ollama"].items() if "." not in wire and name != "reasoning_effort"}
_HANDLED = {"model", "messages", "stream", "tools", "format", "options"}


class _Message(msgspec.Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Raw] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool = True
    tools: list[Raw] | None = None
    format: Any = None
    options: dict[str, Any] | None = None


def decode_request(body: bytes) -> ChatRequest:
    """A whole body.

    Raises `BadRequestError`, with the place, when it is none.
    """
    try:
        str(body, "utf-8")  # what is kept raw is not looked into
        return _request(msgspec.json.decode(body, type=_Body), msgspec.json.decode(body, type=dict[str, Any]))
    except UNREADABLE as error:
        raise BadRequestError(f"not a body of /api/chat: {error}") from None


def _request(read: _Body, members: dict[str, Any]) -> ChatRequest:
    options = _options(read.options or {}, {name: value for name, value in members.items() if name not in _HANDLED})
    return ChatRequest(
        model=read.model,
        messages=_Reader().messages(read.messages),
        tools=[_tool(raw) for raw in read.tools or ()] or None,
        response_format=_format(read.format),
        options=options or None,
        stream=read.stream,
    )


def _options(inner: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    options = {_OPTIONS[name]: value for name, value in inner.items() if name in _OPTIONS}
    unknown = {name: value for name, value in inner.items() if name not in _OPTIONS}
    options |= {_TOP[name]: value for name, value in rest.items() if name in _TOP and value is not None}
    extra = {name: value for name, value in rest.items() if name not in _TOP}
    if unknown:  # extra_body goes over the whole member, so the known ones stand in it too
        extra["options"] = inner
    return options | ({"extra_body": extra} if extra else {})


def _format(value: Any) -> ResponseFormat | None:
    if isinstance(value, dict):
        return ResponseFormat(type="json_schema", schema=value)
    return ResponseFormat(type="json_object") if value == "json" else None


def _tool(raw: Raw) -> AnyTool:
    value = msgspec.json.decode(raw)
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return ProviderTool(data=raw.copy(), provider=ORIGIN)
    return Tool(name=function["name"], description=function.get("description"), parameters=function.get("parameters"))


class _Reader:
    """Reads messages in order: results have no ids on this wire, so they answer the calls before them in turn."""

    def __init__(self) -> None:
        self._calls: list[FunctionCall] = []

    def messages(self, given: list[_Message]) -> list[Message]:
        messages: list[Message] = []
        for index, message in enumerate(given):
            read = self._message(message, index)
            last = messages[-1] if messages else None
            if isinstance(read, ToolMessage) and isinstance(last, ToolMessage):
                messages[-1] = ToolMessage(content=[*last.content, *read.content])
            else:
                messages.append(read)
        return messages

    def _message(self, message: _Message, index: int) -> Message:
        content = message.content or ""
        match message.role:
            case "system":
                return SystemMessage(content=content)
            case "user":
                return UserMessage(content=_with_images(content, message.images))
            case "assistant":
                return AssistantMessage(content=self._said(message, index))
            case "tool":
                call_id, name = self._answered(message, index)
                shown = _with_images(content, message.images)
                return ToolMessage(content=[ToolResult(call_id=call_id, content=shown, name=name)])
            case role:
                raise BadRequestError(
                    f"messages[{index}]: role {role!r} is not known; it is system, user, assistant or tool"
                )

    def _said(self, message: _Message, index: int) -> str | list[str | Part]:
        calls = [function_call(raw, place, f"messages[{index}]") for place, raw in enumerate(message.tool_calls or ())]
        self._calls = [*self._calls, *calls]
        if not calls and not message.thinking:
            return message.content or ""
        parts: list[str | Part] = []
        if message.thinking:
            parts.append(Reasoning(text=message.thinking, provider=ORIGIN))
        if message.content:
            parts.append(Text(text=message.content))
        return [*parts, *calls]

    def _answered(self, message: _Message, index: int) -> tuple[str, str | None]:
        """Id and name of the call that a result answers: the first that waits, of this id or name where one is given."""
        given, name = message.tool_call_id, message.tool_name
        waiting = (call for call in self._calls if (call.id == given if given else name in (None, call.name)))
        found = next(waiting, None)
        if found is None:
            if given:
                return given, name
            raise BadRequestError(f"messages[{index}]: a tool result without a call before it")
        self._calls.remove(found)
        return found.id, name or found.name


def _with_images(content: str, images: list[str] | None) -> str | list[str | InputPart]:
    if not images:
        return content
    parts: list[str | InputPart] = [content] if content else []
    return [*parts, *(Image(data=image) for image in images)]
