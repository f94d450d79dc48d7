"""Streamed answers of Gemini."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import (
    ModelClientError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    StreamInterruptedError,
)
from modelwire.providers._gemini import GeminiCodec
from modelwire.types import (
    Audio,
    Citation,
    CreateResult,
    Finish,
    FunctionCall,
    PartEnd,
    ProviderPart,
    Reasoning,
    Start,
    StreamEvent,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
    UsageUpdate,
)

FIXTURES = Path(__file__).parent / "fixtures" / "gemini"
STREAMS = sorted(path.name for path in FIXTURES.glob("*.sse"))
WHOLE = [name for name in STREAMS if not name.startswith("error")]
CODEC = GeminiCodec("https://example.com/v1beta")


def events_of(*pieces: bytes) -> list[StreamEvent]:
    decoder = CODEC.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def outcome(*pieces: bytes) -> tuple[list[StreamEvent], str]:
    """All events, and the error after them."""
    decoder = CODEC.stream_decoder()
    events: list[StreamEvent] = []
    try:
        for piece in pieces:
            events += decoder.feed(piece)
        events += decoder.close()
    except ModelClientError as error:
        return events, repr(error)
    return events, ""


def streamed(name: str) -> CreateResult:
    return fold(events_of((FIXTURES / name).read_bytes()))


def chunk(*parts: Any, **members: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": parts}, **members}
    return b"data: %b\r\n\r\n" % msgspec.json.encode({"candidates": [candidate], "responseId": "r1"})


def own(**members: str) -> dict[str, dict[str, msgspec.Raw]]:
    return {"gemini": {name: msgspec.Raw(text.encode()) for name, text in members.items()}}


# ---------------------------------------------------------------------- all streams


@pytest.mark.parametrize("name", STREAMS)
def test_events_and_errors_do_not_depend_on_how_the_bytes_are_split(name: str):
    body = (FIXTURES / name).read_bytes()
    whole = outcome(body)

    assert outcome(*(body[at : at + 1] for at in range(len(body)))) == whole
    for seed in range(20):
        cuts = sorted(random.Random(seed).sample(range(len(body)), 12))
        assert outcome(*(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))) == whole


@pytest.mark.parametrize("name", WHOLE)
def test_the_list_of_the_chunks_is_the_same_answer(name: str):
    body = (FIXTURES / name).read_bytes()
    listed = b"[%b]" % b",".join(body.replace(b"data: ", b"").split(b"\r\n\r\n")[:-1])

    assert CODEC.decode(listed) == fold(events_of(body))


@pytest.mark.parametrize("name", WHOLE)
def test_results_unfold_to_events_that_fold_to_them(name: str):
    result = streamed(name)

    assert fold(unfold(result)) == result


@pytest.mark.parametrize("name", WHOLE)
def test_the_last_event_is_the_only_finish(name: str):
    events = events_of((FIXTURES / name).read_bytes())

    assert [type(event) is Finish for event in events] == [*[False] * (len(events) - 1), True]
    assert isinstance(events[0], Start)


# ---------------------------------------------------------------------- parts


def test_thoughts_text_and_parallel_calls_with_one_signature():
    result = streamed("thought_text_and_parallel_calls.sse")

    assert result.parts == [
        Reasoning(text="First the plan.", provider="gemini", model="gemini-3.8-flash"),
        Text(text="Let me see."),
        FunctionCall(
            id="fc1", name="weather", arguments='{"city":"Kraków"}', provider_data=own(thoughtSignature='"Eg=="')
        ),
        FunctionCall(id="fc2", name="weather", arguments='{"city":"Łódź"}'),
    ]
    assert (result.finish_reason, result.raw_finish_reason) == ("function_calls", "STOP")
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=12, total_tokens=21, reasoning_tokens=4)
    assert (result.id, result.request_id, result.model, result.provider) == ("r1", "r1", "gemini-3.8-flash", "gemini")


def test_a_call_is_a_beginning_its_arguments_and_its_end():
    body = chunk({"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}}, finishReason="STOP")
    start, delta, end = events_of(body)[1:-1]

    assert start == ToolCallStart(id="a", name="f")
    assert delta == ToolCallDelta(arguments='{"x":1}')
    assert end == PartEnd(part=FunctionCall(id="a", name="f", arguments='{"x":1}'))


def test_a_signature_on_an_empty_text_is_a_part_of_its_own():
    result = streamed("signed_empty_text.sse")

    assert result.parts == [
        Text(text="The answer is 4."),
        Text(text="", provider_data=own(thoughtSignature='"AY89a1/x+w=="')),
    ]
    assert result.content == "The answer is 4."


def test_texts_before_and_after_a_signed_one_are_parts_of_their_own():
    body = (
        chunk({"text": "a"})
        + chunk({"text": "b", "thoughtSignature": "AQ=="})
        + chunk({"text": "c"}, finishReason="STOP")
    )
    events = events_of(body)

    signed = Text(text="b", provider_data=own(thoughtSignature='"AQ=="'))
    assert fold(events).parts == [Text(text="a"), signed, Text(text="c")]
    assert [event for event in events if isinstance(event, PartEnd)] == [PartEnd(part=signed, index=1)]


def test_a_text_alone_has_no_part_end():
    assert not any(isinstance(event, PartEnd) for event in events_of(chunk({"text": "a"}, finishReason="STOP")))


def test_steps_of_code_execution_keep_their_places_among_the_texts():
    result = streamed("code_execution.sse")

    text, code, output, last = result.answer_parts
    assert (text, last) == (Text(text="I compute. "), Text(text="It is 42."))
    assert [
        (part.kind, msgspec.json.decode(part.data).keys()) for part in (code, output) if isinstance(part, ProviderPart)
    ] == [
        ("executableCode", {"executableCode", "thoughtSignature"}),
        ("codeExecutionResult", {"codeExecutionResult"}),
    ]
    assert result.usage == Usage(
        prompt_tokens=39, completion_tokens=15, total_tokens=54, reasoning_tokens=3, tool_prompt_tokens=30
    )


def test_pieces_of_sound_are_one_sound():
    result = streamed("spoken.sse")

    assert result.parts == [Audio(data="AAECAwQ=", media_type="audio/L16;codec=pcm;rate=24000")]
    assert result.usage is not None
    assert result.usage.completion_audio_tokens == 50


def test_a_sound_with_a_signature_is_a_part_of_its_own():
    bare = {"inlineData": {"mimeType": "audio/pcm", "data": "AAEC"}}
    result = fold(
        events_of(chunk(bare) + chunk({**bare, "thoughtSignature": "AQ=="}) + chunk(bare, finishReason="STOP"))
    )

    sound = Audio(data="AAEC", media_type="audio/pcm")
    assert result.parts == [sound, msgspec.structs.replace(sound, provider_data=own(thoughtSignature='"AQ=="')), sound]


def test_a_sound_in_another_form_is_another_part():
    forms = ("audio/L16;rate=24000", "audio/L16;rate=16000")
    pieces = [{"inlineData": {"mimeType": form, "data": "AAEC"}} for form in forms]
    result = fold(events_of(chunk(pieces[0]) + chunk(pieces[1], finishReason="STOP")))

    assert result.parts == [Audio(data="AAEC", media_type=form) for form in forms]


def test_sounds_in_containers_stand_for_themselves():
    part = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
    result = fold(events_of(chunk(part) + chunk(part, finishReason="STOP")))

    assert result.parts == [Audio(data="UklGRg==", media_type="audio/wav")] * 2


def test_arguments_in_pieces_are_put_together():
    """As Vertex AI sends them where they were asked for."""
    result = streamed("arguments_in_pieces.sse")

    order, pay = result.tool_calls
    assert order.name == "order"
    assert order.parsed_arguments() == {
        "items": [{"name": "apple", "count": 3}, {"name": "fig"}],
        "is gift": False,
        "note": None,
    }
    assert order.provider_data == own(thoughtSignature='"AQ=="')
    assert (pay.name, pay.arguments) == ("pay", '{"sum":1.50}')
    assert order.id != pay.id


def test_a_call_in_pieces_that_nothing_ends_ends_with_the_stream():
    pieces = [{"jsonPath": "$.a", "stringValue": "x"}]
    body = chunk({"functionCall": {"name": "f", "willContinue": True}})
    body += chunk({"functionCall": {"partialArgs": pieces, "willContinue": True}}, finishReason="STOP")

    (call,) = fold(events_of(body)).tool_calls
    assert call.arguments == '{"a":"x"}'


@pytest.mark.parametrize(
    "path", ["", "$", "$.", "a.b", "$.a[", "$.a[1]", "$.a.b", "$[0]", "$.a[x]", "$['a", "$.a[99999999999]", "$..a"]
)
def test_a_path_that_leads_nowhere_is_a_protocol_error(path: str):
    pieces = [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": path, "stringValue": "y"}]
    body = chunk({"functionCall": {"name": "f", "partialArgs": pieces}}, finishReason="STOP")

    with pytest.raises(ProtocolError):
        events_of(body)


# ---------------------------------------------------------------------- the end


def test_usage_and_sources_may_come_after_the_finish_reason():
    events = events_of((FIXTURES / "usage_and_sources_after_the_end.sse").read_bytes())
    result = fold(events)

    assert result.parts == [
        Text(
            text="Żółw: 2 km/h.",
            citations=[Citation(url="https://example.com/t", title="example.com", start_index=6, end_index=12)],
        )
    ]
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=6, total_tokens=15, cached_tokens=4)
    kept = (result.provider_data or {})["gemini"]
    assert (bytes(kept["serviceTier"]), b"turtle speed" in bytes(kept["groundingMetadata"])) == (b'"flex"', True)


def test_two_candidates_are_told_apart():
    result = streamed("two_candidates.sse")

    assert (result.content, result.finish_reason) == ("Heads.", "stop")
    assert [(each.index, each.text, each.finish_reason) for each in result.alternatives or ()] == [
        (1, "Tails!", "length")
    ]


def test_a_blocked_prompt_is_an_answer_without_parts():
    result = streamed("blocked_prompt.sse")

    assert (result.finish_reason, result.raw_finish_reason, result.parts) == (
        "content_filter",
        "PROHIBITED_CONTENT",
        [],
    )
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=0, total_tokens=9)


def test_usage_is_told_with_content_and_when_it_changes():
    body = b"".join(
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":%d,"totalTokenCount":%d}}\n\n'
        % (count, count + 1)
        for count in (1, 1, 2)
    )
    decoder = CODEC.stream_decoder()
    events = decoder.feed(body)

    updates = [event.usage.completion_tokens for event in events if isinstance(event, UsageUpdate)]
    assert updates == [1, 2]
    partial = fold(events)
    assert (partial.content, partial.finish_reason) == ("aaa", "error")
    assert partial.usage == Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def test_usage_before_any_content_is_not_told_so_that_a_retry_is_possible():
    decoder = CODEC.stream_decoder()
    events = decoder.feed(b'data: {"usageMetadata":{"promptTokenCount":1,"totalTokenCount":1}}\n\n')

    assert events == [Start()]


def test_a_stream_of_the_vertex_kind_needs_no_counts_until_its_end():
    body = chunk({"text": "a"}, finishReason="STOP").replace(
        b'"responseId"', b'"usageMetadata":{"trafficType":"ON_DEMAND"},"responseId"'
    )

    assert fold(events_of(body)).usage is None


def has_ended(chunks: list[bytes]) -> bool:
    """Whether nothing tells that more was to come: each candidate's last content is with or before its reason."""
    ended: dict[int, bool] = {}
    for answer in map(msgspec.json.decode, chunks):
        if "promptFeedback" in answer:
            return True
        for candidate in answer.get("candidates", []):
            said = any(part != {"text": ""} for part in candidate.get("content", {}).get("parts", []))
            before = ended.get(candidate.get("index", 0), False) and not said
            ended[candidate.get("index", 0)] = before or "finishReason" in candidate
    return bool(ended) and all(ended.values())


