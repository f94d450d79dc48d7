"""Code written for AutoGen works with its imports changed: the snippets are those of its documentation."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import autogen_core
import autogen_core.tools
import PIL.Image
import pytest
from pydantic import BaseModel

from modelwire import (
    AssistantMessage,
    AzureOpenAIChatCompletionClient,
    CancellationToken,
    ChatCompletionClient,
    CreateResult,
    FunctionCall,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    FunctionTool,
    Image,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    OpenAIChatCompletionClient,
    RequestUsage,
    SystemMessage,
    UserMessage,
    run_tools,
)
from tests.chat_answers import JSON, answer, completion, sent, stream_answer
from tests.server import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.server import ScriptedServer

pytestmark = pytest.mark.anyio

MODEL_INFO: ModelInfo = {
    "vision": True,
    "function_calling": True,
    "json_output": True,
    "family": ModelFamily.UNKNOWN,
    "structured_output": True,
}


@pytest.fixture
def model_client(server: ScriptedServer) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model="gpt-4o-2024-08-06", base_url=f"{server.url}/v1", api_key="sk-xxx", model_info=MODEL_INFO
    )


def body(server: ScriptedServer, number: int = 0) -> dict[str, Any]:
    return sent(server.requests[number].body)


CAPITAL = {"role": "user", "content": "What is the capital of France?", "name": "user"}


async def test_create(server: ScriptedServer, model_client: OpenAIChatCompletionClient) -> None:
    server.add(answer("Paris."))

    result = await model_client.create([UserMessage(content="What is the capital of France?", source="user")])
    await model_client.close()

    assert (result.content, result.finish_reason, result.cached, result.logprobs) == ("Paris.", "stop", False, None)
    assert result.thought is None
    assert result.usage == RequestUsage(prompt_tokens=9, completion_tokens=4)
    assert body(server) == {"model": "gpt-4o-2024-08-06", "messages": [CAPITAL]}


async def test_create_stream(server: ScriptedServer, model_client: OpenAIChatCompletionClient) -> None:
    server.add(stream_answer("Once", " upon"))
    messages = [SystemMessage(content="You are a poet."), UserMessage(content="Write a story.", source="user")]

    printed: list[str] = []
    async for chunk in model_client.create_stream(messages=messages):
        if isinstance(chunk, str):
            printed.append(chunk)
        else:
            assert isinstance(chunk, CreateResult)
            assert isinstance(chunk.content, str)
            printed.append(f"[{chunk.content}]")
    await model_client.close()

    assert printed == ["Once", " upon", "[Once upon]"]
    assert body(server)["stream"] is True
    assert body(server)["messages"][0] == {"role": "system", "content": "You are a poet."}


class AgentResponse(BaseModel):
    thoughts: str
    response: Literal["happy", "sad", "neutral"]


@pytest.mark.parametrize("spelling", ["json_output", "response_format", "of the client", "extra_create_args"])
async def test_structured_output(server: ScriptedServer, spelling: str) -> None:
    text = '{"thoughts": "The user is happy.", "response": "happy"}'
    server.add(answer(text))
    defaults = {"response_format": AgentResponse} if spelling == "of the client" else {}
    options = {
        "json_output": {"json_output": AgentResponse},
        "response_format": {"response_format": AgentResponse},
        "of the client": {},
        "extra_create_args": {"extra_create_args": {"response_format": AgentResponse}},
    }[spelling]
    client = OpenAIChatCompletionClient(model="gpt-4o", base_url=server.url, api_key="sk-xxx", **defaults)

    response = await client.create([UserMessage(content="I am happy.", source="user")], **options)
    await client.close()

    assert isinstance(response.content, str)
    assert AgentResponse.model_validate_json(response.content).response == "happy"
    assert response.parse(AgentResponse) == AgentResponse(thoughts="The user is happy.", response="happy")
    form = body(server)["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"]["name"] == "AgentResponse"
    assert set(form["json_schema"]["schema"]["properties"]) == {"thoughts", "response"}


async def test_json_mode(server: ScriptedServer, model_client: OpenAIChatCompletionClient) -> None:
    server.add(answer("{}"), answer("x"))

    await model_client.create([UserMessage(content="As JSON.", source="user")], json_output=True)
    await model_client.create([UserMessage(content="As text.", source="user")], json_output=False)
    await model_client.close()

    assert body(server)["response_format"] == {"type": "json_object"}
    assert "response_format" not in body(server, 1)


TOOL_SCHEMA = {
    "name": "get_stock_price",
    "description": "Fetch the stock price for a given ticker.",
    "parameters": {
        "type": "object",
        "properties": {"ticker": {"description": "ticker", "title": "Ticker", "type": "string"}},
        "required": ["ticker"],
        "additionalProperties": False,
    },
    "strict": False,
}


class LikeTheirs:
    """What AutoGen's tools look like from outside."""

    name = "get_stock_price"
    schema = TOOL_SCHEMA


