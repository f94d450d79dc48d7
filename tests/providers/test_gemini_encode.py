"""Requests to Gemini: what goes on the wire, and that it is read back as what was asked."""

from __future__ import annotations

import enum
import json
from typing import Any, Literal

import msgspec
import pytest

from modelwire.errors import BadRequestError
from modelwire.output import response_schema
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._gemini.facts import known
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    CustomTool,
    Document,
    FunctionCall,
    Image,
    Message,
    ProviderPart,
    ProviderTool,
    Reasoning,
    ResponseFormat,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

CODEC = GeminiCodec("https://example.com/v1beta")
NEW, OLD = "gemini-3.8-flash", "gemini-2.5-flash"
HELLO = UserMessage(content="Hello")
PNG = "iVBORw0KGgo="
WEATHER = Tool(
    name="weather", description="Weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}}
)


def own(**members: str) -> dict[str, dict[str, msgspec.Raw]]:
    return {"gemini": {name: msgspec.Raw(text.encode()) for name, text in members.items()}}


def request(*messages: Message, model: str = NEW, **fields: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=[*messages] or [HELLO], **fields)


def body_of(asked: ChatRequest) -> Any:
    return json.loads(CODEC.encode(asked, known(asked.model)).body)


def config_of(model: str = NEW, **options: Any) -> Any:
    return body_of(request(model=model, options=options))["generationConfig"]


# ---------------------------------------------------------------------- where it goes


def test_the_model_and_whether_to_stream_stand_in_the_url():
    asked = request()
    plain = CODEC.encode(asked, {})
    streamed = CODEC.encode(msgspec.structs.replace(asked, stream=True), {})

    assert plain.url == "https://example.com/v1beta/models/gemini-3.8-flash:generateContent"
    assert streamed.url == "https://example.com/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert plain.body == streamed.body == b'{"contents":[{"role":"user","parts":[{"text":"Hello"}]}]}'
    assert dict(streamed.headers) == {b"content-type": b"application/json", b"accept": b"text/event-stream"}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("models/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("tunedModels/mine", "tunedModels/mine"),
        ("a?b#c", "models/a%3Fb%23c"),
    ],
)
def test_the_models_name_is_a_path_and_nothing_else(model: str, path: str):
    assert CODEC.encode(request(model=model), {}).url == f"https://example.com/v1beta/{path}:generateContent"


def test_a_query_of_the_base_url_stays():
    codec = GeminiCodec("https://example.com/v1beta?tenant=7")
    asked = request(stream=True)

    assert (
        codec.encode(asked, {}).url
        == "https://example.com/v1beta/models/gemini-3.8-flash:streamGenerateContent?tenant=7&alt=sse"
    )
    assert codec.decode_request(codec.encode(asked, {}).body, codec.encode(asked, {}).url) == asked


def test_tokens_are_counted_with_instructions_and_tools():
    http = CODEC.encode_count(request(SystemMessage(content="s"), HELLO, tools=[WEATHER]), {})

    assert http.url == "https://example.com/v1beta/models/gemini-3.8-flash:countTokens"
    body = json.loads(http.body)
    assert body["generateContentRequest"].pop("model") == "models/gemini-3.8-flash"
    assert body == {"generateContentRequest": body_of(request(SystemMessage(content="s"), HELLO, tools=[WEATHER]))}


# ---------------------------------------------------------------------- there and back


