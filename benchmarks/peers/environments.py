"""Environments of the peers: each library in a venv of its own, since some exclude each other.

    python -m benchmarks.peers.environments              all of them, into .peers/ (some 2 GB)
    python -m benchmarks.peers.environments openai       one

Nothing is installed twice: a venv that holds these versions stays as it is.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).resolve().parents[2] / ".peers"

PEERS: dict[str, tuple[str, ...]] = {
    "openai": ("openai==3.54.0",),
    "anthropic": ("anthropic==2.12.0",),
    "google-genai": ("google-genai==3.4.0",),
    "ollama": ("ollama==0.6.3",),
    "litellm": ("litellm==1.106.2",),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0",),
    "autogen": ("autogen-ext[openai]==0.7.5",),
}
"""What each venv holds. Pinned, so that two runs compare the same."""


def python_of(peer: str) -> Path | None:
    """The interpreter that has this library; `None` where it is not installed."""
    path = FOLDER / peer / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    return path if _marker(peer).exists() and _marker(peer).read_text() == _wanted(peer) else None


def install(peer: str) -> None:
    """Make the venv of one peer; a failure leaves none."""
    if python_of(peer) is not None:
        return
    folder = FOLDER / peer
    print(f"Installing {' '.join(PEERS[peer])} into {folder} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, *PEERS[peer]], check=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _marker(peer).write_text(_wanted(peer))


def _marker(peer: str) -> Path:
    return FOLDER / peer / "installed.txt"


def _wanted(peer: str) -> str:
    return "\n".join((sys.version, *PEERS[peer]))


def main(argv: Sequence[str] | None = None) -> int:
    """Install what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.environments", description=__doc__)
    parser.add_argument("peers", nargs="*", help=f"{', '.join(PEERS)}; by default all")
    wanted = parser.parse_args(argv).peers or list(PEERS)
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not known; there are {', '.join(PEERS)}")
    failed = [peer for peer in wanted if not _installed(peer)]
    if failed:
        print(f"Not installed, and so not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _installed(peer: str) -> bool:
    try:
        install(peer)
    except subprocess.CalledProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
