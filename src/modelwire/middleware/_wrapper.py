"""What clients around one other client have in common: whatever they do not change is the inner client's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwire.base import ChatCompletionClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.tokens import TokenCount
    from modelwire.types import Message, Usage


class Wrapper(ChatCompletionClient):
    """A client around `inner`, which stays the caller's: closing the wrapper does not close it.

    A subclass defines `create` and `stream`, over the `create` and `stream` of `inner`, never its `create_stream`.
    """

    def __init__(self, inner: ChatCompletionClient) -> None:
        self.inner = inner
        self.model_info = inner.model_info

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    async def request_key(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> bytes | None:
        """The inner client's key: what goes around it does not change the answer."""
        return await self.inner.request_key(messages, tools=tools, tool_choice=tool_choice, **options)

    def count_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> TokenCount:
        """What the inner client counts."""
        return self.inner.count_tokens(messages, tools=tools)

    async def count_tokens_remote(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> TokenCount:
        """What the inner client's provider counts."""
        return await self.inner.count_tokens_remote(messages, tools=tools, tool_choice=tool_choice, **options)

    def actual_usage(self) -> Usage:
        """What the inner client used."""
        return self.inner.actual_usage()

    def total_usage(self) -> Usage:
        """What the inner client used, cached answers included."""
        return self.inner.total_usage()
