"""Requests of the Messages API: what goes over the wire, and what does not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire import errors
from modelwire.providers._anthropic import NEW_VERSION, OLD_VERSION, AnthropicCodec
from modelwire.providers._anthropic.names import undated
from modelwire.types import (
    AssistantMessage,
    Audio,
    ChatRequest,
    Citation,
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
    Video,
)
from tests.providers.anthropic_wire import (
    ADAPTIVE,
    BOTH,
    CODEC,
    NEWEST,
    OLD,
    UNKNOWN,
    URL,
    asked,
    body_of,
    info_of,
    messages_of,
    refused,
)

Raw = msgspec.Raw
HELLO = UserMessage(content="Hello")
CACHED = {"anthropic": {"cache_control": Raw(b'{"type":"ephemeral","ttl":"1h"}')}}
MARK = {"type": "ephemeral", "ttl": "1h"}
SERVER_TOOL = Raw(b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}')
WEATHER = Tool(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
TIME = Tool(name="get_time")


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def call(call_id: str = "toolu_1", arguments: str = "{}") -> FunctionCall:
    return FunctionCall(id=call_id, name="get_weather", arguments=arguments)


# ---------------------------------------------------------------------- versions and headers


def headers_of(request: ChatRequest, codec: AnthropicCodec = CODEC) -> dict[bytes, bytes]:
    return dict(codec.encode(request, info_of(request.model)).headers)


def test_a_plain_request() -> None:
    http = CODEC.encode(asked("Hello"), info_of(NEWEST))

    assert (http.method, http.url) == ("POST", URL)
    assert json.loads(http.body) == {
        "model": NEWEST,
        "max_tokens": 21333,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert dict(http.headers) == {
        b"content-type": b"application/json",
        b"accept": b"application/json",
        b"anthropic-version": b"2026-10-21",
    }


@pytest.mark.parametrize(
    ("model", "version"), [(NEWEST, NEW_VERSION), (ADAPTIVE, NEW_VERSION), (BOTH, OLD_VERSION), (UNKNOWN, OLD_VERSION)]
)
def test_the_version_is_the_newest_that_takes_what_the_model_takes(model: str, version: str) -> None:
    assert headers_of(asked(model=model))[b"anthropic-version"] == version.encode()


def test_a_given_version_wins() -> None:
    assert headers_of(asked(), AnthropicCodec(URL, OLD_VERSION))[b"anthropic-version"] == OLD_VERSION.encode()


def test_betas_are_a_header_that_changes_the_answer() -> None:
    request = asked(options={"betas": ["fast-mode-2026-02-01", "compact-2026-01-12", "fast-mode-2026-02-01"]})

    assert headers_of(request)[b"anthropic-beta"] == b"fast-mode-2026-02-01,compact-2026-01-12"
    assert headers_of(asked(options={"betas": "one"}))[b"anthropic-beta"] == b"one"
    assert b"anthropic-beta" not in headers_of(asked(options={"betas": []}))
    assert "betas" not in body_of(request)
    with pytest.raises(errors.BadRequestError, match="betas"):
        headers_of(asked(options={"betas": ["a\nb"]}))


def test_a_streamed_request_says_so() -> None:
    request = asked(stream=True)

    assert body_of(request)["stream"] is True
    assert headers_of(request)[b"accept"] == b"text/event-stream"


# ---------------------------------------------------------------------- max_tokens


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        (NEWEST, {}, 21333),
        (UNKNOWN, {}, 4096),
        (NEWEST, {"max_tokens": 5}, 5),
        (OLD, {"thinking": {"type": "enabled", "budget_tokens": 30000}}, 34096),
        (OLD, {"thinking": {"type": "enabled", "budget_tokens": 63000}}, 64000),
        (UNKNOWN, {"thinking": {"type": "enabled", "budget_tokens": 8000}}, 12096),
    ],
)
def test_max_tokens_is_always_said_and_leaves_room_for_an_answer(
    model: str, options: dict[str, Any], expected: int
) -> None:
    assert body_of(asked(model=model, options=options))["max_tokens"] == expected


def test_a_small_model_limits_the_default() -> None:
    http = CODEC.encode(asked(model=UNKNOWN), {"max_output_tokens": 8192})

    assert json.loads(http.body)["max_tokens"] == 8192


# ---------------------------------------------------------------------- thinking


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "said"),
    [
        (NEWEST, "high", None, "high"),  # it thinks anyway
        (ADAPTIVE, "max", {"type": "adaptive"}, "max"),
        (ADAPTIVE, "none", {"type": "disabled"}, None),
        (BOTH, "low", {"type": "adaptive"}, "low"),
        ("claude-opus-4-5", "high", {"type": "enabled", "budget_tokens": 15999}, "high"),
        (OLD, "low", {"type": "enabled", "budget_tokens": 2048}, None),
        (OLD, "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        (OLD, "none", {"type": "disabled"}, None),
        (UNKNOWN, "high", None, "high"),
        (UNKNOWN, "none", {"type": "disabled"}, None),
        ("claude-haiku-5-5", "none", {"type": "disabled"}, None),
    ],
)
def test_reasoning_effort_is_said_as_the_model_knows_it(
    model: str, effort: str, thinking: dict[str, Any] | None, said: str | None
) -> None:
    request = asked(model=model, options={"reasoning_effort": effort})
    body = body_of(request)

    assert body.get("thinking") == thinking
    assert body.get("output_config") == ({"effort": said} if said else None)
    assert refused(request) == {}
    assert CODEC.decode_request(json.dumps(body).encode()).options == {
        "reasoning_effort": effort,
        "max_tokens": body["max_tokens"],
    }


@pytest.mark.parametrize(("most", "budget"), [(1025, 1024), (2000, 1500), (4000, 3000), (40000, 16384)])
def test_a_budget_leaves_room_for_the_answer(most: int, budget: int) -> None:
    options = {"reasoning_effort": "high", "max_tokens": most}

    assert body_of(asked(model=OLD, options=options))["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_a_budget_that_no_max_tokens_holds_is_refused() -> None:
    found = refused(asked(model=OLD, options={"reasoning_effort": "low", "max_tokens": 1024}))

    assert "above 1024" in found["reasoning_effort"]


@pytest.mark.parametrize(
    ("model", "effort", "reason"),
    [
        (NEWEST, "none", "low, medium, high, xhigh, max and always thinks"),
        (NEWEST, "minimal", "low, medium, high, xhigh, max"),
        (BOTH, "xhigh", "none, low, medium, high, max"),
        (OLD, "max", "none, low, medium, high"),
    ],
)
def test_a_level_that_the_model_lacks_is_refused_with_those_it_has(model: str, effort: str, reason: str) -> None:
    found = refused(asked(model=model, options={"reasoning_effort": effort}))

    assert found == {"reasoning_effort": f"{model} knows the levels {reason}"}


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        (BOTH, {"type": "enabled", "budget_tokens": 2000}),
        (NEWEST, {"type": "adaptive", "display": "summarized"}),
        ("claude-sonnet-5-5", {"type": "between_tools"}),
        (UNKNOWN, {"type": "enabled", "budget_tokens": 2000}),
    ],
)
def test_the_thinking_option_passes_through(model: str, thinking: dict[str, Any]) -> None:
    request = asked(model=model, options={"thinking": thinking})

    assert body_of(request)["thinking"] == thinking
    assert refused(request) == {}
    assert (CODEC.decode_request(CODEC.encode(request, {}).body).options or {})["thinking"] == thinking


def test_a_type_of_thinking_that_the_model_answers_with_an_error_is_refused() -> None:
    found = refused(asked(model=ADAPTIVE, options={"thinking": {"type": "enabled", "budget_tokens": 2000}}))

    assert found == {"thinking": f"{ADAPTIVE} takes the types adaptive, disabled, not enabled"}


def test_thinking_and_effort_may_stand_together_where_they_say_two_things() -> None:
    options = {"thinking": {"type": "adaptive", "display": "summarized"}, "reasoning_effort": "low"}
    request = asked(model=ADAPTIVE, options=options)

    body = body_of(request)
    assert (body["thinking"], body["output_config"]) == (options["thinking"], {"effort": "low"})
    assert refused(request) == {}


@pytest.mark.parametrize(("model", "effort"), [(ADAPTIVE, "none"), (OLD, "high")])
def test_thinking_and_effort_may_not_say_the_same_thing_twice(model: str, effort: str) -> None:
    kind = {"type": "adaptive"} if model == ADAPTIVE else {"type": "enabled", "budget_tokens": 2000}
    found = refused(asked(model=model, options={"thinking": kind, "reasoning_effort": effort}))

    assert found == {"reasoning_effort": "`thinking` says already how much to think; give one of them"}


# ---------------------------------------------------------------------- sampling and other options


def test_sampling_options_go_where_the_model_takes_them() -> None:
    request = asked(model=BOTH, options={"temperature": 0.3, "top_k": 40})

    body = body_of(request)
    assert (body["temperature"], body["top_k"]) == (0.3, 40)
    assert refused(request) == {}
    assert refused(asked(model=UNKNOWN, options={"temperature": 0.3, "top_p": 0.9, "top_k": 1})) == {}


@pytest.mark.parametrize(
    ("model", "options", "version", "names"),
    [
        (NEWEST, {"temperature": 0.3, "top_k": 4}, None, {"temperature", "top_k"}),
        (NEWEST, {"top_p": 0.3}, OLD_VERSION, {"top_p"}),
        (BOTH, {"top_p": 0.3}, NEW_VERSION, {"top_p"}),
        (BOTH, {"temperature": 0.3, "thinking": {"type": "adaptive"}}, None, {"temperature"}),
        (OLD, {"top_k": 3, "reasoning_effort": "low"}, None, {"top_k"}),
        (BOTH, {"temperature": 0.3, "top_p": 0.4}, None, {"top_p"}),
        (BOTH, {"temperature": 1.5}, None, {"temperature"}),
    ],
)
def test_sampling_options_are_refused_where_they_are_an_error(
    model: str, options: dict[str, Any], version: str | None, names: set[str]
) -> None:
    assert refused(asked(model=model, options=options), AnthropicCodec(URL, version)).keys() == names


def test_top_p_may_stand_beside_thinking() -> None:
    """ "You can set top_p to values between 1 and 0.95"."""
    assert refused(asked(model=OLD, options={"top_p": 0.96, "reasoning_effort": "low"})) == {}


def test_metadata_is_a_user_id_and_nothing_else() -> None:
    assert body_of(asked(options={"metadata": {"user_id": "u-1"}}))["metadata"] == {"user_id": "u-1"}
    assert refused(asked(options={"metadata": {"user_id": "u-1"}})) == {}
    found = refused(asked(options={"metadata": {"user_id": "u-1", "team": "a", "run": "7"}}))
    assert found == {"metadata": "Anthropic takes only user_id, not team, run"}


@pytest.mark.parametrize(("given", "wire"), [("END", ["END"]), (["a", "b"], ["a", "b"]), ([], None)])
def test_stop_texts_are_a_list(given: Any, wire: Any) -> None:
    assert body_of(asked(options={"stop": given})).get("stop_sequences") == wire


def test_own_options_and_extra_members_pass_through() -> None:
    options: dict[str, Any] = {
        "cache_control": MARK,
        "service_tier": "standard_only",
        "speed": "fast",
        "inference_geo": "us",
        "container": {"id": "c"},
        "context_management": {"edits": []},
        "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "n"}],
    }
    body = body_of(
        asked(options={**options, "extra_body": {"diagnostics": {"previous_message_id": "msg_0"}, "speed": "x"}})
    )

    assert body.items() >= (options | {"speed": "x", "diagnostics": {"previous_message_id": "msg_0"}}).items()


def test_an_option_that_is_no_json_is_named() -> None:
    with pytest.raises(errors.BadRequestError, match="cannot be written as JSON"):
        CODEC.encode(asked(options={"container": object()}), {})


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
    ],
)
def test_a_snapshot_is_its_model(made_by: str | None, asked_of: str) -> None:
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


# ---------------------------------------------------------------------- tools


def test_tools() -> None:
    own = {"anthropic": {"defer_loading": Raw(b"true"), "cache_control": CACHED["anthropic"]["cache_control"]}}
    search = ProviderTool(data=Raw(b'{"type":"web_search_20260318","name":"web_search"}'))
    tools = [
        Tool(name="f", description="Does.", parameters={"properties": {}}, strict=False, provider_data=own),
        TIME,
        search,
    ]
    body = body_of(asked(tools=tools))

    assert body["tools"] == [
        {
            "name": "f",
            "description": "Does.",
            "input_schema": {"type": "object", "properties": {}},
            "strict": False,
            "defer_loading": True,
            "cache_control": MARK,
        },
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20260318", "name": "web_search"},
    ]
    assert "tool_choice" not in body


def test_a_strict_tools_schema_is_lowered() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    (tool,) = body_of(asked(tools=[Tool(name="f", parameters=schema, strict=True)]))["tools"]

    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"n": {"type": "integer", "description": "{minimum: 1}"}},
        "additionalProperties": False,
    }
    assert tool["strict"] is True
    (loose,) = body_of(asked(tools=[Tool(name="f", parameters=schema)]))["tools"]
    assert loose["input_schema"] == schema


@pytest.mark.parametrize(
    "tool",
    [CustomTool(name="run"), ProviderTool(data=Raw(b'{"googleSearch":{}}'), provider="gemini")],
)
def test_tools_that_there_are_not_are_refused(tool: Any) -> None:
    with pytest.raises(errors.BadRequestError, match=r"free-text tools|a tool of gemini"):
        body_of(asked(tools=[tool]))


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, {"type": "auto", "disable_parallel_tool_use": False}),
        (ToolChoice(mode="auto"), None, {"type": "auto"}),
        (ToolChoice(mode="none"), False, {"type": "none"}),
        (ToolChoice(mode="required"), None, {"type": "any"}),
        (ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (
            ToolChoice(mode="required", tools=["get_time"]),
            False,
            {"type": "tool", "name": "get_time", "disable_parallel_tool_use": True},
        ),
        (ProviderTool(data=Raw(b'{"type":"new"}')), None, {"type": "new"}),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, wire: Any) -> None:
    options = {} if parallel is None else {"parallel_tool_calls": parallel}
    request = asked(tools=[WEATHER, TIME], tool_choice=choice, options=options, model=OLD)
    body = body_of(request)

    assert body.get("tool_choice") == wire
    assert len(body["tools"]) == 2
    assert refused(request) == {}


def test_tool_choice_is_not_sent_without_tools() -> None:
    body = body_of(asked(tool_choice=ToolChoice(mode="none"), options={"parallel_tool_calls": False}))

    assert "tool_choice" not in body
    assert "tools" not in body


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_tools_that_may_not_be_called_are_not_shown(mode: Any) -> None:
    """There is no word for "only these"."""
    tools = [WEATHER, TIME, Tool(name="f")]
    choice = ToolChoice(mode=mode, tools=["get_time", "f"])
    body = body_of(asked(tools=tools, tool_choice=choice, model=OLD))

    assert [tool["name"] for tool in body["tools"]] == ["get_time", "f"]
    assert body["tool_choice"] == {"type": {"auto": "auto", "required": "any"}[mode]}


@pytest.mark.parametrize("tools", [None, ["get_time"]])
@pytest.mark.parametrize("model", [NEWEST, "claude-sonnet-5-5", "claude-fable-5-1"])
def test_a_forced_call_is_refused_where_the_model_takes_none(model: str, tools: list[str] | None) -> None:
    request = asked(model=model, tools=[TIME], tool_choice=ToolChoice(mode="required", tools=tools))

    assert "cannot be forced" in refused(request)["tool_choice"]
    assert refused(asked(model=model, tools=[TIME], tool_choice=ToolChoice(mode="auto"))) == {}


@pytest.mark.parametrize(
    "options", [{"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2000}}]
)
def test_a_forced_call_is_refused_beside_a_budget_for_thinking(options: dict[str, Any]) -> None:
    forced = ToolChoice(mode="required")

    assert (
        "while it thinks" in refused(asked(model=OLD, tools=[TIME], tool_choice=forced, options=options))["tool_choice"]
    )
    assert refused(asked(model="claude-haiku-5-5", tools=[TIME], tool_choice=forced)) == {}


# ---------------------------------------------------------------------- the answer's form


def test_a_schema_is_lowered_into_output_config() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "maximum": 9}}, "required": ["age"]}
    wanted = ResponseFormat(type="json_schema", name="person", description="One person.", schema=schema, strict=True)
    request = asked(response_format=wanted, options={"reasoning_effort": "low", "output_config": {"task_budget": 5}})

    assert body_of(request)["output_config"] == {
        "task_budget": 5,
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "description": "One person.",
                "properties": {"age": {"type": "integer", "description": "{maximum: 9}"}},
                "required": ["age"],
                "additionalProperties": False,
            },
        },
    }
    assert refused(request) == {}


def test_a_schema_that_cannot_be_said_is_refused_each_time() -> None:
    wanted = ResponseFormat(type="json_schema", schema={"type": "object", "additionalProperties": {"type": "string"}})
    for _ in range(2):
        with pytest.raises(errors.BadRequestError, match="free keys"):
            body_of(asked(response_format=wanted))


@pytest.mark.parametrize(
    ("given", "name"), [({"effort": "low"}, "reasoning_effort"), ({"format": {}}, "response_format")]
)
def test_the_same_thing_twice_in_output_config_is_refused(given: Any, name: str) -> None:
    wanted = ResponseFormat(type="json_schema", schema={"type": "object", "properties": {}})
    request = asked(response_format=wanted, options={"reasoning_effort": "high", "output_config": given})

    with pytest.raises(errors.BadRequestError, match=f"{name} and output_config"):
        body_of(request)


def test_any_text_is_the_default_and_json_mode_does_not_exist() -> None:
    assert "output_config" not in body_of(asked(response_format=ResponseFormat(type="text")))
    assert refused(asked(response_format=ResponseFormat(type="text"))) == {}
    assert "no JSON mode" in refused(asked(response_format=ResponseFormat(type="json_object")))["response_format"]


def test_a_model_without_structured_output_is_not_asked_for_it() -> None:
    wanted = asked(response_format=ResponseFormat(type="json_schema", schema={"type": "object"}), model=UNKNOWN)

    assert "response_format" in CODEC.refused(wanted, {"structured_output": False})


# ---------------------------------------------------------------------- counting


def test_a_count_asks_with_the_prompt_alone() -> None:
    wanted = ResponseFormat(type="json_schema", schema={"type": "object", "properties": {}})
    options: dict[str, Any] = {
        "max_tokens": 5,
        "stop": "x",
        "temperature": 0.5,
        "cache_control": MARK,
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "betas": ["b"],
        "metadata": {"user_id": "u"},
        "extra_body": {"top_secret": 1, "speed": "fast"},
    }
    request = ChatRequest(
        model=BOTH,
        messages=[SystemMessage(content="Be brief."), HELLO],
        tools=[WEATHER],
        response_format=wanted,
        options=options,
        stream=True,
    )
    http = CODEC.encode_count(request, info_of(BOTH))

    assert http.url == f"{URL}/count_tokens"
    assert dict(http.headers)[b"accept"] == b"application/json"
    assert dict(http.headers)[b"anthropic-beta"] == b"b"
    whole = body_of(request)
    expected = {
        "model",
        "system",
        "messages",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "speed",
    }
    assert json.loads(http.body) == {name: whole[name] for name in expected}


def test_a_count_keeps_the_urls_query() -> None:
    codec = AnthropicCodec(f"{URL}?beta=true")

    assert codec.encode_count(asked(), {}).url == f"{URL}/count_tokens?beta=true"


# ---------------------------------------------------------------------- and back


@pytest.mark.parametrize(
    "request_",
    [
        asked("Hello", options={"max_tokens": 5}),
        asked("a", Image(url="https://e.com/i.png"), Document(file_id="f", title="T"), options={"max_tokens": 5}, stream=True),
        asked(tools=[WEATHER, ProviderTool(data=Raw(b'{"type":"memory_20250818","name":"memory"}'), provider="anthropic")],
              tool_choice=ToolChoice(mode="required", tools=["get_weather"]),
              options={"max_tokens": 5, "parallel_tool_calls": False}),
        asked(model=ADAPTIVE, options={"max_tokens": 5, "reasoning_effort": "xhigh", "stop": ["x"], "speed": "fast",
                                       "output_config": {"task_budget": 1}, "extra_body": {"diagnostics": {}}}),
        asked(model=OLD, options={"max_tokens": 5000, "reasoning_effort": "medium"}),
        asked(model=OLD, options={"max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4999}}),
        asked(response_format=ResponseFormat(type="json_schema", schema={"type": "object", "properties": {},
                                             "additionalProperties": False}), options={"max_tokens": 5}),
        ChatRequest(
            model=ADAPTIVE,
            messages=[
                SystemMessage(content=[Text(text="Be brief.", provider_data=CACHED)]),
                UserMessage(content=[Text(text="a", provider_data=CACHED)]),
                AssistantMessage(
                    content=[
                        Reasoning(text="", signature="Eq+/=", provider="anthropic"),
                        Reasoning(signature="Em+/=", redacted=True, provider="anthropic"),
                        Text(text="b"),
                        ProviderPart(provider="anthropic", kind="server_tool_use", data=SERVER_TOOL),
                        call(arguments='{"x":1}'),
                    ]
                ),
                ToolMessage(content=[ToolResult(call_id="toolu_1", content=[Text(text="1")], is_error=True)]),
                UserMessage(content=[Text(text="c")]),
                SystemMessage(content="d"),
            ],
            options={"max_tokens": 5},
        ),
    ],
)  # fmt: skip
def test_a_written_request_reads_as_what_it_was(request_: ChatRequest) -> None:
    request = request_
    if isinstance(request.messages[0], UserMessage) and not isinstance(request.messages[0].content, str):
        parts = [Text(text=part) if isinstance(part, str) else part for part in request.messages[0].content]
        request = msgspec.structs.replace(request, messages=[UserMessage(content=parts)])

    assert CODEC.decode_request(CODEC.encode(request, info_of(request.model)).body) == request


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a request"),
        (b"[]", "not a request"),
        (b'{"model":"m"}', "`messages` is missing"),
        (b'{"messages":[]}', "`model` is missing"),
        (b'{"model":1,"messages":[]}', "not a request"),
        (b'{"model":"m","messages":[{"role":"tool","content":"x"}]}', r"messages\[0\]: role 'tool'"),
        (b'{"model":"m","messages":[{"role":"user"}]}', r"messages\[0\]: `content` is missing"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}', r"messages\[0\]: `type` is missing"),
        (b'{"model":"m","messages":[],"system":[{"type":"image"}]}', "only text"),
        (b'{"model":"m","messages":[],"output_config":{"format":{"type":"text"}}}', "output_config.format"),
    ],
)
def test_a_body_that_is_none_is_refused_with_the_place(body: bytes, words: str) -> None:
    with pytest.raises(errors.BadRequestError, match=words):
        CODEC.decode_request(body)


def test_blocks_that_modelwire_does_not_model_are_kept_whole() -> None:
    content = [
        {"type": "document", "source": {"type": "content", "content": [text("x")]}, "title": "T"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA", "more": "x"}},
        {"type": "container_upload", "file_id": "file_1"},
    ]
    body = {"model": NEWEST, "max_tokens": 5, "messages": [{"role": "user", "content": content}]}
    request = CODEC.decode_request(json.dumps(body).encode())

    assert [type(part) for part in request.messages[0].content] == [ProviderPart] * 3
    assert body_of(request) == body


def test_undated_names() -> None:
    assert undated("claude-opus-4-6-20260205") == "claude-opus-4-6"
    assert undated("claude-opus-4-0") == undated("claude-opus-4-20250514") == "claude-opus-4"
    assert undated("claude-opus-4-8") == "claude-opus-4-8"
