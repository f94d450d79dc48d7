"""A whole answer of the Responses API to a `CreateResult`, and what the stream decoder shares with that.

https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire import _http
from modelwire.errors import BadRequestError, ProtocolError
from modelwire.providers._json import NOTHING, UNREADABLE, Raw, given, members_of, text
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.providers._openai_responses.errors import failure
from modelwire.providers._openai_responses.items import ItemReader
from modelwire.types import CreateResult, FunctionCall, ProviderPart, Refusal, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire._fold import FinishReason
    from modelwire.types import Part, TokenLogprob

# ---------------------------------------------------------------------- wire structs: only what is read


class InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    cost: Any = None
    """OpenRouter: US dollars, as a number with a point."""


class Incomplete(msgspec.Struct):
    reason: str | None = None


class WireResponse(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Raw] | None = None
    error: Any = None
    incomplete_details: Incomplete | None = None
    usage: WireUsage | None = None
    created_at: Raw = NOTHING
    service_tier: Raw = NOTHING
    conversation: Raw = NOTHING
    previous_response_id: Raw = NOTHING
    input_transformations: Raw = NOTHING
    tool_usage: Raw = NOTHING
    prompt_cache_diagnostics: Raw = NOTHING
    moderation: Raw = NOTHING
    content_filters: Raw = NOTHING
    """Azure."""


KEPT = (
    "created_at",
    "service_tier",
    "conversation",
    "previous_response_id",
    "input_transformations",
    "tool_usage",
    "prompt_cache_diagnostics",
    "moderation",
    "content_filters",
)
"""Members of the response that go to `CreateResult.provider_data`."""


class WireCount(msgspec.Struct):
    input_tokens: int


class Names(NamedTuple):
    """Who answers."""

    provider: str
    origin: str


_response = msgspec.json.Decoder(WireResponse)
_untidy_response = msgspec.json.Decoder(WireResponse, strict=False)
"""For numbers as strings, and the like."""
_count = msgspec.json.Decoder(WireCount)

# ---------------------------------------------------------------------- the answer


def decode(body: bytes, names: Names) -> CreateResult:
    """A whole answer.

    Raises the error that a 200 answer tells of or that the response failed with, and `ProtocolError` for anything
    that is no response.
    """
    response = read_response(body, names)
    if response.output is None and response.status is None:
        raise error_from_body(body, names.provider) or garbage(body, names, "it has neither output nor status")
    check_failure(response, names)
    parts, logprobs = read_output(response, names)
    reason, raw_reason = finish_reason(response, parts, names.origin)
    return CreateResult(
        parts=parts,
        finish_reason=reason,
        raw_finish_reason=raw_reason,
        usage=usage(response.usage),
        logprobs=logprobs or None,
        id=response.id,
        model=response.model,
        provider=names.provider,
        provider_data=kept_members(response, names),
    )


def decode_count(body: bytes, names: Names) -> int:
    """Tokens, from an answer of `POST /responses/input_tokens`.

    Raises as `decode` does.
    """
    try:
        return _count.decode(body).input_tokens
    except UNREADABLE as error:
        raise error_from_body(body, names.provider) or garbage(body, names, error) from None


def read_response(body: bytes | Raw, names: Names) -> WireResponse:
    """The response object of an answer or an event.

    Raises as `decode` does for what is none.
    """
    try:
        return _response.decode(body)
    except msgspec.ValidationError as error:
        problem: Exception = error
    except UNREADABLE as error:
        raise garbage(bytes(body), names, error) from None
    try:
        return _untidy_response.decode(body)
    except UNREADABLE:
        raise error_from_body(bytes(body), names.provider) or garbage(bytes(body), names, problem) from None


def check_failure(response: WireResponse, names: Names) -> None:
    """Raise the error that the response failed with, if it did."""
    if response.error or response.status == "failed":
        raise failure(response.error, names.provider)


def read_output(response: WireResponse, names: Names) -> tuple[list[Part], list[TokenLogprob]]:
    """The parts of all items, and the log probabilities of their texts.

    Raises `ProtocolError` for items that are none.
    """
    reader = ItemReader(names.origin, response.id, response.model)
    parts: list[Part] = []
    for index, raw in enumerate(response.output or ()):
        parts += item_parts(reader, raw, index, names)
    return parts, reader.logprobs


def item_parts(reader: ItemReader, raw: Raw, index: int, names: Names) -> list[Part]:
    """The parts of one item.

    Raises `ProtocolError` for what is no item.
    """
    try:
        return reader.parts(raw, index)
    except (BadRequestError, *UNREADABLE) as error:
        raise garbage(bytes(raw), names, error) from None


def garbage(body: bytes, names: Names, error: object) -> ProtocolError:
    """The error for bytes that are no answer of the Responses API."""
    if not body.strip():
        what = "an empty answer; is base_url the API's own, with /v1 where it has one?"
    elif _http.looks_like_html(body):
        what = f"a web page instead of JSON (a proxy, a login page, or a wrong base_url): {_http.excerpt(body)}"
    else:
        what = f"not an answer of the Responses API ({error}): {_http.excerpt(body)}"
    return ProtocolError(f"{names.provider}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])


# ---------------------------------------------------------------------- facts about the answer


def finish_reason(response: WireResponse, parts: Sequence[Part], origin: str) -> tuple[FinishReason, str | None]:
    """The unified reason and the server's own word: why it is incomplete, else its status."""
    why = response.incomplete_details.reason if response.incomplete_details else None
    raw = why or response.status
    if why == "content_filter":
        return "content_filter", raw
    if any(isinstance(part, Refusal) for part in parts):
        return "refusal", raw
    if any(isinstance(part, FunctionCall) and not _is_cut(part, origin) for part in parts):
        return "function_calls", raw
    if response.status in (None, "completed", "complete") and not why:
        return ("pause" if _waits_for_client(parts) else "stop"), raw
    return _REASONS.get(raw or "", "unknown"), raw


