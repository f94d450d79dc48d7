"""Whatever comes in, out come events, a result, or an error of modelwire's: "never any other exceptions"."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from modelwire._fold import fold, unfold
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.protocols import HttpResponse
from modelwire.types import CreateResult, Finish
from tests.providers.chat_wire import DONE, body_of, by_bytes, chunk, codec_of, read

FIXTURES = Path(__file__).with_name("fixtures") / "openai_chat"
WHOLE = [path.read_bytes() for path in sorted(FIXTURES.glob("*.json"))]
STREAMS = [path.read_bytes() for path in sorted(FIXTURES.glob("*.sse"))]
PROVIDERS = st.sampled_from(["openai", "azure", "mistral", "openrouter", "plain"])


def many(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
    )


# ---------------------------------------------------------------------- what comes in

VALUES = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1.5, 2**53, 10**30, "", "x", "0", "é🎈", "\0", "[DONE]", "data: x", "a\nb"),
        *([], {}, [None], [[]], [{}], ["x"], [0, 1], {"": {}}, {"a": None}, {"error": "x"}, {"type": "text"}),
        *({"type": "thinking", "thinking": 5}, {"function": {"name": 5, "arguments": [1]}}, {"type": "custom"}),
        *({"url": "data:image/png;base64,!"}, {"image_url": {"url": ""}}, {"message": ["x"]}, {"loc": 1, "msg": 2}),
    ]
)
BYTES = st.one_of(
    st.binary(max_size=80),
    st.lists(
        st.sampled_from(
            [
                *(b"data: ", b"data:", b"\n\n", b"\r\n", b"\n", b"[DONE]", b"{}", b"[]", b"null", b'{"error": "x"}', b"<html>"),
                *(b'{"choices":[', b"]}", b'{"delta":{"content":"', b'"}}', b'"finish_reason":"stop"', b",", b"\xff", b"\xef\xbb\xbf"),
                *(DONE, chunk({"content": "a"}), chunk({}, "stop"), chunk(usage={"prompt_tokens": 1})),
            ]
        ),
        max_size=25,
    ).map(b"".join),
)  # fmt: skip
PLACES = st.lists(st.integers(0, 3000), max_size=6)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is something in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in paths(item, (*path, key)))]


def changed(data: st.DataObject, value: Any) -> Any:
    """The value with something else in one or two places."""
    whole: Any = {"root": copy.deepcopy(value)}
    for _ in range(data.draw(st.integers(1, 2))):
        *steps, last = data.draw(st.sampled_from(paths(whole)[1:]))
        holder = whole
        for step in steps:
            holder = holder[step]
        how = data.draw(st.sampled_from(["replace", "replace", "drop", "insert"]))
        if how == "drop" and steps:
            del holder[last]
        elif how == "insert" and isinstance(holder, list):
            holder.insert(last, copy.deepcopy(data.draw(VALUES)))
        else:
            holder[last] = copy.deepcopy(data.draw(VALUES))
    return whole["root"]


def damaged(data: st.DataObject, body: bytes) -> bytes:
    """The bytes with some of them gone, doubled or other."""
    start = data.draw(st.integers(0, len(body) - 1))
    end = start + data.draw(st.integers(0, 30))
    return (
        body[:start] + data.draw(st.sampled_from([b"", body[start:end] * 2, b"\xff", b'"', b"\n\n", b"}"])) + body[end:]
    )


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Answers that something happened to."""
    data, body = draw(st.data()), draw(st.sampled_from(WHOLE))
    return damaged(data, body) if draw(st.booleans()) else json.dumps(changed(data, json.loads(body))).encode()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Streams that something happened to."""
    data, body = draw(st.data()), draw(st.sampled_from(STREAMS))
    if draw(st.booleans()):
        return damaged(data, body)
    frames = body.split(b"\n\n")
    place = draw(st.sampled_from([index for index, frame in enumerate(frames) if frame.startswith(b"data: {")]))
    frames[place] = b"data: " + json.dumps(changed(data, json.loads(frames[place][6:]))).encode()
    return b"\n\n".join(frames)


# ---------------------------------------------------------------------- what comes out


def check_result(result: CreateResult) -> None:
    """A result is a value: it can be stored, and streamed again."""
    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


def check_stream(body: bytes, places: list[int], provider: str) -> None:
    whole = read(body, provider)
    ends = sorted({min(place, len(body)) for place in places} | {len(body)})
    pieces = [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    assert read(pieces, provider).outcome == whole.outcome
    assert read(by_bytes(body), provider).outcome == whole.outcome
    assert [event for event in whole.events if isinstance(event, Finish)] == whole.events[-1:] * (whole.error is None)
    check_result(fold(whole.events))


@many(250)
@given(BYTES, PLACES, PROVIDERS)
@example(b"", [], "plain")
@example(b"data: [DONE]\n\n", [3], "plain")
@example(chunk({"content": "a"}) + b'{"error": "x"}\n' + DONE, [5], "plain")
def test_any_bytes_are_a_stream_or_an_error(body: bytes, places: list[int], provider: str) -> None:
    check_stream(body, places, provider)


@many(400)
@given(streams(), PLACES, PROVIDERS)
def test_a_damaged_stream_is_a_stream_or_an_error(body: bytes, places: list[int], provider: str) -> None:
    check_stream(body, places, provider)


@many(700)
@given(st.one_of(BYTES, bodies(), bodies()), PROVIDERS)
def test_a_damaged_answer_is_an_answer_or_an_error(body: bytes, provider: str) -> None:
    try:
        result = codec_of(provider).decode(body)
    except ModelClientError:
        return
    check_result(result)


@many(400)
@given(st.one_of(BYTES, bodies()), st.integers(300, 599), PROVIDERS)
def test_every_error_answer_is_an_error(body: bytes, status: int, provider: str) -> None:
    error = codec_of(provider).decode_error(HttpResponse(status, {}, body))

    assert error.status_code == status
    assert error.message.startswith(f"{codec_of(provider).provider}: ")


# ---------------------------------------------------------------------- requests

REQUEST = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "user",
            "name": "me",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
                {"type": "new", "x": 1},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}],
            "reasoning": "r",
            "reasoning_details": [{"type": "x"}],
            "refusal": "no",
            "audio": {"id": "a1"},
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": {}},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}]},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}},
        {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": False}},
    "max_completion_tokens": 5,
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "x": [1],
}  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Requests that something happened to."""
    data = draw(st.data())
    if draw(st.booleans()):
        return damaged(data, json.dumps(REQUEST).encode())
    return json.dumps(changed(data, REQUEST)).encode()


