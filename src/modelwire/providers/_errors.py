"""What the codecs of all dialects do alike with error answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelwire import _http, errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


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
