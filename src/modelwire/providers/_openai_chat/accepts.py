"""What Chat Completions takes in a conversation, by the switches of the server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from modelwire.protocols import Accepts, Forms
from modelwire.providers._openai_chat.encode import AUDIO_FORMATS, recognises

if TYPE_CHECKING:
    from modelwire.providers._openai_chat.quirks import Quirks

FILE_ID = r"(file|assistant)-.+"
"""The second are those of Azure: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/assistants-file."""
TOOL_NAME = r"[a-zA-Z0-9_-]{1,64}"
"""https://platform.openai.com/docs/api-reference/chat/create, "tools": "Must be a-z, A-Z, 0-9, or contain underscores
and dashes, with a maximum length of 64"."""


def accepts(quirks: Quirks, model: str) -> Accepts:
    """What this model of the server takes. What a tool returns beyond text is shown by a user's message after it."""
    shown = {"image": Forms(url=True, data=quirks.image_types)}
    shown["audio"] = Forms(url=quirks.audio_urls, data=tuple(AUDIO_FORMATS))
    if quirks.documents:
        shown["document"] = Forms(data=("",), file_id=FILE_ID)
    if quirks.video:
        shown["video"] = Forms(url=True, data=("video/",))
    return Accepts(
        recognises=partial(recognises, quirks=quirks, model=model),
        shown=shown,
        returned=shown,
        answered={"audio": Forms(spoken=True)} if quirks.spoken_answers else {},
        refusals=quirks.refusals,
        custom_calls=quirks.custom_tools,
        tool_name=TOOL_NAME,
    )
