"""Error answers of OpenAI's APIs and of the servers that imitate them, as modelwire's errors.

https://platform.openai.com/docs/guides/error-codes; Azure:
https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter; OpenRouter:
https://openrouter.ai/docs/api-reference/errors. Shapes seen: `{"error": {...}}`, `{"error": "text"}`, `{"detail": ...}`
(FastAPI), `{"message": ...}`, a list around any of them, plain text, and HTML from proxies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire import _http, errors
from modelwire.protocols import HttpFacts
from modelwire.providers._errors import explanation, remedy, where
from modelwire.providers._json import UNREADABLE

if TYPE_CHECKING:
    from modelwire.protocols import HttpResponse

_CONTENT_FILTER = {
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "moderation_blocked",
    "image_content_policy_violation",
    "bio_policy",
    "misalignment_policy_violation",
}
_CONTEXT = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_CONTEXT_TEXT = re.compile(
    r"maximum (context|prompt) length|context length exceeded|context[- ]window|available context size"
    r"|prompt is too long|reduce the length of the (messages|prompt)|exceeded model token limit",
    re.IGNORECASE,
)
# xAI answers a wrong key with 400, and a prompt that its checks refuse with 403; both have a sentence for a code.
_KEY_TEXT = re.compile(r"incorrect(%20| )api(%20| )key|api key not valid", re.IGNORECASE)
_FILTER_TEXT = re.compile(r"violates usage guidelines|SAFETY_CHECK_TYPE")
_QUOTA = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "credit_balance_exhausted",
    "billing_not_active",
    "exceeded_current_quota_error",
}
_KEY = {"invalid_api_key", "invalid_authentication", "authentication_error"}
_UNSUPPORTED = {"unsupported_parameter", "unsupported_value"}
_MESSAGES = ("messages", "input")
"""Members of a request that hold the conversation: what is unsupported inside is no option."""
_MODEL = {"model_not_found", "deploymentnotfound"}
_GENERATION = {"tool_use_failed", "json_validate_failed"}
"""Groq: a 400 for what the model wrote, not for the request; another sample is mostly right.

https://console.groq.com/docs/errors
"""
_SECRET = re.compile(r"\b((?:sk|gsk|xai|pk|csk|fw|tgp)[-_]|AIza)[\w*.-]{6,}")
"""Providers quote wrong keys in their errors, masked more or less."""

_MESSAGE = 2000
"""Characters of a provider's message that ours quotes."""

_STATUS_OF_WORD = {
    "server_error": 500,
    "internal_error": 500,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "content_filter": 400,
    "context_length_exceeded": 400,
    # Of the Responses API, whose other codes (`vector_store_timeout`) are failures of the server.
    "invalid_prompt": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "image_content_policy_violation": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "invalid_image_mode": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_file_too_large": 400,
    "image_file_not_found": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "previous_response_not_found": 400,
    "model_not_found": 404,
}
"""HTTP status that an error inside a 200 answer stands for, by its `code` or `type`."""


class _Said(NamedTuple):
    """What an error body says."""

    message: str
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    inner: str | None = None
    """Azure's `innererror.code`."""
    flagged: bool = False
    """OpenRouter's moderation found something."""
    status: int | None = None
    """An HTTP status, for errors inside a 200 answer."""

    @property
    def words(self) -> set[str]:
        return {word.lower() for word in (self.code, self.kind, self.inner) if word}


def error_from_response(response: HttpResponse, facts: HttpFacts, provider: str) -> errors.ModelClientError:
    """The error that an answer with this status stands for."""
    return _made(response.status, _said(response.body, response.status), response.body, facts, provider)


def error_from_body(body: bytes, provider: str) -> errors.ModelClientError | None:
    """The error that a body tells of although its status was 200; `None` when it tells of none."""
    value = _json(body)
    if not isinstance(value, dict) or not _tells_of_error(value):
        return None
    said = _said(body, 200)
    words = (_STATUS_OF_WORD.get(word or "") for word in (said.code, said.kind))
    return _made(said.status or next(filter(None, words), 500), said, body, HttpFacts(), provider)


def _tells_of_error(value: dict[str, Any]) -> bool:
    if value.get("error"):
        return True
    return "choices" not in value and bool(value.get("detail") or (value.get("message") and "object" in value))


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        return None


