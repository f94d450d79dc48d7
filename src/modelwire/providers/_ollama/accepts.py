"""What `/api/chat` takes in a conversation: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

from modelwire.protocols import Accepts, Forms
from modelwire.providers._ollama.encode import recognises

_IMAGES = {"image": Forms(data=("image/",))}


def accepts() -> Accepts:
    """What all models take."""
    return Accepts(recognises=recognises, shown=_IMAGES, returned=_IMAGES)
