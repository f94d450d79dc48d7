"""Items of the Responses API as parts: what the model answers with, and what a later request says it answered.

https://platform.openai.com/docs/api-reference/responses/object. An item is one part; an assistant's `message` is as
many as its content has. The members of the message itself (`id`, `status`, `phase`) stand beside those of its first
part, `content_index` marks the parts that follow in the same message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire.providers._body import made_up_id
from modelwire.providers._json import (
    NOTHING,
    Members,
    Raw,
    encoded,
    given,
    is_list,
    is_object,
    kept,
    list_of,
    members_of,
    text,
    texts,
)
from modelwire.types import Citation, FunctionCall, ProviderPart, Reasoning, Refusal, Text, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.types import Part

OF_MESSAGE = ("id", "status", "phase")
"""Members of a message that stand beside those of its first part; others stand together under `message`."""
_EMPTY = (b"[]", b"{}")


def taken_message(own: dict[str, Any]) -> dict[str, Any]:
    """The members of the message itself, which are taken from those that stand beside its first part."""
    message = {name: own.pop(name) for name in OF_MESSAGE if name in own}
    if "message" in own:
        message |= msgspec.json.decode(own.pop("message"), type=dict[str, Raw])
    return message


_logprobs = msgspec.json.Decoder(list[TokenLogprob])


class ItemReader:
    """Reads the items of one answer, or of one request."""

    __slots__ = ("_answer_id", "_model", "_origin", "logprobs")

    def __init__(self, origin: str, answer_id: str | None = None, model: str | None = None) -> None:
        self._origin = origin
        self._answer_id = answer_id
        self._model = model
        self.logprobs: list[TokenLogprob] = []
        """Of all texts read so far."""

    def parts(self, raw: Raw, index: int) -> list[Part]:
        """The parts of item number `index`, at least one; an item of an unknown kind is kept whole.

        Raises `BadRequestError` for what is no object.
        """
        members = members_of(raw, f"item {index}")
        kind = text(members.get("type", NOTHING))
        read = _READERS.get(kind)
        found = read(self, members, index) if read else None
        return found or [self._whole(raw, kind)]

    def _whole(self, raw: Raw, kind: str) -> ProviderPart:
        str(raw, "utf-8")  # nobody else looks into it before it is sent back
        return ProviderPart(provider=self._origin, kind=kind or None, data=raw.copy())

    def _own(self, members: Members) -> dict[str, Members] | None:
        own = kept(members)
        return {self._origin: own} if own else None

    # ------------------------------------------------------------------ messages

    def message(self, members: Members, _index: int) -> list[Part]:
        """An assistant's message; nothing for one of another role or without content, which is kept whole."""
        content = members.get("content", NOTHING)
        if text(members.get("role", NOTHING)) != "assistant":
            return []
        own = {name: members[name] for name in OF_MESSAGE if name in members}
        rest = {name: raw for name, raw in members.items() if name not in ("type", "role", "content", *OF_MESSAGE)}
        rest = kept(rest)
        if rest:
            own["message"] = encoded(rest)
        if not is_list(content):
            return [Text(text=text(content), provider_data=self._own(own))] if given(content) else []
        parts: list[Part] = []
        for place, piece in enumerate(list_of(content, "content")):
            parts.append(self._piece(piece, own))
            own = {"content_index": encoded(place + 1)}
        return parts

    def _piece(self, raw: Raw, own: Members) -> Part:
        """One part of a message's content, with what its place in the message says of it."""
        if not is_object(raw):
            return Text(text=text(raw), provider_data=self._own(own))
        members = members_of(raw, "content")
        kind = text(members.pop("type", NOTHING))
        if kind == "output_text":
            return self._text(members, own)
        if kind == "refusal":
            return Refusal(text=text(members.pop("refusal", NOTHING)), provider_data=self._own({**members, **own}))
        # Only a whole item can be kept raw in its place: a message of its own is one.
        wrapped = {"type": "message", "role": "assistant", "content": [raw]}
        return ProviderPart(provider=self._origin, kind=kind or None, data=encoded(wrapped))

    def _text(self, members: Members, own: Members) -> Text:
        said = text(members.pop("text", NOTHING))
        logprobs = members.pop("logprobs", NOTHING)
        if is_list(logprobs):
            self.logprobs += _logprobs.decode(logprobs)
        annotations = list_of(members.pop("annotations", NOTHING), "annotations")
        citations = [citation(raw, self._origin) for raw in annotations]
        return Text(text=said, citations=citations or None, provider_data=self._own({**members, **own}))

    # ------------------------------------------------------------------ calls and reasoning

    def function_call(self, members: Members, index: int) -> list[Part]:
        """A call of a function."""
        return [self._call(members, index, "arguments")]

    def custom_call(self, members: Members, index: int) -> list[Part]:
        """A call of a free-text tool."""
        return [self._call(members, index, "input")]

    def _call(self, members: Members, index: int, member: str) -> FunctionCall:
        members.pop("type")
        name = text(members.pop("name", NOTHING))
        arguments = members.pop(member, NOTHING)
        call_id = text(members.pop("call_id", NOTHING)) or text(members.get("id", NOTHING))
        return FunctionCall(
            id=call_id or made_up_id(self._answer_id, index, name),
            name=name,
            arguments=bytes(arguments).decode() if is_object(arguments) else text(arguments),
            custom=member == "input",
            provider_data=self._own(members),
        )

    def reasoning(self, members: Members, _index: int) -> list[Part]:
        """Reasoning: its text where the server shows it, else the summary, and what it must get back unchanged."""
        members.pop("type")
        item_id = text(members.pop("id", NOTHING))
        signature = text(members.pop("encrypted_content", NOTHING))
        shown = texts(members.get("content", NOTHING)) or texts(members.get("summary", NOTHING))
        own = {name: raw for name, raw in members.items() if bytes(raw) not in _EMPTY}
        return [
            Reasoning(
                text="\n\n".join(shown),
                signature=signature or None,
                id=item_id or None,
                provider=self._origin,
                model=self._model,
                provider_data=self._own(own),
            )
        ]


_READERS: dict[str, Callable[[ItemReader, Members, int], list[Part]]] = {
    "message": ItemReader.message,
    "function_call": ItemReader.function_call,
    "custom_tool_call": ItemReader.custom_call,
    "reasoning": ItemReader.reasoning,
}


def citation(raw: Raw, origin: str) -> Citation:
    """An annotation, of which the whole is kept for the way back.

    https://platform.openai.com/docs/api-reference/responses/object, "annotations": `url_citation`, `file_citation`,
    `container_file_citation` and `file_path`.
    """
    own = {origin: {"annotation": raw.copy()}}
    if not is_object(raw):
        return Citation(provider_data=own)
    members = members_of(raw, "annotation")
    return Citation(
        url=text(members.get("url", NOTHING)) or None,
        title=text(members.get("title", NOTHING)) or text(members.get("filename", NOTHING)) or None,
        source_id=text(members.get("file_id", NOTHING)) or None,
        start_index=_offset(members.get("start_index", NOTHING)),
        end_index=_offset(members.get("end_index", NOTHING)),
        provider_data=own,
    )


def _offset(raw: Raw) -> int | None:
    digits = bytes(raw)
    return int(digits) if digits.isdigit() and len(digits) < 16 else None
