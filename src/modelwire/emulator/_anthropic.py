"""Answers of Anthropic's Messages API.

https://platform.claude.com/docs/en/api/messages and https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from modelwire import errors
from modelwire._option_table import WIRE
from modelwire.emulator._dialect import (
    EVENT_STREAM,
    arguments_object,
    cannot_say,
    encoded,
    event,
    flat,
    fragments,
    given,
    kind_of,
    only_one,
    own_of,
    picked,
    raw_reason,
    words,
)
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._anthropic.parts import ORIGIN
from modelwire.types import FunctionCall, ProviderPart, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelwire.emulator._dialect import Asked, Json, Verb
    from modelwire.errors import ModelClientError
    from modelwire.types import ChatRequest, Citation, CreateResult, Part, Usage

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "function_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause": "pause_turn",
}
_OF_USAGE = ("cache_creation", "server_tool_use", "service_tier", "speed", "inference_geo", "iterations")
_OF_STOP = ("stop_reason", "stop_sequence", "stop_details", "container")
_TYPES: dict[type[ModelClientError], tuple[str, str]] = {
    errors.AuthenticationError: ("authentication_error", ""),
    errors.PermissionDeniedError: ("permission_error", ""),
    errors.NotFoundError: ("not_found_error", ""),
    errors.ModelTimeoutError: ("timeout_error", ""),
    errors.QuotaExceededError: ("billing_error", "Your credit balance is too low to access the Anthropic API: "),
    errors.RateLimitError: ("rate_limit_error", ""),
    errors.OverloadedError: ("overloaded_error", ""),
    errors.ServerError: ("api_error", ""),
    errors.ContextLengthError: ("invalid_request_error", "prompt is too long: "),
    errors.ContentFilterError: ("invalid_request_error", "Output blocked by content filtering policy: "),
    errors.UnsupportedOptionError: ("invalid_request_error", "{option}: Extra inputs are not permitted: "),
    errors.BadRequestError: ("invalid_request_error", ""),
}
"""`type` of an error, and the words by which it is known: https://platform.claude.com/docs/en/api/errors."""


class Anthropic:
    """See `Dialect`."""

    name: ClassVar[str] = "anthropic"
    statuses: ClassVar[Mapping[type[ModelClientError], int]] = {
        errors.OverloadedError: 529,
        errors.QuotaExceededError: 402,
    }

    def verb(self, path: str) -> Verb | None:
        """The API's own paths, below any prefix."""
        path = path.partition("?")[0]
        if path.endswith("/messages/count_tokens"):
            return "count"
        return "answer" if path.endswith("/messages") else None

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request."""
        del path
        return AnthropicCodec("").decode_request(body)

    def media_type(self, asked: Asked) -> str:
        """Events."""
        del asked
        return EVENT_STREAM

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer."""
        only_one(result, self.name)
        own = dict(own_of(result, ORIGIN))
        usage = {} if result.usage is None else _usage(result.usage)
        usage |= {name: own.pop(name) for name in _OF_USAGE if name in own}
        refusal = next((part for part in result.answer_parts if isinstance(part, Refusal)), None)
        reason = raw_reason(result, result.provider, ORIGIN) or _REASONS.get(result.finish_reason, result.finish_reason)
        return {
            "id": result.id or f"msg_emulated_{asked.number}",
            "type": "message",
            "role": "assistant",
            # A prefix, by which the model is still taken for itself: see `_anthropic/names.py`.
            "model": result.model or f"emulated/{asked.request.model}",
            "content": [_block(part) for part in result.answer_parts if not isinstance(part, Refusal)],
            "stop_reason": "refusal" if refusal is not None else reason,
            "stop_sequence": None,
            **({"stop_details": _details(refusal)} if refusal is not None else {}),
            **({"usage": usage} if usage else {}),
            **own,
        }

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """The events of a stream."""
        del asked
        late = (*_OF_STOP, "context_management", "input_transformations")
        begun = {name: value for name, value in answer.items() if name not in late}
        usage = answer.get("usage", {})
        begun |= {"content": [], "stop_reason": None, "stop_sequence": None}
        if usage:
            begun["usage"] = {name: 1 if name == "output_tokens" else value for name, value in usage.items()}
        end = {
            "type": "message_delta",
            "delta": picked(answer, _OF_STOP),
            **picked(answer, ("usage", "context_management", "input_transformations")),
        }
        blocks = [list(_block_events(index, block)) for index, block in enumerate(answer["content"])]
        return [
            _told("message_start", message=begun),
            _told("ping"),
            *flat(blocks),
            event(end, "message_delta"),
            _told("message_stop"),
        ]

    def count(self, tokens: int) -> Json:
        """Of `POST /v1/messages/count_tokens`."""
        return {"input_tokens": tokens}

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        kind, said = _TYPES[kind_of(error, status)]
        option = error.option if isinstance(error, errors.UnsupportedOptionError) else None
        said = said.format(option=WIRE["anthropic"].get(option or "", option))
        details = {"details": {"error_code": error.code}} if error.code and error.code != kind else {}
        return {"type": "error", "error": {"type": kind, "message": f"{said}{error.message}", **details}}

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """The event `error`."""
        return event(self.error(error, status), "error")


