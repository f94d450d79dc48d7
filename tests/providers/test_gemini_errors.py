"""Errors of Google's APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.errors import (
    AuthenticationError,
    BadRequestError,
    ContextLengthError,
    ModelClientError,
    ModelTimeoutError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    UnsupportedOptionError,
)
from modelwire.protocols import HttpResponse
from modelwire.providers._gemini import GeminiCodec

CODEC = GeminiCodec("https://example.com/v1beta")


def error_of(status: int, message: str = "m", word: str = "", *details: Any, **headers: str) -> ModelClientError:
    error = {"code": status, "message": message, "status": word, "details": details}
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return CODEC.decode_error(HttpResponse(status, given, json.dumps({"error": error}).encode()))


def info(reason: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(*violations: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


def wait(delay: Any) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


@pytest.mark.parametrize(
    ("status", "word", "kind", "retryable"),
    [
        (400, "INVALID_ARGUMENT", BadRequestError, False),
        (400, "FAILED_PRECONDITION", BadRequestError, False),
        (401, "UNAUTHENTICATED", AuthenticationError, False),
        (403, "PERMISSION_DENIED", PermissionDeniedError, False),
        (404, "NOT_FOUND", NotFoundError, False),
        (408, "", ModelTimeoutError, True),
        (413, "", BadRequestError, False),
        (429, "RESOURCE_EXHAUSTED", RateLimitError, True),
        (499, "CANCELLED", ModelClientError, False),
        (500, "INTERNAL", ServerError, True),
        (502, "", ServerError, True),
        (503, "UNAVAILABLE", OverloadedError, True),
        (504, "DEADLINE_EXCEEDED", ServerError, True),
        (302, "", ModelClientError, False),
    ],
)
def test_every_status_has_its_class(status: int, word: str, kind: type[ModelClientError], retryable: bool):
    error = error_of(status, "Something is wrong.", word)

    assert type(error) is kind
    assert (error.status_code, error.code, error.retryable) == (status, word or None, retryable)
    assert error.message.startswith("gemini: Something is wrong. (status ")
    assert json.loads(error.body or b"")["error"]["code"] == status


@pytest.mark.parametrize(
    "error",
    [
        error_of(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", info("API_KEY_INVALID")),
        error_of(400, "API key expired. Please renew the API key.", "INVALID_ARGUMENT"),
        error_of(400, "m", "INVALID_ARGUMENT", info("API_KEY_EXPIRED")),
        error_of(
            403,
            "Method doesn't allow unregistered callers (callers without established identity).",
            "PERMISSION_DENIED",
        ),
    ],
)
def test_a_wrong_key_is_a_matter_of_authentication_whatever_its_status(error: ModelClientError):
    assert type(error) is AuthenticationError
    assert "check api_key=" in error.message


def test_the_reason_is_the_code_where_there_is_one():
    assert error_of(403, "m", "PERMISSION_DENIED", info("SERVICE_DISABLED")).code == "SERVICE_DISABLED"
    assert type(error_of(403, "m", "PERMISSION_DENIED", info("SERVICE_DISABLED"))) is PermissionDeniedError


def test_a_prompt_that_is_too_long():
    message = "The input token count (3475108) exceeds the maximum number of tokens allowed (1048576)."

    assert type(error_of(400, message, "INVALID_ARGUMENT")) is ContextLengthError


@pytest.mark.parametrize(
    "message",
    ["User location is not supported for the API use.", "Please enable billing on project 1 in Google AI Studio."],
)
def test_what_the_account_may_not_do_is_a_matter_of_permission(message: str):
    assert type(error_of(400, message, "FAILED_PRECONDITION")) is PermissionDeniedError


@pytest.mark.parametrize(
    ("message", "option"),
    [
        ("Logprobs is not enabled for models/gemini-2.5-flash", "logprobs"),
        ("Logprobs is not supported for the current model.", "logprobs"),
        ("Unable to submit request because Logprobs is not supported for this model.", "logprobs"),
        ("Penalty is not enabled for models/gemini-2.5-flash-lite", "frequency_penalty"),
        ("Multiple candidates is not enabled for this model", "n"),
        ("Thinking level MINIMAL is not supported for this model. Please retry.", "reasoning_effort"),
        ("Function calling is not enabled for models/gemma-3", "tools"),
        ("JSON mode is not enabled for models/gemma-3", "response_format"),
    ],
)
def test_an_option_that_the_model_lacks_is_named(message: str, option: str):
    error = error_of(400, message, "INVALID_ARGUMENT")

    assert isinstance(error, UnsupportedOptionError)
    assert error.option == option


def test_other_words_that_are_not_supported_are_bad_requests():
    assert (
        type(error_of(400, "Audio input modality is not enabled for models/gemma-3", "INVALID_ARGUMENT"))
        is BadRequestError
    )


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("delay", "seconds"), [("34s", 34.0), ("34.4s", 34.4), ("45.837906927s", 45.837906927), ("0s", 0.0)]
)
def test_the_wait_that_is_asked_for_is_in_the_body(delay: str, seconds: float):
    assert error_of(429, "m", "RESOURCE_EXHAUSTED", wait(delay)).retry_after == seconds


@pytest.mark.parametrize("delay", ["soon", "", None, 5, "-3s"])
def test_a_wait_that_is_none_is_not_believed(delay: Any):
    assert error_of(429, "m", "RESOURCE_EXHAUSTED", wait(delay)).retry_after is None


def test_the_wait_of_a_proxy_counts_where_google_asks_for_none():
    assert error_of(503, "m", "UNAVAILABLE", retry_after="7").retry_after == 7
    assert error_of(503, "m", "UNAVAILABLE", wait("3s"), retry_after="7").retry_after == 3


@pytest.mark.parametrize(
    ("violations", "kind"),
    [
        ([{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "5"}], RateLimitError),
        ([{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}], QuotaExceededError),
        ([{"quotaId": "PerMinute"}, {"quotaId": "GenerateContentInputTokensPerModelPerDay"}], QuotaExceededError),
        ([{"quotaId": "GenerateRequestsPerMinute", "quotaValue": "0"}], QuotaExceededError),
        ([], RateLimitError),
        (["nonsense"], RateLimitError),
    ],
)
def test_a_quota_of_days_is_not_waited_for(violations: list[Any], kind: type[ModelClientError]):
    error = error_of(429, "m", "RESOURCE_EXHAUSTED", quota(*violations), wait("30s"))

    assert type(error) is kind
    assert error.retryable is (kind is RateLimitError)


def test_credits_that_are_spent_do_not_come_back_by_waiting():
    assert type(error_of(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED")) is QuotaExceededError


# ---------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'[{"error": {"code": 404, "message": "in a list", "status": "NOT_FOUND"}}]', "in a list"),
        (b'{"error": "a text"}', "a text"),
        (b'{"error": {"message": null}}', '{"error": {"message": null}}'),
        (b"", "no explanation"),
        (b"Not Found", "Not Found"),
        (b"<!doctype html><title>404</title>", "a web page instead of JSON"),
        (b"[]", "[]"),
        (b"3", "3"),
        (b'{"error": {"details": [3, {"violations": 3}, {"reason": 5}], "status": 5}}', "details"),
        (b"[" * 100_000, "[[["),
    ],
)
def test_every_form_of_an_error_is_explained(body: bytes, words: str):
    error = CODEC.decode_error(HttpResponse(404, {}, body))

    assert type(error) is NotFoundError
    assert words in error.message
    assert error.message.endswith("; check model= and base_url=")


def test_a_key_that_a_proxy_quotes_is_not_shown():
    error = error_of(403, "Key AIzaSyA1234567890abcdefghijklmnopqrstuvw is blocked")

    assert "AIzaSy" not in error.message
    assert b"AIzaSy" not in (error.body or b"")


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"status": "UNAVAILABLE"}, OverloadedError, 503),
        ({"code": 429}, RateLimitError, 429),
        ({"code": 13}, ServerError, 500),
        ({"code": "429"}, ServerError, 500),
        ({"message": "?"}, ServerError, 500),
    ],
)
def test_an_error_inside_a_good_answer_has_the_status_it_stands_for(
    error: Any, kind: type[ModelClientError], status: int
):
    with pytest.raises(ModelClientError) as caught:
        CODEC.decode(json.dumps({"error": error}).encode())

    assert (type(caught.value), caught.value.status_code) == (kind, status)
