"""Every recorded exchange with Ollama, both ways."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from modelwire._fold import fold, unfold
from modelwire.errors import StreamInterruptedError
from modelwire.providers._ollama import OllamaCodec
from modelwire.types import AssistantMessage, ChatRequest, CreateResult, StreamEvent, UserMessage
from tests.corpus import corpus
from tests.providers.normalisations_ollama import NORMALISATIONS, normalised

CODEC = OllamaCodec("http://localhost:11434/api/chat")
CASES = {
    case["id"]: case for case in (json.loads(path.read_bytes()) for path in sorted(corpus("ollama").glob("*.json")))
}
STREAMS = [name for name, case in CASES.items() if case["body_framing"] == "ndjson"]
ASKED = [name for name, case in CASES.items() if case["request_body"]]


def body(name: str) -> bytes:
    return CASES[name]["response_body"].encode()


def read(*pieces: bytes) -> list[StreamEvent]:
    decoder = CODEC.stream_decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def result(name: str) -> CreateResult:
    return fold(read(body(name))) if name in STREAMS else CODEC.decode(body(name))


@pytest.mark.parametrize("name", CASES)
def test_a_recorded_answer_is_read(name: str) -> None:
    read_result = result(name)

    assert read_result.finish_reason in ("stop", "length", "function_calls")
    assert read_result.answer_parts
    assert read_result.usage is not None
    assert fold(unfold(read_result)) == read_result


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_the_same_however_it_is_cut_into_pieces(name: str) -> None:
    data = body(name)
    cuts = sorted(random.Random(name).sample(range(1, len(data)), 40))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    whole = read(data)

    assert read(*(data[index : index + 1] for index in range(len(data)))) == whole
    assert read(*pieces) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_without_its_last_line_is_a_cut_one(name: str) -> None:
    lines = body(name).splitlines(keepends=True)
    decoder = CODEC.stream_decoder()
    events = decoder.feed(b"".join(lines[:-1]))

    with pytest.raises(StreamInterruptedError):
        decoder.close()

    assert fold(events).finish_reason == "error"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_folds_to_what_the_same_answer_says_in_one_piece(name: str) -> None:
    lines = [json.loads(line) for line in body(name).splitlines()]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(line["message"]["content"] for line in lines)}
    thinking = "".join(line["message"].get("thinking", "") for line in lines)
    calls = [call for line in lines for call in line["message"].get("tool_calls", ())]
    message |= ({"thinking": thinking} if thinking else {}) | ({"tool_calls": calls} if calls else {})
    called = next((line["created_at"] for line in lines if line["message"].get("tool_calls")), lines[-1]["created_at"])

    whole = CODEC.decode(json.dumps(lines[-1] | {"message": message, "created_at": called}).encode())

    folded = fold(read(body(name)))
    assert (folded.text, folded.thought, folded.usage, folded.finish_reason) == (
        whole.text,
        whole.thought,
        whole.usage,
        whole.finish_reason,
    )
    assert [(call.name, call.parsed_arguments()) for call in folded.tool_calls] == [
        (call.name, call.parsed_arguments()) for call in whole.tool_calls
    ]


@pytest.mark.parametrize("name", ASKED)
def test_a_recorded_request_is_written_again_as_it_was(name: str) -> None:
    recorded = CASES[name]["request_body"]

    request = CODEC.decode_request(json.dumps(recorded).encode())
    written = CODEC.encode(request, {}).body

    assert json.loads(written) == normalised(recorded)
    assert CODEC.decode_request(written) == request


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_every_normalisation_is_needed(normalisation: Any) -> None:
    bodies = [CASES[name]["request_body"] for name in ASKED]

    assert any(normalisation(body) != body for body in bodies)


@pytest.mark.parametrize("name", CASES)
def test_an_answer_goes_back_as_it_came(name: str) -> None:
    stored = msgspec.json.encode(result(name).message)
    message = msgspec.json.decode(stored, type=AssistantMessage)

    sent = CODEC.encode(ChatRequest(model="m", messages=[UserMessage(content="Hi"), message]), {}).body

    lines = [json.loads(line)["message"] for line in body(name).splitlines()]
    back = json.loads(sent)["messages"][1]
    assert back["content"] == "".join(line.get("content", "") for line in lines)
    assert back.get("thinking", "") == "".join(line.get("thinking", "") for line in lines)
    calls = [call for line in lines for call in line.get("tool_calls", ())]
    assert [call["function"]["arguments"] for call in back.get("tool_calls", ())] == [
        call["function"]["arguments"] for call in calls
    ]
