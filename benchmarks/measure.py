"""Measures contenders against each other: CPU time in interleaved rounds, and memory.

CPU time, because wall time on a shared machine is that of the others too. Interleaved, because clock speed and foreign
load drift: in each round every contender runs once, and ratios are taken within the round, then their median.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    rounds: int = 7
    """Times that each contender is measured."""
    slice: float = 0.02
    """Seconds of CPU that a contender gets in a round, at least: as many repetitions as fit."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of doing what is compared."""

    name: str
    run: Callable[[int], object]
    """Do it so many times."""
    elsewhere: Callable[[int], float] | None = None
    """For what runs in another process, the same as `run`: it gives the seconds of CPU that this took there."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ways of doing the same thing."""

    title: str
    contenders: Sequence[Contender]
    baselines: Sequence[str] = ()
    """Names of the contenders that all are compared with."""
    per: int = 1
    """Units in one run, such as the events of a stream: times are those of one unit."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one contender."""

    name: str
    values: Sequence[float]
    """CPU time of each round."""
    extras: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])
    """Further columns; `None` where this machine cannot tell."""

    @property
    def median(self) -> float:
        """What stands in the table."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Distance of the quartiles, as a part of the median: what half of the rounds lie within."""
        if len(self.values) < 2 or not self.median:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return (high - low) / self.median


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of all contenders of a comparison."""

    title: str
    unit: str
    """Of the CPU times."""
    rows: Sequence[Row]
    baselines: Sequence[str] = ()

    def ratio(self, row: Row, baseline: str) -> float | None:
        """How many times as much as the baseline; `None` where that took no time that could be measured."""
        base = next(other for other in self.rows if other.name == baseline)
        ratios = [value / against for value, against in zip(row.values, base.values, strict=True) if against > 0]
        return statistics.median(ratios) if ratios else None


def measure(comparison: Comparison, effort: Effort) -> Result:
    """CPU microseconds for one unit, and the memory of one run."""
    contenders = comparison.contenders
    repetitions = {contender.name: _repetitions(contender, effort.slice) for contender in contenders}
    values: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(effort.rounds):
        for contender in _rotated(contenders, number):
            times = repetitions[contender.name]
            values[contender.name].append(_cpu(contender, times) / times / comparison.per * 1e6)
    rows = [Row(contender.name, values[contender.name], {"peak kB": _peak(contender)}) for contender in contenders]
    return Result(comparison.title, "µs", rows, comparison.baselines)


def _rotated(contenders: Sequence[Contender], number: int) -> Sequence[Contender]:
    """Another one begins in each round, so that nobody always runs after the same neighbour."""
    first = number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def _repetitions(contender: Contender, least: float) -> int:
    """How often it fits into so many seconds of CPU; warms it up on the way."""
    contender.run(1)
    times = 1
    while (used := _cpu(contender, times)) < least:
        times = max(times + 1, min(times * 10, int(times * 1.2 * least / used) if used > 0 else times * 10))
    return times


def _cpu(contender: Contender, times: int) -> float:
    """Seconds of CPU that this takes. The collector runs meanwhile, as it does for users; it starts clean."""
    if contender.elsewhere is not None:
        return contender.elsewhere(times)
    gc.collect()
    start = time.process_time()
    contender.run(times)
    return time.process_time() - start


def _peak(contender: Contender) -> float | None:
    """Kilobytes that one run has allocated at once, at most; `None` for another process."""
    if contender.elsewhere is not None:
        return None
    tracemalloc.start()
    try:
        contender.run(1)  # what is made once and kept is not counted
        gc.collect()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        contender.run(1)
        _, peak = tracemalloc.get_traced_memory()
        return max(0, peak - before) / 1000
    finally:
        tracemalloc.stop()