@pytest.mark.parametrize("tool", [TOOL_SCHEMA, LikeTheirs()], ids=["ToolSchema", "FunctionTool"])
async def test_tool_calls(server: ScriptedServer, model_client: OpenAIChatCompletionClient, tool: Any) -> None:
    function = {"name": "get_stock_price", "arguments": '{"ticker": "AAPL"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    server.add(Answer(headers=JSON, body=completion(None, "tool_calls", tool_calls=[call])), answer("It is 42."))
    user_message = UserMessage(content="What is the stock price of AAPL?", source="user")

    create_result = await model_client.create(messages=[user_message], tools=[tool])

    assert create_result.finish_reason == "function_calls"
    assert create_result.content == [FunctionCall(id="call_1", name="get_stock_price", arguments='{"ticker": "AAPL"}')]
    assert isinstance(create_result.content, list)
    arguments = json.loads(create_result.content[0].arguments)
    exec_result = FunctionExecutionResult(
        call_id=create_result.content[0].id,
        content=f"{arguments['ticker']}: 42",
        is_error=False,
        name="get_stock_price",
    )
    messages = [
        user_message,
        AssistantMessage(content=create_result.content, source="assistant"),
        FunctionExecutionResultMessage(content=[exec_result]),
    ]
    create_result = await model_client.create(messages=messages)
    await model_client.close()

    assert create_result.content == "It is 42."
    (sent_tool,) = body(server)["tools"]
    assert sent_tool["type"] == "function"
    assert sent_tool["function"] == TOOL_SCHEMA
    assert body(server, 1)["messages"] == [
        {"role": "user", "content": "What is the stock price of AAPL?", "name": "user"},
        {"role": "assistant", "tool_calls": [call], "name": "assistant"},
        {"role": "tool", "tool_call_id": "call_1", "content": "AAPL: 42"},
    ]


async def test_a_tool_of_ones_own_from_the_call_to_the_answer(
    server: ScriptedServer, model_client: OpenAIChatCompletionClient
) -> None:
    """The page on tools of AutoGen's guide, with its imports changed."""
    function = {"name": "get_stock_price", "arguments": '{"ticker": "AAPL", "date": "2021/01/01"}'}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    server.add(Answer(headers=JSON, body=completion(None, "tool_calls", tool_calls=calls)), answer("It is 42.5."))
    cancellation_token = CancellationToken()
    stock_price_tool = FunctionTool(get_stock_price, description="Fetch the stock price for a given ticker.")
    user_message = UserMessage(content="What is the stock price of AAPL on 2021/01/01?", source="user")

    create_result = await model_client.create(
        messages=[user_message], tools=[stock_price_tool], cancellation_token=cancellation_token
    )
    assert isinstance(create_result.content, list)
    arguments = json.loads(create_result.content[0].arguments)
    tool_result = await stock_price_tool.run_json(arguments, cancellation_token)
    exec_result = FunctionExecutionResult(
        call_id=create_result.content[0].id,
        content=stock_price_tool.return_value_as_string(tool_result),
        is_error=False,
        name=stock_price_tool.name,
    )
    messages = [
        user_message,
        AssistantMessage(content=create_result.content, source="assistant"),
        FunctionExecutionResultMessage(content=[exec_result]),
    ]
    create_result = await model_client.create(messages=messages, cancellation_token=cancellation_token)
    await model_client.close()

    assert create_result.content == "It is 42.5."
    assert body(server, 1)["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "42.5"}
    sent_tool = body(server)["tools"][0]["function"]
    assert sent_tool["description"] == "Fetch the stock price for a given ticker."
    assert sent_tool["parameters"]["properties"]["date"]["description"] == "Date in YYYY/MM/DD"


async def test_several_results_and_one_that_failed(
    server: ScriptedServer, model_client: OpenAIChatCompletionClient
) -> None:
    server.add(answer())
    calls = [FunctionCall(id=f"call_{number}", arguments="{}", name="look_up") for number in (1, 2)]
    results = [
        FunctionExecutionResult(content="42", call_id="call_1", is_error=False, name="look_up"),
        FunctionExecutionResult(content="no such thing", call_id="call_2", is_error=True, name="look_up"),
    ]

    await model_client.create(
        [
            UserMessage(content="Look up both.", source="user"),
            AssistantMessage(content=calls, source="agent", thought="Both, then."),
            FunctionExecutionResultMessage(content=results),
        ]
    )
    await model_client.close()

    assert body(server)["messages"][2:] == [
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
        {"role": "tool", "tool_call_id": "call_2", "content": "Error: no such thing"},
    ]


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("required", "required"),
        ("none", "none"),
        (LikeTheirs(), {"type": "function", "function": {"name": "get_stock_price"}}),
    ],
    ids=["required", "none", "tool"],
)
async def test_tool_choice(
    server: ScriptedServer, model_client: OpenAIChatCompletionClient, choice: Any, wire: Any
) -> None:
    server.add(answer())

    await model_client.create([UserMessage(content="Hi", source="user")], tools=[TOOL_SCHEMA], tool_choice=choice)
    await model_client.close()

    assert body(server)["tool_choice"] == wire


