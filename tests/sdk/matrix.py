"""Requests of every kind, made by modelwire's own clients: messages x tools x options, whole and streamed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire import (
    AnthropicChatCompletionClient,
    AssistantMessage,
    Audio,
    AzureOpenAIChatCompletionClient,
    BadRequestError,
    CustomTool,
    Document,
    FunctionCall,
    GeminiChatCompletionClient,
    Image,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    Reasoning,
    SystemMessage,
    Text,
    Tool,
    ToolChoice,
    ToolMessage,
    ToolResult,
    UserMessage,
    Video,
)
from modelwire._call import Call, CountCall, PlainCall
from modelwire._option_table import FAMILIES, WIRE
from modelwire.protocols import CountingCodec
from modelwire.types import Refusal
from tests.sdk.recordings import ANTHROPIC, GEMINI, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelwire.client import ProviderClient

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
CITY = {"type": "object", "properties": {"city": {"type": "string", "description": "c"}}, "required": ["city"]}


class Asked(NamedTuple):
    """One request of the matrix."""

    name: str
    dialect: str
    options: tuple[str, ...]
    how: str
    """`whole`, `stream` or `count`."""
    body: dict[str, Any] | None
    """`None` where modelwire refused to write it."""
    refusal: str


# ---------------------------------------------------------------------- who asks


def clients() -> dict[str, ProviderClient]:
    """Clients of each API and of each generation of its models."""
    settings: dict[str, Any] = {"api_key": "k", "transport": _Nowhere()}
    openai, azure, anthropic = (
        OpenAIChatCompletionClient,
        AzureOpenAIChatCompletionClient,
        AnthropicChatCompletionClient,
    )
    endpoint = {"azure_endpoint": "https://r.openai.azure.com"}
    return {
        "openai-chat": openai(model="gpt-4.1", api="chat", **settings),
        "openai-chat-reasoning": openai(model="gpt-5", api="chat", **settings),
        "openai-responses": openai(model="gpt-6-sol", api="responses", **settings),
        "openai-responses-plain": openai(model="gpt-4.1", api="responses", **settings),
        "azure-chat": azure(model="gpt-4.1", api="chat", **endpoint, **settings),
        "azure-responses": azure(model="gpt-6-sol", api="responses", **endpoint, **settings),
        "anthropic": anthropic(model="claude-sonnet-5", **settings),
        "anthropic-sampling": anthropic(model="claude-haiku-4-5", **settings),
        "gemini": GeminiChatCompletionClient(model="gemini-3.8-flash", **settings),
        "gemini-budget": GeminiChatCompletionClient(model="gemini-2.5-flash", **settings),
        "ollama": OllamaChatCompletionClient(model="qwen3", base_url="http://localhost:11434", **settings),
    }


class _Nowhere:
    """A transport for clients that only write."""


# ---------------------------------------------------------------------- what is said


def conversations() -> dict[str, list[Any]]:
    """Messages of every kind, each a conversation that can be answered."""
    call = FunctionCall(id="call_1", name="get_weather", arguments='{"city": "Paris"}')
    other = FunctionCall(id="call_2", name="get_time", arguments="{}")
    asked = UserMessage(content="What is the weather in Paris?")
    result = ToolResult(call_id="call_1", name="get_weather", content="sunny")
    return {
        "text": [UserMessage(content="Hello", source="user")],
        "system": [SystemMessage(content="Be brief."), UserMessage(content=["Hello", Text(text="there")])],
        "systems": [SystemMessage(content="Be brief."), asked, SystemMessage(content="Be kind.")],
        "turns": [asked, AssistantMessage(content="Sunny.", source="weather"), UserMessage(content="And tomorrow?")],
        "images": [UserMessage(content=["What is this?", Image(data=PIXEL, media_type="image/png")])],
        "image-url": [UserMessage(content=["What?", Image(url="https://example.com/a.png", detail="low")])],
        "audio": [UserMessage(content=["What?", Audio(data=WAV, media_type="audio/wav")])],
        "document": [
            UserMessage(content=["What?", Document(data=PDF, media_type="application/pdf", filename="a.pdf")])
        ],
        "document-text": [UserMessage(content=["What?", Document(text="Once upon a time", filename="a.txt")])],
        "document-url": [UserMessage(content=["What?", Document(url="https://example.com/a.pdf")])],
        "video": [UserMessage(content=["What?", Video(url="https://example.com/a.mp4", media_type="video/mp4")])],
        "call": [asked, AssistantMessage(content=[call]), ToolMessage(content=[result])],
        "text-and-call": [
            asked,
            AssistantMessage(content=[Text(text="Let me see."), call]),
            ToolMessage(content=[result]),
        ],
        "calls": [
            asked,
            AssistantMessage(content=[call, other]),
            ToolMessage(
                content=[result, ToolResult(call_id="call_2", name="get_time", content="it broke", is_error=True)]
            ),
            UserMessage(content="So?"),
        ],
        "image-result": [
            asked,
            AssistantMessage(content=[call]),
            ToolMessage(
                content=[
                    ToolResult(
                        call_id="call_1",
                        name="get_weather",
                        content=[Text(text="see"), Image(data=PIXEL, media_type="image/png")],
                    )
                ]
            ),
        ],
        "reasoning": [
            asked,
            AssistantMessage(content=[Reasoning(text="I think"), Text(text="Sunny.")], thought="I thought"),
            UserMessage(content="Sure?"),
        ],
        "refusal": [asked, AssistantMessage(content=[Refusal(text="No.")]), UserMessage(content="Please.")],
    }


# ---------------------------------------------------------------------- with what

WEATHER = Tool(name="get_weather", description="The weather in a city.", parameters=CITY)
TIME = Tool(name="get_time")
OWN: dict[str, dict[str, Any]] = {
    RESPONSES: {"type": "web_search", "search_context_size": "low"},
    ANTHROPIC: {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    GEMINI: {"googleSearch": {}},
}
"""A tool of the provider's own."""


