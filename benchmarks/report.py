"""Results as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Effort, Result, Row

PACKAGES = ("modelwire", "httpx", "httpcore", "h11", "httptools", "anyio", "msgspec")


def table(result: Result) -> str:
    """One comparison; lower is better everywhere."""
    extras = list(result.rows[0].extras)
    head = ["", f"CPU {result.unit}", "spread", *extras, *(f"x {name}" for name in result.baselines)]
    lines = [head, *(_cells(result, row) for row in result.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rendered = [_line(line, widths) for line in lines]
    return "\n".join([result.title, "-" * len(rendered[0]), *rendered])


def _cells(result: Result, row: Row) -> list[str]:
    ratios = [_ratio(result.ratio(row, name)) for name in result.baselines]
    return [row.name, number(row.median), f"{row.spread:.0%}", *map(number, row.extras.values()), *ratios]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "   ".join([first, *others])


def number(value: float | None) -> str:
    """Three digits, or a count as it is; `-` for what is not known."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{number(value)}x"


def environment(effort: Effort) -> dict[str, Any]:
    """Where and how it was measured: nobody can read the numbers without that."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": _load(),
        "packages": {name: version(name) for name in PACKAGES},
        "rounds": effort.rounds,
        "slice": effort.slice,
    }


def _load() -> float | None:
    """Processes that were running in the last minute, these included; `None` where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def heading(facts: Mapping[str, Any]) -> str:
    """The environment in two lines."""
    packages = ", ".join(f"{name} {release}" for name, release in facts["packages"].items())
    load = "" if facts["load"] is None else f", load {facts['load']}"
    return (
        f"{facts['implementation']} {facts['python']}, {facts['system']}, {facts['cores']} cores{load}; {packages}\n"
        f"Medians of {facts['rounds']} interleaved rounds; spread: distance of the quartiles; ratios: within each round."
    )


def busy(facts: Mapping[str, Any]) -> bool:
    """Whether others used the machine so much that only ratios mean something."""
    return facts["load"] is not None and facts["load"] > 0.4 * (facts["cores"] or 1)


def as_json(facts: Mapping[str, Any], results: Mapping[str, Sequence[Result]]) -> str:
    """Everything that was measured, by suite."""
    suites = {suite: [_comparison(result) for result in found] for suite, found in results.items()}
    return json.dumps({"environment": facts, "suites": suites}, indent=1)


def _comparison(result: Result) -> dict[str, Any]:
    rows = [
        {
            "name": row.name,
            "median": row.median,
            "spread": row.spread,
            **row.extras,
            "ratios": {name: result.ratio(row, name) for name in result.baselines},
            "values": list(row.values),
        }
        for row in result.rows
    ]
    return {"title": result.title, "unit": result.unit, "rows": rows}


def note(text: str) -> None:
    """Something for a person who watches; standard output holds the results alone."""
    print(text, file=sys.stderr, flush=True)
