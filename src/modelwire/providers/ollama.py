"""Ollama, on this machine or in its cloud: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from modelwire import tokens
from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._ollama import OllamaCodec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from modelwire._settings import ClientSettings
    from modelwire._stream import EventStream, TextStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import OllamaOptions
    from modelwire.types import ChatRequest, CreateResult, Message, Usage

    class _Given(ClientSettings, OllamaOptions, total=False):
        """What the constructor takes beside its own parameters."""


BASE_URL = "http://localhost:11434"
CLOUD = ("https", "ollama.com", 443)

logger = logging.getLogger("modelwire")


class OllamaChatCompletionClient(ProviderClient):
    """A client of a model that an Ollama server runs.

    `base_url` (or `host`, the name of Ollama's own client) defaults to `OLLAMA_HOST`, and to port 11434 of this machine.
    `api_key` is for Ollama's cloud, `https://ollama.com`; there it defaults to `OLLAMA_API_KEY`. `headers` are
    `default_headers`, and `options` the model's settings in one mapping, under the names of Ollama's own client. Set `num_ctx` to what
    the conversation needs: longer prompts are cut by the server without an error, and a warning is logged where that
    shows.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str | None = None,
        host: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **given: Unpack[_Given],
    ) -> None:
        if base_url and host and base_url != host:
            raise ValueError("base_url and host are the same setting; give one of them")
        url = _endpoint.checked_base_url(
            _with_scheme(base_url or host or _endpoint.from_environment("OLLAMA_HOST") or BASE_URL)
        )
        if not api_key and _endpoint.origin(url) == CLOUD:
            api_key = _endpoint.from_environment("OLLAMA_API_KEY")
        super().__init__(
            model=model,
            codec=OllamaCodec(_endpoint.endpoint(url, "/api/chat")),
            family="OllamaOptions",
            given=given,
            secret_headers=_endpoint.bearer(api_key),
            headers=headers,
        )

    def note_usage(self, usage: Usage | None, request: ChatRequest) -> None:
        """Add to the totals, and warn where the server seems to have cut the prompt."""
        super().note_usage(usage, request)
        options = request.options or {}
        window = options.get("num_ctx") or dict(options.get("options") or {}).get("num_ctx")
        if usage is None or not window:
            return
        asked = tokens.estimate(request.messages, request.tools or ())
        if usage.prompt_tokens >= window or asked > 1.25 * window:
            logger.warning(
                "%s read %d tokens of a prompt of some %d: its window of num_ctx=%d is too small, and the oldest messages were cut",
                self.model,
                usage.prompt_tokens,
                asked,
                window,
            )

    if TYPE_CHECKING:

        async def create(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OllamaOptions],
        ) -> CreateResult: ...

        def stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OllamaOptions],
        ) -> EventStream: ...

        def create_stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OllamaOptions],
        ) -> TextStream: ...


def _with_scheme(host: str) -> str:
    """`OLLAMA_HOST` may be `host`, `host:port` or a URL; `0.0.0.0` is what a server listens on, not where it is reached."""
    url = host if "://" in host else f"http://{host}"
    scheme, _, rest = url.partition("://")
    name, slash, path = rest.partition("/")
    if scheme == "http" and ":" not in name.rpartition("]")[2]:
        name += ":11434"
    return f"{scheme}://{name.replace('0.0.0.0', '127.0.0.1')}{slash}{path}"  # noqa: S104
