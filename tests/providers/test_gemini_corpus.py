"""Recorded exchanges with Gemini, on Google's own service and on Vertex AI: each of them decodes, and maps back."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitError,
    StreamInterruptedError,
)
from modelwire.protocols import HttpResponse
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._gemini.facts import known
from modelwire.types import AssistantMessage, ChatRequest, CreateResult, UserMessage
from tests.corpus import corpus
from tests.providers.normalisations_gemini import NORMALISATIONS

FOLDER = corpus("gemini")
CASES: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}
GENERATED = [name for name, case in CASES.items() if case["api"] == "generateContent" and case["status"] == 200]
STREAMED = [name for name in GENERATED if CASES[name]["body_framing"] in ("sse", "data-lines")]
WHOLE = [name for name in GENERATED if CASES[name]["body_framing"] == "json"]
LISTED = [name for name in GENERATED if CASES[name]["body_framing"] == "json-array"]
REQUESTED = [name for name, case in CASES.items() if case["request_body"] is not None]
LOWERED = ("pydantic-ai-26504222fecb", "pydantic-ai-6a097f12d072", "pydantic-ai-7fbfee29bcf0")
"""Requests whose schemas lose something on the way to the wire."""
CODEC = GeminiCodec("https://generativelanguage.googleapis.com/v1beta")


def body_of(name: str) -> bytes:
    """The answer's bytes as they came."""
    case = CASES[name]
    if case["body_framing"] == "data-lines":
        return b"".join(b"data: %b\n\n" % line.encode() for line in case["response_body"].splitlines())
    return case["response_body"].encode()


def chunks_of(name: str) -> list[bytes]:
    """The JSON of each event of a recorded stream."""
    lines = body_of(name).replace(b"\r\n", b"\n").split(b"\n")
    return [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]


def streamed(pieces: list[bytes]) -> list[Any]:
    decoder = CODEC.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def result_of(name: str) -> CreateResult:
    return fold(streamed([body_of(name)])) if name in STREAMED else CODEC.decode(body_of(name))


def test_the_corpus_is_all_here():
    assert len(CASES) >= 95
    assert len(STREAMED) >= 27
    assert {CASES[name]["surface"] for name in GENERATED} >= {"gemini-api", "vertex"}


# ---------------------------------------------------------------------- answers


@pytest.mark.parametrize("name", GENERATED)
def test_every_answer_says_who_why_and_how_much(name: str):
    result = result_of(name)

    assert result.provider == "gemini"
    assert (result.model or "").startswith("gemini-")
    assert result.finish_reason != "unknown"
    assert result.raw_finish_reason
    usage = result.usage
    if usage is not None:
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("name", GENERATED)
def test_every_text_thought_and_call_of_the_wire_is_in_the_result(name: str):
    result = result_of(name)

    chunks = chunks_of(name) if name in STREAMED else [body_of(name)]
    answers = [answer for chunk in chunks for answer in _listed(json.loads(chunk))]
    parts = [
        part
        for answer in answers
        for candidate in answer.get("candidates", [])
        for part in candidate["content"].get("parts", [])
    ]
    texts = [part for part in parts if "text" in part]
    assert result.text == "".join(part["text"] for part in texts if not part.get("thought"))
    assert (result.thought or "") == "".join(part["text"] for part in texts if part.get("thought"))
    named = [part["functionCall"] for part in parts if part.get("functionCall", {}).get("name")]
    assert [call.name for call in result.tool_calls] == [call["name"] for call in named]
    whole = [
        (call.parsed_arguments(), wire) for call, wire in zip(result.tool_calls, named, strict=True) if "args" in wire
    ]
    assert all(arguments == wire["args"] for arguments, wire in whole)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", GENERATED)
def test_events_and_results_are_two_views_of_one_answer(name: str):
    result = result_of(name)

    assert fold(unfold(result)) == result


@pytest.mark.parametrize("name", GENERATED)
def test_sources_stand_at_the_words_that_they_support(name: str):
    """`groundingSupports` count bytes; the citations count characters of their own part."""
    result = result_of(name)

    for chunk in chunks_of(name) if name in STREAMED else [body_of(name)]:
        for answer in _listed(json.loads(chunk)):
            for candidate in answer.get("candidates", []):
                supports = candidate.get("groundingMetadata", {}).get("groundingSupports", [])
                segments = {support["segment"]["text"] for support in supports}
                cited = {
                    part.text[citation.start_index : citation.end_index]
                    for part in result.answer_parts
                    if part.type == "text"
                    for citation in part.citations or ()
                    if citation.start_index is not None
                }
                assert segments <= cited


