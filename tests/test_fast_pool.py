"""The fast transport's pool: who gets which connection. Time and network are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire._transport.fast.connection import Failure, Origin
from modelwire._transport.fast.pool import Pool
from modelwire._transport.fast.response import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

HERE, THERE = Origin("http", "here", 80), Origin("http", "there", 80)


class Link:
    """Implements `Connection`, without a wire."""

    def __init__(self, origin: Origin, number: int) -> None:
        self.origin = origin
        self.number = number
        self.response = Response()
        self.alive = True
        self.quiet = True
        self.served = 0
        self.idle_since = 0.0

    def rest(self) -> bool:
        return self.alive

    def is_quiet(self) -> bool:
        return self.quiet

    def abort(self) -> None:
        self.alive = False


class Wires:
    """Implements `Network`."""

    def __init__(self) -> None:
        self.time = 0.0
        self.made: list[Link] = []
        self.before: Callable[[], Awaitable[None]] | None = None

    def now(self) -> float:
        return self.time

    async def connect(self, origin: Origin, tls: Any) -> Link:
        if self.before is not None:
            await self.before()
        self.made.append(Link(origin, len(self.made)))
        return self.made[-1]

    async def settle(self) -> None:
        pass


def pool_of(limit: int = 10, keep: int = 10, keep_seconds: float = 50.0) -> tuple[Any, Wires]:
    wires = Wires()
    return Pool(wires, limit=limit, keep=keep, keep_seconds=keep_seconds), wires  # type: ignore[arg-type]


async def take(pool: Any, origin: Origin = HERE, limit: float | None = 2.0) -> Any:
    return pool.pop(origin) or await pool.take(origin, None, limit)


async def test_the_last_one_given_back_is_the_first_one_taken():
    pool, _ = pool_of()
    links = [await take(pool) for _ in range(3)]
    for link in links:
        pool.release(link)
    assert pool.in_use == 0
    assert [(await take(pool)).number for _ in range(3)] == [2, 1, 0]
    assert pool.in_use == 3


async def test_one_that_was_idle_for_too_long_is_not_used():
    pool, wires = pool_of(keep_seconds=50)
    old = await take(pool)
    pool.release(old)
    wires.time = 51
    new = await take(pool)
    assert (old.alive, new.number, pool.in_use) == (False, 1, 1)


async def test_the_oldest_is_closed_as_others_come_and_go():
    pool, wires = pool_of(keep_seconds=50)
    first, second = await take(pool), await take(pool)
    pool.release(first)
    for wires.time in (20, 40, 60):
        pool.release(second)
        second = await take(pool)
    assert (first.alive, second.alive, pool.in_use) == (False, True, 1)


async def test_closed_and_noisy_ones_are_passed_over():
    pool, _ = pool_of()
    links = [await take(pool) for _ in range(3)]
    for link in links:
        pool.release(link)
    links[2].alive = False
    links[1].quiet = False
    assert (await take(pool)).number == 0
    assert pool.in_use == 1


async def test_no_more_are_kept_than_allowed():
    pool, _ = pool_of(keep=1)
    links = [await take(pool) for _ in range(2)]
    for link in links:
        pool.release(link)
    assert [link.alive for link in links] == [True, False]


async def test_an_idle_one_of_another_server_makes_place():
    pool, _ = pool_of(limit=2)
    links = [await take(pool), await take(pool)]
    for link in links:
        pool.release(link)
    other = await take(pool, THERE)
    assert (other.origin, [link.alive for link in links], pool.in_use) == (THERE, [False, True], 1)


async def test_the_line_is_served_in_order_with_connections_to_where_it_wants():
    pool, wires = pool_of(limit=1)
    held = await take(pool)
    got: list[tuple[str, int]] = []

    async def want(origin: Origin) -> None:
        link = await take(pool, origin)
        got.append((origin.host, link.number))
        await anyio.lowlevel.checkpoint()
        pool.release(link)

    async with anyio.create_task_group() as group:
        for origin in (HERE, THERE, HERE):
            group.start_soon(want, origin)
            await anyio.wait_all_tasks_blocked()
        assert pool.in_use == 4
        pool.release(held)
    assert got == [("here", 0), ("there", 1), ("here", 2)]
    assert (pool.in_use, len(wires.made)) == (0, 3)


async def test_waiting_has_a_limit_and_leaves_the_line():
    pool, _ = pool_of(limit=1)
    held = await take(pool)
    assert await take(pool, limit=0.01) == Failure("pool")
    pool.release(held)
    assert (await take(pool)) is held


async def test_who_is_cancelled_in_the_line_passes_on_what_was_given():
    pool, _ = pool_of(limit=1)
    held = await take(pool)
    got: list[Any] = []

    async def want(scope: anyio.CancelScope) -> None:
        with scope:
            link = await take(pool)
            got.append(link)
            pool.release(link)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(want, scope)
            await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()  # before it is given anything
        await anyio.wait_all_tasks_blocked()
        pool.release(held)
        scopes[1].cancel()  # in the same step as it is given the connection
    assert got[-1] is held
    assert pool.in_use == 0


async def test_a_place_is_not_lost_to_a_connection_that_fails_or_is_cancelled():
    pool, wires = pool_of(limit=1)

    async def fails() -> None:
        raise OSError("no")

    async def hangs() -> None:
        await anyio.sleep_forever()

    wires.before = fails
    assert (await take(pool)).kind == "connect"
    wires.before = hangs
    assert await take(pool, limit=0.01) == Failure("connect timeout")
    with anyio.move_on_after(0.01):
        await take(pool)
    wires.before = None
    assert pool.in_use == 0
    assert (await take(pool)).alive


async def test_closing_ends_everything_and_those_in_the_line_are_told():
    pool, wires = pool_of(limit=2)
    links = [await take(pool), await take(pool)]
    pool.release(links[0])
    again = await take(pool)
    told: list[Any] = []

    async def want() -> None:
        told.append(await take(pool, limit=None))

    async with anyio.create_task_group() as group:
        group.start_soon(want)
        await anyio.wait_all_tasks_blocked()
        await pool.aclose()
    pool.release(again)
    assert not any(link.alive for link in wires.made)
    assert told == [Failure("closed", "by this client")]
