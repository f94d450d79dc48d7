"""The key that caches and single flights use: equal exactly when the answer could be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from modelwire import (
    AzureOpenAIChatCompletionClient,
    Image,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    SystemMessage,
    UnsupportedOptionError,
    UserMessage,
    connect,
)
from modelwire.client import ProviderClient
from modelwire.providers._openai_chat import ChatCodec, Quirks
from tests.chat_answers import HELLO, streamed, told
from tests.fakes import client_of, scripted

pytestmark = pytest.mark.anyio

TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}


@dataclass
class City:
    name: str


def client(**options: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(**({"model": "gpt-4.1", "api_key": "sk-do-not-show-this"} | options))


async def key(of: Any = None, messages: Any = HELLO, **options: Any) -> bytes:
    found = await (of or client()).request_key(messages, **options)
    assert isinstance(found, bytes)
    return found


async def test_equal_requests_have_equal_keys() -> None:
    again = [UserMessage(content="Hello", source="user")]

    assert await key() == await key(messages=again)
    assert await key(temperature=0.5, seed=1) == await key(messages=again, seed=1, temperature=0.5)
    assert await key(tools=[TOOL]) == await key(messages=again, tools=[dict(TOOL)])
    assert await key(response_format=City) == await key(messages=again, response_format=City)


async def test_different_ways_to_say_the_same_have_equal_keys() -> None:
    nested = {"type": "function", "function": TOOL}

    assert await key(max_tokens=5) == await key(max_completion_tokens=5)
    assert await key(tools=[TOOL]) == await key(tools=[nested])
    assert await key() == await key(messages=[{"role": "user", "name": "user", "content": "Hello"}])
    assert await key(client(temperature=0.5)) == await key(temperature=0.5)
    assert await key(client(temperature=0.5), temperature=None) == await key()
    assert await key(json_output=True) == await key(response_format={"type": "json_object"})


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "sk-another-one-of-mine"},
        {"organization": "org-1", "project": "proj-1"},
        {"timeout": 3, "deadline": 9, "max_retries": 0, "max_connections": 5},
        {"default_headers": {"x-trace": "1"}},
        {"extra_headers": {"x-trace": "1"}},
        {"model_info": {"family": "mine"}},
        {"unsupported": "drop"},
        {"stream_options": {"include_obfuscation": False}},
    ],
    ids=str,
)
async def test_what_does_not_change_the_answer_does_not_change_the_key(settings: dict[str, Any]) -> None:
    assert await key(client(**settings)) == await key()


@pytest.mark.parametrize(
    "options",
    [{"extra_headers": {"x-trace": "1"}}, {"deadline": 5}, {"unsupported": "drop"}, {"seed": None}, {"tools": ()}],
    ids=str,
)
async def test_what_does_not_change_the_answer_of_a_call_does_not_change_its_key(options: dict[str, Any]) -> None:
    assert await key(**options) == await key()


async def test_whatever_changes_the_request_changes_the_key() -> None:
    image = Image(url="https://example.com/a.png")
    keys = [
        await key(),
        await key(client(model="gpt-4.1-mini")),
        await key(client(base_url="https://proxy.example.com/v1")),
        await key(client(base_url="https://proxy.example.com/v2")),
        await key(client(base_url="https://proxy.example.com:444/v1")),
        await key(client(base_url="http://proxy.example.com/v1")),
        await key(messages=[UserMessage(content="Hello!", source="user")]),
        await key(messages=[UserMessage(content="Hello")]),
        await key(messages=[UserMessage(content="Hello", source="other")]),
        await key(messages=[SystemMessage(content="Hello", source="user")]),
        await key(messages=[UserMessage(content=["Hello", image], source="user")]),
        await key(messages=[*HELLO, *HELLO]),
        await key(tools=[TOOL]),
        await key(tools=[TOOL | {"description": "Looks up."}]),
        await key(tools=[TOOL], tool_choice="required"),
        await key(tools=[TOOL], tool_choice="none"),
        await key(response_format=City),
        await key(response_format={"type": "json_object"}),
        *[await key(**{name: value}) for name, value in OPTIONS.items()],
        await key(temperature=0.6),
        await key(extra_body={"unknown": 1}),
        await key(extra_body={"unknown": 2}),
    ]

    assert len(set(keys)) == len(keys)


OPTIONS: dict[str, Any] = {
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["end"],
    "seed": 1,
    "logprobs": True,
    "n": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "metadata": {"a": "b"},
    "logit_bias": {"50256": -100},
    "user": "u",
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "safety_identifier": "s",
}


async def test_a_stream_of_the_same_request_finds_the_same_key() -> None:
    """There is one key for both verbs, so that a stored answer can be given as a stream."""
    transport = scripted(streamed(), told())
    one = client_of(transport)
    before = await key(one)

    _ = [item async for item in one.create_stream(HELLO)]

    assert await key(one) == before
    assert b"stream" not in before


async def test_headers_that_the_codec_marks_change_the_key() -> None:
    def made(*headers: tuple[bytes, bytes]) -> ProviderClient:
        codec = ChatCodec("https://api.example.com/v1/chat/completions", headers=headers)
        return ProviderClient(model="m", codec=codec, family="OpenAIOptions", given={"transport": scripted(told())})

    keys = {await key(made()), await key(made((b"beta", b"a"))), await key(made((b"beta", b"b")))}

    assert len(keys) == 3


async def test_versions_and_betas_that_a_user_asks_for_change_the_key() -> None:
    def azure(version: str) -> AzureOpenAIChatCompletionClient:
        return AzureOpenAIChatCompletionClient(
            model="gpt-4.1", azure_endpoint="https://x.openai.azure.com", api_key="opaque", api_version=version
        )

    keys = [
        await key(),
        await key(client(default_headers={"OpenAI-Beta": "a"})),
        await key(extra_headers={"openai-beta": "b"}),
        await key(client(default_headers={"openai-beta": "a"}), extra_headers={"openai-beta": "c"}),
        await key(client(base_url="https://api.openai.com/v1?api-version=1")),
        await key(azure("2024-10-21")),
        await key(azure("2025-01-01-preview")),
    ]

    assert len(set(keys)) == len(keys)
    assert await key(client(default_headers={"openai-beta": "a"}), extra_headers={"openai-beta": "b"}) == keys[2]


async def test_no_credential_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-from-the-environment")
    headers = {"authorization": "Bearer opaque-0123", "x-api-key": "opaque-4567"}
    keys = [
        await key(client(organization="org-1", default_headers=headers)),
        await key(connect("groq:some-model")),
        await key(client(base_url="https://proxy.example.com/v1?key=opaque-89ab")),
        await key(
            AzureOpenAIChatCompletionClient(
                model="gpt-4.1", azure_endpoint="https://x.openai.azure.com", api_key="opaque-cdef"
            )
        ),
    ]

    for found in keys:
        assert not [secret for secret in (b"sk-", b"gsk-", b"opaque", b"org-1", b"Bearer") if secret in found]


async def test_the_same_model_at_two_providers_has_two_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk-from-the-environment")

    assert await key(connect("groq:m")) != await key(connect("vllm:m"))


async def test_two_kinds_of_servers_at_one_address_have_two_keys() -> None:
    """They read the same body in different ways."""
    one, other = (
        OpenAICompatibleChatCompletionClient(model="m", base_url="http://localhost:8000", preset=Quirks(provider=name))
        for name in ("one", "other")
    )

    assert await key(one) != await key(other)


async def test_an_unusable_request_has_no_key_but_its_error() -> None:
    with pytest.raises(UnsupportedOptionError):
        await key(top_k=3)


async def test_asking_for_a_key_sends_nothing() -> None:
    transport = scripted(told())

    await key(client_of(transport))

    assert transport.requests == []
