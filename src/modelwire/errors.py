"""The errors that modelwire raises.

    ModelwireError
    ├── ModelClientError            a call did not give an answer; carries the facts that policies need
    │   ├── AuthenticationError     the key or token is missing, wrong or expired (401)
    │   ├── PermissionDeniedError   the key is right but may not do this (403)
    │   ├── NotFoundError           no such model, deployment or path (404)
    │   ├── BadRequestError         the request is wrong; sending it again gives the same answer (400, 413, 422)
    │   │   ├── ContextLengthError      the prompt does not fit the model's context window
    │   │   └── UnsupportedOptionError  the model or API lacks this option
    │   ├── ContentFilterError      a content filter refused the prompt
    │   ├── RateLimitError          too many requests or tokens for now (429)
    │   │   └── QuotaExceededError      no credit or quota left: waiting does not help
    │   ├── OverloadedError         the provider is short of capacity (503, 529)
    │   ├── ServerError             the provider failed (other 5xx)
    │   ├── ConnectionFailedError   no connection, or it broke before an answer
    │   ├── ModelTimeoutError       a time limit or the deadline passed
    │   ├── StreamInterruptedError  a stream ended before its terminal frame; `partial` has what came
    │   ├── ProtocolError           the answer is not what the wire format says
    │   └── CacheMissError          `cache="only"`, and the answer is not in the cache
    ├── OutputValidationError       the answer's text does not fit the type asked for
    ├── ToolCallError               a call of the model's cannot be run as it stands
    ├── NotRecordedError            a recording that is played has no answer to the request
    └── CacheStoreError             a cache store was used wrongly, or cannot do its work

No exception of the HTTP library leaves the transport: its message becomes part of one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.types import Attempt, CreateResult, RateLimit

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "CacheMissError",
    "CacheStoreError",
    "ConnectionFailedError",
    "ContentFilterError",
    "ContextLengthError",
    "ModelClientError",
    "ModelTimeoutError",
    "ModelwireError",
    "NotFoundError",
    "NotRecordedError",
    "OutputValidationError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "QuotaExceededError",
    "RateLimitError",
    "ServerError",
    "StreamInterruptedError",
    "ToolCallError",
    "UnsupportedOptionError",
]


class ModelwireError(Exception):
    """The root of every error that modelwire raises on purpose."""


class ModelClientError(ModelwireError):
    """A call to a model did not give an answer."""

    status_code: int
    """The HTTP status; the status that an error inside a 200 answer stands for; 0 when there was no answer."""
    code: str | None
    """The provider's own word for the error, such as `context_length_exceeded`; `None` when it gave none."""
    request_id: str | None
    """The provider's id of the request, to quote to its support; `None` when it sent none."""
    retry_after: float | None
    """Seconds that the provider asks to wait before the next attempt; `None` when it asks for none."""
    retryable: bool
    """Whether the same request may succeed when it is sent again."""
    attempts: Sequence[Attempt]
    """Every request that went over the wire for this call, in order; empty when none did."""
    rate_limit: RateLimit | None
    """The rate limits that the answer's headers report; `None` when there are none."""
    body: bytes | None
    """The first part of the answer's body as it came; `None` when there was none."""

    earlier: Sequence[Attempt] = ()
    """From a transport to its client: what `protocols.HttpResponse.earlier` is on a response."""

    default_retryable = False

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        attempts: Sequence[Attempt] = (),
        rate_limit: RateLimit | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable = self.default_retryable if retryable is None else retryable
        self.attempts = attempts
        self.rate_limit = rate_limit
        self.body = body

    @property
    def message(self) -> str:
        """What went wrong, where, and what to do about it."""
        return str(self.args[0])


class AuthenticationError(ModelClientError):
    """The key or token is missing, wrong or expired."""


class PermissionDeniedError(ModelClientError):
    """The credential is valid but may not do this: region, project, model access."""


class NotFoundError(ModelClientError):
    """There is no such model, deployment or path."""


class BadRequestError(ModelClientError):
    """The request is wrong; sending it again gives the same answer.

    `status_code` is 0 when modelwire refused it before anything was sent.
    """


class ContextLengthError(BadRequestError):
    """The prompt, or the prompt and the answer asked for, do not fit the model's context window."""


class UnsupportedOptionError(BadRequestError):
    """The model or the API lacks an option of the call; `option` names it."""

    option: str | None

    def __init__(self, message: str, *, option: str | None = None, status_code: int = 0, **facts: object) -> None:
        super().__init__(message, status_code=status_code, **facts)  # type: ignore[arg-type]  # checked by the base
        self.option = option


class ContentFilterError(ModelClientError):
    """A content filter refused the prompt before the model answered."""


class RateLimitError(ModelClientError):
    """Too many requests or tokens for now; `retry_after` says how long to wait where the provider tells."""

    default_retryable = True


class QuotaExceededError(RateLimitError):
    """No credit or quota is left: waiting does not help."""

    default_retryable = False


class OverloadedError(ModelClientError):
    """The provider is short of capacity."""

    default_retryable = True


class ServerError(ModelClientError):
    """The provider failed."""

    default_retryable = True


class ConnectionFailedError(ModelClientError):
    """No connection could be made, or it broke before the answer was complete."""

    default_retryable = True


class ModelTimeoutError(ModelClientError):
    """A time limit passed: connecting, the first byte, between bytes, or the deadline of the whole call."""

    default_retryable = True


class StreamInterruptedError(ModelClientError):
    """A stream ended before its terminal frame."""

    partial: CreateResult | None
    """What had come until then, with `finish_reason="error"`; `None` when nothing had."""

    default_retryable = True

    def __init__(self, message: str, *, partial: CreateResult | None = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]  # checked by the base
        self.partial = partial


class ProtocolError(ModelClientError):
    """The answer is not what the wire format says: not JSON, not the expected shape, too large."""


class CacheMissError(ModelClientError):
    """A call with `cache="only"` found no stored answer; nothing was sent."""


class CacheStoreError(ModelwireError):
    """A cache store was used wrongly (closed, wrong password, another program's file), or cannot do its work.

    A store whose server or disk merely fails does not raise this for what it is asked to look up or keep, unless it
    was made with `strict=True`: the answer then is not cached.
    """


class OutputValidationError(ModelwireError):
    """The answer's text does not fit the type that was asked for."""

    text: str
    """The text that does not fit."""

    def __init__(self, message: str, *, text: str) -> None:
        super().__init__(message)
        self.text = text


class ToolCallError(ModelwireError):
    """A call that the model wrote cannot be run: there is no such tool, or the arguments do not fit it."""


class NotRecordedError(ModelwireError):
    """A recording that is played has no answer to the request; the message says what differs.

    No `ModelClientError`: the test is wrong or its recording is old, so nothing is retried and nobody falls back.
    """
