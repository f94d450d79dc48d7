"""Messages on their way to the Messages API: system text, turns, parts, calls and what the assistant said before."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire import errors
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    Citation,
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
from tests.providers.anthropic_wire import (
    ADAPTIVE,
    BOTH,
    CODEC,
    NEWEST,
    OLD,
    UNKNOWN,
    asked,
    body_of,
    info_of,
    messages_of,
)

Raw = msgspec.Raw
HELLO = UserMessage(content="Hello")
CACHED = {"anthropic": {"cache_control": Raw(b'{"type":"ephemeral","ttl":"1h"}')}}
MARK = {"type": "ephemeral", "ttl": "1h"}
SERVER_TOOL = Raw(b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}')


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(call_id: str = "toolu_1", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(id=call_id, name="get_weather", arguments=arguments)


# ---------------------------------------------------------------------- system text


def test_leading_system_text_stands_outside_the_messages() -> None:
    body = body_of(ChatRequest(model=NEWEST, messages=[SystemMessage(content="Be brief."), HELLO]))

    assert body["system"] == "Be brief."
    assert body["messages"] == [{"role": "user", "content": "Hello"}]


def test_several_system_texts_are_blocks() -> None:
    marked = Text(text="Long rules.", provider_data=CACHED)
    system = [SystemMessage(content="Be brief."), SystemMessage(content=["", marked, " "])]
    body = body_of(ChatRequest(model=NEWEST, messages=[*system, HELLO]))

    assert body["system"] == [text("Be brief."), text("Long rules.") | {"cache_control": MARK}]


def test_empty_system_text_is_left_out() -> None:
    assert "system" not in body_of(ChatRequest(model=NEWEST, messages=[SystemMessage(content=" "), HELLO]))


def test_later_system_text_keeps_its_place_where_the_model_takes_it() -> None:
    said = AssistantMessage(content="Hi")
    rule = SystemMessage(content="Now in French.")

    assert [turn["role"] for turn in messages_of(HELLO, said, HELLO, rule, model=ADAPTIVE)][-2:] == ["user", "system"]
    assert messages_of(HELLO, rule, said, HELLO, model=ADAPTIVE)[1] == {"role": "system", "content": "Now in French."}
    two = messages_of(HELLO, rule, rule, said, HELLO, model=ADAPTIVE)
    assert two[1] == {"role": "system", "content": [text("Now in French.")] * 2}


@pytest.mark.parametrize("model", [OLD, BOTH, UNKNOWN])
def test_later_system_text_is_the_users_for_other_models(model: str) -> None:
    wire = messages_of(HELLO, SystemMessage(content="Now in French."), model=model)

    assert wire == [{"role": "user", "content": [text("Hello"), text("Now in French.")]}]


def test_system_text_that_may_not_stand_where_it_is_is_the_users() -> None:
    """It "must directly follow a user turn" and be last or followed by an assistant's."""
    rule, said = SystemMessage(content="Rule"), AssistantMessage(content="Hi")

    before_user = messages_of(HELLO, rule, HELLO, model=ADAPTIVE)
    assert before_user == [{"role": "user", "content": [text("Hello"), text("Rule"), text("Hello")]}]
    after_assistant = messages_of(HELLO, said, rule, model=ADAPTIVE)
    assert after_assistant[-1] == {"role": "user", "content": "Rule"}


def test_system_text_may_follow_an_assistants_server_tool() -> None:
    paused = AssistantMessage(content=[ProviderPart(provider="anthropic", data=SERVER_TOOL)])

    assert messages_of(HELLO, paused, SystemMessage(content="Rule"), model=ADAPTIVE)[-1]["role"] == "system"


