"""Answers of Ollama's `/api/chat`, whole, and errors.

https://github.com/ollama/ollama/blob/main/docs/api.md and `api/types.go` of the same repository.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from modelwire import _http, errors
from modelwire.errors import ModelClientError, ProtocolError
from modelwire.providers._body import made_up_id
from modelwire.providers._json import UNREADABLE
from modelwire.providers._ollama.encode import ORIGIN
from modelwire.types import (
    CreateResult,
    FunctionCall,
    Reasoning,
    Text,
    Timing,
    TokenLogprob,
    Usage,
)

if TYPE_CHECKING:
    from modelwire._fold import FinishReason
    from modelwire.protocols import HttpResponse
    from modelwire.types import Part

Raw = msgspec.Raw
NOTHING = Raw()


class WireMessage(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Raw] | None = None


class WireAnswer(msgspec.Struct):
    """A whole answer, or one line of a stream."""

    message: WireMessage | None = None
    done: bool = False
    model: str | None = None
    created_at: str | None = None
    done_reason: str | None = None
    logprobs: list[TokenLogprob] | None = None
    error: Any = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    total_duration: int | None = None
    """Nanoseconds, as all durations here."""
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    remote_model: Raw = NOTHING
    remote_host: Raw = NOTHING


_answer = msgspec.json.Decoder(WireAnswer)
_members = msgspec.json.Decoder(dict[str, Raw])


def read(body: bytes) -> WireAnswer:
    """One object.

    Raises the error that it tells of, and `ProtocolError` for garbage.
    """
    try:
        answer = _answer.decode(body)
    except UNREADABLE as error:
        raise garbage(body, error) from None
    if answer.error:
        raise made_error(500, str(answer.error), body)
    if answer.message is None and not answer.done:
        raise garbage(body, ValueError("it has no message"))
    return answer


def garbage(body: bytes, error: Exception) -> ProtocolError:
    """The error for what is no answer."""
    what = f"not an answer of /api/chat ({error}): {_http.excerpt(body)}"
    if not body.strip():
        what = "an empty answer; is base_url the server's own, without /v1?"
    elif _http.looks_like_html(body):
        what = f"a web page instead of JSON (a proxy, or a wrong base_url): {_http.excerpt(body)}"
    return ProtocolError(f"{ORIGIN}: {what}", status_code=200, body=body[: _http.MAX_ERROR_BODY])


# ---------------------------------------------------------------------- whole answers


def decode(body: bytes) -> CreateResult:
    """A whole answer.

    Raises the error that it tells of, and `ProtocolError` for anything that is none.
    """
    answer = read(body)
    message = answer.message or WireMessage()
    parts: list[Part] = []
    if message.thinking:
        parts.append(Reasoning(text=message.thinking, provider=ORIGIN, model=answer.model))
    if message.content:
        parts.append(Text(text=message.content))
    try:
        calls = [function_call(raw, index, answer.created_at) for index, raw in enumerate(message.tool_calls or ())]
        own = kept(answer)
    except UNREADABLE as error:  # what was raw until now
        raise garbage(body, error) from None
    parts += calls
    return CreateResult(
        parts=parts,
        finish_reason=finish_reason(answer.done_reason, calls=bool(calls)),
        raw_finish_reason=answer.done_reason,
        usage=usage(answer),
        logprobs=answer.logprobs or None,
        model=answer.model,
        provider=ORIGIN,
        timing=timing(answer),
        provider_data=own,
    )


def function_call(raw: Raw, index: int, created_at: str | None) -> FunctionCall:
    """A call; its arguments are an object on this wire, and are kept as the text that came.

    Raises one of `UNREADABLE` for anything else.
    """
    str(raw, "utf-8")  # no decoder looks into members that are kept raw
    members = _members.decode(raw)
    function = _members.decode(members.pop("function", Raw(b"{}")))
    name = msgspec.json.decode(function.pop("name", Raw(b'""')), type=str)
    arguments = bytes(function.pop("arguments", Raw(b"{}")))
    given = members.pop("id", NOTHING)
    function.pop("index", None)
    members.pop("type", None)
    own: dict[str, Any] = {key: value.copy() for key, value in members.items()}
    if function:
        own["function"] = Raw(msgspec.json.encode(function))
    return FunctionCall(
        id=(msgspec.json.decode(given, type=str) if given else "") or made_up_id(created_at, index, name),
        name=name,
        arguments=(arguments if arguments != b"null" else b"{}").decode(),
        provider_data={ORIGIN: own} if own else None,
    )


def finish_reason(raw: str | None, *, calls: bool) -> FinishReason:
    """The unified reason; `load` and `unload` answer empty requests."""
    if calls:
        return "function_calls"
    known: dict[str | None, Literal["stop", "length"]] = {"stop": "stop", "length": "length", None: "stop"}
    return known.get(raw, "unknown")


def usage(answer: WireAnswer) -> Usage | None:
    """Token counts; older servers leave the prompt's out when all of it was cached."""
    if answer.prompt_eval_count is None and answer.eval_count is None:
        return None
    return Usage(prompt_tokens=answer.prompt_eval_count or 0, completion_tokens=answer.eval_count or 0)


