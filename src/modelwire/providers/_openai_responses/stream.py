"""A streamed answer of the Responses API to events.

https://platform.openai.com/docs/api-reference/responses-streaming. Each item is announced, filled by deltas, and given
whole when it is done; the last event repeats the whole response, which counts for more than all before it. Compatible
servers leave out numbers, ids and whole events, so all of them but the last may be missing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire import _http
from modelwire._frames import SseFramer
from modelwire.errors import BadRequestError, ModelClientError, ProtocolError, StreamInterruptedError
from modelwire.providers._errors import raise_stray
from modelwire.providers._json import NOTHING, UNREADABLE, Raw, given, members_of, text
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.providers._openai_responses import decode
from modelwire.providers._openai_responses.errors import failure
from modelwire.providers._openai_responses.items import ItemReader, citation
from modelwire.providers._openai_responses.slots import Slot
from modelwire.providers._stream import FrameDecoder, only
from modelwire.types import (
    CitationDelta,
    Finish,
    FunctionCall,
    LogprobsDelta,
    ProviderEvent,
    Refusal,
    Start,
    Text,
    TextDelta,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelwire.types import Part, StreamEvent, TokenLogprob


class WireEvent(msgspec.Struct, gc=False):
    type: str = ""
    output_index: int | None = None
    item_id: str | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    item: Raw = NOTHING
    part: Raw = NOTHING
    annotation: Raw = NOTHING
    response: Raw = NOTHING
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class _Typed(msgspec.Struct):
    type: str = ""


_event = msgspec.json.Decoder(WireEvent)
_TEXT = "response.output_text.delta"
_text_event = msgspec.json.Decoder(
    only(
        WireEvent, "item_id", type=Literal["response.output_text.delta"], output_index=int, content_index=int, delta=str
    )
).decode
_untidy_event = msgspec.json.Decoder(WireEvent, strict=False)
_typed = msgspec.json.Decoder(_Typed)


class _Item:
    """One item of the answer while it comes in."""

    __slots__ = ("done", "index", "kind", "slots")

    def __init__(self, index: int, kind: str) -> None:
        self.index = index
        self.kind = kind
        self.slots: dict[int, Slot] = {}
        """By `content_index`; all but messages have one part."""
        self.done = False


class ResponsesStreamDecoder(FrameDecoder[SseFramer]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = (
        "_by_id",
        "_by_index",
        "_item_index",
        "_items",
        "_logprobs",
        "_more",
        "_names",
        "_part_index",
        "_place",
        "_response",
        "_slots",
        "_started",
    )

    def __init__(self, names: decode.Names) -> None:
        super().__init__(SseFramer())
        self._names = names
        self._response = decode.WireResponse()
        self._items: list[_Item] = []
        self._by_index: dict[tuple[int, str], _Item] = {}
        self._by_id: dict[tuple[str, str], _Item] = {}
        self._slots: list[Slot] = []
        self._logprobs: list[TokenLogprob] = []
        self._item_index = self._part_index = 0
        """What the last delta of text belonged to."""
        self._more: Callable[[str], None]
        self._place = 0
        """Where such text goes while more text is expected."""
        self._started = False

    def close(self) -> list[StreamEvent]:
        """Raise what the end of the bytes means, unless the last event has come."""
        if self.error is not None:
            raise self.error
        if self._done:
            return []
        outside = self._framer.outside()
        self._raise_stray([*outside, self._framer.unfinished()])
        if not self._started and outside:
            raise decode.garbage(b"\n".join(outside), self._names, "no server-sent events")
        what = "before response.completed" if self._started else "before its first event"
        raise StreamInterruptedError(f"{self._names.provider}: the stream ended {what}", status_code=200)

    def _raise_stray(self, lines: Iterable[bytes]) -> None:
        raise_stray(lines, lambda body: error_from_body(body, self._names.provider))

    # ------------------------------------------------------------------ one event

    def _more_text(self, frame: bytes, events: list[StreamEvent]) -> bool:
        event = _text_event(frame)
        if event.output_index != self._item_index or event.content_index != self._part_index:
            return False
        text = event.delta
        if text:
            self._more(text)
            events.append(TextDelta(text=text, index=self._place))
        return True

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        if frame == b"[DONE]":  # of Chat Completions; some servers send it here too
            return
        event = self._read(frame)
        if not self._started:
            self._start(event, events)
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            try:
                handler(self, event, events)
            except (BadRequestError, *UNREADABLE) as error:  # what was raw until now
                raise self._garbage(frame, error) from None
        elif event.type in _TERMINAL:
            self._raise_stray(self._framer.stray_before(self._frames.index(frame)))
            self._on_end(event, events)
        elif event.type not in _SILENT:
            events.append(ProviderEvent(provider=self._names.origin, kind=event.type, data=Raw(frame)))

    def _read(self, frame: bytes) -> WireEvent:
        try:
            event = _event.decode(frame)
        except msgspec.ValidationError as error:
            event = self._read_untidy(frame, error)
        except UNREADABLE as error:
            raise self._garbage(frame, error) from None
        if event.type == "error" or not event.type:
            raise self._told(frame, event)
        return event

    def _read_untidy(self, frame: bytes, error: Exception) -> WireEvent:
        """An event with numbers as strings, or of a kind that is not read here, whose members may be anything."""
        try:
            return _untidy_event.decode(frame)
        except UNREADABLE:
            kind = self._kind(frame)
        if kind in _HANDLERS or kind in _TERMINAL or kind in ("", "error"):
            raise error_from_body(frame, self._names.provider) or self._garbage(frame, error)
        return WireEvent(type=kind)

    def _kind(self, frame: bytes) -> str:
        try:
            return _typed.decode(frame).type
        except UNREADABLE:
            return ""

    def _told(self, frame: bytes, event: WireEvent) -> ModelClientError:
        """The error that an event tells of: flat as it is documented, or as in an error answer."""
        if event.error:
            return failure(event.error, self._names.provider)
        if event.type == "error":
            flat = {"message": event.message, "code": event.code, "param": event.param}
            return failure(flat if event.message or event.code else None, self._names.provider)
        return self._garbage(frame, "it has no type")

    def _garbage(self, frame: bytes, error: object) -> ProtocolError:
        return ProtocolError(
            f"{self._names.provider}: an event of the stream is not one of the Responses API ({error}): "
            f"{_http.excerpt(frame)}",
            status_code=200,
            body=frame[: _http.MAX_ERROR_BODY],
        )

    def _start(self, event: WireEvent, events: list[StreamEvent]) -> None:
        self._started = True
        if given(event.response):
            self._response = decode.read_response(event.response, self._names)
        events.append(Start(id=self._response.id, model=self._response.model))

    # ------------------------------------------------------------------ which item, which part

    def _item(self, event: WireEvent, kind: str, item_id: str | None = None) -> _Item:
        """The item of this kind that an event belongs to: by its number, else by its id; a new one if there is none."""
        item_id = item_id or event.item_id
        if event.output_index is not None:
            item = self._by_index.get((event.output_index, kind))
        else:
            item = self._by_id.get((item_id or "", kind)) or self._open(kind)
        return item or self._new_item(event.output_index, item_id, kind)

    def _open(self, kind: str) -> _Item | None:
        """The item of this kind that is being filled, where events do not say which they mean."""
        return next((item for item in self._items if item.kind == kind and not item.done), None)

    def _new_item(self, index: int | None, item_id: str | None, kind: str) -> _Item:
        item = _Item(len(self._items) if index is None else index, kind)
        self._items.append(item)
        self._by_index[item.index, kind] = item
        if item_id:
            self._by_id[item_id, kind] = item
        self._slot(item, 0)  # the order of the items is that of their parts, whichever is filled first
        return item

    def _slot(self, item: _Item, place: int) -> Slot:
        """Where a part of the item stands among all parts of the answer."""
        slot = item.slots.get(place)
        if slot is None:
            slot = item.slots[place] = Slot(len(self._slots))
            self._slots.append(slot)
        return slot

    def _content(self, event: WireEvent, kind: type[Text | Refusal]) -> Slot:
        """Where a part of a message stands."""
        item = self._item(event, "message")
        if event.content_index is not None:
            return self._slot(item, event.content_index)
        place, last = next(reversed(item.slots.items()))
        return last if last.takes(kind) else self._slot(item, place + 1)

    # ------------------------------------------------------------------ items

    def on_added(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """An item begins."""
        members = members_of(event.item, "item")
        kind = text(members.get("type", NOTHING))
        if event.output_index is not None and (event.output_index, kind) in self._by_index:
            return  # announced twice, or filled before it was announced
        item = self._new_item(event.output_index, text(members.get("id", NOTHING)), kind)
        if kind in ("function_call", "custom_tool_call"):
            call = self._parts(event.item, item)[0]
            if isinstance(call, FunctionCall) and call.name:
                events.append(item.slots[0].begin(call))

    def on_done(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """An item is complete, and repeated as a whole."""
        members = members_of(event.item, "item")
        item = self._item(event, text(members.get("type", NOTHING)), text(members.get("id", NOTHING)))
        item.done = True
        for place, part in enumerate(self._parts(event.item, item)):
            events += self._slot(item, place).settle(part)

    def _parts(self, raw: Raw, item: _Item) -> list[Part]:
        reader = ItemReader(self._names.origin, self._response.id, self._response.model)
        parts = decode.item_parts(reader, raw, item.index, self._names)
        self._logprobs += reader.logprobs
        return parts

    # ------------------------------------------------------------------ their parts

    def on_part(self, event: WireEvent, _events: list[StreamEvent]) -> None:
        """A part of a message begins; it has its place even if it stays empty."""
        if text(members_of(event.part, "part").get("type", NOTHING)) != "reasoning_text":
            self._slot(self._item(event, "message"), event.content_index or 0)

    def on_text(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More text."""
        if event.delta:
            slot = self._content(event, Text)
            if event.output_index is not None and event.content_index is not None:
                self._item_index, self._part_index = event.output_index, event.content_index
                self._more, self._place = slot.pieces.append, slot.index
                self._expect(ResponsesStreamDecoder._more_text)
            events.append(slot.text(event.delta))

    def on_text_done(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """The whole text."""
        events += self._content(event, Text).catch_up(Text(text=event.text or ""))

    def on_annotation(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """A source of the text."""
        if not given(event.annotation):
            return
        slot = self._content(event, Text)
        cited = citation(event.annotation, self._names.origin)
        slot.citation(cited)
        events.append(CitationDelta(citation=cited, index=slot.index))

    def on_refusal(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More of a refusal."""
        if event.delta:
            events.append(self._content(event, Refusal).refusal(event.delta))

    def on_refusal_done(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """The whole refusal."""
        events += self._content(event, Refusal).catch_up(Refusal(text=event.refusal or ""))

    def on_summary(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More of a summary of the reasoning."""
        if event.delta:
            section = ("summary", event.summary_index or 0)
            events.append(self._item(event, "reasoning").slots[0].reasoning(event.delta, section))

    def on_reasoning(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More of the reasoning itself, of models with open weights."""
        if event.delta:
            section = ("content", event.content_index or 0)
            events.append(self._item(event, "reasoning").slots[0].reasoning(event.delta, section))

    def on_arguments(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More of a call's arguments."""
        if event.delta:
            events += self._item(event, "function_call").slots[0].arguments(event.delta)

    def on_input(self, event: WireEvent, events: list[StreamEvent]) -> None:
        """More of a free-text tool's input."""
        if event.delta:
            events += self._item(event, "custom_tool_call").slots[0].arguments(event.delta)

    # ------------------------------------------------------------------ the end

    def _on_end(self, event: WireEvent, events: list[StreamEvent]) -> None:
        if given(event.response):
            response = decode.read_response(event.response, self._names)
        else:
            response = decode.WireResponse(status=event.type.removeprefix("response."))
        if event.type == "response.failed":
            raise failure(response.error, self._names.provider)
        decode.check_failure(response, self._names)
        response.id = response.id or self._response.id
        response.model = response.model or self._response.model
        self._done = True
        logprobs = self._settle(response, events)
        if logprobs:
            events.append(LogprobsDelta(logprobs=logprobs))
        events.append(self._finish(response))

    def _settle(self, response: decode.WireResponse, events: list[StreamEvent]) -> list[TokenLogprob]:
        """Bring all parts to what the response says at last; some servers leave out there what they had sent."""
        parts, logprobs = decode.read_output(response, self._names)
        slots = self._slots
        if len(parts) != len(slots):
            slots = [slot for slot in slots if slot.told() is not None]
        if len(parts) < len(slots):
            return self._logprobs
        slots = slots + [Slot(len(self._slots) + more) for more in range(len(parts) - len(slots))]
        for slot, part in zip(slots, parts, strict=True):
            events += slot.settle(part)
        self._slots = slots
        return logprobs

    def _finish(self, response: decode.WireResponse) -> Finish:
        parts = [part for slot in self._slots if (part := slot.told()) is not None]
        reason, raw_reason = decode.finish_reason(response, parts, self._names.origin)
        return Finish(
            finish_reason=reason,
            raw_finish_reason=raw_reason,
            usage=decode.usage(response.usage),
            id=response.id,
            model=response.model,
            provider=self._names.provider,
            provider_data=decode.kept_members(response, self._names),
        )


_HANDLERS: dict[str, Callable[[ResponsesStreamDecoder, WireEvent, list[StreamEvent]], None]] = {
    "response.output_item.added": ResponsesStreamDecoder.on_added,
    "response.output_item.done": ResponsesStreamDecoder.on_done,
    "response.content_part.added": ResponsesStreamDecoder.on_part,
    _TEXT: ResponsesStreamDecoder.on_text,
    "response.output_text.done": ResponsesStreamDecoder.on_text_done,
    "response.output_text.annotation.added": ResponsesStreamDecoder.on_annotation,
    "response.refusal.delta": ResponsesStreamDecoder.on_refusal,
    "response.refusal.done": ResponsesStreamDecoder.on_refusal_done,
    "response.reasoning_summary_text.delta": ResponsesStreamDecoder.on_summary,
    "response.reasoning_text.delta": ResponsesStreamDecoder.on_reasoning,
    "response.function_call_arguments.delta": ResponsesStreamDecoder.on_arguments,
    "response.custom_tool_call_input.delta": ResponsesStreamDecoder.on_input,
}
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_SILENT = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.content_part.done",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.done",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.done",
    }
)
"""Events that repeat what others say: `response.output_item.done` has it all."""
