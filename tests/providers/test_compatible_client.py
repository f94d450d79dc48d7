"""Clients of OpenAI-compatible servers: presets, their addresses and their keys."""

from __future__ import annotations

from typing import Any

import pytest

from modelwire import (
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    UnsupportedOptionError,
    connect,
)
from modelwire.providers._openai_chat import Quirks
from modelwire.providers.compatible import PRESETS
from tests.chat_answers import HELLO, answer, sent, streamed, told
from tests.fakes import scripted
from tests.server import ScriptedServer

KEYS = sorted({name for preset in PRESETS.values() for name in preset.key_variables})
REMOTE = [name for name, preset in PRESETS.items() if preset.needs_key]
LOCAL = [name for name, preset in PRESETS.items() if not preset.needs_key]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's, but a key of OpenAI's, which is nobody else's business."""
    for name in (*KEYS, "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    return monkeypatch


async def request_of(**options: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a call."""
    transport = scripted(told())
    client = OpenAICompatibleChatCompletionClient(**({"model": "m"} | options), transport=transport)
    await client.create(HELLO)
    (request,) = transport.requests
    return request.url, {name.decode(): value.decode() for name, value in request.headers}, sent(request.body)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.anyio
async def test_a_preset_goes_to_its_server_with_its_key_and_no_other(
    name: str, environment: pytest.MonkeyPatch
) -> None:
    preset = PRESETS[name]
    for variable in KEYS:
        environment.setenv(variable, f"key-of-{variable}")

    url, headers, body = await request_of(preset=name)

    assert url == f"{preset.base_url}/chat/completions"
    assert headers["authorization"] == f"Bearer key-of-{preset.key_variables[0]}"
    assert "openai" not in str(headers).lower()
    assert body["model"] == "m"


@pytest.mark.parametrize("name", REMOTE)
def test_a_missing_key_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"no API key: pass api_key= or set {PRESETS[name].key_variables[0]}"):
        connect(f"{name}:m")


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.anyio
async def test_a_server_on_this_machine_needs_no_key(name: str) -> None:
    url, headers, _ = await request_of(preset=name)

    assert url.startswith("http://localhost:")
    assert "authorization" not in headers


@pytest.mark.anyio
async def test_the_key_of_a_preset_goes_to_its_own_server_alone(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GROQ_API_KEY", "gsk-of-groq")
    cases = {
        "https://proxy.example.com/v1": None,
        "http://api.groq.com/openai/v1": None,
        "https://api.groq.com:8443/openai/v1": None,
        "https://api.groq.com/another/path": "Bearer gsk-of-groq",
    }

    for base_url, key in cases.items():
        for preset in ("groq", None):
            _, headers, _ = await request_of(preset=preset, base_url=base_url)
            assert headers.get("authorization") == key, base_url
        _, headers, _ = await request_of(preset="groq", base_url=base_url, api_key="mine")
        assert headers["authorization"] == "Bearer mine"


@pytest.mark.anyio
async def test_a_passed_address_of_a_presets_server_picks_the_preset() -> None:
    transport = scripted(told())
    client = OpenAICompatibleChatCompletionClient(
        model="m", base_url="https://api.mistral.ai/v1", api_key="mine", transport=transport
    )

    result = await client.create(HELLO, seed=3, max_tokens=5)

    body = sent(transport.requests[0].body)
    assert (result.provider, body["random_seed"], body["max_tokens"]) == ("mistral", 3, 5)


@pytest.mark.anyio
async def test_any_other_address_is_a_typical_server() -> None:
    transport = scripted(told())
    client = OpenAICompatibleChatCompletionClient(model="m", base_url="https://llm.example.com", transport=transport)

    assert (await client.create(HELLO)).provider == "openai-compatible"


@pytest.mark.anyio
async def test_switches_of_ones_own_are_taken() -> None:
    quirks = Quirks(provider="mine", wire={"max_tokens": "limit"}, stream_usage=False)
    transport = scripted(streamed())
    client = OpenAICompatibleChatCompletionClient(
        model="m", base_url="https://llm.example.com", preset=quirks, max_tokens=5, transport=transport
    )

    result = [item async for item in client.create_stream(HELLO)][-1]

    body = sent(transport.requests[0].body)
    assert (result.provider, body["limit"], "stream_options" in body) == ("mine", 5, False)


def test_without_a_preset_or_an_address_there_is_nobody_to_speak_to() -> None:
    with pytest.raises(ValueError, match=r"pass base_url=, or one of the presets: vllm, "):
        OpenAICompatibleChatCompletionClient(model="m")
    with pytest.raises(ValueError, match="pass base_url="):
        OpenAICompatibleChatCompletionClient(model="m", preset=Quirks())


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"preset='acme' is not known; there are vllm, .*groq"):
        OpenAICompatibleChatCompletionClient(model="m", preset="acme")


@pytest.mark.anyio
async def test_a_server_gets_its_own_options_and_spellings() -> None:
    _, _, body = await request_of(
        preset="vllm", top_k=5, min_p=0.1, max_tokens=7, chat_template_kwargs={"enable_thinking": False}
    )

    assert (body["top_k"], body["min_p"], body["max_tokens"]) == (5, 0.1, 7)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.anyio
async def test_what_a_server_answers_with_an_error_is_refused_but_not_its_default(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("GROQ_API_KEY", "gsk-of-groq")

    with pytest.raises(UnsupportedOptionError, match="groq: logprobs is not supported: Groq answers it with an error"):
        await request_of(preset="groq", logprobs=True)

    _, _, body = await request_of(preset="groq", logprobs=False, n=1)
    assert not {"logprobs", "n"} & set(body)


@pytest.mark.anyio
async def test_a_call_on_a_real_socket(server: ScriptedServer) -> None:
    server.add(answer())

    async with connect("vllm:org/model", base_url=f"{server.url}/v1", api_key="mine") as client:
        assert (await client.create(HELLO)).provider == "vllm"

    (request,) = server.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer mine")
    assert sent(request.body)["model"] == "org/model"


@pytest.mark.parametrize(
    ("model", "variable", "url"),
    [
        ("gemini-2.5-flash", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("claude-opus-4-5", "ANTHROPIC_API_KEY", "https://api.anthropic.com/v1/chat/completions"),
    ],
)  # fmt: skip
@pytest.mark.anyio
async def test_others_models_in_openais_client_go_to_their_providers(
    model: str, variable: str, url: str, environment: pytest.MonkeyPatch
) -> None:
    """As in AutoGen's client, and with no key of another's."""
    environment.setenv("OPENAI_API_KEY", "sk-of-openai")
    environment.delenv("OPENAI_BASE_URL", raising=False)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY"):
        environment.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f"no API key: pass api_key= or set {variable}"):
        OpenAIChatCompletionClient(model=model)

    environment.setenv(variable, "key-of-theirs")
    transport = scripted(told())
    client = OpenAIChatCompletionClient(model=model, max_tokens=5, transport=transport)
    await client.create(HELLO)
    elsewhere = OpenAIChatCompletionClient(model=model, base_url="http://localhost:8000/v1", transport=transport)
    await elsewhere.create(HELLO)

    first, second = transport.requests
    assert (first.url, dict(first.headers)[b"authorization"]) == (url, b"Bearer key-of-theirs")
    assert (second.url, b"authorization" in dict(second.headers)) == (
        "http://localhost:8000/v1/chat/completions",
        False,
    )
    assert client.codec.dialect == "openai-chat"
