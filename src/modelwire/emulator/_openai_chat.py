"""Answers of OpenAI's Chat Completions, and of the servers that imitate it.

https://platform.openai.com/docs/api-reference/chat/object and https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from modelwire import errors
from modelwire.emulator._dialect import (
    EVENT_STREAM,
    cannot_say,
    event,
    fragments,
    given,
    kind_of,
    own_of,
    picked,
    words,
)
from modelwire.providers._openai_chat import OPENAI, ChatCodec
from modelwire.providers._openai_chat.wire import CHOICE_KEPT, KEPT
from modelwire.providers.compatible import PRESETS
from modelwire.types import Audio, FunctionCall, Image, ProviderPart, Reasoning, Refusal, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelwire.emulator._dialect import Asked, Json, Verb
    from modelwire.errors import ModelClientError
    from modelwire.providers._openai_chat import Quirks
    from modelwire.types import ChatRequest, Choice, Citation, CreateResult, Part, TokenLogprob, Usage

_REASONS = {"function_calls": "tool_calls", "refusal": "stop", "pause": "stop"}
CODES: dict[type[ModelClientError], tuple[str, str]] = {
    errors.AuthenticationError: ("invalid_request_error", "invalid_api_key"),
    errors.PermissionDeniedError: ("invalid_request_error", "unsupported_country_region_territory"),
    errors.NotFoundError: ("invalid_request_error", "model_not_found"),
    errors.ModelTimeoutError: ("timeout", "timeout"),
    errors.QuotaExceededError: ("insufficient_quota", "insufficient_quota"),
    errors.RateLimitError: ("rate_limit_error", "rate_limit_exceeded"),
    errors.OverloadedError: ("overloaded_error", "service_unavailable"),
    errors.ServerError: ("server_error", "server_error"),
    errors.ContextLengthError: ("invalid_request_error", "context_length_exceeded"),
    errors.UnsupportedOptionError: ("invalid_request_error", "unsupported_parameter"),
    errors.ContentFilterError: ("invalid_request_error", "content_filter"),
    errors.BadRequestError: ("invalid_request_error", "invalid_value"),
}
"""`type` and `code` by the kind of error: https://platform.openai.com/docs/guides/error-codes."""


class OpenAIChat:
    """See `Dialect`. What only one server has comes under that server's name: the result's `provider`."""

    name: ClassVar[str] = "openai-chat"
    statuses: ClassVar[Mapping[type[ModelClientError], int]] = {}

    def verb(self, path: str) -> Verb | None:
        """Any path to it, such as those of Azure."""
        return "answer" if path.partition("?")[0].endswith("/chat/completions") else None

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request."""
        del path
        return ChatCodec("").decode_request(body)

    def media_type(self, asked: Asked) -> str:
        """Events."""
        del asked
        return EVENT_STREAM

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer."""
        provider = result.provider or "openai"
        own = own_of(result, provider)
        choices = [
            _choice(0, result, result.answer_parts, provider) | picked(own, CHOICE_KEPT),
            *(_choice(other.index, other, other.parts, provider) for other in result.alternatives or ()),
        ]
        return given(
            {
                "id": result.id or f"chatcmpl-emulated-{asked.number}",
                "object": "chat.completion",
                "created": 0,
                "model": result.model or f"{asked.request.model}-emulated",
                "choices": choices,
                "usage": None if result.usage is None else _usage(result.usage, provider),
                **picked(own, KEPT),
            }
        )

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """Chunks; usage only where it is asked for, as in `stream_options`."""
        head = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
        head["object"] = "chat.completion.chunk"
        chunks = [event({**head, "choices": [choice]}) for whole in answer["choices"] for choice in _chunks(whole)]
        if "usage" in answer and _wants_usage(asked.body):
            chunks.append(event({**head, "choices": [], "usage": answer["usage"]}))
        return [*chunks, b"data: [DONE]\n\n"]

    def count(self, tokens: int) -> Json:
        """There is no such endpoint."""
        raise NotImplementedError

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        return {"error": told(error, status)}

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """An error inside a stream, as compatible servers send it."""
        return event(self.error(error, status))


def told(error: ModelClientError, status: int) -> Json:
    """What both of OpenAI's APIs say of an error."""
    kind, code = CODES[kind_of(error, status)]
    param = error.option if isinstance(error, errors.UnsupportedOptionError) else None
    return {"message": error.message, "type": kind, "param": param, "code": error.code or code}


def _wants_usage(body: bytes) -> bool:
    options = msgspec.json.decode(body, type=dict[str, Any]).get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


# ---------------------------------------------------------------------- one choice


def _choice(index: int, result: CreateResult | Choice, parts: list[Part], provider: str) -> Json:
    return {
        "index": index,
        "message": _message(parts, provider),
        "logprobs": {"content": _logprobs(result.logprobs), "refusal": None} if result.logprobs else None,
        "finish_reason": result.raw_finish_reason or _REASONS.get(result.finish_reason, result.finish_reason),
    }


def _logprobs(tokens: list[TokenLogprob]) -> list[Json]:
    return [{**msgspec.to_builtins(token), "top_logprobs": token.top_logprobs or []} for token in tokens]


