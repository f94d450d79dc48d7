"""Whatever bytes come, each decoder of each dialect gives what it should or one of modelwire's errors, in bounded time
and memory. `make soak` tries a hundred times as much, and `make fuzz` follows the coverage.
"""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelwire._frames import MAX_FRAME
from modelwire.errors import BadRequestError, ModelClientError, ProtocolError
from modelwire.protocols import HttpResponse
from tests.fuzzing import CHECKS, answers, changed, codecs, outcome, requests
from tests.recordings import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from modelwire.protocols import StreamDecoder

MB = 1024 * 1024
dialects = pytest.mark.parametrize("dialect", DIALECTS)
verbs = pytest.mark.parametrize("verb", CHECKS)


def few(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


NOISE = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                *(b"data: ", b"data:", b"event: x\n", b"\n\n", b"\r\n", b"\r", b"\n", b":", b"[DONE]", b"\xff", b"\xef\xbb\xbf"),
                *(b"{}", b"[]", b"null", b'{"error": "x"}', b'{"type":"error"}', b"<html>", b'{"', b'":', b'"}', b"[", b"]"),
                *(b"1e999", b"9" * 400, b'"\\ud800"', b"\\u0000", b'{"done":true}', b'{"type":"message_stop"}'),
            ]
        ),
        max_size=20,
    ).map(b"".join),
)  # fmt: skip


@dialects
@verbs
def test_any_bytes(dialect: str, verb: str) -> None:
    @few(60)
    @given(NOISE, st.integers(0, 2**32))
    def check(body: bytes, seed: int) -> None:
        chance = random.Random(seed)
        CHECKS[verb](chance.choice(codecs(dialect)), body, chance)

    check()


@dialects
@verbs
def test_recordings_that_something_happened_to(dialect: str, verb: str) -> None:
    try_changed(dialect, verb, range(100))


@pytest.mark.soak
@dialects
@verbs
def test_many_recordings_that_something_happened_to(dialect: str, verb: str) -> None:
    try_changed(dialect, verb, range(1_000, 21_000))


def try_changed(dialect: str, verb: str, seeds: range) -> None:
    """Seeds instead of a search: what fails names its own, and takes no time to shrink."""
    bodies = requests(dialect) if verb == "request" else answers(dialect)
    for seed in seeds:
        chance = random.Random(seed)
        body, codec = changed(chance.choice(bodies), chance), chance.choice(codecs(dialect))
        try:
            CHECKS[verb](codec, body, chance)
        except Exception as error:
            error.add_note(f"seed {seed}, provider {codec.provider}, body {body[:2000]!r}")
            raise


