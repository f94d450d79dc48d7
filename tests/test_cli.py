"""The command line. Downloads come from wheels made here; test_tokens.py fetches the real data."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

import modelwire
from modelwire import cli, models
from modelwire.models.encodings import ENCODINGS, PACKAGE

if TYPE_CHECKING:
    from pathlib import Path

DATA = {"cl100k_base": b"IQ== 0\n", "o200k_base": b"IQ== 0\nIg== 1\n"}
"""Tokenizers of one token and of two."""


@pytest.fixture(autouse=True)
def small_encodings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tokenizers of `DATA`, and caches in a folder of the test's."""
    small = {
        name: encoding._replace(sha256=hashlib.sha256(DATA[name]).hexdigest()) for name, encoding in ENCODINGS.items()
    }
    monkeypatch.setattr(cli, "ENCODINGS", small)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "default"))


def wheel(folder: Path, data: dict[str, bytes]) -> Path:
    """A wheel of the package with these files, gzipped."""
    name, version = PACKAGE.split("==")
    stem = f"{name.replace('-', '_')}-{version}"
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-cp39-abi3-manylinux2014_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp39-abi3-manylinux2014_x86_64\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")
        for encoding, content in data.items():
            archive.writestr(ENCODINGS[encoding].member, content)
    return path


def zipped(data: dict[str, bytes]) -> dict[str, bytes]:
    return {name: gzip.compress(content) for name, content in data.items()}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only registry there is."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Wheels that are there without pip, the next one first; a download with none left fails the test."""
    wheels: list[Path] = []
    monkeypatch.setattr(cli, "_download", lambda _: wheels.pop(0))
    return wheels


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


EXPECTED = {ENCODINGS[name].file_name: data for name, data in DATA.items()}


# ---------------------------------------------------------------------- the command itself


def run(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "modelwire", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


def test_it_runs_as_a_module_and_tells_its_version() -> None:
    done = run("--version")

    assert (done.returncode, done.stdout, done.stderr) == (0, f"modelwire {modelwire.__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["tokens"], ["tokens", "count"], ["models", "nobody"]])
def test_a_wrong_command_line_is_answered_with_the_right_one(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)

    assert stopped.value.code == 2
    assert "usage: python -m modelwire" in capsys.readouterr().err


@pytest.mark.parametrize("providers", [[], ["deepseek"]])
def test_a_reader_that_has_read_enough_is_no_error(providers: list[str]) -> None:
    """For output that fills the pipe's buffer, and for output that is written at the end."""
    command = [sys.executable, "-m", "modelwire", "models", *providers]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()

        assert process.stderr.read() == b""
        assert process.wait() == 1


# ---------------------------------------------------------------------- models


def test_the_models_of_all_providers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in models.providers()] == models.providers()
    assert len(lines) == sum(len(models.rows(provider)) + 4 for provider in models.providers())


def test_a_model_is_listed_with_its_facts_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "openai"]) == 0

    title, _, head, *rows = capsys.readouterr().out.splitlines()
    row = next(row for row in rows if row.startswith("gpt-5.1 "))
    assert title == "openai"
    starts = [head.index(name) for name in cli._COLUMNS]
    cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    assert cells == [
        "gpt-5.1",
        "272,000",
        "128,000",
        "yes",
        "yes",
        "yes",
        "none low medium high",
        "chat responses",
        "2027-04-01",
    ]


def test_what_is_not_known_is_told_apart_from_what_a_model_cannot_do() -> None:
    known = {"vision": False, "reasoning": True}

    assert cli._cells("m", known) == ("m", "?", "?", "no", "?", "?", "yes", "", "")


# ---------------------------------------------------------------------- tokens fetch


