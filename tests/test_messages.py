"""What messages, results and their parts can do, and messages as plain dicts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire.client import messages_from
from modelwire.errors import BadRequestError
from modelwire.providers._openai_chat import Quirks
from modelwire.providers._openai_chat.read import read_messages
from modelwire.types import (
    AssistantMessage,
    Audio,
    Choice,
    CreateResult,
    Document,
    FunctionCall,
    Image,
    Part,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
    Video,
)
from tests.chat_answers import JSON, completion
from tests.fakes import Reply, client_of, scripted

CALL = FunctionCall(id="c", name="f", arguments="{}")

# ---------------------------------------------------------------------- function calls


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [('{"a": 1}', {"a": 1}), ("", {}), ("  \n", {}), ("{}", {}), (' {"a": [null, 1.5]} ', {"a": [None, 1.5]})],
)
def test_arguments_are_a_dict(arguments: str, parsed: dict[str, Any]) -> None:
    assert FunctionCall(id="c", name="f", arguments=arguments).parsed_arguments() == parsed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('{"a": ', "arguments of f are not JSON (Input data was truncated): '{\"a\": '"),
        ("oops", "arguments of f are not JSON (JSON is malformed: invalid character (byte 0)): 'oops'"),
        ("[1]", "arguments of f are not a JSON object: '[1]'"),
        ("null", "arguments of f are not a JSON object: 'null'"),
        ("7", "arguments of f are not a JSON object: '7'"),
        ("[" * 100_000, "arguments of f are not JSON (maximum recursion depth exceeded"),
        ('"\ud800"', "arguments of f are not JSON ("),
    ],
)
def test_arguments_that_are_none_are_quoted(arguments: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^arguments of f") as caught:
        FunctionCall(id="c", name="f", arguments=arguments).parsed_arguments()

    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 500


# ---------------------------------------------------------------------- usage


def test_a_total_that_nobody_reported_is_the_sum() -> None:
    assert Usage(prompt_tokens=3, completion_tokens=4).total_tokens == 7
    assert Usage(prompt_tokens=3, completion_tokens=4, total_tokens=9).total_tokens == 9
    assert msgspec.json.decode(b'{"prompt_tokens":3,"completion_tokens":4}', type=Usage).total_tokens == 7


def test_the_sum_of_two_calls_is_field_by_field() -> None:
    first = Usage(prompt_tokens=1, completion_tokens=2, total_tokens=10, cached_tokens=1, cost=0.5)
    second = Usage(prompt_tokens=3, completion_tokens=4, reasoning_tokens=2, cost=0.25)

    assert first + second == Usage(
        prompt_tokens=4, completion_tokens=6, total_tokens=17, cached_tokens=1, reasoning_tokens=2, cost=0.75
    )
    assert (first + first).reasoning_tokens is None
    with pytest.raises(TypeError):
        first + 5  # type: ignore[operator]


# ---------------------------------------------------------------------- results

PARTS: list[Part] = [
    Reasoning(text="hm "),
    Text(text="a"),
    Refusal(text="no"),
    CALL,
    Reasoning(text="more"),
    Text(text="b"),
    Image(url="u"),
]


@pytest.mark.parametrize(
    "answer",
    [CreateResult(parts=PARTS, finish_reason="stop"), Choice(index=1, parts=PARTS, finish_reason="stop")],
)
def test_an_answer_is_read_by_kind(answer: Any) -> None:
    assert answer.text == "ab"
    assert answer.thought == "hm more"
    assert answer.refusal == "no"
    assert answer.tool_calls == [CALL]
    assert answer.message == AssistantMessage(content=PARTS)


@pytest.mark.parametrize(
    "answer",
    [CreateResult(parts=[], finish_reason="stop"), Choice(index=1, parts=[], finish_reason="stop")],
)
def test_an_empty_answer_has_nothing_of_any_kind(answer: Any) -> None:
    assert (answer.text, answer.thought, answer.refusal, answer.tool_calls) == ("", None, None, [])


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"parts": [Text(text="a"), Text(text="b")]}, "ab"),
        ({"parts": [Text(text="a"), CALL]}, [CALL]),
        ({"parts": [Refusal(text="no")]}, ""),
        ({"parts": []}, ""),
        ({"parts": [Text(text="a")], "content": "other"}, "a"),
        ({"content": "a"}, "a"),
        ({"content": [CALL]}, [CALL]),
        ({}, ""),
    ],
)
def test_content_follows_from_the_parts(given: dict[str, Any], content: Any) -> None:
    result = CreateResult(finish_reason="stop", **given)

    assert result.content == content
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


def test_a_result_from_its_content_alone_has_parts_too() -> None:
    said = CreateResult(content="Hello", finish_reason="stop")
    called = CreateResult(content=[CALL], finish_reason="function_calls")

    assert (said.text, said.message) == ("Hello", AssistantMessage(content=[Text(text="Hello")]))
    assert (called.tool_calls, called.text) == ([CALL], "")
    assert said.parts is None


def test_a_result_may_be_changed() -> None:
    result = CreateResult(parts=[Text(text="a")], finish_reason="stop")

    assert msgspec.structs.replace(result, content="b", parts=None).text == "b"
    assert msgspec.structs.replace(result, cached=True).content == "a"


def test_the_message_of_a_result_is_not_the_result() -> None:
    result = CreateResult(parts=[Text(text="a")], finish_reason="stop")
    content = result.message.content
    assert isinstance(content, list)
    content.append(Text(text="b"))

    assert result.text == "a"


@pytest.mark.parametrize(
    ("content", "text", "calls"),
    [
        ("a", "a", []),
        (["a", Text(text="b"), Reasoning(text="r"), CALL], "ab", [CALL]),
        ([], "", []),
    ],
)
def test_an_assistants_message_is_read_by_kind(content: Any, text: str, calls: list[FunctionCall]) -> None:
    message = AssistantMessage(content=content)

    assert (message.text, message.tool_calls) == (text, calls)


# ---------------------------------------------------------------------- plain dicts


def from_dict(message: Any, provider: str = "openai") -> Any:
    (read,) = read_messages([msgspec.Raw(msgspec.json.encode(message))], Quirks(provider=provider))
    return read


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


DICTS: list[tuple[dict[str, Any], Any]] = [
    ({"role": "user", "content": "Hi"}, UserMessage(content="Hi")),
    ({"role": "user", "content": "Hi", "name": "me"}, UserMessage(content="Hi", source="me")),
    ({"role": "user", "content": "Hi", "source": "me"}, UserMessage(content="Hi", source="me")),
    ({"role": "user", "content": ["a", {"type": "text", "text": "b"}]}, UserMessage(content=["a", Text(text="b")])),
    ({"role": "system", "content": "x"}, SystemMessage(content="x")),
    ({"role": "developer", "content": "x"}, SystemMessage(content="x", developer=True)),
    ({"role": "system", "content": "x", "developer": True}, SystemMessage(content="x", developer=True)),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": "https://example.com/a.png"}]},
        UserMessage(content=[Image(url="https://example.com/a.png")]),
    ),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
        UserMessage(content=[Image(data="AAAA", media_type="image/png")]),
    ),
    (
        {"role": "user", "content": [{"type": "image", "url": "u", "detail": "low"}]},
        UserMessage(content=[Image(url="u", detail="low")]),
    ),
    (
        {"role": "user", "content": [{"type": "document", "text": "words"}, {"type": "video", "url": "v"}]},
        UserMessage(content=[Document(text="words"), Video(url="v")]),
    ),
    (
        {"role": "user", "content": [{"type": "new", "n": 1.5}]},
        UserMessage(content=[ProviderPart(provider="openai", kind="new", data=raw('{"type":"new","n":1.5}'))]),
    ),
    (
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        UserMessage(
            content=[Text(text="a", provider_data={"openai": {"cache_control": raw('{"type":"ephemeral"}')}})]
        ),
    ),
    ({"role": "assistant", "content": "a"}, AssistantMessage(content="a")),
    ({"role": "assistant", "content": None}, AssistantMessage(content="")),
    ({"role": "assistant"}, AssistantMessage(content="")),
    ({"role": "assistant", "content": "a", "thought": "hm"}, AssistantMessage(content="a", thought="hm")),
    ({"role": "assistant", "content": "a", "annotations": [{"x": 1}]}, AssistantMessage(content="a")),
    ({"role": "assistant", "content": None, "refusal": "No."}, AssistantMessage(content=[Refusal(text="No.")])),
    ({"role": "assistant", "content": "a", "audio": {"id": "x"}}, AssistantMessage(content=[Text(text="a"), Audio(id="x")])),
    (
        {"role": "assistant", "content": "a", "prefix": True},
        AssistantMessage(content="a", provider_data={"openai": {"prefix": raw("true")}}),
    ),
    (
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
        AssistantMessage(content=[Reasoning(text="hm", provider="openai"), Text(text="a")]),
    ),
    (
        {"role": "assistant", "content": [{"type": "reasoning", "text": "hm", "signature": "s", "provider": "p"}]},
        AssistantMessage(content=[Reasoning(text="hm", signature="s", provider="p")]),
    ),
    (
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        AssistantMessage(content=[CALL]),
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
        AssistantMessage(content=[FunctionCall(id="c", name="f", arguments='{"a":1}')]),
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
        AssistantMessage(content=[FunctionCall(id="c", name="f", arguments="")]),
    ),
    (
        {"role": "assistant", "content": [{"type": "function_call", "id": "c", "name": "f", "arguments": "{}"}]},
        AssistantMessage(content=[CALL]),
    ),
    (
        {"role": "tool", "tool_call_id": "c", "content": "1", "name": "f"},
        ToolMessage(content=[ToolResult(call_id="c", content="1", name="f")]),
    ),
    (
        {"role": "tool", "tool_call_id": "c", "content": "1", "is_error": True},
        ToolMessage(content=[ToolResult(call_id="c", content="1", is_error=True)]),
    ),
    (
        {"role": "tool", "content": [{"type": "tool_result", "call_id": "c", "content": "1", "is_error": True}]},
        ToolMessage(content=[ToolResult(call_id="c", content="1", is_error=True)]),
    ),
    (
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url", "image_url": "u"}]},
        ToolMessage(content=[ToolResult(call_id="c", content=[Image(url="u")])]),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), DICTS)
def test_a_dict_is_a_message(given: dict[str, Any], message: Any) -> None:
    assert from_dict(given) == message


MESSAGES = [
    UserMessage(content="Hi", source="me"),
    UserMessage(content=["a", Image(url="u", provider_data={"p": {"x": raw("1.0e3")}})]),
    SystemMessage(content=["a"], developer=True),
    AssistantMessage(content="a", thought="hm", provider_data={"p": {"x": raw("1")}}),
    AssistantMessage(content=[Reasoning(text="hm", signature="s", provider="p", model="m"), Text(text="a"), CALL]),
    AssistantMessage(content=[Refusal(text="No.", category="x"), Audio(id="x", transcript="a")]),
    ToolMessage(content=[ToolResult(call_id="c", content=["a", Image(url="u")], is_error=True)], source="runner"),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_modelwires_own_json_is_a_dict_too(message: Any) -> None:
    assert from_dict(msgspec.json.decode(msgspec.json.encode(message), type=type(message))) == message
    assert from_dict(json.loads(msgspec.json.encode(message))) == json_equal(message)


def json_equal(message: Any) -> Any:
    """The message as it is after its JSON was read by Python, which spells numbers in its own way."""
    return msgspec.json.decode(
        json.dumps(json.loads(msgspec.json.encode(message)), separators=(",", ":")), type=type(message)
    )


def test_results_of_one_turn_are_one_message() -> None:
    given = [{"role": "tool", "tool_call_id": one, "content": one} for one in "ab"]
    read = read_messages([msgspec.Raw(msgspec.json.encode(message)) for message in given], Quirks())

    assert read == [ToolMessage(content=[ToolResult(call_id="a", content="a"), ToolResult(call_id="b", content="b")])]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "messages[0]: not a JSON object (Expected `object`, got `int`)"),
        ({}, "messages[0].role: a string is needed, not nothing"),
        ({"content": "Hi"}, "messages[0].role: a string is needed, not nothing"),
        ({"role": 5}, "messages[0].role: a string is needed, not 5"),
        ({"role": "robot", "content": "x"}, "messages[0]: role 'robot' is not known; it is one of assistant, developer, system"),
        ({"role": "user"}, "messages[0]: has no content"),
        ({"role": "user", "content": None}, "messages[0]: has no content"),
        ({"role": "user", "content": 5}, "messages[0].content: not a list (Expected `array`, got `int`)"),
        ({"role": "user", "content": [5]}, "messages[0].content[0]: not a JSON object (Expected `object`, got `int`)"),
        ({"role": "user", "content": ["a", {"type": "text"}]}, "messages[0].content[1].text: a string is needed, not nothing"),
        ({"role": "user", "content": [{"type": "image"}]}, "messages[0]: Image: give exactly one of url=, data= and file_id="),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url.url: a string is needed"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}, "messages[0].content[0].image_url.url: a"),
        ({"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]}, "messages[0].content[0].input_audio: not a"),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file.file_data: a string is needed"),
        ({"role": "system", "content": [{"type": "image_url", "image_url": "u"}]}, "messages[0].content: a system message holds"),
        ({"role": "assistant", "tool_calls": 5}, "messages[0].tool_calls: not a list"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0].function: not a JSON object"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}, "messages[0].tool_calls[0].id: a string is needed"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, "messages[0].tool_calls[0].function.name: a string"),
        ({"role": "assistant", "audio": {}}, "messages[0].audio.id: a string is needed, not nothing"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id: a string is needed, not nothing"),
        ({"role": "tool", "tool_call_id": "c"}, "messages[0]: has no content"),
        ({"role": "tool", "content": [{"type": "text", "text": "x"}]}, "messages[0]: "),
        ({"role": "user", "content": "x", "provider_data": 5}, "messages[0]: Expected `object`, got `int`"),
    ],
)  # fmt: skip
def test_a_dict_that_is_no_message_is_refused_with_its_place(given: Any, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        from_dict(given)

    assert caught.value.message.startswith(message)
    assert caught.value.status_code == 0


@pytest.mark.anyio
async def test_a_client_takes_dicts_and_messages_together() -> None:
    transport = scripted(Reply(headers=JSON, body=completion()))
    given: list[Any] = [
        SystemMessage(content="Be brief."),
        {"role": "user", "content": "Hi"},
        AssistantMessage(content="Hello"),
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": "https://e.x"}],
        },
    ]

    await client_of(transport).create(given)

    assert json.loads(transport.requests[0].body)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look"},
                {"type": "image_url", "image_url": {"url": "https://e.x"}},
            ],
        },
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([5], "messages[0]: a message or a dict is needed, not int"),
        ([UserMessage(content="Hi"), {"role": "user", "content": object()}], "messages[1]: not JSON: "),
        ([UserMessage(content="Hi"), {"role": "robot"}], "messages[1]: role 'robot' is not known"),
        ("Hi", "messages is a list, such as [UserMessage(content='Hello')], not str"),
        ({"role": "user", "content": "Hi"}, "messages is a list, such as [UserMessage(content='Hello')], not dict"),
        ([], "messages is empty: there is nothing to answer"),
        ([{"role": "user", "content": []}], "messages[0].content"),
    ],
)
async def test_a_client_refuses_what_are_no_messages(given: Any, message: str) -> None:
    transport = scripted(Reply(headers=JSON, body=completion()))

    with pytest.raises(BadRequestError) as caught:
        await client_of(transport).create(given)

    assert caught.value.message.startswith(message)
    assert transport.requests == []


def test_the_messages_of_another_clients_request() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}

    assert messages_from(body, "openai-chat") == [UserMessage(content="Hi")]
    assert messages_from(json.dumps(body).encode(), "openai-chat") == [UserMessage(content="Hi")]
    with pytest.raises(BadRequestError, match="the body: not a JSON object"):
        messages_from(b"[]", "openai-chat")
    with pytest.raises(BadRequestError, match="model: a string is needed, not nothing"):
        messages_from({"messages": []}, "openai-chat")
    with pytest.raises(ValueError, match="'klingon' is not a wire format that modelwire knows"):
        messages_from(body, "klingon")
