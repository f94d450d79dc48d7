"""What a cache keeps of an answer: bytes that say what they are, for which request, and whether they are whole.

    head    4 bytes `mwc1`, then three numbers of 4 bytes: length of the result, checksum of the result, of the events
    result  JSON of the `CreateResult`
    events  JSON of `[events, gaps]`; absent when the answer was not streamed

Both forms are kept side by side, so that a call that finds a stream need not read its events, nor a stream the result.
JSON, because opaque parts are JSON and are kept byte for byte.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import NamedTuple, cast

import msgspec

from modelwire._fold import unfold
from modelwire.types import CreateResult, StreamEvent

_MAGIC = b"mwc1"
"""Another form of what follows gets another number here, and other names in `name_of`."""
_HEAD = struct.Struct(">4sIII")


class Recorded(NamedTuple):
    """A stream as it came."""

    events: list[StreamEvent]
    gaps: list[int]
    """Microseconds before each event, from the one before or the beginning; 0 where it came with the one before."""


_result = msgspec.json.Decoder(CreateResult)
_recorded = msgspec.json.Decoder(tuple[list[StreamEvent], list[int]])
_encode = msgspec.json.Encoder().encode


def name_of(request_key: bytes) -> str:
    """The name in the store of what belongs to this request; it shows nothing of the request."""
    return f"1-{hashlib.sha256(request_key).hexdigest()}"


def packed(name: str, result: CreateResult, stream: Recorded | None = None) -> bytes:
    """The bytes of an answer.

    Raises `TypeError`, `ValueError` or `msgspec.MsgspecError` where it holds something that is no data.
    """
    if result.parts is not None:  # `content` follows from them
        result = msgspec.structs.replace(result)
        msgspec.structs.force_setattr(result, "content", None)
    whole = _encode(result)
    events = _encode(tuple(stream)) if stream is not None else b""
    seed = zlib.crc32(name.encode())
    return b"".join((_HEAD.pack(_MAGIC, len(whole), zlib.crc32(whole, seed), zlib.crc32(events, seed)), whole, events))


def result_of(name: str, value: bytes) -> CreateResult | None:
    """The result in it; `None` when the bytes are not what was stored under this name."""
    part = _part(name, value, events=False)
    try:
        return _result.decode(part) if part is not None else None
    except msgspec.MsgspecError:
        return None


def stream_of(name: str, value: bytes) -> Recorded | None:
    """The stream in it, or the answer as one; `None` when the bytes are not what was stored under this name."""
    part = _part(name, value, events=True)
    if part is None:
        return None
    if not part:
        result = result_of(name, value)
        return None if result is None else Recorded(unfold(result), [])
    try:
        return Recorded(*_recorded.decode(part))
    except msgspec.MsgspecError:
        return None


def _part(name: str, value: bytes, *, events: bool) -> memoryview | None:
    """One of the two, or `None` when it is damaged."""
    if len(value) < _HEAD.size:
        return None
    magic, length, of_result, of_events = cast("tuple[bytes, int, int, int]", _HEAD.unpack_from(value))
    middle = _HEAD.size + length
    if magic != _MAGIC or middle > len(value):
        return None
    view = memoryview(value)
    part = view[middle:] if events else view[_HEAD.size : middle]
    return part if zlib.crc32(part, zlib.crc32(name.encode())) == (of_events if events else of_result) else None


def twin(result: CreateResult) -> CreateResult:
    """The same answer with nothing shared, for another caller."""
    return _result.decode(_encode(result))
