"""Results as pictures: one SVG a comparison, with the CPU time of each contender on a logarithmic scale.

Needs matplotlib, which is in the dependency group `plot`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from benchmarks.report import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.measure import Result, Row

OURS = "#1f6feb"
LIMITS = "#8c959f"
OTHERS = "#d4a72c"


def write(folder: Path, found: Mapping[str, Sequence[Result]]) -> list[Path]:
    """Draw all comparisons into this folder; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_drawn(folder, result) for results in found.values() for result in results]


def _drawn(folder: Path, result: Result) -> Path:
    pyplot = _pyplot()
    rows = sorted(result.rows, key=lambda row: row.median, reverse=True)
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.32 * len(rows)), layout="constrained")
    bars = axes.barh([row.name for row in rows], [row.median for row in rows], color=[_color(row) for row in rows])
    axes.bar_label(bars, labels=[f" {number(row.median)}" for row in rows], fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_title(f"{result.title} (CPU, {result.unit})", fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    path = folder / f"{_file_name(result.title)}.svg"
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def _pyplot() -> Any:
    try:
        import matplotlib as mpl
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install --group plot") from None
    mpl.use("svg")
    # Text stays text: smaller files, and one can search in them. The salt makes ids, and so files, the same each time.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "modelwire"})
    from matplotlib import pyplot as plt

    return plt


def _color(row: Row) -> str:
    if "modelwire" in row.name:
        return OURS
    return LIMITS if row.name.startswith(("raw", "msgspec", "httpx", "json", "memory")) else OTHERS


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80]
