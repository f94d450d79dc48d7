"""modelwire beside other libraries, on each wire format: what `--peers` adds to the suites.

Each table is one wire format, since a library is only ever compared on the bytes that it reads too.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import codec, dialects, work
from benchmarks.answers import ANSWERS, EVENTS, PACED_EVENTS, SLOW_EVENTS
from benchmarks.clients.modelwire_client import ModelwireEvents
from benchmarks.clients.reference import ReferenceClient
from benchmarks.concurrent import CALLS, STREAMS
from benchmarks.imports import ran
from benchmarks.measure import Comparison, Contender, Effort, Result, Row, measure
from benchmarks.over_http import contenders
from benchmarks.peers.environments import PEERS, python_of
from benchmarks.peers.process import running
from benchmarks.server import loopback
from modelwire import (
    AnthropicChatCompletionClient,
    GeminiChatCompletionClient,
    OllamaChatCompletionClient,
    OpenAIChatCompletionClient,
    OpenAICompatibleChatCompletionClient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from benchmarks.answers import Answer
    from benchmarks.peers.process import Peer
    from benchmarks.work import Work
    from modelwire import ChatCompletionClient

_EVENTS_IN = {"paced": PACED_EVENTS, "slow": SLOW_EVENTS, "first": 1}
"""Events of the streams that have not `EVENTS`."""


class Wire(NamedTuple):
    """A wire format, modelwire's client of it, and who else speaks it."""

    title: str
    prefix: str
    """Of the names of its answers."""
    model: str
    client: Callable[..., ChatCompletionClient]
    path: str
    """What the client's base URL has behind the server's."""
    peers: tuple[str, ...]


def _responses(**settings: Any) -> ChatCompletionClient:
    return OpenAIChatCompletionClient(api="responses", **settings)


CHAT = Wire(
    "Chat Completions",
    "",
    work.MODEL,
    OpenAICompatibleChatCompletionClient,
    "/v1",
    ("openai", "litellm", "pydantic-ai", "autogen"),
)
WIRES = (
    CHAT,
    Wire("Responses", "openai-responses-", "gpt-4.1", _responses, "/v1", ("openai, responses",)),
    Wire("Anthropic", "anthropic-", "claude-haiku-5-5", AnthropicChatCompletionClient, "", ("anthropic",)),
    Wire("Gemini", "gemini-", "gemini-2.5-flash", GeminiChatCompletionClient, "", ("google-genai",)),
    Wire("Ollama", "ollama-", "qwen3:14b", OllamaChatCompletionClient, "", ("ollama",)),
)
_ALL_ANSWERS: dict[str, Answer] = {**ANSWERS, **dialects.ANSWERS}


class _Ours(ModelwireEvents):
    """modelwire's client of any of these."""

    def __init__(self, server: str, case: str, asked: Work, wire: Wire, transport: str | None) -> None:
        self.name = f"modelwire, {transport}" if transport else "modelwire"
        self._messages = asked.request.messages
        self._tools = asked.request.tools or ()
        url = f"{server}/{case}{wire.path}"
        self._client = wire.client(
            model=wire.model, api_key="sk-benchmark", base_url=url, transport=transport, max_connections=4000
        )


# Over loopback ---------------------------------------------------------------------------------------------------------


def run_calls(effort: Effort) -> Iterator[Result]:
    """Calls that wait for the whole answer."""
    with loopback() as server:
        for wire in WIRES:
            yield _measured(server, wire, "1kB", f"call: answer of 1 kB, {wire.title}", effort)
        yield _measured(server, CHAT, "20kB", f"call: answer of 20 kB, {CHAT.title}", effort)


def run_streams(effort: Effort) -> Iterator[Result]:
    """Streams, by how their events reach the client."""
    with loopback() as server:
        for wire in WIRES:
            yield _measured(server, wire, "events", f"stream, per event: an HTTP chunk an event, {wire.title}", effort)
        for wire in WIRES:
            yield _measured(server, wire, "pieces", f"stream, per event: 16 kB HTTP chunks, {wire.title}", effort)
        yield _measured(server, CHAT, "paced", f"stream, per event: a write each 0.5 ms, {CHAT.title}", effort)
        yield _measured(server, CHAT, "first", f"stream of one event: what the first token costs, {CHAT.title}", effort)


def run_concurrent(effort: Effort) -> Iterator[Result]:
    """Calls and streams at once."""
    with loopback() as server:
        for wire in WIRES:
            title = f"concurrent: {CALLS} calls at once, per call, {wire.title}"
            yield _measured(server, wire, "1kB", title, effort, CALLS)
        title = f"concurrent: {STREAMS[0]} streams of {SLOW_EVENTS} events at once, per event, {CHAT.title}"
        yield _measured(server, CHAT, "slow", title, Effort(rounds=1, slice=0), STREAMS[0])


