"""`ChatCompletionClient`: what every client is, whether it speaks to a provider, wraps another, or is a user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from modelwire import tokens
from modelwire._fold import after_text, fold, unfold
from modelwire._stream import EventStream, TextStream
from modelwire._tools import to_tools
from modelwire.errors import BadRequestError, UnsupportedOptionError
from modelwire.types import CreateResult, TextDelta, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Protocol, Self, TypeAlias

    from modelwire.options import ModelInfo
    from modelwire.types import AnyTool, Message, StreamEvent, ToolChoice

    class HasSchema(Protocol):
        """A tool of AutoGen's kind."""

        @property
        def schema(self) -> Mapping[str, Any]:
            """Name, description and parameters."""
            ...

    ToolLike: TypeAlias = AnyTool | Mapping[str, Any] | Callable[..., Any] | HasSchema
    ToolChoiceLike: TypeAlias = str | ToolChoice | ToolLike

UNKNOWN_MODEL: ModelInfo = {
    "family": "unknown",
    "vision": True,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "multiple_system_messages": True,
}
"""What is assumed of a model that nothing is known about: everything works, and the server judges."""


class ChatCompletionClient:
    """A client of a chat model.

    A subclass defines any one of `create`, `create_stream` and `stream`, and has all three; it need not call
    `super().__init__()`, since there is no state here. `create(self, messages, **kwargs)` is a fine signature:
    `tools` and `tool_choice` are only passed on when a caller gave them.
    """

    model_info: ModelInfo = UNKNOWN_MODEL
    """What is known about the model."""

    # ------------------------------------------------------------------ the three verbs

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> CreateResult:
        """Ask the model and wait for the whole answer.

        Raises `ModelClientError`, or one of its kinds, when there is none.
        """
        given = _given(tools, tool_choice, options)
        if _defines(self, "stream"):
            async with EventStream.over(self.stream(messages, **given)) as events:
                return fold([event async for event in events])
        if _defines(self, "create_stream"):
            return await _last(self.create_stream(messages, **given))
        raise NotImplementedError(f"{type(self).__name__} defines none of create, create_stream and stream")

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> EventStream:
        """Ask the model and get typed events as they arrive; the last is a `Finish`.

        Nothing is sent before the first event is asked for. Raises as `create` does, from the iteration.
        """
        given = _given(tools, tool_choice, options)
        if not _defines(self, "create") and _defines(self, "create_stream"):
            return _events_of_text(self.create_stream(messages, **given))
        pending = True

        async def more() -> Sequence[StreamEvent]:
            nonlocal pending
            if not pending:
                return ()
            pending = False
            return unfold(await self.create(messages, **given))

        return EventStream.of(more)

    def create_stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> TextStream:
        """Ask the model and get the text of its answer in `str` chunks; the last item is the `CreateResult`.

        Nothing is sent before the first chunk is asked for. Raises as `create` does, from the iteration.
        """
        return TextStream(self.stream(messages, **_given(tools, tool_choice, options)))

    # ------------------------------------------------------------------ what wrappers build on

    async def request_key(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> bytes | None:
        """Bytes that are equal for two calls exactly when they ask for the same answer; `None`: do not cache.

        Credentials never enter.
        """
        kind = type(self)
        options.pop("cancellation_token", None)
        try:
            return msgspec.json.encode(
                [kind.__module__, kind.__qualname__, self.model_info, messages, to_tools(tools), tool_choice, options],
                order="sorted",
            )
        except (TypeError, ValueError, RecursionError, msgspec.MsgspecError, BadRequestError):
            # An option that is no data, such as a class: nothing to key on.
            return None

    def count_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> tokens.TokenCount:
        """Tokens that these messages and tools take in the prompt; here an estimate, as `.method` says."""
        return tokens.estimate(messages, tools)

    async def count_tokens_remote(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> tokens.TokenCount:
        """Tokens that a call with these arguments has in its prompt, as the provider itself counts them.

        Raises `UnsupportedOptionError` where nothing of the kind can be asked, as here: an estimate is never given in
        its place.
        """
        del messages, tools, tool_choice, options  # for clients that have somebody to ask
        raise cannot_count(f"{type(self).__name__}: there is no provider to ask")

    def remaining_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> tokens.TokenCount:
        """Tokens that the model's input has left beside these, as `count_tokens` counts; below 0 when they are too many.

        By the provider's count it is `model_info["max_input_tokens"] - await count_tokens_remote(messages)`. Raises
        `ValueError` when the model's limit is not known; `model_info={"max_input_tokens": ...}` says it.
        """
        limit = self.model_info.get("max_input_tokens")
        if limit is None:
            raise ValueError('the model\'s input limit is not known: pass model_info={"max_input_tokens": ...}')
        count = self.count_tokens(messages, tools=tools)
        return tokens.TokenCount(limit - count, count.method)

    def actual_usage(self) -> Usage:
        """Tokens that calls of this client really used, cached answers left out."""
        return Usage(prompt_tokens=0, completion_tokens=0)

    def total_usage(self) -> Usage:
        """Tokens of all answers of this client, cached ones included."""
        return self.actual_usage()

    @property
    def capabilities(self) -> ModelInfo:
        """AutoGen's older name of `model_info`."""
        return self.model_info

    @staticmethod
    def load_component(component: Mapping[str, Any]) -> ChatCompletionClient:
        """A client from AutoGen's form of a configuration: `{"provider": <class of a client>, "config": {...}}`.

        There is no way back, since a client's key would be in what it gave. Raises `ValueError` for a class that
        modelwire does not know, and what the constructor raises.
        """
        from modelwire.providers import client_of_component  # noqa: PLC0415  # the index names them all

        return client_of_component(component)

    # ------------------------------------------------------------------ the end

    async def close(self) -> None:
        """Close what this client made itself; repeatable."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def cannot_count(reason: str) -> UnsupportedOptionError:
    """The error of `count_tokens_remote` where nobody can be asked."""
    return UnsupportedOptionError(
        f"count_tokens_remote: {reason}; count_tokens() counts on this machine, and its .method says how",
        option="count_tokens_remote",
    )


def _given(tools: Sequence[ToolLike], tool_choice: ToolChoiceLike, options: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments that a caller gave, without the defaults, for clients that know no tools."""
    if tools:
        options["tools"] = tools
    if tool_choice != "auto":
        options["tool_choice"] = tool_choice
    return options


def _defines(client: ChatCompletionClient, verb: str) -> bool:
    return getattr(type(client), verb) is not getattr(ChatCompletionClient, verb)


async def _last(stream: AsyncIterable[str | CreateResult]) -> CreateResult:
    last: object = None
    iterator = aiter(stream)
    close = getattr(iterator, "aclose", None)  # an iterator of a user's own need not have it
    try:
        async for item in iterator:
            last = item
    finally:
        if close is not None:
            await close()
    if not isinstance(last, CreateResult):
        raise TypeError(f"the last item of create_stream must be a CreateResult, not {type(last).__name__}")
    return last


def _events_of_text(stream: AsyncIterable[str | CreateResult]) -> EventStream:
    """Events of a stream that a user's class gives as text and a result."""
    iterator = aiter(stream)

    async def more() -> Sequence[StreamEvent]:
        try:
            item = await anext(iterator)
        except StopAsyncIteration:
            return ()
        return (TextDelta(text=item),) if isinstance(item, str) else after_text(item)

    return EventStream.of(more, getattr(iterator, "aclose", None))
