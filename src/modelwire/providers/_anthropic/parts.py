"""Content blocks to parts: what answers, streams and requests have in common.

https://platform.claude.com/docs/en/api/messages, "content". Members of a known block that modelwire does not model are
kept in `provider_data`, unknown blocks are kept whole: both go back as they came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire.providers._json import UNREADABLE
from modelwire.types import Citation, FunctionCall, ProviderPart, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.types import Part

Raw = msgspec.Raw
Members = dict[str, Raw]
ProviderData = dict[str, dict[str, Raw]]

ORIGIN = "anthropic"
NULL = Raw(b"null")

_members = msgspec.json.Decoder(Members)
_object = msgspec.json.Decoder(dict[str, Any])


def members_of(raw: Raw | bytes) -> Members:
    """The members of an object.

    Raises one of `UNREADABLE` for anything else, as all functions here do for what is not in shape.
    """
    return _members.decode(raw)


def take(members: Members, name: str, kind: Any = str) -> Any:
    """Remove a member, which must be there, and give its value."""
    raw = members.pop(name, None)
    if raw is None:
        raise msgspec.ValidationError(f"`{name}` is missing")
    return msgspec.json.decode(raw, type=kind)


def take_optional(members: Members, name: str, kind: Any = str) -> Any:
    """Remove a member and give its value; `None` for none."""
    raw = members.pop(name, None)
    return None if raw is None else msgspec.json.decode(raw, type=kind | None)


def own(members: Members) -> ProviderData | None:
    """What is left of a block after all that is known was taken from it."""
    left = {name: raw.copy() for name, raw in members.items() if raw != NULL}
    return {ORIGIN: left} if left else None


def answer_part(raw: Raw, model: str | None) -> Part | None:
    """A block of an assistant's message; `None` for one that says nothing, such as empty text."""
    members = members_of(raw)
    kind = take(members, "type")
    read = _BLOCKS.get(kind)
    return read(members, model) if read is not None else ProviderPart(provider=ORIGIN, kind=kind, data=raw.copy())


def text(members: Members, _model: str | None = None) -> Text | None:
    """A `text` block; `None` for an empty one, which the API itself would refuse."""
    words = take(members, "text")
    cited = [citation(raw) for raw in take_optional(members, "citations", list[Raw]) or ()]
    return Text(text=words, citations=cited or None, provider_data=own(members)) if words or cited else None


def thinking(members: Members, model: str | None) -> Reasoning:
    """A `thinking` block. Its text is empty where `display` is `omitted`; the signature still has to go back."""
    return Reasoning(
        text=take(members, "thinking"),
        signature=take_optional(members, "signature") or None,
        provider=ORIGIN,
        model=model,
        provider_data=own(members),
    )


def redacted_thinking(members: Members, model: str | None) -> Reasoning:
    """A `redacted_thinking` block, all of which is encrypted."""
    data = take(members, "data")
    return Reasoning(signature=data, redacted=True, provider=ORIGIN, model=model, provider_data=own(members))


def tool_use(members: Members, _model: str | None = None) -> FunctionCall:
    """A `tool_use` block."""
    call_id, name = take(members, "id"), take(members, "name")
    arguments = bytes(members.pop("input", b"{}")).decode()
    return FunctionCall(id=call_id, name=name, arguments=arguments, provider_data=own(members))


_BLOCKS: dict[str, Callable[[Members, str | None], Part | None]] = {
    "text": text,
    "thinking": thinking,
    "redacted_thinking": redacted_thinking,
    "tool_use": tool_use,
}


def as_input(arguments: str) -> Raw:
    """The `input` of a `tool_use` block from what a model wrote.

    What is cut or no object goes under a key of its own, as the documentation advises:
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming.
    """
    written = arguments.strip().encode(errors="replace") or b"{}"  # no lone surrogate is Unicode
    try:
        _object.decode(written)
    except UNREADABLE:
        return Raw(msgspec.json.encode({"INVALID_JSON": written.decode()}))
    return Raw(written)


def citation(raw: Raw) -> Citation:
    """A citation of any kind, also kept whole for the way back.

    Its document is told by file id, by its index among the request's documents, or by the `source` of a search result.
    """
    value = msgspec.json.decode(raw, type=dict[str, Any])
    source = value.get("file_id") or value.get("source") or value.get("document_index")
    url = value.get("url") or value.get("source")
    return Citation(
        url=url if isinstance(url, str) and url.startswith(("https://", "http://")) else None,
        title=_string(value.get("title")) or _string(value.get("document_title")),
        cited_text=_string(value.get("cited_text")),
        source_id=str(source) if isinstance(source, (str, int)) else None,
        provider_data={ORIGIN: {"citation": raw.copy()}},
    )


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def refusal(details: Raw | None) -> Refusal:
    """The part for `stop_reason: "refusal"`; `details` is `stop_details`.

    `provider_data` marks the answer as one that must not go back.
    https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals
    """
    value = msgspec.json.decode(details, type=dict[str, Any] | None) if details else None
    said = value or {}
    return Refusal(
        text=_string(said.get("explanation")) or "",
        category=_string(said.get("category")),
        provider_data={ORIGIN: {"stop_details": details.copy() if details else NULL}},
    )