def _measured(server: str, wire: Wire, case: str, title: str, effort: Effort, at_once: int = 1) -> Result:
    name = f"{wire.prefix}{case}"
    answer = _ALL_ANSWERS[name]
    asked = work.question()
    clients: list[Any] = [_Ours(server, name, asked, wire, transport) for transport in (None, "fast")]
    if wire is CHAT:
        clients.append(ReferenceClient(server, name, asked))
    verb = "stream" if answer.stream else "call"
    asks = {client.name: getattr(client, verb) for client in clients}
    with (
        contenders(clients, asks, answer.text, at_once=at_once) as ours,
        running(wire.peers, f"{server}/{name}", {**asked.body, "model": wire.model}) as peers,
    ):
        for peer in peers:
            peer.check(answer.text, stream=answer.stream)
        theirs = [peer.contender(verb, at_once) for peer in peers]
        baselines = [client.name for client in clients[1:]]
        per = at_once * (_EVENTS_IN.get(case, EVENTS) if answer.stream else 1)
        return measure(Comparison(title, [*ours, *theirs], baselines, per), effort)


# Without a network -----------------------------------------------------------------------------------------------------


def run_codec(effort: Effort) -> Iterator[Result]:
    """Request to bytes and bytes to answer, inside the library."""
    for asked in (work.conversation(), work.picture()):
        with _beside(asked, "") as peers:
            yield _with(peers, "encode", codec.encode(asked), effort)
    for case in ("1kB", "20kB"):
        with _beside(work.question(), ANSWERS[case].body.decode()) as peers:
            yield _with(peers, "decode", codec.decode(case, ANSWERS[case]), effort)


@contextmanager
def _beside(asked: Work, answer: str) -> Generator[list[Peer]]:
    with ExitStack() as stack:
        yield stack.enter_context(running(("openai",), "http://127.0.0.1:1", asked.body, answer))


def _with(peers: list[Peer], verb: str, comparison: Comparison, effort: Effort) -> Result:
    theirs: list[Contender] = [peer.contender(verb) for peer in peers]
    ours = [contender for contender in comparison.contenders if contender.name != codec.JSON]
    baselines = [codec.MODELWIRE, codec.STRUCTS]
    return measure(Comparison(f"{comparison.title}, with peers", [*ours, *theirs], baselines), effort)


# A fresh process -------------------------------------------------------------------------------------------------------

BARE, OURS = "the interpreter itself, with asyncio", "modelwire"
_IMPORTS = {
    "openai": "import openai",
    "anthropic": "import anthropic",
    "google-genai": "from google import genai",
    "ollama": "import ollama",
    "litellm": "import litellm",
    "pydantic-ai": "import pydantic_ai.models.openai",
    "autogen": "import autogen_ext.models.openai",
}
_FULL = "from modelwire import OpenAIChatCompletionClient, UserMessage"


def run_imports(effort: Effort) -> Iterator[Result]:
    """What importing costs beyond an interpreter that has asyncio."""
    programs = {BARE: (sys.executable, "import asyncio")}
    programs[OURS] = (sys.executable, "import asyncio, modelwire")
    programs["modelwire, client class"] = (sys.executable, f"import asyncio\n{_FULL}")
    for peer in PEERS:
        python = python_of(peer)
        if python is not None:
            programs[peer] = (str(python), f"import asyncio\n{_IMPORTS[peer]}")
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    for python, program in programs.values():
        ran(program, "", python)  # writes the bytecode, which users have too
    rounds = [{name: ran(code, "", python) for name, (python, code) in programs.items()} for _ in range(effort.rounds)]
    rows = [_import_row(name, rounds) for name in programs]
    yield Result(
        "import: beyond an interpreter with asyncio, bytecode cached", "ms", rows, ("modelwire, client class",)
    )


def _import_row(name: str, rounds: list[dict[str, Any]]) -> Row:
    bare = 0.0 if name == BARE else 1.0
    values = [(found[name][0] - bare * found[BARE][0]) * 1000 for found in rounds]
    _, modules, memory = rounds[-1][name]
    more = None if memory is None else memory - bare * rounds[-1][BARE][2]
    return Row(name, values, {"modules": modules, "RSS MB more": more})


SUITES: dict[str, Callable[[Effort], Iterator[Result]]] = {
    "codec": run_codec,
    "call": run_calls,
    "stream": run_streams,
    "concurrent": run_concurrent,
    "import": run_imports,
}
"""By the suite that they belong to."""
