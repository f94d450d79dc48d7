"""Errors of a response that has failed, and of a stream.

They have the codes of the error answers, which `_openai_chat/errors.py` knows:
https://platform.openai.com/docs/api-reference/responses/object, "error".
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelwire.errors import ModelClientError, ServerError
from modelwire.providers._openai_chat.errors import error_from_body


def failure(error: Any, provider: str) -> ModelClientError:
    """What the `error` of a failed response, or of an event, stands for; it may be missing."""
    told = error_from_body(msgspec.json.encode({"error": error}), provider)
    return told or ServerError(f"{provider}: the response failed without saying why", status_code=500)
