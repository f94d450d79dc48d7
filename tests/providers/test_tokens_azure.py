"""Entra tokens: where they come from, how long they are used, and when they are fetched anew."""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from modelwire import (
    AuthenticationError,
    AzureOpenAIChatCompletionClient,
    ModelClientError,
    ModelTimeoutError,
)
from modelwire.providers._tokens import CachedToken, expiry
from tests.chat_answers import HELLO, answer, error_body, refused, streamed, told
from tests.fakes import FakeTransport, scripted
from tests.server import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio

SCOPE = "https://cognitiveservices.azure.com/.default"


def jwt(seconds: float, name: str = "token", **claims: Any) -> str:
    """A JSON Web Token that expires in this many seconds."""
    payload = json.dumps({"sub": name, "exp": time.time() + seconds} | claims).encode()
    parts = (b'{"alg":"none"}', payload, b"signature")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class AccessToken(NamedTuple):
    """What `azure.identity` gives."""

    token: str
    expires_on: int


class Source:
    """A provider function that gives one token after another, and notes in which thread it ran."""

    def __init__(self, *tokens: Any) -> None:
        self._tokens = list(tokens)
        self.threads: list[int] = []

    def __call__(self) -> Any:
        self.threads.append(threading.get_ident())
        token = self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]
        if isinstance(token, Exception):
            raise token
        return token

    @property
    def asked(self) -> int:
        return len(self.threads)


