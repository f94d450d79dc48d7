"""What is read of an answer, whole or a chunk of a stream: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from modelwire.providers._gemini.members import NOTHING, Raw


class WireModality(msgspec.Struct, rename="camel"):
    modality: str | int = ""
    token_count: int = 0


class WireUsage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[WireModality] | None = None
    candidates_tokens_details: list[WireModality] | None = None
    service_tier: Raw = NOTHING
    traffic_type: Raw = NOTHING
    """Vertex's word for it."""


class WireToken(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0
    """Left out where it is 0, as numbers are in this JSON."""


class WireTop(msgspec.Struct):
    candidates: list[WireToken] | None = None


class WireLogprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[WireToken] | None = None
    top_candidates: list[WireTop] | None = None


class WireContent(msgspec.Struct):
    parts: list[Raw] | None = None


class WireCandidate(msgspec.Struct, rename="camel"):
    content: WireContent | None = None
    finish_reason: str | int | None = None
    index: int | None = None
    """Left out where there is only one."""
    logprobs_result: WireLogprobs | None = None
    finish_message: Raw = NOTHING
    safety_ratings: Raw = NOTHING
    citation_metadata: Raw = NOTHING
    grounding_metadata: Raw = NOTHING
    url_context_metadata: Raw = NOTHING
    avg_logprobs: Raw = NOTHING
    continuation_token: Raw = NOTHING


class WireAnswer(msgspec.Struct, rename="camel"):
    candidates: list[WireCandidate] | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: Raw = NOTHING
    model_status: Raw = NOTHING
    create_time: Raw = NOTHING
    error: Any = None


class WireFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | int | None = None


class WirePlain(msgspec.Struct, forbid_unknown_fields=True):
    """A part that is nothing but text: nearly all parts of a stream."""

    text: str
    thought: bool = False


class Kept:
    """Members that go to `CreateResult.provider_data`, by their names, and where they are read to."""

    def __init__(self, **attributes: str) -> None:
        self._names = tuple(attributes)
        self.read = attrgetter(*attributes.values())
        self._nothing = (NOTHING,) * len(attributes)

    def __call__(self, wire: msgspec.Struct) -> dict[str, Raw]:
        """Copies of those members that say something."""
        values: tuple[Raw, ...] = self.read(wire)
        if values == self._nothing:  # as in nearly all chunks
            return {}
        found = zip(self._names, values, strict=True)
        return {name: raw.copy() for name, raw in found if len(raw) > 4 or bytes(raw) not in _EMPTY}


_EMPTY = (b"", b"null", b"{}", b"[]")

kept_of_answer = Kept(promptFeedback="prompt_feedback", modelStatus="model_status", createTime="create_time")
kept_of_usage = Kept(serviceTier="service_tier", trafficType="traffic_type")
kept_of_candidate = Kept(
    finishMessage="finish_message",
    safetyRatings="safety_ratings",
    citationMetadata="citation_metadata",
    groundingMetadata="grounding_metadata",
    urlContextMetadata="url_context_metadata",
    avgLogprobs="avg_logprobs",
    continuationToken="continuation_token",
)
