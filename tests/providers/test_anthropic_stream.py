"""Streams of the Messages API: events, order, cuts and errors."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from modelwire import errors
from modelwire._fold import fold
from modelwire.types import (
    CitationDelta,
    Finish,
    FunctionCall,
    PartEnd,
    ProviderEvent,
    ProviderPart,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
    UsageUpdate,
)
from tests.providers.anthropic_wire import (
    CODEC,
    NAMES,
    NEWEST,
    answer,
    block,
    by_bytes,
    read,
    sse,
    start,
    stop,
    streamed,
    text,
    whole,
)

SIGNATURE = "EqQBCgIYAhIMb3BhcXVl+/8=="
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}


# ---------------------------------------------------------------------- events


def test_text() -> None:
    events = read(sse(start(), *text(0, "Hel", "lo"), *stop())).events

    assert events == [
        Start(id="msg_1", model=NEWEST),
        UsageUpdate(usage=Usage(prompt_tokens=3, completion_tokens=1)),
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        Finish(
            finish_reason="stop",
            raw_finish_reason="end_turn",
            usage=Usage(prompt_tokens=3, completion_tokens=4),
            id="msg_1",
            model=NEWEST,
            provider="anthropic",
        ),
    ]


def test_thinking_and_a_call() -> None:
    events = read(streamed("thinking_and_call")).events

    assert [type(event) for event in events] == [
        *(Start, UsageUpdate),
        PartEnd,
        *(TextDelta,) * 3,
        *(ToolCallStart, ToolCallDelta, ToolCallDelta, ToolCallDelta, PartEnd),
        Finish,
    ]
    assert events[2] == PartEnd(part=Reasoning(signature=SIGNATURE, provider="anthropic", model=NEWEST), index=0)
    assert {event.index for event in events[3:6] if isinstance(event, TextDelta)} == {1}
    assert events[6] == ToolCallStart(id="toolu_1", name="get_weather", index=2)
    assert "".join(event.arguments for event in events if isinstance(event, ToolCallDelta)) == (
        '{"city":"Zürich","days":2}'
    )


def test_shown_thinking_comes_in_deltas_and_ends_with_its_signature() -> None:
    events = read(streamed("shown_thinking")).events

    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "12 * 12 is 144.\n"
    ends = [event for event in events if isinstance(event, PartEnd)]
    assert [(end.index, end.part.signature) for end in ends if isinstance(end.part, Reasoning)] == [
        (0, SIGNATURE),
        (1, "EmwKAhgBEgy3va3p/+=="),
    ]


def test_citations_come_as_events_and_in_the_part() -> None:
    events = read(streamed("web_search")).events
    (cited,) = [event for event in events if isinstance(event, CitationDelta)]
    (end,) = [event for event in events if isinstance(event, PartEnd) and isinstance(event.part, Text)]

    assert cited.index == end.index == 3
    assert end.part == Text(text="the Example Tower", citations=[cited.citation])


def test_a_refusal_discards_nothing_that_was_said_and_says_why() -> None:
    events = read(streamed("refusal")).events

    assert RefusalDelta(text="This request could enable harm.", index=1) in events
    assert isinstance(events[-2], PartEnd)
    assert events[-2].index == 1


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events = read(streamed("parallel_calls")).events

    assert events[-3:-1] == [
        ToolCallDelta(arguments="{}", index=1),
        PartEnd(part=FunctionCall(id="toolu_2", name="get_time", arguments="{}"), index=1),
    ]


def test_arguments_that_the_start_has_whole_are_taken() -> None:
    """Some compatible servers do not stream them."""
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}
    result = read(sse(start(), *block(0, call), *stop("tool_use"))).result

    assert [made.arguments for made in result.tool_calls] == ['{"x": 1}']


def test_cut_arguments_stay_as_the_model_wrote_them() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    events = block(0, call, {"type": "input_json_delta", "partial_json": '{"x": [1'})
    result = read(sse(start(), *events, *stop("max_tokens"))).result

    assert result.tool_calls[0].arguments == '{"x": [1'
    assert (result.finish_reason, result.raw_finish_reason) == ("function_calls", "max_tokens")


def test_a_servers_tool_that_was_cut_is_still_json() -> None:
    made = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = block(0, made, {"type": "input_json_delta", "partial_json": '{"query": "to'})
    (part,) = read(sse(start(), *events, *stop("max_tokens"))).result.answer_parts

    assert isinstance(part, ProviderPart)
    assert json.loads(bytes(part.data))["input"] == {"INVALID_JSON": '{"query": "to'}


def test_an_empty_block_is_no_part_and_takes_no_place() -> None:
    result = read(sse(start(), *text(0), *text(1, "a"), *text(2, ""), *text(3, "b"), *stop()))

    assert [event.index for event in result.events if isinstance(event, TextDelta)] == [0, 1]
    assert result.result.parts == [Text(text="a"), Text(text="b")]


def test_unknown_members_of_blocks_are_kept() -> None:
    odd = {"type": "text", "text": "", "mood": {"a": 1}}
    body = sse(start(), *block(0, odd, {"type": "text_delta", "text": "x"}), *stop())

    assert read(body).result.parts == CODEC.decode(answer({"type": "text", "text": "x", "mood": {"a": 1}})).parts


def test_text_that_the_start_has_is_said() -> None:
    body = sse(start(), *block(0, {"type": "text", "text": "He"}, {"type": "text_delta", "text": "y"}), *stop())

    assert read(body).result.text == "Hey"


def test_blocks_that_the_message_starts_with_are_parts() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}}
    body = sse(start(content=[call], stop_reason="tool_use"), {"type": "message_stop"})
    result = read(body).result

    assert [made.arguments for made in result.tool_calls] == ['{"x": 1}']
    assert result.finish_reason == "function_calls"


# ---------------------------------------------------------------------- usage


def test_later_token_counts_take_the_place_of_earlier_ones() -> None:
    early = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 1}
    late = {"input_tokens": None, "cache_read_input_tokens": 7, "output_tokens": 40}
    body = sse(start(usage=early), *text(0, "x"), *stop(**late))
    found = read(body)

    assert found.events[1] == UsageUpdate(
        usage=Usage(prompt_tokens=17, completion_tokens=1, cached_tokens=5, cache_write_tokens=2)
    )
    assert found.result.usage == Usage(prompt_tokens=19, completion_tokens=40, cached_tokens=7, cache_write_tokens=2)


def test_several_message_deltas_add_up() -> None:
    first, last = stop("pause_turn", output_tokens=3)[0], stop("end_turn", output_tokens=9)
    result = read(sse(start(), *text(0, "x"), first, *last)).result

    assert result.raw_finish_reason == "end_turn"
    assert result.usage is not None
    assert result.usage.completion_tokens == 9


def test_a_stream_without_usage_has_none() -> None:
    body = sse(start(usage=None), *text(0, "x"), {"type": "message_delta", "delta": {}}, {"type": "message_stop"})
    found = read(body)

    assert not [event for event in found.events if isinstance(event, UsageUpdate)]
    assert (found.result.usage, found.result.finish_reason) == (None, "unknown")


# ---------------------------------------------------------------------- what is not known


def test_pings_are_nothing() -> None:
    plain = sse(start(), *text(0, "x"), *stop())

    assert read(sse({"type": "ping"}, start(), {"type": "ping"}, *text(0, "x"), {"type": "ping"}, *stop())).outcome == (
        read(plain).outcome
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "weather_report", "delta": 7, "index": "north"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "smell_delta", "text": {"odour": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "smell_delta", "odour": "x"}},
    ],
)
def test_unknown_events_and_deltas_are_given_as_they_came(odd: dict[str, Any]) -> None:
    first, delta, last = text(0, "x")
    body = sse(start(), first, odd, delta, last, *stop())
    (event,) = [event for event in read(body).events if isinstance(event, ProviderEvent)]

    assert event.provider == "anthropic"
    assert event.kind in ("weather_report", "smell_delta")
    assert json.loads(bytes(event.data)) == odd
    assert read(body).result == read(sse(start(), *text(0, "x"), *stop())).result


def test_a_second_start_and_a_missing_end_of_block_do_no_harm() -> None:
    first, delta, _ = text(0, "a")
    body = sse(start(), start(id="msg_2"), first, delta, *text(1, "b")[:2], *stop())
    result = read(body).result

    assert (result.id, result.text) == ("msg_1", "ab")
    assert result.parts == [Text(text="a"), Text(text="b")]


def test_a_block_that_is_never_ended_ends_with_the_next() -> None:
    begun, signed, _ = block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "Eq="})
    events = read(sse(start(), begun, signed, *text(1, "b"), *stop())).events

    assert [event.type for event in events[2:4]] == ["part_end", "text_delta"]


def test_null_takes_nothing_back() -> None:
    last = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "container": None},
        "context_management": None,
    }
    body = sse(start(container={"id": "c"}, context_management={"x": 1}), last, {"type": "message_stop"})
    data = (read(body).result.provider_data or {})["anthropic"]

    assert {name: json.loads(bytes(raw)) for name, raw in data.items()} == {
        "container": {"id": "c"},
        "context_management": {"x": 1},
    }


def test_what_follows_the_end_is_not_read() -> None:
    body = sse(start(), *text(0, "x"), *stop()) + b"data: [DONE]\n\ndata: nonsense\n\n"

    assert read(body).result.text == "x"


def test_a_whole_answer_is_no_stream() -> None:
    assert CODEC.is_stream(b"text/event-stream; charset=utf-8")
    assert CODEC.is_stream(b"")
    assert not CODEC.is_stream(b"application/json")
    assert not CODEC.is_stream(b"text/html")


# ---------------------------------------------------------------------- cuts


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_the_same_however_it_is_cut_into_pieces(name: str) -> None:
    body = streamed(name)
    whole_outcome = read(body).outcome

    assert read(by_bytes(body)).outcome == whole_outcome
    chance = random.Random(name)
    for _ in range(5):
        ends = sorted(chance.sample(range(len(body)), k=chance.choice((1, 5, 50))))
        pieces = [body[begin:end] for begin, end in zip([0, *ends], [*ends, len(body)], strict=True)]
        assert read(pieces).outcome == whole_outcome


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_cut_says_so_wherever_that_is(name: str) -> None:
    body = streamed(name)
    events = read(body).events
    last = body.rindex(b"\n\n")
    for cut in {*range(0, last, 37), last}:
        found = read(body[:cut])

        assert type(found.error) is errors.StreamInterruptedError, (cut, found.error)
        assert found.error.retryable
        assert found.events == events[: len(found.events)]


def test_what_had_come_of_a_call_is_in_the_partial_result() -> None:
    body = streamed("thinking_and_call")
    partial = fold(read(body[: body.index(b"days")]).events)

    assert partial.finish_reason == "error"
    assert partial.usage == Usage(prompt_tokens=12, completion_tokens=1, cached_tokens=0, cache_write_tokens=0)
    assert partial.tool_calls[0].name == "get_weather"


def test_an_empty_stream_is_cut() -> None:
    assert type(read(b"").error) is errors.StreamInterruptedError
    assert type(read(b": ping\n\n").error) is errors.StreamInterruptedError


# ---------------------------------------------------------------------- errors and garbage


def test_an_error_in_the_stream_comes_after_what_was_said() -> None:
    body = sse(start(), *text(0, "So far"), OVERLOADED, *stop())
    found = read(body)

    assert isinstance(found.error, errors.OverloadedError)
    assert (found.error.status_code, found.error.code, found.error.request_id) == (529, "overloaded_error", "req_1")
    assert found.error.retryable
    assert fold(found.events).text == "So far"
    assert read(by_bytes(body)).outcome == found.outcome


def test_an_error_is_told_at_once_and_again() -> None:
    decoder = CODEC.stream_decoder()

    assert decoder.feed(sse(start(), OVERLOADED))
    assert isinstance(decoder.error, errors.OverloadedError)
    for again in (lambda: decoder.feed(b""), decoder.close):
        with pytest.raises(errors.OverloadedError):
            again()


def test_an_error_before_anything_else_is_raised_at_once() -> None:
    with pytest.raises(errors.OverloadedError):
        CODEC.stream_decoder().feed(sse(OVERLOADED))


def test_an_error_that_says_nothing_is_the_servers() -> None:
    found = read(b'data: {"type":"error","error":null}\n\n')

    assert type(found.error) is errors.ServerError
    assert found.error.retryable


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
def test_an_error_as_bare_json_is_that_error(end: bytes) -> None:
    bare = json.dumps(OVERLOADED).encode() + end

    assert type(read(bare).error) is errors.OverloadedError
    assert type(read(sse(start()) + bare).error) is errors.OverloadedError
    indented = json.dumps(OVERLOADED, indent=2).encode() + end
    assert type(read(indented).error) is errors.OverloadedError


@pytest.mark.parametrize(
    "frame",
    [
        b"nonsense",
        b"[1]",
        b"{}",
        b'{"type":7}',
        b'{"type":"message_start"}',
        b'{"type":"message_start","message":{"content":7}}',
        b'{"type":"message_stop"}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}',
        b'{"type":"x","y":"\xff"}',
        b'{"type":"x","y":' + b"[" * 100_000,
    ],
)
def test_garbage_is_a_protocol_error(frame: bytes) -> None:
    found = read(b"data: " + frame + b"\n\n")

    assert type(found.error) is errors.ProtocolError, found
    assert found.error.status_code == 200
    assert found.events == []


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "content_block_start", "index": 1},
        {"type": "content_block_stop", "index": {}},
        {"type": "content_block_start", "index": 1, "content_block": {"text": "no type"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": 7}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 7}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": 7}},
        {"type": "message_delta", "delta": {"stop_reason": 7}},
        {"type": "message_delta", "usage": {"output_tokens": "many"}},
    ],
)
def test_garbage_after_the_start_comes_after_what_was_said(odd: dict[str, Any]) -> None:
    found = read(sse(start(), *text(0, "x")[:2], odd))

    assert type(found.error) is errors.ProtocolError, found
    assert fold(found.events).text == "x"


def test_a_web_page_is_named() -> None:
    found = read(b"<!DOCTYPE html><html><title>Sign in</title></html>")

    assert isinstance(found.error, errors.ProtocolError)
    assert "a web page instead of JSON" in found.error.message


def test_a_stream_equals_the_whole_answer_to_the_byte() -> None:
    """Also in opaque data, whose JSON is put together from pieces."""
    for name in ("web_search", "compaction", "unknown_block"):
        streams, wholes = (
            [bytes(part.data) for part in result.answer_parts if isinstance(part, ProviderPart)]
            for result in (read(streamed(name)).result, CODEC.decode(whole(name)))
        )

        assert streams == wholes
        assert msgspec.json.decode(streams[0])
