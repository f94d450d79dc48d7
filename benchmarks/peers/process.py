"""A peer as a contender: `worker.py` in the peer's environment, told over a pipe what to do."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Contender
from benchmarks.peers.environments import python_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

WORKER = Path(__file__).with_name("worker.py")

ENVIRONMENT_OF = {"openai, responses": "openai"}
"""The environment of an adapter, where it has another name."""

# Not measured, and not to be had without a network.
_SETTINGS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}


class Peer:
    """One running worker."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process

    def ask(self, verb: str, times: int = 1, width: int = 1) -> dict[str, Any]:
        """Have the worker do this, and wait for what it says."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, times, width]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended; what it said stands above")
        return json.loads(line)

    def contender(self, verb: str, width: int = 1) -> Contender:
        """What stands for it in a comparison; a run is `width` requests at once."""

        def cpu(times: int) -> float:
            return self.ask(verb, times, width)["cpu"]

        return Contender(self.name, cpu, cpu)

    def check(self, expected: str, *, stream: bool) -> None:
        """Raises `AssertionError` if it reads another text: its time would mean nothing."""
        found = self.ask("text", int(stream))["text"]
        if found != expected:
            raise AssertionError(f"{self.name} reads another text: {found[:80]!r}")


@contextmanager
def running(names: Sequence[str], url: str, body: dict[str, Any], answer: str = "") -> Generator[list[Peer]]:
    """Workers of these adapters, before the server at `url`; those that are not installed are left out.

    `body` is the request in the Chat Completions format, `answer` what `decode` is to read.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        given = folder / "given.json"
        given.write_text(json.dumps({"body": body, "answer": answer}), encoding="utf-8")
        yield [peer for name in names if (peer := stack.enter_context(_started(name, url, given))) is not None]


@contextmanager
def _started(name: str, url: str, given: Path) -> Generator[Peer | None]:
    python = python_of(ENVIRONMENT_OF.get(name, name))
    if python is None:
        yield None
        return
    start = partial(subprocess.Popen[str], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # Leaving the block closes its standard input, and that ends it.
    with start([str(python), str(WORKER), name, url, str(given)], env={**os.environ, **_SETTINGS}) as process:
        yield Peer(name, process)
