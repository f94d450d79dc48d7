"""JSON objects of the wire as their members: in camelCase, still raw, without what says nothing.

The API's JSON is that of protocol buffers (https://protobuf.dev/programming-guides/json/): names may be written in
camelCase or snake_case, a member that is null or has its default may be left out, and a list of one may be written as
its one element.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

Raw = msgspec.Raw
Members = dict[str, Raw]
NOTHING = Raw()

_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_BRACE = ord("{")
_SNAKE = re.compile(r"_([a-z0-9])")


def camel(name: str) -> str:
    """A member's name in camelCase."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def members(raw: Raw | bytes) -> Members:
    """The members of an object that are not null.

    Raises `msgspec.DecodeError` for anything else than an object.
    """
    return {camel(name): value for name, value in _members.decode(raw).items() if not is_null(value)}


def is_null(raw: Raw) -> bool:
    """Whether this is null. The length is asked first: what is not may be megabytes, and would be copied."""
    return len(raw) == 4 and bytes(raw) == b"null"


def items(raw: Raw) -> list[Raw]:
    """The elements of a list, or the one object that stands for a list of one; none for nothing."""
    if not raw:
        return []
    return [raw] if memoryview(raw)[0] == _BRACE else _items.decode(raw)


def text(raw: Raw) -> str:
    """A string; empty for nothing.

    Raises `msgspec.DecodeError` for anything else.
    """
    return msgspec.json.decode(raw, type=str) if raw else ""


def value(raw: Raw) -> Any:
    """Any value; `None` for nothing."""
    return msgspec.json.decode(raw) if raw else None
