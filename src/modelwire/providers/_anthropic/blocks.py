"""Content blocks of a stream while they come in: what each kind makes of its deltas.

https://platform.claude.com/docs/en/build-with-claude/streaming, "Content block delta types".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelwire.providers._anthropic import parts
from modelwire.providers._anthropic.decode import NOTHING, WireStop
from modelwire.providers._anthropic.parts import ORIGIN, Members, Raw, members_of
from modelwire.types import (
    CitationDelta,
    FunctionCall,
    PartEnd,
    ProviderPart,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)

if TYPE_CHECKING:
    from modelwire.types import Citation, Part, StreamEvent

KNOWN_DELTAS = {
    "text_delta",
    "input_json_delta",
    "thinking_delta",
    "signature_delta",
    "citations_delta",
    "compaction_delta",
}


class WireDelta(WireStop):
    """The `delta` of a block or of the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw = NOTHING
    content: str | None = None
    encrypted_content: str | None = None


class Block:
    """A content block while it comes in; `index` is the place of its part in the answer."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def begin(self) -> list[StreamEvent]:
        """The events that the start of the block gives."""
        return []

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        """The event that a delta gives."""
        raise NotImplementedError

    def end(self) -> list[StreamEvent]:
        """The events that complete the part."""
        raise NotImplementedError

    @property
    def empty(self) -> bool:
        """Whether the block says nothing at all, so that it is no part."""
        return False


class TextBlock(Block):
    """Text, with its citations."""

    __slots__ = ("_citations", "_own", "pieces")

    def __init__(self, index: int, members: Members) -> None:
        super().__init__(index)
        begun = parts.text(members)
        self.pieces = [begun.text] if begun and begun.text else []
        self._citations: list[Citation] = list(begun.citations or ()) if begun else []
        self._own = parts.own(members)

    def begin(self) -> list[StreamEvent]:
        events: list[StreamEvent] = [TextDelta(text=piece, index=self.index) for piece in self.pieces]
        return events + [CitationDelta(citation=citation, index=self.index) for citation in self._citations]

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        text = delta.text
        if text:
            self.pieces.append(text)
            return TextDelta(text=text, index=self.index)
        if not delta.citation:
            return None
        citation = parts.citation(delta.citation)
        self._citations.append(citation)
        return CitationDelta(citation=citation, index=self.index)

    def end(self) -> list[StreamEvent]:
        if self.empty or not (self._citations or self._own):
            return []
        text = Text(text="".join(self.pieces), citations=self._citations or None, provider_data=self._own)
        return [PartEnd(part=text, index=self.index)]

    @property
    def empty(self) -> bool:
        return not self.pieces and not self._citations


class ThinkingBlock(Block):
    """Thinking, ended by its signature."""

    __slots__ = ("_begun", "_pieces", "_signature")

    def __init__(self, index: int, begun: Reasoning) -> None:
        super().__init__(index)
        self._begun = begun
        self._pieces = [begun.text] if begun.text else []
        self._signature = [begun.signature or ""]

    def begin(self) -> list[StreamEvent]:
        return [ReasoningDelta(text=piece, index=self.index) for piece in self._pieces]

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        if delta.signature:
            self._signature.append(delta.signature)
        if not delta.thinking:
            return None
        self._pieces.append(delta.thinking)
        return ReasoningDelta(text=delta.thinking, index=self.index)

    def end(self) -> list[StreamEvent]:
        text, signature = "".join(self._pieces), "".join(self._signature) or None
        whole = msgspec.structs.replace(self._begun, text=text, signature=signature)
        return [PartEnd(part=whole, index=self.index)]


class ToolUseBlock(Block):
    """A function call."""

    __slots__ = ("_begun", "_pieces")

    def __init__(self, index: int, begun: FunctionCall) -> None:
        super().__init__(index)
        self._begun = begun
        self._pieces: list[str] = []

    def begin(self) -> list[StreamEvent]:
        return [ToolCallStart(id=self._begun.id, name=self._begun.name, index=self.index)]

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        if not delta.partial_json:
            return None
        self._pieces.append(delta.partial_json)
        return ToolCallDelta(arguments=delta.partial_json, index=self.index)

    def end(self) -> list[StreamEvent]:
        if self._pieces:
            whole = msgspec.structs.replace(self._begun, arguments="".join(self._pieces))
            return [PartEnd(part=whole, index=self.index)]
        # No delta at all means that the input is that of the start: none, or all of it.
        delta = ToolCallDelta(arguments=self._begun.arguments, index=self.index)
        return [delta, PartEnd(part=self._begun, index=self.index)]


class ProviderBlock(Block):
    """A block that only the provider understands: a step of its own tools, or one that is not known here."""

    __slots__ = ("_input", "_kind", "_members", "_written")

    def __init__(self, index: int, members: Members) -> None:
        super().__init__(index)
        self._members = {name: raw.copy() for name, raw in members.items()}
        self._kind = parts.take(members, "type")
        self._input: list[str] = []
        self._written: dict[str, list[str]] = {}

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        if delta.partial_json:
            self._input.append(delta.partial_json)
        for name in ("content", "encrypted_content"):  # of a `compaction_delta`
            piece = getattr(delta, name)
            if piece is not None:
                self._written.setdefault(name, []).append(piece)
        return None

    def end(self) -> list[StreamEvent]:
        if self._input:
            self._members["input"] = parts.as_input("".join(self._input))
        self._members |= {name: Raw(msgspec.json.encode("".join(texts))) for name, texts in self._written.items()}
        whole = ProviderPart(provider=ORIGIN, kind=self._kind, data=Raw(msgspec.json.encode(self._members)))
        return [PartEnd(part=whole, index=self.index)]


class WholeBlock(Block):
    """A block that its start has whole."""

    __slots__ = ("_part",)

    def __init__(self, index: int, part: Part) -> None:
        super().__init__(index)
        self._part = part

    def delta(self, delta: WireDelta) -> StreamEvent | None:
        del delta
        return None

    def end(self) -> list[StreamEvent]:
        return [PartEnd(part=self._part, index=self.index)]


def begun_block(index: int, raw: Raw, model: str | None) -> Block:
    """The block that a `content_block_start` begins."""
    members = members_of(raw)
    kind = parts.take(dict(members), "type")
    own = {name: member for name, member in members.items() if name != "type"}
    match kind:
        case "text":
            return TextBlock(index, own)
        case "thinking":
            return ThinkingBlock(index, parts.thinking(own, model))
        case "tool_use":
            return ToolUseBlock(index, parts.tool_use(own))
        case "redacted_thinking":
            return WholeBlock(index, parts.redacted_thinking(own, model))
        case _:
            return ProviderBlock(index, members)
