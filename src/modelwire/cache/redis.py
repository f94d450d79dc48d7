"""`RedisCacheStore`: entries in Redis or Valkey, for as many machines as there are."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import re
import time
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from modelwire.cache._ttl import checked_ttl
from modelwire.errors import CacheStoreError
from modelwire.protocols import LockingCacheStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

logger = logging.getLogger("modelwire")

_UNREACHABLE = {"ConnectionError", "TimeoutError", "OSError", "ClusterDownError", "RedisClusterException"}
"""Errors of a server that cannot be reached, by name: a passed client may be of another library than redis-py."""
_REFUSED = {"AuthenticationError", "AuthorizationError"}
"""Kinds of `ConnectionError` that are none."""
_FULL = "OutOfMemoryError"
_AT_ONCE = 500
"""Keys that are deleted with one command."""
_LOCK = (
    "if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('get', KEYS[1]) == ARGV[1]"
    " then return 1 else return 0 end"
)
"""Scripts, so that sending one again after a lost connection gives the same answer."""
_UNLOCK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"

_threads: RunVar[CapacityLimiter] = RunVar("modelwire Redis threads")
"""Threads of its own in each event loop, for clients that are not async."""


class RedisCacheStore(LockingCacheStore):
    """Entries in a Redis or Valkey server, which drops the oldest as its own settings say.

    It works on asyncio and trio, and in several event loops of one process. A server that cannot be reached, does not
    answer in time or is full makes calls uncached, with one warning in the log, unless `strict` is set. What is wrong
    with the use of it (the password, a closed store) raises `CacheStoreError`. Needs the extra `modelwire[redis]`.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        *,
        ttl: float | None = None,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        db: int = 0,
        tls: bool = False,
        prefix: str = "modelwire:",
        client: Any = None,
        timeout: float = 1.0,
        max_connections: int = 50,
        strict: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected before the first use.

        `url` (`redis://`, `rediss://`, `unix://`) takes the place of host, port, username, password, db and tls.
        `client` is a ready one of redis-py, sync or async, for Sentinel, Cluster and settings that are not here; it
        stays open when the store is closed, and must not decode its answers. `ttl` is for entries that are stored
        without one of their own: seconds, `None` for no limit. `prefix` begins the name of every key. `timeout` bounds,
        in seconds, what one look-up may take, and how long a server that failed is left alone. `now` gives the seconds
        of a clock, for tests.
        """
        if not timeout > 0 or max_connections < 1:
            raise ValueError(f"timeout={timeout}, max_connections={max_connections}: more than 0 is needed")
        self._prefix = prefix
        self._ttl = checked_ttl(ttl)
        self._timeout = timeout
        self._strict = strict
        self._now = now
        self._passed = client
        self._pool: dict[str, Any] = {}
        if client is None:
            self._pool = _pool_settings(url, host, port, username, password, db, tls=tls)
            self._pool |= {"max_connections": max_connections, "timeout": timeout}
            self._pool |= {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        elif _decodes(client):
            raise CacheStoreError("client=: what is stored are bytes, so make the client with decode_responses=False")
        self._where = type(client).__name__ if client is not None else _where(self._pool)
        self._guard = Lock()
        self._blocking: Any = None
        self._of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()
        self._left_alone_until = -math.inf
        self._warned = False
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._where}, prefix={self._prefix!r})"

    # ------------------------------------------------------------------ the verbs

    async def get(self, key: str) -> bytes | None:
        """What is stored under this name; see `CacheStore.get`."""
        value: bytes | str | None = await self._do("GET", self._prefix + key)
        if isinstance(value, str):
            raise CacheStoreError("client=: what is stored are bytes, so make the client with decode_responses=False")
        return value

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Store it; see `CacheStore.set`."""
        lives = self._ttl if ttl is None else checked_ttl(ttl)
        await self._do("SET", self._prefix + key, value, *(() if lives is None else ("PX", _milliseconds(lives))))

    async def delete(self, key: str) -> None:
        """Forget this one.

        Raises `CacheStoreError` when the server cannot be reached.
        """
        await self._do("DEL", self._prefix + key, strict=True)

    async def clear(self) -> None:
        """Forget everything under this store's prefix; entries of others stay.

        Raises `CacheStoreError` when the server cannot be reached.
        """
        pattern = re.sub(r"([\\*?\[\]^-])", r"\\\1", self._prefix) + "*"
        client = await self._client()
        try:
            if _is_async(client):
                await _clear_async(client, pattern)
            else:
                await anyio.to_thread.run_sync(_clear, client, pattern, limiter=_limiter())
        except Exception as error:
            raise self._error(error) from error

    async def lock(self, key: str, owner: str, *, ttl: float) -> bool:
        """Take a lock; see `LockingCacheStore.lock`. Where the server cannot be reached everybody has it."""
        taken: int | None = await self._do("EVAL", _LOCK, 1, self._prefix + key, owner, _milliseconds(ttl))
        return taken != 0

    async def unlock(self, key: str, owner: str) -> None:
        """Give a lock back."""
        await self._do("EVAL", _UNLOCK, 1, self._prefix + key, owner)

    async def aclose(self) -> None:
        """Close the connections that the store made; repeatable. Using it afterwards raises `CacheStoreError`.

        Connections of other event loops are closed when those end.
        """
        self._closed = True
        blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()
        loop = _asyncio_loop()
        own = self._of_loops.pop(loop, None) if loop is not None else None
        if own is not None:
            with anyio.CancelScope(shield=True):
                await own.until_the_end.aclose()

    # ------------------------------------------------------------------ one command

    async def _do(self, *command: Any, strict: bool = False) -> Any:
        """The answer; `None` where the server fails."""
        strict = strict or self._strict
        if not strict and self._now() < self._left_alone_until:
            return None
        client = await self._client()
        try:
            with anyio.fail_after(self._timeout):
                if _is_async(client):
                    answer = await client.execute_command(*command)
                else:
                    answer = await anyio.to_thread.run_sync(
                        lambda: client.execute_command(*command), limiter=_limiter(), abandon_on_cancel=True
                    )
        except Exception as error:
            failure = _failure(error)
            if strict or failure is None:
                raise self._error(error) from error
            self._failed(failure, error)
            return None
        if self._warned:
            self._warned = False
            logger.info("%r works again", self)
        return answer

    def _failed(self, failure: str, error: Exception) -> None:
        if failure == "cannot be reached":
            self._left_alone_until = self._now() + self._timeout
        if not self._warned:
            self._warned = True
            logger.warning("%r %s, so that calls are not cached: %s", self, failure, _told(error))

    def _error(self, error: Exception) -> CacheStoreError:
        return error if isinstance(error, CacheStoreError) else CacheStoreError(f"{self!r}: {_told(error)}")

    # ------------------------------------------------------------------ clients

    async def _client(self) -> Any:
        """The client for this event loop: of its own on asyncio, one for the threads of all others."""
        if self._closed:
            raise CacheStoreError(f"{self!r} is closed")
        loop = _asyncio_loop()
        if self._passed is not None:
            if loop is None and ".asyncio" in type(self._passed).__module__:
                raise CacheStoreError("client= is an asyncio client: on trio pass a sync one")
            return self._passed
        if loop is None:
            with self._guard:
                self._blocking = self._blocking or _blocking_client(self._pool)
                return self._blocking
        own = self._of_loops.get(loop)
        if own is None:
            with self._guard:
                own = self._of_loops[loop] = _OfLoop(self._pool)
            await anext(own.until_the_end)
        return own.client


