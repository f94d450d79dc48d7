"""One part of a streamed answer while it comes in: what a caller was told of it, and what is still to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire.types import (
    Citation,
    FunctionCall,
    PartEnd,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)

if TYPE_CHECKING:
    from modelwire.types import Part, StreamEvent


class Slot:
    """The part at one place of the answer."""

    __slots__ = ("_citations", "_kind", "_part", "_section", "_start", "index", "pieces")

    def __init__(self, index: int) -> None:
        self.index = index
        self._kind: type[Part] | None = None
        self.pieces: list[str] = []
        """What the caller was told of its text or arguments."""
        self._start: ToolCallStart | None = None
        self._citations: list[Citation] = []
        self._section: object = None
        self._part: Part | None = None

    def told(self) -> Part | None:
        """The part that the events so far add up to; `None` before the first."""
        if self._part is not None or self._kind is None:
            return self._part
        text = "".join(self.pieces)
        if self._start is not None:
            return FunctionCall(id=self._start.id, name=self._start.name, arguments=text, custom=self._start.custom)
        if self._kind is Reasoning:
            return Reasoning(text=text)
        if self._kind is Refusal:
            return Refusal(text=text)
        return Text(text=text, citations=self._citations or None)

    def takes(self, kind: type[Part]) -> bool:
        """Whether more of this kind belongs here."""
        return self._kind is None or self._kind is kind

    # ------------------------------------------------------------------ more of the part

    def text(self, text: str) -> TextDelta:
        """More text."""
        self._kind = self._kind or Text
        self.pieces.append(text)
        return TextDelta(text=text, index=self.index)

    def refusal(self, text: str) -> RefusalDelta:
        """More of a refusal."""
        self._kind = self._kind or Refusal
        self.pieces.append(text)
        return RefusalDelta(text=text, index=self.index)

    def reasoning(self, text: str, section: object = None) -> ReasoningDelta:
        """More reasoning; an empty line stands between sections."""
        if section != self._section and self.pieces:
            text = f"\n\n{text}"
        self._section = section
        self._kind = self._kind or Reasoning
        self.pieces.append(text)
        return ReasoningDelta(text=text, index=self.index)

    def begin(self, call: FunctionCall) -> ToolCallStart:
        """A call whose arguments follow."""
        self._kind = FunctionCall
        self._start = ToolCallStart(id=call.id, name=call.name, index=self.index, custom=call.custom)
        return self._start

    def arguments(self, fragment: str) -> list[StreamEvent]:
        """More of a call's arguments; nothing while it is not known what is called."""
        if self._start is None:
            return []
        self.pieces.append(fragment)
        return [ToolCallDelta(arguments=fragment, index=self.index)]

    def citation(self, citation: Citation) -> None:
        """A source of the text; alone it is no part."""
        self._citations.append(citation)

    # ------------------------------------------------------------------ the whole part

    def settle(self, part: Part) -> list[StreamEvent]:
        """What is still to tell so that the events add up to `part`: deltas that never came, and its end."""
        events: list[StreamEvent] = []
        ended = self._part is not None
        if not ended:
            if isinstance(part, FunctionCall) and self._kind is None:
                events.append(self.begin(part))
            events += self.catch_up(part)
        if self.told() != part or (isinstance(part, FunctionCall) and not ended):
            self._part = part
            events.append(PartEnd(part=part, index=self.index))
        return events

    def catch_up(self, part: Part) -> list[StreamEvent]:
        """What the deltas lack of the part's text, where they are its beginning."""
        if not self.takes(type(part)) or self._part is not None:
            return []
        told = "".join(self.pieces)
        match part:
            case FunctionCall():
                missing = _rest(part.arguments, told)
                return self.arguments(missing) if missing else []
            case Text():
                missing = _rest(part.text, told)
                return [self.text(missing)] if missing else []
            case Refusal():
                missing = _rest(part.text, told)
                return [self.refusal(missing)] if missing else []
            case Reasoning():
                missing = _rest(part.text, told)
                return [self.reasoning(missing, self._section)] if missing else []
            case _:
                return []


def _rest(whole: str, told: str) -> str:
    return whole[len(told) :] if whole.startswith(told) else ""
