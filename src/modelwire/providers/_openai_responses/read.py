"""A body of the Responses API to a `ChatRequest`: what `encode` wrote, or what another client would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._json import (
    NOTHING,
    UNREADABLE,
    Members,
    Raw,
    given,
    is_object,
    kept,
    list_of,
    members_of,
    string,
    text,
)
from modelwire.providers._openai_responses.encode import (
    ENCRYPTED,
    LOGPROBS,
    NO_PARAMETERS,
    kind_of,
    stored_by_default,
)
from modelwire.providers._openai_responses.items import ItemReader
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    CustomTool,
    Document,
    Image,
    ProviderPart,
    ProviderTool,
    ResponseFormat,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelwire.types import AnyTool, InputPart, Message, Part

_HANDLED = {"model", "input", "tools", "tool_choice", "text", "reasoning", "include", "store", "stream"}
_OPTIONS = {wire: name for name, wire in WIRE["openai-responses"].items() if "." not in wire and name != "logprobs"}


def decode_request(body: bytes, origin: str) -> ChatRequest:
    """A whole body.

    Raises `BadRequestError`, with the place, when it is none.
    """
    try:
        str(body, "utf-8")  # what is kept raw is not looked into
        return _request(members_of(body, "the body"), origin)
    except UNREADABLE as error:
        raise BadRequestError(f"not a body of the Responses API: {error}") from None


def _request(members: Members, origin: str) -> ChatRequest:
    tools = [
        _tool(raw, f"tools[{index}]", origin)
        for index, raw in enumerate(list_of(members.get("tools", NOTHING), "tools"))
    ]
    choice = members.get("tool_choice", NOTHING)
    described = members_of(members["text"], "text") if given(members.get("text", NOTHING)) else {}
    wanted = _response_format(described)
    return ChatRequest(
        model=string(members.get("model", NOTHING), "model"),
        messages=_Conversation(origin).messages(members.get("input", NOTHING)),
        tools=tools or None,
        tool_choice=_tool_choice(choice, tools, origin) if given(choice) else None,
        response_format=wanted,
        options=_options(members, described) or None,
        stream=bytes(members.get("stream", NOTHING)) == b"true",
    )


# ---------------------------------------------------------------------- options


def _options(members: Members, described: Members) -> dict[str, Any]:
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for wire, raw in members.items():
        if wire not in _HANDLED and given(raw):
            (options if wire in _OPTIONS else extra)[_OPTIONS.get(wire, wire)] = msgspec.json.decode(raw)
    _reasoning(members.get("reasoning", NOTHING), options)
    _text(described, options, extra)
    stored = bytes(members.get("store", NOTHING)) != b"false"  # "defaults to true"
    if stored != stored_by_default(options):
        options["store"] = stored
    _include(members.get("include", NOTHING), options, stored=stored)
    return options | ({"extra_body": extra} if extra else {})


def _reasoning(raw: Raw, options: dict[str, Any]) -> None:
    rest: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any]) if given(raw) else {}
    rest = {name: value for name, value in rest.items() if value is not None}
    effort = rest.pop("effort", None)
    if effort is not None:
        options["reasoning_effort"] = effort
    if rest:
        options["reasoning"] = rest


def _text(described: Members, options: dict[str, Any], extra: dict[str, Any]) -> None:
    """What stands beside `format`."""
    rest = {name: msgspec.json.decode(raw) for name, raw in described.items() if given(raw)}
    if "verbosity" in rest:
        options["verbosity"] = rest.pop("verbosity")
    if rest:
        extra["text"] = rest


def _include(raw: Raw, options: dict[str, Any], *, stored: bool) -> None:
    include: list[str] = msgspec.json.decode(raw, type=list[str]) if given(raw) else []
    if LOGPROBS in include:
        options["logprobs"] = True
    rest = [name for name in include if name != LOGPROBS and (stored or name != ENCRYPTED)]
    if rest:
        options["include"] = rest


# ---------------------------------------------------------------------- messages


class _Conversation:
    """The items of one request as messages: what one side says without a break is one message."""

    __slots__ = ("_messages", "_origin", "_reader")

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._reader = ItemReader(origin)
        self._messages: list[Message] = []

    def messages(self, raw: Raw) -> list[Message]:
        """All messages of `input`: a text, or a list of items."""
        if bytes(raw)[:1] == b'"':
            return [UserMessage(content=text(raw))]
        for index, item in enumerate(list_of(raw, "input")):
            self._item(item, index, f"input[{index}]")
        return self._messages

    def _item(self, raw: Raw, index: int, place: str) -> None:
        members = members_of(raw, place)
        role = text(members.get("role", NOTHING))
        kind = text(members.get("type", NOTHING)) or ("message" if role else "item_reference")
        if kind == "message" and role != "assistant":
            self._messages.append(self._said(members, role, place))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._result(members, kind, place)
        elif _is_of_client(kind, members):
            self._by_client(ProviderPart(provider=self._origin, kind=kind, data=raw.copy()))
        else:
            typed = raw if "type" in members else Raw(msgspec.json.encode({"type": kind, **members}))
            self._by_model(self._reader.parts(typed, index))

    def _by_model(self, parts: list[Part]) -> None:
        last = self._messages[-1] if self._messages else None
        if not isinstance(last, AssistantMessage):
            plain = len(parts) == 1 and parts[0] == Text(text=getattr(parts[0], "text", ""))
            self._messages.append(AssistantMessage(content=cast("Text", parts[0]).text if plain else parts))
            return
        before: Sequence[str | Part] = [Text(text=last.content)] if isinstance(last.content, str) else last.content
        self._messages[-1] = AssistantMessage(content=[*before, *parts])

    def _by_client(self, part: ProviderPart) -> None:
        """What the application did for a built-in tool, or told the server: something else than a message."""
        last = self._messages[-1] if self._messages else None
        if isinstance(last, UserMessage) and all(_is_item(known) for known in last.content):
            self._messages[-1] = UserMessage(content=[*last.content, part])
        else:
            self._messages.append(UserMessage(content=[part]))

    def _said(self, members: Members, role: str, place: str) -> Message:
        content = self._content(members.get("content", NOTHING), f"{place}.content")
        rest = {name: raw for name, raw in members.items() if name not in ("type", "role", "content")}
        own = self._own(rest)
        if role == "user":
            return UserMessage(content=content, provider_data=own)
        if role not in ("system", "developer"):
            raise BadRequestError(
                f"{place}: role {role!r} is not known; it is one of assistant, developer, system, user"
            )
        if not isinstance(content, str) and not all(isinstance(part, Text) for part in content):
            raise BadRequestError(f"{place}.content: a system message holds only text")
        return SystemMessage(
            content=cast("list[str | Text]", content), developer=role == "developer", provider_data=own
        )

    def _result(self, members: Members, kind: str, place: str) -> None:
        call_id = string(members.pop("call_id", NOTHING), f"{place}.call_id")
        content = self._content(members.pop("output", NOTHING), f"{place}.output")
        members.pop("type")
        result = ToolResult(
            call_id=call_id,
            content=content,
            name=text(members.get("name", NOTHING)) or None,
            custom=kind == "custom_tool_call_output",
            provider_data=self._own(members),
        )
        last = self._messages[-1] if self._messages else None
        if isinstance(last, ToolMessage):
            self._messages[-1] = ToolMessage(content=[*last.content, result])
        else:
            self._messages.append(ToolMessage(content=[result]))

    def _own(self, members: Members) -> dict[str, Members] | None:
        own = kept(members)
        return {self._origin: own} if own else None

    # ------------------------------------------------------------------ content of messages and results

    def _content(self, raw: Raw, place: str) -> str | list[str | InputPart]:
        if bytes(raw)[:1] == b'"':
            return string(raw, place)
        if not given(raw):
            raise BadRequestError(f"{place}: missing")
        return [self._part(part, f"{place}[{index}]") for index, part in enumerate(list_of(raw, place))]

    def _part(self, raw: Raw, place: str) -> InputPart:
        if not is_object(raw):
            return Text(text=string(raw, place))
        members = members_of(raw, place)
        kind = text(members.pop("type", NOTHING))
        read = _PARTS.get(kind)
        part = read(members, self._own) if read else None
        return part or ProviderPart(provider=self._origin, kind=kind or None, data=raw.copy())


def _is_of_client(kind: str, members: Members) -> bool:
    """Whether the application sends such an item, not the model.

    Results of built-in tools can be of both; what the provider made has an id.
    """
    return kind in _OF_CLIENT or (kind.endswith("_output") and not given(members.get("id", NOTHING)))


_OF_CLIENT = {"mcp_approval_response", "additional_tools", "compaction_trigger", "configuration_update"}


def _is_item(part: object) -> bool:
    return isinstance(part, ProviderPart) and not (part.kind or "").startswith("input_")


_Own = Any  # what keeps the members that are left over


def _input_text(members: Members, own: _Own) -> Text:
    return Text(text=string(members.pop("text", NOTHING), "text"), provider_data=own(members))


def _input_image(members: Members, own: _Own) -> Image | None:
    detail = cast("Any", text(members.pop("detail", NOTHING)) or None)
    file_id = text(members.pop("file_id", NOTHING))
    url = text(members.pop("image_url", NOTHING))
    if bool(file_id) == bool(url):
        return None
    if file_id:
        return Image(file_id=file_id, detail=detail, provider_data=own(members))
    media_type, data = _data_url(url)
    if data is None:
        return Image(url=url, detail=detail, provider_data=own(members))
    return Image(data=data, media_type=media_type, detail=detail, provider_data=own(members))


def _input_audio(members: Members, own: _Own) -> Audio | None:
    raw = members.pop("input_audio", NOTHING)
    inner = members_of(raw, "input_audio") if is_object(raw) else {}
    media_type = {"wav": "audio/wav", "mp3": "audio/mpeg"}.get(text(inner.get("format", NOTHING)))
    data = text(inner.get("data", NOTHING))
    if media_type is None or not data:
        return None
    return Audio(data=data, media_type=media_type, provider_data=own(members))


def _input_file(members: Members, own: _Own) -> Document | None:
    file_id, url, file_data = (text(members.pop(name, NOTHING)) for name in ("file_id", "file_url", "file_data"))
    if bool(file_id) + bool(url) + bool(file_data) != 1:
        return None
    if file_id:
        return Document(file_id=file_id, provider_data=own(members))
    if url:
        return Document(url=url, provider_data=own(members))
    media_type, data = _data_url(file_data)
    if data is None:
        return None
    filename = text(members.pop("filename", NOTHING)) or None
    return Document(data=data, media_type=media_type, filename=filename, provider_data=own(members))


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and data of a base64 data URL; nothing for any other URL."""
    if not url.startswith("data:"):
        return None, None
    header, _, data = url.partition(";base64,")
    return (header.removeprefix("data:") or None, data) if data else (None, None)


