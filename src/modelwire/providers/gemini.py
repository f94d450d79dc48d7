"""Gemini: https://ai.google.dev/api."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._gemini import GeminiCodec, facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from modelwire._settings import ClientSettings
    from modelwire._stream import EventStream, TextStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import GeminiOptions
    from modelwire.tokens import TokenCount
    from modelwire.types import CreateResult, Message

    class _Given(ClientSettings, GeminiOptions, total=False):
        """What the constructor takes beside its own parameters."""


BASE_URL = "https://generativelanguage.googleapis.com"
VERSION = "v1beta"
"""The version that has everything; `v1` lags behind."""

_HAS_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*(/|$)")


class GeminiChatCompletionClient(ProviderClient):
    """A client of a Gemini model, at Google's Gemini API or at a server that speaks the same format.

    `api_key` defaults to `GOOGLE_API_KEY`, else `GEMINI_API_KEY`, and `base_url` to `GOOGLE_GEMINI_BASE_URL`. The API's
    version is added to a base URL that has none. A key of the environment is only ever sent to Google or to the server
    that `GOOGLE_GEMINI_BASE_URL` names: another `base_url` gets the key that is passed with it, or none.

    `reasoning_effort` sets the model's level of thinking, or its budget before Gemini 3, and asks for summaries of the
    thoughts; `none` is the least that the model can do. An answer that ends with `finish_reason="pause"` goes on when the
    same messages are sent with `continuation_token=result.provider_data["gemini"]["continuationToken"]`.

    Options of the generation (`max_tokens`, `temperature`, ...) are defaults for all calls. Raises `ValueError` for
    settings that cannot work together.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str | None = None,
        base_url: str | None = None,
        **given: Unpack[_Given],
    ) -> None:
        from_variable = _endpoint.from_environment("GOOGLE_GEMINI_BASE_URL")
        url = _endpoint.checked_base_url(base_url or from_variable or BASE_URL)
        own = _endpoint.same_origin(url, BASE_URL)
        if not api_key and (own or (from_variable is not None and _endpoint.same_origin(url, from_variable))):
            api_key = _endpoint.from_environment("GOOGLE_API_KEY", "GEMINI_API_KEY")
        if own and not api_key:
            raise ValueError("no API key: pass api_key= or set GOOGLE_API_KEY")
        super().__init__(
            model=model,
            codec=GeminiCodec(_versioned(url)),
            family="GeminiOptions",
            given=given,
            # Never in the URL, where the API takes it too: URLs end in logs.
            secret_headers=((b"x-goog-api-key", _endpoint.key_bytes(api_key)),) if api_key else (),
            known=facts.known(model),
        )

    if TYPE_CHECKING:

        async def create(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[GeminiOptions],
        ) -> CreateResult: ...

        def stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[GeminiOptions],
        ) -> EventStream: ...

        def create_stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[GeminiOptions],
        ) -> TextStream: ...

        async def count_tokens_remote(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[GeminiOptions],
        ) -> TokenCount: ...


def _versioned(url: str) -> str:
    """The base URL with the API's version in its path."""
    return url if _HAS_VERSION.search(urlsplit(url).path) else _endpoint.endpoint(url, f"/{VERSION}")
