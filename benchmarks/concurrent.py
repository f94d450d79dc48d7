"""Many at once: what a call costs among others, and what an open stream costs in CPU and memory."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import work
from benchmarks.answers import ANSWERS, SLOW_EVENTS, SLOW_PAUSE
from benchmarks.clients import CALLERS, STREAMERS
from benchmarks.clients.modelwire_client import ModelwireEvents, ModelwireFast
from benchmarks.clients.reference import ReferenceClient
from benchmarks.measure import Comparison, Result, Row, measure
from benchmarks.over_http import BASELINES, contenders
from benchmarks.server import loopback, open_many_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.clients import Streamer
    from benchmarks.measure import Effort

CALLS = 64
STREAMS = (500, 2000)
FEW = 20
"""Streams where next to no time is given."""

ROUNDS = 3
"""Most rounds of the streams: each takes a process and some seconds."""

AT_ONCE: tuple[type[Streamer], ...] = (ModelwireFast, ModelwireEvents, ReferenceClient)


def run(effort: Effort) -> Iterator[Result]:
    """Calls first, then streams."""
    with loopback() as server:
        yield _calls(server, effort)
        for count in STREAMS if effort.slice else (FEW,):
            yield _streams(server, count, min(effort.rounds, ROUNDS))


def _calls(server: str, effort: Effort) -> Result:
    clients = [kind(server, "1kB", work.question()) for kind in CALLERS]
    asks = {client.name: client.call for client in clients}
    with contenders(clients, asks, ANSWERS["1kB"].text, at_once=CALLS) as made:
        return measure(Comparison(f"concurrent: {CALLS} calls at once, per call", made, BASELINES, CALLS), effort)


def _streams(server: str, count: int, rounds: int) -> Result:
    """Over httpx there is no client here for more than a thousand: the time grows with the square of the connections."""
    kinds = [kind for kind in AT_ONCE if count <= 1000 or kind is not ModelwireEvents]
    found: dict[str, list[tuple[float, float | None, float | None]]] = {kind.name: [] for kind in kinds}
    for number in range(rounds):
        for kind in [*kinds[number % len(kinds) :], *kinds[: number % len(kinds)]]:
            found[kind.name].append(_in_a_process(server, kind.name, count))
    rows = [
        Row(name, [cpu for cpu, _, _ in values], {"RSS kB": values[-1][1], "kept kB": values[-1][2]})
        for name, values in found.items()
    ]
    title = (
        f"concurrent: {count} streams at once, {SLOW_EVENTS} events each every {SLOW_PAUSE * 1000:.0f} ms, per stream"
    )
    return Result(title, "µs", rows, (ReferenceClient.name,))


def _in_a_process(server: str, name: str, count: int) -> tuple[float, float | None, float | None]:
    command = [sys.executable, "-m", "benchmarks.concurrent", server, name, str(count)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=root)
    return tuple(json.loads(done.stdout))


# In that process --------------------------------------------------------------------------------------------------------


async def _at_once(client: Streamer, count: int) -> tuple[float, float | None, float | None]:
    """CPU µs of a stream, kB of resident memory that it takes while all are open, and kB of it that stay afterwards."""
    expected = ANSWERS["slow"].text
    assert await client.stream() == expected
    gc.collect()
    before = _resident()
    start = time.process_time()
    tasks = [asyncio.ensure_future(client.stream()) for _ in range(count)]
    await asyncio.sleep(SLOW_PAUSE * SLOW_EVENTS / 2)
    during = _resident()
    for text in await asyncio.gather(*tasks):
        assert text == expected
    cpu = time.process_time() - start
    del tasks
    await asyncio.sleep(0.1)
    gc.collect()
    after = _resident()
    memory = [None if before is None or now is None else max(0.0, now - before) / count for now in (during, after)]
    return cpu / count * 1e6, memory[0], memory[1]


def _resident() -> float | None:
    """KB of memory; `None` where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return float(status.partition("VmRSS:")[2].split()[0])


async def _main(server: str, name: str, count: int) -> None:
    (kind,) = (kind for kind in STREAMERS if kind.name == name)
    client = kind(server, "slow", work.question())
    try:
        print(json.dumps(await _at_once(client, count)))
    finally:
        await client.aclose()


if __name__ == "__main__":
    open_many_files()
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
