"""What the exceptions of httpx and httpx2 mean, in modelwire's errors.

Classes are told apart by their names, which are the same in both libraries, so that neither is imported. No message shows
what may be a secret: header values, and the user, password and query of a URL.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, TypeVar, cast

from modelwire.errors import (
    BadRequestError,
    ConnectionFailedError,
    ModelClientError,
    ModelTimeoutError,
    ProtocolError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Limits = Mapping[str, float | None]  # the names of httpx: connect, pool, read, write
    _Error = TypeVar("_Error", bound=BaseException)


def shown(url: Any) -> str:
    """A URL for people: user, password and query may hold secrets."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _origin(url: Any) -> str:
    return f"{url.scheme}://{url.netloc.decode()}"


def translated(
    error: Exception, url: Any, limits: Limits, *, in_body: bool = False, headers: Sequence[tuple[bytes, bytes]] = ()
) -> ModelClientError:
    """What an exception of the library means. Names of classes, because those of httpx and httpx2 are equal."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "TimeoutException" in kinds:
        return _timed_out(kinds, url, limits, in_body=in_body)
    if "LocalProtocolError" in kinds:
        return _illegal_request(headers)
    if kinds & {"UnsupportedProtocol", "InvalidURL"}:
        return BadRequestError(f"{shown(url)} cannot be reached over HTTP. Check base_url.")
    if "HTTPStatusError" in kinds:  # not of the answer itself; its text has a URL with query
        status = cast("Any", error).response.status_code
        return ConnectionFailedError(
            f"A hook or the auth of http_client failed: it got status {status}.", retryable=False
        )
    if kinds & {"DecodingError", "TooManyRedirects", "StreamError"}:
        return ProtocolError(f"The answer of {shown(url)} cannot be read: {_reason(error)}")
    if "RemoteProtocolError" in kinds:
        return _broken_answer(error, url)
    if "ConnectError" in kinds:
        return _not_connected(error, url)
    if "ProxyError" in kinds:
        return ConnectionFailedError(f"The proxy refused a connection to {_origin(url)}: {_reason(error)}.")
    return ConnectionFailedError(f"The connection to {_origin(url)} broke: {_reason(error)}.")


def _timed_out(kinds: set[str], url: Any, limits: Limits, *, in_body: bool) -> ModelTimeoutError:
    if "PoolTimeout" in kinds:
        return ModelTimeoutError(
            f"No connection of the pool became free for {_origin(url)} within {_seconds(limits['pool'])} (time limit `connect`). "
            "Close streams that are not read to their end, raise max_connections, or make fewer calls at once."
        )
    if "ConnectTimeout" in kinds:
        return ModelTimeoutError(
            f"No connection to {_origin(url)} within {_seconds(limits['connect'])} (time limit `connect`). "
            "Is the host reachable, or is a proxy needed?"
        )
    if "WriteTimeout" in kinds:
        return ModelTimeoutError(
            f"{_origin(url)} took nothing of the request for {_seconds(limits['write'])} (time limit `write`)."
        )
    if in_body:
        return ModelTimeoutError(
            f"{shown(url)} sent nothing for {_seconds(limits['read'])} in the middle of its answer (time limit `read`)."
        )
    return ModelTimeoutError(
        f"{shown(url)} did not begin to answer within {_seconds(limits['read'])} (time limit `first_byte`)."
    )


def _seconds(limit: float | None) -> str:
    return "its own limit" if limit is None else f"{limit:g} s"


_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[^\x00\s](?:[^\x00\n\r\f\v]*[^\x00\s])?|")


def _illegal_request(headers: Sequence[tuple[bytes, bytes]]) -> BadRequestError:
    """The library's own message would show the value, which may be the API key."""
    for name, value in headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            return BadRequestError(
                f"The header {name.decode(errors='replace')!r} has a character that HTTP forbids: a line break, a NUL, or "
                "a space at an end. Check api_key, default_headers and extra_headers."
            )
    return BadRequestError("The request breaks the rules of HTTP. Check default_headers and extra_headers.")


def _broken_answer(error: Exception, url: Any) -> ModelClientError:
    reason = _reason(error)
    # h11 and httpcore tell by the text alone whether the peer went away or wrote nonsense.
    if reason.startswith(("Server disconnected", "peer ", "<ConnectionTerminated", "<StreamReset")):
        return ConnectionFailedError(
            f"The connection to {_origin(url)} was closed before the answer was complete: {reason}"
        )
    return ProtocolError(f"{shown(url)} did not answer in HTTP: {reason}")


def _not_connected(error: Exception, url: Any) -> ConnectionFailedError:
    tls = _innermost(error, ssl.SSLError)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return ConnectionFailedError(
            f"The TLS certificate of {_origin(url)} is not trusted: {tls.verify_message}. "
            "If a private authority signed it, pass verify='/path/to/ca.pem' or an ssl.SSLContext.",
            retryable=False,
        )
    if tls is not None:
        return ConnectionFailedError(
            f"The TLS handshake with {_origin(url)} failed: {tls.reason or tls.strerror}. Is it https that is spoken there?",
            retryable=False,
        )
    return ConnectionFailedError(
        f"No connection to {_origin(url)}: {_reason(error)}. Is the server running? Check base_url and the proxy settings."
    )


def _reason(error: BaseException) -> str:
    """The library's text, or that of the operating system beneath it, which says more."""
    beneath = _innermost(error, OSError)
    text = str(error) or type(error).__name__
    if isinstance(beneath, (socket.gaierror, ssl.SSLError)):
        text = beneath.strerror or text
    elif beneath is not None and beneath.errno:
        text = os.strerror(beneath.errno)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _innermost(error: BaseException | None, kind: type[_Error]) -> _Error | None:
    found: _Error | None = None
    while error is not None:
        if isinstance(error, kind):
            found = error
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]  # one for each address that trio tried
            continue
        error = error.__cause__ or error.__context__
    return found
