"""Clients that do the same work over the same loopback server.

A client of one more library is one class like those here, and its name in `CALLERS`, `STREAMERS` or both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from benchmarks.clients.bare_httpx import HttpxJson, HttpxPrepared
from benchmarks.clients.modelwire_client import ModelwireEvents, ModelwireFast, ModelwireInMemory, ModelwireText
from benchmarks.clients.reference import ReferenceClient, TrioReferenceClient

if TYPE_CHECKING:
    from benchmarks.work import Work


class Client(Protocol):
    """Sends one request again and again."""

    name: str
    """As it stands in the table."""

    def __init__(self, server: str, case: str, work: Work) -> None:
        """`case` is the answer of `answers.ANSWERS` to ask for; nothing is sent yet."""

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class Caller(Client, Protocol):
    """A client that waits for the whole answer."""

    async def call(self) -> str:
        """Ask once, as a user of this library would; returns the answer's text."""
        ...


class Streamer(Client, Protocol):
    """A client that reads the answer as it comes."""

    async def stream(self) -> str:
        """Ask once, look at each event, and return the text that they add up to."""
        ...


CALLERS: tuple[type[Caller], ...] = (
    ModelwireFast,
    ModelwireEvents,
    ModelwireInMemory,
    HttpxJson,
    HttpxPrepared,
    ReferenceClient,
)
STREAMERS: tuple[type[Streamer], ...] = (
    ModelwireFast,
    ModelwireEvents,
    ModelwireText,
    ModelwireInMemory,
    HttpxJson,
    HttpxPrepared,
    ReferenceClient,
)
ON_TRIO = (ModelwireFast, ModelwireEvents, HttpxPrepared, TrioReferenceClient)
"""Those that are measured on trio too."""
