"""Streamed answers of the Responses API."""

from __future__ import annotations

import msgspec

from modelwire._fold import fold, unfold
from modelwire.types import (
    Citation,
    CitationDelta,
    Finish,
    FunctionCall,
    LogprobsDelta,
    PartEnd,
    ProviderEvent,
    ProviderPart,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from tests.providers.openai_responses_wire import (
    ORIGIN,
    added,
    called,
    codec_of,
    completed,
    created,
    done,
    event,
    fixture,
    own,
    raw,
    read,
    read_all,
    response,
    said,
    text,
)

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


def folds_to_the_response(*frames: bytes) -> list:
    """The events of a stream whose last event says what they add up to."""
    events = read_all(*frames)
    result = fold(events)
    last = frames[-1].split(b"data: ", 1)[1]
    whole = msgspec.json.encode(msgspec.json.decode(last)["response"])
    assert result == codec_of().decode(whole)
    assert fold(unfold(result)) == result
    return events


# ---------------------------------------------------------------------- as it is documented


def test_the_events_of_a_whole_answer():
    """Every kind of part, the pause between two summaries, and a signature that only the last event has right."""
    summary = [{"type": "summary_text", "text": "**Look it up**"}, {"type": "summary_text", "text": "Then answer."}]
    reasoning = Reasoning(
        text="**Look it up**\n\nThen answer.",
        signature="gAAA-early",
        id="rs_1",
        provider=ORIGIN,
        model="gpt-6-sol",
        provider_data=own(summary=summary),
    )
    last = msgspec.structs.replace(reasoning, signature="gAAA-last", model="gpt-6-sol-2026-09-01")
    message = Text(text="Let me look.", provider_data=own(id="msg_1", status="completed", phase="commentary"))
    call = FunctionCall(id="call_a", name="f", arguments='{"x":1}', provider_data=own(id="fc_1", status="completed"))

    events = read_all(fixture("tool_call.sse"))

    assert events[:-1] == [
        Start(id="resp_1", model="gpt-6-sol"),
        ReasoningDelta(text="**Look it", index=0),
        ReasoningDelta(text=" up**", index=0),
        ReasoningDelta(text="\n\nThen answer.", index=0),
        PartEnd(part=reasoning, index=0),
        TextDelta(text="Let me ", index=1),
        TextDelta(text="look.", index=1),
        PartEnd(part=message, index=1),
        ToolCallStart(id="call_a", name="f", index=2),
        ToolCallDelta(arguments='{"x":', index=2),
        ToolCallDelta(arguments="1}", index=2),
        PartEnd(part=call, index=2),
        PartEnd(part=last, index=0),
    ]
    finish = events[-1]
    assert isinstance(finish, Finish)
    assert (finish.finish_reason, finish.raw_finish_reason) == ("function_calls", "completed")
    assert (finish.id, finish.model, finish.provider) == ("resp_1", "gpt-6-sol-2026-09-01", "openai")
    assert (finish.usage.cached_tokens, finish.usage.cache_write_tokens, finish.usage.reasoning_tokens) == (4, 2, 2)
    assert set(finish.provider_data[ORIGIN]) == {"created_at", "service_tier"}


def test_text_that_its_deltas_say_wholly_needs_no_end():
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ab"}]}

    events = folds_to_the_response(
        created(), text("a", output_index=0, content_index=0), text("b", output_index=0, content_index=0),
        done(item, output_index=0), completed(item),
    )  # fmt: skip

    assert [type(found) for found in events] == [Start, TextDelta, TextDelta, Finish]


def test_several_parts_of_one_message_have_a_place_each():
    item = said("a")
    item["content"] += [{"type": "refusal", "refusal": "No."}, {"type": "output_text", "text": "c", "annotations": []}]

    events = folds_to_the_response(
        created(),
        added({**item, "content": []}, output_index=0),
        text("a", output_index=0, content_index=0),
        event("response.refusal.delta", output_index=0, content_index=1, delta="N"),
        event("response.refusal.delta", output_index=0, content_index=1, delta="o."),
        event("response.refusal.done", output_index=0, content_index=1, refusal="No."),
        text("c", output_index=0, content_index=2),
        done(item, output_index=0),
        completed(item),
    )

    assert events[2:4] == [RefusalDelta(text="N", index=1), RefusalDelta(text="o.", index=1)]
    assert fold(events).finish_reason == "refusal"


def test_texts_may_take_turns():
    """Of one message, and of two."""
    first, second = said("ac"), said("e")
    first["content"].append({"type": "output_text", "text": "bd", "annotations": []})
    places = [("a", 0, 0), ("b", 0, 1), ("c", 0, 0), ("d", 0, 1), ("e", 1, 0)]

    events = folds_to_the_response(
        created(),
        *(text(delta, output_index=item, content_index=part) for delta, item, part in places),
        completed(first, second),
    )

    assert [(delta.text, delta.index) for delta in events if isinstance(delta, TextDelta)] == [
        ("a", 0), ("b", 1), ("c", 0), ("d", 1), ("e", 2),
    ]  # fmt: skip


def test_items_that_overlap_keep_the_order_in_which_they_were_announced():
    message, call = said("b"), called()

    events = folds_to_the_response(
        created(), added(REASONING, output_index=0), added({**message, "content": []}, output_index=1),
        text("b", output_index=1, content_index=0), added({**call, "arguments": ""}, output_index=2),
        event("response.function_call_arguments.delta", output_index=2, delta="{}"),
        done(call, output_index=2), done(message, output_index=1), done(REASONING, output_index=0),
        completed(REASONING, message, call),
    )  # fmt: skip

    kinds = [type(part) for part in fold(events).answer_parts]
    assert kinds == [Reasoning, Text, FunctionCall]


def test_citations_come_as_they_are_found_and_whole_in_the_end():
    annotation = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 1}
    citation = Citation(
        url="https://a.example", title="A", start_index=0, end_index=1, provider_data=own(annotation=annotation)
    )
    item = said("a", annotations=[annotation])

    events = folds_to_the_response(
        created(), text("a", output_index=0, content_index=0),
        event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=annotation),
        completed(item),
    )  # fmt: skip

    assert events[2] == CitationDelta(citation=citation, index=0)
    assert fold(events).answer_parts[0].citations == [citation]


