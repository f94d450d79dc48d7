"""Messages to `contents`: https://ai.google.dev/api/caching#Content.

There are two roles, `user` and `model`. The results of a model's function calls follow at once, all in one content of
the user's: "ensure that the number of function response parts is equal to the number of function call parts".
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire import _media
from modelwire.errors import BadRequestError
from modelwire.providers._body import HANDOVER, assistant_parts, data_json, is_made_up, own_data, parts_of
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.parts import DETAILS, with_own
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

    from modelwire.types import InputPart, Message, Part

    Json = dict[str, Any]

_RESOLUTIONS = {detail: name for name, detail in DETAILS.items()}
_DEFAULT_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
_INSIDE = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")
"""What may stand inside a function response; other media follow it.
https://ai.google.dev/gemini-api/docs/function-calling#multimodal"""
UNSIGNED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""The signature for calls that another model made; the field holds bytes, which JSON has as base64.
https://ai.google.dev/gemini-api/docs/thought-signatures#faqs"""


def split_system(messages: Sequence[Message]) -> tuple[Json | None, Sequence[Message]]:
    """`systemInstruction` from the system messages at the beginning, and the other messages.

    Where there are no others, the last system message is one of the user's: the API wants a content.
    """
    count = 0
    while count < len(messages) - 1 and isinstance(messages[count], SystemMessage):
        count += 1
    parts = [_text(part) for message in messages[:count] for part in _texts(message)]
    return ({"parts": parts} if parts else None), messages[count:]


def _texts(message: Message) -> list[Text]:
    """The texts of a system message; an empty one is a text too."""
    content = message.content if isinstance(message, SystemMessage) else ""
    if isinstance(content, str):
        return [Text(text=content)]
    return [Text(text=part) if isinstance(part, str) else part for part in content]


class Contents:
    """Writes messages in order, and keeps calls and results together."""

    def __init__(self, *, from_3: bool, continued: bool) -> None:
        """`from_3` is Gemini 3 and later; `continued` says that a cached prefix stands before the messages."""
        self._from_3 = from_3
        self._continued = continued
        self._contents: list[Json] = []
        self._calls: list[FunctionCall] = []
        """Those that wait for their results."""
        self._results: list[ToolResult] = []

    def written(self, messages: Sequence[Message]) -> list[Json]:
        """The contents.

        Raises `BadRequestError` for a call without a result, or the other way round, and for what Gemini cannot take.
        """
        for message in messages:
            match message:
                case ToolMessage():
                    self._results += message.content
                case AssistantMessage():
                    if self._results:
                        self._answer()
                    self._said(message)
                case UserMessage():
                    self._answer()
                    self._append("user", [self._input(part) for part in _given(message.content)], message.provider_data)
                case SystemMessage():
                    self._answer()
                    self._append("user", [_text(part) for part in _texts(message)], message.provider_data)
        if self._results:
            self._answer()
        return self._contents

    def _append(self, role: str, parts: list[Any], provider_data: dict[str, dict[str, msgspec.Raw]] | None) -> None:
        self._contents.append({"role": role, "parts": parts, **own_data(provider_data, ORIGIN)})

    # ------------------------------------------------------------------ the model's turns

    def _said(self, message: AssistantMessage) -> None:
        """A turn of the model's. Two in a row are one: "a function call turn comes immediately after a user turn"."""
        parts = assistant_parts(message)
        wire = [each for part in parts if (each := self._output(part)) is not None]
        if not wire:
            return
        self._calls += [part for part in parts if isinstance(part, FunctionCall)]
        if self._contents and self._contents[-1]["role"] == "model":
            self._contents[-1]["parts"] += wire
        else:
            self._append("model", wire, message.provider_data)
        if self._from_3:
            _sign(self._contents[-1]["parts"])

    def _output(self, part: Part) -> Any:
        """A part of the model's; nothing for what only another provider understands, or what says nothing."""
        match part:
            case Text():
                return _text(part) if part.text or own_data(part.provider_data, ORIGIN) else None
            case Reasoning():
                return _thought(part) if recognises(part) else None
            case FunctionCall():
                return _call(part)
            case Refusal():
                return {"text": part.text} if part.text else None
            case ProviderPart():
                return part.data if part.provider == ORIGIN else None
            case Audio(data=None, url=None, file_id=None):
                return {"text": part.transcript} if part.transcript else None
            case ToolResult():
                return None
            case Image() | Audio() | Document() | Video():
                return self._media(part)

    # ------------------------------------------------------------------ results

    def _answer(self) -> None:
        """The content with the results of the last calls, in the calls' order."""
        results, self._results = self._results, []
        calls, self._calls = self._calls, []
        parts: list[Any] = []
        after: list[Any] = []
        for call in calls:
            found = next((result for result in results if result.call_id == call.id), None)
            if found is None:
                raise BadRequestError(
                    f"the call of {call.name} ({call.id}) has no result: Gemini wants one for each call, right after it"
                    f"{HANDOVER}"
                )
            results.remove(found)
            parts.append(self._response(found, call.name, after))
        parts += [self._response(result, self._name_of(result), after) for result in results]
        if parts:
            self._append("user", [*parts, *after], None)

    def _name_of(self, result: ToolResult) -> str:
        """The function's name for a result whose call is not among the messages."""
        if not self._continued or not result.name:
            raise BadRequestError(
                f"the result of {result.name or 'a call'} ({result.call_id}) answers no call of the message before it{HANDOVER}"
            )
        return result.name

    def _response(self, result: ToolResult, name: str, after: list[Any]) -> Json:
        """One result; what may not stand in it is put to `after`."""
        texts: list[str] = []
        inside: list[Any] = []
        beside: list[Any] = []
        for part in parts_of(result.content):
            match part:
                case Text():
                    texts.append(part.text)
                case Document(text=str()):
                    texts.append(_document_text(part))
                case Image() | Document() if self._from_3 and (part.media_type or _INSIDE[0]) in _INSIDE:
                    inside.append(self._media(part))
                case _:
                    beside.append(self._input(part))
        response: Json = {"name": name, "response": response_object(result, texts)}
        if not is_made_up(result.call_id):
            response = {"id": result.call_id, **response}
        if inside:
            response["parts"] = inside
        if beside:
            after += [{"text": f"What {name} showed:"}, *beside]
        return with_own({"functionResponse": response}, result.provider_data)

    # ------------------------------------------------------------------ input

    def _input(self, part: InputPart | Part) -> Any:
        match part:
            case Text():
                return _text(part)
            case Image() | Audio() | Document() | Video():
                return self._media(part)
            case ProviderPart() if part.provider == ORIGIN:
                return part.data
            case _:
                kind = part.kind or "part" if isinstance(part, ProviderPart) else part.type
                owner = f" of {part.provider}" if isinstance(part, ProviderPart) else ""
                raise BadRequestError(
                    f"a message holds a {kind}{owner}, which Gemini does not understand; leave it out or put its content "
                    f"into words{HANDOVER}"
                )

    def _media(self, part: Image | Audio | Document | Video) -> Json:
        if isinstance(part, Document) and part.text is not None:
            return with_own({"text": _document_text(part)}, part.provider_data)
        wire = _located(part)
        if isinstance(part, Image) and self._from_3 and part.detail in _RESOLUTIONS:
            wire["mediaResolution"] = {"level": _RESOLUTIONS[part.detail]}
        if isinstance(part, Video):
            wire |= _shown(part)
        return with_own(wire, part.provider_data)


