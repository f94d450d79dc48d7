"""Counting tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

Method = Literal["estimate", "exact", "provider"]

_BYTES_PER_TOKEN = 3.5
"""Between English prose (some 4) and code or JSON (some 3), on today's tokenizers."""
_TOKENS_PER_MESSAGE = 4
_TOKENS_PER_MEDIA = 1000
"""A photo of usual size costs 800 to 1600 tokens with the large providers."""


class TokenCount(int):
    """A number of tokens that knows how it was counted."""

    method: Method
    """`estimate`: from the length of the text; `exact`: by the model's tokenizer; `provider`: the provider counted."""

    def __new__(cls, value: int, method: Method) -> Self:
        self = super().__new__(cls, value)
        self.method = method
        return self

    def __repr__(self) -> str:
        return f"TokenCount({int(self)}, method={self.method!r})"


def estimate(messages: Sequence[Any], tools: Sequence[Any] = ()) -> TokenCount:
    """A rough count by the length of the text, some 20 % off either way; images and the like count a fixed amount."""
    total = sum(_TOKENS_PER_MESSAGE + _content(item) for item in messages)
    return TokenCount(total + sum(_text(_json(tool)) for tool in tools), "estimate")


def _content(content: Any) -> int:
    content = getattr(content, "content", content)
    if isinstance(content, str):
        return _text(content.encode())
    if isinstance(content, dict):
        return _content(content.get("content", ""))
    return sum(_part(part) for part in content) if isinstance(content, (list, tuple)) else 0


def _part(part: Any) -> int:
    if isinstance(part, str):
        return _text(part.encode())
    kind: Any = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    if kind in ("image", "audio", "video", "document", "image_url", "input_audio", "file"):
        return _TOKENS_PER_MEDIA
    if kind == "tool_result":
        return _content(part)
    return _text(_json(part))


def _text(encoded: bytes) -> int:
    return -(-len(encoded) * 2 // int(_BYTES_PER_TOKEN * 2))


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
