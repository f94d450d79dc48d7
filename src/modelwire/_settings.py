"""What every client's constructor takes beside the options of the generation, and what it means."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypedDict, cast

from modelwire._retry import RetryPolicy
from modelwire.errors import BadRequestError
from modelwire.protocols import Timeouts

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from modelwire.options import ModelInfo
    from modelwire.protocols import Clock, Gate, OuterTransport, Transport

    Headers = Sequence[tuple[bytes, bytes]]

    class LikeTimeout(Protocol):
        """As `httpx.Timeout` is."""

        connect: float | None
        read: float | None
        write: float | None
        pool: float | None


class ClientSettings(TypedDict, total=False):
    """Settings of every client. Every one may be left out, or be `None` for its default."""

    http_client: Any
    """An `httpx.AsyncClient` or `httpx2.AsyncClient` to use; it keeps its own settings, and is never closed."""
    transport: Transport | str | None
    """`"httpx"` (the default), `"fast"` (needs `modelwire[fast]`), a `Recorder` or `Player`, or an object of one's own that
    moves the bytes.

    `MODELWIRE_TRANSPORT` names another default; clients with an `http_client` or a proxy use httpx all the same.
    """
    timeout: float | Timeouts | LikeTimeout | None
    """Seconds to wait for the first byte and between bytes, or each by itself; by default 600, and 5 to connect. An
    `httpx.Timeout` is understood."""
    max_retries: int | None
    """Requests beyond the first; short for `retry=RetryPolicy(max_retries=...)`, by default 2."""
    retry: RetryPolicy | None
    """When and how often a failed request is sent again; `None` for never."""
    deadline: float | None
    """Seconds that a whole call may take, waits and retries included; by default there is no limit."""
    max_connections: int | None
    """Connections open at once; by default 1000."""
    verify: bool | str | os.PathLike[str] | ssl.SSLContext
    """A file of certificate authorities, or a TLS context, where the system's are not right. It cannot be `False`."""
    proxy: str | None
    """URL of a proxy; by default those of the environment (`HTTPS_PROXY`, ...)."""
    default_headers: Mapping[str, str] | None
    """Headers of every request."""
    model_info: ModelInfo | None
    """What is known of the model, over what modelwire knows itself."""
    model_capabilities: ModelInfo | None
    """AutoGen's older name of `model_info`."""
    include_name_in_message: bool | None
    """Whether the `source` of messages is sent as their name, where the API has names; by default yes."""
    add_name_prefixes: bool | None
    """Whether the text of user messages begins with who `said` it, for models that know no names; by default no."""
    gate: Gate | None
    """An async function that runs before every request that goes over the wire, retries included."""
    clock: Clock | None
    """Time and chance, for tests."""


SETTINGS = frozenset(ClientSettings.__annotations__)


_OF_HTTPX = ("http_client", "max_connections", "verify", "proxy")
_ONLY_HTTPX = ("http_client", "proxy")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def to_transport(settings: ClientSettings) -> Transport:
    """The transport that the settings mean; httpx unless they or `MODELWIRE_TRANSPORT` name another.

    Raises `ValueError` for a name that is not known, for a setting that cannot be, and where settings or the environment ask
    for more than the transport does; `ImportError` where it is not installed.
    """
    transport = settings.get("transport")
    given: dict[str, Any] = {name: value for name, value in settings.items() if name in _OF_HTTPX and value is not None}
    if transport is not None and not isinstance(transport, str):
        if hasattr(transport, "bound"):  # it stands around another, which is what the other settings are about
            return cast("OuterTransport", transport).bound(lambda inner: to_transport({**settings, "transport": inner}))
        if given:
            raise ValueError(f"{', '.join(given)} would have no effect on a transport of one's own; set them there")
        return transport
    if given.get("max_connections", 1) < 1:
        raise ValueError(f"max_connections={given['max_connections']!r}: at least 1 is needed")
    source = f"transport={transport!r}"
    if transport is None:
        transport = os.environ.get("MODELWIRE_TRANSPORT") or "httpx"
        source = f"MODELWIRE_TRANSPORT={transport}"
        if transport == "fast" and (any(name in given for name in _ONLY_HTTPX) or _environment_proxy()):
            transport = "httpx"
    if transport == "fast":
        return _fast(given, source)
    if transport == "httpx":
        from modelwire._transport import HttpxTransport  # noqa: PLC0415  # loads httpx: with the first client, not before

        return HttpxTransport(**given)
    raise ValueError(f"{source} is not known; it is 'httpx', 'fast' or an object with send, stream and aclose")


