"""The transport over real sockets: what it sends and reads, how it fails, and that it gives every connection back."""

from __future__ import annotations

import gzip
import socket
import ssl
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from modelwire._transport import HttpxTransport, shared_tls
from modelwire.errors import BadRequestError, ConnectionFailedError, ModelTimeoutError, ProtocolError
from modelwire.protocols import HttpRequest, Timeouts
from tests.server import CUT, HOLD, RESET, Answer, ScriptedServer
from tests.transports import ALL, KINDS, QUICK, SECRET, close, failure_of, in_use, make, passed, pieces, post

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

pytestmark = pytest.mark.anyio


# Requests and answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_send_writes_the_request_as_given_and_reads_the_answer(kind: str, server: ScriptedServer):
    server.add(Answer(201, headers=[("X-Request-Id", "a"), ("x-request-id", "b")], body=b'{"ok":1}'))
    transport = make(kind)
    response = await transport.send(post(server, body=b'{"model":"m"}'), QUICK)
    await close(transport)

    assert (response.status, response.body, response.headers[b"x-request-id"]) == (201, b'{"ok":1}', b"b")
    (received,) = server.requests
    assert received.method == "POST"
    assert received.path == f"/v1/chat?key={SECRET.decode()}"
    assert received.body == b'{"model":"m"}'
    assert f"127.0.0.1:{server.port}" == received.headers["host"]
    assert received.headers["content-length"] == "13"
    assert received.headers["user-agent"].startswith("modelwire python-httpx/" if kind == "httpx" else "modelwire")
    assert (received.headers["accept"], received.headers["authorization"]) == ("*/*", f"Bearer {SECRET.decode()}")
    assert received.headers["accept-encoding"].startswith("gzip, deflate")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_get_has_no_length(kind: str, server: ScriptedServer):
    server.add(Answer())
    transport = make(kind)
    await transport.send(HttpRequest(server.url, [], b"", "GET"), QUICK)
    await close(transport)

    assert "content-length" not in server.requests[0].headers


@pytest.mark.parametrize("kind", KINDS)
async def test_informational_answers_are_skipped(kind: str, server: ScriptedServer):
    server.add(Answer(early=(103,), body=b"real"))
    transport = make(kind)
    response = await transport.send(post(server), QUICK)
    await close(transport)

    assert (response.status, response.body) == (200, b"real")


