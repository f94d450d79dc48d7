"""Anthropic's error answers as modelwire's errors: https://platform.claude.com/docs/en/api/errors.

`{"type": "error", "error": {"type", "message", "details"?: {"error_code"}}, "request_id"}`, with a status, or with
status 200 inside a stream. Gateways in front of the API answer with other JSON, plain text or HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire import _http, errors
from modelwire._option_table import WIRE
from modelwire.protocols import HttpFacts
from modelwire.providers._anthropic.parts import ORIGIN
from modelwire.providers._errors import explanation, remedy, where
from modelwire.providers._json import UNREADABLE

if TYPE_CHECKING:
    from modelwire.protocols import HttpResponse

    Kind = tuple[type[errors.ModelClientError], bool | None]

# The last is llama.cpp's, whose server speaks this format too.
_CONTEXT = re.compile(
    r"prompt is too long|exceeds? (the )?context (limit|window)|context window|available context size", re.IGNORECASE
)
_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
_FILTERED = re.compile(r"blocked by content filtering", re.IGNORECASE)
_EXTRA = re.compile(r"^(\w+(?:\.\w+)?): Extra inputs are not permitted")
_SPEND = {"contract_spend_limit_reached", "enforced_spend_limit_reached", "linked_organization_spend_limit_reached"}
_SECRET = re.compile(r"\b(sk-ant-)[\w-]{6,}")

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""HTTP status that an error inside a 200 answer stands for."""

_NAMES = {wire: name for name, wire in WIRE["anthropic"].items()}


class _Said(NamedTuple):
    message: str
    kind: str | None = None
    code: str | None = None
    request_id: str | None = None


def error_from_response(response: HttpResponse, facts: HttpFacts) -> errors.ModelClientError:
    """The error that an answer with this status stands for."""
    return _made(response.status, _said(response.body), response.body, facts)


def error_from_body(body: bytes) -> errors.ModelClientError | None:
    """The error that a body or an event tells of although its status was 200; `None` when it tells of none."""
    value = _json(body)
    if not isinstance(value, dict) or not (value.get("error") or value.get("type") == "error"):
        return None
    said = _said(body)
    return _made(_STATUS.get(said.kind or "", 500), said, body, HttpFacts())


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return None


def _said(body: bytes) -> _Said:
    value = _json(body)
    if not isinstance(value, dict):
        return _Said(explanation(body))
    request_id = _word(value.get("request_id"))
    error = value.get("error")
    if not isinstance(error, dict):
        told = error or value.get("message") or value.get("detail")
        return _Said(told if isinstance(told, str) else _http.excerpt(body), request_id=request_id)
    details = error.get("details")
    code = _word(details.get("error_code")) if isinstance(details, dict) else None
    message = _word(error.get("message")) or _http.excerpt(body)
    return _Said(message, _word(error.get("type")), code, request_id)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _made(status: int, said: _Said, body: bytes, facts: HttpFacts) -> errors.ModelClientError:
    kind, retryable = _kind(status, said)
    code, request_id = said.code or said.kind, facts.request_id or said.request_id
    given: dict[str, Any] = {
        "status_code": status,
        "code": code,
        "request_id": request_id,
        "retry_after": facts.retry_after,
        "retryable": retryable if facts.should_retry is None else facts.should_retry,
        "rate_limit": facts.rate_limit,
        "body": _redacted(body[: _http.MAX_ERROR_BODY].decode("latin-1")).encode("latin-1"),
    }
    if kind is errors.UnsupportedOptionError:
        given["option"] = _option(said.message)
    return kind(f"anthropic: {_redacted(said.message)} ({where(status, code, request_id)}){remedy(kind)}", **given)


def _redacted(text: str) -> str:
    return _SECRET.sub(r"\1***", text)


def _option(message: str) -> str | None:
    """The option that "temperature: Extra inputs are not permitted" speaks of; `None` for anything else."""
    found = _EXTRA.match(message)
    return _NAMES.get(found[1]) if found else None


def _kind(status: int, said: _Said) -> Kind:
    """The class of the error, and whether a retry may help where that differs from the class's default."""
    if status == 402 or said.code in _SPEND or _CREDIT.search(said.message):
        return errors.QuotaExceededError, None
    if status in (400, 413) and _CONTEXT.search(said.message):
        return errors.ContextLengthError, None
    if status == 400 and _FILTERED.search(said.message):
        return errors.ContentFilterError, None
    if status == 400 and _option(said.message):
        return errors.UnsupportedOptionError, None
    return _KINDS.get(status) or _of_class(status)


_KINDS: dict[int, Kind] = {
    401: (errors.AuthenticationError, None),
    403: (errors.PermissionDeniedError, None),
    404: (errors.NotFoundError, None),
    408: (errors.ModelTimeoutError, None),
    409: (errors.ModelClientError, True),  # the vendor's SDKs retry a conflict
    429: (errors.RateLimitError, None),
    499: (errors.ModelClientError, None),  # "client closed request"
    501: (errors.ServerError, False),
    503: (errors.OverloadedError, None),
    529: (errors.OverloadedError, None),
}


def _of_class(status: int) -> Kind:
    if status >= 500:
        return errors.ServerError, None
    return (errors.BadRequestError, None) if status >= 400 else (errors.ModelClientError, None)


def garbage(body: bytes, error: Exception) -> errors.ProtocolError:
    """The error for bytes that are no Messages answer."""
    if not body.strip():
        what = "an empty answer; is base_url the API's own?"
    elif _http.looks_like_html(body):
        what = explanation(body)
    else:
        what = f"not a Messages answer ({error}): {_http.excerpt(body)}"
    return errors.ProtocolError(f"{ORIGIN}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])
