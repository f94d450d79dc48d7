"""The JSON of media is made once in the life of a part, and dies with it."""

from __future__ import annotations

import gc
from typing import Any

import msgspec
import pytest

from modelwire.providers import _body, codec_for
from modelwire.providers._body import data_json
from modelwire.types import Audio, ChatRequest, Document, Image, UserMessage, Video

LARGE = "QUJD" * 2000
PARTS = [Image, Audio, Document, Video]


@pytest.mark.parametrize("kind", PARTS)
def test_large_data_is_written_once_for_each_prefix(kind: Any) -> None:
    part = kind(data=LARGE, media_type="a/b")

    assert msgspec.json.decode(data_json(part)) == LARGE
    assert msgspec.json.decode(data_json(part, "data:")) == f"data:{LARGE}"
    assert data_json(part) is data_json(part)
    assert data_json(part, "data:") is data_json(part, "data:")


def test_small_data_and_equal_parts_share_nothing() -> None:
    small, one, other = Image(data="QUJD"), Image(data=LARGE), Image(data=LARGE)

    assert data_json(small) is not data_json(small)
    assert data_json(one) is not data_json(other)
    assert data_json(one) == data_json(other)


def test_what_was_written_goes_with_its_part() -> None:
    before = len(_body._written)
    parts = [Image(data=LARGE), Image(data=LARGE)]
    cycle: list[Any] = [Image(data=LARGE)]
    cycle.append(cycle)
    for part in (*parts, cycle[0]):
        data_json(part)
        data_json(part, "data:")
    assert len(_body._written) == before + 6

    del part, parts[0], cycle
    gc.collect()

    assert len(_body._written) == before + 2


def test_a_new_part_in_the_place_of_an_old_one_is_another() -> None:
    seen: set[bytes] = set()
    for letter in "ABCDEFGH" * 4:
        part = Image(data=letter * 8000, media_type="image/png")
        assert bytes(data_json(part)) == b'"%b"' % (letter.encode() * 8000)
        seen.add(bytes(data_json(part)))
        del part

    assert len(seen) == 8


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic", "gemini", "ollama"])
def test_a_second_turn_sends_the_same_bytes(dialect: str) -> None:
    codec, info = codec_for(dialect), {"family": "unknown"}
    image = Image(data=LARGE, media_type="image/png")
    request = ChatRequest(model="m", messages=[UserMessage(content=["What is this?", image])])

    first = codec.encode(request, info).body  # type: ignore[arg-type]

    assert LARGE.encode() in first
    assert codec.encode(request, info).body == first  # type: ignore[arg-type]
