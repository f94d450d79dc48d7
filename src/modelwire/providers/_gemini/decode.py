"""A whole answer to a `CreateResult`, and what the stream decoder shares with that.

https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse. Vertex AI answers in the same form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from modelwire import _http
from modelwire.errors import ProtocolError
from modelwire.providers._gemini import grounding
from modelwire.providers._gemini.errors import error_from_body
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.members import NOTHING
from modelwire.providers._gemini.parts import part
from modelwire.providers._gemini.wire import (
    WireAnswer,
    WireCandidate,
    WireFeedback,
    WireLogprobs,
    WireModality,
    WireUsage,
    kept_of_answer,
    kept_of_candidate,
    kept_of_usage,
)
from modelwire.types import Choice, CreateResult, FunctionCall, Text, TokenLogprob, TopLogprob, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelwire._fold import FinishReason
    from modelwire.providers._gemini.members import Raw
    from modelwire.types import Citation, Part

    ProviderData = dict[str, dict[str, Raw]]

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading a body that is no answer ends in; `ValueError` is undecodable UTF-8 or an impossible value."""

_answer = msgspec.json.Decoder(WireAnswer)
_feedback = msgspec.json.Decoder(WireFeedback)


def decode(body: bytes) -> CreateResult:
    """A whole answer.

    A prompt that was blocked is an answer too: with `finish_reason="content_filter"`, without parts, and with the
    reason in `raw_finish_reason`. Raises the error that a 200 answer tells of, and `ProtocolError` for anything else.
    """
    answer = read(body)
    try:
        return _result(answer, body)
    except UNREADABLE as error:
        raise garbage(body, error) from None


def read(body: bytes) -> WireAnswer:
    """An answer or a chunk of one.

    Raises the error that it tells of, and `ProtocolError` for anything else.
    """
    try:
        answer = _answer.decode(body)
    except UNREADABLE as error:
        raise error_from_body(body) or garbage(body, error) from None
    if answer.error:
        raise error_from_body(body) or garbage(body, ValueError("an empty error"))
    return answer


