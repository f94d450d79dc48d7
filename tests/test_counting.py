"""Counts of tokens that the providers make themselves, over real sockets."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from modelwire import (
    AnthropicChatCompletionClient,
    AzureOpenAIChatCompletionClient,
    ChatCompletionClient,
    GeminiChatCompletionClient,
    ModelTimeoutError,
    NotFoundError,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    ProtocolError,
    RateLimitError,
    SystemMessage,
    UnsupportedOptionError,
    UserMessage,
)
from modelwire.middleware._wrapper import Wrapper
from modelwire.providers.compatible import OpenAICompatibleChatCompletionClient
from tests.corpus import find_corpus
from tests.server import HOLD, Answer, ScriptedServer

if TYPE_CHECKING:
    from modelwire.client import ProviderClient

pytestmark = pytest.mark.anyio

ASK = [SystemMessage(content="Be brief."), UserMessage(content="What is the weather in Paris?")]
TOOL = {"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOSED = {**SCHEMA, "additionalProperties": False}
JSON = {"content-type": "application/json"}
AGAIN = Answer(429, headers={**JSON, "retry-after-ms": "1"}, body=b'{"error": {"message": "slowly"}}')


def anthropic(server: ScriptedServer, **given: Any) -> ProviderClient:
    return AnthropicChatCompletionClient(
        **{"model": "claude-sonnet-5", "base_url": server.url, "api_key": "k", **given}
    )


def gemini(server: ScriptedServer, **given: Any) -> ProviderClient:
    return GeminiChatCompletionClient(**{"model": "gemini-3.8-flash", "base_url": server.url, "api_key": "k", **given})


def responses(server: ScriptedServer, **given: Any) -> ProviderClient:
    own = {"model": "gpt-6-sol", "base_url": f"{server.url}/v1", "api_key": "k", "api": "responses"}
    return OpenAIChatCompletionClient(**{**own, **given})


def azure(server: ScriptedServer, **given: Any) -> ProviderClient:
    own = {"model": "gpt-6-sol", "azure_deployment": "d", "azure_endpoint": server.url}
    return AzureOpenAIChatCompletionClient(**{**own, "azure_ad_token": "t", **given})


COUNTERS = [anthropic, gemini, responses, azure]
ANSWERS = {
    "anthropic": b'{"input_tokens": 31}',
    "gemini": b'{"totalTokens": 31, "promptTokensDetails": []}',
    "responses": b'{"object": "response.input_tokens", "input_tokens": 31}',
    "azure": b'{"object": "response.input_tokens", "input_tokens": 31}',
}


def counted(make: Any) -> Answer:
    return Answer(headers=JSON, body=ANSWERS[make.__name__])


# ---------------------------------------------------------------------- what is asked


WIRE: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "anthropic": (
        "/v1/messages/count_tokens",
        {"x-api-key": "k", "anthropic-version": "2026-10-21", "anthropic-beta": "b"},
        {
            "model": "claude-sonnet-5",
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
            "tools": [{"name": "weather", "description": "d", "input_schema": TOOL["parameters"]}],
            "tool_choice": {"type": "any"},
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"format": {"type": "json_schema", "schema": CLOSED}},
        },
    ),
    "gemini": (
        "/v1beta/models/gemini-3.8-flash:countTokens",
        {"x-goog-api-key": "k"},
        {
            "generateContentRequest": {
                "model": "models/gemini-3.8-flash",
                "contents": [{"role": "user", "parts": [{"text": "What is the weather in Paris?"}]}],
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "weather", "description": "d", "parametersJsonSchema": TOOL["parameters"]}
                        ]
                    }
                ],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
                "generationConfig": {
                    "maxOutputTokens": 5,
                    "thinkingConfig": {"includeThoughts": True},
                    "responseMimeType": "application/json",
                    "responseJsonSchema": SCHEMA,
                },
            }
        },
    ),
    "responses": (
        "/v1/responses/input_tokens",
        {"authorization": "Bearer k"},
        {
            "model": "gpt-6-sol",
            "input": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the weather in Paris?"},
            ],
            "tools": [
                {
                    "type": "function",
                    "name": "weather",
                    "description": "d",
                    "strict": False,
                    "parameters": TOOL["parameters"],
                }
            ],
            "tool_choice": "required",
            "text": {"format": {"type": "json_schema", "name": "response", "schema": CLOSED, "strict": True}},
            "reasoning": {"summary": "auto"},
        },
    ),
}
WIRE["azure"] = (
    "/openai/v1/responses/input_tokens",
    {"authorization": "Bearer t"},
    {**WIRE["responses"][2], "model": "d"},
)
THINKING: dict[str, dict[str, Any]] = {
    "anthropic": {"thinking": {"type": "adaptive", "display": "summarized"}, "betas": ["b"]},
    "gemini": {"thinking_config": {"includeThoughts": True}},
    "responses": {"reasoning": {"summary": "auto"}},
    "azure": {"reasoning": {"summary": "auto"}},
}


@pytest.mark.parametrize("make", COUNTERS)
async def test_the_endpoint_gets_all_that_changes_the_count_and_nothing_that_it_refuses(
    make: Any, server: ScriptedServer
) -> None:
    server.add(counted(make))
    async with make(server, max_tokens=5) as client:
        count = await client.count_tokens_remote(
            ASK,
            tools=[TOOL],
            tool_choice="required",
            response_format=SCHEMA,
            extra_headers={"x-mine": "1"},
            **THINKING[make.__name__],
        )
    (request,) = server.requests
    path, headers, body = WIRE[make.__name__]

    assert repr(count) == "TokenCount(31, method='provider')"
    assert (request.method, request.path) == ("POST", path)
    assert headers.items() <= request.headers.items()
    assert (request.headers["x-mine"], request.headers["accept"]) == ("1", "application/json")
    assert json.loads(request.body) == body


async def test_vertex_takes_what_it_counts_without_a_request_around_it(server: ScriptedServer) -> None:
    server.add(Answer(headers=JSON, body=ANSWERS["gemini"]))
    base_url = f"{server.url}/v1/projects/p/locations/global/publishers/google"
    async with gemini(server, base_url=base_url, temperature=0.5) as client:
        await client.count_tokens_remote(ASK, tools=[TOOL], safety_settings={"HARASSMENT": "BLOCK_NONE"})
    (request,) = server.requests

    assert request.path == "/v1/projects/p/locations/global/publishers/google/models/gemini-3.8-flash:countTokens"
    assert json.loads(request.body).keys() == {"contents", "systemInstruction", "tools", "generationConfig"}


# ---------------------------------------------------------------------- the way of a call


@pytest.mark.parametrize("make", COUNTERS)
async def test_a_count_has_the_retries_gate_log_and_errors_of_a_call(
    make: Any, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="modelwire")
    attempts: list[int] = []

    async def gate(attempt: int) -> None:
        attempts.append(attempt)

    server.add(AGAIN, counted(make), AGAIN, AGAIN)
    async with make(server, gate=gate, max_retries=1) as client:
        assert await client.count_tokens_remote(ASK) == 31
        with pytest.raises(RateLimitError) as caught:
            await client.count_tokens_remote(ASK)
        used = client.actual_usage()

    assert attempts == [1, 2, 1, 2]
    assert [attempt.status_code for attempt in caught.value.attempts] == [429, 429]
    assert used.total_tokens == 0
    first, second = (record.__dict__["modelwire"] for record in caplog.records if record.name == "modelwire")
    assert (first["counted"], first["attempts"], first["finish_reason"], first["error"]) == (31, 2, None, None)
    assert ("counted" in second, second["error"]) == (False, "RateLimitError")


@pytest.mark.parametrize("make", COUNTERS)
async def test_a_count_keeps_the_deadline(make: Any, server: ScriptedServer) -> None:
    server.add(Answer(before=[HOLD]))
    async with make(server, deadline=20) as client:
        with pytest.raises(ModelTimeoutError, match=r"deadline of 0\.05 s"):
            await client.count_tokens_remote(ASK, deadline=0.05)


async def test_a_stale_token_is_refreshed_once(server: ScriptedServer) -> None:
    tokens = iter(["first", "second"])
    server.add(Answer(401, headers=JSON, body=b'{"error": {"message": "expired"}}'), counted(azure))
    async with azure(server, azure_ad_token=None, azure_ad_token_provider=lambda: next(tokens)) as client:
        assert await client.count_tokens_remote(ASK) == 31

    assert [request.headers["authorization"] for request in server.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("make", COUNTERS)
@pytest.mark.parametrize("body", [b'{"tokens": 1}', b"<html>", b""])
async def test_an_answer_that_is_no_count_is_garbage(make: Any, body: bytes, server: ScriptedServer) -> None:
    server.handler = lambda _: Answer(headers=JSON, body=body)
    async with make(server, retry=None) as client:
        with pytest.raises(ProtocolError):
            await client.count_tokens_remote(ASK)


@pytest.mark.parametrize("make", COUNTERS)
async def test_what_a_call_would_refuse_is_refused_before_anything_is_sent(make: Any, server: ScriptedServer) -> None:
    async with make(server) as client:
        with pytest.raises(UnsupportedOptionError, match="mirostat"):
            await client.count_tokens_remote(ASK, mirostat=1)
        with pytest.raises(UnsupportedOptionError, match="num_ctx"):
            await client.count_tokens_remote(ASK, num_ctx=1)

    assert server.requests == []


async def test_the_text_of_a_prompt_template_cannot_be_counted(server: ScriptedServer) -> None:
    async with responses(server) as client:
        with pytest.raises(UnsupportedOptionError, match="template"):
            await client.count_tokens_remote(ASK, prompt={"id": "p"})

    assert server.requests == []


# ---------------------------------------------------------------------- where nobody counts


class Own(ChatCompletionClient):
    """A user's client."""


