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

    from benchmarks.clients import Client, Streamer
    from benchmarks.measure import Effort, Result

    Ask = Callable[[], Awaitable[str]]
    Loop = Literal["asyncio", "trio"]

BASELINES = (HttpxJson.name, HttpxPrepared.name, ReferenceClient.name)
_BASELINES = {"asyncio": BASELINES, "trio": (HttpxPrepared.name, TrioReferenceClient.name)}


def run_calls(effort: Effort) -> Iterator[Result]:
    """Calls that wait for the whole answer."""
    with loopback() as server:
        for case, asked in (("1kB", work.question()), ("20kB", work.question()), ("1kB", work.conversation())):
            title = f"call: {asked.title}, answer of {case}"
            yield _compared(title, [kind(server, case, asked) for kind in CALLERS], "call", case, effort)
        clients = [kind(server, "1kB", work.question()) for kind in ON_TRIO]
        title = "call, on trio: 1 message, answer of 1kB"
        yield _compared(title, clients, "call", "1kB", effort, loop="trio")


def run_streams(effort: Effort) -> Iterator[Result]:
    """Streams, by how their events reach the client. The request is in it: a part in 500 of it in each event."""
    titles = {
        "events": (f"an HTTP chunk an event, {EVENTS} at once", EVENTS),
        "pieces": (f"16 kB HTTP chunks, {EVENTS} events", EVENTS),
        "paced": (f"a write every {PAUSE * 1000:g} ms, {PACED_EVENTS} events", PACED_EVENTS),
    }
    with loopback() as server:
        loops: tuple[tuple[Loop, str, Sequence[type[Streamer]]], ...] = (
            ("asyncio", "", STREAMERS),
            ("trio", ", on trio", ON_TRIO),
        )
        for loop, where, kinds in loops:
            for case, (how, count) in titles.items():
                clients = [kind(server, case, work.question()) for kind in kinds]
                title = f"stream, per event{where}: {how}"
                yield _compared(title, clients, "stream", case, effort, count=count, loop=loop)


def _compared(
    title: str,
    clients: Sequence[Client],
    verb: Literal["call", "stream"],
    case: str,
    effort: Effort,
    *,
    count: int = 1,
    loop: Loop = "asyncio",
) -> Result:
    """Clients that do the same, in one event loop; `count` are the events of a stream."""
    asks: dict[str, Ask] = {client.name: getattr(client, verb) for client in clients}
    with contenders(clients, asks, ANSWERS[case].text, loop=loop) as made:
        return measure(Comparison(title, made, _BASELINES[loop], count), effort)


@contextmanager
def contenders(
    clients: Sequence[Client],
    asks: Mapping[str, Ask],
    expected: str,
    *,
    at_once: int = 1,
    loop: Loop = "asyncio",
) -> Generator[list[Contender]]:
    """All in one event loop, each with its connections warm, and checked: a wrong answer may well be a fast one."""
    with _running(loop) as run:
        try:
            run(_check, asks, expected)
            yield [Contender(name, _repeated(run, ask, at_once)) for name, ask in asks.items()]
        finally:
            run(_close, clients)


@contextmanager
def _running(loop: Loop) -> Generator[Callable[..., Any]]:
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
