"""How the transport gives connections back where httpx, cancelled at an unlucky moment, does not.

The pools of httpx and httpx2 are those of httpcore and httpcore2; what is repaired here was found by cancelling thousands
of requests at random moments (the tests do it too).
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import anyio

from modelwire.errors import ModelClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import ModuleType, TracebackType

    from modelwire.protocols import HttpStream

CLOSE_LIMIT = 3.0
"""Seconds that closing may take; it normally takes no time at all, but no cancellation interrupts it."""

DRAIN_BYTES = 64 * 1024
"""Bytes after the last frame of a stream beyond which the connection is not worth keeping."""


async def drained(stream: HttpStream, grace: float) -> None:
    """Read and drop what is left of a stream, for at most `grace` seconds, then close it."""
    left = DRAIN_BYTES
    try:
        with contextlib.suppress(ModelClientError), anyio.move_on_after(grace):
            async for piece in stream:
                left -= len(piece)
                if left < 0:
                    break
    finally:
        await stream.aclose()


async def uninterrupted(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a close to its end, for at most `CLOSE_LIMIT` seconds; then let a cancellation through that came meanwhile.

    On trio, and for anyio's cancellation, a shielded scope is enough. asyncio's own `Task.cancel`, which
    `asyncio.timeout` and web servers use, passes through such a scope, so on asyncio a task of its own does the closing.
    """
    asyncio = sys.modules.get("asyncio")  # not imported for this: trio does without
    if asyncio is None or not _is_asyncio_task(asyncio):
        await _quietly(close)
        return
    task = asyncio.ensure_future(_quietly(close))
    interrupted: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                interrupted = error
    if interrupted is not None:
        try:
            raise interrupted
        finally:
            del interrupted  # a variable of a frame that its traceback holds: a cycle


async def _quietly(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    # What is given back is not wanted any more, so that its failures concern nobody.
    with contextlib.suppress(Exception), anyio.move_on_after(CLOSE_LIMIT, shield=True):
        await close()


def _is_asyncio_task(asyncio: ModuleType) -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:  # no running event loop: trio
        return False


async def repair_pools(client: Any, limits: Mapping[str, float | None]) -> None:
    """Take out of httpcore's pools what a cancelled request left in them, and close it.

    A request that is cancelled while it waits for a connection, or between connecting and sending, or twice within one
    step of the event loop, leaves its connection behind in a state that httpcore neither reuses nor removes; when
    `max_connections` of them are lost, every call fails (https://github.com/encode/httpcore/issues/1093, not repaired
    in httpx; in httpx2 the first case is). There is no public way to see this. Pools of another make are left alone.
    """
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        pool = getattr(transport, "_pool", None)
        requests, connections = getattr(pool, "_requests", None), getattr(pool, "_connections", None)
        if pool is None or not isinstance(requests, list) or not isinstance(connections, list):
            continue
        others = [entry for entry in requests if entry.request.extensions.get("timeout") is not limits]
        held = {id(entry.connection) for entry in others}
        lost = [one for one in connections if id(one) not in held and not (one.is_idle() or one.is_closed())]
        if lost or len(others) < len(requests):
            requests[:] = others
            connections[:] = [one for one in connections if one not in lost]
            lost += pool._assign_requests_to_connections()  # noqa: SLF001  # to requests that wait
            for connection in lost:
                await connection.aclose()


async def close_handshakes(cancelled: TracebackType | None) -> None:
    """Close the sockets whose TLS handshake was cancelled.

    httpcore closes them after errors only, and a cancellation is none to it; then nobody knows them but the frames of the
    traceback, and they stay open until the garbage collector comes by.
    """
    while cancelled is not None:
        frame = cancelled.tb_frame
        stream = frame.f_locals.get("self") if frame.f_code.co_name == "start_tls" else None
        if stream is not None:
            with contextlib.suppress(Exception):
                await stream.aclose()
        cancelled = cancelled.tb_next


def closed_unanswered(error: BaseException) -> Any:
    """Httpcore's connection, where it had been kept and was found closed before any byte of an answer; else `None`.

    Only the frames of the traceback know. h11 holds what came of an answer that is not complete; an interim answer (1xx) is
    in a variable of the loop that waits for the final one.
    """
    if type(error).__name__ not in ("RemoteProtocolError", "ReadError"):
        return None
    seen: BaseException | None = error
    found = None
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            variables, name = trace.tb_frame.f_locals, trace.tb_frame.f_code.co_name
            if name == "_receive_response_headers" and "event" in variables:
                return None
            connection = variables.get("self")
            if name == "handle_async_request" and hasattr(connection, "_h11_state"):
                found = connection
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__
    try:
        if found is None or found._request_count < 2 or found._h11_state.trailing_data[0]:  # noqa: SLF001
            return None
    except AttributeError:  # another version of httpcore: leave it to the retries
        return None
    return found


async def close_idle(client: Any, like: Any) -> None:
    """Close the idle connections to where this one led: when one was found closed, the others may be too."""
    for transport in (getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()):
        connections: Any = getattr(getattr(transport, "_pool", None), "_connections", None)
        for connection in list(connections) if isinstance(connections, list) else ():
            if connection.is_idle() and connection.can_handle_request(like._origin):  # noqa: SLF001
                connections.remove(connection)
                await connection.aclose()