def timing(answer: WireAnswer) -> Timing | None:
    """The server's own times."""
    if answer.total_duration is None:
        return None
    return Timing(
        total=_seconds(answer.total_duration) or 0.0,
        server_total=_seconds(answer.total_duration),
        server_load=_seconds(answer.load_duration),
        server_prompt=_seconds(answer.prompt_eval_duration),
        server_generation=_seconds(answer.eval_duration),
    )


def _seconds(nanoseconds: int | None) -> float | None:
    """`None` also for what is no duration: no number of nanoseconds that a server counts is larger than 64 bits."""
    return None if nanoseconds is None or abs(nanoseconds) >= 2**63 else nanoseconds / 1e9


def kept(answer: WireAnswer) -> dict[str, dict[str, Raw]] | None:
    """Which remote model answered, where the server passed the request on.

    Raises `UnicodeDecodeError` where that is no UTF-8.
    """
    own = {name: raw.copy() for name in ("remote_model", "remote_host") if (raw := getattr(answer, name))}
    for raw in own.values():
        str(raw, "utf-8")
    return {ORIGIN: own} if own else None


# ---------------------------------------------------------------------- errors


def error_from_response(response: HttpResponse, request_id: str | None) -> ModelClientError:
    """The error that an answer with this status stands for: `{"error": "text"}`."""
    try:
        said = msgspec.json.decode(response.body)
        message = said.get("error") if isinstance(said, dict) else None
    except UNREADABLE:
        message = None
    if not message and _http.looks_like_html(response.body):
        message = f"a web page instead of JSON (a proxy, or a wrong base_url): {_http.excerpt(response.body)}"
    error = made_error(response.status, str(message or _http.excerpt(response.body) or "no explanation"), response.body)
    error.request_id = request_id
    error.retry_after = _http.retry_after(response.headers)
    return error


def made_error(status: int, message: str, body: bytes) -> ModelClientError:
    """The error class by status and words; the server has no codes."""
    kind, remedy = _kind(status, message)
    text = f"{ORIGIN}: {message} (status {status}){remedy}"
    kept_body = body[: _http.MAX_ERROR_BODY]
    if kind is errors.UnsupportedOptionError:
        option = "tools" if "tools" in message else "think" if "think" in message else None
        return errors.UnsupportedOptionError(text, option=option, status_code=status, body=kept_body)
    return kind(text, status_code=status, body=kept_body)


def _kind(status: int, message: str) -> tuple[type[ModelClientError], str]:
    if "does not support" in message:
        return errors.UnsupportedOptionError, ""
    if status == 404:
        return errors.NotFoundError, "; `ollama pull` fetches a model, and base_url= is the server's own, without /v1"
    if status < 500 and ("context length" in message or "context window" in message):
        return errors.ContextLengthError, "; raise num_ctx or shorten the messages"
    return _KINDS.get(
        status, errors.ServerError if status >= 500 else errors.BadRequestError if status >= 400 else ModelClientError
    ), ""


_KINDS: dict[int, type[ModelClientError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    408: errors.ModelTimeoutError,
    429: errors.RateLimitError,
    503: errors.OverloadedError,
}
