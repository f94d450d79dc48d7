"""Where answers are kept: in memory, on disk, in Redis or Valkey. `ChatCompletionCache` is the client that uses them."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwire.cache.disk import DiskCacheStore as DiskCacheStore
    from modelwire.cache.memory import InMemoryCacheStore as InMemoryCacheStore
    from modelwire.cache.redis import RedisCacheStore as RedisCacheStore
    from modelwire.middleware.caching import ChatCompletionCache as ChatCompletionCache
    from modelwire.protocols import CacheStore as CacheStore
    from modelwire.protocols import LockingCacheStore as LockingCacheStore

_WHERE = {
    "CacheStore": "modelwire.protocols",
    "ChatCompletionCache": "modelwire.middleware.caching",
    "DiskCacheStore": "modelwire.cache.disk",
    "InMemoryCacheStore": "modelwire.cache.memory",
    "LockingCacheStore": "modelwire.protocols",
    "RedisCacheStore": "modelwire.cache.redis",
}

__all__ = [*_WHERE]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'modelwire.cache' has no attribute {name!r}")
    value: object = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value
