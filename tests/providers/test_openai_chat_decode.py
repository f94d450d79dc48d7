"""Whole answers of Chat Completions: what servers make of the format, and what is no answer at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import ProtocolError
from modelwire.providers._openai_chat import Quirks
from modelwire.types import Citation, CreateResult, FunctionCall, ProviderPart, Reasoning, Text, Usage
from tests.providers.chat_wire import answer, codec_of

OWN = "openai-compatible"


def decoded(body: bytes, provider: str = "plain") -> CreateResult:
    return codec_of(provider).decode(body)


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


# ---------------------------------------------------------------------- servers that take liberties


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": None}, []),
        ({"content": ""}, []),
        ({}, []),
        ({"content": []}, []),
        ({"content": ["a", "b"]}, [Text(text="a"), Text(text="b")]),
        ({"content": [{"type": "text", "text": "a"}]}, [Text(text="a")]),
        ({"content": {"type": "text", "text": "a"}}, [Text(text="a")]),
        ({"content": 5}, [Text(text="5")]),
        (
            {"content": [{"type": "text", "text": "a", "id": 1}]},
            [Text(text="a", provider_data={OWN: {"id": raw("1")}})],
        ),
        (
            {"content": [{"type": "image_url", "image_url": "x"}]},
            [ProviderPart(provider=OWN, kind="image_url", data=raw('{"type":"image_url","image_url":"x"}'))],
        ),
        ({"content": "a", "tool_calls": []}, [Text(text="a")]),
        ({"content": "a", "tool_calls": None, "function_call": None, "audio": None}, [Text(text="a")]),
        ({"content": "a", "function_call": {"name": "", "arguments": ""}}, [Text(text="a")]),
        ({"content": "a", "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""}}, [Text(text="a")]),
        ({"content": "a", "refusal": ""}, [Text(text="a")]),
        ({"content": "a", "refusal": False}, [Text(text="a")]),
        ({"content": "a", "reasoning": {"text": "b"}}, [Text(text="a")]),
        ({"content": "a", "reasoning_content": ["b"]}, [Text(text="a")]),
        ({"content": "a", "annotations": "none"}, [Text(text="a")]),
        ({"content": "a", "audio": "none", "function_call": "none", "images": {}}, [Text(text="a")]),
        (
            {"content": 1, "function_call": {"name": "f", "arguments": {"a": 1}}},
            [Text(text="1"), FunctionCall(id="call_c6cf1ae236f78047cc141132", name="f", arguments='{"a":1}')],
        ),
        (
            {"content": "a", "reasoning": "r", "reasoning_content": "other"},
            [Reasoning(text="r", provider=OWN, model="m-1", provider_data={OWN: {"field": raw('"reasoning"')}}), Text(text="a")],
        ),
        ({"content": "a", "reasoning_content": "r"}, [Reasoning(text="r", provider=OWN, model="m-1"), Text(text="a")]),
        (
            {"content": [{"type": "thinking", "thinking": "r"}, {"type": "text", "text": "a"}]},
            [Reasoning(text="r", provider=OWN, model="m-1", provider_data={OWN: {"field": raw('"content"')}}), Text(text="a")],
        ),
        (
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}, "custom": {"name": "", "input": ""}}]},
            [FunctionCall(id="c", name="f", arguments='{"a":1}')],
        ),
        (
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": None}, "extra_content": None, "index": 0}]},
            [FunctionCall(id="c", name="f", arguments="")],
        ),
        (
            {"tool_calls": [{"id": "c", "type": "mcp", "server": "s"}]},
            [ProviderPart(provider=OWN, kind="mcp", data=raw('{"id":"c","type":"mcp","server":"s"}'))],
        ),
        (
            {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}, {"b64": "x"}]},
            [
                ProviderPart(
                    provider=OWN,
                    kind="image",
                    data=raw('{"type":"image_url","image_url":{"url":"data:image/png;base64,!"}}'),
                ),
                ProviderPart(provider=OWN, kind="image", data=raw('{"b64":"x"}')),
            ],
        ),
        (
            {"content": "a", "annotations": [{"type": "file", "file": {"hash": 1.0}}]},
            [Text(text="a", citations=[Citation(provider_data={OWN: {"annotation": raw('{"type":"file","file":{"hash":1.0}}')}})])],
        ),
        (
            {"content": "a", "annotations": [{"url_citation": {"url": "u", "start_index": -1, "end_index": -1}}]},
            [Text(text="a", citations=[Citation(url="u")])],
        ),
    ],
)  # fmt: skip
def test_a_message_may_be_written_in_many_ways(message: dict[str, Any], parts: list[Any]) -> None:
    assert decoded(answer(message)).parts == parts


@pytest.mark.parametrize(
    "members",
    [
        {"object": None},
        {"created": 1764000000.25},
        {"created": None},
        {"id": 17},
        {"model": None},
        {"usage": ""},
        {"usage": {"prompt_tokens": "many"}},
        {"usage": {"prompt_tokens": -1.5}},
        {"error": None},
        {"x": {"y": [1, 2]}},
    ],
)
def test_the_envelope_may_be_strange(members: dict[str, Any]) -> None:
    result = decoded(answer({"content": "a"}, **members))

    assert result.text == "a"
    assert result.finish_reason == "stop"


@pytest.mark.parametrize(
    "choice",
    [
        {"index": None},
        {"index": "0"},
        {"logprobs": {"tokens": ["a"], "token_logprobs": [-1]}},
        {"logprobs": {"content": [{"token": "a", "logprob": None}]}},
        {"logprobs": "none"},
        {"finish_reason": 3},
        {"finish_reason": None},
        {"finish_reason": ""},
    ],
)
def test_a_choice_may_be_strange(choice: dict[str, Any]) -> None:
    result = decoded(answer({"message": {"content": "a"}, **choice}))

    assert result.text == "a"
    assert result.logprobs is None
    assert result.finish_reason == ("unknown" if "finish_reason" in choice else "stop")
    assert result.raw_finish_reason == (None if "finish_reason" in choice else "stop")


def test_opaque_data_survives_an_answer_that_is_read_with_patience() -> None:
    body = (
        rb'{"id": 5, "model": "m", "choices": [{"message": {"content": "a", "reasoning_details": '
        rb'[{"type":"x","n": 1.0e3, "s": "\u00e9"}], "tool_calls": [{"id": 9, "type": "function", "extra_content": '
        rb'{"n": 1.0e3, "s": "\u00e9"}, "function": {"name": "f", "arguments": {"n": 1.0e3}}}]}}]}'
    )
    reasoning, _, call = decoded(body).parts or []

    assert isinstance(reasoning, Reasoning)
    assert reasoning.provider_data == {OWN: {"reasoning_details": raw(r'[{"type":"x","n": 1.0e3, "s": "\u00e9"}]')}}
    assert call == FunctionCall(
        id="9",
        name="f",
        arguments='{"n": 1.0e3}',
        provider_data={OWN: {"extra_content": raw(r'{"n": 1.0e3, "s": "\u00e9"}')}},
    )


def test_choices_are_counted_where_the_server_does_not() -> None:
    body = answer({"message": {"content": "a"}, "index": 0}, {"message": {"content": "b"}, "index": 0})

    result = decoded(body)

    assert [choice.index for choice in result.alternatives or []] == [1]
    assert fold(unfold(result)) == result


def test_choices_may_come_in_any_order() -> None:
    body = answer({"message": {"content": "b"}, "index": 1}, {"message": {"content": "a"}, "index": 0})

    assert decoded(body).text == "a"


def test_empty_lines_may_come_before_the_answer() -> None:
    """DeepSeek sends them while one waits."""
    assert decoded(b"\n\n\n" + answer({"content": "a"})).text == "a"


def test_azure_may_take_the_whole_message() -> None:
    body = b'{"id":"1","choices":[{"index":0,"finish_reason":"content_filter","logprobs":null}],"model":"m"}'

    result = decoded(body, "azure")

    assert (result.finish_reason, result.content, result.parts) == ("content_filter", "", [])


# ---------------------------------------------------------------------- reasons and usage


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("error", "error"),
        ("insufficient_system_resource", "error"),
        ("abort", "error"),
        ("tool_calls", "stop"),  # without any
        ("function_call", "stop"),
        ("repetition", "unknown"),
        ("something new", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_finish_reason_has_one_word_for_all_servers(word: str | None, reason: str) -> None:
    result = decoded(answer({"message": {"content": "a"}, "finish_reason": word}))

    assert result.finish_reason == reason
    assert result.raw_finish_reason == (word or None)


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("word", "message", "reason"),
    [
        ("stop", {"tool_calls": [CALL]}, "function_calls"),  # a forced function
        ("", {"tool_calls": [CALL]}, "function_calls"),  # xAI
        (None, {"tool_calls": [CALL]}, "function_calls"),
        ("length", {"tool_calls": [CALL]}, "function_calls"),
        ("content_filter", {"tool_calls": [CALL]}, "content_filter"),
        ("error", {"tool_calls": [CALL]}, "error"),
        ("stop", {"refusal": "No."}, "refusal"),
        ("stop", {"refusal": "No.", "tool_calls": [CALL]}, "refusal"),
        ("content_filter", {"refusal": "No."}, "content_filter"),
    ],
)
def test_what_is_in_the_answer_counts_for_more_than_the_word(word: Any, message: dict[str, Any], reason: str) -> None:
    assert decoded(answer({"message": message, "finish_reason": word})).finish_reason == reason


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": 3}, Usage(prompt_tokens=3, completion_tokens=0, total_tokens=3)),
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7)),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9},
            Usage(prompt_tokens=3, completion_tokens=4, total_tokens=9),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}},
            Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=0),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": None, "completion_tokens_details": None},
            Usage(prompt_tokens=3, completion_tokens=4),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "prompt_cache_hit_tokens": 2},
            Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "num_cached_tokens": 2},
            Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "cost": {"total_cost": 0.5}},
            Usage(prompt_tokens=3, completion_tokens=4, cost=0.5),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "cost_in_usd_ticks": 37756000},
            Usage(prompt_tokens=3, completion_tokens=4, cost=0.0037756),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "cost": "free"},
            Usage(prompt_tokens=3, completion_tokens=4),
        ),
    ],
)  # fmt: skip
def test_usage_is_what_was_reported(usage: dict[str, Any] | None, expected: Usage | None) -> None:
    assert decoded(answer({"content": "a"}, usage=usage)).usage == expected


# ---------------------------------------------------------------------- what is no answer


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "plain: an empty answer; is base_url the API's own, with /v1 where it has one?"),
        (b" \n ", "plain: an empty answer; is base_url"),
        (
            b"<!DOCTYPE html><html><title>Sign in</title>",
            "plain: a web page instead of JSON (a proxy, a login page, or a wrong base_url): <!DOCTYPE html><html>",
        ),
        (b"upstream connect error", "plain: not a Chat Completions answer (JSON is malformed: invalid character (byte 0))"),
        (b'{"id": "1", "choices": [', "plain: not a Chat Completions answer (Input data was truncated)"),
        (b"[1, 2]", "plain: not a Chat Completions answer (Expected `object`, got `array`): [1, 2]"),
        (b"null", "plain: not a Chat Completions answer (Expected `object`, got `null`): null"),
        (b"7", "plain: not a Chat Completions answer"),
        (b"{}", "plain: a chat completion without choices: {}"),
        (b'{"choices": []}', 'plain: a chat completion without choices: {"choices": []}'),
        (b'{"choices": null}', "plain: a chat completion without choices"),
        (b'{"choices": "none"}', "plain: not a Chat Completions answer (Expected `array | null`, got `str` - at `$.choices`)"),
        (b'{"choices": ["ab"]}', "plain: not a Chat Completions answer"),
        (b'{"choices": [{"message": {"tool_calls": [7]}}]}', "plain: not a Chat Completions answer"),
        (b'{"choices": [{"message": {"content": [[1]]}}]}', None),
        (b'{"choices": [{"message": {"content": "\xff"}}]}', "plain: not a Chat Completions answer ("),
        (b'{"choices": [{"message": {"content": [{"type": "text", "text": "\xff"}]}}]}', "plain: not a Chat Completions"),
        (b'{"x": ' + b"[" * 50_000, "plain: not a Chat Completions answer (maximum recursion depth exceeded"),
        (b'{"choices": [{"index": 1e999, "message": {"content": "a"}}]}', "plain: not a Chat Completions answer"),
    ],
)  # fmt: skip
def test_garbage_is_refused_with_the_place_and_a_remedy(body: bytes, message: str | None) -> None:
    codec = codec_of(Quirks(provider="plain"))
    if message is None:
        assert codec.decode(body).text == "[1]"
        return
    with pytest.raises(ProtocolError) as caught:
        codec.decode(body)

    assert str(caught.value).startswith(message)
    assert caught.value.status_code == 200
    assert caught.value.body == body[: 64 * 1024]
    assert not caught.value.retryable
    assert len(str(caught.value)) < 1000