def _message(parts: list[Part], provider: str) -> Json:
    """The message: texts that cannot stand in one string are a list, as Mistral has it."""
    message: Json = {"role": "assistant", "content": None}
    texts: list[Any] = []
    for part in parts:
        match part:
            case Text():
                texts.append(part)
                if part.citations:
                    message["annotations"] = [_annotation(citation, provider) for citation in part.citations]
            case Reasoning():
                _reason(message, texts, part, provider)
            case FunctionCall():
                message.setdefault("tool_calls", []).append(_call(part, provider))
            case Refusal():
                message["refusal"] = message.get("refusal", "") + part.text
            case Audio():
                message["audio"] = given(
                    {name: getattr(part, name) for name in ("id", "data", "expires_at", "transcript")}
                )
            case Image():
                url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
                message.setdefault("images", []).append({"type": "image_url", "image_url": {"url": url}})
            case ProviderPart() if part.provider == provider:
                if part.kind == "image":
                    message.setdefault("images", []).append(part.data)
                else:
                    texts.append(part.data)
            case _:
                raise cannot_say(part, OpenAIChat.name)
    if len(texts) == 1 and isinstance(texts[0], Text) and not own_of(texts[0], provider):
        message["content"] = texts[0].text
    elif texts:
        message["content"] = [
            {"type": "text", "text": text.text, **own_of(text, provider)} if isinstance(text, Text) else text
            for text in texts
        ]
    return message


def _reason(message: Json, texts: list[Any], part: Reasoning, provider: str) -> None:
    """Reasoning in the member that it came from: see `decode.reasoning`."""
    own = dict(own_of(part, provider))
    field = msgspec.json.decode(own.pop("field")) if "field" in own else _reasoning_field(provider)
    if field == "content":
        texts.append({"type": "thinking", "thinking": [{"type": "text", "text": part.text}], **own})
    elif field == "think":
        texts.append(Text(text=f"<think>{part.text}</think>"))
    elif part.text:
        message[field] = message.get(field, "") + part.text
    if "reasoning_details" in own:
        message["reasoning_details"] = msgspec.json.decode(own["reasoning_details"], type=list[msgspec.Raw])


def _reasoning_field(provider: str) -> str:
    """Where this server shows reasoning."""
    return _quirks(provider).reasoning_field or "reasoning_content"


def _quirks(provider: str) -> Quirks:
    """How this server differs."""
    return PRESETS[provider].quirks if provider in PRESETS else OPENAI


def _call(call: FunctionCall, provider: str) -> Json:
    kind, content = ("custom", "input") if call.custom else ("function", "arguments")
    return {"id": call.id, "type": kind, kind: {"name": call.name, content: call.arguments}, **own_of(call, provider)}


def _annotation(citation: Citation, provider: str) -> Any:
    own = own_of(citation, provider)
    if "annotation" in own:
        return own["annotation"]
    cited = {name: getattr(citation, name) for name in ("url", "title", "start_index", "end_index")}
    return {"type": "url_citation", "url_citation": given({**cited, "content": citation.cited_text})}


def _usage(usage: Usage, provider: str) -> Json:
    prompt = {
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.prompt_audio_tokens,
        "image_tokens": usage.prompt_image_tokens,
    }
    completion = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.completion_audio_tokens,
        "image_tokens": usage.completion_image_tokens,
        "accepted_prediction_tokens": usage.accepted_prediction_tokens,
        "rejected_prediction_tokens": usage.rejected_prediction_tokens,
    }
    beside = (usage.reasoning_tokens or 0) if _quirks(provider).reasoning_beside_completion else 0
    return given(
        {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens - beside,
            "total_tokens": usage.total_tokens,
            "prompt_tokens_details": given(prompt) or None,
            "completion_tokens_details": given(completion) or None,
            "cost": usage.cost,
        }
    )


# ---------------------------------------------------------------------- the same in chunks


def _chunks(whole: Json) -> Iterator[Json]:
    """The choices of the chunks that one choice of a whole answer makes."""
    message: Json = whole["message"]
    head = {"index": whole["index"], "finish_reason": None}
    yield {**head, "delta": {"role": message["role"], "content": ""}}
    for delta in _deltas(message):
        yield {**head, "delta": delta}
    if whole["logprobs"]:
        yield {**head, "delta": {}, "logprobs": whole["logprobs"]}
    yield {**{name: value for name, value in whole.items() if name not in ("message", "logprobs")}, "delta": {}}


def _deltas(message: Json) -> Iterator[Json]:
    if "reasoning_details" in message:
        yield {"reasoning_details": message["reasoning_details"]}
    for name in ("reasoning", "reasoning_content", "content", "refusal"):
        value = message.get(name)
        for piece in words(value) if isinstance(value, str) else value or ():
            yield {name: piece if isinstance(value, str) else [piece]}
    for name in ("annotations", "images"):
        if name in message:
            yield {name: message[name]}
    if "audio" in message:
        yield {"audio": message["audio"]}
    for index, call in enumerate(message.get("tool_calls", ())):
        kind = call["type"]
        content = "input" if kind == "custom" else "arguments"
        yield {"tool_calls": [{**call, "index": index, kind: {**call[kind], content: ""}}]}
        for piece in fragments(call[kind][content]):
            yield {"tool_calls": [{"index": index, kind: {content: piece}}]}