def _given(content: str | Sequence[str | InputPart]) -> Sequence[Part]:
    """A user's content; an empty text is sent, since a content needs a part."""
    return [Text(text=content)] if isinstance(content, str) else parts_of(content)


def _text(part: Text) -> Json:
    return with_own({"text": part.text}, part.provider_data)


def recognises(part: Reasoning) -> bool:
    """Whether Gemini made this: its models read each other's signatures, and those of no one else."""
    return part.provider == ORIGIN


def _thought(part: Reasoning) -> Json:
    wire: Json = {"text": part.text, "thought": True}
    if part.signature is not None:
        wire["thoughtSignature"] = part.signature
    return with_own(wire, part.provider_data)


def _call(call: FunctionCall) -> Json:
    """A call. An id goes back where the server, or the provider before it, gave one: what is made up here is nobody's."""
    wire: Json = {"name": call.name, "args": _arguments(call)}
    if not is_made_up(call.id):
        wire = {"id": call.id, **wire}
    return with_own({"functionCall": wire}, call.provider_data)


def _arguments(call: FunctionCall) -> Any:
    """An object; what is none, because it is free text or was cut, is shown to the model as it is."""
    if call.custom:
        return {"input": call.arguments}
    arguments = call.arguments.strip() or "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return {"arguments": call.arguments}
    return msgspec.Raw(arguments.encode())


def _sign(parts: list[Any]) -> None:
    """Give the first call of a step the signature that it must have."""
    first = next((part for part in parts if isinstance(part, dict) and "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", UNSIGNED)


def response_object(result: ToolResult, texts: list[str]) -> Json:
    """What a result says as an object: "Use "output" key to specify function output and "error" key to specify error
    details". Empty where there are only media.
    """
    if result.is_error:
        return {"error": "\n\n".join(texts)}
    return {"output": "\n\n".join(texts)} if texts or not result.content else {}


def _document_text(part: Document) -> str:
    title = part.title or part.filename
    return f"{title}\n\n{part.text}" if title else part.text or ""


def _located(part: Image | Audio | Document | Video) -> Json:
    """Media inline, or by their address."""
    if part.data is not None:
        kind = part.media_type or _media.sniff_base64(part.data) or _DEFAULT_TYPES[part.type]
        return {"inlineData": {"mimeType": kind, "data": data_json(part)}}
    uri = part.file_id if part.file_id is not None else part.url
    if uri is None:
        raise BadRequestError(f"an answer's audio is only an id, which Gemini does not know; pass its data{HANDOVER}")
    return {"fileData": {"mimeType": part.media_type, "fileUri": uri} if part.media_type else {"fileUri": uri}}


def _shown(part: Video) -> Json:
    metadata: Json = {}
    if part.start_offset is not None:
        metadata["startOffset"] = _duration(part.start_offset)
    if part.end_offset is not None:
        metadata["endOffset"] = _duration(part.end_offset)
    if part.fps is not None:
        metadata["fps"] = part.fps
    return {"videoMetadata": metadata} if metadata else {}


def _duration(seconds: float) -> str:
    """A `google.protobuf.Duration` in JSON: "3.5s", with at most nine digits after the point."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
