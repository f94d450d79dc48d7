"""Every recorded Messages exchange, both ways."""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest

from modelwire import errors
from modelwire._fold import fold, unfold
from modelwire.protocols import HttpResponse
from modelwire.types import (
    AssistantMessage,
    ChatRequest,
    CreateResult,
    FunctionCall,
    ProviderEvent,
    ProviderPart,
    Reasoning,
    Text,
    UserMessage,
)
from tests.corpus import corpus
from tests.providers.anthropic_wire import CODEC, by_bytes, info_of, read
from tests.providers.normalisations_anthropic import NORMALISATIONS, normalised

ROOT = corpus("anthropic")

# What the recorded errors are, by case.
ERRORS: dict[str, type[errors.ModelClientError]] = {
    "mirascope-5adcc221d9f9": errors.NotFoundError,
    "mirascope-6fae222414ef": errors.AuthenticationError,
    "mirascope-b47e945d7ea8": errors.AuthenticationError,
    "pydantic-ai-3146d5c4b32b": errors.NotFoundError,
    "rig-0f568500eae0": errors.AuthenticationError,
    "rig-1ec3ce1e6dd0": errors.BadRequestError,
    "rig-6b93bf09b4fb": errors.BadRequestError,
}
# A stream without a `message_delta`: its `message_start` has all, for a call that code of the provider's made.
ALL_IN_START = {"vercel-ai-0147ba5236a4"}


class Case(NamedTuple):
    """One recorded exchange."""

    id: str
    api: str
    surface: str
    status: int
    headers: dict[bytes, bytes]
    streams: bool
    body: bytes
    request: dict[str, Any] | None

    @property
    def model(self) -> str:
        return self.request.get("model", "") if self.request else ""


def load() -> list[Case]:
    return [case(json.loads(file.read_bytes())) for file in sorted(ROOT.glob("*.json"))]


def case(recorded: dict[str, Any]) -> Case:
    body = recorded["response_body"].encode()
    if recorded["body_framing"] == "data-lines":
        events = [(json.loads(line)["type"].encode(), line) for line in body.splitlines() if line]
        body = b"".join(b"event: %b\ndata: %b\n\n" % event for event in events)
    headers = {
        name.lower().encode(): str(value).encode() for name, value in (recorded["response_headers"] or {}).items()
    }
    return Case(
        recorded["id"],
        recorded["api"],
        recorded["surface"],
        recorded["status"],
        headers,
        recorded["body_framing"] in ("sse", "data-lines"),
        body,
        recorded["request_body"],
    )


CASES = load()
COUNTS = [case for case in CASES if case.api == "messages-count-tokens" and case.status == 200]
FAILURES = [case for case in CASES if case.status >= 400]
ANSWERS = [case for case in CASES if case.api == "messages" and case.status == 200]
STREAMS = [case for case in ANSWERS if case.streams]
# Google's hosts name the model in the URL and the version in the body: a client of theirs would write another body.
REQUESTS = [case for case in CASES if case.request is not None and case.surface != "vertex"]


def cases(which: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in which])


@cache
def result_of(case_id: str) -> CreateResult:
    """What the exchange gave."""
    case = next(case for case in CASES if case.id == case_id)
    return read(case.body).result if case.streams else CODEC.decode(case.body)


def test_all_recordings_of_this_format_are_here() -> None:
    assert Counter(case.surface for case in CASES) == {"anthropic": 127, "vertex": 2, "local": 1}
    assert (len(ANSWERS), len(STREAMS), len(COUNTS), len(REQUESTS)) == (120, 44, 3, 113)
    assert {case.id for case in FAILURES} == ERRORS.keys()


# ---------------------------------------------------------------------- answers


def plainly(case: Case) -> list[tuple[str, Any]]:
    """The blocks of an answer, read by plain means: kind and content."""
    if not case.streams:
        return [_content(block) for block in json.loads(case.body)["content"] if block.get("text") != ""]
    events = [json.loads(line[6:]) for line in case.body.split(b"\n") if line.startswith(b"data: ")]
    blocks: list[dict[str, Any]] = [*events[0]["message"]["content"]]
    for event in events:
        delta = event.get("delta", {})
        match event["type"]:
            case "content_block_start":
                blocks.append(event["content_block"] | {"json": ""})
            case "content_block_delta":
                for member, name in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                    if member in delta:
                        blocks[-1][name] += delta[member]
                if "signature" in delta:
                    blocks[-1]["signature"] = delta["signature"]
                if "citation" in delta:
                    blocks[-1]["citations"] = [*(blocks[-1].get("citations") or []), delta["citation"]]
                if delta["type"] == "compaction_delta":
                    blocks[-1]["content"] = delta["content"]
            case _:
                pass
    for block in blocks:
        written = block.pop("json", "")
        block.update({"input": json.loads(written)} if written else {})
    return [_content(block) for block in blocks if block.get("text") != ""]


