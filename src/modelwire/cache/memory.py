"""`InMemoryCacheStore`: entries of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from modelwire.cache._ttl import checked_ttl
from modelwire.protocols import LockingCacheStore

if TYPE_CHECKING:
    from collections.abc import Callable


class _Entry(NamedTuple):
    value: bytes
    expires: float | None


class InMemoryCacheStore(LockingCacheStore):
    """Entries in memory: the least recently used go first when there are too many or they are too large together.

    It may be shared by clients, threads and event loops. Its locks are between the clients of this process.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 256 * 1024 * 1024,
        ttl: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_bytes` is of names and values together; a value that is larger alone is not stored.

        `ttl` is for entries that are stored without one of their own: seconds, `None` for no limit. `now` gives the
        seconds of a clock, for tests.
        """
        if max_entries < 1 or max_bytes < 1:
            raise ValueError(f"max_entries={max_entries}, max_bytes={max_bytes}: at least 1 is needed")
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl = checked_ttl(ttl)
        self._now = now
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._locks: dict[str, tuple[str, float]] = {}
        self._guard = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._entries)} entries, {self._bytes} bytes)"

    async def get(self, key: str) -> bytes | None:
        """What is stored under this name; see `CacheStore.get`."""
        with self._guard:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires is not None and entry.expires <= self._now():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry.value

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store it; see `CacheStore.set`."""
        lives = self._ttl if ttl is None else checked_ttl(ttl)
        with self._guard:
            self._drop(key)
            if len(key) + len(value) > self._max_bytes:
                return
            self._entries[key] = _Entry(bytes(value), None if lives is None else self._now() + lives)
            self._bytes += len(key) + len(value)
            while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
                self._drop(next(iter(self._entries)))

    async def delete(self, key: str) -> None:
        """Forget this one."""
        with self._guard:
            self._drop(key)

    async def clear(self) -> None:
        """Forget everything."""
        with self._guard:
            self._entries.clear()
            self._bytes = 0

    async def lock(self, key: str, owner: str, *, ttl: float) -> bool:
        """Take a lock; see `LockingCacheStore.lock`."""
        with self._guard:
            holder, expires = self._locks.get(key, (owner, 0.0))
            if holder != owner and expires > self._now():
                return False
            self._locks[key] = (owner, self._now() + ttl)
            return True

    async def unlock(self, key: str, owner: str) -> None:
        """Give a lock back."""
        with self._guard:
            if self._locks.get(key, ("", 0.0))[0] == owner:
                del self._locks[key]

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(key) + len(entry.value)
