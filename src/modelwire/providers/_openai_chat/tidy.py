"""Answers and chunks of servers that take liberties, in the shape of OpenAI's documentation.

Only what was read in vain comes here. What is set right or left out are the members that the wire structs read; all
others stay byte for byte, since opaque data among them must go back as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire.providers._openai_chat.wire import WireLogprobs, WireUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    Members = dict[str, msgspec.Raw]

Raw = msgspec.Raw
_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])
_usage = msgspec.json.Decoder(WireUsage, strict=False)
_logprobs = msgspec.json.Decoder(WireLogprobs, strict=False)

_STRING, _LIST, _OBJECT = b'"', b"[", b"{"


def tidied(body: bytes) -> bytes:
    """The same answer or chunk as the documentation has it, to be read with `strict=False`.

    Raises `msgspec.DecodeError` where the outline is not that of an answer.
    """
    answer = _members.decode(body)
    _to_strings(answer, "id", "model")
    _drop_unreadable(answer, "usage", _usage)
    _drop_others(answer, _OBJECT, "x_groq")
    if _first(answer.get("choices")) == _LIST:
        answer["choices"] = _list(map(_choice, _items.decode(answer["choices"])))
    return msgspec.json.encode(answer)


def _choice(raw: Raw) -> Members:
    choice = _members.decode(raw)
    _drop_others(choice, _STRING, "finish_reason")
    _drop_nulls(choice, "index")
    _drop_unreadable(choice, "logprobs", _logprobs)
    for name in ("message", "delta"):
        if _first(choice.get(name)) == _OBJECT:
            choice[name] = _raw(_message(_members.decode(choice[name])))
        else:
            choice.pop(name, None)
    return choice


def _message(message: Members) -> Members:
    if _first(message.get("content")) == _OBJECT:
        message["content"] = _list([message["content"]])
    elif _first(message.get("content")) != _LIST:
        _to_strings(message, "content")
    _drop_others(message, _STRING, "refusal", "reasoning", "reasoning_content")
    _drop_others(message, _LIST, "annotations", "images", "reasoning_details", "tool_calls")
    _drop_others(message, _OBJECT, "audio", "function_call")
    if "tool_calls" in message:
        message["tool_calls"] = _list(map(_call, _items.decode(message["tool_calls"])))
    if "function_call" in message:
        message["function_call"] = _raw(_function(_members.decode(message["function_call"])))
    return message


def _call(raw: Raw) -> Members:
    call = _members.decode(raw)
    _to_strings(call, "id", "type")
    for name in ("function", "custom"):
        if _first(call.get(name)) == _OBJECT:
            call[name] = _raw(_function(_members.decode(call[name])))
        else:
            call.pop(name, None)
    return call


def _function(function: Members) -> Members:
    """Arguments as an object instead of a string, and the like."""
    _to_strings(function, "name", "arguments", "input")
    return function


def _first(raw: Raw | None) -> bytes:
    """The first byte tells what a JSON value is."""
    return bytes(raw)[:1] if raw else b""


def _raw(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


def _list(values: Iterable[Any]) -> Raw:
    return _raw(list(values))


def _to_strings(members: Members, *names: str) -> None:
    """Write values that should be strings as their JSON text."""
    for name in names:
        raw = members.get(name)
        if raw and _first(raw) != _STRING and bytes(raw) != b"null":
            members[name] = _raw(bytes(raw).decode())


def _drop_others(members: Members, kind: bytes, *names: str) -> None:
    """Leave out what is not of this kind."""
    for name in names:
        if _first(members.get(name)) != kind:
            members.pop(name, None)


def _drop_nulls(members: Members, *names: str) -> None:
    for name in names:
        if name in members and bytes(members[name]) == b"null":
            del members[name]


def _drop_unreadable(members: Members, name: str, decoder: msgspec.json.Decoder[Any]) -> None:
    """An answer is worth more than the numbers beside it."""
    try:
        decoder.decode(members.get(name, b"{}"))
    except msgspec.ValidationError:
        del members[name]
