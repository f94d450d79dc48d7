"""Time limits of one request, and the deadline of a whole call."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Self

import anyio
import pytest

from modelwire import (
    ConnectionFailedError,
    ModelClientError,
    ModelTimeoutError,
    OpenAIChatCompletionClient,
    RateLimitError,
    ServerError,
    Start,
    TextDelta,
    Timeouts,
)
from tests.chat_answers import EVENTS, HELLO, ROLE, answer, refused, stream_answer, streamed, text_chunks, told
from tests.fakes import Reply, client_of, scripted
from tests.server import HOLD, Answer
from tests.transports import in_use

if TYPE_CHECKING:
    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio


def client_at(server: ScriptedServer, **options: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(**({"model": "m", "base_url": f"{server.url}/v1", "max_retries": 0} | options))


async def failure(client: Any, verb: str = "create", **options: Any) -> ModelClientError:
    with pytest.raises(ModelClientError) as caught:
        await ask(client, verb, **options)
    return caught.value


async def ask(client: Any, verb: str, **options: Any) -> Any:
    if verb == "create":
        return await client.create(HELLO, **options)
    return [item async for item in getattr(client, verb)(HELLO, **options)][-1]


@pytest.fixture(params=["create", "create_stream"])
def verb(request: pytest.FixtureRequest) -> str:
    return request.param


class Watch:
    """Real time that passed inside a block."""

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


# ---------------------------------------------------------------------- one request, on real sockets


async def test_a_server_that_does_not_begin_to_answer(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(before=[HOLD]))
    async with client_at(server, timeout=0.25) as client:
        with Watch() as watch:
            error = await failure(client, verb)

        assert isinstance(error, ModelTimeoutError)
        assert "first_byte" in str(error)
        assert error.retryable
        assert (error.status_code, error.attempts[0].status_code) == (0, 0)
        assert 0.25 <= watch.seconds < 2
        assert in_use(client.transport) == 0


async def test_a_server_that_stops_in_the_middle(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), HOLD]))
    async with client_at(server, timeout=Timeouts(read=0.1)) as client:
        stream = client.create_stream(HELLO)
        assert await anext(stream) == "Hi"
        with pytest.raises(ModelTimeoutError, match="read") as caught:
            await anext(stream)

        assert caught.value.attempts[0].status_code == 200
        assert in_use(client.transport) == 0


async def test_an_answer_without_stream_that_stops_in_the_middle(server: ScriptedServer) -> None:
    server.add(Answer(body=[b'{"choices": [', HOLD]))
    async with client_at(server, timeout=Timeouts(read=0.1)) as client:
        error = await failure(client)

        assert isinstance(error, ModelTimeoutError)
        assert in_use(client.transport) == 0


async def test_pauses_below_the_limit_add_up_without_harm(server: ScriptedServer) -> None:
    pieces = [step for piece in stream_answer("a", "b", "c", "d").body for step in (0.1, piece)]
    server.add(Answer(headers=EVENTS, body=pieces))
    async with client_at(server, timeout=Timeouts(first_byte=2, read=0.5)) as client:
        assert [item async for item in client.create_stream(HELLO)][-1].content == "abcd"


async def test_a_host_that_does_not_accept(verb: str) -> None:
    """A listener whose queue is full answers no handshake."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            client = OpenAIChatCompletionClient(
                model="m", base_url=f"http://127.0.0.1:{port}", timeout=Timeouts(connect=0.1), max_retries=0
            )
            with Watch() as watch:
                error = await failure(client, verb)
            await client.close()
        finally:
            for filler in fillers:
                filler.close()

    assert isinstance(error, ModelTimeoutError)
    assert "connect" in str(error)
    assert 0.1 <= watch.seconds < 2


