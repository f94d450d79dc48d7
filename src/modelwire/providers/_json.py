"""JSON that is read member by member, so that what is not known stays raw, with the place in every error."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from modelwire.errors import BadRequestError

Raw = msgspec.Raw
Members: TypeAlias = dict[str, Raw]
NOTHING = Raw()
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON, not UTF-8, not of the type, or nested too deeply."""

_members = msgspec.json.Decoder(Members)
_items = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)


def given(raw: Raw) -> bool:
    """Whether a member is there and not null."""
    return bool(raw) and bytes(raw) != b"null"


def is_object(raw: Raw) -> bool:
    """Whether this is a JSON object."""
    return bytes(raw)[:1] == b"{"


def is_list(raw: Raw) -> bool:
    """Whether this is a JSON array."""
    return bytes(raw)[:1] == b"["


def members_of(raw: Raw | bytes, place: str) -> Members:
    """Members of an object.

    Raises `BadRequestError` when it is none.
    """
    try:
        return _members.decode(raw)
    except UNREADABLE as error:
        raise BadRequestError(f"{place}: not a JSON object ({error})") from None


def list_of(raw: Raw, place: str) -> list[Raw]:
    """Items of an array; none where it is missing or null.

    Raises `BadRequestError` for anything else.
    """
    if not given(raw):
        return []
    try:
        return _items.decode(raw)
    except UNREADABLE as error:
        raise BadRequestError(f"{place}: not a list ({error})") from None


def string(raw: Raw, place: str) -> str:
    """A string.

    Raises `BadRequestError` for anything else.
    """
    try:
        return _text.decode(raw)
    except UNREADABLE:
        shown = bytes(raw)[:40].decode("utf-8", "replace") if raw else "nothing"
        raise BadRequestError(f"{place}: a string is needed, not {shown}") from None


def text(raw: Raw) -> str:
    """A string; empty for anything else."""
    return _text.decode(raw) if bytes(raw)[:1] == b'"' else ""


def texts(raw: Raw) -> list[str]:
    """The `text` of each of these objects, such as the parts of a summary, where there is one."""
    if not is_list(raw):
        return []
    found = (text(_members.decode(part).get("text", NOTHING)) for part in _items.decode(raw) if is_object(part))
    return [said for said in found if said]


def kept(members: Members) -> Members:
    """Copies of the members that say something: what they were decoded from can be freed."""
    return {name: raw.copy() for name, raw in members.items() if given(raw)}


def encoded(value: object) -> Raw:
    """The value's JSON."""
    return Raw(msgspec.json.encode(value))
