"""What HTTP headers and error bodies say, in numbers. Pure; knows no provider."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from modelwire.protocols import HttpFacts
from modelwire.types import RateLimit, RateLimitWindow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXCERPT = 500
"""Bytes of an answer that an error message quotes."""
MAX_ERROR_BODY = 64 * 1024
"""Bytes of an answer that an error keeps."""

SHORTEST_SECRET = 8
"""Characters below which a credential is none, but a word such as `none` or `EMPTY` that local servers are given."""
_OF_SECRET = re.compile(rb"auth|cookie|key|password|secret|token")
"""In the name of a header that may hold a credential."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def text(headers: Mapping[bytes, bytes], *names: bytes) -> str | None:
    """The first of these headers that is there and not empty."""
    for name in names:
        value = headers.get(name)
        if value:
            return value.decode("latin-1").strip() or None
    return None


def number(value: str | None) -> float | None:
    """A finite number that is not negative; `None` for anything else."""
    try:
        parsed = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return parsed if 0 <= parsed < float("inf") else None


def duration(value: str | None) -> float | None:
    """Seconds of a Go-style duration such as `6m0s` or `12ms`, or of a plain number; `None` for anything else."""
    if value is None:
        return None
    if not value[-1:].isalpha():  # no unit
        return number(value)
    pieces = _DURATION.findall(value)
    if not pieces or "".join(amount + unit for amount, unit in pieces) != value:
        return None
    return sum(float(amount) * _UNITS[unit] for amount, unit in pieces)


def date(value: str | None) -> datetime | None:
    """The time of an HTTP date (RFC 9110, 5.6.7); `None` for anything else."""
    if not value:
        return None
    try:
        if len(value) == 29 and value.endswith(" GMT") and value[7] == value[11] == " " and value[8:11] in _MONTHS:
            # "Sun, 06 Nov 1994 08:49:37 GMT", the only form that servers may send today, in a fifth of the time.
            return datetime.fromisoformat(f"{value[12:16]}-{_MONTHS[value[8:11]]}-{value[5:7]}T{value[17:25]}+00:00")
        from email.utils import parsedate_to_datetime  # noqa: PLC0415  # loads half of `email`, and hardly ever needed

        return parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


_MONTHS = {
    name: f"{number:02}"
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, else `retry-after` in seconds or as a date.

    A date counts from the server's own `date` header, so that a wrong clock here does no harm; where there is none,
    it cannot be used.
    """
    if b"retry-after" not in headers and b"retry-after-ms" not in headers:  # nearly all answers
        return None
    milliseconds = number(text(headers, b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = text(headers, b"retry-after")
    if value is None:
        return None
    seconds = number(value)
    if seconds is not None:
        return seconds
    until, now = date(value), date(text(headers, b"date"))
    if until is None or now is None or (until.tzinfo is None) != (now.tzinfo is None):
        return None
    return max(0.0, (until - now).total_seconds())


def should_retry(headers: Mapping[bytes, bytes]) -> bool | None:
    """The server's own advice, `x-should-retry`."""
    advice = headers.get(b"x-should-retry")
    return None if advice is None else _ADVICE.get(advice.strip())


_ADVICE = {b"true": True, b"false": False}


def window(limit: bytes | None, remaining: bytes | None, reset: float | None) -> RateLimitWindow | None:
    """One rate limit, of two headers and the seconds until it is whole again; `None` when nothing is known of it."""
    if limit is None and remaining is None and reset is None:
        return None
    # Written out: nearly always these are plain numbers, and there are four of them in an answer.
    most = int(limit) if limit and len(limit) < 16 and limit.isdigit() else _count(limit)
    left = int(remaining) if remaining and len(remaining) < 16 and remaining.isdigit() else _count(remaining)
    if most is None and left is None and reset is None:
        return None
    return RateLimitWindow(limit=most, remaining=left, reset=reset)


def _count(value: bytes | None) -> int | None:
    amount = number(value.decode("latin-1")) if value else None
    return None if amount is None else int(amount)


def x_ratelimit(headers: Mapping[bytes, bytes]) -> RateLimit | None:
    """The widespread `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` headers."""
    get = headers.get
    limit, remaining, reset = map(get, _OF_REQUESTS)
    requests = window(limit, remaining, None if reset is None else _seconds(reset))
    limit, remaining, reset = map(get, _OF_TOKENS)
    tokens = window(limit, remaining, None if reset is None else _seconds(reset))
    return RateLimit(requests=requests, tokens=tokens) if requests or tokens else None


@lru_cache(maxsize=256)
def _seconds(value: bytes) -> float | None:
    """A server repeats few different ones, of which each takes microseconds to read."""
    return duration(value.decode("latin-1").strip())


_OF_REQUESTS, _OF_TOKENS = (
    tuple(f"x-ratelimit-{what}-{name}".encode() for what in ("limit", "remaining", "reset"))
    for name in ("requests", "tokens")
)


def common_facts(headers: Mapping[bytes, bytes], *request_id: bytes) -> HttpFacts:
    """What most servers' headers say; `request_id` are the names under which they send theirs."""
    return HttpFacts(text(headers, *request_id), retry_after(headers), should_retry(headers), x_ratelimit(headers))


def secrets(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """The credentials among a request's headers."""
    values = ((name, value.rpartition(b" ")[2]) for name, value in headers)  # without `Bearer`
    return [value for name, value in values if len(value) >= SHORTEST_SECRET and _OF_SECRET.search(name)]


def excerpt(body: bytes) -> str:
    """The beginning of a body, for an error message."""
    shown = body[:EXCERPT].decode("utf-8", "replace").strip()
    return shown + (" ..." if len(body) > EXCERPT else "")


def looks_like_html(body: bytes) -> bool:
    """Whether an answer is a web page: the mark of a proxy, a login page or a wrong base URL."""
    head = body[:256].lstrip().lower()
    return head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))
