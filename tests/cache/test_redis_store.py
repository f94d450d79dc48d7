"""What only the store in Redis or Valkey promises, against real servers."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
import redis
import redis.asyncio

from modelwire import CacheStoreError, RedisCacheStore
from tests.cache.servers import KINDS, RedisServer, free_port

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

pytestmark = pytest.mark.anyio

SECRET = "do-not-show-this"


def store_of(server: RedisServer, **options: Any) -> RedisCacheStore:
    return RedisCacheStore("127.0.0.1", server.port, **({"timeout": 20} | options))


# ---------------------------------------------------------------------- a server that is not there


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_killed_and_comes_back(kind: str, caplog: Any) -> None:
    """A miss while it is gone, with one warning; then it is used again."""
    caplog.set_level(logging.INFO)
    hands = Hands()
    with RedisServer(kind) as server:
        async with store_of(server, now=hands) as store, store_of(server, strict=True) as strict:
            await store.set("a", b"1")
            async with anyio.create_task_group() as tasks:
                for _ in range(20):  # so that many connections are open
                    tasks.start_soon(store.get, "a")
            server.kill()

            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(missed, store)
            assert await store.lock("a", "me", ttl=5)
            with pytest.raises(CacheStoreError, match="ConnectionError"):
                await strict.get("a")
            with pytest.raises(CacheStoreError):  # whoever deletes must know
                await store.delete("a")
            with pytest.raises(CacheStoreError):
                await store.clear()

            server.start()
            hands.time += 21  # it is left alone for a while
            await store.set("a", b"2")
            assert await store.get("a") == b"2"

    told = [(record.levelno, record.message) for record in caplog.records]
    assert [level for level, _ in told] == [logging.WARNING, logging.INFO]
    assert "cannot be reached, so that calls are not cached" in told[0][1]


async def missed(store: RedisCacheStore) -> None:
    assert await store.get("a") is None
    await store.set("a", b"never")


class Hands:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


async def test_a_server_that_hangs_costs_no_more_than_the_time_limit(caplog: Any) -> None:
    with RedisServer("redis") as server:
        hands = Hands()
        async with store_of(server, timeout=0.2, now=hands) as store:
            await store.set("a", b"1")
            server.halt()
            begin = time.monotonic()

            assert await store.get("a") is None
            for _ in range(1000):  # from now on it is not even asked
                assert await store.get("a") is None
            took = time.monotonic() - begin

        assert took < 10  # not 1000 times the limit
        assert len(caplog.records) == 1


async def test_an_address_where_nobody_listens_is_a_miss() -> None:
    async with RedisCacheStore("127.0.0.1", free_port()) as store:
        assert await store.get("a") is None
        await store.set("a", b"1")


async def test_a_server_that_speaks_something_else_is_a_wrong_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        serving = threading.Thread(target=answer)
        serving.start()
        async with RedisCacheStore("127.0.0.1", listening.getsockname()[1], timeout=20) as store:
            with pytest.raises(CacheStoreError, match="Protocol Error"):
                await store.get("a")
        serving.join()


# ---------------------------------------------------------------------- wrong use


@pytest.mark.parametrize("password", [None, "wrong-" + SECRET])
async def test_a_wrong_password_is_an_error_that_does_not_show_it(password: str | None) -> None:
    with RedisServer("redis", "--requirepass", SECRET) as server:
        async with store_of(server, password=password) as store:
            with pytest.raises(CacheStoreError, match="Authentication") as caught:
                await store.get("a")
            assert SECRET not in f"{caught.value}{store!r}"
        async with store_of(server, password=SECRET) as store:
            await store.set("a", b"1")
            assert await store.get("a") == b"1"
            assert SECRET not in repr(store)
        async with RedisCacheStore(url=f"redis://:{SECRET}@127.0.0.1:{server.port}/2", timeout=20) as store:
            await store.set("a", b"1")
            assert await store.get("a") == b"1"
            assert repr(store) == f"RedisCacheStore(127.0.0.1:{server.port}/2, prefix='modelwire:')"


@pytest.mark.parametrize("url", [f"http://{SECRET}", f"redis://:{SECRET}@host:{SECRET}/0"])
def test_an_address_that_is_none_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(CacheStoreError, match="no Redis URL") as caught:
        RedisCacheStore(url=url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_command_that_is_refused_is_an_error(redis_server: RedisServer) -> None:
    async with store_of(redis_server) as store:
        with pytest.raises(CacheStoreError, match="ResponseError"):
            await store._do("GET")


@pytest.mark.parametrize("options", [{"timeout": 0}, {"max_connections": 0}])
def test_limits_that_leave_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        RedisCacheStore(**options)


def test_without_the_library_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from modelwire import RedisCacheStore, CacheStoreError\n"
        "try: RedisCacheStore()\n"
        "except CacheStoreError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pip install 'modelwire[redis]'" in told


async def test_a_full_server_makes_calls_uncached_with_one_warning(caplog: Any) -> None:
    with RedisServer("redis", "--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as server:
        async with store_of(server) as store, store_of(server, strict=True) as strict:
            for number in range(5):
                await store.set(f"{number}", b"x" * 1_000_000)
            assert await store.get("4") is None
            with pytest.raises(CacheStoreError, match="OutOfMemory"):
                await strict.set("a", b"x" * 1_000_000)
    assert ["is full" in record.message for record in caplog.records] == [True]


# ---------------------------------------------------------------------- what it leaves to others


async def test_clearing_leaves_what_has_another_prefix(redis_server: RedisServer) -> None:
    async with (
        store_of(redis_server, prefix="a*[b]?:") as store,
        store_of(redis_server, prefix="aX[b]Y:") as other,
    ):
        for number in range(1200):
            await store.set(f"{number}", b"1")
        await other.set("0", b"2")

        await store.clear()

        assert [await store.get("0"), await store.get("1199"), await other.get("0")] == [None, None, b"2"]


@pytest.mark.parametrize("library", [redis, redis.asyncio], ids=["sync", "async"])
async def test_a_ready_client_is_used_and_left_open(
    redis_server: RedisServer, library: Any, anyio_backend: str
) -> None:
    client = library.Redis(port=redis_server.port)
    store = RedisCacheStore(client=client)
    if library is redis.asyncio and anyio_backend == "trio":
        with pytest.raises(CacheStoreError, match="on trio pass a sync one"):
            await store.get("a")
        return
    await store.set("a", b"1", ttl=100)
    assert await store.get("a") == b"1"
    assert await store.lock("k", "me", ttl=1)
    await store.unlock("k", "me")
    await store.clear()
    await store.aclose()

    if library is redis.asyncio:
        assert await client.ping()
        await client.aclose()
    else:
        assert client.ping()
        client.close()


def test_a_client_that_decodes_what_it_gets_is_refused(redis_server: RedisServer) -> None:
    for library in (redis, redis.asyncio):
        with pytest.raises(CacheStoreError, match="decode_responses=False"):
            RedisCacheStore(client=library.Redis(port=redis_server.port, decode_responses=True))


async def test_a_cluster_is_used_through_its_client() -> None:
    # The bus has a port of its own, by default 10000 above the other, where there may be none.
    with RedisServer("redis", "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        one = redis.Redis(port=server.port)
        one.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        with anyio.fail_after(60):
            while one.cluster("info")["cluster_state"] != "ok":  # noqa: ASYNC110  # it tells nobody when
                await anyio.sleep(0.05)
        one.close()
        client = redis.RedisCluster(host="127.0.0.1", port=server.port)
        store = RedisCacheStore(client=client, timeout=20)

        for number in range(50):
            await store.set(f"{number}", b"%d" % number)

        assert [await store.get(f"{number}") for number in range(50)] == [b"%d" % number for number in range(50)]
        assert await store.lock("k", "me", ttl=100)
        assert not await store.lock("k", "other", ttl=100)
        await store.clear()
        assert await store.get("7") is None
        client.close()


async def test_tls_checks_the_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    issued = authority.issue_cert("127.0.0.1")
    files = {name: tmp_path / name for name in ("cert", "key", "ca")}
    issued.cert_chain_pems[0].write_to_path(files["cert"])
    issued.private_key_pem.write_to_path(files["key"])
    authority.cert_pem.write_to_path(files["ca"])
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "no"]
    options += ["--tls-cert-file", str(files["cert"]), "--tls-key-file", str(files["key"])]
    with RedisServer("redis", *options):
        async with RedisCacheStore("127.0.0.1", port, tls=True, strict=True, timeout=20) as store:
            with pytest.raises(CacheStoreError, match=r"(?i)certificate"):
                await store.get("a")
        url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={files['ca']}"
        async with RedisCacheStore(url=url, strict=True, timeout=20) as store:
            await store.set("a", b"1")
            assert await store.get("a") == b"1"


# ---------------------------------------------------------------------- many at once


async def test_two_hundred_stores_use_one_server(redis_server: RedisServer) -> None:
    """Each has connections of its own, as the processes of a fleet have."""
    async with anyio.create_task_group() as tasks:

        async def use(number: int) -> None:
            async with store_of(redis_server, strict=True) as store:
                for turn in range(3):
                    await store.set(f"own {number}", b"%d %d" % (number, turn))
                    assert await store.get(f"own {number}") == b"%d %d" % (number, turn)

        for number in range(200):
            tasks.start_soon(use, number)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_killed_again_and_again_gives_no_wrong_value(kind: str) -> None:
    with RedisServer(kind) as server:
        stores = [store_of(server, timeout=0.3) for _ in range(8)]
        hits = 0
        over = False

        async def use(store: RedisCacheStore, number: int) -> None:
            nonlocal hits
            turn = 0
            while not over:
                key = f"{number} {turn % 5}"
                await store.set(key, key.encode() * 500)
                found = await store.get(key)
                assert found in (None, key.encode() * 500)
                hits += found is not None
                turn += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(use, stores[number % 8], number)
            for _ in range(20):
                before = hits
                while hits < before + 500:  # noqa: ASYNC110  # 200 tasks count
                    await anyio.sleep(0.05)
                server.kill()
                await anyio.sleep(0.1)
                server.start()
            over = True
        for store in stores:
            await store.aclose()
