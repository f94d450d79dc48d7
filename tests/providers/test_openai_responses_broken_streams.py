"""Streamed answers of the Responses API that break off, or are none."""

from __future__ import annotations

import pytest

from modelwire import errors
from modelwire._fold import fold
from modelwire.types import TextDelta
from tests.providers.openai_responses_wire import completed, created, done, event, fixture, read, read_all, said, text


def test_a_stream_without_its_last_event_is_interrupted():
    frames = fixture("tool_call.sse").split(b"\n\n")
    for cut in range(len(frames) - 2):
        found = read(b"".join(frame + b"\n\n" for frame in frames[:cut]))

        assert isinstance(found.error, errors.StreamInterruptedError)
        assert (found.error.status_code, found.error.retryable) == (200, True)
        assert fold(found.events).finish_reason == "error"


def test_the_last_event_must_be_whole():
    stream = created() + completed(said("a"))

    assert isinstance(read(stream[:-1]).error, errors.StreamInterruptedError)


@pytest.mark.parametrize(
    "frame",
    [
        b"data: nonsense\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b'data: {"type": 5}\n\n',
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[]}\n\n',
        b'data: {"type": "\xff"}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n",
        text({"a": 1}, output_index=0),
        text("a", output_index=[]),
        event("response.output_item.done", item=5),
        event("response.output_item.done"),
        event("response.output_item.added", item="x"),
        event("response.content_part.added", part=None),
        event("response.output_text.annotation.added", annotation={"url": 5, "title": {}}) + b"data: x\n\n",
        done(said("a", annotations=5)),
        event("response.completed", response=5),
        completed({"type": "message", "role": "assistant", "content": [1, {"type": "output_text", "annotations": 7}]}),
        event("response.completed", response={"output": [7]}),
    ],
)
def test_garbage_is_a_protocol_error(frame):
    found = read(created() + frame)

    assert isinstance(found.error, errors.ProtocolError)


def test_a_web_page_is_no_stream():
    error = read(b"<!DOCTYPE html>\n<html>Sign in</html>\n").error

    assert isinstance(error, errors.ProtocolError)
    assert "a web page" in error.message


def test_no_bytes_at_all_are_an_interrupted_stream():
    assert isinstance(read(b"").error, errors.StreamInterruptedError)


def test_a_place_far_away_costs_nothing():
    """A wrong number does not make the decoder reserve that many places."""
    events = read_all(
        created(), text("a", output_index=10**9, content_index=10**9), text("b", output_index=10**9, content_index=10**9),
        completed(said("ab")),
    )  # fmt: skip

    assert fold(events).text == "ab"
    assert {found.index for found in events if isinstance(found, TextDelta)} == {1}
