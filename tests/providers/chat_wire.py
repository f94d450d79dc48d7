"""Codecs of Chat Completions and bytes for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire.errors import ModelClientError
from modelwire.providers._openai_chat import OPENAI, ChatCodec, Quirks
from modelwire.providers.azure import QUIRKS as AZURE
from modelwire.providers.compatible import PRESETS
from modelwire.types import ChatRequest, UserMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelwire.types import Message, StreamEvent

URL = "https://api.example.com/v1/chat/completions"
DONE = b"data: [DONE]\n\n"


def quirks_of(provider: str) -> Quirks:
    """The switches of a provider: of OpenAI, of Azure, of a preset, or those of a server that nothing is known about."""
    known = {"openai": OPENAI, "azure": AZURE, "plain": Quirks()}
    return known[provider] if provider in known else PRESETS[provider].quirks


def codec_of(provider: str | Quirks = "openai") -> ChatCodec:
    return ChatCodec(URL, quirks_of(provider) if isinstance(provider, str) else provider)


def body_of(request: ChatRequest, provider: str | Quirks = "openai") -> dict[str, Any]:
    """What goes over the wire."""
    return json.loads(codec_of(provider).encode(request, {}).body)


def wire_of(message: Message, provider: str | Quirks = "openai") -> dict[str, Any]:
    """One message on the wire."""
    (wire,) = body_of(ChatRequest(model="m", messages=[message]), provider)["messages"]
    return wire


def asked(*content: Any, **fields: Any) -> ChatRequest:
    """A request with one user message."""
    message = UserMessage(content=content[0] if len(content) == 1 and isinstance(content[0], str) else list(content))
    return ChatRequest(model="m", messages=[message], **fields)


# ---------------------------------------------------------------------- answers


def answer(*choices: dict[str, Any], **members: Any) -> bytes:
    """A whole answer; a choice is its message, or a dict with `message` in it."""
    whole = [
        {"index": index, "finish_reason": "stop", **(choice if "message" in choice else {"message": choice})}
        for index, choice in enumerate(choices)
    ]
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": whole, **members}
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> bytes:
    """One event of a stream; members of the choice begin with an underscore."""
    choice = {name[1:]: members.pop(name) for name in list(members) if name.startswith("_")}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish, **choice}] if delta is not None else []
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": choices}
    return event({**body, **members})


def event(value: Any) -> bytes:
    """Any JSON, or bytes as they are, as the data of a server-sent event."""
    return b"data: " + (value if isinstance(value, bytes) else msgspec.json.encode(value)) + b"\n\n"


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


def read(pieces: bytes | Iterable[bytes], provider: str | Quirks = "openai") -> Read:
    """The events of a stream, and the error that ends it."""
    decoder = codec_of(provider).stream_decoder()
    events: list[StreamEvent] = []
    try:
        for piece in [pieces] if isinstance(pieces, bytes) else pieces:
            events += decoder.feed(piece)
            if decoder.error is not None:
                return Read(events, decoder.error)
        events += decoder.close()
    except ModelClientError as error:
        return Read(events, error)
    return Read(events, decoder.error)


def read_all(pieces: bytes | Sequence[bytes], provider: str | Quirks = "openai") -> list[StreamEvent]:
    """The events of a stream that ends well, and ends in the same way byte by byte."""
    whole = pieces if isinstance(pieces, bytes) else b"".join(pieces)
    found = read(whole, provider)
    assert found.error is None, found.error
    assert read(by_bytes(whole), provider).outcome == found.outcome
    return found.events


def by_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]
