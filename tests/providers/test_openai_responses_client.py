"""The Responses API in the OpenAI and Azure clients: when it is used, where requests go, and whole calls."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from modelwire import (
    AuthenticationError,
    AzureOpenAIChatCompletionClient,
    CreateResult,
    OpenAIChatCompletionClient,
    QuotaExceededError,
    StreamInterruptedError,
    ToolMessage,
    ToolResult,
    UnsupportedOptionError,
    UserMessage,
)
from tests.fakes import Reply, scripted
from tests.providers.openai_responses_wire import answer, called, completed, created, event, fixture, said
from tests.server import CUT, Answer, ScriptedServer

pytestmark = pytest.mark.anyio

HELLO = [UserMessage(content="Hello")]
JSON = {"content-type": "application/json", "x-request-id": "req_1"}
EVENTS = {"content-type": "text/event-stream"}
TOOL = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
AZURE_VARIABLES = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_AD_TOKEN", "OPENAI_API_VERSION")
CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable of the machine's."""
    for name in (*VARIABLES, *AZURE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def asked_of(kind: Any, call: dict[str, Any], **settings: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    """URL, headers and body of a call; the answer suits either API."""
    both = msgspec.json.encode({**msgspec.json.decode(answer(said("Hi"))), **CHAT})
    transport = scripted(Reply(headers=JSON, body=both))
    await kind(**settings, transport=transport).create(HELLO, **call)
    (request,) = transport.requests
    return request.url, {name.decode(): value.decode() for name, value in request.headers}, json.loads(request.body)


async def openai(call: dict[str, Any] | None = None, **settings: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    given = {"model": "gpt-6-sol", "api_key": "sk-test"} | settings
    return await asked_of(OpenAIChatCompletionClient, call or {}, **given)


async def azure(call: dict[str, Any] | None = None, **settings: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    given = {"azure_endpoint": "https://name.openai.azure.com", "model": "gpt-6-sol", "api_key": "azure-key"} | settings
    return await asked_of(AzureOpenAIChatCompletionClient, call or {}, **given)


def local(server: ScriptedServer, **settings: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(model="m", base_url=f"{server.url}/v1", api="responses", **settings)


# ---------------------------------------------------------------------- which API


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/responses"),
        ({"api": "auto"}, "/responses"),
        ({"model": "gpt-6-sol-2026-09-01"}, "/responses"),
        ({"model": "gpt-5.5-pro"}, "/responses"),
        ({"model": "gpt-4.1"}, "/chat/completions"),
        ({"model": "gpt-audio-1.5"}, "/chat/completions"),
        ({"model": "something-new"}, "/chat/completions"),
        ({"model": "something-new", "model_info": {"reasoning": True}}, "/responses"),
        ({"model": "something-new", "model_info": {"apis": ["responses"]}}, "/responses"),
        ({"model_info": {"reasoning": False}}, "/chat/completions"),
        ({"api": "chat"}, "/chat/completions"),
        ({"api": "responses", "model": "gpt-4.1"}, "/responses"),
    ],
    ids=str,
)
async def test_auto_is_the_responses_api_for_models_that_reason(settings: dict[str, Any], path: str):
    url, _, body = await openai(**settings)

    assert url == f"https://api.openai.com/v1{path}"
    assert body["model"] == settings.get("model", "gpt-6-sol")


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://eu.api.openai.com/v1", "https://eu.api.openai.com/v1/responses"),
        ("https://proxy.example.com/v1", "https://proxy.example.com/v1/chat/completions"),
        ("http://localhost:8080/v1", "http://localhost:8080/v1/chat/completions"),
    ],
)
async def test_auto_is_chat_completions_at_any_other_server(base_url: str, url: str):
    assert (await openai(base_url=base_url))[0] == url


async def test_the_responses_api_of_another_server_is_used_where_it_is_asked_for():
    url, headers, _ = await openai(base_url="http://localhost:8080/v1?tenant=a", api="responses")

    assert url == "http://localhost:8080/v1/responses?tenant=a"
    assert headers["authorization"] == "Bearer sk-test"


@pytest.mark.parametrize("kind", [OpenAIChatCompletionClient, AzureOpenAIChatCompletionClient])
def test_an_unknown_api_is_refused_with_those_that_are_known(kind: Any):
    with pytest.raises(ValueError, match="'auto', 'chat' or 'responses'"):
        kind(model="m", api_key="k", azure_endpoint="https://a.example", api="telex")


async def test_headers_name_the_key_organization_and_project(environment: pytest.MonkeyPatch):
    environment.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    environment.setenv("OPENAI_ORG_ID", "org-1")

    _, headers, _ = await openai(api_key=None, project="proj-1")

    assert headers == {
        "authorization": "Bearer sk-of-the-environment",
        "openai-organization": "org-1",
        "openai-project": "proj-1",
        "content-type": "application/json",
        "accept": "application/json",
    }


# ---------------------------------------------------------------------- options


async def test_portable_options_go_to_their_place():
    _, _, body = await openai(
        {"reasoning_effort": "low", "metadata": {"a": "b"}, "response_format": {"type": "json_object"}}, max_tokens=50
    )

    assert (body["max_output_tokens"], body["reasoning"], body["metadata"]) == (50, {"effort": "low"}, {"a": "b"})
    assert body["text"] == {"format": {"type": "json_object"}}
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])


