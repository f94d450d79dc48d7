"""Error answers of OpenAI and of the servers that imitate it: which error they are, and what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire import errors
from modelwire.protocols import HttpResponse
from modelwire.providers._openai_chat import Quirks
from tests.providers.chat_wire import answer, codec_of


def error_of(status: int, body: Any, provider: str = "openai", **headers: str) -> errors.ModelClientError:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return codec_of(Quirks(provider=provider)).decode_error(HttpResponse(status, sent, encoded))


def told(message: str = "Boom", **members: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **members}}


def test_a_status_in_the_place_of_the_code_is_no_code() -> None:
    """llama.cpp: {"error": {"code": 400, "message": ..., "type": "exceed_context_size_error"}}."""
    assert error_of(400, told(code=400, type="exceed_context_size_error")).code == "exceed_context_size_error"
    assert error_of(400, told(code=400, type=None)).code == "400"
    assert error_of(400, told(code=1261, type="x")).code == "1261"


# ---------------------------------------------------------------------- statuses


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, errors.BadRequestError, False),
        (401, errors.AuthenticationError, False),
        (402, errors.QuotaExceededError, False),
        (403, errors.PermissionDeniedError, False),
        (404, errors.NotFoundError, False),
        (405, errors.BadRequestError, False),
        (408, errors.ModelTimeoutError, True),
        (409, errors.ModelClientError, True),
        (413, errors.BadRequestError, False),
        (422, errors.BadRequestError, False),
        (424, errors.BadRequestError, False),
        (429, errors.RateLimitError, True),
        (498, errors.OverloadedError, True),
        (500, errors.ServerError, True),
        (501, errors.ServerError, False),
        (502, errors.ServerError, True),
        (503, errors.OverloadedError, True),
        (529, errors.OverloadedError, True),
        (302, errors.ModelClientError, False),
    ],
)
def test_a_status_has_a_class(status: int, kind: type[errors.ModelClientError], retryable: bool) -> None:
    error = error_of(status, told())

    assert (type(error), error.retryable, error.status_code) == (kind, retryable, status)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, told(code="insufficient_quota", type="insufficient_quota"), errors.QuotaExceededError),
        (429, told(type="exceeded_current_quota_error"), errors.QuotaExceededError),
        (429, told(code="resource_unavailable"), errors.RateLimitError),  # flex
        (429, told(code="RateLimitReached"), errors.RateLimitError),
        (429, told(code="NoCapacity"), errors.RateLimitError),
        (400, told(code="context_length_exceeded"), errors.ContextLengthError),
        (400, told("This model's maximum context length is 8192 tokens."), errors.ContextLengthError),
        (400, told("This model's maximum prompt length is 131072 but"), errors.ContextLengthError),  # xAI
        (400, told("the request exceeds the available context size", type="exceed_context_size_error"), errors.ContextLengthError),
        (400, told("Please reduce the length of the messages or completion."), errors.ContextLengthError),
        (413, told("Please reduce the length of the messages or completion."), errors.ContextLengthError),
        (400, told("Your request exceeded model token limit: 8192"), errors.ContextLengthError),  # Moonshot
        (500, told("maximum context length"), errors.ServerError),
        (413, told("Request too large", type="tokens", code="rate_limit_exceeded"), errors.BadRequestError),  # Groq
        (400, told(code="unsupported_parameter", param="stop"), errors.UnsupportedOptionError),
        (400, told(code="unsupported_value", param="temperature"), errors.UnsupportedOptionError),
        (400, told(code="unsupported_value", param="messages[0].role"), errors.BadRequestError),
        (400, told(code="content_policy_violation"), errors.ContentFilterError),
        (400, told(code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), errors.ContentFilterError),
        (400, told(code=None, innererror={"code": "ResponsibleAIPolicyViolation"}), errors.ContentFilterError),
        (403, told(metadata={"reasons": ["violence"], "flagged_input": "x"}), errors.ContentFilterError),  # OpenRouter
        (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, errors.ContentFilterError),  # xAI
        (403, {"code": "The caller does not have permission", "error": "Your team is blocked"}, errors.PermissionDeniedError),
        (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: na***ys."}, errors.AuthenticationError),  # xAI
        (400, {"code": "invalid", "error": "Incorrect%20API%20key%20provided:%20ba***na"}, errors.AuthenticationError),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], errors.AuthenticationError),
        (401, told(code="invalid_api_key"), errors.AuthenticationError),
        (400, told(code="invalid_api_key"), errors.AuthenticationError),
        (400, told(code="tool_use_failed", failed_generation="f("), errors.BadRequestError),  # Groq
        (400, told(code="json_validate_failed", failed_generation="{"), errors.BadRequestError),
        (404, told(code="DeploymentNotFound"), errors.NotFoundError),
        (404, told(code="model_not_found"), errors.NotFoundError),
        (500, told(code=500, type="server_error"), errors.ServerError),  # llama.cpp
        (400, told(code="OperationNotSupported"), errors.BadRequestError),
    ],
)  # fmt: skip
def test_a_code_or_a_sentence_may_say_more_than_the_status(status: int, body: Any, kind: type[Exception]) -> None:
    error = error_of(status, body)

    assert type(error) is kind
    assert error.status_code == status


@pytest.mark.parametrize(
    ("code", "retryable"), [("tool_use_failed", True), ("json_validate_failed", True), ("invalid_request", False)]
)
def test_what_the_model_wrote_wrong_may_come_right_with_another_try(code: str, retryable: bool) -> None:
    assert error_of(400, told(code=code, failed_generation="f(")).retryable is retryable


def test_an_unsupported_option_is_named() -> None:
    error = error_of(400, told(code="unsupported_parameter", param="max_tokens"))

    assert isinstance(error, errors.UnsupportedOptionError)
    assert error.option == "max_tokens"


# ---------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (told("Boom", code="x"), "Boom", "x"),
        (told("Boom", type="y"), "Boom", "y"),
        (told("Boom", code=3051, type="z"), "Boom", "3051"),
        (told("Boom", type=None), "Boom", None),
        ({"error": "Boom"}, "Boom", None),
        ({"error": "Boom", "code": "x", "type": "y"}, "Boom", "x"),
        ({"object": "error", "message": "Boom", "type": "y", "code": 40001}, "Boom", "40001"),  # vLLM, old
        ({"message": "Boom"}, "Boom", None),  # Mistral, 401
        ({"statusCode": 401, "message": "Boom"}, "Boom", None),  # Azure's gateway
        ({"detail": "Boom"}, "Boom", None),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "bad", "type": "t"}, {"msg": "worse"}]}, "body.messages.0: bad; worse", None),
        ({"detail": [{"loc": "body", "msg": "bad"}]}, "body: bad", None),
        ({"object": "error", "message": {"detail": [{"loc": ["body"], "msg": "bad"}]}, "type": "invalid"}, "body: bad", "invalid"),  # Mistral, 422
        ({"detail": {"reason": 5}}, '{"reason":5}', None),
        ([{"error": {"message": "Boom", "code": 400}}], "Boom", "400"),  # Gemini's compatible surface
        ({"error": {"message": "Boom", "metadata": {"raw": "upstream says", "provider_name": "Acme"}}}, "Boom [Acme: upstream says]", None),
        ({"error": {"message": "Boom", "metadata": {"raw": {"a": 1}}}}, "Boom [upstream: {'a': 1}]", None),
        ({"error": ["Boom"]}, '{"error": ["Boom"]}', None),
        ({"error": {}}, '{"error": {}}', None),
        ({"errors": ["Boom"]}, '{"errors": ["Boom"]}', None),
        ([], "[]", None),
        (7, "7", None),
        (b"", "no explanation", None),
        (b"   ", "no explanation", None),
        (b"plain words", "plain words", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        (b'{"cut": ', '{"cut":', None),
        (b"<html><h1>502 Bad Gateway</h1></html>", "a web page instead of JSON (a proxy, a login page, or a wrong base_url): <html><h1>502 Bad Gateway</h1></html>", None),
        (b"[" * 50_000, "[" * 500 + " ...", None),
    ],
)  # fmt: skip
def test_every_shape_of_an_error_is_understood(body: Any, message: str, code: str | None) -> None:
    error = error_of(400, body, "acme")

    noted = f"status 400, code {code}" if code else "status 400"
    assert error.message == f"acme: {message} ({noted})"
    assert error.code == code
    assert type(error) is errors.BadRequestError


def test_an_explanation_is_quoted_only_up_to_a_length() -> None:
    error = error_of(400, told("x" * 5000))

    assert error.message == f"openai: {'x' * 2000} ... (status 400, code invalid_request_error)"


# ---------------------------------------------------------------------- facts


def test_what_went_wrong_where_and_what_to_do() -> None:
    wrong_key = error_of(401, told("Incorrect API key provided", code="invalid_api_key"), x_request_id="req_1")
    no_model = error_of(404, told("The model `m` does not exist", code="model_not_found"))

    assert wrong_key.message == (
        "openai: Incorrect API key provided (status 401, code invalid_api_key, request id req_1)"
        "; check api_key= and that it belongs to this base_url"
    )
    assert no_model.message.endswith("(status 404, code model_not_found); check model= and base_url=")


def test_the_headers_give_their_facts() -> None:
    error = error_of(
        429,
        told("Slow down"),
        x_request_id="req_1",
        retry_after="2",
        retry_after_ms="1500",
        x_ratelimit_limit_requests="60",
        x_ratelimit_remaining_requests="0",
        x_ratelimit_reset_requests="6m0.5s",
    )

    assert (error.request_id, error.retry_after) == ("req_1", 1.5)
    assert error.rate_limit is not None
    assert error.rate_limit.requests is not None
    assert (error.rate_limit.requests.limit, error.rate_limit.requests.remaining) == (60, 0)
    assert error.rate_limit.requests.reset == 360.5


def test_azure_has_a_request_id_of_its_own() -> None:
    assert error_of(429, told(), apim_request_id="a", x_request_id="b").request_id == "a"


@pytest.mark.parametrize(
    ("status", "advice", "retryable"), [(429, "false", False), (500, "false", False), (400, "true", True)]
)
def test_the_servers_own_advice_counts(status: int, advice: str, retryable: bool) -> None:
    assert error_of(status, told(), x_should_retry=advice).retryable is retryable


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefgh1234", "sk-abcdef", "gsk_abcdefghij", "xai-abcdefgh", "AIzaSyA-1234567890abcdef", "sk-ab****cd"],
)
def test_keys_that_a_server_quotes_are_not_shown(secret: str) -> None:
    error = error_of(401, told(f"Incorrect API key provided: {secret}. Find yours at https://example.com"))

    shown = f"{error!r} {error.body!r}"
    assert secret not in shown
    assert "*** Find yours at" in error.message


def test_the_body_is_kept_up_to_a_length() -> None:
    body = b'{"error": "' + b"x" * 100_000 + b'"}'

    assert error_of(400, body).body == body[: 64 * 1024]


# ---------------------------------------------------------------------- errors inside a 200 answer


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"message": "Boom", "code": 402}}, errors.QuotaExceededError, 402),
        ({"error": {"message": "Boom", "code": "429"}}, errors.RateLimitError, 429),
        ({"error": {"message": "Boom", "code": 502, "metadata": {"raw": "x"}}, "choices": None}, errors.ServerError, 502),
        ({"error": {"message": "Boom", "status": 400}}, errors.BadRequestError, 400),
        ({"error": {"message": "Boom", "status_code": 503}}, errors.OverloadedError, 503),
        ({"error": {"message": "Boom", "code": 7}}, errors.ServerError, 500),
        ({"error": {"message": "Boom", "code": "9" * 4000}}, errors.ServerError, 500),
        ({"error": {"message": "Boom", "type": "invalid_request_error"}}, errors.BadRequestError, 400),
        ({"error": {"message": "Boom", "type": "authentication_error"}}, errors.AuthenticationError, 401),
        ({"error": {"message": "Boom", "code": "insufficient_quota"}}, errors.QuotaExceededError, 429),
        ({"error": {"message": "Boom", "code": "content_filter"}}, errors.ContentFilterError, 400),
        ({"error": "Boom"}, errors.ServerError, 500),
        ({"error": {"message": "Boom"}, "choices": []}, errors.ServerError, 500),
        ({"error": {"message": "Boom"}, "id": 5}, errors.ServerError, 500),
        ({"detail": "Boom"}, errors.ServerError, 500),
        ({"object": "error", "message": "Boom", "code": 400}, errors.BadRequestError, 400),
        ({"choices": [{"error": {"code": 429, "message": "Boom"}, "message": {"content": "a"}}]}, errors.RateLimitError, 429),
        ({"choices": [{"message": {}}, {"index": 1, "error": {"code": 502, "message": "Boom"}}]}, errors.ServerError, 502),
    ],
)  # fmt: skip
def test_an_error_may_come_with_status_200(body: Any, kind: type[errors.ModelClientError], status: int) -> None:
    with pytest.raises(errors.ModelClientError) as caught:
        codec_of().decode(json.dumps(body).encode())

    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert caught.value.message.startswith("openai: Boom")


def test_an_answer_may_speak_of_errors() -> None:
    body = answer({"content": '{"error": "no"}'}, error=None, detail="high", message="hi")

    assert codec_of().decode(body).text == '{"error": "no"}'


def test_an_error_that_says_nothing_is_still_one() -> None:
    with pytest.raises(errors.ModelClientError, match=r"openai: .*true"):
        codec_of().decode(b'{"choices": [{"error": true, "message": {}}]}')
