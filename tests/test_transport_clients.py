"""What a client passed as `http_client` brings along keeps working, and how the transport is set up."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from modelwire._transport import HttpxTransport
from modelwire.errors import ConnectionFailedError, ModelTimeoutError
from modelwire.protocols import HttpRequest, Timeouts
from tests.server import HOLD, Answer, ScriptedServer
from tests.transports import QUICK, SECRET, close, failure_of, make, pieces, post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


async def call(server: ScriptedServer, client: Any, timeouts: Timeouts = QUICK, path: str = "/v1?a=1") -> bytes:
    """One request through a passed client, which stays open after the transport is closed."""
    transport = HttpxTransport(http_client=client)
    try:
        response = await transport.send(HttpRequest(server.url + path, [(b"x-ours", b"1")], b"{}"), timeouts)
    finally:
        await transport.aclose()
        assert not client.is_closed
        await client.aclose()
    return response.body


async def test_headers_of_the_client_are_sent_and_ours_win(library: Any, server: ScriptedServer):
    headers = {"X-Theirs": "2", "X-Ours": "no", "Host": "no", "Content-Length": "9", "User-Agent": "their agent"}
    server.add(Answer(), Answer())
    client = library.AsyncClient(headers=headers)
    transport = HttpxTransport(http_client=client)
    request = HttpRequest(server.url, [(b"x-ours", b"1")], b"{}")
    await transport.send(request, QUICK)
    client.headers["x-theirs"] = "changed"
    await transport.send(request, QUICK)
    await close(transport)

    first, second = (received.headers for received in server.requests)
    assert (first["x-theirs"], first["x-ours"], first["user-agent"]) == ("2", "1", "their agent")
    assert (first["host"], first["content-length"]) == (f"127.0.0.1:{server.port}", "2")
    assert second["x-theirs"] == "changed"


async def test_query_parameters_of_the_client_are_added_and_ours_win(library: Any, server: ScriptedServer):
    server.add(Answer())
    await call(server, library.AsyncClient(params={"a": "theirs", "b": "2"}))
    assert sorted(server.requests[0].path.partition("?")[2].split("&")) == ["a=1", "b=2"]


async def test_cookies_of_the_client_are_sent_and_kept(library: Any, server: ScriptedServer):
    server.add(Answer(headers={"set-cookie": "b=2"}), Answer())
    client = library.AsyncClient(cookies={"a": "1"})
    transport = HttpxTransport(http_client=client)
    for _ in range(2):
        await transport.send(post(server), QUICK)
    await close(transport)

    assert server.requests[0].headers["cookie"] == "a=1"
    assert sorted(server.requests[1].headers["cookie"].split("; ")) == ["a=1", "b=2"]


async def test_a_client_of_our_own_keeps_no_cookies(server: ScriptedServer):
    server.add(Answer(headers={"set-cookie": "b=2"}), Answer())
    transport = make("httpx")
    for _ in range(2):
        await transport.send(post(server), QUICK)
    await close(transport)

    assert "cookie" not in server.requests[1].headers


async def test_event_hooks_run_and_may_read_both_bodies(library: Any, server: ScriptedServer):
    server.add(Answer(body=[b"from ", b"a hook"]), Answer(429, body=b"slow down"))
    seen: list[bytes] = []

    async def on_request(request: Any) -> None:
        seen.append(request.content)
        request.headers["x-hook"] = "1"

    async def on_response(response: Any) -> None:
        seen.append(await response.aread())

    client = library.AsyncClient(event_hooks={"request": [on_request], "response": [on_response]})
    assert await call(server, client) == b"from a hook"
    assert seen == [b"{}", b"from a hook"]
    assert server.requests[0].headers["x-hook"] == "1"


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
async def test_a_hook_that_raises_for_status_leaves_the_status_to_us(read: bool, library: Any, server: ScriptedServer):
    server.add(Answer(429, headers={"retry-after": "1"}, body=b"slow down"), Answer(body=b"ok"))

    async def on_response(response: Any) -> None:
        if read:
            await response.aread()
        response.raise_for_status()

    transport = HttpxTransport(http_client=library.AsyncClient(event_hooks={"response": [on_response]}))
    stream = await transport.stream(post(server), QUICK)
    body = await stream.read()
    after = await transport.send(post(server), QUICK)
    await close(transport)

    assert (stream.status, stream.headers[b"retry-after"]) == (429, b"1")
    assert body == (b"slow down" if read else b"")
    assert after.body == b"ok"


async def test_an_error_of_a_hook_is_the_users(library: Any, server: ScriptedServer):
    async def on_request(_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await call(server, library.AsyncClient(event_hooks={"request": [on_request]}))


async def test_auth_of_the_client(library: Any, server: ScriptedServer):
    """An auth flow may look at the body, send the request again, or fail with an answer of another server."""

    class Flow(library.Auth):
        requires_request_body = True

        def auth_flow(self, request: Any) -> Any:
            request.headers["x-signed"] = str(len(request.content))
            response = yield request
            if response.status_code == 401:
                request.headers["x-signed"] = "again"
                yield request

    class Broken(library.Auth):
        async def async_auth_flow(self, request: Any) -> AsyncIterator[Any]:
            other = library.Request("POST", f"{server.url}/token?secret={SECRET.decode()}")
            library.Response(400, request=other).raise_for_status()
            yield request

    server.add(Answer(401), Answer(body=b"ok"))
    assert await call(server, library.AsyncClient(auth=Flow())) == b"ok"
    assert [received.headers["x-signed"] for received in server.requests] == ["2", "again"]
    assert server.requests[1].body == b"{}"
    error = await failure_of(call(server, library.AsyncClient(auth=Broken())))
    assert isinstance(error, ConnectionFailedError)
    assert "it got status 400" in str(error)


async def test_redirects_are_followed_only_by_a_client_that_does(library: Any, server: ScriptedServer):
    server.add(Answer(307, headers={"location": "/there"}), Answer(body=b"there"))
    assert await call(server, library.AsyncClient(follow_redirects=True)) == b"there"
    assert [(received.path, received.body) for received in server.requests] == [("/v1?a=1", b"{}"), ("/there", b"{}")]

    server.add(Answer(307, headers={"location": "/there"}))
    transport = make("httpx")
    assert (await transport.send(post(server), QUICK)).status == 307
    await close(transport)


async def test_limits_and_pool_timeout_of_the_client(library: Any, server: ScriptedServer):
    server.add(Answer(body=[b"a", HOLD]))
    limits, timeout = library.Limits(max_connections=1), library.Timeout(3.0, pool=0.06)
    transport = HttpxTransport(http_client=library.AsyncClient(limits=limits, timeout=timeout))
    stream = await transport.stream(post(server), Timeouts())
    error = await failure_of(transport.send(post(server), Timeouts()))
    await stream.aclose()
    await close(transport)

    assert "No connection of the pool became free" in str(error)
    assert "0.06 s" in str(error)


@pytest.mark.parametrize(
    ("theirs", "ours", "limit"),
    [
        pytest.param(0.05, Timeouts(), "0.05", id="the client's own"),
        pytest.param(3.0, Timeouts(first_byte=0.05, read=0.05), "0.05", id="the caller's before the client's"),
        pytest.param(5.0, Timeouts(first_byte=0.05, read=0.05), "0.05", id="not httpx's default"),
    ],
)
async def test_whose_time_limit(theirs: float, ours: Timeouts, limit: str, library: Any, server: ScriptedServer):
    server.add(Answer(before=[0.4]), Answer(body=[b"a", 0.4]))
    transport = HttpxTransport(http_client=library.AsyncClient(timeout=theirs))
    first = await failure_of(transport.send(post(server), ours))
    later = await failure_of(transport.send(post(server), ours))
    await close(transport)

    assert f"did not begin to answer within {limit} s" in str(first)
    assert f"sent nothing for {limit} s" in str(later)
    assert {ModelTimeoutError} == {type(first), type(later)}


async def test_no_limits_of_the_client_are_no_limits(library: Any):
    transport = HttpxTransport(http_client=library.AsyncClient(timeout=None))
    assert transport._limits(transport._open_client(), Timeouts()) == dict.fromkeys(
        ("connect", "pool", "read", "write")
    )
    await close(transport)


async def test_transports_of_the_client(library: Any, server: ScriptedServer):
    """With retries of the library, mounted by host, or without any network."""
    server.add(Answer(body=b"ok"), Answer(body=b"mounted"))
    retrying = library.AsyncHTTPTransport(retries=3)
    assert await call(server, library.AsyncClient(transport=retrying)) == b"ok"
    mounted = library.AsyncClient(mounts={"http://127.0.0.1": library.AsyncHTTPTransport()})
    assert await call(server, mounted) == b"mounted"

    def echo(request: Any) -> Any:
        return library.Response(200, content=request.content)

    mock = library.MockTransport(echo)
    assert await call(server, library.AsyncClient(transport=mock)) == b"{}"


async def test_a_subclass_of_a_client(library: Any, server: ScriptedServer):
    class Mine(library.AsyncClient):
        pass

    server.add(Answer(body=[b"a", b"b"]))
    transport = HttpxTransport(http_client=Mine())
    got = await pieces(await transport.stream(post(server), QUICK))
    await close(transport)
    assert b"".join(got) == b"ab"


async def test_a_proxy(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    """Given, or from the environment; the proxy is told the whole URL."""
    server.add(Answer(body=b"given"), Answer(body=b"environment"))
    request = HttpRequest("http://model.test/v1", [], b"{}")
    given = HttpxTransport(proxy=server.url)
    assert (await given.send(request, QUICK)).body == b"given"
    monkeypatch.setenv("HTTP_PROXY", server.url)
    environment = make("httpx")
    assert (await environment.send(request, QUICK)).body == b"environment"
    await close(given)
    await close(environment)

    assert [received.path for received in server.requests] == ["http://model.test/v1"] * 2
    assert server.requests[0].headers["host"] == "model.test"


async def test_a_library_that_hides_the_transports_of_its_client(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(httpx.AsyncClient, "_transport_for_url")
    sent: list[Any] = []

    async def send(self: Any, request: Any, *, stream: bool) -> Any:
        sent.append(stream)
        return await self._transport.handle_async_request(request)

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    server.add(Answer(body=b"by the client"))
    transport = make("httpx")
    assert (await transport.send(post(server), QUICK)).body == b"by the client"
    await close(transport)

    assert sent == [True]


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"verify='/path/to/ca\.pem'"):
        HttpxTransport(verify=False)
    with pytest.raises(ValueError, match="set them where it is made"):
        HttpxTransport(http_client=httpx.AsyncClient(), max_connections=3)
    for wrong in (httpx.Client(), object(), "http://proxy"):
        with pytest.raises(TypeError, match=r"must be an httpx\.AsyncClient or httpx2\.AsyncClient, not "):
            HttpxTransport(http_client=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make_one", "loaded"),
    [
        ("", set[str]()),
        ("HttpxTransport()", {"httpx"}),
        ("HttpxTransport(http_client=httpx2.AsyncClient())", {"httpx2"}),
    ],
)
def test_only_the_library_in_use_is_imported(make_one: str, loaded: set[str]):
    code = f"""
import sys
from modelwire._transport import HttpxTransport
if "httpx2" in {make_one!r}: import httpx2
{make_one}
print({{"httpx", "httpx2"}} & set(sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == str(loaded)
