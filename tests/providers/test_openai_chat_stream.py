"""Streams of Chat Completions: their events, their ends, and what servers make of them.

What one stream adds up to is in `test_openai_chat_fixtures.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from modelwire import StreamInterruptedError, UserMessage
from modelwire._fold import fold
from modelwire.errors import (
    BadRequestError,
    ConnectionFailedError,
    ContentFilterError,
    ModelClientError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from modelwire.providers._openai_chat import Quirks
from modelwire.types import (
    Audio,
    AudioDelta,
    ChoiceEnd,
    Citation,
    CitationDelta,
    Finish,
    LogprobsDelta,
    PartEnd,
    ProviderPart,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    TokenLogprob,
    Usage,
)
from tests.fakes import Reply, client_of, scripted
from tests.providers.chat_wire import DONE, chunk, codec_of, event, read, read_all

if TYPE_CHECKING:
    from modelwire._stream import EventStream
    from modelwire.types import StreamEvent

ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
START = Start(id="chatcmpl-1", model="m-1")
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
OWN = "openai-compatible"


def result(*pieces: bytes, provider: str | Quirks = "plain") -> Any:
    """What a stream adds up to."""
    return fold(read_all(b"".join(pieces), provider))


# ---------------------------------------------------------------------- events


def test_text_comes_as_it_is_written() -> None:
    events = read_all([ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, DONE])

    assert events == [
        START,
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        Finish(
            finish_reason="stop",
            raw_finish_reason="stop",
            id="chatcmpl-1",
            model="m-1",
            provider="openai",
            provider_data={"openai": {"created": msgspec.Raw(b"1")}},
        ),
    ]


def test_reasoning_a_refusal_logprobs_and_sources_have_events_of_their_own() -> None:
    token = {"token": "a", "logprob": -1.0}
    cited = {"type": "url_citation", "url_citation": {"url": "u", "start_index": 0, "end_index": 1}}
    events = read_all(
        [
            chunk({"reasoning": "hm"}),
            chunk({"content": "a"}, _logprobs={"content": [token]}),
            chunk({"annotations": [cited]}),
            chunk({"refusal": "No."}),
            STOP,
            DONE,
        ],
        "groq",
    )

    source = Citation(url="u", start_index=0, end_index=1)
    assert events[1:-1] == [
        ReasoningDelta(text="hm", index=0),
        TextDelta(text="a", index=1),
        LogprobsDelta(logprobs=[TokenLogprob(token="a", logprob=-1.0)]),
        CitationDelta(citation=source, index=1),
        RefusalDelta(text="No.", index=2),
        PartEnd(part=Reasoning(text="hm", provider="groq", model="m-1"), index=0),
        PartEnd(part=Text(text="a", citations=[source]), index=1),
        PartEnd(part=Refusal(text="No."), index=2),
    ]
    assert events[-1].finish_reason == "refusal"  # type: ignore[union-attr]


def test_sound_comes_in_pieces_and_its_end_after_the_reason() -> None:
    events = read_all(
        [
            chunk({"audio": {"id": "audio_1"}}),
            chunk({"audio": {"transcript": "Hi"}}),
            chunk({"audio": {"data": "AAEC"}}),
            STOP,
            chunk({"audio": {"expires_at": 9}}),
            DONE,
        ]
    )

    assert events[1:-1] == [
        AudioDelta(data="", transcript="Hi"),
        AudioDelta(data="AAEC"),
        PartEnd(part=Audio(id="audio_1", data="AAEC", transcript="Hi", expires_at=9)),
    ]


def test_several_choices_are_kept_apart() -> None:
    events = read_all(
        [
            chunk({"content": "a"}),
            chunk({"content": "b"}, _index=1),
            chunk({}, "length", _index=1),
            STOP,
            DONE,
        ]
    )

    assert events[1:-1] == [
        TextDelta(text="a"),
        TextDelta(text="b", choice=1),
        ChoiceEnd(finish_reason="length", raw_finish_reason="length", choice=1),
    ]


def test_azure_begins_with_a_chunk_that_is_no_answer_yet() -> None:
    filters = {"id": "", "model": "", "choices": [], "created": 0, "prompt_filter_results": [{"prompt_index": 0}]}
    events = read_all([event(filters), ROLE, chunk({"content": "a"}), STOP, DONE], "azure")

    assert events[0] == START
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert finish.usage is None, "no choices does not mean that there is usage"
    kept = (finish.provider_data or {})["azure"]
    assert {name: bytes(value) for name, value in kept.items()} == {
        "created": b"1",
        "prompt_filter_results": b'[{"prompt_index":0}]',
    }


def test_a_late_filter_ends_an_answer_that_seemed_complete() -> None:
    late = event({"id": "", "model": "", "choices": [{"index": 0, "finish_reason": "content_filter"}]})

    found = result(ROLE, chunk({"content": "bad"}), STOP, late, DONE, provider="azure")

    assert (found.text, found.finish_reason, found.id) == ("bad", "content_filter", "chatcmpl-1")


def test_obfuscation_and_unknown_members_are_passed_over() -> None:
    odd = chunk({"content": "a", "channel": "final", "x": None}, obfuscation="xxxx", p="abc", _matched_stop=1)

    assert result(odd, STOP, DONE).text == "a"


# ---------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    "end",
    [
        [STOP, chunk(usage=USAGE), DONE],
        [chunk({}, "stop", usage=USAGE), DONE],
        [chunk({}, "stop", x_groq={"id": "req_1", "usage": USAGE}), DONE],
        [chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk(usage=USAGE), DONE],
        [STOP, chunk(usage=USAGE), chunk(usage=None), DONE],
        [STOP, chunk(usage=USAGE), chunk(usage={}), DONE],
        [STOP, chunk(usage=USAGE)],
    ],
)
def test_usage_may_come_in_many_places(end: list[bytes]) -> None:
    found = result(ROLE, chunk({"content": "a"}, usage=None), *end)

    assert found.usage == Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)


def test_usage_is_none_where_nothing_was_reported() -> None:
    assert result(ROLE, STOP, DONE).usage is None


# ---------------------------------------------------------------------- chunks of servers that take liberties


@pytest.mark.parametrize(
    "odd",
    [
        b'data:{"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\r\n\r\n',
        b'data: {"choices":[{"delta":{"content":"a"}}]}\r\r',
        b': keep-alive\n\nevent: message\nid: 1\ndata: {"choices":[{"delta":{"content":"a"}}]}\n\n',
        b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n',
        b'data: {"created":1.5,"choices":[{"delta":{"content":"a"},"index":null}]}\n\n',
        b'data: {"id":3,"choices":[{"delta":{"content":"a"},"finish_reason":""}]}\n\n',
        b'data: {"usage":"none","choices":[{"delta":{"content":["a"]},"logprobs":[]}]}\n\n',
        b'data: {"choices":[{"delta":{"content":{"type":"text","text":"a"}},"finish_reason":false}]}\n\n',
        b'data: {"choices":[{"delta":{"content":"a","role":null,"reasoning":{}},"x":1}],"x_groq":"x"}\n\n',
    ],
)
def test_a_chunk_may_be_strange(odd: bytes) -> None:
    found = result(b"\xef\xbb\xbf" + odd, event({"choices": [{"delta": {}, "finish_reason": "end_turn"}]}), DONE)

    assert (found.text, found.finish_reason, found.raw_finish_reason) == ("a", "stop", "end_turn")
    assert isinstance(read(odd, "plain").events[0], Start)


def test_empty_members_are_no_parts() -> None:
    empty = {
        "content": None,
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""},
        "tool_calls": [],
        "reasoning_details": [],
        "images": [],
        "annotations": [],
    }

    assert result(chunk(empty), chunk({"content": "a", "tool_calls": None}), STOP, DONE).parts == [Text(text="a")]


def test_characters_may_be_cut_in_the_middle() -> None:
    whole = ROLE + chunk({"content": "é漢🎈"}) + STOP + DONE

    for cut in range(len(whole)):
        assert fold(read([whole[:cut], whole[cut:]]).events).text == "é漢🎈"


def test_chunks_of_content_keep_their_order() -> None:
    """Mistral: reasoning, text and sources as they came, each ended by the next."""
    found = result(
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "one"}]}]}),
        chunk({"content": [{"type": "text", "text": "two"}]}),
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "three"}]}]}),
        chunk({"content": "four"}),
        chunk({"content": [{"type": "reference", "reference_ids": [1]}]}),
        chunk({"content": [{"type": "text", "text": "five"}]}),
        STOP,
        DONE,
        provider="mistral",
    )

    assert found.parts == [
        Reasoning(text="one", provider="mistral", model="m-1"),
        Text(text="two"),
        Reasoning(text="three", provider="mistral", model="m-1"),
        Text(text="four"),
        ProviderPart(
            provider="mistral", kind="reference", data=msgspec.Raw(b'{"type":"reference","reference_ids":[1]}')
        ),
        Text(text="five"),
    ]


def test_reasoning_without_text_keeps_its_place() -> None:
    encrypted = msgspec.Raw(b'{"type":"reasoning.encrypted","data":"x"}')
    found = result(
        chunk({"reasoning_details": [encrypted]}), chunk({"content": "a"}), STOP, DONE, provider="openrouter"
    )

    assert [part.type for part in found.parts] == ["reasoning", "text"]


def test_filters_that_saw_nothing_say_nothing() -> None:
    chunks = [
        chunk({"content": "a"}, _content_filter_results=seen) for seen in (None, {}, {"hate": {"filtered": False}})
    ]
    found = result(*chunks, chunk({}, "stop", _content_filter_results=None), DONE, provider="azure")

    assert bytes(found.provider_data["azure"]["content_filter_results"]) == b'{"hate":{"filtered":false}}'


def test_thoughts_with_sources_are_kept_whole() -> None:
    thinking = [{"type": "text", "text": "see "}, {"type": "reference", "reference_ids": [1]}]
    found = result(chunk({"content": [{"type": "thinking", "thinking": thinking}]}), STOP, DONE, provider="mistral")

    (reasoning,) = found.parts
    assert reasoning.text == "see "
    assert bytes(reasoning.provider_data["mistral"]["thinking"]) == msgspec.json.encode(thinking)


@pytest.mark.parametrize(
    ("fragments", "merged"),
    [
        ([b'{"type":"reasoning.text","text":"a"}'], b'[{"type":"reasoning.text","text":"a"}]'),
        (
            [b'{"type":"reasoning.text","text":"a","index":0}', b'{"type":"reasoning.text","text":"b","index":0}'],
            b'[{"type":"reasoning.text","text":"ab","index":0}]',
        ),
        (
            [b'{"type":"reasoning.text","text":"a","index":0}', b'{"type":"reasoning.text","text":"b","index":1}'],
            b'[{"type":"reasoning.text","text":"a","index":0},{"type":"reasoning.text","text":"b","index":1}]',
        ),
        (
            [b'{"type":"reasoning.text","text":"a","id":"1"}', b'{"type":"reasoning.text","text":"b","id":"2"}'],
            b'[{"type":"reasoning.text","text":"a","id":"1"},{"type":"reasoning.text","text":"b","id":"2"}]',
        ),
        (
            [b'{"type":"reasoning.summary","summary":"a","id":"1"}', b'{"type":"reasoning.summary","summary":"b","id":null}'],
            b'[{"type":"reasoning.summary","summary":"ab","id":"1"}]',
        ),
        (
            [b'{"type":"reasoning.encrypted","data":"x","index":0}', b'{"type":"reasoning.encrypted","data":"y","index":0}'],
            b'[{"type":"reasoning.encrypted","data":"x","index":0},{"type":"reasoning.encrypted","data":"y","index":0}]',
        ),
        (
            [b'{"type":"reasoning.text","text":null}', b'{"type":"reasoning.text","text":"b","signature":"s"}'],
            b'[{"type":"reasoning.text","text":"b","signature":"s"}]',
        ),
        ([b'"odd"', b"7"], b'["odd",7]'),
    ],
)  # fmt: skip
def test_fragments_of_reasoning_details_become_what_a_whole_answer_has(fragments: list[bytes], merged: bytes) -> None:
    chunks = [chunk({"reasoning_details": [msgspec.Raw(fragment)]}) for fragment in fragments]
    found = result(*chunks, STOP, DONE, provider="openrouter")

    assert bytes(found.parts[0].provider_data["openrouter"]["reasoning_details"]) == merged


# ---------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    "end",
    [
        [STOP, DONE],
        [STOP, b"data: [DONE]\n"],
        [STOP, b"data: [DONE]"],
        [STOP],
        [STOP, b": bye\n\n"],
        [STOP, b"data: {"],
        [chunk({}, "stop") + chunk(usage=USAGE)],
    ],
)
def test_an_answer_with_its_reason_is_complete(end: list[bytes]) -> None:
    assert result(ROLE, chunk({"content": "a"}), *end).finish_reason == "stop"


def test_an_answer_that_the_server_ends_without_a_reason_is_complete() -> None:
    found = result(ROLE, chunk({"content": "a"}), DONE)

    assert (found.text, found.finish_reason, found.raw_finish_reason) == ("a", "unknown", None)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([], "openai: the stream ended before its first event"),
        ([b": keep-alive\n\n"], "openai: the stream ended before its first event"),
        ([ROLE[:5]], "openai: the stream ended before its first event"),
        ([ROLE[:1]], "openai: the stream ended before its first event"),
        ([ROLE[:-1]], "openai: the stream ended before its first event"),
        ([ROLE], "openai: the stream ended before its finish_reason"),
        ([ROLE, chunk({"content": "a"})], "openai: the stream ended before its finish_reason"),
        ([ROLE, STOP[:-1]], "openai: the stream ended before its finish_reason"),
        ([ROLE, chunk({}, "stop", _index=1)], "openai: the stream ended before its finish_reason"),
        ([ROLE, chunk({}, "")], "openai: the stream ended before its finish_reason"),
    ],
)
def test_an_answer_without_its_reason_was_cut(pieces: list[bytes], message: str) -> None:
    error = read(pieces).error

    assert type(error) is StreamInterruptedError
    assert error.message == message
    assert error.retryable
    assert error.status_code == 200


def test_nothing_counts_after_the_end() -> None:
    late = chunk({"content": "late"})

    assert read_all([ROLE, STOP, DONE, late, b'{"error": "late"}\n', DONE])[-1].type == "finish"


@pytest.mark.anyio
@pytest.mark.parametrize("end", [[], [b"data: "], [ConnectionFailedError("broken pipe")]])
async def test_a_cut_stream_gives_what_had_come(end: list[bytes | Exception]) -> None:
    body = [ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), *end]
    transport = scripted(Reply(headers={"content-type": "text/event-stream"}, body=body))
    seen: list[StreamEvent] = []

    async with client_of(transport).stream([UserMessage(content="Hi")]) as events:
        with pytest.raises(StreamInterruptedError) as caught:
            await _collect(events, seen)

    assert seen == [START, TextDelta(text="Hel"), TextDelta(text="lo")]
    assert caught.value.partial == fold(seen)
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.finish_reason) == ("Hello", "error")


async def _collect(events: EventStream, seen: list[StreamEvent]) -> None:
    async for one in events:
        seen.append(one)  # noqa: PERF401  # what came before an error counts


# ---------------------------------------------------------------------- errors inside the stream


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (event({"error": {"message": "Boom", "type": "server_error"}}), ServerError, 500),
        (event({"error": {"message": "Slow down", "code": "rate_limit_exceeded"}}), RateLimitError, 429),
        (event({"error": "Boom"}), ServerError, 500),
        (event({"error": {"message": "Boom", "code": 503}}), OverloadedError, 503),
        (event({"detail": "Boom"}), ServerError, 500),
        (event({"object": "error", "message": "Boom", "type": "BadRequestError", "code": 400}), BadRequestError, 400),
        (b"event: error\n" + event({"error": {"message": "Boom", "status_code": 400}}), BadRequestError, 400),
        (chunk({}, "error", error={"code": 502, "message": "Boom"}), ServerError, 502),
        (chunk({}, "error", _error={"code": 429, "message": "Boom"}), RateLimitError, 429),
        (chunk({}, x_groq={"id": "r", "error": "Boom"}), ServerError, 500),
        (event({"error": {"message": "Boom", "code": "content_filter"}}), ContentFilterError, 400),
        (b'{"error": {"message": "Boom", "type": "server_error"}}\n\n', ServerError, 500),
        (b'{"error": {"message": "Boom", "type": "server_error"}}', ServerError, 500),
        (b'{\n  "error": {\n    "message": "Boom",\n    "code": 429\n  }\n}\n', RateLimitError, 429),
        (b'data: {"error": {"message": "Boom", "code": 429}}', RateLimitError, 429),
        (b'data: {"error": {"message": "Boom", "code": 429}}\n', RateLimitError, 429),
    ],
)
def test_an_error_comes_after_the_events_before_it(error: bytes, kind: type[ModelClientError], status: int) -> None:
    for before, events in (([], []), ([ROLE, chunk({"content": "a"})], [START, TextDelta(text="a")])):
        body = b"".join([*before, error])
        found = read(body)

        assert found.error is not None
        assert type(found.error) is kind
        assert found.error.status_code == status
        assert found.events[1:] == events[1:]
        assert "openai: " in found.error.message
        assert read([body[index : index + 1] for index in range(len(body))]).outcome == found.outcome


def test_the_error_is_known_at_once() -> None:
    """There is no need to wait for more bytes."""
    decoder = codec_of().stream_decoder()
    events = decoder.feed(ROLE + chunk({"content": "a"}) + event({"error": "Boom"}) + chunk({"content": "b"}))

    assert events == [START, TextDelta(text="a")]
    assert isinstance(decoder.error, ServerError)
    with pytest.raises(ServerError, match="Boom"):
        decoder.feed(b"")
    with pytest.raises(ServerError, match="Boom"):
        decoder.close()


def test_an_error_line_before_the_end_counts() -> None:
    """A server that writes its error beside the events, and ends the stream as if nothing had happened."""
    body = ROLE + b'{"error": "Boom"}\n\n' + DONE
    for pieces in ([body], [body[index : index + 1] for index in range(len(body))]):
        found = read(pieces)

        assert isinstance(found.error, ServerError)
        assert found.events == [START]


# ---------------------------------------------------------------------- what is no stream


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (event(b"{oops"), "openai: an event of the stream is not a chat completion chunk (JSON is malformed"),
        (event(b"hello"), "openai: an event of the stream is not a chat completion chunk (JSON is malformed"),
        (event(b""), "openai: an event of the stream is not a chat completion chunk (Input data was truncated"),
        (event([1]), "openai: an event of the stream is not a chat completion chunk (Expected `object`, got `array`): [1]"),
        (event({"choices": 5}), "openai: an event of the stream is not a chat completion chunk (Expected `array | null`"),
        (event({"choices": ["ab"]}), "openai: an event of the stream is not a chat completion chunk"),
        (event({"choices": [{"delta": {"tool_calls": ["x"]}}]}), "openai: an event of the stream is not a chat compl"),
        (event(b'{"choices":[{"delta":{"content":"\xff"}}]}'), "openai: an event of the stream is not a chat completion"),
        (event(b'{"choices":[{"delta":{"content":[{"type":"\xff"}]}}]}'), "openai: an event of the stream is not a chat"),
        (event(b'{"x":' + b"[" * 50_000), "openai: an event of the stream is not a chat completion chunk (maximum recur"),
        (event({"error": {}}) + event({"error": []}), "openai: the stream ended before its first event"),
        (DONE, "openai: the stream ended without a single choice"),
        (event({"id": "1", "choices": []}) + DONE, "openai: the stream ended without a single choice"),
        (b"<!doctype html>\n<html>Sign in</html>\n", "openai: a web page instead of JSON (a proxy, a login page, or a"),
        (b"upstream connect error", "openai: not a Chat Completions answer (no server-sent events): upstream connect"),
        (b'{"id": "1", "object": "chat.completion"}', "openai: not a Chat Completions answer (no server-sent events)"),
    ],
)  # fmt: skip
def test_garbage_is_refused_with_the_place_and_a_remedy(body: bytes, message: str) -> None:
    found = read(body)

    assert isinstance(found.error, (ProtocolError, StreamInterruptedError))
    assert found.error.message.startswith(message)
    assert len(found.error.message) < 1000
    assert found.error.status_code == 200
    assert read([body[index : index + 1] for index in range(len(body))]).outcome == found.outcome


def test_garbage_comes_after_the_events_before_it() -> None:
    found = read(ROLE + chunk({"content": "a"}) + event(b"oops") + chunk({"content": "b"}))

    assert found.events == [START, TextDelta(text="a")]
    assert isinstance(found.error, ProtocolError)
    assert not found.error.retryable


def test_a_gigantic_event_is_refused() -> None:
    piece = b"x" * (1 << 20)

    found = read([ROLE, b'data: {"x":"', *[piece] * 65])

    assert isinstance(found.error, ProtocolError)
    assert found.error.message == (
        "one frame of the stream is larger than 67108864 bytes; the server does not end its frames"
    )


def test_what_is_null_beside_the_finish_reason_is_not_kept():
    last = chunk({}, "stop", _stop_reason=None, _native_finish_reason="end")
    found = result(ROLE, chunk({"content": "a"}), last, DONE)

    assert found.provider_data == {OWN: {"created": msgspec.Raw(b"1"), "native_finish_reason": msgspec.Raw(b'"end"')}}
