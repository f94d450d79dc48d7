"""What a docstring says of a function and of each of its parameters. Pure.

Read are the sections of Google's, NumPy's and Sphinx's style; text in no style is all description.
https://google.github.io/styleguide/pyguide.html#383-functions-and-methods, https://numpydoc.readthedocs.io/en/latest/format.html,
https://www.sphinx-doc.org/en/master/usage/domains/python.html#info-field-lists
"""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

_FIELD = re.compile(r":\w+[^:]*:")
_SPHINX = re.compile(r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\**(\w+)\s*:\s*(.*)")
_UNDERLINE = re.compile(r"-{3,}|={3,}")
_NUMPY = re.compile(r"(\**\w+(?:\s*,\s*\**\w+)*)\s*(?::.*)?")
_GOOGLE = re.compile(r"\**(\w+)\s*(?:\([^)]*(?:\([^)]*\)[^)]*)*\))?\s*:\s*(.*)")
_PARAMETERS = ("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters")
_OTHER = ("returns", "return", "yields", "yield", "raises", "raise", "warns", "example", "examples", "references")
_HEADINGS = frozenset(f"{word}:" for word in (*_PARAMETERS, *_OTHER, "see also"))


class Docstring(NamedTuple):
    """A docstring's parts."""

    description: str
    """The text before the first section; empty when there is none."""
    parameters: dict[str, str]
    """Descriptions by parameter, of those that it describes."""


def parse(text: str | None) -> Docstring:
    """The parts of a docstring."""
    lines = inspect.cleandoc(text or "").splitlines()
    first = next((at for at in range(len(lines)) if _starts_section(lines, at)), len(lines))
    parameters: dict[str, str] = {}
    for at, line in enumerate(lines):
        if found := _SPHINX.fullmatch(line):
            parameters[found[1]] = _joined([found[2], *_indented(lines[at + 1 :])])
        elif _is_underlined(lines, at) and line.strip().lower() in _PARAMETERS:
            parameters |= _numpy(lines[at + 2 :])
        elif line.lower().rstrip() in _HEADINGS and line.lower().rstrip(" :") in _PARAMETERS:
            parameters |= _google(_indented(lines[at + 1 :]))
    return Docstring("\n".join(lines[:first]).strip(), {name: said for name, said in parameters.items() if said})


def _starts_section(lines: list[str], at: int) -> bool:
    line = lines[at]
    return line.lower().rstrip() in _HEADINGS or _FIELD.match(line) is not None or _is_underlined(lines, at)


def _is_underlined(lines: list[str], at: int) -> bool:
    return bool(lines[at].strip()) and at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1].strip()) is not None


def _indented(lines: list[str]) -> list[str]:
    """The lines up to the next one that is not indented."""
    end = next((at for at, line in enumerate(lines) if line and not line[0].isspace()), len(lines))
    return lines[:end]


def _google(lines: list[str]) -> dict[str, str]:
    body = inspect.cleandoc("\n".join(["", *lines])).splitlines()
    found: dict[str, str] = {}
    for at, line in enumerate(body):
        if entry := _GOOGLE.fullmatch(line):
            found[entry[1]] = _joined([entry[2], *_indented(body[at + 1 :])])
    return found


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at, line in enumerate(lines):
        if _is_underlined(lines, at):
            break
        if entry := _NUMPY.fullmatch(line):
            said = _joined(_indented(lines[at + 1 :]))
            found |= dict.fromkeys(re.findall(r"\w+", entry[1]), said)
    return found


def _joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
