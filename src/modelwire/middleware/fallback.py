"""`FallbackModelClient`: where one client has no answer, the next is asked."""

from __future__ import annotations

import hashlib
from functools import partial, reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import anyio
import msgspec

from modelwire._fold import has_content
from modelwire._stream import EventStream
from modelwire.base import _given
from modelwire.errors import ModelClientError, ModelTimeoutError, QuotaExceededError
from modelwire.middleware._deadline import Deadline
from modelwire.middleware._wrapper import Wrapper
from modelwire.types import CreateResult, Finish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelwire.base import ChatCompletionClient, ToolChoiceLike, ToolLike
    from modelwire.types import Attempt, Message, StreamEvent, Usage

A = TypeVar("A", CreateResult, Finish)


def another_may_answer(error: ModelClientError) -> bool:
    """Whether to ask the next client, unless `when=` says otherwise: what is wrong is not the request.

    That is an error that is worth a retry, a time limit or deadline of that client, and a quota that is used up.
    """
    return error.retryable or isinstance(error, (ModelTimeoutError, QuotaExceededError))


class FallbackModelClient(Wrapper):
    """A client that asks `primary`, and where that gives no answer the `fallbacks`, in order.

    ```python
    client = FallbackModelClient(connect("openai:gpt-4.1"), connect("anthropic:claude-sonnet-4-5"), deadline=60)
    ```

    The next client is asked when an error of the one before lets hope that it will do better: overload, rate limits,
    quota, time limits, failures of the server and the connection. `when=` decides instead, with the error (the rule is
    `modelwire.middleware.fallback.another_may_answer`); it never sees one that came after content of a stream, since that
    was delivered already. Each client does its own retries first.

    Everyone gets the same messages, and all but the first `unsupported="drop"`, so that no fallback fails for an option
    that it lacks; `dropped_options` of the answer lists them. `deadline` bounds the whole call, all clients and their
    retries together. The answer's `provider` and `model` say who gave it, and its `attempts` are those of all. So are
    the attempts of the error that is raised when nobody answers: it is the last client's, with a note for each before.

    `model_info` and `count_tokens` are those of `primary`. All clients stay the caller's: `close` closes none.
    """

    def __init__(
        self,
        primary: ChatCompletionClient,
        *fallbacks: ChatCompletionClient,
        when: Callable[[ModelClientError], bool] | None = None,
        deadline: float | None = None,
    ) -> None:
        if not fallbacks:
            raise TypeError("FallbackModelClient takes the first client and at least one more to fall back to")
        super().__init__(primary)
        Deadline(deadline)  # refuses what is none
        self.clients = (primary, *fallbacks)
        self._when = when or another_may_answer
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.clients))})"

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> CreateResult:
        """The answer of the first client that gives one.

        Raises the error of the last that was asked.
        """
        deadline = Deadline(options.pop("deadline", self._deadline))
        course = _Course(self._turns(tools, tool_choice, options), self._when)
        try:
            return await deadline.run(partial(self._create, course, messages))
        except ModelClientError as error:
            if not course.failures:
                raise
            raise course.joined(error) from course.failures[-1].error

    async def _create(self, course: _Course, messages: Sequence[Message]) -> CreateResult:
        while True:
            client, options = course.next()
            try:
                result = await client.create(messages, **options)
            except ModelClientError as error:
                if not course.goes_on(error):
                    raise
            else:
                return course.whole(result)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> EventStream:
        """The stream of the first client that begins one with content.

        Raises the error of the last that was asked, from the iteration.
        """
        deadline = Deadline(options.pop("deadline", self._deadline))
        return _FallbackStream(_Course(self._turns(tools, tool_choice, options), self._when), messages, deadline)

    async def request_key(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> bytes | None:
        """A key of the whole chain, whoever answers; `None` where one of the clients has none."""
        options.pop("deadline", None)
        parts = [b"fallback"]
        for client, options_of_client in self._turns(tools, tool_choice, options):
            key = await client.request_key(messages, **options_of_client)
            if key is None:
                return None
            parts.append(hashlib.sha256(key).digest())
        return b"\0".join(parts)

    def actual_usage(self) -> Usage:
        """What all clients used."""
        return reduce(add, (client.actual_usage() for client in self.clients))

    def total_usage(self) -> Usage:
        """What all clients used, cached answers included."""
        return reduce(add, (client.total_usage() for client in self.clients))

    def _turns(
        self, tools: Sequence[ToolLike], tool_choice: ToolChoiceLike, options: dict[str, Any]
    ) -> list[tuple[ChatCompletionClient, dict[str, Any]]]:
        """Each client with the arguments that it gets."""
        options = _given(tools, tool_choice, options)
        # A call without arguments has nothing to drop, so that clients which know no options can stand in the chain.
        lenient = {"unsupported": "drop", **options} if options else options
        first, *others = self.clients
        return [(first, options), *((client, lenient) for client in others)]


class _Failure(NamedTuple):
    """A client of the chain that gave no answer."""

    client: ChatCompletionClient
    error: ModelClientError
    since: float
    """Seconds from the beginning of the call to this client's turn."""


class _Course:
    """One call on its way along the chain."""

    def __init__(
        self, turns: list[tuple[ChatCompletionClient, dict[str, Any]]], when: Callable[[ModelClientError], bool]
    ) -> None:
        self.failures: list[_Failure] = []
        self._turns = turns
        self._when = when
        self._started = 0.0
        self._since = 0.0

    def next(self) -> tuple[ChatCompletionClient, dict[str, Any]]:
        """The client whose turn it is, and its arguments."""
        now = anyio.current_time()
        if not self.failures:
            self._started = now
        self._since = now - self._started
        return self._turns[len(self.failures)]

    def goes_on(self, error: ModelClientError) -> bool:
        """Whether the next client is asked after this error, which is noted then."""
        turn = len(self.failures)
        if turn + 1 == len(self._turns) or not self._when(error):
            return False
        # Without its frames, which hold this call: a cycle.
        self.failures.append(_Failure(self._turns[turn][0], error.with_traceback(None), self._since))
        return True

    def whole(self, answer: A) -> A:
        """The answer with the attempts and the time of the whole call, of which its client knows only its own part."""
        if not self.failures:
            return answer
        timing = answer.timing
        if timing is not None:
            first = timing.first_token
            timing = msgspec.structs.replace(
                timing,
                total=timing.total + self._since,
                first_token=None if first is None else first + self._since,
            )
        return msgspec.structs.replace(answer, attempts=self._attempts(answer.attempts or ()) or None, timing=timing)

    def joined(self, error: ModelClientError) -> ModelClientError:
        """The error of the whole call: that of the last client, with the attempts of all and a note for each failure.

        It is a copy: other calls may share what an inner client raised.
        """
        kind = type(error)
        joined = kind.__new__(kind, *error.args)
        joined.__dict__ |= error.__dict__ | {"__notes__": list(getattr(error, "__notes__", ()))}
        joined.__traceback__ = error.__traceback__
        joined.attempts = self._attempts(error.attempts)
        for client, failed, _ in self.failures:
            joined.add_note(f"Before that, {client!r} failed: {type(failed).__name__}: {failed.message}")
        return joined

    def _attempts(self, last: Sequence[Attempt]) -> list[Attempt]:
        """The attempts of all clients up to now, with their times counted from the beginning of the call."""
        parts = [(failure.error.attempts, failure.since) for failure in self.failures]
        return [
            msgspec.structs.replace(attempt, started=attempt.started + since)
            for attempts, since in (*parts, (last, self._since))
            for attempt in attempts
        ]


class _FallbackStream(EventStream):
    """The stream of the client that answers."""

    __slots__ = ("_course", "_deadline", "_inner", "_messages")

    def __init__(self, course: _Course, messages: Sequence[Message], deadline: Deadline) -> None:
        super().__init__()
        self._course = course
        self._messages = messages
        self._deadline = deadline
        self._inner: EventStream | None = None

    async def _more(self) -> Sequence[StreamEvent]:
        course = self._course
        try:
            events = await self._deadline.run(self._first if self._inner is None else self._inner.batch)
        except ModelClientError as error:
            if not course.failures:
                raise
            raise course.joined(error) from course.failures[-1].error
        if course.failures and events and isinstance(events[-1], Finish):
            return [*events[:-1], course.whole(events[-1])]
        return events

    async def _first(self) -> list[StreamEvent]:
        """The events up to the first content, of the client that has some."""
        course = self._course
        while True:
            client, options = course.next()
            held: list[StreamEvent] = []
            try:
                self._inner = EventStream.over(client.stream(self._messages, **options))
                while events := await self._inner.batch():
                    held += events
                    if has_content(events):
                        return held
            except ModelClientError as error:
                if self._ended or not course.goes_on(error):  # ended: another task closed this stream
                    raise
            else:
                return held

    async def _release(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()
