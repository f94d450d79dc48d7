"""A streamed Chat Completions answer to events.

https://platform.openai.com/docs/api-reference/chat-streaming. Server-sent events with `data:` lines only, ended by
`[DONE]`. Usage comes in a chunk of its own after the `finish_reason`, or on any chunk of compatible servers.
"""

from __future__ import annotations

from types import GenericAlias
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire import _http
from modelwire._frames import SseFramer
from modelwire.errors import ProtocolError, StreamInterruptedError
from modelwire.providers._errors import raise_stray
from modelwire.providers._json import UNREADABLE
from modelwire.providers._openai_chat import decode
from modelwire.providers._openai_chat.choice import StreamedChoice
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.providers._openai_chat.tidy import tidied
from modelwire.providers._openai_chat.wire import (
    NOTHING,
    Raw,
    WireCallDelta,
    WireChunk,
    WireChunkChoice,
    WireDelta,
    WireEnvelope,
    WireFunctionDelta,
    WireLastChunk,
)
from modelwire.providers._stream import FrameDecoder, only
from modelwire.types import ChoiceEnd, Finish, LogprobsDelta, Start, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.providers._openai_chat.wire import WireUsage
    from modelwire.types import StreamEvent

_chunk = msgspec.json.Decoder(WireChunk)
_untidy_chunk = msgspec.json.Decoder(WireChunk, strict=False)
_last_chunk = msgspec.json.Decoder(WireLastChunk)
_NO_TEXT = (Literal[""] | None, None)
_untidy_last_chunk = msgspec.json.Decoder(WireLastChunk, strict=False)
_ENDS = ("native_finish_reason", "stop_reason")


def _narrow_decode(delta: Any) -> Callable[[bytes], Any]:
    """For chunks that have nothing but this delta."""
    choice = only(
        WireChunkChoice,
        index=(Literal[0], 0),
        delta=delta,
        content_filter_results=(Raw, NOTHING),  # in all chunks of Azure
    )
    return msgspec.json.Decoder(only(WireChunk, "id", "model", choices=GenericAlias(tuple, (choice,)))).decode


_text_chunk = _narrow_decode(only(WireDelta, content=str))
_fragment = only(
    WireCallDelta, index=int, type=(Literal["function"] | None, None), function=only(WireFunctionDelta, arguments=str)
)
_arguments_chunk = _narrow_decode(only(WireDelta, tool_calls=GenericAlias(tuple, (_fragment,)), content=_NO_TEXT))
_reasoning_chunk = _narrow_decode(
    only(WireDelta, reasoning=(str | None, None), reasoning_content=(str | None, None), content=_NO_TEXT)
)


