"""Servers for the tests of stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cache.servers import KINDS, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=KINDS)
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A server of each kind, for tests that leave it running."""
    with RedisServer(request.param) as server:
        yield server
