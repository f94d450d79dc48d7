"""Answers in OpenAI's Chat Completions format, which the loopback server sends and codecs decode.

They have the members and sizes of real ones; the words are made up.
"""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import Any, NamedTuple

MODEL = "gpt-4.1-2025-04-14"
EVENTS = 500
"""Text events of a stream: a long answer."""
PACED_EVENTS = 50
PAUSE = 0.0005
"""Seconds between the events of the paced stream."""
SLOW_EVENTS = 20
SLOW_PAUSE = 0.1
"""Of streams that are to be open at the same time."""
PIECE = 16 * 1024
"""Bytes of an HTTP chunk where a proxy has gathered events."""

_WORDS = (
    "The", " naïve", " approach", " costs", " 5", " µs", " per", " event", ",", " and", " so", ' "we"', " write", "\n",
    "def", " feed", "(data", "):", " ...", "\n\n", "Résumé", ":", " nothing", " is", " free", " —", " measure", " it", ".",
)  # fmt: skip


class Answer(NamedTuple):
    """One answer of the server."""

    text: str
    """What a client reads out of it."""
    pieces: tuple[bytes, ...]
    """The body as it comes: HTTP chunks of a stream, or one whole."""
    stream: bool = False
    pause: float = 0.0
    """Seconds between the pieces; without, all is written at once."""
    content_type: str = "text/event-stream"
    """Of a stream."""

    @property
    def body(self) -> bytes:
        """All pieces."""
        return b"".join(self.pieces)

    def wire(self) -> list[bytes]:
        """The whole HTTP answer, in the writes that it is sent with."""
        if not self.stream:
            return [_head(b"application/json", b"content-length: %d" % len(self.body)) + self.body]
        chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self.pieces]
        chunks[0] = _head(self.content_type.encode() + b"; charset=utf-8", b"transfer-encoding: chunked") + chunks[0]
        chunks[-1] += b"0\r\n\r\n"
        return chunks if self.pause else [b"".join(chunks)]


def _head(content_type: bytes, framing: bytes) -> bytes:
    return b"\r\n".join(
        (
            b"HTTP/1.1 200 OK",
            b"date: Mon, 23 Nov 2026 12:00:00 GMT",
            b"content-type: " + content_type,
            framing,
            b"connection: keep-alive",
            b"openai-processing-ms: 412",
            b"openai-version: 2020-10-01",
            b"x-ratelimit-limit-requests: 10000",
            b"x-ratelimit-limit-tokens: 30000000",
            b"x-ratelimit-remaining-requests: 9999",
            b"x-ratelimit-remaining-tokens: 29999978",
            b"x-ratelimit-reset-requests: 6ms",
            b"x-ratelimit-reset-tokens: 0s",
            b"x-request-id: req_0123456789abcdef0123456789abcdef",
            b"cf-ray: 9a2b3c4d5e6f7a8b-FRA",
            b"\r\n",
        )
    )


def words(count: int) -> list[str]:
    """So many pieces of text, as a model would stream them."""
    return list(islice(cycle(_WORDS), count))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _envelope(kind: str, choices: list[Any], usage: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-CfA1b2C3d4E5f6G7h8I9j0K1l2M3n",
        "object": kind,
        "created": 1795435200,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_3f58d112f7",
        "choices": choices,
        "usage": usage,
    }


def _usage(completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": 42,
        "completion_tokens": completion,
        "total_tokens": 42 + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole(size: int) -> Answer:
    """A plain answer of about so many bytes."""
    pieces = words(size // 2)
    while True:
        text = "".join(pieces)
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        body = _json(_envelope("chat.completion", [choice], _usage(len(pieces))))
        if len(body) <= size:
            return Answer(text, (body,))
        del pieces[-max(1, (len(body) - size) // 8) :]


def events(count: int) -> list[bytes]:
    """A stream with so many deltas of text, one server-sent event each."""
    choices: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": "", "refusal": None}}]
    choices += [{"delta": {"content": word}} for word in words(count)]
    choices.append({"delta": {}, "finish_reason": "stop"})
    chunks = [_chunk([{"index": 0, "logprobs": None, "finish_reason": None, **choice}], None) for choice in choices]
    return [*chunks, _chunk([], _usage(count)), b"data: [DONE]\n\n"]


def _chunk(choices: list[Any], usage: Any) -> bytes:
    chunk = {**_envelope("chat.completion.chunk", choices, usage), "obfuscation": "x7Kp2QmZ"}
    return b"data: %b\n\n" % _json(chunk)


def in_pieces(body: bytes) -> tuple[bytes, ...]:
    """A body as a proxy passes it on that has gathered events."""
    return tuple(body[start : start + PIECE] for start in range(0, len(body), PIECE))


def _streamed(count: int, pause: float = 0.0) -> Answer:
    return Answer("".join(words(count)), tuple(events(count)), stream=True, pause=pause)


ANSWERS = {
    "1kB": whole(1000),
    "20kB": whole(20_000),
    "events": _streamed(EVENTS),
    "pieces": Answer("".join(words(EVENTS)), in_pieces(b"".join(events(EVENTS))), stream=True),
    "paced": _streamed(PACED_EVENTS, PAUSE),
    "slow": _streamed(SLOW_EVENTS, SLOW_PAUSE),
    "first": _streamed(1),
}
"""By the first segment of the path that is asked for."""
