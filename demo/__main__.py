"""What `make demo` runs.

    python -m demo                            with a small model on this machine; see model_server.py
    MODEL=openai:gpt-4.1 python -m demo       with a provider's model, and its key from the environment

The exit status is 0 if every step gave what it should, 1 if not, and 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from demo.model_server import HOST, DemoError, LocalModelServer, bypass_proxies
from demo.terminal import heading, say, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from demo.steps import Measured
    from modelwire import ChatCompletionClient

_DEADLINE = 120.0  # seconds for one call: enough for a busy machine, and an end for a server that hangs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help=f"port of the local model on {HOST}; by default a free one")
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has every character of an answer
    try:
        model = os.environ.get("MODEL", "").strip()
        if model:
            _with_provider(model)
        else:
            _with_local_model(given.port)
    except BaseException as error:  # noqa: BLE001  # what is not foreseen is raised again
        return _status_of(error)
    return 0


def _with_local_model(port: int) -> None:
    heading("Starting llama.cpp's server with SmolLM2-135M-Instruct on this machine ...")
    begun = time.monotonic()
    with LocalModelServer(port=port) as server:
        say(f"{server.base_url} answers after {time.monotonic() - begun:.1f} s")
        bypass_proxies()

        def open_client() -> ChatCompletionClient:
            from modelwire import OpenAIChatCompletionClient

            return OpenAIChatCompletionClient(
                model=server.model, base_url=server.base_url, temperature=0, max_tokens=400, deadline=_DEADLINE
            )

        measured = _steps(open_client, in_turns=True)
        from demo import formats

        asyncio.run(formats.show(server.model, server.base_url))
        _summarise(measured)


def _with_provider(name: str) -> None:
    heading(f"Using {name}")

    def open_client() -> ChatCompletionClient:
        from modelwire import connect

        try:
            # Models that reason take no temperature: there it is left out.
            return connect(name, temperature=0, unsupported="drop", deadline=_DEADLINE)
        except ValueError as error:
            raise DemoError(f"MODEL={name}: {error}") from error

    _summarise(_steps(open_client, in_turns=False))


def _steps(open_client: Callable[[], ChatCompletionClient], *, in_turns: bool) -> list[Measured]:
    try:
        from demo import steps
    except ModuleNotFoundError as error:
        raise DemoError(f"{error}. `make demo` installs what the demo needs, and runs it.") from error
    return steps.run(open_client, in_turns=in_turns)


def _summarise(measured: Sequence[Measured]) -> None:
    heading("Times and tokens")
    tokens = [_tokens(one) for one in measured]
    rows = [(one.what, *_speed(one), *map(str, counts)) for one, counts in zip(measured, tokens, strict=True)]
    sums = [str(sum(column)) for column in zip(*tokens, strict=True)]
    head = ("", "first token", "whole call", "tokens/s", "prompt", "answer", "tokens")
    table(head, [*rows, ("together", "", "", "", *sums)])
    say("tokens/s: tokens of the answer in a second of the whole call, the reading of the prompt included")


def _tokens(measured: Measured) -> tuple[int, int, int]:
    usage = measured.result.usage
    assert usage is not None
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


def _speed(measured: Measured) -> tuple[str, str, str]:
    timing = measured.result.timing
    assert timing is not None
    first = "-" if timing.first_token is None else f"{timing.first_token:.2f} s"
    return first, f"{timing.total:.2f} s", f"{_tokens(measured)[1] / timing.total:.0f}"


def _status_of(error: BaseException) -> int:
    """What to exit with; an error that is not foreseen is raised again, with its traceback."""
    causes = list(_causes(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is impatient presses it again
        print("\nStopped.", file=sys.stderr)
        return 130
    if any(isinstance(cause, BrokenPipeError) for cause in causes):  # of `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the flush at exit can go
    if not all(_is_foreseen(cause) for cause in causes):
        raise error
    reasons = [str(cause) for cause in causes] + getattr(error, "__notes__", [])
    print("\nThe demo failed:", "\n".join(reasons), file=sys.stderr)
    return 1


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, out of the groups that task groups and nurseries raise."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _causes(inner)


def _is_foreseen(error: BaseException) -> bool:
    if isinstance(error, (DemoError, BrokenPipeError)):
        return True
    from modelwire import ModelwireError

    return isinstance(error, ModelwireError)


if __name__ == "__main__":
    sys.exit(main())