def toolsets(dialect: str) -> dict[str, tuple[list[Any], Any]]:
    """Tools and the choice among them."""
    sets: dict[str, tuple[list[Any], Any]] = {
        "none": ([], "auto"),
        "one": ([WEATHER], "auto"),
        "strict": ([Tool(name="get_weather", parameters=CITY, strict=True), TIME], "auto"),
        "required": ([WEATHER, TIME], "required"),
        "named": ([WEATHER, TIME], "get_time"),
        "forbidden": ([WEATHER], "none"),
        "some": ([WEATHER, TIME], ToolChoice(mode="auto", tools=["get_time"])),
        "free": ([CustomTool(name="sql", description="d", syntax="regex", grammar="SELECT .*")], "auto"),
    }
    if dialect in OWN:
        sets["own"] = ([OWN[dialect], WEATHER], "auto")
    return sets


# ---------------------------------------------------------------------- how


@dataclass
class Place:
    """The form of an answer."""

    name: str
    population: int | None = None


OPTIONS: dict[str, Any] = {
    "max_tokens": 2000,
    "temperature": 0.5,
    "top_p": 0.96,
    "top_k": 5,
    "stop": ["END", "STOP"],
    "seed": 7,
    "options": {"num_ctx": 4096, "mirostat": 1},
    "reasoning_effort": "low",
    "parallel_tool_calls": False,
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "metadata": {"a": "b"},
    # OpenAI
    "logit_bias": {"50256": -100},
    "verbosity": "low",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prediction": {"type": "content", "content": "so"},
    "service_tier": "auto",
    "store": True,
    "safety_identifier": "u",
    "user": "u",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    "prompt_cache_retention": "24h",
    "moderation": {"model": "omni-moderation-latest", "policy": {"input": {"mode": "score"}}},
    "web_search_options": {"search_context_size": "low"},
    "stream_options": {"include_obfuscation": False},
    "instructions": "Be brief.",
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "include": ["web_search_call.results"],
    "reasoning": {"summary": "auto", "context": "current_turn"},
    "max_tool_calls": 2,
    "background": True,
    "background_options": {"completion_window": "2h"},
    "truncation": "auto",
    "context_management": [{"type": "compaction", "compact_threshold": 1000}],
    "prompt": {"id": "pmpt_1", "variables": {"a": "b"}},
    "access_programs": {"cyber": "standard"},
    "image": {"context_compression": "auto"},
    # Anthropic
    "thinking": {"type": "disabled"},
    "cache_control": {"type": "ephemeral", "ttl": "1h"},
    "container": "container_1",
    "diagnostics": {"previous_message_id": "msg_1"},
    "mcp_servers": [{"type": "url", "name": "m", "url": "https://example.com/mcp"}],
    "speed": "fast",
    "inference_geo": "us",
    "output_config": {"effort": "low"},
    "betas": ["files-api-2025-04-14"],
    # Gemini
    "safety_settings": {"HARASSMENT": "BLOCK_NONE"},
    "thinking_config": {"includeThoughts": True},
    "cached_content": "cachedContents/1",
    "response_modalities": ["TEXT"],
    "media_resolution": "low",
    "speech_config": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    "image_config": {"aspectRatio": "1:1"},
    "continuation_token": "AQ==",
    "response_mime_type": "text/x.enum",
    # Ollama
    "think": True,
    "keep_alive": "5m",
    "num_ctx": 8192,
    "truncate": False,
    "shift": False,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "repeat_last_n": 64,
    "typical_p": 0.9,
    "mirostat": 1,
    "mirostat_tau": 5.0,
    "mirostat_eta": 0.1,
    "num_keep": 4,
    "num_batch": 512,
    "num_gpu": 1,
    "main_gpu": 0,
    "num_thread": 4,
    "use_mmap": True,
}
"""A value of every option."""
OF_DIALECT: dict[str, dict[str, Any]] = {
    ANTHROPIC: {
        "metadata": {"user_id": "u"},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    },
    GEMINI: {"service_tier": "flex", "stop": "END"},
    RESPONSES: {"prompt_cache_options": {"mode": "implicit", "ttl": "12h", "prewarm": False}},
}
"""Where a dialect has another form of it."""
NEEDS: dict[str, dict[str, Any]] = {
    "top_logprobs": {"logprobs": True},
    "background_options": {"background": True},
    "audio": {"modalities": ["text", "audio"]},
    "response_mime_type": {"response_format": {"type": "string", "enum": ["piano", "violin"]}},
}
"""What an option cannot do without."""
FORMATS: dict[str, Any] = {
    "any-text": {"type": "text"},
    "any-json": {"type": "json_object"},
    "schema": CITY,
    "loose-schema": {"type": "json_schema", "name": "city", "strict": False, "schema": CITY},
    "dataclass": Place,
}


