"""What AutoGen's clients are made from and called with is taken, or refused with what to do instead."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import autogen_core.models
import pytest
from pydantic import BaseModel

from modelwire import (
    AnthropicChatCompletionClient,
    AssistantMessage,
    AzureOpenAIChatCompletionClient,
    BadRequestError,
    ChatCompletionClient,
    GeminiChatCompletionClient,
    Image,
    ModelFamily,
    ModelInfo,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    SystemMessage,
    Text,
    UserMessage,
    validate_model_info,
)
from tests.chat_answers import JSON, completion, sent, stream_answer
from tests.fakes import Reply, scripted
from tests.server import Answer

if TYPE_CHECKING:
    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio

MODEL_INFO: ModelInfo = {
    "vision": True,
    "function_calling": True,
    "json_output": True,
    "family": ModelFamily.UNKNOWN,
    "structured_output": True,
}
TOOL_SCHEMA = {"name": "get_stock_price", "parameters": {"type": "object", "properties": {}}}


async def test_every_argument_of_autogens_openai_client(server: ScriptedServer) -> None:
    server.add(stream_answer())
    client = OpenAIChatCompletionClient(
        model="my-model",
        api_key="sk-xxx",
        organization="org-1",
        base_url=f"{server.url}/v1",
        timeout=30.0,
        max_retries=3,
        model_info=MODEL_INFO,
        frequency_penalty=0.1,
        logit_bias={"50256": -100},
        max_tokens=50,
        n=1,
        presence_penalty=0.2,
        response_format={"type": "json_object"},
        seed=7,
        stop=["\n"],
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        user="me",
        reasoning_effort="low",
        default_headers={"x-mine": "1"},
        add_name_prefixes=True,
        include_name_in_message=False,
        stream_options={"include_usage": True},
    )
    async for _ in client.create_stream([UserMessage(content="Hi", source="Ann")], tools=[TOOL_SCHEMA]):
        pass
    await client.close()

    found = sent(server.requests[0].body)
    assert found.pop("tools")
    assert found == {
        "model": "my-model",
        "messages": [{"role": "user", "content": "Ann said:\nHi"}],
        "frequency_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "max_completion_tokens": 50,
        "n": 1,
        "presence_penalty": 0.2,
        "response_format": {"type": "json_object"},
        "seed": 7,
        "stop": ["\n"],
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "user": "me",
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert server.requests[0].headers["x-mine"] == "1"
    assert server.requests[0].headers["openai-organization"] == "org-1"


def made(kind: str, **settings: Any) -> tuple[Any, Any]:
    """A client of this kind with what else it needs, and its transport."""
    transport = scripted(Reply(headers=JSON, body=ANSWERS[kind]))
    own: dict[str, Any] = {
        "openai": {"model": "gpt-4o", "api_key": "k"},
        "responses": {"model": "gpt-4o", "api_key": "k", "api": "responses"},
        "azure": {
            "model": "gpt-4o",
            "azure_deployment": "d",
            "azure_endpoint": "https://x.openai.azure.com",
            "api_key": "k",
        },
        "anthropic": {"model": "claude-3-5-sonnet-20241022", "api_key": "k"},
        "gemini": {"model": "gemini-2.5-flash", "api_key": "k"},
        "ollama": {"model": "llama3.2", "host": "http://localhost:11434"},
        "groq": {"model": "m", "preset": "groq", "api_key": "k"},
    }[kind]
    return KINDS[kind](**own, transport=transport, **settings), transport


ANSWERS: dict[str, bytes] = {
    **dict.fromkeys(("openai", "azure", "groq"), completion()),
    "responses": json.dumps(
        {
            "id": "resp_1",
            "object": "response",
            "status": "completed",
            "output": [
                {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
            ],
        }
    ).encode(),
    "anthropic": json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
    ).encode(),
    "gemini": json.dumps({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}).encode(),
    "ollama": json.dumps(
        {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}
    ).encode(),
}
KINDS: dict[str, Any] = {
    "openai": OpenAIChatCompletionClient,
    "responses": OpenAIChatCompletionClient,
    "azure": AzureOpenAIChatCompletionClient,
    "anthropic": AnthropicChatCompletionClient,
    "gemini": GeminiChatCompletionClient,
    "ollama": OllamaChatCompletionClient,
    "groq": OpenAICompatibleChatCompletionClient,
}
ASKED = [
    SystemMessage(content="Be brief."),
    UserMessage(content="Hello", source="Ann"),
    UserMessage(content=["Look:", Image(data="iVBORw0KGgo=", media_type="image/png")], source="Bob"),
    UserMessage(content=[Image(data="iVBORw0KGgo=", media_type="image/png")], source="Bob"),
    UserMessage(content=[Text(text="Well?")], source="Bob"),
    AssistantMessage(content="Yes.", source="Cid"),
    UserMessage(content="Bye"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_names_are_put_before_the_text_at_every_provider(kind: str) -> None:
    client, transport = made(kind, add_name_prefixes=True)

    await client.create(ASKED)

    text = transport.requests[0].body.decode()
    for piece in ("Ann said:\\nHello", "Bob said:\\nLook:", "Bob said:\\n", "Bob said:\\nWell?"):
        assert piece in text
    assert text.count("said:") == 4
    assert ASKED[1].content == "Hello"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", [False, True, None])
async def test_names_are_sent_beside_the_text_or_not(kind: str, wanted: bool | None) -> None:
    client, transport = made(kind, include_name_in_message=wanted)

    await client.create(ASKED)

    text = transport.requests[0].body.decode()
    named = kind in ("openai", "azure", "groq") and wanted is not False
    assert [name in text for name in ('"Ann"', '"Bob"', '"Cid"')] == [named] * 3


@pytest.mark.parametrize("kind", KINDS)
async def test_model_capabilities_is_model_infos_older_name(kind: str) -> None:
    client, _ = made(kind, model_capabilities={"vision": False, "function_calling": True, "json_output": True})

    assert client.model_info["vision"] is False
    assert client.model_info["family"]
    with pytest.raises(ValueError, match="model_info and model_capabilities are the same setting"):
        made(kind, model_capabilities=MODEL_INFO, model_info=MODEL_INFO)


def test_what_is_said_of_the_model_decides_which_api_is_used() -> None:
    reasons: Any = {**MODEL_INFO, "reasoning": True}
    for name in ("model_info", "model_capabilities"):
        known = OpenAIChatCompletionClient(model="gpt-4o", api_key="k", **{name: reasons})
        assert known.codec.dialect == "openai-responses"


async def test_the_responses_api_is_not_asked_for_usage_in_chats_words(server: ScriptedServer) -> None:
    client = OpenAIChatCompletionClient(
        model="m", api_key="k", base_url=server.url, api="responses", stream_options={"include_usage": True}
    )
    server.add(Answer(headers=JSON, body=ANSWERS["responses"]))

    async for _ in client.create_stream([UserMessage(content="Hi", source="user")]):
        pass
    await client.close()

    assert "stream_options" not in sent(server.requests[0].body)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_happens_always_may_be_asked_for(kind: str) -> None:
    client, transport = made(kind)

    for more in ({}, {"include_usage": True, "max_consecutive_empty_chunk_tolerance": 2}):
        async for _ in client.create_stream(ASKED, **more):
            pass

    first, second = transport.requests
    assert first.body == second.body


async def test_json_output_that_is_not_said_leaves_the_clients_format() -> None:
    """AutoGen's own code passes `json_output=None` in every call."""
    client, transport = made("openai", response_format={"type": "json_object"})

    await client.create(ASKED, json_output=None)
    await client.create(ASKED, json_output=False)

    first, second = (json.loads(request.body) for request in transport.requests)
    assert first["response_format"] == {"type": "json_object"}
    assert "response_format" not in second


