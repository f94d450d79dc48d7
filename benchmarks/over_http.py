"""What calls and streams cost over loopback: modelwire, bare httpx, and the limit, against the same server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal

from benchmarks import work
from benchmarks.answers import ANSWERS, EVENTS, PACED_EVENTS, PAUSE
from benchmarks.clients import CALLERS, ON_TRIO, STREAMERS
from benchmarks.clients.bare_httpx import HttpxJson, HttpxPrepared
from benchmarks.clients.reference import ReferenceClient, TrioReferenceClient
from benchmarks.measure import Comparison, Contender, measure
from benchmarks.server import loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping, Sequence
    from typing import Literal

    from benchmarks.clients import Client
    from benchmarks.measure import Effort, Result
    from benchmarks.work import Work

    Ask = Callable[[], Awaitable[str]]

TRIO_BASELINES = (HttpxPrepared.name, TrioReferenceClient.name)
BASELINES = (HttpxJson.name, HttpxPrepared.name, ReferenceClient.name)


def run_calls(effort: Effort) -> Iterator[Result]:
    """Calls that wait for the whole answer."""
    with loopback() as server:
        for case, asked in (("1kB", work.question()), ("20kB", work.question()), ("1kB", work.conversation())):
            yield _calls(server, case, asked, effort)
        yield _calls_on_trio(server, effort)


def run_streams(effort: Effort) -> Iterator[Result]:
    """Streams, by how their events reach the client. The request is in it: a part in 500 of it in each event."""
    titles = {
        "events": (f"an HTTP chunk an event, {EVENTS} at once", EVENTS),
        "pieces": (f"16 kB HTTP chunks, {EVENTS} events", EVENTS),
        "paced": (f"a write every {PAUSE * 1000:g} ms, {PACED_EVENTS} events", PACED_EVENTS),
    }
    with loopback() as server:
        for case, (title, count) in titles.items():
            yield _streams(server, case, f"stream, per event: {title}", count, effort)
        for case, (title, count) in titles.items():
            yield _streams_on_trio(server, case, f"stream, per event, on trio: {title}", count, effort)


def _calls(server: str, case: str, asked: Work, effort: Effort) -> Result:
    clients = [kind(server, case, asked) for kind in CALLERS]
    asks = {client.name: client.call for client in clients}
    with contenders(clients, asks, ANSWERS[case].text) as made:
        return measure(Comparison(f"call: {asked.title}, answer of {case}", made, BASELINES), effort)


def _streams(server: str, case: str, title: str, count: int, effort: Effort) -> Result:
    clients = [kind(server, case, work.question()) for kind in STREAMERS]
    asks = {client.name: client.stream for client in clients}
    with contenders(clients, asks, ANSWERS[case].text) as made:
        return measure(Comparison(title, made, BASELINES, count), effort)


def _calls_on_trio(server: str, effort: Effort) -> Result:
    clients = [kind(server, "1kB", work.question()) for kind in ON_TRIO]
    asks = {client.name: client.call for client in clients}
    with contenders(clients, asks, ANSWERS["1kB"].text, loop="trio") as made:
        return measure(Comparison("call, on trio: 1 message, answer of 1kB", made, TRIO_BASELINES), effort)


def _streams_on_trio(server: str, case: str, title: str, count: int, effort: Effort) -> Result:
    clients = [kind(server, case, work.question()) for kind in ON_TRIO]
    asks = {client.name: client.stream for client in clients}
    with contenders(clients, asks, ANSWERS[case].text, loop="trio") as made:
        return measure(Comparison(title, made, TRIO_BASELINES, count), effort)


@contextmanager
def contenders(
    clients: Sequence[Client],
    asks: Mapping[str, Ask],
    expected: str,
    *,
    at_once: int = 1,
    loop: Literal["asyncio", "trio"] = "asyncio",
) -> Generator[list[Contender]]:
    """All in one event loop, each with its connections warm, and checked: a wrong answer may well be a fast one."""
    with _running(loop) as run:
        try:
            run(_check, asks, expected)
            yield [Contender(name, _repeated(run, ask, at_once)) for name, ask in asks.items()]
        finally:
            run(_close, clients)


@contextmanager
def _running(loop: Literal["asyncio", "trio"]) -> Generator[Callable[..., Any]]:
    """What runs coroutine functions, in one event loop that lives meanwhile."""
    if loop == "asyncio":
        with asyncio.Runner() as runner:
            yield lambda function, *arguments: runner.run(function(*arguments))
    else:  # in a thread, since no loop of trio can be left and entered again
        with start_blocking_portal(loop) as portal:
            yield portal.call


async def _check(asks: Mapping[str, Ask], expected: str) -> None:
    for name, ask in asks.items():
        if await ask() != expected:
            raise AssertionError(f"{name} reads another text: its time would mean nothing")


async def _close(clients: Sequence[Client]) -> None:
    async with AsyncExitStack() as stack:
        for client in clients:
            stack.push_async_callback(client.aclose)


def _repeated(run: Callable[..., Any], ask: Ask, at_once: int) -> Callable[[int], None]:
    async def repeat(times: int) -> None:
        for _ in range(times):
            if at_once == 1:
                await ask()
            else:
                await asyncio.gather(*(ask() for _ in range(at_once)))

    return lambda times: run(repeat, times)
