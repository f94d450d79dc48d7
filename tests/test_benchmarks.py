"""The benchmarks run and measure what they say. Nothing here judges a time."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from benchmarks import __main__, codec, concurrent, layers, over_http, plot, report, scaling, tools, wire, work
from benchmarks.__main__ import SUITES
from benchmarks.answers import ANSWERS, EVENTS, whole
from benchmarks.clients import CALLERS, ON_TRIO, STREAMERS
from benchmarks.clients.reference import ReferenceClient, ResponseParser
from benchmarks.imports import PROGRAMS
from benchmarks.measure import Comparison, Contender, Effort, Result, Row, measure
from benchmarks.peers import process
from benchmarks.peers import suites as peers_suites
from benchmarks.peers.adapters import ADAPTERS
from benchmarks.peers.environments import PEERS
from benchmarks.server import loopback
from modelwire._fold import fold
from modelwire._frames import SseFramer
from modelwire._stream import EventStream
from modelwire._transport import HttpxTransport
from modelwire.providers import codec_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ROWS = {
    "codec": [codec.MODELWIRE, codec.JSON, codec.WHOLE, codec.STRUCTS, codec.COPY],
    "tools": [tools.TOOL, tools.FUNCTION, tools.ANEW],
    "call": [kind.name for kind in CALLERS],
    "stream": [kind.name for kind in STREAMERS],
    "concurrent": [kind.name for kind in CALLERS],
    "scaling": [scaling.SMALL, scaling.LARGE],
    "cache": [],  # of each table its own
    "import": list(PROGRAMS),
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_each_suite_has_its_rows_listed_here() -> None:
    assert list(SUITES) == list(ROWS)


def rows_of(suite: str, title: str) -> list[str]:
    if "on trio" in title:
        return [kind.name for kind in ON_TRIO]
    left_out = {codec.WHOLE: not title.startswith("decode:"), codec.COPY: "image" not in title}
    return [name for name in ROWS[suite] if not left_out.get(name)]


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_runs_in_its_smallest_configuration_and_prints_its_tables(suite: str) -> None:
    done = run(suite, "--rounds", "1", "--slice", "0")

    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr  # all connections were closed
    _, *tables = done.stdout.strip().split("\n\n")
    assert tables
    for table in tables:
        title, rule, head, *rows = table.splitlines()
        assert title.startswith(suite) or suite in ("codec", "tools")
        assert set(rule) == {"-"}
        assert "CPU" in head
        assert " x " in head
        expected = [kind.name for kind in concurrent.AT_ONCE] if "streams at once" in title else rows_of(suite, title)
        names = [row.split("   ")[0].strip() for row in rows]
        assert names == expected if expected else len(names) > 1


def test_json_has_every_value_and_the_ratios_to_the_baselines() -> None:
    done = run("codec", "--json", "--rounds", "2", "--slice", "0")

    found = json.loads(done.stdout)
    assert found["environment"]["rounds"] == 2
    assert found["environment"]["packages"]["msgspec"]
    assert len(found["suites"]["codec"]) == 15
    for comparison in found["suites"]["codec"]:
        names = rows_of("codec", comparison["title"])
        assert [row["name"] for row in comparison["rows"]] == names
        for row in comparison["rows"]:
            assert len(row["values"]) == 2
            assert min(row["values"]) > 0
            assert set(row["ratios"]) == set(names) - {codec.MODELWIRE}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_imports_are_measured_in_processes_that_have_loaded_more_and_more() -> None:
    done = run("import", "--json", "--rounds", "1")

    (comparison,) = json.loads(done.stdout)["suites"]["import"]
    rows = {row["name"]: row for row in comparison["rows"]}
    steps = [rows[name] for name in PROGRAMS if name.startswith(("import modelwire", "modelwire,"))]
    assert [row["name"] for row in steps][-1] == "modelwire, first answer"
    for less, more in itertools.pairwise(steps):
        assert less["modules"] < more["modules"]
        assert 5 < less["RSS MB"] < more["RSS MB"] < 500


def test_without_arguments_every_suite_runs_and_no_proxy_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"PATH": "", "HTTP_PROXY": "http://proxy.example", "all_proxy": "http://proxy.example"}
    seen: list[dict[str, str]] = []

    def suite(_: Effort) -> Iterator[Result]:
        seen.append(dict(os.environ))
        yield Result("a table", "µs", [Row("a row", [1.0])])

    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(__main__, "SUITES", {"first": suite, "second": suite})

    assert __main__.main([]) == 0
    assert seen == [{"PATH": ""}] * 2
    assert capsys.readouterr().out.count("a table") == 2


def test_an_unknown_suite_is_refused_with_the_names_of_all() -> None:
    done = run("codecs")

    assert done.returncode == 2
    assert all(name in done.stderr for name in SUITES)


# Measuring -------------------------------------------------------------------------------------------------------------


def test_rounds_are_interleaved_and_every_contender_begins_one_in_turn() -> None:
    seen: list[str] = []
    names = ("a", "b", "c")
    contenders = [Contender(name, lambda _, name=name: seen.append(name)) for name in names]

    measure(Comparison("", contenders), Effort(rounds=3, slice=0))

    # Each is first run to warm it up and to count how often it fits, and last twice for its memory.
    assert "".join(seen[6:-6]) == "abcbcacab"


def test_time_is_that_of_one_unit_and_ratios_are_to_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = 0.0

    def taking(seconds: float, runs: list[int]) -> Contender:
        def run(times: int) -> None:
            nonlocal cpu
            cpu += seconds * times
            runs.append(times)

        return Contender(str(seconds), run)

    monkeypatch.setattr("time.process_time", lambda: cpu)
    quick: list[int] = []
    slow: list[int] = []
    comparison = Comparison("", [taking(0.001, quick), taking(0.02, slow)], ("0.001",), per=10)
    result = measure(comparison, Effort(rounds=3, slice=0.05))

    assert [row.median for row in result.rows] == pytest.approx([100.0, 2000.0])
    assert [result.ratio(row, "0.001") for row in result.rows] == pytest.approx([1, 20])
    # As often as fits into a slice, and not much oftener.
    assert quick[-3] in range(50, 65)
    assert slow[-3] == 3


def test_the_ratio_is_taken_within_each_round_so_that_a_slow_machine_does_not_change_it() -> None:
    base, twice = Row("base", [1.0, 10.0, 2.0]), Row("twice", [2.0, 20.0, 4.0])

    assert Result("", "µs", [base, twice], ("base",)).ratio(twice, "base") == 2


def test_peak_memory_is_that_of_one_run_without_what_is_made_once() -> None:
    sizes = iter([0, 0, 0, 5_000_000])  # warming up, counting, a round, and the first run that is watched

    def run(_: int) -> None:
        made = bytes(next(sizes, 1_000_000))
        del made

    row = measure(Comparison("", [Contender("", run)]), Effort(rounds=1, slice=0)).rows[0]

    assert row.extras["peak kB"] == pytest.approx(1000, rel=0.05)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (461, "461"), (1234.5, "1234"), (12.34, "12.3"), (0.456, "0.46")]
)
def test_numbers_are_shown_with_three_digits(value: float | None, shown: str) -> None:
    assert report.number(value) == shown


def test_a_way_of_decoding_that_reads_another_text_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "text_of", str)

    with pytest.raises(AssertionError, match="msgspec, all members reads another text"):
        codec.decode("1kB", ANSWERS["1kB"])


def test_a_client_that_reads_another_text_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(ReferenceClient):
        name = "wrong"

        async def call(self) -> str:
            return "fast, and wrong"

    monkeypatch.setattr(over_http, "CALLERS", (Wrong,))

    with pytest.raises(AssertionError, match="wrong reads another text"):
        next(over_http.run_calls(Effort(1, 0)))


# Layers ---------------------------------------------------------------------------------------------------------------


def test_time_is_told_by_layer() -> None:
    command = [sys.executable, "-W", "error", "-m", "benchmarks.layers", "--seconds", "0.1"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60)

    cases = done.stdout.strip().split("\n\n")
    assert [case.partition(": ")[0] for case in cases] == list(layers.CASES)
    for case in cases:
        _, *lines = case.splitlines()
        assert lines
        assert sum(float(line.partition("%")[0]) for line in lines) == pytest.approx(100, abs=len(lines))


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        (codec_for, "modelwire: codec"),
        (SseFramer.feed, "modelwire: codec"),
        (fold, "modelwire: types"),
        (HttpxTransport.send, "modelwire: transport"),
        (EventStream._fill, "modelwire: client"),
        (httpx.Request.read, "httpx"),
        (asyncio.run, "event loop and sockets"),
        (whole, "the caller's own loop"),
        (json.dumps, layers.OTHER),
    ],
)
def test_a_function_belongs_to_the_layer_of_its_file(function: Any, layer: str) -> None:
    assert layers.layer_of(function.__code__.co_filename) == layer


# What is asked and answered --------------------------------------------------------------------------------------------


def test_answers_have_the_sizes_that_they_are_named_after() -> None:
    assert len(whole(1000).body) == pytest.approx(1000, abs=40)
    assert len(whole(20_000).body) == pytest.approx(20_000, abs=40)
    assert len(ANSWERS["events"].pieces) == EVENTS + 4  # role, finish, usage, [DONE]
    assert all(len(piece) == 16 * 1024 for piece in ANSWERS["pieces"].pieces[:-1])
    assert ANSWERS["pieces"].body == ANSWERS["events"].body


def test_requests_are_the_same_for_all() -> None:
    asked = work.conversation()

    assert len(asked.request.messages) == 50
    assert len(asked.request.tools or ()) == 10
    assert [message["role"] for message in asked.body["messages"][:4]] == ["system", "user", "assistant", "tool"]
    assert asked.streamed_wire.stream
    assert asked.streamed_body["stream_options"] == {"include_usage": True}


# The yardstick ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["1kB", "paced"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_reference_parser_reads_an_answer_however_it_is_cut(case: str, step: int) -> None:
    answer = ANSWERS[case]
    parser = ResponseParser()
    sent = b"".join(answer.wire())

    pieces: list[bytes] = []
    for start in range(0, len(sent), step):
        assert not parser.done
        pieces += parser.feed(sent[start : start + step])

    assert parser.done
    assert parser.status == 200
    assert b"".join(pieces) == answer.body


def test_the_reference_client_reports_another_status() -> None:
    async def ask(server: str) -> None:
        client = ReferenceClient(server, "nothing", work.question())
        try:
            await client.call()
        finally:
            await client.aclose()

    with loopback() as server, pytest.raises(ConnectionError, match="404"):
        asyncio.run(ask(server))


# The server ------------------------------------------------------------------------------------------------------------

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without a proxy of the environment."""


