"""However a call ends, its connection is given back: on real sockets, again and again, with a pool of two."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import pytest

from modelwire import (
    CreateResult,
    ModelClientError,
    ModelTimeoutError,
    OpenAIChatCompletionClient,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    Timeouts,
)
from tests.chat_answers import EVENTS, HELLO, JSON, answer, completion, error_body, stream_answer, text_chunks
from tests.server import CUT, HOLD, Answer, Received, ScriptedServer
from tests.transports import KINDS, in_use

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

TIMES = 50


def scenes(request: Received) -> Answer:
    """What the server does, by the path that the client was given."""
    match request.path.split("/")[1]:
        case "silent":
            return Answer(before=[HOLD])
        case "hanging":
            return Answer(headers=EVENTS, body=[*text_chunks("Hi", " there"), HOLD])
        case "hanging-role":
            return Answer(headers=EVENTS, body=[*text_chunks(), HOLD])
        case "cut":
            return Answer(headers=EVENTS, body=[*text_chunks("Hi"), CUT])
        case "error-frame":
            return Answer(
                headers=EVENTS, body=[*text_chunks("Hi"), b"data: %b\n\n" % error_body("x", "server_error"), HOLD]
            )
        case "status":
            return Answer(429, JSON | {"retry-after": "60"}, error_body("x" * 50_000))
        case "json":
            return Answer(headers=JSON, body=completion())
        case "garbage":
            return Answer(headers=JSON, body=b"{]")
        case _:
            return stream_answer()


class Scene:
    """A client of one of the server's scenes; all share a transport and so a pool of connections."""

    def __init__(self, server: ScriptedServer, http_client: Any = None, kind: str = "httpx") -> None:
        self._server = server
        first = self._client(http_client=http_client, max_connections=None if http_client else 2, transport=kind)
        self.transport: Any = first.transport

    def _client(self, path: str = "ok", **options: Any) -> OpenAIChatCompletionClient:
        base_url = f"{self._server.url}/{path}"
        return OpenAIChatCompletionClient(**({"model": "m", "base_url": base_url, "max_retries": 0} | options))

    def __call__(self, path: str, **options: Any) -> OpenAIChatCompletionClient:
        return self._client(path, **(options | {"transport": self.transport}))

    async def close(self) -> None:
        await self.transport.aclose()


async def to_the_end(scene: Scene) -> None:
    assert [type(item) for item in [item async for item in scene("ok").create_stream(HELLO)]][-1] is CreateResult


async def return_at_result(scene: Scene) -> None:
    async for item in scene("ok").create_stream(HELLO):
        if isinstance(item, CreateResult):
            assert in_use(scene.transport) == 0
            return


async def whole_answer_to_a_stream(scene: Scene) -> None:
    async for item in scene("json").create_stream(HELLO):
        if isinstance(item, CreateResult):
            assert in_use(scene.transport) == 0


async def early_break(scene: Scene) -> None:
    async with scene("hanging").create_stream(HELLO) as stream:
        async for _ in stream:
            break


async def early_break_of_events(scene: Scene) -> None:
    async with scene("hanging").stream(HELLO) as events:
        async for _ in events:
            break


async def consumer_fails(scene: Scene) -> None:
    with pytest.raises(KeyError):  # noqa: PT012
        async with scene("hanging").create_stream(HELLO) as stream:
            async for _ in stream:
                raise KeyError


async def cancelled_in_the_middle(scene: Scene) -> None:
    with anyio.CancelScope() as scope:
        async for chunk in scene("hanging").create_stream(HELLO):
            if chunk == " there":
                scope.cancel()


async def cancelled_before_headers(scene: Scene) -> None:
    with anyio.move_on_after(0.004):
        _ = [item async for item in scene("silent").create_stream(HELLO)]


async def cancelled_before_content(scene: Scene) -> None:
    with anyio.move_on_after(0.006):
        _ = [item async for item in scene("hanging-role").stream(HELLO)]


async def cancelled_twice(scene: Scene) -> None:
    with anyio.CancelScope() as outer, anyio.move_on_after(0.004):
        try:
            _ = [item async for item in scene("hanging").create_stream(HELLO)]
        finally:
            outer.cancel()
            await anyio.lowlevel.checkpoint()


async def cancelled_twice_by_asyncio(scene: Scene) -> None:
    """`Task.cancel`, as web servers use it, passes through shielded scopes."""
    import sniffio

    if sniffio.current_async_library() != "asyncio":
        await cancelled_twice(scene)
        return
    import asyncio

    async def read() -> None:
        _ = [item async for item in scene("hanging").create_stream(HELLO)]

    task = asyncio.ensure_future(read())
    for delay in (0.005, 0, 0, 0):
        await asyncio.sleep(delay)
        task.cancel()
    await asyncio.wait([task])


