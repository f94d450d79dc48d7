"""Targets of a handover, conversations with each of them as they come over the wire, and what a valid request is."""

from __future__ import annotations

import base64
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelwire import models
from modelwire._conversion import Conversion
from modelwire.providers._anthropic import AnthropicCodec
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._ollama import OllamaCodec
from modelwire.providers._openai_chat import OPENAI, ChatCodec
from modelwire.providers._openai_responses import ResponsesCodec
from modelwire.providers.azure import QUIRKS as AZURE
from modelwire.providers.compatible import PRESETS
from modelwire.types import ChatRequest, ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.options import ModelInfo
    from modelwire.protocols import Codec
    from modelwire.types import AssistantMessage, Message

    Json = dict[str, Any]

URL = "https://api.example.com/v1"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(24)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n%%EOF").decode()


class Target(NamedTuple):
    """A model and its codec."""

    name: str
    codec: Codec
    model: str
    table: str
    """Provider in whose table the model's facts are."""

    @property
    def info(self) -> ModelInfo:
        return _looked_up(self.table, self.model)

    def take(self, messages: Sequence[Message], **how: Any) -> Conversion:
        """What a handover makes of the messages."""
        conversion = Conversion(self.codec, self.model, self.info, **how)
        conversion.run(messages)
        return conversion

    def wire(self, messages: Sequence[Message], *, check: bool = True) -> Json:
        """The body of a request, read back by the codec, and checked by rules of its own."""
        http = self.codec.encode(ChatRequest(model=self.model, messages=messages), self.info)
        self.codec.decode_request(http.body)
        body = json.loads(http.body)
        if check:
            RULES[self.codec.dialect](body, self)
        return body

    def turns(self, messages: Sequence[Message]) -> list[bytes]:
        """The conversation on the wire, byte for byte, piece by piece."""
        http = self.codec.encode(ChatRequest(model=self.model, messages=messages), self.info)
        members = msgspec.json.decode(http.body, type=dict[str, msgspec.Raw])
        raw = next(members[name] for name in ("messages", "input", "contents") if name in members)
        return [bytes(each) for each in msgspec.json.decode(raw, type=list[msgspec.Raw])]

    def answer(self, name: str = "answer") -> AssistantMessage:
        """What this provider answers, as a message for the history."""
        return self.codec.decode(json.dumps(ANSWERS[self.codec.dialect](self)[name]).encode()).message


@cache
def _looked_up(provider: str, model: str) -> ModelInfo:
    return models.lookup(provider, model)


def chat(name: str, quirks: Any, model: str = "m") -> Target:
    return Target(name, ChatCodec(URL, quirks), model, "openai")


TARGETS = {
    target.name: target
    for target in (
        chat("openai-chat", OPENAI, "gpt-4.1"),
        chat("azure-chat", AZURE, "gpt-4.1"),
        Target("openai-responses", ResponsesCodec(URL), "gpt-6-sol", "openai"),
        Target("azure-responses", ResponsesCodec(URL, "azure"), "gpt-6-sol", "openai"),
        Target("anthropic", AnthropicCodec(URL), "claude-opus-5-5", "anthropic"),
        Target("gemini", GeminiCodec(URL), "gemini-3.8-flash", "gemini"),
        Target("ollama", OllamaCodec(URL), "qwen3", "ollama"),
        *(chat(name, PRESETS[name].quirks) for name in ("mistral", "deepseek", "groq", "openrouter", "vllm")),
    )
}
OLDER = {
    "anthropic-4.5": Target("anthropic-4.5", AnthropicCodec(URL), "claude-haiku-4-5", "anthropic"),
    "gemini-2.5": Target("gemini-2.5", GeminiCodec(URL), "gemini-2.5-flash", "gemini"),
    "unknown-model": Target("unknown-model", AnthropicCodec(URL), "some-model", "anthropic"),
}

# ---------------------------------------------------------------------- what each provider answers


