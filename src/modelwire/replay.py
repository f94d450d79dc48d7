"""A client that answers from a list, for tests of code that calls a model."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, get_args

import anyio.lowlevel
import msgspec

from modelwire import models, tokens
from modelwire._fold import fold, unfold
from modelwire._stream import EventStream
from modelwire._tools import to_tools
from modelwire.base import UNKNOWN_MODEL, ChatCompletionClient
from modelwire.errors import StreamInterruptedError
from modelwire.middleware._deadline import Deadline
from modelwire.types import (
    CreateResult,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.types import Message

    Script: TypeAlias = Sequence[StreamEvent | BaseException]
    Told: TypeAlias = str | CreateResult | BaseException | Script
    Function: TypeAlias = Callable[[Sequence[Message], dict[str, Any]], Told | Awaitable[Told]]
    Response: TypeAlias = Told | Function

_EVENTS = get_args(StreamEvent)
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
"""A word with the space before it, as the tokens of most models are; a long one in parts."""
_FIELDS: dict[type, str] = {TextDelta: "text", ReasoningDelta: "text", RefusalDelta: "text", ToolCallDelta: "arguments"}
"""What comes in pieces."""
_INPUT_TOKENS = 10_000
"""What AutoGen's replay client has for all calls together, where `model_info` has no `max_input_tokens`."""


class ReplayCall(NamedTuple):
    """One call of a `ReplayChatCompletionClient`."""

    messages: list[Message]
    """As they were at the time of the call."""
    tools: Sequence[ToolLike]
    """Empty for none."""
    tool_choice: ToolChoiceLike
    """`"auto"` where none was given."""
    options: dict[str, Any]
    """All other keyword arguments of the call."""
    stream: bool
    """Whether the answer was streamed."""


class ReplayChatCompletionClient(ChatCompletionClient):
    """A client that gives its `responses` in order, one for each call, and notes the calls.

    ```python
    client = ReplayChatCompletionClient(["Hello!", RateLimitError("slow down"), lambda messages, options: "..."])
    await code_under_test(client)
    assert client.calls[0].messages == [...]
    ```

    A response is

    - a `str`: the text of an answer, with a usage of as many tokens as there are words;
    - a `CreateResult`, given as it is;
    - an exception, which is raised;
    - a list of stream events, streamed as they are. An exception among them is raised in its place, and a list that does
      not end in a `Finish` breaks off there: it raises `StreamInterruptedError`;
    - a function, sync or async, of the messages and the other arguments of the call, that gives one of these.

    A single function in place of the list answers every call. Streams come word by word, arguments of function calls in
    fragments.

    `model_info` says what the code under test sees; what it leaves out is as for an unknown model, which can do
    everything. `chat_completions` is AutoGen's name of `responses`.

    Raises `TypeError` for a response that is none of these, and `ValueError` from a call when there are no more.
    """

    def __init__(
        self,
        responses: Sequence[Response] | Function | None = None,
        model_info: Mapping[str, Any] | None = None,
        *,
        chat_completions: Sequence[Response] | Function | None = None,
    ) -> None:
        if (responses is None) == (chat_completions is None):
            raise TypeError("give the answers: responses=[...], or chat_completions=[...], which is the same")
        given = chat_completions if responses is None else responses
        assert given is not None
        self.responses, self._always = _checked(given)
        self.model_info = models.merged(UNKNOWN_MODEL, model_info)
        self.calls: list[ReplayCall] = []
        """All calls, those that were answered by an exception too."""
        self._cached = False
        self.reset()

    def __repr__(self) -> str:
        given = "one function" if self._always else f"{len(self.responses)} responses"
        return f"{type(self).__name__}({given}, {len(self.calls)} calls)"

    def reset(self) -> None:
        """Begin again: the first response is the next, no calls, no tokens used."""
        self._next = 0
        self.calls.clear()
        self._used = self._of_cached = Usage(prompt_tokens=0, completion_tokens=0)

    # ------------------------------------------------------------------ the verbs

    async def create(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> CreateResult:
        """The next response as a result.

        Raises it where it is an exception, and `ValueError` when there is none left.
        """
        deadline = Deadline(options.get("deadline"))
        call = ReplayCall(list(messages), tools, tool_choice, options, stream=False)
        answer = await deadline.run(partial(self._answer, call))
        result = answer if isinstance(answer, CreateResult) else fold(_played(answer))
        self._count(result.usage, cached=result.cached)
        return result

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolLike] = (),
        tool_choice: ToolChoiceLike = "auto",
        **options: Any,
    ) -> EventStream:
        """The next response as events, word by word. It is taken when the first event is asked for; raises as `create`."""
        deadline = Deadline(options.get("deadline"))
        call = ReplayCall(list(messages), tools, tool_choice, options, stream=True)
        return _ReplayStream(self, call, deadline)

    async def _answer(self, call: ReplayCall) -> CreateResult | Script:
        response = self._take(call)
        await anyio.lowlevel.checkpoint()
        if callable(response):
            given = {"tools": call.tools, "tool_choice": call.tool_choice, **call.options}
            answered = response(call.messages, given)
            response = await answered if inspect.isawaitable(answered) else answered
            _check(response, "what the function gave")
        if isinstance(response, BaseException):
            raise response.with_traceback(None)  # of the last time that it was raised
        return self._told(response, call) if isinstance(response, str) else response

    def _take(self, call: ReplayCall) -> Response:
        self.calls.append(call)
        if self._always is not None:
            return self._always
        if self._next >= len(self.responses):
            raise ValueError(
                f"No more mock responses available: {type(self).__name__} was given {len(self.responses)}, and this is "
                f"call {len(self.calls)}. Give it more, or call reset() to begin again."
            )
        self._next += 1
        return self.responses[self._next - 1]

    def _told(self, text: str, call: ReplayCall) -> CreateResult:
        prompt = int(self.count_tokens(call.messages, tools=call.tools))
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(text.split()))
        model = self.model_info.get("model")
        return CreateResult(finish_reason="stop", content=text, usage=usage, cached=self._cached, model=model)

    def _count(self, usage: Usage | None, *, cached: bool) -> None:
        if usage is None:
            return
        if cached:
            self._of_cached += usage
        else:
            self._used += usage

    # ------------------------------------------------------------------ tokens

    def count_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> tokens.TokenCount:
        """Words of the messages and tools, so that a test can say what it expects; 1000 for an image and the like."""
        words = sum(map(_words, tokens.turns(messages)))
        words += sum(len(tokens.as_json(tool).split()) for tool in to_tools(tools))
        return tokens.TokenCount(words, "estimate")

    def remaining_tokens(self, messages: Sequence[Message], *, tools: Sequence[ToolLike] = ()) -> tokens.TokenCount:
        """What `max_input_tokens` of `model_info` leaves beside these; without it, what is left of 10 000 for all calls."""
        if "max_input_tokens" in self.model_info:
            return super().remaining_tokens(messages, tools=tools)
        return tokens.TokenCount(max(0, _INPUT_TOKENS - self.total_usage().total_tokens), "estimate")

    def actual_usage(self) -> Usage:
        """Tokens of all answers up to now, those marked as cached left out."""
        return self._used

    def total_usage(self) -> Usage:
        """Tokens of all answers up to now."""
        return self._used + self._of_cached

    # ------------------------------------------------------------------ AutoGen's names

    @property
    def create_calls(self) -> list[dict[str, Any]]:
        """The arguments of each `create`, as AutoGen's client notes them; `calls` has those of streams too."""
        return [
            {
                "messages": call.messages,
                "tools": call.tools,
                "json_output": call.options.get("json_output"),
                "extra_create_args": call.options.get("extra_create_args", {}),
                "cancellation_token": call.options.get("cancellation_token"),
            }
            for call in self.calls
            if not call.stream
        ]

    @property
    def provided_message_count(self) -> int:
        """How many responses it was given."""
        return len(self.responses)

    def set_cached_bool_value(self, value: bool) -> None:
        """What `cached` says in answers made from a `str`; `False` unless set."""
        self._cached = value


