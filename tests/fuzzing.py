"""What fuzzing feeds to the codecs, and what it checks: whatever the bytes, out come events, a result, a request, or one
of modelwire's own errors, and never anything else.

`test_fuzz.py` tries a little of it each time; `make soak` and `make fuzz` try for longer.
"""

from __future__ import annotations

import json
import random
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire._fold import fold, unfold
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.protocols import HttpResponse
from modelwire.types import CreateResult, Finish
from tests.providers.chat_wire import codec_of
from tests.recordings import recordings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelwire.protocols import Codec
    from modelwire.types import StreamEvent

    Outcome = tuple[list[StreamEvent], ModelClientError | None]

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**53, 2**64, 10**400, "", "x", "0", "é🎈", "\0", "\ud800", "[DONE]", "data: x"),
    *([], {}, [None], [[]], [{}], ["x"], [0, 1], {"": {}}, {"a": None}, {"error": "x"}, {"type": "text"}),
    *({"type": "error", "error": {"type": "x"}}, {"index": -1}, {"name": 5}, {"url": "data:image/png;base64,!"}),
]
"""Values that are put where others were."""
_BITS = [
    *(b"", b"null", b"7", b"1e999", b"-0", b"{}", b"[]", b'"', b"\\", b"\\ud800", b"\xff", b"\0", b"\n", b"\n\n", b"\r", b"}"),
    *(b"data: ", b"event: ", b"data: [DONE]\n\n", b":", b"<html>", b'{"error": "x"}\n', b"\xef\xbb\xbf", b"9" * 400),
]  # fmt: skip


@cache
def codecs(dialect: str) -> list[Codec]:
    """The codecs to try: those of the recordings, and of servers that are read in another way."""
    found = {
        repr((recording.codec.provider, recording.codec.origin)): recording.codec for recording in recordings(dialect)
    }
    if dialect == "openai-chat":
        found |= {name: codec_of(name) for name in ("openai", "azure", "mistral", "openrouter", "plain")}
    return [found[name] for name in sorted(found)]


@cache
def answers(dialect: str) -> list[bytes]:
    """Bodies to change, streams and whole answers alike."""
    return [recording.body for recording in recordings(dialect) if len(recording.body) < 20_000]


@cache
def requests(dialect: str) -> list[bytes]:
    """Requests to change: the recorded ones, and those that repeat an answer."""
    recorded = [one.request for one in recordings(dialect) if one.request is not None and len(one.request) < 20_000]
    return recorded or [_repeated(recordings(dialect)[0].codec)]


def _repeated(codec: Codec) -> bytes:
    """A request of our own with a little of everything in it."""
    from modelwire.types import (  # where there are no recorded ones
        AssistantMessage,
        ChatRequest,
        FunctionCall,
        SystemMessage,
        Tool,
        ToolMessage,
        ToolResult,
        UserMessage,
    )

    call = FunctionCall(id="c1", name="f", arguments='{"a": 1}')
    request = ChatRequest(
        model="m",
        messages=[
            SystemMessage(content="s"),
            UserMessage(content="u"),
            AssistantMessage(content=["t", call]),
            ToolMessage(content=[ToolResult(call_id="c1", name="f", content="r")]),
        ],
        tools=[Tool(name="f", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})],
        options={"max_tokens": 5},
    )
    return codec.encode(request, {}).body


# ---------------------------------------------------------------------- changes


def changed(body: bytes, chance: random.Random) -> bytes:
    """The same with something else in it: a value, a piece of bytes, or a frame."""
    for _ in range(chance.randint(1, 3)):
        body = chance.choice((_other_value, _other_value, _other_bytes, _other_lines))(body, chance)
    return body


def _other_bytes(body: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(body) + 1)
    end = min(len(body), start + chance.choice((0, 1, 1, 5, 30, 300)))
    piece = chance.choice((chance.choice(_BITS), body[start:end] * 2, chance.randbytes(3)))
    return body[:start] + piece + body[end:]


