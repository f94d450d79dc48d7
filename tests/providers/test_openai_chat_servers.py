"""Where servers that speak Chat Completions differ, and what models of OpenAI's refuse."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import models
from modelwire.errors import BadRequestError, UnsupportedOptionError
from modelwire.providers._openai_chat import ChatCodec
from modelwire.providers.compatible import PRESETS
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    CustomTool,
    Document,
    FunctionCall,
    Image,
    Refusal,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)
from tests.providers.chat_wire import asked, body_of, codec_of, wire_of

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}


# ---------------------------------------------------------------------- messages

TEXTS_JOINED = {
    "plain",
    "groq",
    "deepseek",
    "lmstudio",
    "together",
    "fireworks",
    "cerebras",
    "perplexity",
    "moonshot",
    "zai",
}


@pytest.mark.parametrize("provider", ["openai", "azure", "plain", *PRESETS])
def test_texts_are_joined_where_lists_of_them_may_be_refused(provider: str) -> None:
    lists = provider not in TEXTS_JOINED
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    for message in (SystemMessage(content=["a", "b"]), UserMessage(content=["a", "b"])):
        assert wire_of(message, provider)["content"] == (parts if lists else "a\n\nb")
    result = ToolMessage(content=[ToolResult(call_id="c", content=["a", "b"])])
    assert wire_of(result, provider)["content"] == (parts if lists else "a\n\nb")
    answer = AssistantMessage(content=[Text(text="a"), Text(text="b")])
    assert wire_of(answer, provider)["content"] == (parts if lists else "ab")


def test_a_list_with_more_than_text_stays_a_list() -> None:
    content = ["a", Image(url="https://example.com/a.png")]

    assert [part["type"] for part in wire_of(UserMessage(content=content), "deepseek")["content"]] == [
        "text",
        "image_url",
    ]


@pytest.mark.parametrize("provider", ["openai", "azure", "plain", *PRESETS])
def test_only_openai_and_azure_have_developers(provider: str) -> None:
    message = SystemMessage(content="a", developer=True)

    assert wire_of(message, provider)["role"] == ("developer" if provider in ("openai", "azure") else "system")


def test_mistral_takes_no_names() -> None:
    for message in (UserMessage(content="a", source="me"), AssistantMessage(content="a", source="me")):
        assert "name" not in wire_of(message, "mistral")
        assert wire_of(message, "plain")["name"] == "me"


@pytest.mark.parametrize("provider", ["mistral", "groq"])
def test_a_refusal_is_text_where_messages_may_have_no_such_member(provider: str) -> None:
    assert wire_of(AssistantMessage(content=[Refusal(text="No.")]), provider) == {"role": "assistant", "content": "No."}


@pytest.mark.parametrize("provider", ["openai", "azure", "plain", *PRESETS])
def test_no_message_has_members_that_are_null(provider: str) -> None:
    call = FunctionCall(id="c", name="f", arguments="{}")

    for content in ([call], [Refusal(text="No.")], [Text(text="a"), call], "", []):
        assert None not in wire_of(AssistantMessage(content=content), provider).values()


def test_mistral_wants_short_ids_of_calls() -> None:
    ids = ["call_abcdefghijklmnop", "abc123XYZ", "toolu_01"]
    calls = AssistantMessage(content=[FunctionCall(id=one, name="f", arguments="{}") for one in ids])
    results = ToolMessage(content=[ToolResult(call_id=one, content="x") for one in ids])

    said, *answered = body_of(ChatRequest(model="m", messages=[calls, results]), "mistral")["messages"]

    sent = [call["id"] for call in said["tool_calls"]]
    assert sent == [message["tool_call_id"] for message in answered]
    assert all(len(one) == 9 and one.isalnum() and one.isascii() for one in sent)
    assert sent[1] == "abc123XYZ"
    assert len({*sent}) == 3
    assert wire_of(ToolMessage(content=results.content[:1]), "openai")["tool_call_id"] == ids[0]


@pytest.mark.parametrize("provider", ["azure", "groq", "deepseek"])
def test_documents_are_refused_where_there_are_none(provider: str) -> None:
    document = Document(data="JVBERi0=", media_type="application/pdf")
    with pytest.raises(BadRequestError, match=f"{provider} takes no documents in Chat Completions; send its text inst"):
        body_of(asked(document), provider)
    assert wire_of(UserMessage(content=["a", Document(text="b")]), "azure")["content"][1]["text"] == "b"


@pytest.mark.parametrize("provider", ["vllm", "openrouter"])
def test_some_servers_take_videos(provider: str) -> None:
    content = [Video(url="https://example.com/a.mp4"), Video(data="AAAA", media_type="video/mp4")]
    request = asked(*content)

    assert body_of(request, provider)["messages"][0]["content"] == [
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
    ]
    assert codec_of(provider).decode_request(codec_of(provider).encode(request, {}).body) == request


def test_vllm_takes_sound_from_elsewhere() -> None:
    request = asked(Audio(url="https://example.com/a.wav"))

    assert body_of(request, "vllm")["messages"][0]["content"] == [
        {"type": "audio_url", "audio_url": {"url": "https://example.com/a.wav"}}
    ]
    assert codec_of("vllm").decode_request(codec_of("vllm").encode(request, {}).body) == request


# ---------------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("provider", "word"), [("mistral", "any"), ("openai", "required"), ("groq", "required"), ("plain", "required")]
)
def test_a_call_of_any_tool_has_its_word(provider: str, word: str) -> None:
    request = asked("Hi", tools=[Tool(name="f", parameters=SCHEMA)], tool_choice=ToolChoice(mode="required"))

    assert body_of(request, provider)["tool_choice"] == word
    assert codec_of(provider).decode_request(codec_of(provider).encode(request, {}).body) == request


@pytest.mark.parametrize(
    ("choice", "word", "sent"),
    [
        (ToolChoice(mode="required", tools=["g"]), "required", ["g"]),
        (ToolChoice(mode="auto", tools=["f", "h"]), "auto", ["f", "h"]),
        (ToolChoice(mode="required"), "required", ["f", "g", "h"]),
    ],
)
def test_where_no_tool_can_be_named_the_others_are_left_out(choice, word, sent):
    request = asked("Hi", tools=[Tool(name=name) for name in "fgh"], tool_choice=choice)

    body = body_of(request, "llama.cpp")

    assert body["tool_choice"] == word
    assert [tool["function"]["name"] for tool in body["tools"]] == sent


@pytest.mark.parametrize(
    ("provider", "strict"), [("mistral", False), ("deepseek", False), ("groq", True), ("xai", True)]
)
def test_strict_is_said_where_it_is_known(provider: str, strict: bool) -> None:
    (tool,) = body_of(asked("Hi", tools=[Tool(name="f", parameters=SCHEMA, strict=True)]), provider)["tools"]

    assert ("strict" in tool["function"]) == strict
    assert tool["function"]["parameters"] == SCHEMA


def test_mistral_wants_a_schema_for_no_arguments() -> None:
    (tool,) = body_of(asked("Hi", tools=[Tool(name="f")]), "mistral")["tools"]

    assert tool["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}


# ---------------------------------------------------------------------- options that a server refuses


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        ("groq", ["logprobs", "top_logprobs", "logit_bias", "metadata", "store", "n"]),
        ("xai", ["stop", "frequency_penalty", "presence_penalty"]),
        ("mistral", ["logit_bias", "user"]),
        ("openai", []),
        ("vllm", []),
        ("plain", []),
    ],
)
def test_a_server_refuses_options(provider: str, options: list[str]) -> None:
    given = dict.fromkeys(
        ["logprobs", "top_logprobs", "logit_bias", "metadata", "store", "n", "stop", "frequency_penalty", "user"], 1
    )
    given |= {"presence_penalty": 1, "temperature": 1, "seed": 1}

    refused = codec_of(provider).refused(asked("Hi", options=given), {})

    assert {*refused} == {*options}
    assert all(refused.values())


# ---------------------------------------------------------------------- models that reason

SAMPLING = ["temperature", "top_p", "logprobs", "top_logprobs"]
NEVER = ["frequency_penalty", "presence_penalty", "logit_bias", "stop"]


def refused_by(model: str, **options: Any) -> dict[str, str]:
    given = dict.fromkeys([*SAMPLING, *NEVER, "max_tokens", "seed", "verbosity"], 1) | options
    request = ChatRequest(model=model, messages=[UserMessage(content="Hi")], options=given)
    return dict(codec_of().refused(request, models.lookup("openai", model)))


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o", "gpt-4o-2024-08-06", "something-new"])
def test_a_model_that_does_not_reason_refuses_nothing(model: str) -> None:
    assert refused_by(model) == {}


@pytest.mark.parametrize(
    "model", ["o3", "gpt-5", "gpt-5-mini", "gpt-6-astra", "gpt-6.1-sol", "gpt-6-sol", "gpt-5.6-sol"]
)
def test_a_model_that_reasons_refuses_sampling(model: str) -> None:
    assert {*refused_by(model)} == {*SAMPLING, *NEVER}


@pytest.mark.parametrize("model", ["gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.4-mini", "gpt-5.2-2025-12-11"])
def test_a_model_that_does_not_reason_by_default_takes_sampling(model: str) -> None:
    assert {*refused_by(model)} == {*NEVER}
    assert {*refused_by(model, reasoning_effort="low")} == {*SAMPLING, *NEVER}


def test_reasoning_may_be_switched_off_for_sampling() -> None:
    assert {*refused_by("gpt-5.6-sol", reasoning_effort="none")} == {*NEVER}
    reason = refused_by("gpt-5.6-sol")["temperature"]
    assert reason == "gpt-5.6-sol does not take it while it reasons; it does with reasoning_effort='none'"
    assert refused_by("o3")["temperature"] == "o3 does not take it while it reasons"
    assert refused_by("gpt-5.6-sol")["stop"] == "gpt-5.6-sol is a reasoning model and does not take it"
    assert refused_by("gpt-5.1")["stop"] == "gpt-5.1 is a reasoning model and does not take it"


def test_an_effort_that_a_model_lacks_is_refused_with_those_that_it_has() -> None:
    assert refused_by("gpt-5", reasoning_effort="none")["reasoning_effort"] == (
        "gpt-5 knows the levels minimal, low, medium, high"
    )
    assert {*refused_by("gpt-5", reasoning_effort="none")} == {*SAMPLING, *NEVER, "reasoning_effort"}
    assert "reasoning_effort" not in refused_by("gpt-5", reasoning_effort="minimal")
    assert "reasoning_effort" in refused_by("gpt-6-astra", reasoning_effort="none")


def encoded(model: str, tool: Any = None, **options: Any) -> bytes:
    request = ChatRequest(
        model=model, messages=[UserMessage(content="Hi")], tools=[tool or Tool(name="f")], options=options
    )
    return codec_of().encode(request, models.lookup("openai", model)).body


@pytest.mark.parametrize(
    ("model", "options"),
    [("gpt-5.6-sol", {}), ("gpt-5.4", {"reasoning_effort": "low"}), ("gpt-6-sol", {"reasoning_effort": "high"})],
)
def test_functions_are_refused_while_a_newer_model_reasons(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedOptionError) as caught:
        encoded(model, **options)

    assert caught.value.option == "tools"
    assert caught.value.message == (
        f"{model} calls no functions in Chat Completions while it reasons; pass api='responses', "
        "or pass reasoning_effort='none'"
    )


def test_functions_are_refused_by_a_model_that_always_reasons() -> None:
    with pytest.raises(UnsupportedOptionError, match=r"while it reasons; pass api='responses'$"):
        encoded("gpt-6-astra")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-5.4", {}),
        ("gpt-5.6-sol", {"reasoning_effort": "none"}),
        ("gpt-5", {"reasoning_effort": "high"}),
        ("o3", {}),
        ("gpt-4.1", {}),
        ("something-new", {"reasoning_effort": "high"}),
        ("gpt-6-sol", {}),  # what it does by default is not known: the server judges
    ],
)
def test_functions_are_sent_where_they_may_work(model: str, options: dict[str, Any]) -> None:
    assert b'"tools":' in encoded(model, **options)


def test_only_functions_are_refused_while_a_model_reasons() -> None:
    assert b'"tools":' in encoded("gpt-5.6-sol", CustomTool(name="g"))


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("content_type", "streams"),
    [
        (b"text/event-stream", True),
        (b"text/event-stream; charset=utf-8", True),
        (b"", True),
        (b"text/plain", True),
        (b"application/json", False),
        (b"application/json; charset=utf-8", False),
        (b"Application/JSON", False),
        (b"text/html", False),
    ],
)
def test_an_answer_in_json_is_no_stream(content_type: bytes, streams: bool) -> None:
    assert codec_of().is_stream(content_type) is streams


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({b"x-request-id": b"req_1"}, "req_1"),
        ({b"apim-request-id": b"a", b"x-request-id": b"b"}, "a"),
        ({b"cf-ray": b"8f2"}, "8f2"),
        ({}, None),
    ],
)
def test_the_headers_name_the_request(headers: dict[bytes, bytes], request_id: str | None) -> None:
    assert codec_of().facts(headers).request_id == request_id


def test_a_codec_says_what_it_is() -> None:
    codec = ChatCodec("https://example.com", PRESETS["mistral"].quirks, ((b"x-extra", b"1"),))

    assert (codec.dialect, codec.provider, codec.origin) == ("openai-chat", "mistral", "mistral")
    assert codec.spellings["seed"] == "random_seed"
    assert (b"x-extra", b"1") in codec.encode(asked("Hi"), {}).headers
