"""The transport gives every connection back, however a call ends, on asyncio and trio."""

from __future__ import annotations

import gc
import random
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire.errors import ConnectionFailedError, ModelTimeoutError
from modelwire.protocols import HttpRequest, Timeouts
from tests.server import HOLD, Answer, Received, ScriptedServer
from tests.transports import ALL, KINDS, QUICK, close, failure_of, in_use, make, post

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trustme

    from tests.transports import Made

pytestmark = pytest.mark.anyio


def leaving(request: Received) -> Answer:
    """What the server does in the loops below, by the path of the request."""
    match request.path.partition("?")[0]:
        case "/silent":
            return Answer(before=[HOLD])
        case "/error":
            return Answer(500, body=b"x" * 100_000)
        case "/ok":
            return Answer(body=b"ok")
        case _:
            return Answer(body=[b"one", b"two", HOLD])


async def early_break(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server), QUICK)
    async for _ in stream:
        break
    await stream.aclose()


async def unread(transport: Made, server: ScriptedServer) -> None:
    await (await transport.stream(post(server), QUICK)).aclose()


async def consumer_fails(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server), QUICK)
    with pytest.raises(KeyError):  # noqa: PT012
        try:
            async for _ in stream:
                raise KeyError
        finally:
            await stream.aclose()


async def error_status(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server, "/error"), QUICK)
    assert stream.status == 500
    await stream.aclose()
    stream = await transport.stream(post(server, "/error"), QUICK)
    assert len(await stream.read()) == 100_000


async def cancelled(transport: Made, server: ScriptedServer) -> None:
    with anyio.CancelScope() as scope:
        stream = await transport.stream(post(server), QUICK)
        async for _ in stream:
            scope.cancel()


async def cancelled_at_headers(transport: Made, server: ScriptedServer) -> None:
    with anyio.move_on_after(0.003):
        await transport.stream(post(server, "/silent"), QUICK)


async def cancelled_twice(transport: Made, server: ScriptedServer) -> None:
    """The second time while the first cancellation closes; asyncio's own `cancel` passes through shielded scopes."""

    async def read() -> None:
        await (await transport.stream(post(server), QUICK)).read()

    if asyncio := _running_asyncio():
        task = asyncio.ensure_future(read())
        for delay in (0.004, 0, 0, 0):
            await asyncio.sleep(delay)
            task.cancel()
        await asyncio.wait([task])
        return
    with anyio.CancelScope() as outer, anyio.move_on_after(0.004):
        try:
            await read()
        finally:
            outer.cancel()


async def closed_elsewhere(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server), QUICK)
    seen = b""
    while seen != b"onetwo":
        seen += await anext(stream)

    async def read() -> None:
        error = await failure_of(anext(stream))
        assert isinstance(error, ConnectionFailedError)
        assert "closed while another task read it" in str(error)
        assert not error.retryable

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(2):
            await stream.aclose()
        assert in_use(transport) == 0


async def no_first_byte(transport: Made, server: ScriptedServer) -> None:
    error = await failure_of(transport.send(post(server, "/silent"), Timeouts(first_byte=0.004)))
    assert isinstance(error, ModelTimeoutError)


async def no_next_byte(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server), Timeouts(read=0.004))
    error = await failure_of(stream.read())
    assert isinstance(error, ModelTimeoutError)
    await stream.aclose()


async def abandoned(transport: Made, server: ScriptedServer) -> None:
    stream = await transport.stream(post(server), QUICK)
    await anext(stream)
    stream.abandon()


async def dropped(transport: Made, server: ScriptedServer) -> None:
    await anext(await transport.stream(post(server), QUICK))


WAYS = [
    early_break,
    unread,
    consumer_fails,
    error_status,
    cancelled,
    cancelled_at_headers,
    cancelled_twice,
    closed_elsewhere,
    no_first_byte,
    no_next_byte,
    abandoned,
    dropped,
]


