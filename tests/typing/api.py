"""What type checkers see of the public API: read by pyright and mypy in strict mode, never run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never, assert_type

import anyio
import autogen_core.tools
import httpx

from modelwire import (
    AssistantMessage,
    AudioDelta,
    AzureOpenAIChatCompletionClient,
    CacheStore,
    CancellationToken,
    ChatCompletionCache,
    ChatCompletionClient,
    ChoiceEnd,
    CitationDelta,
    CreateResult,
    DiskCacheStore,
    EventStream,
    FallbackModelClient,
    Fetched,
    Finish,
    FunctionCall,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    Image,
    InMemoryCacheStore,
    LogprobsDelta,
    Loss,
    Message,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
    Part,
    PartEnd,
    Player,
    ProviderEvent,
    Reasoning,
    ReasoningDelta,
    Recorder,
    RedisCacheStore,
    RefusalDelta,
    ReplayChatCompletionClient,
    RequestUsage,
    RetryPolicy,
    Start,
    StreamEvent,
    SystemMessage,
    Text,
    TextDelta,
    TextStream,
    TokenCount,
    TokenCountingClient,
    ToolCallDelta,
    ToolCallStart,
    ToolMessage,
    Usage,
    UsageUpdate,
    UserMessage,
    connect,
    handover,
    run_tools,
    tool,
)


@dataclass
class City:
    name: str


def messages_take_what_users_have(
    images: list[Image], result: CreateResult, calls: list[FunctionCall]
) -> list[Message]:
    return [
        SystemMessage(content="Be brief."),
        UserMessage(content="Hello", source="user"),
        UserMessage(content=images),
        UserMessage(content=["What is this?", Image.from_file("cat.png")]),
        AssistantMessage(content=result.content, source="assistant"),
        AssistantMessage(content=calls),
        AssistantMessage(content=[Reasoning(text="..."), Text(text="Hi")], thought="..."),
        result.message,
        FunctionExecutionResultMessage(
            content=[FunctionExecutionResult(call_id="1", name="f", content="ok", is_error=False)]
        ),
    ]


def a_result_is_read_by_kind(result: CreateResult) -> None:
    assert_type(result.content, str | list[FunctionCall])
    assert_type(result.text, str)
    assert_type(result.thought, str | None)
    assert_type(result.tool_calls, list[FunctionCall])
    assert_type(result.message, AssistantMessage)
    assert_type(result.usage, Usage | None)
    assert_type(result.parse(City), City)
    assert_type(RequestUsage(prompt_tokens=1, completion_tokens=2) + Usage(prompt_tokens=1, completion_tokens=2), Usage)
    assert_type(Image.from_url("https://example.org/cat.png"), Image)


def tags_narrow(part: Part, message: Message) -> None:
    if part.type == "function_call":
        assert_type(part, FunctionCall)
    if message.role == "tool":
        assert_type(message, ToolMessage)


def a_match_over_events_is_exhaustive(event: StreamEvent) -> str:
    match event:
        case TextDelta() | ReasoningDelta() | RefusalDelta():
            return event.text
        case ToolCallStart():
            return event.name
        case ToolCallDelta():
            return event.arguments
        case Start() | AudioDelta() | CitationDelta() | LogprobsDelta() | PartEnd() | ChoiceEnd():
            return ""
        case UsageUpdate() | ProviderEvent() | Finish():
            return ""
        case _:
            assert_never(event)


async def clients_complete_their_options(messages: list[Message], http_client: httpx.AsyncClient) -> None:
    client = OpenAIChatCompletionClient(
        model="gpt-4.1",
        max_tokens=100,
        temperature=None,
        http_client=http_client,
        retry=RetryPolicy(max_retries=1),
        deadline=3,
    )
    assert_type(await client.create(messages, temperature=0.5, verbosity="low"), CreateResult)
    assert_type(await client.count_tokens_remote(messages, tool_choice="none", verbosity="low"), TokenCount)
    assert_type(client.stream(messages, seed=1), EventStream)
    assert_type(client.create_stream(messages, n=2), TextStream)
    async for item in client.create_stream(messages):
        assert_type(item, str | CreateResult)
    async with client.stream(messages) as events:
        async for event in events:
            a_match_over_events_is_exhaustive(event)
        assert_type(events.result, CreateResult)
    AzureOpenAIChatCompletionClient(
        azure_deployment="d", azure_endpoint="https://r.openai.azure.com", api_key=None, stop=["x"]
    )
    OpenAICompatibleChatCompletionClient(
        model="m", preset="vllm", min_p=0.1, chat_template_kwargs={"enable_thinking": False}
    )
    assert_type(connect("openai:gpt-4.1", temperature=0), ChatCompletionClient)
    converted = await handover(messages, to=client, reasoning="text", fetch=fetches)
    assert_type(converted.messages, list[Message])
    assert_type(converted.losses[0], Loss)


async def fetches(url: str) -> bytes | Fetched:
    return Fetched(url.encode(), "text/plain")


async def clients_go_around_clients(messages: list[Message], client: OpenAIChatCompletionClient) -> None:
    replay = ReplayChatCompletionClient(
        [
            "text",
            CreateResult(finish_reason="stop", content="x"),
            RuntimeError("no"),
            [TextDelta(text="a")],
            answer_later,
        ],
        {"vision": False},
    )
    ReplayChatCompletionClient(lambda messages, options: str(options["tools"]))
    counting = TokenCountingClient(FallbackModelClient(client, replay, when=lambda error: error.status_code == 400))
    assert_type(await counting.create(messages, temperature=0.5), CreateResult)
    assert_type(counting.stream(messages), EventStream)
    assert_type(counting.by_model["gpt-4.1"], Usage)
    OpenAIChatCompletionClient(model="m", transport=Recorder("a.jsonl", transport="httpx", redact=["Ms. Smith"]))
    OpenAIChatCompletionClient(model="m", transport=Player("a.jsonl", speed=1, match="sequential"))


async def answer_later(messages: Sequence[Message], options: dict[str, Any]) -> CreateResult:
    return CreateResult(finish_reason="stop", content=str(options))


async def wrong_options_are_errors(client: OpenAIChatCompletionClient, messages: list[Message]) -> None:
    await client.create(messages, temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await client.create(messages, temprature=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    OpenAIChatCompletionClient(model="m", num_ctx=4096)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class Loose(ChatCompletionClient):
    """The signature that most users write."""

    async def create(self, messages: Any, **kwargs: Any) -> CreateResult:
        return CreateResult(content=str(len(messages)), finish_reason="stop")


@tool
def plain(city: str, days: int = 1) -> str:
    return city * days


@tool(name="other", strict=True)
async def awaited(city: City) -> int:
    return len(city.name)


class Shop:
    @tool
    def price(self, item: str) -> float:
        return len(item) * 1.5


async def tools_keep_their_types(client: ChatCompletionClient, result: CreateResult, shop: Shop) -> None:
    assert_type(plain("Paris", days=2), str)
    assert_type(await awaited(City("Paris")), int)
    assert_type(shop.price("tea"), float)
    assert_type(await run_tools(result, [plain, awaited, shop.price]), ToolMessage)
    assert_type(await run_tools(result.tool_calls, [plain], timeout=3, limiter=anyio.CapacityLimiter(2)), ToolMessage)
    await client.create([], tools=[plain, awaited, shop.price, Shop.price, {"name": "dict"}], tool_choice=plain)
    theirs = autogen_core.tools.FunctionTool(len, description="Theirs.")
    await client.create([], tools=[theirs], tool_choice=theirs)
    token = CancellationToken()
    await client.create([], cancellation_token=token)


class Own(CacheStore):
    """A store in a few lines is complete."""

    async def get(self, key: str) -> bytes | None:
        return key.encode()

    async def set(self, key: str, value: bytes, *, ttl: float | None = None) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def clear(self) -> None: ...


async def a_cache_goes_around_a_client(client: ChatCompletionClient) -> None:
    async with ChatCompletionCache(client, Own(), cache_if=lambda result: not result.tool_calls) as cache:
        assert_type(cache, ChatCompletionCache)
        assert_type(await cache.create([UserMessage(content="Hi")], cache="refresh", ttl=60), CreateResult)
        assert_type(cache.stream([UserMessage(content="Hi")], cache="only"), EventStream)
    stores: list[CacheStore] = [InMemoryCacheStore(), DiskCacheStore("answers"), RedisCacheStore("localhost", 6379)]
    async with stores[0] as store:
        assert_type(await store.get("key"), bytes | None)
