"""What the API or a model answers with an error, with the reason for the user.

https://platform.claude.com/docs/en/api/messages and .../about-claude/models/overview. A model that nothing is known of
gets everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelwire.providers._anthropic import reasoning
from modelwire.types import ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelwire.options import ModelInfo
    from modelwire.types import ChatRequest

OLD_VERSION = "2023-06-01"
"""The only version that takes sampling options."""
NEW_VERSION = "2026-10-21"

_SAMPLING = ("temperature", "top_p", "top_k")


def refused(request: ChatRequest, info: ModelInfo, version: str) -> dict[str, str]:
    """Options, tool choice or response format of `request` that this model or version lacks, each with the reason."""
    options = request.options or {}
    return {
        **_sampling(request.model, options, info, version),
        **_metadata(options),
        **_thinking(request.model, options, info),
        **_effort(request.model, options, info),
        **_tool_choice(request, options, info),
        **_response_format(request, info),
    }


def _sampling(model: str, options: Mapping[str, Any], info: ModelInfo, version: str) -> dict[str, str]:
    given = [name for name in _SAMPLING if name in options]
    if info.get("sampling") == "never":
        return dict.fromkeys(given, f"{model} takes no sampling options")
    if version != OLD_VERSION:
        return dict.fromkeys(given, f"it needs anthropic_version={OLD_VERSION!r}, not {version!r}")
    if info.get("sampling") == "without_reasoning" and reasoning.thinks(options, info):
        # "Thinking isn't compatible with temperature or top_k modifications"; `top_p` may be 0.95 to 1.
        return {name: f"{model} does not take it while it thinks" for name in given if name != "top_p"}
    if info.get("sampling") == "without_reasoning" and {"temperature", "top_p"} <= options.keys():
        return {"top_p": f"{model} takes temperature or top_p, not both"}
    if options.get("temperature", 0) > 1:
        return {"temperature": "Anthropic's goes from 0 to 1"}
    return {}


def _metadata(options: Mapping[str, Any]) -> dict[str, str]:
    others = [name for name in options.get("metadata") or () if name != "user_id"]
    return {"metadata": f"Anthropic takes only user_id, not {', '.join(others)}"} if others else {}


def _thinking(model: str, options: Mapping[str, Any], info: ModelInfo) -> dict[str, str]:
    kind = reasoning.type_of(options.get("thinking"))
    types = reasoning.facts(info).get("thinking")
    if kind is None or types is None or kind in types:
        return {}
    return {"thinking": f"{model} takes the types {', '.join(types)}, not {kind}"}


def _effort(model: str, options: Mapping[str, Any], info: ModelInfo) -> dict[str, str]:
    level = options.get("reasoning_effort")
    if level is None:
        return {}
    levels = info.get("reasoning_efforts")
    if levels and level not in levels:
        always = "" if level != "none" else " and always thinks"
        return {"reasoning_effort": f"{model} knows the levels {', '.join(levels)}{always}"}
    budgeted = "adaptive" not in reasoning.facts(info).get("thinking", ("adaptive",))
    if "thinking" in options and (level == "none" or (budgeted and level not in reasoning.facts(info)["efforts"])):
        return {"reasoning_effort": "`thinking` says already how much to think; give one of them"}
    if budgeted and level != "none" and reasoning.max_tokens(options, info) <= reasoning.LEAST_BUDGET:
        return {"reasoning_effort": f"to think, {model} needs max_tokens above {reasoning.LEAST_BUDGET}"}
    return {}


def _tool_choice(request: ChatRequest, options: Mapping[str, Any], info: ModelInfo) -> dict[str, str]:
    choice = request.tool_choice
    if not isinstance(choice, ToolChoice) or choice.mode != "required":
        return {}
    if not reasoning.facts(info).get("forced_tool_use", True):
        remedy = "say in the prompt which tool to use, or use response_format to get data"
        return {"tool_choice": f"{request.model} cannot be forced to call a tool; {remedy}"}
    if reasoning.type_of(reasoning.asked(options, info).thinking) == "enabled":
        # The thinking guide, "limitations": only "auto" and "none" with `budget_tokens`.
        return {"tool_choice": f"{request.model} cannot be forced to call a tool while it thinks"}
    return {}


def _response_format(request: ChatRequest, info: ModelInfo) -> dict[str, str]:
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"response_format": "Anthropic has no JSON mode; give a type or a JSON Schema"}
    if info.get("structured_output") is False:
        return {"response_format": f"{request.model} cannot be held to a schema; ask for JSON in the prompt"}
    return {}