_REASONS: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "max_messages": "pause",
    "steered": "pause",
}


def _is_cut(call: FunctionCall, origin: str) -> bool:
    """Whether the model was stopped inside this call, so that it cannot be answered."""
    status = (call.provider_data or {}).get(origin, {}).get("status")
    return status is not None and bytes(status) == b'"incomplete"'


_CLIENT_CALLS = {
    "computer_call": "computer_call_output",
    "shell_call": "shell_call_output",
    "local_shell_call": "local_shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "tool_search_call": "tool_search_output",
}
"""Calls of built-in tools that the client may have to run, with the kind of their results."""


def _waits_for_client(parts: Sequence[Part]) -> bool:
    """Whether a built-in tool waits for something that the client must send: an approval, or its result."""
    items = [part for part in parts if isinstance(part, ProviderPart)]
    if any(item.kind == "mcp_approval_request" for item in items):
        return True
    done = {(item.kind, _call_id(item)) for item in items}
    return any((_CLIENT_CALLS[item.kind], _call_id(item)) not in done for item in items if item.kind in _CLIENT_CALLS)


def _call_id(item: ProviderPart) -> str:
    return text(members_of(item.data, "item").get("call_id", NOTHING))


def usage(wire: WireUsage | None) -> Usage | None:
    """Unified token counts; `None` when the server reported none."""
    if wire is None or (wire.input_tokens is None and wire.output_tokens is None):
        return None
    read = wire.input_tokens_details or InputDetails()
    return Usage(
        prompt_tokens=wire.input_tokens or 0,
        completion_tokens=wire.output_tokens or 0,
        total_tokens=wire.total_tokens,  # type: ignore[arg-type]  # the sum where it is None
        cached_tokens=read.cached_tokens,
        cache_write_tokens=read.cache_write_tokens,
        reasoning_tokens=wire.output_tokens_details.reasoning_tokens if wire.output_tokens_details else None,
        cost=wire.cost if isinstance(wire.cost, float) else None,
    )


def kept_members(response: WireResponse, names: Names) -> dict[str, dict[str, Raw]] | None:
    """Members of the response that users ask for and modelwire does not model."""
    own = {name: raw.copy() for name in KEPT if given(raw := getattr(response, name)) and bytes(raw) != b"[]"}
    return {names.origin: own} if own else None