def test_a_citation_before_its_text_is_no_part_of_its_own():
    annotation = {"type": "file_path", "file_id": "f", "index": 0}
    frames = (
        event("response.output_text.annotation.added", annotation=annotation),
        event("response.output_text.annotation.added"),
    )

    events = folds_to_the_response(created(), *frames, completed(called()))

    assert [type(found) for found in events[:3]] == [Start, CitationDelta, ToolCallStart]


def test_log_probabilities_are_those_of_the_whole_answer():
    """Those of the deltas lack bytes."""
    token = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}

    events = folds_to_the_response(
        created(), text("a", output_index=0, content_index=0, logprobs=[{"token": "a", "logprob": -0.5}]),
        completed(said("a", logprobs=[token])),
    )  # fmt: skip

    (delta,) = (found for found in events if isinstance(found, LogprobsDelta))
    assert delta.logprobs[0].bytes == [97]


def test_free_text_calls_stream_their_input():
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "sql", "input": "SELECT 1"}

    events = folds_to_the_response(
        created(), added({**item, "input": ""}, output_index=0),
        event("response.custom_tool_call_input.delta", output_index=0, delta="SELECT "),
        event("response.custom_tool_call_input.delta", output_index=0, delta="1"),
        event("response.custom_tool_call_input.done", output_index=0, input="SELECT 1"),
        done(item, output_index=0), completed(item),
    )  # fmt: skip

    assert events[1] == ToolCallStart(id="call_1", name="sql", custom=True)
    assert fold(events).tool_calls[0].arguments == "SELECT 1"


