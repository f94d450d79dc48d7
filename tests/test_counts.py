"""Hot paths do no more than was accepted; and the counting sees what became dearer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks import counts
from benchmarks.counts import Counts, accept, accepted, count, differences

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
pinned = pytest.mark.skipif(
    f"{sys.version_info[0]}.{sys.version_info[1]}" != counts.PYTHON,
    reason=f"the accepted counts are those of Python {counts.PYTHON}; another one has other instructions",
)


@pinned
def test_no_hot_path_is_dearer_than_was_accepted() -> None:
    """In a process of its own, where nothing was cached or switched on by other tests."""
    command = [sys.executable, "-W", "error", "-m", "benchmarks.counts"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)

    assert done.returncode == 0, done.stdout.partition("\n\n")[2] + done.stderr


def test_every_path_has_accepted_counts() -> None:
    assert list(accepted()) == [name for name, _ in counts.paths()]


# What is counted -------------------------------------------------------------------------------------------------------


def lean(values: list[int]) -> list[int]:
    return [value + 1 for value in values]


def step_by_step(values: list[int]) -> list[int]:
    found = []
    for value in values:
        more = value
        more += 1
        found.append(more)
    return found


def one_more(value: int) -> int:
    return value + 1


def with_calls(values: list[int]) -> list[int]:
    return [one_more(value) for value in values]


def through_c(values: list[int]) -> list[int]:
    return [abs(value) for value in values]


def wasteful(values: list[int]) -> list[int]:
    copy = [value + 1000 for value in values]
    return lean(values) if copy else []


def of(path: Callable[[list[int]], object], monkeypatch: pytest.MonkeyPatch) -> Counts:
    monkeypatch.setattr(counts, "_OURS", __file__)
    values = list(range(500))
    return count(lambda: path(values))


@pinned
@pytest.mark.parametrize(
    ("dearer", "field"),
    [(step_by_step, "steps"), (with_calls, "calls"), (through_c, "calls"), (wasteful, "peak_bytes")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_more_instructions_calls_or_memory_are_seen(
    dearer: Callable[[list[int]], object], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = of(lean, monkeypatch), of(dearer, monkeypatch)

    assert getattr(found, field) > 1.2 * getattr(before, field)
    assert any(f" {field} " in line for line in differences({"path": found}, {"path": before}))


@pinned
def test_a_path_counts_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = of(with_calls, monkeypatch)

    assert first == of(with_calls, monkeypatch)
    assert first.calls == 502 + 1  # the lambda, the function, its comprehension, and 500 times `one_more`


def test_code_of_others_is_not_counted() -> None:
    values = list(range(500))

    assert count(lambda: msgspec.json.decode(msgspec.json.encode(values)))[:2] == (0, 0)


def test_counting_stops_when_a_path_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        if sys.gettrace() is not None:
            raise ZeroDivisionError

    monkeypatch.setattr(counts, "_OURS", __file__)
    with pytest.raises(ZeroDivisionError):
        count(fails)

    assert sys.gettrace() is None


# What is compared ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"a": Counts(105, 20, 1000)}, []),
        ({"a": Counts(50, 10, 500)}, []),
        ({"a": Counts(106, 20, 1000)}, ["a: steps 100 -> 106 (+6%)"]),
        ({"a": Counts(100, 22, 1000)}, ["a: calls 20 -> 22 (+10%)"]),
        ({"a": Counts(100, 20, 1562)}, []),
        ({"a": Counts(100, 20, 1563)}, ["a: peak_bytes 1000 -> 1563 (+56%)"]),
        ({"b": Counts(1, 1, 1)}, ["a: gone", "b: not counted before"]),
    ],
)
def test_what_became_dearer_is_told(found: dict[str, Counts], told: list[str]) -> None:
    assert differences(found, {"a": Counts(100, 20, 1000)}) == told


def test_what_was_accepted_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "ACCEPTED", tmp_path / "counts.json")
    found = {"a": Counts(1, 2, 3), "b": Counts(4, 5, 6)}
    accept(found)

    assert accepted() == found
