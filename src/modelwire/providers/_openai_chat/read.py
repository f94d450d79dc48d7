"""A Chat Completions body to a `ChatRequest`: what `encode` wrote, or what another client would send.

Messages may also be in modelwire's own JSON form, or mix both: `{"role": ..., "content": ...}` dicts that users pass to
`create` are read here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers import _json
from modelwire.providers._json import NOTHING
from modelwire.providers._openai_chat.decode import reasoning, thoughts
from modelwire.types import (
    AnyTool,
    AssistantMessage,
    Audio,
    ChatRequest,
    CustomTool,
    Document,
    FunctionCall,
    Image,
    InputPart,
    Message,
    Part,
    ProviderPart,
    ProviderTool,
    Reasoning,
    Refusal,
    ResponseFormat,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.providers._openai_chat.quirks import Quirks

    Members = dict[str, msgspec.Raw]

T = TypeVar("T")
Raw = msgspec.Raw
_own_part: msgspec.json.Decoder[Part] = msgspec.json.Decoder(Part)
_own_tool_result = msgspec.json.Decoder(ToolResult)


class _Named(msgspec.Struct):
    name: str


class _NamedTool(msgspec.Struct):
    type: str
    function: _Named | None = None
    custom: _Named | None = None

    @property
    def name(self) -> str | None:
        named = self.custom if self.type == "custom" else self.function if self.type == "function" else None
        return named.name if named is not None else None


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[_NamedTool]


class _Choice(_NamedTool):
    allowed_tools: _Allowed | None = None


class _Grammar(msgspec.Struct):
    definition: str
    syntax: Literal["lark", "regex"]


class _Format(msgspec.Struct):
    grammar: _Grammar | None = None


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: _Format | None = None


class _Schema(msgspec.Struct, forbid_unknown_fields=True):
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


_choice = msgspec.json.Decoder(str | _Choice)
_custom = msgspec.json.Decoder(_Custom)
_response_format = msgspec.json.Decoder(_ResponseFormat)

_HANDLED = {"model", "messages", "tools", "tool_choice", "response_format", "stream", "stream_options"}


def decode_request(body: bytes, quirks: Quirks) -> ChatRequest:
    """A whole body.

    Raises `BadRequestError`, with the place, when it is none.
    """
    try:
        body.decode()  # parts that are kept raw are not looked into
        return _request(_json.members_of(body, "the body"), quirks)
    except _json.UNREADABLE as error:
        raise BadRequestError(f"not a Chat Completions request: {error}") from None


def _request(members: Members, quirks: Quirks) -> ChatRequest:
    options, extra = _options(members, quirks)
    tools = _json.list_of(members.get("tools", NOTHING), "tools")
    choice = members.get("tool_choice", NOTHING)
    wanted = members.get("response_format", NOTHING)
    form = _form(wanted) if _json.given(wanted) else None
    if _json.given(wanted) and form is None:  # a form of the server's own
        extra["response_format"] = msgspec.json.decode(wanted)
    return ChatRequest(
        model=_json.string(members.get("model", NOTHING), "model"),
        messages=read_messages(_json.list_of(members.get("messages", NOTHING), "messages"), quirks),
        tools=[_tool(raw, f"tools[{index}]", quirks) for index, raw in enumerate(tools)] or None,
        tool_choice=_tool_choice(choice) if _json.given(choice) else None,
        response_format=form,
        options=options | ({"extra_body": extra} if extra else {}) or None,
        stream=bytes(members.get("stream", NOTHING)) == b"true",
    )


def _options(members: Members, quirks: Quirks) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options that have a portable name, and other members."""
    names = {wire: name for name, wire in WIRE["openai-chat"].items()} | {"max_tokens": "max_tokens"}
    names |= {wire: name for name, wire in quirks.wire.items()}
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for wire, raw in members.items():
        if wire not in _HANDLED and _json.given(raw):
            (options if wire in names else extra)[names.get(wire, wire)] = msgspec.json.decode(raw)
    stream_options = members.get("stream_options", NOTHING)
    if _json.given(stream_options):
        rest = msgspec.json.decode(stream_options, type=dict[str, Any])
        rest.pop("include_usage", None)
        options |= {"stream_options": rest} if rest else {}
    return options, extra


# ---------------------------------------------------------------------- messages


def read_messages(items: list[Raw], quirks: Quirks) -> list[Message]:
    """Messages in this format, or in modelwire's own, or mixed.

    Raises `BadRequestError`, with the place, for what is neither.
    """
    messages: list[Message] = []
    for index, raw in enumerate(items):
        message = _message(raw, f"messages[{index}]", quirks)
        last = messages[-1] if messages else None
        if isinstance(message, ToolMessage) and isinstance(last, ToolMessage):
            messages[-1] = ToolMessage(content=[*last.content, *message.content], source=last.source)
        else:
            messages.append(message)
    return messages