def _running_asyncio() -> Any:
    import asyncio

    try:
        return asyncio if asyncio.current_task() else None
    except RuntimeError:
        return None


@pytest.mark.parametrize("kind", ["httpx", "fast", "passed fast", "passed httpx2"])
@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_every_way_out_gives_the_connection_back(leave: Callable[..., Awaitable[None]], kind: str):
    with ScriptedServer(leaving) as server:
        transport = make(kind)
        for _ in range(50 if kind in KINDS else 20):
            await leave(transport, server)
        response = await transport.send(post(server, "/ok"), QUICK)
        assert (response.body, in_use(transport)) == (b"ok", 0)
        await close(transport)
        gc.collect()  # an async generator left behind would be reported now


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("native", [False, True], ids=["scope", "task"])
async def test_cancellation_at_any_moment_under_contention_loses_no_connection(
    kind: str, native: bool, anyio_backend: str
):
    """https://github.com/encode/httpcore/issues/1093: a pool of the library alone is dead after a few of these calls."""
    if native and anyio_backend == "trio":
        pytest.skip("only asyncio has another cancellation than that of scopes")
    chance = random.Random(7)

    async def call(server: ScriptedServer, transport: Made) -> None:
        await (await transport.stream(post(server), QUICK)).read()

    async def worker(server: ScriptedServer, transport: Made) -> None:
        for _ in range(25):
            delay = chance.random() * 0.006
            if native:
                task = (asyncio := sys.modules["asyncio"]).ensure_future(call(server, transport))
                for wait in (delay, chance.choice([0, 0.001])):
                    await asyncio.sleep(wait)
                    task.cancel()
                await asyncio.wait([task])
            else:
                with anyio.move_on_after(delay):
                    await call(server, transport)

    with ScriptedServer(lambda _: Answer(body=[b"a", 0.001, b"b"], keep_alive=chance.random() < 0.7)) as server:
        transport = make(kind)
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(worker, server, transport)
        assert in_use(transport) == 0
        assert (await transport.send(post(server), QUICK)).body == b"ab"
        await close(transport)
        gc.collect()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_every_way_out_of_tls(
    kind: str, leave: Callable[..., Awaitable[None]], tls_server: ScriptedServer, authority: trustme.CA
):
    tls_server.handler = leaving
    context = ssl.create_default_context()
    authority.configure_trust(context)
    transport = make(kind, verify=context)
    for _ in range(3):
        await leave(transport, tls_server)
    response = await transport.send(post(tls_server, "/ok"), QUICK)
    assert (response.body, in_use(transport)) == (b"ok", 0)
    await close(transport)
    gc.collect()


@pytest.mark.parametrize("kind", ["httpx", "fast", "passed fast", "passed httpx2"])
async def test_a_cancelled_handshake_leaves_no_socket(kind: str):
    """One that nobody closed would be reported when it is collected."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        transport = make(kind)
        request = HttpRequest(f"https://127.0.0.1:{deaf.getsockname()[1]}/", [], b"")
        for _ in range(5):
            with anyio.move_on_after(0.01):
                await transport.send(request, QUICK)
        assert in_use(transport) == 0
        await close(transport)
        gc.collect()


@pytest.mark.parametrize("kind", KINDS)
async def test_close_takes_dropped_streams_along(kind: str, server: ScriptedServer):
    server.add(Answer(body=[b"one", HOLD]))
    transport = make(kind)
    stream = await transport.stream(post(server), QUICK)
    await anext(stream)
    stream.abandon()
    del stream
    await close(transport)
    gc.collect()
    await anyio.to_thread.run_sync(server.wait_closed)


@pytest.mark.parametrize("kind", KINDS)
async def test_two_readers_of_one_stream_are_an_error(kind: str, server: ScriptedServer):
    server.add(Answer(body=[HOLD]))
    transport = make(kind)
    stream = await transport.stream(post(server), QUICK)

    async def read() -> None:
        await stream.read()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="Two tasks"):
            await anext(stream)
        server.release()
    await close(transport)