def without_endpoint(server: ScriptedServer) -> list[tuple[ChatCompletionClient, str]]:
    url = server.url
    chat: dict[str, Any] = {"model": "m", "api_key": "k", "api": "chat"}
    return [
        (Own(), "Own: there is no provider"),
        (OllamaChatCompletionClient(model="m", base_url=url), "ollama: this API has no endpoint"),
        (OpenAICompatibleChatCompletionClient(model="m", preset="vllm", base_url=url), "vllm: Chat Completions"),
        (OpenAIChatCompletionClient(**chat), "pass api='responses'"),
        (AzureOpenAIChatCompletionClient(**chat, azure_endpoint=url), "pass api='responses'"),
    ]


async def test_without_an_endpoint_there_is_an_error_and_no_estimate(server: ScriptedServer) -> None:
    for client, words in without_endpoint(server):
        for each in (client, Wrapper(client)):
            with pytest.raises(UnsupportedOptionError, match="count_tokens") as caught:
                await each.count_tokens_remote(ASK, tools=[TOOL], temperature=1)
            assert words in str(caught.value)
            assert "count_tokens()" in str(caught.value)
            assert caught.value.option == "count_tokens_remote"
        await client.close()
    assert ("api='responses'" in str(caught.value), server.requests) == (True, [])


