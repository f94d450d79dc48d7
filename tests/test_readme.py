"""The README's examples do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chat_server import answer_chat
from tests.server import ScriptedServer

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [code for language, code in BLOCKS if language == "sh"]
PRINTS = [
    r"You said: What is gravity\? Usage\(prompt_tokens=9, .*\nYou said: And light\?stop",
    r"You said: sunny in Paris\n",
    r"City\(name='Paris', country='Paris'\)\n",
    r"You said: What is gravity\?\nUsage\(prompt_tokens=9, .*\), Timing\(total=",
    r"You said: Hello 1\n",
    r"messages\[1\]\.content\[0\]: reasoning left out: only anthropic recognises it\nYou said: And light\?\n",
    r"TokenCount\(\d+, method='(exact|estimate)'\)\n",
    r"You said: Hello\n",
    r"Hello\nCreateResult\(finish_reason='stop', content='Hello'",
    r"You said: Hello gpt-4.1 13\n",
    r"100 1\nYou said: Hello\nTrue\n",
    r"sunny\nThe weather in Paris\?\n",
    r"It is sunny\. \[503, 200\]\ngemini-2\.5-flash \[200\]\nThe weather\?\n",
]
"""What each Python example prints, in their order."""


def run(code: str, url: str, python: str = sys.executable) -> str:
    """What the code prints, in an interpreter of its own, with `url` as OpenAI's address."""
    environment = {"OPENAI_API_KEY": "sk-example", "OPENAI_BASE_URL": url, "PATH": os.environ["PATH"], "NO_PROXY": "*"}
    done = subprocess.run(
        [python, "-W", "error", "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_of_the_readme_is_in_a_language_that_is_run() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "sh"}
    assert len(PYTHON) == len(PRINTS)


@pytest.mark.parametrize(("code", "prints"), list(zip(PYTHON, PRINTS, strict=True)))
def test_a_python_example_runs_and_prints_what_it_should(code: str, prints: str) -> None:
    with ScriptedServer(answer_chat) as server:
        printed = run(code, f"{server.url}/v1")

    assert re.match(prints, printed), printed


def commands() -> list[str]:
    lines = (line.partition("#")[0].strip() for code in SHELL for line in code.splitlines())
    return [line for line in lines if line]


def test_make_targets_of_the_readme_exist() -> None:
    wanted = {line.split()[-1] for line in commands() if line.startswith("make ")}
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))

    assert wanted
    assert wanted <= targets


def test_codegen_commands_of_the_readme_run() -> None:
    lines = [line for line in commands() if "-m codegen" in line]
    schema = PROJECT / "schema" / "modelwire.schema.json"

    for line in lines:
        arguments = line.replace("OLD.json", str(schema)).split()[1:]
        done = subprocess.run([sys.executable, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    assert len(lines) == 2


def test_every_command_of_the_readme_is_covered_here() -> None:
    known = ("make ", "pip install modelwire", ".venv/bin/python -m codegen")

    assert [line for line in commands() if not line.startswith(known)] == []