def _message(raw: Raw, place: str, quirks: Quirks) -> Message:
    members = _json.members_of(raw, place)
    role = _json.string(members.pop("role", NOTHING), f"{place}.role")
    read = _ROLES.get(role)
    if read is None:
        known = ", ".join(sorted(_ROLES))
        raise BadRequestError(f"{place}: role {role!r} is not known; it is one of {known}")
    try:
        return read(members, place, quirks)
    except _json.UNREADABLE as error:
        raise BadRequestError(f"{place}: {error}") from None


def _system(members: Members, place: str, quirks: Quirks) -> SystemMessage:
    developer = members.pop("developer", Raw(b"false"))
    content = _content(members, place, quirks)
    if not isinstance(content, str) and not all(isinstance(part, (str, Text)) for part in content):
        raise BadRequestError(f"{place}.content: a system message holds only text")
    return SystemMessage(
        content=cast("list[str | Text]", content),
        developer=bytes(developer) == b"true",
        source=_source(members),
        provider_data=_own(members, quirks),
    )


def _developer(members: Members, place: str, quirks: Quirks) -> SystemMessage:
    return _system({**members, "developer": Raw(b"true")}, place, quirks)


def _user(members: Members, place: str, quirks: Quirks) -> UserMessage:
    content = cast("list[str | InputPart]", _content(members, place, quirks))
    return UserMessage(content=content, source=_source(members), provider_data=_own(members, quirks))


def _assistant(members: Members, place: str, quirks: Quirks) -> AssistantMessage:
    before: list[Part] = _reasoning(members, quirks)
    content = _content(members, place, quirks, absent="")
    refusal = _json.text(members.pop("refusal", NOTHING))
    audio = members.pop("audio", NOTHING)
    thought = _json.text(members.pop("thought", NOTHING)) or None
    members.pop("annotations", None)  # where an answer's sources were: nothing that a request may say
    after: list[Part] = [Refusal(text=refusal)] if refusal else []
    if _json.given(audio):
        after.append(
            Audio(id=_json.string(_json.members_of(audio, f"{place}.audio").get("id", NOTHING), f"{place}.audio.id"))
        )
    calls = members.pop("tool_calls", NOTHING)
    after += [
        _call(raw, f"{place}.tool_calls[{index}]", quirks)
        for index, raw in enumerate(_json.list_of(calls, f"{place}.tool_calls"))
    ]
    if before or after:
        texts: list[Any] = ([Text(text=content)] if content else []) if isinstance(content, str) else list(content)
        content = [*before, *texts, *after]
    return AssistantMessage(
        content=cast("list[str | Part]", content),
        source=_source(members),
        thought=thought,
        provider_data=_own(members, quirks),
    )


def _reasoning(members: Members, quirks: Quirks) -> list[Part]:
    own: Members = {}
    text = ""
    for field in ("reasoning", "reasoning_content"):
        raw = members.pop(field, NOTHING)
        found = _json.text(raw)
        if found and text:  # some clients send it under both names
            own[field] = raw.copy()
        elif found:
            text = found
            if field != quirks.reasoning_field:
                own["field"] = Raw(msgspec.json.encode(field))
    details = members.pop("reasoning_details", NOTHING)
    if _json.given(details):
        own["reasoning_details"] = details.copy()
    if not text and not own:
        return []
    return [Reasoning(text=text, provider=quirks.provider, provider_data={quirks.provider: own} if own else None)]


def _tool_result(members: Members, place: str, quirks: Quirks) -> ToolMessage:
    content = members.get("content", NOTHING)
    source = _source(members) if "tool_call_id" not in members else None
    if "tool_call_id" not in members and bytes(content)[:1] == b"[":
        items = _json.list_of(content, f"{place}.content")
        return ToolMessage(content=[_own_tool_result.decode(raw) for raw in items], source=source)
    call_id = _json.string(members.pop("tool_call_id", NOTHING), f"{place}.tool_call_id")
    name = _json.text(members.pop("name", NOTHING)) or None
    is_error = bytes(members.pop("is_error", NOTHING)) == b"true"
    read = cast("list[str | InputPart]", _content(members, place, quirks))
    result = ToolResult(
        call_id=call_id, content=read, name=name, is_error=is_error, provider_data=_own(members, quirks)
    )
    return ToolMessage(content=[result])


_ROLES: dict[str, Callable[[Members, str, Quirks], Message]] = {
    "system": _system,
    "developer": _developer,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool_result,
}


def _source(members: Members) -> str | None:
    named = _json.text(members.pop("name", NOTHING))
    return _json.text(members.pop("source", NOTHING)) or named or None