async def test_a_model_that_does_not_reason_is_not_asked_for_its_reasoning():
    assert "include" not in (await openai(api="responses", model="gpt-4.1"))[2]


@pytest.mark.parametrize(
    ("settings", "option", "other"),
    [
        ({}, {"seed": 1}, "api='chat'"),
        ({}, {"stop": ["x"]}, "api='chat'"),
        ({"api": "chat"}, {"instructions": "Be brief."}, "api='responses'"),
        ({"api": "chat"}, {"previous_response_id": "resp_0"}, "api='responses'"),
        ({"model": "gpt-4.1"}, {"background": True}, "api='responses'"),
    ],
)
async def test_an_option_that_only_the_other_api_has_is_refused_and_names_it(
    settings: dict[str, Any], option: dict[str, Any], other: str
):
    for ask in (openai, azure):
        with pytest.raises(UnsupportedOptionError, match=other) as caught:
            await ask(option, **settings)

        assert [caught.value.option] == list(option)


async def test_tools_that_chat_denies_a_reasoning_model_work_here():
    with pytest.raises(UnsupportedOptionError, match="api='responses'"):
        await openai({"tools": [TOOL]}, api="chat", reasoning_effort="low")

    _, _, body = await openai({"tools": [TOOL]}, reasoning_effort="low")

    assert body["tools"][0]["name"] == "f"


async def test_values_that_say_nothing_are_left_out_silently():
    _, _, body = await openai({"n": 1, "frequency_penalty": 0, "temperature": 1, "logprobs": False, "stop": []})

    assert set(body) == {"model", "input", "store", "include"}


async def test_what_is_dropped_is_listed():
    transport = scripted(Reply(headers=JSON, body=answer(said("Hi"))))
    client = OpenAIChatCompletionClient(model="gpt-6-sol", api_key="k", transport=transport, unsupported="drop")

    result = await client.create(HELLO, seed=1, temperature=0.5)

    assert sorted(result.dropped_options) == ["seed", "temperature"]


# ---------------------------------------------------------------------- Azure


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/openai/v1/responses"),
        ({"api_version": "preview"}, "/openai/v1/responses?api-version=preview"),
        ({"api_version": "2025-04-01-preview"},
         "/openai/deployments/gpt-6-sol/chat/completions?api-version=2025-04-01-preview"),
        ({"api_version": "2025-04-01-preview", "api": "responses"}, "/openai/responses?api-version=2025-04-01-preview"),
        ({"azure_deployment": "mine"}, "/openai/v1/responses"),
        ({"azure_deployment": "mine", "model": None}, "/openai/v1/chat/completions"),
        ({"azure_deployment": "mine", "model": None, "model_info": {"reasoning": True}}, "/openai/v1/responses"),
        ({"model": "gpt-4.1"}, "/openai/v1/chat/completions"),
        ({"api": "chat"}, "/openai/v1/chat/completions"),
        ({"api": "responses", "model": "gpt-4.1"}, "/openai/v1/responses"),
    ],
    ids=str,
)  # fmt: skip
async def test_azure_has_the_responses_api_beside_the_deployments(settings: dict[str, Any], path: str):
    url, headers, body = await azure(**settings)

    assert url == f"https://name.openai.azure.com{path}"
    assert headers["api-key"] == "azure-key"
    assert body["model"] == settings.get("azure_deployment", settings.get("model") or "gpt-6-sol")


