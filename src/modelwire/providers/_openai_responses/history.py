"""Messages as the items of a request's `input`.

https://platform.openai.com/docs/guides/conversation-state#manually-manage-conversation-state: every item that the model
gave goes back in order, unchanged, and the results of its calls after it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from modelwire import _media
from modelwire.errors import BadRequestError
from modelwire.providers._body import HANDOVER, data_json, own_data, parts_of
from modelwire.providers._json import NOTHING, members_of, text
from modelwire.providers._openai_chat.encode import AUDIO_FORMATS, data_url
from modelwire.providers._openai_responses.items import taken_message
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
    UserMessage,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from modelwire.options import ModelInfo
    from modelwire.types import InputPart, Message, Part, ToolResult

    Json = dict[str, Any]

_LONGEST_ID = 64
_OF_STORED = ("id", "status")
"""Members by which the server would look up what it has stored."""


class History:
    """Turns the messages of one request into items."""

    __slots__ = ("_calls", "_info", "_items", "_message", "_model", "_origin", "_stored")

    def __init__(self, model: str, info: ModelInfo, origin: str, *, stored: bool) -> None:
        self._model = model
        self._info = info
        self._origin = origin
        self._stored = stored
        self._items: list[Json | msgspec.Raw] = []
        self._message: list[Json] | None = None
        """Content of the assistant's message that the next text may continue."""
        self._calls: dict[str, FunctionCall] = {}

    def items(self, messages: Sequence[Message]) -> list[Json | msgspec.Raw]:
        """All messages.

        Raises `BadRequestError` for a part that this API does not take.
        """
        for message in messages:
            self._message = None
            match message:
                case UserMessage():
                    self._user(message)
                case AssistantMessage():
                    for part in parts_of(message.content):
                        self._answered(part)
                case SystemMessage():
                    self._system(message)
                case ToolMessage():
                    self._items += [self._result(result) for result in message.content]
        return self._items

    def _own(self, part: Text | Refusal | Image | Audio | Document | Video | Reasoning | FunctionCall) -> Json:
        return own_data(part.provider_data, self._origin)

    # ------------------------------------------------------------------ what the application and the user say

    def _system(self, message: SystemMessage) -> None:
        content = message.content if isinstance(message.content, str) else [self._input(p) for p in message.content]
        item: Json = {"role": "developer" if message.developer else "system", "content": content}
        self._items.append(item | own_data(message.provider_data, self._origin))

    def _user(self, message: UserMessage) -> None:
        """One message, split where items of their own stand among its parts, such as the approval of a call."""
        own = own_data(message.provider_data, self._origin)
        if isinstance(message.content, str):
            self._items.append({"role": "user", "content": message.content, **own})
            return
        content: list[Json | msgspec.Raw] = []
        for part in message.content:
            if isinstance(part, ProviderPart) and not _is_content(part):
                self._said_by_user(content, own)
                content = []
                self._items.append(self._raw(part))
            else:
                content.append(self._input(part))
        self._said_by_user(content, own)

    def _said_by_user(self, content: list[Json | msgspec.Raw], own: Json) -> None:
        if content:
            self._items.append({"role": "user", "content": content, **own})

    def _input(self, part: str | InputPart) -> Json | msgspec.Raw:
        match part:
            case str():
                return {"type": "input_text", "text": part}
            case Text():
                return {"type": "input_text", "text": part.text, **self._own(part)}
            case Image():
                return _image(part) | self._own(part)
            case Audio():
                return _audio(part) | self._own(part)
            case Document():
                return _document(part) | self._own(part)
            case Video():
                raise BadRequestError(f"the Responses API takes no video; send frames as images instead{HANDOVER}")
            case ProviderPart():
                return self._raw(part)

    def _raw(self, part: ProviderPart) -> msgspec.Raw:
        if part.provider != self._origin:
            raise BadRequestError(
                f"a message holds a {part.kind or 'part'} of {part.provider}, which {self._origin} does not understand; "
                f"leave it out or put its content into words{HANDOVER}"
            )
        return part.data

    # ------------------------------------------------------------------ what the model said before

    def _answered(self, part: Part) -> None:
        match part:
            case Text():
                self._text(part)
            case Refusal():
                self._content({"type": "refusal", "refusal": part.text}, dict(self._own(part)))
            case Reasoning():
                self._reasoning(part)
            case FunctionCall():
                self._call(part)
            case ProviderPart():
                if part.provider == self._origin:
                    self._item(part.data)
            case Audio(transcript=str(said)):
                self._text(Text(text=said))
            case _:
                # What the model drew elsewhere has no place in an assistant's message of this API.
                pass

    def _item(self, item: Json | msgspec.Raw) -> None:
        self._message = None
        self._items.append(item)

    def _text(self, part: Text) -> None:
        own = dict(self._own(part))
        cited = (own_data(citation.provider_data, self._origin) for citation in part.citations or ())
        annotations = [known["annotation"] for known in cited if "annotation" in known]
        if not own and not part.text and part.provider_data:
            return  # the bearer of another provider's signature
        if own or annotations:
            self._content({"type": "output_text", "text": part.text, "annotations": annotations}, own)
        else:
            self._item({"role": "assistant", "content": part.text})

    def _content(self, content: Json, own: Json) -> None:
        """A part of an assistant's message: of the one before, or the first of its own."""
        follows = own.pop("content_index", None) is not None
        message = taken_message(own)
        content |= own
        if follows and self._message is not None:
            self._message.append(content)
            return
        open_message = [content]
        self._item({"type": "message", "role": "assistant", "content": open_message, **self._portable(message)})
        self._message = open_message

    def _portable(self, own: Json) -> Json:
        """Without the names of stored things, where nothing is stored."""
        return own if self._stored else {name: raw for name, raw in own.items() if name not in _OF_STORED}

    def _reasoning(self, part: Reasoning) -> None:
        if not recognises(part, self._origin, self._model, self._info, stored=self._stored):
            return
        own = self._portable(self._own(part))
        summary = [{"type": "summary_text", "text": part.text}] if part.text and "content" not in own else []
        item: Json = {"type": "reasoning", "summary": summary, **own}
        if part.id is not None:
            item["id"] = part.id
        if part.signature is not None:
            item["encrypted_content"] = part.signature
        self._item(item)

    def _call(self, call: FunctionCall) -> None:
        self._calls[call.id] = call
        own = self._portable(self._own(call))
        if call.custom:
            item: Json = {"type": "custom_tool_call", "input": call.arguments}
        else:
            # An empty string is what a model writes for "no arguments"; servers that parse the history refuse it.
            item = {"type": "function_call", "arguments": call.arguments or "{}"}
        self._item({**item, "call_id": _call_id(call.id), "name": call.name, **own})

    # ------------------------------------------------------------------ results of calls

    def _result(self, result: ToolResult) -> Json:
        call = self._calls.get(result.call_id)
        custom = result.custom or (call is not None and call.custom)
        item: Json = {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": _call_id(result.call_id),
            "output": self._output(result),
        }
        caller = self._own(call).get("caller") if call is not None else None
        if caller is not None:
            item["caller"] = caller  # a call by a program of the model's is answered to that program
        return item | own_data(result.provider_data, self._origin)

    def _output(self, result: ToolResult) -> str | list[Json | msgspec.Raw]:
        """Text as it is, or parts; there is no mark for an error, so the text says it."""
        if isinstance(result.content, str):
            return f"Error: {result.content}" if result.is_error else result.content
        if any(isinstance(part, (Audio, Video)) for part in result.content):
            raise BadRequestError(
                f"the Responses API takes text, images and documents from tools, not audio or video{HANDOVER}"
            )
        output = [self._input(part) for part in result.content]
        return [{"type": "input_text", "text": "Error:"}, *output] if result.is_error else output


