"""Every setting and option constructs, `None` means "not given" everywhere, and `connect` finds the client."""

from __future__ import annotations

import inspect
import os
import re
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

import modelwire.fast
from modelwire import (
    AnthropicChatCompletionClient,
    AzureOpenAIChatCompletionClient,
    BadRequestError,
    CancellationToken,
    ChatCompletionClient,
    GeminiChatCompletionClient,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    RetryPolicy,
    Timeouts,
    UnsupportedOptionError,
    connect,
)
from modelwire._option_table import ALIASES, FAMILIES, WIRE
from modelwire._settings import SETTINGS
from modelwire._transport import HttpxTransport
from modelwire._transport.fast import FastTransport
from tests.chat_answers import HELLO, JSON, answer, completion, sent, stream_answer, told
from tests.fakes import Reply, client_of, scripted
from tests.ids import shown

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
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_AUTH_TOKEN",
        "GOOGLE_API_KEY",
        "GOOGLE_GEMINI_BASE_URL",
        "OLLAMA_HOST",
        "OLLAMA_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://name.openai.azure.com")
    monkeypatch.setenv("GROQ_API_KEY", "gsk-of-groq")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-anthropic")
    monkeypatch.setenv("GEMINI_API_KEY", "key-of-gemini")


CLIENTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "openai": (OpenAIChatCompletionClient, {"model": "gpt-4.1"}),
    "responses": (OpenAIChatCompletionClient, {"model": "gpt-4.1", "api": "responses"}),
    "azure": (AzureOpenAIChatCompletionClient, {"model": "gpt-4.1"}),
    "compatible": (OpenAICompatibleChatCompletionClient, {"model": "m", "preset": "vllm"}),
    "anthropic": (AnthropicChatCompletionClient, {"model": "m"}),
    "gemini": (GeminiChatCompletionClient, {"model": "m"}),
    "ollama": (OllamaChatCompletionClient, {"model": "m"}),
}
KINDS = list(CLIENTS)
ANSWERS = {
    **dict.fromkeys(KINDS, completion()),
    "responses": b'{"id": "r", "object": "response", "status": "completed", "output": []}',
    "anthropic": b'{"id": "m", "type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}',
    "gemini": b'{"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}',
    "ollama": b'{"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": true}',
}


def made(kind: str, **options: Any) -> Any:
    """A client of this kind."""
    client, least = CLIENTS[kind]
    return client(**(least | options))


def answering(kind: str) -> Any:
    """A transport that gives answers of this kind."""
    return scripted(Reply(headers=JSON, body=ANSWERS[kind]))


async def body_of(kind: str, call: dict[str, Any] | None = None, **defaults: Any) -> dict[str, Any]:
    """The body of a call."""
    transport = answering(kind)
    await made(kind, **defaults, transport=transport).create(HELLO, **(call or {}))
    return sent(transport.requests[0].body)


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
    "model_capabilities": {"vision": False, "function_calling": True, "json_output": True},
    "include_name_in_message": False,
    "add_name_prefixes": True,
    "gate": gate,
    "clock": scripted(told()).clock,
}
OPTIONS: dict[str, Any] = {
    "max_tokens": 200,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
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
    "anthropic": {
        "api_key": "mine",
        "auth_token": "mine",
        "base_url": "https://proxy.example.com",
        "anthropic_version": "2023-06-01",
    },
    "gemini": {"api_key": "mine", "base_url": "https://proxy.example.com"},
    "ollama": {"api_key": "mine", "base_url": "http://localhost:9", "host": "localhost:9", "headers": {"x-mine": "1"}},
}
OWN["responses"] = OWN["openai"]


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
    family = made(kind)._family
    yield from FAMILIES[family]
    yield from (alias for alias, name in ALIASES.items() if name in FAMILIES[family])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_none_is_accepted_everywhere_and_means_not_given(kind: str) -> None:
    """Setting for setting, option for option, at the constructor and at the call."""
    transport = answering(kind)
    own = {name: None for name in OWN[kind] if name not in ("model", "preset", "api")}
    settings = dict.fromkeys(SETTINGS - {"transport"})
    options = dict.fromkeys(all_names(kind))

    client = made(kind, **(own | settings | options), transport=transport)
    await client.create(HELLO, **options)

    assert sent(transport.requests[0].body) == await body_of(kind)
    assert client.retry is None  # `retry=None` is a value of its own: never
    assert client.timeouts == Timeouts()


