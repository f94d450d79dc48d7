"""Events and results as two views of one answer."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire._fold import EventBuilder, after_text, fold, join_base64, unfold
from modelwire.types import (
    Attempt,
    Audio,
    AudioDelta,
    Choice,
    ChoiceEnd,
    Citation,
    CitationDelta,
    CreateResult,
    Document,
    Finish,
    FunctionCall,
    Image,
    LogprobsDelta,
    Part,
    PartEnd,
    ProviderEvent,
    ProviderPart,
    RateLimit,
    RateLimitWindow,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    Timing,
    TokenLogprob,
    ToolCallDelta,
    ToolCallStart,
    Usage,
    UsageUpdate,
    Video,
)

USAGE = Usage(prompt_tokens=3, completion_tokens=4)
RAW = {"p": {"x": msgspec.Raw(b"1.0e3")}}
FINISH = Finish(finish_reason="stop")
MANY = settings(max_examples=150, deadline=None, derandomize=True)

# ---------------------------------------------------------------------- there and back

TEXTS = st.text(max_size=5)
DATA = st.binary(min_size=1, max_size=4).map(lambda content: base64.b64encode(content).decode())
OWN = st.sampled_from([None, RAW])
CITATIONS = st.builds(Citation, url=TEXTS, start_index=st.none() | st.integers(0, 9))
PARTS = st.one_of(
    st.builds(Text, text=TEXTS, citations=st.none() | st.lists(CITATIONS, min_size=1, max_size=2), provider_data=OWN),
    st.builds(Reasoning, text=TEXTS, signature=st.none() | TEXTS, provider=st.none() | TEXTS, provider_data=OWN),
    st.builds(Refusal, text=TEXTS, category=st.none() | TEXTS),
    st.builds(FunctionCall, id=TEXTS, name=TEXTS, arguments=TEXTS, custom=st.booleans(), provider_data=OWN),
    st.builds(Image, data=DATA),
    st.builds(Audio, id=TEXTS, transcript=st.none() | TEXTS, expires_at=st.none() | st.integers(0)),
    st.builds(Document, text=TEXTS),
    st.builds(Video, url=TEXTS),
    st.builds(ProviderPart, provider=TEXTS, data=st.just(msgspec.Raw(b"{}"))),
)
LOGPROBS = st.none() | st.lists(st.builds(TokenLogprob, token=TEXTS, logprob=st.just(-0.5)), min_size=1, max_size=2)
REASONS = st.sampled_from(
    ["stop", "length", "function_calls", "content_filter", "refusal", "pause", "error", "unknown"]
)
CHOICES = st.builds(
    Choice,
    index=st.just(1),
    parts=st.lists(PARTS, max_size=2),
    finish_reason=REASONS,
    raw_finish_reason=st.none() | TEXTS,
    logprobs=LOGPROBS,
)
RESULTS = st.builds(
    CreateResult,
    parts=st.lists(PARTS, max_size=4),
    finish_reason=REASONS,
    raw_finish_reason=st.none() | TEXTS,
    usage=st.sampled_from([None, USAGE]),
    cached=st.booleans(),
    logprobs=LOGPROBS,
    id=st.none() | TEXTS,
    model=st.none() | TEXTS,
    provider=st.none() | TEXTS,
    request_id=st.none() | TEXTS,
    attempts=st.sampled_from([None, [Attempt(status_code=200, started=0.0, duration=1.0)]]),
    timing=st.sampled_from([None, Timing(total=1.5)]),
    rate_limit=st.sampled_from([None, RateLimit(requests=RateLimitWindow(limit=5))]),
    dropped_options=st.sampled_from([None, ["top_k"]]),
    alternatives=st.none() | st.lists(CHOICES, min_size=1, max_size=1),
    provider_data=OWN,
)


@MANY
@given(RESULTS)
def test_the_events_of_a_result_add_up_to_it(result: CreateResult) -> None:
    events = unfold(result)

    assert fold(events) == result
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], Finish)


def test_a_result_is_streamed_as_a_provider_would() -> None:
    call = FunctionCall(id="c", name="f", arguments="{}")
    cited = Text(text="b", citations=[Citation(url="u")])
    parts: list[Part] = [
        Reasoning(text="r"),
        Reasoning(signature="s"),
        Text(text="a"),
        cited,
        Refusal(text="no"),
        call,
        Image(url="u"),
    ]
    token = TokenLogprob(token="a", logprob=-1.0)
    other = Choice(index=1, parts=[Text(text="c")], finish_reason="length", raw_finish_reason="max", logprobs=[token])
    result = CreateResult(
        parts=parts, finish_reason="stop", id="1", model="m", usage=USAGE, logprobs=[token], alternatives=[other]
    )  # fmt: skip

    assert unfold(result) == [
        Start(id="1", model="m"),
        ReasoningDelta(text="r", index=0),
        PartEnd(part=parts[0], index=0),
        PartEnd(part=parts[1], index=1),
        TextDelta(text="a", index=2),
        TextDelta(text="b", index=3),
        PartEnd(part=cited, index=3),
        RefusalDelta(text="no", index=4),
        PartEnd(part=parts[4], index=4),
        ToolCallStart(id="c", name="f", index=5),
        ToolCallDelta(arguments="{}", index=5),
        PartEnd(part=call, index=5),
        PartEnd(part=parts[6], index=6),
        LogprobsDelta(logprobs=[token]),
        TextDelta(text="c", choice=1),
        LogprobsDelta(logprobs=[token], choice=1),
        ChoiceEnd(finish_reason="length", raw_finish_reason="max", choice=1),
        Finish(finish_reason="stop", usage=USAGE, id="1", model="m"),
    ]


@MANY
@given(RESULTS)
def test_what_follows_the_text_completes_the_result(result: CreateResult) -> None:
    """For a client that gives its text first, in chunks, and the result last."""
    assert fold([Start(id=result.id, model=result.model), TextDelta(text="said before"), *after_text(result)]) == (
        result if result.parts else msgspec.structs.replace(result, parts=[Text(text="said before")])
    )


def test_a_result_from_its_content_alone_can_be_streamed_too() -> None:
    said = CreateResult(content="Hello", finish_reason="stop")
    called = CreateResult(content=[FunctionCall(id="c", name="f", arguments="{}")], finish_reason="function_calls")

    assert [event.text for event in unfold(said) if isinstance(event, TextDelta)] == ["Hello"]
    assert fold(unfold(said)).content == "Hello"
    assert fold(unfold(called)).content == called.content
    assert fold(unfold(CreateResult(content="", finish_reason="stop"))).parts == []


# ---------------------------------------------------------------------- adding up


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([TextDelta(text="a"), TextDelta(text="b")], [Text(text="ab")]),
        ([TextDelta(text="b", index=1), TextDelta(text="a", index=0)], [Text(text="a"), Text(text="b")]),
        (
            [ReasoningDelta(text="r"), RefusalDelta(text="no", index=1)],
            [Reasoning(text="r"), Refusal(text="no")],
        ),
        (
            [ToolCallStart(id="c", name="f"), ToolCallDelta(arguments="{"), ToolCallDelta(arguments="}")],
            [FunctionCall(id="c", name="f", arguments="{}")],
        ),
        ([ToolCallStart(id="c", name="f", custom=True)], [FunctionCall(id="c", name="f", arguments="", custom=True)]),
        (
            [TextDelta(text="a"), CitationDelta(citation=Citation(url="u"))],
            [Text(text="a", citations=[Citation(url="u")])],
        ),
        (
            [AudioDelta(data="AAEC", transcript="Hel"), AudioDelta(data="AwQF", transcript="lo")],
            [Audio(data="AAECAwQF", transcript="Hello")],
        ),
        ([AudioDelta(data="AAEC")], [Audio(data="AAEC")]),
        ([TextDelta(text="a"), PartEnd(part=Text(text="whole", provider_data=RAW))], [Text(text="whole", provider_data=RAW)]),
        ([PartEnd(part=Image(url="u"), index=1), TextDelta(text="a")], [Text(text="a"), Image(url="u")]),
        ([ProviderEvent(provider="p", kind="ping", data=msgspec.Raw(b"{}"))], []),
        ([], []),
    ],
)  # fmt: skip
def test_deltas_become_parts(events: list[Any], parts: list[Any]) -> None:
    assert fold([Start(), *events, FINISH]).parts == parts


def test_other_choices_are_kept_apart() -> None:
    result = fold(
        [
            TextDelta(text="a"),
            TextDelta(text="b", choice=2),
            TextDelta(text="c", choice=1),
            LogprobsDelta(logprobs=[TokenLogprob(token="c", logprob=-1.0)], choice=1),
            ChoiceEnd(finish_reason="length", raw_finish_reason="max", choice=1),
            FINISH,
        ]
    )

    assert result.parts == [Text(text="a")]
    assert result.alternatives == [
        Choice(
            index=1,
            parts=[Text(text="c")],
            finish_reason="length",
            raw_finish_reason="max",
            logprobs=[TokenLogprob(token="c", logprob=-1.0)],
        ),
        Choice(index=2, parts=[Text(text="b")], finish_reason="error"),
    ]
    assert result.logprobs is None


def test_what_had_come_until_a_stream_broke_off() -> None:
    result = fold([Start(id="1", model="m"), TextDelta(text="Hel"), UsageUpdate(usage=USAGE)])

    assert result == CreateResult(parts=[Text(text="Hel")], finish_reason="error", usage=USAGE, id="1", model="m")
    assert fold([]) == CreateResult(parts=[], finish_reason="error")


def test_the_last_word_on_usage_is_the_ends() -> None:
    assert fold([UsageUpdate(usage=USAGE), Finish(finish_reason="stop")]).usage is None
    assert fold([UsageUpdate(usage=USAGE), Finish(finish_reason="stop", usage=USAGE + USAGE)]).usage == USAGE + USAGE


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        ([], ""),
        (["AAEC"], "AAEC"),
        (["AA==", "AQ=="], "AAE="),  # each was encoded on its own
        (["AAEC", "AwQF"], "AAECAwQF"),
        (["AAE", "C"], "AAEC"),  # one text, cut
        (["!", "?"], "!?"),
    ],
)
def test_base64_is_joined_as_bytes(pieces: list[str], joined: str) -> None:
    assert join_base64(pieces) == joined


# ---------------------------------------------------------------------- numbering parts


def test_parts_are_numbered_as_they_begin() -> None:
    builder = EventBuilder(choice=1)

    assert builder.reasoning("r") == ReasoningDelta(text="r", index=0, choice=1)
    assert builder.text("a") == TextDelta(text="a", index=1, choice=1)
    assert builder.reasoning("r") == ReasoningDelta(text="r", index=0, choice=1)
    assert builder.refusal("no") == RefusalDelta(text="no", index=2, choice=1)
    assert builder.whole(Image(url="u")) == PartEnd(part=Image(url="u"), index=3, choice=1)
    assert builder.end("text", Text(text="a")) == PartEnd(part=Text(text="a"), index=1, choice=1)
    assert builder.text("b") == TextDelta(text="b", index=4, choice=1)
    assert builder.end("audio", Audio(id="x")) == PartEnd(part=Audio(id="x"), index=5, choice=1)


def test_calls_are_kept_by_their_keys() -> None:
    builder = EventBuilder()

    assert builder.open_call(7) is None
    assert builder.call(7, "c", "f") == ToolCallStart(id="c", name="f", index=0)
    builder.call("x", "d", "g", custom=True)
    assert builder.arguments(7, "{") == ToolCallDelta(arguments="{", index=0)
    assert builder.arguments("x", "free") == ToolCallDelta(arguments="free", index=1)
    builder.arguments(7, "}")
    assert builder.open_calls() == [7, "x"]
    assert builder.open_call("x") == ToolCallStart(id="d", name="g", index=1, custom=True)
    assert builder.end_call(7, RAW) == PartEnd(
        part=FunctionCall(id="c", name="f", arguments="{}", provider_data=RAW), index=0
    )
    assert builder.open_call(7) is None
    assert builder.open_calls() == ["x"]
