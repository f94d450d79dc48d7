"""Tools and tool choices in all the forms that users write, as the structs that codecs read. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from modelwire._signature import describe
from modelwire.errors import BadRequestError
from modelwire.types import CustomTool, ProviderTool, Tool, ToolChoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeGuard

    from modelwire._signature import Described
    from modelwire.base import ToolChoiceLike, ToolLike
    from modelwire.types import AnyTool

_MODES = ("auto", "none", "required")


def to_tools(tools: Sequence[ToolLike]) -> list[AnyTool]:
    """Structs, nested or flat dicts, typed functions, and objects with a `schema` (AutoGen's tools), as structs.

    A dict of another type, such as `{"type": "web_search"}` or `{"googleSearch": {}}`, is a tool of the provider's own.
    Raises `BadRequestError`, with the place, for a tool without a name or with a schema that is none.
    """
    found = to_unwritten_tools(tools)
    for index, tool in enumerate(found):
        if isinstance(tool, Tool) and tool.parameters is not None:
            _raw(tool.parameters, f"tools[{index}] ({tool.name}).parameters")
    return found


def to_unwritten_tools(tools: Sequence[ToolLike]) -> list[AnyTool]:
    """The same, for who writes them as JSON anyway: whether schemas can be written is not looked at."""
    if isinstance(tools, (str, bytes, dict)) or not hasattr(tools, "__iter__"):
        raise BadRequestError(f"tools is a list of tools, not {type(tools).__name__}")
    found = [tool if _is_plain(tool) else _to_tool(tool, f"tools[{index}]") for index, tool in enumerate(tools)]
    # By type: `isinstance` takes 0.2 µs for a struct that is something else.
    names = [tool.name for tool in found if type(tool) is not ProviderTool]  # type: ignore[union-attr]
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise BadRequestError(f"tools: two of them are named {twice!r}")
    return found


def _is_plain(tool: Any) -> TypeGuard[Tool]:
    """Whether this is a struct in which all is well, as nearly all are."""
    return (
        type(tool) is Tool
        and type(tool.name) is str
        and bool(tool.name.strip())
        and type(tool.description) in _TEXT
        and type(tool.parameters) in _SCHEMA
    )


_TEXT, _SCHEMA = frozenset({str, type(None)}), frozenset({dict, type(None)})


def _to_tool(tool: Any, place: str) -> AnyTool:
    if isinstance(tool, ProviderTool):
        return tool
    if isinstance(tool, (Tool, CustomTool)):
        return _checked(tool, place)
    schema = tool if isinstance(tool, dict) else getattr(tool, "schema", None)
    if isinstance(schema, dict):
        return _from_dict(cast("dict[str, Any]", schema), place)
    if not callable(tool):
        raise BadRequestError(
            f"{place}: a tool is a Tool, a dict, a function, or an object with a `schema` dict, not {type(tool).__name__}"
        )
    known = _described(tool, place)
    return Tool(name=known.name, description=known.description, parameters=known.schema)


def _described(function: Any, place: str) -> Described:
    try:
        return describe(function)
    except TypeError as error:
        raise BadRequestError(f"{place}: {error}") from error


def _from_dict(tool: dict[str, Any], place: str) -> AnyTool:
    kind = tool.get("type", "keyed" if _is_keyed(tool) else "function")
    if kind not in ("function", "custom"):
        return ProviderTool(data=_raw(tool, place))
    inner = tool.get(kind, tool)
    if not isinstance(inner, dict):
        raise BadRequestError(f"{place}.{kind}: an object is needed, not {type(inner).__name__}")
    if kind == "custom":
        grammar = _grammar(inner)
        return _checked(
            CustomTool(
                name=inner.get("name", ""),
                description=inner.get("description"),
                grammar=grammar.get("definition"),
                syntax=grammar.get("syntax"),
            ),
            place,
        )
    return _checked(
        Tool(
            name=inner.get("name", ""),
            description=inner.get("description"),
            parameters=inner.get("parameters"),
            strict=inner.get("strict"),
        ),
        place,
    )


def _is_keyed(tool: dict[str, Any]) -> bool:
    """Whether a dict without a `type` is a tool of the provider's own, named by its key: `{"googleSearch": {}}`."""
    own = not tool.keys() & {"name", "function", "description", "parameters"}
    return bool(tool) and own and all(isinstance(value, (dict, list)) for value in tool.values())


def _grammar(custom: Mapping[str, Any]) -> Mapping[str, Any]:
    """The grammar of a free-text tool, nested as in Chat Completions or flat as in the Responses API."""
    form: Any = custom.get("format")
    if not isinstance(form, dict):
        return {}
    nested: Any = form.get("grammar")
    return nested if isinstance(nested, dict) else form


def _checked(tool: AnyTool, place: str) -> AnyTool:
    name = getattr(tool, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise BadRequestError(f"{place}: a tool needs a name")
    description = getattr(tool, "description", None)
    if description is not None and not isinstance(description, str):
        raise BadRequestError(f"{place} ({name}): a description is text, not {type(description).__name__}")
    if isinstance(tool, Tool) and tool.parameters is not None:
        parameters = cast("Any", tool.parameters)
        if not isinstance(parameters, dict):
            raise BadRequestError(
                f"{place} ({name}): parameters are a JSON Schema object, not {type(parameters).__name__}"
            )
    return tool


def _raw(value: Any, place: str) -> msgspec.Raw:
    try:
        return msgspec.Raw(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(f"{place}: not JSON: {error}") from None


def to_tool_choice(choice: ToolChoiceLike, tools: Sequence[AnyTool]) -> ToolChoice | ProviderTool | None:
    """`"auto"`, `"none"`, `"required"`, a name, a tool, or the OpenAI dicts; `None` for `"auto"`, which is the default.

    Raises `BadRequestError` for a tool that is not among `tools`.
    """
    found = _to_choice(choice)
    if isinstance(found, ToolChoice):
        if found.mode not in _MODES:
            raise BadRequestError(f"tool_choice: mode {found.mode!r} is not known; it is one of {', '.join(_MODES)}")
        known = [tool.name for tool in tools if not isinstance(tool, ProviderTool)]
        for name in found.tools or ():
            if name not in known:
                raise BadRequestError(
                    f"tool_choice: there is no tool {name!r}; the tools are {', '.join(known) or 'none'}"
                )
        if found.mode == "required" and not tools:
            raise BadRequestError("tool_choice='required' needs tools")
    return found


def _to_choice(choice: Any) -> ToolChoice | ProviderTool | None:
    if choice is None or choice == "auto":
        return None
    if isinstance(choice, (ToolChoice, ProviderTool)):
        return choice
    if choice == "any":
        return ToolChoice(mode="required")
    if isinstance(choice, str):
        return ToolChoice(mode=cast("Any", choice)) if choice in _MODES else ToolChoice(mode="required", tools=[choice])
    if isinstance(choice, dict):
        return _choice_from_dict(cast("dict[str, Any]", choice))
    name = getattr(choice, "name", None)
    if not isinstance(name, str) and callable(choice):
        name = _described(choice, "tool_choice").name
    if isinstance(name, str):
        return ToolChoice(mode="required", tools=[name])
    raise BadRequestError(f"tool_choice: a word, a name, a tool or a dict is needed, not {type(choice).__name__}")


def _choice_from_dict(choice: dict[str, Any]) -> ToolChoice | ProviderTool | None:
    kind = choice.get("type")
    if kind in ("function", "custom", "tool"):
        return ToolChoice(mode="required", tools=[_name_in(choice)])
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        named = allowed.get("tools") if isinstance(allowed, dict) else None
        if not isinstance(named, list):
            raise BadRequestError("tool_choice: allowed_tools needs a mode, 'auto' or 'required', and a list of tools")
        return ToolChoice(mode=allowed.get("mode", "auto"), tools=[_name_in(tool) for tool in named])
    if kind in _MODES or kind == "any":
        return _to_choice(kind)
    return ProviderTool(data=_raw(choice, "tool_choice"))


def _name_in(named: Any) -> str:
    """The name in `{"type": "function", "function": {"name": ...}}`, or in its flat form."""
    inner = named.get(named.get("type"), named) if isinstance(named, dict) else named
    name = inner.get("name") if isinstance(inner, dict) else inner
    if not isinstance(name, str):
        raise BadRequestError(f"tool_choice: {named!r} names no tool")
    return name