WIRED: dict[str, dict[str, Any]] = {
    # Where a value is written otherwise than it is given: the path, and what is there.
    "openai": {"parallel_tool_calls": ("", None), "response_format": ("response_format", {"type": "json_object"})},
    "responses": {
        "logprobs": ("include", ["message.output_text.logprobs"]),
        "response_format": ("text.format", {"type": "json_object"}),
    },
    "compatible": {"max_tokens": ("max_tokens", 200), "top_k": ("top_k", 40)},
    "anthropic": {"metadata": ("metadata", {"user_id": "b"}), "parallel_tool_calls": ("", None)},
    "gemini": {
        "reasoning_effort": ("generationConfig.thinkingConfig.thinkingLevel", "LOW"),
        "response_format": ("generationConfig.responseMimeType", "application/json"),
    },
    "ollama": {"reasoning_effort": ("think", "low"), "response_format": ("format", "json")},
}
WIRED["azure"] = WIRED["openai"]
WIRED["compatible"] |= WIRED["openai"]


def at(body: Any, path: str) -> Any:
    """What lies at this path; `None` for nothing."""
    for step in path.split("."):
        body = body.get(step) if isinstance(body, dict) else None
    return body


REFUSED = {
    *(("top_k", kind) for kind in ("openai", "responses", "azure")),
    *((name, "responses") for name in ("stop", "seed", "n", "frequency_penalty", "presence_penalty")),
    *((name, "anthropic") for name in ("seed", "n", "frequency_penalty", "presence_penalty", "logprobs")),
    *((name, "anthropic") for name in ("top_logprobs", "response_format")),
    ("parallel_tool_calls", "gemini"),
    *((name, "ollama") for name in ("n", "metadata", "parallel_tool_calls")),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_every_portable_option_is_on_the_wire_or_refused(kind: str, name: str) -> None:
    """As a default of the client, as an option of a call, and in AutoGen's mapping."""
    value: Any = {"user_id": "b"} if (kind, name) == ("anthropic", "metadata") else OPTIONS[name]
    given = {name: value} | ({"logprobs": True} if name == "top_logprobs" else {})
    path, expected = WIRED[kind].get(name, (WIRE[made(kind).codec.dialect].get(name), value))
    ways: list[tuple[dict[str, Any], dict[str, Any]]] = [({}, given), (given, {}), ({"extra_create_args": given}, {})]

    for call, defaults in ways:
        if (name, kind) in REFUSED:
            with pytest.raises(UnsupportedOptionError, match="is not supported: ") as caught:
                await body_of(kind, call, **defaults)
            assert caught.value.option in given
        elif path == "":
            assert await body_of(kind, call, **defaults) == await body_of(kind)
        else:
            assert at(await body_of(kind, call, **defaults), path) == expected


SAMPLES: dict[str, Any] = {
    # Options that not every provider has. A number is any number, an object any object, unless something else is said.
    "logit_bias": {"50256": -100}, "verbosity": "low", "modalities": ["text"], "prediction": {"type": "content", "content": "x"},
    "service_tier": "flex", "store": True, "truncation": "auto", "include": ["web_search_call.results"],
    "reasoning": {"summary": "auto"}, "models": ["a"], "plugins": [{"id": "web"}], "mcp_servers": [{"name": "a"}],
    "betas": ["a-1"], "safety_settings": [{"category": "A", "threshold": "B"}], "response_modalities": ["TEXT"], "think": True,
    "keep_alive": "5m", "min_p": 0.1, "typical_p": 0.5, "thinking": {"type": "disabled"}, "speed": "fast",
    "media_resolution": "MEDIA_RESOLUTION_LOW", "response_mime_type": "text/x.enum",
    **dict.fromkeys(("safety_identifier", "user", "prompt_cache_key", "instructions", "previous_response_id", "conversation",
                     "reasoning_format", "prompt_mode", "inference_geo", "cached_content",
                     "continuation_token", "prompt_cache_retention", "container"), "word"),
    **dict.fromkeys(("background", "include_reasoning", "safe_prompt", "truncate", "shift", "use_mmap"), True),
    **{name: {"a": 1} for name in (
        "audio", "prompt_cache_options", "moderation", "web_search_options", "background_options", "prompt",
        "access_programs", "chat_template_kwargs", "structured_outputs", "provider", "search_parameters", "cache_control",
        "output_config", "thinking_config", "speech_config", "image_config", "options", "context_management", "image",
        "diagnostics",
    )},
    **dict.fromkeys(("max_tool_calls", "num_ctx", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta", "num_keep",
                     "num_batch", "num_gpu", "main_gpu", "num_thread", "repetition_penalty"), 2),
}  # fmt: skip
ELSEWHERE = {"stream_options", "betas"}
"""In streams, and in a header: `test_openai_chat_request.py` and `test_anthropic_client.py` have them."""


def own_options() -> list[tuple[str, str]]:
    """Each option that is not portable, at each kind of client that has a word for it."""
    return [
        (kind, name)
        for kind in KINDS
        for name in sorted(FAMILIES[{"compatible": "CompatibleOptions", "responses": "OpenAIOptions", "azure": "OpenAIOptions",
                              "openai": "OpenAIOptions", "anthropic": "AnthropicOptions", "gemini": "GeminiOptions",
                              "ollama": "OllamaOptions"}[kind]])
        if name not in OPTIONS and name not in ELSEWHERE
        and name in WIRE[{"responses": "openai-responses", "anthropic": "anthropic", "gemini": "gemini",
                          "ollama": "ollama"}.get(kind, "openai-chat")]
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "name"), own_options())
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_every_option_of_a_providers_own_is_on_the_wire(kind: str, name: str) -> None:
    path = WIRE[made(kind).codec.dialect][name]
    more = {"modalities": ["text", "audio"]} if name == "audio" else {}

    body = await body_of(kind, {name: SAMPLES[name], **more})

    assert at(body, path) == SAMPLES[name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_a_call_goes_over_the_client_and_none_switches_off(kind: str) -> None:
    path = WIRED[kind].get("max_tokens", (WIRE[made(kind).codec.dialect]["max_tokens"], 0))[0]

    assert at(await body_of(kind, {"max_tokens": 5}, max_tokens=200), path) == 5
    assert at(await body_of(kind, {"num_predict": 5}, max_tokens=200), path) == 5
    assert await body_of(kind, {"max_tokens": None}, max_tokens=200) == await body_of(kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.anyio
async def test_unknown_models_names_and_endings(kind: str) -> None:
    """An unknown model is sent; the client closes what it made, and may be closed twice."""
    transport = answering(kind)
    async with made(kind, model="brand-new:1", transport=transport) as client:
        assert (client.model, client.model_info["vision"]) == ("brand-new:1", True)
        assert (await client.create(HELLO, cancellation_token=CancellationToken())).finish_reason
    request = transport.requests[0]
    assert "brand-new:1" in request.body.decode() + request.url.replace("%3A", ":")
    await client.close()
    assert transport.closed == 0  # it was passed

    own = made(kind)
    await own.close()
    await own.close()
    assert await own.request_key(HELLO) != await made(kind, max_tokens=5).request_key(HELLO)


# ---------------------------------------------------------------------- settings that cannot be


@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"model": None}, ValueError, "model=None: the name of a model is needed"),
        ({"model": " "}, ValueError, "model=' ': the name of a model is needed"),
        ({"model": 7}, ValueError, "model=7: the name of a model is needed"),
        ({"transport": "quick"}, ValueError, "transport=.quick. is not known"),
        ({"max_connections": 0}, ValueError, "max_connections=0: at least 1"),
        ({"verify": False}, ValueError, "verify=False would send the API key to anyone"),
        ({"http_client": object()}, TypeError, "http_client must be an httpx.AsyncClient"),
        ({"http_client": httpx.Client()}, TypeError, "http_client must be an httpx.AsyncClient"),
        ({"http_client": httpx.AsyncClient(), "max_connections": 5}, ValueError, "no effect on a passed http_client"),
        ({"model_info": "gpt-4.1"}, TypeError, "model_info is a dict"),
        ({"max_retries": -1}, ValueError, "no negative numbers"),
        ({"api": "telex"}, ValueError, "api='telex'"),
        ({"temperature": 9}, BadRequestError, "temperature=9 is out of range"),
        ({"timeout": httpx.Timeout(-1)}, TypeError, "timeout is seconds above 0"),
        ({"timeout": "soon"}, TypeError, "timeout is seconds above 0"),
        ({"default_headers": {"a": "b\n"}}, BadRequestError, "header 'a'"),
        ({"colour": "red"}, BadRequestError, "colour is not an option"),
    ],
    ids=shown,
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


