"""`TokenCountingClient`: what the calls through it used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwire._stream import EventStream
from modelwire.base import _given
from modelwire.middleware._wrapper import Wrapper
from modelwire.types import Finish, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.base import ChatCompletionClient, ToolChoiceLike, ToolLike
    from modelwire.types import CreateResult, Message, StreamEvent

_NONE = Usage(prompt_tokens=0, completion_tokens=0)


class TokenCountingClient(Wrapper):
    """A client around `client` that adds up the tokens of all calls through it, streams included.

    Answers of a cache count apart, since nothing was sent for them. What a call used is only known from its answer: one
    that failed, and a stream that was closed before its end, is counted in `uncounted` and in no total.
    """

    usage: Usage
    """Tokens of all answers that did not come from a cache."""
    by_model: dict[str, Usage]
    """The same by model, under the name that the provider gave in its answer; `"unknown"` where there is none."""
    requests: int
    """Calls that have ended in any way and were not answered from a cache."""
    uncounted: int
    """Those of `requests` whose usage is not known: failed, closed early, or the provider did not report it."""
    cached_usage: Usage
    """Tokens that the answers from a cache once took."""
    cached_requests: int
    """Calls that were answered from a cache."""

    def __init__(self, client: ChatCompletionClient) -> None:
        super().__init__(client)
        self.reset()

    def reset(self) -> None:
        """Begin again at zero."""
        self.usage = self.cached_usage = _NONE
        self.by_model = {}
        self.requests = self.cached_requests = self.uncounted = 0

    @property
    def total_tokens(self) -> int:
        """Tokens of prompts and answers together, cached answers left out."""
        return self.usage.total_tokens

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts, cached answers left out."""
        return self.usage.prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens of the answers, cached ones left out."""
        return self.usage.completion_tokens

    def actual_usage(self) -> Usage:
        """The same as `usage`."""
        return self.usage

    def total_usage(self) -> Usage:
        """`usage` and `cached_usage` together."""
        return self.usage + self.cached_usage

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> CreateResult:
        """The inner client's answer, counted."""
        try:
            result = await self.inner.create(messages, **_given(tools, tool_choice, options))
        except BaseException:
            self.count(None)
            raise
        self.count(result)
        return result

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> EventStream:
        """The inner client's stream, counted at its end."""
        return _CountedStream(
            self, EventStream.over(self.inner.stream(messages, **_given(tools, tool_choice, options)))
        )

    def count(self, answer: CreateResult | Finish | None) -> None:
        """Add what a call used; `None` for one that gave no whole answer."""
        usage = answer.usage if answer is not None else None
        if answer is not None and answer.cached:
            self.cached_requests += 1
            self.cached_usage += usage or _NONE
            return
        self.requests += 1
        if answer is None or usage is None:
            self.uncounted += 1
            return
        self.usage += usage
        model = answer.model or "unknown"
        self.by_model[model] = self.by_model.get(model, _NONE) + usage


class _CountedStream(EventStream):
    """The events of another stream as they come."""

    __slots__ = ("_counter", "_inner", "_open")

    def __init__(self, counter: TokenCountingClient, inner: EventStream) -> None:
        super().__init__()
        self._counter = counter
        self._inner = inner
        self._open = False  # begun, and not counted yet

    async def _more(self) -> Sequence[StreamEvent]:
        if not self._seen:
            self._open = True
        events = await self._inner.batch()
        if events and isinstance(events[-1], Finish):
            self._count(events[-1])
        return events

    async def _release(self) -> None:
        self._count(None)
        await self._inner.aclose()

    def _count(self, finish: Finish | None) -> None:
        if self._open:
            self._open = False
            self._counter.count(finish)