@pytest.mark.parametrize(
    ("base_url", "api", "path"),
    [
        ("https://name.services.ai.azure.com/openai/v1/", "auto", "/responses"),
        ("https://gateway.example.com/azure", "auto", "/chat/completions"),
        ("https://gateway.example.com/azure", "responses", "/responses"),
    ],
)
async def test_behind_a_gateway_only_the_v1_path_is_known_for_what_it_is(base_url: str, api: str, path: str):
    url, _, _ = await azure(base_url=base_url, api=api)

    assert url == base_url.rstrip("/") + path


async def test_an_old_version_does_not_have_the_responses_api():
    with pytest.raises(ValueError, match="2025-03-01"):
        await azure(api="responses", api_version="2024-10-21")


async def test_azures_answers_are_azures():
    transport = scripted(Reply(headers=JSON, body=answer({"type": "compaction", "encrypted_content": "x"})))
    client = AzureOpenAIChatCompletionClient(
        model="gpt-6-sol", azure_endpoint="https://name.openai.azure.com", api_key="k", transport=transport
    )

    result = await client.create(HELLO)

    assert (result.provider, result.answer_parts[0].provider) == ("azure", "azure-responses")


# ---------------------------------------------------------------------- whole calls


async def test_a_call_and_its_result_over_http(server: ScriptedServer):
    """The second request holds all that the first answer gave, and the result after it."""
    server.add(Answer(headers=JSON, body=fixture("answer.json")), Answer(headers=JSON, body=answer(said("Done."))))
    async with local(server) as client:
        first = await client.create(HELLO, tools=[TOOL])
        results = [ToolResult(call_id=call.id, content="1") for call in first.tool_calls]
        second = await client.create([*HELLO, first.message, ToolMessage(content=results)], tools=[TOOL])

    assert first.finish_reason == "function_calls"
    assert (first.request_id, first.provider) == ("req_1", "openai-compatible")
    assert (second.text, second.finish_reason) == ("Done.", "stop")
    assert [request.path for request in server.requests] == ["/v1/responses"] * 2
    kinds = [item.get("type") or item["role"] for item in json.loads(server.requests[1].body)["input"]]
    assert kinds == [
        "user", "reasoning", "mcp_list_tools", "message", "web_search_call", "program", "function_call",
        "custom_tool_call", "message", "compaction", "function_call_output", "custom_tool_call_output",
    ]  # fmt: skip
    assert b"gAAA/+==" in server.requests[1].body


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_stream_over_http(server: ScriptedServer, size: int):
    stream = fixture("tool_call.sse")
    server.add(Answer(headers=EVENTS, body=[stream[start : start + size] for start in range(0, len(stream), size)]))

    async with local(server) as client:
        chunks = [chunk async for chunk in client.create_stream(HELLO)]

    assert chunks[:-1] == ["Let me ", "look."]
    result = chunks[-1]
    assert isinstance(result, CreateResult)
    assert (result.finish_reason, result.thought) == ("function_calls", "**Look it up**\n\nThen answer.")
    assert result.answer_parts[0].signature == "gAAA-last"
    request = server.requests[0]
    assert json.loads(request.body)["stream"] is True
    assert request.headers["accept"] == "text/event-stream"


async def test_a_server_that_does_not_stream_gives_its_answer_whole(server: ScriptedServer):
    server.add(Answer(headers=JSON, body=answer(said("Hello"))))

    async with local(server) as client:
        chunks = [chunk async for chunk in client.create_stream(HELLO)]

    assert (chunks[0], chunks[-1].text) == ("Hello", "Hello")


