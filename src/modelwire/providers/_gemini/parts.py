"""Parts of a content, as answers have them and requests send them back.

https://ai.google.dev/api/caching#Part: exactly one member has the data, others modify it. What is not known here stays
raw: a whole part as `ProviderPart`, a member of a known part in its `provider_data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from modelwire import _http
from modelwire.providers._body import made_up_id
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.providers._gemini.members import NOTHING, Members, Raw, members, text, value
from modelwire.types import Audio, Document, FunctionCall, Image, ProviderPart, Reasoning, Text, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelwire.types import Part

    ProviderData = dict[str, Members]

_DATA = (
    "functionCall",
    "text",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
    "functionResponse",
    "toolCall",
    "toolResponse",
)
DETAILS: dict[str, Any] = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "original",
}
"""`Image.detail` by the name of the resolution."""

_YOUTUBE = ("youtube.com", "youtu.be")
_KINDS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "heic", "heif"), "image"),
    **dict.fromkeys(("wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a"), "audio"),
    **dict.fromkeys(("mp4", "mov", "webm", "mpeg", "mpg", "avi", "wmv", "flv", "3gp"), "video"),
}
"""Kinds of files by the ending of their addresses."""


def part(raw: Raw, model: str | None, seed: str | None, calls: int) -> Part | None:
    """One part; `None` for one that says nothing.

    `model` is who made it; `seed` and `calls`, the number of function calls before it, make an id for a call without
    one. Raises `msgspec.DecodeError` for what is no part.
    """
    found = members(raw)
    kind = next((name for name in _DATA if name in found), "")
    thought = bytes(found.pop("thought", NOTHING)) == b"true"
    if kind == "functionCall":
        return function_call(found, seed, calls)
    if kind == "text":
        return _thought(found, model) if thought else _text(found)
    if kind in ("inlineData", "fileData") and not thought:
        return media(found)
    return ProviderPart(provider=ORIGIN, kind=kind or next(iter(found), None), data=raw.copy())


def own(found: Members) -> ProviderData | None:
    """What is left of a part after all that is known was taken from it."""
    return {ORIGIN: {name: raw.copy() for name, raw in found.items()}} if found else None


def _text(found: Members) -> Text | None:
    said = text(found.pop("text"))
    return Text(text=said, provider_data=own(found)) if said or found else None


def _thought(found: Members, model: str | None) -> Reasoning | None:
    said, signature = text(found.pop("text")), text(found.pop("thoughtSignature", NOTHING)) or None
    if not said and not signature and not found:
        return None
    return Reasoning(text=said, signature=signature, provider=ORIGIN, model=model, provider_data=own(found))


def function_call(found: Members, seed: str | None, calls: int) -> FunctionCall:
    """A call. Its arguments are an object on this wire; they are kept as text, without the white space around them."""
    inner = members(found.pop("functionCall"))
    name = text(inner.pop("name", NOTHING))
    arguments = arguments_text(inner.pop("args", NOTHING))
    call_id = text(inner.pop("id", NOTHING)) or made_up_id(seed or arguments, calls, name)
    if inner:
        found["functionCall"] = Raw(msgspec.json.encode(inner))
    return FunctionCall(id=call_id, name=name, arguments=arguments, provider_data=own(found))


def arguments_text(raw: Raw) -> str:
    """JSON as compact text; numbers and strings stay spelled as they are."""
    return bytes(msgspec.json.format(raw, indent=-1)).decode() if raw else "{}"


# ---------------------------------------------------------------------- media


def media(found: Members) -> Part:
    """An image, sound, video or document, inline or by reference."""
    name = "inlineData" if "inlineData" in found else "fileData"
    inner = members(found.pop(name))
    media_type = text(inner.pop("mimeType", NOTHING)) or None
    content: dict[str, str | None]
    if name == "inlineData":
        content = {"data": _standard(text(inner.pop("data", NOTHING)))}
    else:
        content = _reference(text(inner.pop("fileUri", NOTHING)))
    if inner:
        found[name] = Raw(msgspec.json.encode(inner))
    kind = _kind(media_type, content.get("url"), found)
    return _MADE[kind](found, {**content, "media_type": media_type})


def _standard(data: str) -> str:
    """Base64 in the standard alphabet, padded: the URL-safe one is read by the server too."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def _reference(uri: str) -> dict[str, str | None]:
    """A file that was uploaded to Google, or any other address."""
    parts = urlsplit(uri)
    uploaded = parts.scheme not in ("http", "https") or parts.hostname == "generativelanguage.googleapis.com"
    return {"file_id": uri} if uploaded else {"url": uri}


def _kind(media_type: str | None, url: str | None, found: Members) -> str:
    """Which part it is: by its media type, else by its address; a document where neither tells."""
    parts = urlsplit(url or "")
    if "videoMetadata" in found or any(f".{parts.hostname}".endswith(f".{name}") for name in _YOUTUBE):
        return "video"
    if media_type is not None:
        kind = media_type.partition("/")[0]
        return kind if kind in _MADE else "document"
    return _KINDS.get(parts.path.rpartition(".")[2].lower(), "document")


def _image(found: Members, fields: dict[str, Any]) -> Image:
    resolution = value(found.get("mediaResolution", NOTHING))
    detail = (
        DETAILS.get(str(resolution["level"])) if isinstance(resolution, dict) and [*resolution] == ["level"] else None
    )
    if detail:
        del found["mediaResolution"]
    return Image(**fields, detail=detail, provider_data=own(found))


def _audio(found: Members, fields: dict[str, Any]) -> Audio:
    return Audio(**fields, provider_data=own(found))


def _video(found: Members, fields: dict[str, Any]) -> Video:
    shown = members(found.pop("videoMetadata", Raw(b"{}")))
    for field, name in (("start_offset", "startOffset"), ("end_offset", "endOffset")):
        offset = value(shown.get(name, NOTHING))
        seconds = _http.duration(offset) if isinstance(offset, str) else None
        if seconds is not None:
            fields[field] = seconds
            del shown[name]
    if "fps" in shown:
        fields["fps"] = msgspec.json.decode(shown.pop("fps"), type=float)
    if shown:
        found["videoMetadata"] = Raw(msgspec.json.encode(shown))
    return Video(**fields, provider_data=own(found))


def _document(found: Members, fields: dict[str, Any]) -> Document:
    return Document(**fields, provider_data=own(found))


_MADE: dict[str, Callable[[Members, dict[str, Any]], Part]] = {
    "image": _image,
    "audio": _audio,
    "video": _video,
    "document": _document,
}


# ---------------------------------------------------------------------- the way back


def with_own(wire: dict[str, Any], provider_data: dict[str, dict[str, Raw]] | None) -> dict[str, Any]:
    """A part with the members that Gemini, and no other, gets back; members of one object stand together."""
    for name, raw in (provider_data or {}).get(ORIGIN, {}).items():
        known = wire.get(name)
        wire[name] = {**known, **msgspec.json.decode(raw, type=dict[str, Raw])} if isinstance(known, dict) else raw
    return wire
