"""What the codecs of all dialects do alike with error answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire import _http, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def explanation(body: bytes) -> str:
    """What a body says that is not the provider's JSON."""
    if not body.strip():
        return "no explanation"
    if _http.looks_like_html(body):
        return f"a web page instead of JSON (a proxy, a login page, or a wrong base_url): {_http.excerpt(body)}"
    return _http.excerpt(body)


def where(status: int, code: str | None, request_id: str | None) -> str:
    """The facts that a message ends with; what is not known is left out."""
    facts = (("status", status), ("code", code), ("request id", request_id))
    return ", ".join(f"{name} {value}" for name, value in facts if value)


def remedy(kind: type[errors.ModelClientError]) -> str:
    """What a user can do about an error of this kind."""
    if kind is errors.AuthenticationError:
        return "; check api_key= and that it belongs to this base_url"
    if kind is errors.NotFoundError:
        return "; check model= and base_url="
    return ""


def raise_stray(lines: Iterable[bytes], error_from_body: Callable[[bytes], errors.ModelClientError | None]) -> None:
    """Raise the error that stands as bare JSON in an event stream, on one line or on several."""
    found = [line for line in lines if line.strip()]
    for body in (b"\n".join(found), *found) if found else ():
        told = error_from_body(body)
        if told:
            raise told


class StrayErrors:
    """Looks for an error that stands as bare JSON between the events of a stream, on one line or on several.

    Each line is looked at once, when it is complete: so it is found in the same place however the bytes are split, and a
    server that sends nothing but such lines costs no more than their number. Beyond the first lines nothing is looked for.
    """

    __slots__ = ("_checked", "_error_from_body")

    def __init__(self, error_from_body: Callable[[bytes], errors.ModelClientError | None]) -> None:
        self._error_from_body = error_from_body
        self._checked = 0

    def check(self, stray: Sequence[bytes], count: int) -> None:
        """Raise the error that the first `count` of all stray lines tell of."""
        while self._checked < min(count, _MOST_LINES):
            self._checked += 1
            line = stray[self._checked - 1]
            if line.rstrip()[-1:] in (b"}", b"]"):
                self._raise_told(stray[: self._checked])
                self._raise_told([line])

    def _raise_told(self, lines: Sequence[bytes]) -> None:
        if sum(map(len, lines)) <= _http.MAX_ERROR_BODY:
            told = self._error_from_body(b"\n".join(lines).strip())
            if told:
                raise told


_MOST_LINES = 1000
"""Lines in which an error is looked for: those that it may span are joined for each, which for all would take too long."""