_PARTS: dict[str, Callable[[Members, _Own], InputPart | None]] = {
    "input_text": _input_text,
    "input_image": _input_image,
    "input_audio": _input_audio,
    "input_file": _input_file,
}
"""Readers of the parts that users and tools send; what they cannot tell is kept raw."""


# ---------------------------------------------------------------------- tools and formats


def _tool(raw: Raw, place: str, origin: str) -> AnyTool:
    members = members_of(raw, place)
    kind = text(members.pop("type", NOTHING))
    if kind not in ("function", "custom"):
        return ProviderTool(data=raw.copy(), provider=origin)
    name = string(members.pop("name", NOTHING), f"{place}.name")
    described = members.pop("description", NOTHING)
    description = string(described, f"{place}.description") if given(described) else None
    if kind == "function":
        return _function(name, description, members, origin)
    form = members.pop("format", NOTHING)
    grammar = members_of(form, f"{place}.format") if is_object(form) else {}
    if text(grammar.get("type", NOTHING)) != "grammar" and given(form):
        members["format"] = form
    rest = kept(members)
    return CustomTool(
        name=name,
        description=description,
        grammar=text(grammar.get("definition", NOTHING)) or None,
        syntax=cast("Any", text(grammar.get("syntax", NOTHING)) or None),
        provider_data={origin: rest} if rest else None,
    )


