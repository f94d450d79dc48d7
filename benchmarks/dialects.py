"""Answers in the other wire formats, as servers send them, and the least that reads the text of their streams."""

# ruff: noqa: D101  # each is called as the provider's documentation calls it

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct
from msgspec.json import Decoder

from benchmarks.answers import EVENTS, Answer, in_pieces, words

if TYPE_CHECKING:
    from collections.abc import Callable


class Dialect(NamedTuple):
    """A wire format, and an answer in it with `EVENTS` deltas of text."""

    title: str
    codec: str
    """Its name in `modelwire.providers`."""
    whole: bytes
    """An answer that is not streamed, of some 1 kB."""
    frames: tuple[bytes, ...]
    """The body of a stream, an event each."""
    end: bytes
    """What ends an event."""
    decode: Callable[[bytes], Any]
    """The JSON of an event to a struct."""
    text: Callable[[Any], str]
    """The text that such a struct adds."""
    plain: Callable[[dict[str, Any]], str]
    """The same of a dict."""


def length(count: int) -> int:
    """Characters of so many deltas of text."""
    return len("".join(words(count)))


SHORT = "".join(words(200))
"""The text of the answers that are not streamed."""


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _sse(event: dict[str, Any], end: bytes = b"\n\n", *, named: bool = False, spaced: bool = False) -> bytes:
    name = b"event: %b\n" % event["type"].encode() if named else b""
    separators = (",", ": ") if spaced else (",", ":")
    return b"%bdata: %b%b" % (name, json.dumps(event, ensure_ascii=False, separators=separators).encode(), end)


# Anthropic: https://platform.claude.com/docs/en/build-with-claude/streaming --------------------------------------------


class AnthropicDelta(Struct):
    type: str | None = None
    text: str | None = None


class AnthropicEvent(Struct):
    type: str
    index: int = 0
    delta: AnthropicDelta | None = None


def anthropic(count: int = EVENTS) -> Dialect:
    """An answer with so many deltas of text."""
    usage = {"input_tokens": 42, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-haiku-5-5", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in words(count)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {**usage, "output_tokens": count},
        },
        {"type": "message_stop"},
    ]
    return Dialect(
        title="Anthropic",
        codec="anthropic",
        whole=_json(
            {**message, "content": [{"type": "text", "text": SHORT}], "stop_reason": "end_turn", "usage": usage}
        ),
        frames=tuple(_sse(event, named=True) for event in events),
        end=b"\n\n",
        decode=Decoder(AnthropicEvent).decode,
        text=lambda event: (event.delta.text or "") if event.delta else "",
        plain=lambda event: event.get("delta", {}).get("text", ""),
    )


# OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses-streaming ----------------------------


class ResponsesEvent(Struct):
    type: str
    output_index: int | None = None
    delta: str | None = None


