"""URLs as they go onto the wire, written as httpx writes them, so that a request is the same over both transports."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from modelwire._transport.fast.connection import Origin
from modelwire.errors import BadRequestError

_PORTS = {"http": 80, "https": 443}
_INVALID = re.compile(r"[\x00-\x20\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\]")

# What is not written as it stands.
_NOT_IN_PATH = re.compile(r"[^\x21\x24-\x3b\x3d\x40-\x5f\x61-\x7a\x7c\x7e\x25]")
_NOT_IN_QUERY = re.compile(r"[^\x21\x24-\x3b\x3d\x3f-\x7e\x25]")


class Target(NamedTuple):
    """Where a request goes."""

    origin: Origin
    path: bytes
    """With the query."""
    host: bytes
    """The `host` header."""
    authorization: bytes | None
    """From a user and password in the URL."""
    shown: str
    """The URL for people: without user, password and query, which may hold secrets."""
    shown_origin: str


def to_target(text: str) -> Target:
    """Where this URL leads.

    Raises `BadRequestError` for what is no `http://` or `https://` URL.
    """
    parts = _split(text)
    if parts is None:  # it is not shown, since its parts cannot be told apart
        raise BadRequestError("The URL of the request is not valid: its host, port or characters. Check base_url.")
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in _PORTS or not host:
        netloc = parts.netloc.rpartition("@")[2]
        shown = f"{scheme}:{'//' if netloc else ''}{netloc}{parts.path}" if scheme else parts.path
        raise BadRequestError(f"{shown!r} is not an http:// or https:// URL. Check base_url.")
    host = _ascii(host)
    port = parts.port or _PORTS[scheme]
    named = f"[{host}]" if ":" in host else host
    netloc = named if port == _PORTS[scheme] else f"{named}:{port}"
    path = _NOT_IN_PATH.sub(_escaped, _without_dots(parts.path))
    query = f"?{_NOT_IN_QUERY.sub(_escaped, parts.query)}" if parts.query else ""
    return Target(
        origin=Origin(scheme, host, port),
        path=((path or "/") + query).encode("ascii"),
        host=netloc.encode("ascii"),
        authorization=_basic(parts),
        shown=f"{scheme}://{netloc}{path}",
        shown_origin=f"{scheme}://{netloc}",
    )


def _split(text: str) -> SplitResult | None:
    if _INVALID.search(text):  # urlsplit would leave some of them out
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    netloc = parts.netloc.rpartition("@")[2]
    named = netloc if netloc.endswith("]") else re.sub(r":\d*\Z", "", netloc)
    if named and named.isascii() and not _HOST.fullmatch(named):
        return None
    try:
        if not named.isascii():
            _ascii(parts.hostname or "")
    except UnicodeError:
        return None
    return parts


def _without_dots(path: str) -> str:
    segments = path.split("/")
    if "." not in segments and ".." not in segments:
        return path
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept and kept != [""]:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    import idna  # noqa: PLC0415  # as httpx does; few need it

    return idna.encode(host).decode("ascii")


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _basic(parts: SplitResult) -> bytes | None:
    if parts.username is None and parts.password is None:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return b"Basic " + b64encode(pair.encode())