def _is_content(part: ProviderPart) -> bool:
    """Whether this stands inside a message; other parts are items of their own."""
    return (part.kind or text(members_of(part.data, "part").get("type", NOTHING))).startswith("input_")


def recognises(part: Reasoning, origin: str, model: str, info: ModelInfo, *, stored: bool) -> bool:
    """Whether this reasoning goes back: it is bound to its model, and without its content only what is stored is found.

    "Item not found. Items are not persisted when `store` is set to false."
    """
    if part.provider != origin or not _is_same_model(part.model, model, info):
        return False
    return stored or part.signature is not None or "content" in own_data(part.provider_data, origin)


def _is_same_model(made_by: str | None, asked: str, info: ModelInfo) -> bool:
    """Whether reasoning of one model can go to the other; true also where it cannot be told.

    The server names the snapshot that answered (`gpt-5-2025-08-07` for `gpt-5`), or what stands behind an alias
    (`gpt-5.6-sol` for `gpt-5.6`), and on Azure not the deployment that was asked but the model that is deployed.
    """
    if made_by is None or info.get("family", "unknown") == "unknown":
        return True
    asked = info.get("model", asked)
    return made_by.startswith(asked) or asked.startswith(made_by)


def _call_id(given: str) -> str:
    """The id as the server takes it ("maximum length 64"); the same for a call and its result."""
    return given if len(given) <= _LONGEST_ID else "call_" + hashlib.sha256(given.encode()).hexdigest()[:32]


def _image(part: Image) -> Json:
    image: Json = {"type": "input_image"}
    if part.file_id is not None:
        image["file_id"] = part.file_id
    else:
        image["image_url"] = part.url or data_url(part, "image/png")
    if part.detail is not None:
        image["detail"] = part.detail
    return image


def _audio(part: Audio) -> Json:
    media_type = part.media_type or (_media.sniff_base64(part.data) if part.data else None)
    form = AUDIO_FORMATS.get(media_type or "")
    if part.data is None or form is None:
        raise BadRequestError(
            f"the Responses API takes audio as wav or mp3 data, not as {media_type or 'a reference'}{HANDOVER}"
        )
    return {"type": "input_audio", "input_audio": {"data": data_json(part), "format": form}}


def _document(part: Document) -> Json:
    if part.text is not None:
        name = part.title or part.filename
        return {"type": "input_text", "text": f"{name}\n\n{part.text}" if name else part.text}
    if part.file_id is not None:
        file: Json = {"file_id": part.file_id}
    elif part.url is not None:
        file = {"file_url": part.url}
    else:
        data = data_url(part, "application/pdf")
        # Data needs a name, by whose ending the server tells the kind.
        name = part.filename or f"document.{_SUFFIXES.get(part.media_type or '', 'pdf')}"
        file = {"filename": name, "file_data": data}
    return {"type": "input_file", **file}


_SUFFIXES = {
    "text/plain": "txt",
    "text/markdown": "md",
    "text/csv": "csv",
    "text/html": "html",
    "application/json": "json",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}
