"""Counting with a model's own tokenizer, by tiktoken and data that is on this machine: the network is never asked.

The rules for messages are OpenAI's: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken for models that
answer at once, and https://cookbook.openai.com/articles/openai-harmony for models that reason first. For conversations of
plain text they give what the API bills. How tools, calls and their results are put before the model is published in
outline only; where they occur, text is counted by the tokenizer and the rest by what recorded answers report, and the
count says that it is an estimate. It is some 10 tokens off for a call or a set of tools, and up to 90 too low for tools of
reasoning models on Chat Completions, which are told more about them there.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import warnings
from binascii import a2b_base64
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire._tools import to_tools
from modelwire.models.encodings import ENCODINGS
from modelwire.tokens import TOKENS_PER_MEDIA, TokenCount, as_json, turns
from modelwire.types import CustomTool, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from modelwire.base import ToolLike
    from modelwire.options import ModelInfo
    from modelwire.tokens import Turn
    from modelwire.types import AnyTool, Message

    Size = Callable[[str], int]
    Counter = Callable[[Sequence[Message], Sequence[ToolLike]], TokenCount]


def counter(info: ModelInfo, *, names: bool = True) -> Counter | None:
    """What counts for this model, or `None` when it can only be estimated.

    That is so when `info` names no `tokenizer` that is known, when tiktoken is not installed, and when the tokenizer's
    data is not in `cache_folder()`. `names` says whether `source` of a message is sent. The first counter for a
    tokenizer takes some 0.3 seconds to make, later ones microseconds. Warns of data that is damaged.
    """
    size = _size(info.get("tokenizer"))
    if size is None:
        return None
    rules = _rules(info)

    def count(messages: Sequence[Message], tools: Sequence[ToolLike]) -> TokenCount:
        return _count(list(turns(messages)), to_tools(tools), size, rules, names=names)

    return count


# ---------------------------------------------------------------------- the tokenizer


def cache_folder() -> Path:
    """Where the data of tokenizers is: the folder that tiktoken is told, else modelwire's own."""
    told = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    return Path(told) if told else _user_cache() / "modelwire" / "tiktoken"


def _user_cache() -> Path:
    """https://specifications.freedesktop.org/basedir-spec/latest, or what other systems have in its place."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given)
    try:
        home = Path.home()
    except RuntimeError:  # a container's user may have none
        return Path(tempfile.gettempdir())
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _size(name: str | None) -> Size | None:
    """What counts the tokens of a text; `None` without tiktoken, or without the data."""
    encoding = ENCODINGS.get(name or "")
    if encoding is None:
        return None
    path = cache_folder() / encoding.file_name
    try:
        state = path.stat()
    except OSError:
        return None
    return _loaded(name or "", path, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=8)
def _loaded(name: str, path: Path, state: tuple[int, int]) -> Size | None:
    """The tokenizer, built from a file that is read once in each state of it."""
    del state  # part of the key: a file that was replaced is read again
    try:
        import tiktoken  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        return None
    encoding = ENCODINGS[name]
    data = path.read_bytes()
    if not encoding.is_data(data):
        warnings.warn(
            f"{path} is not the data of {name}, so tokens are estimated: "
            "`python -m modelwire tokens fetch` puts it right",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    # Not tiktoken.get_encoding(), which downloads what its cache folder lacks.
    tokens = data.split()
    ranks = dict(zip(map(a2b_base64, tokens[::2]), map(int, tokens[1::2]), strict=True))
    # Without special tokens: what looks like one in a message is text, there and on the wire.
    encode = tiktoken.Encoding(
        name=name, pat_str=encoding.pattern, mergeable_ranks=ranks, special_tokens={}
    ).encode_ordinary
    return lambda text: sum(len(encode(piece)) for piece in _pieces(text))


_BLANK = re.compile(r"\s{98304}")
"""White space of 768 times 128 characters; 128 spaces are the longest token there is, so that cuts fall between tokens."""


def _pieces(text: str) -> Iterator[str]:
    """The text, cut in very long white space: the tokenizer's regular expression panics at a million blanks in a row."""
    start = 0
    if len(text) > 98304:
        for blank in _BLANK.finditer(text):
            yield text[start : blank.end()]
            start = blank.end()
    yield text[start:]


# ---------------------------------------------------------------------- messages


class _Rules(NamedTuple):
    """What stands around the text of messages, in tokens."""

    reply: int
    """At the end, where the answer begins."""
    assistant: int
    """In each message of the assistant, beside what stands in every message."""


