"""A conversation as the Messages API wants it: https://platform.claude.com/docs/en/api/messages/create, "messages".

System text stands outside the messages, neighbours of one role are one message, results of tools come first in the
message after the calls, no text is empty, and the last message is the user's unless the model takes a prefill.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from modelwire import _media
from modelwire.errors import BadRequestError
from modelwire.providers._anthropic.names import is_another
from modelwire.providers._anthropic.parts import ORIGIN, as_input
from modelwire.providers._anthropic.reasoning import facts
from modelwire.providers._body import HANDOVER, assistant_parts, data_json, own_data
from modelwire.types import (
    AssistantMessage,
    Audio,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.options import ModelInfo
    from modelwire.types import ChatRequest, Citation, InputPart, Message

    Json = dict[str, Any]
    Block = Json | msgspec.Raw
    Content = str | list[Block]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")


def conversation(request: ChatRequest, info: ModelInfo) -> tuple[Content, list[Json]]:
    """`system` and `messages` of the body.

    Raises `BadRequestError` for parts that this API does not have, and where there is nothing to answer.
    """
    messages = request.messages
    first = next((at for at, message in enumerate(messages) if not isinstance(message, SystemMessage)), len(messages))
    leading = cast("list[SystemMessage]", messages[:first])
    turns = _Turns()
    for message in messages[first:]:
        turns.add(*_turn(message, request.model))
    turns.demote_system(everywhere=not facts(info).get("mid_conversation_system"))
    if not turns.wire:
        raise BadRequestError("there is nothing to answer: the messages hold only system text, or no text at all")
    turns.results_first()
    _check_end(turns.wire[-1], request.model, prefill=facts(info).get("prefill", True))
    return _system(leading), turns.wire


class _Turns:
    """Messages on the wire, neighbours of one role merged."""

    __slots__ = ("wire",)

    def __init__(self) -> None:
        self.wire: list[Json] = []

    def add(self, role: str, content: Content) -> None:
        if not content:
            return
        last = self.wire[-1] if self.wire else None
        if last is not None and last["role"] == role:
            last["content"] = _blocks(last["content"])
            last["content"] += _blocks(content)
        else:
            self.wire.append({"role": role, "content": content})

    def demote_system(self, *, everywhere: bool) -> None:
        """Turn system text amid the conversation into user text where it may not stand as it is.

        It "must directly follow a user turn", or one that ends in a server tool, and be last or followed by an
        assistant's.
        """
        if all(turn["role"] != "system" for turn in self.wire):
            return  # as nearly always
        wire, self.wire = self.wire, []
        for index, turn in enumerate(wire):
            role = turn["role"]
            if role == "system":
                before = wire[index - 1] if index else None
                after = wire[index + 1]["role"] if index + 1 < len(wire) else "assistant"
                follows = before is not None and (before["role"] == "user" or _ends_in_server_tool(before))
                role = "system" if follows and after == "assistant" and not everywhere else "user"
            self.add(role, turn["content"])

    def results_first(self) -> None:
        """Put results before anything else: "tool_result blocks must come first in the content array"."""
        for turn in self.wire:
            content = turn["content"]
            if turn["role"] == "user" and not isinstance(content, str):
                results = [block for block in content if _is_result(block)]
                if results and results != content[: len(results)]:
                    turn["content"] = [*results, *(block for block in content if not _is_result(block))]


def _is_result(block: Block) -> bool:
    return isinstance(block, dict) and block["type"] == "tool_result"


def _ends_in_server_tool(turn: Json) -> bool:
    return turn["role"] == "assistant" and isinstance(turn["content"][-1], msgspec.Raw)


def _blocks(content: Content) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_end(last: Json, model: str, *, prefill: bool) -> None:
    """A final assistant message is the beginning of the answer.

    It "cannot end with trailing whitespace", and newer models take none, unless it is an answer that paused among
    steps of the provider's own tools.
    """
    if last["role"] != "assistant":
        return
    content = last["content"]
    paused = not isinstance(content, str) and any(isinstance(block, msgspec.Raw) for block in content)
    if not prefill and not paused:
        raise BadRequestError(
            f"{model} does not go on with an assistant's message (prefill): the last message must be a user's or a tool's; "
            "to get data in a certain form, use response_format"
        )
    if isinstance(content, str):
        last["content"] = content.rstrip()
    elif isinstance(content[-1], dict) and content[-1]["type"] == "text":
        content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}


# ---------------------------------------------------------------------- messages


def _turn(message: Message, model: str) -> tuple[str, Content]:
    match message:
        case UserMessage():
            return "user", _marked(_user(message), message)
        case AssistantMessage():
            return "assistant", _marked(_assistant(message, model), message)
        case ToolMessage():
            return "user", [_tool_result(result) for result in message.content]
        case SystemMessage():
            return "system", _system([message])


def _marked(content: Content, message: UserMessage | AssistantMessage | SystemMessage) -> Content:
    """Content with the `cache_control` that stands on a whole message, which only blocks have here."""
    own = own_data(message.provider_data, ORIGIN)
    if not own or not content:
        return content
    unknown = own.keys() - {"cache_control"}
    if unknown:
        raise BadRequestError(f"Anthropic's messages have no {', '.join(sorted(unknown))}; put it on a part")
    *others, last = _blocks(content)
    if not isinstance(last, dict):
        raise BadRequestError("cache_control on a message marks its last part, and that one is opaque: mark another")
    return [*others, {**last, **own}]


def _system(messages: Sequence[SystemMessage]) -> Content:
    """The text of system messages: as it was given where it is one text, else as blocks."""
    if len(messages) == 1 and isinstance(messages[0].content, str) and not messages[0].provider_data:
        return messages[0].content if messages[0].content.strip() else ""
    return [block for message in messages for block in _system_blocks(message)]


def _system_blocks(message: SystemMessage) -> list[Block]:
    own = own_data(message.provider_data, ORIGIN)
    if "content" in own:  # blocks beyond text, see `read.py`
        return list(msgspec.json.decode(own["content"], type=list[msgspec.Raw]))
    parts = [message.content] if isinstance(message.content, str) else message.content
    return _blocks(_marked(_texts(parts), message))


def _texts(parts: Sequence[str | Text]) -> list[Block]:
    return [block for part in parts for block in _text(part)]


def _text(part: str | Text) -> list[Block]:
    """A `text` block; none for empty text, which is refused: "text content blocks must contain non-whitespace text"."""
    text, own = (part, {}) if isinstance(part, str) else (part.text, own_data(part.provider_data, ORIGIN))
    return [{"type": "text", "text": text, **own}] if text.strip() else []


def _user(message: UserMessage) -> Content:
    if isinstance(message.content, str):
        return message.content if message.content.strip() else ""
    return [block for part in message.content for block in _input(part)]


def _input(part: str | InputPart) -> list[Block]:
    """What a user or a tool shows."""
    match part:
        case str() | Text():
            return _text(part)
        case Image():
            return [_image(part) | own_data(part.provider_data, ORIGIN)]
        case Document():
            return [_document(part) | own_data(part.provider_data, ORIGIN)]
        case Audio() | Video():
            raise BadRequestError(
                f"Anthropic takes no {type(part).__name__.lower()}; send a transcript or images of it{HANDOVER}"
            )
        case ProviderPart():
            return [_provider_part(part)]


def _provider_part(part: ProviderPart) -> msgspec.Raw:
    if part.provider != ORIGIN:
        raise BadRequestError(
            f"a message holds a {part.kind or 'part'} of {part.provider}, which {ORIGIN} does not understand; "
            f"leave it out or put its content into words{HANDOVER}"
        )
    return part.data


def _image(part: Image) -> Json:
    if part.file_id is not None:
        return {"type": "image", "source": {"type": "file", "file_id": part.file_id}}
    if part.url is not None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    data = part.data or ""
    media_type = part.media_type or _media.sniff_base64(data) or "image/png"
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in IMAGES:
        raise BadRequestError(f"Anthropic takes JPEG, PNG, GIF and WebP images, not {media_type}{HANDOVER}")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data_json(part)}}


def _document(part: Document) -> Json:
    document: Json = {"type": "document", "source": _document_source(part)}
    title = part.title or part.filename
    return {**document, "title": title} if title else document


def _document_source(part: Document) -> Json:
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    data = part.data or ""
    media_type = part.media_type or _media.sniff_base64(data) or "application/pdf"
    if media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _plain_text(data, media_type)}
    if media_type != "application/pdf":
        raise BadRequestError(
            f"Anthropic takes PDF and plain-text documents, not {media_type}; send its text instead{HANDOVER}"
        )
    return {"type": "base64", "media_type": media_type, "data": data_json(part)}


def _plain_text(data: str, media_type: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"a {media_type} document is not base64 of UTF-8 text: {error}") from None


def _tool_result(result: ToolResult) -> Json:
    content = result.content
    wire: Json = {
        "type": "tool_result",
        "tool_use_id": _call_id(result.call_id),
        "content": content if isinstance(content, str) else [block for part in content for block in _input(part)],
    }
    if result.is_error:
        wire["is_error"] = True
    return wire | own_data(result.provider_data, ORIGIN)


# ---------------------------------------------------------------------- the assistant's messages


def _assistant(message: AssistantMessage, model: str) -> Content:
    if isinstance(message.content, str):
        return message.content if message.content.strip() else ""
    blocks: list[Block] = []
    for part in assistant_parts(message):
        match part:
            case Text():
                blocks += _said(part)
            case Reasoning():
                blocks += _thinking(part, model)
            case FunctionCall():
                blocks.append(_tool_use(part))
            case ProviderPart():
                blocks += [part.data] if part.provider == ORIGIN else []
            case Refusal():
                if own_data(part.provider_data, ORIGIN):
                    # "Discard partial text, drop the refused turn": it would be refused again.
                    return []
                blocks += _text(part.text)
            case Audio(transcript=str(said)):
                blocks += _text(said)
            case Image() | Audio() | Document() | Video() | ToolResult():
                # What was drawn or run elsewhere has no place in an assistant message of this API.
                pass
    return blocks


def _said(part: Text) -> list[Block]:
    """Text of an earlier answer, with its citations as they came."""
    blocks = _text(part)
    cited = [raw for citation in part.citations or () if (raw := _cited(citation)) is not None]
    return [{**cast("Json", block), "citations": cited} for block in blocks] if cited else blocks


def _cited(citation: Citation) -> msgspec.Raw | None:
    return own_data(citation.provider_data, ORIGIN).get("citation")


def recognises(part: Reasoning, model: str) -> bool:
    """Whether this thinking is signed, and by this model."""
    return part.provider == ORIGIN and bool(part.signature) and not is_another(part.model, model)


def _thinking(part: Reasoning, model: str) -> list[Block]:
    """Thinking goes back to the model that signed it, and to no other: another answers it with an error."""
    if not recognises(part, model):
        return []
    own = own_data(part.provider_data, ORIGIN)
    if part.redacted:
        return [{"type": "redacted_thinking", "data": part.signature, **own}]
    return [{"type": "thinking", "thinking": part.text, "signature": part.signature, **own}]


def _tool_use(call: FunctionCall) -> Json:
    return {
        "type": "tool_use",
        "id": _call_id(call.id),
        "name": call.name,
        "input": {"input": call.arguments} if call.custom else as_input(call.arguments),
        **own_data(call.provider_data, ORIGIN),
    }


def _call_id(given: str) -> str:
    """The id as the API takes it, `^[a-zA-Z0-9_-]+$`; the same for a call and its result."""
    if _CALL_ID.fullmatch(given):
        return given
    return "toolu_" + hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:24]
