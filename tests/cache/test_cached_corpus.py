"""Every recorded answer, through the cache: what a hit gives is what the miss gave, but for `cached`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from modelwire import (
    ChatCompletionCache,
    ChatCompletionClient,
    CreateResult,
    EventStream,
    ModelClientError,
    UserMessage,
)
from modelwire.providers import codec_for
from tests.corpus import corpus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.types import StreamEvent

pytestmark = pytest.mark.anyio

DIALECTS = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic",
    "generateContent": "gemini",
    "ollama-chat": "ollama",
}
ROOT = corpus()


class Recording(NamedTuple):
    id: str
    dialect: str
    streams: bool
    body: bytes


def recordings() -> list[Recording]:
    found: list[Recording] = []
    for path in sorted(ROOT.rglob("*.json")):
        recorded = json.loads(path.read_bytes())
        if recorded["api"] not in DIALECTS or recorded["status"] >= 300:
            continue
        framing = recorded["body_framing"]
        body = recorded["response_body"].encode()
        if framing == "data-lines":
            body = b"".join(map(framed, body.splitlines()))
        streams = framing in ("sse", "data-lines", "ndjson")
        if streams or framing == "json":
            found.append(Recording(recorded["id"], DIALECTS[recorded["api"]], streams, body))
    return found


def framed(line: bytes) -> bytes:
    """A recorded payload as a server-sent event, under the name that two of the formats give it."""
    try:
        kind = json.loads(line).get("type", "")
    except ValueError:
        kind = ""
    return b"%bdata: %b\n\n" % (b"event: %b\n" % kind.encode() if kind else b"", line)


class Recorded(ChatCompletionClient):
    """Gives what was recorded: a stream piece by piece, as a connection would."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.codec = codec_for(recording.dialect)
        self.asked = 0

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        self.asked += 1
        return self.codec.decode(self.recording.body)

    def stream(self, messages: Any, **options: Any) -> EventStream:
        self.asked += 1
        decoder = self.codec.stream_decoder()
        body = self.recording.body
        pieces = [body[place : place + 700] for place in range(0, len(body), 700)]

        async def more() -> Sequence[StreamEvent]:
            while pieces:
                events = decoder.feed(pieces.pop(0))
                if decoder.error is not None:
                    raise decoder.error
                if events:
                    return events
            return decoder.close()

        return EventStream.of(more)


async def events_of(client: ChatCompletionClient, messages: Any) -> tuple[list[StreamEvent], CreateResult]:
    async with client.stream(messages) as events:
        return [event async for event in events], events.result


async def test_every_recorded_stream_is_given_again_as_it_was() -> None:
    outcomes: Counter[str] = Counter()
    for recording in recordings():
        if not recording.streams:
            continue
        inner = Recorded(recording)
        client = ChatCompletionCache(inner)
        messages = [UserMessage(content=recording.id)]
        try:
            first, result = await events_of(client, messages)
        except ModelClientError:
            outcomes["failed"] += 1
            assert len(client.store._entries) == 0, recording.id  # type: ignore[attr-defined]
            continue
        outcomes[recording.dialect] += 1
        again, result_again = await events_of(client, messages)
        plain = await client.create(messages)
        text = [item async for item in client.create_stream(messages)]

        assert inner.asked == 1, recording.id
        assert again[:-1] == first[:-1], recording.id
        assert again[-1] == msgspec.structs.replace(first[-1], cached=True), recording.id
        assert plain == result_again == msgspec.structs.replace(result, cached=True), recording.id
        assert text[-1] == plain, recording.id
    assert outcomes == {
        "openai-chat": 56,
        "openai-responses": 59,
        "anthropic": 44,
        "gemini": 28,
        "ollama": 12,
        "failed": 2,  # errors inside the stream
    }


async def test_every_recorded_answer_is_given_again_as_it_was() -> None:
    outcomes: Counter[str] = Counter()
    for recording in recordings():
        if recording.streams:
            continue
        inner = Recorded(recording)
        client = ChatCompletionCache(inner)
        messages = [UserMessage(content=recording.id)]
        try:
            first = await client.create(messages)
        except ModelClientError:
            outcomes["failed"] += 1
            continue
        if first.finish_reason == "error":
            outcomes["ended by error"] += 1
            assert len(client.store._entries) == 0, recording.id  # type: ignore[attr-defined]
            continue
        outcomes[recording.dialect] += 1
        again = await client.create(messages)
        _, streamed = await events_of(client, messages)

        assert inner.asked == 1, recording.id
        assert again == streamed == msgspec.structs.replace(first, cached=True), recording.id
    assert outcomes == {
        "openai-chat": 100,
        "openai-responses": 85,
        "anthropic": 76,
        "gemini": 55,
        "ollama": 16,
        "failed": 1,
        "ended by error": 1,
    }
