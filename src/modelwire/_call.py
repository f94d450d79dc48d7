"""One call of a provider client: its attempts on the wire, its retries, its deadline, and its line in the log."""

from __future__ import annotations

import logging
import math
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import msgspec

from modelwire import errors
from modelwire._fold import fold, unfold
from modelwire._stream import EventStream
from modelwire.protocols import HttpFacts, HttpResponse
from modelwire.types import Attempt, Finish, Start, Timing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from modelwire._settings import Headers
    from modelwire.client import ProviderClient
    from modelwire.protocols import HttpRequest, HttpStream, StreamDecoder
    from modelwire.types import ChatRequest, CreateResult, StreamEvent, Usage

T = TypeVar("T")

logger = logging.getLogger("modelwire")

DRAIN = 0.1
"""Seconds to wait for the end of a body whose last frame was read, so that its connection can be used again."""


class Call:
    """What a call and a stream have in common."""

    def __init__(
        self,
        client: ProviderClient,
        request: ChatRequest,
        http: HttpRequest,
        headers: Headers,
        deadline: float | None,
        dropped: list[str],
    ) -> None:
        self.client = client
        self.request = request
        self.http = http
        self.headers = headers
        self.dropped = dropped or None
        self.attempts: list[Attempt] = []
        self.retries = 0
        self.refreshed = False
        self.started = client.clock.now()
        self.sent = self.started
        self.deadline = deadline

    # ------------------------------------------------------------------ one attempt

    async def prepare(self) -> HttpRequest:
        """Wait at the gate, and put the credentials of this attempt on the request."""
        client = self.client
        if client.gate is not None:
            await client.gate(len(self.attempts) + 1)
        secrets = await client.auth_headers(refresh=self.refreshed)
        self.sent = client.clock.now()
        # A dict, since the later of two equal names wins: the user's over ours, the call's over the client's.
        headers = dict((*self.http.headers, *secrets, *client.headers, *self.headers))
        return self.http._replace(headers=tuple(headers.items()))

    def succeeded(self, status: int, facts: HttpFacts) -> None:
        """Note an attempt that gave an answer."""
        self._note(status, facts.request_id, facts.retry_after, None, None, facts)

    def failed(self, error: errors.ModelClientError, status: int | None = None, facts: HttpFacts | None = None) -> None:
        """Note an attempt that gave none."""
        facts = facts or HttpFacts(error.request_id, error.retry_after, None, error.rate_limit)
        status = error.status_code if status is None else status
        self._note(
            status, error.request_id or facts.request_id, error.retry_after, type(error).__name__, error.code, facts
        )
        error.request_id = error.request_id or facts.request_id
        error.rate_limit = error.rate_limit or facts.rate_limit
        error.attempts = tuple(self.attempts)

    def _note(
        self,
        status: int,
        request_id: str | None,
        retry_after: float | None,
        error: str | None,
        code: str | None,
        facts: HttpFacts,
    ) -> None:
        attempt = Attempt(
            status_code=status,
            started=self.sent - self.started,
            duration=self.client.clock.now() - self.sent,
            error=error,
            code=code,
            request_id=request_id,
            retry_after=retry_after,
            rate_limit=facts.rate_limit,
        )
        self.attempts.append(attempt)

    def error_of(self, response: HttpResponse) -> errors.ModelClientError:
        """The error that an answer stands for, without the secrets that a server may have echoed."""
        return self.client.redacted(self.client.codec.decode_error(response))

    # ------------------------------------------------------------------ between attempts

    async def wait(self, error: errors.ModelClientError) -> None:
        """Wait for the next attempt.

        Raises `error` when there is none: it would not help, all were used, or the wait does not fit the deadline.
        """
        client = self.client
        if error.status_code == 401 and client.refreshable and not self.refreshed:
            self.refreshed = True  # the token may have expired early: one more try with a new one
            return
        delay = client.retry.delay(self.retries, error, client.clock.random) if client.retry else None
        if delay is None or delay >= self.remaining():
            raise error
        self.retries += 1
        await client.clock.sleep(delay)

    def remaining(self) -> float:
        """Seconds until the deadline: the call's own, or that of a cancel scope around it."""
        own = math.inf if self.deadline is None else self.started + self.deadline - self.client.clock.now()
        return min(own, anyio.current_effective_deadline() - anyio.current_time())

    async def within_deadline(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this before the call's deadline.

        Raises `ModelTimeoutError` when it passes.
        """
        if self.deadline is None:
            return await work()
        left = self.started + self.deadline - self.client.clock.now()
        with anyio.CancelScope(deadline=anyio.current_time() + left):
            return await work()
        raise self.timed_out()  # reached when the scope itself was cancelled

    def timed_out(self) -> errors.ModelTimeoutError:
        """The error of a call whose deadline passed."""
        number = len(self.attempts)
        tried = f"after {number} failed attempt{'' if number == 1 else 's'}" if number else "during its first attempt"
        return errors.ModelTimeoutError(
            f"{self.client.codec.provider}: the deadline of {self.deadline} s passed {tried}",
            retryable=False,
            attempts=tuple(self.attempts),
        )

    # ------------------------------------------------------------------ the end

    def log(self, usage: Usage | None, finish: str | None, error: BaseException | None = None) -> None:
        """One line a call: never contents, never credentials."""
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
        text = " ".join(f"{name}={value}" for name, value in facts.items() if value is not None)
        logger.info("call %s", text, extra={"modelwire": facts})


class PlainCall(Call):
    """A call that waits for the whole answer."""

    async def run(self) -> CreateResult:
        """Send until there is an answer; see `ChatCompletionClient.create`."""
        try:
            result = await self.within_deadline(self._attempts)
        except errors.ModelClientError as error:
            self.log(None, None, error)
            raise
        self.log(result.usage, result.finish_reason)
        self.client.note_usage(result.usage, self.request)
        return result

    async def _attempts(self) -> CreateResult:
        while True:
            try:
                return await self._attempt()
            except errors.ModelClientError as error:
                await self.wait(error)

    async def _attempt(self) -> CreateResult:
        client = self.client
        request = await self.prepare()
        try:
            response = await client.transport.send(request, client.timeouts)
        except errors.ModelClientError as error:
            self.failed(error)
            raise
        if response.status >= 300:
            told = self.error_of(response)
            self.failed(told, response.status)
            raise told
        facts = client.codec.facts(response.headers)
        try:
            result = client.codec.decode(response.body)
        except errors.ModelClientError as error:
            self.failed(client.redacted(error), response.status, facts)
            raise
        self.succeeded(response.status, facts)
        return msgspec.structs.replace(
            result,
            request_id=facts.request_id or result.request_id,
            attempts=self.attempts,
            timing=_timing(result.timing, client.clock.now() - self.started, None),
            rate_limit=facts.rate_limit,
            dropped_options=self.dropped,
        )


def _timing(known: Timing | None, total: float, first_token: float | None) -> Timing:
    """Our own times beside those that the server reported."""
    if known is None:
        return Timing(total=total, first_token=first_token)
    return msgspec.structs.replace(known, total=total, first_token=first_token)


class ProviderStream(EventStream):
    """A streamed call. Nothing is sent before the first event is asked for."""

    __slots__ = ("_call", "_decoder", "_delivered", "_done", "_facts", "_first_token", "_held", "_http", "_logged")

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self._http: HttpStream | None = None
        self._decoder: StreamDecoder | None = None
        self._facts = HttpFacts()
        self._held: list[StreamEvent] = []
        self._delivered = False
        self._done = False
        self._logged = False
        self._first_token: float | None = None

    async def _more(self) -> Sequence[StreamEvent]:
        try:
            # The scope of the deadline is not held while the caller works on an event, only while it waits for one.
            return await self._call.within_deadline(self._attempts)
        except errors.ModelClientError as error:
            self._log(None, error)
            raise

    async def _attempts(self) -> Sequence[StreamEvent]:
        while True:
            try:
                return await self._batch()
            except errors.ModelClientError as error:
                status = self._http.status if self._http is not None else None
                await self._release()
                error = self._explained(error)
                self._call.failed(error, status, self._facts if status else None)
                if self._delivered:
                    raise error from None
                await self._call.wait(error)
                self._held, self._decoder, self._facts = [], None, HttpFacts()

    def _explained(self, error: errors.ModelClientError) -> errors.ModelClientError:
        """The error as the caller sees it: with what had come until then."""
        if self._decoder is None:
            return error
        if isinstance(error, errors.ConnectionFailedError):
            error = errors.StreamInterruptedError(
                f"{error.message}: the stream broke off before its end",
                status_code=200,
                request_id=self._facts.request_id,
            )
        if isinstance(error, errors.StreamInterruptedError):
            seen = [*self._seen, *self._held]
            error.partial = fold(seen) if seen else None
            error.status_code = error.status_code or 200
        return self._call.client.redacted(error)

    async def _batch(self) -> Sequence[StreamEvent]:
        """The next events that a caller may see."""
        if self._done:
            return ()
        decoder = self._decoder
        if decoder is None:
            whole = await self._open()
            if whole is not None:
                return await self._finish(whole)
            decoder = self._decoder
        assert decoder is not None
        assert self._http is not None
        while True:
            if decoder.error is not None:
                raise decoder.error
            try:
                chunk = await self._http.__anext__()
            except StopAsyncIteration:
                events = decoder.close()
            else:
                events = decoder.feed(chunk)
            if not events:
                continue
            if type(events[-1]) is Finish:
                return await self._finish(events)
            if self._delivered:
                return events
            self._held += events
            if any(type(event) is not Start for event in events):
                return self._deliver()

    def _deliver(self) -> list[StreamEvent]:
        """From now on nothing is retried."""
        self._delivered = True
        self._first_token = self._call.client.clock.now() - self._call.started
        held, self._held = self._held, []
        return held

    async def _open(self) -> list[StreamEvent] | None:
        """Send the request; the events of the whole answer where the server does not stream."""
        call, client = self._call, self._call.client
        request = await call.prepare()
        self._http = await client.transport.stream(request, client.timeouts)
        head = self._http
        self._facts = client.codec.facts(head.headers)
        if head.status >= 300:
            body = await head.read()
            raise call.error_of(HttpResponse(head.status, head.headers, body))
        if not client.codec.is_stream(head.headers.get(b"content-type", b"")):
            return unfold(client.codec.decode(await head.read()))
        self._decoder = client.codec.stream_decoder()
        return None

    async def _finish(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """The last events. The connection is free before the caller sees them: many return at the result."""
        call, client = self._call, self._call.client
        assert self._http is not None
        status = self._http.status
        await self._http.drain(DRAIN)
        self._http = None
        self._done = True
        call.succeeded(status, self._facts)
        if not self._delivered:
            self._held += events[:-1]
            before = self._deliver()
        else:
            before = events[:-1]
        finish = events[-1]
        assert isinstance(finish, Finish)
        total = client.clock.now() - call.started
        finish = msgspec.structs.replace(
            finish,
            request_id=self._facts.request_id or finish.request_id,
            attempts=call.attempts,
            timing=_timing(finish.timing, total, self._first_token),
            rate_limit=self._facts.rate_limit,
            dropped_options=call.dropped,
        )
        self._log(finish)
        client.note_usage(finish.usage, call.request)
        return [*before, finish]

    def _log(self, finish: Finish | None, error: BaseException | None = None) -> None:
        if not self._logged:
            self._logged = True
            self._call.log(finish.usage if finish else None, finish.finish_reason if finish else None, error)

    async def _release(self) -> None:
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
