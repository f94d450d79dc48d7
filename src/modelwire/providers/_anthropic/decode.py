"""A whole Messages answer to a `CreateResult`, and what the stream decoder shares with that.

https://platform.claude.com/docs/en/api/messages, "Returns".
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from modelwire.providers._anthropic.errors import error_from_body, garbage
from modelwire.providers._anthropic.parts import NULL, ORIGIN, ProviderData, Raw, answer_part, refusal
from modelwire.providers._json import UNREADABLE
from modelwire.types import CreateResult, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire._fold import FinishReason
    from modelwire.types import Part

NOTHING = Raw()

# ---------------------------------------------------------------------- wire structs: only what is read


class WireOutputDetails(msgspec.Struct):
    """What the tokens of the answer are."""

    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """Token counts. In a stream they are cumulative, so that a later one counts and is not added."""

    input_tokens: int | None = None
    """Without those of the cache."""
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    """With those of thinking."""
    output_tokens_details: WireOutputDetails | None = None
    cache_creation: Raw = NOTHING
    server_tool_use: Raw = NOTHING
    service_tier: Raw = NOTHING
    speed: Raw = NOTHING
    inference_geo: Raw = NOTHING
    iterations: Raw = NOTHING

    def update(self, later: WireUsage) -> None:
        """Take over what `later` says."""
        for name in self.__struct_fields__:
            value = getattr(later, name)
            if value is not None and value not in (NOTHING, NULL):
                setattr(self, name, value.copy() if isinstance(value, Raw) else value)


class WireStop(msgspec.Struct):
    """Why the model stopped, and what is only known then."""

    stop_reason: str | None = None
    stop_sequence: Raw = NOTHING
    stop_details: Raw = NOTHING
    container: Raw = NOTHING


class WireAnswer(WireStop):
    """A whole answer, or the beginning of a streamed one."""

    id: str | None = None
    model: str | None = None
    type: str | None = None
    content: list[Raw] | None = None
    usage: WireUsage | None = None
    context_management: Raw = NOTHING
    diagnostics: Raw = NOTHING
    input_transformations: Raw = NOTHING


class WireCount(msgspec.Struct):
    """The answer of `count_tokens`."""

    input_tokens: int


_ANSWER_KEPT = ("stop_sequence", "container", "context_management", "diagnostics", "input_transformations")
_USAGE_KEPT = ("cache_creation", "server_tool_use", "service_tier", "speed", "inference_geo", "iterations")

_KEPT = _ANSWER_KEPT + _USAGE_KEPT
_kept_of_answer: Callable[[WireAnswer], tuple[Raw, ...]] = attrgetter(*_ANSWER_KEPT)
_kept_of_usage: Callable[[WireUsage], tuple[Raw, ...]] = attrgetter(*_USAGE_KEPT)

_answer = msgspec.json.Decoder(WireAnswer)
_count = msgspec.json.Decoder(WireCount)

# ---------------------------------------------------------------------- the answer


def decode(body: bytes) -> CreateResult:
    """A whole answer.

    Raises the error that a 200 answer tells of, and `ProtocolError` for anything that is no message.
    """
    answer = _read(body)
    try:
        parts = [part for raw in answer.content or () if (part := answer_part(raw, answer.model)) is not None]
        if answer.stop_reason == "refusal":
            parts.append(refusal(answer.stop_details))
    except UNREADABLE as error:
        raise garbage(body, error) from None
    return CreateResult(
        parts=parts,
        finish_reason=finish_reason(answer.stop_reason, parts),
        raw_finish_reason=answer.stop_reason,
        usage=usage(answer.usage),
        id=answer.id,
        model=answer.model,
        provider=ORIGIN,
        provider_data=kept(answer, answer.usage),
    )


def _read(body: bytes) -> WireAnswer:
    try:
        str(body, "utf-8")  # the decoder does not look into what is kept raw
        answer = _answer.decode(body)
    except UNREADABLE as error:
        raise error_from_body(body) or garbage(body, error) from None
    if answer.type == "error" or answer.content is None:
        raise error_from_body(body) or garbage(body, ValueError("it has no content"))
    return answer


def finish_reason(raw: str | None, parts: list[Part]) -> FinishReason:
    """The unified reason of a whole answer."""
    return unified_reason(raw, calls=any(part.type == "function_call" for part in parts))


def unified_reason(raw: str | None, *, calls: bool) -> FinishReason:
    """The unified reason: what is in the answer counts for more than the server's word."""
    known = _REASONS.get(raw or "", "unknown")
    if known == "refusal":
        return known
    if calls:
        return "function_calls"
    # The word `tool_use` without any call: the model was done.
    return "stop" if known == "function_calls" else known


_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "function_calls",
    "pause_turn": "pause",
    "compaction": "pause",
    "refusal": "refusal",
}


def usage(wire: WireUsage | None) -> Usage | None:
    """Unified token counts, with the cache's inside the prompt's; `None` when the server reported none."""
    if wire is None or (wire.input_tokens is None and wire.output_tokens is None):
        return None
    read, written = wire.cache_read_input_tokens, wire.cache_creation_input_tokens
    details = wire.output_tokens_details
    return Usage(
        prompt_tokens=(wire.input_tokens or 0) + (read or 0) + (written or 0),
        completion_tokens=wire.output_tokens or 0,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=details.thinking_tokens if details is not None else None,
    )


def kept(answer: WireAnswer, counts: WireUsage | None) -> ProviderData | None:
    """Members of the answer and its usage that users ask for and modelwire does not model."""
    values = _kept_of_answer(answer) if counts is None else _kept_of_answer(answer) + _kept_of_usage(counts)
    found = zip(_KEPT, values)  # noqa: B905  # without a usage, only the first
    data = {name: raw.copy() for name, raw in found if raw and raw != NULL}
    return {ORIGIN: data} if data else None


def decode_count(body: bytes) -> int:
    """The number of tokens in an answer of `/v1/messages/count_tokens`.

    Raises `ProtocolError` for anything else.
    """
    try:
        return _count.decode(body).input_tokens
    except UNREADABLE as error:
        raise error_from_body(body) or garbage(body, error) from None