def test_httpxs_timeout_is_understood() -> None:
    assert made("openai", timeout=httpx.Timeout(30, connect=2, write=None)).timeouts == Timeouts(
        connect=2, first_byte=30, read=30, write=None
    )


def test_a_client_of_one_setting_leaves_another_alone() -> None:
    assert client_of(scripted(told()), timeout=5).timeouts != client_of(scripted(told())).timeouts


def test_the_password_of_a_malformed_proxy_is_not_shown() -> None:
    with pytest.raises(ValueError, match="not the URL of a proxy") as caught:
        OpenAIChatCompletionClient(model="m", api_key="k", proxy="user:hunter2-hunter2@host")

    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


# ---------------------------------------------------------------------- the transport


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_proxies")
def test_the_transport_is_httpx_unless_something_says_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(made("openai").transport) is HttpxTransport
    assert type(made("openai", transport="fast", verify=ssl.create_default_context()).transport) is FastTransport
    monkeypatch.setenv("MODELWIRE_TRANSPORT", "fast")
    assert type(made("openai", max_connections=3).transport) is FastTransport
    assert type(made("openai", transport="httpx").transport) is HttpxTransport
    assert type(made("openai", http_client=httpx.AsyncClient()).transport) is HttpxTransport
    assert type(made("openai", proxy="http://proxy.example.com:3128").transport) is HttpxTransport
    monkeypatch.setenv("MODELWIRE_TRANSPORT", "quick")
    with pytest.raises(ValueError, match="MODELWIRE_TRANSPORT=quick is not known"):
        made("openai")


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"http_client": httpx.AsyncClient()}, "transport='fast' takes no http_client: only the default"),
        ({"proxy": "http://u:hunter2-hunter2@p:1"}, "transport='fast' takes no proxy: only the default"),
        ({"verify": False}, "verify=False would send the API key"),
        ({"max_connections": 0}, "max_connections=0: at least 1"),
    ],
    ids=shown,
)
def test_the_fast_transport_says_what_it_cannot_do_where_it_is_made(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        made("openai", transport="fast", **settings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_needs_httpx(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://user:hunter2-hunter2@proxy.example.com:3128")
    with pytest.raises(ValueError, match=f"uses no proxy, and {name} names one: leave transport out") as caught:
        made("openai", transport="fast")
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("MODELWIRE_TRANSPORT", "fast")
    assert type(made("openai").transport) is HttpxTransport
    monkeypatch.setenv("NO_PROXY", "*")
    assert type(made("openai").transport) is FastTransport
    assert type(made("openai", transport="fast").transport) is FastTransport


@pytest.mark.usefixtures("no_proxies")
def test_without_its_parser_the_fast_transport_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("modelwire._transport.fast")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httptools", None)

    with pytest.raises(ImportError, match=re.escape("transport='fast' needs httptools: pip install 'modelwire[fast]'")):
        made("openai", transport="fast")
    with pytest.raises(ImportError, match=re.escape("FastTransport needs httptools: pip install 'modelwire[fast]'")):
        _ = modelwire.fast.FastTransport
    with pytest.raises(AttributeError, match="no attribute 'Slow'"):
        _ = modelwire.fast.Slow


def test_the_fast_transport_does_not_load_httpx() -> None:
    code = (
        "import sys; from modelwire import OpenAIChatCompletionClient as C; C(model='m', api_key='k', transport='fast'); "
        "print({'httpx', 'httpcore', 'h11', 'http.cookiejar', 'trio'} & set(sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "set()"
