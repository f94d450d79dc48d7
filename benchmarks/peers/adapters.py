"""Each peer as its users write it: the shortest documented code that asks and reads the text.

Loaded by `worker.py` in the peer's own environment, so nothing of modelwire is imported here.
"""

# ruff: noqa: D102  # what the methods do is said once, by `Adapter`
# ruff: noqa: PERF401  # the loops are those that a user writes

from __future__ import annotations

import json
from typing import Any, Protocol

KEY = "sk-benchmark"


class Adapter(Protocol):
    """One library that speaks one wire format."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        """`url` is the address without `/v1`; `body` is the request in the Chat Completions format."""

    async def call(self) -> str:
        """Ask once and wait for the whole answer; returns its text."""
        ...

    async def stream(self) -> str:
        """Ask once, look at each event, and return the text that they add up to."""
        ...


class OpenAI:
    """`openai`, Chat Completions."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1")
        self._body = body

    async def call(self) -> str:
        answer = await self._client.chat.completions.create(**self._body)
        return answer.choices[0].message.content or ""

    async def stream(self) -> str:
        texts: list[str] = []
        options = {"include_usage": True}
        events = await self._client.chat.completions.create(**self._body, stream=True, stream_options=options)
        async for chunk in events:
            for choice in chunk.choices:
                texts.append(choice.delta.content or "")
        return "".join(texts)

    def encode(self) -> bytes:
        """The way of a body inside the SDK up to the bytes."""
        from openai._models import FinalRequestOptions
        from openai._utils import maybe_transform
        from openai.types.chat import completion_create_params

        data = maybe_transform(self._body, completion_create_params.CompletionCreateParamsNonStreaming)
        options = FinalRequestOptions.construct(method="post", url="/chat/completions", json_data=data)
        return self._client._build_request(options).read()  # noqa: SLF001

    def decode(self, body: bytes) -> str:
        """The way of an answer's bytes inside the SDK up to its object."""
        from openai._models import construct_type
        from openai.types.chat import ChatCompletion

        answer: Any = construct_type(type_=ChatCompletion, value=json.loads(body))
        return answer.choices[0].message.content or ""


class OpenAIResponses:
    """`openai`, Responses."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1")
        self._body = {"model": body["model"], "input": body["messages"]}

    async def call(self) -> str:
        return (await self._client.responses.create(**self._body)).output_text

    async def stream(self) -> str:
        texts: list[str] = []
        async for event in await self._client.responses.create(**self._body, stream=True):
            if event.type == "response.output_text.delta":
                texts.append(event.delta)
        return "".join(texts)


class Anthropic:
    """`anthropic`, with the raw stream, which is cheaper than its helper."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from anthropic import AsyncAnthropic

        self._client = AsyncAnthropic(api_key=KEY, base_url=url)
        self._body = {"model": body["model"], "max_tokens": 1024, "messages": body["messages"]}

    async def call(self) -> str:
        return "".join(block.text for block in (await self._client.messages.create(**self._body)).content)

    async def stream(self) -> str:
        texts: list[str] = []
        async for event in await self._client.messages.create(**self._body, stream=True):
            if event.type == "content_block_delta":
                texts.append(event.delta.text)
        return "".join(texts)


class GoogleGenAI:
    """`google-genai`."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from google import genai

        self._client = genai.Client(api_key=KEY, http_options=genai.types.HttpOptions(base_url=url))
        self._model = body["model"]
        self._contents = body["messages"][0]["content"]

    async def call(self) -> str:
        answer = await self._client.aio.models.generate_content(model=self._model, contents=self._contents)
        return answer.text or ""

    async def stream(self) -> str:
        texts: list[str] = []
        models = self._client.aio.models
        async for chunk in await models.generate_content_stream(model=self._model, contents=self._contents):
            texts.append(chunk.text or "")
        return "".join(texts)


class Ollama:
    """`ollama`."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from ollama import AsyncClient

        self._client = AsyncClient(host=url)
        self._body = {"model": body["model"], "messages": body["messages"]}

    async def call(self) -> str:
        return (await self._client.chat(**self._body)).message.content or ""

    async def stream(self) -> str:
        texts: list[str] = []
        async for chunk in await self._client.chat(**self._body, stream=True):
            texts.append(chunk.message.content or "")
        return "".join(texts)


class LiteLLM:
    """`litellm` before OpenAI's Chat Completions."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        import litellm

        litellm.telemetry = False
        self._complete = litellm.acompletion
        self._body = {**body, "model": f"openai/{body['model']}", "api_base": f"{url}/v1", "api_key": KEY}

    async def call(self) -> str:
        return (await self._complete(**self._body)).choices[0].message.content

    async def stream(self) -> str:
        texts: list[str] = []
        async for chunk in await self._complete(**self._body, stream=True):
            for choice in chunk.choices:
                texts.append(choice.delta.content or "")
        return "".join(texts)


class PydanticAI:
    """A model of `pydantic-ai` before OpenAI's Chat Completions, without an agent around it."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from pydantic_ai.messages import ModelRequest, UserPromptPart
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        self._model = OpenAIChatModel(body["model"], provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY))
        content = body["messages"][0]["content"]
        self._asked = ([ModelRequest(parts=[UserPromptPart(content=content)])], None, ModelRequestParameters())

    async def call(self) -> str:
        return "".join(part.content for part in (await self._model.request(*self._asked)).parts)

    async def stream(self) -> str:
        async with self._model.request_stream(*self._asked) as events:
            async for _ in events:
                pass
            return "".join(part.content for part in events.get().parts)


class AutoGen:
    """AutoGen's client before OpenAI's Chat Completions."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        from autogen_core.models import UserMessage
        from autogen_ext.models.openai import OpenAIChatCompletionClient

        self._client = OpenAIChatCompletionClient(model=body["model"], api_key=KEY, base_url=f"{url}/v1")
        self._messages = [UserMessage(content=body["messages"][0]["content"], source="user")]

    async def call(self) -> str:
        return str((await self._client.create(self._messages)).content)

    async def stream(self) -> str:
        texts: list[str] = []
        async for chunk in self._client.create_stream(self._messages):
            if isinstance(chunk, str):
                texts.append(chunk)
        return "".join(texts)


ADAPTERS: dict[str, type[Adapter]] = {
    "openai": OpenAI,
    "openai, responses": OpenAIResponses,
    "anthropic": Anthropic,
    "google-genai": GoogleGenAI,
    "ollama": Ollama,
    "litellm": LiteLLM,
    "pydantic-ai": PydanticAI,
    "autogen": AutoGen,
}
"""By the name in the tables."""
