"""Answers of Chat Completions, each whole and as a stream.

In `fixtures/openai_chat` every answer lies in both forms: `<provider>-<what>.json` and `.sse`.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import StreamInterruptedError
from modelwire.providers._openai_chat import Quirks
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    Choice,
    Citation,
    CreateResult,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    TokenLogprob,
    TopLogprob,
    Usage,
)
from tests.providers.chat_wire import (
    by_bytes,
    codec_of,
    quirks_of,
    read,
    read_all,
    wire_of,
)

FIXTURES = Path(__file__).with_name("fixtures") / "openai_chat"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))


def quirks_for(name: str) -> Quirks:
    return quirks_of(name.rpartition("-")[0].split("-")[0])


def whole(name: str) -> CreateResult:
    return codec_of(quirks_for(name)).decode((FIXTURES / f"{name}.json").read_bytes())


def stream(name: str) -> bytes:
    return (FIXTURES / f"{name}.sse").read_bytes()


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


# ---------------------------------------------------------------------- both forms are one answer


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_adds_up_to_the_whole_answer(name: str) -> None:
    assert fold(read_all(stream(name), quirks_for(name))) == whole(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_is_the_same_however_it_is_cut_into_pieces(name: str) -> None:
    body, chance = stream(name), random.Random(name)
    for _ in range(10):
        ends = sorted(chance.sample(range(len(body)), k=chance.randint(1, 30)))
        pieces = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]

        assert fold(read(pieces, quirks_for(name)).events) == whole(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_is_its_events_and_its_json(name: str) -> None:
    result = whole(name)

    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_is_cut_before_its_last_reason_says_so(name: str) -> None:
    body = stream(name)
    last_reason = body.rindex(b'"finish_reason":"')
    everything = read(body, quirks_for(name)).events
    for cut in [*range(0, last_reason, 37), last_reason]:
        found = read(body[:cut], quirks_for(name))

        assert type(found.error) is StreamInterruptedError
        assert found.error.retryable
        assert found.events == everything[: len(found.events)]
        assert fold(found.events).finish_reason == "error"


# ---------------------------------------------------------------------- what is in them

SMALL = Usage(prompt_tokens=9, completion_tokens=5, total_tokens=14)
OWN = "openai-compatible"

EXPECTED: dict[str, dict[str, Any]] = {
    "openai-text": {
        "parts": [Text(text="Hello, wörld 🎈")],
        "finish_reason": "stop",
        "usage": Usage(
            prompt_tokens=2048,
            completion_tokens=40,
            total_tokens=2088,
            cached_tokens=1024,
            cache_write_tokens=512,
            reasoning_tokens=16,
            prompt_audio_tokens=3,
            prompt_image_tokens=85,
            completion_audio_tokens=2,
            accepted_prediction_tokens=7,
            rejected_prediction_tokens=1,
        ),
        "id": "chatcmpl-A1",
        "model": "gpt-4.1-2025-04-14",
        "provider": "openai",
        "provider_data": {
            "openai": {
                "service_tier": raw('"default"'),
                "system_fingerprint": raw('"fp_44709d6fcb"'),
                "created": raw("1764000000"),
            }
        },
    },
    "openai-refusal": {
        "parts": [Refusal(text="I'm sorry, I can't help with that.")],
        "finish_reason": "refusal",
        "raw_finish_reason": "stop",
        "content": "",
    },
    "openai-tools": {
        "parts": [
            Text(text="Let me look."),
            FunctionCall(id="call_a", name="get_weather", arguments='{"city":"Paris"}'),
            FunctionCall(id="call_b", name="get_time", arguments="{}"),
        ],
        "finish_reason": "function_calls",
        "raw_finish_reason": "tool_calls",
        "text": "Let me look.",
    },
    "openai-custom": {
        "parts": [FunctionCall(id="call_c", name="run_sql", arguments="SELECT 1;", custom=True)],
        "finish_reason": "function_calls",
    },
    "openai-logprobs": {
        "parts": [Text(text="Hi!")],
        "logprobs": [
            TokenLogprob(
                token="Hi",
                logprob=-0.25,
                bytes=[72, 105],
                top_logprobs=[
                    TopLogprob(token="Hi", logprob=-0.25, bytes=[72, 105]),
                    TopLogprob(token="Yo", logprob=-1.5, bytes=[89, 111]),
                ],
            ),
            TokenLogprob(token="!", logprob=-0.01, bytes=[33], top_logprobs=[]),
        ],
    },
    "openai-choices": {
        "parts": [Text(text="Heads")],
        "content": "Heads",
        "alternatives": [
            Choice(index=1, parts=[Text(text="Tai")], finish_reason="length", raw_finish_reason="length"),
            Choice(
                index=2,
                parts=[FunctionCall(id="call_b", name="get_time", arguments="{}")],
                finish_reason="function_calls",
                raw_finish_reason="tool_calls",
            ),
        ],
    },
    "openai-audio": {
        "parts": [Audio(id="audio_1", data="AAECAwQF", expires_at=1764003600, transcript="Hello there")],
        "finish_reason": "stop",
    },
    "openai-citations": {
        "parts": [
            Text(
                text="Zürich.",
                citations=[Citation(url="https://example.com/zh", title="Zürich", start_index=0, end_index=7)],
            )
        ],
    },
    "openai-legacy": {"finish_reason": "function_calls", "raw_finish_reason": "function_call"},
    "openai-length": {
        "parts": [FunctionCall(id="call_a", name="f", arguments='{"x":[1,')],
        "finish_reason": "function_calls",
        "raw_finish_reason": "length",
    },
    "azure-filter": {"parts": [Text(text="Fine.")], "finish_reason": "stop", "provider": "azure"},
    "azure-late-filter": {
        "parts": [Text(text="First the")],
        "finish_reason": "content_filter",
        "usage": None,
        "id": "chatcmpl-A1",
        "model": "gpt-5-nano-2025-08-07",
    },
    "groq-reasoning": {
        "parts": [Reasoning(text="Six times seven.", provider="groq", model="openai/gpt-oss-120b"), Text(text="42")],
        "usage": Usage(prompt_tokens=70, completion_tokens=30, total_tokens=100, reasoning_tokens=12),
        "thought": "Six times seven.",
    },
    "openrouter-image": {"text": "Here:"},
    "deepseek-thinking": {
        "parts": [
            Reasoning(text="I need the date.", provider="deepseek", model="deepseek-v4-pro"),
            FunctionCall(id="call_0_x", name="get_date", arguments="{}"),
        ],
        "usage": Usage(
            prompt_tokens=100, completion_tokens=50, total_tokens=150, cached_tokens=64, reasoning_tokens=20
        ),
    },
    "mistral-thinking": {
        "parts": [
            Reasoning(
                text="Mind the gap.",
                provider="mistral",
                model="magistral-medium-latest",
                provider_data={"mistral": {"closed": raw("true"), "signature": raw('"c2ln"')}},
            ),
            Text(text="Bridges span."),
        ],
        "usage": Usage(prompt_tokens=10, completion_tokens=20, total_tokens=30, cached_tokens=4),
    },
    "mistral-sources": {
        "parts": [
            Text(text="Rivers flow"),
            ProviderPart(provider="mistral", kind="reference", data=raw('{"type":"reference","reference_ids":[3,1]}')),
            Text(text=" down."),
        ],
        "text": "Rivers flow down.",
        "finish_reason": "length",
        "raw_finish_reason": "model_length",
    },
    "xai-calls": {
        "parts": [
            Reasoning(text="Call f.", provider="xai", model="grok-4.6"),
            FunctionCall(id="call_x", name="f", arguments='{"a":1}'),
        ],
        "finish_reason": "function_calls",
        "raw_finish_reason": None,
        # 9 + 21: reasoning is inside completion_tokens for every provider
        "usage": Usage(
            prompt_tokens=30,
            completion_tokens=30,
            total_tokens=60,
            cached_tokens=6,
            reasoning_tokens=21,
            prompt_audio_tokens=0,
            prompt_image_tokens=0,
            completion_audio_tokens=0,
            accepted_prediction_tokens=0,
            rejected_prediction_tokens=0,
        ),
    },
    "vllm-stop": {
        "parts": [Reasoning(text="hm", provider="vllm", model="Qwen/Qwen3-8B"), Text(text="ok")],
        "logprobs": [TokenLogprob(token="ok", logprob=-9999.0, bytes=[111, 107], top_logprobs=[])],
        "usage": Usage(prompt_tokens=4, completion_tokens=3, total_tokens=7),
        "provider_data": {"vllm": {"created": raw("1764000000"), "stop_reason": raw('"END"')}},
    },
    "llama.cpp-timings": {
        "text": "Hi",
        "usage": Usage(prompt_tokens=5, completion_tokens=2, total_tokens=7, cached_tokens=1),
    },
    "perplexity-sources": {
        "text": "pong [1]",
        "usage": Usage(prompt_tokens=7, completion_tokens=2, total_tokens=9, reasoning_tokens=1, cost=0.00603),
    },
    "plain-signed-calls": {
        "parts": [
            FunctionCall(
                id="function-call-1",
                name="f",
                arguments='{"x":1}',
                provider_data={
                    OWN: {"extra_content": raw('{"google":{"thought_signature":"CiQB\\u00e9\\/1.0e3","n":1.0e3}}')}
                },
            ),
            FunctionCall(id="function-call-2", name="g", arguments="{}"),
        ],
        "finish_reason": "function_calls",
        "raw_finish_reason": "stop",
    },
    "plain-objects": {
        "id": "7",
        "text": "So:",
        "finish_reason": "function_calls",
        "raw_finish_reason": "eos",
        "usage": SMALL,
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_an_answer_is_read_for_what_it_says(name: str) -> None:
    result = whole(name)

    assert {field: getattr(result, field) for field in EXPECTED[name]} == EXPECTED[name]


def test_every_fixture_is_looked_into() -> None:
    assert {*NAMES} == {*EXPECTED, "openrouter-reasoning"}


def test_reasoning_details_keep_every_byte() -> None:
    reasoning, text = whole("openrouter-reasoning").parts or []

    assert text == Text(text="No.")
    assert isinstance(reasoning, Reasoning)
    assert reasoning.text == "café costs 1.0e3?"
    assert reasoning.provider_data is not None
    assert bytes(reasoning.provider_data["openrouter"]["reasoning_details"]) == (
        rb'[{"type":"reasoning.text","text":"caf\u00e9 costs 1.0e3?","format":"anthropic-claude-v1","index":0,'
        rb'"signature":"c2ln\u003d\u003d","weight":1.0e3},'
        rb'{"type":"reasoning.encrypted","data":"gAAAA\u002b0.10","id":"rs_1","format":"openai-responses-v1","index":1}]'
    )
    assert whole("openrouter-reasoning").usage == Usage(
        prompt_tokens=20,
        completion_tokens=30,
        total_tokens=50,
        cached_tokens=8,
        cache_write_tokens=4,
        reasoning_tokens=11,
        prompt_audio_tokens=0,
        completion_image_tokens=0,
        cost=0.00042,
    )


def test_a_router_tells_who_answered_and_how_that_one_put_it() -> None:
    kept = (whole("openrouter-reasoning").provider_data or {})["openrouter"]

    assert {name: json.loads(bytes(value)) for name, value in kept.items()} == {
        "created": 1764000000,
        "provider": "Anthropic",
        "native_finish_reason": "end_turn",
    }


def test_a_drawn_image_is_an_image() -> None:
    _, image = whole("openrouter-image").parts or []

    assert isinstance(image, Image)
    assert image.media_type == "image/png"
    assert image.to_bytes().startswith(b"\x89PNG")


def test_a_call_without_an_id_gets_one_that_is_the_same_whenever_it_is_read() -> None:
    legacy, *_ = whole("openai-legacy").tool_calls
    first, second = whole("plain-objects").tool_calls

    assert (legacy.name, legacy.arguments) == ("f", '{"x":1}')
    assert (first.name, first.arguments) == ("f", '{"x": 1.50}')
    assert (second.name, second.arguments, second.parsed_arguments()) == ("g", "", {})
    assert len({legacy.id, first.id, second.id, *(call.id for call in whole("plain-objects").tool_calls)}) == 3
    assert all(call.id.startswith("call_") for call in (legacy, first, second))


def test_the_filters_of_azure_tell_what_they_saw() -> None:
    kept = (whole("azure-late-filter").provider_data or {})["azure"]
    seen = json.loads(bytes(kept["content_filter_results"]))

    assert seen["violence"] == {"filtered": True, "severity": "medium"}
    assert json.loads(bytes(kept["prompt_filter_results"]))[0]["prompt_index"] == 0
    assert json.loads(bytes(kept["created"])) == 1764000000


def test_the_servers_own_numbers_stay_with_the_result() -> None:
    timings = (whole("llama.cpp-timings").provider_data or {})["llama.cpp"]["timings"]
    sources = (whole("perplexity-sources").provider_data or {})["perplexity"]

    assert json.loads(bytes(timings))["prompt_ms"] == 49.294
    assert json.loads(bytes(sources["citations"])) == ["https://a.example", "https://b.example"]
    assert json.loads(bytes(sources["search_results"]))[0]["title"] == "A"


# ---------------------------------------------------------------------- the way back

CALLS_BACK = [
    {"id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}},
    {"id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
]
GOES_BACK: dict[str, dict[str, Any]] = {
    "openai-text": {"content": "Hello, wörld 🎈"},
    "openai-refusal": {"refusal": "I'm sorry, I can't help with that."},
    "openai-tools": {"content": "Let me look.", "tool_calls": CALLS_BACK},
    "openai-custom": {
        "tool_calls": [{"id": "call_c", "type": "custom", "custom": {"name": "run_sql", "input": "SELECT 1;"}}]
    },
    "openai-audio": {"audio": {"id": "audio_1"}},
    "openai-citations": {"content": "Zürich."},
    "groq-reasoning": {"content": "42", "reasoning": "Six times seven."},
    "deepseek-thinking": {
        "reasoning_content": "I need the date.",
        "tool_calls": [{"id": "call_0_x", "type": "function", "function": {"name": "get_date", "arguments": "{}"}}],
    },
    "mistral-thinking": {
        "content": [
            {
                "type": "thinking",
                "thinking": [{"type": "text", "text": "Mind the gap."}],
                "closed": True,
                "signature": "c2ln",
            },
            {"type": "text", "text": "Bridges span."},
        ]
    },
    "mistral-sources": {
        "content": [
            {"type": "text", "text": "Rivers flow"},
            {"type": "reference", "reference_ids": [3, 1]},
            {"type": "text", "text": " down."},
        ]
    },
    "xai-calls": {
        "reasoning_content": "Call f.",
        "tool_calls": [{"id": "call_x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    },
    "vllm-stop": {"content": "ok", "reasoning": "hm"},
    "openrouter-image": {"content": "Here:"},
}


@pytest.mark.parametrize("name", GOES_BACK)
def test_an_answer_goes_back_as_its_provider_wants_it(name: str) -> None:
    for result in (whole(name), fold(read(stream(name), quirks_for(name)).events)):
        assert wire_of(result.message, quirks_for(name)) == {"role": "assistant", **GOES_BACK[name]}


@pytest.mark.parametrize(
    ("name", "opaque"),
    [
        (
            "openrouter-reasoning",
            [
                rb'"text":"caf\u00e9 costs 1.0e3?","format":"anthropic-claude-v1","index":0,"signature":"c2ln\u003d\u003d"',
                rb'"weight":1.0e3},{"type":"reasoning.encrypted","data":"gAAAA\u002b0.10","id":"rs_1"',
            ],
        ),
        ("plain-signed-calls", [rb'"extra_content":{"google":{"thought_signature":"CiQB\u00e9\/1.0e3","n":1.0e3}}']),
        ("mistral-sources", [b'{"type":"reference","reference_ids":[3,1]}']),
        ("openai-audio", [b'"audio":{"id":"audio_1"}']),
    ],
)
def test_what_is_opaque_goes_back_byte_for_byte_after_being_stored(name: str, opaque: list[bytes]) -> None:
    codec = codec_of(quirks_for(name))
    for result in (whole(name), fold(read(by_bytes(stream(name)), quirks_for(name)).events)):
        stored = msgspec.json.decode(msgspec.json.encode(result.message), type=AssistantMessage)
        sent = codec.encode(ChatRequest(model="m", messages=[stored]), {}).body

        for piece in opaque:
            assert piece in sent
        (again,) = codec.decode_request(sent).messages
        assert codec.encode(ChatRequest(model="m", messages=[again]), {}).body == sent


@pytest.mark.parametrize("name", ["openrouter-reasoning", "mistral-thinking", "mistral-sources", "plain-signed-calls"])
def test_what_is_opaque_goes_to_no_other_provider(name: str) -> None:
    wire = msgspec.json.encode(wire_of(whole(name).message, "deepseek"))

    for piece in (b"reasoning_details", b"signature", b"reference", b"extra_content", b"thinking"):
        assert piece not in wire
