"""The narrow decoders of text give what the wide ones give, whatever stands between the texts, and errors come in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest

from benchmarks.dialects import DIALECTS
from modelwire.errors import ModelClientError, ServerError
from modelwire.providers import _stream, codec_for
from modelwire.providers._stream import only
from modelwire.types import TextDelta
from tests.corpus import corpus

if TYPE_CHECKING:
    from modelwire.protocols import StreamDecoder

SERVERS = {
    "anthropic": "anthropic",
    "azure-openai": "openai-chat",
    "gemini": "gemini",
    "ollama": "ollama",
    "openai-chat": "openai-chat",
    "openai-compatible": "openai-chat",
    "openai-responses": "openai-responses",
}
"""Folders of the corpus, and the wire format of their answers."""


def told(dialect: str, pieces: list[bytes]) -> tuple[list[Any], str]:
    """The events of these pieces, and the error they end with."""
    decoder = codec_for(dialect).stream_decoder()
    events: list[Any] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except ModelClientError as error:
        return events, f"{type(error).__name__}: {error}"
    return events, ""


@pytest.mark.parametrize("folder", SERVERS)
def test_recorded_streams_give_the_same_with_and_without_the_narrow_decoder(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [json.loads(path.read_bytes()) for path in sorted(corpus(folder).glob("**/*.json"))]
    bodies = [case["response_body"].encode() for case in cases if case["stream"] and case["status"] == 200]
    assert bodies
    narrow = [told(SERVERS[folder], body.splitlines(keepends=True)) for body in bodies]
    monkeypatch.setattr(_stream, "_REFUSALS", 0)

    assert narrow == [told(SERVERS[folder], [body]) for body in bodies]


# What may stand between two texts, one line for each member that the narrow decoders must not overlook.


def chat(**choice: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, **choice}]}


CHAT = [
    chat(delta={"content": ""}),
    chat(delta={"content": None, "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]}),
    chat(delta={"content": "b", "tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
    chat(delta={"content": "b", "refusal": "no"}),
    chat(delta={"content": "b", "reasoning_content": "hm"}),
    chat(delta={"content": [{"type": "text", "text": "b"}]}),
    chat(delta={"content": "b", "annotations": [{"url_citation": {"url": "http://a"}}]}),
    chat(delta={"content": "b"}, logprobs={"content": [{"token": "b", "logprob": -1.0}]}),
    chat(delta={"content": "b"}, content_filter_results={"hate": {"filtered": False}}),
    chat(delta={"content": "b"}, content_filter_results=[1]),
    chat(delta={"content": "b"}, index=1),
    {**chat(delta={"content": "b"}), "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    {"id": "c", "choices": [chat(delta={"content": "b"})["choices"][0], chat(delta={"content": "c"}, index=1)["choices"][0]]},
    {"id": "c", "choices": []},
    chat(delta={"content": "b"}, finish_reason="length"),
    {"error": {"message": "broken", "code": 500}},
]  # fmt: skip


def fragment(arguments: Any = "1", **call: Any) -> dict[str, Any]:
    return chat(delta={"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **call}]})


CHAT_ARGUMENTS = [
    *CHAT,
    fragment(""),
    fragment(None),
    fragment(type="function"),
    fragment(index=1),
    fragment(index=None),
    fragment(id="b"),
    fragment(id="b", function={"name": "g", "arguments": "{"}),
    fragment(function=None, custom={"input": "x"}),
    fragment(extra_content={"google": {"thought_signature": "s"}}),
    chat(delta={"tool_calls": [{"index": at, "function": {"arguments": "1"}} for at in (0, 1)]}),
    chat(delta={"function_call": {"name": "h", "arguments": "{}"}}),
    chat(delta={"content": "", **fragment()["choices"][0]["delta"]}),
]
CHAT_REASONING = [
    *CHAT,
    chat(delta={"reasoning": "hm"}),
    chat(delta={"reasoning_content": ""}),
    chat(delta={"reasoning_content": "hm", "content": ""}),
    chat(delta={"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
]
ANTHROPIC = [
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "text": "b"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "b"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"cited_text": "x"}}},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
]
TEXT = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "b"}
RESPONSES = [
    {**TEXT, "delta": ""},
    {**TEXT, "content_index": 1},
    {**TEXT, "output_index": 1},
    {"type": "response.output_text.delta", "item_id": "m", "delta": "b"},
    {**TEXT, "type": "response.refusal.delta"},
    {**TEXT, "type": "response.new.delta"},
    {"type": "error", "message": "broken", "code": "server_error"},
]


def gemini(part: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [part]}, "index": 0, **more}], "modelVersion": "m"}


GEMINI = [
    gemini({"text": ""}),
    gemini({"text": "b", "thought": True}),
    gemini({"text": "b", "thoughtSignature": "c2ln"}),
    gemini({"functionCall": {"name": "f", "args": {}}}),
    gemini({"text": "b"}, index=1),
    gemini({"text": "b"}, finishReason="MAX_TOKENS"),
    {**gemini({"text": "b"}), "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 3, "serviceTier": "flex"}},
    {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2}},
    {"candidates": [{"content": {"parts": [{"text": "b"}, {"text": "c"}]}}]},
    {"error": {"code": 500, "message": "broken", "status": "INTERNAL"}},
]


def line(**message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", **message}, "done": False}


OLLAMA = [
    line(content=""),
    line(content="b", thinking="hm"),
    line(content="", tool_calls=[{"function": {"name": "f", "arguments": {}}}]),
    {**line(content="b"), "logprobs": [{"token": "b", "logprob": -1.0}]},
    {**line(content="b"), "done": True, "done_reason": "stop"},
    {"error": "broken"},
]
BETWEEN = [
    *(("anthropic", event) for event in ANTHROPIC),
    *(("openai-responses", event) for event in RESPONSES),
    *(("gemini", event) for event in GEMINI),
    *(("ollama", event) for event in OLLAMA),
    *(("openai-chat", event) for event in CHAT),
    *(("openai-chat, arguments", event) for event in CHAT_ARGUMENTS),
    *(("openai-chat, reasoning", event) for event in CHAT_REASONING),
]
OPENING = {
    "openai-chat": [chat(delta={"role": "assistant", "content": "a"})],
    "openai-chat, arguments": [fragment("{", id="a", function={"name": "f", "arguments": "{"}), fragment()],
    "openai-chat, reasoning": [chat(delta={"role": "assistant", "content": None, "reasoning_content": "a"})],
    "ollama": [line(content="a")],
    "gemini": [gemini({"text": "a"})],
    "anthropic": [
        {"type": "message_start", "message": {"id": "m", "model": "c", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    ],
    "openai-responses": [{**TEXT, "delta": "a"}],
}


@pytest.mark.parametrize(("opening", "event"), BETWEEN, ids=lambda value: str(value)[:60])
def test_whatever_stands_between_two_deltas_is_read_as_the_wide_decoder_reads_it(
    opening: str, event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = opening.partition(",")[0]
    delta = OPENING[opening][-1]
    events = [*OPENING[opening], delta, event, delta, delta]
    frame = b"%b\n" if dialect == "ollama" else b"data: %b\n\n"
    frames = [frame % msgspec.json.encode(each) for each in events]
    assert is_narrow(dialect, frames[:-3])
    narrow = told(dialect, frames)
    assert narrow == told(dialect, [b"".join(frames)])
    monkeypatch.setattr(_stream, "_REFUSALS", 0)

    assert narrow == told(dialect, frames)


def is_narrow(dialect: str, frames: list[bytes]) -> bool:
    """Whether the narrow decoder is in use after these."""
    decoder: Any = codec_for(dialect).stream_decoder()
    for frame in frames:
        decoder.feed(frame)
    return decoder._narrow is not None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.title)
def test_a_stream_in_which_every_other_event_is_more_than_text_stops_trying(
    dialect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder: Any = codec_for(dialect.codec).stream_decoder()
    for frame in dialect.frames[:5]:
        decoder.feed(frame)
    assert decoder._narrow is not None
    refused: list[bytes] = []

    def watched(_decoder: Any, frame: bytes, _events: list[Any]) -> bool:
        refused.append(frame)
        return False

    monkeypatch.setattr(type(decoder), "_more_text", watched)
    decoder._narrow = watched
    events = [event for frame in dialect.frames[5:105] for event in decoder.feed(frame)]

    assert sum(type(event) is TextDelta for event in events) == 100
    assert len(refused) == _stream._REFUSALS


# The type of the narrow decoders ---------------------------------------------------------------------------------------


class Inner(msgspec.Struct, rename="camel"):
    some_text: str | None = None
    other: msgspec.Raw = msgspec.Raw()


class Outer(msgspec.Struct):
    id: str | None = None
    kind: str = ""
    inner: Inner | None = None
    error: Any = None


NARROW = only(Outer, "id", kind=(Literal["a"], "a"), inner=only(Inner, some_text=str))


@pytest.mark.parametrize(
    "body", [b'{"inner": {"someText": "x"}}', b'{"id": 7, "new": [], "error": null, "kind": "a", "inner": {"someText": "x"}}']
)  # fmt: skip
def test_only_what_is_wanted_is_read_by_its_name_on_the_wire(body: bytes) -> None:
    assert msgspec.json.decode(body, type=NARROW).inner.some_text == "x"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"inner": null}',
        b'{"inner": {"someText": null}}',
        b'{"inner": {"someText": "x", "other": 0}}',
        b'{"inner": {"someText": "x"}, "error": 0}',
        b'{"inner": {"someText": "x"}, "kind": "b"}',
    ],
)
def test_anything_more_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=NARROW)


# Errors among the frames -----------------------------------------------------------------------------------------------


def test_an_error_waits_until_the_events_before_it_were_delivered_and_then_stays() -> None:
    decoder: StreamDecoder = codec_for("ollama").stream_decoder()
    events = decoder.feed(b'{"model": "m", "message": {"content": "a"}}\n{"error": "broken"}\n')

    assert [event.type for event in events] == ["start", "text_delta"]
    assert isinstance(decoder.error, ServerError)
    for call in (lambda: decoder.feed(b""), decoder.close):
        with pytest.raises(ServerError, match="broken"):
            call()