class ChatStreamDecoder(FrameDecoder[SseFramer]):
    """Bytes of one streamed answer to events; see `protocols.StreamDecoder`."""

    __slots__ = ("_answer", "_choices", "_ends", "_index", "_more", "_quirks", "_started", "_usage")

    def __init__(self, quirks: Quirks) -> None:
        super().__init__(SseFramer())
        self._quirks = quirks
        self._answer = WireEnvelope()
        self._choices: dict[int, StreamedChoice] = {}
        self._ends: dict[str, Raw] = {}
        self._usage: WireUsage | None = None
        self._started = False
        self._more: Callable[[str], None]
        self._index = 0
        """Where text goes while more of it is expected."""

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes completes.

        `[DONE]` may be missing where every choice has its `finish_reason`.
        """
        if self.error is not None:
            raise self.error
        if self._done:
            return []
        outside = self._framer.outside()
        self._raise_stray([*outside, self._framer.unfinished()])
        if self._choices and all(choice.finished for choice in self._choices.values()):
            return self._finish()
        if not self._started and outside:
            raise decode.garbage(b"\n".join(outside), self._quirks, ValueError("no server-sent events"))
        what = "before its finish_reason" if self._started else "before its first event"
        raise StreamInterruptedError(f"{self._quirks.provider}: the stream ended {what}", status_code=200)

    def _raise_stray(self, lines: Iterable[bytes]) -> None:
        raise_stray(lines, lambda body: error_from_body(body, self._quirks.provider))

    def _more_text(self, frame: bytes, events: list[StreamEvent]) -> bool:
        choice = _text_chunk(frame).choices[0]
        if choice.content_filter_results:
            self._choices[0].filtered(choice.content_filter_results)
        text = choice.delta.content
        if text:
            self._more(text)
            events.append(TextDelta(text=text, index=self._index))
        return True

    def _more_arguments(self, frame: bytes, events: list[StreamEvent]) -> bool:
        choice = _arguments_chunk(frame).choices[0]
        call = choice.delta.tool_calls[0]
        open_choice = self._choices[0]
        if call.index != open_choice.last_call:
            return False
        if choice.content_filter_results:
            open_choice.filtered(choice.content_filter_results)
        if call.function.arguments:
            events.append(open_choice.more_arguments(call.function.arguments))
        return True

    def _more_reasoning(self, frame: bytes, events: list[StreamEvent]) -> bool:
        choice = _reasoning_chunk(frame).choices[0]
        if choice.content_filter_results:
            self._choices[0].filtered(choice.content_filter_results)
        text = choice.delta.reasoning or choice.delta.reasoning_content
        if text:
            events.append(self._choices[0].more_reasoning(text))
        return True

    def _on_frame(self, frame: bytes, events: list[StreamEvent]) -> None:
        if frame == b"[DONE]":
            self._raise_stray(self._framer.stray_before(self._frames.index(frame)))
            events += self._finish()
        else:
            self._on_chunk(frame, events)

    def _on_chunk(self, frame: bytes, events: list[StreamEvent]) -> None:
        try:
            chunk = _chunk.decode(frame)
        except UNREADABLE as error:
            chunk = self._untidy(frame, error)
        groq = chunk.x_groq
        if chunk.error or not chunk.choices or groq is not None:
            self._raise_told(chunk, frame)
        if chunk.usage is not None:
            self._count(chunk.usage)
        elif groq is not None and groq.usage is not None:
            self._count(groq.usage)
        try:
            if not self._started:
                self._start(chunk, frame, events)
            for choice in chunk.choices or ():
                self._on_choice(choice, events)
            if not chunk.choices or chunk.choices[0].finish_reason:
                self._note(frame)
        except UNREADABLE as error:  # what was raw until now
            raise self._garbage(frame, error) from None

    def _raise_told(self, chunk: WireChunk, frame: bytes) -> None:
        """Raise the error that a chunk consists of."""
        told = error_from_body(frame, self._quirks.provider)
        if told is None and chunk.x_groq is not None and chunk.x_groq.error:
            told = decode.error_of_choice(chunk.x_groq.error, self._quirks)
        if told is not None:
            raise told
        if chunk.error:
            raise self._garbage(frame, ValueError("an error that says nothing"))

    def _start(self, chunk: WireChunk, frame: bytes, events: list[StreamEvent]) -> None:
        """Azure's first chunk has neither id nor model, and what its filters saw in the prompt."""
        self._note(frame)
        if chunk.id or chunk.model or chunk.choices:
            self._started = True
            events.append(Start(id=self._answer.id, model=self._answer.model))

    def _count(self, usage: WireUsage) -> None:
        """Take over what was used up to now; the last numbers count."""
        if usage.prompt_tokens is not None or usage.completion_tokens is not None:
            self._usage = usage

    def _note(self, frame: bytes) -> None:
        """Remember what a chunk says about the answer as a whole; the last word counts."""
        try:
            found = _last_chunk.decode(frame)
        except msgspec.ValidationError:
            found = _untidy_last_chunk.decode(tidied(frame))
        self._answer.update(found)
        for end in found.choices or ():
            if not end.index:
                self._ends |= decode.members(_ENDS, (end.native_finish_reason, end.stop_reason))

    def _on_choice(self, wire: WireChunkChoice, events: list[StreamEvent]) -> None:
        choice = self._choices.get(wire.index)
        if choice is None:
            choice = self._choices[wire.index] = StreamedChoice(wire.index, self._quirks)
        if wire.error:
            raise decode.error_of_choice(wire.error, self._quirks)
        if wire.delta is not None:
            choice.delta(wire.delta, self._answer, events)
        if wire.logprobs is not None:
            tokens = decode.logprobs(wire.logprobs)
            if tokens:
                events.append(LogprobsDelta(logprobs=tokens, choice=wire.index))
        if wire.content_filter_results:
            choice.filtered(wire.content_filter_results)
        if wire.finish_reason:  # some servers send an empty one on every chunk
            choice.raw_reason = wire.finish_reason
            choice.finished = True
        elif wire.delta is not None and not wire.index:
            self._expect_more(wire.delta, choice)

    def _expect_more(self, delta: WireDelta, choice: StreamedChoice) -> None:
        if choice.takes_text(delta):
            self._more, self._index = choice.more_text()
            self._expect(ChatStreamDecoder._more_text)
        elif delta.tool_calls:
            self._expect(ChatStreamDecoder._more_arguments)
        elif (delta.reasoning or delta.reasoning_content) and not (delta.content or delta.reasoning_details):
            self._expect(ChatStreamDecoder._more_reasoning)

    def _untidy(self, frame: bytes, error: Exception) -> WireChunk:
        told = error_from_body(frame, self._quirks.provider)
        if told:
            raise told
        try:
            return _untidy_chunk.decode(tidied(frame))
        except UNREADABLE:
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
            events += self._ends_of(choice)
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
            provider_data=decode.kept(self._answer, first.kept() | self._ends, self._quirks),
        )
        return [*events, finish]

    def _ends_of(self, choice: StreamedChoice) -> list[StreamEvent]:
        try:
            return choice.close(self._answer)
        except UNREADABLE as error:
            raise ProtocolError(
                f"{self._quirks.provider}: the reasoning_details of the stream cannot be read ({error})",
                status_code=200,
            ) from None
