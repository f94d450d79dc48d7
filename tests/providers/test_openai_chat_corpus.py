"""Every recorded Chat Completions exchange, both ways."""

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
from modelwire.providers._openai_chat import ChatCodec, Quirks
from modelwire.providers.compatible import PRESETS
from modelwire.types import AssistantMessage, ChatRequest, CreateResult, Reasoning
from tests.corpus import corpus
from tests.providers.chat_wire import by_bytes, codec_of, quirks_of, read
from tests.providers.normalisations import NORMALISATIONS, normalised

ROOT = corpus()
PRESET_OF = {"llama-cpp": "llama.cpp", "llamacpp": "llama.cpp"}

# What the recorded errors are, by case.
ERRORS: dict[str, type[errors.ModelClientError]] = {
    "ruby_llm-68c31e76a206": errors.RateLimitError,
    "ruby_llm-a81d5ad56935": errors.AuthenticationError,
    "openllmetry-8ed62a10a279": errors.ContentFilterError,  # with status 200
    "mirascope-7931c031eb94": errors.UnsupportedOptionError,
    "openllmetry-1dfad8fbf0df": errors.BadRequestError,
    "openllmetry-9043ee5f7331": errors.BadRequestError,
    "openllmetry-c54cab8b2a9a": errors.NotFoundError,
    "pydantic-ai-18fbbe473399": errors.BadRequestError,
    "pydantic-ai-194487ca6472": errors.BadRequestError,
    "pydantic-ai-6096823929e5": errors.BadRequestError,
    "vercel-ai-fb15d5bd11b0": errors.UnsupportedOptionError,
    "rig-20962a070b9e": errors.BadRequestError,
    "rig-ca4d6d9c0b1a": errors.BadRequestError,
    "rig-eca14a7fc872": errors.BadRequestError,
    "pydantic-ai-924ea98e4adb": errors.BadRequestError,  # inside the stream
    "rig-c5d08aa6f8f6": errors.ServerError,
    "rig-412a716053aa": errors.BadRequestError,
    "rig-8f7a50c9ac29": errors.BadRequestError,
    "ruby_llm-a3a680b925f8": errors.AuthenticationError,
}
# Answers without a `finish_reason` that means anything.
UNKNOWN_REASONS = {"pydantic-ai-01b9c5aea46d", "pydantic-ai-0441a6407568"}


class Case(NamedTuple):
    """One recorded exchange."""

    id: str
    provider: str
    status: int
    headers: dict[bytes, bytes]
    framing: str
    body: bytes
    request: dict[str, Any] | None
    fidelity: str

    @property
    def quirks(self) -> Quirks:
        name = {"openai-chat": "openai", "azure-openai": "azure"}.get(self.provider, self.provider.rpartition(":")[2])
        name = PRESET_OF.get(name, name)
        return quirks_of(name) if name in PRESETS or name in ("openai", "azure") else Quirks(provider=name)

    @property
    def codec(self) -> ChatCodec:
        return codec_of(self.quirks)

    @property
    def streams(self) -> bool:
        return self.framing in ("sse", "data-lines")


def load() -> list[Case]:
    files = [
        *sorted((ROOT / "openai-chat").glob("*.json")),
        *sorted((ROOT / "azure-openai").glob("*.json")),
        *sorted((ROOT / "openai-compatible").glob("*/*.json")),
    ]
    return [case(recorded) for file in files if (recorded := json.loads(file.read_bytes()))["api"] == "chat"]


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
        recorded["status"],
        headers,
        recorded["body_framing"],
        body,
        recorded["request_body"],
        recorded["fidelity"],
    )


CASES = load()


def cases(which: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.provider}-{case.id}") for case in which])


@cache
def result_of(case_id: str) -> CreateResult:
    """What the exchange gave."""
    case = next(case for case in CASES if case.id == case_id)
    return fold(read(case.body, case.quirks).events) if case.streams else case.codec.decode(case.body)


