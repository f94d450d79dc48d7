"""A streamed answer to events: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent.

Server-sent events with `data:` lines only. Each is an answer of its own, whose parts are what is new. Function calls
come whole. Nothing marks the end but the end of the bytes: after a `finishReason` there may come more, be it usage and
sources, or, between the steps of code execution, the rest of the answer.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Literal

import msgspec

from modelwire._frames import SseFramer
from modelwire.errors import StreamInterruptedError
from modelwire.providers._errors import StrayErrors
from modelwire.providers._gemini import decode
from modelwire.providers._gemini.candidate import Answer, StreamedCandidate
from modelwire.providers._gemini.errors import error_from_body
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.wire import (
    WireAnswer,
    WireCandidate,
    WireContent,
    WirePlain,
    WireUsage,
    kept_of_answer,
    kept_of_usage,
)
from modelwire.providers._stream import FrameDecoder, only
from modelwire.types import ChoiceEnd, Finish, LogprobsDelta, Start, UsageUpdate

if TYPE_CHECKING:
    from modelwire._fold import FinishReason
    from modelwire.providers._gemini.members import Raw
    from modelwire.types import StreamEvent, Usage


_text_candidate = only(WireCandidate, index=(Literal[0], 0), content=only(WireContent, parts=tuple[WirePlain]))
_text_chunk = msgspec.json.Decoder(
    only(
        WireAnswer,
        "model_version",
        "response_id",
        candidates=GenericAlias(tuple, (_text_candidate,)),
        usage_metadata=(WireUsage | None, None),
    )
).decode


class GeminiStreamDecoder(FrameDecoder[SseFramer]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = ("_answer", "_beside", "_candidates", "_kept", "_started", "_stray", "_usage")

    def __init__(self) -> None:
        super().__init__(SseFramer())
        self._stray = StrayErrors(error_from_body)
        self._candidates: dict[int, StreamedCandidate] = {}
        self._kept: dict[str, Raw] = {}
        self._usage: Usage | None = None
        self._beside: object = None
        """What the last counts were told with."""
        self._answer = Answer()
        self._started = False

    def chunks(self, chunks: list[bytes]) -> list[StreamEvent]:
        """The events of chunks that came without framing."""
        return self._events_of(chunks)

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes completes: it is the end of the answer where that had a reason."""
        if self.error is not None:
            raise self.error
        self._raise_rest()
        if self._started and all(candidate.raw_reason for candidate in self._candidates.values()):
            if self._candidates:
                return self._finish()
            if "promptFeedback" in self._kept:
                return self._blocked()
        rest = self._framer.rest()
        if not self._started and (self._framer.stray or not _begins_event(rest)):
            raise decode.garbage(b"\n".join([*self._framer.stray, rest]), ValueError("no server-sent events"))
        what = "before its finishReason" if self._started else "before its first event"
        raise StreamInterruptedError(f"{ORIGIN}: the stream ended {what}")

    def _on_stray(self, index: int) -> None:
        self._stray.check(self._framer.stray, self._framer.count_before(index))

    def _raise_rest(self) -> None:
        """Raise the error that stands at the end, whose last line no line end completes."""
        rest = self._framer.rest()
        told = error_from_body(b"\n".join([*self._framer.stray, rest]).strip()) if rest else None
        if told:
            raise told

    def _more_text(self, frame: bytes, events: list[StreamEvent]) -> bool:
        chunk = _text_chunk(frame)
        piece = chunk.candidates[0].content.parts[0]
        if not piece.text or not self._candidates[0].more(piece, events):
            return False
        if chunk.usage_metadata is not None:
            self._note_usage(chunk.usage_metadata, events)
        return True

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        chunk = decode.read(frame)
        answer = self._answer
        answer.id = chunk.response_id or answer.id
        answer.model = chunk.model_version or answer.model
        self._kept |= kept_of_answer(chunk)
        if not self._started:
            self._started = True
            events.append(Start(id=answer.id, model=answer.model))
        before = len(events)
        try:
            for at, candidate in enumerate(chunk.candidates or ()):
                self._candidate(decode.candidate_index(candidate, at), candidate, events)
        except decode.UNREADABLE as error:
            raise decode.garbage(frame, error) from None
        if chunk.usage_metadata is not None:
            self._note_usage(chunk.usage_metadata, events if len(events) > before else None)

    def _candidate(self, index: int, wire: WireCandidate, events: list[StreamEvent]) -> None:
        candidate = self._candidates.get(index)
        if candidate is None:
            candidate = self._candidates[index] = StreamedCandidate(index, self._answer)
        candidate.add(wire, events)
        if not index and candidate.writing:
            self._expect(GeminiStreamDecoder._more_text)
        tokens = decode.logprobs(wire.logprobs_result)
        if tokens:
            events.append(LogprobsDelta(logprobs=tokens, choice=index))

    def _note_usage(self, wire: WireUsage, events: list[StreamEvent] | None) -> None:
        """Counts are cumulative: the last ones count. They are told together with content, not alone."""
        beside = kept_of_usage.read(wire)
        if beside != self._beside:
            self._beside = beside
            self._kept |= kept_of_usage(wire)
        usage = decode.usage(wire)
        if usage is not None and usage != self._usage:
            self._usage = usage
            if events is not None:
                events.append(UsageUpdate(usage=usage))

    def _finish(self) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        first = min(self._candidates)
        try:
            for index in sorted(self._candidates):
                candidate = self._candidates[index]
                candidate.close(events)
                if index:
                    events.append(self._choice_end(candidate))
        except decode.UNREADABLE as error:
            raise decode.garbage(msgspec.json.encode(self._candidates[first].kept), error) from None
        candidate = self._candidates[first]
        kept = self._kept | candidate.kept
        return [*events, self._end(candidate.reason, candidate.raw_reason, kept)]

    def _choice_end(self, candidate: StreamedCandidate) -> ChoiceEnd:
        return ChoiceEnd(
            finish_reason=candidate.reason, raw_finish_reason=candidate.raw_reason, choice=candidate.builder.choice
        )

    def _blocked(self) -> list[StreamEvent]:
        """A prompt that was blocked has no candidates."""
        feedback = self._kept["promptFeedback"]
        try:
            raw = decode.block_reason(feedback)
        except decode.UNREADABLE as error:
            raise decode.garbage(bytes(feedback), error) from None
        return [self._end("content_filter", raw, self._kept)]

    def _end(self, reason: FinishReason, raw: str | None, kept: dict[str, Raw]) -> Finish:
        return Finish(
            finish_reason=reason,
            raw_finish_reason=raw,
            usage=self._usage,
            id=self._answer.id,
            request_id=self._answer.id,
            model=self._answer.model,
            provider=ORIGIN,
            provider_data={ORIGIN: kept} if kept else None,
        )


def _begins_event(line: bytes) -> bool:
    """Whether this may be the beginning of an event, or is nothing at all."""
    return b"data:".startswith(line[:5])


def events_of_list(body: bytes) -> list[StreamEvent]:
    """The events of a stream that came without `alt=sse`: as one JSON list of its chunks.

    Raises as the stream decoder does, and `ProtocolError` for anything else.
    """
    try:
        chunks = msgspec.json.decode(body, type=list[msgspec.Raw])
    except decode.UNREADABLE as error:
        raise decode.garbage(body, error) from None
    if not chunks:
        raise decode.garbage(body, ValueError("an empty list"))
    decoder = GeminiStreamDecoder()
    events = decoder.chunks([bytes(chunk) for chunk in chunks])
    return events + decoder.close()
