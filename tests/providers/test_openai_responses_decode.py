"""Whole answers of the Responses API."""

from __future__ import annotations

import sys

import msgspec
import pytest

from modelwire.errors import ProtocolError
from modelwire.types import Citation, CreateResult, FunctionCall, ProviderPart, Reasoning, Refusal, Text, Usage
from tests.providers.openai_responses_wire import (
    ORIGIN,
    answer,
    asked,
    called,
    codec_of,
    fixture,
    own,
    raw,
    response,
    said,
)


def decoded(*output, provider: str = "openai", **members) -> CreateResult:
    return codec_of(provider).decode(answer(*output, **members))


def reason_of(*output, **members) -> tuple[str, str | None]:
    result = decoded(*output, **members)
    return result.finish_reason, result.raw_finish_reason


# ---------------------------------------------------------------------- the fixture: every kind of output


@pytest.fixture(scope="module")
def full() -> CreateResult:
    return codec_of().decode(fixture("answer.json"))


def test_an_answer_is_its_items_in_order(full):
    kinds = [part.kind if isinstance(part, ProviderPart) else type(part) for part in full.answer_parts]

    assert kinds == [
        Reasoning, "mcp_list_tools", Text, "web_search_call", "program", FunctionCall, FunctionCall, Text, Text, "compaction",
    ]  # fmt: skip


def test_facts_about_the_answer(full):
    assert (full.id, full.model, full.provider) == ("resp_1", "gpt-6-sol-2026-09-01", "openai")
    assert (full.finish_reason, full.raw_finish_reason) == ("function_calls", "completed")
    assert full.usage == Usage(
        prompt_tokens=30,
        completion_tokens=20,
        total_tokens=50,
        cached_tokens=10,
        cache_write_tokens=5,
        reasoning_tokens=7,
    )
    assert full.text == "Looking.As A says. And more."
    assert full.thought == "First — look.\n\nThen say."
    assert [call.name for call in full.tool_calls] == ["f", "sql"]


def test_members_of_the_response_that_users_ask_for_are_kept(full):
    kept = full.provider_data[ORIGIN]

    assert set(kept) == {"created_at", "service_tier", "input_transformations", "tool_usage"}
    assert bytes(kept["created_at"]) == b"1794787200.0"
    assert msgspec.json.decode(kept["tool_usage"])["web_search"] == {"num_requests": 1}


def test_reasoning_has_its_summary_byte_for_byte_beside_its_text(full):
    part = full.answer_parts[0]

    assert (part.id, part.signature, part.provider, part.model) == (
        "rs_1",
        "gAAA/+==",
        ORIGIN,
        "gpt-6-sol-2026-09-01",
    )
    assert (
        bytes(part.provider_data[ORIGIN]["summary"])
        == b'[ {"type": "summary_text", "text": "First \\u2014 look."}, {"type": "summary_text", "text": "Then say."} ]'
    )


def test_the_members_of_a_message_are_with_its_first_part(full):
    commentary, first, second = (part for part in full.answer_parts if isinstance(part, Text))

    assert commentary.provider_data == own(id="msg_1", status="completed", phase="commentary")
    assert first.provider_data == own(id="msg_2", status="completed", phase="final_answer")
    assert second.provider_data == own(content_index=1)


def test_calls_have_their_call_id_and_keep_the_rest(full):
    call, custom = full.tool_calls

    assert (call.id, call.name, call.arguments, call.custom) == ("call_1", "f", '{"x": 1.50}', False)
    assert call.provider_data == {
        ORIGIN: {
            "id": raw("fc_1"),
            "namespace": raw("crm"),
            "caller": msgspec.Raw(b'{"type": "program", "caller_id": "call_p"}'),
            "status": raw("completed"),
        }
    }
    assert (custom.id, custom.name, custom.arguments, custom.custom) == ("call_2", "sql", "SELECT 1", True)