async def test_a_server_that_lacks_the_endpoint_says_so_itself(server: ScriptedServer) -> None:
    server.add(Answer(404, body=b"404 page not found"))
    async with anthropic(server) as client:
        with pytest.raises(NotFoundError):
            await client.count_tokens_remote(ASK)


async def test_a_wrapper_asks_the_client_inside(server: ScriptedServer) -> None:
    server.add(counted(anthropic))
    async with anthropic(server) as client:
        count = await Wrapper(Wrapper(client)).count_tokens_remote(ASK, tool_choice="none", tools=[TOOL], speed="fast")
    (request,) = server.requests
    body = json.loads(request.body)

    assert (count, count.method) == (31, "provider")
    assert (body["tool_choice"], body["speed"], len(body["tools"])) == ({"type": "none"}, "fast", 1)


# ---------------------------------------------------------------------- recorded exchanges

RECORDED = {
    "messages-count-tokens": anthropic,
    "countTokens": gemini,
    "responses-input-tokens": responses,
}


def recordings() -> list[Any]:
    root = find_corpus()
    found = [] if root is None else [json.loads(file.read_bytes()) for file in sorted(root.glob("*/*.json"))]
    return [pytest.param(case, id=case["id"]) for case in found if case["api"] in RECORDED]


@pytest.mark.parametrize("case", recordings())
async def test_a_recorded_count_is_asked_for_again(case: dict[str, Any], server: ScriptedServer) -> None:
    make: Any = RECORDED[case["api"]]
    server.add(Answer(case["status"], headers=JSON, body=case["response_body"].encode()))
    recorded = case["request_body"]
    before, _, model = case["url"].partition("/models/")
    url = f"/{before.split('/', 3)[3]}" if model else ""
    async with make(
        server, model=recorded.get("model") or model.partition(":")[0], base_url=f"{server.url}{url}", retry=None
    ) as client:
        request = client.codec.decode_request(json.dumps(recorded).encode())
        given: dict[str, Any] = {"tools": request.tools or (), **(request.options or {}), "unsupported": "drop"}
        if request.tool_choice is not None:
            given["tool_choice"] = request.tool_choice
        if request.response_format is not None:
            given["response_format"] = request.response_format
        if case["status"] == 200:
            count = await client.count_tokens_remote(request.messages, **given)
            answer = json.loads(case["response_body"])
            assert (count, count.method) == (answer.get("input_tokens") or answer["totalTokens"], "provider")
        else:
            with pytest.raises(NotFoundError) as caught:
                await client.count_tokens_remote(request.messages, **given)
            assert len(caught.value.attempts) == 1

    assert server.requests[0].path.rpartition("/v1")[2].partition("/")[2] in case["url"]


def test_the_recorded_counts_are_all_here() -> None:
    if not recordings():
        pytest.skip("no corpus of recorded exchanges here: set MODELWIRE_CORPUS to its folder")

    assert len(recordings()) == 11
