"""Requests of the Messages API: versions, options, tools and formats, and counting."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest

from modelwire import errors, models
from modelwire.providers._anthropic import NEW_VERSION, OLD_VERSION, AnthropicCodec
from modelwire.types import (
    ChatRequest,
    CustomTool,
    ProviderTool,
    ResponseFormat,
    SystemMessage,
    Tool,
    ToolChoice,
    UserMessage,
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
    refused,
)

Raw = msgspec.Raw
HELLO = UserMessage(content="Hello")
CACHED = {"anthropic": {"cache_control": Raw(b'{"type":"ephemeral","ttl":"1h"}')}}
MARK = {"type": "ephemeral", "ttl": "1h"}
WEATHER = Tool(name="get_weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})
TIME = Tool(name="get_time")


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


@pytest.mark.parametrize("model", sorted(models.rows("anthropic")))
def test_every_level_of_every_known_model_can_be_asked_for_and_read_back(model: str) -> None:
    info = info_of(model)
    for level in info["reasoning_efforts"]:
        request = asked(model=model, options={"reasoning_effort": level, "max_tokens": 30000})

        assert refused(request) == {}
        sent = CODEC.encode(request, info).body
        assert CODEC.decode_request(sent).options == request.options
    assert ("none" in info["reasoning_efforts"]) == ("disabled" in cast("Any", info)["thinking"])
    assert info["default_reasoning_effort"] in info["reasoning_efforts"]


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
