"""What the codecs of all dialects do alike with bodies and parts."""

from __future__ import annotations

import hashlib
import re
import weakref
from typing import TYPE_CHECKING, Any

import msgspec

from modelwire.errors import BadRequestError
from modelwire.types import Reasoning, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelwire.types import AssistantMessage, Audio, Document, Image, Part, Video


HANDOVER = "; or let modelwire.handover(messages, to=client) find a way, and tell what is lost"
"""End of a message about what a conversation holds and the provider does not take."""


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set the member that a path of the option table names: `a.b` is member `b` of the object `a`."""
    *objects, last = path.split(".")
    for name in objects:
        body = body.setdefault(name, {})
    body[last] = value


def listed(name: str, value: Any) -> list[Any]:
    """The value of an option that is a list, of which a text stands for a list of one.

    Raises `BadRequestError` for anything else.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise BadRequestError(f"{name}={value!r}: a string or a list of strings is needed, not {type(value).__name__}")


def own_data(provider_data: Mapping[str, dict[str, Any]] | None, origin: str) -> dict[str, Any]:
    """The members that the provider of this origin, and no other, gets back."""
    return provider_data.get(origin, {}) if provider_data else {}


_LARGE = 4096
"""Characters of data below which escaping it takes less time than looking for what was escaped before."""
_written: dict[tuple[int, str], tuple[weakref.ref[Any], msgspec.Raw]] = {}


def data_json(part: Image | Audio | Document | Video, prefix: str = "") -> msgspec.Raw:
    """The base64 data of a part as a JSON string, after `prefix`.

    It may be megabytes, which every turn of a conversation sends again: it is made once in the life of the part, and
    copied into the body as it is.
    """
    data = part.data or ""
    if len(data) < _LARGE:
        return msgspec.Raw(msgspec.json.encode(prefix + data))
    key = id(part), prefix
    known = _written.get(key)
    if known is None:
        raw = msgspec.Raw(msgspec.json.encode(prefix + data))
        known = _written[key] = weakref.ref(part, lambda _: _written.pop(key)), raw
    return known[1]


def parts_of(content: str | Sequence[str | Part]) -> list[Part]:
    """Content as parts: a `str` is a text."""
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    return [Text(text=part) if isinstance(part, str) else part for part in content]


def assistant_parts(message: AssistantMessage) -> list[Part]:
    """Parts of an assistant's message; its `thought` is reasoning that no provider will recognise."""
    parts = parts_of(message.content)
    return [Reasoning(text=message.thought), *parts] if message.thought else parts


def made_up_id(answer_id: str | None, index: int, name: str) -> str:
    """An id for a call that came without one: the same whenever the same answer is read."""
    return "call_" + hashlib.sha256(f"{answer_id}\0{index}\0{name}".encode()).hexdigest()[:24]


def is_made_up(call_id: str) -> bool:
    """Whether `made_up_id` made this id, so that the provider does not know it."""
    return _MADE_UP.fullmatch(call_id) is not None


_MADE_UP = re.compile(r"call_[0-9a-f]{24}")
