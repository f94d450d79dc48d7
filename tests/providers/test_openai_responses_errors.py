"""Errors of the Responses API: of a status, of a failed response, and inside a stream."""

from __future__ import annotations

import json

import pytest

from modelwire import errors
from modelwire.protocols import HttpResponse
from modelwire.types import Start, TextDelta
from tests.providers.openai_responses_wire import (
    ORIGIN,
    answer,
    by_bytes,
    codec_of,
    completed,
    created,
    event,
    read,
    response,
    said,
)

CODES = [
    ("server_error", errors.ServerError, 500, True),
    ("vector_store_timeout", errors.ServerError, 500, True),
    ("rate_limit_exceeded", errors.RateLimitError, 429, True),
    ("insufficient_quota", errors.QuotaExceededError, 429, False),
    ("context_length_exceeded", errors.ContextLengthError, 400, False),
    ("invalid_prompt", errors.BadRequestError, 400, False),
    ("data_residency_mismatch", errors.BadRequestError, 400, False),
    ("previous_response_not_found", errors.BadRequestError, 400, False),
    ("model_not_found", errors.NotFoundError, 404, False),
    ("bio_policy", errors.ContentFilterError, 400, False),
    ("misalignment_policy_violation", errors.ContentFilterError, 400, False),
    ("image_content_policy_violation", errors.ContentFilterError, 400, False),
    *(
        (code, errors.BadRequestError, 400, False)
        for code in (
            "invalid_image",
            "invalid_image_format",
            "invalid_base64_image",
            "invalid_image_url",
            "invalid_image_mode",
            "image_too_large",
            "image_too_small",
            "image_parse_error",
            "image_file_too_large",
            "image_file_not_found",
            "unsupported_image_media_type",
            "empty_image_file",
            "failed_to_download_image",
        )
    ),
    ("something_new", errors.ServerError, 500, True),
]


def facts(error: errors.ModelClientError) -> tuple[type, int, str | None, bool]:
    return type(error), error.status_code, error.code, error.retryable


@pytest.mark.parametrize(("code", "kind", "status", "retryable"), CODES)
def test_a_failed_response_is_the_error_that_its_code_means(code, kind, status, retryable):
    failed = {"code": code, "message": "It broke."}

    with pytest.raises(errors.ModelClientError, match="It broke") as caught:
        codec_of().decode(answer(status="failed", error=failed, usage=None))
    streamed = read(created() + event("response.failed", response=response(status="failed", error=failed)))

    assert facts(caught.value) == (kind, status, code, retryable)
    assert facts(streamed.error) == (kind, status, code, retryable)


@pytest.mark.parametrize(("code", "kind", "status", "retryable"), CODES)
def test_an_error_event_is_the_error_that_its_code_means(code, kind, status, retryable):
    """Flat, as it is documented, and nested, as it was recorded."""
    flat = event("error", code=code, message="It broke.", param=None, sequence_number=1)
    nested = event("error", error={"type": "x", "code": code, "message": "It broke.", "param": None})
    as_in_chat = b'data: {"error":{"code":"%b","message":"It broke."}}\n\n' % code.encode()

    for frame in (flat, nested, as_in_chat):
        found = read(created() + frame)

        assert facts(found.error) == (kind, status, code, retryable)
        assert "It broke." in found.error.message
        assert [type(seen) for seen in found.events] == [Start]


@pytest.mark.parametrize("failed", [None, {}, ""])
def test_a_failure_without_a_word_is_the_servers(failed):
    with pytest.raises(errors.ServerError, match="without saying why"):
        codec_of().decode(answer(status="failed", error=failed))

    assert isinstance(
        read(created() + event("response.failed", response=response(status="failed"))).error, errors.ServerError
    )
    assert isinstance(read(created() + event("response.failed")).error, errors.ServerError)
    assert isinstance(read(created() + event("response.failed", response={"id": "resp_1"})).error, errors.ServerError)
    assert isinstance(read(created() + event("error")).error, errors.ServerError)


def test_a_response_that_says_its_error_has_failed_whatever_its_status():
    with pytest.raises(errors.RateLimitError):
        codec_of().decode(answer(said("a"), error={"code": "rate_limit_exceeded", "message": "Slow."}))


