"""What every store does: those of modelwire, and one that a user writes in a few lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire import CacheStore, CacheStoreError, DiskCacheStore, InMemoryCacheStore, RedisCacheStore
from tests.cache.servers import KINDS, RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


class OwnStore(CacheStore):
    """A user's: what the docs say is enough."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        self.kept[key] = value

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    async def clear(self) -> None:
        self.kept.clear()


OURS = ["memory", "disk", *KINDS]


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], RedisServer]]:
    """Servers by kind, started when they are first needed."""
    running: dict[str, RedisServer] = {}

    def server(kind: str) -> RedisServer:
        if kind not in running:
            running[kind] = RedisServer(kind).start()
        return running[kind]

    yield server
    for one in running.values():
        one.__exit__()


@pytest.fixture
def make(kind: str, tmp_path: Path, servers: Callable[[str], RedisServer]) -> Callable[..., Any]:
    """Stores that share what they keep, where stores of this kind do, and nothing with other tests."""
    prefix = os.urandom(4).hex() + ":"

    def made(**options: Any) -> Any:
        if kind == "memory":
            return InMemoryCacheStore(**options)
        if kind == "disk":
            return DiskCacheStore(tmp_path / "cache", **options)
        if kind == "own":
            return OwnStore()
        return RedisCacheStore("127.0.0.1", servers(kind).port, prefix=prefix, timeout=20, **options)

    return made


every = pytest.mark.parametrize("kind", [*OURS, "own"])
ours = pytest.mark.parametrize("kind", OURS)
shared = pytest.mark.parametrize("kind", ["disk", *KINDS])


@every
async def test_what_is_stored_is_given_back(make: Any) -> None:
    async with make() as store:
        values = {
            "empty": b"",
            "any bytes": bytes(range(256)) * 17,
            "not ASCII: ä\U0001f600": b"\r\n\0",
            "large": os.urandom(1_000_000),
        }
        for key, value in values.items():
            await store.set(key, value)

        assert {key: await store.get(key) for key in values} == values
        assert await store.get("nothing") is None


@every
async def test_it_is_replaced_deleted_and_cleared(make: Any) -> None:
    store = make()
    for key in ("a", "b", "c"):
        await store.set(key, b"first")

    await store.set("a", b"second")
    await store.delete("b")
    await store.delete("never there")

    assert [await store.get(key) for key in ("a", "b", "c")] == [b"second", None, b"first"]

    await store.clear()

    assert [await store.get(key) for key in ("a", "b", "c")] == [None, None, None]
    await store.set("a", b"third")
    assert await store.get("a") == b"third"
    await store.aclose()
    await store.aclose()


@ours
async def test_many_tasks_use_it_at_once(make: Any) -> None:
    async with make() as store, anyio.create_task_group() as tasks:

        async def use(number: int) -> None:
            for turn in range(3):
                await store.set(f"own {number}", b"%d %d" % (number, turn))
                await store.set("common", b"%d" % number)
                assert await store.get(f"own {number}") == b"%d %d" % (number, turn)
                assert int(await store.get("common") or b"-1") in range(200)

        for number in range(200):
            tasks.start_soon(use, number)


@ours
async def test_an_entry_lives_as_long_as_was_said(make: Any, kind: str) -> None:
    clock = Hands()
    async with make(ttl=100, **({} if kind in KINDS else {"now": clock})) as store:
        await store.set("of the store", b"1")
        await store.set("of its own", b"2", ttl=10)
        if kind in KINDS:  # its clock is the server's
            await remains(store, "of the store", 100)
            await remains(store, "of its own", 10)
            await store.set("short", b"3", ttl=0.001)
            await anyio.sleep(0.05)
            assert await store.get("short") is None
            return
        clock.time += 9.9
        assert await store.get("of its own") == b"2"
        clock.time += 0.1
        assert await store.get("of its own") is None
        assert await store.get("of the store") == b"1"
        clock.time += 90
        assert await store.get("of the store") is None


class Hands:
    """A clock that is moved by hand."""

    time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


async def remains(store: RedisCacheStore, key: str, seconds: float) -> None:
    left = await store._do("PTTL", store._prefix + key)
    assert seconds - 20 < left / 1000 <= seconds


@ours
@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), True, "5"])
async def test_a_time_that_is_none_is_refused(make: Any, ttl: Any) -> None:
    with pytest.raises(ValueError, match="ttl="):
        make(ttl=ttl)
    async with make() as store:
        with pytest.raises(ValueError, match="ttl="):
            await store.set("a", b"1", ttl=ttl)


@ours
async def test_a_lock_has_one_owner_until_its_time_is_over(make: Any, kind: str) -> None:
    clock = Hands()
    async with make(**({} if kind in KINDS else {"now": clock})) as store:
        assert await store.lock("k", "one", ttl=0.05 if kind in KINDS else 10)
        assert await store.lock("k", "one", ttl=0.05 if kind in KINDS else 10)  # its own
        if kind not in KINDS:
            assert not await store.lock("k", "other", ttl=10)
        assert await store.lock("another", "other", ttl=10)
        await anyio.sleep(0.1 if kind in KINDS else 0)
        clock.time += 10

        assert await store.lock("k", "other", ttl=100)
        await store.unlock("k", "one")
        assert not await store.lock("k", "one", ttl=10)
        await store.unlock("k", "other")
        assert await store.lock("k", "one", ttl=10)


@shared
async def test_two_stores_of_one_place_share_what_they_keep(make: Any) -> None:
    async with make() as one, make() as other:
        await one.set("a", b"1")
        assert await other.get("a") == b"1"
        await other.set("a", b"2")
        assert await one.get("a") == b"2"
        assert await one.lock("k", "one", ttl=100)
        assert not await other.lock("k", "other", ttl=100)
        await other.clear()
        assert await one.get("a") is None


@shared
async def test_a_closed_store_says_so(make: Any) -> None:
    store = make()
    await store.set("a", b"1")
    await store.aclose()

    for use in (store.get("a"), store.set("a", b"1"), store.delete("a"), store.clear(), store.lock("a", "b", ttl=1)):
        with pytest.raises(CacheStoreError, match="closed"):
            await use


@ours
@pytest.mark.parametrize("runs", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")], ids="-".join)
def test_one_store_serves_several_event_loops(make: Any, runs: tuple[str, str]) -> None:
    """One after the other, without being closed in between, or at all."""
    store = make()

    async def first() -> None:
        await store.set("a", b"1")
        assert await store.get("a") == b"1"

    async def second() -> None:
        assert await store.get("a") == b"1"

    for run, use in zip(runs, (first, second), strict=True):
        anyio.run(use, backend=run)


@ours
async def test_a_cancelled_use_leaves_it_usable(make: Any) -> None:
    async with make() as store:
        await store.set("a", b"1")
        for moment in range(20):
            with anyio.move_on_after(moment / 20_000):
                await store.set("b", b"x" * 100_000)
                await store.get("b")
        assert await store.get("a") == b"1"
        assert await store.get("b") in (None, b"x" * 100_000)
