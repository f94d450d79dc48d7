"""Names of parametrized tests."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """The value without its address, which differs in each process: workers that share the tests must agree on names."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