STREAMS = [case for case in CASES if case.streams]
FAILURES = [case for case in CASES if case.id in ERRORS]
ANSWERS = [case for case in CASES if case.id not in ERRORS]
REQUESTS = [case for case in CASES if case.request is not None]


def test_all_recordings_of_this_format_are_here() -> None:
    counts = Counter(case.provider.partition(":")[0] for case in CASES)

    assert counts == {"openai-chat": 85, "azure-openai": 28, "openai-compatible": 62}
    assert len(STREAMS) == 57
    assert {case.id for case in FAILURES} == ERRORS.keys()


# ---------------------------------------------------------------------- answers


def plainly(case: Case) -> tuple[str, str | None, str | None, list[tuple[str, str]]]:
    """Text, reasoning, refusal and calls of the first choice, read by plain means."""
    lines = (
        [line[6:] for line in case.body.split(b"\n") if line.startswith(b"data: {")] if case.streams else [case.body]
    )
    choices = [choice for line in lines for choice in json.loads(line).get("choices") or () if not choice["index"]]
    messages: list[dict[str, Any]] = [choice.get("delta" if case.streams else "message") or {} for choice in choices]
    text, thought, refusal = "", "", ""
    calls: dict[int, list[str]] = {}
    for message in messages:
        for part in message["content"] if isinstance(message.get("content"), list) else []:
            text += part.get("text", "")
            thought += "".join(piece["text"] for piece in part.get("thinking", ()))
        text += message["content"] if isinstance(message.get("content"), str) else ""
        thought += message.get("reasoning") or message.get("reasoning_content") or ""
        refusal += message.get("refusal") or ""
        legacy = message.get("function_call") or {}
        found: list[dict[str, Any]] = message.get("tool_calls") or (
            [{"function": legacy}] if legacy.get("name") else []
        )
        for place, call in enumerate(found):
            index = call.get("index", place) if case.streams else place
            known = calls.setdefault(index, ["", ""])
            known[0] += call["function"].get("name") or ""
            known[1] += call["function"].get("arguments") or ""
    return text, thought or None, refusal or None, [(name, arguments) for name, arguments in calls.values()]


@cases(ANSWERS)
def test_a_recorded_answer_gives_a_result(case: Case) -> None:
    result = result_of(case.id)

    assert (result.finish_reason in ("unknown", "error")) == (case.id in UNKNOWN_REASONS)
    calls = [(call.name, call.arguments) for call in result.tool_calls]
    assert plainly(case) == (result.text, result.thought, result.refusal, calls)
    assert result.model
    assert result.provider == case.quirks.provider
    assert result.usage is None or result.usage.total_tokens >= result.usage.prompt_tokens


@cases(ANSWERS)
def test_a_result_is_its_events(case: Case) -> None:
    result = result_of(case.id)

    assert fold(unfold(result)) == result
    assert msgspec.json.decode(msgspec.json.encode(result), type=CreateResult) == result


@cases([case for case in ANSWERS if not case.streams])
def test_an_answer_survives_a_different_layout(case: Case) -> None:
    """White space and the order of members mean nothing."""
    shuffled = json.dumps(json.loads(case.body), indent=1, sort_keys=True).encode()

    again = case.codec.decode(b"\n\n  " + shuffled)  # DeepSeek sends empty lines while one waits

    assert _plain(again) == _plain(result_of(case.id))


def _plain(result: CreateResult) -> Any:
    """The result without the spelling of opaque data."""
    return json.loads(msgspec.json.encode(result))


@cases([case for case in FAILURES if case.status >= 400])
def test_a_recorded_error_has_its_class(case: Case) -> None:
    error = case.codec.decode_error(HttpResponse(case.status, case.headers, case.body))

    assert type(error) is ERRORS[case.id]
    assert error.status_code == case.status
    assert str(case.status) in error.message
    assert error.message.startswith(f"{case.quirks.provider}: ")
    assert error.request_id == _header(case, b"apim-request-id", b"x-request-id")
    assert error.body
    assert error.retryable == (case.status in (429, 500))


