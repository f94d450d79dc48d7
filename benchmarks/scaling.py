"""Whether ten times as much takes ten times as long: streams, histories, arguments of tools, frames cut into pieces."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks import dialects, work
from benchmarks.answers import ANSWERS, events, in_pieces
from benchmarks.clients.modelwire_client import ModelwireInMemory
from benchmarks.measure import Comparison, Contender, measure
from modelwire._fold import fold
from modelwire._frames import SseFramer
from modelwire.providers import codec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.measure import Effort, Result

SMALL, LARGE = "so much", "ten times as much"
FRAGMENT = 1000
"""Bytes of arguments in an event."""


def run(effort: Effort) -> Iterator[Result]:
    """All comparisons of this suite."""
    keep_memory()
    yield measure(_scaled("events of Chat Completions, 1,000", 1000, _chat), effort)
    for make in (dialects.anthropic, dialects.responses, dialects.gemini, dialects.ollama):
        title = f"events of {make(1).title}, 300"
        yield measure(_scaled(title, 300, lambda count, make=make: _dialect(make, count)), effort)
    for title, make in (("Chat Completions", _chat_arguments), ("Anthropic", _anthropic_arguments)):
        yield measure(_scaled(f"1 MB of a tool's arguments of {title}, in fragments of 1 kB", 1000, make), effort)
    yield measure(_scaled("one event of 1 MB, in reads of 1 kB", 1000, _frame), effort)
    with asyncio.Runner() as runner:
        yield measure(_scaled("a call with 50 messages", 50, lambda count: _history(runner, count)), effort)


def keep_memory() -> None:
    """Tell the C library to give no memory back to the system.

    It does by itself with what is large, so that each run of ten times as much pays for its pages anew, and one of so much
    does not: 10 MB in one event then take 21 times as long as 1 MB. That is the system's time, whoever asks for memory.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)  # of glibc; others may lack it
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
        mallopt(mmap_threshold, 2**25)
        mallopt(trim_threshold, 2**30)
        mallopt(top_pad, 2**26)


def _scaled(title: str, count: int, make: Callable[[int], Callable[[int], object]]) -> Comparison:
    contenders = [Contender(name, make(size)) for name, size in ((SMALL, count), (LARGE, 10 * count))]
    return Comparison(f"scaling: {title}", contenders, (SMALL,))


def _repeated(way: Callable[[], Any]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            way()

    return run


# What is repeated ------------------------------------------------------------------------------------------------------


def _decoded(dialect: str, pieces: Sequence[bytes], expected: int) -> Callable[[int], object]:
    """A stream to its result, as a client does it; the result has so many characters."""
    codec = codec_for(dialect)

    def run() -> int:
        decoder = codec.stream_decoder()
        found = [event for piece in pieces for event in decoder.feed(piece)]
        if not found or found[-1].type != "finish":
            found += decoder.close()
        result = fold(found)
        return len(result.text) + sum(len(call.arguments) for call in result.tool_calls)

    if run() != expected:
        raise AssertionError(f"{dialect}: the stream was not read to its end: its time would mean nothing")
    return _repeated(run)


def _chat(count: int) -> Callable[[int], object]:
    return _decoded("openai-chat", in_pieces(b"".join(events(count))), dialects.length(count))


def _dialect(make: Callable[[int], dialects.Dialect], count: int) -> Callable[[int], object]:
    dialect = make(count)
    return _decoded(dialect.codec, in_pieces(b"".join(dialect.frames)), dialects.length(count))


def _fragments(count: int) -> list[str]:
    return ['{"text": "', *["x" * FRAGMENT] * count, '"}']


def _arguments(
    dialect: str, before: list[Any], made: Callable[[str], Any], after: list[Any], count: int
) -> Callable[[int], object]:
    fragments = _fragments(count)
    frames = [b"data: %b\n\n" % msgspec.json.encode(event) for event in (*before, *map(made, fragments), *after)]
    return _decoded(dialect, frames, sum(map(len, fragments)))


def _chat_arguments(count: int) -> Callable[[int], object]:
    def chunk(call: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
        delta = {"tool_calls": [{"index": 0, **call}]} if call else {}
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    first = chunk({"id": "call_1", "type": "function", "function": {"name": "write", "arguments": ""}})
    made = lambda fragment: chunk({"function": {"arguments": fragment}})  # noqa: E731  # beside what it belongs to
    return _arguments("openai-chat", [first], made, [chunk(None, "tool_calls")], count)


def _anthropic_arguments(count: int) -> Callable[[int], object]:
    block = {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {}}
    before = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    delta = {"type": "content_block_delta", "index": 0}
    made = lambda fragment: {**delta, "delta": {"type": "input_json_delta", "partial_json": fragment}}  # noqa: E731
    after = [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]
    return _arguments("anthropic", before, made, after, count)


def _frame(count: int) -> Callable[[int], object]:
    read = b"x" * 1000
    reads = [b"data: ", *[read] * count, b"\n\n"]

    def run() -> None:
        feed = SseFramer().feed
        if sum(len(frame) for each in reads for frame in feed(each)) != 1000 * count:
            raise AssertionError("the event was not read whole")

    return _repeated(run)


def _history(runner: asyncio.Runner, count: int) -> Callable[[int], object]:
    asked = work.conversation()
    messages = list(asked.request.messages) * (count // len(asked.request.messages))
    client = ModelwireInMemory(
        "http://127.0.0.1:1", "1kB", asked._replace(request=msgspec.structs.replace(asked.request, messages=messages))
    )
    if runner.run(client.call()) != ANSWERS["1kB"].text:
        raise AssertionError("the client reads another text")

    async def repeat(times: int) -> None:
        for _ in range(times):
            await client.call()

    return lambda times: runner.run(repeat(times))