def test_reasoning_of_open_models_streams_its_text():
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "ab"}]}

    events = folds_to_the_response(
        created(), added({**item, "content": []}, output_index=0),
        event("response.content_part.added", output_index=0, content_index=0, part={"type": "reasoning_text", "text": ""}),
        event("response.reasoning_text.delta", output_index=0, content_index=0, delta="a"),
        event("response.reasoning_text.delta", output_index=0, content_index=0, delta="b"),
        event("response.reasoning_text.done", output_index=0, content_index=0, text="ab"),
        done(item, output_index=0), text("c", output_index=1, content_index=0), completed(item, said("c")),
    )  # fmt: skip

    assert [found.index for found in events if isinstance(found, TextDelta)] == [1]
    assert [found.text for found in events if isinstance(found, ReasoningDelta)] == ["a", "b"]
    assert fold(events).thought == "ab"


def test_steps_of_built_in_tools_are_events_of_the_provider_and_a_part_in_the_end():
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
    step = event("response.web_search_call.searching", output_index=0, item_id="ws_1")

    events = folds_to_the_response(
        created(),
        added({**item, "status": "in_progress"}, output_index=0),
        step,
        done(item, output_index=0),
        completed(item),
    )

    assert events[1] == ProviderEvent(
        provider=ORIGIN,
        kind="response.web_search_call.searching",
        data=msgspec.Raw(step.split(b"data: ", 1)[1].strip()),
    )
    assert events[2] == PartEnd(part=ProviderPart(provider=ORIGIN, kind="web_search_call", data=raw(item)), index=0)


def test_an_unknown_event_is_passed_on_whatever_its_members_are():
    """`delta` is an object here, and `output_index` a list."""
    odd = event("response.mood.changed", delta={"from": 1}, output_index=[2])

    events = folds_to_the_response(created(), odd, completed(said("a")))

    assert events[1].kind == "response.mood.changed"
    assert msgspec.json.decode(events[1].data) == {
        "type": "response.mood.changed",
        "delta": {"from": 1},
        "output_index": [2],
    }


