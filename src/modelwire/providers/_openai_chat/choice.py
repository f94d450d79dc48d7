"""One of the answers of a stream while its deltas come in.

A call's first fragment has its id and name, the later ones only its `index`; nothing says that a call ends, so all end
with the choice. https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelwire._fold import EventBuilder, join_base64
from modelwire.providers._body import made_up_id, own_data
from modelwire.providers._openai_chat import decode
from modelwire.providers._openai_chat.inline import ThinkTags
from modelwire.providers._openai_chat.wire import said, tells
from modelwire.types import Audio, AudioDelta, CitationDelta, ProviderPart, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire._fold import FinishReason
    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.providers._openai_chat.wire import (
        WireAudio,
        WireCallDelta,
        WireDelta,
        WireEnvelope,
        WireLegacyCall,
    )
    from modelwire.types import Citation, ReasoningDelta, StreamEvent, ToolCallDelta

Raw = msgspec.Raw
_members = msgspec.json.Decoder(dict[str, Raw])


class StreamedChoice:
    """One of the `n` answers."""

    def __init__(self, index: int, quirks: Quirks) -> None:
        self.index = index
        self.builder = EventBuilder(index)
        self.finished = False
        self.raw_reason: str | None = None
        self.has_calls = False
        self._refused = False
        self._quirks = quirks
        self._text: list[str] = []
        self._citations: list[Citation] = []
        self._reasoning: list[str] = []
        self._reasoning_field = ""
        self._tags = ThinkTags() if quirks.think_tags else None
        self._reasoning_own: dict[str, Raw] = {}
        self._details: list[Raw] = []
        self._refusal: list[str] = []
        self._audio: list[WireAudio] = []
        self._last_key: object = 0
        self.last_call: int | None = None
        """The index under which the last fragment of a call came."""
        self._by_index: dict[int, object] = {}
        self._extra: dict[object, dict[str, Raw]] = {}
        self._filtered = b""
        self._filters: dict[str, Raw] = {}

    @property
    def reason(self) -> FinishReason:
        return decode.unified_reason(self.raw_reason, calls=self.has_calls, refused=self._refused)

    def takes_text(self, delta: WireDelta) -> bool:
        """Whether this delta was text, and more may follow that is only text: no reasoning is expected inside."""
        return bool(delta.content) and type(delta.content) is str and self._tags is None

    def more_text(self) -> tuple[Callable[[str], None], int]:
        """What takes more text of the open part, and the part's index."""
        return self._text.append, self.builder.place("text")

    def delta(self, delta: WireDelta, answer: WireEnvelope, events: list[StreamEvent]) -> None:
        """Add what a chunk says of this choice, and the events of that."""
        reasoning = delta.reasoning or delta.reasoning_content
        if reasoning or delta.reasoning_details:
            self._think(reasoning or "", "reasoning" if delta.reasoning else "reasoning_content", delta, events)
        content = delta.content
        if content:
            if self._tags is None and isinstance(content, str):
                self._text.append(content)
                events.append(self.builder.text(content))
            else:
                self._more(content, answer, events)
        if delta.tool_calls:
            self._untag(events)
            for call in delta.tool_calls:
                self._call(call, answer, events)
        if delta.refusal:
            self._refused = True
            self._refusal.append(delta.refusal)
            events.append(self.builder.refusal(delta.refusal))
        if delta.audio is not None and not delta.audio.empty:
            self._hear(delta.audio, events)
        if delta.annotations:
            self._cite(delta.annotations, events)
        if delta.images:
            events += [self.builder.whole(decode.image(raw, self._quirks)) for raw in delta.images]
        if delta.function_call is not None:
            self._legacy(delta.function_call, answer, events)

    # ------------------------------------------------------------------ reasoning and text

    def _think(self, text: str, field: str, delta: WireDelta, events: list[StreamEvent]) -> None:
        self._untag(events)  # this server has a member for it
        self._details += [raw.copy() for raw in delta.reasoning_details or ()]
        if text:
            self._reasoning_field = self._reasoning_field or field
            events.append(self.more_reasoning(text))
        else:
            self.builder.place("reasoning")

    def more_reasoning(self, text: str) -> ReasoningDelta:
        """More of the open reasoning."""
        self._reasoning.append(text)
        return self.builder.reasoning(text)

    def _more(self, content: str | list[Raw], answer: WireEnvelope, events: list[StreamEvent]) -> None:
        """Content that is not merely more text."""
        if not isinstance(content, str):
            self._chunks(content, answer, events)
        elif self._tags is not None:
            self._tagged(*self._tags.feed(content), events)

    def _tagged(self, thought: str, text: str, events: list[StreamEvent]) -> None:
        """Text with reasoning inside; once that is over, text is only text."""
        if thought:
            self._reasoning_field = "think"
            self._reasoning.append(thought)
            events.append(self.builder.reasoning(thought))
        if text:
            self._text.append(text)
            events.append(self.builder.text(text))
        if self._tags is not None and self._tags.settled:
            self._tags = None

    def _untag(self, events: list[StreamEvent]) -> None:
        """No more reasoning is expected inside the text."""
        if self._tags is not None:
            self._tagged(*self._tags.close(), events)

    def _chunks(self, content: list[Raw], answer: WireEnvelope, events: list[StreamEvent]) -> None:
        """Mistral: a list of chunks, with reasoning among them. Chunks of another kind end those before."""
        self._untag(events)
        own_name = self._quirks.provider
        for part in decode.chunks(content, answer.model, self._quirks):
            own = own_data(None if isinstance(part, ProviderPart) else part.provider_data, own_name)
            if isinstance(part, Text) and not own:
                self._end_reasoning(answer, events)
                self._text.append(part.text)
                events.append(self.builder.text(part.text))
            elif isinstance(part, Reasoning) and "thinking" not in own:
                self._end_text(events)
                self._reasoning_field = "content"
                self._reasoning.append(part.text)
                self._reasoning_own |= {name: raw for name, raw in own.items() if name != "field"}
                events.append(self.builder.reasoning(part.text))
            else:
                self._end_reasoning(answer, events)
                self._end_text(events)
                events.append(self.builder.whole(part))

    def _end_reasoning(self, answer: WireEnvelope, events: list[StreamEvent]) -> None:
        if self._reasoning or self._details or self._reasoning_own:
            field = self._reasoning_field or self._quirks.reasoning_field
            own = self._reasoning_own | decode.details(merged_details(self._details))
            whole = decode.reasoning("".join(self._reasoning), field, own, answer.model, self._quirks)
            events.append(self.builder.end("reasoning", whole))
            self._reasoning, self._reasoning_own, self._details, self._reasoning_field = [], {}, [], ""

    def _end_text(self, events: list[StreamEvent]) -> None:
        if self._text or self._citations:
            whole = Text(text="".join(self._text), citations=self._citations or None)
            events.append(self.builder.end("text", whole))
            self._text, self._citations = [], []

    # ------------------------------------------------------------------ calls

    def _call(self, call: WireCallDelta, answer: WireEnvelope, events: list[StreamEvent]) -> None:
        custom = call.custom is not None and (call.function is None or call.type == "custom")
        called = call.custom if custom else call.function
        name = (called.name if called is not None else None) or ""
        key = self._key(call, name)
        if self.builder.open_call(key) is None:
            call_id = call.id or made_up_id(answer.id, len(self.builder.open_calls()), name)
            events.append(self.builder.call(key, call_id, name, custom=custom))
            self.has_calls = True
        if call.extra_content or call.provider_specific_fields:
            self._keep_extra(key, call)
        fragment = (call.function and call.function.arguments) or (call.custom and call.custom.input)
        if fragment:
            events.append(self.builder.arguments(key, fragment))

    def more_arguments(self, fragment: str) -> ToolCallDelta:
        """More of the call that the last fragment was of."""
        return self.builder.arguments(self._last_key, fragment)

    def _key(self, call: WireCallDelta, name: str) -> object:
        """What tells this call from others: its index.

        Some servers send no index, and then each id, or without ids each name, is a call; some send index 0 for all,
        and then a new id or another name under the same index begins a new call.
        """
        if call.index is None:
            key = call.id or (self._fresh_key() if self._begins_unnumbered(name) else self._last_key)
        else:
            key = self._by_index.get(call.index, call.index)
            if name and self._begins(key, call.id, name):
                key = self._by_index[call.index] = self._fresh_key()
        self._last_key = key
        self.last_call = call.index
        return key

    def _fresh_key(self) -> object:
        return ("call", len(self.builder.open_calls()))

    def _begins(self, key: object, call_id: str | None, name: str) -> bool:
        """Whether a fragment with a name begins a call although its index has one already."""
        known = self.builder.open_call(key)
        return known is not None and (known.id != call_id if call_id else known.name != name)

    def _begins_unnumbered(self, name: str) -> bool:
        """The same for a fragment with neither index nor id: its name may be repeated after a first one with an id."""
        known = self.builder.open_call(self._last_key)
        return bool(name) and (known is None or known.name != name or self._last_key != known.id)

    def _keep_extra(self, key: object, call: WireCallDelta) -> None:
        own = self._extra.setdefault(key, {})
        for member in ("extra_content", "provider_specific_fields"):
            raw: Raw = getattr(call, member)
            if tells(raw):
                own[member] = raw.copy()

    def _legacy(self, call: WireLegacyCall, answer: WireEnvelope, events: list[StreamEvent]) -> None:
        if self.builder.open_call("legacy") is None:
            if not call.name:
                return
            events.append(self.builder.call("legacy", made_up_id(answer.id, 0, call.name), call.name))
            self.has_calls = True
        if call.arguments:
            events.append(self.builder.arguments("legacy", call.arguments))

    # ------------------------------------------------------------------ other parts

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

    def filtered(self, results: Raw) -> None:
        """Azure: what its filters saw; each chunk tells of some of them."""
        found = bytes(results)
        if found != self._filtered and said(results):
            self._filters |= {name: raw.copy() for name, raw in _members.decode(results).items()}
            self._filtered = found

    # ------------------------------------------------------------------ the end

    def close(self, answer: WireEnvelope) -> list[StreamEvent]:
        """The ends of all open parts."""
        events: list[StreamEvent] = []
        builder = self.builder
        self._untag(events)
        self._end_reasoning(answer, events)
        if self._citations:
            self._end_text(events)
        if self._refusal:
            events.append(builder.end("refusal", Refusal(text="".join(self._refusal))))
        if self._audio:
            events.append(builder.end("audio", self._whole_audio()))
        for key in builder.open_calls():
            extra = self._extra.get(key)
            events.append(builder.end_call(key, {self._quirks.provider: extra} if extra else None))
        return events

    def kept(self) -> dict[str, Raw]:
        """What the filters saw in all, as a whole answer says it."""
        return {"content_filter_results": Raw(msgspec.json.encode(self._filters))} if self._filters else {}

    def _whole_audio(self) -> Audio:
        pieces = self._audio
        return Audio(
            id=next((piece.id for piece in pieces if piece.id), ""),
            data=join_base64([piece.data for piece in pieces if piece.data]) or None,
            transcript="".join(piece.transcript or "" for piece in pieces) or None,
            expires_at=next((piece.expires_at for piece in reversed(pieces) if piece.expires_at), None),
        )


