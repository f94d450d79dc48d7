"""A Messages body to a `ChatRequest`: what `encode` wrote, or what another client would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from modelwire import models
from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._anthropic import parts, reasoning
from modelwire.providers._anthropic.names import undated
from modelwire.providers._anthropic.parts import (
    NULL,
    ORIGIN,
    Members,
    Raw,
    answer_part,
    members_of,
    own,
    take,
)
from modelwire.providers._anthropic.parts import take_optional as take_opt
from modelwire.providers._json import UNREADABLE
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
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
    from collections.abc import Iterable

    from modelwire.types import AnyTool, InputPart, Message, Part

_NAMES = {wire: name for name, wire in WIRE["anthropic"].items() if "." not in wire and ":" not in wire}
_HANDLED = {
    "model",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "stream",
}


def decode_request(body: bytes) -> ChatRequest:
    """A whole body.

    Raises `BadRequestError` when it is none.
    """
    try:
        str(body, "utf-8")  # what is kept raw is not looked into
        return _request(members_of(body))
    except (*UNREADABLE, ValueError) as error:
        raise BadRequestError(f"not a request of the Messages API: {error}") from None


def _request(members: Members) -> ChatRequest:
    members = {name: raw for name, raw in members.items() if raw != NULL}
    model = take(members, "model")
    messages = [*_system(members.get("system"))]
    for index, raw in enumerate(take(members, "messages", list[Raw])):
        messages += _messages(raw, f"messages[{index}]")
    choice, parallel = _tool_choice(members.get("tool_choice"))
    options = _options(members, model)
    config = dict(options.pop("output_config", {}))
    wanted = config.pop("format", None) or take_opt(members, "output_format", dict[str, Any])
    return ChatRequest(
        model=model,
        messages=messages,
        tools=[_tool(raw) for raw in take_opt(members, "tools", list[Raw]) or ()] or None,
        tool_choice=choice,
        response_format=_response_format(wanted) if wanted else None,
        options={**options, **parallel, **({"output_config": config} if config else {})} or None,
        stream=bool(take_opt(members, "stream", bool)),
    )


def _options(members: Members, model: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for wire, raw in members.items():
        if wire not in _HANDLED:
            (options if wire in _NAMES else extra)[_NAMES.get(wire, wire)] = msgspec.json.decode(raw)
    if extra:
        options["extra_body"] = extra
    return options | _reasoning(members, model, options)


def _reasoning(members: Members, model: str, options: dict[str, Any]) -> dict[str, Any]:
    """`thinking` and `output_config`, with the level of effort in the portable option where one says it all."""
    thinking = take_opt(members, "thinking", Any)
    config = take_opt(members, "output_config", dict[str, Any]) or {}
    said = reasoning.Thinking(thinking, config.get("effort"))
    info = models.lookup(ORIGIN, undated(model))
    level = reasoning.to_effort(said, info, reasoning.max_tokens(options, info)) if said != (None, None) else None
    found: dict[str, Any] = {}
    if level is not None:
        config.pop("effort", None)
        found["reasoning_effort"] = level
    elif thinking is not None:
        found["thinking"] = thinking
    return {**found, "output_config": config} if config else found


# ---------------------------------------------------------------------- messages


def _system(raw: Raw | None) -> Iterable[Message]:
    if raw is None:
        return
    content = _content(raw)
    yield SystemMessage(content=content if isinstance(content, str) else _texts(content))


def _content(raw: Raw) -> str | list[Raw]:
    return msgspec.json.decode(raw, type=str | list[Raw])


def _texts(blocks: list[Raw]) -> list[str | Text]:
    found = [_text(members_of(block)) for block in blocks]
    return [part for part in found if part is not None]


def _text(members: Members) -> Text | None:
    if take(members, "type") != "text":
        raise msgspec.ValidationError("a system prompt holds only text")
    return parts.text(members)


def _messages(raw: Raw, place: str) -> list[Message]:
    try:
        members = members_of(raw)
        role, content = take(members, "role"), _content(take(members, "content", Raw))
        match role:
            case "user":
                return list(_user(content))
            case "assistant":
                return [_assistant(content)]
            case "system":
                return [_mid_system(content)]
            case _:
                raise BadRequestError(f"{place}: role {role!r} is not known; it is one of assistant, system, user")
    except UNREADABLE as error:
        raise BadRequestError(f"{place}: {error}") from None


def _user(content: str | list[Raw]) -> Iterable[Message]:
    """What a user says; results of tools are a message of their own."""
    if isinstance(content, str):
        yield UserMessage(content=content)
        return
    results: list[ToolResult] = []
    shown: list[str | InputPart] = []
    for raw in content:
        members = members_of(raw)
        if members.get("type") == Raw(b'"tool_result"'):
            results.append(_tool_result(members))
        else:
            shown += _input(raw)
    if results:
        yield ToolMessage(content=results)
    if shown or not results:
        yield UserMessage(content=shown)


def _assistant(content: str | list[Raw]) -> AssistantMessage:
    if isinstance(content, str):
        return AssistantMessage(content=content)
    found: list[str | Part] = [part for raw in content if (part := answer_part(raw, None)) is not None]
    return AssistantMessage(content=found)


def _mid_system(content: str | list[Raw]) -> SystemMessage:
    """System text amid the conversation. Blocks beyond text (`tool_addition`) are kept whole beside an empty text."""
    if isinstance(content, str):
        return SystemMessage(content=content)
    try:
        return SystemMessage(content=_texts(content))
    except msgspec.ValidationError:
        return SystemMessage(content="", provider_data={ORIGIN: {"content": Raw(msgspec.json.encode(content))}})


# ---------------------------------------------------------------------- parts


def _input(raw: Raw) -> list[InputPart]:
    members = members_of(raw)
    kind = take(members, "type")
    if kind == "text":
        text = parts.text(members)
        return [text] if text is not None else []
    part = _image(members) if kind == "image" else _document(members) if kind == "document" else None
    return [part if part is not None else ProviderPart(provider=ORIGIN, kind=kind, data=raw.copy())]


def _source(members: Members) -> dict[str, str] | None:
    """Where the content is; `None` for what modelwire does not model, such as a list of blocks."""
    source = msgspec.json.decode(members.get("source", b"{}"))
    plain = isinstance(source, dict) and all(isinstance(value, str) for value in source.values())
    return source if plain and source.keys() == _SOURCES.get(source.get("type", "")) else None


_SOURCES = {
    "base64": {"type", "media_type", "data"},
    "text": {"type", "media_type", "data"},
    "url": {"type", "url"},
    "file": {"type", "file_id"},
}


def _image(members: Members) -> Image | None:
    source = _source(members)
    if source is None or source["type"] == "text":
        return None
    del members["source"]
    return Image(**_media(source), provider_data=own(members))


def _document(members: Members) -> Document | None:
    source = _source(members)
    if source is None:
        return None
    del members["source"]
    title = take_opt(members, "title")
    if source["type"] == "text":
        return Document(text=source["data"], title=title, provider_data=own(members))
    return Document(**_media(source), title=title, provider_data=own(members))


def _media(source: dict[str, str]) -> dict[str, Any]:
    """A source as the fields of a part, which have the same names."""
    return {name: value for name, value in source.items() if name != "type"}


def _tool_result(members: Members) -> ToolResult:
    del members["type"]
    content = _content(members.pop("content", Raw(b'""')))
    shown: list[str | InputPart] = []
    for raw in content if not isinstance(content, str) else ():
        shown += _input(raw)
    return ToolResult(
        call_id=take(members, "tool_use_id"),
        content=content if isinstance(content, str) else shown,
        is_error=bool(take_opt(members, "is_error", bool)),
        provider_data=own(members),
    )


# ---------------------------------------------------------------------- tools and formats


def _tool(raw: Raw) -> AnyTool:
    members = members_of(raw)
    kind = take_opt(members, "type")
    if kind not in (None, "custom") or bytes(members.get("input_schema", b""))[:1] != b"{":
        return ProviderTool(data=raw.copy(), provider=ORIGIN)
    if kind is not None:
        members["type"] = Raw(b'"custom"')
    return Tool(
        name=take(members, "name"),
        description=take_opt(members, "description"),
        parameters=take(members, "input_schema", dict[str, Any]),
        strict=take_opt(members, "strict", bool),
        provider_data=own(members),
    )


def _tool_choice(raw: Raw | None) -> tuple[ToolChoice | ProviderTool | None, dict[str, bool]]:
    """The choice, and the option for parallel calls that stands inside it."""
    if raw is None:
        return None, {}
    members = members_of(raw)
    kind = take(members, "type")
    disabled = take_opt(members, "disable_parallel_tool_use", bool)
    parallel = {} if disabled is None else {"parallel_tool_calls": not disabled}
    if kind == "tool":
        return ToolChoice(mode="required", tools=[take(members, "name")]), parallel
    mode = {"auto": "auto", "any": "required", "none": "none"}.get(kind)
    if mode is None:
        return ProviderTool(data=raw.copy(), provider=ORIGIN), {}
    return ToolChoice(mode=cast("Any", mode)), parallel


def _response_format(wanted: Any) -> ResponseFormat:
    schema = wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None
    if not isinstance(schema, dict):
        raise BadRequestError("output_config.format: {'type': 'json_schema', 'schema': {...}} is needed")
    return ResponseFormat(type="json_schema", schema=schema)
