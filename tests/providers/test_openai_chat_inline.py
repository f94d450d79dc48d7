"""Reasoning inside the text, in `<think>` tags."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelwire._fold import fold
from modelwire.types import AssistantMessage, FunctionCall, Reasoning, ReasoningDelta, Text, TextDelta
from tests.providers.chat_wire import DONE, answer, chunk, codec_of, read_all, wire_of

STOP = chunk({}, "stop")
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def read_whole(content: str, provider: str = "plain", **message: Any) -> tuple[str | None, str]:
    result = codec_of(provider).decode(answer({"content": content, **message}))
    return result.thought, result.text


@pytest.mark.parametrize(
    ("content", "thought", "text"),
    [
        ("<think>\nhm\n</think>\n\nHello", "hm", "Hello"),
        ("<think>hm</think>Hello", "hm", "Hello"),
        ("\n <think>a\n\nb</think>\nHello\n", "a\n\nb", "Hello\n"),
        ("<think>\n\n</think>\n\nHello", None, "Hello"),
        ("<think>hm</think>", "hm", ""),
        ("<think>hm", "hm", ""),
        ("<think>hm\n</thi", "hm\n</thi", ""),
        ("<think>", None, ""),
        ("<think>a < b </b> </think>c", "a < b </b> ", "c"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("Hello <think>hm</think>", None, "Hello <think>hm</think>"),
        ("<thinking>hm</thinking>", None, "<thinking>hm</thinking>"),
        ("<thi", None, "<thi"),
        ("<b>", None, "<b>"),
        ("  ", None, "  "),
        ("\n\nHello", None, "\n\nHello"),
    ],
)
def test_reasoning_at_the_beginning_is_no_text(content: str, thought: str | None, text: str) -> None:
    assert read_whole(content) == (thought, text)
    for provider in ("openai", "azure"):
        assert read_whole(content, provider) == (None, content)


def test_a_member_for_reasoning_counts_for_more() -> None:
    assert read_whole("<think>hm</think>Hello", reasoning="r") == ("r", "<think>hm</think>Hello")
    streamed = fold(read_all([chunk({"reasoning": "r"}), chunk({"content": "<think>hm</think>"}), STOP, DONE], "plain"))
    assert (streamed.thought, streamed.text) == ("r", "<think>hm</think>")


def test_reasoning_comes_as_it_is_written() -> None:
    pieces = ["<th", "ink>", "\n", "one", "\n", "two <", "/th", "ink>", "\n\n", "Hel", "lo"]
    events = read_all([*(chunk({"content": piece}) for piece in pieces), STOP, DONE], "plain")

    told = [event for event in events if isinstance(event, (ReasoningDelta, TextDelta))]
    assert told == [
        ReasoningDelta(text="one", index=0),
        ReasoningDelta(text="\ntwo ", index=0),
        TextDelta(text="Hel", index=1),
        TextDelta(text="lo", index=1),
    ]


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think>", "th", "\n", " ", "a", "é", "\n\n", "<think"]),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(PIECES, st.booleans())
@example(["<think>", "a", "\n", "</think>", "\n", "b"], True)
@example([" ", "\n"], True)
def test_a_stream_tells_the_same_as_the_whole(pieces: list[str], calls: bool) -> None:
    chunks = [chunk({"content": piece}) for piece in pieces]
    chunks += [chunk({"tool_calls": [{"index": 0, **CALL}]})] if calls else []
    body = answer({"content": "".join(pieces), **({"tool_calls": [CALL]} if calls else {})})

    assert fold(read_all([*chunks, STOP, DONE], "plain")).parts == codec_of("plain").decode(body).parts


def test_reasoning_goes_back_inside_the_text() -> None:
    result = codec_of("vllm").decode(answer({"content": "<think>\nhm\n</think>\n\nHello"}))

    assert wire_of(result.message, "vllm") == {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"}
    assert wire_of(result.message, "openai") == {"role": "assistant", "content": "Hello"}
    (thought,) = [part for part in result.parts or [] if isinstance(part, Reasoning)]
    call = FunctionCall(id="c", name="f", arguments="{}")
    alone = wire_of(AssistantMessage(content=[thought, call]), "vllm")
    assert alone["content"] == "<think>\nhm\n</think>\n\n"
    several = wire_of(AssistantMessage(content=[thought, Text(text="a"), Text(text="b")]), "vllm")
    assert [part["text"] for part in several["content"]] == ["<think>\nhm\n</think>\n\na", "b"]