def _header(case: Case, *names: bytes) -> str | None:
    return next((case.headers[name].decode() for name in names if name in case.headers), None)


def test_a_recorded_error_inside_a_200_answer_has_its_class() -> None:
    (case,) = [case for case in FAILURES if case.status == 200 and not case.streams]

    with pytest.raises(errors.ContentFilterError) as caught:
        case.codec.decode(case.body)
    assert caught.value.status_code == 400


def test_a_recorded_error_inside_a_stream_comes_after_its_events() -> None:
    (case,) = [case for case in FAILURES if case.status == 200 and case.streams]
    found = read(case.body, case.quirks)

    assert isinstance(found.error, errors.BadRequestError)
    assert found.error.code == "tool_use_failed"
    assert fold(found.events).text.endswith("maybe")


# ---------------------------------------------------------------------- streams


@cases(STREAMS)
def test_a_recorded_stream_is_the_same_however_it_is_cut_into_pieces(case: Case) -> None:
    whole = read(case.body, case.quirks).outcome

    assert read(by_bytes(case.body), case.quirks).outcome == whole
    for seed in range(3):
        assert read(_pieces(case.body, random.Random(seed)), case.quirks).outcome == whole


def _pieces(body: bytes, chance: random.Random) -> list[bytes]:
    ends = sorted(chance.sample(range(len(body)), k=min(len(body), chance.choice((2, 20, 200)))))
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