def _told(kind: str, **members: Any) -> bytes:
    return event({"type": kind, **members}, kind)


# ---------------------------------------------------------------------- blocks


def _block(part: Part) -> Any:
    block: Json
    match part:
        case Text():
            cited = {"citations": [_citation(citation) for citation in part.citations]} if part.citations else {}
            return {"type": "text", "text": part.text, **cited, **own_of(part, ORIGIN)}
        case Reasoning(redacted=True):
            return {"type": "redacted_thinking", "data": part.signature or "", **own_of(part, ORIGIN)}
        case Reasoning():
            block = {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
            return {**block, **own_of(part, ORIGIN)}
        case FunctionCall(custom=False):
            block = {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_object(part)}
            return {**block, **own_of(part, ORIGIN)}
        case ProviderPart() if part.provider == ORIGIN:
            return part.data
        case _:
            raise cannot_say(part, Anthropic.name)


def _citation(citation: Citation) -> Any:
    own = own_of(citation, ORIGIN)
    if "citation" in own:
        return own["citation"]
    found = {name: getattr(citation, name) for name in ("url", "title", "cited_text")}
    return {"type": "web_search_result_location", **given(found), "encrypted_index": ""}


def _details(refusal: Refusal) -> Any:
    own = own_of(refusal, ORIGIN)
    if "stop_details" in own:
        return own["stop_details"]
    return {"type": "refusal", "category": refusal.category, "explanation": refusal.text or None}


def _usage(usage: Usage) -> Json:
    """Tokens of the cache stand beside those of the prompt here."""
    beside = (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
    return given(
        {
            "input_tokens": usage.prompt_tokens - beside,
            "cache_read_input_tokens": usage.cached_tokens,
            "cache_creation_input_tokens": usage.cache_write_tokens,
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": given({"thinking_tokens": usage.reasoning_tokens}) or None,
        }
    )


# ---------------------------------------------------------------------- the same in events


def _block_events(index: int, block: Any) -> Iterator[bytes]:
    """A block begins empty and is filled; one of the provider's own comes whole."""
    begun, deltas = _deltas(block) if isinstance(block, dict) else (block, [])
    yield _told("content_block_start", index=index, content_block=begun)
    for delta in deltas:
        yield _told("content_block_delta", index=index, delta=delta)
    yield _told("content_block_stop", index=index)


def _deltas(block: Json) -> tuple[Json, list[Json]]:
    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
            texts = [{"type": "text_delta", "text": piece} for piece in words(block["text"])]
            begun = {**{name: value for name, value in block.items() if name != "citations"}, "text": ""}
            return begun, [*texts, *cited]
        case "thinking":
            texts = [{"type": "thinking_delta", "thinking": piece} for piece in words(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*texts, signed]
        case "tool_use":
            written = bytes(msgspec.json.decode(encoded(block["input"]), type=msgspec.Raw)).decode()
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in fragments(written)]
            return {**block, "input": {}}, pieces
        case _:
            return block, []
