"""What the cache costs: a hit in each store, the key of a request, and what a call pays that finds nothing."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks import work
from benchmarks.answers import EVENTS, whole, words
from benchmarks.measure import Comparison, Contender, measure
from benchmarks.server import loopback
from modelwire import (
    ChatCompletionCache,
    CreateResult,
    DiskCacheStore,
    InMemoryCacheStore,
    OpenAICompatibleChatCompletionClient,
    RedisCacheStore,
    Text,
    UserMessage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence

    from benchmarks.measure import Effort, Result
    from modelwire import ChatCompletionClient
    from modelwire.protocols import CacheStore
    from modelwire.types import Message

    Ask = Callable[[], Awaitable[object]]

MEMORY, DISK, REDIS = "memory", "disk", "redis"
CLIENT, CACHE, ENTERED = "client", "cache around it", "cache around it, entered"
SIZES = {"1 kB": 1000, "20 kB": 20_000, "1 MB": 1_000_000}


def run(effort: Effort) -> Iterator[Result]:
    """All comparisons of this suite."""
    with asyncio.Runner() as runner:
        with _stores() as stores:
            for title, size in SIZES.items():
                yield measure(_hits(runner, stores, title, size), effort)
            runner.run(_close(stores))
        yield measure(_parts_of_a_hit(runner), effort)
        yield measure(_keys(runner), effort)
        with loopback() as server:
            for case, comparison in (("1kB", _missed_calls), ("events", _missed_streams)):
                client = _client(f"{server}/{case}")
                yield measure(comparison(runner, client), effort)
                runner.run(client.close())


def _client(server: str = "http://127.0.0.1:1") -> ChatCompletionClient:
    return OpenAICompatibleChatCompletionClient(model=work.MODEL, base_url=f"{server}/v1", api_key="sk-benchmark")


class _Answering(OpenAICompatibleChatCompletionClient):
    """A client that is asked once, to fill the cache."""

    def __init__(self, text: str) -> None:
        super().__init__(model=work.MODEL, base_url="http://127.0.0.1:1/v1", api_key="sk-benchmark")
        self._text = text

    async def create(self, *_: Any, **__: Any) -> CreateResult:
        return CreateResult(parts=[Text(text=self._text)], finish_reason="stop")


def _hits(runner: asyncio.Runner, stores: dict[str, CacheStore], title: str, size: int) -> Comparison:
    messages = work.question().request.messages
    asks: dict[str, Ask] = {}
    for name, store in stores.items():
        client = ChatCompletionCache(_Answering(whole(size).text), store)
        runner.run(_ask(client, messages, cache="refresh"))
        asks[name] = _asking(client, messages)
    return Comparison(f"cache: hit, {title}", _contenders(runner, asks), [MEMORY])


def _parts_of_a_hit(runner: asyncio.Runner) -> Comparison:
    """A request of 50 messages, whose answer of 1 kB is in memory."""
    asked = work.conversation().request
    client = ChatCompletionCache(_Answering("".join(words(200))))
    given = {"tools": asked.tools}
    runner.run(_ask(client, asked.messages, **given))
    key = runner.run(client.request_key(asked.messages, tools=asked.tools or ()))
    assert key is not None

    async def keyed() -> object:
        return await client.request_key(asked.messages, tools=asked.tools or ())

    async def hashed() -> object:
        return hashlib.sha256(key).hexdigest()

    asks: dict[str, Ask] = {
        "hit": _asking(client, asked.messages, **given),
        "request_key alone": keyed,
        "its hash alone": hashed,
    }
    return Comparison("cache: hit in memory, 50 messages, 10 tools", _contenders(runner, asks), ["hit"])


def _keys(runner: asyncio.Runner) -> Comparison:
    client = _client()
    asks: dict[str, Ask] = {}
    for count in (1, 50, 500):
        messages = [UserMessage(content="".join(words(60))) for _ in range(count)]
        asks[f"{count} messages"] = lambda messages=messages: client.request_key(messages)
    return Comparison("cache: request_key", _contenders(runner, asks), ["1 messages"])


def _missed_calls(runner: asyncio.Runner, client: ChatCompletionClient) -> Comparison:
    messages = work.question().request.messages
    asks = {name: _asking(one, messages) for name, one in ((CLIENT, client), (CACHE, _forgetful(client)))}
    return Comparison("cache: call that misses, over loopback", _contenders(runner, asks), [CLIENT])


def _missed_streams(runner: asyncio.Runner, client: ChatCompletionClient) -> Comparison:
    messages = work.question().request.messages

    def streaming(one: ChatCompletionClient) -> Callable[[], Awaitable[int]]:
        async def ask() -> int:
            async with one.stream(messages) as events:
                return len([event async for event in events])

        return ask

    entered = _forgetful(client)
    contenders = _contenders(runner, {CLIENT: streaming(client), CACHE: streaming(_forgetful(client))})

    async def inside(times: int) -> None:
        async with entered:
            ask = streaming(entered)
            for _ in range(times):
                await ask()

    contenders.append(Contender(ENTERED, lambda times: runner.run(inside(times))))
    return Comparison("cache: stream that misses, per event, over loopback", contenders, [CLIENT], EVENTS)


def _forgetful(client: ChatCompletionClient) -> ChatCompletionCache:
    """It does all its work, and never finds anything."""
    return ChatCompletionCache(client, InMemoryCacheStore(max_bytes=1))


def _asking(client: ChatCompletionClient, messages: Sequence[Message], **given: Any) -> Ask:
    return lambda: client.create(messages, **given)


async def _ask(client: ChatCompletionClient, messages: Sequence[Message], **given: Any) -> None:
    await client.create(messages, **given)


def _contenders(runner: asyncio.Runner, asks: dict[str, Ask]) -> list[Contender]:
    def repeated(ask: Ask) -> Callable[[int], None]:
        async def repeat(times: int) -> None:
            for _ in range(times):
                await ask()

        return lambda times: runner.run(repeat(times))

    return [Contender(name, repeated(ask)) for name, ask in asks.items()]


@contextmanager
def _stores() -> Generator[dict[str, CacheStore]]:
    """One of each; Redis where its server is installed."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stores: dict[str, CacheStore] = {MEMORY: InMemoryCacheStore(), DISK: DiskCacheStore(folder)}
        program = shutil.which("redis-server")
        if program is not None:
            stores[REDIS] = RedisCacheStore("127.0.0.1", stack.enter_context(_redis(program, folder)), timeout=30)
        yield stores


@contextmanager
def _redis(program: str, folder: str) -> Generator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if b"Ready to accept connections" in line:
                    break
            yield port
        finally:
            process.kill()


async def _close(stores: dict[str, CacheStore]) -> None:
    for store in stores.values():
        await store.aclose()
