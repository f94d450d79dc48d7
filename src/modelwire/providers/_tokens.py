"""Tokens of an identity service: fetched when needed, and used until shortly before they expire."""

from __future__ import annotations

import base64
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec

from modelwire._invoke import invoke
from modelwire.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 300.0
"""Seconds before its end at which a token is no longer used: it must outlive the call that carries it."""


class CachedToken:
    """A token from a provider function or a credential of `azure.identity`, sync or async.

    A sync one runs in a worker thread, since it may go to the network. The time at which a token expires is what the
    credential says, or what the token itself says where it is a JWT; where neither does, every call asks again.
    """

    def __init__(self, source: Any, scope: str) -> None:
        self._ask: Callable[[], Any] = _asker(source, scope)
        self._token: str | None = None
        self._expires = 0.0
        self._lock = anyio.Lock()

    async def __call__(self, refresh: bool) -> str:
        """The token; `refresh` asks for another than the last one.

        Raises `AuthenticationError` when the source gives none.
        """
        if refresh or not self._usable():
            last = self._token
            async with self._lock:
                # Of several calls that found the token stale, one fetches it.
                if self._token is last or not self._usable():
                    await self._fetch()
        assert self._token is not None
        return self._token

    def _usable(self) -> bool:
        return self._token is not None and time.time() < self._expires - MARGIN

    async def _fetch(self) -> None:
        try:
            answer = await invoke(self._ask)
        except Exception as error:
            # Any error of a foreign credential: it means that there is no token.
            raise AuthenticationError(f"no token: {type(error).__name__}: {error}") from error
        token = answer if isinstance(answer, str) else getattr(answer, "token", None)
        if not isinstance(token, str) or not token.strip():
            raise AuthenticationError(f"no token: the token provider gave {type(answer).__name__}; a str is needed")
        token = token.strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise AuthenticationError("no token: the token provider gave text with characters that no token has")
        expires = getattr(answer, "expires_on", None)
        self._expires = float(expires) if isinstance(expires, (int, float)) else expiry(token)
        self._token = token


def _asker(source: Any, scope: str) -> Callable[[], Any]:
    if hasattr(source, "get_token"):
        return partial(source.get_token, scope)  # unlike a lambda, it still tells whether it is async
    if callable(source):
        return cast("Callable[[], Any]", source)
    raise TypeError("azure_ad_token_provider is a function that gives a token, or a credential with get_token()")


def expiry(token: str) -> float:
    """Unix time at which a JWT expires (RFC 7519, `exp`); 0 for anything else."""
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=dict[str, Any])
        return float(claims["exp"])
    except (IndexError, KeyError, ValueError, TypeError, msgspec.MsgspecError):
        return 0.0
