"""A typed function as a tool: its name, its description, the JSON Schema of its arguments, and their reader. Pure."""

from __future__ import annotations

import functools
import inspect
import re
import typing
import weakref
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Union, cast, get_args, get_origin

import msgspec

from modelwire import _docstring, _typed
from modelwire.output import strip_optional_nulls

if TYPE_CHECKING:
    from collections.abc import Callable

    _Reader = Callable[[str | bytes], Any]

TOKEN = "cancellation_token"  # noqa: S105  # a parameter's name
"""A parameter of this name is not the model's: it gets the token that cancels the run, as AutoGen's tools do."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
_NO_TYPE = (TypeError, ValueError, NameError, RuntimeError)
"""What msgspec and pydantic raise for a type that they cannot describe or read."""
_REMEMBERED: weakref.WeakKeyDictionary[Any, Described] = weakref.WeakKeyDictionary()


class Described(NamedTuple):
    """What a model is told of a function, and how its arguments are read."""

    name: str
    description: str | None
    schema: dict[str, Any]
    """JSON Schema of the arguments: an object."""
    parameters: tuple[inspect.Parameter, ...]
    """Those that the model gives, in order."""
    takes_token: bool
    is_method: bool
    """Whether it is a method that is bound to no object yet."""
    read_strictly: _Reader
    read_leniently: _Reader

    def read(self, text: str) -> dict[str, Any]:
        """The arguments by parameter; those that the model left out are not among them.

        A null for an optional parameter that may not be null counts as left out, since strict schemas make the model
        write it; numbers may be written as text. Raises `ValueError`, which says what does not fit and where.
        """
        text = text.strip() or "{}"
        try:
            found = self.read_strictly(text)
        except (ValueError, RecursionError) as error:
            try:
                plain = strip_optional_nulls(msgspec.json.decode(text), self.schema)
                found = self.read_leniently(msgspec.json.encode(plain))
            except (ValueError, RecursionError):
                raise ValueError(_typed.explained(error)) from error
        values = {parameter.name: getattr(found, parameter.name) for parameter in self.parameters}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}

    def bind(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The values as positional and keyword arguments."""
        named = dict(values)
        first = [parameter for parameter in self.parameters if parameter.kind is parameter.POSITIONAL_ONLY]
        return [named.pop(parameter.name, parameter.default) for parameter in first], named


def describe(function: Any, name: str | None = None, description: str | None = None) -> Described:
    """What a model is told of this function, bound method, `functools.partial` or object with `__call__`.

    Arguments that a partial gives by keyword are not the model's to give. Raises `TypeError`, with the function and the
    parameter, for what no model can call: parameters without a type, `*args`, `**kwargs`, types without a JSON Schema.
    """
    if name is not None or description is not None:
        return _described(function, name, description)
    if inspect.ismethod(function) and _takes_self(function.__func__):
        return describe(function.__func__)._replace(is_method=False)
    if not inspect.isfunction(function):
        return _described(function, None, None)
    known = _REMEMBERED.get(function)
    if known is None:
        known = _REMEMBERED[function] = _described(function, None, None)
    return known


def _takes_self(function: Any) -> bool:
    """Whether this is a method in the usual words: its first parameter is `self` or `cls`, without a type."""
    code = getattr(function, "__code__", None)
    if code is None or not code.co_argcount:
        return False
    first: str = code.co_varnames[0]
    return first in ("self", "cls") and first not in function.__annotations__


def _described(target: Any, name: str | None, description: str | None) -> Described:
    function = _function_of(target)
    name = name or _name_of(target)
    if not _NAME.fullmatch(name):
        raise TypeError(f"tool {name!r}: a name of a tool is 1 to 64 of a-z, A-Z, 0-9, _ and -; pass name=")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"tool {name}: it yields; a tool returns its result")
    documented = _docstring.parse(_doc_of(target, function))
    parameters, takes_token, is_method = _parameters(target, name)
    types = _types_of(function, parameters, name)
    fields = [_field(parameter, types[parameter.name]) for parameter in parameters]
    schema, strict, lenient = _readers(fields, types, name)
    for parameter in parameters:
        _annotate(schema["properties"][parameter.name], parameter, types[parameter.name], documented)
    return Described(
        name,
        description or documented.description or None,
        schema,
        parameters,
        takes_token,
        is_method,
        strict,
        lenient,
    )


# ---------------------------------------------------------------------- the function


def _function_of(target: Any) -> Any:
    """The function behind a bound method, a partial, an object with `__call__`, or a decorator."""
    if isinstance(target, type):
        raise TypeError(f"{target.__name__} is a class; a tool is a function (a response_format may be a class)")
    while isinstance(target, functools.partial) or hasattr(target, "__wrapped__"):
        target = target.func if isinstance(target, functools.partial) else target.__wrapped__
    if not callable(target):
        raise TypeError(f"a tool is a function, not {type(target).__name__}")
    if not inspect.isroutine(target):
        target = type(target).__call__
    return inspect.unwrap(getattr(target, "__func__", target))


def _name_of(target: Any) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    return str(getattr(target, "__name__", type(target).__name__))


def _doc_of(target: Any, function: Any) -> str | None:
    # An object's own docstring says more than that of its `__call__`, where there is none.
    return function.__doc__ or (None if inspect.isroutine(target) else type(target).__doc__)


