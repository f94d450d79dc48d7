"""A body of `generateContent` to a `ChatRequest`: what `encode` wrote, or what another client would send.

Names may be in camelCase or snake_case, and schemas in JSON Schema or in the older OpenAPI subset.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from modelwire._option_table import WIRE
from modelwire.errors import BadRequestError
from modelwire.providers._body import made_up_id
from modelwire.providers._gemini.contents import response_object
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.lowering import json_schema_of_openapi
from modelwire.providers._gemini.members import NOTHING, Raw, camel, items, members, text, value
from modelwire.providers._gemini.parts import media, own, part
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    FunctionCall,
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
    from collections.abc import Generator, Iterable

    from modelwire.providers._gemini.members import Members
    from modelwire.types import AnyTool, Message, Part

_NO_MEMBERS = Raw(b"{}")
_object = msgspec.json.Decoder(dict[str, Any])
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_MODEL = re.compile(r"/(?:models/([^/:]+)|(tunedModels/[^/:]+)):")
_HANDLED = {
    "model",
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "generateContentRequest",
}
_TOP = {path: name for name, path in WIRE["gemini"].items() if "." not in path}
_CONFIG = {
    path.removeprefix("generationConfig."): name
    for name, path in WIRE["gemini"].items()
    if path.startswith("generationConfig.") and path.count(".") == 1
}
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "VALIDATED": "auto",
    "NONE": "none",
    "ANY": "required",
}
_LEVELS = ("minimal", "low", "medium", "high", "xhigh")


def decode_request(body: bytes, url: str) -> ChatRequest:
    """A whole body, or one of `countTokens`; `url` says the model, and whether to stream.

    Raises `BadRequestError`, with the place, when it is none.
    """
    with _at("the body"):
        str(body, "utf-8")  # what is kept raw is not looked into
        found = members(body)
    with _at("generateContentRequest"):
        found |= members(found.get("generateContentRequest", _NO_MEMBERS))
    options, extra = _options(found)
    wanted, extra_config = _config(found, options)
    tools = _tools(found)
    choice, extra_tools, strict = _tool_config(found)
    if strict:
        tools = [msgspec.structs.replace(tool, strict=True) if isinstance(tool, Tool) else tool for tool in tools]
    extra |= {"generationConfig": extra_config} if extra_config else {}
    extra |= {"toolConfig": extra_tools} if extra_tools else {}
    if extra:
        options["extra_body"] = extra
    with _at("contents"):
        contents = items(found.get("contents", NOTHING))
    return ChatRequest(
        model=_model(url, found),
        messages=[*_system(found), *_Reader().messages(contents)],
        tools=tools or None,
        tool_choice=choice,
        response_format=wanted,
        options=options or None,
        stream=urlsplit(url).path.endswith(":streamGenerateContent"),
    )


@contextmanager
def _at(place: str) -> Generator[None]:
    """Raise `BadRequestError`, with the place, for what is not as the format says."""
    try:
        yield
    except _UNREADABLE as error:
        raise BadRequestError(f"{place}: {error}") from None


def _model(url: str, found: Members) -> str:
    in_url = _MODEL.search(url)
    if in_url:
        return unquote(in_url[1] or in_url[2])
    with _at("model"):
        return text(found.get("model", NOTHING)).removeprefix("models/")


# ---------------------------------------------------------------------- options


def _options(found: Members) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options that stand in the body itself, and members that are none."""
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for wire, raw in found.items():
        with _at(wire):
            if wire in _TOP:
                options[_TOP[wire]] = value(raw)
            elif wire not in _HANDLED:
                extra[wire] = value(raw)
    return options, extra


def _config(found: Members, options: dict[str, Any]) -> tuple[ResponseFormat | None, dict[str, Any]]:
    """Put the options of `generationConfig` to `options`; the answer's format, and members that are no options."""
    with _at("generationConfig"):
        given = members(found.get("generationConfig", _NO_MEMBERS))
        config = {name: value(raw) for name, raw in given.items()}
        wanted = _format(config)
    effort = _effort(config.get("thinkingConfig"))
    if effort is not None:
        options["reasoning_effort"] = effort
        del config["thinkingConfig"]
    options |= {_CONFIG[name]: config.pop(name) for name in [*config] if name in _CONFIG}
    return wanted, config


