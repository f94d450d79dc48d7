"""Counting tokens: what takes them in messages and tools, and an estimate from its length.

`_tiktoken.py` counts the same with a model's own tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from modelwire._tools import to_tools
from modelwire.types import (
    Audio,
    Document,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    ToolMessage,
    ToolResult,
    Video,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from modelwire.base import ToolLike

Method = Literal["estimate", "exact", "provider"]

TOKENS_PER_MEDIA = 1000
"""For an image, sound, video or document: a photo of usual size costs 800 to 1600 tokens with the large providers."""
_BYTES_PER_TOKEN = 3.5
"""Between English prose (some 4) and code or JSON (some 3), on today's tokenizers."""
_TOKENS_PER_MESSAGE = 4
_MEDIA = ("image", "image_url", "input_image", "input_audio", "video_url", "document", "file", "input_file")
"""Types of dict parts, in several providers' words, that hold no text."""


class TokenCount(int):
    """A number of tokens that knows how it was counted."""

    method: Method
    """`estimate`: from the length of the text, or with parts for which there is no exact rule; `exact`: by the model's
    tokenizer, as its provider bills it; `provider`: the provider counted."""

    def __new__(cls, value: int, method: Method) -> Self:
        """`value` tokens, counted by `method`."""
        self = super().__new__(cls, value)
        self.method = method
        return self

    def __reduce__(self) -> tuple[type[TokenCount], tuple[int, Method]]:
        return TokenCount, (int(self), self.method)

    def __repr__(self) -> str:
        return f"TokenCount({int(self)}, method={self.method!r})"


def estimate(messages: Sequence[Any], tools: Sequence[ToolLike] = ()) -> TokenCount:
    """A rough count by the length of the text, some 20 % off either way; images and the like count a fixed amount.

    Raises `BadRequestError` for a tool that is none.
    """
    total = sum(_TOKENS_PER_MESSAGE + _estimated(turn) for turn in turns(messages))
    return TokenCount(total + sum(_by_length(as_json(tool)) for tool in to_tools(tools)), "estimate")


def _estimated(turn: Turn) -> int:
    texts = (*turn.texts, *turn.reasoning, *turn.other, *(text for call in turn.calls for text in call))
    return sum(map(_by_length, texts)) + len(turn.media) * TOKENS_PER_MEDIA


def _by_length(text: str) -> int:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return -(-size * 2 // int(_BYTES_PER_TOKEN * 2))


class Turn(NamedTuple):
    """What takes tokens in one message, or in one result of a tool."""

    role: str
    name: str | None
    """Who speaks."""
    texts: list[str]
    """What the model reads as text."""
    reasoning: list[str]
    """Earlier reasoning, which some providers take back and others leave out."""
    calls: list[tuple[str, str]]
    """Function calls: name and arguments."""
    other: list[str]
    """Parts that reach the model in a form of the provider's own, such as plain-text documents; as JSON if need be."""
    media: list[str]
    """Types of the parts that are no text."""


def turns(messages: Sequence[Any]) -> Iterator[Turn]:
    """What takes tokens, message by message; plain dicts may stand among the messages, and so may a user's own type."""
    for message in messages:
        if isinstance(message, ToolMessage):
            for result in message.content:
                yield _turn("tool", None, result.content)
        elif isinstance(message, dict):
            turn = _turn(message.get("role", "user"), message.get("name"), message.get("content"))
            turn.other.extend(as_json(call) for call in message.get("tool_calls") or ())
            yield turn
        else:
            content: Any = getattr(message, "content", message)
            turn = _turn(getattr(message, "role", "user"), getattr(message, "source", None), content)
            thought = getattr(message, "thought", None)
            if thought:
                turn.reasoning.append(thought)
            yield turn


def _turn(role: str, name: str | None, content: Any) -> Turn:
    turn = Turn(role, name, [], [], [], [], [])
    for part in [content] if isinstance(content, str) else content or ():
        _add(turn, part)
    return turn


def _add(turn: Turn, part: Any) -> None:
    match part:
        case str():
            turn.texts.append(part)
        case Text(text=text) | Refusal(text=text):
            turn.texts.append(text)
        case Document(text=str(text)):
            turn.other.append(text)
        case Reasoning():
            turn.reasoning.append(part.text)
        case FunctionCall():
            turn.calls.append((part.name, part.arguments))
        case ToolResult(content=content):
            for inner in [content] if isinstance(content, str) else content:
                _add(turn, inner)
        case Image() | Audio() | Video() | Document():
            turn.media.append(part.type)
        case ProviderPart():
            turn.other.append(as_json(part.data))
        case {"type": "text" | "input_text" | "output_text", "text": str(text)}:
            turn.texts.append(text)
        case {"type": kind} if kind in _MEDIA:
            turn.media.append(kind)
        case _:
            turn.other.append(as_json(part))


def as_json(value: Any) -> str:
    """The value's JSON, for its length; what JSON cannot say as its `str`."""
    return msgspec.json.encode(value, enc_hook=str).decode()