def option_sets(dialect: str, family: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every option that the client has a word for, each alone; and every form of the answer."""
    for name in WIRE[dialect]:
        if name in FAMILIES[family]:
            value = OF_DIALECT.get(dialect, {}).get(name, OPTIONS[name])
            yield name, {name: value, **NEEDS.get(name, {})}
    for name, wanted in FORMATS.items():
        yield f"format={name}", {"response_format": wanted}


# ---------------------------------------------------------------------- all of it


def matrix() -> Iterator[Asked]:
    """Every conversation with every set of tools, and every option with a plain question, in every way to ask."""
    for who, client in clients().items():
        dialect = client.codec.dialect
        for how in ways(client):
            for what, messages in conversations().items():
                for tools, (given, choice) in toolsets(dialect).items():
                    yield _asked(f"{who}/{how}/{what}/{tools}", client, how, messages, given, choice, {})
            for option, options in option_sets(dialect, client._family):
                given = [WEATHER] if option == "parallel_tool_calls" else []
                messages = conversations()["text"]
                yield _asked(f"{who}/{how}/{option}", client, how, messages, given, "auto", options)


def ways(client: ProviderClient) -> tuple[str, ...]:
    """How a request can be sent. The count of the Gemini API has no type: its SDK does not send the whole request."""
    counts = isinstance(client.codec, CountingCodec) and client.codec.dialect != GEMINI
    return ("whole", "stream", "count") if counts else ("whole", "stream")


def _asked(
    name: str, client: ProviderClient, how: str, messages: Any, tools: Any, choice: Any, options: dict[str, Any]
) -> Asked:
    dialect, names = client.codec.dialect, tuple(options)
    kind = {"whole": PlainCall, "stream": Call, "count": CountCall}[how]
    encode = client.codec.encode_count if how == "count" else None
    try:
        call = client._call(kind, messages, tools, choice, dict(options), stream=how == "stream", encode=encode)
    except BadRequestError as error:
        return Asked(name, dialect, names, how, None, error.message)
    return Asked(name, dialect, names, how, json.loads(call.http.body), "")
