"""Command line of the benchmarks; `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import caching, codec, concurrent, imports, over_http, plot, report, scaling, tools
from benchmarks.measure import Effort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.measure import Result

SUITES: dict[str, Callable[[Effort], Iterator[Result]]] = {
    "codec": codec.run,
    "tools": tools.run,
    "call": over_http.run_calls,
    "stream": over_http.run_streams,
    "concurrent": concurrent.run,
    "scaling": scaling.run,
    "cache": caching.run,
    "import": imports.run,
}
"""A suite gives its results one by one, as they are measured."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for and print it."""
    arguments = _parser().parse_args(argv)
    effort = Effort(rounds=arguments.rounds, slice=arguments.slice / 1000)
    _forget_proxies()
    facts = report.environment(effort)
    found: dict[str, list[Result]] = {}
    if not arguments.json:
        print(report.heading(facts))
    for suite in arguments.suites or SUITES:
        found[suite] = list(_shown(_results(suite, effort, peers=arguments.peers), quiet=arguments.json))
    if arguments.json:
        print(report.as_json(facts, found))
    if arguments.plot:
        for path in plot.write(arguments.plot, found):
            report.note(f"drawn: {path}")
    if report.busy(facts):
        report.note("The machine was busy: trust the ratios, not the times.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what modelwire costs.")
    parser.add_argument("suites", nargs="*", metavar="suite", type=_suite, help=f"{', '.join(SUITES)}; by default all")
    parser.add_argument("--json", action="store_true", help="print JSON, with the values of each round")
    parser.add_argument(
        "--peers", action="store_true", help="measure other libraries too; benchmarks/README.md says how"
    )
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw each table into an SVG file there")
    parser.add_argument(
        "--rounds", type=_positive, default=Effort().rounds, help="times each is measured (default: %(default)s)"
    )
    parser.add_argument(
        "--slice",
        type=float,
        default=Effort().slice * 1000,
        metavar="MS",
        help="CPU that each gets in a round (default: %(default)g)",
    )
    return parser


def _results(suite: str, effort: Effort, *, peers: bool) -> Iterator[Result]:
    """The suite's tables, then those with other libraries."""
    yield from SUITES[suite](effort)
    if peers:
        from benchmarks.peers.suites import SUITES as WITH_PEERS

        yield from WITH_PEERS.get(suite, lambda _: iter(()))(effort)


def _suite(text: str) -> str:
    # `choices` would refuse to be left out: Python checks the empty list against them too.
    if text not in SUITES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SUITES)}")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _forget_proxies() -> None:
    """A proxy of the environment is not for loopback, and leaving it out by `NO_PROXY` costs httpx some time a call."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]


def _shown(results: Iterable[Result], *, quiet: bool) -> Iterator[Result]:
    for result in results:
        if not quiet:
            print(f"\n{report.table(result)}", flush=True)
        yield result


if __name__ == "__main__":
    sys.exit(main())
