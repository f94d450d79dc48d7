"""Answers of Chat Completions servers, written by hand, for tests of everything that is not the codec."""

from __future__ import annotations

import json
from typing import Any

from modelwire import UserMessage
from tests.fakes import Reply
from tests.server import Answer

HELLO = [UserMessage(content="Hello", source="user")]

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
DONE = b"data: [DONE]\n\n"


def completion(text: str | None = "Hi there", reason: str = "stop", **message: Any) -> bytes:
    """A whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": reason,
    }
    return json.dumps(
        {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4.1", "choices": [choice], "usage": USAGE}
    ).encode()


def chunk(delta: dict[str, Any] | None = None, reason: str | None = None, **members: Any) -> bytes:
    """One server-sent event of a stream."""
    choices = [{"index": 0, "delta": delta or {}, "finish_reason": reason}]
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4.1", "choices": choices, **members}
    return b"data: %b\n\n" % json.dumps(value).encode()


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk(reason="stop")
USED = chunk(choices=[], usage=USAGE)
END = [STOP, USED, DONE]


def text_chunks(*texts: str) -> list[bytes]:
    """A stream of these texts, up to but without its end."""
    return [ROLE, *(chunk({"content": text}) for text in texts)]


def stream_of(*texts: str) -> list[bytes]:
    """A whole stream of these texts."""
    return [*text_chunks(*texts), *END]


def error_body(message: str = "It went wrong", code: str | None = None, kind: str | None = None) -> bytes:
    """An error as OpenAI writes it."""
    return json.dumps({"error": {"message": message, "code": code, "type": kind, "param": None}}).encode()


def told(text: str = "Hi there", **headers: str) -> Reply:
    """A whole answer for the fake transport."""
    return Reply(headers=JSON | headers, body=completion(text))


def streamed(*texts: str, **headers: str) -> Reply:
    """A stream for the fake transport."""
    return Reply(headers=EVENTS | headers, body=stream_of(*(texts or ("Hi", " there"))))


def refused(status: int, code: str | None = None, **headers: str) -> Reply:
    """An error for the fake transport; underscores in names of headers stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, JSON | named, error_body(f"error {status}", code))


def answer(text: str = "Hi there", **options: Any) -> Answer:
    """A whole answer for the scripted server."""
    return Answer(headers=JSON | options.pop("headers", {}), body=completion(text), **options)


def stream_answer(*texts: str, **options: Any) -> Answer:
    """A stream for the scripted server."""
    return Answer(headers=EVENTS | options.pop("headers", {}), body=stream_of(*(texts or ("Hi", " there"))), **options)


def sent(body: bytes) -> dict[str, Any]:
    """The request's body as a value."""
    return json.loads(body)
