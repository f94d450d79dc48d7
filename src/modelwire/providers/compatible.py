"""Servers that speak OpenAI's Chat Completions, each with its address, its key and its differences.

Any other server works through `base_url=` with the switches of `Quirks`' defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._openai_chat import ChatCodec, Quirks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from modelwire._settings import ClientSettings
    from modelwire._stream import EventStream, TextStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import CompatibleOptions
    from modelwire.types import CreateResult, Message

    class _Given(ClientSettings, CompatibleOptions, total=False):
        """What the constructor takes beside its own parameters."""


class Preset(NamedTuple):
    """A known server."""

    base_url: str
    key_variables: tuple[str, ...]
    """Environment variables that may hold its key; the first that is set counts."""
    quirks: Quirks
    needs_key: bool = True


_LOCAL = {"max_tokens": "max_tokens", "top_k": "top_k"}
_MAX_TOKENS = {"max_tokens": "max_tokens"}

PRESETS: dict[str, Preset] = {
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html; `reasoning` since 0.11
    "vllm": Preset(
        "http://localhost:8000/v1",
        ("VLLM_API_KEY",),
        Quirks(provider="vllm", wire=_LOCAL, reasoning_field="reasoning", text_lists=True, audio_urls=True, video=True),
        needs_key=False,
    ),
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md; it takes a named tool for `auto`
    "llama.cpp": Preset(
        "http://localhost:8080/v1",
        ("LLAMA_API_KEY",),
        Quirks(
            provider="llama.cpp",
            wire={**_LOCAL, "repetition_penalty": "repeat_penalty"},
            named_tools=False,
            text_lists=True,
        ),
        needs_key=False,
    ),
    # https://lmstudio.ai/docs/app/api/endpoints/openai
    "lmstudio": Preset(
        "http://localhost:1234/v1", ("LMSTUDIO_API_KEY",), Quirks(provider="lmstudio", wire=_LOCAL), needs_key=False
    ),
    # https://console.groq.com/docs/openai: options that it answers with a 400; no nulls and no lists in its messages
    "groq": Preset(
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        Quirks(
            provider="groq",
            reasoning_field="reasoning",
            refused=dict.fromkeys(
                ("logprobs", "top_logprobs", "logit_bias", "metadata", "store", "n"), "Groq answers it with an error"
            ),
            documents=False,
            refusals=False,
        ),
    ),
    # https://api-docs.deepseek.com/guides/thinking_mode: in tool loops `reasoning_content` must come back, else 400
    "deepseek": Preset(
        "https://api.deepseek.com",
        ("DEEPSEEK_API_KEY",),
        Quirks(
            provider="deepseek",
            wire=_MAX_TOKENS,
            reasoning_filler=" ",
            strict_tools=False,
            documents=False,
            custom_tools=False,
        ),
    ),
    # https://openrouter.ai/docs/use-cases/reasoning-tokens
    "openrouter": Preset(
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        Quirks(
            provider="openrouter",
            wire={**_LOCAL, "reasoning": "reasoning"},
            reasoning_field="reasoning",
            text_lists=True,
            video=True,
            spoken_answers=True,
        ),
    ),
    # https://docs.x.ai/docs/api-reference: reasoning models refuse these, and count reasoning beside the completion
    "xai": Preset(
        "https://api.x.ai/v1",
        ("XAI_API_KEY",),
        Quirks(
            provider="xai",
            refused=dict.fromkeys(
                ("stop", "frequency_penalty", "presence_penalty"), "xAI's models answer it with an error"
            ),
            reasoning_beside_completion=True,
            text_lists=True,
            image_types=("image/png", "image/jpeg"),
        ),
    ),
    # https://docs.mistral.ai/api/#tag/chat; reasoning as chunks: https://docs.mistral.ai/capabilities/reasoning
    "mistral": Preset(
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        Quirks(
            provider="mistral",
            wire={**_LOCAL, "seed": "random_seed"},
            refused=dict.fromkeys(("logit_bias", "user"), "Mistral does not have it"),
            required_word="any",
            reasoning_field="content",
            stream_usage=False,
            strict_tools=False,
            parameters_required=True,
            message_names=False,
            refusals=False,
            text_lists=True,
            custom_tools=False,
            short_call_ids=True,
        ),
    ),
    # https://docs.together.ai/reference/chat-completions
    "together": Preset(
        "https://api.together.xyz/v1",
        ("TOGETHER_API_KEY",),
        Quirks(provider="together", wire=_LOCAL, reasoning_field="reasoning"),
    ),
    # https://docs.fireworks.ai/api-reference/post-chatcompletions
    "fireworks": Preset(
        "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",), Quirks(provider="fireworks", wire=_LOCAL)
    ),
    # https://inference-docs.cerebras.ai/api-reference/chat-completions
    "cerebras": Preset(
        "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), Quirks(provider="cerebras", reasoning_field="reasoning")
    ),
    # https://docs.perplexity.ai/api-reference/chat-completions
    "perplexity": Preset(
        "https://api.perplexity.ai", ("PERPLEXITY_API_KEY",), Quirks(provider="perplexity", wire=_LOCAL)
    ),
    # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model: reasoning must come back in tool loops
    "moonshot": Preset(
        "https://api.moonshot.ai/v1",
        ("MOONSHOT_API_KEY",),
        Quirks(provider="moonshot", wire=_MAX_TOKENS, reasoning_filler=" "),
    ),
    # https://docs.z.ai/api-reference/llm/chat-completion
    "zai": Preset("https://api.z.ai/api/paas/v4", ("ZAI_API_KEY",), Quirks(provider="zai", wire=_MAX_TOKENS)),
    # https://ai.google.dev/gemini-api/docs/openai; the provider's own format: connect("gemini:...")
    "gemini-openai": Preset(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        Quirks(provider="gemini-openai", text_lists=True),
    ),
    # https://platform.claude.com/docs/en/api/openai-sdk; the provider's own format: connect("anthropic:...")
    "anthropic-openai": Preset(
        "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",), Quirks(provider="anthropic-openai", text_lists=True)
    ),
}
"""Known servers by the name that `connect("name:model")` takes."""


HOMES = {"gemini-": PRESETS["gemini-openai"], "claude-": PRESETS["anthropic-openai"]}
"""Where models go whose names begin like this, unless an address is given: as in AutoGen's OpenAI client."""