def asked(server: str, case: str, body: bytes = b"{}") -> bytes:
    with DIRECT.open(f"{server}/{case}/v1/chat/completions", data=body) as response:
        return response.read()


def test_the_server_answers_several_requests_and_is_gone_afterwards() -> None:
    with loopback() as server:
        for case in ("1kB", "events", "paced"):
            assert asked(server, case, b"x" * 100_000) == ANSWERS[case].body

    with pytest.raises(urllib.error.URLError):
        asked(server, "1kB")


def test_the_server_ends_when_its_parent_is_killed() -> None:
    program = "import time\nfrom benchmarks.server import loopback\nwith loopback() as url:\n print(url, flush=True)\n time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        try:
            server = parent.stdout.readline().strip()
            assert asked(server, "1kB") == ANSWERS["1kB"].body
        finally:
            parent.kill()

    assert is_gone(server)


def is_gone(server: str) -> bool:
    for _ in range(100):
        try:
            asked(server, "1kB")
        except OSError:
            return True
        time.sleep(0.05)
    return False


# Peers ----------------------------------------------------------------------------------------------------------------

ADAPTER = """
class Echo:
    def __init__(self, url, body):
        self.text = f"{url} {body['model']}"

    async def call(self):
        return self.text

    stream = call

    def decode(self, answer):
        return answer.decode()

ADAPTERS = {"echo": Echo}
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A peer that needs no installation."""
    (tmp_path / "adapters.py").write_text(ADAPTER)
    worker = tmp_path / "worker.py"
    worker.write_text(process.WORKER.read_text())
    monkeypatch.setattr(process, "WORKER", worker)
    monkeypatch.setattr(process, "python_of", lambda _: Path(sys.executable))
    return tmp_path


