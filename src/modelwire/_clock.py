"""The real clock; tests give clients one of their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable


class RealClock:
    """Time and chance of the machine; see `protocols.Clock`."""

    now = staticmethod(time.perf_counter)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait."""
        return anyio.sleep(seconds)

    def random(self) -> float:
        """A number in [0, 1)."""
        import random  # noqa: PLC0415  # with the first retry

        return random.random()  # noqa: S311  # spreads retries; nothing is kept secret with it