class Credential:
    """A credential of `azure.identity`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, claims: str | None = None, **kwargs: Any) -> Any:
        self.scopes += scopes
        return self.source()


class AsyncCredential(Credential):
    """A credential of `azure.identity.aio`."""

    async def get_token(self, *scopes: str, claims: str | None = None, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return super().get_token(*scopes)


def asynchronous(source: Source) -> Callable[[], Any]:
    async def provider() -> Any:
        await anyio.lowlevel.checkpoint()
        return source()

    return provider


class AsyncCallable:
    def __init__(self, source: Source) -> None:
        self._source = source

    async def __call__(self) -> Any:
        return self._source()


def client_with(provider: Any, transport: FakeTransport, **options: Any) -> AzureOpenAIChatCompletionClient:
    return AzureOpenAIChatCompletionClient(
        model="gpt-4.1",
        azure_endpoint="https://name.openai.azure.com",
        azure_ad_token_provider=provider,
        transport=transport,
        clock=transport.clock,
        **options,
    )


async def tokens_sent(
    provider: Any, calls: int = 2, transport: FakeTransport | None = None, **options: Any
) -> list[str]:
    """The tokens that this many calls send."""
    transport = transport or scripted(told())
    client = client_with(provider, transport, **options)
    for _ in range(calls):
        await client.create(HELLO)
    headers = [dict(request.headers) for request in transport.requests]
    assert all(b"api-key" not in header for header in headers)
    return [header[b"authorization"].decode().removeprefix("Bearer ") for header in headers]


WAYS: dict[str, Callable[[Source], Any]] = {
    "function": lambda source: source,
    "lambda": lambda source: lambda: source(),  # noqa: PLW0108  # it is the lambda that is tested
    "partial": functools.partial,
    "async function": asynchronous,
    "async partial": lambda source: functools.partial(asynchronous(source)),
    "lambda around async": lambda source: lambda: asynchronous(source)(),  # noqa: PLW0108  # as above
    "async callable": AsyncCallable,
    "credential": Credential,
    "async credential": AsyncCredential,
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_kind_of_provider_gives_its_token(way: str) -> None:
    source = Source("opaque-1", "opaque-2")

    assert await tokens_sent(WAYS[way](source)) == ["opaque-1", "opaque-2"]  # nothing says how long they last


@pytest.mark.parametrize("way", ["function", "lambda", "partial", "credential"])
async def test_a_sync_provider_runs_in_a_worker_thread(way: str) -> None:
    source = Source("opaque")

    await tokens_sent(WAYS[way](source), calls=1)

    assert source.threads != [threading.get_ident()]


@pytest.mark.parametrize("way", ["async function", "async callable", "async credential"])
async def test_an_async_provider_runs_in_the_event_loop(way: str) -> None:
    source = Source("opaque")

    await tokens_sent(WAYS[way](source), calls=1)

    assert source.threads == [threading.get_ident()]


async def test_a_credential_is_asked_for_the_scope() -> None:
    one, other = Credential(Source("opaque")), AsyncCredential(Source("opaque"))

    await tokens_sent(one, calls=1)
    await tokens_sent(other, calls=1, azure_ad_scope="https://ai.azure.com/.default")

    assert one.scopes == [SCOPE]
    assert other.scopes == ["https://ai.azure.com/.default"]


# ---------------------------------------------------------------------- how long a token is used


@pytest.mark.parametrize("way", WAYS)
async def test_a_jwt_is_used_until_five_minutes_before_it_expires(way: str) -> None:
    lasting = Source(jwt(3600), jwt(3600))
    short = Source(jwt(299, "first"), jwt(3600, "second"))

    assert len(set(await tokens_sent(WAYS[way](lasting), calls=5))) == 1
    assert len(set(await tokens_sent(WAYS[way](short), calls=5))) == 2
    assert (lasting.asked, short.asked) == (1, 2)


async def test_the_margin_is_five_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(jwt(1000, "first"), jwt(9000, "second"))
    transport = scripted(told())
    client = client_with(source, transport)
    start = time.time()

    for passed in (0, 600, 699, 701):
        monkeypatch.setattr(time, "time", lambda passed=passed: start + passed)
        await client.create(HELLO)
        assert source.asked == (1 if passed < 700 else 2)


@pytest.mark.parametrize("kind", [Credential, AsyncCredential])
async def test_what_the_credential_says_about_the_time_counts(kind: Any) -> None:
    now = int(time.time())
    lasting = Source(AccessToken("opaque", now + 3600))
    ending = Source(AccessToken(jwt(3600), now + 60))

    assert await tokens_sent(kind(lasting), calls=3) == ["opaque"] * 3
    await tokens_sent(kind(ending), calls=3)

    assert (lasting.asked, ending.asked) == (1, 3)


async def test_a_function_may_give_what_a_credential_gives() -> None:
    source = Source(AccessToken("opaque", int(time.time()) + 3600))

    assert await tokens_sent(source, calls=3) == ["opaque"] * 3
    assert source.asked == 1


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "..",
        "a.!!!.c",
        "a." + base64.urlsafe_b64encode(b'{"exp": "soon"}').decode() + ".c",
        "a.bnVsbA.c",
    ],
)
def test_what_is_no_jwt_has_no_time(token: str) -> None:
    assert expiry(token) == 0.0


@pytest.mark.parametrize("padding", range(4))
def test_a_jwt_of_any_length_is_read(padding: int) -> None:
    assert expiry(jwt(100, "n" * padding, exp=1234.0)) == 1234.0


async def test_calls_side_by_side_fetch_one_token() -> None:
    source = Source(jwt(3600), jwt(3600))
    transport = scripted(told())
    client = client_with(source, transport)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(client.create, HELLO)

    assert source.asked == 1
    assert len(transport.requests) == 10


# ---------------------------------------------------------------------- a token that is refused


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_a_refused_token_is_replaced_once(verb: str) -> None:
    source = Source(jwt(3600, "first"), jwt(3600, "second"))
    transport = scripted(refused(401), streamed() if verb == "create_stream" else told())
    client = client_with(source, transport)

    result = (
        await client.create(HELLO) if verb == "create" else [item async for item in client.create_stream(HELLO)][-1]
    )

    assert result.content == "Hi there"
    assert source.asked == 2
    assert len({dict(request.headers)[b"authorization"] for request in transport.requests}) == 2


async def test_the_new_token_is_the_one_that_later_calls_use() -> None:
    source = Source(jwt(3600, "first"), jwt(3600, "second"), jwt(3600, "third"))

    sent = await tokens_sent(source, calls=3, transport=scripted(refused(401), told()))

    assert (len(set(sent)), source.asked, sent[1] == sent[2] == sent[3]) == (2, 2, True)


async def test_refused_twice_is_an_authentication_error() -> None:
    source = Source(jwt(3600, "first"), jwt(3600, "second"), jwt(3600, "third"))

    with pytest.raises(AuthenticationError) as caught:
        await tokens_sent(source, transport=scripted(refused(401)))

    assert (source.asked, [one.status_code for one in caught.value.attempts]) == (2, [401, 401])


async def test_a_key_that_is_refused_is_not_tried_again() -> None:
    transport = scripted(refused(401), told())
    client = AzureOpenAIChatCompletionClient(
        model="m", azure_endpoint="https://name.openai.azure.com", api_key="key", transport=transport
    )

    with pytest.raises(AuthenticationError):
        await client.create(HELLO)

    assert len(transport.requests) == 1


# ---------------------------------------------------------------------- no token


@pytest.mark.parametrize("way", WAYS)
async def test_a_provider_that_fails_is_an_authentication_error_with_its_reason(way: str) -> None:
    transport = scripted(told())

    with pytest.raises(AuthenticationError, match="no token: OSError: no managed identity here") as caught:
        await tokens_sent(WAYS[way](Source(OSError("no managed identity here"))), transport=transport)

    assert isinstance(caught.value.__cause__, OSError)
    assert (caught.value.status_code, caught.value.attempts, transport.requests) == (0, (), [])


@pytest.mark.parametrize("given", [None, "", "  ", 7, b"token", AccessToken("", 0), {"token": "x"}], ids=repr)
async def test_a_provider_that_gives_no_token_is_an_authentication_error(given: Any) -> None:
    with pytest.raises(AuthenticationError, match="no token: the token provider gave"):
        await tokens_sent(Source(given))


@pytest.mark.parametrize("given", ["hush\r\nx-evil: 1", "hush hush", "hüsh"])
async def test_a_token_that_is_no_header_is_an_authentication_error_that_does_not_show_it(given: str) -> None:
    with pytest.raises(AuthenticationError, match="characters that no token has") as caught:
        await tokens_sent(Source(given))

    assert given not in str(caught.value)


async def test_a_line_break_at_the_end_of_a_token_is_forgiven() -> None:
    assert await tokens_sent(Source("opaque\n"), calls=1) == ["opaque"]


async def test_after_a_failure_the_next_call_asks_again() -> None:
    source = Source(OSError("away"), jwt(3600))
    client = client_with(source, scripted(told()))

    with pytest.raises(AuthenticationError):
        await client.create(HELLO)

    assert (await client.create(HELLO)).content == "Hi there"


@pytest.mark.parametrize("way", ["function", "async function"])
async def test_the_deadline_does_not_wait_for_a_provider_that_hangs(way: str) -> None:
    release = threading.Event()

    def sync() -> str:
        release.wait(5)
        return "late"

    async def hang() -> str:
        await anyio.sleep(5)
        return "late"

    start = time.perf_counter()
    try:
        with pytest.raises(ModelTimeoutError, match="deadline"):
            await tokens_sent(sync if way == "function" else hang, deadline=0.1)
    finally:
        release.set()

    assert time.perf_counter() - start < 3


async def test_a_cancelled_fetch_leaves_no_lock_behind() -> None:
    calls = 0

    async def provider() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await anyio.sleep(60)
        return "opaque"

    token = CachedToken(provider, SCOPE)
    with anyio.move_on_after(0.02):
        await token(False)

    with anyio.fail_after(2):
        assert await token(False) == "opaque"


async def test_an_error_does_not_show_a_token_that_the_server_echoed(server: ScriptedServer) -> None:
    token = jwt(3600)
    server.add(Answer(400, headers={"content-type": "application/json"}, body=error_body(f"you sent Bearer {token}")))
    server.add(answer())
    async with AzureOpenAIChatCompletionClient(
        model="gpt-4.1", azure_endpoint=server.url, azure_ad_token_provider=lambda: token
    ) as client:
        with pytest.raises(ModelClientError, match="you sent Bearer") as caught:
            await client.create(HELLO)

        assert (await client.create(HELLO)).content == "Hi there"

    assert token not in f"{caught.value} {caught.value.__dict__}"
    assert server.requests[1].headers["authorization"] == f"Bearer {token}"
