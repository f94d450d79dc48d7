"""Tokens that cancel calls, as AutoGen has them."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel

from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class CancellationToken:
    """Cancels the calls that it is given to as `cancellation_token=`, from any task or thread, once and for all."""

    def __init__(self) -> None:
        self._cancelled = False
        self._callbacks: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Cancel every call that has this token, now and from now on; repeatable."""
        with self._lock:
            self._cancelled = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:  # not under the lock: a callback may ask the token
            callback()

    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Have this called by `cancel`, in its thread; at once where that was called already."""
        with self._lock:
            cancelled = self._cancelled
            if not cancelled:
                self._callbacks.append(callback)
        if cancelled:
            callback()

    def remove_callback(self, callback: Callable[[], object]) -> None:
        """Forget a callback; one that is not known is no error."""
        with self._lock:
            self._callbacks = [known for known in self._callbacks if known != callback]

    def link_future(self, future: Future[T]) -> Future[T]:
        """Have this future of asyncio, or task, cancelled with the token; gives it back."""
        self.add_callback(future.cancel)
        future.add_done_callback(lambda _: self.remove_callback(future.cancel))
        return future


def checked_token(token: Any) -> Any:
    """A token, ours or AutoGen's, or none.

    Raises `BadRequestError` for anything else.
    """
    if token is None or (callable(getattr(token, "add_callback", None)) and hasattr(token, "is_cancelled")):
        return token
    raise BadRequestError(f"cancellation_token is a CancellationToken, not {type(token).__name__}")


def was_cancelled(error: BaseException) -> bool:
    """Whether the error says that something was cancelled: in this event loop's words, or in asyncio's."""
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, anyio.get_cancelled_exc_class()) or (
        asyncio is not None and isinstance(error, asyncio.CancelledError)
    )


async def cancelled_by(token: Any, work: Callable[[], Awaitable[T]]) -> T:
    """Do this unless the token is cancelled, before or meanwhile.

    Raises `asyncio.CancelledError` when it is, on every event loop: what AutoGen raises. On trio that is an exception
    as any other, which `except Exception` does not catch.
    """
    if not token.is_cancelled():
        with anyio.CancelScope() as scope:
            link = _Link(scope)
            token.add_callback(link)
            try:
                return await work()
            finally:
                link.scope = None
                if isinstance(token, CancellationToken):  # AutoGen's own keep what they were given
                    token.remove_callback(link)
    import asyncio  # noqa: PLC0415  # on trio only for this

    raise asyncio.CancelledError("the cancellation_token was cancelled")


class _Link:
    """Cancels a scope from any thread; nothing once the scope was left."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.scope: anyio.CancelScope | None = scope
        self._thread = threading.get_ident()
        self._loop: Any = anyio.lowlevel.current_token().native_token

    def __call__(self) -> None:
        if threading.get_ident() == self._thread:
            self._cancel()
        elif self.scope is not None:
            # The one is asyncio's, the other trio's.
            soon = getattr(self._loop, "call_soon_threadsafe", None) or self._loop.run_sync_soon
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the call with it
                soon(self._cancel)

    def _cancel(self) -> None:
        if self.scope is not None:
            self.scope.cancel()
