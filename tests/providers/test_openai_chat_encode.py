"""Messages and parts in Chat Completions: on the wire, and read back from there."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from modelwire.errors import BadRequestError
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    Document,
    FunctionCall,
    Image,
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
from tests.providers.chat_wire import asked, body_of, codec_of, wire_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt ").decode()
MP3 = base64.b64encode(b"ID3\x04\x00\x00\x00\x00\x00\x00").decode()
PDF = base64.b64encode(b"%PDF-1.7\n").decode()


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def own(provider: str = "openai", **members: str) -> dict[str, dict[str, msgspec.Raw]]:
    return {provider: {name: raw(value) for name, value in members.items()}}


# ---------------------------------------------------------------------- messages and parts on the wire, and back

BREAKPOINT = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}
MESSAGES: list[tuple[Any, dict[str, Any]]] = [
    (UserMessage(content="Hi"), {"role": "user", "content": "Hi"}),
    (UserMessage(content=""), {"role": "user", "content": ""}),
    (UserMessage(content="Hi", source="me"), {"role": "user", "content": "Hi", "name": "me"}),
    (SystemMessage(content="Be brief."), {"role": "system", "content": "Be brief."}),
    (SystemMessage(content="Be brief.", developer=True), {"role": "developer", "content": "Be brief."}),
    (SystemMessage(content="x", source="app"), {"role": "system", "content": "x", "name": "app"}),
    (
        SystemMessage(content=[Text(text="a"), Text(text="b")]),
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ),
    (
        UserMessage(
            content=[
                Text(
                    text="a",
                    provider_data=own(prompt_cache_breakpoint='{"mode":"explicit","ttl":"30m"}'),
                )
            ]
        ),
        {"role": "user", "content": [{"type": "text", "text": "a", **BREAKPOINT}]},
    ),
    (
        UserMessage(content=[Image(url="https://example.com/a.png")]),
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ),
    (
        UserMessage(content=[Image(url="https://example.com/a.png", detail="original")]),
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "original"}}],
        },
    ),
    (
        UserMessage(content=[Text(text="a"), Image(data=PNG, media_type="image/png", detail="low")]),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            ],
        },
    ),
    (
        UserMessage(content=[Audio(data=WAV, media_type="audio/wav")]),
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]},
    ),
    (
        UserMessage(content=[Audio(data=MP3, media_type="audio/mpeg")]),
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": MP3, "format": "mp3"}}]},
    ),
    (
        UserMessage(content=[Document(file_id="file-1")]),
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
    ),
    (
        UserMessage(content=[Document(data=PDF, media_type="application/pdf", filename="a.pdf")]),
        {
            "role": "user",
            "content": [
                {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}
            ],
        },
    ),
    (
        UserMessage(content=[ProviderPart(provider="openai", kind="new", data=raw('{"type":"new","n":1.0e3}'))]),
        {"role": "user", "content": [{"type": "new", "n": 1000.0}]},
    ),
    (AssistantMessage(content="Hello"), {"role": "assistant", "content": "Hello"}),
    (AssistantMessage(content=""), {"role": "assistant", "content": ""}),
    (AssistantMessage(content="Hello", source="bot"), {"role": "assistant", "content": "Hello", "name": "bot"}),
    (
        AssistantMessage(content=[FunctionCall(id="c", name="f", arguments='{"a": 1}')]),
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
    ),
    (
        AssistantMessage(
            content=[
                Text(text="Look."),
                FunctionCall(id="c", name="f", arguments="{}", provider_data=own(extra_content='{"n":1.0e3}')),
                FunctionCall(id="d", name="g", arguments="free", custom=True),
            ]
        ),
        {
            "role": "assistant",
            "content": "Look.",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"n": 1000.0},
                },
                {"id": "d", "type": "custom", "custom": {"name": "g", "input": "free"}},
            ],
        },
    ),
    (AssistantMessage(content=[Refusal(text="No.")]), {"role": "assistant", "refusal": "No."}),
    (AssistantMessage(content=[Audio(id="audio_1")]), {"role": "assistant", "audio": {"id": "audio_1"}}),
    (
        AssistantMessage(content=[Text(text="a"), Text(text="b")]),
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ),
    (
        AssistantMessage(
            content=[Text(text="a"), ProviderPart(provider="openai", kind="x", data=raw('{"type":"x"}'))],
            provider_data=own(weight="0"),
        ),
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "x"}], "weight": 0},
    ),
    (
        ToolMessage(content=[ToolResult(call_id="c", content="1")]),
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ),
    (
        ToolMessage(content=[ToolResult(call_id="c", content=[Text(text="a"), Text(text="b")])]),
        {
            "role": "tool",
            "tool_call_id": "c",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
    ),
]


@pytest.mark.parametrize(("message", "wire"), MESSAGES)
def test_a_message_is_written_and_read_back(message: Any, wire: dict[str, Any]) -> None:
    request = ChatRequest(model="m", messages=[message])

    assert wire_of(message) == wire
    assert codec_of().decode_request(codec_of().encode(request, {}).body) == request


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (UserMessage(content=["a", "b"]), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (SystemMessage(content=["a", Text(text="b")]), [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (AssistantMessage(content=["a"]), "a"),
        (AssistantMessage(content=[]), ""),
        (AssistantMessage(content="a", thought="hm"), "a"),
        (UserMessage(content=[Document(text="words")]), [{"type": "text", "text": "words"}]),
        (
            UserMessage(content=[Document(text="words", title="Poem")]),
            [{"type": "text", "text": "Poem\n\nwords"}],
        ),
        (
            UserMessage(content=[Document(data=PDF)]),
            [{"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}],
        ),
        (
            UserMessage(content=[Image(data=PNG)]),
            [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
        ),
        (
            UserMessage(content=[Audio(data=WAV)]),
            [{"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}],
        ),
    ],
)  # fmt: skip
def test_content_may_be_given_in_short(message: Any, wire: Any) -> None:
    assert wire_of(message)["content"] == wire


def test_a_call_without_arguments_has_an_empty_object() -> None:
    call = FunctionCall(id="c", name="f", arguments="")

    (wire,) = wire_of(AssistantMessage(content=[call]))["tool_calls"]
    assert wire["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("source", "name"),
    [("Ann-1_b", "Ann-1_b"), ("Ann Lee", "Ann_Lee"), ("Jürgen", "J_rgen"), ("x" * 80, "x" * 64), ("🎈", "_")],
)
def test_a_source_is_a_name_of_allowed_characters(source: str, name: str) -> None:
    assert wire_of(UserMessage(content="Hi", source=source))["name"] == name


def test_large_data_is_not_escaped_but_checked() -> None:
    for data in ('abc"', "ab\\c", "abc\n", "ab\x00c", "äbc="):
        with pytest.raises(
            BadRequestError, match="the data of a image/png part is not base64; make it with from_bytes"
        ):
            wire_of(UserMessage(content=[Image(data=data, media_type="image/png")]))
    with pytest.raises(BadRequestError, match="not base64"):
        wire_of(UserMessage(content=[Image(data=PNG, media_type='image/png"x')]))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Image(file_id="f"), "Chat Completions takes images as a URL or data, not by file_id; use the Responses API"),
        (Audio(url="https://x"), "Chat Completions takes audio as wav or mp3 data, not as a reference"),
        (
            Audio(data=PNG, media_type="audio/flac"),
            "Chat Completions takes audio as wav or mp3 data, not as audio/flac",
        ),
        (Document(url="https://x"), "Chat Completions takes documents as data or file_id, not as a URL; fetch it and"),
        (Video(url="https://x"), "openai takes no video in Chat Completions; send frames as images instead"),
        (
            ProviderPart(provider="anthropic", kind="document", data=raw("{}")),
            "a message holds a document of anthropic, which openai does not understand; leave it out or put its content",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_with_a_remedy(part: Any, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        body_of(asked(part))

    assert caught.value.message.startswith(message)
    assert caught.value.status_code == 0


def test_options_that_are_no_json_are_refused() -> None:
    with pytest.raises(
        BadRequestError, match=r"the request cannot be written as JSON: .* look at the options and extra_bod"
    ):
        body_of(asked("Hi", options={"extra_body": {"x": object()}}))


# ---------------------------------------------------------------------- reasoning, and what other providers made

THOUGHT = Reasoning(text="hm", provider="groq")


@pytest.mark.parametrize(
    ("provider", "part", "wire"),
    [
        ("openai", Reasoning(text="hm", provider="openai"), {}),
        ("plain", Reasoning(text="hm", provider="openai-compatible"), {"reasoning_content": "hm"}),
        ("groq", THOUGHT, {"reasoning": "hm"}),
        ("deepseek", THOUGHT, {}),
        ("groq", Reasoning(text="hm"), {}),
        ("deepseek", Reasoning(text="hm", provider="deepseek"), {"reasoning_content": "hm"}),
        (
            "deepseek",
            Reasoning(text="hm", provider="deepseek", provider_data=own("deepseek", field='"reasoning"')),
            {"reasoning": "hm"},
        ),
        (
            "openrouter",
            Reasoning(provider="openrouter", provider_data=own("openrouter", reasoning_details='[{"n":1.0e3}]')),
            {"reasoning_details": [{"n": 1000.0}]},
        ),
        (
            "plain",
            Reasoning(text="hm", provider="openai-compatible", provider_data=own("openai-compatible", field='"content"')),
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]},
        ),
    ],
)  # fmt: skip
def test_reasoning_goes_back_to_where_it_came_from_and_nowhere_else(provider: str, part: Any, wire: Any) -> None:
    expected = {"role": "assistant", "content": "a", **wire}

    assert wire_of(AssistantMessage(content=[part, Text(text="a")]), provider) == expected


def test_reasoning_in_several_parts_goes_back_together() -> None:
    parts = [
        Reasoning(text=text, provider="openrouter", provider_data=own("openrouter", reasoning_details=f'[{{"id":{text}}}]'))
        for text in "12"
    ]  # fmt: skip

    wire = wire_of(AssistantMessage(content=[*parts, Text(text="a")]), "openrouter")

    assert wire == {"role": "assistant", "content": "a", "reasoning": "12", "reasoning_details": [{"id": 1}, {"id": 2}]}


@pytest.mark.parametrize(
    ("made_by", "asked_of", "goes"),
    [
        ("anthropic/claude-4.6-sonnet-20260217", "anthropic/claude-sonnet-4.6", True),
        ("anthropic/claude-haiku-4.5", "anthropic/claude-opus-5-5:nitro", True),
        ("anthropic/claude-haiku-4.5", "openai/gpt-6-sol", False),
        ("anthropic/claude-haiku-4.5", "a-preset-of-mine", True),
        (None, "openai/gpt-6-sol", True),
    ],
)
@pytest.mark.parametrize("opaque", [True, False])
def test_a_signature_goes_to_no_other_vendors_model(
    made_by: str | None, asked_of: str, goes: bool, opaque: bool
) -> None:
    data = (
        own("openrouter", reasoning_details='[{"signature":"x"}]') if opaque else own("openrouter", field='"thought"')
    )
    part = Reasoning(text="hm", provider="openrouter", model=made_by, provider_data=data)
    message = AssistantMessage(content=[part, Text(text="a")])

    (wire,) = body_of(ChatRequest(model=asked_of, messages=[message]), "openrouter")["messages"]

    assert len(wire.keys() - {"role", "content"}) == (1 + opaque if goes or not opaque else 0)


def test_deepseek_wants_reasoning_beside_calls() -> None:
    """ "The reasoning_content in the thinking mode must be passed back to the API"; one that is empty will do."""
    call = FunctionCall(id="c", name="f", arguments="{}")
    foreign = Reasoning(text="hm", provider="openai")

    for content in ([call], [foreign, call]):
        assert wire_of(AssistantMessage(content=content), "deepseek")["reasoning_content"] == " "
    assert "reasoning_content" not in wire_of(AssistantMessage(content="a"), "deepseek")
    thought = Reasoning(text="hm", provider="deepseek")
    assert wire_of(AssistantMessage(content=[thought, call]), "deepseek")["reasoning_content"] == "hm"


def test_what_other_providers_made_is_left_out_of_the_history() -> None:
    message = AssistantMessage(
        content=[
            Reasoning(text="hm", provider="anthropic", signature="s"),
            Text(text="a", provider_data=own("anthropic", cache_control="{}")),
            ProviderPart(provider="gemini", kind="executableCode", data=raw("{}")),
            FunctionCall(id="c", name="f", arguments="{}", provider_data=own("gemini", thoughtSignature='"s"')),
            Image(data=PNG, media_type="image/png"),
        ]
    )

    assert wire_of(message) == {
        "role": "assistant",
        "content": "a",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }


# ---------------------------------------------------------------------- results of tools


def results(*contents: Any, **fields: Any) -> ToolMessage:
    return ToolMessage(
        content=[ToolResult(call_id=f"c{index}", content=content, **fields) for index, content in enumerate(contents)]
    )


def test_a_failure_is_told_in_words() -> None:
    assert wire_of(results("disk full", is_error=True))["content"] == "Error: disk full"
    assert wire_of(results([Text(text="disk full")], is_error=True))["content"] == [
        {"type": "text", "text": "Error:"},
        {"type": "text", "text": "disk full"},
    ]


def test_what_tools_show_follows_the_last_of_their_results() -> None:
    """Between a call and its result no other message may stand, and a result holds only text."""
    image = Image(url="https://example.com/a.png")
    shown = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    first = ToolMessage(content=[ToolResult(call_id="a", content=[Text(text="see"), image])])
    second = ToolMessage(content=[ToolResult(call_id="b", content=[image]), ToolResult(call_id="c", content="done")])

    body = body_of(ChatRequest(model="m", messages=[first, second, UserMessage(content="Well?")]))

    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "see"}]},
        {
            "role": "tool",
            "tool_call_id": "b",
            "content": [{"type": "text", "text": "The result follows after those of all tools."}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        {"role": "user", "content": [{"type": "text", "text": "What the tools showed:"}, shown, shown]},
        {"role": "user", "content": "Well?"},
    ]


def test_an_empty_result_is_an_empty_string() -> None:
    assert wire_of(results([]))["content"] == ""
    assert wire_of(results(""))["content"] == ""