# ---------------------------------------------------------------------- OpenRouter's reasoning_details


_DETAIL_TEXT = {b'"reasoning.text"': "text", b'"reasoning.summary"': "summary"}


def merged_details(details: list[Raw]) -> list[Raw]:
    """OpenRouter's `reasoning_details` of a stream as the list that a whole answer would have had.

    Fragments of one text or summary follow each other and become one; all else stays byte for byte.
    https://openrouter.ai/docs/use-cases/reasoning-tokens
    """
    merged: list[Raw] = []
    run: dict[str, Raw] = {}
    for raw in details:
        value = _members.decode(raw) if bytes(raw)[:1] == b"{" else {}
        member = _DETAIL_TEXT.get(bytes(value.get("type", b"")))
        if member is not None and run and _continues(run, value):
            _append(run, value, member)
            merged[-1] = Raw(msgspec.json.encode(run))
        else:
            merged.append(raw)
            run = value if member is not None else {}
    return merged


def _continues(run: dict[str, Raw], value: dict[str, Raw]) -> bool:
    """Whether this is more of the same detail: of its type and index, and of its id where it repeats that."""
    same = (bytes(run.get(name, b"")) == bytes(value.get(name, b"")) for name in ("type", "index"))
    later_id = value.get("id")
    return all(same) and (later_id is None or not said(later_id) or bytes(later_id) == bytes(run.get("id", b"")))


def _append(run: dict[str, Raw], value: dict[str, Raw], member: str) -> None:
    run |= {name: raw for name, raw in value.items() if name != member and said(raw)}
    before, after = (bytes(one.get(member, b"")) for one in (run, value))
    if before[:1] == after[:1] == b'"':
        run[member] = Raw(before[:-1] + after[1:])  # two JSON strings are one without the quotes between them
    elif after[:1] == b'"':
        run[member] = Raw(after)