def test_fetch_downloads_by_pip_checks_and_writes_the_data(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel(registry, zipped(DATA))
    folder = tmp_path / "new" / "folder"

    assert cli.main(["tokens", "fetch", "--dir", str(folder)]) == 0

    assert files(folder) == EXPECTED
    assert f"TIKTOKEN_CACHE_DIR={folder}" in capsys.readouterr().out


def test_fetch_writes_where_the_data_is_looked_for(
    downloads: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))

    assert cli.main(["tokens", "fetch"]) == 0

    assert files(tmp_path / "default") == EXPECTED
    assert "TIKTOKEN_CACHE_DIR" not in capsys.readouterr().out


def test_what_is_there_is_not_fetched_again(
    downloads: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))
    cli.main(["tokens", "fetch"])
    capsys.readouterr()

    assert cli.main(["tokens", "fetch"]) == 0

    assert capsys.readouterr().out.count("is already in") == 2


def test_only_what_is_missing_or_damaged_is_written(downloads: list[Path], tmp_path: Path) -> None:
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))
    cli.main(["tokens", "fetch"])
    whole, damaged = (tmp_path / "default" / ENCODINGS[name].file_name for name in DATA)
    before = whole.stat().st_mtime_ns
    damaged.write_bytes(b"")
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))

    assert cli.main(["tokens", "fetch"]) == 0

    assert files(tmp_path / "default") == EXPECTED
    assert whole.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({**DATA, "o200k_base": b"else"}), "holds other data than o200k_base: its SHA-256 is not"),
        (zipped({"cl100k_base": DATA["cl100k_base"]}), "does not hold bpe_openai/data/o200k_base.tiktoken.gz"),
        ({**zipped(DATA), "o200k_base": b"not gzip"}, "does not hold bpe_openai/data/o200k_base.tiktoken.gz"),
        ({**zipped(DATA), "o200k_base": gzip.compress(b"cut")[:-9]}, "does not hold bpe_openai/data/o200k_base"),
    ],
)
def test_data_that_is_not_what_it_should_be_is_not_written(
    content: dict[str, bytes],
    message: str,
    downloads: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downloads.append(wheel(tmp_path / "w", content))

    assert cli.main(["tokens", "fetch"]) == 1

    assert message in capsys.readouterr().err
    assert ENCODINGS["o200k_base"].file_name not in files(tmp_path / "default")


def test_a_download_that_is_no_wheel_is_told(
    downloads: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads.append(tmp_path / "page.whl")
    downloads[0].write_text("<html>Sign in</html>")

    assert cli.main(["tokens", "fetch"]) == 1
    assert "page.whl does not hold" in capsys.readouterr().err


@pytest.mark.usefixtures("registry")
def test_a_registry_out_of_reach_is_told_in_pips_words_with_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tokens", "fetch"]) == 1

    error = capsys.readouterr().err
    assert error.startswith(f"modelwire: pip could not download {PACKAGE}:\n")
    assert "No matching distribution found" in error
    assert "pip config list" in error


def test_a_python_without_pip_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert cli.main(["tokens", "fetch"]) == 1
    assert "has no pip" in (error := capsys.readouterr().err)
    assert "python -m ensurepip" in error


@pytest.mark.usefixtures("downloads")
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert cli.main(["tokens", "fetch", "--dir", str(tmp_path / "file" / "folder")]) == 1
    assert "cannot make the folder" in (error := capsys.readouterr().err)
    assert "--dir" in error


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left_behind(
    downloads: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))
    in_the_way = tmp_path / "default" / ENCODINGS["cl100k_base"].file_name
    in_the_way.mkdir(parents=True)

    assert cli.main(["tokens", "fetch"]) == 1

    assert f"cannot write {in_the_way}" in capsys.readouterr().err
    assert list((tmp_path / "default").iterdir()) == [in_the_way]


def test_who_has_no_tiktoken_is_told_that_it_is_needed(
    downloads: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    downloads.append(wheel(tmp_path / "w", zipped(DATA)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tiktoken" else object())

    assert cli.main(["tokens", "fetch"]) == 0
    assert "pip install 'modelwire[tiktoken]'" in capsys.readouterr().out
