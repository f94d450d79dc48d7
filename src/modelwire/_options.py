"""Options from all the spellings that users know to what one dialect sends. Pure; the table is the schema's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from modelwire._option_table import ALIASES, FAMILIES, INSTEAD, NOOP, RANGES, WIRE
from modelwire.errors import BadRequestError, UnsupportedOptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CALL_OPTIONS = frozenset({"extra_body", "extra_headers", "unsupported", "deadline", "cancellation_token"})
"""Options of the call rather than of the generation: they have no wire name."""
_ENUM = "text/x.enum"
_AUTOGEN = frozenset({"json_output", "extra_create_args"})
_SAYS_NOTHING = ("include_usage", "max_consecutive_empty_chunk_tolerance")
"""AutoGen's words for what happens always."""
_OF_SEVERAL = frozenset({*_SAYS_NOTHING, "response_mime_type", "json_output"})
_ELSEWHERE = {
    **dict.fromkeys(("tools", "tool_choice"), "it is an argument of each call: create(messages, tools=...)"),
    **dict.fromkeys(("functions", "function_call"), "pass tools= and tool_choice= to each call"),
    **dict.fromkeys(("system", "system_instruction"), "put a SystemMessage first"),
    "stream": "call create_stream() or stream() instead of create()",
    "format": "use response_format",
    "generation_config": "pass its members by themselves",
    "thinking_budget": "use reasoning_effort, or thinking_config",
    "follow_redirects": "redirects are not followed, since a key must not: give the final address as base_url",
    "default_query": "put it into base_url, such as 'https://api.example.com/v1?name=value'",
    "http_options": "use timeout, default_headers and base_url",
    "vertexai": "there is no client for it; base_url may name a gateway",
    "bedrock_info": "there is no client for it; base_url may name a gateway",
}
"""What vendors' SDKs and AutoGen take in this place, and what to do here."""


class Resolved(NamedTuple):
    """What is sent, and what was left out on purpose."""

    options: dict[str, Any]
    dropped: list[str]


def portable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are `flattened`, by their portable names; `None`s stay, since they switch a default off.

    Raises `BadRequestError` where two spellings of one option are given, or a number is out of its range.
    """
    options: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    if not _OF_SEVERAL.isdisjoint(given):
        given = _each_by_itself(given)
    for spelling, value in given.items():
        name = ALIASES.get(spelling, spelling)
        if name in spelled and value is not None and options[name] is not None:
            raise BadRequestError(f"{spelled[name]} and {spelling} are the same option; give one of them")
        if name in spelled and value is None:
            continue
        options[name] = _in_range(name, value)
        spelled[name] = spelling
    return options


def _each_by_itself(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same without options that stand for others, or for nothing."""
    flat = {name: value for name, value in given.items() if name not in _SAYS_NOTHING}
    if "response_mime_type" in flat:
        _mime_type(flat)
    if "json_output" in flat:
        _json_output(flat)
    return flat


def flattened(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of `extra_create_args`, AutoGen's mapping of options, as if each were given by itself."""
    flat = dict(given)
    extra = flat.pop("extra_create_args", None)
    if extra is None:
        return flat
    if not isinstance(extra, dict) or not all(isinstance(name, str) for name in extra):
        raise BadRequestError(f"extra_create_args is a dict of options by their names, not {extra!r:.100}")
    return flat | extra


def _json_output(flat: dict[str, Any]) -> None:
    """AutoGen's word for the form of the answer."""
    wanted = flat.pop("json_output")
    if wanted is None:
        return  # not said: the client's own `response_format` stays
    if wanted is False:
        flat.setdefault("response_format", None)
        return
    if flat.get("response_format") is not None:
        raise BadRequestError("json_output and response_format are the same option; give one of them")
    flat["response_format"] = {"type": "json_object"} if wanted is True else wanted


def _mime_type(flat: dict[str, Any]) -> None:
    """Gemini's word for the form of the answer, which may stand beside a schema; enums are an option of its own."""
    wanted = flat["response_mime_type"]
    if wanted == _ENUM:
        return
    if wanted is None:
        flat.setdefault("response_format", None)
        return
    del flat["response_mime_type"]
    if wanted == "text/plain":
        return
    if wanted != "application/json":
        raise BadRequestError(
            f"response_mime_type={wanted!r} is not known; it is 'application/json', 'text/plain' or {_ENUM!r}"
        )
    if all(flat.get(name) is None for name in ("response_schema", "response_format", "output_format")):
        flat["response_format"] = {"type": "json_object"}


def _in_range(name: str, value: Any) -> Any:
    bounds = RANGES.get(name)
    if bounds is None or value is None:
        return value
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise BadRequestError(f"{name}={value!r}: a number is needed")
    least, most = bounds
    # Not "value < least": NaN is neither below nor above.
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        raise BadRequestError(f"{name}={value!r} is out of range: {_span(least, most)}")
    return value


def _span(least: float | None, most: float | None) -> str:
    return f"{least} to {most}" if most is not None else f"at least {least}"


def merged(defaults: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults with a call's own options over them; `None` switches a default off and is not sent."""
    if call:
        defaults = {**defaults, **call}
    return {name: value for name, value in defaults.items() if value is not None}


def check_names(names: Collection[str], family: str) -> None:
    """Refuse names that no provider knows.

    Raises `BadRequestError`, with what to do instead, or the nearest known name.
    """
    for name in names:
        if name in _ELSEWHERE:
            raise BadRequestError(f"{name} is not an option; {_ELSEWHERE[name]}")
        if name not in FAMILIES["AnyOptions"] and name not in ALIASES and name not in _AUTOGEN:
            import difflib  # noqa: PLC0415  # for this message only

            near = difflib.get_close_matches(name, [*FAMILIES[family], *ALIASES], n=1)
            hint = f"; did you mean {near[0]}?" if near else "; what modelwire does not know goes into extra_body"
            raise BadRequestError(f"{name} is not an option{hint}")


def lacking(options: Mapping[str, Any], family: str, dialect: str, wire: Mapping[str, str]) -> dict[str, str]:
    """Options that this API has no word for, each with the reason."""
    if not options:
        return {}
    known, written = FAMILIES[family], WIRE[dialect]
    return {
        name: "this API does not have it"
        for name in options
        if name not in CALL_OPTIONS
        and name != "response_format"
        and name not in wire
        and (name not in known or name not in written)
    }


def resolve(options: Mapping[str, Any], refused: Mapping[str, str], dialect: str, provider: str) -> Resolved:
    """What is left of the options after those that are refused.

    A refused value that says nothing is left out silently. Any other raises `UnsupportedOptionError`, unless the
    options say `unsupported="drop"`.
    """
    if not refused:
        return Resolved(dict(options), [])
    silent = NOOP.get(dialect, {})
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in options.items():
        if name not in refused:
            kept[name] = value
        elif name in silent and value == silent[name]:
            continue
        elif options.get("unsupported") == "drop":
            dropped.append(name)
        else:
            instead = f"; use {INSTEAD[name]}" if name in INSTEAD else ""
            raise UnsupportedOptionError(
                f"{provider}: {name} is not supported: {refused[name]}{instead} (or pass unsupported='drop')",
                option=name,
            )
    return Resolved(kept, dropped)


def to_deadline(deadline: Any) -> float | None:
    """Seconds above 0, or none.

    Raises `BadRequestError` for anything else.
    """
    if deadline is None:
        return None
    if not isinstance(deadline, (int, float)) or not deadline > 0:
        raise BadRequestError(f"deadline={deadline!r}: seconds above 0 are needed, or None for no limit")
    return float(deadline)
