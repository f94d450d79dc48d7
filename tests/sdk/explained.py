"""What modelwire sends and an SDK's types do not take, or write in another way: each with its reason.

Each function changes a body to what the SDK expects; what is not named here must be accepted as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sdk.recordings import ANTHROPIC, OLLAMA, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]


def sampling(body: Json) -> Json:
    """Claude 4.6 and before take sampling options with anthropic-version 2023-06-01; the SDK dropped both in 1.0."""
    return {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}


def image_detail(body: Json) -> Json:
    """`detail` is required by the type alone: the API's default is `auto`, and recorded requests leave it out."""
    for part in _parts(body):
        if part.get("type") == "input_image":
            part.setdefault("detail", "auto")
    return body


def audio(body: Json) -> Json:
    """The SDK has the type of an audio part (`response_input_audio_param.py`), but left it out of the union of parts."""
    for item in body.get("input", ()):
        if isinstance(item.get("content"), list):
            item["content"] = [part for part in item["content"] if part["type"] != "input_audio"]
    return body


def reasoning_without_id(body: Json) -> Json:
    """Encrypted reasoning counts by its content: the server takes it without an id, as recorded; the type wants one."""
    for item in body.get("input", ()):
        if item.get("type") == "reasoning":
            item.setdefault("id", "rs")
    return body


def answer_without_id(body: Json) -> Json:
    """A refusal that was said elsewhere has no id of the server's; the type wants that of a whole output item."""
    for item in body.get("input", ()):
        if item.get("role") == "assistant" and isinstance(item["content"], list):
            item.update({"type": "message", "id": item.get("id", "msg"), "status": item.get("status", "completed")})
    return body


def ids_of_calls(body: Json) -> Json:
    """Newer servers match results by `tool_call_id`, older ones by order and name; the SDK knows the latter only."""
    for message in body["messages"]:
        message.pop("tool_call_id", None)
        for call in message.get("tool_calls", ()):
            call.pop("id", None)
            call["function"].pop("index", None)
    return body


def empty_content(body: Json) -> Json:
    """The API's own examples send `content: ""` beside calls; the SDK leaves members out that are empty."""
    for message in body["messages"]:
        if message.get("content") == "":
            del message["content"]
    return body


def no_tools(body: Json) -> Json:
    """The SDK sends an empty list where there are no tools."""
    return {"tools": [], **body}


def new_members(body: Json) -> Json:
    """`truncate` and `shift` are in the server's types, not in the SDK's."""
    return {name: value for name, value in body.items() if name not in ("truncate", "shift")}


def schema_keywords(body: Json) -> Json:
    """The SDK's class of a tool keeps few keywords of JSON Schema; which ones a model is shown is left to the server."""
    for tool in body.get("tools", ()):
        parameters = tool["function"].get("parameters", {})
        for name in parameters.keys() - {"type", "$defs", "items", "required", "properties"}:
            del parameters[name]
        for each in parameters.get("properties", {}).values():
            for name in each.keys() - {"type", "items", "description", "enum"}:
                del each[name]
    return body


def _parts(body: Json) -> Iterator[Json]:
    """Parts of messages and of outputs of tools."""
    for item in body.get("input", ()):
        for name in ("content", "output"):
            if isinstance(item.get(name), list):
                yield from item[name]


EXPLAINED: dict[str, list[Callable[[Json], Json]]] = {
    ANTHROPIC: [sampling],
    RESPONSES: [image_detail, audio, reasoning_without_id, answer_without_id],
    OLLAMA: [ids_of_calls, empty_content, no_tools, new_members, schema_keywords],
}
