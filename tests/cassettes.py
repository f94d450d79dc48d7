"""Recordings for tests, and what tests ask of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
from msgspec.structs import replace

from modelwire import ConnectionFailedError, ModelTimeoutError, OpenAIChatCompletionClient, Recorder, Timeouts
from modelwire.protocols import HttpRequest
from tests.chat_answers import HELLO
from tests.fakes import FakeTransport, Reply, scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire import ChatCompletionClient

KEY = "sk-do-not-show-this"
POST = HttpRequest("https://api.example.com/v1/chat?a=1", [(b"content-type", b"application/json")], b'{"a":1}')
LIMITS = Timeouts()
_SCHEMA = Path(__file__).parent.parent / "schema" / "cassette.schema.json"
_VALIDATOR = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text()))


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def is_there(path: Path) -> bool:
    return path.exists()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def lines(path: Path) -> list[dict[str, Any]]:
    """The exchanges in the file, after a check of every line against the schema."""
    text = text_of(path)
    assert text.endswith("\n")
    head, *exchanges = [json.loads(line) for line in text.splitlines()]
    for line in (head, *exchanges):
        _VALIDATOR.validate(line)
    assert head == {"$schema": "urn:modelwire:cassette:1"}
    return exchanges


def openai(transport: Any, base_url: str = "https://api.example.com/v1", **options: Any) -> OpenAIChatCompletionClient:
    given = {"model": "gpt-4.1", "api_key": KEY, "base_url": base_url, "max_retries": 0}
    return OpenAIChatCompletionClient(**(given | options), transport=transport)


async def events_of(client: ChatCompletionClient, messages: Any = HELLO, **options: Any) -> list[Any]:
    """The events without what a clock says."""
    async with client.stream(messages, **options) as stream:
        events = [event async for event in stream]
    return [*events[:-1], timeless(events[-1])]


def timeless(answer: Any) -> Any:
    attempts = [msgspec.structs.replace(one, started=0, duration=0) for one in answer.attempts]
    return msgspec.structs.replace(answer, timing=None, attempts=attempts)


async def recorded(path: Path, *replies: Reply | Exception, requests: Sequence[HttpRequest] = (POST,)) -> FakeTransport:
    """A file with an exchange for each request."""
    transport = scripted(*replies)
    recorder = Recorder(path, transport=transport, clock=transport.clock)
    for request in requests:
        try:
            stream = await recorder.stream(request, LIMITS)
            async for _ in stream:
                pass
        except (ConnectionFailedError, ModelTimeoutError):
            pass
    return transport


def body(value: Any) -> HttpRequest:
    return replace(POST, body=json.dumps(value).encode())