def test_annotations_are_citations_that_keep_the_whole_annotation(full):
    text = next(part for part in full.answer_parts if isinstance(part, Text) and part.citations)
    plain = [msgspec.structs.replace(citation, provider_data=None) for citation in text.citations]

    assert plain == [
        Citation(url="https://a.example", title="A", start_index=3, end_index=4),
        Citation(source_id="file_1", title="a.txt"),
        Citation(source_id="file_2", title="b.csv", start_index=0, end_index=2),
        Citation(source_id="file_3"),
    ]
    assert (
        bytes(text.citations[3].provider_data[ORIGIN]["annotation"])
        == b'{"type": "file_path", "file_id": "file_3", "index": 0}'
    )


def test_log_probabilities_are_those_of_all_texts(full):
    (token,) = full.logprobs

    assert (token.token, token.logprob, token.bytes) == ("As", -0.5, [65, 115])
    assert token.top_logprobs[0].token == "As"


def test_items_of_other_kinds_are_kept_byte_for_byte(full):
    part = full.answer_parts[3]

    assert (part.provider, part.kind) == (ORIGIN, "web_search_call")
    assert b'"big": 12345678901234567890' in bytes(part.data)


def test_the_answer_goes_back_as_it_came(full):
    """Through JSON, as from a store: all opaque data is byte for byte what the server sent."""
    stored = msgspec.json.encode(full.message)
    message = msgspec.json.decode(stored, type=type(full.message))

    body = codec_of().encode(asked(message, store=True), {}).body

    for opaque in (
        b'"encrypted_content":"gAAA/+=="',
        b'[ {"type": "summary_text", "text": "First \\u2014 look."}, {"type": "summary_text", "text": "Then say."} ]',
        b'{"id": "prg_1", "type": "program", "call_id": "call_p", "code": "await f()", "fingerprint": "fp\\/1"}',
        b'"query": "x", "big": 12345678901234567890}}',
        b'{"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 3, "end_index": 4}',
        b'"caller":{"type": "program", "caller_id": "call_p"}',
        b'{"limit": 1.0}',
    ):
        assert opaque in body
    sent = msgspec.json.decode(body)["input"]
    recorded = msgspec.json.decode(fixture("answer.json"))["output"]
    for item in recorded:
        for part in item.get("content", ()):
            part.pop("logprobs", None)
    assert sent == recorded


# ---------------------------------------------------------------------- why it ended


