"""How long an entry lives."""

from __future__ import annotations

import math


def checked_ttl(ttl: float | None) -> float | None:
    """Seconds above 0, or `None` for no limit.

    Raises `ValueError` for anything else.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 < ttl < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"ttl={ttl!r}: seconds above 0 are needed, or None for no limit")
    return float(ttl)
