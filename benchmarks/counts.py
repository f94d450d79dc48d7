"""The gate: what hot paths do, counted instead of timed, against what was accepted.

`steps` are bytecode instructions that run in modelwire's own code, `calls` are the functions it enters and the functions
of C that it calls, and `peak bytes` is what one run has allocated at once. On one minor version of Python and on fixed
inputs these do not change from run to run or from machine to machine, however busy: a hot path that became dearer is
seen by a test in seconds. Time that C code takes for one call (msgspec, memory copies) is not seen; benchmarks are.

    python -m benchmarks.counts            # what differs from benchmarks/counts.json
    python -m benchmarks.counts --accept   # these are the counts from now on
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

import modelwire
from benchmarks import work
from benchmarks.answers import ANSWERS, in_pieces
from benchmarks.clients.modelwire_client import (
    ModelwireEvents,
    ModelwireFast,
    ModelwireInMemory,
    ModelwireTextInMemory,
)
from benchmarks.dialects import DIALECTS
from modelwire._transport.fast.connection import READ_AHEAD
from modelwire._transport.fast.on_asyncio import AsyncioConnection
from modelwire.providers import codec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping
    from types import CodeType, FrameType

    from modelwire.protocols import Codec

ACCEPTED = Path(__file__).with_name("counts.json")
DEARER = 0.05
"""Part of an accepted count by which a path may become dearer."""
SLACK_BYTES = 512
"""Bytes beside that: a release of msgspec or of Python may use some more for a small thing."""
PYTHON = "3.11"
"""The minor version whose instructions are counted: another one has others."""

_OURS = str(Path(modelwire.__file__).parent)
_WARM = 3
"""Runs before the one that is counted: caches, lazy imports, and what msgspec makes at a first use."""


class Counts(NamedTuple):
    """What one run of a path did."""

    steps: int
    calls: int
    peak_bytes: int


# Counting --------------------------------------------------------------------------------------------------------------


class _Counter:
    """Follows modelwire's frames, and no others: what a library beneath does is that library's."""

    def __init__(self) -> None:
        self.steps = 0
        self.calls = 0
        self._ours: dict[CodeType, bool] = {}

    def is_ours(self, frame: FrameType) -> bool:
        code = frame.f_code
        known = self._ours.get(code)
        if known is None:
            known = self._ours[code] = code.co_filename.startswith(_OURS)
        return known

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            self.steps += 1
        elif event == "call":
            if not self.is_ours(frame):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.trace

    def profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event in ("call", "c_call") and self.is_ours(frame):
            self.calls += 1


def count(run: Callable[[], object]) -> Counts:
    """What `run` does once it is warm."""
    for _ in range(_WARM):
        run()
    counter = _Counter()
    gc.collect()
    gc.disable()  # a collection runs finalizers, whoever's they are
    try:
        sys.settrace(counter.trace)
        try:
            run()
        finally:
            sys.settrace(None)
        sys.setprofile(counter.profile)
        try:
            run()
        finally:
            sys.setprofile(None)
        return Counts(counter.steps, counter.calls, _peak(run))
    finally:
        gc.enable()


def _peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        run()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# Paths -----------------------------------------------------------------------------------------------------------------


def paths() -> Iterator[tuple[str, Callable[[], object]]]:
    """Every path that is watched."""
    info: Any = {"family": "unknown"}
    asked = {"1 message": work.question(), "50 messages, 10 tools": work.conversation(), "1 MB image": work.picture()}
    for dialect in ("openai-chat", "openai-responses", "anthropic", "gemini", "ollama"):
        codec = codec_for(dialect)
        for title, one in asked.items():
            yield f"{dialect}: encode {title}", _encode(codec, one.request, info)
    chat = codec_for("openai-chat")
    for case in ("1kB", "20kB"):
        yield f"openai-chat: decode {case}", lambda body=ANSWERS[case].body: chat.decode(body)
    streams = {"openai-chat": ANSWERS["events"].pieces} | {dialect.codec: dialect.frames for dialect in DIALECTS}
    for dialect, frames in streams.items():
        codec = codec_for(dialect)
        yield f"{dialect}: stream, an event a read", _stream(codec, frames)
        yield f"{dialect}: stream, 16 kB reads", _stream(codec, in_pieces(b"".join(frames)))
    with asyncio.Runner() as runner:
        for kind, verb, case, title, question in CLIENTS:
            client = kind("http://127.0.0.1:1", case, asked[question])
            yield f"client: {kind.name}, {title}", _driven(runner, getattr(client, verb))
            runner.run(client.aclose())


class _OverMock(ModelwireEvents):
    """The client with its own transport, over an httpx that answers from memory."""

    name = "httpx without a network"

    def __init__(self, server: str, case: str, asked: work.Work) -> None:
        super().__init__(server, case, asked)
        transport: Any = self._client.transport
        answer = ANSWERS[case]
        kind = "text/event-stream" if answer.stream else "application/json"
        mock = httpx.MockTransport(
            lambda _: httpx.Response(200, headers={"content-type": kind}, stream=_Pieces(answer.pieces))
        )
        transport._client = httpx.AsyncClient(transport=mock)  # noqa: SLF001  # before it makes one itself


class _OverFast(ModelwireFast):
    """The client with its fast transport, over connections that are answered from memory."""

    name = "the fast transport without a network"

    def __init__(self, server: str, case: str, asked: work.Work) -> None:
        super().__init__(server, case, asked)
        self._answer = b"".join(ANSWERS[case].wire())
        self._wired = False

    def _wire(self) -> None:
        """Put the connection's end into memory; only inside an event loop is there a pool."""
        if not self._wired:
            transport: Any = self._client.transport
            transport.core.pool().network.connect = self._connect
            self._wired = True

    async def call(self) -> str:
        self._wire()
        return await super().call()

    async def stream(self) -> str:
        self._wire()
        return await super().stream()

    async def _connect(self, origin: Any, _tls: Any) -> AsyncioConnection:
        loop = asyncio.get_running_loop()
        connection = AsyncioConnection(origin, loop, memoryview(bytearray(READ_AHEAD)), lambda _: None)
        connection.connection_made(_Socket(connection, loop, self._answer))
        return connection