@pytest.mark.parametrize(
    ("output", "members", "reason"),
    [
        ([said("a")], {}, ("stop", "completed")),
        ([said("a")], {"status": "complete"}, ("stop", "complete")),
        ([said("a")], {"status": None}, ("stop", None)),
        ([called()], {}, ("function_calls", "completed")),
        ([called(type="custom_tool_call", input="x")], {}, ("function_calls", "completed")),
        ([said("a"), called()], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
         ("function_calls", "max_output_tokens")),
        ([said("a"), called(status="incomplete")],
         {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, ("length", "max_output_tokens")),
        ([said("a")], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
         ("length", "max_output_tokens")),
        ([said("a")], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
         ("content_filter", "content_filter")),
        ([called()], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
         ("content_filter", "content_filter")),
        ([said("a")], {"status": "incomplete", "incomplete_details": {"reason": "max_messages"}}, ("pause", "max_messages")),
        ([said("a")], {"status": "incomplete", "incomplete_details": {"reason": "steered"}}, ("pause", "steered")),
        ([said("a")], {"status": "incomplete", "incomplete_details": {"reason": "tired"}}, ("unknown", "tired")),
        ([said("a")], {"status": "incomplete"}, ("unknown", "incomplete")),
        ([], {"status": "cancelled"}, ("unknown", "cancelled")),
        ([], {"status": "queued"}, ("unknown", "queued")),
        ([], {"status": "in_progress"}, ("unknown", "in_progress")),
        ([{"type": "mcp_approval_request", "id": "mcpr_1"}], {}, ("pause", "completed")),
        ([{"type": "mcp_approval_request", "id": "mcpr_1"}, called()], {}, ("function_calls", "completed")),
        ([{"type": "computer_call", "call_id": "c"}], {}, ("pause", "completed")),
        ([{"type": "apply_patch_call", "call_id": "c"}], {}, ("pause", "completed")),
        ([{"type": "local_shell_call", "call_id": "c"}], {}, ("pause", "completed")),
        ([{"type": "shell_call", "call_id": "c"}], {}, ("pause", "completed")),
        ([{"type": "shell_call", "call_id": "c"}, {"type": "shell_call_output", "call_id": "c"}], {}, ("stop", "completed")),
        ([{"type": "shell_call", "call_id": "c"}, {"type": "shell_call_output", "call_id": "d"}], {}, ("pause", "completed")),
        ([{"type": "tool_search_call", "call_id": None}, {"type": "tool_search_output", "call_id": None}], {},
         ("stop", "completed")),
        ([{"type": "web_search_call", "id": "ws_1"}, said("a")], {}, ("stop", "completed")),
    ],
)  # fmt: skip
def test_the_reason_follows_from_the_status_and_from_what_is_in_the_answer(output, members, reason):
    assert reason_of(*output, **members) == reason


def test_a_refusal_is_a_part_and_the_reason():
    item = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}

    result = decoded(item)

    assert result.answer_parts == [Refusal(text="No.")]
    assert (result.finish_reason, result.refusal, result.text) == ("refusal", "No.", "")


# ---------------------------------------------------------------------- what servers leave out or do otherwise


def test_reasoning_that_is_shown_goes_before_its_summary():
    """Models with open weights show what they think."""
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}, {"type": "reasoning_text", "text": "longer"}],
    }

    (part,) = decoded(item).answer_parts

    assert part.text == "long\n\nlonger"
    assert set(part.provider_data[ORIGIN]) == {"summary", "content"}


def test_empty_members_of_reasoning_say_nothing():
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": None,
        "encrypted_content": None,
        "status": None,
    }

    (part,) = decoded(item).answer_parts

    assert part == Reasoning(id="rs_1", provider=ORIGIN, model="m-1")


def test_a_message_of_one_text_needs_no_more_than_that():
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}

    assert decoded(item).answer_parts == [Text(text="a")]
    assert decoded({**item, "content": "a"}).answer_parts == [Text(text="a")]


def test_a_message_that_is_empty_or_not_the_assistants_is_kept_whole():
    empty = {"type": "message", "role": "assistant", "content": [], "id": "msg_1"}
    users = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}

    parts = decoded(empty, users).answer_parts

    assert parts == [ProviderPart(provider=ORIGIN, kind="message", data=raw(item)) for item in (empty, users)]


def test_content_of_an_unknown_kind_stays_in_its_place_as_a_message_of_its_own():
    odd = {"type": "output_scent", "smell": "rose"}
    item = said("a")
    item["content"].append(odd)

    first, second = decoded(item).answer_parts

    assert (first.text, second.kind) == ("a", "output_scent")
    assert msgspec.json.decode(second.data) == {"type": "message", "role": "assistant", "content": [odd]}


def test_unknown_members_of_a_message_and_of_its_parts_come_back_where_they_were():
    item = said("a", future=1) | {"mood": "good"}

    message = decoded(item).message
    (sent,) = msgspec.json.decode(codec_of().encode(asked(message), {}).body)["input"]

    assert sent["mood"] == "good"
    assert sent["content"][0]["future"] == 1


def test_a_call_without_a_call_id_has_its_own_id_or_a_made_up_one_that_stays_the_same():
    call = called()
    del call["call_id"]
    bare = {"type": "function_call", "name": "f", "arguments": "{}"}

    assert decoded(call).tool_calls[0].id == "fc_call_1"
    made_up = decoded(bare, bare).tool_calls
    assert made_up[0].id.startswith("call_")
    assert made_up[0].id != made_up[1].id
    assert made_up == decoded(bare, bare).tool_calls


