"""Where a client's requests go, and which key may go there."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, urlsplit


def checked_base_url(url: str) -> str:
    """The URL without a slash at its end.

    Raises `ValueError` for one that is not http(s), has no host or no possible port, or carries a password.
    """
    parts = urlsplit(url.strip())._replace(fragment="")
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts):
        raise ValueError(
            f"base_url={_shown(url)!r}: an absolute http or https URL is needed, such as 'https://api.example.com/v1'"
        )
    if parts.username or parts.password:
        raise ValueError(
            "base_url: no user and password in the URL, since URLs end in logs; pass api_key= or default_headers="
        )
    return parts.geturl().rstrip("/")


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is a number, or left out."""
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


def _shown(url: str) -> str:
    return url.rpartition("@")[2]


def endpoint(base_url: str, path: str) -> str:
    """The URL of `path` below a base URL, whose query stays."""
    base, _, query = base_url.partition("?")
    return f"{base.rstrip('/')}{path}" + (f"?{query}" if query else "")


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a key belongs to."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def same_origin(left: str, right: str) -> bool:
    """Whether a key of one URL's server may go to the other's."""
    return origin(left) == origin(right)


def from_environment(*names: str) -> str | None:
    """The first of these variables that is set and not empty."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)


def bearer(api_key: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """The header that carries a key; none without a key.

    Raises `ValueError` for a key that is no header value, without showing it.
    """
    return ((b"authorization", b"Bearer " + key_bytes(api_key)),) if api_key else ()


def key_bytes(api_key: str) -> bytes:
    """A key as it goes into a header.

    Raises `ValueError` for one that cannot, without showing it.
    """
    key = api_key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(
            "api_key: holds characters that no key has, such as a space or line break; was it pasted whole?"
        )
    return key.encode()
