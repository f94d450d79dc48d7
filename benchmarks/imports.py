"""What a program pays before its first answer: CPU of a fresh process beyond that of the interpreter, modules, memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Result, Row
from benchmarks.server import loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Effort

BARE = "the interpreter itself"
HTTPX_FIRST = "httpx, first answer"

_CLIENT = """
from modelwire import OpenAIChatCompletionClient, UserMessage
client = OpenAIChatCompletionClient(model="gpt-4.1", api_key="sk-benchmark", base_url=sys.argv[1])
"""
_FAST_CLIENT = _CLIENT.replace("base_url", 'transport="fast", base_url')
_ANSWER = """
import asyncio
async def first():
    async with client:
        return (await client.create([UserMessage(content="Hello")])).text
assert asyncio.run(first())
"""
_HTTPX_ANSWER = """
import asyncio, httpx
async def first():
    async with httpx.AsyncClient() as client:
        response = await client.post(sys.argv[1] + "/chat/completions", json={})
        return response.json()["choices"][0]["message"]["content"]
assert asyncio.run(first())
"""
PROGRAMS = {
    BARE: "",
    "import msgspec": "import msgspec",
    "import httpx": "import httpx",
    "import modelwire": "import modelwire",
    "modelwire, first message": "from modelwire import UserMessage; UserMessage(content='Hello')",
    "modelwire, client made": _CLIENT,
    "modelwire, first answer": _CLIENT + _ANSWER,
    "modelwire fast, client made": _FAST_CLIENT,
    "modelwire fast, first answer": _FAST_CLIENT + _ANSWER,
    HTTPX_FIRST: _HTTPX_ANSWER,
}
"""What is run in a fresh process each."""

# `ru_maxrss` will not do: on Linux a process inherits the peak of the one that started it.
_REPORT = """
import json, time
cpu, modules = time.process_time(), len(sys.modules)
try:
    status = open("/proc/self/status").read()
    memory = int(status.partition("VmRSS:")[2].split()[0]) / 1000
except OSError:
    memory = None
print(json.dumps([cpu, modules, memory]))
"""


def run(effort: Effort) -> Iterator[Result]:
    """The one comparison of this suite."""
    with loopback() as server:
        url = f"{server}/1kB/v1"
        for program in PROGRAMS.values():
            ran(program, url)  # writes the bytecode, which users have too
        rounds = [{name: ran(program, url) for name, program in PROGRAMS.items()} for _ in range(effort.rounds)]
    rows = [_row(name, rounds) for name in PROGRAMS]
    yield Result("import: fresh process, bytecode cached", "ms", rows, ("import httpx", HTTPX_FIRST))


def ran(program: str, url: str, python: str = sys.executable) -> tuple[float, int, float | None]:
    """Seconds of CPU, modules, and MB of memory at the end of a process that ran this."""
    command = [python, "-c", f"import sys{program and chr(10)}{program}\n{_REPORT}", url]
    root = Path(__file__).resolve().parents[1]
    # Users have bytecode, so it is written and used here too, whatever the developer's shell says.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=root, env=environment)
    return tuple(json.loads(done.stdout))


def _row(name: str, rounds: list[dict[str, Any]]) -> Row:
    """The interpreter's own start is subtracted, round by round, from all but itself."""
    values = [(found[name][0] - (found[BARE][0] if name != BARE else 0.0)) * 1000 for found in rounds]
    _, modules, memory = rounds[-1][name]
    return Row(name, values, {"modules": modules, "RSS MB": memory})