def test_arguments_that_are_an_object_are_its_text():
    (call,) = decoded(called(arguments={"x": 1})).tool_calls

    assert call.arguments == '{"x":1}'


@pytest.mark.parametrize("odd", [-1, 1.5, "3", None, 10**20, True])
def test_an_offset_that_is_none_is_only_kept_in_the_annotation(odd):
    annotation = {"type": "url_citation", "url": "https://a.example", "start_index": odd, "end_index": 4}

    (citation,) = decoded(said("a", annotations=[annotation])).answer_parts[0].citations

    assert (citation.start_index, citation.end_index) == (None, 4)
    assert citation.provider_data == own(annotation=annotation)


def test_usage_may_lack_its_details_or_be_missing():
    assert decoded(said("a"), usage=None).usage is None
    assert decoded(said("a"), usage={}).usage is None
    assert decoded(said("a"), usage={"input_tokens": 1, "output_tokens": 2}).usage == Usage(
        prompt_tokens=1, completion_tokens=2, total_tokens=3
    )
    assert decoded(said("a"), usage={"input_tokens": 1, "output_tokens": 2, "cost": 0.5}).usage.cost == 0.5


def test_numbers_may_be_strings():
    assert decoded(said("a"), usage={"input_tokens": "1", "output_tokens": "2"}).usage.total_tokens == 3


def test_parts_and_data_are_marked_with_the_server_that_made_them():
    result = decoded(
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "x"}, service_tier="flex", provider="azure"
    )

    assert result.provider == "azure"
    assert result.answer_parts[0].provider == "azure-responses"
    assert set(result.provider_data) == {"azure-responses"}


def test_a_result_does_not_hold_the_bytes_that_it_was_read_from():
    """Raw members are copies, not views: a kept result does not keep a body of megabytes."""
    body = fixture("answer.json")
    before = sys.getrefcount(body)

    result = codec_of().decode(body)

    assert result.answer_parts
    assert sys.getrefcount(body) == before


# ---------------------------------------------------------------------- other answers


def test_a_compacted_conversation_is_read_like_an_answer():
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}], "id": "msg_1"}
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}
    body = msgspec.json.encode(response(user, compaction, object="response.compaction", status=None))

    message = codec_of().decode(body).message

    assert msgspec.json.decode(codec_of().encode(asked(message), {}).body)["input"] == [user, compaction]


def test_the_count_of_tokens():
    assert codec_of().decode_count(b'{"object": "response.input_tokens", "input_tokens": 11}') == 11


def test_a_count_that_is_none_is_garbage():
    with pytest.raises(ProtocolError):
        codec_of().decode_count(b'{"object": "response.input_tokens"}')


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "an empty answer"),
        (b"<html>Sign in</html>", "a web page"),
        (b"{", "not an answer"),
        (b"[]", "not an answer"),
        (b"{}", "neither output nor status"),
        (b'{"choices": [], "object": "chat.completion"}', "neither output nor status"),
        (b'{"output": {"a": 1}}', "not an answer"),
        (b'{"output": ' + b"[" * 5000, "not an answer"),
        (b'{"output": [], "id": "\xff"}', "not an answer"),
    ],
)
def test_garbage_is_a_protocol_error_with_its_bytes(body, reason):
    with pytest.raises(ProtocolError, match=reason) as caught:
        codec_of().decode(body)

    assert (caught.value.status_code, caught.value.body) == (200, body)


@pytest.mark.parametrize("item", [1, "x", None, said("a", annotations=5), said("a", logprobs=[{"token": 5}])])
def test_garbage_among_the_items_is_a_protocol_error(item):
    with pytest.raises(ProtocolError, match="not an answer"):
        decoded(said("a"), item)