@pytest.mark.parametrize(
    "options", [{"num_ctx": 8192, "num_predict": 5, "low_vram": True}, "Options"], ids=["dict", "Options"]
)
async def test_ollamas_options_in_one_mapping(options: Any) -> None:
    class Options(BaseModel):
        num_ctx: int = 8192
        num_predict: int = 5
        low_vram: bool = True
        seed: int | None = None

    given = Options() if options == "Options" else options
    client, transport = made("ollama", options=given, headers={"x-mine": "1"}, temperature=0.5)

    await client.create(ASKED)
    await client.create(ASKED, max_tokens=7, extra_create_args={"keep_alive": "5m"})
    await client.create(ASKED, extra_create_args={"options": {"num_ctx": 1}})

    bodies = [json.loads(request.body) for request in transport.requests]
    assert bodies[0]["options"] == {"num_ctx": 8192, "num_predict": 5, "low_vram": True, "temperature": 0.5}
    assert (bodies[1]["options"]["num_predict"], bodies[1]["keep_alive"]) == (7, "5m")
    assert bodies[2]["options"] == {"num_ctx": 1, "temperature": 0.5}
    assert (b"x-mine", b"1") in transport.requests[0].headers
    with pytest.raises(BadRequestError, match="options is a mapping of the model's settings, not list"):
        await client.create(ASKED, options=[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"tools": [TOOL_SCHEMA]}, r"tools is not an option; it is an argument of each call: create\(messages, tools="),
        ({"tool_choice": "auto"}, "tool_choice is not an option; it is an argument of each call"),
        ({"follow_redirects": True}, "follow_redirects is not an option; redirects are not followed"),
        ({"bedrock_info": {}}, "bedrock_info is not an option; there is no client for it"),
        ({"extra_create_args": {"tools": []}}, "tools is not an option"),
    ],
    ids=str,
)
def test_what_is_not_taken_says_what_to_do(kind: str, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequestError, match=text):
        made(kind, **settings)


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"timeout": 5}, "timeout is a setting of the client, not of a call: .*, or use deadline= here"),
        ({"model": "gpt-5"}, "model is a setting of the client, not of a call"),
        ({"stream": True}, r"stream is not an option; call create_stream\(\) or stream\(\)"),
        ({"functions": []}, "functions is not an option; pass tools= and tool_choice="),
        ({"temprature": 1}, "temprature is not an option; did you mean temperature"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "are the same option"),
    ],
    ids=str,
)
async def test_extra_create_args_are_checked_as_options_are(extra: dict[str, Any], text: str) -> None:
    client, _ = made("openai")

    with pytest.raises(BadRequestError, match=text):
        await client.create(ASKED, extra_create_args=extra)


