"""What is known about models: facts that codecs need, as data, and their lookup.

`<provider>.json` has one row for each known model; README.md beside it says where the facts come from. A model that is
not there works all the same: everything is sent, and the server judges.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from modelwire.options import ModelInfo


class ModelFamily:
    """Names of model families, as AutoGen spells them; `ModelInfo["family"]` may be any other word too."""

    GPT_5 = "gpt-5"
    GPT_41 = "gpt-41"
    GPT_45 = "gpt-45"
    GPT_4O = "gpt-4o"
    O1 = "o1"
    O3 = "o3"
    O4 = "o4"
    GPT_4 = "gpt-4"
    GPT_35 = "gpt-35"
    R1 = "r1"
    GEMINI_1_5_FLASH = "gemini-1.5-flash"
    GEMINI_1_5_PRO = "gemini-1.5-pro"
    GEMINI_2_0_FLASH = "gemini-2.0-flash"
    GEMINI_2_5_PRO = "gemini-2.5-pro"
    GEMINI_2_5_FLASH = "gemini-2.5-flash"
    CLAUDE_3_HAIKU = "claude-3-haiku"
    CLAUDE_3_SONNET = "claude-3-sonnet"
    CLAUDE_3_OPUS = "claude-3-opus"
    CLAUDE_3_5_HAIKU = "claude-3-5-haiku"
    CLAUDE_3_5_SONNET = "claude-3-5-sonnet"
    CLAUDE_3_7_SONNET = "claude-3-7-sonnet"
    CLAUDE_4_OPUS = "claude-4-opus"
    CLAUDE_4_SONNET = "claude-4-sonnet"
    LLAMA_3_3_8B = "llama-3.3-8b"
    LLAMA_3_3_70B = "llama-3.3-70b"
    LLAMA_4_SCOUT = "llama-4-scout"
    LLAMA_4_MAVERICK = "llama-4-maverick"
    CODESRAL = "codestral"
    OPEN_CODESRAL_MAMBA = "open-codestral-mamba"
    MISTRAL = "mistral"
    MINISTRAL = "ministral"
    PIXTRAL = "pixtral"
    UNKNOWN = "unknown"

    ANY: TypeAlias = str
    """In AutoGen the type of all of these."""

    @staticmethod
    def is_claude(family: str) -> bool:
        """Whether it is one of Anthropic's."""
        return family.startswith("claude-")

    @staticmethod
    def is_gemini(family: str) -> bool:
        """Whether it is one of Google's Gemini."""
        return family.startswith("gemini-")

    @staticmethod
    def is_openai(family: str) -> bool:
        """Whether it is one of OpenAI's."""
        return re.match(r"gpt-(?!oss)|o\d", family) is not None

    @staticmethod
    def is_llama(family: str) -> bool:
        """Whether it is one of Meta's."""
        return family.startswith("llama-")

    @staticmethod
    def is_mistral(family: str) -> bool:
        """Whether it is one of Mistral's."""
        return family.startswith(_OF_MISTRAL)


_OF_MISTRAL = ("codestral", "open-codestral", "mistral", "ministral", "pixtral", "magistral", "devstral", "voxtral")


def validate_model_info(model_info: Mapping[str, Any]) -> None:
    """Check that a client of one's own tells what AutoGen asks of every client's `model_info`.

    Raises `ValueError` for what is missing.
    """
    for field in ("vision", "function_calling", "json_output", "family", "structured_output"):
        if field not in model_info:
            raise ValueError(f"model_info has no {field!r}")


SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
"""How names of dated versions end, and of those that move."""
_TUNED = re.compile(r"ft:([^:]+):")
"""How names of fine-tuned models begin: https://platform.openai.com/docs/guides/fine-tuning."""


def lookup(provider: str, model: str) -> ModelInfo:
    """What is known of this model; only names when nothing is.

    A dated version and a fine-tuned model have the facts of the model that they come from, unless the table knows
    better.

    Raises `ValueError` for what is no name.
    """
    if not isinstance(model, str) or not model.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"model={model!r}: the name of a model is needed, such as model='gpt-4.1'")
    table = rows(provider)
    tuned = _TUNED.match(model)
    name = tuned[1] if tuned else model
    row = table.get(name) or table.get(SNAPSHOT.sub("", name))
    known: dict[str, Any] = {"model": model, "family": "unknown", **_PERMISSIVE, **(row or {})}
    return cast("ModelInfo", known)


def merged(known: ModelInfo, given: Mapping[str, Any] | None) -> ModelInfo:
    """`known` with what a user says over it.

    Raises `TypeError` for what is no mapping.
    """
    if given is None:
        return known
    if not isinstance(given, dict):
        raise TypeError(
            f"model_info is a dict, such as {{'vision': True, 'family': 'unknown'}}, not {type(given).__name__}"
        )
    return cast("ModelInfo", {**known, **given})


def prefers_responses(info: ModelInfo) -> bool:
    """Whether a model is better reached by OpenAI's Responses API than by Chat Completions, where there are both."""
    apis = info.get("apis", ("chat", "responses"))
    return "responses" in apis and (info.get("reasoning", False) or "chat" not in apis)


_PERMISSIVE: dict[str, Any] = {
    "vision": True,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
    "multiple_system_messages": True,
}

_FOLDER = Path(__file__).parent  # not importlib.resources, whose import takes longer than all else here


@cache
def rows(provider: str) -> Mapping[str, Mapping[str, Any]]:
    """The table of one provider, read once; empty for a provider that has none."""
    if not provider.isidentifier():
        return {}
    try:
        table = (_FOLDER / f"{provider}.json").read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(table, type=dict[str, dict[str, Any]])


def providers() -> list[str]:
    """The providers that have a table."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))