def test_blocks_beyond_text_in_system_messages_go_back_whole() -> None:
    added = [{"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}]
    body = {
        "model": ADAPTIVE,
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": added}],
    }
    request = CODEC.decode_request(json.dumps(body).encode())

    assert body_of(request) == body


# ---------------------------------------------------------------------- turns


def test_neighbours_of_one_role_are_one_message() -> None:
    other = UserMessage(content=["and", Text(text="more")])
    said = AssistantMessage(content="Hi")

    assert messages_of(HELLO, other, said, said, HELLO) == [
        {"role": "user", "content": [text("Hello"), text("and"), text("more")]},
        {"role": "assistant", "content": [text("Hi"), text("Hi")]},
        {"role": "user", "content": "Hello"},
    ]


def test_results_of_parallel_calls_come_first_in_one_message() -> None:
    calls = AssistantMessage(content=[call("toolu_1"), call("toolu_2")])
    results = [ToolMessage(content=[ToolResult(call_id=name, content="12°")]) for name in ("toolu_1", "toolu_2")]
    wire = messages_of(HELLO, calls, UserMessage(content="Well?"), *results, UserMessage(content="And?"))

    assert len(wire) == 3
    assert [block["type"] for block in wire[2]["content"]] == ["tool_result", "tool_result", "text", "text"]
    assert wire[2]["content"][0] == {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12°"}
    assert [block.get("text") for block in wire[2]["content"][2:]] == ["Well?", "And?"]


def test_encoding_leaves_the_users_messages_alone() -> None:
    parts: list[Any] = [Text(text="a")]
    messages = [UserMessage(content=parts), UserMessage(content="b"), AssistantMessage(content=[Text(text="c ")])]
    before = msgspec.json.encode(messages)
    request = ChatRequest(model=OLD, messages=messages)

    assert CODEC.encode(request, info_of(OLD)).body == CODEC.encode(request, info_of(OLD)).body
    assert msgspec.json.encode(messages) == before


def test_empty_text_is_left_out_and_so_is_a_message_of_nothing_else() -> None:
    wire = messages_of(HELLO, AssistantMessage(content=["", Text(text=" \n")]), UserMessage(content=["", "More"]))

    assert wire == [{"role": "user", "content": [text("Hello"), text("More")]}]


@pytest.mark.parametrize("messages", [[SystemMessage(content="Be brief.")], [UserMessage(content="")], []])
def test_nothing_to_answer_is_refused(messages: list[Any]) -> None:
    with pytest.raises(errors.BadRequestError, match="nothing to answer"):
        messages_of(*messages)


def test_a_prefill_loses_its_trailing_white_space() -> None:
    assert messages_of(HELLO, AssistantMessage(content="Sure: \n"), model=OLD)[-1]["content"] == "Sure:"
    parts = AssistantMessage(content=[Text(text="a "), Text(text="b ", provider_data=CACHED)])
    assert messages_of(HELLO, parts, model=OLD)[-1]["content"] == [text("a "), text("b") | {"cache_control": MARK}]
    inside = messages_of(HELLO, AssistantMessage(content="Sure: "), HELLO, model=OLD)
    assert inside[1]["content"] == "Sure: "


@pytest.mark.parametrize("model", [NEWEST, ADAPTIVE, BOTH])
def test_a_prefill_is_refused_where_the_model_takes_none(model: str) -> None:
    with pytest.raises(errors.BadRequestError, match="prefill"):
        messages_of(HELLO, AssistantMessage(content="Sure:"), model=model)


def test_an_unknown_model_gets_a_prefill() -> None:
    assert messages_of(HELLO, AssistantMessage(content="Sure:"), model=UNKNOWN)[-1]["role"] == "assistant"


def test_a_paused_answer_goes_back_as_the_last_message() -> None:
    paused = AssistantMessage(content=[Text(text="Searching."), ProviderPart(provider="anthropic", data=SERVER_TOOL)])

    assert messages_of(HELLO, paused)[-1] == {
        "role": "assistant",
        "content": [text("Searching."), json.loads(bytes(SERVER_TOOL))],
    }


# ---------------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (Image(url="https://example.com/a.png"), {"type": "url", "url": "https://example.com/a.png"}),
        (Image(file_id="file_1"), {"type": "file", "file_id": "file_1"}),
        (Image(data="AAAA", media_type="image/gif"), {"type": "base64", "media_type": "image/gif", "data": "AAAA"}),
        (Image(data="AAAA", media_type="image/jpg"), {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}),
        (Image(data="iVBORw0KGgo="), {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}),
        (Image(data="/9j/4AAQSkZJRg=="), {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AAQSkZJRg=="}),
    ],
)
def test_images(part: Image, source: dict[str, Any]) -> None:
    assert body_of(asked(part))["messages"][0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Document(url="https://example.com/a.pdf"), {"source": {"type": "url", "url": "https://example.com/a.pdf"}}),
        (
            Document(file_id="file_1", filename="a.pdf"),
            {"source": {"type": "file", "file_id": "file_1"}, "title": "a.pdf"},
        ),
        (
            Document(data="JVBERi0=", title="T", filename="a.pdf"),
            {"source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "T"},
        ),
        (Document(text="Facts."), {"source": {"type": "text", "media_type": "text/plain", "data": "Facts."}}),
        (
            Document(data="w6k=", media_type="text/markdown"),
            {"source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
        (
            Document(
                text="Facts.",
                provider_data={"anthropic": {"citations": Raw(b'{"enabled":true}'), "context": Raw(b'"trusted"')}},
            ),
            {
                "source": {"type": "text", "media_type": "text/plain", "data": "Facts."},
                "citations": {"enabled": True},
                "context": "trusted",
            },
        ),
    ],
)
def test_documents(part: Document, block: dict[str, Any]) -> None:
    assert body_of(asked(part))["messages"][0]["content"] == [{"type": "document", **block}]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (Image(data="AAAA", media_type="image/bmp"), "JPEG, PNG, GIF and WebP images, not image/bmp"),
        (Document(data="AAAA", media_type="application/msword"), "not application/msword"),
        (Document(data="/w==", media_type="text/plain"), "not base64 of UTF-8"),
        (Document(data="?", media_type="text/plain"), "not base64 of UTF-8"),
        (Audio(data="AAAA", media_type="audio/wav"), "no audio"),
        (Video(url="https://example.com/v.mp4"), "no video"),
        (ProviderPart(provider="gemini", kind="executableCode", data=Raw(b"{}")), "executableCode of gemini"),
    ],
)
def test_what_the_api_does_not_take_is_refused(part: Any, words: str) -> None:
    with pytest.raises(errors.BadRequestError, match=words) as caught:
        body_of(asked("See:", part))
    assert caught.value.status_code == 0


def test_blocks_of_the_providers_own_pass_as_they_are() -> None:
    data = Raw(b'{"type":"search_result","source":"s", "title":"t","content":[],"n":1.50}')

    assert data in CODEC.encode(asked(ProviderPart(provider="anthropic", data=data)), {}).body  # type: ignore[operator]


def test_marks_for_the_cache_stand_on_parts_and_on_whole_messages() -> None:
    part = body_of(asked(Text(text="Long", provider_data=CACHED), Text(text="short")))["messages"][0]["content"]
    assert part == [text("Long") | {"cache_control": MARK}, text("short")]

    whole = messages_of(UserMessage(content=["a", "b"], provider_data=CACHED), AssistantMessage(content="c"), HELLO)
    assert whole[0]["content"] == [text("a"), text("b") | {"cache_control": MARK}]
    system = SystemMessage(content="Rules", provider_data=CACHED)
    assert body_of(ChatRequest(model=NEWEST, messages=[system, HELLO]))["system"] == [
        text("Rules") | {"cache_control": MARK}
    ]


def test_a_member_that_messages_do_not_have_is_refused() -> None:
    message = UserMessage(content="a", provider_data={"anthropic": {"name": Raw(b'"x"')}})

    with pytest.raises(errors.BadRequestError, match="have no name"):
        messages_of(message)
    assert messages_of(UserMessage(content="a", provider_data={"openai": {"name": Raw(b'"x"')}}))


# ---------------------------------------------------------------------- calls and results


def test_a_call_is_spliced_as_the_model_wrote_it() -> None:
    own = {"anthropic": {"caller": Raw(b'{"type": "direct"}')}}
    made = FunctionCall(id="toolu_1", name="f", arguments='{"x": 1.50, "y":"\\u00e9"}', provider_data=own)
    body = CODEC.encode(ChatRequest(model=NEWEST, messages=[HELLO, AssistantMessage(content=[made]), HELLO]), {}).body

    assert b'"input":{"x": 1.50, "y":"\\u00e9"},"caller":{"type": "direct"}' in body


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ("", {}),
        (" \n", {}),
        ('{"x": 1', {"INVALID_JSON": '{"x": 1'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("null", {"INVALID_JSON": "null"}),
        ('{"x":"\ud800"}', {"x": "?"}),
        ('{"x":' * 3000, {"INVALID_JSON": '{"x":' * 3000}),
    ],
)
def test_arguments_that_are_no_object_are_wrapped(arguments: str, wire: Any) -> None:
    (_, said, _) = messages_of(HELLO, AssistantMessage(content=[call(arguments=arguments)]), HELLO)

    assert said["content"][0]["input"] == wire


def test_a_free_text_call_of_another_provider_is_an_object() -> None:
    made = FunctionCall(id="call_1", name="run", arguments="ls -l", custom=True)

    assert messages_of(HELLO, AssistantMessage(content=[made]), HELLO)[1]["content"][0]["input"] == {"input": "ls -l"}


def test_ids_of_other_providers_are_made_to_fit_for_call_and_result_alike() -> None:
    result = ToolResult(call_id="functions.f:0", content="1")
    wire = messages_of(HELLO, AssistantMessage(content=[call("functions.f:0")]), ToolMessage(content=[result]))

    made = wire[1]["content"][0]["id"]
    assert made == wire[2]["content"][0]["tool_use_id"]
    assert made.startswith("toolu_")
    assert messages_of(HELLO, AssistantMessage(content=[call("call_9-a")]), HELLO)[1]["content"][0]["id"] == "call_9-a"


def test_results_with_pictures_and_errors() -> None:
    shown = ToolResult(
        call_id="toolu_1",
        content=["Look:", "", Image(file_id="file_1"), Document(text="Facts.")],
        is_error=True,
        provider_data=CACHED,
    )
    (block,) = messages_of(ToolMessage(content=[shown]))[0]["content"]

    assert block == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [
            text("Look:"),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Facts."}},
        ],
        "is_error": True,
        "cache_control": MARK,
    }


# ---------------------------------------------------------------------- history of the assistant


def thought(**fields: Any) -> Reasoning:
    return Reasoning(**{"text": "Hm.", "signature": "Eq+/=", "provider": "anthropic", "model": NEWEST, **fields})


def said(*parts: Any, model: str = NEWEST) -> list[Any]:
    """The blocks of an assistant's message that goes back, without the text that is there to make it a message."""
    content = messages_of(HELLO, AssistantMessage(content=[*parts, "Said."]), HELLO, model=model)[1]["content"]
    assert content.pop() == text("Said.")
    return content


def test_thinking_goes_back_with_its_signature() -> None:
    assert said(thought()) == [{"type": "thinking", "thinking": "Hm.", "signature": "Eq+/="}]
    assert said(thought(text="")) == [{"type": "thinking", "thinking": "", "signature": "Eq+/="}]
    assert said(thought(text="", redacted=True)) == [{"type": "redacted_thinking", "data": "Eq+/="}]


@pytest.mark.parametrize(
    ("made_by", "asked_of"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-haiku-4-5@20251001", "anthropic/claude-haiku-4-5-latest"),
        (None, "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "alias-of-a-gateway"),
        ("deepseek-v4", "deepseek-chat"),
    ],
)
def test_thinking_goes_back_to_snapshots_and_aliases_of_its_model(made_by: str | None, asked_of: str) -> None:
    assert len(said(thought(model=made_by), model=asked_of)) == 1


@pytest.mark.parametrize(
    "part",
    [
        thought(model="claude-opus-5"),
        thought(provider="openai"),
        thought(provider=None),
        thought(signature=None),
        ProviderPart(provider="openai-responses", kind="web_search_call", data=Raw(b'{"type":"web_search_call"}')),
        Image(url="https://example.com/drawn.png"),
        Document(text="Facts."),
        ToolResult(call_id="x", content="y"),
    ],
)
def test_what_only_its_maker_understands_is_left_out(part: Any) -> None:
    assert said(part) == []


def test_a_thought_without_proof_is_never_said_as_text() -> None:
    assert messages_of(HELLO, AssistantMessage(content=["Hi"], thought="secret"), HELLO)[1]["content"] == [text("Hi")]


def test_citations_go_back_as_they_came() -> None:
    raw = b'{"type":"page_location", "cited_text":"x","start_page_number":1}'
    ours = Citation(cited_text="x", provider_data={"anthropic": {"citation": Raw(raw)}})
    part = Text(text="Green.", citations=[ours, Citation(url="https://example.com")])
    request = ChatRequest(model=NEWEST, messages=[HELLO, AssistantMessage(content=[part]), HELLO])

    assert b'"citations":[' + raw + b"]" in CODEC.encode(request, {}).body
    assert said(Text(text="Green.", citations=[Citation(url="https://example.com")])) == [text("Green.")]


def test_citations_in_user_text_are_not_sent() -> None:
    """The newest version answers them with an error."""
    cited = Citation(provider_data={"anthropic": {"citation": Raw(b"{}")}})

    assert body_of(asked(Text(text="Green.", citations=[cited])))["messages"][0]["content"] == [text("Green.")]


def test_a_refused_turn_is_dropped_and_another_providers_refusal_is_text() -> None:
    own = Refusal(text="May harm.", category="bio", provider_data={"anthropic": {"stop_details": Raw(b"null")}})

    assert messages_of(HELLO, AssistantMessage(content=["To begin, ", own]), UserMessage(content="Other")) == [
        {"role": "user", "content": [text("Hello"), text("Other")]}
    ]
    assert said(Refusal(text="I cannot.")) == [text("I cannot.")]
    assert said(Refusal(text="")) == []
