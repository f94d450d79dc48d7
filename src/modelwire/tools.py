"""Typed functions as tools: `tool` describes one to the model, `run_tools` runs what the model calls."""

from __future__ import annotations

import copy
import functools
import logging
import math
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, get_args, overload

import anyio
import msgspec

from modelwire._cancel import CancellationToken, cancelled_by, checked_token, was_cancelled
from modelwire._invoke import invoke
from modelwire._signature import TOKEN, describe
from modelwire._tools import to_tools
from modelwire.errors import ToolCallError
from modelwire.types import FunctionCall, InputPart, ProviderTool, ToolMessage, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from modelwire.base import ToolLike
    from modelwire.types import AssistantMessage, CreateResult

    OnError = Callable[[FunctionCall, Exception], str | None]

__all__ = ["FunctionTool", "run_tools", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("modelwire")

_PARTS = get_args(InputPart)


class FunctionTool(Generic[P, R]):
    """A typed function that a model may call; `@tool` makes one.

    It is called as the function, and goes wherever tools go. `description` and `name` default to the function's
    docstring and name; `strict` asks the provider to hold the model to the schema, where it can. `custom` gives the
    function the model's free text as its only argument, in the form of `grammar` (in the `syntax` `lark` or `regex`),
    at providers that have such tools.

    Raises `TypeError` for what no model can call: parameters without a type, `*args`, types without a JSON Schema.
    """

    def __init__(
        self,
        func: Callable[P, R],
        description: str | None = None,
        name: str | None = None,
        *,
        strict: bool | None = None,
        custom: bool = False,
        grammar: str | None = None,
        syntax: str | None = None,
    ) -> None:
        if isinstance(func, FunctionTool):
            func = cast("Callable[P, R]", func.func)
        functools.update_wrapper(self, func, updated=())
        self._known = describe(func, name, description)
        self._options: dict[str, Any] = {"strict": strict, "custom": custom, "grammar": grammar, "syntax": syntax}
        self.func: Callable[P, R] = func
        self.name: str = self._known.name
        """The name by which the model calls it."""
        self.description: str | None = self._known.description
        """What the model is told of it; `None` for nothing."""
        if custom and [given.get("type") for given in self._known.schema["properties"].values()] != ["string"]:
            raise TypeError(f"tool {self.name}: a custom tool has one parameter, a str: the model's text")
        if (grammar is not None or syntax is not None) and not custom:
            raise TypeError(f"tool {self.name}: grammar and syntax are for custom=True")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.func(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> FunctionTool[..., R]:
        """A method's tool, of the object whose attribute it is."""
        if instance is None or not self._known.is_method:
            return self
        bound: Any = copy.copy(self)
        bound.func = bound.__wrapped__ = cast("Any", self.func).__get__(instance, owner)
        bound._known = self._known._replace(is_method=False)  # noqa: SLF001  # a copy of this
        return cast("FunctionTool[..., R]", bound)

    def __repr__(self) -> str:
        return f"FunctionTool({self.name!r})"

    @property
    def schema(self) -> dict[str, Any]:
        """What the model is told: name, description and parameters, as AutoGen's tools have it; not to be changed."""
        about: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            about["description"] = self.description
        if self._options["custom"]:
            grammar, syntax = self._options["grammar"], self._options["syntax"]
            form = {} if grammar is None else {"format": {"definition": grammar, "syntax": syntax or "lark"}}
            return {"type": "custom", **about, **form}
        about["parameters"] = self._known.schema
        return about if self._options["strict"] is None else {**about, "strict": self._options["strict"]}

    async def run_json(
        self, args: Mapping[str, Any], cancellation_token: Any = None, call_id: str | None = None
    ) -> Any:
        """Run the function with these arguments, JSON's values by parameter; AutoGen's word. A sync one runs in a thread.

        Raises `ToolCallError` for arguments that do not fit, and what the function raises.
        """
        del call_id  # part of AutoGen's signature
        return await self._run(msgspec.json.encode(args).decode(), cancellation_token)

    def return_value_as_string(self, value: Any) -> str:
        """What the function gave as text for a model; AutoGen's word. Raises `TypeError` for what is not JSON."""
        content = _content(value)
        return content if isinstance(content, str) else _json(value)

    def check_bound(self) -> None:
        """Raise `TypeError` for a method that was taken from its class: there is no object to run it on."""
        if self._known.is_method:
            raise TypeError(f"tool {self.name} is a method: take it from an object, not from the class")

    async def _run(self, arguments: str, token: Any, *, custom: bool = False) -> Any:
        self.check_bound()
        known = self._known
        if custom and len(known.parameters) == 1:
            arguments = _json({known.parameters[0].name: arguments})
        try:
            values = known.read(arguments)
        except ValueError as error:
            raise ToolCallError(
                f"The arguments of {self.name} do not fit: {error}. Call it again with a JSON object that fits its parameters."
            ) from error
        positional, named = known.bind(values)
        if known.takes_token:
            named[TOKEN] = token or CancellationToken()
        return await invoke(self.func, *positional, **named)


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    custom: bool = False,
    grammar: str | None = None,
    syntax: str | None = None,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...
def tool(function: Any = None, /, **options: Any) -> Any:
    """Make a typed function, sync or async, a tool: `@tool`, or `@tool(name=..., description=..., strict=...)`.

    The model is told the function's name, its docstring and its parameters: types as msgspec and pydantic read them,
    defaults, and descriptions from `Annotated[str, "..."]`, `msgspec.Meta`, pydantic's `Field`, or the docstring's
    section of parameters (in Google's, NumPy's or Sphinx's style). A parameter `cancellation_token` is not the model's:
    it gets the token of the run.

    A bound method, a `functools.partial` (what it gives by keyword is not the model's to give) and an object with
    `__call__` work too. See `FunctionTool` for the options and errors.
    """
    if function is None:
        return functools.partial(FunctionTool[Any, Any], **options)
    return FunctionTool[Any, Any](function, **options)


async def run_tools(
    calls: CreateResult | AssistantMessage | Sequence[FunctionCall],
    tools: Sequence[ToolLike],
    *,
    timeout: float | None = None,  # noqa: ASYNC109  # of each call, not of this
    limiter: AbstractAsyncContextManager[Any] | None = None,
    on_error: OnError | None = None,
    cancellation_token: Any = None,
) -> ToolMessage:
    """Run the functions that the model called, side by side; append what comes back to the history.

    ```python
    while result.tool_calls:
        messages += [result.message, await run_tools(result, tools)]
        result = await client.create(messages, tools=tools)
    ```

    The message has a result for each call, in the order of the calls. Sync functions run in worker threads. What fails
    (an unknown tool, arguments that do not fit, an exception of the function, a time limit) becomes a result with
    `is_error`, whose text tells the model why; it does not stop the others. Cancellation and exceptions that are no
    `Exception` stop all.

    A `str` is the result's text as it is, an `Image` or a list with a part in it is content, a `ToolResult` says
    content and `is_error` itself; all else becomes JSON, `None` too.

    `timeout` bounds each call, in seconds; a thread that it passes runs on unheard. `limiter`, such as
    `anyio.CapacityLimiter(4)`, is entered around each. `on_error(call, error)` gives the text of a failed result, or
    `None` for the usual one, which quotes the exception to the model; what it raises stops all, and is raised here. AutoGen's tools
    run too. Raises `ValueError` where there are no calls, and `TypeError`, before anything runs, for a call of a tool
    that has no function to run; `asyncio.CancelledError` when the `cancellation_token` is cancelled.
    """
    listed = getattr(calls, "tool_calls", calls)
    if not isinstance(listed, (list, tuple)) or not all(isinstance(call, FunctionCall) for call in listed):
        raise TypeError(f"run_tools takes a CreateResult, or its tool_calls, not {type(calls).__name__}")
    if not listed:
        raise ValueError("there are no calls to run: look at result.tool_calls first")
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout!r}: seconds above 0 are needed, or None for no limit")
    if limiter is not None and not hasattr(limiter, "__aenter__"):
        raise TypeError(f"limiter is an async context manager, such as anyio.CapacityLimiter(4), not {limiter!r}")
    run = _Run(listed, tools, timeout, limiter, on_error, checked_token(cancellation_token))
    results = await (run.all() if cancellation_token is None else cancelled_by(cancellation_token, run.all))
    return ToolMessage(content=results)


class _TooSlowError(TimeoutError):
    """A call ran into the time limit: ours, not one of the function's own."""


class _Run:
    """The calls of one answer."""

    def __init__(
        self,
        calls: Sequence[FunctionCall],
        tools: Sequence[ToolLike],
        timeout: float | None,
        limiter: AbstractAsyncContextManager[Any] | None,
        on_error: OnError | None,
        token: Any,
    ) -> None:
        self._calls = calls
        self._tools = _runnable(tools, {call.name for call in calls})
        self._timeout = timeout
        self._limiter = limiter
        self._on_error = on_error
        self._token = token
        self._results: list[ToolResult | None] = [None] * len(calls)

    async def all(self) -> list[ToolResult]:
        raised: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                for index in range(len(self._calls)):
                    group.start_soon(self._one, index)
        except BaseExceptionGroup as caught:
            raised = caught.exceptions[0] if len(caught.exceptions) == 1 else caught
        if raised is not None:
            raise raised  # what one function raised stays what it is, for callers that wait for it by its name
        return cast("list[ToolResult]", self._results)

    async def _one(self, index: int) -> None:
        call = self._calls[index]
        try:
            self._results[index] = await self._limited(call)
        except Exception as error:  # noqa: BLE001  # of a user's function: the model is told
            self._results[index] = self._failed(call, error)
        except BaseException as error:
            if not was_cancelled(error) or anyio.current_effective_deadline() == -math.inf:
                raise
            # Nobody cancelled this run: the function waited for something that was.
            self._results[index] = self._failed(call, RuntimeError(f"cancelled: {error}"))

    async def _limited(self, call: FunctionCall) -> ToolResult:
        if self._limiter is None:
            return await self._timed(call)
        async with self._limiter:
            return await self._timed(call)

    async def _timed(self, call: FunctionCall) -> ToolResult:
        with anyio.move_on_after(self._timeout):
            return _result(call, await self._value(call))
        raise _TooSlowError(f"{call.name} did not finish within {self._timeout:g} s.")

    async def _value(self, call: FunctionCall) -> Any:
        found = self._tools.get(call.name)
        if found is None:
            known = ", ".join(self._tools) or "none"
            raise ToolCallError(f"There is no tool {call.name!r}. The tools are: {known}.")
        if isinstance(found, FunctionTool):
            return await found._run(call.arguments, self._token, custom=call.custom)  # noqa: SLF001  # the same file
        try:
            arguments = call.parsed_arguments()
        except ValueError as error:
            raise ToolCallError(f"{error}. Call {call.name} again with a JSON object.") from error
        value = await found.run_json(arguments, self._token or CancellationToken(), call.id)
        return found.return_value_as_string(value)

    def _failed(self, call: FunctionCall, error: Exception) -> ToolResult:
        ours = isinstance(error, (ToolCallError, _TooSlowError))
        if not ours:
            logger.warning("tool %s failed: %s", call.name, type(error).__name__, exc_info=error)
        text = self._on_error(call, error) if self._on_error is not None else None
        if text is None:
            text = str(error) if ours else f"{call.name} failed: {type(error).__name__}: {error}"
        return ToolResult(call_id=call.id, name=call.name, content=text, is_error=True, custom=call.custom)


def _runnable(tools: Sequence[ToolLike], called: set[str]) -> dict[str, Any]:
    """The tools that have a function, by name: `FunctionTool`s, and AutoGen's own tools."""
    found: dict[str, Any] = {}
    for index, (known, given) in enumerate(zip(to_tools(tools), tools, strict=True)):
        if isinstance(known, ProviderTool):
            continue  # runs at the provider
        if isinstance(given, FunctionTool) and known.name in called:
            given.check_bound()
        if isinstance(given, FunctionTool) or callable(getattr(given, "run_json", None)):
            found[known.name] = given
        elif callable(given):
            found[known.name] = FunctionTool[Any, Any](given)
        elif known.name in called:
            raise TypeError(
                f"tools[{index}] ({known.name}): a {type(given).__name__} has no function to run; pass the function itself, "
                "or answer this call with a ToolResult of your own"
            )
    return found


# ---------------------------------------------------------------------- results


def _result(call: FunctionCall, value: Any) -> ToolResult:
    if isinstance(value, ToolResult):
        return msgspec.structs.replace(value, call_id=call.id, name=call.name, custom=call.custom)
    return ToolResult(call_id=call.id, name=call.name, content=_content(value), custom=call.custom)


def _content(value: Any) -> str | list[Any]:
    """What a function gave, as the content of a result."""
    if isinstance(value, str):
        return value
    parts = list(value) if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, _PARTS) for part in parts):
        for part in parts:
            if not isinstance(part, (str, *_PARTS)):
                raise TypeError(f"it returned parts with a {type(part).__name__} among them")
        return parts
    return _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    """A pydantic model as plain data."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"it returned a {type(value).__name__}, which is not JSON: return text or data")
    return dump(mode="json")
