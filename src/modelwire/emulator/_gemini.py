"""Answers of Gemini's `generateContent`: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from modelwire import errors
from modelwire.emulator._dialect import (
    EVENT_STREAM,
    arguments_object,
    cannot_say,
    encoded,
    event,
    given,
    kind_of,
    own_of,
    picked,
    raw_reason,
    words,
)
from modelwire.providers._gemini import GeminiCodec
from modelwire.providers._gemini.contents import Contents
from modelwire.providers._gemini.facts import ORIGIN
from modelwire.types import AssistantMessage, FunctionCall, ProviderPart, Reasoning, Text, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.emulator._dialect import Asked, Json, Verb
    from modelwire.errors import ModelClientError
    from modelwire.types import ChatRequest, Choice, CreateResult, Part, TokenLogprob, Usage

_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "function_calls": "STOP",
    "refusal": "STOP",
    "content_filter": "SAFETY",
    "pause": "CONTINUATION",
    "error": "MALFORMED_RESPONSE",
    "unknown": "OTHER",
}
_OF_ANSWER = ("promptFeedback", "modelStatus", "createTime")
_OF_USAGE = ("serviceTier", "trafficType")
_WORDS: dict[type[ModelClientError], tuple[str, str]] = {
    errors.AuthenticationError: ("UNAUTHENTICATED", ""),
    errors.PermissionDeniedError: ("PERMISSION_DENIED", ""),
    errors.NotFoundError: ("NOT_FOUND", ""),
    errors.ModelTimeoutError: ("DEADLINE_EXCEEDED", ""),
    errors.QuotaExceededError: ("RESOURCE_EXHAUSTED", ""),
    errors.RateLimitError: ("RESOURCE_EXHAUSTED", ""),
    errors.OverloadedError: ("UNAVAILABLE", ""),
    errors.ServerError: ("INTERNAL", ""),
    errors.ContextLengthError: (
        "INVALID_ARGUMENT",
        "The input token count exceeds the maximum number of tokens allowed: ",
    ),
    errors.UnsupportedOptionError: ("INVALID_ARGUMENT", "{option} is not supported for this model: "),
    errors.BadRequestError: ("INVALID_ARGUMENT", ""),
}
"""`status` of an error, and the words by which it is known: https://ai.google.dev/gemini-api/docs/troubleshooting."""
_OPTIONS = {
    "frequency_penalty": "Penalty",
    "presence_penalty": "Penalty",
    "n": "Multiple candidates",
    "reasoning_effort": "Thinking",
    "tools": "Function calling",
    "response_format": "JSON mode",
}


class Gemini:
    """See `Dialect`."""

    name: ClassVar[str] = "gemini"
    statuses: ClassVar[Mapping[type[ModelClientError], int]] = {}

    def verb(self, path: str) -> Verb | None:
        """The last word of the path says it."""
        word = path.partition("?")[0].rpartition(":")[2]
        known: dict[str, Verb] = {
            "generateContent": "answer",
            "streamGenerateContent": "answer",
            "countTokens": "count",
        }
        return known.get(word)

    def read(self, body: bytes, path: str) -> ChatRequest:
        """The request."""
        return GeminiCodec("").decode_request(body, f"http://emulator{path}")

    def media_type(self, asked: Asked) -> str:
        """Events with `alt=sse`, else one list."""
        return EVENT_STREAM if _is_sse(asked) else "application/json"

    def answer(self, result: CreateResult, asked: Asked) -> Json:
        """A whole answer."""
        own = dict(own_of(result, ORIGIN))
        head = {name: own.pop(name) for name in _OF_ANSWER if name in own}
        usage = ({} if result.usage is None else _usage(result.usage)) | picked(own, _OF_USAGE)
        first = {name: value for name, value in own.items() if name not in _OF_USAGE}
        blocked = "promptFeedback" in head and result.finish_reason == "content_filter" and not result.answer_parts
        candidates = [_candidate(0, result, result.answer_parts, result.provider)]
        if first.keys() & {"groundingMetadata", "citationMetadata"}:  # as they came, instead of those made here
            candidates[0].pop("groundingMetadata", None)
        candidates[0] |= first
        candidates += [
            _candidate(other.index, other, other.parts, result.provider) for other in result.alternatives or ()
        ]
        return given(
            {
                "candidates": None if blocked else candidates,
                "usageMetadata": usage or None,
                "modelVersion": result.model or f"{asked.request.model}-emulated",
                "responseId": result.id or f"emulated-{asked.number}",
                **head,
            }
        )

    def pieces(self, answer: Json, asked: Asked) -> list[bytes]:
        """Chunks, each an answer of its own; without `alt=sse` they are the elements of a list."""
        chunks = list(_chunks(answer))
        if _is_sse(asked):
            return [event(chunk) for chunk in chunks]
        return [(b",\n" if at else b"[") + encoded(chunk) for at, chunk in enumerate(chunks)] + [b"]\n"]

    def count(self, tokens: int) -> Json:
        """Of `countTokens`."""
        return {"totalTokens": tokens}

    def error(self, error: ModelClientError, status: int) -> Json:
        """An error answer."""
        kind = kind_of(error, status)
        word, said = _WORDS.get(kind, _WORDS[errors.BadRequestError])
        option = error.option if isinstance(error, errors.UnsupportedOptionError) else None
        said = said.format(option=_OPTIONS.get(option or "", option))
        details: list[Json] = []
        if error.code:
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code})
        if kind is errors.QuotaExceededError:
            violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}
            details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
        if error.retry_after is not None:
            delay = f"{error.retry_after:g}s"
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
        told: Json = {"code": status, "message": f"{said}{error.message}", "status": word}
        return {"error": {**told, "details": details} if details else told}

    def error_piece(self, error: ModelClientError, status: int) -> bytes:
        """An error in the place of a chunk."""
        return event(self.error(error, status))


