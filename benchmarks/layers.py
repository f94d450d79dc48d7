"""Where the time of a call and of a stream goes, by layer: `python -m benchmarks.layers`.

A sampling profiler: after each so many milliseconds of CPU a signal looks which function runs. What C code does (msgspec,
sockets, TLS) counts for the Python function that called it. Measuring every function instead, as cProfile does, would make
layers of many small functions look larger than they are.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import modelwire
from benchmarks import work
from benchmarks.answers import ANSWERS, EVENTS
from benchmarks.clients.modelwire_client import ModelwireEvents, ModelwireFast, ModelwireInMemory
from benchmarks.server import loopback

if TYPE_CHECKING:
    from types import FrameType

    from benchmarks.clients import Client

_MODELWIRE = Path(modelwire.__file__).parent
LAYERS = (
    ("modelwire: codec", (f"{_MODELWIRE}/providers/", f"{_MODELWIRE}/_frames", f"{_MODELWIRE}/_http.")),
    ("modelwire: types", (f"{_MODELWIRE}/types", f"{_MODELWIRE}/_mixins", f"{_MODELWIRE}/_fold")),
    ("modelwire: transport", (f"{_MODELWIRE}/_transport/",)),
    ("modelwire: client", (f"{_MODELWIRE}/",)),
    ("httpx", ("/httpx/",)),
    ("httpcore", ("/httpcore/",)),
    ("h11", ("/h11/",)),
    ("anyio", ("/anyio/", "/sniffio/")),
    ("event loop and sockets", ("/asyncio/", "/selectors.py", "/ssl.py")),
    ("the caller's own loop", ("/benchmarks/",)),
)
"""A function belongs to the first layer that has a piece of its file's path."""
OTHER = "standard library, other"

CASES: dict[str, tuple[type[Any], str, str, str, int]] = {
    "a call, 1 message, answer of 1 kB": (ModelwireEvents, "call", "1kB", "1 message", 1),
    "a call, 50 messages and 10 tools": (ModelwireEvents, "call", "1kB", "50 messages", 1),
    "an event, an HTTP chunk each": (ModelwireEvents, "stream", "events", "1 message", EVENTS),
    "an event, 16 kB HTTP chunks": (ModelwireEvents, "stream", "pieces", "1 message", EVENTS),
    "a call, the fast transport": (ModelwireFast, "call", "1kB", "1 message", 1),
    "an event, an HTTP chunk each, the fast transport": (ModelwireFast, "stream", "events", "1 message", EVENTS),
    "a call without HTTP": (ModelwireInMemory, "call", "1kB", "1 message", 1),
    "an event without HTTP, a chunk each": (ModelwireInMemory, "stream", "events", "1 message", EVENTS),
}
"""Client, verb, answer, request, and units in one run."""


class Sampler:
    """Counts samples by layer while it is entered."""

    def __init__(self, interval: float) -> None:
        self.samples: Counter[str] = Counter()
        self.cpu = 0.0
        self._interval = interval

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPROF, self._sample)
        self.cpu = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, self._interval, self._interval)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.cpu = time.process_time() - self.cpu

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        if frame is not None:
            self.samples[layer_of(frame.f_code.co_filename)] += 1


def layer_of(file: str) -> str:
    """The layer that a function of this file belongs to."""
    return next((name for name, pieces in LAYERS if any(piece in file for piece in pieces)), OTHER)


def profile(title: str, server: str, seconds: float) -> tuple[float, dict[str, float]]:
    """CPU microseconds for one unit, and the share of each layer."""
    kind, verb, case, asked, units = CASES[title]
    request = work.question() if asked == "1 message" else work.conversation()
    client: Client = kind(server, case, request)
    with asyncio.Runner() as runner:
        count = runner.run(_repeat(client, verb, ANSWERS[case].text, seconds / 4))  # warm
        with Sampler(0.001) as sampler:
            count = runner.run(_repeat(client, verb, ANSWERS[case].text, seconds))
        runner.run(client.aclose())
    total = sampler.samples.total() or 1
    return sampler.cpu / count / units * 1e6, {name: seen / total for name, seen in sampler.samples.most_common()}


async def _repeat(client: Any, verb: str, expected: str, seconds: float) -> int:
    ask, count, end = getattr(client, verb), 0, time.process_time() + seconds
    while time.process_time() < end:
        if await ask() != expected:
            raise AssertionError("the client reads another text")
        count += 1
    return count


def main() -> int:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU of each case (default: %(default)g)")
    seconds = parser.parse_args().seconds
    with loopback() as server:
        for title in CASES:
            each, shares = profile(title, server, seconds)
            print(f"\n{title}: {each:.3g} µs of CPU")
            for name, share in shares.items():
                print(f"  {share:4.0%}  {each * share:7.3g} µs  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
