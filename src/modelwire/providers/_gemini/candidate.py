"""One candidate of a streamed answer while it comes in: which part the next piece belongs to, and when a part ends.

Pieces of text follow each other and make one part, until something else comes. A piece with a signature is a part of
its own, even when it is empty: signed parts must not be merged with others, since they go back as they came
(https://ai.google.dev/gemini-api/docs/thinking#signatures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelwire._fold import EventBuilder, join_base64
from modelwire.providers._body import made_up_id
from modelwire.providers._gemini import decode
from modelwire.providers._gemini.arguments import PartialArguments, WirePartial
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.members import NOTHING, members, text
from modelwire.providers._gemini.parts import own, part
from modelwire.providers._gemini.wire import WirePlain, kept_of_candidate
from modelwire.types import (
    Audio,
    AudioDelta,
    CitationDelta,
    FunctionCall,
    PartEnd,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
)

if TYPE_CHECKING:
    from modelwire._fold import FinishReason
    from modelwire.providers._gemini.members import Members, Raw
    from modelwire.providers._gemini.wire import WireCandidate
    from modelwire.types import Part, StreamEvent

_plain = msgspec.json.Decoder(WirePlain)
_partials = msgspec.json.Decoder(list[WirePartial])
_CALL = "call"
"""Key of the call that is open: there is never more than one."""


class Answer:
    """What the chunks say about the answer as a whole."""

    __slots__ = ("id", "model")

    def __init__(self) -> None:
        self.id: str | None = None
        self.model: str | None = None


class StreamedCandidate:
    """See the top of this file."""

    __slots__ = (
        "_answer",
        "_arguments",
        "_call_own",
        "_calls",
        "_kind",
        "_media_type",
        "_parts",
        "_pieces",
        "builder",
        "kept",
        "raw_reason",
    )

    def __init__(self, index: int, answer: Answer) -> None:
        self.builder = EventBuilder(index)
        self._answer = answer
        self.raw_reason: str | None = None
        """The last `finishReason`; `None` when more has come after it."""
        self.kept: dict[str, Raw] = {}
        """What it says beside its content, for `provider_data`."""
        self._calls = 0
        self._kind = ""
        """Kind of the part that is open: `text`, `reasoning`, `audio`, or nothing."""
        self._pieces: list[str] = []
        self._media_type: str | None = None
        self._parts: dict[int, Part] = {}
        """Parts that are complete, by their place."""
        self._arguments: PartialArguments | None = None
        self._call_own: Members = {}

    @property
    def reason(self) -> FinishReason:
        """Why it stopped."""
        return decode.finish_reason(self.raw_reason, calls=self._calls > 0)

    def add(self, wire: WireCandidate, events: list[StreamEvent]) -> None:
        """What a chunk brings.

        Raises `msgspec.DecodeError` or `ValueError` for what is no candidate.
        """
        before = len(events)
        for raw in (wire.content.parts if wire.content else None) or ():
            self._part(raw, events)
        if len(events) > before:
            self.raw_reason = None
        self.kept |= kept_of_candidate(wire)
        self.raw_reason = decode.reason_word(wire.finish_reason) or self.raw_reason

    @property
    def writing(self) -> bool:
        """Whether text or reasoning is open."""
        return self._kind in ("text", "reasoning")

    def more(self, plain: WirePlain, events: list[StreamEvent]) -> bool:
        """More of the text or reasoning that is open, and nothing else; `False` where it is not of that kind."""
        kind = "reasoning" if plain.thought else "text"
        if kind != self._kind:
            return False
        self.raw_reason = None
        self._pieces.append(plain.text)
        index = self.builder.place(kind)
        events.append(
            ReasoningDelta(text=plain.text, index=index) if plain.thought else TextDelta(text=plain.text, index=index)
        )
        return True

    def close(self, events: list[StreamEvent]) -> None:
        """The end of what is open, and the sources of the texts, which come last."""
        self._end_call(events)
        self._end_run(events)
        parts = dict(sorted(self._parts.items()))
        choice = self.builder.choice
        for index, citations in decode.citations_of(parts, self.kept).items():
            events += [CitationDelta(citation=citation, index=index, choice=choice) for citation in citations]
            cited = msgspec.structs.replace(parts[index], citations=citations)
            events.append(PartEnd(part=cited, index=index, choice=choice))

    # ------------------------------------------------------------------ pieces

    def _part(self, raw: Raw, events: list[StreamEvent]) -> None:
        try:
            plain = _plain.decode(raw)
        except msgspec.ValidationError:
            self._other(raw, events)
            return
        if plain.text:
            self._piece("reasoning" if plain.thought else "text", plain.text, events)

    def _piece(self, kind: str, piece: str, events: list[StreamEvent]) -> None:
        """More text or reasoning."""
        if kind != self._kind:
            self._open(kind, events)
        self._pieces.append(piece)
        events.append(self.builder.text(piece) if kind == "text" else self.builder.reasoning(piece))

    def _open(self, kind: str, events: list[StreamEvent]) -> None:
        self._end_call(events)
        self._end_run(events)
        self._kind = kind

    def _end_run(self, events: list[StreamEvent]) -> None:
        """The open part is complete. Its end is only told where that says more than its pieces."""
        kind, pieces = self._kind, self._pieces
        self._kind, self._pieces = "", []
        said_so_far = join_base64(pieces) if kind == "audio" else "".join(pieces)
        if kind == "text":
            self._note(self.builder.end(kind, Text(text=said_so_far)))
        elif kind == "reasoning":
            whole = Reasoning(text=said_so_far, provider=ORIGIN, model=self._answer.model)
            events.append(self._note(self.builder.end(kind, whole)))
        elif kind == "audio":
            sound = Audio(data=said_so_far, media_type=self._media_type)
            events.append(self._note(self.builder.end(kind, sound)))

    def _note(self, end: PartEnd) -> PartEnd:
        self._parts[end.index] = end.part
        return end

    # ------------------------------------------------------------------ other parts

    def _other(self, raw: Raw, events: list[StreamEvent]) -> None:
        """A part that is more than plain text."""
        found = members(raw)
        if "functionCall" in found and self._is_piece(members(found["functionCall"])):
            self._call_piece(found, events)
            return
        whole = part(raw, self._answer.model, self._answer.id, self._calls)
        if isinstance(whole, Audio) and _continues(whole):
            self._sound(whole, events)
        elif whole is not None:
            self._open("", events)
            self._whole(whole, events)

    def _whole(self, whole: Part, events: list[StreamEvent]) -> None:
        match whole:
            case FunctionCall():
                self._whole_call(whole, events)
            case Text() | Reasoning():
                self._signed(whole, events)
            case _:
                events.append(self._note(self.builder.whole(whole)))

    def _sound(self, sound: Audio, events: list[StreamEvent]) -> None:
        """More of what is spoken."""
        if self._kind != "audio" or sound.media_type != self._media_type:
            self._open("audio", events)
            self._media_type = sound.media_type
        data = sound.data or ""
        self._pieces.append(data)
        events.append(AudioDelta(data=data, index=self.builder.place("audio"), choice=self.builder.choice))

    def _signed(self, whole: Text | Reasoning, events: list[StreamEvent]) -> None:
        """A text with a signature or other members: a part of its own."""
        kind = whole.type
        if whole.text:
            events.append(self.builder.text(whole.text) if kind == "text" else self.builder.reasoning(whole.text))
        events.append(self._note(self.builder.end(kind, whole)))

    def _whole_call(self, call: FunctionCall, events: list[StreamEvent]) -> None:
        self._calls += 1
        events.append(self.builder.call(_CALL, call.id, call.name))
        events.append(self.builder.arguments(_CALL, call.arguments))
        events.append(self._note(self.builder.end_call(_CALL, call.provider_data)))

    def _is_piece(self, call: Members) -> bool:
        """Whether this is not a whole call."""
        return "willContinue" in call or "partialArgs" in call or (self._arguments is not None and "name" not in call)

    def _call_piece(self, found: Members, events: list[StreamEvent]) -> None:
        """A piece of a call: a name begins one, and `willContinue` says whether more comes."""
        call = members(found.pop("functionCall"))
        if "name" in call or self._arguments is None:
            self._open("", events)
            name = text(call.get("name", NOTHING))
            call_id = text(call.get("id", NOTHING)) or made_up_id(self._answer.id, self._calls, name)
            self._calls += 1
            self._arguments = PartialArguments()
            events.append(self.builder.call(_CALL, call_id, name))
            found.pop("thought", None)
            self._call_own = {key: raw.copy() for key, raw in found.items()}
        if "partialArgs" in call:
            self._arguments.add(_partials.decode(call["partialArgs"]))
        if bytes(call.get("willContinue", NOTHING)) != b"true":
            self._end_call(events)

    def _end_call(self, events: list[StreamEvent]) -> None:
        if self._arguments is not None:
            events.append(self.builder.arguments(_CALL, self._arguments.text()))
            events.append(self._note(self.builder.end_call(_CALL, own(self._call_own))))
            self._arguments = None


def _continues(sound: Audio) -> bool:
    """Whether this is bare PCM, of which pieces make one sound; containers such as WAV stand for themselves."""
    kind = (sound.media_type or "").partition(";")[0].lower()
    return kind in ("audio/l16", "audio/pcm") and sound.data is not None and sound.provider_data is None