class _ReplayStream(EventStream):
    """One response, event by event."""

    __slots__ = ("_call", "_client", "_deadline", "_steps")

    def __init__(self, client: ReplayChatCompletionClient, call: ReplayCall, deadline: Deadline) -> None:
        super().__init__()
        self._client = client
        self._call = call
        self._deadline = deadline
        self._steps: Iterator[StreamEvent] | None = None

    async def _more(self) -> Sequence[StreamEvent]:
        if self._steps is None:
            answer = await self._deadline.run(partial(self._client._answer, self._call))  # noqa: SLF001  # the same file
            self._steps = _fragments(answer) if isinstance(answer, CreateResult) else _played(answer)
        else:
            await anyio.lowlevel.checkpoint()
        event = next(self._steps, None)
        if event is None:
            return ()
        if type(event) is Finish:
            self._client._count(event.usage, cached=event.cached)  # noqa: SLF001  # the same file
        return (event,)


def _fragments(result: CreateResult) -> Iterator[StreamEvent]:
    """The result's events in pieces of the usual size."""
    for event in unfold(result):
        field = _FIELDS.get(type(event))
        if field is None:
            yield event
            continue
        for piece in _PIECE.findall(getattr(event, field)):
            yield msgspec.structs.replace(event, **{field: piece})


def _played(script: Script) -> Iterator[StreamEvent]:
    """The events up to the end, or the error that stands for it."""
    seen: list[StreamEvent] = []
    for step in script:
        if isinstance(step, BaseException):
            if isinstance(step, StreamInterruptedError) and step.partial is None and seen:
                step.partial = fold(seen)
            raise step.with_traceback(None)
        seen.append(step)
        yield step
        if type(step) is Finish:
            return
    raise StreamInterruptedError(
        "the events of this response end without a Finish", partial=fold(seen) if seen else None
    )


def _words(turn: tokens.Turn) -> int:
    texts = (*turn.texts, *turn.reasoning, *turn.other, *(text for call in turn.calls for text in call))
    return sum(len(text.split()) for text in texts) + len(turn.media) * tokens.TOKENS_PER_MEDIA


def _checked(given: Sequence[Response] | Function) -> tuple[list[Response], Function | None]:
    if isinstance(given, (str, bytes, CreateResult, BaseException, type)):
        raise TypeError(f"responses is a list, with one response for each call, not {given!r:.100}")
    if callable(given):
        return [], given
    responses = list(given)
    for index, response in enumerate(responses):
        if not callable(response) or isinstance(response, type):
            _check(response, f"responses[{index}]")
    return responses, None


def _check(response: object, where: str) -> None:
    if isinstance(response, (str, CreateResult, BaseException)):
        return
    if isinstance(response, type) and issubclass(response, BaseException):
        raise TypeError(f"{where} is the class {response.__name__}: give the error itself, {response.__name__}('...')")
    if not isinstance(response, (list, tuple)):
        raise TypeError(
            f"{where}: a str, a CreateResult, an exception, a list of stream events or a function is needed, not "
            f"{type(response).__name__}"
        )
    for index, step in enumerate(response):
        if not isinstance(step, (*_EVENTS, BaseException)):
            raise TypeError(f"{where}[{index}]: a stream event or an exception is needed, not {type(step).__name__}")
