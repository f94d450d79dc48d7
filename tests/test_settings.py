"""Every setting and option constructs, `None` means "not given" everywhere, and `connect` finds the client."""

from __future__ import annotations

import inspect
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from modelwire import (
    AzureOpenAIChatCompletionClient,
    BadRequestError,
    ChatCompletionClient,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    RetryPolicy,
    Timeouts,
    connect,
)
from modelwire._option_table import ALIASES, FAMILIES
from modelwire._settings import SETTINGS
from tests.chat_answers import HELLO, answer, sent, stream_answer, told
from tests.fakes import client_of, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server import ScriptedServer


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys for all, and no other variable of the machine's."""
    for name in (
        "OPENAI_BASE_URL",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_API_VERSION",
        "AZURE_OPENAI_AD_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://name.openai.azure.com")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-of-groq")


def made(kind: str, **options: Any) -> Any:
    """A client of this kind."""
    if kind == "openai":
        return OpenAIChatCompletionClient(**({"model": "gpt-4.1"} | options))
    if kind == "azure":
        return AzureOpenAIChatCompletionClient(**({"model": "gpt-4.1"} | options))
    return OpenAICompatibleChatCompletionClient(**({"model": "m", "preset": "vllm"} | options))


KINDS = ["openai", "azure", "compatible"]


async def gate(attempt: int) -> None:
    """A gate that is open."""


VALUES: dict[str, Any] = {
    "http_client": httpx.AsyncClient(),
    "transport": "httpx",
    "timeout": 30.0,
    "max_retries": 5,
    "retry": RetryPolicy(max_retries=1),
    "deadline": 60,
    "max_connections": 10,
    "verify": ssl.create_default_context(),
    "proxy": "http://proxy.example.com:3128",
    "default_headers": {"x-mine": "1"},
    "model_info": {"vision": False, "function_calling": True, "json_output": True, "family": "unknown"},
    "gate": gate,
    "clock": scripted(told()).clock,
}
OPTIONS: dict[str, Any] = {
    "max_tokens": 200,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["end"],
    "seed": 7,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "parallel_tool_calls": False,
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "metadata": {"a": "b"},
}
OWN: dict[str, dict[str, Any]] = {
    "openai": {
        "api_key": "sk-mine",
        "base_url": "https://proxy.example.com/v1",
        "organization": "org-1",
        "project": "proj-1",
        "api": "chat",
    },
    "azure": {
        "model": None,
        "endpoint": "https://other.openai.azure.com",
        "azure_endpoint": "https://other.openai.azure.com",
        "deployment_name": "mine",
        "azure_deployment": "mine",
        "api_version": "2024-10-21",
        "api_key": "azure-mine",
        "azure_ad_token": "token",
        "azure_ad_token_provider": lambda: "token",
        "azure_ad_scope": "https://ai.azure.com/.default",
        "base_url": "https://proxy.example.com/v1",
        "api": "auto",
    },
    "compatible": {"preset": "groq", "api_key": "mine", "base_url": "http://localhost:9/v1"},
}


def test_the_table_here_has_every_setting() -> None:
    assert set(VALUES) == SETTINGS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*VALUES, *OPTIONS])
def test_every_setting_and_portable_option_constructs(kind: str, name: str) -> None:
    assert made(kind, **{name: (VALUES | OPTIONS)[name]}).model_info["family"]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, own in OWN.items() for name in own])
def test_every_setting_of_a_clients_own_constructs(kind: str, name: str) -> None:
    extra = {"azure_deployment": "mine"} if (kind, name) == ("azure", "model") else {}

    assert made(kind, **{name: OWN[kind][name]}, **extra).model


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_here_has_every_parameter_of_the_constructor(kind: str) -> None:
    parameters = set(inspect.signature(type(made(kind))).parameters) - {"model", "given"}

    assert parameters == set(OWN[kind]) - {"model"}


def all_names(kind: str) -> Iterator[str]:
    family = "CompatibleOptions" if kind == "compatible" else "OpenAIOptions"
    yield from FAMILIES[family]
    yield from (alias for alias, name in ALIASES.items() if name in FAMILIES[family])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_none_is_accepted_everywhere_and_means_not_given(kind: str) -> None:
    """Setting for setting, option for option, at the constructor and at the call."""
    transport = scripted(told())
    own = {name: None for name in OWN[kind] if name not in ("model", "preset")}
    settings = dict.fromkeys(SETTINGS - {"transport"})
    options = dict.fromkeys(all_names(kind))

    client = made(kind, **(own | settings | options), transport=transport)
    await client.create(HELLO, **options)

    assert sent(transport.requests[0].body) == {
        "model": client.model,
        "messages": [{"role": "user", "content": "Hello", "name": "user"}],
    }
    assert client.retry is None  # `retry=None` is a value of its own: never
    assert client.timeouts == Timeouts()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_every_option_may_be_a_default_of_the_client(kind: str) -> None:
    transport = scripted(told())

    await made(kind, **OPTIONS, transport=transport).create(HELLO)

    body = sent(transport.requests[0].body)
    for name in set(OPTIONS) - {"max_tokens", "response_format", "parallel_tool_calls"}:
        assert body[name] == OPTIONS[name]
    assert body.get("max_tokens") == 200 or body["max_completion_tokens"] == 200
    assert "parallel_tool_calls" not in body  # there are no tools


