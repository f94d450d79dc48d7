"""Tools, the form of the answer, counting and refused options of the Responses API."""

from __future__ import annotations

import json

import pytest

from modelwire.errors import BadRequestError
from modelwire.types import CustomTool, ProviderTool, ResponseFormat, SystemMessage, Tool, ToolChoice
from tests.providers.openai_responses_wire import URL, asked, body_of, codec_of, own, raw

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
REASONER = {"family": "gpt-6", "reasoning": True, "model": "gpt-6-sol"}


# ---------------------------------------------------------------------- tools and formats


def test_functions_are_flat_and_always_say_whether_they_are_strict():
    """Without `strict` the server would try to make the schema strict by itself."""
    strict = {**SCHEMA, "required": ["x"]}
    tools = [
        Tool(name="f", description="Does.", parameters=SCHEMA, provider_data=own(defer_loading=True)),
        Tool(name="g", parameters=strict, strict=True),
        Tool(name="h"),
    ]

    assert body_of(asked(tools=tools))["tools"] == [
        {"type": "function", "name": "f", "description": "Does.", "strict": False, "parameters": SCHEMA}
        | {"defer_loading": True},
        {"type": "function", "name": "g", "strict": True, "parameters": {**strict, "additionalProperties": False}},
        {"type": "function", "name": "h", "strict": False, "parameters": {"type": "object", "properties": {}}},
    ]


def test_a_schema_that_cannot_be_strict_is_refused_where_strict_was_asked_for():
    with pytest.raises(BadRequestError):
        body_of(asked(tools=[Tool(name="f", parameters={"type": "object", "patternProperties": {}}, strict=True)]))


def test_custom_tools_have_a_flat_grammar():
    tools = [CustomTool(name="a", description="A."), CustomTool(name="b", grammar="start: WORD", syntax="lark")]

    assert body_of(asked(tools=tools))["tools"] == [
        {"type": "custom", "name": "a", "description": "A."},
        {"type": "custom", "name": "b", "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}},
    ]


def test_built_in_tools_go_as_they_are_and_those_of_others_are_refused():
    search = {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}}

    assert body_of(asked(tools=[ProviderTool(data=raw(search))]))["tools"] == [search]
    with pytest.raises(BadRequestError, match="tool of anthropic"):
        body_of(asked(tools=[ProviderTool(data=raw(search), provider="anthropic")]))


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="required", tools=["f"]), {"type": "function", "name": "f"}),
        (ToolChoice(mode="required", tools=["sql"]), {"type": "custom", "name": "sql"}),
        (ToolChoice(mode="auto", tools=["f", "sql"]),
         {"type": "allowed_tools", "mode": "auto",
          "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "sql"}]}),
        (ToolChoice(mode="auto", tools=["f"]),
         {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}),
        (ProviderTool(data=raw({"type": "mcp", "server_label": "wiki"})), {"type": "mcp", "server_label": "wiki"}),
    ],
)  # fmt: skip
def test_tool_choices(choice, wire):
    tools = [Tool(name="f"), CustomTool(name="sql")]

    assert body_of(asked(tools=tools, tool_choice=choice))["tool_choice"] == wire


@pytest.mark.parametrize(
    ("wanted", "wire"),
    [
        (ResponseFormat(type="text"), {"type": "text"}),
        (ResponseFormat(type="json_object"), {"type": "json_object"}),
        (ResponseFormat(type="json_schema", schema={**SCHEMA, "required": ["x"]}),
         {"type": "json_schema", "name": "answer", "strict": True,
          "schema": {**SCHEMA, "required": ["x"], "additionalProperties": False}}),
        (ResponseFormat(type="json_schema", name="n", description="d", schema=SCHEMA, strict=False),
         {"type": "json_schema", "name": "n", "description": "d", "strict": False, "schema": SCHEMA}),
    ],
)  # fmt: skip
def test_the_form_of_the_answer_is_flat(wanted, wire):
    body = body_of(asked(response_format=wanted, verbosity="low"))

    assert body["text"] == {"format": wire, "verbosity": "low"}


# ---------------------------------------------------------------------- counting


def test_counting_asks_with_what_the_prompt_consists_of_and_nothing_else():
    request = asked(
        SystemMessage(content="a"),
        tools=[Tool(name="f")],
        tool_choice=ToolChoice(mode="auto"),
        response_format=ResponseFormat(type="json_object"),
        reasoning_effort="low",
        truncation="auto",
        max_tokens=20,
        temperature=0.1,
        metadata={"a": "b"},
        extra_body={"personality": "friendly", "of_tomorrow": 1, "max_output_tokens": 9},
        stream=True,
    )

    http = codec_of().encode_count(request, {})

    assert http.url == f"{URL}/input_tokens"
    assert json.loads(http.body) == {
        "model": "m",
        "input": [{"role": "system", "content": "a"}],
        "tools": [
            {"type": "function", "name": "f", "strict": False, "parameters": {"type": "object", "properties": {}}}
        ],
        "tool_choice": "auto",
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
        "truncation": "auto",
        "personality": "friendly",
        "of_tomorrow": 1,
    }


def test_the_count_is_asked_for_beside_the_query_of_the_endpoint():
    from modelwire.providers._openai_responses import ResponsesCodec

    codec = ResponsesCodec("https://r.example/openai/responses?api-version=2025-04-01-preview", "azure")

    url = codec.encode_count(asked(), {}).url

    assert url == "https://r.example/openai/responses/input_tokens?api-version=2025-04-01-preview"


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["seed", "stop", "n", "logit_bias", "frequency_penalty", "prediction", "modalities"])
def test_an_option_that_only_chat_has_is_refused_and_says_so(name):
    refused = codec_of().refused(asked(**{name: 1}), {})

    assert "api='chat'" in refused[name]


def test_a_reasoning_model_takes_sampling_options_only_while_it_does_not_reason():
    info = REASONER | {"sampling": "without_reasoning", "reasoning_efforts": ["none", "low"]}
    codec = codec_of()

    assert set(codec.refused(asked(temperature=0.5, top_logprobs=2), info)) == {"temperature", "top_logprobs"}
    assert not codec.refused(asked(temperature=0.5, reasoning_effort="none"), info)
    assert "none, low" in codec.refused(asked(reasoning_effort="max"), info)["reasoning_effort"]
    assert not codec.refused(asked(temperature=0.5), {})