def test_an_error_instead_of_an_answer_with_status_200():
    with pytest.raises(errors.AuthenticationError):
        codec_of().decode(b'{"error": {"code": "invalid_api_key", "message": "Wrong key."}}')


def test_what_came_before_the_error_is_delivered_first():
    stream = created() + event("response.output_text.delta", output_index=0, content_index=0, delta="a")
    stream += event("error", code="server_error", message="x")
    decoder = codec_of().stream_decoder()

    events = decoder.feed(stream)

    assert events == [Start(id="resp_1", model="m-1"), TextDelta(text="a")]
    assert isinstance(decoder.error, errors.ServerError)
    with pytest.raises(errors.ServerError):
        decoder.feed(b"")
    with pytest.raises(errors.ServerError):
        decoder.close()


def test_an_error_at_the_very_beginning_is_raised_at_once():
    """Nothing was delivered, so that the call can be tried again."""
    decoder = codec_of().stream_decoder()

    with pytest.raises(errors.RateLimitError):
        decoder.feed(event("error", code="rate_limit_exceeded", message="Slow."))


@pytest.mark.parametrize(
    "bare",
    [
        b'{"error":{"message":"Slow.","code":"rate_limit_exceeded"}}\n',
        b'{\n  "error": {\n    "message": "Slow.",\n    "code": "rate_limit_exceeded"\n  }\n}\n',
        b'{"error":{"message":"Slow.","code":"rate_limit_exceeded"}}',
    ],
)
def test_bare_json_in_the_stream_is_an_error_of_a_proxy(bare):
    for before in (b"", created()):
        found = read(before + bare)

        assert isinstance(found.error, errors.RateLimitError)
        assert read(by_bytes(before + bare)).outcome == found.outcome


def test_bare_json_before_the_last_event_counts():
    bare = b'{"error":{"message":"Slow.","code":"rate_limit_exceeded"}}\n\n'

    for stream in (created() + bare + completed(said("a")), bare + completed(said("a"))):
        found = read(stream)

        assert isinstance(found.error, errors.RateLimitError)
        assert read(by_bytes(stream)).outcome == found.outcome
    assert read(created() + completed(said("a")) + bare).error is None


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "context_length_exceeded", "message": "Too long."}, errors.ContextLengthError),
        (
            400,
            {"code": "unsupported_parameter", "message": "No.", "param": "temperature"},
            errors.UnsupportedOptionError,
        ),
        (400, {"code": "unsupported_value", "message": "No.", "param": "input[2].content"}, errors.BadRequestError),
        (400, {"code": "model_not_found", "message": "No.", "param": "model"}, errors.NotFoundError),
        (400, {"code": "bio_policy", "message": "No."}, errors.ContentFilterError),
        (401, {"code": "invalid_api_key", "message": "No."}, errors.AuthenticationError),
        (403, {"message": "No."}, errors.PermissionDeniedError),
        (404, {"message": "No."}, errors.NotFoundError),
        (409, {"message": "No."}, errors.ModelClientError),
        (429, {"code": "rate_limit_exceeded", "message": "No."}, errors.RateLimitError),
        (500, {"message": "No."}, errors.ServerError),
        (503, {"message": "No."}, errors.OverloadedError),
    ],
)
def test_an_error_status(status, error, kind):
    headers = {b"x-request-id": b"req_1", b"retry-after": b"2", b"x-ratelimit-remaining-tokens": b"7"}

    told = codec_of().decode_error(HttpResponse(status, headers, json.dumps({"error": error}).encode()))

    assert type(told) is kind
    assert (told.status_code, told.request_id, told.retry_after) == (status, "req_1", 2.0)
    assert told.rate_limit.tokens.remaining == 7


def test_facts_are_read_from_the_headers_of_openai_and_azure():
    headers = {b"apim-request-id": b"a", b"x-request-id": b"b", b"retry-after-ms": b"1500", b"x-should-retry": b"false"}

    facts = codec_of("azure").facts(headers)

    assert (facts.request_id, facts.retry_after, facts.should_retry) == ("a", 1.5, False)


def test_only_an_event_stream_is_read_as_one():
    codec = codec_of()

    assert codec.is_stream(b"text/event-stream; charset=utf-8")
    assert codec.is_stream(b"")
    assert not codec.is_stream(b"application/json")
    assert codec.origin == ORIGIN