def test_an_incomplete_answer_says_why():
    item = said("a") | {"status": "incomplete"}

    events = read_all(
        created(), text("a", output_index=0, content_index=0),
        event("response.incomplete",
              response=response(item, status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
    )  # fmt: skip

    assert (events[-1].finish_reason, events[-1].raw_finish_reason) == ("length", "max_output_tokens")


# ---------------------------------------------------------------------- what servers leave out


def test_an_answer_that_only_its_last_event_holds():
    """No item, no delta: all is told from the end."""
    item = said("Hello")

    events = folds_to_the_response(created(), completed(REASONING, item, called()))

    assert [type(found) for found in events] == [
        Start, PartEnd, TextDelta, PartEnd, ToolCallStart, ToolCallDelta, PartEnd, Finish,
    ]  # fmt: skip


def test_items_without_deltas_are_told_when_they_are_done():
    """The text reaches the caller before the stream's end."""
    call = called(arguments='{"x":1}')
    decoder = codec_of().stream_decoder()

    events = decoder.feed(created() + done(said("Hello"), output_index=0) + done(call, output_index=1))

    assert [type(found) for found in events[1:]] == [TextDelta, PartEnd, ToolCallStart, ToolCallDelta, PartEnd]


def test_the_end_of_a_text_that_no_delta_brought():
    events = read_all(
        created(), text("Hel", output_index=0, content_index=0),
        event("response.output_text.done", output_index=0, content_index=0, text="Hello"), completed(said("Hello")),
    )  # fmt: skip

    assert [found.text for found in events if isinstance(found, TextDelta)] == ["Hel", "lo"]


def test_numbers_may_be_missing_from_every_event():
    """As of llama.cpp's server: events only say the item's id."""
    first, second = said("a"), {**said("b"), "id": "msg_2"}
    calls = called("call_1"), called("call_2", arguments='{"y":2}')

    events = folds_to_the_response(
        created(),
        added({**first, "content": []}), event("response.content_part.added", item_id="msg_1", part={"type": "output_text"}),
        text("a", item_id="msg_1"), done(first),
        added({**second, "content": []}), text("b", item_id="msg_2"), done(second),
        *(added({**call, "arguments": ""}) for call in calls),
        *(event("response.function_call_arguments.delta", item_id=call["id"], delta=call["arguments"]) for call in calls),
        *(done(call) for call in calls),
        completed(first, second, *calls),
    )  # fmt: skip

    assert fold(events).text == "ab"
    assert [(delta.arguments, delta.index) for delta in events if isinstance(delta, ToolCallDelta)] == [
        ("{}", 2),
        ('{"y":2}', 3),
    ]


def test_without_numbers_and_ids_an_item_lasts_until_it_is_done():
    first, second = ({**said(words), "id": ""} for words in "ab")

    events = folds_to_the_response(created(), text("a"), done(first), text("b"), done(second), completed(first, second))

    assert [(delta.text, delta.index) for delta in events if isinstance(delta, TextDelta)] == [("a", 0), ("b", 1)]


def test_every_call_has_an_end_though_its_deltas_say_it_all():
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}

    events = folds_to_the_response(
        created(), added({**call, "arguments": ""}, output_index=0),
        event("response.function_call_arguments.delta", output_index=0, delta="{}"), done(call, output_index=0),
        completed(call),
    )  # fmt: skip

    assert [found.part for found in events if isinstance(found, PartEnd)] == [
        FunctionCall(id="call_1", name="f", arguments="{}")
    ]


def test_ids_may_be_missing_too_or_change_on_the_way():
    call = called(arguments='{"x":1}')

    events = folds_to_the_response(
        created(),
        text("a"), text("b"), done({**said("ab"), "id": "msg_9"}),
        added({**call, "id": "fc_early", "arguments": ""}),
        event("response.function_call_arguments.delta", delta='{"x":'),
        event("response.function_call_arguments.delta", delta="1}", item_id="fc_other"),
        done(call), completed({**said("ab"), "id": "msg_9"}, call),
    )  # fmt: skip

    assert [type(found) for found in events].count(ToolCallStart) == 1
    assert [type(found) for found in events].count(TextDelta) == 2


def test_a_refusal_after_a_text_is_a_part_of_its_own_without_numbers_too():
    item = said("a")
    item["content"].append({"type": "refusal", "refusal": "No."})

    events = folds_to_the_response(
        created(), text("a"), event("response.refusal.delta", delta="No."), done(item), completed(item)
    )

    assert events[1:3] == [TextDelta(text="a"), RefusalDelta(text="No.", index=1)]


def test_a_text_that_is_repeated_after_its_end_is_not_told_again():
    repeated = event("response.output_text.done", output_index=0, content_index=0, text="ab and more")

    events = folds_to_the_response(
        created(), text("ab", output_index=0, content_index=0), done(said("ab"), output_index=0), repeated,
        completed(said("ab")),
    )  # fmt: skip

    assert [found.text for found in events if isinstance(found, TextDelta)] == ["ab"]


def test_a_call_that_is_announced_without_its_name_is_told_when_it_is_done():
    call = called(arguments='{"x":1}')

    events = folds_to_the_response(
        created(), added({"type": "function_call", "id": "fc_call_1"}, output_index=0), done(call, output_index=0),
        completed(call),
    )  # fmt: skip

    assert events[1] == ToolCallStart(id="call_1", name="f")


def test_a_call_that_was_never_announced_is_told_when_its_name_is_known():
    call = called(arguments='{"x":1}')

    events = folds_to_the_response(
        created(), event("response.function_call_arguments.delta", output_index=0, delta='{"x":'),
        added({**call, "arguments": ""}, output_index=0), done(call, output_index=0), completed(call),
    )  # fmt: skip

    assert events[1:-1] == [
        ToolCallStart(id="call_1", name="f"),
        ToolCallDelta(arguments='{"x":1}'),
        PartEnd(part=fold(events).tool_calls[0]),
    ]


def test_an_item_may_be_announced_twice():
    call = called()

    events = folds_to_the_response(
        created(), created(), added({**call, "arguments": ""}, output_index=0), added({**call, "arguments": ""}, output_index=0),
        event("response.function_call_arguments.delta", output_index=0, delta="{}"), done(call, output_index=0),
        completed(call),
    )  # fmt: skip

    assert [type(found) for found in events].count(ToolCallStart) == 1
    assert [type(found) for found in events].count(Start) == 1


def test_what_the_last_event_leaves_out_is_kept():
    """Some servers end with an empty response."""
    items = REASONING, said("Hello")
    frames = [created(), *(done(item, output_index=index) for index, item in enumerate(items))]

    for end in (completed(), event("response.completed"), event("response.completed", response={"id": "resp_1"})):
        result = fold(read_all(*frames, end))

        assert [type(part) for part in result.answer_parts] == [Reasoning, Text]
        assert (result.finish_reason, result.id, result.model) == ("stop", "resp_1", "m-1")


def test_log_probabilities_of_items_count_where_the_last_event_has_none():
    token = {"token": "a", "bytes": [97], "logprob": -0.5}

    result = fold(read_all(created(), done(said("a", logprobs=[token]), output_index=0), completed()))

    assert [found.token for found in result.logprobs] == ["a"]


def test_items_that_only_the_last_event_has_come_in_their_place():
    """Recorded of OpenAI: lists of tools that were announced, but never done."""
    lists = [{"type": "mcp_list_tools", "id": f"mcpl_{index}", "tools": []} for index in range(2)]

    events = folds_to_the_response(
        created(), added(lists[0], output_index=0), added(lists[1], output_index=1), done(lists[1], output_index=1),
        text("a", output_index=2, content_index=0), done(said("a"), output_index=2), completed(*lists, said("a")),
    )  # fmt: skip

    assert [found.index for found in events if isinstance(found, PartEnd)] == [1, 2, 0]


def test_the_last_event_has_the_last_word():
    """Other text, another order and more items than came before."""
    events = folds_to_the_response(
        created(), text("Hallo", output_index=0, content_index=0), done(said("Hallo"), output_index=0),
        completed(REASONING, said("Hello"), called()),
    )  # fmt: skip

    assert fold(events).text == "Hello"


def test_a_stream_need_not_begin_with_created():
    events = folds_to_the_response(text("a", output_index=0, content_index=0), completed(said("a")))

    assert events[0] == Start()
    assert events[1] == TextDelta(text="a")


def test_done_of_chat_completions_is_no_event():
    frames = created(), b"data: [DONE]\n\n", completed(said("a")), b"data: [DONE]\n\n"

    assert isinstance(read_all(*frames)[-1], Finish)


def test_what_follows_the_end_is_not_read():
    decoder = codec_of().stream_decoder()

    events = decoder.feed(completed(said("a")) + b"data: garbage\n\n")

    assert isinstance(events[-1], Finish)
    assert decoder.error is None
    assert decoder.close() == []


def test_comments_and_carriage_returns_are_no_matter():
    stream = b": keep-alive\n\n" + created() + completed(said("a"))

    assert read(stream.replace(b"\n", b"\r\n")).outcome == read(stream).outcome


def test_numbers_may_be_strings():
    events = read_all(created(), text("a", output_index="0", content_index="0"), completed(said("a")))

    assert events[1] == TextDelta(text="a")


def test_refusals_that_no_delta_brought():
    item = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}

    events = folds_to_the_response(
        created(), event("response.refusal.done", output_index=0, content_index=0, refusal="No."), completed(item)
    )

    assert events[1] == RefusalDelta(text="No.")
    assert fold(events).answer_parts == [Refusal(text="No.")]