async def test_extra_create_args(server: ScriptedServer) -> None:
    server.add(answer())
    client = OpenAIChatCompletionClient(
        model="gpt-4o", base_url=server.url, api_key="sk-xxx", temperature=0.2, seed=7, max_tokens=50
    )

    await client.create(
        [UserMessage(content="Hi", source="user")],
        tools=[],
        json_output=None,
        extra_create_args={"temperature": 0.9, "stop": ["\n"], "user": "me", "extra_body": {"top_k": 3}},
    )
    await client.close()

    found = body(server)
    assert (found["temperature"], found["seed"], found["stop"], found["user"]) == (0.9, 7, ["\n"], "me")
    assert (found["max_completion_tokens"], found["top_k"]) == (50, 3)


async def test_a_multimodal_message(
    server: ScriptedServer, model_client: OpenAIChatCompletionClient, tmp_path: Path
) -> None:
    server.add(answer())
    png = b"\x89PNG\r\n\x1a\n" + bytes(16)
    path = tmp_path / "picture.png"
    path.write_bytes(png)

    await model_client.create(
        [UserMessage(content=["Describe this.", Image.from_file(path)], source="user")],
    )
    await model_client.close()

    encoded = base64.b64encode(png).decode()
    assert body(server)["messages"][0]["content"] == [
        {"type": "text", "text": "Describe this."},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
    ]


async def test_a_picture_of_pillows() -> None:
    picture = PIL.Image.new("RGB", (2, 1), "red")

    image = Image.from_pil(picture)

    assert image.media_type == "image/png"
    assert PIL.Image.open(io.BytesIO(image.to_bytes())).getpixel((1, 0)) == (255, 0, 0)


async def test_azure(server: ScriptedServer) -> None:
    server.add(answer("Paris."))

    def token_provider() -> str:
        return "token"

    client = AzureOpenAIChatCompletionClient(
        azure_deployment="my-deployment",
        model="gpt-4o",
        api_version="2024-06-01",
        azure_endpoint=f"{server.url}/",
        azure_ad_token_provider=token_provider,
    )
    result = await client.create([UserMessage(content="What is the capital of France?", source="user")])
    await client.close()

    assert result.content == "Paris."
    (request,) = server.requests
    assert request.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-06-01"
    assert request.headers["authorization"] == "Bearer token"


async def test_usage_and_tokens(server: ScriptedServer, model_client: OpenAIChatCompletionClient) -> None:
    server.add(answer(), stream_answer())
    messages = [UserMessage(content="Hello", source="user")]

    await model_client.create(messages)
    async for _ in model_client.create_stream(messages):
        pass
    await model_client.close()

    assert model_client.actual_usage() == RequestUsage(prompt_tokens=18, completion_tokens=8)
    assert model_client.total_usage().prompt_tokens == 18
    assert model_client.count_tokens(messages, tools=[TOOL_SCHEMA]) > model_client.count_tokens(messages) > 0
    known = OpenAIChatCompletionClient(model="gpt-4o", api_key="sk-xxx")
    assert 120_000 < known.remaining_tokens(messages, tools=[TOOL_SCHEMA]) < 128_000


