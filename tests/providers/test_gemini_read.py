"""Requests to Gemini as other clients write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwire.errors import BadRequestError
from modelwire.providers._body import is_made_up
from modelwire.providers._gemini import GeminiCodec
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    ProviderTool,
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
URL = "https://example.com/v1beta/models/gemini-3.8-flash:generateContent"
HELLO = {"role": "user", "parts": [{"text": "Hello"}]}


def read(url: str = URL, **members: Any) -> ChatRequest:
    return CODEC.decode_request(json.dumps({"contents": [HELLO], **members}).encode(), url)


def messages_of(*contents: Any) -> list[Any]:
    return [*read(contents=contents).messages]


@pytest.mark.parametrize(
    ("url", "model", "stream"),
    [
        (URL, "gemini-3.8-flash", False),
        ("https://x/v1beta/models/a%20b:streamGenerateContent?alt=sse", "a b", True),
        ("https://x/v1/tunedModels/mine:generateContent", "tunedModels/mine", False),
        (
            "https://x/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            "gemini-2.5-pro",
            True,
        ),
        ("", "gemini-2.0-flash", False),
    ],
)
def test_the_model_is_in_the_url_or_in_the_body(url: str, model: str, stream: bool):
    request = read(url, model="models/gemini-2.0-flash")

    assert (request.model, request.stream) == (model, stream)


def test_names_in_snake_case_mean_the_same():
    snake = read(
        system_instruction={"parts": [{"text": "s"}]},
        contents=[
            {
                "parts": [
                    {
                        "file_data": {"mime_type": "image/png", "file_uri": "https://a/b.png"},
                        "media_resolution": {"level": "MEDIA_RESOLUTION_LOW"},
                    }
                ]
            },
            {
                "role": "model",
                "parts": [{"function_call": {"name": "f", "args": {"a_b": 1}}, "thought_signature": "AQ=="}],
            },
            {"parts": [{"function_response": {"name": "f", "response": {"output": "x"}}}]},
        ],
        generation_config={"max_output_tokens": 5, "response_mime_type": "application/json"},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"x_y": 1}}]}],
        tool_config={"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        cached_content="c",
    )
    camel = read(
        systemInstruction={"parts": [{"text": "s"}]},
        contents=[
            {
                "parts": [
                    {
                        "fileData": {"mimeType": "image/png", "fileUri": "https://a/b.png"},
                        "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                    }
                ]
            },
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "f", "args": {"a_b": 1}}, "thoughtSignature": "AQ=="}],
            },
            {"parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]},
        ],
        generationConfig={"maxOutputTokens": 5, "responseMimeType": "application/json"},
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"x_y": 1}}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        cachedContent="c",
    )

    assert snake == camel
    assert snake.tools == [Tool(name="f", parameters={"x_y": 1})]
    assert snake.tool_choice == ToolChoice(mode="required", tools=["f"])
    assert snake.options == {"max_tokens": 5, "cached_content": "c"}
    assert snake.messages[1] == UserMessage(
        content=[Image(url="https://a/b.png", media_type="image/png", detail="low")]
    )


def test_one_object_stands_for_a_list_of_one():
    request = read(
        contents={"parts": {"text": "Hi"}},
        systemInstruction={"role": "system", "parts": {"text": ""}},
        tools={"functionDeclarations": {"name": "f"}},
    )

    assert request.messages == [SystemMessage(content=""), UserMessage(content="Hi")]
    assert request.tools == [Tool(name="f")]


def test_results_without_ids_answer_the_calls_of_their_function_in_turn():
    calls = [{"functionCall": {"name": name, "args": {}}} for name in ("f", "g", "f")]
    results = [
        {"functionResponse": {"name": name, "response": {"output": said}}}
        for name, said in (("g", "1"), ("f", "2"), ("f", "3"))
    ]
    _, said, answered = messages_of(HELLO, {"role": "model", "parts": calls}, {"role": "user", "parts": results})

    first, second, third = (part.id for part in said.content)
    assert len({first, second, third}) == 3
    assert all(is_made_up(each) for each in (first, second, third))
    assert [(each.call_id, each.content) for each in answered.content] == [(second, "1"), (first, "2"), (third, "3")]


def test_equal_calls_in_different_turns_have_different_ids():
    call = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
    messages = messages_of(HELLO, call, result, call, result)

    assert messages[1].content[0].id != messages[3].content[0].id
    assert [messages[at].content[0].call_id for at in (2, 4)] == [messages[at].content[0].id for at in (1, 3)]


def test_a_result_that_answers_nothing_is_read_all_the_same():
    (message,) = messages_of(
        {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]}
    )

    assert isinstance(message, ToolMessage)
    assert is_made_up(message.content[0].call_id)


@pytest.mark.parametrize(
    ("response", "content", "is_error", "kept"),
    [
        ({"output": "x"}, "x", False, False),
        ({"error": "x"}, "x", True, False),
        ({"output": {"a": 1}}, '{"a":1}', False, True),
        ({"error": {"code": 5}}, '{"code":5}', True, True),
        ({"result": "x"}, '{"result":"x"}', False, True),
        ({"output": "x", "more": 1}, '{"output":"x","more":1}', False, True),
        ({"output": "x", "error": "y"}, '{"output":"x","error":"y"}', False, True),
        ({}, "", False, True),
    ],
)
def test_a_result_is_its_text_or_its_json_and_goes_back_as_it_was(
    response: Any, content: str, is_error: bool, kept: bool
):
    call = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]}
    result = {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": response}}]}
    request = read(contents=[HELLO, call, result])

    message = request.messages[2]
    assert isinstance(message, ToolMessage)
    (found,) = message.content
    assert (found.content, found.is_error, found.provider_data is not None) == (content, is_error, kept)
    again = json.loads(CODEC.encode(request, {"family": "unknown"}).body)
    assert again["contents"][2] == result


def test_a_result_with_something_unknown_in_it():
    parts = [{"hologram": 1}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    inner = {"id": "a", "name": "f", "response": {}, "parts": parts, "scheduling": "SILENT"}
    call = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]}
    request = read(
        contents=[HELLO, call, {"role": "user", "parts": [{"functionResponse": inner, "partMetadata": {"x": 1}}]}]
    )

    message = request.messages[2]
    assert isinstance(message, ToolMessage)
    unknown, image = message.content[0].content
    assert isinstance(unknown, ProviderPart)
    assert image == Image(data="AAAA", media_type="image/png")
    sent = json.loads(CODEC.encode(request, {"family": "unknown"}).body)["contents"][2]["parts"]
    assert sent[0]["functionResponse"]["scheduling"] == "SILENT"
    assert sent[0]["partMetadata"] == {"x": 1}


def test_results_and_words_in_one_content_are_two_messages():
    call = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {}}}]}
    mixed = {
        "role": "user",
        "parts": [{"text": "And?"}, {"functionResponse": {"id": "a", "name": "f", "response": {"output": "x"}}}],
    }

    assert messages_of(HELLO, call, mixed)[2:] == [
        ToolMessage(content=[ToolResult(call_id="a", content="x", name="f")]),
        UserMessage(content="And?"),
    ]


def test_results_in_two_contents_are_one_message():
    call = {"role": "model", "parts": [{"functionCall": {"id": each, "name": "f", "args": {}}} for each in "ab"]}
    results = [
        {"parts": [{"functionResponse": {"id": each, "name": "f", "response": {"output": each}}}]} for each in "ab"
    ]

    message = messages_of(HELLO, call, *results)[2]
    assert [(each.call_id, each.content) for each in message.content] == [("a", "a"), ("b", "b")]


def test_unknown_members_of_a_content_and_of_parts_go_back():
    content = {
        "role": "user",
        "parts": [{"text": "a", "partMetadata": {"x": 1}}, {"videoMetadata": {"fps": 1}}],
        "flavour": "mint",
    }
    request = read(contents=[content])

    assert json.loads(CODEC.encode(request, {"family": "unknown"}).body)["contents"] == [content]


def test_media_without_a_type_are_told_by_their_address():
    uris = ("https://youtu.be/1", "https://a/b.mp4?x", "https://a/b.JPG", "https://a/b")
    (message,) = messages_of({"parts": [{"fileData": {"fileUri": uri}} for uri in uris]})

    assert message.content == [Video(url=uris[0]), Video(url=uris[1]), Image(url=uris[2]), Document(url=uris[3])]


def test_schemas_in_openapi_are_json_schema():
    parameters = {
        "type": "OBJECT",
        "properties": {
            "a_b": {"type": 1, "nullable": True, "enum": ["x"], "format": "enum"},
            "list": {"type": "ARRAY", "items": {"type": "INTEGER", "maximum": 5}, "min_items": "1"},
            "any": {"any_of": [{"type": "STRING"}, {"type": "TYPE_UNSPECIFIED"}], "nullable": True},
        },
        "property_ordering": ["list", "a_b", "any"],
        "required": ["a_b"],
    }
    schema = {
        "type": "object",
        "properties": {
            "a_b": {"type": ["string", "null"], "enum": ["x"], "format": "enum"},
            "list": {"type": "array", "items": {"type": "integer", "maximum": 5}, "minItems": 1},
            "any": {"anyOf": [{"type": "string"}, {}, {"type": "null"}]},
        },
        "propertyOrdering": ["list", "a_b", "any"],
        "required": ["a_b"],
    }
    request = read(
        tools=[{"functionDeclarations": [{"name": "f", "parameters": parameters}]}],
        generationConfig={"responseMimeType": "application/json", "responseSchema": parameters},
    )

    assert request.tools == [Tool(name="f", parameters=schema)]
    assert request.response_format == ResponseFormat(type="json_schema", schema=schema)


def test_tools_of_googles_own_beside_functions_are_tools_of_their_own():
    request = read(tools=[{"functionDeclarations": [{"name": "f"}], "codeExecution": {}, "googleSearch": None}])

    assert request.tools is not None
    function, execution = request.tools
    assert function == Tool(name="f")
    assert isinstance(execution, ProviderTool)
    assert (execution.provider, bytes(execution.data)) == ("gemini", b'{"codeExecution":{}}')


@pytest.mark.parametrize(
    ("config", "effort"),
    [
        ({"thinkingLevel": "low", "includeThoughts": True}, "low"),
        ({"thinking_level": "HIGH", "include_thoughts": True}, "high"),
        ({"thinkingLevel": "LOW"}, None),
        ({"thinkingLevel": "LOW", "includeThoughts": False}, None),
        ({"thinkingLevel": "TURBO", "includeThoughts": True}, None),
        ({"thinkingBudget": 1024, "includeThoughts": True}, None),
        ("x", None),
    ],
)
def test_a_level_with_thoughts_is_an_effort_and_anything_else_is_kept(config: Any, effort: str | None):
    options = read(generationConfig={"thinkingConfig": config}).options

    assert options == ({"reasoning_effort": effort} if effort else {"thinking_config": config})


@pytest.mark.parametrize(
    ("config", "wanted", "media"),
    [
        ({"responseMimeType": "application/json"}, "json_object", None),
        ({"responseMimeType": "application/json", "responseJsonSchema": {"a": 1}}, "json_schema", None),
        ({"responseMimeType": "text/x.enum", "responseSchema": {"enum": ["a"]}}, "json_schema", "text/x.enum"),
        ({"responseMimeType": "text/plain"}, None, "text/plain"),
        ({"responseJsonSchema": {"a": 1}}, None, None),
    ],
)
def test_forms_of_the_answer(config: Any, wanted: str | None, media: str | None):
    request = read(generationConfig=config)
    options = request.options or {}

    assert (request.response_format.type if request.response_format else None) == wanted
    assert options.get("response_mime_type") == media
    assert ("extra_body" in options) == (wanted is media is None)


def test_choices_that_are_not_known_are_kept_as_they_are():
    config = {
        "functionCallingConfig": {"mode": 2, "allowedFunctionNames": ["f"]},
        "retrievalConfig": {"languageCode": "pl"},
    }
    request = read(toolConfig=config)

    assert (request.tool_choice, request.options) == (None, {"extra_body": {"toolConfig": config}})


def test_what_stands_beside_a_known_choice_is_kept():
    calling = {"mode": "AUTO", "streamFunctionCallArguments": True}
    request = read(toolConfig={"functionCallingConfig": calling})

    assert request.tool_choice == ToolChoice(mode="auto")
    assert request.options == {
        "extra_body": {"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}}}
    }


def test_the_request_inside_a_count_is_read():
    inner = {"model": "models/gemini-3.8-flash", "contents": [HELLO]}

    request = CODEC.decode_request(json.dumps({"generateContentRequest": inner}).encode(), "")
    assert request == ChatRequest(model="gemini-3.8-flash", messages=[UserMessage(content="Hello")])


def test_calls_and_texts_of_the_model():
    parts = [{"text": "a", "thought": False}, {"text": ""}, {"functionCall": {"id": "x", "name": "f"}}]
    (_, message) = messages_of(HELLO, {"role": "model", "parts": parts})

    assert message == AssistantMessage(content=[Text(text="a"), FunctionCall(id="x", name="f", arguments="{}")])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "the body"),
        (b"[]", "the body"),
        (b'{"contents": 3}', "contents"),
        (b'{"contents": [3]}', r"contents\[0\]"),
        (b'{"contents": [{"role": "system", "parts": []}]}', r"contents\[0\]: role 'system' is not known"),
        (b'{"contents": [{"parts": [{"text": "a"}]}, {"parts": [{"text": 3}]}]}', r"contents\[1\]"),
        (b'{"contents": [{"parts": [{"inlineData": {"data": 3}}]}]}', r"contents\[0\]"),
        (b'{"contents": [{"parts": [{"fileData": {"fileUri": "http://["}}]}]}', r"contents\[0\]"),
        (b'{"contents": [{"parts": [{"functionResponse": []}]}]}', r"contents\[0\]"),
        (b'{"contents": [], "systemInstruction": "s"}', "systemInstruction"),
        (b'{"contents": [], "systemInstruction": {"parts": [{"fileData": {"fileUri": "x"}}]}}', "systemInstruction"),
        (b'{"contents": [], "generationConfig": []}', "generationConfig"),
        (b'{"contents": [], "tools": [1]}', "tools"),
        (b'{"contents": [], "tools": [{"functionDeclarations": [{"name": 3}]}]}', "tools"),
        (b'{"contents": [], "toolConfig": {"functionCallingConfig": []}}', "toolConfig"),
        (b'{"contents": [], "model": 3}', "model"),
        (b'{"contents": [], "generateContentRequest": 3}', "generateContentRequest"),
    ],
)
def test_what_is_no_request_is_refused_with_the_place(body: bytes, place: str):
    with pytest.raises(BadRequestError, match=place):
        CODEC.decode_request(body, "")
