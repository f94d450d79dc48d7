"""What only the store in memory promises."""

from __future__ import annotations

import threading

import anyio
import pytest

from modelwire import InMemoryCacheStore

pytestmark = pytest.mark.anyio


async def test_the_least_recently_used_go_first() -> None:
    store = InMemoryCacheStore(max_entries=3)
    for key in "abc":
        await store.set(key, b"1")
    await store.get("a")
    await store.set("b", b"2")

    await store.set("d", b"1")

    assert [await store.get(key) for key in "abcd"] == [b"1", b"2", None, b"1"]


async def test_names_and_values_are_bounded_in_bytes() -> None:
    store = InMemoryCacheStore(max_bytes=100)
    await store.set("a", b"x" * 49)
    await store.set("b", b"x" * 49)
    assert await store.get("a")

    await store.set("c", b"x" * 10)

    assert [bool(await store.get(key)) for key in "abc"] == [True, False, True]
    assert "2 entries, 61 bytes" in repr(store)


async def test_what_is_too_large_alone_is_not_stored_and_displaces_only_its_own() -> None:
    store = InMemoryCacheStore(max_bytes=100)
    await store.set("a", b"old")
    await store.set("b", b"1")

    await store.set("a", b"x" * 100)

    assert [await store.get(key) for key in "ab"] == [None, b"1"]


async def test_clearing_begins_the_count_anew() -> None:
    store = InMemoryCacheStore(max_bytes=10)
    await store.set("a", b"x" * 9)
    await store.clear()
    await store.set("b", b"x" * 9)

    assert await store.get("b")


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": 0}])
def test_bounds_that_leave_no_room_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InMemoryCacheStore(**bounds)


def test_threads_use_it_at_once() -> None:
    store = InMemoryCacheStore(max_entries=50, max_bytes=5000)

    async def use() -> None:
        for number in range(2000):
            await store.set(f"{number % 97}", b"x" * (number % 89))
            await store.get(f"{number % 31}")

    threads = [threading.Thread(target=anyio.run, args=(use,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store._bytes == sum(len(key) + len(entry.value) for key, entry in store._entries.items()) <= 5000
