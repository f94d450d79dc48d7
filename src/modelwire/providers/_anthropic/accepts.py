"""What the Messages API takes in a conversation: https://platform.claude.com/docs/en/api/messages/create, "messages"."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from modelwire.protocols import Accepts, Forms
from modelwire.providers._anthropic.messages import IMAGES, recognises
from modelwire.providers._anthropic.reasoning import facts

if TYPE_CHECKING:
    from modelwire.options import ModelInfo

_FILE_ID = r"file_.+"
_SHOWN = {
    "image": Forms(url=True, data=(*IMAGES, "image/jpg"), file_id=_FILE_ID),
    "document": Forms(url=True, data=("application/pdf",), file_id=_FILE_ID),  # plain text goes as text
}


def accepts(model: str, info: ModelInfo) -> Accepts:
    """What this model takes: a tool may return what a user may show."""
    return Accepts(
        recognises=partial(recognises, model=model),
        shown=_SHOWN,
        returned=_SHOWN,
        system="after_user" if facts(info).get("mid_conversation_system") else "first",
        user_first=True,
        blank_text=False,
        citations=True,
        unique_ids=True,
        tool_name=r"[a-zA-Z0-9_-]{1,128}",
    )