@pytest.mark.parametrize("name", STREAMED)
def test_events_do_not_depend_on_how_the_bytes_are_split(name: str):
    body = body_of(name)
    whole = streamed([body])

    step = 1 if len(body) < 5000 else 97
    assert streamed([body[at : at + step] for at in range(0, len(body), step)]) == whole
    for seed in range(3):
        cuts = sorted(random.Random(seed).sample(range(len(body)), min(40, len(body) // 2)))
        assert streamed([body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]) == whole


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_and_the_list_of_its_chunks_are_the_same_answer(name: str):
    listed = b"[" + b",\n".join(chunks_of(name)) + b"]"

    assert CODEC.decode(listed) == fold(streamed([body_of(name)]))


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_comes_as_one_event_is_the_same_answer(name: str):
    compact = msgspec.json.format(body_of(name), indent=-1)

    assert fold(streamed([b"data: %b\r\n\r\n" % compact])) == CODEC.decode(compact)


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_that_ends_before_its_last_finish_reason_is_interrupted(name: str):
    chunks = chunks_of(name)
    last = max(at for at, chunk in enumerate(chunks) if b"finishReason" in chunk)
    decoder = CODEC.stream_decoder()
    decoder.feed(b"".join(b"data: %b\n\n" % chunk for chunk in chunks[:last]))

    with pytest.raises(StreamInterruptedError):
        decoder.close()


@pytest.mark.parametrize("name", LISTED)
def test_a_list_without_its_end_is_no_answer(name: str):
    result = CODEC.decode(body_of(name))

    assert (result.finish_reason, result.raw_finish_reason) == ("stop", "STOP")  # recorded as the number 1
    assert not CODEC.is_stream(CASES[name]["response_headers"]["content-type"].encode())


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("langchaingo-0e426aba0428", AuthenticationError, "PERMISSION_DENIED"),
        ("mirascope-22620834d2b5", NotFoundError, "NOT_FOUND"),
        ("pydantic-ai-2525120bcbf2", NotFoundError, "NOT_FOUND"),
        ("pydantic-ai-72f9afc036e0", BadRequestError, "INVALID_ARGUMENT"),
        ("pydantic-ai-b20969d3d01d", BadRequestError, "INVALID_ARGUMENT"),
        ("vercel-ai-f80e012827a9", RateLimitError, "RESOURCE_EXHAUSTED"),
    ],
)
def test_every_recorded_error_has_its_class(name: str, kind: type[Exception], code: str):
    case = CASES[name]
    headers = {key.encode(): value.encode() for key, value in case["response_headers"].items()}
    error = CODEC.decode_error(HttpResponse(case["status"], headers, body_of(name)))

    assert type(error) is kind
    assert (error.status_code, error.code) == (case["status"], code)
    assert json.loads(case["response_body"])["error"]["message"] in error.message


def test_all_recorded_errors_are_in_the_table_above():
    named = test_every_recorded_error_has_its_class.pytestmark[0].args[1]

    assert sorted(name for name, case in CASES.items() if case["status"] != 200) == sorted(row[0] for row in named)


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case["api"] == "countTokens" and case["status"] == 200]
)
def test_counts_are_the_providers(name: str):
    assert CODEC.decode_count(body_of(name)) == json.loads(body_of(name))["totalTokens"]


# ---------------------------------------------------------------------- requests


def written(name: str) -> Any:
    """What modelwire writes for a recorded request."""
    case = CASES[name]
    request = CODEC.decode_request(json.dumps(case["request_body"]).encode(), case["url"])
    encode = CODEC.encode_count if case["api"] == "countTokens" else CODEC.encode
    body = json.loads(encode(request, known(request.model)).body)
    return body["generateContentRequest"] if case["api"] == "countTokens" else body


def normalised(body: Any, without: Any = None) -> Any:
    for normalisation in NORMALISATIONS:
        if normalisation is not without:
            body = normalisation(body)
    return body


def recorded(name: str) -> Any:
    body = CASES[name]["request_body"]
    return body.get("generateContentRequest", body)


@pytest.mark.parametrize("name", REQUESTED)
def test_a_recorded_request_is_written_as_it_was(name: str):
    assert normalised(written(name)) == normalised(recorded(name))


@pytest.mark.parametrize("normalisation", NORMALISATIONS, ids=lambda each: each.__name__)
def test_every_normalisation_is_needed(normalisation: Any):
    assert any(
        normalised(written(name), normalisation) != normalised(recorded(name), normalisation) for name in REQUESTED
    )


@pytest.mark.parametrize("name", REQUESTED)
def test_a_recorded_request_goes_where_it_went(name: str):
    case = CASES[name]
    request = CODEC.decode_request(json.dumps(case["request_body"]).encode(), case["url"])
    encode = CODEC.encode_count if case["api"] == "countTokens" else CODEC.encode
    sent = encode(request, known(request.model))

    assert sent.url.partition("/models/")[2].partition("?")[0] == case["url"].partition("/models/")[2].partition("?")[0]
    assert sent.url.endswith("?alt=sse") == case["stream"] == request.stream


@pytest.mark.parametrize("name", REQUESTED)
def test_what_modelwire_wrote_is_read_as_the_same_request(name: str):
    case = CASES[name]
    request = CODEC.decode_request(json.dumps(case["request_body"]).encode(), case["url"])
    sent = CODEC.encode(request, known(request.model))
    again = CODEC.decode_request(sent.body, sent.url)

    if name in LOWERED:
        assert json.loads(CODEC.encode(again, known(request.model)).body) == json.loads(sent.body)
    else:
        assert again == request


@pytest.mark.parametrize("name", GENERATED)
def test_an_answer_stored_as_json_goes_back_with_its_opaque_data_unchanged(name: str):
    result = result_of(name)
    stored = msgspec.json.encode(result.message)
    message = msgspec.json.decode(stored, type=AssistantMessage)
    request = ChatRequest(model=result.model or "", messages=[UserMessage(content="?"), message])
    sent = CODEC.encode(request, {}).body

    chunks = chunks_of(name) if name in STREAMED else [body_of(name)]
    answers = [answer for chunk in chunks for answer in _listed(json.loads(chunk))]
    parts = [
        part for answer in answers for each in answer.get("candidates", []) for part in each["content"].get("parts", [])
    ]
    contents = json.loads(sent)["contents"]
    back = contents[1]["parts"] if len(contents) > 1 else []
    signatures = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    assert [part["thoughtSignature"] for part in back if "thoughtSignature" in part] == signatures
    assert all(signature.encode() in sent for signature in signatures)
    opaque = [part for part in parts if not part.keys() & {"text", "functionCall"}]
    assert [part for part in back if not part.keys() & {"text", "functionCall"}] == opaque