async def test_model_info(model_client: OpenAIChatCompletionClient) -> None:
    assert model_client.model_info["family"] == ModelFamily.UNKNOWN
    assert model_client.model_info["vision"] is True
    assert model_client.capabilities["function_calling"] is True
    assert ModelInfo(vision=False, function_calling=False, json_output=False, family="r1", structured_output=False)
    assert OpenAIChatCompletionClient(model="gpt-4o", api_key="sk-xxx").model_info["family"] == ModelFamily.GPT_4O


async def test_a_client_in_autogens_style_is_a_client() -> None:
    """With AutoGen's full signatures, and usage as it must be given there."""

    class Parrot(ChatCompletionClient):
        async def create(
            self,
            messages: Sequence[LLMMessage],
            *,
            tools: Sequence[Any] = (),
            tool_choice: Any = "auto",
            json_output: Any = None,
            extra_create_args: Any = None,
            cancellation_token: Any = None,
        ) -> CreateResult:
            said = messages[-1].content
            assert isinstance(said, str)
            usage = RequestUsage(prompt_tokens=1, completion_tokens=1)
            return CreateResult(finish_reason="stop", content=said, usage=usage, cached=False)

        async def create_stream(
            self, messages: Sequence[LLMMessage], **kwargs: Any
        ) -> AsyncIterator[str | CreateResult]:
            result = await self.create(messages)
            yield result.text
            yield result

        async def close(self) -> None:
            pass

        def actual_usage(self) -> RequestUsage:
            return RequestUsage(prompt_tokens=0, completion_tokens=0)

        @property
        def model_info(self) -> ModelInfo:
            return MODEL_INFO

    messages = [UserMessage(content="Polly", source="user")]
    async with Parrot() as parrot:
        assert (await parrot.create(messages)).content == "Polly"
        assert [item async for item in parrot.create_stream(messages)] == ["Polly", await parrot.create(messages)]
        async with parrot.stream(messages) as events:
            assert [event.type async for event in events] == ["start", "text_delta", "finish"]
        assert parrot.total_usage() == RequestUsage(prompt_tokens=0, completion_tokens=0)


# ---------------------------------------------------------------------- AutoGen's own tools


async def get_stock_price(ticker: str, date: Annotated[str, "Date in YYYY/MM/DD"] = "today") -> float:
    return 42.5


class Price(BaseModel):
    amount: float


def get_price(ticker: str, cancellation_token: autogen_core.CancellationToken) -> Price:
    assert not cancellation_token.is_cancelled()
    return Price(amount=42.5)


async def test_autogens_own_tools_are_sent_and_run(
    server: ScriptedServer, model_client: OpenAIChatCompletionClient
) -> None:
    theirs = autogen_core.tools.FunctionTool(get_stock_price, description="The price of a stock.")
    function = {"name": "get_stock_price", "arguments": '{"ticker": "AAPL"}'}
    wrong = {"name": "get_stock_price", "arguments": '{"ticker": 5}'}
    calls = [{"id": str(number), "type": "function", "function": f} for number, f in enumerate((function, wrong))]
    server.add(Answer(headers=JSON, body=completion(None, "tool_calls", tool_calls=calls)))

    result = await model_client.create([UserMessage(content="AAPL?", source="user")], tools=[theirs])
    message = await run_tools(result, [theirs])
    await model_client.close()

    assert body(server)["tools"][0]["function"] == theirs.schema
    right, failed = message.content
    assert right == FunctionExecutionResult(call_id="0", name="get_stock_price", content="42.5")
    assert failed.is_error
    assert "ticker" in str(failed.content)


@pytest.mark.parametrize("function", [get_stock_price, get_price], ids=["async", "sync"])
async def test_our_tools_have_autogens_words(function: Any) -> None:
    """Made with its words, run with its token, and described the same."""
    ours = FunctionTool(function, description="The price of a stock.", name="price")
    theirs = autogen_core.tools.FunctionTool(function, description="The price of a stock.", name="price")

    value = await ours.run_json({"ticker": "AAPL"}, autogen_core.CancellationToken())

    assert ours.return_value_as_string(value) in ("42.5", '{"amount":42.5}')
    assert (ours.name, ours.description) == (theirs.name, theirs.description)
    assert ours.schema["parameters"].get("required") == theirs.schema["parameters"].get("required")
    assert ours.schema["parameters"]["properties"].keys() == theirs.schema["parameters"]["properties"].keys()