def _own(members: Members, quirks: Quirks) -> dict[str, Members] | None:
    """What is left of a message or part after all that is known was taken from it."""
    kept: dict[str, Members] = {}
    given = members.pop("provider_data", NOTHING)
    if _json.given(given):
        kept = msgspec.json.decode(given, type=dict[str, dict[str, Raw]])
    left = {name: raw.copy() for name, raw in members.items() if bytes(raw) != b"null"}
    return {**kept, quirks.provider: kept.get(quirks.provider, {}) | left} if left else kept or None


# ---------------------------------------------------------------------- parts


def _content(members: Members, place: str, quirks: Quirks, absent: str | None = None) -> str | list[str | Part]:
    raw = members.pop("content", NOTHING)
    if not _json.given(raw):
        if absent is not None:
            return absent
        raise BadRequestError(f"{place}: has no content")
    if bytes(raw)[:1] == b'"':
        return _json.text(raw)
    return [
        _part(item, f"{place}.content[{index}]", quirks)
        for index, item in enumerate(_json.list_of(raw, f"{place}.content"))
    ]


def _part(raw: Raw, place: str, quirks: Quirks) -> str | Part:
    if bytes(raw)[:1] == b'"':
        return _json.text(raw)
    members = _json.members_of(raw, place)
    kind = _json.text(members.pop("type", NOTHING))
    read = _PARTS.get(kind)
    if read is not None:
        return read(members, place, quirks)
    if kind in _OWN_KINDS:
        return _own_part.decode(raw)
    return ProviderPart(provider=quirks.provider, kind=kind or None, data=raw.copy())


_OWN_KINDS = {"image", "audio", "document", "video", "reasoning", "function_call", "tool_result", "provider"}


def _text_part(members: Members, place: str, quirks: Quirks) -> Part:
    if _json.given(members.get("citations", NOTHING)):
        return _own_part.decode(msgspec.json.encode({"type": "text", **members}))
    return Text(text=_json.string(members.pop("text", NOTHING), f"{place}.text"), provider_data=_own(members, quirks))


def _refusal_part(members: Members, place: str, quirks: Quirks) -> Part:
    member = "refusal" if "refusal" in members else "text"
    category = _json.text(members.pop("category", NOTHING)) or None
    return Refusal(
        text=_json.string(members.pop(member, NOTHING), f"{place}.{member}"),
        category=category,
        provider_data=_own(members, quirks),
    )