@pytest.mark.parametrize(
    "failure",
    [
        Reply(429, JSON, b'{"error": {"code": "rate_limit_exceeded", "message": "Slow."}}'),
        Reply(200, JSON, answer(status="failed", error={"code": "server_error", "message": "x"})),
    ],
)
async def test_a_failure_that_may_pass_is_tried_again(failure: Reply):
    transport = scripted(failure, Reply(headers=JSON, body=answer(said("Hi"))))
    client = OpenAIChatCompletionClient(
        model="gpt-6-sol", api_key="k", transport=transport, clock=transport.clock, max_retries=1
    )

    result = await client.create(HELLO)

    assert result.text == "Hi"
    assert [attempt.error is None for attempt in result.attempts] == [False, True]


@pytest.mark.parametrize(
    "failure",
    [
        event("error", code="rate_limit_exceeded", message="Slow."),
        event("response.failed", response={"status": "failed", "error": {"code": "server_error", "message": "x"}}),
    ],
)
async def test_a_stream_that_fails_before_its_first_word_is_tried_again(failure: bytes):
    good = Reply(headers=EVENTS, body=[created(), completed(said("Hi"))])
    transport = scripted(Reply(headers=EVENTS, body=[created(), failure]), good)
    client = OpenAIChatCompletionClient(
        model="gpt-6-sol", api_key="k", transport=transport, clock=transport.clock, max_retries=1
    )

    chunks = [chunk async for chunk in client.create_stream(HELLO)]

    assert chunks[-1].text == "Hi"
    assert len(transport.requests) == 2


async def test_a_stream_that_fails_after_it_gives_what_came_and_then_the_error():
    text = event("response.output_text.delta", output_index=0, content_index=0, delta="Hel")
    failure = event("error", error={"code": "insufficient_quota", "message": "Empty."})
    transport = scripted(Reply(headers=EVENTS, body=[created() + text + failure]))
    client = OpenAIChatCompletionClient(model="gpt-6-sol", api_key="k", transport=transport)
    seen: list[Any] = []

    with pytest.raises(QuotaExceededError):  # noqa: PT012
        async for chunk in client.create_stream(HELLO):
            seen.append(chunk)  # noqa: PERF401  # a comprehension would lose what came before the error

    assert seen == ["Hel"]


async def test_a_stream_that_breaks_off_keeps_what_came(server: ScriptedServer):
    text = event("response.output_text.delta", output_index=0, content_index=0, delta="Hel")
    server.add(Answer(headers=EVENTS, body=[created(), text, CUT]))

    async with local(server, max_retries=0) as client:
        with pytest.raises(StreamInterruptedError) as caught:
            [chunk async for chunk in client.create_stream(HELLO)]

    assert caught.value.partial.text == "Hel"


async def test_an_error_answer_says_what_to_check(server: ScriptedServer):
    server.add(Answer(401, JSON, b'{"error": {"code": "invalid_api_key", "message": "Wrong key."}}'))

    async with local(server, api_key="sk-wrong-0123456789") as client:
        with pytest.raises(AuthenticationError, match=r"Wrong key.*check api_key=") as caught:
            await client.create(HELLO)

    assert (caught.value.status_code, caught.value.request_id) == (401, "req_1")
    assert server.requests[0].headers["authorization"] == "Bearer sk-wrong-0123456789"


async def test_structured_output_is_asked_for_and_parsed(server: ScriptedServer):
    class Answered(msgspec.Struct):
        city: str

    server.add(Answer(headers=JSON, body=answer(said('{"city": "Paris"}'))))

    async with local(server) as client:
        result = await client.create(HELLO, response_format=Answered)

    assert result.parse(Answered) == Answered(city="Paris")
    form = json.loads(server.requests[0].body)["text"]["format"]
    assert (form["type"], form["strict"]) == ("json_schema", True)
    assert form["schema"]["additionalProperties"] is False


async def test_messages_may_be_dicts():
    _, _, body = await openai()
    transport = scripted(Reply(headers=JSON, body=answer(called())))
    client = OpenAIChatCompletionClient(model="gpt-6-sol", api_key="k", transport=transport)

    await client.create(
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "Hello"}, {"type": "input_image", "file_id": "file_1"}],
            },
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "a"},
        ]
    )

    assert body["input"] == [{"role": "user", "content": "Hello"}]
    assert json.loads(transport.requests[0].body)["input"] == [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Hello"}, {"type": "input_image", "file_id": "file_1"}],
        },
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "a"},
    ]