async def cancelled_create(scene: Scene) -> None:
    with anyio.move_on_after(0.004):
        await scene("silent").create(HELLO)


async def closed_elsewhere(scene: Scene) -> None:
    stream = scene("hanging").create_stream(HELLO)
    await anext(stream)
    await anext(stream)

    async def read() -> None:
        with pytest.raises(StreamInterruptedError):
            await anext(stream)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()


async def closed_elsewhere_before_headers(scene: Scene) -> None:
    stream = scene("silent").stream(HELLO)

    async def read() -> None:
        with pytest.raises(StreamInterruptedError):
            await anext(stream)

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.sleep(0.003)
        await stream.aclose()


async def error_status(scene: Scene) -> None:
    with pytest.raises(RateLimitError):
        _ = [item async for item in scene("status").create_stream(HELLO)]
    with pytest.raises(RateLimitError):
        await scene("status").create(HELLO)


async def error_in_the_middle(scene: Scene) -> None:
    with pytest.raises(ServerError):
        _ = [item async for item in scene("error-frame").create_stream(HELLO)]


async def cut_in_the_middle(scene: Scene) -> None:
    with pytest.raises(StreamInterruptedError):
        _ = [item async for item in scene("cut").create_stream(HELLO)]


async def garbage(scene: Scene) -> None:
    for call in (scene("garbage").create(HELLO), anext(scene("garbage").stream(HELLO))):
        with pytest.raises(ModelClientError):
            await call


async def no_first_byte(scene: Scene) -> None:
    for call in ("create", "create_stream"):
        client = scene("silent", timeout=Timeouts(first_byte=0.004))
        with pytest.raises(ModelTimeoutError):
            _ = await client.create(HELLO) if call == "create" else [i async for i in client.create_stream(HELLO)]


async def no_next_byte(scene: Scene) -> None:
    with pytest.raises(ModelTimeoutError):
        _ = [item async for item in scene("hanging", timeout=Timeouts(read=0.01)).create_stream(HELLO)]


async def deadline_passes(scene: Scene) -> None:
    with pytest.raises(ModelTimeoutError):
        _ = [item async for item in scene("hanging").create_stream(HELLO, deadline=0.01)]


async def gate_refuses(scene: Scene) -> None:
    async def gate(attempt: int) -> None:
        raise KeyError(attempt)

    with pytest.raises(KeyError):
        await anext(scene("ok", gate=gate).create_stream(HELLO))


async def dropped(scene: Scene) -> None:
    stream = scene("hanging").create_stream(HELLO)
    await anext(stream)
    with pytest.warns(ResourceWarning, match="dropped before its end"):  # noqa: PT031  # `del` may leave it in a cycle
        del stream
        gc.collect(0)


async def never_started(scene: Scene) -> None:
    scene("hanging").create_stream(HELLO)
    async with scene("hanging").stream(HELLO):
        pass


