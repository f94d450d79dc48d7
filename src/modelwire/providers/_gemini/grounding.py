"""Sources of an answer: `groundingMetadata` and `citationMetadata` to citations of its texts.

https://ai.google.dev/gemini-api/docs/google-search#grounding-response. Offsets are "measured in bytes" of UTF-8 from
the start of the part. Which part that is, the server mostly does not say: recorded answers lack `partIndex` although the
text is not part 0. The words of the segment, which come with it, tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from modelwire.types import Citation, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from modelwire.providers._gemini.members import Raw
    from modelwire.types import Part


class WireSegment(msgspec.Struct, rename="camel"):
    start_index: int = 0
    end_index: int = 0
    part_index: int = 0
    text: str | None = None


class WireSupport(msgspec.Struct, rename="camel"):
    segment: WireSegment | None = None
    grounding_chunk_indices: list[int] | None = None


class WireSource(msgspec.Struct, rename="camel"):
    """A source of any kind; each kind has some of these."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None
    source_uri: str | None = None
    """Of an image: the page that shows it."""
    document_name: str | None = None
    file_search_store: str | None = None
    place_id: str | None = None


class WireGroundingChunk(msgspec.Struct, rename="camel"):
    web: WireSource | None = None
    retrieved_context: WireSource | None = None
    maps: WireSource | None = None
    image: WireSource | None = None


class WireGrounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[WireGroundingChunk] | None = None
    grounding_supports: list[WireSupport] | None = None


class WireCitation(msgspec.Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class WireCitations(msgspec.Struct, rename="camel"):
    citation_sources: list[WireCitation] | None = None
    citations: list[WireCitation] | None = None
    """Vertex's name of it."""


_grounding = msgspec.json.Decoder(WireGrounding)
_citations = msgspec.json.Decoder(WireCitations)


class _Span(NamedTuple):
    """A place in one of the texts."""

    part: int
    """Which of the answer's parts."""
    start: int | None = None
    end: int | None = None


class _Run(NamedTuple):
    """Texts that follow each other: one text to the server, split where a signature came."""

    indices: list[int]
    texts: list[str]

    def found(self, start: int, end: int, words: str | None) -> _Span | None:
        """The place of these bytes, if they are these words."""
        whole = "".join(self.texts).encode()
        if not 0 <= start < end <= len(whole) or (words and whole[start:end] != words.encode()):
            return None
        return self._span(len(whole[:start].decode(errors="ignore")), len(whole[:end].decode(errors="ignore")))

    def searched(self, words: str) -> _Span | None:
        """The first place of these words."""
        start = "".join(self.texts).find(words)
        return self._span(start, start + len(words)) if start >= 0 else None

    def _span(self, start: int, end: int) -> _Span:
        """Characters of the run as those of the part that they begin in."""
        for index, text in zip(self.indices, self.texts, strict=True):
            if start < len(text):
                return _Span(index, start, min(end, len(text)))
            start, end = start - len(text), end - len(text)
        return _Span(self.indices[-1])


def citations(parts: Mapping[int, Part], grounding: Raw, cited: Raw) -> dict[int, list[Citation]]:
    """Citations by the index of the text that they belong to; `parts` are the answer's parts in order.

    Raises `msgspec.DecodeError` for metadata of another shape.
    """
    runs = _runs(parts)
    if not runs:
        return {}
    found: dict[int, list[Citation]] = {}
    for span, citation in (*_grounded(runs, grounding), *_cited(runs, cited)):
        whole = msgspec.structs.replace(citation, start_index=span.start, end_index=span.end)
        known = found.setdefault(span.part, [])
        if whole not in known:
            known.append(whole)
    return found


def _runs(parts: Mapping[int, Part]) -> list[_Run]:
    runs: list[_Run] = []
    last = -2
    for index, part in parts.items():
        if isinstance(part, Text):
            if last != index - 1:
                runs.append(_Run([], []))
            runs[-1].indices.append(index)
            runs[-1].texts.append(part.text)
            last = index
    return runs


def _grounded(runs: list[_Run], raw: Raw) -> Iterable[tuple[_Span, Citation]]:
    wire = _grounding.decode(raw or b"{}")
    sources = [_source(chunk) for chunk in wire.grounding_chunks or ()]
    supports = wire.grounding_supports or ()
    for support in supports:
        span = _place(runs, support.segment or WireSegment())
        for chunk in support.grounding_chunk_indices or ():
            if 0 <= chunk < len(sources):
                yield span, sources[chunk]
    if not supports:  # sources, but not of what
        yield from ((_Span(runs[-1].indices[0]), source) for source in sources)


def _source(chunk: WireGroundingChunk) -> Citation:
    wire = chunk.web or chunk.retrieved_context or chunk.maps or chunk.image or WireSource()
    return Citation(
        url=wire.uri or wire.source_uri,
        title=wire.title,
        cited_text=wire.text,
        source_id=wire.document_name or wire.file_search_store or wire.place_id,
    )


def _place(runs: list[_Run], segment: WireSegment) -> _Span:
    """Where the segment is: in the part that is named, in any other, or wherever its words are."""
    start, end, words = segment.start_index, segment.end_index, segment.text
    named = [run for run in runs if segment.part_index in run.indices]
    for run in (*named, *runs):
        span = run.found(start, end, words)
        if span is not None:
            return span
    spans = (run.searched(words) for run in runs) if words else ()
    return next((span for span in spans if span is not None), _Span(runs[-1].indices[0]))


def _cited(runs: list[_Run], raw: Raw) -> Iterable[tuple[_Span, Citation]]:
    """Where the answer repeats something that was published. Some entries say nothing at all."""
    wire = _citations.decode(raw or b"{}")
    for citation in wire.citation_sources or wire.citations or ():
        if citation.uri or citation.title:
            span = runs[0].found(citation.start_index or 0, citation.end_index or 0, None)
            yield span or _Span(runs[0].indices[0]), Citation(url=citation.uri, title=citation.title)