def preset_of(url: str) -> Preset | None:
    """The preset whose server this is; `None` for another, and for servers on this machine, which may be anything."""
    host = _endpoint.origin(url)[1]
    return next(
        (preset for preset in PRESETS.values() if preset.needs_key and _endpoint.origin(preset.base_url)[1] == host),
        None,
    )


class OpenAICompatibleChatCompletionClient(ProviderClient):
    """A client of a server that speaks Chat Completions; `preset` says which one.

    `api_key` defaults to the variable of the preset, and goes to the preset's own server alone: with another `base_url`
    it must be passed. Without a `preset` or a `base_url` there is nothing to speak to, and `ValueError` is raised.
    """

    def __init__(
        self,
        *,
        model: str,
        preset: str | Quirks | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        **given: Unpack[_Given],
    ) -> None:
        found = _found(preset, base_url)
        url = _endpoint.checked_base_url(base_url or found.base_url)
        if not api_key and (not base_url or (found.base_url and _endpoint.same_origin(url, found.base_url))):
            api_key = _endpoint.from_environment(*found.key_variables)
        if found.needs_key and not api_key and not base_url:
            raise ValueError(f"no API key: pass api_key= or set {' or '.join(found.key_variables)}")
        super().__init__(
            model=model,
            codec=ChatCodec(_endpoint.endpoint(url, "/chat/completions"), found.quirks),
            family="CompatibleOptions",
            given=given,
            secret_headers=_endpoint.bearer(api_key),
        )

    if TYPE_CHECKING:

        async def create(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[CompatibleOptions],
        ) -> CreateResult: ...

        def stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[CompatibleOptions],
        ) -> EventStream: ...

        def create_stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[CompatibleOptions],
        ) -> TextStream: ...


def _found(preset: str | Quirks | None, base_url: str | None) -> Preset:
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset={preset!r} is not known; there are {', '.join(PRESETS)}")
        return PRESETS[preset]
    if not base_url:
        raise ValueError(f"pass base_url=, or one of the presets: {', '.join(PRESETS)}")
    if preset is not None:
        return Preset("", (), preset, needs_key=False)
    return preset_of(base_url) or Preset("", (), Quirks(), needs_key=False)
