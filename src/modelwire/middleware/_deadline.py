"""The deadline of a whole call, for clients that call others in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from modelwire._options import to_deadline
from modelwire.errors import ModelTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Deadline:
    """Counts from its first `run`; `None` for no limit.

    Each `run` has a cancel scope of its own, so that none is held while the caller of a stream works on an event. The
    clients inside see it as `anyio.current_effective_deadline()`.

    Raises `BadRequestError` for what is no number of seconds above 0.
    """

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = to_deadline(seconds)
        self._end: float | None = None

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this before the deadline.

        Raises `ModelTimeoutError` when it passes.
        """
        if self._seconds is None:
            return await work()
        if self._end is None:
            self._end = anyio.current_time() + self._seconds
        with anyio.CancelScope(deadline=self._end):
            return await work()
        raise ModelTimeoutError(  # reached when the scope itself was cancelled
            f"the deadline of {self._seconds} s passed", retryable=False
        )
