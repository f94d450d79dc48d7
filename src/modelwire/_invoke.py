"""Calling a function that may be sync or async."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import anyio.to_thread


def is_async(function: Any) -> bool:
    """Whether calling this runs in the event loop: a coroutine function, or an object whose `__call__` is one."""
    while isinstance(function, functools.partial):
        function = function.func
    # A class's own `__call__` would be that of its metaclass.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004  # objects


async def invoke(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What the function gives. A sync one runs in a worker thread, since it may block.

    A thread cannot be stopped: on cancellation it is left alone, and runs to its end unheard.
    """
    if is_async(function):
        return await function(*args, **kwargs)
    # In a tuple, since trio refuses a coroutine as what a thread gives.
    (answer,) = await anyio.to_thread.run_sync(lambda: (function(*args, **kwargs),), abandon_on_cancel=True)
    return await answer if inspect.isawaitable(answer) else answer
