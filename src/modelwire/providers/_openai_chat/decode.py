"""A whole Chat Completions answer to a `CreateResult`, and what the stream decoder shares with that.

https://platform.openai.com/docs/api-reference/chat/object. Compatible servers take liberties with nearly every member;
what they were seen to send is decoded too (`tidy.py`), but only after the strict and fast way has failed.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire import _http
from modelwire.errors import BadRequestError, ProtocolError
from modelwire.providers._body import made_up_id
from modelwire.providers._json import UNREADABLE
from modelwire.providers._openai_chat.errors import error_from_body
from modelwire.providers._openai_chat.inline import split
from modelwire.providers._openai_chat.tidy import tidied
from modelwire.providers._openai_chat.wire import (
    CHOICE_KEPT,
    KEPT,
    NOTHING,
    CompletionDetails,
    PromptDetails,
    WireAnnotation,
    WireAnswer,
    WireImage,
    WireThought,
    said,
    tells,
)
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
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from modelwire._fold import FinishReason
    from modelwire.errors import ModelClientError
    from modelwire.providers._openai_chat.quirks import Quirks
    from modelwire.providers._openai_chat.wire import (
        WireAudio,
        WireChoice,
        WireEnvelope,
        WireLegacyCall,
        WireLogprobs,
        WireMessage,
        WireUsage,
    )
    from modelwire.types import Part, TokenLogprob

    ProviderData = dict[str, dict[str, msgspec.Raw]]

Raw = msgspec.Raw

_SHORT = 16 * 1024
"""Bytes of an answer that may as well stay in memory for the sake of the few that are kept of it."""

_answer = msgspec.json.Decoder(WireAnswer)
_untidy_answer = msgspec.json.Decoder(WireAnswer, strict=False)
_members = msgspec.json.Decoder(dict[str, Raw])
_annotation = msgspec.json.Decoder(WireAnnotation)
_image = msgspec.json.Decoder(WireImage)
_thoughts = msgspec.json.Decoder(str | list[WireThought])

# ---------------------------------------------------------------------- the answer


def decode(body: bytes, quirks: Quirks) -> CreateResult:
    """A whole answer.

    Raises the error that a 200 answer tells of, and `ProtocolError` for anything that is no chat completion.
    """
    try:
        answer = _answer.decode(body)
    except msgspec.ValidationError as error:
        answer = _read_untidy(body, quirks, error)
    except UNREADABLE as error:
        raise garbage(body, quirks, error) from None
    if answer.error or not answer.choices:
        raise error_from_body(body, quirks.provider) or ProtocolError(
            f"{quirks.provider}: a chat completion without choices: {_http.excerpt(body)}",
            status_code=200,
            body=body[: _http.MAX_ERROR_BODY],
        )
    if len(body) > _SHORT:
        answer.detach()
    choices = answer.choices
    if len(choices) > 1:
        choices = sorted(choices, key=_index)
    for choice in choices:
        if choice.error:
            raise error_of_choice(choice.error, quirks)
    try:
        return _result(choices, answer, quirks)
    except UNREADABLE as error:  # what was raw until now
        raise garbage(body, quirks, error) from None


def _result(choices: list[WireChoice], answer: WireAnswer, quirks: Quirks) -> CreateResult:
    first = choices[0]
    parts = _parts(first.message, answer, quirks)
    return CreateResult(
        parts=parts,
        finish_reason=finish_reason(first.finish_reason, parts),
        raw_finish_reason=first.finish_reason or None,
        usage=usage(answer.usage, quirks),
        logprobs=logprobs(first.logprobs) if first.logprobs else None,
        id=answer.id,
        model=answer.model,
        provider=quirks.provider,
        # Their place, since not every server that can do `n` counts them.
        alternatives=[_alternative(place, choice, answer, quirks) for place, choice in enumerate(choices) if place]
        if len(choices) > 1
        else None,
        provider_data=kept(answer, _kept_members(first), quirks),
    )


def _read_untidy(body: bytes, quirks: Quirks, error: Exception) -> WireAnswer:
    told = error_from_body(body, quirks.provider)
    if told:
        raise told
    try:
        return _untidy_answer.decode(tidied(body))
    except UNREADABLE:
        raise garbage(body, quirks, error) from None


def error_of_choice(error: Any, quirks: Quirks) -> ModelClientError:
    """The error that stands in the place of one choice."""
    told = error_from_body(msgspec.json.encode({"error": error}), quirks.provider)
    return told or ProtocolError(f"{quirks.provider}: an error that says nothing: {error!r}", status_code=200)


def garbage(body: bytes, quirks: Quirks, error: Exception) -> ProtocolError:
    """The error for bytes that are no Chat Completions answer."""
    if not body.strip():
        what = "an empty answer; is base_url the API's own, with /v1 where it has one?"
    elif _http.looks_like_html(body):
        what = f"a web page instead of JSON (a proxy, a login page, or a wrong base_url): {_http.excerpt(body)}"
    else:
        what = f"not a Chat Completions answer ({error}): {_http.excerpt(body)}"
    return ProtocolError(f"{quirks.provider}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])


# ---------------------------------------------------------------------- parts


def _parts(message: WireMessage, answer: WireAnswer, quirks: Quirks) -> list[Part]:
    parts: list[Part] = []
    text = message.reasoning or message.reasoning_content
    if text or message.reasoning_details:
        field = "reasoning" if message.reasoning else "reasoning_content"
        parts.append(reasoning(text or "", field, details(message.reasoning_details), answer.model, quirks))
    if isinstance(message.content, list):
        parts += chunks(message.content, answer.model, quirks)
    elif message.content:
        thought, said = split(message.content) if quirks.think_tags and not parts else ("", message.content)
        if thought:
            parts.append(reasoning(thought, "think", {}, answer.model, quirks))
        if said:
            cited = citations(message.annotations, quirks) if message.annotations else None
            parts.append(Text(text=said, citations=cited))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    if message.audio is not None and not message.audio.empty:
        parts.append(audio(message.audio))
    if message.images:
        parts += [image(raw, quirks) for raw in message.images]
    if message.tool_calls:
        parts += [function_call(raw, index, answer.id, quirks) for index, raw in enumerate(message.tool_calls)]
    if message.function_call is not None and message.function_call.name and not message.tool_calls:
        parts.append(legacy_call(message.function_call, answer.id))
    return parts


def reasoning(text: str, field: str, own: Mapping[str, Raw], model: str | None, quirks: Quirks) -> Reasoning:
    """Reasoning as this server shows it, with what it needs to recognise it again.

    `field` is the member where the text was, `own` what was there beside it.
    """
    data = dict(own)
    if quirks.reasoning_field != field and text:
        data["field"] = Raw(msgspec.json.encode(field))
    return Reasoning(
        text=text, provider=quirks.provider, model=model, provider_data={quirks.provider: data} if data else None
    )


def details(reasoning_details: list[Raw] | None) -> dict[str, Raw]:
    """OpenRouter's list of texts, signatures and encrypted pieces, for the way back."""
    return {"reasoning_details": Raw(msgspec.json.encode(reasoning_details))} if reasoning_details else {}


