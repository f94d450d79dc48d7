"""A streamed Messages answer to events: https://platform.claude.com/docs/en/build-with-claude/streaming.

`message_start`, then each content block by itself (start, deltas, stop), then `message_delta` with the reason and the
final token counts, then `message_stop`. "New event types may be added, and your code should handle unknown event types
gracefully": they become `ProviderEvent`s; pings are nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from modelwire import _http
from modelwire._frames import SseFramer
from modelwire.errors import ProtocolError, StreamInterruptedError
from modelwire.providers._anthropic import decode, parts
from modelwire.providers._anthropic.blocks import KNOWN_DELTAS, Block, TextBlock, ToolUseBlock, WireDelta, begun_block
from modelwire.providers._anthropic.decode import NOTHING, WireAnswer, WireUsage
from modelwire.providers._anthropic.errors import error_from_body, garbage
from modelwire.providers._anthropic.parts import ORIGIN, Raw
from modelwire.providers._errors import StrayErrors, raise_stray
from modelwire.providers._json import UNREADABLE
from modelwire.providers._stream import FrameDecoder, only
from modelwire.types import Finish, PartEnd, ProviderEvent, RefusalDelta, Start, TextDelta, UsageUpdate

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.types import StreamEvent


class WireEvent(msgspec.Struct):
    """An event of any type; each type has some of these members."""

    type: str
    index: int = 0
    delta: WireDelta | None = None
    content_block: Raw = NOTHING
    message: WireAnswer | None = None
    usage: WireUsage | None = None
    context_management: Raw = NOTHING
    input_transformations: Raw = NOTHING


class WireKind(msgspec.Struct):
    """Of an event that is not in shape, enough to see whether it is one of those known here."""

    type: str


class WireUnknownDelta(msgspec.Struct):
    """The same of a delta."""

    delta: WireKind


_event = msgspec.json.Decoder(WireEvent)
_text_delta = only(WireDelta, type=Literal["text_delta"], text=str)
_text_event = msgspec.json.Decoder(
    only(WireEvent, type=Literal["content_block_delta"], index=int, delta=_text_delta)
).decode
_kind = msgspec.json.Decoder(WireKind)
_unknown_delta = msgspec.json.Decoder(WireUnknownDelta)


class AnthropicStreamDecoder(FrameDecoder[SseFramer]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = (
        "_answer",
        "_block",
        "_count",
        "_has_calls",
        "_index",
        "_more",
        "_place",
        "_started",
        "_stray",
        "_usage",
    )

    def __init__(self) -> None:
        super().__init__(SseFramer())
        self._stray = StrayErrors(error_from_body)
        self._answer = WireAnswer()
        self._usage = WireUsage()
        self._block: Block | None = None
        self._index = -1
        self._count = 0
        self._has_calls = False
        self._started = False
        self._more: Callable[[str], None]
        self._place = 0
        """Where text goes while more text is expected."""

    def _on_stray(self, index: int) -> None:
        self._stray.check(self._framer.stray, self._framer.count_before(index))

    def close(self) -> list[StreamEvent]:
        """No event: the answer is complete with `message_stop`, and only then."""
        if self.error is not None:
            raise self.error
        if self._done:
            return []
        outside = self._framer.outside()
        raise_stray([*outside, self._framer.unfinished()], error_from_body)
        if not self._started and outside:
            raise garbage(b"\n".join(outside), ValueError("no server-sent events"))
        what = "before message_stop" if self._started else "before its first event"
        raise StreamInterruptedError(f"{ORIGIN}: the stream ended {what}", status_code=200)

    def _more_text(self, frame: bytes, events: list[StreamEvent]) -> bool:
        event = _text_event(frame)
        if event.index != self._index:
            return False
        text = event.delta.text
        if text:
            self._more(text)
            events.append(TextDelta(text=text, index=self._place))
        return True

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        try:
            event = _event.decode(frame)
            if event.type == "content_block_delta":  # nearly all events
                self._on_delta(event, frame, events)
                return
            self._on_event(event, frame, events)
        except msgspec.ValidationError as error:
            self._on_odd_frame(frame, error, events)
        except UNREADABLE as error:
            raise _garbled(frame, error) from None

    def _on_odd_frame(self, frame: bytes, error: Exception, events: list[StreamEvent]) -> None:
        """An event that is not in shape: fine where it is one that nobody here knows."""
        told = error_from_body(frame)
        if told:
            raise told from None
        try:
            kind = _kind.decode(frame).type
            if kind == "content_block_delta":
                kind = _unknown_delta.decode(frame).delta.type
        except UNREADABLE:
            raise _garbled(frame, error) from None
        if kind in _KNOWN_EVENTS or kind in KNOWN_DELTAS:
            raise _garbled(frame, error) from None
        events.append(_unknown(kind, frame))

    def _on_event(self, event: WireEvent, frame: bytes, events: list[StreamEvent]) -> None:
        str(frame, "utf-8")  # the decoder does not look into what is kept raw
        match event.type:
            case "content_block_start":
                self._on_block_start(event, frame, events)
            case "content_block_stop":
                self._end_open(events)
            case "message_start":
                self._on_start(event, frame, events)
            case "message_delta":
                self._on_message_delta(event)
            case "message_stop":
                self._on_stop(frame, events)
            case "ping":
                pass  # it only keeps the connection open
            case "error":
                told = error_from_body(frame)
                assert told is not None
                raise told
            case _:
                events.append(_unknown(event.type, frame))

    # ------------------------------------------------------------------ one method for each type of event

    def _on_start(self, event: WireEvent, frame: bytes, events: list[StreamEvent]) -> None:
        if event.message is None:
            raise _garbled(frame, ValueError("it has no message"))
        if self._started:
            return  # said twice
        self._started = True
        self._answer = answer = event.message
        for name in answer.__struct_fields__:
            value = getattr(answer, name)
            if isinstance(value, Raw):
                setattr(answer, name, value.copy())
        events.append(Start(id=answer.id, model=answer.model))
        self._note_usage(answer.usage)
        counts = decode.usage(self._usage)
        if counts is not None:
            events.append(UsageUpdate(usage=counts))
        for raw in answer.content or ():  # empty, but for calls that code of the provider's made
            self._end(self._begin(raw, events), events)
        answer.content = None

    def _begin(self, raw: Raw, events: list[StreamEvent]) -> Block:
        block = begun_block(self._count, raw, self._answer.model)
        self._count += 1
        self._has_calls = self._has_calls or isinstance(block, ToolUseBlock)
        events += block.begin()
        return block

    def _end(self, block: Block, events: list[StreamEvent]) -> None:
        events += block.end()
        if block.empty and block.index == self._count - 1:
            self._count -= 1

    def _on_block_start(self, event: WireEvent, frame: bytes, events: list[StreamEvent]) -> None:
        if not self._started or not event.content_block:
            raise _garbled(frame, ValueError("it begins no block of a message"))
        self._end_open(events)  # blocks never interleave
        self._block, self._index = self._begin(event.content_block, events), event.index

    def _on_delta(self, event: WireEvent, frame: bytes, events: list[StreamEvent]) -> None:
        block, delta = self._block, event.delta
        if block is None or delta is None or event.index != self._index:
            raise _garbled(frame, ValueError("it adds to no block"))
        made = block.delta(delta)
        if delta.text and isinstance(block, TextBlock):
            self._more, self._place = block.pieces.append, block.index
            self._expect(AnthropicStreamDecoder._more_text)
        if made is not None:
            events.append(made)
        elif delta.type not in KNOWN_DELTAS:
            events.append(_unknown(delta.type, frame))

    def _end_open(self, events: list[StreamEvent]) -> None:
        """End the block that is still open, also where a server says no `content_block_stop`."""
        if self._block is not None:
            self._end(self._block, events)
            self._block = None

    def _on_message_delta(self, event: WireEvent) -> None:
        for name, source in (*((name, event.delta) for name in _STOP), *((name, event) for name in _LATE)):
            value = getattr(source, name, None)
            if value and value != parts.NULL:
                setattr(self._answer, name, value.copy() if isinstance(value, Raw) else value)
        self._note_usage(event.usage)

    def _note_usage(self, later: WireUsage | None) -> None:
        if later is not None:
            self._usage.update(later)

    def _on_stop(self, frame: bytes, events: list[StreamEvent]) -> None:
        if not self._started:
            raise _garbled(frame, ValueError("it ends a message that never began"))
        self._end_open(events)
        answer = self._answer
        if answer.stop_reason == "refusal":
            refusal = parts.refusal(answer.stop_details)
            if refusal.text:
                events.append(RefusalDelta(text=refusal.text, index=self._count))
            events.append(PartEnd(part=refusal, index=self._count))
        self._done = True
        finish = Finish(
            finish_reason=decode.unified_reason(answer.stop_reason, calls=self._has_calls),
            raw_finish_reason=answer.stop_reason,
            usage=decode.usage(self._usage),
            id=answer.id,
            model=answer.model,
            provider=ORIGIN,
            provider_data=decode.kept(answer, self._usage),
        )
        events.append(finish)


_STOP = ("stop_reason", "stop_sequence", "stop_details", "container")
_LATE = ("context_management", "input_transformations")
_KNOWN_EVENTS = {
    "message_start",
    "content_block_start",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
}


def _unknown(kind: str | None, frame: bytes) -> ProviderEvent:
    return ProviderEvent(provider=ORIGIN, kind=kind, data=Raw(bytes(frame)))


def _garbled(frame: bytes, error: Exception) -> ProtocolError:
    return ProtocolError(
        f"{ORIGIN}: an event of the stream is not one of the Messages API ({error}): {_http.excerpt(frame)}",
        status_code=200,
        body=frame[: _http.MAX_ERROR_BODY],
    )