ROUND_TRIPS: dict[str, ChatRequest] = {
    "text": request(),
    "empty text": request(UserMessage(content="")),
    "streamed": request(stream=True),
    "tuned model": request(model="tunedModels/mine"),
    "system": request(SystemMessage(content="Be brief."), HELLO),
    "system in parts": request(
        SystemMessage(content=[Text(text="a"), Text(text="b", provider_data=own(k="1"))]), HELLO
    ),
    "media": request(
        UserMessage(
            content=[
                Text(text="See:"),
                Image(data=PNG, media_type="image/png", detail="high"),
                Image(url="https://example.com/a.png", media_type="image/png"),
                Audio(data="UklGRg==", media_type="audio/wav"),
                Document(data="JVBERi0=", media_type="application/pdf"),
                Document(
                    file_id="https://generativelanguage.googleapis.com/v1beta/files/1", media_type="application/pdf"
                ),
                Document(file_id="gs://bucket/a.pdf", media_type="application/pdf"),
                Video(data="AAAAHGZ0eXA=", media_type="video/mp4", start_offset=1.5, end_offset=10.0, fps=0.5),
                Video(url="https://www.youtube.com/watch?v=1"),
                ProviderPart(provider="gemini", kind="hologram", data=msgspec.Raw(b'{"hologram":{"x":1e2}}')),
            ]
        )
    ),
    "conversation": request(HELLO, AssistantMessage(content="Hi."), UserMessage(content="How?")),
    "thoughts": request(
        HELLO,
        AssistantMessage(
            content=[
                Reasoning(text="Hm", signature="AQ==", provider="gemini"),
                Text(text="Hi", provider_data=own(thoughtSignature='"Ag=="')),
                Text(text="", provider_data=own(thoughtSignature='"Aw\\u003d\\u003d"')),
            ]
        ),
        HELLO,
    ),
    "calls": request(
        HELLO,
        AssistantMessage(
            content=[
                FunctionCall(id="a", name="f", arguments='{"x":1.50}', provider_data=own(thoughtSignature='"AQ=="')),
                FunctionCall(id="b", name="g", arguments="{}", provider_data=own(functionCall='{"mood":"calm"}')),
            ]
        ),
        ToolMessage(
            content=[
                ToolResult(call_id="a", name="f", content="sunny"),
                ToolResult(call_id="b", name="g", content="no such city", is_error=True),
            ]
        ),
        HELLO,
    ),
    "results with media": request(
        HELLO,
        AssistantMessage(
            content=[FunctionCall(id="a", name="f", arguments="{}", provider_data=own(thoughtSignature='"AQ=="'))]
        ),
        ToolMessage(
            content=[
                ToolResult(call_id="a", name="f", content=[Text(text="two"), Image(data=PNG, media_type="image/png")])
            ]
        ),
    ),
    "a result of media alone": request(
        HELLO,
        AssistantMessage(
            content=[FunctionCall(id="a", name="f", arguments="{}", provider_data=own(thoughtSignature='"AQ=="'))]
        ),
        ToolMessage(content=[ToolResult(call_id="a", name="f", content=[Image(data=PNG, media_type="image/png")])]),
    ),
    "a result as an object": request(
        HELLO,
        AssistantMessage(
            content=[FunctionCall(id="a", name="f", arguments="{}", provider_data=own(thoughtSignature='"AQ=="'))]
        ),
        ToolMessage(
            content=[
                ToolResult(
                    call_id="a",
                    name="f",
                    content='{"degrees":1.5}',
                    provider_data=own(functionResponse='{"response":{"degrees":1.50}}'),
                )
            ]
        ),
    ),
    "tools": request(
        tools=[WEATHER, Tool(name="now"), Tool(name="x", description="", provider_data=own(behavior='"BLOCKING"'))]
    ),
    "tools of google": request(
        tools=[ProviderTool(provider="gemini", data=msgspec.Raw(b'{"googleSearch":{}}')), WEATHER],
        options={"store": False},
    ),
    "strict tools": request(tools=[Tool(name="f", strict=True)]),
    "no tools now": request(tools=[WEATHER], tool_choice=ToolChoice(mode="none")),
    "some tool": request(tools=[WEATHER], tool_choice=ToolChoice(mode="required")),
    "this tool": request(tools=[WEATHER], tool_choice=ToolChoice(mode="required", tools=["weather"])),
    "one of these or none": request(tools=[WEATHER], tool_choice=ToolChoice(mode="auto", tools=["weather"])),
    "json": request(response_format=ResponseFormat(type="json_object")),
    "schema": request(
        response_format=ResponseFormat(
            type="json_schema", schema={"type": "object", "properties": {"a": {"type": "integer"}}}
        )
    ),
    "effort": request(options={"reasoning_effort": "low"}),
    "options": request(
        options={
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 3,
            "stop": ["a", "b"],
            "seed": 1,
            "n": 2,
            "logprobs": True,
            "top_logprobs": 3,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "metadata": {"team": "a_b"},
            "service_tier": "flex",
            "store": True,
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "thinking_config": {"thinkingBudget": 100},
            "response_modalities": ["TEXT", "IMAGE"],
            "media_resolution": "MEDIA_RESOLUTION_LOW",
            "speech_config": {"voiceConfig": {}},
            "image_config": {"aspectRatio": "1:1"},
            "continuation_token": "AQ==",
            "cached_content": "cachedContents/1",
            "response_mime_type": "text/plain",
            "extra_body": {
                "generationConfig": {"enableEnhancedCivicAnswers": True},
                "toolConfig": {"includeServerSideToolInvocations": True},
                "newMember": [1],
            },
        }
    ),
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_what_is_written_is_read_as_the_same_request(name: str):
    asked = ROUND_TRIPS[name]
    http = CODEC.encode(asked, known(asked.model))

    assert CODEC.decode_request(http.body, http.url) == asked


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-2.5-flash", "minimal", {"thinkingBudget": 512, "includeThoughts": True}),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash-preview-09-2025", "medium", {"thinkingBudget": 8192, "includeThoughts": True}),
        ("models/gemini-2.5-pro", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32768, "includeThoughts": True}),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.8-flash", "none", {"thinkingLevel": "LOW"}),
        ("gemini-3.8-flash", "high", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-4-argon", "medium", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-9-boron", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-9-boron", "max", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        ("something-new", "xhigh", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
    ],
)
def test_an_effort_is_a_level_or_a_budget_as_the_model_has_it(model: str, effort: str, config: dict[str, Any]):
    assert config_of(model, reasoning_effort=effort) == {"thinkingConfig": config}


