"""The fixture `modelwire_cassette`, in test files of their own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelwire import OpenAIChatCompletionClient, Player
from tests.chat_server import answer_chat
from tests.server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["pytester"]
LOADED = (OpenAIChatCompletionClient, Player)
"""What the tests of the tests use; each run would load it anew otherwise."""

PROJECT = Path(__file__).parent.parent
TESTS = """
import pytest
from modelwire import OpenAIChatCompletionClient, UserMessage

pytestmark = pytest.mark.anyio

async def ask(transport, question):
    client = OpenAIChatCompletionClient(
        model="m", base_url="{url}/v1", api_key="sk-do-not-show-this", transport=transport, max_retries=0
    )
    async with client:
        return (await client.create([UserMessage(content=question)])).text

async def test_one(modelwire_cassette):
    assert await ask(modelwire_cassette, "What?") == "You said: What?"
    assert await ask(modelwire_cassette, "And?") == "You said: And?"

class TestTwo:
    @pytest.mark.parametrize("word", ["a/b", pytest.param("c", id="x" * 200)])
    def test_two(self, modelwire_cassette, word):
        import anyio
        assert anyio.run(ask, modelwire_cassette, word) == f"You said: {{word}}"
"""
FILES = [
    r"test_them\.TestTwo\.test_two\[a_b\]\.jsonl",
    r"test_them\.TestTwo\.test_two\[x{100,130}-\w{8}\.jsonl",
    r"test_them\.test_one\.jsonl",
]
"""Of the tests, in order."""


class Runner:
    """Runs the tests above in this process."""

    def __init__(self, pytester: pytest.Pytester, server: ScriptedServer) -> None:
        pytester.makepyfile(test_them=TESTS.format(url=server.url))
        self.folder = pytester.path
        self.server = server
        self.output = ""
        self._run = pytester.runpytest

    def __call__(self, *arguments: str) -> dict[str, int]:
        """How they ended."""
        # Not by its entry point, which is only there where the package was installed since it has one.
        plugin = (
            "-p",
            "no:modelwire",
            "-p",
            "modelwire.pytest_plugin",
            "-W",
            "ignore::pytest.PytestAssertRewriteWarning",
        )
        result = self._run(*plugin, *arguments)
        self.output = result.stdout.str()
        return result.parseoutcomes()

    @property
    def asked(self) -> int:
        """Requests that the server got up to now."""
        return len(self.server.requests)

    def cassettes(self) -> list[Path]:
        return sorted((self.folder / "cassettes").glob("*"))


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    monkeypatch.delenv("CI", raising=False)
    with ScriptedServer(answer_chat) as server:
        yield Runner(pytester, server)


def test_once_records_and_plays_from_then_on(run: Runner) -> None:
    assert run() == {"passed": 4}
    assert run.asked == 4  # the same file for test_one on both event loops
    assert run() == {"passed": 4}
    assert run.asked == 4

    names = [path.name for path in run.cassettes()]
    assert all(re.fullmatch(*pair) for pair in zip(FILES, names, strict=True)), names
    assert "sk-do" not in "".join(path.read_text() for path in run.cassettes())


def test_none_sends_nothing_and_is_the_rule_in_ci(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--modelwire-record=none") == {"failed": 4}
    assert "there is no such recording" in run.output
    monkeypatch.setenv("CI", "true")
    assert run("-k", "test_one") == {"failed": 2, "deselected": 2}
    assert (run.asked, run.cassettes()) == (0, [])
    monkeypatch.setenv("CI", "false")
    assert run("-k", "test_one") == {"passed": 2, "deselected": 2}


def test_what_changed_fails_until_it_is_recorded(run: Runner) -> None:
    test = run.folder / "test_them.py"
    run("-k", "test_one")
    test.write_text(test.read_text().replace("And?", "Or?"))

    assert run("-k", "test_one") == {"failed": 2, "deselected": 2}
    assert '$.messages[0].content: recorded "And?", now "Or?"' in run.output
    assert run.asked == 2

    assert run("-k", "test_one", "--modelwire-record=new_episodes") == {"passed": 2, "deselected": 2}
    assert run.asked == 3  # the other was on record
    assert run("-k", "test_one", "--modelwire-record=all") == {"passed": 2, "deselected": 2}
    assert run.asked == 7
    (path,) = run.cassettes()
    assert len(path.read_text().splitlines()) == 3  # those of the last run only
    assert run("-k", "test_one") == {"passed": 2, "deselected": 2}


def test_options_reach_the_recorder_and_the_player(run: Runner) -> None:
    (run.folder / "conftest.py").write_text(
        """
import pytest

@pytest.fixture
def modelwire_cassette_options():
    return {"redact": ["chatcmpl-1"], "match": "sequential", "speed": 1000}
"""
    )
    test = run.folder / "test_them.py"
    assert run("-k", "test_one") == {"passed": 2, "deselected": 2}
    test.write_text(test.read_text().replace('modelwire_cassette, "And?"', 'modelwire_cassette, "Or?"'))
    assert run("-k", "test_one") == {"passed": 2, "deselected": 2}

    text = run.cassettes()[0].read_text()
    assert "And?" in text
    assert "chatcmpl-1" not in text


def test_it_is_declared_and_loads_nothing_of_modelwire() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    code = (
        "import sys, pytest; before = set(sys.modules); import modelwire.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name in sys.stdlib_module_names))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert declared == {"modelwire": "modelwire.pytest_plugin"}
    assert printed.strip() == "['modelwire', 'modelwire.pytest_plugin']"
