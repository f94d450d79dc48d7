"""What is asked: the same request as modelwire's messages, as a dict, and as structs of the wire."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import msgspec

from benchmarks import wire
from benchmarks.answers import words
from modelwire import (
    AssistantMessage,
    ChatRequest,
    FunctionCall,
    Image,
    Message,
    OpenAICompatibleChatCompletionClient,
    SystemMessage,
    Tool,
    ToolMessage,
    ToolResult,
    UserMessage,
)

MODEL = "gpt-4.1"


class Work(NamedTuple):
    """One request."""

    title: str
    request: ChatRequest
    body: dict[str, Any]
    wire: wire.Request

    @property
    def streamed_body(self) -> dict[str, Any]:
        """The same for an answer that is streamed."""
        return {**self.body, "stream": True, "stream_options": {"include_usage": True}}

    @property
    def streamed_wire(self) -> wire.Request:
        """The same for an answer that is streamed."""
        return msgspec.structs.replace(self.wire, stream=True, stream_options=wire.StreamOptions(include_usage=True))


def _work(title: str, messages: list[Message], tools: list[Tool] | None = None) -> Work:
    client = OpenAICompatibleChatCompletionClient(model=MODEL, base_url="http://127.0.0.1:1/v1")
    request = ChatRequest(model=MODEL, messages=messages, tools=tools)
    encoded = client.codec.encode(request, client.model_info).body
    typed = msgspec.json.decode(encoded, type=wire.Request)
    body = json.loads(encoded)
    if json.loads(wire.encode(typed)) != body:
        raise AssertionError("the structs of wire.py do not hold all of this request: the comparison would not be fair")
    return Work(f"{title} ({len(encoded) / 1000:.{0 if len(encoded) > 9999 else 1}f} kB)", request, body, typed)


def question() -> Work:
    """The shortest request."""
    return _work("1 message", [UserMessage(content="What does one event of a stream cost?")])


def conversation() -> Work:
    """An agent's conversation: 50 messages, a third of them around calls of 10 tools."""
    messages: list[Message] = [SystemMessage(content=_text(120))]
    for turn in range(12):
        call = FunctionCall(
            id=f"call_{turn:024x}", name=f"tool_{turn % 10}", arguments='{"path": "src/a.py", "line": 7}'
        )
        messages += [
            UserMessage(content=_text(60)),
            AssistantMessage(content=[call]),
            ToolMessage(content=[ToolResult(call_id=call.id, content=_text(200))]),
            AssistantMessage(content=_text(90)),
        ]
    messages.append(UserMessage(content=_text(40)))
    return _work("50 messages, 10 tools", messages, [_tool(number) for number in range(10)])


def picture() -> Work:
    """An image of 1 MB in base64."""
    data = base64.b64encode(bytes(range(256)) * 3072)[:1_000_000].decode()
    image = Image.from_base64(data, media_type="image/png")
    return _work("1 MB image", [UserMessage(content=["What is this?", image])])


def _text(count: int) -> str:
    return "".join(words(count))


def _tool(number: int) -> Tool:
    properties = {
        name: {"type": "string", "description": f"The {name} that the tool works on, relative to the project."}
        for name in ("path", "pattern", "encoding")
    }
    parameters = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
    return Tool(name=f"tool_{number}", description=_text(30), parameters=parameters)
