"""What the fast transport takes for HTTP, and what it refuses: as bytes, however they are cut."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwire._transport.fast.response import (
    FIELD_LIMIT,
    HEAD_LIMIT,
    PIECE_LIMIT,
    SILENT_LIMIT,
    Response,
    decompressor,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
SIZED = OK + b"content-length: 3\r\n\r\nabc"

GOOD: dict[str, tuple[bytes, bytes, bool]] = {
    "length": (SIZED, b"abc", True),
    "empty": (OK + b"content-length: 0\r\n\r\n", b"", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 3\r\n\r\nabc", b"abc", True),
    "chunks": (CHUNKED + b"1\r\na\r\n2;ext=1\r\nbc\r\n0\r\nx-trailer: 1\r\n\r\n", b"abc", True),
    "padded chunk size": (CHUNKED + b"3  \r\nabc\r\n0\r\n\r\n", b"abc", True),
    "upper case": (b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc", True),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: a\r\n\r\n" + SIZED, b"abc", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", b"", True),
    "connection: close": (OK + b"connection: x, close\r\ncontent-length: 3\r\n\r\nabc", b"abc", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", b"abc", False),
    "HTTP/1.0, kept": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc", b"abc", True),
    "a second answer": (SIZED + OK + b"content-length: 5\r\n\r\nwrong", b"abc", False),
    "a second answer to a 204": (b"HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\nabc", b"", False),
    "line ends behind": (SIZED + b"\r\n\r\n\n", b"abc", True),
    "garbage behind line ends": (SIZED + b"\r\n\r\nx", b"abc", False),
    "garbage behind": (SIZED + b"\x00\xffgarbage", b"abc", False),
}
"""Bytes, the body they hold, and whether the connection may be used again."""

BAD: dict[str, bytes] = {
    "both lengths": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, turned around": OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "a list of lengths": OK + b"content-length: 3, 4\r\n\r\nabcd",
    "a signed length": OK + b"content-length: +3\r\n\r\nabc",
    "a negative length": OK + b"content-length: -3\r\n\r\nabc",
    "a length beyond all bounds": OK + b"content-length: 99999999999999999999999\r\n\r\nabc",
    "an empty length": OK + b"content-length:\r\n\r\nabc",
    "another transfer coding": OK + b"transfer-encoding: gzip\r\n\r\nabc",
    "two transfer codings": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that only looks chunked": OK + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a folded line": OK + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a version that is none": b"HTTP/1.7 200 OK\r\ncontent-length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "a space in a name": OK + b"a b: c\r\n\r\n",
    "a space before the colon": OK + b"content-length : 3\r\n\r\nabc",
    "no colon": OK + b"abc\r\n\r\n",
    "no name": OK + b": c\r\n\r\n",
    "a NUL": OK + b"a: b\0c\r\n\r\n",
    "a lone CR": OK + b"a: b\rc\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx",
    "101 without a word": b"HTTP/1.1 101 Switching\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x16",
    "a chunk size that is none": CHUNKED + b"zz\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n",
    "0x": CHUNKED + b"0x3\r\nabc\r\n",
    "a chunk beyond all bounds": CHUNKED + b"fffffffffffffffff\r\n",
    "a longer chunk than it says": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\nabc",
    "chunks with bare line feeds": CHUNKED + b"3\nabc\n0\n\n",
}


def fed(*pieces: bytes) -> Response:
    response = Response()
    for piece in pieces:
        response.feed(memoryview(piece))
    return response


def verdict(response: Response) -> tuple[object, ...]:
    """All that a user of the bytes can tell."""
    return (
        response.status if response.head else 0,
        b"".join(response.pieces),
        response.complete,
        bool(response.error),
        response.reusable,
        response.headers if response.head else {},
    )


def cuts(data: bytes) -> list[list[bytes]]:
    """Whole, in two at every byte, and byte by byte."""
    twos = [[data[:at], data[at:]] for at in range(1, len(data))]
    return [[data], *twos, [data[at : at + 1] for at in range(len(data))]]


@pytest.mark.parametrize("case", GOOD)
def test_an_answer_is_read_however_it_is_cut(case: str) -> None:
    data, body, reusable = GOOD[case]
    for cut in cuts(data):
        response = fed(*cut)
        assert (response.complete, response.error, response.reusable) == (True, "", reusable), cut
        assert b"".join(response.pieces) == body, cut
        assert response.status in (200, 204, 304)


@pytest.mark.parametrize("case", BAD)
def test_what_could_be_read_in_two_ways_is_refused_however_it_is_cut(case: str) -> None:
    for cut in cuts(BAD[case]):
        response = fed(*cut)
        assert response.error, cut
        assert not response.complete
        assert not response.reusable


def test_a_connection_that_ends_completes_only_what_its_end_marks() -> None:
    for data in (SIZED, CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"):
        for end in range(len(data)):
            response = fed(data[:end]) if end else Response()
            assert response.end() is False, data[:end]
            assert not response.reusable
    unmarked = fed(OK + b"\r\nabc")
    assert not unmarked.complete
    assert unmarked.end() is True
    assert (b"".join(unmarked.pieces), unmarked.reusable) == (b"abc", False)


def test_the_next_answer_begins_anew() -> None:
    response = fed(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")
    response.begin()
    assert (response.started, response.head, response.complete, response.pieces) == (False, False, False, [])
    response.feed(SIZED)
    assert verdict(response) == (200, b"abc", True, False, True, {b"content-length": b"3"})
    response.feed(SIZED)  # nobody asked for this one
    assert (b"".join(response.pieces), response.reusable) == (b"abc", False)


def test_the_answer_to_head_has_no_body() -> None:
    response = Response()
    response.head_only = True
    response.feed(OK + b"content-length: 3\r\n\r\n")
    assert (response.status, response.complete, response.error, response.reusable) == (200, True, "", False)


@pytest.mark.parametrize("step", [1000, 65536, 10**9])
@pytest.mark.parametrize(
    ("before", "again"),
    [
        (OK, b"a: " + b"b" * 997 + b"\r\n"),
        (OK, b"a: b\r\n"),
        (OK + b"a: ", b"b" * 1000),
        (b"HTTP/1.1 200 ", b"reason " * 100),
        (b"", b"HTTP/1.1 103 Early\r\n\r\n"),
        (CHUNKED + b"1;", b"extension" * 100),
        (CHUNKED + b"0\r\n", b"trailer: " + b"b" * 991 + b"\r\n"),
    ],
    ids=["fields", "many fields", "one field", "reason", "interim answers", "extension", "trailers"],
)
def test_what_never_comes_to_a_body_has_a_bound(before: bytes, again: bytes, step: int) -> None:
    data = before + again * (4 * SILENT_LIMIT // len(again))
    response = Response()
    taken = 0
    for start in range(0, len(data), step):
        response.feed(data[start : start + step])
        taken += step
        if response.error:
            break
    assert response.error
    assert taken <= SILENT_LIMIT + 2 * step
    assert sum(len(name) + len(value) for name, value in response.raw_headers) <= HEAD_LIMIT
    assert len(response.raw_headers) <= FIELD_LIMIT


def test_a_long_answer_in_tiny_chunks_is_no_flood() -> None:
    response = fed(CHUNKED)
    for _ in range(5000):
        response.feed(b"1;padding=" + b"x" * 100 + b"\r\na\r\n")
        assert response.take() == b"a"
    assert not response.error


# Compressed bodies -----------------------------------------------------------------------------------------------------

TEXT = b"".join(b"%d " % number for number in range(20_000))


def raw_deflate(data: bytes) -> bytes:
    maker = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return maker.compress(data) + maker.flush()


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        (b"gzip", gzip.compress(TEXT)),
        (b"X-GZip", gzip.compress(TEXT)),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", raw_deflate(TEXT)),
        (b"identity, gzip", gzip.compress(TEXT)),
        (b"deflate, gzip", gzip.compress(zlib.compress(TEXT))),
    ],
    ids=["gzip", "x-gzip", "deflate", "raw deflate", "identity", "twice"],
)
def test_bodies_are_decompressed_however_they_are_cut(coding: bytes, data: bytes) -> None:
    for size in (1, 7, 1000, len(data)):
        decompress = decompressor({b"content-encoding": coding})
        assert decompress is not None
        got = b"".join(
            decompress.feed(data[start : start + size]) + decompress.more() for start in range(0, len(data), size)
        )
        assert got == TEXT


def test_a_bomb_comes_in_pieces() -> None:
    whole = 200 * PIECE_LIMIT + 7
    decompress = decompressor({b"content-encoding": b"gzip"})
    assert decompress is not None
    sizes = [len(decompress.feed(gzip.compress(bytes(whole))))]
    while piece := decompress.more():
        sizes.append(len(piece))
    assert (max(sizes), sum(sizes)) == (PIECE_LIMIT, whole)


def test_a_coding_that_was_not_asked_for_is_named() -> None:
    assert decompressor({}) is None
    assert decompressor({b"content-encoding": b"identity"}) is None
    with pytest.raises(ValueError, match="content-encoding 'br' was not asked for"):
        decompressor({b"content-encoding": b"gzip, br"})


# Fuzzing -----------------------------------------------------------------------------------------------------------------

SEEDS = [data for data, _, _ in GOOD.values()] + list(BAD.values())


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(0, 4)):
        at = chance.randint(0, len(data))
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(
                    [b"\r\n", b"\n", b"0", b" ", b"\0", b"content-length: 1\r\n", b";", b"f" * 20]
                )
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data[at:at] = chance.choice(SEEDS)
    return bytes(data)


def check(data: bytes, chance: random.Random) -> None:
    """The same is read from the same bytes, however they are cut; nothing is raised; what is wrong is never reused."""
    whole = fed(data) if data else Response()
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = chance.choice([1, 1, 2, 5, 100])
        pieces.append(data[at : at + size])
        at += size
    cut = fed(*pieces)
    assert verdict(cut) == verdict(whole), (data, pieces)
    for response in (whole, cut):
        assert not (response.error and (response.reusable or response.complete))
        response.end()
        assert not response.reusable


@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_mutated_answers_read_the_same_however_they_are_cut(seed: bytes, chance: random.Random) -> None:
    check(mutated(seed, chance), chance)


@pytest.mark.soak
@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False))
@settings(max_examples=30_000, deadline=None)
def test_many_mutated_answers(seed: bytes, chance: random.Random) -> None:
    check(mutated(seed, chance), chance)


@pytest.mark.soak
def test_coverage_guided_fuzzing(tmp_path: Path) -> None:
    """libFuzzer, where atheris is installed (the dependency group `fuzz`)."""
    pytest.importorskip("atheris", reason="pip install atheris: coverage-guided fuzzing needs it")
    for number, seed in enumerate(SEEDS):
        (tmp_path / f"{number}").write_bytes(seed)
    command = [sys.executable, "-m", "tests.fuzz_fast_response", str(tmp_path), "-max_total_time=60", "-max_len=2000"]
    root = Path(__file__).resolve().parents[1]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    assert "Done " in ran.stderr
