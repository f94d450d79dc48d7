"""Error answers and headers of the Messages API."""

from __future__ import annotations

import json

import pytest

from modelwire import errors
from modelwire.protocols import HttpFacts, HttpResponse
from modelwire.types import RateLimit, RateLimitWindow
from tests.providers.anthropic_wire import CODEC


def error_of(status: int, body: bytes | dict[str, object], **headers: str) -> errors.ModelClientError:
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return CODEC.decode_error(
        HttpResponse(status, sent, body if isinstance(body, bytes) else json.dumps(body).encode())
    )


def told(kind: str, message: str = "No.", code: str | None = None) -> dict[str, object]:
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": "req_body"}


@pytest.mark.parametrize(
    ("status", "kind", "expected", "retryable"),
    [
        (400, "invalid_request_error", errors.BadRequestError, False),
        (401, "authentication_error", errors.AuthenticationError, False),
        (402, "billing_error", errors.QuotaExceededError, False),
        (403, "permission_error", errors.PermissionDeniedError, False),
        (404, "not_found_error", errors.NotFoundError, False),
        (408, "timeout_error", errors.ModelTimeoutError, True),
        (409, "conflict_error", errors.ModelClientError, True),
        (413, "request_too_large", errors.BadRequestError, False),
        (422, "invalid_request_error", errors.BadRequestError, False),
        (429, "rate_limit_error", errors.RateLimitError, True),
        (499, "api_error", errors.ModelClientError, False),
        (500, "api_error", errors.ServerError, True),
        (501, "api_error", errors.ServerError, False),
        (503, "api_error", errors.OverloadedError, True),
        (504, "timeout_error", errors.ServerError, True),
        (529, "overloaded_error", errors.OverloadedError, True),
        (302, "redirect", errors.ModelClientError, False),
    ],
)
def test_a_status_has_its_class(
    status: int, kind: str, expected: type[errors.ModelClientError], retryable: bool
) -> None:
    error = error_of(status, told(kind))

    assert type(error) is expected
    assert (error.status_code, error.code, error.request_id) == (status, kind, "req_body")
    assert error.retryable == retryable
    assert error.message.startswith("anthropic: No. (status ")


@pytest.mark.parametrize(
    ("status", "message", "code", "expected"),
    [
        (400, "prompt is too long: 210000 tokens > 200000 maximum", None, errors.ContextLengthError),
        (400, "request (9 tokens) exceeds the available context size (8 tokens)", None, errors.ContextLengthError),
        (
            400,
            "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
            None,
            errors.ContextLengthError,
        ),
        (400, "Your credit balance is too low to access the Anthropic API.", None, errors.QuotaExceededError),
        (400, "Output blocked by content filtering policy", None, errors.ContentFilterError),
        (400, "messages.0.content: Extra inputs are not permitted", None, errors.BadRequestError),
        (429, "Spend limit.", "contract_spend_limit_reached", errors.QuotaExceededError),
        (429, "Spend limit.", "enforced_spend_limit_reached", errors.QuotaExceededError),
        (429, "Slow down.", "ramp_limit_exceeded", errors.RateLimitError),
        (400, "Too large.", "image_dimensions_too_large", errors.BadRequestError),
        (500, "prompt is too long, or so it seems", None, errors.ServerError),
    ],
)
def test_what_is_said_counts_for_more_than_the_status(
    status: int, message: str, code: str | None, expected: type[errors.ModelClientError]
) -> None:
    error = error_of(status, told("any_error", message, code))

    assert type(error) is expected
    assert error.code == (code or "any_error")
    assert error.retryable == (expected in (errors.RateLimitError, errors.ServerError))


@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("temperature: Extra inputs are not permitted", "temperature"),
        ("stop_sequences: Extra inputs are not permitted", "stop"),
        ("output_config.effort: Extra inputs are not permitted", "reasoning_effort"),
    ],
)
def test_an_option_that_is_not_permitted_is_named(message: str, option: str) -> None:
    error = error_of(400, told("invalid_request_error", message))

    assert isinstance(error, errors.UnsupportedOptionError)
    assert error.option == option


def test_headers_say_more_than_the_body() -> None:
    error = error_of(
        429,
        told("rate_limit_error"),
        request_id="req_header",
        retry_after="7",
        anthropic_ratelimit_requests_remaining="0",
    )

    assert (error.request_id, error.retry_after) == ("req_header", 7.0)
    assert error.rate_limit == RateLimit(requests=RateLimitWindow(remaining=0))


@pytest.mark.parametrize(("advice", "retryable"), [("true", True), ("false", False), ("maybe", True)])
def test_the_servers_advice_on_retries_is_followed(advice: str, retryable: bool) -> None:
    assert error_of(500, told("api_error"), x_should_retry=advice).retryable == retryable


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no explanation"),
        (b"upstream connect error", "upstream connect error"),
        (b"<html>Bad gateway</html>", "a web page instead of JSON"),
        (b'{"error":"plain"}', "plain"),
        (b'{"message":"of a gateway"}', "of a gateway"),
        (b'{"detail":"of another"}', "of another"),
        (b'{"error":{"message":7,"type":[]}}', '"message":7'),
        (b"[1,2]", "[1,2]"),
        (b"\xff\xfe", "\ufffd"),
        (b'{"error":{"details":"x","message":"m"}}', "m"),
    ],
)
def test_other_shapes_of_error_are_readable(body: bytes, words: str) -> None:
    error = error_of(502, body)

    assert type(error) is errors.ServerError
    assert words in error.message
    assert error.body == body


def test_keys_are_not_repeated() -> None:
    error = error_of(401, told("authentication_error", "invalid x-api-key: sk-ant-api03-abcdef_GHI"))

    assert "abcdef" not in error.message
    assert b"abcdef" not in (error.body or b"")
    assert "sk-ant-***" in error.message
    assert "check api_key=" in error.message


def test_limits_reset_after_seconds_by_the_servers_own_clock() -> None:
    headers = {
        b"request-id": b"req_1",
        b"date": b"Mon, 23 Nov 2026 10:00:00 GMT",
        b"anthropic-ratelimit-requests-limit": b"50",
        b"anthropic-ratelimit-requests-remaining": b"49",
        b"anthropic-ratelimit-requests-reset": b"2026-11-23T10:00:01.500Z",
        b"anthropic-ratelimit-input-tokens-limit": b"40000",
        b"anthropic-ratelimit-output-tokens-reset": b"2026-11-23T09:59:00Z",
        b"anthropic-ratelimit-tokens-reset": b"soon",
    }

    assert CODEC.facts(headers) == HttpFacts(
        "req_1",
        rate_limit=RateLimit(
            requests=RateLimitWindow(limit=50, remaining=49, reset=1.5),
            input_tokens=RateLimitWindow(limit=40000),
            output_tokens=RateLimitWindow(reset=0.0),
        ),
    )


@pytest.mark.parametrize(
    "date",
    [
        {},
        {b"date": b"yesterday"},
        {b"date": b"Mon, 23 Nov 2026 10:00:00"},
        {b"date": b"Mon, 23 Nov 2026 10:00:00 -0000"},
    ],
)
def test_without_the_servers_clock_nothing_is_said_of_the_reset(date: dict[bytes, bytes]) -> None:
    reset = {
        b"anthropic-ratelimit-requests-reset": b"2026-11-23T10:00:01Z",
        b"anthropic-ratelimit-requests-limit": b"1",
    }

    assert CODEC.facts(reset | date).rate_limit == RateLimit(requests=RateLimitWindow(limit=1))


def test_no_headers_say_nothing() -> None:
    assert CODEC.facts({}) == HttpFacts()