@pytest.mark.usefixtures("echo")
def test_a_peer_works_in_its_own_process_and_is_measured_there() -> None:
    with process.running(["echo"], "http://here", {"model": "m"}, "answer") as (peer,):
        peer.check("http://here m", stream=False)
        peer.check("http://here m", stream=True)
        with pytest.raises(AssertionError, match="echo reads another text: 'http://here m'"):
            peer.check("else", stream=False)
        found = measure(
            Comparison("t", [Contender("ours", lambda _: None), peer.contender("call", 3), peer.contender("decode")]),
            Effort(rounds=2, slice=0),
        )

    assert [row.name for row in found.rows] == ["ours", "echo", "echo"]
    assert found.rows[1].extras == {"peak kB": None}
    assert all(value > 0 for row in found.rows[1:] for value in row.values)


def test_a_peer_that_ends_is_told_and_one_that_is_not_installed_is_left_out(
    echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (echo / "adapters.py").write_text("ADAPTERS = {}")
    with process.running(["echo"], "", {}) as (peer,), pytest.raises(RuntimeError, match="echo ended"):
        peer.ask("call")

    monkeypatch.setattr(process, "python_of", lambda _: None)
    with process.running(["echo"], "", {}) as peers:
        assert peers == []


def test_each_peer_has_an_environment_and_a_wire_format() -> None:
    named = {name for kind in peers_suites.WIRES for name in kind.peers}

    assert named == set(ADAPTERS)
    assert {process.ENVIRONMENT_OF.get(name, name) for name in named} == set(PEERS)


def test_tables_are_drawn(tmp_path: Path) -> None:
    result = Result("call: a µ", "µs", [Row("modelwire", [2.0]), Row("openai", [50.0])])

    (path,) = plot.write(tmp_path, {"call": [result]})

    assert path.name == "call-a.svg"
    assert "openai" in path.read_text()
