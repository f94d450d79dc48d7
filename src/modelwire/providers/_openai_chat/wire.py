"""What an answer looks like on the wire: only what is read, https://platform.openai.com/docs/api-reference/chat/object.

Members that are optional here are missing, null or both at some server or other.

At the end is what most of a long history is sent as. All else of a request is dicts, which take twice as long to build.
"""

from __future__ import annotations

from typing import Any

import msgspec

from modelwire.types import TokenLogprob  # noqa: TC001  # msgspec reads the annotations

Raw = msgspec.Raw
NOTHING = Raw()


def said(raw: Raw) -> bool:
    """Whether a member was there, and not null."""
    return bool(raw) and (len(raw) != 4 or bytes(raw) != b"null")


def tells(raw: Raw) -> bool:
    """Whether a member has something to tell: Azure's chunks without content have 0 and empty strings in it."""
    return bool(raw) and (len(raw) > 4 or bytes(raw) not in _NOTHING_SAID)


_NOTHING_SAID = frozenset((b"null", b"0", b'""', b"{}", b"[]"))


# ---------------------------------------------------------------------- usage


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name of cached tokens."""
    num_cached_tokens: int | None = None
    """Mistral's name of them."""
    reasoning_tokens: int | None = None
    """Perplexity's place of it."""
    cost: Any = None
    """OpenRouter: US dollars. Perplexity: an object with `total_cost`."""
    cost_in_usd_ticks: int | None = None
    """xAI: "1 USD = 10,000,000,000 ticks", https://docs.x.ai/developers/cost-tracking."""


# ---------------------------------------------------------------------- messages


class WireLogprobs(msgspec.Struct, gc=False):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class WireAudio(msgspec.Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None

    @property
    def empty(self) -> bool:
        """Whether it says nothing: some servers send every member that their types have."""
        return not (self.id or self.data or self.transcript or self.expires_at)


class WireLegacyCall(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class WireMessage(msgspec.Struct, gc=False):
    content: str | list[Raw] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    tool_calls: list[Raw] | None = None
    function_call: WireLegacyCall | None = None
    """Deprecated by OpenAI in 2023, still answered to the deprecated `functions`."""
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None
    images: list[Raw] | None = None
    """OpenRouter: what the model drew."""


class WireUrlCitation(msgspec.Struct, gc=False):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class WireAnnotation(msgspec.Struct, gc=False):
    url_citation: WireUrlCitation


class WireUrl(msgspec.Struct, gc=False):
    url: str


class WireImage(msgspec.Struct, gc=False):
    image_url: WireUrl


class WireThought(msgspec.Struct, forbid_unknown_fields=True, tag="text"):
    """A plain piece of a `thinking` chunk; anything more is kept raw."""

    text: str


# ---------------------------------------------------------------------- choices


CHOICE_KEPT = ("content_filter_results", "native_finish_reason", "stop_reason")
"""Members of the first choice that go to `CreateResult.provider_data`."""


class WireChoice(msgspec.Struct, gc=False):
    message: WireMessage = msgspec.field(default_factory=WireMessage)
    """Absent where Azure's filter took the whole answer."""
    index: int = 0
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None
    error: Any = None
    """OpenRouter: the server behind it failed."""
    content_filter_results: Raw = NOTHING
    """Azure: what its filters saw in the answer."""
    native_finish_reason: Raw = NOTHING
    """OpenRouter: the word of the server behind it."""
    stop_reason: Raw = NOTHING
    """vLLM: the stop string, or the id of the stop token, that ended the answer."""


# ---------------------------------------------------------------------- answers

KEPT = (
    "service_tier",
    "system_fingerprint",
    "created",
    "prompt_filter_results",
    "moderation",
    "citations",
    "search_results",
    "provider",
    "timings",
)
"""Members of the envelope that go to `CreateResult.provider_data`."""


class WireEnvelope(msgspec.Struct, gc=False):
    """What an answer or a chunk says about the answer as a whole."""

    id: str | None = None
    model: str | None = None
    service_tier: Raw = NOTHING
    system_fingerprint: Raw = NOTHING
    created: Raw = NOTHING
    prompt_filter_results: Raw = NOTHING
    moderation: Raw = NOTHING
    citations: Raw = NOTHING
    search_results: Raw = NOTHING
    provider: Raw = NOTHING
    timings: Raw = NOTHING

    def detach(self) -> None:
        """Copy what is a view of the body, which it would keep in memory."""
        for name in KEPT:
            raw = getattr(self, name)
            if raw is not NOTHING:
                setattr(self, name, raw.copy())

    def update(self, later: WireEnvelope) -> None:
        """Take over what `later` says."""
        self.id = later.id or self.id
        self.model = later.model or self.model
        for name in KEPT:
            raw = getattr(later, name)
            if tells(raw):
                setattr(self, name, raw.copy())


class WireAnswer(WireEnvelope, gc=False):
    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None


# ---------------------------------------------------------------------- chunks of a stream


class WireFunctionDelta(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class WireCustomDelta(msgspec.Struct, gc=False):
    name: str | None = None
    input: str | None = None


class WireCallDelta(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: WireFunctionDelta | None = None
    custom: WireCustomDelta | None = None
    extra_content: Raw = NOTHING
    """Gemini's compatible surface: the thought signature, which must come back."""
    provider_specific_fields: Raw = NOTHING
    """LiteLLM's proxy: the same for the servers behind it."""


class WireDelta(msgspec.Struct, gc=False):
    content: str | list[Raw] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    refusal: str | None = None
    tool_calls: list[WireCallDelta] | None = None
    function_call: WireLegacyCall | None = None
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None
    images: list[Raw] | None = None


class WireChunkChoice(msgspec.Struct, gc=False):
    delta: WireDelta | None = None
    index: int = 0
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None
    error: Any = None
    content_filter_results: Raw = NOTHING


class WireGroq(msgspec.Struct, gc=False):
    usage: WireUsage | None = None
    error: str | None = None
    """Why the stream ends early."""


class WireChunk(msgspec.Struct, gc=False):
    choices: list[WireChunkChoice] | None = None
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None
    error: Any = None
    x_groq: WireGroq | None = None


class WireEnd(msgspec.Struct, gc=False):
    """What the chunk with the `finish_reason` says beside it."""

    index: int = 0
    native_finish_reason: Raw = NOTHING
    stop_reason: Raw = NOTHING


class WireLastChunk(WireEnvelope, gc=False):
    choices: list[WireEnd] | None = None


# ---------------------------------------------------------------------- requests


class PlainMessage(msgspec.Struct, gc=False):
    role: str
    content: str


class PlainFunction(msgspec.Struct, gc=False):
    name: str
    arguments: str


class PlainCall(msgspec.Struct, gc=False):
    id: str
    type: str
    function: PlainFunction


class PlainResult(msgspec.Struct, gc=False):
    role: str
    tool_call_id: str
    content: Any
