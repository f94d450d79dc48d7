"""Messages on their way to Gemini: roles, parts, calls with their results, and signatures."""

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
    Document,
    FunctionCall,
    Image,
    Message,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)

CODEC = GeminiCodec("https://example.com/v1beta")
NEW, OLD = "gemini-3.8-flash", "gemini-2.5-flash"
HELLO = UserMessage(content="Hello")
PNG = "iVBORw0KGgo="


def own(**members: str) -> dict[str, dict[str, msgspec.Raw]]:
    return {"gemini": {name: msgspec.Raw(text.encode()) for name, text in members.items()}}


def request(*messages: Message, model: str = NEW, **fields: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=[*messages] or [HELLO], **fields)


def body_of(asked: ChatRequest) -> Any:
    return json.loads(CODEC.encode(asked, known(asked.model)).body)


def contents_of(*messages: Message, model: str = NEW, **options: Any) -> Any:
    return body_of(request(*messages, model=model, options=options or None))["contents"]


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
