"""Error answers of Google's APIs as modelwire's errors.

https://ai.google.dev/gemini-api/docs/troubleshooting and https://google.aip.dev/193: `{"error": {"code", "message",
"status", "details": [...]}}`; without `alt=sse` a streaming endpoint puts it into a list of one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire import _http, errors
from modelwire.protocols import HttpFacts
from modelwire.providers._errors import explanation
from modelwire.providers._gemini.facts import ORIGIN

if TYPE_CHECKING:
    from modelwire.protocols import HttpResponse

_CONTEXT = re.compile(r"input token count .*exceeds the maximum", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(r"API[ _]key (not valid|expired|not found)|unregistered callers", re.IGNORECASE)
_REGION_OR_BILLING = re.compile(r"location is not supported|enable billing|billing account", re.IGNORECASE)
_SPENT = re.compile(r"credits are depleted|spending cap", re.IGNORECASE)
_UNSUPPORTED = re.compile(
    r"(?P<what>[\w' ]+?) (?:is|are) not (?:enabled|supported) (?:for|by) (?:this model|models?/|the (?:current )?model)",
    re.IGNORECASE,
)
_OPTIONS = {
    "logprobs": "logprobs",
    "penalty": "frequency_penalty",
    "candidates": "n",
    "thinking": "reasoning_effort",
    "function calling": "tools",
    "json mode": "response_format",
}
"""Options by the words that refusals use for them."""
_SECRET = re.compile(r"\bAIza[\w-]{8,}")
"""Google's form of API keys, should a proxy quote one."""

_STATUS_OF_WORD = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class _Said(NamedTuple):
    """What an error body says."""

    message: str
    status: str | None = None
    number: int | None = None
    reason: str | None = None
    """`google.rpc.ErrorInfo.reason`."""
    retry_delay: float | None = None
    """`google.rpc.RetryInfo`, in seconds."""
    spent: bool = False
    """Whether a quota is used up that does not come back within minutes."""


def error_from_response(response: HttpResponse, facts: HttpFacts) -> errors.ModelClientError:
    """The error that an answer with this status stands for."""
    return _made(response.status, _said(_error(response.body), response.body), response.body, facts)


def error_from_body(body: bytes) -> errors.ModelClientError | None:
    """The error that a body tells of although its status was 200; `None` when it tells of none."""
    error = _error(body)
    if error is None:
        return None
    said = _said(error, body)
    number = said.number if said.number and 400 <= said.number < 600 else None
    return _made(number or _STATUS_OF_WORD.get(said.status or "", 500), said, body, HttpFacts())


def _error(body: bytes) -> Any:
    """The member `error` of a body, or of its only element."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and value:
        value = value[0]
    return value.get("error") or None if isinstance(value, dict) else None


def _said(error: Any, body: bytes) -> _Said:
    if not isinstance(error, dict):
        return _Said(error if isinstance(error, str) else explanation(body))
    details = _objects(error.get("details"))
    violations = [violation for detail in details for violation in _objects(detail.get("violations"))]
    delays = (detail["retryDelay"] for detail in details if isinstance(detail.get("retryDelay"), str))
    number = error.get("code")
    return _Said(
        message=str(error.get("message") or _http.excerpt(body)),
        status=str(error["status"]) if error.get("status") else None,
        number=number if isinstance(number, int) else None,
        reason=next((str(detail["reason"]) for detail in details if detail.get("reason")), None),
        retry_delay=next((_http.duration(delay) for delay in delays), None),
        spent=any(_is_long(violation) for violation in violations),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_long(violation: dict[str, Any]) -> bool:
    """Whether a quota is one of days, or nothing at all: "limit: 0" is what accounts see that may not use the model."""
    return "PerDay" in str(violation.get("quotaId")) or str(violation.get("quotaValue")) == "0"


def _made(status: int, said: _Said, body: bytes, facts: HttpFacts) -> errors.ModelClientError:
    kind = _kind(status, said)
    code = said.reason or said.status
    where = f"status {status}, code {code}" if code else f"status {status}"
    arguments: dict[str, Any] = {
        "status_code": status,
        "code": code,
        "request_id": facts.request_id,
        "retry_after": said.retry_delay if said.retry_delay is not None else facts.retry_after,
        "retryable": facts.should_retry,
        "rate_limit": facts.rate_limit,
        "body": _redacted(body[: _http.MAX_ERROR_BODY].decode("latin-1")).encode("latin-1"),
    }
    if kind is errors.UnsupportedOptionError:
        arguments["option"] = _option(said.message)
    return kind(f"{ORIGIN}: {_redacted(said.message)} ({where}){_REMEDIES.get(kind, '')}", **arguments)


def _redacted(text: str) -> str:
    return _SECRET.sub("AIza***", text)


_REMEDIES: dict[type[errors.ModelClientError], str] = {
    errors.AuthenticationError: "; check api_key= and that it belongs to this base_url",
    errors.NotFoundError: "; check model= and base_url=",
}


def _kind(status: int, said: _Said) -> type[errors.ModelClientError]:
    """The class of the error. A wrong key is a 400 here, a missing one a 403."""
    if (
        status == 401
        or (said.reason or "").startswith(("API_KEY_INVALID", "API_KEY_EXPIRED"))
        or _KEY.search(said.message)
    ):
        return errors.AuthenticationError
    if status == 429:
        return errors.QuotaExceededError if said.spent or _SPENT.search(said.message) else errors.RateLimitError
    if status == 400:
        return _kind_of_bad_request(said.message)
    return _KIND_OF_STATUS.get(status) or _kind_of_class(status)


def _kind_of_bad_request(message: str) -> type[errors.ModelClientError]:
    if _CONTEXT.search(message):
        return errors.ContextLengthError
    if _REGION_OR_BILLING.search(message):
        return errors.PermissionDeniedError
    return errors.UnsupportedOptionError if _option(message) else errors.BadRequestError


def _option(message: str) -> str | None:
    """The option that a model says it lacks: "Penalty is not enabled for models/…"."""
    found = _UNSUPPORTED.search(message)
    what = found["what"].lower() if found else ""
    return next((option for word, option in _OPTIONS.items() if word in what), None)


_KIND_OF_STATUS: dict[int, type[errors.ModelClientError]] = {
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    408: errors.ModelTimeoutError,
    499: errors.ModelClientError,
    503: errors.OverloadedError,
}


def _kind_of_class(status: int) -> type[errors.ModelClientError]:
    if status >= 500:
        return errors.ServerError
    return errors.BadRequestError if status >= 400 else errors.ModelClientError
