"""The fast transport against servers that are slow, hostile or odd, and what only sockets show."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire._transport.fast import FastTransport
from modelwire._transport.fast.for_httpx import FastHttpxTransport
from modelwire._transport.fast.target import to_target
from modelwire.errors import ConnectionFailedError, ModelTimeoutError, ProtocolError
from modelwire.protocols import HttpRequest, Timeouts
from tests.corpus import corpus
from tests.server import Answer, Received, ScriptedServer
from tests.test_fast_response import BAD
from tests.transports import KINDS, QUICK, close, failure_of, in_use, make, pieces, post, read_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    import trustme

pytestmark = pytest.mark.anyio


class Rude:
    """A server that does with each connection what a function says, without reading HTTP; it counts them."""

    def __init__(self, act: Callable[[socket.socket], None], family: int = socket.AF_INET) -> None:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._act = act
        self._listener = socket.create_server((host, 0), family=family)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.connections = 0
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{'[::1]' if family == socket.AF_INET6 else host}:{self.port}"

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(5)
            with connection, contextlib.suppress(OSError):
                self._act(connection)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


def saying(data: bytes, step: int = 2**30) -> Callable[[socket.socket], None]:
    """Read the request, say this, and close."""

    def act(connection: socket.socket) -> None:
        read_request(connection)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])

    return act


def taking(script: list[bytes]) -> Callable[[socket.socket], None]:
    """Say one after the other, each on a connection of its own."""

    def act(connection: socket.socket) -> None:
        saying(script.pop(0))(connection)

    return act


# Hostile answers -------------------------------------------------------------------------------------------------------


async def test_what_is_not_http_is_a_protocol_error_and_its_connection_is_gone():
    with Rude(taking(list(BAD.values()))) as server:
        transport = make("fast")
        for case in BAD:
            request = HttpRequest(server.url, [], b"{}")
            error = await failure_of(transport.send(request, QUICK))
            assert isinstance(error, ProtocolError), case
            assert str(server.port) in str(error)
            assert in_use(transport) == 0
        await transport.aclose()
    assert server.connections == len(BAD)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_ends_anywhere_before_its_end_is_an_error(kind: str):
    whole = b"HTTP/1.1 200 OK\r\nserver: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    with Rude(taking([whole[:size] for size in range(len(whole))])) as server:
        transport = make(kind)
        for _ in range(len(whole)):
            error = await failure_of(transport.send(HttpRequest(server.url, [], b"{}"), QUICK))
            assert isinstance(error, ConnectionFailedError)
            assert in_use(transport) == 0
        await close(transport)
    assert server.connections == len(whole)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_byte_by_byte(kind: str):
    whole = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    with Rude(saying(whole, 1)) as server:
        transport = make(kind)
        stream = await transport.stream(HttpRequest(server.url, [], b"{}"), QUICK)
        assert b"".join(await pieces(stream)) == b"abc0123456789abcdef"
        await close(transport)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_head_that_never_ends_is_bounded_by_time_and_size(kind: str):
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"a: " + b"b" * 1000 + b"\r\n")

    def half(connection: socket.socket) -> None:
        saying(b"HTTP/1.1 1")(connection)
        while connection.recv(65536):  # until the client closes; the rest of its request may still be on the way
            pass

    with Rude(flood) as server:
        transport = make(kind)
        error = await failure_of(transport.send(HttpRequest(server.url, [], b"{}"), QUICK))
        await close(transport)
    assert isinstance(error, ProtocolError)
    with Rude(half) as server:
        transport = make(kind)
        limits = Timeouts(first_byte=0.05)
        error = await failure_of(transport.send(HttpRequest(server.url, [], b"{}"), limits))
        await close(transport)
    assert isinstance(error, ModelTimeoutError)


async def test_a_bomb_is_refused_before_it_is_unpacked(server: ScriptedServer):
    server.add(Answer(headers={"content-encoding": "gzip"}, body=gzip.compress(bytes(100_000_000))))
    transport = make("fast", max_body=3_000_000)
    error = await failure_of(transport.send(post(server), QUICK))
    assert "larger than 3,000,000 bytes" in str(error)
    assert in_use(transport) == 0
    await transport.aclose()


async def test_a_coding_that_was_not_asked_for(server: ScriptedServer):
    server.add(Answer(headers={"content-encoding": "br"}, body=b"x"))
    transport = make("fast")
    error = await failure_of(transport.send(post(server), QUICK))
    assert isinstance(error, ProtocolError)
    assert "content-encoding 'br' was not asked for" in str(error)
    assert in_use(transport) == 0
    await transport.aclose()


async def test_a_server_faster_than_its_reader_is_slowed_down(anyio_backend: str):
    """What is kept here is bounded; the rest waits in the sockets and at the server."""
    sent = 0

    def act(connection: socket.socket) -> None:
        nonlocal sent
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 64000000\r\n\r\n")
        for _ in range(64):
            connection.sendall(bytes(1_000_000))
            sent += 1_000_000

    with Rude(act) as server:
        transport = make("fast")
        stream: Any = await transport.stream(HttpRequest(server.url, [], b"{}"), QUICK)
        before = -1
        while sent != before:  # until it stands still
            before = sent
            await anyio.sleep(0.1)
        kept = sum(map(len, stream._exchange.response.pieces))
        assert kept <= 2 * 64 * 1024
        assert sent < 64_000_000
        assert len(await stream.read()) == 64_000_000
        await transport.aclose()


async def test_the_answer_to_a_request_that_was_not_read_to_its_end():
    """A server may refuse a long request at its head, and close."""

    def act(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        connection.recv(1)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass

    with Rude(act) as server:
        transport = make("fast")
        response = await transport.send(HttpRequest(server.url, [], bytes(8_000_000)), QUICK)
        assert (response.status, response.body, in_use(transport)) == (413, b"big", 0)
        await transport.aclose()


# Addresses and TLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_ipv6(kind: str):
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    seen: list[bytes] = []

    def act(connection: socket.socket) -> None:
        seen.append(connection.recv(65536, socket.MSG_PEEK))
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    with Rude(act, socket.AF_INET6) as server:
        transport = make(kind)
        assert (await transport.send(HttpRequest(server.url, [], b"{}"), QUICK)).body == b"ok"
        await close(transport)
    assert f"host: [::1]:{server.port}".encode() in seen[0].lower()


@pytest.mark.parametrize("answers", [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("127.0.0.2", "127.0.0.1")], ids=repr)
async def test_a_name_with_several_addresses_of_which_one_answers(
    answers: tuple[str, str], server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    server.add(Answer(body=b"ok"))
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host not in ("many.test", b"many.test"):
            return real(host, port, *args, **named)
        return [entry for address in answers for entry in real(address, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    transport = make("fast")
    request = HttpRequest(f"http://many.test:{server.port}/", [], b"{}")
    assert (await transport.send(request, QUICK)).body == b"ok"
    await transport.aclose()
    assert server.requests[0].headers["host"] == f"many.test:{server.port}"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_is_none(kind: str, monkeypatch: pytest.MonkeyPatch):
    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    transport = make(kind)
    error = await failure_of(transport.send(HttpRequest("http://nowhere.test/v1", [], b"{}"), QUICK))
    await close(transport)
    assert "No connection to http://nowhere.test: Name or service not known. Is the server running?" in str(error)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_server_learns_the_name_and_the_clients_certificate(kind: str, authority: trustme.CA):
    names: list[str | None] = []
    peers: list[Any] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.sni_callback = lambda _, name, __: names.append(name)

    def act(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as connection:
            peers.append(connection.getpeercert())
            saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")(connection)
            while connection.recv(65536):  # until the client closes; the rest of its request may still be on the way
                pass

    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    authority.issue_cert("me@example.com").configure_cert(ours)
    with Rude(act) as server:
        transport = make(kind, verify=ours)
        request = HttpRequest(f"https://localhost:{server.port}/", [], b"{}")
        assert (await transport.send(request, QUICK)).body == b"ok"
        await close(transport)
    assert names == ["localhost"]
    assert peers[0]["subjectAltName"] == (("email", "me@example.com"),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["example.com", None], ids=["another name", "closed"])
async def test_tls_that_fails(kind: str, name: str | None, authority: trustme.CA):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(context)

    def act(plain: socket.socket) -> None:
        if name is None:
            plain.recv(10)
        else:
            context.wrap_socket(plain, server_side=True).close()

    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    with Rude(act) as server:
        transport = make(kind, verify=ours)
        error = await failure_of(transport.send(HttpRequest(f"https://127.0.0.1:{server.port}/", [], b"{}"), QUICK))
        assert in_use(transport) == 0
        await close(transport)
    assert isinstance(error, ConnectionFailedError)
    assert ("is not trusted" in str(error)) is (name is not None)


# Event loops -----------------------------------------------------------------------------------------------------------


def test_one_event_loop_after_another_works_and_two_at_once_are_an_error(server: ScriptedServer):
    server.handler = lambda _: Answer(body=b"ok", keep_alive=False)  # what is idle when its loop ends, asyncio reports
    transport = FastTransport()

    async def call() -> bytes:
        return (await transport.send(post(server), QUICK)).body

    async def elsewhere() -> None:
        await call()
        with pytest.raises(RuntimeError, match=r"another event loop.*Make one client for each"):
            await anyio.to_thread.run_sync(lambda: asyncio.run(call()))

    async def last() -> None:
        assert await call() == b"ok"
        await transport.aclose()

    asyncio.run(elsewhere())
    assert asyncio.run(call()) == b"ok"
    trio.run(call)
    trio.run(last)


@pytest.mark.skipif(os.name == "nt", reason="uvloop is not for Windows")
@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})], ids=["uvloop"])
async def test_uvloop(anyio_backend: Any, tls_server: ScriptedServer, server: ScriptedServer, authority: trustme.CA):
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    transport = make("fast", verify=ours)
    for where in (server, tls_server):
        where.add(Answer(body=[b"a", 0.01, b"b"]), Answer(), Answer(before=[1]))
        assert b"".join(await pieces(await transport.stream(post(where), QUICK))) == b"ab"
        assert (await transport.send(post(where, body=bytes(3_000_000)), QUICK)).status == 200
        error = await failure_of(transport.send(post(where), Timeouts(first_byte=0.02)))
        assert isinstance(error, ModelTimeoutError)
        assert where.connections == 1
    assert in_use(transport) == 0
    await transport.aclose()


# Equal to httpx --------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(
        ["http://h", "https://h:8443", "http://h:80", "http://[::1]:9", "http://u:p@h", "http://bücher.example"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="?#\x7f"), max_size=8),
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="#\x7f"), max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_urls_are_written_as_httpx_writes_them(origin: str, path: str, query: str):
    text = f"{origin}/v1/{path}" + (f"?{query}" if query else "")
    theirs = httpx.URL(text)
    ours = to_target(text)
    assert (ours.path, ours.host) == (theirs.raw_path, theirs.netloc)
    assert (ours.origin.scheme, ours.origin.host) == (theirs.scheme, theirs.raw_host.decode())
    assert ours.shown == str(theirs.copy_with(userinfo=b"", query=None, fragment=None))


async def test_httpx_over_the_fast_transport_keeps_its_interface(server: ScriptedServer):
    """Redirects, cookies, auth, compressed bodies, iterators as bodies, `HEAD`."""
    server.add(
        Answer(307, headers={"location": "/there", "set-cookie": "a=1"}),
        Answer(headers={"content-encoding": "gzip"}, body=gzip.compress(b"there")),
        Answer(body=b"ok"),
        Answer(length=5, body=b""),
        Answer(body=[b"one\n", b"two\n"]),
    )

    async def body() -> Any:
        yield b"by "
        yield b"pieces"

    transport = FastHttpxTransport(max_connections=1)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True, auth=("u", "p")) as client:
        there = await client.post(f"{server.url}/here", content=b"body")
        assert (there.text, there.http_version, there.headers["content-encoding"]) == ("there", "HTTP/1.1", "gzip")
        assert (await client.post(server.url, content=body())).text == "ok"
        head = await client.head(server.url)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
        async with client.stream("GET", server.url) as response:
            assert [line async for line in response.aiter_lines()] == ["one", "two"]
    received = server.requests
    assert [(one.method, one.body) for one in received[:3]] == [
        ("POST", b"body"),
        ("POST", b"body"),
        ("POST", b"by pieces"),
    ]
    assert (received[1].headers["cookie"], received[1].headers["authorization"][:6]) == ("a=1", "Basic ")
    assert "content-length" not in received[4].headers
    assert transport._core.in_use == 0


@pytest.mark.parametrize(
    ("answer", "limits", "expected"),
    [
        (Answer(before=[1]), httpx.Timeout(5, read=0.03), httpx.ReadTimeout),
        (Answer(body=[b"a", 1]), httpx.Timeout(5, read=0.03), httpx.ReadTimeout),
        (Answer(raw=b"nonsense\r\n\r\n"), httpx.Timeout(5), httpx.RemoteProtocolError),
        (Answer(raw=b""), httpx.Timeout(5), httpx.RemoteProtocolError),
    ],
    ids=["first byte", "body", "nonsense", "closed"],
)
async def test_httpx_over_the_fast_transport_raises_what_httpx_raises(
    answer: Answer, limits: httpx.Timeout, expected: type[Exception], server: ScriptedServer
):
    server.add(answer)
    async with httpx.AsyncClient(transport=FastHttpxTransport(), timeout=limits) as client:
        with pytest.raises(expected) as caught:
            await client.post(server.url)
        assert caught.value.request.url == server.url  # type: ignore[attr-defined]
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ftp://example.com/")
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")


MEDIA = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_every_recorded_exchange_is_the_same_over_both_transports():
    """One body after the other from a real socket: status, media type and bytes, and so the events, are equal."""
    chance = iter(range(10**9))
    cases = [json.loads(path.read_text()) for path in sorted(corpus().rglob("*.json"))]
    cases = [case for case in cases if isinstance(case, dict) and case.get("response_body")]
    assert len(cases) > 500

    def handle(received: Received) -> Answer:
        case = cases[int(received.path[1:])]
        body = case["response_body"].encode()
        size = 1 + (next(chance) * 7919) % 60_000
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        media = MEDIA.get(case["body_framing"], "application/json")
        return Answer(case["status"] or 200, {"content-type": media, "X-Request-Id": case["id"]}, chunks)

    with ScriptedServer(handle) as server:
        transports = [make(kind) for kind in KINDS]
        for number, case in enumerate(cases):
            request = HttpRequest(f"{server.url}/{number}", [], b"{}")
            for transport in transports:
                stream = await transport.stream(request, QUICK)
                assert (stream.status, stream.headers[b"x-request-id"]) == (case["status"] or 200, case["id"].encode())
                assert b"".join(await pieces(stream)) == case["response_body"].encode(), case["id"]
        for transport in transports:
            await close(transport)
    assert server.connections == 2
