"""Whatever bytes come, a codec gives events, a result or a request, or one of modelwire's own errors."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire import errors
from modelwire._fold import fold, unfold
from modelwire.protocols import HttpResponse
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    CreateResult,
    FunctionCall,
    Image,
    Message,
    Reasoning,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from tests.providers.anthropic_wire import ADAPTIVE, CODEC, NAMES, NEWEST, OLD, info_of, read, streamed, whole

QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)
words = st.sampled_from(
    [
        *(
            "type",
            "text",
            "tool_use",
            "thinking",
            "content",
            "message",
            "usage",
            "index",
            "delta",
            "id",
            "name",
            "input",
        ),
        *("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "citations"),
        *(
            "citation",
            "stop_reason",
            "stop_details",
            "refusal",
            "source",
            "role",
            "user",
            "assistant",
            "system",
            "model",
        ),
        *("messages", "tools", "tool_choice", "thinking", "output_config", "format", "effort", "tool_result", "image"),
    ]
)
json_values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=5),
    max_leaves=20,
)


def damaged(body: bytes, chance: random.Random) -> bytes:
    """A real body with some of it gone, doubled, or changed."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.randint(0, 30))
        piece = chance.choice((b"", body[start:end] * 2, b"null", b"7", b"{}", b'"x"', bytes(chance.randbytes(3))))
        body = body[:start] + piece + body[end:]
    return body


def whole_outcome(body: bytes) -> CreateResult | None:
    try:
        return CODEC.decode(body)
    except errors.ModelClientError:
        return None


def check_result(result: CreateResult) -> None:
    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


@QUICK
@given(st.sampled_from(NAMES), st.integers())
def test_a_damaged_answer_gives_a_result_or_an_error(name: str, seed: int) -> None:
    result = whole_outcome(damaged(whole(name), random.Random(seed)))
    if result is not None:
        check_result(result)


@QUICK
@given(json_values)
def test_any_json_as_an_answer_gives_a_result_or_an_error(value: Any) -> None:
    for body in (json.dumps(value), json.dumps({"content": value}), json.dumps({"content": [value]})):
        result = whole_outcome(body.encode())
        if result is not None:
            check_result(result)


@QUICK
@given(st.sampled_from(NAMES), st.integers())
def test_a_damaged_stream_gives_the_same_in_any_pieces(name: str, seed: int) -> None:
    chance = random.Random(seed)
    body = damaged(streamed(name), chance)
    found = read(body)
    ends = sorted(chance.sample(range(len(body) + 1), k=min(len(body), 5)))
    pieces = [body[begin:end] for begin, end in zip([0, *ends], [*ends, len(body)], strict=True)]

    assert read(pieces).outcome == found.outcome
    assert found.error is None or isinstance(found.error, errors.ModelClientError)
    check_result(fold(found.events))


@QUICK
@given(st.lists(json_values, max_size=6), st.sampled_from(NAMES))
def test_any_events_give_events_or_an_error(values: list[Any], name: str) -> None:
    frames = streamed(name).split(b"\n\n")[:-1]
    odd = [b"data: " + json.dumps(value).encode() for value in values]
    for mixed in (odd, [frames[0], *odd], [*frames[:3], *odd, *frames[3:]]):
        found = read(b"".join(frame + b"\n\n" for frame in mixed))
        assert found.error is None or isinstance(found.error, errors.ModelClientError)


@QUICK
@given(st.binary(max_size=60))
def test_any_bytes_give_an_error(noise: bytes) -> None:
    assert whole_outcome(noise) is None
    assert isinstance(read(noise).error, errors.ModelClientError)
    assert isinstance(CODEC.decode_error(HttpResponse(500, {}, noise)), errors.ServerError)
    with pytest.raises(errors.BadRequestError):
        CODEC.decode_request(noise)


@QUICK
@given(st.dictionaries(words, json_values, max_size=4), json_values)
def test_any_request_is_read_or_refused(extra: dict[str, Any], message: Any) -> None:
    body = {"model": "m", "messages": [message, {"role": "user", "content": [message]}], **extra}
    try:
        request = CODEC.decode_request(json.dumps(body).encode())
        CODEC.refused(request, info_of(NEWEST))
        CODEC.encode(request, info_of(NEWEST))
    except errors.BadRequestError:
        pass


# ---------------------------------------------------------------------- requests of our own

said = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
texts = said.map(lambda text: Text(text=text))
ids = st.text(min_size=1, max_size=6)
results = st.builds(ToolResult, call_id=ids, content=said | st.lists(texts, max_size=2), is_error=st.booleans())
users = st.builds(UserMessage, content=said | st.lists(texts | st.just(Image(url="https://e.com/i")), max_size=3))
assistants = st.builds(
    AssistantMessage,
    content=said
    | st.lists(
        texts
        | st.builds(FunctionCall, id=ids, name=st.just("f"), arguments=st.sampled_from(["", "{}", '{"x":1}', "{", "é"]))
        | st.builds(
            Reasoning, text=said, signature=st.none() | said, provider=st.sampled_from([None, "anthropic", "x"])
        ),
        max_size=4,
    ),
)
messages: st.SearchStrategy[Message] = st.one_of(
    users,
    assistants,
    st.builds(SystemMessage, content=said | st.lists(texts, max_size=2)),
    st.builds(ToolMessage, content=st.lists(results, min_size=1, max_size=2)),
)


@QUICK
@given(st.lists(messages, min_size=1, max_size=8), st.sampled_from([NEWEST, ADAPTIVE, OLD]))
def test_any_conversation_obeys_the_rules_of_the_api(conversation: list[Message], model: str) -> None:
    request = ChatRequest(model=model, messages=conversation)
    try:
        sent = CODEC.encode(request, info_of(model)).body
    except errors.BadRequestError as error:
        refused = error.message
        assert "nothing to answer" in refused or "prefill" in refused
        return
    turns = json.loads(sent)["messages"]

    roles = [turn["role"] for turn in turns]
    assert all(left != right for left, right in itertools.pairwise(roles))
    assert model != OLD or "system" not in roles
    for place, turn in enumerate(turns):
        blocks = [{"type": "text", "text": turn["content"]}] if isinstance(turn["content"], str) else turn["content"]
        assert blocks
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        kinds = [block["type"] == "tool_result" for block in blocks]
        assert kinds == sorted(kinds, reverse=True)
        if turn["role"] == "system":
            assert roles[place - 1] == "user" if place else False
            assert place == len(turns) - 1 or roles[place + 1] == "assistant"
    if roles[-1] == "assistant":
        assert model == OLD
        last = turns[-1]["content"]
        end = last if isinstance(last, str) else last[-1].get("text", "")
        assert end == end.rstrip()
    again = CODEC.decode_request(sent)
    assert CODEC.encode(again, info_of(model)).body == sent
