"""A streamed Chat Completions answer to events.

https://platform.openai.com/docs/api-reference/chat-streaming. Server-sent events with `data:` lines only, ended by
`[DONE]`. A call's first fragment has its id and name, the later ones only its `index`; nothing says that a call ends,
so all end with `finish_reason`. Usage comes in a chunk of its own after that, or on any chunk of compatible servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire import _http
from modelwire._fold import EventBuilder, join_base64
from modelwire._frames import SseFramer
from modelwire.errors import ModelClientError, ProtocolError, StreamInterruptedError
from modelwire.providers._openai_chat import decode
from modelwire.providers._openai_chat.decode import NOTHING, Raw, WireAudio, WireLegacyCall, WireLogprobs, WireUsage
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.types import (
    Audio,
    AudioDelta,
    ChoiceEnd,
    CitationDelta,
    Finish,
    LogprobsDelta,
    Reasoning,
    Refusal,
    Start,
    Text,
)

if TYPE_CHECKING:
    from modelwire._fold import FinishReason
    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.types import Citation, StreamEvent


class WireFunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class WireCustomDelta(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class WireCallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: WireFunctionDelta | None = None
    custom: WireCustomDelta | None = None
    extra_content: Raw = NOTHING
    """Gemini's compatible surface: the thought signature, which must come back."""


