"""Azure OpenAI (Microsoft Foundry): OpenAI's codecs at another address.

https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle: the v1 API needs no version and takes the
deployment as the model; the classic one has the deployment in its path, and a dated `api-version`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import msgspec

from modelwire import models
from modelwire._settings import to_model_info
from modelwire.client import ProviderClient
from modelwire.providers import _endpoint
from modelwire.providers._openai_chat import OPENAI, ChatCodec
from modelwire.providers._tokens import CachedToken

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


SCOPE = "https://cognitiveservices.azure.com/.default"
"""Works on `openai.azure.com` hosts; Foundry's own hosts may want `https://ai.azure.com/.default`."""

RESPONSES_SINCE = "2025-03-01"
"""Date of the first `api-version` of the classic path that has the Responses API."""

V1_VERSIONS = ("v1", "latest", "preview")
"""Values of `api-version` that the v1 path takes; any other is a date, and means the classic path."""

QUIRKS = msgspec.structs.replace(OPENAI, provider="azure", documents=False)


class AzureOpenAIChatCompletionClient(ProviderClient):
    """A client of a model deployed on Azure.

    `azure_endpoint` (or `endpoint`; `AZURE_OPENAI_ENDPOINT`) is the resource, such as `https://name.openai.azure.com`,
    and `azure_deployment` (or `deployment_name`) the deployment, by default named like `model`. With a dated `api_version`
    (`OPENAI_API_VERSION`) the classic path is used, else the v1 path. `model` tells what was deployed, so that its
    facts are known.

    `api` is `"chat"`, `"responses"`, or `"auto"`: the Responses API on the v1 path where the model is known to reason,
    Chat Completions otherwise.

    The credential is one of `api_key` (`AZURE_OPENAI_API_KEY`), `azure_ad_token` (`AZURE_OPENAI_AD_TOKEN`), and
    `azure_ad_token_provider`: a function, sync or async, that gives an Entra token, or a credential of
    `azure.identity`, such as `DefaultAzureCredential()` or `ManagedIdentityCredential()`. One that is passed beats the
    variables. Raises `ValueError` for settings that are missing or cannot work together.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        endpoint: str | None = None,
        azure_endpoint: str | None = None,
        deployment_name: str | None = None,
        azure_deployment: str | None = None,
        api_version: str | None = None,
        api_key: str | None = None,
        azure_ad_token: str | None = None,
        azure_ad_token_provider: Any = None,
        azure_ad_scope: str | None = None,
        base_url: str | None = None,
        api: Literal["auto", "chat", "responses"] | None = None,
        **given: Unpack[_Given],
    ) -> None:
        if api not in (None, "auto", "chat", "responses"):
            raise ValueError(f"api={api!r}: it is 'auto', 'chat' or 'responses'")
        resource = _one_of("endpoint", endpoint, "azure_endpoint", azure_endpoint)
        deployment = _one_of("deployment_name", deployment_name, "azure_deployment", azure_deployment) or model
        if not deployment:
            raise ValueError("name the deployment: azure_deployment=, or model= when the deployment is named like it")
        version = api_version or _endpoint.from_environment("OPENAI_API_VERSION")
        resource = base_url or resource or _endpoint.from_environment("AZURE_OPENAI_ENDPOINT")
        if not resource:
            raise ValueError(
                "no endpoint: pass azure_endpoint='https://<resource>.openai.azure.com' or set AZURE_OPENAI_ENDPOINT"
            )
        secrets, token = _credential(api_key, azure_ad_token, azure_ad_token_provider, azure_ad_scope or SCOPE)
        known = models.lookup("openai", model or deployment)
        if api in (None, "auto"):
            info = models.merged(known, to_model_info(given))
            api = "responses" if _is_v1(base_url, version) and models.prefers_responses(info) else "chat"
        super().__init__(
            model=deployment,
            codec=_codec(resource, deployment, version, api, whole=base_url is not None),
            family="OpenAIOptions",
            given=given,
            secret_headers=secrets,
            token=token,
            known=known,
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


def _one_of(first: str, left: str | None, second: str, right: str | None) -> str | None:
    if left and right and left != right:
        raise ValueError(f"{first} and {second} are the same setting; give one of them")
    return left or right


def _is_v1(base_url: str | None, version: str | None) -> bool:
    """Whether this is Azure's v1 path; a gateway may have any path, and then it is not known what it has behind it."""
    if version and version not in V1_VERSIONS:
        return False
    return base_url is None or base_url.partition("?")[0].rstrip("/").endswith("/openai/v1")


def _codec(resource: str, deployment: str, version: str | None, api: str, *, whole: bool) -> Codec:
    if api == "chat":
        # Only Chat Completions has the deployment in the classic path.
        classic = f"/openai/deployments/{quote(deployment, safe='')}/chat/completions"
        # "stream_options.include_usage needs 2024-09-01-preview"; dates compare as text.
        quirks = msgspec.structs.replace(QUIRKS, stream_usage=version is None or version >= "2024-09-01")
        return ChatCodec(_url(resource, "/chat/completions", classic, version, whole=whole), quirks)
    from modelwire.providers._openai_responses import ResponsesCodec  # noqa: PLC0415  # only where it is used

    if version and version not in V1_VERSIONS and version < RESPONSES_SINCE:
        raise ValueError(f"api='responses' needs api_version='{RESPONSES_SINCE}-preview' or later, or none")
    return ResponsesCodec(_url(resource, "/responses", "/openai/responses", version, whole=whole), QUIRKS.provider)


def _url(resource: str, path: str, classic: str, version: str | None, *, whole: bool) -> str:
    """The URL of `path`; `classic` is where it lies in the versions before v1, `whole` says to leave the base as it is."""
    base = _endpoint.checked_base_url(resource)
    if whole:
        url = _endpoint.endpoint(base, path)
        return f"{url}?api-version={quote(version, safe='')}" if version and "api-version=" not in url else url
    base = base.removesuffix("/v1").removesuffix("/openai")
    if version is None:
        return f"{base}/openai/v1{path}"
    if version in V1_VERSIONS:
        return f"{base}/openai/v1{path}?api-version={version}"
    return f"{base}{classic}?api-version={quote(version, safe='')}"


def _credential(
    api_key: str | None, ad_token: str | None, provider: Any, scope: str
) -> tuple[tuple[tuple[bytes, bytes], ...], CachedToken | None]:
    """Secret headers and the source of tokens; what was passed beats the environment, there the token beats the key."""
    if sum(map(bool, (api_key, ad_token, provider))) > 1:
        raise ValueError(
            "api_key, azure_ad_token and azure_ad_token_provider are three ways to sign in: pass one of them"
        )
    if provider is not None:
        return (), CachedToken(provider, scope)
    if not api_key:
        ad_token = ad_token or _endpoint.from_environment("AZURE_OPENAI_AD_TOKEN")
        if ad_token:
            return _endpoint.bearer(ad_token), None
        api_key = _endpoint.from_environment("AZURE_OPENAI_API_KEY")
    if not api_key:
        raise ValueError("no credential: pass api_key= or azure_ad_token_provider=, or set AZURE_OPENAI_API_KEY")
    return ((b"api-key", _endpoint.key_bytes(api_key)),), None