def garbage(body: bytes, error: Exception) -> ProtocolError:
    """The error for bytes that are no answer."""
    if not body.strip():
        what = "an empty answer; is base_url the API's own?"
    elif _http.looks_like_html(body):
        what = f"a web page instead of JSON (a proxy, a login page, or a wrong base_url): {_http.excerpt(body)}"
    else:
        what = f"not an answer of generateContent ({error}): {_http.excerpt(body)}"
    return ProtocolError(f"{ORIGIN}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])


def _result(answer: WireAnswer, body: bytes) -> CreateResult:
    indexed = [(candidate_index(each, at), at, each) for at, each in enumerate(answer.candidates or ())]
    candidates = [candidate for _, _, candidate in sorted(indexed, key=lambda entry: entry[:2])]
    choices = [_choice(index, candidate, answer) for index, candidate in enumerate(candidates)]
    kept = kept_of_answer(answer)
    if choices:
        first = choices[0]
        kept |= kept_of_candidate(candidates[0])
    elif "promptFeedback" in kept:
        raw = block_reason(kept["promptFeedback"])
        first = Choice(index=0, parts=[], finish_reason="content_filter", raw_finish_reason=raw)
    else:
        raise garbage(body, ValueError("it has no candidates"))
    if answer.usage_metadata is not None:
        kept |= kept_of_usage(answer.usage_metadata)
    return CreateResult(
        parts=first.parts,
        finish_reason=first.finish_reason,
        raw_finish_reason=first.raw_finish_reason,
        usage=usage(answer.usage_metadata),
        logprobs=first.logprobs,
        id=answer.response_id,
        request_id=answer.response_id,
        model=answer.model_version,
        provider=ORIGIN,
        alternatives=choices[1:] or None,
        provider_data={ORIGIN: kept} if kept else None,
    )


def candidate_index(candidate: WireCandidate, at: int) -> int:
    """Which of the answers this is; Vertex says it only where there are several."""
    return at if candidate.index is None else candidate.index


def _choice(index: int, candidate: WireCandidate, answer: WireAnswer) -> Choice:
    parts: list[Part] = []
    calls = 0
    for raw in (candidate.content.parts if candidate.content else None) or ():
        found = part(raw, answer.model_version, answer.response_id, calls)
        calls += isinstance(found, FunctionCall)
        if found is not None:
            parts.append(found)
    raw_reason = reason_word(candidate.finish_reason)
    return Choice(
        index=index,
        parts=_cited(parts, candidate),
        finish_reason=finish_reason(raw_reason, calls=calls > 0),
        raw_finish_reason=raw_reason,
        logprobs=logprobs(candidate.logprobs_result),
    )


def _cited(parts: list[Part], candidate: WireCandidate) -> list[Part]:
    """The parts with the sources of their texts."""
    metadata = kept_of_candidate(candidate)
    for index, citations in citations_of(dict(enumerate(parts)), metadata).items():
        parts[index] = msgspec.structs.replace(parts[index], citations=citations)
    return parts


def citations_of(parts: dict[int, Part], metadata: dict[str, Raw]) -> dict[int, list[Citation]]:
    """Citations by index of the text they belong to."""
    sources, cited = metadata.get("groundingMetadata", NOTHING), metadata.get("citationMetadata", NOTHING)
    if not (sources or cited) or not any(isinstance(each, Text) for each in parts.values()):
        return {}
    return grounding.citations(parts, sources, cited)


# ---------------------------------------------------------------------- facts about the answer


_WORDS = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""Servers that are asked for numbers (`$alt=json;enum-encoding=int`) answer with these. Above 5 Google's two services
do not agree."""
_BLOCK_WORDS = {1: "SAFETY", 2: "OTHER", 3: "BLOCKLIST", 4: "PROHIBITED_CONTENT"}


def reason_word(reason: str | int | None) -> str | None:
    """The reason's name; of numbers without a common meaning, the number."""
    return _WORDS.get(reason, str(reason)) if isinstance(reason, int) else reason


def block_reason(feedback: Raw) -> str | None:
    """Why the prompt was blocked; `None` when the server does not say."""
    reason = _feedback.decode(feedback).block_reason
    return _BLOCK_WORDS.get(reason, str(reason)) if isinstance(reason, int) else reason


def finish_reason(raw: str | None, *, calls: bool) -> FinishReason:
    """The unified reason. Calls end with `STOP` on this wire.

    An answer that is to be continued is not complete, whatever is in it.
    """
    known: FinishReason = _REASONS.get(raw or "", "unknown")
    if known in ("content_filter", "error", "pause"):
        return known
    return "function_calls" if calls else known


_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE"), "content_filter"),
    **dict.fromkeys(("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"), "content_filter"),
    **dict.fromkeys(("ESCALATION", "MODEL_ARMOR", "PUP_LIMITED_DISABLED"), "content_filter"),
    **dict.fromkeys(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"), "error"),
    **dict.fromkeys(("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"), "error"),
}


def usage(wire: WireUsage | None) -> Usage | None:
    """Unified token counts; `None` when the server reported none.

    Google counts thoughts beside the visible answer, and what its tools read beside the prompt.
    """
    if wire is None or (wire.prompt_token_count is None and wire.total_token_count is None):
        return None
    asked, answered = _by_modality(wire.prompt_tokens_details), _by_modality(wire.candidates_tokens_details)
    return Usage(
        prompt_tokens=(wire.prompt_token_count or 0) + (wire.tool_use_prompt_token_count or 0),
        completion_tokens=(wire.candidates_token_count or 0) + (wire.thoughts_token_count or 0),
        total_tokens=wire.total_token_count,  # type: ignore[arg-type]  # the sum where it is None
        cached_tokens=wire.cached_content_token_count,
        reasoning_tokens=wire.thoughts_token_count,
        prompt_audio_tokens=asked.get("AUDIO"),
        prompt_image_tokens=asked.get("IMAGE"),
        completion_audio_tokens=answered.get("AUDIO"),
        completion_image_tokens=answered.get("IMAGE"),
        tool_prompt_tokens=wire.tool_use_prompt_token_count,
    )


_MODALITIES: dict[str | int, str] = {2: "IMAGE", 4: "AUDIO"}


_NOTHING: dict[str | int, int] = {}


def _by_modality(details: Iterable[WireModality] | None) -> dict[str | int, int]:
    if not details:
        return _NOTHING
    return {_MODALITIES.get(each.modality, each.modality): each.token_count for each in details}


def logprobs(wire: WireLogprobs | None) -> list[TokenLogprob] | None:
    """Log probabilities of the tokens."""
    if wire is None or not wire.chosen_candidates:
        return None
    tops = wire.top_candidates or []
    return [
        TokenLogprob(
            token=chosen.token,
            logprob=chosen.log_probability,
            top_logprobs=[TopLogprob(token=top.token, logprob=top.log_probability) for top in tops[at].candidates or ()]
            if at < len(tops)
            else None,
        )
        for at, chosen in enumerate(wire.chosen_candidates)
    ]


# ---------------------------------------------------------------------- counting


class _WireCount(msgspec.Struct, rename="camel"):
    total_tokens: int


def decode_count(body: bytes) -> int:
    """The answer of `countTokens`: https://ai.google.dev/api/tokens.

    Raises the error that it tells of, and `ProtocolError` for anything else.
    """
    try:
        return msgspec.json.decode(body, type=_WireCount).total_tokens
    except UNREADABLE as error:
        raise error_from_body(body) or garbage(body, error) from None
