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

    from modelwire.types import Attempt

    Limits = Mapping[str, float | None]  # the names of httpx: connect, pool, read, write
    _Error = TypeVar("_Error", bound=BaseException)


def shown(url: Any) -> str:
    """A URL for people: user, password and query may hold secrets."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def translated(
    error: Exception, url: Any, limits: Limits, *, in_body: bool = False, headers: Sequence[tuple[bytes, bytes]] = ()
) -> ModelClientError:
    """What an exception of the library means. Names of classes, because those of httpx and httpx2 are equal."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    origin = f"{url.scheme}://{url.netloc.decode()}"
    if "PoolTimeout" in kinds:
        return pool_timeout(origin, limits["pool"])
    if "ConnectTimeout" in kinds:
        return connect_timeout(origin, limits["connect"])
    if "WriteTimeout" in kinds:
        return write_timeout(origin, limits["write"])
    if "TimeoutException" in kinds:
        return (read_timeout if in_body else first_byte_timeout)(shown(url), limits["read"])
    if "LocalProtocolError" in kinds:
        return illegal_request(headers)
    if kinds & {"UnsupportedProtocol", "InvalidURL"}:
        return BadRequestError(f"{shown(url)} cannot be reached over HTTP. Check base_url.")
    if "HTTPStatusError" in kinds:  # not of the answer itself; its text has a URL with query
        status = cast("Any", error).response.status_code
        return ConnectionFailedError(
            f"A hook or the auth of http_client failed: it got status {status}.", retryable=False
        )
    if kinds & {"DecodingError", "TooManyRedirects", "StreamError"}:
        return unreadable(shown(url), reason_of(error))
    if "RemoteProtocolError" in kinds:
        reason = reason_of(error)
        # h11 and httpcore tell by the text alone whether the peer went away or wrote nonsense.
        if reason.startswith(("Server disconnected", "peer ", "<ConnectionTerminated", "<StreamReset")):
            return closed_early(origin, reason)
        return not_http(shown(url), reason)
    if "ConnectError" in kinds:
        return not_connected(error, origin)
    if "ProxyError" in kinds:
        return ConnectionFailedError(f"The proxy refused a connection to {origin}: {reason_of(error)}.")
    return broken(origin, error)


# The errors themselves, of either transport. `url` and `origin` are for people: without user, password and query. ---------


def pool_timeout(origin: str, limit: float | None) -> ModelTimeoutError:
    """All connections of the pool stayed in use."""
    return ModelTimeoutError(
        f"No connection of the pool became free for {origin} within {_seconds(limit)} (time limit `connect`). "
        "Close streams that are not read to their end, raise max_connections, or make fewer calls at once."
    )


def connect_timeout(origin: str, limit: float | None) -> ModelTimeoutError:
    """The server did not answer the knock."""
    return ModelTimeoutError(
        f"No connection to {origin} within {_seconds(limit)} (time limit `connect`). "
        "Is the host reachable, or is a proxy needed?"
    )


def write_timeout(origin: str, limit: float | None) -> ModelTimeoutError:
    """The server stopped reading the request."""
    return ModelTimeoutError(f"{origin} took nothing of the request for {_seconds(limit)} (time limit `write`).")


def first_byte_timeout(url: str, limit: float | None) -> ModelTimeoutError:
    """No answer began."""
    return ModelTimeoutError(f"{url} did not begin to answer within {_seconds(limit)} (time limit `first_byte`).")


def read_timeout(url: str, limit: float | None) -> ModelTimeoutError:
    """The answer stopped."""
    return ModelTimeoutError(
        f"{url} sent nothing for {_seconds(limit)} in the middle of its answer (time limit `read`)."
    )


def unreadable(url: str, reason: str) -> ProtocolError:
    """HTTP, but not with a body that can be read."""
    return ProtocolError(f"The answer of {url} cannot be read: {reason}")


def not_http(url: str, reason: str) -> ProtocolError:
    """Something else than HTTP."""
    return ProtocolError(f"{url} did not answer in HTTP: {reason}")


def too_large(url: str, limit: int, status: int) -> ProtocolError:
    """A whole answer beyond the transport's bound."""
    return ProtocolError(f"The answer of {url} is larger than {limit:,} bytes.", status_code=status)


def closed_early(origin: str, reason: str) -> ConnectionFailedError:
    """The server went away."""
    return ConnectionFailedError(f"The connection to {origin} was closed before the answer was complete: {reason}")


def closed_elsewhere(url: str) -> ConnectionFailedError:
    """One task closed what another read."""
    return ConnectionFailedError(f"The stream from {url} was closed while another task read it.", retryable=False)


def broken(origin: str, error: BaseException) -> ConnectionFailedError:
    """The network failed."""
    return ConnectionFailedError(f"The connection to {origin} broke: {reason_of(error)}.")


def not_connected(error: BaseException, origin: str) -> ConnectionFailedError:
    """There was no connection, or no TLS on it."""
    tls = _innermost(error, ssl.SSLError)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return ConnectionFailedError(
            f"The TLS certificate of {origin} is not trusted: {tls.verify_message}. "
            "If a private authority signed it, pass verify='/path/to/ca.pem' or an ssl.SSLContext.",
            retryable=False,
        )
    if tls is not None:
        return ConnectionFailedError(
            f"The TLS handshake with {origin} failed: {tls.reason or tls.strerror}. Is it https that is spoken there?",
            retryable=False,
        )
    return ConnectionFailedError(
        f"No connection to {origin}: {reason_of(error)}. Is the server running? Check base_url and the proxy settings."
    )


_FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(rb"[^\x00\s](?:[^\x00\n\r\f\v]*[^\x00\s])?|")


def is_legal(name: bytes, value: bytes) -> bool:
    """Whether HTTP allows this header."""
    return _FIELD_NAME.fullmatch(name) is not None and _FIELD_VALUE.fullmatch(value) is not None


def illegal_request(headers: Sequence[tuple[bytes, bytes]]) -> BadRequestError:
    """The library's own message would show the value, which may be the API key."""
    for name, value in headers:
        if not is_legal(name, value):
            return BadRequestError(
                f"The header {name.decode(errors='replace')!r} has a character that HTTP forbids: a line break, a NUL, or "
                "a space at an end. Check api_key, default_headers and extra_headers."
            )
    return BadRequestError("The request breaks the rules of HTTP. Check default_headers and extra_headers.")


def sent_for_nothing(seconds: float) -> Attempt:
    """What is noted of a request that met a kept connection that the server had closed; `seconds` until that was seen."""
    from modelwire.types import Attempt  # noqa: PLC0415  # it happens once in a while

    return Attempt(status_code=0, started=0.0, duration=seconds, error=ConnectionFailedError.__name__)


def _seconds(limit: float | None) -> str:
    return "its own limit" if limit is None else f"{limit:g} s"


_ERRNO = re.compile(r"\[Errno (\d+)\]")


def reason_of(error: BaseException) -> str:
    """The library's text, or that of the operating system beneath it, which says more."""
    beneath = _innermost(error, OSError)
    text = str(error) or type(error).__name__
    if isinstance(beneath, (socket.gaierror, ssl.SSLError)):
        text = beneath.strerror or text
    elif beneath is not None and beneath.errno:
        text = os.strerror(beneath.errno)
    elif (found := _ERRNO.search(text)) is not None:  # asyncio puts the errors of several addresses into one text
        text = os.strerror(int(found[1]))
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