def _rules(info: ModelInfo) -> _Rules:
    if not info.get("reasoning"):
        # "every reply is primed with <|start|>assistant<|message|>"
        return _Rules(reply=3, assistant=0)
    # The model itself decides on which channel it begins, so that its answer follows <|start|>assistant. Answers of the
    # conversation are on <|channel|>final; models of the o series have no channels.
    channels = re.fullmatch(r"o\d", info.get("family", "")) is None
    return _Rules(reply=2, assistant=2 if channels else 0)


_TOKENS_PER_MESSAGE = 3
_TOKENS_PER_NAME = 1
_TOKENS_PER_CALL = 6
"""Beside the name of the function, which stands in the call and in its result."""
_TOKENS_FOR_TOOLS = 5
"""The headings above the functions: `# Tools`, `## functions`."""
_TOKENS_FOR_SYSTEM_MESSAGE = 9
"""Tools are described in the system message; where there is none, one is made for them."""


def _count(turns: list[Turn], tools: Sequence[AnyTool], size: Size, rules: _Rules, *, names: bool) -> TokenCount:
    total = rules.reply
    for turn in turns:
        total += _TOKENS_PER_MESSAGE + size(turn.role) + sum(map(size, turn.texts)) + _inexact(turn, size)
        if turn.role == "assistant":
            total += rules.assistant
        if names and turn.name:
            total += _TOKENS_PER_NAME + size(_UNNAMEABLE.sub("_", turn.name)[:64])
    if tools:
        has_system = any(turn.role in ("system", "developer") for turn in turns)
        total += _TOKENS_FOR_TOOLS + size(_declarations(tools)) + (0 if has_system else _TOKENS_FOR_SYSTEM_MESSAGE)
    exact = not tools and all(_is_text(turn) for turn in turns)
    return TokenCount(total, "exact" if exact else "estimate")


_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9_-]")
"""Characters that stand as `_` in a name on the wire."""


def _is_text(turn: Turn) -> bool:
    """Whether there is nothing but text in it; earlier reasoning takes no tokens once an answer stands behind it."""
    return not (turn.calls or turn.other or turn.media) and turn.role != "tool"


def _inexact(turn: Turn, size: Size) -> int:
    calls = sum(2 * size(name) + size(arguments) + _TOKENS_PER_CALL for name, arguments in turn.calls)
    return calls + sum(map(size, turn.other)) + len(turn.media) * TOKENS_PER_MEDIA


# ---------------------------------------------------------------------- tools


def _declarations(tools: Sequence[AnyTool]) -> str:
    """The tools as the model reads them: https://cookbook.openai.com/articles/openai-harmony#function-calling."""
    return "\n\n".join(("namespace functions {", *map(_declaration, tools), "} // namespace functions"))


def _declaration(tool: AnyTool) -> str:
    match tool:
        case Tool():
            fields = _fields(tool.parameters or {})
            arguments = f"(_: {fields})" if fields else "()"
            return f"{_comment(tool.description)}type {tool.name} = {arguments} => any;"
        case CustomTool():
            return f"{_comment(tool.description)}type {tool.name} = (_: string) => any;\n{tool.grammar or ''}"
        case _:
            return as_json(tool.data)


def _fields(schema: Mapping[str, Any]) -> str:
    """The properties of an object as those of a TypeScript type; empty where it has none."""
    properties: Any = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return ""
    required: Any = schema.get("required") or ()
    lines = (
        f"{_comment(_about(field))}{name}{'' if name in required else '?'}: {_type(field)},{_default(field)}\n"
        for name, field in properties.items()
    )
    return "{\n" + "".join(lines) + "}"


def _about(schema: Any) -> str | None:
    return (schema.get("description") or schema.get("title")) if isinstance(schema, dict) else None


def _default(schema: Any) -> str:
    default: Any = schema.get("default") if isinstance(schema, dict) else None
    return "" if default is None else f" // default: {default if isinstance(default, str) else as_json(default)}"


def _comment(text: Any) -> str:
    return "".join(f"// {line}\n" for line in text.splitlines()) if isinstance(text, str) else ""


_TYPES = {"integer": "number", "object": "object", "array": "any[]"}


def _type(schema: Any) -> str:
    match schema:
        case {"enum": [*values]}:
            return " | ".join(map(as_json, values))
        case {"anyOf": [*options]} | {"oneOf": [*options]}:
            return " | ".join(map(_type, options))
        case {"type": "array", "items": items}:
            return f"{_type(items)}[]"
        case {"type": "object"} if fields := _fields(schema):
            return fields
        case {"type": str(name)}:
            return _TYPES.get(name, name)
        case {"type": [*names]}:
            return " | ".join(_TYPES.get(name, str(name)) for name in names)
        case _:
            return "any"
