"""httpx by hand: as one writes it in five lines, and as fast as its public interface can be driven."""

# ruff: noqa: D102  # what the methods do is said once, by `Caller` and `Streamer`
# ruff: noqa: PERF401  # the loops are those that a user writes

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx

from benchmarks import wire

if TYPE_CHECKING:
    from benchmarks.work import Work

_HEADERS = {"authorization": "Bearer sk-benchmark"}


class HttpxJson:
    """`client.post(url, json=...)` and `response.json()`."""

    name = "httpx, json"

    def __init__(self, server: str, case: str, work: Work) -> None:
        self._url = f"{server}/{case}/v1/chat/completions"
        self._body = work.body
        self._streamed_body = work.streamed_body
        self._client = httpx.AsyncClient(headers=_HEADERS)

    async def call(self) -> str:
        response = await self._client.post(self._url, json=self._body)
        response.raise_for_status()
        return response.json()["choices"][0]["message"]["content"]

    async def stream(self) -> str:
        texts: list[str] = []
        async with self._client.stream("POST", self._url, json=self._streamed_body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    for choice in json.loads(line[6:])["choices"]:
                        texts.append(choice["delta"].get("content") or "")
        return "".join(texts)

    async def aclose(self) -> None:
        await self._client.aclose()


class HttpxPrepared:
    """`client.send` of a ready `Request`, raw bytes, and structs: nothing is merged, looked up or decoded twice."""

    name = "httpx, prepared"

    def __init__(self, server: str, case: str, work: Work) -> None:
        self._client = httpx.AsyncClient(headers=_HEADERS)
        self._url = httpx.URL(f"{server}/{case}/v1/chat/completions")
        self._wire = work.wire
        self._streamed_wire = work.streamed_wire
        self._head = [
            (b"host", self._url.netloc),
            *self._client.headers.raw,
            (b"content-type", b"application/json"),
        ]
        self._timeout = {"timeout": {"connect": 5.0, "read": 600.0, "write": 60.0, "pool": 5.0}}

    async def _send(self, body: bytes) -> httpx.Response:
        request = httpx.Request(
            "POST",
            self._url,
            headers=[*self._head, (b"content-length", b"%d" % len(body))],
            stream=httpx.ByteStream(body),
            extensions=self._timeout,
        )
        response = await self._client.send(request, stream=True)
        response.raise_for_status()
        return response

    async def call(self) -> str:
        response = await self._send(wire.encode(self._wire))
        try:
            body = b"".join([piece async for piece in response.aiter_raw()])
        finally:
            await response.aclose()
        return wire.text_of(wire.decode_answer(body))

    async def stream(self) -> str:
        response = await self._send(wire.encode(self._streamed_wire))
        frames = wire.Frames()
        texts: list[str] = []
        try:
            async for piece in response.aiter_raw():
                texts += [wire.delta_of(chunk) for chunk in frames.feed(piece)]
        finally:
            await response.aclose()
        return "".join(texts)

    async def aclose(self) -> None:
        await self._client.aclose()
