"""Framing: server-sent events as the standard has them, and newline-delimited JSON, cut anywhere."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelwire._frames import NdjsonFramer, SseFramer
from modelwire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BOM = b"\xef\xbb\xbf"
MANY = settings(max_examples=300, deadline=None, derandomize=True)


def reference(stream: bytes) -> list[bytes]:
    """Data of events by the letter of https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream."""
    lines = re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))
    events: list[bytes] = []
    data = b""
    for line in lines[:-1]:  # what no line end ends is never processed
        field, _, value = line.partition(b":")
        if not line:
            if data:
                events.append(data.removesuffix(b"\n"))
            data = b""
        elif field == b"data":  # a comment has an empty field name
            data += value.removeprefix(b" ") + b"\n"
    return events


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that end at these places."""
    ends = sorted({min(place, len(data)) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def frames(framer: SseFramer | NdjsonFramer, pieces: Iterable[bytes]) -> list[bytes]:
    return [frame for piece in pieces for frame in framer.feed(piece)]


def by_events(data: bytes) -> list[bytes]:
    """As servers write: cut behind each empty line."""
    return re.split(rb"(?<=\n\n)|(?<=\n\r\n)", data)


def by_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


LINE_PIECES = [
    *(
        b"data",
        b"data:",
        b"data: ",
        b"data:  ",
        b"data:x",
        b"datax: 1",
        b"Data: 1",
        b" data: 1",
        b":",
        b": ping",
        b"event: e",
    ),
    *(b"id: 1", b"retry: 5", b" ", b"x", b"\xc3\xa9", b"\xff", b"\0", b"[DONE]", b"{", b'{"a": 1}', BOM, b"\xef\xbb"),
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"),
    *(
        b"data: 1\n\n",
        b"event: e\ndata: 2\n\n",
        b"event: e\ndata: \r3\n\n",
        b"event: e\nid: 4\n\n",
        b"event:data: 5\n\n",
        b"data: 6\r\n\r\n",
        b"data: \r7\r\n\r\n",
        b"event: e\r\ndata: 8\r\n\r\n",
    ),
]
STREAMS = st.lists(st.sampled_from(LINE_PIECES), max_size=40).map(b"".join)
PLACES = st.lists(st.integers(0, 200), max_size=12)


# ---------------------------------------------------------------------- server-sent events


@MANY
@given(STREAMS, PLACES)
@example(BOM + b"data: a\n\n", [1, 2])
@example(b"data: a\r\n\r\n", [8])
@example(b"data: a\r\r\ndata: b\n\n", [8, 9])
@example(b"data: a\n\n\rdata: b\n\n", [8])
def test_events_are_those_of_the_standard_wherever_the_bytes_are_cut(stream: bytes, places: list[int]) -> None:
    expected = reference(stream)

    assert frames(SseFramer(), cut(stream, places)) == expected
    assert frames(SseFramer(), [stream]) == expected
    assert frames(SseFramer(), by_bytes(stream)) == expected
    assert frames(SseFramer(), by_events(stream)) == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data\ndata\n\n", [b"\n"]),
        (b": keep-alive\n\ndata: a\n\n", [b"a"]),
        (b"event: error\nid: 7\nretry: 3\ndata: a\n\n", [b"a"]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [b"a", b"b", b"c"]),
        (BOM + b"data: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"", []),
    ],
)
def test_an_event_is_its_data_lines(stream: bytes, expected: list[bytes]) -> None:
    assert reference(stream) == expected, "the reference of this test is wrong"
    assert frames(SseFramer(), [stream]) == expected


def test_only_the_first_bytes_may_be_a_byte_order_mark() -> None:
    assert frames(SseFramer(), [b"data: a\n\n", BOM + b"data: b\n\n"]) == [b"a"]


def test_characters_cut_in_the_middle_come_together_again() -> None:
    stream = 'data: {"text": "é漢🎈"}\n\n'.encode()

    assert frames(SseFramer(), by_bytes(stream)) == [stream[6:-2]]


# ---------------------------------------------------------------------- what is no event


@pytest.mark.parametrize(
    ("stream", "stray", "rest"),
    [
        (b'{"error": "x"}\n', [b'{"error": "x"}'], b""),
        (b'{"error": "x"}', [], b'{"error": "x"}'),
        (b'{\n  "error": "x"\n}', [b"{", b'  "error": "x"'], b"}"),
        (b"<!doctype html>\r\n<p>", [b"<!doctype html>"], b"<p>"),
        (b": comment\nevent: e\nid: 1\nretry: 1\nunknown: 1\n", [], b""),
    ],
)
def test_lines_of_json_or_html_are_kept_apart(stream: bytes, stray: list[bytes], rest: bytes) -> None:
    for pieces in ([stream], by_bytes(stream)):
        framer = SseFramer()

        assert frames(framer, pieces) == []
        assert framer.stray == stray
        assert framer.rest() == rest


STRAY_STREAM = b'{"early": 1}\ndata: a\n\n{"between": 1}\ndata: b\n\ndata: [DONE]\n\n{"late": 1}\n'


@pytest.mark.parametrize("pieces", [[STRAY_STREAM], by_bytes(STRAY_STREAM), cut(STRAY_STREAM, [20, 24, 40])])
def test_a_stray_line_has_a_place_among_the_events(pieces: list[bytes]) -> None:
    framer = SseFramer()
    before: dict[bytes, list[bytes]] = {}
    for piece in pieces:
        for index, event in enumerate(framer.feed(piece)):
            before[event] = framer.stray_before(index)

    assert before == {
        b"a": [b'{"early": 1}'],
        b"b": [b'{"early": 1}', b'{"between": 1}'],
        b"[DONE]": [b'{"early": 1}', b'{"between": 1}'],
    }
    assert framer.stray[-1] == b'{"late": 1}'


@pytest.mark.parametrize(
    ("stream", "unfinished"),
    [
        (b"data: a\n\ndata: b", b"b"),
        (b"data: a\n\ndata: b\n", b"b"),
        (b"data: b\ndata:c\n", b"b\nc"),
        (b"data: b\ndata: c", b"b\nc"),
        (b"data: b\nid: 1", b"b"),
        (b"data: a\n\n", b""),
        (b"", b""),
    ],
)
def test_an_event_that_no_empty_line_ends_is_kept_but_not_given(stream: bytes, unfinished: bytes) -> None:
    for pieces in ([stream], by_bytes(stream)):
        framer = SseFramer()
        frames(framer, pieces)

        assert framer.unfinished() == unfinished


# ---------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(b"data: xxxxxxxxxxxxxxxxxxxx", id="a line"),
        pytest.param(b"data: xxxxxxxx\n", id="an event of many lines"),
        pytest.param(b"data:\n", id="an event of empty lines"),
        pytest.param(b'{"x": 1},\n', id="lines that are no fields"),
        pytest.param(b": ping", id="a comment"),
    ],
)
def test_what_never_ends_is_refused_at_the_bound(endless: bytes) -> None:
    framer = SseFramer(bound=10_000)

    with pytest.raises(ProtocolError, match="larger than 10000 bytes; the server does not end its frames"):
        frames(framer, [endless] * (100_000 // len(endless)))


def test_what_ends_may_go_on_for_ever() -> None:
    framer = SseFramer(bound=100)

    for _ in range(1000):
        assert framer.feed(b"data: " + b"x" * 60 + b"\n: ping\nid: 1\n\n") == [b"x" * 60]


def test_an_event_up_to_the_bound_passes_in_small_pieces() -> None:
    stream = b"data: " + b"x" * 90 + b"\n\n"

    assert frames(SseFramer(bound=100), by_bytes(stream)) == [b"x" * 90]
    assert frames(SseFramer(bound=100), cut(stream + stream, [50, 97, 130])) == [b"x" * 90] * 2


# ---------------------------------------------------------------------- time


def seconds(make: Callable[[], SseFramer | NdjsonFramer], pieces: list[bytes]) -> float:
    best = float("inf")
    for _ in range(2):
        framer = make()
        start = time.process_time()
        for piece in pieces:
            framer.feed(piece)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize(
    ("make", "kilobyte"),
    [
        pytest.param(SseFramer, b"x" * 1024, id="one event in one line"),
        pytest.param(SseFramer, b"data: xxxxxxxxxxxxxxxxxxxxxxxxx\n" * 32, id="one event of many lines"),
        pytest.param(SseFramer, b"data: xxxxxxxxxxxxxxxxxxxxxxxx\n\n" * 32, id="many events"),
        pytest.param(SseFramer, b'{"stray": "xxxxxxxxxxxxxxxxxxx"}\n' * 32, id="many lines that are no fields"),
        pytest.param(NdjsonFramer, b"x" * 1024, id="one line of JSON"),
    ],
)
def test_ten_times_the_bytes_take_about_ten_times_as_long(
    make: Callable[[], SseFramer | NdjsonFramer], kilobyte: bytes
) -> None:
    """What is linear stays below the ratio of 40 even on a busy machine; what is quadratic is at 100."""
    first = b"data: " if make is SseFramer and not kilobyte.startswith((b"data", b"{")) else b""
    small, large = [first + kilobyte] + [kilobyte] * 1023, [first + kilobyte] + [kilobyte] * 10_239

    assert seconds(make, large) < 40 * max(seconds(make, small), 1e-3)


# ---------------------------------------------------------------------- newline-delimited JSON


@MANY
@given(
    st.lists(
        st.sampled_from([b'{"a":1}', b"{}", b" ", b"\n", b"\r\n", b"\n\n", b"x", "é".encode(), b"\t"]), max_size=30
    ),
    PLACES,
)
def test_lines_are_those_between_line_ends_wherever_the_bytes_are_cut(pieces: list[bytes], places: list[int]) -> None:
    stream = b"".join(pieces)
    expected = [line for line in stream.split(b"\n") if line.strip()]

    for parts in ([stream], by_bytes(stream), cut(stream, places)):
        framer = NdjsonFramer()

        assert frames(framer, parts) + framer.close() == expected
        assert framer.close() == []


def test_a_line_that_never_ends_is_refused_at_the_bound() -> None:
    framer = NdjsonFramer(bound=1000)

    with pytest.raises(ProtocolError, match="larger than 1000 bytes"):
        frames(framer, [b"x" * 10] * 200)


def test_lines_that_end_may_go_on_for_ever() -> None:
    framer = NdjsonFramer(bound=100)

    for _ in range(1000):
        assert framer.feed(b"x" * 60 + b"\n") == [b"x" * 60]