@pytest.mark.parametrize("kind", ALL)
async def test_compressed_answers_are_decompressed_as_they_arrive(kind: str, server: ScriptedServer):
    flush = zlib.compressobj(wbits=31)
    parts = [flush.compress(b"one") + flush.flush(zlib.Z_SYNC_FLUSH), flush.compress(b"two") + flush.flush()]
    server.add(
        Answer(headers={"content-encoding": "gzip"}, body=gzip.compress(b"whole")),
        Answer(headers={"content-encoding": "gzip"}, body=[parts[0], 0.05, parts[1]]),
        Answer(headers={"content-encoding": "identity"}, body=b"plain"),
    )
    transport = make(kind)
    whole = await transport.send(post(server), QUICK)
    streamed = await pieces(await transport.stream(post(server), QUICK))
    plain = await transport.send(post(server), QUICK)
    await close(transport)

    assert (whole.body, streamed, plain.body) == (b"whole", [b"one", b"two"], b"plain")
    assert server.connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_drip_is_not_a_timeout(kind: str, server: ScriptedServer):
    server.add(Answer(body=[b"a", 0.06, b"b", 0.06, b"c", 0.06]))
    transport = make(kind)
    got = await pieces(await transport.stream(post(server), Timeouts(read=0.15)))
    await close(transport)

    assert got == [b"a", b"b", b"c"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_has_a_bound(kind: str, server: ScriptedServer):
    server.add(Answer(body=b"x" * 5000), Answer(body=[b"x" * 600] * 5), Answer(body=b"ok"))
    transport = make(kind, max_body=1000)
    for _ in range(2):
        error = await failure_of(transport.send(post(server), QUICK))
        assert isinstance(error, ProtocolError)
        assert "larger than 1,000 bytes" in str(error)
        assert in_use(transport) == 0
    assert (await transport.send(post(server), QUICK)).body == b"ok"
    await close(transport)


# Keeping connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
async def test_a_connection_is_used_again_after_a_normal_end(kind: str, server: ScriptedServer):
    server.add(
        Answer(body=b"{}"),
        Answer(body=[b"read", b"to the end"]),
        Answer(500, body=b"an error that is read"),
        Answer(body=[b"last frame"]),
        Answer(body=[b"last frame", 0.03]),
        Answer(framing="length", body=[b"fin", 0.01, b"al"]),
        Answer(body=b"{}"),
    )
    transport = make(kind)
    await transport.send(post(server), QUICK)
    await pieces(await transport.stream(post(server), QUICK))
    await (await transport.stream(post(server), QUICK)).read()
    for _ in range(3):
        stream = await transport.stream(post(server), QUICK)
        assert await anext(stream)
        await stream.drain(1.0)
        assert await pieces(stream) == []
    await transport.send(post(server), QUICK)
    await close(transport)

    assert server.requests_per_connection == [7]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", [[HOLD], [RESET], [CUT], [b"x" * 40_000] * 9 + [HOLD]], ids=repr)
async def test_drain_gives_up_quietly_and_in_time(kind: str, rest: list[Any], server: ScriptedServer):
    server.add(Answer(body=[b"last frame", 0.02, *rest]), Answer())
    transport = make(kind)
    stream = await transport.stream(post(server), QUICK)
    await anext(stream)
    with anyio.fail_after(2):
        await stream.drain(0.1)
    assert in_use(transport) == 0
    await transport.send(post(server), QUICK)
    await close(transport)

    assert server.connections == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_close_is_repeatable_and_final(kind: str, server: ScriptedServer):
    server.add(Answer(), Answer(body=[b"a", HOLD]))
    transport = make(kind)
    await transport.send(post(server), QUICK)
    stream = await transport.stream(post(server), QUICK)
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.send(post(server), QUICK)
    assert isinstance(await failure_of(stream.read()), ConnectionFailedError)


async def test_an_unused_transport_makes_no_client():
    transport = HttpxTransport()
    await transport.aclose()
    assert transport._client is None


# Time limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "passed httpx2"])
async def test_the_limits_for_the_first_byte_and_for_the_next_are_two(kind: str, server: ScriptedServer):
    server.add(
        Answer(before=[0.3], body=[b"a", 0.02, b"b"]),
        Answer(body=[b"a", 0.3, b"b"]),
        Answer(before=[1]),
        Answer(body=[b"a", 1]),
    )
    slow_start, slow_body = Timeouts(first_byte=5, read=0.15), Timeouts(first_byte=0.15, read=5)
    transport = make(kind)
    assert (await transport.send(post(server), slow_start)).body == b"ab"
    assert (await transport.send(post(server), slow_body)).body == b"ab"
    first = await failure_of(transport.send(post(server), slow_body))
    later = await failure_of(transport.send(post(server), slow_start))
    await close(transport)

    assert f"{server.url}/v1/chat did not begin to answer within 0.15 s (time limit `first_byte`)." == str(first)
    assert "sent nothing for 0.15 s in the middle of its answer (time limit `read`)" in str(later)
    assert {ModelTimeoutError} == {type(first), type(later)}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_connect_limit_covers_the_wait_for_a_free_connection(kind: str, server: ScriptedServer):
    server.add(Answer(body=[b"a", HOLD]))
    transport = make(kind, max_connections=1)
    stream = await transport.stream(post(server), QUICK)
    error = await failure_of(transport.send(post(server), Timeouts(connect=0.05)))
    await stream.aclose()
    await close(transport)

    assert isinstance(error, ModelTimeoutError)
    assert "No connection of the pool became free" in str(error)
    assert "within 0.05 s (time limit `connect`)" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_connect_and_write_limits(kind: str):
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connects, but nobody reads
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        transport = make(kind)
        connect = await failure_of(transport.send(HttpRequest(f"https://{where}/", [], b""), Timeouts(connect=0.05)))
        body = b"x" * 20_000_000
        write = await failure_of(transport.send(HttpRequest(f"http://{where}/", [], body), Timeouts(write=0.05)))
        await close(transport)

    assert f"No connection to https://{where} within 0.05 s (time limit `connect`)" in str(connect)
    assert "took nothing of the request for 0.05 s (time limit `write`)" in str(write)


# Failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_connection_says_where_and_what_to_do(kind: str):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    transport = make(kind)
    error = await failure_of(transport.send(HttpRequest(f"{url}/v1?key={SECRET.decode()}", [], b""), QUICK))
    await close(transport)

    assert f"No connection to {url}: Connection refused. Is the server running? Check base_url" in str(error)
    assert (ConnectionFailedError, True, 0) == (type(error), error.retryable, error.status_code)


BROKEN = {
    "no answer": (Answer(raw=b""), ConnectionFailedError, "closed before the answer was complete"),
    "half a head": (Answer(raw=b"HTTP/1.1 200 OK\r\nx-a"), ConnectionFailedError, "closed before the answer"),
    "cut chunked": (Answer(body=[b"a", CUT]), ConnectionFailedError, "closed before the answer was complete"),
    "cut length": (Answer(body=b"abc", length=9, keep_alive=False), ConnectionFailedError, "closed before the answer"),
    "reset": (Answer(body=[b"a", 0.01, RESET]), ConnectionFailedError, "broke"),
    "not HTTP": (Answer(raw=b"SSH-2.0-OpenSSH_9\r\n\r\n"), ProtocolError, "did not answer in HTTP"),
    "bad chunk": (Answer(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), ProtocolError, "HTTP"),
    "bad gzip": (Answer(headers={"content-encoding": "gzip"}, body=b"plain"), ProtocolError, "cannot be read"),
    "switching": (
        Answer(raw=b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ProtocolError,
        "did not answer in HTTP",
    ),
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("case", BROKEN)
async def test_broken_answers(case: str, kind: str, server: ScriptedServer):
    answer, expected, text = BROKEN[case]
    server.add(answer)
    transport = make(kind)
    error = await failure_of(transport.send(post(server), QUICK))
    busy = in_use(transport)
    await close(transport)

    assert (expected, 0) == (type(error), busy)
    assert text in str(error)
    assert str(server.port) in str(error)


@pytest.mark.parametrize("kind", ALL)
async def test_an_illegal_header_is_named_without_its_value(kind: str, server: ScriptedServer):
    transport = make(kind)
    request = HttpRequest(server.url, [(b"x-api-key", SECRET + b"\n")], b"")
    error = await failure_of(transport.send(request, QUICK))
    await close(transport)

    assert isinstance(error, BadRequestError)
    assert "The header 'x-api-key' has a character that HTTP forbids" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("url", ["", "localhost:8000/v1", "ftp://x/", "http://", "http://x:port/", "http://\n/"])
async def test_a_bad_url_is_a_bad_request(kind: str, url: str):
    transport = make(kind)
    error = await failure_of(transport.send(HttpRequest(url, [], b""), QUICK))
    await close(transport)

    assert isinstance(error, BadRequestError)
    assert "Check base_url" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_user_and_password_of_a_url_are_sent_and_not_shown(kind: str, server: ScriptedServer):
    server.add(Answer(raw=b""))
    transport = make(kind)
    url = server.url.replace("//", f"//user:{SECRET.decode()}@")
    await failure_of(transport.send(HttpRequest(url, [], b""), QUICK))
    await failure_of(transport.send(HttpRequest(url.replace("http:", "ftp:"), [], b""), QUICK))
    await failure_of(transport.send(HttpRequest(url + ":", [], b""), QUICK))
    await close(transport)

    assert server.requests[0].headers["authorization"].startswith("Basic ")


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["context", "file", "passed client"])
async def test_a_private_authority(kind: str, by: str, tls_server: ScriptedServer, authority_file: Path):
    context = ssl.create_default_context(cafile=authority_file)
    if by == "passed client":
        transport: Any = HttpxTransport(http_client=passed(kind, context))
    else:
        transport = make(kind, verify=context if by == "context" else authority_file)
    tls_server.add(Answer(body=b"one"), Answer(body=[b"t", b"wo"]))
    got = [(await transport.send(post(tls_server), QUICK)).body for _ in range(2)]
    await close(transport)

    assert got == [b"one", b"two"]
    assert tls_server.connections == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_authority_is_refused(kind: str, tls_server: ScriptedServer):
    transport = make(kind)
    error = await failure_of(transport.send(post(tls_server), QUICK))
    await close(transport)

    assert (ConnectionFailedError, False) == (type(error), error.retryable)
    assert f"The TLS certificate of {tls_server.url} is not trusted: " in str(error)
    assert "pass verify='/path/to/ca.pem'" in str(error)
    assert tls_server.requests == []


@pytest.mark.parametrize("kind", KINDS)
async def test_https_to_a_server_that_speaks_http(kind: str, server: ScriptedServer):
    transport = make(kind)
    request = HttpRequest(server.url.replace("http:", "https:"), [], b"")
    error = await failure_of(transport.send(request, QUICK))
    await close(transport)

    assert isinstance(error, ConnectionFailedError)
    assert str(server.port) in str(error)


def test_equal_tls_settings_share_one_context(authority_file: Path):
    assert shared_tls(True) is shared_tls(True)
    assert shared_tls(authority_file) is shared_tls(str(authority_file))
    assert shared_tls(authority_file) is not shared_tls(True)
    with pytest.raises(FileNotFoundError, match=r"none\.pem"):
        shared_tls(authority_file.with_name("none.pem"))
