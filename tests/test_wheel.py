"""The wheel, built and installed alone into an empty environment."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.chat_server import answer_chat
from tests.server import ScriptedServer
from tests.test_readme import PROJECT, PYTHON, run

NEEDS = {"anyio", "certifi", "h11", "httpcore", "httpx", "idna", "modelwire", "msgspec", "pip", "setuptools"}
"""The core's three dependencies with theirs; typing_extensions comes with anyio on Python below 3.13."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that holds the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    executable = str(folder / "bin" / "python")
    subprocess.run([executable, "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True)
    return executable


def test_the_wheel_holds_the_package_its_schema_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    data = {"py.typed", "modelwire.schema.json", "cassette.schema.json", "models/openai.json"}

    assert {name.split("/")[0].split("-")[0] for name in names} == {"modelwire"}
    assert {f"modelwire/{name}" for name in data} <= set(names)
    assert not [name for name in names if "tests/" in name or "/test_" in name or name.endswith(".pyc")]


def test_pytest_finds_the_plugin(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        declared = archive.read(name).decode()

    assert "[pytest11]\nmodelwire = modelwire.pytest_plugin\n" in declared


def test_it_brings_its_three_dependencies_and_nothing_else(python: str) -> None:
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    found = {line.split("==")[0].lower().replace("-", "_") for line in listed.stdout.split()}

    assert found - {"typing_extensions"} - NEEDS == set()
    assert {"anyio", "httpx", "modelwire", "msgspec"} <= found


def test_the_first_example_of_the_readme_runs_there(python: str) -> None:
    with ScriptedServer(answer_chat) as server:
        printed = run(PYTHON[0], f"{server.url}/v1", python)

    assert printed.startswith("You said: What is gravity?")


def test_the_schema_can_be_read_from_the_installed_package(python: str) -> None:
    code = (
        "import json; from importlib.resources import files; "
        "print(json.loads(files('modelwire').joinpath('modelwire.schema.json').read_text())['$id'])"
    )
    printed = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)

    assert printed.stdout.startswith("urn:modelwire:schema:")