class _Socket(asyncio.Transport):
    """Answers each write, a full buffer at a time, and keeps what is left while nobody wants to read it."""

    def __init__(self, connection: AsyncioConnection, loop: asyncio.AbstractEventLoop, answer: bytes) -> None:
        super().__init__()
        self._connection, self._loop, self._answer = connection, loop, answer
        self._left = b""
        self._reading = True

    def write(self, data: Any) -> None:
        del data
        self._left = self._answer
        self._loop.call_soon(self._read)

    def _read(self) -> None:
        if self._left and self._reading:
            piece, self._left = self._left[:READ_AHEAD], self._left[READ_AHEAD:]
            self._connection.get_buffer(-1)[: len(piece)] = piece
            self._connection.buffer_updated(len(piece))
            self._loop.call_soon(self._read)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._loop.call_soon(self._read)

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self._left = b""


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> Any:
        for piece in self._pieces:
            yield piece


CLIENTS: tuple[tuple[type[Any], str, str, str, str], ...] = (
    (ModelwireInMemory, "call", "1kB", "a call", "1 message"),
    (ModelwireInMemory, "call", "1kB", "50 messages and 10 tools", "50 messages, 10 tools"),
    (ModelwireInMemory, "stream", "events", "an event a chunk", "1 message"),
    (ModelwireInMemory, "stream", "pieces", "16 kB chunks", "1 message"),
    (ModelwireTextInMemory, "stream", "events", "an event a chunk", "1 message"),
    (_OverMock, "call", "1kB", "a call", "1 message"),
    (_OverMock, "stream", "events", "an event a chunk", "1 message"),
    (_OverFast, "call", "1kB", "a call", "1 message"),
    (_OverFast, "stream", "events", "an event a chunk", "1 message"),
)


def _encode(codec: Codec, request: Any, info: Any) -> Callable[[], object]:
    return lambda: codec.encode(request, info)


def _stream(codec: Codec, pieces: tuple[bytes, ...]) -> Callable[[], object]:
    def run() -> None:
        feed = codec.stream_decoder().feed
        for piece in pieces:
            feed(piece)

    return run


def _driven(runner: asyncio.Runner, ask: Callable[[], Coroutine[Any, Any, str]]) -> Callable[[], object]:
    return lambda: runner.run(ask())


# Comparing -------------------------------------------------------------------------------------------------------------


def counted() -> dict[str, Counts]:
    """The counts of every path."""
    return {name: count(run) for name, run in paths()}


def accepted() -> dict[str, Counts]:
    """The counts that were accepted last."""
    return {name: Counts(*counts.values()) for name, counts in json.loads(ACCEPTED.read_text()).items()}


def accept(found: Mapping[str, Counts]) -> None:
    """Take these for right from now on."""
    ACCEPTED.write_text(json.dumps({name: counts._asdict() for name, counts in found.items()}, indent=1) + "\n")


def differences(found: Mapping[str, Counts], before: Mapping[str, Counts], most: float = DEARER) -> list[str]:
    """What became dearer by more than `most`, and which paths were never counted or are gone."""
    lines = [f"{name}: {'not counted before' if name in found else 'gone'}" for name in found.keys() ^ before.keys()]
    for name in found.keys() & before.keys():
        for what, now, then in zip(Counts._fields, found[name], before[name], strict=True):
            slack = SLACK_BYTES if what == "peak_bytes" else 0
            if now > then * (1 + most) + slack:
                lines.append(f"{name}: {what} {then} -> {now}" + (f" ({now / then - 1:+.0%})" if then else ""))
    return sorted(lines)


def main() -> int:
    """Compare, or accept; 1 where a path became dearer, 2 where nothing can be said."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accept", action="store_true", help="take the counts of today for right from now on")
    arguments = parser.parse_args()
    if not platform.python_version().startswith(f"{PYTHON}."):
        print(f"the counts are those of Python {PYTHON}, and this is {platform.python_version()}: nothing to compare")
        return 2
    found = counted()
    if arguments.accept:
        accept(found)
        return 0
    before = accepted()
    for name in sorted(found.keys() & before.keys()):
        print(name, *map(_change, Counts._fields, found[name], before[name]), sep="  ")
    dearer = differences(found, before)
    if dearer:
        print(f"\nDearer than accepted, by more than {DEARER:.0%}:", *dearer, sep="\n  ")
        print("Is it worth that? `make counts` accepts it, and the commit message says why.")
    return 1 if dearer else 0


def _change(what: str, now: int, then: int) -> str:
    return f"{what} {now} ({now / then - 1:+.1%})"


if __name__ == "__main__":
    sys.exit(main())
