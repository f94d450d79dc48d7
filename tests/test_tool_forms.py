"""Tools and tool choices in all the forms that users write."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelwire._tools import to_tool_choice, to_tools
from modelwire.errors import BadRequestError
from modelwire.types import CustomTool, ProviderTool, Tool, ToolChoice

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


class WithSchema:
    """As AutoGen's tools are."""

    schema = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}  # noqa: RUF012  # as AutoGen has it


# ---------------------------------------------------------------------- tools


@pytest.mark.parametrize(
    ("given", "tool"),
    [
        (Tool(name="f"), Tool(name="f")),
        (CustomTool(name="f", grammar="x"), CustomTool(name="f", grammar="x")),
        (ProviderTool(data=msgspec.Raw(b"{}")), ProviderTool(data=msgspec.Raw(b"{}"))),
        ({"type": "function", "function": {"name": "f"}}, Tool(name="f")),
        (
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
            Tool(name="f", description="d", parameters=SCHEMA, strict=True),
        ),
        ({"function": {"name": "f"}}, Tool(name="f")),
        ({"name": "f"}, Tool(name="f")),
        ({"type": "function", "name": "f", "parameters": SCHEMA}, Tool(name="f", parameters=SCHEMA)),
        (WithSchema(), Tool(name="f", description="d", parameters=SCHEMA, strict=True)),
        ({"type": "custom", "custom": {"name": "g", "description": "d"}}, CustomTool(name="g", description="d")),
        (
            {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}},
            CustomTool(name="g", grammar="x", syntax="lark"),
        ),
        (
            {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "regex", "definition": "x"}},
            CustomTool(name="g", grammar="x", syntax="regex"),
        ),
        ({"type": "custom", "name": "g", "format": {"type": "text"}}, CustomTool(name="g")),
        ({"type": "custom", "name": "g", "format": "text"}, CustomTool(name="g")),
        ({"googleSearch": {}}, ProviderTool(data=msgspec.Raw(b'{"googleSearch":{}}'))),
        ({"url_context": {}, "code_execution": {}}, ProviderTool(data=msgspec.Raw(b'{"url_context":{},"code_execution":{}}'))),
        ({"type": "web_search", "depth": 1}, ProviderTool(data=msgspec.Raw(b'{"type":"web_search","depth":1}'))),
    ],
)  # fmt: skip
def test_a_tool_may_be_written_in_many_ways(given: Any, tool: Any) -> None:
    assert to_tools([given]) == [tool]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (5, "tools is a list of tools, not int"),
        ("f", "tools is a list of tools, not str"),
        ({"name": "f"}, "tools is a list of tools, not dict"),
        (Tool(name="f"), "tools is a list of tools, not Tool"),
        (["f"], "tools[0]: a tool is a Tool, a dict, a function, or an object with a `schema` dict, not str"),
        (
            [Tool(name="f"), 7],
            "tools[1]: a tool is a Tool, a dict, a function, or an object with a `schema` dict, not int",
        ),
        ([{}], "tools[0]: a tool needs a name"),
        ([Tool(name=" ")], "tools[0]: a tool needs a name"),
        ([{"type": "function", "function": {"description": "d"}}], "tools[0]: a tool needs a name"),
        ([{"name": 5}], "tools[0]: a tool needs a name"),
        ([{"nmae": "f"}], "tools[0]: a tool needs a name"),
        ([{"parameters": {}}], "tools[0]: a tool needs a name"),
        ([{"type": "custom", "custom": {}}], "tools[0]: a tool needs a name"),
        ([{"type": "function", "function": "f"}], "tools[0].function: an object is needed, not str"),
        ([{"type": "custom", "custom": ["g"]}], "tools[0].custom: an object is needed, not list"),
        ([{"name": "f", "parameters": "{}"}], "tools[0] (f): parameters are a JSON Schema object, not str"),
        ([Tool(name="f", parameters={"x": object()})], "tools[0] (f).parameters: not JSON: "),
        ([{"name": "f", "description": 5}], "tools[0] (f): a description is text, not int"),
        ([{"type": "web_search", "x": {1, object()}}], "tools[0]: not JSON: "),
        ([Tool(name="f"), CustomTool(name="f")], "tools: two of them are named 'f'"),
    ],
)
def test_a_tool_that_is_none_is_refused_with_its_place(given: Any, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        to_tools(given)

    assert caught.value.message.startswith(message)


def test_tools_of_the_providers_own_need_no_name() -> None:
    assert len(to_tools([{"type": "web_search"}, {"type": "web_search"}])) == 2


def test_any_sequence_of_tools_will_do() -> None:
    assert to_tools((Tool(name="f"),)) == [Tool(name="f")]
    assert to_tools(()) == []


# ---------------------------------------------------------------------- choices

TOOLS = [Tool(name="f"), CustomTool(name="g"), ProviderTool(data=msgspec.Raw(b"{}"))]


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("auto", None),
        (None, None),
        ({"type": "auto"}, None),
        ("none", ToolChoice(mode="none")),
        ({"type": "none"}, ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ("any", ToolChoice(mode="required")),
        ({"type": "any"}, ToolChoice(mode="required")),
        ("f", ToolChoice(mode="required", tools=["f"])),
        (Tool(name="f"), ToolChoice(mode="required", tools=["f"])),
        (CustomTool(name="g"), ToolChoice(mode="required", tools=["g"])),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(mode="required", tools=["f"])),
        ({"type": "function", "name": "f"}, ToolChoice(mode="required", tools=["f"])),
        ({"type": "custom", "custom": {"name": "g"}}, ToolChoice(mode="required", tools=["g"])),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="required", tools=["f"])),
        (ToolChoice(mode="auto", tools=["f"]), ToolChoice(mode="auto", tools=["f"])),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}},
            ToolChoice(mode="required", tools=["f"]),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]},
            ToolChoice(mode="auto", tools=["f", "g"]),
        ),
        ({"type": "allowed_tools", "tools": ["f"]}, ToolChoice(mode="auto", tools=["f"])),
        ({"type": "web_search"}, ProviderTool(data=msgspec.Raw(b'{"type":"web_search"}'))),
    ],
)  # fmt: skip
def test_a_choice_may_be_written_in_many_ways(given: Any, choice: Any) -> None:
    assert to_tool_choice(given, TOOLS) == choice


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("h", "tool_choice: there is no tool 'h'; the tools are f, g"),
        (Tool(name="h"), "tool_choice: there is no tool 'h'; the tools are f, g"),
        ({"type": "function", "function": {"name": "h"}}, "tool_choice: there is no tool 'h'"),
        (ToolChoice(mode="auto", tools=["f", "h"]), "tool_choice: there is no tool 'h'"),
        ({"type": "function"}, "tool_choice: {'type': 'function'} names no tool"),
        ({"type": "function", "function": {"name": 5}}, "tool_choice: {'type': 'function', 'function': {'name': 5}} names"),
        ({"type": "function", "function": 5}, "tool_choice: {'type': 'function', 'function': 5} names no tool"),
        ({"type": "allowed_tools"}, "tool_choice: allowed_tools needs a mode, 'auto' or 'required', and a list of tools"),
        ({"type": "allowed_tools", "allowed_tools": 5}, "tool_choice: allowed_tools needs a mode"),
        ({"type": "allowed_tools", "tools": [5]}, "tool_choice: 5 names no tool"),
        ({"type": "allowed_tools", "mode": "some", "tools": ["f"]}, "tool_choice: mode 'some' is not known; it is one of"),
        (ToolChoice(mode="sometimes"), "tool_choice: mode 'sometimes' is not known; it is one of auto, none, required"),  # type: ignore[arg-type]
        ({"x": {1, object()}}, "tool_choice: not JSON: "),
        (5, "tool_choice: a word, a name, a tool or a dict is needed, not int"),
        (["f"], "tool_choice: a word, a name, a tool or a dict is needed, not list"),
    ],
)  # fmt: skip
def test_a_choice_that_is_none_is_refused(given: Any, message: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        to_tool_choice(given, TOOLS)

    assert caught.value.message.startswith(message)


def test_a_choice_needs_tools() -> None:
    assert to_tool_choice("none", []) == ToolChoice(mode="none")
    with pytest.raises(BadRequestError, match="tool_choice='required' needs tools"):
        to_tool_choice("required", [])
    with pytest.raises(BadRequestError, match="tool_choice: there is no tool 'f'; the tools are none"):
        to_tool_choice("f", [])