class _OfLoop:
    """An asyncio client and what closes it: asyncio ends the async generators of a loop that ends.

    So a store that nobody closes leaves no connection behind, in any loop.
    """

    def __init__(self, pool: dict[str, Any]) -> None:
        import redis.asyncio  # noqa: PLC0415  # an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415

        self.client = _client_of(redis.asyncio, Retry, pool)
        self.until_the_end = self._until_the_end()

    async def _until_the_end(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.client.aclose()


def _blocking_client(pool: dict[str, Any]) -> Any:
    import redis  # noqa: PLC0415  # an extra
    from redis.retry import Retry  # noqa: PLC0415

    return _client_of(redis, Retry, pool)


def _client_of(library: Any, retry: Any, settings: dict[str, Any]) -> Any:
    """A client with a pool; one retry, because a kept connection may be that of a server that was restarted since."""
    from redis.backoff import NoBackoff  # noqa: PLC0415  # an extra

    given = settings | {"retry": retry(NoBackoff(), 1)}
    if given.pop("tls", False):
        given["connection_class"] = library.SSLConnection
    pool = library.BlockingConnectionPool
    return library.Redis.from_pool(pool.from_url(**given) if "url" in given else pool(**given))


def _pool_settings(
    url: str | None, host: str, port: int, username: str | None, password: str | None, db: int, *, tls: bool
) -> dict[str, Any]:
    try:
        from redis.connection import parse_url  # noqa: PLC0415  # an extra
    except ImportError:
        raise CacheStoreError("RedisCacheStore needs redis-py: pip install 'modelwire[redis]'") from None
    if url is not None:
        try:
            parse_url(url)  # type: ignore[no-untyped-call]  # redis-py is typed in parts
        except ValueError:  # it may quote a part of the password
            raise CacheStoreError("url= is no Redis URL such as redis://:password@localhost:6379/0") from None
        return {"url": url}
    settings: dict[str, Any] = {"host": host, "port": port, "username": username, "password": password, "db": db}
    return settings | ({"tls": True} if tls else {})


def _where(pool: dict[str, Any]) -> str:
    """The server without its credentials."""
    if "url" not in pool:
        return f"{pool['host']}:{pool['port']}/{pool['db']}"
    parts = urlsplit(str(pool["url"]))
    return (f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else "") + parts.path


def _decodes(client: Any) -> bool:
    encoder = getattr(client, "get_encoder", None)
    return encoder is not None and bool(getattr(encoder(), "decode_responses", False))


def _is_async(client: Any) -> bool:
    return inspect.iscoroutinefunction(client.execute_command)


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The running loop of asyncio; `None` on trio, also where trio runs as a guest of asyncio."""
    try:
        return asyncio.get_running_loop() if asyncio.current_task() is not None else None
    except RuntimeError:
        return None


def _limiter() -> CapacityLimiter:
    try:
        return _threads.get()
    except LookupError:
        limiter = CapacityLimiter(16)
        _threads.set(limiter)
        return limiter


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _failure(error: Exception) -> str | None:
    """What is the matter with the server; `None` when it is the use of it that is wrong."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & _REFUSED:
        return None
    if kinds & _UNREACHABLE:
        return "cannot be reached"
    return "is full" if _FULL in kinds else None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _clear(client: Any, pattern: str) -> None:
    batch: list[bytes] = []
    for key in client.scan_iter(match=pattern, count=_AT_ONCE):
        batch.append(key)
        if len(batch) >= _batch_size(client):
            client.execute_command("DEL", *batch)
            batch = []
    if batch:
        client.execute_command("DEL", *batch)


async def _clear_async(client: Any, pattern: str) -> None:
    batch: list[bytes] = []
    async for key in client.scan_iter(match=pattern, count=_AT_ONCE):
        batch.append(key)
        if len(batch) >= _batch_size(client):
            await client.execute_command("DEL", *batch)
            batch = []
    if batch:
        await client.execute_command("DEL", *batch)


def _batch_size(client: Any) -> int:
    """Keys for one command: those of a cluster lie on several servers."""
    return 1 if "Cluster" in type(client).__name__ else _AT_ONCE