# ---------------------------------------------------------------------- settings that cannot be


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"model": None}, ValueError, "model=None: the name of a model is needed"),
        ({"model": " "}, ValueError, "model=' ': the name of a model is needed"),
        ({"model": 7}, ValueError, "model=7: the name of a model is needed"),
        ({"transport": "fast"}, ValueError, "transport='fast' is not known"),
        ({"max_connections": 0}, ValueError, "max_connections=0: at least 1"),
        ({"verify": False}, ValueError, "verify=False would send the API key to anyone"),
        ({"http_client": object()}, TypeError, "http_client must be an httpx.AsyncClient"),
        ({"http_client": httpx.Client()}, TypeError, "http_client must be an httpx.AsyncClient"),
        ({"http_client": httpx.AsyncClient(), "max_connections": 5}, ValueError, "no effect on a passed http_client"),
        ({"model_info": "gpt-4.1"}, TypeError, "model_info is a dict"),
        ({"max_retries": -1}, ValueError, "no negative numbers"),
        ({"api": "telex"}, ValueError, "api='telex'"),
        ({"temperature": 9}, BadRequestError, "temperature=9 is out of range"),
        ({"timeout": "soon"}, TypeError, "timeout is seconds above 0"),
        ({"default_headers": {"a": "b\n"}}, BadRequestError, "header 'a'"),
        ({"colour": "red"}, BadRequestError, "colour is not an option"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_made(
    settings: dict[str, Any], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        made("openai", **settings)


# ---------------------------------------------------------------------- what settings do, on a real socket


@pytest.mark.parametrize("library", [None, httpx, httpx2], ids=["own", "httpx", "httpx2"])
@pytest.mark.anyio
async def test_both_verbs_work_over_both_libraries(library: Any, server: ScriptedServer) -> None:
    server.add(answer("one"), stream_answer("t", "wo"))
    passed = library.AsyncClient() if library else None

    async with OpenAIChatCompletionClient(model="m", base_url=f"{server.url}/v1", http_client=passed) as client:
        assert (await client.create(HELLO)).content == "one"
        assert [item async for item in client.create_stream(HELLO)][-1].content == "two"
    if passed:
        await passed.aclose()

    assert [request.path for request in server.requests] == ["/v1/chat/completions"] * 2
    assert (server.requests[0].headers["accept"], server.requests[1].headers["accept"]) == (
        "application/json",
        "text/event-stream",
    )


@pytest.mark.anyio
async def test_a_proxy_gets_the_request(server: ScriptedServer) -> None:
    server.add(answer())

    async with OpenAIChatCompletionClient(model="m", base_url="http://api.invalid/v1", proxy=server.url) as client:
        await client.create(HELLO)

    assert server.requests[0].path == "http://api.invalid/v1/chat/completions"


@pytest.mark.anyio
async def test_a_server_with_a_private_authority_needs_it_named(tls_server: Any, authority: Any) -> None:
    tls_server.add(answer())
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async with OpenAIChatCompletionClient(model="m", base_url=tls_server.url, verify=context) as client:
        assert (await client.create(HELLO)).content == "Hi there"


# ---------------------------------------------------------------------- connect


@pytest.mark.parametrize(
    ("name", "kind", "model", "provider"),
    [
        ("openai:gpt-4.1", OpenAIChatCompletionClient, "gpt-4.1", "openai"),
        ("azure:my-deployment", AzureOpenAIChatCompletionClient, "my-deployment", "azure"),
        ("groq:qwen/qwen3.8-27b", OpenAICompatibleChatCompletionClient, "qwen/qwen3.8-27b", "groq"),
        ("vllm:org/model:tag", OpenAICompatibleChatCompletionClient, "org/model:tag", "vllm"),
        ("openai:ft:gpt-4.1:me::abc", OpenAIChatCompletionClient, "ft:gpt-4.1:me::abc", "openai"),
    ],
)
def test_connect_picks_the_client_by_the_word_before_the_first_colon(
    name: str, kind: type, model: str, provider: str
) -> None:
    client: Any = connect(name, max_tokens=5)

    assert type(client) is kind
    assert isinstance(client, ChatCompletionClient)
    assert (client.model, client.codec.provider) == (model, provider)


@pytest.mark.anyio
async def test_connect_passes_options_on() -> None:
    transport = scripted(told())

    await connect("openai:gpt-4.1", max_tokens=5, transport=transport).create(HELLO)

    assert sent(transport.requests[0].body)["max_completion_tokens"] == 5


@pytest.mark.parametrize("name", ["gpt-4.1", "openai:", ":gpt-4.1", ""])
def test_connect_needs_a_provider_and_a_model(name: str) -> None:
    with pytest.raises(ValueError, match="'provider:model'"):
        connect(name)


def test_connect_names_the_providers_that_it_knows() -> None:
    with pytest.raises(ValueError, match=r"'acme' is not a provider that modelwire knows; it knows .*openai.*groq"):
        connect("acme:model")


def test_connect_passes_bad_options_on_too() -> None:
    with pytest.raises(BadRequestError, match="did you mean temperature"):
        connect("openai:gpt-4.1", temprature=1)


def test_a_client_of_one_setting_leaves_another_alone() -> None:
    assert client_of(scripted(told()), timeout=5).timeouts != client_of(scripted(told())).timeouts


def test_the_password_of_a_malformed_proxy_is_not_shown() -> None:
    with pytest.raises(ValueError, match="not the URL of a proxy") as caught:
        OpenAIChatCompletionClient(model="m", api_key="k", proxy="user:hunter2-hunter2@host")

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None
