"""What headers and bodies say, in numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire import _http
from modelwire.protocols import HttpFacts, HttpRequest
from modelwire.types import RateLimit, RateLimitWindow


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({b"b": b"2"}, "2"),
        ({b"a": b"1", b"b": b"2"}, "1"),
        ({b"a": b"", b"b": b"2"}, "2"),
        ({b"a": b" 1 "}, "1"),
        ({b"a": b"caf\xe9"}, "café"),
        ({}, None),
        ({b"a": b"  "}, None),
    ],
)
def test_the_first_header_that_says_something_counts(headers: dict[bytes, bytes], found: str | None) -> None:
    assert _http.text(headers, b"a", b"b") == found


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("5", 5.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("1e3", 1000.0),
        (None, None),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("five", None),
        ("5s", None),
    ],
)
def test_a_number_is_finite_and_not_negative(value: str | None, number: float | None) -> None:
    assert _http.number(value) == number


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("7.66s", 7.66),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("100ns", 1e-7),
        ("30", 30.0),
        ("0s", 0.0),
        (None, None),
        ("", None),
        ("s", None),
        ("5 minutes", None),
        ("1m and more", None),
        ("-5s", None),
    ],
)
def test_a_duration_is_in_seconds(value: str | None, seconds: float | None) -> None:
    assert _http.duration(value) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", datetime(2026, 10, 21, 7, 28, tzinfo=UTC)),
        ("Wed, 21 Oct 2026 07:28:00 +0200", datetime(2026, 10, 21, 5, 28, tzinfo=UTC)),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", datetime(2026, 10, 21, 7, 28, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("tomorrow", None),
        ("Wed, 21 Okt 2026 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
    ],
)
def test_a_date_is_that_of_http(value: str | None, date: datetime | None) -> None:
    assert _http.date(value) == date


NOW = b"Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after": b"3"}, 3.0),
        ({b"retry-after": b"1.5"}, 1.5),
        ({b"retry-after-ms": b"250"}, 0.25),
        ({b"retry-after-ms": b"250", b"retry-after": b"3"}, 0.25),
        ({b"retry-after-ms": b"soon", b"retry-after": b"3"}, 3.0),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:30 GMT", b"date": NOW}, 30.0),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:27:30 GMT", b"date": NOW}, 0.0),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:30 GMT"}, None),  # a wrong clock here would do harm
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:30 -0000", b"date": NOW}, None),
        ({b"retry-after": b"-1"}, None),
        ({b"retry-after": b"later"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_in_seconds(headers: dict[bytes, bytes], seconds: float | None) -> None:
    assert _http.retry_after(headers) == seconds


@pytest.mark.parametrize(("value", "advice"), [(b"true", True), (b"false", False), (b"maybe", None), (b"", None)])
def test_the_server_may_advise(value: bytes, advice: bool | None) -> None:
    assert _http.should_retry({b"x-should-retry": value}) is advice
    assert _http.should_retry({}) is None


def test_rate_limits_are_numbers() -> None:
    headers = {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"59",
        b"x-ratelimit-reset-requests": b"1s",
        b"x-ratelimit-limit-tokens": b"150000.0",
        b"x-ratelimit-remaining-tokens": b"many",
    }

    assert _http.x_ratelimit(headers) == RateLimit(
        requests=RateLimitWindow(limit=60, remaining=59, reset=1.0), tokens=RateLimitWindow(limit=150_000)
    )
    assert _http.x_ratelimit({b"x-ratelimit-reset-tokens": b"never"}) is None
    assert _http.x_ratelimit({b"x-ratelimit-limit-tokens": b"9" * 5000}) is None
    assert _http.x_ratelimit({b"x-ratelimit-limit-tokens": "²".encode("latin-1")}) is None
    assert _http.x_ratelimit({}) is None


def test_the_facts_of_an_answer() -> None:
    headers = {b"x-request-id": b"req_1", b"retry-after": b"2", b"x-should-retry": b"true"}

    assert _http.common_facts(headers, b"apim-request-id", b"x-request-id") == HttpFacts("req_1", 2.0, True, None)
    assert _http.common_facts({}) == HttpFacts()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *(b"retry-after", b"retry-after-ms", b"date", b"x-should-retry", b"x-request-id"),
                *(b"x-ratelimit-limit-tokens", b"x-ratelimit-reset-tokens", b"x-ratelimit-remaining-requests"),
            ]
        ),
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from([NOW, b"1e400", b"-0", b"0x10", b"1_000", b"Wed, 21 Oct 0000 07:28:00 GMT", b"9" * 500]),
        ),
    )
)
def test_no_header_is_an_exception(headers: dict[bytes, bytes]) -> None:
    facts = _http.common_facts(headers, b"x-request-id")

    assert facts.retry_after is None or 0 <= facts.retry_after < float("inf")


def test_an_error_quotes_only_the_beginning() -> None:
    assert _http.excerpt(b"  short ") == "short"
    assert _http.excerpt(b"x" * 600) == "x" * 500 + " ..."
    assert _http.excerpt("é".encode() * 400).startswith("é" * 250)


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (b"<!DOCTYPE html>", True),
        (b"\n  <html lang='en'>", True),
        (b"<HEAD>", True),
        (b"<?xml version='1.0'?>", True),
        (b"{}", False),
        (b"", False),
        (b"a <html>", False),
    ],
)
def test_a_web_page_is_recognised(body: bytes, page: bool) -> None:
    assert _http.looks_like_html(body) is page


def test_a_request_shows_no_credential_where_a_traceback_shows_it():
    request = HttpRequest("https://api.example.com/v1?key=sk-secret", [(b"authorization", b"Bearer sk-secret")], b"{}")

    assert repr(request) == "HttpRequest(POST https://api.example.com/v1, 1 headers, 2 bytes)"
    assert request.__rich_repr__() == [("method", "POST"), ("url", "https://api.example.com/v1")]