# ---------------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ("OpenAIChatCompletionClient", OpenAIChatCompletionClient),
        ("autogen_ext.models.openai.OpenAIChatCompletionClient", OpenAIChatCompletionClient),
        ("openai_chat_completion_client", OpenAIChatCompletionClient),
        ("autogen_ext.models.anthropic.AnthropicChatCompletionClient", AnthropicChatCompletionClient),
        ("autogen_ext.models.ollama.OllamaChatCompletionClient", OllamaChatCompletionClient),
        ("modelwire.GeminiChatCompletionClient", GeminiChatCompletionClient),
    ],
)
def test_a_component_is_loaded(provider: str, kind: type) -> None:
    config = {
        "provider": provider,
        "component_type": "model",
        "version": 1,
        "config": {"model": "gpt-4o", "api_key": "sk-xxx", "max_retries": 1},
    }

    assert type(ChatCompletionClient.load_component(config)) is kind
    assert kind.create_from_config(config["config"]).model == "gpt-4o"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("component", "text"),
    [
        ({}, "a component is {'provider'"),
        ({"provider": "OpenAIChatCompletionClient"}, "a component is"),
        ({"provider": "os.system", "config": {}}, "'os.system' is no client that modelwire knows; it knows OpenAI"),
        ({"provider": "AzureOpenAIChatCompletionClient", "config": {}}, "name the deployment"),
    ],
    ids=str,
)
def test_what_is_no_component_is_refused(component: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ChatCompletionClient.load_component(component)


def test_families_are_told_apart() -> None:
    assert ModelFamily.CLAUDE_4_SONNET == "claude-4-sonnet"
    tests = (
        ModelFamily.is_openai,
        ModelFamily.is_claude,
        ModelFamily.is_gemini,
        ModelFamily.is_llama,
        ModelFamily.is_mistral,
    )
    theirs = autogen_core.models.ModelFamily
    for name, family in vars(theirs).items():
        if name.isupper() and isinstance(family, str):
            assert getattr(ModelFamily, name) == family
            assert [test(family) for test in tests] == [getattr(theirs, test.__name__)(family) for test in tests]
    assert not ModelFamily.is_openai("gpt-oss")


def test_a_models_facts_may_be_checked() -> None:
    validate_model_info(MODEL_INFO)
    with pytest.raises(ValueError, match="model_info has no 'structured_output'"):
        validate_model_info({name: True for name in MODEL_INFO if name != "structured_output"})


def test_every_name_of_autogens_models_is_here() -> None:
    """`FinishReasons` is no class there, but a `Literal` for annotations."""
    import modelwire

    assert set(autogen_core.models.__all__) - {"FinishReasons"} <= set(modelwire.__all__)
