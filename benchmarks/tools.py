"""What it costs to describe typed functions to a model: once made a tool, remembered, and each time anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from benchmarks.measure import Comparison, Contender, measure
from modelwire import _signature, tool
from modelwire._tools import to_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Effort, Result

TOOL, FUNCTION, ANEW = "made a tool", "a plain function", "a plain function, not remembered"


def run(effort: Effort) -> Iterator[Result]:
    """All comparisons of this suite."""
    made = tool(get_weather)
    ways: dict[str, Callable[[], object]] = {
        TOOL: lambda: to_tools([made]),
        FUNCTION: lambda: to_tools([get_weather]),
        ANEW: _anew,
    }
    contenders = [Contender(name, _repeated(way)) for name, way in ways.items()]
    yield measure(Comparison("a request's tools from one function", contenders, (ANEW,)), effort)


def get_weather(
    city: Annotated[str, "Such as Paris."], days: int = 1, unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> str:
    """The weather in a city."""
    return f"{city} {days} {unit}"


def _anew() -> object:
    _signature._REMEMBERED.clear()  # noqa: SLF001  # what is measured
    return to_tools([get_weather])


def _repeated(way: Callable[[], object]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            way()

    return run