@many(700)
@given(st.one_of(BYTES, requests(), requests()), PROVIDERS)
def test_a_damaged_request_is_a_request_or_refused(body: bytes, provider: str) -> None:
    codec = codec_of(provider)
    try:
        sent = codec.encode(codec.decode_request(body), {}).body
    except BadRequestError:
        return
    json.loads(sent)
    again = codec.decode_request(sent)
    assert codec.encode(again, {}).body == sent


def test_the_request_of_this_file_is_a_good_one() -> None:
    request = codec_of("openrouter").decode_request(json.dumps(REQUEST).encode())
    expected = REQUEST | {"max_tokens": 5, "tools": REQUEST["tools"]}
    del expected["max_completion_tokens"]
    expected["messages"] = [REQUEST["messages"][0] | {"role": "system"}, *REQUEST["messages"][1:]]  # type: ignore[index]

    assert body_of(request, "openrouter") == expected


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"messages": ' + b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_nested_too_deeply_is_an_error(body: bytes) -> None:
    codec = codec_of()

    assert read(b"data: " + body + b"\n\n").error is not None
    assert codec.decode_error(HttpResponse(400, {}, body)).status_code == 400
    with pytest.raises(ModelClientError):
        codec.decode(body)
    with pytest.raises(BadRequestError):
        codec.decode_request(body)