def chunks(content: list[Raw], model: str | None, quirks: Quirks) -> Iterable[Part]:
    """Content as a list, which Mistral answers with; unknown kinds are kept whole."""
    for raw in content:
        members = _members.decode(raw) if bytes(raw)[:1] == b"{" else {"type": Raw(b'"text"'), "text": raw}
        kind = _string(members.get("type", NOTHING))
        if kind == "text":
            yield Text(text=_string(members.get("text", NOTHING)), provider_data=_own(members, quirks, "type", "text"))
        elif kind == "thinking":
            yield _thinking(members, model, quirks)
        else:
            yield ProviderPart(provider=quirks.provider, kind=kind, data=raw.copy())


def _thinking(members: dict[str, Raw], model: str | None, quirks: Quirks) -> Reasoning:
    """Mistral's reasoning: https://docs.mistral.ai/capabilities/reasoning."""
    text, pieces = thoughts(members.pop("thinking", NOTHING))
    own = (_own(members, quirks, "type") or {}).get(quirks.provider, {})
    return reasoning(text, "content", own | ({"thinking": pieces.copy()} if pieces else {}), model, quirks)


def thoughts(thinking: Raw) -> tuple[str, Raw | None]:
    """The text of a `thinking` chunk; and its pieces, where they are more than one piece of text."""
    if not said(thinking):
        return "", None
    try:
        pieces = _thoughts.decode(thinking)
    except msgspec.ValidationError:  # sources among them, or something new
        found = msgspec.json.decode(thinking)
        texts = [piece.get("text") for piece in found if isinstance(piece, dict)] if isinstance(found, list) else []
        return "".join(text for text in texts if isinstance(text, str)), thinking
    if isinstance(pieces, str):
        return pieces, None
    return "".join(piece.text for piece in pieces), thinking if len(pieces) > 1 else None


