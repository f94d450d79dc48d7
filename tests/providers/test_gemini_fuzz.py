"""Whatever a server or another client sends, the Gemini codec raises modelwire's own errors and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire._fold import fold, unfold
from modelwire.errors import BadRequestError, ModelClientError, ProtocolError, StreamInterruptedError
from modelwire.protocols import HttpResponse
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._gemini.lowering import gemini_json_schema, gemini_openapi_schema, json_schema_of_openapi
from modelwire.types import ChatRequest

FIXTURES = Path(__file__).parent / "fixtures" / "gemini"
CODEC = GeminiCodec("https://example.com/v1beta")
ANSWERS = [json.loads(path.read_bytes()) for path in sorted(FIXTURES.glob("*.json"))]
STREAMS = [path.read_bytes() for path in sorted(FIXTURES.glob("*.sse"))]
REQUESTS: list[Any] = [
    {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "a"},
                    {
                        "fileData": {"mimeType": "video/mp4", "fileUri": "https://a/b"},
                        "videoMetadata": {"startOffset": "1s", "fps": 2},
                    },
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "t", "thought": True, "thoughtSignature": "AQ=="},
                    {"functionCall": {"id": "x", "name": "f", "args": {"y": 1}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "id": "x",
                            "name": "f",
                            "response": {"output": "z"},
                            "parts": [
                                {
                                    "inlineData": {"mimeType": "image/png", "data": "AAAA"},
                                    "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                                }
                            ],
                        }
                    }
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parameters": {"type": "OBJECT", "properties": {"y": {"type": 3, "nullable": True}}},
                    }
                ]
            },
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
        },
        "safetySettings": [{"category": 7, "threshold": 3}],
    }
]
SCHEMAS: list[Any] = [
    {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, "b": {"allOf": [{"const": 1}, {"type": "integer", "exclusiveMinimum": 0}]}}, "$defs": {"A": {"type": "array", "prefixItems": [{"enum": ["x"]}], "items": False}}}
]  # fmt: skip

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def bent(draw: st.DrawFn, samples: list[Any]) -> Any:
    """A sample of JSON with up to three of its values replaced, removed or doubled."""
    value = json.loads(json.dumps(draw(st.sampled_from(samples))))
    for _ in range(draw(st.integers(1, 3))):
        value = _bend(draw, value)
    return value


def _bend(draw: st.DrawFn, value: Any) -> Any:
    holders = [holder for holder in _holders(value) if holder]
    if not holders:
        return draw(values)
    holder = draw(st.sampled_from(holders))
    key = draw(st.sampled_from([*holder] if isinstance(holder, dict) else list(range(len(holder)))))
    what = draw(st.sampled_from(["replace", "remove", "copy"]))
    if what == "replace":
        holder[key] = draw(values)
    elif what == "remove":
        del holder[key]
    elif isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[draw(st.sampled_from([*holder, "x"]))] = holder[key]
    return value


def _holders(value: Any) -> list[Any]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*([value] if isinstance(value, (dict, list)) else []), *(each for one in inner for each in _holders(one))]


@quick
@given(bent(ANSWERS))
def test_a_bent_answer_is_a_result_or_one_of_our_errors(answer: Any):
    try:
        result = CODEC.decode(json.dumps(answer).encode())
    except ModelClientError:
        return
    assert fold(unfold(result)) == result


@quick
@given(bent(ANSWERS), st.data())
def test_a_bent_answer_is_the_same_as_an_event_and_in_a_list(answer: Any, data: st.DataObject):
    body = json.dumps(answer).encode()

    def as_event() -> Any:
        decoder = CODEC.stream_decoder()
        events = decoder.feed(b"data: %b\n\n" % body)
        return fold(events + decoder.close())

    assert _outcome(as_event) == _outcome(lambda: CODEC.decode(b"[%b]" % body))


def _outcome(do: Any) -> Any:
    try:
        return do()
    except ModelClientError as error:
        return type(error)


@quick
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_are_a_protocol_error_or_another_of_ours(body: bytes):
    for read in (CODEC.decode, CODEC.decode_count):
        try:
            read(body)
        except ModelClientError as error:
            # No random bytes are an error of Google's; a list of nothings is a stream without its end.
            assert isinstance(error, (ProtocolError, StreamInterruptedError))  # noqa: PT017


@quick
@given(st.data())
def test_a_bent_stream_gives_the_same_however_it_is_split(data: st.DataObject):
    body = bytearray(data.draw(st.sampled_from(STREAMS)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=4))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [bytes(body[a:b]) for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert _streamed([bytes(body)]) == _streamed(pieces)


def _streamed(pieces: list[bytes]) -> Any:
    decoder = CODEC.stream_decoder()
    events: list[Any] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except ModelClientError as error:
        return events, type(error), str(error)
    return events


@quick
@given(bent(REQUESTS))
def test_a_bent_request_is_read_and_written_or_refused(body: Any):
    try:
        request = CODEC.decode_request(
            json.dumps(body).encode(), "https://x/v1beta/models/gemini-3.8-flash:generateContent"
        )
        CODEC.encode(request, {})
        CODEC.encode_count(request, {"reasoning": True})
    except BadRequestError:
        return
    assert isinstance(request, ChatRequest)


@quick
@given(st.binary(max_size=100) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_request_or_refused(body: bytes):
    try:
        CODEC.decode_request(body, "")
    except BadRequestError:
        return


@quick
@given(
    st.integers(300, 599),
    values
    | bent(
        [
            {
                "error": {
                    "code": 429,
                    "status": "X",
                    "message": "m",
                    "details": [{"retryDelay": "3s", "violations": [{"quotaId": "PerDay"}]}],
                }
            }
        ]
    ),
)
def test_any_error_is_one_of_ours(status: int, body: Any):
    error = CODEC.decode_error(HttpResponse(status, {}, json.dumps(body).encode()))

    assert isinstance(error, ModelClientError)
    assert error.status_code == status


@quick
@given(bent(SCHEMAS) | values)
def test_any_schema_is_lowered_or_refused(schema: Any):
    for lower in (gemini_json_schema, gemini_openapi_schema):
        try:
            json.dumps(lower(schema).schema)
        except BadRequestError:
            continue
    if isinstance(schema, dict):
        json_schema_of_openapi(schema)