def test_a_model_that_does_not_think_is_not_told_to_stop():
    info = {**known("mine"), "reasoning": False}
    none, low = (request(model="mine", options={"reasoning_effort": effort}) for effort in ("none", "low"))

    assert "generationConfig" not in json.loads(CODEC.encode(none, info).body)
    assert CODEC.refused(none, info) == {}
    assert CODEC.refused(low, info) == {"reasoning_effort": "mine does not think"}


def test_thinking_config_may_say_more_than_the_effort_but_nothing_else():
    assert config_of(reasoning_effort="low", thinking_config={"includeThoughts": False}) == {
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": False}
    }
    assert config_of(thinking_config={"include_thoughts": False}, reasoning_effort="low") == {
        "thinkingConfig": {"thinkingLevel": "LOW", "include_thoughts": False}
    }
    with pytest.raises(BadRequestError, match="give one of them"):
        config_of(reasoning_effort="low", thinking_config={"thinking_budget": 5})


def test_a_word_that_is_no_effort_is_refused():
    with pytest.raises(BadRequestError, match="'little' is not known"):
        config_of(OLD, reasoning_effort="little")


def test_words_of_enums_may_be_written_short():
    body = body_of(
        request(
            options={
                "safety_settings": {"HARASSMENT": "BLOCK_NONE", "HARM_CATEGORY_HATE_SPEECH": "OFF"},
                "media_resolution": "low",
            }
        )
    )

    assert body["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
        {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "OFF"},
    ]
    assert body["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}


def test_one_stop_text_is_a_list_of_one():
    assert config_of(stop="END") == {"stopSequences": ["END"]}


def test_extra_members_go_into_the_objects_that_are_there_and_over_what_is_said():
    given = {"thinkingConfig": {"thinkingLevel": "LOW"}}
    body = body_of(
        request(
            options={
                "max_tokens": 5,
                "seed": 1,
                "thinking_config": given["thinkingConfig"],
                "extra_body": {
                    "generationConfig": {"seed": 2, "thinkingConfig": {"includeThoughts": True}, "x": 1},
                    "y": None,
                },
            }
        )
    )

    assert body["generationConfig"] == {
        "maxOutputTokens": 5,
        "seed": 2,
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        "x": 1,
    }
    assert given == {"thinkingConfig": {"thinkingLevel": "LOW"}}, "what the caller gave was changed"


def test_what_is_no_json_is_refused():
    with pytest.raises(BadRequestError, match="cannot be written as JSON"):
        config_of(speech_config={"x": object()})


def test_a_continuation_goes_on_with_the_raw_token_of_the_answer():
    token = msgspec.Raw(b'"AQ=="')

    assert body_of(request(options={"continuation_token": token}))["continuationToken"] == "AQ=="


# ---------------------------------------------------------------------- tools and formats


def test_functions_are_one_entry_in_the_place_of_the_first():
    search = ProviderTool(data=msgspec.Raw(b'{"googleSearch":{}}'))
    url = ProviderTool(data=msgspec.Raw(b'{"urlContext":{}}'))

    tools = body_of(request(tools=[search, WEATHER, url, Tool(name="now")]))["tools"]
    assert [[*tool] for tool in tools] == [["googleSearch"], ["functionDeclarations"], ["urlContext"]]
    assert tools[1]["functionDeclarations"] == [
        {"name": "weather", "description": "Weather", "parametersJsonSchema": WEATHER.parameters},
        {"name": "now"},
    ]


def test_functions_of_models_before_2_5_are_described_in_the_openapi_subset():
    tools = body_of(request(model="gemini-2.0-flash", tools=[WEATHER]))["tools"]

    assert tools[0]["functionDeclarations"][0]["parameters"] == {
        "type": "OBJECT",
        "properties": {"city": {"type": "STRING"}},
        "propertyOrdering": ["city"],
    }


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (ProviderTool(provider="openai", data=msgspec.Raw(b"{}")), "a tool of openai"),
        (CustomTool(name="shell"), "shell: Gemini has no tools with free text"),
    ],
)
def test_tools_that_gemini_lacks_are_refused(tool: Any, words: str):
    with pytest.raises(BadRequestError, match=words):
        body_of(request(tools=[tool]))


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="auto"), None, {"mode": "AUTO"}),
        (ToolChoice(mode="auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="auto", tools=["f"]), None, {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="none"), True, {"mode": "NONE"}),
        (ToolChoice(mode="required"), True, {"mode": "ANY"}),
        (ToolChoice(mode="required", tools=["f"]), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, strict: bool | None, config: Any):
    body = body_of(request(tools=[Tool(name="f", strict=strict)], tool_choice=choice))

    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


def test_a_choice_in_googles_own_form_is_sent_as_it_is():
    choice = ProviderTool(data=msgspec.Raw(b'{"includeServerSideToolInvocations":true}'))

    assert body_of(request(tools=[WEATHER], tool_choice=choice))["toolConfig"] == {
        "includeServerSideToolInvocations": True
    }


def test_a_choice_without_tools_is_left_out():
    assert "toolConfig" not in body_of(request(tool_choice=ToolChoice(mode="none")))


SCHEMA = {
    "type": "object",
    "properties": {"kind": {"const": "a"}, "size": {"type": ["integer", "null"]}},
    "additionalProperties": False,
}


def test_a_schema_for_the_answer():
    wanted = ResponseFormat(type="json_schema", schema=SCHEMA)
    lowered = {
        **SCHEMA,
        "properties": {"kind": {"type": "string", "enum": ["a"]}, "size": {"type": ["integer", "null"]}},
    }

    assert body_of(request(response_format=wanted))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": lowered,
    }
    assert body_of(request(model="gemini-2.0-flash", response_format=wanted))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseSchema": {
            "type": "OBJECT",
            "properties": {"kind": {"type": "STRING", "enum": ["a"]}, "size": {"type": "INTEGER", "nullable": True}},
            "propertyOrdering": ["kind", "size"],
        },
    }


