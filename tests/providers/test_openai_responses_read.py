"""Bodies of the Responses API, as this or another client writes them, back to requests."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelwire.errors import BadRequestError
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    CustomTool,
    Document,
    FunctionCall,
    Image,
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
)
from tests.providers.openai_responses_wire import ORIGIN, asked, body_of, codec_of, fixture, own, raw

HELLO = {"role": "user", "content": "Hello"}


def request_of(**members: Any) -> ChatRequest:
    return codec_of().decode_request(msgspec.json.encode({"model": "m", "input": [HELLO], "store": False, **members}))


def messages_of(*items: dict[str, Any]) -> list:
    return list(request_of(input=list(items)).messages)


def test_a_body_with_everything_in_it_comes_back_as_it_was():
    codec, body = codec_of(), fixture("request.json")

    request = codec.decode_request(body)
    written = codec.encode(request, {}).body

    assert msgspec.json.decode(written) == msgspec.json.decode(body)
    assert codec.decode_request(written) == request


REQUESTS = [
    asked(),
    asked(store=True),
    asked(background=True),
    asked(background=True, store=False),
    asked(stream=True, stream_options={"include_obfuscation": False}),
    asked(max_tokens=5, reasoning_effort="low", verbosity="low", reasoning={"summary": "auto"}, logprobs=True),
    asked(previous_response_id="resp_0", include=["file_search_call.results"], extra_body={"of_tomorrow": {"a": 1}}),
    asked(messages=[], prompt={"id": "pmpt_1"}),
    asked(
        SystemMessage(content="a"),
        SystemMessage(content=[Text(text="b")], developer=True),
        UserMessage(content=[Text(text="c"), Image(data="iVBORw0KGgo=", media_type="image/png", detail="high")]),
        UserMessage(content=[Image(url="https://a.example"), Image(file_id="f"), Document(url="https://a.example")]),
        UserMessage(content=[Document(data="JVBERi0=", media_type="application/pdf", filename="a.pdf")]),
        UserMessage(content=[Audio(data="SUQz", media_type="audio/mpeg"), Audio(data="UklG", media_type="audio/wav")]),
        AssistantMessage(content="d"),
        UserMessage(content="e"),
        AssistantMessage(
            content=[
                Reasoning(text="f", signature="s", id="rs", provider=ORIGIN, provider_data=own(summary=[{"text": "f"}])),
                Text(text="g", provider_data=own(phase="commentary")),
                Refusal(text="h", provider_data=own(content_index=1)),
                FunctionCall(id="1", name="f", arguments='{"x": 1}', provider_data=own(namespace="n")),
                FunctionCall(id="2", name="g", arguments="x", custom=True),
                ProviderPart(provider=ORIGIN, kind="compaction", data=raw({"type": "compaction"})),
            ]
        ),
        ToolMessage(content=[ToolResult(call_id="1", content="i"), ToolResult(call_id="2", content="j", custom=True)]),
        UserMessage(content=[ProviderPart(provider=ORIGIN, kind="mcp_approval_response", data=raw({"type": "mcp_approval_response"}))]),
    ),
    asked(
        tools=[
            Tool(name="f"),
            Tool(name="g", description="d", parameters={"type": "object"}, provider_data=own(defer_loading=True)),
            CustomTool(name="h", grammar="x", syntax="regex"),
            CustomTool(name="i", description="e"),
            ProviderTool(data=raw({"type": "web_search"}), provider=ORIGIN),
        ],
        tool_choice=ToolChoice(mode="auto", tools=["f", "h"]),
    ),
    asked(tools=[CustomTool(name="h")], tool_choice=ToolChoice(mode="required", tools=["h"])),
    asked(tools=[Tool(name="f")], tool_choice=ToolChoice(mode="required")),
    asked(tool_choice=ProviderTool(data=raw({"type": "shell"}), provider=ORIGIN)),
    asked(response_format=ResponseFormat(type="json_object")),
    asked(response_format=ResponseFormat(type="json_schema", name="n", schema={"type": "object"}, strict=False)),
]  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_is_written_is_read_as_the_same_request(request_):
    assert codec_of().decode_request(codec_of().encode(request_, {}).body) == request_


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("members", "options"),
    [
        ({"store": None}, {"store": True}),
        ({"store": True}, {"store": True}),
        ({"store": False}, None),
        ({"store": None, "background": True}, {"background": True}),
        ({"background": True}, {"background": True, "store": False}),
        ({"include": ["reasoning.encrypted_content"]}, None),
        ({"store": True, "include": ["reasoning.encrypted_content"]},
         {"store": True, "include": ["reasoning.encrypted_content"]}),
        ({"include": ["message.output_text.logprobs", "a"]}, {"logprobs": True, "include": ["a"]}),
        ({"reasoning": {"effort": "low", "summary": None}}, {"reasoning_effort": "low"}),
        ({"reasoning": {"summary": "auto"}}, {"reasoning": {"summary": "auto"}}),
        ({"text": {"verbosity": "low", "future": 1}}, {"verbosity": "low", "extra_body": {"text": {"future": 1}}}),
        ({"text": {"format": {"type": "grammar", "x": 1}}}, {"extra_body": {"text": {"format": {"type": "grammar", "x": 1}}}}),
        ({"max_output_tokens": 5, "previous_response_id": None}, {"max_tokens": 5}),
        ({"of_tomorrow": {"a": 1}}, {"extra_body": {"of_tomorrow": {"a": 1}}}),
        ({"image": {"context_compression": "auto"}}, {"image": {"context_compression": "auto"}}),
    ],
)  # fmt: skip
def test_options_have_their_portable_names(members, options):
    assert request_of(**members).options == options


def test_a_format_that_is_not_known_is_written_again():
    form = {"type": "grammar", "x": 1}

    assert body_of(request_of(text={"format": form, "verbosity": "low"}))["text"] == {
        "format": form,
        "verbosity": "low",
    }


def test_a_schema_without_strict_is_not_strict():
    form = request_of(text={"format": {"type": "json_schema", "name": "n", "schema": {}}}).response_format

    assert form == ResponseFormat(type="json_schema", name="n", schema={}, strict=False)


# ---------------------------------------------------------------------- conversation


def test_input_may_be_a_text():
    assert request_of(input="Hello").messages == [UserMessage(content="Hello")]


def test_consecutive_items_of_the_model_are_one_message():
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "assistant", "content": "a"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "b"}],
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1"},
    ]

    (message,) = messages_of(*items)

    assert [getattr(part, "kind", None) or type(part) for part in message.content] == [
        Reasoning, Text, Text, FunctionCall, "web_search_call",
    ]  # fmt: skip
    assert message.content[2].provider_data == own(phase="commentary")


def test_a_lone_text_of_the_models_stays_text():
    assert messages_of({"role": "assistant", "content": "a"}) == [AssistantMessage(content="a")]
    assert messages_of({"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}) == [
        AssistantMessage(content="a")
    ]


def test_texts_of_one_message_are_one_message_again():
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in "ab"]

    (message,) = messages_of({"type": "message", "role": "assistant", "content": parts})

    assert message.content == [Text(text="a"), Text(text="b", provider_data=own(content_index=1))]


def test_consecutive_results_are_one_message_with_what_is_not_known_of_them():
    (message,) = messages_of(
        {"type": "function_call_output", "call_id": "1", "output": "a", "status": "completed", "name": "f"},
        {"type": "custom_tool_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "b"}]},
    )

    assert message == ToolMessage(
        content=[
            ToolResult(call_id="1", content="a", name="f", provider_data=own(status="completed", name="f")),
            ToolResult(call_id="2", content=[Text(text="b")], custom=True),
        ]
    )


@pytest.mark.parametrize(
    ("item", "side"),
    [
        ({"type": "mcp_approval_response"}, UserMessage),
        ({"type": "additional_tools", "role": "developer"}, UserMessage),
        ({"type": "compaction_trigger"}, UserMessage),
        ({"type": "configuration_update"}, UserMessage),
        ({"type": "computer_call_output", "call_id": "c"}, UserMessage),
        ({"type": "shell_call_output", "call_id": "c"}, UserMessage),
        ({"type": "shell_call_output", "call_id": "c", "id": "sho_1"}, AssistantMessage),
        ({"type": "tool_search_output", "execution": "client"}, UserMessage),
        ({"type": "tool_search_output", "id": "tso_1"}, AssistantMessage),
        ({"type": "compaction"}, AssistantMessage),
        ({"type": "item_reference", "id": "msg_1"}, AssistantMessage),
        ({"type": "something_new"}, AssistantMessage),
    ],
)
def test_items_of_other_kinds_belong_to_who_made_them(item, side):
    (message,) = messages_of(item)

    assert message == side(content=[ProviderPart(provider=ORIGIN, kind=item["type"], data=raw(item))])


def test_an_item_without_type_and_role_refers_to_another():
    (message,) = messages_of({"id": "msg_1"})

    (part,) = message.content
    assert (part.kind, msgspec.json.decode(part.data)) == ("item_reference", {"type": "item_reference", "id": "msg_1"})


def test_items_of_the_client_stand_together_but_not_with_what_the_user_says():
    approval = {"type": "mcp_approval_response", "approve": True}

    said, approved = messages_of(HELLO, approval, approval)

    assert said == UserMessage(content="Hello")
    assert len(approved.content) == 2


def test_parts_that_cannot_be_told_are_kept_raw():
    odd = [
        {"type": "input_image"},
        {"type": "input_image", "image_url": "https://a.example", "file_id": "f"},
        {"type": "input_file"},
        {"type": "input_file", "file_data": "not a data URL", "filename": "a"},
        {"type": "input_file", "file_id": "f", "file_url": "https://a.example"},
        {"type": "input_file", "file_url": "data:a/b;base64,AA==", "file_data": "data:a/b;base64,AA=="},
        {"type": "input_audio", "input_audio": {"format": "ogg", "data": "x"}},
        {"type": "input_audio"},
    ]

    (message,) = messages_of({"role": "user", "content": odd})

    assert [msgspec.json.decode(part.data) for part in message.content] == odd
    assert body_of(asked(message))["input"] == [{"role": "user", "content": odd}]


def test_members_of_messages_are_kept():
    (message,) = messages_of({"type": "message", "role": "user", "content": "a", "id": "msg_1", "status": None})

    assert message == UserMessage(content="a", provider_data=own(id="msg_1"))


# ---------------------------------------------------------------------- tools


def test_a_function_that_says_nothing_of_strict_is_left_to_the_client():
    tools = request_of(
        tools=[
            {"type": "function", "name": "a", "parameters": None},
            {"type": "function", "name": "b", "strict": False},
            {"type": "function", "name": "c", "strict": True, "parameters": {"type": "object"}},
        ]
    ).tools

    assert [tool.strict for tool in tools] == [None, None, True]
    assert [tool.parameters for tool in tools] == [None, None, {"type": "object"}]


def test_a_custom_tool_of_plain_text_keeps_saying_so():
    tool = {"type": "custom", "name": "a", "format": {"type": "text"}}

    assert body_of(request_of(tools=[tool]))["tools"] == [tool]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "mcp", "server_label": "wiki"},
        {"type": "function"},
        {"type": "function", "name": "sql"},
        {"type": "custom", "name": "f"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "wiki"}]},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        {"type": "allowed_tools", "mode": "sometimes", "tools": []},
        "sometimes",
        5,
    ],
)
def test_a_choice_that_is_not_one_of_functions_by_name_is_the_providers(choice):
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "sql"}]

    request = request_of(tools=tools, tool_choice=choice)

    assert request.tool_choice == ProviderTool(data=raw(choice), provider=ORIGIN)
    assert body_of(request)["tool_choice"] == choice


# ---------------------------------------------------------------------- what is no request


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"{}", "model: a string is needed"),
        (b'{"model": 5}', "model: a string is needed, not 5"),
        (b'{"model": "m", "input": 5}', "input: not a list"),
        (b'{"model": "m", "input": [5]}', r"input\[0\]: not a JSON object"),
        (b'{"model": "m", "input": [{"role": "wizard", "content": "a"}]}', r"input\[0\]: role 'wizard'"),
        (b'{"model": "m", "input": [{"role": "user"}]}', r"input\[0\].content: missing"),
        (b'{"model": "m", "input": [{"role": "user", "content": {}}]}', r"input\[0\].content: not a list"),
        (b'{"model": "m", "input": [{"role": "user", "content": [5]}]}', r"input\[0\].content\[0\]: a string"),
        (b'{"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]}', "text: a string"),
        (b'{"model": "m", "input": [{"role": "system", "content": [{"type": "input_image", "file_id": "f"}]}]}',
         "holds only text"),
        (b'{"model": "m", "input": [{"type": "function_call_output", "output": "a"}]}', r"input\[0\].call_id"),
        (b'{"model": "m", "input": [{"type": "function_call_output", "call_id": "a"}]}', r"input\[0\].output: missing"),
        (b'{"model": "m", "tools": [{"type": "function"}]}', r"tools\[0\].name"),
        (b'{"model": "m", "tools": [{"type": "function", "name": "f", "parameters": 5}]}', "not a body"),
        (b'{"model": "m", "tools": {}}', "tools: not a list"),
        (b'{"model": "m", "text": 5}', "text: not a JSON object"),
        (b'{"model": "m", "reasoning": 5}', "not a body"),
        (b'{"model": "m", "include": 5}', "not a body"),
        (b'{"model": "m", "x": ' + b"[" * 5000, "not a JSON object"),
        (b'{"model": "\xff"}', "not a body of the Responses API: .utf-8. codec"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused_with_the_place(body, reason):
    with pytest.raises(BadRequestError, match=reason):
        codec_of().decode_request(body)
