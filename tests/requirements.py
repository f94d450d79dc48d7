"""What some tests need and not every machine has: without it they skip, or fail where nothing may be skipped."""

from __future__ import annotations

import os

import pytest


def need(condition: object, reason: str) -> None:
    """Skip the running test, or at import the test file, unless `condition` holds; `reason` says how to mend it.

    With `MODELWIRE_REQUIRE=1` in the environment it fails instead.
    """
    if condition:
        return
    if os.environ.get("MODELWIRE_REQUIRE", "") not in ("", "0"):
        pytest.fail(f"MODELWIRE_REQUIRE is set, and {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