class WireDelta(msgspec.Struct):
    content: str | list[Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    refusal: str | None = None
    tool_calls: list[WireCallDelta] | None = None
    function_call: WireLegacyCall | None = None
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None
    images: list[Raw] | None = None


class WireChunkChoice(msgspec.Struct):
    delta: WireDelta | None = None
    index: int = 0
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None
    error: Any = None


class WireGroq(msgspec.Struct):
    usage: WireUsage | None = None


class WireChunk(msgspec.Struct):
    choices: list[WireChunkChoice] | None = None
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None
    error: Any = None
    x_groq: WireGroq | None = None


_chunk = msgspec.json.Decoder(WireChunk)
_envelope = msgspec.json.Decoder(decode.WireEnvelope)


class _Choice:
    """One of the `n` answers while it comes in."""

    def __init__(self, index: int, quirks: Quirks) -> None:
        self.index = index
        self.builder = EventBuilder(index)
        self.finished = False
        self.raw_reason: str | None = None
        self.has_calls = False
        self._quirks = quirks
        self._text: list[str] = []
        self._citations: list[Citation] = []
        self._reasoning: list[str] = []
        self._reasoning_field = ""
        self._details: list[Raw] = []
        self._refusal: list[str] = []
        self._audio: list[WireAudio] = []
        self._last_key: object = 0
        self._by_index: dict[int, object] = {}
        self._extra: dict[object, Raw] = {}

    @property
    def reason(self) -> FinishReason:
        return decode.unified_reason(self.raw_reason, calls=self.has_calls, refused=bool(self._refusal))

    def delta(self, delta: WireDelta, answer: decode.WireEnvelope, events: list[StreamEvent]) -> None:
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning or delta.reasoning_details:
            self._think(reasoning or "", "reasoning" if delta.reasoning else "reasoning_content", delta, events)
        content = delta.content
        if content:
            if isinstance(content, str):
                self._text.append(content)
                events.append(self.builder.text(content))
            else:
                self._chunks(content, answer, events)
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._call(call, answer, events)
        if delta.refusal:
            self._refusal.append(delta.refusal)
            events.append(self.builder.refusal(delta.refusal))
        if delta.audio is not None:
            self._hear(delta.audio, events)
        if delta.annotations:
            self._cite(delta.annotations, events)
        if delta.images:
            events += [self.builder.whole(decode.image(raw, self._quirks)) for raw in delta.images]
        if delta.function_call is not None:
            self._legacy(delta.function_call, answer, events)

    def _think(self, text: str, field: str, delta: WireDelta, events: list[StreamEvent]) -> None:
        self._details += [raw.copy() for raw in delta.reasoning_details or ()]
        if text:
            self._reasoning_field = self._reasoning_field or field
            self._reasoning.append(text)
            events.append(self.builder.reasoning(text))
        else:
            self.builder.place("reasoning")

    def _chunks(self, content: list[Raw], answer: decode.WireEnvelope, events: list[StreamEvent]) -> None:
        """Mistral: a list of chunks, with reasoning among them."""
        for part in decode.chunks(content, answer.model, self._quirks):
            if isinstance(part, Text) and part.provider_data is None:
                self._text.append(part.text)
                events.append(self.builder.text(part.text))
            elif isinstance(part, Reasoning):
                self._reasoning_field = "content"
                self._reasoning.append(part.text)
                events.append(self.builder.reasoning(part.text))
            else:
                events.append(self.builder.whole(part))

    def _call(self, call: WireCallDelta, answer: decode.WireEnvelope, events: list[StreamEvent]) -> None:
        key = self._key(call)
        custom = call.custom is not None
        if self.builder.call_id(key) is None:
            name = (call.custom.name if call.custom else call.function.name if call.function else None) or ""
            call_id = call.id or decode.made_up_id(answer.id, len(self.builder.open_calls()), name)
            events.append(self.builder.call(key, call_id, name, custom=custom))
            self.has_calls = True
            if call.extra_content:
                self._extra[key] = call.extra_content.copy()
        fragment = call.custom.input if call.custom else call.function.arguments if call.function else None
        if fragment:
            events.append(self.builder.arguments(key, fragment))

    def _key(self, call: WireCallDelta) -> object:
        """What tells this call from others: its index.

        Some servers send no index, and then each id is a call; some send index 0 for all, and then a new id under
        the same index begins a new call.
        """
        if call.index is None:
            key: object = call.id or self._last_key
        else:
            key = self._by_index.get(call.index, call.index)
            known = self.builder.call_id(key)
            if known is not None and call.id and call.id != known and call.function and call.function.name:
                key = self._by_index[call.index] = (call.index, call.id)
        self._last_key = key
        return key

    def _legacy(self, call: WireLegacyCall, answer: decode.WireEnvelope, events: list[StreamEvent]) -> None:
        if self.builder.call_id("legacy") is None:
            name = call.name or ""
            events.append(self.builder.call("legacy", decode.made_up_id(answer.id, 0, name), name))
            self.has_calls = True
        if call.arguments:
            events.append(self.builder.arguments("legacy", call.arguments))

    def _hear(self, audio: WireAudio, events: list[StreamEvent]) -> None:
        self._audio.append(audio)
        if audio.data or audio.transcript:
            index = self.builder.place("audio")
            delta = AudioDelta(data=audio.data or "", transcript=audio.transcript or "", index=index, choice=self.index)
            events.append(delta)

    def _cite(self, annotations: list[Raw], events: list[StreamEvent]) -> None:
        index = self.builder.place("text")
        for citation in decode.citations(annotations, self._quirks) or ():
            self._citations.append(citation)
            events.append(CitationDelta(citation=citation, index=index, choice=self.index))

    def close(self, answer: decode.WireEnvelope) -> list[StreamEvent]:
        """The ends of all open parts."""
        events: list[StreamEvent] = []
        builder, quirks = self.builder, self._quirks
        if self._reasoning or self._details:
            text = "".join(self._reasoning)
            field = self._reasoning_field or quirks.reasoning_field
            details = merged_details(self._details) or None
            events.append(builder.end("reasoning", decode.reasoning(text, field, details, answer.model, quirks)))
        if self._citations:
            events.append(builder.end("text", Text(text="".join(self._text), citations=self._citations)))
        if self._refusal:
            events.append(builder.end("refusal", Refusal(text="".join(self._refusal))))
        if self._audio:
            events.append(builder.end("audio", self._whole_audio()))
        for key in builder.open_calls():
            extra = self._extra.get(key)
            events.append(builder.end_call(key, {quirks.provider: {"extra_content": extra}} if extra else None))
        return events

    def _whole_audio(self) -> Audio:
        pieces = self._audio
        return Audio(
            id=next((piece.id for piece in pieces if piece.id), ""),
            data=join_base64([piece.data for piece in pieces if piece.data]) or None,
            transcript="".join(piece.transcript or "" for piece in pieces) or None,
            expires_at=next((piece.expires_at for piece in reversed(pieces) if piece.expires_at), None),
        )


def merged_details(details: list[Raw]) -> list[Raw]:
    """OpenRouter's `reasoning_details` of a stream as the list that a whole answer would have had.

    Fragments of one text or summary follow each other; all else stays byte for byte.
    https://openrouter.ai/docs/use-cases/reasoning-tokens
    """
    merged: list[Raw] = []
    run: dict[str, Any] = {}
    for raw in details:
        value: Any = msgspec.json.decode(raw)
        member = _DETAIL_TEXT.get(str(value.get("type"))) if isinstance(value, dict) else None
        if member is None:
            merged += _ended(run)
            run = {}
            merged.append(raw)
        elif run and (run["type"], run.get("index"), run.get("id")) == (
            value["type"],
            value.get("index"),
            value.get("id") or run.get("id"),
        ):
            run[member] = (run.get(member) or "") + (value.get(member) or "")
            run |= {key: item for key, item in value.items() if key != member and item is not None}
        else:
            merged += _ended(run)
            run = value
    return merged + _ended(run)


_DETAIL_TEXT = {"reasoning.text": "text", "reasoning.summary": "summary"}


def _ended(run: dict[str, Any]) -> list[Raw]:
    return [Raw(msgspec.json.encode(run))] if run else []


class ChatStreamDecoder:
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = ("_answer", "_choices", "_done", "_framer", "_quirks", "_started", "_usage", "error")

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._framer = SseFramer()
        self._answer = decode.WireEnvelope()
        self._choices: dict[int, _Choice] = {}
        self._usage: WireUsage | None = None
        self._started = False
        self._done = False
        self.error: ModelClientError | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that these bytes complete."""
        if self.error is not None:
            raise self.error
        events: list[StreamEvent] = []
        try:
            for frame in self._framer.feed(data):
                if self._done:
                    break
                if frame == b"[DONE]":
                    events += self._finish()
                else:
                    self._on_chunk(frame, events)
            if self._framer.stray:
                self._check_stray()
        except ModelClientError as error:
            if not events:
                raise
            self.error = error
        return events

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes completes.

        `[DONE]` may be missing where every choice has its `finish_reason`.
        """
        if self.error is not None:
            raise self.error
        if self._done:
            return []
        self._check_stray(self._framer.rest())
        if self._choices and all(choice.finished for choice in self._choices.values()):
            return self._finish()
        if not self._started and (self._framer.stray or self._framer.rest()):
            body = b"\n".join([*self._framer.stray, self._framer.rest()])
            raise decode.garbage(body, self._quirks, ValueError("no server-sent events"))
        what = "before its finish_reason" if self._started else "before its first event"
        raise StreamInterruptedError(f"{self._quirks.provider}: the stream ended {what}")

    def _check_stray(self, rest: bytes = b"") -> None:
        """Raise the error that stands as bare JSON in the stream."""
        body = b"\n".join([*self._framer.stray, rest]).strip()
        error = error_from_body(body, self._quirks.provider) if body[:1] in (b"{", b"[") else None
        if error:
            raise error

    def _on_chunk(self, frame: bytes, events: list[StreamEvent]) -> None:
        try:
            chunk = _chunk.decode(frame)
        except msgspec.ValidationError as error:
            chunk = self._untidy(frame, error)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._garbage(frame, error) from None
        if chunk.error:
            raise error_from_body(frame, self._quirks.provider) or self._garbage(frame, ValueError("an empty error"))
        if not self._started:
            self._started = True
            self._note(frame)
            events.append(Start(id=self._answer.id, model=self._answer.model))
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._usage = chunk.x_groq.usage
        for choice in chunk.choices or ():
            if choice.index not in self._choices and not self._answer.model:
                self._note(frame)  # Azure's first chunk has neither id nor model
            self._on_choice(choice, events)
        if not chunk.choices or chunk.choices[0].finish_reason:
            self._note(frame)

    def _note(self, frame: bytes) -> None:
        """Remember what a chunk says about the answer as a whole; the last word counts."""
        try:
            found = _envelope.decode(frame)
        except msgspec.ValidationError:
            found = msgspec.convert(decode.tidied(msgspec.json.decode(frame)), decode.WireEnvelope, strict=False)
        self._answer.update(found)

    def _on_choice(self, wire: WireChunkChoice, events: list[StreamEvent]) -> None:
        choice = self._choices.get(wire.index)
        if choice is None:
            choice = self._choices[wire.index] = _Choice(wire.index, self._quirks)
        if wire.error:
            told = error_from_body(msgspec.json.encode({"error": wire.error}), self._quirks.provider)
            raise told or ProtocolError(f"{self._quirks.provider}: an empty error inside the stream", status_code=200)
        if wire.delta is not None:
            choice.delta(wire.delta, self._answer, events)
        if wire.logprobs is not None:
            tokens = decode.logprobs(wire.logprobs)
            if tokens:
                events.append(LogprobsDelta(logprobs=tokens, choice=wire.index))
        if wire.finish_reason:  # some servers send an empty one on every chunk
            choice.raw_reason = wire.finish_reason
            choice.finished = True

    def _untidy(self, frame: bytes, error: Exception) -> WireChunk:
        told = error_from_body(frame, self._quirks.provider)
        if told:
            raise told
        try:
            value = decode.tidied(msgspec.json.decode(frame))
            for choice in value.get("choices") or ():
                _tidy_delta(choice)
            return msgspec.convert(value, WireChunk, strict=False)
        except (msgspec.ValidationError, TypeError, AttributeError):
            raise self._garbage(frame, error) from None

    def _garbage(self, frame: bytes, error: Exception) -> ProtocolError:
        return ProtocolError(
            f"{self._quirks.provider}: an event of the stream is not a chat completion chunk ({error}): {_http.excerpt(frame)}",
            status_code=200,
            body=frame[: _http.MAX_ERROR_BODY],
        )

    def _finish(self) -> list[StreamEvent]:
        self._done = True
        if not self._choices:
            raise ProtocolError(f"{self._quirks.provider}: the stream ended without a single choice", status_code=200)
        events: list[StreamEvent] = []
        for index in sorted(self._choices):
            choice = self._choices[index]
            events += choice.close(self._answer)
            if index:
                events.append(ChoiceEnd(finish_reason=choice.reason, raw_finish_reason=choice.raw_reason, choice=index))
        first = self._choices[min(self._choices)]
        finish = Finish(
            finish_reason=first.reason,
            raw_finish_reason=first.raw_reason,
            usage=decode.usage(self._usage, self._quirks),
            id=self._answer.id,
            model=self._answer.model,
            provider=self._quirks.provider,
            provider_data=decode.kept(self._answer, self._quirks),
        )
        return [*events, finish]


def _tidy_delta(choice: dict[str, Any]) -> None:
    """Calls of a delta are typed, not raw as in a whole answer: undo that, and write object arguments as text."""
    delta = choice.get("delta")
    if not isinstance(delta, dict) or not delta.get("tool_calls"):
        return
    calls = delta["tool_calls"]
    delta["tool_calls"] = tidy = [msgspec.json.decode(raw) for raw in calls]
    for call in tidy:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and isinstance(function.get("arguments"), (dict, list)):
            function["arguments"] = msgspec.json.encode(function["arguments"]).decode()
        if isinstance(call, dict) and call.get("extra_content") is not None:
            call["extra_content"] = Raw(msgspec.json.encode(call["extra_content"]))
