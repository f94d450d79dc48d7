"""Runs the demo as a user does, in a process of its own, and finds what it may have left behind."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parent.parent
PROXY_OF_NOBODY = "http://127.0.0.1:9"

# Not `pty.fork`, which Python advises against where other threads run. Tests in the background may have Ctrl-C ignored.
_ON_THIS_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass
class DemoProcess:
    """One run of `python -m demo`, or of another command, in an environment of its own."""

    folder: Path
    """An empty folder for its files."""
    command: tuple[str, ...] = (sys.executable, "-m", "demo")
    variables: dict[str, str] = field(default_factory=dict)
    output: str = ""
    """What it has shown on its terminal up to now."""
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _process: subprocess.Popen[bytes] = field(init=False)
    _terminal: int = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.temporary)}
        # Nothing on this machine may be asked for through a proxy.
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), PROXY_OF_NOBODY)
        return own | proxies | {"DEMO_TEST": self._mark} | self.variables

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run it to its end, with pipes in place of a terminal."""
        return subprocess.run(
            self.command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, timeout=180, check=False
        )

    def start(self) -> None:
        """Start it on a terminal."""
        self._terminal, its_end = pty.openpty()
        command = (sys.executable, "-c", _ON_THIS_TERMINAL, *self.command)
        self._process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment,
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            start_new_session=True,
        )
        os.close(its_end)

    def wait_until(self, condition: Callable[[str], object], seconds: float = 60.0) -> None:
        """Wait until what it has shown fulfils this."""
        end = time.monotonic() + seconds
        while not condition(self.output):
            assert time.monotonic() < end, f"this was all within {seconds} s:\n{self.output}"
            assert self._read(), f"it ended early, with this:\n{self.output}"

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for its end; gives the exit status, negative for a signal."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, f"it does not end; it has shown:\n{self.output}"
        os.close(self._terminal)
        return self._process.wait(seconds)

    def press_ctrl_c(self) -> None:
        """As in a terminal: every process of the foreground gets the signal."""
        os.write(self._terminal, b"\x03")

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._process.kill()

    def _read(self) -> bool:
        """Read what it shows; false at its end."""
        if not select.select([self._terminal], [], [], 0.05)[0]:
            return True
        try:
            shown = os.read(self._terminal, 65536)
        except OSError:  # so Linux says that nobody writes any more
            return False
        self.output += shown.decode(errors="replace").replace("\r\n", "\n")
        return bool(shown)

    def processes(self) -> dict[int, str]:
        """Processes of this run that are alive, with their command lines; always empty where there is no /proc."""
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue  # gone meanwhile, or somebody else's
        return found

    def left_behind(self, seconds: float = 5.0) -> list[str]:
        """Processes and temporary files that are still there when they had this time to go."""
        end = time.monotonic() + seconds
        while True:
            left = [*self.processes().values(), *map(str, self.temporary.iterdir())]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)