def _effort(config: Any) -> str | None:
    """The effort that `thinkingConfig` is written for; `None` where it says something else."""
    if not isinstance(config, dict):
        return None
    plain = {camel(name): each for name, each in config.items()}
    level = str(plain.pop("thinkingLevel", "")).lower()
    return level if level in _LEVELS and plain == {"includeThoughts": True} else None


def _format(config: dict[str, Any]) -> ResponseFormat | None:
    """Take the answer's format out of `generationConfig`; other media types than JSON stay there."""
    media = config.get("responseMimeType")
    if media == "text/x.enum" and isinstance(config.get("responseSchema"), dict):
        return ResponseFormat(type="json_schema", schema=json_schema_of_openapi(config.pop("responseSchema")))
    if media != "application/json":
        return None
    del config["responseMimeType"]
    if isinstance(config.get("responseJsonSchema"), dict):
        return ResponseFormat(type="json_schema", schema=config.pop("responseJsonSchema"))
    if isinstance(config.get("responseSchema"), dict):
        return ResponseFormat(type="json_schema", schema=json_schema_of_openapi(config.pop("responseSchema")))
    return ResponseFormat(type="json_object")


# ---------------------------------------------------------------------- tools


def _tools(found: Members) -> list[AnyTool]:
    with _at("tools"):
        return [tool for raw in items(found.get("tools", NOTHING)) for tool in _tool(raw)]


def _tool(raw: Raw) -> Iterable[AnyTool]:
    """The functions of an entry, and each of Google's own tools in it as an entry."""
    given = members(raw)
    for declaration in items(given.pop("functionDeclarations", NOTHING)):
        yield _function(declaration)
    for name, each in given.items():
        yield ProviderTool(provider=ORIGIN, data=Raw(msgspec.json.encode({name: each})))


def _function(raw: Raw) -> Tool:
    given = members(raw)
    parameters: dict[str, Any] | None = None
    if "parametersJsonSchema" in given:
        parameters = _object.decode(given.pop("parametersJsonSchema"))
    elif "parameters" in given:
        parameters = json_schema_of_openapi(_object.decode(given.pop("parameters")))
    description = given.pop("description", None)
    return Tool(
        name=text(given.pop("name", NOTHING)),
        description=None if description is None else text(description),
        parameters=parameters,
        provider_data=own(given),
    )


def _tool_config(found: Members) -> tuple[ToolChoice | None, dict[str, Any], bool]:
    """The choice, what else is said about tools, and whether arguments must fit."""
    with _at("toolConfig"):
        config = members(found.get("toolConfig", _NO_MEMBERS))
        calling = members(config.pop("functionCallingConfig", _NO_MEMBERS))
    extra = {name: value(raw) for name, raw in config.items()}
    mode, names = value(calling.get("mode", NOTHING)), value(calling.get("allowedFunctionNames", NOTHING))
    word = mode.upper() if isinstance(mode, str) else ""
    if word not in _MODES or not isinstance(names, (list, type(None))):
        rest = {name: value(raw) for name, raw in calling.items()}
        return None, extra | ({"functionCallingConfig": rest} if rest else {}), False
    rest = {name: value(raw) for name, raw in calling.items() if name not in ("mode", "allowedFunctionNames")}
    extra |= {"functionCallingConfig": rest} if rest else {}
    if word == "VALIDATED" and names is None:
        return None, extra, True
    return ToolChoice(mode=_MODES[word], tools=names), extra, False


# ---------------------------------------------------------------------- messages


def _system(found: Members) -> list[Message]:
    """`systemInstruction`; the role that some clients write there means nothing."""
    if "systemInstruction" not in found:
        return []
    texts: list[str | Text] = []
    with _at("systemInstruction"):
        for raw in items(members(found["systemInstruction"]).get("parts", NOTHING)):
            read = part(raw, None, None, 0)
            if read is not None and not isinstance(read, Text):
                raise BadRequestError(f"systemInstruction.parts: a {read.type} is no text")
            texts.append(read or Text(text=""))
    return [SystemMessage(content=_flat(texts))] if texts else []


def _flat(parts: list[Any]) -> Any:
    """Content as it is written by hand: one plain text is a `str`."""
    if not parts:
        return ""
    first = parts[0]
    return first.text if len(parts) == 1 and first == Text(text=getattr(first, "text", "")) else parts