def _function(name: str, description: str | None, members: Members, origin: str) -> Tool:
    schema = members.pop("parameters", NOTHING)
    parameters = msgspec.json.decode(schema, type=dict[str, Any]) if given(schema) else None
    # False is what is written for a tool that says nothing of it.
    strict = True if bytes(members.pop("strict", NOTHING)) == b"true" else None
    rest = kept(members)
    return Tool(
        name=name,
        description=description,
        parameters=None if parameters == NO_PARAMETERS else parameters,
        strict=strict,
        provider_data={origin: rest} if rest else None,
    )


class _Named(msgspec.Struct):
    type: str
    name: str


class _Allowed(msgspec.Struct):
    mode: str
    tools: list[_Named]


def _tool_choice(raw: Raw, tools: Sequence[AnyTool], origin: str) -> ToolChoice | ProviderTool:
    """A choice among functions and free-text tools; any other is the provider's own."""
    mode = text(raw)
    if mode in ("auto", "none", "required"):
        return ToolChoice(mode=cast("Any", mode))
    own = ProviderTool(data=raw.copy(), provider=origin)
    kind = text(members_of(raw, "tool_choice").get("type", NOTHING)) if is_object(raw) else ""
    try:
        if kind in ("function", "custom"):
            named = msgspec.json.decode(raw, type=_Named)
            return ToolChoice(mode="required", tools=[named.name]) if kind_of(named.name, tools) == kind else own
        if kind == "allowed_tools":
            allowed = msgspec.json.decode(raw, type=_Allowed)
            plain = all(kind_of(tool.name, tools) == tool.type for tool in allowed.tools)
            forced = allowed.mode == "required" and len(allowed.tools) == 1  # written as a choice of that tool
            if plain and not forced and allowed.mode in ("auto", "required"):
                return ToolChoice(mode=cast("Any", allowed.mode), tools=[tool.name for tool in allowed.tools])
    except msgspec.ValidationError:
        return own
    return own


class _Format(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


_format = msgspec.json.Decoder(_Format)


def _response_format(described: Members) -> ResponseFormat | None:
    """Takes `format` out of `text`; leaves there what is not one of the documented formats."""
    raw = described.get("format", NOTHING)
    if not given(raw):
        return None
    try:
        found = _format.decode(raw)
    except msgspec.ValidationError:
        return None
    del described["format"]
    strict = (found.strict or False) if found.type == "json_schema" else None  # what leaving it out means
    return ResponseFormat(
        type=found.type, name=found.name, description=found.description, schema=found.schema, strict=strict
    )
