"""The Responses codec, and bytes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire.errors import ModelClientError
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.types import ChatRequest, Finish, UserMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelwire.options import ModelInfo
    from modelwire.types import Message, StreamEvent

URL = "https://api.example.com/v1/responses"
ORIGIN = "openai-responses"
FIXTURES = Path(__file__).parent / "fixtures" / "openai_responses"
USAGE = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}


def codec_of(provider: str = "openai") -> ResponsesCodec:
    return ResponsesCodec(URL, provider)


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


# ---------------------------------------------------------------------- requests


def asked(*messages: Message, stream: bool = False, **fields: Any) -> ChatRequest:
    """A request; what is no field of it is an option."""
    known = {name: fields.pop(name) for name in list(fields) if name in ChatRequest.__struct_fields__}
    options = {"options": fields} if fields else {}
    given = {"messages": list(messages) or [UserMessage(content="Hello")], "stream": stream, **known, **options}
    return ChatRequest(model="m", **given)


def body_of(request: ChatRequest, info: ModelInfo | None = None) -> dict[str, Any]:
    """What goes over the wire."""
    return json.loads(codec_of().encode(request, info or {}).body)


def items_of(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    """The items that these messages become."""
    return body_of(asked(*messages, **fields))["input"]


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def own(**members: Any) -> dict[str, dict[str, msgspec.Raw]]:
    """Provider data of this dialect."""
    return {ORIGIN: {name: raw(value) for name, value in members.items()}}


# ---------------------------------------------------------------------- answers


def said(text: str, **members: Any) -> dict[str, Any]:
    """A message item."""
    part = {"type": "output_text", "text": text, "annotations": [], **members}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def called(call_id: str = "call_1", arguments: str = "{}", **members: Any) -> dict[str, Any]:
    """A function call item."""
    call = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": "f", "status": "completed"}
    return {**call, "arguments": arguments, **members}


def response(*output: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A response object."""
    whole = {"id": "resp_1", "object": "response", "model": "m-1", "status": "completed", "output": list(output)}
    return {**whole, "usage": USAGE, **members}


def answer(*output: dict[str, Any], **members: Any) -> bytes:
    """A whole answer."""
    return msgspec.json.encode(response(*output, **members))


def event(kind: str, **members: Any) -> bytes:
    """One event of a stream."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def created(**members: Any) -> bytes:
    return event("response.created", response=response(**{"status": "in_progress", "usage": None, **members}))


def completed(*output: dict[str, Any], **members: Any) -> bytes:
    return event("response.completed", response=response(*output, **members))


def added(item: dict[str, Any], **place: Any) -> bytes:
    """An item begins."""
    return event("response.output_item.added", item=item, **place)


def done(item: dict[str, Any], **place: Any) -> bytes:
    """An item is complete."""
    return event("response.output_item.done", item=item, **place)


def text(delta: Any, **place: Any) -> bytes:
    """More text."""
    return event("response.output_text.delta", delta=delta, **place)


class Read(NamedTuple):
    """What a stream decoder made of some bytes."""

    events: list[StreamEvent]
    error: ModelClientError | None

    @property
    def outcome(self) -> tuple[list[StreamEvent], type | None, str, dict[str, Any]]:
        """All that a caller sees, to be compared."""
        error = self.error
        facts = {name: value for name, value in vars(error).items() if name != "attempts"} if error else {}
        return self.events, type(error) if error else None, str(error or ""), facts


def read(pieces: bytes | Iterable[bytes], provider: str = "openai") -> Read:
    """The events of a stream, and the error that ends it."""
    decoder = codec_of(provider).stream_decoder()
    events: list[StreamEvent] = []
    try:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            events += decoder.feed(piece)
            if decoder.error is not None:
                return Read(events, decoder.error)
            if events and isinstance(events[-1], Finish):
                return Read(events, None)
        events += decoder.close()
    except ModelClientError as error:
        return Read(events, error)
    return Read(events, decoder.error)


def read_all(*frames: bytes) -> list[StreamEvent]:
    """The events of a stream that ends well, and ends in the same way byte by byte."""
    whole = b"".join(frames)
    found = read(whole)
    assert found.error is None, found.error
    assert read(by_bytes(whole)).outcome == found.outcome
    return found.events


def by_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]
