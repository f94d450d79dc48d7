"""What kind of file some bytes are, and reading one from disk, from a data URL or from base64."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024 * 1024
"""Larger files are refused: no provider takes them inline, and they would be held in memory twice."""

# (offset, magic bytes, media type); the first match counts. Sources: the formats' own specifications, and for the
# ISO base media brands https://mp4ra.org/registered-types/brands.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (8, b"AIFF", "audio/aiff"),
    (4, b"ftypM4A", "audio/mp4"),
    (0, b"%PDF-", "application/pdf"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
)
_HEAD = 16
_TEXT_SUFFIXES = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
"""Documents that no magic bytes tell apart, by the ending of the file's name."""


class Media(NamedTuple):
    """Content ready for a part."""

    data: str
    """Base64 of the content."""
    media_type: str | None
    """What the bytes are; `None` when they are none of the formats known here."""


def sniff(head: bytes) -> str | None:
    """Media type by the first 16 bytes of a file; `None` when unknown."""
    return next((kind for offset, magic, kind in _MAGIC if head.startswith(magic, offset)), None)


def sniff_base64(data: str) -> str | None:
    """Media type by the beginning of base64 text; `None` when unknown."""
    try:
        return sniff(base64.b64decode(data[: _HEAD * 4 // 3 // 4 * 4 + 4]))
    except (binascii.Error, ValueError):
        return None


def from_bytes(content: bytes, kind: str, media_type: str | None = None) -> Media:
    """Content in memory; `kind` (`image`, `audio`, ...) is what it must be.

    Raises `BadRequestError` when it is empty, too large, or no `kind`.
    """
    return _checked(content, kind, media_type, f"these {len(content)} bytes")


def from_file(path: str | Path, kind: str, media_type: str | None = None) -> Media:
    """A file on disk, read at once.

    Raises `BadRequestError` when it cannot be read, is empty, too large, or no `kind`.
    """
    from pathlib import Path  # noqa: PLC0415  # few have files

    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadRequestError(
                f"{path}: larger than {MAX_BYTES} bytes; upload it to the provider and pass its file id"
            )
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadRequestError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    known = media_type or sniff(content[:_HEAD]) or _TEXT_SUFFIXES.get(path.suffix.lower())
    return _checked(content, kind, known, str(path))


def from_base64(data: str, kind: str, media_type: str | None = None) -> Media:
    """Base64 text, with or without line breaks.

    Raises `BadRequestError` when it is not base64, or not of a `kind`.
    """
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(
            f"not base64 ({error}): pass the standard alphabet with padding, without a `data:` prefix"
        ) from None
    return _checked(content, kind, media_type, "this base64 text")


def from_data_url(url: str, kind: str) -> Media:
    """A `data:` URL (RFC 2397) with base64 content.

    Raises `BadRequestError` when it is none, or not of a `kind`.
    """
    header, comma, data = url.partition(",")
    if not header.startswith("data:") or not comma or not header.endswith(";base64"):
        raise BadRequestError(f"not a base64 data URL: {url[:40]!r}; it looks like 'data:image/png;base64,...'")
    media_type = header[len("data:") : -len(";base64")].split(";")[0]
    return from_base64(data, kind, media_type or None)


def _checked(content: bytes, kind: str, media_type: str | None, what: str) -> Media:
    if not content:
        raise BadRequestError(f"{what}: empty")
    if len(content) > MAX_BYTES:
        raise BadRequestError(f"{what}: larger than {MAX_BYTES} bytes; upload it to the provider and pass its file id")
    found = media_type or sniff(content[:_HEAD])
    if kind != "document" and (found is None or not found.startswith(f"{kind}/")):
        seen = f"looks like {found}" if found else f"begins with {content[:8]!r}"
        raise BadRequestError(f"{what}: not {kind} data that modelwire knows ({seen}); pass media_type= if it is right")
    return Media(base64.b64encode(content).decode("ascii"), found)
