"""Chat Completions as plain structs: the least that typed code can have, and so the limit that codecs are held against."""

# ruff: noqa: D101  # each is called as https://platform.openai.com/docs/api-reference/chat calls it

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.json import Decoder, Encoder


class Function(Struct):
    name: str
    arguments: str


class Call(Struct):
    id: str
    type: str
    function: Function


class ImageUrl(Struct):
    url: str


class Part(Struct, omit_defaults=True):
    type: str
    text: str | None = None
    image_url: ImageUrl | None = None


class Message(Struct, omit_defaults=True):
    role: str
    content: str | list[Part] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class ToolFunction(Struct):
    name: str
    description: str
    parameters: dict[str, Any]


class Tool(Struct):
    type: str
    function: ToolFunction


class StreamOptions(Struct):
    include_usage: bool


class Request(Struct, omit_defaults=True):
    model: str
    messages: list[Message]
    tools: list[Tool] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None


class Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Struct):
    content: str | None = None


class Choice(Struct):
    index: int
    message: AnswerMessage
    finish_reason: str | None = None


class Answer(Struct):
    id: str
    model: str
    choices: list[Choice]
    usage: Usage | None = None


class PromptDetails(Struct):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(Struct):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class WholeUsage(Usage):
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class WholeMessage(Struct):
    role: str
    content: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    tool_calls: list[Call] | None = None


class WholeChoice(Struct):
    index: int
    message: WholeMessage
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class WholeAnswer(Struct):
    """All that an answer says, as the SDKs' types and modelwire's result have it."""

    id: str
    object: str
    created: int
    model: str
    choices: list[WholeChoice]
    usage: WholeUsage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class Delta(Struct):
    content: str | None = None


class ChunkChoice(Struct):
    index: int
    delta: Delta
    finish_reason: str | None = None


class Chunk(Struct):
    id: str
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


encode = Encoder().encode
decode_answer = Decoder(Answer).decode
decode_whole_answer = Decoder(WholeAnswer).decode
decode_chunk = Decoder(Chunk).decode


class Frames:
    """Bytes cut anywhere to chunks, for a server that ends its events as OpenAI does."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that these bytes complete."""
        frames = (self._rest + data).split(b"\n\n") if self._rest else data.split(b"\n\n")
        self._rest = frames.pop()
        return [decode_chunk(frame[6:]) for frame in frames if frame != b"data: [DONE]"]


def text_of(answer: Answer | WholeAnswer) -> str:
    """The text of a whole answer."""
    return answer.choices[0].message.content or ""


def delta_of(chunk: Chunk) -> str:
    """The text that a chunk adds."""
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""
