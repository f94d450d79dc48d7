"""A server that answers Chat Completions requests as a model would, for running examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.server import Answer

if TYPE_CHECKING:
    from tests.server import Received

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}


def answer_chat(request: Received) -> Answer:
    """A call where tools are given and not yet used, JSON where a schema is given, text otherwise; streamed if asked."""
    body = json.loads(request.body)
    message = _message(body)
    reason = "tool_calls" if "tool_calls" in message else "stop"
    if body.get("stream"):
        return Answer(headers=EVENTS, body=_events(message, reason))
    choice = {"index": 0, "message": message, "finish_reason": reason}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": body["model"],
        "choices": [choice],
        "usage": USAGE,
    }
    return Answer(headers=JSON, body=json.dumps(whole).encode())


def _message(body: dict[str, Any]) -> dict[str, Any]:
    last = body["messages"][-1]
    if body.get("tools") and last["role"] == "user":
        function = body["tools"][0]["function"]
        arguments = json.dumps(dict.fromkeys(function["parameters"]["properties"], "Paris"))
        call = {"id": "call_1", "type": "function", "function": {"name": function["name"], "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if body.get("response_format", {}).get("type") == "json_schema":
        schema = body["response_format"]["json_schema"]["schema"]
        return {"role": "assistant", "content": json.dumps(dict.fromkeys(schema["properties"], "Paris"))}
    return {"role": "assistant", "content": f"You said: {last['content']}"}


def _events(message: dict[str, Any], reason: str) -> list[bytes]:
    words = (message["content"] or "").split(" ")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word if index == 0 else f" {word}"} for index, word in enumerate(words)]
    chunks: list[dict[str, Any]] = [
        {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    chunks.append({"id": "chatcmpl-1", "model": "m", "choices": [], "usage": USAGE})
    return [*(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"]
