"""The emulator's answers are what its codecs read: of every answer that there is, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold
from modelwire.emulator._connection import DIALECTS as EMULATED
from modelwire.emulator._dialect import Asked, encoded
from modelwire.emulator._example import example
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.providers import codec_for
from modelwire.types import (
    Audio,
    ChatRequest,
    Choice,
    Citation,
    CreateResult,
    FunctionCall,
    Image,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from tests.recordings import DIALECTS, Recording, read, recordings

BY_NAME = {dialect.name: dialect for dialect in EMULATED}
ASKED = Asked(
    ChatRequest(model="m", messages=[], stream=True), "/?alt=sse", b'{"stream_options":{"include_usage":true}}', 1
)
CALL = FunctionCall(id="c1", name="f", arguments='{"city":"Paris","days":[1,2,3]}')


def plain(value: Any) -> Any:
    """A value without the spelling of what is raw in it."""
    return json.loads(msgspec.json.encode(value))


def both(dialect: str, result: CreateResult, codec: Any = None) -> list[CreateResult]:
    """What its codec reads of the emulated answer: whole, and streamed."""
    emulated, codec = BY_NAME[dialect], codec or codec_for(dialect)
    answer = emulated.answer(result, ASKED)
    return [codec.decode(encoded(answer)), fold(read(codec, emulated.pieces(answer, ASKED)))]


def filled_in(found: CreateResult, result: CreateResult) -> CreateResult:
    """The expected result with what an emulated answer always has."""
    names = ("id", "model", "request_id", "raw_finish_reason")
    return msgspec.structs.replace(result, **{name: getattr(result, name) or getattr(found, name) for name in names})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_answer_comes_back_as_it_was(dialect: str):
    """In one test for each dialect: a recorded answer is read in a millisecond."""
    done = 0
    for recording in recordings(dialect):
        result = result_of(recording)
        if result is None:
            continue
        for found in both(dialect, result, recording.codec):
            assert plain(found) == plain(filled_in(found, result)), recording.name
        done += 1
    assert done >= 2


def result_of(recording: Recording) -> CreateResult | None:
    """What was recorded, unless it is an error, or calls that get their ids from an id of the answer that is missing."""
    try:
        result = recording.result()
    except ModelClientError:
        return None
    return result if result.id or not result.tool_calls or recording.codec.dialect == "ollama" else None


# ---------------------------------------------------------------------- results made by hand


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_result_made_by_hand_is_told_in_every_format(dialect: str):
    parts: list[Part] = [Reasoning(text="Let me think."), Text(text="It is\n\n sunny. "), CALL]
    usage = Usage(prompt_tokens=10, completion_tokens=7)
    for found in both(dialect, CreateResult(parts=parts, finish_reason="function_calls", usage=usage)):
        assert (found.thought, found.text) == ("Let me think.", "It is\n\n sunny. ")
        assert [(call.id, call.name, call.arguments) for call in found.tool_calls] == [("c1", "f", CALL.arguments)]
        assert found.finish_reason == "function_calls"
        assert found.usage == usage
        assert "emulated" in (found.model or "")
        assert [type(part) for part in found.answer_parts] == [Reasoning, Text, FunctionCall]


COUNTS = {
    "openai-chat": Usage(
        prompt_tokens=100,
        completion_tokens=50,
        cached_tokens=20,
        cache_write_tokens=5,
        reasoning_tokens=30,
        prompt_audio_tokens=1,
        prompt_image_tokens=2,
        completion_audio_tokens=3,
        completion_image_tokens=4,
        accepted_prediction_tokens=5,
        rejected_prediction_tokens=6,
        cost=0.25,
    ),
    "openai-responses": Usage(
        prompt_tokens=100, completion_tokens=50, cached_tokens=20, cache_write_tokens=5, reasoning_tokens=30, cost=0.25
    ),
    "anthropic": Usage(
        prompt_tokens=100, completion_tokens=50, cached_tokens=20, cache_write_tokens=5, reasoning_tokens=30
    ),
    "gemini": Usage(
        prompt_tokens=100,
        completion_tokens=50,
        cached_tokens=20,
        reasoning_tokens=30,
        tool_prompt_tokens=7,
        prompt_audio_tokens=1,
        prompt_image_tokens=2,
        completion_audio_tokens=3,
        completion_image_tokens=4,
    ),
    "ollama": Usage(prompt_tokens=100, completion_tokens=50),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_usage_is_told_with_all_details_that_the_format_has(dialect: str):
    usage = COUNTS[dialect]
    for found in both(dialect, CreateResult(content="x", finish_reason="stop", usage=usage)):
        assert found.usage == usage


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_result_does_not_have_is_not_told(dialect: str):
    for found in both(dialect, CreateResult(content="x", finish_reason="stop")):
        assert (found.usage, found.logprobs, found.alternatives) == (None, None, None)
        assert [type(part) for part in found.parts or ()] == [Text]
        assert found.text == "x"


def test_items_made_by_hand_have_the_members_that_items_always_have():
    answer = BY_NAME["openai-responses"].answer(CreateResult(parts=[Text(text="x"), CALL], finish_reason="stop"), ASKED)

    assert [(item["id"], item["status"]) for item in answer["output"]] == [
        ("msg_emulated_1_0", "completed"),
        ("fc_emulated_1_1", "completed"),
    ]


REASONS = {
    "openai-chat": {"pause": "stop"},
    "openai-responses": {"error": "unknown"},
    "anthropic": {"content_filter": "refusal", "error": "unknown"},
    "gemini": {"refusal": "stop"},
    "ollama": {"pause": "stop", "refusal": "stop", "content_filter": "unknown", "error": "unknown"},
}
"""Finish reasons that a format has no word for, and what they become."""


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "pause", "error", "unknown"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_finish_reasons(dialect: str, reason: Any):
    for found in both(dialect, CreateResult(content="x", finish_reason=reason)):
        assert found.finish_reason == REASONS[dialect].get(reason, reason)


def test_the_word_of_another_provider_is_not_repeated():
    result = CreateResult(content="x", finish_reason="stop", raw_finish_reason="end_turn", provider="anthropic")

    assert [found.raw_finish_reason for found in both("gemini", result)] == ["STOP", "STOP"]
    assert [found.raw_finish_reason for found in both("anthropic", result)] == ["end_turn", "end_turn"]


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic", "gemini"])
def test_sources_are_told(dialect: str):
    cited = Citation(url="https://example.com/a", title="A", start_index=3, end_index=8)
    text = Text(text="Oh, naïve is a word.", citations=[cited])
    for found in both(dialect, CreateResult(parts=[text], finish_reason="stop")):
        (part,) = found.answer_parts
        assert isinstance(part, Text)
        assert part.citations
        assert (part.text, part.citations[0].url, part.citations[0].title) == (text.text, cited.url, "A")
        if dialect != "anthropic":  # it has no offsets
            assert (part.citations[0].start_index, part.citations[0].end_index) == (3, 8)


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic"])
def test_refusals_are_told(dialect: str):
    for found in both(dialect, CreateResult(parts=[Refusal(text="I will not.")], finish_reason="refusal")):
        assert found.finish_reason == "refusal"
        assert [part.text for part in found.answer_parts if isinstance(part, Refusal)] == ["I will not."]


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "gemini", "ollama"])
def test_log_probabilities_are_told(dialect: str):
    tokens = [
        TokenLogprob(token="a", logprob=-0.5, top_logprobs=[TopLogprob(token="b", logprob=-1.0)]),
        TokenLogprob(token=" b", logprob=-0.25, top_logprobs=[]),
    ]
    for found in both(dialect, CreateResult(content="a b", finish_reason="stop", logprobs=tokens)):
        assert [(one.token, one.logprob) for one in found.logprobs or ()] == [("a", -0.5), (" b", -0.25)]
        assert found.logprobs
        assert [top.token for top in found.logprobs[0].top_logprobs or ()] == ["b"]


@pytest.mark.parametrize("dialect", ["openai-chat", "gemini"])
def test_several_answers_are_told(dialect: str):
    other = Choice(index=1, parts=[Text(text="two words")], finish_reason="length")
    for found in both(dialect, CreateResult(content="one", finish_reason="stop", alternatives=[other])):
        assert found.text == "one"
        assert [(one.index, one.text, one.finish_reason) for one in found.alternatives or ()] == [
            (1, "two words", "length")
        ]


@pytest.mark.parametrize(
    ("dialect", "parts"),
    [
        ("openai-responses", [Image(url="https://example.com/i.png")]),
        ("anthropic", [Audio(data="AAAA")]),
        ("ollama", [Image(data="AAAA")]),
        ("gemini", [ProviderPart(provider="anthropic", data=msgspec.Raw(b"{}"), kind="x")]),
        ("openai-chat", [ProviderPart(provider="anthropic", data=msgspec.Raw(b"{}"))]),
        ("anthropic", [FunctionCall(id="c", name="f", arguments="{")]),
        ("gemini", [FunctionCall(id="c", name="f", arguments="[]")]),
        ("ollama", [FunctionCall(id="c", name="f", arguments="x", custom=True)]),
    ],
)
def test_what_a_format_cannot_say_is_refused(dialect: str, parts: list[Part]):
    with pytest.raises(BadRequestError, match="cannot say"):
        both(dialect, CreateResult(parts=parts, finish_reason="stop"))


@pytest.mark.parametrize("dialect", ["openai-responses", "anthropic", "ollama"])
def test_several_answers_are_refused_where_there_is_one(dialect: str):
    other = Choice(index=1, parts=[], finish_reason="stop")
    with pytest.raises(BadRequestError, match="several answers"):
        both(dialect, CreateResult(content="one", finish_reason="stop", alternatives=[other]))


# ---------------------------------------------------------------------- values that fit a schema


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "emulated"),
        ({"type": "string", "minLength": 10, "maxLength": 12}, "emulated.."),
        ({"type": "string", "maxLength": 3}, "emu"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -5}, -5),
        ({"type": "boolean"}, False),
        ({"type": ["null", "string"]}, None),
        ({"const": 7}, 7),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "array", "items": {"type": "integer"}}, [0]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [0, 0, 0]),
        ({"properties": {"a": {"type": "integer"}, "b": {"anyOf": [{"const": 1}, {}]}}}, {"a": 0, "b": 1}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": "there"}}}, "there"),
        ({"allOf": [{"properties": {"a": {"const": 1}}}], "type": "object"}, {"a": 1}),
        ({"$ref": "#/nowhere"}, "emulated"),
        ({}, "emulated"),
    ],
)
def test_a_value_fits_its_schema(schema: dict[str, Any], value: object):
    assert example(schema) == value


def test_a_schema_that_refers_to_itself_ends():
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}

    assert str(example(tree)).count("child") < 20
    assert example({"$ref": "#"}) == "emulated"


def test_a_schema_whose_every_branch_refers_to_itself_stays_small():
    wide = {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}}

    assert len(json.dumps(example(wide))) < 100_000