def responses(count: int = EVENTS) -> Dialect:
    """An answer with so many deltas of text."""
    text = "".join(words(count))
    item = {"id": "msg_68a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    whole = {**item, "status": "completed", "content": [part]}
    response: dict[str, Any] = {
        "id": "resp_68a1b2c3",
        "object": "response",
        "model": "gpt-4.1-2025-04-14",
        "output": [],
    }
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    usage = {"input_tokens": 42, "output_tokens": count, "total_tokens": 42 + count}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.in_progress", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "delta": word, "logprobs": [], "obfuscation": "x7Kp2QmZ"}
            for word in words(count)
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {
            "type": "response.completed",
            "response": {**response, "status": "completed", "output": [whole], "usage": usage},
        },
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return Dialect(
        title="Responses",
        codec="openai-responses",
        whole=_json(
            {
                **response,
                "created_at": 1795435200,
                "status": "completed",
                "output": [{**whole, "content": [{**part, "text": SHORT}]}],
                "usage": usage,
            }
        ),
        frames=tuple(_sse(event, named=True) for event in numbered),
        end=b"\n\n",
        decode=Decoder(ResponsesEvent).decode,
        text=lambda event: event.delta or "",
        plain=lambda event: event.get("delta", ""),
    )


# Gemini: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent -------------------------------


class GeminiPart(Struct):
    text: str = ""


class GeminiContent(Struct):
    parts: list[GeminiPart] = []


class GeminiCandidate(Struct):
    content: GeminiContent


class GeminiUsage(Struct, rename="camel"):
    prompt_token_count: int
    candidates_token_count: int
    total_token_count: int


class GeminiChunk(Struct, rename="camel"):
    candidates: list[GeminiCandidate]
    usage_metadata: GeminiUsage | None = None


def gemini(count: int = EVENTS) -> Dialect:
    """An answer with so many deltas of text."""

    def chunk(number: int, word: str, **more: str) -> dict[str, Any]:
        return {
            "candidates": [{"content": {"parts": [{"text": word}], "role": "model"}, **more, "index": 0}],
            "usageMetadata": {
                "promptTokenCount": 42,
                "candidatesTokenCount": number + 1,
                "totalTokenCount": 43 + number,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}],
                "serviceTier": "standard",
            },
            "modelVersion": "gemini-2.5-flash",
            "responseId": "6r6FarDODNmynsEP8cLCoQk",
        }

    *most, last = words(count)
    chunks = [chunk(number, word) for number, word in enumerate(most)]
    chunks.append(chunk(count - 1, last, finishReason="STOP"))
    return Dialect(
        title="Gemini",
        codec="gemini",
        whole=_json(chunk(200, SHORT, finishReason="STOP")),
        frames=tuple(_sse(chunk, b"\r\n\r\n", spaced=True) for chunk in chunks),
        end=b"\r\n\r\n",
        decode=Decoder(GeminiChunk).decode,
        text=lambda chunk: "".join([part.text for part in chunk.candidates[0].content.parts]),
        plain=lambda chunk: "".join([part["text"] for part in chunk["candidates"][0]["content"]["parts"]]),
    )


# Ollama: https://github.com/ollama/ollama/blob/main/docs/api.md --------------------------------------------------------


class OllamaMessage(Struct):
    content: str = ""


class OllamaLine(Struct):
    message: OllamaMessage
    done: bool = False


def ollama(count: int = EVENTS) -> Dialect:
    """An answer with so many deltas of text."""

    def line(word: str, **more: object) -> bytes:
        facts = {"model": "qwen3:14b", "created_at": "2026-11-23T12:00:00.284159Z"}
        answer = {**facts, "message": {"role": "assistant", "content": word}, "done": bool(more), **more}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    durations = {"total_duration": 5191566416, "load_duration": 5025959, "prompt_eval_duration": 325953000}
    last = line("", done_reason="stop", prompt_eval_count=42, eval_count=count, eval_duration=4799921000, **durations)
    return Dialect(
        title="Ollama",
        codec="ollama",
        whole=line(SHORT, done_reason="stop", prompt_eval_count=42, eval_count=200, **durations),
        frames=(*map(line, words(count)), last),
        end=b"\n",
        decode=Decoder(OllamaLine).decode,
        text=lambda line: line.message.content,
        plain=lambda line: line["message"]["content"],
    )


DIALECTS = (anthropic(), responses(), gemini(), ollama())


def _answers(dialect: Dialect) -> dict[str, Answer]:
    """What the server sends, by the last word of its name."""
    text = "".join(words(EVENTS))
    kind = "application/x-ndjson" if dialect.end == b"\n" else "text/event-stream"
    return {
        "1kB": Answer(SHORT, (dialect.whole,)),
        "events": Answer(text, dialect.frames, stream=True, content_type=kind),
        "pieces": Answer(text, in_pieces(b"".join(dialect.frames)), stream=True, content_type=kind),
    }


ANSWERS = {f"{dialect.codec}-{name}": answer for dialect in DIALECTS for name, answer in _answers(dialect).items()}
"""By the first segment of the path that is asked for."""
