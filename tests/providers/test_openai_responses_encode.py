"""Requests on their way to the Responses API."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire.errors import BadRequestError
from modelwire.types import (
    AssistantMessage,
    Audio,
    Citation,
    CreateResult,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    SystemMessage,
    Text,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)
from tests.providers.openai_responses_wire import ORIGIN, URL, asked, body_of, codec_of, items_of, own, raw

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
REASONER = {"family": "gpt-6", "reasoning": True, "model": "gpt-6-sol"}


# ---------------------------------------------------------------------- state


def test_nothing_is_stored_and_reasoning_is_asked_for_encrypted():
    """State stays with the client, so the reasoning must come in a form that can be sent back."""
    body = body_of(asked())

    assert body == {
        "model": "m",
        "input": [{"role": "user", "content": "Hello"}],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_a_model_known_not_to_reason_is_not_asked_for_encrypted_reasoning():
    """It would answer "Encrypted content is not supported with this model"."""
    assert "include" not in body_of(asked(), {"reasoning": False})


def test_store_true_lets_the_server_keep_the_reasoning():
    body = body_of(asked(store=True))

    assert body["store"] is True
    assert "include" not in body


def test_background_mode_needs_the_server_to_store():
    assert body_of(asked(background=True))["store"] is True
    assert body_of(asked(background=True, store=False))["store"] is False


def test_options_of_server_side_state_pass_through():
    given: dict[str, Any] = {
        "previous_response_id": "resp_0",
        "conversation": "conv_1",
        "instructions": "Be brief.",
        "truncation": "auto",
        "max_tool_calls": 2,
        "context_management": [{"type": "compaction", "compact_threshold": 1000}],
        "prompt": {"id": "pmpt_1"},
    }

    body = body_of(asked(**given))

    assert {name: body[name] for name in given} == given


def test_a_prompt_template_may_be_the_whole_input():
    assert "input" not in body_of(asked(prompt={"id": "pmpt_1"}, messages=[]))


# ---------------------------------------------------------------------- options


def test_portable_options_have_their_place():
    body = body_of(asked(max_tokens=16, reasoning_effort="low", verbosity="high", temperature=0.5, metadata={"a": "b"}))

    assert body["max_output_tokens"] == 16
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"] == {"verbosity": "high"}
    assert (body["temperature"], body["metadata"]) == (0.5, {"a": "b"})


def test_reasoning_effort_joins_the_other_members_of_reasoning_and_leaves_the_callers_dict_alone():
    given = {"summary": "auto", "mode": "pro"}

    body = body_of(asked(reasoning=given, reasoning_effort="high"))

    assert body["reasoning"] == {"summary": "auto", "mode": "pro", "effort": "high"}
    assert given == {"summary": "auto", "mode": "pro"}


@pytest.mark.parametrize("options", [{"logprobs": True}, {"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}])
def test_logprobs_are_asked_for_through_include(options):
    body = body_of(asked(store=True, include=["file_search_call.results"], **options))

    assert body["include"] == ["file_search_call.results", "message.output_text.logprobs"]
    assert body.get("top_logprobs") == options.get("top_logprobs")
    assert "logprobs" not in body


def test_what_is_included_already_is_not_asked_for_twice():
    body = body_of(asked(include=["reasoning.encrypted_content"]))

    assert body["include"] == ["reasoning.encrypted_content"]


def test_stream_options_are_only_sent_with_a_stream():
    options = {"include_obfuscation": False}

    assert "stream_options" not in body_of(asked(stream_options=options))
    streamed = body_of(asked(stream_options=options, stream=True))
    assert (streamed["stream"], streamed["stream_options"]) == (True, options)


def test_extra_body_joins_text_and_reasoning_and_replaces_anything_else():
    extra = {"text": {"future": 1}, "reasoning": {"future": 2}, "store": True, "image": {"context_compression": "auto"}}

    body = body_of(asked(verbosity="low", reasoning_effort="low", extra_body=extra))

    assert body["text"] == {"verbosity": "low", "future": 1}
    assert body["reasoning"] == {"effort": "low", "future": 2}
    assert (body["store"], body["image"]) == (True, {"context_compression": "auto"})


def test_extra_body_that_is_no_json_is_refused():
    with pytest.raises(BadRequestError, match="cannot be written as JSON"):
        body_of(asked(extra_body={"x": object()}))


def test_headers_say_whether_a_stream_is_wanted():
    codec = codec_of()

    plain, streamed = codec.encode(asked(), {}), codec.encode(asked(stream=True), {})

    assert (plain.url, plain.method) == (URL, "POST")
    assert dict(plain.headers)[b"accept"] == b"application/json"
    assert dict(streamed.headers)[b"accept"] == b"text/event-stream"


# ---------------------------------------------------------------------- what goes in


def test_system_messages_keep_their_place_and_role():
    items = items_of(
        SystemMessage(content="a"),
        SystemMessage(content=["b", Text(text="c")], developer=True),
        UserMessage(content="d", source="Ann"),
    )

    assert items == [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
        {"role": "user", "content": "d"},  # there is no place for a name
    ]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        ("a", {"type": "input_text", "text": "a"}),
        (Text(text="a", provider_data=own(prompt_cache_breakpoint={"mode": "explicit"})),
         {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}),
        (Image(url="https://e.example/a.png", detail="low"),
         {"type": "input_image", "image_url": "https://e.example/a.png", "detail": "low"}),
        (Image(data=PNG), {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}),
        (Image(file_id="file_1"), {"type": "input_image", "file_id": "file_1"}),
        (Document(file_id="file_1"), {"type": "input_file", "file_id": "file_1"}),
        (Document(url="https://e.example/a.pdf", filename="a.pdf"),
         {"type": "input_file", "file_url": "https://e.example/a.pdf"}),
        (Document(data="JVBERi0=", media_type="application/pdf", filename="a.pdf"),
         {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
        (Document(data="YSxi", media_type="text/csv"),
         {"type": "input_file", "filename": "document.csv", "file_data": "data:text/csv;base64,YSxi"}),
        (Document(text="body", title="Title"), {"type": "input_text", "text": "Title\n\nbody"}),
        (Document(text="body"), {"type": "input_text", "text": "body"}),
        (Audio(data="SUQz", media_type="audio/mpeg"),
         {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}),
        (ProviderPart(provider=ORIGIN, data=raw({"type": "input_video", "x": 1})), {"type": "input_video", "x": 1}),
    ],
)  # fmt: skip
def test_parts_of_a_user_message(part, wire):
    (item,) = items_of(UserMessage(content=[part]))

    assert item == {"role": "user", "content": [wire]}


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Video(url="https://e.example/a.mp4"), "no video"),
        (Audio(data="T2dnUw==", media_type="audio/ogg"), "wav or mp3"),
        (Audio(url="https://e.example/a.mp3"), "wav or mp3"),
        (ProviderPart(provider="anthropic", kind="search_result", data=raw({})), "search_result of anthropic"),
        (Image(data='x"y'), "not base64"),
    ],
)
def test_parts_that_this_api_does_not_take_are_refused_with_the_reason(part, reason):
    with pytest.raises(BadRequestError, match=reason) as caught:
        items_of(UserMessage(content=[part]))

    assert caught.value.status_code == 0


def test_items_of_the_users_own_split_a_user_message():
    """An approval is an item beside the messages, not a part of one."""
    approval = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}
    part = ProviderPart(provider=ORIGIN, data=raw(approval))

    items = items_of(UserMessage(content=["Yes.", part, "Go on.", Image(file_id="file_1")]))

    assert items == [
        {"role": "user", "content": [{"type": "input_text", "text": "Yes."}]},
        approval,
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Go on."}, {"type": "input_image", "file_id": "file_1"}],
        },
    ]


# ---------------------------------------------------------------------- what the model said before


def test_text_made_by_hand_or_elsewhere_is_an_easy_message():
    items = items_of(
        AssistantMessage(content="a"),
        AssistantMessage(content=["b", Text(text="c", citations=[Citation(url="https://e.example")])]),
        AssistantMessage(content=""),
    )

    assert items == [{"role": "assistant", "content": text} for text in "abc"]


def test_a_message_of_the_models_keeps_its_phase_and_annotations_and_loses_its_id_where_nothing_is_stored():
    annotation = {"type": "url_citation", "url": "https://e.example", "start_index": 0, "end_index": 1, "title": "E"}
    part = Text(
        text="a",
        citations=[Citation(url="https://e.example", provider_data=own(annotation=annotation))],
        provider_data=own(id="msg_1", status="completed", phase="commentary"),
    )
    content = [{"type": "output_text", "text": "a", "annotations": [annotation]}]

    assert items_of(AssistantMessage(content=[part])) == [
        {"type": "message", "role": "assistant", "content": content, "phase": "commentary"}
    ]
    assert items_of(AssistantMessage(content=[part]), store=True) == [
        {"type": "message", "role": "assistant", "content": content}
        | {"id": "msg_1", "status": "completed", "phase": "commentary"}
    ]


def test_parts_of_one_message_stay_together_and_other_items_part_them():
    first = Text(text="a", provider_data=own(id="msg_1"))
    second = Text(text="b", provider_data=own(content_index=1))

    together = items_of(AssistantMessage(content=[first, second]))
    parted = items_of(AssistantMessage(content=[first, FunctionCall(id="c", name="f", arguments="{}"), second]))
    alone = items_of(AssistantMessage(content=[second]))

    assert [[part["text"] for part in item["content"]] for item in together] == [["a", "b"]]
    assert [item["type"] for item in parted] == ["message", "function_call", "message"]
    assert [part["text"] for part in alone[0]["content"]] == ["b"]


def test_two_messages_stay_two():
    texts = [Text(text=text, provider_data=own(phase="commentary")) for text in "ab"]

    assert [len(item["content"]) for item in items_of(AssistantMessage(content=texts))] == [1, 1]


def test_a_refusal_is_content_of_a_message():
    assert items_of(AssistantMessage(content=[Refusal(text="No.")])) == [
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    ]


def test_reasoning_goes_back_with_its_id_summary_and_signature():
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    part = Reasoning(
        text="a\n\nb",
        signature="gAAA",
        id="rs_1",
        provider=ORIGIN,
        provider_data=own(summary=summary, status="completed"),
    )

    assert items_of(AssistantMessage(content=[part])) == [
        {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"}
    ]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (Reasoning(signature="gAAA", provider=ORIGIN), {"summary": [], "encrypted_content": "gAAA"}),
        (
            Reasoning(text="a", signature="gAAA", provider=ORIGIN),
            {"summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "gAAA"},
        ),
        (
            Reasoning(text="a", id="rs_1", provider=ORIGIN, provider_data=own(content=[{"text": "a"}])),
            {"summary": [], "content": [{"text": "a"}], "id": "rs_1"},
        ),
    ],
)
def test_reasoning_may_lack_any_of_them(part, wire):
    assert items_of(AssistantMessage(content=[part])) == [{"type": "reasoning", **wire}]


@pytest.mark.parametrize("provider", ["anthropic", "openai", "azure-responses", None])
def test_reasoning_of_others_stays_here(provider):
    part = Reasoning(text="secret", signature="s", provider=provider)

    assert items_of(AssistantMessage(content=[part, "b"], thought="secret")) == [{"role": "assistant", "content": "b"}]


def test_reasoning_that_the_server_would_have_to_look_up_is_left_out_where_nothing_is_stored():
    """The server answers "Item not found. Items are not persisted when `store` is set to false."."""
    part = Reasoning(text="a", id="rs_1", provider=ORIGIN)

    assert "input" not in body_of(asked(AssistantMessage(content=[part])))
    assert items_of(AssistantMessage(content=[part]), store=True)[0]["id"] == "rs_1"


@pytest.mark.parametrize(
    ("made_by", "goes"),
    [
        (None, True),
        ("gpt-6-sol", True),
        ("gpt-6-sol-2026-09-01", True),
        ("gpt-6", True),  # an alias
        ("gpt-6-luna-2026-09-01", False),
        ("gpt-5.4", False),
    ],
)
def test_reasoning_goes_only_to_the_model_that_made_it(made_by, goes):
    part = Reasoning(signature="gAAA", provider=ORIGIN, model=made_by)

    body = body_of(asked(AssistantMessage(content=[part])), REASONER)

    assert ("input" in body) == goes


@pytest.mark.parametrize("info", [{}, {"family": "unknown", "model": "my-deployment"}])
def test_reasoning_goes_back_where_the_models_cannot_be_compared(info):
    """On Azure the answer names the model, and the request the deployment."""
    part = Reasoning(signature="gAAA", provider=ORIGIN, model="gpt-6-sol-2026-09-01")

    assert len(body_of(asked(AssistantMessage(content=[part])), info)["input"]) == 1


def test_calls_keep_what_the_server_needs_to_know_of_them():
    members = own(id="fc_1", status="completed", namespace="crm", caller={"type": "direct"})
    call = FunctionCall(id="call_1", name="f", arguments="", provider_data=members)
    custom = FunctionCall(id="call_2", name="sql", arguments="SELECT 1", custom=True)

    assert items_of(AssistantMessage(content=[call, custom])) == [
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
        | {"namespace": "crm", "caller": {"type": "direct"}},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "sql", "input": "SELECT 1"},
    ]
    assert items_of(AssistantMessage(content=[call]), store=True)[0]["id"] == "fc_1"


def test_ids_too_long_for_the_server_are_shortened_alike_in_the_call_and_its_result():
    long = "toolu_" + "x" * 80
    call, result = items_of(
        AssistantMessage(content=[FunctionCall(id=long, name="f", arguments="{}")]),
        ToolMessage(content=[ToolResult(call_id=long, content="1")]),
    )

    assert call["call_id"] == result["call_id"]
    assert len(call["call_id"]) <= 64


def test_items_of_other_kinds_go_back_byte_for_byte_and_foreign_ones_are_dropped():
    data = b'{"type": "program", "fingerprint": "a\\/b", "n": 1.50}'
    part = ProviderPart(provider=ORIGIN, kind="program", data=msgspec.Raw(data))
    foreign = ProviderPart(provider="anthropic", kind="server_tool_use", data=raw({"type": "x"}))
    message = AssistantMessage(content=[foreign, part, Image(data=PNG), ToolResult(call_id="c", content="x")])

    body = codec_of().encode(asked(message), {}).body

    assert data in body
    assert len(json.loads(body)["input"]) == 1


def test_a_message_with_nothing_left_in_it_is_no_item():
    assert items_of(AssistantMessage(content=[Reasoning(text="a")]), UserMessage(content="b")) == [
        {"role": "user", "content": "b"}
    ]


def test_the_whole_answer_goes_back_in_order():
    """What `CreateResult.message` holds is what the next request says."""
    result = CreateResult(
        finish_reason="function_calls",
        parts=[
            Reasoning(signature="gAAA", id="rs_1", provider=ORIGIN),
            Text(text="Let me look.", provider_data=own(phase="commentary")),
            ProviderPart(provider=ORIGIN, kind="web_search_call", data=raw({"type": "web_search_call", "id": "ws_1"})),
            FunctionCall(id="call_1", name="f", arguments="{}"),
        ],
    )

    items = items_of(result.message, ToolMessage(content=[ToolResult(call_id="call_1", content="1")]))

    kinds = [item["type"] for item in items]
    assert kinds == ["reasoning", "message", "web_search_call", "function_call", "function_call_output"]


# ---------------------------------------------------------------------- results of calls


def test_results_are_one_item_each_and_errors_are_said_in_words():
    message = ToolMessage(
        content=[
            ToolResult(call_id="a", content="1", name="f"),
            ToolResult(call_id="b", content="gone", is_error=True),
            ToolResult(call_id="c", content=["see", Image(file_id="file_1")], is_error=True),
            ToolResult(call_id="d", content="2", custom=True),
        ]
    )

    assert items_of(message) == [
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "Error: gone"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [
                {"type": "input_text", "text": "Error:"},
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "file_id": "file_1"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "d", "output": "2"},
    ]


def test_results_carry_images_and_documents():
    result = ToolResult(call_id="a", content=["see", Image(data=PNG), Document(data="JVBERi0=", filename="a.pdf")])

    (item,) = items_of(ToolMessage(content=[result]))

    assert [part["type"] for part in item["output"]] == ["input_text", "input_image", "input_file"]


@pytest.mark.parametrize("part", [Audio(data="SUQz", media_type="audio/mpeg"), Video(url="https://e.example/a.mp4")])
def test_results_carry_no_sound_or_video(part):
    with pytest.raises(BadRequestError, match="from tools"):
        items_of(ToolMessage(content=[ToolResult(call_id="a", content=[part])]))


def test_a_result_follows_its_call_in_kind_and_caller():
    """Users need not know that a call was a custom one, or came from a program of the model's."""
    caller = {"type": "program", "caller_id": "call_p"}
    message = AssistantMessage(
        content=[
            FunctionCall(id="a", name="sql", arguments="SELECT 1", custom=True),
            FunctionCall(id="b", name="f", arguments="{}", provider_data=own(caller=caller)),
        ]
    )
    results = ToolMessage(content=[ToolResult(call_id="a", content="1"), ToolResult(call_id="b", content="2")])

    *_, first, second = items_of(message, results)

    assert first["type"] == "custom_tool_call_output"
    assert second == {"type": "function_call_output", "call_id": "b", "output": "2", "caller": caller}
