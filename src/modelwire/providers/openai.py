"""OpenAI: https://platform.openai.com/docs/api-reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from modelwire import models
from modelwire._settings import to_model_info
from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._openai_chat import OPENAI, ChatCodec, Quirks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from modelwire._settings import ClientSettings
    from modelwire._stream import EventStream, TextStream
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.options import OpenAIOptions
    from modelwire.protocols import Codec
    from modelwire.tokens import TokenCount
    from modelwire.types import CreateResult, Message

    class _Given(ClientSettings, OpenAIOptions, total=False):
        """What the constructor takes beside its own parameters."""


BASE_URL = "https://api.openai.com/v1"


class OpenAIChatCompletionClient(ProviderClient):
    """A client of an OpenAI model, or of any server that speaks OpenAI's Chat Completions or Responses API.

    `api_key` defaults to `OPENAI_API_KEY`, `base_url` to `OPENAI_BASE_URL`, `organization` to `OPENAI_ORG_ID` and
    `project` to `OPENAI_PROJECT_ID`. The key of the environment is only ever sent to OpenAI itself or to the server
    that `OPENAI_BASE_URL` names: another `base_url` gets the key that is passed with it, or that of its preset (see
    `providers/compatible.py`), or none. Organization and project of the environment go to OpenAI alone.

    Without an address, models named `gemini-` and `claude-` are reached where Google and Anthropic speak Chat Completions,
    with `GEMINI_API_KEY` and `ANTHROPIC_API_KEY`; their own clients can do more.

    `api` is `"chat"`, `"responses"`, or `"auto"`: the Responses API for models of OpenAI that reason, since Chat
    Completions loses their reasoning between turns and denies tools to the newer ones; Chat Completions for all others.

    Options of the generation (`max_tokens`, `temperature`, ...) are defaults for all calls. Raises `ValueError` for
    settings that cannot work together.
    """

    def __init__(
        self,
        *,
        model: str,
        api_key: str | None = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        api: Literal["auto", "chat", "responses"] | None = None,
        **given: Unpack[_Given],
    ) -> None:
        if api not in (None, "auto", "chat", "responses"):
            raise ValueError(f"api={api!r}: it is 'auto', 'chat' or 'responses'")
        from_variable = _endpoint.from_environment("OPENAI_BASE_URL")
        url = _endpoint.checked_base_url(base_url or from_variable or _home_of(model))
        own = _is_openai(url)
        preset = None if own else _preset_of(url)
        if not api_key:
            preset_variables = preset.key_variables if preset and _endpoint.same_origin(url, preset.base_url) else ()
            trusted = own or (from_variable is not None and _endpoint.same_origin(url, from_variable))
            api_key = _endpoint.from_environment(*preset_variables, *(("OPENAI_API_KEY",) if trusted else ()))
            if not api_key and (own or not (base_url or from_variable)):
                raise ValueError(
                    f"no API key: pass api_key= or set {' or '.join(preset_variables) or 'OPENAI_API_KEY'}"
                )
        if own:
            organization = organization or _endpoint.from_environment("OPENAI_ORG_ID")
            project = project or _endpoint.from_environment("OPENAI_PROJECT_ID")
        headers = {"openai-organization": organization, "openai-project": project}
        quirks = OPENAI if own else preset.quirks if preset else Quirks()
        if api in (None, "auto"):
            known = models.merged(models.lookup("openai", model), to_model_info(given))
            api = "responses" if own and models.prefers_responses(known) else "chat"
        super().__init__(
            model=model,
            codec=_codec(url, quirks, api),
            family="OpenAIOptions" if own else "CompatibleOptions",
            given=given,
            secret_headers=_endpoint.bearer(api_key),
            headers={name: value for name, value in headers.items() if value},
        )

    if TYPE_CHECKING:

        async def create(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OpenAIOptions],
        ) -> CreateResult: ...

        def stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OpenAIOptions],
        ) -> EventStream: ...

        def create_stream(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OpenAIOptions],
        ) -> TextStream: ...

        async def count_tokens_remote(
            self,
            messages: Sequence[Message],
            *,
            tools: Sequence[ToolLike] = (),
            tool_choice: ToolChoiceLike = "auto",
            **options: Unpack[OpenAIOptions],
        ) -> TokenCount: ...


def _codec(url: str, quirks: Quirks, api: str) -> Codec:
    if api == "chat":
        return ChatCodec(_endpoint.endpoint(url, "/chat/completions"), quirks)
    from modelwire.providers._openai_responses import ResponsesCodec  # noqa: PLC0415  # only where it is used

    return ResponsesCodec(_endpoint.endpoint(url, "/responses"), quirks.provider)


def _is_openai(url: str) -> bool:
    """OpenAI's own hosts, those for data residency such as `eu.api.openai.com` included."""
    scheme, host, _ = _endpoint.origin(url)
    return scheme == "https" and (host == "api.openai.com" or host.endswith(".api.openai.com"))


def _home_of(model: str) -> str:
    """Where a model is that no address was given for."""
    if not str(model).startswith(("gemini-", "claude-")):
        return BASE_URL
    from modelwire.providers.compatible import HOMES  # noqa: PLC0415  # only for other servers

    return HOMES[model[:7]].base_url


def _preset_of(url: str) -> Any:
    from modelwire.providers.compatible import preset_of  # noqa: PLC0415  # only for other servers

    return preset_of(url)
