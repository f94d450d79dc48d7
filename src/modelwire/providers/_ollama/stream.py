"""A streamed answer of Ollama's `/api/chat` to events.

One JSON object a line, of the same shape as a whole answer; `done` marks the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelwire._fold import EventBuilder
from modelwire._frames import NdjsonFramer
from modelwire.errors import StreamInterruptedError
from modelwire.providers._json import UNREADABLE
from modelwire.providers._ollama.decode import (
    WireAnswer,
    WireMessage,
    finish_reason,
    function_call,
    garbage,
    kept,
    read,
    timing,
    usage,
)
from modelwire.providers._ollama.encode import ORIGIN
from modelwire.providers._stream import FrameDecoder, only
from modelwire.types import Finish, LogprobsDelta, Reasoning, Start, TextDelta

if TYPE_CHECKING:
    from modelwire.types import FunctionCall, StreamEvent

_FACTS = ("model", "created_at")
_text_line = msgspec.json.Decoder(
    only(WireAnswer, *_FACTS, message=only(WireMessage, content=str), done=(bool, False))
).decode


class OllamaStreamDecoder(FrameDecoder[NdjsonFramer]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = ("_builder", "_calls", "_model", "_started", "_thinking")

    def __init__(self) -> None:
        super().__init__(NdjsonFramer())
        self._builder = EventBuilder()
        self._thinking: list[str] = []
        self._calls = 0
        self._model: str | None = None
        self._started = False

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes completes: the last line need not end in a line end."""
        if self.error is not None:
            raise self.error
        events = self._events_of(self._framer.close())
        if not self._done and self.error is None:
            what = "the stream ended before its last line, which says done"
            self._raise_after(events, StreamInterruptedError(f"{ORIGIN}: {what}"))
        return events

    def _more_text(self, frame: bytes, events: list[StreamEvent]) -> bool:
        line = _text_line(frame)
        if line.done:
            return False
        text = line.message.content
        if text:
            events.append(TextDelta(text=text, index=self._builder.place("text")))
        return True

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        line = read(frame)
        try:
            self._on_line(line, events)
        except UNREADABLE as error:  # what was raw until now
            raise garbage(frame, error) from None

    def _on_line(self, line: WireAnswer, events: list[StreamEvent]) -> None:
        builder = self._builder
        self._model = line.model or self._model
        if not self._started:
            self._started = True
            events.append(Start(model=self._model))
        message = line.message
        if message is not None:
            if message.thinking:
                self._thinking.append(message.thinking)
                events.append(builder.reasoning(message.thinking))
            if message.content:
                events.append(builder.text(message.content))
            for raw in message.tool_calls or ():
                self._call(function_call(raw, self._calls, line.created_at), events)
        if line.logprobs:
            events.append(LogprobsDelta(logprobs=line.logprobs))
        if line.done:
            self._finish(line, events)
        elif message is not None and message.content:
            self._expect(OllamaStreamDecoder._more_text)

    def _call(self, call: FunctionCall, events: list[StreamEvent]) -> None:
        """A call comes whole."""
        key = self._calls
        self._calls += 1
        events.append(self._builder.call(key, call.id, call.name))
        events.append(self._builder.arguments(key, call.arguments))
        events.append(self._builder.end_call(key, call.provider_data))

    def _finish(self, line: WireAnswer, events: list[StreamEvent]) -> None:
        self._done = True
        if self._thinking:
            reasoning = Reasoning(text="".join(self._thinking), provider=ORIGIN, model=self._model)
            events.append(self._builder.end("reasoning", reasoning))
        finish = Finish(
            finish_reason=finish_reason(line.done_reason, calls=self._calls > 0),
            raw_finish_reason=line.done_reason,
            usage=usage(line),
            model=self._model,
            provider=ORIGIN,
            timing=timing(line),
            provider_data=kept(line),
        )
        events.append(finish)
