"""What translating costs, without any network: modelwire's codec, `json` with dicts, and msgspec with structs of the wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks import wire, work
from benchmarks.answers import ANSWERS, EVENTS, in_pieces, words
from benchmarks.dialects import DIALECTS
from benchmarks.measure import Comparison, Contender, measure
from modelwire import OpenAICompatibleChatCompletionClient, TextDelta
from modelwire.providers import codec_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.answers import Answer
    from benchmarks.dialects import Dialect
    from benchmarks.measure import Effort, Result
    from benchmarks.work import Work

MODELWIRE, JSON, STRUCTS = "modelwire", "json and dict", "msgspec, ready structs"
WHOLE = "msgspec, all members"
"""With as much of an answer as modelwire's result has; the other structs have what the text needs, and three counts."""
COPY = "a copy of the body"
LARGE = 100_000
"""Bytes of a body from which on it costs something to move it."""


def run(effort: Effort) -> Iterator[Result]:
    """All comparisons of this suite."""
    for asked in (work.question(), work.conversation(), work.picture()):
        yield measure(encode(asked), effort)
    for case in ("1kB", "20kB"):
        yield measure(decode(case, ANSWERS[case]), effort)
    yield measure(stream("an event a read", ANSWERS["events"]), effort)
    yield measure(stream("16 kB reads", ANSWERS["pieces"]), effort)
    for dialect in DIALECTS:
        yield measure(stream_of(dialect, "an event a read", dialect.frames), effort)
        yield measure(stream_of(dialect, "16 kB reads", in_pieces(b"".join(dialect.frames))), effort)


def encode(asked: Work) -> Comparison:
    """A request to its body; a large one beside a copy of that in memory."""
    codec, info = _client().codec, _client().model_info
    ways: dict[str, Callable[[], object]] = {
        MODELWIRE: lambda: codec.encode(asked.request, info),
        JSON: lambda: _dumped(asked.body),
        STRUCTS: lambda: wire.encode(asked.wire),
    }
    body = codec.encode(asked.request, info).body
    if len(body) > LARGE:
        ways[COPY] = lambda: bytearray(body)
    return _comparison(f"encode: {asked.title}", ways)


def decode(case: str, answer: Answer) -> Comparison:
    """A body to its text, and to all else that the way gives."""
    codec, body = _client().codec, answer.body

    def modelwire() -> str:
        return codec.decode(body).text

    def plain() -> str:
        return json.loads(body)["choices"][0]["message"]["content"]

    def structs() -> str:
        return wire.text_of(wire.decode_answer(body))

    def whole() -> str:
        return wire.text_of(wire.decode_whole_answer(body))

    ways = {MODELWIRE: modelwire, JSON: plain, WHOLE: whole, STRUCTS: structs}
    _check(ways, answer.text)
    return _comparison(f"decode: answer of {case}", ways)


def stream(title: str, answer: Answer) -> Comparison:
    """Pieces of a streamed body to its text, event by event."""
    codec, pieces = _client().codec, answer.pieces

    def modelwire() -> str:
        feed = codec.stream_decoder().feed
        return "".join([event.text for piece in pieces for event in feed(piece) if type(event) is TextDelta])

    def plain() -> str:
        return "".join([text for chunk in _loaded(pieces) for text in _texts(chunk)])

    def structs() -> str:
        feed = wire.Frames().feed
        return "".join([wire.delta_of(chunk) for piece in pieces for chunk in feed(piece)])

    ways = {MODELWIRE: modelwire, JSON: plain, STRUCTS: structs}
    _check(ways, answer.text)
    return _comparison(f"stream decode, per event: {title}", ways, per=EVENTS)


def stream_of(dialect: Dialect, title: str, pieces: tuple[bytes, ...]) -> Comparison:
    """The same for another wire format."""
    codec = codec_for(dialect.codec)

    def modelwire() -> str:
        feed = codec.stream_decoder().feed
        return "".join([event.text for piece in pieces for event in feed(piece) if type(event) is TextDelta])

    def plain() -> str:
        return "".join([dialect.plain(json.loads(found)) for found in _events(dialect, pieces)])

    def structs() -> str:
        text, decode = dialect.text, dialect.decode
        return "".join([text(decode(found)) for found in _events(dialect, pieces)])

    ways = {MODELWIRE: modelwire, JSON: plain, STRUCTS: structs}
    _check(ways, "".join(words(EVENTS)))
    return _comparison(f"stream decode, per event: {dialect.title}, {title}", ways, per=EVENTS)


def _events(dialect: Dialect, pieces: tuple[bytes, ...]) -> list[bytes]:
    """The JSON of each event."""
    end, rest = dialect.end, b""
    found: list[bytes] = []
    for piece in pieces:
        *frames, rest = ((rest + piece) if rest else piece).split(end)
        found += [frame[frame.index(b"{") :] for frame in frames]
    return found


def _client() -> OpenAICompatibleChatCompletionClient:
    return OpenAICompatibleChatCompletionClient(model=work.MODEL, base_url="http://127.0.0.1:1/v1")


def _dumped(body: Any) -> bytes:
    """As httpx does it for `json=`."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _loaded(pieces: tuple[bytes, ...]) -> Iterator[dict[str, Any]]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                yield json.loads(line[6:])


def _texts(chunk: dict[str, Any]) -> list[str]:
    return [choice["delta"].get("content") or "" for choice in chunk["choices"]]


def _check(ways: dict[str, Callable[[], str]], expected: str) -> None:
    for name, way in ways.items():
        if way() != expected:
            raise AssertionError(f"{name} reads another text: its time would mean nothing")


def _comparison(title: str, ways: dict[str, Callable[[], Any]], per: int = 1) -> Comparison:
    contenders = [Contender(name, _repeated(way)) for name, way in ways.items()]
    return Comparison(title, contenders, [name for name in (JSON, WHOLE, STRUCTS, COPY) if name in ways], per)


def _repeated(way: Callable[[], Any]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            way()

    return run