async def test_a_port_where_nobody_listens(verb: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with OpenAIChatCompletionClient(model="m", base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
        error = await failure(client, verb)

    assert isinstance(error, ConnectionFailedError)
    assert (error.status_code, error.retryable) == (0, True)
    assert f"127.0.0.1:{port}" in str(error)


@pytest.mark.parametrize(
    ("given", "limits"),
    [
        (None, Timeouts(5.0, 600.0, 600.0, 60.0)),
        (30, Timeouts(5.0, 30.0, 30.0, 60.0)),
        (0.5, Timeouts(0.5, 0.5, 0.5, 60.0)),
        (Timeouts(connect=1.0, first_byte=None, read=3.0), Timeouts(1.0, None, 3.0, 60.0)),
    ],
    ids=str,
)
async def test_a_number_bounds_the_first_byte_and_the_pauses(given: Any, limits: Timeouts, verb: str) -> None:
    transport = scripted(told())

    async with client_of(transport, timeout=given) as client:
        await ask(client, verb)

    assert transport.timeouts == [limits]


@pytest.mark.parametrize("given", [0, -1, float("nan"), "5", (5, 60)], ids=repr)
async def test_a_timeout_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="timeout is seconds above 0"):
        client_of(scripted(told()), timeout=given)


# ---------------------------------------------------------------------- the deadline of a call


async def test_the_deadline_bounds_a_call_whose_server_is_silent(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(before=[HOLD]))
    async with client_at(server, max_retries=5) as client:
        with Watch() as watch:
            error = await failure(client, verb, deadline=0.15)

        assert isinstance(error, ModelTimeoutError)
        assert "the deadline of 0.15 s passed during its first attempt" in str(error)
        assert not error.retryable
        assert 0.15 <= watch.seconds < 2
        assert in_use(client.transport) == 0
        assert [(one.status_code, one.error) for one in error.attempts] == [(0, "ModelTimeoutError")]


async def test_the_deadline_bounds_all_attempts_together(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(500, headers={"retry-after-ms": "20"}), Answer(500, headers={"retry-after-ms": "20"}))
    server.add(Answer(before=[HOLD]))
    async with client_at(server, max_retries=5, deadline=0.5) as client:
        with Watch() as watch:
            error = await failure(client, verb)

        assert isinstance(error, ModelTimeoutError)
        assert "after 2 failed attempts" in str(error)
        assert [one.status_code for one in error.attempts] == [500, 500, 0]
        assert 0.5 <= watch.seconds < 2
        assert in_use(client.transport) == 0


async def test_a_wait_that_does_not_fit_raises_the_real_error_at_once(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(429, headers={"retry-after": "30"}))
    async with client_at(server, max_retries=5, deadline=20) as client:
        with Watch() as watch:
            error = await failure(client, verb)

    assert isinstance(error, RateLimitError)
    assert error.retry_after == 30.0
    assert watch.seconds < 2
    assert len(server.requests) == 1


async def test_waits_draw_from_the_deadline_in_virtual_time(verb: str) -> None:
    transport = scripted(refused(429, retry_after="4"))

    error = await failure(client_of(transport, max_retries=9, deadline=10), verb)

    assert isinstance(error, RateLimitError)
    assert transport.clock.sleeps == [4.0, 4.0]
    assert len(error.attempts) == 3


async def test_a_deadline_of_the_call_goes_over_that_of_the_client(verb: str) -> None:
    transport = scripted(refused(429, retry_after="4"), told())
    client = client_of(transport, deadline=1)

    await failure(client, verb)
    transport.script.appendleft(refused(429, retry_after="4"))
    await ask(client, verb, deadline=5)

    assert transport.clock.sleeps == [4.0]


async def test_none_switches_the_deadline_of_the_client_off() -> None:
    transport = scripted(refused(429, retry_after="4"), told())

    await client_of(transport, deadline=1).create(HELLO, deadline=None)

    assert transport.clock.sleeps == [4.0]


async def test_a_deadline_is_part_of_no_body() -> None:
    transport = scripted(told())

    await client_of(transport, deadline=5).create(HELLO, deadline=6)

    assert b"deadline" not in transport.requests[0].body


@pytest.mark.parametrize("deadline", [0, -1, "soon", float("nan")], ids=repr)
async def test_a_deadline_that_is_none_is_refused(deadline: Any) -> None:
    with pytest.raises(ModelClientError, match="deadline="):
        client_of(scripted(told()), deadline=deadline)
    with pytest.raises(ModelClientError, match="deadline="):
        await client_of(scripted(told())).create(HELLO, deadline=deadline)


async def test_waits_draw_from_the_deadline_of_a_scope_around_the_call(verb: str) -> None:
    """A wrapper opens the scope, and the client inside it does not start what cannot end in time."""
    transport = scripted(refused(429, retry_after="4"))
    client = client_of(transport)

    with anyio.fail_after(3):
        error = await failure(client, verb)
    assert isinstance(error, RateLimitError)
    assert transport.clock.sleeps == []

    with anyio.fail_after(30):
        await failure(client, verb)
    assert transport.clock.sleeps == [4.0, 4.0]


async def test_a_scope_around_the_call_raises_its_own_error(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(before=[HOLD]))
    async with client_at(server, deadline=30) as client:
        with pytest.raises(TimeoutError), anyio.fail_after(0.1):
            await failure(client, verb)

        assert in_use(client.transport) == 0


async def test_the_deadline_covers_the_gate_and_the_token() -> None:
    async def gate(attempt: int) -> None:
        await anyio.sleep(60)

    transport = scripted(told())

    error = await failure(client_of(transport, gate=gate, deadline=0.05))

    assert isinstance(error, ModelTimeoutError)
    assert (error.attempts, transport.requests) == ((), [])


# ---------------------------------------------------------------------- the deadline of a stream


async def test_the_deadline_of_a_stream_ends_the_waiting_for_an_event(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[*text_chunks("Hi"), HOLD]))
    async with client_at(server) as client:
        stream = client.create_stream(HELLO, deadline=0.4)
        assert await anext(stream) == "Hi"
        with Watch() as watch, pytest.raises(ModelTimeoutError, match="deadline") as caught:
            await anext(stream)

        assert watch.seconds < 2
        assert [(one.status_code, one.error) for one in caught.value.attempts] == [(200, "ModelTimeoutError")]
        assert in_use(client.transport) == 0


