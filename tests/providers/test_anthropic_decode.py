"""Whole answers of the Messages API."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from modelwire import errors
from modelwire._fold import fold, unfold
from modelwire.types import Citation, CreateResult, FunctionCall, ProviderPart, Reasoning, Refusal, Text, Usage
from tests.providers.anthropic_wire import CODEC, NAMES, NEWEST, answer, read, streamed, whole

Raw = msgspec.Raw
SIGNATURE = "EqQBCgIYAhIMb3BhcXVl+/8=="


def data_of(result: CreateResult, name: str) -> bytes:
    """A member of the answer that modelwire does not model."""
    assert result.provider_data is not None
    return bytes(result.provider_data["anthropic"][name])


@pytest.mark.parametrize("name", NAMES)
def test_a_streamed_answer_is_the_whole_one(name: str) -> None:
    result = CODEC.decode(whole(name))

    assert read(streamed(name)).result == result
    assert fold(unfold(result)) == result


def test_text() -> None:
    result = CODEC.decode(whole("text"))

    assert result.content == "The sky is blue because of Rayleigh scattering: 1/λ⁴."
    assert (result.finish_reason, result.raw_finish_reason) == ("stop", "end_turn")
    assert (result.id, result.model, result.provider) == ("msg_text", NEWEST, "anthropic")
    assert result.usage == Usage(prompt_tokens=12, completion_tokens=7, cached_tokens=0, cache_write_tokens=0)
    assert data_of(result, "service_tier") == b'"standard"'


def test_thinking_whose_text_is_omitted_keeps_its_signature() -> None:
    result = CODEC.decode(whole("thinking_and_call"))

    own = {"anthropic": {"caller": Raw(b'{"type":"direct"}')}}
    assert result.parts == [
        Reasoning(text="", signature=SIGNATURE, provider="anthropic", model=NEWEST),
        Text(text="I will look."),
        FunctionCall(id="toolu_1", name="get_weather", arguments='{"city":"Zürich","days":2}', provider_data=own),
    ]
    assert result.finish_reason == "function_calls"
    assert result.usage is not None
    assert (result.usage.completion_tokens, result.usage.reasoning_tokens) == (48, 31)


def test_parallel_calls_and_one_without_arguments() -> None:
    calls = CODEC.decode(whole("parallel_calls")).tool_calls

    assert [(call.id, call.name, call.arguments) for call in calls] == [
        ("toolu_1", "get_weather", '{"city":"Paris"}'),
        ("toolu_2", "get_time", "{}"),
    ]


def test_shown_and_redacted_thinking() -> None:
    result = CODEC.decode(whole("shown_thinking"))

    assert result.answer_parts[:2] == [
        Reasoning(text="12 * 12 is 144.\n", signature=SIGNATURE, provider="anthropic", model=NEWEST),
        Reasoning(signature="EmwKAhgBEgy3va3p/+==", redacted=True, provider="anthropic", model=NEWEST),
    ]
    assert (result.text, result.thought) == ("144", "12 * 12 is 144.\n")


def test_cached_tokens_are_inside_the_prompt() -> None:
    result = CODEC.decode(whole("cached_usage"))

    assert result.usage == Usage(prompt_tokens=1203, completion_tokens=7, cached_tokens=1000, cache_write_tokens=200)
    assert result.usage.total_tokens == 1210
    assert json.loads(data_of(result, "cache_creation")) == {
        "ephemeral_5m_input_tokens": 150,
        "ephemeral_1h_input_tokens": 50,
    }


def test_usage_that_is_not_reported_is_none() -> None:
    assert CODEC.decode(answer({"type": "text", "text": "x"}, usage=None)).usage is None
    assert CODEC.decode(answer({"type": "text", "text": "x"}, usage={})).usage is None


def test_steps_of_the_providers_tools_are_kept_whole_and_citations_are_read() -> None:
    result = CODEC.decode(whole("web_search"))
    search, found, before, cited, after = result.answer_parts

    assert isinstance(search, ProviderPart)
    assert (search.provider, search.kind) == ("anthropic", "server_tool_use")
    assert bytes(search.data) in whole("web_search")
    assert isinstance(found, ProviderPart)
    assert bytes(found.data) in whole("web_search")
    assert (before, after) == (Text(text="The tallest is "), Text(text="."))
    assert isinstance(cited, Text)
    (citation,) = cited.citations or ()
    assert (citation.url, citation.title, citation.cited_text) == (
        "https://example.com/towers",
        "Towers",
        "Example Tower, 900 m",
    )
    assert citation.provider_data
    assert bytes(citation.provider_data["anthropic"]["citation"]) in whole("web_search")
    assert json.loads(data_of(result, "server_tool_use")) == {"web_search_requests": 1, "web_fetch_requests": 0}


def test_citations_of_documents_name_their_source() -> None:
    (part,) = CODEC.decode(whole("document_citations")).answer_parts
    assert isinstance(part, Text)
    plain = [msgspec.structs.replace(citation, provider_data=None) for citation in part.citations or ()]

    assert plain == [
        Citation(title="Facts", cited_text="The grass is green.", source_id="0"),
        Citation(cited_text="Green.", source_id="file_9"),
        Citation(title="Blocks", cited_text="G", source_id="2"),
        Citation(title="S", cited_text="S", source_id="https://example.com/s", url="https://example.com/s"),
    ]


def test_a_refusal_is_a_part_with_its_category() -> None:
    result = CODEC.decode(whole("refusal"))

    assert (result.finish_reason, result.raw_finish_reason) == ("refusal", "refusal")
    assert result.answer_parts[0] == Text(text="To begin, ")
    refusal = result.answer_parts[1]
    assert isinstance(refusal, Refusal)
    assert (refusal.text, refusal.category) == ("This request could enable harm.", "cyber")
    assert result.refusal == "This request could enable harm."


def test_a_refusal_without_details_is_one_all_the_same() -> None:
    result = CODEC.decode(whole("refusal_unexplained"))

    assert (result.finish_reason, result.refusal) == ("refusal", "")
    missing = CODEC.decode(answer(stop_reason="refusal"))
    assert (missing.finish_reason, missing.refusal) == ("refusal", "")


def test_a_refusal_counts_for_more_than_a_call() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}

    assert CODEC.decode(answer(call, stop_reason="refusal")).finish_reason == "refusal"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "stop"),  # without a call
        ("pause_turn", "pause"),
        ("compaction", "pause"),
        ("refusal", "refusal"),
        ("moonlight", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reasons(raw: str | None, reason: str) -> None:
    result = CODEC.decode(answer({"type": "text", "text": "x"}, stop_reason=raw))

    assert (result.finish_reason, result.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize("raw", ["tool_use", "end_turn", "max_tokens"])
def test_a_call_counts_for_more_than_the_servers_word(raw: str) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}

    assert CODEC.decode(answer(call, stop_reason=raw)).finish_reason == "function_calls"


def test_a_pause_and_its_container() -> None:
    result = CODEC.decode(whole("pause"))

    assert (result.finish_reason, result.raw_finish_reason) == ("pause", "pause_turn")
    assert json.loads(data_of(result, "container"))["id"] == "container_1"


def test_the_stop_text_is_told() -> None:
    result = CODEC.decode(whole("stop_sequence"))

    assert (result.finish_reason, result.raw_finish_reason) == ("stop", "stop_sequence")
    assert data_of(result, "stop_sequence").decode() == '"🌊"'


def test_unknown_blocks_are_kept_byte_for_byte() -> None:
    body = answer({"type": "text", "text": "x"}).replace(b"[{", b'[{"type":"hologram", "points":[1.50,2e3]},{')

    part = CODEC.decode(body).answer_parts[0]

    assert part == ProviderPart(
        provider="anthropic", kind="hologram", data=Raw(b'{"type":"hologram", "points":[1.50,2e3]}')
    )


def test_unknown_members_of_known_blocks_are_kept_once() -> None:
    (part,) = CODEC.decode(answer({"type": "text", "text": "x", "mood": {"a": 1}, "tone": None})).answer_parts

    assert part == Text(text="x", provider_data={"anthropic": {"mood": Raw(b'{"a": 1}')}})


def test_empty_text_is_no_part() -> None:
    assert CODEC.decode(answer({"type": "text", "text": ""})).parts == []
    assert read(b"".join([streamed("text")])).result.text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_does_not_keep_the_whole_body_alive(name: str) -> None:
    """What the decoder gives raw is a view into the body, until it is copied."""
    body, stream = whole(name), streamed(name)
    before = sys.getrefcount(body), sys.getrefcount(stream)
    kept = CODEC.decode(body), read(stream).events

    assert (sys.getrefcount(body), sys.getrefcount(stream)) == before
    assert kept


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty answer"),
        (b"  \n", "an empty answer"),
        (b"<html>Sign in</html>", "a web page"),
        (b"nonsense", "not a Messages answer"),
        (b"[]", "not a Messages answer"),
        (b"{}", "has no content"),
        (b'{"content":null}', "has no content"),
        (b'{"content":"text"}', "not a Messages answer"),
        (b'{"content":[1]}', "not a Messages answer"),
        (b'{"content":[{}]}', "`type` is missing"),
        (b'{"content":[{"type":"text"}]}', "`text` is missing"),
        (b'{"content":[{"type":"text","text":7}]}', "not a Messages answer"),
        (b'{"content":[{"type":"tool_use","id":"x","input":{}}]}', "`name` is missing"),
        (b'{"content":[],"usage":{"input_tokens":"many"}}', "not a Messages answer"),
        (b'{"content":[\xff]}', "not a Messages answer"),
        (b'{"content":' + b"[" * 100_000, "not a Messages answer"),
    ],
)
def test_garbage_is_a_protocol_error(body: bytes, words: str) -> None:
    with pytest.raises(errors.ProtocolError, match=words) as caught:
        CODEC.decode(body)
    assert caught.value.status_code == 200
    assert not caught.value.retryable


def test_an_error_inside_a_200_answer_is_that_error() -> None:
    with pytest.raises(errors.OverloadedError):
        CODEC.decode(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')


def test_counts() -> None:
    assert CODEC.decode_count(b'{"input_tokens":14,"context_management":{"original_input_tokens":70}}') == 14
    for body in (b"{}", b"[]", b'{"input_tokens":"x"}', b"\xff"):
        with pytest.raises(errors.ProtocolError):
            CODEC.decode_count(body)


def test_an_answer_that_only_filled_the_cache_is_empty_and_cut() -> None:
    body = answer(stop_reason="max_tokens", diagnostics={"cache_miss_reason": None})

    result = CODEC.decode(body)

    assert (result.content, result.finish_reason) == ("", "length")
    assert result.provider_data is not None
    assert bytes(result.provider_data["anthropic"]["diagnostics"]) == b'{"cache_miss_reason": null}'
