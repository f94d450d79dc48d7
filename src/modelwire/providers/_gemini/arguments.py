"""Arguments of a function call that come piece by piece.

Only Vertex AI streams them, and only when asked (`streamFunctionCallArguments`): each piece names its place by a JSON
path, and a text may take several pieces.
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_ESCAPED = re.compile(r"\\(.)")


class WirePartial(msgspec.Struct, rename="camel"):
    json_path: str = "$"
    string_value: str | None = None
    number_value: float | int | None = None
    bool_value: bool | None = None


class PartialArguments:
    """Arguments while they come in."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, pieces: Iterable[WirePartial]) -> None:
        """Put these values where they belong; a text is appended to the text that is there.

        Raises `ValueError` for a path that leads nowhere.
        """
        for piece in pieces:
            self._put(_steps(piece.json_path), _value(piece))

    def text(self) -> str:
        """The arguments up to now as JSON."""
        return msgspec.json.encode(self._root).decode()

    def _put(self, steps: list[str | int], value: Any) -> None:
        holder: Any = self._root
        for step, following in pairwise(steps):
            empty: Any = [] if isinstance(following, int) else {}
            holder = _member(holder, step, empty)
        before = _member(holder, steps[-1], None)
        holder[steps[-1]] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _member(holder: Any, step: str | int, empty: Any) -> Any:
    """What stands at this step, `empty` put there where nothing does; a list grows only at its end."""
    if isinstance(step, str) and isinstance(holder, dict):
        return holder.setdefault(step, empty)
    if isinstance(step, int) and isinstance(holder, list) and step <= len(holder):
        if step == len(holder):
            holder.append(empty)
        return holder[step]
    raise ValueError(f"a piece of a call's arguments does not fit those before it, at {step!r}")


def _steps(path: str) -> list[str | int]:
    """The steps of a JSON path (RFC 9535) that leads to one place."""
    steps: list[str | int] = []
    at = 1
    while found := _STEP.match(path, at):
        name, index, *quoted = found.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(name if name is not None else _ESCAPED.sub(r"\1", next(q for q in quoted if q is not None)))
        at = found.end()
    if not steps or not path.startswith("$") or at != len(path):
        raise ValueError(f"not a path to a place: {path[:100]!r}")
    return steps


def _value(piece: WirePartial) -> Any:
    values = (piece.string_value, piece.number_value, piece.bool_value)
    return next((value for value in values if value is not None), None)
