"""Tool calls in streams of Chat Completions: how their fragments find each other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelwire._fold import fold
from modelwire.providers._openai_chat import Quirks
from modelwire.types import FunctionCall, PartEnd, ToolCallDelta, ToolCallStart
from tests.providers.chat_wire import DONE, chunk, read_all

ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
OWN = "openai-compatible"


def result(*pieces: bytes, provider: str | Quirks = "plain") -> Any:
    """What a stream adds up to."""
    return fold(read_all(b"".join(pieces), provider))


def calls(*deltas: Any, provider: str = "plain") -> list[tuple[str, str, str]]:
    """Id, name and arguments of the calls in a stream of tool call deltas."""
    chunks = [chunk({"tool_calls": delta if isinstance(delta, list) else [delta]}) for delta in deltas]
    found = result(ROLE, *chunks, chunk({}, "tool_calls"), DONE, provider=provider)
    assert found.finish_reason == "function_calls"
    return [(call.id, call.name, call.arguments) for call in found.tool_calls]


def function(name: str | None = None, arguments: Any = None, **members: Any) -> dict[str, Any]:
    """A tool call delta."""
    inner = {"name": name, "arguments": arguments}
    return {"function": {key: value for key, value in inner.items() if value is not None}, **members}


def test_calls_may_interleave_and_end_with_the_choice() -> None:
    events = read_all(
        [
            chunk({"tool_calls": [{"index": 0, "id": "a", "type": "function", **function("f", "")}]}),
            chunk({"tool_calls": [{"index": 1, "id": "b", "type": "function", **function("g", "{")}]}),
            chunk({"tool_calls": [{"index": 0, **function(arguments="{}")}]}),
            chunk({"tool_calls": [{"index": 1, **function(arguments="}")}]}),
            chunk({}, "tool_calls"),
            DONE,
        ]
    )

    assert events[1:-1] == [
        ToolCallStart(id="a", name="f", index=0),
        ToolCallStart(id="b", name="g", index=1),
        ToolCallDelta(arguments="{", index=1),
        ToolCallDelta(arguments="{}", index=0),
        ToolCallDelta(arguments="}", index=1),
        PartEnd(part=FunctionCall(id="a", name="f", arguments="{}"), index=0),
        PartEnd(part=FunctionCall(id="b", name="g", arguments="{}"), index=1),
    ]


# ---------------------------------------------------------------------- calls of servers that take liberties


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param(
            [function("f", '{"a"', id="x"), function(arguments=":1}")], [("x", "f", '{"a":1}')], id="no index"
        ),
        pytest.param(
            [function("f", "{}", id="x"), function("f", "[]", id="y")],
            [("x", "f", "{}"), ("y", "f", "[]")],
            id="no index, each id a call",
        ),
        pytest.param(
            [function("f", "{", id="x"), function("f", "}", id="x")], [("x", "f", "{}")], id="no index, id repeated"
        ),
        pytest.param(
            [function("f", "{", id="x"), function("f", "}")], [("x", "f", "{}")], id="no index, only the name repeated"
        ),
        pytest.param(
            [function("f", "{}", id="x", index=0), function("g", "[]", id="y", index=0)],
            [("x", "f", "{}"), ("y", "g", "[]")],
            id="index 0 for all",
        ),
        pytest.param(
            [
                function("f", "{", id="x", index=0),
                function(arguments="}", index=0),
                function("f", "[", id="y", index=0),
                function(arguments="]", index=0),
            ],
            [("x", "f", "{}"), ("y", "f", "[]")],
            id="index 0 for all, in fragments",
        ),
        pytest.param(
            [function("f", "{", id="x", index=0), function(arguments="}", id="other", index=0)],
            [("x", "f", "{}")],
            id="another id with each fragment",
        ),
        pytest.param(
            [function("f", "{", id="x", index=0), function("f", "}", id="", index=0)],
            [("x", "f", "{}")],
            id="empty id with later fragments",
        ),
        pytest.param([function("f", {"a": 1}, id="x", index=0)], [("x", "f", '{"a":1}')], id="arguments as an object"),
        pytest.param([function("f", id="x", index=0)], [("x", "f", "")], id="no arguments"),
        pytest.param(
            [{"index": 0, "id": "x", "type": 5, "function": "none", "custom": {"name": "g", "input": {"a": 1}}}],
            [("x", "g", '{"a":1}')],
            id="input as an object, a member of another type",
        ),
        pytest.param([function("f", "{}", id=5, index="0")], [("5", "f", "{}")], id="id as a number, index as text"),
        pytest.param(
            [[function("f", "{}", id="x", index=0), function("g", "[]", id="y", index=1)]],
            [("x", "f", "{}"), ("y", "g", "[]")],
            id="all in one delta",
        ),
        pytest.param(
            [{"index": 0, "id": "x", "type": "function", **function("f", "{}"), "custom": {"name": "", "input": ""}}],
            [("x", "f", "{}")],
            id="both members of the type",
        ),
    ],
)
def test_fragments_find_their_call(deltas: list[Any], expected: list[tuple[str, str, str]]) -> None:
    assert calls(*deltas) == expected


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param([function("f", "{}", id=""), function("g", "[]", id="")], id="empty ids, no index"),
        pytest.param([function("f", "{}"), function("g", "[]")], id="no ids, no index"),
        pytest.param([function("f", "{}", index=0), function("g", "[]", index=0)], id="no ids, index 0 for all"),
        pytest.param([function("f", "{}", index=0), function("g", "[]", index=1)], id="no ids"),
        pytest.param([[function("f", "{}"), function("g", "[]")]], id="no ids, one delta"),
    ],
)
def test_calls_without_ids_get_their_own(deltas: list[Any]) -> None:
    (first, *one), (second, *other) = calls(*deltas)

    assert (one, other) == (["f", "{}"], ["g", "[]"])
    assert first != second
    assert first.startswith("call_")
    assert second.startswith("call_")
    assert calls(*deltas) == [(first, *one), (second, *other)]


def test_two_calls_of_one_function_without_ids_are_two() -> None:
    found = calls(function("f", '{"a":1}'), function("f", '{"a":2}'))

    assert [arguments for _, _, arguments in found] == ['{"a":1}', '{"a":2}']


@pytest.mark.parametrize("place", [0, 1])
def test_signatures_of_calls_are_kept_wherever_they_come(place: int) -> None:
    signature = msgspec.Raw(rb'{"google":{"thought_signature":"\u00e9","n":1.0e3}}')
    deltas = [{"index": 0, "id": "x", **function("f", "{")}, {"index": 0, **function(arguments="}")}]
    deltas[place]["extra_content"] = signature
    deltas[1 - place]["extra_content"] = None
    found = result(*(chunk({"tool_calls": [delta]}) for delta in deltas), STOP, DONE)

    assert found.tool_calls[0].provider_data == {OWN: {"extra_content": signature}}


def test_fields_of_a_proxy_go_back_with_the_call() -> None:
    fields = {"thought_signature": "s"}
    delta = {"index": 0, "id": "x", **function("f", "{}"), "provider_specific_fields": fields}
    found = result(chunk({"tool_calls": [delta]}), STOP, DONE)

    kept = (found.tool_calls[0].provider_data or {})[OWN]
    assert kept == {"provider_specific_fields": msgspec.Raw(b'{"thought_signature":"s"}')}
