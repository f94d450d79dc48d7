"""Runs inside a peer's environment: does what it is told over standard input, and says what CPU that took.

Each line in is `[verb, times, width]`, each line out `{"cpu": seconds, "wall": seconds, "rss": bytes}` or `{"text": ...}`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters import ADAPTERS  # beside this script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def main() -> None:
    """Make the adapter that the arguments name, and obey."""
    name, url, path = sys.argv[1:]
    given = json.loads(Path(path).read_text(encoding="utf-8"))
    with asyncio.Runner() as runner:
        adapter = runner.run(_made(name, url, given["body"]))
        for line in sys.stdin:
            verb, times, width = json.loads(line)
            _say(_done(runner, adapter, given, verb, times, width))


async def _made(name: str, url: str, body: dict[str, Any]) -> Any:
    return ADAPTERS[name](url, body)  # inside a running loop, since some clients look for one


def _done(runner: asyncio.Runner, adapter: Any, given: dict[str, Any], verb: str, times: int, width: int) -> Any:
    if verb == "text":
        return {"text": runner.run(adapter.stream() if times else adapter.call())}
    if verb in ("encode", "decode"):
        arguments = (given["answer"].encode(),) if verb == "decode" else ()
        return _measured(lambda: _repeated(getattr(adapter, verb), arguments, times))
    asks: Callable[[], Awaitable[str]] = getattr(adapter, verb)
    return _measured(lambda: runner.run(_asked(asks, times, width)))


def _repeated(do: Callable[..., Any], arguments: tuple[Any, ...], times: int) -> None:
    for _ in range(times):
        do(*arguments)


async def _asked(ask: Callable[[], Awaitable[str]], times: int, width: int) -> None:
    for _ in range(times):
        if width == 1:
            await ask()
        else:
            await asyncio.gather(*(ask() for _ in range(width)))


def _measured(do: Callable[[], object]) -> dict[str, Any]:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    do()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "rss": _rss()}


def _rss() -> int | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
