"""What a provider client sends and returns: options and defaults, headers, messages in all forms, facts of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import (
    AssistantMessage,
    BadRequestError,
    CreateResult,
    FunctionCall,
    Image,
    OpenAIChatCompletionClient,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UnsupportedOptionError,
    Usage,
    UserMessage,
    messages_from,
)
from modelwire.client import ProviderClient
from modelwire.providers._openai_chat import ChatCodec
from tests.chat_answers import HELLO, JSON, completion, sent, streamed, told
from tests.fakes import FakeTransport, Reply, client_of, scripted

pytestmark = pytest.mark.anyio

PLAIN = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "Hello", "name": "user"}]}
TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}


async def body_of(call: dict[str, Any] | None = None, messages: Any = HELLO, **defaults: Any) -> dict[str, Any]:
    """The body that goes over the wire for this call of a client with these defaults."""
    transport = scripted(told())
    await client_of(transport, **defaults).create(messages, **(call or {}))
    return sent(transport.requests[0].body)


async def headers_of(call: dict[str, Any] | None = None, **defaults: Any) -> dict[str, str]:
    transport = scripted(told())
    await client_of(transport, **defaults).create(HELLO, **(call or {}))
    return {name.decode(): value.decode() for name, value in transport.requests[0].headers}


# ---------------------------------------------------------------------- options


async def test_a_request_without_options_holds_nothing_else() -> None:
    assert await body_of() == PLAIN


async def test_options_of_the_client_are_defaults_and_those_of_the_call_go_over_them() -> None:
    assert await body_of(temperature=0.5, seed=1) == PLAIN | {"temperature": 0.5, "seed": 1}
    assert await body_of({"temperature": 0, "top_p": 0.5}, temperature=0.5, seed=1) == PLAIN | {
        "temperature": 0,
        "seed": 1,
        "top_p": 0.5,
    }


async def test_an_option_of_one_call_is_not_that_of_the_next() -> None:
    transport = scripted(told())
    client = client_of(transport, seed=1)

    await client.create(HELLO, temperature=0.5, seed=2)
    await client.create(HELLO)

    assert sent(transport.requests[1].body) == PLAIN | {"seed": 1}


async def test_the_clients_own_options_are_those_of_every_call_without_any() -> None:
    transport = scripted(told(), told(), told())
    client = client_of(transport, temperature=0.5, top_k=5, unsupported="drop", extra_headers={"x-mine": "1"})

    dropped = [(await client.create(HELLO, **given)).dropped_options for given in ({}, {"temperature": None}, {})]

    assert [sent(request.body).get("temperature") for request in transport.requests] == [0.5, None, 0.5]
    assert [dict(request.headers)[b"x-mine"] for request in transport.requests] == [b"1"] * 3
    assert dropped == [["top_k"]] * 3


async def test_none_sends_nothing_and_switches_a_default_off() -> None:
    assert await body_of({"temperature": None, "stop": None}) == PLAIN
    assert await body_of({"temperature": None, "max_tokens": None}, temperature=0.5, max_tokens=5, seed=1) == PLAIN | {
        "seed": 1
    }
    assert await body_of({"response_format": None}, response_format={"type": "json_object"}) == PLAIN
    assert await body_of({"json_output": False}, json_output=True) == PLAIN


async def test_a_default_is_switched_off_and_replaced_under_any_of_its_names() -> None:
    assert await body_of({"max_tokens": None}, max_completion_tokens=5) == PLAIN
    assert await body_of({"max_output_tokens": 7}, max_tokens=5) == PLAIN | {"max_completion_tokens": 7}


async def test_two_names_of_one_option_are_an_error() -> None:
    with pytest.raises(BadRequestError, match="max_tokens and max_completion_tokens are the same option"):
        await body_of({"max_tokens": 1, "max_completion_tokens": 2})
    with pytest.raises(BadRequestError, match="are the same option"):
        client_of(scripted(told()), stop=["a"], stop_sequences=["b"])


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("topp", "top_p"),
        ("reasoning_efort", "reasoning_effort"),
    ],
)
async def test_an_unknown_name_suggests_the_near_one(name: str, near: str) -> None:
    with pytest.raises(BadRequestError, match=f"{name} is not an option; did you mean {near}"):
        client_of(scripted(told()), **{name: 1})
    with pytest.raises(BadRequestError, match=f"{name} is not an option; did you mean {near}"):
        await body_of({name: 1})


@pytest.mark.parametrize("name", ["model", "api_key", "base_url", "timeout", "max_retries", "transport", "gate"])
async def test_a_setting_of_the_client_is_none_of_a_call(name: str) -> None:
    with pytest.raises(BadRequestError, match=f"{name} is a setting of the client, not of a call"):
        await body_of({name: None})


async def test_an_unknown_name_without_a_near_one_points_to_extra_body() -> None:
    with pytest.raises(BadRequestError, match=r"xyzzy is not an option; .*extra_body"):
        await body_of({"xyzzy": 1})


@pytest.mark.parametrize(
    ("option", "value"), [("temperature", 2.1), ("top_p", -0.1), ("max_tokens", -1), ("n", 0), ("temperature", "hot")]
)
async def test_a_number_out_of_range_is_refused_before_anything_is_sent(option: str, value: Any) -> None:
    transport = scripted(told())

    with pytest.raises(BadRequestError, match=option) as caught:
        await client_of(transport).create(HELLO, **{option: value})

    assert (caught.value.status_code, transport.requests) == (0, [])


async def test_an_option_of_another_provider_is_refused_with_the_alternative() -> None:
    with pytest.raises(UnsupportedOptionError, match=r"openai: top_k is not supported: .*use top_p") as caught:
        await body_of({"top_k": 5})

    assert (caught.value.option, caught.value.status_code) == ("top_k", 0)


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_what_is_not_supported_can_be_dropped_and_is_listed(verb: str) -> None:
    transport = scripted(told())
    client = client_of(transport, unsupported="drop")

    options: dict[str, Any] = {"top_k": 5, "num_ctx": 4096, "temperature": 0.5}
    if verb == "create":
        result = await client.create(HELLO, **options)
    else:
        result = [item async for item in client.create_stream(HELLO, **options)][-1]

    assert sorted(result.dropped_options) == ["num_ctx", "top_k"]
    body = sent(transport.requests[0].body)
    assert (body["temperature"], "top_k" in body, "num_ctx" in body, "unsupported" in body) == (
        0.5,
        False,
        False,
        False,
    )


class NoTools(ChatCodec):
    """A server that knows neither tools nor formats."""

    def refused(self, request: Any, info: Any) -> dict[str, str]:
        given = {"tools": request.tools, "tool_choice": request.tool_choice, "response_format": request.response_format}
        return {name: "it only chats" for name, value in given.items() if value is not None}


async def test_tools_and_formats_can_be_refused_and_dropped_like_options() -> None:
    transport = scripted(told())
    client = ProviderClient(
        model="m",
        codec=NoTools("https://api.example.com/"),
        family="OpenAIOptions",
        given={"transport": transport, "clock": transport.clock},
    )
    call: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "response_format": {"type": "json_object"}}

    with pytest.raises(UnsupportedOptionError, match="tools is not supported: it only chats") as caught:
        await client.create(HELLO, **call)
    result = await client.create(HELLO, **call, unsupported="drop")

    assert (caught.value.option, len(transport.requests)) == ("tools", 1)
    assert sorted(result.dropped_options or ()) == ["response_format", "tool_choice", "tools"]
    assert set(sent(transport.requests[0].body)) == {"model", "messages"}


async def test_a_refused_format_that_says_nothing_is_left_out_silently() -> None:
    transport = scripted(told())
    client = ProviderClient(
        model="m",
        codec=NoTools("https://api.example.com/"),
        family="OpenAIOptions",
        given={"transport": transport, "clock": transport.clock},
    )

    result = await client.create(HELLO, response_format={"type": "text"}, tools=[], tool_choice="auto")

    assert result.dropped_options is None
    assert set(sent(transport.requests[0].body)) == {"model", "messages"}


async def test_nothing_dropped_is_none() -> None:
    assert (await client_of(scripted(told()), unsupported="drop").create(HELLO)).dropped_options is None


@pytest.mark.parametrize("model", ["o3", "gpt-5-mini", "gpt-5.6-sol"])
async def test_a_reasoning_model_refuses_sampling_but_not_its_defaults(model: str) -> None:
    with pytest.raises(UnsupportedOptionError, match="temperature"):
        await body_of({"temperature": 0.2}, model=model, api="chat")

    body = await body_of(
        {"temperature": 1, "top_p": 1.0, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False},
        model=model,
        api="chat",
    )

    assert body == PLAIN | {"model": model}


async def test_a_model_that_can_stop_reasoning_takes_sampling_then() -> None:
    body = await body_of({"temperature": 0.2, "reasoning_effort": "none"}, model="gpt-5.6-sol", api="chat")

    assert (body["temperature"], body["reasoning_effort"]) == (0.2, "none")


async def test_the_same_defaults_are_sent_to_a_model_that_takes_them() -> None:
    assert await body_of({"temperature": 1, "n": 1}) == PLAIN | {"temperature": 1, "n": 1}


async def test_an_unknown_model_gets_everything() -> None:
    body = await body_of({"temperature": 0.2, "reasoning_effort": "low", "stop": ["x"]}, model="brand-new")

    assert (body["model"], body["temperature"], body["reasoning_effort"], body["stop"]) == (
        "brand-new",
        0.2,
        "low",
        ["x"],
    )


async def test_model_info_of_the_user_goes_over_what_is_known() -> None:
    body = await body_of({"temperature": 0.2}, model="o3", api="chat", model_info={"reasoning": False})
    client = client_of(scripted(told()), model="o3", model_info={"family": "mine"})

    assert body["temperature"] == 0.2
    assert (client.model_info["family"], client.model_info["vision"], client.capabilities["family"]) == (
        "mine",
        True,
        "mine",
    )


async def test_extra_body_goes_over_everything() -> None:
    body = await body_of({"extra_body": {"model": "other", "unknown": {"a": [1]}, "temperature": 2}}, temperature=0.5)

    assert body == PLAIN | {"model": "other", "unknown": {"a": [1]}, "temperature": 2}


async def test_tools_and_tool_choice_in_all_forms() -> None:
    wire = {"type": "function", "function": TOOL}
    for tool in (TOOL, wire, {"type": "function", **TOOL}):
        body = await body_of({"tools": [tool], "tool_choice": "look_up", "parallel_tool_calls": False})
        assert body["tools"][0]["function"]["name"] == "look_up"
        assert body["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
        assert body["parallel_tool_calls"] is False
    for choice in ("none", "required"):
        assert (await body_of({"tools": [TOOL], "tool_choice": choice}))["tool_choice"] == choice
    assert "tool_choice" not in await body_of({"tools": [TOOL], "tool_choice": "auto"})
    named = {"type": "function", "function": {"name": "look_up"}}
    assert (await body_of({"tools": [TOOL], "tool_choice": named}))["tool_choice"] == named


# ---------------------------------------------------------------------- headers


async def test_default_headers_and_extra_headers_are_sent() -> None:
    headers = await headers_of({"extra_headers": {"X-Call": "2"}}, default_headers={"X-Mine": "1"})

    assert (headers["x-mine"], headers["x-call"]) == ("1", "2")
    assert headers["authorization"] == "Bearer sk-do-not-show-this"
    assert headers["content-type"] == "application/json"


async def test_the_headers_of_the_call_go_over_the_clients_and_those_over_modelwires() -> None:
    defaults = {"Authorization": "Bearer mine", "User-Agent": "mine", "X-Both": "client"}
    headers = await headers_of({"extra_headers": {"x-both": "call"}}, default_headers=defaults)

    assert (headers["authorization"], headers["user-agent"], headers["x-both"]) == ("Bearer mine", "mine", "call")


async def test_extra_headers_may_be_a_default_too() -> None:
    assert (await headers_of(extra_headers={"X-Mine": "1"}))["x-mine"] == "1"
    assert "x-mine" not in await headers_of({"extra_headers": None}, extra_headers={"X-Mine": "1"})


async def test_each_header_is_sent_once() -> None:
    transport = scripted(told())
    await client_of(transport, default_headers={"Content-Type": "application/json; v=2"}).create(HELLO)

    names = [name for name, _ in transport.requests[0].headers]

    assert len(set(names)) == len(names)
    assert names == [name.lower() for name in names]


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a\n": "b"}, {"a": 1}, {"ä": "b"}, {"a": "日本"}], ids=str)
async def test_what_is_no_header_is_refused_without_showing_its_value(headers: Any) -> None:
    with pytest.raises(BadRequestError, match="header") as caught:
        await headers_of(default_headers=headers)
    with pytest.raises(BadRequestError, match="header"):
        await headers_of({"extra_headers": headers})

    assert "日本" not in str(caught.value)


# ---------------------------------------------------------------------- messages


async def test_dicts_and_messages_may_be_mixed() -> None:
    image = Image(url="https://example.com/a.png")
    mixed = [
        {"role": "system", "content": "Be brief."},
        UserMessage(content=["What is this?", image], source="Ada L."),
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        AssistantMessage(content=[Text(text="A cat.")]),
    ]  # fmt: skip
    structs = [
        SystemMessage(content="Be brief."),
        UserMessage(content=["What is this?", image], source="Ada L."),
        AssistantMessage(content=[FunctionCall(id="call_1", name="look_up", arguments="{}")]),
        ToolMessage(content=[ToolResult(call_id="call_1", content="a cat")]),
        AssistantMessage(content=[Text(text="A cat.")]),
    ]

    assert (await body_of(messages=mixed))["messages"] == (await body_of(messages=structs))["messages"]
    assert (await body_of(messages=tuple(structs)))["messages"] == (await body_of(messages=structs))["messages"]


async def test_the_callers_list_is_not_changed() -> None:
    messages = [{"role": "user", "content": "Hello"}]

    await body_of(messages=messages)

    assert messages == [{"role": "user", "content": "Hello"}]


async def test_messages_of_a_recorded_request_can_be_sent() -> None:
    messages = messages_from(
        {"model": "m", "messages": [{"role": "user", "content": "Hello", "name": "user"}]}, "openai-chat"
    )

    assert messages == HELLO
    assert await body_of(messages=messages) == PLAIN


async def test_messages_of_an_unknown_dialect_are_an_error() -> None:
    with pytest.raises(ValueError, match="'telex' is not a wire format"):
        messages_from({}, "telex")


async def test_the_answer_goes_back_as_a_message() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    transport = scripted(Reply(headers=JSON, body=completion("Wait.", "tool_calls", tool_calls=[call])), told())
    client = client_of(transport)

    first = await client.create(HELLO, tools=[TOOL])
    results = [ToolResult(call_id=found.id, content="42") for found in first.tool_calls]
    await client.create([*HELLO, first.message, ToolMessage(content=results)], tools=[TOOL])

    assert sent(transport.requests[1].body)["messages"][1:] == [
        {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]


# ---------------------------------------------------------------------- the answer


@pytest.mark.parametrize("verb", ["create", "create_stream"])
async def test_the_result_says_where_it_is_from(verb: str) -> None:
    transport = scripted(told(**{"x-request-id": "req_1"}))
    client = client_of(transport)

    if verb == "create":
        result = await client.create(HELLO)
    else:
        result = [item async for item in client.create_stream(HELLO)][-1]

    assert isinstance(result, CreateResult)
    assert (result.provider, result.model, result.id, result.request_id) == ("openai", "gpt-4.1", "chatcmpl-1", "req_1")
    assert (result.cached, result.finish_reason, result.raw_finish_reason) == (False, "stop", "stop")
    assert [attempt.status_code for attempt in result.attempts or ()] == [200]
    assert result.timing is not None


async def test_usage_adds_up_over_calls_and_streams_that_were_answered() -> None:
    transport = scripted(told(), streamed(), Reply(400), told())
    client = client_of(transport)
    assert client.actual_usage() == Usage(prompt_tokens=0, completion_tokens=0)

    await client.create(HELLO)
    _ = [item async for item in client.create_stream(HELLO)]
    with pytest.raises(BadRequestError):
        await client.create(HELLO)

    assert client.actual_usage() == client.total_usage() == Usage(prompt_tokens=18, completion_tokens=8)


async def test_the_context_left_is_that_of_the_known_model() -> None:
    client = client_of(scripted(told()))

    assert client.remaining_tokens(HELLO) == 1_047_576 - client.count_tokens(HELLO)
    assert client_of(scripted(told()), model="x", model_info={"max_input_tokens": 99}).remaining_tokens(HELLO) < 99


# ---------------------------------------------------------------------- settings that are objects


async def test_a_transport_of_ones_own_moves_the_bytes_and_is_left_open() -> None:
    transport = scripted(told())

    async with client_of(transport) as client:
        assert (await client.create(HELLO)).content == "Hi there"
    await client.close()

    assert transport.closed == 0
    assert transport.requests[0].url == "https://api.openai.com/v1/chat/completions"


@pytest.mark.parametrize("settings", [{"max_connections": 5}, {"proxy": "http://p:1"}, {"verify": "/x"}], ids=str)
async def test_settings_of_httpx_and_a_transport_of_ones_own_contradict_each_other(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="would have no effect on a transport of one's own"):
        client_of(scripted(told()), **settings)


async def test_two_clients_may_share_a_transport() -> None:
    transport: FakeTransport = scripted(told())

    async with client_of(transport) as one, client_of(transport, model="gpt-4o") as other:
        await one.create(HELLO)
        await other.create(HELLO)

    assert [sent(request.body)["model"] for request in transport.requests] == ["gpt-4.1", "gpt-4o"]


async def test_a_client_is_made_by_its_class_alone() -> None:
    """Everything is a keyword, so that no two settings can be mixed up."""
    with pytest.raises(TypeError):
        OpenAIChatCompletionClient("gpt-4.1")  # type: ignore[misc]