def _other_lines(body: bytes, chance: random.Random) -> bytes:
    """Lines that are gone, doubled, or elsewhere."""
    lines = body.splitlines(keepends=True)
    if len(lines) < 3:
        return _other_bytes(body, chance)
    start = chance.randrange(len(lines))
    taken = lines[start : start + chance.randint(1, 4)]
    rest = lines[:start] + lines[start + len(taken) :]
    place = chance.randrange(len(rest) + 1)
    return b"".join(chance.choice((rest, lines[:place] + taken + lines[place:], rest[:place] + taken + rest[place:])))


def _other_value(body: bytes, chance: random.Random) -> bytes:
    """One JSON value of the body, or of one of its lines, is another."""
    lines = body.split(b"\n")
    at = [index for index, line in enumerate(lines) if line.removeprefix(b"data:").lstrip()[:1] in (b"{", b"[")]
    index = chance.choice(at) if at else 0
    line = body if body[:1] == b"{" and b"\n{" not in body else lines[index]
    prefix = b"data: " if line.startswith(b"data:") else b""
    try:
        holder: Any = {"": json.loads(line.removeprefix(b"data:"))}
    except (ValueError, RecursionError):
        return _other_bytes(body, chance)
    whole, key = holder, ""
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.85:
        holder = holder[key]
        key = chance.choice([*holder]) if isinstance(holder, dict) else chance.randrange(len(holder))
    how = chance.random()
    if how < 0.2 and holder is not whole:
        del holder[key]
    elif how < 0.3 and isinstance(holder, list):
        holder.insert(key, chance.choice(VALUES))
    else:
        holder[key] = chance.choice(VALUES)
    if holder is whole and key not in whole:
        return b""
    written = prefix + json.dumps(whole[""]).encode()
    if line is body:
        return written
    return b"\n".join([*lines[:index], written, *lines[index + 1 :]])


# ---------------------------------------------------------------------- checks


def check_answer(codec: Codec, body: bytes, chance: random.Random) -> None:
    """A whole answer is a result, which can be stored and told as a stream, or an error."""
    del chance
    try:
        result = codec.decode(body)
    except ModelClientError as error:
        _check_error(error)
        return
    _check_result(result)


def check_stream(codec: Codec, body: bytes, chance: random.Random) -> None:
    """A stream is the same however it is cut, and ends with a `Finish` or with an error."""
    whole, error = outcome(codec, [body])
    ends = sorted(chance.sample(range(len(body) + 1), k=min(len(body), 6)))
    pieces = [body[begin:end] for begin, end in zip([0, *ends], [*ends, len(body)], strict=True)]
    again, other = outcome(codec, pieces)

    assert again == whole
    assert (type(other), str(other)) == (type(error), str(error))
    assert [event for event in whole if isinstance(event, Finish)] == whole[-1:] * (error is None)
    if error is not None:
        _check_error(error)
    _check_result(fold(whole))


def check_error(codec: Codec, body: bytes, chance: random.Random) -> None:
    """Every error answer is an error with its status."""
    status = chance.choice((302, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529))
    headers = {chance.choice((b"retry-after", b"x-request-id", b"x-ratelimit-remaining-requests")): body[:40]}
    error = codec.decode_error(HttpResponse(status, headers, body))
    assert error.status_code == status
    _check_error(error)


def check_request(codec: Codec, body: bytes, chance: random.Random) -> None:
    """A request is read, and then written as JSON, or refused."""
    del chance
    try:
        written = codec.encode(codec.decode_request(body), {}).body
    except BadRequestError as error:
        _check_error(error)
        return
    json.loads(written)


CHECKS: dict[str, Callable[[Codec, bytes, random.Random], None]] = {
    "answer": check_answer,
    "stream": check_stream,
    "error": check_error,
    "request": check_request,
}


def outcome(codec: Codec, pieces: Sequence[bytes]) -> Outcome:
    """What a caller sees of a stream that comes in these pieces."""
    decoder = codec.stream_decoder()
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
            if decoder.error is not None:
                return events, decoder.error
            if events and isinstance(events[-1], Finish):
                return events, None
        events += decoder.close()
    except ModelClientError as error:
        return events, error
    return events, decoder.error


def _check_result(result: CreateResult) -> None:
    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


def _check_error(error: ModelClientError) -> None:
    """It can be shown and logged, and holds no more of the body than its beginning."""
    assert str(error).encode("utf-8", "backslashreplace")
    assert len(str(error)) < 10_000
    assert len(error.body or b"") <= 100_000
