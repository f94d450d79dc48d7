"""Plain text for people: no colour and no cursor movements, so that a file shows the same as a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

_WIDTH = 88
_INDENT = "    "
_BEFORE_WORD = re.compile(r"(?<=\S)(?= )")


def heading(text: str) -> None:
    """Begin a step."""
    print(f"\n{text}", flush=True)


def say(text: str) -> None:
    """Show a line of a step."""
    print(f"{_INDENT}{text}", flush=True)


class LiveText:
    """Text that is shown piece by piece as it comes, in lines of a readable length.

    with LiveText("Numbers:") as live:
        live.write(" one")
        live.write(" two")
    """

    def __init__(self, begin: str = "") -> None:
        self._begin = begin
        self._column = len(_INDENT)

    def __enter__(self) -> Self:
        print(_INDENT, end="")
        self.write(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        print(flush=True)

    def write(self, piece: str) -> None:
        """Show a piece at once; lines end where the text says so, and before a word that would not fit."""
        for number, line in enumerate(piece.split("\n")):
            if number:
                self._new_line()
            for word in _BEFORE_WORD.split(line):
                self._write_word(word)

    def _write_word(self, word: str) -> None:
        if word.startswith(" ") and self._column + len(word) > _WIDTH:
            self._new_line()
            word = word.lstrip(" ")
        print(word, end="", flush=True)
        self._column += len(word)

    def _new_line(self) -> None:
        print(f"\n{_INDENT}", end="")
        self._column = len(_INDENT)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Show the first column to the left and the others, which are numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for name, *numbers in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(numbers, widths[1:], strict=True)]
        say("   ".join([name.ljust(widths[0]), *cells]))