def _content(block: dict[str, Any]) -> tuple[str, Any]:
    kind = block["type"]
    match kind:
        case "text":
            return kind, (block["text"], [cited["cited_text"] for cited in block.get("citations") or ()])
        case "thinking":
            return kind, (block["thinking"], block["signature"])
        case "redacted_thinking":
            return kind, block["data"]
        case "tool_use":
            return kind, (block["id"], block["name"], block["input"], block.get("caller"))
        case _:
            return kind, block


def _of_part(part: Any) -> tuple[str, Any]:
    match part:
        case Text():
            return "text", (part.text, [cited.cited_text for cited in part.citations or ()])
        case Reasoning():
            said = part.signature if part.redacted else (part.text, part.signature)
            return "redacted_thinking" if part.redacted else "thinking", said
        case FunctionCall():
            own = (part.provider_data or {}).get("anthropic", {})
            caller = json.loads(bytes(own["caller"])) if "caller" in own else None
            return "tool_use", (part.id, part.name, json.loads(part.arguments), caller)
        case ProviderPart():
            return part.kind or "", json.loads(bytes(part.data))
        case _:
            raise AssertionError(part)


@cases(ANSWERS)
def test_a_recorded_answer_gives_a_result(case: Case) -> None:
    result = result_of(case.id)

    assert [_of_part(part) for part in result.answer_parts] == plainly(case)
    assert result.finish_reason in ("stop", "length", "function_calls") or result.raw_finish_reason in (
        "pause_turn",
        "compaction",
    )
    assert result.provider == "anthropic"
    assert result.model
    assert result.id


@cases(ANSWERS)
def test_recorded_token_counts_hold_the_cached_ones(case: Case) -> None:
    told = [json.loads(line[6:] if case.streams else line) for line in _documents(case)]
    usage: dict[str, Any] = {}
    for value in told:
        for found in (value.get("usage"), value.get("message", {}).get("usage")):
            usage |= {name: count for name, count in (found or {}).items() if count is not None}
    counted = result_of(case.id).usage
    assert counted is not None

    cache = usage.get("cache_read_input_tokens", 0), usage.get("cache_creation_input_tokens", 0)
    assert counted.prompt_tokens == usage["input_tokens"] + sum(cache)
    assert counted.completion_tokens == usage["output_tokens"]
    assert (counted.cached_tokens or 0, counted.cache_write_tokens or 0) == cache
    assert counted.reasoning_tokens == usage.get("output_tokens_details", {}).get("thinking_tokens")
    assert counted.total_tokens == counted.prompt_tokens + counted.completion_tokens


def _documents(case: Case) -> list[bytes]:
    return [line for line in case.body.split(b"\n") if line.startswith(b"data: ")] if case.streams else [case.body]


@cases(ANSWERS)
def test_a_result_is_its_events(case: Case) -> None:
    result = result_of(case.id)

    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


@cases([case for case in ANSWERS if not case.streams])
def test_an_answer_survives_a_different_layout(case: Case) -> None:
    """White space and the order of members mean nothing."""
    shuffled = json.dumps(json.loads(case.body), indent=1, sort_keys=True).encode()

    again = CODEC.decode(b"\n  " + shuffled)

    assert [_of_part(part) for part in again.answer_parts] == plainly(case)
    assert again.usage == result_of(case.id).usage


@cases(FAILURES)
def test_a_recorded_error_has_its_class(case: Case) -> None:
    error = CODEC.decode_error(HttpResponse(case.status, case.headers, case.body))

    assert type(error) is ERRORS[case.id]
    assert error.status_code == case.status
    assert error.code == json.loads(case.body)["error"]["type"]
    assert error.request_id == json.loads(case.body)["request_id"]
    assert not error.retryable
    assert json.loads(case.body)["error"]["message"] in error.message


@cases(COUNTS)
def test_a_recorded_count_is_read(case: Case) -> None:
    assert CODEC.decode_count(case.body) == json.loads(case.body)["input_tokens"]


@cases([case for case in CASES if b"anthropic-ratelimit-requests-limit" in case.headers])
def test_recorded_limits_are_read(case: Case) -> None:
    limits = CODEC.facts(case.headers).rate_limit

    assert limits is not None
    for window, name in (
        (limits.requests, b"requests"),
        (limits.tokens, b"tokens"),
        (limits.input_tokens, b"input-tokens"),
        (limits.output_tokens, b"output-tokens"),
    ):
        assert window is not None
        assert window.limit == int(case.headers[b"anthropic-ratelimit-%b-limit" % name])
        assert window.remaining == int(case.headers[b"anthropic-ratelimit-%b-remaining" % name])
        assert window.reset is None  # the recordings have no `date`


# ---------------------------------------------------------------------- streams


@cases(STREAMS)
def test_a_recorded_stream_is_the_same_however_it_is_cut_into_pieces(case: Case) -> None:
    whole = read(case.body).outcome

    assert read(by_bytes(case.body)).outcome == whole
    for seed in range(3):
        assert read(_pieces(case.body, random.Random(seed))).outcome == whole


