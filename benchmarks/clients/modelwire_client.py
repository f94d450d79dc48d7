"""modelwire itself: over httpx, over its fast transport, and over no network at all, which shows what is its own."""

# ruff: noqa: D102  # what the methods do is said once, by `Caller` and `Streamer`
# ruff: noqa: PERF401  # the loops are those that a user writes

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from benchmarks.answers import ANSWERS
from modelwire import CreateResult, OpenAICompatibleChatCompletionClient, TextDelta
from modelwire.protocols import HttpResponse

if TYPE_CHECKING:
    from benchmarks.answers import Answer
    from benchmarks.work import Work
    from modelwire.protocols import HttpRequest, Timeouts


class ModelwireEvents:
    """The client as users have it."""

    name = "modelwire"

    def __init__(self, server: str, case: str, work: Work) -> None:
        self._messages = work.request.messages
        self._tools = work.request.tools or ()
        self._client = OpenAICompatibleChatCompletionClient(
            model=work.request.model, api_key="sk-benchmark", base_url=f"{server}/{case}/v1", **self._settings(case)
        )

    def _settings(self, case: str) -> dict[str, Any]:
        del case
        return {}

    async def call(self) -> str:
        result = await self._client.create(self._messages, tools=self._tools)
        return result.text

    async def stream(self) -> str:
        texts: list[str] = []
        async with self._client.stream(self._messages, tools=self._tools) as events:
            async for event in events:
                if type(event) is TextDelta:
                    texts.append(event.text)
        return "".join(texts)

    async def aclose(self) -> None:
        await self._client.close()


class ModelwireFast(ModelwireEvents):
    """The same with `transport="fast"`."""

    name = "modelwire, fast"

    def _settings(self, case: str) -> dict[str, Any]:
        del case
        return {"transport": "fast", "max_connections": 4000}


class ModelwireText(ModelwireEvents):
    """The same through `create_stream`."""

    name = "modelwire create_stream"

    async def stream(self) -> str:
        texts: list[str] = []
        async with self._client.create_stream(self._messages, tools=self._tools) as chunks:
            async for chunk in chunks:
                if not isinstance(chunk, CreateResult):
                    texts.append(chunk)
        return "".join(texts)


class ModelwireInMemory(ModelwireEvents):
    """The same without HTTP: the answer is in memory."""

    name = "modelwire without HTTP"

    def _settings(self, case: str) -> dict[str, Any]:
        return {"transport": _Memory(ANSWERS[case])}


class ModelwireTextInMemory(ModelwireInMemory, ModelwireText):
    """The same through `create_stream`."""

    name = "modelwire create_stream without HTTP"


class _Memory:
    """Implements `modelwire.protocols.Transport` with one answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        head, _, _ = answer.wire()[0].partition(b"\r\n\r\n")
        lines = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
        self._headers = {name: value for name, _, value in lines}

    async def send(self, request: HttpRequest, timeouts: Timeouts) -> HttpResponse:
        del request, timeouts
        return HttpResponse(200, self._headers, self._answer.body)

    async def stream(self, request: HttpRequest, timeouts: Timeouts) -> _MemoryStream:
        del request, timeouts
        return _MemoryStream(self._headers, self._answer)

    async def aclose(self) -> None:
        """Nothing to close."""


class _MemoryStream:
    """Implements `modelwire.protocols.HttpStream`."""

    status = 200

    def __init__(self, headers: dict[bytes, bytes], answer: Answer) -> None:
        self.headers = headers
        self._pieces = iter(answer.pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        return b"".join(self._pieces)

    async def drain(self, grace: float) -> None:
        del grace

    async def aclose(self) -> None:
        """Nothing to give back."""

    def abandon(self) -> None:
        """Nothing to give back."""