def _parameters(target: Any, name: str) -> tuple[tuple[inspect.Parameter, ...], bool, bool]:
    """The parameters that the model gives, whether there is one for the token, and whether `self` is still open."""
    try:
        signature = inspect.signature(target)
    except ValueError as error:
        raise TypeError(f"tool {name}: its signature cannot be read: {error}") from None
    found = list(signature.parameters.values())
    is_method = inspect.isfunction(target) and _takes_self(inspect.unwrap(target))
    given = target.keywords if isinstance(target, functools.partial) else {}
    kept = [parameter for parameter in found[is_method:] if parameter.name not in given]
    for parameter in kept:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            raise TypeError(f"tool {name}: {stars}{parameter.name}: a model needs parameters with names and types")
    takes_token = any(parameter.name == TOKEN for parameter in kept)
    return tuple(parameter for parameter in kept if parameter.name != TOKEN), takes_token, is_method


def _types_of(function: Any, parameters: tuple[inspect.Parameter, ...], name: str) -> dict[str, Any]:
    """The types of the parameters; annotations that are text are evaluated where the function stands."""
    for parameter in parameters:
        if parameter.annotation is inspect.Parameter.empty:
            raise TypeError(
                f"tool {name}: {parameter.name} has no type; write it as {parameter.name}: str, or the like"
            )
        if type(parameter.default).__name__ == "FieldInfo":
            raise TypeError(
                f"tool {name}: {parameter.name}: write a Field as Annotated[..., Field(...)], beside the default"
            )
    wanted = {parameter.name: parameter.annotation for parameter in parameters}
    holder = cast("Any", type("Annotated", (), {"__annotations__": wanted}))
    try:
        return typing.get_type_hints(holder, getattr(function, "__globals__", {}), {}, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise TypeError(
            f"tool {name}: a type of its parameters cannot be found: {error}; types of tools stand at the top of a module"
        ) from error


# ---------------------------------------------------------------------- the schema


def _field(parameter: inspect.Parameter, kind: Any) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = _bounded(kind)
    if parameter.default is inspect.Parameter.empty:
        return parameter.name, kind
    # What the model leaves out is left to the function.
    return parameter.name, Union[kind, msgspec.UnsetType], msgspec.UNSET  # noqa: UP007  # not all that msgspec reads has `|`


def _bounded(kind: Any) -> Any:
    """The type with the bounds of `annotated_types` and pydantic's `Field` as msgspec's."""
    if get_origin(kind) is not Annotated:
        return kind
    bounds: dict[str, Any] = {}
    for item in _metadata(kind):
        found = {name: getattr(item, name, None) for name in _BOUNDS}
        bounds |= {name: value for name, value in found.items() if value is not None}
    return Annotated[get_args(kind)[0], msgspec.Meta(**bounds)] if bounds else get_args(kind)[0]


def _metadata(kind: Any) -> list[Any]:
    """What stands in `Annotated`, and what pydantic's `Field` there holds."""
    if get_origin(kind) is not Annotated:
        return []
    return [inner for item in get_args(kind)[1:] for inner in (item, *(getattr(item, "metadata", None) or ()))]


def _readers(fields: list[Any], types: dict[str, Any], name: str) -> tuple[dict[str, Any], _Reader, _Reader]:
    """The schema of the arguments, and what reads them: strictly, and leniently."""
    arguments = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
    try:
        schema = _typed.schema_of(arguments)
        readers = _typed.decoder(arguments), _typed.decoder(arguments, strict=False)
    except _NO_TYPE as error:
        raise TypeError(f"tool {name}: {_culprit(types)}: {' '.join(str(error).split())}") from error
    definitions: dict[str, Any] = schema["$defs"]
    root: dict[str, Any] = definitions.pop(schema["$ref"].removeprefix("#/$defs/"))
    del root["title"]
    if not root["required"]:
        del root["required"]
    if definitions:
        root["$defs"] = definitions
    # Through JSON, so that no two places share a part, and defaults of nested types are data.
    return msgspec.json.decode(msgspec.json.encode(root), type=dict[str, Any]), *readers


def _culprit(types: dict[str, Any]) -> str:
    """The parameter whose type alone fails."""
    for name, kind in types.items():
        try:
            _typed.schema_of(_bounded(kind))
            _typed.decoder(_bounded(kind))
        except _NO_TYPE:
            return f"there is no JSON Schema for {name}: {getattr(kind, '__name__', kind)}"
    return "there is no JSON Schema for its parameters"


def _annotate(
    schema: dict[str, Any], parameter: inspect.Parameter, kind: Any, documented: _docstring.Docstring
) -> None:
    """Add the description, which beside the type counts more than in the docstring, and the default."""
    described = next((text for item in _metadata(kind) if (text := _text_of(item))), None)
    description = described or documented.parameters.get(parameter.name)
    if description:
        schema["description"] = description
    if parameter.default is not inspect.Parameter.empty and parameter.default is not None:
        try:
            schema["default"] = msgspec.json.decode(msgspec.json.encode(parameter.default))
        except (TypeError, ValueError):
            return  # a default that JSON cannot say stays the function's own


def _text_of(item: Any) -> str | None:
    text = item if isinstance(item, str) else getattr(item, "description", None) or getattr(item, "documentation", None)
    return text if isinstance(text, str) else None