@pytest.mark.soak
@dialects
@verbs
def test_many_bytes(dialect: str, verb: str) -> None:
    @settings(max_examples=5_000, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(NOISE, st.integers(0, 2**32))
    def check(body: bytes, seed: int) -> None:
        chance = random.Random(seed)
        CHECKS[verb](chance.choice(codecs(dialect)), body, chance)

    check()


# ---------------------------------------------------------------------- bounds


DEEP = [
    *(b"[" * 100_000, b'{"a":' * 100_000, b'{"choices":' + b"[" * 100_000, b'{"error":' + b'{"message":' * 100_000),
    *(b'{"messages":' + b"[" * 100_000, b'{"type":"error","error":' + b"[" * 100_000),
    *(b'{"candidates":[{"content":{"parts":[{"x":' + b"[" * 100_000, b'{"message":{"tool_calls":[{"a":' + b"[" * 100_000),
]  # fmt: skip


@dialects
@pytest.mark.parametrize("body", DEEP, ids=range(len(DEEP)))
def test_what_is_nested_too_deeply_is_an_error(dialect: str, body: bytes) -> None:
    codec = codecs(dialect)[0]

    with pytest.raises(ModelClientError):
        codec.decode(body)
    assert outcome(codec, [b"data: " + body + b"\n\n"])[1] is not None
    assert outcome(codec, [body + b"\n"])[1] is not None
    assert codec.decode_error(HttpResponse(400, {}, body)).status_code == 400
    with pytest.raises(BadRequestError):
        codec.decode_request(body)


HUGE = (b"9" * 5000, b"1e999", b"-1e999", b"0." + b"1" * 5000, b"1" + b"0" * 400)


@dialects
@pytest.mark.parametrize("number", HUGE, ids=range(len(HUGE)))
def test_numbers_of_any_size_are_read_or_refused(dialect: str, number: bytes) -> None:
    """In the place of each number of each answer."""
    for index, body in enumerate(answers(dialect)[:40]):
        codec = codecs(dialect)[index % len(codecs(dialect))]
        replaced = _with_numbers(body, number)
        for verb in ("answer", "stream", "error"):
            CHECKS[verb](codec, replaced, random.Random(index))


def _with_numbers(body: bytes, number: bytes) -> bytes:
    """All whole numbers of the body are this one."""
    pieces = body.split(b":")
    for index, piece in enumerate(pieces):
        digits = piece[: len(piece) - len(piece.lstrip(b"0123456789 "))]
        if digits.strip():
            pieces[index] = number + piece[len(digits) :]
    return b":".join(pieces)


def feed_all(decoder: StreamDecoder, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        decoder.feed(piece)


ENDLESS = {
    "a frame": b"x",
    "a frame of many lines": b"data: x\n",
    "a frame of empty lines": b"data:\n",
    "lines that are no fields": b"{}\n",
    "an error that does not end": b'{"error": [\n',
}


@dialects
@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_refused_before_it_takes_much_memory(dialect: str, what: str) -> None:
    """With a bound that is a hundredth of the real one, so that it is quick: the memory follows the bound."""
    codec = codecs(dialect)[0]
    decoder: Any = codec.stream_decoder()
    bound = MAX_FRAME // 128
    decoder._framer._bound = bound
    unit = ENDLESS[what]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            feed_all(decoder, (bytes(bytearray(unit * (8192 // len(unit)))) for _ in range(4 * bound // 8192)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 6 * bound


@dialects
def test_one_frame_of_the_largest_size_is_refused_by_the_real_bound(dialect: str) -> None:
    decoder = codecs(dialect)[0].stream_decoder()
    piece = b"data: " + b"x" * MB

    with pytest.raises(ProtocolError, match=f"larger than {MAX_FRAME} bytes"):
        feed_all(decoder, (piece for _ in range(MAX_FRAME // MB + 1)))


@dialects
def test_a_result_takes_memory_in_proportion_to_its_answer(dialect: str) -> None:
    for body in sorted(answers(dialect), key=len)[-3:]:
        tracemalloc.start()
        try:
            for verb in ("answer", "stream"):
                CHECKS[verb](codecs(dialect)[0], body, random.Random(0))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 100 * len(body) + 200_000


SLOW: dict[str, Callable[[int], bytes]] = {
    "bare lines": lambda count: b"{}\n" * count,
    "braces": lambda count: b"}\n" * count,
    "lines beside events": lambda count: b'{}\ndata: {"type":"x"}\n\n' * count,
    "empty events": lambda count: b"data: {}\n\n" * count,
    "lines of one event": lambda count: b"data: 1\n" * count,
    "deltas of a signature": lambda count: (
        b'data: {"type":"message_start","message":{"content":[]}}\n\n'
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}\n\n'
        + b'data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"aaaaaaaa"}}\n\n'
        * count
    ),
    "fragments of calls": lambda count: b"".join(
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f",'
        b'"arguments":"{}"}}]}}]}\n\n' % (index, index)
        for index in range(count)
    ),
    "items": lambda count: b"".join(
        b'data: {"type":"response.output_text.delta","item_id":"i%d","delta":"x"}\n\n' % index for index in range(count)
    ),
    "chunks of an answer": lambda count: (
        b'data: {"candidates":[{"content":{"parts":[{"text":"a"},{"text":"b","thought":true}]}}]}\n\n' * count
    ),
    "lines of an answer": lambda count: b'{"message":{"content":"a","thinking":"b"}}\n' * count,
}


@dialects
@pytest.mark.parametrize("what", SLOW)
def test_time_grows_with_the_length_and_not_with_its_square(dialect: str, what: str) -> None:
    """The bound is a multiple of what it takes: quadratic ones were a hundred times slower than this allows."""
    codec = codecs(dialect)[0]
    body = SLOW[what](10_000)
    began = time.process_time()

    outcome(codec, [body[start : start + 50] for start in range(0, len(body), 50)])
    outcome(codec, [body])

    assert time.process_time() - began < 30


# ---------------------------------------------------------------------- what was found


@pytest.mark.parametrize(
    ("dialect", "body", "says"),
    [
        ("openai-responses", b'{"model":"m","input":[{"role":"user","content":[{"type":{}}]}]}', None),
        ("openai-responses", b'{"model":"m","input":[{"type":"x","y":"\xff"}]}', "utf-8"),
        ("anthropic", b'{"model":"","messages":[{"role":"user","content":"a"}]}', "the name of a model"),
        ("anthropic", b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', "utf-8"),
        (
            "anthropic",
            b'{"model":"claude-haiku-4-5","max_tokens":"x","thinking":{"type":"enabled"},"messages":[]}',
            "max_tokens='x': a whole number",
        ),
        (
            "anthropic",
            b'{"model":"m","messages":[{"role":"user","content":"a"}],"output_config":{"format":5}}',
            "output_config.format",
        ),
        ("gemini", b'{"contents":[{"parts":[{"text":"a"}]}],"x":1e999}', "x: "),
        ("gemini", b'{"contents":[{"parts":[{"text":"a"}]}],"x":"\xff"}', "utf-8"),
        (
            "gemini",
            b'{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"stopSequences":5}}',
            "stop=5: a string",
        ),
        (
            "ollama",
            b'{"model":"m","messages":[{"role":"user","content":"a"}],"options":{"stop":5}}',
            "stop=5: a string",
        ),
        ("ollama", b'{"model":"m","messages":[{"role":"assistant","tool_calls":[5]}]}', "not a body"),
    ],
)
def test_requests_that_were_no_clear_errors(dialect: str, body: bytes, says: str | None) -> None:
    codec = codecs(dialect)[0]
    if says is None:
        assert json.loads(codec.encode(codec.decode_request(body), {}).body)
        return
    with pytest.raises(BadRequestError, match=says):
        codec.encode(codec.decode_request(body), {})


def test_a_call_with_members_of_the_servers_own_goes_back() -> None:
    """Each such call of Ollama's raised `TypeError` when it was sent back."""
    codec = codecs("ollama")[0]
    message = b'{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{},"extra":{"a":1.0}}}]}'
    written = codec.encode(codec.decode_request(b'{"model":"m","messages":[%b]}' % message), {}).body

    assert b'"extra":{"a":1.0}' in written


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("ollama", b'{"message":{"tool_calls":[5]},"done":true}'),
        ("ollama", b'{"message":{"tool_calls":[{"function":{"name":[]}}]},"done":true}'),
        ("ollama", b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":"\xff"}}]},"done":true}'),
        ("ollama", b'{"message":{"tool_calls":[{"function":{"name":"f","x":"\xff"}}]},"done":true}'),
        ("ollama", b'{"message":{"tool_calls":[{"function":{"name":"f"},"x":"\xff"}]},"done":true}'),
        ("ollama", b'{"message":{"content":"a"},"done":true,"remote_model":"\xff"}'),
        ("openai-responses", b'{"output":[{"type":"shell_call","call_id":"\xff"}],"status":"completed"}'),
    ],
)
def test_answers_that_were_no_protocol_errors(dialect: str, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        codecs(dialect)[0].decode(body)
    if dialect == "ollama":
        assert isinstance(outcome(codecs(dialect)[0], [body + b"\n"])[1], ProtocolError)


def test_numbers_beyond_floating_point_are_no_price_and_no_duration() -> None:
    huge = b"9" * 400
    ollama = b'{"message":{"content":"a"},"done":true,"total_duration":%b,"load_duration":%b}' % (huge, huge)
    chat = b'{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":1,"cost":%b}}' % huge

    timing, usage = codecs("ollama")[0].decode(ollama).timing, codecs("openai-chat")[0].decode(chat).usage
    assert timing
    assert (timing.server_total, timing.server_load) == (None, None)
    assert usage
    assert usage.cost is None


@pytest.mark.parametrize("dialect", ["anthropic", "gemini"])
def test_an_error_between_events_is_told_in_the_same_place_however_the_bytes_are_split(dialect: str) -> None:
    """Also where something like it follows at once."""
    start = {
        "anthropic": b'data: {"type":"message_start","message":{"content":[]}}\n\n',
        "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n\n',
    }[dialect]
    error = b'{\n "error": {"code": 503, "type": "overloaded_error", "message": "busy"}\n}\n'
    codec, body = codecs(dialect)[0], start + error + b"{\n" + start + error
    whole, told = outcome(codec, [body])

    assert told is not None
    assert "busy" in str(told)
    for place in range(1, len(body)):
        again, other = outcome(codec, [body[:place], body[place:]])
        assert (again, str(other)) == (whole, str(told))


def test_a_change_is_a_change() -> None:
    """The mutations do something, and most of what they make of JSON is JSON still: else the fuzzing tests nothing."""
    for dialect in DIALECTS:
        body = next(body for body in answers(dialect) if body[:1] == b"{")
        found = [changed(body, random.Random(seed)) for seed in range(100)]
        assert len({*found, body}) > 80
        assert sum(_is_json(one) for one in found) > 15


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