def _pieces(body: bytes, chance: random.Random) -> list[bytes]:
    ends = sorted(chance.sample(range(len(body)), k=min(len(body), chance.choice((2, 20, 200)))))
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


@cases(STREAMS)
def test_a_recorded_stream_is_the_same_with_other_line_ends(case: Case) -> None:
    whole = read(case.body).outcome

    assert read(b"\xef\xbb\xbf" + case.body.replace(b"\n", b"\r\n")).outcome == whole
    assert read(case.body.replace(b"data: ", b"data:")).outcome == whole
    assert read(case.body.replace(b"data: ", b": keep-alive\ndata: ")).outcome == whole


@cases(STREAMS)
def test_a_recorded_stream_holds_nothing_unknown(case: Case) -> None:
    assert not [event for event in read(case.body).events if isinstance(event, ProviderEvent)]


@cases(STREAMS)
def test_a_recorded_stream_that_is_cut_says_so(case: Case) -> None:
    """Nothing but `message_stop` ends an answer."""
    whole = read(case.body).events
    ends = [place + 2 for place in range(len(case.body)) if case.body.startswith(b"\n\n", place)]
    last = case.body.index(b"event: message_stop")
    chance = random.Random(case.id)
    for count in sorted({0, 1, len(ends) - 2, *chance.sample(range(len(ends) - 1), k=min(12, len(ends) - 1))}):
        start = ends[count - 1] if count else 0
        for cut in {start, start + 1, chance.randint(start, ends[count] - 1), last}:
            found = read(case.body[:cut])

            assert type(found.error) is errors.StreamInterruptedError, (cut, found.error)
            assert found.error.retryable
            assert found.events == whole[: len(found.events)]
            partial = fold(found.events)
            assert partial.finish_reason == "error"
            assert fold(whole).text.startswith(partial.text)


def test_an_answer_whose_start_has_all_is_read() -> None:
    (case_id,) = ALL_IN_START
    result = result_of(case_id)

    (call,) = result.tool_calls
    assert (call.name, json.loads(call.arguments)) == ("rollDie", {"player": "player1"})
    assert result.finish_reason == "function_calls"
    assert result.provider_data
    assert b"container_" in bytes(result.provider_data["anthropic"]["container"])


# ---------------------------------------------------------------------- the way back


@cases([case for case in ANSWERS if result_of(case.id).parts])
def test_an_answer_goes_back_with_every_opaque_byte(case: Case) -> None:
    result = result_of(case.id)
    stored = msgspec.json.decode(msgspec.json.encode(result.message), type=AssistantMessage)

    sent = _sent(result, stored)

    assert sent == _sent(result, result.message)
    if not case.streams:
        for block in _opaque_blocks(case.body):
            assert block in sent
    (_, again, _) = CODEC.decode_request(sent).messages
    assert isinstance(again, AssistantMessage)
    assert _sent(result, again) == sent


def _sent(result: CreateResult, message: AssistantMessage) -> bytes:
    # The user's messages around it make it a turn like any other, whose end is not trimmed.
    messages = [UserMessage(content="Hello"), message, UserMessage(content="Go on")]
    model = result.model or ""
    return CODEC.encode(ChatRequest(model=model, messages=messages), info_of(model)).body


class _RawAnswer(msgspec.Struct):
    content: list[dict[str, msgspec.Raw]]


def _opaque_blocks(body: bytes) -> list[bytes]:
    """Values in an answer that must go back byte for byte: signatures, inputs, citations, and results of tools."""
    blocks = msgspec.json.decode(body, type=_RawAnswer).content
    names = ("signature", "data", "input", "caller", "content")
    return [bytes(block[name]) for block in blocks for name in names if name in block and bytes(block[name]) != b"null"]


# ---------------------------------------------------------------------- requests


@cases(REQUESTS)
def test_a_recorded_request_is_written_as_it_was_read(case: Case) -> None:
    assert case.request is not None
    request = CODEC.decode_request(json.dumps(case.request).encode())
    encode = CODEC.encode if case.api == "messages" else CODEC.encode_count
    sent = encode(request, info_of(case.model)).body
    expected, _ = normalised(case.request)

    assert json.loads(sent) == expected
    assert CODEC.decode_request(sent) == request


@cases([case for case in REQUESTS if case.status == 200])
def test_nothing_in_a_request_that_the_server_took_is_refused(case: Case) -> None:
    request = CODEC.decode_request(json.dumps(case.request).encode())

    assert CODEC.refused(request, info_of(case.model)) == {}


def test_every_normalisation_is_needed() -> None:
    used = [normalised(case.request)[1] for case in REQUESTS if case.request is not None]

    assert set().union(*used) == {normalise.__name__ for normalise in NORMALISATIONS}
    assert all(normalise.__doc__ for normalise in NORMALISATIONS)