def _is_sse(asked: Asked) -> bool:
    return "alt=sse" in asked.path.partition("?")[2].split("&")


# ---------------------------------------------------------------------- candidates


def _candidate(index: int, choice: CreateResult | Choice, parts: list[Part], provider: str | None) -> Json:
    raw = raw_reason(choice, provider, ORIGIN)
    return given(
        {
            "content": {"role": "model", "parts": _parts(parts)},
            "finishReason": raw or _REASONS[choice.finish_reason],
            "index": index,
            "logprobsResult": _logprobs(choice.logprobs) if choice.logprobs else None,
            **_grounding(parts),
        }
    )


def _parts(parts: list[Part]) -> list[Any]:
    """As the same parts stand in a later request: both have the form of `Content`."""
    for part in parts:
        foreign = isinstance(part, ProviderPart) and part.provider != ORIGIN
        if foreign or isinstance(part, ToolResult):
            raise cannot_say(part, Gemini.name)
        if isinstance(part, FunctionCall):
            arguments_object(part)
    mine = [
        msgspec.structs.replace(part, provider=ORIGIN)
        if isinstance(part, Reasoning) and part.provider is None
        else part
        for part in parts
    ]
    contents = Contents(from_3=False, continued=False).written([AssistantMessage(content=mine)])
    return contents[0]["parts"] if contents else []


def _grounding(parts: list[Part]) -> Json:
    """The sources of texts, which stand beside the content: https://ai.google.dev/gemini-api/docs/google-search."""
    chunks: list[Json] = []
    supports: list[Json] = []
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            continue
        for citation in part.citations or ():
            start, end = (
                (citation.start_index or 0),
                len(part.text) if citation.end_index is None else citation.end_index,
            )
            cited = part.text[start:end]
            first = len(part.text[:start].encode())
            segment = {"partIndex": index, "startIndex": first, "endIndex": first + len(cited.encode()), "text": cited}
            supports.append({"segment": segment, "groundingChunkIndices": [len(chunks)]})
            source = {"uri": citation.url, "title": citation.title, "text": citation.cited_text}
            source["documentName"] = citation.source_id
            kind = "web" if citation.source_id is None and citation.cited_text is None else "retrievedContext"
            chunks.append({kind: given(source)})
    return {"groundingMetadata": {"groundingChunks": chunks, "groundingSupports": supports}} if chunks else {}


def _logprobs(tokens: list[TokenLogprob]) -> Json:
    chosen = [{"token": token.token, "logProbability": token.logprob} for token in tokens]
    tops = [
        {"candidates": [{"token": top.token, "logProbability": top.logprob} for top in token.top_logprobs or ()]}
        for token in tokens
    ]
    asked = any(token.top_logprobs is not None for token in tokens)
    return {"chosenCandidates": chosen, **({"topCandidates": tops} if asked else {})}


def _usage(usage: Usage) -> Json:
    """Thoughts are counted beside the visible answer, and what tools read beside the prompt."""
    return given(
        {
            "promptTokenCount": usage.prompt_tokens - (usage.tool_prompt_tokens or 0),
            "cachedContentTokenCount": usage.cached_tokens,
            "candidatesTokenCount": usage.completion_tokens - (usage.reasoning_tokens or 0),
            "thoughtsTokenCount": usage.reasoning_tokens,
            "toolUsePromptTokenCount": usage.tool_prompt_tokens,
            "totalTokenCount": usage.total_tokens,
            "promptTokensDetails": _modalities(usage.prompt_audio_tokens, usage.prompt_image_tokens),
            "candidatesTokensDetails": _modalities(usage.completion_audio_tokens, usage.completion_image_tokens),
        }
    )


def _modalities(audio: int | None, image: int | None) -> list[Json] | None:
    counts = (("AUDIO", audio), ("IMAGE", image))
    return [{"modality": name, "tokenCount": count} for name, count in counts if count is not None] or None


# ---------------------------------------------------------------------- the same in chunks


def _chunks(answer: Json) -> list[Json]:
    """Texts come word by word, all other parts whole, and the end with the counts and sources."""
    head = picked(answer, ("modelVersion", "responseId"))
    last = {name: value for name, value in answer.items() if name != "candidates"}
    chunks: list[Json] = []
    ends: list[Json] = []
    for candidate in answer.get("candidates", ()):
        for part in candidate["content"]["parts"]:
            chunks += [{**head, "candidates": [_with(candidate["index"], piece)]} for piece in _pieces(part)]
        end = {name: value for name, value in candidate.items() if name != "content"}
        ends.append({"content": {"role": "model", "parts": [{"text": ""}]}, **end})
    return [*chunks, {**({"candidates": ends} if ends else {}), **last}]


def _with(index: int, part: Any) -> Json:
    return {"content": {"role": "model", "parts": [part]}, "index": index}


def _pieces(part: Any) -> list[Any]:
    """Plain text in pieces; one with a signature is a part of its own, whose pieces would be others."""
    if isinstance(part, dict) and part.get("text") and part.keys() <= {"text", "thought"}:
        return [{**part, "text": piece} for piece in words(part["text"])]
    return [part]
