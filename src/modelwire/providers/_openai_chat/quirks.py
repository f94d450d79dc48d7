"""Where servers that speak Chat Completions differ from each other.

A server is a `Quirks` value; the codec asks it and never asks for a name. Presets with their sources are in
`providers/compatible.py`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # msgspec reads the annotations
from typing import Literal

import msgspec

from modelwire._option_table import WIRE

NO_OVERRIDES: Mapping[str, str] = {}


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """Switches over the Chat Completions codec; the defaults are those of a typical compatible server."""

    provider: str = "openai-compatible"
    """Name of the provider, in results and as the key of `provider_data`."""
    wire: Mapping[str, str] = NO_OVERRIDES
    """Options that the server spells in its own way, or has beyond OpenAI's: portable name to wire name."""
    refused: Mapping[str, str] = NO_OVERRIDES
    """Options that the server answers with an error, each with the reason."""
    developer_role: bool = False
    """Whether the role `developer` exists."""
    required_word: str = "required"
    """What `tool_choice` calls a call of any tool."""
    named_tools: bool = True
    """Whether `tool_choice` can name tools; where not, those that it names are the only ones that are sent."""
    reasoning_field: Literal["", "reasoning", "reasoning_content", "content"] = "reasoning_content"
    """Member of an assistant message that takes its reasoning back; `content`: as `thinking` chunks; empty: nowhere.

    Reasoning that came in another place goes back to that one.
    """
    think_tags: bool = True
    """Whether an answer that begins with `<think>` begins with reasoning: of a server without a parser for it."""
    reasoning_filler: str = ""
    """What an assistant message with calls carries as reasoning where it has none, for servers that insist on some."""
    reasoning_beside_completion: bool = False
    """Whether `completion_tokens` leaves reasoning out."""
    stream_usage: bool = True
    """Whether `stream_options.include_usage` exists; where not, usage comes by itself."""
    strict_tools: bool = True
    """Whether a tool may carry `strict`."""
    message_names: bool = True
    """Whether messages other than tool results may carry `name`."""
    json_schema: bool = True
    """Whether `response_format` knows `json_schema`; where not, any JSON object is asked for and checked on arrival."""
    refusals: bool = True
    """Whether an assistant message may carry `refusal`; where not, the words are text."""
    parameters_required: bool = False
    """Whether a function without parameters needs an empty schema."""
    text_lists: bool = False
    """Whether messages may hold lists of nothing but text; where not, texts are joined."""
    documents: bool = True
    """Whether user messages may hold `file` parts."""
    audio_urls: bool = False
    """Whether user messages may hold `audio_url` parts."""
    video: bool = False
    """Whether user messages may hold `video_url` parts."""
    image_types: tuple[str, ...] = ("image/",)
    """Beginnings of the media types of images that it reads."""
    spoken_answers: bool = False
    """Whether an assistant message may refer to a spoken answer by its id; where not, what was said is text."""
    custom_tools: bool = True
    """Whether tools with free text exist; where not, earlier calls of them are calls of functions with one `input`."""
    short_call_ids: bool = False
    """Whether ids of calls must be nine letters and digits."""
    longest_call_id: int | None = None
    """Characters that the id of a call may have; `None` for any number."""
    body: Mapping[str, object] = {}  # frozen, and never written
    """Members that every request carries."""


_RESPONSES_ONLY = {
    name: "Chat Completions does not have it; the Responses API does: pass api='responses'"
    for name in WIRE["openai-responses"]
    if name not in WIRE["openai-chat"]
}

OPENAI = Quirks(
    provider="openai",
    refused=_RESPONSES_ONLY,
    developer_role=True,
    reasoning_field="",
    think_tags=False,
    text_lists=True,
    # https://platform.openai.com/docs/guides/images-vision, "image input requirements"
    image_types=("image/png", "image/jpeg", "image/webp", "image/gif"),
    spoken_answers=True,
    longest_call_id=40,  # "tool_calls[0].id: string too long. Expected a string with maximum length 40"
)