def _fast(given: dict[str, Any], source: str) -> Transport:
    asked = next((name for name in _ONLY_HTTPX if name in given), None)
    if asked is not None:
        raise ValueError(f"{source} takes no {asked}: only the default transport, httpx, does")
    variable = _environment_proxy()
    if variable is not None:
        raise ValueError(
            f"{source} uses no proxy, and {variable} names one: leave transport out, or unset {variable} "
            "(or set NO_PROXY=*) where the server is reached without it"
        )
    try:
        from modelwire._transport.fast import FastTransport  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        if error.name != "httptools":
            raise
        raise ImportError(f"{source} needs httptools: pip install 'modelwire[fast]'", name="httptools") from None
    return FastTransport(**given)


def _environment_proxy() -> str | None:
    """What names a proxy that httpx would use."""
    lower = {name.lower(): name for name, value in os.environ.items() if value}
    if os.environ.get(lower.get("no_proxy", ""), "").strip() == "*":
        return None
    for name in _PROXIES:
        if name in lower:
            return lower[name]
    if sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies  # noqa: PLC0415  # slow to load, and elsewhere it knows no more than this

        return "the system" if any(f"{kind}_proxy" in _PROXIES for kind in getproxies()) else None
    return None


def to_model_info(settings: Mapping[str, Any]) -> ModelInfo | None:
    """What the user says of the model, under either of its names.

    Raises `ValueError` where both are given.
    """
    info, capabilities = settings.get("model_info"), settings.get("model_capabilities")
    if info is not None and capabilities is not None:
        raise ValueError("model_info and model_capabilities are the same setting; give model_info")
    return capabilities if info is None else info


def to_timeouts(timeout: Any) -> Timeouts:
    """Time limits from a number, which bounds the first byte and the pauses between bytes, or from an `httpx.Timeout`.

    Raises `TypeError` for anything else.
    """
    if timeout is None:
        return Timeouts()
    if isinstance(timeout, Timeouts):
        return timeout
    if all(hasattr(timeout, name) for name in ("connect", "read", "write", "pool")):
        connect, read, write = (
            None if limit is None else _seconds(limit) for limit in (timeout.connect, timeout.read, timeout.write)
        )
        return Timeouts(connect=connect, first_byte=read, read=read, write=write)
    seconds = _seconds(timeout)
    return Timeouts(connect=min(seconds, Timeouts().connect or 5.0), first_byte=seconds, read=seconds)


def _seconds(timeout: Any) -> float:
    if not isinstance(timeout, (int, float)) or not timeout > 0:
        raise TypeError(
            f"timeout is seconds above 0, or a Timeouts(connect=..., first_byte=..., read=...), not {timeout!r}"
        )
    return float(timeout)


def to_headers(headers: Mapping[str, str] | None) -> Headers:
    """Headers as the transport takes them.

    Raises `BadRequestError` for a name or value that is no header.
    """
    if not headers:
        return ()
    made: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str) or any(c in name + value for c in "\r\n\0"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadRequestError(f"header {name!r}: names and values are text without line breaks")
        try:
            made.append((name.lower().encode("ascii"), value.encode("latin-1")))
        except UnicodeEncodeError:
            raise BadRequestError(f"header {name!r}: HTTP takes only Latin-1 text here") from None
    return tuple(made)


def to_retry(settings: ClientSettings) -> RetryPolicy | None:
    """The policy that `retry` and `max_retries` mean together.

    Raises `TypeError` where both are given.
    """
    max_retries = settings.get("max_retries")
    if max_retries is None:
        return settings["retry"] if "retry" in settings else RetryPolicy()
    if settings.get("retry") is not None:
        raise TypeError("max_retries is short for retry=RetryPolicy(max_retries=...): give one of them")
    return RetryPolicy(max_retries=max_retries)