def _own(members: dict[str, Raw], quirks: Quirks, *known: str) -> ProviderData | None:
    """All members but the known ones, for the way back."""
    own = {name: raw.copy() for name, raw in members.items() if name not in known}
    return {quirks.provider: own} if own else None


def _string(raw: Raw) -> str:
    """A JSON string; any other value as its JSON text, and nothing as an empty string."""
    encoded = bytes(raw)
    if not encoded or encoded == b"null":
        return ""
    return msgspec.json.decode(encoded, type=str) if encoded[:1] == b'"' else encoded.decode()


def citations(annotations: list[Raw] | None, quirks: Quirks) -> list[Citation] | None:
    """`url_citation` annotations; others are kept raw."""
    return [_citation(raw, quirks) for raw in annotations] if annotations else None


def _citation(raw: Raw, quirks: Quirks) -> Citation:
    try:
        cited = _annotation.decode(raw).url_citation
    except msgspec.ValidationError:
        return Citation(provider_data={quirks.provider: {"annotation": raw.copy()}})
    start, end = cited.start_index, cited.end_index
    return Citation(
        url=cited.url,
        title=cited.title,
        cited_text=cited.content,
        start_index=start if start is not None and start >= 0 else None,
        end_index=end if end is not None and end >= 0 else None,
    )


def audio(wire: WireAudio) -> Audio:
    """A spoken answer."""
    return Audio(id=wire.id or "", data=wire.data, transcript=wire.transcript, expires_at=wire.expires_at)


def image(raw: Raw, quirks: Quirks) -> Part:
    """A drawn image; kept raw where it is not the usual `image_url`."""
    try:
        return Image.from_url(_image.decode(raw).image_url.url)
    except (msgspec.ValidationError, BadRequestError):
        return ProviderPart(provider=quirks.provider, kind="image", data=raw.copy())


def function_call(raw: Raw, index: int, answer_id: str | None, quirks: Quirks) -> Part:
    """A function call; members beyond the documented ones (such as `extra_content`) are kept for the way back."""
    members = _members.decode(raw)
    kind, function, free = (members.get(name, NOTHING) for name in ("type", "function", "custom"))
    # One of the two counts: some servers send every member that their types have.
    custom = bytes(free)[:1] == b"{" and (_string(kind) == "custom" or bytes(function)[:1] != b"{")
    inner = free if custom else function
    if bytes(inner)[:1] != b"{":
        return ProviderPart(provider=quirks.provider, kind=_string(kind) or None, data=raw.copy())
    called = _members.decode(inner)
    name = _string(called.get("name", NOTHING))
    own = {name: raw for name, raw in members.items() if bytes(raw) not in (b"null", b"{}")}
    return FunctionCall(
        id=_string(members.get("id", NOTHING)) or made_up_id(answer_id, index, name),
        name=name,
        arguments=_string(called.get("input" if custom else "arguments", NOTHING)),
        custom=custom,
        provider_data=_own(own, quirks, "id", "type", "index", "function", "custom"),
    )


def legacy_call(call: WireLegacyCall, answer_id: str | None) -> FunctionCall:
    """The deprecated single call, which has no id."""
    name = call.name or ""
    return FunctionCall(id=made_up_id(answer_id, 0, name), name=name, arguments=call.arguments or "")


# ---------------------------------------------------------------------- facts about the answer


def finish_reason(raw: str | None, parts: Sequence[Part]) -> FinishReason:
    """The unified reason: what is in the answer counts for more than the server's word."""
    if raw == "stop" and len(parts) == 1 and type(parts[0]) is Text:  # most answers
        return "stop"
    kinds = set(map(type, parts))
    return unified_reason(raw, calls=FunctionCall in kinds, refused=Refusal in kinds)


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


_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = PromptDetails(), CompletionDetails()