def _chat_answers(target: Target) -> Json:
    quirks = PRESETS[target.name].quirks if target.name in PRESETS else OPENAI
    long = f"call_{target.name.replace('-', '')}_" + "0" * (30 if target.name == "vllm" else 8)
    ids = ("Xy12Zab34", "Cd56Efg78") if target.name == "mistral" else (f"{long}1", f"{long}2")
    calls = [
        {"id": ids[0], "type": "function", "function": {"name": "look", "arguments": '{"at": 1.0}'}},
        {"id": ids[1], "type": "function", "function": {"name": "draw", "arguments": ""}},
    ]
    thought: Json = {}
    content: Any = "I look."
    if quirks.reasoning_field == "content":
        content = [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "I look."},
            {"type": "reference", "reference_ids": [1]},
        ]
    elif quirks.reasoning_field:
        thought = {quirks.reasoning_field: "hm"}
    if target.name == "openrouter":
        details = [{"type": "reasoning.text", "text": "hm", "signature": "c2ln", "format": "anthropic-claude-v1"}]
        thought["reasoning_details"] = details
    cited = {"start_index": 0, "end_index": 4, "title": "Pi", "url": "https://pi.example"}
    annotations = [{"type": "url_citation", "url_citation": cited}]
    return {
        "answer": _chat_answer({"content": content, "tool_calls": calls, **thought}),
        "cited": _chat_answer({"content": "Seen.", "annotations": annotations}),
        "refusal": _chat_answer({"content": None, "refusal": "I will not."} if quirks.refusals else {"content": "No."}),
    }


def _chat_answer(message: Json) -> Json:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [choice]}


def _responses_answers(target: Target) -> Json:
    cited = {"type": "url_citation", "url": "https://pi.example", "title": "Pi", "start_index": 0, "end_index": 4}
    call = {"type": "function_call", "status": "completed"}
    call_id = f"call_{target.name.replace('-', '')}_"
    return {
        "answer": _response(
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "gAAA",
            },
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "pi"},
            },
            _output_message("msg_1", {"type": "output_text", "text": "I look.", "annotations": []}),
            {**call, "id": "fc_1", "call_id": f"{call_id}1", "name": "look", "arguments": '{"at": 1.0}'},
            {**call, "id": "fc_2", "call_id": f"{call_id}2", "name": "draw", "arguments": "{}"},
        ),
        "cited": _response(_output_message("msg_2", {"type": "output_text", "text": "Seen.", "annotations": [cited]})),
        "refusal": _response(_output_message("msg_3", {"type": "refusal", "refusal": "I will not."})),
    }


def _output_message(item_id: str, *content: Json) -> Json:
    return {"type": "message", "id": item_id, "role": "assistant", "status": "completed", "content": list(content)}


def _response(*output: Json) -> Json:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-6-sol", "output": list(output)}


def _anthropic_answers(target: Target) -> Json:
    found = {"type": "web_search_result", "url": "https://pi.example", "title": "Pi", "encrypted_content": "ZW5j"}
    cited = {
        "type": "web_search_result_location",
        "url": "https://pi.example",
        "title": "Pi",
        "encrypted_index": "aQ==",
        "cited_text": "3.14",
    }
    return {
        "answer": _claude(
            target,
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "cmVk"},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "pi"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
            {"type": "text", "text": "I look.", "citations": [cited]},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1.0}},
            {"type": "tool_use", "id": "toolu_2", "name": "draw", "input": {}},
        ),
        "cited": _claude(target, {"type": "text", "text": "Seen.", "citations": [cited]}),
        "refusal": _claude(
            target,
            stop_reason="refusal",
            stop_details={"type": "refusal", "category": "bio", "explanation": "I will not."},
        ),
    }


def _claude(target: Target, *content: Json, **members: Any) -> Json:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": target.model, "content": list(content)}
    return {**message, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}, **members}


