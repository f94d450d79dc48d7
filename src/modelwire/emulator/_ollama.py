"""Answers of Ollama's `/api/chat`: https://github.com/ollama/ollama/blob/main/docs/api.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

from modelwire import errors
from modelwire.emulator._dialect import (
    arguments_object,
    cannot_say,
    encoded,
    given,
    kind_of,
    only_one,
    own_of,
    picked,
    raw_reason,
    words,
)
from modelwire.providers._ollama import OllamaCodec
from modelwire.providers._ollama.encode import ORIGIN
from modelwire.types import FunctionCall, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelwire.emulator._dialect import Asked, Json, Verb
    from modelwire.errors import ModelClientError
    from modelwire.types import ChatRequest, CreateResult, Timing

_REASONS = {"function_calls": "stop", "refusal": "stop", "pause": "stop"}
_OWN = ("remote_model", "remote_host")
_WORDS: dict[type[ModelClientError], str] = {
    errors.ContextLengthError: "the input exceeds the context length: ",
    errors.UnsupportedOptionError: "the model does not support {option}: ",
}
"""The words by which an error is known: it has no codes."""


class Ollama:
    """See `Dialect`."""

    name: ClassVar[str] = "ollama"
    statuses: ClassVar[Mapping[type[ModelClientError], int]] = {}

    def verb(self, path: str) -> Verb | None:
        """Its own path, below any prefix."""
        return "answer" if path.partition("?")[0].endswith("/api/chat") else None

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request."""
        del path
        return OllamaCodec("").decode_request(body)

    def media_type(self, asked: Asked) -> str:
        """JSON lines."""
        del asked
        return "application/x-ndjson"

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer."""
        only_one(result, self.name)
        usage = result.usage
        raw = raw_reason(result, result.provider, ORIGIN)
        return given(
            {
                "model": result.model or f"{asked.request.model}-emulated",
                "created_at": f"1970-01-01T00:00:00.{asked.number:06}Z",
                "message": _message(result),
                "logprobs": msgspec.to_builtins(result.logprobs),
                "done": True,
                "done_reason": raw or _REASONS.get(result.finish_reason, result.finish_reason),
                "prompt_eval_count": usage and usage.prompt_tokens,
                "eval_count": usage and usage.completion_tokens,
                **_durations(result.timing),
                **picked(own_of(result, ORIGIN), _OWN),
            }
        )

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """Lines, each of the shape of a whole answer."""
        del asked
        head = {**picked(answer, ("model", "created_at")), "done": False}
        message: Json = answer["message"]
        role = message["role"]
        lines = [{**head, "message": {"role": role, **delta}} for delta in _deltas(message)]
        if "logprobs" in answer:
            lines.append({**head, "message": {"role": role, "content": ""}, "logprobs": answer["logprobs"]})
        end = {name: value for name, value in answer.items() if name != "logprobs"}
        lines.append({**end, "message": {"role": role, "content": ""}})
        return [encoded(line) + b"\n" for line in lines]

    def count(self, tokens: int) -> Json:
        """There is no such endpoint."""
        raise NotImplementedError

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        option = error.option if isinstance(error, errors.UnsupportedOptionError) else None
        return {"error": _WORDS.get(kind_of(error, status), "").format(option=option) + error.message}

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """An error as a line of the stream."""
        return encoded(self.error(error, status)) + b"\n"


def _message(result: CreateResult) -> Json:
    """The message, which has one place for each kind of part."""
    message: Json = {"role": "assistant", "content": ""}
    for part in result.answer_parts:
        match part:
            case Text() | Refusal():
                message["content"] += part.text
            case Reasoning():
                message["thinking"] = message.get("thinking", "") + part.text
            case FunctionCall(custom=False):
                message.setdefault("tool_calls", []).append(_call(part, len(message.get("tool_calls", ()))))
            case _:
                raise cannot_say(part, Ollama.name)
    return message


def _call(call: FunctionCall, index: int) -> Json:
    own = dict(own_of(call, ORIGIN))
    inner = msgspec.json.decode(own.pop("function", b"{}"), type=dict[str, msgspec.Raw])
    function: Json = {"index": index, "name": call.name, "arguments": arguments_object(call), **inner}
    return {"id": call.id, "function": function, **own}


def _durations(timing: Timing | None) -> Json:
    """Nanoseconds."""
    if timing is None:
        return {}
    seconds = {
        "total_duration": timing.server_total,
        "load_duration": timing.server_load,
        "prompt_eval_duration": timing.server_prompt,
        "eval_duration": timing.server_generation,
    }
    return {name: round(value * 1e9) for name, value in seconds.items() if value is not None}


def _deltas(message: Json) -> Iterator[Json]:
    for name in ("thinking", "content"):
        for piece in words(message.get(name, "")):
            yield {"content": "", name: piece}
    if "tool_calls" in message:
        yield {"content": "", "tool_calls": message["tool_calls"]}
