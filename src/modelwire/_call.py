"""One call of a provider client: its attempts on the wire, its retries, its deadline, and its line in the log."""

from __future__ import annotations

import logging
import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import msgspec

from modelwire import _http, errors
from modelwire._cancel import cancelled_by
from modelwire._fold import fold, has_content, unfold
from modelwire._stream import EventStream
from modelwire.protocols import HttpFacts, HttpRequest, HttpResponse
from modelwire.tokens import TokenCount
from modelwire.types import Attempt, Finish, Timing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from modelwire._settings import Headers
    from modelwire.client import ProviderClient
    from modelwire.protocols import HttpStream, StreamDecoder
    from modelwire.types import ChatRequest, CreateResult, StreamEvent, Usage

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

logger = logging.getLogger("modelwire")

DRAIN = 0.1
"""Seconds to wait for the end of a body whose last frame was read, so that its connection can be used again."""

_ASKS_FOR_EVENTS = (b"accept", b"text/event-stream")

_NO_FACTS = HttpFacts()

_set: Any = msgspec.structs.force_setattr


class Call:
    """What a call and a stream have in common."""

    retries = 0
    _refresh = _refreshed = _logged = False
    # The attempt that is under way:
    _running = False
    _sent_headers: Headers = ()
    status = 0
    facts = _NO_FACTS

    def __init__(
        self,
        client: ProviderClient,
        request: ChatRequest,
        http: HttpRequest,
        *,
        headers: Headers,
        deadline: float | None,
        token: Any,
        dropped: list[str],
    ) -> None:
        self.client = client
        self.request = request
        self.http = http
        self.headers = headers
        self.dropped = dropped or None
        self.deadline = deadline
        self.bounded = deadline is not None or token is not None
        self._token = token
        self.attempts: list[Attempt] = []
        self.begin()

    def begin(self) -> None:
        """Time counts from now on; it ends with the last attempt."""
        self.started = self._sent = self.ended = self.client.clock.now()

    # ------------------------------------------------------------------ one attempt

    async def admitted(self) -> Headers:
        """Wait at the gate; the credentials of this attempt. Only clients that are `guarded` need this.

        What the gate or the source of credentials raises is no failed attempt, and is not retried.
        """
        client = self.client
        if client.gate is not None:
            await client.gate(len(self.attempts) + 1)
        refresh, self._refresh = self._refresh, False
        return await client.auth_headers(refresh=refresh)

    def prepare(self, secrets: Headers) -> HttpRequest:
        """The request of an attempt that begins now, with these credentials."""
        client, http = self.client, self.http
        self._sent_headers = client.headers_of(http.headers, secrets, self.headers)
        self._running = True
        self._sent = client.clock.now()
        self.status, self.facts = 0, _NO_FACTS
        return HttpRequest(http.url, self._sent_headers, http.body, http.method)

    def answered(self, status: int, headers: Mapping[bytes, bytes], earlier: Sequence[Attempt] = ()) -> None:
        """Note the head of the answer, and what the transport had sent for nothing before."""
        if earlier:
            self._sent_for_nothing(earlier)
        self.status, self.facts = status, self.client.codec.facts(headers)

    def _sent_for_nothing(self, earlier: Sequence[Attempt]) -> None:
        for attempt in earlier:
            self.attempts.append(msgspec.structs.replace(attempt, started=self._sent - self.started))
            self._sent += attempt.duration

    def succeeded(self) -> None:
        """Note that the attempt gave an answer."""
        self._note()

    def failed(self, error: errors.ModelClientError) -> None:
        """Note that the attempt gave none, and tell its error what is known beside it."""
        if error.earlier and self._running:
            self._sent_for_nothing(error.earlier)
        facts = self.facts
        error.request_id = error.request_id or facts.request_id
        error.rate_limit = error.rate_limit or facts.rate_limit
        error.retry_after = facts.retry_after if error.retry_after is None else error.retry_after
        self._redact(error)
        if self._running:  # not where another task closed the stream, which noted the attempt
            self._note(error)

    def _note(self, error: errors.ModelClientError | None = None) -> None:
        known = error or self.facts
        self.ended = self.client.clock.now()
        attempt = Attempt(
            status_code=self.status,
            started=self._sent - self.started,
            duration=self.ended - self._sent,
            error=type(error).__name__ if error else None,
            code=error.code if error else None,
            request_id=known.request_id,
            retry_after=known.retry_after,
            rate_limit=known.rate_limit,
        )
        self.attempts.append(attempt)
        self._running = False

    # ------------------------------------------------------------------ secrets

    def error_of(self, response: HttpResponse) -> errors.ModelClientError:
        """The error that an answer stands for."""
        # Secrets go first: the error quotes the beginning of the body, which may end in the middle of one.
        return self.client.codec.decode_error(
            msgspec.structs.replace(response, body=self._without_secrets(response.body))
        )

    def _redact(self, error: errors.ModelClientError) -> None:
        message = self._without_secrets(error.message.encode())
        error.args = (message.decode(), *error.args[1:])
        error.body = self._without_secrets(error.body) if error.body else error.body

    def _without_secrets(self, text: bytes) -> bytes:
        """The text without the credentials of this attempt, should the server have echoed them."""
        for secret in _http.secrets(self._sent_headers):
            text = text.replace(secret, b"***")
        return text

    # ------------------------------------------------------------------ between attempts

    async def again(self, error: errors.ModelClientError) -> bool:
        """Wait for the next attempt.

        `False` when there is none: it would not help, all were used, or the wait does not fit the deadline.
        """
        client = self.client
        if error.status_code == 401 and client.refreshable and not self._refreshed:
            # The token may have expired early: one more try with a new one.
            self._refreshed = self._refresh = True
            return True
        delay = client.retry.delay(self.retries, error, client.clock.random) if client.retry else None
        if delay is None or delay >= self.remaining():
            return False
        self.retries += 1
        await client.clock.sleep(delay)
        return True

    def remaining(self) -> float:
        """Seconds until the deadline: the call's own, or that of a cancel scope around it."""
        own = math.inf if self.deadline is None else self.started + self.deadline - self.client.clock.now()
        return min(own, anyio.current_effective_deadline() - anyio.current_time())

    async def within_bounds(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this before the call's deadline, and before its token is cancelled.

        Raises `ModelTimeoutError` when the deadline passes, and `asyncio.CancelledError` for the token.
        """
        if self._token is None:
            return await self._within_deadline(work)
        return await cancelled_by(self._token, lambda: self._within_deadline(work))

    async def _within_deadline(self, work: Callable[[], Awaitable[T]]) -> T:
        if self.deadline is None:
            return await work()
        left = self.started + self.deadline - self.client.clock.now()
        with anyio.CancelScope(deadline=anyio.current_time() + left):
            return await work()
        raise self._timed_out()  # reached when the scope itself was cancelled

    def _timed_out(self) -> errors.ModelTimeoutError:
        """The error of a call whose deadline passed."""
        number = len(self.attempts)
        tried = f"after {number} failed attempt{'' if number == 1 else 's'}" if number else "during its first attempt"
        error = errors.ModelTimeoutError(
            f"{self.client.codec.provider}: the deadline of {self.deadline} s passed {tried}", retryable=False
        )
        if self._running:
            self.failed(error)
        return error

    # ------------------------------------------------------------------ the end

    def log(
        self,
        usage: Usage | None,
        finish: str | None,
        error: BaseException | None = None,
        *,
        counted: int | None = None,
    ) -> None:
        """One line a call: never contents, never credentials.

        It has a `finish_reason` after an answer, `counted` after a count of tokens, an `error` after a failure, and
        none of them for a stream that was closed before its end.
        """
        if self._logged:
            return
        self._logged = True
        if self._running:  # closed early, or cancelled
            self._note()
        if not logger.isEnabledFor(logging.INFO):
            return
        last = self.attempts[-1] if self.attempts else None
        facts: dict[str, Any] = {
            "provider": self.client.codec.provider,
            "model": self.request.model,
            "stream": self.request.stream,
            "status": last.status_code if last else 0,
            "attempts": len(self.attempts),
            "seconds": round(self.client.clock.now() - self.started, 4),
            "finish_reason": finish,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "request_id": last.request_id if last else None,
            "error": type(error).__name__ if error else None,
        }
        if counted is not None:
            facts["counted"] = int(counted)
        text = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
        logger.info("call %s", text, extra={"modelwire": facts})

    def log_failure(self, error: BaseException) -> None:
        """The line of a call that gave no answer, whatever the reason; its error gets the attempts."""
        self.log(None, None, error)
        if isinstance(error, errors.ModelClientError):
            error.attempts = tuple(self.attempts)


class WholeCall(Call, Generic[A, R]):
    """A call that waits for one whole answer: an `A`, of which the caller gets an `R`."""

    async def run(self, read: Callable[[bytes], A]) -> R:
        """Send until there is an answer, and `read` its body."""
        try:
            answer = await (self.within_bounds(partial(self._attempts, read)) if self.bounded else self._attempts(read))
        except BaseException as error:
            self.log_failure(error)
            raise
        return self._completed(answer)

    def _completed(self, answer: A) -> R:
        """What the caller gets."""
        raise NotImplementedError

    async def _attempts(self, read: Callable[[bytes], A]) -> A:
        client = self.client
        while True:
            request = self.prepare(await self.admitted() if client.guarded else client.secret_headers)
            try:
                response = await client.transport.send(request, client.timeouts)
                self.answered(response.status, response.headers, response.earlier)
                if response.status >= 300:
                    raise self.error_of(response)
                answer = read(response.body)
            except errors.ModelClientError as error:
                self.failed(error)
                if not await self.again(error):
                    raise
            else:
                self.succeeded()
                return answer


class PlainCall(WholeCall["CreateResult", "CreateResult"]):
    """A call that asks the model; see `ChatCompletionClient.create`."""

    def _completed(self, answer: CreateResult) -> CreateResult:
        self.log(answer.usage, answer.finish_reason)
        self.client.note_usage(answer.usage, self.request)
        # Completed in place: the codec has just made it for this call, and nobody else has seen it.
        facts = self.facts
        _set(answer, "attempts", self.attempts)
        _set(answer, "timing", _timing(answer.timing, self.ended - self.started, None))
        if facts.request_id:
            _set(answer, "request_id", facts.request_id)
        if facts.rate_limit:
            _set(answer, "rate_limit", facts.rate_limit)
        if self.dropped:
            _set(answer, "dropped_options", self.dropped)
        return answer


class CountCall(WholeCall[int, TokenCount]):
    """A call that asks the provider how many tokens a prompt has; see `ChatCompletionClient.count_tokens_remote`."""

    def _completed(self, answer: int) -> TokenCount:
        count = TokenCount(answer, "provider")
        self.log(None, None, counted=count)
        return count


def _timing(known: Timing | None, total: float, first_token: float | None) -> Timing:
    """Our own times beside those that the server reported."""
    if known is None:
        return Timing(total=total, first_token=first_token)
    return msgspec.structs.replace(known, total=total, first_token=first_token)


class ProviderStream(EventStream):
    """A streamed call. Nothing is sent before the first event is asked for."""

    __slots__ = (
        "_begun",
        "_call",
        "_decoder",
        "_delivered",
        "_done",
        "_first_token",
        "_held",
        "_http",
        "_opening",
    )

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self._http: HttpStream | None = None
        self._decoder: StreamDecoder | None = None
        self._opening: anyio.CancelScope | None = None
        self._held: list[StreamEvent] = []
        self._begun = False
        self._delivered = False
        self._done = False
        self._first_token: float | None = None

    def _more(self) -> Awaitable[Sequence[StreamEvent]]:
        call = self._call
        work = self._next
        if not self._delivered:
            work = self._first
            if not self._begun:
                self._begun = True
                call.begin()
        # No scope is held while the caller works on an event, only while it waits for one.
        return call.within_bounds(work) if call.bounded and not self._done else work()

    async def _fail(self, error: BaseException) -> None:
        if self._delivered and isinstance(error, errors.ModelClientError):
            await self._failed(error)
        self._call.log_failure(error)

    # ------------------------------------------------------------------ before the caller has seen anything

    async def _first(self) -> Sequence[StreamEvent]:
        """The first events, after as many attempts as it takes; `aclose` in another task ends the waiting."""
        try:
            with anyio.CancelScope() as self._opening:
                return await self._attempts()
        finally:
            self._opening = None
        raise errors.StreamInterruptedError(
            f"{self._call.client.codec.provider}: the stream was closed while another task waited for it",
            retryable=False,
        )

    async def _attempts(self) -> Sequence[StreamEvent]:
        call, client = self._call, self._call.client
        while True:
            request = call.prepare(await call.admitted() if client.guarded else client.secret_headers)
            try:
                return await self._attempt(request)
            except errors.ModelClientError as error:
                await self._failed(error)
                if not await call.again(error):
                    raise
            self._held, self._decoder = [], None

    async def _attempt(self, request: HttpRequest) -> Sequence[StreamEvent]:
        events: Sequence[StreamEvent] = await self._open(request)
        if events and type(events[-1]) is Finish:
            return await self._finish(events)
        while True:
            self._held += events
            if has_content(events):
                return self._deliver()
            events = await self._next()
            if self._done:
                return events

    async def _open(self, request: HttpRequest) -> list[StreamEvent]:
        """Send the request; the events that are known at once, all of them where the server does not stream."""
        call, client = self._call, self._call.client
        self._http = http = await client.transport.stream(request, client.timeouts)
        call.answered(http.status, http.headers, getattr(http, "earlier", ()))
        if http.status >= 300:
            raise call.error_of(HttpResponse(http.status, http.headers, await http.read()))
        media = http.headers.get(b"content-type", b"")
        if not client.codec.is_stream(media):
            return unfold(client.codec.decode(await http.read()))
        self._decoder = client.codec.stream_decoder()
        return [] if media else await self._unlabelled(http, self._decoder)

    async def _unlabelled(self, http: HttpStream, decoder: StreamDecoder) -> list[StreamEvent]:
        """The first events of an answer that does not say what it is; no stream of server-sent events begins as JSON."""
        beginning = b""
        async for beginning in http:
            if not beginning.isspace():  # which some servers send while they work
                break
        if _ASKS_FOR_EVENTS in self._call.http.headers and beginning.lstrip()[:1] in (b"{", b"["):
            return unfold(self._call.client.codec.decode(beginning + await http.read()))
        return decoder.feed(beginning)

    def _deliver(self) -> list[StreamEvent]:
        """From now on nothing is retried."""
        self._delivered = True
        self._first_token = self._call.client.clock.now() - self._call.started
        held, self._held = self._held, []
        return held

    # ------------------------------------------------------------------ from then on

    async def _next(self) -> Sequence[StreamEvent]:
        """The next events, however many bytes it takes; none after the last."""
        if self._done:
            return ()
        http, decoder = self._http, self._decoder
        assert decoder is not None
        assert http is not None
        while True:
            if decoder.error is not None:
                raise decoder.error
            try:
                chunk = await http.__anext__()
            except StopAsyncIteration:
                events = decoder.close()
            except errors.ConnectionFailedError as error:
                raise errors.StreamInterruptedError(
                    f"{error.message}: the stream broke off before its end", retryable=error.retryable
                ) from None
            else:
                events = decoder.feed(chunk)
            if events:
                return await self._finish(events) if type(events[-1]) is Finish else events

    async def _failed(self, error: errors.ModelClientError) -> None:
        """Note the failure, tell its error what had come until then, and give the connection back."""
        if isinstance(error, errors.StreamInterruptedError):
            seen = [*self._seen, *self._held]
            error.partial = fold(seen) if seen else None
            error.status_code = error.status_code or self._call.status
        self._call.failed(error)
        await self._give_back()

    async def _finish(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        """The last events. The connection is free before the caller sees them: many return at the result."""
        call, client = self._call, self._call.client
        assert self._http is not None
        await self._http.drain(DRAIN)
        self._http = None
        self._done = True
        *before, finish = events
        assert isinstance(finish, Finish)
        if not self._delivered:
            self._held += before
            before = self._deliver()
        call.succeeded()
        finish = msgspec.structs.replace(
            finish,
            request_id=call.facts.request_id or finish.request_id,
            attempts=call.attempts,
            timing=_timing(finish.timing, call.ended - call.started, self._first_token),
            rate_limit=call.facts.rate_limit,
            dropped_options=call.dropped,
        )
        call.log(finish.usage, finish.finish_reason)
        client.note_usage(finish.usage, call.request)
        return [*before, finish]

    # ------------------------------------------------------------------ giving back

    async def _release(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        await self._give_back()
        if self._begun:
            self._call.log(None, None)

    async def _give_back(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def __del__(self) -> None:
        http = getattr(self, "_http", None)
        if http is not None:
            self._http = None
            http.abandon()
            warnings.warn(
                "a stream was dropped before its end: use `async with`, or await its aclose()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
