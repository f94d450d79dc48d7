"""Whole answers of Gemini."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import AuthenticationError, OverloadedError, ProtocolError
from modelwire.providers._gemini import GeminiCodec
from modelwire.types import (
    Citation,
    CreateResult,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Text,
    TokenLogprob,
    TopLogprob,
    Usage,
    Video,
)

FIXTURES = Path(__file__).parent / "fixtures" / "gemini"
CODEC = GeminiCodec("https://example.com/v1beta")


def decoded(name: str) -> CreateResult:
    return CODEC.decode((FIXTURES / name).read_bytes())


def answer(*parts: Any, **members: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", **members}
    return json.dumps({"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r1"}).encode()


def own(**members: str) -> dict[str, dict[str, msgspec.Raw]]:
    """Provider data from JSON texts."""
    return {"gemini": {name: msgspec.Raw(text.encode()) for name, text in members.items()}}


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("*.json")))
def test_results_unfold_to_events_that_fold_to_them(name: str):
    result = decoded(name)

    assert fold(unfold(result)) == result


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.glob("*.json")))
def test_what_is_kept_of_an_answer_does_not_hold_its_whole_body(name: str):
    body = (FIXTURES / name).read_bytes()
    before = sys.getrefcount(body)
    result = CODEC.decode(body)

    assert sys.getrefcount(body) == before
    assert result.provider == "gemini"


def test_a_blocked_prompt_is_an_answer_without_parts_and_with_the_reason():
    result = decoded("blocked_prompt.json")

    assert (result.finish_reason, result.raw_finish_reason) == ("content_filter", "SAFETY")
    assert (result.parts, result.content) == ([], "")
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=0, total_tokens=9)
    assert (result.id, result.request_id, result.model) == ("r1", "r1", "gemini-3.8-flash")
    feedback = msgspec.json.decode((result.provider_data or {})["gemini"]["promptFeedback"])
    assert feedback["safetyRatings"][0]["blocked"] is True


def test_a_blocked_prompt_without_a_reason_is_one_too():
    result = CODEC.decode(b'{"promptFeedback": {"safetyRatings": []}}')

    assert (result.finish_reason, result.raw_finish_reason, result.usage) == ("content_filter", None, None)


def test_a_blocked_answer_says_why():
    result = decoded("blocked_answer.json")

    assert (result.finish_reason, result.raw_finish_reason, result.parts) == ("content_filter", "SAFETY", [])


def test_an_answer_to_be_continued_pauses_and_has_the_token_as_the_option_takes_it():
    result = decoded("continuation.json")

    assert (result.finish_reason, result.raw_finish_reason) == ("pause", "CONTINUATION")
    assert bytes((result.provider_data or {})["gemini"]["continuationToken"]) == b'"AQ=="'


def test_calls_in_an_answer_to_be_continued_do_not_end_it():
    body = answer({"functionCall": {"name": "f", "args": {}}}, finishReason="CONTINUATION")

    assert CODEC.decode(body).finish_reason == "pause"


def test_images_are_parts_and_sketches_of_the_thoughts_are_kept_apart():
    result = decoded("image.json")

    thought, sketch, text, image = result.answer_parts
    assert thought == Reasoning(text="Planning", provider="gemini", model="gemini-3.8-flash")
    assert isinstance(sketch, ProviderPart)
    assert (sketch.kind, msgspec.json.decode(sketch.data)["thought"]) == ("inlineData", True)
    assert text == Text(text="Here:")
    assert image == Image(data="aW1hZ2U=", media_type="image/png", provider_data=own(thoughtSignature='"AQ=="'))
    assert result.usage == Usage(
        prompt_tokens=9,
        completion_tokens=1300,
        total_tokens=1309,
        reasoning_tokens=10,
        prompt_image_tokens=4,
        completion_image_tokens=1290,
    )


def test_a_logarithm_that_is_left_out_is_zero():
    result = decoded("logprobs.json")

    assert result.logprobs == [
        TokenLogprob(
            token="Yes",
            logprob=-0.1,
            top_logprobs=[TopLogprob(token="Yes", logprob=-0.1), TopLogprob(token="No", logprob=-2.5)],
        ),
        TokenLogprob(token=".", logprob=0.0, top_logprobs=[TopLogprob(token=".", logprob=0.0)]),
    ]


def test_numbers_in_the_place_of_words_are_understood():
    result = decoded("numbers_for_words.json")

    assert (result.finish_reason, result.raw_finish_reason) == ("length", "MAX_TOKENS")
    assert result.usage == Usage(prompt_tokens=9, completion_tokens=1, total_tokens=10, prompt_audio_tokens=6)


def test_a_number_that_google_has_two_words_for_stays_a_number():
    result = CODEC.decode(answer({"text": "x"}, finishReason=9))

    assert (result.finish_reason, result.raw_finish_reason) == ("unknown", "9")


def test_sources_are_cited_by_characters_of_the_text_that_has_their_words():
    """Offsets on the wire are bytes of a text that is not even named; some are wrong."""
    result = decoded("sources.json")

    code, first, second = result.answer_parts
    assert isinstance(code, ProviderPart)
    assert isinstance(first, Text)
    assert isinstance(second, Text)
    a = Citation(url="https://example.com/a", title="a")
    moon = Citation(cited_text="The moon …", source_id="docs/1")
    maps = Citation(url="https://maps.example.com", title="Moon", source_id="places/x")
    at = first.text.index
    where = {"start_index": at("gęślą"), "end_index": at("gęślą") + 10}
    moon_at = {"start_index": at("384"), "end_index": at("384") + 10}
    assert first.citations == [
        msgspec.structs.replace(a, **where),
        msgspec.structs.replace(moon, **moon_at),
        msgspec.structs.replace(maps, **moon_at),
        a,  # words that are nowhere: a source of the answer all the same
        Citation(url="https://example.com/poem", start_index=0, end_index=6),
    ]
    assert second.citations == [msgspec.structs.replace(a, start_index=1, end_index=10)]
    kept = (result.provider_data or {})["gemini"]
    assert msgspec.json.decode(kept["groundingMetadata"])["searchEntryPoint"] == {"renderedContent": "<div/>"}


def test_words_that_stand_twice_are_told_by_their_offset():
    supports = [{"segment": {"startIndex": 7, "endIndex": 9, "text": "42"}, "groundingChunkIndices": [0]}]
    metadata = {"groundingChunks": [{"web": {"uri": "https://a"}}], "groundingSupports": supports}
    body = answer({"executableCode": {"code": "x"}}, {"text": "42 and 42"}, groundingMetadata=metadata)

    assert CODEC.decode(body).answer_parts[1] == Text(
        text="42 and 42", citations=[Citation(url="https://a", start_index=7, end_index=9)]
    )


def test_the_same_source_of_the_same_words_is_cited_once():
    cited = {"citations": [{"uri": "https://a"}, {"uri": "https://b"}, {"uri": "https://a"}]}

    assert CODEC.decode(answer({"text": "x"}, citationMetadata=cited)).answer_parts == [
        Text(text="x", citations=[Citation(url="https://a"), Citation(url="https://b")])
    ]


def test_sources_without_places_are_sources_of_the_answer():
    body = answer(
        {"text": "x"},
        groundingMetadata={"groundingChunks": [{"web": {"uri": "https://a"}}, {"image": {"sourceUri": "https://b"}}]},
    )

    (text,) = CODEC.decode(body).answer_parts
    assert isinstance(text, Text)
    assert text.citations == [Citation(url="https://a"), Citation(url="https://b")]


def test_sources_of_an_answer_without_text_are_only_kept():
    result = CODEC.decode(answer(groundingMetadata={"groundingChunks": [{"web": {"uri": "https://a"}}]}))

    assert result.parts == []
    assert "groundingMetadata" in (result.provider_data or {})["gemini"]


def test_a_segment_over_two_texts_ends_with_the_one_it_begins_in():
    supports = [{"segment": {"startIndex": 1, "endIndex": 4, "text": "bcd"}, "groundingChunkIndices": [0]}]
    body = answer(
        {"text": "ab"},
        {"text": "cd", "thoughtSignature": "AQ=="},
        groundingMetadata={"groundingChunks": [{"web": {"uri": "https://a"}}], "groundingSupports": supports},
    )

    first, second = CODEC.decode(body).answer_parts
    assert first == Text(text="ab", citations=[Citation(url="https://a", start_index=1, end_index=2)])
    assert second == Text(text="cd", provider_data=own(thoughtSignature='"AQ=="'))


def test_unknown_parts_members_and_reasons_are_kept_byte_for_byte():
    result = decoded("unknown_parts.json")

    text, hologram, tool_call, call = result.answer_parts
    assert isinstance(text, Text)
    assert b"1.50" in bytes((text.provider_data or {})["gemini"]["partMetadata"])
    assert isinstance(hologram, ProviderPart)
    assert (hologram.kind, b"1e2" in bytes(hologram.data)) == ("hologram", True)
    assert isinstance(tool_call, ProviderPart)
    assert (tool_call.provider, tool_call.kind) == ("gemini", "toolCall")
    assert isinstance(call, FunctionCall)
    assert call.arguments == '{"n":1.0,"s":"\\u00e9"}'
    assert bytes((call.provider_data or {})["gemini"]["functionCall"]) == b'{"mood":"calm"}'
    assert (result.finish_reason, result.raw_finish_reason) == ("function_calls", "NEW_REASON")


def test_calls_without_an_id_get_one_that_is_the_same_whenever_the_answer_is_read():
    body = answer(
        {"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}, {"functionCall": {"id": "x", "name": "f"}}
    )
    first, second, third = CODEC.decode(body).tool_calls

    assert (first.arguments, first.parsed_arguments()) == ("{}", {})
    assert len({first.id, second.id, third.id}) == 3
    assert third.id == "x"
    assert [call.id for call in CODEC.decode(body).tool_calls] == [first.id, second.id, third.id]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "pause"),
        *((word, "content_filter") for word in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")),
        *((word, "content_filter") for word in ("LANGUAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT")),
        *(
            (word, "content_filter")
            for word in ("IMAGE_RECITATION", "ESCALATION", "MODEL_ARMOR", "PUP_LIMITED_DISABLED")
        ),
        *((word, "error") for word in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS")),
        *((word, "error") for word in ("MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE")),
        *((word, "unknown") for word in ("NO_IMAGE", "IMAGE_OTHER", "OTHER", "FINISH_REASON_UNSPECIFIED", "NEW")),
    ],
)
def test_every_reason_has_its_unified_word(raw: str, reason: str):
    result = CODEC.decode(answer({"text": "x"}, finishReason=raw))

    assert (result.finish_reason, result.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize(
    ("raw", "reason"), [("STOP", "function_calls"), ("MAX_TOKENS", "function_calls"), ("UNEXPECTED_TOOL_CALL", "error")]
)
def test_calls_make_the_reason_unless_something_went_wrong(raw: str, reason: str):
    result = CODEC.decode(answer({"functionCall": {"name": "f", "args": {}}}, finishReason=raw))

    assert result.finish_reason == reason


def test_other_candidates_are_alternatives_in_their_order():
    wire = {"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP", "index": 1}
    body = {"candidates": [wire, {**wire, "content": {"parts": [{"text": "a"}]}, "index": 0}]}
    result = CODEC.decode(json.dumps(body).encode())

    assert result.content == "a"
    assert [(choice.index, choice.text, choice.finish_reason) for choice in result.alternatives or ()] == [
        (1, "b", "stop")
    ]


def test_thoughts_and_what_tools_read_are_inside_the_totals():
    counts = {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}
    body = json.loads(answer({"text": "x"})) | {
        "usageMetadata": counts | {"cachedContentTokenCount": 4, "serviceTier": "flex"}
    }
    result = CODEC.decode(json.dumps(body).encode())

    assert result.usage == Usage(
        prompt_tokens=15,
        completion_tokens=5,
        total_tokens=20,
        cached_tokens=4,
        reasoning_tokens=2,
        tool_prompt_tokens=5,
    )
    assert (result.provider_data or {}) == own(serviceTier='"flex"')


def test_usage_without_counts_is_no_usage():
    body = json.loads(answer({"text": "x"})) | {"usageMetadata": {"trafficType": "ON_DEMAND"}}

    assert CODEC.decode(json.dumps(body).encode()).usage is None


def test_a_file_in_an_answer_is_a_part_of_its_kind():
    body = answer(
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/v"}}
    )
    (video,) = CODEC.decode(body).answer_parts

    assert video == Video(file_id="https://generativelanguage.googleapis.com/v1beta/files/v", media_type="video/mp4")


def test_a_signature_of_a_thought_is_the_reasonings_own():
    (thought,) = CODEC.decode(answer({"text": "Hm", "thought": True, "thoughtSignature": "AQ=="})).answer_parts

    assert thought == Reasoning(text="Hm", signature="AQ==", provider="gemini", model="gemini-3.8-flash")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty answer"),
        (b"<html><body>Sign in</body></html>", "a web page"),
        (b"{}", "no candidates"),
        (b'{"candidates": []}', "no candidates"),
        (b" []", "an empty list"),
        (b'{"candidates": [{"content": {"parts": [{"text": 3}]}}]}', "not an answer of generateContent"),
        (b'{"candidates": [{"content": {"parts": [3]}}]}', "not an answer of generateContent"),
        (b'{"candidates": [{"content": {"parts": [{"functionCall": 3}]}}]}', "not an answer of generateContent"),
        (b'{"candidates": [{"content": {"parts": [{"fileData": {"fileUri": "http://["}}]}}]}', "not an answer"),
        (b'{"promptFeedback": {"blockReason": []}}', "not an answer of generateContent"),
        (b'{"error": {}, "candidates": 1}', "not an answer of generateContent"),
        (b'{"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}', "not an answer of generateContent"),
        (b"[" * 100_000, "not an answer of generateContent"),
        (b'{"candidates": ' + b"[" * 100_000, "not an answer of generateContent"),
    ],
)
def test_what_is_no_answer_is_a_protocol_error_that_says_what_came(body: bytes, words: str):
    with pytest.raises(ProtocolError, match=words) as caught:
        CODEC.decode(body)

    assert (caught.value.status_code, caught.value.body) == (200, body[:65536])


def test_an_error_inside_a_good_answer_is_raised_as_what_it_is():
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}

    with pytest.raises(OverloadedError, match="overloaded"):
        CODEC.decode(json.dumps(error).encode())
    with pytest.raises(OverloadedError, match="overloaded"):
        CODEC.decode(json.dumps([error]).encode())


def test_counts_of_tokens():
    assert CODEC.decode_count(b'{"totalTokens": 31, "cachedContentTokenCount": 4}') == 31
    with pytest.raises(AuthenticationError):
        CODEC.decode_count(b'{"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}')
    with pytest.raises(ProtocolError):
        CODEC.decode_count(b'{"totalTokens": "many"}')
