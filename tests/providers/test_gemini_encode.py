"""Requests to Gemini: what goes on the wire, and that it is read back as what was asked."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire.errors import BadRequestError
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._gemini.contents import UNSIGNED
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
    Refusal,
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


def contents_of(*messages: Message, model: str = NEW, **options: Any) -> Any:
    return body_of(request(*messages, model=model, options=options or None))["contents"]


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
            "extra_body": {
                "generationConfig": {"enableEnhancedCivicAnswers": True, "responseMimeType": "text/x.enum"},
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


# ---------------------------------------------------------------------- messages


def test_system_messages_at_the_beginning_are_instructions_and_later_ones_are_the_users():
    body = body_of(
        request(
            SystemMessage(content="a"), SystemMessage(content=["b", Text(text="c")]), HELLO, SystemMessage(content="d")
        )
    )

    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    assert [content["parts"] for content in body["contents"]] == [[{"text": "Hello"}], [{"text": "d"}]]


def test_a_system_message_alone_is_what_the_user_says():
    body = body_of(request(SystemMessage(content="a"), SystemMessage(content="b")))

    assert body == {
        "systemInstruction": {"parts": [{"text": "a"}]},
        "contents": [{"role": "user", "parts": [{"text": "b"}]}],
    }


def test_two_turns_of_the_model_are_one_and_those_of_the_user_stay_apart():
    contents = contents_of(HELLO, HELLO, AssistantMessage(content="a"), AssistantMessage(content=["b"]), HELLO)

    assert [(content["role"], len(content["parts"])) for content in contents] == [
        ("user", 1),
        ("user", 1),
        ("model", 2),
        ("user", 1),
    ]


def test_only_what_gemini_made_goes_back_to_it():
    message = AssistantMessage(
        content=[
            Reasoning(text="theirs", signature="s", provider="anthropic"),
            Reasoning(text="nobody's"),
            ProviderPart(provider="openai", data=msgspec.Raw(b"{}")),
            Text(text=""),
            Text(text="said", provider_data={"openai": {"x": msgspec.Raw(b"1")}}),
            Refusal(text="No."),
            Audio(id="audio_1"),
            Image(data=PNG, media_type="image/png"),
            ToolResult(call_id="x", content="run elsewhere"),
            Reasoning(text="ours", provider="gemini"),
        ],
        thought="before",
    )

    assert contents_of(HELLO, message)[1]["parts"] == [
        {"text": "said"},
        {"text": "No."},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"text": "ours", "thought": True},
    ]


def test_a_turn_of_which_nothing_is_left_is_left_out():
    assert len(contents_of(HELLO, AssistantMessage(content=[Reasoning(text="theirs", provider="openai")]), HELLO)) == 2


@pytest.mark.parametrize(
    "part",
    [
        ProviderPart(provider="openai", kind="item_reference", data=msgspec.Raw(b"{}")),
        Reasoning(text="x"),
        Audio(id="a"),
    ],
)
def test_what_the_user_may_not_send_is_refused_and_named(part: Any):
    with pytest.raises(BadRequestError) as caught:
        contents_of(UserMessage(content=[part]))

    assert caught.value.status_code == 0


def test_media_say_what_they_are():
    parts = contents_of(
        UserMessage(
            content=[
                Image(data=PNG),
                Image(data="AAAA"),
                Document(text="words", title="On words"),
                Document(text="words"),
                Video(url="https://youtu.be/1", start_offset=0.0),
                Image(file_id="files/1"),
            ]
        )
    )[0]["parts"]

    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "On words\n\nwords"},
        {"text": "words"},
        {"fileData": {"fileUri": "https://youtu.be/1"}, "videoMetadata": {"startOffset": "0s"}},
        {"fileData": {"fileUri": "files/1"}},
    ]


def test_detail_is_said_for_each_image_from_gemini_3_on():
    message = UserMessage(
        content=[Image(data=PNG, media_type="image/png", detail=detail) for detail in ("low", "original", "auto")]
    )

    levels = [part.get("mediaResolution") for part in contents_of(message)[0]["parts"]]
    assert levels == [{"level": "MEDIA_RESOLUTION_LOW"}, {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}, None]
    assert not any("mediaResolution" in part for part in contents_of(message, model=OLD)[0]["parts"])


# ---------------------------------------------------------------------- calls and results


def call(call_id: str, name: str = "f", arguments: str = "{}", **fields: Any) -> FunctionCall:
    return FunctionCall(id=call_id, name=name, arguments=arguments, **fields)


def result(call_id: str, content: Any = "ok", **fields: Any) -> ToolResult:
    return ToolResult(call_id=call_id, content=content, **fields)


def test_results_follow_their_calls_in_one_content_and_in_their_order():
    contents = contents_of(
        HELLO,
        AssistantMessage(content=[call("a"), call("b", "g")]),
        ToolMessage(content=[result("b")]),
        ToolMessage(content=[result("a")]),
        HELLO,
    )

    assert [content["role"] for content in contents] == ["user", "model", "user", "user"]
    assert contents[2]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"output": "ok"}}},
        {"functionResponse": {"id": "b", "name": "g", "response": {"output": "ok"}}},
    ]


def test_an_id_that_the_server_did_not_give_does_not_go_back():
    body = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]},"finishReason":"STOP"}]}'
    answer = CODEC.decode(body)
    contents = contents_of(HELLO, answer.message, ToolMessage(content=[result(answer.tool_calls[0].id)]), model=OLD)

    assert contents[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}}]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "ok"}}}]


def test_calls_with_equal_ids_get_a_result_each():
    contents = contents_of(
        HELLO,
        AssistantMessage(content=[call("x"), call("x", "g")]),
        ToolMessage(content=[result("x", "1"), result("x", "2")]),
    )

    responses = [part["functionResponse"] for part in contents[2]["parts"]]
    assert [(each["name"], each["response"]) for each in responses] == [("f", {"output": "1"}), ("g", {"output": "2"})]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (
            [AssistantMessage(content=[call("a"), call("b", "g")]), ToolMessage(content=[result("a")])],
            r"g \(b\) has no result",
        ),
        ([AssistantMessage(content=[call("a")]), HELLO], r"f \(a\) has no result"),
        ([AssistantMessage(content="x"), ToolMessage(content=[result("a", name="f")])], r"f \(a\) answers no call"),
        (
            [AssistantMessage(content=[call("a")]), ToolMessage(content=[result("a"), result("a")])],
            r"\(a\) answers no call",
        ),
    ],
)
def test_calls_without_results_and_results_without_calls_are_refused(messages: list[Message], words: str):
    with pytest.raises(BadRequestError, match=words):
        contents_of(HELLO, *messages)


def test_results_of_calls_in_a_cached_prefix_are_sent():
    contents = contents_of(ToolMessage(content=[result("a", name="f")]), cached_content="cachedContents/1")

    assert contents[0]["parts"][0]["functionResponse"]["name"] == "f"


def test_calls_at_the_end_need_no_result_yet():
    assert contents_of(HELLO, AssistantMessage(content=[call("a")]), model=OLD)[1]["role"] == "model"


def test_arguments_are_an_object_whatever_the_model_wrote():
    message = AssistantMessage(
        content=[
            call("a", arguments='{"x": 1.50}'),
            call("b", arguments=""),
            call("c", arguments='{"cut'),
            call("d", arguments="[1]"),
            call("e", arguments="free text", custom=True),
        ]
    )
    sent = CODEC.encode(request(HELLO, message), {}).body

    assert b'{"x": 1.50}' in sent
    arguments = [part["functionCall"]["args"] for part in json.loads(sent)["contents"][1]["parts"]]
    assert arguments == [{"x": 1.5}, {}, {"arguments": '{"cut'}, {"arguments": "[1]"}, {"input": "free text"}]


def test_what_a_tool_showed_stands_in_its_result_from_gemini_3_on_and_after_it_before():
    shown = [
        Text(text="a"),
        Image(data=PNG, media_type="image/png"),
        Audio(data="UklGRg==", media_type="audio/wav"),
        "b",
    ]
    messages = (HELLO, AssistantMessage(content=[call("a")]), ToolMessage(content=[result("a", shown)]))
    image = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    audio = {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}
    response = {"id": "a", "name": "f", "response": {"output": "a\n\nb"}}

    assert contents_of(*messages)[2]["parts"] == [
        {"functionResponse": {**response, "parts": [image]}},
        {"text": "What f showed:"},
        audio,
    ]
    assert contents_of(*messages, model=OLD)[2]["parts"] == [
        {"functionResponse": response},
        {"text": "What f showed:"},
        image,
        audio,
    ]


def signatures(*messages: Message, model: str = NEW) -> list[list[Any]]:
    contents = contents_of(HELLO, *messages, model=model)
    return [
        [part.get("thoughtSignature") for part in content["parts"]]
        for content in contents
        if content["role"] == "model"
    ]


def test_the_first_call_of_each_step_has_a_signature_from_gemini_3_on():
    steps = [
        AssistantMessage(content=["a", call("a"), call("b")]),
        ToolMessage(content=[result("a"), result("b")]),
        AssistantMessage(content=[call("c")]),
        ToolMessage(content=[result("c")]),
        AssistantMessage(content="done"),
    ]

    assert signatures(*steps) == [[None, UNSIGNED, None], [UNSIGNED], [None]]
    assert signatures(*steps, model="gemini-flash-latest") == [[None, UNSIGNED, None], [UNSIGNED], [None]]
    for model in (OLD, "gemma-4-31b-it", "tunedModels/mine"):
        assert signatures(*steps, model=model) == [[None, None, None], [None], [None]]


def test_a_signature_of_geminis_own_stays_whichever_gemini_made_it():
    signed = call("a", provider_data=own(thoughtSignature='"AQ=="'))

    assert signatures(AssistantMessage(content=[signed, call("b")])) == [["AQ==", None]]
    assert UNSIGNED == "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="


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


def test_one_of_a_list_of_words_is_asked_for_through_extra_body():
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a", "b"]}}

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
