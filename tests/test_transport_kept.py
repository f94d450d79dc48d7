"""Kept connections: when a request is sent again because the server had closed one, and when it is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

import pytest

from modelwire import ConnectionFailedError, ModelTimeoutError, OpenAIChatCompletionClient, Timeouts
from modelwire.protocols import HttpRequest
from tests.chat_answers import HELLO, completion
from tests.server import HOLD, Answer, ScriptedServer
from tests.transports import ALL, KINDS, QUICK, close, failure_of, in_use, make, post, read_request

pytestmark = pytest.mark.anyio

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Moody:
    """A server whose connections each say what they are told to one request after the other, and are closed then.

    `None` closes without a word: the client had a kept connection that looked alive, until it sent its request.
    """

    def __init__(self, *connections: list[bytes | None]) -> None:
        self._script = connections
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.requests: list[int] = []
        """The number of the connection that each came on."""
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            for number, answers in enumerate(self._script):
                connection, _ = self._listener.accept()
                connection.settimeout(5)
                with connection:
                    for said in answers:
                        read_request(connection)
                        self.requests.append(number)
                        connection.sendall(said or b"")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def request(self) -> HttpRequest:
        return HttpRequest(self.url, [(b"content-type", b"application/json")], b"{}")


@pytest.mark.parametrize("kind", ALL)
async def test_a_kept_connection_that_was_closed_is_replaced_at_once(kind: str):
    with Moody([WHOLE, None], [WHOLE]) as server:
        transport = make(kind)
        first = await transport.send(server.request(), QUICK)
        second = await transport.send(server.request(), QUICK)
        assert in_use(transport) == 0
        await close(transport)

    assert (first.body, second.body) == (b"ok", b"ok")
    assert server.requests == [0, 0, 1]
    assert first.earlier == ()
    if kind != "passed fast":  # httpx's interface has no place for it
        (lost,) = second.earlier
        assert (lost.status_code, lost.error, lost.started) == (0, "ConnectionFailedError", 0.0)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 200 OK\r\na: b", b"HTTP/1.1 103 Early\r\n\r\n"], ids=repr)
async def test_nothing_is_sent_again_once_a_byte_of_the_answer_came(kind: str, said: bytes):
    with Moody([WHOLE, said], [WHOLE]) as server:
        transport = make(kind)
        await transport.send(server.request(), QUICK)
        error = await failure_of(transport.send(server.request(), QUICK))
        await close(transport)

    assert (type(error), error.earlier, server.requests) == (ConnectionFailedError, (), [0, 0])
    assert "was closed before the answer was complete" in str(error)


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_is_sent_again_that_met_a_new_connection(kind: str):
    with Moody([None], [WHOLE]) as server:
        transport = make(kind)
        error = await failure_of(transport.send(server.request(), QUICK))
        await close(transport)

    assert (type(error), error.earlier, server.requests) == (ConnectionFailedError, (), [0])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_is_sent_again_once_and_the_error_says_so(kind: str):
    with Moody([WHOLE, None], [None], [WHOLE]) as server:
        transport = make(kind)
        await transport.send(server.request(), QUICK)
        error = await failure_of(transport.send(server.request(), QUICK))
        await close(transport)

    assert (type(error), len(error.earlier), server.requests) == (ConnectionFailedError, 1, [0, 0, 1])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_time_limit_is_no_reason_to_send_again(kind: str, server: ScriptedServer):
    server.add(Answer(), Answer(before=[HOLD]))
    transport = make(kind)
    await transport.send(post(server), QUICK)
    error = await failure_of(transport.send(post(server), Timeouts(first_byte=0.05)))
    await close(transport)

    assert (type(error), len(server.requests)) == (ModelTimeoutError, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
async def test_a_call_records_both_requests_and_uses_up_no_retry(
    kind: str, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    whole = completion()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: r2\r\ncontent-length: %d\r\n\r\n"
    told = head % len(whole) + whole
    with Moody([told, None], [told]) as server:
        settings = {"base_url": server.url, "transport": kind, "max_retries": 0}
        monkeypatch.delenv("MODELWIRE_TRANSPORT", raising=False)
        async with OpenAIChatCompletionClient(model="m", api_key="k", **settings) as client:
            await client.create(HELLO)
            if stream:
                result = [item async for item in client.create_stream(HELLO)][-1]
            else:
                result = await client.create(HELLO)

    lost, answered = result.attempts
    assert (lost.status_code, lost.error, answered.status_code, answered.error) == (
        0,
        "ConnectionFailedError",
        200,
        None,
    )
    assert answered.request_id == "r2"
    assert 0 <= lost.started <= lost.started + lost.duration <= answered.started + 0.001
    assert server.requests == [0, 0, 1]


async def test_what_a_server_says_to_nobody_is_not_the_next_answer():
    """Such as a `408` to a connection that was idle for too long, or an answer smuggled in behind another.

    Over httpx it would be, where it came in one piece with the answer before it: h11 keeps it for the next request.
    """
    late = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with Moody([WHOLE + late], [WHOLE]) as server:
        transport = make("fast")
        await transport.send(server.request(), QUICK)
        second = await transport.send(server.request(), QUICK)
        await close(transport)

    assert (second.status, server.requests) == (200, [0, 1])
