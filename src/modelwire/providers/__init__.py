"""One place per provider: `_<dialect>` is its codec, `<provider>.py` its public client.

This index is the only place outside the providers' own files that names them. It imports none of them.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from modelwire.base import ChatCompletionClient
    from modelwire.protocols import Codec

CLIENTS = {
    "openai": ("modelwire.providers.openai", "OpenAIChatCompletionClient"),
    "azure": ("modelwire.providers.azure", "AzureOpenAIChatCompletionClient"),
    "anthropic": ("modelwire.providers.anthropic", "AnthropicChatCompletionClient"),
    "gemini": ("modelwire.providers.gemini", "GeminiChatCompletionClient"),
    "ollama": ("modelwire.providers.ollama", "OllamaChatCompletionClient"),
}
"""Providers with a client of their own; all others are presets of `compatible.py`."""

CODECS = {
    "openai-chat": ("modelwire.providers._openai_chat", "ChatCodec"),
    "openai-responses": ("modelwire.providers._openai_responses", "ResponsesCodec"),
    "anthropic": ("modelwire.providers._anthropic", "AnthropicCodec"),
    "gemini": ("modelwire.providers._gemini", "GeminiCodec"),
    "ollama": ("modelwire.providers._ollama", "OllamaCodec"),
}
"""Wire formats."""


def client_factory(provider: str) -> Callable[..., ChatCompletionClient]:
    """What makes a client of this provider.

    Raises `ValueError` for one that is not known.
    """
    if provider in CLIENTS:
        return cast("Callable[..., ChatCompletionClient]", _load(CLIENTS[provider]))
    from modelwire.providers import compatible  # noqa: PLC0415  # only where it is asked for

    if provider in compatible.PRESETS:
        return partial(compatible.OpenAICompatibleChatCompletionClient, preset=provider)
    known = ", ".join([*CLIENTS, *compatible.PRESETS])
    raise ValueError(f"{provider!r} is not a provider that modelwire knows; it knows {known}")


def client_of_component(component: Mapping[str, Any]) -> ChatCompletionClient:
    """A client from AutoGen's form of a configuration: `{"provider": <class>, "config": {...}}`.

    The class is found by its last name, and nothing is imported that the configuration names. Raises `ValueError` for
    another class or form, and what the constructor raises.
    """
    provider, config = component.get("provider"), component.get("config")
    if not isinstance(provider, str) or not isinstance(config, dict):
        raise ValueError("a component is {'provider': 'OpenAIChatCompletionClient', 'config': {'model': ...}}")
    wanted = provider.rpartition(".")[2].replace("_", "").lower()
    found = next((where for where in CLIENTS.values() if where[1].lower() == wanted), None)
    if found is None:
        known = ", ".join(name for _, name in CLIENTS.values())
        raise ValueError(f"component {provider!r} is no client that modelwire knows; it knows {known}")
    return cast("ChatCompletionClient", _load(found)(**config))


def codec_for(dialect: str) -> Codec:
    """A codec of this wire format, for reading requests and answers without a client.

    Raises `ValueError` for one that is not known.
    """
    if dialect not in CODECS:
        raise ValueError(f"{dialect!r} is not a wire format that modelwire knows; it knows {', '.join(CODECS)}")
    return cast("Codec", _load(CODECS[dialect])(""))


def _load(where: tuple[str, str]) -> Any:
    module, name = where
    return getattr(import_module(module), name)