@pytest.mark.parametrize("name", WHOLE)
def test_a_cut_anywhere_is_an_interruption_unless_the_answer_had_its_reasons(name: str):
    body = (FIXTURES / name).read_bytes().replace(b"\r\n", b"\n")
    for at in range(len(body)):
        chunks = [event.removeprefix(b"data: ") for event in body[:at].split(b"\n\n")[:-1]]
        if has_ended(chunks):
            assert isinstance(events_of(body[:at])[-1], Finish)
        else:
            with pytest.raises(StreamInterruptedError):
                events_of(body[:at])


def test_a_stream_is_cut_while_one_of_its_candidates_has_not_ended():
    body = (FIXTURES / "two_candidates.sse").read_bytes().split(b"\r\n\r\n")

    with pytest.raises(StreamInterruptedError):
        events_of(b"\r\n\r\n".join([*body[:2], b""]))


def test_a_stream_is_cut_when_more_came_after_a_finish_reason_and_had_no_end():
    with pytest.raises(StreamInterruptedError, match="before its finishReason"):
        events_of(chunk({"text": "a"}, finishReason="STOP") + chunk({"text": "b"}))


def test_nothing_at_all_is_an_interruption():
    with pytest.raises(StreamInterruptedError, match="before its first event"):
        events_of(b"")


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [("error_after_text.sse", OverloadedError, 503), ("error_as_event.sse", RateLimitError, 429)],
)
def test_what_came_before_an_error_is_delivered_first(name: str, kind: type[ModelClientError], status: int):
    decoder = CODEC.stream_decoder()
    events = decoder.feed((FIXTURES / name).read_bytes())

    assert events[1:] == [TextDelta(text="So far ")]
    assert type(decoder.error) is kind
    assert decoder.error.status_code == status
    with pytest.raises(kind):
        decoder.feed(b"")
    with pytest.raises(kind):
        decoder.close()


def test_an_error_without_a_line_end_is_found_at_the_end():
    with pytest.raises(OverloadedError):
        events_of(b'{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}')


def test_the_wait_that_an_error_asks_for_is_read():
    events, _ = outcome((FIXTURES / "error_as_event.sse").read_bytes())
    decoder = CODEC.stream_decoder()
    decoder.feed((FIXTURES / "error_as_event.sse").read_bytes())

    assert len(events) == 2
    assert decoder.error is not None
    assert decoder.error.retry_after == 12.5


@pytest.mark.parametrize(
    "body",
    [
        b"data: nonsense\n\n",
        b"data: {}}\n\n",
        b'data: {"candidates": 3}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": 3}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": []}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}\n\n',
        b'data: {"promptFeedback": {"blockReason": {}}}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "groundingMetadata": {"groundingChunks": 3}}]}\n\n',
        b"<html>Sign in</html>",
        b'{"some": "json"}',
    ],
)
def test_garbage_is_a_protocol_error(body: bytes):
    with pytest.raises(ProtocolError):
        events_of(body)
