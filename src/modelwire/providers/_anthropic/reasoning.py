"""`reasoning_effort` to `thinking` and `output_config.effort`, which differ from model to model, and back.

https://platform.claude.com/docs/en/build-with-claude/thinking and .../effort. What each model takes is in
`models/anthropic.json`: `thinking` lists the types, `thinks_by_default` says what leaving it out means, and `efforts`
the levels of `output_config.effort`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.options import ModelInfo

LEVELS = ("none", "low", "medium", "high", "xhigh", "max")
BUDGETS = {"low": 2048, "medium": 8192, "high": 16384}
"""Tokens to think with, for models without levels of their own."""
LEAST_BUDGET = 1024
"""`budget_tokens`: "Must be ≥1024 and less than `max_tokens`.\""""

DEFAULT_MAX_TOKENS = 21_333
"""`max_tokens` where the user gives none and the model's limit is known: `max_tokens` is required here.

It is what the vendor's SDK takes for an answer that is not streamed (10 minutes at 128 000 tokens an hour), enough for
nearly all answers, and no reason for a timeout.
"""
UNKNOWN_MAX_TOKENS = 4096
"""The same for a model that nothing is known of: the smallest limit that any Claude model had."""


class Thinking(NamedTuple):
    """The two members of a body that say how much the model thinks; `None` is not sent."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None


def facts(info: ModelInfo) -> Mapping[str, Any]:
    """The model's facts, with those that only this codec reads."""
    return cast("Mapping[str, Any]", info)


def max_tokens(options: Mapping[str, Any], info: ModelInfo) -> int:
    """The user's `max_tokens`, or a default that leaves room for an answer after a budget for thinking."""
    given = options.get("max_tokens")
    if isinstance(given, int):
        return given
    if given is not None:
        raise BadRequestError(f"max_tokens={given!r}: a whole number is needed, not {type(given).__name__}")
    most = info.get("max_output_tokens")
    default = UNKNOWN_MAX_TOKENS if most is None else min(DEFAULT_MAX_TOKENS, most)
    budget = budget_of(options.get("thinking"))
    return default if budget < default else min(budget + UNKNOWN_MAX_TOKENS, most or budget + UNKNOWN_MAX_TOKENS)


def type_of(thinking: Any) -> str | None:
    """The `type` of a `thinking` option; `None` where it has none."""
    found = thinking.get("type") if isinstance(thinking, dict) else None
    return found if isinstance(found, str) else None


def budget_of(thinking: Any) -> int:
    """The `budget_tokens` of a `thinking` option; 0 where it has none."""
    found = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return found if isinstance(found, int) else 0


def from_effort(level: str, info: ModelInfo, most: int) -> Thinking:
    """What asks this model for a level; `most` is the request's `max_tokens`."""
    known = facts(info)
    types = known.get("thinking")
    if level == "none":
        return Thinking({"type": "disabled"})
    if types is None:
        return Thinking(None, level)  # a model that nothing is known of: the newer ones think by themselves
    effort = level if level in known.get("efforts", ()) else None
    if "adaptive" in types:
        return Thinking(None if known.get("thinks_by_default") else {"type": "adaptive"}, effort)
    # A quarter is left for the answer, since thinking counts as part of `max_tokens`.
    budget = max(LEAST_BUDGET, min(BUDGETS.get(level, BUDGETS["high"]), most * 3 // 4))
    return Thinking({"type": "enabled", "budget_tokens": budget}, effort)


def asked(options: Mapping[str, Any], info: ModelInfo) -> Thinking:
    """What the options `thinking` and `reasoning_effort` ask for together; the former passes through as it is."""
    level = options.get("reasoning_effort")
    meant = from_effort(level, info, max_tokens(options, info)) if level is not None else Thinking()
    return Thinking(options.get("thinking", meant.thinking), meant.effort)


def to_effort(said: Thinking, info: ModelInfo, most: int) -> str | None:
    """The level that a body asks for; `None` where no level would have written these members."""
    known = (level for level in LEVELS if level == "none" or level in info.get("reasoning_efforts", LEVELS))
    return next((level for level in known if from_effort(level, info, most) == said), None)


def thinks(options: Mapping[str, Any], info: ModelInfo) -> bool:
    """Whether the model thinks with these options, as far as is known."""
    kind = type_of(options.get("thinking"))
    if kind is not None:
        return kind != "disabled"
    effort: str | None = options.get("reasoning_effort")
    if effort is not None:
        return effort != "none"
    return bool(facts(info).get("thinks_by_default"))
