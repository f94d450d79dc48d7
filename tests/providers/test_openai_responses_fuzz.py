"""Whatever bytes a server sends: events, a result, or an error of modelwire's; never anything else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire._fold import fold, unfold
from modelwire.errors import BadRequestError, ModelClientError
from modelwire.types import FunctionCall
from tests.providers.openai_responses_wire import answer, asked, codec_of, completed, fixture, read

QUICK = settings(max_examples=60, deadline=None)

junk = st.sampled_from(
    [None, True, -1, 0, 10**20, 1.5, "", "x", "\u0000", [], ["a"], {}, {"type": "x"}, [[{"a": None}]]]
)
text = st.text(max_size=3)
ids = st.sampled_from(["a", "b", "c"])


def mostly(plausible: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values that a server could send, and now and then something else."""
    return st.one_of(*[plausible] * 9, junk)


def shaped(kinds: list[str], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of these types with any of these members."""
    optional = {name: mostly(values) for name, values in members.items()}
    return st.fixed_dictionaries({"type": st.sampled_from(kinds)}, optional=optional)


annotations = st.lists(shaped(["url_citation", "file_path"], url=text, start_index=st.integers(0, 9)), max_size=2)
tokens = st.lists(st.fixed_dictionaries({"token": text, "logprob": st.floats(-9, 0)}), max_size=2)
content = st.lists(
    shaped(["output_text", "refusal", "odd"], text=text, refusal=text, annotations=annotations, logprobs=tokens),
    max_size=3,
)
texts = st.lists(shaped(["summary_text", "reasoning_text"], text=text), max_size=2)
items = st.one_of(
    shaped(["message"], role=st.just("assistant"), content=content, id=ids, phase=text, status=text),
    shaped(["reasoning"], id=ids, summary=texts, content=texts, encrypted_content=text),
    shaped(
        ["function_call", "custom_tool_call"], id=ids, call_id=ids, name=ids, arguments=text, input=text, status=text
    ),
    shaped(["shell_call", "shell_call_output", "mcp_approval_request", "compaction", "odd"], id=ids, call_id=ids),
)
responses = shaped(
    ["response"], id=ids, model=ids, status=st.sampled_from(["completed", "incomplete", "failed"]),
    output=st.lists(mostly(items), max_size=3), usage=st.dictionaries(ids, junk, max_size=2),
    error=shaped(["x"], code=text, message=text), incomplete_details=st.dictionaries(st.just("reason"), text),
)  # fmt: skip
KINDS = [
    "response.created", "response.output_item.added", "response.output_item.done", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.output_text.annotation.added",
    "response.refusal.delta", "response.refusal.done", "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta", "response.function_call_arguments.delta", "response.custom_tool_call_input.delta",
    "response.something.new",
]  # fmt: skip
events = shaped(
    KINDS, output_index=st.integers(0, 2), content_index=st.integers(0, 2), summary_index=st.integers(0, 1), item_id=ids,
    delta=text, text=text, refusal=text, item=items, part=content.map(lambda parts: parts[0] if parts else {}),
    annotation=annotations.map(lambda found: found[0] if found else {}), response=responses,
)  # fmt: skip
ends = shaped(["response.completed", "response.incomplete", "response.failed", "error"], response=responses, error=junk)
requested = st.one_of(
    items,
    shaped(["message"], role=st.sampled_from(["user", "system", "assistant"]), content=text | st.lists(
        shaped(["input_text", "input_image", "input_file", "input_audio"], text=text, image_url=text, file_id=ids,
               file_data=st.sampled_from(["data:a/b;base64,AA==", "x"]), filename=text), max_size=2)),
    shaped(["function_call_output", "custom_tool_call_output"], call_id=ids, output=text),
)  # fmt: skip
tools = shaped(
    ["function", "custom", "odd"], name=ids, description=text, parameters=st.dictionaries(ids, junk, max_size=1),
    strict=st.booleans(), format=shaped(["grammar", "text"], syntax=st.just("lark"), definition=text),
)  # fmt: skip
bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "input": mostly(text | st.lists(mostly(requested), max_size=4))},
    optional={
        "tools": mostly(st.lists(tools, max_size=2)),
        "tool_choice": mostly(shaped(["function", "custom", "allowed_tools", "mcp"], name=ids, mode=st.just("auto"))),
        "text": mostly(st.dictionaries(st.sampled_from(["format", "verbosity"]), junk)),
        "reasoning": mostly(st.dictionaries(st.sampled_from(["effort", "summary"]), text)),
        "include": mostly(st.lists(text)),
        "store": mostly(st.booleans()),
    },
)


def encoded(value: Any) -> bytes:
    """JSON that may hold numbers of any size, as servers' may."""
    return json.dumps(value).encode()


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_as_an_answer(body: bytes):
    with contextlib.suppress(ModelClientError):
        codec_of().decode(body)
    with contextlib.suppress(ModelClientError):
        codec_of().decode_count(body)
    with contextlib.suppress(BadRequestError):
        codec_of().decode_request(body)


@QUICK
@given(responses)
def test_any_response_as_an_answer(whole: dict[str, Any]):
    """And what is read can be told as a stream, stored, and sent back."""
    try:
        result = codec_of().decode(encoded(whole))
    except ModelClientError:
        return
    assert fold(unfold(result)) == result
    message = msgspec.json.decode(msgspec.json.encode(result.message), type=type(result.message))
    codec_of().encode(asked(message, store=True), {})


@QUICK
@given(st.lists(events, max_size=8), ends, st.integers(1, 40))
def test_any_events_as_a_stream(found: list[dict[str, Any]], end: dict[str, Any], size: int):
    """However the bytes are cut."""
    body = b"".join(b"data: %b\n\n" % encoded(event) for event in [*found, end])

    whole = read(body)
    cut = read([body[start : start + size] for start in range(0, len(body), size)])

    assert cut.outcome == whole.outcome
    fold(whole.events)


@QUICK
@given(st.lists(events, max_size=8), st.lists(items, min_size=1, max_size=3))
def test_the_last_event_has_the_last_word_whatever_came_before(
    found: list[dict[str, Any]], output: list[dict[str, Any]]
):
    """Unless it has fewer parts than were told before."""
    body = b"".join(b"data: %b\n\n" % encoded(event) for event in found)
    stream = read(body + completed(*output))
    if stream.error is not None:
        return
    result, whole = fold(stream.events), codec_of().decode(answer(*output))
    if len(result.answer_parts) == len(whole.answer_parts):
        assert [without_model(part) for part in result.answer_parts] == [without_model(p) for p in whole.answer_parts]


def without_model(part: Any) -> Any:
    """Ids that are made up follow from what the first event said."""
    return part.name if isinstance(part, FunctionCall) and part.id.startswith("call_") else part


@QUICK
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_a_stream_with_some_bytes_changed(place: int, change: bytes):
    body = bytearray(fixture("tool_call.sse"))
    place %= len(body)
    body[place : place + len(change)] = change

    found = read(bytes(body))

    fold(found.events)


@QUICK
@given(bodies)
def test_any_body_as_a_request(body: dict[str, Any]):
    """And what is read can be written, and then read and written as the same again."""
    codec = codec_of()
    try:
        written = codec.encode(codec.decode_request(encoded(body)), {}).body
    except BadRequestError:
        return
    assert codec.encode(codec.decode_request(written), {}).body == written