def _said(body: bytes, status: int) -> _Said:
    value = _json(body)
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return _Said("an empty answer" if status < 400 and not body.strip() else explanation(body))
    error = value.get("error") or value
    if isinstance(error, str):
        return _Said(_detail(error), code=_word(value.get("code")), kind=_word(value.get("type")))
    if not isinstance(error, dict):
        return _Said(_http.excerpt(body))
    message = error.get("message") or error.get("detail") or value.get("message") or _http.excerpt(body)
    metadata = error.get("metadata") if isinstance(error.get("metadata"), dict) else {}
    inner = error.get("innererror")
    return _Said(
        _detail(message) + _upstream(metadata),
        _word(error.get("code")),
        _word(error.get("type")),
        _word(error.get("param")),
        _word(inner.get("code")) if isinstance(inner, dict) else None,
        bool(metadata and ("flagged_input" in metadata or "reasons" in metadata)),
        _status(error.get("code"), error.get("status_code"), error.get("status")),
    )


def _status(*values: Any) -> int | None:
    """The first of these that is an HTTP status of an error."""
    return next((known for value in values if (known := _STATUSES.get(_word(value) or ""))), None)


_STATUSES = {str(status): status for status in range(400, 600)}


def _upstream(metadata: Any) -> str:
    """What a router says of the server behind it."""
    raw = metadata.get("raw") if metadata else None
    return f" [{metadata.get('provider_name') or 'upstream'}: {str(raw)[: _http.EXCERPT]}]" if raw else ""


def _detail(message: Any) -> str:
    """FastAPI's list of `{loc, msg}` as a sentence; anything else as text."""
    if isinstance(message, dict) and "detail" in message:  # Mistral
        message = message["detail"]
    if isinstance(message, str):
        return message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]} ..."
    if isinstance(message, list):
        items = [item for item in message if isinstance(item, dict) and "msg" in item]
        if items:
            return "; ".join(f"{_place(item.get('loc'))}{item['msg']}" for item in items)
    return msgspec.json.encode(message).decode()[: _http.EXCERPT]


def _place(steps: Any) -> str:
    if steps is None:
        return ""
    return f"{'.'.join(map(str, steps)) if isinstance(steps, list) else steps}: "


def _word(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "" else None


def _made(status: int, said: _Said, body: bytes, facts: HttpFacts, provider: str) -> errors.ModelClientError:
    kind, retryable = _kind(status, said)
    # Some servers repeat the status in the place of the code: their word is the type.
    code = said.kind or said.code if said.code == str(status) else said.code or said.kind
    message = f"{provider}: {_redacted(said.message)} ({where(status, code, facts.request_id)}){remedy(kind)}"
    arguments: dict[str, Any] = {
        "status_code": status,
        "code": code,
        "request_id": facts.request_id,
        "retry_after": facts.retry_after,
        "retryable": retryable if facts.should_retry is None else facts.should_retry,
        "rate_limit": facts.rate_limit,
        "body": _redacted(body[: _http.MAX_ERROR_BODY].decode("latin-1")).encode("latin-1"),
    }
    if kind is errors.UnsupportedOptionError:
        arguments["option"] = said.param
    return kind(message, **arguments)


def _redacted(text: str) -> str:
    return _SECRET.sub(r"\1***", text)


def _kind(status: int, said: _Said) -> tuple[type[errors.ModelClientError], bool | None]:
    """The class of the error, and whether a retry may help where that differs from the class's default."""
    words = said.words
    if words & _CONTENT_FILTER or said.flagged or (status == 403 and _FILTER_TEXT.search(said.message)):
        return errors.ContentFilterError, None
    if status < 500 and (words & _CONTEXT or _CONTEXT_TEXT.search(said.message)):
        return errors.ContextLengthError, None
    if words & _QUOTA or status == 402:
        return errors.QuotaExceededError, None
    if words & _KEY or status == 401 or (status == 400 and _KEY_TEXT.search(said.message)):
        return errors.AuthenticationError, None
    if status < 500 and words & _UNSUPPORTED and not (said.param or "").startswith(_MESSAGES):
        return errors.UnsupportedOptionError, None
    if status == 400 and words & _MODEL:
        return errors.NotFoundError, None
    if status == 400 and words & _GENERATION:
        return errors.BadRequestError, True
    return _KIND_OF_STATUS.get(status) or _kind_of_class(status)


_KIND_OF_STATUS: dict[int, tuple[type[errors.ModelClientError], bool | None]] = {
    403: (errors.PermissionDeniedError, None),
    404: (errors.NotFoundError, None),
    408: (errors.ModelTimeoutError, None),
    409: (errors.ModelClientError, True),  # a lock; all SDKs of the vendor retry it
    429: (errors.RateLimitError, None),
    498: (errors.OverloadedError, None),  # Groq: no flex capacity
    501: (errors.ServerError, False),
    503: (errors.OverloadedError, None),
    529: (errors.OverloadedError, None),
}


def _kind_of_class(status: int) -> tuple[type[errors.ModelClientError], bool | None]:
    if status >= 500:
        return errors.ServerError, None
    if status >= 400:
        return errors.BadRequestError, None
    return errors.ModelClientError, None