@cases(STREAMS)
def test_a_recorded_stream_is_the_same_with_other_line_ends(case: Case) -> None:
    whole = read(case.body, case.quirks).outcome
    lines = case.body.replace(b"\r\n", b"\n")

    assert read(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"), case.quirks).outcome == whole
    assert read(lines.replace(b"data: ", b"data:"), case.quirks).outcome == whole
    assert read(lines.replace(b"data: ", b": keep-alive\n\nevent: message\ndata: "), case.quirks).outcome == whole


@cases([case for case in STREAMS if case.id not in ERRORS])
def test_a_recorded_stream_that_is_cut_says_so(case: Case) -> None:
    whole = read(case.body, case.quirks).events
    ends = _frame_ends(case.body)
    chance = random.Random(case.id)
    for count in sorted({0, 1, len(ends) // 2, *chance.sample(range(len(ends)), k=min(12, len(ends)))}):
        if _is_complete(case.body[: ends[count]]):
            continue
        end = ends[count - 1] if count else 0
        for cut in {end, end + 1, chance.randint(end, ends[count] - 1)}:  # after an event, and inside the next
            found = read(case.body[:cut], case.quirks)

            assert type(found.error) is errors.StreamInterruptedError, (cut, found.error)
            assert found.error.retryable
            assert found.events == whole[: len(found.events)]
            partial = fold(found.events)
            assert partial.finish_reason == "error"
            assert fold(whole).text.startswith(partial.text)
            assert (fold(whole).thought or "").startswith(partial.thought or "")


@cases([case for case in STREAMS if case.id not in ERRORS])
def test_a_recorded_stream_is_complete_without_its_last_line(case: Case) -> None:
    """`[DONE]` may be missing once every choice has its `finish_reason`; then usage may be, too."""
    ends = _frame_ends(case.body)
    complete = [end for end in ends[-8:] if _is_complete(case.body[:end]) and b"[DONE]" not in case.body[:end]]
    assert complete or case.id in UNKNOWN_REASONS
    for end in complete:
        found = read(case.body[:end], case.quirks)

        assert found.error is None
        result, whole = fold(found.events), result_of(case.id)
        assert (result.parts, result.finish_reason) == (whole.parts, whole.finish_reason)
        assert result.usage in (None, whole.usage)


def _frame_ends(body: bytes) -> list[int]:
    """Where the events of a stream end."""
    ends = [place + 2 for place in range(len(body)) if body.startswith(b"\n\n", place)]
    assert ends, "a recording whose lines end otherwise"
    return ends


def _is_complete(body: bytes) -> bool:
    """Whether these events say why the answer ended: the rule, by plain means."""
    frames = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    if b"[DONE]" in frames:
        return True
    choices = [choice for frame in frames for choice in json.loads(frame).get("choices") or ()]
    seen = {choice["index"] for choice in choices}
    return bool(seen) and seen == {choice["index"] for choice in choices if choice.get("finish_reason")}


@cases(STREAMS)
def test_a_damaged_recording_is_a_stream_or_an_error(case: Case) -> None:
    chance = random.Random(case.id)
    for _ in range(6):
        body = _damaged(case.body, chance)
        whole = read(body, case.quirks)

        assert read(_pieces(body, chance), case.quirks).outcome == whole.outcome
        assert fold(unfold(fold(whole.events))) == fold(whole.events)


def _damaged(body: bytes, chance: random.Random) -> bytes:
    for _ in range(3):
        start = chance.randrange(len(body))
        other = chance.choice(
            [b"", b"\xff", b'"', b"}", b"\n\n", b"null", b'{"error": "x"}\n', body[start : start + 40] * 2]
        )
        body = body[:start] + other + body[start + chance.randrange(12) :]
    return body


# ---------------------------------------------------------------------- the way back


@cases([case for case in ANSWERS if result_of(case.id).parts])
def test_an_answer_goes_back_with_every_opaque_byte(case: Case) -> None:
    codec, message = case.codec, result_of(case.id).message
    stored = msgspec.json.decode(msgspec.json.encode(message), type=AssistantMessage)

    sent = codec.encode(ChatRequest(model="m", messages=[stored]), {}).body

    assert sent == codec.encode(ChatRequest(model="m", messages=[message]), {}).body
    for raw in _opaque(case):
        assert raw in sent
    (again,) = codec.decode_request(sent).messages
    assert isinstance(again, AssistantMessage)
    assert codec.encode(ChatRequest(model="m", messages=[again]), {}).body == sent
    assert _signatures(again) == _signatures(message)


def _opaque(case: Case) -> list[bytes]:
    """`reasoning_details` of the first choice as they came, where a whole answer has them."""
    if case.streams:
        return []
    details = msgspec.json.decode(case.body)["choices"][0].get("message", {}).get("reasoning_details") or []
    raws = msgspec.json.decode(case.body, type=_RawAnswer).choices[0].message.reasoning_details or []
    assert len(raws) == len(details)
    return [bytes(raw) for raw in raws]


class _RawMessage(msgspec.Struct):
    reasoning_details: list[msgspec.Raw] | None = None


class _RawChoice(msgspec.Struct):
    message: _RawMessage = msgspec.field(default_factory=_RawMessage)


class _RawAnswer(msgspec.Struct):
    choices: list[_RawChoice]


def _signatures(message: AssistantMessage) -> Any:
    parts = message.content if not isinstance(message.content, str) else []
    return [part.provider_data for part in parts if isinstance(part, Reasoning)]


# ---------------------------------------------------------------------- requests


@cases(REQUESTS)
def test_a_recorded_request_is_written_as_it_was_read(case: Case) -> None:
    assert case.request is not None
    codec, recorded = case.codec, json.dumps(case.request).encode()
    request = codec.decode_request(recorded)
    try:
        sent = codec.encode(request, {}).body
    except errors.BadRequestError:
        assert case.status >= 400, "a request that the server took"
        return
    expected, used = normalised(case.request, case.quirks)

    assert json.loads(sent) == expected
    again = codec.decode_request(sent)
    assert codec.encode(again, {}).body == sent
    if not used & {"one_text_is_a_string", "lists_of_text_are_joined", "strict_schemas_are_lowered"}:
        assert again == request


def test_every_normalisation_is_needed() -> None:
    used = [normalised(case.request, case.quirks)[1] for case in REQUESTS if case.request is not None]

    assert set().union(*used) == {normalise.__name__ for normalise in NORMALISATIONS}
    assert all(normalise.__doc__ for normalise in NORMALISATIONS)