async def test_the_deadline_of_a_stream_does_not_interrupt_the_work_on_an_event(server: ScriptedServer) -> None:
    server.add(Answer(headers=EVENTS, body=[b"".join(text_chunks("Hi", " there")), HOLD]))
    async with client_at(server) as client:
        stream = client.create_stream(HELLO, deadline=0.4)
        assert await anext(stream) == "Hi"
        await anyio.sleep(0.45)  # not cancelled
        assert await anext(stream) == " there"  # was there already: nothing to wait for
        with pytest.raises(ModelTimeoutError):
            await anext(stream)


async def test_the_deadline_of_a_stream_counts_from_the_first_event_asked_for() -> None:
    transport = scripted(streamed())
    stream = client_of(transport, deadline=5).create_stream(HELLO)
    transport.clock.time += 60

    items = [item async for item in stream]

    assert items[-1].content == "Hi there"
    assert items[-1].timing.total == 0.0


async def test_the_deadline_of_a_stream_is_one_for_all_its_events() -> None:
    transport = scripted(Reply(headers=EVENTS, body=text_chunks("Hi"), hold_body=True))
    stream = client_of(transport, deadline=60).create_stream(HELLO)
    assert await anext(stream) == "Hi"
    transport.clock.time += 59.95

    with anyio.fail_after(5), pytest.raises(ModelTimeoutError, match="deadline of 60"):
        await anext(stream)


async def test_no_scope_is_held_while_the_reader_has_an_event(server: ScriptedServer) -> None:
    """Scopes that stay open between events must be left in order; streams are not."""
    for _ in range(2):
        server.add(Answer(headers=EVENTS, body=[b"".join(text_chunks("a")), 0.01, *stream_answer("b").body]))
    async with client_at(server) as client:
        outer, inner = (client.stream(HELLO, deadline=30) for _ in range(2))
        before = anyio.current_effective_deadline()
        seen = [await anext(outer), await anext(inner), await anext(outer)]
        assert anyio.current_effective_deadline() == before
        await outer.aclose()
        rest = [event async for event in inner]

    assert [type(event) for event in seen] == [Start, Start, TextDelta]
    assert "".join(event.text for event in rest if isinstance(event, TextDelta)) == "ab"


async def test_a_stream_may_move_from_task_to_task(server: ScriptedServer) -> None:
    server.add(stream_answer("a", "b", "c"))
    seen: list[Any] = []
    async with client_at(server) as client:
        stream = client.create_stream(HELLO, deadline=30)

        async def take() -> None:
            seen.append(await anext(stream))

        for _ in range(4):
            async with anyio.create_task_group() as group:
                group.start_soon(take)
        await stream.aclose()

    assert [*seen[:3], seen[3].content] == ["a", "b", "c", "abc"]


async def test_a_first_attempt_that_used_half_the_deadline_leaves_the_other_half() -> None:
    transport = scripted(Reply(500, seconds=6.0), ServerError("failed"))

    error = await failure(client_of(transport, deadline=10, max_retries=1))

    assert len(error.attempts) == 2
    assert error.attempts[1].started == pytest.approx(6.25)


async def test_a_call_after_a_deadline_works(server: ScriptedServer, verb: str) -> None:
    server.add(Answer(before=[HOLD]), answer())
    async with client_at(server, max_connections=1) as client:
        await failure(client, verb, deadline=0.05)

        assert (await client.create(HELLO)).content == "Hi there"


async def test_events_that_were_held_back_are_not_lost_when_the_time_runs_out() -> None:
    """The role comes, then nothing: no content, so that there is nothing to give but the error."""
    transport = scripted(Reply(headers=EVENTS, body=[ROLE], hold_body=True))

    error = await failure(client_of(transport), "create_stream", deadline=0.05)

    assert isinstance(error, ModelTimeoutError)
    assert (error.attempts[0].status_code, transport.open) == (200, 0)