class _Reader:
    """Reads contents in order: results without an id answer the calls of their function in turn."""

    def __init__(self) -> None:
        self._calls: list[FunctionCall] = []

    def messages(self, contents: list[Raw]) -> list[Message]:
        messages: list[Message] = []
        for index, raw in enumerate(contents):
            with _at(f"contents[{index}]"):
                read = self._messages(raw, index)
            for message in read:
                last = messages[-1] if messages else None
                if isinstance(message, ToolMessage) and isinstance(last, ToolMessage):
                    messages[-1] = ToolMessage(content=[*last.content, *message.content])
                else:
                    messages.append(message)
        return messages

    def _messages(self, raw: Raw, index: int) -> list[Message]:
        given = members(raw)
        role = text(given.pop("role", NOTHING)) or "user"
        parts = items(given.pop("parts", NOTHING))
        seed = f"contents[{index}]"
        if role == "model":
            said = self._parts(parts, seed)
            self._calls += [each for each in said if isinstance(each, FunctionCall)]
            return [AssistantMessage(content=_flat(said), provider_data=own(given))]
        if role not in ("user", "function"):
            raise BadRequestError(f"{seed}: role {role!r} is not known; it is user or model")
        return self._input(parts, given, seed)

    def _parts(self, raws: list[Raw], seed: str) -> list[Part]:
        found: list[Part] = []
        for raw in raws:
            calls = sum(isinstance(each, FunctionCall) for each in found)
            read = part(raw, None, seed, calls)
            found += [read] if read is not None else []
        return found

    def _input(self, raws: list[Raw], given: Members, seed: str) -> list[Message]:
        """A user's content: results, or what the user says, or both."""
        results = [raw for raw in raws if _is_response(raw)]
        others = [raw for raw in raws if not _is_response(raw)]
        read: list[Message] = []
        if results:
            read.append(ToolMessage(content=[self._result(raw, seed, at) for at, raw in enumerate(results)]))
        if others or not results:
            content: Any = _flat(self._parts(others, seed))
            read.append(UserMessage(content=content, provider_data=own(given)))
        return read

    def _result(self, raw: Raw, seed: str, at: int) -> ToolResult:
        outer = members(raw)
        outer.pop("thought", None)
        inner = members(outer.pop("functionResponse"))
        name, call_id = text(inner.pop("name", NOTHING)), text(inner.pop("id", NOTHING))
        response = inner.pop("response", _NO_MEMBERS)
        shown = [_shown(each) for each in items(inner.pop("parts", NOTHING))]
        result = _with_text(response, shown, self._answered(call_id, name) or made_up_id(seed, at, name), name)
        texts = [each.text for each in result.content if isinstance(each, Text)]
        if response_object(result, [result.content] if isinstance(result.content, str) else texts) != value(response):
            inner["response"] = response
        if inner:
            outer["functionResponse"] = Raw(msgspec.json.encode(inner))
        return msgspec.structs.replace(result, provider_data=own(outer))

    def _answered(self, call_id: str, name: str) -> str:
        """Id of the call that a result answers; empty where there is none."""
        found = next((call for call in self._calls if (call.id == call_id if call_id else call.name == name)), None)
        if found is not None:
            self._calls.remove(found)
        return call_id or (found.id if found is not None else "")


def _is_response(raw: Raw) -> bool:
    return "functionResponse" in members(raw)


def _with_text(response: Raw, shown: list[Any], call_id: str, name: str) -> ToolResult:
    """A result with what it says: of a plain `output` or `error` the text, of anything else the JSON."""
    said = value(response)
    is_error = isinstance(said, dict) and "error" in said and "output" not in said
    key = "error" if is_error else "output"
    inner = said[key] if isinstance(said, dict) and [*said] == [key] else said
    words = inner if isinstance(inner, str) else "" if inner == {} else msgspec.json.encode(inner).decode()
    content: Any = words if not shown else [Text(text=words), *shown] if words else shown
    return ToolResult(call_id=call_id, content=content, name=name or None, is_error=is_error)


def _shown(raw: Raw) -> Any:
    """Media inside a result."""
    given = members(raw)
    if "inlineData" in given or "fileData" in given:
        return media(given)
    return ProviderPart(provider=ORIGIN, data=raw.copy())