def usage(wire: WireUsage | None, quirks: Quirks) -> Usage | None:
    """Unified token counts; `None` when the server reported none."""
    if wire is None or (wire.prompt_tokens is None and wire.completion_tokens is None):
        return None
    prompt = wire.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = wire.completion_tokens_details or _NO_COMPLETION_DETAILS
    cached = prompt.cached_tokens
    if cached is None:
        cached = wire.num_cached_tokens if wire.prompt_cache_hit_tokens is None else wire.prompt_cache_hit_tokens
    reasoned = completion.reasoning_tokens if completion.reasoning_tokens is not None else wire.reasoning_tokens
    completed = wire.completion_tokens or 0
    if quirks.reasoning_beside_completion:
        completed += reasoned or 0
    return Usage(
        prompt_tokens=wire.prompt_tokens or 0,
        completion_tokens=completed,
        total_tokens=wire.total_tokens,  # type: ignore[arg-type]  # the sum where it is None
        cached_tokens=cached,
        cache_write_tokens=prompt.cache_write_tokens,
        reasoning_tokens=reasoned,
        prompt_audio_tokens=prompt.audio_tokens,
        prompt_image_tokens=prompt.image_tokens,
        completion_audio_tokens=completion.audio_tokens,
        completion_image_tokens=completion.image_tokens,
        accepted_prediction_tokens=completion.accepted_prediction_tokens,
        rejected_prediction_tokens=completion.rejected_prediction_tokens,
        cost=None if wire.cost is None and wire.cost_in_usd_ticks is None else _cost(wire),
    )


def _cost(wire: WireUsage) -> float | None:
    """US dollars; `None` also for what is no price."""
    total = wire.cost.get("total_cost") if isinstance(wire.cost, dict) else wire.cost
    try:
        if wire.cost_in_usd_ticks is not None:
            return wire.cost_in_usd_ticks / 10**10
        return float(total) if isinstance(total, (int, float)) and not isinstance(total, bool) else None
    except OverflowError:  # whole numbers in JSON have no bound
        return None


def logprobs(wire: WireLogprobs | None) -> list[TokenLogprob] | None:
    """Of the answer's tokens, or of the refusal's."""
    return (wire.content or wire.refusal) if wire else None


def kept(answer: WireEnvelope, choice: Mapping[str, Raw] | None, quirks: Quirks) -> ProviderData | None:
    """What users ask for and modelwire does not model: members of the envelope, and of the first choice."""
    own: dict[str, Raw] = {}
    # Written out, since a loop over the names takes three times as long: a good part of reading a short answer.
    if (raw := answer.service_tier) and (len(raw) > 4 or tells(raw)):
        own["service_tier"] = raw
    if (raw := answer.system_fingerprint) and (len(raw) > 4 or tells(raw)):
        own["system_fingerprint"] = raw
    if (raw := answer.created) and (len(raw) > 4 or tells(raw)):
        own["created"] = raw
    if (
        answer.prompt_filter_results is not NOTHING
        or answer.moderation is not NOTHING
        or answer.citations is not NOTHING
        or answer.search_results is not NOTHING
        or answer.provider is not NOTHING
        or answer.timings is not NOTHING
    ):
        own = {name: raw for name in KEPT if tells(raw := getattr(answer, name))}
    if choice:
        own |= choice
    return {quirks.provider: own} if own else None


def members(names: Sequence[str], values: Sequence[Raw]) -> dict[str, Raw]:
    """Copies of those that have something to tell."""
    found = zip(names, values)  # noqa: B905  # `strict` takes a third of the time of all this
    return {name: raw.copy() for name, raw in found if raw and (len(raw) > 4 or tells(raw))}


def _kept_members(choice: WireChoice) -> dict[str, Raw] | None:
    filtered, word, stop = choice.content_filter_results, choice.native_finish_reason, choice.stop_reason
    if filtered is NOTHING and word is NOTHING and stop is NOTHING:
        return None
    return members(CHOICE_KEPT, (filtered, word, stop))


_index: Callable[[WireChoice], int] = attrgetter("index")


def _alternative(place: int, choice: WireChoice, answer: WireAnswer, quirks: Quirks) -> Choice:
    parts = _parts(choice.message, answer, quirks)
    return Choice(
        index=place,
        parts=parts,
        finish_reason=finish_reason(choice.finish_reason, parts),
        raw_finish_reason=choice.finish_reason or None,
        logprobs=logprobs(choice.logprobs),
    )