def _gemini_answers(_: Target) -> Json:
    return {
        "answer": _candidate(
            {"text": "hm", "thought": True},
            {"executableCode": {"language": "PYTHON", "code": "print(3.14)", "id": "c1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "3.14\n", "id": "c1"}},
            {"text": "I look.", "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "fc1", "name": "look", "args": {"at": 1.0}}, "thoughtSignature": "c2lnMg=="},
            {"functionCall": {"id": "fc2", "name": "draw", "args": {}}},
            {"text": "", "thoughtSignature": "c2lnMw=="},
        ),
        "cited": _candidate({"text": "Seen."}, {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        "refusal": _candidate({"text": "No."}),
    }


def _candidate(*parts: Json) -> Json:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r1"}


def _ollama_answers(_: Target) -> Json:
    calls = [
        {"id": "call_ab12cd34", "function": {"index": 0, "name": "look", "arguments": {"at": 1.0}}},
        {"id": "call_ef56ab78", "function": {"index": 1, "name": "draw", "arguments": {}}},
    ]
    return {
        "answer": _ollama_answer({"content": "I look.", "thinking": "hm", "tool_calls": calls}),
        "cited": _ollama_answer({"content": "Seen."}),
        "refusal": _ollama_answer({"content": "No."}),
    }


def _ollama_answer(message: Json) -> Json:
    return {"model": "qwen3", "message": {"role": "assistant", **message}, "done": True, "done_reason": "stop"}


ANSWERS = {
    "openai-chat": _chat_answers,
    "openai-responses": _responses_answers,
    "anthropic": _anthropic_answers,
    "gemini": _gemini_answers,
    "ollama": _ollama_answers,
}

# ---------------------------------------------------------------------- what a valid request is
# Written from the providers' documentation, not from the codecs.


def _check_chat(body: Json, target: Target) -> None:
    open_calls: list[str] = []
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        assert role in ("system", "developer", "user", "assistant", "tool"), role
        if role == "tool":
            open_calls.remove(message["tool_call_id"])
            assert isinstance(content, str) or {part["type"] for part in content} == {"text"}
            continue
        assert not open_calls, f"no result of {open_calls} before a {role} message"
        if role == "user":
            assert content != []  # empty text is what the user said
            for part in content if isinstance(content, list) else ():
                _check_chat_part(part, target)
        if role == "assistant":
            assert content or {"tool_calls", "refusal", "audio"} & message.keys(), "an assistant's message says nothing"
            open_calls = [call["id"] for call in message.get("tool_calls", ())]
            assert len(set(open_calls)) == len(open_calls)
            for call in message.get("tool_calls", ()):
                _check_chat_call(call, target)
    assert not open_calls, f"no result of {open_calls}"


def _check_chat_part(part: Json, target: Target) -> None:
    kind = part["type"]
    if kind == "image_url":
        assert re.match(r"https?://|data:image/[a-z]+;base64,", part["image_url"]["url"])
    elif kind == "file":
        assert target.name not in ("azure-chat", "groq", "deepseek")
        assert re.fullmatch(r"file-\w+", part["file"].get("file_id", "")) or part["file"]["file_data"].startswith(
            "data:"
        )
    elif kind == "input_audio":
        assert part["input_audio"]["format"] in ("wav", "mp3")
    elif kind in ("video_url", "audio_url"):
        assert target.name in ("vllm", "openrouter")
    else:
        assert kind == "text"


def _check_chat_call(call: Json, target: Target) -> None:
    if target.name == "mistral":
        assert re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"])
    if target.name in ("openai-chat", "azure-chat"):
        assert len(call["id"]) <= 40
    if call["type"] == "custom":
        assert target.name not in ("mistral", "deepseek")
    else:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"])
        assert isinstance(call["function"]["arguments"], str)


def _check_responses(body: Json, _: Target) -> None:
    waiting: set[str] = set()
    before: Json = {}
    for item in body["input"]:
        kind = item.get("type", "message")
        if before.get("type") == "reasoning":
            assert kind not in ("function_call_output", "custom_tool_call_output"), "a reasoning item stands alone"
        if kind in ("function_call", "custom_tool_call"):
            assert 0 < len(item["call_id"]) <= 64
            assert item["call_id"] not in waiting
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", item["name"])
            assert isinstance(item.get("arguments", item.get("input")), str)
            waiting.add(item["call_id"])
        elif kind in ("function_call_output", "custom_tool_call_output"):
            waiting.remove(item["call_id"])
            for part in item["output"] if isinstance(item["output"], list) else ():
                assert part["type"] in ("input_text", "input_image", "input_file")
        elif kind == "reasoning":
            assert item["encrypted_content"]
        elif kind == "message":
            _check_responses_message(item)
            assert item["role"] != "user" or not waiting
        before = item
    assert not waiting, f"no result of {waiting}"


def _check_responses_message(item: Json) -> None:
    allowed = {
        "assistant": {"output_text", "refusal"},
        "user": {"input_text", "input_image", "input_file", "input_audio"},
    }.get(item["role"], {"input_text"})
    if isinstance(item["content"], str):
        return
    assert item["content"]
    for part in item["content"]:
        assert part["type"] in allowed
        assert part["type"] != "output_text" or isinstance(part["annotations"], list)
        if part["type"] == "input_image":
            assert re.match(r"https?://|data:image/[a-z]+;base64,", part.get("image_url", "")) or re.match(
                "file-", part["file_id"]
            )


def _check_anthropic(body: Json, _: Target) -> None:
    messages = body["messages"]
    assert messages[0]["role"] == "user"
    asked: list[str] = []
    seen: set[str] = set()
    for index, message in enumerate(messages):
        role, content = message["role"], message["content"]
        before = messages[index - 1]["role"] if index else None
        after = messages[index + 1]["role"] if index + 1 < len(messages) else "assistant"
        assert role != before
        assert role != "system" or (before == "user" and after == "assistant")
        blocks: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert sorted(answered) == sorted(asked)
        assert [block["type"] for block in blocks[: len(answered)]] == ["tool_result"] * len(answered)
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert not asked or role == "assistant"
        assert not seen & set(asked)
        seen |= set(asked)
        for block in blocks:
            _check_block(block, role)
    assert not asked


def _check_block(block: Json, role: str) -> None:
    match block["type"]:
        case "text":
            assert block["text"].strip()
        case "image" | "document" if role == "user":
            source = block["source"]
            assert source["type"] in ("base64", "url", "file", "text")
            if source["type"] == "base64":
                kinds = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")
                assert source["media_type"] in kinds
            if source["type"] == "file":
                assert source["file_id"].startswith("file_")
        case "tool_use":
            assert re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"])
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", block["name"])
            assert isinstance(block["input"], dict)
        case "tool_result":
            for part in block["content"] if isinstance(block["content"], list) else ():
                assert part["type"] in ("text", "image", "document")
                _check_block(part, "user")
        case "thinking" | "redacted_thinking":
            assert role == "assistant"
            assert block.get("signature") or block["data"]
        case kind:
            assert role == "assistant"
            assert kind in ("server_tool_use", "web_search_tool_result")


def _check_gemini(body: Json, target: Target) -> None:
    contents = body["contents"]
    assert contents[0]["role"] == "user"
    calls: list[Json] = []
    for content in contents:
        role, parts = content["role"], content["parts"]
        assert role in ("user", "model")
        assert parts
        for part in parts:
            data = part.keys() & _GEMINI_DATA
            assert len(data) == 1, part.keys()
        responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
        assert len(responses) == len(calls)
        for call, response in zip(calls, responses, strict=True):
            assert (call["name"], call.get("id")) == (response["name"], response.get("id"))
            assert isinstance(response["response"], dict)
        signed = [part for part in parts if "functionCall" in part]
        calls = [part["functionCall"] for part in signed]
        assert not calls or role == "model"
        assert not calls or "gemini-3" not in target.model or signed[0]["thoughtSignature"]
        for call in calls:
            assert isinstance(call["args"], dict)
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", call["name"])
    assert not calls


_GEMINI_DATA = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
}


def _check_ollama(body: Json, _: Target) -> None:
    calls: list[str] = []
    for message in body["messages"]:
        assert message["role"] in ("system", "user", "assistant", "tool")
        assert isinstance(message["content"], str)
        for image in message.get("images", ()):
            base64.b64decode(image, validate=True)
        if message["role"] == "tool":
            calls.remove(message["tool_name"])
            continue
        assert not calls, f"no result of {calls} before a {message['role']} message"
        calls = [call["function"]["name"] for call in message.get("tool_calls", ())]
        assert all(isinstance(call["function"]["arguments"], dict) for call in message.get("tool_calls", ()))
    assert not calls


RULES = {
    "openai-chat": _check_chat,
    "openai-responses": _check_responses,
    "anthropic": _check_anthropic,
    "gemini": _check_gemini,
    "ollama": _check_ollama,
}


def results_for(message: AssistantMessage, *contents: Any) -> list[ToolResult]:
    """Results of a message's calls, in order."""
    return [
        ToolResult(call_id=call.id, name=call.name, content=content)
        for call, content in zip(message.tool_calls, contents, strict=True)
    ]
