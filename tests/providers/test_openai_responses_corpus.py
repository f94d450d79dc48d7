"""Every recorded exchange of the Responses API, both ways."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest

from modelwire import errors
from modelwire._fold import fold, unfold
from modelwire.protocols import HttpResponse
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.types import AssistantMessage, ChatRequest, CreateResult, Reasoning
from tests.corpus import corpus
from tests.providers.normalisations_openai_responses import NORMALISATIONS, normalised, used_by
from tests.providers.openai_responses_wire import by_bytes, codec_of, read

ROOT = corpus()
NAMES = {"openai-responses": "openai", "azure-openai": "azure"}

# What the recorded errors are, by case.
ERRORS: dict[str, type[errors.ModelClientError]] = {
    "mirascope-034fb994bc9a": errors.NotFoundError,
    "mirascope-085452894811": errors.NotFoundError,
    "pydantic-ai-3a84d968f45f": errors.BadRequestError,
    "pydantic-ai-8efe9f2ad64c": errors.BadRequestError,
    "pydantic-ai-c8a91e659542": errors.BadRequestError,
    "rig-3d88fe61bf6f": errors.BadRequestError,
    "ruby_llm-56eb6fc8a9de": errors.AuthenticationError,
    "vercel-ai-c39351f41eac": errors.QuotaExceededError,  # inside the stream
}
# What the answers ended with that ended with anything but a text or calls.
REASONS = {
    "mirascope-1ca1a7ce77d7": "refusal",
    "mirascope-40df8246f438": "length",
    "mirascope-6ff6ec2969bf": "length",
    "mirascope-74b10d123ebb": "length",
    "mirascope-cbe541c1e5ba": "length",
    "mirascope-e365442d3885": "refusal",
    "rig-6e20bb3d1142": "refusal",
    "rig-70a7d9a23d1b": "length",
    # A built-in tool waits for the client.
    "pydantic-ai-10e1b04fe652": "pause",
    "vercel-ai-2c7ec48a7df6": "pause",
    "vercel-ai-3499e8dfb75c": "pause",
    "vercel-ai-55bf4f462e62": "pause",
    "vercel-ai-870a2b369d23": "pause",
    "vercel-ai-98769ebb8d64": "pause",
    "vercel-ai-aafac7cf09d3": "pause",
    "vercel-ai-aec4d3035f60": "pause",
    # Background mode: the answer is not there yet.
    "pydantic-ai-2e6f376b5d47": "unknown",
    "pydantic-ai-5ddc824fc64c": "unknown",
    "pydantic-ai-68bd3297362c": "unknown",
    "pydantic-ai-a0cf1eb92a42": "unknown",
}


class Case(NamedTuple):
    """One recorded exchange."""

    id: str
    provider: str
    api: str
    status: int
    headers: dict[bytes, bytes]
    framing: str
    body: bytes
    request: dict[str, Any] | None

    @property
    def name(self) -> str:
        return NAMES.get(self.provider) or self.provider.rpartition(":")[2]

    @property
    def codec(self) -> ResponsesCodec:
        return codec_of(self.name)

    @property
    def streams(self) -> bool:
        return self.framing in ("sse", "data-lines")


def case(recorded: dict[str, Any]) -> Case:
    body = recorded["response_body"].encode()
    if recorded["body_framing"] == "data-lines":
        body = b"".join(b"data: %b\n\n" % line for line in body.splitlines())
    headers = {
        name.lower().encode(): str(value).encode() for name, value in (recorded["response_headers"] or {}).items()
    }
    return Case(
        recorded["id"],
        recorded["provider"],
        recorded["api"],
        recorded["status"],
        headers,
        recorded["body_framing"],
        body,
        recorded["request_body"],
    )


def load() -> list[Case]:
    files = [
        *sorted((ROOT / "openai-responses").glob("*.json")),
        *sorted((ROOT / "azure-openai").glob("*.json")),
        *sorted((ROOT / "openai-compatible").glob("*/*.json")),
    ]
    read = (json.loads(file.read_bytes()) for file in files)
    return [case(recorded) for recorded in read if recorded["api"].startswith("responses")]


CASES = load()
COUNTS = [case for case in CASES if case.api == "responses-input-tokens"]
ANSWERS = [case for case in CASES if case not in COUNTS and case.id not in ERRORS]
STREAMS = [case for case in CASES if case.streams]
REQUESTS = [case for case in CASES if case.request is not None]


def cases(which: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.name}-{case.id}") for case in which])


@cache
def result_of(case_id: str) -> CreateResult:
    """What the exchange gave."""
    case = next(case for case in CASES if case.id == case_id)
    return fold(read(case.body, case.name).events) if case.streams else case.codec.decode(case.body)


def test_the_corpus_is_all_there():
    """So that a corpus that lost half of its cases does not pass for a good one."""
    assert len(CASES) >= 160
    assert set(ERRORS) | set(REASONS) <= {case.id for case in CASES}


# ---------------------------------------------------------------------- answers


@cases(ANSWERS)
def test_every_answer_is_read(case: Case):
    result = result_of(case.id)

    assert result.finish_reason in (REASONS.get(case.id) or ("stop", "function_calls"))
    assert result.id
    assert result.provider == case.name
    assert result.answer_parts or result.finish_reason == "unknown"
    assert fold(unfold(result)) == result


@cases(COUNTS)
def test_every_count_is_read(case: Case):
    assert case.codec.decode_count(case.body) == json.loads(case.body)["input_tokens"]


@cases([case for case in CASES if case.id in ERRORS])
def test_every_error_is_told_apart(case: Case):
    if case.streams:
        error = read(case.body, case.name).error
    else:
        error = case.codec.decode_error(HttpResponse(case.status, case.headers, case.body))
        assert error.status_code in (case.status, 404)

    assert type(error) is ERRORS[case.id]


@cases(ANSWERS)
def test_the_parts_of_an_answer_are_those_of_its_items(case: Case):
    """Counted in the recorded JSON itself, which the codec has no hand in."""
    output = final_response(case)["output"]
    texts = [
        part.get("text", "") for item in output for part in item.get("content") or () if part["type"] == "output_text"
    ]
    calls = [item for item in output if item["type"] in ("function_call", "custom_tool_call")]
    signed = [
        item["encrypted_content"] for item in output if item["type"] == "reasoning" and item.get("encrypted_content")
    ]
    result = result_of(case.id)

    assert result.text == "".join(texts)
    assert [(call.id, call.name) for call in result.tool_calls] == [(call["call_id"], call["name"]) for call in calls]
    assert [part.signature for part in result.answer_parts if isinstance(part, Reasoning) and part.signature] == signed
    assert len(result.answer_parts) >= len(output)
    usage = final_response(case).get("usage")
    if usage:
        assert (result.usage.prompt_tokens, result.usage.completion_tokens, result.usage.total_tokens) == (
            usage["input_tokens"], usage["output_tokens"], usage["total_tokens"],
        )  # fmt: skip


def final_response(case: Case) -> dict[str, Any]:
    """The whole response of an exchange, streamed or not."""
    return json.loads(final_bytes(case))


def final_bytes(case: Case) -> bytes:
    if not case.streams:
        return case.body

    class Last(msgspec.Struct):
        response: msgspec.Raw

    lines = [line[5:] for line in case.body.splitlines() if line.startswith(b"data:") and b'"response":' in line]
    return bytes(msgspec.json.decode(lines[-1], type=Last).response)


# ---------------------------------------------------------------------- streams


@cases([case for case in STREAMS if case.id not in ERRORS])
def test_a_stream_adds_up_to_the_response_that_it_ends_with(case: Case):
    assert result_of(case.id) == case.codec.decode(final_bytes(case))


@cases(STREAMS)
def test_it_is_no_matter_how_the_bytes_are_cut(case: Case):
    whole = read(case.body, case.name).outcome
    chance = random.Random(case.id)

    assert read(by_bytes(case.body), case.name).outcome == whole
    for _ in range(3):
        places = sorted(chance.randrange(len(case.body)) for _ in range(12))
        pieces = [case.body[start:end] for start, end in zip([0, *places], [*places, None], strict=True)]
        assert read(pieces, case.name).outcome == whole


@cases([case for case in STREAMS if case.id not in ERRORS])
def test_a_stream_that_is_cut_says_so_and_keeps_what_came(case: Case):
    frames = case.body.split(b"\n\n")
    last = max(
        index
        for index, frame in enumerate(frames)
        if b'"response.completed"' in frame or b'"response.incomplete"' in frame
    )
    whole = result_of(case.id)

    for cut in sorted({0, 1, last // 2, last}):
        found = read(b"".join(frame + b"\n\n" for frame in frames[:cut]), case.name)

        assert isinstance(found.error, errors.StreamInterruptedError)
        partial = fold(found.events)
        assert partial.finish_reason == "error"
        assert whole.text.startswith(partial.text)


# ---------------------------------------------------------------------- requests


@cases(REQUESTS)
def test_a_recorded_request_is_written_as_it_was(case: Case):
    request = case.codec.decode_request(json.dumps(case.request).encode())
    written = case.codec.encode_count(request, {}) if case in COUNTS else case.codec.encode(request, {})

    expected = normalised(case.request)
    if case in COUNTS:  # counting takes nothing of what is stored
        del expected["store"]
    assert json.loads(written.body) == expected


@cases(REQUESTS)
def test_what_is_written_is_read_as_the_same_request(case: Case):
    request = case.codec.decode_request(json.dumps(case.request).encode())

    assert case.codec.decode_request(case.codec.encode(request, {}).body) == request


def test_every_normalisation_is_needed():
    used = {name for case in REQUESTS for name in used_by(case.request)}

    assert used == {normalise.__name__ for normalise in NORMALISATIONS}


@cases(ANSWERS)
def test_an_answer_goes_back_as_it_came(case: Case):
    """Stored as JSON and read again: every item is what the server sent, byte for byte where it is opaque."""
    message = result_of(case.id).message
    again = msgspec.json.decode(msgspec.json.encode(message), type=AssistantMessage)
    request = ChatRequest(model="m", messages=[again], options={"store": True})

    body = case.codec.encode(request, {}).body

    class Output(msgspec.Struct):
        output: list[msgspec.Raw]

    class Input(msgspec.Struct):
        input: list[msgspec.Raw] = []

    came = msgspec.json.decode(final_bytes(case), type=Output).output
    went = msgspec.json.decode(body, type=Input).input
    assert [sent_back(json.loads(bytes(item))) for item in came] == [json.loads(bytes(item)) for item in went]
    known = ("message", "reasoning", "function_call", "custom_tool_call")
    for before, after in zip(came, went, strict=True):
        if json.loads(bytes(before))["type"] not in known:
            assert bytes(before) == bytes(after)


def sent_back(item: dict[str, Any]) -> dict[str, Any]:
    """An output item as it is sent back: without what is null or empty, or of no use to the server."""
    item = {
        name: value for name, value in item.items() if value is not None or item["type"] not in ("message", "reasoning")
    }
    if item["type"] == "reasoning":
        return {name: value for name, value in item.items() if value != [] or name == "summary"}
    if item["type"] == "message" and item["role"] == "assistant" and item["content"]:
        parts = [{name: value for name, value in part.items() if name != "logprobs"} for part in item["content"]]
        return item | {
            "content": [{"annotations": []} | part if part["type"] == "output_text" else part for part in parts]
        }
    return item