def test_any_text_and_any_json():
    assert "generationConfig" not in body_of(request(response_format=ResponseFormat(type="text")))
    assert body_of(request(response_format=ResponseFormat(type="json_object")))["generationConfig"] == {
        "responseMimeType": "application/json"
    }


def test_a_schema_that_cannot_be_said_is_refused_every_time():
    wanted = ResponseFormat(
        type="json_schema", schema={"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}
    )

    for _ in range(2):
        with pytest.raises(BadRequestError, match="#/properties/a"):
            body_of(request(response_format=wanted))


class Instrument(enum.Enum):
    """What a tune is played on."""

    KEYS = "piano"
    STRINGS = "violin"


@pytest.mark.parametrize(
    "wanted", [Instrument, Literal["piano", "violin"], {"type": "string", "enum": ["piano", "violin"]}]
)
@pytest.mark.parametrize("model", ["gemini-3.8-flash", "gemini-2.0-flash"])
def test_one_bare_word_of_an_enum(wanted: Any, model: str):
    asked = request(model=model, response_format=response_schema(wanted), options={"response_mime_type": "text/x.enum"})
    config = body_of(asked)["generationConfig"]

    assert config["responseMimeType"] == "text/x.enum"
    assert config["responseSchema"].items() >= {"type": "STRING", "enum": ["piano", "violin"]}.items()
    assert config.keys() == {"responseMimeType", "responseSchema"}
    http = CODEC.encode(asked, {})
    again = CODEC.decode_request(http.body, http.url)
    assert body_of(again)["generationConfig"] == config


def test_a_media_type_of_tomorrow_goes_through_extra_body():
    config = {"responseMimeType": "application/yaml"}

    assert config_of(extra_body={"generationConfig": config}) == config


# ---------------------------------------------------------------------- what models lack


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (request(model="gemini-3.8-flash", options={"reasoning_effort": "minimal"}), {"reasoning_effort"}),
        (request(model="gemini-3.8-flash", options={"reasoning_effort": "none"}), set()),
        (request(model="gemini-3.5-flash", options={"reasoning_effort": "minimal"}), set()),
        (request(model="gemini-2.5-flash", options={"reasoning_effort": "max"}), {"reasoning_effort"}),
        (request(model="gemini-9-boron", options={"reasoning_effort": "max"}), set()),
        (request(model="gemini-4-argon", options={"cached_content": "x"}), {"cached_content"}),
        (
            request(model="gemini-3.8-flash", options={"n": 2, "frequency_penalty": 1, "presence_penalty": 1}),
            {"n", "frequency_penalty", "presence_penalty"},
        ),
        (request(model="gemini-2.5-flash", options={"n": 2, "frequency_penalty": 1, "presence_penalty": 1}), set()),
        (request(model="gemini-9-boron", options={"n": 2, "frequency_penalty": 1, "presence_penalty": 1}), set()),
        (request(model="gemini-3.8-flash", options={"cached_content": "x"}), set()),
        (request(model=OLD, tools=[WEATHER], response_format=ResponseFormat(type="json_object")), {"response_format"}),
        (request(model=OLD, tools=[WEATHER], response_format=ResponseFormat(type="text")), set()),
        (request(model=OLD, response_format=ResponseFormat(type="json_object")), set()),
        (request(model=NEW, tools=[WEATHER], response_format=ResponseFormat(type="json_object")), set()),
        (request(model="mine", tools=[WEATHER], response_format=ResponseFormat(type="json_object")), set()),
    ],
)
def test_what_a_model_is_known_to_lack_is_told_before_anything_is_sent(asked: ChatRequest, refused: set[str]):
    reasons = CODEC.refused(asked, known(asked.model))

    assert reasons.keys() == refused
    assert all(asked.model in reason for reason in reasons.values())