def _image_part(members: Members, place: str, quirks: Quirks) -> Part:
    raw = members.pop("image_url", NOTHING)
    inner = _json.members_of(raw, f"{place}.image_url") if bytes(raw)[:1] == b"{" else {"url": raw}
    url = _json.string(inner.pop("url", NOTHING), f"{place}.image_url.url")
    detail = _json.text(inner.pop("detail", NOTHING)) or None
    media_type, data = _data_url(url)
    own = _own(members, quirks)
    if data is None:
        return Image(url=url, detail=cast("Any", detail), provider_data=own)
    return Image(data=data, media_type=media_type, detail=cast("Any", detail), provider_data=own)


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and data of a base64 data URL; nothing for any other URL."""
    if not url.startswith("data:"):
        return None, None
    header, _, data = url.partition(";base64,")
    return (header.removeprefix("data:") or None, data) if data else (None, None)


def _audio_part(members: Members, place: str, quirks: Quirks) -> Part:
    inner = _json.members_of(members.pop("input_audio", NOTHING), f"{place}.input_audio")
    form = _json.text(inner.get("format", NOTHING))
    media_type = {"wav": "audio/wav", "mp3": "audio/mpeg"}.get(form, f"audio/{form}" if form else None)
    data = _json.string(inner.get("data", NOTHING), f"{place}.input_audio.data")
    return Audio(data=data, media_type=media_type, provider_data=_own(members, quirks))


def _audio_url_part(members: Members, place: str, quirks: Quirks) -> Part:
    inner = _json.members_of(members.pop("audio_url", NOTHING), f"{place}.audio_url")
    return Audio(
        url=_json.string(inner.pop("url", NOTHING), f"{place}.audio_url.url"), provider_data=_own(members, quirks)
    )


def _file_part(members: Members, place: str, quirks: Quirks) -> Part:
    inner = _json.members_of(members.pop("file", NOTHING), f"{place}.file")
    filename = _json.text(inner.get("filename", NOTHING)) or None
    own = _own(members, quirks)
    if _json.given(inner.get("file_id", NOTHING)):
        return Document(file_id=_json.text(inner["file_id"]), filename=filename, provider_data=own)
    given = _json.string(inner.get("file_data", NOTHING), f"{place}.file.file_data")
    media_type, data = _data_url(given)
    return Document(
        data=data if data is not None else given, media_type=media_type, filename=filename, provider_data=own
    )


def _video_part(members: Members, place: str, quirks: Quirks) -> Part:
    inner = _json.members_of(members.pop("video_url", NOTHING), f"{place}.video_url")
    url = _json.string(inner.pop("url", NOTHING), f"{place}.video_url.url")
    media_type, data = _data_url(url)
    own = _own(members, quirks)
    return (
        Video(url=url, provider_data=own)
        if data is None
        else Video(data=data, media_type=media_type, provider_data=own)
    )


def _thinking_part(members: Members, _: str, quirks: Quirks) -> Part:
    text, pieces = thoughts(members.pop("thinking", NOTHING))
    own = (_own(members, quirks) or {}).get(quirks.provider, {})
    return reasoning(text, "content", own | ({"thinking": pieces.copy()} if pieces else {}), None, quirks)


_PARTS: dict[str, Callable[[Members, str, Quirks], Part]] = {
    "text": _text_part,
    "refusal": _refusal_part,
    "image_url": _image_part,
    "input_audio": _audio_part,
    "audio_url": _audio_url_part,
    "file": _file_part,
    "video_url": _video_part,
    "thinking": _thinking_part,
}


def _call(raw: Raw, place: str, quirks: Quirks) -> Part:
    members = _json.members_of(raw, place)
    custom = _json.text(members.pop("type", NOTHING)) == "custom"
    inner = _json.members_of(
        members.pop("custom" if custom else "function", NOTHING), f"{place}.{'custom' if custom else 'function'}"
    )
    arguments = inner.get("input" if custom else "arguments", NOTHING)
    return FunctionCall(
        id=_json.string(members.pop("id", NOTHING), f"{place}.id"),
        name=_json.string(inner.get("name", NOTHING), f"{place}.function.name"),
        arguments=_json.text(arguments) if bytes(arguments)[:1] in (b'"', b"") else bytes(arguments).decode(),
        custom=custom,
        provider_data=_own(members, quirks),
    )


# ---------------------------------------------------------------------- tools and formats


def _tool(raw: Raw, place: str, quirks: Quirks) -> AnyTool:
    members = _json.members_of(raw, place)
    kind = _json.text(members.pop("type", NOTHING)) or ("function" if "function" in members else "")
    if kind == "function" and _json.given(members.get("function", NOTHING)):
        function = _json.members_of(members.pop("function"), f"{place}.function")
        return Tool(
            name=_json.string(function.get("name", NOTHING), f"{place}.function.name"),
            description=_optional(function, "description", str, place),
            parameters=_optional(function, "parameters", dict[str, Any], place),
            strict=_optional(function, "strict", bool, place),
            provider_data=_own(members, quirks),
        )
    if kind == "custom" and _json.given(members.get("custom", NOTHING)):
        custom = _read(_custom, members.pop("custom"), f"{place}.custom")
        grammar = custom.format.grammar if custom.format is not None else None
        return CustomTool(
            name=custom.name,
            description=custom.description,
            grammar=grammar.definition if grammar is not None else None,
            syntax=grammar.syntax if grammar is not None else None,
            provider_data=_own(members, quirks),
        )
    return ProviderTool(data=raw.copy(), provider=quirks.provider)


def _tool_choice(raw: Raw) -> ToolChoice | ProviderTool:
    try:
        found = _choice.decode(raw)
    except msgspec.ValidationError:
        found = ""
    if isinstance(found, str):
        mode = _MODES.get(found)
        return ToolChoice(mode=mode) if mode is not None else ProviderTool(data=raw.copy())
    if found.name is not None:
        return ToolChoice(mode="required", tools=[found.name])
    allowed = found.allowed_tools if found.type == "allowed_tools" else None
    names = [tool.name for tool in allowed.tools if tool.name is not None] if allowed is not None else []
    if allowed is None or len(names) < len(allowed.tools):
        return ProviderTool(data=raw.copy())
    return ToolChoice(mode=allowed.mode, tools=names)


_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


def _form(raw: Raw) -> ResponseFormat | None:
    """The form of the answer; `None` for one that is not OpenAI's."""
    try:
        found = _response_format.decode(raw)
    except msgspec.ValidationError:
        return None
    described = found.json_schema
    if described is None:
        return ResponseFormat(type=found.type)
    return ResponseFormat(
        type=found.type,
        name=described.name,
        description=described.description,
        schema=described.schema,
        strict=described.strict or False,  # what leaving it out means on the wire
    )


# ---------------------------------------------------------------------- JSON


def _read(decoder: msgspec.json.Decoder[T], raw: Raw, place: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{place}: {error}") from None


def _optional(members: Members, name: str, kind: Any, place: str) -> Any:
    raw = members.get(name, NOTHING)
    return _read(msgspec.json.Decoder(kind), raw, f"{place}.function.{name}") if _json.given(raw) else None
