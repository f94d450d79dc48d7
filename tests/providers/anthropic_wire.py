"""The Messages codec and bytes for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire import models
from modelwire._fold import fold
from modelwire.errors import ModelClientError
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._anthropic.names import undated
from modelwire.types import ChatRequest, UserMessage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelwire.options import ModelInfo
    from modelwire.types import CreateResult, Message, StreamEvent

URL = "https://api.anthropic.com/v1/messages"
CODEC = AnthropicCodec(URL)
FIXTURES = Path(__file__).parent / "fixtures" / "anthropic"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
"""Answers that are there whole (`.json`) and streamed (`.sse`)."""

NEWEST = "claude-opus-5-5"
"""Always thinks, takes no sampling options, no forced tools and no prefill."""
ADAPTIVE = "claude-opus-4-8"
"""Thinks only when asked to, and takes system text amid the conversation."""
BOTH = "claude-sonnet-4-6"
"""Thinks with or without a budget, takes sampling options, but no prefill."""
OLD = "claude-haiku-4-5"
"""Thinks with a budget only, and takes a prefill."""
UNKNOWN = "some-model"


def info_of(model: str) -> ModelInfo:
    return models.lookup("anthropic", undated(model))


def body_of(request: ChatRequest) -> dict[str, Any]:
    """What goes over the wire."""
    return json.loads(CODEC.encode(request, info_of(request.model)).body)


def messages_of(*messages: Message, model: str = NEWEST) -> list[dict[str, Any]]:
    """The messages on the wire."""
    return body_of(ChatRequest(model=model, messages=messages))["messages"]


def asked(*content: Any, model: str = NEWEST, **fields: Any) -> ChatRequest:
    """A request with one user message."""
    said = content[0] if len(content) == 1 and isinstance(content[0], str) else list(content or ["Hello"])
    return ChatRequest(model=model, messages=[UserMessage(content=said)], **fields)


def refused(request: ChatRequest, codec: AnthropicCodec = CODEC) -> dict[str, str]:
    return dict(codec.refused(request, info_of(request.model)))


# ---------------------------------------------------------------------- answers


def whole(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def streamed(name: str) -> bytes:
    return (FIXTURES / f"{name}.sse").read_bytes()


def answer(*content: Any, **members: Any) -> bytes:
    """A whole answer."""
    usage = {"input_tokens": 3, "output_tokens": 4}
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": NEWEST, "stop_reason": "end_turn"}
    return json.dumps({**base, "content": list(content), "usage": usage, **members}).encode()


def sse(*events: dict[str, Any]) -> bytes:
    """A stream of these events."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def start(**members: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": NEWEST, "content": [], "usage": usage}
    return {"type": "message_start", "message": {**message, **members}}


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[dict[str, Any]]:
    """The events of a text block."""
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def stop(reason: str = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4, **usage}}, {"type": "message_stop"}]


class Read(NamedTuple):
    """What a stream gave."""

    events: list[StreamEvent]
    error: ModelClientError | None

    @property
    def outcome(self) -> tuple[list[StreamEvent], type, str, dict[str, Any]]:
        """All that a caller sees, to be compared."""
        facts = {name: value for name, value in vars(self.error).items() if name != "attempts"} if self.error else {}
        return self.events, type(self.error), str(self.error or ""), facts

    @property
    def result(self) -> CreateResult:
        assert self.error is None, self.error
        return fold(self.events)


def read(chunks: bytes | Iterable[bytes]) -> Read:
    """Feed a stream to a decoder as the client does."""
    decoder = CODEC.stream_decoder()
    events: list[StreamEvent] = []
    try:
        for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
            if decoder.error is not None:
                raise decoder.error
            events += decoder.feed(chunk)
            if events and events[-1].type == "finish":
                return Read(events, None)
        events += decoder.close()
    except ModelClientError as error:
        return Read(events, error)
    return Read(events, None)


def by_bytes(body: bytes) -> list[bytes]:
    return [body[place : place + 1] for place in range(len(body))]
