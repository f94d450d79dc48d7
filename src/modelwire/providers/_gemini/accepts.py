"""What `generateContent` takes in a conversation: https://ai.google.dev/api/caching#Part."""

from __future__ import annotations

from modelwire.protocols import Accepts, Forms
from modelwire.providers._gemini.contents import recognises

_FILE_ID = r"(https?://|gs://|files/).+"
_MEDIA = {
    # https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats
    "image": Forms(
        url=True,
        data=("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"),
        file_id=_FILE_ID,
    ),
    # https://ai.google.dev/gemini-api/docs/audio#supported-formats
    "audio": Forms(url=True, data=("audio/",), file_id=_FILE_ID),
    # https://ai.google.dev/gemini-api/docs/document-processing: others than PDF are read as plain text
    "document": Forms(url=True, data=("application/pdf", "text/"), file_id=_FILE_ID),
    "video": Forms(url=True, data=("video/",), file_id=_FILE_ID),
}


def accepts() -> Accepts:
    """What all models take."""
    return Accepts(
        recognises=recognises,
        shown=_MEDIA,
        returned=_MEDIA,
        answered=_MEDIA,
        system="first",
        user_first=True,
        tool_name=r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}",
    )
