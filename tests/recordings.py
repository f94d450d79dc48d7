"""Answers and requests of all dialects as bytes: the project's own fixtures, and recorded exchanges where they are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire._fold import fold
from modelwire.providers import CODECS, codec_for
from modelwire.providers._openai_chat import Quirks
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.providers.compatible import PRESETS
from tests.corpus import find_corpus
from tests.providers.chat_wire import codec_of, quirks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelwire.protocols import Codec
    from modelwire.types import CreateResult, StreamEvent

DIALECTS = [*CODECS]
_FIXTURES = Path(__file__).parent / "providers" / "fixtures"
_PRESET_OF = {"llama-cpp": "llama.cpp", "llamacpp": "llama.cpp"}
_OLLAMA = (b"""\
{"model":"q","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hello","thinking":"Hm"},\
"done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":3,"eval_count":2}
""", b"""\
{"model":"q","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"","thinking":"Hm"}}
{"model":"q","created_at":"2026-01-01T00:00:00Z","message":{"role":"assistant","content":"Hi"}}
{"model":"q","created_at":"2026-01-01T00:00:01Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"c1",\
"function":{"index":0,"name":"f","arguments":{"a":1}}}]},"done":true,\
"done_reason":"stop","total_duration":5,"load_duration":1,"prompt_eval_count":3,"eval_count":2}
""")  # fmt: skip
"""A whole answer and a stream: this dialect has no fixtures of its own."""


class Recording(NamedTuple):
    """One answer with status 200."""

    name: str
    codec: Codec
    streamed: bool
    body: bytes
    request: bytes | None = None

    def result(self) -> CreateResult:
        """What it says; raises as the codec does."""
        return fold(read(self.codec, [self.body])) if self.streamed else self.codec.decode(self.body)


def read(codec: Codec, pieces: Iterable[bytes]) -> list[StreamEvent]:
    """The events of a stream that comes in these pieces; raises as the decoder does."""
    decoder = codec.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


@cache
def recordings(dialect: str) -> list[Recording]:
    """All of a dialect."""
    return [*_own(dialect), *_recorded(dialect)]


def _own(dialect: str) -> Iterator[Recording]:
    if dialect == "ollama":
        for index, body in enumerate(_OLLAMA):
            yield Recording(f"ollama-{index}", codec_for(dialect), body.count(b"\n") > 1, body)
        return
    for path in sorted((_FIXTURES / dialect.replace("-", "_")).iterdir()):
        if path.stem == "request":
            continue
        codec = codec_for(dialect)
        if dialect == "openai-chat":
            codec = codec_of(path.stem.rpartition("-")[0].split("-")[0])
        yield Recording(path.name, codec, path.suffix == ".sse", path.read_bytes())


def _recorded(dialect: str) -> Iterator[Recording]:
    root = find_corpus()
    for path in sorted(root.rglob("*.json")) if root is not None else ():
        if not _may_hold(path, dialect):
            continue
        case = json.loads(path.read_bytes())
        if case["status"] != 200 or _dialect_of(case) != dialect:
            continue
        body = _body(case)
        asked = case["request_body"]
        request = None if asked is None else json.dumps(asked).encode()
        streamed = case["body_framing"] in ("sse", "data-lines", "ndjson")
        yield Recording(path.stem, _codec(case, dialect), streamed, body, request)


def _may_hold(path: Path, dialect: str) -> bool:
    """By its folder, since reading all of them takes a while."""
    folder = path.relative_to(find_corpus() or path).parts[0]
    chat = ("openai-chat", "openai-compatible", "azure-openai")
    return folder in {"openai-chat": chat, "openai-responses": ("openai-responses", "azure-openai")}.get(
        dialect, (dialect,)
    )


def _dialect_of(case: dict[str, Any]) -> str | None:
    return {
        "chat": "openai-chat",
        "responses": "openai-responses",
        "messages": "anthropic",
        "generateContent": "gemini",
        "ollama-chat": "ollama",
    }.get(case["api"])


def _codec(case: dict[str, Any], dialect: str) -> Codec:
    name = {"openai-chat": "openai", "azure-openai": "azure"}.get(case["provider"], case["provider"].rpartition(":")[2])
    if dialect == "openai-responses":
        return ResponsesCodec("", "azure" if name == "azure" else "openai")
    if dialect != "openai-chat":
        return codec_for(dialect)
    name = _PRESET_OF.get(name, name)
    return codec_of(quirks_of(name) if name in PRESETS or name in ("openai", "azure") else Quirks(provider=name))


def _body(case: dict[str, Any]) -> bytes:
    text: str = case["response_body"]
    if case["body_framing"] != "data-lines":
        return text.encode()
    return b"".join(b"data: %b\n\n" % line.encode() for line in text.splitlines())