WAYS = [
    to_the_end,
    return_at_result,
    whole_answer_to_a_stream,
    early_break,
    early_break_of_events,
    consumer_fails,
    cancelled_in_the_middle,
    cancelled_before_headers,
    cancelled_before_content,
    cancelled_twice,
    cancelled_twice_by_asyncio,
    cancelled_create,
    closed_elsewhere,
    closed_elsewhere_before_headers,
    error_status,
    error_in_the_middle,
    cut_in_the_middle,
    garbage,
    no_first_byte,
    no_next_byte,
    deadline_passes,
    gate_refuses,
    dropped,
    never_started,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_every_way_out_gives_the_connection_back(kind: str, leave: Callable[[Scene], Awaitable[None]]) -> None:
    with ScriptedServer(scenes) as server:
        scene = Scene(server, kind=kind)
        for _ in range(TIMES):
            await leave(scene)
        with anyio.fail_after(5):
            await to_the_end(scene)  # takes back what was dropped, and works
        assert in_use(scene.transport) == 0
        await scene.close()
        gc.collect()  # an async generator left behind would be reported now


@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_every_way_out_of_a_passed_client_of_httpx2(leave: Callable[[Scene], Awaitable[None]]) -> None:
    with ScriptedServer(scenes) as server:
        async with httpx2.AsyncClient(limits=httpx2.Limits(max_connections=2)) as http_client:
            scene = Scene(server, http_client)
            for _ in range(10):
                await leave(scene)
            with anyio.fail_after(5):
                await to_the_end(scene)
            assert in_use(scene.transport) == 0
            await scene.close()
        gc.collect()


@pytest.mark.parametrize("kind", KINDS)
async def test_many_streams_at_once_through_two_connections(kind: str) -> None:
    with ScriptedServer(scenes) as server:
        scene = Scene(server, kind=kind)
        async with anyio.create_task_group() as group:
            for _ in range(10):
                for leave in (to_the_end, early_break, cancelled_in_the_middle, error_status, cut_in_the_middle):
                    group.start_soon(leave, scene)
        assert in_use(scene.transport) == 0
        await to_the_end(scene)
        await scene.close()
        gc.collect()


# ---------------------------------------------------------------------- keep-alive


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [to_the_end, return_at_result, whole_answer_to_a_stream, error_status])
async def test_a_connection_whose_answer_was_read_is_used_again(
    kind: str, way: Callable[[Scene], Awaitable[None]]
) -> None:
    with ScriptedServer(scenes) as server:
        scene = Scene(server, kind=kind)
        for _ in range(5):
            await way(scene)
        await scene.close()

    assert server.connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_of_a_body_may_come_a_little_after_its_last_frame(kind: str) -> None:
    late = stream_answer()
    with ScriptedServer(lambda _: Answer(headers=EVENTS, body=[*late.body, 0.02])) as server:
        scene = Scene(server, kind=kind)
        for _ in range(3):
            await to_the_end(scene)
        await scene.close()

    assert server.connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_that_never_ends_costs_a_tenth_of_a_second_and_its_connection(kind: str) -> None:
    with ScriptedServer(lambda _: Answer(headers=EVENTS, body=[*stream_answer().body, HOLD])) as server:
        scene = Scene(server, kind=kind)
        with anyio.fail_after(2):
            for _ in range(3):
                await return_at_result(scene)
        await scene.close()

    assert server.connections == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_an_idle_connection_that_the_server_closed_is_replaced(kind: str) -> None:
    with ScriptedServer() as server:
        server.add(answer(keep_alive=False), answer(), answer())
        async with OpenAIChatCompletionClient(model="m", base_url=server.url, transport=kind, max_retries=0) as client:
            for _ in range(3):
                assert (await client.create(HELLO)).content == "Hi there"

    assert server.requests_per_connection == [1, 2]


# ---------------------------------------------------------------------- closing


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
async def test_a_passed_http_client_works_with_its_settings_and_stays_open(
    library: Any, server: ScriptedServer
) -> None:
    server.add(answer("one"), stream_answer("two"), answer("three"))
    http_client = library.AsyncClient(
        limits=library.Limits(max_connections=2),
        timeout=library.Timeout(7.0),
        transport=library.AsyncHTTPTransport(retries=3),
        headers={"x-mine": "yes"},
    )

    async with OpenAIChatCompletionClient(model="m", base_url=server.url, http_client=http_client) as client:
        assert (await client.create(HELLO)).content == "one"
        assert [item async for item in client.create_stream(HELLO)][-1].content == "two"
    await client.close()

    assert not http_client.is_closed
    again = OpenAIChatCompletionClient(model="m", base_url=server.url, http_client=http_client)
    assert (await again.create(HELLO)).content == "three"
    assert {request.headers["x-mine"] for request in server.requests} == {"yes"}
    await http_client.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_of_its_own_is_closed_with_the_block_and_again(kind: str, server: ScriptedServer) -> None:
    server.add(answer())
    async with OpenAIChatCompletionClient(model="m", base_url=server.url, transport=kind) as client:
        await client.create(HELLO)
    await client.close()
    await client.close()

    await anyio.to_thread.run_sync(server.wait_closed)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_after_close_says_that_the_client_is_closed(kind: str, server: ScriptedServer) -> None:
    client = OpenAIChatCompletionClient(model="m", base_url=server.url, transport=kind)
    await client.close()

    with pytest.raises(RuntimeError, match="closed"):
        await client.create(HELLO)
    with pytest.raises(RuntimeError, match="closed"):
        await anext(client.stream(HELLO))


async def test_a_client_that_was_never_used_closes_without_having_connected(server: ScriptedServer) -> None:
    async with OpenAIChatCompletionClient(model="m", base_url=server.url):
        pass

    assert server.connections == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_close_while_a_stream_is_open_ends_the_stream(kind: str, server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), HOLD]))
    client = OpenAIChatCompletionClient(model="m", base_url=server.url, transport=kind)
    stream = client.create_stream(HELLO)
    await anext(stream)

    await client.close()

    with anyio.fail_after(2), pytest.raises(ModelClientError):
        await anext(stream)
    await stream.aclose()
    await anyio.to_thread.run_sync(server.wait_closed)
