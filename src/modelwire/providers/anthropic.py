"""Anthropic: https://platform.claude.com/docs/en/api/overview."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from modelwire import models
from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._anthropic.names import undated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from modelwire._settings import ClientSettings, Headers
    from modelwire._stream import EventStream, TextStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import AnthropicOptions, ModelInfo
    from modelwire.tokens import TokenCount
    from modelwire.types import CreateResult, Message

    class _Given(ClientSettings, AnthropicOptions, total=False):
        """What the constructor takes beside its own parameters."""


BASE_URL = "https://api.anthropic.com"


class AnthropicChatCompletionClient(ProviderClient):
    """A client of a Claude model, or of any server that speaks Anthropic's Messages API.

    `api_key` defaults to `ANTHROPIC_API_KEY`, `auth_token` (sent as a Bearer token, for gateways and OAuth) to
    `ANTHROPIC_AUTH_TOKEN`, and `base_url` to `ANTHROPIC_BASE_URL`. What is passed beats the variables, and of those the
    key beats the token. They are only ever sent to Anthropic itself or to the server that `ANTHROPIC_BASE_URL` names:
    another `base_url` gets what is passed with it, or nothing.

    `anthropic_version` is `2023-06-01` for models that take sampling options, and for those that modelwire does not
    know; for all others `2026-10-21`. `max_tokens`, which the API requires, is 21 333 by default, or the model's limit
    where that is lower; 4096 for unknown models. Raises `ValueError` for settings that cannot work together.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        anthropic_version: str | None = None,
        **given: Unpack[_Given],
    ) -> None:
        if api_key and auth_token:
            raise ValueError("api_key and auth_token are two ways to sign in: pass one of them")
        from_variable = _endpoint.from_environment("ANTHROPIC_BASE_URL")
        url = _endpoint.checked_base_url(base_url or from_variable or BASE_URL)
        own = _endpoint.same_origin(url, BASE_URL)
        if not api_key and not auth_token:
            if own or (from_variable is not None and _endpoint.same_origin(url, from_variable)):
                api_key = _endpoint.from_environment("ANTHROPIC_API_KEY")
                auth_token = _endpoint.from_environment("ANTHROPIC_AUTH_TOKEN")
            if own and not api_key and not auth_token:
                raise ValueError("no API key: pass api_key= or set ANTHROPIC_API_KEY")
        super().__init__(
            model=model,
            codec=AnthropicCodec(_url(url), anthropic_version),
            family="AnthropicOptions",
            given=given,
            secret_headers=_secrets(api_key, auth_token),
            known=_known(model),
        )

    if TYPE_CHECKING:

        async def create(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[AnthropicOptions],
        ) -> CreateResult: ...

        def stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[AnthropicOptions],
        ) -> EventStream: ...

        def create_stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[AnthropicOptions],
        ) -> TextStream: ...

        async def count_tokens_remote(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[AnthropicOptions],
        ) -> TokenCount: ...


def _url(base_url: str) -> str:
    """The endpoint. The vendor's own base URL has no `/v1`; one that has it means the same."""
    path, mark, query = base_url.partition("?")
    return _endpoint.endpoint(f"{path.rstrip('/').removesuffix('/v1')}{mark}{query}", "/v1/messages")


def _secrets(api_key: str | None, auth_token: str | None) -> Headers:
    """The header that signs requests; of two credentials the key, as in the vendor's SDK."""
    return ((b"x-api-key", _endpoint.key_bytes(api_key)),) if api_key else _endpoint.bearer(auth_token)


def _known(model: str) -> ModelInfo:
    """What is known of the model, or of the one that it is a dated snapshot of."""
    return cast("ModelInfo", {**models.lookup("anthropic", undated(model)), "model": model})
