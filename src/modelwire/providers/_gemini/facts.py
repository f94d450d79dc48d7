"""What a Gemini model can do, from its row in the table of models, or from its name where it has none.

https://ai.google.dev/gemini-api/docs/models. Rows may say, beyond `ModelInfo`: `generation` (such as 3.1, for names that
do not tell), `thinking_budget` (least and greatest, for models that take no level), and `explicit_caching`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from modelwire import models
from modelwire.errors import BadRequestError

if TYPE_CHECKING:
    from modelwire.options import ModelInfo

ORIGIN = "gemini"

_GENERATION = re.compile(r"(?:^|/)gemini-(\d+(?:\.\d+)?)")
_VERSION = re.compile(r"-(?:\d{3}|(?:preview-)?\d{2}-\d{4}|preview)$")
"""Endings of stable versions (`-001`) and of dated previews (`-preview-09-2025`)."""

_BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Thinking tokens for an effort, as Google's own OpenAI-compatible endpoint has them; `minimal` is the least that all
models take. https://ai.google.dev/gemini-api/docs/openai#thinking"""
_LEVELS = {"none": "MINIMAL", "max": "XHIGH"}
"""Levels that go by another name here."""


def known(model: str) -> ModelInfo:
    """What the table has on this model; a version of a model has its model's row."""
    name = model.removeprefix("models/")
    found = models.lookup(ORIGIN, name)
    if found.get("family") == "unknown":
        found = models.lookup(ORIGIN, _VERSION.sub("", name))
    return {**found, "model": model}


def generation(model: str, info: ModelInfo) -> float | None:
    """The generation, such as 2.5; `None` for models that are no Gemini, or do not tell."""
    given = _row(info).get("generation")
    if given is not None:
        return float(given)
    found = _GENERATION.search(model)
    return float(found[1]) if found else None


def is_from_3(model: str, info: ModelInfo) -> bool:
    """Whether this is Gemini 3 or later.

    These want a thought signature on every step's first function call, and take media inside function responses, a
    resolution for each image, and functions beside other tools or a schema for the answer.
    """
    return (generation(model, info) or 0) >= 3


def takes_json_schema(model: str, info: ModelInfo) -> bool:
    """Whether schemas are sent as JSON Schema, and not in the OpenAPI subset that there was before Gemini 2.5."""
    return (generation(model, info) or 3) >= 2.5


def refused(model: str, info: ModelInfo, options: dict[str, Any], *, tools: bool, formatted: bool) -> dict[str, str]:
    """What the model is known to lack of what is asked for, each with the reason."""
    reasons: dict[str, str] = {}
    effort, efforts = options.get("reasoning_effort"), info.get("reasoning_efforts")
    if effort not in (None, "none") and info.get("reasoning") is False:
        reasons["reasoning_effort"] = f"{model} does not think"
    elif effort is not None and efforts and effort not in ("none", *efforts):
        reasons["reasoning_effort"] = f"{model} knows the levels {', '.join(efforts)}"
    if "cached_content" in options and _row(info).get("explicit_caching") is False:
        reasons["cached_content"] = f"{model} caches by itself only"
    if (_row(info).get("generation") or 0) >= 3:
        # "Multiple candidates is not enabled for this model", "Penalty is not enabled for this model".
        lost = {"n": "more than one answer", "frequency_penalty": "penalties", "presence_penalty": "penalties"}
        reasons |= {name: f"{model} does not take {what}" for name, what in lost.items() if name in options}
    if tools and formatted and (generation(model, info) or 3) < 3:
        # The answer would be: "Function calling with a response mime type: 'application/json' is unsupported".
        reasons["response_format"] = f"{model} does not take it together with tools"
    return reasons


def thinking(model: str, info: ModelInfo, effort: str) -> dict[str, Any]:
    """The `thinkingConfig` for an effort: a level from Gemini 3 on, a budget of tokens before.

    `none` is the least that the model can do: most cannot stop thinking altogether. Otherwise summaries of the
    thoughts are asked for as well, which cost nothing beyond the thoughts themselves. Empty for a model that does not
    think. Raises `BadRequestError` for a word that is no effort.
    """
    if info.get("reasoning") is False:
        return {}
    config = _budget(info, effort) if (generation(model, info) or 3) < 3 else {"thinkingLevel": _level(info, effort)}
    return config if effort == "none" else {**config, "includeThoughts": True}


def _level(info: ModelInfo, effort: str) -> str:
    efforts = info.get("reasoning_efforts")
    if effort == "none" and efforts:
        effort = efforts[0]
    return _LEVELS.get(effort, effort.upper())


def _budget(info: ModelInfo, effort: str) -> dict[str, Any]:
    least, most = _row(info).get("thinking_budget") or (0, _BUDGETS["high"])
    budgets = {"none": least, **_BUDGETS, "xhigh": most, "max": most}
    if effort not in budgets:
        raise BadRequestError(f"reasoning_effort={effort!r} is not known; it is one of {', '.join(budgets)}")
    return {"thinkingBudget": budgets[effort]}


def _row(info: ModelInfo) -> dict[str, Any]:
    """The facts with those that `ModelInfo` does not name."""
    return cast("dict[str, Any]", info)
