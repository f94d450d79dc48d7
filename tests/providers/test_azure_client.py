"""The Azure client: two families of addresses, and three ways to sign in."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import AzureOpenAIChatCompletionClient, ContentFilterError, UnsupportedOptionError
from tests.chat_answers import HELLO, JSON, sent, streamed, told
from tests.fakes import Reply, scripted
from tests.server import Answer, ScriptedServer

VARIABLES = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION")
ENDPOINT = "https://name.openai.azure.com"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's."""
    for name in (*VARIABLES, "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def made(**options: Any) -> AzureOpenAIChatCompletionClient:
    given = {"azure_endpoint": ENDPOINT, "azure_deployment": "mine", "api_key": "azure-key"}
    return AzureOpenAIChatCompletionClient(**(given | options))


async def request_of(**options: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a call."""
    transport = scripted(told())
    await made(**options, transport=transport).create(HELLO)
    (request,) = transport.requests
    return request.url, {name.decode(): value.decode() for name, value in request.headers}, sent(request.body)


# ---------------------------------------------------------------------- the address


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/openai/v1/chat/completions"),
        ({"azure_deployment": None, "deployment_name": "mine"}, "/openai/v1/chat/completions"),
        ({"azure_deployment": None, "model": "mine"}, "/openai/v1/chat/completions"),
        ({"api_version": "2024-10-21"}, "/openai/deployments/mine/chat/completions?api-version=2024-10-21"),
        (
            {"api_version": "2024-10-21", "azure_deployment": "a b/c"},
            "/openai/deployments/a%20b%2Fc/chat/completions?api-version=2024-10-21",
        ),
        ({"api_version": "preview"}, "/openai/v1/chat/completions?api-version=preview"),
        ({"api_version": "latest"}, "/openai/v1/chat/completions?api-version=latest"),
        ({"api_version": "v1"}, "/openai/v1/chat/completions?api-version=v1"),
    ],
    ids=str,
)
@pytest.mark.anyio
async def test_a_dated_version_means_the_classic_path_and_anything_else_v1(options: dict[str, Any], path: str) -> None:
    assert (await request_of(**options))[0] == ENDPOINT + path


@pytest.mark.parametrize(
    "endpoint", [ENDPOINT, f"{ENDPOINT}/", f"{ENDPOINT}/openai", f"{ENDPOINT}/openai/v1/", f"{ENDPOINT}/openai/v1"]
)
@pytest.mark.anyio
async def test_an_endpoint_may_be_pasted_with_its_path(endpoint: str) -> None:
    assert (await request_of(azure_endpoint=endpoint))[0] == f"{ENDPOINT}/openai/v1/chat/completions"
    assert (await request_of(azure_endpoint=None, endpoint=endpoint))[0] == f"{ENDPOINT}/openai/v1/chat/completions"


@pytest.mark.anyio
async def test_a_base_url_is_used_as_it_is() -> None:
    gateway = "https://gateway.example.com/azure"

    assert (await request_of(base_url=gateway))[0] == f"{gateway}/chat/completions"
    assert (await request_of(base_url=gateway, api_version="2024-10-21"))[
        0
    ] == f"{gateway}/chat/completions?api-version=2024-10-21"


@pytest.mark.anyio
async def test_endpoint_and_version_of_the_environment_are_defaults(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AZURE_OPENAI_ENDPOINT", "https://other.openai.azure.com/")
    environment.setenv("OPENAI_API_VERSION", "2024-10-21")

    url = (await request_of(azure_endpoint=None))[0]
    passed = (await request_of(api_version="2025-01-01-preview"))[0]

    assert url == "https://other.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    assert passed == f"{ENDPOINT}/openai/deployments/mine/chat/completions?api-version=2025-01-01-preview"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"azure_endpoint": None}, "no endpoint: pass azure_endpoint=.* or set AZURE_OPENAI_ENDPOINT"),
        ({"azure_deployment": None}, "name the deployment: azure_deployment="),
        ({"endpoint": "https://other.openai.azure.com"}, "endpoint and azure_endpoint are the same setting"),
        ({"deployment_name": "other"}, "deployment_name and azure_deployment are the same setting"),
        ({"azure_endpoint": "name.openai.azure.com"}, "an absolute http or https URL"),
        ({"azure_endpoint": "https://user:hush@name.openai.azure.com"}, "no user and password"),
        ({"api": "telex"}, "api='telex'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_missing_or_contradicts_itself_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        made(**options)

    assert "hush" not in str(caught.value)


def test_two_names_with_one_value_are_fine() -> None:
    assert made(endpoint=ENDPOINT, deployment_name="mine").model == "mine"


# ---------------------------------------------------------------------- the model


@pytest.mark.anyio
async def test_the_deployment_is_the_model_of_the_request_and_the_model_tells_the_facts() -> None:
    _, _, body = await request_of(model="gpt-4.1")
    client = made(model="gpt-4.1")

    assert body["model"] == "mine"
    assert (client.model_info["family"], client.model_info["max_input_tokens"]) == ("gpt-41", 1_047_576)
    assert made().model_info["family"] == "unknown"
    assert made(azure_deployment=None, model="gpt-4.1").model_info["family"] == "gpt-41"


@pytest.mark.anyio
async def test_what_the_deployed_model_refuses_is_known() -> None:
    with pytest.raises(UnsupportedOptionError, match="temperature"):
        await request_of(model="o3", temperature=0.2)

    assert (await request_of(temperature=0.2))[2]["temperature"] == 0.2


@pytest.mark.parametrize(
    ("version", "asked"), [(None, True), ("2024-10-21", True), ("2024-06-01", False), ("preview", True)]
)
@pytest.mark.anyio
async def test_usage_of_streams_is_asked_for_where_the_version_knows_it(version: str | None, asked: bool) -> None:
    transport = scripted(streamed())
    _ = [item async for item in made(api_version=version, transport=transport).create_stream(HELLO)]

    assert ("stream_options" in sent(transport.requests[0].body)) is asked


# ---------------------------------------------------------------------- signing in


@pytest.mark.anyio
async def test_a_key_has_a_header_of_its_own(environment: pytest.MonkeyPatch) -> None:
    _, headers, _ = await request_of()
    assert (headers["api-key"], "authorization" in headers) == ("azure-key", False)

    environment.setenv("AZURE_OPENAI_API_KEY", "azure-of-environment")
    _, headers, _ = await request_of(api_key=None)
    assert headers["api-key"] == "azure-of-environment"


@pytest.mark.anyio
async def test_openais_variables_are_not_azures(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OPENAI_API_KEY", "sk-of-openai")
    environment.setenv("OPENAI_BASE_URL", "https://proxy.example.com")
    environment.setenv("OPENAI_ORG_ID", "org-1")

    with pytest.raises(ValueError, match="no credential"):
        made(api_key=None)
    url, headers, _ = await request_of()
    assert url.startswith(ENDPOINT)
    assert not [name for name in headers if name.startswith("openai-")]


def give_token() -> str:
    """A provider of tokens."""
    return "token"


TOKENS: list[tuple[dict[str, str], dict[str, Any], tuple[str, str]]] = [
    ({}, {"azure_ad_token": "token"}, ("authorization", "Bearer token")),
    ({}, {"azure_ad_token_provider": give_token}, ("authorization", "Bearer token")),
    ({"AZURE_OPENAI_AD_TOKEN": "env-token"}, {}, ("authorization", "Bearer env-token")),
    (
        {"AZURE_OPENAI_AD_TOKEN": "env-token", "AZURE_OPENAI_API_KEY": "env-key"},
        {},
        ("authorization", "Bearer env-token"),
    ),
    ({"AZURE_OPENAI_AD_TOKEN": "env-token"}, {"api_key": "azure-key"}, ("api-key", "azure-key")),
    ({"AZURE_OPENAI_API_KEY": "env-key"}, {"azure_ad_token": "token"}, ("authorization", "Bearer token")),
    (
        {"AZURE_OPENAI_API_KEY": "env-key", "AZURE_OPENAI_AD_TOKEN": "env-token"},
        {"azure_ad_token_provider": give_token},
        ("authorization", "Bearer token"),
    ),
]


@pytest.mark.parametrize(("variables", "options", "header"), TOKENS)
@pytest.mark.anyio
async def test_what_was_passed_beats_the_environment_and_there_the_token_beats_the_key(
    variables: dict[str, str], options: dict[str, Any], header: tuple[str, str], environment: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)

    _, headers, _ = await request_of(**({"api_key": None} | options))

    assert [(name, headers[name]) for name in ("authorization", "api-key") if name in headers] == [header]


@pytest.mark.parametrize(
    "options",
    [
        {"azure_ad_token": "token"},
        {"azure_ad_token_provider": give_token},
        {"api_key": None, "azure_ad_token": "token", "azure_ad_token_provider": give_token},
    ],
    ids="+".join,
)
def test_two_credentials_are_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="three ways to sign in: pass one of them"):
        made(**options)


def test_no_credential_is_an_error_that_names_the_ways() -> None:
    with pytest.raises(ValueError, match="no credential: pass api_key= or azure_ad_token_provider=, or set AZURE_OPEN"):
        made(api_key=None)


@pytest.mark.parametrize("name", ["api_key", "azure_ad_token"])
def test_a_credential_that_is_none_is_refused_without_showing_it(name: str) -> None:
    with pytest.raises(ValueError, match="characters that no key has") as caught:
        made(**({"api_key": None} | {name: "hush\nhush"}))

    assert "hush" not in str(caught.value)


def test_a_provider_of_tokens_is_a_function_or_a_credential() -> None:
    with pytest.raises(TypeError, match="azure_ad_token_provider is a function that gives a token, or a credential"):
        made(api_key=None, azure_ad_token_provider="token")


# ---------------------------------------------------------------------- answers


@pytest.mark.anyio
async def test_a_blocked_prompt_is_a_content_filter_error() -> None:
    body = b'{"error": {"code": "content_filter", "message": "blocked", "status": 400, "innererror": {"code": "x"}}}'
    transport = scripted(Reply(400, JSON | {"apim-request-id": "req_1"}, body))

    with pytest.raises(ContentFilterError, match="azure: blocked") as caught:
        await made(transport=transport).create(HELLO)

    assert caught.value.request_id == "req_1"


@pytest.mark.anyio
async def test_a_call_on_a_real_socket(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON | {"apim-request-id": "req_1"}, body=told().body))

    async with made(azure_endpoint=server.url, api_version="2024-10-21") as client:
        result = await client.create(HELLO)

    assert (result.provider, result.request_id) == ("azure", "req_1")
    assert server.requests[0].path == "/openai/deployments/mine/chat/completions?api-version=2024-10-21"
    assert server.requests[0].headers["api-key"] == "azure-key"
