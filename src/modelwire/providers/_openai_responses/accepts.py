"""What the Responses API takes in a conversation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from modelwire.protocols import Accepts, Forms
from modelwire.providers._openai_chat import OPENAI
from modelwire.providers._openai_chat.accepts import FILE_ID, TOOL_NAME
from modelwire.providers._openai_chat.encode import AUDIO_FORMATS
from modelwire.providers._openai_responses.history import recognises

if TYPE_CHECKING:
    from modelwire.options import ModelInfo

_RETURNED = {
    "image": Forms(url=True, data=OPENAI.image_types, file_id=FILE_ID),
    "document": Forms(url=True, data=("",), file_id=FILE_ID),
}


def accepts(model: str, info: ModelInfo, origin: str) -> Accepts:
    """What this model takes; reasoning that is only found where answers are stored counts as lost."""
    return Accepts(
        recognises=partial(recognises, origin=origin, model=model, info=info, stored=False),
        shown={**_RETURNED, "audio": Forms(data=tuple(AUDIO_FORMATS))},
        returned=_RETURNED,
        refusals=True,
        citations=True,
        tool_name=TOOL_NAME,
    )
