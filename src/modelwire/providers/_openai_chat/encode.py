"""`ChatRequest` to a Chat Completions body.

https://platform.openai.com/docs/api-reference/chat/create. The dict literals below are shaped like that page.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire import _media
from modelwire._option_table import WIRE
from modelwire._schema_lowering import lowered_json, openai_strict
from modelwire.errors import BadRequestError
from modelwire.providers._body import HANDOVER, data_json, own_data
from modelwire.providers._openai_chat.inline import joined
from modelwire.providers._openai_chat.wire import PlainCall, PlainFunction, PlainMessage, PlainResult
from modelwire.types import (
    AssistantMessage,
    Audio,
    CustomTool,
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
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.types import AnyTool, ChatRequest, InputPart, Part, ResponseFormat

    Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_WIRE = WIRE["openai-chat"]
AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def encode(request: ChatRequest, quirks: Quirks) -> bytes:
    """The request's body.

    Raises `BadRequestError` for what cannot be said in Chat Completions.
    """
    options = request.options or {}
    body: Json = {"model": request.model, "messages": _messages(request, quirks), **quirks.body}
    if request.tools:
        tools, choice = request.tools, request.tool_choice
        if isinstance(choice, ToolChoice) and choice.tools is not None and not quirks.named_tools:
            tools = [tool for tool in tools if isinstance(tool, ProviderTool) or tool.name in choice.tools]
            choice = ToolChoice(mode=choice.mode)
        body["tools"] = [_tool(tool, quirks) for tool in tools]
        if choice is not None:
            body["tool_choice"] = _tool_choice(choice, tools, quirks)
    if request.response_format is not None:
        body["response_format"] = response_format(request.response_format, quirks)
    for name, value in options.items():
        wire = quirks.wire.get(name) or _WIRE.get(name)
        if wire is not None:
            body[wire] = value
    if not request.tools:
        # As `tool_choice`, "only allowed when 'tools' are specified".
        body.pop("parallel_tool_calls", None)
    extra = options.get("extra_body") or {}
    if request.stream:
        body["stream"] = True
        # Azure: "not accepted with data-sources requests".
        if quirks.stream_usage and "data_sources" not in extra:
            body["stream_options"] = {"include_usage": True, **(options.get("stream_options") or {})}
    else:
        body.pop("stream_options", None)  # refused where nothing is streamed
    body |= extra
    try:
        return _encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(
            f"the request cannot be written as JSON: {error}; look at the options and extra_body"
        ) from None


# ---------------------------------------------------------------------- messages


def _messages(request: ChatRequest, quirks: Quirks) -> list[Any]:
    wire: list[Any] = []
    shown: list[Json | msgspec.Raw] = []
    for message in request.messages:
        # By type: `isinstance` takes 0.2 µs for a struct that is something else, and a history is long.
        if type(message) is ToolMessage:
            for result in message.content:
                wire.append(_tool_result(result, shown, quirks))  # noqa: PERF401  # nearly always one
            continue
        if shown:
            wire.append(_shown(shown))
            shown = []
        role = _ROLES.get(type(message))
        if role and type(message.content) is str and not message.source and not message.provider_data:  # pyright: ignore[reportAttributeAccessIssue]  # no tool message
            wire.append(PlainMessage(role, message.content))
            continue
        if type(message) is AssistantMessage:
            said = _assistant(message, quirks, request.model)
        elif type(message) is UserMessage:
            said = _user(message, quirks)
        else:
            said = _system(message, quirks)  # type: ignore[arg-type]  # what is left
        if said is None:
            continue
        if message.source and quirks.message_names:
            # "a-z, A-Z, 0-9, underscores and dashes, with a maximum length of 64"
            said["name"] = _NAME.sub("_", message.source)[:64]
        if message.provider_data:  # type: ignore[union-attr]  # of what is no tool's
            said |= own_data(message.provider_data, quirks.provider)  # type: ignore[union-attr]
        wire.append(said)
    return [*wire, _shown(shown)] if shown else wire


_ROLES: dict[type, str] = {UserMessage: "user", AssistantMessage: "assistant"}


def _system(message: SystemMessage, quirks: Quirks) -> Json:
    role = "developer" if message.developer and quirks.developer_role else "system"
    return {"role": role, "content": _texts(message.content, quirks)}


def _texts(content: str | Sequence[str | Text], quirks: Quirks) -> str | list[Json]:
    """Content that may only be text: as it was given, or joined where the server takes no lists."""
    if isinstance(content, str):
        return content
    parts = [Text(text=part) if isinstance(part, str) else part for part in content]
    if quirks.text_lists or any(own_data(part.provider_data, quirks.provider) for part in parts):
        return [_text(part, quirks) for part in parts]
    return "\n\n".join(part.text for part in parts)


def _text(part: Text, quirks: Quirks) -> Json:
    return {"type": "text", "text": part.text, **own_data(part.provider_data, quirks.provider)}


def _user(message: UserMessage, quirks: Quirks) -> Json:
    given = message.content
    if isinstance(given, str):
        return {"role": "user", "content": given}
    texts = [part for part in given if isinstance(part, (str, Text))]
    content = _texts(texts, quirks) if len(texts) == len(given) else [_input(part, quirks) for part in given]
    return {"role": "user", "content": content}


def _input(part: str | InputPart, quirks: Quirks) -> Json | msgspec.Raw:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Text():
            return _text(part, quirks)
        case Image():
            return _image(part) | own_data(part.provider_data, quirks.provider)
        case Audio():
            return _audio(part, quirks) | own_data(part.provider_data, quirks.provider)
        case Document():
            return _document(part, quirks) | own_data(part.provider_data, quirks.provider)
        case Video():
            return _video(part, quirks) | own_data(part.provider_data, quirks.provider)
        case ProviderPart():
            return _provider_part(part, quirks)


def _provider_part(part: ProviderPart, quirks: Quirks) -> msgspec.Raw:
    if part.provider != quirks.provider:
        raise BadRequestError(
            f"a message holds a {part.kind or 'part'} of {part.provider}, which {quirks.provider} does not understand; "
            f"leave it out or put its content into words{HANDOVER}"
        )
    return part.data


def _image(part: Image) -> Json:
    if part.file_id is not None:
        raise BadRequestError(
            "Chat Completions takes images as a URL or data, not by file_id; use the Responses API or from_file()"
            f"{HANDOVER}"
        )
    url: Json = {"url": part.url or data_url(part, "image/png")}
    if part.detail:
        url["detail"] = part.detail
    return {"type": "image_url", "image_url": url}


def data_url(part: Image | Document | Video, default: str) -> msgspec.Raw:
    """A base64 data URL as JSON."""
    kind = part.media_type or _media.sniff_base64(part.data or "") or default
    prefix = f"data:{kind};base64,"
    url = data_json(part, prefix)
    # Longer where something had to be escaped or is not ASCII, which base64 never is. (Looking for that in Python, by
    # `isprintable` or an expression, takes ten times as long: 2 ms a megabyte.)
    if len(url) != len(prefix) + len(part.data or "") + 2 or not _MEDIA_TYPE.fullmatch(kind):
        raise BadRequestError(
            f"the data of a {kind} part is not base64; make it with from_bytes(), from_file() or from_base64()"
        )
    return url


_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;[\w.+=-]+)*")


def _audio(part: Audio, quirks: Quirks) -> Json:
    if part.url is not None and quirks.audio_urls:
        return {"type": "audio_url", "audio_url": {"url": part.url}}
    media_type = part.media_type or (_media.sniff_base64(part.data) if part.data else None)
    form = AUDIO_FORMATS.get(media_type or "")
    if part.data is None or form is None:
        raise BadRequestError(
            f"Chat Completions takes audio as wav or mp3 data, not as {media_type or 'a reference'}{HANDOVER}"
        )
    return {"type": "input_audio", "input_audio": {"data": data_json(part), "format": form}}


def _document(part: Document, quirks: Quirks) -> Json:
    if part.text is not None:
        return {
            "type": "text",
            "text": f"{part.title or part.filename}\n\n{part.text}" if part.title or part.filename else part.text,
        }
    if not quirks.documents:
        raise BadRequestError(
            f"{quirks.provider} takes no documents in Chat Completions; send its text instead{HANDOVER}"
        )
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id}}
    if part.data is None:
        raise BadRequestError(
            f"Chat Completions takes documents as data or file_id, not as a URL; fetch it and use from_bytes(){HANDOVER}"
        )
    file: Json = {
        "filename": part.filename or "document.pdf",
        "file_data": data_url(part, "application/pdf"),
    }
    return {"type": "file", "file": file}


def _video(part: Video, quirks: Quirks) -> Json:
    if not quirks.video or part.file_id is not None:
        raise BadRequestError(
            f"{quirks.provider} takes no video in Chat Completions; send frames as images instead{HANDOVER}"
        )
    return {
        "type": "video_url",
        "video_url": {"url": part.url or data_url(part, "video/mp4")},
    }


def _assistant(message: AssistantMessage, quirks: Quirks, model: str) -> Json | None:
    """The message; none where all that it holds is for another provider alone: some servers refuse an empty one."""
    if isinstance(message.content, str):
        return {"role": "assistant", "content": message.content}
    calls: list[Json | PlainCall] = []
    for part in message.content:
        if type(part) is not FunctionCall:
            break
        calls.append(_call(part, quirks))
    else:  # what agents' histories consist of
        if calls and not quirks.reasoning_filler:
            return {"role": "assistant", "tool_calls": calls}
    assistant = _Assistant(message, quirks, model)
    return None if message.content and assistant.silent else assistant.wire()


def recognises(part: Reasoning, quirks: Quirks, model: str) -> bool:
    """Whether this reasoning came from the server, and goes back to this model of it."""
    own = part.provider == quirks.provider and bool(quirks.reasoning_field or part.provider_data)
    return own and not _is_of_another_vendor(part, model)


class _Assistant:
    """One assistant message in parts on its way to the wire."""

    __slots__ = (
        "_audio",
        "_calls",
        "_chunks",
        "_inline",
        "_model",
        "_opaque",
        "_quirks",
        "_reasoning",
        "_refusal",
        "_texts",
    )

    def __init__(self, message: AssistantMessage, quirks: Quirks, model: str) -> None:
        self._quirks = quirks
        self._model = model
        self._texts: list[Text] = []
        self._chunks: list[Json | msgspec.Raw] = []
        self._inline = ""
        self._opaque = False
        self._reasoning: Json = {}
        self._refusal: list[str] = []
        self._calls: list[Json | PlainCall] = []
        self._audio: str | None = None
        for part in message.content:
            self._add(Text(text=part) if isinstance(part, str) else part)
        if self._inline:
            self._say(Text(text=""))

    def _add(self, part: Part) -> None:
        quirks = self._quirks
        match part:
            case Text():
                self._say(part)
            case FunctionCall():
                self._calls.append(_call(part, quirks))
            case Reasoning():
                if recognises(part, quirks, self._model):
                    self._think(part)
            case Refusal():
                if quirks.refusals:
                    self._refusal.append(part.text)
                else:
                    self._say(Text(text=part.text))
            case Audio():
                if part.transcript and not quirks.spoken_answers:
                    self._say(Text(text=part.transcript))
                else:
                    self._audio = part.id
            case ProviderPart():
                if part.provider == quirks.provider:
                    self._opaque = True
                    self._chunks.append(part.data)
            case Image() | Document() | Video() | ToolResult():
                # What the model drew or ran elsewhere has no place in an assistant message of this API.
                pass

    def _say(self, text: Text) -> None:
        if not text.text and text.provider_data and not own_data(text.provider_data, self._quirks.provider):
            return  # the bearer of another provider's signature
        if self._inline:
            text = msgspec.structs.replace(text, text=self._inline + text.text)
            self._inline = ""
        self._texts.append(text)
        self._chunks.append(_text(text, self._quirks))

    def _think(self, part: Reasoning) -> None:
        """Reasoning goes back to where it was: a member, or a chunk of the content, as Mistral has it.

        https://docs.mistral.ai/capabilities/reasoning
        """
        own = dict(own_data(part.provider_data, self._quirks.provider))
        field = msgspec.json.decode(own.pop("field")) if "field" in own else self._quirks.reasoning_field
        if field == "content":
            self._opaque = True
            self._chunks.append({"type": "thinking", "thinking": [{"type": "text", "text": part.text}], **own})
            return
        if field == "think":
            self._inline += joined(part.text)
            return
        members = self._reasoning
        if part.text and field:
            members[field] = members.get(field, "") + part.text
        for name, value in own.items():
            members[name] = _joined_lists(members[name], value) if name in members else value

    @property
    def silent(self) -> bool:
        """Whether nothing is left to say."""
        return not (self._chunks or self._calls or self._refusal or self._audio or self._reasoning)

    def wire(self) -> Json:
        """The whole message."""
        wire: Json = {"role": "assistant"}
        content = self._content()
        if content is not None:
            wire["content"] = content
        if self._refusal:
            wire["refusal"] = "".join(self._refusal)
        if self._audio:
            wire["audio"] = {"id": self._audio}
        wire |= self._reasoning
        if self._calls:
            wire["tool_calls"] = self._calls
            if not self._reasoning and self._quirks.reasoning_filler:
                wire[self._quirks.reasoning_field] = self._quirks.reasoning_filler
        return wire

    def _content(self) -> str | list[Any] | None:
        if self._opaque:
            return self._chunks
        if not self._texts:
            return None if self._calls or self._refusal or self._audio else ""
        if len(self._texts) > 1 and self._quirks.text_lists:
            return [_text(part, self._quirks) for part in self._texts]
        return "".join(part.text for part in self._texts)


def _is_of_another_vendor(part: Reasoning, model: str) -> bool:
    """Whether reasoning has opaque data by a model of another vendor than this one's, as a router names both.

    Signatures and encrypted reasoning hold for the models of one vendor; text may go to any model of the server.
    Closer than that names do not tell: `anthropic/claude-sonnet-4.6` answers as `anthropic/claude-4.6-sonnet-20260217`.
    """
    if part.provider_data is None or part.model is None:
        return False
    if not own_data(part.provider_data, part.provider or "").keys() - {"field"}:
        return False
    made_by, slash, _ = part.model.partition("/")
    asked, also, _ = model.partition("/")
    return bool(slash and also) and made_by != asked


def _joined_lists(first: Any, second: Any) -> Any:
    """One list of two, as JSON; the second where they are no lists."""
    left, right = bytes(first).strip(), bytes(second).strip()
    if left[:1] != b"[" or right[:1] != b"[" or b"[]" in (left, right):
        return second
    return msgspec.Raw(left[:-1] + b"," + right[1:])


def _call(call: FunctionCall, quirks: Quirks) -> Json | PlainCall:
    if call.custom:
        wire = _custom_call(call, quirks)
    else:
        # What a model means by an empty string; servers that parse the history refuse that.
        function = PlainFunction(call.name, call.arguments or "{}")
        if not call.provider_data:
            return PlainCall(call_id(call.id, quirks), "function", function)
        wire = {"id": call_id(call.id, quirks), "type": "function", "function": function}
    return wire | own_data(call.provider_data, quirks.provider) if call.provider_data else wire


def _custom_call(call: FunctionCall, quirks: Quirks) -> Json:
    given = call_id(call.id, quirks)
    if quirks.custom_tools:
        return {"id": given, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    arguments = msgspec.json.encode({"input": call.arguments}).decode()
    return {"id": given, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def call_id(given: str, quirks: Quirks) -> str:
    """The id as the server takes it; the same for a call and its result."""
    if quirks.short_call_ids:
        return given if re.fullmatch(r"[a-zA-Z0-9]{9}", given) else _digest(given)[:9]
    longest = quirks.longest_call_id
    return given if longest is None or len(given) <= longest else f"call_{_digest(given)[:24]}"


def _digest(given: str) -> str:
    return hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()


def _tool_result(result: ToolResult, shown: list[Json | msgspec.Raw], quirks: Quirks) -> Json | PlainResult:
    """A `tool` message, which holds only text; what only a user may show is put into `shown`."""
    given = result.content
    content = given if isinstance(given, str) else _tool_texts(given, shown, quirks)
    if result.is_error:
        content = f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error:"}, *content]
    plain = PlainResult("tool", call_id(result.call_id, quirks), content)
    if not result.provider_data:
        return plain
    return msgspec.structs.asdict(plain) | own_data(result.provider_data, quirks.provider)


def _tool_texts(parts: Sequence[str | InputPart], shown: list[Json | msgspec.Raw], quirks: Quirks) -> str | list[Json]:
    texts = [part for part in parts if isinstance(part, (str, Text))]
    shown += [_input(part, quirks) for part in parts if not isinstance(part, (str, Text))]
    if not texts and parts:
        texts.append("The result follows after those of all tools.")
    return _texts(texts, quirks) or ""


def _shown(parts: list[Json | msgspec.Raw]) -> Json:
    """The message for what tools showed: behind the last of their results, since nothing may stand between those."""
    note: Json = {"type": "text", "text": "What the tools showed:"}
    return {"role": "user", "content": [note, *parts]}


# ---------------------------------------------------------------------- tools and formats


def _tool(tool: AnyTool, quirks: Quirks) -> Json | msgspec.Raw:
    match tool:
        case Tool():
            return _function(tool, quirks)
        case CustomTool():
            return _custom(tool, quirks)
        case ProviderTool():
            return _provider_tool(tool, quirks)


def _provider_tool(tool: ProviderTool, quirks: Quirks) -> msgspec.Raw:
    if tool.provider not in (None, quirks.provider):
        raise BadRequestError(f"a tool of {tool.provider} is none that {quirks.provider} understands; leave it out")
    return tool.data


def _function(tool: Tool, quirks: Quirks) -> Json:
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None or quirks.parameters_required:
        function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    if tool.strict is not None and quirks.strict_tools:
        function["strict"] = tool.strict
        if tool.strict and tool.parameters is not None:
            function["parameters"] = strict_schema(tool.parameters)
    wire: Json = {"type": "function", "function": function}
    return wire | own_data(tool.provider_data, quirks.provider) if tool.provider_data else wire


def _custom(tool: CustomTool, quirks: Quirks) -> Json:
    custom: Json = {"name": tool.name}
    if tool.description is not None:
        custom["description"] = tool.description
    if tool.grammar is not None:
        custom["format"] = {"type": "grammar", "grammar": {"syntax": tool.syntax or "lark", "definition": tool.grammar}}
    return {"type": "custom", "custom": custom, **own_data(tool.provider_data, quirks.provider)}


def _tool_choice(choice: ToolChoice | ProviderTool, tools: Sequence[AnyTool], quirks: Quirks) -> Any:
    if isinstance(choice, ProviderTool):
        return _provider_tool(choice, quirks)
    word = quirks.required_word if choice.mode == "required" else choice.mode
    if choice.tools is None or choice.mode == "none":
        return word
    customs = {tool.name for tool in tools if isinstance(tool, CustomTool)}
    named = [
        {"type": kind, kind: {"name": name}}
        for name in choice.tools
        for kind in ["custom" if name in customs else "function"]
    ]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def response_format(wanted: ResponseFormat, quirks: Quirks) -> Json:
    """The `response_format` member.

    Raises `BadRequestError` for a schema that strict mode was asked for and cannot express.
    """
    if wanted.type != "json_schema" or wanted.schema is None:
        return {"type": wanted.type}
    if not quirks.json_schema:
        return {"type": "json_object"}
    strict = wanted.strict
    schema: Json | msgspec.Raw = wanted.schema
    if strict is None:
        lowered = fitting_schema(wanted.schema)
        strict, schema = lowered is not None, lowered or wanted.schema
    elif strict:
        schema = strict_schema(wanted.schema)
    described: Json = {"name": wanted.name or "answer", "schema": schema, "strict": strict}
    if wanted.description is not None:
        described["description"] = wanted.description
    return {"type": "json_schema", "json_schema": described}


def strict_schema(schema: Json) -> msgspec.Raw:
    """The schema in OpenAI's strict subset, as JSON; lowered once however often it is sent.

    Raises `BadRequestError`, with the place, for one that cannot be expressed there.
    """
    return lowered_json(openai_strict, schema)


def fitting_schema(schema: Json) -> msgspec.Raw | None:
    """The same, or `None` for a schema that cannot be expressed there."""
    try:
        return strict_schema(schema)
    except BadRequestError:
        return None
