"""When a failed request is sent again, and after how long. Pure: chance and clock are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.errors import ModelClientError


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a client sends a failed request again.

    Only errors whose `retryable` is true are retried, and never after content was delivered. The wait is what the
    server asks for; otherwise a random time between 0 and `initial_delay` x 2^(retries so far), at most `max_delay`
    ("full jitter": clients that failed together don't come back together).
    """

    max_retries: int = 2
    """Requests beyond the first; 0 for none."""
    initial_delay: float = 0.5
    """Seconds: bound of the first random wait."""
    max_delay: float = 8.0
    """Seconds: bound of every random wait."""
    max_retry_after: float = 120.0
    """Seconds: when the server asks for a longer wait, the call fails at once instead."""

    def __post_init__(self) -> None:
        if self.max_retries < 0 or min(self.initial_delay, self.max_delay, self.max_retry_after) < 0:
            raise ValueError(f"a retry policy has no negative numbers: {self}")

    def delay(self, retries: int, error: ModelClientError, random: Callable[[], float]) -> float | None:
        """Seconds to wait before the next attempt, after `retries` retries; `None` to give up."""
        if not error.retryable or retries >= self.max_retries:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.max_retry_after else None
        bound: float = min(self.max_delay, self.initial_delay * 2.0 ** min(retries, 100))  # 2.0**1024 overflows
        return random() * bound
