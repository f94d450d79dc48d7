"""A whole Chat Completions answer to a `CreateResult`, and what the stream decoder shares with that.

https://platform.openai.com/docs/api-reference/chat/object. Compatible servers take liberties with nearly every member;
what they were seen to send is decoded too (`_tidied`), but only after the strict and fast way has failed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire import _http
from modelwire.errors import ProtocolError
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.types import (
    Audio,
    Choice,
    Citation,
    CreateResult,
    FunctionCall,
    Image,
    ProviderPart,
    Reasoning,
    Refusal,
    Text,
    TokenLogprob,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelwire._fold import FinishReason
    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.types import Part

    ProviderData = dict[str, dict[str, msgspec.Raw]]

Raw = msgspec.Raw
NOTHING = Raw()

# ---------------------------------------------------------------------- wire structs: only what is read


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name of cached tokens."""
    reasoning_tokens: int | None = None
    """Perplexity's place of it."""
    cost: Any = None
    """OpenRouter: US dollars. Perplexity: an object."""


class WireLogprobs(msgspec.Struct):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class WireAudio(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class WireLegacyCall(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class WireMessage(msgspec.Struct):
    content: str | list[Raw] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Raw] | None = None
    tool_calls: list[Raw] | None = None
    function_call: WireLegacyCall | None = None
    """Deprecated by OpenAI in 2023, still answered to the deprecated `functions`."""
    annotations: list[Raw] | None = None
    audio: WireAudio | None = None
    images: list[Raw] | None = None
    """OpenRouter: what the model drew."""


class WireChoice(msgspec.Struct):
    message: WireMessage = msgspec.field(default_factory=WireMessage)
    """Absent where Azure's filter took the whole answer."""
    index: int = 0
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None
    error: Any = None
    """OpenRouter: the server behind it failed."""


class WireEnvelope(msgspec.Struct):
    """What an answer or a chunk says about the answer as a whole."""

    id: str | None = None
    model: str | None = None
    service_tier: Raw = NOTHING
    system_fingerprint: Raw = NOTHING
    created: Raw = NOTHING
    prompt_filter_results: Raw = NOTHING
    moderation: Raw = NOTHING
    citations: Raw = NOTHING
    search_results: Raw = NOTHING
    provider: Raw = NOTHING
    timings: Raw = NOTHING

    def update(self, later: WireEnvelope) -> None:
        """Take over what `later` says."""
        self.id = later.id or self.id
        self.model = later.model or self.model
        for name in KEPT:
            raw = getattr(later, name)
            if raw and bytes(raw) != b"null":
                setattr(self, name, raw.copy())


class WireAnswer(WireEnvelope):
    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None


KEPT = (
    "service_tier",
    "system_fingerprint",
    "created",
    "prompt_filter_results",
    "moderation",
    "citations",
    "search_results",
    "provider",
    "timings",
)
"""Members of the envelope that go to `CreateResult.provider_data`."""

_answer = msgspec.json.Decoder(WireAnswer)
_members = msgspec.json.Decoder(dict[str, Raw])

# ---------------------------------------------------------------------- the answer


def decode(body: bytes, quirks: Quirks) -> CreateResult:
    """A whole answer.

    Raises the error that a 200 answer tells of, and `ProtocolError` for anything that is no chat completion.
    """
    answer = _read(body, quirks)
    if answer.error or not answer.choices:
        raise error_from_body(body, quirks.provider) or ProtocolError(
            f"{quirks.provider}: a chat completion without choices: {_http.excerpt(body)}",
            status_code=200,
            body=body[: _http.MAX_ERROR_BODY],
        )
    choices = sorted(answer.choices, key=lambda choice: choice.index)
    first = choices[0]
    if first.error:
        raise error_from_body(msgspec.json.encode({"error": first.error}), quirks.provider) or ProtocolError(
            "an empty error", body=body
        )
    parts = _parts(first.message, answer, quirks)
    return CreateResult(
        parts=parts,
        finish_reason=finish_reason(first.finish_reason, parts),
        raw_finish_reason=first.finish_reason,
        usage=usage(answer.usage, quirks),
        logprobs=logprobs(first.logprobs),
        id=answer.id,
        model=answer.model,
        provider=quirks.provider,
        alternatives=[_alternative(choice, answer, quirks) for choice in choices[1:]] or None,
        provider_data=kept(answer, quirks),
    )


def _read(body: bytes, quirks: Quirks) -> WireAnswer:
    try:
        return _answer.decode(body)
    except msgspec.ValidationError as error:
        return _read_untidy(body, quirks, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise garbage(body, quirks, error) from None


def _read_untidy(body: bytes, quirks: Quirks, error: Exception) -> WireAnswer:
    told = error_from_body(body, quirks.provider)
    if told:
        raise told
    try:
        return msgspec.convert(tidied(msgspec.json.decode(body)), WireAnswer, strict=False)
    except (msgspec.ValidationError, TypeError, AttributeError):
        raise garbage(body, quirks, error) from None


def garbage(body: bytes, quirks: Quirks, error: Exception) -> ProtocolError:
    """The error for bytes that are no Chat Completions answer."""
    if not body.strip():
        what = "an empty answer; is base_url the API's own, with /v1 where it has one?"
    elif _http.looks_like_html(body):
        what = f"a web page instead of JSON (a proxy, a login page, or a wrong base_url): {_http.excerpt(body)}"
    else:
        what = f"not a Chat Completions answer ({error}): {_http.excerpt(body)}"
    return ProtocolError(f"{quirks.provider}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])


def tidied(value: Any) -> Any:
    """An answer or a chunk of a server that takes liberties, in the shape of the documentation.

    `content` parts and raw members are JSON again, since the wire structs keep them raw.
    """
    answer: dict[str, Any] = {
        key: Raw(msgspec.json.encode(member)) if key in KEPT else member for key, member in value.items()
    }
    if answer.get("choices") is not None:
        answer["choices"] = [_tidy_choice(choice) for choice in answer["choices"]]
    if not isinstance(answer.get("usage"), dict):
        answer["usage"] = None
    for name in ("id", "model"):
        if answer.get(name) is not None:
            answer[name] = str(answer[name])
    return answer


def _tidy_choice(choice: dict[str, Any]) -> dict[str, Any]:
    tidy = dict(choice)
    for name in ("message", "delta"):
        if isinstance(tidy.get(name), dict):
            tidy[name] = _tidy_message(tidy[name])
    if not isinstance(tidy.get("finish_reason"), str):
        tidy["finish_reason"] = None
    if not isinstance(tidy.get("logprobs"), dict):
        tidy["logprobs"] = None
    return tidy


def _tidy_message(message: dict[str, Any]) -> dict[str, Any]:
    tidy = dict(message)
    content = tidy.get("content")
    if isinstance(content, dict):
        content = [content]
    if isinstance(content, list):
        tidy["content"] = _raws(content)
    for name in ("tool_calls", "annotations", "images", "reasoning_details"):
        tidy[name] = _raws(tidy[name]) if isinstance(tidy.get(name), list) else None
    for name in ("refusal", "reasoning", "reasoning_content"):
        if not isinstance(tidy.get(name), str):
            tidy[name] = None
    return tidy


def _raws(values: list[Any]) -> list[Raw]:
    return [Raw(msgspec.json.encode(value)) for value in values]


# ---------------------------------------------------------------------- parts


def _parts(message: WireMessage, answer: WireAnswer, quirks: Quirks) -> list[Part]:
    parts: list[Part] = []
    text = message.reasoning if message.reasoning else message.reasoning_content
    if text or message.reasoning_details:
        field = "reasoning" if message.reasoning else "reasoning_content"
        parts.append(reasoning(text or "", field, message.reasoning_details, answer.model, quirks))
    if isinstance(message.content, list):
        parts += chunks(message.content, answer.model, quirks)
    elif message.content:
        parts.append(Text(text=message.content, citations=citations(message.annotations, quirks)))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    if message.audio is not None:
        parts.append(audio(message.audio))
    parts += [image(raw, quirks) for raw in message.images or ()]
    parts += [function_call(raw, index, answer.id, quirks) for index, raw in enumerate(message.tool_calls or ())]
    if message.function_call is not None and not message.tool_calls:
        parts.append(legacy_call(message.function_call, answer.id))
    return parts


def reasoning(text: str, field: str, details: list[Raw] | None, model: str | None, quirks: Quirks) -> Reasoning:
    """Reasoning as this server shows it, with what it needs to recognise it again."""
    own: dict[str, Raw] = {}
    if quirks.reasoning_field != field and text:
        own["field"] = Raw(msgspec.json.encode(field))
    if details:
        own["reasoning_details"] = Raw(msgspec.json.encode(details))
    return Reasoning(
        text=text, provider=quirks.provider, model=model, provider_data={quirks.provider: own} if own else None
    )


def chunks(content: list[Raw], model: str | None, quirks: Quirks) -> Iterable[Part]:
    """Content as a list, which Mistral answers with; unknown kinds are kept whole."""
    for raw in content:
        members = _members.decode(raw) if bytes(raw)[:1] == b"{" else {"type": Raw(b'"text"'), "text": raw}
        kind = msgspec.json.decode(members.pop("type", Raw(b'""')))
        if kind == "text":
            yield Text(text=_string(members.pop("text", NOTHING)), provider_data=_own(members, quirks))
        elif kind == "thinking":
            texts = [
                piece.get("text", "")
                for piece in msgspec.json.decode(members.pop("thinking", Raw(b"[]")))
                if isinstance(piece, dict)
            ]
            yield Reasoning(
                text="".join(texts), provider=quirks.provider, model=model, provider_data=_own(members, quirks)
            )
        else:
            yield ProviderPart(provider=quirks.provider, kind=str(kind), data=raw.copy())


def _own(members: dict[str, Raw], quirks: Quirks) -> ProviderData | None:
    return {quirks.provider: {name: raw.copy() for name, raw in members.items()}} if members else None


def _string(raw: Raw) -> str:
    """A JSON string; any other value as its JSON text, and nothing as an empty string."""
    encoded = bytes(raw)
    if not encoded or encoded == b"null":
        return ""
    return msgspec.json.decode(encoded, type=str) if encoded[:1] == b'"' else encoded.decode()


def citations(annotations: list[Raw] | None, quirks: Quirks) -> list[Citation] | None:
    """`url_citation` annotations; others are kept raw."""
    return [_citation(raw, quirks) for raw in annotations or ()] or None


def _citation(raw: Raw, quirks: Quirks) -> Citation:
    value = msgspec.json.decode(raw)
    cited = value.get("url_citation") if isinstance(value, dict) else None
    if not isinstance(cited, dict):
        return Citation(provider_data={quirks.provider: {"annotation": raw.copy()}})
    start, end = cited.get("start_index"), cited.get("end_index")
    return Citation(
        url=cited.get("url"),
        title=cited.get("title"),
        cited_text=cited.get("content"),
        start_index=start if isinstance(start, int) and start >= 0 else None,
        end_index=end if isinstance(end, int) and end >= 0 else None,
    )


def audio(wire: WireAudio) -> Audio:
    """A spoken answer."""
    return Audio(id=wire.id or "", data=wire.data, transcript=wire.transcript, expires_at=wire.expires_at)


def image(raw: Raw, quirks: Quirks) -> Part:
    """A drawn image; kept raw where it is not the usual `image_url`."""
    value = msgspec.json.decode(raw)
    url = (
        value.get("image_url", {}).get("url")
        if isinstance(value, dict) and isinstance(value.get("image_url"), dict)
        else None
    )
    return (
        Image.from_url(url)
        if isinstance(url, str)
        else ProviderPart(provider=quirks.provider, kind="image", data=raw.copy())
    )


def function_call(raw: Raw, index: int, answer_id: str | None, quirks: Quirks) -> Part:
    """A function call; members beyond the documented ones (such as `extra_content`) are kept for the way back."""
    members = _members.decode(raw)
    kind = _string(members.pop("type", NOTHING))
    custom = kind == "custom" and bytes(members.get("custom", NOTHING))[:1] == b"{"
    inner = members.pop("custom" if custom else "function", NOTHING)
    if bytes(inner)[:1] != b"{":
        return ProviderPart(provider=quirks.provider, kind=kind or None, data=raw.copy())
    function = _members.decode(inner)
    members.pop("index", None)
    members = {name: value for name, value in members.items() if bytes(value) not in (b"null", b"{}")}
    name = _string(function.get("name", NOTHING))
    return FunctionCall(
        id=_string(members.pop("id", NOTHING)) or made_up_id(answer_id, index, name),
        name=name,
        arguments=_string(function.get("input" if custom else "arguments", NOTHING)),
        custom=custom,
        provider_data=_own(members, quirks),
    )


def legacy_call(call: WireLegacyCall, answer_id: str | None) -> FunctionCall:
    """The deprecated single call, which has no id."""
    name = call.name or ""
    return FunctionCall(id=made_up_id(answer_id, 0, name), name=name, arguments=call.arguments or "")


def made_up_id(answer_id: str | None, index: int, name: str) -> str:
    """An id for a call that came without one: the same whenever the same answer is read."""
    return "call_" + hashlib.sha256(f"{answer_id}\0{index}\0{name}".encode()).hexdigest()[:24]


# ---------------------------------------------------------------------- facts about the answer


def finish_reason(raw: str | None, parts: Iterable[Part]) -> FinishReason:
    """The unified reason: what is in the answer counts for more than the server's word."""
    kinds = {part.type for part in parts}
    return unified_reason(raw, calls="function_call" in kinds, refused="refusal" in kinds)


def unified_reason(raw: str | None, *, calls: bool, refused: bool) -> FinishReason:
    """The same from what is known of the parts."""
    known = _REASONS.get(raw or "", "unknown")
    if known in ("content_filter", "error"):
        return known
    if refused:
        return "refusal"
    if calls:
        return "function_calls"
    # A word such as `tool_calls` without any call: the model was done.
    return "stop" if known == "function_calls" else known


_REASONS: dict[str, Literal["stop", "length", "function_calls", "content_filter", "error", "unknown"]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "function_calls",
    "function_call": "function_calls",
    "content_filter": "content_filter",
    # Words of compatible servers: text-generation-inference, others; Mistral; DeepSeek; vLLM.
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "model_length": "length",
    "max_tokens": "length",
    "error": "error",
    "insufficient_system_resource": "error",
    "abort": "error",
}


def usage(wire: WireUsage | None, quirks: Quirks) -> Usage | None:
    """Unified token counts; `None` when the server reported none."""
    if wire is None or (wire.prompt_tokens is None and wire.completion_tokens is None):
        return None
    prompt = wire.prompt_tokens_details or PromptDetails()
    completion = wire.completion_tokens_details or CompletionDetails()
    reasoned = completion.reasoning_tokens if completion.reasoning_tokens is not None else wire.reasoning_tokens
    completed = wire.completion_tokens or 0
    if quirks.reasoning_beside_completion:
        completed += reasoned or 0
    return Usage(
        prompt_tokens=wire.prompt_tokens or 0,
        completion_tokens=completed,
        total_tokens=wire.total_tokens,  # type: ignore[arg-type]  # the sum where it is None
        cached_tokens=prompt.cached_tokens if prompt.cached_tokens is not None else wire.prompt_cache_hit_tokens,
        cache_write_tokens=prompt.cache_write_tokens,
        reasoning_tokens=reasoned,
        prompt_audio_tokens=prompt.audio_tokens,
        prompt_image_tokens=prompt.image_tokens,
        completion_audio_tokens=completion.audio_tokens,
        completion_image_tokens=completion.image_tokens,
        accepted_prediction_tokens=completion.accepted_prediction_tokens,
        rejected_prediction_tokens=completion.rejected_prediction_tokens,
        cost=float(wire.cost) if isinstance(wire.cost, (int, float)) else None,
    )


def logprobs(wire: WireLogprobs | None) -> list[TokenLogprob] | None:
    """Of the answer's tokens, or of the refusal's."""
    return (wire.content or wire.refusal) if wire else None


def kept(answer: WireEnvelope, quirks: Quirks) -> ProviderData | None:
    """Members of the envelope that users ask for and modelwire does not model."""
    own = {name: raw.copy() for name in KEPT if (raw := getattr(answer, name)) and bytes(raw) != b"null"}
    return {quirks.provider: own} if own else None


def _alternative(choice: WireChoice, answer: WireAnswer, quirks: Quirks) -> Choice:
    parts = _parts(choice.message, answer, quirks)
    return Choice(
        index=choice.index,
        parts=parts,
        finish_reason=finish_reason(choice.finish_reason, parts),
        raw_finish_reason=choice.finish_reason,
        logprobs=logprobs(choice.logprobs),
    )
